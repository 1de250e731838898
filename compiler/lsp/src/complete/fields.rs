//! Completion of an object's fields.

use bailiwick_compiler::authoring::MemberRules;
use lsp_types::CompletionItemKind;
use serde_json::Value as Json;

use super::{Candidate, candidate};
use crate::outline::Style;
use crate::place::{Cursor, Writes};
use crate::schema;

/// The fields that an object may still have.
pub(super) fn of_object(schema: &Json, cursor: &Cursor) -> Vec<Candidate> {
    let Writes::Key { beside, is_flow, column, has_colon } = &cursor.writes else { return Vec::new() };
    let layout = Layout { is_flow: *is_flow, column: *column, has_colon: *has_colon, dash: "" };
    fields(schema, cursor, beside, &layout)
}

/// The fields of an object that begins at the cursor, on a new line below its key; for list elements, with
/// their dash.
pub(super) fn of_new(schema: &Json, cursor: &Cursor) -> Vec<Candidate> {
    let Writes::Value { style: Style::Plain, begins_line: true, column, .. } = &cursor.writes else {
        return Vec::new();
    };
    let kind = |schema: &Json| schema.get("type").and_then(Json::as_str).map(str::to_owned);
    let items = schema.get("items");
    match (kind(schema).as_deref(), items.and_then(kind).as_deref(), items) {
        (Some("object"), ..) => {
            let layout = Layout { is_flow: false, column: *column, has_colon: false, dash: "" };
            fields(schema, cursor, &[], &layout)
        }
        (Some("array"), Some("object"), Some(items)) => {
            let layout = Layout { is_flow: false, column: column + 2, has_colon: false, dash: "- " };
            fields(items, cursor, &[], &layout)
        }
        _ => Vec::new(),
    }
}

/// How the keys of an object are laid out.
struct Layout {
    is_flow: bool,
    column: usize,
    has_colon: bool,
    dash: &'static str,
}

fn fields(schema: &Json, cursor: &Cursor, beside: &[String], layout: &Layout) -> Vec<Candidate> {
    let is_there = |name: &str| beside.iter().any(|other| other == name);
    let rules = schema.as_object().map(MemberRules::of).unwrap_or_default();
    let excluded = rules.excluded(is_there);
    let left = schema::fields(schema).filter(|(name, ..)| !is_there(name));
    let offered = left.map(|(name, field, is_required)| Candidate {
        text: format!("{}{name}{}", layout.dash, after(field, layout)),
        detail: format!("{}{}", schema::kind(field), if is_required { ", required" } else { "" }),
        documentation: schema::documentation(name, field),
        rank: match (is_required, excluded.contains(&name)) {
            (_, true) => 8,
            (true, _) => 1,
            (false, _) => 5,
        },
        ..candidate(cursor, name, CompletionItemKind::FIELD)
    });
    offered.collect()
}

/// The text after a key: its colon, and the beginning of its value.
fn after(field: &Json, layout: &Layout) -> String {
    if layout.has_colon {
        return String::new();
    }
    if layout.is_flow {
        return ": ".to_owned();
    }
    let kind = field.get("type").and_then(Json::as_str);
    let has_fields = field.get("properties").and_then(Json::as_object).is_some_and(|all| !all.is_empty());
    let of_objects = field.pointer("/items/type").and_then(Json::as_str) == Some("object");
    match kind {
        Some("object") if has_fields => format!(":\n{}", " ".repeat(layout.column + 2)),
        // The dashes of a list are directly below its key, as in the shipped packs.
        Some("array") if of_objects => format!(":\n{}- ", " ".repeat(layout.column)),
        _ => ": ".to_owned(),
    }
}
