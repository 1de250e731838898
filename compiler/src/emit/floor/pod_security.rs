//! The Pod Security checks as CEL for the API server, for each level and version.
//!
//! Based on `policy/check_*.go` of k8s.io/pod-security-admission v0.37; checks have the same IDs. `@pod` is
//! the pod, `@containers` all its containers. Quirks are kept: a restricted check replaces its baseline
//! counterpart even where it is skipped for Windows.

use bailiwick_policy::admission::pod_security::tables::{
    BASELINE_CAPABILITIES, RESTRICTED_VOLUMES, allowed_sysctls,
};
use bailiwick_policy::policy::{PodSecurity, PodSecurityLevel};

use crate::emit::selector::{cel_list, cel_string};

/// One check.
pub(super) struct PodSecurityCheck {
    /// ID, as in pod-security-admission.
    pub(super) id: &'static str,
    /// True when the pod passes.
    pub(super) expression: String,
    /// The fault of a pod that fails, in words.
    pub(super) fault: &'static str,
}

fn check(id: &'static str, fault: &'static str, expression: impl Into<String>) -> PodSecurityCheck {
    PodSecurityCheck { id, expression: expression.into(), fault }
}

/// The checks of `wanted`, in the order of their IDs.
pub(super) fn checks(wanted: PodSecurity) -> Vec<PodSecurityCheck> {
    let restricted = wanted.level == PodSecurityLevel::Restricted;
    let minor = wanted.minor;
    let mut checks = match wanted.level {
        PodSecurityLevel::Privileged => return Vec::new(),
        PodSecurityLevel::Baseline | PodSecurityLevel::Restricted => baseline(minor),
    };
    if restricted {
        let stricter = restrictions(minor);
        let replaced = |id: &str| {
            stricter.iter().any(|by| {
                matches!(
                    (id, by.id),
                    ("capabilities_baseline", "capabilities_restricted")
                        | ("hostPathVolumes", "restrictedVolumes")
                        | ("procMount", "procMount_restricted")
                        | ("seccompProfile_baseline", "seccompProfile_restricted")
                )
            })
        };
        checks.retain(|check| !replaced(check.id));
        checks.extend(stricter);
    }
    checks.sort_by_key(|check| check.id);
    checks
}

/// `expression` for the security contexts of the pod and of each container; `@context` is an optional.
fn contexts(expression: &str) -> String {
    let pod = expression.replace("@context", "@pod.spec.?securityContext");
    let container = expression.replace("@context", "c.?securityContext");
    format!("{pod} && @containers.all(c, {container})")
}

const DEFAULT_PROC_MOUNT: &str =
    "@containers.all(c, c.?securityContext.?procMount.orValue('Default') == 'Default')";

/// Since 1.35, some checks pass a pod in a user namespace.
const USER_NAMESPACE: &str = "!@pod.spec.?hostUsers.orValue(true)";

fn baseline(minor: u16) -> Vec<PodSecurityCheck> {
    let proc_mount = if minor >= 35 {
        format!("{USER_NAMESPACE} || {DEFAULT_PROC_MOUNT}")
    } else {
        DEFAULT_PROC_MOUNT.to_owned()
    };
    let mut checks = vec![
        check("appArmorProfile", "sets a forbidden AppArmor profile", apparmor()),
        check(
            "capabilities_baseline",
            "adds forbidden capabilities",
            format!(
                "@containers.all(c, c.?securityContext.?capabilities.?add.orValue([]).all(x, x in {}))",
                cel_list(BASELINE_CAPABILITIES)
            ),
        ),
        check(
            "hostNamespaces",
            "shares the host's network, process or IPC namespace",
            "!@pod.spec.?hostNetwork.orValue(false) && !@pod.spec.?hostPID.orValue(false) && !@pod.spec.?hostIPC.orValue(false)",
        ),
        check(
            "hostPathVolumes",
            "mounts a hostPath volume",
            "@pod.spec.?volumes.orValue([]).all(v, !has(v.hostPath))",
        ),
        check(
            "hostPorts",
            "uses a host port",
            "@containers.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))",
        ),
        check(
            "privileged",
            "has a privileged container",
            "@containers.all(c, !c.?securityContext.?privileged.orValue(false))",
        ),
        check("procMount", "sets a forbidden procMount", proc_mount),
        check("seLinuxOptions", "sets forbidden SELinux options", selinux(minor)),
        check("seccompProfile_baseline", "sets a forbidden seccomp profile", seccomp_baseline(minor)),
        check("sysctls", "sets forbidden sysctls", sysctls(minor)),
        check(
            "windowsHostProcess",
            "runs as a Windows host process",
            contexts("!@context.?windowsOptions.?hostProcess.orValue(false)"),
        ),
    ];
    if minor >= 34 {
        checks.push(check(
            "hostProbesAndHostLifecycle",
            "names a host in a probe or lifecycle hook",
            probes(),
        ));
    }
    checks
}

fn apparmor() -> String {
    let prefix = cel_string("container.apparmor.security.beta.kubernetes.io/");
    let field = contexts(
        "@context.?appArmorProfile.?type.orValue('RuntimeDefault') in ['RuntimeDefault', 'Localhost']",
    );
    let annotations = "@pod.metadata.?annotations.orValue({})";
    format!(
        "{field} && {annotations}.all(k, !k.startsWith({prefix}) || {annotations}[k] in ['', 'runtime/default'] || {annotations}[k].startsWith('localhost/'))"
    )
}

fn selinux(minor: u16) -> String {
    let engine: &[&str] = if minor >= 31 { &["container_engine_t"] } else { &[] };
    let types = ["", "container_t", "container_init_t", "container_kvm_t"];
    let types = cel_list(types.iter().chain(engine).copied());
    contexts(&format!(
        "(@context.?seLinuxOptions.?type.orValue('') in {types} && @context.?seLinuxOptions.?user.orValue('') == '' && @context.?seLinuxOptions.?role.orValue('') == '')"
    ))
}

fn seccomp_baseline(minor: u16) -> String {
    if minor >= 19 {
        return contexts(
            "@context.?seccompProfile.?type.orValue('RuntimeDefault') in ['RuntimeDefault', 'Localhost']",
        );
    }
    let annotations = "@pod.metadata.?annotations.orValue({})";
    let of_pod = "k == 'seccomp.security.alpha.kubernetes.io/pod'";
    let of_container =
        "@containers.exists(c, k == 'container.seccomp.security.alpha.kubernetes.io/' + c.name)";
    format!(
        "{annotations}.all(k, !({of_pod} || {of_container}) || {annotations}[k] in ['runtime/default', 'docker/default'] || {annotations}[k].startsWith('localhost/'))"
    )
}

fn sysctls(minor: u16) -> String {
    format!(
        "@pod.spec.?securityContext.?sysctls.orValue([]).all(s, s.name in {})",
        cel_list(allowed_sysctls(minor))
    )
}

fn probes() -> String {
    let handlers = "[c.?livenessProbe, c.?readinessProbe, c.?startupProbe, c.?lifecycle.?postStart, c.?lifecycle.?preStop]";
    format!(
        "@containers.all(c, {handlers}.all(h, h.?httpGet.?host.orValue('') == '' && h.?tcpSocket.?host.orValue('') == ''))"
    )
}

fn restrictions(minor: u16) -> Vec<PodSecurityCheck> {
    let windows = |expression: &str| {
        if minor >= 25 {
            format!("@pod.spec.?os.?name.orValue('') == 'windows' || ({expression})")
        } else {
            expression.to_owned()
        }
    };
    let user_namespace = |expression: &str| {
        if minor >= 35 { format!("{USER_NAMESPACE} || ({expression})") } else { expression.to_owned() }
    };
    let mut checks = vec![
        check("restrictedVolumes", "mounts a volume of a restricted type", volumes()),
        check(
            "runAsNonRoot",
            "does not set runAsNonRoot to true",
            user_namespace(
                "@pod.spec.?securityContext.?runAsNonRoot.orValue(true) && @containers.all(c, c.?securityContext.?runAsNonRoot.orValue(@pod.spec.?securityContext.?runAsNonRoot.orValue(false)))",
            ),
        ),
    ];
    if minor >= 8 {
        checks.push(check(
            "allowPrivilegeEscalation",
            "does not set allowPrivilegeEscalation to false",
            windows("@containers.all(c, !c.?securityContext.?allowPrivilegeEscalation.orValue(true))"),
        ));
    }
    if minor >= 19 {
        checks.push(check(
            "seccompProfile_restricted",
            "does not set a seccomp profile of RuntimeDefault or Localhost",
            windows(
                "@pod.spec.?securityContext.?seccompProfile.?type.orValue('Localhost') in ['RuntimeDefault', 'Localhost'] && @containers.all(c, c.?securityContext.?seccompProfile.?type.orValue(@pod.spec.?securityContext.?seccompProfile.?type.orValue('')) in ['RuntimeDefault', 'Localhost'])",
            ),
        ));
    }
    if minor >= 22 {
        checks.push(check(
            "capabilities_restricted",
            "does not drop ALL capabilities or adds others than NET_BIND_SERVICE",
            windows(
                "@containers.all(c, 'ALL' in c.?securityContext.?capabilities.?drop.orValue([]) && c.?securityContext.?capabilities.?add.orValue([]).all(x, x == 'NET_BIND_SERVICE'))",
            ),
        ));
    }
    if minor >= 23 {
        let expression = contexts("@context.?runAsUser.orValue(1) != 0");
        checks.push(check("runAsUser", "sets runAsUser to 0", user_namespace(&expression)));
    }
    if minor >= 35 {
        checks.push(check("procMount_restricted", "sets a forbidden procMount", DEFAULT_PROC_MOUNT));
    }
    checks
}

fn volumes() -> String {
    let any: Vec<_> = RESTRICTED_VOLUMES.iter().map(|source| format!("has(v.{source})")).collect();
    format!("@pod.spec.?volumes.orValue([]).all(v, {})", any.join(" || "))
}
