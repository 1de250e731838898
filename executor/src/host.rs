//! What this machine can hold a sandbox to: found once at start, and published.
//!
//! Nothing here is assumed. A machine without a writable cgroup can still confine, but not limit a sandbox as a whole; whether that will do is the policy's to
//! say, sandbox by sandbox ([`crate::confine`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_sys::{CgroupError, CgroupRoot, CgroupVersion, Ids};
use serde::Serialize;
use thiserror::Error;

/// Name of the launcher program.
const LAUNCHER: &str = "bailiwick-launcher";

/// Name of this executor's group below its own one.
const CGROUP: &str = "bailiwick";

/// Why nothing can be confined here.
#[derive(Debug, Error)]
pub enum HostError {
    /// The program that makes sandboxes is not there.
    #[error(
        "`{LAUNCHER}` is neither beside this program nor in PATH; it is built with the executor and belongs beside it"
    )]
    NoLauncher,
    /// Another executor works in the same group.
    #[error(transparent)]
    Cgroup(CgroupError),
}

/// What an executor has here, from the most to the least (`docs/executor-tiers.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Tier {
    /// Root: each session has an id of its own outside.
    Root,
    /// An ordinary user with a cgroup of its own.
    Delegated,
    /// An ordinary user without one.
    Limited,
    /// A pod with an unmasked /proc, in a user namespace of its own.
    PodUserNs,
    /// A pod whose /proc is covered in parts: sandboxes have none.
    PodRestricted,
}

/// This machine.
#[derive(Clone)]
pub struct Host {
    sys: Arc<bailiwick_sys::Host>,
    tier: Tier,
    cgroup: Result<CgroupVersion, String>,
    proc: Result<(), String>,
}

impl Host {
    /// Looks at this machine.
    ///
    /// # Errors
    /// Nothing can be confined here.
    pub fn find() -> Result<Self, HostError> {
        Self::with(launcher().ok_or(HostError::NoLauncher)?, CGROUP)
    }

    /// The same with a launcher program and the name of a group that no other executor on this machine has.
    ///
    /// # Errors
    /// Another executor has the group.
    pub fn with(launcher: PathBuf, group: &str) -> Result<Self, HostError> {
        let ids = Ids::of_this_process();
        let (root, cgroup) = match CgroupRoot::open(group) {
            Ok(root) => {
                let version = root.version();
                (Some(root), Ok(version))
            }
            Err(error @ CgroupError::InUse(_)) => return Err(HostError::Cgroup(error)),
            Err(error) => (None, Err(error.to_string())),
        };
        let proc = proc_mountable();
        // Set by the kubelet in every container. It can only make the name another; what is enforced is tried.
        let pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let tier = match (ids, &root) {
            (Ids::Range { .. }, _) => Tier::Root,
            (Ids::Single, _) if pod && proc.is_ok() => Tier::PodUserNs,
            (Ids::Single, _) if pod => Tier::PodRestricted,
            (Ids::Single, Some(_)) => Tier::Delegated,
            (Ids::Single, None) => Tier::Limited,
        };
        let sys = Arc::new(bailiwick_sys::Host::new(launcher, ids, root));
        Ok(Self { proc, sys, tier, cgroup })
    }

    /// What sandboxes are made with.
    #[must_use]
    pub const fn sys(&self) -> &Arc<bailiwick_sys::Host> {
        &self.sys
    }

    /// What an executor has here.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// Which cgroups there are.
    ///
    /// # Errors
    /// Why there are none.
    pub fn cgroup(&self) -> Result<CgroupVersion, &str> {
        self.cgroup.as_ref().copied().map_err(String::as_str)
    }

    /// Whether memory, processes and CPUs of a sandbox as a whole are limited and its CPU time counted: a root has all of them or there is none.
    #[must_use]
    pub const fn limits(&self) -> bool {
        self.cgroup.is_ok()
    }

    /// Why not, and what helps.
    #[must_use]
    pub fn cgroup_refusal(&self) -> (String, String) {
        let why = self.cgroup.as_ref().err().cloned().unwrap_or_default();
        let remedy = "a cgroup that it may write: run it as root, or with `systemd-run --user -p Delegate=yes`, or with `cgroup: Writable` in its pool";
        (why, remedy.to_owned())
    }

    /// Whether a sandbox can have a /proc of its own.
    #[must_use]
    pub const fn proc(&self) -> bool {
        self.proc.is_ok()
    }

    /// Why not, and what helps.
    #[must_use]
    pub fn proc_refusal(&self) -> (String, String) {
        let why = self.proc.as_ref().err().cloned().unwrap_or_default();
        (why, "an unmasked /proc: in a pod `procMount: Unmasked` with `hostUsers: false`".to_owned())
    }
}

fn launcher() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(LAUNCHER)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join(LAUNCHER));
    beside.into_iter().chain(in_path).find(|candidate| candidate.is_file())
}

/// The kernel gives a new procfs only where the visible one is not covered in parts (mount_namespaces(7)): a container's masked paths are such covers.
fn proc_mountable() -> Result<(), String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("/proc cannot be read: {error}"))?;
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let covers: Vec<&str> =
        points.filter(|point| Path::new(point).starts_with("/proc") && *point != "/proc").collect();
    // Automounters and binfmt_misc lie on empty directories and cover nothing.
    let covering: Vec<&str> =
        covers.into_iter().filter(|point| !point.starts_with("/proc/sys/fs/binfmt_misc")).collect();
    if covering.is_empty() {
        Ok(())
    } else {
        Err(format!("parts of /proc are covered here: {}", covering.join(", ")))
    }
}
