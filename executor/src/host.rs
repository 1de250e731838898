//! What this machine can hold a sandbox to: found once at start by trying (`bailiwick_sys::probe`), and published.
//!
//! Nothing here is assumed. A machine without a writable cgroup can still confine, but not limit a sandbox as a whole; whether that will do is the policy's to
//! say, sandbox by sandbox ([`crate::confine`]).

use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_sys::probe::{Missing, Report, probe};
use bailiwick_sys::{CgroupError, CgroupRoot, Ids};
use thiserror::Error;

/// Name of the launcher program.
const LAUNCHER: &str = "bailiwick-launcher";

/// Name of this executor's group below its own one.
const CGROUP: &str = "bailiwick";

/// Name of the group in which a machine is only looked at, beside an executor that serves on it.
const PROBE_CGROUP: &str = "bailiwick-probe";

/// Why nothing can be confined here.
#[derive(Debug, Error)]
pub enum HostError {
    /// The program that makes sandboxes is not there.
    #[error(
        "`{LAUNCHER}` is neither beside this program nor in PATH; it is built with the executor and belongs beside it"
    )]
    NoLauncher,
    /// Another executor works in the same group.
    #[error(
        "{0}; if an executor serves on this machine, have it make the call (`run --socket PATH`), or end it first"
    )]
    Cgroup(CgroupError),
}

/// This machine.
#[derive(Clone)]
pub struct Host {
    sys: Arc<bailiwick_sys::Host>,
    found: Arc<Report>,
}

impl Host {
    /// Looks at this machine.
    ///
    /// # Errors
    /// Nothing can be confined here.
    pub fn find() -> Result<Self, HostError> {
        Self::with(launcher().ok_or(HostError::NoLauncher)?, CGROUP)
    }

    /// The same without disturbing an executor that works here.
    ///
    /// # Errors
    /// Nothing can be confined here, or somebody else looks as well.
    pub fn look() -> Result<Self, HostError> {
        Self::with(launcher().ok_or(HostError::NoLauncher)?, PROBE_CGROUP)
    }

    /// The same with a launcher program and the name of a group that no other executor on this machine has.
    ///
    /// # Errors
    /// Another executor has the group.
    pub fn with(launcher: PathBuf, group: &str) -> Result<Self, HostError> {
        let (root, refused) = match CgroupRoot::open(group) {
            Ok(root) => (Some(root), None),
            Err(error @ CgroupError::InUse(_)) => return Err(HostError::Cgroup(error)),
            Err(error) => (None, Some(error)),
        };
        let sys = bailiwick_sys::Host::new(launcher, Ids::of_this_process(), root);
        let found = probe(&sys, refused.as_ref());
        Ok(Self { sys: Arc::new(sys), found: Arc::new(found) })
    }

    /// What sandboxes are made with.
    #[must_use]
    pub const fn sys(&self) -> &Arc<bailiwick_sys::Host> {
        &self.sys
    }

    /// All that was found.
    #[must_use]
    pub fn found(&self) -> &Report {
        &self.found
    }

    /// Whether memory, processes and CPUs of a sandbox as a whole are limited and its CPU time counted: a root has all of them or there is none.
    #[must_use]
    pub fn limits(&self) -> bool {
        self.found.cgroup.is_some()
    }

    /// Why something that this machine has not is missing, and what helps. What makes no sandbox at all is why a proc is missing, too.
    #[must_use]
    pub fn refusal(&self, what: Missing) -> (String, String) {
        let refusal = self.found.refusal(what).or_else(|| self.found.refusal(Missing::Sandboxes));
        refusal.map(|refusal| (refusal.why.clone(), refusal.remedy.clone())).unwrap_or_default()
    }
}

fn launcher() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(LAUNCHER)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join(LAUNCHER));
    beside.into_iter().chain(in_path).find(|candidate| candidate.is_file())
}
