//! What is delivered of results: both policies decide about the possible results of a call, where both allow
//! that call, perhaps after approval, and run the same.
//!
//! ```text
//! rules over results ► what they ask of a result, with what grants ask of its call ───┐
//! redactions         ► the texts that they look for ──────────────────────────────────┴► calls with results, whole and cut ► both decide
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::ir::Root;
use bailiwick_policy::policy::tools::Phase;
use serde_json::Value;

use super::super::sides::{Sides, expectation};
use super::super::wishes::{FRESH, Place, Want, Way};
use super::super::{Change, Diff, Direction, Layer, Verdict, Witness};
use super::calls::{Calls, Wishing};
use super::{MAX_OUTCOMES, case, unshown};
use crate::cases::{Bench, Happened, Relabelled};
use crate::policy_test::{CaseResult, Delivered, Expectation, ExpectedLabels, TestCase, ToolCallCase};

/// Results of one tool that both policies decide.
const MAX_RESULTS: usize = 4_096;
/// Calls that are combined with each result.
const MAX_CALLS: usize = 4;
/// Longest text that is made to have a wished length, in bytes: the smallest output limit in packs is at
/// least as large as most wished lengths.
const MAX_TEXT: usize = 64 << 10;
/// Characters of a delivered text that are reported.
const MAX_TOLD: usize = 120;

/// How many results were tried, in how many cases both allow the call, after approval where needed, and
/// whether that was all.
#[derive(Default)]
pub(super) struct Tried {
    pub(super) count: usize,
    pub(super) judged: usize,
    pub(super) is_cut: bool,
    /// The rules that withhold a result under one policy alone.
    pub(super) withheld_by: BTreeSet<unshown::Name>,
    /// Whether results differ otherwise.
    pub(super) delivery: bool,
}

/// Evaluates both policies; reports each outcome once, by the shortest result.
pub(super) fn search(
    sides: &Sides,
    name: &str,
    calls: &Calls<'_>,
    seeds: &[TestCase],
    out: &mut Diff,
) -> Result<Tried, String> {
    if calls.wishing.iter().all(|rule| rule.phase != Phase::Result) {
        return Ok(Tried::default());
    }
    let mut tried = Tried::default();
    let mut outcomes: BTreeMap<Key, (usize, Change)> = BTreeMap::new();
    let (found, is_cut) = made(calls, seeds);
    tried.is_cut = is_cut;
    for call in found {
        let size = serde_json::to_string(&call).map_or(usize::MAX, |text| text.len());
        let witness = case(name, call);
        tried.count += 1;
        let Some(both) = judged(sides, &witness)? else { continue };
        tried.judged += 1;
        let [old, new] = &both;
        let by = unshown::apart_by_labels(&old.rules, &new.rules, sides.alone());
        let is_withheld = old.delivered.is_some() != new.delivered.is_some();
        let Some((key, change)) = compared(name, witness, both) else { continue };
        if is_withheld {
            tried.withheld_by.extend(by);
        } else {
            tried.delivery = true;
        }
        if outcomes.get(&key).is_none_or(|(shortest, _)| size < *shortest) {
            outcomes.insert(key, (size, change));
        }
    }
    out.changes.extend(outcomes.into_values().take(MAX_OUTCOMES).map(|(_, change)| change));
    Ok(tried)
}

/// Calls with possible results; whether something was left out.
fn made(calls: &Calls<'_>, seeds: &[TestCase]) -> (Vec<ToolCallCase>, bool) {
    let of_tests = seeds.iter().filter_map(|seed| seed.tool_call.as_ref());
    let of_tests = of_tests.filter(|call| call.tool == calls.tool && call.result.is_some()).cloned();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut is_cut = false;
    // Whether there is room for more.
    let mut add = |call: ToolCallCase| {
        if found.len() >= MAX_RESULTS {
            is_cut = true;
            return false;
        }
        if seen.insert(serde_json::to_string(&call).unwrap_or_default()) {
            found.push(call);
        }
        true
    };
    for call in of_tests {
        add(call);
    }
    let granted = calls.granted(MAX_CALLS);
    // A text that no rule searches for, and every text that any rule does.
    let mut wished = vec![texts(calls.tool, FRESH)];
    let (new, shared): (Vec<&Wishing>, Vec<&Wishing>) =
        calls.wishing.iter().filter(|rule| rule.phase == Phase::Result).partition(|rule| rule.is_new);
    for rule in new.into_iter().chain(shared) {
        wished.extend(ways(calls.tool, rule));
    }
    'made: for way in wished {
        let (of_result, of_call): (Way, Way) =
            way.into_iter().partition(|(place, _)| place.root == Root::Result);
        let result = result(calls.tool, &of_result);
        for grant in &granted {
            let call = calls.call(&[grant.as_slice(), of_call.as_slice()].concat());
            let with = |result: CaseResult| ToolCallCase { result: Some(result), ..call.clone() };
            if !add(with(CaseResult { dropped: Some(1), ..result.clone() })) || !add(with(result.clone())) {
                break 'made;
            }
        }
    }
    (found, is_cut)
}

fn ways(tool: &str, rule: &Wishing) -> Vec<Way> {
    let found = rule.texts.iter().map(|text| texts(tool, text));
    // What a rule requires of the call and the session, with a text that a redaction searches for.
    let holds = rule.holds.iter().flat_map(|way| {
        let all = rule.texts.iter().map(|text| [texts(tool, text), way.clone()].concat());
        all.chain([way.clone()]).collect::<Vec<Way>>()
    });
    // One beyond the limit, so that what is left out is told.
    found.chain(rule.fails.iter().cloned()).chain(holds).take(MAX_RESULTS + 1).collect()
}

/// The members of a tool's result: only files have content, and only listings have paths.
fn members(tool: &str) -> &'static [&'static str] {
    match tool {
        "workspace.read" => &["content"],
        "workspace.list" => &["paths"],
        "workspace.write" => &[],
        _ => &["stdout", "stderr"],
    }
}

/// A way with the same text everywhere.
fn texts(tool: &str, text: &str) -> Way {
    let place = |name: &&str| Place::of_result(name);
    members(tool).iter().map(|name| (place(name), Want::Is(Value::from(text)))).collect()
}

/// The result that a way wishes.
fn result(tool: &str, way: &[(Place, Want)]) -> CaseResult {
    let mut result = CaseResult::default();
    let can_have = |name: &str| members(tool).contains(&name);
    for (place, want) in way {
        let names = place.names();
        let Some(name) = names.first() else { continue };
        let number = match want {
            Want::Is(value) => value.as_i64(),
            _ => None,
        };
        let text = match want {
            Want::Is(Value::String(text)) | Want::Holds(Value::String(text)) => Some(text.clone()),
            Want::Size(size) => Some("a".repeat((*size).min(MAX_TEXT))),
            _ => None,
        };
        let long =
            number.and_then(|size| usize::try_from(size).ok()).map(|size| "a".repeat(size.min(MAX_TEXT)));
        match *name {
            "stdout" if can_have(name) => result.stdout = text,
            "stderr" if can_have(name) => result.stderr = text,
            "content" if can_have(name) => result.content = text,
            "paths" if can_have(name) => result.paths.extend(text),
            "stdoutSize" if can_have("stdout") => result.stdout = long,
            "stderrSize" if can_have("stderr") => result.stderr = long,
            "contentSize" if can_have("content") => result.content = long,
            "outcome" => result.outcome = text,
            "exitCode" => result.exit_code = number,
            "signal" => result.signal = number,
            "dropped" => result.dropped = number.filter(|dropped| *dropped >= 0),
            _ => {}
        }
    }
    result
}

/// Both policies' decisions on a result, if both allow the call, perhaps after approval, with the same
/// arguments and in the same sandbox. An invalid call has none.
fn judged(sides: &Sides, case: &TestCase) -> Result<Option<[Happened; 2]>, String> {
    let Some(call) = &case.tool_call else { return Ok(None) };
    let judged = |bench: &Bench| {
        let staged = bench.staged(call)?;
        staged.judge(&staged.decide()?)
    };
    let (Ok(Some((before, old))), Ok(Some((after, new)))) = (judged(&sides.old), judged(&sides.new)) else {
        return Ok(None);
    };
    Ok((before == after).then_some([old, new]))
}

/// What makes two differences the same for a reader.
type Key = (Direction, &'static str, Vec<String>, Vec<String>);

fn compared(name: &str, witness: TestCase, [old, new]: [Happened; 2]) -> Option<(Key, Change)> {
    let own = witness.tool_call.as_ref().and_then(|call| call.result.clone()).unwrap_or_default();
    let (direction, what) = differs(&own, &old, &new)?;
    let rules = |happened: &Happened| -> Vec<String> {
        if happened.delivered.is_none() { happened.rules.clone() } else { Vec::new() }
    };
    let key = (direction, what, rules(&old), rules(&new));
    let labels = |labels: &Relabelled| ExpectedLabels {
        added: Some(labels.added.iter().cloned().collect()),
        removed: None,
    };
    let labels = new.labels.as_ref().filter(|_| what.contains("labels")).map(labels);
    let expect = Expectation { delivered: new.delivered.clone(), labels, ..expectation(&new) };
    let change = Change {
        layer: Layer::Tools,
        direction,
        what: format!("tool `{name}`: {what}"),
        witness: Witness::Case(Box::new(TestCase { expect, ..witness })),
        old: verdict(&old),
        new: verdict(&new),
    };
    Some((key, change))
}

/// The direction in which two decisions about one result differ, with a description.
fn differs(own: &CaseResult, old: &Happened, new: &Happened) -> Option<(Direction, &'static str)> {
    use Direction::{Changed, Narrowed, Widened};
    let none = BTreeSet::new();
    let added =
        |happened: &'_ Happened| happened.labels.as_ref().map_or(none.clone(), |labels| labels.added.clone());
    let (before, after) = (added(old), added(new));
    // First, since it must not hide behind something narrower: calls that a label prevented are then open.
    if !before.is_subset(&after) {
        return Some((Widened, "results add fewer labels to their session"));
    }
    match (&old.delivered, &new.delivered) {
        (None, Some(_)) => return Some((Widened, "results that were withheld are delivered")),
        (Some(_), None) => return Some((Narrowed, "results that were delivered are withheld")),
        (Some(before), Some(after)) if before != after => {
            return Some(match (is_own(own, before), is_own(own, after)) {
                (false, true) => (Widened, "results are delivered as they are that were redacted"),
                (true, false) => (Narrowed, "results are redacted that were delivered as they are"),
                _ => (Changed, "results are redacted otherwise"),
            });
        }
        _ => {}
    }
    (before != after).then_some((Narrowed, "results add more labels to their session"))
}

/// Whether the texts are the call's own.
fn is_own(own: &CaseResult, delivered: &Delivered) -> bool {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    text(&own.stdout) == text(&delivered.stdout)
        && text(&own.stderr) == text(&delivered.stderr)
        && text(&own.content) == text(&delivered.content)
}

fn verdict(happened: &Happened) -> Verdict {
    let Some(delivered) = &happened.delivered else {
        let (rules, messages) = (happened.rules.clone(), happened.messages.clone());
        return Verdict { rules, messages, ..Verdict::word("withheld") };
    };
    let texts =
        [("stdout", &delivered.stdout), ("stderr", &delivered.stderr), ("content", &delivered.content)];
    let told = texts.into_iter().filter_map(|(name, text)| {
        let text = text.as_ref().filter(|text| !text.is_empty())?;
        let begun: String = text.chars().take(MAX_TOLD).collect();
        Some(format!("{name} {begun:?}"))
    });
    let mut messages: Vec<String> = told.collect();
    let labels = happened.labels.iter().flat_map(|labels| &labels.added);
    messages.extend(labels.map(|label| format!("adds the label `{label}`")));
    Verdict { messages, ..Verdict::word("delivered") }
}
