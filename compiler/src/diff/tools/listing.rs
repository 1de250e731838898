//! Which callers see a tool: both policies are evaluated for the callers, sessions and times that their rules
//! about it compare.
//!
//! The arguments of a call do not matter to a listing, so calls that differ in nothing else are one question.

use std::collections::{BTreeMap, BTreeSet};

use super::super::sides::Sides;
use super::super::{Change, Diff, Direction, Layer, Verdict, Witness};
use super::{MAX_OUTCOMES, case};
use crate::cases::Bench;
use crate::policy_test::{Expectation, TestCase, ToolCallCase};

/// Questions about one tool. Rules compare a few properties of callers and sessions each.
const MAX_LISTINGS: usize = 128;

/// What was asked.
pub(super) struct Asked {
    pub(super) count: usize,
    pub(super) is_cut: bool,
    /// Whether any of them is answered differently.
    pub(super) differs: bool,
}

/// Evaluates both policies; reports each way of being hidden once, by the shortest question.
pub(super) fn search(sides: &Sides, calls: &[ToolCallCase], name: &str, out: &mut Diff) -> Asked {
    let mut asked = BTreeSet::new();
    let mut told: BTreeMap<(Direction, Option<String>), (usize, Change)> = BTreeMap::new();
    let mut is_cut = false;
    for call in calls {
        let question = ToolCallCase { args: None, result: None, ..call.clone() };
        let text = serde_json::to_string(&question).unwrap_or_default();
        if !asked.contains(&text) && asked.len() >= MAX_LISTINGS {
            is_cut = true;
            break;
        }
        if !asked.insert(text.clone()) {
            continue;
        }
        let listed = |bench: &Bench| bench.staged(&question)?.listed();
        let (Ok(old), Ok(new)) = (listed(&sides.old), listed(&sides.new)) else { continue };
        let direction = match (&old, &new) {
            (Err(_), Ok(())) => Direction::Widened,
            (Ok(()), Err(_)) => Direction::Narrowed,
            _ => continue,
        };
        let by = old.as_ref().err().or(new.as_ref().err()).cloned();
        let size = text.len();
        if told.get(&(direction, by.clone())).is_none_or(|(shortest, _)| size < *shortest) {
            // With arguments it is a case that tests can adopt.
            let args = call.args.clone();
            let witness = case(name, ToolCallCase { args, ..question });
            told.insert((direction, by), (size, change(witness, direction, name, &old, &new)));
        }
    }
    let differs = !told.is_empty();
    out.changes.extend(told.into_values().take(MAX_OUTCOMES).map(|(_, change)| change));
    Asked { count: asked.len(), is_cut, differs }
}

fn change(
    witness: TestCase,
    direction: Direction,
    name: &str,
    old: &Result<(), String>,
    new: &Result<(), String>,
) -> Change {
    let word = |listed: &Result<(), String>| match listed {
        Ok(()) => Verdict::word("listed"),
        Err(by) => Verdict { messages: vec![by.clone()], ..Verdict::word("hidden") },
    };
    let what = match direction {
        Direction::Widened => "callers are told of it that were not",
        _ => "callers are not told of it that were",
    };
    let expect = Expectation { listed: Some(new.is_ok()), ..Expectation::default() };
    Change {
        layer: Layer::Tools,
        direction,
        what: format!("tool `{name}`: {what}"),
        witness: Witness::Case(Box::new(TestCase { expect, ..witness })),
        old: word(old),
        new: word(new),
    }
}
