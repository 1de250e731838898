//! `docs/guide/cluster.md`, run word by word: the commands that a new owner of a cluster types, each with its
//! required outcome. `make cluster-demo` shows it, and a test checks it. Without a node, `plane` runs the
//! commands that need none.
//!
//! Everything runs in a temporary folder, and the node ends with the run. Four kinds of lines are not run as
//! they stand:
//!
//! - `cargo build --release …` and `make launcher` are left out: they take long, and whoever starts the run has
//!   built the programs already, which `target/release` of the temporary folder links to.
//! - `dpkg …`, which installs packages, is left out: `make setup-node` has, and a test installs nothing.
//! - The line with `start-node.sh` is replaced by `Cluster::with_node`, which runs the same script with a folder
//!   that is removed, and ends the node however the run ends.
//! - `export PATH=…` is kept for the lines after it, each of which has a shell of its own.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, anyhow, ensure};

use crate::cluster::Cluster;
use crate::patience::{until, until_ok};
use crate::{helm, programs};

mod plane;

/// The required outcome of a command that contains `part`.
struct Expected {
    part: &'static str,
    codes: &'static [i32],
    says: &'static [&'static str],
}

/// Commands that change nothing in the cluster, so that they may be repeated until they do what they should.
const ASKING: &[&str] = &["kubectl get", "tar -C /var/lib/bailiwick"];

/// The first match applies; a command without a match must succeed.
const EXPECTED: &[Expected] = &[
    Expected { part: "get policybindings,policypacks", codes: &[0], says: &["tools", "1.0.0", "Enforce"] },
    Expected { part: "get networkpolicies", codes: &[0], says: &["bailiwick-"] },
    // Denied by the rule, with the cause and a remedy.
    Expected { part: "privileged.yaml", codes: &[1], says: &["denied", "podSecurity"] },
    // Not denied by the floor, which cannot check signatures.
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
    /// On a control plane alone: operator and webhooks run next to it with the chart's accounts, and what
    /// only pods do is left out.
    ControlPlane,
}

/// The commands of a guide: its indented lines.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("    "))
}

/// Runs the guide, and writes each command and its output.
///
/// # Errors
/// The first command that does not do what it should; its output is in the message.
pub fn run(ground: Ground, out: &mut dyn Write) -> Result<()> {
    let mut stage = Stage::set()?;
    let mut plane = (ground == Ground::ControlPlane).then(plane::Plane::default);
    let guide = std::fs::read_to_string(root().join("docs/guide/cluster.md")).context("the guide")?;
    for line in commands(&guide) {
        writeln!(out, "\n$ {line}")?;
        if line.contains("start-node.sh") {
            stage.cluster = Some(if plane.is_some() { Cluster::start_own()? } else { Cluster::with_node()? });
            until("a controller manager, which makes accounts and ends namespaces", || {
                stage
                    .cluster
                    .as_ref()
                    .is_some_and(|cluster| cluster.is_tended().unwrap_or_default())
                    .then_some(())
            })?;
            stage.before = stage.everything()?;
            continue;
        }
        if ["cargo build", "make launcher", "dpkg "].iter().any(|start| line.starts_with(start)) {
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

/// The path that a line adds to PATH for the following lines, each of which has a shell of its own here.
fn exported(line: &str) -> Option<&str> {
    line.strip_prefix("export PATH=\"")?.strip_suffix(":$PATH\"")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One of Go's folders.
fn go_keeps(name: &str) -> Result<String> {
    let output = Command::new("go").args(["env", name]).output().context("cannot run go")?;
    ensure!(output.status.success(), "go env {name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The folder in which the commands run.
struct Stage {
    folder: tempfile::TempDir,
    cluster: Option<Cluster>,
    /// The additions to PATH.
    path: String,
    before: BTreeSet<String>,
    /// Where Go keeps its downloads and builds.
    go: Vec<(&'static str, String)>,
}

impl Drop for Stage {
    /// Stops the registry of a failed run; the node ends by itself.
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
        std::os::unix::fs::symlink(helm::program()?, folder.path().join("bin/helm"))?;
        let go = ["GOCACHE", "GOMODCACHE"].into_iter().map(|name| Ok((name, go_keeps(name)?)));
        let go = go.collect::<Result<_>>()?;
        Ok(Self { folder, cluster: None, path: String::new(), before: BTreeSet::new(), go })
    }

    /// Runs a command; one that changes nothing is repeated until it does what it should.
    fn follow(&self, line: &str) -> Result<String> {
        let asks = ASKING.iter().any(|part| line.contains(part));
        let done = if asks { until_ok(line, || self.once(line)) } else { self.once(line) };
        done.map_err(|error| anyhow!("{error:#}{}", self.state()))
    }

    /// Runs a command, which must do what it should.
    fn once(&self, line: &str) -> Result<String> {
        let expected = EXPECTED.iter().find(|expected| line.contains(expected.part));
        let (codes, says) = expected.map_or((&[0][..], &[][..]), |expected| (expected.codes, expected.says));
        let output = self.bash(line)?;
        let told =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let ended = output.status.code().is_some_and(|code| codes.contains(&code));
        let missing = says.iter().find(|part| !told.contains(**part));
        let about = missing.map_or_else(String::new, |part| format!(", without `{part}`"));
        ensure!(ended && missing.is_none(), "`{line}` ended with {}{about}: {told}", output.status);
        Ok(told)
    }

    fn bash(&self, line: &str) -> Result<Output> {
        // Helm is already installed; the guide itself must name everything else.
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
        // Helm keeps its caches below HOME; what Go has built need not be built again.
        command.env("HOME", self.folder.path()).envs(self.go.iter().map(|(name, value)| (name, value)));
        command.args(["-c", &format!("set -o pipefail; {line}")]).current_dir(self.folder.path());
        command.stdin(Stdio::null()).output().context("cannot run bash")
    }

    /// For the message of a failure: pods that do not run, and the last events about them.
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

    /// Names of all lasting objects, of every kind that can be listed.
    fn everything(&self) -> Result<BTreeSet<String>> {
        let list = "kubectl api-resources --verbs=list -o name | grep -vE '^(events|pods|replicasets|endpoints|endpointslices|componentstatuses|leases)($|[.])' \
            | paste -sd, | xargs -I{} kubectl get {} -A --no-headers --ignore-not-found -o custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name";
        let output = self.bash(list)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
    }

    /// After the uninstall: no object that did not exist before.
    fn nothing_is_left(&self) -> Result<()> {
        until_ok("nothing is left behind", || {
            let left: Vec<String> = self.everything()?.difference(&self.before).cloned().collect();
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
    }

    /// In the namespace where agents were.
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
