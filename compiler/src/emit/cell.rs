//! What every emitter needs to know about the cell: the policy, its digest, and the names, labels and
//! annotations of its objects.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::admission::CELL_LABEL;
use bailiwick_policy::policy::{LabelSelector, Origin, Policy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::artifact::{FieldRef, sha256};
use super::{EmitError, EmitOptions, selector};

/// Object names are DNS labels, the strictest of Kubernetes' name rules.
const NAME_MAX: usize = 63;

/// One effective policy that is being emitted.
pub(super) struct Cell<'a> {
    pub(super) policy: &'a Policy,
    pub(super) digest: &'a str,
    pub(super) options: &'a EmitOptions,
    packs: Vec<String>,
}

impl<'a> Cell<'a> {
    pub(super) fn new(policy: &'a Policy, digest: &'a str, options: &'a EmitOptions) -> Self {
        let packs = policy.packs.iter().map(|pack| format!("{}@{}", pack.name, pack.version)).collect();
        Self { policy, digest, options, packs }
    }

    /// `name@version` of each pack, in the policy's order.
    pub(super) fn packs(&self) -> &[String] {
        &self.packs
    }

    /// A pack as `name@version`.
    pub(super) fn pack(&self, index: u16) -> Result<&str, EmitError> {
        self.packs.get(usize::from(index)).map(String::as_str).ok_or(EmitError::Origin { pack: index })
    }

    /// Origins in readable form, sorted, without duplicates.
    pub(super) fn fields<'o>(
        &self,
        origins: impl IntoIterator<Item = &'o Origin>,
    ) -> Result<Vec<FieldRef>, EmitError> {
        let refs: Result<BTreeSet<_>, EmitError> = origins
            .into_iter()
            .map(|origin| Ok(FieldRef { pack: self.pack(origin.pack)?.to_owned(), at: origin.at.clone() }))
            .collect();
        Ok(refs?.into_iter().collect())
    }

    /// `bailiwick-CELL-SUFFIX` as a DNS label. A suffix that is too long or is not a DNS label is replaced by
    /// its hash, so that names stay distinct and stable.
    pub(super) fn name(&self, suffix: &str) -> String {
        let name = format!("bailiwick-{}-{suffix}", self.policy.cell);
        let plain = suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !suffix.ends_with('-');
        if plain && name.len() <= NAME_MAX {
            return name;
        }
        let hash: String = sha256(suffix.as_bytes()).chars().take(10).collect();
        let kept: String = suffix
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .take(NAME_MAX.saturating_sub(10 + self.policy.cell.len() + 1 + 11))
            .collect();
        format!("bailiwick-{}-{}-{hash}", self.policy.cell, kept.trim_end_matches('-'))
    }

    /// Metadata of an object: its name, its labels, and what it was compiled from.
    pub(super) fn metadata(&self, name: String) -> ObjectMeta {
        let labels = [
            ("app.kubernetes.io/managed-by", "bailiwick".to_owned()),
            (CELL_LABEL, self.policy.cell.clone()),
        ];
        let annotations = [
            // Not a label: a digest is one character too long for a label value.
            ("bailiwick.dev/policy-digest", format!("sha256:{}", self.digest)),
            ("bailiwick.dev/packs", self.packs.join(" ")),
        ];
        let owned = |(key, value): (&str, String)| (key.to_owned(), value);
        ObjectMeta {
            name: Some(name),
            labels: Some(labels.map(owned).into()),
            annotations: Some(annotations.map(owned).into()),
            ..ObjectMeta::default()
        }
    }

    /// One selector for the governed pods; `None` if the policy governs no pods.
    pub(super) fn pods(&self) -> Option<LabelSelector> {
        self.policy.subject.as_ref().map(|subject| selector::conjoin(&subject.pods))
    }

    /// One selector for the governed namespaces; `None` if the policy governs no pods.
    pub(super) fn namespaces(&self) -> Option<LabelSelector> {
        self.policy.subject.as_ref().map(|subject| selector::conjoin(&subject.namespaces))
    }

    /// The namespace selector for hooks of the API server.
    pub(super) fn hooked_namespaces(&self) -> Option<LabelSelector> {
        Some(hooked(self.namespaces()?, self.options))
    }

    /// Names of the governed namespaces, as far as known: from the options, or else from the subject.
    pub(super) fn known_namespaces(&self) -> Vec<String> {
        if !self.options.namespaces.is_empty() {
            return self.options.namespaces.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        }
        self.namespaces()
            .and_then(|governed| selector::namespace_names(&governed))
            .into_iter()
            .flatten()
            .collect()
    }

    /// Labels with which a namespace or a pod matches `governed`; `None` if nothing can match.
    pub(super) fn labels_under(governed: &LabelSelector) -> Option<BTreeMap<String, String>> {
        selector::labels_satisfying(governed)
    }
}

/// A selector of governed namespaces without the namespaces that no hook may block. On the command line, a
/// namespace that the subject itself names stays in, since that is intended. In a cluster it is left out: the
/// pods of the webhook could not start without the webhook.
pub(super) fn hooked(governed: LabelSelector, options: &EmitOptions) -> LabelSelector {
    let named = selector::namespace_names(&governed).unwrap_or_default();
    let mut exempt: BTreeSet<String> = options.exempt_namespaces.iter().cloned().collect();
    if let super::WebhookClient::Service { namespace, .. } = &options.webhook {
        exempt.insert(namespace.clone());
    }
    match options.unmatched {
        super::UnmatchedFloor::Shared => exempt.retain(|name| named.is_empty() || named.contains(name)),
        _ if named.is_empty() => {}
        _ => exempt.clear(),
    }
    if exempt.is_empty() { governed } else { selector::without_names(governed, exempt) }
}
