//! Where this process may make groups: read from `/proc/self/cgroup` and `/proc/self/mountinfo`, and tried by
//! making one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::call::{Errno, file};

use super::{CgroupError, Layout, files};

/// Controllers that a sandbox's group requires.
const NEEDED: [&str; 3] = ["memory", "pids", "cpu"];

/// The key of the unified hierarchy.
const UNIFIED: &str = "";

/// Leaf group that this process moves to when controllers must be enabled below its own group: cgroup v2
/// allows processes only in leaves.
const OWN_LEAF: &str = "executor";

/// The groups that this process is in, as directories: by controller (v1), and under the empty name for the
/// unified hierarchy (v2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    groups: BTreeMap<String, PathBuf>,
    /// Where the unified hierarchy begins, as far as this process may search for a parent.
    unified_top: PathBuf,
}

impl Found {
    /// Reads the groups of this process.
    ///
    /// # Errors
    /// When proc cannot be read.
    pub fn read() -> Result<Self, CgroupError> {
        let read = |path: &str| {
            std::fs::read_to_string(path)
                .map_err(|error| CgroupError::Unavailable(format!("`{path}` cannot be read: {error}")))
        };
        Ok(Self::parse(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?))
    }

    /// One unified group (v2) in place of this process's own, such as one that an operator has delegated.
    #[must_use]
    pub fn unified(group: PathBuf) -> Self {
        Self { unified_top: group.clone(), groups: BTreeMap::from([(UNIFIED.to_owned(), group)]) }
    }

    fn parse(own: &str, mounts: &str) -> Self {
        let mounted = mount_points(mounts);
        let mut groups = BTreeMap::new();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            for controller in controllers.split(',') {
                if let Some((root, point)) = mounted.get(controller) {
                    // A mount may show only a part of the hierarchy, as in a container.
                    let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
                    groups.insert(controller.to_owned(), point.join(below));
                }
            }
        }
        let unified_top = mounted.get(UNIFIED).map(|(_, point)| point.clone()).unwrap_or_default();
        Self { groups, unified_top }
    }

    /// The group of the unified hierarchy (v2) below which sandboxes can be limited. It is the process's own
    /// group if controllers are enabled below it or can be, which requires that no other process is in it.
    /// Otherwise it is the nearest ancestor that has them enabled and allows us to make groups.
    fn unified_parent(&self) -> Option<&Path> {
        let own = self.groups.get(UNIFIED)?;
        let lists_all = |group: &Path, file: &str| {
            let listed = std::fs::read_to_string(group.join(file)).unwrap_or_default();
            NEEDED.iter().all(|needed| listed.split_whitespace().any(|listed| listed == *needed))
        };
        let alone = || {
            let listed = std::fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
            listed.lines().all(|pid| pid.parse() == Ok(std::process::id()))
        };
        let enabled = |group: &Path| lists_all(group, "cgroup.subtree_control") && can_make(group);
        if enabled(own) || lists_all(own, "cgroup.controllers") && alone() && can_make(own) {
            return Some(own);
        }
        let above = own.ancestors().skip(1).take_while(|group| group.starts_with(&self.unified_top));
        above.into_iter().find(|group| enabled(group))
    }

    /// The parents of a root. Version 2 where it has all controllers, otherwise version 1.
    pub(super) fn layout(&self) -> Result<Layout<PathBuf>, CgroupError> {
        if let Some(group) = self.unified_parent() {
            return Ok(Layout::V2 { group: group.to_owned() });
        }
        let unified = self.groups.get(UNIFIED).filter(|group| kills(group));
        let needed = |name: &str| {
            self.groups
                .get(name)
                .cloned()
                .ok_or_else(|| CgroupError::Unavailable(format!("there is no `{name}` controller")))
        };
        let [memory, pids, cpu] = NEEDED;
        let memory = needed(memory)?;
        if swaps_uncounted(&memory, &std::fs::read_to_string("/proc/swaps").unwrap_or_default()) {
            let why = "swap is on, and the `memory` controller does not count it (it does when booted with `swapaccount=1`)";
            return Err(CgroupError::Unavailable(why.to_owned()));
        }
        Ok(Layout::V1 {
            memory,
            pids: needed(pids)?,
            cpu: needed(cpu)?,
            // One hierarchy fewer to make a group in where there is the unified one, which counts processor
            // time without any controller. With neither, only each single process has a limit on it.
            usage: if unified.is_some() { None } else { Some(needed("cpuacct")?) },
            unified: unified.cloned(),
        })
    }
}

/// Whether memory beyond a group's limit would go to swap that nothing limits: `/proc/swaps` lists some, and
/// version 1 does not count it.
fn swaps_uncounted(memory: &Path, swaps: &str) -> bool {
    swaps.lines().count() > 1 && !memory.join(files::V1_SWAP).exists()
}

/// Whether groups can be made below one.
fn can_make(group: &Path) -> bool {
    try_below(group, |_| true)
}

/// Whether groups can be made below one and killed as a whole (Linux 5.14).
fn kills(group: &Path) -> bool {
    try_below(group, |trial| trial.join("cgroup.kill").exists())
}

/// Makes a group briefly, to try it.
fn try_below(group: &Path, look: impl Fn(&Path) -> bool) -> bool {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let trial = group.join(format!("bailiwick-trial-{}-{number}", std::process::id()));
    let able = files::make(&trial).is_ok() && look(&trial);
    let _ = std::fs::remove_dir(&trial);
    able
}

/// Root and mount point of each hierarchy, by controller; the unified one under the empty name.
fn mount_points(mounts: &str) -> BTreeMap<String, (PathBuf, PathBuf)> {
    let mut points = BTreeMap::new();
    for line in mounts.lines() {
        let Some((head, tail)) = line.split_once(" - ") else { continue };
        let mut head = head.split(' ').skip(3);
        let (Some(root), Some(point)) = (head.next(), head.next()) else { continue };
        let mut tail = tail.split(' ');
        let place = (PathBuf::from(root), PathBuf::from(point));
        match (tail.next(), tail.nth(1)) {
            (Some("cgroup2"), _) => {
                points.insert(UNIFIED.to_owned(), place);
            }
            (Some("cgroup"), Some(options)) => {
                for option in options.split(',') {
                    points.entry(option.to_owned()).or_insert_with(|| place.clone());
                }
            }
            _ => {}
        }
    }
    points
}

/// Enables the controllers for the groups of sandboxes (v2): in the parent of the root, then in the root. The
/// parent may then not hold processes, so this process, if it is there, moves to a leaf next to the root.
pub(super) fn delegate(root: &Path) -> Result<(), CgroupError> {
    let Some(parent) = root.parent() else { return Ok(()) };
    let enable = |group: &Path| {
        let path = group.join("cgroup.subtree_control");
        file::put(file::CWD, &files::text(&path), b"+memory +pids +cpu")
            .map_err(|errno| CgroupError::Refused { path, errno })
    };
    if let Err(refused) = enable(parent) {
        if !matches!(refused, CgroupError::Refused { errno: Errno::EBUSY, .. }) {
            return Err(refused);
        }
        let leaf = parent.join(OWN_LEAF);
        files::make(&leaf).map_err(|errno| CgroupError::Refused { path: leaf.clone(), errno })?;
        let procs = leaf.join("cgroup.procs");
        file::put(file::CWD, &files::text(&procs), b"0")
            .map_err(|errno| CgroupError::Refused { path: procs, errno })?;
        enable(parent)?;
    }
    enable(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "36 25 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      37 25 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      38 25 0:33 /docker/7 /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      39 25 0:34 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      40 25 0:35 / /tmp rw - tmpfs tmpfs rw,size=4k\n";

    #[test]
    fn groups_are_found_below_their_mounts() {
        let own = "4:memory:/a/b\n3:cpu,cpuacct:/\n2:pids:/docker/7/x\n0::/u\n";
        let found = Found::parse(own, V1);
        let at = |name: &str| found.groups.get(name).map(|path| path.to_str().unwrap());
        assert_eq!(at("memory"), Some("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(at("cpuacct"), Some("/sys/fs/cgroup/cpu,cpuacct/"));
        assert_eq!(at("pids"), Some("/sys/fs/cgroup/pids/x"));
        assert_eq!(at(UNIFIED), Some("/sys/fs/cgroup/unified/u"));
    }

    #[test]
    fn a_missing_controller_is_named() {
        for (own, missing) in [
            ("4:memory:/\n3:cpu,cpuacct:/\n", "pids"),
            // Without it nothing counts a sandbox's processor time.
            ("4:memory:/\n3:cpu:/\n2:pids:/docker/7\n", "cpuacct"),
        ] {
            let said = Found::parse(own, V1).layout().unwrap_err().to_string();
            assert_eq!(said, format!("no writable cgroup: there is no `{missing}` controller"));
        }
    }

    #[test]
    fn swap_that_is_not_counted_is_noticed() {
        let memory = tempfile::tempdir().unwrap();
        let none = "Filename Type Size Used Priority\n";
        let some = format!("{none}/swap.img file 8388604 0 -2\n");
        assert!(!swaps_uncounted(memory.path(), none) && swaps_uncounted(memory.path(), &some));
        std::fs::write(memory.path().join(files::V1_SWAP), "").unwrap();
        assert!(!swaps_uncounted(memory.path(), &some));
    }

    /// A folder laid out as a group of cgroup v2, with the content of two of its files.
    fn group(path: &Path, controllers: &str, enabled: &str, processes: &str) {
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join("cgroup.controllers"), controllers).unwrap();
        std::fs::write(path.join("cgroup.subtree_control"), enabled).unwrap();
        std::fs::write(path.join("cgroup.procs"), processes).unwrap();
    }

    #[test]
    fn version_two_is_its_own_group_when_it_is_alone_there_else_one_above() {
        let top = tempfile::tempdir().unwrap();
        let own = top.path().join("service");
        let found = Found {
            groups: BTreeMap::from([(UNIFIED.to_owned(), own.clone())]),
            unified_top: top.path().to_owned(),
        };
        let all = "cpuset cpu io memory pids\n";
        let alone = format!("{}\n", std::process::id());
        group(top.path(), all, all, "");
        group(&own, all, "", &alone);
        assert_eq!(found.unified_parent(), Some(own.as_path()));
        group(&own, all, "", &format!("1\n{alone}"));
        assert_eq!(found.unified_parent(), Some(top.path()));
        group(&own, all, all, &format!("1\n{alone}"));
        assert_eq!(found.unified_parent(), Some(own.as_path()));
        group(&own, "memory pids\n", "", &alone);
        group(top.path(), all, "memory pids\n", "");
        assert_eq!(found.unified_parent(), None, "there is no `cpu` to be had");
    }
}
