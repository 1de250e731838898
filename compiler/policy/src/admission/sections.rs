//! The rules that a pack's sections make: `podSecurity`, `runtimeClass`, `serviceAccountToken`, `network`,
//! `images`.
//!
//! Each judges one pod as it is; mutation came before, the ratchet comes after. Field paths are the pod's
//! own.

use crate::decision::{Effect, Finding};
use crate::json::Json;
use crate::policy::{Origin, ServiceAccountToken};

use super::evidence::Inquiry;
use super::image_layer::Judge;
use super::reviewer::Bound;
use super::{pod_security, shape};

/// The lists of containers, all of which run images.
pub(super) const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// What a section says.
pub(super) struct Statement<'s> {
    pub(super) rule: &'static str,
    pub(super) message: String,
    pub(super) field: String,
    pub(super) remedy: &'s str,
}

impl Bound {
    /// A section's objection to a pod, attributed to the first pack that states it: a denial where the policy
    /// is enforced.
    pub(super) fn denial(&self, from: &[Origin], statement: Statement<'_>) -> Finding {
        let mut finding = self.refusal(from, statement);
        self.temper(&mut finding);
        finding
    }

    /// A denial at any stage.
    pub(super) fn refusal(&self, from: &[Origin], statement: Statement<'_>) -> Finding {
        let pack = from.first().map_or_else(
            || self.pack_labels().collect::<Vec<_>>().join(", "),
            |origin| self.pack_name(origin.pack),
        );
        Finding {
            effect: Effect::Deny,
            pack,
            rule: statement.rule.to_owned(),
            message: statement.message,
            field: statement.field,
            remedy: (!statement.remedy.is_empty()).then(|| statement.remedy.to_owned()),
            reason: "Forbidden".to_owned(),
        }
    }
}

impl Bound {
    /// A denial of an object without the form of a pod; `fault`: the field as the reader of the pod names it,
    /// and what it should be.
    pub(super) fn unreadable(&self, from: &[Origin], field: String, fault: &shape::Fault) -> Finding {
        let (named, expected) = fault;
        let message = format!("`{named}` is not {expected}, so the pod cannot be judged");
        self.denial(from, Statement { rule: "object", message, field, remedy: "fix the manifest" })
    }
}

/// What is known about images, and which of them need no evidence: an image that an update leaves in its
/// place was judged before.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'e> {
    pub(super) images: &'e Inquiry<'e>,
    /// The pod before the update, if the policy governed it.
    pub(super) before: Option<&'e Json<'e>>,
}

/// Judges a pod by all sections of a policy.
pub(super) fn judge(bound: &Bound, pod: &Json<'_>, evidence: Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    pod_security(bound, pod, &mut findings);
    runtime_class(bound, pod, &mut findings);
    service_account_token(bound, pod, &mut findings);
    network(bound, pod, &mut findings);
    images(bound, pod, evidence, &mut findings);
    findings
}

fn pod_security(bound: &Bound, pod: &Json<'_>, findings: &mut Vec<Finding>) {
    for stated in &bound.policy.isolation.pod_security {
        for violation in pod_security::evaluate(stated.value, pod) {
            let mut fields = violation.fields;
            if fields.is_empty() {
                fields.push(String::new());
            }
            for field in fields {
                let message = violation.message.clone();
                let statement = Statement { rule: "podSecurity", message, field, remedy: violation.remedy };
                findings.push(bound.denial(&stated.from, statement));
            }
        }
    }
}

fn runtime_class(bound: &Bound, pod: &Json<'_>, findings: &mut Vec<Finding>) {
    let Some(stated) = &bound.policy.isolation.runtime_class else {
        return;
    };
    let named = pod.at(&["spec", "runtimeClassName"]).and_then(Json::as_str).filter(|name| !name.is_empty());
    let message = match named {
        Some(name) if stated.value.classes.iter().any(|class| class.name == name) => return,
        Some(name) => format!("RuntimeClass `{name}` is not allowed"),
        None => "the pod names no RuntimeClass".to_owned(),
    };
    let names: Vec<String> = stated.value.classes.iter().map(|class| format!("`{}`", class.name)).collect();
    let remedy = if names.is_empty() {
        "no RuntimeClass is allowed by all packs; fix the packs".to_owned()
    } else {
        format!("set it to {}", names.join(" or "))
    };
    let field = "spec.runtimeClassName".to_owned();
    findings.push(
        bound.denial(&stated.from, Statement { rule: "runtimeClass", message, field, remedy: &remedy }),
    );
}

fn service_account_token(bound: &Bound, pod: &Json<'_>, findings: &mut Vec<Finding>) {
    let Some(stated) = &bound.policy.isolation.service_account_token else {
        return;
    };
    if stated.value != ServiceAccountToken::Forbidden {
        return;
    }
    if pod.at(&["spec", "automountServiceAccountToken"]) != Some(&Json::Bool(false)) {
        let statement = Statement {
            rule: "serviceAccountToken",
            message: "the pod mounts a service account token".to_owned(),
            field: "spec.automountServiceAccountToken".to_owned(),
            remedy: "set it to false",
        };
        findings.push(bound.denial(&stated.from, statement));
    }
    for field in projected_tokens(pod) {
        let statement = Statement {
            rule: "serviceAccountToken",
            message: "a volume projects a service account token".to_owned(),
            field,
            remedy: "remove the source",
        };
        findings.push(bound.denial(&stated.from, statement));
    }
}

fn projected_tokens(pod: &Json<'_>) -> Vec<String> {
    let volumes = pod.at(&["spec", "volumes"]).map(Json::items).unwrap_or_default();
    let sources = volumes.iter().enumerate().flat_map(|(at, volume)| {
        let sources = volume.at(&["projected", "sources"]).map(Json::items).unwrap_or_default();
        sources.iter().enumerate().map(move |(source_at, source)| (at, source_at, source))
    });
    sources
        .filter(|(_, _, source)| source.get("serviceAccountToken").is_some_and(|token| *token != Json::Null))
        .map(|(at, source, _)| format!("spec.volumes[{at}].projected.sources[{source}].serviceAccountToken"))
        .collect()
}

fn network(bound: &Bound, pod: &Json<'_>, findings: &mut Vec<Finding>) {
    let Some(network) = &bound.policy.network else {
        return;
    };
    if pod.at(&["spec", "hostNetwork"]) == Some(&Json::Bool(true)) {
        let statement = Statement {
            rule: "network",
            message: "NetworkPolicies do not hold for a pod on the host's network".to_owned(),
            field: "spec.hostNetwork".to_owned(),
            remedy: "remove hostNetwork",
        };
        findings.push(bound.denial(&network.from, statement));
    }
}

fn images(bound: &Bound, pod: &Json<'_>, evidence: Evidence<'_>, findings: &mut Vec<Finding>) {
    if bound.images.is_empty() {
        return;
    }
    let old = evidence.before.map(image_references).unwrap_or_default();
    for (field, image) in image_references(pod) {
        let stood = old.iter().any(|(at, before)| (at, *before) == (&field, image));
        let judge = if stood { Judge::Words } else { Judge::Evidence(evidence.images) };
        for layer in &bound.images {
            if let Some(objection) = layer.objection(image, judge) {
                let remedy = &objection.remedy;
                let (message, field) = (objection.message, field.clone());
                let statement = Statement { rule: "images", message, field, remedy };
                findings.push(bound.denial(std::slice::from_ref(&layer.from), statement));
            }
        }
    }
}

/// Every image that a pod runs or mounts, with its field. A container without an image has the empty
/// reference, which no entry matches.
pub(super) fn image_references<'p>(pod: &'p Json<'_>) -> Vec<(String, &'p str)> {
    let list = |name: &str| pod.at(&["spec", name]).map(Json::items).unwrap_or_default();
    let mut images = Vec::new();
    for name in CONTAINER_LISTS {
        for (at, container) in list(name).iter().enumerate() {
            let image = container.get("image").and_then(Json::as_str).unwrap_or_default();
            images.push((format!("spec.{name}[{at}].image"), image));
        }
    }
    for (at, volume) in list("volumes").iter().enumerate() {
        if let Some(source) = volume.get("image").filter(|source| **source != Json::Null) {
            let image = source.get("reference").and_then(Json::as_str).unwrap_or_default();
            images.push((format!("spec.volumes[{at}].image.reference"), image));
        }
    }
    images
}
