//! Pools of executors: Deployment, bundle, profile, and what is reported when a pool cannot run.

use serde_json::{Value, json};

use crate::packs::pack;
use crate::stage::{Stage, condition, until};

const IMAGE: &str = "registry.example.org/bailiwick/executor@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn pool(name: &str, pack: &str, pool: &str) -> String {
    format!(
        "{{apiVersion: bailiwick.dev/v1alpha1, kind: SandboxPool, metadata: {{name: {name}, namespace: pools}}, spec: {{runtime: Deployment, pack: {{name: {pack}, version: 1.0.0}}, pool: {pool}, replicas: 2, image: \"{IMAGE}\"}}}}"
    )
}

fn stage() -> Stage {
    let stage = Stage::new();
    stage.apply("{apiVersion: v1, kind: Namespace, metadata: {name: pools}}");
    stage.apply(&pack("pooled", "1.0.0", "192.0.2.0/28"));
    stage
}

fn bundle_of(stage: &Stage, digest: &str) -> Option<Value> {
    stage.get("configmap", &format!("bailiwick-{digest}"), Some("pools"))
}

#[test]
fn a_pool_becomes_a_deployment_of_its_bundle() {
    let stage = stage();
    let operator = stage.operator(&[]).leads();
    stage.apply(&pool("warm", "pooled", "warm"));
    let object = stage.condition("sandboxpool", "warm", Some("pools"), "Compiled", "True");
    // No node here: the pods never start, and the status says so.
    let ready = condition(&object, "Ready").expect("a condition");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("Waiting")), "{ready}");
    let digest = object["status"]["digest"].as_str().expect("a digest").to_owned();
    let bundle = bundle_of(&stage, &digest).expect("the bundle");
    assert_eq!(bundle["immutable"], true);
    let text = bundle["data"]["bundle.json"].as_str().expect("a bundle");
    assert_eq!(bailiwick_policy::bundle::digest(text.as_bytes()), digest);

    let deployment =
        until("the Deployment", || stage.get("deployment", "bailiwick-pool-warm", Some("pools")));
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(pod["runtimeClassName"], "runc");
    assert_eq!((&pod["hostUsers"], &pod["automountServiceAccountToken"]), (&json!(false), &json!(false)));
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["image"], IMAGE);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["resources"]["limits"], json!({ "cpu": "1", "memory": "1073741824" }));
    let arguments: Vec<&str> =
        container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    assert!(arguments.windows(2).any(|pair| pair == ["--expect-digest", digest.as_str()]), "{arguments:?}");

    // Scaled by hand: the pool object determines the number.
    stage.kubectl(&["scale", "deployment", "bailiwick-pool-warm", "-n", "pools", "--replicas=0"]);
    until("the replicas are back", || {
        (stage.get("deployment", "bailiwick-pool-warm", Some("pools"))?["spec"]["replicas"] == 2)
            .then_some(())
    });
    stage.kubectl(&["delete", "sandboxpool", "warm", "-n", "pools"]);
    until("nothing of it is left", || {
        stage.ours("configmaps,deployments").iter().all(|one| !one.contains("pools/")).then_some(())
    });
    operator.stop();
}

#[test]
fn a_bundle_that_a_user_put_something_else_in_place_of_comes_back() {
    let stage = stage();
    let operator = stage.operator(&["--lease-duration", "120"]).leads();
    stage.apply(&pool("warm", "pooled", "warm"));
    let object = stage.condition("sandboxpool", "warm", Some("pools"), "Compiled", "True");
    let digest = object["status"]["digest"].as_str().expect("a digest").to_owned();
    let right = bundle_of(&stage, &digest).expect("the bundle")["data"].clone();
    let name = format!("bailiwick-{digest}");
    // Immutable, so it cannot be edited; but a user who may `edit` a namespace can replace it, labels and
    // all.
    let mut other = bundle_of(&stage, &digest).expect("the bundle");
    other["data"] = json!({ "bundle.json": "{}" });
    for member in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        other["metadata"].as_object_mut().expect("metadata").remove(member);
    }
    let file = stage.folder.path().join("other.json");
    std::fs::write(&file, other.to_string()).expect("written");
    // The operator would restore it before the other one could be created, so it is suspended meanwhile.
    operator.signal("STOP");
    stage.kubectl(&["replace", "--force", "-f", file.to_str().expect("UTF-8")]);
    assert_ne!(bundle_of(&stage, &digest).expect("a bundle")["data"], right);
    operator.signal("CONT");
    until("the bundle is back", || (bundle_of(&stage, &digest)?["data"] == right).then_some(()));
    assert_eq!(bundle_of(&stage, &digest).expect("the bundle")["immutable"], true);
    // Counted, and told next to the object.
    until("the drift is counted", || {
        (operator.metric("drift_repaired_total", "kind=\"ConfigMap\"") >= 1).then_some(())
    });
    until("an event tells of it", || {
        let told = |event: &Value| {
            event["regarding"]["kind"] == "ConfigMap"
                && event["regarding"]["name"] == name
                && event["type"] == "Warning"
                && event["reason"].as_str().is_some_and(|reason| reason.starts_with("Drift"))
        };
        stage.list("events", Some("pools")).iter().any(told).then_some(())
    });
    // The pool says the same as before: it has the bundle of its pack.
    let object = stage.condition("sandboxpool", "warm", Some("pools"), "Compiled", "True");
    assert_eq!(object["status"]["digest"], json!(digest));
    // Also if it has no label, and while no operator runs.
    operator.stop();
    stage.kubectl(&["delete", "configmap", &name, "-n", "pools"]);
    stage.kubectl(&["create", "configmap", &name, "-n", "pools", "--from-literal=bundle.json={}"]);
    stage.kubectl(&["patch", "configmap", &name, "-n", "pools", "-p", r#"{"immutable": true}"#]);
    let successor = stage.operator(&[]).leads();
    until("the bundle is back", || (bundle_of(&stage, &digest)?["data"] == right).then_some(()));
    successor.stop();
}

/// The kubelet of a node that is not there: a pod of the pool whose probe found a tier. Its image is none, and
/// the pod stays where it is.
fn probed(stage: &Stage, name: &str, pool: &str, tier: &str) {
    let container = |name: &str| json!({ "name": name, "image": IMAGE });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "pools", "labels": { "bailiwick.dev/pool": pool } },
        "spec": { "schedulingGates": [{ "name": "example.org/never" }], "initContainers": [container("probe")], "containers": [container("executor")] },
    });
    stage.apply(&pod.to_string());
    let report = json!({ "tier": tier }).to_string();
    let ended = json!({ "terminated": { "exitCode": 0, "message": report } });
    let status = json!({ "status": { "initContainerStatuses": [{
        "name": "probe", "image": IMAGE, "imageID": "", "ready": true, "restartCount": 0, "state": ended,
    }] } });
    let path = format!("/api/v1/namespaces/pools/pods/{name}/status");
    stage.api().send("PATCH", &path, &status).expect("a status");
}

#[test]
fn a_pool_says_the_lowest_tier_that_a_pod_of_its_own_found() {
    let stage = stage();
    let operator = stage.operator(&[]).leads();
    stage.apply(&pool("warm", "pooled", "warm"));
    let tier = || Some(stage.get("sandboxpool", "warm", Some("pools"))?["status"]["tier"].clone());
    stage.condition("sandboxpool", "warm", Some("pools"), "Compiled", "True");
    assert_eq!(tier(), Some(Value::Null), "no pod was probed");
    // Another pool's pod says nothing about this one.
    probed(&stage, "stranger", "cold", "Limited");
    probed(&stage, "first", "warm", "Root");
    until("the tier of the only pod", || (tier()? == "Root").then_some(()));
    probed(&stage, "second", "warm", "PodUserNs");
    until("the lower of two", || (tier()? == "PodUserNs").then_some(()));
    stage.kubectl(&["delete", "pod", "second", "-n", "pools", "--force", "--grace-period=0"]);
    until("the tier of what is left", || (tier()? == "Root").then_some(()));
    operator.stop();
}

/// The sandboxes of a pack's pool, so that the pool has a profile.
const SANDBOX: &str = "  sandboxes:
  - name: shell
    pool: warm
    filesystem:
      readOnly: [/usr, /lib, /lib64, /bin]
      writable: [{path: /tmp, size: 16Mi, inodes: 1024}]
      workspace: {path: /work, size: 16Mi, inodes: 4096, lifetime: Session}
      proc: Own
      devices: [\"null\", zero, urandom]
    network: {egress: []}
    syscalls: {profile: Shell}
    limits: {wallClock: 30s, cpuTime: 30s, cpus: \"1\", memory: 512Mi, processes: 64, openFiles: 256, fileSize: 16Mi, output: 1Mi}
";

#[test]
fn old_bundles_stay_while_pods_of_theirs_may_start_and_profiles_come_back() {
    let stage = stage();
    let boxed = |version: &str, cidr: &str| {
        pack("boxed", version, cidr).replace("cgroup: ReadOnly", "cgroup: Writable") + SANDBOX
    };
    stage.apply(&boxed("1.0.0", "192.0.2.0/28"));
    let operator = stage.operator(&[]).leads();
    stage.apply(&pool("warm", "boxed", "warm"));
    // Compiled: a pool whose pack is not read yet keeps the digest that it has.
    let digest = || {
        let object = stage.condition("sandboxpool", "warm", Some("pools"), "Compiled", "True");
        object["status"]["digest"].as_str().expect("a digest").to_owned()
    };
    let first = digest();
    let profile = format!("bailiwick-seccomp-warm-{first}");
    let data = || Some(stage.get("configmap", &profile, Some("pools"))?["data"].clone());
    let right = until("the profile", data);
    // A profile that is deleted, or replaced: immutable, so it cannot be edited.
    stage.kubectl(&["delete", "configmap", &profile, "-n", "pools"]);
    until("the profile is back", || (data()? == right).then_some(()));
    let put = |data: &Value| {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": profile, "namespace": "pools" }, "data": data,
        });
        stage.api().send("POST", "/api/v1/namespaces/pools/configmaps", &object).map(drop)
    };
    operator.signal("STOP");
    stage.kubectl(&["delete", "configmap", &profile, "-n", "pools"]);
    put(&json!({ "x86_64.json": "{}" })).expect("another profile");
    operator.signal("CONT");
    until("the profile is right again", || (data()? == right).then_some(()));
    // No node is here, so no pod of the new bundle ever becomes ready: the Deployment goes on replacing pods
    // of the old one where they end.
    stage.apply(&boxed("1.1.0", "198.51.100.0/28"));
    stage.apply(&pool("warm", "boxed", "warm").replace("1.0.0", "1.1.0"));
    let second = digest();
    assert_ne!(first, second);
    until("the new bundle", || bundle_of(&stage, &second));
    operator.passes(3, |round| stage.nudge(&format!("b{round}")));
    assert!(bundle_of(&stage, &first).is_some(), "the old bundle was pruned under its pods");
    assert_eq!(data(), Some(right));
    // Nothing is left of it once the pool is gone.
    stage.kubectl(&["delete", "sandboxpool", "warm", "-n", "pools"]);
    until("both bundles are gone", || {
        (bundle_of(&stage, &first).is_none() && bundle_of(&stage, &second).is_none()).then_some(())
    });
    operator.stop();
}

#[test]
fn a_pool_names_its_pack_by_either_version_or_digest() {
    let stage = stage();
    for (name, reference) in
        [("both", format!("version: 1.0.0, digest: \"{}\"", "0".repeat(64))), ("neither", String::new())]
    {
        let manifest = pool(name, "pooled", "warm").replace("version: 1.0.0", &reference);
        let error = stage.api().apply(&manifest).expect_err(name).to_string();
        assert!(error.contains("name either a version or a digest"), "{name}: {error}");
    }
}

#[test]
fn a_pool_that_names_what_is_not_there_says_so_and_takes_nothing_away() {
    let stage = stage();
    let operator = stage.operator(&[]).leads();
    stage.apply(&pool("warm", "pooled", "warm"));
    stage.condition("sandboxpool", "warm", Some("pools"), "Compiled", "True");
    let before = until("the Deployment", || stage.get("deployment", "bailiwick-pool-warm", Some("pools")));
    for (name, pack, part, reason) in
        [("other", "nobody", "warm", "UnknownPack"), ("another", "pooled", "cold", "UnknownPool")]
    {
        stage.apply(&pool(name, pack, part));
        let object = stage.condition("sandboxpool", name, Some("pools"), "Compiled", "False");
        assert_eq!(condition(&object, "Compiled").expect("a condition")["reason"], reason);
        assert_eq!(condition(&object, "Ready").expect("a condition")["status"], "False");
        assert!(stage.get("deployment", &format!("bailiwick-pool-{name}"), Some("pools")).is_none());
    }
    let now = stage.get("deployment", "bailiwick-pool-warm", Some("pools")).expect("it stays");
    assert_eq!(now["metadata"]["uid"], before["metadata"]["uid"]);
    // The pack comes later: GitOps may apply objects in any order.
    stage.apply(&pack("nobody", "1.0.0", "192.0.2.0/28"));
    stage.condition("sandboxpool", "other", Some("pools"), "Compiled", "True");
    operator.stop();
}
