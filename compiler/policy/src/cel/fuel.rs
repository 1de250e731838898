//! The budget of an evaluation. Exhaustion is sticky: a spent budget is never refilled, only replaced by a
//! new one.

use super::EvalError;

/// How much an evaluation may still cost.
#[derive(Clone, Debug)]
pub struct Fuel {
    left: u64,
    exhausted: bool,
}

impl Fuel {
    /// A budget that no sensible rule comes near and that is spent within some tens of milliseconds. Its
    /// units are roughly those of the API server's limit per expression.
    pub const DEFAULT: u64 = 1_000_000;

    /// Bytes of a string that one unit reads or writes.
    const BYTES_PER_UNIT: usize = 16;

    /// A budget of this many units.
    #[must_use]
    pub const fn new(units: u64) -> Self {
        Self { left: units, exhausted: false }
    }

    /// Whether the budget was ever overdrawn. Whatever value resulted, the caller then denies.
    #[must_use]
    pub const fn exhausted(&self) -> bool {
        self.exhausted
    }

    /// What is left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Takes units.
    ///
    /// # Errors
    /// [`EvalError::FuelExhausted`] when there are not that many, and on every later call.
    #[inline]
    pub const fn spend(&mut self, units: u64) -> Result<(), EvalError> {
        match self.left.checked_sub(units) {
            Some(left) if !self.exhausted => {
                self.left = left;
                Ok(())
            }
            _ => Err(self.exhaust()),
        }
    }

    /// Takes the cost of reading or writing this many bytes.
    ///
    /// # Errors
    /// As for [`Fuel::spend`].
    pub const fn spend_bytes(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.spend(Self::of_bytes(bytes))
    }

    /// What [`Fuel::spend_bytes`] takes.
    pub(super) const fn of_bytes(bytes: usize) -> u64 {
        (bytes / Self::BYTES_PER_UNIT) as u64
    }

    /// Takes what is above this; never refills.
    pub(super) fn spend_down_to(&mut self, left: u64) {
        self.left = self.left.min(left);
    }

    /// Takes the cost of walking or making this many list elements.
    ///
    /// # Errors
    /// As for [`Fuel::spend`].
    pub const fn spend_elements(&mut self, elements: usize) -> Result<(), EvalError> {
        self.spend(elements as u64)
    }

    /// Marks the budget as overdrawn, so that no absorbed error can hide that a limit was reached.
    #[cold]
    pub(crate) const fn exhaust(&mut self) -> EvalError {
        self.left = 0;
        self.exhausted = true;
        EvalError::FuelExhausted
    }
}
