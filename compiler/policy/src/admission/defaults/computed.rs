//! Defaults that depend on other fields. A rule runs on the map of one object, before or after the defaults
//! of its members are set.

use std::borrow::Cow;

use super::Plan;
use crate::json::{Json, Map};

type Rule = fn(&mut Map<'_>, &Plan);

/// The rules of a type.
#[derive(Clone, Copy, Default)]
pub(super) struct Rules {
    pub(super) before: Option<Rule>,
    pub(super) after: Option<Rule>,
}

/// The rules of the type of this name.
pub(super) fn of(name: &str) -> Rules {
    let before: Rule = match name {
        "core.v1.Container" | "core.v1.EphemeralContainer" => {
            |map, plan| pull_policy(map, plan, "image", "imagePullPolicy")
        }
        "core.v1.ImageVolumeSource" => |map, plan| pull_policy(map, plan, "reference", "pullPolicy"),
        "core.v1.Volume" => volume,
        "core.v1.ServicePort" => target_port,
        "apps.v1.DeploymentStrategy" => {
            |map, plan| rolling_update(map, plan, r#"{"maxSurge": "25%", "maxUnavailable": "25%"}"#)
        }
        "apps.v1.DaemonSetUpdateStrategy" => {
            |map, plan| rolling_update(map, plan, r#"{"maxSurge": 0, "maxUnavailable": 1}"#)
        }
        "apps.v1.StatefulSetUpdateStrategy" => {
            |map, plan| rolling_update(map, plan, r#"{"partition": 0, "maxUnavailable": 1}"#)
        }
        "batch.v1.Job" => |map, plan| within(map, plan, "spec", job),
        "core.v1.PodSpec" => service_account,
        "networking.v1.NetworkPolicySpec" => policy_types,
        "rbac.v1.Subject" => subject,
        "core.v1.Pod" => return Rules { before: None, after: Some(pod) },
        _ => return Rules::default(),
    };
    Rules { before: Some(before), after: None }
}

/// Sets an absent member that the plan names.
fn set<'a>(
    map: &mut Map<'a>,
    plan: &Plan,
    name: &'static str,
    value: impl FnOnce(&Map<'a>) -> Option<Json<'a>>,
) {
    if plan.child(name).is_none() || !super::is_absent(map.get(name)) {
        return;
    }
    if let Some(value) = value(map) {
        map.insert(Cow::Borrowed(name), value);
    }
}

fn text(value: &'static str) -> Option<Json<'static>> {
    Some(Json::Str(Cow::Borrowed(value)))
}

fn literal(json: &'static str) -> Option<Json<'static>> {
    Json::parse(json.as_bytes()).ok()
}

/// Runs a rule on a member that is an object.
fn within(map: &mut Map<'_>, plan: &Plan, name: &str, rule: Rule) {
    if let (Some(plan), Some(Json::Map(map))) = (plan.child(name), map.get_mut(name)) {
        rule(map, plan);
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; both are kept equal, and the new one wins.
fn service_account(map: &mut Map<'_>, plan: &Plan) {
    let text = |name| map.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    let Some(name) = text("serviceAccountName").or_else(|| text("serviceAccount")).map(str::to_owned) else {
        return;
    };
    for key in ["serviceAccountName", "serviceAccount"] {
        if plan.child(key).is_some() {
            map.insert(Cow::Borrowed(key), Json::Str(Cow::Owned(name.clone())));
        }
    }
}

/// `Always` for the tag `latest`, which is also the tag of a reference that has neither tag nor digest;
/// `IfNotPresent` for all others, even those that cannot be parsed.
fn pull_policy(map: &mut Map<'_>, plan: &Plan, image: &str, name: &'static str) {
    set(map, plan, name, |map| {
        let latest = map.get(image).and_then(Json::as_str).is_some_and(is_latest);
        text(if latest { "Always" } else { "IfNotPresent" })
    });
}

fn is_latest(image: &str) -> bool {
    let (named, digest) =
        image.split_once('@').map_or((image, None), |(named, digest)| (named, Some(digest)));
    let (path, last) = named.rsplit_once('/').unwrap_or(("", named));
    let (name, tag) = last.split_once(':').map_or((last, None), |(name, tag)| (name, Some(tag)));
    // A first segment is a host only if it has a dot or a port or is localhost, and only hosts may have
    // capital letters.
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let is_host = first.contains(['.', ':'])
        || first == "localhost"
        || first.contains(|letter: char| letter.is_ascii_uppercase());
    let repository = if is_host { rest } else { path };
    let is_lower = |text: &str| !text.contains(|letter: char| letter.is_ascii_uppercase());
    let valid = !name.is_empty() && is_lower(name) && is_lower(repository);
    valid && tag.map_or(digest.is_none(), |tag| tag == "latest")
}

/// A volume without a source is an empty directory.
fn volume(map: &mut Map<'_>, plan: &Plan) {
    set(map, plan, "emptyDir", |map| {
        (!map.iter().any(|(key, _)| key != "name")).then(|| Json::Map(Map::new()))
    });
}

/// A port of a Service targets the same port.
fn target_port(map: &mut Map<'_>, plan: &Plan) {
    set(map, plan, "targetPort", |map| map.get("port").cloned());
}

fn rolling_update(map: &mut Map<'_>, plan: &Plan, default: &'static str) {
    if plan.child("rollingUpdate").is_none()
        || map.get("type").and_then(Json::as_str) != Some("RollingUpdate")
    {
        return;
    }
    let Some(Json::Map(default)) = literal(default) else { return };
    set(map, plan, "rollingUpdate", |_| Some(Json::Map(Map::new())));
    let Some(Json::Map(given)) = map.get_mut("rollingUpdate") else { return };
    given.retain(|_, value| *value != Json::Null);
    for (name, value) in default {
        if given.get(&name).is_none() {
            given.insert(name, value);
        }
    }
}

/// For a Job; the API server leaves the job template of a CronJob alone.
fn job(map: &mut Map<'_>, plan: &Plan) {
    let parallel = map.get("parallelism").is_some();
    let per_index = map.get("backoffLimitPerIndex").is_some();
    let has_policy = map.get("podFailurePolicy").is_some();
    // One completion and one pod at a time, unless either is given: parallelism alone makes a work queue.
    set(map, plan, "completions", |_| (!parallel).then_some(Json::Int(1)));
    set(map, plan, "parallelism", |_| Some(Json::Int(1)));
    set(map, plan, "backoffLimit", |_| Some(Json::Int(if per_index { i64::from(i32::MAX) } else { 6 })));
    set(map, plan, "completionMode", |_| text("NonIndexed"));
    set(map, plan, "suspend", |_| Some(Json::Bool(false)));
    set(map, plan, "manualSelector", |_| Some(Json::Bool(false)));
    set(map, plan, "podReplacementPolicy", |_| {
        text(if has_policy { "Failed" } else { "TerminatingOrFailed" })
    });
}

/// A policy always covers ingress, and covers egress when it has egress rules.
fn policy_types(map: &mut Map<'_>, plan: &Plan) {
    if map.get("policyTypes").is_some_and(|types| matches!(types, Json::List(types) if types.is_empty())) {
        map.remove("policyTypes");
    }
    set(map, plan, "policyTypes", |map| {
        literal(if map.get("egress").is_some_and(|egress| !egress.items().is_empty()) {
            r#"["Ingress", "Egress"]"#
        } else {
            r#"["Ingress"]"#
        })
    });
}

fn subject(map: &mut Map<'_>, plan: &Plan) {
    set(map, plan, "apiGroup", |map| match map.get("kind").and_then(Json::as_str) {
        Some("User" | "Group") => text("rbac.authorization.k8s.io"),
        _ => None,
    });
}

/// What applies to pods and not to pod templates. The API server fills in requests of whole pods too; see the
/// module.
fn pod(map: &mut Map<'_>, plan: &Plan) {
    let Some(plan) = plan.child("spec") else { return };
    let Some(Json::Map(spec)) = map.get_mut("spec") else { return };
    set(spec, plan, "enableServiceLinks", |_| Some(Json::Bool(true)));
    if plan.child("terminationGracePeriodSeconds").is_some()
        && spec.get("terminationGracePeriodSeconds").and_then(Json::as_int).is_some_and(|seconds| seconds < 0)
    {
        spec.insert(Cow::Borrowed("terminationGracePeriodSeconds"), Json::Int(1));
    }
    let host_network = spec.get("hostNetwork") == Some(&Json::Bool(true));
    for list in ["initContainers", "containers"] {
        let Some(plan) = plan.child(list).and_then(|plan| plan.child("*")) else { continue };
        let Some(Json::List(containers)) = spec.get_mut(list) else { continue };
        for container in containers {
            let Json::Map(container) = container else { continue };
            if plan.child("resources").is_some() {
                requests_from_limits(container);
            }
            if host_network && plan.child("ports").is_some() {
                host_ports(container);
            }
        }
    }
}

fn requests_from_limits(container: &mut Map<'_>) {
    let Some(Json::Map(resources)) = container.get_mut("resources") else { return };
    let Some(Json::Map(limits)) = resources.get("limits").cloned() else { return };
    if resources.get("requests").is_none() {
        resources.insert(Cow::Borrowed("requests"), Json::Map(Map::new()));
    }
    let Some(Json::Map(requests)) = resources.get_mut("requests") else { return };
    for (name, limit) in limits {
        if requests.get(&name).is_none() {
            requests.insert(name, limit);
        }
    }
}

/// In the host network, a port of a container is a port of the host.
fn host_ports(container: &mut Map<'_>) {
    let Some(Json::List(ports)) = container.get_mut("ports") else { return };
    for port in ports {
        let Json::Map(port) = port else { continue };
        let absent = matches!(port.get("hostPort"), None | Some(Json::Null | Json::Int(0)));
        if let Some(number) = port.get("containerPort").cloned().filter(|_| absent) {
            port.insert(Cow::Borrowed("hostPort"), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_latest;

    #[test]
    fn tells_the_tag_latest() {
        for image in
            ["a", "a:latest", "a/b", "registry.example.org:5000/a", "Host.example/a", "a:latest@sha256:0"]
        {
            assert!(is_latest(image), "{image}");
        }
        for image in ["", "a:1", "a@sha256:0", "a:1@sha256:0", "A", "registry.example.org:5000/a:1", "a/B/c"]
        {
            assert!(!is_latest(image), "{image}");
        }
    }
}
