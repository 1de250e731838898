//! The source of a filter, as plain data, and its meaning: [`Policy::decide`] is the definition that a
//! compiled program must match.

use std::collections::BTreeMap;

/// Bit in a call's number that selects the x32 interface (`__X32_SYSCALL_BIT`). Real numbers are far below
/// it.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// An instruction set, as identified in `struct seccomp_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the architectures'")]
pub enum Architecture {
    X86_64,
    Aarch64,
}

impl Architecture {
    /// The `AUDIT_ARCH_*` value (`linux/audit.h`). The 32-bit interfaces of the same machine have other ones.
    #[must_use]
    pub const fn audit_value(self) -> u32 {
        match self {
            Architecture::X86_64 => 0xc000_003e,
            Architecture::Aarch64 => 0xc000_00b7,
        }
    }
}

/// The kernel's action on a call (`linux/seccomp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The process dies with `SIGSYS`.
    KillProcess,
    /// The thread dies.
    KillThread,
    /// The thread gets a `SIGSYS` with this number.
    Trap(u16),
    /// The call fails with this errno.
    Errno(u16),
    /// A listener decides.
    Notify,
    /// A tracer decides.
    Trace(u16),
    /// The call is allowed and logged.
    Log,
    /// The call is allowed.
    Allow,
}

impl Action {
    /// The value that a program returns for it.
    #[must_use]
    pub const fn to_return(self) -> u32 {
        match self {
            Action::KillProcess => 0x8000_0000,
            Action::KillThread => 0x0000_0000,
            Action::Trap(data) => 0x0003_0000 | data as u32,
            Action::Errno(data) => 0x0005_0000 | data as u32,
            Action::Notify => 0x7fc0_0000,
            Action::Trace(data) => 0x7ff0_0000 | data as u32,
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }

    /// How the kernel interprets a returned value; for one that it does not know, it kills the process.
    #[must_use]
    pub const fn from_return(value: u32) -> Self {
        let data = (value & 0xffff) as u16;
        match value & 0xffff_0000 {
            0x0000_0000 => Action::KillThread,
            0x0003_0000 => Action::Trap(data),
            0x0005_0000 => Action::Errno(data),
            0x7fc0_0000 => Action::Notify,
            0x7ff0_0000 => Action::Trace(data),
            0x7ffc_0000 => Action::Log,
            0x7fff_0000 => Action::Allow,
            _ => Action::KillProcess,
        }
    }
}

/// Which calls are allowed on one architecture. A call of another architecture, or of x32, kills the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The architecture whose numbers these are.
    pub architecture: Architecture,
    /// Rules by the number of the call.
    pub rules: BTreeMap<u32, Rule>,
    /// The action on every other call.
    pub otherwise: Action,
}

/// The rule for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Any of these must hold; each holds if all of its tests do. Empty: whatever the arguments. If none
    /// holds, `otherwise` of the policy applies.
    pub when: Vec<Vec<Test>>,
    /// The action in that case.
    pub then: Action,
}

/// `(argument[index] as u32 & mask) == value`. Always 32 bits: the kernel truncates `int` arguments to 32
/// bits, so a 64-bit comparison would test bits that the call ignores (CVE-2019-10063).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    /// 0 to 5.
    pub index: u8,
    /// Bits that are tested.
    pub mask: u32,
    /// Their required value.
    pub value: u32,
}

/// The input of a program for one call: `struct seccomp_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The number.
    pub number: u32,
    /// The `AUDIT_ARCH_*` value of the call's form.
    pub architecture: u32,
    /// The address of the call.
    pub instruction_pointer: u64,
    /// The six arguments as they are in registers.
    pub arguments: [u64; 6],
}

impl Policy {
    /// The policy's action on this call. It does not run in the kernel; it is the measure for what does.
    #[must_use]
    pub fn decide(&self, call: &Call) -> Action {
        let foreign = call.architecture != self.architecture.audit_value();
        if foreign || (self.architecture == Architecture::X86_64 && call.number >= X32_BIT) {
            return Action::KillProcess;
        }
        match self.rules.get(&call.number) {
            Some(rule) if rule.holds(call) => rule.then,
            _ => self.otherwise,
        }
    }
}

impl Rule {
    fn holds(&self, call: &Call) -> bool {
        self.when.is_empty() || self.when.iter().any(|all| all.iter().all(|test| test.holds(call)))
    }
}

impl Test {
    fn holds(&self, call: &Call) -> bool {
        let argument = call.arguments.get(usize::from(self.index));
        // The truncation to 32 bits is part of the test's meaning.
        argument.is_some_and(|argument| (argument & u64::from(self.mask)) == u64::from(self.value))
    }
}
