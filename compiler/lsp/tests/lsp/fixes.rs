//! Quick fixes: each is applied, and then the finding is gone.

use serde_json::{Value, json};

use crate::stage::{PACK, Stage, applied, codes};

/// Opens a text, applies the only fix offered for a code, and returns the text and its findings.
fn fixed(text: &str, code: &str) -> (String, Vec<Value>) {
    let mut stage = Stage::new();
    let found = stage.open("pack.yaml", text);
    let finding =
        found.iter().find(|one| one["code"] == code).unwrap_or_else(|| panic!("no {code}: {found:?}"));
    let uri = stage.uri("pack.yaml");
    let params = json!({
        "textDocument": { "uri": uri }, "range": finding["range"], "context": { "diagnostics": [finding], "only": ["quickfix"] },
    });
    let actions = stage.client.result("textDocument/codeAction", params);
    let of_code = |action: &&Value| action["diagnostics"][0]["code"] == code;
    let action =
        actions.as_array().unwrap().iter().find(of_code).unwrap_or_else(|| panic!("no fix of {finding}"));
    let edits = action["edit"]["changes"][&uri].as_array().expect("edits").clone();
    let text = applied(text, &edits);
    let found = stage.change("pack.yaml", &text);
    (text, found)
}

#[test]
fn each_kind_of_fix_takes_its_finding_away() {
    for (right, wrong, code) in [
        ("    limits:", "    limts:", "BW0104"),
        ("exclusive: true", "exclusiv: true", "BW0104"),
        ("backend: Native", "backend: Nativ", "BW0109"),
        ("backend: Native", "backend: \"Nativ\"", "BW0109"),
        ("pool: warm", "pool: warn", "BW0407"),
        ("pool: warm", "pool: 'warn'", "BW0407"),
        ("run: {sandbox: shell", "run: {sandbox: shel", "BW0406"),
        ("counter: calls", "counter: cals", "BW0228"),
        ("{arg: command}]}", "{arg: comand}]}", "BW0423"),
        ("resources: [pods]", "resources: [pod]", "BW0226"),
        ("variables.large.size() == 0", "variables.lage.size() == 0", "BW0303"),
        ("variables.large.size() == 0", "large.size() == 0", "BW0303"),
        ("variables.large.size() == 0", "object.spec.hostNetwrk == false", "BW0303"),
        ("\"${memory}\"", "\"${memry}\"", "BW0202"),
        ("{name: sample-1.0.0}", "{name: smple-1.0.0}", "BW0115"),
        ("{name: sample-1.0.0}", "{}", "BW0108"),
        ("apiVersions: [v1], ", "", "BW0108"),
        ("value: /bin/bash", "value: 7", "BW0107"),
        ("max: 20", "max: \"20\"", "BW0107"),
        (
            "argv: [{value: /bin/bash}, {value: -c}, {value: \"--\"}, {arg: command}]",
            "argv: {arg: command}",
            "BW0107",
        ),
    ] {
        assert!(PACK.contains(right), "{right}");
        let text = PACK.replacen(right, wrong, 1);
        // Line ends matter where lines are inserted; one of each other kind is enough.
        let other_ends = matches!(code, "BW0108" | "BW0407").then(|| text.replace('\n', "\r\n"));
        for text in [Some(text.clone()), other_ends].into_iter().flatten() {
            let (done, found) = fixed(&text, code);
            assert!(!codes(&found).contains(&code), "{wrong}: {found:?}\n{done}");
        }
    }
}

#[test]
fn a_field_that_is_missing_is_put_in_by_lines_too() {
    let (text, found) = fixed(&PACK.replace("  pack: sample\n", ""), "BW0108");
    assert!(text.contains("spec:\n  pack: \"\"\n  version"), "{text}");
    assert!(!codes(&found).contains(&"BW0108"), "{found:?}");
    let (text, _) = fixed(&PACK.replace("  - name: shell\n    pool: warm\n", "  - pool: warm\n"), "BW0108");
    assert!(text.contains("  - name: \"\"\n    pool: warm\n"), "{text}");
}

#[test]
fn a_lock_is_written_anew() {
    let mut stage = Stage::new();
    stage.write("../base/pack.yaml", &PACK.replace("sample", "base"));
    let child = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: sample-1.0.0}\nspec:\n  pack: sample\n  version: 1.0.0\n  extends: [{name: base, version: \"^1\"}]\n";
    let found = stage.open("pack.yaml", child);
    let finding = found.iter().find(|one| one["code"] == "BW0209").unwrap_or_else(|| panic!("{found:?}"));
    let params = json!({
        "textDocument": { "uri": stage.uri("pack.yaml") }, "range": finding["range"], "context": { "diagnostics": [] },
    });
    let actions = stage.client.result("textDocument/codeAction", params);
    let action =
        actions.as_array().unwrap().iter().find(|one| one["title"] == "Write pack.lock anew").unwrap();
    let changes = action["edit"]["documentChanges"].as_array().unwrap();
    assert_eq!(changes[0]["kind"], "create");
    assert_eq!(changes[0]["uri"], stage.uri("pack.lock"));
    stage.write("pack.lock", changes[1]["edits"][0]["newText"].as_str().unwrap());
    let found = stage.change("pack.yaml", child);
    assert!(!codes(&found).contains(&"BW0209"), "{found:?}");
}

#[test]
fn what_has_no_single_remedy_has_no_fix() {
    let mut stage = Stage::new();
    let text = PACK.replace("wallClock: 30s", "wallClock: soon");
    let found = stage.open("pack.yaml", &text);
    assert_eq!(codes(&found), ["BW0110"], "{found:?}");
    let params = json!({
        "textDocument": { "uri": stage.uri("pack.yaml") }, "range": found[0]["range"], "context": { "diagnostics": found },
    });
    assert_eq!(stage.client.result("textDocument/codeAction", params), json!([]));
}
