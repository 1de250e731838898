//! Reads a list of namespaces with their labels, for `bailiwick review --namespaces` and the webhook.
//!
//! Accepts the forms that Kubernetes' tools print: a `v1` List or `NamespaceList`, Namespace objects as one
//! or several YAML documents, or a bare list of them; YAML or JSON. An object of another kind is an error: a
//! file meant for something else must not read as "no namespaces".

use std::collections::BTreeMap;

use bailiwick_policy::admission::Namespaces;
use serde_json::{Map, Value};

/// Limit on nodes and events of the YAML text: some 10,000 namespaces as kubectl prints them, with managed
/// fields.
const MAX_NODES: usize = 5_000_000;

/// Why a text cannot be read as namespaces.
#[derive(Debug, thiserror::Error)]
pub enum NamespacesError {
    /// Not text.
    #[error("the namespaces are not UTF-8")]
    NotUtf8,
    /// Neither YAML nor JSON; the message has line and column.
    #[error("the namespaces are neither YAML nor JSON: {0}")]
    Syntax(String),
    /// An object that is not a namespace.
    #[error("`{at}` is not a Namespace but {found}; write them with `kubectl get namespaces -o yaml`")]
    Kind {
        /// Where, such as `items[3]`.
        at: String,
        /// What is there.
        found: String,
    },
    /// A namespace without a usable name or labels.
    #[error("`{at}` must be {expected}")]
    Field {
        /// Where, such as `items[3].metadata.name`.
        at: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The same name twice; the labels could differ.
    #[error("namespace `{0}` stands twice in the file")]
    Twice(String),
}

/// Reads namespaces and their labels.
///
/// # Errors
/// See [`NamespacesError`]. An empty text is an empty list: no namespace is known.
pub fn read(text: &str) -> Result<Namespaces, NamespacesError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: MAX_NODES, max_events: 2 * MAX_NODES },
        with_snippet: false,
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| NamespacesError::Syntax(error.to_string()))?;
    let mut labels = BTreeMap::new();
    let single = documents.len() == 1;
    for (index, document) in documents.iter().enumerate() {
        let at = if single { String::new() } else { format!("document {}", index + 1) };
        take(document, &at, &mut labels)?;
    }
    Ok(Namespaces::new(labels))
}

type Labels = BTreeMap<String, BTreeMap<String, String>>;

/// Adds the namespaces of a document: one, or a list.
fn take(value: &Value, at: &str, into: &mut Labels) -> Result<(), NamespacesError> {
    let items = match value {
        Value::Array(items) => Some((items.as_slice(), String::new())),
        Value::Object(object) if is_list(object) => match object.get("items") {
            Some(Value::Array(items)) => Some((items.as_slice(), "items".to_owned())),
            None | Some(Value::Null) => Some((&[] as &[Value], "items".to_owned())),
            Some(_) => return Err(NamespacesError::Field { at: join(at, "items"), expected: "a list" }),
        },
        _ => None,
    };
    let Some((items, name)) = items else { return take_one(value, at, into) };
    for (index, item) in items.iter().enumerate() {
        take_one(item, &join(at, &format!("{name}[{index}]")), into)?;
    }
    Ok(())
}

fn is_list(object: &Map<String, Value>) -> bool {
    matches!(object.get("kind").and_then(Value::as_str), Some("List" | "NamespaceList"))
}

fn take_one(value: &Value, at: &str, into: &mut Labels) -> Result<(), NamespacesError> {
    let shown = |field: &str| join(at, field);
    let kind = |found: String| NamespacesError::Kind {
        at: if at.is_empty() { "the file".into() } else { at.into() },
        found,
    };
    let object = value.as_object().ok_or_else(|| kind("no object".into()))?;
    let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    match (api_version, object.get("kind").and_then(Value::as_str).unwrap_or_default()) {
        ("v1", "Namespace") => {}
        (_, "") => return Err(kind("an object without `kind`".into())),
        (group, found) => return Err(kind(format!("`{group}` `{found}`"))),
    }
    let name = value.pointer("/metadata/name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name =
        name.ok_or_else(|| NamespacesError::Field { at: shown("metadata.name"), expected: "a name" })?;
    let mut labels = BTreeMap::new();
    match value.pointer("/metadata/labels") {
        None | Some(Value::Null) => {}
        Some(Value::Object(members)) => {
            for (key, value) in members {
                let at = || shown(&format!("metadata.labels[{key}]"));
                let text = value
                    .as_str()
                    .ok_or_else(|| NamespacesError::Field { at: at(), expected: "a string" })?;
                labels.insert(key.clone(), text.to_owned());
            }
        }
        Some(_) => {
            return Err(NamespacesError::Field {
                at: shown("metadata.labels"),
                expected: "a map of strings",
            });
        }
    }
    if into.insert(name.to_owned(), labels).is_some() {
        return Err(NamespacesError::Twice(name.to_owned()));
    }
    Ok(())
}

fn join(at: &str, field: &str) -> String {
    match (at.is_empty(), field.starts_with('[')) {
        (true, _) => field.to_owned(),
        (false, true) => format!("{at}{field}"),
        (false, false) => format!("{at}.{field}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, label: &str) -> Namespaces {
        let labels = BTreeMap::from([("team".to_owned(), label.to_owned())]);
        Namespaces::new(BTreeMap::from([(name.to_owned(), labels)]))
    }

    #[test]
    fn every_form_that_kubernetes_prints_reads_the_same() {
        let item = r#"{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {team: red}}, spec: {finalizers: [kubernetes]}}"#;
        let json = r#"{"apiVersion":"v1","kind":"List","metadata":{},"items":[{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","labels":{"team":"red"}}}]}"#;
        for text in [
            item.to_owned(),
            format!("---\n{item}\n---\n"),
            format!("[{item}]"),
            format!("apiVersion: v1\nkind: List\nitems:\n- {item}\n"),
            format!("apiVersion: v1\nkind: NamespaceList\nitems: [{item}]\n"),
            json.to_owned(),
        ] {
            assert_eq!(read(&text).expect(&text), one("a", "red"), "{text}");
        }
        let two = read(&format!("{item}\n---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: b}}}}"))
            .expect("two");
        assert_eq!(two.len(), 2);
        assert!(read("").expect("nothing").is_empty());
        assert!(read("apiVersion: v1\nkind: List\nitems: []").expect("none").is_empty());
    }

    #[test]
    fn what_is_no_namespace_is_refused_with_its_place() {
        for (text, expected) in [
            ("a: [", "neither YAML nor JSON"),
            ("3", "`the file` is not a Namespace but no object"),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: a}}",
                "`the file` is not a Namespace but `v1` `Pod`",
            ),
            (
                "apiVersion: v1\nkind: List\nitems: [{kind: ConfigMap, apiVersion: v1}]",
                "`items[0]` is not a Namespace but `v1` `ConfigMap`",
            ),
            ("[{apiVersion: v1, kind: Namespace}]", "`[0].metadata.name` must be a name"),
            (
                "[{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {team: 7}}}]",
                "`[0].metadata.labels[team]` must be a string",
            ),
            (
                "[{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: red}}]",
                "`[0].metadata.labels` must be a map of strings",
            ),
            ("apiVersion: v1\nkind: List\nitems: 3", "`items` must be a list"),
            (
                "- &a {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- *a",
                "namespace `a` stands twice",
            ),
            (
                "{apiVersion: v1, kind: Namespace, kind: Namespace, metadata: {name: a}}",
                "neither YAML nor JSON",
            ),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
