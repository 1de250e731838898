//! The kinds that put packs in force: what is written is read back whole, an invalid value is rejected with a
//! reason, and `kubectl` explains and lists the kinds so that a reader knows what is in force.

use anyhow::{Context, Result};
use bailiwick_conformance::cluster::Cluster;
use serde_json::{Value, json};

use crate::cluster_with_kinds;

fn digest() -> String {
    "0123456789abcdef".repeat(4)
}

fn pack() -> Value {
    json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyPack",
        "metadata": { "name": "code-interpreter-1.0.0" },
        "spec": { "pack": "code-interpreter", "version": "1.0.0", "description": "For interpreters" },
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyBinding", "metadata": { "name": "agents" },
        "spec": {
            "pack": { "name": "code-interpreter", "version": "1.0.0" },
            "parameters": { "indexHosts": ["a.example"], "size": "64Mi", "port": 443, "on": true },
            "narrowTo": {
                "namespaces": { "matchLabels": { "team": "a" } },
                "pods": { "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["one"] }] },
            },
            "stage": "Warn", "rollout": "Drain",
        },
    })
}

fn exception() -> Value {
    json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyException",
        "metadata": { "name": "old-image", "namespace": "default" },
        "spec": {
            "pack": "code-interpreter", "rule": "memory-limits",
            "objects": [
                { "resource": "pods", "namespace": "agents", "name": "one" },
                { "resource": "pods", "namespace": "agents", "namePrefix": "web-" },
            ],
            "reason": "the vendor's image has no limit until release 4", "expires": "2030-01-01T00:00:00Z",
            "approver": "alice@example.org",
        },
    })
}

fn pool() -> Value {
    json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "SandboxPool",
        "metadata": { "name": "warm", "namespace": "default" },
        "spec": {
            "runtime": "Deployment", "pack": { "name": "code-interpreter", "digest": digest() }, "pool": "warm",
            "parameters": { "size": "64Mi" }, "replicas": 2,
            "image": format!("registry.example.org/bailiwick/executor@sha256:{}", digest()),
            "rollout": "Immediate",
        },
    })
}

/// The object with `value` at a path, or without that path.
fn with(object: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut object = object.clone();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = object.pointer_mut(parent).expect("the parent is there").as_object_mut().expect("an object");
    match value {
        Some(value) => drop(parent.insert(name.to_owned(), value)),
        None => drop(parent.remove(name)),
    }
    object
}

/// The result of `kubectl` for an object.
fn tried(cluster: &Cluster, verb: &[&str], object: &Value) -> Result<(bool, String)> {
    let args: Vec<&str> = verb.iter().copied().chain(["--validate=strict", "-f", "-"]).collect();
    let output = cluster.kubectl_raw(args, &object.to_string())?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Object, what is changed in it, and a part of the rejection.
fn refusals() -> Vec<(Value, &'static str, Option<Value>, &'static str)> {
    let selector = json!({ "matchLabels": { "a": "b" } });
    vec![
        (binding(), "/spec/pack/digest", Some(json!(digest())), "either a version or a digest"),
        (binding(), "/spec/pack/version", None, "either a version or a digest"),
        (binding(), "/spec/pack/version", Some(json!("latest")), "spec.pack.version"),
        (binding(), "/spec/narrowTo", Some(json!({})), "leave `narrowTo` away"),
        (binding(), "/spec/stage", Some(json!("Enforced")), "Unsupported value"),
        (
            binding(),
            "/spec/hold",
            Some(json!({ "maxNewDenials": 3, "window": "10m" })),
            "`hold` is not supported",
        ),
        (binding(), "/spec/rollout", Some(json!("Immediate")), "is for a SandboxPool"),
        (binding(), "/spec/podTemplate", Some(json!({})), "unknown field"),
        (binding(), "/spec/podSelector", Some(selector), "unknown field"),
        (exception(), "/spec/objects", Some(json!([])), "at least 1 items"),
        (exception(), "/spec/objects/0/namePrefix", Some(json!("x")), "either an object or a prefix"),
        (exception(), "/spec/objects/0/name", None, "either an object or a prefix"),
        (exception(), "/spec/expires", Some(json!("in a week")), "date-time"),
        (exception(), "/spec/expires", None, "spec.expires"),
        (exception(), "/spec/reason", Some(json!("")), "spec.reason"),
        (pool(), "/spec/image", Some(json!("registry.example.org/executor:1.0")), "spec.image"),
        (pool(), "/spec/replicas", Some(json!(1001)), "spec.replicas"),
        (pool(), "/spec/runtime", Some(json!("DaemonSet")), "Unsupported value"),
        (pool(), "/spec/securityContext", Some(json!({ "privileged": true })), "unknown field"),
        (pool(), "/spec/podTemplate", Some(json!({ "spec": {} })), "unknown field"),
        (pool(), "/spec/serviceAccountName", Some(json!("default")), "unknown field"),
    ]
}

/// Stored object, what is changed in it, and a part of the rejection.
fn frozen() -> Vec<(Value, &'static str, Option<Value>, &'static str)> {
    vec![
        (binding(), "/spec/pack/name", Some(json!("another")), "a binding stays with its pack"),
        (exception(), "/spec/expires", Some(json!("2031-01-01T00:00:00Z")), "an exception is not changed"),
        (exception(), "/spec/objects/0/name", Some(json!("two")), "an exception is not changed"),
        (pool(), "/spec/runtime", Some(json!("AgentSandbox")), "the runtime of a pool does not change"),
        (pool(), "/spec/pool", Some(json!("cold")), "a pool stays with its pack"),
    ]
}

#[test]
fn the_kinds_of_a_cluster_keep_what_is_written_and_refuse_what_cannot_be_meant() -> Result<()> {
    let Some((cluster, _guest)) = cluster_with_kinds()? else { return Ok(()) };
    for (object, pointer, value, expected) in refusals() {
        let (taken, said) = tried(&cluster, &["create"], &with(&object, pointer, value))?;
        assert!(!taken && said.contains(expected), "{} with another {pointer}: {said}", object["kind"]);
    }
    for object in [pack(), binding(), exception(), pool()] {
        let stored = cluster
            .kubectl(["create", "--validate=strict", "-o", "json", "-f", "-"], &object.to_string())
            .with_context(|| object["kind"].to_string())?;
        let stored: Value = serde_json::from_str(&stored)?;
        assert_eq!(stored["spec"], object["spec"], "something was pruned");
    }
    for (object, pointer, value, expected) in frozen() {
        let (taken, said) = tried(&cluster, &["replace"], &with(&object, pointer, value))?;
        assert!(!taken && said.contains(expected), "{} with another {pointer}: {said}", object["kind"]);
    }
    // What may change, changes: a new stage is how a binding comes into force.
    let (taken, said) = tried(&cluster, &["replace"], &with(&binding(), "/spec/stage", None))?;
    assert!(taken, "{said}");
    statuses(&cluster)?;
    explained(&cluster)
}

/// Statuses are stored completely, and their columns show what is in force.
fn statuses(cluster: &Cluster) -> Result<()> {
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "False", "observedGeneration": 1, "lastTransitionTime": "2030-01-01T00:00:00Z",
            "reason": "UnknownPack", "message": "no pack of this name",
        })
    };
    let binding = json!({
        "observedGeneration": 2, "version": "1.0.0", "digest": digest(), "stage": "Audit",
        "cells": [{ "name": "0011223344556677", "digest": digest() }], "conditions": [condition("Enforced")],
    });
    let pool = json!({
        "observedGeneration": 1, "replicas": 2, "readyReplicas": 1, "digest": digest(), "tier": "namespaces",
        "conditions": [condition("Ready")],
    });
    let exception = json!({ "observedGeneration": 1, "conditions": [condition("Enforced")] });
    let pack = json!({ "observedGeneration": 1, "digest": digest(), "conditions": [condition("Compiled")] });
    let all = [
        ("policypack", "code-interpreter-1.0.0", &pack),
        ("policybinding", "agents", &binding),
        ("sandboxpool", "warm", &pool),
        ("policyexception", "old-image", &exception),
    ];
    for (kind, name, status) in all {
        let patch = json!({ "status": status }).to_string();
        let args = ["patch", kind, name, "--subresource=status", "--type=merge", "-o", "json", "-p", &patch];
        let stored: Value = serde_json::from_str(&cluster.kubectl(args, "")?)?;
        assert_eq!(&stored["status"], status, "{kind}: something of the status was pruned");
    }
    let columns = |kind: &str| cluster.kubectl(["get", kind], "");
    let squeezed = |text: String| -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let lines = squeezed(columns("policypacks")?);
    assert_eq!(lines[0], "NAME PACK VERSION COMPILED REASON");
    assert_eq!(lines[1], "code-interpreter-1.0.0 code-interpreter 1.0.0 False UnknownPack");
    let lines = squeezed(cluster.kubectl(["get", "policypacks", "-o", "wide"], "")?);
    assert_eq!(lines[0], "NAME PACK VERSION COMPILED REASON DESCRIPTION DIGEST");
    assert!(lines[1].ends_with(&format!("For interpreters {}", digest())), "{lines:?}");
    let lines = squeezed(columns("policybindings")?);
    assert_eq!(lines[0], "NAME PACK VERSION STAGE ENFORCED REASON AGE");
    assert!(lines[1].starts_with("agents code-interpreter 1.0.0 Audit False UnknownPack"), "{lines:?}");
    let lines = squeezed(columns("sandboxpools")?);
    assert_eq!(lines[0], "NAME PACK POOL DESIRED READY TIER REASON AGE");
    assert!(lines[1].starts_with("warm code-interpreter warm 2 1 namespaces UnknownPack"), "{lines:?}");
    let lines = squeezed(columns("policyexceptions")?);
    assert_eq!(lines[0], "NAME PACK RULE EXPIRES APPROVER ENFORCED");
    let all = columns("bailiwick")?;
    assert!(all.contains("policybinding.bailiwick.dev/agents") && all.contains("sandboxpool"), "{all}");
    Ok(())
}

/// `kubectl explain` describes every field in a sentence.
fn explained(cluster: &Cluster) -> Result<()> {
    for (field, expected) in [
        ("policypack.spec", "Name of the pack; with `version` it makes the object's name."),
        ("policypack.status.digest", "which `pack.lock` and bindings name"),
        ("policybinding", "Puts a pack in force"),
        ("policybinding.spec.narrowTo", "it can only leave out"),
        ("policybinding.spec.stage", "`Warn`: Who asks is warned as well."),
        ("policybinding.status.cells", "each with the digest of its bundle"),
        ("policyexception.spec.expires", "at most 30 days after it was made"),
        ("sandboxpool.spec.image", "Image of the executor, by digest."),
        ("sandboxpool.status.conditions.reason", "Why, as one word for programs."),
    ] {
        let said = cluster.kubectl(["explain", field], "")?;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(expected), "{field}: {said}");
    }
    Ok(())
}
