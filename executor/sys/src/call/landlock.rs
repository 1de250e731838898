//! Landlock (Linux 5.13): its three calls, and the bits of each version of its interface. `launcher::rules`
//! decides which paths a sandbox may reach.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::file::owned;
use super::{Errno, checked};

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION_QUERY: u32 = 1;

/// `LANDLOCK_RULE_PATH_BENEATH`.
const PATH_BENEATH: u32 = 1;

/// `struct landlock_ruleset_attr` as of version 6; older kernels accept its beginning, or all of it when the
/// rest is zero.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Handled {
    pub(crate) files: u64,
    pub(crate) network: u64,
    pub(crate) scoped: u64,
}

/// `struct landlock_path_beneath_attr`, which the kernel declares packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// The version of the interface in this kernel; an error where it is absent or disabled.
pub(crate) fn version() -> Result<u32, Errno> {
    // SAFETY: the query takes a null pointer and size zero, and reads no memory.
    let version = checked(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Handled>(), 0, VERSION_QUERY)
    })?;
    Ok(u32::try_from(version).unwrap_or(0))
}

/// A new, empty ruleset that handles, and so denies, the given rights.
pub(crate) fn create(handled: &Handled) -> Result<OwnedFd, Errno> {
    // SAFETY: the structure lives through the call and its size is passed with it.
    let fd = checked(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::from_ref(handled), size_of::<Handled>(), 0)
    })?;
    Ok(owned(fd as RawFd))
}

/// Allows `rights` beneath an open path.
pub(crate) fn allow_beneath(ruleset: BorrowedFd<'_>, path: BorrowedFd<'_>, rights: u64) -> Result<(), Errno> {
    let rule = PathBeneath { allowed: rights, parent: path.as_raw_fd() };
    // SAFETY: `rule` has the kernel's packed layout and lives through the call.
    checked(unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), PATH_BENEATH, &raw const rule, 0)
    })
    .map(drop)
}

/// Applies the ruleset to the calling thread permanently.
pub(crate) fn restrict(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: takes a descriptor and flags, and touches no memory.
    checked(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) }).map(drop)
}
