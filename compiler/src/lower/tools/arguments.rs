//! Arguments of tools: their schema, and the types that the conditions of rules see.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_crds::tools::{ToolRule as WireRule, Tools as WireTools};
use bailiwick_policy::arguments::ArgumentsSchema;
use bailiwick_policy::policy::tools::{Budget, Counter};
use serde_json::Value;

use super::super::Findings;
use crate::cel::{Context, Object, Record, Type};
use crate::check::bw0233_tool_input;
use crate::diagnostic::{Diagnostic, FieldPath};

/// Deepest schema that is given a type; below it everything is `dyn`.
const MAX_DEPTH: u32 = 16;

/// Compiles a schema, so that what is wrong with it is an error of the pack.
pub(super) fn check(input: &Value, at: &FieldPath, out: &mut Findings<'_>) {
    let Err(errors) = ArgumentsSchema::compile(input) else { return };
    for error in errors {
        let place = error.place.iter().fold((at.clone(), Some(input)), |(at, here), step| {
            let item = here.filter(|here| here.is_array()).and_then(|_| step.parse().ok());
            let inner = here.and_then(|here| match item {
                Some(index) => here.get::<usize>(index),
                None => here.get(step),
            });
            (item.map_or_else(|| at.member(step), |index| at.index(index)), inner)
        });
        let message = format!("this schema cannot be enforced: {error}");
        out.push(Diagnostic::new(bw0233_tool_input::CODE, place.0, message));
    }
}

/// What the condition of a rule may name. Arguments are typed when every tool that the rule matches is defined here and all agree.
pub(super) fn context(
    wire: &WireTools,
    rule: &WireRule,
    counters: &[Counter],
    budgets: &[Budget],
) -> Context {
    let mut arguments =
        super::matched(wire, rule).unwrap_or_default().into_iter().map(|tool| of_schema(&tool.input, 0));
    let first = arguments.next().unwrap_or(Type::Dyn);
    let arguments = if arguments.all(|of| of == first) { first } else { Type::Dyn };
    let budget =
        Type::record("Budget", [("limit", Type::Double), ("used", Type::Double), ("left", Type::Double)]);
    let counters = counters.iter().map(|counter| (counter.name.clone(), Type::Int));
    let budgets = budgets.iter().map(|one| (one.name.clone(), budget.clone()));
    Context::tool(arguments, record("Counters", counters.collect()), record("Budgets", budgets.collect()))
}

fn record(name: &str, fields: BTreeMap<String, Type>) -> Type {
    Type::Object(Object::Record(Arc::new(Record { name: name.to_owned(), fields })))
}

/// The type of what a schema lets through. `number` lets integers and fractions through, which are of two types.
fn of_schema(schema: &Value, depth: u32) -> Type {
    let inner = |schema: &Value| of_schema(schema, depth + 1);
    match schema.get("type").and_then(Value::as_str) {
        _ if depth > MAX_DEPTH => Type::Dyn,
        Some("string") => Type::String,
        Some("boolean") => Type::Bool,
        Some("integer") => Type::Int,
        Some("null") => Type::Null,
        Some("array") => Type::list(schema.get("items").map_or(Type::Dyn, inner)),
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let closed = schema.get("additionalProperties").is_none_or(|more| *more == Value::Bool(false));
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
