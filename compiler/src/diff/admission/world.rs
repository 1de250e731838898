//! The requests that both policies are asked about: where objects lie, which pods to begin with, and every change of them.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::ir::{Expr, Root};
use bailiwick_policy::policy::{LabelSelector, Policy};
use serde_json::Value;

use super::super::images;
use super::super::shape;
use super::super::sides::{Sides, blank};
use super::super::wishes::{FRESH, Place, Step, Want, Way};
use super::{Differs, Suspect, expressions, objects, security, ways};
use crate::cases::{Bench, no_manifests, satisfying};
use crate::policy_test::{AdmissionCase, CaseAnswer, CaseNamespace, CaseOperation, CaseUser, TestCase};

/// The namespace of every request.
const NAMESPACE: &str = "governed";
/// Changes that are tried to repair a pod: some for each rule, and again for each that helped.
const MAX_REPAIRS: usize = 4_000;
/// Ways of one rule that are tried on each further pod.
const MAX_FURTHER: usize = 8;
/// Pods that changes begin with.
const MAX_STARTS: usize = 6;
/// Pods that are denied where the policies govern and tried in every other place.
const MAX_DENIED: usize = 16;
/// An image where no policy cares.
const ANY_IMAGE: &str =
    "registry.example.org/app@sha256:0000000000000000000000000000000000000000000000000000000000000000";

type Labels = BTreeMap<String, String>;

/// The policies without their image entries, if no reference passes both without evidence; with what is to be said of it.
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

/// Where requests lie and what they begin with.
pub(super) struct World<'s> {
    sides: &'s Sides,
    places: Vec<(Labels, Labels)>,
    starts: Vec<AdmissionCase>,
    seeds: Vec<AdmissionCase>,
}

impl<'s> World<'s> {
    pub(super) fn new(sides: &'s Sides, seeds: &[TestCase]) -> Self {
        let places = places(sides);
        let asked = asks(sides);
        let seeds = seeds.iter().filter_map(|seed| seed.admission.clone()).map(|mut case| {
            // A test of a policy that asks nobody says no answers.
            if asked && case.authorizer.is_empty() {
                case.authorizer = vec![everything(true)];
            }
            case
        });
        let seeds = seeds.collect();
        let mut world = Self { sides, places, starts: Vec::new(), seeds };
        let image = image(sides).unwrap_or_else(|| ANY_IMAGE.to_owned());
        let Some((namespace, labels)) = world.places.first().cloned() else { return world };
        let labels: Vec<_> = labels.into_iter().collect();
        let mut base = created(objects::pod(&image, &labels), &namespace);
        if asked {
            base.authorizer = vec![everything(true)];
        }
        let repaired = world.repaired(base.clone());
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

    /// The rules of both policies that deny a request; `None` if it is none.
    fn objections(&self, case: &AdmissionCase) -> Option<BTreeSet<String>> {
        let case = TestCase { admission: Some(case.clone()), ..blank(String::new()) };
        let of = |bench: &Bench| bench.carry_out(&case, &no_manifests).ok();
        let (old, new) = (of(&self.sides.old)?, of(&self.sides.new)?);
        let old = old.rules.into_iter().map(|rule| format!("old {rule}"));
        Some(old.chain(new.rules.into_iter().map(|rule| format!("new {rule}"))).collect())
    }

    /// A request with as few objections as the rules' own wishes lead to.
    fn repaired(&self, mut case: AdmissionCase) -> AdmissionCase {
        let (old, new) = self.sides.policies();
        let rules = [old, new].into_iter().flat_map(|policy| {
            policy
                .admission
                .rules
                .iter()
                .filter(|rule| {
                    rule.matches.resources.iter().any(|one| one.resources.iter().any(|name| name == "pods"))
                })
                .map(move |rule| (policy, rule))
        });
        let all: Vec<Way> = rules.flat_map(|(policy, rule)| ways(policy, rule).0).collect();
        let mut left = MAX_REPAIRS;
        while let Some(now) = self.objections(&case).filter(|now| !now.is_empty()) {
            let tried = all.iter().map(|way| apply(&case, way)).take(left);
            let better = tried.inspect(|_| left -= 1).find(|changed| {
                self.objections(changed).is_some_and(|then| then.len() < now.len() && then.is_subset(&now))
            });
            match better {
                Some(better) => case = better,
                None => break,
            }
        }
        case
    }

    /// Every request, each once.
    pub(super) fn requests(&self, suspects: &[Suspect<'_>], differs: Differs) -> Vec<TestCase> {
        let mut all: Vec<AdmissionCase> = Vec::new();
        all.extend(self.starts.iter().cloned());
        // Before what is made up, so that none is cut off: somebody thought them worth a test.
        all.extend(self.seeds.iter().cloned());
        if let Some(start) = self.starts.first() {
            all.extend(self.placed(start).into_iter().filter(|_| differs.subject));
            if differs.sections {
                let pods = self.pods(start);
                all.extend(pods.iter().map(wrapped));
                all.extend(pods);
            }
            for suspect in suspects {
                all.extend(suspect.ways.iter().map(|way| apply(start, way)));
                all.extend(other_operations(suspect, start));
                let templates = suspect.ways.iter().map(|way| wrapped(&apply(start, way)));
                all.extend(templates.filter(|_| suspect.rule.pod_templates));
                all.extend(other_kinds(suspect, start));
            }
        }
        for start in self.starts.iter().skip(1) {
            let further = suspects.iter().flat_map(|suspect| suspect.ways.iter().take(MAX_FURTHER));
            all.extend(further.map(|way| apply(start, way)));
        }
        // What is allowed to whom the authorizer allows everything may be denied to others, and the other way round.
        let allows = vec![everything(true)];
        let turned = |case: &AdmissionCase| {
            let turned = AdmissionCase { authorizer: vec![everything(false)], ..case.clone() };
            (case.authorizer == allows).then_some(turned)
        };
        all = all.into_iter().flat_map(|case| [turned(&case), Some(case)]).flatten().collect();
        let mut seen = BTreeSet::new();
        all.retain(|case| seen.insert(serde_json::to_string(case).unwrap_or_default()));
        all.into_iter()
            .map(|case| TestCase { admission: Some(case), ..blank("a request".to_owned()) })
            .collect()
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

    /// Pods that something denies where the policies govern, one for each set of rules that do: elsewhere they may be allowed.
    fn denied(&self, start: &AdmissionCase) -> Vec<AdmissionCase> {
        let (old, new) = self.sides.policies();
        let rules = [old, new]
            .into_iter()
            .flat_map(|policy| policy.admission.rules.iter().map(move |rule| (policy, rule)));
        let wished = rules.flat_map(|(policy, rule)| ways(policy, rule).0).map(|way| apply(start, &way));
        let mut found: Vec<AdmissionCase> = Vec::new();
        let mut seen = BTreeSet::from([self.objections(start).unwrap_or_default()]);
        for case in self.pods(start).into_iter().chain(wished).take(MAX_REPAIRS) {
            if found.len() < MAX_DENIED && self.objections(&case).is_some_and(|all| seen.insert(all)) {
                found.push(case);
            }
        }
        found
    }

    /// A pod with one thing changed, for everything that sections look at.
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

/// Whether a rule of either policy asks the authorizer.
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

/// The same as a Deployment of the pod.
fn wrapped(case: &AdmissionCase) -> AdmissionCase {
    let mut case = case.clone();
    case.object = case.object.as_ref().map(objects::deployment);
    case
}

/// A request with what a way wishes.
fn apply(case: &AdmissionCase, way: &Way) -> AdmissionCase {
    let mut case = case.clone();
    for (place, want) in way {
        match place.root {
            Root::Object => {
                if let Some(object) = &mut case.object {
                    shape::put(object, &place.steps, want);
                }
            }
            Root::OldObject => {
                if let Some(object) = &mut case.old_object {
                    shape::put(object, &place.steps, want);
                }
            }
            Root::Request => request(&mut case, place, want),
            Root::NamespaceObject => namespace(&mut case, place, want),
            _ => {}
        }
    }
    case
}

fn request(case: &mut AdmissionCase, place: &Place, want: &Want) {
    let text = match want {
        Want::Is(Value::String(text)) | Want::Holds(Value::String(text)) => text.clone(),
        _ => return,
    };
    match place.names().as_slice() {
        ["userInfo", "username"] => {
            case.user_info.get_or_insert_with(CaseUser::default).username = Some(text)
        }
        ["userInfo", "groups"] => case.user_info.get_or_insert_with(CaseUser::default).groups.push(text),
        _ => {}
    }
}

fn namespace(case: &mut AdmissionCase, place: &Place, want: &Want) {
    let Some(namespace) = &mut case.namespace else { return };
    match (place.names().as_slice(), want) {
        (["metadata", "labels", key], Want::Is(Value::String(value))) => {
            namespace.labels.insert((*key).to_owned(), value.clone());
        }
        (["metadata", "labels", key], Want::Absent) => drop(namespace.labels.remove(*key)),
        (["metadata", "labels"], Want::Holds(Value::String(key))) => {
            namespace.labels.insert(key.clone(), "a".to_owned());
        }
        _ => {}
    }
}

/// The pod changed instead of made, where the rule is about changes; its sub-resources as well.
fn other_operations(suspect: &Suspect<'_>, start: &AdmissionCase) -> Vec<AdmissionCase> {
    let mut all = Vec::new();
    for matched in &suspect.rule.matches.resources {
        let about = |operation: &str| matched.operations.iter().any(|one| one == operation || one == "*");
        for resource in &matched.resources {
            let Some(rest) = resource.strip_prefix("pods") else { continue };
            let subresource = rest.strip_prefix('/').map(str::to_owned);
            if about("UPDATE") && (subresource.is_some() || !about("CREATE")) {
                let before = AdmissionCase {
                    operation: CaseOperation::Update,
                    old_object: start.object.clone(),
                    subresource: subresource.clone(),
                    ..start.clone()
                };
                all.extend(suspect.ways.iter().map(|way| apply(&before, way)));
                all.push(debugged(&before));
            }
            if about("DELETE") && subresource.is_none() {
                let gone = AdmissionCase {
                    operation: CaseOperation::Delete,
                    old_object: start.object.clone(),
                    object: None,
                    ..start.clone()
                };
                all.extend(suspect.ways.iter().map(|way| apply(&gone, way)));
                all.push(gone);
            }
        }
    }
    all
}

/// With a debugging container.
fn debugged(case: &AdmissionCase) -> AdmissionCase {
    let mut case = case.clone();
    if let Some(object) = &mut case.object {
        let mut container = object.pointer("/spec/containers/0").cloned().unwrap_or_default();
        if let Some(members) = container.as_object_mut() {
            members.insert("name".to_owned(), "debug".into());
            members.remove("resources");
        }
        security::change(object, &["spec", "ephemeralContainers"], Value::Array(vec![container]));
    }
    case
}

/// Objects of other kinds that the rule is about.
fn other_kinds(suspect: &Suspect<'_>, start: &AdmissionCase) -> Vec<AdmissionCase> {
    let matched = suspect.rule.matches.resources.iter();
    let creates = matched.filter(|one| one.operations.iter().any(|one| one == "CREATE" || one == "*"));
    let names: BTreeSet<&str> = creates.flat_map(|one| &one.resources).map(String::as_str).collect();
    let mut all = Vec::new();
    for name in names {
        let Some(object) = objects::smallest(name) else { continue };
        let case = AdmissionCase { object: Some(object), ..start.clone() };
        all.extend(suspect.ways.iter().map(|way| apply(&case, way)));
        all.push(case);
    }
    all
}

/// The namespaces and pods that are told apart by either subject: labels of a namespace and of a pod. First what both select, where there is such.
fn places(sides: &Sides) -> Vec<(Labels, Labels)> {
    let (old, new) = sides.policies();
    let subjects = || [old, new].into_iter().filter_map(|policy| policy.subject.as_ref());
    let mut namespaces = variants(subjects().map(|subject| subject.namespaces.as_slice()));
    let mut pods = variants(subjects().map(|subject| subject.pods.as_slice()));
    namespaces.truncate(MAX_PLACES);
    pods.truncate(MAX_PLACES);
    namespaces.iter().flat_map(|one| pods.iter().map(move |other| (one.clone(), other.clone()))).collect()
}

/// Label sets of each kind that are told apart.
const MAX_PLACES: usize = 12;

/// Label sets that all selectors accept, that each accepts alone, and that miss one label or have another value.
fn variants<'p>(selectors: impl Iterator<Item = &'p [LabelSelector]>) -> Vec<Labels> {
    let each: Vec<Labels> = selectors.map(|all| all.iter().flat_map(satisfying).collect()).collect();
    let all: Labels = each.iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut out = vec![all.clone()];
    out.extend(each);
    for key in all.keys() {
        let mut without = all.clone();
        without.remove(key);
        out.push(without);
        let mut other = all.clone();
        other.insert(key.clone(), FRESH.to_owned());
        out.push(other);
    }
    out.push(Labels::new());
    let mut seen = BTreeSet::new();
    out.retain(|labels| seen.insert(labels.clone()));
    out
}

/// The field that a mutation writes, with its value, with another one, and without.
pub(super) fn field_ways(path: &[String], value: &Value) -> Vec<Way> {
    let step = |name: &String| if name == "*" { Step::Element } else { Step::Member(name.clone()) };
    let place = Place { root: Root::Object, steps: path.iter().map(step).collect() };
    let other = match value {
        Value::Bool(value) => Value::Bool(!value),
        Value::Number(_) => Value::from(1),
        _ => Value::from(FRESH),
    };
    let wants = [Want::Is(value.clone()), Want::Is(other), Want::Absent];
    wants.into_iter().map(|want| vec![(place.clone(), want)]).collect()
}
