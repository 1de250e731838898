//! Diagnostics for files that cannot be read: what is wrong, where, and what to do.

use serde_saphyr::Error;

use super::Limits;
use super::read::Source;
use crate::check::{bw0101_invalid_yaml, bw0102_duplicate_key, bw0103_limit_exceeded};
use crate::diagnostic::{Diagnostic, FieldPath, Place};

pub(super) fn whole_file(code: crate::diagnostic::Code, name: &str, message: String) -> Diagnostic {
    Diagnostic::new(code, FieldPath::root(), message).with_place(Place { file: name.to_owned(), bytes: 0..0 })
}

fn bytes(location: serde_saphyr::Location, text: &str) -> std::ops::Range<usize> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset().unwrap_or(0)).unwrap_or(0).min(text.len());
    let len = usize::try_from(span.byte_len().unwrap_or(0)).unwrap_or(0);
    start..start.saturating_add(len).min(text.len())
}

/// A diagnostic for an error of serde-saphyr.
pub(super) fn explain(error: &Error, source: &Source<'_>, limits: &Limits) -> Diagnostic {
    let error = error.without_snippet();
    let (code, message, help) = match error {
        Error::DuplicateMappingKey { key, .. } => (
            bw0102_duplicate_key::CODE,
            format!("key `{}` stands here twice", key.as_deref().unwrap_or("?")),
            Some("keep one of them: readers disagree about which one counts".to_owned()),
        ),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            bw0103_limit_exceeded::CODE,
            format!("the document is too large to read: {}", bare(error)),
            Some(format!(
                "at most {} levels, {} values, {} documents, and 100000 values by aliases",
                limits.depth, limits.nodes, limits.documents
            )),
        ),
        Error::AliasError { error, .. } => return explain(error, source, limits),
        // The scanner has a limit of its own, which it reports as a syntax error.
        other if bare(other).contains("recursion limit") => {
            let help = Some(format!("at most {} levels", limits.depth));
            (bw0103_limit_exceeded::CODE, "the document is nested too deeply".to_owned(), help)
        }
        other => (bw0101_invalid_yaml::CODE, format!("not valid YAML: {}", bare(other)), None),
    };
    let bytes = error.location().map_or(0..0, |location| place(location, source.text));
    Diagnostic::new(code, FieldPath::root(), message)
        .with_place(Place { file: source.name.to_owned(), bytes })
        .with_any_help(help)
}

/// Bytes of an error; a syntax error without a length covers the rest of its line.
fn place(location: serde_saphyr::Location, text: &str) -> std::ops::Range<usize> {
    let known = location.span().byte_offset().is_some();
    let mut range = bytes(location, text);
    if !known {
        let line = usize::try_from(location.line()).unwrap_or(1).saturating_sub(1);
        let column = usize::try_from(location.column()).unwrap_or(1).saturating_sub(1);
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let within =
            text.get(start..).unwrap_or_default().chars().take(column).map(char::len_utf8).sum::<usize>();
        range = start + within..start + within;
    }
    if range.is_empty() {
        let rest = text.get(range.start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        range.end = range.start + line.char_indices().nth(60).map_or(line.len(), |(at, _)| at);
    }
    range
}

/// The message without its position, since the diagnostic has its own.
fn bare(error: &Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    text.strip_prefix("error: ").unwrap_or(text).lines().next().unwrap_or_default().to_owned()
}
