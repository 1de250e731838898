//! How large the state directory may become. Where it goes away when it is too large, as with a pod that is evicted
//! for the size of its volume, a caller could otherwise remove the records of what it did by making many more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::DocketError;

/// Age at which a measurement is made anew: of ten gigabytes it takes some milliseconds. What is written meanwhile may
/// exceed the limit, and so may what is recorded of calls that have begun.
const FRESH: Duration = Duration::from_secs(1);

/// The limit on a directory, and what it was last.
#[derive(Debug)]
pub(super) struct Extent {
    dir: PathBuf,
    /// Most bytes; `None`: as many as the disk has.
    pub(super) most: Option<u64>,
    seen: Mutex<Option<(Instant, u64)>>,
}

impl Extent {
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), most: None, seen: Mutex::new(None) }
    }

    /// Whether something may begin that leaves records.
    pub(super) fn check(&self) -> Result<(), DocketError> {
        let Some(most) = self.most else { return Ok(()) };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = match *seen {
            Some((at, bytes)) if at.elapsed() < FRESH => bytes,
            _ => measure(&self.dir, DEPTH).map_err(|error| DocketError::Unmeasured(error.to_string()))?,
        };
        if seen.is_none_or(|(at, _)| at.elapsed() >= FRESH) {
            *seen = Some((Instant::now(), bytes));
        }
        drop(seen);
        if bytes < most { Ok(()) } else { Err(DocketError::Extent(most)) }
    }
}

/// Folders below the directory: those of the log have files alone.
const DEPTH: usize = 1;

/// Bytes of all files. One that goes away meanwhile has none.
fn measure(dir: &Path, depth: usize) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        bytes += match metadata.is_dir() {
            true if depth > 0 => measure(&entry.path(), depth - 1)?,
            true => 0,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_folders_counts_and_a_directory_that_cannot_be_read_is_full() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("segments")).unwrap();
        std::fs::write(dir.path().join("lock"), [0; 10]).unwrap();
        std::fs::write(dir.path().join("segments/00000001.jsonl"), [0; 90]).unwrap();
        let limited = |most| Extent { most, ..Extent::of(dir.path()) };
        assert!(limited(None).check().is_ok() && limited(Some(101)).check().is_ok());
        let full = limited(Some(100)).check().unwrap_err();
        assert!(full.to_string().contains("100 bytes"), "{full}");
        assert!(full.remedy().is_some_and(|help| help.contains("--state")));
        let gone = Extent { dir: dir.path().join("gone"), ..limited(Some(100)) };
        assert!(matches!(gone.check(), Err(DocketError::Unmeasured(_))));
    }
}
