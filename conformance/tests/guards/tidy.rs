//! How every file must read: a header that says what a module is, no `unsafe` outside its crate, functions
//! that fit a screen, no catch-all module names, no path of one machine.

use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::{root, source_files};

/// Longest function, in lines from its signature to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;

/// Longest Rust file. The aim is 400; a file longer than this has a seam that was overlooked.
const MAX_FILE_LINES: usize = 700;

/// Names that say nothing about their content.
const DRAWERS: &[&str] = &["common", "util", "utils", "helper", "helpers", "misc", "manager"];

fn rust_files() -> Vec<(String, String)> {
    let rust = source_files().into_iter().filter(|path| path.ends_with(".rs"));
    rust.map(|path| {
        let text = std::fs::read_to_string(root().join(&path)).expect("the file is readable");
        (path, text)
    })
    .collect()
}

#[test]
fn every_module_starts_with_its_header() {
    for (path, text) in rust_files() {
        assert!(
            text.starts_with("//! ") || text.starts_with("//!\n"),
            "{path} does not start with a `//!` header"
        );
    }
}

/// `make test` looks for none: rustdoc would read every crate anew for them.
#[test]
fn no_comment_holds_an_example_that_nothing_runs() {
    for (path, text) in rust_files() {
        assert_eq!(examples(&text), Vec::<usize>::new(), "{path}: say what the block is, such as `text`");
    }
    assert_eq!(examples("/// ```\n/// f();\n/// ```\n"), [1]);
    assert_eq!(examples("//! ```text\n//! a ─► b\n//! ```\n//! ```rust\n//! ```\n"), [4]);
}

/// The lines on which documentation begins a block that rustdoc would compile: one without a language, and
/// one in Rust.
fn examples(text: &str) -> Vec<usize> {
    let (mut inside, mut found) = (false, Vec::new());
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let Some(language) = comment.and_then(|comment| comment.trim_start().strip_prefix("```")) else {
            continue;
        };
        inside = !inside;
        let language = language.split([',', ' ']).next().unwrap_or_default();
        if inside && ["", "rust", "no_run", "should_panic", "compile_fail", "ignore"].contains(&language) {
            found.push(at + 1);
        }
    }
    found
}

/// The one crate that may contain `unsafe` code: it makes all direct system calls.
const UNSAFE_CRATE: &str = "executor/sys/";

#[test]
fn every_crate_root_but_one_forbids_unsafe_code() {
    let roots = rust_files().into_iter().filter(|(path, _)| {
        let name = path.rsplit('/').next().unwrap_or(path);
        !path.starts_with(UNSAFE_CRATE)
            && path.contains("src/")
            && (name == "lib.rs"
                || name == "main.rs"
                || path.contains("src/bin/")
                    && !path.contains("src/bin/bench/")
                    && !path.contains("src/bin/demo/"))
    });
    let mut seen = 0;
    for (path, text) in roots {
        assert!(forbids_unsafe_code(&text), "{path} does not forbid unsafe code");
        seen += 1;
    }
    assert!(seen >= 8, "only {seen} crate roots were found");
}

/// Whether the crate's own attributes forbid it; a comment that says so does not count.
fn forbids_unsafe_code(root: &str) -> bool {
    let file = syn::parse_file(root).expect("a crate root parses");
    file.attrs.iter().any(|attribute| {
        attribute.path().is_ident("forbid")
            && attribute.parse_args::<syn::Path>().is_ok_and(|lint| lint.is_ident("unsafe_code"))
    })
}

#[test]
fn a_comment_forbids_nothing() {
    assert!(forbids_unsafe_code("//! Header.\n#![forbid(unsafe_code)]\nfn f() {}"));
    assert!(!forbids_unsafe_code("//! Header.\n// #![forbid(unsafe_code)]\nfn f() {}"));
    assert!(!forbids_unsafe_code("//! `#![forbid(unsafe_code)]`\n#![forbid(missing_docs)]"));
}

struct Functions<'a> {
    path: &'a str,
    too_long: Vec<String>,
}

impl Functions<'_> {
    fn judge(&mut self, name: &syn::Ident, span: proc_macro2::Span) {
        let lines = span.end().line - span.start().line + 1;
        if lines > MAX_FUNCTION_LINES {
            self.too_long.push(format!("{}:{}: `{name}` has {lines} lines", self.path, span.start().line));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.judge(
            &item.sig.ident,
            item.sig.span().join(item.block.span()).unwrap_or_else(|| item.block.span()),
        );
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.judge(
            &item.sig.ident,
            item.sig.span().join(item.block.span()).unwrap_or_else(|| item.block.span()),
        );
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.judge(&item.sig.ident, item.sig.span().join(block.span()).unwrap_or_else(|| block.span()));
        }
        syn::visit::visit_trait_item_fn(self, item);
    }
}

#[test]
fn functions_of_every_kind_are_measured() {
    let long = format!("() {{\n{}}}\n", "    ();\n".repeat(MAX_FUNCTION_LINES));
    let text = format!(
        "fn one{long} trait T {{ fn two{long} }} impl S {{ fn three{long} }} mod m {{ fn four{long} }}"
    );
    let mut functions = Functions { path: "x.rs", too_long: Vec::new() };
    functions.visit_file(&syn::parse_file(&text).expect("it parses"));
    assert_eq!(functions.too_long.len(), 4, "{:?}", functions.too_long);
}

#[test]
fn functions_fit_a_screen() {
    let mut too_long = Vec::new();
    for (path, text) in rust_files() {
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path} does not parse: {error}"));
        let mut functions = Functions { path: &path, too_long: Vec::new() };
        functions.visit_file(&file);
        too_long.append(&mut functions.too_long);
    }
    assert!(too_long.is_empty(), "functions over {MAX_FUNCTION_LINES} lines:\n{}", too_long.join("\n"));
}

#[test]
fn files_have_one_idea() {
    for (path, text) in rust_files() {
        let lines = text.lines().count();
        assert!(
            lines <= MAX_FILE_LINES,
            "{path} has {lines} lines, more than {MAX_FILE_LINES}; where is the seam?"
        );
    }
}

#[test]
fn no_name_is_a_drawer() {
    for path in source_files() {
        let drawer =
            path.split(['/', '.']).find(|part| DRAWERS.contains(&part.to_ascii_lowercase().as_str()));
        assert!(drawer.is_none(), "{path}: `{}` does not say what is inside", drawer.unwrap_or_default());
    }
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    // Split in two so that this file does not match itself.
    let marks = [["/ho", "me/"].concat(), ["/wo", "rk/main"].concat(), ["/ro", "ot/"].concat()];
    for path in source_files() {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{path} names `{mark}`");
        }
    }
}

/// Which parts of the standard library these folders may not name: `ARCHITECTURE.md` says what their crates
/// must never see.
const NEVER_ASKED: &[(&str, &[&str])] = &[("compiler/policy/src/", OUTSIDE), ("compiler/src/", OUTSIDE)];

/// Modules, and types of modules that also contain harmless ones: an address is not a connection, a duration
/// is not a clock.
const OUTSIDE: &[&str] = &[
    "fs",
    "process",
    "env",
    "os",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "Instant",
    "SystemTime",
];

/// Finds paths of the standard library by their first or last names, in code and in `use`, but not in tests.
struct Asked<'a> {
    never: &'a [&'a str],
    found: Vec<String>,
}

impl Asked<'_> {
    fn judge(&mut self, names: &[String], span: proc_macro2::Span) {
        let is_std = |at: usize| names.get(at).is_some_and(|name| name == "std");
        for (at, name) in names.iter().enumerate() {
            let is_module = is_std(0) && at == 1;
            let is_type = name.starts_with(char::is_uppercase);
            if self.never.contains(&name.as_str()) && (is_module || is_type) {
                self.found.push(format!("{}: `{}`", span.start().line, names.join("::")));
            }
        }
    }

    fn tree(&mut self, names: &mut Vec<String>, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                names.push(path.ident.to_string());
                self.tree(names, &path.tree);
                names.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(names, tree)),
            syn::UseTree::Name(syn::UseName { ident })
            | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                names.push(ident.to_string());
                self.judge(names, ident.span());
                names.pop();
            }
            syn::UseTree::Glob(glob) => self.judge(names, glob.span()),
        }
    }
}

/// Whether it is compiled only for tests.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|one| {
        one.path().is_ident("test")
            || one.path().is_ident("cfg")
                && one.parse_args::<syn::Path>().is_ok_and(|word| word.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Asked<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.judge(&names, path.span());
        syn::visit::visit_path(self, path);
    }
}

fn asked(text: &str, never: &[&str]) -> Vec<String> {
    let mut asked = Asked { never, found: Vec::new() };
    asked.visit_file(&syn::parse_file(text).expect("a source file parses"));
    asked.found
}

#[test]
fn what_has_no_clock_and_no_files_asks_the_standard_library_for_none() {
    let mut seen = 0;
    for (folder, never) in NEVER_ASKED {
        let is_test = |path: &str| {
            path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("/examples.rs")
        };
        for (path, text) in
            rust_files().into_iter().filter(|(path, _)| path.starts_with(folder) && !is_test(path))
        {
            let found = asked(&text, never);
            assert!(found.is_empty(), "{path}: {}", found.join(", "));
            seen += 1;
        }
    }
    assert!(seen >= 100, "only {seen} files were found");
}

#[test]
fn each_way_to_ask_for_a_clock_or_a_file_is_found() {
    let never = NEVER_ASKED[0].1;
    for asks in [
        "fn f() { std::fs::read(\"x\"); }",
        "use std::{collections::BTreeMap, fs};",
        "use std::fs::File;",
        "use std::env::*;",
        "use std::time::SystemTime as T;",
        "fn f() { let began = std::time::Instant::now(); }",
        "mod m { use std::net::TcpStream; }",
    ] {
        assert_eq!(asked(asks, never).len(), 1, "{asks}");
    }
    for sound in [
        "use std::time::Duration;",
        "#[cfg(test)] mod tests { use std::fs; }",
        "use crate::env::Env; fn f() { env.object(); }",
    ] {
        assert_eq!(asked(sound, never), Vec::<String>::new(), "{sound}");
    }
}
