//! The folders next to packs as a library: the packs in them may be extended.
//!
//! Files are read immediately, so that what cannot be read is reported whether it is needed or not. Names and
//! versions require parsing and are looked up on demand: most packs extend nothing. A folder is read and
//! searched once, however many packs are in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use bailiwick_compiler::fragments;
use bailiwick_compiler::library::Library;
use bailiwick_compiler::source::PackSources;
use semver::Version;

use crate::files;

/// A folder of packs.
#[derive(Debug)]
struct Folder {
    packs: Vec<(PathBuf, PackSources)>,
    /// Indices into `packs`. If two have the same name and version, the later one wins.
    index: OnceLock<BTreeMap<String, BTreeMap<Version, usize>>>,
}

impl Folder {
    fn read(folder: &Path) -> Result<Self> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
        let mut paths = paths.with_context(|| format!("cannot list {}", folder.display()))?;
        // Which of two wins must not depend on a file system's order.
        paths.sort();
        paths.retain(|path| path.join("pack.yaml").is_file());
        let read = |path: PathBuf| files::read_pack(&path).map(|pack| (path, pack.sources));
        let packs = paths.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Self { packs, index: OnceLock::new() })
    }

    fn index(&self) -> &BTreeMap<String, BTreeMap<Version, usize>> {
        self.index.get_or_init(|| {
            let mut index: BTreeMap<String, BTreeMap<Version, usize>> = BTreeMap::new();
            for (at, (_, sources)) in self.packs.iter().enumerate() {
                if let Some((name, version)) = fragments::identity(sources) {
                    index.entry(name).or_default().insert(version, at);
                }
            }
            index
        })
    }

    fn get(&self, name: &str, version: &Version) -> Option<&(PathBuf, PackSources)> {
        self.packs.get(*self.index().get(name)?.get(version)?)
    }
}

/// The folders read so far, by path.
#[derive(Debug, Default)]
pub(crate) struct ReadFolders(BTreeMap<PathBuf, Arc<Folder>>);

impl ReadFolders {
    /// These folders as one library.
    pub(crate) fn library(&mut self, folders: Vec<PathBuf>) -> Result<LibraryFolders> {
        let mut all = Vec::with_capacity(folders.len());
        for path in folders {
            let folder = match self.0.get(&path) {
                Some(folder) => Arc::clone(folder),
                None => Arc::new(Folder::read(&path)?),
            };
            all.push(Arc::clone(&folder));
            self.0.insert(path, folder);
        }
        Ok(LibraryFolders(all))
    }
}

/// The library: if a pack is in several folders, the last one wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct LibraryFolders(Vec<Arc<Folder>>);

impl LibraryFolders {
    /// The folder of a pack, and its files.
    pub(crate) fn get(&self, name: &str, version: &Version) -> Option<&(PathBuf, PackSources)> {
        self.0.iter().rev().find_map(|folder| folder.get(name, version))
    }
}

impl Library for LibraryFolders {
    fn versions(&self, name: &str) -> Vec<Version> {
        let of_name = self.0.iter().filter_map(|folder| folder.index().get(name));
        let mut versions: Vec<Version> = of_name.flat_map(|all| all.keys().cloned()).collect();
        versions.sort();
        versions.dedup();
        versions
    }

    fn sources(&self, name: &str, version: &Version) -> Option<PackSources> {
        self.get(name, version).map(|(_, sources)| sources.clone())
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.0.iter().flat_map(|folder| folder.index().keys().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }
}
