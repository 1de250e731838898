//! `--format json`: one document with a version, every member of which is documented, that says what the output
//! for people says.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::stage::{PACK, Stage, printed, root};

#[test]
fn json_has_a_version_and_a_place() {
    let stage = Stage::new();
    stage.write(
        "typo.yaml",
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec:\n  pak: x\n",
    );
    let output = stage.run(&["check", "--format", "json", "typo.yaml"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["version"], 1);
    let found = report["packs"][0]["diagnostics"].as_array().expect("findings");
    let typo = found.iter().find(|one| one["code"] == "BW0104").expect("the typo is found");
    assert_eq!((&typo["place"]["line"], &typo["place"]["column"]), (&5.into(), &3.into()));
}

/// Findings with messages of their own, and some for which only the code has a message: the same for people
/// and programs.
#[test]
fn findings_say_what_to_do_to_people_and_programs() {
    let stage = Stage::new();
    stage.write(
        "pack/pack.yaml",
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec:\n  pack: x\n  version: 1.0.0\n  \
         network:\n    proxy: Gateway\n    egress: [{name: web, to: {hosts: [a.example.org]}, ports: [{port: 443}]}]\n  \
         subjects: {namespaces: {selector: {matchLabels: {a: '-'}}}}\n  audit: {admission: Required}\n",
    );
    let drawn = printed(&stage.run(&["check", "pack"]));
    let output = stage.run(&["check", "pack", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = report["packs"][0]["diagnostics"].as_array().expect("findings");
    let help = |code: &str| {
        let one =
            found.iter().find(|one| one["code"] == code).unwrap_or_else(|| panic!("no {code}: {drawn}"));
        one["help"].as_str().expect("a help").to_owned()
    };
    let code = |id: &str| bailiwick_compiler::check::code(id).expect("a code");
    for id in ["BW0222", "BW0506", "BW0524"] {
        assert_eq!(help(id), code(id).remedy());
    }
    assert_ne!(help("BW0505"), code("BW0505").remedy());
    for id in ["BW0222", "BW0505", "BW0506", "BW0524"] {
        assert!(drawn.contains(&format!("= help: {}\n", help(id))), "{id}: {drawn}");
    }
}

/// The members of a document, at any depth.
pub(crate) fn members(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            for (name, value) in all {
                into.insert(name.clone());
                members(value, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, into)),
        _ => {}
    }
}

#[test]
fn every_member_of_the_json_is_documented_and_has_a_version() {
    let stage = Stage::new();
    let page = std::fs::read_to_string(root().join("docs/formats/json.md")).expect("docs/formats/json.md");
    let subject = "subjects: {namespaces: {selector: {matchLabels: {zone: agents}}, exclusive: true}, pods: {matchLabels: {a: b}}, unmatched: Allow}";
    stage.write(
        "wrong.yaml",
        &format!("apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: x-1.0.0}}\nspec:\n  pack: x\n  version: 1.0.0\n  {subject}\n"),
    );
    let mut seen = BTreeSet::new();
    for (args, ends) in [
        (&["check", "--format", "json", "wrong.yaml"][..], 3),
        (&["test", "--format", "json", PACK], 0),
        (&["compile", "--format", "json", PACK], 0),
        (&["compile", "--format", "json", PACK, "--check", "docs"], 3),
        (&["compile", "--format", "json", PACK, "--lock"], 0),
        (&["explain", "--format", "json", "BW0104"], 0),
    ] {
        let output = stage.run(args);
        assert_eq!(output.status.code(), Some(ends), "{}", printed(&output));
        let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
        assert_eq!(document["version"], 1, "{args:?}");
        members(&document, &mut seen);
    }
    assert!(seen.contains("related") && seen.contains("endColumn"), "{seen:?}");
    for member in seen {
        let (alone, within) = (format!("`{member}`"), format!(".{member}"));
        assert!(page.contains(&alone) || page.contains(&within), "docs/formats/json.md lacks `{member}`");
    }
    let lines = stage.shell(&format!(
        "bailiwick review {PACK} --format json --namespaces {PACK}/tests/cluster/namespaces.yaml -f {PACK}/tests/pods/good.yaml -f {PACK}/tests/pods/token.yaml"
    ));
    let text = String::from_utf8_lossy(&lines.stdout).into_owned();
    let reviews = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let verdicts: Vec<_> =
        reviews.map(|review| (review["apiVersion"].clone(), review["response"]["allowed"].clone())).collect();
    let version = Value::from("admission.k8s.io/v1");
    assert_eq!(verdicts, [(version.clone(), true.into()), (version, false.into())], "{text}");
}
