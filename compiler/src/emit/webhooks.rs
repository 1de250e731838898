//! Webhook configurations: exactly the requests that the API server sends to the webhook.
//!
//! Rules are listed one by one, because `*` leaves out subresources, and `pods/ephemeralcontainers` and
//! `pods/resize` change a running pod. The namespace selector bounds what a dead webhook blocks. There is no
//! object selector, since the author of the object writes its labels.
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

use std::collections::BTreeSet;

use bailiwick_policy::policy::{ImageDigest, ImageLayer, LabelSelector, Origin, ResourceRule};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference, ValidatingWebhook,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};

use super::artifact::{Artifact, Target};
use super::cell::Cell;
use super::manifest::Documents;
use super::{EmitError, EmitOptions, WebhookClient, selector};

/// Seconds that the API server waits; every matched request may take this long when the webhook hangs.
pub(super) const TIMEOUT_S: i32 = 5;

/// The kinds that embed a pod template: group, version, resources.
/// <https://kubernetes.io/docs/concepts/workloads/>
const TEMPLATES: [(&str, &str, &[&str]); 3] = [
    ("", "v1", &["podtemplates", "replicationcontrollers"]),
    ("apps", "v1", &["daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("batch", "v1", &["cronjobs", "jobs"]),
];

pub(super) fn rule(group: &str, version: &str, resources: &[&str], operations: &[&str]) -> ResourceRule {
    let owned = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    ResourceRule {
        api_groups: vec![group.to_owned()],
        api_versions: vec![version.to_owned()],
        resources: owned(resources),
        operations: owned(operations),
    }
}

/// Requests that create or change a pod.
pub(super) fn pod_rules() -> Vec<ResourceRule> {
    vec![
        rule("", "v1", &["pods"], &["CREATE", "UPDATE"]),
        rule("", "v1", &["pods/ephemeralcontainers", "pods/resize"], &["UPDATE"]),
    ]
}

/// Requests that change a pod's labels; these include the pod's status, since a user who may write it can
/// write labels with it. Only the floor judges them: every node reports every pod's status all the time, and
/// must not wait for a webhook that is down.
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/pod/strategy.go>,
/// `podStatusStrategy`
pub(super) fn label_rules() -> Vec<ResourceRule> {
    let mut rules = pod_rules();
    rules.push(status_rule());
    rules
}

/// Requests that write a pod's status.
pub(super) fn status_rule() -> ResourceRule {
    rule("", "v1", &["pods/status"], &["UPDATE"])
}

/// Requests that bind a pod to a node, and write the labels of the binding onto the pod. Only the floor judges
/// them: scheduling must not wait for a webhook that is down.
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/pod/storage/storage.go>,
/// `BindingREST`
pub(super) fn binding_rules() -> Vec<ResourceRule> {
    vec![rule("", "v1", &["bindings", "pods/binding"], &["CREATE"])]
}

/// Requests that change a namespace's labels; its subresources accept labels too.
/// <https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/core/namespace/strategy.go>,
/// `namespaceStatusStrategy`, `namespaceFinalizeStrategy`
pub(super) fn namespace_rules() -> Vec<ResourceRule> {
    vec![rule("", "v1", &["namespaces", "namespaces/status", "namespaces/finalize"], &["UPDATE"])]
}

pub(super) fn template_rules() -> Vec<ResourceRule> {
    TEMPLATES
        .iter()
        .map(|(group, version, kinds)| rule(group, version, kinds, &["CREATE", "UPDATE"]))
        .collect()
}

/// Whether a section of the policy judges pods by itself.
fn sections_judge(cell: &Cell<'_>) -> bool {
    let policy = cell.policy;
    let isolation = &policy.isolation;
    let unmatched = policy.subject.iter().any(|s| s.unmatched == bailiwick_policy::policy::Unmatched::Deny);
    unmatched
        || !isolation.pod_security.is_empty()
        || isolation.runtime_class.is_some()
        || isolation.service_account_token.is_some()
        || policy.network.is_some()
        || !policy.images.is_empty()
}

/// The requests that `/validate` must see.
pub(super) fn validated(cell: &Cell<'_>) -> BTreeSet<ResourceRule> {
    let mut rules = BTreeSet::new();
    if sections_judge(cell) {
        rules.extend(pod_rules());
        rules.extend(template_rules());
    }
    for authored in &cell.policy.admission.rules {
        // A rule that only mutates is not evaluated again.
        if !authored.judges() {
            continue;
        }
        rules.extend(authored.matches.resources.iter().cloned());
        if authored.pod_templates {
            rules.extend(template_rules());
        }
    }
    rules
}

/// The requests that `/mutate` must see: the creation of pods, where a section writes absent fields, and what
/// the authored mutations match.
pub(super) fn mutated(cell: &Cell<'_>) -> BTreeSet<ResourceRule> {
    let mut rules = BTreeSet::new();
    let isolation = &cell.policy.isolation;
    if !isolation.pod_security.is_empty()
        || isolation.runtime_class.is_some()
        || isolation.service_account_token.is_some()
    {
        rules.insert(rule("", "v1", &["pods"], &["CREATE"]));
    }
    let resolves =
        |layer: &ImageLayer| layer.entries.iter().any(|entry| entry.digest == ImageDigest::Resolve);
    if cell.policy.images.iter().any(resolves) {
        // Images of a running pod can be changed, and ephemeral containers have their own.
        rules.insert(rule("", "v1", &["pods"], &["CREATE", "UPDATE"]));
        rules.insert(rule("", "v1", &["pods/ephemeralcontainers"], &["UPDATE"]));
    }
    for authored in cell.policy.admission.rules.iter().filter(|authored| !authored.mutations.is_empty()) {
        rules.extend(authored.matches.resources.iter().cloned());
    }
    rules
}

pub(super) fn with_operations(rules: BTreeSet<ResourceRule>) -> Option<Vec<RuleWithOperations>> {
    let rules: Vec<_> = rules
        .into_iter()
        .map(|rule| RuleWithOperations {
            api_groups: Some(rule.api_groups),
            api_versions: Some(rule.api_versions),
            operations: Some(rule.operations),
            resources: Some(rule.resources),
            scope: None,
        })
        .collect();
    (!rules.is_empty()).then_some(rules)
}

pub(super) fn client(options: &EmitOptions, path: &str) -> WebhookClientConfig {
    let ca_bundle = options.ca_bundle.clone().map(ByteString);
    match &options.webhook {
        WebhookClient::Url(base) => {
            let url = Some(format!("{}{path}", base.trim_end_matches('/')));
            WebhookClientConfig { ca_bundle, url, service: None }
        }
        WebhookClient::Service { namespace, name, port } => WebhookClientConfig {
            ca_bundle,
            service: Some(ServiceReference {
                name: name.clone(),
                namespace: namespace.clone(),
                path: Some(path.to_owned()),
                port: Some(i32::from(*port)),
            }),
            url: None,
        },
    }
}

/// Both configurations; a configuration without rules is left out.
pub(super) fn emit(cell: &Cell<'_>) -> Result<Option<Artifact>, EmitError> {
    let Some(namespaces) = cell.hooked_namespaces() else { return Ok(None) };
    let mut documents = Documents::new("kubernetes/webhooks.yaml");
    let metadata = || cell.metadata(cell.name("webhook"));
    if let Some(rules) = with_operations(mutated(cell)) {
        let webhooks = Some(vec![mutating(cell, &namespaces, rules)]);
        documents.push(&MutatingWebhookConfiguration { metadata: metadata(), webhooks })?;
    }
    if let Some(rules) = with_operations(validated(cell)) {
        let webhooks = Some(vec![validating(cell, &namespaces, rules)]);
        documents.push(&ValidatingWebhookConfiguration { metadata: metadata(), webhooks })?;
    }
    let from = cell.fields(&origins(cell))?;
    Ok(documents.bytes().map(|bytes| Artifact { bytes, target: Target::Webhook, from }))
}

/// Webhook names are domain names of at least three parts; the cell distinguishes those of two cells in audit
/// annotations.
fn mutating(cell: &Cell<'_>, namespaces: &LabelSelector, rules: Vec<RuleWithOperations>) -> MutatingWebhook {
    MutatingWebhook {
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client(cell.options, "/mutate"),
        failure_policy: Some("Fail".to_owned()),
        match_policy: Some("Equivalent".to_owned()),
        name: format!("mutate.{}.bailiwick.dev", cell.policy.cell),
        namespace_selector: Some(selector::kubernetes(namespaces)),
        // A later mutator may add a container; our webhook is idempotent and is called once more then.
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: Some(rules),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(TIMEOUT_S),
        ..MutatingWebhook::default()
    }
}

fn validating(
    cell: &Cell<'_>,
    namespaces: &LabelSelector,
    rules: Vec<RuleWithOperations>,
) -> ValidatingWebhook {
    ValidatingWebhook {
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client(cell.options, "/validate"),
        failure_policy: Some("Fail".to_owned()),
        match_policy: Some("Equivalent".to_owned()),
        name: format!("validate.{}.bailiwick.dev", cell.policy.cell),
        namespace_selector: Some(selector::kubernetes(namespaces)),
        rules: Some(rules),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(TIMEOUT_S),
        ..ValidatingWebhook::default()
    }
}

/// The origins of every statement that the webhook enforces.
pub(super) fn origins(cell: &Cell<'_>) -> Vec<Origin> {
    let policy = cell.policy;
    let isolation = &policy.isolation;
    let mut origins: Vec<Origin> = policy.subject.iter().flat_map(|s| s.from.clone()).collect();
    origins.extend(isolation.pod_security.iter().flat_map(|s| s.from.clone()));
    origins.extend(isolation.runtime_class.iter().flat_map(|s| s.from.clone()));
    origins.extend(isolation.service_account_token.iter().flat_map(|s| s.from.clone()));
    origins.extend(policy.network.iter().flat_map(|network| network.from.clone()));
    origins.extend(policy.images.iter().map(|layer| layer.from.clone()));
    origins.extend(policy.admission.rules.iter().map(|rule| rule.origin.clone()));
    origins
}
