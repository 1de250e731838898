//! The one call of a sandbox, and what is left of the sandbox when it has ended.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::call::process::Death;
use crate::call::{Errno, process, socket};
use crate::cgroup::{CgroupError, Facts, Group};
use crate::host::Identity;
use crate::launcher::NOT_EXECUTED;
use crate::outcome::{Cause, Exit, Outcome, Source, Spent, Usage, classify};
use crate::profile::{CgroupLimits, Profile};
use crate::step::{Fault, Step, attempt};
use crate::wire::{self, MAX_MESSAGE};

use super::{Parked, Taken, end};

/// A program in its sandbox. Dropped, it is killed and cleared away.
pub struct Running {
    worker: OwnedFd,
    control: OwnedFd,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    cpu_before: Duration,
    cpu_limit: Option<Duration>,
    started: Instant,
    /// Number of the first cause for which it was killed; zero for none.
    cause: AtomicU8,
    remains: Remains,
}

impl Running {
    pub(super) fn new(parked: Parked, started: Instant) -> Self {
        let Parked { worker, control, stdin, stdout, stderr, environment: _, cpu_before, cpu_limit, remains } =
            parked;
        Self {
            worker,
            control,
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr: Some(stderr),
            cpu_before,
            cpu_limit,
            started,
            cause: AtomicU8::new(0),
            remains,
        }
    }

    /// The program's pidfd: readable when it has ended. Processes that it left running inside remain until
    /// `finish`.
    #[must_use]
    pub fn process(&self) -> BorrowedFd<'_> {
        self.worker.as_fd()
    }

    /// Takes the writing end of standard input, which does not block; dropping it ends the input.
    pub fn take_stdin(&mut self) -> Option<OwnedFd> {
        self.stdin.take()
    }

    /// Takes the reading end of standard output, which does not block.
    pub fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.stdout.take()
    }

    /// Takes the reading end of standard error, which does not block.
    pub fn take_stderr(&mut self) -> Option<OwnedFd> {
        self.stderr.take()
    }

    /// Processor time of the call so far, of everything inside. `None` without a cgroup that counts it.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        Some(self.remains.cpu_time()?.saturating_sub(self.cpu_before))
    }

    /// When the request was sent.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Sends a signal only to the program, on its caller's request.
    ///
    /// # Errors
    /// When it has ended or there is no such signal.
    pub fn signal(&self, number: i32) -> std::io::Result<()> {
        process::send_signal(self.worker.as_fd(), number).map_err(std::io::Error::from)
    }

    /// Kills everything inside; the outcome will be the cause of the first kill. A program that ended before
    /// that ended by itself.
    pub fn kill(&self, cause: Cause) {
        let _ = self.cause.compare_exchange(0, cause as u8, Ordering::SeqCst, Ordering::SeqCst);
        self.remains.kill_all();
    }

    /// Collects how the program ended; blocks until it has. Everything that it left running inside is killed
    /// before its usage is read, so that it runs no longer than the call; `Remains` waits until it is gone.
    #[must_use]
    pub fn finish(self) -> (Exit, Remains) {
        let ended = process::reap(self.worker.as_fd());
        // Mostly only the holder is left, which does nothing. What it holds is then taken down by `Remains`,
        // and not on a processor that the caller's answer needs.
        if self.remains.may_run() {
            self.remains.kill();
        }
        let wall = self.started.elapsed();
        let facts = self.remains.facts();
        let cause = Cause::from_number(self.cause.load(Ordering::SeqCst));
        let waited = ended.as_ref().map(|(_, rusage)| *rusage).ok();
        let usage = self.usage(wall, &facts, waited.as_ref());
        let outcome = match ended {
            Ok((death, rusage)) => {
                let spent = Spent { cpu: usage.cpu.max(processor_time(&rusage)), limit: self.cpu_limit };
                self.setup_failure(death).unwrap_or_else(|| classify(death, cause, &facts, spent))
            }
            // Other code has reaped our child: it is gone, and how it ended is lost.
            Err(_) => Outcome::Signaled { signal: libc::SIGKILL },
        };
        (Exit { outcome, usage }, self.remains)
    }

    /// A worker that did not become the program has sent the reason before it exited; a program cannot write
    /// there, because `execve` has closed it.
    fn setup_failure(&self, death: Death) -> Option<Outcome> {
        if death != Death::Exited(NOT_EXECUTED) {
            return None;
        }
        let mut message = [0; MAX_MESSAGE];
        let length = socket::receive_now(self.control.as_fd(), &mut message).unwrap_or(0);
        match message.get(..length) {
            Some(said @ [wire::FAILED, ..]) => {
                Some(Outcome::SetupFailed { fault: wire::parse_failure(said, Step::Execute) })
            }
            _ => None,
        }
    }

    fn usage(&self, wall: Duration, facts: &Facts, rusage: Option<&libc::rusage>) -> Usage {
        let waited = rusage.map(processor_time).unwrap_or_default();
        let (cpu, cpu_source) = match facts.cpu {
            Some(cpu) => (cpu.saturating_sub(self.cpu_before), Source::Cgroup),
            None => (waited, Source::Rusage),
        };
        let largest = rusage.and_then(|r| u64::try_from(r.ru_maxrss).ok()).unwrap_or(0) * 1024;
        let (peak_memory_bytes, memory_source) = match facts.peak_memory {
            Some(bytes) => (bytes, Source::Cgroup),
            None => (largest, Source::Rusage),
        };
        let Facts { oom_kills, refused_forks, .. } = *facts;
        Usage { wall, cpu, cpu_source, peak_memory_bytes, memory_source, oom_kills, refused_forks }
    }
}

/// Processor time of a process and those of its children that it waited for.
fn processor_time(usage: &libc::rusage) -> Duration {
    let time = |value: libc::timeval| {
        Duration::from_micros(u64::try_from(value.tv_sec * 1_000_000 + value.tv_usec).unwrap_or(0))
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// The remains of a sandbox: its two processes with whatever still runs inside, and its cgroup. Dropped, it
/// is cleared away.
pub struct Remains {
    pub(super) holder: Option<OwnedFd>,
    pub(super) worker: Option<OwnedFd>,
    lifeline: Option<OwnedFd>,
    /// The mount namespace, which is taken down when it is closed and every process has ended.
    pub(super) mounts: Option<OwnedFd>,
    group: Option<Group>,
    identity: Arc<Identity>,
    /// Dropped last, when nothing is left.
    pub(super) taken: Option<Taken>,
}

impl Remains {
    pub(super) fn new(lifeline: OwnedFd, group: Option<Group>, identity: Arc<Identity>) -> Self {
        let lifeline = Some(lifeline);
        Self { holder: None, worker: None, lifeline, mounts: None, group, identity, taken: None }
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Both processes were reported, so nothing is inside that `end` does not wait for.
    pub(super) fn are_known(&mut self, profile: &Profile) {
        if let Some(group) = &mut self.group {
            group.allow_again(profile);
        }
    }

    /// A copy of the worker's pidfd, to wait on while this value keeps its own to clear away.
    pub(super) fn worker_copy(&self) -> Result<OwnedFd, Errno> {
        let worker = self.worker.as_ref().ok_or(Errno::EBADMSG)?;
        worker.try_clone().map_err(|_| Errno::EMFILE)
    }

    pub(super) fn cpu_time(&self) -> Option<Duration> {
        self.group.as_ref()?.cpu_time()
    }

    fn facts(&self) -> Facts {
        self.group.as_ref().map(Group::facts).unwrap_or_default()
    }

    /// Whether anything but the holder may be left inside, now that the worker was reaped.
    fn may_run(&self) -> bool {
        self.group.as_ref().and_then(Group::processes).is_none_or(|processes| processes > 1)
    }

    /// Makes what is missing of the group, and lets holder and worker enter it.
    pub(super) fn complete_group(
        &mut self,
        limits: &CgroupLimits,
        control: BorrowedFd<'_>,
    ) -> Result<(), Fault> {
        let Some(group) = &mut self.group else { return Ok(()) };
        group.complete(limits)?;
        let files = group.process_files()?;
        let passed: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let channels = self.lifeline.iter().map(AsFd::as_fd).chain([control]).filter(|_| !passed.is_empty());
        Ok(attempt(Step::CgroupPlaces, c"", || {
            channels.into_iter().try_for_each(|channel| socket::send_with(channel, &[wire::GROUPS], &passed))
        })?)
    }

    /// Kills everything at once: every process then ends on its own, and none waits for its turn in the end
    /// of the holder, which would do the same.
    fn kill_all(&self) {
        if self.group.as_ref().is_none_or(|group| group.kill().is_err()) {
            self.kill();
        }
    }

    fn kill(&self) {
        if let Some(holder) = &self.holder {
            let _ = process::send_signal(holder.as_fd(), libc::SIGKILL);
        }
    }

    /// Closes the lifeline: nothing else ends a holder that was not handed over.
    pub(super) fn let_go(&mut self) {
        self.lifeline = None;
    }

    /// Kills what is left inside, waits until it is gone, and removes the cgroup. Afterwards no process,
    /// mount or group of the sandbox exists.
    ///
    /// # Errors
    /// When the cgroup stays busy; the next start removes it.
    pub fn clear(mut self) -> Result<(), CgroupError> {
        self.clear_now()
    }

    /// Kills what is left inside and waits until it is gone: no process of the sandbox exists any more. Its
    /// mounts do; `clear`, which does the same first, takes them down.
    pub fn end(&mut self) {
        // The kernel kills everything in a pid namespace with its first process, which does not end before
        // all others are reaped. They are reaped there, except the worker, which is our child.
        self.kill();
        for process in [self.worker.take(), self.holder.take()].into_iter().flatten() {
            end(&process);
        }
        self.lifeline = None;
    }

    fn clear_now(&mut self) -> Result<(), CgroupError> {
        self.end();
        self.mounts = None;
        match &mut self.group {
            Some(group) => group.clear(),
            None => Ok(()),
        }
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        let _ = self.clear_now();
    }
}
