//! What one mutation may write: how deep, and how much.
//!
//! A pack's author writes the expression, whoever sends the object what it reads. Without a bound, operations that copy or move what they made
//! before grow exponentially, and paths taken from a text nest objects deeper than a stack holds.

use crate::json::Json;

/// How deep an object may nest once it is written to. The reader of requests takes a hundred levels.
const MAX_LEVELS: usize = 127;
/// How many bytes one mutation may write, each value counted with its whole path, as the comparison with the object before spells it out. Some
/// times what the API server takes as one request.
const MAX_WRITTEN: usize = 16 << 20;
/// What a value counts as beside its text.
const VALUE_BYTES: usize = 8;
/// What a position in a list counts as in a path.
const POSITION_BYTES: usize = 4;

/// What is left of it.
pub(super) struct Allowance {
    left: usize,
}

impl Allowance {
    pub(super) const fn new() -> Self {
        Self { left: MAX_WRITTEN }
    }

    /// Takes what a value costs that is to be written at a path.
    pub(super) fn take(&mut self, path: &[String], value: &Json<'_>) -> Result<(), String> {
        let pointer = path.iter().map(|segment| segment.len() + 1).sum();
        self.below(pointer, path.len(), value)
    }

    fn below(&mut self, pointer: usize, level: usize, value: &Json<'_>) -> Result<(), String> {
        if level > MAX_LEVELS {
            return Err(format!("it nests the object deeper than {MAX_LEVELS} levels"));
        }
        let own = pointer + VALUE_BYTES + value.as_str().map_or(0, str::len);
        let too_much = || format!("it writes more than {MAX_WRITTEN} bytes, paths included");
        self.left = self.left.checked_sub(own).ok_or_else(too_much)?;
        match value {
            Json::List(items) => {
                items.iter().try_for_each(|item| self.below(pointer + POSITION_BYTES, level + 1, item))
            }
            Json::Map(members) => members
                .iter()
                .try_for_each(|(key, value)| self.below(pointer + 1 + key.len(), level + 1, value)),
            _ => Ok(()),
        }
    }
}
