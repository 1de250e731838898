//! `bailiwick test --coverage`: which rules of the pack the tests reach, and which outcomes of its boolean
//! expressions.
//!
//! Covers the pack's own admission and tool rules: the packs that it extends have tests of their own. A part
//! of an expression counts twice, for true and for false. The parts of messages decide nothing and do not
//! count. Parts are identified by their place in the text, so runs with other parameters add up.
//!
//! Terms. *Spot*: a boolean part of an expression in the text.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use bailiwick_compiler::cel::spans;
use bailiwick_compiler::diagnostic::FieldPath;
use bailiwick_compiler::fragments;
use bailiwick_policy::admission::WatchedAt;
use bailiwick_policy::cel::{Outcomes, Part};
use bailiwick_policy::ir::Cel;
use bailiwick_policy::policy::{AdmissionRule, Policy};
use bailiwick_policy::tool::RuleExpression;
use serde::Serialize;

use super::suite::{Ran, Suite};
use crate::places::{Places, shown};
use crate::plain::plain;

/// What the tests of a pack reach.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Coverage {
    rules: Count,
    outcomes: Count,
    /// In the order of the text.
    missing: Vec<Missing>,
}

#[derive(Debug, Default, Serialize)]
struct Count {
    covered: usize,
    total: usize,
}

/// Something that no test reaches.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    rule: String,
    file: String,
    line: usize,
    column: usize,
    /// `never evaluated`, `never true`, `never false`, `never true or false` if it only failed, or `makes no
    /// difference` for a rule without a boolean expression.
    what: &'static str,
    text: String,
}

/// A part in the text: the field of its expression, and its byte range in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    field: String,
    start: usize,
    end: usize,
}

/// What is known about a spot.
#[derive(Debug)]
struct Known {
    rule: String,
    text: String,
    outcomes: Outcomes,
}

/// A rule of the pack, and whether a case reaches it.
#[derive(Debug)]
struct Rule {
    name: String,
    is_reached: bool,
    has_parts: bool,
}

#[derive(Debug, Default)]
struct Measured {
    spots: BTreeMap<Spot, Known>,
    /// By field.
    rules: BTreeMap<String, Rule>,
}

impl Coverage {
    pub(super) fn human(&self, pack: &str) -> String {
        let mut text = format!(
            "coverage of {pack}: {} of {} rules, {} of {} outcomes of boolean expressions\n",
            self.rules.covered, self.rules.total, self.outcomes.covered, self.outcomes.total
        );
        for one in &self.missing {
            let place = shown(&one.file, one.line, one.column);
            let what =
                if one.text.is_empty() { one.what.to_owned() } else { format!("{}: {}", one.what, one.text) };
            text.push_str(&plain(&format!("  {place} {}: {what}\n", one.rule)));
        }
        text
    }
}

/// Measures what the tests reached. The benches of `ran` were watching.
pub(super) fn measure(suite: &Suite, policies: &[Policy], ran: &[Ran]) -> Coverage {
    let mut measured = Measured::default();
    let Some(pack) = suite.loaded.packs.first() else { return measured.into_coverage(None) };
    let own = fragments::identity(&pack.sources).map(|(name, _)| name).unwrap_or_default();
    for (file, ran) in suite.files.iter().zip(ran) {
        let Some(policy) = policies.get(file.group) else { continue };
        let Some(index) = policy.packs.iter().position(|pack| pack.name == own) else { continue };
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        measured.admission(policy, index, ran);
        measured.tools(policy, index, ran);
        measured
            .rules_without_conditions(policy, index, &mut |other| file.differs(ran, other, &suite.folder()));
    }
    measured.into_coverage(Some(&Places::of(pack)))
}

impl Measured {
    fn admission(&mut self, policy: &Policy, own: u16, ran: &Ran) {
        let rules = || policy.admission.rules.iter().filter(|rule| rule.origin.pack == own);
        let reviewers = ran.bench.reviewers();
        // The parts need covering even if no request was made.
        for (at, parts) in reviewers.iter().flat_map(|reviewer| reviewer.watched()) {
            match at {
                WatchedAt::Shared(index) => {
                    let Some(cel) = policy.admission.shared.get(index) else { continue };
                    for rule in rules() {
                        for (position, _) in variables(rule, index) {
                            let field = format!("{}.variables[{position}].expression", rule.origin.at);
                            self.add(&rule.name, &field, cel, parts);
                        }
                    }
                }
                WatchedAt::Condition { rule, at } => {
                    let Some(rule) = policy.admission.rules.get(rule).filter(|rule| rule.origin.pack == own)
                    else {
                        continue;
                    };
                    let field = format!("{}.match.conditions[{at}].expression", rule.origin.at);
                    if let Some((_, cel)) = rule.matches.conditions.get(at) {
                        self.reach(&rule.name, &rule.origin.at, parts);
                        self.add(&rule.name, &field, cel, parts);
                    }
                }
                WatchedAt::Validation { rule, at } => {
                    let Some(rule) = policy.admission.rules.get(rule).filter(|rule| rule.origin.pack == own)
                    else {
                        continue;
                    };
                    let field = format!("{}.validations[{at}].expression", rule.origin.at);
                    if let Some(validation) = rule.validations.get(at) {
                        self.reach(&rule.name, &rule.origin.at, parts);
                        self.add(&rule.name, &field, &validation.expression, parts);
                    }
                }
            }
        }
    }

    fn tools(&mut self, policy: &Policy, own: u16, ran: &Ran) {
        let Ok(loaded) = ran.bench.tool_policy() else { return };
        for (at, parts) in loaded.watched() {
            let Some(layer) = policy.tools.get(at.layer).filter(|layer| layer.pack == own) else { continue };
            let Some(rule) = layer.rules.get(at.rule) else { continue };
            let (cel, field) = match at.expression {
                RuleExpression::When => (&rule.when, "when"),
                RuleExpression::Transform => (&rule.transform, "transform.args"),
                RuleExpression::Redact => (&rule.redact, "transform.result"),
            };
            let Some(cel) = cel else { continue };
            self.reach(&rule.name, &rule.at, parts);
            self.add(&rule.name, &format!("{}.{field}", rule.at), cel, parts);
        }
    }

    /// Rules without a boolean expression are reached if a case comes out differently without them.
    fn rules_without_conditions(
        &mut self,
        policy: &Policy,
        own: u16,
        is_noticed: &mut dyn FnMut(Policy) -> bool,
    ) {
        for (index, rule) in policy.admission.rules.iter().enumerate() {
            if rule.origin.pack != own || self.has_parts(&rule.origin.at) {
                continue;
            }
            let mut other = policy.clone();
            other.admission.rules.remove(index);
            let known = self.rules.get(&rule.origin.at).is_some_and(|rule| rule.is_reached);
            self.rule(&rule.name, &rule.origin.at).is_reached |= known || is_noticed(other);
        }
        for (at, layer) in policy.tools.iter().enumerate().filter(|(_, layer)| layer.pack == own) {
            for (index, rule) in layer.rules.iter().enumerate() {
                // A rule in shadow cannot change the outcome of a case.
                if self.has_parts(&rule.at) || !rule.is_enforced() {
                    continue;
                }
                let mut other = policy.clone();
                if let Some(layer) = other.tools.get_mut(at) {
                    layer.rules.remove(index);
                }
                let known = self.rules.get(&rule.at).is_some_and(|rule| rule.is_reached);
                self.rule(&rule.name, &rule.at).is_reached |= known || is_noticed(other);
            }
        }
    }

    fn reach(&mut self, name: &str, field: &str, parts: &[Part]) {
        let rule = self.rule(name, field);
        rule.is_reached |= parts.iter().any(|part| part.outcomes().was_reached());
        rule.has_parts |= !parts.is_empty();
    }

    fn rule(&mut self, name: &str, field: &str) -> &mut Rule {
        let unknown = || Rule { name: name.to_owned(), is_reached: false, has_parts: false };
        self.rules.entry(field.to_owned()).or_insert_with(unknown)
    }

    /// Whether a rule has a boolean expression of its own. A constant or a variable is not one.
    fn has_parts(&self, field: &str) -> bool {
        self.rules.get(field).is_some_and(|rule| rule.has_parts)
    }

    fn add(&mut self, rule: &str, field: &str, cel: &Cel, parts: &[Part]) {
        let spans = spans(cel);
        for part in parts {
            // What folding made has no place in the text, and nothing to test.
            let Some(Some(Range { start, end })) = spans.get(part.at() as usize).cloned() else { continue };
            let text = cel
                .source
                .get(start..end)
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            let spot = Spot { field: field.to_owned(), start, end };
            let known = self.spots.entry(spot).or_insert_with(|| Known {
                rule: rule.to_owned(),
                text,
                outcomes: Outcomes::default(),
            });
            known.outcomes = known.outcomes.or(part.outcomes());
        }
    }

    fn into_coverage(self, places: Option<&Places>) -> Coverage {
        let place = |field: &str, within: Option<Range<usize>>| {
            let found = field.parse::<FieldPath>().ok().and_then(|field| places?.find(&field, within));
            let place = found.map(|at| (at.path.display().to_string(), at.line, at.column));
            place.unwrap_or_else(|| (field.to_owned(), 0, 0))
        };
        let mut missing = Vec::new();
        for (field, rule) in self.rules.iter().filter(|(_, rule)| !rule.is_reached) {
            let (file, line, column) = place(field, None);
            let what = if rule.has_parts { "never evaluated" } else { "makes no difference" };
            missing.push(Missing { rule: rule.name.clone(), file, line, column, what, text: String::new() });
        }
        let is_covered = |rule: &str| self.rules.values().any(|known| known.name == rule && known.is_reached);
        for (spot, known) in &self.spots {
            let enclosing = |other: &Spot| {
                other != spot
                    && other.field == spot.field
                    && other.start <= spot.start
                    && spot.end <= other.end
            };
            let is_within_unreached =
                self.spots.iter().any(|(other, known)| enclosing(other) && !known.outcomes.was_reached());
            let Some(what) = lacks(known.outcomes) else { continue };
            // The outermost unreached part stands for everything inside it.
            if is_within_unreached || !is_covered(&known.rule) {
                continue;
            }
            let (file, line, column) = place(&spot.field, Some(spot.start..spot.end));
            missing.push(Missing {
                rule: known.rule.clone(),
                file,
                line,
                column,
                what,
                text: known.text.clone(),
            });
        }
        // Of the parts that begin at one place, the outermost first.
        let order = |one: &Missing| (one.file.clone(), one.line, one.column, Reverse(one.text.len()));
        missing.sort_by_key(order);
        let outcomes = self.spots.values().map(|known| known.outcomes);
        let covered = outcomes.map(|one| usize::from(one.was_true()) + usize::from(one.was_false())).sum();
        let reached = self.rules.values().filter(|rule| rule.is_reached).count();
        Coverage {
            rules: Count { covered: reached, total: self.rules.len() },
            outcomes: Count { covered, total: 2 * self.spots.len() },
            missing,
        }
    }
}

/// What is not covered of a part; `None` if nothing is missing.
const fn lacks(outcomes: Outcomes) -> Option<&'static str> {
    match (outcomes.was_true(), outcomes.was_false()) {
        (true, true) => None,
        (true, false) => Some("never false"),
        (false, true) => Some("never true"),
        (false, false) if outcomes.was_reached() => Some("never true or false"),
        (false, false) => Some("never evaluated"),
    }
}

/// The fields in which a rule has the shared expression of this index, among its variables.
fn variables(rule: &AdmissionRule, index: usize) -> impl Iterator<Item = (usize, &String)> {
    let all = rule.variables.iter().enumerate();
    all.filter(move |(_, (_, shared))| *shared as usize == index)
        .map(|(position, (name, _))| (position, name))
}
