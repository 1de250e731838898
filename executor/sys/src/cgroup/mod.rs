//! Cgroups: they limit a sandbox as a whole and report what it has used. Three layouts are supported: version
//! 1 with separate hierarchies, version 2 with all controllers in one, and the mix that some hosts have
//! (limits in v1, and a bare v2 tree that can still kill). There is one root, with one group for each
//! sandbox.
//!
//! ```text
//! <own group or a given one>/<root name>/       one for each executor, locked while it lives
//!     <sandbox>/                                one for each sandbox, removed with it
//! ```
//!
//! Placing differs: on v2 a process is cloned into its group (`CLONE_INTO_CGROUP`); on v1 it writes itself
//! there. Both happen while a sandbox is built, never while a request waits. On v1 the launcher clones the
//! holder while the directories for it to enter are being made; most of them are there from an earlier sandbox
//! (`places`).

mod files;
mod group;
mod meters;
mod mounts;
mod places;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::call::{Errno, file, process};
use crate::profile::CgroupLimits;
use crate::step::Fault;

use files::Directory;
pub(crate) use group::{Facts, Group};
pub use mounts::Found;
use places::Places;

/// Where launchers and keepers are. A process that clones into a group must be allowed to write the
/// `cgroup.procs` of that group and of its closest common ancestor with the process's own group (cgroups(7),
/// delegation containment), so a launcher has to be below the root as well.
const OUTPOSTS: &str = "outposts";

/// How long a group may stay busy after everything in it was killed: the kernel empties it when the last
/// process is reaped.
const EMPTY_DEADLINE: Duration = Duration::from_secs(5);

/// Pause between two attempts to remove a group that is still busy.
const EMPTY_PAUSE: Duration = Duration::from_millis(2);

/// Why there is no cgroup to work in.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No hierarchy in which this process can limit and write all of memory, processes and processor.
    #[error("no writable cgroup: {0}")]
    Unavailable(String),
    /// Another executor uses the root.
    #[error("the cgroup root `{0}` is in use by another process")]
    InUse(PathBuf),
    /// Access to a file of the root failed.
    #[error("`{path}`: {errno}")]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// The kernel's error.
        errno: Errno,
    },
}

/// The interface for limits, with the directories of a root or of a group in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout<D> {
    /// One directory for each controller. `unified` is a v2 tree without controllers: it is used for its
    /// `cgroup.kill`, for cloning into it, and for the processor time, which it also counts. Without it,
    /// cpuacct reports the processor time (`usage`); a machine with neither has no layout.
    V1 { memory: D, pids: D, cpu: D, usage: Option<D>, unified: Option<D> },
    /// One directory.
    V2 { group: D },
}

impl<D> Layout<D> {
    /// Every directory; controllers that are mounted together have the same one.
    fn directories(&self) -> Vec<&D> {
        match self {
            Self::V1 { memory, pids, cpu, usage, unified } => {
                [memory, pids, cpu].into_iter().chain(usage).chain(unified).collect()
            }
            Self::V2 { group } => vec![group],
        }
    }

    fn map<E>(&self, mut change: impl FnMut(&D) -> E) -> Layout<E> {
        match self.try_map(|directory| Ok::<_, std::convert::Infallible>(change(directory))) {
            Ok(changed) => changed,
        }
    }

    fn try_map<E, F>(&self, mut change: impl FnMut(&D) -> Result<E, F>) -> Result<Layout<E>, F> {
        Ok(match self {
            Self::V1 { memory, pids, cpu, usage, unified } => Layout::V1 {
                memory: change(memory)?,
                pids: change(pids)?,
                cpu: change(cpu)?,
                usage: usage.as_ref().map(&mut change).transpose()?,
                unified: unified.as_ref().map(&mut change).transpose()?,
            },
            Self::V2 { group } => Layout::V2 { group: change(group)? },
        })
    }

    /// The directory to which memory is charged.
    fn memory(&self) -> &D {
        match self {
            Self::V1 { memory, .. } => memory,
            Self::V2 { group } => group,
        }
    }

    /// The directory of the unified hierarchy, into which processes are cloned.
    fn unified(&self) -> Option<&D> {
        match self {
            Self::V1 { unified, .. } => unified.as_ref(),
            Self::V2 { group } => Some(group),
        }
    }
}

impl Layout<Directory> {
    /// Every directory once.
    fn distinct(&self) -> Vec<&Directory> {
        let mut all = self.directories();
        all.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        all.dedup_by(|one, other| one.path == other.path);
        all
    }

    /// Every directory once, except that of memory.
    fn besides_memory(&self) -> Vec<&Directory> {
        let memory = &self.memory().path;
        self.distinct().into_iter().filter(|directory| directory.path != *memory).collect()
    }

    /// Whether memory has a directory of its own, and the other controllers another one.
    fn has_place(&self) -> bool {
        let Self::V1 { memory, pids, cpu, usage, unified } = self else { return false };
        let mut others = [pids, cpu].into_iter().chain(usage).chain(unified);
        others.all(|other| other.path != memory.path)
    }

    /// The same place with the memory of another group.
    fn with_memory_of(mut self, fresh: Self) -> Self {
        if let (Self::V1 { memory, .. }, Self::V1 { memory: fresh, .. }) = (&mut self, fresh) {
            *memory = fresh;
        }
        self
    }
}

/// Which version of the interface a root has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CgroupVersion {
    /// Separate hierarchies.
    V1,
    /// One hierarchy.
    V2,
}

/// The group that contains the groups of all sandboxes of this executor.
#[derive(Debug)]
pub struct CgroupRoot {
    /// Held locked: another process that requests the same root is refused, and a root whose executor has
    /// died is free.
    layout: Layout<Directory>,
    next: AtomicU64,
    places: Places,
    /// The launcher's uid outside, which must be able to place holders and workers; `None` when it is this
    /// process's own.
    placer: Option<u32>,
}

impl CgroupRoot {
    /// Makes or takes over the root `name` below this process's own groups, and removes what an earlier run
    /// has left in it.
    ///
    /// # Errors
    /// When there is no writable cgroup, or the root belongs to a living process.
    pub fn open(name: &str) -> Result<Self, CgroupError> {
        Self::open_below(&Found::read()?, name)
    }

    /// The same below given groups.
    ///
    /// # Errors
    /// As for `open`.
    pub fn open_below(found: &Found, name: &str) -> Result<Self, CgroupError> {
        let paths = found.layout()?.map(|parent| parent.join(name));
        let mut locked: BTreeMap<PathBuf, Arc<OwnedFd>> = BTreeMap::new();
        let layout = paths.try_map(|path| {
            if let Some(lock) = locked.get(path) {
                return Ok(Directory::of_root(path.clone(), Arc::clone(lock)));
            }
            let lock = files::claim(path).map_err(|errno| match errno {
                Errno::EWOULDBLOCK => CgroupError::InUse(path.clone()),
                errno => CgroupError::Refused { path: path.clone(), errno },
            })?;
            let lock = Arc::new(lock);
            locked.insert(path.clone(), Arc::clone(&lock));
            Ok(Directory::of_root(path.clone(), lock))
        })?;
        let root = Self { layout, next: AtomicU64::new(1), places: Places::default(), placer: None };
        root.sweep();
        if let Layout::V2 { group } = &root.layout {
            mounts::delegate(&group.path)?;
        }
        Ok(root)
    }

    /// Sets the uid that launchers have outside.
    pub(crate) fn set_placer(&mut self, uid: u32) {
        self.placer = Some(uid);
    }

    /// Allows the launcher's user to place processes in a group of the unified hierarchy.
    fn allow_placing(&self, group: &Directory) -> Result<(), Errno> {
        match self.placer {
            Some(uid) => file::change_owner(group.at(), &group.file("cgroup.procs"), uid),
            None => Ok(()),
        }
    }

    /// Moves a launcher or keeper into the root, so that it may place processes in groups of sandboxes.
    pub(crate) fn admit(&self, pid: i32) -> Result<(), Errno> {
        let Some(root) = self.layout.unified() else { return Ok(()) };
        self.allow_placing(root)?;
        let group = root.group(OUTPOSTS);
        files::make(&group.path).map_err(|_| Errno::EACCES)?;
        file::put(group.at(), &group.file("cgroup.procs"), pid.to_string().as_bytes())
    }

    /// Which interface it is.
    #[must_use]
    pub fn version(&self) -> CgroupVersion {
        match self.layout {
            Layout::V1 { .. } => CgroupVersion::V1,
            Layout::V2 { .. } => CgroupVersion::V2,
        }
    }

    /// Whether processes are cloned into their group (v2, or the unified tree of a mixed host).
    #[must_use]
    pub fn clones_into(&self) -> bool {
        self.layout.unified().is_some()
    }

    /// The directories of the root, for a report.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        self.layout.distinct().into_iter().map(|directory| directory.path.clone()).collect()
    }

    /// Kills and removes every group below the root.
    fn sweep(&self) {
        for directory in self.layout.distinct() {
            for child in files::children(&directory.path) {
                kill_all(&child);
                let _ = remove_when_empty(&child);
            }
        }
    }

    /// Begins the group of one sandbox; `Group::complete` makes the rest of it, while the launcher is at
    /// work.
    ///
    /// # Errors
    /// The step that failed; what was made by then is removed.
    pub(crate) fn begin(self: &Arc<Self>, limits: &CgroupLimits) -> Result<Group, Fault> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let memory = &self.layout.memory().path;
        let layout = self.layout.map(|root| {
            root.group(&format!("{}-{number}", if root.path == *memory { "sandbox" } else { "place" }))
        });
        // Somebody may have put something in there since, or removed it.
        while let Some(place) = self.places.take(limits) {
            if place.meters.processes() == Some(0) {
                return Ok(Group::again(layout, place, Arc::clone(self)));
            }
            group::remove_place(&place);
        }
        let group = Group::planned(layout, Arc::clone(self));
        group.begin()?;
        Ok(group)
    }
}

impl Drop for CgroupRoot {
    fn drop(&mut self) {
        self.sweep();
        for directory in self.layout.distinct() {
            // It stays if something is still in it; the next start then removes it.
            let _ = std::fs::remove_dir(&directory.path);
        }
    }
}

fn remove_when_empty(directory: &Path) -> Result<(), CgroupError> {
    let deadline = Instant::now() + EMPTY_DEADLINE;
    loop {
        match std::fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
                return Err(CgroupError::Refused { path: directory.to_owned(), errno });
            }
            Err(_) => {
                kill_all(directory);
                std::thread::sleep(EMPTY_PAUSE);
            }
        }
    }
}

/// Kills everything in a group: by `cgroup.kill` (Linux 5.14, v2), which does not race with forks, otherwise
/// one by one.
fn kill_all(directory: &Path) {
    let kill = files::text(&directory.join("cgroup.kill"));
    if file::put(file::CWD, &kill, b"1").is_ok() {
        return;
    }
    let listed = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in listed.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0) {
        // Through a pidfd, so that a pid that is reused after the open is not hit. It could be reused between
        // reading the list and the open; pids are assigned in turn, so that would take a full round of them.
        if let Ok(process) = process::open_process(pid) {
            let _ = process::send_signal(std::os::fd::AsFd::as_fd(&process), libc::SIGKILL);
        }
    }
}
