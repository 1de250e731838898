//! What is left of a document once everything that departs from its schema is taken out, so that the rest is still looked at and a person sees in
//! one run what is wrong with the text of a field and with its meaning.
//!
//! What is left is never compiled: it is a pack that nobody wrote. Only what a single field says by itself may be reported of it.

use crate::diagnostic::{Diagnostic, FieldPath, Segment, Severity};
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
        let mut faults: Vec<&FieldPath> =
            found.iter().filter(|one| one.severity == Severity::Error).map(|one| &one.at).collect();
        if faults.is_empty() {
            return Some(left);
        }
        faults.sort();
        faults.dedup();
        // From the end, so that taking one out does not move another.
        let taken = faults.into_iter().rev().filter(|at| take_out(&mut left, at.segments())).count();
        if taken == 0 {
            return None;
        }
    }
    None
}

/// Takes out a member; or, of a list, an element and all behind it: those before it stay where their places are looked for.
fn take_out(root: &mut Node, at: &[Segment]) -> bool {
    let Some((last, above)) = at.split_last() else { return false };
    let Some(holder) = reach(root, above) else { return false };
    match (last, &mut holder.value) {
        (Segment::Member(name), Value::Map(entries)) => {
            let before = entries.len();
            entries.retain(|entry| entry.key != *name);
            entries.len() < before
        }
        (Segment::Index(index), Value::List(items)) => {
            let is_there = *index < items.len();
            items.truncate(*index);
            is_there
        }
        _ => false,
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
