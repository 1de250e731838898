//! One change of a pod for each control of the Pod Security Standards, and for everything else that the
//! sections of a pack check. <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use serde_json::{Value, json};

/// A member on the way to the changed field; numbers are elements.
type Path = &'static [&'static str];

const POD: Path = &["spec"];
const MAIN: Path = &["spec", "containers", "0"];

/// Each change as the place and its new value; null removes it.
pub(super) fn changes() -> Vec<(Vec<&'static str>, Value)> {
    let mut changes = Vec::new();
    for (field, value) in [
        ("hostNetwork", json!(true)),
        ("hostPID", json!(true)),
        ("hostIPC", json!(true)),
        ("shareProcessNamespace", json!(true)),
        ("hostUsers", json!(false)),
        ("automountServiceAccountToken", json!(true)),
        ("automountServiceAccountToken", Value::Null),
        ("serviceAccountName", json!("any-other")),
        ("os", json!({"name": "windows"})),
    ] {
        changes.push(([POD, &[field]].concat(), value));
    }
    for (within, field, value) in [
        ("securityContext", "runAsNonRoot", json!(false)),
        ("securityContext", "runAsNonRoot", Value::Null),
        ("securityContext", "runAsUser", json!(0)),
        ("securityContext", "seccompProfile", json!({"type": "Unconfined"})),
        ("securityContext", "seccompProfile", Value::Null),
        ("securityContext", "seLinuxOptions", json!({"type": "spc_t"})),
        ("securityContext", "appArmorProfile", json!({"type": "Unconfined"})),
        ("securityContext", "windowsOptions", json!({"hostProcess": true})),
    ] {
        for pod_or_main in [POD, MAIN] {
            changes.push(([pod_or_main, &[within, field]].concat(), value.clone()));
        }
    }
    let mut set = |path: Path, value: Value| changes.push(([MAIN, path].concat(), value));
    set(&["securityContext", "privileged"], json!(true));
    set(&["securityContext", "allowPrivilegeEscalation"], json!(true));
    set(&["securityContext", "allowPrivilegeEscalation"], Value::Null);
    set(&["securityContext", "procMount"], json!("Unmasked"));
    set(&["securityContext", "capabilities"], Value::Null);
    set(&["securityContext", "capabilities"], json!({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}));
    set(&["securityContext", "capabilities"], json!({"drop": ["ALL"], "add": ["CHOWN"]}));
    set(&["securityContext", "capabilities"], json!({"add": ["SYS_ADMIN"]}));
    set(&["ports"], json!([{"containerPort": 8080, "hostPort": 8080}]));
    set(&["livenessProbe"], json!({"httpGet": {"host": "192.0.2.1", "path": "/", "port": 80}}));
    set(&["resources"], Value::Null);
    let sysctls = |name: &str| json!([{"name": name, "value": "1"}]);
    changes.push(([POD, &["securityContext", "sysctls"]].concat(), sysctls("kernel.msgmax")));
    changes.push(([POD, &["securityContext", "sysctls"]].concat(), sysctls("net.ipv4.tcp_syncookies")));
    for volume in [
        json!({"hostPath": {"path": "/"}}),
        json!({"nfs": {"server": "192.0.2.1", "path": "/"}}),
        json!({"emptyDir": {}}),
        json!({"secret": {"secretName": "any-other"}}),
        json!({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}),
    ] {
        let mut volume = volume;
        if let Some(members) = volume.as_object_mut() {
            members.insert("name".to_owned(), json!("volume"));
        }
        changes.push(([POD, &["volumes"]].concat(), json!([volume])));
    }
    changes
}

/// Applies a change.
pub(super) fn change(object: &mut Value, path: &[&str], value: Value) {
    let mut here = object;
    for step in path {
        if let Some(index) = step.parse::<usize>().ok().filter(|_| here.is_array()) {
            let Some(item) = here.get_mut(index) else { return };
            here = item;
            continue;
        }
        if here.is_null() {
            *here = json!({});
        }
        let Some(members) = here.as_object_mut() else { return };
        here = members.entry(*step).or_insert(Value::Null);
    }
    *here = value;
}
