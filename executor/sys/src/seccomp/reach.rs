//! Whether any call that shares some known words can pass a filter, whatever its other arguments: a walk
//! along every way through the program that those words leave open.

use std::collections::BTreeSet;

use super::policy::X32_BIT;
use super::{Action, Architecture, Program, offset, operation};

/// The architecture of this program, and so of the kernel's numbers in `libc`.
#[cfg(target_arch = "x86_64")]
pub(super) const OWN: Architecture = Architecture::X86_64;
#[cfg(target_arch = "aarch64")]
pub(super) const OWN: Architecture = Architecture::Aarch64;

/// Architectures whose calls a kernel for x86_64 or aarch64 also takes: `AUDIT_ARCH_I386`, `AUDIT_ARCH_ARM`.
const OLDER: [u32; 2] = [0x4000_0003, 0x4000_0028];

/// `AF_UNIX`, and a bound of all families (`AF_MAX` is 46 in Linux 6.18).
const UNIX: u32 = 1;
const FAMILIES: u32 = 256;

/// Whether programs under the filter can make a socket that is not a Unix socket: by `socket` or
/// `socketpair` with another family, by io_uring, or by a call of another architecture.
pub(crate) fn makes_network_sockets(program: &Program) -> bool {
    let architecture = (offset::ARCHITECTURE, OWN.audit_value());
    let number = |call: libc::c_long| u32::try_from(call).unwrap_or(u32::MAX);
    let passes = |call: u32, family: Option<u32>| {
        [call, call | X32_BIT].into_iter().any(|call| {
            let words = [
                Some(architecture),
                Some((offset::NUMBER, call)),
                family.map(|family| (offset::ARGUMENTS, family)),
            ];
            can_pass(program, &words.into_iter().flatten().collect::<Vec<_>>())
        })
    };
    let makers = [number(libc::SYS_socket), number(libc::SYS_socketpair)];
    OLDER.iter().any(|older| can_pass(program, &[(offset::ARCHITECTURE, *older)]))
        || [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter]
            .map(number)
            .iter()
            .any(|ring| passes(*ring, None))
        || (0..FAMILIES)
            .filter(|family| *family != UNIX)
            .any(|family| makers.iter().any(|maker| passes(*maker, Some(family))))
}

/// Whether the program passes some call with these words, each with its offset. A program that the kernel
/// would refuse counts as one that passes it.
fn can_pass(program: &Program, known: &[(u32, u32)]) -> bool {
    // A place in the program, and the loaded word as far as it is known there.
    let mut open: Vec<(usize, Option<u32>)> = vec![(0, None)];
    let mut seen = BTreeSet::new();
    while let Some((at, loaded)) = open.pop() {
        if !seen.insert((at, loaded)) {
            continue;
        }
        let Some(instruction) = program.0.get(at) else { return true };
        let k = instruction.k;
        let after = |skipped: u32| at + 1 + usize::try_from(skipped).unwrap_or(usize::MAX / 2);
        let both = |holds: fn(u32, u32) -> bool| {
            let ways = [(true, instruction.jt), (false, instruction.jf)];
            let taken =
                ways.into_iter().filter(move |(way, _)| loaded.is_none_or(|loaded| holds(loaded, k) == *way));
            taken.map(move |(_, skipped)| (at + 1 + usize::from(skipped), loaded)).collect::<Vec<_>>()
        };
        match instruction.code {
            operation::LOAD => {
                let word = known.iter().find(|(offset, _)| *offset == k).map(|(_, word)| *word);
                open.push((at + 1, word));
            }
            operation::AND => open.push((at + 1, loaded.map(|loaded| loaded & k))),
            operation::JUMP => open.push((after(k), loaded)),
            operation::IF_EQUAL => open.extend(both(|loaded, k| loaded == k)),
            operation::IF_GREATER => open.extend(both(|loaded, k| loaded > k)),
            operation::IF_AT_LEAST => open.extend(both(|loaded, k| loaded >= k)),
            operation::IF_ANY_BIT => open.extend(both(|loaded, k| loaded & k != 0)),
            operation::RETURN if refuses(Action::from_return(k)) => {}
            _ => return true,
        }
    }
    false
}

/// Whether a call with this answer never begins.
fn refuses(action: Action) -> bool {
    match action {
        Action::KillProcess | Action::KillThread | Action::Trap(_) | Action::Errno(_) => true,
        Action::Notify | Action::Trace(_) | Action::Log | Action::Allow => false,
    }
}
