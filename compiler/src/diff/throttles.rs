//! The counters of throttles: exact, compared from throttle to throttle, since a counter may have another name
//! in the other policy. A throttle is the same in both if its pack and its rule have the same names.
//!
//! Counters of one name are compared as amounts ([`super::limits`]).

use std::collections::BTreeSet;

use bailiwick_policy::policy::Policy;
use bailiwick_policy::policy::tools::{Counter, RuleEffect, ToolLayer, ToolRule};

use super::{Diff, Direction, Layer, limits, settings};

/// Most calls that a case may make before its own. A throttle with a larger number is compared as an amount.
pub(super) const MAX_BEFORE: u64 = 1_000;

/// A rule that throttles, and what it counts with.
struct Throttle<'p> {
    pack: &'p str,
    rule: &'p str,
    counter: &'p Counter,
    max: u64,
    /// The rules whose calls the counter counts.
    counted: BTreeSet<&'p str>,
}

pub(super) fn compare(old: &Policy, new: &Policy, alone: bool, out: &mut Diff) {
    let (olds, news) = (throttles(old, alone), throttles(new, alone));
    let find = |all: &[Throttle<'_>], one: &Throttle<'_>| {
        all.iter().position(|other| (other.pack, other.rule) == (one.pack, one.rule))
    };
    for before in &olds {
        match find(&news, before).and_then(|at| news.get(at)) {
            Some(after) => pair(before, after, out),
            // A rule under another name: its calls are compared.
            None if news.iter().any(|one| (one.pack, one.counter) == (before.pack, before.counter)) => {}
            // What counts instead, if anything does, may forget sooner.
            None => {
                let name = &before.counter.name;
                let what = format!("throttle `{}` with counter `{name}` is only in OLD", before.rule);
                let of = format!("tools.rules.{}.throttle", before.rule);
                let values = (format!("counts with `{name}`"), "not there".to_owned());
                out.changes.push(settings::stated(Layer::Limits, Direction::Changed, what, &of, values));
            }
        }
    }
    for after in news.iter().filter(|after| find(&olds, after).is_none()) {
        out.notes.push(format!("throttle `{}` is only in NEW: it can only refuse calls", after.rule));
    }
}

fn pair(old: &Throttle<'_>, new: &Throttle<'_>, out: &mut Diff) {
    if old.max.max(new.max) > MAX_BEFORE {
        let of = format!("tools.rules.{}.throttle.max", new.rule);
        out.changes.extend(limits::amount(&of, "", Some(old.max), Some(new.max)));
    }
    let of = format!("tools.rules.{}.throttle.counter", new.rule);
    if old.counter.name != new.counter.name {
        let (before, after) = (old.counter, new.counter);
        out.changes.extend(limits::window(&format!("{of}.window"), before.window_ms, after.window_ms));
        out.changes.extend(limits::scope(&format!("{of}.scope"), before.scope, after.scope));
    }
    let words = |counted: &BTreeSet<&str>| {
        counted.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ")
    };
    if !old.counted.is_subset(&new.counted) {
        let what =
            format!("throttle `{}` no longer counts the calls of every rule that it counted", new.rule);
        let values = (words(&old.counted), words(&new.counted));
        out.changes.push(settings::stated(Layer::Limits, Direction::Changed, what, &of, values));
    }
}

fn throttles(policy: &Policy, alone: bool) -> Vec<Throttle<'_>> {
    let mut all = Vec::new();
    for layer in &policy.tools {
        let pack = limits::pack(policy, layer.pack, alone);
        for (rule, name, max) in throttling(layer) {
            let Some(counter) = layer.counters.iter().find(|counter| counter.name == name) else { continue };
            let same = throttling(layer).filter(|(_, other, _)| *other == name);
            let counted = same.map(|(rule, ..)| rule.name.as_str()).collect();
            all.push(Throttle { pack, rule: &rule.name, counter, max, counted });
        }
    }
    all
}

/// The rules of a layer that throttle, each with the name of its counter and the calls that it admits.
fn throttling(layer: &ToolLayer) -> impl Iterator<Item = (&ToolRule, &str, u64)> {
    layer.rules.iter().filter(|rule| rule.is_enforced()).filter_map(|rule| match &rule.effect {
        RuleEffect::Throttle { counter, max } => Some((rule, counter.as_str(), *max)),
        _ => None,
    })
}
