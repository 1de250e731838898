//! The source of the packs that a pack extends. The caller reads folders or registries; the compiler only
//! asks.

use std::collections::BTreeMap;

use semver::{Version, VersionReq};

use crate::source::PackSources;

/// Packs by name and version.
pub trait Library {
    /// The existing versions of a pack, in any order; empty for an unknown pack.
    fn versions(&self, name: &str) -> Vec<Version>;

    /// The files of one version.
    fn sources(&self, name: &str, version: &Version) -> Option<PackSources>;

    /// Names of all packs, to suggest one for a misspelt name.
    fn names(&self) -> Vec<String>;

    /// Whether any version of a pack exists.
    fn knows(&self, name: &str) -> bool {
        !self.versions(name).is_empty()
    }

    /// Whether a version exists.
    fn holds(&self, name: &str, version: &Version) -> bool {
        self.versions(name).contains(version)
    }

    /// The newest version that matches a requirement.
    fn newest(&self, name: &str, requirement: &VersionReq) -> Option<Version> {
        self.versions(name).into_iter().filter(|version| requirement.matches(version)).max()
    }
}

/// A library in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryLibrary {
    packs: BTreeMap<String, BTreeMap<Version, PackSources>>,
}

impl MemoryLibrary {
    /// Adds a pack under the name and version that its text states; replaces and returns an earlier one.
    /// Sources that state neither are not added.
    pub fn add(&mut self, sources: PackSources) -> Option<PackSources> {
        let (name, version) = crate::fragments::identity(&sources)?;
        self.put(name, version, sources)
    }

    /// As `add`, with the name and version known: they must be those that [`crate::fragments::identity`]
    /// finds.
    pub fn put(&mut self, name: String, version: Version, sources: PackSources) -> Option<PackSources> {
        self.packs.entry(name).or_default().insert(version, sources)
    }
}

impl Library for MemoryLibrary {
    fn versions(&self, name: &str) -> Vec<Version> {
        self.packs.get(name).into_iter().flatten().map(|(version, _)| version.clone()).collect()
    }

    fn sources(&self, name: &str, version: &Version) -> Option<PackSources> {
        self.packs.get(name)?.get(version).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.packs.keys().cloned().collect()
    }
}
