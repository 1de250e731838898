//! Lines that try to slip past rules, and lines that people write: what is known of each.
//!
//! A line of a corpus is its kind, its facts and the text as a JSON string, with tabs between. `UPDATE_EXPECT=1` writes the facts anew; read
//! the difference.

#[path = "facts/oracle.rs"]
mod oracle;
#[path = "facts/readers.rs"]
mod readers;
#[path = "facts/render.rs"]
mod render;

use std::path::PathBuf;

use bailiwick_policy::facts::shell::{self, Args, Shell};
use bailiwick_policy::facts::{Fact, git, path, url};
use oracle::{Oracle, STUBS, assert_explained};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use readers::{assert_realpath_agrees, assert_whatwg_agrees};
use render::render;

/// What a read-only rule allows; the shipped packs have such a rule.
const READ_ONLY: &[&str] = &["ls", "cat", "head", "wc", "grep"];

struct Case {
    kind: String,
    facts: String,
    text: String,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/facts").join(name)
}

/// Reads a corpus whose facts hold.
fn corpus(name: &str) -> Vec<Case> {
    let content = std::fs::read_to_string(file(name)).expect("the corpus");
    let cases: Vec<Case> = content
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [kind, facts, text] = fields[..] else { panic!("not three fields: {line}") };
            Case {
                kind: kind.to_owned(),
                facts: facts.to_owned(),
                text: serde_json::from_str(text).expect(line),
            }
        })
        .collect();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let again: String = content
            .lines()
            .zip(&cases)
            .map(|(line, case)| {
                let text = line.rsplit('\t').next().unwrap_or_default();
                format!("{}\t{}\t{text}\n", case.kind, render(&case.kind, &case.text))
            })
            .collect();
        std::fs::write(file(name), again).expect("the corpus can be written");
        return corpus_without_facts(cases);
    }
    for case in &cases {
        assert_eq!(render(&case.kind, &case.text), case.facts, "{:?}", case.text);
    }
    cases
}

fn corpus_without_facts(cases: Vec<Case>) -> Vec<Case> {
    cases.into_iter().map(|case| Case { facts: render(&case.kind, &case.text), ..case }).collect()
}

#[test]
fn no_evasion_is_allowed() {
    let cases = corpus("evasions.txt");
    let exact = cases.iter().filter(|case| case.facts != "opaque" && !case.facts.contains('?')).count();
    println!("number: {} evasions, {exact} of them with exact facts", cases.len());
    assert!(cases.len() >= 300 && exact >= 120, "{} evasions, {exact} with exact facts", cases.len());
    for Case { kind, text, .. } in &cases {
        match kind.as_str() {
            "shell" => assert_ne!(shell::parse(text).only_runs(READ_ONLY), Fact::Known(true), "{text:?}"),
            "url" => assert!(url::parse(text).known().is_none_or(|url| url.is_private), "{text:?}"),
            "path" => assert!(
                path::parse(text, "/work").known().is_none_or(|path| path.in_workspace.is_none()),
                "{text:?}"
            ),
            _ => {
                assert!(git::parse(text).known().is_none_or(|git| git.force || git.runs_program), "{text:?}")
            }
        }
    }
}

#[test]
fn no_benign_line_is_opaque() {
    let cases = corpus("benign.txt");
    let exact = cases.iter().filter(|case| case.kind == "shell").count();
    println!("number: {} benign lines, {exact} of them with exact facts", cases.len());
    assert!(exact >= 200, "{exact} benign lines with exact facts");
    for Case { kind, facts, text } in &cases {
        let Shell::Parsed(line) = shell::parse(text) else { panic!("{text:?} is opaque") };
        // A line of kind `names` holds expansions: its names are known, and not all its words.
        assert!(line.commands.iter().all(|command| !command.name.is_opaque()), "{text:?}: {facts}");
        for command in line.commands.iter().filter(|_| kind == "shell") {
            let values = command.assignments.iter().map(|assignment| &assignment.value);
            let targets = command.redirects.iter().map(|redirect| &redirect.target);
            let mut words = command.args.words().iter().chain(values).chain(targets);
            assert!(
                words.all(|word| !word.is_opaque()) && matches!(command.args, Args::Exact(_)),
                "{text:?}: {facts}"
            );
        }
        assert_ne!(Shell::Parsed(line).only_runs(READ_ONLY), Fact::Opaque, "{text:?}");
    }
    let read_only =
        cases.iter().filter(|case| shell::parse(&case.text).only_runs(READ_ONLY) == Fact::Known(true));
    assert!(read_only.count() >= 30, "a rule that allows nothing proves nothing");
}

/// The corpora through bash itself: what it runs, the parser knows of.
#[test]
fn bash_agrees_about_the_corpora() {
    let Some(mut oracle) = Oracle::new() else { return };
    let mut ran = 0;
    for case in corpus("evasions.txt").iter().chain(&corpus("benign.txt")) {
        let Shell::Parsed(line) = shell::parse(&case.text) else { continue };
        if !may_run(case) {
            continue;
        }
        let (runs, _) = oracle.run(&case.text);
        assert_explained(&case.text, &line, &runs);
        ran += usize::from(runs.iter().any(|run| STUBS.contains(&run.name.as_str())));
    }
    assert!(ran >= 200, "bash ran programs of only {ran} lines");
}

/// A line of the corpora that bash may run here: it names no file by an absolute path and does not act on bash's own process.
fn may_run(case: &Case) -> bool {
    let unsafe_here = case.text.replace("/dev/null", "").contains(['/', '~', '\0'])
        || [":|:", "kill", "sleep", "while", "until", "select", "?", "*"]
            .iter()
            .any(|part| case.text.contains(part));
    matches!(case.kind.as_str(), "shell" | "names") && !unsafe_here && case.text.len() <= 4_096
}

/// bash joins two lines wherever a backslash ends one, even within an operator. With the two bytes at any place of any line, nothing is known, or
/// what was known without them. In quotes, comments and here-documents they may mean more: then bash is asked.
#[test]
fn a_join_anywhere_in_a_line_of_the_corpora_is_opaque_or_bash_agrees() {
    let Some(mut oracle) = Oracle::new() else { return };
    // bash is asked about all of them with `FACTS_CASES`, as for the generated lines.
    let step = if std::env::var_os("FACTS_CASES").is_some() { 1 } else { 32 };
    let (mut known, mut ran) = (0, 0);
    for case in corpus("evasions.txt").iter().chain(&corpus("benign.txt")).filter(|case| may_run(case)) {
        let original = shell::parse(&case.text);
        for at in (0..=case.text.len()).filter(|at| case.text.is_char_boundary(*at)) {
            let (before, after) = case.text.split_at(at);
            let joined = format!("{before}\\\n{after}");
            let parsed = shell::parse(&joined);
            let Shell::Parsed(line) = &parsed else { continue };
            known += 1;
            // Within single quotes both bytes stand for themselves.
            let alike =
                parsed == original || format!("{parsed:?}").replace("\\\\\\n", "") == format!("{original:?}");
            let plain = !before.contains(['\'', '"', '#', '\\']) && !before.contains("<<");
            assert!(alike || !plain, "{joined:?} is understood otherwise than without the join");
            if !alike || known % step == 0 {
                let (runs, _) = oracle.run(&joined);
                assert_explained(&joined, line, &runs);
                ran += 1;
            }
        }
    }
    assert!(known >= 2_000 && ran >= 200, "bash ran {ran} of {known} lines that are known with a join");
}

/// The texts of one kind in the evasions, and as many again made of pieces.
fn texts(kind: &str, made: impl Strategy<Value = String>) -> Vec<String> {
    const MADE: usize = 6_000;
    let mut texts: Vec<String> =
        corpus("evasions.txt").into_iter().filter(|case| case.kind == kind).map(|case| case.text).collect();
    let mut runner = TestRunner::deterministic();
    texts.extend((0..MADE).map(|_| made.new_tree(&mut runner).expect("a text").current()));
    texts
}

/// What is known of a URL is what the URL Standard says: two readers never differ about a host that a rule may rely on.
#[test]
fn the_url_standard_agrees_about_urls() {
    let scheme = prop::sample::select(vec!["http", "https", "HTTP", "ws", "ftp"]);
    let before = prop::sample::select(vec!["", "", "", "u@", "u:p@", "a%40b@", "x;@", "@"]);
    let number = prop::sample::select(vec![
        "1",
        "10",
        "127",
        "169",
        "254",
        "0",
        "0x7f",
        "0xA9",
        "0177",
        "0251",
        "00",
        "0x",
        "256",
        "65535",
        "2852039166",
        "\u{ff11}",
        "\u{2460}",
        "%31",
        "09",
        "1e1",
        "%2e",
        "\u{3002}",
        "\u{ad}",
        "a",
        "xn--a",
        "localhost",
        "example",
        "-",
    ]);
    let joined = (vec(number, 1..5), prop::sample::select(vec![".", ".", ".", "", ".."]))
        .prop_map(|(parts, dot)| parts.join(dot));
    let six = prop::sample::select(vec![
        "[::1]",
        "[::]",
        "[::ffff:1.2.3.4]",
        "[::FFFF:a9fe:a9fe]",
        "[64:ff9b::7f00:1]",
        "[2002:a00:1::]",
        "[fe80::1%251]",
        "[1::2::3]",
        "[::ffff:0177.0.0.1]",
        "[2606:4700::1111]",
        "[fd00::1]",
    ]);
    let host = prop_oneof![4 => joined, 1 => six.prop_map(str::to_owned)];
    let port = prop::sample::select(vec!["", "", "", ":", ":80", ":0443", ":65535", ":65536", ":8 0", ":x"]);
    let piece = prop::sample::select(vec![
        "/", "/", "..", ".", "%2e", "%2E", "%2f", "%5c", "a", "%61", "%7E", ";", "%", "%zz", "\u{e9}", "?q",
        "#f", "@", "\\", "//", "\t",
    ]);
    let after = vec(piece, 0..7).prop_map(|pieces| pieces.concat());
    let made = (scheme, before, host, port, after).prop_map(|(scheme, before, host, port, after)| {
        let slash = if after.is_empty() || after.starts_with(['/', '?', '#']) { "" } else { "/" };
        format!("{scheme}://{before}{host}{port}{slash}{after}")
    });
    let compared = assert_whatwg_agrees(&texts("url", made));
    assert!(compared >= 1_000, "only {compared} URLs were compared");
}

/// What is known of a path is what the kernel would open, as long as no part is a link.
#[test]
fn coreutils_agree_about_paths() {
    let piece = prop::sample::select(vec![
        "/", "/", "/", "..", ".", "work", "a", "etc", "...", "..;", " ", "~", "\u{e9}", "%2e",
    ]);
    let made = vec(piece, 1..10).prop_map(|pieces| pieces.concat());
    let compared = assert_realpath_agrees(&texts("path", made));
    assert!(compared >= 1_000, "only {compared} paths were compared");
}
