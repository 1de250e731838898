//! The identity of a process: ids, capabilities, privileges, limits.

use std::ffi::CStr;

use super::{Errno, checked, checked_int};

/// `_LINUX_CAPABILITY_VERSION_3` of `linux/capability.h`: two words for each set.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// More capabilities than any kernel has; the bounding set is emptied up to the first that the kernel does
/// not know.
const MAX_CAPABILITIES: libc::c_ulong = 64;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityWord {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `setgroups(2)` to none, by the raw call: libc's wrapper would involve the other threads, which a child
/// does not have.
pub(crate) fn clear_groups() -> Result<(), Errno> {
    // SAFETY: with a count of zero the kernel does not read the list.
    checked(unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) }).map(drop)
}

/// `setresgid(2)` for all three ids, by the raw call.
pub(crate) fn set_group(gid: libc::gid_t) -> Result<(), Errno> {
    // SAFETY: takes three integers and touches no memory.
    checked(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// `setresuid(2)` for all three ids, by the raw call.
pub(crate) fn set_user(uid: libc::uid_t) -> Result<(), Errno> {
    // SAFETY: takes three integers and touches no memory.
    checked(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Empties the effective, permitted and inheritable sets (`capset(2)`).
pub(crate) fn clear_capabilities() -> Result<(), Errno> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let none = [CapabilityWord::default(); 2];
    // SAFETY: version 3 of the call reads one header and two words; both live through the call.
    checked(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) }).map(drop)
}

/// Replaces giving up the capabilities in a worker when a test leaves that layer out: every program that it
/// executes has all capabilities inside, either as the namespace's root or, where only one id is mapped,
/// which is not root, by the ambient set.
#[cfg(feature = "fault-injection")]
pub(crate) fn become_privileged(many_ids: bool) -> Result<(), Errno> {
    if many_ids {
        set_group(0)?;
        return set_user(0);
    }
    let header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let mut words = [CapabilityWord::default(); 2];
    // SAFETY: version 3 of the call reads one header and writes two words; both live through the call.
    checked(unsafe { libc::syscall(libc::SYS_capget, &raw const header, words.as_mut_ptr()) })?;
    for word in &mut words {
        word.inheritable = word.permitted;
    }
    // SAFETY: version 3 of the call reads one header and two words; both live through the call.
    checked(unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) })?;
    let [zero, raise]: [libc::c_ulong; 2] = [0, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong];
    for capability in 0..MAX_CAPABILITIES {
        // SAFETY: the option reads its arguments as integers. A capability that the kernel does not know is
        // refused, and then there is none to raise.
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, capability, zero, zero) };
    }
    Ok(())
}

/// Empties the bounding set, which needs CAP_SETPCAP and so comes before `clear_capabilities`.
pub(crate) fn clear_bounding_set() -> Result<(), Errno> {
    drop_bounds(0)
}

/// Empties the bounding set except for a mask. A process without CAP_SETPCAP keeps it unchanged: the set
/// bounds what a program may gain, and that process has no more than its user.
pub(crate) fn narrow_bounding_set(mask: u64) -> Result<(), Errno> {
    match drop_bounds(mask) {
        Err(Errno::EPERM) => Ok(()),
        other => other,
    }
}

fn drop_bounds(kept: u64) -> Result<(), Errno> {
    for capability in (0..MAX_CAPABILITIES).filter(|capability| kept >> capability & 1 == 0) {
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            // The first number that the kernel does not know: all known ones are dropped.
            Err(Errno::EINVAL) if capability > 0 => return Ok(()),
            other => other?,
        };
    }
    Ok(())
}

/// Narrows the effective and permitted sets to a mask and empties the inheritable one (`capget(2)`,
/// `capset(2)`).
pub(crate) fn narrow_capabilities(mask: u64) -> Result<(), Errno> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let mut words = [CapabilityWord::default(); 2];
    // SAFETY: version 3 of the call reads one header and writes two words; both live through the call.
    checked(unsafe { libc::syscall(libc::SYS_capget, &raw const header, words.as_mut_ptr()) })?;
    for (word, shift) in words.iter_mut().zip([0, 32]) {
        // The truncation to 32 bits selects the half of the mask for this word.
        let kept = word.permitted & (mask >> shift) as u32;
        *word = CapabilityWord { effective: kept, permitted: kept, inheritable: 0 };
    }
    // SAFETY: version 3 of the call reads one header and two words; both live through the call.
    checked(unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) }).map(drop)
}

/// Empties the ambient set.
pub(crate) fn clear_ambient_set() -> Result<(), Errno> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong).map(drop)
}

/// `prctl(2)` for options that take at most one integer.
pub(crate) fn prctl(option: libc::c_int, argument: libc::c_ulong) -> Result<libc::c_int, Errno> {
    let zero: libc::c_ulong = 0;
    // SAFETY: every option that is passed here reads its arguments as integers, so nothing is dereferenced.
    checked_int(unsafe { libc::prctl(option, argument, zero, zero, zero) })
}

/// Names the process for `ps` (`PR_SET_NAME`, at most 15 bytes).
pub(crate) fn set_name(name: &CStr) -> Result<(), Errno> {
    // SAFETY: PR_SET_NAME reads a string that ends in NUL, at most 16 bytes of it; `name` lives through the
    // call.
    checked_int(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }).map(drop)
}

/// `setrlimit(2)`.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the structure lives through the call, which only reads it.
    checked_int(unsafe { libc::setrlimit(resource, &raw const limit) }).map(drop)
}

/// The hard limit of `getrlimit(2)`.
pub(crate) fn hard_limit(resource: libc::__rlimit_resource_t) -> Result<u64, Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives through the call, which only writes it.
    checked_int(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok(limit.rlim_max)
}

/// `setpriority(2)` of the calling thread.
pub(crate) fn set_nice(value: libc::c_int) -> Result<(), Errno> {
    // SAFETY: takes three integers and touches no memory.
    checked(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, value) }).map(drop)
}

/// `sched_setscheduler(2)` of the calling thread to the policy that processes begin with, by the raw call: some C
/// libraries have none.
pub(crate) fn schedule_ordinarily() -> Result<(), Errno> {
    // `struct sched_param` of the kernel.
    let priority: libc::c_int = 0;
    // SAFETY: the call reads one integer, which lives through it.
    checked(unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_OTHER, &raw const priority) })
        .map(drop)
}

/// `sethostname(2)`.
pub(crate) fn set_host_name(name: &CStr) -> Result<(), Errno> {
    // SAFETY: the pointer and the length are of one live string.
    checked_int(unsafe { libc::sethostname(name.as_ptr(), name.to_bytes().len()) }).map(drop)
}

/// `setsid(2)`: a new session, so that the process has no controlling terminal.
pub(crate) fn new_session() -> Result<(), Errno> {
    // SAFETY: takes nothing and touches no memory.
    checked_int(unsafe { libc::setsid() }).map(drop)
}

/// Effective user and group of this process.
pub(crate) fn effective() -> (u32, u32) {
    // SAFETY: both calls take nothing, touch no memory and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// `seccomp(2)` with a filter, for the calling thread; the process has only this thread, or the others must
/// not be filtered.
pub(crate) fn set_filter(instructions: &[crate::seccomp::Instruction]) -> Result<(), Errno> {
    let len = u16::try_from(instructions.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len, filter: instructions.as_ptr().cast_mut().cast() };
    // SAFETY: `Instruction` has the layout of `struct sock_filter` (repr(C), the same four fields); the
    // kernel copies `len` of them and writes nothing, so the cast to a mutable pointer is only for the C
    // signature.
    checked(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })
        .map(drop)
}

/// Whether the kernel accepts filters with an action: `SECCOMP_GET_ACTION_AVAIL`.
pub(crate) fn filter_action_known(action: u32) -> Result<(), Errno> {
    // SAFETY: the call reads one integer, which lives through it.
    checked(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) })
        .map(drop)
}
