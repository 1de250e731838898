//! What one mutation may write: how deep, and how much.
//!
//! The pack's author writes the expression, but the sender of the object chooses the data that it reads.
//! Without a bound, operations that copy or move their own results grow exponentially, and paths computed
//! from text nest objects deeper than a stack can hold.

use crate::json::Json;

/// How deep an object may nest after a write. The reader of requests accepts a hundred levels.
const MAX_LEVELS: usize = 127;
/// How many bytes one mutation may write. Each value counts with its whole path, because the comparison with
/// the original object spells the path out. A few times what the API server accepts as one request.
const MAX_WRITTEN: usize = 16 << 20;
/// What a value counts in addition to its text.
const VALUE_BYTES: usize = 8;
/// What a list position counts as in a path.
const POSITION_BYTES: usize = 4;

/// What is left of it.
pub(super) struct Allowance {
    left: usize,
}

impl Allowance {
    pub(super) const fn new() -> Self {
        Self { left: MAX_WRITTEN }
    }

    /// Takes the cost of a value that will be written at a path.
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
