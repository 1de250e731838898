//! The checks: which of them apply to a level at a version, and the remedy for each.

use crate::policy::{PodSecurity, PodSecurityLevel};

/// A check, in the order in which Kubernetes reports them: baseline checks by name, then restricted ones by
/// name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    AppArmorProfile,
    CapabilitiesBaseline,
    HostNamespaces,
    HostPathVolumes,
    HostPorts,
    HostProbes,
    Privileged,
    ProcMount,
    SeLinuxOptions,
    SeccompBaseline,
    Sysctls,
    WindowsHostProcess,
    AllowPrivilegeEscalation,
    CapabilitiesRestricted,
    ProcMountRestricted,
    RestrictedVolumes,
    RunAsNonRoot,
    RunAsUser,
    SeccompRestricted,
}

/// What is known about a check before any pod is seen.
pub(super) struct Definition {
    pub(super) check: Check,
    /// Kubernetes' name.
    pub(super) id: &'static str,
    level: PodSecurityLevel,
    /// The first minor version that has it.
    since: u16,
    /// The baseline check that it replaces.
    overrides: Option<Check>,
    pub(super) remedy: &'static str,
}

const fn baseline(check: Check, id: &'static str, since: u16, remedy: &'static str) -> Definition {
    Definition { check, id, level: PodSecurityLevel::Baseline, since, overrides: None, remedy }
}

const fn restricted(
    check: Check,
    id: &'static str,
    since: u16,
    overrides: Option<Check>,
    remedy: &'static str,
) -> Definition {
    Definition { check, id, level: PodSecurityLevel::Restricted, since, overrides, remedy }
}

/// All checks, in the order of [`Check`].
pub(super) const ALL: [Definition; 19] = [
    baseline(
        Check::AppArmorProfile,
        "appArmorProfile",
        0,
        "leave the AppArmor profile out, or set its type to RuntimeDefault or Localhost",
    ),
    baseline(
        Check::CapabilitiesBaseline,
        "capabilities_baseline",
        0,
        "remove the capability from securityContext.capabilities.add",
    ),
    baseline(
        Check::HostNamespaces,
        "hostNamespaces",
        0,
        "remove hostNetwork, hostPID and hostIPC, or set them to false",
    ),
    baseline(
        Check::HostPathVolumes,
        "hostPathVolumes",
        0,
        "use emptyDir, a persistentVolumeClaim, a configMap or a secret instead of hostPath",
    ),
    baseline(Check::HostPorts, "hostPorts", 0, "remove hostPort; reach the pod through a Service"),
    baseline(
        Check::HostProbes,
        "hostProbesAndHostLifecycle",
        34,
        "remove host from the probe or lifecycle handler; it then asks the pod's own address",
    ),
    baseline(Check::Privileged, "privileged", 0, "remove privileged, or set it to false"),
    baseline(Check::ProcMount, "procMount", 0, "remove procMount, or set it to Default"),
    baseline(
        Check::SeLinuxOptions,
        "seLinuxOptions",
        0,
        "remove seLinuxOptions user and role, and use one of the container types as type",
    ),
    baseline(
        Check::SeccompBaseline,
        "seccompProfile_baseline",
        0,
        "leave the seccomp profile out, or set it to RuntimeDefault or Localhost",
    ),
    baseline(Check::Sysctls, "sysctls", 0, "remove the sysctl; only namespaced, isolated ones are allowed"),
    baseline(
        Check::WindowsHostProcess,
        "windowsHostProcess",
        0,
        "remove windowsOptions.hostProcess, or set it to false",
    ),
    restricted(
        Check::AllowPrivilegeEscalation,
        "allowPrivilegeEscalation",
        8,
        None,
        "set securityContext.allowPrivilegeEscalation to false in every container",
    ),
    restricted(
        Check::CapabilitiesRestricted,
        "capabilities_restricted",
        22,
        Some(Check::CapabilitiesBaseline),
        "set securityContext.capabilities.drop to [ALL] in every container, and add at most NET_BIND_SERVICE",
    ),
    restricted(
        Check::ProcMountRestricted,
        "procMount_restricted",
        35,
        Some(Check::ProcMount),
        "remove procMount, or set it to Default",
    ),
    restricted(
        Check::RestrictedVolumes,
        "restrictedVolumes",
        0,
        Some(Check::HostPathVolumes),
        "use configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected or secret",
    ),
    restricted(
        Check::RunAsNonRoot,
        "runAsNonRoot",
        0,
        None,
        "set spec.securityContext.runAsNonRoot to true, and to false in no container",
    ),
    restricted(Check::RunAsUser, "runAsUser", 23, None, "set runAsUser to a user other than 0, or remove it"),
    restricted(
        Check::SeccompRestricted,
        "seccompProfile_restricted",
        19,
        Some(Check::SeccompBaseline),
        "set spec.securityContext.seccompProfile.type to RuntimeDefault",
    ),
];

impl Check {
    /// What is known of this check.
    pub(super) fn definition(self) -> Option<&'static Definition> {
        ALL.get(self as usize)
    }
}

/// A set of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checks(u32);

impl Checks {
    /// The checks of a level at a version: restricted includes the baseline checks, except those that it
    /// overrides.
    pub(super) fn of(standard: PodSecurity) -> Self {
        let mut asked = 0;
        let mut overridden = 0;
        for definition in &ALL {
            if definition.level <= standard.level && definition.since <= standard.minor {
                asked |= 1 << definition.check as u32;
                if let Some(weaker) = definition.overrides {
                    overridden |= 1 << weaker as u32;
                }
            }
        }
        Self(asked & !overridden)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn has(self, check: Check) -> bool {
        self.0 & (1 << check as u32) != 0
    }

    /// The first of two checks that is in the set; for pairs of which one overrides the other.
    pub(super) const fn either(self, one: Check, other: Check) -> Option<Check> {
        if self.has(one) {
            Some(one)
        } else if self.has(other) {
            Some(other)
        } else {
            None
        }
    }
}
