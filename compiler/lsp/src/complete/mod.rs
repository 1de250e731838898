//! Completion: what may be written at the cursor.
//!
//! ```text
//! text, offset ► place::cursor ► key: fields of the schema · value: words, names, parameters · expression: what the compiler offers of a type
//! ```

mod expressions;
mod fields;
mod values;

use std::ops::Range;

use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionTextEdit, Documentation, InsertTextMode, MarkupContent,
    MarkupKind, TextEdit,
};

use crate::limits::MAX_CANDIDATES;
use crate::place::{self, Cursor, Writes};
use crate::position::Lines;
use crate::schema::{self, Language};
use crate::view::View;

/// One candidate.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What is shown, and what the user types to find it.
    pub label: String,
    /// The inserted text.
    pub text: String,
    /// Its kind.
    pub kind: CompletionItemKind,
    /// A short description.
    pub detail: String,
    /// Documentation in Markdown.
    pub documentation: String,
    /// Lower ranks come first.
    pub rank: u8,
    /// The byte range of the text that it replaces.
    pub replaces: Range<usize>,
}

/// The candidates at an offset of a text; one within a character counts as its beginning. `view`: the other
/// files of the pack.
#[must_use]
pub fn candidates(text: &str, offset: usize, language: Language, view: &View) -> Vec<Candidate> {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let Some(cursor) = place::cursor(text, offset) else { return Vec::new() };
    let Some(schema) = schema::at(language.schema(), &cursor.path) else { return Vec::new() };
    match &cursor.writes {
        Writes::Key { .. } => fields::of_object(schema, &cursor),
        Writes::Value { .. } if schema::is_cel(schema) => {
            expressions::candidates(text, offset, &cursor, view)
        }
        Writes::Value { .. } => values::candidates(schema, language, &cursor, view),
    }
}

/// The same in the protocol's form, best first.
#[must_use]
pub fn items(
    text: &str,
    lines: &Lines,
    offset: usize,
    language: Language,
    view: &View,
) -> Vec<CompletionItem> {
    let mut found = candidates(text, offset, language, view);
    found.sort_by(|a, b| (a.rank, &a.label).cmp(&(b.rank, &b.label)));
    found.dedup_by(|a, b| a.label == b.label && a.kind == b.kind);
    found.truncate(MAX_CANDIDATES);
    let item = |candidate: Candidate| CompletionItem {
        text_edit: Some(CompletionTextEdit::Edit(TextEdit {
            range: lines.span(text, &candidate.replaces),
            new_text: candidate.text,
        })),
        filter_text: Some(candidate.label.clone()),
        sort_text: Some(format!("{}{}", candidate.rank, candidate.label)),
        kind: Some(candidate.kind),
        detail: Some(candidate.detail).filter(|text| !text.is_empty()),
        documentation: Some(candidate.documentation)
            .filter(|text| !text.is_empty())
            .map(|value| Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value })),
        // The inserted text already has the right columns.
        insert_text_mode: Some(InsertTextMode::AS_IS),
        label: candidate.label,
        ..CompletionItem::default()
    };
    found.into_iter().map(item).collect()
}

/// A candidate that replaces what is being written.
fn candidate(cursor: &Cursor, label: &str, kind: CompletionItemKind) -> Candidate {
    Candidate {
        label: label.to_owned(),
        text: label.to_owned(),
        kind,
        detail: String::new(),
        documentation: String::new(),
        rank: 5,
        replaces: cursor.replaces.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_whole_characters_wherever_the_cursor_is() {
        let text = "kind: PolicyPack\nspec:\n  admission:\n    rules:\n    - name: x\n      validations:\n\
            \x20     - expression: |\n          var\u{feff}spec";
        let candidates = |offset| candidates(text, offset, Language::Pack, &View::default());
        let at = text.find('\u{feff}').unwrap();
        assert!(!candidates(at).is_empty());
        for offset in 0..=text.len() + 1 {
            for candidate in candidates(offset) {
                assert!(text.get(candidate.replaces.clone()).is_some(), "{offset}: {candidate:?}");
            }
        }
    }
}
