//! Compares requests to the API server: a search within limits, exact where nothing about admission differs.
//!
//! ```text
//! a pod that both allow, or one of them ► one change at a time ► both decide ► one witness for each outcome
//!    ▲                                     │  └ each control of Pod Security; classes, tokens, labels                 └► what none reached
//!    │                                     └ of each rule that differs: its resources, operations and selectors, and what it wishes
//!    └ made by hand and repaired by what the rules wish; the tests' own objects
//! ```
//!
//! Terms. *Suspect*: a rule that only one of the policies has. *Reached*: in some request, the rule makes a
//! finding or writes a field. A difference that no request shows is reported all the same ([`unshown`]): an
//! undecided direction counts as the worse one.
//!
//! Images are compared separately ([`super::images`]): if no reference passes both policies without evidence,
//! their image entries are left out of both here.

mod change;
mod labels;
mod made;
mod objects;
mod security;
mod unshown;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::ir::Expr;
use bailiwick_policy::policy::{AdmissionRule, Mutation, Policy};
use serde_json::{Value, json};

use super::sides::{Found, Sides};
use super::tables::Tables;
use super::wishes::{Reader, Way, own_first, together};
use super::{Change, Diff, Direction, Layer};
use crate::policy_test::TestCase;
use world::{Requests, World};

/// Requests that both policies decide. A rule gives some ten ways, on a few pods.
const MAX_REQUESTS: usize = 6_000;
/// Outcomes that are reported.
const MAX_OUTCOMES: usize = 24;

/// What differs apart from rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Differs {
    /// Which pods the policies govern.
    subject: bool,
    /// The same, or what sections check.
    sections: bool,
}

/// One of the two policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    Old,
    New,
}

/// A rule that only one of the policies has, with its wishes.
pub(super) struct Suspect<'p> {
    pub(super) side: Of,
    pub(super) rule: &'p AdmissionRule,
    /// Its pack's name and its own, which identify the rule in another form.
    pub(super) name: (String, String),
    /// Its name in findings: `pack@version/rule`.
    pub(super) label: String,
    /// What it decides by, whether exceptions may relax it or not.
    pub(super) form: String,
    /// Ways in which one part of it evaluates one way or the other.
    pub(super) ways: Vec<Way>,
    /// Ways in which it applies and makes a finding, or writes something.
    pub(super) fails: Vec<Way>,
}

/// A policy and what its rules' expressions point into.
type Judged<'p, 't> = (&'p Policy, &'t Tables<'p>);

pub(super) fn compare(sides: &Sides, seeds: &[TestCase], out: &mut Diff) -> Result<(), String> {
    let (old, new) = sides.policies();
    let differs = Differs {
        subject: subject(old) != subject(new),
        sections: sections(old) != sections(new) || subject(old) != subject(new),
    };
    unshown::settings(old, new, out);
    let [olds, news] = Tables::of(old, new);
    if !differs.sections && rules(old, &olds) == rules(new, &news) {
        return Ok(());
    }
    let (suspects, is_cut) = suspects((old, &olds), (new, &news));
    // The conditions of a Rego module cannot be read from it: its rules get every change that sections check,
    // and the tests' own objects.
    let is_rego = suspects.iter().any(|suspect| suspect.rule.rego.is_some());
    if is_rego {
        out.bound(
            Layer::Admission,
            "rules in Rego differ, and no request was made of what their modules test",
        );
    }
    let differs = Differs { sections: differs.sections || is_rego, ..differs };
    let (stripped, note) = world::without_images(sides);
    let sides = stripped.as_ref().unwrap_or(sides);
    out.notes.extend(note);
    let world = World::new(sides, seeds);
    let mut requests = world.requests(&suspects, differs);
    requests.is_cut |= is_cut || requests.all.len() > MAX_REQUESTS;
    requests.all.truncate(MAX_REQUESTS);
    let reached = search(sides, &requests, out);
    unshown::tell(sides, &suspects, &requests, &reached, out);
    Ok(())
}

/// The rules that only one policy has, with their wishes; whether some wishes were left out.
fn suspects<'p>(old: Judged<'p, '_>, new: Judged<'p, '_>) -> (Vec<Suspect<'p>>, bool) {
    let mut is_cut = false;
    let mut suspects: Vec<Suspect<'p>> = Vec::new();
    for (side, (policy, tables), (other, others)) in [(Of::Old, old, new), (Of::New, new, old)] {
        let known: BTreeSet<String> =
            other.admission.rules.iter().map(|rule| identity(other, others, rule)).collect();
        let is_new = |rule: &&AdmissionRule| !known.contains(&identity(policy, tables, rule));
        for rule in policy.admission.rules.iter().filter(is_new) {
            let Read { ways, fails, is_cut: cut } = read(policy, rule);
            is_cut |= cut;
            let pack = policy.packs.get(usize::from(rule.origin.pack));
            let name = pack.map(|pack| pack.name.clone()).unwrap_or_default();
            let label = pack.map(|pack| format!("{}@{}/{}", pack.name, pack.version, rule.name));
            let label = label.unwrap_or_else(|| rule.name.clone());
            let form = identity(policy, tables, &AdmissionRule { exceptable: false, ..rule.clone() });
            suspects.push(Suspect { side, rule, name: (name, rule.name.clone()), label, form, ways, fails });
        }
    }
    let own: Vec<[Vec<Way>; 2]> = suspects.iter().map(|suspect| own_ways(suspect, &suspects)).collect();
    for (suspect, [ways, fails]) in suspects.iter_mut().zip(own) {
        (suspect.ways, suspect.fails) = (ways, fails);
    }
    (suspects, is_cut)
}

/// The ways of a rule, first those that its form in the other policy does not have.
fn own_ways(suspect: &Suspect<'_>, suspects: &[Suspect<'_>]) -> [Vec<Way>; 2] {
    let forms = suspects.iter().filter(|other| other.side != suspect.side && other.name == suspect.name);
    [
        own_first(&suspect.ways, forms.clone().flat_map(|form| &form.ways)),
        own_first(&suspect.fails, forms.flat_map(|form| &form.fails)),
    ]
}

/// Rules that denied a request that was tried, by their names in findings.
pub(super) type Reached = BTreeSet<(Of, String)>;

/// What makes two differences the same for a reader: the direction, and the rules of both that decided.
type Key = (Direction, Vec<String>, Vec<String>);

/// Evaluates both policies on every request, and reports each outcome by its shortest request; returns the
/// rules that denied one.
fn search(sides: &Sides, requests: &Requests, out: &mut Diff) -> Reached {
    let mut tried = 0;
    let mut outcomes: BTreeMap<Key, (usize, Change)> = BTreeMap::new();
    let mut reached = Reached::new();
    for case in &requests.all {
        let Some(compared) = sides.compare_objects(Layer::Admission, case) else { continue };
        tried += 1;
        reached.extend(compared.old.into_iter().map(|rule| (Of::Old, rule)));
        reached.extend(compared.new.into_iter().map(|rule| (Of::New, rule)));
        let Some(found) = compared.found else { continue };
        let key = (found.direction, found.old.rules.clone(), found.new.rules.clone());
        let size = serde_json::to_string(case).map_or(usize::MAX, |text| text.len());
        if outcomes.get(&key).is_none_or(|(shortest, _)| size < *shortest) {
            outcomes.insert(key, (size, told(found, case)));
        }
    }
    let count = outcomes.len();
    out.changes.extend(outcomes.into_values().take(MAX_OUTCOMES).map(|(_, change)| change));
    let more = count.checked_sub(MAX_OUTCOMES).filter(|more| *more > 0);
    let more = more.map(|more| format!("; {more} further outcomes are not told")).unwrap_or_default();
    let cut = if requests.is_cut {
        format!(", which is the limit of {MAX_REQUESTS} or of what is read off one rule")
    } else {
        String::new()
    };
    let asked = if world::asks(sides) {
        "; to their questions the authorizer said yes to all or no to all"
    } else {
        ""
    };
    out.bound(
        Layer::Admission,
        format!("{tried} requests made of what the sections and rules that differ test, and of the tests, were tried{asked}{cut}{more}"),
    );
    reached
}

fn told(found: Found, case: &TestCase) -> Change {
    let kind = case
        .admission
        .as_ref()
        .and_then(|case| case.object.as_ref().or(case.old_object.as_ref()))
        .and_then(|object| object.get("kind"))
        .and_then(Value::as_str)
        .unwrap_or("object");
    let by = |rules: &[String]| {
        let names: BTreeSet<&str> =
            rules.iter().map(|rule| rule.rsplit('/').next().unwrap_or(rule)).collect();
        names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let what = match found.direction {
        Direction::Widened => format!("{kind}: what {} denied is allowed", by(&found.old.rules)),
        Direction::Narrowed => format!("{kind}: what was allowed is denied by {}", by(&found.new.rules)),
        Direction::Changed => format!("{kind}: something else is written into it"),
    };
    found.told(what)
}

fn subject(policy: &Policy) -> Value {
    policy.subject.as_ref().map(|one| json!([one.namespaces, one.pods, one.unmatched])).unwrap_or_default()
}

/// What the sections except `images` say about pods.
fn sections(policy: &Policy) -> Value {
    let isolation = &policy.isolation;
    let security: Vec<_> = isolation.pod_security.iter().map(|one| one.value).collect();
    let classes = isolation.runtime_class.as_ref().map(|one| &one.value);
    let token = isolation.service_account_token.as_ref().map(|one| one.value);
    json!([security, classes, token, policy.network.is_some()])
}

/// The rules, in any order unless they write.
fn rules(policy: &Policy, tables: &Tables<'_>) -> Vec<String> {
    let mut rules: Vec<String> =
        policy.admission.rules.iter().map(|rule| identity(policy, tables, rule)).collect();
    // Mutations run in order; other rules may be in any order.
    if policy.admission.rules.iter().all(|rule| rule.mutations.is_empty()) {
        rules.sort();
    }
    rules
}

/// Everything in a rule that a decision depends on: not names, places or messages.
fn identity(policy: &Policy, tables: &Tables<'_>, rule: &AdmissionRule) -> String {
    let matches = &rule.matches;
    let conditions: Vec<String> = matches.conditions.iter().map(|(_, cel)| tables.written(cel)).collect();
    let variables: Vec<_> = rule.variables.iter().map(|(name, at)| (name, tables.shared(*at))).collect();
    let validations: Vec<String> =
        rule.validations.iter().map(|one| tables.written(&one.expression)).collect();
    // An annotation that cannot be evaluated is a finding.
    let annotations: Vec<_> =
        rule.audit_annotations.iter().map(|(key, cel)| (key, tables.written(cel))).collect();
    let mutations = rule.mutations.iter().map(|mutation| match mutation {
        Mutation::Field { path, when, value, .. } => json!([path, when, value]),
        Mutation::JsonPatch { expression, .. } => json!(["patch", tables.written(expression)]),
        Mutation::ApplyConfiguration { expression, .. } => json!(["apply", tables.written(expression)]),
    });
    // A module may read parameters and version anywhere.
    let pack = policy.packs.get(usize::from(rule.origin.pack)).filter(|_| rule.rego.is_some());
    let parameters = pack.map(|pack| (&pack.name, &pack.version, &pack.parameters));
    let rego = rule.rego.as_ref().map(|one| {
        let module = usize::try_from(one.module).ok().and_then(|at| policy.admission.rego.get(at));
        (module, &one.rule)
    });
    json!([
        matches.resources,
        matches.exclude_resources,
        matches.namespace_selector,
        matches.object_selector,
        conditions,
        rule.pod_templates,
        variables,
        validations,
        annotations,
        rego,
        mutations.collect::<Vec<_>>(),
        rule.action,
        rule.exceptable,
        parameters,
    ])
    .to_string()
}

/// Every expression of a rule, including those of its variables.
fn expressions<'p>(policy: &'p Policy, rule: &'p AdmissionRule) -> impl Iterator<Item = &'p Expr> {
    let variable = move |(_, index): &(String, u32)| {
        usize::try_from(*index).ok().and_then(|index| policy.admission.shared.get(index))
    };
    let mutated = rule.mutations.iter().filter_map(|mutation| match mutation {
        Mutation::Field { .. } => None,
        Mutation::JsonPatch { expression, .. } | Mutation::ApplyConfiguration { expression, .. } => {
            Some(expression)
        }
    });
    let conditions = rule.matches.conditions.iter().map(|(_, cel)| cel);
    let validations = rule.validations.iter().map(|one| &one.expression);
    let annotations = rule.audit_annotations.iter().map(|(_, cel)| cel);
    rule.variables
        .iter()
        .filter_map(variable)
        .chain(mutated)
        .chain(conditions)
        .chain(validations)
        .chain(annotations)
        .map(|cel| &cel.expr)
}

/// What was read from a rule.
pub(super) struct Read {
    /// Ways in which its parts hold, and in which they do not.
    pub(super) ways: Vec<Way>,
    /// Ways in which it applies and makes a finding, or writes something.
    pub(super) fails: Vec<Way>,
    /// Whether some were left out.
    is_cut: bool,
}

/// Reads a rule.
pub(super) fn read(policy: &Policy, rule: &AdmissionRule) -> Read {
    let reader = Reader::new(&policy.admission.shared, &policy.admission.regexes);
    let annotations = rule.audit_annotations.iter().map(|(_, cel)| cel);
    let judging = rule.validations.iter().map(|one| &one.expression).chain(annotations);
    let (mut ways, mut failing) = (Vec::new(), Vec::new());
    // What must hold for the rule to apply, all of it.
    let (mut asked, mut is_cut) = (vec![Way::new()], false);
    for (_, cel) in &rule.matches.conditions {
        let holds = reader.ways(&cel.expr, true);
        // A condition without known ways must not hide the others.
        if !holds.is_empty() {
            let (both, cut) = product(&asked, &holds);
            asked = both;
            is_cut |= cut;
        }
        ways.extend(reader.ways(&cel.expr, false));
        ways.extend(holds);
    }
    for cel in judging {
        let fails = reader.ways(&cel.expr, false);
        ways.extend(fails.iter().cloned());
        failing.extend(fails);
        ways.extend(reader.ways(&cel.expr, true));
    }
    for mutation in &rule.mutations {
        if let Mutation::Field { path, value, .. } = mutation {
            failing.extend(change::field_ways(path, value));
            ways.extend(change::field_ways(path, value));
        }
    }
    if failing.is_empty() {
        failing.push(Way::new());
    }
    let (fails, cut) = product(&asked, &failing);
    Read { ways, fails, is_cut: is_cut || cut || reader.cut.get() }
}

/// Ways in which a rule applies and makes a finding. Most rules have no condition, and a list of names or a
/// pattern with some dozen.
const MAX_FAILS: usize = 512;

/// Every way of one followed by every way of the other, up to a limit; and whether there are more.
fn product(one: &[Way], other: &[Way]) -> (Vec<Way>, bool) {
    let mut pairs = one.iter().flat_map(|one| other.iter().flat_map(move |other| together(one, other)));
    let made = pairs.by_ref().take(MAX_FAILS).collect();
    (made, pairs.next().is_some())
}
