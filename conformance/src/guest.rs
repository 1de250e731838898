//! A guest in a cluster: what a test puts into it goes with the value, since the cluster may be somebody else's (`KUBECONFIG`). What was there
//! before the guest came stays, also where the guest applied it again.
//!
//! Not a way to clear a cluster: only what came through the value is taken away, and what lies in a namespace that it made.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::patience::until;

/// For one deletion: a namespace goes when the last of its contents has gone.
const TIMEOUT: &str = "--timeout=60s";

/// An object by its names: API version, kind, namespace (empty for a cluster's own), name.
type Named = (String, String, String, String);

/// What a test brought into a cluster.
pub struct Guest {
    cluster: Arc<Cluster>,
    /// Whether it has to leave the cluster as it was. One that was started for the test ends with it, and looking costs time.
    tidies: bool,
    /// In the order in which it came.
    brought: Mutex<Vec<Named>>,
}

impl Guest {
    /// One that leaves a borrowed cluster as it was.
    #[must_use]
    pub fn of(cluster: &Arc<Cluster>) -> Self {
        Self { cluster: Arc::clone(cluster), tidies: cluster.is_borrowed(), brought: Mutex::default() }
    }

    /// One that leaves any cluster as it was.
    #[must_use]
    pub fn tidy(cluster: &Arc<Cluster>) -> Self {
        Self { cluster: Arc::clone(cluster), tidies: true, brought: Mutex::default() }
    }

    /// Says that a test makes this object by itself, or has it made.
    pub fn makes(&self, version: &str, kind: &str, namespace: &str, name: &str) {
        self.remember([(version.to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned())]);
    }

    fn remember(&self, objects: impl IntoIterator<Item = Named>) {
        if self.tidies {
            self.brought.lock().unwrap_or_else(PoisonError::into_inner).extend(objects);
        }
    }

    /// `kubectl VERB ARGS -f -`, where the verb is `create` or `apply`, and what it printed.
    ///
    /// # Errors
    /// kubectl failed; what it made before is remembered all the same.
    pub fn bring(&self, verb: &[&str], manifests: &str) -> Result<String> {
        let make = || self.cluster.kubectl([verb, &["-f", "-"]].concat(), manifests);
        if !self.tidies {
            return make();
        }
        let known = |args: &[&str]| {
            let more = [args, &["--ignore-not-found", "-o", "json", "-f", "-"]].concat();
            self.cluster.kubectl(more, manifests).map(|listed| names(&listed))
        };
        let place = verb.iter().position(|one| *one == "-n").and_then(|at| verb.get(at..at + 2));
        let get = [&["get"], place.unwrap_or_default()].concat();
        let before: BTreeSet<Named> = known(&get)?.into_iter().collect();
        let made = make();
        self.remember(known(&get)?.into_iter().filter(|one| !before.contains(one)));
        made
    }

    /// Takes everything away again, the last first, and waits until it is gone.
    ///
    /// # Errors
    /// Something did not go.
    pub fn leave(self) -> Result<()> {
        self.take_away()
    }

    fn take_away(&self) -> Result<()> {
        let mut brought = std::mem::take(&mut *self.brought.lock().unwrap_or_else(PoisonError::into_inner));
        brought.reverse();
        let (namespaces, others): (Vec<_>, Vec<_>) =
            brought.into_iter().partition(|(_, kind, ..)| kind == "Namespace");
        let delete = ["delete", "--ignore-not-found", "--force", "--grace-period=0", TIMEOUT, "-f", "-"];
        if !others.is_empty() {
            self.cluster.kubectl(delete, &manifests(&others)).context("what a test brought")?;
        }
        for (_, _, _, name) in &namespaces {
            let pods = ["delete", "pods", "--all", "--force", "--grace-period=0", TIMEOUT, "-n", name];
            self.cluster.kubectl(pods, "").context("pods of a namespace that a test made")?;
        }
        // A namespace goes by the controller manager. Where none runs (envtest), one that is deleted stands there for ever, and no other test could
        // use its name: empty it does no harm.
        if !namespaces.is_empty() && self.cluster.is_tended()? {
            let delete = ["delete", "--ignore-not-found", TIMEOUT, "-f", "-"];
            self.cluster.kubectl(delete, &manifests(&namespaces)).context("namespaces of a test")?;
        }
        Ok(())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Err(error) = self.take_away() {
            eprintln!("a test left something behind: {error:#}");
        }
    }
}

/// The objects that kubectl printed as JSON: none, one, or a list.
fn names(listed: &str) -> Vec<Named> {
    let listed: Value = serde_json::from_str(listed).unwrap_or_default();
    let objects = match listed.get("items").and_then(Value::as_array) {
        Some(items) => items.clone(),
        None => vec![listed],
    };
    let named = |object: &Value| {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).map(str::to_owned);
        let place = text("/metadata/namespace").unwrap_or_default();
        Some((text("/apiVersion")?, text("/kind")?, place, text("/metadata/name")?))
    };
    objects.iter().filter_map(named).collect()
}

/// As little of the objects as kubectl needs to find them.
fn manifests(objects: &[Named]) -> String {
    let one = |(version, kind, namespace, name): &Named| {
        let metadata = match namespace.as_str() {
            "" => json!({ "name": name }),
            namespace => json!({ "name": name, "namespace": namespace }),
        };
        json!({ "apiVersion": version, "kind": kind, "metadata": metadata }).to_string()
    };
    objects.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Everything of a cluster that a test of ours may make, one line each: to see that nothing is left. Not what Kubernetes makes by itself some time
/// after its start.
///
/// # Errors
/// kubectl failed.
pub fn everything(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let kinds = "namespaces,clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,configmaps,secrets,services,pods,podtemplates,\
        deployments,daemonsets,jobs,poddisruptionbudgets,networkpolicies,runtimeclasses,customresourcedefinitions,\
        validatingadmissionpolicies,validatingadmissionpolicybindings,validatingwebhookconfigurations,mutatingwebhookconfigurations,leases";
    let path = "custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name";
    let listed = cluster.kubectl(["get", kinds, "-A", "--no-headers", "-o", path], "")?;
    let lines = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let of_kubernetes = |line: &[&str]| match line {
        ["ServiceAccount", "kube-system", _]
        | ["ServiceAccount", _, "default"]
        | [_, _, "kube-root-ca.crt"] => true,
        ["Lease", "kube-system", name] => name.starts_with("apiserver-"),
        [_, _, name] => name.starts_with("system:"),
        _ => false,
    };
    Ok(lines.filter(|line| !of_kubernetes(line)).map(|line| line.join(" ")).collect())
}

/// Waits until everything that a cluster has was there before; but for namespaces where nobody ends them.
///
/// # Errors
/// Something is left; the message names it.
pub fn nothing_is_left(cluster: &Cluster, before: &BTreeSet<String>) -> Result<()> {
    let tended = cluster.is_tended()?;
    let goes = |line: &&String| tended || !line.starts_with("Namespace ");
    let mut left = Vec::new();
    let gone = until("what a test brought is gone", || {
        left = everything(cluster).ok()?.difference(before).filter(goes).cloned().collect();
        left.is_empty().then_some(())
    });
    gone.with_context(|| left.join("\n"))
}
