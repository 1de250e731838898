//! The ordinary life of a log, without tampering.

use std::path::{Path, PathBuf};

use bailiwick_audit::{
    AppendError, Entry, Event, Hash, Health, Intent, Known, Mode, OpenError, Status, Writer, fold, note,
    verify,
};

use crate::stage::{call, deny, end, ended, folder, intend, known, open, options, run, segment};

#[test]
fn a_sealed_log_is_intact_and_an_open_one_is_incomplete() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    run(&writer, "c1");
    deny(&writer, "c2");
    let known = known(&writer);
    let report = verify(dir.path(), &known).unwrap();
    assert_eq!(report.status, Status::Incomplete, "{report:?}");
    assert!(report.remarks[0].contains("the log is open"), "{report:?}");
    writer.seal("drain").unwrap();
    assert!(matches!(writer.append(Event::Admin, call("c3")), Err(AppendError::Sealed)));
    let report = verify(dir.path(), &known).unwrap();
    assert_eq!(report.status, Status::Intact, "{report:?}");
    // Genesis, checkpoint, intent, result, decision, seal, checkpoint.
    assert_eq!((report.records, report.covered, report.opened, report.unopened), (7, 6, 7, 0), "{report:?}");
    let report = verify(dir.path(), &Known::default()).unwrap();
    assert_eq!(report.status, Status::Incomplete);
    assert!(report.remarks[0].contains("was not checked"), "{report:?}");
    drop(writer);
    assert!(matches!(Writer::open(dir.path(), &options()), Err(OpenError::Sealed)));
    assert!(!dir.path().join("keys/current").exists());
}

#[test]
fn opening_again_changes_the_key_and_closes_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let known = known(&writer);
    run(&writer, "c1");
    let lost = intend(&writer, "c2").unwrap().at().seq;
    let first_key = std::fs::read(dir.path().join("keys/current")).unwrap();
    drop(writer);
    let (writer, recovered) = Writer::open(dir.path(), &options()).unwrap();
    assert_eq!(recovered.lost, [lost]);
    assert_eq!(recovered.epoch, 2);
    assert_ne!(std::fs::read(dir.path().join("keys/current")).unwrap(), first_key);
    assert!(!dir.path().join("keys/next").exists());
    run(&writer, "c3");
    writer.seal("drain").unwrap();
    let report = verify(dir.path(), &known).unwrap();
    assert_eq!(report.status, Status::Intact, "{report:?}");
    assert_eq!((report.epoch, report.lost), (2, 1));
}

/// How long records are kept is a least time (`spec.audit.retention`), and no time is too long: however many follow,
/// after whatever end, each stays where it was, byte for byte, with what opens it, and the log verifies.
#[test]
fn what_is_on_record_is_never_removed() {
    let dir = folder();
    let mut before: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let first = open(dir.path());
    let known = known(&first);
    drop(first);
    for round in 0..3 {
        let writer = open(dir.path());
        for number in 0..80 {
            deny(&writer, &format!("r{round}c{number}"));
        }
        let large =
            Entry { values: Mode::Plain, arguments: Some("y".repeat(5_000 + round).into()), ..call("large") };
        writer.append(Event::Decision, large).unwrap();
        drop(writer);
        for (path, kept) in &before {
            let now = std::fs::read(path).unwrap();
            assert!(now.starts_with(kept), "{} lost what it held", path.display());
        }
        before = kept(dir.path());
    }
    let of =
        |folder: &str| before.iter().filter(|(path, _)| path.starts_with(dir.path().join(folder))).count();
    assert!(of("segments") >= 6 && of("disclosures") >= 6 && of("blobs") == 3, "{before:?}");
    let report = verify(dir.path(), &known).unwrap();
    assert_eq!((report.damage.is_none(), report.status), (true, Status::Incomplete), "{report:?}");
    assert!(report.records >= 243 && report.unopened == 0, "{report:?}");
}

/// Every file of the log with what it holds, without the zeros behind it.
fn kept(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut kept = Vec::new();
    for folder in ["segments", "disclosures", "blobs"] {
        for entry in std::fs::read_dir(dir.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            kept.push((path, bytes));
        }
    }
    kept
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _writer = open(dir.path());
    assert!(matches!(Writer::open(dir.path(), &options()), Err(OpenError::Locked)));
}

#[test]
fn checkpoints_state_what_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let mut known = known(&writer);
    let mut sizes = Vec::new();
    for name in ["c1", "c2", "c3"] {
        deny(&writer, name);
        let signed = writer.checkpoint().unwrap();
        assert_eq!(signed, writer.checkpoint().unwrap());
        sizes.push(note::Checkpoint::parse(&signed).unwrap().size);
        known.checkpoints.push(signed.to_string());
    }
    assert_eq!(sizes, [3, 4, 5]);
    known.checkpoints.push(writer.seal("drain").unwrap().to_string());
    let report = verify(dir.path(), &known).unwrap();
    assert_eq!(report.status, Status::Intact, "{report:?}");
}

#[test]
fn a_fold_goes_on_from_a_position() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    run(&writer, "c1");
    let middle = writer.position().unwrap();
    for number in 0..200 {
        deny(&writer, &format!("d{number}"));
    }
    let calls = |from| {
        let mut calls = Vec::new();
        let end = fold(dir.path(), from, |record, _| {
            calls.extend(record.call.clone());
            Ok::<_, std::convert::Infallible>(())
        });
        assert_eq!(end.unwrap(), writer.position().unwrap());
        calls
    };
    let (all, rest) = (calls(None), calls(Some(middle)));
    assert_eq!(all.len(), 202);
    assert_eq!(all[2..], rest);
    assert!(std::fs::read_dir(dir.path().join("segments")).unwrap().count() > 1, "no segment was full");
}

#[test]
fn a_result_ends_one_open_intent() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let intent = intend(&writer, "c1").unwrap();
    assert!(matches!(writer.seal("drain"), Err(AppendError::StillOpen(1))));
    let queued = writer.begin_result(intent.at(), ended("c1")).unwrap();
    let again = writer.begin_result(intent.at(), ended("c1"));
    assert!(matches!(again, Err(AppendError::NotOpen(_))));
    let denied = deny(&writer, "c2");
    assert!(matches!(writer.begin_result(&denied, ended("c2")), Err(AppendError::NotOpen(_))));
    // The denial took the result along.
    assert_eq!(verify(dir.path(), &Known::default()).unwrap().open, 0);
    queued.wait().unwrap();
    writer.seal("drain").unwrap();
}

#[test]
fn plain_values_that_do_not_fit_into_a_record_together_stand_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let known = known(&writer);
    let intent = intend(&writer, "c1").unwrap();
    // Each fits in a record; the room for a result is 2 KiB.
    let text = |letter: &str| letter.repeat(1_000);
    let mut entry = ended("c1");
    (entry.values, entry.results) = (Mode::Plain, Mode::Plain);
    (entry.facts, entry.reason) = (Some(text("f").into()), Some(text("r")));
    entry.result = Some(text("x").into());
    end(&writer, intent.at(), entry).unwrap();
    writer.seal("drain").unwrap();
    let report = verify(dir.path(), &known).unwrap();
    assert_eq!((report.status, report.open), (Status::Intact, 0), "{report:?}");
    for letter in ["f", "r", "x"] {
        let value = serde_json::to_string(&text(letter)).unwrap();
        let name = Hash::of(&[value.as_bytes()]);
        assert_eq!(std::fs::read_to_string(dir.path().join(format!("blobs/{name}"))).unwrap(), value);
    }
    // A value that cannot be stored elsewhere is refused, and the intent stays open.
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let intent = intend(&writer, "c1").unwrap();
    let entry = Entry { outcome: Some(text("o").repeat(3).into()), ..ended("c1") };
    let refused = end(&writer, intent.at(), entry).unwrap_err();
    assert!(matches!(refused, AppendError::TooLong { .. }), "{refused}");
    end(&writer, intent.at(), ended("c1")).unwrap();
}

#[test]
fn more_intents_than_there_is_room_for_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let mut open = Vec::new();
    let refused = loop {
        match intend(&writer, "c") {
            Ok(intent) => open.push(intent),
            Err(error) => break error,
        }
        assert!(open.len() < 100);
    };
    assert!(matches!(refused, AppendError::TooManyOpen(limit) if limit == open.len()), "{refused}");
    // Each result may be as long as its room, and all fit.
    for intent in &open {
        let mut entry = ended("c");
        entry.outcome = Some("x".repeat(1_200).into());
        end(&writer, intent.at(), entry).unwrap();
    }
    let _ = intend(&writer, "c").unwrap();
}

#[test]
fn values_are_kept_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    for mode in [Mode::Commit, Mode::Drop, Mode::Plain] {
        let mut entry = call("c1");
        entry.values = mode;
        writer.append(Event::Decision, entry).unwrap();
    }
    let mut large = call("large");
    large.values = Mode::Plain;
    let text = "y".repeat(100_000);
    large.arguments = Some(text.clone().into());
    writer.append(Event::Decision, large).unwrap();
    writer.seal("drain").unwrap();
    let log = std::fs::read_to_string(dir.path().join("segments/00000001.jsonl")).unwrap();
    assert_eq!(log.matches("shadow").count(), 1, "only the plain record names the file");
    assert_eq!(log.matches("reading is allowed").count(), 2);
    assert!(log.contains("\"arguments\":\"dropped\""));
    let blob = serde_json::to_string(&text).unwrap();
    let name = Hash::of(&[blob.as_bytes()]);
    assert!(log.contains(&format!("\"arguments\":{{\"blob\":\"{name}\"}}")));
    assert_eq!(std::fs::read_to_string(dir.path().join(format!("blobs/{name}"))).unwrap(), blob);
}

#[test]
fn a_deleted_opening_is_no_tampering() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let known = known(&writer);
    deny(&writer, "c1");
    writer.seal("drain").unwrap();
    std::fs::remove_file(dir.path().join("disclosures/00000001.jsonl")).unwrap();
    let report = verify(dir.path(), &known).unwrap();
    assert_eq!((report.status, report.opened, report.unopened), (Status::Intact, 0, 3), "{report:?}");
}

#[test]
fn many_writers_share_flushes() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let writer = &writer;
            scope.spawn(move || {
                for number in 0..50 {
                    deny(writer, &format!("{thread}/{number}"));
                }
            });
        }
    });
    let known = known(&writer);
    writer.seal("drain").unwrap();
    let report = verify(dir.path(), &known).unwrap();
    assert_eq!(report.status, Status::Intact, "{report:?}");
    assert!(report.records >= 800, "{report:?}");
}

#[test]
fn a_writer_that_is_not_in_charge_any_more_acknowledges_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    deny(&writer, "c1");
    let copy = dir.path().join("copy");
    // Acts as a writer on another machine, where the lock does not hold: it takes charge and reads to the
    // end.
    let lock = dir.path().join("lock");
    std::fs::rename(&lock, copy).unwrap();
    let (second, recovered) = Writer::open(dir.path(), &options()).unwrap();
    assert_eq!(recovered.epoch, 2);
    assert!(matches!(writer.append(Event::Admin, call("c2")), Err(AppendError::Fenced)));
    assert!(matches!(writer.append(Event::Admin, call("c3")), Err(AppendError::Fenced)));
    assert!(matches!(writer.checkpoint(), Err(AppendError::Fenced)));
    let _ = second;
}

#[test]
fn without_room_calls_are_refused_and_results_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let intents: Vec<_> = (0..4).map(|_| *intend(&writer, "c").unwrap().at()).collect();
    // No segment can be made while files with these names exist.
    let names = 2..2_000;
    names.clone().for_each(|number| drop(std::fs::File::create(segment(dir.path(), number)).unwrap()));
    let refused = loop {
        if let Err(error) = writer.append(Event::Decision, call("d")) {
            break error;
        }
    };
    assert!(matches!(refused, AppendError::Io(_)), "{refused}");
    assert!(matches!(writer.health(), Health::Unhealthy { .. }));
    for intent in &intents {
        end(&writer, intent, ended("c")).unwrap();
        assert!(matches!(writer.health(), Health::Unhealthy { .. }), "a result took a room that was its own");
    }
    let refused = intend(&writer, "c");
    assert!(matches!(refused, Err(AppendError::Io(_))));
    names.for_each(|number| drop(std::fs::remove_file(segment(dir.path(), number))));
    // Nothing is appended, and it recovers by itself.
    let begun = std::time::Instant::now();
    while !matches!(writer.health(), Health::Healthy) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "the log did not recover by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    run(&writer, "c");
    let known = known(&writer);
    writer.seal("drain").unwrap();
    assert_eq!(verify(dir.path(), &known).unwrap().status, Status::Intact);
}

#[test]
fn records_stand_in_the_order_in_which_they_were_begun_and_share_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let since = writer.failures();
    let begin = |name| writer.begin(Event::Decision, call(name), since).unwrap();
    let (first, second) = (begin("c1"), begin("c2"));
    let intent = writer.begin_intent("permit", Intent::from(call("c3")), since).unwrap();
    let watch = intent.watch();
    assert!(!watch.is_durable() && !first.watch().is_durable());
    // The last waits first, and leads for all.
    let recorded = intent.wait().unwrap();
    assert!(watch.is_durable() && first.watch().is_durable() && second.watch().is_durable());
    let places = [first.wait().unwrap().seq, second.wait().unwrap().seq, recorded.at().seq];
    assert_eq!(places, [places[0], places[0] + 1, places[0] + 2]);
    let result = writer.begin_result(recorded.at(), ended("c3")).unwrap();
    assert_eq!(result.wait().unwrap().seq, places[2] + 1);
    let mut groups = Vec::new();
    fold(dir.path(), None, |record, _| {
        groups.extend(record.call.as_ref().map(|_| record.group));
        Ok::<_, std::convert::Infallible>(())
    })
    .unwrap();
    assert_eq!(groups, [places[0], places[0], places[0], places[2] + 1]);
}

#[test]
fn a_record_that_nobody_waits_for_is_written_when_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let pending = writer.begin(Event::Decision, call("c1"), writer.failures()).unwrap();
    let watch = pending.watch();
    assert!(!watch.is_durable());
    drop(pending);
    assert!(watch.is_durable());
}

/// Without its token a writer cannot tell whether it is in charge, so the group fails after it was written.
#[test]
fn what_was_decided_before_a_failure_is_not_taken_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let writer = open(dir.path());
    let before = writer.failures();
    let (first, second) = (
        writer.begin(Event::Decision, call("c1"), before),
        writer.begin(Event::Decision, call("c2"), before),
    );
    let (token, aside) = (dir.path().join("writer"), dir.path().join("aside"));
    std::fs::rename(&token, &aside).unwrap();
    assert!(matches!(first.unwrap().wait(), Err(AppendError::Io(_))));
    assert!(matches!(second.unwrap().wait(), Err(AppendError::Io(_))));
    std::fs::rename(&aside, &token).unwrap();
    let begun = std::time::Instant::now();
    while !matches!(writer.health(), Health::Healthy) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it does not recover by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(matches!(writer.begin(Event::Decision, call("c3"), before), Err(AppendError::Overtaken)));
    let after = writer.failures();
    assert_ne!(before, after);
    writer.begin(Event::Decision, call("c4"), after).unwrap().wait().unwrap();
}

/// A caller chooses its arguments: a log that holds them must be read back all the same.
#[test]
fn a_plain_value_that_is_nested_as_deeply_as_a_caller_can_is_read_back() {
    let dir = folder();
    let writer = open(dir.path());
    for depth in [1, 64, 65, 124, 125, 126, 127] {
        let text = format!("{}0{}", "[".repeat(depth), "]".repeat(depth));
        let arguments = serde_json::from_str(&text).unwrap();
        let entry = Entry { arguments: Some(arguments), values: Mode::Plain, ..call(&format!("c{depth}")) };
        writer.append(Event::Decision, entry).unwrap();
    }
    let known = known(&writer);
    drop(writer);
    assert_eq!(verify(dir.path(), &known).unwrap().damage, None);
    let mut calls = Vec::new();
    fold(dir.path(), None, |record, _| {
        calls.extend(record.call.clone());
        Ok::<_, std::convert::Infallible>(())
    })
    .unwrap();
    assert_eq!(calls, ["c1", "c64", "c65", "c124", "c125", "c126", "c127"]);
    drop(open(dir.path()));
}

/// A reader has the beginning of a segment in its buffer when a writer adds group after group, in further segments too.
#[test]
fn a_log_that_grows_while_it_is_read_is_not_damaged() {
    let dir = folder();
    let writer = open(dir.path());
    deny(&writer, "c");
    let mut read = Vec::new();
    let folded = fold(dir.path(), None, |record, _| {
        // The last one is read from what the first ones added.
        if [0, 40, 90].contains(&record.seq) {
            for _ in 0..60 {
                deny(&writer, "more");
            }
        }
        read.push(record.seq);
        Ok::<_, std::convert::Infallible>(())
    });
    assert!(folded.is_ok(), "{folded:?}");
    assert!(segment(dir.path(), 3).is_file(), "it fills segments");
    assert!(read.iter().copied().eq(0..read.len() as u64), "each record once: {read:?}");
    assert_eq!(verify(dir.path(), &known(&writer)).unwrap().records, read.len() as u64);
}
