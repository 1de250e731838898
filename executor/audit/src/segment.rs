//! A segment that is being written: a file whose room is filled with zeros before it is used.
//!
//! Zeros are written and flushed ahead, so that appending changes no size and allocates no block. A flush
//! then costs only what the device needs, and a full disk is noticed before a call is accepted, not after it
//! ran.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

use crate::dir::{self, Dir};

/// How many bytes one write zeroes.
const ZEROS_BYTES: usize = 1024 * 1024;

/// A segment and the offset of its next byte.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) file: File,
    pub(crate) offset: u64,
    pub(crate) capacity: u64,
}

impl Segment {
    /// Makes a segment of zeros, durably, under a number that no file has. The remains of a failed attempt
    /// are removed.
    pub(crate) fn create(dir: &Dir, number: u32, capacity: u64) -> io::Result<Self> {
        let path = dir.segment(number);
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
        let fill = || -> io::Result<()> {
            let zeros = vec![0; ZEROS_BYTES];
            let mut offset = 0;
            while offset < capacity {
                let count = capacity.saturating_sub(offset).min(ZEROS_BYTES as u64);
                let count = usize::try_from(count).unwrap_or(ZEROS_BYTES);
                file.write_all_at(zeros.get(..count).unwrap_or(&zeros), offset)?;
                offset += count as u64;
            }
            file.sync_all()?;
            dir::sync_dir(&dir.segments())
        };
        if let Err(error) = fill() {
            drop(std::fs::remove_file(&path));
            return Err(error);
        }
        Ok(Self { number, file, offset: 0, capacity })
    }

    /// How many bytes still fit.
    pub(crate) const fn room(&self) -> u64 {
        self.capacity.saturating_sub(self.offset)
    }

    /// Writes at the end and flushes. The offset stays: what is not acknowledged is not part of the log.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.file.sync_data()
    }

    /// Frees the room behind the records. A failure costs only disk space, because zeros behind the end are
    /// not damage.
    pub(crate) fn trim(&self) {
        drop(self.file.set_len(self.offset));
    }
}
