//! A sandbox from outside: built, parked, run once, cleared away. Each state is a type, so a sandbox cannot
//! be run twice and is always cleared.
//!
//! ```text
//! Launcher ──build──► Parked ──run──► Running ──finish──► Exit, Remains ──clear──► nothing left
//!                        └────────────── dropped at any point: killed and cleared ──────────────┘
//! ```
//!
//! Everything blocks; an event loop gets descriptors to wait for (`Running::process` is readable when the
//! program has ended). Nothing here forks.

mod running;
mod taken;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::call::{Errno, file, process, socket};
use crate::cgroup::Group;
use crate::clerk::{ClerkError, Task};
use crate::host::{Host, Identity};
use crate::keeper::{Workspace, WorkspaceError};
use crate::orphans;
use crate::outpost::{Outpost, Role, readable_within};
use crate::profile::{Profile, ProfileError, check_variable};
use crate::step::{Fault, Step, attempt};
use crate::wire::{self, BuildMessage, MAX_MESSAGE};

pub use running::{Remains, Running};
pub(crate) use taken::{Lender, Taken};

/// Longest wait for a worker to park, once the launcher has made it.
const PARK_DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no sandbox. In every case, nothing has run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The profile is refused.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A step of the set-up failed.
    #[error(transparent)]
    Setup(#[from] Fault),
    /// The session's workspace is gone.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The profile limits the sandbox as a whole, and this host has no cgroup to enforce it.
    #[error("the profile has cgroup limits, and this host has no writable cgroup")]
    NoCgroup,
    /// A workspace was lent to a profile without a place for it, or none was lent to a profile with a place.
    #[error("a workspace is lent exactly to a profile that has a place for it")]
    WorkspacePlace,
    /// The task of the clerk is refused.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// The request is too long, has too many strings, or a NUL.
    #[error(
        "the request has a NUL, more than {} strings, or more than {} bytes",
        wire::MAX_STRINGS,
        wire::MAX_REQUEST_BYTES
    )]
    Request,
}

/// Makes sandboxes of one profile. Its process may be killed at any time; the next build starts another one
/// for the same profile, and builds nothing until that one is ready.
pub struct Launcher {
    profile: Profile,
    outpost: Mutex<Outpost>,
    host: Host,
}

/// The session that a sandbox is built for.
#[derive(Clone)]
pub struct Build<'a> {
    /// The identity of its programs outside: the session's.
    pub identity: Arc<Identity>,
    /// The session's workspace, for a profile that has a place for one.
    pub workspace: Option<&'a Workspace>,
}

/// The program to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The program, by an absolute path inside.
    pub program: PathBuf,
    /// Its arguments, beginning with the name that it sees.
    pub arguments: Vec<String>,
    /// Variables in addition to the profile's; one with the same name overrides it.
    pub environment: Vec<(String, String)>,
    /// Working directory, if not the profile's.
    pub working_directory: Option<PathBuf>,
}

impl Launcher {
    /// Starts a launcher for a profile.
    ///
    /// # Errors
    /// When the profile is refused, needs what the host lacks, or a step fails.
    pub fn spawn(host: &Host, profile: &Profile) -> Result<Self, SandboxError> {
        profile.check()?;
        if !profile.cgroup.is_empty() && host.cgroups.is_none() {
            return Err(SandboxError::NoCgroup);
        }
        let outpost = Outpost::start(host, Role::Launcher, Some(profile))?;
        Ok(Self { profile: profile.clone(), outpost: Mutex::new(outpost), host: host.clone() })
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The process id of the launcher, for a report. It changes when the launcher is started again.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.outpost.lock().unwrap_or_else(PoisonError::into_inner).process_id()
    }

    /// Builds one sandbox and waits until it is parked.
    ///
    /// # Errors
    /// The step that failed. Everything made by then is removed. A launcher that dies while it builds fails
    /// only this build.
    pub fn build(&self, build: &Build<'_>) -> Result<Parked, SandboxError> {
        if build.workspace.is_some() != self.profile.workspace.is_some() {
            return Err(SandboxError::WorkspacePlace);
        }
        let group = match &self.host.cgroups {
            Some(root) => Some(root.begin(&self.profile.cgroup)?),
            None => None,
        };
        let lent = build.workspace.map(Workspace::lend).transpose()?;
        let (ours, theirs) = channels()?;
        let directory = group.as_ref().map(Group::clone_directory).transpose()?.flatten();
        let message = BuildMessage {
            worker_id: build.identity.inner(),
            entered_groups: u8::try_from(group.as_ref().map_or(0, Group::entered)).unwrap_or(u8::MAX),
            cgroup_directory: directory.is_some(),
            workspace: lent.is_some(),
        };
        let passed: Vec<_> = theirs.iter().chain(&directory).chain(&lent).map(AsFd::as_fd).collect();
        let mut remains = Remains::new(ours.lifeline, group, Arc::clone(&build.identity));
        let answer = self.ask(message, &passed, &mut remains, ours.control.as_fd());
        drop(theirs);
        match answer {
            Ok(()) => remains.are_known(&self.profile),
            Err(Unbuilt::Refused(fault)) => return Err(fault.into()),
            Err(Unbuilt::Lost(fault)) => {
                remains.let_go();
                orphans::reap();
                return Err(fault.into());
            }
        }
        let worker = remains.worker_copy().map_err(|errno| Fault {
            step: Step::BuildRequest,
            errno,
            about: String::new(),
        })?;
        let mut parked = Parked {
            worker,
            control: ours.control,
            stdin: ours.stdin,
            stdout: ours.stdout,
            stderr: ours.stderr,
            environment: self.profile.environment.clone().into_iter().collect(),
            cpu_before: Duration::ZERO,
            cpu_limit: self.profile.rlimits.cpu_seconds.map(Duration::from_secs),
            remains,
        };
        parked.await_ready()?;
        Ok(parked)
    }

    /// Has holder and worker made, by a launcher that is started again if it has ended. All processes that it
    /// started are our children, so they are taken over before the outcome is checked.
    fn ask(
        &self,
        message: BuildMessage,
        passed: &[BorrowedFd<'_>],
        remains: &mut Remains,
        control: BorrowedFd<'_>,
    ) -> Result<(), Unbuilt> {
        let mut outpost = self.outpost.lock().unwrap_or_else(PoisonError::into_inner);
        if outpost.has_ended() {
            let anew = Outpost::start(&self.host, Role::Launcher, Some(&self.profile));
            *outpost = anew.map_err(Unbuilt::Refused)?;
        }
        let meanwhile = |remains: &mut Remains| remains.complete_group(&self.profile.cgroup, control);
        exchange(&mut outpost, message, passed, remains, meanwhile).map_err(|fault| {
            // A launcher reports a reply that it cannot send before it ends; one that is killed reports
            // nothing.
            let ending = fault.step == Step::BuildReply || fault.errno == Errno::ECONNRESET;
            if !ending && !outpost.has_ended() {
                return Unbuilt::Refused(fault);
            }
            outpost.bury();
            Unbuilt::Lost(fault)
        })
    }
}

/// Why a launcher has built nothing.
enum Unbuilt {
    /// It could not.
    Refused(Fault),
    /// It ended during the build, and may have made processes that it did not report.
    Lost(Fault),
}

/// Sends a request, does our part while the launcher does its own, and receives the answer.
fn exchange(
    outpost: &mut Outpost,
    message: BuildMessage,
    passed: &[BorrowedFd<'_>],
    remains: &mut Remains,
    meanwhile: impl FnOnce(&mut Remains) -> Result<(), Fault>,
) -> Result<(), Fault> {
    attempt(Step::BuildRequest, c"", || outpost.request(&message.bytes(), passed))?;
    let done = meanwhile(remains);
    if done.is_err() {
        // The holder, which may be waiting for our part, then fails.
        remains.let_go();
    }
    let mut reply = [0; MAX_MESSAGE];
    let (length, fds) = outpost.receive(&mut reply, Step::BuildRequest)?;
    let mut fds = fds.into_iter();
    remains.holder = fds.next();
    remains.worker = fds.next();
    remains.mounts = fds.next();
    done?;
    match reply.get(..length) {
        Some([wire::BUILT, ..]) => Ok(()),
        other => Err(wire::parse_failure(other.unwrap_or_default(), Step::BuildRequest)),
    }
}

/// Our ends of a sandbox's channels.
struct Ours {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    control: OwnedFd,
    lifeline: OwnedFd,
}

/// Makes the channels: our ends, and the others in the order of `launcher::Channels`.
fn channels() -> Result<(Ours, [OwnedFd; 5]), Fault> {
    let made = attempt(Step::Channels, c"", || {
        let (their_stdin, stdin) = socket::pipe()?;
        let (stdout, their_stdout) = socket::pipe()?;
        let (stderr, their_stderr) = socket::pipe()?;
        // Done now, and not while a caller waits for the program.
        for ours in [&stdin, &stdout, &stderr] {
            file::set_nonblocking(ours.as_fd())?;
        }
        let (control, their_control) = socket::pair()?;
        let (their_lifeline, lifeline) = socket::pair()?;
        let theirs = [their_stdin, their_stdout, their_stderr, their_control, their_lifeline];
        Ok((Ours { stdin, stdout, stderr, control, lifeline }, theirs))
    });
    Ok(made?)
}

/// A sandbox that waits for its one request. Dropped, it is cleared away.
pub struct Parked {
    worker: OwnedFd,
    control: OwnedFd,
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    environment: Vec<(String, String)>,
    /// Processor time that the set-up took, which is not charged to the program.
    cpu_before: Duration,
    /// The limit of each process.
    cpu_limit: Option<Duration>,
    remains: Remains,
}

impl Parked {
    fn await_ready(&mut self) -> Result<(), Fault> {
        let fault = |errno| Fault { step: Step::WorkerReady, errno, about: String::new() };
        let mut message = [0; MAX_MESSAGE];
        if !readable_within(self.control.as_fd(), PARK_DEADLINE).map_err(fault)? {
            return Err(fault(Errno::ETIMEDOUT));
        }
        let length = socket::receive_now(self.control.as_fd(), &mut message).map_err(fault)?;
        match message.get(..length) {
            Some([wire::READY]) => {
                self.cpu_before = self.remains.cpu_time().unwrap_or_default();
                Ok(())
            }
            other => Err(wire::parse_failure(other.unwrap_or_default(), Step::WorkerReady)),
        }
    }

    /// Sets the pool that it was taken from, which learns when the sandbox has been cleared away.
    pub(crate) fn belongs_to(&mut self, taken: Taken) {
        self.remains.taken = Some(taken);
    }

    /// Whether the sandbox can still be run: its worker has not been killed since it parked.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(readable_within(self.worker.as_fd(), Duration::ZERO), Ok(false))
    }

    /// The user id that the program has outside.
    #[must_use]
    pub fn outer_uid(&self) -> u32 {
        self.remains.identity().outer_uid()
    }

    /// Sends the request. From here on the program may run.
    ///
    /// # Errors
    /// When the request is refused or the worker is gone; then nothing has run.
    pub fn run(self, request: &Request) -> Result<Running, SandboxError> {
        for (name, value) in &request.environment {
            check_variable(name, value)?;
        }
        if !request.program.is_absolute() {
            return Err(SandboxError::Request);
        }
        let given = |name: &str| request.environment.iter().any(|(other, _)| other == name);
        let kept = self.environment.iter().filter(|(name, _)| !given(name));
        let variables: Vec<String> =
            kept.chain(&request.environment).map(|(name, value)| format!("{name}={value}")).collect();
        let directory = request.working_directory.clone().unwrap_or_default();
        let packed = wire::pack_request(&directory, &request.program, &request.arguments, &variables)
            .ok_or(SandboxError::Request)?;
        self.send(&packed)
    }

    /// Has the clerk do one task with the files of the workspace, instead of running a program; without a
    /// workspace, with those of the profile's working directory. The answer is on standard output, for
    /// `clerk::parse_read` and the other parsers, once the outcome is `Exited { code: 0 }`.
    ///
    /// # Errors
    /// When the task is refused or the worker is gone.
    pub fn run_clerk(self, task: &Task) -> Result<Running, SandboxError> {
        let packed = task.pack()?;
        self.send(&packed)
    }

    fn send(self, packed: &[u8]) -> Result<Running, SandboxError> {
        let started = Instant::now();
        attempt(Step::Request, c"", || socket::send(self.control.as_fd(), packed)).map_err(Fault::from)?;
        Ok(Running::new(self, started))
    }
}

/// Kills and reaps a process of ours.
fn end(process: &OwnedFd) {
    let _ = process::send_signal(process.as_fd(), libc::SIGKILL);
    let _ = process::reap(process.as_fd());
}
