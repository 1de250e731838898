//! The output of a command so far: bounded, with offsets, so that a reader may come late, come back, or never
//! come.
//!
//! ```text
//! sandbox thread ── push ──► Output { stdout, stderr, dropped } ◄── since(offset) ── any number of readers
//! ```
//!
//! Both streams share one limit, which the pack sets. Output beyond it is counted and discarded, so the
//! command does not block.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// One of the two streams of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The output of one call.
#[derive(Debug)]
pub struct Output {
    kept: Mutex<Kept>,
    limit: u64,
    /// Counts changes; readers wait for the next.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    dropped: u64,
    ended: bool,
}

/// The bytes from a reader's offsets on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Standard output from the reader's offset on.
    pub stdout: Vec<u8>,
    /// Standard error from the reader's offset on.
    pub stderr: Vec<u8>,
    /// Bytes of both that came after the limit.
    pub dropped: u64,
    /// Whether no more will come.
    pub ended: bool,
}

impl Part {
    /// Whether it contains nothing new.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty() && !self.ended
    }
}

impl Output {
    /// Output that keeps at most `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { kept: Mutex::default(), limit, changed: watch::Sender::new(0) }
    }

    /// Adds bytes of a stream; returns how many of them were kept.
    pub fn push(&self, stream: Stream, bytes: &[u8]) -> usize {
        let mut kept = self.lock();
        let room = self.limit.saturating_sub((kept.stdout.len() + kept.stderr.len()) as u64);
        let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let (now, after) = bytes.split_at(taken);
        match stream {
            Stream::Stdout => kept.stdout.extend_from_slice(now),
            Stream::Stderr => kept.stderr.extend_from_slice(now),
        }
        kept.dropped += after.len() as u64;
        drop(kept);
        self.changed.send_modify(|count| *count += 1);
        taken
    }

    /// The most bytes that it keeps.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Adds bytes that were discarded unread.
    pub fn dropped(&self, bytes: u64) {
        self.lock().dropped += bytes;
    }

    /// Marks the end: no more will come.
    pub fn end(&self) {
        let mut kept = self.lock();
        kept.ended = true;
        // Capacity reserved for more output would otherwise be held as long as the call is.
        kept.stdout.shrink_to_fit();
        kept.stderr.shrink_to_fit();
        drop(kept);
        self.changed.send_modify(|count| *count += 1);
    }

    /// At most `most` bytes of each stream from the reader's offsets on.
    #[must_use]
    pub fn since(&self, stdout: usize, stderr: usize, most: usize) -> Part {
        let kept = self.lock();
        let from =
            |all: &[u8], offset: usize| -> Vec<u8> { all.iter().skip(offset).take(most).copied().collect() };
        let part = Part {
            stdout: from(&kept.stdout, stdout),
            stderr: from(&kept.stderr, stderr),
            dropped: kept.dropped,
            ended: false,
        };
        let all = stdout + part.stdout.len() >= kept.stdout.len()
            && stderr + part.stderr.len() >= kept.stderr.len();
        Part { ended: kept.ended && all, ..part }
    }

    /// Everything that was kept.
    #[must_use]
    pub fn all(&self) -> Part {
        self.since(0, 0, usize::MAX)
    }

    /// Waits until something comes after these offsets, or the output has ended.
    pub async fn next(&self, stdout: usize, stderr: usize, most: usize) -> Part {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let part = self.since(stdout, stderr, most);
            if !part.is_empty() || changed.changed().await.is_err() {
                return part;
            }
        }
    }

    /// How many bytes are held.
    #[must_use]
    pub fn held(&self) -> usize {
        let kept = self.lock();
        kept.stdout.len() + kept.stderr.len()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it holds the lock; the content is whole either way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_share_the_limit_and_the_rest_is_counted() {
        let output = Output::new(5);
        assert_eq!(output.push(Stream::Stdout, b"abc"), 3);
        assert_eq!(output.push(Stream::Stderr, b"defg"), 2);
        assert_eq!(output.push(Stream::Stdout, b"h"), 0);
        let part = output.all();
        assert_eq!(
            (part.stdout.as_slice(), part.stderr.as_slice(), part.dropped),
            (&b"abc"[..], &b"de"[..], 3)
        );
        assert!(!part.ended);
        output.end();
        assert!(output.all().ended);
    }

    #[test]
    fn a_reader_that_comes_back_gets_what_it_has_not_seen() {
        let output = Output::new(100);
        output.push(Stream::Stdout, b"0123456789");
        output.end();
        let first = output.since(0, 0, 4);
        assert_eq!((first.stdout.as_slice(), first.ended), (&b"0123"[..], false));
        let rest = output.since(4, 0, 100);
        assert_eq!((rest.stdout.as_slice(), rest.ended), (&b"456789"[..], true));
        assert_eq!(output.since(500, 7, 100), Part { ended: true, ..Part::default() });
    }

    #[tokio::test]
    async fn a_reader_waits_for_more() {
        let output = std::sync::Arc::new(Output::new(100));
        let writer = std::sync::Arc::clone(&output);
        let reader = tokio::spawn(async move { output.next(0, 0, 100).await });
        tokio::task::yield_now().await;
        writer.push(Stream::Stderr, b"x");
        assert_eq!(reader.await.unwrap().stderr, b"x");
        writer.end();
        assert!(writer.next(0, 1, 100).await.ended);
    }
}
