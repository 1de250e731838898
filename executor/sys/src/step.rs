//! The steps of setting up a sandbox, each with a name, so that a failure says where it happened and a test
//! can fail every one of them. A step that fails ends the set-up: nothing runs, and no step can be bypassed.
//!
//! Not here: what a step does (`launcher`, `keeper`, `sandbox`), and how a call that ran has ended
//! (`outcome`).

use std::ffi::CStr;

use serde::{Deserialize, Serialize};

use crate::call::Errno;

/// Declares the steps once: the type, the list of all, and their names.
macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One step of a set-up, in the order in which they happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum Step { $($(#[$doc])* $name,)* }

        impl Step {
            /// Every step, in order.
            pub const ALL: &'static [Step] = &[$(Step::$name,)*];

            /// The step's name in errors and records.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Step::$name => $text,)* }
            }
        }
    };
}

steps! {
    /// The launcher or keeper is started and leaves the host's namespaces.
    ProcessStart = "process-start",
    /// Its ids are mapped to unprivileged ones.
    ProcessMaps = "process-maps",
    /// It takes its unprivileged ids.
    ProcessIdentity = "process-identity",
    /// The profile is handed over and read.
    ProcessProfile = "process-profile",
    /// Mounts of the launcher no longer propagate to or from the host.
    TemplatePrivate = "template-private",
    /// The read-only paths are taken as detached copies.
    TemplateSources = "template-sources",
    /// The copies are made read-only, without set-user-id programs and device nodes.
    TemplateReadOnly = "template-read-only",
    /// The devices are taken, and verified to be those that their names say.
    TemplateDevices = "template-devices",
    /// The template root is mounted.
    TemplateRoot = "template-root",
    /// Mount points and links are made in it.
    TemplateEntries = "template-entries",
    /// The copies are attached.
    TemplateAttach = "template-attach",
    /// The template root is made read-only.
    TemplateSeal = "template-seal",
    /// The template becomes the root, and the host's is gone.
    TemplatePivot = "template-pivot",
    /// Pipes and sockets of one sandbox are made.
    Channels = "channels",
    /// Its cgroup is made.
    CgroupCreate = "cgroup-create",
    /// The session's workspace is made.
    WorkspaceCreate = "workspace-create",
    /// It is lent.
    WorkspaceLend = "workspace-lend",
    /// The request to build reaches the launcher.
    BuildRequest = "build-request",
    /// The limits are written into the cgroup.
    CgroupLimits = "cgroup-limits",
    /// Holder and worker are told which groups to enter.
    CgroupPlaces = "cgroup-places",
    /// The holder is cloned into its namespaces.
    HolderClone = "holder-clone",
    /// The holder's ids are mapped.
    HolderMaps = "holder-maps",
    /// The holder closes what it has inherited.
    HolderDescriptors = "holder-descriptors",
    /// The holder enters its cgroup.
    HolderCgroup = "holder-cgroup",
    /// The holder takes its ids.
    HolderIdentity = "holder-identity",
    /// The holder's cgroup becomes the root of a cgroup namespace.
    HolderCgroupNamespace = "holder-cgroup-namespace",
    /// The writable file systems are mounted.
    HolderTmpfs = "holder-tmpfs",
    /// The sandbox's own proc is mounted.
    HolderProc = "holder-proc",
    /// The session's workspace is attached.
    HolderWorkspace = "holder-workspace",
    /// The worker is let into the namespaces.
    HolderOpening = "holder-opening",
    /// No further namespaces may be made inside.
    HolderNamespaceLimits = "holder-namespace-limits",
    /// The sandbox gets its host name.
    HolderHostName = "holder-host-name",
    /// The holder becomes a reaper of children without any privilege.
    HolderPrivileges = "holder-privileges",
    /// A thread of the launcher enters the holder's pid namespace.
    WorkerNamespace = "worker-namespace",
    /// The worker is cloned.
    WorkerClone = "worker-clone",
    /// The launcher hands over what it has made.
    BuildReply = "build-reply",
    /// The worker enters its cgroup.
    WorkerCgroup = "worker-cgroup",
    /// The worker gets a session of its own and default signals.
    WorkerSession = "worker-session",
    /// The worker enters the holder's namespaces.
    WorkerJoin = "worker-join",
    /// The worker's standard streams are put in place and everything else is closed.
    WorkerDescriptors = "worker-descriptors",
    /// The worker enters its working directory.
    WorkerDirectory = "worker-directory",
    /// The resource limits are set.
    WorkerLimits = "worker-limits",
    /// The worker takes its ids.
    WorkerIdentity = "worker-identity",
    /// All five capability sets are emptied.
    WorkerCapabilities = "worker-capabilities",
    /// No program that the worker executes can gain privileges.
    WorkerNoNewPrivileges = "worker-no-new-privileges",
    /// No process may look into the worker's memory.
    WorkerUndumpable = "worker-undumpable",
    /// Landlock rules are applied to the worker.
    WorkerLandlock = "worker-landlock",
    /// The seccomp filter is installed in the worker.
    WorkerFilter = "worker-filter",
    /// The worker reports that it is parked.
    WorkerReady = "worker-ready",
    /// The request reaches the worker and is well formed.
    Request = "request",
    /// The worker enters the directory that the request asks for.
    RequestDirectory = "request-directory",
    /// The program is executed.
    Execute = "execute",
}

impl Step {
    /// The step with a number, as it comes in a frame.
    pub(crate) fn from_number(number: u8) -> Option<Step> {
        Step::ALL.get(usize::from(number)).copied()
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A step that failed: nothing of the sandbox runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("set-up step `{step}` failed{}: {errno}", if about.is_empty() { String::new() } else { format!(" for `{about}`") })]
pub struct Fault {
    /// The step.
    pub step: Step,
    /// The kernel's error.
    pub errno: Errno,
    /// What the step acted on, such as a path; may be empty.
    pub about: String,
}

/// The same inside a child that must not allocate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure<'a> {
    pub(crate) step: Step,
    pub(crate) errno: Errno,
    pub(crate) about: &'a CStr,
}

impl From<Failure<'_>> for Fault {
    fn from(failure: Failure<'_>) -> Self {
        Self { step: failure.step, errno: failure.errno, about: failure.about.to_string_lossy().into_owned() }
    }
}

/// Takes one step. Every system call of a set-up goes through here, so that a test can make each of them
/// fail.
pub(crate) fn attempt<T>(
    step: Step,
    about: &CStr,
    act: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Failure<'_>> {
    injected(step).and_then(|()| act()).map_err(|errno| Failure { step, errno, about })
}

#[cfg(not(feature = "fault-injection"))]
#[inline]
fn injected(_: Step) -> Result<(), Errno> {
    Ok(())
}

#[cfg(feature = "fault-injection")]
use injection::injected;

/// Fails a step on purpose. Only in test builds: a release build with it does not compile.
#[cfg(feature = "fault-injection")]
pub mod injection {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::{Errno, Step};

    #[cfg(not(debug_assertions))]
    compile_error!("the feature `fault-injection` is for test builds only");

    /// Variables that tell a started launcher or keeper which step must fail, and which namespaces it shares
    /// with the host.
    pub(crate) const FAIL_STEP: &str = "BAILIWICK_FAIL_STEP";
    pub(crate) const SHARED: &str = "BAILIWICK_SHARED_NAMESPACES";

    /// No step has this number.
    const NONE: u8 = u8::MAX;

    static FAILING: AtomicU8 = AtomicU8::new(NONE);

    /// Makes a step of this process, and of launchers and keepers that it starts from now on, fail with EIO;
    /// `None` clears it.
    pub fn fail_at(step: Option<Step>) {
        FAILING.store(step.map_or(NONE, |step| step as u8), Ordering::SeqCst);
    }

    /// The step that is set to fail.
    #[must_use]
    pub fn failing() -> Option<Step> {
        Step::from_number(FAILING.load(Ordering::SeqCst))
    }

    pub(super) fn injected(step: Step) -> Result<(), Errno> {
        if FAILING.load(Ordering::Relaxed) == step as u8 { Err(Errno::EIO) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn names_are_unique_and_as_serde_writes_them() {
        let mut seen = std::collections::BTreeSet::new();
        for (number, step) in Step::ALL.iter().enumerate() {
            assert!(seen.insert(step.name()), "{step} twice");
            assert_eq!(serde_json::to_value(step).unwrap(), step.name());
            assert_eq!(Step::from_number(u8::try_from(number).unwrap()), Some(*step));
        }
        assert!(seen.len() >= 20);
    }
}
