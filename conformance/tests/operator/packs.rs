//! Packs, bindings and a pod for the tests.

use serde_json::{Value, json};

/// A pack whose pods may talk to one network, at a version.
pub(crate) fn pack(name: &str, version: &str, cidr: &str) -> String {
    format!(
        "\
apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {{name: {name}-{version}}}
spec:
  pack: {name}
  version: {version}
  subjects:
    namespaces: {{selector: {{matchLabels: {{bailiwick.dev/zone: {name}}}}}}}
    pods: {{matchLabels: {{app: agent}}}}
    unmatched: Deny
  isolation:
    podSecurity: {{level: Restricted, version: v1.36}}
  network:
    egress:
    - {{name: out, to: {{cidr: {cidr}}}, ports: [{{port: 443, protocol: TCP}}]}}
  pools:
  - name: warm
    backend: Native
    runtimeClass: runc
    podSecurity: {{level: Baseline, version: v1.36}}
    userNamespace: Required
    cgroup: ReadOnly
    resources: {{cpus: \"1\", memory: 1Gi}}
"
    )
}

/// The same with a rule that does not compile.
pub(crate) fn broken(name: &str, version: &str) -> String {
    let rule = "  admission:
    rules:
    - name: nonsense
      match: {resources: [{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
      validations: [{expression: \"object.spec.(\", message: \"no\"}]
";
    pack(name, version, "192.0.2.0/28") + rule
}

/// A binding of a pack.
pub(crate) fn binding(name: &str, pack: &str, version: &str, more: &str) -> String {
    format!(
        "{{apiVersion: bailiwick.dev/v1alpha1, kind: PolicyBinding, metadata: {{name: {name}}}, spec: {{pack: {{name: {pack}, version: {version}}}{more}}}}}"
    )
}

/// A pod that the pack of the tests allows, in a cell.
pub(crate) fn pod(name: &str, namespace: &str, cell: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": "agent", "bailiwick.dev/cell": cell } },
        "spec": {
            "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "c", "image": "registry.example.org/agent:1",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}
