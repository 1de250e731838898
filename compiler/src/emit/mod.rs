//! From the effective policy to every artifact: Kubernetes manifests, the bundle, the list of files and the
//! enforcement report.
//!
//! Emission is pure: it writes no file and reads no clock, and the same policy and options give the same
//! bytes. Every manifest is a typed `k8s-openapi` value written by a serializer; no text is concatenated. Not
//! here: checks that reject a policy (they run before), and applying anything to a cluster.
//!
//! Terms. *Cell*: the packs in force together, identified by a hash that is part of every object's name.
//! *Floor*: the admission policies that the API server evaluates itself, which hold while the webhook is
//! down. *Target*: the kind of control that a file is for.
//!
//! ```text
//!            ┌► namespace · network · runtime · webhooks ─► kubernetes/*.yaml ┐
//! Policy ────┼► floor ───────────────────────────────────► kubernetes/admission-policies.yaml ├► artifacts.json
//!            ├► seccomp, nsjail ────────────────────────► seccomp/*.json · nsjail/*.cfg ┤
//!            ├► bundle.json                                                   │
//!            └► report ──────────────────────────────────► report.json · report.md ┘
//! ```

mod address;
mod artifact;
mod calls;
mod cell;
mod cluster;
mod cluster_hooks;
mod cluster_selectors;
mod floor;
mod lost;
mod manifest;
mod namespace;
mod network;
mod nsjail;
mod report;
mod report_text;
mod runtime;
mod seccomp;
pub(crate) mod selector;
mod statements;
mod webhooks;

pub(crate) use floor::excepted_length;

pub use artifact::{Artifact, Artifacts, FieldRef, Target};
pub use cluster::{
    BINDINGS, CELLS, ClusterOptions, EXCEPTIONS, EXTENDED, Left, NAMESPACES, Object, Objects, PACKS, objects,
};
pub use cluster_hooks::{MAX_SELECTORS, configuration_name, webhooks};
pub use lost::{IfLost, RecallError, recalled};
pub use nsjail::NSJAIL_VERSION;
pub use report::{Enforcement, Gap, LayerReport, Remains, Report, Statement};

use std::collections::BTreeMap;

use bailiwick_policy::admission::Exception;
use bailiwick_policy::bundle::{self, BundleError};
use bailiwick_policy::policy::Policy;

use self::cell::Cell;

/// Options that are not part of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmitOptions {
    /// Namespaces that the NetworkPolicies and the labels are for. Empty: those that the subject names by
    /// `kubernetes.io/metadata.name`. If it names none, NetworkPolicies carry no namespace
    /// (`kubectl apply -n` sets it), and `namespace.yaml` describes one namespace named after `pack`.
    pub namespaces: Vec<String>,
    /// Name of the pack under compilation, the first of several. The policy lists it together with the packs
    /// that it extends, ordered by name, and does not say which it is. `None`: the first in that list.
    pub pack: Option<String>,
    /// How the API server reaches the webhook.
    pub webhook: WebhookClient,
    /// PEM of the certificate authorities that signed the webhook's certificate; `None`: the operator or
    /// cert-manager adds it later.
    pub ca_bundle: Option<Vec<u8>>,
    /// Namespaces that neither the webhook nor the floor may ever block: `kube-system` and the webhook's own.
    pub exempt_namespaces: Vec<String>,
    /// Exceptions that apply now, for the floor. The caller has checked the clock.
    pub exceptions: Vec<Exception>,
    /// Which policy denies pods that nothing selects.
    pub unmatched: UnmatchedFloor,
}

/// Which policy denies pods of governed namespaces that nothing selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmatchedFloor {
    /// The policy's own floor: nothing else governs its namespaces.
    Own,
    /// One policy over all bindings of a namespace.
    Shared,
}

impl Default for EmitOptions {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            pack: None,
            webhook: WebhookClient::Service {
                namespace: "bailiwick-system".to_owned(),
                name: "bailiwick-webhook".to_owned(),
                port: 443,
            },
            ca_bundle: None,
            exempt_namespaces: vec!["bailiwick-system".to_owned(), "kube-system".to_owned()],
            exceptions: Vec::new(),
            unmatched: UnmatchedFloor::Own,
        }
    }
}

/// How the API server reaches the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookClient {
    /// `https://host:port` without a path.
    Url(String),
    /// A Service of the cluster.
    Service {
        /// Namespace of the Service.
        namespace: String,
        /// Name of the Service.
        name: String,
        /// TCP port of the Service.
        port: u16,
    },
}

/// Why artifacts could not be emitted. No part of a failed emission is usable.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The YAML writer failed.
    #[error("cannot write `{path}` as YAML: {error}")]
    Yaml {
        /// The file.
        path: String,
        /// What the writer said.
        error: String,
    },
    /// The JSON writer failed.
    #[error("cannot write `{path}` as JSON: {error}")]
    Json {
        /// The file.
        path: String,
        /// What the writer said.
        error: serde_json::Error,
    },
    /// A network of the policy is not a network in canonical form.
    #[error("`{cidr}` is not a network in canonical form")]
    Cidr {
        /// The text.
        cidr: String,
    },
    /// Two controls would have the same path: a sandbox `pool-x` and a pool `x`.
    #[error("two controls would be written to `{path}`; rename the sandbox")]
    SamePath {
        /// The file.
        path: String,
    },
    /// A path of a sandbox is not absolute and canonical.
    #[error("sandbox `{sandbox}`: `{path}` is not an absolute path in canonical form")]
    SandboxPath {
        /// The sandbox.
        sandbox: String,
        /// The path.
        path: String,
    },
    /// The bundle cannot be written.
    #[error("cannot write the bundle: {0}")]
    Bundle(#[from] BundleError),
    /// The digest belongs to another bundle.
    #[error("`{digest}` is not the digest of this policy's bundle")]
    Digest {
        /// The digest that was given.
        digest: String,
    },
    /// An origin names a pack that the policy does not list.
    #[error("the policy has no pack number {pack}")]
    Origin {
        /// The index.
        pack: u16,
    },
}

/// Emits all artifacts of `policy`. `digest` (SHA-256, hex) is that of its bundle; every other file contains
/// it.
///
/// # Errors
/// A policy that the compiler cannot have made ([`EmitError::Cidr`], [`EmitError::Origin`]), or a writer's
/// failure.
pub fn artifacts(policy: &Policy, digest: &str, options: &EmitOptions) -> Result<Artifacts, EmitError> {
    let bundle = bundle::write(policy)?;
    if bundle::digest(&bundle) != digest {
        return Err(EmitError::Digest { digest: digest.to_owned() });
    }
    let cell = Cell::new(policy, digest, options);
    let mut files = BTreeMap::new();
    let network = network::emit(&cell)?;
    let floor = floor::emit(&cell)?;
    for (path, artifact) in [
        ("kubernetes/namespace.yaml", namespace::emit(&cell)?),
        ("kubernetes/pool-namespaces.yaml", namespace::pools(&cell)?),
        ("kubernetes/network-policies.yaml", network.artifact),
        ("kubernetes/runtime-classes.yaml", runtime::classes(&cell)?),
        ("kubernetes/pod-template.yaml", runtime::pod_template(&cell)?),
        ("kubernetes/admission-policies.yaml", floor.artifact),
        ("kubernetes/webhooks.yaml", webhooks::emit(&cell)?),
    ] {
        if let Some(artifact) = artifact {
            files.insert(path.to_owned(), artifact);
        }
    }
    for (path, artifact) in seccomp::emit(&cell)?.into_iter().chain(nsjail::emit(&cell)?) {
        if files.insert(path.clone(), artifact).is_some() {
            return Err(EmitError::SamePath { path });
        }
    }
    let from = cell.fields(webhooks::origins(&cell).iter())?;
    files.insert("bundle.json".to_owned(), Artifact { bytes: bundle, target: Target::Bundle, from });
    let report = report::Report::new(&cell, &network.narrowed, &floor.standing)?;
    files.insert("report.json".to_owned(), report.json()?);
    files.insert("report.md".to_owned(), report_text::artifact(&report));
    artifact::list(&cell, &mut files)?;
    Ok(Artifacts { files, report })
}
