//! Hover: what a field is for, what a word means, the type of a part of an expression, and what the line
//! compiles to.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use bailiwick_compiler::cel::offer;
use bailiwick_compiler::diagnostic::Segment;

use crate::analysis::{Analysis, Meant};
use crate::contexts;
use crate::expression;
use crate::limits::MAX_STATEMENTS;
use crate::outline::{Node, On, Spot, Value, decode};
use crate::schema;
use crate::view::{Source, View};

/// The hover text at an offset, in Markdown, and its byte range.
#[must_use]
pub fn hover(
    source: &Source,
    offset: usize,
    view: &View,
    analysis: Option<&Analysis>,
) -> Option<(String, Range<usize>)> {
    let language = source.language?;
    let spot = source.outline.at(offset)?;
    let (name, span) = match spot.on {
        On::Key(entry) => (entry.key.clone(), entry.key_span.clone()),
        On::Value(node) if matches!(node.value, Value::Scalar(_)) => {
            (last_name(&spot.path), node.span.clone())
        }
        On::Value(_) => return None,
    };
    let field = schema::at(language.schema(), &spot.path);
    let mut parts = Vec::new();
    let mut range = span;
    if let Some(field) = field {
        match spot.on {
            On::Value(node) if schema::is_cel(field) => {
                if let Some((text, at)) = of_expression(node, &spot, offset, source, view) {
                    parts.push(text);
                    range = at;
                }
            }
            On::Value(node) => parts.extend(of_word(node, field, source)),
            On::Key(_) => {}
        }
        if parts.is_empty() {
            parts.push(schema::documentation(&name, field));
        }
    }
    if let Some(analysis) = analysis {
        parts.extend(compiled(&source.path, offset, &spot, analysis));
    }
    if parts.is_empty() { None } else { Some((parts.join("\n\n---\n\n"), range)) }
}

fn last_name(path: &[Segment]) -> String {
    let named = path.iter().rev().find_map(|step| match step {
        Segment::Member(name) => Some(name.clone()),
        Segment::Index(_) => None,
    });
    named.unwrap_or_default()
}

/// What a word of a closed set means.
fn of_word(node: &Node, field: &serde_json::Value, source: &Source) -> Option<String> {
    let word = node.text(&source.text)?;
    Some(format!("`{word}`: {}", schema::about_word(field, &word)?))
}

/// The type of the part of an expression that ends in the name under the cursor.
fn of_expression(
    node: &Node,
    spot: &Spot<'_>,
    offset: usize,
    source: &Source,
    view: &View,
) -> Option<(String, Range<usize>)> {
    let Value::Scalar(style) = node.value else { return None };
    let decoded = decode(&source.text, &node.span, style);
    let (name, chain, is_called) = expression::name_at(&decoded.text, decoded.offset(offset))?;
    let at = decoded.source(name.start)?..decoded.source(name.end)?;
    let context = contexts::of(&spot.path, spot.root, &source.text, view)?;
    if is_called {
        let word = decoded.text.get(name)?;
        let found = offer::signatures(&chain, &context).or_else(|| offer::signatures(word, &context))?;
        return Some((format!("```text\n{found}\n```"), at));
    }
    let around = expression::macros_at(&decoded.text, name.start);
    let of = expression::type_of(&chain, &around, &context)?;
    Some((format!("```text\n{chain}: {of}\n```"), at))
}

/// The field for statements with this last word in their id.
fn field_of(about: &str) -> String {
    if about == "files" { "filesystem".to_owned() } else { about.to_owned() }
}

/// What the line compiles to: the statements of the nearest field around the cursor that has any; on a key,
/// those of its contents.
fn compiled(file: &Path, offset: usize, spot: &Spot<'_>, analysis: &Analysis) -> Option<String> {
    let of_file = |one: &&Meant| one.file == file;
    let around = analysis.meant.iter().filter(of_file).filter(|one| one.bytes.contains(&offset));
    let held = match spot.on {
        On::Key(entry) => entry.value.span.clone(),
        On::Value(_) => 0..0,
    };
    let inside = analysis.meant.iter().filter(of_file);
    let inside: Vec<&Meant> =
        inside.filter(|one| held.start <= one.bytes.start && one.bytes.end <= held.end).collect();
    let chosen: Vec<&Meant> = if inside.is_empty() {
        let all: Vec<&Meant> = around.collect();
        let least = all.iter().map(|one| one.bytes.len()).min()?;
        all.into_iter().filter(|one| one.bytes.len() == least).collect()
    } else {
        inside
    };
    // A sandbox has statements about its limits, files and network: on one of these fields, only its own are
    // shown.
    let is_near = |one: &&&Meant| spot.path.iter().any(|step| *step == Segment::Member(field_of(&one.about)));
    let is_narrow = chosen.iter().any(|one| is_near(&one));
    let said = |is_file: bool| -> BTreeSet<&str> {
        let all =
            chosen.iter().filter(|one| one.is_file == is_file && (is_file || !is_narrow || is_near(one)));
        all.map(|one| &*one.says).collect()
    };
    let (statements, files) = (said(false), said(true));
    let mut text = String::from("Compiles to");
    for one in statements.iter().take(MAX_STATEMENTS) {
        text.push_str(&format!("\n- {one}"));
    }
    if statements.len() > MAX_STATEMENTS {
        text.push_str(&format!("\n- and {} more", statements.len() - MAX_STATEMENTS));
    }
    if !files.is_empty() {
        let files: Vec<&str> = files.into_iter().collect();
        text.push_str(&format!("\n\nin {}", files.join(", ")));
    }
    Some(text)
}
