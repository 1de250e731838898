//! The counters of a group. Their files are opened when the group is made: at the end of a call each figure
//! then costs one `pread`, a tenth of looking its path up, and the caller waits for that.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use super::files::Directory;
use super::{Facts, Layout};

/// Longest file that is read: a dozen lines of a key and a number.
const MAX_BYTES: usize = 4096;

/// One figure of one file.
#[derive(Debug)]
struct Meter {
    file: File,
    /// The key of its line; without one, the file contains only the number.
    key: Option<&'static str>,
}

/// The open files of a group. Those that the kernel does not provide are absent.
#[derive(Debug)]
pub(super) struct Meters {
    cpu: Option<Meter>,
    /// Nanoseconds in one unit of `cpu`.
    cpu_unit: u64,
    peak_memory: Option<Meter>,
    oom_kills: Option<Meter>,
    refused_forks: Option<Meter>,
    processes: Option<Meter>,
}

impl Meters {
    /// Opens the files of an existing group.
    pub(super) fn open(layout: &Layout<Directory>) -> Self {
        let unified_time = |group: &Directory| Meter::open(group, "cpu.stat", Some("usage_usec"));
        match layout {
            Layout::V1 { memory, pids, usage, unified, .. } => {
                let own = usage.as_ref().and_then(|usage| Meter::open(usage, "cpuacct.usage", None));
                let cpu_unit = if own.is_some() { 1 } else { 1000 };
                Self {
                    cpu: own.or_else(|| unified.as_ref().and_then(unified_time)),
                    cpu_unit,
                    peak_memory: Meter::open(memory, "memory.max_usage_in_bytes", None),
                    oom_kills: Meter::open(memory, "memory.oom_control", Some("oom_kill")),
                    refused_forks: Meter::open(pids, "pids.events", Some("max")),
                    processes: Meter::open(pids, "pids.current", None),
                }
            }
            Layout::V2 { group } => Self {
                cpu: unified_time(group),
                cpu_unit: 1000,
                peak_memory: Meter::open(group, "memory.peak", None),
                oom_kills: Meter::open(group, "memory.events", Some("oom_kill")),
                refused_forks: Meter::open(group, "pids.events", Some("max")),
                processes: Meter::open(group, "pids.current", None),
            },
        }
    }

    /// Processor time so far of everything inside; `None` where the kernel does not count it for the group.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        let units = self.cpu.as_ref()?.read()?;
        Some(Duration::from_nanos(units.saturating_mul(self.cpu_unit)))
    }

    /// How many processes and threads are in the group now.
    pub(super) fn processes(&self) -> Option<u64> {
        self.processes.as_ref()?.read()
    }

    /// All that the group reports.
    pub(super) fn facts(&self) -> Facts {
        let count = |meter: &Option<Meter>| meter.as_ref().and_then(Meter::read);
        Facts {
            cpu: self.cpu_time(),
            peak_memory: count(&self.peak_memory),
            oom_kills: count(&self.oom_kills).unwrap_or(0),
            refused_forks: count(&self.refused_forks).unwrap_or(0),
        }
    }
}

impl Meter {
    fn open(group: &Directory, name: &str, key: Option<&'static str>) -> Option<Self> {
        Some(Self { file: group.open(name, libc::O_RDONLY).ok()?.into(), key })
    }

    fn read(&self) -> Option<u64> {
        let mut buffer = [0; MAX_BYTES];
        let length = self.file.read_at(&mut buffer, 0).ok()?;
        figure(std::str::from_utf8(buffer.get(..length)?).ok()?, self.key)
    }
}

/// The number in a text, or the one after a key in lines of `key number`.
fn figure(text: &str, key: Option<&str>) -> Option<u64> {
    let number = match key {
        None => text,
        Some(key) => text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?,
    };
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn a_figure_is_the_one_of_its_key() {
        assert_eq!(figure("12\n", None), Some(12));
        let events = "oom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(figure(events, Some("oom_kill")), Some(2));
        assert_eq!((figure(events, Some("max")), figure("max\n", None)), (None, None));
    }
}
