//! Room for what callers send: the bytes of requests that are held at one time, of all callers together.
//!
//! ```text
//! body announced ─► room ─► read ─► room for its values instead ─► waits for its turn, is decided, runs ─► given back
//! ```
//! Nobody waits for room: who finds none is refused. So nobody waits for somebody who waits, and a client that keeps
//! back its body takes room only until its time is over. Small requests need none: their number is bounded by that of
//! connections and calls, and so they are served however much room others have taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::refusal::Refusal;

/// A body of at most this many bytes needs no room: those of all connections together take 32 MiB.
pub(crate) const SMALL_BODY: usize = 64 << 10;

/// A call whose arguments weigh at most this needs no room: those of all calls together take 64 MiB. A small body
/// without many values weighs less.
pub(crate) const SMALL_CALL: usize = 256 << 10;

/// The room, and how much of it is taken.
#[derive(Debug)]
pub struct Room {
    most: usize,
    /// What it is for, in the plural.
    what: &'static str,
    taken: AtomicUsize,
}

impl Room {
    /// Room for this many bytes.
    #[must_use]
    pub fn new(most: usize, what: &'static str) -> Arc<Self> {
        Arc::new(Self { most, what, taken: AtomicUsize::new(0) })
    }

    /// The longest body that there is ever room for.
    pub(crate) fn longest_body(&self) -> usize {
        self.most.max(SMALL_BODY)
    }

    fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= self.most);
        // Counts, and orders nothing else.
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map(drop).map_err(|_| {
            Refusal::Busy(format!("limit of {} bytes of {} at one time reached", self.most, self.what))
        })
    }
}

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    room: Arc<Room>,
    bytes: usize,
}

impl Share {
    /// Nothing yet.
    #[must_use]
    pub fn empty(room: &Arc<Room>) -> Self {
        Self { room: Arc::clone(room), bytes: 0 }
    }

    /// The share of a call, from its arrival to its end. It takes the place of that of its text, so that every call
    /// that all the room is enough for finds some once the others are gone.
    ///
    /// # Errors
    /// No room is left, or there would never be enough.
    pub fn into_call(mut self, tool: &str, arguments: &str) -> Result<Self, Refusal> {
        let weight = weight(arguments).saturating_add(tool.len());
        if weight > self.room.most && weight > SMALL_CALL {
            return Err(Refusal::TooHeavy { weight, most: self.room.most });
        }
        let needed = if weight <= SMALL_CALL { 0 } else { weight };
        self.grow_to(needed)?;
        self.shrink_to(needed);
        Ok(self)
    }

    /// Moves it out, and leaves nothing.
    pub(crate) fn take(&mut self) -> Self {
        let nothing = Self::empty(&self.room);
        std::mem::replace(self, nothing)
    }

    /// Makes it at least this large.
    ///
    /// # Errors
    /// No room is left; the share stays as it was.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = bytes.saturating_sub(self.bytes);
        self.room.take(more)?;
        self.bytes += more;
        Ok(())
    }

    /// Gives back what it has beyond this.
    pub fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.room.taken.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a value takes: its place in a list, twice, while it is read and then in its record.
const VALUE_BYTES: usize = 64;

/// What a text takes besides its bytes: an allocation of its own.
const TEXT_BYTES: usize = 32;

/// What an object takes besides its members: in its record it has a node with places for eleven.
const OBJECT_BYTES: usize = 640;

/// How often a text is there: in the call, in what is to run, and as input of that.
const COPIES: usize = 3;

/// Bytes that a call takes in memory whose arguments are this JSON text, an upper bound. A number in an array takes
/// thirty times its text, and an empty object a hundred times.
#[must_use]
fn weight(text: &str) -> usize {
    let mut bytes = text.bytes();
    let (mut values, mut texts, mut objects) = (1_usize, 0_usize, 0_usize);
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                texts += 1;
                skip_text(&mut bytes);
            }
            b'{' => {
                objects += 1;
                values += 1;
            }
            b'[' | b',' | b':' => values += 1,
            _ => {}
        }
    }
    let held = [(text.len(), COPIES), (values, VALUE_BYTES), (texts, TEXT_BYTES), (objects, OBJECT_BYTES)];
    held.into_iter().fold(0, |sum: usize, (count, each)| sum.saturating_add(count.saturating_mul(each)))
}

/// Goes to the end of a text that has begun.
fn skip_text(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::json::Json;

    use super::*;

    /// What the tree of a text takes.
    fn taken(json: &Json) -> usize {
        let text = |text: &str| text.len().next_multiple_of(16);
        match json {
            Json::Str(value) => text(value),
            Json::List(items) => items.iter().map(|item| size_of::<Json>() + taken(item)).sum(),
            Json::Map(map) => {
                let member =
                    |(name, value): (&str, &Json)| size_of::<(String, Json)>() + text(name) + taken(value);
                map.iter().map(|(name, value)| member((name, value))).sum()
            }
            _ => 0,
        }
    }

    #[test]
    fn no_arguments_take_more_than_they_weigh() {
        let many = |value: &str| format!(r#"{{"a":[{value}{}]}}"#, format!(",{value}").repeat(1000));
        for value in ["0", "[]", "[0]", "{}", r#"{"":0}"#, r#""""#, r#""\"[,{""#, r#"[[{"a":[{}]}]]"#] {
            let text = many(value);
            let tree = Json::parse(text.as_bytes()).unwrap();
            // Its record takes as much again.
            let least = size_of::<Json>() + 2 * taken(&tree) + text.len();
            assert!(weight(&text) >= least, "{value}: {} and {least}", weight(&text));
        }
        let members: Vec<String> = (0..1000).map(|number| format!(r#""{number}":0"#)).collect();
        let text = format!("{{{}}}", members.join(","));
        let tree = Json::parse(text.as_bytes()).unwrap();
        assert!(weight(&text) >= 2 * taken(&tree) + text.len());
    }

    #[test]
    fn a_text_weighs_little_whatever_it_holds() {
        let text = format!(r#"{{"code":"{}"}}"#, r#"[{,:\"\\"#.repeat(1000));
        assert!(weight(&text) < COPIES * text.len() + 1024, "{}", weight(&text));
        assert!(weight(&"x".repeat(SMALL_BODY)) < SMALL_CALL);
    }

    #[test]
    fn nobody_gets_more_than_there_is_and_what_is_dropped_is_free() {
        let room = Room::new(1 << 20, "requests");
        let mut first = Share::empty(&room);
        first.grow_to(700 << 10).unwrap();
        let mut second = Share::empty(&room);
        assert!(matches!(second.grow_to(400 << 10), Err(Refusal::Busy(_))));
        second.grow_to(300 << 10).unwrap();
        let call = |values: usize| {
            Share::empty(&room).into_call("t", &format!(r#"{{"a":[{}0]}}"#, "0,".repeat(values)))
        };
        assert!(matches!(call(5000), Err(Refusal::Busy(_))));
        assert!(matches!(call(16 << 10), Err(Refusal::TooHeavy { .. })));
        call(3000).unwrap();
        drop(first);
        call(5000).unwrap();
        drop(second);
        // All the room is enough for it, also while its own text takes a part.
        let text = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(14_500));
        let mut own = Share::empty(&room);
        own.grow_to(text.len() + SMALL_BODY).unwrap();
        drop(own.into_call("t", &text).unwrap());
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }
}
