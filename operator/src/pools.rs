//! Pools of executors: from a `SandboxPool` to its bundle, its seccomp profile and its Deployment. Pure.
//!
//! The pack determines what the pods are, not the pool object: RuntimeClass, user namespace, CPUs and memory
//! come from the pack's pool. The pods have no token, no capability and no writable file but their volumes.
//! They start only with the bundle whose digest is in their arguments: another ConfigMap under that name
//! makes them fail, not obey.
//!
//! Not here: images and where their programs are (the image's contract is below), and the node's copies of
//! seccomp profiles.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_compiler::Bindings;
use bailiwick_compiler::cluster::Asked;
use bailiwick_compiler::emit::{self, EmitOptions};
use bailiwick_compiler::library::Library as _;
use bailiwick_crds::binding::Rollout;
use bailiwick_crds::sandbox_pool::{PoolRuntime, SandboxPoolSpec};
use bailiwick_policy::bundle;
use bailiwick_policy::policy::sandboxes::{Backend, Pool, UserNamespace};
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::mirror::View;
use crate::object::{Key, Live};

/// Label of all objects of a pool; its value is the pool's name.
pub const POOL_LABEL: &str = "bailiwick.dev/pool";
/// Annotation with the digest of the bundle.
pub const DIGEST_ANNOTATION: &str = "bailiwick.dev/policy-digest";

/// The program in the image.
const PROGRAM: &str = "/bailiwick/bailiwick-executor";
const BUNDLE_DIR: &str = "/etc/bailiwick/bundle";
const STATE_DIR: &str = "/var/lib/bailiwick";
const CALL_DIR: &str = "/run/bailiwick/call";
const ADMIN_DIR: &str = "/run/bailiwick/admin";
/// A user id that no distribution assigns; the image is built with it.
const USER: u32 = 65532;
/// Where a bundle is in its ConfigMap.
pub const BUNDLE: &str = "bundle.json";
/// A bundle is stored as text in a ConfigMap, and etcd limits requests to 1.5 MiB.
pub const MAX_BUNDLE: usize = 900 << 10;
/// With this much memory the executor's own bounds on what callers make it hold leave room for its sandboxes
/// (`docs/executor-tiers.md`).
const ROOMY: u64 = 1 << 30;
/// Those bounds, with their defaults in the executor.
const BOUNDS: [(&str, u64); 4] = [
    ("--max-held-bytes", 128 << 20),
    ("--kept-bytes", 64 << 20),
    ("--max-connections", 512),
    ("--max-calls", 256),
];
/// Seconds from the termination signal to the end of a pod: running calls may finish.
const DRAIN_S: u32 = 60;

/// Whether pods get their own user namespaces where a pack leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserNamespaces {
    /// The nodes can.
    #[default]
    On,
    /// They cannot.
    Off,
}

/// What the cluster's owner sets for the pods of all pools.
#[derive(Clone, Copy, Debug)]
pub struct PodSettings {
    /// Whether they have their own user namespaces.
    pub users: UserNamespaces,
    /// Most bytes of a pod's state, which is above all its log, so that it does not fill the disk of its node. The
    /// kubelet evicts a pod with more, and its log is lost: no call begins in one that has nearly as much.
    pub state_bytes: u64,
}

/// The compiled input of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundPool {
    /// SHA-256 (hex) of the bundle.
    pub digest: String,
    /// The bundle.
    pub bundle: String,
    /// The pack's pool.
    pub pool: Pool,
    /// The pool's seccomp profile for each architecture; empty if the pool has none.
    pub seccomp: BTreeMap<String, String>,
}

/// Why a pool cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PoolError {
    #[error("the cluster has no pack `{0}`")]
    UnknownPack(String),
    #[error("the cluster has `{pack}` in no version or digest `{asked}`")]
    UnknownVersion { pack: String, asked: String },
    #[error("{0}")]
    DoesNotCompile(String),
    #[error("pack `{pack}` has no pool `{pool}`")]
    UnknownPool { pack: String, pool: String },
    #[error("the bundle has {0} bytes, more than {MAX_BUNDLE}")]
    TooLarge(usize),
    #[error("pools of runtime `AgentSandbox` are not supported")]
    Runtime,
}

/// The result for a pool, for its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolVerdict {
    /// Its key.
    pub key: Key,
    /// Why it does not run as specified.
    pub error: Option<PoolError>,
    /// The digest that its pods have, or will have.
    pub digest: Option<String>,
}

impl PoolError {
    /// The condition's reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::UnknownPack(_) => "UnknownPack",
            Self::UnknownVersion { .. } => "UnknownVersion",
            Self::DoesNotCompile(_) => "DoesNotCompile",
            Self::UnknownPool { .. } => "UnknownPool",
            Self::TooLarge(_) => "BundleTooLarge",
            Self::Runtime => "NotSupported",
        }
    }
}

/// Compiles what a pool asks for.
///
/// # Errors
/// See [`PoolError`].
pub fn bind(spec: &SandboxPoolSpec, packs: &Asked<'_>) -> Result<BoundPool, PoolError> {
    if spec.runtime != PoolRuntime::Deployment {
        return Err(PoolError::Runtime);
    }
    let name = &spec.pack.name;
    if !packs.knows(name) {
        return Err(PoolError::UnknownPack(name.clone()));
    }
    let asked = spec.pack.version.as_ref().map(|version| version.as_str());
    let found = match (asked, &spec.pack.digest) {
        (Some(asked), _) => packs.version(name, asked),
        (None, digest) => digest.as_ref().and_then(|digest| packs.with_digest(name, digest)).cloned(),
    };
    let unknown = || PoolError::UnknownVersion {
        pack: name.clone(),
        asked: asked.map(str::to_owned).or_else(|| spec.pack.digest.clone()).unwrap_or_default(),
    };
    let values = Bindings { values: spec.parameters.clone().into_iter().collect() };
    let version = found.ok_or_else(unknown)?;
    let compiled = packs.compile(name, &version, values).ok_or_else(unknown)?;
    let Some(policy) = &compiled.policy else {
        let errors =
            compiled.all().filter(|one| one.severity == bailiwick_compiler::diagnostic::Severity::Error);
        let first = errors.map(ToString::to_string).next();
        return Err(PoolError::DoesNotCompile(first.unwrap_or_else(|| "it does not compile".to_owned())));
    };
    let unknown = || PoolError::UnknownPool { pack: name.clone(), pool: spec.pool.clone() };
    let pool = policy.pools.iter().find(|pool| pool.name == spec.pool).ok_or_else(unknown)?.clone();
    let failed = |error: &dyn std::fmt::Display| PoolError::DoesNotCompile(error.to_string());
    let bytes = bundle::write(policy).map_err(|error| failed(&error))?;
    if bytes.len() > MAX_BUNDLE {
        return Err(PoolError::TooLarge(bytes.len()));
    }
    let digest = bundle::digest(&bytes);
    let emitted =
        emit::artifacts(policy, &digest, &EmitOptions::default()).map_err(|error| failed(&error))?;
    let prefix = format!("seccomp/pool-{}.", pool.name);
    let seccomp = emitted.files.iter().filter_map(|(path, artifact)| {
        let rest = path.strip_prefix(&prefix)?;
        Some((rest.to_owned(), String::from_utf8(artifact.bytes.clone()).ok()?))
    });
    let seccomp = seccomp.collect();
    let bundle = String::from_utf8(bytes).map_err(|error| failed(&error))?;
    Ok(BoundPool { digest, bundle, pool, seccomp })
}

/// Name of a bundle's ConfigMap.
#[must_use]
pub fn bundle_name(digest: &str) -> String {
    format!("bailiwick-{digest}")
}

/// Name of a pool's Deployment.
#[must_use]
pub fn deployment_name(pool: &str) -> String {
    format!("bailiwick-pool-{pool}")
}

/// Namespaces in which some pods of pools do not have the wanted bundle yet: their old bundle is still
/// needed.
#[must_use]
pub fn rolling(pools: &[PoolVerdict], view: &View) -> BTreeSet<String> {
    let done = |pool: &PoolVerdict| {
        let name = deployment_name(&pool.key.name);
        let key = Key { kind: Kind::Deployment, namespace: pool.key.namespace.clone(), name };
        let (Some(digest), Some(live)) = (&pool.digest, view.get(&key)) else { return false };
        let count = |at: &str| live.status.get(at).and_then(Value::as_u64).unwrap_or(0);
        let wanted = live.spec().get("replicas").and_then(Value::as_u64).unwrap_or(0);
        let observed = live.status.get("observedGeneration").and_then(Value::as_i64);
        live.annotations.get(DIGEST_ANNOTATION) == Some(&format!("sha256:{digest}"))
            && observed == Some(live.generation)
            && count("updatedReplicas") >= wanted
            && count("replicas") == count("updatedReplicas")
    };
    pools.iter().filter(|pool| !done(pool)).filter_map(|pool| pool.key.namespace.clone()).collect()
}

/// Where the kubelet finds the profile, relative to its folder of profiles.
fn profile_path(bound: &BoundPool) -> String {
    format!("bailiwick/{}-{}.json", bound.pool.name, bound.digest)
}

/// All objects of a pool: its ConfigMaps, then its Deployment.
#[must_use]
pub fn manifests(
    live: &Live,
    spec: &SandboxPoolSpec,
    bound: &BoundPool,
    settings: PodSettings,
) -> Vec<Value> {
    let namespace = live.key.namespace.as_deref().unwrap_or_default();
    let data = json!({ BUNDLE: bound.bundle });
    let mut out = vec![bundle_map(namespace, &bundle_name(&bound.digest), &bound.digest, data)];
    if !bound.seccomp.is_empty() {
        let name = format!("bailiwick-seccomp-{}-{}", bound.pool.name, bound.digest);
        let mut map = bundle_map(namespace, &name, &bound.digest, json!(bound.seccomp));
        for (at, member, value) in [
            ("/metadata/annotations", "bailiwick.dev/profile-path", profile_path(bound)),
            ("/metadata/labels", "bailiwick.dev/seccomp", "pool".to_owned()),
        ] {
            if let Some(members) = map.pointer_mut(at).and_then(Value::as_object_mut) {
                members.insert(member.to_owned(), Value::String(value));
            }
        }
        out.push(map);
    }
    out.push(deployment(live, namespace, spec, bound, settings));
    out
}

/// A ConfigMap of a bundle, or of what was made from it.
#[must_use]
pub fn bundle_map(namespace: &str, name: &str, digest: &str, data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": data,
        "metadata": {
            "name": name, "namespace": namespace,
            "labels": { "app.kubernetes.io/managed-by": "bailiwick" },
            "annotations": { DIGEST_ANNOTATION: format!("sha256:{digest}") },
        },
    })
}

fn deployment(
    live: &Live,
    namespace: &str,
    spec: &SandboxPoolSpec,
    bound: &BoundPool,
    settings: PodSettings,
) -> Value {
    let pool = &live.key.name;
    let digest = format!("sha256:{}", bound.digest);
    // Immediate: no pod of the old bundle takes a call alongside one of the new.
    let strategy = match spec.rollout {
        Rollout::Drain => {
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": 0 } })
        }
        Rollout::Immediate => json!({ "type": "Recreate" }),
    };
    let labels = json!({ POOL_LABEL: pool, "app.kubernetes.io/managed-by": "bailiwick" });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": deployment_name(pool), "namespace": namespace, "labels": labels,
            "annotations": { DIGEST_ANNOTATION: digest },
            // Removed together with the pool, even while no operator runs.
            "ownerReferences": [{
                "apiVersion": bailiwick_crds::API_VERSION, "kind": "SandboxPool", "name": pool, "uid": live.uid,
                "controller": true, "blockOwnerDeletion": false,
            }],
        },
        "spec": {
            "replicas": spec.replicas,
            "selector": { "matchLabels": { POOL_LABEL: pool } },
            "strategy": strategy,
            "template": {
                "metadata": { "labels": labels, "annotations": { DIGEST_ANNOTATION: digest } },
                "spec": pod(spec, bound, settings),
            },
        },
    })
}

fn pod(spec: &SandboxPoolSpec, bound: &BoundPool, settings: PodSettings) -> Value {
    let own_users =
        bound.pool.user_namespace == UserNamespace::Required || settings.users == UserNamespaces::On;
    let profile = if bound.seccomp.is_empty() {
        json!({ "type": "RuntimeDefault" })
    } else {
        json!({ "type": "Localhost", "localhostProfile": profile_path(bound) })
    };
    json!({
        "runtimeClassName": bound.pool.runtime_class,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "hostUsers": !own_users,
        "terminationGracePeriodSeconds": DRAIN_S,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": profile,
        },
        // Builds every sandbox once. The pod's status holds the result, which needs no port, token or `exec`.
        "initContainers": [probe(spec, own_users, bound)],
        "containers": [container(spec, bound, settings, own_users)],
        "volumes": [
            { "name": "bundle", "configMap": { "name": bundle_name(&bound.digest) } },
            { "name": "state", "emptyDir": { "sizeLimit": settings.state_bytes.to_string() } },
            { "name": "call", "emptyDir": { "medium": "Memory" } },
            { "name": "admin", "emptyDir": { "medium": "Memory" } },
        ],
    })
}

/// The privileges of a process in the pod (`docs/executor-tiers.md` says what happens without each).
fn confined(bound: &BoundPool, own_users: bool) -> Value {
    // A sandbox can mount a /proc of its own only if no path in the pod's is masked, and that is allowed only
    // in a user namespace.
    let unmasked = own_users && bound.pool.backend == Backend::Native;
    json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] }, "procMount": if unmasked { "Unmasked" } else { "Default" },
    })
}

fn resources(bound: &BoundPool) -> Value {
    let amount = json!({
        "cpu": format!("{}m", bound.pool.cpus_milli), "memory": bound.pool.memory_bytes.to_string(),
    });
    json!({ "limits": amount, "requests": amount })
}

fn probe(spec: &SandboxPoolSpec, own_users: bool, bound: &BoundPool) -> Value {
    json!({
        "name": "probe",
        "image": spec.image,
        "command": [PROGRAM],
        "args": ["probe", "--bundle", format!("{BUNDLE_DIR}/bundle.json"), "--report", "/dev/termination-log"],
        "resources": resources(bound),
        "securityContext": confined(bound, own_users),
        "volumeMounts": [{ "name": "bundle", "mountPath": BUNDLE_DIR, "readOnly": true }],
    })
}

/// The bounds of an executor whose pod has less memory: in proportion, so that callers cannot have it killed.
fn bounds(memory_bytes: u64) -> impl Iterator<Item = String> {
    let small = (memory_bytes < ROOMY).then_some(BOUNDS).into_iter().flatten();
    small.flat_map(move |(flag, most)| {
        let most = u128::from(most) * u128::from(memory_bytes) / u128::from(ROOMY);
        [flag.to_owned(), most.max(1).to_string()]
    })
}

/// Most bytes of state at which calls still begin in a pod: below what it is evicted for, by more than the executor
/// writes between two measurements.
fn filled_at(state_bytes: u64) -> u64 {
    state_bytes - (state_bytes / 10).max(256 << 20).min(state_bytes / 2)
}

fn container(spec: &SandboxPoolSpec, bound: &BoundPool, settings: PodSettings, own_users: bool) -> Value {
    let socket = format!("{CALL_DIR}/call.sock");
    let (bundle, admin) = (format!("{BUNDLE_DIR}/bundle.json"), format!("{ADMIN_DIR}/admin.sock"));
    let filled = filled_at(settings.state_bytes).to_string();
    let fixed = [
        "serve",
        "--bundle",
        &bundle,
        "--expect-digest",
        &bound.digest,
        "--state",
        STATE_DIR,
        "--max-state-bytes",
        &filled,
        "--socket",
        &socket,
        "--admin-socket",
        &admin,
    ];
    let args: Vec<String> =
        fixed.map(str::to_owned).into_iter().chain(bounds(bound.pool.memory_bytes)).collect();
    json!({
        "name": "executor",
        "image": spec.image,
        "command": [PROGRAM],
        "args": args,
        "resources": resources(bound),
        "securityContext": confined(bound, own_users),
        "readinessProbe": {
            "exec": { "command": [PROGRAM, "ready", "--socket", socket] },
            "periodSeconds": 5, "timeoutSeconds": 5,
        },
        "volumeMounts": [
            { "name": "bundle", "mountPath": BUNDLE_DIR, "readOnly": true },
            { "name": "state", "mountPath": STATE_DIR },
            { "name": "call", "mountPath": CALL_DIR },
            { "name": "admin", "mountPath": ADMIN_DIR },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_end_well_before_a_pod_is_evicted_for_its_state() {
        let mib = |mib: u64| filled_at(mib << 20) >> 20;
        assert_eq!([mib(64), mib(1024), mib(10 << 10)], [32, 768, 9216]);
    }

    #[test]
    fn a_small_pod_has_less_room_for_callers_and_a_large_one_what_the_executor_has_by_itself() {
        let said = |memory: u64| bounds(memory).collect::<Vec<_>>().join(" ");
        assert_eq!(said(1 << 30), "");
        assert_eq!(
            said(128 << 20),
            "--max-held-bytes 16777216 --kept-bytes 8388608 --max-connections 64 --max-calls 32"
        );
        assert!(said(1).ends_with("--max-calls 1"), "never none: {}", said(1));
    }
}
