//! Arguments of tools: their schema, and their types in the conditions of rules.

use bailiwick_crds::tools::{ToolRule as WireRule, Tools as WireTools};
use bailiwick_policy::arguments::ArgumentsSchema;
use bailiwick_policy::policy::tools::{Budget, Counter};
use serde_json::Value;

use super::super::Findings;
use crate::cel::{self, Context};
use crate::check::bw0233_tool_input;
use crate::diagnostic::{Diagnostic, FieldPath};

/// Compiles a schema, so that an error in it is an error of the pack.
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

/// What the condition of a rule may name. Arguments are typed if every tool that the rule matches is defined
/// here and all definitions agree.
pub(super) fn context(
    wire: &WireTools,
    rule: &WireRule,
    counters: &[Counter],
    budgets: &[Budget],
) -> Context {
    let tools = super::matched(wire, rule).unwrap_or_default();
    cel::tool_context(
        tools.into_iter().map(|tool| &tool.input),
        counters.iter().map(|counter| counter.name.as_str()),
        budgets.iter().map(|budget| budget.name.as_str()),
    )
}
