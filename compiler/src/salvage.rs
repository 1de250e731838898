//! What is left of a document once everything that departs from its schema is taken out, so that the rest is still looked at and a person sees in
//! one run what is wrong with the text of a field and with its meaning.
//!
//! What is left is never compiled: it is a pack that nobody wrote. Only what a single field says by itself may be reported of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, FieldPath, Segment, Severity};
use crate::parameters::parameter_name;
use crate::schema_check;
use crate::yaml::{Node, Value};

/// Rounds before it is given up. A round takes out all that is faulty at once; another is needed where something was required, then for what
/// held it, and so on outwards, of which the language has fewer levels.
const MAX_ROUNDS: usize = 16;

/// What is left of a document; `None` if that is no document any more.
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

/// Where a parameter stands that has no value: what is said of it was said, and `${x}` is no value.
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

/// Takes out members; or, of a list, an element and all behind it: those before it stay where their places are looked for. How much it took.
fn take_out(root: &mut Node, faults: &[FieldPath]) -> usize {
    // Of each holder all at once: a pack may have more faults than could be gone through for each.
    let mut holders: BTreeMap<&[Segment], BTreeSet<&Segment>> = BTreeMap::new();
    for (last, above) in faults.iter().filter_map(|at| at.segments().split_last()) {
        holders.entry(above).or_default().insert(last);
    }
    // From the end, so that taking one out does not move another.
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

/// Whether parents may be looked for although the pack is faulty: not if the fault is in what names them or in what is handed to them.
pub(crate) fn parents_are_sound(found: &[Diagnostic]) -> bool {
    let (extends, parameters) = (FieldPath::spec().member("extends"), FieldPath::spec().member("parameters"));
    found.iter().filter(|one| one.severity == Severity::Error).all(|one| {
        !one.code.id().starts_with("BW02")
            && !one.at.starts_with(&extends)
            && !one.at.starts_with(&parameters)
    })
}
