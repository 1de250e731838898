//! The environment of rules over tool calls, from what a pack declares: the types of arguments, counters and
//! budgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::context::Context;
use super::types::{Object, Record, Type};

/// How deep schemas are typed; everything below is `dyn`.
const MAX_DEPTH: u32 = 16;

/// What the condition of a rule may name. `inputs`: the schemas of all tools that it matches, or none if one
/// of them is unknown. Arguments are typed if all agree.
#[must_use]
pub fn tool_context<'a>(
    inputs: impl IntoIterator<Item = &'a Json>,
    counters: impl IntoIterator<Item = &'a str>,
    budgets: impl IntoIterator<Item = &'a str>,
) -> Context {
    let mut arguments = inputs.into_iter().map(|input| of_schema(input, 0));
    let first = arguments.next().unwrap_or(Type::Dyn);
    let arguments = if arguments.all(|of| of == first) { first } else { Type::Dyn };
    let budget =
        Type::record("Budget", [("limit", Type::Double), ("used", Type::Double), ("left", Type::Double)]);
    let counters = counters.into_iter().map(|name| (name.to_owned(), Type::Int));
    let budgets = budgets.into_iter().map(|name| (name.to_owned(), budget.clone()));
    Context::tool(arguments, record("Counters", counters.collect()), record("Budgets", budgets.collect()))
}

fn record(name: &str, fields: BTreeMap<String, Type>) -> Type {
    Type::Object(Object::Record(Arc::new(Record { name: name.to_owned(), fields })))
}

/// The type of the values that a schema accepts. `number` accepts integers and fractions, which have two
/// types.
fn of_schema(schema: &Json, depth: u32) -> Type {
    let inner = |schema: &Json| of_schema(schema, depth + 1);
    match schema.get("type").and_then(Json::as_str) {
        _ if depth > MAX_DEPTH => Type::Dyn,
        Some("string") => Type::String,
        Some("boolean") => Type::Bool,
        Some("integer") => Type::Int,
        Some("null") => Type::Null,
        Some("array") => Type::list(schema.get("items").map_or(Type::Dyn, inner)),
        Some("object") => {
            let properties = schema.get("properties").and_then(Json::as_object);
            let closed = schema.get("additionalProperties").is_none_or(|more| *more == Json::Bool(false));
            match (properties, closed) {
                (Some(properties), true) => {
                    let fields = properties.iter().map(|(name, schema)| (name.clone(), inner(schema)));
                    record("Arguments", fields.collect())
                }
                _ => Type::map(Type::String, Type::Dyn),
            }
        }
        _ => Type::Dyn,
    }
}
