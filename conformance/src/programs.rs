//! The project's own programs, run as a person runs them: found beside whatever asks, and ended with the value that holds them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::https;

/// The path of one of our programs: in the folder of the running one, or in the one above, where cargo puts tests.
///
/// # Errors
/// It is not there; the message says how to build it.
pub fn find(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program has no path")?;
    own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file()).with_context(
        || format!("`{name}` is not beside {}; `cargo build --locked --workspace` builds it", own.display()),
    )
}

/// A webhook on loopback with a certificate of its own.
#[derive(Debug)]
pub struct Webhook {
    child: Child,
    address: String,
    ca: PathBuf,
}

impl Webhook {
    /// Starts the webhook over `folder/bundles` and `folder/namespaces.yaml`, and waits until it says where it listens. Its log
    /// goes to `folder/webhook.log`, its certificate authority to `folder/ca.pem`.
    ///
    /// # Errors
    /// The program is not built or did not come up; the message holds its log.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = find("bailiwick-webhook")?;
        let mut child = Command::new(&program)
            .args([
                "serve",
                "--bundles",
                "bundles",
                "--namespaces",
                "namespaces.yaml",
                "--listen",
                "127.0.0.1:0",
            ])
            .args(["--self-signed", "--write-ca", "ca.pem"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("webhook.log"))?)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let out = child.stdout.take().context("the webhook has no standard output")?;
        let mut webhook = Self { child, address: String::new(), ca: folder.join("ca.pem") };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let Some((_, address)) = line.trim().split_once("listening on https://") else {
            bail!(
                "the webhook did not come up: {line}{}",
                std::fs::read_to_string(folder.join("webhook.log"))?
            );
        };
        webhook.address = address.to_owned();
        Ok(webhook)
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The PEM file of its certificate authority.
    #[must_use]
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// A new connection to it.
    ///
    /// # Errors
    /// It does not answer.
    pub fn client(&self) -> Result<https::Client> {
        https::Client::connect(&self.address, https::trust(&self.ca)?)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
