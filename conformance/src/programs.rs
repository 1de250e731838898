//! The project's own programs, run as a person runs them: found beside whatever asks, and ended with the value that holds them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{http, https};

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
        let program = Command::new(find("bailiwick-webhook")?);
        Self::start_by(program, folder, &["--bundles", "bundles", "--namespaces", "namespaces.yaml"])
    }

    /// Starts the webhook over what is bound in the cluster of a kubeconfig, and waits until it says where it listens. It need not be ready
    /// then.
    ///
    /// # Errors
    /// As [`Webhook::start`].
    pub fn of_cluster(folder: &Path, kubeconfig: &Path, more: &[&str]) -> Result<Self> {
        let mut program = Command::new(find("bailiwick-webhook")?);
        program.env("KUBECONFIG", kubeconfig);
        Self::start_by(program, folder, &[&["--cluster"], more].concat())
    }

    fn start_by(mut program: Command, folder: &Path, source: &[&str]) -> Result<Self> {
        let mut child = program
            .arg("serve")
            .args(source)
            .args(["--listen", "127.0.0.1:0"])
            .args(["--self-signed", "--write-ca", "ca.pem"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("webhook.log"))?)
            .spawn()
            .context("cannot run the webhook")?;
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

/// An executor with its sockets in a folder of its own.
#[derive(Debug)]
pub struct Executor {
    child: Child,
    folder: PathBuf,
}

impl Executor {
    /// Starts an executor over `folder/bundle.json`, its log in `folder/state`, and waits until it listens on `folder/call.sock`. Its diagnostics
    /// go to `folder/executor.log`.
    ///
    /// # Errors
    /// The programs are not built or it did not come up; the message holds its log.
    pub fn start(folder: &Path, more: &[&str]) -> Result<Self> {
        Self::start_by(Command::new(find("bailiwick-executor")?), folder, more)
    }

    /// The same by another command that ends in running the executor, as a tracer does.
    ///
    /// # Errors
    /// As [`Executor::start`].
    pub fn start_by(mut command: Command, folder: &Path, more: &[&str]) -> Result<Self> {
        // The launcher is looked for beside the executor; better to say here how to build it.
        find("bailiwick-launcher")?;
        let mut child = command
            .args(["serve", "--bundle", "bundle.json", "--state", "state", "--socket", "call.sock"])
            .args(["--admin-socket", "admin.sock"])
            .args(more)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(folder.join("executor.log"))?)
            .spawn()
            .context("cannot run the executor")?;
        let out = child.stdout.take().context("the executor has no standard output")?;
        let executor = Self { child, folder: folder.to_owned() };
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        if !line.starts_with("listening on ") {
            let log = std::fs::read_to_string(folder.join("executor.log"))?;
            bail!("the executor did not come up: {line}{log}");
        }
        Ok(executor)
    }

    /// A new connection to the call socket.
    ///
    /// # Errors
    /// It does not answer.
    pub fn client(&self) -> Result<http::Client<UnixStream>> {
        http::unix(&self.folder.join("call.sock"))
    }

    /// A new connection to the admin socket.
    ///
    /// # Errors
    /// It does not answer.
    pub fn admin(&self) -> Result<http::Client<UnixStream>> {
        http::unix(&self.folder.join("admin.sock"))
    }

    /// Its process, or that of the command that runs it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a service manager would, and waits.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn terminate(mut self) -> Result<std::process::ExitStatus> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        Ok(self.child.wait()?)
    }

    /// Kills it without warning, and waits.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Executor {
    /// Kills what the command started, as a tracer started the executor: a tracer that is killed lets it live on.
    fn kill_children(&self) {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        // An executor that was started directly is the child itself; its own children go with it.
        let is_tracer =
            std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "strace");
        for child in children.split_whitespace().filter(|_| is_tracer) {
            let _ = Command::new("kill").args(["-KILL", child]).status();
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.kill_children();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
