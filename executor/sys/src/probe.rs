//! What this host can do for sandboxes: found by trying, reported as plain data, with the setting that would
//! provide each missing part.
//!
//! Trying is better than reading settings: whether namespaces, mounts and a proc are available depends on
//! sysctls, security modules, the container's filter and mounts together, and only an attempt tests all of
//! them. The attempt is a real sandbox in which nothing is run.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::call::{Errno, file, identity, landlock, mount};
use crate::cgroup::{CgroupError, CgroupRoot, CgroupVersion};
use crate::host::Host;
use crate::profile::{CgroupLimits, Landlock, Proc, Profile, Rlimits, Tmpfs};
use crate::sandbox::{Build, Launcher, SandboxError};
use crate::seccomp::{Action, Instruction, Program};
use crate::step::{Fault, Step};

/// The kind of environment. `docs/executor-tiers.md` says what each can enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tier {
    /// Root, of the machine or of a user namespace with a range of ids: a separate id for every session.
    Root,
    /// An ordinary user with a writable cgroup.
    Delegated,
    /// An ordinary user without one.
    Limited,
    /// A pod whose proc is partly masked: sandboxes have no proc.
    PodRestricted,
    /// A pod with a user namespace and an unmasked proc.
    PodUserNs,
    /// A pod on gVisor: the pod is the boundary, and sandboxes are made inside where its kernel allows them.
    GVisor,
    /// No sandbox can be made here.
    None,
}

/// What can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missing {
    /// Limits of a sandbox as a whole: memory, processes, cpus, CPU time.
    Cgroup,
    /// Sandboxes at all.
    Sandboxes,
    /// A proc that belongs to the sandbox.
    OwnProc,
    /// A limit of zero on further namespaces inside.
    NamespaceLimits,
    /// Rules on files in addition to the mounts.
    Landlock,
}

/// A missing part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The part.
    pub what: Missing,
    /// The error when it was tried.
    pub why: String,
    /// The setting that provides it.
    pub remedy: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The kind of environment.
    pub tier: Tier,
    /// Kernel release.
    pub kernel: String,
    /// Whether sessions have ids of their own outside.
    pub own_ids: bool,
    /// Which cgroup interface limits sandboxes, if any.
    pub cgroup: Option<CgroupVersion>,
    /// Whether a process is cloned into its group rather than moved.
    pub clone_into_cgroup: bool,
    /// Version of Landlock's interface, if any.
    pub landlock: Option<u32>,
    /// Whether the kernel accepts filters that kill the process.
    pub filters: bool,
    /// Whether paths can be resolved without leaving a directory (`openat2`), which the clerk needs.
    pub openat2: bool,
    /// Whether mounts can be made read-only as a tree (`mount_setattr`).
    pub mount_setattr: bool,
    /// Whether a sandbox can be made at all.
    pub sandbox: bool,
    /// Whether it can have a proc of its own.
    pub own_proc: bool,
    /// Whether the number of further namespaces can be set to zero inside.
    pub namespace_limits: bool,
    /// What is missing.
    pub refusals: Vec<Refusal>,
}

impl Report {
    /// Why something is missing, and what helps; `None` if it is there.
    #[must_use]
    pub fn refusal(&self, what: Missing) -> Option<&Refusal> {
        self.refusals.iter().find(|refusal| refusal.what == what)
    }
}

/// Finds out what a host can do for the current user. `no_cgroups` is the reason, if the host has none.
#[must_use]
pub fn probe(host: &Host, no_cgroups: Option<&CgroupError>) -> Report {
    let mut refusals = Vec::new();
    if let Some(error) = no_cgroups {
        refusals.push(Refusal {
            what: Missing::Cgroup,
            why: error.to_string(),
            remedy: "a cgroup that it may write: run it as root, or delegate one by `systemd-run --user -p Delegate=yes`, or `cgroup: Writable` in \
                     its pool, which takes a runtime class whose containerd handler sets `cgroup_writable = true`"
                .to_owned(),
        });
    }
    let with_proc = trial(host, Proc::Own);
    let own_proc = with_proc.is_ok();
    let sandbox = own_proc || trial(host, Proc::None).is_ok();
    if let Err(error) = with_proc {
        refusals.push(explain(&error, sandbox));
    }
    let namespace_limits = writable("/proc/sys/user/max_user_namespaces");
    if !namespace_limits {
        refusals.push(Refusal {
            what: Missing::NamespaceLimits,
            why: "`/proc/sys` is read-only".to_owned(),
            remedy: "in a pod `procMount: Unmasked`; the filter refuses namespaces without it as well"
                .to_owned(),
        });
    }
    let landlock = landlock::version();
    if let Err(errno) = landlock {
        refusals.push(Refusal {
            what: Missing::Landlock,
            why: errno.to_string(),
            remedy: "a kernel with CONFIG_SECURITY_LANDLOCK and `landlock` in its `lsm=` list".to_owned(),
        });
    }
    let cgroups = host.cgroups.as_deref();
    let found = Found { own_ids: host.many_ids(), cgroup: cgroups.is_some(), sandbox, own_proc };
    Report {
        tier: tier(&Place::of_this_process(), found),
        kernel: read("/proc/sys/kernel/osrelease"),
        own_ids: host.many_ids(),
        cgroup: cgroups.map(CgroupRoot::version),
        clone_into_cgroup: cgroups.is_some_and(CgroupRoot::clones_into),
        landlock: landlock.ok(),
        filters: identity::filter_action_known(Action::KillProcess.to_return()).is_ok(),
        openat2: file::open_resolved(file::CWD, c"/", libc::O_PATH, 0, 0).is_ok(),
        mount_setattr: has_mount_setattr(),
        sandbox,
        own_proc,
        namespace_limits,
        refusals,
    }
}

/// Builds a sandbox with nothing visible in it, and drops it.
fn trial(host: &Host, proc: Proc) -> Result<(), SandboxError> {
    let allow = Instruction { code: 0x06, jt: 0, jf: 0, k: Action::Allow.to_return() };
    let profile = Profile {
        read_only: Vec::new(),
        links: Vec::new(),
        devices: Vec::new(),
        writable: vec![Tmpfs { path: PathBuf::from("/tmp"), size_bytes: 1 << 20, inodes: 16 }],
        workspace: None,
        proc,
        environment: BTreeMap::new(),
        host_name: "probe".to_owned(),
        working_directory: PathBuf::from("/"),
        rlimits: Rlimits {
            open_files: 16,
            file_size_bytes: 1 << 20,
            cpu_seconds: Some(1),
            processes: None,
            address_space_bytes: None,
        },
        cgroup: CgroupLimits::default(),
        filter: Program(vec![allow]),
        landlock: Landlock::WhereAvailable,
        #[cfg(feature = "fault-injection")]
        without: std::collections::BTreeSet::new(),
    };
    let launcher = Launcher::spawn(host, &profile)?;
    let exhausted = Fault { step: Step::BuildRequest, errno: Errno::EUSERS, about: String::new() };
    let identity = host.identity().ok_or(exhausted)?;
    launcher.build(&Build { identity, workspace: None }).map(drop)
}

/// Why a trial failed, and what would help: by the step, and for namespaces by the sysctl that prevents them.
fn explain(error: &SandboxError, without_proc: bool) -> Refusal {
    let what = if without_proc { Missing::OwnProc } else { Missing::Sandboxes };
    let step = match error {
        SandboxError::Setup(fault) => Some(fault.step),
        _ => None,
    };
    let remedy = match step {
        Some(Step::HolderProc) => "in a pod `procMount: Unmasked` with `hostUsers: false`".to_owned(),
        Some(Step::ProcessStart | Step::ProcessMaps | Step::ProcessIdentity | Step::HolderClone) => namespaces_remedy(),
        Some(step) if step < Step::TemplatePivot => {
            "in a pod a seccomp profile that allows mounts (`seccompProfile: Localhost`), AppArmor `Unconfined` or one of its own"
                .to_owned()
        }
        _ => "see the step's errno".to_owned(),
    };
    Refusal { what, why: error.to_string(), remedy }
}

fn namespaces_remedy() -> String {
    let off = |path: &str, value: &str| read(path) == value;
    if off("/proc/sys/user/max_user_namespaces", "0") {
        "`sysctl user.max_user_namespaces=15000`".to_owned()
    } else if off("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "`sysctl kernel.unprivileged_userns_clone=1`".to_owned()
    } else if off("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "an AppArmor profile with `userns,` for `bailiwick-launcher`, or `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
            .to_owned()
    } else {
        "a seccomp profile that allows `clone3` and `unshare`; the launcher program must be readable and executable".to_owned()
    }
}

/// What is known of the environment.
struct Place {
    pod: bool,
    gvisor: bool,
}

/// What is known from trying.
#[derive(Clone, Copy)]
struct Found {
    own_ids: bool,
    cgroup: bool,
    sandbox: bool,
    own_proc: bool,
}

impl Place {
    fn of_this_process() -> Self {
        Self {
            // The kubelet sets it in every container. It can only change the name; what is enforced is tried.
            pod: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            gvisor: read("/proc/version").contains("gVisor"),
        }
    }
}

fn tier(place: &Place, found: Found) -> Tier {
    match (place, found) {
        (Place { gvisor: true, .. }, _) => Tier::GVisor,
        (_, Found { sandbox: false, .. }) => Tier::None,
        (_, Found { own_ids: true, .. }) => Tier::Root,
        (Place { pod: true, .. }, Found { own_proc: true, .. }) => Tier::PodUserNs,
        (Place { pod: true, .. }, _) => Tier::PodRestricted,
        (_, Found { cgroup: true, .. }) => Tier::Delegated,
        _ => Tier::Limited,
    }
}

/// A call with a size of zero is refused with a specific error where the call exists.
fn has_mount_setattr() -> bool {
    mount::set_attributes(file::CWD, c"", 0, mount::Reach::One) != Err(Errno::ENOSYS)
}

fn writable(path: &str) -> bool {
    let Ok(text) = std::ffi::CString::new(path) else { return false };
    // An ordinary user is refused write access for a different reason than on a read-only mount.
    match file::open(file::CWD, &text, libc::O_WRONLY, 0) {
        Ok(opened) => file::status(opened.as_fd()).is_ok(),
        Err(errno) => errno == Errno::EACCES,
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_makes_the_tier() {
        let place = |pod, gvisor| Place { pod, gvisor };
        let found = |own_ids, cgroup, sandbox, own_proc| Found { own_ids, cgroup, sandbox, own_proc };
        let cases = [
            (place(false, false), found(true, true, true, true), Tier::Root),
            (place(false, false), found(true, false, true, true), Tier::Root),
            (place(true, false), found(true, false, true, true), Tier::Root),
            (place(false, false), found(false, true, true, true), Tier::Delegated),
            (place(false, false), found(false, false, true, true), Tier::Limited),
            (place(true, false), found(false, false, true, false), Tier::PodRestricted),
            (place(true, false), found(false, false, true, true), Tier::PodUserNs),
            (place(true, true), found(true, true, true, true), Tier::GVisor),
            (place(false, false), found(true, true, false, false), Tier::None),
        ];
        for (place, found, expected) in cases {
            assert_eq!(tier(&place, found), expected);
        }
    }

    #[test]
    fn a_refused_step_has_a_remedy() {
        let fault = |step| SandboxError::Setup(Fault { step, errno: Errno::EPERM, about: String::new() });
        assert!(explain(&fault(Step::HolderProc), true).remedy.contains("procMount"));
        assert!(explain(&fault(Step::TemplateSources), false).remedy.contains("seccompProfile"));
        assert!(!explain(&fault(Step::HolderClone), false).remedy.is_empty());
    }
}
