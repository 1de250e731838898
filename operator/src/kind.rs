//! The kinds that the operator reads and writes, in the order in which they are written.
//!
//! What confines is written before what it confines: classes and bundles first, then the API server's own
//! controls and the pods of pools. The webhook comes last, since it blocks requests when it is unreachable.
//! Removal goes in the reverse order.

use kube::discovery::ApiResource;

/// A kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the kinds'")]
pub enum Kind {
    RuntimeClass,
    ConfigMap,
    Secret,
    NetworkPolicy,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    Namespace,
    Deployment,
    MutatingWebhookConfiguration,
    ValidatingWebhookConfiguration,
    PolicyPack,
    PolicyBinding,
    PolicyException,
    SandboxPool,
    Pod,
}

/// How much of an object the operator owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of it but the status and others' labels and annotations.
    Whole,
    /// All of it if the operator created it; one that another client created stays as it is.
    Made,
    /// The labels and annotations that it wants; the object itself belongs to another owner.
    Labels,
    /// Only the status.
    Status,
    /// Nothing: it is only read.
    Nothing,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::RuntimeClass,
        Self::ConfigMap,
        Self::Secret,
        Self::NetworkPolicy,
        Self::ValidatingAdmissionPolicy,
        Self::ValidatingAdmissionPolicyBinding,
        Self::Namespace,
        Self::Deployment,
        Self::MutatingWebhookConfiguration,
        Self::ValidatingWebhookConfiguration,
        Self::PolicyPack,
        Self::PolicyBinding,
        Self::PolicyException,
        Self::SandboxPool,
        Self::Pod,
    ];

    /// The kinds that must have been listed before any decision: all that are compared. Pods only report what
    /// they can enforce.
    pub const COMPARED: &'static [Self] = Self::ALL.split_at(Self::ALL.len() - 1).0;

    /// Group, version, kind and plural.
    const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::RuntimeClass => ("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::ValidatingAdmissionPolicy => {
                (ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
            }
            Self::ValidatingAdmissionPolicyBinding => {
                (ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")
            }
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::MutatingWebhookConfiguration => {
                (ADMISSION, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
            }
            Self::ValidatingWebhookConfiguration => {
                (ADMISSION, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations")
            }
            Self::PolicyPack => (OURS, "v1alpha1", "PolicyPack", "policypacks"),
            Self::PolicyBinding => (OURS, "v1alpha1", "PolicyBinding", "policybindings"),
            Self::PolicyException => (OURS, "v1alpha1", "PolicyException", "policyexceptions"),
            Self::SandboxPool => (OURS, "v1alpha1", "SandboxPool", "sandboxpools"),
            Self::Pod => ("", "v1", "Pod", "pods"),
        }
    }

    /// Name of the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.names().2
    }

    /// The kind as an API resource.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// The kind of a manifest; `None` for one that the operator never writes.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == kind && one.resource().api_version == api_version)
    }

    /// Whether its objects are namespaced.
    #[must_use]
    pub const fn namespaced(self) -> bool {
        matches!(
            self,
            Self::ConfigMap
                | Self::Secret
                | Self::NetworkPolicy
                | Self::Deployment
                | Self::PolicyException
                | Self::SandboxPool
                | Self::Pod
        )
    }

    /// How much of its objects the operator owns.
    #[must_use]
    pub const fn share(self) -> Share {
        match self {
            Self::Namespace => Share::Labels,
            Self::PolicyPack | Self::PolicyBinding | Self::PolicyException | Self::SandboxPool => {
                Share::Status
            }
            Self::RuntimeClass => Share::Made,
            Self::Pod => Share::Nothing,
            _ => Share::Whole,
        }
    }
}

const ADMISSION: &str = "admissionregistration.k8s.io";
const OURS: &str = "bailiwick.dev";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_names() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(&kind.resource().api_version, kind.name()), Some(kind));
        }
        assert_eq!(Kind::of("v1", "Service"), None);
        assert_eq!(Kind::of("apps/v1", "ConfigMap"), None);
    }

    #[test]
    fn the_order_of_writing_is_the_order_of_the_list() {
        assert!(Kind::COMPARED.len() == 14 && !Kind::COMPARED.contains(&Kind::Pod));
        assert!(Kind::ALL.is_sorted());
        assert!(Kind::NetworkPolicy < Kind::Deployment);
        assert!(Kind::ValidatingAdmissionPolicy < Kind::ValidatingAdmissionPolicyBinding);
        assert!(Kind::Deployment < Kind::ValidatingWebhookConfiguration);
    }
}
