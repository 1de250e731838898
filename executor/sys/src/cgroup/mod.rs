//! Cgroups: what limits a sandbox as a whole and tells what it has used. Version 1 with its hierarchies apart, version 2 with all controllers in one,
//! and the mix of both that some hosts have (limits in v1, a bare v2 tree that still can kill): one root, one group for each sandbox.
//!
//! ```text
//! <own group or a given one>/<root name>/       one for each executor, locked while it lives
//!     <sandbox>/                                one for each sandbox, removed with it
//! ```
//!
//! Placing differs: on v2 a process is cloned into its group (`CLONE_INTO_CGROUP`); on v1 it writes itself there. Both happen while a sandbox is built, never
//! on the way of a request.

mod files;
mod meters;
mod mounts;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::call::{Errno, file, process};
use crate::profile::CgroupLimits;
use crate::step::{Fault, Step, attempt};

use meters::Meters;
pub use mounts::Found;

/// Period of the processor quota: the kernel's default. A shorter one costs more timer work, a longer one stalls programs for longer.
const CPU_PERIOD_US: u64 = 100_000;

/// Where launchers and keepers are. Who clones into a group must be allowed to write the `cgroup.procs` of that group and of the nearest one above both
/// (cgroups(7), delegation containment), so a launcher has to be below the root as well.
const OUTPOSTS: &str = "outposts";

/// How long a group may stay busy after everything in it was killed: the kernel empties it when the last process is reaped.
const EMPTY_DEADLINE: Duration = Duration::from_secs(5);

/// Pause between two attempts to remove a group that is still busy.
const EMPTY_PAUSE: Duration = Duration::from_millis(2);

/// Why there is no cgroup to work in.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No hierarchy in which all of memory, processes and processor can be limited and written by this process.
    #[error("no writable cgroup: {0}")]
    Unavailable(String),
    /// Another executor has the root.
    #[error("the cgroup root `{0}` is in use by another process")]
    InUse(PathBuf),
    /// A file of the root refused.
    #[error("`{path}`: {errno}")]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        errno: Errno,
    },
}

/// Which interface limits are written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One directory for each controller. `usage` (cpuacct) may be missing, then processor time is what `waitid` tells; `unified` is a v2
    /// tree without controllers, for its `cgroup.kill`.
    V1 { memory: PathBuf, pids: PathBuf, cpu: PathBuf, usage: Option<PathBuf>, unified: Option<PathBuf> },
    /// One directory.
    V2 { group: PathBuf },
}

impl Layout {
    /// Every distinct directory.
    fn directories(&self) -> Vec<&Path> {
        let mut all: Vec<&Path> = match self {
            Self::V1 { memory, pids, cpu, usage, unified } => {
                let optional = [usage.as_deref(), unified.as_deref()];
                [memory.as_path(), pids, cpu].into_iter().chain(optional.into_iter().flatten()).collect()
            }
            Self::V2 { group } => vec![group],
        };
        all.sort_unstable();
        all.dedup();
        all
    }

    fn map(&self, change: impl Fn(&Path) -> PathBuf) -> Self {
        match self {
            Self::V1 { memory, pids, cpu, usage, unified } => Self::V1 {
                memory: change(memory),
                pids: change(pids),
                cpu: change(cpu),
                usage: usage.as_deref().map(&change),
                unified: unified.as_deref().map(&change),
            },
            Self::V2 { group } => Self::V2 { group: change(group) },
        }
    }
}

/// Which version of the interface a root has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CgroupVersion {
    /// Hierarchies apart.
    V1,
    /// One hierarchy.
    V2,
}

/// The group below which all sandboxes of this executor have theirs.
#[derive(Debug)]
pub struct CgroupRoot {
    layout: Layout,
    next: AtomicU64,
    /// The launcher's user outside, which is to place holders and workers; `None` when that is this process's own.
    placer: Option<u32>,
    /// Held locked: whoever else asks for the same root is refused, and a root whose executor has died is free.
    _locks: Vec<OwnedFd>,
}

impl CgroupRoot {
    /// Makes or takes over the root `name` below this process's own groups, and removes what an earlier run has left in it.
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
        let layout = found.layout()?.map(|parent| parent.join(name));
        let mut locks = Vec::new();
        for directory in layout.directories() {
            make(directory)?;
            let lock = files::lock(directory).map_err(|errno| match errno {
                Errno::EWOULDBLOCK => CgroupError::InUse(directory.to_owned()),
                errno => CgroupError::Refused { path: directory.to_owned(), errno },
            })?;
            locks.push(lock);
        }
        let root = Self { layout, next: AtomicU64::new(1), placer: None, _locks: locks };
        root.sweep();
        if let Layout::V2 { group } = &root.layout {
            mounts::delegate(group)?;
        }
        Ok(root)
    }

    /// Names the user outside that launchers have.
    pub(crate) fn set_placer(&mut self, uid: u32) {
        self.placer = Some(uid);
    }

    /// The directory of the unified hierarchy, into which processes are cloned.
    fn unified(layout: &Layout) -> Option<&Path> {
        match layout {
            Layout::V1 { unified, .. } => unified.as_deref(),
            Layout::V2 { group } => Some(group),
        }
    }

    /// Lets the launcher's user place processes in a group of the unified hierarchy.
    fn allow_placing(&self, group: &Path) -> Result<(), Errno> {
        match self.placer {
            Some(uid) => std::os::unix::fs::chown(group.join("cgroup.procs"), Some(uid), None)
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
            None => Ok(()),
        }
    }

    /// Takes a launcher or keeper in, so that it may place processes in groups of sandboxes.
    pub(crate) fn admit(&self, pid: i32) -> Result<(), Errno> {
        let Some(root) = Self::unified(&self.layout) else { return Ok(()) };
        self.allow_placing(root)?;
        let group = root.join(OUTPOSTS);
        make(&group).map_err(|_| Errno::EACCES)?;
        file::put(file::CWD, &files::text(&group.join("cgroup.procs")), pid.to_string().as_bytes())
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
        Self::unified(&self.layout).is_some()
    }

    /// The directories of the root, for a report.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        self.layout.directories().into_iter().map(Path::to_owned).collect()
    }

    /// Kills and removes every group below the root.
    fn sweep(&self) {
        for directory in self.layout.directories() {
            for child in files::children(directory) {
                kill_all(&child);
                let _ = remove_when_empty(&child);
            }
        }
    }

    /// Makes the group of one sandbox and writes its limits.
    ///
    /// # Errors
    /// The step that failed; what was made by then is removed.
    pub(crate) fn create(self: &Arc<Self>, limits: &CgroupLimits) -> Result<Group, Fault> {
        let name = format!("sandbox-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let mut group = Group {
            layout: self.layout.map(|root| root.join(&name)),
            meters: None,
            _root: Arc::clone(self),
            removed: false,
        };
        for directory in group.layout.directories() {
            let about = files::text(directory);
            attempt(Step::CgroupCreate, &about, || file::make_directory(file::CWD, &about, 0o755))?;
        }
        if let Some(unified) = Self::unified(&group.layout) {
            attempt(Step::CgroupCreate, &files::text(unified), || self.allow_placing(unified))?;
        }
        group.limit(limits)?;
        group.meters = Some(Box::new(Meters::open(&group.layout)));
        Ok(group)
    }
}

impl Drop for CgroupRoot {
    fn drop(&mut self) {
        self.sweep();
        for directory in self.layout.directories() {
            // Left when something is still in it; the next start removes it.
            let _ = std::fs::remove_dir(directory);
        }
    }
}

/// What a group tells about its sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Processor time of everything that ran in it.
    pub(crate) cpu: Option<Duration>,
    /// Most memory at one time, in bytes.
    pub(crate) peak_memory: Option<u64>,
    /// Processes that the kernel killed for want of memory.
    pub(crate) oom_kills: u64,
    /// Forks that were refused.
    pub(crate) refused_forks: u64,
}

/// The group of one sandbox. Dropping it kills what is inside and removes it.
#[derive(Debug)]
pub(crate) struct Group {
    layout: Layout,
    /// Boxed: a value that is passed on through every state of a sandbox.
    meters: Option<Box<Meters>>,
    _root: Arc<CgroupRoot>,
    removed: bool,
}

impl Group {
    fn limit(&self, limits: &CgroupLimits) -> Result<(), Fault> {
        for (path, text) in self.limit_files(limits) {
            let about = files::text(&path);
            attempt(Step::CgroupLimits, &about, || match file::put(file::CWD, &about, text.as_bytes()) {
                // Without swap there is nothing to limit, and no file to say so.
                Err(Errno::ENOENT) if files::is_swap(&path) => Ok(()),
                other => other,
            })?;
        }
        Ok(())
    }

    fn limit_files(&self, limits: &CgroupLimits) -> Vec<(PathBuf, String)> {
        let mut entries = Vec::new();
        match &self.layout {
            Layout::V1 { memory, pids, cpu, .. } => {
                if let Some(bytes) = limits.memory_bytes {
                    entries.push((memory.join("memory.limit_in_bytes"), bytes.to_string()));
                    entries.push((memory.join(files::V1_SWAP), bytes.to_string()));
                }
                if let Some(processes) = limits.processes {
                    entries.push((pids.join("pids.max"), processes.to_string()));
                }
                if let Some(milli) = limits.cpu_milli {
                    entries.push((cpu.join("cpu.cfs_period_us"), CPU_PERIOD_US.to_string()));
                    entries.push((cpu.join("cpu.cfs_quota_us"), quota(milli).to_string()));
                }
            }
            Layout::V2 { group } => {
                if let Some(bytes) = limits.memory_bytes {
                    entries.push((group.join("memory.max"), bytes.to_string()));
                    entries.push((group.join(files::V2_SWAP), "0".to_owned()));
                    // A sandbox that has lost one process to the limit is not to limp on.
                    entries.push((group.join("memory.oom.group"), "1".to_owned()));
                }
                if let Some(processes) = limits.processes {
                    entries.push((group.join("pids.max"), processes.to_string()));
                }
                if let Some(milli) = limits.cpu_milli {
                    entries.push((group.join("cpu.max"), format!("{} {CPU_PERIOD_US}", quota(milli))));
                }
            }
        }
        entries
    }

    /// Open `tasks` files for a process of one thread to write itself into (v1). Not `cgroup.procs`: moving a process takes a lock whose writer
    /// waits for a grace period of the kernel, some ten milliseconds on an idle machine; a thread that moves itself takes none
    /// (`cgroup_procs_write_start`, Linux 5.5; measured 45 µs for 13 ms).
    pub(crate) fn process_files(&self) -> Result<Vec<OwnedFd>, Fault> {
        let Layout::V1 { unified, .. } = &self.layout else { return Ok(Vec::new()) };
        let directories = self.layout.directories().into_iter().filter(|d| Some(*d) != unified.as_deref());
        directories
            .map(|directory| {
                let about = files::text(&directory.join("tasks"));
                Ok(attempt(Step::CgroupCreate, &about, || file::open(file::CWD, &about, libc::O_WRONLY, 0))?)
            })
            .collect()
    }

    /// The directory for a process to be cloned into (v2).
    pub(crate) fn clone_directory(&self) -> Result<Option<OwnedFd>, Fault> {
        let Some(directory) = CgroupRoot::unified(&self.layout) else { return Ok(None) };
        let about = files::text(directory);
        let opened = attempt(Step::CgroupCreate, &about, || {
            file::open(file::CWD, &about, libc::O_RDONLY | libc::O_DIRECTORY, 0)
        })?;
        Ok(Some(opened))
    }

    /// Processor time so far of everything inside; `None` where the kernel does not count it for the group.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        self.meters.as_ref()?.cpu_time()
    }

    /// All that the group tells.
    pub(crate) fn facts(&self) -> Facts {
        self.meters.as_ref().map(|meters| meters.facts()).unwrap_or_default()
    }

    /// Kills whatever is still inside and removes the group.
    ///
    /// # Errors
    /// When it is still busy after the deadline; the next start removes it then.
    pub(crate) fn clear(&mut self) -> Result<(), CgroupError> {
        if self.removed {
            return Ok(());
        }
        self.removed = true;
        let mut outcome = Ok(());
        for directory in self.layout.directories() {
            if let Err(error) = remove_or_kill(directory) {
                outcome = Err(error);
            }
        }
        outcome
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}

/// Microseconds of a period for thousandths of a processor. The kernel refuses less than 1000.
fn quota(cpu_milli: u64) -> u64 {
    (cpu_milli.saturating_mul(CPU_PERIOD_US) / 1000).max(1000)
}

fn make(directory: &Path) -> Result<(), CgroupError> {
    match file::make_directory(file::CWD, &files::text(directory), 0o755) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(CgroupError::Refused { path: directory.to_owned(), errno }),
    }
}

/// Removes a group that should be empty; when it is not, kills what is in it first.
fn remove_or_kill(directory: &Path) -> Result<(), CgroupError> {
    if matches!(std::fs::remove_dir(directory), Ok(())) || !directory.exists() {
        return Ok(());
    }
    kill_all(directory);
    remove_when_empty(directory)
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

/// Kills everything in a group: by `cgroup.kill` (Linux 5.14, v2), which races with no fork, else one by one.
fn kill_all(directory: &Path) {
    let kill = files::text(&directory.join("cgroup.kill"));
    if file::put(file::CWD, &kill, b"1").is_ok() {
        return;
    }
    let listed = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in listed.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0) {
        // Through a pidfd, so that a pid that was given to another process meanwhile is not hit after the open. Between reading the list and opening
        // it could be; pids are given out in turn, so that would need a full round of them.
        if let Ok(process) = process::open_process(pid) {
            let _ = process::send_signal(std::os::fd::AsFd::as_fd(&process), libc::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::quota;

    #[test]
    fn a_quota_is_a_share_of_the_period() {
        assert_eq!([quota(1000), quota(500), quota(2000), quota(1)], [100_000, 50_000, 200_000, 1000]);
    }
}
