//! Values and types as the specification's data writes them: the JSON form of `cel.expr.Value` and
//! `cel.expr.Type`.

use bailiwick_compiler::cel::{Parameter, Type};
use bailiwick_policy::cel::{Value, parse_duration, parse_timestamp};
use bailiwick_policy::ir::Const;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

/// The one member of an object; `nothing` if it has none.
fn only(json: &Json) -> (&str, &Json) {
    static NOTHING: Json = Json::Null;
    let member = json.as_object().and_then(|members| members.iter().next());
    member.map_or(("nothing", &NOTHING), |(name, value)| (name.as_str(), value))
}

/// 64-bit integers are strings in protobuf's JSON.
fn number<T: std::str::FromStr>(json: &Json) -> T {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    text.parse().ok().unwrap_or_else(|| panic!("not a number: {json}"))
}

/// Numbers, and the strings `NaN`, `Infinity`, `-Infinity`.
fn double(json: &Json) -> f64 {
    json.as_f64().unwrap_or_else(|| number(json))
}

fn items(json: &Json, name: &str) -> Vec<Json> {
    json.get(name).and_then(Json::as_array).cloned().unwrap_or_default()
}

/// Whether a value is the expected one, of the same kind too: `1` is not `1u`, although CEL calls them equal.
pub(crate) fn is(value: &Value<'_>, expected: &Json) -> bool {
    let (kind, expected) = only(expected);
    match (kind, value) {
        ("nullValue", Value::Null) => true,
        ("boolValue", Value::Bool(value)) => expected.as_bool() == Some(*value),
        ("int64Value", Value::Int(value)) => number::<i64>(expected) == *value,
        ("uint64Value", Value::Uint(value)) => number::<u64>(expected) == *value,
        ("doubleValue", Value::Double(value)) => {
            let expected = double(expected);
            expected == *value || (expected.is_nan() && value.is_nan())
        }
        ("stringValue", value) => value.as_str().is_some() && value.as_str() == expected.as_str(),
        ("bytesValue", value) => value.as_bytes() == Some(bytes(expected).as_slice()),
        ("typeValue", Value::Type(name)) => expected.as_str() == Some(name),
        ("listValue", Value::List(list)) => {
            let expected = items(expected, "values");
            list.len() == expected.len() && list.iter().zip(&expected).all(|(one, other)| is(&one, other))
        }
        ("mapValue", Value::Map(map)) => {
            let expected = items(expected, "entries");
            let is_there = |entry: &Json| {
                map.iter().any(|(key, value)| is(&key, &entry["key"]) && is(&value, &entry["value"]))
            };
            map.len() == expected.len() && expected.iter().all(is_there)
        }
        ("objectValue", Value::Duration(value)) => {
            parse_duration(expected["value"].as_str().unwrap_or_default()).as_ref() == Ok(value)
        }
        ("objectValue", Value::Timestamp(value)) => {
            parse_timestamp(expected["value"].as_str().unwrap_or_default()).as_ref() == Ok(value)
        }
        _ => false,
    }
}

fn bytes(json: &Json) -> Vec<u8> {
    STANDARD.decode(json.as_str().unwrap_or_default()).unwrap()
}

/// The value of a variable as a constant of this type; `None` if no constant can hold it.
pub(crate) fn constant(value: &Json, of: Type) -> Option<Parameter> {
    Some(Parameter { of, value: value_of(value)? })
}

fn value_of(json: &Json) -> Option<Const> {
    let (kind, json) = only(json);
    Some(match kind {
        "nullValue" => Const::Null,
        "boolValue" => Const::Bool(json == true),
        "int64Value" => Const::Int(number(json)),
        "uint64Value" => Const::Uint(number(json)),
        "doubleValue" => Const::Double(double(json)),
        "stringValue" => Const::Str(json.as_str().unwrap_or_default().to_owned()),
        "bytesValue" => Const::Bytes(bytes(json)),
        "listValue" => {
            let values: Option<Vec<Const>> = items(json, "values").iter().map(value_of).collect();
            Const::List(values?)
        }
        "mapValue" => {
            let entry = |entry: &Json| Some((value_of(&entry["key"])?, value_of(&entry["value"])?));
            let entries: Option<Vec<_>> = items(json, "entries").iter().map(entry).collect();
            Const::Map(entries?)
        }
        _ => return None,
    })
}

/// A type; `None` for one that we do not have.
pub(crate) fn type_of(json: &Json) -> Option<Type> {
    let (kind, json) = only(json);
    Some(match (kind, json.as_str()) {
        ("dyn", _) => Type::Dyn,
        ("null", _) => Type::Null,
        ("primitive", Some("BOOL")) => Type::Bool,
        ("primitive", Some("INT64")) => Type::Int,
        ("primitive", Some("UINT64")) => Type::Uint,
        ("primitive", Some("DOUBLE")) => Type::Double,
        ("primitive", Some("STRING")) => Type::String,
        ("primitive", Some("BYTES")) => Type::Bytes,
        ("wellKnown", Some("TIMESTAMP")) => Type::Timestamp,
        ("wellKnown", Some("DURATION")) => Type::Duration,
        ("type", _) => Type::Type,
        ("listType", _) => Type::list(type_of(&json["elemType"])?),
        ("mapType", _) => Type::map(type_of(&json["keyType"])?, type_of(&json["valueType"])?),
        ("abstractType", _) if json["name"] == "optional_type" => {
            Type::optional(type_of(&json["parameterTypes"][0])?)
        }
        _ => return None,
    })
}
