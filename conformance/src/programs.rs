//! Programs that a test, the demo or a bench starts, and that end with the value that holds them ([`Running`]);
//! and the project's own, found next to the running program and run as a user runs them.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::patience::until;
use crate::{http, https};

/// The path of one of our programs: in the folder of the running one, or in the folder above, since cargo
/// puts tests one folder down.
///
/// # Errors
/// The program is not there; the message says how to build it.
pub fn find(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program has no path")?;
    own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file()).with_context(
        || format!("`{name}` is not beside {}; `cargo build --locked --workspace` builds it", own.display()),
    )
}

/// Copies a program, by another process. One that this process writes by itself is "busy" (ETXTBSY, execve(2)) as
/// long as a child that another thread has begun holds the descriptor, which it does until it executes its program.
///
/// # Errors
/// The program cannot be read, or its place not be written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("install").args(["-m", "755"]).args([from, to]).status()?;
    ensure!(status.success(), "install {} {}: {status}", from.display(), to.display());
    Ok(())
}

/// Makes a script executable at this place, as [`copy`] does.
///
/// # Errors
/// Its place cannot be written.
pub fn script(text: &str, to: &Path) -> Result<()> {
    let written = to.with_added_extension("written");
    std::fs::write(&written, text)?;
    copy(&written, to)?;
    Ok(std::fs::remove_file(written)?)
}

/// A program that this one started. It ends when the value is dropped, whatever happened to the test.
#[derive(Debug)]
pub struct Running {
    child: Child,
    ending: Ending,
    /// Kept open, so that later output does not meet a closed pipe.
    out: Option<BufReader<ChildStdout>>,
}

/// How a program is made to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// By a signal that it cannot refuse.
    Killed,
    /// By the end of its input, so that it ends with a killed test, too, and ends what it started itself.
    InputEnds,
}

impl Running {
    /// Starts a program that is killed in the end.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn start(command: &mut Command) -> Result<Self> {
        Self::spawn(command, Ending::Killed)
    }

    /// Starts a program that ends by itself when its input does.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn until_input_ends(command: &mut Command) -> Result<Self> {
        Self::spawn(command.stdin(Stdio::piped()), Ending::InputEnds)
    }

    fn spawn(command: &mut Command, ending: Ending) -> Result<Self> {
        let child =
            command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self { child, ending, out: None })
    }

    /// The next line of its standard output, which must be piped; empty if it wrote none before its end.
    ///
    /// # Errors
    /// Its output is not piped, or is not UTF-8.
    pub fn line(&mut self) -> Result<String> {
        if self.out.is_none() {
            self.out = self.child.stdout.take().map(BufReader::new);
        }
        let mut line = String::new();
        self.out.as_mut().context("its standard output is not piped")?.read_line(&mut line)?;
        Ok(line)
    }

    /// Its input and its output, which must be piped.
    ///
    /// # Errors
    /// They are not piped, or were taken before.
    pub fn pipes(&mut self) -> Result<(ChildStdin, BufReader<ChildStdout>)> {
        let input = self.child.stdin.take().context("its standard input is not piped")?;
        let output = self.child.stdout.take().context("its standard output is not piped")?;
        Ok((input, BufReader::new(output)))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by its name.
    ///
    /// # Errors
    /// `kill` cannot be run, or refuses.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status()?;
        ensure!(status.success(), "kill -{name} {}: {status}", self.id());
        Ok(())
    }

    /// Its status if it has ended.
    ///
    /// # Errors
    /// The status cannot be read.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end as a service manager would, and waits.
    ///
    /// # Errors
    /// It cannot be asked, or waiting for it failed.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        Ok(self.child.wait()?)
    }

    /// Ends it now, and waits; a program that has ended already is left alone.
    pub fn end(&mut self) {
        match self.ending {
            Ending::Killed => drop(self.child.kill()),
            Ending::InputEnds => drop(self.child.stdin.take()),
        }
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A webhook on loopback with a certificate of its own.
#[derive(Debug)]
pub struct Webhook {
    _running: Running,
    address: String,
    ca: PathBuf,
}

impl Webhook {
    /// Starts the webhook over `folder/bundles` and `folder/namespaces.yaml`, with `folder/registries.json`
    /// if there is one, and waits until it prints its address. Its log goes to `folder/webhook.log`, its
    /// certificate authority to `folder/ca.pem`.
    ///
    /// # Errors
    /// The program is not built or did not come up; the message holds its log.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = Command::new(find("bailiwick-webhook")?);
        Self::start_by(program, folder, &["--bundles", "bundles", "--namespaces", "namespaces.yaml"])
    }

    /// Starts the webhook over the bindings in a kubeconfig's cluster, and waits until it prints its address.
    /// It need not be ready then.
    ///
    /// # Errors
    /// As for [`Webhook::start`].
    pub fn of_cluster(folder: &Path, kubeconfig: &Path, more: &[&str]) -> Result<Self> {
        let mut program = Command::new(find("bailiwick-webhook")?);
        program.env("KUBECONFIG", kubeconfig);
        Self::start_by(program, folder, &[&["--cluster"], more].concat())
    }

    fn start_by(mut program: Command, folder: &Path, source: &[&str]) -> Result<Self> {
        program
            .arg("serve")
            .args(source)
            .args(["--listen", "127.0.0.1:0"])
            .args(["--self-signed", "--write-ca", "ca.pem"])
            .args(folder.join("registries.json").is_file().then_some("--registries=registries.json"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("webhook.log"))?);
        let mut running = Running::start(&mut program)?;
        let line = running.line()?;
        let Some((_, address)) = line.trim().split_once("listening on https://") else {
            bail!(
                "the webhook did not come up: {line}{}",
                std::fs::read_to_string(folder.join("webhook.log"))?
            );
        };
        Ok(Self { _running: running, address: address.to_owned(), ca: folder.join("ca.pem") })
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

    /// A new connection to the webhook.
    ///
    /// # Errors
    /// It does not answer.
    pub fn client(&self) -> Result<https::Client> {
        https::Client::connect(&self.address, https::trust(&self.ca)?)
    }
}

/// The executor's message when another one holds the machine's cgroup.
const TAKEN: &str = "the cgroup root `";

/// Runs a command of the executor that needs the machine's cgroup, and waits while another executor holds it.
///
/// # Errors
/// The program cannot be run, or the cgroup never becomes free.
pub fn with_the_cgroup(command: &mut Command) -> Result<Output> {
    until("the machine's cgroup is free", || match command.output() {
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains(TAKEN) => None,
        done => Some(done.with_context(|| format!("cannot run {}", command.get_program().display()))),
    })?
}

/// An executor with its sockets in a folder of its own.
#[derive(Debug)]
pub struct Executor {
    running: Running,
    folder: PathBuf,
}

impl Executor {
    /// Starts an executor over `folder/bundle.json`, its log in `folder/state`, and waits until it listens on
    /// `folder/call.sock`. Its diagnostics go to `folder/executor.log`.
    ///
    /// # Errors
    /// The programs are not built or it did not come up; the message holds its log.
    pub fn start(folder: &Path, more: &[&str]) -> Result<Self> {
        Self::start_by(Command::new(find("bailiwick-executor")?), folder, more)
    }

    /// Starts an executor through another command that ends by running it, as a tracer does.
    ///
    /// # Errors
    /// As for [`Executor::start`].
    pub fn start_by(mut command: Command, folder: &Path, more: &[&str]) -> Result<Self> {
        // The executor looks for the launcher next to itself; the message here says how to build it.
        find("bailiwick-launcher")?;
        command
            .args(["serve", "--bundle", "bundle.json", "--state", "state", "--socket", "call.sock"])
            .args(["--admin-socket", "admin.sock"])
            // An idle connection is closed after this time, and on a busy machine a caller may be late with
            // its next request.
            .args(if more.contains(&"--read-timeout-s") { &[][..] } else { &["--read-timeout-s", "120"] })
            .args(more)
            .current_dir(folder)
            .stdin(Stdio::null());
        // One executor at a time holds the machine's cgroup.
        until("the machine's cgroup is free", || match Self::spawn(&mut command, folder) {
            Err(error) if error.to_string().contains(TAKEN) => None,
            done => Some(done),
        })?
    }

    fn spawn(command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join("executor.log");
        let stderr = File::options().create(true).append(true).open(&log)?;
        let before = stderr.metadata()?.len();
        let mut running = Running::start(command.stdout(Stdio::piped()).stderr(stderr))?;
        let line = running.line()?;
        if !line.starts_with("listening on ") {
            let mut said = File::open(&log)?;
            said.seek(SeekFrom::Start(before))?;
            bail!("the executor did not come up: {line}{}", std::io::read_to_string(said)?);
        }
        Ok(Self { running, folder: folder.to_owned() })
    }

    /// A new connection to the call socket.
    ///
    /// # Errors
    /// The executor does not answer.
    pub fn client(&self) -> Result<http::Client<UnixStream>> {
        http::unix(&self.folder.join("call.sock"))
    }

    /// A new connection to the admin socket.
    ///
    /// # Errors
    /// The executor does not answer.
    pub fn admin(&self) -> Result<http::Client<UnixStream>> {
        http::unix(&self.folder.join("admin.sock"))
    }

    /// Its process id, or that of the command that runs it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Ends it as a service manager would, and waits.
    ///
    /// # Errors
    /// Waiting for it failed.
    pub fn terminate(mut self) -> Result<ExitStatus> {
        self.running.terminate()
    }

    /// How it ended by itself, if it has.
    ///
    /// # Errors
    /// Waiting for it failed.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.running.ended()
    }

    /// Kills it without warning, and waits.
    pub fn kill(mut self) {
        self.running.end();
    }
}

impl Executor {
    /// Kills the traced process, and lets the tracer record its end. A tracer that is killed itself lets the
    /// process live on and does not write out what it saw last. An executor that was started directly is the
    /// child itself; its own children end with it.
    fn end_traced(&mut self) {
        let id = self.running.id();
        let is_tracer =
            std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "strace");
        if !is_tracer {
            return;
        }
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", child]).status();
        }
        let _ = until("the tracer ends after what it traced", || self.running.ended().ok().flatten());
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.end_traced();
    }
}
