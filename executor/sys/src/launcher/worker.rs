//! The worker: the process that becomes the program. It joins the holder's namespaces, gives up every
//! privilege, installs the filter last, and parks: one message away from `execve`.
//!
//! Between the message and the program there are two system calls, `read` and `execve`, and a `chdir` when
//! the request names a directory. Every filter that allows a program to run at all allows these three.
//!
//! It runs on a copy of the launcher's memory and never returns: no allocation, no lock, no destructor.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::call::{Errno, file, identity, landlock, process};
use crate::profile::Rlimits;
use crate::step::{Failure, Step, attempt};
use crate::wire::{self, MAX_MESSAGE, RequestBuffer};

use super::holder::enter_cgroups;
use super::prepared::{INSIDE_ID, Prepared};
use super::rules;
use super::{Channels, Order};

/// The control channel's descriptor while the worker is parked; `execve` closes it, which tells the executor
/// that the program runs.
const CONTROL: i32 = 3;

/// Exit code of a worker that did not become the program; it has sent the reason.
pub(crate) const NOT_EXECUTED: i32 = 127;

/// Memory that a program may lock, for a key or a password. It counts as memory of the sandbox all the same.
const LOCKED_BYTES: u64 = 64 << 10;

/// Stack of a program's first thread, and the default that C libraries give every further one: the usual
/// size.
const STACK_BYTES: u64 = 8 << 20;

/// Signals that may be queued in a sandbox, with its timers. What all sandboxes have queued counts with what root of
/// the machine has (see `start`), so it is bounded for each, too.
const PENDING_SIGNALS: u64 = 1024;

/// Every namespace of the holder except its pid namespace, which the clone has chosen, and time, which is the
/// host's.
const JOINED: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Parks and, when a request comes, becomes the program.
pub(super) fn park(prepared: &Prepared, order: &Order, buffer: &mut RequestBuffer) -> ! {
    let mut control = order.channels.control.as_fd();
    buffer.touch();
    let failure = match confine(prepared, order, &mut control) {
        Err(failure) => failure,
        Ok(()) => become_program(prepared, control, buffer),
    };
    let mut message = [0; MAX_MESSAGE];
    let length = wire::failure_bytes(&failure, &mut message);
    // `write`, not `send`: the filter may already be installed, and every filter allows writing to an open
    // descriptor.
    let _ = file::write(control, message.get(..length).unwrap_or_default());
    process::exit_now(NOT_EXECUTED)
}

fn confine<'a>(
    prepared: &'a Prepared,
    order: &Order,
    control: &mut BorrowedFd<'_>,
) -> Result<(), Failure<'a>> {
    let entered_groups = order.channels.entered_groups;
    attempt(Step::WorkerCgroup, c"", || enter_cgroups(*control, entered_groups))?;
    attempt(Step::WorkerSession, c"", || {
        identity::set_name(c"bailiwick-work")?;
        process::unblock_all_signals()?;
        file::set_creation_mask(0o022);
        identity::new_session()
    })?;
    attempt(Step::WorkerJoin, c"", || {
        // Before that the holder is not yet in the cgroup namespace in which the program must be.
        let mut word = [0];
        if file::read_retrying(order.opening.as_fd(), &mut word)? != 1 {
            return Err(Errno::ECONNRESET);
        }
        process::join(order.holder.as_fd(), JOINED & !super::shared(&prepared.profile))
    })?;
    attempt(Step::WorkerDescriptors, c"", || {
        arrange(&order.channels, control)?;
        if removed!(prepared, Descriptors) { Ok(()) } else { file::close_from(CONTROL + 1) }
    })?;
    let directory = prepared.working_directory.as_c_str();
    attempt(Step::WorkerDirectory, directory, || file::change_directory(directory))?;
    if !removed!(prepared, Rlimits) {
        attempt(Step::WorkerLimits, c"", || limit(&prepared.profile.rlimits))?;
    }
    give_up(prepared)?;
    if let Some(handled) = &prepared.handled {
        confine_files(prepared, handled)?;
    }
    // The filter may not allow it.
    process::forget_program_text();
    if !removed!(prepared, Filter) {
        attempt(Step::WorkerFilter, c"", || identity::set_filter(&prepared.filter))?;
    }
    attempt(Step::WorkerReady, c"", || file::write(*control, &[wire::READY]).map(drop))
}

/// Puts the standard streams on 0 to 2 and the control channel on 3. The launcher received the four while its
/// own descriptors 0 to 3 were in use, so none of them is overwritten before it is copied.
fn arrange(channels: &Channels, control: &mut BorrowedFd<'_>) -> Result<(), Errno> {
    for (number, stream) in [(0, &channels.stdin), (1, &channels.stdout), (2, &channels.stderr)] {
        if stream.as_raw_fd() <= CONTROL {
            return Err(Errno::EBADF);
        }
        file::duplicate_to(stream.as_fd(), number, 0)?;
    }
    if channels.control.as_raw_fd() <= CONTROL {
        return Err(Errno::EBADF);
    }
    file::duplicate_to(channels.control.as_fd(), CONTROL, libc::O_CLOEXEC)?;
    *control = file::by_number(CONTROL);
    Ok(())
}

/// The limits of each process. There is never a core file: the host's rules would decide where it is written.
fn limit(limits: &Rlimits) -> Result<(), Errno> {
    // One, not zero: a core that goes to a program of the host (`core_pattern` with a pipe) is not bound by
    // the limit, except at this value (`fs/coredump.c`). No core file is as small as that.
    limit_both(libc::RLIMIT_CORE, 1)?;
    limit_both(libc::RLIMIT_NOFILE, limits.open_files)?;
    limit_both(libc::RLIMIT_FSIZE, limits.file_size_bytes)?;
    // No real-time or raised priority, no message queues.
    for resource in [libc::RLIMIT_RTPRIO, libc::RLIMIT_NICE, libc::RLIMIT_MSGQUEUE] {
        limit_both(resource, 0)?;
    }
    // The host's own limits may be higher, or absent.
    lower_both(libc::RLIMIT_MEMLOCK, LOCKED_BYTES)?;
    lower_both(libc::RLIMIT_SIGPENDING, PENDING_SIGNALS)?;
    lower_both(libc::RLIMIT_STACK, STACK_BYTES)?;
    if let Some(seconds) = limits.cpu_seconds {
        // The soft limit ends the program with a signal that states the reason; a program that catches it is
        // killed a second later.
        identity::limit(libc::RLIMIT_CPU, seconds, seconds.saturating_add(1))?;
    }
    for (resource, value) in
        [(libc::RLIMIT_NPROC, limits.processes), (libc::RLIMIT_AS, limits.address_space_bytes)]
    {
        if let Some(value) = value {
            limit_both(resource, value)?;
        }
    }
    Ok(())
}

/// Lowers a limit; one that is already lower stays, because only root of the host may raise it.
fn lower_both(resource: libc::__rlimit_resource_t, value: u64) -> Result<(), Errno> {
    limit_both(resource, value.min(identity::hard_limit(resource)?))
}

fn limit_both(resource: libc::__rlimit_resource_t, value: u64) -> Result<(), Errno> {
    identity::limit(resource, value, value)
}

/// Gives up ids, capabilities and the ways to regain them. Entering the user namespace has granted every
/// capability inside it, so all five sets are emptied.
fn give_up(prepared: &Prepared) -> Result<(), Failure<'_>> {
    #[cfg(feature = "fault-injection")]
    if removed!(prepared, Capabilities) {
        let many_ids = prepared.many_ids;
        return attempt(Step::WorkerCapabilities, c"", || identity::become_privileged(many_ids));
    }
    attempt(Step::WorkerIdentity, c"", || {
        if prepared.many_ids {
            identity::clear_groups()?;
        }
        // Needs CAP_SETPCAP, so this comes before the ids change.
        identity::clear_bounding_set()?;
        identity::set_group(INSIDE_ID)?;
        identity::set_user(INSIDE_ID)
    })?;
    attempt(Step::WorkerCapabilities, c"", || {
        identity::clear_ambient_set()?;
        identity::clear_capabilities()
    })?;
    if !removed!(prepared, NoNewPrivileges) {
        attempt(Step::WorkerNoNewPrivileges, c"", || identity::prctl(libc::PR_SET_NO_NEW_PRIVS, 1))?;
    }
    attempt(Step::WorkerUndumpable, c"", || identity::prctl(libc::PR_SET_DUMPABLE, 0)).map(drop)
}

fn confine_files<'a>(prepared: &'a Prepared, handled: &landlock::Handled) -> Result<(), Failure<'a>> {
    let ruleset = attempt(Step::WorkerLandlock, c"", || landlock::create(handled))?;
    for rule in &prepared.rules {
        attempt(Step::WorkerLandlock, &rule.path, || {
            let path = file::open(file::CWD, &rule.path, libc::O_PATH, 0)?;
            let is_directory = file::status(path.as_fd())?.st_mode & libc::S_IFMT == libc::S_IFDIR;
            let rights = rules::rights_of(rule, handled, is_directory);
            landlock::allow_beneath(ruleset.as_fd(), path.as_fd(), rights)
        })?;
    }
    attempt(Step::WorkerLandlock, c"", || landlock::restrict(ruleset.as_fd()))
}

/// Waits for the request and executes it; returns only with the reason for a failure.
fn become_program<'a>(
    prepared: &'a Prepared,
    control: BorrowedFd<'_>,
    buffer: &'a mut RequestBuffer,
) -> Failure<'a> {
    let refused = |errno| Failure { step: Step::Request, errno, about: c"" };
    let length = match attempt(Step::Request, c"", || file::read_retrying(control, &mut buffer.bytes)) {
        // The executor is gone, or has dropped this sandbox unused.
        Ok(0) => process::exit_now(0),
        Ok(length) => length,
        Err(failure) => return failure,
    };
    let workspace = prepared.workspace.as_deref().unwrap_or(&prepared.working_directory);
    if let Some(order) = buffer.unpack_order(length, workspace) {
        process::exit_now(crate::clerk::inside::serve(&order));
    }
    let Some(execution) = buffer.unpack(length) else { return refused(Errno::EBADMSG) };
    if !execution.directory.is_empty()
        && let Err(failure) = attempt(Step::RequestDirectory, execution.directory, || {
            file::change_directory(execution.directory)
        })
    {
        return failure;
    }
    let outcome = attempt(Step::Execute, execution.program, || Err::<(), _>(process::execute(&execution)));
    match outcome {
        Err(failure) => failure,
        Ok(()) => refused(Errno::EIO),
    }
}
