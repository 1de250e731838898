//! Puts changed files in force while requests run.
//!
//! It checks the files four times a second, and at once on SIGHUP. It compares not their content but what the
//! kernel says about each file after following symbolic links (device, inode, size, times). A ConfigMap's
//! swapped link leads to another inode, and a rewritten file has another change time, which cannot be set
//! back. Files are read only when they did not change between two checks, so that a file that is still being
//! written is not taken for a broken one.
//!
//! Files that could not be read are tried again after some checks, since a fault may end without a change to
//! them (a disk, a full table of open files). Files that were read and are invalid are refused until they
//! change.
//!
//! A refusal is reported in the log, a metric and a line of `/readyz`; what was in force stays.

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

/// A change takes effect after two checks, so at most half a second passes before it is read.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Checks between two attempts to read what could not be read: five seconds, since each failure is a line in
/// the log.
const LOOKS_BEFORE_RETRY: u32 = 20;

/// Where everything is read from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// Bundles and namespaces; `None`: they come from the cluster.
    pub(crate) policies: Option<(PathBuf, PathBuf)>,
    /// Certificate and key; `None` if they were made at start.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
}

/// What the kernel says about a set of files: path, device, inode, size, modification and change time.
type Fingerprint = Vec<(PathBuf, Option<[i128; 5]>)>;

/// One set of files that are loaded together.
struct Watched {
    part: Part,
    /// Of the files that are in force, or that were refused.
    settled: Fingerprint,
    /// Of the last check.
    seen: Fingerprint,
    /// Checks until the files are tried again, after they could not be read.
    retry_in: Option<u32>,
}

/// The result of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loading {
    /// In force, or refused until the files change.
    Settled,
    /// It could not be read.
    Unread,
}

impl Watched {
    fn new(part: Part, settled: Fingerprint) -> Self {
        Self { part, seen: settled.clone(), settled, retry_in: None }
    }

    /// Whether to load, given what a check found.
    fn is_due(&mut self, now: &Fingerprint) -> bool {
        let changed = *now != self.settled && *now == self.seen;
        self.seen.clone_from(now);
        self.retry_in = self.retry_in.map(|looks| looks.saturating_sub(1));
        changed || self.retry_in == Some(0)
    }

    /// Records the result of loading what a check had found.
    fn loaded(&mut self, now: Fingerprint, outcome: Loading) {
        self.settled = now;
        self.retry_in = (outcome == Loading::Unread).then_some(LOOKS_BEFORE_RETRY);
    }
}

/// The state of the files when they were first loaded, taken before they are read, so that no change is
/// missed.
pub(crate) struct Baseline {
    policies: Fingerprint,
    certificate: Fingerprint,
}

impl Baseline {
    /// Records the state of the files.
    pub(crate) fn of(sources: &Sources) -> Self {
        Self {
            policies: fingerprint(sources, Part::Policies),
            certificate: fingerprint(sources, Part::Certificate),
        }
    }
}

/// Watches until the task is dropped. `hangup` is SIGHUP, handled from before the server says that it
/// listens: unhandled, it would end the process.
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
                // Outside the threads that serve: a large bundle takes longer to load than a review may wait.
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

/// Loads one part and puts it in force, or reports why not.
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

/// Why files were not put in force.
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

/// Whether subfolders are listed too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Yes,
    No,
}

/// Every file that could be a bundle. A folder that cannot be read is an entry of its own, with nothing below
/// it.
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
