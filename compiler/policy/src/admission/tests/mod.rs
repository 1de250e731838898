//! Decisions on whole requests, by a policy with every section (`fuzz_policy.json`).

mod authorizer;
mod images;
mod matching;
mod mutation;
mod robustness;
mod rules;
mod sections;
mod stages;
mod subresources;
mod unread;
mod updates;

use std::collections::BTreeMap;

use expect_test::Expect;

use super::{AdmissionRequest, ManifestContext, Namespaces, Operation, Phase, Reviewer};
use crate::bundle::Bundle;
use crate::decision::{Decision, Effect};
use crate::json::Json;
use crate::policy::Policy;

pub(super) const IMAGE: &str =
    "registry.example.org/agents/x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The policy under test.
pub(super) fn policy() -> Policy {
    serde_json::from_str(include_str!("../fuzz_policy.json")).unwrap()
}

pub(super) fn reviewer(policies: Vec<Policy>) -> Reviewer {
    let namespaces = [("agents", "zone", "agents"), ("other", "zone", "none")]
        .map(|(name, key, value)| (name.to_owned(), BTreeMap::from([(key.to_owned(), value.to_owned())])));
    let bundles =
        policies.into_iter().map(|policy| Bundle { digest: format!("digest-{}", policy.cell), policy });
    Reviewer::new(bundles.collect(), Namespaces::new(namespaces.into())).unwrap()
}

/// A pod that the policy admits after mutation. `spec` is merged into `spec`, `container` into its container.
pub(super) fn pod(spec: &str, container: &str) -> Json<'static> {
    let text = format!(
        r#"{{"apiVersion": "v1", "kind": "Pod",
            "metadata": {{"name": "p", "namespace": "agents", "labels": {{"component": "agent"}}}},
            "spec": {{"securityContext": {{"runAsNonRoot": true}}, "containers": [{{"name": "c", "image": "{IMAGE}",
                "resources": {{"limits": {{"memory": "1Gi"}}}},
                "securityContext": {{"allowPrivilegeEscalation": false, "capabilities": {{"drop": ["ALL"]}}}}}}]}}}}"#
    );
    let mut pod = json(&text);
    overlay(&mut pod, json(&format!(r#"{{"spec": {spec}}}"#)));
    let mut first =
        super::pointer::get(&pod, &["spec".into(), "containers".into(), "0".into()]).unwrap().clone();
    overlay(&mut first, json(container));
    super::pointer::set(&mut pod, &["spec".into(), "containers".into(), "0".into()], first).unwrap();
    pod
}

/// Writes a partial object over another: objects member by member, everything else replaced, and nulls left
/// out.
fn overlay(object: &mut Json<'static>, partial: Json<'static>) {
    match (object, partial) {
        (Json::Map(members), Json::Map(partial)) => {
            for (key, value) in partial.into_iter().filter(|(_, value)| *value != Json::Null) {
                if members.get(&key).is_none() {
                    members.insert(key.clone(), Json::Map(crate::json::Map::new()));
                }
                overlay(members.get_mut(&key).unwrap(), value);
            }
        }
        (object, value) => *object = value,
    }
}

/// The same pod as `/mutate` leaves it.
pub(super) fn stored(spec: &str, container: &str) -> Json<'static> {
    let request = create(pod(spec, container));
    reviewer(vec![policy()]).admit(&request).object.unwrap()
}

pub(super) fn with(mut object: Json<'static>, partial: &str) -> Json<'static> {
    overlay(&mut object, json(partial));
    object
}

/// The object with another value at a path.
pub(super) fn replaced(mut object: Json<'static>, path: &[&str], value: Json<'static>) -> Json<'static> {
    let path: Vec<String> = path.iter().map(ToString::to_string).collect();
    super::pointer::set(&mut object, &path, value).unwrap();
    object
}

pub(super) fn json(text: &str) -> Json<'static> {
    Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")).into_owned()
}

pub(super) fn create(object: Json<'static>) -> AdmissionRequest<'static> {
    AdmissionRequest::from_manifest(object, ManifestContext::default()).unwrap()
}

pub(super) fn update(old: Json<'static>, object: Json<'static>) -> AdmissionRequest<'static> {
    sub_update("", old, object)
}

pub(super) fn sub_update(
    sub_resource: &'static str,
    old: Json<'static>,
    object: Json<'static>,
) -> AdmissionRequest<'static> {
    let context = ManifestContext {
        operation: Operation::Update,
        old: Some(old),
        sub_resource: sub_resource.into(),
        ..ManifestContext::default()
    };
    AdmissionRequest::from_manifest(object, context).unwrap()
}

/// A workload around the pod's labels and spec.
pub(super) fn deployment(pod: &Json<'_>) -> Json<'static> {
    let (labels, spec) = (pod.at(&["metadata", "labels"]).unwrap(), pod.get("spec").unwrap());
    let text = format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "d", "namespace": "agents"}},
            "spec": {{"template": {{"metadata": {{"labels": {}}}, "spec": {}}}}}}}"#,
        serde_json::to_string(labels).unwrap(),
        serde_json::to_string(spec).unwrap()
    );
    json(&text)
}

/// A decision as text: verdict, findings, patch.
pub(super) fn shown(decision: &Decision) -> String {
    let mut out = String::from(if decision.allowed { "allowed" } else { "denied" });
    for finding in &decision.findings {
        let effect = match finding.effect {
            Effect::Deny => "deny",
            Effect::Warn => "warn",
            Effect::Audit => "audit",
        };
        out +=
            &format!("\n{effect} {}/{}: {} ({})", finding.pack, finding.rule, finding.message, finding.field);
        if let Some(remedy) = &finding.remedy {
            out += &format!("; {remedy}");
        }
    }
    for operation in &decision.patch {
        out += &format!("\n{}", serde_json::to_string(operation).unwrap());
    }
    out
}

/// What the client gets for a request: `/mutate`, then `/validate` over the result.
pub(super) fn admits(request: &AdmissionRequest<'_>, want: &Expect) {
    want.assert_eq(&shown(reviewer(vec![policy()]).admit(request).decision()));
}

pub(super) fn validates(request: &AdmissionRequest<'_>, want: &Expect) {
    want.assert_eq(&shown(&reviewer(vec![policy()]).review(request, Phase::Validate)));
}

pub(super) fn mutates(request: &AdmissionRequest<'_>, want: &Expect) {
    want.assert_eq(&shown(&reviewer(vec![policy()]).review(request, Phase::Mutate)));
}
