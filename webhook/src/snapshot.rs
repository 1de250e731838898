//! The snapshot: the bundles and namespaces in force, checked and prepared as a whole. Read here from files,
//! and in [`crate::cluster`] from the cluster.
//!
//! In the bundles' folder every `*.json` is a bundle, except `artifacts.json` and `report.json`, which
//! `bailiwick compile` writes next to it. A bundle that the `artifacts.json` next to it lists must be
//! identical to the listed one, to the byte. One folder down, where each ConfigMap of a projected volume has
//! its own folder, only files named `bundle.json` or `*.bundle.json` are bundles. Names that begin with a dot
//! are skipped: a ConfigMap's symbolic links point into those versions.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bailiwick_compiler::namespaces::{self, NamespacesError};
use bailiwick_compiler::rego::Regorus;
use bailiwick_policy::admission::{LoadError, Namespaces, Reviewer, Stage};
use bailiwick_policy::bundle::BundleError;
use bailiwick_policy::bundle::artifacts;

use crate::limits::{SLOW_FOR, SLOW_REVIEW};

/// Files that the compiler writes next to a bundle and that are not bundles themselves.
const NOT_BUNDLES: [&str; 2] = [artifacts::FILE, "report.json"];

/// A bundle is stored in a ConfigMap, which is limited to 1 MiB. A directory may hold one that was compiled
/// for files only, so this is four times as much.
const MAX_BUNDLE_BYTES: u64 = 4 << 20;

/// A cluster of 10,000 namespaces, as kubectl prints them.
const MAX_NAMESPACES_BYTES: u64 = 32 << 20;

/// More bundles than any cluster has subjects; a guard against the wrong folder.
const MAX_BUNDLES: usize = 1024;

/// The policies and namespaces in force.
pub(crate) struct Snapshot {
    pub(crate) reviewer: Reviewer,
    /// Sorted by file.
    pub(crate) bundles: Vec<Loaded>,
    loaded: Instant,
    /// When a review was last slow, in milliseconds since `loaded`; 0: never. See
    /// [`crate::limits::SLOW_REVIEW`].
    slow_ms: AtomicU64,
}

/// A bundle in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// Path below the bundles' folder, or the binding's name.
    pub(crate) file: String,
    /// SHA-256 of its bytes, hex.
    pub(crate) digest: String,
    /// The cell of its packs.
    pub(crate) cell: String,
    /// How strictly it is enforced, which is no part of the bundle.
    pub(crate) stage: Stage,
}

/// Why files cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("cannot read `{path}`: {source}")]
    Read { path: String, source: io::Error },
    #[error("`{0}` is not a regular file")]
    NoFile(String),
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge { path: String, limit: u64 },
    #[error("no bundle in `{0}`; `bailiwick compile` writes one as `bundle.json`")]
    NoBundles(String),
    #[error("more than {MAX_BUNDLES} bundles in `{0}`")]
    TooManyBundles(String),
    #[error("`{path}` is not a bundle that can be enforced: {source}")]
    Bundle { path: String, source: BundleError },
    #[error("the bundles cannot be enforced together: {0}")]
    Together(#[from] LoadError),
    #[error("`{path}`: {source}")]
    Namespaces { path: String, source: NamespacesError },
}

impl Snapshot {
    /// Reads and checks everything, without putting it in force.
    pub(crate) fn load(bundles: &Path, namespaces: &Path) -> Result<Self, SnapshotError> {
        let mut loaded = Vec::new();
        let mut all = Vec::new();
        for path in bundle_files(bundles)? {
            let bytes = read_limited(&path, MAX_BUNDLE_BYTES)?;
            let listed = read_listed(&path)?;
            let one = artifacts::load_listed(&bytes, name_of(&path), listed.as_deref())
                .map_err(|source| SnapshotError::Bundle { path: shown(&path), source })?;
            let file = path.strip_prefix(bundles).unwrap_or(&path);
            loaded.push(Loaded {
                file: shown(file),
                digest: one.digest.clone(),
                cell: one.policy.cell.clone(),
                stage: Stage::Enforce,
            });
            all.push(one);
        }
        let namespaces = load_namespaces(namespaces)?;
        Ok(Self::of(Reviewer::with_rego(all, namespaces, &Regorus)?, loaded))
    }

    /// A snapshot of what was prepared elsewhere.
    pub(crate) fn of(reviewer: Reviewer, bundles: Vec<Loaded>) -> Self {
        Self { reviewer, bundles, loaded: Instant::now(), slow_ms: AtomicU64::new(0) }
    }

    fn age_ms(&self) -> u64 {
        // Never 0, which means "never slow".
        u64::try_from(self.loaded.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Whether reviews should be judged outside the threads that serve connections: one was slow a moment
    /// ago.
    pub(crate) fn is_slow(&self) -> bool {
        let slow = self.slow_ms.load(Relaxed);
        slow != 0 && u128::from(self.age_ms() - slow.min(self.age_ms())) < SLOW_FOR.as_millis()
    }

    /// Records how long a review took.
    pub(crate) fn took(&self, time: Duration) {
        if time > SLOW_REVIEW {
            self.slow_ms.store(self.age_ms(), Relaxed);
        }
    }
}

/// The `artifacts.json` next to a bundle, if there is one.
fn read_listed(bundle: &Path) -> Result<Option<Vec<u8>>, SnapshotError> {
    let path = bundle.with_file_name(artifacts::FILE);
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    read_limited(&path, artifacts::MAX_BYTES).map(Some)
}

fn load_namespaces(path: &Path) -> Result<Namespaces, SnapshotError> {
    let bytes = read_limited(path, MAX_NAMESPACES_BYTES)?;
    let wrong = |source| SnapshotError::Namespaces { path: shown(path), source };
    let text = str::from_utf8(&bytes).map_err(|_| wrong(NamespacesError::NotUtf8))?;
    namespaces::read(text).map_err(wrong)
}

/// The bundles of a folder, sorted by path.
pub(crate) fn bundle_files(folder: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        let name = name_of(&path);
        if path.is_dir() {
            let inner = entries(&path)?;
            files.extend(inner.into_iter().filter(|path| {
                let name = name_of(path);
                name == "bundle.json" || name.ends_with(".bundle.json")
            }));
        } else if name.ends_with(".json") && !NOT_BUNDLES.contains(&name) {
            files.push(path);
        }
    }
    files.sort();
    match files.len() {
        0 => Err(SnapshotError::NoBundles(shown(folder))),
        n if n > MAX_BUNDLES => Err(SnapshotError::TooManyBundles(shown(folder))),
        _ => Ok(files),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let wrong = |source| SnapshotError::Read { path: shown(folder), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if !name_of(&path).starts_with('.') {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Reads a file, but at most one byte more than the limit: a growing file must not fill the memory. Anything
/// but a regular file is refused: reading a pipe would wait, and block the loading of everything else.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, SnapshotError> {
    let wrong = |source| SnapshotError::Read { path: shown(path), source };
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(wrong)?;
    if !file.metadata().map_err(wrong)?.is_file() {
        return Err(SnapshotError::NoFile(shown(path)));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > limit {
        return Err(SnapshotError::TooLarge { path: shown(path), limit });
    }
    Ok(bytes)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
