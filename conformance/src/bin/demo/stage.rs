//! What the demo stands on: a temporary folder with a copy of the packs, the programs beside our own, a webhook that ends with us.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bailiwick_conformance::https;
use bailiwick_conformance::programs::{self, Webhook};

/// The folder, the programs and the webhook once it runs.
pub(crate) struct Stage {
    folder: PathBuf,
    webhook: Option<Webhook>,
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
        let stage = Self { folder, webhook: None };
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

    /// Runs `bailiwick` in the folder, so that what it prints names no path of this machine.
    pub(crate) fn bailiwick(&self, args: &[&str]) -> Result<Output> {
        let program = programs::find("bailiwick")?;
        let output =
            Command::new(&program).args(args).current_dir(&self.folder).stdin(Stdio::null()).output();
        output.with_context(|| format!("cannot run {}", program.display()))
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
        // The webhook may have been writing as it was ended.
        if std::fs::remove_dir_all(&self.folder).is_err() {
            std::thread::sleep(Duration::from_millis(100));
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
