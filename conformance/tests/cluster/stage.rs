//! A cluster with our kinds, a governed namespace, and the objects that the operator would have applied:
//! computed by the operator's own functions, from the objects as the API server returns them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use bailiwick_compiler::cluster::{Binding, Cells, ClusterPacks, InForce, NamespaceLabels, cells};
use bailiwick_compiler::emit::{ClusterOptions, Object, WebhookClient, objects, webhooks};
use bailiwick_conformance::cluster::{Cluster, MADE};
use bailiwick_conformance::guest::Guest;
use bailiwick_conformance::patience;
use bailiwick_conformance::programs::Webhook;
use bailiwick_crds::binding::PolicyBinding;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The pack of these tests.
pub(crate) const FENCE: &str = include_str!("pack.yaml");

/// A binding of it.
pub(crate) const BOUND: &str = "{apiVersion: bailiwick.dev/v1alpha1, kind: PolicyBinding, metadata: {name: fence}, spec: {pack: {name: fence, version: 1.0.0}}}";

/// A control plane takes half a gigabyte, and a machine of two cores is slow enough with one.
static TURN: Mutex<()> = Mutex::new(());

/// A cluster and the folder of the programs next to it.
pub(crate) struct Stage {
    guest: Guest,
    pub(crate) cluster: Arc<Cluster>,
    folder: TempDir,
    /// Released last.
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// With our kinds and the namespaces `agents` (governed) and `web`. `None`, reported loudly, if there is
    /// nothing to start it from.
    pub(crate) fn new() -> Result<Option<Self>> {
        // A test that failed held it, and its cluster is gone.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = match Cluster::start() {
            Ok(cluster) => Arc::new(cluster),
            Err(error) if std::env::var_os("CI").is_some() => return Err(error),
            Err(error) => {
                eprintln!("SKIPPED: no API server: {error:#}");
                return Ok(None);
            }
        };
        let guest = Guest::of(&cluster);
        let stage = Self { guest, cluster, folder: tempfile::tempdir()?, _turn: turn };
        for (file, text) in bailiwick_crds::schema::crds()? {
            stage.apply(&text).with_context(|| file)?;
        }
        stage.until("our kinds are served", || {
            let kinds = ["policypacks", "policybindings", "policyexceptions", "sandboxpools"];
            Ok(kinds.iter().all(|kind| stage.try_kubectl(&["get", kind, "-A"], "").0))
        })?;
        stage.apply("{apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {bailiwick.dev/zone: agents}}}")?;
        stage.apply("{apiVersion: v1, kind: Namespace, metadata: {name: web}}")?;
        let system = json!({ "name": "bailiwick-system", "labels": { MADE: "test" } });
        stage.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": system }).to_string())?;
        stage.cluster.await_namespace("agents")?;
        Ok(Some(stage))
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        self.guest.bring(&["apply", "--server-side", "--force-conflicts"], text)
    }

    /// Whether it succeeded, and all of kubectl's output.
    pub(crate) fn try_kubectl(&self, args: &[&str], stdin: &str) -> (bool, String) {
        let output = self.cluster.kubectl_raw(args, stdin).expect("kubectl runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Waits until something holds.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let seen = patience::until(what, || holds().map(|holds| holds.then_some(())).transpose());
        seen.with_context(|| std::fs::read_to_string(self.path().join("webhook.log")).unwrap_or_default())?
    }

    /// The webhook on the bindings of this cluster.
    pub(crate) fn webhook(&self) -> Result<Webhook> {
        Webhook::of_cluster(self.path(), self.cluster.kubeconfig(), &[])
    }

    /// The status and the text of the webhook's `/readyz`.
    pub(crate) fn ready(&self, webhook: &Webhook) -> Result<(u16, String)> {
        let answer = webhook.client()?.get("/readyz")?;
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// Waits until the webhook reports these bindings as in force.
    pub(crate) fn until_bound(&self, webhook: &Webhook, bindings: &[&str]) -> Result<()> {
        self.until(&format!("{bindings:?} are in force"), || {
            let (status, text) = self.ready(webhook)?;
            let named = bindings.iter().all(|name| text.contains(&format!("bundle {name} ")));
            Ok(status == 200 && named && text.matches("bundle ").count() == bindings.len())
        })
    }

    fn list(&self, kind: &str) -> Result<Vec<Value>> {
        let text = self.cluster.kubectl(["get", kind, "-A", "-o", "json"], "")?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// What is in force, as the operator computes it.
    pub(crate) fn in_force(&self) -> Result<(InForce, Cells)> {
        let mut packs = ClusterPacks::default();
        for pack in self.list("policypacks")? {
            packs.add(&pack)?;
        }
        let bindings: Vec<PolicyBinding> =
            self.list("policybindings")?.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
        let named: Vec<Binding<'_>> = bindings
            .iter()
            .map(|one| Binding {
                name: one.metadata.name.as_deref().unwrap_or_default(),
                spec: &one.spec,
                status: one.status.as_ref(),
            })
            .collect();
        let mut in_force = InForce::default();
        for verdict in in_force.update(&named, &packs) {
            assert!(verdict.is_current(), "{}: {}", verdict.binding, verdict.message);
        }
        let namespaces: NamespaceLabels = self
            .list("namespaces")?
            .iter()
            .map(|one| {
                let labels: BTreeMap<String, String> =
                    serde_json::from_value(one["metadata"]["labels"].clone()).unwrap_or_default();
                (one["metadata"]["name"].as_str().unwrap_or_default().to_owned(), labels)
            })
            .collect();
        let cells = cells(&in_force, &namespaces);
        assert!(cells.problems.is_empty(), "{:?}", cells.problems);
        Ok((in_force, cells))
    }

    /// Everything but the webhook configurations.
    pub(crate) fn objects(&self) -> Result<Vec<Object>> {
        let (in_force, cells) = self.in_force()?;
        let out = objects(&in_force, &cells, &ClusterOptions::default())?;
        assert!(out.problems.is_empty(), "{:?}", out.problems);
        Ok(out.objects)
    }

    /// The webhook configurations, for a webhook on loopback.
    pub(crate) fn configurations(&self, webhook: &Webhook) -> Result<Vec<Object>> {
        let options = ClusterOptions {
            webhook: WebhookClient::Url(format!("https://{}", webhook.address())),
            ca_bundle: Some(std::fs::read(webhook.ca())?),
            ..ClusterOptions::default()
        };
        Ok(webhooks(&self.in_force()?.0, &options)?.objects)
    }

    /// Applies objects as the operator does.
    pub(crate) fn put(&self, objects: &[Object]) -> Result<()> {
        let items: Vec<&Value> = objects.iter().map(|object| &object.json).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        let names = |item: &Value, path: &str| {
            item.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        for item in &items {
            let of = ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"]
                .map(|path| names(item, path));
            self.guest.makes(&of[0], &of[1], &of[2], &of[3]);
        }
        let args = ["apply", "--server-side", "--force-conflicts", "--field-manager=bailiwick", "-f", "-"];
        let output = self.cluster.kubectl_raw(args, &list.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            bail!("{said}");
        }
        // A failed type check of an admission policy is only a warning, but it is a bug of ours.
        assert!(!said.contains("Warning"), "{said}");
        Ok(())
    }

    pub(crate) fn take(&self, objects: &[Object]) -> Result<()> {
        let items: Vec<&Value> = objects.iter().map(|object| &object.json).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        self.cluster.kubectl(["delete", "--ignore-not-found", "-f", "-"], &list.to_string())?;
        Ok(())
    }

    /// A time as RFC 3339 writes it; seconds since 1970.
    pub(crate) fn date(&self, seconds: i64) -> String {
        let output = std::process::Command::new("date")
            .args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"])
            .output()
            .expect("date runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A user with a role of these rules, and the argument with which kubectl impersonates that user.
    pub(crate) fn user(&self, name: &str, rules: &Value) -> Result<String> {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": name }, "rules": rules,
        });
        let bound = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name }],
        });
        self.apply(&role.to_string())?;
        self.apply(&bound.to_string())?;
        Ok(format!("--as={name}"))
    }
}

/// A pod that the pack admits; `change` is merged into it, JSON Merge Patch style.
pub(crate) fn pod(name: &str, change: &Value) -> Value {
    let image = format!("registry.example.org/agents/x@sha256:{}", "0".repeat(64));
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "agents", "labels": { "app": "agent" } },
        "spec": {
            // What the webhook would write, so that the floor alone allows it too.
            "automountServiceAccountToken": false,
            "containers": [{ "name": "c", "image": image, "resources": { "limits": { "memory": "64Mi", "cpu": "1" } } }],
        },
    });
    merge(&mut pod, change);
    pod
}

/// RFC 7386, with lists of objects merged by position.
fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    into.remove(key);
                } else {
                    merge(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(into), Value::Array(change)) if into.len() == change.len() => {
            into.iter_mut().zip(change).for_each(|(into, change)| merge(into, change));
        }
        (into, change) => *into = change.clone(),
    }
}
