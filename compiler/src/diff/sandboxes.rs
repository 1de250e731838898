//! Which sandboxes are compared with which, and their differences that are neither wider nor narrower.
//!
//! Sandboxes are compared by name. If a tool of both policies runs in two of different names, these two are
//! compared as well: what matters is the sandbox that the tool's command gets.

use std::collections::BTreeSet;

use bailiwick_policy::policy::Policy;
use bailiwick_policy::policy::sandboxes::Sandbox;
use serde_json::{Value, json};

use super::sides::Sides;
use super::{Diff, Direction, Layer, filesystem, limits, settings, syscalls};

/// Two sandboxes that are compared.
pub(super) struct Pair<'p> {
    pub(super) old: &'p Sandbox,
    pub(super) new: &'p Sandbox,
    /// The tool that runs in both, if their names differ.
    tool: Option<&'p str>,
}

impl Pair<'_> {
    /// The sandbox in words.
    pub(super) fn name(&self) -> String {
        match self.tool {
            None => format!("sandbox `{}`", self.new.name),
            Some(tool) => {
                format!("tool `{tool}`, in sandbox `{}` instead of `{}`", self.new.name, self.old.name)
            }
        }
    }
}

pub(super) fn compare(sides: &Sides, out: &mut Diff) -> Result<(), String> {
    let (old, new) = sides.policies();
    for pair in pairs(old, new) {
        filesystem::compare(sides, &pair, out)?;
        syscalls::compare(sides, &pair, out)?;
        limits::sandbox(&pair, out);
        others(&pair, out);
    }
    for (policy, other, which) in [(old, new, "OLD"), (new, old, "NEW")] {
        for sandbox in policy.sandboxes.iter().filter(|one| find(other, &one.name).is_none()) {
            let name = &sandbox.name;
            let is_used = runs(policy).any(|(_, of)| of == name);
            let is_narrower = policy
                .tools
                .iter()
                .flat_map(|layer| &layer.rules)
                .any(|rule| rule.narrows_to() == Some(name));
            let why = match (is_used, is_narrower) {
                (true, _) => "its tools are compared",
                (false, true) => "the calls that are narrowed to it are compared",
                (false, false) => "no tool runs in it",
            };
            out.notes.push(format!("sandbox `{name}` is only in {which}: {why}"));
        }
    }
    limits::pools(old, new, out);
    Ok(())
}

/// The direction in which the confinement of a command changes that runs in one sandbox of the old policy and
/// another of the new; `None` if it does not.
pub(super) fn direction(sides: &Sides, old: &str, new: &str) -> Result<Option<Direction>, String> {
    let key = (old.to_owned(), new.to_owned());
    if let Some(known) = sides.sandboxes.borrow().get(&key) {
        return Ok(*known);
    }
    let direction = compared(sides, old, new)?;
    sides.sandboxes.borrow_mut().insert(key, direction);
    Ok(direction)
}

fn compared(sides: &Sides, old: &str, new: &str) -> Result<Option<Direction>, String> {
    let (before, after) = sides.policies();
    let (Some(old), Some(new)) = (find(before, old), find(after, new)) else {
        return Ok(Some(Direction::Changed));
    };
    let pair = Pair { old, new, tool: None };
    let mut found = Diff::default();
    filesystem::compare(sides, &pair, &mut found)?;
    syscalls::compare(sides, &pair, &mut found)?;
    limits::sandbox(&pair, &mut found);
    // A variable can open what its absence closes, and the reverse; of a runtime or a pool it is not known.
    let is_other = unordered(&pair).iter().any(|(_, old, new)| old != new);
    Ok(match (found.count(Direction::Widened), found.count(Direction::Narrowed)) {
        (0, 0) if !is_other => None,
        (1.., 0) => Some(Direction::Widened),
        (0, _) if !is_other => Some(Direction::Narrowed),
        _ => Some(Direction::Changed),
    })
}

fn find<'p>(policy: &'p Policy, name: &str) -> Option<&'p Sandbox> {
    policy.sandboxes.iter().find(|sandbox| sandbox.name == name)
}

/// Each tool with the sandbox that it runs in.
fn runs(policy: &Policy) -> impl Iterator<Item = (&str, &str)> {
    let tools = policy.tools.iter().flat_map(|layer| &layer.definitions);
    tools.map(|tool| (tool.name.as_str(), tool.run.sandbox.as_str()))
}

fn pairs<'p>(old: &'p Policy, new: &'p Policy) -> Vec<Pair<'p>> {
    let mut pairs: Vec<Pair<'p>> = Vec::new();
    for sandbox in &new.sandboxes {
        pairs.extend(find(old, &sandbox.name).map(|old| Pair { old, new: sandbox, tool: None }));
    }
    let mut seen = BTreeSet::new();
    for (tool, before) in runs(old) {
        let now = runs(new).find(|(name, of)| *name == tool && *of != before);
        let Some((_, now)) = now.filter(|(_, now)| seen.insert((before, *now))) else { continue };
        if let (Some(old), Some(new)) = (find(old, before), find(new, now)) {
            pairs.push(Pair { old, new, tool: Some(tool) });
        }
    }
    pairs
}

/// What has no order of wider and narrower: the member, and both values.
fn unordered(pair: &Pair<'_>) -> [(&'static str, Value, Value); 4] {
    let (old, new) = (pair.old, pair.new);
    [
        ("environment", json!(old.environment), json!(new.environment)),
        ("runtime", json!(old.runtime), json!(new.runtime)),
        ("pool", json!(old.pool), json!(new.pool)),
        ("network.egress", json!(old.egress), json!(new.egress)),
    ]
}

/// The differences that are neither wider nor narrower.
fn others(pair: &Pair<'_>, out: &mut Diff) {
    let (old, new) = (pair.old, pair.new);
    for (what, old, new) in unordered(pair) {
        let of = format!("sandboxes.{}.{what}", pair.new.name);
        out.changes.extend(settings::other(Layer::Limits, &of, old.to_string(), new.to_string()));
    }
    if old.syscalls.refused != new.syscalls.refused {
        let what = "syscalls: which error a refused call gives differs, which is not judged";
        out.notes.push(format!("{}: {what}", pair.name()));
    }
}
