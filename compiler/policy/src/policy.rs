//! The effective policy: everything that applies to one subject after packs were resolved and met. A bundle
//! carries it, decisions are made with it, and every artifact is emitted from it.
//!
//! Total: no "inherit", no default that a reader would have to know, every collection ordered. An absent
//! section (`None`) constrains nothing; within a section that is present, what is not allowed is denied.
//!
//! Terms. *Origin*: the pack and field path that a statement comes from; a statement that two packs make
//! names both. *Subject*: the pods that the policy governs. *Cell*: the packs and versions in force together,
//! by the hash of their names and of what bindings add to them.

mod images;
pub mod narrower;
mod network;
pub mod sandboxes;
pub mod tools;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ir::{Cel, Const};
pub use images::{ImageDigest, ImageEffect, ImageEntry, ImageLayer, ImageSigner, SubjectMatch};
pub use network::{Network, NetworkRule, Peer, PortRange, Protocol};
use sandboxes::{Pool, Sandbox};
use tools::{Audit, ToolLayer, ToolRule};

/// Version of the bundle format; a reader rejects every other one.
pub const FORMAT_VERSION: u32 = 2;

/// The largest Rego module, in bytes: some two thousand lines, so that reading one is quick and a bundle
/// holds many.
pub const MAX_MODULE_BYTES: usize = 64 * 1024;

/// The effective policy of one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The packs met here, sorted by name and version; [`Origin::pack`] is an index into this list.
    pub packs: Vec<PackSource>,
    /// Value of label `bailiwick.dev/cell`; see [`cell_name`].
    pub cell: String,
    /// What bindings add to the packs: SHA-256 (hex) of the values that each chooses and the subjects that it
    /// narrows to, sorted. Empty where nothing is chosen, as on the command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// Which pods the policy governs; `None`: the policy is a ceiling for others and governs no pods itself.
    pub subject: Option<Subject>,
    /// Isolation of the governed pods.
    pub isolation: Isolation,
    /// Which connections are allowed; `None` constrains nothing.
    pub network: Option<Network>,
    /// Which images may run; every layer (one of each pack that has the section) must allow an image.
    pub images: Vec<ImageLayer>,
    /// Admission rules.
    pub admission: Admission,
    /// Where sandboxes run, by name.
    pub pools: Vec<Pool>,
    /// Where a tool's command runs, by name.
    pub sandboxes: Vec<Sandbox>,
    /// Tools and the rules over their calls, one layer for each pack that has the section, in the order of
    /// `packs`.
    pub tools: Vec<ToolLayer>,
    /// What is kept of calls and admissions; `None`: no pack says, and the defaults of `audit` apply.
    pub audit: Option<Stated<Audit>>,
}

impl Policy {
    /// The policy of these packs that constrains and governs nothing: the neutral element of the meet. The
    /// cell is not known yet.
    #[must_use]
    pub fn top(packs: Vec<PackSource>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            packs,
            cell: String::new(),
            variants: Vec::new(),
            subject: None,
            isolation: Isolation::default(),
            network: None,
            images: Vec::new(),
            admission: Admission::default(),
            pools: Vec::new(),
            sandboxes: Vec::new(),
            tools: Vec::new(),
            audit: None,
        }
    }

    /// The sandboxes that calls can run in: first those of the tools, then others to which rules narrow
    /// calls.
    #[must_use]
    pub fn used_sandboxes(&self) -> Vec<&Sandbox> {
        let tools = self.tools.iter().flat_map(|layer| &layer.definitions);
        let own: BTreeSet<&str> = tools.map(|tool| tool.run.sandbox.as_str()).collect();
        let rules = self.tools.iter().flat_map(|layer| &layer.rules).filter(|rule| rule.is_enforced());
        let narrower: BTreeSet<&str> = rules.filter_map(ToolRule::narrows_to).collect();
        let is_own = |sandbox: &&Sandbox| own.contains(sandbox.name.as_str());
        let others = self.sandboxes.iter().filter(|one| !is_own(one) && narrower.contains(one.name.as_str()));
        self.sandboxes.iter().filter(is_own).chain(others).collect()
    }
}

/// The name of the cell of packs in force together: 16 hex digits of SHA-256 over their sorted `name@version`
/// lines, followed by what bindings add. Two bindings of one pack with other values, or with other subjects,
/// are two cells.
#[must_use]
pub fn cell_name<'a>(
    packs: impl IntoIterator<Item = &'a PackSource>,
    variants: impl IntoIterator<Item = &'a String>,
) -> String {
    let mut lines: Vec<String> =
        packs.into_iter().map(|pack| format!("{}@{}\n", pack.name, pack.version)).collect();
    lines.sort();
    lines.dedup();
    let mut added: Vec<String> = variants.into_iter().map(|variant| format!("{variant}\n")).collect();
    added.sort();
    added.dedup();
    lines.append(&mut added);
    Sha256::digest(lines.concat()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A pack that takes part, for provenance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackSource {
    /// Name without version.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// SHA-256 (hex) of the canonical JSON of the pack's spec as authored.
    pub digest: String,
    /// SHA-256 (hex) of the canonical JSON of the bound parameters.
    pub parameters_digest: String,
    /// The bound parameters, as CEL sees `params`.
    pub parameters: Const,
}

/// Where a statement comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Origin {
    /// Index into [`Policy::packs`].
    pub pack: u16,
    /// Field path in the pack, such as `spec.network.egress[0]`.
    pub at: String,
}

/// A value with its origins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stated<T> {
    /// The value.
    pub value: T,
    /// The origins of the statement; at least one, sorted.
    pub from: Vec<Origin>,
}

/// The pods that a policy governs: all `selectors` must match (one of each pack that names a subject).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// Namespaces: every selector must match the namespace's labels.
    pub namespaces: Vec<LabelSelector>,
    /// Pods: every selector must match the pod's labels.
    pub pods: Vec<LabelSelector>,
    /// Whether the governed namespaces hold only governed pods, so that namespace-wide controls may be
    /// emitted.
    pub exclusive: bool,
    /// What happens to pods of these namespaces that no pack selects.
    pub unmatched: Unmatched,
    /// The origins of this subject.
    pub from: Vec<Origin>,
}

/// What happens to pods in governed namespaces that no pack selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unmatched {
    /// This policy ignores them.
    Allow,
    /// They are denied.
    Deny,
}

/// A label selector as in `metav1.LabelSelector`; empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels that must be present with this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Expressions, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One expression of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// The relation.
    pub operator: LabelOperator,
    /// The values; empty for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// Relation of a label to values. `NotIn` and `DoesNotExist` also hold for an absent label, as in Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

/// Isolation of the governed pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Isolation {
    /// The Pod Security levels that each pod must meet, **all** of them, strictest level first and newest
    /// version first; empty constrains nothing. Usually one: a meet keeps two only if neither is at least as
    /// strict as the other, since a level at one version allows some pods that it denies at another, and the
    /// reverse.
    pub pod_security: Vec<Stated<PodSecurity>>,
    /// The RuntimeClasses that a pod may name.
    pub runtime_class: Option<Stated<RuntimeClasses>>,
    /// `Forbidden`: a pod may not mount a service account token.
    pub service_account_token: Option<Stated<ServiceAccountToken>>,
}

/// A Pod Security Standard at a pinned version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecurity {
    /// The level.
    pub level: PodSecurityLevel,
    /// Minor version N of `v1.N`; at most [`PodSecurity::NEWEST_MINOR`].
    pub minor: u16,
}

impl PodSecurity {
    /// The newest version whose checks are built in.
    pub const NEWEST_MINOR: u16 = 37;

    /// N of a version `v1.N`, if its checks are built in.
    #[must_use]
    pub fn built_in_minor(version: &str) -> Option<u16> {
        let digits = version.strip_prefix("v1.")?;
        let minor: u16 = digits.parse().ok()?;
        (minor.to_string() == digits && minor <= Self::NEWEST_MINOR).then_some(minor)
    }
}

/// Levels, from lax to strict. <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub enum PodSecurityLevel {
    Privileged,
    Baseline,
    Restricted,
}

/// Allowed RuntimeClasses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeClasses {
    /// By name, sorted.
    pub classes: Vec<RuntimeClass>,
    /// The defaults that the packs state, sorted. See [`RuntimeClasses::default_class`].
    pub defaults: Vec<String>,
}

impl RuntimeClasses {
    /// The class that is written into a pod that names none. `None`: no pack states one, two packs disagree,
    /// or a pack does not allow it; such a pod is denied.
    #[must_use]
    pub fn default_class(&self) -> Option<&RuntimeClass> {
        match self.defaults.as_slice() {
            [only] => self.classes.iter().find(|class| &class.name == only),
            _ => None,
        }
    }
}

/// A RuntimeClass of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeClass {
    /// `metadata.name`.
    pub name: String,
    /// The CRI handler.
    pub handler: String,
    /// The kind of isolation that the handler gives; decides which settings are inert.
    pub kind: RuntimeKind,
}

/// Kinds of container runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RuntimeKind {
    /// Shares the host's kernel.
    Runc,
    /// gVisor: pod seccomp profiles are ignored by default.
    GVisor,
    /// A virtual machine: guest seccomp is off by default.
    Kata,
}

/// Whether governed pods may have a service account token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ServiceAccountToken {
    /// As Kubernetes does by default.
    Allowed,
    /// `automountServiceAccountToken` must be false, and the pod may not have a projected token volume.
    Forbidden,
}

/// Admission rules of all packs that take part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Admission {
    /// `variables.NAME` expressions, each distinct one once; [`crate::ir::Expr::Shared`] points here. Later
    /// ones may use earlier ones.
    pub shared: Vec<Cel>,
    /// Patterns of [`crate::ir::Expr::Matches`].
    pub regexes: Vec<String>,
    /// Texts of the modules that [`AdmissionRule::rego`] points into, each distinct one once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rego: Vec<String>,
    /// Rules, in the order of packs and then of the pack's text.
    pub rules: Vec<AdmissionRule>,
}

/// The rule of a Rego module whose messages are violations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegoRule {
    /// Index into [`Admission::rego`].
    pub module: u32,
    /// Its full name, such as `data.images.deny`.
    pub rule: String,
}

/// One authored admission rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmissionRule {
    /// Name, unique within its pack.
    pub name: String,
    /// Pack and field path.
    pub origin: Origin,
    /// When the rule applies.
    pub matches: Match,
    /// Whether a rule on pods also judges the pod templates of workload kinds.
    pub pod_templates: bool,
    /// `variables`, by name and index into [`Admission::shared`], in the order of the text.
    pub variables: Vec<(String, u32)>,
    /// What must hold.
    pub validations: Vec<Validation>,
    /// The Rego rule that must give no message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego: Option<RegoRule>,
    /// What is written first, in order.
    pub mutations: Vec<Mutation>,
    /// Key and string expression; written to the API server's audit log.
    pub audit_annotations: Vec<(String, Cel)>,
    /// What a failed validation does.
    pub action: Action,
    /// Whether an exception may relax the rule.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exceptable: bool,
}

impl AdmissionRule {
    /// Whether the rule judges the object as it will be stored; a rule that does not only mutates.
    #[must_use]
    pub fn judges(&self) -> bool {
        !self.validations.is_empty() || self.rego.is_some() || !self.audit_annotations.is_empty()
    }
}

/// When a rule applies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Any of these.
    pub resources: Vec<ResourceRule>,
    /// None of these.
    pub exclude_resources: Vec<ResourceRule>,
    /// Labels of the object's namespace, in addition to the subject's.
    pub namespace_selector: Option<LabelSelector>,
    /// Labels of the object (old or new).
    pub object_selector: Option<LabelSelector>,
    /// Name and boolean expression; all must hold. An error denies.
    pub conditions: Vec<(String, Cel)>,
}

/// Like `RuleWithOperations` in admissionregistration.k8s.io/v1; `*` is a wildcard; `resource/subresource`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub struct ResourceRule {
    pub api_groups: Vec<String>,
    pub api_versions: Vec<String>,
    pub resources: Vec<String>,
    pub operations: Vec<String>,
}

/// One validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validation {
    /// Must be true.
    pub expression: Cel,
    /// The message if it is not true.
    pub message: Option<String>,
    /// The same, computed; an error or a non-string falls back to `message`.
    pub message_expression: Option<Cel>,
    /// A `metav1.StatusReason`, `Invalid` unless the author says otherwise.
    pub reason: String,
    /// What the author of the manifest can do about it.
    pub remedy: Option<String>,
}

/// What a failed validation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    /// Recorded in the audit annotations.
    Audit,
    /// A warning to the client.
    Warn,
    /// A denial.
    Deny,
}

/// One mutation, applied in memory and written by `/mutate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Mutation {
    /// Sets a field; `*` means every element of a list (`spec.containers[*].imagePullPolicy`).
    Field {
        /// Path segments: member names, `*` for all elements.
        path: Vec<String>,
        /// Whether an existing value is kept.
        when: MutateWhen,
        /// The value.
        value: serde_json::Value,
        /// Field path in the pack.
        at: String,
    },
    /// A CEL expression that gives a list of JSON Patch operations (maps with `op`, `path`, `value`).
    JsonPatch {
        /// The expression.
        expression: Cel,
        /// Field path in the pack.
        at: String,
    },
    /// A CEL expression that gives a partial object, merged as server-side apply would; a list without keys
    /// that would lose elements is refused.
    ApplyConfiguration {
        /// The expression.
        expression: Cel,
        /// Field path in the pack.
        at: String,
    },
}

/// When a field mutation writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MutateWhen {
    /// Only where the field is absent.
    Absent,
    /// Always.
    Always,
}
