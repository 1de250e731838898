//! The input of commands: what a caller gave and the command has not read yet, in memory that is bounded for each call
//! and for all together.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::delivered::MAX_KEPT_BYTES;
use crate::limits::{STDIN_BACKLOG, STDIN_OWN};
use crate::refusal::Refusal;
use crate::room::{Room, Share};

/// The source of a command's standard input.
#[derive(Clone, Debug, Default)]
pub enum Input {
    /// Nothing.
    #[default]
    Empty,
    /// This text: source text for an interpreter.
    Text(Bytes),
    /// What the caller sends while it runs.
    Stream,
}

/// The input is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputEnd;

/// Input that the command has not read yet.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    parts: VecDeque<Bytes>,
    /// What the parts take in memory.
    held: usize,
    closed: bool,
    /// The room that they take, of the input of all calls.
    share: Option<Share>,
    /// Bytes of all parts so far: the command gets them, and a copy of the first ones is kept for the record.
    given: usize,
    /// The room that this copy takes, of those of all calls.
    copy: Option<Share>,
}

/// What a part takes in memory besides its bytes: its place in the queue, which doubles when it is full, and two
/// small allocations. Without it, a client that sends single bytes would hold a hundred times the limit.
const PART_BYTES: usize = 128;

/// What the parts may take: one of the largest size always fits into an empty backlog.
const MAX_HELD: usize = STDIN_BACKLOG + PART_BYTES;

impl Backlog {
    /// Of a command with this input; `None` if it has none.
    pub(crate) fn of(input: Input) -> Option<Self> {
        match input {
            Input::Empty => None,
            Input::Text(text) => {
                let held = Self::cost(&text);
                Some(Self { held, parts: [text].into(), closed: true, ..Self::default() })
            }
            Input::Stream => Some(Self::default()),
        }
    }

    /// Bytes that a part takes in memory.
    const fn cost(part: &Bytes) -> usize {
        part.len() + PART_BYTES
    }

    /// Bytes that it takes in memory.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// Lets it take part of these rooms, unless nothing more will come.
    pub(crate) fn share(&mut self, waiting: &Arc<Room>, copies: &Arc<Room>) {
        if !self.closed {
            self.share = Some(Share::empty(waiting));
            self.copy = Some(Share::empty(copies));
        }
    }

    /// Adds a part.
    pub(crate) fn feed(&mut self, bytes: Bytes, close: bool) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::NoStdin);
        }
        // However much the command reads, this part never fits.
        if bytes.len() > STDIN_BACKLOG {
            return Err(Refusal::TooLarge { limit: STDIN_BACKLOG });
        }
        let cost = if bytes.is_empty() { 0 } else { Self::cost(&bytes) };
        if self.held + cost > MAX_HELD {
            let parts = self.parts.len();
            return Err(Refusal::Busy(format!(
                "{parts} parts of input wait for the command to read them; with {PART_BYTES} bytes for each \
                 besides its own, they may take {MAX_HELD} bytes"
            )));
        }
        self.take_room(bytes.len(), cost)?;
        self.held += cost;
        self.closed = close;
        if cost > 0 {
            self.parts.push_back(bytes);
        }
        Ok(())
    }

    /// Takes room for a part of so many bytes, and for its copy; all of it or none.
    fn take_room(&mut self, bytes: usize, cost: usize) -> Result<(), Refusal> {
        let given = self.given.saturating_add(bytes);
        // All at once: calls that each had a part of it would all wait for more, and none could end.
        if given > STDIN_OWN
            && let Some(copy) = &mut self.copy
        {
            copy.grow_to(MAX_KEPT_BYTES - STDIN_OWN)?;
        }
        if let Some(share) = &mut self.share
            && let Err(refusal) = share.grow_to((self.held + cost).saturating_sub(STDIN_OWN))
        {
            if self.given <= STDIN_OWN
                && let Some(copy) = &mut self.copy
            {
                copy.shrink_to(0);
            }
            return Err(refusal);
        }
        self.given = given;
        Ok(())
    }

    /// Takes the next part; `None`: it has not come yet.
    pub(crate) fn take(&mut self) -> Result<Option<Bytes>, InputEnd> {
        match self.parts.pop_front() {
            Some(part) => {
                self.held -= Self::cost(&part);
                if let Some(share) = &mut self.share {
                    share.shrink_to(self.held.saturating_sub(STDIN_OWN));
                }
                Ok(Some(part))
            }
            None if self.closed => Err(InputEnd),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::tests::reading;
    use crate::calls::{CallState, Ended};

    #[test]
    fn the_input_of_all_calls_together_is_bounded() {
        let room = Room::new(STDIN_BACKLOG + STDIN_BACKLOG / 2, "input");
        let [first, second] = ["c1", "c2"].map(|id| reading(id, Input::Stream));
        let copies = Room::new(usize::MAX, "copies");
        first.share_input(&room, &copies);
        second.share_input(&room, &copies);
        let large = Bytes::from(vec![b'x'; STDIN_BACKLOG]);
        first.feed(large.clone(), false).unwrap();
        let refused = second.feed(large.clone(), true);
        assert!(matches!(refused, Err(Refusal::Busy(_))), "{refused:?}");
        second.feed(large.slice(..1024), false).unwrap();
        // What the command reads has left, and so has what waited for one that has ended.
        first.take_input().unwrap();
        second.take_input().unwrap();
        second.feed(large.clone(), false).unwrap();
        second.end(Ended { outcome: None, result: None, result_decision: None });
        first.feed(large, false).unwrap();
    }

    #[test]
    fn commands_that_do_not_read_keep_no_input_from_those_that_do() {
        let room = Room::new(STDIN_BACKLOG, "input");
        let [silent, other, reads] = ["c1", "c2", "c3"].map(|id| reading(id, Input::Stream));
        let copies = Room::new(usize::MAX, "copies");
        [&silent, &other, &reads].iter().for_each(|call| call.share_input(&room, &copies));
        let part = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
        silent.feed(part(STDIN_BACKLOG), false).unwrap();
        other.feed(part(STDIN_OWN - PART_BYTES), false).unwrap();
        assert!(matches!(other.feed(part(STDIN_OWN), false), Err(Refusal::Busy(_))), "more than its own");
        for _ in 0..100 {
            reads.feed(part(STDIN_OWN - PART_BYTES), false).unwrap();
            assert!(reads.take_input().unwrap().is_some());
        }
        // Nothing is given back that was not taken.
        while other.take_input().unwrap().is_some() {}
        assert!(matches!(reads.feed(part(2 * STDIN_OWN), false), Err(Refusal::Busy(_))));
        silent.take_input().unwrap();
        reads.feed(part(STDIN_BACKLOG), false).unwrap();
    }

    #[test]
    fn the_copies_of_all_delivered_input_together_are_bounded() {
        let copies = Room::new(MAX_KEPT_BYTES, "copies");
        let [first, second] = ["c1", "c2"].map(|id| reading(id, Input::Stream));
        let waiting = Room::new(usize::MAX, "input");
        [&first, &second].iter().for_each(|call| call.share_input(&waiting, &copies));
        let part = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
        let give = |call: &CallState, bytes: usize| {
            call.feed(part(bytes), false)?;
            while call.take_input().unwrap().is_some() {}
            Ok::<_, Refusal>(())
        };
        // Beyond what is kept of it, input takes no more.
        for _ in 0..2 * MAX_KEPT_BYTES / STDIN_BACKLOG {
            give(&first, STDIN_BACKLOG).unwrap();
        }
        give(&second, STDIN_OWN).unwrap();
        let refused = give(&second, STDIN_OWN + 1);
        assert!(matches!(refused, Err(Refusal::Busy(_))), "{refused:?}");
        first.end(Ended { outcome: None, result: None, result_decision: None });
        give(&second, STDIN_BACKLOG).unwrap();
        // What is refused for want of another room is not given, and takes none of this.
        let full = Room::new(0, "input");
        let third = reading("c3", Input::Stream);
        let copies = Room::new(STDIN_OWN, "copies");
        third.share_input(&full, &copies);
        assert!(matches!(third.feed(part(2 * STDIN_OWN), false), Err(Refusal::Busy(_))));
        assert!(Share::empty(&copies).grow_to(STDIN_OWN).is_ok());
    }

    #[test]
    fn input_that_never_fits_is_told_from_input_that_does_not_fit_now() {
        let call = reading("c", Input::Stream);
        let part = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
        let too_large = Err(Refusal::TooLarge { limit: STDIN_BACKLOG });
        assert_eq!(call.feed(part(STDIN_BACKLOG + 1), false), too_large);
        assert_eq!(call.feed(part(STDIN_BACKLOG), false), Ok(()));
        assert!(matches!(call.feed(part(1), false), Err(Refusal::Busy(_))));
        assert_eq!(call.feed(part(STDIN_BACKLOG + 1), false), too_large);
    }

    /// A million single bytes would take a hundred times the limit in memory.
    #[test]
    fn small_parts_of_input_are_charged_for_what_they_take() {
        let call = reading("c", Input::Stream);
        let fed =
            (0..=STDIN_BACKLOG).take_while(|_| call.feed(Bytes::from_static(b"x"), false).is_ok()).count();
        assert!((1..=STDIN_BACKLOG / PART_BYTES).contains(&fed), "{fed} parts of one byte");
        assert!(matches!(call.feed(Bytes::from_static(b"x"), false), Err(Refusal::Busy(_))));
        assert_eq!(call.feed(Bytes::new(), false), Ok(()), "nothing takes nothing");
        while call.take_input() != Ok(None) {}
        assert_eq!(call.held(), 0);
        assert_eq!(call.feed(Bytes::from(vec![b'x'; STDIN_BACKLOG]), true), Ok(()));
    }

    #[test]
    fn a_call_that_has_ended_holds_no_input() {
        let text = Bytes::from(vec![b'x'; 1 << 20]);
        let call = reading("c", Input::Text(text));
        assert_eq!(call.held(), (1 << 20) + PART_BYTES);
        call.end(Ended { outcome: None, result: None, result_decision: None });
        assert_eq!(call.held(), 0);
    }
}
