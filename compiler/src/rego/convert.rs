//! Converts documents of a review to regorus' values, and its results to messages.

use std::collections::BTreeMap;

use bailiwick_policy::admission::rego::Documents;
use bailiwick_policy::ir::Const;
use bailiwick_policy::json::Json;
use regorus::Value;

/// The input of a rule. A document with two names (`request`, and `review` as in Gatekeeper) is shared, not
/// copied.
pub(super) fn input(documents: Documents<'_>) -> Value {
    let object = value(documents.object);
    let old_object = documents.old_object.map_or(Value::Null, value);
    let mut request = members(documents.request);
    request.insert(Value::from("object"), object.clone());
    request.insert(Value::from("oldObject"), old_object.clone());
    let request = Value::from(request);
    let params = constant(documents.params);
    let namespace = documents.namespace_object.map_or(Value::Null, value);
    let all = [
        ("object", object),
        ("oldObject", old_object),
        ("request", request.clone()),
        ("review", request),
        ("params", params.clone()),
        ("parameters", params),
        ("namespaceObject", namespace),
    ];
    Value::from(all.into_iter().map(|(name, value)| (Value::from(name), value)).collect::<BTreeMap<_, _>>())
}

fn members(json: &Json<'_>) -> BTreeMap<Value, Value> {
    match json {
        Json::Map(map) => map.iter().map(|(key, one)| (Value::from(key), value(one))).collect(),
        _ => BTreeMap::new(),
    }
}

/// A JSON value; its depth was bounded when it was read.
pub(super) fn value(json: &Json<'_>) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::from(*value),
        Json::Int(value) => Value::from(*value),
        Json::Double(value) => Value::from(*value),
        Json::Str(text) => Value::from(text.as_ref()),
        Json::List(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Json::Map(_) => Value::from(members(json)),
    }
}

/// The value of a parameter. Parameters come from JSON, so other constants do not occur.
fn constant(of: &Const) -> Value {
    match of {
        Const::Null | Const::Bytes(_) | Const::Type(_) => Value::Null,
        Const::Bool(value) => Value::from(*value),
        Const::Int(value) => Value::from(*value),
        Const::Uint(value) => Value::from(*value),
        Const::Double(value) => Value::from(*value),
        Const::Str(text) => Value::from(text.as_str()),
        Const::List(items) => Value::from(items.iter().map(constant).collect::<Vec<_>>()),
        Const::Map(entries) => Value::from(
            entries.iter().map(|(key, value)| (constant(key), constant(value))).collect::<BTreeMap<_, _>>(),
        ),
    }
}

/// The messages of a rule's set: strings, and objects with a string `msg`.
///
/// # Errors
/// The set contains anything else.
pub(super) fn messages(result: &Value) -> Result<Vec<String>, String> {
    let set = match result {
        Value::Undefined => return Ok(Vec::new()),
        Value::Set(set) => set,
        other => return Err(format!("the rule gives {}, not a set of messages", kind(other))),
    };
    let message = |element: &Value| {
        let text = match element {
            Value::Object(members) => members.get(&Value::from("msg")),
            other => Some(other),
        };
        match text {
            Some(Value::String(text)) => Ok(text.to_string()),
            Some(other) => Err(format!("a message is {}, not a string", kind(other))),
            None => Err("an element has no `msg`".to_owned()),
        }
    };
    set.iter_sorted().map(message).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        _ => "nothing",
    }
}
