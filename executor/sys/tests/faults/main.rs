//! Makes every step of a set-up fail, one after the other: the target never runs, the error names the step,
//! and nothing is left. This is a binary of its own, because the step that fails is set for the whole
//! process.

#[path = "../ground/mod.rs"]
mod ground;

use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_sys::drain::complete;
use bailiwick_sys::keeper::{Keeper, Workspace, WorkspaceError};
use bailiwick_sys::outcome::Outcome;
use bailiwick_sys::profile::Profile;
use bailiwick_sys::step::injection::fail_at;
use bailiwick_sys::step::{Fault, Step};
use bailiwick_sys::{Build, CgroupRoot, Host, Identity, Ids, Launcher, Request, SandboxError};

use ground::{
    ample, descendants, descendants_in_the_end, is_root, launcher_program, profile, root_name, run_in, shell,
};

/// The target leaves its mark in the workspace if it runs.
const TARGET: &str = "echo ran > mark";

fn target() -> Request {
    Request { working_directory: Some("/work".into()), ..shell(TARGET) }
}

/// A session that is set up without failures; the failing set-ups run alongside it, with its workspace.
struct Witness {
    host: Host,
    groups: Vec<PathBuf>,
    launcher: Launcher,
    keeper: Arc<Keeper>,
    workspace: Workspace,
    identity: Arc<Identity>,
    profile: Profile,
}

impl Witness {
    fn new() -> Self {
        let root = is_root().then(|| CgroupRoot::open(&root_name()).unwrap());
        let groups = root.as_ref().map(CgroupRoot::directories).unwrap_or_default();
        let host = Host::new(launcher_program(), Ids::of_this_process(), root);
        let profile = Profile { workspace: Some("/work".into()), ..profile() };
        let launcher = Launcher::spawn(&host, &profile).unwrap();
        let keeper = Keeper::spawn(&host).unwrap();
        let identity = host.identity().unwrap();
        let workspace = keeper.create(&identity, 1 << 20, 16).unwrap();
        Self { host, groups, launcher, keeper, workspace, identity, profile }
    }

    fn build(&self) -> Build<'_> {
        Build { identity: Arc::clone(&self.identity), workspace: Some(&self.workspace) }
    }

    /// Whether the target has run; removes its mark.
    fn mark(&self) -> bool {
        let parked = self.launcher.build(&self.build()).unwrap();
        let done = run_in(parked, &shell("test ! -e /work/mark || { rm /work/mark; echo ran; }"));
        !done.ok().is_empty()
    }

    /// Sets a sandbox up with everything new, and runs the target. Returns every failure that was reported,
    /// and whether the target ran.
    fn try_target(&self) -> (Vec<Fault>, bool) {
        let mut faults = Vec::new();
        let mut own = None;
        match Keeper::spawn(&self.host) {
            // Without a new keeper the witness's workspace is used, so that the launcher gets its turn at the
            // same step.
            Err(fault) => faults.push(fault),
            Ok(keeper) => match keeper.create(&self.identity, 1 << 20, 16) {
                Ok(workspace) => own = Some(workspace),
                Err(WorkspaceError::Refused(fault)) => return (vec![fault], false),
                Err(error) => panic!("{error}"),
            },
        }
        let workspace = Some(own.as_ref().unwrap_or(&self.workspace));
        let build = Build { identity: Arc::clone(&self.identity), workspace };
        let built = Launcher::spawn(&self.host, &self.profile).and_then(|launcher| launcher.build(&build));
        let mut ran = false;
        match built.and_then(|parked| parked.run(&target())) {
            Err(SandboxError::Setup(fault) | SandboxError::Workspace(WorkspaceError::Refused(fault))) => {
                faults.push(fault);
            }
            Err(other) => panic!("{other}"),
            Ok(running) => {
                let completed = complete(running, b"", &ample());
                match completed.exit.outcome {
                    Outcome::SetupFailed { fault } => faults.push(fault),
                    _ => ran = true,
                }
                completed.remains.clear().unwrap();
            }
        }
        (faults, ran)
    }

    /// Groups of sandboxes that exist. Places that are kept for the next sandbox are not among them.
    fn groups(&self) -> usize {
        let entries = self.groups.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("sandbox-")).count()
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_failure_at_any_step_runs_nothing_and_leaves_nothing() {
    let witness = Witness::new();
    assert_eq!(witness.try_target(), (Vec::new(), true), "nothing is set to fail");
    run_in(witness.launcher.build(&witness.build()).unwrap(), &target()).ok();
    assert!(witness.mark(), "the target leaves its mark when it runs");
    assert!(!witness.mark());
    let own = std::process::id();
    let (before, open) = (descendants(own), descriptors());
    let cgroup_only = [Step::CgroupCreate, Step::CgroupLimits, Step::CgroupPlaces];
    let mut tried = 0;
    for step in Step::ALL.iter().copied().filter(|step| is_root() || !cgroup_only.contains(step)) {
        fail_at(Some(step));
        let (faults, ran) = witness.try_target();
        fail_at(None);
        assert!(!ran, "the target ran although `{step}` failed");
        assert!(!faults.is_empty(), "`{step}` is never taken");
        for fault in &faults {
            assert_eq!(fault.step, step, "{fault}");
            assert_eq!(fault.errno, bailiwick_sys::Errno::EIO, "{fault}");
            assert!(fault.to_string().contains(step.name()), "{fault}");
        }
        assert!(!witness.mark(), "the target ran although `{step}` failed");
        let after = descendants_in_the_end(own, &before);
        assert!(after.is_subset(&before), "processes are left after `{step}`: {after:?}");
        assert_eq!(witness.groups(), 0, "groups are left after `{step}`");
        assert_eq!(descriptors(), open, "descriptors are left after `{step}`");
        tried += 1;
    }
    assert!(tried >= 20, "only {tried} steps");
    drop(witness.keeper);
}
