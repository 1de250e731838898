//! Reads a log record by record along its course and judges each against the tip, in memory that does not
//! grow with the log.
//!
//! This module distinguishes what a crash can leave from damage. A *tail* is the bytes behind the last good
//! record of a segment. A crash leaves at most one group there, which was never acknowledged; any evidence to
//! the contrary is damage:
//!
//! | behind the last good record | means |
//! | --- | --- |
//! | zeros only | nothing: room made ahead |
//! | at most one group, and no whole record whose group is beyond the first lost one | a tail; may be cut |
//! | a whole record whose group is beyond the first lost one | damage: its writer knew the lost ones to be durable |
//! | more than one group | damage |

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::course::{Course, ReadError};
use crate::damage::{Damage, DamageKind, Position};
use crate::dir::{Dir, open_regular};
use crate::hash::Hash;
use crate::record::{Cut, MAX_LINE_BYTES, sum_holds};
use crate::seen::Seen;
use crate::tip::{MAX_GROUP_RECORDS, Place, Tip};

/// Most bytes of one group, and so of a tail.
pub(crate) const MAX_GROUP_BYTES: u64 = 1024 * 1024;

/// Why a segment that holds acknowledged records behind its first line is damaged.
const NO_BEGINNING: &str = "the segment does not begin with a record";

/// Why there is no line where a segment's unused room begins.
const ZEROS: &str = "nothing was written here";

/// How every line begins.
const BEGINNING: &[u8] = b"{\"seq\":";

/// How much is read at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// Where reading ended.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    /// Behind the last good record.
    pub(crate) position: Position,
    /// Bytes behind it, in the last segment of the course or in segments beyond.
    pub(crate) tails: Vec<Cut>,
}

/// A good record, its position, and its line.
pub(crate) struct Good<'r> {
    pub(crate) seen: &'r Seen,
    pub(crate) line: &'r [u8],
    pub(crate) at: Position,
}

/// One segment being read.
struct Segment {
    number: u32,
    path: PathBuf,
    reader: BufReader<File>,
    offset: u64,
    end: Option<u64>,
}

/// What comes next in a segment.
enum Next {
    Line,
    /// The span ends here.
    End,
    /// Bytes that are not a whole line, including zeros.
    NoLine(&'static str),
}

impl Segment {
    fn open(dir: &Dir, number: u32, offset: u64, end: Option<u64>) -> Result<Self, ReadError> {
        let path = dir.segment(number);
        let open = || -> io::Result<File> {
            let mut file = open_regular(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        };
        let file = open().map_err(|error| ReadError::Io { path: path.clone(), error })?;
        Ok(Self { number, path, reader: BufReader::with_capacity(BUFFER_BYTES, file), offset, end })
    }

    fn place(&self) -> Place {
        if self.offset == 0 { Place::Beginning } else { Place::Within }
    }

    fn failed(&self, error: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), error }
    }

    fn damage(&self, kind: DamageKind, seq: u64) -> ReadError {
        Damage { kind, seq, segment: self.number, offset: self.offset }.into()
    }

    /// Reads the next line into `line`, without its line feed.
    fn next(&mut self, line: &mut Vec<u8>) -> Result<Next, ReadError> {
        line.clear();
        let left = self.end.map_or(u64::MAX, |end| end.saturating_sub(self.offset));
        if left == 0 {
            return Ok(Next::End);
        }
        let limit = left.min(MAX_LINE_BYTES as u64 + 1);
        let read = self.reader.by_ref().take(limit).read_until(b'\n', line);
        read.map_err(|error| self.failed(error))?;
        match line.pop_if(|last| *last == b'\n') {
            Some(_) => Ok(Next::Line),
            None if line.is_empty() && self.end.is_none() => Ok(Next::End),
            None if line.first() == Some(&0) => Ok(Next::NoLine(ZEROS)),
            None => Ok(Next::NoLine("no line feed ends it")),
        }
    }
}

/// Reads on from a position, passes each good record to `each` until it breaks, and advances the tip.
///
/// A writer may add to the log meanwhile: where it had ended, there is then a record, and behind that are those of later
/// groups, as if it had been lost. So what looks like damage is looked at once more, along the course that the log has
/// by then. Nothing is written behind what was not whole, so what is still damage the second time is damage.
///
/// A flush that failed meanwhile can take back what was read: then the log has no such position any more.
pub(crate) fn stream(
    dir: &Dir,
    course: &Course,
    from: Option<Position>,
    tip: &mut Tip,
    each: &mut dyn FnMut(&Good<'_>, &Tip) -> ControlFlow<()>,
) -> Result<Finish, ReadError> {
    let (mut grown, mut from, mut seen_twice) = (None, from, None);
    loop {
        let mut finish = Finish {
            position: from.unwrap_or(Position { segment: 0, offset: 0, seq: tip.seq, chain: tip.chain }),
            tails: Vec::new(),
        };
        let passed = pass(dir, grown.as_ref().unwrap_or(course), from, tip, each, &mut finish);
        let Err(ReadError::Damaged(damage)) = passed else { return passed.map(|()| finish) };
        // No segment has the number 0: the log had not begun.
        let at = Some(finish.position).filter(|at| at.segment > 0);
        let is_on =
            |now: &Course| at.is_none_or(|at| now.spans.iter().any(|span| span.segment == at.segment));
        let now = Course::read(dir).ok().filter(is_on);
        if now.is_none() || seen_twice == Some(tip.seq) {
            return Err(damage.into());
        }
        (grown, from, seen_twice) = (now, at, Some(tip.seq));
    }
}

/// Reads on once. `finish`: where that ended, also if it failed.
fn pass(
    dir: &Dir,
    course: &Course,
    from: Option<Position>,
    tip: &mut Tip,
    each: &mut dyn FnMut(&Good<'_>, &Tip) -> ControlFlow<()>,
    finish: &mut Finish,
) -> Result<(), ReadError> {
    let begin = match from {
        None => 0,
        Some(from) => {
            let found = course.spans.iter().position(|span| span.segment == from.segment);
            found.ok_or(ReadError::NoSuchPosition)?
        }
    };
    let mut line = Vec::new();
    for (nth, span) in course.spans.iter().enumerate().skip(begin) {
        let offset = from.filter(|_| nth == begin).map_or(0, |from| from.offset);
        if span.end.is_some_and(|end| offset > end) {
            return Err(ReadError::NoSuchPosition);
        }
        let mut segment = Segment::open(dir, span.segment, offset, span.end)?;
        let mut stopped = false;
        let mut failed = None;
        loop {
            finish.position =
                Position { segment: span.segment, offset: segment.offset, seq: tip.seq, chain: tip.chain };
            match segment.next(&mut line)? {
                Next::End => break,
                Next::NoLine(why) => failed = Some(DamageKind::Line(why)),
                Next::Line => match tip.accept(&line, segment.place()) {
                    Ok(seen) => {
                        let good = Good { seen: &seen, line: &line, at: finish.position };
                        stopped = each(&good, tip).is_break();
                        segment.offset += line.len() as u64 + 1;
                    }
                    Err(kind) => failed = Some(kind),
                },
            }
            if stopped {
                return Ok(());
            }
            if failed.is_some() {
                break;
            }
        }
        finish.tails.extend(leave(dir, &segment, tip, failed)?);
    }
    for number in course.aside.iter().chain(&course.beyond) {
        // A segment that the course passes by died when the log was shorter: its own first group is the lost
        // one.
        let is_beyond = course.beyond.contains(number);
        let lost = is_beyond.then_some(tip.seq);
        let segment = Segment::open(dir, *number, 0, None)?;
        let tail = tail(dir, *number, 0, lost).map_err(|error| segment.failed(error))?;
        let tail = tail.map_err(|kind| match kind {
            DamageKind::Acknowledged if is_beyond => segment.damage(DamageKind::Line(NO_BEGINNING), tip.seq),
            kind => segment.damage(kind, tip.seq),
        })?;
        finish.tails.extend(tail.filter(|_| is_beyond));
    }
    Ok(())
}

/// Judges the bytes behind the place where the log leaves a segment.
fn leave(
    dir: &Dir,
    segment: &Segment,
    tip: &Tip,
    failed: Option<DamageKind>,
) -> Result<Option<Cut>, ReadError> {
    match &failed {
        // A crash cannot produce this line: its sum matches.
        Some(kind) if !matches!(kind, DamageKind::Line(_)) => {
            return Err(segment.damage(kind.clone(), tip.seq));
        }
        Some(kind) if segment.end.is_some() => return Err(segment.damage(kind.clone(), tip.seq)),
        _ => {}
    }
    let found = tail(dir, segment.number, segment.offset, Some(tip.seq));
    let found = found.map_err(|error| segment.failed(error))?.map_err(|behind| match &failed {
        // The changed line is more informative than the bytes behind it.
        Some(kind @ DamageKind::Line(why)) if *why != ZEROS => segment.damage(kind.clone(), tip.seq),
        _ => segment.damage(behind, tip.seq),
    })?;
    Ok(found.filter(|_| segment.end.is_none()))
}

/// Examines all bytes of a segment from an offset on; `None` if they are zeros. `lost` is the first missing
/// record; if it is not known, it is the first of the first group found here.
pub(crate) fn tail(
    dir: &Dir,
    segment: u32,
    offset: u64,
    mut lost: Option<u64>,
) -> io::Result<Result<Option<Cut>, DamageKind>> {
    let mut file = open_regular(&dir.segment(segment))?;
    file.seek(SeekFrom::Start(offset))?;
    let rest = file.metadata()?.len().saturating_sub(offset);
    let size = usize::try_from(rest).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
    if size == 0 {
        return Ok(Ok(None));
    }
    let mut kept = Vec::new();
    let mut chunk = vec![0; size];
    let zeros = vec![0; size];
    let (mut read, mut used) = (0_u64, 0_u64);
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        let bytes = chunk.get(..count).unwrap_or_default();
        if Some(bytes) != zeros.get(..count) {
            let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
            used = read + last as u64 + 1;
        }
        read += count as u64;
        if read <= 2 * MAX_GROUP_BYTES {
            kept.extend_from_slice(bytes);
        }
    }
    if used == 0 {
        return Ok(Ok(None));
    }
    if used > MAX_GROUP_BYTES {
        return Ok(Err(DamageKind::TailTooLong(used)));
    }
    kept.truncate(usize::try_from(used).unwrap_or(usize::MAX));
    let mut count = 0;
    for line in kept.split(|byte| *byte == b'\n').filter_map(whole) {
        count += 1;
        let Ok(record) = Seen::read(line) else { continue };
        if record.group > *lost.get_or_insert(record.group) {
            return Ok(Err(DamageKind::Acknowledged));
        }
    }
    if count > MAX_GROUP_RECORDS {
        return Ok(Err(DamageKind::TailTooLong(used)));
    }
    Ok(Ok(Some(Cut { segment, offset, bytes: used, sha256: Hash::of(&[&kept]) })))
}

/// The whole record that a line of a tail is, or ends in: if a line feed was changed, two lines appear as
/// one.
fn whole(line: &[u8]) -> Option<&[u8]> {
    if sum_holds(line) {
        return Some(line);
    }
    let begins = line.windows(BEGINNING.len()).enumerate().rev().filter(|(_, bytes)| *bytes == BEGINNING);
    // A value may hold the same text; more occurrences behind the record's own are not worth the search.
    begins.take(4).filter_map(|(at, _)| line.get(at..)).find(|line| sum_holds(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::course::Span;
    use crate::record::{Kind, Record, write_line};
    use crate::{Entry, Event, Options, Writer};

    /// A log of two segments.
    fn log(dir: &Dir, path: &std::path::Path) -> Course {
        for name in ["one", "two"] {
            let (writer, _) = Writer::open(path, &Options::default()).expect("the log opens");
            let entry = Entry { call: Some(name.to_owned()), ..Entry::default() };
            writer.append(Event::Decision, entry).expect("a decision");
        }
        Course::read(dir).expect("a course")
    }

    fn read(dir: &Dir, course: &Course, tip: &mut Tip) -> Result<Finish, ReadError> {
        stream(dir, course, None, tip, &mut |_, _| ControlFlow::Continue(()))
    }

    #[test]
    fn a_log_that_begins_while_it_is_read_is_no_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = Dir::new(folder.path());
        let course = log(&dir, folder.path());
        let (mut whole, mut tip) = (Tip::start(), Tip::start());
        read(&dir, &course, &mut whole).expect("a good log");
        // What the folder was like when only room had been made.
        let empty = Course { beyond: vec![1], ..Course::default() };
        read(&dir, &empty, &mut tip).expect("what was written meanwhile is no damage");
        assert_eq!((tip.seq, tip.chain), (whole.seq, whole.chain));
    }

    #[test]
    fn a_record_whose_flush_failed_after_it_was_read_is_no_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = Dir::new(folder.path());
        let course = log(&dir, folder.path());
        let [Span { segment, end: Some(end) }, _] = course.spans[..] else { panic!("{course:?}") };
        let first = Course { spans: vec![Span { segment, end: Some(end) }], ..Course::default() };
        let mut tip = Tip::start();
        read(&dir, &first, &mut tip).expect("a good segment");
        // The record that stood there when the segment was the last.
        let (mut bytes, mut line) = (std::fs::read(dir.segment(segment)).expect("the segment"), Vec::new());
        let body = Record::new(Kind::Decision).body().expect("a body");
        write_line(&mut line, tip.seq, tip.seq, &tip.chain, &body);
        bytes.truncate(usize::try_from(end).expect("a small segment"));
        bytes.extend(line);
        std::fs::write(dir.segment(segment), bytes).expect("it is written");
        let then = Course { spans: vec![Span { segment, end: None }], beyond: vec![2], ..Course::default() };
        let read = read(&dir, &then, &mut Tip::start());
        assert!(matches!(read, Err(ReadError::NoSuchPosition)), "{read:?}");
    }
}
