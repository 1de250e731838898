//! Output for other programs: SARIF, JUnit, workflow commands, several of them from one run, and completions.

use serde_json::Value;

use crate::stage::{Stage, printed, root};

const TYPO: &str = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec:\n  pack: x\n  version: 1.0.0\n  isolaton: {serviceAccountToken: Forbidden}\n";

/// A pack with a warning and two errors of its own, one of them in a rule of the pack that it extends.
fn faulty(stage: &Stage) {
    stage.write("packs/typo, 100%/pack.yaml", TYPO);
    let pack = |name: &str, rest: &str| {
        format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: {name}-1.0.0}}\nspec:\n  pack: {name}\n  version: 1.0.0\n{rest}"
        )
    };
    stage.write(
        "packs/base/pack.yaml",
        &pack("base", "  isolation: {podSecurity: {level: Restricted, version: v1.36}}\n"),
    );
    let mine = "  extends: [{name: base, version: \"^1.0\"}]\n  isolation: {podSecurity: {level: Baseline, version: v1.36}}\n";
    stage.write("packs/mine/pack.yaml", &pack("mine", mine));
    assert!(stage.run(&["compile", "--lock", "packs/mine"]).status.success());
}

fn read(stage: &Stage, name: &str) -> String {
    std::fs::read_to_string(stage.path(name)).expect(name)
}

#[test]
fn one_run_writes_every_report_and_they_agree() {
    let stage = Stage::new();
    faulty(&stage);
    let run = |out: &str| {
        stage.run(&[
            "check",
            "packs/typo, 100%",
            "packs/mine",
            "--format",
            "sarif",
            "--output",
            &format!("{out}/a.sarif"),
            "--format",
            "junit",
            "--output",
            &format!("{out}/a.xml"),
            "--format",
            "json",
            "--output",
            &format!("{out}/a.json"),
            "--format",
            "github",
        ])
    };
    let output = run("one");
    assert_eq!(output.status.code(), Some(3), "{}", printed(&output));
    let json: Value = serde_json::from_str(&read(&stage, "one/a.json")).expect("JSON");
    let of_packs = json["packs"].as_array().expect("packs").iter();
    let found: Vec<&Value> =
        of_packs.flat_map(|pack| pack["diagnostics"].as_array().expect("diagnostics")).collect();
    let codes: Vec<&str> = found.iter().map(|one| one["code"].as_str().expect("a code")).collect();
    assert_eq!(codes, ["BW0104", "BW0227"], "{json}");

    let sarif: Value = serde_json::from_str(&read(&stage, "one/a.sarif")).expect("JSON");
    let results = sarif["runs"][0]["results"].as_array().expect("results");
    let rules = &sarif["runs"][0]["tool"]["driver"]["rules"];
    for (result, code) in results.iter().zip(&codes) {
        assert_eq!(result["ruleId"], *code);
        let index =
            result["ruleIndex"].as_u64().and_then(|index| usize::try_from(index).ok()).expect("an index");
        assert_eq!(rules[index]["id"], *code);
    }
    assert_eq!(results.len(), codes.len());

    let xml = read(&stage, "one/a.xml");
    assert!(xml.contains(r#"tests="2" skipped="0" failures="2" errors="0""#), "{xml}");
    let annotations = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(annotations.lines().count(), 2, "{annotations}");

    run("two");
    let same = stage.shell("diff -r one two");
    assert!(same.status.success(), "the same findings gave other bytes: {}", printed(&same));
}

#[test]
fn sarif_points_at_the_text_and_at_what_it_contradicts() {
    let stage = Stage::new();
    faulty(&stage);
    let output = stage.run(&["check", "packs/typo, 100%", "packs/mine", "--format", "sarif"]);
    let sarif: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(
        (&sarif["version"], &sarif["runs"][0]["columnKind"]),
        (&"2.1.0".into(), &"unicodeCodePoints".into())
    );
    let results = &sarif["runs"][0]["results"];
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "packs/typo%2C%20100%25/pack.yaml");
    assert_eq!(
        place["region"],
        serde_json::json!({"startLine": 7, "startColumn": 3, "endLine": 7, "endColumn": 11})
    );
    assert_eq!(results[0]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"], "spec.isolaton");
    assert!(
        results[0]["message"]["text"].as_str().is_some_and(|text| text.contains("did you mean `isolation`?"))
    );
    // A ceiling of the extended pack, in its own file and at its own place.
    let related = &results[1]["relatedLocations"][0]["physicalLocation"];
    assert_eq!(related["artifactLocation"]["uri"], "packs/base/pack.yaml");
    assert_eq!(related["region"]["startLine"], 7);
}

/// Validated against the schema of the standard, from an npm package, with Python's `jsonschema`.
#[test]
fn sarif_is_valid_by_its_schema() {
    let (schema, python) = (root().join("target/sarif/schema.json"), root().join("target/sarif/bin/python"));
    if !schema.is_file() || !python.is_file() {
        assert!(std::env::var_os("CI").is_none(), "`make setup` fetches the schema of SARIF");
        eprintln!("SKIPPED: there is no {}; `make setup` fetches it", schema.display());
        return;
    }
    let stage = Stage::new();
    faulty(&stage);
    let log = stage.run(&[
        "check",
        "packs/typo, 100%",
        "packs/mine",
        "policy-packs/restricted-agent",
        "--format",
        "sarif",
    ]);
    std::fs::write(stage.path("good.sarif"), &log.stdout).expect("the log can be written");
    let text = String::from_utf8_lossy(&log.stdout).into_owned();
    std::fs::write(stage.path("bad.sarif"), text.replace("startLine", "beginLine"))
        .expect("the log can be written");
    let judge = |log: &str| {
        stage.shell(&format!(
            "'{}' -c 'import json,sys,jsonschema; s,d=[json.load(open(f)) for f in sys.argv[1:]]; jsonschema.Draft7Validator(s).validate(d)' '{}' {log}",
            python.display(),
            schema.display()
        ))
    };
    let good = judge("good.sarif");
    assert!(good.status.success(), "{}", printed(&good));
    assert!(!judge("bad.sarif").status.success(), "the schema takes anything");
}

#[test]
fn no_text_of_a_pack_gives_the_runner_a_command() {
    let stage = Stage::new();
    // As a double-quoted scalar: line feeds, and what ends a property.
    let hostile = r"a\n::set-output name=x::owned\r\n::error file=f,line=1::b%0Ac";
    stage.write("hostile/pack.yaml", &TYPO.replace("isolaton:", &format!("\"{hostile}\":")));
    let output = stage.run(&["check", "hostile", "--format", "github"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("::error file=hostile/pack.yaml,line=7,endLine=7,col=3,endColumn="), "{said}");
    assert!(said.contains("a%0A::set-output name=x::owned%0D%0A::error file=f,line=1::b%250Ac"), "{said}");

    faulty(&stage);
    let output = stage.run(&["check", "packs/typo, 100%", "--format", "github"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let whole = "::error file=packs/typo%2C 100%25/pack.yaml,line=7,endLine=7,col=3,endColumn=11,title=BW0104 unknown field::\
                 unknown field `isolaton`%0Aspec.isolaton%0Ahelp: did you mean `isolation`?\n";
    assert_eq!(said, whole);
}

#[test]
fn junit_fails_where_the_command_does() {
    let stage = Stage::new();
    let pack = "policy-packs/restricted-agent";
    stage.write(
        &format!("{pack}/tests/wrong.yaml"),
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: w}\nspec:\n  cases:\n  \
         - {name: \"a < b & c\", admission: {object: {file: pods/root.yaml}}, expect: {allowed: true}}\n  \
         - {name: fine, admission: {object: {file: pods/root.yaml}}, expect: {allowed: false}}\n",
    );
    stage.write(
        &format!("{pack}/tests/zvacuous.yaml"),
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: v}\nspec:\n  cases:\n  \
         - {name: a config map, admission: {object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}}, expect: {allowed: true}}\n",
    );
    stage.write("typo/pack.yaml", TYPO);
    stage.write(
        "typo/tests/t.yaml",
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec: {cases: [{name: a, admission: {object: {}}, expect: {allowed: true}}]}\n",
    );
    let output = stage.run(&["test", "--format", "junit", pack, "typo"]);
    assert_eq!(output.status.code(), Some(3), "{}", printed(&output));
    let xml = String::from_utf8_lossy(&output.stdout).into_owned();
    let suite = |name: &str| {
        let (_, rest) = xml
            .split_once(&format!("<testsuite name=\"{name}\""))
            .unwrap_or_else(|| panic!("no {name}: {xml}"));
        rest.split("</testsuite>").next().unwrap_or_default().to_owned()
    };
    let wrong = suite(&format!("{pack}/tests/wrong.yaml"));
    assert!(wrong.contains(r#"tests="2" skipped="0" errors="0" failures="1""#), "{wrong}");
    assert!(wrong.contains("a &lt; b &amp; c") && wrong.contains("expected to be allowed"), "{wrong}");
    assert!(suite(&format!("{pack}/tests/zvacuous.yaml")).contains(r#"type="vacuous""#), "{xml}");
    assert!(suite("typo").contains(r#"type="invalid""#), "{xml}");

    // Untried edits make the command exit with 6, and fail here too.
    let output = stage.run(&[
        "test",
        "--mutate",
        "--mutate-seconds",
        "0",
        "--format",
        "junit",
        "policy-packs/pod-security-restricted",
    ]);
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains(r#"type="unfinished""#) && said.contains("edits were not tried"), "{said}");

    // A warning fails only with `--deny-warnings`.
    let world = "spec:\n  pack: x\n  version: 1.0.0\n  network: {egress: [{name: all, to: {cidr: 0.0.0.0/0}, ports: [{port: 443, protocol: TCP}]}]}\n";
    let text = TYPO.split("spec:").next().unwrap_or_default();
    stage.write("risky/pack.yaml", &format!("{text}{world}"));
    for (args, failures, ends) in [
        (&["check", "risky", "--format", "junit"][..], "failures=\"0\"", 0),
        (&["check", "risky", "--deny-warnings", "--format", "junit"], "failures=\"1\"", 3),
    ] {
        let output = stage.run(args);
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(ends), "{said}");
        assert!(said.contains(failures) && said.contains("BW0701"), "{said}");
    }
}

#[test]
fn bash_completes_commands_and_their_words() {
    let stage = Stage::new();
    let line = |words: &str, at: usize| {
        let script = format!(
            "bailiwick completion bash > c && source ./c && COMP_WORDS=({words}) COMP_CWORD={at} && _bailiwick bailiwick \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{before}]}}\" && echo \"${{COMPREPLY[@]}}\"",
            before = at - 1
        );
        printed(&stage.shell(&script))
    };
    assert_eq!(line("bailiwick co", 1), "compile completion\n");
    assert_eq!(line("bailiwick check --format s", 3), "sarif\n");
    for shell in ["fish", "zsh", "elvish", "powershell"] {
        let script = printed(&stage.run(&["completion", shell]));
        assert!(script.contains("deny-warnings"), "{shell}: {script}");
    }
    assert_eq!(stage.run(&["completion", "csh"]).status.code(), Some(2));
}
