//! What is left of a document once everything that violates its schema is removed. The rest is still checked,
//! so that one run reports errors both in the text of a field and in its meaning.
//!
//! The remainder is never compiled, since no author wrote such a pack. Only findings about a single field may
//! be reported for it.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, FieldPath, Segment, Severity};
use crate::parameters::parameter_name;
use crate::schema_check;
use crate::yaml::{Node, Value};

/// Rounds before giving up. A round removes all faults at once. If it removes something required, another
/// round removes the object that required it, and so on outwards; the language has fewer levels than this.
const MAX_ROUNDS: usize = 16;

/// What is left of a document; `None` if it is no longer a document.
pub(crate) fn what_is_left(root: &Node) -> Option<Node> {
    let mut left = root.clone();
    for _ in 0..MAX_ROUNDS {
        let found = schema_check::check(&left, &schema_check::PACK, &FieldPath::root());
        let errors = found.into_iter().filter(|one| one.severity == Severity::Error).map(|one| one.at);
        let mut faults: Vec<FieldPath> = errors.collect();
        parameters(&left, &FieldPath::root(), &mut faults);
        if faults.is_empty() {
            return Some(left);
        }
        if take_out(&mut left, &faults) == 0 {
            return None;
        }
    }
    None
}

/// Finds parameters without a value: the missing value was already reported, and `${x}` itself is not a
/// value.
fn parameters(node: &Node, at: &FieldPath, found: &mut Vec<FieldPath>) {
    match &node.value {
        Value::Str(text) if parameter_name(text).is_some() => found.push(at.clone()),
        Value::Map(entries) => {
            entries.iter().for_each(|entry| parameters(&entry.value, &at.member(entry.key.as_str()), found));
        }
        Value::List(items) => {
            items.iter().enumerate().for_each(|(index, item)| parameters(item, &at.index(index), found));
        }
        _ => {}
    }
}

/// Removes members; in a list, removes an element and all after it, so that the elements before it keep their
/// positions. Returns how many it removed.
fn take_out(root: &mut Node, faults: &[FieldPath]) -> usize {
    // All faults of one holder at once: a pack may have too many faults for one pass each.
    let mut holders: BTreeMap<&[Segment], BTreeSet<&Segment>> = BTreeMap::new();
    for (last, above) in faults.iter().filter_map(|at| at.segments().split_last()) {
        holders.entry(above).or_default().insert(last);
    }
    // From the end, so that a removal does not move the others.
    holders.iter().rev().map(|(above, lasts)| take_from(root, above, lasts)).sum()
}

fn take_from(root: &mut Node, above: &[Segment], lasts: &BTreeSet<&Segment>) -> usize {
    let Some(holder) = reach(root, above) else { return 0 };
    match &mut holder.value {
        Value::Map(entries) => {
            let names: BTreeSet<&str> = lasts
                .iter()
                .filter_map(|last| if let Segment::Member(name) = last { Some(name.as_str()) } else { None })
                .collect();
            let before = entries.len();
            entries.retain(|entry| !names.contains(entry.key.as_str()));
            before - entries.len()
        }
        Value::List(items) => {
            let before = items.len();
            let first = lasts
                .iter()
                .filter_map(|last| if let Segment::Index(index) = last { Some(*index) } else { None })
                .min();
            items.truncate(first.unwrap_or(before));
            before - items.len()
        }
        _ => 0,
    }
}

fn reach<'n>(root: &'n mut Node, at: &[Segment]) -> Option<&'n mut Node> {
    at.iter().try_fold(root, |node, segment| match (segment, &mut node.value) {
        (Segment::Member(name), Value::Map(entries)) => {
            entries.iter_mut().find(|entry| entry.key == *name).map(|entry| &mut entry.value)
        }
        (Segment::Index(index), Value::List(items)) => items.get_mut(*index),
        _ => None,
    })
}

/// Whether parents may be resolved although the pack is faulty: not if the fault is in what names them or in
/// the values passed to them.
pub(crate) fn parents_are_sound(found: &[Diagnostic]) -> bool {
    let (extends, parameters) = (FieldPath::spec().member("extends"), FieldPath::spec().member("parameters"));
    found.iter().filter(|one| one.severity == Severity::Error).all(|one| {
        !one.code.id().starts_with("BW02")
            && !one.at.starts_with(&extends)
            && !one.at.starts_with(&parameters)
    })
}
