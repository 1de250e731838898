//! Completion: what may stand at the cursor.
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

/// One thing that may stand there.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What is shown, and what is typed to find it.
    pub label: String,
    /// What is put in.
    pub text: String,
    /// What kind of thing.
    pub kind: CompletionItemKind,
    /// A few words.
    pub detail: String,
    /// Markdown.
    pub documentation: String,
    /// Those of a lower rank come first.
    pub rank: u8,
    /// Bytes of the text that it replaces.
    pub replaces: Range<usize>,
}

/// What may stand at an offset of a text. `view`: the other files of the pack.
#[must_use]
pub fn candidates(text: &str, offset: usize, language: Language, view: &View) -> Vec<Candidate> {
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

/// The same as the protocol says it, best first.
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
        // The columns are right already.
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
