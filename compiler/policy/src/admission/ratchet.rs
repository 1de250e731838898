//! An UPDATE is judged on what it changes: a violation that the old object also has, at an unchanged path,
//! becomes a warning. Otherwise a stricter policy would stop controllers from finishing what already runs.
//!
//! Never relaxed: an exhausted budget; a rule that compares with `oldObject` or reads the request, since its
//! result over the old object means nothing; a rule for UPDATE alone; an object that was not governed before.

use crate::decision::{Effect, Finding};
use crate::json::Json;

use super::field::unchanged;
use super::matching::Coordinates;
use super::ready::ReadyRule;
use super::rules::{Part, RuleFinding};
use super::selector::{ObjectLabels, selects};

/// The message suffix of a violation that is not new.
const NOT_NEW: &str = "was there before this update";

/// Turns a denial into a warning.
pub(super) fn relax(finding: &mut Finding) {
    if finding.effect == Effect::Deny {
        finding.effect = Effect::Warn;
        finding.message = format!("{} ({NOT_NEW})", finding.message);
    }
}

/// Relaxes the section findings that the old pod has too.
pub(super) fn sections(findings: &mut [Finding], before: &[Finding], pod: &Json<'_>, old: &Json<'_>) {
    for finding in findings {
        let known = before
            .iter()
            .any(|one| (&one.rule, &one.pack, &one.field) == (&finding.rule, &finding.pack, &finding.field));
        if known && unchanged(&finding.field, pod, old) {
            relax(finding);
        }
    }
}

/// Relaxes a rule's finding if everything that its expression reads is the same in both objects.
pub(super) fn rule(
    ReadyRule { rule, ready }: ReadyRule<'_>,
    asked: &mut RuleFinding,
    coordinates: Coordinates<'_>,
    (object, old): (&Json<'_>, &Json<'_>),
) {
    let reads = &ready.reads;
    let read = match asked.of {
        Part::Validation(at) => reads.validations.get(at),
        Part::Rego => reads.rego.as_ref(),
        Part::Around => None,
    };
    let Some(read) = read else { return };
    let also_at_creation = coordinates.of_creation().matched_by(rule);
    let was_selected =
        rule.matches.object_selector.as_ref().is_none_or(|one| selects(one, &ObjectLabels(old)));
    // A condition that reads the request may have kept the rule from applying when the object was created.
    let same = read.only_object()
        && read.agree(object, old)
        && reads.conditions.iter().all(|one| !one.foreign() && one.agree(object, old));
    if !asked.limit && also_at_creation && was_selected && same {
        relax(&mut asked.finding);
    }
}

/// Whether an update of an object that is being deleted changes nothing but its finalizers: these must be
/// removable whatever the policy says. Everything else of it still counts: its controllers and its neighbours
/// read its labels and annotations until it is gone.
pub(super) fn winds_down(object: &Json<'_>, old: &Json<'_>) -> bool {
    const METADATA: &str = "metadata";
    let deleting = old.at(&[METADATA, "deletionTimestamp"]).is_some_and(|at| *at != Json::Null);
    let (Some(now), Some(before)) = (object.get(METADATA), old.get(METADATA)) else { return false };
    deleting && equal_but(&[METADATA], object, old) && equal_but(&WRITTEN_WHEN_FINALIZED, now, before)
}

/// Members of `metadata` that differ when finalizers are removed; the API server writes all but the first. The
/// floor leaves out the same.
pub const WRITTEN_WHEN_FINALIZED: [&str; 4] =
    ["finalizers", "generation", "managedFields", "resourceVersion"];

/// Whether two objects have equal members, leaving out these.
fn equal_but(left_out: &[&str], one: &Json<'_>, other: &Json<'_>) -> bool {
    let (Some(one), Some(other)) = (one.as_map(), other.as_map()) else { return false };
    let counts = |key: &str| !left_out.contains(&key);
    one.iter().filter(|(key, _)| counts(key)).all(|(key, value)| other.get(key) == Some(value))
        && other.iter().filter(|(key, _)| counts(key)).all(|(key, _)| one.get(key).is_some())
}
