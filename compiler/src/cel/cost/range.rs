//! Ranges of sizes and costs, from least to most. Arithmetic saturates instead of overflowing, as in cel-go.

/// Cost of traversing a list, a map, a text or a computed regular expression; `common/cost.go` of cel-go.
pub(super) const PER_CHARACTER: f64 = 0.1;
/// Cost per character of a pattern.
pub(super) const PER_PATTERN_CHARACTER: f64 = 0.25;
/// Cost of making a list.
pub(super) const LIST: Range = Range::exactly(10);
/// Cost of making a map.
pub(super) const MAP: Range = Range::exactly(30);
/// Cost of making a message.
pub(super) const MESSAGE: Range = Range::exactly(40);
/// Cost of reading a name or a field, and of most calls.
pub(super) const ONE: Range = Range::exactly(1);

/// From the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least.
    pub min: u64,
    /// The most; [`u64::MAX`] is unlimited.
    pub max: u64,
}

impl Range {
    /// Nothing is known.
    pub const ANY: Self = Self { min: 0, max: u64::MAX };
    /// Zero.
    pub const ZERO: Self = Self::exactly(0);

    /// One number.
    #[must_use]
    pub const fn exactly(number: u64) -> Self {
        Self { min: number, max: number }
    }

    /// From one number to another.
    #[must_use]
    pub const fn new(min: u64, max: u64) -> Self {
        Self { min, max }
    }

    pub(super) const fn add(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub(super) const fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// Rounded up.
    pub(super) fn by(self, factor: f64) -> Self {
        Self { min: scaled(self.min, factor), max: scaled(self.max, factor) }
    }

    /// The smallest range that contains both.
    pub(super) const fn union(self, other: Self) -> Self {
        Self {
            min: if other.min < self.min { other.min } else { self.min },
            max: if other.max > self.max { other.max } else { self.max },
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as cel-go does, whose numbers these are; a cast ends at the largest number"
)]
fn scaled(number: u64, factor: f64) -> u64 {
    (number as f64 * factor).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_ends() {
        assert_eq!(Range::ANY.by(0.1), Range::new(0, 1_844_674_407_370_955_264));
        assert_eq!(Range::ANY.by(2.0), Range::ANY);
        assert_eq!(Range::exactly(71).by(0.1), Range::exactly(8));
        assert_eq!(Range::ANY.add(ONE), Range::new(1, u64::MAX));
        assert_eq!(Range::ANY.times(LIST), Range::ANY);
    }
}
