//! The files of cgroupfs: short texts, read and written whole.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::call::{Errno, file};
use crate::step::{Fault, Step, attempt};

/// Memory and swap together (v1), and swap alone (v2). Both are missing where the kernel counts no swap.
pub(super) const V1_SWAP: &str = "memory.memsw.limit_in_bytes";
pub(super) const V2_SWAP: &str = "memory.swap.max";

/// A path for a system call. A path with a NUL cannot come from cgroupfs.
pub(super) fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

pub(super) fn is_swap(name: &str) -> bool {
    name == V1_SWAP || name == V2_SWAP
}

/// The groups directly below one.
pub(super) fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.is_dir()).collect()
}

/// Locks a directory for this process (`flock(2)`, exclusive, without waiting). The lock ends with the
/// descriptor, and so with the process.
pub(super) fn lock(directory: &Path) -> Result<OwnedFd, Errno> {
    let opened = file::open(file::CWD, &text(directory), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    file::lock_exclusively(opened.as_fd())?;
    Ok(opened)
}

/// A directory of one hierarchy: a root's, or that of a group in it. Its files are opened relative to the
/// root's descriptor: a sandbox needs two dozen of these opens, and walking from `/` was most of the cost of
/// each.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    /// The whole path, for messages and rare operations.
    pub(super) path: PathBuf,
    /// The root, open and locked.
    root: Arc<OwnedFd>,
    /// The path from the root to here, with a `/` at its end; empty for the root itself.
    below: String,
}

impl Directory {
    /// The directory of a root.
    pub(super) fn of_root(path: PathBuf, root: Arc<OwnedFd>) -> Self {
        Self { path, root, below: String::new() }
    }

    /// The directory of a group in a root.
    pub(super) fn group(&self, name: &str) -> Self {
        Self { path: self.path.join(name), root: Arc::clone(&self.root), below: format!("{name}/") }
    }

    /// The root's descriptor, to which the paths from `file` are relative.
    pub(super) fn at(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The path of a file in it; an empty name is the directory itself.
    pub(super) fn file(&self, name: &str) -> CString {
        // The name of a group or file in cgroupfs never has a NUL.
        CString::new(format!("{}{name}", self.below)).unwrap_or_default()
    }

    /// Creates it.
    pub(super) fn make(&self) -> Result<(), Fault> {
        let name = self.file("");
        Ok(attempt(Step::CgroupCreate, &name, || file::make_directory(self.at(), &name, 0o755))?)
    }

    /// Removes it, if it is empty.
    pub(super) fn remove(&self) -> Result<(), Errno> {
        file::remove_directory(self.at(), &self.file(""))
    }

    /// Opens a file in it; an empty name opens the directory itself.
    pub(super) fn open(&self, name: &str, flags: i32) -> Result<OwnedFd, Fault> {
        let path = self.file(name);
        Ok(attempt(Step::CgroupCreate, &path, || file::open(self.at(), &path, flags, 0))?)
    }
}
