//! The folder of a log: its file names, the lock, the token that fences off a second writer, and atomic
//! writes of small files.
//!
//! ```text
//! DIR/segments/00000001.jsonl   the log itself
//!     disclosures/00000001.jsonl  openings of that segment's commitments
//!     blobs/SHA256                plain values that are too large for a record
//!     recovered/…                 bytes that were cut
//!     keys/current, keys/next     private keys, mode 0600
//!     writer                      token of the writer in charge
//!     lock                        held by it
//! ```
//! Everything is written with `pwrite`, `fdatasync`, `fsync` and `rename`, so that a test can fail each of
//! them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Longest file that is read whole: tokens and keys are some hundred bytes.
const MAX_SMALL_FILE_BYTES: u64 = 4 * 1024;

/// Most files in the folder of segments. At 64 KiB, the smallest size, that is 64 GiB.
const MAX_SEGMENTS: usize = 1_000_000;

/// The folder of a log.
#[derive(Clone, Debug)]
pub(crate) struct Dir {
    root: PathBuf,
}

impl Dir {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes the folder and its subfolders, readable by their owner alone.
    pub(crate) fn create(&self) -> io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true);
        for name in ["segments", "disclosures", "blobs", "recovered", "keys"] {
            builder.create(self.root.join(name))?;
        }
        sync_dir(&self.root)
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn segment(&self, number: u32) -> PathBuf {
        self.segments().join(format!("{number:08}.jsonl"))
    }

    pub(crate) fn disclosure(&self, segment: u32) -> PathBuf {
        self.root.join("disclosures").join(format!("{segment:08}.jsonl"))
    }

    pub(crate) fn blob(&self, name: &crate::Hash) -> PathBuf {
        self.root.join("blobs").join(name.to_string())
    }

    pub(crate) fn recovered(&self, segment: u32, offset: u64) -> PathBuf {
        self.root.join("recovered").join(format!("{segment:08}-{offset}"))
    }

    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.root.join("keys").join(name)
    }

    fn token(&self) -> PathBuf {
        self.root.join("writer")
    }

    /// Numbers of the segments, in order. Files with other names are not part of the log.
    pub(crate) fn list(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for (count, entry) in std::fs::read_dir(self.segments())?.enumerate() {
            // The log may be in what is not listed.
            if count >= MAX_SEGMENTS {
                return Err(io::Error::other(format!("it holds more than {MAX_SEGMENTS} files")));
            }
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
            let digits =
                digits.filter(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()));
            numbers.extend(digits.and_then(|digits| digits.parse::<u32>().ok()).filter(|number| *number > 0));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Takes the lock; `None` if another process holds it.
    pub(crate) fn lock(&self) -> io::Result<Option<Lock>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.root.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Puts this writer in charge. From then on, an older writer that the lock did not stop, because it is on
    /// another machine, acknowledges nothing.
    pub(crate) fn take_charge(&self, token: &str) -> io::Result<()> {
        write_whole(&self.token(), token.as_bytes())
    }

    /// Whether the writer with this token is in charge.
    pub(crate) fn is_in_charge(&self, token: &str) -> io::Result<bool> {
        Ok(read_small(&self.token())? == token.as_bytes())
    }
}

/// The lock on a log, released when this is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    /// Closing the file would not be enough: a child that another thread has begun holds a copy of every
    /// descriptor until it executes its program, and flock(2) keeps a lock until the last copy is closed.
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

/// Opens a file of the log for reading. Whoever can write in the folder may have put something else in its
/// place: opening a pipe would wait for ever, and a link leads elsewhere. Only a regular file is opened.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
    // The standard library adds O_CLOEXEC.
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Reads a small file whole.
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(MAX_SMALL_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file atomically and durably; readable by its owner alone.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    rename(&new, path)
}

/// Renames within a folder, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_does_not_outlive_its_writer_in_a_child_that_has_not_executed_its_program() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::new(root.path());
        let lock = dir.lock().unwrap().expect("nobody holds it");
        assert!(dir.lock().unwrap().is_none(), "it is held");
        let inherited = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(dir.lock().unwrap().is_some(), "it was given back");
        drop(inherited);
    }
}
