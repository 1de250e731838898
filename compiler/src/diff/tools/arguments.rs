//! Arguments that a schema accepts, and some at its limits.

use serde_json::{Map, Value, json};

use super::super::samples;
use super::super::wishes::FRESH;

/// How deep a schema is followed. Deeper arguments keep their smallest value.
const MAX_DEPTH: usize = 6;
/// Most elements of a list that is made for its `minItems`.
const MAX_ITEMS: usize = 16;
/// Longest text that is made to reach a limit, in characters: only the schema itself distinguishes longer
/// limits.
const MAX_TEXT: u64 = 100_000;

/// The smallest value that a schema accepts, as far as its keywords show.
pub(super) fn smallest(schema: &Value) -> Value {
    of(schema, 0)
}

fn of(schema: &Value, depth: usize) -> Value {
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
        return first.clone();
    }
    let number = |name: &str| schema.get(name).and_then(Value::as_i64);
    match kind(schema) {
        "object" => {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let names = required.filter_map(Value::as_str).filter(|_| depth < MAX_DEPTH);
            let member = |name: &str| {
                let of = |schema| self::of(schema, depth + 1);
                (name.to_owned(), property(schema, name).map_or_else(|| Value::from(FRESH), of))
            };
            Value::Object(names.map(member).collect())
        }
        "array" => {
            let least = number("minItems").and_then(|least| usize::try_from(least).ok()).unwrap_or_default();
            // Nested lists multiply.
            let most = if depth < 2 { MAX_ITEMS } else { 1 };
            let most = if depth < MAX_DEPTH { most } else { 0 };
            let item = schema
                .get("items")
                .filter(|_| most > 0)
                .map_or_else(|| json!(0), |items| of(items, depth + 1));
            Value::Array(vec![item; least.min(most)])
        }
        "integer" | "number" => {
            json!(number("minimum").unwrap_or_else(|| number("maximum").unwrap_or(1).min(1)))
        }
        "boolean" => json!(false),
        "null" => Value::Null,
        _ => text(schema, schema.get("minLength").and_then(Value::as_u64).unwrap_or(1)),
    }
}

/// The first type of a schema.
fn kind(schema: &Value) -> &str {
    let kind = schema.get("type");
    let first = kind.and_then(Value::as_array).and_then(|kinds| kinds.first());
    first.or(kind).and_then(Value::as_str).unwrap_or("string")
}

/// The schema of a property.
pub(super) fn property<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    schema.get("properties")?.get(name)
}

fn text(schema: &Value, least: u64) -> Value {
    let sample = schema
        .get("pattern")
        .and_then(Value::as_str)
        .and_then(|pattern| samples::matching(pattern).texts.into_iter().next());
    let mut text = sample.unwrap_or_else(|| "a".to_owned());
    let least = usize::try_from(least.min(MAX_TEXT)).unwrap_or_default();
    let missing = least.saturating_sub(text.chars().count());
    text.extend(std::iter::repeat_n('a', missing));
    Value::from(text)
}

/// Values of a property at the limits of its schema, and beyond them, `None` if it is missing; whether some
/// were left out.
pub(super) fn edges(schema: &Value) -> (Vec<Option<Value>>, bool) {
    let mut is_cut = false;
    let mut values = vec![None, Some(smallest(schema))];
    values.extend(schema.get("enum").and_then(Value::as_array).into_iter().flatten().cloned().map(Some));
    let number = |name: &str| schema.get(name).and_then(Value::as_i64);
    for edge in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].into_iter().filter_map(number)
    {
        let near = [edge.saturating_sub(1), edge, edge.saturating_add(1)];
        values.extend(near.into_iter().map(|value| Some(Value::from(value))));
    }
    for edge in ["minLength", "maxLength"].into_iter().filter_map(|name| schema.get(name)?.as_u64()) {
        let near = [edge, edge.saturating_add(1)];
        values.extend(
            near.into_iter().filter(|length| *length <= MAX_TEXT).map(|length| Some(text(schema, length))),
        );
    }
    for edge in ["minItems", "maxItems"].into_iter().filter_map(|name| schema.get(name)?.as_u64()) {
        let item = schema.get("items").map_or_else(|| json!(0), smallest);
        let near = [edge, edge.saturating_add(1)].into_iter().filter(|length| *length <= 1_024);
        let list =
            |length: u64| Value::Array(vec![item.clone(); usize::try_from(length).unwrap_or_default()]);
        values.extend(near.map(|length| Some(list(length))));
    }
    match kind(schema) {
        "boolean" => values.extend([Some(json!(true)), Some(json!(false))]),
        "string" => {
            values.push(Some(Value::from(FRESH)));
            if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
                let matching = samples::matching(pattern);
                is_cut = matching.is_cut;
                values.extend(matching.texts.into_iter().map(|text| Some(Value::from(text))));
            }
        }
        "integer" | "number" => values.extend([Some(json!(0)), Some(json!(-1)), Some(json!(1))]),
        _ => {}
    }
    (values, is_cut)
}

/// The names of a schema's properties.
pub(super) fn names(schema: &Value) -> impl Iterator<Item = &String> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys)
}
