//! A guest in a cluster: whatever a test puts into the cluster is removed with the value, since the cluster
//! may be a borrowed one (`KUBECONFIG`). Objects that existed before the guest stay, even if the guest
//! applied them again.
//!
//! This does not clear a cluster: it removes only what came through the value, and the content of namespaces
//! that it created.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::patience::until;

/// For one deletion: a namespace is deleted only after the last of its contents.
const TIMEOUT: &str = "--timeout=60s";

/// Identifies an object: API version, kind, namespace (empty for cluster-scoped objects), name.
type Named = (String, String, String, String);

/// What a test brought into a cluster.
pub struct Guest {
    cluster: Arc<Cluster>,
    /// Whether it must leave the cluster as it was. A cluster that was started for the test ends with it, and
    /// checking costs time.
    tidies: bool,
    /// In order of creation.
    brought: Mutex<Vec<Named>>,
}

impl Guest {
    /// A guest that leaves a borrowed cluster as it was.
    #[must_use]
    pub fn of(cluster: &Arc<Cluster>) -> Self {
        Self { cluster: Arc::clone(cluster), tidies: cluster.is_borrowed(), brought: Mutex::default() }
    }

    /// A guest that leaves any cluster as it was.
    #[must_use]
    pub fn tidy(cluster: &Arc<Cluster>) -> Self {
        Self { cluster: Arc::clone(cluster), tidies: true, brought: Mutex::default() }
    }

    /// Registers an object that a test creates by other means.
    pub fn makes(&self, version: &str, kind: &str, namespace: &str, name: &str) {
        self.remember([(version.to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned())]);
    }

    fn remember(&self, objects: impl IntoIterator<Item = Named>) {
        if self.tidies {
            self.brought.lock().unwrap_or_else(PoisonError::into_inner).extend(objects);
        }
    }

    /// `kubectl VERB ARGS -f -`, where the verb is `create` or `apply`; returns its output.
    ///
    /// # Errors
    /// kubectl failed; what it created before that is remembered all the same.
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

    /// Removes everything again, the last first, and waits until it is gone.
    ///
    /// # Errors
    /// Something was not deleted.
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
        // The controller manager completes the deletion of a namespace. Without one (envtest), a deleted
        // namespace stays for ever, and no other test could use its name; left in place and empty, it does no
        // harm.
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

/// The minimum of the objects that kubectl needs to find them.
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

/// Everything in a cluster that one of our tests may create, one line each, to check that nothing is left.
/// Excludes what Kubernetes itself creates some time after its start.
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

/// Waits until a cluster has nothing that it did not have before, except namespaces if nothing completes
/// their deletion.
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
