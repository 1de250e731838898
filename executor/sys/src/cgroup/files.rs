//! The files of cgroupfs: short texts, read and written whole; and its directories, one of which a root locks.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// How long a lock may stay with a process that has ended: a child that it had begun holds a copy of every
/// descriptor until it executes its program, and flock(2) keeps a lock until the last copy is closed.
const LEFT_LOCKED: Duration = Duration::from_secs(1);

/// Pause between two attempts to lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Makes a directory, unless it exists.
pub(super) fn make(directory: &Path) -> Result<(), Errno> {
    match file::make_directory(file::CWD, &text(directory), 0o755) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}

/// Makes a directory, unless it exists, and locks it for this process (`flock(2)`, exclusive). The lock ends
/// with the descriptor, and so with the process.
///
/// # Errors
/// EWOULDBLOCK when another process has had it for [`LEFT_LOCKED`]; errors of `mkdir(2)` and `open(2)`.
pub(super) fn claim(directory: &Path) -> Result<OwnedFd, Errno> {
    let deadline = Instant::now() + LEFT_LOCKED;
    loop {
        make(directory)?;
        match lock(&text(directory)) {
            // The other process has it, or has ended in good order and removed the directory meanwhile.
            Err(Errno::EWOULDBLOCK | Errno::ENOENT) if Instant::now() < deadline => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(Errno::ENOENT) => return Err(Errno::EWOULDBLOCK),
            other => return other,
        }
    }
}

/// Locks a directory, without waiting. ENOENT: it is not at its path, or no longer.
fn lock(path: &CStr) -> Result<OwnedFd, Errno> {
    let open = || file::open(file::CWD, path, libc::O_RDONLY | libc::O_DIRECTORY, 0);
    let opened = open()?;
    file::lock_exclusively(opened.as_fd())?;
    let identity =
        |opened: &OwnedFd| file::status(opened.as_fd()).map(|status| (status.st_dev, status.st_ino));
    if identity(&opened)? == identity(&open()?)? { Ok(opened) } else { Err(Errno::ENOENT) }
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    /// Has a lock end while it is waited for, in one of two ways.
    fn claimed_after(end: impl FnOnce(OwnedFd) + Send) {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("root");
        let held = claim(&directory).unwrap();
        let (began, begun) = std::sync::mpsc::channel();
        let claimed = std::thread::scope(|scope| {
            scope.spawn(move || {
                began.send(()).unwrap();
                std::thread::sleep(LOCK_PAUSE * 4);
                end(held);
            });
            begun.recv().unwrap();
            claim(&directory).unwrap()
        });
        file::make_directory(claimed.as_fd(), c"group", 0o755).unwrap();
        assert!(directory.join("group").is_dir());
        assert_eq!(claim(&directory).unwrap_err(), Errno::EWOULDBLOCK);
    }

    #[test]
    fn a_lock_that_a_killed_process_leaves_is_waited_for() {
        claimed_after(drop);
    }

    #[test]
    fn a_directory_that_is_removed_with_its_lock_is_made_again() {
        claimed_after(|held| {
            let path = std::fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd())).unwrap();
            std::fs::remove_dir(path).unwrap();
        });
    }
}
