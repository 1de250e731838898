//! Field paths, messages, and values of the wrong type, which no fixture of Kubernetes has.

use expect_test::{Expect, expect};

use super::{Violation, evaluate};
use crate::json::Json;
use crate::policy::{PodSecurity, PodSecurityLevel};

fn judge(level: PodSecurityLevel, minor: u16, spec: &str) -> Vec<Violation> {
    let text = format!("{{\"metadata\": {{}}, \"spec\": {spec}}}");
    evaluate(PodSecurity { level, minor }, &Json::parse(text.as_bytes()).unwrap())
}

fn check(level: PodSecurityLevel, spec: &str, expected: Expect) {
    let mut text = String::new();
    for violation in judge(level, PodSecurity::NEWEST_MINOR, spec) {
        text.push_str(&format!("{}: {}\n", violation.check, violation.message));
        for field in violation.fields {
            text.push_str(&format!("  {field}\n"));
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn names_every_field_at_fault() {
    check(
        PodSecurityLevel::Baseline,
        r#"{"hostPID": true, "volumes": [{"name": "v", "emptyDir": {}}, {"name": "h", "hostPath": {"path": "/"}}],
            "initContainers": [{"name": "a"}, {"name": "b", "securityContext": {"privileged": true, "capabilities": {"add": ["KILL", "SYS_ADMIN"]}}}],
            "containers": [{"name": "c", "ports": [{"containerPort": 1}, {"containerPort": 2, "hostPort": 80}],
                            "livenessProbe": {"httpGet": {"host": "x"}}, "lifecycle": {"preStop": {"tcpSocket": {"host": "y"}}}}],
            "ephemeralContainers": [{"name": "e", "securityContext": {"privileged": true}}]}"#,
        expect![[r#"
            capabilities_baseline: non-default capabilities (container "b" must not include "SYS_ADMIN" in securityContext.capabilities.add)
              spec.initContainers[1].securityContext.capabilities.add[1]
            hostNamespaces: host namespaces (hostPID=true)
              spec.hostPID
            hostPathVolumes: hostPath volumes (volume "h")
              spec.volumes[1].hostPath
            hostPorts: hostPort (container "c" uses hostPort 80)
              spec.containers[0].ports[1].hostPort
            hostProbesAndHostLifecycle: probe or lifecycle host (container "c" uses probe or lifecycle hosts "x", "y")
              spec.containers[0].livenessProbe.httpGet.host
              spec.containers[0].lifecycle.preStop.tcpSocket.host
            privileged: privileged (containers "b", "e" must not set securityContext.privileged=true)
              spec.initContainers[1].securityContext.privileged
              spec.ephemeralContainers[0].securityContext.privileged
        "#]],
    );
}

#[test]
fn lists_missing_fields_beside_wrong_ones() {
    check(
        PodSecurityLevel::Restricted,
        r#"{"securityContext": {"runAsNonRoot": false, "runAsUser": 0}, "containers": [{"name": "a"}]}"#,
        expect![[r#"
            allowPrivilegeEscalation: allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)
              spec.containers[0].securityContext.allowPrivilegeEscalation
            capabilities_restricted: unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"])
              spec.containers[0].securityContext.capabilities.drop
            runAsNonRoot: runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)
              spec.securityContext.runAsNonRoot
              spec.containers[0].securityContext.runAsNonRoot
            runAsUser: runAsUser=0 (pod must not set runAsUser=0)
              spec.securityContext.runAsUser
            seccompProfile_restricted: seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")
              spec.containers[0].securityContext.seccompProfile.type
        "#]],
    );
}

#[test]
fn what_cannot_be_read_does_not_pass() {
    for spec in [
        r#"[]"#,
        r#"{"containers": {"name": "a"}}"#,
        r#"{"containers": ["a"]}"#,
        r#"{"containers": [{"name": "a", "securityContext": [{"privileged": true}]}]}"#,
        r#"{"containers": [{"name": "a", "securityContext": {"privileged": "true"}}]}"#,
        r#"{"containers": [{"name": "a", "securityContext": {"capabilities": ["SYS_ADMIN"]}}]}"#,
        r#"{"containers": [{"name": "a", "securityContext": {"capabilities": {"add": "SYS_ADMIN"}}}]}"#,
        r#"{"containers": [{"name": "a", "ports": [{"hostPort": "80"}]}]}"#,
        r#"{"containers": [{"name": "a", "ports": [[{"hostPort": 80}]]}]}"#,
        r#"{"containers": [{"name": "a", "livenessProbe": [{"httpGet": {"host": "x"}}]}]}"#,
        r#"{"containers": [{"name": "a", "lifecycle": [{"preStop": {"httpGet": {"host": "x"}}}]}]}"#,
        r#"{"containers": [{"name": "a", "lifecycle": {"preStop": {"httpGet": [{"host": "x"}]}}}]}"#,
        r#"{"volumes": [[{"hostPath": {}}]], "containers": []}"#,
        r#"{"hostNetwork": 1, "containers": []}"#,
        r#"{"volumes": {"hostPath": {}}, "containers": []}"#,
        r#"{"securityContext": {"sysctls": ["kernel.msgmax"]}, "containers": []}"#,
    ] {
        assert_ne!(judge(PodSecurityLevel::Baseline, 37, spec), [], "{spec}");
        assert_eq!(judge(PodSecurityLevel::Privileged, 37, spec), [], "{spec}");
    }
}

#[test]
fn null_is_absent() {
    let spec = r#"{"hostNetwork": null, "securityContext": null, "volumes": null, "initContainers": null,
        "containers": [{"name": "a", "ports": null, "lifecycle": null, "securityContext": {"privileged": null, "capabilities": null}}]}"#;
    assert_eq!(judge(PodSecurityLevel::Baseline, 37, spec), []);
}
