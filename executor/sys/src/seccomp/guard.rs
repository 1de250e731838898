//! What no sandbox may do, whatever its filter lets through: a few calls whose harm is to the processes and the
//! pools of the machine around a sandbox, which a maker of filters cannot be expected to know of. It is put in
//! front of the filter, so that there is one program to install.
//!
//! ```text
//! guard: refused ► answer
//!        passed  ► nothing loaded ► the filter, from its first instruction
//! ```

use std::collections::BTreeMap;

use super::reach::OWN;
use super::{
    Action, CompileError, Instruction, MAX_INSTRUCTIONS, Policy, Program, Rule, Test, compile, operation,
};

/// `MAP_HUGETLB` of `mmap`, `SHM_HUGETLB` of `shmget` and `MFD_HUGETLB` of `memfd_create` (`linux/mman.h`, `linux/shm.h`, `linux/memfd.h`).
const MAP_HUGE: u32 = 0x4_0000;
const SHM_HUGE: u32 = 0o4000;
const MEMFD_HUGE: u32 = 4;

/// The program that answers what no sandbox may do, and leaves everything else to `filter`.
///
/// # Errors
/// The two together are too long for the kernel.
pub(crate) fn guarded(filter: &Program) -> Result<Program, CompileError> {
    let Program(mut all) = compile(&Policy { architecture: OWN, rules: rules(), otherwise: Action::Allow })?;
    let length = all.len();
    for (at, instruction) in all.iter_mut().enumerate() {
        if (instruction.code, instruction.k) == (operation::RETURN, Action::Allow.to_return()) {
            let k = u32::try_from(length - at - 1).unwrap_or(u32::MAX);
            *instruction = Instruction { code: operation::JUMP, jt: 0, jf: 0, k };
        }
    }
    // A program begins with nothing loaded, which is zero.
    all.push(Instruction { code: operation::AND, jt: 0, jf: 0, k: 0 });
    all.extend(&filter.0);
    if all.len() > MAX_INSTRUCTIONS {
        return Err(CompileError::TooLong { length: all.len() });
    }
    Ok(Program(all))
}

fn rules() -> BTreeMap<u32, Rule> {
    let bit = |index, value| vec![vec![Test { index, mask: value, value }]];
    let refused = |call: libc::c_long, when, errno: libc::c_int| {
        let then = Action::Errno(u16::try_from(errno).unwrap_or(0));
        (u32::try_from(call).unwrap_or(0), Rule { when, then })
    };
    BTreeMap::from([
        // A sibling of the worker is a child of the executor. Nobody there knows of it and waits for it, and until
        // someone does, the kernel keeps the first process of the sandbox, which the executor waits for.
        refused(libc::SYS_clone, bit(0, libc::CLONE_PARENT.cast_unsigned()), libc::EPERM),
        // Its flags are in memory. C libraries then use `clone`.
        refused(libc::SYS_clone3, Vec::new(), libc::ENOSYS),
        // The machine's pool of huge pages has no part in a limit on memory. This is the answer when it is empty.
        refused(libc::SYS_mmap, bit(3, MAP_HUGE), libc::ENOMEM),
        refused(libc::SYS_shmget, bit(2, SHM_HUGE), libc::ENOMEM),
        refused(libc::SYS_memfd_create, bit(1, MEMFD_HUGE), libc::ENOMEM),
        // A watch of a folder that others see too, such as `/usr/bin`, tells which programs they run. And the kernel
        // counts the instances of all sandboxes with those of the user who made their namespaces: with few of them, root
        // of the machine could make no more (`inc_ucount` of Linux). Programs then look again from time to time.
        refused(libc::SYS_inotify_init1, Vec::new(), libc::ENOSYS),
        #[cfg(target_arch = "x86_64")]
        refused(libc::SYS_inotify_init, Vec::new(), libc::ENOSYS),
        refused(libc::SYS_fanotify_init, Vec::new(), libc::ENOSYS),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::{Call, interpret, verify};
    use super::*;

    fn answer(program: &Program, call: libc::c_long, arguments: [u64; 6]) -> Action {
        let number = u32::try_from(call).unwrap();
        let architecture = OWN.audit_value();
        interpret(program, &Call { number, architecture, instruction_pointer: 0, arguments }).unwrap()
    }

    fn program(code: &[(u16, u8, u32)]) -> Program {
        Program(code.iter().map(|(code, jt, k)| Instruction { code: *code, jt: *jt, jf: 0, k: *k }).collect())
    }

    #[test]
    fn what_it_refuses_no_filter_allows() {
        let all = guarded(&program(&[(operation::RETURN, 0, Action::Allow.to_return())])).unwrap();
        assert_eq!(verify(&all), Ok(()));
        let (parent, signal) = (u64::from(libc::CLONE_PARENT.cast_unsigned()), 17);
        let high = 1 << 32;
        for (call, arguments, expected) in [
            (libc::SYS_clone, [parent | signal, 0, 0, 0, 0, 0], libc::EPERM),
            (libc::SYS_clone, [parent | high, 0, 0, 0, 0, 0], libc::EPERM),
            (libc::SYS_clone3, [0; 6], libc::ENOSYS),
            (libc::SYS_mmap, [0, 0, 0, 0x4_0022, 0, 0], libc::ENOMEM),
            (libc::SYS_shmget, [0, 1 << 21, 0o5600, 0, 0, 0], libc::ENOMEM),
            (libc::SYS_memfd_create, [0, 5, 0, 0, 0, 0], libc::ENOMEM),
            (libc::SYS_inotify_init1, [0; 6], libc::ENOSYS),
            (libc::SYS_fanotify_init, [0; 6], libc::ENOSYS),
        ] {
            let refused = Action::Errno(u16::try_from(expected).unwrap());
            assert_eq!(answer(&all, call, arguments), refused, "{call} {arguments:?}");
        }
        for (call, arguments) in [
            (libc::SYS_clone, [signal, parent, 0, 0, 0, 0]),
            (libc::SYS_mmap, [0, 0, 0x4_0000, 0x22, 0, 0]),
            (libc::SYS_shmget, [0o4000, 0o4000, 0o1600, 0, 0, 0]),
            (libc::SYS_memfd_create, [4, 1, 0, 0, 0, 0]),
            (libc::SYS_getpid, [u64::MAX; 6]),
        ] {
            assert_eq!(answer(&all, call, arguments), Action::Allow, "{call} {arguments:?}");
        }
    }

    #[test]
    fn everything_else_is_answered_by_the_filter() {
        let (log, trap) = (Action::Log.to_return(), Action::Trap(7).to_return());
        let own = program(&[
            (operation::IF_EQUAL, 1, 0),
            (operation::RETURN, 0, trap),
            (operation::RETURN, 0, log),
        ]);
        let all = guarded(&own).unwrap();
        for call in [libc::SYS_clone, libc::SYS_mmap, libc::SYS_getpid] {
            // It has loaded nothing, and still has not.
            assert_eq!(answer(&all, call, [0; 6]), Action::Log, "{call}");
        }
        let longest = Program(vec![program(&[(operation::RETURN, 0, log)]).0[0]; MAX_INSTRUCTIONS]);
        assert!(matches!(guarded(&longest), Err(CompileError::TooLong { .. })));
    }
}
