//! The holder: process 1 of a sandbox's pid namespace. It sets the namespaces up, gives up every privilege,
//! and from then on only waits: for orphans to reap, and for the end of its lifeline. The namespaces live as
//! long as it does; when it ends, because it is killed or the executor is gone, the kernel kills everything
//! in them.
//!
//! It runs on a copy of the launcher's memory and never returns: no allocation, no lock, no destructor.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::call::{Errno, file, identity, mount, process, socket};
use crate::step::{Failure, Step, attempt};
use crate::wire::{self, MAX_MESSAGE};

use super::Channels;
use super::prepared::{INSIDE_ID, Prepared};

/// Exit code of a holder whose set-up failed; it is not read, because the failure has been sent.
const SETUP_FAILED: i32 = 1;

/// The holder's id inside, where enough ids are available for it to have its own.
const ROOT_INSIDE: u32 = 0;

/// The kinds of namespaces of which another one would bring power or sights that a sandbox's own do not: a
/// user namespace brings every capability, a network namespace of its own the kernel's network code, a mount
/// namespace a copy of the mounts. Of the other kinds, another one is like the one that the sandbox has; each
/// of these files is looked up, and made, anew in every user namespace.
const LIMITED: [&CStr; 3] = [c"max_user_namespaces", c"max_net_namespaces", c"max_mnt_namespaces"];

/// Sets up and holds. `status` is its channel to the launcher, `opening` the one to the worker.
pub(super) fn hold(prepared: &Prepared, channels: &Channels, status: &OwnedFd, opening: &OwnedFd) -> ! {
    if let Err(failure) = set_up(prepared, channels, status, opening) {
        let mut message = [0; MAX_MESSAGE];
        let length = wire::failure_bytes(&failure, &mut message);
        let _ = socket::send(status.as_fd(), message.get(..length).unwrap_or_default());
        process::exit_now(SETUP_FAILED);
    }
    if socket::send(status.as_fd(), &[wire::READY]).is_err() {
        process::exit_now(SETUP_FAILED);
    }
    wait_for_the_end(channels.lifeline.as_fd())
}

fn set_up<'a>(
    prepared: &'a Prepared,
    channels: &Channels,
    status: &OwnedFd,
    opening: &OwnedFd,
) -> Result<(), Failure<'a>> {
    attempt(Step::HolderDescriptors, c"", || {
        let workspace = channels.workspace.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let limits = prepared.namespace_limits.as_raw_fd();
        let kept = [status, &channels.lifeline, opening].map(AsRawFd::as_raw_fd);
        let [status, lifeline, opening] = kept;
        close_others([status, lifeline, opening, workspace, limits])
    })?;
    attempt(Step::HolderCgroup, c"", || enter_cgroups(channels.lifeline.as_fd(), channels.entered_groups))?;
    // The launcher writes the id maps, then signals it.
    attempt(Step::HolderIdentity, c"", || {
        let mut word = [0];
        if file::read_retrying(status.as_fd(), &mut word)? != 1 {
            return Err(Errno::ECONNRESET);
        }
        let id = if prepared.many_ids { ROOT_INSIDE } else { INSIDE_ID };
        identity::set_group(id)?;
        identity::set_user(id)
    })?;
    attempt(Step::HolderCgroupNamespace, c"", || process::unshare(libc::CLONE_NEWCGROUP))?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    for (path, options) in &prepared.tmpfs {
        attempt(Step::HolderTmpfs, path, || mount::mount(c"tmpfs", path, c"tmpfs", flags, options))?;
    }
    if prepared.own_proc {
        attempt(Step::HolderProc, c"/proc", || {
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_RDONLY;
            mount::mount(c"proc", c"/proc", c"proc", flags, c"")
        })?;
    }
    attach_workspace(prepared, channels)?;
    // Every namespace is now the one in which the program will run, and every mount is in place. What follows
    // takes no longer than the worker's part.
    attempt(Step::HolderOpening, c"", || match file::write(opening.as_fd(), &[wire::READY]) {
        // A worker that failed has said so, and one that was not made is missed by the launcher. There is no
        // SIGPIPE for process 1 (`pid_namespaces(7)`).
        Ok(_) | Err(Errno::EPIPE) => Ok(()),
        Err(other) => Err(other),
    })?;
    limit_namespaces(prepared)?;
    attempt(Step::HolderHostName, &prepared.host_name, || identity::set_host_name(&prepared.host_name))?;
    attempt(Step::HolderPrivileges, c"", || give_up(prepared))
}

/// Enters the groups whose `tasks` files come over a channel, and closes them. Writing `0` moves the one
/// thread that writes it, which is all of this process. On cgroup v2 the clone has already placed it, and
/// there is nothing to wait for.
pub(super) fn enter_cgroups(channel: BorrowedFd<'_>, expected: usize) -> Result<(), Errno> {
    if expected == 0 {
        return Ok(());
    }
    let (mut word, mut entered, mut refused) = ([0], 0, None);
    let length = socket::receive_each(channel, &mut word, |tasks| match file::write(tasks.as_fd(), b"0") {
        Ok(_) => entered += 1,
        Err(errno) => refused = Some(errno),
    })?;
    match refused {
        Some(errno) => Err(errno),
        None if length == 0 => Err(Errno::ECONNRESET),
        None if word != [wire::GROUPS] || entered != expected => Err(Errno::EBADMSG),
        None => Ok(()),
    }
}

/// Closes every descriptor except those to keep. Among them are lifelines of other sandboxes that the
/// launcher held when it forked: a copy here would keep such a sandbox alive after its executor has died.
fn close_others(mut keep: [i32; 5]) -> Result<(), Errno> {
    keep.sort_unstable();
    let mut from = 0;
    for fd in keep {
        if fd > from {
            file::close_between(from, fd - 1)?;
        }
        from = from.max(fd + 1);
    }
    file::close_from(from)
}

/// Sets the number of further namespaces to zero. Where the host's `/proc/sys` is read-only, as
/// in most pods, only the filter refuses them, and `probe` reports it.
fn limit_namespaces(prepared: &Prepared) -> Result<(), Failure<'_>> {
    #[cfg(feature = "fault-injection")]
    if !prepared.profile.has(crate::profile::Layer::NamespaceLimits) {
        return Ok(());
    }
    for name in LIMITED {
        attempt(Step::HolderNamespaceLimits, name, || {
            match file::put(prepared.namespace_limits.as_fd(), name, b"0") {
                Err(Errno::EROFS | Errno::ENOENT) => Ok(()),
                other => other,
            }
        })?;
    }
    Ok(())
}

fn attach_workspace<'a>(prepared: &'a Prepared, channels: &Channels) -> Result<(), Failure<'a>> {
    let Some(path) = &prepared.workspace else { return Ok(()) };
    attempt(Step::HolderWorkspace, path, || {
        // Without a lent workspace, its mount point stays an empty, read-only directory.
        let Some(tree) = &channels.workspace else { return Ok(()) };
        let place = file::open(file::CWD, path, libc::O_PATH | libc::O_DIRECTORY, 0)?;
        mount::attach(tree.as_fd(), place.as_fd())
    })
}

/// From here on, nothing that a holder does needs a privilege.
fn give_up(prepared: &Prepared) -> Result<(), Errno> {
    identity::set_name(c"bailiwick-hold")?;
    #[cfg(feature = "fault-injection")]
    if !prepared.profile.has(crate::profile::Layer::HolderPrivileges) {
        return Ok(());
    }
    let _ = prepared;
    // The bounding set stays: it limits only what `execve` can give, which is nothing after the fourth of
    // these, and to clear it takes one call for each capability.
    identity::clear_ambient_set()?;
    identity::clear_capabilities()?;
    identity::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    identity::prctl(libc::PR_SET_DUMPABLE, 0).map(drop)
}

/// Reaps orphans inside until the lifeline ends. Nothing is written to the lifeline once the holder is in its
/// groups, so readable means that its other end is gone.
fn wait_for_the_end(lifeline: BorrowedFd<'_>) -> ! {
    let Ok(children) = process::child_signals() else { process::exit_now(SETUP_FAILED) };
    let entry = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut entries = [entry(lifeline.as_raw_fd()), entry(children.as_raw_fd())];
    loop {
        // Before the wait as well: a child may have ended before the signal descriptor existed.
        while process::reap_any() {}
        match process::poll(&mut entries, -1) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => process::exit_now(SETUP_FAILED),
        }
        let [life, child] = &entries;
        if life.revents != 0 {
            process::exit_now(0);
        }
        if child.revents != 0 {
            let mut record = [0; 128];
            while file::read(children.as_fd(), &mut record).is_ok_and(|read| read > 0) {}
        }
    }
}
