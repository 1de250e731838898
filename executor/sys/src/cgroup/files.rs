//! The files of cgroupfs: short texts, read and written whole.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::call::{Errno, file};

/// Memory and swap together (v1), and swap alone (v2). Both are missing where the kernel counts no swap.
pub(super) const V1_SWAP: &str = "memory.memsw.limit_in_bytes";
pub(super) const V2_SWAP: &str = "memory.swap.max";

/// A path for a system call. A path with a NUL cannot come from cgroupfs.
pub(super) fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

pub(super) fn is_swap(path: &Path) -> bool {
    path.ends_with(V1_SWAP) || path.ends_with(V2_SWAP)
}

/// The groups directly below one.
pub(super) fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.is_dir()).collect()
}

/// Locks a directory for this process (`flock(2)`, exclusive, without waiting). The lock ends with the descriptor, so with the process.
pub(super) fn lock(directory: &Path) -> Result<OwnedFd, Errno> {
    let opened = file::open(file::CWD, &text(directory), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    file::lock_exclusively(std::os::fd::AsFd::as_fd(&opened))?;
    Ok(opened)
}
