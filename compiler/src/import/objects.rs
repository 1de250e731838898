//! Objects of the source with their places, and the losses found in them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ImportError, Kind, Loss, Source};

/// Longest name of a rule.
const MAX_NAME: usize = 63;

/// An object of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'s> {
    pub(super) file: &'s str,
    pub(super) value: &'s Value,
}

impl<'s> Object<'s> {
    /// `Kind/name`; empty for an object without a kind or name.
    pub(super) fn name(self) -> String {
        let text = |path: &str| self.value.pointer(path).and_then(Value::as_str);
        match (text("/kind"), text("/metadata/name")) {
            (Some(kind), Some(name)) => format!("{kind}/{name}"),
            (Some(kind), None) => kind.to_owned(),
            _ => String::new(),
        }
    }

    /// The name alone.
    pub(super) fn own_name(self) -> &'s str {
        self.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("unnamed")
    }

    pub(super) fn kind(self) -> &'s str {
        self.value.get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn at(self, path: &str) -> Option<&'s Value> {
        self.value.pointer(path).filter(|value| !value.is_null())
    }
}

/// The losses so far.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pub(super) all: Vec<Loss>,
    /// The file and object that a rule of the pack was made from, by the rule's name.
    made: BTreeMap<String, (String, String)>,
}

impl Losses {
    /// Notes what rules were made from, so that their later losses are reported for it.
    pub(super) fn made<'n>(&mut self, rules: impl IntoIterator<Item = &'n String>, object: Object<'_>) {
        let of = (object.file.to_owned(), object.name());
        self.made.extend(rules.into_iter().map(|rule| (rule.clone(), of.clone())));
    }

    /// A loss of a rule of the pack. For a rule made from several objects, it is reported for the first.
    pub(super) fn of_rule(
        &mut self,
        (rule, first): (&str, Object<'_>),
        path: &str,
        reason: impl Into<String>,
        widens: Widens,
    ) {
        let known = self.made.get(rule).cloned();
        let (file, name) = known.unwrap_or_else(|| (first.file.to_owned(), first.name()));
        let at = if name.is_empty() { path.to_owned() } else { format!("{name}: {path}") };
        self.all.push(Loss { file, at, reason: reason.into(), widens: widens == Widens::Yes });
    }

    pub(super) fn add(&mut self, object: Object<'_>, path: &str, reason: impl Into<String>, widens: Widens) {
        let name = object.name();
        let at = match (name.is_empty(), path.is_empty()) {
            (true, _) => path.to_owned(),
            (false, true) => name,
            (false, false) => format!("{name}: {path}"),
        };
        let loss =
            Loss { file: object.file.to_owned(), at, reason: reason.into(), widens: widens == Widens::Yes };
        self.all.push(loss);
    }

    /// A loss for each unknown member of a part of an object. What it restricts is unknown too, so it may
    /// widen.
    pub(super) fn unknown(&mut self, object: Object<'_>, part: &Value, path: &str, known: &[&str]) {
        for (name, value) in part.as_object().into_iter().flatten() {
            if !known.contains(&name.as_str()) && !value.is_null() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                self.add(
                    object,
                    &path,
                    "a field without an equivalent; what it restricts is not known",
                    Widens::Yes,
                );
            }
        }
    }
}

/// Whether a loss widens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Widens {
    /// The pack allows something that the source does not.
    Yes,
    /// The pack is as strict or stricter.
    No,
}

/// The objects of all files, with lists taken apart, which are of one kind; others are losses.
pub(super) fn sorted<'s>(
    kind: Option<Kind>,
    sources: &'s [Source],
    losses: &mut Losses,
) -> Result<(Kind, Vec<Object<'s>>), ImportError> {
    let mut all = Vec::new();
    for source in sources {
        for document in &source.documents {
            let items = document.get("items").and_then(Value::as_array);
            let is_list =
                document.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
            match items.filter(|_| is_list) {
                Some(items) => all.extend(items.iter().map(|value| Object { file: &source.name, value })),
                None if document.is_null() => {}
                None => all.push(Object { file: &source.name, value: document }),
            }
        }
    }
    let mut known = kind;
    let mut objects = Vec::new();
    for object in all {
        match (Kind::of(object.value), known) {
            (Some(kind), None) => {
                known = Some(kind);
                objects.push(object);
            }
            (Some(kind), Some(wanted)) if kind == wanted => objects.push(object),
            (Some(second), Some(first)) if kind.is_none() => {
                return Err(ImportError::Mixed { first: first.word(), second: second.word() });
            }
            _ => {
                let widens = if is_inert(object) { Widens::No } else { Widens::Yes };
                losses.add(object, "", "an object of another kind was left out", widens);
            }
        }
    }
    match known {
        Some(kind) if !objects.is_empty() => Ok((kind, objects)),
        _ => {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            Err(ImportError::Unknown(names.join(", ")))
        }
    }
}

/// Whether an object by itself is known to restrict nothing.
fn is_inert(object: Object<'_>) -> bool {
    let is_core = object.value.get("apiVersion").and_then(Value::as_str) == Some("v1");
    let is_bare =
        object.at("/metadata/labels").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
    match object.kind() {
        "ConfigMap" | "Secret" | "Service" | "ServiceAccount" => is_core,
        // Its labels may require a Pod Security level, or be selected.
        "Namespace" => is_core && is_bare,
        _ => false,
    }
}

/// A name in the form that packs use: a DNS label, distinct from those that are taken.
pub(super) fn label(text: &str, taken: &[String]) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' };
    let mut name: String = text.chars().map(plain).take(MAX_NAME).collect();
    name = name.trim_matches('-').to_owned();
    if name.is_empty() || !name.starts_with(|char: char| char.is_ascii_lowercase()) {
        name.insert_str(0, "r-");
        name = name.trim_end_matches('-').chars().take(MAX_NAME).collect();
    }
    let mut one = name.clone();
    let mut number = 2_u32;
    while taken.contains(&one) {
        let suffix = format!("-{number}");
        let room = MAX_NAME.saturating_sub(suffix.len());
        let begin: String = name.chars().take(room).collect();
        one = format!("{}{suffix}", begin.trim_end_matches('-'));
        number = number.saturating_add(1);
    }
    one
}
