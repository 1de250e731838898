//! What sections deny, in pods and in templates, and what they allow.

use expect_test::expect;

use super::*;

#[test]
fn a_plain_pod_is_admitted_once_it_is_mutated() {
    admits(&create(pod("{}", "{}")), &expect!["allowed"]);
    mutates(
        &create(pod("{}", "{}")),
        &expect![[r#"
            allowed
            {"op":"add","path":"/metadata/labels/bailiwick.dev~1cell","value":"0123456789abcdef"}
            {"op":"add","path":"/spec/securityContext/seccompProfile","value":{"type":"RuntimeDefault"}}
            {"op":"add","path":"/spec/containers/0/workingDir","value":"/work"}
            {"op":"add","path":"/spec/runtimeClassName","value":"gvisor"}
            {"op":"add","path":"/spec/automountServiceAccountToken","value":false}"#]],
    );
}

#[test]
fn the_same_pod_is_refused_if_nothing_was_written_in() {
    validates(
        &create(pod("{}", "{}")),
        &expect![[r#"
        denied
        deny probe@1.0.0/podSecurity: seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost") (spec.containers[0].securityContext.seccompProfile.type); set spec.securityContext.seccompProfile.type to RuntimeDefault
        deny probe@1.0.0/runtimeClass: the pod names no RuntimeClass (spec.runtimeClassName); set it to `gvisor` or `runc`
        deny probe@1.0.0/serviceAccountToken: the pod mounts a service account token (spec.automountServiceAccountToken); set it to false"#]],
    );
}

#[test]
fn each_fault_names_its_field() {
    admits(
        &create(pod("{}", r#"{"securityContext": {"privileged": true}}"#)),
        &expect![[r#"
        denied
        deny probe@1.0.0/podSecurity: privileged (container "c" must not set securityContext.privileged=true) (spec.containers[0].securityContext.privileged); remove privileged, or set it to false"#]],
    );
    admits(
        &create(pod(r#"{"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}"#, "{}")),
        &expect![[r#"
        denied
        deny probe@1.0.0/podSecurity: restricted volume types (volume "v" uses restricted volume type "hostPath") (spec.volumes[0].hostPath); use configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected or secret"#]],
    );
    admits(
        &create(pod(r#"{"runtimeClassName": "kata", "hostNetwork": true}"#, "{}")),
        &expect![[r#"
        denied
        deny probe@1.0.0/podSecurity: host namespaces (hostNetwork=true) (spec.hostNetwork); remove hostNetwork, hostPID and hostIPC, or set them to false
        deny probe@1.0.0/runtimeClass: RuntimeClass `kata` is not allowed (spec.runtimeClassName); set it to `gvisor` or `runc`
        deny probe@1.0.0/network: NetworkPolicies do not hold for a pod on the host's network (spec.hostNetwork); remove hostNetwork"#]],
    );
    admits(
        &create(pod("{}", r#"{"image": "nginx"}"#)),
        &expect![[r#"
        denied
        deny probe@1.0.0/images: image `docker.io/library/nginx` matches no entry of the allowed images (spec.containers[0].image); use an image that the pack's `images` section allows"#]],
    );
}

#[test]
fn a_token_is_refused_however_it_gets_in() {
    let volume = r#"{"volumes": [{"name": "t", "projected": {"sources": [{"configMap": {}}, {"serviceAccountToken": {"path": "t"}}]}}]}"#;
    admits(
        &create(pod(volume, "{}")),
        &expect![[r#"
        denied
        deny probe@1.0.0/serviceAccountToken: a volume projects a service account token (spec.volumes[0].projected.sources[1].serviceAccountToken); remove the source"#]],
    );
    admits(
        &create(pod(r#"{"automountServiceAccountToken": true}"#, "{}")),
        &expect![[r#"
        denied
        deny probe@1.0.0/serviceAccountToken: the pod mounts a service account token (spec.automountServiceAccountToken); set it to false"#]],
    );
}

#[test]
fn init_containers_ephemeral_containers_and_image_volumes_are_judged() {
    let spec = r#"{"initContainers": [{"name": "i", "image": "nginx", "resources": {"limits": {"memory": "1"}}, "securityContext": {"privileged": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        "volumes": [{"name": "v", "image": {"reference": "docker.io/x"}}]}"#;
    admits(
        &create(pod(spec, "{}")),
        &expect![[r#"
        denied
        deny probe@1.0.0/podSecurity: privileged (container "i" must not set securityContext.privileged=true) (spec.initContainers[0].securityContext.privileged); remove privileged, or set it to false
        deny probe@1.0.0/images: image `docker.io/library/nginx` matches no entry of the allowed images (spec.initContainers[0].image); use an image that the pack's `images` section allows
        deny probe@1.0.0/images: image `docker.io/library/x` matches no entry of the allowed images (spec.volumes[0].image.reference); use an image that the pack's `images` section allows"#]],
    );
    let old = stored("{}", "{}");
    let debug = r#"{"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox", "securityContext": {"privileged": true}}]}}"#;
    admits(
        &sub_update("ephemeralcontainers", old.clone(), with(old, debug)),
        &expect![[r#"
        denied
        deny probe@1.0.0/podSecurity: privileged (container "debug" must not set securityContext.privileged=true) (spec.ephemeralContainers[0].securityContext.privileged); remove privileged, or set it to false
        deny probe@1.0.0/podSecurity: allowPrivilegeEscalation != false (container "debug" must set securityContext.allowPrivilegeEscalation=false) (spec.ephemeralContainers[0].securityContext.allowPrivilegeEscalation); set securityContext.allowPrivilegeEscalation to false in every container
        deny probe@1.0.0/podSecurity: unrestricted capabilities (container "debug" must set securityContext.capabilities.drop=["ALL"]) (spec.ephemeralContainers[0].securityContext.capabilities.drop); set securityContext.capabilities.drop to [ALL] in every container, and add at most NET_BIND_SERVICE
        deny probe@1.0.0/images: image `docker.io/library/busybox` matches no entry of the allowed images (spec.ephemeralContainers[0].image); use an image that the pack's `images` section allows"#]],
    );
}

#[test]
fn a_deployment_with_the_same_faults_is_refused_at_its_own_fields() {
    admits(&create(deployment(&pod("{}", "{}"))), &expect!["allowed"]);
    let bad = pod(
        r#"{"runtimeClassName": "kata"}"#,
        r#"{"securityContext": {"privileged": true}, "image": "nginx"}"#,
    );
    let bad = replaced(bad, &["spec", "containers", "0", "resources"], json("{}"));
    admits(
        &create(deployment(&bad)),
        &expect![[r#"
        denied
        deny probe@1.0.0/podSecurity: privileged (container "c" must not set securityContext.privileged=true) (spec.template.spec.containers[0].securityContext.privileged); remove privileged, or set it to false
        deny probe@1.0.0/runtimeClass: RuntimeClass `kata` is not allowed (spec.template.spec.runtimeClassName); set it to `gvisor` or `runc`
        deny probe@1.0.0/images: image `docker.io/library/nginx` matches no entry of the allowed images (spec.template.spec.containers[0].image); use an image that the pack's `images` section allows
        deny probe@1.0.0/memory-limits: cannot be evaluated: no such key: limits (spec.template); set resources.limits.memory"#]],
    );
}

#[test]
fn every_kind_of_template_is_judged() {
    let bad = deployment(&pod(r#"{"hostNetwork": true}"#, "{}"));
    let template = serde_json::to_string(bad.at(&["spec", "template"]).unwrap()).unwrap();
    let under = [
        ("apps/v1", "Deployment", format!(r#""spec": {{"template": {template}}}"#)),
        ("apps/v1", "ReplicaSet", format!(r#""spec": {{"template": {template}}}"#)),
        ("apps/v1", "StatefulSet", format!(r#""spec": {{"template": {template}}}"#)),
        ("apps/v1", "DaemonSet", format!(r#""spec": {{"template": {template}}}"#)),
        ("v1", "ReplicationController", format!(r#""spec": {{"template": {template}}}"#)),
        ("batch/v1", "Job", format!(r#""spec": {{"template": {template}}}"#)),
        (
            "batch/v1",
            "CronJob",
            format!(r#""spec": {{"jobTemplate": {{"spec": {{"template": {template}}}}}}}"#),
        ),
        ("v1", "PodTemplate", format!(r#""template": {template}"#)),
    ];
    let mut out = Vec::new();
    for (api_version, kind, body) in under {
        let object = json(&format!(
            r#"{{"apiVersion": "{api_version}", "kind": "{kind}", "metadata": {{"name": "w", "namespace": "agents"}}, {body}}}"#
        ));
        let decision = reviewer(vec![policy()]).review(&create(object), Phase::Validate);
        let network = decision.findings.iter().find(|finding| finding.rule == "network").unwrap();
        out.push(format!("{kind} {} {}", decision.allowed, network.field));
    }
    expect![[r#"
        Deployment false spec.template.spec.hostNetwork
        ReplicaSet false spec.template.spec.hostNetwork
        StatefulSet false spec.template.spec.hostNetwork
        DaemonSet false spec.template.spec.hostNetwork
        ReplicationController false spec.template.spec.hostNetwork
        Job false spec.template.spec.hostNetwork
        CronJob false spec.jobTemplate.spec.template.spec.hostNetwork
        PodTemplate false template.spec.hostNetwork"#]]
    .assert_eq(&out.join("\n"));
}
