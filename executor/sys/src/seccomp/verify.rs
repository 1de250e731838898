//! The kernel's checks of a filter (`bpf_check_classic` in `net/core/filter.c`, `seccomp_check_filter` in
//! `kernel/seccomp.c`), over the few operations that a system call filter needs. The kernel accepts every
//! program that passes here; it also accepts others (arithmetic, scratch memory).

use super::{Instruction, MAX_INSTRUCTIONS, Program, operation};

/// Bytes of `struct seccomp_data`.
const CALL_BYTES: u32 = 64;

/// Why a program is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No instruction, or too many.
    #[error("a program has 1 to {MAX_INSTRUCTIONS} instructions, not {length}")]
    Length {
        /// Its length.
        length: usize,
    },
    /// The operation is not one of a filter.
    #[error("instruction {at}: {code:#x} is not an operation of a filter")]
    Operation {
        /// Index of the instruction.
        at: usize,
        /// Its operation.
        code: u16,
    },
    /// A load that is not aligned, or beyond the call.
    #[error("instruction {at}: nothing can be loaded from offset {offset}")]
    Load {
        /// Index of the instruction.
        at: usize,
        /// The offset.
        offset: u32,
    },
    /// A jump beyond the end.
    #[error("instruction {at}: the jump leads out of the program")]
    Jump {
        /// Index of the instruction.
        at: usize,
    },
    /// The last instruction must answer, or a program could run off its end.
    #[error("the last instruction does not answer")]
    End,
}

/// Whether the kernel accepts the program.
///
/// # Errors
/// The first instruction that it would refuse.
pub fn verify(program: &Program) -> Result<(), Refusal> {
    let length = program.0.len();
    if !(1..=MAX_INSTRUCTIONS).contains(&length) {
        return Err(Refusal::Length { length });
    }
    for (at, instruction) in program.0.iter().enumerate() {
        instruction.check(at, length)?;
    }
    match program.0.last() {
        Some(last) if last.code == operation::RETURN => Ok(()),
        _ => Err(Refusal::End),
    }
}

impl Instruction {
    fn check(&self, at: usize, length: usize) -> Result<(), Refusal> {
        let after = length - at - 1;
        let inside = |skipped: u32| usize::try_from(skipped).is_ok_and(|skipped| skipped < after);
        match self.code {
            operation::LOAD if !self.k.is_multiple_of(4) || self.k >= CALL_BYTES => {
                Err(Refusal::Load { at, offset: self.k })
            }
            operation::LOAD | operation::AND | operation::RETURN => Ok(()),
            operation::JUMP if inside(self.k) => Ok(()),
            operation::IF_EQUAL | operation::IF_GREATER | operation::IF_AT_LEAST | operation::IF_ANY_BIT
                if inside(self.jt.into()) && inside(self.jf.into()) =>
            {
                Ok(())
            }
            operation::JUMP
            | operation::IF_EQUAL
            | operation::IF_GREATER
            | operation::IF_AT_LEAST
            | operation::IF_ANY_BIT => Err(Refusal::Jump { at }),
            code => Err(Refusal::Operation { at, code }),
        }
    }
}
