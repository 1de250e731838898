//! The system calls of a sandbox in the language of kafel, nsjail's filter compiler.
//! <https://github.com/google/kafel>
//!
//! Calls are written by number, with the name as a comment: kafel has its own names for some calls
//! (`newfstat` for `fstat`) and lacks new ones, and one unknown name makes nsjail reject the whole file. `ON`
//! separates the numbers of the two architectures, so one file serves both. Arguments are masked to 32 bits,
//! as everywhere.

use bailiwick_policy::policy::sandboxes::{ArgumentTest, SyscallNumbers, Syscalls};

/// The parameters of a call with tests; kafel requires all up to the last one used.
const PARAMETERS: &str = "a0, a1, a2, a3, a4, a5";

const EPERM: u16 = 1;

/// The largest number below the x32 range.
const NO_CALL: u32 = 0x3fff_ffff;

/// The lines of the policy; nsjail joins them.
pub(super) fn lines(calls: &Syscalls) -> Vec<String> {
    let allowed = calls.allowed.iter().filter_map(|call| {
        let items = items(&call.numbers, &call.when)?;
        Some(format!("  ALLOW {{ {items} }}, /* {} */", call.name))
    });
    let refused = calls.refused.iter().filter_map(|call| {
        let items = items(&call.numbers, &[])?;
        Some(format!("  ERRNO({}) {{ {items} }}, /* {} */", call.errno, call.name))
    });
    let mut lines = vec!["POLICY sandbox {".to_owned()];
    lines.extend(allowed.chain(refused));
    // Kafel allows no comma after the last block, so the last block is this one, for a call that no kernel
    // has.
    lines.push(format!("  ERRNO({EPERM}) {{ SYSCALL[{NO_CALL}] }}"));
    lines.push("}".to_owned());
    lines.push(format!("USE sandbox DEFAULT ERRNO({EPERM})"));
    lines
}

/// The call on each architecture that has it; `None`: none has it.
fn items(numbers: &SyscallNumbers, when: &[Vec<ArgumentTest>]) -> Option<String> {
    let parameters = if when.is_empty() { String::new() } else { format!("({PARAMETERS})") };
    let tests: Vec<_> = when.iter().map(|tests| all(tests)).collect();
    let tests = if tests.is_empty() { String::new() } else { format!(" {{ {} }}", tests.join(", ")) };
    let items: Vec<_> = [("amd64", numbers.x86_64), ("aarch64", numbers.aarch64)]
        .into_iter()
        .filter_map(|(architecture, number)| {
            Some(format!("SYSCALL[{}]{parameters} ON {architecture}{tests}", number?))
        })
        .collect();
    (!items.is_empty()).then(|| items.join(", "))
}

fn all(tests: &[ArgumentTest]) -> String {
    let tests: Vec<_> = tests
        .iter()
        .map(|test| format!("(a{} & {:#x}) == {:#x}", test.index, test.mask, test.value))
        .collect();
    tests.join(" && ")
}
