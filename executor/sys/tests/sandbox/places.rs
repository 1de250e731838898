//! Places: the groups of a sandbox other than its memory's, which are used again on cgroup v1 where nothing of
//! the last sandbox is left in them. In each attack, what the first sandbox of a launcher did is told of the
//! second one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_sys::drain::CallLimits;
use bailiwick_sys::outcome::Outcome;
use bailiwick_sys::profile::{CgroupLimits, Layer, Profile};
use bailiwick_sys::{CgroupRoot, CgroupVersion, Host, Ids, Launcher};

use crate::ground::{
    Done, ample, build, launcher_program, profile, root_name, root_or_skipped, run_in, run_within, shell,
};

/// A host with cgroups of version 1, and the directories of its root.
struct Ground {
    host: Host,
    roots: Vec<PathBuf>,
}

impl Ground {
    /// `None` where no place is ever used again, which was said.
    fn find() -> Option<Self> {
        if !root_or_skipped("an ordinary user has no groups") {
            return None;
        }
        let root = CgroupRoot::open(&root_name()).expect("root has a cgroup");
        if root.version() == CgroupVersion::V2 {
            eprintln!("SKIPPED: on cgroup v2 a sandbox has one group, with its memory in it");
            return None;
        }
        let roots = root.directories();
        Some(Self { host: Host::new(launcher_program(), Ids::of_this_process(), Some(root)), roots })
    }

    /// The groups that there are, by name, in any hierarchy.
    fn groups(&self, prefix: &str) -> BTreeSet<String> {
        let entries = self.roots.iter().flat_map(|root| std::fs::read_dir(root).expect("the root").flatten());
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// What becomes of two sandboxes, one after the other.
    fn one_after_the_other(&self, profile: &Profile, [first, second]: [&str; 2]) -> [Done; 2] {
        let launcher = Launcher::spawn(&self.host, profile).unwrap();
        let first = run_in(build(&self.host, &launcher), &shell(first));
        [first, run_in(build(&self.host, &launcher), &shell(second))]
    }
}

#[test]
fn a_place_is_used_again_but_never_by_two_and_memory_never() {
    let Some(ground) = Ground::find() else { return };
    let launcher = Launcher::spawn(&ground.host, &profile()).unwrap();
    for _ in 0..3 {
        // The second is there until the first has ended.
        let (one, other) = (build(&ground.host, &launcher), build(&ground.host, &launcher));
        assert_eq!(ground.groups("sandbox-").len(), 2);
        run_in(one, &shell(":")).ok();
        run_in(other, &shell(":")).ok();
        assert_eq!(ground.groups("sandbox-").len(), 0);
        assert_eq!(ground.groups("place-").len(), 2);
    }
    // Other limits, other places.
    let mut wider = profile();
    wider.cgroup.processes = Some(100);
    ground.one_after_the_other(&wider, [":", ":"]);
    assert_eq!(ground.groups("place-").len(), 3);
    let Ground { host, roots } = ground;
    drop((launcher, host));
    assert!(roots.iter().all(|root| !root.exists()), "{roots:?}");
}

#[test]
fn a_place_that_somebody_removed_is_made_again() {
    let Some(ground) = Ground::find() else { return };
    let launcher = Launcher::spawn(&ground.host, &profile()).unwrap();
    run_in(build(&ground.host, &launcher), &shell(":")).ok();
    let [place] = ground.groups("place-").into_iter().collect::<Vec<_>>().try_into().expect("one");
    let removed = ground.roots.iter().filter(|root| std::fs::remove_dir(root.join(&place)).is_ok()).count();
    assert!(removed > 0);
    run_in(build(&ground.host, &launcher), &shell(":")).ok();
    assert!(!ground.groups("place-").contains(&place));
}

#[test]
fn time_is_counted_for_each_sandbox() {
    let Some(ground) = Ground::find() else { return };
    let spin = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let [first, second] = ground.one_after_the_other(&profile(), [spin, ":"]);
    assert_eq!(ground.groups("place-").len(), 1, "both had the same place");
    let [first, second] = [first, second].map(|done| done.exit.usage.cpu);
    assert!(first > Duration::from_millis(50) && second < first / 2, "{first:?} {second:?}");
}

#[test]
fn refused_forks_are_not_told_of_the_next_sandbox() {
    let Some(ground) = Ground::find() else { return };
    let mut small = profile();
    small.cgroup.processes = Some(12);
    let forks = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 20 & done; exit 7";
    let outcomes =
        |small: &Profile| ground.one_after_the_other(small, [forks, "exit 7"]).map(|done| done.exit.outcome);
    assert_eq!(outcomes(&small), [Outcome::ProcessesExceeded, Outcome::Exited { code: 7 }]);
    small.without.insert(Layer::PlaceAsNew);
    assert_eq!(outcomes(&small), [Outcome::ProcessesExceeded, Outcome::ProcessesExceeded], "it is an attack");
}

#[test]
fn a_place_in_which_everything_was_killed_is_not_used_again() {
    let Some(ground) = Ground::find() else { return };
    let launcher = Launcher::spawn(&ground.host, &profile()).unwrap();
    for _ in 0..2 {
        let limits = CallLimits { wall: Duration::from_millis(100), ..ample() };
        let done = run_within(build(&ground.host, &launcher), &shell("sleep 600 & sleep 600"), &limits);
        assert_eq!(done.exit.outcome, Outcome::TimedOut);
        assert_eq!(ground.groups("place-").len(), 0);
        run_in(build(&ground.host, &launcher), &shell(":")).ok();
        assert_eq!(ground.groups("place-").len(), 1);
    }
}

#[test]
fn a_place_whose_quota_was_used_up_is_not_used_again() {
    let Some(ground) = Ground::find() else { return };
    let mut slow = profile();
    slow.cgroup = CgroupLimits { cpu_milli: Some(20), ..slow.cgroup };
    let spin = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
    ground.one_after_the_other(&slow, [spin, spin]);
    assert_eq!(ground.groups("place-").len(), 0);
    slow.without.insert(Layer::PlaceAsNew);
    ground.one_after_the_other(&slow, [spin, spin]);
    assert_eq!(ground.groups("place-").len(), 1, "it is an attack");
}
