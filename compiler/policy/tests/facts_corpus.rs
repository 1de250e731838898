//! Lines that try to slip past rules, and lines that people write: what is known of each.
//!
//! A line of a corpus is its kind, its facts and the text as a JSON string, with tabs between. `UPDATE_EXPECT=1` writes the facts anew; read
//! the difference.

#[path = "facts/oracle.rs"]
mod oracle;
#[path = "facts/render.rs"]
mod render;

use std::path::PathBuf;

use bailiwick_policy::facts::shell::{self, Args, Shell};
use bailiwick_policy::facts::{Fact, git, path, url};
use oracle::{Oracle, STUBS, assert_explained};
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

/// The corpora through bash itself: what it runs, the parser knows of. Lines that name files by an absolute path, or act on bash's own
/// process, stay unrun.
#[test]
fn bash_agrees_about_the_corpora() {
    let Some(mut oracle) = Oracle::new() else { return };
    let mut ran = 0;
    for case in corpus("evasions.txt").iter().chain(&corpus("benign.txt")) {
        let unsafe_here = case.text.replace("/dev/null", "").contains(['/', '~', '\0'])
            || [":|:", "kill", "sleep", "while", "until", "select", "?", "*"]
                .iter()
                .any(|part| case.text.contains(part));
        let Shell::Parsed(line) = shell::parse(&case.text) else { continue };
        if !matches!(case.kind.as_str(), "shell" | "names") || unsafe_here || case.text.len() > 4_096 {
            continue;
        }
        let (runs, _) = oracle.run(&case.text);
        assert_explained(&case.text, &line, &runs);
        ran += usize::from(runs.iter().any(|run| STUBS.contains(&run.name.as_str())));
    }
    assert!(ran >= 200, "bash ran programs of only {ran} lines");
}
