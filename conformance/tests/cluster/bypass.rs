//! Every known way around a webhook that checks only the creation of pods, tried on a real API server. Each
//! is denied with pack, rule, field and remedy, and denied again by the admission policies once the webhook
//! configurations are gone.
//!
//! The rows are the bypasses that admission can prevent. Not here, because admission never sees them or has
//! nothing to compare them with (`docs/guide/cluster.md` tells owners of clusters the same):
//!
//! - `nodes/proxy` reaches the kubelet past the API server's handlers for pods: RBAC.
//! - Static pods are the node's own: whoever guards nodes.
//! - Pods that existed before: nothing judges them until they are created anew.
//! - `*/scale` and a custom resource that holds a pod's spec: judged as the pods that come of them, by whomever
//!   they are created (the row of the ReplicaSet's controller).
//! - Other API versions of the workload kinds: this API server has none. What it will have, it converts
//!   (`matchPolicy: Equivalent`).
//! - A namespace that is created without the label of the governed ones: it is in no pack's reach, and RBAC
//!   says who may create namespaces. A pack may select all but some by `kubernetes.io/metadata.name`.
//! - The deletion of webhook configurations and admission policies, which the API server keeps from all
//!   webhooks and policies: RBAC, and the operator, which reports the one and restores the other
//!   (`tests/operator`, `arming` and `enforced`).

use anyhow::Result;
use serde_json::{Value, json};

use crate::stage::{BOUND, FENCE, Stage, pod};

/// Which layer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Webhook,
    Floor,
    Nobody,
}

/// The pack and rule that hold a namespace: whatever the version, so none is named.
const LEAVES: &str = "fence/subjects";

/// One attempt.
struct Try {
    what: &'static str,
    args: Vec<String>,
    stdin: String,
    /// Rule, field and remedy, parts of which must be in the webhook's denial; the floor's denial names the
    /// rule. An author's rule names the fields in its message. A connection has no object, and so no field: what
    /// it is to stands there.
    says: [&'static str; 3],
    /// The floor's text instead of the rule; empty: the same. `None`: the floor does not judge this.
    floor: Option<&'static str>,
    /// Where the attempt ends if nothing denies it, since no pod here has a node; empty: it succeeds.
    ends: &'static str,
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn tries() -> Vec<Try> {
    let mut all = creations();
    all.extend(updates());
    all.extend(changes());
    all.extend(deleted());
    all.extend(leaving());
    all.extend(connections());
    all
}

fn created(what: &'static str, object: &Value, says: [&'static str; 3], floor: Option<&'static str>) -> Try {
    Try {
        what,
        args: words("create --dry-run=server -f -"),
        stdin: object.to_string(),
        says,
        floor,
        ends: "",
    }
}

/// The same as a workload's template.
fn template(change: &Value) -> Value {
    let pod = pod("x", change);
    json!({ "metadata": { "labels": pod["metadata"]["labels"] }, "spec": pod["spec"] })
}

fn creations() -> Vec<Try> {
    let generated =
        json!({ "metadata": { "name": null, "generateName": "x-" }, "spec": { "hostPID": true } });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "d", "namespace": "agents" },
        "spec": { "selector": { "matchLabels": { "app": "agent" } }, "template": template(&json!({ "spec": { "hostPID": true } })) },
    });
    let job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "c", "namespace": "agents" },
        "spec": { "schedule": "0 0 * * *", "jobTemplate": { "spec": { "template":
            template(&json!({ "spec": { "restartPolicy": "Never", "hostNetwork": true } })) } } },
    });
    let owner = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "8d2b0a3c-0000-4000-8000-000000000000", "controller": true });
    vec![
        created(
            "a name that is to be generated",
            &pod("", &generated),
            ["podSecurity", "spec.hostPID", "remove"],
            Some(""),
        ),
        created(
            "a node by name, past the scheduler",
            &pod("x", &json!({ "spec": { "nodeName": "node" } })),
            ["scheduler-places", "spec.nodeName", "remove spec.nodeName"],
            Some(""),
        ),
        created(
            "a pod that no pack selects",
            &pod("x", &json!({ "metadata": { "labels": { "app": "other" } } })),
            ["subjects", "metadata.labels", "give the pod the labels"],
            Some(""),
        ),
        // The floor judges the pods that such a template creates.
        created(
            "a Deployment's template",
            &deployment,
            ["podSecurity", "spec.template.spec.hostPID", "remove"],
            None,
        ),
        created(
            "a CronJob's template",
            &job,
            ["network", "spec.jobTemplate.spec.template.spec.hostNetwork", "remove hostNetwork"],
            None,
        ),
        created(
            "an image volume",
            &pod(
                "x",
                &json!({ "spec": { "volumes": [{ "name": "v", "image": { "reference": "registry.example.org/other:1" } }] } }),
            ),
            ["images", "spec.volumes[0].image.reference", "use an image that the pack's"],
            Some(""),
        ),
        Try {
            args: words(
                "create --dry-run=server -f - --as=system:serviceaccount:kube-system:replicaset-controller",
            ),
            ..created(
                "what a ReplicaSet's controller makes",
                &pod(
                    "x",
                    &json!({ "metadata": { "ownerReferences": [owner] }, "spec": { "hostPID": true } }),
                ),
                ["podSecurity", "spec.hostPID", "remove"],
                Some(""),
            )
        },
    ]
}

fn patched(
    what: &'static str,
    subresource: &str,
    patch: &Value,
    says: [&'static str; 3],
    floor: Option<&'static str>,
) -> Try {
    let mut args = words("patch pod good -n agents --dry-run=server --type=strategic");
    if !subresource.is_empty() {
        args.push(format!("--subresource={subresource}"));
    }
    args.extend(["-p".to_owned(), patch.to_string()]);
    Try { what, args, stdin: String::new(), says, floor, ends: "" }
}

fn updates() -> Vec<Try> {
    let debugger = json!({ "spec": { "ephemeralContainers": [{ "name": "d", "image": "registry.example.org/debug:1" }] } });
    let larger = json!({ "spec": { "containers": [{ "name": "c", "resources": { "limits": { "memory": "4Gi" }, "requests": { "memory": "4Gi" } } }] } });
    let image = json!({ "spec": { "containers": [{ "name": "c", "image": "registry.example.org/agents/x:latest" }] } });
    let labels = |labels: Value| json!({ "metadata": { "labels": labels } });
    let node = binding(&json!({}));
    vec![
        patched(
            "a container for debugging",
            "ephemeralcontainers",
            &debugger,
            ["images", "spec.ephemeralContainers[0].image", "use an image that the pack's"],
            Some(""),
        ),
        patched(
            "more memory in place",
            "resize",
            &larger,
            ["memory-ceiling", "resources.limits.memory of a container", "set resources.limits.memory"],
            Some(""),
        ),
        patched(
            "another image",
            "",
            &image,
            ["images", "spec.containers[0].image", "append `@sha256:"],
            Some(""),
        ),
        patched(
            "out of the selector",
            "",
            &labels(json!({ "app": "other" })),
            ["subjects", "metadata.labels", "keep the labels"],
            Some(""),
        ),
        patched(
            "into another cell",
            "",
            &labels(json!({ "bailiwick.dev/cell": "0123456789abcdef" })),
            ["subjects", "metadata.labels[bailiwick.dev/cell]", "leave the label alone"],
            Some(""),
        ),
        patched(
            "out of every cell",
            "",
            &labels(json!({ "bailiwick.dev/cell": null })),
            ["subjects", "metadata.labels[bailiwick.dev/cell]", "leave the label alone"],
            Some(""),
        ),
        Try {
            what: "a binding past the scheduler",
            args: words("create --raw /api/v1/namespaces/agents/pods/good/binding?dryRun=All -f -"),
            stdin: node.to_string(),
            says: ["scheduler-binds", "target", "let it"],
            floor: Some(""),
            ends: "",
        },
    ]
}

/// Changes of what else a pod may have changed once it exists.
fn changes() -> Vec<Try> {
    let stays =
        |what, patch: Value, field, remedy| patched(what, "", &patch, ["pods-stay", field, remedy], Some(""));
    let another = "make another pod";
    // The two that the API server gives every pod, and one more.
    let given = |key: &str| json!({ "key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
    let tolerations = json!({ "spec": { "tolerations": [given("not-ready"), given("unreachable"), { "operator": "Exists" }] } });
    let ungated =
        json!({ "spec": { "schedulingGates": [{ "$patch": "delete", "name": "example.org/gate" }] } });
    let mut gates = stays("off its gate", ungated, "spec.schedulingGates", "leave them to who set them");
    gates.args[2] = "gated".to_owned();
    vec![
        stays(
            "another annotation",
            json!({ "metadata": { "annotations": { "a": "b" } } }),
            "metadata.annotations",
            another,
        ),
        stays("onto every node", tolerations, "spec.tolerations", another),
        stays(
            "another deadline",
            json!({ "spec": { "activeDeadlineSeconds": 5 } }),
            "spec.activeDeadlineSeconds",
            another,
        ),
        gates,
    ]
}

/// Changes of an object that is being deleted; only its finalizers may go.
fn deleted() -> Vec<Try> {
    let patched = |what, patch: Value| Try {
        what,
        args: words("patch configmap leaving -n agents --dry-run=server --type=merge -p")
            .into_iter()
            .chain([patch.to_string()])
            .collect(),
        stdin: String::new(),
        says: ["settings-stay", "data, annotations and finalizers", "make new ones"],
        floor: Some(""),
        ends: "",
    };
    vec![
        patched("data of what is being deleted", json!({ "data": { "a": "c" } })),
        patched(
            "an annotation of what is being deleted",
            json!({ "metadata": { "annotations": { "a": "b" } } }),
        ),
    ]
}

/// What a scheduler sends to bind the pod to a node; its labels become the pod's.
fn binding(labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "good", "labels": labels },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "node" },
    })
}

/// Namespaces whose labels leave the pack's reach, by every request that removes labels.
fn leaving() -> Vec<Try> {
    let namespace = |labels: &str| Try {
        what: "a namespace that leaves",
        args: words(&format!("label namespace agents --dry-run=server --overwrite {labels} --as=mallory")),
        stdin: String::new(),
        says: [LEAVES, "metadata.labels", "verb `widen`"],
        floor: Some("subjects"),
        ends: "",
    };
    vec![
        Try {
            what: "a namespace that leaves by its status",
            args: words("patch namespace agents --subresource=status --type=merge --dry-run=server --as=mallory -p")
                .into_iter()
                .chain([json!({ "metadata": { "labels": { "bailiwick.dev/zone": null } } }).to_string()])
                .collect(),
            stdin: String::new(),
            says: [LEAVES, "metadata.labels", "verb `widen`"],
            floor: Some("subjects"),
            ends: "",
        },
        Try {
            what: "a namespace that leaves by its finalizers",
            args: words("replace --raw /api/v1/namespaces/agents/finalize?dryRun=All --as=mallory -f -"),
            stdin: json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "agents", "labels": { "kubernetes.io/metadata.name": "agents" } },
                "spec": { "finalizers": ["kubernetes"] },
            })
            .to_string(),
            says: [LEAVES, "metadata.labels", "verb `widen`"],
            floor: Some("subjects"),
            ends: "",
        },
        namespace("bailiwick.dev/zone-"),
        namespace("bailiwick.dev/zone=free"),
    ]
}

fn connections() -> Vec<Try> {
    let connect = |what, args: &str, ends| Try {
        what,
        args: words(args),
        stdin: String::new(),
        says: ["no-connections", "to an agent's pod", "make it a tool call"],
        floor: Some(""),
        ends,
    };
    let service = |what, name: &str| Try {
        says: ["no-services", "to a service", "make it a tool call"],
        floor: None,
        ..connect(
            what,
            &format!("get --raw /api/v1/namespaces/agents/services/{name}/proxy/"),
            "no endpoints available for service",
        )
    };
    let of_pod = "create --raw /api/v1/namespaces/agents/pods";
    let unplaced = "does not have a host assigned";
    let unaddressed = "address not allowed";
    vec![
        connect("exec", "exec -n agents good -- id", unplaced),
        connect("attach", "attach -n agents good", unplaced),
        connect("portforward", &format!("{of_pod}/good/portforward?ports=80 -f -"), unplaced),
        connect("proxy", "get --raw /api/v1/namespaces/agents/pods/good/proxy/", unaddressed),
        connect("proxy to a port", "get --raw /api/v1/namespaces/agents/pods/good:80/proxy/", unaddressed),
        connect(
            "proxy over TLS",
            "get --raw /api/v1/namespaces/agents/pods/https:good:443/proxy/",
            unaddressed,
        ),
        connect(
            "a pod that is yet to come",
            &format!("{of_pod}/to-come/portforward?ports=80 -f -"),
            "pods \"to-come\" not found",
        ),
        service("proxy to a service", "web"),
        service("proxy to a service with a pod's name", "free"),
    ]
}

/// The label of a cell other than the pod's own.
fn foreign() -> Value {
    json!({ "metadata": { "labels": { "bailiwick.dev/cell": "0123456789abcdef" } } })
}

/// Makes every attempt; returns those that did not end as they should, or were denied with too little
/// information.
fn attempted(stage: &Stage, by: By) -> Vec<String> {
    let mut wrong = Vec::new();
    for one in tries() {
        if by == By::Floor && one.floor.is_none() {
            continue;
        }
        let args: Vec<&str> = one.args.iter().map(String::as_str).collect();
        let (taken, said) = stage.try_kubectl(&args, &one.stdin);
        let [rule, field, remedy] = one.says;
        let named = if rule == LEAVES { rule.to_owned() } else { format!("fence@1.0.0/{rule}:") };
        let expected = match (by, one.floor) {
            (By::Webhook, _) => vec![&named, field, remedy],
            (By::Floor, Some("")) => vec!["ValidatingAdmissionPolicy", rule],
            (By::Floor, Some(words)) => vec!["ValidatingAdmissionPolicy", words],
            (By::Floor, None) => continue,
            (By::Nobody, _) => vec![one.ends],
        };
        assert!(by == By::Nobody || expected.iter().all(|part| !part.is_empty()), "{}: too little", one.what);
        let missing: Vec<_> = expected.iter().filter(|part| !said.contains(**part)).collect();
        let succeeds = by == By::Nobody && one.ends.is_empty();
        if taken != succeeds || !missing.is_empty() {
            wrong.push(format!("{by:?}: {}: taken {taken}, not said {missing:?}: {said}", one.what));
        }
    }
    wrong
}

/// A pod that no pack selects, and a ConfigMap that is being deleted.
fn there_before(stage: &Stage) -> Result<()> {
    let free = pod("free", &json!({ "metadata": { "labels": { "app": "other" } } }));
    stage.cluster.kubectl(["create", "-f", "-"], &free.to_string())?;
    let leaving = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "b" },
        "metadata": { "name": "leaving", "namespace": "agents", "finalizers": ["example.org/kept"] },
    });
    stage.cluster.kubectl(["create", "-f", "-"], &leaving.to_string())?;
    stage.cluster.kubectl(["delete", "--wait=false", "configmap", "leaving", "-n", "agents"], "")?;
    Ok(())
}

/// Pods that the pack admits.
fn admitted(stage: &Stage) -> Result<()> {
    let gate = json!({ "spec": { "schedulingGates": [{ "name": "example.org/gate" }] } });
    for (name, more) in [("good", json!({})), ("gated", gate)] {
        stage.cluster.kubectl(["create", "-f", "-"], &pod(name, &more).to_string())?;
    }
    Ok(())
}

/// What is being deleted loses its finalizers, whatever the rules say: otherwise it would stay for ever.
fn may_end(stage: &Stage) {
    let patch = json!({ "metadata": { "finalizers": null } }).to_string();
    let args =
        ["patch", "configmap", "leaving", "-n", "agents", "--dry-run=server", "--type=merge", "-p", &patch];
    let (taken, said) = stage.try_kubectl(&args, "");
    assert!(taken, "{said}");
}

#[test]
fn no_known_way_around_is_open_with_the_webhook_and_without_it() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let resources = ["namespaces", "namespaces/status", "namespaces/finalize"];
    stage.user("mallory", &json!([{ "apiGroups": [""], "resources": resources, "verbs": ["*"] }]))?;
    there_before(&stage)?;
    stage.apply(FENCE)?;
    stage.apply(BOUND)?;
    let webhook = stage.webhook()?;
    stage.until_bound(&webhook, &["fence"])?;
    let configurations = stage.configurations(&webhook)?;
    stage.put(&configurations)?;
    let probe = pod("probe", &json!({ "spec": { "hostPID": true } })).to_string();
    stage.until("the API server asks the webhook", || {
        let (taken, said) = stage.try_kubectl(&["create", "--dry-run=server", "-f", "-"], &probe);
        Ok(!taken && said.contains("fence@1.0.0"))
    })?;
    admitted(&stage)?;
    let label =
        ["get", "pod", "good", "-n", "agents", "-o", "jsonpath={.metadata.labels.bailiwick\\.dev/cell}"];
    let cell = stage.cluster.kubectl(label, "")?;
    assert_eq!(
        cell,
        stage.in_force()?.1.cells.keys().next().cloned().unwrap_or_default(),
        "the label is the cell's"
    );
    // A new pod that claims another cell gets its own.
    let claiming = pod("claiming", &foreign());
    let path = "jsonpath={.metadata.labels.bailiwick\\.dev/cell}";
    let stored = stage
        .cluster
        .kubectl(["create", "--dry-run=server", "-o", path, "-f", "-"], &claiming.to_string())?;
    assert_eq!(stored, cell, "a label that was claimed stayed");
    // What is allowed is still allowed.
    let (taken, said) = stage.try_kubectl(&["label", "pod", "good", "-n", "agents", "note=x"], "");
    assert!(taken, "{said}");
    may_end(&stage);
    let wrong = attempted(&stage, By::Webhook);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Without the webhook and without the floor, everything is allowed: the attempts are real attacks.
    stage.take(&configurations)?;
    stage.until("the API server no longer asks the webhook", || {
        Ok(stage.try_kubectl(&["create", "--dry-run=server", "-f", "-"], &probe).0)
    })?;
    let wrong = attempted(&stage, By::Nobody);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The floor alone.
    stage.put(&stage.objects()?)?;
    stage.until("the floor holds", || {
        let (taken, said) = stage.try_kubectl(&["create", "--dry-run=server", "-f", "-"], &probe);
        Ok(!taken && said.contains("ValidatingAdmissionPolicy"))
    })?;
    let mut wrong = Vec::new();
    // The policies take effect one after another; no attempt changes anything.
    let held = stage.until("the whole floor holds", || {
        wrong = attempted(&stage, By::Floor);
        Ok(wrong.is_empty())
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    held?;
    let (taken, said) = stage.try_kubectl(&["create", "--dry-run=server", "-f", "-"], &claiming.to_string());
    assert!(!taken && said.contains("label bailiwick.dev/cell is not the pod's own"), "{said}");
    let good = pod("another", &json!({})).to_string();
    let (taken, said) = stage.try_kubectl(&["create", "--dry-run=server", "-f", "-"], &good);
    assert!(taken, "the floor refuses a good pod: {said}");
    may_end(&stage);
    keeps_its_labels_when_it_is_bound(&stage);
    joins_no_other_cell(&stage, &cell)
}

/// Binding a pod to a node copies the binding's labels onto the pod, over those that it has.
fn keeps_its_labels_when_it_is_bound(stage: &Stage) {
    let binds = |path: &str, labels: &Value| {
        let args = format!(
            "create --raw /api/v1/namespaces/agents/{path}?dryRun=All --as=system:kube-scheduler -f -"
        );
        let args = words(&args);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        stage.try_kubectl(&args, &binding(labels).to_string())
    };
    for path in ["pods/good/binding", "bindings"] {
        for labels in [json!({ "app": "other" }), json!({ "bailiwick.dev/cell": "0123456789abcdef" })] {
            let (taken, said) = binds(path, &labels);
            assert!(
                !taken && said.contains("binding a pod to a node sets no label"),
                "{path} {labels}: {said}"
            );
        }
        let (taken, said) = binds(path, &json!({ "topology.kubernetes.io/zone": "z" }));
        assert!(taken, "the floor refuses the scheduler: {said}");
    }
}

/// While the webhook is down, a pod is created without the label. It may get its own later, and no other.
fn joins_no_other_cell(stage: &Stage, own: &str) -> Result<()> {
    stage.cluster.kubectl(["create", "-f", "-"], &pod("unlabelled", &json!({})).to_string())?;
    let patch = |labels: &Value| {
        let args = ["patch", "pod", "unlabelled", "-n", "agents", "--type=merge", "-p", &labels.to_string()];
        stage.try_kubectl(&args, "")
    };
    let (taken, said) = patch(&foreign());
    assert!(!taken && said.contains("label bailiwick.dev/cell is not the pod's own"), "{said}");
    let (taken, said) = patch(&json!({ "metadata": { "labels": { "note": "x" } } }));
    assert!(taken, "the floor refuses a change of another label: {said}");
    let (taken, said) = patch(&json!({ "metadata": { "labels": { "bailiwick.dev/cell": own } } }));
    assert!(taken, "the floor refuses the pod its own cell: {said}");
    Ok(())
}
