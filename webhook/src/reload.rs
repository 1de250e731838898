//! Takes changed files into force while requests run.
//!
//! Looks at the files twice a second, and at once on SIGHUP. What is compared is not the content but what the kernel says about each
//! file after following symbolic links (device, inode, size, times): a ConfigMap's swapped link gives another inode, a rewritten file another
//! change time, and nobody can set that one back. Files are read only when they have stayed as they are between two looks, so that a file
//! which is being written is not taken for a broken one.
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
use crate::snapshot::Snapshot;
use crate::state::{Part, State};
use crate::tls;

/// Two looks make a change effective, so half a second at most lies between a change and its reading.
const LOOK_EVERY: Duration = Duration::from_millis(250);

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
    let new = |part, settled: Fingerprint| Watched { part, seen: settled.clone(), settled };
    let mut all = [new(Part::Policies, baseline.policies), new(Part::Certificate, baseline.certificate)];
    loop {
        let asked = tokio::select! {
            _ = look.tick() => false,
            got = hangup.recv() => got.is_some(),
        };
        for watched in &mut all {
            let now = fingerprint(&sources, watched.part);
            let changed = now != watched.settled && now == watched.seen;
            watched.seen.clone_from(&now);
            let from_files = watched.part == Part::Certificate || sources.policies.is_some();
            if from_files && (asked || changed) {
                watched.settled = now;
                let (state, sources, part) = (Arc::clone(&state), Arc::clone(&sources), watched.part);
                // Off the threads that serve: a large bundle takes longer to load than a review may wait.
                if let Err(panicked) =
                    tokio::task::spawn_blocking(move || reload(&state, &sources, part)).await
                {
                    error!(%panicked, "loading changed files failed; what was in force stays");
                }
            }
        }
    }
}

/// Loads one part and puts it into force, or says why not.
fn reload(state: &State, sources: &Sources, part: Part) {
    let (label, result) = match part {
        Part::Policies => (ReloadLabel::policies, reload_policies(state, sources)),
        Part::Certificate => (ReloadLabel::certificate, reload_certificate(state, sources)),
    };
    match result {
        Ok(()) => {
            state.metrics.reloaded(label);
            state.set_refused_reload(part, None);
        }
        Err(reason) => {
            error!(?part, ?reason, "changed files refused; what was in force stays");
            state.metrics.reload_failed(label);
            state.set_refused_reload(part, Some(reason));
        }
    }
}

fn reload_policies(state: &State, sources: &Sources) -> Result<(), String> {
    let Some((bundles, namespaces)) = &sources.policies else { return Ok(()) };
    let snapshot = Snapshot::load(bundles, namespaces).map_err(|error| error.to_string())?;
    for bundle in &snapshot.bundles {
        info!(file = ?bundle.file, digest = bundle.digest, cell = bundle.cell, "bundle in force");
    }
    state.metrics.set_bundles(&snapshot.bundles);
    state.snapshot.store(Arc::new(snapshot));
    Ok(())
}

fn reload_certificate(state: &State, sources: &Sources) -> Result<(), String> {
    let Some((cert, key)) = &sources.certificate else { return Ok(()) };
    let config = tls::from_files(cert, key).map_err(|error| error.to_string())?;
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
