//! Differences of tools that nothing tried showed: rules that no call, listing or result told apart, and
//! definitions. They are reported all the same, so that a search without findings is not taken for a proof.
//!
//! A rule about several tools counts as shown once one of them shows it.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::arguments::ArgumentsSchema;
use bailiwick_policy::policy::Policy;
use bailiwick_policy::policy::tools::{Otherwise, Phase, RuleEffect, Tool, ToolLayer, ToolRule};
use bailiwick_policy::tool::{RuleReport, ToolDecision};
use serde_json::{Value, json};

use super::super::limits;
use super::super::settings::stated;
use super::super::tables::Tables;
use super::super::throttles::MAX_BEFORE;
use super::super::{Diff, Direction, Layer};
use super::{Side, identity};

/// A rule: the name of its pack, which may be another one if there is a single pack, and its own.
pub(super) type Name = (String, String);

/// What the search of one tool showed.
#[derive(Default)]
pub(super) struct Shown {
    /// Rules that a call told apart.
    pub(super) calls: BTreeSet<Name>,
    /// Rules that a result told apart, because it is withheld.
    pub(super) results: BTreeSet<Name>,
    /// Whether a result differs otherwise, for which any rule over results may be the reason.
    pub(super) delivery: bool,
    /// Whether a listing differs.
    pub(super) listing: bool,
    /// Whether a call differs for which no rule is the reason.
    pub(super) definition: bool,
}

/// What differs, and whether anything showed it.
#[derive(Default)]
pub(super) struct Unshown<'p> {
    rules: BTreeMap<Name, Differing<'p>>,
    definitions: Vec<String>,
}

/// A rule as one side has it, with its layer.
type Form<'p> = (&'p ToolLayer, &'p ToolRule);

#[derive(Default)]
struct Differing<'p> {
    old: Option<Form<'p>>,
    new: Option<Form<'p>>,
    tools: BTreeSet<String>,
    is_shown: bool,
}

impl<'p> Unshown<'p> {
    /// Notes what differs about a tool that both policies have.
    /// `alone`: see [`super::super::sides::Sides::alone`].
    pub(super) fn note(&mut self, tool: &str, [old, new]: [&Side<'p>; 2], alone: bool, shown: &Shown) {
        for (side, other, is_old) in [(old, new, true), (new, old, false)] {
            for (layer, rule) in lacking(side, other) {
                let pack = limits::pack(side.policy, layer.pack, alone).to_owned();
                let name = (pack, rule.name.clone());
                let is_shown = match rule.phase {
                    Phase::Call => shown.calls.contains(&name),
                    Phase::Result => shown.delivery || shown.results.contains(&name),
                    Phase::List => shown.listing,
                };
                let differing = self.rules.entry(name).or_default();
                *(if is_old { &mut differing.old } else { &mut differing.new }) = Some((layer, rule));
                differing.tools.insert(tool.to_owned());
                differing.is_shown |= is_shown;
            }
        }
        if definitions(old) != definitions(new) && !shown.definition {
            self.definitions.push(tool.to_owned());
        }
    }

    /// Reports what nothing showed.
    pub(super) fn tell(self, out: &mut Diff) {
        for ((_, name), rule) in self.rules {
            if rule.is_shown || rule.is_compared() {
                continue;
            }
            let tried = match rule.old.or(rule.new).map(|(_, rule)| rule.phase) {
                Some(Phase::Result) => "result",
                Some(Phase::List) => "listing",
                Some(Phase::Call) | None => "call",
            };
            let tools: Vec<String> = rule.tools.iter().map(|tool| format!("`{tool}`")).collect();
            let what = format!(
                "rule `{name}` differs, and no tried {tried} of {} told the two apart",
                tools.join(", ")
            );
            let has = |own: Option<Form<'_>>, otherwise: &str| match own {
                Some(_) => otherwise.to_owned(),
                None => "does not have it".to_owned(),
            };
            let values = (has(rule.old, "has it"), has(rule.new, "has it in this form"));
            let of = format!("tools.rules.{name}");
            out.changes.push(stated(Layer::Tools, rule.direction(), what, &of, values));
        }
        for tool in self.definitions {
            let what = format!("tool `{tool}`: its definition differs, and no tried call told the two apart");
            let values = ("one definition".to_owned(), "another definition".to_owned());
            let of = format!("tools.{tool}");
            out.changes.push(stated(Layer::Tools, Direction::Changed, what, &of, values));
        }
    }
}

impl Differing<'_> {
    /// An additional restriction can only deny more; of anything else the direction is not known. Where a grant is
    /// gone, another one may no longer ask anybody, or its layer may no longer have to grant the tool's calls.
    fn direction(&self) -> Direction {
        let restricts = |rule: &ToolRule| {
            use RuleEffect::{Confirm, Deny, Throttle};
            rule.phase == Phase::List || matches!(rule.effect, Deny(_) | Throttle { .. } | Confirm(_))
        };
        match (self.old, self.new) {
            (None, Some((_, rule))) if restricts(rule) => Direction::Narrowed,
            _ => Direction::Changed,
        }
    }

    /// Whether it is a throttle that differs in its counter alone, or in a number of calls beyond those that
    /// are tried: [`super::super::throttles`] compares both.
    fn is_compared(&self) -> bool {
        let (Some(old), Some(new)) = (self.old, self.new) else { return false };
        let when = |(layer, rule): Form<'_>| {
            let tables = Tables::of_layer(&layer.regexes);
            rule.when.as_ref().map(|cel| tables.written(cel))
        };
        match (&old.1.effect, &new.1.effect) {
            (RuleEffect::Throttle { max: before, .. }, RuleEffect::Throttle { max: after, .. }) => {
                when(old) == when(new) && (before == after || before.max(after) > &MAX_BEFORE)
            }
            _ => false,
        }
    }
}

/// The rules of one side that the other does not have.
fn lacking<'p>(side: &Side<'p>, other: &Side<'_>) -> Vec<Form<'p>> {
    let of = |policy: &Policy, layer: &ToolLayer, rule: &ToolRule| identity(policy, layer, rule).to_string();
    let known: BTreeSet<String> =
        other.rules.iter().map(|(layer, rule)| of(other.policy, layer, rule)).collect();
    side.rules
        .iter()
        .copied()
        .filter(|(layer, rule)| !known.contains(&of(side.policy, layer, rule)))
        .collect()
}

/// What a tool is apart from its rules, its descriptions and its sandbox, which is compared itself. Of the
/// approvers, those count whom it asks.
fn definitions(side: &Side<'_>) -> Value {
    let one = |tool: &&Tool| {
        let input =
            ArgumentsSchema::compile(&tool.input).map_or_else(|_| tool.input.clone(), |one| json!(one));
        json!([input, tool.run.program, tool.derive, tool.otherwise, tool.stdin, tool.may_add])
    };
    let asked = |layer: &ToolLayer| -> BTreeSet<&str> {
        let own = |tool: &&&Tool| layer.definitions.iter().any(|one| std::ptr::eq(one, **tool));
        let otherwise = side.definitions.iter().filter(own).filter_map(|tool| match &tool.otherwise {
            Otherwise::Ask(ask) => Some(ask.approvers.as_str()),
            Otherwise::Deny(_) => None,
        });
        let rules = side.rules.iter().filter(|(other, _)| std::ptr::eq(*other, layer));
        let by_rules = rules.filter_map(|(_, rule)| match &rule.effect {
            RuleEffect::Ask(ask) | RuleEffect::Confirm(ask) => Some(ask.approvers.as_str()),
            _ => None,
        });
        otherwise.chain(by_rules).collect()
    };
    let approvers = side.policy.tools.iter().map(|layer| {
        let asked = asked(layer);
        json!(layer.approvers.iter().filter(|group| asked.contains(group.name.as_str())).collect::<Vec<_>>())
    });
    json!([side.definitions.iter().map(one).collect::<Vec<_>>(), approvers.collect::<Vec<_>>()])
}

/// The rules that took part in one decision on a call and not, or otherwise, in the other; if there are none,
/// all that took part: one of them then does something else.
pub(super) fn apart(old: &ToolDecision, new: &ToolDecision, alone: bool) -> BTreeSet<Name> {
    let name = |report: &RuleReport| of_pack(&report.pack, &report.rule, alone);
    let lacks = |report: &&RuleReport, other: &ToolDecision| {
        !other.rules.iter().any(|one| name(one) == name(report) && one.outcome == report.outcome)
    };
    let olds = old.rules.iter().filter(|report| lacks(report, new));
    let differ: BTreeSet<Name> =
        olds.chain(new.rules.iter().filter(|report| lacks(report, old))).map(name).collect();
    if differ.is_empty() { old.rules.iter().chain(&new.rules).map(name).collect() } else { differ }
}

/// The rules by which one of the two withholds a result and the other does not, each given as
/// `pack@version/rule`.
pub(super) fn apart_by_labels(old: &[String], new: &[String], alone: bool) -> BTreeSet<Name> {
    let olds = old.iter().filter(|label| !new.contains(label));
    let differ = olds.chain(new.iter().filter(|label| !old.contains(label)));
    let name = |label: &String| label.split_once('/').map(|(pack, rule)| of_pack(pack, rule, alone));
    differ.filter_map(name).collect()
}

fn of_pack(label: &str, rule: &str, alone: bool) -> Name {
    let pack = label.split('@').next().unwrap_or_default();
    (if alone { String::new() } else { pack.to_owned() }, rule.to_owned())
}
