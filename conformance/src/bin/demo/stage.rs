//! The demo's environment: a temporary folder with a copy of the packs, the programs next to the running one,
//! and a webhook and an executor that end with the demo.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bailiwick_conformance::programs::{self, Executor, Webhook};
use bailiwick_conformance::{http, https};

/// The folder, the programs, and the webhook and the executor once they run.
pub(crate) struct Stage {
    folder: PathBuf,
    webhook: Option<Webhook>,
    executor: Option<Executor>,
}

impl Stage {
    /// Makes the folder and copies the packs into it, so that the demo can change one.
    pub(crate) fn set() -> Result<Self> {
        let stamp = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|since| since.subsec_nanos())
            .unwrap_or_default();
        let folder = std::env::temp_dir().join(format!("bailiwick-demo-{}-{stamp}", std::process::id()));
        std::fs::create_dir(&folder).context("cannot make a temporary folder")?;
        let stage = Self { folder, webhook: None, executor: None };
        let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-packs");
        for pack in ["restricted-agent", "code-interpreter"] {
            let to = stage.path("packs").join(pack);
            std::fs::create_dir_all(&to)?;
            for file in ["pack.yaml", "pack.lock"] {
                let from = packs.join(pack).join(file);
                if from.exists() {
                    std::fs::copy(&from, to.join(file))
                        .with_context(|| format!("cannot copy {}", from.display()))?;
                }
            }
        }
        Ok(stage)
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Runs `bailiwick` in the folder, so that its output has no path of this machine.
    pub(crate) fn bailiwick(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(programs::find("bailiwick")?);
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        command.output().context("cannot run bailiwick")
    }

    /// Runs a command of `bailiwick-executor` in the folder.
    pub(crate) fn executor_says(&self, args: &[&str]) -> Result<Output> {
        let mut command = Command::new(programs::find("bailiwick-executor")?);
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        programs::with_the_cgroup(&mut command)
    }

    /// Starts the executor over the folder. Its log is sealed when it ends, so that the verifier can call it
    /// intact.
    pub(crate) fn start_executor(&mut self) -> Result<()> {
        self.executor = Some(Executor::start(&self.folder, &["--subject", "subject.json", "--seal"])?);
        Ok(())
    }

    /// A client of the executor.
    pub(crate) fn call_socket(&self) -> Result<http::Client<UnixStream>> {
        self.executor.as_ref().context("the executor does not run")?.client()
    }

    /// Ends the executor; returns the key of its log, as printed at its start.
    pub(crate) fn end_executor(&mut self) -> Result<String> {
        let ended = self.executor.take().context("the executor does not run")?.terminate()?;
        let said = std::fs::read_to_string(self.path("executor.log"))?;
        ensure!(ended.success(), "the executor ended with {ended}: {said}");
        let key = said.split("log_key=\"").nth(1).and_then(|rest| rest.split('"').next());
        Ok(key.context("the executor did not say its log's key")?.to_owned())
    }

    /// Starts the webhook over the folder.
    pub(crate) fn start_webhook(&mut self) -> Result<()> {
        self.webhook = Some(Webhook::start(&self.folder)?);
        Ok(())
    }

    /// A client of the webhook.
    pub(crate) fn client(&self) -> Result<https::Client> {
        self.webhook.as_ref().context("the webhook does not run")?.client()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.webhook.take());
        if let Some(executor) = self.executor.take() {
            // When it ends in an orderly way, it removes its sandboxes and their cgroups.
            let _ = executor.terminate();
        }
        // The webhook may have been writing when it was ended.
        if std::fs::remove_dir_all(&self.folder).is_err() {
            std::thread::sleep(Duration::from_millis(100));
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
