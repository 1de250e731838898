//! The files of openings, one next to each segment. They may be deleted: the log verifies without them.
//!
//! ```text
//! write ► the record's group is written and flushed ► flush, by the attendant
//!  │                                                   └ failed ► mend: written again from memory, flushed
//!  └ failed ► the group is refused ► mend: as much is written and taken back, before all is reported well
//!           └ it has only results ► hold ► mend: written, flushed
//! ```
//! What is written but not yet flushed is also kept in memory, within a bound, because the kernel may drop it
//! after a failed flush. Openings of results that could not be written are kept as well: their calls have
//! run, so their records are written without them, into the room that is reserved for results.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::dir::{Dir, sync_dir};
use crate::waiter::lock;

/// Most unflushed bytes of one file that are kept in memory: some seconds of calls with small arguments.
/// Beyond that the file is flushed before it is due.
const MAX_UNFLUSHED_BYTES: usize = 16 * 1024 * 1024;

/// Most bytes that are held in memory because they could not be written: the results of some hundred calls, or
/// those of one call, however many. Results beyond that stay queued.
const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;

/// Most bytes that are written to test whether there is room again: as many as a group of records may have,
/// unless it is a single record.
pub(crate) const MAX_PROBE_BYTES: usize = 1024 * 1024;

/// The files of openings that are being written, or are not flushed yet.
#[derive(Debug, Default)]
pub(crate) struct Disclosures {
    /// The active segment's file last; before it, files that are not known to be flushed, or whose end may
    /// have to be taken back.
    files: Vec<Current>,
    /// Openings of records that are durable without them, by segment and in order.
    held: VecDeque<(u32, Vec<u8>)>,
    /// The segment whose openings last failed to be written, and how many bytes they had.
    refused: Option<(u32, usize)>,
    /// Why the write failed, or why it still fails.
    why: Option<Arc<io::Error>>,
}

#[derive(Debug)]
struct Current {
    segment: u32,
    file: Arc<Shared>,
    /// Where the written bytes end.
    offset: u64,
    /// The bytes before `offset` that are not known to be flushed.
    unflushed: Vec<u8>,
    is_dirty: bool,
    /// How many bytes at its end belong to a group that was refused, and that a recovery after a crash may
    /// accept.
    disowned: usize,
}

/// A file that the attendant flushes while the next group is written.
#[derive(Debug)]
struct Shared {
    file: File,
    /// How far it is flushed. Read without waiting for a flush.
    flushed: AtomicU64,
    /// Whether a flush has failed and has not been repaired yet.
    has_failed: AtomicBool,
    /// Held during a flush: the kernel reports an error once, so a concurrent flush would report success.
    flushing: Mutex<()>,
}

/// Openings that are not flushed yet; the thread that takes them flushes them.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    file: Arc<Shared>,
    to: u64,
}

impl Written {
    /// Flushes them. After an error the log accepts only results until [`Disclosures::mend`] has succeeded.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.file.flush(self.to)
    }

    /// Whether both are in the same file.
    pub(crate) fn is_in_the_file_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file)
    }

    /// Bytes of a file, up to an offset.
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
            // Ends a line that a crash cut off; that line opens nothing.
            file.write_all_at(b"\n", offset)?;
            offset += 1;
        }
        let file = Arc::new(Shared::new(file, offset));
        Ok(Self { segment, file, offset, unflushed: Vec::new(), is_dirty: false, disowned: 0 })
    }

    fn is_flushed(&self) -> bool {
        self.file.flushed() >= self.offset
    }

    /// Drops from memory what is flushed.
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
            // If this fails as well, the next lines overwrite it, and what remains behind them opens nothing.
            drop(self.file.file.set_len(self.offset));
            return Err(error);
        }
        self.offset += text.len() as u64;
        self.unflushed.extend_from_slice(text);
        self.is_dirty = true;
        Ok(())
    }

    /// Removes the last bytes.
    fn cut(&mut self, bytes: usize) {
        self.offset = self.offset.saturating_sub(bytes as u64);
        self.unflushed.truncate(self.unflushed.len().saturating_sub(bytes));
        self.file.flushed.fetch_min(self.offset, Ordering::AcqRel);
        // No other opening has this segment and record number, so a line that stays opens nothing.
        drop(self.file.file.set_len(self.offset));
    }

    fn mend(&mut self) -> io::Result<()> {
        if !self.file.has_failed() {
            return Ok(());
        }
        // Nothing flushes it concurrently, so exactly what is flushed is dropped here.
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
    /// Writes the lines of a group that goes into this segment.
    pub(crate) fn write(&mut self, dir: &Dir, segment: u32, text: &[u8]) -> io::Result<()> {
        self.put(dir, segment, text).map_err(|error| {
            self.refused = Some((segment, text.len().min(MAX_PROBE_BYTES)));
            self.note(error)
        })
    }

    fn put(&mut self, dir: &Dir, segment: u32, text: &[u8]) -> io::Result<()> {
        if self.files.last().is_none_or(|current| current.segment != segment) {
            // The attendant flushes the file of a full segment; if it has not done so by the next one, this
            // waits for it.
            if let [earlier @ .., _] = self.files.as_slice() {
                earlier.iter().try_for_each(|file| file.file.flush(file.offset))?;
            }
            self.files.retain(|file| !file.is_flushed() || file.disowned > 0);
            self.files.push(Current::open(dir, segment)?);
        }
        self.files.last_mut().map_or(Ok(()), |current| current.write(text))
    }

    /// Remembers why openings are not on the disk.
    fn note(&mut self, error: io::Error) -> io::Error {
        let error = Arc::new(error);
        self.why = Some(Arc::clone(&error));
        io::Error::new(error.kind(), error)
    }

    /// Keeps in memory the openings that could not be written, of a group that is written without them;
    /// returns whether there is room.
    pub(crate) fn hold(&mut self, segment: u32, text: &[u8]) -> bool {
        let held: usize = self.held.iter().map(|(_, text)| text.len()).sum();
        // Left in the queue, where it takes as much memory, a single result would never become durable.
        if held > 0 && held.saturating_add(text.len()) > MAX_HELD_BYTES {
            return false;
        }
        self.held.push_back((segment, text.to_vec()));
        self.refused = None;
        true
    }

    /// Takes back what was written or held last: its group was refused, is not part of the log, and must not
    /// be read.
    pub(crate) fn take_back(&mut self, text: &[u8]) {
        if text.is_empty() || self.is_held_last(text) {
            return;
        }
        if let Some(current) = self.files.last_mut() {
            current.cut(text.len());
        }
    }

    /// Notes that what was written last belongs to a group that was refused but may still become part of the
    /// log. The group's bytes are in the segment, and a crash causes them to be read as records, until the
    /// next segment says where the log leaves it.
    pub(crate) fn disown(&mut self, text: &[u8]) {
        if text.is_empty() || self.is_held_last(text) {
            return;
        }
        if let Some(current) = self.files.last_mut() {
            current.disowned = text.len();
        }
    }

    /// Takes back what was disowned: a durable record now says that its group is not part of the log.
    pub(crate) fn take_back_disowned(&mut self) {
        for current in &mut self.files {
            let disowned = std::mem::take(&mut current.disowned);
            if disowned > 0 {
                current.cut(disowned);
            }
        }
    }

    /// Whether this was held last; if so, it is held no longer.
    fn is_held_last(&mut self, text: &[u8]) -> bool {
        let is_last = self.held.back().is_some_and(|(_, held)| held == text);
        if is_last {
            drop(self.held.pop_back());
        }
        is_last
    }

    /// Flushes what was written.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.file.flush(file.offset))
    }

    /// Whether anything is only in memory, because its flush or its write failed.
    pub(crate) fn has_failed(&self) -> bool {
        !self.held.is_empty() || self.files.iter().any(|file| file.file.has_failed())
    }

    /// Whether something is held.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Why something is only in memory, if anything is.
    pub(crate) fn failure(&self) -> Option<Arc<io::Error>> {
        let said = || io::Error::other("openings of values (`disclosures/`) could not be flushed");
        self.has_failed().then(|| self.why.clone().unwrap_or_else(|| Arc::new(said())))
    }

    /// After a failure: writes again what was not flushed and what was held, and flushes it. Where a group
    /// was refused, tests whether as much can be written now.
    pub(crate) fn mend(&mut self, dir: &Dir) -> io::Result<()> {
        self.try_to_mend(dir).map_err(|error| self.note(error))?;
        self.why = None;
        Ok(())
    }

    fn try_to_mend(&mut self, dir: &Dir) -> io::Result<()> {
        self.files.iter_mut().try_for_each(Current::mend)?;
        if !self.held.is_empty() {
            while let Some((segment, text)) = self.held.pop_front() {
                if let Err(error) = self.put(dir, segment, &text) {
                    self.held.push_front((segment, text));
                    return Err(error);
                }
            }
            self.flush()?;
        }
        if let Some((segment, bytes)) = self.refused {
            // Empty lines open nothing if they stay.
            let room = vec![b'\n'; bytes];
            self.put(dir, segment, &room)?;
            self.take_back(&room);
            self.refused = None;
        }
        Ok(())
    }

    /// Takes what is not flushed yet, each part once.
    pub(crate) fn take_dirty(&mut self) -> Option<Written> {
        let current = self.files.last_mut()?;
        if !std::mem::take(&mut current.is_dirty) {
            return None;
        }
        Some(Written { file: Arc::clone(&current.file), to: current.offset })
    }
}

#[cfg(test)]
impl Disclosures {
    /// Acts as if the disk were full: writes fail from now on.
    pub(crate) fn fill_the_disk(&mut self, dir: &Dir) {
        self.reopen(|segment| File::open(dir.disclosure(segment)).unwrap());
    }

    /// Acts as if there were room again.
    pub(crate) fn empty_the_disk(&mut self, dir: &Dir) {
        self.reopen(|segment| File::options().write(true).open(dir.disclosure(segment)).unwrap());
    }

    fn reopen(&mut self, open: impl Fn(u32) -> File) {
        for current in &mut self.files {
            let (flushed, has_failed) = (current.file.flushed(), current.file.has_failed());
            let fresh = Shared::new(open(current.segment), flushed);
            fresh.has_failed.store(has_failed, Ordering::Release);
            current.file = Arc::new(fresh);
        }
    }

    /// Acts as after a disk error: the kernel has dropped what was not flushed, and reports it once.
    pub(crate) fn lose_what_is_not_flushed(&self) {
        for current in &self.files {
            current.file.has_failed.store(true, Ordering::Release);
            current.file.file.set_len(current.file.flushed()).unwrap();
        }
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
        disclosures.lose_what_is_not_flushed();
        assert!(unflushed.flush().is_err() && disclosures.has_failed());
        assert!(disclosures.flush().is_err(), "nothing goes on over what is lost");
        disclosures.mend(&dir).unwrap();
        assert_eq!((read().as_str(), disclosures.has_failed()), ("one\ntwo\n", false));
        disclosures.write(&dir, 1, b"refused\n").unwrap();
        disclosures.take_back(b"refused\n");
        disclosures.write(&dir, 1, b"four\n").unwrap();
        disclosures.flush().unwrap();
        assert_eq!(read(), "one\ntwo\nfour\n");
    }

    #[test]
    fn what_is_written_in_the_place_of_what_was_taken_back_is_flushed_too() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::new(folder.path());
        dir.create().unwrap();
        let mut disclosures = Disclosures::default();
        disclosures.write(&dir, 1, b"refused\n").unwrap();
        disclosures.flush().unwrap();
        disclosures.take_back(b"refused\n");
        disclosures.write(&dir, 1, b"one\n").unwrap();
        assert_eq!(disclosures.files[0].file.flushed(), 0);
        disclosures.flush().unwrap();
        assert_eq!(disclosures.files[0].file.flushed(), 4);
    }

    #[test]
    fn what_could_not_be_written_is_held_within_a_bound_and_written_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::new(folder.path());
        dir.create().unwrap();
        let read = || std::fs::read_to_string(dir.disclosure(1)).unwrap();
        let mut disclosures = Disclosures::default();
        disclosures.write(&dir, 1, b"one\n").unwrap();
        disclosures.fill_the_disk(&dir);
        disclosures.write(&dir, 1, b"refused\n").unwrap_err();
        assert!(!disclosures.has_failed() && disclosures.mend(&dir).is_err(), "as much does not fit");
        assert!(disclosures.hold(1, b"two\n") && disclosures.hold(1, b"three\n"));
        assert!(!disclosures.hold(1, &vec![b'x'; MAX_HELD_BYTES]), "there is a bound");
        disclosures.take_back(b"three\n");
        assert!(disclosures.has_failed() && disclosures.mend(&dir).is_err());
        disclosures.empty_the_disk(&dir);
        disclosures.mend(&dir).unwrap();
        assert_eq!((read().as_str(), disclosures.has_failed()), ("one\ntwo\n", false));
        assert_eq!(disclosures.files[0].file.flushed(), 8);
    }
}
