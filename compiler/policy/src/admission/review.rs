//! One request under review: which policies govern it, what is written into it, and which findings it has.
//!
//! ```text
//! place (pod, template, other) ► who governs ► view (the pod, or the template's after mutation) ► subjects, sections, rules ► ratchet
//! ```

use crate::authorization::Questions;
use crate::decision::{Decision, Effect, Finding};
use crate::json::Json;
use crate::policy::Subject;

use super::annotation::annotation_name;
use super::changeable::{Changeable, Way};
use super::decide::{Found, cell};
use super::digests::pin;
use super::evidence::Inquiry;
use super::in_force::{Moment, Stage};
use super::matching::{Coordinates, POD_CREATION, selectors_hold};
use super::mutate::{Draft, Surroundings};
use super::namespaces::Namespace;
use super::ready::ReadyRule;
use super::request::{AdmissionRequest, Operation};
use super::reviewer::{Bound, Reviewer};
use super::rules::{Budget, Inputs, Session};
use super::sections::{self, Statement};
use super::selector::{Labels, ObjectLabels, all_select};
use super::subjects;
use super::templates::{self, Place, synthetic_pod};
use super::{patch, ratchet, shape};

/// One request under review.
pub(super) struct Review<'r> {
    reviewer: &'r Reviewer,
    request: &'r AdmissionRequest<'r>,
    place: Option<Place>,
    namespace: Where<'r>,
    budget: &'r Budget,
    knows: Knows<'r>,
    now: Moment,
}

/// Sources of facts that are not in the request.
#[derive(Clone, Copy)]
pub(super) struct Knows<'r> {
    pub(super) images: &'r Inquiry<'r>,
    pub(super) authorizer: &'r Questions<'r>,
}

/// Where the object is.
enum Where<'r> {
    /// Outside namespaces: no subject and no namespace selector excludes it.
    Cluster,
    /// The object is a namespace; its own labels count.
    Itself(ObjectLabels<'r>),
    Known(&'r Namespace),
    Unknown,
}

/// A pod to judge, and the one it replaces.
#[derive(Clone, Copy)]
pub(super) struct View<'v> {
    pub(super) place: Place,
    pub(super) pod: &'v Json<'v>,
    pub(super) old: Option<&'v Json<'v>>,
}

/// What rules are evaluated over.
#[derive(Clone, Copy)]
struct Asking<'v> {
    coordinates: Coordinates<'v>,
    candidates: Candidates,
    inputs: Inputs<'v>,
    /// Where `inputs.object` is in the request's object.
    place: Place,
    /// The old object, if the policy governed it.
    before: Option<&'v Json<'v>>,
}

/// Which rules are evaluated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Candidates {
    /// Those that match the request's resource.
    Resource,
    /// Those on pods that also judge templates.
    Templates,
}

/// Which tags of a template's pod get their digest.
#[derive(Clone, Copy)]
enum Pins<'p> {
    /// None: it is the pod before an update, used for comparison and not judged.
    None,
    /// All except those that were in the template before.
    AllBut(Option<&'p Json<'p>>),
}

impl Candidates {
    const fn at(place: Place) -> Self {
        match place {
            Place::Pod => Self::Resource,
            Place::Template(_) => Self::Templates,
        }
    }
}

const NULL: &Json<'static> = &Json::Null;

/// The first of the policies with the strictest stage.
fn strictest<'r, 's>(reach: &'s [(&'r Bound, &'r Subject)]) -> Option<&'s (&'r Bound, &'r Subject)> {
    reach.iter().min_by_key(|(bound, _)| std::cmp::Reverse(bound.stage))
}

/// The policies that write: one that does not deny yet does not write yet.
fn enforced<'r>(governing: &[&'r Bound]) -> Vec<&'r Bound> {
    governing.iter().copied().filter(|bound| bound.stage == Stage::Enforce).collect()
}

impl<'r> Review<'r> {
    pub(super) fn new(
        reviewer: &'r Reviewer,
        request: &'r AdmissionRequest<'r>,
        budget: &'r Budget,
        knows: Knows<'r>,
        now: Moment,
    ) -> Self {
        let namespace = if request.resource.group.is_empty() && request.resource.resource == "namespaces" {
            let object = request.object.as_ref().or(request.old_object.as_ref());
            Where::Itself(ObjectLabels(object.unwrap_or(NULL)))
        } else if request.namespace.is_empty() {
            Where::Cluster
        } else {
            reviewer.namespaces.get(&request.namespace).map_or(Where::Unknown, Where::Known)
        };
        Self { reviewer, request, place: Place::of(request), namespace, budget, knows, now }
    }

    /// The policies whose namespaces include the request's.
    fn in_reach(&self) -> Vec<(&'r Bound, &'r Subject)> {
        let all = self.reviewer.policies.iter();
        all.filter_map(|bound| Some((bound, bound.policy.subject.as_ref()?)))
            .filter(|(_, subject)| {
                self.namespace_labels().is_none_or(|labels| all_select(&subject.namespaces, labels))
            })
            .collect()
    }

    /// The labels that namespace selectors see; `None`: no selector excludes.
    fn namespace_labels(&self) -> Option<&dyn Labels> {
        match &self.namespace {
            Where::Known(namespace) => Some(&namespace.labels),
            Where::Itself(labels) => Some(labels),
            Where::Cluster | Where::Unknown => None,
        }
    }

    fn namespace_object(&self) -> Option<&'r Json<'r>> {
        match self.namespace {
            Where::Known(namespace) => Some(&namespace.object),
            Where::Itself(ObjectLabels(object)) => Some(object),
            Where::Cluster | Where::Unknown => None,
        }
    }

    fn written(&self) -> bool {
        matches!(self.request.operation, Operation::Create | Operation::Update)
    }

    /// Whether the request only takes finalizers from what is being deleted.
    fn winds_down(&self) -> bool {
        match (self.request.operation, &self.request.object, &self.request.old_object) {
            (Operation::Update, Some(object), Some(old)) => ratchet::winds_down(object, old),
            _ => false,
        }
    }

    /// Whether sections judge the request: writes of pods and templates, but not of their status.
    fn sections_apply(&self) -> bool {
        self.written() && self.place.is_some() && self.request.sub_resource != "status"
    }

    /// Why nothing can be decided, if so: the namespace is unknown, and a policy would apply.
    fn unknown_namespace(&self) -> Option<Finding> {
        let Where::Unknown = self.namespace else {
            return None;
        };
        let coordinates = Coordinates::of(self.request);
        let concerned = |bound: &Bound| {
            let rules = &bound.policy.admission.rules;
            self.sections_apply() || bound.index.matching(rules, coordinates).next().is_some()
        };
        let reach: Vec<_> = self.in_reach().into_iter().filter(|(bound, _)| concerned(bound)).collect();
        let (bound, subject) = strictest(&reach)?;
        let name = &self.request.namespace;
        let statement = Statement {
            rule: "subjects",
            message: format!("namespace `{name}` is not known, so nobody can say which policy governs it"),
            field: "metadata.namespace".to_owned(),
            remedy: "try again once the namespace is known here",
        };
        Some(bound.denial(&subject.from, statement))
    }

    fn refused(&self, finding: Finding) -> Decision {
        let found = Found { findings: vec![finding], ..Found::default() };
        found.decision()
    }

    /// The patch, and the patched object.
    pub(super) fn mutate(&self) -> (Decision, Option<Json<'static>>) {
        let mut found = Found::default();
        let changeable = Changeable::of(self.place, self.request);
        let (Some(changeable), Some(object)) = (changeable, self.request.object.as_ref()) else {
            return (found.decision(), None);
        };
        if let Some(finding) = self.unknown_namespace() {
            return (self.refused(finding), None);
        }
        let is_pod = self.place == Some(Place::Pod);
        // `/validate` denies a pod of the wrong shape, and says what is wrong.
        if self.winds_down() || (is_pod && shape::fault(object).is_some()) {
            return (found.decision(), None);
        }
        let old = self.request.old_object.as_ref();
        for (bound, subject) in self.in_reach() {
            if !is_pod || subjects::selected(subject, object, old) {
                found.govern(bound);
            }
        }
        let mut draft = Draft::new(object, self.place, changeable);
        let enforced = enforced(&found.governing);
        self.write(&mut draft, &enforced, Candidates::Resource, old);
        if is_pod && !changeable.is_stored_pod() && !found.governing.is_empty() {
            enforced.iter().for_each(|bound| draft.own(bound));
            draft.stamp(&cell(&found.governing));
        }
        // A resize runs no image.
        if is_pod && !matches!(changeable, Changeable::Through(Way::Resize, _)) {
            pin(&mut draft, &enforced, self.knows.images, old);
        }
        found.findings.append(&mut draft.findings);
        let mut decision = found.decision();
        if !decision.allowed {
            return (decision, None);
        }
        decision.patch = patch::between(object, &draft.object);
        let mutated = (!decision.patch.is_empty()).then(|| draft.object.into_owned());
        (decision, mutated)
    }

    /// Authored mutations of all governing policies, in their order.
    fn write(
        &self,
        draft: &mut Draft<'r>,
        governing: &[&'r Bound],
        candidates: Candidates,
        old_object: Option<&'r Json<'r>>,
    ) {
        let around = Surroundings {
            old_object,
            request: &self.request.attributes,
            namespace_object: self.namespace_object(),
            policies: &self.reviewer.policies,
            authorizer: self.knows.authorizer,
            budget: self.budget,
        };
        for bound in governing {
            for rule in self.rules(bound, candidates) {
                let new = ObjectLabels(&draft.object);
                if selectors_hold(rule.rule, self.namespace_labels(), &[&new]) {
                    draft.author(bound, rule, around);
                }
            }
        }
    }

    /// The matching rules of a policy, in its order; selectors over the object are not applied yet.
    fn rules(&self, bound: &'r Bound, candidates: Candidates) -> Vec<ReadyRule<'r>> {
        let coordinates = Coordinates::of(self.request);
        match candidates {
            Candidates::Templates => bound.index.for_templates().filter_map(|at| bound.rule(at)).collect(),
            Candidates::Resource => {
                let rules = &bound.policy.admission.rules;
                bound.index.matching(rules, coordinates).filter_map(|at| bound.rule(at)).collect()
            }
        }
    }

    /// Whether the object may be stored as it is.
    pub(super) fn validate(&self) -> Decision {
        if let Some(finding) = self.unknown_namespace() {
            return self.refused(finding);
        }
        let mut found = Found::default();
        let object = self.request.object.as_ref();
        let old = self.request.old_object.as_ref();
        let winds_down = self.winds_down();
        match (self.place, object) {
            (Some(place @ Place::Pod), Some(pod)) => {
                let view = View { place, pod, old };
                self.frozen(view, &mut found);
                if !winds_down {
                    self.pod(view, &mut found);
                }
            }
            _ if winds_down => {}
            (Some(Place::Pod), None) => self.object_rules(&mut found, |subject| {
                old.is_some_and(|old| all_select(&subject.pods, &ObjectLabels(old)))
            }),
            (Some(Place::Template(path)), Some(workload)) => {
                self.object_rules(&mut found, |_| true);
                self.template(path, workload, old, &mut found);
            }
            _ => self.object_rules(&mut found, |_| true),
        }
        found.decision()
    }

    /// Whether a connection may be opened, to this pod if there is one.
    pub(super) fn connect(&self, pod: Option<&Json<'_>>) -> Decision {
        if let Some(finding) = self.unknown_namespace() {
            return self.refused(finding);
        }
        let mut found = Found::default();
        self.object_rules(&mut found, |subject| {
            pod.is_none_or(|pod| all_select(&subject.pods, &ObjectLabels(pod)))
        });
        found.decision()
    }

    /// What no update of a pod may change: its cell, and whether a policy selects it.
    fn frozen(&self, view: View<'r>, found: &mut Found<'r>) {
        let reach = self.in_reach();
        let governing: Vec<&Bound> = reach
            .iter()
            .filter(|(_, subject)| subjects::selected(subject, view.pod, view.old))
            .map(|(bound, _)| *bound)
            .collect();
        governing.iter().for_each(|bound| found.govern(bound));
        if self.written() {
            found.findings.extend(subjects::frozen(&reach, &governing, view));
        }
    }

    /// Judges a pod, or a template's pod after mutation.
    fn pod(&self, view: View<'r>, found: &mut Found<'r>) {
        if self.sections_apply() {
            let reach = self.in_reach();
            if let Some((field, expected)) = shape::fault(view.pod) {
                if let Some((bound, subject)) = strictest(&reach) {
                    let at = view.place.field(&field);
                    found.findings.push(bound.unreadable(&subject.from, at, &(field, expected)));
                }
                return;
            }
            found.findings.extend(subjects::unmatched(&reach, view));
        }
        for (bound, subject) in self.in_reach() {
            if !subjects::selected(subject, view.pod, view.old) {
                continue;
            }
            found.govern(bound);
            let unwritten = match view.place {
                Place::Pod => self.request.operation == Operation::Create,
                Place::Template(_) => true,
            };
            if unwritten && bound.stage != Stage::Enforce {
                self.pod_as_written(bound, subject, view, found);
            } else {
                self.judged_by(bound, subject, view, found);
            }
        }
    }

    /// Judges a pod by a policy that is not enforced yet, and so has not written into it: as it would be then.
    fn pod_as_written(&self, bound: &'r Bound, subject: &Subject, view: View<'r>, found: &mut Found<'r>) {
        let candidates = Candidates::at(view.place);
        let (pod, faults) = self.mutated(view.pod, &[bound], candidates, Pins::AllBut(view.old));
        let old = view.old.map(|old| self.mutated(old, &[bound], candidates, Pins::None).0);
        found.findings.extend(faults.into_iter().map(|fault| view.place.finding(fault)));
        let mut inner = Found::default();
        let view = View { pod: &pod, old: old.as_ref(), place: view.place };
        self.shortened().judged_by(bound, subject, view, &mut inner);
        found.findings.append(&mut inner.findings);
        found.annotations.append(&mut inner.annotations);
    }

    /// Judges a pod by the sections and rules of one policy that selects it.
    fn judged_by(&self, bound: &'r Bound, subject: &Subject, view: View<'r>, found: &mut Found<'r>) {
        // A violation is old only if the policy governed the old pod.
        let before = view.old.filter(|old| all_select(&subject.pods, &ObjectLabels(old)));
        if self.sections_apply() {
            let evidence = sections::Evidence { images: self.knows.images, before };
            let mut findings = sections::judge(bound, view.pod, evidence);
            if let Some(old) = before.filter(|_| !findings.is_empty()) {
                // Every image of the old pod is in the old pod, so no evidence is requested for it.
                ratchet::sections(&mut findings, &sections::judge(bound, old, evidence), view.pod, old);
            }
            for finding in &mut findings {
                finding.field = view.place.field(&finding.field);
            }
            found.findings.append(&mut findings);
        }
        let asking = Asking {
            coordinates: Coordinates::of(self.request),
            candidates: Candidates::at(view.place),
            inputs: self.inputs(view.pod, view.old, Some(view.pod)),
            place: view.place,
            before,
        };
        self.ask(bound, asking, found);
    }

    fn inputs(
        &self,
        object: &'r Json<'r>,
        old_object: Option<&'r Json<'r>>,
        pod: Option<&'r Json<'r>>,
    ) -> Inputs<'r> {
        let namespace_object = self.namespace_object();
        let (request, authorizer) = (&self.request.attributes, self.knows.authorizer);
        Inputs { object, old_object, request, namespace_object, authorizer, pod }
    }

    /// Judges the pods that a template makes, after the mutations that they will get.
    fn template(
        &self,
        path: &'static [&'static str],
        workload: &'r Json<'r>,
        old: Option<&'r Json<'r>>,
        found: &mut Found<'r>,
    ) {
        let place = Place::Template(path);
        if let Some(fault) = templates::fault(workload, path) {
            let (field, _) = &fault;
            if let Some((bound, subject)) = strictest(&self.in_reach()) {
                found.findings.push(bound.unreadable(&subject.from, field.clone(), &fault));
            }
            return;
        }
        let Some(made) = synthetic_pod(workload, path) else {
            return;
        };
        let old_made = old.and_then(|old| synthetic_pod(old, path));
        let governs = |pod: &Json<'_>| -> Vec<&'r Bound> {
            let reach = self.in_reach();
            reach
                .iter()
                .filter(|(_, subject)| subjects::selected(subject, pod, None))
                .map(|(bound, _)| *bound)
                .collect()
        };
        let (governing, old_governing) = (governs(&made), old_made.as_ref().map(governs).unwrap_or_default());
        let candidates = Candidates::Templates;
        let pins = Pins::AllBut(old_made.as_ref());
        let (pod, faults) = self.mutated(&made, &enforced(&governing), candidates, pins);
        let old_pod = old_made
            .as_ref()
            .map(|old| self.mutated(old, &enforced(&old_governing), candidates, Pins::None).0);
        found.findings.extend(faults.into_iter().map(|fault| place.finding(fault)));
        let mut inner = Found::default();
        Review { ..self.shortened() }.pod(View { place, pod: &pod, old: old_pod.as_ref() }, &mut inner);
        governing.into_iter().for_each(|bound| found.govern(bound));
        found.findings.append(&mut inner.findings);
        found.annotations.append(&mut inner.annotations);
    }

    /// The same review for views that live for less time than the request.
    fn shortened<'s>(&'s self) -> Review<'s>
    where
        'r: 's,
    {
        let namespace = match &self.namespace {
            Where::Cluster => Where::Cluster,
            Where::Itself(ObjectLabels(object)) => Where::Itself(ObjectLabels(object)),
            Where::Known(namespace) => Where::Known(namespace),
            Where::Unknown => Where::Unknown,
        };
        Review {
            reviewer: self.reviewer,
            request: self.request,
            place: self.place,
            namespace,
            budget: self.budget,
            knows: self.knows,
            now: self.now,
        }
    }

    fn mutated(
        &self,
        pod: &Json<'_>,
        governing: &[&Bound],
        candidates: Candidates,
        pins: Pins<'_>,
    ) -> (Json<'static>, Vec<Finding>) {
        if shape::fault(pod).is_some() {
            return (pod.clone().into_owned(), Vec::new());
        }
        let mut draft = Draft::new(pod, Some(Place::Pod), Changeable::All);
        self.shortened().write(&mut draft, governing, candidates, None);
        governing.iter().for_each(|bound| draft.own(bound));
        if let Pins::AllBut(old) = pins {
            pin(&mut draft, governing, self.knows.images, old);
        }
        (draft.object.into_owned(), draft.findings)
    }

    /// Rules on the object itself, by the policies in reach that `governs` selects.
    fn object_rules(&self, found: &mut Found<'r>, governs: impl Fn(&Subject) -> bool) {
        let object = self.request.object.as_ref().unwrap_or(NULL);
        let old = self.request.old_object.as_ref();
        for (bound, subject) in self.in_reach() {
            if !governs(subject) {
                continue;
            }
            let asking = Asking {
                coordinates: Coordinates::of(self.request),
                candidates: Candidates::Resource,
                inputs: self.inputs(object, old, None),
                place: Place::Pod,
                before: old,
            };
            self.ask(bound, asking, found);
        }
    }

    fn ask(&self, bound: &'r Bound, asking: Asking<'r>, found: &mut Found<'r>) {
        let rules = self.rules(bound, asking.candidates);
        if rules.is_empty() {
            return;
        }
        let new = ObjectLabels(asking.inputs.object);
        let old = ObjectLabels(asking.inputs.old_object.unwrap_or(NULL));
        // An absent object is not selected, not even by the absence of a label: otherwise every creation
        // would match.
        let objects: &[&dyn Labels] = match (new.0, old.0) {
            (Json::Null, Json::Null) => &[],
            (_, Json::Null) => &[&new],
            (Json::Null, _) => &[&old],
            _ => &[&new, &old],
        };
        let mut session = Session::new(bound, asking.inputs, self.budget);
        for rule in rules {
            if !selectors_hold(rule.rule, self.namespace_labels(), objects) {
                continue;
            }
            found.govern(bound);
            let Some(mut asked) = session.ask(rule) else {
                continue;
            };
            for one in &mut asked.findings {
                if let (Effect::Deny, Some(before)) = (one.finding.effect, asking.before)
                    && self.request.operation == Operation::Update
                {
                    let coordinates = match asking.candidates {
                        Candidates::Resource => asking.coordinates,
                        Candidates::Templates => POD_CREATION,
                    };
                    ratchet::rule(rule, one, coordinates, (asking.inputs.object, before));
                }
                // An exhausted budget denies despite any exception: the rule's result is not known.
                if !one.limit {
                    bound.except(rule.rule, self.request, asking.inputs.object, self.now, &mut one.finding);
                }
                bound.temper(&mut one.finding);
                one.finding.field = asking.place.field(&one.finding.field);
            }
            found.findings.extend(asked.findings.into_iter().map(|one| one.finding));
            let named = asked
                .annotations
                .into_iter()
                .map(|(key, value)| (annotation_name(&format!("{}.{key}", rule.rule.name)), value));
            found.annotations.extend(named);
        }
    }
}
