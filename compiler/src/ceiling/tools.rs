//! Grants of tool calls under the grants of an extended pack, as far as this can be decided without a call:
//! conditions are compared as text, never by meaning.
//!
//! The extended pack is a ceiling for the tools that it names: those that it defines or that one of its
//! grants matches. Three excesses are reported: a grant that the ceiling denies for every call; a grant of a
//! tool that the ceiling grants nothing of; and an unconditional grant where every grant of the ceiling has a
//! condition. A plain grant under one that asks is not reported, because packs that define a tool must grant
//! it to leave the asking to the other pack. Two different conditions are met without a report.

use bailiwick_policy::policy::tools::{
    Budget, Otherwise, Phase, RuleEffect, Stdin, ToolLayer, ToolPattern, ToolRule,
};

use super::Pair;
use crate::check::bw0610_never_grants::constant;
use crate::diagnostic::Diagnostic;

/// A grant of the child: the calls of these tools, on this condition.
struct Grant<'a> {
    what: String,
    at: &'a str,
    pattern: ToolPattern,
    rule: Option<&'a ToolRule>,
}

impl Pair<'_> {
    pub(super) fn tools(&self, out: &mut Vec<Diagnostic>) {
        for theirs in &self.parent.tools {
            for mine in &self.child.tools {
                for grant in grants(mine) {
                    self.grant(&grant, theirs, out);
                }
                self.inputs(mine, theirs, out);
                self.budgets(mine, theirs, out);
            }
        }
    }

    fn grant(&self, grant: &Grant<'_>, theirs: &ToolLayer, out: &mut Vec<Diagnostic>) {
        let (tools, base) = (&grant.pattern, self.parent_name);
        if let Some(denies) = theirs.rules.iter().find(|rule| denies_all(rule, &grant.pattern)) {
            let message = format!("{} allows calls of `{tools}`, which `{base}` denies", grant.what);
            return self.report(grant.at, &denies.at, message, out);
        }
        // For a prefix, it is unknown which of its tools the other pack names.
        let ToolPattern::Exact(tool) = &grant.pattern else { return };
        let definition = theirs.definitions.iter().find(|one| one.name == *tool);
        let there: Vec<&ToolRule> = theirs.rules.iter().filter(|rule| grants_some(rule, tool)).collect();
        let asks = definition.is_some_and(|one| matches!(one.otherwise, Otherwise::Ask(_)));
        let Some(place) = definition.map(|one| &one.at).or(there.first().map(|rule| &rule.at)) else {
            return;
        };
        if there.is_empty() && !asks {
            let message = format!("{} allows calls of `{tools}`, which `{base}` does not", grant.what);
            return self.report(grant.at, place, message, out);
        }
        let unconditional = |rule: &ToolRule| constant(rule) == Some(true);
        let always = asks || there.iter().any(|rule| unconditional(rule));
        if !always && grant.rule.is_some_and(unconditional) {
            let message = format!(
                "{} allows every call of `{tools}`, which `{base}` allows on a condition",
                grant.what
            );
            self.report(grant.at, place, message, out);
        }
    }

    fn inputs(&self, mine: &ToolLayer, theirs: &ToolLayer, out: &mut Vec<Diagnostic>) {
        for tool in mine.definitions.iter().filter(|tool| tool.stdin == Stdin::Stream) {
            let other =
                theirs.definitions.iter().find(|other| other.name == tool.name && other.stdin < tool.stdin);
            if let Some(other) = other {
                let message = format!(
                    "tool `{}` reads from its caller; in `{}` it does not",
                    tool.name, self.parent_name
                );
                self.report(&format!("{}.stdin", tool.at), &other.at, message, out);
            }
        }
    }

    fn budgets(&self, mine: &ToolLayer, theirs: &ToolLayer, out: &mut Vec<Diagnostic>) {
        let kind = |one: &Budget| (one.resource, one.scope, one.window_ms);
        for budget in &mine.budgets {
            let least = theirs.budgets.iter().filter(|other| kind(other) == kind(budget));
            if let Some(other) =
                least.min_by_key(|other| other.limit_milli).filter(|one| one.limit_milli < budget.limit_milli)
            {
                let at = "spec.tools.state.budgets";
                let message = format!(
                    "budget `{}` is larger than `{}` of `{}`",
                    budget.name, other.name, self.parent_name
                );
                self.report(at, at, message, out);
            }
        }
    }
}

/// Everything by which a layer allows calls, one tool pattern at a time.
fn grants(layer: &ToolLayer) -> Vec<Grant<'_>> {
    let by_rule =
        layer.rules.iter().filter(|rule| rule.grants() && constant(rule) != Some(false)).flat_map(|rule| {
            rule.tools.iter().map(move |pattern| Grant {
                what: format!("rule `{}`", rule.name),
                at: &rule.at,
                pattern: pattern.clone(),
                rule: Some(rule),
            })
        });
    let asked =
        layer.definitions.iter().filter(|tool| matches!(tool.otherwise, Otherwise::Ask(_))).map(|tool| {
            Grant {
                what: format!("`otherwise` of tool `{}`", tool.name),
                at: &tool.at,
                pattern: ToolPattern::Exact(tool.name.clone()),
                rule: None,
            }
        });
    by_rule.chain(asked).collect()
}

fn grants_some(rule: &ToolRule, tool: &str) -> bool {
    rule.grants() && constant(rule) != Some(false) && rule.tools.iter().any(|pattern| pattern.matches(tool))
}

fn denies_all(rule: &ToolRule, inner: &ToolPattern) -> bool {
    rule.is_enforced()
        && rule.phase == Phase::Call
        && matches!(rule.effect, RuleEffect::Deny(_))
        && constant(rule) == Some(true)
        && rule.tools.iter().any(|outer| outer.covers(inner))
}
