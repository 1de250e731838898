//! The chart on a real API server, without a node: every object is accepted, the pods pass the Pod Security
//! level of their namespaces, foreign pods do not get into ours, and nothing is left after the uninstall.

use std::process::Command;

use bailiwick_conformance::cluster::{Cluster, MADE, SYSTEM as NAMESPACE};
use bailiwick_conformance::guest::{everything, nothing_is_left};
use bailiwick_conformance::patience::until_ok;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::helm::{Helm, images, said};
use crate::pools::pools_are_the_operators;

/// Where the API server puts the token of a pod's account.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[test]
fn the_api_server_takes_the_chart_and_nothing_is_left_of_it() {
    let Some(helm) = Helm::new() else { return };
    let cluster = Cluster::start().expect("an API server");
    if !cluster.is_tended().expect("an answer") {
        let text = "no controller manager runs in this cluster (envtest has none), and this test looks at the pods that controllers make: \
            name a whole cluster with KUBECONFIG, or leave KUBEBUILDER_ASSETS unset";
        assert!(std::env::var_os("CI").is_none(), "{text}");
        eprintln!("SKIPPED: {text}");
        return;
    }
    let before = everything(&cluster).expect("a list");
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted", MADE: "chart" });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE, "labels": labels } });
    // Not applied: one that exists is somebody's, and is deleted in the end.
    cluster.kubectl(["create", "-f", "-"], &namespace.to_string()).expect("a namespace");
    let install = |verb: &str| {
        let chart = Helm::chart();
        let mut args: Vec<String> =
            [verb, "bailiwick", chart.to_str().expect("UTF-8"), "-n", NAMESPACE].map(str::to_owned).into();
        args.extend(images());
        args.extend(["--set", "poolNamespaces={agents-pool}"].map(str::to_owned));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = helm.run(Some(cluster.kubeconfig()), &args);
        assert!(output.status.success(), "{}", said(&output));
    };
    install("install");
    install("upgrade");
    pods_are_admitted(&cluster);
    strangers_are_refused(&cluster);
    accounts_are_kept(&cluster);
    nothing_joins(&cluster);
    bundles_are_reserved(&cluster);
    statuses_are_the_operators(&cluster);
    pools_are_the_operators(&cluster);
    every_kind_is_stored(&cluster);
    what_the_operator_wrote_goes(&cluster, &helm);
    // Without a node no Job runs, so the clean-up ran by hand; on a node, `tests/node` lets Helm run it. Helm is
    // not told to wait: it watches kinds that are deleted meanwhile, and then may wait for ever.
    let output =
        helm.run(Some(cluster.kubeconfig()), &["uninstall", "bailiwick", "-n", NAMESPACE, "--no-hooks"]);
    assert!(output.status.success(), "{}", said(&output));
    cluster.kubectl(["delete", "namespace", NAMESPACE], "").expect("deleted");
    nothing_is_left(&cluster, &before).expect("nothing is left");
}

/// The script of the uninstall, with the account and the rights that the chart gives it: all that an operator
/// wrote goes, the webhook's registration first, and nothing else.
fn what_the_operator_wrote_goes(cluster: &Cluster, helm: &Helm) {
    let hook: Vec<Value> = helm
        .render(&["--show-only", "templates/uninstall.yaml"])
        .into_iter()
        .filter(|object| object["kind"] != "Job")
        .collect();
    assert!(hook.len() >= 5, "{hook:?}");
    let hook = json!({ "apiVersion": "v1", "kind": "List", "items": hook }).to_string();
    cluster.kubectl(["create", "-f", "-"], &hook).expect("the script's account and rights");
    let agents = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "agents", "labels": { MADE: "chart" } } });
    cluster.kubectl(["create", "-f", "-"], &agents.to_string()).expect("a namespace");
    let operator = format!("--as=system:serviceaccount:{NAMESPACE}:bailiwick-operator");
    let write = ["apply", "--server-side", "--field-manager=bailiwick-operator", &operator, "-f", "-"];
    cluster.kubectl(write, include_str!("../node/written.yaml")).expect("the operator may write it");
    let mine = ["create", "configmap", "mine", "-n", "agents", "--from-literal=a=b"];
    cluster.kubectl(mine, "").expect("what is not the operator's");

    let account = tempfile::tempdir().expect("a folder");
    let token =
        cluster.kubectl(["create", "token", "bailiwick-uninstall", "-n", NAMESPACE], "").expect("a token");
    let path = |member: &str| format!("jsonpath={{.clusters[0].cluster.{member}}}");
    let view = |path: &str| {
        cluster
            .kubectl(["config", "view", "--minify", "--raw", "--flatten", "-o", path], "")
            .expect("a kubeconfig")
    };
    let (server, ca) = (view(&path("server")), view(&path("certificate-authority-data")));
    std::fs::write(account.path().join("token"), token).expect("written");
    std::fs::write(account.path().join("ca.crt"), STANDARD.decode(ca.trim()).expect("base64"))
        .expect("written");
    let (host, port) =
        server.trim().trim_start_matches("https://").rsplit_once(':').expect("a host and a port");
    let run = format!("import uninstall; uninstall.ACCOUNT = {:?}; uninstall.main()", account.path());
    let ran = Command::new("python3")
        .args(["-B", "-c", &run])
        .env("PYTHONPATH", Helm::chart().join("files"))
        .env("KUBERNETES_SERVICE_HOST", host.trim_matches(['[', ']']))
        .env("KUBERNETES_SERVICE_PORT", port)
        .env("BAILIWICK_NAMESPACE", NAMESPACE)
        .output()
        .expect("python3 runs");
    assert!(ran.status.success(), "{}", said(&ran));
    let said = said(&ran);
    assert!(
        said.starts_with("deleted /apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/"),
        "{said}"
    );

    let written = "validatingwebhookconfigurations,mutatingwebhookconfigurations,validatingadmissionpolicies,\
        validatingadmissionpolicybindings,networkpolicies,deployments,configmaps,runtimeclasses,secrets";
    let ours = format!("bailiwick.dev/operator={NAMESPACE}");
    let left = cluster.kubectl(["get", written, "-A", "-l", &ours, "-o", "name"], "").expect("a list");
    assert_eq!(left, "");
    let labels = cluster.kubectl(["get", "namespace", "agents", "--show-labels"], "").expect("the namespace");
    assert!(!labels.contains("pod-security") && labels.contains(MADE), "{labels}");
    cluster
        .kubectl(["get", "configmap", "mine", "-n", "agents"], "")
        .expect("what is not the operator's stays");
    cluster.kubectl(["delete", "-f", "-"], &hook).expect("deleted");
    cluster.kubectl(["delete", "namespace", "agents"], "").expect("deleted");
}

/// The API server sets up the storage of a kind at the first request for it. Where that request is its own, to
/// list what goes with a kind that is deleted, it fails, and is repeated only minutes later.
fn every_kind_is_stored(cluster: &Cluster) {
    for kind in ["policybindings", "policyexceptions", "policypacks", "sandboxpools"] {
        let listed = until_ok("the kind is listed", || {
            let output = cluster
                .kubectl_raw(["get", kind, "--all-namespaces"], "")
                .map_err(|error| error.to_string())?;
            if output.status.success() { Ok(()) } else { Err(said(&output)) }
        });
        listed.expect(kind);
    }
}

/// Pods of both Deployments are created in a namespace of level Restricted, and wait for a node.
fn pods_are_admitted(cluster: &Cluster) {
    let made = until_ok("both Deployments have their pods", || {
        let listed = cluster
            .kubectl(["get", "pods", "-n", NAMESPACE, "-o", "name"], "")
            .map_err(|error| error.to_string())?;
        let count = |name: &str| listed.lines().filter(|line| line.contains(name)).count();
        if count("bailiwick-webhook") == 2 && count("bailiwick-operator") == 2 { Ok(()) } else { Err(listed) }
    });
    let events = cluster.kubectl(["get", "events", "-n", NAMESPACE, "-o", "wide"], "").expect("events");
    made.expect(&events);
}

/// An administrator who may create pods cannot create any next to ours, whatever the image.
fn strangers_are_refused(cluster: &Cluster) {
    let ours = image("webhook");
    for (image, says) in [
        ("localhost/stranger:latest", "only the images of the chart"),
        (ours.as_str(), "only the chart's controllers"),
    ] {
        let pod = pod(image);
        let refused = until_ok("it is refused", || {
            let output = cluster
                .kubectl_raw(["create", "-f", "-"], &pod.to_string())
                .map_err(|error| error.to_string())?;
            let told = said(&output);
            let _ = cluster.kubectl_raw(
                ["delete", "pod", "-n", NAMESPACE, "stranger", "--now", "--ignore-not-found"],
                "",
            );
            if !output.status.success() && told.contains(says) { Ok(()) } else { Err(told) }
        });
        refused.expect(image);
    }
}

/// An image of the chart.
fn image(of: &str) -> String {
    let of = format!("images.{of}=");
    images().into_iter().find_map(|one| one.strip_prefix(&of).map(str::to_owned)).expect("an image")
}

/// What a controller gets that starts such a pod; `more` are members of its container, and `volumes` its own.
fn started(cluster: &Cluster, image: &str, account: &str, more: &Value, volumes: &Value) -> (bool, String) {
    let mut pod = pod(image);
    pod["spec"]["serviceAccountName"] = json!(account);
    pod["spec"]["volumes"] = volumes.clone();
    for (member, value) in more.as_object().expect("members") {
        pod["spec"]["containers"][0][member] = value.clone();
    }
    let controller = "--as=system:serviceaccount:kube-system:replicaset-controller";
    let output = cluster.kubectl_raw(["create", "-f", "-", "--dry-run=server", controller], &pod.to_string());
    let output = output.expect("kubectl runs");
    (output.status.success(), said(&output))
}

/// Whoever may write Deployments has a controller start their pods: still no image runs under another account,
/// with another command, or with a foreign file that the chart's programs would take for theirs.
fn accounts_are_kept(cluster: &Cluster) {
    let (executor, operator, webhook) = (image("executor"), image("operator"), image("webhook"));
    let python = json!({ "command": ["/usr/bin/python3", "-c", "print(1)"] });
    let (own, files) =
        ("under its own account and with its own command", "mounts, variables and probes alone");
    for (image, account, more, says) in [
        (&executor, "bailiwick-operator", python.clone(), own),
        (&executor, "default", python, own),
        (&operator, "bailiwick-webhook", json!({}), own),
        (&webhook, "bailiwick-webhook", json!({ "command": ["/bin/sh"] }), own),
        (
            &operator,
            "bailiwick-operator",
            json!({ "env": [{ "name": "LD_PRELOAD", "value": "/x.so" }] }),
            files,
        ),
        (
            &operator,
            "bailiwick-operator",
            json!({ "lifecycle": { "postStart": { "exec": { "command": ["x"] } } } }),
            files,
        ),
        (&operator, "bailiwick-operator", json!({ "args": ["serve", "--kubeconfig=/tls/config"] }), files),
        (&operator, "bailiwick-operator", json!({ "args": ["serve", "$(POD_NAME)"] }), files),
    ] {
        let (taken, told) = started(cluster, image, account, &more, &json!([]));
        assert!(!taken && told.contains(says), "{image} {account} {more}: {told}");
    }
    let tls = json!({ "name": "tls", "secret": { "secretName": "bailiwick-webhook-tls" } });
    let foreign = [
        json!({ "name": "tls", "configMap": { "name": "foreign", "defaultMode": 0o755 } }),
        json!({ "name": "tls", "secret": { "secretName": "foreign" } }),
        json!({ "name": "tls", "persistentVolumeClaim": { "claimName": "foreign" } }),
        json!({ "name": "tls", "projected": { "sources": [{ "configMap": { "name": "foreign" } }] } }),
        json!({ "name": "tls", "projected": { "sources": [{ "downwardAPI": { "items": [
            { "path": "config", "fieldRef": { "fieldPath": "metadata.annotations['k']" } },
        ] } }] } }),
    ];
    let mounts = json!({ "volumeMounts": [{ "name": "tls", "mountPath": "/tls" }] });
    let all = ["bailiwick-operator", "bailiwick-webhook"].into_iter().zip([&operator, &webhook]);
    for (account, image) in all {
        let theirs = (account == "bailiwick-operator").then_some(&tls);
        for volume in foreign.iter().chain(theirs) {
            let (taken, told) = started(cluster, image, account, &mounts, &json!([volume]));
            assert!(!taken && told.contains("their account alone"), "{account} {volume}: {told}");
        }
    }
    let (taken, told) = started(cluster, &webhook, "bailiwick-webhook", &mounts, &json!([tls]));
    assert!(taken, "{told}");
    // In the place of the token, its files would be the authority that the webhook trusts, and the API server would add none.
    let mut instead = mounts.clone();
    instead["volumeMounts"][0]["mountPath"] = json!(TOKEN);
    let mut files = tls.clone();
    files["secret"]["items"] = json!([{ "key": "tls.crt", "path": "ca.crt" }]);
    for tls in [&tls, &files] {
        let (taken, told) = started(cluster, &webhook, "bailiwick-webhook", &instead, &json!([tls]));
        assert!(!taken && told.contains("their account alone"), "{told}");
    }
    images_are_kept(cluster, &executor);
    beside_the_token(cluster, &operator);
    let (taken, told) = started(cluster, &operator, "bailiwick-operator", &json!({}), &json!([]));
    assert!(taken, "{told}");
}

/// Whoever may change pods does not put another program under the account of one that runs.
fn images_are_kept(cluster: &Cluster, executor: &str) {
    let pods = cluster.kubectl(["get", "pods", "-n", NAMESPACE, "-o", "name"], "").expect("pods");
    for component in ["bailiwick-operator", "bailiwick-webhook"] {
        let running = pods.lines().find(|line| line.contains(component)).expect("a pod");
        let patch = json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": executor }]);
        let patch = patch.to_string();
        let change = ["patch", running, "-n", NAMESPACE, "--type=json", "--dry-run=server", "-p", &patch];
        let output = cluster.kubectl_raw(change, "").expect("kubectl runs");
        assert!(
            !output.status.success() && said(&output).contains("under its own account"),
            "{}",
            said(&output)
        );
        let label = ["label", running, "-n", NAMESPACE, "--dry-run=server", "any=label"];
        cluster.kubectl(label, "").expect("what it runs stays");
    }
}

/// The token's volume as OpenShift makes it is taken, and nothing that would put another authority or token in it.
fn beside_the_token(cluster: &Cluster, operator: &str) {
    let map = |name: &str, key: &str, path: &str| json!({ "configMap": { "name": name, "items": [{ "key": key, "path": path }] } });
    let field = |path: &str, field: &str| json!({ "downwardAPI": { "items": [{ "path": path, "fieldRef": { "fieldPath": field } }] } });
    let service = "openshift-service-ca.crt";
    let usual = [
        ("token", json!({ "serviceAccountToken": { "path": "token", "expirationSeconds": 3607 } })),
        ("ca.crt", map("kube-root-ca.crt", "ca.crt", "ca.crt")),
        ("namespace", field("namespace", "metadata.namespace")),
    ];
    for (source, taken) in [
        (map(service, "service-ca.crt", "service-ca.crt"), true),
        (map(service, "service-ca.crt", "ca.crt"), false),
        (json!({ "configMap": { "name": service } }), false),
        (map("kube-root-ca.crt", "ca.crt", "token"), false),
        (field("ca.crt", "metadata.annotations['k']"), false),
        (field("namespace", "metadata.annotations['k']"), false),
    ] {
        // Two sources of one file are no pod at all.
        let written = source.to_string();
        let beside = usual.iter().filter(|(path, _)| !written.contains(&format!("\"path\":\"{path}\"")));
        let sources: Vec<&Value> = beside.map(|(_, usual)| usual).chain([&source]).collect();
        let volume = json!({ "name": "kube-api-access", "projected": { "sources": sources } });
        let mounts = json!({ "volumeMounts": [{
            "name": "kube-api-access", "readOnly": true, "mountPath": TOKEN,
        }] });
        let (is_taken, told) =
            started(cluster, operator, "bailiwick-operator", &mounts, &json!([volume.clone()]));
        assert_eq!(is_taken, taken, "{source}: {told}");
        assert!(taken || told.contains("their account alone"), "{source}: {told}");
        // Nowhere else.
        let mounts = json!({ "volumeMounts": [{ "name": "kube-api-access", "mountPath": "/tls" }] });
        assert!(!started(cluster, operator, "bailiwick-operator", &mounts, &json!([volume])).0, "{source}");
    }
}

/// Nobody joins a pod of ours that runs, whatever the image.
fn nothing_joins(cluster: &Cluster) {
    let executor = image("executor");
    for part in ["exec?command=id&stdout=true", "attach?stdout=true"] {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/any/{part}");
        let output = cluster.kubectl_raw(["create", "--raw", &path, "-f", "-"], "").expect("kubectl runs");
        assert!(said(&output).contains("nothing joins the pods"), "{part}: {}", said(&output));
    }
    let pods = cluster.kubectl(["get", "pods", "-n", NAMESPACE, "-o", "name"], "").expect("pods");
    let running = pods.lines().find(|line| line.contains("bailiwick-webhook")).expect("a pod");
    let debugger = json!({ "spec": { "ephemeralContainers": [{
        "name": "d", "image": executor,
        "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
    }] } });
    let patch = debugger.to_string();
    let args = [
        "patch",
        running,
        "-n",
        NAMESPACE,
        "--subresource=ephemeralcontainers",
        "--dry-run=server",
        "-p",
        &patch,
    ];
    let output = cluster.kubectl_raw(args, "").expect("kubectl runs");
    assert!(
        !output.status.success() && said(&output).contains("nothing joins the pods"),
        "{}",
        said(&output)
    );
}

/// Not even an administrator can replace the operator's bundle or profile of a pool, by name or by label;
/// other ConfigMaps are unaffected.
fn bundles_are_reserved(cluster: &Cluster) {
    let map = |name: &str, labels: Value| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "agents-pool", "labels": labels } });
    for refused in [
        map("bailiwick-0123", json!({})),
        map("other", json!({ "bailiwick.dev/seccomp": "pool" })),
        map("large", json!({ "bailiwick.dev/operator": NAMESPACE })),
    ] {
        let told = until_ok("it is refused", || {
            let output = cluster
                .kubectl_raw(["create", "-f", "-"], &refused.to_string())
                .map_err(|error| error.to_string())?;
            let told = said(&output);
            let name = refused["metadata"]["name"].as_str().unwrap_or_default();
            let _ = cluster
                .kubectl_raw(["delete", "configmap", "-n", "agents-pool", name, "--ignore-not-found"], "");
            if !output.status.success() && told.contains("operator alone") { Ok(()) } else { Err(told) }
        });
        told.unwrap_or_else(|error| panic!("{refused}: {error}"));
    }
    cluster
        .kubectl(["create", "-f", "-"], &map("ordinary", json!({})).to_string())
        .expect("an ordinary ConfigMap");
    let tried = |args: &[&str], object: &Value| {
        let output = cluster.kubectl_raw(args, &object.to_string()).expect("kubectl runs");
        (output.status.success(), said(&output))
    };
    // What the operator published there is neither replaced nor deleted, not by name and not with all others,
    // by any user who may edit the namespace.
    let operator = format!("--as=system:serviceaccount:{NAMESPACE}:bailiwick-operator");
    let bundle = map("bailiwick-0123", json!({}));
    let (taken, told) = tried(&["create", "-f", "-", &operator], &bundle);
    assert!(taken, "{told}");
    cluster
        .kubectl(
            ["create", "rolebinding", "editors", "-n", "agents-pool", "--clusterrole=edit", "--user=eve"],
            "",
        )
        .expect("a user who may edit");
    let mut other = bundle.clone();
    other["data"] = json!({ "bundle.json": "{}" });
    let all = "/api/v1/namespaces/agents-pool/configmaps?dryRun=All";
    for args in [
        &["replace", "-f", "-", "--dry-run=server", "--as=eve"][..],
        &["delete", "configmap", "-n", "agents-pool", "bailiwick-0123", "--dry-run=server", "--as=eve"],
        &["delete", "--raw", all, "--as=eve"],
    ] {
        let (taken, told) = tried(args, &other);
        assert!(!taken && told.contains("operator alone"), "{args:?}: {told}");
    }
    // A controller manager whose controllers have no accounts of their own collects garbage in its own name,
    // and writes nothing.
    let manager = "--as=system:kube-controller-manager";
    let delete = ["delete", "configmap", "-n", "agents-pool", "bailiwick-0123", "--dry-run=server", manager];
    let rights = ["create", "rolebinding", "manager", "-n", "agents-pool", "--clusterrole=edit"];
    cluster.kubectl([&rights[..], &["--user=system:kube-controller-manager"]].concat(), "").expect("rights");
    let (taken, told) = tried(&delete, &Value::Null);
    assert!(taken, "{told}");
    let (taken, told) = tried(&["replace", "-f", "-", "--dry-run=server", manager], &other);
    assert!(!taken && told.contains("operator alone"), "{told}");
    // Nor can anything be added in the operator's own namespace, where the bundles of what is in force are.
    let mut planted = map("bailiwick-seccomp-x", json!({ "bailiwick.dev/seccomp": "pool" }));
    planted["metadata"]["namespace"] = json!(NAMESPACE);
    let create = ["create", "-f", "-", "--dry-run=server"];
    let (taken, told) = tried(&create, &planted);
    assert!(!taken && told.contains("operator alone"), "{told}");
    // There, every user with permission can request that the webhook be disarmed.
    planted["metadata"] = json!({ "name": "bailiwick-arming", "namespace": NAMESPACE });
    let (taken, told) = tried(&create, &planted);
    assert!(taken || told.contains("already exists"), "{told}");
}

/// Not even an administrator writes what the status of a binding says of the policy in force.
fn statuses_are_the_operators(cluster: &Cluster) {
    let tried = |args: &[&str], object: &Value| {
        let output = cluster.kubectl_raw(args, &object.to_string()).expect("kubectl runs");
        (output.status.success(), said(&output))
    };
    let binding = json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyBinding", "metadata": { "name": "said" },
        "spec": { "pack": { "name": "said", "version": "1.0.0" }, "stage": "Enforce" },
    });
    let (taken, told) = tried(&["create", "-f", "-"], &binding);
    assert!(taken, "{told}");
    let forged =
        json!({ "status": { "ifLost": { "namespaces": { "matchLabels": { "no": "namespace" } } } } });
    let forged = forged.to_string();
    let of = ["policybinding", "said", "--subresource=status", "--type=merge", "-p", &forged];
    let patch = [&["patch"], &of[..]].concat();
    let dry = [&patch[..], &["--dry-run=server"]].concat();
    let refused = until_ok("it is refused", || match tried(&dry, &Value::Null) {
        (false, told) if told.contains("operator alone") => Ok(()),
        (_, told) => Err(told),
    });
    refused.expect("a foreign status");
    // kubectl reads what it patches, which the operator need not.
    let account = format!("system:serviceaccount:{NAMESPACE}:bailiwick-operator");
    let reads = "--resource=policybindings,policybindings/status";
    cluster.kubectl(["create", "clusterrole", "said", "--verb=get", reads], "").expect("a role");
    let user = format!("--user={account}");
    let rights = ["create", "clusterrolebinding", "said", "--clusterrole=said", user.as_str()];
    cluster.kubectl(rights, "").expect("rights");
    let operator = format!("--as={account}");
    let own = until_ok("the operator's own", || {
        match tried(&[&dry[..], &[operator.as_str()]].concat(), &Value::Null) {
            (true, _) => Ok(()),
            (false, told) => Err(told),
        }
    });
    own.expect("the operator's status");
    cluster.kubectl(["delete", "clusterrolebinding,clusterrole", "said"], "").expect("deleted");
    // Without the policy the status is whoever's.
    let guard = ["delete", "validatingadmissionpolicybinding", "bailiwick-statuses"];
    cluster.kubectl(guard, "").expect("deleted");
    let open = until_ok("it is allowed", || match tried(&patch, &Value::Null) {
        (true, _) => Ok(()),
        (false, told) => Err(told),
    });
    open.expect("nothing else refuses it");
    cluster.kubectl(["delete", "policybinding", "said"], "").expect("deleted");
}

pub(crate) fn pod(image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "stranger", "namespace": NAMESPACE },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "main", "image": image,
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}
