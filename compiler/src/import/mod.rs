//! Imports other tools' policies into a policy pack: admission policies of Kubernetes and Kyverno, Pod
//! Security labels, NetworkPolicies, OCI seccomp profiles, and settings of Claude Code.
//!
//! What a pack cannot express is denied instead, or left out if it only granted something. Every field
//! without an equivalent is a [`Loss`]; if a restriction is lost, or may be, the loss says `widens`. The
//! result is compiled before it is returned, so `bailiwick check` accepts it. Opens no file.
//!
//! ```text
//! documents ► objects ► importer of their kind ► spec ► compile ► prune (what does not compile: denied or left out, a loss each) ► PolicyPack
//! ```

mod admission;
mod claude;
mod commands;
mod glob;
mod network;
mod objects;
mod pod_security;
mod prune;
mod seccomp;

use bailiwick_crds::pack::PolicyPack;
use serde_json::{Map, Value, json};
use thiserror::Error;

use self::objects::{Losses, Object};
use crate::yaml::{Limits, SourceMap};

/// Kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ValidatingAdmissionPolicies and their bindings.
    AdmissionPolicy,
    /// Kyverno's ValidatingPolicies, `policies.kyverno.io`.
    Kyverno,
    /// Namespaces with Pod Security labels.
    PodSecurity,
    /// NetworkPolicies.
    NetworkPolicy,
    /// A seccomp profile in OCI format.
    Seccomp,
    /// Permissions in Claude Code's `settings.json`.
    ClaudeSettings,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::AdmissionPolicy,
        Self::Kyverno,
        Self::PodSecurity,
        Self::NetworkPolicy,
        Self::Seccomp,
        Self::ClaudeSettings,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AdmissionPolicy => "admission-policy",
            Self::Kyverno => "kyverno",
            Self::PodSecurity => "pod-security",
            Self::NetworkPolicy => "network-policy",
            Self::Seccomp => "seccomp",
            Self::ClaudeSettings => "claude-settings",
        }
    }

    /// The kind of an object; `None` if it is none of them.
    fn of(object: &Value) -> Option<Self> {
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        match (group, text("kind")) {
            (
                "admissionregistration.k8s.io",
                "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding",
            ) => Some(Self::AdmissionPolicy),
            ("policies.kyverno.io", "ValidatingPolicy" | "NamespacedValidatingPolicy") => Some(Self::Kyverno),
            ("", "Namespace") => Some(Self::PodSecurity),
            ("networking.k8s.io", "NetworkPolicy") => Some(Self::NetworkPolicy),
            ("", "") if object.get("defaultAction").is_some() => Some(Self::Seccomp),
            ("", "") if object.get("permissions").is_some() => Some(Self::ClaudeSettings),
            _ => None,
        }
    }
}

/// A file that is imported.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, for losses.
    pub name: String,
    /// Its documents.
    pub documents: Vec<Value>,
}

/// A field of the source without an equivalent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// The file.
    pub file: String,
    /// The field, after the object's kind and name.
    pub at: String,
    /// What happened to it.
    pub reason: String,
    /// Whether the pack therefore allows something that the source did not.
    pub widens: bool,
}

/// The result.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The kind of the source.
    pub kind: Kind,
    /// The pack.
    pub pack: PolicyPack,
    /// The losses, in the order of the sources.
    pub losses: Vec<Loss>,
}

impl Imported {
    /// The pack as YAML.
    ///
    /// # Errors
    /// The pack cannot be written as text, which is a bug of this module.
    pub fn yaml(&self) -> Result<String, ImportError> {
        let options = serde_saphyr::ser_options! { compact_list_indent: true, prefer_block_scalars: false };
        let mut text = String::new();
        serde_saphyr::to_fmt_writer_with_options(&mut text, &self.pack, options)
            .map_err(|error| ImportError::Pack(error.to_string()))?;
        Ok(text)
    }
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The files contain nothing of a known kind.
    #[error("{0} holds nothing that can be imported; the kinds are {kinds}", kinds = words())]
    Unknown(String),
    /// Objects of several kinds.
    #[error("{first} and {second} are imported one at a time: each is a pack of its own")]
    Mixed {
        /// One of them.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// Objects over different subjects.
    #[error("{0}: a pack has one subject, so import them one at a time")]
    Subjects(String),
    /// A pack can express none of it.
    #[error("nothing of it can be said by a pack: {0}")]
    Nothing(String),
    /// The result is not a valid pack.
    #[error("what was imported is not a pack: {0}")]
    Pack(String),
}

fn words() -> String {
    Kind::ALL.map(Kind::word).join(", ")
}

/// Makes a pack of this name from files of one kind. `kind`: `None` if the files show it themselves.
///
/// # Errors
/// See [`ImportError`].
pub fn import(kind: Option<Kind>, name: &str, sources: &[Source]) -> Result<Imported, ImportError> {
    let mut losses = Losses::default();
    let (kind, objects) = objects::sorted(kind, sources, &mut losses)?;
    let spec = spec(kind, &objects, &mut losses)?;
    let description = format!("Imported from {} by `bailiwick import`.", kind.word());
    let mut all = json!({"pack": name, "version": "0.1.0", "description": description});
    if let (Some(all), Value::Object(spec)) = (all.as_object_mut(), spec) {
        all.extend(spec);
    }
    let mut pack = json!({
        "apiVersion": bailiwick_crds::API_VERSION, "kind": "PolicyPack",
        "metadata": {"name": format!("{name}-0.1.0")}, "spec": all,
    });
    prune::until_it_compiles(&mut pack, &objects, &mut losses)?;
    let pack = serde_json::from_value(pack).map_err(|error| ImportError::Pack(error.to_string()))?;
    Ok(Imported { kind, pack, losses: losses.all })
}

fn spec(kind: Kind, objects: &[Object<'_>], losses: &mut Losses) -> Result<Value, ImportError> {
    match kind {
        Kind::AdmissionPolicy => Ok(admission::of_kubernetes(objects, losses)),
        Kind::Kyverno => Ok(admission::of_kyverno(objects, losses)),
        Kind::PodSecurity => pod_security::spec(objects, losses),
        Kind::NetworkPolicy => network::spec(objects, losses),
        Kind::Seccomp => seccomp::spec(objects, losses),
        Kind::ClaudeSettings => Ok(claude::spec(objects, losses)),
    }
}

/// Fuzz entry: reads any bytes as a file of other tools' policies, or rejects it. The result is not compiled,
/// which the fuzz entry of packs does. Must not panic, hang or exceed its limits.
pub fn fuzz(data: &[u8]) {
    let (maps, _) = SourceMap::read("fuzz.yaml", data, &Limits::PACK);
    let documents = maps.iter().map(|map| map.root().to_json()).collect();
    let sources = [Source { name: "fuzz.yaml".to_owned(), documents }];
    for kind in Kind::ALL.map(Some).into_iter().chain([None]) {
        let mut losses = Losses::default();
        if let Ok((kind, objects)) = objects::sorted(kind, &sources, &mut losses) {
            let _ = spec(kind, &objects, &mut losses);
        }
    }
}

/// An object with these members, except null ones.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let there = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(there.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_names_the_kinds_that_give_no_subjects() {
        let guide = include_str!("../../../docs/guide/import.md").replace('\n', " ");
        let (before, _) = guide.split_once(" do not say it, and a pack without `subjects`").expect("there");
        let named = before.rsplit(". ").next().unwrap_or_default();
        let kubernetes = "admissionregistration.k8s.io/v1";
        let policy = json!({"apiVersion": kubernetes, "kind": "ValidatingAdmissionPolicy"});
        let kyverno = json!({"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy"});
        for (kind, source, words) in [
            (Kind::AdmissionPolicy, policy, "Admission policies"),
            (Kind::Kyverno, kyverno, "Kyverno's policies"),
            (Kind::Seccomp, json!({"defaultAction": "SCMP_ACT_ERRNO"}), "seccomp profiles"),
            (Kind::ClaudeSettings, json!({"permissions": {}}), "agent settings"),
        ] {
            let sources = [Source { name: "a.yaml".to_owned(), documents: vec![source] }];
            let mut losses = Losses::default();
            let (_, objects) = objects::sorted(Some(kind), &sources, &mut losses).expect("objects");
            let spec = spec(kind, &objects, &mut losses).expect("a spec");
            assert_eq!(spec.get("subjects"), None, "{kind:?}");
            assert!(named.contains(words), "{words} not in {named}");
        }
    }
}
