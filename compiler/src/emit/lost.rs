//! What of a bound policy outlasts its pack. The status of the binding holds it, so that an operator that starts
//! when the pack can no longer be compiled knows it from where only operators write. What stands in the cluster
//! would not do: whoever may edit a webhook configuration could take requests out of it while no operator runs.

use std::collections::BTreeSet;

use bailiwick_policy::policy::{LabelSelector, ResourceRule};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::{EmitOptions, webhooks as hooks};
use crate::cluster::{BoundPolicy, Taken};

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
