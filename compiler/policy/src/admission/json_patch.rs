//! Applying what a mutation's expression gives: a list of JSON Patch operations (RFC 6902), or a partial object.

use std::borrow::Cow;

use crate::json::{Json, Map};

use super::pointer::{add, get, remove, segments, set};

/// The most operations of one patch; the API server's own limit.
const MAX_OPERATIONS: usize = 10_000;

/// Applies a list of operations in order. Objects on the way of an `add` are made, which RFC 6902 would have the author do.
pub(super) fn apply(object: &mut Json<'_>, operations: &Json<'static>) -> Result<(), String> {
    let Json::List(operations) = operations else {
        return Err("the expression gives no list of operations".to_owned());
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(format!("the expression gives more than {MAX_OPERATIONS} operations"));
    }
    for (at, operation) in operations.iter().enumerate() {
        one(object, operation).map_err(|error| format!("operation {at}: {error}"))?;
    }
    Ok(())
}

fn one(object: &mut Json<'_>, operation: &Json<'static>) -> Result<(), String> {
    let text = |name: &str| {
        operation
            .get(name)
            .and_then(Json::as_str)
            .ok_or_else(|| format!("`{name}` is missing or is not a string"))
    };
    let path = segments(text("path")?).map_err(|error| error.to_string())?;
    let value = || operation.get("value").cloned().ok_or_else(|| "`value` is missing".to_owned());
    let from =
        || -> Result<Vec<String>, String> { segments(text("from")?).map_err(|error| error.to_string()) };
    match text("op")? {
        "add" => put(object, &path, value()?),
        "replace" => match get(object, &path) {
            Some(_) => set(object, &path, value()?).map_err(|error| error.to_string()),
            None => Err("the target of `replace` does not exist".to_owned()),
        },
        "remove" => remove(object, &path).map(drop).map_err(|error| error.to_string()),
        "test" if get(object, &path) == Some(&value()?) => Ok(()),
        "test" => Err("`test` does not hold".to_owned()),
        "copy" => {
            let copied = get(object, &from()?).cloned().ok_or("the source of `copy` does not exist")?;
            put(object, &path, copied)
        }
        "move" => {
            let moved = remove(object, &from()?).map_err(|error| error.to_string())?;
            put(object, &path, moved)
        }
        other => Err(format!("`{other}` is no operation of JSON Patch")),
    }
}

fn put<'a>(object: &mut Json<'a>, path: &[String], value: Json<'a>) -> Result<(), String> {
    let parents = path.split_last().map_or(&[][..], |(_, parents)| parents);
    let result = match get(object, parents) {
        None | Some(Json::Null) => set(object, path, value),
        Some(_) => add(object, path, value),
    };
    result.map_err(|error| error.to_string())
}

/// Merges a partial object: objects member by member, everything else replaced.
pub(super) fn merge<'a>(object: &mut Json<'a>, partial: Json<'a>) {
    match (object, partial) {
        (Json::Map(members), Json::Map(partial)) => {
            // A null says nothing: the partial object leaves a field out by not naming it.
            for (key, value) in partial.into_iter().filter(|(_, value)| *value != Json::Null) {
                match members.get_mut(&key) {
                    Some(member) => merge(member, value),
                    None => {
                        let mut fresh =
                            if value.as_map().is_some() { Json::Map(Map::new()) } else { Json::Null };
                        merge(&mut fresh, value);
                        members.insert(Cow::Owned(key.into_owned()), fresh);
                    }
                }
            }
        }
        (object, value) => *object = value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(object: &str, operations: &str) -> Result<String, String> {
        let mut object = Json::parse(object.as_bytes()).unwrap();
        let operations = Json::parse(operations.as_bytes()).unwrap().into_owned();
        apply(&mut object, &operations)?;
        Ok(serde_json::to_string(&object).unwrap())
    }

    #[test]
    fn operations_are_those_of_rfc_6902_and_parents_are_made() {
        for (object, operations, want) in [
            (r#"{}"#, r#"[{"op":"add","path":"/a/b~1c","value":1}]"#, Ok(r#"{"a":{"b/c":1}}"#)),
            (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/-","value":2}]"#, Ok(r#"{"a":[1,2]}"#)),
            (r#"{"a":1}"#, r#"[{"op":"replace","path":"/a","value":2}]"#, Ok(r#"{"a":2}"#)),
            (r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/b"}]"#, Ok(r#"{"b":1}"#)),
            (r#"{"a":1}"#, r#"[{"op":"copy","from":"/a","path":"/b"}]"#, Ok(r#"{"a":1,"b":1}"#)),
            (
                r#"{"a":1}"#,
                r#"[{"op":"test","path":"/a","value":1},{"op":"remove","path":"/a"}]"#,
                Ok(r#"{}"#),
            ),
            (
                r#"{}"#,
                r#"[{"op":"replace","path":"/a","value":2}]"#,
                Err("operation 0: the target of `replace` does not exist"),
            ),
            (
                r#"{"a":1}"#,
                r#"[{"op":"test","path":"/a","value":2}]"#,
                Err("operation 0: `test` does not hold"),
            ),
            (r#"{}"#, r#"[{"op":"remove","path":"/a"}]"#, Err("operation 0: `a` does not exist")),
            (
                r#"{}"#,
                r#"[{"op":"jump","path":"/a"}]"#,
                Err("operation 0: `jump` is no operation of JSON Patch"),
            ),
            (r#"{}"#, r#"{"op":"add"}"#, Err("the expression gives no list of operations")),
        ] {
            assert_eq!(
                patched(object, operations),
                want.map(str::to_owned).map_err(str::to_owned),
                "{operations}"
            );
        }
    }

    #[test]
    fn maps_merge_and_lists_replace() {
        let mut object = Json::parse(br#"{"a": {"b": 1}, "l": [1, 2], "x": 1}"#).unwrap();
        merge(
            &mut object,
            Json::parse(br#"{"a": {"c": 2}, "l": [3], "x": null, "n": {"m": null}}"#).unwrap(),
        );
        assert_eq!(object, Json::parse(br#"{"a": {"b": 1, "c": 2}, "l": [3], "x": 1, "n": {}}"#).unwrap());
    }
}
