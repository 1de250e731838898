//! What an operator does about the lease, as a function of what it sees and remembers. No I/O, no clock.
//!
//! Terms. *Sighting*: a state of the stored lease and when it was first seen. A lease runs out a whole duration after its last change was
//! *seen*, by the clock of whoever waits, so clocks of different machines are never compared. *Until*: the end of one's own lease, counted
//! from before the renewal was *sent*, so it comes before anybody else can find the lease run out.
//!
//! ```text
//!              free, run out: claim            sent + duration passed, or another holder: stop
//!  follower ───────────────────────► leader ────────────────────────────────────────────────────► stopped (the process ends)
//!      ▲  sighting: wait                │ half of the retry time left: renew
//!      └────────────────────────────────┘ never: who led does not follow again
//! ```

use std::time::Duration;

use crate::clock::Tick;

/// The times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a lease holds after it was renewed.
    pub duration: Duration,
    /// How often the holder renews, and everybody looks.
    pub retry: Duration,
}

/// The lease as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty: nobody, it was given back.
    pub holder: String,
    /// How long it holds, as its holder wrote it.
    pub duration: Duration,
    /// When it was renewed, as its holder wrote it: compared with itself, never with a clock.
    pub renewed: String,
    /// How often it changed hands.
    pub transitions: i32,
    /// `metadata.resourceVersion`, without which it is not written.
    pub version: String,
}

/// What is remembered from one look to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    sighting: Option<(Sighting, Tick)>,
    /// The end of the own lease, while it is held.
    until: Option<Tick>,
}

/// What changes whenever a lease is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sighting {
    Missing,
    Held { holder: String, renewed: String, transitions: i32 },
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Make the lease: it is missing.
    Create,
    /// Write the lease over the record of this version.
    Claim {
        /// The version that must still be there.
        version: String,
        /// How often it changed hands then.
        transitions: i32,
    },
    /// Look again in a while.
    Wait,
    /// Write nothing more, and end.
    Stop(Stop),
}

/// Why a leader stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It could not be renewed in time.
    #[error("the lease could not be renewed before it ran out")]
    RanOut,
    /// Somebody else has it.
    #[error("the lease is held by `{0}`")]
    Taken(String),
    /// It was removed under its holder.
    #[error("the lease was deleted")]
    Deleted,
}

impl Memory {
    /// The end of the own lease; `None` for one who does not hold it.
    #[must_use]
    pub const fn until(&self) -> Option<Tick> {
        self.until
    }

    /// A claim, sent at `sent`, was stored.
    pub fn claimed(&mut self, sent: Tick, terms: &Terms) {
        self.until = Some(sent.plus(terms.duration));
    }
}

/// Decides over what was found in the store at `now`.
///
/// A missing lease is waited for as one that somebody holds: it may have been deleted under a holder who does not know yet.
pub fn decide(memory: &mut Memory, me: &str, terms: &Terms, now: Tick, found: Option<&Record>) -> Move {
    if let Some(until) = memory.until {
        return lead(me, now, until, found);
    }
    let sighting = found.map_or(Sighting::Missing, |record| Sighting::Held {
        holder: record.holder.clone(),
        renewed: record.renewed.clone(),
        transitions: record.transitions,
    });
    let first_seen = match &memory.sighting {
        Some((known, first_seen)) if *known == sighting => *first_seen,
        _ => now,
    };
    memory.sighting = Some((sighting, first_seen));
    match found {
        None if now.since(first_seen) >= terms.duration => Move::Create,
        Some(record)
            if record.holder.is_empty() || now.since(first_seen) >= record.duration.max(terms.duration) =>
        {
            Move::Claim { version: record.version.clone(), transitions: record.transitions.saturating_add(1) }
        }
        _ => Move::Wait,
    }
}

fn lead(me: &str, now: Tick, until: Tick, found: Option<&Record>) -> Move {
    if now >= until {
        return Move::Stop(Stop::RanOut);
    }
    match found {
        None => Move::Stop(Stop::Deleted),
        Some(record) if record.holder != me => Move::Stop(Stop::Taken(record.holder.clone())),
        Some(record) => Move::Claim { version: record.version.clone(), transitions: record.transitions },
    }
}
