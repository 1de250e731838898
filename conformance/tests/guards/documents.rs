//! What the documents promise about the repository: the invariants have tests of the names they give, and files that are named are there.

use std::collections::BTreeSet;

use crate::{root, source_files};

/// Longest ARCHITECTURE.md, in lines: it is read whole or not at all.
const MAX_ARCHITECTURE_LINES: usize = 300;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backticks, outside fenced blocks.
fn quoted(text: &str) -> Vec<&str> {
    text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// Every function of the sources, by name.
fn functions() -> BTreeSet<String> {
    let rust = source_files().into_iter().filter(|path| path.ends_with(".rs"));
    let name = |line: &str| {
        let rest = line.trim_start().strip_prefix("fn ")?;
        Some(rest.split(['(', '<']).next()?.to_owned())
    };
    rust.flat_map(|path| read(&path).lines().filter_map(name).collect::<Vec<_>>()).collect()
}

/// Whether a quoted word names a function: words joined by `_` and nothing else.
fn is_function(word: &str) -> bool {
    word.contains('_')
        && word.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_')
}

#[test]
fn every_invariant_names_tests_that_are_there() {
    let text = read("ARCHITECTURE.md");
    assert!(
        text.lines().count() <= MAX_ARCHITECTURE_LINES,
        "ARCHITECTURE.md is longer than {MAX_ARCHITECTURE_LINES} lines"
    );
    let (_, rest) = text.split_once("## Invariants").expect("ARCHITECTURE.md has its invariants");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    let functions = functions();
    let mut invariants: Vec<String> = Vec::new();
    for line in section.lines() {
        let number = line.split_once(". ").map(|(number, _)| number.parse::<u8>());
        match (number, invariants.last_mut()) {
            (Some(Ok(_)), _) => invariants.push(line.to_owned()),
            (_, Some(last)) => last.push_str(line),
            _ => {}
        }
    }
    assert!(invariants.len() >= 10, "only {} invariants were found", invariants.len());
    for invariant in &invariants {
        let named: Vec<&str> = quoted(invariant).into_iter().filter(|word| is_function(word)).collect();
        assert!(!named.is_empty(), "no test is named: {invariant}");
        for name in named {
            assert!(functions.contains(name), "there is no test `{name}`: {invariant}");
        }
    }
}

#[test]
fn files_that_documents_name_are_there() {
    let folders: BTreeSet<String> = source_files()
        .iter()
        .filter_map(|path| path.split_once('/').map(|(folder, _)| folder.to_owned()))
        .collect();
    let mut seen = 0;
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = read(document);
        for word in quoted(&text) {
            let path = word.split(['*', ' ', '{']).next().unwrap_or(word);
            let ours = path.split_once('/').is_some_and(|(folder, _)| folders.contains(folder));
            if ours {
                assert!(root().join(path).exists(), "{document} names `{word}`, which is not there");
                seen += 1;
            }
        }
    }
    assert!(seen >= 20, "only {seen} files were found in the documents");
}
