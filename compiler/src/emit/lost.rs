//! What of a bound policy outlasts its pack. The status of the binding holds it, so that an operator that starts
//! when the pack can no longer be compiled knows it from where only operators write. What stands in the cluster
//! would not do: whoever may edit a webhook configuration could take requests out of it while no operator runs.
//!
//! The policy itself outlasts its pack as a bundle whose digest is in that status ([`recalled`]). The rest is for
//! when the bundle is gone, or is one that this program does not read.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_crds::binding::PolicyBindingStatus;
use bailiwick_policy::bundle::{self, BundleError};
use bailiwick_policy::policy::{LabelSelector, ResourceRule};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::{EmitOptions, webhooks as hooks};
use crate::cluster::{BoundPolicy, PackId, Taken, stage};

/// The part of a bound policy that is needed without its pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IfLost {
    /// Name of the pack.
    pub(super) pack: String,
    /// The namespaces that it governs.
    pub(super) namespaces: LabelSelector,
    /// The requests that `/mutate` must see.
    pub(super) mutates: BTreeSet<ResourceRule>,
    /// The requests that `/validate` and `/connect` must see.
    pub(super) judges: BTreeSet<ResourceRule>,
    /// The packs that it takes by a requirement.
    takes: Vec<Takes>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Takes {
    pack: String,
    requirement: String,
    version: String,
}

impl IfLost {
    /// `None`: the policy governs no pods.
    #[must_use]
    pub fn of(bound: &BoundPolicy) -> Option<Self> {
        let emit = EmitOptions::default();
        let cell = Cell::new(&bound.policy, &bound.digest, &emit);
        let (mut mutates, mut judges) = (hooks::mutated(&cell), hooks::validated(&cell));
        // Always, to write the label.
        mutates.insert(hooks::rule("", "v1", &["pods"], &["CREATE"]));
        judges.extend(hooks::pod_rules());
        let takes = bound.taken.iter().map(|one| Takes {
            pack: one.name.clone(),
            requirement: one.requirement.to_string(),
            version: one.version.to_string(),
        });
        Some(Self {
            pack: bound.pack.name.clone(),
            namespaces: cell.namespaces()?,
            mutates,
            judges,
            takes: takes.collect(),
        })
    }

    /// A policy of which nothing is known may govern any pod that is created, changed or connected to.
    pub(super) fn unknown() -> Self {
        let mut judges: BTreeSet<ResourceRule> = hooks::pod_rules().into_iter().collect();
        judges.extend(hooks::template_rules());
        let connections = ["pods/exec", "pods/attach", "pods/portforward", "pods/proxy"];
        judges.insert(hooks::rule("", "v1", &connections, &["CONNECT"]));
        Self {
            pack: String::new(),
            namespaces: LabelSelector::default(),
            mutates: hooks::pod_rules().into_iter().collect(),
            judges,
            takes: Vec::new(),
        }
    }

    /// The packs that it takes; a requirement or version that cannot be read is taken for the widest.
    pub(super) fn takes(&self) -> impl Iterator<Item = Taken> {
        self.takes.iter().map(|one| Taken {
            name: one.pack.clone(),
            requirement: VersionReq::parse(&one.requirement).unwrap_or(VersionReq::STAR),
            version: Version::parse(&one.version).unwrap_or(Version::new(0, 0, 0)),
        })
    }
}

/// Why a policy cannot be taken from its bundle.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// Of an earlier version, or of a binding that was never in force.
    #[error("its status does not name the bundle of its policy")]
    Unsaid,
    /// Not the bundle that the status names, or not readable.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// The policy that a binding's status says was in force, from the bytes of its bundle.
///
/// # Errors
/// See [`RecallError`].
pub fn recalled(
    binding: &str,
    status: &PolicyBindingStatus,
    bytes: &[u8],
) -> Result<BoundPolicy, RecallError> {
    let said = || {
        let if_lost: IfLost = serde_json::from_value(status.if_lost.clone()?).ok()?;
        Some((if_lost, status.stage?, status.chosen.clone()?, status.bundle.as_ref()?))
    };
    let (if_lost, at, chosen, expected) = said().ok_or(RecallError::Unsaid)?;
    let bundle = bundle::load_expecting(bytes, expected)?;
    // Version and digest are the bundle's, whatever the status says.
    let own = || {
        let of = bundle.policy.packs.iter().find(|one| one.name == if_lost.pack)?;
        let version = Version::parse(&of.version).ok()?;
        Some(PackId { name: of.name.clone(), version, digest: of.digest.clone() })
    };
    let pack = own().ok_or(RecallError::Unsaid)?;
    Ok(BoundPolicy {
        binding: binding.to_owned(),
        pack,
        chosen,
        stage: stage(at),
        policy: Arc::new(bundle.policy),
        digest: bundle.digest,
        taken: if_lost.takes().collect(),
    })
}
