//! The JSON Patch (RFC 6902) that turns one object into another, and the leaves that differ.
//!
//! The patch comes from comparing the objects, so missing parents are added with their content and nothing is
//! written that was there before. Lists of equal length are compared element by element; other lists are
//! replaced as a whole, because order has meaning in API objects.

use crate::decision::{PatchOp, PatchOperation};
use crate::json::Json;

use super::pointer::escape;

/// The operations that turn `before` into `after`.
pub(super) fn between(before: &Json<'_>, after: &Json<'_>) -> Vec<PatchOperation> {
    let mut operations = Vec::new();
    compare(before, after, &mut String::new(), &mut operations);
    operations
}

fn compare(before: &Json<'_>, after: &Json<'_>, path: &mut String, out: &mut Vec<PatchOperation>) {
    match (before, after) {
        (Json::Map(old), Json::Map(new)) => {
            for (key, _) in old.iter().filter(|(key, _)| new.get(key).is_none()) {
                within(path, key, |path| out.push(operation(PatchOp::Remove, path, None)));
            }
            for (key, value) in new.iter() {
                within(path, key, |path| match old.get(key) {
                    Some(old) => compare(old, value, path, out),
                    None => out.push(operation(PatchOp::Add, path, Some(value))),
                });
            }
        }
        (Json::List(old), Json::List(new)) if old.len() == new.len() => {
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                within(path, &at.to_string(), |path| compare(old, new, path, out));
            }
        }
        (old, new) if old == new => {}
        (_, new) => out.push(operation(PatchOp::Replace, path, Some(new))),
    }
}

fn operation(op: PatchOp, path: &str, value: Option<&Json<'_>>) -> PatchOperation {
    PatchOperation { op, path: path.to_owned(), value: value.map(to_value) }
}

fn within(path: &mut String, segment: &str, visit: impl FnOnce(&mut String)) {
    let len = path.len();
    path.push('/');
    path.push_str(&escape(segment));
    visit(path);
    path.truncate(len);
}

/// The leaves under a value, as pointer and value: scalars and empty containers.
pub(super) fn leaves<'j, 'a>(root: &str, value: &'j Json<'a>) -> Vec<(String, &'j Json<'a>)> {
    fn walk<'j, 'a>(value: &'j Json<'a>, path: &mut String, out: &mut Vec<(String, &'j Json<'a>)>) {
        match value {
            Json::Map(members) if !members.is_empty() => {
                for (key, value) in members.iter() {
                    within(path, key, |path| walk(value, path, out));
                }
            }
            Json::List(items) if !items.is_empty() => {
                for (at, value) in items.iter().enumerate() {
                    within(path, &at.to_string(), |path| walk(value, path, out));
                }
            }
            _ => out.push((path.clone(), value)),
        }
    }
    let mut out = Vec::new();
    walk(value, &mut root.to_owned(), &mut out);
    out
}

/// The same value for serde_json.
pub(super) fn to_value(json: &Json<'_>) -> serde_json::Value {
    use serde_json::Value;
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Int(value) => Value::from(*value),
        Json::Double(value) => Value::from(*value),
        Json::Str(text) => Value::String(text.clone().into_owned()),
        Json::List(items) => Value::Array(items.iter().map(to_value).collect()),
        Json::Map(members) => {
            Value::Object(members.iter().map(|(key, value)| (key.to_owned(), to_value(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(before: &str, after: &str, want: &Expect) {
        let (before, after) =
            (Json::parse(before.as_bytes()).unwrap(), Json::parse(after.as_bytes()).unwrap());
        let operations = between(&before, &after);
        let shown: Vec<_> = operations.iter().map(|one| serde_json::to_string(one).unwrap()).collect();
        want.assert_eq(&shown.join("\n"));
    }

    #[test]
    fn a_missing_parent_comes_with_its_content() {
        check(
            r#"{"metadata": {}}"#,
            r#"{"metadata": {"labels": {"a/b": "c"}}, "spec": {"x": 1}}"#,
            &expect![[r#"
                {"op":"add","path":"/metadata/labels","value":{"a/b":"c"}}
                {"op":"add","path":"/spec","value":{"x":1}}"#]],
        );
    }

    #[test]
    fn existing_parents_get_single_members_with_escaped_names() {
        check(
            r#"{"metadata": {"labels": {"x": "1", "gone": "1"}}, "list": [1, {"a": 1}], "other": [1]}"#,
            r#"{"metadata": {"labels": {"x": "2", "a/b~c": "d"}}, "list": [1, {"a": 2}], "other": []}"#,
            &expect![[r#"
                {"op":"remove","path":"/metadata/labels/gone"}
                {"op":"replace","path":"/metadata/labels/x","value":"2"}
                {"op":"add","path":"/metadata/labels/a~1b~0c","value":"d"}
                {"op":"replace","path":"/list/1/a","value":2}
                {"op":"replace","path":"/other","value":[]}"#]],
        );
    }

    #[test]
    fn equal_objects_need_no_patch() {
        check(r#"{"a": [1, {"b": 2}]}"#, r#"{"a": [1, {"b": 2}]}"#, &expect![""]);
    }
}
