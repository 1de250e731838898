//! `bailiwick audit` on logs that the executor's writer wrote.

use bailiwick_audit::{Entry, Event, Mode, Options, Pending, Writer};
use bailiwick_policy::tool::Change;
use serde_json::{Value, json};

use crate::book::{Book, compiled, intend, shell};
use crate::stage::{Stage, printed};

/// A log with one call that ran and one that was denied, its key, and its last checkpoint.
fn log(stage: &Stage, seal: bool) -> (String, String) {
    let options = Options { segment_bytes: 64 * 1024, ..Options::default() };
    let writer = Writer::open(&stage.path("log"), &options).expect("a log").0;
    let entry = |call: &str| Entry {
        time_ms: Some(1_764_076_601_123),
        call: Some(call.to_owned()),
        tool: Some("shell.exec".to_owned()),
        arguments: Some(json!({"command": "git status \u{1b}[2J"})),
        facts: Some(json!({"programs": ["git"]})),
        rules: Some(json!(["read-only-git"])),
        effect: Some("allow".to_owned()),
        ..Entry::default()
    };
    let recorded = intend(&writer, entry("call-1"));
    let outcome = Some(json!({"Exited": {"code": 0}}));
    let ended = Entry { call: Some("call-1".to_owned()), outcome, ..Entry::default() };
    writer.begin_result(recorded.at(), ended).and_then(Pending::wait).expect("a result");
    let denied = Entry { effect: Some("deny".to_owned()), values: Mode::Drop, ..entry("call-2") };
    writer.append(Event::Decision, denied).expect("a decision");
    let key = writer.log_key();
    let note = if seal { writer.seal("drain") } else { writer.checkpoint() };
    (key, note.expect("a note").to_string())
}

fn verify(stage: &Stage, more: &[&str]) -> (Option<i32>, Value) {
    let args = [&["audit", "verify", "log", "--format", "json"], more].concat();
    let output = stage.run(&args);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn a_sealed_log_is_intact_only_with_something_known_from_elsewhere() {
    let stage = Stage::new();
    let (key, note) = log(&stage, true);
    stage.write("key", &key);
    stage.write("note", &note);
    let (code, report) = verify(&stage, &[]);
    assert_eq!((code, &report["status"]), (Some(6), &json!("incomplete")));
    for known in [["--log-key", &key], ["--log-key", "key"], ["--pinned", "note"]] {
        assert_eq!(verify(&stage, &known).0, Some(0), "{known:?}");
    }
    let id = report["log"].as_str().expect("an id").to_owned();
    assert_eq!(verify(&stage, &["--pinned", &id, "--pinned", "note", "--log-key", "key"]).0, Some(0));
    let other = "0".repeat(64);
    let (code, report) = verify(&stage, &["--pinned", &other]);
    assert_eq!((code, &report["damage"]["kind"]), (Some(4), &json!("other-log")));
    assert_eq!(stage.run(&["audit", "verify", "log", "--log-key", "nonsense"]).status.code(), Some(1));
    assert_eq!(stage.run(&["audit", "verify", "policy-packs"]).status.code(), Some(1));
}

#[test]
fn an_open_log_ends_with_6_and_a_changed_one_with_4_and_the_record() {
    let stage = Stage::new();
    let (key, _) = log(&stage, false);
    assert_eq!(verify(&stage, &["--log-key", &key]).0, Some(6));
    let path = stage.path("log/segments/00000001.jsonl");
    let text = std::fs::read_to_string(&path).expect("the segment");
    std::fs::write(&path, text.replacen("read-only-git", "read-only-gut", 1)).expect("it is written");
    let (code, report) = verify(&stage, &["--log-key", &key]);
    assert_eq!((code, &report["damage"]["seq"]), (Some(4), &json!(2)), "{report}");
    let human = printed(&stage.run(&["audit", "verify", "log", "--log-key", &key]));
    assert!(human.contains("first bad record: 2") && human.contains("damage: line"), "{human}");
}

#[test]
fn inspect_shows_a_call_from_facts_to_outcome_and_no_control_character() {
    let stage = Stage::new();
    log(&stage, false);
    let output = stage.run(&["audit", "inspect", "log", "call-1"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let order: Vec<_> = ["arguments", "facts", "rules", "effect", "result", "outcome"]
        .iter()
        .map(|word| text.find(word).unwrap_or_else(|| panic!("no `{word}` in\n{text}")))
        .collect();
    assert!(order.is_sorted(), "{text}");
    assert!(text.contains("2025-11-25T13:16:41.123Z") && text.contains("git status"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let by_number = printed(&stage.run(&["audit", "inspect", "log", "4"]));
    assert!(by_number.contains("call-2") && by_number.contains("(not kept)"), "{by_number}");
    std::fs::remove_dir_all(stage.path("log/disclosures")).expect("openings");
    let gone = printed(&stage.run(&["audit", "inspect", "log", "call-1"]));
    assert!(gone.contains("only the commitment") && !gone.contains("git status"), "{gone}");
    assert_eq!(stage.run(&["audit", "inspect", "log", "nobody"]).status.code(), Some(1));
}

#[test]
fn inspect_gives_the_damage_of_a_log_as_json_too() {
    let stage = Stage::new();
    log(&stage, true);
    let path = stage.path("log/segments/00000001.jsonl");
    let text = std::fs::read_to_string(&path).expect("the segment");
    std::fs::write(&path, text.replacen("\"deny\"", "\"demy\"", 1)).expect("it is written");
    let output = stage.run(&["audit", "inspect", "log", "call-1", "--format", "json"]);
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str()).collect();
    assert_eq!(kinds, [Some("intent"), Some("result"), None], "{text}");
    let damage = &lines[2]["damage"];
    assert_eq!((&damage["kind"], &damage["seq"]), (&json!("line"), &json!(4)), "{text}");
}

#[test]
fn a_proof_shows_one_call_and_nothing_that_the_log_does_not_hold() {
    let stage = Stage::new();
    let (key, note) = log(&stage, true);
    stage.write("note", &note);
    // What opens nothing is not passed on, and keeps no proof from holding.
    let openings = stage.path("log/disclosures/00000001.jsonl");
    let text = std::fs::read_to_string(&openings).expect("openings");
    let line = text.lines().find(|line| line.contains("git status")).expect("the arguments").to_owned();
    let forged = line.replace("git status", "git secret");
    let unknown = line.replace("\"arguments\"", "\"unknown\"");
    let beside = text.replacen(&line, &format!("{forged}\n{line}\n{line}\n{unknown}"), 1);
    std::fs::write(&openings, beside).expect("it is written");
    let proven = stage.run(&["audit", "prove", "log", "call-1", "--checkpoint", "note"]);
    let proof = String::from_utf8(proven.stdout).expect("UTF-8");
    assert_eq!((proven.status.code(), proof.lines().count()), (Some(0), 2), "its intent and its result");
    assert!(!proof.contains("call-2"), "{proof}");
    let check = |proof: &str, note: &str| {
        stage.write("proof", proof);
        stage.write("own", note);
        let output = stage.run(&["audit", "check-proof", "proof", "--checkpoint", "own"]);
        (output.status.code(), printed(&output))
    };
    let (code, said) = check(&proof, &note);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("git status") && said.contains("\"code\":0"), "{said}");
    assert_eq!(proof.matches("git status").count(), 1, "{proof}");
    assert!(!proof.contains("git secret") && !proof.contains("unknown"), "{proof}");
    assert!(said.contains("who signed the checkpoint was not checked"), "{said}");
    let signed = |key: &str| {
        let output = stage.run(&["audit", "check-proof", "proof", "--checkpoint", "own", "--log-key", key]);
        (output.status.code(), printed(&output))
    };
    let (code, said) = signed(&key);
    assert!(code == Some(0) && !said.contains("not checked"), "{said}");
    let (code, said) = signed(&log(&Stage::new(), true).0);
    assert!(code == Some(4) && said.contains("no signature by the key"), "{said}");
    let first: Value = serde_json::from_str(proof.lines().next().expect("a line")).expect("JSON");
    let changed = |member: &str, value: Value| {
        let mut changed = first.clone();
        changed[member] = value;
        changed.to_string()
    };
    let line = first["line"].as_str().expect("a line");
    let mut hashes = first["hashes"].clone();
    hashes[0] = json!("0".repeat(64));
    let mut openings = first["openings"].clone();
    openings[0]["text"] = json!("{}");
    for (what, proof) in [
        ("record", changed("line", json!(line.replace("call-1", "call-2")))),
        ("place", changed("seq", json!(first["seq"].as_u64().expect("a number") + 1))),
        ("path", changed("hashes", hashes)),
        ("value", changed("openings", openings)),
        ("log", changed("origin", json!("another"))),
    ] {
        let (code, said) = check(&proof, &note);
        assert_eq!(code, Some(4), "{what}: {said}");
    }
    let other = Stage::new();
    let (code, said) = check(&proof, &log(&other, true).1);
    assert_eq!(code, Some(4), "another log's checkpoint: {said}");
    assert_eq!(check("", &note).0, Some(1), "no proof");
}

/// A record that withholds a label from its session would keep later calls from being denied by that label.
#[test]
fn replay_notices_that_a_result_should_have_labelled_its_session() {
    let confidential = ("CONFIDENTIAL", "Q09ORklERU5USUFM");
    let ended = |tell: &dyn Fn(Vec<Change>) -> Vec<Change>| {
        let stage = Stage::new();
        let bundle = compiled(&stage, &["docs/guide/tool-calls"], "dist");
        let mut book = Book::new(&stage, &bundle, Mode::Plain);
        book.open("s");
        book.gave("s", ("one", "shell.exec", &shell("cat notes.txt")), confidential, tell);
        book.seal();
        let output = stage.run(&["audit", "replay", "log", "--bundle", &bundle]);
        (output.status.code(), printed(&output))
    };
    let (code, said) = ended(&|labels| {
        assert_eq!(labels.len(), 1, "the result adds a label");
        labels
    });
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = ended(&|_| Vec::new());
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("decided otherwise") && said.contains("notes/secret"), "{said}");
}
