//! Files and descriptors.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::{Errno, checked, checked_int};

/// `struct open_how` of `openat2(2)`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// The directory of a relative path when none is given.
pub(crate) const CWD: BorrowedFd<'static> = {
    // SAFETY: AT_FDCWD is not a descriptor but the kernel's name for the working directory; it is never
    // closed and always valid.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
};

/// `openat(2)` with `O_CLOEXEC` always set.
pub(crate) fn open(
    at: BorrowedFd<'_>,
    path: &CStr,
    flags: libc::c_int,
    mode: libc::mode_t,
) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` ends in NUL and outlives the call; the kernel copies it.
    let fd =
        checked_int(unsafe { libc::openat(at.as_raw_fd(), path.as_ptr(), flags | libc::O_CLOEXEC, mode) })?;
    Ok(owned(fd))
}

/// `openat2(2)` (Linux 5.6): an open that refuses what `resolve` names.
pub(crate) fn open_resolved(
    at: BorrowedFd<'_>,
    path: &CStr,
    flags: libc::c_int,
    mode: libc::mode_t,
    resolve: u64,
) -> Result<OwnedFd, Errno> {
    let flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
    let how = OpenHow { flags, mode: u64::from(mode), resolve };
    // SAFETY: `path` ends in NUL; `how` has the layout of the first version of `struct open_how`, and its
    // size is passed with it.
    let fd = checked(unsafe {
        libc::syscall(libc::SYS_openat2, at.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<OpenHow>())
    })?;
    Ok(owned(fd as RawFd))
}

/// A descriptor that a call has just returned.
pub(super) fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made `fd` for this process and returned it only here, so this is its only
    // owner.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// `read(2)` into a buffer; the number of bytes read.
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is writable for its whole length and is not shared while it is borrowed here.
    let read = checked(
        unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) } as libc::c_long
    )?;
    Ok(read.cast_unsigned() as usize)
}

/// `read(2)`, retried when a signal interrupted it.
pub(crate) fn read_retrying(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match read(fd, buffer) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// `write(2)`; the number of bytes written.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the bytes are readable for their whole length and live through the call.
    let written =
        checked(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) } as libc::c_long)?;
    Ok(written.cast_unsigned() as usize)
}

/// Writes a short text to an existing file with one `write(2)`, as the files of procfs and cgroupfs require.
pub(crate) fn put(at: BorrowedFd<'_>, path: &CStr, text: &[u8]) -> Result<(), Errno> {
    let file = open(at, path, libc::O_WRONLY, 0)?;
    let written = write(std::os::fd::AsFd::as_fd(&file), text)?;
    if written == text.len() { Ok(()) } else { Err(Errno::EIO) }
}

/// `dup3(2)` to a number chosen by the caller, close-on-exec or not. The number must not belong to an owned
/// descriptor; a process that rearranges its descriptors in this way does so first.
pub(crate) fn duplicate_to(fd: BorrowedFd<'_>, number: RawFd, flags: libc::c_int) -> Result<(), Errno> {
    if fd.as_raw_fd() == number {
        // dup3 refuses equal numbers; only the flag is left to set. SAFETY: F_SETFD takes an int and touches
        // no memory of ours.
        return checked_int(unsafe {
            libc::fcntl(
                number,
                libc::F_SETFD,
                if flags & libc::O_CLOEXEC != 0 { libc::FD_CLOEXEC } else { 0 },
            )
        })
        .map(drop);
    }
    // SAFETY: touches no memory. The caller must ensure that `number` has no other owner, as stated above;
    // both callers do, since they run in a fresh child that owns nothing in this range.
    checked_int(unsafe { libc::dup3(fd.as_raw_fd(), number, flags) }).map(drop)
}

/// `close_range(2)` (Linux 5.9): closes every descriptor from `first` up.
pub(crate) fn close_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: touches no memory. It closes descriptors whose owners may still exist as values in the copied
    // memory of a child; both callers end in `execve` or `_exit` and run no destructor of such a value.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) }).map(drop)
}

/// `close_range(2)` from one number to another, both included.
pub(crate) fn close_between(first: RawFd, last: RawFd) -> Result<(), Errno> {
    // SAFETY: as for `close_from`; the one caller is a holder, which keeps the descriptors that it still uses
    // outside the range.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Borrows a descriptor by number in a child that has arranged its own numbers.
pub(crate) fn by_number(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: called only with numbers that the calling child has just filled by `duplicate_to` and keeps
    // open until it ends.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Takes ownership of a descriptor that was inherited under an agreed number, such as standard input.
pub(crate) fn inherited(number: RawFd) -> OwnedFd {
    // SAFETY: called once for a number, at the start of a program, for a descriptor that nothing else in the
    // process owns.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// `mkdirat(2)`.
pub(crate) fn make_directory(at: BorrowedFd<'_>, path: &CStr, mode: libc::mode_t) -> Result<(), Errno> {
    // SAFETY: `path` ends in NUL and outlives the call.
    checked_int(unsafe { libc::mkdirat(at.as_raw_fd(), path.as_ptr(), mode) }).map(drop)
}

/// `unlinkat(2)` of a name that is not a directory.
pub(crate) fn unlink(at: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: `name` ends in NUL and outlives the call.
    checked_int(unsafe { libc::unlinkat(at.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
}

/// `renameat(2)` within one directory.
pub(crate) fn rename(at: BorrowedFd<'_>, from: &CStr, to: &CStr) -> Result<(), Errno> {
    // SAFETY: both names end in NUL and outlive the call.
    checked_int(unsafe { libc::renameat(at.as_raw_fd(), from.as_ptr(), at.as_raw_fd(), to.as_ptr()) })
        .map(drop)
}

/// `getdents64(2)`: the next records of a directory; zero bytes at its end.
pub(crate) fn list(directory: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the buffer is writable for its whole length.
    let length = checked(unsafe {
        libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), buffer.len())
    })?;
    Ok(length.cast_unsigned() as usize)
}

/// `unlinkat(2)` of an empty directory.
pub(crate) fn remove_directory(at: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    // SAFETY: `path` ends in NUL and outlives the call.
    checked_int(unsafe { libc::unlinkat(at.as_raw_fd(), path.as_ptr(), libc::AT_REMOVEDIR) }).map(drop)
}

/// `fchownat(2)`: changes the owner and keeps the group.
pub(crate) fn change_owner(at: BorrowedFd<'_>, path: &CStr, uid: libc::uid_t) -> Result<(), Errno> {
    // SAFETY: `path` ends in NUL and outlives the call; -1 is not an id but keeps the group.
    checked_int(unsafe { libc::fchownat(at.as_raw_fd(), path.as_ptr(), uid, libc::gid_t::MAX, 0) }).map(drop)
}

/// `symlinkat(2)`.
pub(crate) fn make_link(text: &CStr, at: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    // SAFETY: both strings end in NUL and outlive the call.
    checked_int(unsafe { libc::symlinkat(text.as_ptr(), at.as_raw_fd(), path.as_ptr()) }).map(drop)
}

/// `chdir(2)`.
pub(crate) fn change_directory(path: &CStr) -> Result<(), Errno> {
    // SAFETY: `path` ends in NUL and outlives the call.
    checked_int(unsafe { libc::chdir(path.as_ptr()) }).map(drop)
}

/// `chroot(2)`.
pub(crate) fn change_root(path: &CStr) -> Result<(), Errno> {
    // SAFETY: `path` ends in NUL and outlives the call.
    checked_int(unsafe { libc::chroot(path.as_ptr()) }).map(drop)
}

/// `fstat(2)`.
pub(crate) fn status(fd: BorrowedFd<'_>) -> Result<libc::stat, Errno> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is writable and of the size that the call fills.
    checked_int(unsafe { libc::fstat(fd.as_raw_fd(), stat.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it has filled the whole structure.
    Ok(unsafe { stat.assume_init() })
}

/// `memfd_create(2)`, close-on-exec and sealable.
pub(crate) fn memory_file(name: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: `name` ends in NUL and outlives the call.
    let fd = checked_int(unsafe {
        libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING)
    })?;
    Ok(owned(fd))
}

/// Seals a memory file so that its content can no longer change (`F_ADD_SEALS`).
pub(crate) fn seal(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: F_ADD_SEALS takes an int and touches no memory of ours.
    checked_int(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

/// Sets or clears `O_NONBLOCK`.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: F_GETFL touches no memory of ours.
    let flags = checked_int(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: F_SETFL takes an int and touches no memory of ours.
    checked_int(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// `umask(2)`; cannot fail.
pub(crate) fn set_creation_mask(mask: libc::mode_t) {
    // SAFETY: touches no memory and has no failure.
    unsafe { libc::umask(mask) };
}

/// `flock(2)`, exclusive, without waiting.
pub(crate) fn lock_exclusively(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: takes a descriptor and flags, and touches no memory.
    checked_int(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
}
