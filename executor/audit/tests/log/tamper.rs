//! Every kind of tampering with the files of a log, each of which is found and named.

use std::path::Path;

use bailiwick_audit::{Entry, Event, Hash, Known, Mode, OpenError, Status, Writer};

use crate::stage::{
    Lived, all_lines, deny, folder, forge, known, lines, lived, named, open, options, run, segment, verify,
    write_lines,
};

/// The record that a byte of a segment belongs to: the number of line feeds before it.
fn record_of(bytes: &[u8], at: usize) -> u64 {
    bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The segments of a log with a history: number, bytes, and how many records come before it.
fn segments(dir: &Path) -> [(u32, Vec<u8>, u64); 2] {
    let first = std::fs::read(segment(dir, 1)).unwrap();
    let before = record_of(&first, first.len());
    [(1, first, 0), (2, std::fs::read(segment(dir, 2)).unwrap(), before)]
}

#[test]
fn every_flipped_byte_is_found_and_its_record_named() {
    let Lived { dir, known, pinned } = lived();
    assert_eq!(verify(dir.path(), &known).status, Status::Intact);
    let records = all_lines(dir.path()).len() as u64;
    for (number, good, before) in segments(dir.path()) {
        let path = segment(dir.path(), number);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let report = verify(dir.path(), &known);
            let record = before + record_of(&good, at);
            match report.status {
                Status::Tampered => assert_eq!(named(&report), Some(("line", record)), "byte {at}"),
                // In the last group, nothing in the folder distinguishes a changed byte from one that was
                // never written; a checkpoint held elsewhere does.
                Status::Incomplete => {
                    assert_eq!((report.records, report.tails.len()), (record, 1), "byte {at}");
                    assert_eq!(record, records - 1, "byte {at}: {report:?}");
                    assert_eq!(
                        named(&verify(dir.path(), &pinned)),
                        Some(("rolled-back", record)),
                        "byte {at}"
                    );
                }
                Status::Intact => panic!("byte {at} flipped is not noticed"),
            }
        }
        std::fs::write(&path, good).unwrap();
    }
}

#[test]
fn every_cut_is_found() {
    let Lived { dir, known, pinned } = lived();
    for (number, good, before) in segments(dir.path()) {
        let path = segment(dir.path(), number);
        for at in 0..good.len() {
            std::fs::write(&path, &good[..at]).unwrap();
            let report = verify(dir.path(), &known);
            let records = before + record_of(&good, at);
            if number == 1 {
                // The next segment says where this one ended.
                assert_eq!(named(&report), Some(("line", records)), "cut at {at}");
                continue;
            }
            let is_between = at == 0 || good[at - 1] == b'\n';
            // Missing bytes behind a group leave a tail that a crash could have left; nothing shows that more
            // is missing.
            assert_eq!(report.status, Status::Incomplete, "cut at {at}: {report:?}");
            assert_eq!((report.records, report.tails.is_empty()), (records, is_between), "cut at {at}");
            assert_eq!(named(&verify(dir.path(), &pinned)), Some(("rolled-back", records)), "cut at {at}");
        }
        std::fs::write(&path, good).unwrap();
    }
}

#[test]
fn bytes_behind_the_end_are_found() {
    let Lived { dir, known, .. } = lived();
    let path = segment(dir.path(), 2);
    let good = std::fs::read(&path).unwrap();
    let mut longer = good.clone();
    longer.extend_from_slice(&[0; 100]);
    std::fs::write(&path, &longer).unwrap();
    assert_eq!(verify(dir.path(), &known).status, Status::Intact, "zeros are room that was made ahead");
    for at in good.len()..longer.len() {
        let mut bad = longer.clone();
        bad[at] = b'x';
        std::fs::write(&path, &bad).unwrap();
        let report = verify(dir.path(), &known);
        assert_eq!((report.status, report.tails.len()), (Status::Incomplete, 1), "{report:?}");
    }
    let mut long = good.clone();
    long.extend(std::iter::repeat_n(b'x', 2 * 1024 * 1024));
    std::fs::write(&path, &long).unwrap();
    assert_eq!(named(&verify(dir.path(), &known)).map(|(name, _)| name), Some("line"));
}

/// The damage that an attack leaves, with and without the links made consistent again.
fn attack(known: &Known, dir: &Path, lines: &[String], what: &str) -> Vec<(&'static str, u64)> {
    let mut found = Vec::new();
    for lines in [lines.to_vec(), forge(lines)] {
        write_lines(dir, &lines);
        let report = verify(dir, known);
        assert_eq!(report.status, Status::Tampered, "{what}: {report:?}");
        found.extend(named(&report));
    }
    found
}

#[test]
fn every_record_deleted_doubled_or_edited_is_found() {
    let Lived { dir, pinned, .. } = lived();
    let good = all_lines(dir.path());
    for at in 0..good.len() {
        let mut deleted = good.clone();
        deleted.remove(at);
        let found = attack(&pinned, dir.path(), &deleted, &format!("record {at} deleted"));
        let missing = at as u64;
        // The place where it is missing or, behind the last record, the missing end.
        let plain = ["genesis", "sequence", "rolled-back", "line"];
        assert!(plain.contains(&found[0].0) && found[0].1 == missing, "{at}: {found:?}");

        // A repeated beginning of a segment is a segment that died, and a repeated end is a group that was
        // not finished: neither is on the course.
        let is_border = good.iter().skip(at).take(2).any(|line| line.contains("\"continues\":"));
        if !is_border {
            let mut doubled = good.clone();
            doubled.insert(at, good[at].clone());
            let found = attack(&pinned, dir.path(), &doubled, &format!("record {at} doubled"));
            assert_eq!(found[0].1, missing + 1, "{at}: {found:?}");
        }

        let mut edited = good.clone();
        edited[at] = edited[at].replacen("\"kind\":", "\"kind\": ", 1);
        let found = attack(&pinned, dir.path(), &edited, &format!("record {at} edited"));
        // The last line could be a tail; the known checkpoint shows that it is not.
        let name = if at + 1 < good.len() { "line" } else { "rolled-back" };
        assert_eq!(found[0], (name, missing), "{at}: {found:?}");
        assert!(found[1].1 >= missing, "{at}: {found:?}");
    }
}

#[test]
fn any_two_records_swapped_are_found_where_the_first_of_them_should_stand() {
    let Lived { dir, pinned, .. } = lived();
    let good = all_lines(dir.path());
    for at in 0..good.len() {
        for other in at + 1..good.len() {
            let mut swapped = good.clone();
            swapped.swap(at, other);
            let found = attack(&pinned, dir.path(), &swapped, &format!("records {at} and {other} swapped"));
            // A record that begins a segment is also named as such: by its own number, or by what is missing
            // behind it.
            if [at, other].iter().any(|moved| good[*moved].contains("\"continues\":")) {
                assert!((at as u64..=other as u64 + 1).contains(&found[0].1), "{at} and {other}: {found:?}");
                continue;
            }
            assert_eq!(found[0].1, at as u64, "{at} and {other}: {found:?}");
            assert!(found[1].1 >= at as u64, "{at} and {other}: {found:?}");
        }
    }
}

#[test]
fn a_record_put_in_is_found_at_every_place() {
    let Lived { dir, pinned, .. } = lived();
    let other = lived();
    let (good, strange) = (all_lines(dir.path()), all_lines(other.dir.path()));
    let denial = strange.iter().find(|line| line.contains("\"kind\":\"decision\"")).unwrap();
    for at in 0..=good.len() {
        let mut longer = good.clone();
        longer.insert(at, denial.clone());
        let found = attack(&pinned, dir.path(), &longer, &format!("a record put in at {at}"));
        assert_eq!(found[0].1, at as u64, "{found:?}");
        assert!(found[1].1 >= at as u64, "{at}: {found:?}");
    }
}

#[test]
fn two_logs_spliced_are_found_at_every_place() {
    let Lived { dir, pinned, .. } = lived();
    let other = lived();
    let (good, strange) = (all_lines(dir.path()), all_lines(other.dir.path()));
    for at in 0..good.len() {
        let spliced = [&good[..at], &strange[at..]].concat();
        let found = attack(&pinned, dir.path(), &spliced, &format!("spliced at {at}"));
        assert_eq!(found[0].1, at as u64, "{found:?}");
        assert!(found[1].1 >= at as u64, "{at}: {found:?}");
    }
    // The other log is good as a whole, but it is not this one.
    write_lines(dir.path(), &strange);
    assert_eq!(named(&verify(dir.path(), &pinned)), Some(("other-log", 0)));
    std::fs::remove_dir_all(dir.path().join("disclosures")).unwrap();
    assert_eq!(verify(dir.path(), &other.known).status, Status::Intact);
}

#[test]
fn an_edit_behind_the_last_checkpoint_is_found_with_one_that_is_held_elsewhere() {
    let dir = folder();
    let writer = open(dir.path());
    deny(&writer, "c1");
    let mut pinned = known(&writer);
    pinned.checkpoints.push(writer.checkpoint().unwrap().to_string());
    deny(&writer, "c2");
    drop(writer);
    let good = lines(dir.path(), 1);
    let mut edited = good.clone();
    edited[2] = edited[2].replace("\"effect\":\"deny\"", "\"effect\":\"allow\"");
    write_lines(dir.path(), &forge(&edited));
    // Nothing in the folder shows it, and so a log without the seal is never called intact.
    assert_eq!(verify(dir.path(), &known_of(&pinned)).status, Status::Incomplete);
    assert_eq!(named(&verify(dir.path(), &pinned)), Some(("forked", 2)));
    write_lines(dir.path(), &good[..2]);
    assert_eq!(named(&verify(dir.path(), &pinned)), Some(("rolled-back", 2)));
}

fn known_of(pinned: &Known) -> Known {
    Known { checkpoints: Vec::new(), ..pinned.clone() }
}

#[test]
fn a_log_rolled_back_to_before_it_was_opened_cannot_be_written_on() {
    let dir = folder();
    let writer = open(dir.path());
    deny(&writer, "c1");
    drop(writer);
    let before = std::fs::read(segment(dir.path(), 1)).unwrap();
    drop(open(dir.path()));
    std::fs::write(segment(dir.path(), 1), before).unwrap();
    std::fs::remove_file(segment(dir.path(), 2)).unwrap();
    // The key that signed then is deleted.
    let refused = Writer::open(dir.path(), &options());
    assert!(matches!(refused, Err(OpenError::KeyLost { epoch: 1 })), "{refused:?}");
}

#[test]
fn a_key_that_nobody_handed_over_to_is_found() {
    let Lived { dir, pinned, .. } = lived();
    let other = lived();
    let (mut good, strange) = (all_lines(dir.path()), all_lines(other.dir.path()));
    let key = |lines: &[String]| lines.iter().position(|line| line.contains("\"kind\":\"key\"")).unwrap();
    let at = key(&good);
    good[at] = strange[key(&strange)].clone();
    let found = attack(&pinned, dir.path(), &good, "a strange key");
    assert_eq!(found[1], ("key", at as u64));
}

#[test]
fn damaged_segments_are_named() {
    let dir = folder();
    let writer = open(dir.path());
    let known = known(&writer);
    for number in 0..150 {
        deny(&writer, &format!("c{number}"));
    }
    writer.seal("drain").unwrap();
    assert_eq!(verify(dir.path(), &known).status, Status::Intact);
    let first_of_second: u64 = lines(dir.path(), 1).len() as u64;
    let (one, two, three) = (segment(dir.path(), 1), segment(dir.path(), 2), segment(dir.path(), 3));
    let (first, second) = (std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    let third = std::fs::read(&three).unwrap();
    let outcome = || named(&verify(dir.path(), &known));

    std::fs::remove_file(&two).unwrap();
    assert_eq!(outcome().map(|(name, _)| name), Some("segment-missing"));
    std::fs::write(&two, &third).unwrap();
    assert!(outcome().is_some());
    std::fs::write(&two, &second[..second.len() - 1]).unwrap();
    assert_eq!(outcome().map(|(name, _)| name), Some("line"));
    std::fs::write(&two, [&second[..], b"x"].concat()).unwrap();
    assert_eq!(outcome(), None, "one byte that no group was finished with");
    std::fs::write(&two, [&second[..], &second[..]].concat()).unwrap();
    assert_eq!(outcome(), None, "an old group behind the end is of no course");
    let last = std::str::from_utf8(&third).unwrap().lines().last().unwrap();
    std::fs::write(&two, [&second[..], last.as_bytes(), b"\n"].concat()).unwrap();
    assert_eq!(outcome().map(|(name, _)| name), Some("acknowledged"));
    std::fs::write(&two, &second).unwrap();

    // A segment whose first record is damaged is not a tail if it contains a later group.
    let mut torn = third.clone();
    torn[10] ^= 1;
    std::fs::write(&three, torn).unwrap();
    assert_eq!(outcome().map(|(name, _)| name), Some("line"));
    std::fs::write(&three, &third).unwrap();

    std::fs::write(&one, &first[..first.len() - 10]).unwrap();
    assert_eq!(outcome(), Some(("line", first_of_second - 1)));
    std::fs::remove_file(&one).unwrap();
    assert!(outcome().is_some());
    std::fs::write(&one, &first).unwrap();
    assert_eq!(verify(dir.path(), &known).status, Status::Intact);
}

#[test]
fn an_opening_that_was_changed_is_found() {
    let Lived { dir, known, .. } = lived();
    let path = dir.path().join("disclosures/00000001.jsonl");
    let good = std::fs::read(&path).unwrap();
    let unopened = verify(dir.path(), &known).unopened;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let report = verify(dir.path(), &known);
        let is_named = named(&report).is_some_and(|(name, _)| name == "opening");
        assert!(is_named || report.unopened > unopened, "byte {at}: {report:?}");
    }
    let text = String::from_utf8(good).unwrap();
    std::fs::write(&path, text.replacen("/etc/shadow", "/etc/hostname", 1)).unwrap();
    assert_eq!(named(&verify(dir.path(), &known)).map(|(name, _)| name), Some("opening"));
}

#[test]
fn a_large_value_that_was_changed_or_deleted_is_found() {
    let Lived { dir, known, .. } = lived();
    let record = all_lines(dir.path()).iter().position(|line| line.contains("{\"blob\":")).unwrap() as u64;
    let path = std::fs::read_dir(dir.path().join("blobs")).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&path).unwrap();
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, bad).unwrap();
        assert_eq!(named(&verify(dir.path(), &known)), Some(("blob", record)), "byte {at}");
    }
    std::fs::write(&path, [&good[..], b"x"].concat()).unwrap();
    assert_eq!(named(&verify(dir.path(), &known)), Some(("blob", record)));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(named(&verify(dir.path(), &known)), Some(("blob", record)));
    std::fs::write(&path, good).unwrap();
    assert_eq!(verify(dir.path(), &known).status, Status::Intact);
}

#[test]
fn a_file_that_lies_where_a_large_value_belongs_is_not_believed() {
    let dir = folder();
    let writer = open(dir.path());
    let known = known(&writer);
    let text = serde_json::to_vec(&"y".repeat(5_000)).unwrap();
    let path = dir.path().join("blobs").join(Hash::of(&[&text]).to_string());
    std::fs::write(&path, "forged beforehand").unwrap();
    let large = Entry { values: Mode::Plain, arguments: Some("y".repeat(5_000).into()), ..Entry::default() };
    writer.append(Event::Decision, large).unwrap();
    writer.seal("drain").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), text);
    assert_eq!(verify(dir.path(), &known).status, Status::Intact);
}

#[test]
fn recovery_never_cuts_what_was_acknowledged() {
    let dir = folder();
    let writer = open(dir.path());
    for name in ["c1", "c2", "c3"] {
        deny(&writer, name);
    }
    run(&writer, "c4");
    drop(writer);
    let path = segment(dir.path(), 1);
    let good = std::fs::read(&path).unwrap();
    let lines = lines(dir.path(), 1);
    let keys = std::fs::read(dir.path().join("keys/current")).unwrap();
    let mut offset = 0;
    for (number, line) in lines.iter().enumerate() {
        let mut bad = good.clone();
        bad[offset + line.len() / 2] ^= 1;
        offset += line.len() + 1;
        std::fs::write(&path, &bad).unwrap();
        let opened = Writer::open(dir.path(), &options());
        let is_last = number + 1 == lines.len();
        assert_eq!(opened.is_ok(), is_last, "record {number}: {opened:?}");
        if let Ok((writer, recovered)) = opened {
            assert_eq!(recovered.cuts.len(), 1);
            let kept = std::fs::read_dir(dir.path().join("recovered")).unwrap().next().unwrap().unwrap();
            assert_eq!(std::fs::read(kept.path()).unwrap(), bad[offset - line.len() - 1..offset]);
            let report = verify(dir.path(), &known(&writer));
            assert_eq!((report.damage.is_none(), report.tails.len()), (true, 0), "{report:?}");
        } else {
            std::fs::write(dir.path().join("keys/current"), &keys).unwrap();
        }
    }
}
