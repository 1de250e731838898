//! Violations from hits: grouping by check, and Kubernetes' wording for each.

use std::collections::BTreeSet;

use super::checks::Check;
use super::walk::{Hit, Kind, Place, Walk};
use super::{MALFORMED, Violation};

/// One violation per check that was hit, in the order of checks.
pub(super) fn violations(walk: Walk<'_>) -> Vec<Violation> {
    let Walk { mut hits, malformed, .. } = walk;
    let mut out = Vec::new();
    if !malformed.is_empty() {
        out.push(Violation {
            check: MALFORMED,
            message: format!("no pod ({} has a type that a pod cannot have there)", malformed.join(", ")),
            fields: malformed,
            remedy: "write the field as the Kubernetes API says",
        });
    }
    hits.sort_by_key(|hit| hit.check);
    for group in hits.chunk_by(|one, other| one.check == other.check) {
        let Some(definition) = group.first().and_then(|hit| hit.check.definition()) else { continue };
        out.push(Violation {
            check: definition.id,
            message: message(definition.check, group),
            fields: group.iter().map(|hit| hit.field.clone()).collect(),
            remedy: definition.remedy,
        });
    }
    out
}

/// Reason and detail, in the words of `k8s.io/pod-security-admission/policy/check_*.go`.
fn message(check: Check, hits: &[Hit<'_>]) -> String {
    let containers = containers(hits, |_| true);
    match check {
        Check::AppArmorProfile => app_armor(hits),
        Check::CapabilitiesBaseline => {
            format!(
                "non-default capabilities ({containers} must not include {} in securityContext.capabilities.add)",
                quoted(&values(hits))
            )
        }
        Check::HostNamespaces => format!("host namespaces ({})", host_namespaces(hits)),
        Check::HostPathVolumes => format!("hostPath volumes ({})", volumes(hits)),
        Check::HostPorts => {
            let ports = values(hits);
            let ports_text = ports.iter().copied().collect::<Vec<_>>().join(", ");
            let uses = plural(container_count(hits), "uses", "use");
            format!(
                "hostPort ({containers} {uses} {} {ports_text})",
                plural(ports.len(), "hostPort", "hostPorts")
            )
        }
        Check::HostProbes => host_probes(hits),
        Check::Privileged => {
            format!("privileged ({containers} must not set securityContext.privileged=true)")
        }
        Check::ProcMount | Check::ProcMountRestricted => {
            format!(
                "procMount ({containers} must not set securityContext.procMount to {})",
                quoted(&values(hits))
            )
        }
        Check::SeLinuxOptions => se_linux(hits),
        Check::SeccompBaseline | Check::SeccompRestricted => seccomp(hits),
        Check::Sysctls => {
            let names: Vec<&str> = hits.iter().map(|hit| hit.value.as_str()).collect();
            format!("forbidden sysctls ({})", names.join(", "))
        }
        Check::WindowsHostProcess => {
            format!(
                "hostProcess ({} must not set securityContext.windowsOptions.hostProcess=true)",
                setters(hits)
            )
        }
        Check::AllowPrivilegeEscalation => {
            format!(
                "allowPrivilegeEscalation != false ({containers} must set securityContext.allowPrivilegeEscalation=false)"
            )
        }
        Check::CapabilitiesRestricted => capabilities_restricted(hits),
        Check::RestrictedVolumes => {
            let types = values(hits);
            let uses = plural(hits.len(), "uses", "use");
            let noun = plural(types.len(), "restricted volume type", "restricted volume types");
            format!("restricted volume types ({} {uses} {noun} {})", volumes(hits), quoted(&types))
        }
        Check::RunAsNonRoot => run_as_non_root(hits),
        Check::RunAsUser => format!("runAsUser=0 ({} must not set runAsUser=0)", setters(hits)),
    }
}

const fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

fn quoted<'a>(items: impl IntoIterator<Item = &'a &'a str>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("\"{item}\"")).collect();
    items.join(", ")
}

/// The values at fault, each once, sorted; not those of annotations.
fn values<'a>(hits: &'a [Hit<'_>]) -> BTreeSet<&'a str> {
    hits.iter().filter(|hit| hit.kind == Kind::Set).map(|hit| hit.value.as_str()).collect()
}

/// Names of the containers of chosen hits, each container once, in the order of the walk.
fn names<'j>(hits: &[Hit<'j>], chosen: impl Fn(&Hit<'_>) -> bool) -> Vec<&'j str> {
    let mut last = Place::Pod;
    let mut names = Vec::new();
    for hit in hits.iter().filter(|hit| hit.place != Place::Pod && chosen(hit)) {
        if hit.place != last {
            names.push(hit.name);
            last = hit.place;
        }
    }
    names
}

fn container_count(hits: &[Hit<'_>]) -> usize {
    names(hits, |_| true).len()
}

/// `container "a"` or `containers "a", "b"`.
fn containers(hits: &[Hit<'_>], chosen: impl Fn(&Hit<'_>) -> bool) -> String {
    let names = names(hits, chosen);
    format!("{} {}", plural(names.len(), "container", "containers"), quoted(&names))
}

/// Who set a field at fault: `pod and container "a"`.
fn setters(hits: &[Hit<'_>]) -> String {
    let set = |hit: &Hit<'_>| hit.kind == Kind::Set;
    let pod = hits.iter().any(|hit| hit.place == Place::Pod && set(hit));
    let in_containers = hits.iter().any(|hit| hit.place != Place::Pod && set(hit));
    match (pod, in_containers) {
        (true, true) => format!("pod and {}", containers(hits, set)),
        (true, false) => "pod".to_owned(),
        _ => containers(hits, set),
    }
}

fn annotations<'a>(hits: &'a [Hit<'_>]) -> BTreeSet<&'a str> {
    hits.iter().filter(|hit| hit.kind == Kind::Annotation).map(|hit| hit.value.as_str()).collect()
}

fn app_armor(hits: &[Hit<'_>]) -> String {
    let annotations = annotations(hits);
    let mut values: Vec<&str> = values(hits).into_iter().collect();
    let mut by = Vec::new();
    if !values.is_empty() {
        by.push(setters(hits));
    }
    if !annotations.is_empty() {
        by.push(plural(annotations.len(), "annotation", "annotations").to_owned());
        values.extend(annotations);
    }
    let reason = plural(values.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles");
    format!("{reason} ({} must not set AppArmor profile type to {})", by.join(" and "), quoted(&values))
}

fn host_namespaces(hits: &[Hit<'_>]) -> String {
    let order = ["hostNetwork=true", "hostPID=true", "hostIPC=true"];
    let set: Vec<&str> = order.into_iter().filter(|text| hits.iter().any(|hit| hit.value == *text)).collect();
    set.join(", ")
}

fn host_probes(hits: &[Hit<'_>]) -> String {
    let containers: BTreeSet<&str> = hits.iter().map(|hit| hit.name).collect();
    let hosts = values(hits);
    format!(
        "probe or lifecycle host ({} {} {} {} {})",
        plural(containers.len(), "container", "containers"),
        quoted(&containers),
        plural(containers.len(), "uses", "use"),
        plural(hosts.len(), "probe or lifecycle host", "probe or lifecycle hosts"),
        quoted(&hosts)
    )
}

fn se_linux(hits: &[Hit<'_>]) -> String {
    let of = |member: &str| {
        hits.iter()
            .filter(|hit| hit.field.ends_with(member))
            .map(|hit| hit.value.as_str())
            .collect::<BTreeSet<_>>()
    };
    let types = of(".type");
    let mut data = Vec::new();
    if !types.is_empty() {
        data.push(format!("{} {}", plural(types.len(), "type", "types"), quoted(&types)));
    }
    for member in ["user", "role"] {
        if !of(&format!(".{member}")).is_empty() {
            data.push(format!("{member} may not be set"));
        }
    }
    format!(
        "seLinuxOptions ({} set forbidden securityContext.seLinuxOptions: {})",
        setters(hits),
        data.join("; ")
    )
}

fn seccomp(hits: &[Hit<'_>]) -> String {
    let annotations = annotations(hits);
    if !annotations.is_empty() {
        let list: Vec<&str> = annotations.iter().copied().collect();
        return format!(
            "seccompProfile (forbidden {} {})",
            plural(list.len(), "annotation", "annotations"),
            list.join(", ")
        );
    }
    let values = values(hits);
    if values.is_empty() {
        return format!(
            "seccompProfile (pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
            containers(hits, |_| true)
        );
    }
    format!(
        "seccompProfile ({} must not set securityContext.seccompProfile.type to {})",
        setters(hits),
        quoted(&values)
    )
}

fn capabilities_restricted(hits: &[Hit<'_>]) -> String {
    let mut details = Vec::new();
    if hits.iter().any(|hit| hit.kind == Kind::Missing) {
        let missing = containers(hits, |hit| hit.kind == Kind::Missing);
        details.push(format!("{missing} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    let added = values(hits);
    if !added.is_empty() {
        let adding = containers(hits, |hit| hit.kind == Kind::Set);
        details.push(format!(
            "{adding} must not include {} in securityContext.capabilities.add",
            quoted(&added)
        ));
    }
    format!("unrestricted capabilities ({})", details.join("; "))
}

fn run_as_non_root(hits: &[Hit<'_>]) -> String {
    if hits.iter().any(|hit| hit.kind == Kind::Set) {
        return format!(
            "runAsNonRoot != true ({} must not set securityContext.runAsNonRoot=false)",
            setters(hits)
        );
    }
    format!(
        "runAsNonRoot != true (pod or {} must set securityContext.runAsNonRoot=true)",
        containers(hits, |_| true)
    )
}

/// `volume "a"` or `volumes "a", "b"`.
fn volumes(hits: &[Hit<'_>]) -> String {
    let names: Vec<&str> = hits.iter().map(|hit| hit.name).collect();
    format!("{} {}", plural(names.len(), "volume", "volumes"), quoted(&names))
}
