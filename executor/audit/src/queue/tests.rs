//! A log without its attendant, so that nothing happens by itself: its behaviour when its disk fails in
//! parts, and when another writer takes charge.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::attendant::Attendant;
use crate::dir::{Dir, Lock};
use crate::entry::Entry;
use crate::health::Health;
use crate::open::open;
use crate::options::{Options, Prepare};
use crate::record::Record;
use crate::segment::Segment;
use crate::verify::{Known, verify};

mod ghosts;

struct Stage {
    folder: tempfile::TempDir,
    dir: Dir,
    queue: Queue,
    _lock: Lock,
}

fn options() -> Options {
    let hour = Duration::from_secs(3_600);
    Options {
        segment_bytes: 64 * 1024,
        checkpoint_every: hour,
        linger: hour,
        prepare: Prepare::OnDemand,
        ..Options::default()
    }
}

fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let (log, lock, _) = open(folder.path(), &options()).unwrap();
    Stage { dir: Dir::new(folder.path()), folder, queue: Queue::new(log), _lock: lock }
}

/// A record with the opening of a value.
fn draft(kind: Kind, intent: Option<u64>) -> Draft {
    draft_of(kind, intent, "secret")
}

fn draft_of(kind: Kind, intent: Option<u64>, word: &str) -> Draft {
    let value = Some(json!({"word": word}));
    let entry = match kind {
        Kind::Result => Entry { result: value, ..Entry::default() },
        _ => Entry { arguments: value, ..Entry::default() },
    };
    let (record, aside) = entry.into_record(kind).unwrap();
    let draft = Draft::of(&Record { intent, ..record }).unwrap();
    Draft { openings: aside.openings, ..draft }
}

impl Stage {
    /// What the attendant does after a failure.
    fn probe(&self) {
        let log = self.queue.backlog().log.take().unwrap();
        self.queue.lead(log, Demand::Probe);
    }

    /// Leaves a record that no thread waits for, as a result is that was refused at first.
    fn leave(&self, draft: Draft) {
        let mut backlog = self.queue.admit(&draft, None).unwrap();
        backlog.enqueue(draft, None);
        self.queue.length.store(backlog.len(), Ordering::Relaxed);
    }

    fn health(&self) -> Health {
        self.queue.backlog().health.clone()
    }

    fn is_healthy(&self) -> bool {
        matches!(self.health(), Health::Healthy)
    }

    /// The number of records whose values can be shown, and of those whose values cannot.
    fn opened(&self) -> (u64, u64) {
        opened(self.folder.path())
    }

    fn token(&self) -> std::path::PathBuf {
        self.folder.path().join("writer")
    }
}

fn opened(dir: &Path) -> (u64, u64) {
    let report = verify(dir, &Known::default()).unwrap();
    assert!(report.damage.is_none(), "{report:?}");
    (report.opened, report.unopened)
}

#[test]
fn a_log_that_another_writer_is_in_charge_of_is_left_alone_whatever_failed_before() {
    let stage = stage();
    let intent = stage.queue.append(draft(Kind::Intent, None)).unwrap().seq;
    let token = std::fs::read(stage.token()).unwrap();
    std::fs::remove_file(stage.token()).unwrap();
    assert!(matches!(stage.queue.append(draft(Kind::Decision, None)), Err(AppendError::Io(_))));
    assert!(stage.queue.backlog().failed_at.is_some());
    stage.leave(draft(Kind::Result, Some(intent)));
    stage.dir.take_charge("another writer").unwrap();
    stage.probe();
    assert!(matches!(stage.health(), Health::Fenced));
    let backlog = stage.queue.backlog();
    assert!(backlog.is_over() && backlog.failed_at.is_none(), "it would be tried again");
    assert!(backlog.lingering().is_none() && !backlog.wants_spare, "it would be written on");
    drop(backlog);
    // No later success puts this writer in charge again.
    std::fs::write(stage.token(), token).unwrap();
    stage.probe();
    stage.queue.backlog().fail_openings(std::io::Error::other("a flush"));
    assert!(matches!(stage.health(), Health::Fenced) && stage.queue.backlog().failed_at.is_none());
}

#[test]
fn while_openings_cannot_be_written_nobody_says_that_all_is_well() {
    let stage = stage();
    // Nothing can be written next to the first segment.
    std::fs::create_dir(stage.dir.disclosure(1)).unwrap();
    assert!(matches!(stage.queue.append(draft(Kind::Decision, None)), Err(AppendError::Io(_))));
    for _ in 0..3 {
        stage.probe();
        assert!(!stage.is_healthy(), "the next record would be refused");
    }
    std::fs::remove_dir(stage.dir.disclosure(1)).unwrap();
    stage.probe();
    assert!(stage.is_healthy());
    stage.queue.append(draft(Kind::Decision, None)).unwrap();
    assert_eq!(stage.opened(), (1, 0));
}

#[test]
fn results_take_the_room_that_is_held_for_them_though_their_openings_find_none() {
    let stage = stage();
    let intents = [(); 3].map(|()| stage.queue.append(draft(Kind::Intent, None)).unwrap().seq);
    let full = |is_full: bool| {
        let done = stage.queue.with_log(|log| {
            let Log { disclosures, dir, .. } = log;
            if is_full { disclosures.fill_the_disk(dir) } else { disclosures.empty_the_disk(dir) }
        });
        assert!(done.is_some());
    };
    full(true);
    // The waiting thread learns that it is durable, and from then on no call begins.
    stage.queue.append(draft(Kind::Result, Some(intents[0]))).unwrap();
    assert!(!stage.is_healthy());
    let refused = stage.queue.append(draft(Kind::Intent, None)).unwrap_err();
    assert!(matches!(refused, AppendError::Io(_)), "{refused}");
    stage.queue.append(draft(Kind::Result, Some(intents[1]))).unwrap();
    // A result that no thread waits for is written by the next attempt to test the disk.
    stage.leave(draft(Kind::Result, Some(intents[2])));
    stage.probe();
    assert!(!stage.is_healthy() && stage.queue.with_log(|log| log.tip.open.is_empty()).unwrap());
    assert_eq!(stage.opened(), (3, 3), "what was committed to is in memory");
    full(false);
    stage.probe();
    assert!(stage.is_healthy());
    assert_eq!(stage.opened(), (6, 0));
    stage.queue.append(draft(Kind::Intent, None)).unwrap();
}

#[test]
fn results_whose_openings_find_no_memory_wait_and_keep_their_order() {
    let stage = stage();
    let intents = [(); 3].map(|()| stage.queue.append(draft(Kind::Intent, None)).unwrap().seq);
    stage.queue.with_log(|Log { disclosures, dir, .. }| disclosures.fill_the_disk(dir)).unwrap();
    let large = "x".repeat(9 * 1024 * 1024);
    for (intent, word) in intents.into_iter().zip([large.as_str(), large.as_str(), "small"]) {
        stage.leave(draft_of(Kind::Result, Some(intent), word));
    }
    for _ in 0..3 {
        stage.probe();
        assert_eq!(stage.queue.backlog().len(), 2, "the openings of one fit");
        assert!(!stage.is_healthy());
    }
    stage.queue.with_log(|Log { disclosures, dir, .. }| disclosures.empty_the_disk(dir)).unwrap();
    stage.probe();
    stage.probe();
    assert!(stage.is_healthy() && !stage.queue.backlog().has_queued());
    assert_eq!(stage.opened(), (6, 0));
}

#[test]
fn a_single_result_is_on_record_on_a_full_disk_however_large_it_is() {
    let stage = stage();
    let intents = [(); 2].map(|()| stage.queue.append(draft(Kind::Intent, None)).unwrap().seq);
    stage.queue.with_log(|Log { disclosures, dir, .. }| disclosures.fill_the_disk(dir)).unwrap();
    let large = "x".repeat(17 * 1024 * 1024);
    stage.queue.append(draft_of(Kind::Result, Some(intents[0]), &large)).unwrap();
    let refused = stage.queue.append(draft(Kind::Result, Some(intents[1]))).unwrap_err();
    assert!(matches!(refused, AppendError::NotYet(_)), "more than that is not held: {refused}");
    stage.queue.with_log(|Log { disclosures, dir, .. }| disclosures.empty_the_disk(dir)).unwrap();
    stage.probe();
    stage.probe();
    assert!(stage.is_healthy() && !stage.queue.backlog().has_queued());
    assert_eq!(stage.opened(), (4, 0));
}

#[test]
fn a_segment_that_was_made_ahead_and_overtaken_is_not_used() {
    let stage = stage();
    let active = || stage.queue.with_log(|log| log.position().segment).unwrap();
    let until_beyond = |number: u32| {
        while active() <= number {
            let entry = Entry { effect: Some("x".repeat(8_000)), ..Entry::default() };
            let (record, _) = entry.into_record(Kind::Decision).unwrap();
            stage.queue.append(Draft::of(&record).unwrap()).unwrap();
        }
    };
    // The attendant has its number, and is slow to fill it: the log goes on without it.
    let slow = stage.queue.with_log(|log| log.numbers.next()).unwrap();
    until_beyond(slow);
    let spare = Segment::create(&stage.dir, slow, options().segment_bytes).unwrap();
    stage.queue.backlog().spare = Some(spare);
    until_beyond(active());
    assert_eq!(stage.opened(), (0, 0));
    assert!(!stage.dir.list().unwrap().contains(&slow), "it holds nothing, and takes room");
    assert!(open(stage.folder.path(), &options()).is_err(), "the writer is still there");
    drop((stage.queue, stage._lock));
    let (_, _, recovered) = open(stage.folder.path(), &options()).unwrap();
    assert!(recovered.cuts.is_empty() && recovered.lost.is_empty(), "{recovered:?}");
}

#[test]
fn the_end_writes_all_that_is_queued_in_as_many_groups_as_it_takes() {
    let stage = stage();
    let intents = [(); 3].map(|()| stage.queue.append(draft(Kind::Intent, None)).unwrap().seq);
    let large = "x".repeat(1024 * 1024);
    for intent in intents {
        stage.leave(draft_of(Kind::Result, Some(intent), &large));
    }
    let numbers = stage.queue.with_log(|log| Arc::clone(&log.numbers)).unwrap();
    Attendant { dir: stage.dir.clone(), numbers, options: options() }.finish(&stage.queue);
    assert!(!stage.queue.backlog().has_queued());
    assert_eq!(stage.opened(), (6, 0));
}

#[test]
fn nobody_waits_for_ever_for_a_log_that_does_not_come_back() {
    let stage = stage();
    drop(stage.queue.backlog().log.take());
    let deadline = Instant::now() + Duration::from_millis(1);
    assert!(stage.queue.with_log_until(Some(deadline), |_| ()).is_none());
}

#[test]
fn whoever_waits_for_a_thread_that_panics_while_it_leads_learns_that_the_log_is_lost() {
    let stage = stage();
    let intent = stage.queue.append(draft(Kind::Intent, None)).unwrap().seq;
    let number = || stage.queue.with_log(|log| log.tip.seq);
    assert!(number().is_some());
    // The next group has no number: the build stops at an overflow.
    stage.queue.with_log(|log| log.tip.seq = u64::MAX).unwrap();
    let queued = [(); 2].map(|()| stage.queue.begin(draft(Kind::Decision, None), None).unwrap());
    let (leads, waits) = (&stage.queue, &queued[1]);
    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| waits.wait());
        while waits.waited_for().0 == 0 {
            std::thread::yield_now();
        }
        let log = leads.backlog().log.take().unwrap();
        let led = scope.spawn(|| leads.lead(log, Demand::Checkpoint)).join();
        assert!(led.is_err(), "the thread that leads panics");
        waiting.join().unwrap()
    });
    assert!(matches!(waited, Signal::Done(Err(AppendError::Lost))), "{waited:?}");
    assert!(matches!(stage.queue.see_to(&queued[0]), Err(AppendError::Lost)));
    assert!(matches!(stage.health(), Health::Lost) && stage.queue.backlog().is_over());
    for kind in [Kind::Decision, Kind::Result] {
        let refused = stage.queue.append(draft(kind, (kind == Kind::Result).then_some(intent)));
        assert!(matches!(refused, Err(AppendError::Lost)), "{refused:?}");
    }
    assert_eq!(number(), None, "the end of the log would wait for ever");
}

#[test]
fn no_segment_is_made_for_a_log_that_is_lost() {
    let stage = stage();
    let number = stage.queue.with_log(|log| Arc::clone(&log.numbers)).unwrap();
    stage.queue.backlog().wants_spare = true;
    let panics = || stage.queue.with_log(|_| -> () { panic!("while it leads") });
    let led = std::thread::scope(|scope| scope.spawn(panics).join());
    assert!(led.is_err() && matches!(stage.health(), Health::Lost));
    assert!(!stage.queue.backlog().wants_spare && !stage.queue.backlog().needs_attention());
    assert_eq!((number.next(), stage.dir.list().unwrap()), (2, vec![1]));
}

/// Otherwise a group of a hundred records would wake its hundred threads a hundred times.
#[test]
fn whoever_waits_for_a_group_that_is_refused_is_woken_once() {
    let stage = stage();
    std::fs::remove_file(stage.token()).unwrap();
    let refused = [(); 8].map(|()| stage.queue.begin(draft(Kind::Decision, None), None).unwrap());
    let log = stage.queue.backlog().log.take().unwrap();
    stage.queue.lead(log, Demand::WhenDue);
    assert_eq!(refused[0].waited_for().1, 1);
    for waiter in &refused {
        assert!(matches!(waiter.take(), Some(Err(AppendError::Io(_)))));
    }
    // The same for those that a panic leaves behind.
    let stage = self::stage();
    stage.queue.with_log(|log| log.tip.seq = u64::MAX).unwrap();
    let lost = [(); 8].map(|()| stage.queue.begin(draft(Kind::Decision, None), None).unwrap());
    let log = stage.queue.backlog().log.take().unwrap();
    let led = std::thread::scope(|scope| scope.spawn(|| stage.queue.lead(log, Demand::WhenDue)).join());
    assert!(led.is_err());
    assert_eq!(lost[0].waited_for().1, 1);
    for waiter in &lost {
        assert!(matches!(waiter.take(), Some(Err(AppendError::Lost))));
    }
}

#[test]
fn of_two_segments_that_were_made_ahead_one_is_used_and_the_other_removed() {
    let stage = stage();
    let made = || {
        let number = stage.queue.with_log(|log| log.numbers.next()).unwrap();
        Segment::create(&stage.dir, number, options().segment_bytes).unwrap()
    };
    let [first, second] = [made(), made()];
    let kept = first.number;
    stage.queue.with_log(|log| {
        log.take_spare(first);
        log.take_spare(second);
    });
    assert_eq!(stage.dir.list().unwrap(), [1, kept], "the other takes room, and no course leads to it");
    assert_eq!(stage.queue.with_log(|log| log.spare.as_ref().map(|spare| spare.number)), Some(Some(kept)));
}

#[test]
fn openings_whose_flush_failed_before_the_end_are_written_again_at_the_end() {
    let stage = stage();
    stage.queue.append(draft(Kind::Decision, None)).unwrap();
    // The attendant has taken what is to be flushed, the flush has failed, and nothing has repaired it.
    let taken = stage.queue.backlog().unflushed.take_due(Duration::ZERO);
    stage.queue.with_log(|log| log.disclosures.lose_what_is_not_flushed()).unwrap();
    stage.queue.backlog().fail_openings(taken[0].flush().unwrap_err());
    assert_eq!(stage.opened(), (0, 1));
    let numbers = stage.queue.with_log(|log| Arc::clone(&log.numbers)).unwrap();
    Attendant { dir: stage.dir.clone(), numbers, options: options() }.finish(&stage.queue);
    assert_eq!(stage.opened(), (1, 0));
}

/// A group that was refused although its flush succeeded stays in its segment until the next one says that it
/// is not part of the log.
#[test]
fn a_refused_group_keeps_its_openings_for_as_long_as_a_crash_would_have_it_read() {
    let stage = stage();
    stage.queue.append(draft(Kind::Decision, None)).unwrap();
    let token = std::fs::read(stage.token()).unwrap();
    std::fs::remove_file(stage.token()).unwrap();
    assert!(matches!(stage.queue.append(draft(Kind::Decision, None)), Err(AppendError::Io(_))));
    assert_eq!(stage.opened(), (2, 0), "so whoever recovers takes it, and can show what it says");
    std::fs::write(stage.token(), token).unwrap();
    stage.probe();
    let lines = std::fs::read_to_string(stage.dir.disclosure(1)).unwrap();
    assert_eq!((lines.lines().count(), stage.opened()), (1, (1, 0)), "nobody is to read what was refused");
    stage.queue.append(draft(Kind::Decision, None)).unwrap();
    assert_eq!(stage.opened(), (2, 0));
}
