//! Tools of which every rule, in both policies, reads only arguments with finitely many values: enumerations and booleans. All their combinations
//! are tried, so that the comparison of the calls is exact.

use std::collections::BTreeSet;

use bailiwick_policy::arguments::{ArgumentsSchema, matches as fits};
use bailiwick_policy::ir::{Expr, Root};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::tools::{Phase, RuleEffect, Tool, ToolRule};
use serde_json::Value;

use super::super::shape;
use super::super::wishes::{Step, Want};
use super::{Side, arguments};

/// The arguments of every call that some rule could tell from another; `None` if they are not finitely many, more than `most`, or if a decision
/// depends on something else.
pub(super) fn calls(schemas: &[Value], sides: [&Side<'_>; 2], most: usize) -> Option<Vec<Value>> {
    let [schema] = schemas else { return None };
    // Each definition has arguments that it accepts and puts where its program finds them, whether or not a rule reads them.
    let mut definitions = sides.iter().flat_map(|side| &side.definitions);
    if let Some(first) = definitions.next() {
        let is_same =
            |one: &&Tool| (&one.input, &one.run, &one.derive) == (&first.input, &first.run, &first.derive);
        if first.input != *schema || !definitions.all(is_same) {
            return None;
        }
    }
    let mut read = BTreeSet::new();
    let mut rules = sides.into_iter().flat_map(|side| &side.rules);
    if !rules.all(|(_, rule)| is_plain(rule) && reads(rule, &mut read)) {
        return None;
    }
    let mut made = vec![arguments::smallest(schema)];
    for name in read {
        let values = values(schema, &name)?;
        if made.len().saturating_mul(values.len()) > most {
            return None;
        }
        let place = [Step::Member(name)];
        let with = |call: &Value| {
            let one = |want| {
                let mut call = call.clone();
                shape::put(&mut call, &place, want);
                call
            };
            values.iter().map(one).collect::<Vec<_>>()
        };
        made = made.iter().flat_map(with).collect();
    }
    // What is not read must not decide: a call that the schema refuses shows nothing of the rules.
    let accepts = ArgumentsSchema::compile(schema).ok()?;
    made.iter().all(|call| fits(&accepts, &Json::from(call)).is_ok()).then_some(made)
}

/// Whether what the rule does depends on its condition alone: not on what came before, and nothing is made of the arguments.
const fn is_plain(rule: &ToolRule) -> bool {
    let remembers = match rule.effect {
        RuleEffect::Throttle { .. } | RuleEffect::Label { .. } | RuleEffect::Redact => true,
        RuleEffect::Allow
        | RuleEffect::Ask(_)
        | RuleEffect::Deny(_)
        | RuleEffect::Confirm(_)
        | RuleEffect::Narrow { .. } => false,
    };
    !remembers && matches!(rule.phase, Phase::Call) && rule.transform.is_none()
}

/// Adds the arguments that a rule's condition reads; `false` if it reads anything else of the call or beside it.
fn reads(rule: &ToolRule, into: &mut BTreeSet<String>) -> bool {
    let (mut roots, mut known, mut alone) = (0, 0, true);
    let mut look = |node: &Expr| match node {
        Expr::Root(Root::Call) => roots += 1,
        Expr::Root(_) | Expr::Shared(_) | Expr::PodContainers(_) => alone = false,
        Expr::Select(of, name) | Expr::OptSelect(of, name) | Expr::Has(of, name) if is_arguments(of) => {
            known += 1;
            into.insert(name.clone());
        }
        _ => {}
    };
    if let Some(when) = &rule.when {
        when.expr.walk(&mut look);
    }
    alone && roots == known
}

/// `call.args`.
fn is_arguments(of: &Expr) -> bool {
    matches!(of, Expr::Select(call, name) if name == "args" && matches!(**call, Expr::Root(Root::Call)))
}

/// Every value of an argument, and its absence where it may be absent; nothing if they are not finitely many.
fn values(schema: &Value, name: &str) -> Option<Vec<Want>> {
    let Some(property) = arguments::property(schema, name) else {
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        return closed.then(|| vec![Want::Absent]);
    };
    let values = match (property.get("const"), property.get("enum"), property.get("type")) {
        (Some(value), _, _) => vec![value.clone()],
        (None, Some(Value::Array(values)), _) => values.clone(),
        (None, None, Some(Value::String(kind))) if kind == "boolean" => vec![false.into(), true.into()],
        _ => return None,
    };
    // A number has two spellings, `1` and `1.0`, of two types, unless the schema takes whole ones alone.
    let whole = property.get("type").is_some_and(|kind| kind == "integer");
    if values.iter().any(|value| holds_number(value) && !(whole && value.is_number())) {
        return None;
    }
    let mut required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let optional = !required.any(|one| one == name);
    Some(optional.then_some(Want::Absent).into_iter().chain(values.into_iter().map(Want::Is)).collect())
}

fn holds_number(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::Array(items) => items.iter().any(holds_number),
        Value::Object(members) => members.values().any(holds_number),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}
