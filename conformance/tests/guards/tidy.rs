//! How every file must read: a header that says what a module is, no `unsafe` outside its crate, functions that fit a screen, no
//! drawer names, no path of one machine.

use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::{root, source_files};

/// Longest function, in lines from its signature to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;

/// Longest Rust file. The aim is 400; what is longer than this has a seam that somebody has overlooked.
const MAX_FILE_LINES: usize = 700;

/// Names that say nothing about what is inside.
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

/// The one crate that may hold `unsafe` code: everything the kernel is asked directly.
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
        assert!(text.contains("#![forbid(unsafe_code)]"), "{path} does not forbid unsafe code");
        seen += 1;
    }
    assert!(seen >= 8, "only {seen} crate roots were found");
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
    // Spelled in two halves so that this file does not find itself.
    let marks = [["/ho", "me/"].concat(), ["/wo", "rk/main"].concat(), ["/ro", "ot/"].concat()];
    for path in source_files() {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{path} names `{mark}`");
        }
    }
}
