//! The measured servers, each pinned to one core, and the load generator, pinned to another.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::Context as _;

use super::load::{Plan, Seen, VALIDATE};

const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Kept open, so that later output of the server does not meet a closed pipe.
    _out: BufReader<ChildStdout>,
    pub(crate) address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command pinned to a core. With `BENCH_FIFO=1` (root), the measured processes take priority over
/// everything else on a busy machine.
fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]);
    if std::env::var_os("BENCH_FIFO").is_some() {
        command.args(["chrt", "--fifo", "1"]);
    }
    command.arg(program);
    command
}

impl Server {
    /// `bailiwick-webhook` over a folder that holds `bundles` and `namespaces.yaml`.
    pub(crate) fn webhook(folder: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?.with_file_name("bailiwick-webhook");
        let mut command = pinned(SERVER_CORE, &program);
        command.args(["serve", "--self-signed", "--listen", "127.0.0.1:0", "--log", "warn", "--bundles"]);
        command.arg(folder.join("bundles")).arg("--namespaces").arg(folder.join("namespaces.yaml"));
        command.arg("--write-ca").arg(folder.join("ca.pem"));
        Self::start(command)
    }

    /// The webhook that does nothing; its certificate is written to a file.
    pub(crate) fn null(certificate: &Path) -> anyhow::Result<Self> {
        let mut command = pinned(SERVER_CORE, &std::env::current_exe()?);
        command.arg("null-webhook").arg(certificate);
        Self::start(command)
    }

    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child =
            command.stdout(Stdio::piped()).spawn().context("cannot start a server; is `taskset` there?")?;
        let mut out = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let address =
            line.trim().strip_prefix("listening on https://").context("the server did not start")?.to_owned();
        Ok(Self { child, _out: out, address })
    }

    /// Memory in use in MB, as the kernel counts it (`VmRSS`).
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kb = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(kb.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// Sends reviews to this server.
    pub(crate) fn load(&self, body: &Path, clients: usize, rate: f64, seconds: f64) -> anyhow::Result<Seen> {
        let plan = Plan {
            address: self.address.clone(),
            path: VALIDATE.to_owned(),
            authorization: None,
            body: body.to_owned(),
            clients,
            warm_up_s: 0.5,
            seconds,
            rate,
            server: self.child.id(),
        };
        run(&plan, pinned(LOAD_CORE, &std::env::current_exe()?))
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

/// Runs the load generator, which must have received an answer to every request.
pub(crate) fn run(plan: &Plan, mut generator: Command) -> anyhow::Result<Seen> {
    let output = generator.arg("load").arg(serde_json::to_string(plan)?).stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "the load generator failed");
    let seen: Seen = serde_json::from_slice(&output.stdout)?;
    anyhow::ensure!(
        seen.failed == 0 && !seen.nanos.is_empty(),
        "{} of {} requests failed",
        seen.failed,
        seen.nanos.len()
    );
    Ok(seen)
}
