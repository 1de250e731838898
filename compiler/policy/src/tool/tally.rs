//! The counts of one owner under one name, forgotten when their window has passed.

use serde::{Deserialize, Serialize};

/// How many grains a window is divided into. A count lasts for its window and at most one grain longer, so a
/// tally never holds more than this many entries plus one, and never forgets too early.
const GRAINS: u64 = 256;

/// The longest window of a counter or budget, in milliseconds: a year. Older entries are never counted.
pub const LONGEST_WINDOW_MS: u64 = 366 * 24 * 60 * 60 * 1_000;

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// Those of a subject, by [`super::Subject::key`].
    Subject(String),
    /// Those of a session, by its name.
    Session(String),
}

/// Which tally.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TallyKey {
    /// Whose.
    pub owner: Owner,
    /// `counter/PACK/NAME` or `budget/PACK/NAME`; the pack is without its version, so that tallies survive an
    /// update.
    pub name: String,
}

/// Something counted: calls of a counter, thousandths of a budget's unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tally {
    /// What counts forever.
    #[serde(default, skip_serializing_if = "is_zero")]
    kept: u64,
    /// What counts for a window: the end of its grain and the amount, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recent: Vec<(u64, u64)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Tally {
    /// The end of the grain that contains a time.
    fn grain_end(at_ms: u64, window_ms: u64) -> u64 {
        let grain = (window_ms / GRAINS).max(1);
        at_ms.div_ceil(grain).saturating_mul(grain)
    }

    /// Adds, and forgets what has left the window.
    pub(super) fn add(&mut self, amount: u64, at_ms: u64, window_ms: Option<u64>) {
        let Some(window_ms) = window_ms else {
            self.kept = self.kept.saturating_add(amount);
            return;
        };
        let at = Self::grain_end(at_ms, window_ms);
        self.recent.retain(|(end, _)| counts(*end, at_ms, window_ms));
        match self.recent.iter_mut().find(|(end, _)| *end == at) {
            Some((_, known)) => *known = known.saturating_add(amount),
            None => {
                let place = self.recent.partition_point(|(end, _)| *end < at);
                self.recent.insert(place, (at, amount));
            }
        }
    }

    /// Replaces an amount that was added at a time; what is forgotten stays forgotten.
    pub(super) fn correct(&mut self, was: u64, is: u64, at_ms: u64, window_ms: Option<u64>) {
        let amount = match window_ms {
            None => Some(&mut self.kept),
            Some(window_ms) => {
                let at = Self::grain_end(at_ms, window_ms);
                self.recent.iter_mut().find(|(end, _)| *end == at).map(|(_, amount)| amount)
            }
        };
        if let Some(amount) = amount {
            *amount = amount.saturating_sub(was).saturating_add(is);
        }
        self.recent.retain(|(_, amount)| *amount > 0);
    }

    /// How much counts at a time. A pack that gave its counter a window forgets what an earlier version kept
    /// forever.
    pub(super) fn sum(&self, now_ms: u64, window_ms: Option<u64>) -> u64 {
        let counted = |(end, amount): &(u64, u64)| match window_ms {
            Some(window_ms) if !counts(*end, now_ms, window_ms) => 0,
            _ => *amount,
        };
        let recent = self.recent.iter().map(counted).fold(0, u64::saturating_add);
        if window_ms.is_some() { recent } else { self.kept.saturating_add(recent) }
    }

    /// After how long less will count, if ever.
    pub(super) fn falls_after_ms(&self, now_ms: u64, window_ms: Option<u64>) -> Option<u64> {
        let window_ms = window_ms?;
        let oldest = self.recent.iter().find(|(end, _)| counts(*end, now_ms, window_ms))?;
        Some(oldest.0.saturating_add(window_ms).saturating_sub(now_ms))
    }

    /// Moves what was counted later back to this time: the clock was wrong then, and nothing should keep
    /// counting until that time comes.
    pub(super) fn bring_back(&mut self, now_ms: u64) {
        let known = self.recent.partition_point(|(end, _)| *end < now_ms);
        let later = self.recent.drain(known..).map(|(_, amount)| amount).fold(0, u64::saturating_add);
        if later > 0 {
            self.recent.push((now_ms, later));
        }
    }

    /// Whether it may still count. The window of its entries is not known here, so they are kept for
    /// [`LONGEST_WINDOW_MS`].
    pub(super) fn counts_anything(&self, now_ms: u64) -> bool {
        self.kept > 0 || self.recent.iter().any(|(end, _)| counts(*end, now_ms, LONGEST_WINDOW_MS))
    }
}

/// Whether an entry counts: a clock that went back forgets nothing.
const fn counts(end: u64, now_ms: u64, window_ms: u64) -> bool {
    now_ms.saturating_sub(end) < window_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_by_a_clock_that_was_ahead_counts_for_one_window_from_now() {
        let (window, now) = (60_000, 1_000_000);
        let mut tally = Tally::default();
        tally.add(3, now + 900_000, Some(window));
        assert_eq!(tally.sum(now + 120_000, Some(window)), 3, "until that time comes");
        tally.bring_back(now);
        assert_eq!(tally.sum(now, Some(window)), 3);
        assert_eq!(tally.sum(now + window - 1, Some(window)), 3);
        assert_eq!(tally.sum(now + window, Some(window)), 0);
    }
}
