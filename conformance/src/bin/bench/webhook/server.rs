//! The measured servers, each pinned to one core, and the load generator, pinned to another.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use bailiwick_conformance::programs::Running;

use super::load::{Plan, Seen, VALIDATE};

const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";

/// A running server.
pub(crate) struct Server {
    running: Running,
    pub(crate) address: String,
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
        let mut running = Running::start(command.stdout(Stdio::piped())).context("is `taskset` there?")?;
        let line = running.line()?;
        let address =
            line.trim().strip_prefix("listening on https://").context("the server did not start")?.to_owned();
        Ok(Self { running, address })
    }

    /// Memory in use in MB, as the kernel counts it (`VmRSS`).
    pub(crate) fn rss_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.id()))?;
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
            server: self.running.id(),
        };
        run(&plan, pinned(LOAD_CORE, &std::env::current_exe()?))
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
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
