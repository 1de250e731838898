//! Seccomp programs: the kernel's second opinion on every system call of a sandbox. Here are the instruction and the program as the kernel
//! takes them; how a policy becomes one is in the modules below. Not the installing, which is one step of a worker's set-up (`launcher`).
//!
//! Terms: an **instruction** is one `struct sock_filter` of classic BPF; a **program** is the list that `seccomp(2)` takes.

use serde::{Deserialize, Serialize};

/// Longest program that the kernel takes (`BPF_MAXINSNS` of `linux/bpf_common.h`).
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

/// A whole filter, in the kernel's order. It is installed as it is: whoever makes one answers for its meaning, the kernel for its safety.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program(pub Vec<Instruction>);
