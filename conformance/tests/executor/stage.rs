//! A folder with a compiled pack and an executor that serves it.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailiwick_conformance::http::{Answer, Client};
use bailiwick_conformance::programs::{self, Executor};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// One executor at a time holds the machine's cgroup.
static ONE: Mutex<()> = Mutex::new(());

/// Whether sandboxes are limited as a whole here, as the packs' exact limits require. Reported if not: an
/// ordinary user usually has no cgroup, and the tests then use the limits that are available.
pub(crate) fn limits_are_exact(what: &str) -> bool {
    if !is_root() {
        eprintln!("SKIPPED: {what}: an ordinary user has no cgroup; run the test as root");
    }
    is_root()
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The pack of these tests.
pub(crate) fn own_pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/executor/pack.yaml")
}

/// A shipped pack.
pub(crate) fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-packs").join(name)
}

/// Limits that an ordinary user without a cgroup can enforce.
const AT_LEAST: &str = "atLeast: {memory: Rlimit, processes: Rlimit, cpus: BestEffort, cpuTime: Rlimit}";

/// The folder is removed when dropped.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Stage {
    /// Compiles a pack into `bundle.json`.
    pub(crate) fn new(pack: &Path) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let stage = Self { folder: tempfile::tempdir().expect("a temporary folder"), _one: one };
        let mut pack = pack.to_owned();
        if pack.is_file() && !limits_are_exact("limits of sandboxes as a whole") {
            pack = stage.weaker(&pack);
        }
        stage.compile(&pack, "dist", "bundle.json");
        stage
    }

    /// A copy of a pack with the limits that an ordinary user can have.
    pub(crate) fn weaker(&self, pack: &Path) -> PathBuf {
        let (text, copy) = (std::fs::read_to_string(pack).expect("the pack"), self.path().join("pack.yaml"));
        let weaker = text.replace("    limits: ", &format!("    {AT_LEAST}\n    limits: "));
        std::fs::write(&copy, weaker).expect("the weaker pack");
        copy
    }

    /// Compiles a pack into a folder of its own, and gives its bundle this name.
    pub(crate) fn compile(&self, pack: &Path, out: &str, bundle: &str) {
        let output = self.bailiwick(&["compile", pack.to_str().expect("UTF-8"), "--out", out]);
        assert!(output.status.success(), "{}", said(&output));
        let cells = std::fs::read_dir(self.path().join(out)).expect("the folder");
        let cell = cells.map(|cell| cell.expect("a cell").path()).next().expect("a cell");
        std::fs::copy(cell.join("bundle.json"), self.path().join(bundle)).expect("the bundle");
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the executor.
    pub(crate) fn start(&self, more: &[&str]) -> Executor {
        Executor::start(self.path(), more).expect("the executor comes up")
    }

    /// Runs `bailiwick` in the folder.
    pub(crate) fn bailiwick(&self, args: &[&str]) -> Output {
        self.command("bailiwick", args).output().expect("it runs")
    }

    /// Runs `bailiwick-executor` in the folder, once no other executor holds the machine's cgroup.
    pub(crate) fn executor(&self, args: &[&str]) -> Output {
        programs::with_the_cgroup(&mut self.command("bailiwick-executor", args)).expect("it runs")
    }

    /// One of our programs with these arguments.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(programs::find(program).expect("the program is built"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// The records of the log, in order.
    pub(crate) fn records(&self) -> Vec<Value> {
        let mut segments: Vec<PathBuf> = std::fs::read_dir(self.path().join("state/segments"))
            .expect("segments")
            .map(|entry| entry.expect("a segment").path())
            .collect();
        segments.sort();
        let mut records = Vec::new();
        for segment in segments {
            let bytes = std::fs::read(segment).expect("a segment");
            let text = String::from_utf8_lossy(&bytes);
            records.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
        }
        records
    }

    /// The exit code and the output of `bailiwick audit verify`.
    pub(crate) fn verify(&self) -> (Option<i32>, String) {
        let output = self.bailiwick(&["audit", "verify", "state"]);
        (output.status.code(), said(&output))
    }
}

/// Both streams of a program.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A caller with a session.
pub(crate) struct Caller {
    pub(crate) client: Client<UnixStream>,
    pub(crate) session: String,
}

impl Caller {
    pub(crate) fn new(executor: &Executor) -> Self {
        let mut client = executor.client().expect("a connection");
        let answer = client.post("/v1/sessions", b"").expect("an answer");
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let session = value(&answer)["id"].as_str().expect("an id").to_owned();
        Self { client, session }
    }

    /// Calls a tool; returns status and body.
    pub(crate) fn call(&mut self, tool: &str, args: Value) -> (u16, Value) {
        self.send(json!({ "tool": tool, "args": args }), "")
    }

    /// Starts a call and reads its events while it runs; returns it once it is recorded and the server knows
    /// it.
    pub(crate) fn start(&self, executor: &Executor, tool: &str, args: Value) -> Running {
        let calls = format!("/v1/sessions/{}/calls", self.session);
        let body = json!({ "tool": tool, "args": args }).to_string();
        let mut client = executor.client().expect("a connection");
        let headers = [("content-type", "application/json")];
        let answer = client.begin("POST", &format!("{calls}?stream=true"), &headers, body.as_bytes());
        assert_eq!(answer.expect("an answer").status, 200);
        let mut running = Running { client, path: String::new(), unread: Vec::new() };
        let decision = running.event().expect("the connection holds").expect("the decision");
        running.path = format!("{calls}/{}", decision["id"].as_str().expect("an id"));
        running
    }

    /// Sends the body of a call.
    pub(crate) fn send(&mut self, body: Value, query: &str) -> (u16, Value) {
        let path = format!("/v1/sessions/{}/calls{query}", self.session);
        let answer = self.client.post(&path, body.to_string().as_bytes()).expect("an answer");
        (answer.status, value(&answer))
    }

    /// Runs a command line; returns the call.
    pub(crate) fn shell(&mut self, command: &str) -> Value {
        let (status, call) = self.call("shell.exec", json!({ "command": command }));
        assert_eq!(status, 200, "{call}");
        call
    }
}

/// A running call, and the stream of its events.
pub(crate) struct Running {
    client: Client<UnixStream>,
    /// The path at which it is polled.
    pub(crate) path: String,
    unread: Vec<u8>,
}

impl Running {
    /// The next event, `None` after the last.
    pub(crate) fn event(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            let Some(chunk) = self.client.chunk()? else { return Ok(None) };
            self.unread.extend(chunk);
        }
    }

    /// Every event to the end.
    pub(crate) fn rest(mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.event().expect("the connection holds")).collect()
    }
}

/// The body as JSON.
pub(crate) fn value(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answer.body)))
}

/// What a call printed.
pub(crate) fn stdout(call: &Value) -> String {
    let bytes = STANDARD.decode(call["stdout"].as_str().expect("stdout")).expect("base64");
    String::from_utf8(bytes).expect("UTF-8")
}

/// How a call ended.
pub(crate) fn kind(call: &Value) -> &str {
    call["outcome"]["kind"].as_str().unwrap_or("none")
}
