//! The course of a log through its segments: the order of the segments, and the offset at which the log
//! leaves each.
//!
//! The course is read from the end: a segment's first record names the segment that it continues and the
//! offset there. So the log leaves a dead segment where its last durable group ends, and a segment that never
//! held a durable record is not on the course.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _};

use crate::damage::{Damage, DamageKind};
use crate::dir::{Dir, open_regular};
use crate::record::{Continues, Kind, MAX_LINE_BYTES};
use crate::seen::Seen;

/// A segment on the course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) segment: u32,
    /// The offset at which the log leaves it; `None` for the last.
    pub(crate) end: Option<u64>,
}

/// The segments of a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    /// In the order of the records.
    pub(crate) spans: Vec<Span>,
    /// Numbers of later segments, none of which begins with a record: they were made ahead, or died before
    /// their first group was durable.
    pub(crate) beyond: Vec<u32>,
    /// Numbers of segments between those of the course that no segment continues: they died before their
    /// first group was durable.
    pub(crate) aside: Vec<u32>,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refuses.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The log is damaged.
    #[error("{0}")]
    Damaged(Damage),
    /// There is no record at the position that reading should begin at.
    #[error("the log has no such position")]
    NoSuchPosition,
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

/// How a segment begins.
enum Beginning {
    Genesis,
    Continues(Continues, u64),
    /// Without a whole record.
    Nothing,
}

impl Course {
    /// Reads the first record of each segment.
    pub(crate) fn read(dir: &Dir) -> Result<Self, ReadError> {
        let io = |error| ReadError::Io { path: dir.segments(), error };
        let mut beginnings = BTreeMap::new();
        for number in dir.list().map_err(io)? {
            beginnings.insert(number, beginning(dir, number)?);
        }
        let is_record = |(_, beginning): &(&u32, &Beginning)| !matches!(beginning, Beginning::Nothing);
        let Some((&last, _)) = beginnings.iter().rev().find(is_record) else {
            return Ok(Self { beyond: beginnings.into_keys().collect(), ..Self::default() });
        };
        let mut course = Self::default();
        course.beyond.extend(beginnings.keys().filter(|number| **number > last));
        let (mut segment, mut end) = (last, None);
        loop {
            course.spans.push(Span { segment, end });
            let at = |kind, seq| Damage { kind, seq, segment, offset: 0 };
            match beginnings.get(&segment) {
                Some(Beginning::Genesis) => break,
                Some(Beginning::Continues(from, seq)) if from.segment >= segment => {
                    return Err(at(DamageKind::Continues("it names itself or a later segment"), *seq).into());
                }
                Some(Beginning::Continues(from, seq)) if !beginnings.contains_key(&from.segment) => {
                    return Err(at(DamageKind::SegmentMissing(from.segment), *seq).into());
                }
                Some(Beginning::Continues(from, _)) => (segment, end) = (from.segment, Some(from.offset)),
                Some(Beginning::Nothing) | None => {
                    return Err(at(DamageKind::Line("the segment does not begin with a record"), 0).into());
                }
            }
        }
        course.spans.reverse();
        let on = |number: &&u32| course.spans.iter().any(|span| span.segment == **number);
        let aside = beginnings.keys().filter(|number| **number < last && !on(number));
        course.aside = aside.copied().collect();
        Ok(course)
    }
}

fn beginning(dir: &Dir, segment: u32) -> Result<Beginning, ReadError> {
    let path = dir.segment(segment);
    let read = || -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let file = BufReader::new(open_regular(&path)?);
        file.take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut line)?;
        Ok(line)
    };
    let line = read().map_err(|error| ReadError::Io { path: path.clone(), error })?;
    let Some(Ok(seen)) = line.strip_suffix(b"\n").map(Seen::read) else { return Ok(Beginning::Nothing) };
    Ok(match (seen.control.and_then(|record| record.continues), seen.kind) {
        (Some(continues), _) => Beginning::Continues(continues, seen.seq),
        (None, Kind::Genesis) => Beginning::Genesis,
        (None, _) => Beginning::Nothing,
    })
}
