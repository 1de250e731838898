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
    place: PlaceMeters,
    peak_memory: Option<Meter>,
    oom_kills: Option<Meter>,
}

/// Those of them that are not about memory.
#[derive(Debug)]
pub(super) struct PlaceMeters {
    cpu: Option<Meter>,
    /// Nanoseconds in one unit of `cpu`.
    cpu_unit: u64,
    /// What `cpu` was when this sandbox began.
    cpu_before: u64,
    refused_forks: Option<Meter>,
    processes: Option<Meter>,
    /// How often the quota made the group wait (v1).
    throttled: Option<Meter>,
}

impl Meters {
    /// Opens the files of an existing group, as far as they are not open.
    pub(super) fn open(layout: &Layout<Directory>, place: Option<PlaceMeters>) -> Self {
        let place = place.unwrap_or_else(|| PlaceMeters::open(layout));
        let (peak, kills) = match layout {
            Layout::V1 { .. } => ("memory.max_usage_in_bytes", "memory.oom_control"),
            Layout::V2 { .. } => ("memory.peak", "memory.events"),
        };
        let memory = layout.memory();
        let peak_memory = Meter::open(memory, peak, None);
        Self { place, peak_memory, oom_kills: Meter::open(memory, kills, Some("oom_kill")) }
    }

    pub(super) fn place(&self) -> &PlaceMeters {
        &self.place
    }

    pub(super) fn into_place(self) -> PlaceMeters {
        self.place
    }

    /// All that the group reports.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            cpu: self.place.cpu_time(),
            peak_memory: count(self.peak_memory.as_ref()),
            oom_kills: count(self.oom_kills.as_ref()).unwrap_or(0),
            refused_forks: count(self.place.refused_forks.as_ref()).unwrap_or(0),
        }
    }
}

impl PlaceMeters {
    pub(super) fn open(layout: &Layout<Directory>) -> Self {
        let unified_time = |group: &Directory| Meter::open(group, "cpu.stat", Some("usage_usec"));
        let (pids, cpu, cpu_unit, throttled) = match layout {
            Layout::V1 { pids, cpu, usage, unified, .. } => {
                let own = usage.as_ref().and_then(|usage| Meter::open(usage, "cpuacct.usage", None));
                let cpu_unit = if own.is_some() { 1 } else { 1000 };
                let time = own.or_else(|| unified.as_ref().and_then(unified_time));
                (pids, time, cpu_unit, Meter::open(cpu, "cpu.stat", Some("nr_throttled")))
            }
            Layout::V2 { group } => (group, unified_time(group), 1000, None),
        };
        Self {
            cpu,
            cpu_unit,
            cpu_before: 0,
            refused_forks: Meter::open(pids, "pids.events", Some("max")),
            processes: Meter::open(pids, "pids.current", None),
            throttled,
        }
    }

    /// Counts from here, for another sandbox. Time that cannot be told from that of the last one is nobody's.
    pub(super) fn begin_again(mut self) -> Self {
        let before = count(self.cpu.as_ref());
        self.cpu = self.cpu.filter(|_| before.is_some());
        self.cpu_before = before.unwrap_or(0);
        self
    }

    /// Whether there is nothing in the group, and its limits have never been reached. Quota that was used up
    /// would be missing to the next sandbox, and forks that were refused would be counted as its own.
    pub(super) fn is_as_new(&self) -> bool {
        [&self.processes, &self.refused_forks, &self.throttled]
            .into_iter()
            .all(|meter| count(meter.as_ref()) == Some(0))
    }

    /// Processor time so far of everything inside; `None` where the kernel does not count it for the group.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        let units = self.cpu.as_ref()?.read()?.saturating_sub(self.cpu_before);
        Some(Duration::from_nanos(units.saturating_mul(self.cpu_unit)))
    }

    /// How many processes and threads are in the group now.
    pub(super) fn processes(&self) -> Option<u64> {
        count(self.processes.as_ref())
    }
}

fn count(meter: Option<&Meter>) -> Option<u64> {
    meter?.read()
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
