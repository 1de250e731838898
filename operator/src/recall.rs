//! The bundles of the policies in force, each in a ConfigMap of the operator's namespace: a policy outlasts its
//! pack. Pure.
//!
//! A binding whose pack cannot be compiled again after a restart takes its policy from there, so that its controls
//! are compared and repaired as before. What stands in the cluster would be no proof: it may have been edited while
//! no operator ran. The digest is in the status of the binding, which only operators write; other bytes are refused.

use std::collections::BTreeSet;

use bailiwick_compiler::cluster::BoundPolicy;
use bailiwick_compiler::emit::{RecallError, recalled};
use bailiwick_crds::binding::PolicyBindingStatus;
use bailiwick_policy::bundle;
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::object::{Key, Live};
use crate::pools::{BUNDLE, MAX_BUNDLE, bundle_map, bundle_name};
use crate::whole::Standing;
use crate::world::World;

/// Why a policy is lost.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// No bundle of that name.
    #[error("ConfigMap `{0}`, which held its policy, is gone")]
    Gone(String),
    /// One that does not help.
    #[error("ConfigMap `{name}` does not hold its policy: {error}")]
    Other {
        /// Its name.
        name: String,
        /// Why not.
        error: RecallError,
    },
    /// Nothing says which.
    #[error(transparent)]
    Unsaid(RecallError),
}

/// The policy that was in force by the status of a binding.
///
/// # Errors
/// See [`Lost`].
pub fn recall(live: &Live, standing: &Standing) -> Result<BoundPolicy, Lost> {
    let status: Option<PolicyBindingStatus> = serde_json::from_value(live.status.clone()).ok();
    let named = status.and_then(|status| Some((bundle_name(status.bundle.as_ref()?), status)));
    let (name, status) = named.ok_or(Lost::Unsaid(RecallError::Unsaid))?;
    let Some(map) = standing.bundle(&name) else { return Err(Lost::Gone(name)) };
    let text = map.body.get("data").and_then(|data| data.get(BUNDLE)).and_then(Value::as_str);
    recalled(&live.key.name, &status, text.unwrap_or_default().as_bytes())
        .map_err(|error| Lost::Other { name, error })
}

/// The ConfigMap of a policy's bundle; `None` for one that is too large, which is lost with its pack.
#[must_use]
pub fn published(bound: &BoundPolicy, namespace: &str) -> Option<Value> {
    let bytes = bundle::write(&bound.policy).ok().filter(|bytes| bytes.len() <= MAX_BUNDLE)?;
    let text = String::from_utf8(bytes).ok()?;
    Some(bundle_map(namespace, &bundle_name(&bound.digest), &bound.digest, json!({ BUNDLE: text })))
}

/// The bundles that statuses name: each stays until the status names another.
#[must_use]
pub fn named(world: &World, namespace: &str) -> BTreeSet<Key> {
    let digests = world.bindings.iter().filter_map(|one| one.live.status.get("bundle")?.as_str());
    let key = |digest| Key {
        kind: Kind::ConfigMap,
        namespace: Some(namespace.to_owned()),
        name: bundle_name(digest),
    };
    digests.map(key).collect()
}
