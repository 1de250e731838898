//! The policies in force, prepared for review: an immutable snapshot that a reload replaces as a whole.

use std::collections::BTreeSet;

use crate::bundle::Bundle;
use crate::cel::Loaded;
use crate::ir::Const;
use crate::policy::{Admission, LabelSelector, Peer, Policy, RegoRule};

use super::CELL_LABEL;
use super::image_layer::{Layer, LayerError};
use super::in_force::{Exception, InForce, Stage};
use super::matching::RuleIndex;
use super::namespaces::Namespaces;
use super::reads::SharedReads;
use super::ready::{Ready, ReadyRule};
use super::rego::{NoRego, RegoEngine};
use super::request::{AdmissionRequest, ParseError};
use super::selector;
use super::unread::Unread;

/// Decides on requests. Cheap to share between threads, never changed.
#[derive(Debug)]
pub struct Reviewer {
    pub(super) policies: Vec<Bound>,
    pub(super) namespaces: Namespaces,
    unread: Unread,
}

/// Why a policy cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A pattern in an expression does not compile.
    #[error("policy {cell}: {error}")]
    Expressions {
        /// Which policy.
        cell: String,
        /// Why.
        error: crate::cel::LoadError,
    },
    /// A rule in Rego cannot be evaluated.
    #[error("policy {cell}: rule `{rule}` cannot be put in force: {reason}")]
    Rego {
        /// Which policy.
        cell: String,
        /// Which rule.
        rule: String,
        /// Why.
        reason: String,
    },
    /// The image entries do not compile.
    #[error("policy {cell}: the image entries cannot be put in force: {reason}")]
    Image {
        /// Which policy.
        cell: String,
        /// Why.
        reason: String,
    },
}

/// One policy, ready.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) policy: Policy,
    pub(super) digest: String,
    pub(super) stage: Stage,
    pub(super) exceptions: Vec<Exception>,
    pub(super) loaded: Loaded,
    pub(super) index: RuleIndex,
    pub(super) images: Vec<Layer>,
    /// Of each rule.
    pub(super) ready: Vec<Ready>,
    packs: Vec<Pack>,
    /// Labels that a selector of this policy reads.
    selector_labels: BTreeSet<String>,
}

/// A pack as findings name it and its rules in Rego see it.
#[derive(Debug)]
pub(super) struct Pack {
    /// `name@version`.
    label: String,
    /// `input.params` of its rules in Rego.
    pub(super) parameters: Const,
}

impl Reviewer {
    /// Enforces policies without rules in Rego over these namespaces, without exceptions. Their order does
    /// not matter.
    ///
    /// # Errors
    /// The errors of [`Reviewer::with_rego`], and a policy with a rule in Rego.
    pub fn new(bundles: Vec<Bundle>, namespaces: Namespaces) -> Result<Self, LoadError> {
        Self::with_rego(bundles, namespaces, &NoRego)
    }

    /// Puts policies without rules in Rego in force over these namespaces, each at its stage. Their order
    /// does not matter.
    ///
    /// # Errors
    /// The errors of [`Reviewer::with_rego`], and a policy with a rule in Rego.
    pub fn of(bundles: Vec<InForce>, namespaces: Namespaces) -> Result<Self, LoadError> {
        Self::with_rego(bundles, namespaces, &NoRego)
    }

    /// Puts policies in force over these namespaces, each at its stage; `rego` prepares their rules in Rego.
    /// Their order does not matter.
    ///
    /// # Errors
    /// A policy whose patterns do not compile, or a rule in Rego that cannot be evaluated. Nothing is then in
    /// force; the caller keeps what it had.
    pub fn with_rego(
        bundles: impl IntoIterator<Item = impl Into<InForce>>,
        namespaces: Namespaces,
        rego: &dyn RegoEngine,
    ) -> Result<Self, LoadError> {
        let bound = bundles.into_iter().map(|one| Bound::new(one.into(), rego));
        let mut policies = bound.collect::<Result<Vec<_>, _>>()?;
        policies.sort_by(|a, b| (&a.policy.cell, &a.digest).cmp(&(&b.policy.cell, &b.digest)));
        let unread = Unread::new(&policies);
        Ok(Self { policies, namespaces, unread })
    }

    /// Reads a review for `/validate`: like [`AdmissionRequest::parse`], but the parts of a created pod that
    /// no policy in force reads are only checked for their form and left out. The decision is the same.
    ///
    /// # Errors
    /// As for [`AdmissionRequest::parse`].
    pub fn read_to_validate<'a>(&self, review: &'a [u8]) -> Result<AdmissionRequest<'a>, ParseError> {
        AdmissionRequest::parse_without(review, &self.unread)
    }

    /// The digests of the policies in force, in their order.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|bound| bound.digest.as_str())
    }
}

impl Bound {
    fn new(in_force: InForce, rego: &dyn RegoEngine) -> Result<Self, LoadError> {
        let InForce { bundle: Bundle { policy, digest }, stage, exceptions } = in_force;
        let cell = &policy.cell;
        let loaded = Loaded::new(&policy.admission)
            .map_err(|error| LoadError::Expressions { cell: cell.clone(), error })?;
        let images = policy.images.iter().map(Layer::new).collect::<Result<_, _>>();
        let images = images.map_err(|error: LayerError| LoadError::Image {
            cell: cell.clone(),
            reason: error.to_string(),
        })?;
        let index = RuleIndex::new(&policy.admission.rules);
        let ready = ready(&policy, &loaded, rego)?;
        let packs = policy.packs.iter().map(|pack| Pack {
            label: format!("{}@{}", pack.name, pack.version),
            parameters: pack.parameters.clone(),
        });
        let packs = packs.collect();
        let selector_labels = selector_labels(&policy);
        Ok(Self { policy, digest, stage, exceptions, loaded, index, images, ready, packs, selector_labels })
    }

    /// The rule at this index.
    pub(super) fn rule(&self, at: usize) -> Option<ReadyRule<'_>> {
        Some(ReadyRule { rule: self.policy.admission.rules.get(at)?, ready: self.ready.get(at)? })
    }

    pub(super) fn pack(&self, index: u16) -> Option<&Pack> {
        self.packs.get(usize::from(index))
    }

    /// `name@version` of a pack.
    pub(super) fn pack_name(&self, index: u16) -> String {
        self.pack(index).map_or_else(|| format!("pack {index}"), |pack| pack.label.clone())
    }

    /// `name@version` of all packs, sorted.
    pub(super) fn pack_labels(&self) -> impl Iterator<Item = &str> {
        self.packs.iter().map(|pack| pack.label.as_str())
    }

    /// Whether a selector of this policy reads a label, so that no mutation may write it.
    pub(super) fn selects_by(&self, label: &str) -> bool {
        label == CELL_LABEL || self.selector_labels.contains(label)
    }
}

/// The rules of a policy, those in Rego with their evaluators.
pub(super) fn ready(
    policy: &Policy,
    loaded: &Loaded,
    rego: &dyn RegoEngine,
) -> Result<Vec<Ready>, LoadError> {
    let Admission { rules, rego: modules, shared, .. } = &policy.admission;
    let shared = SharedReads::new(shared);
    let prepare = |one: &RegoRule| {
        let module = usize::try_from(one.module).ok().and_then(|at| modules.get(at));
        let module = module.ok_or_else(|| format!("module {} is not there", one.module));
        module.and_then(|module| rego.prepare(module, &one.rule))
    };
    let rules = rules.iter().map(|rule| {
        let asked = rule.rego.as_ref().map(prepare).transpose();
        let (cell, name) = (&policy.cell, &rule.name);
        let refused = |reason| LoadError::Rego { cell: cell.clone(), rule: name.clone(), reason };
        Ok(Ready::new(rule, loaded, &shared, asked.map_err(refused)?))
    });
    rules.collect()
}

fn selector_labels(policy: &Policy) -> BTreeSet<String> {
    let mut selectors: Vec<&LabelSelector> = Vec::new();
    if let Some(subject) = &policy.subject {
        selectors.extend(&subject.pods);
    }
    selectors.extend(policy.admission.rules.iter().filter_map(|rule| rule.matches.object_selector.as_ref()));
    if let Some(network) = &policy.network {
        for peer in network.egress.iter().chain(&network.ingress).flat_map(|rule| &rule.peers) {
            if let Peer::Pods { pods, .. } = peer {
                selectors.extend(pods);
            }
        }
    }
    selectors.into_iter().flat_map(selector::keys).map(str::to_owned).collect()
}
