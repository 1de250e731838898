//! Cases within a sandbox: a system call, access to a file. They are judged by what the policy says of the
//! sandbox; the tests of the executor prove that the kernel does the same.

use bailiwick_policy::policy::Policy;
use bailiwick_policy::policy::sandboxes::{ArgumentTest, Proc, Sandbox};

use super::Happened;
use crate::policy_test::{FileAccess, FilesystemCase, SyscallAction, SyscallCase};
use crate::syscalls;

/// The sandbox of this name.
pub(super) fn find<'a>(policy: &'a Policy, name: &str) -> Result<&'a Sandbox, String> {
    let found = policy.sandboxes.iter().find(|sandbox| sandbox.name == name);
    found.ok_or_else(|| format!("the policy has no sandbox `{name}`"))
}

/// Judges a system call. `Err`: why the case itself cannot be judged.
pub(super) fn system_call(policy: &Policy, case: &SyscallCase) -> Result<Happened, String> {
    let sandbox = find(policy, &case.sandbox)?;
    if syscalls::numbers(&case.name).is_none() {
        return Err(format!("there is no system call `{}`", case.name));
    }
    let allowed = sandbox.syscalls.allowed.iter().find(|call| call.name == case.name).is_some_and(|call| {
        call.when.is_empty()
            || case.args.is_empty()
            || call.when.iter().any(|tests| tests.iter().all(|test| holds(test, &case.args)))
    });
    let action = if allowed { SyscallAction::Allow } else { SyscallAction::Errno };
    Ok(Happened { action: Some(action), ..Happened::new(allowed) })
}

/// As the filter sees it: the lower half of the register. An argument that the case does not give is 0.
fn holds(test: &ArgumentTest, args: &[i64]) -> bool {
    let register = args.get(usize::from(test.index)).copied().unwrap_or_default();
    let low = register.cast_unsigned() & u64::from(u32::MAX);
    low & u64::from(test.mask) == u64::from(test.value)
}

/// Judges access to a file. `Err`: why the case itself cannot be judged.
pub(super) fn file(policy: &Policy, case: &FilesystemCase) -> Result<Happened, String> {
    let files = &find(policy, &case.sandbox)?.filesystem;
    let path = case.path.as_str();
    let parts = path.strip_prefix('/').map(|rest| rest.split('/'));
    if !parts.is_some_and(|mut parts| parts.all(|part| !matches!(part, "" | "." | ".."))) {
        return Err(format!("`{path}` is not an absolute path in canonical form"));
    }
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let writable = files.writable.iter().any(|area| below(&area.path))
        || files.workspace.iter().any(|workspace| below(&workspace.path))
        || files.devices.iter().any(|device| path == format!("/dev/{device}"));
    let allowed = match case.access {
        FileAccess::Write => writable,
        FileAccess::Read => {
            writable
                || files.read_only.iter().any(|root| below(root))
                || (files.proc == Proc::Own && below("/proc"))
        }
    };
    Ok(Happened::new(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_half_of_a_register_is_not_looked_at() {
        let unix = ArgumentTest { index: 0, mask: u32::MAX, value: 1 };
        assert!(holds(&unix, &[1]) && holds(&unix, &[1 | 1 << 32]));
        assert!(!holds(&unix, &[2]) && !holds(&unix, &[]) && !holds(&unix, &[-1]));
    }
}
