//! Takes changed files into force while requests run.
//!
//! Looks at the files twice a second, and at once on SIGHUP. What is compared is not the content but what the kernel says about each
//! file after following symbolic links (device, inode, size, times): a ConfigMap's swapped link gives another inode, a rewritten file another
//! change time, and nobody can set that one back. Files are read only when they have stayed as they are between two looks, so that a file
//! which is being written is not taken for a broken one.
//!
//! What could not be read is tried again after some looks, for the files may be as they are while the fault is gone (a disk, a full table of
//! open files). What was read and cannot be taken into force is refused until it changes.
//!
//! What cannot be taken into force is refused loudly: a line in the log, a metric, a line of `/readyz`; what was in force stays.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tracing::{error, info};

use crate::metrics::ReloadLabel;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::state::{Part, State};
use crate::tls::{self, TlsError};

/// Two looks make a change effective, so half a second at most lies between a change and its reading.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks between two attempts to read what could not be read: five seconds, for each failure is a line in the log.
const LOOKS_BEFORE_RETRY: u32 = 20;

/// Where everything is read from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// Bundles and namespaces; `None`: they come from the cluster.
    pub(crate) policies: Option<(PathBuf, PathBuf)>,
    /// Certificate and key; `None` when they were made at start.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
}

/// What the kernel says about a set of files: path, device, inode, size, modification and change time.
type Fingerprint = Vec<(PathBuf, Option<[i128; 5]>)>;

/// One set of files that is loaded together.
struct Watched {
    part: Part,
    /// As of what is in force, or was refused.
    settled: Fingerprint,
    /// As of the last look.
    seen: Fingerprint,
    /// Looks until it is tried again, after it could not be read.
    retry_in: Option<u32>,
}

/// What came of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loading {
    /// It is in force, or will be refused as long as it stays as it is.
    Settled,
    /// It could not be read.
    Unread,
}

impl Watched {
    fn new(part: Part, settled: Fingerprint) -> Self {
        Self { part, seen: settled.clone(), settled, retry_in: None }
    }

    /// Whether to load, after a look that found this.
    fn is_due(&mut self, now: &Fingerprint) -> bool {
        let changed = *now != self.settled && *now == self.seen;
        self.seen.clone_from(now);
        self.retry_in = self.retry_in.map(|looks| looks.saturating_sub(1));
        changed || self.retry_in == Some(0)
    }

    /// Remembers what came of loading what a look had found.
    fn loaded(&mut self, now: Fingerprint, outcome: Loading) {
        self.settled = now;
        self.retry_in = (outcome == Loading::Unread).then_some(LOOKS_BEFORE_RETRY);
    }
}

/// What was there when the files were first loaded; taken before they are read, so that no change falls between.
pub(crate) struct Baseline {
    policies: Fingerprint,
    certificate: Fingerprint,
}

impl Baseline {
    /// Looks at the files.
    pub(crate) fn of(sources: &Sources) -> Self {
        Self {
            policies: fingerprint(sources, Part::Policies),
            certificate: fingerprint(sources, Part::Certificate),
        }
    }
}

/// Watches until the task is dropped. `hangup` is SIGHUP, handled since before the server said that it listens: unhandled, it would end
/// the process.
pub(crate) async fn watch(state: Arc<State>, sources: Sources, baseline: Baseline, mut hangup: Signal) {
    let sources = Arc::new(sources);
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut all = [
        Watched::new(Part::Policies, baseline.policies),
        Watched::new(Part::Certificate, baseline.certificate),
    ];
    loop {
        let asked = tokio::select! {
            _ = look.tick() => false,
            got = hangup.recv() => got.is_some(),
        };
        for watched in &mut all {
            let now = fingerprint(&sources, watched.part);
            let due = watched.is_due(&now);
            let from_files = watched.part == Part::Certificate || sources.policies.is_some();
            if from_files && (asked || due) {
                let (state, sources, part) = (Arc::clone(&state), Arc::clone(&sources), watched.part);
                // Off the threads that serve: a large bundle takes longer to load than a review may wait.
                let loading = tokio::task::spawn_blocking(move || reload(&state, &sources, part)).await;
                let outcome = loading.unwrap_or_else(|panicked| {
                    error!(%panicked, "loading changed files failed; what was in force stays");
                    Loading::Settled
                });
                watched.loaded(now, outcome);
            }
        }
    }
}

/// Loads one part and puts it into force, or says why not.
fn reload(state: &State, sources: &Sources, part: Part) -> Loading {
    let (label, result) = match part {
        Part::Policies => (ReloadLabel::policies, reload_policies(state, sources)),
        Part::Certificate => (ReloadLabel::certificate, reload_certificate(state, sources)),
    };
    match result {
        Ok(()) => {
            state.metrics.reloaded(label);
            state.set_refused_reload(part, None);
            Loading::Settled
        }
        Err(Refused { reason, outcome }) => {
            error!(?part, ?reason, "changed files refused; what was in force stays");
            state.metrics.reload_failed(label);
            state.set_refused_reload(part, Some(reason));
            outcome
        }
    }
}

/// Why files were not taken into force.
struct Refused {
    reason: String,
    outcome: Loading,
}

impl From<SnapshotError> for Refused {
    fn from(error: SnapshotError) -> Self {
        let unread = matches!(error, SnapshotError::Read { .. });
        Self { reason: error.to_string(), outcome: if unread { Loading::Unread } else { Loading::Settled } }
    }
}

impl From<TlsError> for Refused {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Read(error) => error.into(),
            error => Self { reason: error.to_string(), outcome: Loading::Settled },
        }
    }
}

fn reload_policies(state: &State, sources: &Sources) -> Result<(), Refused> {
    let Some((bundles, namespaces)) = &sources.policies else { return Ok(()) };
    let snapshot = Snapshot::load(bundles, namespaces)?;
    for bundle in &snapshot.bundles {
        info!(file = ?bundle.file, digest = bundle.digest, cell = bundle.cell, "bundle in force");
    }
    state.metrics.set_bundles(&snapshot.bundles);
    state.snapshot.store(Arc::new(snapshot));
    Ok(())
}

fn reload_certificate(state: &State, sources: &Sources) -> Result<(), Refused> {
    let Some((cert, key)) = &sources.certificate else { return Ok(()) };
    let config = tls::from_files(cert, key)?;
    state.tls.store(Arc::new(config));
    info!("certificate in force for new connections");
    Ok(())
}

fn fingerprint(sources: &Sources, part: Part) -> Fingerprint {
    let mut paths = match part {
        Part::Certificate => match &sources.certificate {
            Some((cert, key)) => vec![cert.clone(), key.clone()],
            None => Vec::new(),
        },
        Part::Policies => {
            let mut paths = Vec::new();
            if let Some((bundles, namespaces)) = &sources.policies {
                paths.push(namespaces.clone());
                list_json(bundles, &mut paths, Below::Yes);
            }
            paths
        }
    };
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let facts = facts(&path);
            (path, facts)
        })
        .collect()
}

/// Whether folders of a folder are listed too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Yes,
    No,
}

/// Every file that could be a bundle; a folder that cannot be read is its own entry without facts below it.
fn list_json(folder: &Path, into: &mut Vec<PathBuf>, below: Below) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.file_name().and_then(OsStr::to_str).is_none_or(|name| name.starts_with('.')) {
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "json") {
            into.push(path);
        } else if below == Below::Yes && path.is_dir() {
            list_json(&path, into, Below::No);
        }
    }
}

fn facts(path: &Path) -> Option<[i128; 5]> {
    const NANOS: i128 = 1_000_000_000;
    let meta = fs::metadata(path).ok()?;
    let time = |seconds: i64, nanos: i64| i128::from(seconds) * NANOS + i128::from(nanos);
    Some([
        meta.dev().into(),
        meta.ino().into(),
        meta.size().into(),
        time(meta.mtime(), meta.mtime_nsec()),
        time(meta.ctime(), meta.ctime_nsec()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(size: i128) -> Fingerprint {
        vec![(PathBuf::from("bundle.json"), Some([0, 0, size, 0, 0]))]
    }

    #[test]
    fn what_could_not_be_read_is_tried_again_though_nothing_changed() {
        let mut watched = Watched::new(Part::Policies, found(1));
        assert!(!watched.is_due(&found(2)), "it may still be written");
        assert!(watched.is_due(&found(2)));
        watched.loaded(found(2), Loading::Unread);
        let looks = (1..=100).find(|_| watched.is_due(&found(2)));
        assert_eq!(looks, Some(LOOKS_BEFORE_RETRY));
        watched.loaded(found(2), Loading::Settled);
        assert!((0..100).all(|_| !watched.is_due(&found(2))), "what is settled is not loaded again");
    }

    #[test]
    fn only_what_could_not_be_read_is_worth_another_attempt() {
        let read = |path: &Path| Refused::from(Snapshot::load(path, path).err().unwrap()).outcome;
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&folder.path().join("missing")), Loading::Unread);
        assert_eq!(read(folder.path()), Loading::Settled, "no bundle");
        fs::write(folder.path().join("bundle.json"), "{}").unwrap();
        assert_eq!(read(folder.path()), Loading::Settled, "no good bundle");
    }
}
