//! Objects in the form in which the operator compares them: wanted and live.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::DynamicObject;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::kind::{Kind, Share};
use crate::limits::FIELD_MANAGER;

/// Label of everything that an operator wrote. Its value is the operator's namespace, so that two
/// installations leave each other's objects alone.
pub const OWNER_LABEL: &str = "bailiwick.dev/operator";

/// Annotation with the hash of what was applied. It shows that a label of another owner's object is no longer
/// wanted, and whether a difference that an operator finds when it starts is an older manifest or drift.
const APPLIED: &str = "bailiwick.dev/applied";

/// Identifies an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind; first, so that keys sort in the order of writing.
    pub kind: Kind,
    /// Its namespace; `None` where the kind has none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(out, "{} {namespace}/{}", self.kind.name(), self.name),
            None => write!(out, "{} {}", self.kind.name(), self.name),
        }
    }
}

/// What another client did to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drift {
    /// Removed an object.
    Deleted,
    /// Changed an object.
    Edited,
}

/// An object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its key.
    pub key: Key,
    /// The whole manifest, as applied.
    pub manifest: Value,
    /// Hash of the manifest; an equal one is applied once.
    pub hash: String,
}

/// An object in the cluster, without the fields that matter only to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its key.
    pub key: Key,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`; versions of one resource grow with time (KEP-5504).
    pub version: u64,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether it is being deleted.
    pub ending: bool,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// For a namespace: the labels that another manager applied, even if others did so too.
    pub theirs: BTreeSet<String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.creationTimestamp`, as written.
    pub created: String,
    /// Everything but `apiVersion`, `kind`, `metadata` and `status`.
    pub body: Map<String, Value>,
    /// `status`.
    pub status: Value,
}

/// A manifest that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Of a kind that the operator does not write.
    #[error("the operator does not write `{api_version}` `{kind}`")]
    Kind {
        /// As written in the manifest.
        api_version: String,
        /// As written in the manifest.
        kind: String,
    },
    /// Without a name, or without a namespace where one is required.
    #[error("a `{0}` without a name or a namespace")]
    Nameless(&'static str),
}

impl Wanted {
    /// Reads a manifest, and adds the operator's label. For kinds of which the operator owns only the labels,
    /// nothing else is kept.
    ///
    /// # Errors
    /// See [`ObjectError`].
    pub fn new(mut manifest: Value, owner: &str) -> Result<Self, ObjectError> {
        let text = |at: &str| manifest.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let written = |kind: &Kind| kind.share() != Share::Nothing;
        let kind =
            Kind::of(&api_version, &kind).filter(written).ok_or(ObjectError::Kind { api_version, kind })?;
        let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
        if name.is_empty() || kind.namespaced() == namespace.is_empty() {
            return Err(ObjectError::Nameless(kind.name()));
        }
        if let Some(metadata) = manifest.pointer_mut("/metadata").and_then(Value::as_object_mut)
            && let Some(labels) =
                metadata.entry("labels").or_insert_with(|| Value::Object(Map::new())).as_object_mut()
        {
            labels.insert(OWNER_LABEL.to_owned(), Value::String(owner.to_owned()));
        }
        if kind.share() == Share::Labels
            && let Some(object) = manifest.as_object_mut()
        {
            object.retain(|member, _| ["apiVersion", "kind", "metadata"].contains(&member.as_str()));
        }
        annotate(&mut manifest);
        let hash = digest(&manifest);
        let namespace = kind.namespaced().then_some(namespace);
        Ok(Self { key: Key { kind, namespace, name }, manifest, hash })
    }

    /// Whether the object was last applied from another manifest, by this operator or an earlier one.
    #[must_use]
    pub fn follows(&self, live: &Live) -> bool {
        let of_this = self.strings("/metadata/annotations").find(|(key, _)| *key == APPLIED);
        live.annotations
            .get(APPLIED)
            .is_some_and(|applied| Some(applied.as_str()) != of_this.map(|(_, hash)| hash))
    }

    fn strings(&self, at: &str) -> impl Iterator<Item = (&str, &str)> {
        let members = self.manifest.pointer(at).and_then(Value::as_object);
        members.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// Whether an object has this one's labels and annotations; it may have others too.
    #[must_use]
    pub fn marks(&self, live: &Live) -> bool {
        let has = |map: &BTreeMap<String, String>, (key, value): (&str, &str)| {
            map.get(key).map(String::as_str) == Some(value)
        };
        self.strings("/metadata/labels").all(|one| has(&live.labels, one))
            && self.strings("/metadata/annotations").all(|one| has(&live.annotations, one))
    }
}

impl Live {
    /// Reads an object from the API server.
    #[must_use]
    pub fn new(kind: Kind, object: DynamicObject) -> Self {
        let DynamicObject { metadata, data, .. } = object;
        let mut body = match data {
            Value::Object(body) => body,
            _ => Map::new(),
        };
        let status = body.remove("status").unwrap_or_default();
        let theirs = if kind.share() == Share::Labels {
            theirs(&metadata.managed_fields.unwrap_or_default())
        } else {
            BTreeSet::new()
        };
        Self {
            key: Key {
                kind,
                namespace: metadata.namespace.filter(|_| kind.namespaced()),
                name: metadata.name.unwrap_or_default(),
            },
            uid: metadata.uid.unwrap_or_default(),
            version: metadata.resource_version.and_then(|version| version.parse().ok()).unwrap_or(0),
            generation: metadata.generation.unwrap_or(0),
            ending: metadata.deletion_timestamp.is_some(),
            labels: metadata.labels.unwrap_or_default(),
            theirs,
            annotations: metadata.annotations.unwrap_or_default(),
            created: metadata.creation_timestamp.map(|time| time.0.to_string()).unwrap_or_default(),
            body,
            status,
        }
    }

    /// An object for tests, with only a name.
    #[cfg(test)]
    pub(crate) fn named(key: Key) -> Self {
        Self {
            key,
            uid: "u".to_owned(),
            version: 1,
            generation: 1,
            ending: false,
            labels: BTreeMap::new(),
            theirs: BTreeSet::new(),
            annotations: BTreeMap::new(),
            created: String::new(),
            body: Map::new(),
            status: Value::Null,
        }
    }

    /// Whether an operator of this namespace wrote it.
    #[must_use]
    pub fn owned_by(&self, owner: &str) -> bool {
        self.labels.get(OWNER_LABEL).map(String::as_str) == Some(owner)
    }

    /// `spec`, or nothing.
    #[must_use]
    pub fn spec(&self) -> &Value {
        self.body.get("spec").unwrap_or(&Value::Null)
    }
}

/// The labels that managers other than the operator own.
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>
fn theirs(fields: &[ManagedFieldsEntry]) -> BTreeSet<String> {
    let others = fields.iter().filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER));
    let labels =
        others.filter_map(|entry| entry.fields_v1.as_ref()?.0.pointer("/f:metadata/f:labels")?.as_object());
    labels
        .flat_map(|labels| labels.keys())
        .filter_map(|key| key.strip_prefix("f:").map(str::to_owned))
        .collect()
}

/// Adds [`APPLIED`], which does not count itself.
fn annotate(manifest: &mut Value) {
    if let Some(annotations) = manifest.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(APPLIED);
        if annotations.is_empty()
            && let Some(metadata) = manifest.pointer_mut("/metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("annotations");
        }
    }
    let applied = Value::String(digest(manifest).chars().take(16).collect());
    if let Some(metadata) = manifest.pointer_mut("/metadata").and_then(Value::as_object_mut)
        && let Some(annotations) =
            metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new())).as_object_mut()
    {
        annotations.insert(APPLIED.to_owned(), applied);
    }
}

/// SHA-256 (hex) of the JSON, whose members are sorted.
#[must_use]
pub fn digest(value: &Value) -> String {
    // A `serde_json::Value` always serialises: its keys are strings.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
