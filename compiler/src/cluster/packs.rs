//! The packs of a cluster as the compiler's library, each read from the JSON of its `PolicyPack` object.
//!
//! A published version is one object, the one that is named after its pack and version: the API server gives a name
//! once. So nobody who may make packs changes one that is in force by making another of its name and version, see
//! [`precedence`].

use std::collections::BTreeMap;

use semver::Version;
use serde_json::{Value as Json, json};

use crate::library::Library;
use crate::resolve::{Locking, digest};
use crate::source::{PackSources, SourceFile};

/// Annotation of a `PolicyPack` with the text of its `pack.lock`. Without it, the newest matching packs are
/// chosen.
pub const LOCK_ANNOTATION: &str = "bailiwick.dev/pack-lock";

/// The packs that the cluster holds.
#[derive(Clone, Debug, Default)]
pub struct ClusterPacks {
    packs: BTreeMap<String, BTreeMap<Version, Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    digest: String,
    /// Name of the object.
    object: String,
    /// A digest of everything that its compilation reads of it.
    content: String,
    sources: PackSources,
}

/// Why an object is not a pack that could be bound.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It does not name its pack.
    #[error("`spec.pack` or `spec.version` is missing or is not a text")]
    Nameless,
    /// Its version is invalid.
    #[error("`{version}` is not a semantic version: {error}")]
    Version {
        /// As written.
        version: String,
        /// Why.
        error: semver::Error,
    },
    /// Another object is this version, or it had other contents.
    #[error("`{name}` {version} is object `{first}`, and has other contents or another name than this")]
    Twice {
        /// The pack.
        name: String,
        /// Its version.
        version: Version,
        /// Name of the object that counts.
        first: String,
    },
}

/// The order in which the packs of a cluster must be added: first those that are named after their pack and version.
/// Others do not compile (BW0115), and must not take the place of one that does.
#[must_use]
pub fn precedence(object: &Json) -> (bool, String) {
    let text = |at: &str| object.pointer(at).and_then(Json::as_str).unwrap_or_default();
    let name = text("/metadata/name");
    (name != format!("{}-{}", text("/spec/pack"), text("/spec/version")), name.to_owned())
}

impl ClusterPacks {
    /// Adds the object of a pack, in the order of [`precedence`]; only the name, the lock's annotation and the spec
    /// matter. Returns the digest that its status and bindings name.
    ///
    /// # Errors
    /// An object that no binding could name; it is not added.
    pub fn add(&mut self, object: &Json) -> Result<String, PackError> {
        let spec = object.get("spec").cloned().unwrap_or_default();
        let text = |member: &str| spec.get(member).and_then(Json::as_str).map(str::to_owned);
        let (Some(name), Some(written)) = (text("pack"), text("version")) else {
            return Err(PackError::Nameless);
        };
        let version =
            Version::parse(&written).map_err(|error| PackError::Version { version: written, error })?;
        let digest = digest(&spec);
        let object_name = object.pointer("/metadata/name").cloned().unwrap_or_default();
        let document = json!({
            "apiVersion": bailiwick_crds::API_VERSION, "kind": "PolicyPack",
            "metadata": { "name": &object_name }, "spec": spec,
        });
        // JSON is YAML, and the compiler's own reader keeps what the API server keeps.
        let mut sources = PackSources::single(document.to_string());
        let annotations = object.pointer("/metadata/annotations");
        let lock = annotations.and_then(|all| all.get(LOCK_ANNOTATION)).and_then(Json::as_str);
        sources.lock = lock.map(|text| SourceFile::new("pack.lock", text));
        let versions = self.packs.entry(name.clone()).or_default();
        let is_another = |held: &&Held| Some(held.object.as_str()) != object_name.as_str();
        let is_misnamed = precedence(object).0;
        // Whatever is there, what is named after the version is the version.
        if let Some(held) = versions.get(&version).filter(|held| is_misnamed || !is_another(held)) {
            let is_same = held.digest == digest && held.sources.lock == sources.lock;
            if is_same && !is_another(&held) {
                return Ok(digest);
            }
            return Err(PackError::Twice { name, version, first: held.object.clone() });
        }
        let content = crate::resolve::digest(&json!([digest, object_name, lock]));
        let object = object_name.as_str().unwrap_or_default().to_owned();
        versions.insert(version, Held { digest: digest.clone(), object, content, sources });
        Ok(digest)
    }

    /// Whether another object than this one is its version.
    #[must_use]
    pub fn is_another(&self, object: &Json) -> bool {
        // What is named after the version is the version, also while one that is not is still held as it.
        if !precedence(object).0 {
            return false;
        }
        let text = |at: &str| object.pointer(at).and_then(Json::as_str).unwrap_or_default();
        let versions = self.packs.get(text("/spec/pack"));
        let held = Version::parse(text("/spec/version")).ok().and_then(|version| versions?.get(&version));
        held.is_some_and(|held| held.object != text("/metadata/name"))
    }

    /// The version with a digest.
    pub(super) fn with_digest(&self, name: &str, digest: &str) -> Option<&Version> {
        let versions = self.packs.get(name)?;
        versions.iter().find(|(_, held)| held.digest == digest).map(|(version, _)| version)
    }

    /// The digest of a version.
    pub(super) fn digest(&self, name: &str, version: &Version) -> Option<&str> {
        self.packs.get(name)?.get(version).map(|held| held.digest.as_str())
    }

    /// Whether there is a pack of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.packs.contains_key(name)
    }
    /// Equal for equal contents of a version, including its lock.
    pub(super) fn content(&self, name: &str, version: &Version) -> Option<&str> {
        self.packs.get(name)?.get(version).map(|held| held.content.as_str())
    }
}

/// A lock is enforced if there is one.
pub(super) const fn locking(sources: &PackSources) -> Locking {
    if sources.lock.is_some() { Locking::Enforce } else { Locking::Ignore }
}

impl Library for ClusterPacks {
    fn versions(&self, name: &str) -> Vec<Version> {
        self.packs.get(name).into_iter().flatten().map(|(version, _)| version.clone()).collect()
    }

    fn sources(&self, name: &str, version: &Version) -> Option<PackSources> {
        self.packs.get(name)?.get(version).map(|held| held.sources.clone())
    }

    fn names(&self) -> Vec<String> {
        self.packs.keys().cloned().collect()
    }

    fn knows(&self, name: &str) -> bool {
        self.packs.contains_key(name)
    }
}
