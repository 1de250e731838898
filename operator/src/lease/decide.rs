//! What an operator does about the lease, as a function of what it sees and remembers. No I/O, no clock.
//!
//! Terms. *Sighting*: a state of the stored lease, and when it was first seen. A lease runs out one full
//! duration after its last change was *seen*, by the clock of the waiting operator, so clocks of different
//! machines are never compared. *Until*: the end of the operator's own lease, counted from before the renewal
//! was *sent*, so it comes before any other operator can find the lease run out.
//!
//! ```text
//!              free, run out: claim            sent + duration passed, or another holder: stop
//!  follower ───────────────────────► leader ────────────────────────────────────────────────────► stopped (the process ends)
//!      ▲  sighting: wait                │ half of the retry time left: renew
//!      └────────────────────────────────┘ never: a leader does not follow again
//! ```

use std::time::Duration;

use crate::clock::Tick;

/// The timing of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a lease is valid after its renewal.
    pub duration: Duration,
    /// How often the holder renews, and every operator looks.
    pub retry: Duration,
}

/// The lease as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its holder; empty: it has none, it was given back.
    pub holder: String,
    /// Its duration, as its holder wrote it.
    pub duration: Duration,
    /// When it was renewed, as its holder wrote it: compared with itself, never with a clock.
    pub renewed: String,
    /// How often the holder changed.
    pub transitions: i32,
    /// `metadata.resourceVersion`; every write requires it.
    pub version: String,
}

/// What an operator remembers from one look to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    sighting: Option<(Sighting, Tick)>,
    /// The end of its own lease, while it is held.
    until: Option<Tick>,
}

/// The fields that change whenever a lease is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sighting {
    Missing,
    Held { holder: String, renewed: String, transitions: i32 },
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Create the lease: it is missing.
    Create,
    /// Write the lease over the record with this version.
    Claim {
        /// The version that must still be there.
        version: String,
        /// How often the holder will have changed then.
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
    /// Another operator holds it.
    #[error("the lease is held by `{0}`")]
    Taken(String),
    /// It was deleted while held.
    #[error("the lease was deleted")]
    Deleted,
}

impl Memory {
    /// The end of its own lease; `None` if it does not hold the lease.
    #[must_use]
    pub const fn until(&self) -> Option<Tick> {
        self.until
    }

    /// Records that a claim, sent at `sent`, was stored.
    pub fn claimed(&mut self, sent: Tick, terms: &Terms) {
        self.until = Some(sent.plus(terms.duration));
    }
}

/// Decides by what was found in the store at `now`.
///
/// A missing lease is waited for like a held one: it may have been deleted while its holder does not know
/// yet.
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
