//! The guide without running pods, so that CI checks its text, too: against a real API server, with the
//! operator and two webhooks as processes that have the chart's own accounts and rights.
//!
//! A command without a row here is run unchanged: a command that is added to the guide is therefore tested,
//! or a row here says why it cannot be.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, anyhow, ensure};

use super::Stage;
use crate::cluster::SYSTEM;
use crate::patience::until_ok;
use crate::programs::{self, Running};

/// What replaces a command that contains a text.
#[derive(Clone, Copy)]
enum Instead {
    /// Not run: it needs running pods, or files on their node.
    Left,
    /// Run with these words in place of the guide's.
    Words(&'static [(&'static str, &'static str)]),
    /// Run, and then the chart's programs are started.
    Started,
    /// The programs are ended first.
    Ended,
}

/// The first match applies.
const TABLE: &[(&str, Instead)] = &[
    // Three archives of programs that are never started: only their names are used.
    (
        "charts/image/build.py",
        Instead::Words(&[(
            "charts/image/build.py --binaries target/release --out images > images.txt",
            "for name in operator webhook executor; do echo $name localhost/$name@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef; done > images.txt",
        )]),
    ),
    ("ctr images import", Instead::Left),
    ("helm install", Instead::Started),
    (
        "docs/guide/cluster/agent.yaml | kubectl apply",
        Instead::Words(&[("kubectl apply -f -", "kubectl apply --dry-run=server -f -")]),
    ),
    ("wait --for=condition=Ready pod/agent", Instead::Left),
    // Its pods wait for a node, but everything is compiled and created for it.
    ("wait --for=condition=Ready sandboxpool", Instead::Words(&[("condition=Ready", "condition=Compiled")])),
    (
        "get sandboxpools",
        Instead::Words(&[(
            "kubectl get sandboxpools --namespace",
            "kubectl get deployment/bailiwick-pool-tools --namespace",
        )]),
    ),
    ("kubectl exec", Instead::Left),
    ("mkdir state", Instead::Left),
    ("audit verify", Instead::Left),
    ("helm uninstall", Instead::Ended),
];

/// The programs of the chart, and the rows that were used.
#[derive(Default)]
pub(super) struct Plane {
    running: Vec<Running>,
    met: Vec<&'static str>,
}

impl Plane {
    /// Runs a command of the guide, or its replacement.
    pub(super) fn follow(&mut self, stage: &Stage, line: &str) -> Result<String> {
        let Some((part, instead)) = TABLE.iter().find(|(part, _)| line.contains(part)) else {
            return stage.follow(line);
        };
        self.met.push(part);
        match instead {
            Instead::Left => Ok("(left out: no pod runs here)\n".to_owned()),
            Instead::Words(words) => {
                let changed = words.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to));
                ensure!(changed != line, "`{line}` has none of the words that cannot be followed here");
                stage.follow(&changed)
            }
            Instead::Started => {
                // Its pods have no node, so nothing would become ready.
                let told = stage.follow(&line.replace(" --wait --timeout 10m", ""))?;
                self.start(stage)?;
                Ok(told)
            }
            Instead::Ended => {
                // The hook is a pod; a test on a node shows what it does. Without it, deleting all bindings
                // also leaves nothing behind.
                stage.follow("kubectl delete policybindings --all")?;
                until(stage, PRUNED)?;
                self.running.clear();
                stage.follow(UNREGISTERED)?;
                stage.follow(&line.replace(" --wait --timeout 10m", " --no-hooks"))
            }
        }
    }

    /// Fails if a row replaces a command that the guide no longer has.
    pub(super) fn everything_was_met(&self) -> Result<()> {
        for (part, _) in TABLE {
            ensure!(self.met.contains(part), "the guide has no command with `{part}`");
        }
        Ok(())
    }

    /// One operator and two webhooks, with the accounts that the chart gave them.
    fn start(&mut self, stage: &Stage) -> Result<()> {
        let folder = stage.folder.path();
        // Held until the webhooks start, so that neither port is given to another program meanwhile.
        let held = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [a, b] = &held;
        let replicas = [a.local_addr()?.to_string(), b.local_addr()?.to_string()];
        let kubeconfig = account(stage, "bailiwick-operator")?;
        let url = format!("https://{}", replicas[0]);
        let mut operator = Command::new(programs::find("bailiwick-operator")?);
        operator.args(["serve", "--listen", "127.0.0.1:0", "--namespace", SYSTEM, "--lease-duration", "15"]);
        operator.args(["--webhook-url", &url, "--webhook-name", "127.0.0.1", "--kubeconfig"]).arg(kubeconfig);
        operator.args(replicas.iter().flat_map(|replica| ["--webhook-replica", replica]));
        self.run(operator, folder, "operator")?;
        for member in ["tls.crt", "tls.key"] {
            let line = format!(
                "kubectl get secret bailiwick-webhook-tls -n {SYSTEM} -o 'jsonpath={{.data.{}}}' | base64 -d > {member}.new && [ -s {member}.new ] && mv {member}.new {member}",
                member.replace('.', "\\.")
            );
            until(stage, &line)?;
        }
        let kubeconfig = account(stage, "bailiwick-webhook")?;
        drop(held);
        for (index, replica) in replicas.iter().enumerate() {
            let mut webhook = Command::new(programs::find("bailiwick-webhook")?);
            webhook.args([
                "serve",
                "--cluster",
                "--policy-namespace",
                SYSTEM,
                "--registries",
                "registry/registries.json",
            ]);
            webhook.args(["--tls-cert", "tls.crt", "--tls-key", "tls.key", "--listen", replica]);
            webhook.env("KUBECONFIG", &kubeconfig);
            self.run(webhook, folder, &format!("webhook-{index}"))?;
        }
        Ok(())
    }

    fn run(&mut self, mut command: Command, folder: &Path, name: &str) -> Result<()> {
        let log = File::create(folder.join(format!("{name}.log")))?;
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.running.push(Running::start(&mut command)?);
        Ok(())
    }
}

/// Whether the operator removed what it wrote for bindings.
const PRUNED: &str = "[ -z \"$(kubectl get networkpolicies,validatingadmissionpolicies,validatingadmissionpolicybindings,runtimeclasses \
    --all-namespaces -l bailiwick.dev/operator -o name)\" ]";

/// As in `docs/operations/emergency.md`.
const UNREGISTERED: &str = "kubectl delete mutatingwebhookconfigurations,validatingwebhookconfigurations --selector bailiwick.dev/operator";

/// A kubeconfig for one of the chart's ServiceAccounts.
fn account(stage: &Stage, name: &str) -> Result<PathBuf> {
    let file = stage.folder.path().join(format!("{name}.kubeconfig"));
    let line = format!(
        "token=$(kubectl create token {name} -n {SYSTEM}) && cp \"$KUBECONFIG\" {file} && \
         kubectl config --kubeconfig {file} set-credentials account --token \"$token\" >/dev/null && \
         kubectl config --kubeconfig {file} set-context --current --user account >/dev/null",
        file = file.display()
    );
    until(stage, &line)?;
    Ok(file)
}

fn until(stage: &Stage, line: &str) -> Result<()> {
    let done = until_ok(line, || {
        let output = stage.bash(line)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    });
    done.map_err(|error| anyhow!("{error:#}{}", stage.state()))
}
