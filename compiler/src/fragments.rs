//! Merges the files of one pack: `pack.yaml` and the fragments of the same object next to it.
//!
//! Objects are merged member by member, and lists of named things are joined. Whatever two files both state
//! is a clash, reported with both places. The schema says which lists have names.

use semver::Version;
use serde_json::Value as Json;

use crate::check::{bw0114_wrong_document, bw0201_fragment_clash};
use crate::diagnostic::{Diagnostic, FieldPath, Place, Related};
use crate::source::PackSources;
use crate::yaml::{Entry, Limits, Node, Span, Text, Value, documents};

/// The text of a pack, merged.
#[derive(Debug)]
pub struct Merged {
    /// The one object; `None` if there is none, or if it is ambiguous.
    pub root: Option<Node>,
    /// The files.
    pub texts: Vec<Text>,
    /// The errors; every diagnostic has its place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads and merges the files of a pack.
#[must_use]
pub fn merge(sources: &PackSources) -> Merged {
    let mut files: Vec<_> = sources.files.iter().collect();
    // `pack.yaml` first, so that a clash is reported at the fragment; then by name, so that the digest is
    // stable.
    files.sort_by_key(|file| (file.name != "pack.yaml", file.name.as_str()));
    let mut merged = Merged { root: None, texts: Vec::new(), diagnostics: Vec::new() };
    let mut fragments = Vec::new();
    for (index, file) in files.into_iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let (nodes, text, diagnostics) = documents(index, &file.name, &file.bytes, &Limits::PACK);
        merged.texts.push(text);
        merged.diagnostics.extend(diagnostics);
        fragments.extend(nodes);
    }
    let unreadable = !merged.diagnostics.is_empty();
    for fragment in fragments {
        if let Some(problem) = wrong_document(&fragment, &merged.texts) {
            merged.diagnostics.push(problem);
            continue;
        }
        merged.root = Some(match merged.root.take() {
            None => fragment,
            Some(root) => {
                let mut merger = Merger { texts: &merged.texts, diagnostics: &mut merged.diagnostics };
                merger.merge(root, fragment, Some(&crate::schema_check::PACK), &FieldPath::root())
            }
        });
    }
    if merged.root.is_none() && merged.diagnostics.is_empty() {
        let file = merged.texts.first().map_or_else(|| "pack.yaml".to_owned(), |text| text.name.clone());
        merged.diagnostics.push(
            Diagnostic::new(bw0114_wrong_document::CODE, FieldPath::root(), "there is no PolicyPack here")
                .with_help("a pack begins with `apiVersion: bailiwick.dev/v1alpha1` and `kind: PolicyPack`")
                .with_place(Place { file, bytes: 0..0 }),
        );
    }
    if unreadable && merged.diagnostics.iter().any(|found| found.code.id() != "BW0106") {
        // A file that could not be read may hold anything, so the rest alone would be another pack.
        merged.root = None;
    }
    merged
}

/// Name and version that the text of a pack states, if that much can be read.
#[must_use]
pub fn identity(sources: &PackSources) -> Option<(String, Version)> {
    let root = merge(sources).root?;
    let spec = root.get("spec")?;
    Some((spec.get("pack")?.as_str()?.to_owned(), Version::parse(spec.get("version")?.as_str()?).ok()?))
}

fn place(span: Span, texts: &[Text]) -> Option<Place> {
    let text = texts.get(span.file as usize)?;
    Some(Place { file: text.name.clone(), bytes: span.range() })
}

fn wrong_document(node: &Node, texts: &[Text]) -> Option<Diagnostic> {
    let wrong = |at: FieldPath, span: Span, message: String| {
        let mut found = Diagnostic::new(bw0114_wrong_document::CODE, at, message).with_help(
            "a pack's folder holds one `PolicyPack` of `bailiwick.dev/v1alpha1` and fragments of it",
        );
        found.place = place(span, texts);
        found
    };
    if !matches!(node.value, Value::Map(_)) {
        return Some(wrong(
            FieldPath::root(),
            node.span,
            format!("expected a PolicyPack, found {}", node.kind()),
        ));
    }
    for (field, expected) in [("apiVersion", bailiwick_crds::API_VERSION), ("kind", "PolicyPack")] {
        match node.get(field) {
            Some(value) if value.as_str() == Some(expected) => {}
            Some(value) => {
                let message = format!("expected {field} `{expected}`");
                return Some(wrong(FieldPath::root().member(field), value.span, message));
            }
            None => return Some(wrong(FieldPath::root(), node.span, format!("field `{field}` is missing"))),
        }
    }
    None
}

struct Merger<'a> {
    texts: &'a [Text],
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Merger<'_> {
    fn merge(&mut self, first: Node, second: Node, schema: Option<&Json>, at: &FieldPath) -> Node {
        let identity = ["apiVersion", "kind", "metadata.name"].contains(&at.to_string().as_str());
        match (first.value, second.value) {
            (Value::Map(mut entries), Value::Map(more)) => {
                for entry in more {
                    self.member(&mut entries, entry, schema, at);
                }
                Node { value: Value::Map(entries), span: first.span, parameter: None }
            }
            (Value::List(items), Value::List(more)) => {
                let items = self.join(items, more, (first.span, second.span), schema, at);
                Node { value: Value::List(items), span: first.span, parameter: None }
            }
            (value, other) => {
                if !identity || value != other {
                    self.clash(at, first.span, second.span, "this field is stated in another file already");
                }
                Node { value, span: first.span, parameter: None }
            }
        }
    }

    fn member(&mut self, entries: &mut Vec<Entry>, entry: Entry, schema: Option<&Json>, at: &FieldPath) {
        let child =
            schema.and_then(|schema| schema.get("properties")).and_then(|known| known.get(&entry.key));
        let Some(existing) = entries.iter_mut().find(|existing| existing.key == entry.key) else {
            entries.push(entry);
            return;
        };
        let empty = Node { value: Value::Null, span: existing.value.span, parameter: None };
        let old = std::mem::replace(&mut existing.value, empty);
        existing.value = self.merge(old, entry.value, child, &at.member(entry.key));
    }

    fn join(
        &mut self,
        mut items: Vec<Node>,
        more: Vec<Node>,
        spans: (Span, Span),
        schema: Option<&Json>,
        at: &FieldPath,
    ) -> Vec<Node> {
        let key =
            schema.and_then(|schema| schema.pointer("/x-kubernetes-list-map-keys/0")).and_then(Json::as_str);
        let Some(key) = key else {
            self.clash(at, spans.0, spans.1, "this list is stated in another file already");
            return items;
        };
        let names: std::collections::BTreeMap<String, Span> = items
            .iter()
            .filter_map(|item| Some((item.get(key)?.as_str()?.to_owned(), item.get(key)?.span)))
            .collect();
        for item in more {
            let clash = item.get(key).and_then(|name| Some((names.get(name.as_str()?)?, name)));
            if let Some((first, name)) = clash {
                let message =
                    format!("`{}` is declared in another file already", name.as_str().unwrap_or_default());
                self.clash(&at.index(items.len()), *first, name.span, &message);
            } else {
                items.push(item);
            }
        }
        items
    }

    fn clash(&mut self, at: &FieldPath, first: Span, second: Span, message: &str) {
        let name = |span: Span| self.texts.get(span.file as usize).map_or("?", |text| text.name.as_str());
        let mut found = Diagnostic::new(bw0201_fragment_clash::CODE, at.clone(), message).with_help(format!(
            "keep it in `{}` or in `{}`",
            name(first),
            name(second)
        ));
        found.place = place(second, self.texts);
        found.related.push(Related {
            pack: None,
            at: at.clone(),
            place: place(first, self.texts),
            message: format!("first stated in `{}`", name(first)),
        });
        self.diagnostics.push(found);
    }
}
