//! Findings: those of `bailiwick check`, for the text in the editor, at the places where the editor draws
//! them.

use bailiwick_lsp::position::Lines;
use serde_json::{Value, json};

use crate::client::Client;
use crate::stage::{PACK, Stage, codes, opened, shipped, uri};

#[test]
fn every_shipped_pack_opens_without_a_finding() {
    let packs = shipped();
    let mut client = Client::of(&json!([opened(packs[0].parent().unwrap())]));
    let mut count = 0;
    for pack in packs {
        let tests = std::fs::read_dir(pack.join("tests")).unwrap().map(|entry| entry.unwrap().path());
        let files = tests.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        for path in files.chain([pack.join("pack.yaml")]) {
            let text = std::fs::read_to_string(&path).unwrap();
            let document = json!({ "uri": uri(&path), "languageId": "yaml", "version": 1, "text": text });
            client.tell("textDocument/didOpen", json!({ "textDocument": document }));
            assert_eq!(client.findings(&uri(&path), 1), [] as [Value; 0], "{}", path.display());
            count += 1;
        }
    }
    assert!(count > 6, "{count} files");
    assert!(client.end().success());
}

#[test]
fn the_findings_of_an_unsaved_text_are_those_of_check() {
    let of_meaning = PACK.replace("pool: warm", "pool: wram").replace("counter: calls", "counter: cals");
    let of_form = PACK.replace("exclusive", "exclusiv").replace("backend: Native", "backend: 7");
    let of_nothing = PACK.replace("spec:", "spec: [").to_owned();
    let mut stage = Stage::new();
    for (text, code) in [(of_meaning, "BW0407"), (of_form, "BW0107"), (of_nothing, "BW0101")] {
        let found = stage.open("pack.yaml", &text);
        let sources = bailiwick_compiler::source::PackSources::single(text.as_str());
        let library = bailiwick_compiler::library::MemoryLibrary::default();
        let compiled = bailiwick_compiler::compile(&[(&sources, Default::default())], &library);
        let lines = Lines::of(&text);
        let expected: Vec<Value> = compiled
            .all()
            .map(|one| {
                let range = lines.span(&text, &one.place.as_ref().unwrap().bytes);
                json!([one.code.id(), format!("{}\nhelp: {}", one.message, one.help), range])
            })
            .collect();
        let got: Vec<Value> =
            found.iter().map(|one| json!([one["code"], one["message"], one["range"]])).collect();
        assert!(codes(&found).contains(&code), "{found:?}");
        assert_eq!(got, expected);
    }
}

#[test]
fn places_are_counted_in_utf_16_whatever_the_line_ends_and_the_byte_order_mark() {
    let text = PACK.replace("description: What a call may use.", "description: 'ä😀', oops: 1");
    for written in [text.clone(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        let mut stage = Stage::new();
        let found = stage.open("pack.yaml", &written);
        let finding = found.iter().find(|one| one["code"] == "BW0104").unwrap_or_else(|| panic!("{found:?}"));
        let line = written.lines().nth(7).unwrap();
        let (before, _) = line.split_once("oops").unwrap();
        let units = before.encode_utf16().count();
        assert_eq!(finding["range"]["start"], json!({ "line": 7, "character": units }), "{finding}");
        assert_eq!(finding["range"]["end"], json!({ "line": 7, "character": units + 4 }), "{finding}");
    }
}

#[test]
fn the_whole_folder_counts_and_every_file_has_its_own_findings() {
    let mut stage = Stage::new();
    let head =
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: sample-1.0.0}\nspec:\n";
    let fragment = format!("{head}  sandboxes:\n  - name: shell\n    pool: warm\n");
    stage.write("more.yaml", &fragment);
    stage.write("rego/rules.rego", "package x\n");
    let test = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec:\n  cases:\n  - {name: a, toolcall: {}, expect: {effect: Deny}}\n";
    stage.write("tests/a.yaml", test);
    stage.open("pack.yaml", PACK);
    let (fragment_uri, test_uri) = (stage.uri("more.yaml"), stage.uri("tests/a.yaml"));
    let found = stage.client.until("findings of files that are not open", |client| {
        let of = |uri: &str| Some(client.published.get(uri)?["diagnostics"].as_array()?.clone());
        Some((of(&fragment_uri)?, of(&test_uri)?))
    });
    assert!(codes(&found.0).contains(&"BW0201"), "{found:?}");
    let first = &found.0[0]["relatedInformation"][0];
    assert_eq!(first["location"]["uri"], stage.uri("pack.yaml"), "where it stands already");
    assert!(codes(&found.1).contains(&"BW0104"), "{found:?}");
    // The text in the editor counts, not the file.
    stage.open("more.yaml", &head.replace("spec:", "spec: {}"));
    stage.client.until("the clash to be gone", |client| {
        client.published[&fragment_uri]["diagnostics"].as_array().unwrap().is_empty().then_some(())
    });
}

#[test]
fn what_is_wrong_with_a_parent_is_said_where_it_is_extended() {
    let mut stage = Stage::new();
    let base = PACK.replace("sample", "base").replace("pool: warm", "pool: cold");
    stage.write("../base/pack.yaml", &base);
    let child = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: sample-1.0.0}\nspec:\n  pack: sample\n  version: 1.0.0\n  extends: [{name: base, version: \"^1\"}]\n";
    let found = stage.open("pack.yaml", child);
    assert!(codes(&found).contains(&"BW0209"), "{found:?}");
    // Once the pack is locked, the parent's errors are visible; they disappear when the parent's unsaved text
    // is right.
    let sources = bailiwick_compiler::source::PackSources::single(child);
    let mut library = bailiwick_compiler::library::MemoryLibrary::default();
    library.add(bailiwick_compiler::source::PackSources::single(base.as_str()));
    let lock = bailiwick_compiler::resolve::make_lock(&sources, &library).0.expect("a lock");
    stage.write("pack.lock", &lock);
    let found = stage.change("pack.yaml", child);
    let finding = found.iter().find(|one| one["code"] == "BW0407").unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(finding["range"]["start"]["line"], 6, "{finding}");
    assert_eq!(finding["relatedInformation"][0]["location"]["uri"], stage.uri("../base/pack.yaml"));
}

#[test]
fn the_last_version_wins() {
    let mut stage = Stage::new();
    assert_eq!(stage.open("pack.yaml", PACK), [] as [Value; 0]);
    let wrong = PACK.replace("pool: warm", "pool: wram");
    for round in 0..40 {
        stage.edit("pack.yaml", &[json!({ "text": if round % 2 == 0 { &wrong } else { PACK } })]);
    }
    let last = stage.edit("pack.yaml", &[json!({ "text": wrong })]);
    let uri = stage.uri("pack.yaml");
    assert!(codes(&stage.client.findings(&uri, last)).contains(&"BW0407"));
}

#[test]
fn a_document_that_is_closed_is_as_on_the_disk_and_a_pack_that_is_closed_says_nothing() {
    let mut stage = Stage::new();
    let wrong = PACK.replace("pool: warm", "pool: wram");
    assert!(!stage.open("pack.yaml", &wrong).is_empty());
    let uri = stage.uri("pack.yaml");
    stage.client.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    stage.client.until("the findings to be taken back", |client| {
        client.published[&uri]["diagnostics"].as_array().unwrap().is_empty().then_some(())
    });
}

#[test]
fn changes_are_applied_in_their_order_and_places() {
    let mut stage = Stage::new();
    stage.open("pack.yaml", &PACK.replace("description: What", "description: 😀 What"));
    // The first line becomes longer by a word, which is then removed; after the emoji, something else is
    // inserted.
    let at = |line: u32, from: u32, to: u32, text: &str| {
        let place = |character: u32| json!({ "line": line, "character": character });
        json!({ "range": { "start": place(from), "end": place(to) }, "text": text })
    };
    let line = PACK.lines().nth(7).unwrap();
    let face = u32::try_from(line.find("What").unwrap()).unwrap();
    let changes = [at(0, 0, 0, "# x\n"), at(0, 0, 3, ""), at(8, face, face + 3, "äö"), at(4, 0, 4, "speck")];
    let version = stage.edit("pack.yaml", &changes);
    let uri = stage.uri("pack.yaml");
    let found = stage.client.findings(&uri, version);
    let finding = found.iter().find(|one| one["code"] == "BW0104").unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(finding["range"]["start"], json!({ "line": 4, "character": 0 }));
    assert_eq!(codes(&found), ["BW0104", "BW0108"], "{found:?}");
}
