//! Follows a running command to its end: output, input, orders and deadlines, on one thread that waits with
//! poll(2).
//!
//! ```text
//! stdout, stderr ──► Output           orders (signal, cancel) ──► the command
//! backlog ──► stdin                   wall clock, CPU time, output beyond the limit ──► everything inside is killed
//! pidfd readable ──► the call has ended       its client hangs up ──► the place of its connection is free
//! ```
//! A call ends when its own process ends; processes that it left running are killed afterwards and add
//! nothing.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_policy::policy::sandboxes::Limits;
use bailiwick_sys::outcome::{Cause, Exit};
use bailiwick_sys::{Remains, Running};
use bytes::Bytes;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::calls::{CallState, CommandHandle, Order};
use crate::connection::Connection;
use crate::delivered::Delivered;
use crate::input::InputEnd;
use crate::output::{Output, Stream};

/// How often the CPU time of a running command is checked: a command may exceed its limit by this much on
/// every CPU.
const CPU_CHECK: Duration = Duration::from_millis(25);

/// How much is read at one time: the capacity of a pipe.
const READ_BYTES: usize = 64 << 10;

/// Most that is read from the command's pipes after its end. They hold no more than this, unless a process
/// that it left running continues to write.
const LAST_READ_BYTES: usize = 1 << 20;

/// The call's side: orders, and a pipe that wakes the thread.
struct PipeHandle {
    wake: io::PipeWriter,
    orders: Arc<Mutex<Vec<Order>>>,
}

impl CommandHandle for PipeHandle {
    fn order(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        self.notify();
    }

    fn input(&self) {
        self.notify();
    }
}

impl PipeHandle {
    fn notify(&self) {
        // A full pipe wakes as well, and one without a reader has no thread to wake.
        let _ = (&self.wake).write(&[0]);
    }
}

/// The waiting thread's side of a call.
struct Supervisor<'c> {
    running: Running,
    call: &'c CallState,
    /// Until it has gone: whose connection waits for this thread.
    client: Option<&'c Connection>,
    /// Receives its output.
    output: &'c Output,
    stdin: Option<File>,
    stdout: Option<File>,
    stderr: Option<File>,
    pending: Option<Bytes>,
    /// What its caller sent, as far as it was delivered; `None`: it takes no input from there.
    delivered: Option<Delivered>,
    wake: io::PipeReader,
    orders: Arc<Mutex<Vec<Order>>>,
    deadline: Instant,
    cpu_time: Duration,
    /// When to check the CPU time next.
    look: Instant,
    killed: bool,
    /// Buffer for reading.
    buffer: Vec<u8>,
}

/// A pipe that wakes the thread of a command. It is made before the command is started, so that a running
/// command is never given up for lack of it.
pub(crate) struct WakePipe {
    read: io::PipeReader,
    write: io::PipeWriter,
}

impl WakePipe {
    /// Makes the pipe.
    ///
    /// # Errors
    /// No descriptors are left.
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Self { read: read.into(), write: write.into() })
    }
}

/// A command that has ended.
pub(crate) struct Over {
    pub(crate) exit: Exit,
    pub(crate) remains: Remains,
    /// What its caller sent, as far as it was delivered; `None`: it takes no input from there.
    pub(crate) delivered: Option<Delivered>,
}

/// Waits for the end of a command, collects its output and enforces its limits. What the command left running
/// is killed by then.
pub(crate) fn supervise(
    mut running: Running,
    (call, client): (&CallState, Option<&Connection>),
    output: &Output,
    limits: &Limits,
    WakePipe { read, write }: WakePipe,
) -> Over {
    let orders = Arc::default();
    let mut supervisor = Supervisor {
        stdin: running.take_stdin().map(Into::into),
        stdout: running.take_stdout().map(Into::into),
        stderr: running.take_stderr().map(Into::into),
        call,
        client,
        output,
        pending: None,
        delivered: call.takes_input().then(Delivered::default),
        wake: read,
        orders: Arc::clone(&orders),
        deadline: running.started() + Duration::from_millis(limits.wall_clock_ms),
        cpu_time: Duration::from_millis(limits.cpu_time_ms),
        look: running.started() + CPU_CHECK,
        killed: false,
        buffer: vec![0; READ_BYTES],
        running,
    };
    call.attach(Box::new(PipeHandle { wake: write, orders }));
    supervisor.feed();
    while !supervisor.step() {}
    supervisor.end()
}

impl Supervisor<'_> {
    /// Waits for one event and handles it; true once the command has ended.
    fn step(&mut self) -> bool {
        let ready = match self.wait() {
            Ok(ready) => ready,
            Err(error) => {
                // The kernel has no memory to wait with: no limit could be enforced any more, so the command
                // ends here.
                tracing::error!(%error, "a command is ended because it cannot be waited for");
                self.kill(Cause::Cancelled);
                return true;
            }
        };
        if ready.stdout {
            self.read(Stream::Stdout);
        }
        if ready.stderr {
            self.read(Stream::Stderr);
        }
        if ready.wake {
            self.awake();
        }
        if ready.wake || ready.stdin {
            self.feed();
        }
        if ready.client
            && let Some(client) = self.client.take()
        {
            client.vacate();
        }
        if !ready.process {
            self.keep_limits();
        }
        ready.process
    }

    fn wait(&self) -> io::Result<Ready> {
        let flags = |flags| {
            flags & (PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLOUT)
        };
        let mut fds = vec![PollFd::new(self.running.process(), PollFlags::POLLIN)];
        fds.push(PollFd::new(self.wake.as_fd(), PollFlags::POLLIN));
        let stdout = place(&mut fds, self.stdout.as_ref(), PollFlags::POLLIN);
        let stderr = place(&mut fds, self.stderr.as_ref(), PollFlags::POLLIN);
        let stdin = self.stdin.as_ref().filter(|_| self.pending.is_some());
        let stdin = place(&mut fds, stdin, PollFlags::POLLOUT);
        // A hang-up is reported without being asked for; a further request is none.
        let client = place(&mut fds, self.client, PollFlags::empty());
        let left = self.deadline.min(self.look).saturating_duration_since(Instant::now());
        let left =
            PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::from(25_u8));
        match poll(&mut fds, left) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |at: Option<usize>| {
            let fd = at.and_then(|at| fds.get(at));
            fd.and_then(PollFd::revents).is_some_and(|found| !flags(found).is_empty())
        };
        Ok(Ready {
            process: is_ready(Some(0)),
            wake: is_ready(Some(1)),
            stdout: is_ready(stdout),
            stderr: is_ready(stderr),
            stdin: is_ready(stdin),
            client: is_ready(client),
        })
    }

    fn read(&mut self, stream: Stream) {
        let pipe = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let Some(file) = pipe else { return };
        match file.read(&mut self.buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => {
                let bytes = self.buffer.get(..count).unwrap_or_default();
                if self.output.push(stream, bytes) < count {
                    self.kill(Cause::OutputExceeded);
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => *pipe = None,
        }
    }

    fn awake(&mut self) {
        let mut pulled = [0; 64];
        while matches!(self.wake.read(&mut pulled), Ok(count) if count == pulled.len()) {}
        let orders = std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner));
        for order in orders {
            match order {
                Order::Cancel => self.kill(Cause::Cancelled),
                // A command that has ended meanwhile cannot take a signal.
                Order::Signal(number) => drop(self.running.signal(number)),
            }
        }
    }

    /// Writes the caller's input until the command takes no more. If the command closed its input, the rest
    /// is discarded.
    fn feed(&mut self) {
        while self.stdin.is_some() {
            let Some(mut part) = self.pending.take() else {
                match self.call.take_input() {
                    Ok(Some(part)) => self.pending = Some(part),
                    Ok(None) => return,
                    Err(InputEnd) => self.stdin = None,
                }
                continue;
            };
            let Some(file) = &mut self.stdin else { return };
            match file.write(&part) {
                Ok(count) => {
                    let taken = part.split_to(count.min(part.len()));
                    if let Some(delivered) = &mut self.delivered {
                        delivered.add(&taken);
                    }
                    if !part.is_empty() {
                        self.pending = Some(part);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pending = Some(part);
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.pending = Some(part),
                Err(_) => self.stdin = None,
            }
        }
    }

    fn keep_limits(&mut self) {
        let now = Instant::now();
        if now >= self.deadline {
            self.kill(Cause::TimedOut);
        }
        // Not on every turn: the figure is read from a kernel file, and a command that prints a lot causes
        // many turns.
        if now < self.look {
            return;
        }
        self.look = now + CPU_CHECK;
        if self.running.cpu_time().is_some_and(|used| used > self.cpu_time) {
            self.kill(Cause::CpuTimeExceeded);
        }
    }

    fn kill(&mut self, cause: Cause) {
        if !self.killed {
            self.running.kill(cause);
            self.killed = true;
        }
    }

    /// Collects how it ended, and what is still in its pipes.
    fn end(mut self) -> Over {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.drain(stream);
        }
        let (exit, remains) = self.running.finish();
        Over { exit, remains, delivered: self.delivered }
    }

    fn drain(&mut self, stream: Stream) {
        let pipe = match stream {
            Stream::Stdout => self.stdout.take(),
            Stream::Stderr => self.stderr.take(),
        };
        let Some(mut pipe) = pipe else { return };
        let mut taken = 0;
        while taken < LAST_READ_BYTES {
            match pipe.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => {
                    taken += count;
                    self.output.push(stream, self.buffer.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }
}

/// The events that occurred.
struct Ready {
    process: bool,
    wake: bool,
    stdout: bool,
    stderr: bool,
    stdin: bool,
    client: bool,
}

/// Adds a descriptor, if there is one, and returns its place.
fn place<'f>(fds: &mut Vec<PollFd<'f>>, file: Option<&'f impl AsFd>, flags: PollFlags) -> Option<usize> {
    fds.push(PollFd::new(file?.as_fd(), flags));
    Some(fds.len() - 1)
}
