//! A real Kubernetes API server for a test: the one in `KUBECONFIG` if that is set, otherwise one that
//! `conformance/cluster/start.sh` starts on loopback and that ends when dropped. Also starts one with a node
//! that runs pods.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::api::Api;
use crate::patience::until;

/// Attempts to start a control plane: its ports are chosen at random, and another program may take one of
/// them first.
const STARTS: usize = 3;

/// Label of what tests make in a cluster that they share: no test deletes anything else there.
pub const MADE: &str = "conformance.bailiwick.dev/made";

/// Environment variable that names the API server (`https://HOST:PORT`) of a borrowed cluster in which tests may
/// run an operator of their own.
pub const LENT: &str = "BAILIWICK_LENT_CLUSTER";

/// Where Bailiwick is installed, and where the tests install it.
pub const SYSTEM: &str = "bailiwick-system";

/// A running API server and its connection details.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    started: Option<PathBuf>,
    /// Waits for the end of this process.
    warden: Option<Child>,
}

impl Cluster {
    /// Connects to the cluster of `KUBECONFIG`, or starts one.
    ///
    /// # Errors
    /// It has nothing to start from (no prebuilt control plane, no `KUBEBUILDER_ASSETS`, no Go), or it did
    /// not come up; the message says what to do.
    pub fn start() -> Result<Self> {
        let start = || Self::run("start.sh", "set KUBECONFIG to use another cluster");
        let cluster = Self::borrowed_or(std::env::var_os("KUBECONFIG"), start)?;
        if cluster.is_borrowed() {
            cluster.is_free()?;
        }
        Ok(cluster)
    }

    /// As [`Cluster::start`], for tests whose operator writes and deletes wherever packs are bound: a borrowed
    /// cluster must be lent for that by its owner, who names its API server in [`LENT`].
    ///
    /// # Errors
    /// As for [`Cluster::start`]; the cluster is borrowed and not lent.
    pub fn start_lent() -> Result<Self> {
        let cluster = Self::start()?;
        if cluster.is_borrowed() {
            let path = "jsonpath={.clusters[0].cluster.server}";
            let server = cluster.kubectl(["config", "view", "--minify", "-o", path], "")?;
            lent(std::env::var(LENT).ok().as_deref(), server.trim())?;
        }
        Ok(cluster)
    }

    /// Whether tests may install Bailiwick here: nobody else has.
    ///
    /// # Errors
    /// Somebody has, or kubectl failed.
    pub fn is_free(&self) -> Result<()> {
        let labels = format!("!{MADE}");
        let of = |kind: &str| {
            self.kubectl(["get", kind, "--selector", &labels, "--output", "name", "--ignore-not-found"], "")
        };
        let found = [of("namespaces")?, of("customresourcedefinitions")?].concat();
        let taken = |line: &&str| *line == format!("namespace/{SYSTEM}") || line.ends_with(".bailiwick.dev");
        if let Some(line) = found.lines().find(taken) {
            bail!(
                "the cluster of KUBECONFIG has {line}, which no test made: Bailiwick is installed there, and tests would replace it. Name another cluster, or leave KUBECONFIG unset"
            );
        }
        Ok(())
    }

    /// Starts a cluster, whatever `KUBECONFIG` names: for tests and measurements over everything in it.
    ///
    /// # Errors
    /// As for [`Cluster::start`].
    pub fn start_own() -> Result<Self> {
        Self::borrowed_or(None, || Self::run("start.sh", "it takes a control plane of its own"))
    }

    /// The cluster that `KUBECONFIG` names, or the first start that succeeds.
    fn borrowed_or(kubeconfig: Option<OsString>, mut start: impl FnMut() -> Result<Self>) -> Result<Self> {
        if let Some(kubeconfig) = chosen(kubeconfig) {
            return Ok(Self { kubeconfig, kubectl: "kubectl".into(), started: None, warden: None });
        }
        (1..STARTS).fold(start(), |started, _| started.or_else(|_| start()))
    }

    /// Starts a cluster with one node named `node`. Needs root.
    ///
    /// # Errors
    /// As for [`Cluster::start`]; no other cluster can be used, since tests put images and files onto the
    /// node.
    pub fn with_node() -> Result<Self> {
        Self::run("start-node.sh", "it needs root")
    }

    fn run(script: &str, remedy: &str) -> Result<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster");
        let dir = std::env::temp_dir().join(format!("bailiwick-cluster-{}-{}", std::process::id(), unique()));
        let started = Command::new(scripts.join(script))
            .arg(&dir)
            // Memory for time: an API server collects garbage for a sixth of its short life. The other programs of
            // the cluster get it too.
            .env("GOGC", "400")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run conformance/cluster/{script}"))?;
        let cluster = Self {
            kubeconfig: dir.join("kubeconfig"),
            kubectl: dir.join("bin/kubectl"),
            started: Some(dir),
            warden: None,
        };
        if !started.status.success() {
            bail!("conformance/cluster/{script} failed; its messages are above; {remedy}");
        }
        Ok(cluster)
    }

    /// Whether the cluster is borrowed, named by `KUBECONFIG`: it outlives the value.
    #[must_use]
    pub const fn is_borrowed(&self) -> bool {
        self.started.is_none() && self.warden.is_none()
    }

    /// Lets it end with this process, however the process ends, instead of with the value: for a value that
    /// is never dropped.
    ///
    /// # Errors
    /// The process that waits for the end does not start.
    pub fn for_the_process(mut self) -> Result<Self> {
        let Some(dir) = self.started.take() else { return Ok(self) };
        let stop = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/stop.sh");
        let mut command = Command::new("bash");
        command.args(["-c", r#"read -r _; "$0" "$1"; rm -rf "$1""#]).arg(stop).arg(dir);
        // Its input ends with this process.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.warden = Some(command.spawn().context("cannot run bash")?);
        Ok(self)
    }

    /// Puts an image archive onto the node.
    ///
    /// # Errors
    /// The cluster has no node, or containerd rejects the archive.
    pub fn import(&self, archive: &Path) -> Result<()> {
        let dir = self.started.as_ref().context("this cluster has no node of ours")?;
        let output = Command::new(dir.join("bin/ctr"))
            .args(["images", "import", "--local"])
            .arg(archive)
            .stdin(Stdio::null())
            .output()
            .context("cannot run ctr")?;
        if !output.status.success() {
            bail!("ctr images import {}: {}", archive.display(), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Puts a seccomp profile where pods of the node find it as `localhostProfile: NAME`.
    ///
    /// # Errors
    /// The cluster has no node, or the file cannot be written.
    pub fn seccomp(&self, name: &str, profile: &[u8]) -> Result<()> {
        let dir = self.started.as_ref().context("this cluster has no node of ours")?;
        let path = dir.join("node/kubelet/seccomp").join(name);
        let folder = path.parent().context("a profile without a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::write(&path, profile).with_context(|| format!("cannot write {}", path.display()))
    }

    /// A connection to the API server for tests that look often.
    ///
    /// # Errors
    /// kubectl does not serve.
    pub fn api(&self) -> Result<Api> {
        Api::open(&self.kubectl, &self.kubeconfig)
    }

    /// The kubeconfig file of an administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Whether a controller manager runs, which makes pods of Deployments and ends namespaces: it publishes
    /// its certificate in every namespace. envtest has none.
    ///
    /// # Errors
    /// kubectl failed.
    pub fn is_tended(&self) -> Result<bool> {
        let args =
            ["get", "configmap", "kube-root-ca.crt", "-n", "default", "--ignore-not-found", "-o", "name"];
        Ok(!self.kubectl(args, "")?.trim().is_empty())
    }

    /// Waits until pods can be created in a namespace, which requires its service account: the controller
    /// manager creates it a moment after the namespace. Without a controller manager (envtest has none), this
    /// creates it.
    ///
    /// # Errors
    /// It was not created in time.
    pub fn await_namespace(&self, name: &str) -> Result<()> {
        until(&format!("the service account of namespace `{name}`"), || {
            let create = self.kubectl_raw(["create", "serviceaccount", "default", "-n", name], "").ok()?;
            let is_there = String::from_utf8_lossy(&create.stderr).contains("already exists");
            (create.status.success() || is_there).then_some(())
        })
    }

    /// kubectl for this cluster, for what runs beside a test.
    #[must_use]
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.env("KUBECONFIG", &self.kubeconfig);
        // Most live a tenth of a second, of which they would collect garbage for a quarter.
        command.envs([("GOGC", "off"), ("GOMEMLIMIT", "256MiB")]);
        command
    }

    /// Runs kubectl and returns whatever it printed, however it ended.
    ///
    /// # Errors
    /// kubectl could not be run.
    pub fn kubectl_raw<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        args: I,
        stdin: &str,
    ) -> Result<Output> {
        let mut child = self
            .kubectl_command()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run kubectl")?;
        let mut pipe = child.stdin.take().context("kubectl has no standard input")?;
        let text = stdin.to_owned();
        // On a thread of its own: kubectl may fill its output before it has read everything.
        let writer = std::thread::spawn(move || pipe.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        Ok(output)
    }

    /// Runs kubectl, which must succeed, and returns its standard output.
    ///
    /// # Errors
    /// kubectl could not be run or failed; the message holds what it printed.
    pub fn kubectl<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        args: I,
        stdin: &str,
    ) -> Result<String> {
        let output = self.kubectl_raw(args, stdin)?;
        if !output.status.success() {
            bail!("kubectl failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(dir) = &self.started else { return };
        let stop = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/stop.sh");
        let _ = Command::new(stop).arg(dir).stdin(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(dir);
    }
}

/// The cluster that `KUBECONFIG` names. An empty value names none: kubectl would read it as `~/.kube/config`,
/// the personal cluster of the user who runs the tests.
fn chosen(kubeconfig: Option<OsString>) -> Option<PathBuf> {
    kubeconfig.filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Whether the owner of a borrowed cluster lent this very one.
fn lent(named: Option<&str>, server: &str) -> Result<()> {
    if named == Some(server) {
        return Ok(());
    }
    bail!(
        "KUBECONFIG names the cluster at {server}, in which these tests would run an operator. To allow that, set {LENT}={server}; to have a cluster started instead, leave KUBECONFIG unset"
    )
}

/// A number that no other call in this process gets.
fn unique() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_borrowed_cluster_is_lent_by_its_own_address_only() {
        let server = "https://192.0.2.1:6443";
        assert!(lent(Some(server), server).is_ok());
        for other in [None, Some(""), Some("1"), Some("https://192.0.2.2:6443")] {
            let error = lent(other, server).unwrap_err().to_string();
            assert!(error.contains(&format!("{LENT}={server}")), "{error}");
        }
    }

    #[test]
    fn an_empty_kubeconfig_is_nobodys_cluster() {
        assert_eq!(chosen(Some(OsString::new())), None);
        assert_eq!(chosen(None), None);
        assert_eq!(chosen(Some("admin.conf".into())), Some(PathBuf::from("admin.conf")));
    }

    #[test]
    fn a_cluster_that_is_named_is_borrowed_and_none_is_started() {
        let borrowed = Cluster::borrowed_or(Some("admin.conf".into()), || bail!("started")).unwrap();
        assert!(borrowed.is_borrowed() && borrowed.kubeconfig() == Path::new("admin.conf"));
        let mut starts = 0;
        let refused = Cluster::borrowed_or(None, || {
            starts += 1;
            bail!("start {starts}")
        });
        assert_eq!(refused.unwrap_err().to_string(), format!("start {STARTS}"));
    }
}
