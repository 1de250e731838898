//! What the documents promise about the repository: the named tests of the invariants exist, and named files
//! exist.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use syn::visit::Visit;

use crate::{root, source_files};

/// Longest ARCHITECTURE.md, in lines: it must be short enough to be read as a whole.
const MAX_ARCHITECTURE_LINES: usize = 300;

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Text in backticks, outside fenced blocks.
fn quoted(text: &str) -> Vec<&str> {
    text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// Names of the functions that a test harness runs: those marked `#[test]`, and those that a macro of the
/// property tests turns into tests.
#[derive(Default)]
struct Tests(BTreeSet<String>);

impl<'ast> Visit<'ast> for Tests {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("test")) {
            self.0.insert(item.sig.ident.to_string());
        }
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        if item.path.segments.last().is_some_and(|last| last.ident == "proptest") {
            let text = item.tokens.to_string();
            let tests = text.split("# [test]").skip(1);
            let name = |rest: &str| Some(rest.split_once("fn ")?.1.split(['(', ' ']).next()?.to_owned());
            self.0.extend(tests.filter_map(name));
        }
    }
}

fn tests_of(text: &str) -> BTreeSet<String> {
    let mut tests = Tests::default();
    tests.visit_file(&syn::parse_file(text).expect("a source file parses"));
    tests.0
}

/// Every test of the sources, by name; to find them takes seconds.
static TESTS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let rust = source_files().into_iter().filter(|path| path.ends_with(".rs"));
    rust.flat_map(|path| tests_of(&read(&path))).collect()
});

#[test]
fn only_what_a_harness_runs_is_a_test() {
    let text = "#[test] fn a_test() {} fn a_function() {} mod m { #[test] fn in_a_module() {} }\n\
        proptest! { #![proptest_config(c())] #[test] fn a_law(x in 0..9) { } fn no_law(x in 0..9) {} }";
    assert_eq!(tests_of(text), ["a_law", "a_test", "in_a_module"].map(str::to_owned).into());
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
            assert!(TESTS.contains(name), "there is no test `{name}`: {invariant}");
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
    let of_packs = source_files().into_iter();
    let of_packs = of_packs.filter(|path| path.starts_with("policy-packs/") && path.ends_with("/README.md"));
    let documents = ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"].map(str::to_owned).into_iter();
    for document in documents.chain(of_packs) {
        let text = read(&document);
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

#[test]
fn every_crate_has_one_paragraph() {
    let text = read("ARCHITECTURE.md");
    let (_, rest) = text.split_once("## Packages").expect("ARCHITECTURE.md has its packages");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    for row in crate::layering::TABLE {
        let beginning = format!("**{}** ", row.name);
        let count = section.split("\n\n").filter(|paragraph| paragraph.starts_with(&beginning)).count();
        assert_eq!(count, 1, "ARCHITECTURE.md has {count} paragraphs about `{}`", row.name);
    }
}

/// Each decision has a number of its own, in its file's name and in its heading, and none is left out.
#[test]
fn decisions_are_numbered_in_a_row() {
    let folder = std::fs::read_dir(root().join("docs/adr")).expect("docs/adr");
    let mut names: Vec<String> =
        folder.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for (number, name) in (1..).zip(&names) {
        assert!(
            name.starts_with(&format!("{number:04}-")),
            "docs/adr/{name} is not the next after {}",
            number - 1
        );
        let heading = format!("# {number}. ");
        assert!(
            read(&format!("docs/adr/{name}")).starts_with(&heading),
            "docs/adr/{name} has another number within"
        );
    }
}

/// What `make` would run for a target.
pub(crate) fn made(target: &str) -> String {
    let output = std::process::Command::new("make")
        .args(["--dry-run", "--always-make", "--no-print-directory", target])
        .env("CARGO", "cargo")
        .current_dir(root())
        .output()
        .expect("make runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A test that prints a number is one that `make numbers` runs, and CONTRIBUTING.md says so.
#[test]
fn each_number_is_printed_by_make_numbers() {
    let said = made("numbers");
    let printing = |path: &String| path.ends_with(".rs") && read(path).contains("!(\"number: ");
    let files: Vec<String> = source_files().into_iter().filter(printing).collect();
    let ran: Vec<&String> = TESTS.iter().filter(|name| said.contains(name.as_str())).collect();
    for path in &files {
        let own = tests_of(&read(path));
        let prefixed = path.ends_with("facts_corpus.rs") && said.contains("--test facts_corpus no_ ");
        assert!(
            prefixed || own.iter().any(|name| ran.contains(&name)),
            "`make numbers` runs nothing of {path}: {said}"
        );
    }
    assert!(files.len() >= 5, "{files:?}");
    assert!(read("CONTRIBUTING.md").contains("`make numbers`"), "CONTRIBUTING.md does not name it");
}

/// `make test-cluster` runs these first, and CI all of them, through `make test`; only what is in `node` needs
/// a node.
#[test]
fn the_tests_of_a_cluster_without_a_node_are_a_part_of_ci() {
    let said = made("test-cluster");
    let at = |part: &str| said.find(part).unwrap_or_else(|| panic!("no `{part}`: {said}"));
    for name in ["crds", "cluster", "operator", "chart"] {
        assert!(at(&format!("--test {name}")) < at("--test node"), "{name}: {said}");
        let ours = format!("conformance/tests/{name}/");
        let files: Vec<String> = source_files()
            .into_iter()
            .filter(|path| path.starts_with(&ours) && path.ends_with(".rs"))
            .collect();
        assert!(!files.is_empty(), "nothing in {ours}");
        for path in files {
            assert!(!read(&path).contains("#[ignore"), "{path}: CI leaves out a test");
        }
    }
    let said = made("test");
    assert!(said.contains("--workspace") || said.contains("bailiwick-conformance"), "make test: {said}");
}

#[test]
fn what_builds_and_runs_is_set_up_first() {
    let makefile = read("Makefile");
    let benches = makefile.lines().find_map(|line| line.strip_prefix("BENCHES := ")).expect("the benches");
    let benches = benches.split(' ').map(|bench| format!("bench-{bench}"));
    let targets = ["demo", "test", "lint", "bench"].map(str::to_owned).into_iter().chain(benches);
    for target in targets {
        let said = made(&target);
        let at =
            |part: &str| said.find(part).unwrap_or_else(|| panic!("make {target} has no `{part}`: {said}"));
        assert!(at("missing python3-venv") < at("-m venv"), "make {target}: {said}");
        assert!(at("-m venv") < at("\ncargo "), "make {target}: {said}");
    }
}

/// The tests let it take longer, as they run side by side; CI runs it after them, with the machine to itself.
#[test]
fn the_demo_has_its_time() {
    let makefile = read("Makefile");
    let (_, rest) = makefile.split_once("\ndemo:").expect("the demo's recipe");
    let recipe = rest.split("\n\n").next().unwrap_or(rest);
    assert!(recipe.contains("--bin demo") && !recipe.contains("--patient"), "{recipe}");
}
