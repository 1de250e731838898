//! `docs/guide/cluster.md`, run word by word: what a new owner of a cluster types, each command with what must come of it. `make cluster-demo` shows it;
//! a test holds it. Where there is no node, `plane` runs what does not need one.
//!
//! Some commands are not typed: the programs are built already, the packages are there, and the node's directory is one of our own. Everything runs in a folder that goes with the
//! run, and the node ends with it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::Cluster;
use crate::{helm, programs};

mod plane;

/// For what comes by itself, as a policy that is put back: seconds in a quiet cluster, more where a machine does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

/// What must come of a command that contains `part`.
struct Expected {
    part: &'static str,
    codes: &'static [i32],
    says: &'static [&'static str],
}

/// Commands that change nothing in the cluster, so that they may be given again until they do what they should.
const ASKING: &[&str] = &["kubectl get", "tar -C /var/lib/bailiwick"];

/// By the first that fits; a command that none fits must end well.
const EXPECTED: &[Expected] = &[
    Expected { part: "get policybindings,policypacks", codes: &[0], says: &["tools", "1.0.0", "Enforce"] },
    Expected { part: "get networkpolicies", codes: &[0], says: &["bailiwick-"] },
    // Refused by the rule, with what is wrong and what helps.
    Expected {
        part: "privileged.yaml",
        codes: &[1],
        says: &["denied", "podSecurity", "meet Pod Security level"],
    },
    // Not by the floor, which knows no signatures.
    Expected { part: "app:unsigned", codes: &[1], says: &["tools@1.0.0", "images", "is not signed by"] },
    Expected { part: "app:signed", codes: &[0], says: &["/agents/app:signed@sha256:"] },
    Expected { part: "get sandboxpools", codes: &[0], says: &["tools", "warm", "PodUserNs", "Ready"] },
    Expected { part: "rm -rf /", codes: &[4], says: &["denied: no-rule"] },
    Expected { part: "audit verify", codes: &[0, 6], says: &["records"] },
];

/// Where the guide is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// On a node that runs pods.
    Node,
    /// On a control plane alone: operator and webhooks run beside it as the chart's accounts, and what only pods do is left out.
    ControlPlane,
}

/// The commands of a guide: its indented lines.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("    "))
}

/// Runs the guide and writes what is typed and what comes of it.
///
/// # Errors
/// The first command that does not do what it should; what it said is in the message.
pub fn run(ground: Ground, out: &mut dyn Write) -> Result<()> {
    let mut stage = Stage::set()?;
    let mut plane = (ground == Ground::ControlPlane).then(plane::Plane::default);
    let guide = std::fs::read_to_string(root().join("docs/guide/cluster.md")).context("the guide")?;
    for line in commands(&guide) {
        writeln!(out, "\n$ {line}")?;
        if line.contains("start-node.sh") {
            stage.cluster = Some(if plane.is_some() { Cluster::start_own()? } else { Cluster::with_node()? });
            let tended = stage.cluster.as_ref().map_or(Ok(false), Cluster::is_tended)?;
            ensure!(tended, "the guide needs a controller manager, which makes accounts and ends namespaces");
            stage.before = stage.everything()?;
            continue;
        }
        if line.starts_with("cargo build") || line.starts_with("dpkg ") {
            continue;
        }
        if let Some(path) = exported(line) {
            stage.path = path.replace("$PWD", &stage.folder.path().display().to_string());
            continue;
        }
        let told = match &mut plane {
            Some(plane) => plane.follow(&stage, line)?,
            None => stage.follow(line)?,
        };
        out.write_all(told.as_bytes())?;
    }
    stage.nothing_is_left()?;
    if let Some(plane) = plane {
        plane.everything_was_met()?;
    } else {
        stage.an_ordinary_pod_starts()?;
    }
    writeln!(out, "\nNothing of it is left, and pods start.")?;
    Ok(())
}

/// What a line puts before PATH for those that follow, each of which has a shell of its own here.
fn exported(line: &str) -> Option<&str> {
    line.strip_prefix("export PATH=\"")?.strip_suffix(":$PATH\"")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A folder of Go's.
fn go_keeps(name: &str) -> Result<String> {
    let output = Command::new("go").args(["env", name]).output().context("cannot run go")?;
    ensure!(output.status.success(), "go env {name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The folder in which the commands run.
struct Stage {
    folder: tempfile::TempDir,
    cluster: Option<Cluster>,
    /// What was put before PATH.
    path: String,
    before: BTreeSet<String>,
    /// Where Go keeps what it fetched and built.
    go: Vec<(&'static str, String)>,
}

impl Drop for Stage {
    /// The registry of a run that deviated; the node ends by itself.
    fn drop(&mut self) {
        if self.folder.path().join("registry/pid").is_file() {
            let _ = self.bash("conformance/registry/stop.sh registry");
        }
    }
}

impl Stage {
    fn set() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["charts", "conformance", "docs"] {
            std::os::unix::fs::symlink(root().canonicalize()?.join(name), folder.path().join(name))?;
        }
        let built = programs::find("bailiwick")?;
        std::fs::create_dir(folder.path().join("target"))?;
        let built = built.parent().context("a program without a folder")?;
        std::os::unix::fs::symlink(built, folder.path().join("target/release"))?;
        std::fs::create_dir(folder.path().join("bin"))?;
        helm::build(&folder.path().join("bin"))?;
        let go = ["GOCACHE", "GOMODCACHE"].into_iter().map(|name| Ok((name, go_keeps(name)?)));
        let go = go.collect::<Result<_>>()?;
        Ok(Self { folder, cluster: None, path: String::new(), before: BTreeSet::new(), go })
    }

    /// Runs a command until it does what it should, or for as long as patience lasts.
    fn follow(&self, line: &str) -> Result<String> {
        let expected = EXPECTED.iter().find(|expected| line.contains(expected.part));
        let (codes, says) = expected.map_or((&[0][..], &[][..]), |expected| (expected.codes, expected.says));
        let end = Instant::now() + PATIENCE;
        loop {
            let output = self.bash(line)?;
            let told = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            let ended = output.status.code().is_some_and(|code| codes.contains(&code));
            let missing = says.iter().find(|part| !told.contains(**part));
            if ended && missing.is_none() {
                return Ok(told);
            }
            let asks = ASKING.iter().any(|part| line.contains(part));
            if !asks || Instant::now() > end {
                let about = missing.map_or_else(String::new, |part| format!(", without `{part}`"));
                bail!("`{line}` ended with {}{about}: {told}{}", output.status, self.state());
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn bash(&self, line: &str) -> Result<Output> {
        // Helm is there; all else the guide itself must name.
        let mut path = format!("{}/bin", self.folder.path().display());
        if !self.path.is_empty() {
            path = format!("{}:{path}", self.path);
        }
        let mut command = Command::new("bash");
        if let Some(cluster) = &self.cluster {
            command.env("KUBECONFIG", cluster.kubeconfig());
            let programs = cluster.kubeconfig().parent().context("a file without a folder")?.join("bin");
            path = format!("{path}:{}", programs.display());
        }
        command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap_or_default()));
        // Helm keeps its caches below HOME; what Go built once it need not build again.
        command.env("HOME", self.folder.path()).envs(self.go.iter().map(|(name, value)| (name, value)));
        command.args(["-c", &format!("set -o pipefail; {line}")]).current_dir(self.folder.path());
        command.stdin(Stdio::null()).output().context("cannot run bash")
    }

    /// For the message of a failure: pods that do not run, and what was last said about them.
    fn state(&self) -> String {
        let look = "kubectl get pods -A; kubectl get events -A --sort-by=.lastTimestamp | tail -n 15; \
            kubectl logs -n bailiwick-system -l app.kubernetes.io/component=bailiwick-operator --tail=15; \
            kubectl logs -n bailiwick-system -l app.kubernetes.io/component=bailiwick-webhook --tail=15";
        self.bash(look).map_or_else(
            |_| String::new(),
            |output| {
                format!(
                    "\n{}{}",
                    String::from_utf8_lossy(&output.stdout),
                    String::from_utf8_lossy(&output.stderr)
                )
            },
        )
    }

    /// Names of all objects that outlive a moment, of every kind that can be listed.
    fn everything(&self) -> Result<BTreeSet<String>> {
        let list = "kubectl api-resources --verbs=list -o name | grep -vE '^(events|pods|replicasets|endpoints|endpointslices|componentstatuses|leases)($|[.])' \
            | paste -sd, | xargs -I{} kubectl get {} -A --no-headers --ignore-not-found -o custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name";
        let output = self.bash(list)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
    }

    /// After the uninstall: no object that was not there before.
    fn nothing_is_left(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left: Vec<String> = self.everything()?.difference(&self.before).cloned().collect();
            if left.is_empty() {
                break;
            }
            ensure!(Instant::now() < end, "left behind: {left:?}");
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Where agents were.
    fn an_ordinary_pod_starts(&self) -> Result<()> {
        let pod = "kubectl create namespace agents >/dev/null && kubectl label namespace agents bailiwick.dev/zone=agents >/dev/null && \
            kubectl create serviceaccount default -n agents >/dev/null 2>&1; \
            kubectl run ordinary -n agents --image=localhost/pause:test --restart=Never --privileged >/dev/null && \
            kubectl wait --for=condition=Ready pod/ordinary -n agents --timeout=60s";
        let output = self.bash(pod)?;
        ensure!(
            output.status.success(),
            "an ordinary pod does not start: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}
