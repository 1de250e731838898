//! Every code of reading and composing a pack (01xx, 02xx): a pack that it refuses, the message as rendered, and the twin
//! without the fault that is accepted.
#![forbid(unsafe_code)]

mod at_once;
mod composition;
mod syntax;

use std::collections::BTreeSet;

use bailiwick_compiler::diagnostic::{Diagnostic, has_errors};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::parameters::Bindings;
use bailiwick_compiler::resolve::{make_lock, resolve};
use bailiwick_compiler::source::{PackSources, SourceFile};
use bailiwick_compiler::yaml::line_and_column;
use expect_test::Expect;

/// A pack with this body of `spec`, indented by two.
fn pack(spec: &str) -> String {
    named("p", "1.0.0", spec)
}

fn named(name: &str, version: &str, spec: &str) -> String {
    format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: {name}-{version}}}\n\
         spec:\n  pack: {name}\n  version: {version}\n{spec}"
    )
}

fn render(found: &Diagnostic, sources: &PackSources) -> String {
    let Some(place) = &found.place else { return format!("{found}\n") };
    let files = sources.files.iter().chain(&sources.lock);
    let text =
        files.filter(|file| file.name == place.file).map(|file| String::from_utf8_lossy(&file.bytes)).next();
    let text = text.unwrap_or_default();
    let (line, column) = line_and_column(&text, place.bytes.start);
    let shown = text.get(place.bytes.clone()).unwrap_or_default().replace('\n', "⏎");
    format!("{}:{line}:{column} `{shown}`\n{found}\n", place.file)
}

/// A pack with what it is compiled with.
#[derive(Default)]
struct Case {
    sources: PackSources,
    library: MemoryLibrary,
    bindings: Bindings,
}

impl Case {
    fn of(text: impl Into<Vec<u8>>) -> Self {
        Self { sources: PackSources::single(text), ..Self::default() }
    }

    fn with_fragment(mut self, name: &str, text: &str) -> Self {
        self.sources.files.push(SourceFile::new(name, text));
        self
    }

    fn with_library(mut self, packs: &[&str]) -> Self {
        for text in packs {
            self.library.add(PackSources::single(*text));
        }
        self
    }

    fn with_lock(mut self, text: &str) -> Self {
        self.sources.lock = Some(SourceFile::new("pack.lock", text));
        self
    }

    fn locked(mut self) -> Self {
        let (text, diagnostics, _) = make_lock(&self.sources, &self.library);
        let text = text.unwrap_or_else(|| panic!("no lock: {diagnostics:?}"));
        self.sources.lock = Some(SourceFile::new("pack.lock", text));
        self
    }

    fn binding(mut self, name: &str, value: serde_json::Value) -> Self {
        self.bindings.values.insert(name.to_owned(), value);
        self
    }

    fn run(&self) -> (bool, Vec<Diagnostic>) {
        let (resolved, diagnostics) = resolve(&self.sources, &self.library, &self.bindings);
        assert_eq!(resolved.is_none(), has_errors(&diagnostics), "a result exactly when there is no error");
        (resolved.is_some(), diagnostics)
    }
}

/// The failing pack gives these findings, the first of them with this code; its twin none.
fn twins(code: &str, failing: &Case, expected: &Expect, passing: &Case) {
    let (_, diagnostics) = failing.run();
    assert_eq!(diagnostics.first().map(|found| found.code.id()), Some(code), "{diagnostics:?}");
    for found in &diagnostics {
        assert!(found.place.is_some() || found.at.to_string().starts_with("bindings"), "no place: {found}");
    }
    expected.assert_eq(&diagnostics.iter().map(|found| render(found, &failing.sources)).collect::<String>());
    let (accepted, diagnostics) = passing.run();
    assert!(accepted && diagnostics.is_empty(), "{diagnostics:?}");
}

const SUBJECT: &str = "  subjects: {namespaces: {selector: {matchLabels: {zone: agents}}}}\n";

#[test]
fn no_code_of_reading_and_composing_is_without_its_twins() {
    let this = concat!(include_str!("syntax.rs"), include_str!("composition.rs"));
    let tested: BTreeSet<_> = this.lines().filter_map(|line| line.strip_prefix("fn bw")?.get(..4)).collect();
    // BW022x and above are about what the sections say; their tests stand beside the lowering.
    let reading = bailiwick_compiler::check::codes()
        .map(|code| code.id().trim_start_matches("BW").to_owned())
        .filter(|code| code.as_str() < "0220" || code == "0608");
    for code in reading {
        assert!(tested.contains(code.as_str()), "BW{code} has no test here");
    }
}
