//! A real API server accepts every emitted manifest, and its admission policies give the webhook's verdict on
//! pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_compiler::emit::{EmitOptions, WebhookClient, artifacts};
use bailiwick_conformance::cluster::Cluster;
use bailiwick_conformance::guest::{Guest, everything, nothing_is_left};
use bailiwick_conformance::patience::until;
use bailiwick_conformance::pod_security_fixtures::fixtures;
use bailiwick_policy::admission::{AdmissionRequest, ManifestContext, Namespaces, Phase, Reviewer};
use bailiwick_policy::bundle::Bundle;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::{PodSecurity, PodSecurityLevel, Policy, Unmatched};
use serde_json::{Value, json};

use crate::policies::{DIGEST, bare, digest, full, labels, stated};
use crate::{rules, shared};

/// The namespace of the pods; the label is what subjects select by.
const NAMESPACE: &str = "floor";

/// Versions that between them have every version of every check.
const MINORS: [u16; 8] = [0, 18, 22, 25, 29, 34, 35, 37];

/// The policy of one Pod Security standard, over pods labelled with it.
fn of_standard(index: usize, standard: PodSecurity) -> Policy {
    let mut policy = bare();
    policy.cell = format!("{index:016x}");
    let subject = policy.subject.as_mut().unwrap();
    subject.unmatched = Unmatched::Allow;
    subject.exclusive = false;
    subject.pods = vec![labels(&[("standard", &label_of(standard))])];
    policy.isolation.pod_security = vec![stated(standard, "spec.isolation.podSecurity")];
    policy
}

fn label_of(standard: PodSecurity) -> String {
    format!("{:?}-{}", standard.level, standard.minor).to_lowercase()
}

/// A policy with every section except the closed namespace, which would deny the pods of the other policies.
fn of_sections() -> Policy {
    let mut policy = full();
    let subject = policy.subject.as_mut().unwrap();
    subject.unmatched = Unmatched::Allow;
    subject.exclusive = false;
    for pattern in ["registry:443/app/**", "localhost.example.org/app/**", "[::1]:443/app/**"] {
        let mut entry = policy.images[0].entries[0].clone();
        entry.patterns = vec![pattern.to_owned()];
        policy.images[0].entries.push(entry);
    }
    policy
}

/// A pod that `of_sections` allows.
fn good() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"labels": {"app": "agent", "tier": "a"}},
        "spec": {
            "automountServiceAccountToken": false,
            "runtimeClassName": "gvisor",
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container("main")]
        }
    })
}

fn container(name: &str) -> Value {
    json!({
        "name": name, "image": "registry.example.org/agents/x:1",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
    })
}

/// Sets the value at a JSON pointer whose parent exists.
fn with(mut pod: Value, at: &str, value: Value) -> Value {
    let (parent, key) = at.rsplit_once('/').unwrap();
    match pod.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Object(map) => {
            map.insert(key.to_owned(), value);
        }
        Value::Array(items) => items.push(value),
        other => panic!("{parent} is {other}"),
    }
    pod
}

/// Pods around the good one, with images in each place that has one.
fn of_every_image() -> Vec<Value> {
    let mut pods = Vec::new();
    let digest = format!("@sha256:{DIGEST}");
    for image in [
        "registry.example.org/agents/y",
        "registry.example.org/agents/a/b/c:tag",
        "registry.example.org/agents/old-1",
        "registry.example.org/agents/old-1/x",
        "registry.example.org/agents/older",
        "registry.example.org/agentsx/y",
        "registry.example.org/agents/",
        "registry.example.org/agents/UPPER",
        "registry.example.org:443/agents/y",
        "registry.example.org:443/agents/old-1",
        "registry.example.org:5000/agents/y",
        "Registry.Example.ORG/agents/y",
        "REGISTRY.example.org/agents/old-1",
        "other.example.org/agents/y",
        "nginx",
        "agents/y",
        "docker.io/agents/y",
        "registryxexample.org/agents/y",
        "registry.example.org/agents/y:bad:tag",
        "registry.example.org/agents/y@sha256:abc",
        &format!("registry.example.org/agents/y{digest}"),
        &format!("registry.example.org/agents/y:1{digest}"),
        &format!("registry.example.org/agents/old-2:1{digest}"),
        "registry.example.org/agents/y:old-1",
        "registry.example.org/agents/a..b",
        "registry.example.org/agents/a__b",
        "registry.example.org/agents/a---b",
        // Without the port, the first is a path on docker.io.
        "registry/app/x",
        "registry:443/app/x",
        "localhost.example.org/app/x",
        "localhost.example.org:443/app/x",
        "[::1]/app/x",
        "[::1]:443/app/x",
    ] {
        pods.push(with(good(), "/spec/containers/0/image", json!(image)));
        let mut second = container("second");
        second["image"] = json!(image);
        pods.push(with(good(), "/spec/containers/-", second.clone()));
        pods.push(with(good(), "/spec/initContainers", json!([second])));
        let volume = json!([{"name": "v", "image": {"reference": image}}]);
        pods.push(with(good(), "/spec/volumes", volume));
    }
    pods
}

/// Pods around the good one: each section's faults, in each kind of container.
fn of_every_section() -> Vec<Value> {
    let mut pods = vec![good(), with(good(), "/spec/initContainers", json!([container("init")]))];
    pods.extend(of_every_image());
    for class in ["gvisor", "runc"] {
        pods.push(with(good(), "/spec/runtimeClassName", json!(class)));
    }
    let mut without_class = good();
    without_class["spec"].as_object_mut().unwrap().remove("runtimeClassName");
    pods.push(without_class);
    let mut with_token = good();
    with_token["spec"].as_object_mut().unwrap().remove("automountServiceAccountToken");
    pods.push(with_token);
    pods.push(with(good(), "/spec/automountServiceAccountToken", json!(true)));
    let projected =
        json!([{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]);
    pods.push(with(good(), "/spec/volumes", projected));
    let harmless = json!([{"name": "t", "projected": {"sources": [{"downwardAPI": {}}]}}]);
    pods.push(with(good(), "/spec/volumes", harmless));
    pods.push(with(good(), "/spec/hostNetwork", json!(true)));
    for labels in
        [json!({"app": "other"}), json!({"app": "agent"}), json!({"app": "agent", "tier": "c"}), json!({})]
    {
        let privileged = with(good(), "/spec/containers/0/securityContext/privileged", json!(true));
        pods.push(with(privileged, "/metadata/labels", labels));
    }
    pods
}

/// Pods with names of their own, in the namespace, and whether the policies are expected to allow them.
fn corpus(reviewer: &Reviewer) -> Option<BTreeMap<String, (Value, bool)>> {
    let mut pods = of_every_section();
    pods.extend(rules::pods());
    for fixture in fixtures().unwrap()? {
        if MINORS.contains(&fixture.standard.minor) {
            let label = label_of(fixture.standard);
            pods.push(with(
                with(fixture.pod.clone(), "/metadata/labels", json!({})),
                "/metadata/labels/standard",
                json!(label),
            ));
        }
        if fixture.standard == (PodSecurity { level: PodSecurityLevel::Restricted, minor: 36 }) {
            // The same faults in a pod to which the other sections do not object.
            let mut pod = with(fixture.pod.clone(), "/metadata/labels", json!({"app": "agent", "tier": "b"}));
            pod["spec"]["runtimeClassName"] = json!("runc");
            pod["spec"]["automountServiceAccountToken"] = json!(false);
            for list in ["initContainers", "containers"] {
                for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
                {
                    container["image"] = json!("registry.example.org/agents/x:1");
                }
            }
            pods.push(pod);
        }
    }
    let named = pods.into_iter().enumerate().map(|(index, mut pod)| {
        let name = format!("p{index}");
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["namespace"] = json!(NAMESPACE);
        let allowed = admitted(reviewer, &pod);
        (name, (pod, allowed))
    });
    Some(named.collect())
}

fn admitted(reviewer: &Reviewer, pod: &Value) -> bool {
    let request = AdmissionRequest::from_manifest(Json::from(pod), ManifestContext::default()).unwrap();
    reviewer.review(&request, Phase::Validate).allowed
}

/// Applies the files of a policy, except those that name an unreachable webhook.
pub(crate) fn install(guest: &Guest, policy: &Policy) {
    install_with(guest, policy, &EmitOptions::default());
}

pub(crate) fn install_with(guest: &Guest, policy: &Policy, options: &EmitOptions) {
    let emitted = artifacts(policy, &digest(policy), options).unwrap();
    for path in ["kubernetes/runtime-classes.yaml", "kubernetes/admission-policies.yaml"] {
        if let Some(file) = emitted.files.get(path) {
            let text = std::str::from_utf8(&file.bytes).unwrap();
            guest.bring(&["apply", "--server-side"], text).unwrap();
        }
    }
}

/// The API server's verdicts on pods: the names of those it would store, and of those that an admission
/// policy denied. It rejects others for its own reasons (validation).
fn verdicts(cluster: &Cluster, pods: &[&Value]) -> (BTreeSet<String>, BTreeSet<String>) {
    let text: Vec<String> = pods.iter().map(ToString::to_string).collect();
    let output = cluster
        .kubectl_raw(
            ["create", "--dry-run=server", "--validate=false", "-o", "name", "-f", "-"],
            &text.join("\n"),
        )
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("resulted in error"), "an admission policy failed to evaluate: {errors}");
    let stored = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix("pod/").map(str::to_owned))
        .collect();
    let refused = errors
        .lines()
        .filter(|line| line.contains("ValidatingAdmissionPolicy"))
        .filter_map(|line| line.split("pods \"").nth(1)?.split('"').next().map(str::to_owned))
        .collect();
    (stored, refused)
}

/// Waits until the API server has put every policy into use: one pod for each is denied.
fn wait_until_in_force(cluster: &Cluster, standards: &[PodSecurity]) {
    let mut probes: Vec<Value> = standards
        .iter()
        .map(|standard| with(good(), "/metadata/labels", json!({"standard": label_of(*standard)})))
        .collect();
    probes.push(good());
    for (index, probe) in probes.iter_mut().enumerate() {
        probe["metadata"]["name"] = json!(format!("probe{index}"));
        probe["metadata"]["namespace"] = json!(NAMESPACE);
        probe["spec"]["hostNetwork"] = json!(true);
    }
    let probes: Vec<&Value> = probes.iter().collect();
    until("every policy is in force", || {
        let (_, refused) = verdicts(cluster, &probes);
        (refused.len() == probes.len()).then_some(())
    })
    .unwrap();
}

fn namespace(cluster: &Cluster, guest: &Guest) {
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"bailiwick.dev/zone": "agents"}}
    });
    guest.bring(&["apply", "--server-side"], &object.to_string()).unwrap();
    cluster.await_namespace(NAMESPACE).unwrap();
}

#[test]
fn admission_policies_give_the_webhooks_verdict_on_pods() {
    let standards: Vec<PodSecurity> = [PodSecurityLevel::Baseline, PodSecurityLevel::Restricted]
        .into_iter()
        .flat_map(|level| MINORS.map(|minor| PodSecurity { level, minor }))
        .collect();
    let mut policies: Vec<Policy> =
        standards.iter().enumerate().map(|(index, standard)| of_standard(index, *standard)).collect();
    policies.push(of_sections());
    policies.push(rules::policy());
    let zone = BTreeMap::from([("bailiwick.dev/zone".to_owned(), "agents".to_owned())]);
    let namespaces = Namespaces::new(BTreeMap::from([(NAMESPACE.to_owned(), zone)]));
    let bundles = policies.iter().map(|policy| Bundle { policy: policy.clone(), digest: DIGEST.to_owned() });
    let reviewer = Reviewer::new(bundles.collect(), namespaces).unwrap();
    let Some(corpus) = corpus(&reviewer) else { return };

    let cluster = shared();
    let guest = Guest::of(&cluster);
    namespace(&cluster, &guest);
    for policy in &policies {
        install(&guest, policy);
    }
    wait_until_in_force(&cluster, &standards);
    let pods: Vec<&Value> = corpus.values().map(|(pod, _)| pod).collect();
    let (mut judged, mut allowed, mut wrong) = (0, 0, Vec::new());
    for pods in pods.chunks(500) {
        let (stored, refused) = verdicts(&cluster, pods);
        for name in stored.iter().chain(&refused) {
            let (pod, expected) = &corpus[name];
            judged += 1;
            allowed += usize::from(*expected);
            if stored.contains(name) != *expected {
                wrong.push(format!("{name}: the webhook says {expected}, the API server not: {pod}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
    assert!(judged >= 500 && allowed >= 100, "only {judged} pods were judged, {allowed} of them allowed");
    eprintln!("{judged} of {} pods judged, {allowed} allowed", corpus.len());
    frozen_labels(&cluster, &guest);
    updates(&cluster, &guest);
}

/// An authored rule does not judge again what existed before, and one that compares is evaluated at every
/// update.
fn updates(cluster: &Cluster, guest: &Guest) {
    let annotate = |change: &str| {
        let args = ["annotate", "pod", "ruled", "-n", NAMESPACE, "--overwrite", change];
        let output = cluster.kubectl_raw(args, "").unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let delete =
        ["delete", "pod", "ruled", "-n", NAMESPACE, "--ignore-not-found", "--grace-period=0", "--force"];
    cluster.kubectl(delete, "").unwrap();
    let mut pod = rules::pod(json!({"team": "red", "fixed": "1"}));
    pod["metadata"]["name"] = json!("ruled");
    guest.bring(&["create", "-n", NAMESPACE], &pod.to_string()).unwrap();
    assert!(annotate("other=1").0);
    let (changed, errors) = annotate("fixed=2");
    assert!(!changed && errors.contains("fixed-annotation: the annotation may not change"), "{errors}");
    let (changed, errors) = annotate("team=green");
    assert!(!changed && errors.contains("team is green"), "{errors}");
}

/// An existing pod may not be taken out of the policy's reach, and other changes to it are allowed.
fn frozen_labels(cluster: &Cluster, guest: &Guest) {
    let mut pod = good();
    pod["metadata"]["name"] = json!("kept");
    let delete =
        ["delete", "pod", "kept", "-n", NAMESPACE, "--ignore-not-found", "--grace-period=0", "--force"];
    cluster.kubectl(delete, "").unwrap();
    guest.bring(&["create", "-n", NAMESPACE], &pod.to_string()).unwrap();
    let label = |change: &str| {
        cluster.kubectl_raw(["label", "pod", "kept", "-n", NAMESPACE, "--overwrite", change], "").unwrap()
    };
    assert!(label("unread=1").status.success());
    assert!(label("tier=b").status.success());
    for change in ["tier=c", "tier-", "app=x"] {
        let refused = label(change);
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("out of the policy's reach"),
            "{change}: {refused:?}"
        );
    }
    // A pod's status carries its labels, and the API server stores them.
    let through_status = |change: &str| {
        let args =
            ["patch", "pod", "kept", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", change];
        cluster.kubectl_raw(args, "").unwrap()
    };
    assert!(through_status(r#"{"status":{"message":"well"}}"#).status.success());
    assert!(through_status(r#"{"metadata":{"labels":{"unread":"2"}}}"#).status.success());
    let unread = ["get", "pod", "kept", "-n", NAMESPACE, "-o", "jsonpath={.metadata.labels.unread}"];
    assert_eq!(cluster.kubectl(unread, "").unwrap(), "2", "no such attack: status does not write labels");
    let refused = through_status(r#"{"metadata":{"labels":{"tier":"c"}}}"#);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("out of the policy's reach"), "{refused:?}");
}

#[test]
fn the_api_server_takes_every_manifest() {
    // It looks at everything in the cluster.
    let cluster = Arc::new(Cluster::start().unwrap());
    let map = |name: &str| {
        let metadata = json!({"name": name, "namespace": "default"});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}).to_string()
    };
    let host = Guest::of(&cluster);
    host.bring(&["apply"], &map("of-the-host")).unwrap();
    let before = everything(&cluster).unwrap();
    let guest = Guest::tidy(&cluster);
    guest.bring(&["apply"], &format!("{}\n{}", map("of-the-host"), map("of-the-guest"))).unwrap();
    let url = WebhookClient::Url("https://127.0.0.1:1".to_owned());
    for webhook in [EmitOptions::default().webhook, url] {
        let options = EmitOptions { webhook, ..EmitOptions::default() };
        let mut policy = full();
        // Another zone than the other test's pods, which may run in the same cluster.
        policy.subject.as_mut().unwrap().namespaces = vec![labels(&[("bailiwick.dev/zone", "closed")])];
        let emitted = artifacts(&policy, &digest(&policy), &options).unwrap();
        // The namespace is first, and the webhooks, which do not run, are last.
        let paths = [
            "kubernetes/namespace.yaml",
            "kubernetes/runtime-classes.yaml",
            "kubernetes/pod-template.yaml",
            "kubernetes/network-policies.yaml",
            "kubernetes/admission-policies.yaml",
            "kubernetes/webhooks.yaml",
        ];
        let emitted_paths: BTreeSet<&str> =
            emitted.files.keys().map(String::as_str).filter(|path| path.ends_with(".yaml")).collect();
        assert_eq!(emitted_paths, BTreeSet::from(paths));
        for path in paths {
            let text = std::str::from_utf8(&emitted.files[path].bytes).unwrap();
            let apply = ["apply", "--server-side", "--warnings-as-errors", "-n", "sample"];
            guest.bring(&apply, text).unwrap_or_else(|error| panic!("{path}: {error:#}\n{text}"));
        }
        closed_namespace(&cluster, &emitted.files["kubernetes/webhooks.yaml"].bytes);
    }
    // The cluster may be borrowed: everything that was brought, including its pods, is removed again, and
    // nothing else.
    assert!(everything(&cluster).unwrap().len() > before.len() + 10, "nothing was brought");
    guest.leave().unwrap();
    nothing_is_left(&cluster, &before).unwrap();
    assert!(everything(&cluster).unwrap().is_superset(&before), "what was there before is gone");
}

/// The emitted namespace denies a pod that nothing selects and one that Pod Security denies, and accepts one
/// made from the template.
fn closed_namespace(cluster: &Cluster, webhooks: &[u8]) {
    let webhooks = std::str::from_utf8(webhooks).unwrap();
    cluster.await_namespace("sample").unwrap();
    let create = |pod: &str| {
        let output =
            cluster.kubectl_raw(["create", "--dry-run=server", "-n", "sample", "-f", "-"], pod).unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // A stored change is in force a moment later, and so is a removal.
    until("the webhook is asked", || {
        let (_, errors) = create(&good_named("x"));
        errors.contains("failed calling webhook").then_some(())
    })
    .unwrap();
    cluster.kubectl(["delete", "-f", "-"], webhooks).unwrap();
    until("a good pod is stored", || create(&good_named("good")).0.then_some(())).unwrap();
    let mut stranger: Value = serde_json::from_str(&good_named("stranger")).unwrap();
    stranger["metadata"]["labels"] = json!({});
    until("a pod that nothing selects is refused", || {
        let (stored, errors) = create(&stranger.to_string());
        let refused = errors.contains("no policy pack selects this pod");
        assert!(stored || refused, "{errors}");
        refused.then_some(())
    })
    .unwrap();
    let template = cluster.kubectl(["get", "podtemplate", "-n", "sample", "-o", "json"], "").unwrap();
    let template: Value = serde_json::from_str(&template).unwrap();
    let mut pod = template["items"][0]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("templated");
    pod["spec"]["containers"][0]["image"] = json!("registry.example.org/agents/x:1");
    let (stored, errors) = create(&pod.to_string());
    assert!(stored, "a pod made after the template is refused: {errors}");
    stranger["spec"]["hostNetwork"] = json!(true);
    let (stored, errors) = create(&stranger.to_string());
    assert!(!stored && errors.contains("PodSecurity \"restricted:v1.36\""), "{errors}");
}

fn good_named(name: &str) -> String {
    let mut pod = good();
    pod["metadata"]["name"] = json!(name);
    pod.to_string()
}
