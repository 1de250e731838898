//! How large the state directory may become. Where it goes away when it is too large, as with a pod that is evicted
//! for the size of its volume, a caller could otherwise remove the records of what it did by making many more.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::DocketError;

/// Shortest time between two measurements. One that takes long, because of very many files, is made so seldom that it
/// takes a twentieth of a processor.
const PAUSE: Duration = Duration::from_secs(1);
const SHARE: u32 = 20;

/// The folders of a log. Others, such as `lost+found`, are not ours to read.
const FOLDERS: [&str; 5] = ["segments", "disclosures", "blobs", "recovered", "keys"];

/// Bytes for which there is no number yet, or none any more.
const UNKNOWN: u64 = u64::MAX;

/// What the record of a call takes besides its output, which is there in base64.
const RECORD_BYTES: u64 = 64 << 10;

/// The limit on a directory, and what it was last.
#[derive(Debug, Default)]
pub(super) struct Extent {
    /// Most bytes, and those that there are; `None`: as many as the disk has.
    limit: Option<(u64, Arc<AtomicU64>)>,
    /// Most bytes that the end of one call adds.
    call: u64,
}

impl Extent {
    /// This many bytes, measured from time to time for as long as this lives. `output`: most of one call.
    ///
    /// # Errors
    /// There is no thread to measure it.
    pub(super) fn of(dir: &Path, most: u64, output: u64) -> io::Result<Self> {
        let bytes = Arc::new(AtomicU64::new(measure(dir).unwrap_or(UNKNOWN)));
        let (seen, dir) = (Arc::downgrade(&bytes), dir.to_owned());
        thread::Builder::new().name("bailiwick-size".to_owned()).spawn(move || watch(&seen, &dir))?;
        Ok(Self {
            limit: Some((most, bytes)),
            call: (output / 3).saturating_mul(4).saturating_add(RECORD_BYTES),
        })
    }

    /// Whether something may begin that leaves records, beside so many calls whose end is not on record yet.
    pub(super) fn check(&self, open: usize) -> Result<(), DocketError> {
        let Some((most, bytes)) = &self.limit else { return Ok(()) };
        let bytes = bytes.load(Ordering::Relaxed);
        if bytes == UNKNOWN {
            return Err(DocketError::Unmeasured);
        }
        let ending = self.call.saturating_mul(open as u64);
        if bytes.saturating_add(ending) < *most { Ok(()) } else { Err(DocketError::Extent(*most)) }
    }
}

fn watch(seen: &Weak<AtomicU64>, dir: &Path) {
    let mut pause = PAUSE;
    loop {
        thread::sleep(pause);
        let Some(bytes) = seen.upgrade() else { return };
        let began = Instant::now();
        match measure(dir) {
            Ok(now) => bytes.store(now, Ordering::Relaxed),
            Err(error) => {
                tracing::error!(%error, "the size of the state directory cannot be found out");
                bytes.store(UNKNOWN, Ordering::Relaxed);
            }
        }
        pause = PAUSE.max(began.elapsed() * SHARE);
    }
}

/// Bytes that a directory takes: a small file takes a block.
fn measure(dir: &Path) -> io::Result<u64> {
    let mut bytes = of_files(dir)?;
    for folder in FOLDERS {
        match of_files(&dir.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            there => bytes += there?,
        }
    }
    Ok(bytes)
}

/// Bytes of a folder and of the files in it. A file that goes away meanwhile has none.
fn of_files(folder: &Path) -> io::Result<u64> {
    let taken = |metadata: &std::fs::Metadata| metadata.len().max(metadata.blocks() * 512);
    let mut bytes = taken(&folder.metadata()?);
    for entry in std::fs::read_dir(folder)? {
        match entry?.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            metadata => {
                bytes += Some(metadata?).filter(std::fs::Metadata::is_file).map_or(0, |file| taken(&file))
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_take_blocks_and_calls_that_run_take_what_they_may_say() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("blobs")).unwrap();
        std::fs::create_dir(dir.path().join("lost+found")).unwrap();
        let before = measure(dir.path()).unwrap();
        std::fs::write(dir.path().join("lost+found/other"), [0; 9000]).unwrap();
        for name in 0..10 {
            let file = std::fs::File::create(dir.path().join(format!("blobs/{name}"))).unwrap();
            std::io::Write::write_all(&mut &file, &[1; 4097]).unwrap();
            // Some file systems give blocks only then.
            file.sync_all().unwrap();
        }
        let bytes = measure(dir.path()).unwrap();
        assert!((before + 80 * 1024..before + 200 * 1024).contains(&bytes), "{before} {bytes}");
        let limited = |more: u64| Extent::of(dir.path(), bytes + more, 3 << 20).unwrap();
        assert!(limited(1).check(0).is_ok() && limited(0).check(0).is_err());
        let per_call = (4 << 20) + RECORD_BYTES;
        assert!(limited(2 * per_call).check(1).is_ok());
        let full = limited(2 * per_call).check(2).unwrap_err();
        assert!(full.to_string().contains("bytes that it may have"), "{full}");
        assert!(full.remedy().is_some_and(|help| help.contains("--state")));
        assert!(Extent::default().check(usize::MAX).is_ok());
    }

    #[test]
    fn a_directory_that_cannot_be_measured_is_full_until_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let extent = Extent::of(&state, 1 << 30, 0).unwrap();
        assert!(matches!(extent.check(0), Err(DocketError::Unmeasured)));
        std::fs::create_dir(&state).unwrap();
        while extent.check(0).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}
