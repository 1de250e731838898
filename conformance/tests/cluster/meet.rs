//! Two packs bound to one pod give the meet, also in the installed NetworkPolicies: read back from the API
//! server with the pods as admission labelled them, and judged by the evaluator of
//! sigs.k8s.io/kube-network-policies.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use bailiwick_conformance::go_module::{built, go_is_there};
use serde_json::{Value, json};

use crate::stage::{BOUND, FENCE, Stage, pod};

/// A second pack for some of the same pods: another port of the same network, and one port in common.
const TIER: &str = r#"
apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {name: tier-1.0.0}
spec:
  pack: tier
  version: 1.0.0
  subjects:
    namespaces: {selector: {matchLabels: {bailiwick.dev/zone: agents}}}
    pods: {matchLabels: {tier: gold}}
  network:
    egress:
    - {name: out, to: {cidr: 192.0.0.0/16}, ports: [{port: 443}, {port: 22}]}
"#;

/// Address, port, and whether it is allowed: for pods of `fence` alone, of both, of `tier` alone, and for one
/// without the label.
const EXPECTED: [(&str, u16, [bool; 4]); 6] = [
    ("192.0.2.9", 443, [true, true, true, false]),
    ("192.0.2.9", 80, [true, false, false, false]),
    ("192.0.2.9", 22, [false, false, true, false]),
    ("192.0.9.9", 443, [false, false, true, false]),
    ("192.0.9.9", 22, [false, false, true, false]),
    ("198.51.100.1", 443, [false, false, false, false]),
];

#[test]
fn two_packs_on_one_pod_give_the_meet_in_the_installed_network_policies() -> Result<()> {
    if !go_is_there()? {
        return Ok(());
    }
    let Some(stage) = Stage::new()? else { return Ok(()) };
    // A pod from before the first binding: it never gets a label.
    stage.apply(&pod("old", &json!({ "spec": { "automountServiceAccountToken": false } })).to_string())?;
    stage.apply(FENCE)?;
    stage.apply(TIER)?;
    stage.apply(BOUND)?;
    stage.apply(&BOUND.replace("fence", "tier"))?;
    let webhook = stage.webhook()?;
    stage.until_bound(&webhook, &["fence", "tier"])?;
    let configurations = stage.configurations(&webhook)?;
    stage.put(&configurations)?;
    let only_tier = json!({ "metadata": { "labels": { "app": null, "tier": "gold" } } });
    let both = json!({ "metadata": { "labels": { "tier": "gold" } } });
    let tried = |name: &str, change: &Value| {
        stage.try_kubectl(&["create", "-f", "-"], &pod(name, change).to_string())
    };
    stage.until("the API server asks the webhook", || {
        let (taken, said) = tried("probe", &json!({ "spec": { "hostPID": true } }));
        Ok(!taken && said.contains("fence@1.0.0"))
    })?;
    for (name, change) in [("fence", json!({})), ("both", both), ("tier", only_tier)] {
        let (taken, said) = tried(name, &change);
        assert!(taken, "{name}: {said}");
    }
    stage.take(&configurations)?;
    stage.put(&stage.objects()?)?;
    judged(&stage)
}

fn judged(stage: &Stage) -> Result<()> {
    let list = |kind: &str| -> Result<Vec<Value>> {
        let text = stage.cluster.kubectl(["get", kind, "-A", "-o", "json"], "")?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    };
    let names = ["fence", "both", "tier", "old"];
    let mut pods: Vec<Value> = list("pods")?;
    pods.retain(|pod| names.iter().any(|name| pod["metadata"]["name"] == *name));
    let cell = |name: &str| {
        let pod = pods.iter().find(|pod| pod["metadata"]["name"] == name);
        pod.and_then(|pod| pod.pointer("/metadata/labels/bailiwick.dev~1cell")).cloned()
    };
    assert_eq!(cell("old"), None);
    let cells: std::collections::BTreeSet<String> =
        ["fence", "both", "tier"].iter().filter_map(|name| Some(cell(name)?.to_string())).collect();
    assert_eq!(cells.len(), 3, "three cells, each with a label of its own: {cells:?}");
    let address = |at: usize| format!("10.244.0.{}", at + 1);
    for pod in &mut pods {
        let at = names.iter().position(|name| pod["metadata"]["name"] == *name).context("a pod")?;
        // No node runs here: only the addresses do not come from the API server.
        pod["spec"]["nodeName"] = json!("node");
        pod["status"] = json!({ "podIPs": [{ "ip": address(at) }] });
    }
    let policies: Vec<String> = list("networkpolicies")?.iter().map(Value::to_string).collect();
    assert!(policies.len() >= 4, "{policies:?}");
    let packet = |at: usize, destination: &str, port: u16| json!({ "source": address(at), "destination": destination, "destinationPort": port, "protocol": "TCP" });
    let packets: Vec<Value> = EXPECTED
        .iter()
        .flat_map(|(to, port, verdicts)| (0..verdicts.len()).map(move |at| packet(at, to, *port)))
        .collect();
    let cluster =
        json!({ "namespaces": list("namespaces")?, "pods": pods, "policies": policies, "packets": packets });
    let found = evaluated(&json!([cluster]))?;
    let expected: Vec<bool> = EXPECTED.iter().flat_map(|(_, _, verdicts)| *verdicts).collect();
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "pod `{}`: {}", names[at % 4], packets[at]);
    }
    assert_eq!(found.len(), expected.len());
    Ok(())
}

/// Runs `conformance/netpol`, which Go builds at the versions that its go.sum pins.
fn evaluated(clusters: &Value) -> Result<Vec<bool>> {
    let mut child =
        Command::new(built("netpol", ".", "netpol")?).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("a pipe")?.write_all(clusters.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "conformance/netpol failed; its messages are above");
    let all: Vec<Vec<bool>> = serde_json::from_slice(&output.stdout)?;
    Ok(all.into_iter().next().unwrap_or_default())
}
