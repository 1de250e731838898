//! The same tests for an ordinary user: one id, no cgroup, everything else as for root.

use std::path::PathBuf;

use bailiwick_sys::probe::{Missing, Report, Tier, probe};
use bailiwick_sys::{CgroupRoot, Host, Ids};

use crate::ground::ordinary::run as again;
use crate::ground::{is_root, launcher_program, root_name, root_or_skipped};

/// The report with this launcher program.
fn with(launcher: PathBuf) -> Report {
    let cgroups = CgroupRoot::open(&root_name());
    let refused = cgroups.as_ref().err().map(ToString::to_string);
    let (root, error) = match cgroups {
        Ok(root) => (Some(root), None),
        Err(error) => (None, Some(error)),
    };
    let report = probe(&Host::new(launcher, Ids::of_this_process(), root), error.as_ref());
    assert_eq!(report.refusal(Missing::Cgroup).map(|refusal| refusal.why.clone()), refused);
    report
}

/// Starts this test binary once more as an ordinary user, with the tests of these modules.
#[test]
fn an_ordinary_user_has_sandboxes_too() {
    if !root_or_skipped("an ordinary user runs these tests itself") {
        return;
    }
    let output = again(&["isolation::", "ending::", "workspace::", "pool::", "ordinary::", "owner::"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let passed = text.lines().filter(|line| line.starts_with("test ") && line.ends_with(" ok")).count();
    assert!(passed >= 25, "{text}");
}

#[test]
fn probe_says_what_there_is() {
    let report = with(launcher_program());
    assert!(report.sandbox && report.own_proc && report.openat2 && report.mount_setattr && report.filters);
    if is_root() {
        assert!(matches!(report.tier, Tier::Root) && report.cgroup.is_some() && report.own_ids, "{report:?}");
    } else {
        assert_eq!((report.tier, report.cgroup, report.own_ids), (Tier::Limited, None, false));
        let cgroup = report.refusal(Missing::Cgroup).unwrap();
        assert!(cgroup.remedy.contains("Delegate=yes"));
    }
    for refusal in &report.refusals {
        assert!(!refusal.why.is_empty() && !refusal.remedy.is_empty(), "{refusal:?}");
    }
}

#[test]
fn a_missing_launcher_is_explained() {
    let report = with("/no/such/launcher".into());
    assert!(!report.sandbox && report.tier == Tier::None);
    let why = &report.refusal(Missing::Sandboxes).unwrap().why;
    assert!(why.contains("process-start") && why.contains("/no/such/launcher"), "{why}");
}
