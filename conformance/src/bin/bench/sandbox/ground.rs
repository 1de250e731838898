//! The candidates and what they need: the compiled policy, its sandboxes on this machine, the same sandbox
//! under nsjail, and a program without any sandbox.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bailiwick_conformance::{nsjail, programs};
use bailiwick_executor::confine;
use bailiwick_executor::host::Host;
use bailiwick_policy::bundle;
use bailiwick_sys::drain::{CallLimits, Completed, Excess, complete};
use bailiwick_sys::keeper::{Keeper, Workspace};
use bailiwick_sys::outcome::Outcome;
use bailiwick_sys::{Build, Identity, Launcher, Parked, Request};

use crate::report::directory;

const PACK: &str = include_str!("pack.yaml");

/// What every candidate runs.
pub(super) const PROGRAM: &str = "/bin/true";

/// The limits that the executor enforces from outside; no run comes near them.
pub(super) const LIMITS: CallLimits = CallLimits {
    wall: Duration::from_secs(20),
    cpu: Some(Duration::from_secs(10)),
    output_bytes: 64 << 10,
    excess: Excess::Kill,
};

/// One kind of sandbox of the policy, with what its builds need.
pub(super) struct Kind {
    launcher: Launcher,
    identity: Arc<Identity>,
    workspace: Option<Workspace>,
}

impl Kind {
    /// Builds a sandbox of this kind.
    pub(super) fn build(&self) -> anyhow::Result<Parked> {
        let build = Build { identity: Arc::clone(&self.identity), workspace: self.workspace.as_ref() };
        self.launcher.build(&build).context("no sandbox")
    }
}

pub(super) struct Ground {
    folder: tempfile::TempDir,
    pub(super) host: Host,
    nsjail: Option<PathBuf>,
    _groups: nsjail::Groups,
}

impl Ground {
    /// Compiles the pack and probes the machine.
    pub(super) fn new() -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory())?;
        let folder = tempfile::tempdir_in(directory())?;
        compile(folder.path())?;
        let group = format!("bailiwick-bench-{}", std::process::id());
        let host = Host::with(programs::find("bailiwick-launcher")?, &group)?;
        Ok(Self { folder, host, nsjail: nsjail(), _groups: nsjail::Groups::make()? })
    }

    /// A sandbox of the policy, with a session's workspace if it has a place for one.
    pub(super) fn kind(&self, name: &str) -> anyhow::Result<Kind> {
        let policy = bundle::load(&std::fs::read(self.folder.path().join("bundle.json"))?)?.policy;
        let sandbox = policy.sandboxes.iter().find(|sandbox| sandbox.name == name).context("no sandbox")?;
        let profile = confine::profile(sandbox, &self.host)?;
        let launcher = Launcher::spawn(self.host.sys(), &profile)?;
        let identity = self.host.sys().identity().context("no id")?;
        let workspace = match &sandbox.filesystem.workspace {
            Some(rule) => {
                Some(Keeper::spawn(self.host.sys())?.create(&identity, rule.size_bytes, rule.inodes)?)
            }
            None => None,
        };
        Ok(Kind { launcher, identity, workspace })
    }

    /// The program under nsjail with the compiled configuration; `None` without nsjail.
    pub(super) fn under_nsjail(&self) -> Option<Command> {
        let mut command = Command::new(self.nsjail.as_ref()?);
        command.arg("--config").arg(self.folder.path().join("plain.cfg"));
        command.args(["--quiet", "--experimental_mnt", "new", "--", PROGRAM]);
        Some(command)
    }
}

/// The nsjail program in the Python package that contains it: the package installs a script into `bin`, and
/// starting Python takes longer than any sandbox.
fn nsjail() -> Option<PathBuf> {
    let libraries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/nsjail/lib");
    let mut versions = std::fs::read_dir(libraries).ok()?.filter_map(Result::ok);
    versions.find_map(|python| {
        let program = python.path().join("site-packages/nsjail/bin/nsjail");
        program.is_file().then_some(program)
    })
}

/// Compiles the pack into `bundle.json` and `plain.cfg` of a folder.
pub(super) fn compile(folder: &Path) -> anyhow::Result<()> {
    std::fs::write(folder.join("pack.yaml"), PACK)?;
    let output = Command::new(programs::find("bailiwick")?)
        .args(["compile", "pack.yaml", "--out", "dist"])
        .current_dir(folder)
        .output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cell = std::fs::read_dir(folder.join("dist"))?.next().context("nothing was compiled")??.path();
    std::fs::copy(cell.join("bundle.json"), folder.join("bundle.json"))?;
    std::fs::copy(cell.join("nsjail/plain.cfg"), folder.join("plain.cfg"))?;
    Ok(())
}

/// Starts a program without a sandbox, its output through a pipe, and waits for it: the baseline for the cost
/// of a sandbox.
pub(super) fn unsandboxed() -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut child = Command::new(PROGRAM).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut out = Vec::new();
    child.stdout.take().context("no pipe")?.read_to_end(&mut out)?;
    let status = child.wait()?;
    let taken = begun.elapsed();
    anyhow::ensure!(status.success());
    Ok(taken)
}

/// Runs a command by the standard library, with all streams captured.
pub(super) fn output(command: &mut Command) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let output = command.output()?;
    let taken = begun.elapsed();
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(taken)
}

/// Runs the program in an existing sandbox, to its recorded end.
pub(super) fn run_in(parked: Parked) -> anyhow::Result<Completed> {
    let request =
        Request { program: PROGRAM.into(), arguments: vec![PROGRAM.to_owned()], ..Request::default() };
    let completed = complete(parked.run(&request)?, b"", &LIMITS);
    anyhow::ensure!(completed.exit.outcome == (Outcome::Exited { code: 0 }), "{:?}", completed.exit);
    Ok(completed)
}
