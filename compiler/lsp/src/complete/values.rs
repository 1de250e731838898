//! Completion of values: the words of closed sets, names that the pack declares, parameters, and what only
//! the compiler knows.

use bailiwick_compiler::diagnostic::Segment;
use bailiwick_compiler::{authoring, syscalls};
use lsp_types::CompletionItemKind;
use serde_json::Value as Json;

use super::{Candidate, candidate, fields};
use crate::names::{self, Kind};
use crate::outline::{Node, Style};
use crate::place::{Cursor, Writes};
use crate::schema::{self, Language};
use crate::view::{View, members};

pub(super) fn candidates(schema: &Json, language: Language, cursor: &Cursor, view: &View) -> Vec<Candidate> {
    let mut found = fields::of_new(schema, cursor);
    found.extend(words(schema, cursor));
    if let Some(kind) = names::referred(language, &cursor.path) {
        found.extend(named(kind, language, cursor, view));
    }
    if language == Language::Pack {
        found.extend(parameters(schema, cursor, view));
    }
    found
}

/// The words of a closed set, with what each means.
fn words(schema: &Json, cursor: &Cursor) -> Vec<Candidate> {
    let default = schema::words(schema, "x-bailiwick-default").next();
    let word = |word: &str| Candidate {
        documentation: schema::about_word(schema, word).unwrap_or_default().to_owned(),
        detail: if Some(word) == default { "as if absent".to_owned() } else { String::new() },
        rank: 1,
        ..candidate(cursor, word, CompletionItemKind::ENUM_MEMBER)
    };
    let closed = schema::words(schema, "enum").map(word);
    let is_boolean = schema.get("type").and_then(Json::as_str) == Some("boolean");
    let booleans = ["true", "false"].into_iter().filter(|_| is_boolean);
    closed.chain(booleans.map(|word| candidate(cursor, word, CompletionItemKind::VALUE))).collect()
}

fn named(kind: Kind, language: Language, cursor: &Cursor, view: &View) -> Vec<Candidate> {
    let one = |name: &str, detail: &str| Candidate {
        detail: detail.to_owned(),
        rank: 1,
        ..candidate(cursor, name, CompletionItemKind::REFERENCE)
    };
    match kind {
        Kind::Syscall => syscalls::all().map(|name| one(name, "system call")).collect(),
        Kind::Resource => {
            let known = authoring::resources();
            known.map(|(group, version, plural, kind)| one(plural, &in_group(group, version, kind))).collect()
        }
        Kind::Pack => view.library.iter().map(|(name, _)| one(name, "pack of the library")).collect(),
        Kind::RegoFile => {
            let files =
                view.sources.iter().filter(|source| source.path.extension().is_some_and(|ext| ext == "rego"));
            let names = files.filter_map(|source| source.path.file_name()?.to_str());
            names.map(|name| one(name, "module of the pack")).collect()
        }
        Kind::Argument => arguments(cursor).iter().map(|name| one(name, "argument of the tool")).collect(),
        _ => {
            let here = declared_here(kind, language, cursor);
            let elsewhere = names::all(view, kind).into_iter().map(|named| named.name);
            let built_in = authoring::built_in_tools().iter().filter(|_| kind == Kind::Tool);
            let built_in = built_in.map(|name| (*name).to_owned());
            here.into_iter().chain(elsewhere).chain(built_in).map(|name| one(&name, &detail(kind))).collect()
        }
    }
}

fn in_group(group: &str, version: &str, kind: &str) -> String {
    if group.is_empty() { format!("{kind}, {version}") } else { format!("{kind}, {group}/{version}") }
}

fn detail(kind: Kind) -> String {
    match kind {
        Kind::RuntimeClass => "RuntimeClass".to_owned(),
        Kind::Approvers => "group of approvers".to_owned(),
        Kind::Egress => "egress rule".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// The declarations of the document under the cursor. It is not among the files of the view, because it is
/// being written.
fn declared_here(kind: Kind, language: Language, cursor: &Cursor) -> Vec<String> {
    let Some(root) = cursor.root().filter(|_| language == Language::Pack) else { return Vec::new() };
    let mut found = Vec::new();
    names::scalars(root, &mut Vec::new(), &mut |path, node| {
        if names::declared(language, path).contains(&kind) {
            found.extend(node.text(&cursor.marked));
        }
    });
    found
}

/// The arguments of the tool that contains the cursor.
fn arguments(cursor: &Cursor) -> Vec<String> {
    let tool = cursor.path.get(..4).and_then(|path| cursor.root()?.at(path));
    let properties = tool.and_then(|tool| tool.get("input")?.get("properties"));
    properties.map(Node::entries).unwrap_or_default().iter().map(|entry| entry.key.clone()).collect()
}

/// `"${name}"` for each parameter, where a parameter is allowed.
fn parameters(schema: &Json, cursor: &Cursor, view: &View) -> Vec<Candidate> {
    let Writes::Value { style, .. } = &cursor.writes else { return Vec::new() };
    let section = match cursor.path.get(1) {
        Some(Segment::Member(section)) => section.as_str(),
        _ => return Vec::new(),
    };
    let kind = schema.get("type").and_then(Json::as_str);
    let takes_none = ["pack", "version", "description", "extends", "parameters"].contains(&section)
        || matches!(kind, Some("boolean" | "array" | "object"));
    if takes_none {
        return Vec::new();
    }
    let path = members("spec.parameters");
    let own = cursor.root().and_then(|root| root.at(&path)).map(|list| (cursor.marked.as_str(), list));
    let lists = own.into_iter().chain(view.of_pack(&path).map(|(source, list)| (&*source.text, list)));
    let mut found = Vec::new();
    for (text, list) in lists {
        for item in list.items() {
            let word = |name: &str| item.get(name).and_then(|node| node.text(text));
            let Some(name) = word("name") else { continue };
            let written = format!("${{{name}}}");
            found.push(Candidate {
                text: if *style == Style::Plain { format!("\"{written}\"") } else { written.clone() },
                detail: word("type").unwrap_or_default(),
                documentation: word("description").unwrap_or_default(),
                rank: if cursor.typed.starts_with('$') { 0 } else { 6 },
                ..candidate(cursor, &written, CompletionItemKind::VARIABLE)
            });
        }
    }
    found
}
