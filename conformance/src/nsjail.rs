//! What the real nsjail needs of a host on cgroup v1: groups under which it makes its own.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Where cgroups are mounted, and what all that make these groups lock: they are the machine's.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The groups that nsjail expects (`docs/nsjail.md`), for one process at a time, removed again.
#[derive(Debug)]
pub struct Groups {
    made: Vec<PathBuf>,
    _turn: File,
}

impl Groups {
    /// Waits for the turn and makes what is missing.
    ///
    /// # Errors
    /// When the host has no cgroups, or they cannot be locked.
    pub fn make() -> io::Result<Self> {
        let turn = File::open(CGROUPS)?;
        turn.lock()?;
        let parents = ["memory", "pids", "cpu"].map(|name| Path::new(CGROUPS).join(name));
        let groups = parents.into_iter().filter(|parent| parent.is_dir()).map(|parent| parent.join("NSJAIL"));
        Ok(Self { made: groups.filter(|group| std::fs::create_dir(group).is_ok()).collect(), _turn: turn })
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.made {
            // One that is not empty stays.
            let _ = std::fs::remove_dir(group);
        }
    }
}
