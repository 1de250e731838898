//! The operator on a real API server: the time from applying a pack until all of it is in place, its writes
//! while nothing happens, its memory.
//!
//! The first figure is what a user sees: from the start of `kubectl apply` of a pack and its binding to the
//! end of `kubectl wait` for `Enforced`, which is reported after the last artifact was stored. Drift is timed
//! from the answer to a deletion or an edit until the object is as it was. The API server itself counts the
//! writes, leases excluded. In a cold start, an operator finds packs and bindings of which nothing has been
//! made yet.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bailiwick_conformance::api::{Api, path};
use bailiwick_conformance::cluster::{Cluster, SYSTEM as NAMESPACE};
use bailiwick_conformance::programs::{self, Running};

use crate::report::Report;
use crate::sampling::{median, percentile};

/// Packs that are applied one after the other.
const ROUNDS: usize = 21;
/// Deletions one after the other, and then edits.
const DRIFTS: usize = 50;
/// How long an object may be missing or different before it counts as not restored.
const DRIFT_DEADLINE: Duration = Duration::from_secs(60);
/// How often the object is looked for: a hundredth of the time that restoring may take.
const DRIFT_POLL: Duration = Duration::from_millis(5);
/// The length of the idle period.
const IDLE: Duration = Duration::from_secs(120);
/// Packs that a cold start finds, and bindings of each: each binding narrows its pack to its own namespaces.
const COLD_PACKS: usize = 25;
const BINDINGS_OF_PACK: usize = 20;
/// How long a cold start may take before it counts as failed.
const COLD_DEADLINE: Duration = Duration::from_secs(600);
/// How often progress is checked: every tenth of a second, while the whole takes many seconds.
const COLD_POLL: Duration = Duration::from_millis(100);

/// The bench `operator`.
pub(crate) fn run() -> Result<Report> {
    let mut report = Report::new("operator");
    let cluster = Cluster::start_own()?;
    prepare(&cluster)?;
    let operator = start(&cluster)?;
    eprintln!("operator: {ROUNDS} packs, one after the other");
    let mut seconds = Vec::new();
    for round in 0..ROUNDS {
        let name = format!("bench-{round}");
        let namespace = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{bench: {name}}}}}}}"
        );
        cluster.kubectl(["apply", "-f", "-"], &namespace)?;
        let begun = Instant::now();
        cluster.kubectl(["apply", "-f", "-"], &manifests(&name))?;
        let binding = format!("policybinding/{name}");
        cluster.kubectl(["wait", "--for=condition=Enforced", "--timeout=60s", &binding], "")?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    // In the first round the caches of kubectl and the API server are empty.
    let mut warm = seconds.split_off(1);
    warm.sort_by(f64::total_cmp);
    report.set("pack_to_enforced_p50_s", median(&warm), warm.len());
    drift(&cluster.api()?, &mut report)?;
    eprintln!("operator: idle for {IDLE:?}");
    std::thread::sleep(Duration::from_secs(2));
    let before = writes(&cluster)?;
    std::thread::sleep(IDLE);
    let written = writes(&cluster)? - before;
    report.set("steady_writes_per_s", written / IDLE.as_secs_f64(), 1);
    report.set("rss_mb", resident(operator.id())?, 1);
    drop(operator);
    cold(&cluster, &mut report)?;
    report.lacks(
        "node_claim_p50_ms",
        "pods are claimed by pools of runtime AgentSandbox, which are not supported",
    );
    Ok(report)
}

/// What somebody else does to a NetworkPolicy: the figures' name, the method and the body.
const DRIFT: [(&str, &str, &str); 2] =
    [("drift_back", "DELETE", ""), ("drift_edited", "PATCH", r#"{"spec": {"ingress": [{}]}}"#)];

/// From the deletion or the edit of a NetworkPolicy until it is as it was.
fn drift(api: &Api, report: &mut Report) -> Result<()> {
    let all = path("networkpolicy", Some("bench-1"), "")?;
    let listed = api.get(&all).context("no NetworkPolicies")?;
    let first = listed.pointer("/items/0").context("no NetworkPolicy")?;
    let name = first.pointer("/metadata/name").and_then(serde_json::Value::as_str).unwrap_or_default();
    let policy = path("networkpolicy", Some("bench-1"), name)?;
    for (figure, method, body) in DRIFT {
        let mut seconds = Vec::with_capacity(DRIFTS);
        for _ in 0..DRIFTS {
            let (status, said) = api.ask(method, &policy, "application/merge-patch+json", body)?;
            if status != 200 {
                bail!("{method} of the policy: {status} {said}");
            }
            let begun = Instant::now();
            while api.get(&policy).is_none_or(|live| live.get("spec") != first.get("spec")) {
                if begun.elapsed() > DRIFT_DEADLINE {
                    bail!("the policy is not back after {DRIFT_DEADLINE:?}");
                }
                std::thread::sleep(DRIFT_POLL);
            }
            seconds.push(begun.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        report.set(&format!("{figure}_p50_s"), median(&seconds), DRIFTS);
        report.set(&format!("{figure}_p99_s"), percentile(&seconds, 0.99), DRIFTS);
    }
    Ok(())
}

/// From the start of an operator until the last of 500 bindings is enforced, each with a namespace of its
/// own.
fn cold(cluster: &Cluster, report: &mut Report) -> Result<()> {
    // What the earlier packs left is not measured again; a lease without a holder is not waited for.
    cluster.kubectl(["delete", "policybindings,policypacks", "--all", "--wait=false"], "")?;
    cluster.kubectl(["delete", "lease", "bailiwick-operator", "--namespace", NAMESPACE], "")?;
    cluster.kubectl(["apply", "-f", "-"], &lease())?;
    let packs = (0..COLD_PACKS).map(|pack| manifests(&format!("cold-{pack}"))).collect::<Vec<_>>();
    cluster.kubectl(["apply", "--server-side", "-f", "-"], &packs.join("---\n"))?;
    // Each binding has a namespace, and so a cell, of its own.
    let (mut bindings, mut namespaces) = (String::new(), String::new());
    for (pack, of_pack) in (0..COLD_PACKS).flat_map(|pack| (0..BINDINGS_OF_PACK).map(move |one| (pack, one)))
    {
        write!(
            namespaces,
            "---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: cold-{pack}-{of_pack}, labels: {{bench: cold-{pack}, team: t{of_pack}}}}}}}\n"
        )?;
        write!(
            bindings,
            "---\n{{apiVersion: bailiwick.dev/v1alpha1, kind: PolicyBinding, metadata: {{name: cold-{pack}-{of_pack}}}, spec: {{pack: {{name: cold-{pack}, \
             version: 1.0.0}}, narrowTo: {{namespaces: {{matchLabels: {{team: t{of_pack}}}}}}}}}}}\n"
        )?;
    }
    cluster.kubectl(["apply", "--server-side", "-f", "-"], &namespaces)?;
    cluster.kubectl(["apply", "--server-side", "-f", "-"], &bindings)?;
    let begun = Instant::now();
    let operator = start(cluster)?;
    let awaited = COLD_PACKS * (BINDINGS_OF_PACK + 1);
    eprintln!("operator: a cold start with {awaited} bindings, at most {COLD_DEADLINE:?}");
    while enforced(cluster)? < awaited {
        if begun.elapsed() > COLD_DEADLINE {
            bail!("{} of {awaited} bindings are enforced after {COLD_DEADLINE:?}", enforced(cluster)?);
        }
        std::thread::sleep(COLD_POLL);
    }
    report.set("cold_500_bindings_s", begun.elapsed().as_secs_f64(), 1);
    report.set("rss_mb_500_bindings", resident(operator.id())?, 1);
    Ok(())
}

/// The number of enforced bindings.
fn enforced(cluster: &Cluster) -> Result<usize> {
    let template = "jsonpath={.items[*].status.conditions[?(@.type==\"Enforced\")].status}";
    let text = cluster.kubectl(["get", "policybindings", "--output", template], "")?;
    Ok(text.split_whitespace().filter(|status| *status == "True").count())
}

fn prepare(cluster: &Cluster) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds");
    let mut kinds = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            kinds.push(std::fs::read_to_string(path)?);
        }
    }
    cluster.kubectl(["apply", "--server-side", "-f", "-"], &kinds.join("\n---\n"))?;
    cluster.kubectl(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"], "")?;
    let own =
        format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}\n---\n{}", lease());
    cluster.kubectl(["apply", "-f", "-"], &own)?;
    Ok(())
}

/// The lease as the chart creates it: without a holder.
fn lease() -> String {
    format!(
        "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: bailiwick-operator, namespace: {NAMESPACE}}}, spec: {{}}}}"
    )
}

fn start(cluster: &Cluster) -> Result<Running> {
    let mut command = Command::new(programs::find("bailiwick-operator")?);
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--log",
            "error",
            "--namespace",
            NAMESPACE,
            "--kubeconfig",
        ])
        .arg(cluster.kubeconfig())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut operator = Running::start(&mut command)?;
    let line = operator.line()?;
    if !line.starts_with("listening on ") {
        bail!("the operator did not come up: {line}");
    }
    Ok(operator)
}

fn manifests(name: &str) -> String {
    format!(
        "\
apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {{name: {name}-1.0.0}}
spec:
  pack: {name}
  version: 1.0.0
  subjects:
    namespaces: {{selector: {{matchLabels: {{bench: {name}}}}}}}
    pods: {{matchLabels: {{app: agent}}}}
    unmatched: Deny
  isolation:
    podSecurity: {{level: Restricted, version: v1.36}}
    serviceAccountToken: Forbidden
  network:
    egress:
    - {{name: out, to: {{cidr: 192.0.2.0/28}}, ports: [{{port: 443, protocol: TCP}}]}}
---
{{apiVersion: bailiwick.dev/v1alpha1, kind: PolicyBinding, metadata: {{name: {name}}}, spec: {{pack: {{name: {name}, version: 1.0.0}}}}}}
"
    )
}

/// Write requests as the API server counts them, except those for leases.
fn writes(cluster: &Cluster) -> Result<f64> {
    let text = cluster.kubectl(["get", "--raw", "/metrics"], "")?;
    let verbs = ["POST", "PUT", "PATCH", "APPLY", "DELETE"].map(|verb| format!("verb=\"{verb}\""));
    let counted = text.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && verbs.iter().any(|verb| line.contains(verb.as_str()))
            && !line.contains("resource=\"leases\"")
    });
    Ok(counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

fn resident(id: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kb: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kb / 1024.0)
}
