//! The two policies, ready to evaluate, and the only way to a [`Change`]: both decide.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::admission::CELL_LABEL;
use bailiwick_policy::cel::Watching;
use bailiwick_policy::policy::Policy;
use serde_json::Value;

use super::{Change, Direction, Layer, Verdict, Witness};
use crate::cases::{Bench, Happened, no_manifests};
use crate::policy_test::{Effect, Expectation, SyscallAction, TestCase};

/// The two policies.
pub(super) struct Sides {
    pub(super) old: Bench,
    pub(super) new: Bench,
    /// The direction between sandboxes of two names, each pair compared once.
    pub(super) sandboxes: RefCell<BTreeMap<(String, String), Option<Direction>>>,
}

impl Sides {
    pub(super) fn new(old: &Policy, new: &Policy) -> Self {
        // Two bases apply to every pod; next to a policy that governs pods, a base governs none.
        let bases = old.subject.is_none() && new.subject.is_none();
        let ready = |policy: &Policy| match bases {
            true => Bench::new(policy.clone(), Watching::Off),
            false => Bench::as_it_is(policy.clone()),
        };
        Self { old: ready(old), new: ready(new), sandboxes: RefCell::default() }
    }

    pub(super) const fn policies(&self) -> (&Policy, &Policy) {
        (self.old.policy(), self.new.policy())
    }

    /// Whether each policy has the tools of a single pack, which may have been renamed.
    pub(super) fn alone(&self) -> bool {
        let (old, new) = self.policies();
        old.tools.len() == 1 && new.tools.len() == 1
    }

    /// The difference for a case, if any.
    pub(super) fn compare(&self, layer: Layer, case: &TestCase) -> Result<Option<Found>, String> {
        self.compare_as(layer, case, case)
    }

    /// The same for an admission request, including what is written into the object; `None` if it is not a
    /// valid request.
    pub(super) fn compare_objects(&self, layer: Layer, case: &TestCase) -> Option<Compared> {
        let (Ok(old), Ok(new)) =
            (self.old.carry_out(case, &no_manifests), self.new.carry_out(case, &no_manifests))
        else {
            return None;
        };
        let compared = |found| Compared { found, old: old.rules.clone(), new: new.rules.clone() };
        let direction = match (old.allowed, new.allowed) {
            (false, true) => Direction::Widened,
            (true, false) => Direction::Narrowed,
            (true, true) if written(&old) != written(&new) => Direction::Changed,
            _ => return Some(compared(None)),
        };
        let witness = Witness::Case(Box::new(TestCase { expect: expectation(&new), ..case.clone() }));
        let verdict = |happened: &Happened, other: &Happened| {
            let mut verdict = Verdict::of(happened);
            if direction == Direction::Changed {
                verdict.messages = differences(written(happened).as_ref(), written(other).as_ref());
            }
            verdict
        };
        let found = Found { layer, direction, witness, old: verdict(&old, &new), new: verdict(&new, &old) };
        Some(compared(Some(found)))
    }

    /// The same, if the two policies use two names for a thing.
    pub(super) fn compare_as(
        &self,
        layer: Layer,
        in_old: &TestCase,
        in_new: &TestCase,
    ) -> Result<Option<Found>, String> {
        let old = self.old.carry_out(in_old, &no_manifests)?;
        let new = self.new.carry_out(in_new, &no_manifests)?;
        if old.allowed == new.allowed {
            return Ok(None);
        }
        let direction = if new.allowed { Direction::Widened } else { Direction::Narrowed };
        let witness = Witness::Case(Box::new(TestCase { expect: expectation(&new), ..in_new.clone() }));
        let (old, new) = (Verdict::of(&old), Verdict::of(&new));
        Ok(Some(Found { layer, direction, witness, old, new }))
    }
}

/// Both policies' decisions on an admission request.
pub(super) struct Compared {
    pub(super) found: Option<Found>,
    /// The rules by which the old policy denies it.
    pub(super) old: Vec<String>,
    /// The rules by which the new policy denies it.
    pub(super) new: Vec<String>,
}

/// A difference without a description yet.
pub(super) struct Found {
    layer: Layer,
    pub(super) direction: Direction,
    witness: Witness,
    pub(super) old: Verdict,
    pub(super) new: Verdict,
}

impl Found {
    pub(super) fn told(self, what: String) -> Change {
        let Self { layer, direction, witness, old, new } = self;
        Change { layer, direction, what, witness, old, new }
    }
}

impl Verdict {
    /// A single word, without rules or messages.
    pub(super) fn word(verdict: impl Into<String>) -> Self {
        Self { verdict: verdict.into(), rules: Vec::new(), messages: Vec::new() }
    }

    /// The outcome in a word, with the rules and their messages.
    pub(super) fn of(happened: &Happened) -> Self {
        let word = match (happened.effect, happened.action) {
            (Some(Effect::Ask), _) => "asks",
            (_, Some(SyscallAction::Errno)) => "refused",
            _ if happened.allowed => "allowed",
            _ => "denied",
        };
        Self { verdict: word.to_owned(), rules: happened.rules.clone(), messages: happened.messages.clone() }
    }
}

/// The object as stored, without what only names the policies.
pub(super) fn written(happened: &Happened) -> Option<Value> {
    let mut object = happened.object.clone()?;
    for path in ["/metadata/labels", "/spec/template/metadata/labels"] {
        if let Some(labels) = object.pointer_mut(path).and_then(Value::as_object_mut) {
            labels.remove(CELL_LABEL);
        }
    }
    Some(object)
}

/// Members of an object that are listed in a report of what was written.
const SHOWN: usize = 4;

/// Where one object differs from another, by path.
fn differences(one: Option<&Value>, other: Option<&Value>) -> Vec<String> {
    let mut all = Vec::new();
    let null = Value::Null;
    let mut pending = vec![(String::new(), one.unwrap_or(&null), other.unwrap_or(&null))];
    while let Some((at, one, other)) = pending.pop().filter(|_| all.len() < SHOWN) {
        match (one, other) {
            _ if one == other => {}
            (Value::Object(mine), Value::Object(theirs)) => {
                let names: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
                // Entries are popped from the end, so the first is pushed last.
                for name in names.into_iter().rev() {
                    let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                    pending.push((path, mine.get(name).unwrap_or(&null), theirs.get(name).unwrap_or(&null)));
                }
            }
            _ => all.push(format!("{at} is {one}")),
        }
    }
    all
}

/// The outcome, as the expectation of a case that would notice any other outcome.
pub(super) fn expectation(happened: &Happened) -> Expectation {
    let allowed = (happened.effect.is_none() && happened.action.is_none()).then_some(happened.allowed);
    Expectation { allowed, effect: happened.effect, action: happened.action, ..Expectation::default() }
}

/// A case without any input.
pub(super) fn blank(name: String) -> TestCase {
    TestCase {
        name,
        admission: None,
        tool_call: None,
        connection: None,
        syscall: None,
        filesystem: None,
        image: None,
        expect: Expectation::default(),
    }
}
