//! Processes, namespaces and signals.

use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::wire::Execution;

use super::file::owned;
use super::{Errno, checked, checked_int};

/// `struct clone_args` of `clone3(2)` as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Bytes from which on a block of the allocator has pages of its own: the tables of a request are that large,
/// and few other things are.
#[cfg(target_env = "gnu")]
const LARGE_BLOCK: libc::c_int = 32 << 10;

/// `CLONE_INTO_CGROUP` and `CLONE_CLEAR_SIGHAND` are wider than the constants of libc's type.
const INTO_CGROUP: u64 = 0x2_0000_0000;
const CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// Which side of a clone the caller is.
pub(crate) enum Cloned {
    /// The parent, with the child's pid as the parent sees it and its pidfd.
    Parent { pid: i32, pidfd: OwnedFd },
    /// The child, on a copy of the parent's stack.
    Child,
}

/// `clone3(2)` with copied memory. `flags` are namespaces and `CLONE_PARENT`; a pidfd is always made and
/// handlers are always reset. With a cgroup, the child starts inside it.
///
/// # Safety
/// The child has only the calling thread. Until it calls `execve` or `_exit` it must not allocate, take a
/// lock or run a destructor that does.
pub(crate) unsafe fn clone(flags: libc::c_int, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    let flags = u64::from((flags | libc::CLONE_PIDFD).cast_unsigned()) | CLEAR_SIGHAND;
    let mut arguments = CloneArguments { flags, pidfd: (&raw mut pidfd) as u64, ..CloneArguments::default() };
    if flags & (libc::CLONE_PARENT as u64) == 0 {
        arguments.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = cgroup {
        arguments.flags |= INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: the structure has the kernel's layout and its size is passed; `pidfd` is writable and lives
    // through the call. Memory is copied (no CLONE_VM), so the child continues with its own copy of this
    // stack. The caller is responsible for what the child may do.
    let pid =
        checked(unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArguments>()) })?;
    if pid == 0 { Ok(Cloned::Child) } else { Ok(Cloned::Parent { pid: pid as i32, pidfd: owned(pidfd) }) }
}

/// `unshare(2)`.
pub(crate) fn unshare(namespaces: libc::c_int) -> Result<(), Errno> {
    // SAFETY: takes flags and touches no memory.
    checked_int(unsafe { libc::unshare(namespaces) }).map(drop)
}

/// `setns(2)` into namespaces of the process behind a pidfd (Linux 5.8), or into the one namespace behind a
/// descriptor of its own.
pub(crate) fn join(place: BorrowedFd<'_>, namespaces: libc::c_int) -> Result<(), Errno> {
    // SAFETY: takes a descriptor and flags, and touches no memory.
    checked_int(unsafe { libc::setns(place.as_raw_fd(), namespaces) }).map(drop)
}

/// `pidfd_send_signal(2)`.
pub(crate) fn send_signal(process: BorrowedFd<'_>, signal: libc::c_int) -> Result<(), Errno> {
    // SAFETY: without a siginfo nothing is read from memory.
    checked(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// `pidfd_open(2)`.
pub(crate) fn open_process(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: takes integers and touches no memory.
    let fd = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    Ok(owned(fd as RawFd))
}

/// How a child ended, as `waitid(2)` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Exited(i32),
    Signaled(i32),
}

/// `waitid(2)` for the child behind a pidfd, with the usage of the child and its waited-for children. Blocks
/// until it has ended.
pub(crate) fn reap(process: BorrowedFd<'_>) -> Result<(Death, libc::rusage), Errno> {
    // SAFETY: all-zero bytes are a valid value of both plain C structures.
    let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both structures are writable and live through the call. The raw call is used because libc's
        // has no rusage.
        let returned = checked(unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                process.as_raw_fd(),
                &raw mut info,
                libc::WEXITED | libc::__WALL,
                &raw mut usage,
            )
        });
        match returned {
            Err(Errno::EINTR) => {}
            Err(other) => return Err(other),
            Ok(_) => break,
        }
    }
    // SAFETY: the call succeeded for WEXITED, so the SIGCHLD fields of the union are the ones that were
    // filled.
    let status = unsafe { info.si_status() };
    Ok((
        if info.si_code == libc::CLD_EXITED { Death::Exited(status) } else { Death::Signaled(status) },
        usage,
    ))
}

/// Reaps any ended child without blocking; false when there is none.
pub(crate) fn reap_any() -> bool {
    // SAFETY: a null status is allowed, and nothing else is written.
    unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) > 0 }
}

/// Reaps a child by its number, if it has ended.
pub(crate) fn reap_ended(pid: i32) {
    // SAFETY: a null status is allowed, and nothing else is written.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
}

/// `poll(2)`; a negative timeout waits for ever.
pub(crate) fn poll(entries: &mut [libc::pollfd], timeout_ms: libc::c_int) -> Result<usize, Errno> {
    // SAFETY: pointer and count are of one live, writable slice.
    let ready =
        checked_int(unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout_ms) })?;
    Ok(ready.cast_unsigned() as usize)
}

/// Gives every signal its default action; an ignored signal would stay ignored through `clone3` and `execve`.
/// SIGKILL and SIGSTOP refuse, which is correct. Uses the raw call, because libc reserves two signals for
/// itself.
pub(crate) fn default_all_signals() {
    // `struct sigaction` of the kernel: handler (SIG_DFL is null), flags, restorer, mask.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the structure lives through the call, which reads it and writes no old one; SIG_DFL
        // installs no code.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                size_of::<u64>(),
            );
        }
    }
}

/// Blocks SIGCHLD and returns a descriptor from which it is read (`signalfd(2)`).
pub(crate) fn child_signals() -> Result<OwnedFd, Errno> {
    // SAFETY: all-zero bytes are a valid `sigset_t`, and `sigemptyset` fills it anyway.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a live, writable signal set.
    unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
    }
    // SAFETY: the set is initialized; the old mask is not requested.
    checked_int(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) })?;
    // SAFETY: the set is initialized and lives through the call.
    let fd =
        checked_int(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
    Ok(owned(fd))
}

/// Keeps what the allocator of this process takes close together and untouched (`mallopt(3)`): one heap for
/// all threads, and large blocks in pages of their own, which the kernel has cleared. Every clone copies the
/// tables of touched pages, and a worker takes its copy down when it becomes the program. Nothing depends on
/// it, so a refusal is ignored.
pub(crate) fn keep_memory_compact() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes integers. It is called while the process has one thread, as the manual requires.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK);
    }
}

unsafe extern "C" {
    /// First byte of this program in memory, and the first behind its instructions (`ld(1)`).
    static __executable_start: u8;
    static etext: u8;
}

/// Has the kernel forget where instructions and constants of this program are (`MADV_DONTNEED`); it finds each
/// page again in the file when it is next needed. A process that becomes another program soon after has fewer
/// to forget then. Nothing depends on it, so a refusal is ignored.
pub(crate) fn forget_program_text() {
    let (from, to) = (&raw const __executable_start, &raw const etext);
    let length = to.addr().saturating_sub(from.addr());
    // SAFETY: the linker places only what is read or executed between the two, in pages of the program's file
    // that nobody writes to and that have nothing else, the last one included. What is there is read again from
    // the file, which is the same as long as the program is mapped.
    unsafe { libc::madvise(from.cast_mut().cast(), length, libc::MADV_DONTNEED) };
}

/// Returns what the allocator of this process keeps for later to the kernel (`malloc_trim(3)`).
pub(crate) fn return_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes an integer, and touches only memory that nobody has.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Unblocks every signal.
pub(crate) fn unblock_all_signals() -> Result<(), Errno> {
    // SAFETY: all-zero bytes are an empty signal set on Linux.
    let set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is initialized; the old mask is not requested.
    checked_int(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) })
        .map(drop)
}

/// `execve(2)`; returns only on failure.
pub(crate) fn execute(execution: &Execution<'_>) -> Errno {
    let Execution { program, arguments, variables, .. } = execution;
    // SAFETY: only `RequestBuffer::unpack` makes an `Execution`: both tables end in null, and every pointer
    // before it is to a string that ends in NUL in the buffer that the value borrows.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
    Errno::last()
}

/// `execveat(2)` of an open file with one argument list; returns only on failure.
pub(crate) fn execute_open(file: BorrowedFd<'_>, arguments: &[&CStr; 2]) -> Errno {
    let [name, mode] = arguments;
    let list = [name.as_ptr(), mode.as_ptr(), std::ptr::null()];
    let environment: [*const c_char; 1] = [std::ptr::null()];
    // SAFETY: the lists end in null, and their strings end in NUL and live through the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            list.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

/// `_exit(2)`: ends the process without running a destructor or flushing a stream.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: takes an integer and does not return.
    unsafe { libc::_exit(code) }
}
