//! What the executor's host provides for sandboxes: the launcher program, ids to run under, and a cgroup to
//! limit them in.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::identity;
use crate::cgroup::CgroupRoot;

/// First of the unprivileged ids outside, unless the operator says otherwise: above what distributions assign
/// to users and services (up to 65533), and above the first ranges of `/etc/subuid` (100000 and 165536).
pub const DEFAULT_ID_BASE: u32 = 200_000;

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
            (0, _) => Self::Range { base: DEFAULT_ID_BASE },
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
