//! The files of openings, one beside each segment. Deletable: the log verifies without them.
//!
//! ```text
//! write ► the record's group is written and flushed ► flush, by the attendant        a flush failed ► mend: written again from memory, flushed
//!  └ failed: the group is refused
//! ```
//! What is written and not flushed yet is kept in memory as well, within a bound: after a flush that failed the kernel may have dropped it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::dir::{Dir, sync_dir};
use crate::waiter::lock;

/// Most bytes that are kept in memory of one file; then it is flushed before it is due. Some seconds of calls with small arguments.
const MAX_UNFLUSHED_BYTES: usize = 16 * 1024 * 1024;

/// The files of openings that are written to, or not flushed yet.
#[derive(Debug, Default)]
pub(crate) struct Disclosures {
    /// The active segment's last; before it those that are not known to be flushed.
    files: Vec<Current>,
}

#[derive(Debug)]
struct Current {
    segment: u32,
    file: Arc<Shared>,
    /// Behind what was written.
    offset: u64,
    /// What stands between `offset` and what is known to be flushed.
    unflushed: Vec<u8>,
    is_dirty: bool,
}

/// A file that the attendant flushes while the next group is written.
#[derive(Debug)]
struct Shared {
    file: File,
    /// How far it is flushed. Read without waiting for a flush.
    flushed: AtomicU64,
    /// Whether a flush has failed, and nothing has made it good yet.
    has_failed: AtomicBool,
    /// Held while it is flushed: the kernel tells of an error once, and whoever flushed beside would be told that all is well.
    flushing: Mutex<()>,
}

/// Openings that nobody has flushed yet; whoever takes them flushes them.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    file: Arc<Shared>,
    to: u64,
}

impl Written {
    /// Flushes them. After an error the log refuses records until [`Disclosures::mend`] has succeeded.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.file.flush(self.to)
    }

    /// Whether both are in one file.
    pub(crate) fn is_in_the_file_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }

    /// Something in a file, up to an offset.
    #[cfg(test)]
    pub(crate) fn to(file: File, to: u64) -> Self {
        Self { file: Arc::new(Shared::new(file, 0)), to }
    }
}

impl Shared {
    fn new(file: File, flushed: u64) -> Self {
        let has_failed = AtomicBool::new(false);
        Self { file, flushed: AtomicU64::new(flushed), has_failed, flushing: Mutex::new(()) }
    }

    fn flush(&self, to: u64) -> io::Result<()> {
        let _one_at_a_time = lock(&self.flushing);
        if self.has_failed() {
            return Err(io::Error::other("an earlier flush of this file failed"));
        }
        if self.flushed() >= to {
            return Ok(());
        }
        let done = self.file.sync_data();
        match done {
            Ok(()) => self.flushed.store(to, Ordering::Release),
            Err(_) => self.has_failed.store(true, Ordering::Release),
        }
        done
    }

    fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }

    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }
}

impl Current {
    fn open(dir: &Dir, segment: u32) -> io::Result<Self> {
        let path = dir.disclosure(segment);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        let mut offset = file.metadata()?.len();
        if offset == 0 {
            path.parent().map_or(Ok(()), sync_dir)?;
        } else {
            // A line that a crash cut off ends here; it opens nothing.
            file.write_all_at(b"\n", offset)?;
            offset += 1;
        }
        let file = Arc::new(Shared::new(file, offset));
        Ok(Self { segment, file, offset, unflushed: Vec::new(), is_dirty: false })
    }

    fn is_flushed(&self) -> bool {
        self.file.flushed() >= self.offset
    }

    /// Forgets what is flushed.
    fn forget(&mut self) {
        let left = self.offset.saturating_sub(self.file.flushed());
        let flushed = self.unflushed.len().saturating_sub(usize::try_from(left).unwrap_or(usize::MAX));
        drop(self.unflushed.drain(..flushed));
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.forget();
        if self.unflushed.len().saturating_add(text.len()) > MAX_UNFLUSHED_BYTES {
            self.file.flush(self.offset)?;
            self.forget();
        }
        if let Err(error) = self.file.file.write_all_at(text, self.offset) {
            // If this fails as well, the next lines are written over it, and what is left behind them opens nothing.
            drop(self.file.file.set_len(self.offset));
            return Err(error);
        }
        self.offset += text.len() as u64;
        self.unflushed.extend_from_slice(text);
        self.is_dirty = true;
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        if !self.file.has_failed() {
            return Ok(());
        }
        // Nobody flushes beside it, so what is forgotten here is all that is flushed.
        let shared = Arc::clone(&self.file);
        let _one_at_a_time = lock(&shared.flushing);
        self.forget();
        let begin = self.offset.saturating_sub(self.unflushed.len() as u64);
        self.file.file.write_all_at(&self.unflushed, begin)?;
        self.file.file.sync_data()?;
        self.file.flushed.store(self.offset, Ordering::Release);
        self.file.has_failed.store(false, Ordering::Release);
        Ok(())
    }
}

impl Disclosures {
    /// Writes the lines of a group that has its place in this segment.
    pub(crate) fn write(&mut self, dir: &Dir, segment: u32, text: &[u8]) -> io::Result<()> {
        if self.files.last().is_none_or(|current| current.segment != segment) {
            // The attendant flushes the one that is whole; one that it has not come to by the next is waited for.
            if let [earlier @ .., _] = self.files.as_slice() {
                earlier.iter().try_for_each(|file| file.file.flush(file.offset))?;
            }
            self.files.retain(|file| !file.is_flushed());
            self.files.push(Current::open(dir, segment)?);
        }
        self.files.last_mut().map_or(Ok(()), |current| current.write(text))
    }

    /// Takes back what was written last, of a group that is not of the log: it was refused, and nobody is to read it.
    pub(crate) fn take_back(&mut self, text: &[u8]) {
        let Some(current) = self.files.last_mut().filter(|_| !text.is_empty()) else { return };
        current.offset = current.offset.saturating_sub(text.len() as u64);
        current.unflushed.truncate(current.unflushed.len().saturating_sub(text.len()));
        // No record of this segment and number says anything else, so a line that stays opens nothing.
        drop(current.file.file.set_len(current.offset));
    }

    /// Flushes what was written.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.file.flush(file.offset))
    }

    /// Whether a flush failed, and what it was for is in memory alone.
    pub(crate) fn has_failed(&self) -> bool {
        self.files.iter().any(|file| file.file.has_failed())
    }

    /// After a flush that failed: writes again what was not flushed, and flushes it.
    pub(crate) fn mend(&mut self) -> io::Result<()> {
        self.files.iter_mut().try_for_each(Current::mend)
    }

    /// What is not flushed yet, once.
    pub(crate) fn take_dirty(&mut self) -> Option<Written> {
        let current = self.files.last_mut()?;
        if !std::mem::take(&mut current.is_dirty) {
            return None;
        }
        Some(Written { file: Arc::clone(&current.file), to: current.offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_flush_was_for_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::new(folder.path());
        dir.create().unwrap();
        let read = || std::fs::read_to_string(dir.disclosure(1)).unwrap();
        let mut disclosures = Disclosures::default();
        disclosures.write(&dir, 1, b"one\n").unwrap();
        disclosures.take_dirty().unwrap().flush().unwrap();
        disclosures.write(&dir, 1, b"two\n").unwrap();
        let unflushed = disclosures.take_dirty().unwrap();
        // As after an error of the disk: the kernel has dropped the page, and says so once.
        unflushed.file.has_failed.store(true, Ordering::Release);
        unflushed.file.file.set_len(4).unwrap();
        assert!(unflushed.flush().is_err() && disclosures.has_failed());
        assert!(disclosures.flush().is_err(), "nothing goes on over what is lost");
        disclosures.mend().unwrap();
        assert_eq!((read().as_str(), disclosures.has_failed()), ("one\ntwo\n", false));
        disclosures.write(&dir, 1, b"refused\n").unwrap();
        disclosures.take_back(b"refused\n");
        disclosures.write(&dir, 1, b"four\n").unwrap();
        disclosures.flush().unwrap();
        assert_eq!(read(), "one\ntwo\nfour\n");
    }
}
