//! `bailiwick test --watch`: runs again whenever a file of the packs changes, until it is stopped.
//!
//! Files are looked at, not waited for: a pack is some dozens of small ones, and looking works on every file system.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::once;
use crate::args::TestOptions;
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::note;
use crate::{files, render};

/// How often the files are looked at: soon enough for a person.
const PAUSE: Duration = Duration::from_millis(200);

/// When each file was changed, and its size.
type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

pub(super) fn run(options: &TestOptions) -> Result<Outcome> {
    loop {
        // Before the run: a change during it is one.
        let before = look(options);
        // A pack that is half written is no reason to stop.
        if let Err(error) = once(options) {
            note!("{}: {}", render::error_word(), plain(&format!("{error:#}")));
        }
        note!("waiting for a change");
        while look(options) == before {
            std::thread::sleep(PAUSE);
        }
    }
}

/// What the run itself writes is no change of the packs, and where it lies its folder's time says nothing: names alone tell of files that come and go.
fn look(options: &TestOptions) -> Seen {
    let ours: Vec<PathBuf> =
        options.reports.each().filter_map(|(_, file)| file?.canonicalize().ok()).collect();
    let folders = options.packs.packs.iter().chain(&options.packs.library);
    let mut seen = Seen::new();
    for folder in folders {
        // One that has gone, or is a single file, is looked at itself.
        let below = files::list(folder).unwrap_or_default();
        for path in below.into_iter().map(|path| folder.join(path)).chain([folder.clone()]) {
            if let Ok(about) = std::fs::metadata(&path) {
                if about.is_file() && path.canonicalize().is_ok_and(|path| ours.contains(&path)) {
                    continue;
                }
                let state = if about.is_dir() { (None, 0) } else { (about.modified().ok(), about.len()) };
                seen.insert(path, state);
            }
        }
    }
    seen
}
