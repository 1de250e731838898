//! The decision on one request: total, deterministic, and made of findings that name their field.
//!
//! Terms. *Governing*: the policies whose subject includes the request. Findings are ordered with denials
//! first, then by policy (by cell), and within a policy subjects, sections and rules as written.

use crate::authorization::{Answers, Question, Questions};
use crate::decision::{Decision, Effect, Finding};
use crate::json::Json;
use crate::policy::cell_name;

use super::evidence::{Demand, ImageFacts, Inquiry};
use super::in_force::Moment;
use super::request::AdmissionRequest;
use super::review::{Knows, Review};
use super::reviewer::{Bound, Reviewer};
use super::rules::Budget;
use super::selector::all_select;

/// How often one phase may ask for facts. Images need two rounds: the digests of tags, and the signatures
/// over those digests. A rule may query the authorizer once more because of an answer, both in its conditions
/// and in what they guard. The webhook may ask once more for a policy that was replaced meanwhile.
pub const LEARNING_ROUNDS: usize = 5;

/// Audit annotations are cut here, in bytes, as in ValidatingAdmissionPolicy.
const MAX_ANNOTATION: usize = 10 * 1024;

/// Which of the two webhooks is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `/mutate`: what to write. Denies only what cannot be mutated.
    Mutate,
    /// `/validate`: whether the object may be stored as it is.
    Validate,
}

/// The results of both webhooks in turn, as the API server calls them.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// The answer of `/mutate`.
    pub mutated: Decision,
    /// The object with the patch applied; `None` if there is no patch.
    pub object: Option<Json<'static>>,
    /// The answer of `/validate` over that object; `None` if `/mutate` denied.
    pub validated: Option<Decision>,
}

/// A decision, and the facts that it lacked.
#[derive(Clone, Debug, PartialEq)]
pub struct Reviewed {
    /// The decision. Open demands count as denials by the policy that needs the fact.
    pub decision: Decision,
    /// What it asked for and had not been fetched; empty: the decision is final.
    pub wanted: Wanted,
}

/// What is known in addition to the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// About images.
    pub images: ImageFacts,
    /// About who may do what.
    pub answers: Answers,
}

/// The facts that a decision lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// About images, sorted.
    pub images: Vec<Demand>,
    /// About who may do what, sorted; never more than [`crate::authorization::MAX_QUESTIONS`].
    pub questions: Vec<Question>,
}

impl Wanted {
    /// Whether nothing is wanted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.images.is_empty() && self.questions.is_empty()
    }
}

/// What is known, and what one decision asked for without getting it.
struct Learning<'f> {
    images: Inquiry<'f>,
    authorizer: Questions<'f>,
}

impl<'f> Learning<'f> {
    const fn new(facts: &'f Facts) -> Self {
        Self { images: Inquiry::new(&facts.images), authorizer: Questions::new(&facts.answers) }
    }

    fn wanted(&self) -> Wanted {
        Wanted { images: self.images.wanted(), questions: self.authorizer.open() }
    }
}

impl Admitted {
    /// The answer that the client gets: `/mutate`'s denial, else what `/validate` says.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        self.validated.as_ref().unwrap_or(&self.mutated)
    }
}

impl Reviewer {
    /// Decides on a request with no further facts, at a time when every exception has expired.
    #[must_use]
    pub fn review(&self, request: &AdmissionRequest<'_>, phase: Phase) -> Decision {
        self.review_at(request, phase, Moment::END)
    }

    /// Decides on a request with no further facts, at a given time, by which exceptions may have expired.
    #[must_use]
    pub fn review_at(&self, request: &AdmissionRequest<'_>, phase: Phase, now: Moment) -> Decision {
        self.review_with(request, phase, now, &Facts::default()).decision
    }

    /// Decides on a request at a given time, with what is known about images and about who may do what.
    #[must_use]
    pub fn review_with(
        &self,
        request: &AdmissionRequest<'_>,
        phase: Phase,
        now: Moment,
        facts: &Facts,
    ) -> Reviewed {
        self.reviewed(request, now, facts, |review| match phase {
            Phase::Mutate => review.mutate().0,
            Phase::Validate => review.validate(),
        })
    }

    /// Decides on a connection. The pod that it goes to is not part of the request, and the policies that
    /// select it as it is decide; without a pod, all policies of the namespace do.
    #[must_use]
    pub fn review_connect(
        &self,
        request: &AdmissionRequest<'_>,
        pod: Option<&Json<'_>>,
        now: Moment,
        facts: &Facts,
    ) -> Reviewed {
        self.reviewed(request, now, facts, |review| review.connect(pod))
    }

    fn reviewed(
        &self,
        request: &AdmissionRequest<'_>,
        now: Moment,
        facts: &Facts,
        decide: impl FnOnce(&Review<'_>) -> Decision,
    ) -> Reviewed {
        let (budget, learning) = (Budget::new(), Learning::new(facts));
        let knows = Knows { images: &learning.images, authorizer: &learning.authorizer };
        let decision = decide(&Review::new(self, request, &budget, knows, now));
        Reviewed { decision, wanted: learning.wanted() }
    }

    /// Whether any policy governs pods of a namespace; every policy governs an unknown one.
    #[must_use]
    pub fn governs_namespace(&self, name: &str) -> bool {
        let Some(namespace) = self.namespaces.get(name) else { return !self.policies.is_empty() };
        let subjects = self.policies.iter().filter_map(|bound| bound.policy.subject.as_ref());
        subjects.into_iter().any(|subject| all_select(&subject.namespaces, &namespace.labels))
    }

    /// Mutates and then validates, as the API server does; for judging manifests. An HTTP client that sends
    /// the request to `/mutate`, applies the patch and sends the result to `/validate` gets the same two
    /// decisions. Each starts with nothing known, as the two webhooks do, and has its own questions.
    #[must_use]
    pub fn admit(&self, request: &AdmissionRequest<'_>) -> Admitted {
        self.admit_with(request, |_, _| {})
    }

    /// The same; `learn` adds the wanted facts to the known ones, as the webhook does by querying registries
    /// and the API server.
    #[must_use]
    pub fn admit_with(
        &self,
        request: &AdmissionRequest<'_>,
        mut learn: impl FnMut(&Wanted, &mut Facts),
    ) -> Admitted {
        let (mutated, object) = learned(&mut learn, |facts| {
            let (budget, learning) = (Budget::new(), Learning::new(facts));
            let knows = Knows { images: &learning.images, authorizer: &learning.authorizer };
            let decided = Review::new(self, request, &budget, knows, Moment::END).mutate();
            (decided, learning.wanted())
        });
        let validated = mutated.allowed.then(|| {
            let written = object.clone().map(|object| request.with_object(object));
            let request = written.as_ref().unwrap_or(request);
            learned(&mut learn, |facts| {
                let reviewed = self.review_with(request, Phase::Validate, Moment::END, facts);
                (reviewed.decision, reviewed.wanted)
            })
        });
        Admitted { mutated, object, validated }
    }
}

/// Decides, and decides again with what was learned, until nothing is wanted or the rounds are used up.
fn learned<T>(learn: &mut impl FnMut(&Wanted, &mut Facts), decide: impl Fn(&Facts) -> (T, Wanted)) -> T {
    let mut facts = Facts::default();
    let (mut decided, mut wanted) = decide(&facts);
    for _ in 0..LEARNING_ROUNDS {
        if wanted.is_empty() {
            break;
        }
        learn(&wanted, &mut facts);
        (decided, wanted) = decide(&facts);
    }
    decided
}

/// What a review has found so far.
#[derive(Default)]
pub(super) struct Found<'r> {
    pub(super) findings: Vec<Finding>,
    pub(super) annotations: Vec<(String, String)>,
    pub(super) governing: Vec<&'r Bound>,
}

impl<'r> Found<'r> {
    /// Notes that a policy governs the request.
    pub(super) fn govern(&mut self, bound: &'r Bound) {
        if !self.governing.iter().any(|one| std::ptr::eq(*one, bound)) {
            self.governing.push(bound);
        }
    }

    pub(super) fn decision(self) -> Decision {
        let Self { mut findings, annotations: authored, governing } = self;
        // Stable: among findings of the same effect, the order of policies and rules stays.
        findings.sort_by_key(|finding| finding.effect);
        let cells: Vec<String> = governing.iter().map(|bound| bound.policy.cell.clone()).collect();
        let mut annotations = Vec::new();
        if !governing.is_empty() {
            let digests: Vec<&str> = governing.iter().map(|bound| bound.digest.as_str()).collect();
            annotations.push(("cell".to_owned(), cells.join(",")));
            annotations.push(("digest".to_owned(), digests.join(",")));
        }
        for (key, effect) in [("rules", Effect::Deny), ("audit", Effect::Audit)] {
            let named = findings.iter().filter(|finding| finding.effect == effect);
            let mut lines: Vec<String> = named
                .map(|finding| match effect {
                    Effect::Audit => format!("{}/{}: {}", finding.pack, finding.rule, finding.message),
                    _ => format!("{}/{}", finding.pack, finding.rule),
                })
                .collect();
            lines.dedup();
            if !lines.is_empty() {
                annotations.push((key.to_owned(), cut(lines.join("; "))));
            }
        }
        annotations.extend(authored.into_iter().map(|(key, value)| (key, cut(value))));
        let allowed = !findings.iter().any(|finding| finding.effect == Effect::Deny);
        Decision { allowed, cells, findings, audit_annotations: annotations, patch: Vec::new() }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_ANNOTATION {
        let end = (0..=MAX_ANNOTATION).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// The cell of the policies that govern a pod together, at whatever stage: one policy's own, or that of all
/// their packs.
pub(super) fn cell(governing: &[&Bound]) -> String {
    if let [only] = governing {
        return only.policy.cell.clone();
    }
    let policies = || governing.iter().map(|bound| &bound.policy);
    cell_name(policies().flat_map(|policy| &policy.packs), policies().flat_map(|policy| &policy.variants))
}
