//! The files of openings, one beside each segment. Deletable: the log verifies without them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::Arc;

use crate::dir::{Dir, sync_dir};

/// The file of openings that belongs to the active segment.
#[derive(Debug, Default)]
pub(crate) struct Disclosures {
    file: Option<(u32, Arc<File>)>,
    offset: u64,
    is_dirty: bool,
}

impl Disclosures {
    pub(crate) fn write(&mut self, dir: &Dir, segment: u32, text: &[u8]) -> io::Result<()> {
        let file = match &self.file {
            Some((number, file)) if *number == segment => Arc::clone(file),
            _ => {
                self.flush()?;
                self.open(dir, segment)?
            }
        };
        file.write_all_at(text, self.offset)?;
        self.offset += text.len() as u64;
        self.is_dirty = true;
        Ok(())
    }

    fn open(&mut self, dir: &Dir, segment: u32) -> io::Result<Arc<File>> {
        let path = dir.disclosure(segment);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        self.offset = file.metadata()?.len();
        if self.offset == 0 {
            path.parent().map_or(Ok(()), sync_dir)?;
        } else {
            // A line that a crash cut off ends here; it opens nothing.
            file.write_all_at(b"\n", self.offset)?;
            self.offset += 1;
        }
        let file = Arc::new(file);
        self.file = Some((segment, Arc::clone(&file)));
        Ok(file)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = self.take_dirty() {
            file.sync_data()?;
        }
        Ok(())
    }

    /// The file, if something in it is not flushed; whoever takes it flushes it.
    pub(crate) fn take_dirty(&mut self) -> Option<Arc<File>> {
        let file = self.file.as_ref().filter(|_| self.is_dirty).map(|(_, file)| Arc::clone(file));
        self.is_dirty = false;
        file
    }
}
