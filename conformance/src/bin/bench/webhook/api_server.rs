//! CREATE of a pod through a real API server, as a dry run, which does everything but the write to etcd.
//! Candidates: with the webhook registered; with it in both phases, as in a cluster; with the webhook that
//! does nothing; with the same rules as admission policies; and with none of them. Each has a namespace of
//! its own, so that all are measured in turn on one API server whose configuration does not change. Nothing
//! is pinned: all share the machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bailiwick_conformance::cluster::Cluster;
use base64::Engine as _;
use serde_json::{Value, json};

use super::load::Plan;
use super::server::{self, Server};
use super::{Pool, bundles, reviews};
use crate::report::Report;

const ROUNDS: usize = 5;
const SECONDS: f64 = 1.5;

/// The namespace in which nothing is registered.
const NOTHING: &str = "measured-nothing";
const NULL: &str = "measured-null";
const POLICIES: &str = "measured-policies";
pub(super) const WEBHOOK: &str = "measured-webhook";
pub(super) const BOTH: &str = "measured-both";
const ALL: [&str; 5] = [NOTHING, NULL, POLICIES, WEBHOOK, BOTH];

/// How long the API server may take to enforce what was registered.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures on an API server of its own; the first run on a machine may have to build it
/// (`conformance/cluster`).
pub(super) fn measure(
    report: &mut Report,
    folder: &Path,
    webhook: &Server,
    null: &Server,
) -> anyhow::Result<()> {
    let cluster = Cluster::start_own()?;
    let client = Client::new(&cluster, folder)?;
    register(&cluster, folder, webhook, null)?;
    client.wait_until_enforced()?;
    let mut pools: Vec<Pool> = ALL.iter().map(|_| Pool::default()).collect();
    for round in 0..ROUNDS {
        // Each round begins with another candidate.
        for turn in 0..ALL.len() {
            let at = (round + turn) % ALL.len();
            if let (Some(namespace), Some(pool)) = (ALL.get(at), pools.get_mut(at)) {
                pool.add(client.load(namespace, &client.good(namespace), webhook, SECONDS)?);
            }
        }
    }
    let [nothing, null, policies, webhook, both] = pools.as_slice() else {
        anyhow::bail!("a configuration was not measured");
    };
    let added = |pool: &Pool| pool.quantile_ms(0.5) - nothing.quantile_ms(0.5);
    report.set("apiserver_alone_p50_ms", nothing.quantile_ms(0.5), nothing.count());
    report.set("apiserver_added_p50_ms", added(webhook), webhook.count());
    report.set("apiserver_both_added_p50_ms", added(both), both.count());
    report.set("null_added_p50_ms", added(null), null.count());
    report.set("vap_added_p50_ms", added(policies), policies.count());
    Ok(())
}

/// Posts pods.
struct Client {
    address: String,
    authorization: String,
    folder: PathBuf,
}

impl Client {
    /// Creates the namespaces, and an administrator with a token.
    fn new(cluster: &Cluster, folder: &Path) -> anyhow::Result<Self> {
        let account = "system:serviceaccount:measured-nothing:measuring";
        let mut objects = vec![json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "measuring"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": account}]
        })];
        for name in ALL {
            let labels = json!({"measured": name});
            objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}));
        }
        create(cluster, objects)?;
        cluster.kubectl(["create", "serviceaccount", "measuring", "--namespace", NOTHING], "")?;
        for name in ALL {
            // The controller that creates it may or may not be running.
            cluster.kubectl_raw(["create", "serviceaccount", "default", "--namespace", name], "")?;
        }
        let token = cluster.kubectl(["create", "token", "measuring", "--namespace", NOTHING], "")?;
        let server = cluster.kubectl(
            ["config", "view", "--raw", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"],
            "",
        )?;
        let address = server.trim().strip_prefix("https://").context("the API server's URL is not https")?;
        for name in ALL {
            for (kind, mut pod) in [("good", reviews::good()), ("bad", reviews::bad())] {
                let metadata =
                    pod.pointer_mut("/metadata").and_then(Value::as_object_mut).context("no metadata")?;
                metadata.insert("namespace".to_owned(), name.into());
                std::fs::write(folder.join(format!("{name}-{kind}.json")), serde_json::to_vec(&pod)?)?;
            }
        }
        Ok(Self {
            address: address.to_owned(),
            authorization: format!("Bearer {}", token.trim()),
            folder: folder.to_owned(),
        })
    }

    fn good(&self, namespace: &str) -> PathBuf {
        self.folder.join(format!("{namespace}-good.json"))
    }

    fn load(
        &self,
        namespace: &str,
        body: &Path,
        webhook: &Server,
        seconds: f64,
    ) -> anyhow::Result<super::load::Seen> {
        let plan = Plan {
            address: self.address.clone(),
            path: format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"),
            authorization: Some(self.authorization.clone()),
            body: body.to_owned(),
            clients: 1,
            warm_up_s: 0.3,
            seconds,
            rate: 0.0,
            server: webhook.id(),
        };
        server::run(&plan, Command::new(std::env::current_exe()?))
    }

    /// A bad pod is denied wherever something judges, and allowed where nothing does; a good one is allowed
    /// everywhere.
    fn wait_until_enforced(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let mut right = true;
            for namespace in ALL {
                let judged = [POLICIES, WEBHOOK, BOTH].contains(&namespace);
                for (body, allowed) in [
                    (self.good(namespace), true),
                    (self.folder.join(format!("{namespace}-bad.json")), !judged),
                ] {
                    right &= self.is_allowed(namespace, &body)? == allowed;
                }
            }
            if right {
                return Ok(());
            }
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "the API server does not enforce what was registered"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn is_allowed(&self, namespace: &str, body: &Path) -> anyhow::Result<bool> {
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        let body = std::fs::read(body)?;
        let (status, _) = super::load::post(&self.address, &path, Some(&self.authorization), &body)?;
        Ok(status == 201)
    }
}

fn create(cluster: &Cluster, objects: Vec<Value>) -> anyhow::Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    cluster.kubectl(["create", "-f", "-"], &list.to_string()).map(drop)
}

fn register(cluster: &Cluster, folder: &Path, webhook: &Server, null: &Server) -> anyhow::Result<()> {
    let mut objects = policies()?;
    let (ours, nobodys) = (folder.join("16-rules/ca.pem"), folder.join("null.pem"));
    for (kind, namespace, server, path, certificate) in [
        ("Validating", WEBHOOK, webhook, "validate", &ours),
        ("Mutating", BOTH, webhook, "mutate", &ours),
        ("Validating", BOTH, webhook, "validate", &ours),
        ("Validating", NULL, null, "", &nobodys),
    ] {
        let certificate =
            std::fs::read(certificate).with_context(|| format!("cannot read {}", certificate.display()))?;
        objects.push(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
            "metadata": {"name": namespace},
            "webhooks": [{
                "name": format!("{namespace}.bailiwick.dev"),
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "url": format!("https://{}/{path}", server.address),
                    "caBundle": base64::engine::general_purpose::STANDARD.encode(certificate)
                },
                "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 5,
                "namespaceSelector": {"matchLabels": {"measured": namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}]
            }]
        }));
    }
    create(cluster, objects)
}

/// The rules as admission policies, each with its binding.
fn policies() -> anyhow::Result<Vec<Value>> {
    let variables = json!([
        {"name": "spec", "expression": "object.spec"},
        {
            "name": "containers",
            "expression": "variables.spec.containers + variables.spec.?initContainers.orValue([]) + \
                           variables.spec.?ephemeralContainers.orValue([])"
        }
    ]);
    let mut objects = Vec::new();
    for (name, expression, message) in bundles::sixteen()? {
        objects.push(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}
                ]},
                "variables": variables,
                "validations": [{"expression": expression, "message": message}]
            }
        }));
        objects.push(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"measured": POLICIES}}}
            }
        }));
    }
    Ok(objects)
}
