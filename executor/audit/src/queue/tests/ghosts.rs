//! A segment in which a group failed may come back after a crash: its removal need not have reached the disk. It
//! then displaces nothing that was acknowledged.

use std::path::PathBuf;

use super::*;
use crate::commit::Active;
use crate::record::line_bound;

/// What a crash brings back of a segment in which a group failed.
struct Ghost {
    segment: PathBuf,
    aside: PathBuf,
}

impl Ghost {
    /// Has a group fail in the segment `number`, because the active one has no room for it, and keeps what was
    /// written there. `before`: what happens before the group is written.
    fn of(stage: &Stage, number: u32, before: impl FnOnce(&Self)) -> Self {
        let ghost = Self { segment: stage.dir.segment(number), aside: stage.folder.path().join("aside") };
        while has_room(stage, &sized(15_000)) {
            stage.queue.append(sized(1_000)).unwrap();
        }
        let spare = Segment::create(&stage.dir, number, options().segment_bytes).unwrap();
        stage.queue.with_log(|log| log.take_spare(spare)).unwrap();
        std::fs::hard_link(&ghost.segment, &ghost.aside).unwrap();
        before(&ghost);
        // Without its token a writer cannot tell whether it is in charge, so the group fails after it was written.
        let token = std::fs::read(stage.token()).unwrap();
        std::fs::remove_file(stage.token()).unwrap();
        assert!(matches!(stage.queue.append(sized(15_000)), Err(AppendError::Io(_))));
        assert!(std::fs::read(&ghost.aside).unwrap().starts_with(b"{\"seq\":"), "it holds the group");
        std::fs::write(stage.token(), token).unwrap();
        stage.probe();
        ghost
    }

    fn comes_back(&self) {
        std::fs::rename(&self.aside, &self.segment).unwrap();
    }
}

/// Whether the active segment has room for a record.
fn has_room(stage: &Stage, draft: &Draft) -> bool {
    let left = stage.queue.with_log(|log| match &log.active {
        Active::Live(segment) => segment.room().saturating_sub(log.limits.control_room),
        Active::Dead { .. } => 0,
    });
    left.unwrap() > line_bound(draft.body.len()) as u64
}

/// A record of somewhat more than this many bytes.
fn sized(bytes: usize) -> Draft {
    let entry = Entry { effect: Some("x".repeat(bytes)), ..Entry::default() };
    let (record, _) = entry.into_record(Kind::Decision).unwrap();
    Draft::of(&record).unwrap()
}

/// Whether this record, which was acknowledged, is read after a crash.
fn is_read(stage: Stage, at: &Appended) -> bool {
    let Stage { folder, queue, _lock, .. } = stage;
    drop((queue, _lock));
    let mut chain = None;
    let folded = crate::fold(folder.path(), None, |record, behind| {
        if record.seq == at.seq {
            chain = Some(behind.chain);
        }
        Ok::<_, std::convert::Infallible>(())
    });
    folded.is_ok() && chain == Some(at.next.chain) && open(folder.path(), &options()).is_ok()
}

/// Otherwise the one that failed is the newest of the log when it comes back.
#[test]
fn a_segment_that_was_made_before_one_that_failed_is_not_used() {
    let stage = stage();
    let [slow, failed] = [(); 2].map(|()| stage.queue.with_log(|log| log.numbers.next()).unwrap());
    let ghost = Ghost::of(&stage, failed, |_| ());
    // Only now the attendant is done with the segment whose number it took first.
    let spare = Segment::create(&stage.dir, slow, options().segment_bytes).unwrap();
    stage.queue.backlog().spare = Some(spare);
    let acknowledged = [(); 2].map(|()| stage.queue.append(sized(15_000)).unwrap());
    ghost.comes_back();
    assert!(is_read(stage, &acknowledged[1]));
}

/// Otherwise it comes back in the place of the records that follow in the segment before it.
#[test]
fn behind_a_segment_that_failed_and_cannot_be_removed_the_log_goes_on_in_a_later_one() {
    let stage = stage();
    let failed = stage.queue.with_log(|log| log.numbers.next()).unwrap();
    let ghost = Ghost::of(&stage, failed, |ghost| {
        std::fs::remove_file(&ghost.segment).unwrap();
        std::fs::create_dir(&ghost.segment).unwrap();
    });
    assert!(stage.is_healthy());
    let acknowledged = stage.queue.append(draft(Kind::Decision, None)).unwrap();
    std::fs::remove_dir(&ghost.segment).unwrap();
    ghost.comes_back();
    assert!(is_read(stage, &acknowledged));
}
