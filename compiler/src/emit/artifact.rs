//! The output of emission: files by path, each with its target and the pack fields it comes from, and
//! `artifacts.json`, which lists them.

use std::collections::BTreeMap;

use bailiwick_policy::bundle::artifacts::FILE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cell::Cell;
use super::manifest;
use super::{EmitError, Report};

/// The kind of control that a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The compiled policy itself.
    Bundle,
    /// Labels of namespaces.
    PodSecurityLabels,
    /// `networking.k8s.io/v1`.
    NetworkPolicy,
    /// `node.k8s.io/v1`.
    RuntimeClass,
    /// A template for authors of workloads; enforces nothing.
    PodTemplate,
    /// `ValidatingAdmissionPolicy` and bindings.
    AdmissionPolicy,
    /// Webhook configurations.
    Webhook,
    /// A seccomp profile in OCI form.
    Seccomp,
    /// A configuration of nsjail.
    Nsjail,
    /// The enforcement report.
    Report,
}

/// A field of a pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// `name@version`.
    pub pack: String,
    /// Field path, such as `spec.network.egress[0]`.
    pub at: String,
}

/// One emitted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The content.
    pub bytes: Vec<u8>,
    /// What it is for.
    pub target: Target,
    /// The pack fields it comes from, sorted.
    pub from: Vec<FieldRef>,
}

/// Everything that one policy becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifacts {
    /// By path relative to the output folder; includes `artifacts.json`, which lists all others.
    pub files: BTreeMap<String, Artifact>,
    /// The content of `report.json` and `report.md`.
    pub report: Report,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    format_version: u32,
    compiler_version: &'static str,
    cell: &'a str,
    packs: &'a [String],
    policy_digest: &'a str,
    files: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    path: &'a str,
    sha256: String,
    target: Target,
    from: &'a [FieldRef],
}

/// SHA-256 in lower case hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Adds `artifacts.json`. Only this file carries the compiler's version, so a new compiler that emits the
/// same controls changes nothing else.
pub(super) fn list(cell: &Cell<'_>, files: &mut BTreeMap<String, Artifact>) -> Result<(), EmitError> {
    let list = List {
        format_version: 1,
        compiler_version: env!("CARGO_PKG_VERSION"),
        cell: &cell.policy.cell,
        packs: cell.packs(),
        policy_digest: cell.digest,
        files: files
            .iter()
            .map(|(path, file)| Entry {
                path,
                sha256: sha256(&file.bytes),
                target: file.target,
                from: &file.from,
            })
            .collect(),
    };
    let bytes = manifest::json(FILE, &list)?;
    files.insert(FILE.to_owned(), Artifact { bytes, target: Target::Report, from: Vec::new() });
    Ok(())
}
