//! Seccomp programs: the kernel's second opinion on every system call of a sandbox. This module has the
//! instruction and the program as the kernel takes them; the modules below turn a policy into one. Installing
//! a program is not done here; it is a step of a worker's set-up (`launcher`).
//!
//! Terms: an **instruction** is one `struct sock_filter` of classic BPF; a **program** is the list that
//! `seccomp(2)` takes; a **policy** says which calls are allowed, and a **call** is what the kernel shows a
//! program of one (`struct seccomp_data`).
//!
//! ```text
//! Policy ─► compile ─► Program ─► verify (the kernel's checks) ─► the kernel
//!    └► decide(Call) ══ must equal ══ interpret(Program, Call)
//! ```

mod compile;
mod guard;
mod interpret;
mod policy;
mod reach;
#[cfg(test)]
mod tests;
mod verify;

use serde::{Deserialize, Serialize};

pub use compile::{CompileError, compile};
pub(crate) use guard::guarded;
pub use interpret::{Fault, interpret};
pub use policy::{Action, Architecture, Call, Policy, Rule, Test};
pub(crate) use reach::makes_network_sockets;
pub use verify::{Refusal, verify};

/// Longest program that the kernel accepts (`BPF_MAXINSNS` of `linux/bpf_common.h`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// One classic BPF instruction, laid out as `struct sock_filter` (`linux/filter.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Instruction {
    /// Operation: class, size and mode.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// A whole filter, in the kernel's order. It is installed unchanged, behind the few refusals that every sandbox has
/// (`guard`): its maker is responsible for its meaning, the kernel for its safety.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program(pub Vec<Instruction>);

/// Operations of classic BPF that programs here consist of (`linux/bpf_common.h`).
mod operation {
    /// Load 32 bits at an absolute offset of the call.
    pub(super) const LOAD: u16 = 0x20;
    /// Keep the bits of the operand.
    pub(super) const AND: u16 = 0x54;
    /// Jump forward.
    pub(super) const JUMP: u16 = 0x05;
    /// Jump if equal.
    pub(super) const IF_EQUAL: u16 = 0x15;
    /// Jump if greater, unsigned.
    pub(super) const IF_GREATER: u16 = 0x25;
    /// Jump if greater or equal, unsigned.
    pub(super) const IF_AT_LEAST: u16 = 0x35;
    /// Jump if any bit of the operand is set.
    pub(super) const IF_ANY_BIT: u16 = 0x45;
    /// Answer with the operand.
    pub(super) const RETURN: u16 = 0x06;
}

/// Offsets in `struct seccomp_data`; both architectures are little-endian, so the low half of an argument
/// comes first.
mod offset {
    pub(super) const NUMBER: u32 = 0;
    pub(super) const ARCHITECTURE: u32 = 4;
    pub(super) const ARGUMENTS: u32 = 16;
}
