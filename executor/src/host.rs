//! What this machine can enforce on a sandbox: found once at start by trying (`bailiwick_sys::probe`), and
//! published.
//!
//! Nothing here is assumed. A machine without a writable cgroup can still confine, but cannot limit a sandbox
//! as a whole; the policy decides for each sandbox whether that suffices ([`crate::confine`]).

use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_sys::probe::{Missing, Report, probe};
use bailiwick_sys::{CgroupError, CgroupRoot, Ids};
use thiserror::Error;

/// Name of the launcher program.
const LAUNCHER: &str = "bailiwick-launcher";

/// Name of this executor's group below its own group.
const CGROUP: &str = "bailiwick";

/// Name of the group used only to probe a machine, next to an executor that serves on it.
const PROBE_CGROUP: &str = "bailiwick-probe";

/// Why nothing can be confined here.
#[derive(Debug, Error)]
pub enum HostError {
    /// The program that makes sandboxes is missing.
    #[error(
        "`{LAUNCHER}` is neither beside this program nor in PATH; it is built with the executor and belongs beside it"
    )]
    NoLauncher,
    /// Another executor uses the same group.
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
    /// Probes this machine.
    ///
    /// # Errors
    /// Nothing can be confined here.
    pub fn find() -> Result<Self, HostError> {
        Self::with(launcher().ok_or(HostError::NoLauncher)?, CGROUP)
    }

    /// The same, without disturbing an executor that runs here.
    ///
    /// # Errors
    /// Nothing can be confined here, or another process is probing as well.
    pub fn look() -> Result<Self, HostError> {
        Self::with(launcher().ok_or(HostError::NoLauncher)?, PROBE_CGROUP)
    }

    /// The same with a launcher program and the name of a group that no other executor on this machine uses.
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

    /// All findings.
    #[must_use]
    pub fn found(&self) -> &Report {
        &self.found
    }

    /// Whether memory, processes and CPUs of a sandbox as a whole are limited and its CPU time counted: a
    /// root has all of these, or there is no root.
    #[must_use]
    pub fn limits(&self) -> bool {
        self.found.cgroup.is_some()
    }

    /// Why something is missing on this machine, and what helps. Whatever prevents all sandboxes is also the
    /// reason for a missing proc.
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
