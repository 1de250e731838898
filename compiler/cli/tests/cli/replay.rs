//! `bailiwick replay`: recorded calls, decided under other packs.

use std::collections::BTreeSet;

use bailiwick_audit::Mode;
use serde_json::{Value, json};

use crate::book::{Book, compiled, shell};
use crate::json::members;
use crate::stage::{PACK, Stage, printed, root};

fn replayed(stage: &Stage, pack: &str) -> (Option<i32>, Value) {
    let args = ["replay", "--log", "log", "--library", "policy-packs", "--pack", pack, "--format", "json"];
    let output = stage.run(&args);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", printed(&output)));
    (output.status.code(), report)
}

/// A log of 30 calls in two sessions: throttled and denied calls, calls that need approval, and budgets that
/// are used.
fn log(stage: &Stage, values: Mode) -> String {
    let bundle = compiled(stage, &[PACK], "dist");
    let mut book = Book::new(stage, &bundle, values);
    for session in ["a", "b"] {
        book.open(session);
        let python = json!({"code": "print(1)"});
        for call in 0..12 {
            book.call(session, &format!("{session}-ls-{call}"), "shell.exec", &shell("ls /work"));
        }
        book.call(session, &format!("{session}-push"), "shell.exec", &shell("git push --force"));
        book.call(session, &format!("{session}-curl"), "shell.exec", &shell("curl example.org"));
        book.call(session, &format!("{session}-python"), "python.run", &python);
    }
    book.seal()
}

/// The pack with some texts replaced, under `next`.
pub(crate) fn edited(stage: &Stage, edits: &[(&str, &str)]) -> &'static str {
    let mut text = std::fs::read_to_string(stage.path(&format!("{PACK}/pack.yaml"))).expect("the pack");
    for (before, after) in edits {
        assert!(text.contains(before), "no `{before}` in the pack");
        text = text.replace(before, after);
    }
    stage.write("next/code-interpreter/pack.yaml", &text);
    let lock = std::fs::read_to_string(stage.path(&format!("{PACK}/pack.lock"))).expect("the lock");
    stage.write("next/code-interpreter/pack.lock", &lock);
    "next/code-interpreter"
}

#[test]
fn under_the_same_pack_nothing_changes_whatever_was_counted() {
    let stage = Stage::new();
    log(&stage, Mode::Commit);
    let (code, report) = replayed(&stage, PACK);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!((&report["replayed"], &report["unchanged"]), (&30.into(), &30.into()));
    assert_eq!((&report["changed"], &report["notReplayed"]), (&0.into(), &0.into()));
    // The log has throttled calls; otherwise this would prove little.
    let text = std::fs::read_to_string(stage.path("log/segments/00000001.jsonl")).expect("the segment");
    assert!(
        text.contains(r#""rule":"shell-rate","kind":"throttle","outcome":"applied""#) || throttles(&text),
        "{text}"
    );
}

fn throttles(text: &str) -> bool {
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let rules = records.flat_map(|record| record["rules"].as_array().cloned().unwrap_or_default());
    rules.into_iter().any(|rule| rule["rule"] == "shell-rate" && rule["outcome"] == "applied")
}

#[test]
fn another_pack_changes_exactly_the_verdicts_that_it_decides_otherwise() {
    let stage = Stage::new();
    log(&stage, Mode::Commit);
    let python = "    - {name: run-python, tools: [python.run], allow: {}}\n";
    let pack = edited(&stage, &[(python, "")]);
    let (code, report) = replayed(&stage, pack);
    assert_eq!((code, &report["changed"]), (Some(3), &2.into()), "{report:#}");
    let row = &report["changes"][0];
    assert_eq!(
        (&row["was"], &row["now"], &row["tool"]),
        (&"Allow".into(), &"Deny".into(), &"python.run".into())
    );
    assert_eq!((&row["count"], report["changes"].as_array().map(Vec::len)), (&2.into(), Some(1)));
    let human = printed(&stage.run(&["replay", "--log", "log", "--library", "policy-packs", "--pack", pack]));
    assert!(human.contains("28 unchanged, 2 changed, 0 not replayed"), "{human}");
}

/// The recorded policy allows 20 calls per minute, the other one 3 per session, by a counter that the record
/// does not know.
#[test]
fn what_only_the_other_pack_counts_is_counted_along_the_log() {
    let stage = Stage::new();
    log(&stage, Mode::Commit);
    let pack = edited(
        &stage,
        &[
            ("counters: [{name: shellCalls, window: 60s}]", "counters: [{name: fewer, scope: Session}]"),
            ("throttle: {counter: shellCalls, max: 20}", "throttle: {counter: fewer, max: 3}"),
        ],
    );
    let (code, report) = replayed(&stage, pack);
    assert_eq!(code, Some(3), "{report:#}");
    let calls = report["calls"].as_array().expect("calls");
    let changed: BTreeSet<&str> = calls.iter().filter_map(|call| call["call"].as_str()).collect();
    for session in ["a", "b"] {
        assert!(!changed.contains(format!("{session}-ls-2").as_str()), "{changed:?}");
        assert!(changed.contains(format!("{session}-ls-3").as_str()), "{changed:?}");
    }
    // A smaller budget is used up along the log as well.
    let pack = edited(&stage, &[("limit: 600, window: 1h", "limit: 31, window: 1h")]);
    let (code, report) = replayed(&stage, pack);
    assert_eq!(code, Some(0), "reservations are given back: {report:#}");
    let pack = edited(&stage, &[("limit: 600, window: 1h", "limit: 7, window: 1h")]);
    let (code, report) = replayed(&stage, pack);
    assert_eq!((code, &report["changes"][0]["now"]), (Some(3), &"Deny".into()), "{report:#}");
}

#[test]
fn what_cannot_be_shown_is_listed_and_ends_with_6_unless_something_changed() {
    let stage = Stage::new();
    log(&stage, Mode::Commit);
    std::fs::remove_dir_all(stage.path("log/disclosures")).expect("openings");
    let (code, report) = replayed(&stage, PACK);
    assert_eq!((code, &report["notReplayed"], &report["replayed"]), (Some(6), &30.into(), &0.into()));
    assert_eq!(report["missing"].as_array().map(Vec::len), Some(30));
    assert!(report["missing"][0]["why"].as_str().is_some_and(|why| why.contains("commitment")), "{report:#}");

    let stage = Stage::new();
    log(&stage, Mode::Drop);
    assert_eq!(replayed(&stage, PACK).0, Some(6));
}

/// A call that ran and cannot be counted leaves every later tally unknown, unless the packs are those of the
/// record.
#[test]
fn nothing_is_said_of_calls_after_one_that_cannot_be_counted() {
    let stage = Stage::new();
    log(&stage, Mode::Commit);
    let path = stage.path("log/disclosures/00000001.jsonl");
    let text = std::fs::read_to_string(&path).expect("the openings");
    let seq = |line: &str| serde_json::from_str::<Value>(line).expect("an opening")["seq"].as_u64();
    let of_calls = text.lines().filter(|line| line.contains("\"inputs\\\""));
    let first = of_calls.filter_map(seq).min().expect("an opening of inputs");
    let kept = text.lines().filter(|line| seq(line) != Some(first)).map(|line| format!("{line}\n"));
    std::fs::write(&path, kept.collect::<String>()).expect("they are written");
    let (code, report) = replayed(&stage, PACK);
    assert_eq!(
        (code, &report["replayed"], &report["notReplayed"]),
        (Some(6), &29.into(), &1.into()),
        "{report:#}"
    );
    let pack = edited(&stage, &[("max: 20", "max: 5")]);
    let (code, report) = replayed(&stage, pack);
    assert_eq!(
        (code, &report["replayed"], &report["notReplayed"]),
        (Some(6), &0.into(), &30.into()),
        "{report:#}"
    );
    assert!(
        report["missing"][1]["why"].as_str().is_some_and(|why| why.contains("counts under")),
        "{report:#}"
    );
}

#[test]
fn a_log_that_was_changed_is_not_replayed() {
    let stage = Stage::new();
    let key = log(&stage, Mode::Plain);
    assert_eq!(replayed(&stage, PACK).0, Some(0));
    let with_key = |key: &str| stage.run(&["replay", "--log", "log", "--log-key", key, "--pack", PACK]);
    assert_eq!(with_key(&key).status.code(), Some(0), "{}", printed(&with_key(&key)));
    // Of RFC 8032, 7.1.
    let other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(with_key(other).status.code(), Some(4), "another log's key");
    let path = stage.path("log/segments/00000001.jsonl");
    let text = std::fs::read_to_string(&path).expect("the segment");
    std::fs::write(&path, text.replacen("git push", "git pull", 1)).expect("it is written");
    let (code, report) = replayed(&stage, PACK);
    assert_eq!(
        (code, &report["log"]["status"], &report["replayed"]),
        (Some(4), &"tampered".into(), &0.into())
    );
    assert_eq!(stage.run(&["replay", "--log", "docs", "--pack", PACK]).status.code(), Some(1));
}

#[test]
fn every_member_of_the_report_is_documented() {
    let stage = Stage::new();
    log(&stage, Mode::Commit);
    let page = std::fs::read_to_string(root().join("docs/formats/json.md")).expect("docs/formats/json.md");
    let pack = edited(&stage, &[("max: 20", "max: 5")]);
    let mut seen = BTreeSet::new();
    members(&replayed(&stage, pack).1, &mut seen);
    std::fs::remove_dir_all(stage.path("log/disclosures")).expect("openings");
    members(&replayed(&stage, pack).1, &mut seen);
    assert!(seen.contains("message") && seen.contains("why"), "{seen:?}");
    for member in seen {
        let (alone, within) = (format!("`{member}`"), format!(".{member}`"));
        assert!(page.contains(&alone) || page.contains(&within), "docs/formats/json.md lacks `{member}`");
    }
}
