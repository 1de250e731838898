//! Applying a list of JSON Patch operations (RFC 6902), which a mutation's expression returns.

use crate::json::Json;

use super::allowance::Allowance;
use super::pointer::{MAX_SEGMENTS, PointerError, add, get, remove, segments, set};

/// The most operations of one patch; the API server's own limit.
const MAX_OPERATIONS: usize = 10_000;

/// Applies a list of operations in order. `add` creates missing objects on the way, which RFC 6902 leaves to
/// the author.
pub(super) fn apply(object: &mut Json<'_>, operations: &Json<'static>) -> Result<(), String> {
    let Json::List(operations) = operations else {
        return Err("the expression gives no list of operations".to_owned());
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(format!("the expression gives more than {MAX_OPERATIONS} operations"));
    }
    let mut allowance = Allowance::new();
    for (at, operation) in operations.iter().enumerate() {
        one(object, operation, &mut allowance).map_err(|error| format!("operation {at}: {error}"))?;
    }
    Ok(())
}

fn one(object: &mut Json<'_>, operation: &Json<'static>, allowance: &mut Allowance) -> Result<(), String> {
    let text = |name: &str| {
        operation
            .get(name)
            .and_then(Json::as_str)
            .ok_or_else(|| format!("`{name}` is missing or is not a string"))
    };
    let pointer = |name: &str| within_bounds(text(name)?).map_err(|error| error.to_string());
    let path = pointer("path")?;
    let value = || operation.get("value").ok_or_else(|| "`value` is missing".to_owned());
    match text("op")? {
        "add" => {
            allowance.take(&path, value()?)?;
            put(object, &path, value()?.clone())
        }
        "replace" if get(object, &path).is_none() => Err("the target of `replace` does not exist".to_owned()),
        "replace" => {
            allowance.take(&path, value()?)?;
            set(object, &path, value()?.clone()).map_err(|error| error.to_string())
        }
        "remove" => remove(object, &path).map(drop).map_err(|error| error.to_string()),
        "test" if get(object, &path) == Some(value()?) => Ok(()),
        "test" => Err("`test` does not hold".to_owned()),
        "copy" => {
            let copied = get(object, &pointer("from")?).ok_or("the source of `copy` does not exist")?;
            allowance.take(&path, copied)?;
            let copied = copied.clone();
            put(object, &path, copied)
        }
        "move" => {
            let moved = remove(object, &pointer("from")?).map_err(|error| error.to_string())?;
            allowance.take(&path, &moved)?;
            put(object, &path, moved)
        }
        other => Err(format!("`{other}` is not an operation of JSON Patch")),
    }
}

/// The segments of a pointer that is short enough to be written to.
fn within_bounds(pointer: &str) -> Result<Vec<String>, PointerError> {
    // Counted before anything is allocated for it.
    let count = pointer.bytes().filter(|byte| *byte == b'/').count();
    if count > MAX_SEGMENTS { Err(PointerError::TooDeep(count)) } else { segments(pointer) }
}

fn put<'a>(object: &mut Json<'a>, path: &[String], value: Json<'a>) -> Result<(), String> {
    let parents = path.split_last().map_or(&[][..], |(_, parents)| parents);
    let result = match get(object, parents) {
        None | Some(Json::Null) => set(object, path, value),
        Some(_) => add(object, path, value),
    };
    result.map_err(|error| error.to_string())
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
                Err("operation 0: `jump` is not an operation of JSON Patch"),
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
    fn no_operation_makes_what_nobody_can_walk() {
        let deep = format!(r#"[{{"op":"add","path":"{}","value":1}}]"#, "/a".repeat(100_000));
        assert!(patched("{}", &deep).unwrap_err().contains("100000 segments"));
        // Each operation is short, but together they nest deep.
        let step = format!(
            r#"{{"op":"move","from":"/a","path":"/b"}},{{"op":"move","from":"/b","path":"{}"}}"#,
            "/a".repeat(60)
        );
        let steps = vec![step; 40].join(",");
        assert!(patched(r#"{"a":1}"#, &format!("[{steps}]")).unwrap_err().contains("127 levels"));
        let doubled: Vec<String> =
            (0..40).map(|at| format!(r#"{{"op":"copy","from":"/spec","path":"/spec/x{at}"}}"#)).collect();
        let grown = patched(r#"{"spec":{"a":"0123456789abcdef"}}"#, &format!("[{}]", doubled.join(",")));
        assert!(grown.unwrap_err().contains("writes more than"));
        // A long name above many values: each of them counts with its whole path.
        let under = format!("/{}", "k".repeat(1 << 20));
        let wide = format!(r#"[{{"op":"copy","from":"/l","path":"{under}"}}]"#);
        let numbers = vec!["1"; 100_000].join(",");
        assert!(patched(&format!(r#"{{"l":[{numbers}]}}"#), &wide).unwrap_err().contains("writes more than"));
    }
}
