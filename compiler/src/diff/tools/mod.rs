//! Compares tool calls: a search within limits, since an argument is text of unlimited length; exact where
//! nothing about a tool differs, or where its rules read enumerations and booleans alone (`finite`).
//!
//! ```text
//! rules that only one policy has ► ways in which they hold or do not ─┐
//! grants of both                 ► ways in which they hold          ─┴► calls ► both decide ► one witness for each outcome
//! schemas of both, throttles, the tests' own calls                  ──┘   ├► which callers see it    ► both decide
//!                                                                         └► their possible results  ► both decide
//! ```
//!
//! What is identical in both policies decides alike, so only differences are analysed: comparing a large pack
//! costs as much as its change.

mod arguments;
mod calls;
mod finite;
mod line;
mod listing;
mod outcome;
mod results;
mod unshown;

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::Policy;
use bailiwick_policy::policy::tools::{Derive, Tool, ToolLayer, ToolRule};
use serde_json::{Value, json};

use super::sides::{Sides, blank};
use super::tables::Tables;
use super::{Change, Diff, Direction, Layer, settings};
use crate::policy_test::{TestCase, ToolCallCase};
use calls::Calls;
use unshown::{Shown, Unshown};

/// Calls of one tool that both policies decide. A pack's rules about one tool give some hundred.
const MAX_CALLS: usize = 4_096;
/// Outcomes of one tool that are reported. More than these are variants of the same few.
const MAX_OUTCOMES: usize = 16;

/// The prefix of tools that no pack defines; each takes a path.
const BUILT_IN: &str = "workspace.";

/// One tool in one policy.
pub(super) struct Side<'p> {
    policy: &'p Policy,
    /// The layers' rules about it that have an effect, each with its layer.
    rules: Vec<(&'p ToolLayer, &'p ToolRule)>,
    definitions: Vec<&'p Tool>,
    derives: Vec<Derive>,
}

impl<'p> Side<'p> {
    fn of(policy: &'p Policy, name: &str) -> Self {
        let about =
            |rule: &&ToolRule| rule.is_enforced() && rule.tools.iter().any(|pattern| pattern.matches(name));
        let rules = policy
            .tools
            .iter()
            .flat_map(|layer| layer.rules.iter().filter(about).map(move |rule| (layer, rule)));
        let definitions: Vec<&Tool> = policy
            .tools
            .iter()
            .flat_map(|layer| &layer.definitions)
            .filter(|tool| tool.name == name)
            .collect();
        let derives = match name.strip_prefix(BUILT_IN) {
            Some(_) => vec![Derive::Path("path".to_owned())],
            None => definitions.iter().flat_map(|tool| &tool.derive).cloned().collect(),
        };
        Self { policy, rules: rules.collect(), definitions, derives }
    }

    /// Whether callers can name the tool.
    fn has(&self, name: &str) -> bool {
        name.starts_with(BUILT_IN) || !self.definitions.is_empty()
    }

    /// Everything that a decision about the tool depends on except names, places and amounts of budgets,
    /// which are compared as amounts.
    fn identity(&self) -> Value {
        let definition = |tool: &&Tool| {
            let sandbox = self.policy.sandboxes.iter().find(|one| one.name == tool.run.sandbox);
            let workspace = sandbox.and_then(|one| one.filesystem.workspace.as_ref()).map(|one| &one.path);
            json!([tool.input, tool.run, tool.derive, tool.otherwise, tool.stdin, tool.may_add, workspace])
        };
        // Layer by layer: each that names the tool must grant the call, so a rule means something else in
        // another layer.
        let layers = self.policy.tools.iter().map(|layer| {
            let of = self.rules.iter().filter(|(other, _)| std::ptr::eq(*other, layer));
            let mut rules: Vec<Value> = of.map(|(layer, rule)| identity(self.policy, layer, rule)).collect();
            rules.sort_by_key(Value::to_string);
            let defines = self
                .definitions
                .iter()
                .filter(|tool| layer.definitions.iter().any(|one| std::ptr::eq(one, **tool)));
            json!([rules, defines.map(definition).collect::<Vec<_>>(), layer.approvers])
        });
        layers.collect()
    }
}

/// A rule without its name; the windows of counters are compared as amounts.
fn identity(policy: &Policy, layer: &ToolLayer, rule: &ToolRule) -> Value {
    // A sandbox may change under its name, and another may become the narrowest.
    let confined = policy.sandboxes.iter().find(|one| rule.narrows_to() == Some(&one.name)).map(|one| {
        json!([one.pool, one.filesystem, one.egress, one.syscalls, one.limits, one.at_least, one.environment])
    });
    let tables = Tables::of_layer(&layer.regexes);
    let expressions =
        [&rule.when, &rule.transform, &rule.redact].map(|cel| cel.as_ref().map(|cel| tables.written(cel)));
    json!([expressions, rule.phase, rule.effect, confined])
}

pub(super) fn compare(sides: &Sides, seeds: &[TestCase], out: &mut Diff) -> Result<(), String> {
    let (old, new) = sides.policies();
    if old.tools.is_empty() && new.tools.is_empty() {
        return Ok(());
    }
    let inputs = inputs(sides)?;
    let mut unshown = Unshown::default();
    for (name, schemas) in &inputs {
        let (before, after) = (Side::of(old, name), Side::of(new, name));
        if before.identity() == after.identity() && same_layers(old, new) {
            continue;
        }
        let mut calls = Calls::new(name, schemas, [&before, &after], MAX_CALLS);
        let all = finite::calls(schemas, [&before, &after], MAX_CALLS);
        let is_exact = all.is_some();
        all.into_iter().flatten().for_each(|args| calls.add_arguments(args));
        calls.add_seeds(seeds);
        if !is_exact {
            calls.add_all();
        }
        let mut shown = Shown::default();
        let (calls, more) = search(sides, name, calls, &mut shown, out)?;
        // For a tool that only one of them has, the calls already report it.
        let listings = match [&before, &after].iter().all(|side| side.has(name)) {
            true => Some(listing::search(sides, &calls.found, name, out)),
            false => None,
        };
        let results = results::search(sides, name, &calls, seeds, out)?;
        let is_uncompared = results.count > 0 && results.judged == 0 && listings.is_some();
        if is_uncompared {
            uncompared(name, calls.differs_over_results(), out);
        }
        if let Some(listings) = listings.as_ref().filter(|_| !is_exact) {
            shown.listing = listings.differs;
            shown.results.extend(results.withheld_by.iter().cloned());
            // That nothing was compared is told.
            shown.delivery = results.delivery || is_uncompared;
            unshown.note(name, [&before, &after], sides.alone(), &shown);
        }
        if !is_exact || !more.is_empty() {
            tried(name, &calls, listings, &results, &more, out);
        }
    }
    unshown.tell(out);
    Ok(())
}

/// Reports that nothing was found with which to compare rules over results. `differ`: whether they differ.
fn uncompared(name: &str, differ: bool, out: &mut Diff) {
    let what = format!(
        "tool `{name}` has rules over results, and no call was found that both let through alike: what is delivered was not compared"
    );
    if !differ {
        out.notes.push(what);
        return;
    }
    let values = ("has rules of its own".to_owned(), "has others".to_owned());
    let of = format!("tools.{name}.results");
    out.changes.push(settings::stated(Layer::Tools, Direction::Changed, what, &of, values));
}

/// Whether both policies have the same number of layers: which of them name a tool is part of its identity.
fn same_layers(old: &Policy, new: &Policy) -> bool {
    old.tools.len() == new.tools.len()
}

/// The tools that either policy knows, with the schemas of their arguments.
fn inputs(sides: &Sides) -> Result<BTreeMap<String, Vec<Value>>, String> {
    let mut inputs: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for bench in [&sides.old, &sides.new] {
        for (name, input) in bench.tools()? {
            let schemas = inputs.entry(name).or_default();
            if !schemas.contains(&input) {
                schemas.push(input);
            }
        }
    }
    Ok(inputs)
}

/// Evaluates both policies on every call, and reports each outcome by its shortest call; returns the calls,
/// and how many outcomes are not reported.
fn search<'p>(
    sides: &Sides,
    name: &str,
    calls: Calls<'p>,
    shown: &mut Shown,
    out: &mut Diff,
) -> Result<(Calls<'p>, String), String> {
    let mut outcomes: BTreeMap<outcome::Key, (usize, Change)> = BTreeMap::new();
    for call in &calls.found {
        let size = serde_json::to_string(call).map_or(usize::MAX, |text| text.len());
        let case = case(name, call.clone());
        let Some(found) = outcome::compare(sides, &case)? else { continue };
        let (old, new) = (&found.change.old, &found.change.new);
        shown.definition |= old.rules.is_empty() || new.rules.is_empty() || old.verdict == new.verdict;
        shown.calls.extend(found.by);
        let shortest = outcomes.get(&found.key).map(|(size, _)| *size);
        if shortest.is_none_or(|shortest| size < shortest) {
            outcomes.insert(found.key, (size, found.change));
        }
    }
    let told = outcomes.len();
    out.changes.extend(outcomes.into_values().take(MAX_OUTCOMES).map(|(_, change)| change));
    let more = told.checked_sub(MAX_OUTCOMES).filter(|more| *more > 0);
    let more = more.map(|more| format!("; {more} further outcomes are not told")).unwrap_or_default();
    Ok((calls, more))
}

/// Reports how much was tried, and which limit left something out.
fn tried(
    name: &str,
    calls: &Calls<'_>,
    listings: Option<listing::Asked>,
    results: &results::Tried,
    more: &str,
    out: &mut Diff,
) {
    let is_cut = calls.is_cut || results.is_cut || listings.as_ref().is_some_and(|asked| asked.is_cut);
    let number =
        |count: usize, of: &str| if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") };
    let mut what = vec![number(calls.found.len(), "call")];
    what.extend(listings.map(|asked| number(asked.count, "listing")));
    what.extend((results.count > 0).then(|| number(results.count, "result")));
    let what = match what.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    };
    let cut = if is_cut {
        format!(", which is the limit of {MAX_CALLS} calls or of what is read off one rule")
    } else {
        String::new()
    };
    out.bound(
        Layer::Tools,
        format!("`{name}`: {what} made of what its rules, schemas and tests name were tried{cut}{more}"),
    );
}

pub(super) fn case(name: &str, call: ToolCallCase) -> TestCase {
    TestCase { tool_call: Some(call), ..blank(format!("a call of {name}")) }
}

/// The names of tools that only one policy has, if no call was found that it allows.
pub(super) fn unexplained(sides: &Sides, out: &mut Diff) -> Result<(), String> {
    let names = |bench: &crate::cases::Bench| -> Result<BTreeSet<String>, String> {
        Ok(bench.tools()?.into_iter().map(|(name, _)| name).collect())
    };
    let (old, new) = (names(&sides.old)?, names(&sides.new)?);
    for (one, other, which) in [(&old, &new, "OLD"), (&new, &old, "NEW")] {
        for name in one.difference(other) {
            let what = format!("tool `{name}`");
            let is_told =
                out.changes.iter().any(|change| change.layer == Layer::Tools && change.what.contains(&what));
            let what =
                format!("tool `{name}` is only in {which}, and no call of it was found that it lets through");
            match which {
                _ if is_told => {}
                // A call of a tool that no policy defines is denied.
                "OLD" => out.notes.push(what),
                _ => {
                    let values = ("not there".to_owned(), "there".to_owned());
                    let of = format!("tools.{name}");
                    out.changes.push(settings::stated(Layer::Tools, Direction::Changed, what, &of, values));
                }
            }
        }
    }
    Ok(())
}
