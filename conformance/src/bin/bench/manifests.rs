//! The manifests that the command line judges, as in the comparison of engines: pods and Deployments in turn,
//! with one to three containers. Seven in ten keep all sixteen rules, the others break one to three. They are
//! the same every time, and it is known how many break which rule.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Manifests as one file of YAML, and how many of them break each rule.
pub(crate) struct Manifests {
    pub(crate) yaml: String,
    pub(crate) broken: BTreeMap<&'static str, usize>,
}

/// How a pod's spec is made to break a rule.
enum Breach {
    /// A member of the object at a pointer.
    Set(&'static str, &'static str, &'static str),
    /// An element of the list at a pointer.
    Push(&'static str, &'static str),
    /// A member removed from the object at a pointer.
    Remove(&'static str, &'static str),
}

use Breach::{Push, Remove, Set};

const POD: &str = "/securityContext";
const FIRST: &str = "/containers/0/securityContext";

/// Rule, how it is broken, and the rule that breaks with it.
const BREACHES: [(&str, Breach, Option<&str>); 16] = [
    ("host-process", Set(FIRST, "windowsOptions", r#"{"hostProcess": true}"#), None),
    ("host-namespaces", Set("", "hostPID", "true"), None),
    ("privileged", Set(FIRST, "privileged", "true"), None),
    (
        "host-path",
        Push("/volumes", r#"{"name": "host", "hostPath": {"path": "/etc"}}"#),
        Some("volume-types"),
    ),
    ("host-ports", Set("/containers/0/ports/0", "hostPort", "8080"), None),
    ("host-probes", Set("/containers/0/readinessProbe/httpGet", "host", r#""127.0.0.1""#), None),
    ("app-armor", Set(POD, "appArmorProfile", r#"{"type": "Unconfined"}"#), None),
    ("se-linux", Set(POD, "seLinuxOptions", r#"{"type": "spc_t"}"#), None),
    ("proc-mount", Set(FIRST, "procMount", r#""Unmasked""#), None),
    ("sysctls", Set(POD, "sysctls", r#"[{"name": "kernel.msgmax", "value": "65536"}]"#), None),
    (
        "volume-types",
        Push("/volumes", r#"{"name": "share", "nfs": {"server": "nfs.example", "path": "/"}}"#),
        None,
    ),
    ("privilege-escalation", Remove(FIRST, "allowPrivilegeEscalation"), None),
    ("run-as-non-root", Remove(POD, "runAsNonRoot"), None),
    ("run-as-user", Set(FIRST, "runAsUser", "0"), None),
    ("seccomp", Set(POD, "seccompProfile", r#"{"type": "Unconfined"}"#), None),
    ("capabilities", Set(FIRST, "capabilities", r#"{"drop": ["ALL"], "add": ["SYS_ADMIN"]}"#), None),
];

impl Breach {
    fn make(&self, spec: &mut Value) -> anyhow::Result<()> {
        let (Set(pointer, ..) | Push(pointer, _) | Remove(pointer, _)) = self;
        match (self, spec.pointer_mut(pointer)) {
            (Set(_, member, value), Some(Value::Object(members))) => {
                members.insert((*member).to_owned(), serde_json::from_str(value)?);
            }
            (Remove(_, member), Some(Value::Object(members))) => drop(members.remove(*member)),
            (Push(_, value), Some(Value::Array(items))) => items.push(serde_json::from_str(value)?),
            _ => anyhow::bail!("nothing stands at `{pointer}`"),
        }
        Ok(())
    }
}

/// Pseudo-random numbers that are the same every time.
struct Drawn(u64);

impl Drawn {
    /// One of `0..below`.
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % below
    }
}

/// This many manifests.
pub(crate) fn manifests(count: usize) -> anyhow::Result<Manifests> {
    let mut made = Manifests { yaml: String::new(), broken: BTreeMap::new() };
    for (number, (workload, broken)) in workloads(count)?.into_iter().enumerate() {
        for rule in broken {
            *made.broken.entry(rule).or_default() += 1;
        }
        if number > 0 {
            made.yaml.push_str("---\n");
        }
        made.yaml.push_str(&serde_saphyr::to_string(&workload)?);
    }
    Ok(made)
}

/// The pods among this many manifests.
pub(crate) fn pods(count: usize) -> anyhow::Result<Vec<Value>> {
    let all = workloads(count)?.into_iter().map(|(workload, _)| workload);
    Ok(all.filter(|workload| workload.get("kind").is_some_and(|kind| kind == "Pod")).collect())
}

/// Workloads, and which rules each breaks.
fn workloads(count: usize) -> anyhow::Result<Vec<(Value, BTreeSet<&'static str>)>> {
    let mut drawn = Drawn(0x2545_f491_4f6c_dd1d);
    let mut made = Vec::with_capacity(count);
    for number in 0..count {
        let mut spec = spec(&mut drawn);
        let mut broken = BTreeSet::new();
        if drawn.below(10) < 3 {
            for _ in 0..=drawn.below(3) {
                let at = drawn.below(BREACHES.len() as u64) as usize;
                let Some((rule, breach, also)) = BREACHES.get(at) else { continue };
                if broken.insert(*rule) {
                    breach.make(&mut spec)?;
                    broken.extend(also);
                }
            }
        }
        made.push((workload(number, spec), broken));
    }
    Ok(made)
}

fn spec(drawn: &mut Drawn) -> Value {
    let containers: Vec<_> = (0..=drawn.below(3)).map(|number| container(drawn, number)).collect();
    json!({
        "serviceAccountName": "default", "automountServiceAccountToken": false,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}
        },
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "containers": containers
    })
}

fn container(drawn: &mut Drawn, number: u64) -> Value {
    let env: Vec<_> = (0..=drawn.below(4))
        .map(|k| json!({"name": format!("SETTING_{k}"), "value": format!("value-{}", drawn.below(1000))}))
        .collect();
    let image = format!(
        "registry.example/team-{}/service-{}:1.{}.{}",
        drawn.below(20),
        drawn.below(200),
        drawn.below(40),
        drawn.below(9)
    );
    json!({
        "name": format!("c{number}"), "image": image,
        "args": ["--listen=0.0.0.0:8080", format!("--workers={}", 1 + drawn.below(16))],
        "env": env,
        "ports": [{"containerPort": 8080 + number, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080 + number}, "periodSeconds": 5},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}
        }
    })
}

fn workload(number: usize, spec: Value) -> Value {
    let (app, team) = (format!("app-{}", number % 50), format!("team-{}", number % 7));
    let metadata = json!({
        "name": format!("w-{number:05}"), "namespace": "default", "labels": {"app": app, "team": team}
    });
    if number.is_multiple_of(2) {
        return json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "replicas": 1 + number % 5, "selector": {"matchLabels": {"app": app}},
            "template": {"metadata": {"labels": {"app": app}}, "spec": spec}
        }
    })
}
