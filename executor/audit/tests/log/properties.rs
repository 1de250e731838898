//! Properties that hold for every history of a log, whatever its order.

use bailiwick_audit::{Appended, Options, Prepare, Status, Writer, fold};
use proptest::prelude::*;

use crate::stage::{deny, end, ended, folder, intend, known, lived, named, options, segment, verify};

/// Something that happens to a log.
#[derive(Clone, Copy, Debug)]
enum Step {
    Deny,
    Begin,
    End,
    EndLater,
    Checkpoint,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Deny),
        3 => Just(Step::Begin),
        2 => Just(Step::End),
        2 => Just(Step::EndLater),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..60)
}

fn reopen(dir: &std::path::Path, prepare: Prepare) -> Writer {
    Writer::open(dir, &Options { prepare, ..options() }).unwrap().0
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_verifies_and_folds_to_what_was_told(
        steps in steps(),
        ahead in any::<bool>(),
        at in any::<proptest::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let prepare = if ahead { Prepare::Ahead } else { Prepare::OnDemand };
        let dir = folder();
        let mut writer = reopen(dir.path(), prepare);
        let mut pinned = known(&writer);
        let (mut open, mut told): (Vec<Appended>, Vec<Appended>) = Default::default();
        // Nobody waits for them before others are appended.
        let mut queued = Vec::new();
        for step in steps {
            match step {
                Step::Deny => told.push(deny(&writer, "d")),
                Step::Begin if open.len() < 5 => {
                    let recorded = intend(&writer, "c").unwrap();
                    told.push(*recorded.at());
                    open.push(*recorded.at());
                }
                Step::End => {
                    if let Some(intent) = open.pop() {
                        told.push(end(&writer, &intent, ended("c")).unwrap());
                    }
                }
                Step::EndLater => {
                    if let Some(intent) = open.pop() {
                        queued.push(writer.begin_result(&intent, ended("c")).unwrap());
                    }
                }
                Step::Begin => {}
                Step::Checkpoint => pinned.checkpoints.push(writer.checkpoint().unwrap().to_string()),
                Step::Reopen => {
                    drop(writer);
                    writer = reopen(dir.path(), prepare);
                    open.clear();
                }
            }
        }
        for intent in open {
            queued.push(writer.begin_result(&intent, ended("c")).unwrap());
        }
        // A queued result is still an open intent.
        deny(&writer, "last");
        pinned.checkpoints.push(writer.seal("drain").unwrap().to_string());
        drop((writer, queued));
        let report = verify(dir.path(), &pinned);
        prop_assert_eq!(report.status, Status::Intact, "{:?}", report);
        let mut chains = Vec::new();
        fold(dir.path(), None, |_, behind| {
            chains.push(behind.chain);
            Ok::<_, std::convert::Infallible>(())
        }).unwrap();
        for appended in &told {
            prop_assert_eq!(chains[usize::try_from(appended.seq).unwrap()], appended.next.chain);
        }
        // And one bit of it.
        let path = segment(dir.path(), 1);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        std::fs::write(&path, bytes).unwrap();
        let report = verify(dir.path(), &pinned);
        prop_assert_eq!(report.status, Status::Tampered, "bit {} of byte {}: {:?}", bit, at, named(&report));
    }

    /// Splices and overwrites of a good log: whatever they are, the verifier answers.
    #[test]
    fn no_bytes_make_the_verifier_panic(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0..200_usize, ".{0,40}"), 1..5),
    ) {
        static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let good = GOOD.get_or_init(|| std::fs::read(segment(lived().dir.path(), 2)).unwrap());
        let mut bytes = good.clone();
        for (at, length, text) in edits {
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, text.bytes());
            bailiwick_audit::fuzz(&bytes);
        }
    }
}
