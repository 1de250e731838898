//! What the house promises beside its code: the documents that everyone looks for, and the linters and bans
//! that CI applies. Each of these fails nothing else when it goes.

use std::path::Path;

use crate::documents::{made, read};
use crate::{root, source_files};

/// What a panic, a silent allowance or a forgotten end would need (`conformance/tests/guards` has the rest).
const DENIED: &[&str] = &[
    "unwrap_used",
    "expect_used",
    "indexing_slicing",
    "string_slice",
    "panic",
    "todo",
    "unimplemented",
    "unreachable",
    "allow_attributes",
    "allow_attributes_without_reason",
    "dbg_macro",
    "too_many_lines",
];

/// Packages that would bring a second of what there is one of, or judge another text than the API server does.
const BANNED: &[&str] = &["ring", "openssl-sys", "native-tls", "serde_yaml", "serde_yml"];

/// What stands at the beginning of each document.
const DOCUMENTS: &[(&str, &str)] = &[
    ("LICENSE", "Apache License"),
    ("README.md", "# Bailiwick"),
    ("ARCHITECTURE.md", "# Architecture"),
    ("CONTRIBUTING.md", "# Contributing"),
    ("CHANGELOG.md", "# Changelog"),
    ("SECURITY.md", "# Security"),
    ("docs/glossary.md", "# Glossary"),
    ("docs/adr/0001-one-syntax.md", "# 1. "),
    ("docs/adr/0002-own-cel-evaluator.md", "# 2. "),
    ("docs/adr/0003-the-meet.md", "# 3. "),
    ("docs/adr/0004-successors-of-named-crates.md", "# 4. "),
];

fn toml(path: &str) -> toml::Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_documents_that_everyone_looks_for_are_there() {
    for (path, beginning) in DOCUMENTS {
        let text = read(path);
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        assert!(first.trim().starts_with(beginning), "{path} begins with `{first}`");
    }
    let packs = source_files().into_iter().filter(|path| path.ends_with("/pack.yaml"));
    let packs: Vec<String> = packs.filter(|path| path.starts_with("policy-packs/")).collect();
    assert!(packs.len() >= 4, "{packs:?}");
    for pack in packs {
        read(&pack.replace("pack.yaml", "README.md"));
    }
}

#[test]
fn every_package_is_held_to_the_panic_free_set() {
    let workspace = toml("Cargo.toml");
    let lints = &workspace["workspace"]["lints"]["clippy"];
    for lint in DENIED {
        let level = lints.get(lint).and_then(|level| level.as_str());
        assert_eq!(level, Some("deny"), "[workspace.lints.clippy] {lint}");
    }
    for member in workspace["workspace"]["members"].as_array().expect("members") {
        let path = format!("{}/Cargo.toml", member.as_str().expect("a folder"));
        let own = toml(&path);
        let inherits =
            own.get("lints").and_then(|lints| lints.get("workspace")).and_then(|set| set.as_bool());
        assert_eq!(inherits, Some(true), "{path} has its own lints");
    }
}

#[test]
fn ci_is_the_linters_every_test_and_the_demo() {
    let script = read(".ci/run");
    for line in ["export CI=true", "make lint", "make test", "make demo"] {
        assert!(script.lines().any(|one| one == line), ".ci/run does not say `{line}`");
    }
    let said = made("lint");
    for line in [
        "cargo fmt --all --check",
        "cargo clippy --locked --workspace --lib --bins -- -D warnings",
        "cargo clippy --locked --workspace --tests -- -D warnings",
        "cargo deny --locked check bans licenses sources",
    ] {
        assert!(said.lines().any(|one| one.starts_with(line)), "`make lint` does not run `{line}`: {said}");
    }
}

/// A module that is in neither list is vetted by nobody; so is a file that belongs to no module and is not named.
#[test]
fn every_line_of_go_is_vetted() {
    let (lint, cluster) = (made("lint"), made("vet-cluster"));
    assert!(lint.contains("gofmt -l conformance"), "{lint}");
    let files: Vec<String> = source_files().into_iter().filter(|path| path.ends_with(".go")).collect();
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        assert!(file.starts_with("conformance/"), "gofmt does not see {file}");
        let mut modules = Path::new(&file).ancestors().skip(1);
        let module = modules.find(|folder| root().join(folder).join("go.mod").is_file());
        let vetted = match module.map(Path::display) {
            Some(module) => {
                lint.contains(&format!("go -C {module} vet ./... "))
                    || (cluster.contains(&format!("go -C {module} vet main.go "))
                        && file.ends_with("/main.go"))
            }
            None => lint.contains(&format!("go vet {file}")),
        };
        assert!(vetted, "no go vet of {file}");
    }
}

#[test]
fn what_is_banned_stays_banned() {
    let policy = toml("deny.toml");
    let denied = policy["bans"]["deny"].as_array().expect("bans");
    for package in BANNED {
        let listed =
            denied.iter().any(|ban| ban.get("crate").and_then(|name| name.as_str()) == Some(package));
        assert!(listed, "deny.toml lets `{package}` in");
    }
    for source in ["unknown-registry", "unknown-git"] {
        assert_eq!(policy["sources"][source].as_str(), Some("deny"), "deny.toml: {source}");
    }
}
