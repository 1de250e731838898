//! `bailiwick test --watch`: runs the tests again whenever a file of the packs changes, until it is stopped.
//!
//! Polls files instead of subscribing to events: a pack is some dozens of small files, and polling works on
//! every file system.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::once;
use super::suite::folder;
use crate::args::TestOptions;
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::note;
use crate::{files, render};

/// Polling interval: fast enough for a person.
const PAUSE: Duration = Duration::from_millis(200);

/// The time of the last change of each file, and its size.
type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

pub(super) fn run(options: &TestOptions) -> Result<Outcome> {
    loop {
        // Before the run: a change during the run counts.
        let before = look(options);
        // A half-written pack is not a reason to stop.
        if let Err(error) = once(options) {
            note!("{}: {}", render::error_word(), plain(&format!("{error:#}")));
        }
        note!("waiting for a change");
        while look(options) == before {
            std::thread::sleep(PAUSE);
        }
    }
}

/// What the run itself writes does not count as a change of the packs. Where its output is, the folder's time
/// says nothing, so only names show files that appear and disappear.
fn look(options: &TestOptions) -> Seen {
    let ours: Vec<PathBuf> =
        options.reports.each().filter_map(|(_, file)| file?.canonicalize().ok()).collect();
    // The tests of a pack that is one file are next to it.
    let tests = options.packs.packs.iter().filter(|pack| pack.is_file()).map(|pack| folder(pack));
    let schemas = options.packs.schemas.iter().cloned();
    let given = options.packs.packs.iter().chain(&options.packs.library).cloned();
    let folders = given.chain(schemas).chain(tests);
    let mut seen = Seen::new();
    for folder in folders {
        // A path that is gone, or is a single file, is checked itself.
        let below = files::list(&folder).unwrap_or_default();
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
