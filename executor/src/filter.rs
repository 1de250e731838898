//! From the system calls of a sandbox to the filter of this machine's architecture.

use std::collections::BTreeMap;

use bailiwick_policy::policy::sandboxes::{SyscallNumbers, Syscalls};
use bailiwick_sys::seccomp::{Action, Architecture, CompileError, Policy, Program, Rule, Test, compile};
use thiserror::Error;

/// The policy's answer to a call that no list contains: `EPERM` (errno(3)).
const EPERM: u16 = 1;

/// Why there is no filter.
#[derive(Debug, Error)]
pub enum FilterError {
    /// The policy has no system call of this architecture; nothing could run.
    #[error("the policy allows no system call on this machine's architecture")]
    Empty,
    /// The machine has another architecture.
    #[error("there are filters for x86_64 and aarch64, not for `{0}`")]
    Architecture(&'static str),
    /// The policy cannot be expressed as a filter.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// The filter.
///
/// # Errors
/// See [`FilterError`].
pub(crate) fn program(syscalls: &Syscalls) -> Result<Program, FilterError> {
    let (architecture, number): (_, fn(&SyscallNumbers) -> Option<u32>) = match std::env::consts::ARCH {
        "x86_64" => (Architecture::X86_64, |numbers| numbers.x86_64),
        "aarch64" => (Architecture::Aarch64, |numbers| numbers.aarch64),
        other => return Err(FilterError::Architecture(other)),
    };
    let mut rules = BTreeMap::new();
    for allowed in &syscalls.allowed {
        let Some(number) = number(&allowed.numbers) else { continue };
        let tests = |tests: &Vec<_>| tests.iter().map(test).collect();
        rules.insert(number, Rule { when: allowed.when.iter().map(tests).collect(), then: Action::Allow });
    }
    if rules.is_empty() {
        return Err(FilterError::Empty);
    }
    for refused in &syscalls.refused {
        if let Some(number) = number(&refused.numbers) {
            rules.insert(number, Rule { when: Vec::new(), then: Action::Errno(refused.errno) });
        }
    }
    Ok(compile(&Policy { architecture, rules, otherwise: Action::Errno(EPERM) })?)
}

fn test(test: &bailiwick_policy::policy::sandboxes::ArgumentTest) -> Test {
    Test { index: test.index, mask: test.mask, value: test.value }
}
