//! The CRDs on a real API server: accepted without a warning, no field of any example is pruned, and kubectl
//! reads the same object from a pack's text as the compiler does. `kinds`: what the kinds of a cluster
//! reject, and how they are displayed.
#![forbid(unsafe_code)]

mod kinds;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use bailiwick_compiler::yaml::{Limits, SourceMap};
use bailiwick_conformance::cluster::{Cluster, MADE};
use bailiwick_conformance::guest::Guest;
use bailiwick_conformance::patience::until;
use serde_json::Value;

/// A parameter wherever one is allowed: for a number, a word, a text with a pattern, an element of a list.
const WITH_PARAMETERS: &str = r#"
apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {name: parameters-1.0.0}
spec:
  pack: parameters
  version: 1.0.0
  parameters:
  - {name: level, type: "enum(Baseline,Restricted)", default: Baseline, enum: [Baseline], bindable: true}
  - {name: port, type: int, default: 8080, minimum: 1, maximum: 65535}
  - {name: hosts, type: list(string), default: [a.example], subsetOf: [a.example, b.example], maxItems: 2}
  - {name: free, type: string, default: "x", pattern: "^x$"}
  extends: [{name: base, version: "^1", parameters: {a: 1, b: [x, y], c: "${free}", d: true}}]
  isolation: {podSecurity: {level: "${level}", version: "${free}"}}
  network:
    egress: [{name: a, to: {hosts: ["${hosts}"]}, ports: [{port: "${port}", endPort: 9000, protocol: "${free}"}]}]
  images: [{match: ["${hosts}"], digest: "${free}"}]
  admission:
    rules:
    - name: mutate
      match: {resources: [{apiGroups: ["*"], apiVersions: ["*"], resources: ["*"], operations: ["*"]}]}
      mutations:
      - {field: spec.a, value: {deep: [1, {nothing: null, half: 1.5, octal: 0644, truth: on}]}, whenAbsent: true}
      - {jsonPatch: {expression: "[]"}}
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of packs and tests in the repository, the guide's among them, with its placeholders filled in.
fn examples() -> Result<Vec<(String, String)>> {
    let mut found = vec![("parameters".to_owned(), WITH_PARAMETERS.to_owned())];
    let mut folders = vec![root().join("policy-packs"), root().join("docs/guide")];
    let mut files = vec![root().join("docs/formats/complete.yaml")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "expected" {
                folders.push(path);
            } else if name.ends_with(".yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let image = format!("image: registry.example.org/bailiwick/executor@sha256:{}", "0".repeat(64));
        let text = text.replace("image: IMAGE", &image).replace("\"REGISTRY/", "\"registry.example.org/");
        found.push((path.display().to_string(), text));
    }
    Ok(found)
}

/// The plurals of our kinds.
const KINDS: [&str; 5] = ["policypacks", "policytests", "policybindings", "policyexceptions", "sandboxpools"];

/// An API server that serves our kinds; `None`, reported loudly, if there is nothing to start one from.
fn cluster_with_kinds() -> Result<Option<(Arc<Cluster>, Guest)>> {
    let cluster = match Cluster::start() {
        Ok(cluster) => Arc::new(cluster),
        Err(error) if std::env::var_os("CI").is_some() => return Err(error),
        Err(error) => {
            eprintln!("SKIPPED: no API server: {error:#}");
            return Ok(None);
        }
    };
    let guest = Guest::of(&cluster);
    for (file, text) in bailiwick_crds::schema::crds()? {
        guest.bring(&["apply", "--validate=strict"], &text).with_context(|| file.clone())?;
        // Again, to see its warnings.
        let output = cluster.kubectl_raw(["apply", "--validate=strict", "-f", "-"], &text)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("Warning"), "{file}: {said}");
    }
    served(&cluster)?;
    Ok(Some((cluster, guest)))
}

/// Waits until the API server serves all kinds.
fn served(cluster: &Cluster) -> Result<()> {
    until("the API server serves the kinds", || {
        let is_served =
            |kind: &&str| cluster.kubectl_raw(["get", kind], "").is_ok_and(|output| output.status.success());
        KINDS.iter().all(is_served).then_some(())
    })
}

#[test]
fn the_api_server_takes_the_crds_and_prunes_no_field_of_any_example() -> Result<()> {
    let Some((cluster, guest)) = cluster_with_kinds()? else { return Ok(()) };
    for name in ["agents-pool", "bailiwick-system"] {
        let namespace = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{MADE}: test}}}}}}"
        );
        guest.bring(&["create"], &namespace)?;
    }
    let (mut packs, mut tests, mut bound) = (0, 0, 0);
    for (file, text) in examples()? {
        let (documents, diagnostics) = SourceMap::read(&file, text.as_bytes(), &Limits::MANIFESTS);
        let ours: Vec<Value> = documents.iter().map(|document| document.root().to_json()).collect();
        let kinds: Vec<_> = ours.iter().map(|object| object["kind"].as_str().unwrap_or_default()).collect();
        let of_a_cluster =
            |kind: &&&str| matches!(**kind, "PolicyBinding" | "PolicyException" | "SandboxPool");
        if !kinds.iter().all(|kind| matches!(*kind, "PolicyPack" | "PolicyTest") || of_a_cluster(&kind)) {
            continue;
        }
        bound += kinds.iter().filter(of_a_cluster).count();
        assert!(diagnostics.is_empty(), "{file}: {diagnostics:?}");
        packs += kinds.iter().filter(|kind| **kind == "PolicyPack").count();
        tests += kinds.iter().filter(|kind| **kind == "PolicyTest").count();
        // Strict validation rejects unknown and duplicate fields, where the schema would only prune them.
        let stored = cluster
            .kubectl(["create", "--validate=strict", "-o", "json", "-f", "-"], &text)
            .with_context(|| file.clone())?;
        let stored: Value = serde_json::from_str(&stored).with_context(|| file.clone())?;
        let stored = match stored["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![stored],
        };
        assert_eq!(stored.len(), ours.len(), "{file}");
        for (stored, ours) in stored.iter().zip(&ours) {
            assert_eq!(stored["spec"], ours["spec"], "{file}: not what the compiler reads");
            let kind = ours["kind"].as_str().unwrap_or_default();
            let name = ours["metadata"]["name"].as_str().unwrap_or_default();
            let namespace = ours["metadata"]["namespace"].as_str().unwrap_or("default");
            cluster.kubectl(["delete", kind, name, "--namespace", namespace], "")?;
        }
    }
    assert!(
        packs >= 9 && tests >= 10 && bound >= 3,
        "{packs} packs, {tests} tests and {bound} objects that bind them found"
    );
    eprintln!("{packs} packs and {tests} test documents came back as they were written");
    let typo = WITH_PARAMETERS.replace("isolation:", "isolatoin:");
    let refused = cluster.kubectl_raw(["create", "--validate=strict", "-f", "-"], &typo)?;
    assert!(!refused.status.success(), "a typo was taken");
    let wrong = WITH_PARAMETERS.replace("level: \"${level}\"", "level: Restrictd");
    let refused = cluster.kubectl_raw(["create", "-f", "-"], &wrong)?;
    assert!(!refused.status.success(), "an unknown word was taken");
    guest.bring(&["create"], WITH_PARAMETERS)?;
    let changed = WITH_PARAMETERS.replace("default: 8080", "default: 8081");
    let refused =
        cluster.kubectl_raw(["apply", "--server-side", "--force-conflicts", "-f", "-"], &changed)?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("publish another version"), "changed: {said}");
    Ok(())
}
