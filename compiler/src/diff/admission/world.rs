//! The requests that both policies decide: their namespaces, the pods to start from, and every change of
//! them.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::admission::manifest::plural;
use bailiwick_policy::ir::{Expr, Root};
use bailiwick_policy::policy::{AdmissionRule, LabelSelector, Policy};
use serde_json::Value;

use super::super::images;
use super::super::sides::{Sides, blank};
use super::super::wishes::{FRESH, Way};
use super::change::{apply, wrapped};
use super::labels::{Labels, choices};
use super::{Differs, MAX_REQUESTS, Suspect, expressions, made, objects, read, security};
use crate::cases::{Bench, no_manifests};
use crate::emit::selector::labels_meeting;
use crate::policy_test::{AdmissionCase, CaseAnswer, CaseNamespace, CaseOperation, TestCase};

/// The namespace of every request.
const NAMESPACE: &str = "governed";
/// Changes that are tried to repair a pod, and as many for all other objects: some for each rule, and again
/// for each that helped.
const MAX_REPAIRS: usize = 4_000;
/// Ways of one rule that are tried on each further pod.
const MAX_FURTHER: usize = 8;
/// Requests that each rule that differs gets at least, however many rules there are.
const MIN_OWN: usize = 64;
/// Pods to start from.
const MAX_STARTS: usize = 6;
/// Pods that are denied where the policies govern and that are tried in every other place.
const MAX_DENIED: usize = 16;
/// An image for when no policy restricts images.
const ANY_IMAGE: &str =
    "registry.example.org/app@sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The policies without their image entries, if no reference passes both without evidence; with a note about
/// it.
pub(super) fn without_images(sides: &Sides) -> (Option<Sides>, Option<String>) {
    if image(sides).is_some() {
        return (None, None);
    }
    let (old, new) = sides.policies();
    let strip = |policy: &Policy| Policy { images: Vec::new(), ..policy.clone() };
    let note = "admission was compared without the image entries: no reference passes those of both without evidence";
    (Some(Sides::new(&strip(old), &strip(new))), Some(note.to_owned()))
}

/// A reference that the image entries of both policies allow without evidence.
fn image(sides: &Sides) -> Option<String> {
    let (old, new) = sides.policies();
    if old.images.is_empty() && new.images.is_empty() {
        return Some(ANY_IMAGE.to_owned());
    }
    images::references(sides).into_iter().find(|reference| images::passes_both(sides, reference))
}

/// The places of requests, and the objects to start from.
pub(super) struct World<'s> {
    sides: &'s Sides,
    places: Vec<(Labels, Labels)>,
    starts: Vec<AdmissionCase>,
    seeds: Vec<AdmissionCase>,
    /// Whether some places were left out.
    is_cut: bool,
}

/// The requests that were made.
pub(super) struct Requests {
    /// Without duplicates.
    pub(super) all: Vec<TestCase>,
    /// For each rule that differs, the requests that concern it.
    pub(super) own: Vec<Vec<AdmissionCase>>,
    /// Whether some were left out.
    pub(super) is_cut: bool,
}

impl<'s> World<'s> {
    pub(super) fn new(sides: &'s Sides, seeds: &[TestCase]) -> Self {
        let (places, is_cut) = places(sides);
        let asked = asks(sides);
        let seeds = seeds.iter().filter_map(|seed| seed.admission.clone()).map(|mut case| {
            // For questions that its test does not answer: the other policy may have others.
            case.authorizer.extend(asked.then(|| everything(true)));
            case
        });
        let seeds = seeds.collect();
        let mut world = Self { sides, places, starts: Vec::new(), seeds, is_cut };
        let image = image(sides).unwrap_or_else(|| ANY_IMAGE.to_owned());
        let Some((namespace, labels)) = world.places.first().cloned() else { return world };
        let labels: Vec<_> = labels.into_iter().collect();
        let mut base = created(objects::pod(&image, &labels), &namespace);
        if asked {
            base.authorizer = vec![everything(true)];
        }
        let mut left = MAX_REPAIRS;
        let repaired = world.repaired(base.clone(), &mut left);
        world.starts.push(repaired);
        if !world.starts.contains(&base) {
            world.starts.push(base);
        }
        let is_pod = |case: &AdmissionCase| {
            case.operation == CaseOperation::Create && kind(case) == Some("Pod") && case.subresource.is_none()
        };
        let good = world
            .seeds
            .iter()
            .filter(|case| is_pod(case) && world.objections(case).is_some_and(|all| all.is_empty()));
        let good: Vec<_> = good.take(MAX_STARTS - world.starts.len()).cloned().collect();
        world.starts.extend(good);
        world
    }

    /// The rules of both policies that deny a request; `None` if it is not a request.
    fn objections(&self, case: &AdmissionCase) -> Option<BTreeSet<String>> {
        let case = TestCase { admission: Some(case.clone()), ..blank(String::new()) };
        let of = |bench: &Bench| bench.carry_out(&case, &no_manifests).ok();
        let (old, new) = (of(&self.sides.old)?, of(&self.sides.new)?);
        let old = old.rules.into_iter().map(|rule| format!("old {rule}"));
        Some(old.chain(new.rules.into_iter().map(|rule| format!("new {rule}"))).collect())
    }

    /// A request with as few objections as the rules' own wishes achieve. `left`: changes that may still be
    /// tried.
    fn repaired(&self, mut case: AdmissionCase, left: &mut usize) -> AdmissionCase {
        let (old, new) = self.sides.policies();
        let Some(mut now) = self.objections(&case).filter(|now| !now.is_empty()) else { return case };
        let resource = resource(&case);
        let names = |rule: &AdmissionRule| {
            let mut patterns = rule.matches.resources.iter().flat_map(|one| &one.resources);
            patterns.any(|pattern| {
                let name = pattern.split('/').next().unwrap_or(pattern);
                name == "*" || Some(name) == resource.as_deref()
            })
        };
        let rules = [old, new].into_iter().flat_map(|policy| {
            policy.admission.rules.iter().filter(|rule| names(rule)).map(move |rule| (policy, rule))
        });
        let all: Vec<Way> = rules.flat_map(|(policy, rule)| read(policy, rule).ways).collect();
        while *left > 0 && !now.is_empty() {
            let tried = all.iter().map(|way| apply(&case, way)).take(*left);
            let better = tried.inspect(|_| *left -= 1).find_map(|changed| {
                let then = self.objections(&changed)?;
                (then.len() < now.len() && then.is_subset(&now)).then_some((changed, then))
            });
            match better {
                Some(better) => (case, now) = better,
                None => break,
            }
        }
        case
    }

    /// Every request, without duplicates.
    pub(super) fn requests(&self, suspects: &[Suspect<'_>], differs: Differs) -> Requests {
        let mut all: Vec<AdmissionCase> = Vec::new();
        let mut own: Vec<Vec<AdmissionCase>> = Vec::new();
        let mut is_cut = self.is_cut && differs.subject;
        let most = (MAX_REQUESTS / suspects.len().max(1)).max(MIN_OWN);
        all.extend(self.starts.iter().cloned());
        // Before the made-up ones, so that none is cut off: an author thought them worth a test.
        all.extend(self.seeds.iter().cloned());
        if let Some(start) = self.starts.first() {
            all.extend(self.placed(start).into_iter().filter(|_| differs.subject));
            if differs.sections {
                let pods = self.pods(start);
                all.extend(pods.iter().map(wrapped));
                all.extend(pods);
            }
            // The starting requests of one rule serve the others too.
            let mut known = BTreeMap::from([(written(start), start.clone())]);
            let mut left = MAX_REPAIRS;
            let mut repaired = |case: AdmissionCase| {
                known.entry(written(&case)).or_insert_with(|| self.repaired(case, &mut left)).clone()
            };
            for suspect in suspects {
                let mut made = made::requests(suspect, suspects, start, &mut repaired);
                is_cut |= made.is_cut || made.requests.len() > most;
                made.requests.truncate(most);
                own.push(made.requests);
            }
        }
        for start in self.starts.iter().skip(1) {
            let further =
                |ways: &[Way]| ways.iter().take(MAX_FURTHER).map(|way| apply(start, way)).collect::<Vec<_>>();
            for (suspect, own) in suspects.iter().zip(&mut own) {
                is_cut |= suspect.fails.len().max(suspect.ways.len()) > MAX_FURTHER;
                own.extend(further(&suspect.fails));
                own.extend(further(&suspect.ways));
            }
        }
        for own in &mut own {
            *own = asked_both_ways(std::mem::take(own));
            is_cut |= own.len() > most;
            own.truncate(most);
        }
        let mut all = asked_both_ways(all);
        // One of each rule in turn, so that each of many rules gets its share.
        let longest = own.iter().map(Vec::len).max().unwrap_or_default();
        all.extend((0..longest).flat_map(|at| own.iter().filter_map(move |own| own.get(at).cloned())));
        let mut seen = BTreeSet::new();
        all.retain(|case| seen.insert(written(case)));
        Requests { all: all.into_iter().map(asked).collect(), own, is_cut }
    }

    /// The same pod elsewhere, and with other labels.
    fn placed(&self, start: &AdmissionCase) -> Vec<AdmissionCase> {
        let place = |pod: &AdmissionCase, (namespace, labels): &(Labels, Labels)| {
            let mut case = pod.clone();
            case.namespace =
                Some(CaseNamespace { name: Some(NAMESPACE.to_owned()), labels: namespace.clone() });
            if let Some(object) = &mut case.object {
                let labels = serde_json::to_value(labels).unwrap_or_default();
                security::change(object, &["metadata", "labels"], labels);
            }
            case
        };
        let mut all: Vec<AdmissionCase> = self.places.iter().map(|at| place(start, at)).collect();
        for bad in self.denied(start) {
            all.extend(self.places.iter().map(|at| place(&bad, at)));
        }
        all
    }

    /// Pods that are denied where the policies govern, one for each set of denying rules: elsewhere they may
    /// be allowed.
    fn denied(&self, start: &AdmissionCase) -> Vec<AdmissionCase> {
        let (old, new) = self.sides.policies();
        let rules = [old, new]
            .into_iter()
            .flat_map(|policy| policy.admission.rules.iter().map(move |rule| (policy, rule)));
        let wished = rules.flat_map(|(policy, rule)| read(policy, rule).ways).map(|way| apply(start, &way));
        let mut found: Vec<AdmissionCase> = Vec::new();
        let mut seen = BTreeSet::from([self.objections(start).unwrap_or_default()]);
        for case in self.pods(start).into_iter().chain(wished).take(MAX_REPAIRS) {
            if found.len() < MAX_DENIED && self.objections(&case).is_some_and(|all| seen.insert(all)) {
                found.push(case);
            }
        }
        found
    }

    /// A pod with one change, for everything that sections check.
    fn pods(&self, start: &AdmissionCase) -> Vec<AdmissionCase> {
        let (old, new) = self.sides.policies();
        let changed = |path: &[&str], value: Value| {
            let mut case = start.clone();
            if let Some(object) = &mut case.object {
                security::change(object, path, value);
            }
            case
        };
        let mut all: Vec<AdmissionCase> =
            security::changes().into_iter().map(|(path, value)| changed(&path, value)).collect();
        let stated = [old, new].into_iter().filter_map(|policy| policy.isolation.runtime_class.as_ref());
        let classes: BTreeSet<&str> = stated
            .flat_map(|stated| &stated.value.classes)
            .map(|class| class.name.as_str())
            .chain([FRESH])
            .collect();
        all.extend(classes.into_iter().map(|class| changed(&["spec", "runtimeClassName"], class.into())));
        all.push(changed(&["spec", "runtimeClassName"], Value::Null));
        all
    }
}

/// Whether a rule of either policy queries the authorizer.
pub(super) fn asks(sides: &Sides) -> bool {
    let (old, new) = sides.policies();
    [old, new].into_iter().any(|policy| {
        policy.admission.rules.iter().flat_map(|rule| expressions(policy, rule)).any(|expr| {
            let mut found = false;
            expr.walk(&mut |node| {
                found |= matches!(node, Expr::Root(Root::Authorizer | Root::RequestResource));
            });
            found
        })
    })
}

/// A request that is allowed if the authorizer allows everything may otherwise be denied, and the reverse.
fn asked_both_ways(all: Vec<AdmissionCase>) -> Vec<AdmissionCase> {
    let turned = |case: &AdmissionCase| {
        let (last, others) = case.authorizer.split_last()?;
        let authorizer = others.iter().cloned().chain([everything(false)]).collect();
        (*last == everything(true)).then(|| AdmissionCase { authorizer, ..case.clone() })
    };
    all.into_iter().flat_map(|case| [turned(&case), Some(case)]).flatten().collect()
}

/// A request as a case.
pub(super) fn asked(case: AdmissionCase) -> TestCase {
    TestCase { admission: Some(case), ..blank("a request".to_owned()) }
}

fn written(case: &AdmissionCase) -> String {
    serde_json::to_string(case).unwrap_or_default()
}

/// The resource of a request.
fn resource(case: &AdmissionCase) -> Option<String> {
    let kind = || case.object.as_ref().or(case.old_object.as_ref())?.get("kind")?.as_str().map(plural);
    case.resource.clone().or_else(kind)
}

/// An authorizer that allows everything, or nothing.
fn everything(allowed: bool) -> CaseAnswer {
    CaseAnswer { allowed, ..CaseAnswer::default() }
}

fn kind(case: &AdmissionCase) -> Option<&str> {
    case.object.as_ref()?.get("kind")?.as_str()
}

fn created(object: Value, namespace: &Labels) -> AdmissionCase {
    let namespace = CaseNamespace { name: Some(NAMESPACE.to_owned()), labels: namespace.clone() };
    AdmissionCase { object: Some(object), namespace: Some(namespace), ..AdmissionCase::default() }
}

/// The namespaces and pods that either subject distinguishes: labels of a namespace and of a pod. First what
/// both select, if there is any. Returns whether some were left out.
fn places(sides: &Sides) -> (Vec<(Labels, Labels)>, bool) {
    let (old, new) = sides.policies();
    let subjects = || [old, new].into_iter().filter_map(|policy| policy.subject.as_ref());
    let mut namespaces = variants(subjects().map(|subject| subject.namespaces.as_slice()));
    let mut pods = variants(subjects().map(|subject| subject.pods.as_slice()));
    let is_cut = namespaces.len() > MAX_PLACES || pods.len() > MAX_PLACES;
    namespaces.truncate(MAX_PLACES);
    pods.truncate(MAX_PLACES);
    let places = namespaces.iter().flat_map(|one| pods.iter().map(move |other| (one.clone(), other.clone())));
    (places.collect(), is_cut)
}

/// Label sets of each kind that are distinguished.
const MAX_PLACES: usize = 16;

/// Label sets that all selectors accept, that each accepts alone, and the first of these with one key
/// changed: to another named value, to an unnamed one, and removed.
fn variants<'p>(selectors: impl Iterator<Item = &'p [LabelSelector]>) -> Vec<Labels> {
    let selectors: Vec<&[LabelSelector]> = selectors.collect();
    let each: Vec<Labels> = selectors.iter().map(|all| labels_meeting(all)).collect();
    let all: Labels = each.iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut out = vec![all.clone()];
    out.extend(each);
    for (key, values) in choices(selectors.into_iter().flatten()) {
        for value in values {
            let mut other = all.clone();
            match value {
                Some(value) => drop(other.insert(key.to_owned(), value.to_owned())),
                None => drop(other.remove(key)),
            }
            out.push(other);
        }
    }
    out.push(Labels::new());
    let mut seen = BTreeSet::new();
    out.retain(|labels| seen.insert(labels.clone()));
    out
}
