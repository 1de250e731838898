//! Finds the last checkpoint of a log without reading all of it.
//!
//! A checkpoint contains enough to read on from it: its peaks must lead to the root that it is signed for,
//! and the signature must be by a key on disk or by the key that handed over to one.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use ed25519_dalek::VerifyingKey;

use crate::course::{Course, ReadError, Span};
use crate::damage::Position;
use crate::dir::{Dir, open_regular};
use crate::keys::{CURRENT, Key, NEXT};
use crate::merkle::Tree;
use crate::note;
use crate::record::{Kind, MAX_LINE_BYTES, Record, sum_holds};
use crate::tip::{Ending, Identity, Tip};

/// How much is searched at a time, from the end.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// No line holds a zero byte, so a page of zeros is behind all lines.
const PAGE_BYTES: usize = 4096;

/// The kind begins within this many bytes of a line.
const KIND_WITHIN: usize = 170;

const MARK: &[u8] = b"\"kind\":\"checkpoint\"";

/// The last checkpoint that a key on disk verifies, and the log before it.
pub(crate) fn last_checkpoint(dir: &Dir, course: &Course) -> Result<Option<(Position, Tip)>, ReadError> {
    let (Some(identity), keys) = (identity(dir, course)?, known_keys(dir)) else { return Ok(None) };
    let identity = Arc::new(identity);
    for span in course.spans.iter().rev() {
        let failed = |error| ReadError::Io { path: dir.segment(span.segment), error };
        let Some((offset, record)) = last_in(dir, span).map_err(failed)? else { continue };
        let Some(mut tip) = tip_at(&record, &identity, &keys) else { return Ok(None) };
        let before = match &record.continues {
            Some(before) => line_before(dir, before.segment, before.offset),
            None => line_before(dir, span.segment, offset),
        };
        // A checkpoint does not say that it covers a seal; the line before it does.
        if before.map_err(failed)?.kind == Kind::Seal {
            tip.ending = Ending::Sealing;
        }
        let at = Position { segment: span.segment, offset, seq: record.seq, chain: record.prev };
        return Ok(Some((at, tip)));
    }
    Ok(None)
}

/// The record that ends at this offset.
fn line_before(dir: &Dir, segment: u32, end: u64) -> io::Result<Record> {
    let begin = end.saturating_sub(MAX_LINE_BYTES as u64 + 1);
    let mut bytes = vec![0; usize::try_from(end - begin).unwrap_or_default()];
    open_regular(&dir.segment(segment))?.read_exact_at(&mut bytes, begin)?;
    let line = bytes.strip_suffix(b"\n").and_then(|bytes| bytes.rsplit(|byte| *byte == b'\n').next());
    Ok(Record::parse(line.unwrap_or_default())?)
}

/// The identity of the log, from its first line.
fn identity(dir: &Dir, course: &Course) -> Result<Option<Identity>, ReadError> {
    let Some(first) = course.spans.first() else { return Ok(None) };
    let read = || -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let file = BufReader::new(open_regular(&dir.segment(first.segment))?);
        file.take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut line)?;
        Ok(line)
    };
    let line = read().map_err(|error| ReadError::Io { path: dir.segment(first.segment), error })?;
    let Some(line) = line.strip_suffix(b"\n").filter(|line| sum_holds(line)) else { return Ok(None) };
    let genesis = Record::parse(line).ok().and_then(|record| record.genesis);
    Ok(genesis.and_then(|genesis| Identity::of(&genesis, line).ok()))
}

/// Public keys that a private key on disk confirms, with their epochs.
fn known_keys(dir: &Dir) -> Vec<(u64, VerifyingKey)> {
    let mut keys = Vec::new();
    for name in [CURRENT, NEXT] {
        if let Ok(Some(key)) = Key::read(dir, name) {
            keys.push((key.epoch, key.public()));
            keys.extend(key.previous.map(|previous| (key.epoch.saturating_sub(1), previous)));
        }
    }
    keys
}

/// The log before a checkpoint, if the checkpoint is valid.
fn tip_at(record: &Record, identity: &Arc<Identity>, keys: &[(u64, VerifyingKey)]) -> Option<Tip> {
    let note = record.note.as_ref()?;
    let tree = Tree::from_parts(record.seq, record.peaks.clone()?)?;
    let said = note::Checkpoint::parse(note).ok()?;
    let (epoch, key) = keys.iter().find(|(_, key)| note::verify(note, &identity.origin, key).is_ok())?;
    if said.size != record.seq || said.root != tree.root() || said.origin != identity.origin {
        return None;
    }
    Some(Tip {
        tree: Some(tree),
        open: record.open.iter().flatten().copied().collect(),
        identity: Some(Arc::clone(identity)),
        key: Some(*key),
        epoch: *epoch,
        ..Tip::middle(record.seq, record.prev)
    })
}

/// The last checkpoint record within a span, and its offset.
fn last_in(dir: &Dir, span: &Span) -> io::Result<Option<(u64, Record)>> {
    let file = open_regular(&dir.segment(span.segment))?;
    let mut end = match span.end {
        Some(end) => end.min(file.metadata()?.len()),
        None => used(&file)?,
    };
    while end > 0 {
        let begin = end.saturating_sub(WINDOW_BYTES);
        let mut window = vec![0; usize::try_from(end - begin).unwrap_or_default()];
        file.read_exact_at(&mut window, begin)?;
        if let Some(found) = last_in_window(&window, begin) {
            return Ok(Some(found));
        }
        // The next window overlaps, so that it holds whole what this one cut; zeros need no overlap.
        let is_used = window.iter().any(|byte| *byte != 0);
        end = if begin > 0 && is_used { begin + MAX_LINE_BYTES as u64 + 1 } else { begin };
    }
    Ok(None)
}

/// Approximately where the records of the last segment end and its zeros begin, at most a window beyond.
/// Reading on covers every byte; the start is found by bisection, because a large segment may be mostly empty
/// room.
fn used(file: &File) -> io::Result<u64> {
    let (mut low, mut high) = (0, file.metadata()?.len());
    let mut page = [0; PAGE_BYTES];
    while high - low > WINDOW_BYTES {
        let middle = low + (high - low) / 2;
        file.read_exact_at(&mut page, middle)?;
        if page.iter().all(|byte| *byte == 0) { high = middle } else { low = middle }
    }
    Ok(high)
}

fn last_in_window(window: &[u8], begin: u64) -> Option<(u64, Record)> {
    let mut found = None;
    let mut offset = 0;
    for line in window.split_inclusive(|byte| *byte == b'\n') {
        let head = line.get(..line.len().min(KIND_WITHIN)).unwrap_or_default();
        if head.windows(MARK.len()).any(|bytes| bytes == MARK)
            && let Some(whole) = line.strip_suffix(b"\n").filter(|line| sum_holds(line))
            && let Ok(record) = Record::parse(whole)
            && record.kind == Kind::Checkpoint
        {
            found = Some((begin + offset, record));
        }
        offset += line.len() as u64;
    }
    found
}
