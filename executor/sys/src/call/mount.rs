//! Mounts: the new interface (Linux 5.2, `mount_setattr` 5.12) where a tree is made or lent, `mount(2)` for a
//! single fresh file system.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::file::owned;
use super::{Errno, checked, checked_int};

/// Bits of `struct mount_attr` (`linux/mount.h`).
pub(crate) const READ_ONLY: u64 = 0x1;
pub(crate) const NO_SUID: u64 = 0x2;
pub(crate) const NO_DEV: u64 = 0x4;
pub(crate) const NO_EXEC: u64 = 0x8;

/// `struct mount_attr`.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// `mount(2)`.
pub(crate) fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: libc::c_ulong,
    options: &CStr,
) -> Result<(), Errno> {
    // SAFETY: all strings end in NUL and outlive the call, which copies them.
    checked_int(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast())
    })
    .map(drop)
}

/// Makes every mount of this namespace private, so that nothing propagates between it and the namespace it
/// was copied from.
pub(crate) fn make_all_private() -> Result<(), Errno> {
    mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE, c"")
}

/// `umount2(2)` of the topmost mount on `target`, lazily.
pub(crate) fn detach(target: &CStr) -> Result<(), Errno> {
    // SAFETY: `target` ends in NUL and outlives the call.
    checked_int(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// `pivot_root(2)` of the working directory over itself: the old root is left mounted on top, for `detach`.
pub(crate) fn pivot_here() -> Result<(), Errno> {
    // SAFETY: both strings are constants that end in NUL.
    checked(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) }).map(drop)
}

/// `open_tree(2)` with `OPEN_TREE_CLONE`: a detached copy of the mounts at a path and below.
pub(crate) fn clone_tree(at: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | (libc::AT_RECURSIVE | libc::AT_EMPTY_PATH).cast_unsigned();
    // SAFETY: `path` ends in NUL and outlives the call.
    let fd = checked(unsafe { libc::syscall(libc::SYS_open_tree, at.as_raw_fd(), path.as_ptr(), flags) })?;
    Ok(owned(fd as RawFd))
}

/// `move_mount(2)` of a detached mount onto an open place.
pub(crate) fn attach(tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: both strings are constants; being empty they name the descriptors themselves.
    checked(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            place.as_raw_fd(),
            c"".as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// The scope of `set_attributes`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// One mount.
    One,
    /// The mount and all below it, or none of them.
    Tree,
}

/// `mount_setattr(2)`: sets attributes of a mount, and makes it private.
pub(crate) fn set_attributes(at: BorrowedFd<'_>, path: &CStr, set: u64, reach: Reach) -> Result<(), Errno> {
    let attributes = Attributes { set, clear: 0, propagation: libc::MS_PRIVATE, user_namespace: 0 };
    let recursive = if reach == Reach::Tree { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `path` ends in NUL; `attributes` has the layout of the first version of `struct mount_attr`,
    // whose size is passed.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at.as_raw_fd(),
            path.as_ptr(),
            recursive | libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    })
    .map(drop)
}
