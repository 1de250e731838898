//! Admission differences that no request shows: settings that are compared directly, rules that no request
//! reached, and sections and subjects that lost a part without any reported difference.
//!
//! None of these has a pod as a witness. They are reported all the same, so that a search without findings is
//! not taken for a proof.

use std::collections::BTreeMap;

use bailiwick_policy::policy::tools::AuditAdmission;
use bailiwick_policy::policy::{
    Action, Admission, AdmissionRule, Isolation, LabelSelector, PodSecurity, Policy, RuntimeClasses,
    Unmatched,
};
use serde_json::json;

use super::super::settings::{ordered, stated};
use super::super::sides::{Sides, written};
use super::super::{Change, Diff, Direction, Layer};
use super::world::{Requests, asked};
use super::{Of, Reached, Suspect};
use crate::cases::{Bench, no_manifests};
use crate::meet::as_strict;
use crate::policy_test::AdmissionCase;
use crate::reach::labels::Labels;

/// Settings that are compared directly: which rules an exception may relax, whether namespaces hold only
/// governed pods, and whether decisions must be recorded.
pub(super) fn settings(old: &Policy, new: &Policy, out: &mut Diff) {
    let exclusive = |policy: &Policy| policy.subject.as_ref().map(|one| !one.exclusive);
    if let (Some(old), Some(new)) = (exclusive(old), exclusive(new)) {
        let word = |shared: bool| (!shared).to_string();
        out.changes.extend(ordered(Layer::Admission, "subjects.namespaces.exclusive", old, new, word));
    }
    // Two packs may have rules of one name.
    let relaxed = |policy: &Policy| -> BTreeMap<(String, String), bool> {
        let pack = |rule: &AdmissionRule| {
            let pack = policy.packs.get(usize::from(rule.origin.pack));
            pack.map(|pack| pack.name.clone()).unwrap_or_default()
        };
        let rules = policy.admission.rules.iter();
        rules.map(|rule| ((pack(rule), rule.name.clone()), rule.exceptable)).collect()
    };
    let (before, after) = (relaxed(old), relaxed(new));
    for (key, old) in &before {
        let name = &key.1;
        // The rule may have moved to another pack.
        let moved = || {
            let others = after.iter().filter(|(other, _)| other.1 == *name && !before.contains_key(*other));
            others.map(|(_, one)| *one).max()
        };
        let Some(new) = after.get(key).copied().or_else(moved) else { continue };
        let of = format!("admission.rules.{name}.exceptable");
        out.changes.extend(ordered(Layer::Admission, &of, *old, new, |one| one.to_string()));
    }
    let recorded =
        |policy: &Policy| policy.audit.as_ref().map_or(AuditAdmission::Optional, |one| one.value.admission);
    let lax = |policy: &Policy| std::cmp::Reverse(recorded(policy));
    let word = |one: std::cmp::Reverse<AuditAdmission>| format!("{:?}", one.0);
    out.changes.extend(ordered(Layer::Admission, "audit.admission", lax(old), lax(new), word));
}

/// Reports what the search did not show.
pub(super) fn tell(
    sides: &Sides,
    suspects: &[Suspect<'_>],
    requests: &Requests,
    reached: &Reached,
    out: &mut Diff,
) {
    let (old, new) = sides.policies();
    // Before the rules: that no request reached a rule says nothing about a section.
    out.changes.extend(isolation(&old.isolation, &new.isolation, out));
    out.changes.extend(subjects(old, new, out));
    for (suspect, own) in suspects.iter().zip(&requests.own) {
        out.changes.extend(unreached(sides, suspect, suspects, own, reached, out));
    }
}

/// A rule that differs and that no request reached.
fn unreached(
    sides: &Sides,
    suspect: &Suspect<'_>,
    suspects: &[Suspect<'_>],
    own: &[AdmissionCase],
    reached: &Reached,
    out: &Diff,
) -> Option<Change> {
    let (old, new) = sides.policies();
    let policy = if suspect.side == Of::Old { old } else { new };
    policy.subject.as_ref()?;
    let mut forms = suspects.iter().filter(|other| other.side != suspect.side && other.name == suspect.name);
    let has_form = forms.clone().next().is_some();
    // Only whether exceptions may relax it differs, which is told.
    if forms.any(|other| other.form == suspect.form) {
        return None;
    }
    let (rule, name) = (suspect.rule, &suspect.rule.name);
    let denies = rule.action == Action::Deny && rule.judges();
    let direction = match (suspect.side, rule.mutations.is_empty()) {
        (_, false) => Direction::Changed,
        (Of::Old, true) if denies => Direction::Changed,
        // An additional rule can only deny more; one in another form is judged by what the old form denied.
        (Of::New, true) if denies && !has_form => Direction::Narrowed,
        _ => return None,
    };
    // Its forms have other labels if the pack's version was raised.
    let labels: Vec<&str> = suspects
        .iter()
        .filter(|other| other.name == suspect.name)
        .map(|other| other.label.as_str())
        .collect();
    let is_told = |change: &Change| {
        change.old.rules.iter().chain(&change.new.rules).any(|label| labels.contains(&label.as_str()))
    };
    // The conditions of a module cannot be read from it: only a difference that was found shows that it was
    // tried. A request that both forms of a rule deny shows nothing of where they differ.
    let is_compared = rule.rego.is_some() || has_form && rule.mutations.is_empty();
    let (is_shown, why) = match is_compared {
        true => (out.changes.iter().any(is_told), "no tried request told the two apart"),
        false => (
            reached.contains(&(suspect.side, suspect.label.clone())) || reaches(policy, suspect, own),
            "no tried request reached it",
        ),
    };
    let has = |side: Of| match (side == suspect.side, has_form) {
        (true, _) => "has it".to_owned(),
        (false, true) => "has it in another form".to_owned(),
        (false, false) => "does not have it".to_owned(),
    };
    let what = format!("rule `{name}` differs, and {why}");
    let of = format!("admission.rules.{name}");
    (!is_shown).then(|| stated(Layer::Admission, direction, what, &of, (has(Of::Old), has(Of::New))))
}

/// Whether the rule alone denies one of the requests made for it, or writes something into one.
fn reaches(policy: &Policy, suspect: &Suspect<'_>, own: &[AdmissionCase]) -> bool {
    let alone = |rules| Policy {
        isolation: Isolation::default(),
        network: None,
        images: Vec::new(),
        pools: Vec::new(),
        sandboxes: Vec::new(),
        tools: Vec::new(),
        admission: Admission { rules, ..policy.admission.clone() },
        ..policy.clone()
    };
    let (with, without) =
        (Bench::of_edit(alone(vec![suspect.rule.clone()])), Bench::of_edit(alone(Vec::new())));
    own.iter().cloned().map(asked).any(|case| {
        let of = |bench: &Bench| bench.carry_out(&case, &no_manifests).ok();
        match (of(&with), of(&without)) {
            (Some(with), Some(without)) => {
                with.allowed != without.allowed || written(&with) != written(&without)
            }
            _ => false,
        }
    })
}

/// Whether a difference in this direction, decided by a section, was reported.
fn is_told(section: &str, direction: Direction, out: &Diff) -> bool {
    out.changes.iter().filter(|change| change.layer == Layer::Admission).any(|change| {
        let mut rules = change.old.rules.iter().chain(&change.new.rules);
        change.direction == direction && rules.any(|rule| rule.rsplit('/').next() == Some(section))
            // A difference in what is written belongs to no rule.
            || change.direction == Direction::Changed
    })
}

/// What a section no longer requires, or newly requires, and no request showed.
fn isolation(old: &Isolation, new: &Isolation, out: &Diff) -> Vec<Change> {
    let levels =
        |of: &Isolation| -> Vec<PodSecurity> { of.pod_security.iter().map(|one| one.value).collect() };
    let (before, after) = (levels(old), levels(new));
    let implied = |levels: &[PodSecurity], by: &[PodSecurity]| {
        levels.iter().all(|level| by.iter().any(|other| as_strict(*other, *level)))
    };
    let classes = |of: &Isolation| of.runtime_class.as_ref().map(|one| one.value.clone());
    let (known, now) = (classes(old), classes(new));
    let within = |one: &Option<RuntimeClasses>, other: &Option<RuntimeClasses>| {
        let within = |one: &RuntimeClasses, other: &RuntimeClasses| {
            one.classes.iter().all(|class| other.classes.contains(class)) && one.defaults == other.defaults
        };
        other.as_ref().is_none_or(|other| one.as_ref().is_some_and(|one| within(one, other)))
    };
    let token = |of: &Isolation| of.service_account_token.as_ref().map(|one| one.value);
    let sections = [
        (
            "podSecurity",
            implied(&before, &after),
            implied(&after, &before),
            (format!("{before:?}"), format!("{after:?}")),
        ),
        (
            "runtimeClass",
            within(&now, &known),
            within(&known, &now),
            (json!(known).to_string(), json!(now).to_string()),
        ),
        (
            "serviceAccountToken",
            token(old).is_none_or(|before| token(new).is_some_and(|after| after >= before)),
            token(new).is_none_or(|after| token(old).is_some_and(|before| before >= after)),
            (format!("{:?}", token(old)), format!("{:?}", token(new))),
        ),
    ];
    let mut all = Vec::new();
    for (section, keeps, adds_nothing, values) in sections {
        let of = format!("isolation.{section}");
        let mut tell = |direction, what: &str| {
            let what = format!("{of} {what}, and no tried request shows it");
            all.push(stated(Layer::Admission, direction, what, &of, values.clone()));
        };
        if !keeps && !is_told(section, Direction::Widened, out) {
            tell(Direction::Changed, "no longer demands all that it did");
        } else if !adds_nothing && !is_told(section, Direction::Narrowed, out) {
            tell(Direction::Narrowed, "demands more");
        }
    }
    all
}

/// The pods that only one of the policies governs, if no request showed it.
fn subjects(old: &Policy, new: &Policy, out: &Diff) -> Option<Change> {
    let is_told = |direction| {
        let mut of_admission = out.changes.iter().filter(|change| change.layer == Layer::Admission);
        of_admission.any(|change| change.direction == direction)
    };
    let shown = |policy: &Policy| {
        let subject = policy.subject.as_ref();
        subject.map_or_else(|| "nobody".to_owned(), |one| json!([one.namespaces, one.pods]).to_string())
    };
    let tell = |direction, what: &str| {
        let what = format!("subjects: {what}, and no tried request shows it");
        stated(Layer::Admission, direction, what, "subjects", (shown(old), shown(new)))
    };
    if !governs_all_of(new, old) {
        return (!is_told(Direction::Widened))
            .then(|| tell(Direction::Changed, "the new policy does not govern all that the old one does"));
    }
    let is_more = !governs_all_of(old, new) && !is_told(Direction::Narrowed);
    is_more.then(|| tell(Direction::Narrowed, "the new policy governs more"))
}

/// Whether one policy governs everything that the other does, and denies what no policy selects where the
/// other does.
fn governs_all_of(one: &Policy, other: &Policy) -> bool {
    let Some(other) = &other.subject else { return true };
    let Some(one) = &one.subject else { return false };
    let includes = |wide: &[LabelSelector], narrow: &[LabelSelector]| {
        Labels::all_of(narrow)
            .is_none_or(|narrow| Labels::all_of(wide).is_some_and(|wide| wide.includes(&narrow)))
    };
    includes(&one.namespaces, &other.namespaces)
        && includes(&one.pods, &other.pods)
        && (one.unmatched == Unmatched::Deny || other.unmatched == Unmatched::Allow)
}
