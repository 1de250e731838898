//! An interpreter of filters: what the kernel would answer, without the kernel. It is total: a program that
//! the kernel would refuse gives a fault, and since programs only jump forward, each run ends within their
//! length.

use super::{Action, Call, Program, operation};

/// A program that is not a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It runs off its end.
    #[error("the program ends without an answer")]
    End,
    /// It has an operation that filters do not need.
    #[error("instruction {at}: {code:#x} is not an operation of a filter")]
    Operation {
        /// Index of the instruction.
        at: usize,
        /// Its operation.
        code: u16,
    },
    /// It loads from an invalid offset.
    #[error("instruction {at}: nothing can be loaded from offset {offset}")]
    Load {
        /// Index of the instruction.
        at: usize,
        /// The offset.
        offset: u32,
    },
}

/// The program's answer to the call.
///
/// # Errors
/// A program that [`super::verify`] refuses, as far as this call shows it.
pub fn interpret(program: &Program, call: &Call) -> Result<Action, Fault> {
    let mut loaded = 0u32;
    let mut at = 0usize;
    loop {
        let instruction = program.0.get(at).ok_or(Fault::End)?;
        let (k, yes, no) = (instruction.k, usize::from(instruction.jt), usize::from(instruction.jf));
        let chosen = |holds: bool| if holds { yes } else { no };
        let skipped = match instruction.code {
            operation::LOAD => {
                loaded = call.word(k).ok_or(Fault::Load { at, offset: k })?;
                0
            }
            operation::AND => {
                loaded &= k;
                0
            }
            operation::JUMP => usize::try_from(k).map_err(|_| Fault::End)?,
            operation::IF_EQUAL => chosen(loaded == k),
            operation::IF_GREATER => chosen(loaded > k),
            operation::IF_AT_LEAST => chosen(loaded >= k),
            operation::IF_ANY_BIT => chosen(loaded & k != 0),
            operation::RETURN => return Ok(Action::from_return(k)),
            code => return Err(Fault::Operation { at, code }),
        };
        at = at.checked_add(1).and_then(|next| next.checked_add(skipped)).ok_or(Fault::End)?;
    }
}

impl Call {
    /// 32 bits at an offset of `struct seccomp_data` on a little-endian machine.
    fn word(&self, offset: u32) -> Option<u32> {
        let half = |value: u64, high: bool| if high { value >> 32 } else { value & 0xffff_ffff };
        let word = match offset {
            0 => u64::from(self.number),
            4 => u64::from(self.architecture),
            8 | 12 => half(self.instruction_pointer, offset == 12),
            16..64 if offset.is_multiple_of(4) => {
                let index = usize::try_from((offset - 16) / 8).ok()?;
                half(*self.arguments.get(index)?, offset % 8 == 4)
            }
            _ => return None,
        };
        u32::try_from(word).ok()
    }
}
