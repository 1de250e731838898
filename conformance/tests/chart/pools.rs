//! What the guard keeps to the operator in a namespace of pools: everything that runs there, and what reaches it.

use bailiwick_conformance::cluster::{Cluster, SYSTEM as NAMESPACE};
use bailiwick_conformance::patience::until_ok;
use serde_json::{Value, json};

use crate::api_server::pod;
use crate::helm::said;

/// In a namespace of pools, an executor runs only as the operator specifies: control of its arguments would
/// be control of its bundle.
pub(crate) fn pools_are_the_operators(cluster: &Cluster) {
    const OPERATOR: &str = "--as=system:serviceaccount:bailiwick-system:bailiwick-operator";
    let tried = |args: &[&str], object: &Value| {
        let output = cluster.kubectl_raw(args, &object.to_string()).expect("kubectl runs");
        (output.status.success(), said(&output))
    };
    let create = ["create", "-n", "agents-pool", "-f", "-"];
    let mut alone = pod("localhost/executor:latest");
    alone["metadata"]["namespace"] = json!("agents-pool");
    let labels = json!({ "bailiwick.dev/pool": "x" });
    // No resize may change a pod's class of service: it has to have one with limits.
    alone["spec"]["containers"][0]["resources"] =
        json!({ "requests": { "memory": "64Mi" }, "limits": { "memory": "128Mi" } });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "bailiwick-pool-x" },
        "spec": { "replicas": 1, "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels }, "spec": alone["spec"] } },
    });
    let mut once = alone["spec"].clone();
    once["restartPolicy"] = json!("Never");
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "x" }, "spec": { "template": { "spec": once } } });
    let dry = [&create[..], &["--dry-run=server"]].concat();
    for (object, says) in
        [(&alone, "make pods"), (&deployment, "change the SandboxPool"), (&job, "nothing runs but pools")]
    {
        let refused = until_ok("it is refused", || {
            let (taken, told) = tried(&dry, object);
            if !taken && told.contains(says) { Ok(()) } else { Err(told) }
        });
        refused.unwrap_or_else(|error| panic!("{object}: {error}"));
    }
    // The operator's own Deployment gets as far as a pod; no other user can scale it, attach to it, or change
    // what it runs.
    let (taken, told) = tried(&[&create[..], &[OPERATOR]].concat(), &deployment);
    assert!(taken, "{told}");
    let of_pool = ["get", "pods", "-n", "agents-pool", "-l", "bailiwick.dev/pool=x", "-o", "name"];
    let made = until_ok("it has a pod", || match cluster.kubectl(of_pool, "") {
        Ok(name) if !name.trim().is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    made.expect("the operator's Deployment has a pod");
    let pod = cluster.kubectl(of_pool, "").expect("its name");
    let image = r#"[{"op": "replace", "path": "/spec/containers/0/image", "value": "localhost/other:1"}]"#;
    let debugger = r#"{"spec": {"ephemeralContainers": [{"name": "d", "image": "x"}]}}"#;
    let room = r#"{"spec": {"containers": [{"name": "main", "resources": {"limits": {"memory": "8Gi"}}}]}}"#;
    let there = ["-n", "agents-pool", "--dry-run=server"];
    for args in [
        vec!["scale", "deployment", "bailiwick-pool-x", "-n", "agents-pool", "--replicas=3"],
        [&["patch", pod.trim(), "--type=json", "-p", image], &there[..]].concat(),
        [&["patch", pod.trim(), "--subresource=ephemeralcontainers", "-p", debugger], &there[..]].concat(),
        [&["patch", pod.trim(), "--subresource=resize", "-p", room], &there[..]].concat(),
    ] {
        let (taken, told) = tried(&args, &Value::Null);
        assert!(!taken && told.contains("bailiwick-pools"), "{args:?}: {told}");
    }
    is_not_autoscaled(cluster);
    networks_of_pools_stay(cluster);
    // Without the policy all of this is allowed.
    let binding = ["validatingadmissionpolicybinding", "bailiwick-pools"];
    cluster.kubectl([&["delete"], &binding[..]].concat(), "").expect("deleted");
    let open = until_ok("it is allowed", || match tried(&dry, &alone) {
        (true, _) => Ok(()),
        (false, told) => Err(told),
    });
    open.expect("nothing else refuses it");
    cluster.kubectl(["delete", "deployment", "bailiwick-pool-x", "-n", "agents-pool"], "").expect("deleted");
}

/// Not even a controller scales a pool, on behalf of who may make an autoscaler in its namespace.
fn is_not_autoscaled(cluster: &Cluster) {
    let autoscaler = "--as=system:serviceaccount:kube-system:horizontal-pod-autoscaler";
    let path = "/apis/apps/v1/namespaces/agents-pool/deployments/bailiwick-pool-x/scale";
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "spec": { "replicas": 3 },
        "metadata": { "name": "bailiwick-pool-x", "namespace": "agents-pool" },
    });
    let args = ["replace", "--raw", path, "-f", "-", autoscaler];
    let output = cluster.kubectl_raw(args, &scale.to_string()).expect("kubectl runs");
    assert!(!output.status.success() && said(&output).contains("bailiwick-pools"), "{}", said(&output));
}

/// Whoever may edit a namespace of pools lets no traffic through, neither by one more policy nor by one less.
fn networks_of_pools_stay(cluster: &Cluster) {
    let open = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": "open", "namespace": "agents-pool" }, "spec": { "podSelector": {}, "egress": [{}] },
    });
    let open = open.to_string();
    let create = ["create", "-f", "-", "--dry-run=server"];
    let delete = ["delete", "networkpolicy", "bailiwick-pools", "-n", "agents-pool", "--dry-run=server"];
    for args in [&create[..], &delete[..]] {
        let eve = cluster.kubectl_raw([args, &["--as=eve"]].concat(), &open).expect("kubectl runs");
        assert!(
            !eve.status.success() && said(&eve).contains("write NetworkPolicies"),
            "{args:?}: {}",
            said(&eve)
        );
        cluster.kubectl(args, &open).expect("who may delete the namespace installs and removes the chart");
    }
    // By a role in the namespace alone, the namespace may be deleted as well.
    let role = ["create", "role", "owner", "-n", "agents-pool", "--verb=create,delete,get"];
    let resources = "--resource=namespaces,networkpolicies.networking.k8s.io";
    cluster.kubectl([&role[..], &[resources]].concat(), "").expect("a role");
    let rights = ["create", "rolebinding", "owner", "-n", "agents-pool", "--role=owner", "--user=owner"];
    cluster.kubectl(rights, "").expect("rights");
    let away = ["delete", "namespace", "agents-pool", "--dry-run=server"];
    for args in [&away[..], &create[..], &delete[..]] {
        let owner = cluster.kubectl_raw([args, &["--as=owner"]].concat(), &open).expect("kubectl runs");
        assert!(owner.status.success(), "{args:?}: {}", said(&owner));
    }
    // The clean-up takes away what the operator wrote, also there.
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:bailiwick-uninstall");
    let user = format!("--user=system:serviceaccount:{NAMESPACE}:bailiwick-uninstall");
    let rights = ["create", "rolebinding", "uninstall", "-n", "agents-pool", "--clusterrole=edit", &user];
    cluster.kubectl(rights, "").expect("rights");
    cluster.kubectl([&delete[..], &[account.as_str()]].concat(), "").expect("the clean-up may");
}
