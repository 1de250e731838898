//! Both policies' decisions on one call, and which of them is the stricter.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bailiwick_policy::policy::tools::ApproverKey;
use bailiwick_policy::tool::{ApprovalRequest, Effect, Plan, PlannedProgram, Requirement, ToolDecision};

use super::super::sandboxes;
use super::super::sides::{Sides, expectation};
use super::super::{Change, Direction, Layer, Verdict, Witness};
use super::unshown;
use crate::cases::{Happened, Staged};
use crate::policy_test::{Expectation, ExpectedLabels, TestCase};

/// What makes two differences the same for a reader.
pub(super) type Key = (Direction, String, Vec<String>, Vec<String>);

pub(super) struct Outcome {
    pub(super) key: Key,
    pub(super) change: Change,
    /// The rules that take part in only one of the decisions, see [`unshown::apart`].
    pub(super) by: BTreeSet<unshown::Name>,
}

/// The difference for a call. An invalid call (too large, no time) has none.
pub(super) fn compare(sides: &Sides, case: &TestCase) -> Result<Option<Outcome>, String> {
    let Some(call) = &case.tool_call else { return Ok(None) };
    let (Ok(staged_old), Ok(staged_new)) = (sides.old.staged(call), sides.new.staged(call)) else {
        return Ok(None);
    };
    let (Ok(old), Ok(new)) = (staged_old.decide(), staged_new.decide()) else { return Ok(None) };
    let differs = match (&old.effect, &new.effect) {
        (Effect::Allow(before), Effect::Allow(after)) => {
            planned(sides, before.get().plan(), after.get().plan())?
        }
        (Effect::Ask(_), Effect::Ask(_)) if differs(&old.effect, &new.effect).is_none() => {
            bound(sides, &old, &new)?
        }
        (old, new) => differs(old, new),
    };
    // A label that a session no longer gets must not hide behind a narrower difference.
    let labels = labels((&staged_old, &old), (&staged_new, &new));
    let is_lost = labels.as_ref().is_some_and(|(direction, ..)| *direction == Direction::Widened)
        && differs.is_none_or(|(direction, _)| direction != Direction::Widened);
    let (direction, what, expected) = match (differs, labels) {
        (Some((direction, what)), _) if !is_lost => (direction, what, None),
        (_, Some((direction, what, expected))) => (direction, what, Some(expected)),
        _ => return Ok(None),
    };
    let (before, after) = (Happened::of_call(&old), Happened::of_call(&new));
    let expect = Expectation { labels: expected, ..expectation(&after) };
    let witness = Witness::Case(Box::new(TestCase { expect, ..case.clone() }));
    // The definition determines what runs; the rules agree.
    let by_rules = !(before.allowed && after.allowed);
    let rules = |happened: &Happened| happened.rules.iter().filter(|_| by_rules).cloned().collect();
    let key = (direction, what.to_owned(), rules(&before), rules(&after));
    let change = Change {
        layer: Layer::Tools,
        direction,
        what: format!("tool `{}`: {what}", call.tool),
        witness,
        old: verdict(&before, &old),
        new: verdict(&after, &new),
    };
    Ok(Some(Outcome { key, change, by: unshown::apart(&old, &new, sides.alone()) }))
}

/// Labels that the session of a call gains or loses if the call runs, after approval where needed: later
/// calls are decided by them. With what the new policy adds and removes.
fn labels(
    old: (&Staged<'_>, &ToolDecision),
    new: (&Staged<'_>, &ToolDecision),
) -> Option<(Direction, &'static str, ExpectedLabels)> {
    if [old.1, new.1].into_iter().any(|decision| matches!(decision.effect, Effect::Deny(_))) {
        return None;
    }
    // For a call that is denied after approval, that is reported separately.
    let before = old.0.relabelled(old.1).ok()?;
    let after = new.0.relabelled(new.1).ok()?;
    let (direction, what) = if !before.added.is_subset(&after.added) {
        (Direction::Widened, "calls add fewer labels to their session")
    } else if !after.removed.is_subset(&before.removed) {
        (Direction::Widened, "calls take more labels off their session")
    } else if before.added != after.added {
        (Direction::Narrowed, "calls add more labels to their session")
    } else if before.removed != after.removed {
        (Direction::Narrowed, "calls take fewer labels off their session")
    } else {
        return None;
    };
    let named = |labels: &BTreeSet<String>| Some(labels.iter().cloned().collect());
    let expected = ExpectedLabels { added: named(&after.added), removed: named(&after.removed) };
    Some((direction, what, expected))
}

fn verdict(happened: &Happened, decision: &ToolDecision) -> Verdict {
    let mut verdict = Verdict::of(happened);
    if let Effect::Allow(permit) = &decision.effect {
        verdict.messages = vec![runs(permit.get().plan())];
    }
    verdict
}

fn runs(plan: &Plan) -> String {
    match plan {
        Plan::Sandbox { sandbox, program: PlannedProgram::Argv(words), .. } => {
            format!("runs {words:?} in sandbox `{sandbox}`")
        }
        Plan::Sandbox { sandbox, program: PlannedProgram::Code(_), .. } => {
            format!("runs its code in sandbox `{sandbox}`")
        }
        Plan::Workspace(_) => "works on the workspace".to_owned(),
    }
}

/// The direction in which two effects differ, with a description.
fn differs(old: &Effect, new: &Effect) -> Option<(Direction, &'static str)> {
    use Direction::{Narrowed, Widened};
    match (old, new) {
        // Two plans are compared by what they run.
        (Effect::Deny(_), Effect::Deny(_)) | (Effect::Allow(_), Effect::Allow(_)) => None,
        (Effect::Deny(_), Effect::Allow(_)) => Some((Widened, "calls that were denied run")),
        (Effect::Deny(_), Effect::Ask(_)) => {
            Some((Widened, "calls that were denied run once people approve"))
        }
        (Effect::Ask(_), Effect::Allow(_)) => Some((Widened, "calls run that people had to approve")),
        (Effect::Allow(_), Effect::Deny(_)) => Some((Narrowed, "calls that ran are denied")),
        (Effect::Ask(_), Effect::Deny(_)) => Some((Narrowed, "calls that people could approve are denied")),
        (Effect::Allow(_), Effect::Ask(_)) => Some((Narrowed, "calls that ran have to be approved")),
        (Effect::Ask(old), Effect::Ask(new)) => {
            asked(old, new).map(|way| (way, "other people have to approve"))
        }
    }
}

/// The difference in what people are asked to approve: the arguments, or the sandbox.
fn bound(
    sides: &Sides,
    old: &ToolDecision,
    new: &ToolDecision,
) -> Result<Option<(Direction, &'static str)>, String> {
    if old.call().arguments() != new.call().arguments() {
        return Ok(Some((Direction::Changed, "people approve other arguments")));
    }
    let place = |decision: &'_ ToolDecision| Happened::of_call(decision).sandbox;
    let (Some(old), Some(new)) = (place(old), place(new)) else { return Ok(None) };
    let direction = if old == new { None } else { sandboxes::direction(sides, &old, &new)? };
    Ok(direction.map(|direction| (direction, "people approve calls in another sandbox")))
}

/// Which of two questions is easier to answer.
fn asked(old: &ApprovalRequest, new: &ApprovalRequest) -> Option<Direction> {
    let easier = |one: &[Requirement], other: &[Requirement]| {
        other.iter().all(|wanted| one.iter().any(|given| holds(given, wanted)))
    };
    match (easier(&old.requirements, &new.requirements), easier(&new.requirements, &old.requirements)) {
        // What meets one meets the other, except for the time until it expires.
        (true, true) => match old.expires_ms.cmp(&new.expires_ms) {
            Ordering::Less => Some(Direction::Widened),
            Ordering::Equal => None,
            Ordering::Greater => Some(Direction::Narrowed),
        },
        (true, false) => Some(Direction::Widened),
        (false, true) => Some(Direction::Narrowed),
        (false, false) => Some(Direction::Changed),
    }
}

/// Whether every approval that meets one requirement meets the other.
fn holds(given: &Requirement, wanted: &Requirement) -> bool {
    // A quorum counts persons, so the owner of a key matters too.
    let among = |key: &ApproverKey| {
        wanted.keys.iter().any(|other| other.ed25519 == key.ed25519 && other.principal == key.principal)
    };
    given.quorum >= wanted.quorum && given.keys.iter().all(among)
}

/// The difference between two plans. Another sandbox counts only if it confines differently.
fn planned(sides: &Sides, old: &Plan, new: &Plan) -> Result<Option<(Direction, &'static str)>, String> {
    let (before, after) = match (old, new) {
        (
            Plan::Sandbox { program: old, stdin: before, .. },
            Plan::Sandbox { program: new, stdin: after, .. },
        ) if old == new => (before, after),
        (old, new) if old == new => return Ok(None),
        _ => return Ok(Some((Direction::Changed, "the same call runs another program"))),
    };
    if let (Some(old), Some(new)) = (old.sandbox(), new.sandbox())
        && old != new
        && let Some(direction) = sandboxes::direction(sides, old, new)?
    {
        return Ok(Some((direction, "calls run in another sandbox")));
    }
    Ok(match before.cmp(after) {
        Ordering::Less => Some((Direction::Widened, "calls may read from their caller")),
        Ordering::Equal => None,
        Ordering::Greater => Some((Direction::Narrowed, "calls may not read from their caller")),
    })
}
