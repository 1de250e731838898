//! The kernel calls that a sandbox is made of: one system call per function, owned descriptors in and out,
//! and the only `unsafe` code of the project. Nothing here decides anything; order and meaning are in
//! `launcher`, `keeper` and `sandbox`.
//!
//! Two rules hold in every function, because holders and workers run between `clone3` and `execve` of a
//! process that has a second thread: nothing allocates, and nothing takes a lock. What a call needs (strings,
//! tables) is made ahead and borrowed.

pub(crate) mod file;
pub(crate) mod identity;
pub(crate) mod landlock;
pub(crate) mod mount;
pub(crate) mod process;
pub(crate) mod socket;

pub use nix::errno::Errno;

/// The result of a raw call, as a value or the error that it left in `errno`.
fn checked(returned: libc::c_long) -> Result<libc::c_long, Errno> {
    if returned < 0 { Err(Errno::last()) } else { Ok(returned) }
}

/// The same for calls that return a C `int`.
fn checked_int(returned: libc::c_int) -> Result<libc::c_int, Errno> {
    if returned < 0 { Err(Errno::last()) } else { Ok(returned) }
}
