//! How a launcher or keeper starts: the program is started like any other, leaves the host's namespaces, has
//! its ids mapped by the process that started it, takes them, and executes itself again. The second execution
//! matters: only a memory image that was executed inside the user namespace belongs to it, and only what is
//! forked from that image can be given maps of its own.
//!
//! Nothing is printed: failures go over the channel, which is standard input.

use std::ffi::CStr;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::call::{Errno, file, identity, process, socket};
use crate::step::{Failure, Fault, Step, attempt};
use crate::wire::{self, Boot, CHANNEL, MAX_MESSAGE};

use super::prepared::Prepared;
use super::{precedence, template};

/// Most signals that all sandboxes of a machine have queued; half of what the executor itself may have, if that is
/// less. The kernel counts them for the user who made the namespaces as well, who is root of the machine, and who
/// could then queue none, nor make a timer (`inc_rlimit_get_ucounts` of Linux).
const ALL_PENDING_SIGNALS: u64 = 16 * 1024;

/// The program's role: its one argument.
const LAUNCHER: &str = "launcher";
const KEEPER: &str = "keeper";
/// The second executions of the two.
const LAUNCHER_INSIDE: &CStr = c"launcher-inside";
const KEEPER_INSIDE: &CStr = c"keeper-inside";

/// The program's name for `ps`, and for `orphans`: the kernel would name it after the descriptor that it was
/// executed from.
const NAME: &CStr = c"bailiwick-launcher";

/// The namespaces that a launcher or keeper leaves. It has no network, so the only way out is its channel.
const LEFT: libc::c_int =
    libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// Longest profile, as JSON: the paths and the filter of the largest profile that `Profile::check` allows fit
/// with room.
const MAX_BOOT_BYTES: u64 = 4 * 1024 * 1024;

/// Runs the program `bailiwick-launcher`; the argument is its role. The exit code is 0 when the executor
/// closed the channel.
#[must_use]
pub fn run(arguments: &[String]) -> i32 {
    let [_, role] = arguments else { return 2 };
    #[cfg(feature = "fault-injection")]
    injected_by_environment();
    let channel = file::inherited(CHANNEL);
    let outcome = match role.as_str() {
        LAUNCHER => leave_host(channel.as_fd(), LAUNCHER_INSIDE),
        KEEPER => leave_host(channel.as_fd(), KEEPER_INSIDE),
        inside if Some(inside) == LAUNCHER_INSIDE.to_str().ok() => launcher(&channel),
        inside if Some(inside) == KEEPER_INSIDE.to_str().ok() => keeper(&channel),
        _ => return 2,
    };
    match outcome {
        Ok(()) => 0,
        Err(fault) => {
            report(channel.as_fd(), &fault);
            1
        }
    }
}

/// The namespaces to leave.
#[cfg(not(feature = "fault-injection"))]
fn left() -> libc::c_int {
    LEFT
}

/// The same, except those that a test shares with the host.
#[cfg(feature = "fault-injection")]
fn left() -> libc::c_int {
    let shared = std::env::var(crate::step::injection::SHARED).ok().and_then(|bits| bits.parse().ok());
    LEFT & !shared.unwrap_or(0)
}

/// Before the profile has arrived, only the environment can name the step that must fail.
#[cfg(feature = "fault-injection")]
fn injected_by_environment() {
    use crate::step::injection::{FAIL_STEP, fail_at};
    if let Some(number) = std::env::var(FAIL_STEP).ok().and_then(|number| number.parse().ok()) {
        fail_at(Step::from_number(number));
    }
}

fn report(channel: BorrowedFd<'_>, fault: &Fault) {
    let mut message = [0; MAX_MESSAGE];
    let about = super::prepared::text(fault.about.clone()).unwrap_or_default();
    let failure = Failure { step: fault.step, errno: fault.errno, about: &about };
    let length = wire::failure_bytes(&failure, &mut message);
    // If the executor is gone, no process receives it.
    let _ = socket::send(channel, message.get(..length).unwrap_or_default());
}

/// The first execution. Returns only on failure.
fn leave_host(channel: BorrowedFd<'_>, role: &CStr) -> Result<(), Fault> {
    // Signals that the executor ignores would stay ignored in every program.
    process::default_all_signals();
    // Programs walk the folders of a template, whatever the executor's own files are made with.
    file::set_creation_mask(0o022);
    let program = attempt(Step::ProcessStart, c"", || {
        // Opened while the path can still be walked; the new ids may lack permission.
        let program = file::open(file::CWD, c"/proc/self/exe", libc::O_RDONLY, 0)?;
        precedence::give_up()?;
        // The limit of this process when it makes the namespace becomes the limit of everything in there.
        let pending = ALL_PENDING_SIGNALS.min(identity::hard_limit(libc::RLIMIT_SIGPENDING)? / 2);
        identity::limit(libc::RLIMIT_SIGPENDING, pending, pending)?;
        process::unshare(left())?;
        Ok(program)
    })?;
    let mut word = [0; MAX_MESSAGE];
    let many_ids = attempt(Step::ProcessMaps, c"", || {
        socket::send(channel, &[wire::LEFT_HOST])?;
        match (file::read_retrying(channel, &mut word)?, word) {
            (2, [wire::MAPS_WRITTEN, many, ..]) => Ok(many == 1),
            _ => Err(Errno::ECONNRESET),
        }
    })?;
    attempt(Step::ProcessIdentity, c"", || {
        if many_ids {
            identity::clear_groups()?;
        }
        identity::set_group(0)?;
        identity::set_user(0)
    })?;
    Err(attempt(Step::ProcessIdentity, NAME, || {
        Err::<(), _>(process::execute_open(program.as_fd(), &[NAME, role]))
    })
    .err()
    .map_or(Fault { step: Step::ProcessIdentity, errno: Errno::EIO, about: String::new() }, Fault::from))
}

/// Reads what the executor hands over: a memory file with JSON.
fn receive_boot(channel: BorrowedFd<'_>) -> Result<Boot, Fault> {
    let boot = attempt(Step::ProcessProfile, c"", || {
        socket::send(channel, &[wire::READY])?;
        let mut message = [0; MAX_MESSAGE];
        let (_, mut fds) = socket::receive_with(channel, &mut message)?;
        let mut file = std::fs::File::from(fds.pop().ok_or(Errno::EBADMSG)?);
        file.rewind().map_err(|_| Errno::EIO)?;
        let mut json = Vec::new();
        file.take(MAX_BOOT_BYTES).read_to_end(&mut json).map_err(|_| Errno::EIO)?;
        serde_json::from_slice::<Boot>(&json).map_err(|_| Errno::EBADMSG)
    })?;
    #[cfg(feature = "fault-injection")]
    crate::step::injection::fail_at(boot.failing);
    // Repeated, now that an injected failure of this step is known.
    attempt(Step::ProcessProfile, c"", || Ok(()))?;
    Ok(boot)
}

fn launcher(channel: &OwnedFd) -> Result<(), Fault> {
    // Rust's runtime has made this process ignore SIGPIPE, and an ignored signal stays ignored through
    // `clone3` and `execve`.
    process::default_all_signals();
    process::keep_memory_compact();
    attempt(Step::ProcessIdentity, NAME, || identity::set_name(NAME))?;
    let boot = receive_boot(channel.as_fd())?;
    let (host_proc, limits) = attempt(Step::ProcessProfile, c"/proc", || {
        let host_proc = file::open(file::CWD, c"/proc", libc::O_PATH | libc::O_DIRECTORY, 0)?;
        let limits = file::open(host_proc.as_fd(), c"sys/user", libc::O_PATH | libc::O_DIRECTORY, 0)?;
        Ok((host_proc, limits))
    })?;
    let profile = attempt(Step::ProcessProfile, c"", || boot.profile.ok_or(Errno::EBADMSG))?;
    template::build(&profile)?;
    let prepared =
        attempt(Step::ProcessProfile, c"", || Prepared::new(profile, boot.many_ids, host_proc, limits))?;
    // What reading the profile took is free now, and every sandbox would copy its tables.
    process::return_free_memory();
    super::serve(channel.as_fd(), prepared)
}

fn keeper(channel: &OwnedFd) -> Result<(), Fault> {
    let _ = receive_boot(channel.as_fd())?;
    template::build_empty()?;
    let broken = |errno| Fault { step: Step::WorkspaceLend, errno, about: String::new() };
    crate::keeper::inside::serve(channel.as_fd()).map_err(broken)
}
