//! Go to definition and find references.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bailiwick_compiler::cel::MAX_SOURCE_BYTES;
use bailiwick_compiler::diagnostic::Segment;

use crate::expression;
use crate::limits::MAX_REFERENCES;
use crate::names::{self, Kind};
use crate::outline::{Node, On, Value, decode};
use crate::schema;
use crate::view::{Owner, Source, View, members};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The file.
    pub path: PathBuf,
    /// Byte range in its text.
    pub bytes: Range<usize>,
}

impl Target {
    fn start_of(path: PathBuf) -> Self {
        Self { path, bytes: 0..0 }
    }
}

/// A name in a text: its kind and, for a variable or an argument, where it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Meaning {
    name: String,
    kind: Kind,
}

/// Where the name at an offset is declared.
#[must_use]
pub fn definitions(source: &Source, offset: usize, view: &View) -> Vec<Target> {
    let Some(spot) = source.outline.at(offset) else { return Vec::new() };
    let On::Value(node) = spot.on else { return Vec::new() };
    if let Some(variable) = variable(source, node, &spot.path, spot.root, offset) {
        return vec![variable];
    }
    let Some(meaning) = meaning(source, node, &spot.path, offset) else { return Vec::new() };
    match meaning.kind {
        Kind::Argument => argument(source, &spot.path, spot.root, &meaning.name).into_iter().collect(),
        Kind::Pack => {
            let found = view.library.iter().find(|(name, _)| *name == meaning.name);
            found.map(|(_, shelf)| Target::start_of(shelf.join("pack.yaml"))).into_iter().collect()
        }
        Kind::RegoFile => {
            let is_it =
                |path: &Path| path.file_name().and_then(|name| name.to_str()) == Some(meaning.name.as_str());
            let files = view.sources.iter().filter(|one| one.language.is_none() && is_it(&one.path));
            files.map(|one| Target::start_of(one.path.clone())).collect()
        }
        kind => declarations(view, kind, &meaning.name),
    }
}

/// Every reference to the name at an offset, which may be a reference or a declaration.
#[must_use]
pub fn references(source: &Source, offset: usize, view: &View, with_declaration: bool) -> Vec<Target> {
    let Some(spot) = source.outline.at(offset) else { return Vec::new() };
    let On::Value(node) = spot.on else { return Vec::new() };
    let Some(language) = source.language else { return Vec::new() };
    let declared = names::declared(language, &spot.path);
    let (name, kinds) = if declared.is_empty() {
        let Some(meaning) = meaning(source, node, &spot.path, offset) else { return Vec::new() };
        (meaning.name, vec![meaning.kind])
    } else {
        (node.text(&source.text).unwrap_or_default(), declared)
    };
    let mut found = Vec::new();
    for file in view.sources.iter().filter(|file| file.of == Owner::Own) {
        for root in &file.outline.documents {
            names::scalars(root, &mut Vec::new(), &mut |path, scalar| {
                if found.len() < MAX_REFERENCES {
                    found.extend(mentions(file, scalar, path, &name, &kinds));
                }
            });
        }
    }
    if with_declaration {
        found.extend(kinds.iter().flat_map(|kind| declarations(view, *kind, &name)));
    }
    found.sort_by(|a, b| (&a.path, a.bytes.start, a.bytes.end).cmp(&(&b.path, b.bytes.start, b.bytes.end)));
    found.dedup();
    found
}

fn declarations(view: &View, kind: Kind, name: &str) -> Vec<Target> {
    let found = names::all(view, kind).into_iter().filter(|named| named.name == name);
    let mut targets: Vec<Target> =
        found.map(|named| Target { path: named.source.path.clone(), bytes: named.span }).collect();
    targets.dedup();
    targets
}

/// What the name at an offset of a scalar refers to.
fn meaning(source: &Source, node: &Node, path: &[Segment], offset: usize) -> Option<Meaning> {
    let language = source.language?;
    let text = node.text(&source.text)?;
    if let Some(name) = parameter(&text) {
        return Some(Meaning { name: name.to_owned(), kind: Kind::Parameter });
    }
    if let Some(kind) = names::referred(language, path) {
        return Some(Meaning { name: text, kind });
    }
    let Value::Scalar(style) = node.value else { return None };
    is_expression(source, path).then(|| decode(&source.text, &node.span, style)).and_then(|decoded| {
        let (_, chain, _) = expression::name_at(&decoded.text, decoded.offset(offset))?;
        of_chain(&chain)
    })
}

/// What a chain in an expression names from the pack.
fn of_chain(chain: &str) -> Option<Meaning> {
    let kinds = [
        ("params.", Kind::Parameter),
        ("session.counters.", Kind::Counter),
        ("session.budgets.", Kind::Budget),
    ];
    kinds.iter().find_map(|(prefix, kind)| {
        let name = chain.strip_prefix(prefix)?;
        (!name.contains(['.', '(', '['])).then(|| Meaning { name: name.to_owned(), kind: *kind })
    })
}

fn parameter(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}')
}

fn is_expression(source: &Source, path: &[Segment]) -> bool {
    let field = source.language.and_then(|language| schema::at(language.schema(), path));
    field.is_some_and(schema::is_cel)
}

/// The variable of the enclosing rule that an expression names.
fn variable(source: &Source, node: &Node, path: &[Segment], root: &Node, offset: usize) -> Option<Target> {
    let Value::Scalar(style) = node.value else { return None };
    if !is_expression(source, path) {
        return None;
    }
    let decoded = decode(&source.text, &node.span, style);
    let (_, chain, _) = expression::name_at(&decoded.text, decoded.offset(offset))?;
    let name = chain.strip_prefix("variables.")?;
    let rule = root.at(path.get(..4)?)?;
    let mut all = rule.get("variables")?.items().iter().filter_map(|item| item.get("name"));
    let found = all.rfind(|node| node.text(&source.text).as_deref() == Some(name))?;
    Some(Target { path: source.path.clone(), bytes: found.span.clone() })
}

/// The argument in the schema of the enclosing tool.
fn argument(source: &Source, path: &[Segment], root: &Node, name: &str) -> Option<Target> {
    let tool = root.at(path.get(..4)?)?;
    let entries = tool.at(&members("input.properties"))?.entries();
    let found = entries.iter().find(|entry| entry.key == name)?;
    Some(Target { path: source.path.clone(), bytes: found.key_span.clone() })
}

/// Where a scalar mentions a name of one of these kinds.
fn mentions(source: &Source, node: &Node, path: &[Segment], name: &str, kinds: &[Kind]) -> Vec<Target> {
    let (Some(language), Value::Scalar(style)) = (source.language, &node.value) else { return Vec::new() };
    let at = |bytes: Range<usize>| Target { path: source.path.clone(), bytes };
    let is_meant = |kind: Kind| kinds.contains(&kind);
    if names::referred(language, path).is_some_and(is_meant) {
        return if node.text(&source.text).as_deref() == Some(name) {
            vec![at(node.span.clone())]
        } else {
            Vec::new()
        };
    }
    let raw = source.text.get(node.span.clone()).unwrap_or_default();
    if !raw.contains(name) {
        return Vec::new();
    }
    let decoded = decode(&source.text, &node.span, *style);
    if is_meant(Kind::Parameter) && parameter(&decoded.text) == Some(name) {
        return vec![at(node.span.clone())];
    }
    if !is_expression(source, path) {
        return Vec::new();
    }
    in_expression(&decoded.text, name, kinds)
        .into_iter()
        .filter_map(|range| Some(at(decoded.source(range.start)?..decoded.source(range.end)?)))
        .collect()
}

/// Where an expression mentions the name.
fn in_expression(text: &str, name: &str, kinds: &[Kind]) -> Vec<Range<usize>> {
    if text.len() > MAX_SOURCE_BYTES {
        return Vec::new();
    }
    let found = text.match_indices(name).filter_map(|(at, _)| {
        let (range, chain, _) = expression::name_at(text, at)?;
        let meaning = of_chain(&chain)?;
        (meaning.name == name && kinds.contains(&meaning.kind) && range.start == at).then_some(range)
    });
    found.take(MAX_REFERENCES).collect()
}
