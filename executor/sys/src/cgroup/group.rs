//! The cgroup of one sandbox: its limits, its counters, its end.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::call::{Errno, file};
use crate::profile::{CgroupLimits, Profile};
use crate::step::{Fault, Step, attempt};

use super::files::Directory;
use super::meters::{Meters, PlaceMeters};
use super::places::Place;
use super::{CgroupError, CgroupRoot, Layout, files, kill_all, remove_when_empty};

/// Period of the processor quota: the kernel's default, which a new group has. A shorter one costs more timer
/// work; a longer one stalls programs for longer.
const CPU_PERIOD_US: u64 = 100_000;

/// What a group reports about its sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Processor time of everything that ran in it.
    pub(crate) cpu: Option<Duration>,
    /// Most memory at one time, in bytes.
    pub(crate) peak_memory: Option<u64>,
    /// Processes that the kernel killed for lack of memory.
    pub(crate) oom_kills: u64,
    /// Forks that were refused.
    pub(crate) refused_forks: u64,
}

/// The group of one sandbox. Dropping it kills what is inside and removes it, or keeps its place.
#[derive(Debug)]
pub(crate) struct Group {
    /// Boxed, like the meters, because the value is moved through every state of a sandbox.
    layout: Box<Layout<Directory>>,
    meters: Option<Box<Meters>>,
    root: Arc<CgroupRoot>,
    /// The counters of its place, if that has been another sandbox's before, until the group is complete.
    place: Option<Box<PlaceMeters>>,
    /// What is written in its place, once that may be kept.
    limits: Option<CgroupLimits>,
    /// Whether everything in it was killed at once. From Linux 6.14 on, the kernel then also kills what is cloned
    /// into it later: it compares how often that was done to the group with how often it was done to the group of the
    /// process that clones (`cgroup_css_set_fork`, `cgroup_post_fork`).
    killed: AtomicBool,
    /// Whether a place is kept whatever was left in it.
    #[cfg(feature = "fault-injection")]
    unchecked: bool,
    removed: bool,
}

impl Group {
    /// A group that does not exist yet.
    pub(super) fn planned(layout: Layout<Directory>, root: Arc<CgroupRoot>) -> Self {
        Self {
            layout: Box::new(layout),
            meters: None,
            root,
            place: None,
            limits: None,
            killed: AtomicBool::new(false),
            #[cfg(feature = "fault-injection")]
            unchecked: false,
            removed: false,
        }
    }

    /// A group of which only the part of memory does not exist yet.
    pub(super) fn again(fresh: Layout<Directory>, place: Place, root: Arc<CgroupRoot>) -> Self {
        let layout = place.layout.with_memory_of(fresh);
        let mut group = Self::planned(layout, root);
        group.place = Some(Box::new(place.meters));
        group
    }

    /// Makes the directory into which processes are cloned: all that a launcher needs to begin.
    pub(super) fn begin(&self) -> Result<(), Fault> {
        self.layout.unified().map_or(Ok(()), |unified| {
            unified.make()?;
            let name = unified.file("");
            Ok(attempt(Step::CgroupCreate, &name, || self.root.allow_placing(unified))?)
        })
    }

    /// Makes the other directories, writes the limits, and opens the counters. What a failure leaves is
    /// removed with the value.
    ///
    /// # Errors
    /// The step that failed.
    pub(crate) fn complete(&mut self, limits: &CgroupLimits) -> Result<(), Fault> {
        let place = self.place.take().map(|meters| meters.begin_again());
        let again = place.is_some();
        let missing = if again { vec![self.layout.memory()] } else { self.separate() };
        missing.into_iter().try_for_each(Directory::make)?;
        self.limit(limits, again)?;
        self.meters = Some(Box::new(Meters::open(&self.layout, place)));
        Ok(())
    }

    /// Allows its place to be kept when it is cleared: every process in it is one that is ended by then.
    pub(crate) fn allow_again(&mut self, profile: &Profile) {
        self.limits = Some(profile.cgroup);
        #[cfg(feature = "fault-injection")]
        {
            self.unchecked = !profile.has(crate::profile::Layer::PlaceAsNew);
        }
    }

    /// The directories into which processes are not cloned: they enter these by themselves (v1).
    fn separate(&self) -> Vec<&Directory> {
        let unified = self.layout.unified().map(|unified| &unified.path);
        self.layout.distinct().into_iter().filter(|directory| Some(&directory.path) != unified).collect()
    }

    /// How many groups a process has to enter by itself.
    pub(crate) fn entered(&self) -> usize {
        self.separate().len()
    }

    /// Writes the limits: those of a place that was used before are there.
    fn limit(&self, limits: &CgroupLimits, again: bool) -> Result<(), Fault> {
        let memory = &self.layout.memory().path;
        for (directory, name, text) in self.limit_files(limits) {
            if again && directory.path != *memory {
                continue;
            }
            let path = directory.file(name);
            attempt(Step::CgroupLimits, &path, || match file::put(directory.at(), &path, text.as_bytes()) {
                // Without swap there is nothing to limit, and the file is absent.
                Err(Errno::ENOENT) if files::is_swap(name) => Ok(()),
                other => other,
            })?;
        }
        Ok(())
    }

    fn limit_files(&self, limits: &CgroupLimits) -> Vec<(&Directory, &'static str, String)> {
        let mut entries = Vec::new();
        match &*self.layout {
            Layout::V1 { memory, pids, cpu, .. } => {
                if let Some(bytes) = limits.memory_bytes {
                    entries.push((memory, "memory.limit_in_bytes", bytes.to_string()));
                    entries.push((memory, files::V1_SWAP, bytes.to_string()));
                }
                if let Some(processes) = limits.processes {
                    entries.push((pids, "pids.max", processes.to_string()));
                }
                if let Some(milli) = limits.cpu_milli {
                    entries.push((cpu, "cpu.cfs_quota_us", quota(milli).to_string()));
                }
            }
            Layout::V2 { group } => {
                if let Some(bytes) = limits.memory_bytes {
                    entries.push((group, "memory.max", bytes.to_string()));
                    entries.push((group, files::V2_SWAP, "0".to_owned()));
                    // A sandbox that has lost one process to the limit must not limp on.
                    entries.push((group, "memory.oom.group", "1".to_owned()));
                }
                if let Some(processes) = limits.processes {
                    entries.push((group, "pids.max", processes.to_string()));
                }
                if let Some(milli) = limits.cpu_milli {
                    entries.push((group, "cpu.max", format!("{} {CPU_PERIOD_US}", quota(milli))));
                }
            }
        }
        entries
    }

    /// Open `tasks` files for a process of one thread to write itself into (v1). Not `cgroup.procs`: moving a
    /// process takes a lock whose writer waits for a grace period of the kernel, some ten milliseconds on an
    /// idle machine. A thread that moves itself takes none (`cgroup_procs_write_start`, Linux 5.5; measured
    /// 45 µs instead of 13 ms).
    pub(crate) fn process_files(&self) -> Result<Vec<OwnedFd>, Fault> {
        self.separate().into_iter().map(|directory| directory.open("tasks", libc::O_WRONLY)).collect()
    }

    /// The directory for a process to be cloned into (v2).
    pub(crate) fn clone_directory(&self) -> Result<Option<OwnedFd>, Fault> {
        self.layout
            .unified()
            .map(|directory| directory.open("", libc::O_RDONLY | libc::O_DIRECTORY))
            .transpose()
    }

    /// Processor time so far of everything inside; `None` where the kernel does not count it for the group.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        self.meters.as_ref()?.place().cpu_time()
    }

    /// How many processes and threads are in it now; `None` where the kernel does not count them.
    pub(crate) fn processes(&self) -> Option<u64> {
        self.meters.as_ref()?.place().processes()
    }

    /// All that the group reports.
    pub(crate) fn facts(&self) -> Facts {
        self.meters.as_ref().map(|meters| meters.facts()).unwrap_or_default()
    }

    /// Kills everything inside at once, by `cgroup.kill`.
    ///
    /// # Errors
    /// Where there is none (v1 alone, or before Linux 5.14).
    pub(crate) fn kill(&self) -> Result<(), Errno> {
        let unified = self.layout.unified().ok_or(Errno::ENOENT)?;
        self.killed.store(true, Ordering::Relaxed);
        file::put(unified.at(), &unified.file("cgroup.kill"), b"1")
    }

    /// Kills whatever is still inside and removes the group, except a place that may be used again.
    ///
    /// # Errors
    /// When it is still busy after the deadline; the next start then removes it.
    pub(crate) fn clear(&mut self) -> Result<(), CgroupError> {
        if self.removed {
            return Ok(());
        }
        self.removed = true;
        let memory = remove_or_kill(self.layout.memory());
        let place = self.place_to_keep().filter(|_| memory.is_ok());
        let Some(place) = place else { return memory.and(remove_all(&self.layout.besides_memory())) };
        if let Some(surplus) = self.root.places.keep(place) {
            remove_place(&surplus);
        }
        Ok(())
    }

    /// Its place, if it may be kept and nothing of the sandbox is left in it.
    fn place_to_keep(&mut self) -> Option<Place> {
        let (limits, meters) = (self.limits.take()?, self.meters.take()?);
        let as_new = meters.place().is_as_new();
        #[cfg(feature = "fault-injection")]
        let as_new = as_new || self.unchecked;
        let kept = as_new && !self.killed.load(Ordering::Relaxed) && self.layout.has_place();
        kept.then(|| Place { limits, layout: (*self.layout).clone(), meters: meters.into_place() })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}

/// Removes a place. What is left of it is removed by the next start.
pub(super) fn remove_place(place: &Place) {
    let _ = remove_all(&place.layout.besides_memory());
}

/// Removes directories, all that can be.
fn remove_all(directories: &[&Directory]) -> Result<(), CgroupError> {
    directories.iter().map(|directory| remove_or_kill(directory)).fold(Ok(()), Result::and)
}

/// Removes a directory that should be empty; if it is not, kills what is in it first.
fn remove_or_kill(directory: &Directory) -> Result<(), CgroupError> {
    match directory.remove() {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(_) => {
            kill_all(&directory.path);
            remove_when_empty(&directory.path)
        }
    }
}

/// Converts thousandths of a processor to microseconds of a period. The kernel refuses less than 1000.
fn quota(cpu_milli: u64) -> u64 {
    (cpu_milli.saturating_mul(CPU_PERIOD_US) / 1000).max(1000)
}

#[cfg(test)]
mod tests {
    use super::quota;

    #[test]
    fn a_quota_is_a_share_of_the_period() {
        assert_eq!([quota(1000), quota(500), quota(2000), quota(1)], [100_000, 50_000, 200_000, 1000]);
    }
}
