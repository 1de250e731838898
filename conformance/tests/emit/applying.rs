//! Updates that make a rule apply: on a real API server they are judged as creations are, and what a rule or
//! policy found before they came to be stays changeable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_conformance::api::Api;
use bailiwick_conformance::cluster::Cluster;
use bailiwick_conformance::guest::Guest;
use bailiwick_conformance::patience::until;
use bailiwick_policy::admission::{
    AdmissionRequest, ManifestContext, Namespaces, Operation, Phase, Reviewer,
};
use bailiwick_policy::bundle::Bundle;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::{Admission, AdmissionRule, PodSecurity, PodSecurityLevel, Policy, Unmatched};
use serde_json::{Value, json};

use crate::cluster::install;
use crate::policies::{DIGEST, bare, labels, stated};
use crate::rules::Author;
use crate::shared;

/// A policy over a namespace of its own.
struct Case {
    namespace: &'static str,
    policy: Policy,
    /// The plural of the objects' kind.
    resource: &'static str,
    /// Stored before the policy is in force; it violates the policy.
    old: Value,
    /// Stored afterwards; it would violate the policy if the policy applied to it.
    free: Value,
    changes: Vec<Change>,
}

/// An update of the object `old` or `free`, as a merge patch.
struct Change {
    of: &'static str,
    /// Of the resource, or empty.
    sub_resource: &'static str,
    patch: Value,
    allowed: bool,
}

fn change(of: &'static str, sub_resource: &'static str, patch: Value, allowed: bool) -> Change {
    Change { of, sub_resource, patch, allowed }
}

/// A policy over a namespace and all its objects.
fn over(index: u32, namespace: &str) -> Policy {
    let mut policy = bare();
    policy.cell = format!("acac{index:012x}");
    let subject = policy.subject.as_mut().unwrap();
    subject.namespaces = vec![labels(&[("bailiwick.dev/zone", namespace)])];
    subject.pods = Vec::new();
    subject.unmatched = Unmatched::Allow;
    subject.exclusive = false;
    policy
}

/// The same with one rule; `resource` is of the core group.
fn of_rule(index: u32, namespace: &str, author: Author, mut rule: AdmissionRule, resource: &str) -> Policy {
    for one in &mut rule.matches.resources {
        one.resources = vec![resource.to_owned()];
    }
    rule.pod_templates = resource == "pods";
    let (shared, regexes) = author.into_parts();
    let admission = Admission { shared, regexes, rules: vec![rule], ..Admission::default() };
    Policy { admission, ..over(index, namespace) }
}

fn pod(labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "x"}]}
    })
}

/// (a) A condition over the object.
fn by_condition() -> Case {
    let namespace = "applying-condition";
    let mut author = Author::of("Service");
    let valid = "object.metadata.?annotations[?'audited'].hasValue()";
    let mut rule = author.rule("audited", &["CREATE", "UPDATE"], valid, "annotate it");
    author.condition(&mut rule, "balancer", "object.spec.type == 'LoadBalancer'");
    let service = |of: &str| json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec": {"type": of, "ports": [{"port": 80}]}});
    Case {
        namespace,
        policy: of_rule(1, namespace, author, rule, "services"),
        resource: "services",
        old: service("LoadBalancer"),
        free: service("ClusterIP"),
        changes: vec![
            change("free", "", json!({"spec": {"type": "LoadBalancer"}}), false),
            change("free", "", json!({"metadata": {"labels": {"a": "b"}}}), true),
            change("old", "", json!({"metadata": {"labels": {"a": "b"}}}), true),
        ],
    }
}

/// A condition that needs a variable, which the API server's match conditions do not have.
fn by_guard() -> Case {
    let namespace = "applying-guard";
    let mut author = Author::of("Pod");
    author.variable("tier", "object.metadata.?labels[?'tier'].orValue('none')");
    let valid = "has(object.spec.activeDeadlineSeconds)";
    let mut rule = author.rule("deadline", &["CREATE", "UPDATE"], valid, "set a deadline");
    author.condition(&mut rule, "production", "variables.tier == 'prod'");
    let policy = of_rule(2, namespace, author, rule, "pods");
    Case { namespace, policy, ..of_tier() }
}

/// (b) An object selector.
fn by_selector() -> Case {
    let namespace = "applying-selector";
    let mut author = Author::of("Pod");
    let valid = "has(object.spec.activeDeadlineSeconds)";
    let mut rule = author.rule("deadline", &["CREATE", "UPDATE"], valid, "set a deadline");
    // As it is lowered.
    let mut ways = rule.matches.resources.clone();
    rule.matches.object_selector = Some(labels(&[("tier", "prod")]));
    let mut policy = of_rule(3, namespace, author, rule, "pods");
    for way in &mut ways {
        way.resources = vec!["pods/ephemeralcontainers".to_owned(), "pods/resize".to_owned()];
        way.operations = vec!["UPDATE".to_owned()];
    }
    policy.admission.rules[0].matches.resources.append(&mut ways);
    let mut case = Case { namespace, policy, ..of_tier() };
    let debug = json!({"spec": {"ephemeralContainers": [
        {"name": "debug", "image": "x", "terminationMessagePolicy": "File", "terminationMessagePath": "/dev/x", "imagePullPolicy": "Always"}
    ]}});
    case.changes.push(change("old", "ephemeralcontainers", debug, true));
    case
}

/// Pods to which a rule applies if they are of the tier `prod`.
fn of_tier() -> Case {
    Case {
        namespace: "",
        policy: bare(),
        resource: "pods",
        old: pod(&json!({"tier": "prod"})),
        free: pod(&json!({"tier": "dev"})),
        changes: vec![
            change("free", "", json!({"metadata": {"labels": {"tier": "prod"}}}), false),
            change("free", "", json!({"metadata": {"labels": {"tier": "test"}}}), true),
            change("free", "status", json!({"metadata": {"labels": {"tier": "prod"}}}), false),
            change("old", "", json!({"metadata": {"annotations": {"a": "b"}}}), true),
            change("old", "status", json!({"metadata": {"annotations": {"a": "b"}}}), true),
        ],
    }
}

/// (c) The policy's subject, over a section and over a rule.
fn by_subject() -> Case {
    let namespace = "applying-subject";
    let mut author = Author::of("Pod");
    let valid = "has(object.spec.activeDeadlineSeconds)";
    let rule = author.rule("deadline", &["CREATE", "UPDATE"], valid, "set a deadline");
    let mut policy = of_rule(4, namespace, author, rule, "pods");
    policy.subject.as_mut().unwrap().pods = vec![labels(&[("agent", "yes")])];
    let baseline = PodSecurity { level: PodSecurityLevel::Baseline, minor: 36 };
    policy.isolation.pod_security = vec![stated(baseline, "spec.isolation.podSecurity")];
    let privileged = |agent: &str| {
        let mut pod = pod(&json!({"agent": agent}));
        pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
        pod
    };
    Case {
        namespace,
        policy,
        resource: "pods",
        old: privileged("yes"),
        free: privileged("no"),
        changes: vec![
            change("free", "", json!({"metadata": {"labels": {"agent": "yes"}}}), false),
            change("free", "status", json!({"metadata": {"labels": {"agent": "yes"}}}), false),
            change("free", "", json!({"metadata": {"labels": {"agent": "none"}}}), true),
            change("old", "", json!({"metadata": {"annotations": {"a": "b"}}}), true),
        ],
    }
}

/// (d) A rule over updates alone.
fn by_operation() -> Case {
    let namespace = "applying-operation";
    let mut author = Author::of("ConfigMap");
    let valid = "object.?data[?'mode'].orValue('') != 'open'";
    let rule = author.rule("closed", &["UPDATE"], valid, "close it");
    let open = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"mode": "open"}});
    Case {
        namespace,
        policy: of_rule(5, namespace, author, rule, "configmaps"),
        resource: "configmaps",
        old: open.clone(),
        free: open,
        changes: vec![
            change("free", "", json!({"metadata": {"labels": {"a": "b"}}}), false),
            change("free", "", json!({"data": {"mode": "shut"}}), true),
            change("old", "", json!({"metadata": {"labels": {"a": "b"}}}), false),
        ],
    }
}

/// A write of a pod's status, which stores labels too. A rule that fails over a pod of before does not keep its
/// node from reporting.
fn by_status() -> Case {
    let namespace = "applying-status";
    let mut author = Author::of("Pod");
    let rule = author.rule("team", &["CREATE", "UPDATE"], "object.metadata.labels.team == 'red'", "be red");
    let report = json!({"status": {"message": "well"}});
    Case {
        namespace,
        policy: of_rule(6, namespace, author, rule, "pods"),
        resource: "pods",
        old: pod(&json!({"app": "agent"})),
        free: pod(&json!({"team": "red"})),
        changes: vec![
            change("free", "", json!({"metadata": {"labels": {"team": "blue"}}}), false),
            change("free", "status", json!({"metadata": {"labels": {"team": "blue"}}}), false),
            change("free", "status", json!({"metadata": {"labels": {"other": "blue"}}}), true),
            change("free", "status", report.clone(), true),
            change("old", "status", report, true),
        ],
    }
}

/// RFC 7396, without nulls.
fn merged(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(members), Value::Object(patch)) => {
            for (key, value) in patch {
                merged(members.entry(key.clone()).or_insert(json!({})), value);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}

impl Case {
    fn reviewer(&self) -> Reviewer {
        let zone = BTreeMap::from([("bailiwick.dev/zone".to_owned(), self.namespace.to_owned())]);
        let namespaces = Namespaces::new(BTreeMap::from([(self.namespace.to_owned(), zone)]));
        let bundle = Bundle { policy: self.policy.clone(), digest: DIGEST.to_owned() };
        Reviewer::new(vec![bundle], namespaces).unwrap()
    }

    fn at(&self) -> String {
        format!("/api/v1/namespaces/{}/{}", self.namespace, self.resource)
    }

    fn store(&self, api: &Api, name: &str, object: &Value) {
        let mut object = object.clone();
        object["metadata"]["name"] = json!(name);
        api.send("POST", &self.at(), &object).unwrap();
    }

    /// What the webhook says about a change of a stored object.
    fn ours(&self, old: &Value, change: &Change) -> bool {
        let mut new = old.clone();
        merged(&mut new, &change.patch);
        let context = ManifestContext {
            operation: Operation::Update,
            old: Some(Json::from(old)),
            sub_resource: change.sub_resource.into(),
            ..ManifestContext::default()
        };
        let request = AdmissionRequest::from_manifest(Json::from(&new), context).unwrap();
        self.reviewer().review(&request, Phase::Validate).allowed
    }

    /// What the API server says, and why.
    fn theirs(&self, api: &Api, change: &Change) -> (bool, Value) {
        let way = if change.sub_resource.is_empty() { "" } else { "/" };
        let path = format!("{}/{}{way}{}?dryRun=All", self.at(), change.of, change.sub_resource);
        let patch = change.patch.to_string();
        let (status, body) = api.ask("PATCH", &path, "application/merge-patch+json", &patch).unwrap();
        let refused = body["message"].as_str().unwrap_or_default().contains("ValidatingAdmissionPolicy");
        assert!(status == 200 || refused, "{}: {body}", self.namespace);
        (status == 200, body)
    }

    /// The changes about which webhook or API server say something else than they should.
    fn wrong(&self, cluster: &Arc<Cluster>, api: &Api) -> Vec<String> {
        let guest = &Guest::of(cluster);
        let zone = json!({"bailiwick.dev/zone": self.namespace});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": zone}});
        guest.bring(&["apply", "--server-side"], &namespace.to_string()).unwrap();
        cluster.await_namespace(self.namespace).unwrap();
        self.store(api, "old", &self.old);
        install(guest, &self.policy);
        let in_force = until("the policy is in force", || {
            let denied = self.changes.iter().find(|change| !change.allowed && change.of == "old");
            let mut again = self.old.clone();
            again["metadata"]["name"] = json!("again");
            let created = || {
                api.ask("POST", &format!("{}?dryRun=All", self.at()), "application/json", &again.to_string())
            };
            match denied {
                Some(change) => (!self.theirs(api, change).0).then_some(()),
                None => (created().unwrap().0 != 201).then_some(()),
            }
        });
        self.store(api, "free", &self.free);
        let mut wrong = Vec::new();
        if let Err(error) = in_force {
            wrong.push(format!("{}: {error:#}", self.namespace));
        }
        for change in &self.changes {
            let stored = api.get(&format!("{}/{}", self.at(), change.of)).unwrap();
            let (said, body) = self.theirs(api, change);
            let what = format!(
                "{}: {} {} {}, rightly {}",
                self.namespace, change.of, change.sub_resource, change.patch, change.allowed
            );
            // Of a pod's status only the API server itself is asked.
            if change.sub_resource != "status" && self.ours(&stored, change) != change.allowed {
                wrong.push(format!("the webhook, {what}"));
            }
            if said != change.allowed {
                wrong.push(format!("the API server, {what}: {}", body["message"]));
            }
        }
        wrong
    }
}

#[test]
fn an_update_that_makes_a_rule_apply_is_judged_as_a_creation() {
    let cluster = shared();
    let api = cluster.api().unwrap();
    let cases = [by_condition(), by_guard(), by_selector(), by_subject(), by_operation(), by_status()];
    let wrong: Vec<String> = cases.iter().flat_map(|case| case.wrong(&cluster, &api)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
