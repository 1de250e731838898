//! The decisions as a table, and a simulation: operators whose clocks differ in rate and origin, requests
//! that are delayed, lost or answered late, processes that may sleep at any point. At no moment are two
//! fences open.

use std::time::Duration;

use proptest::prelude::*;

use super::{Fence, Memory, Move, Record, Stop, Terms, decide};
use crate::clock::Tick;

const TERMS: Terms = Terms { duration: Duration::from_secs(15), retry: Duration::from_secs(2) };

fn record(holder: &str, renewed: &str) -> Record {
    Record {
        holder: holder.to_owned(),
        duration: TERMS.duration,
        renewed: renewed.to_owned(),
        transitions: 3,
        version: "7".to_owned(),
    }
}

fn at(seconds: u64) -> Tick {
    Tick::from_ms(seconds * 1000)
}

fn claim(transitions: i32) -> Move {
    Move::Claim { version: "7".to_owned(), transitions }
}

#[test]
fn a_lease_that_was_given_back_is_claimed_at_once() {
    assert_eq!(decide(&mut Memory::default(), "me", &TERMS, at(0), Some(&record("", "x"))), claim(4));
}

#[test]
fn a_held_lease_is_waited_for_a_whole_duration_after_its_last_change_was_seen() {
    let mut memory = Memory::default();
    let mut look = |now, renewed| decide(&mut memory, "me", &TERMS, at(now), Some(&record("other", renewed)));
    assert_eq!(look(100, "a"), Move::Wait);
    assert_eq!(look(114, "a"), Move::Wait);
    assert_eq!(look(114, "b"), Move::Wait);
    assert_eq!(look(128, "b"), Move::Wait);
    assert_eq!(look(129, "b"), claim(4));
}

#[test]
fn the_duration_of_whoever_holds_it_counts_if_it_is_longer() {
    let mut memory = Memory::default();
    let long = Record { duration: Duration::from_secs(60), ..record("other", "a") };
    assert_eq!(decide(&mut memory, "me", &TERMS, at(0), Some(&long)), Move::Wait);
    assert_eq!(decide(&mut memory, "me", &TERMS, at(59), Some(&long)), Move::Wait);
    assert_eq!(decide(&mut memory, "me", &TERMS, at(60), Some(&long)), claim(4));
}

#[test]
fn a_missing_lease_may_have_been_deleted_under_its_holder() {
    let mut memory = Memory::default();
    assert_eq!(decide(&mut memory, "me", &TERMS, at(0), None), Move::Wait);
    assert_eq!(decide(&mut memory, "me", &TERMS, at(14), None), Move::Wait);
    assert_eq!(decide(&mut memory, "me", &TERMS, at(15), None), Move::Create);
}

#[test]
fn a_leader_renews_and_stops_when_it_cannot_be_sure() {
    let leader = || {
        let mut memory = Memory::default();
        memory.claimed(at(100), &TERMS);
        memory
    };
    let mine = record("me", "a");
    assert_eq!(decide(&mut leader(), "me", &TERMS, at(114), Some(&mine)), claim(3));
    assert_eq!(decide(&mut leader(), "me", &TERMS, at(115), Some(&mine)), Move::Stop(Stop::RanOut));
    assert_eq!(decide(&mut leader(), "me", &TERMS, at(101), None), Move::Stop(Stop::Deleted));
    let taken = Move::Stop(Stop::Taken("other".to_owned()));
    assert_eq!(decide(&mut leader(), "me", &TERMS, at(101), Some(&record("other", "b"))), taken);
}

/// What happens next in the simulation.
#[derive(Clone, Debug)]
enum Event {
    /// Time passes, in milliseconds.
    Pass(u64),
    /// An operator reads the lease.
    Read(usize),
    /// It decides by what it read, and sends a request.
    Decide(usize),
    /// Its request reaches the store.
    Deliver(usize),
    /// The answer reaches the operator.
    Answer(usize),
    /// It gives the lease back and ends; another process takes its place.
    GiveBack(usize),
}

/// A simulated operator: its state, its clock, and its pending request.
struct Operator {
    name: String,
    lives: u32,
    memory: Memory,
    fence: Fence,
    /// Milliseconds of its clock per thousand real ones, and its start value.
    rate: u64,
    origin: u64,
    read: Option<Option<Record>>,
    sent: Option<(Tick, Option<String>, Record)>,
    stored: Option<bool>,
}

impl Operator {
    fn now(&self, real: u64) -> Tick {
        Tick::from_ms(self.origin + real * self.rate / 1000)
    }

    /// The process ends and is started again under another identity.
    fn end(&mut self) {
        let clock = (self.rate, self.origin, self.lives + 1);
        *self = operator(self.name.split('-').next().expect("a name"), clock.2, clock.0, clock.1);
    }
}

fn operator(base: &str, lives: u32, rate: u64, origin: u64) -> Operator {
    Operator {
        name: format!("{base}-{lives}"),
        lives,
        memory: Memory::default(),
        fence: Fence::default(),
        rate,
        origin,
        read: None,
        sent: None,
        stored: None,
    }
}

/// The API server: one record, which is written only if the writer knows its version.
#[derive(Default)]
struct Store {
    record: Option<Record>,
    version: u64,
}

impl Store {
    fn write(&mut self, over: Option<&str>, mut record: Record) -> bool {
        if self.record.as_ref().map(|record| record.version.as_str()) != over {
            return false;
        }
        self.version += 1;
        record.version = self.version.to_string();
        self.record = Some(record);
        true
    }
}

fn step(event: &Event, real: &mut u64, store: &mut Store, operators: &mut [Operator]) {
    match event {
        Event::Pass(ms) => *real += ms,
        Event::Read(who) => operators[*who].read = Some(store.record.clone()),
        Event::Decide(who) => send(&mut operators[*who], *real),
        Event::Deliver(who) => {
            let operator = &mut operators[*who];
            if let (Some((_, over, record)), None) = (&operator.sent, operator.stored) {
                operator.stored = Some(store.write(over.as_deref(), record.clone()));
            }
        }
        Event::Answer(who) => {
            let now = operators[*who].now(*real);
            let operator = &mut operators[*who];
            let (Some((sent, _, _)), Some(stored)) = (operator.sent.take(), operator.stored.take()) else {
                return;
            };
            // No later answer is waited for.
            if stored && now.since(sent) <= crate::limits::WRITE_TIMEOUT {
                operator.memory.claimed(sent, &TERMS);
                operator.fence.open_until(sent.plus(TERMS.duration));
            }
        }
        Event::GiveBack(who) => {
            let operator = &mut operators[*who];
            operator.fence.shut();
            if let Some(found) = store.record.clone().filter(|record| record.holder == operator.name) {
                let version = found.version.clone();
                store.write(Some(&version), Record { holder: String::new(), ..found });
            }
            operator.end();
        }
    }
}

fn send(operator: &mut Operator, real: u64) {
    let Some(read) = operator.read.take() else { return };
    if operator.sent.is_some() {
        return;
    }
    let now = operator.now(real);
    let (over, transitions) = match decide(&mut operator.memory, &operator.name, &TERMS, now, read.as_ref()) {
        Move::Wait => return,
        Move::Stop(_) => return operator.end(),
        Move::Create => (None, 0),
        Move::Claim { version, transitions } => (Some(version), transitions),
    };
    let record = Record {
        holder: operator.name.clone(),
        duration: TERMS.duration,
        renewed: format!("{}-{}", operator.name, now.as_ms()),
        transitions,
        version: String::new(),
    };
    operator.sent = Some((now, over, record));
    operator.stored = None;
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let who = 0..3_usize;
    let event = prop_oneof![
        4 => prop_oneof![Just(100_u64), Just(1000), Just(2500), Just(9000), Just(16_000)].prop_map(Event::Pass),
        6 => who.clone().prop_map(Event::Read),
        6 => who.clone().prop_map(Event::Decide),
        6 => who.clone().prop_map(Event::Deliver),
        6 => who.clone().prop_map(Event::Answer),
        1 => who.prop_map(Event::GiveBack),
    ];
    prop::collection::vec(event, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn two_fences_are_never_open_at_once(events in events(), rates in prop::array::uniform3(950_u64..1050)) {
        let mut operators: Vec<Operator> = rates
            .iter()
            .zip(["a", "b", "c"])
            .zip([0, 1_000_000, 77])
            .map(|((rate, name), origin)| operator(name, 0, *rate, origin))
            .collect();
        let (mut store, mut real) = (Store::default(), 0_u64);
        for event in &events {
            step(event, &mut real, &mut store, &mut operators);
            let open: Vec<&str> = operators
                .iter()
                .filter(|one| one.fence.check_at(one.now(real)).is_ok())
                .map(|one| one.name.as_str())
                .collect();
            prop_assert!(open.len() <= 1, "open at {real} ms: {open:?}");
        }
    }

    #[test]
    fn somebody_leads_once_everything_works(events in events()) {
        let mut operators: Vec<Operator> =
            ["a", "b", "c"].iter().map(|name| operator(name, 0, 1000, 5)).collect();
        let (mut store, mut real) = (Store::default(), 0_u64);
        for event in &events {
            step(event, &mut real, &mut store, &mut operators);
        }
        let mut led = false;
        for _ in 0..40 {
            for who in 0..3 {
                for event in [Event::Deliver(who), Event::Answer(who), Event::Read(who), Event::Decide(who), Event::Deliver(who), Event::Answer(who)] {
                    step(&event, &mut real, &mut store, &mut operators);
                }
            }
            led |= operators.iter().any(|one| one.fence.check_at(one.now(real)).is_ok());
            real += 1000;
        }
        prop_assert!(led, "nobody leads");
    }
}
