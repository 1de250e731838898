//! Real API servers with our kinds, and operators on them. All tests of the binary share two servers, one
//! test at a time on each. Most tests spend their time waiting, for a lease to run out or an authority to be
//! trusted. The servers end with the process.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use bailiwick_conformance::api::{Api, path};
pub(crate) use bailiwick_conformance::cluster::SYSTEM;
use bailiwick_conformance::cluster::{Cluster, MADE};
use bailiwick_conformance::programs::{self, Running};
use bailiwick_conformance::{http, patience};
use serde_json::{Value, json};

/// A server takes half a gigabyte.
const SERVERS: usize = 2;
static RUNNING: [Mutex<Option<Arc<Server>>>; SERVERS] = [const { Mutex::new(None) }; SERVERS];
static TURNS: [Mutex<()>; SERVERS] = [const { Mutex::new(()) }; SERVERS];

/// Between two attempts to get a turn.
const PAUSE: Duration = Duration::from_millis(25);

struct Server {
    api: Api,
    cluster: Cluster,
}

/// A turn on a server: everything of earlier tests is gone.
pub(crate) struct Stage {
    pub(crate) folder: tempfile::TempDir,
    server: Arc<Server>,
    _turn: MutexGuard<'static, ()>,
}

/// Checks until there is a result.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    patience::until(what, look).unwrap_or_else(|error| panic!("{error:#}"))
}

/// As [`until`], with a check that says what is missing.
pub(crate) fn until_ok<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    patience::until_ok(what, look).unwrap_or_else(|error| panic!("{error:#}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The first turn that is free, and on which server.
fn turn() -> (usize, MutexGuard<'static, ()>) {
    // Another test may take longer than anything else that is waited for. A cluster that is lent counts as
    // one.
    let given = std::env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty());
    let servers = if given { 1 } else { SERVERS };
    loop {
        for (at, turn) in TURNS.iter().take(servers).enumerate() {
            match turn.try_lock() {
                Ok(turn) => return (at, turn),
                // A test that failed held it; what it left is cleared.
                Err(TryLockError::Poisoned(turn)) => return (at, turn.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn server(at: usize) -> Arc<Server> {
    let mut server = RUNNING[at].lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = &*server {
        return Arc::clone(running);
    }
    let cluster = Cluster::start_lent().and_then(Cluster::for_the_process).expect("an API server");
    let mut kinds = Vec::new();
    for entry in std::fs::read_dir(root().join("crds")).expect("crds") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            kinds.push(std::fs::read_to_string(path).expect("a definition"));
        }
    }
    let kinds = kinds.join("\n---\n");
    cluster.kubectl(["apply", "--server-side", "-f", "-"], &kinds).expect("the kinds");
    let made = format!("{MADE}=kinds");
    cluster.kubectl(["label", "-f", "-", "--overwrite", &made], &kinds).expect("labels");
    cluster
        .kubectl(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"], "")
        .expect("the kinds are served");
    let api = cluster.api().expect("a way to the API server");
    let system = json!({ "name": SYSTEM, "labels": { MADE: "system" } });
    api.apply(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": system }).to_string())
        .expect("a namespace");
    let running = Arc::new(Server { api, cluster });
    *server = Some(Arc::clone(&running));
    running
}

impl Stage {
    pub(crate) fn new() -> Self {
        let (at, turn) = turn();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stage = Self { folder, server: server(at), _turn: turn };
        stage.clear();
        stage
    }

    /// Removes whatever an earlier test or its operator left, and gives the lease back. Nothing else goes: the
    /// cluster may be a borrowed one.
    pub(crate) fn clear(&self) {
        let ours = format!("bailiwick.dev/operator={SYSTEM}");
        let made = format!("{MADE}=test");
        // First the objects that would call a webhook that is gone.
        let labelled = [
            "mutatingwebhookconfigurations",
            "validatingwebhookconfigurations",
            "validatingadmissionpolicybindings",
            "validatingadmissionpolicies",
            "runtimeclasses",
        ];
        let kinds = ["sandboxpools", "policyexceptions", "policybindings", "policypacks", "pods"];
        let rights = ["clusterrolebindings", "clusterroles"];
        let rest = ["networkpolicies", "deployments", "configmaps", "secrets"];
        let all = labelled.iter().map(|kind| (*kind, ours.as_str()));
        let all = all.chain(kinds.iter().chain(&rights).map(|kind| (*kind, made.as_str())));
        let all = all.chain(rest.iter().map(|kind| (*kind, ours.as_str())));
        // One that no binding governs stays, empty: it could not be made again before it is gone.
        let governed = format!("{made},bailiwick.dev/zone");
        for (kind, labels) in all.chain([("namespaces", governed.as_str())]) {
            // One of our kinds may be established but not served yet.
            until(&format!("no {kind} are left"), || self.api().clear(kind, labels).ok());
        }
        let lease = path("lease", Some(SYSTEM), "bailiwick-operator").expect("a kind");
        self.api().ask("DELETE", &lease, "application/json", "").expect("the lease goes");
        // An empty lease was given back: no operator needs to wait for its end.
        self.apply(&format!(
            "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: bailiwick-operator, namespace: {SYSTEM}}}, spec: {{}}}}"
        ));
    }

    pub(crate) fn api(&self) -> &Api {
        &self.server.api
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        self.server.cluster.kubeconfig()
    }

    /// Runs kubectl, which must succeed.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.server.cluster.kubectl(args, "").unwrap_or_else(|error| panic!("{args:?}: {error:#}"))
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.server.cluster
    }

    /// Applies an object, which goes when the next test begins.
    pub(crate) fn apply(&self, manifest: &str) {
        let mut object: Value = serde_saphyr::from_str(manifest).expect("YAML");
        object["metadata"]["labels"][MADE] = "test".into();
        let applied = self.api().apply(&object.to_string());
        applied.unwrap_or_else(|error| panic!("{manifest}: {error:#}"));
    }

    /// Changes something that every operator sees and that nothing depends on.
    pub(crate) fn nudge(&self, word: &str) {
        let path = path("namespace", None, "default").expect("a kind");
        let patch = json!({ "metadata": { "annotations": { "nudge": word } } });
        self.api().send("PATCH", &path, &patch).expect("a nudge");
    }

    /// A governed namespace.
    pub(crate) fn namespace(&self, name: &str, zone: &str) {
        self.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{bailiwick.dev/zone: {zone}}}}}}}"
        ));
    }

    /// An object as JSON; `None` if it is not there.
    pub(crate) fn get(&self, kind: &str, name: &str, namespace: Option<&str>) -> Option<Value> {
        self.api().get(&path(kind, namespace, name).expect("a kind"))
    }

    /// The objects of a kind, everywhere or in a namespace.
    pub(crate) fn list(&self, kind: &str, namespace: Option<&str>) -> Vec<Value> {
        self.labelled(kind, namespace, "")
    }

    fn labelled(&self, kind: &str, namespace: Option<&str>, labels: &str) -> Vec<Value> {
        let path = format!("{}?labelSelector={labels}", path(kind, namespace, "").expect("a kind"));
        let list = until("a list", || self.api().get(&path));
        let mut items = list["items"].as_array().expect("items").clone();
        for item in &mut items {
            // Items of a list do not say their kind.
            item["kind"] = Value::from(list["kind"].as_str().unwrap_or_default().trim_end_matches("List"));
        }
        items
    }

    /// All objects of the operator of these kinds, as `KIND NAMESPACE/NAME`, sorted.
    pub(crate) fn ours(&self, kinds: &str) -> Vec<String> {
        let ours = format!("bailiwick.dev/operator={SYSTEM}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = kinds.split(',').flat_map(|kind| self.labelled(kind, None, &ours));
        let mut names: Vec<String> = all
            .map(|item| {
                let metadata = &item["metadata"];
                format!(
                    "{} {}/{}",
                    text(&item["kind"]),
                    text(&metadata["namespace"]),
                    text(&metadata["name"])
                )
            })
            .collect();
        names.sort();
        names
    }

    /// Waits until a condition of an object has a status, and returns the object.
    pub(crate) fn condition(
        &self,
        kind: &str,
        name: &str,
        namespace: Option<&str>,
        aspect: &str,
        status: &str,
    ) -> Value {
        until_ok(&format!("{kind} {name} is {aspect}={status}"), || {
            let object = self.get(kind, name, namespace).ok_or("it is not there")?;
            let generation = object["metadata"]["generation"] == object["status"]["observedGeneration"];
            let is_so = condition(&object, aspect).is_some_and(|one| one["status"] == status);
            if generation && is_so { Ok(object) } else { Err(object["status"].to_string()) }
        })
    }

    /// Starts an operator.
    pub(crate) fn operator(&self, more: &[&str]) -> Operator {
        Operator::start(self.folder.path(), self.kubeconfig(), more)
    }

    /// Starts an operator that is a user.
    pub(crate) fn operator_as(&self, user: &str) -> Operator {
        let text = std::fs::read_to_string(self.kubeconfig()).expect("a kubeconfig");
        let mut config: Value = serde_saphyr::from_str(&text).expect("YAML");
        config["users"][0]["user"]["as"] = json!(user);
        let path = self.folder.path().join("kubeconfig-as");
        std::fs::write(&path, config.to_string()).expect("written");
        Operator::start(self.folder.path(), &path, &[])
    }
}

/// A condition of an object.
pub(crate) fn condition<'o>(object: &'o Value, aspect: &str) -> Option<&'o Value> {
    object["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == aspect)
}

/// An operator as a process of its own.
pub(crate) struct Operator {
    running: Running,
    address: String,
    log: PathBuf,
}

impl Operator {
    fn start(folder: &Path, kubeconfig: &Path, more: &[&str]) -> Self {
        let program = programs::find("bailiwick-operator").expect("the program is built");
        let log = folder.join("operator.log");
        let stderr = File::options().create(true).append(true).open(&log).expect("a log");
        let mut command = Command::new(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--namespace", SYSTEM, "--kubeconfig"])
            .arg(kubeconfig)
            // Short, for tests that wait until the lease of a killed operator runs out.
            .args(if more.contains(&"--lease-duration") { &[][..] } else { &["--lease-duration", "8"] })
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        let mut running = Running::start(&mut command).expect("the operator runs");
        let line = running.line().expect("a line");
        let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| {
            panic!(
                "the operator did not come up: {line}{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            )
        });
        Self { running, address: address.to_owned(), log }
    }

    /// The answer at a path.
    pub(crate) fn ask(&self, path: &str) -> Option<(u16, String)> {
        let stream = TcpStream::connect(&self.address).ok()?;
        let answer = http::Client::over(stream, &self.address).get(path).ok()?;
        Some((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// The sum of a metric over all its labels that contain `with`.
    pub(crate) fn metric(&self, name: &str, with: &str) -> u64 {
        let (_, text) = self.ask("/metrics").expect("metrics");
        text.lines()
            .filter(|line| line.starts_with(&format!("bailiwick_operator_{name}")) && line.contains(with))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Waits until it leads.
    pub(crate) fn leads(self) -> Self {
        until("the operator leads", || (self.metric("leading", "") == 1).then_some(()));
        self
    }

    /// Waits until this many more passes were made; `nudge` must give it a reason to make them.
    pub(crate) fn passes(&self, more: u64, mut nudge: impl FnMut(u64)) {
        for round in 0..more {
            let before = self.metric("passes_total", "");
            nudge(round);
            until("another pass", || (self.metric("passes_total", "") > before).then_some(()));
        }
    }

    /// Its log, together with all others of the test.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        self.running.signal(name).expect("a signal");
    }

    /// Waits until it ended by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until("the operator ends", || self.running.ended().expect("its status"))
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert!(self.ended().success(), "{}", self.log());
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- operator.log\n{}", self.log());
        }
    }
}
