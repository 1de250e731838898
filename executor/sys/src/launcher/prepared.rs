//! A profile in the form that a child may use after `clone3`: every string ends in NUL, every table is built,
//! and nothing is left to allocate.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::call::{Errno, landlock};
use crate::profile::{Landlock, Proc, Profile};
use crate::seccomp::{Instruction, guarded, makes_network_sockets};

use super::rules::{self, Rule};

/// Everything that holders and workers of one launcher need.
pub(super) struct Prepared {
    pub(super) profile: Profile,
    pub(super) many_ids: bool,
    pub(super) host_name: CString,
    /// Path and options of each writable file system.
    pub(super) tmpfs: Vec<(CString, CString)>,
    pub(super) own_proc: bool,
    pub(super) workspace: Option<CString>,
    pub(super) working_directory: CString,
    pub(super) rules: Vec<Rule>,
    pub(super) handled: Option<landlock::Handled>,
    /// The profile's, with the refusals that every sandbox has.
    pub(super) filter: Vec<Instruction>,
    /// Whether the filter lets programs make sockets that are not Unix sockets.
    pub(super) network_sockets: bool,
    /// `/proc` of the host, from which id maps of holders are written.
    pub(super) host_proc: OwnedFd,
    /// `/proc/sys/user` of the host: reads and writes there apply to the user namespace of the process that
    /// opens it.
    pub(super) namespace_limits: OwnedFd,
}

/// Uid and gid of programs inside, always.
pub(super) const INSIDE_ID: u32 = 1000;

impl Prepared {
    pub(super) fn new(
        profile: Profile,
        many_ids: bool,
        host_proc: OwnedFd,
        namespace_limits: OwnedFd,
    ) -> Result<Self, Errno> {
        let tmpfs = profile
            .writable
            .iter()
            .map(|tmpfs| {
                let options = format!(
                    "size={},nr_inodes={},mode=1777,uid={INSIDE_ID},gid={INSIDE_ID}",
                    tmpfs.size_bytes, tmpfs.inodes
                );
                Ok((path(&tmpfs.path)?, text(options)?))
            })
            .collect::<Result<_, Errno>>()?;
        let landlock = match profile.landlock {
            Landlock::WhereAvailable => landlock::version().ok(),
            Landlock::Off => None,
        };
        Ok(Self {
            many_ids,
            host_name: text(profile.host_name.clone())?,
            tmpfs,
            own_proc: profile.proc == Proc::Own,
            workspace: profile.workspace.as_deref().map(path).transpose()?,
            working_directory: path(&profile.working_directory)?,
            rules: rules::of(&profile)?,
            handled: landlock.map(rules::handled),
            filter: guarded(&profile.filter).map_err(|_| Errno::E2BIG)?.0,
            network_sockets: makes_network_sockets(&profile.filter),
            host_proc,
            namespace_limits,
            profile,
        })
    }
}

pub(super) fn path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

pub(super) fn text(text: String) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}
