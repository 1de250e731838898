//! What the executor's host provides for sandboxes: the launcher program, ids to run under, and a cgroup to
//! limit them in.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::identity;
use crate::cgroup::CgroupRoot;

/// First of the unprivileged ids outside: where neither distributions (up to
/// 65533), nor `/etc/subuid` (100000 to 600100000), nor user namespaces of pods (from 65536), nor those of
/// systemd-nspawn (524288 to 1879048191), nor SSSD for a directory (200000 to 2000200000) give ids to anybody. Whoever
/// has one of ours could end our processes.
pub const DEFAULT_ID_BASE: u32 = 2_100_000_000;

/// The first id for root of a user namespace that is too small for the other one.
const NESTED_ID_BASE: u32 = 200_000;

/// Ids in the range: one for the launcher, one for holders, the rest for sessions.
pub const ID_COUNT: u32 = 65_536;

/// Ids below this belong to the launcher and to holders.
const FIRST_SESSION_ID: u32 = 2;

/// The ids that programs have outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// A range that is ours: each session has its own id. Needs a privileged executor.
    Range {
        /// First id of the range.
        base: u32,
    },
    /// Only the executor's own id, which every sandbox then has outside. Only their namespaces separate them.
    Single,
}

impl Ids {
    /// A range for root, the single id for every other user.
    #[must_use]
    pub fn of_this_process() -> Self {
        match identity::effective() {
            (0, _) => Self::Range { base: base() },
            _ => Self::Single,
        }
    }

    /// Lines of `uid_map` and `gid_map` for a launcher or keeper.
    pub(crate) fn maps(self) -> (String, String) {
        match self {
            Self::Range { base } => {
                let line = format!("0 {base} {ID_COUNT}\n");
                (line.clone(), line)
            }
            Self::Single => {
                let (user, group) = identity::effective();
                (format!("0 {user} 1\n"), format!("0 {group} 1\n"))
            }
        }
    }
}

/// The first id of a range that this process can give away.
fn base() -> u32 {
    let maps = ["/proc/self/uid_map", "/proc/self/gid_map"];
    let maps = maps.map(|map| std::fs::read_to_string(map).unwrap_or_default());
    let is_ours = |base: &u32| maps.iter().all(|map| has_range(map, *base));
    // Where neither is, starting a launcher fails and says so.
    [DEFAULT_ID_BASE, NESTED_ID_BASE].into_iter().find(is_ours).unwrap_or(DEFAULT_ID_BASE)
}

/// Whether a map (`user_namespaces(7)`) has the whole range that begins here.
fn has_range(map: &str, base: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [inside, _, count] = *numbers else { return false };
        inside <= u64::from(base) && u64::from(base) + u64::from(ID_COUNT) <= inside + count
    })
}

/// The host as sandboxes see it. A copy is the same host: it shares ids and cgroups.
#[derive(Clone)]
pub struct Host {
    pub(crate) launcher: PathBuf,
    pub(crate) ids: Ids,
    pub(crate) cgroups: Option<Arc<CgroupRoot>>,
    taken: Arc<Mutex<BTreeSet<u32>>>,
}

impl Host {
    /// Defines what sandboxes are made with. Without cgroups, a profile that has cgroup limits is refused.
    #[must_use]
    pub fn new(launcher: PathBuf, ids: Ids, cgroups: Option<CgroupRoot>) -> Self {
        let cgroups = cgroups.map(|mut root| {
            if let Ids::Range { base } = ids {
                root.set_placer(base);
            }
            Arc::new(root)
        });
        Self { launcher, ids, cgroups, taken: Arc::default() }
    }

    pub(crate) fn many_ids(&self) -> bool {
        matches!(self.ids, Ids::Range { .. })
    }

    /// An identity that no other session has while it lives. `None` when all are taken.
    #[must_use]
    pub fn identity(&self) -> Option<Arc<Identity>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = (FIRST_SESSION_ID..ID_COUNT).find(|id| !taken.contains(id))?;
        taken.insert(inner);
        let outer = match self.ids {
            Ids::Range { base } => base + inner,
            Ids::Single => identity::effective().0,
        };
        Some(Arc::new(Identity { inner, outer, taken: Arc::clone(&self.taken) }))
    }
}

/// The identity outside of one session's programs. Dropping the last copy frees it for another session.
pub struct Identity {
    inner: u32,
    outer: u32,
    taken: Arc<Mutex<BTreeSet<u32>>>,
}

impl Identity {
    /// The id in the namespace of launcher and keeper.
    pub(crate) fn inner(&self) -> u32 {
        self.inner
    }

    /// The user id outside.
    #[must_use]
    pub fn outer_uid(&self) -> u32 {
        self.outer
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.inner);
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_ID_BASE, ID_COUNT, NESTED_ID_BASE, has_range};

    #[test]
    fn a_range_is_ours_if_the_namespace_has_all_of_it() {
        let machine = "         0          0 4294967295\n";
        let nested = "         0    1000000 1000000000\n";
        let pod = "         0     131072      65536\n";
        let has = |map| [DEFAULT_ID_BASE, NESTED_ID_BASE].map(|base| has_range(map, base));
        assert_eq!([has(machine), has(nested), has(pod)], [[true, true], [false, true], [false, false]]);
        assert!(!has_range(&format!("0 7 {}\n", NESTED_ID_BASE + ID_COUNT - 1), NESTED_ID_BASE));
        assert!(has_range(&format!("0 7 {}\n", NESTED_ID_BASE + ID_COUNT), NESTED_ID_BASE));
        assert!(!has_range("", NESTED_ID_BASE) && !has_range("x\n", NESTED_ID_BASE));
    }

    /// Root of another namespace that has such ids can send signals to whatever has ours.
    #[test]
    fn nobody_else_is_given_the_ids_of_sandboxes() {
        let given = [
            ("subuid(5)", 100_000, 600_100_000),
            ("sssd-ad(5)", 200_000, 2_000_200_000),
            ("systemd's UIDS-GIDS", 524_288, 1_879_048_191),
            ("foreign ids of systemd", 2_147_352_576, u32::MAX),
        ];
        for (whose, from, to) in given {
            assert!(DEFAULT_ID_BASE > to || DEFAULT_ID_BASE + ID_COUNT <= from, "{whose}");
        }
    }
}
