//! Follows a call to its end: feeds its input, keeps its output up to a limit, and kills it when a limit is
//! exceeded. This is the blocking way; an event loop does the same with the descriptors of `Running` and with
//! `Output`.
//!
//! A program that writes more than is kept must not block, or it would hang for ever: output over the limit
//! is read, counted and discarded.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::call::{Errno, file, process};
use crate::outcome::{Cause, Exit};
use crate::sandbox::{Remains, Running};

/// Bytes of one read.
const CHUNK: usize = 64 * 1024;

/// Most reads of one stream before the other streams and the clock get a turn.
const READS_PER_TURN: usize = 16;

/// The default capacity of a pipe (`pipe(7)`). A program that has ended left no more than that in it, so no
/// more is read then: its orphans may continue to write.
const PIPE_CAPACITY: usize = 64 * 1024;

/// Shortest and longest time between two checks of the processor time used.
const CPU_LOOK_MIN: Duration = Duration::from_millis(5);
const CPU_LOOK_MAX: Duration = Duration::from_millis(500);

/// Output of one stream: the first bytes, and how many followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The bytes kept.
    pub bytes: Vec<u8>,
    /// How many bytes came after that.
    pub dropped: u64,
    limit: usize,
}

/// Whether more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Nothing more at the moment.
    Open,
    /// Every writer has closed its end.
    Ended,
}

impl Output {
    /// Keeps at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), dropped: 0, limit }
    }

    /// Takes bytes in.
    pub fn take_in(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.bytes.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend_from_slice(kept);
        self.dropped += (bytes.len() - kept.len()) as u64;
    }

    /// Reads the available bytes, for one turn, from a descriptor that does not block.
    ///
    /// # Errors
    /// Errors of `read(2)` other than EAGAIN and EINTR.
    pub fn read_ready(&mut self, fd: &impl AsFd) -> std::io::Result<Stream> {
        self.read_at_most(fd, READS_PER_TURN * CHUNK)
    }

    /// Reads the bytes that an ended program has left in its pipe.
    ///
    /// # Errors
    /// As for `read_ready`.
    pub fn read_rest(&mut self, fd: &impl AsFd) -> std::io::Result<Stream> {
        self.read_at_most(fd, PIPE_CAPACITY)
    }

    fn read_at_most(&mut self, fd: &impl AsFd, most: usize) -> std::io::Result<Stream> {
        let mut buffer = [0; CHUNK];
        let mut read = 0;
        while read < most {
            match file::read(fd.as_fd(), &mut buffer) {
                Ok(0) => return Ok(Stream::Ended),
                Ok(length) => {
                    read += length;
                    self.take_in(buffer.get(..length).unwrap_or_default());
                }
                Err(Errno::EAGAIN) => return Ok(Stream::Open),
                Err(Errno::EINTR) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(Stream::Open)
    }
}

/// What to do with output over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// Discard it and count it.
    Drop,
    /// Kill the call.
    Kill,
}

/// Limits of a call that are enforced from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// From the request on.
    pub wall: Duration,
    /// Processor time of everything inside, where a cgroup counts it.
    pub cpu: Option<Duration>,
    /// Bytes kept of each stream.
    pub output_bytes: usize,
    /// What to do with more.
    pub excess: Excess,
}

/// A call that has ended.
pub struct Completed {
    /// How it ended, and what it used.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: Output,
    /// Its standard error.
    pub stderr: Output,
    /// The sandbox, to be cleared away.
    pub remains: Remains,
}

/// Follows a call to its end, with `input` on its standard input.
#[must_use]
pub fn complete(mut running: Running, input: &[u8], limits: &CallLimits) -> Completed {
    let mut input = Input { fd: running.take_stdin().filter(|_| !input.is_empty()), rest: input };
    let mut streams =
        [running.take_stdout(), running.take_stderr()].map(|fd| (fd, Output::new(limits.output_bytes)));
    let deadline = running.started() + limits.wall;
    // A program that has just begun has used nothing.
    let mut look = running.started() + limits.cpu.map_or(CPU_LOOK_MAX, time_to_use);
    loop {
        let ended = wait(&running, &streams, &input, deadline.min(look));
        for (fd, output) in &mut streams {
            if let Some(open) = fd
                && output.read_ready(open).unwrap_or(Stream::Ended) == Stream::Ended
            {
                *fd = None;
            }
            if output.dropped > 0 && limits.excess == Excess::Kill {
                running.kill(Cause::OutputExceeded);
            }
        }
        input.feed();
        if ended {
            break;
        }
        if Instant::now() >= deadline {
            running.kill(Cause::TimedOut);
        }
        if Instant::now() >= look {
            look = next_look(&running, limits);
        }
    }
    let (exit, remains) = running.finish();
    for (fd, output) in &mut streams {
        if let Some(open) = fd {
            let _ = output.read_rest(open);
        }
    }
    let [(_, stdout), (_, stderr)] = streams;
    Completed { exit, stdout, stderr, remains }
}

/// Checks the processor time, kills when it is used up, and returns when to check again: not before it could
/// be used up.
fn next_look(running: &Running, limits: &CallLimits) -> Instant {
    let now = Instant::now();
    let (Some(limit), Some(used)) = (limits.cpu, running.cpu_time()) else { return now + CPU_LOOK_MAX };
    if used >= limit {
        running.kill(Cause::CpuTimeExceeded);
        return now + CPU_LOOK_MIN;
    }
    now + time_to_use(limit - used)
}

/// How soon that much processor time can be used up by programs that use every processor, between the
/// shortest and the longest check interval.
fn time_to_use(left: Duration) -> Duration {
    // Computed once: it is read from files of procfs and cgroupfs, which takes a tenth of the time of a short
    // program.
    static PROCESSORS: LazyLock<u32> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, |count| count.get() as u32));
    (left / *PROCESSORS).clamp(CPU_LOOK_MIN, CPU_LOOK_MAX)
}

/// Input that has not been written yet.
struct Input<'a> {
    fd: Option<OwnedFd>,
    rest: &'a [u8],
}

impl Input<'_> {
    /// Writes what fits. A program that has closed its end wants no more.
    fn feed(&mut self) {
        while let Some(fd) = &self.fd {
            match file::write(fd.as_fd(), self.rest) {
                Ok(written) => self.rest = self.rest.get(written..).unwrap_or_default(),
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Err(_) => self.rest = &[],
            }
            if self.rest.is_empty() {
                self.fd = None;
            }
        }
    }
}

/// Waits for an event or a time; returns whether the program has ended.
fn wait(
    running: &Running,
    streams: &[(Option<OwnedFd>, Output); 2],
    input: &Input<'_>,
    until: Instant,
) -> bool {
    let entry = |fd: Option<&OwnedFd>, events| libc::pollfd {
        // `poll` ignores a negative descriptor.
        fd: fd.map_or(-1, AsRawFd::as_raw_fd),
        events,
        revents: 0,
    };
    let [(stdout, _), (stderr, _)] = streams;
    let mut entries = [
        libc::pollfd { fd: running.process().as_raw_fd(), events: libc::POLLIN, revents: 0 },
        entry(stdout.as_ref(), libc::POLLIN),
        entry(stderr.as_ref(), libc::POLLIN),
        entry(input.fd.as_ref(), libc::POLLOUT),
    ];
    let left = until.saturating_duration_since(Instant::now());
    let timeout = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // An interrupted or failed wait is a short one: everything is checked again.
    let _ = process::poll(&mut entries, timeout);
    let [program, ..] = &entries;
    program.revents != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_byte_is_lost_uncounted(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20), limit in 0_usize..300) {
            let mut output = Output::new(limit);
            for chunk in &chunks {
                output.take_in(chunk);
            }
            let all = chunks.concat();
            prop_assert_eq!(&output.bytes[..], &all[..all.len().min(limit)]);
            prop_assert_eq!(output.bytes.len() as u64 + output.dropped, all.len() as u64);
        }
    }
}
