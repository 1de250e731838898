//! A client: it sends messages, waits for answers with a generous deadline, and keeps the notifications of
//! the server.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bailiwick_lsp::frame;
use serde_json::{Value, json};

/// Longest wait for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    next: i64,
    /// The findings last published, by URI.
    pub(crate) published: BTreeMap<String, Value>,
    /// All notifications of the server.
    pub(crate) said: Vec<Value>,
    answers: BTreeMap<i64, Value>,
}

impl Client {
    /// A server before `initialize`.
    pub(crate) fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bailiwick-lsp"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server runs");
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Ok(Some(bytes)) = frame::read(&mut output) {
                let message = serde_json::from_slice(&bytes).expect("the server writes JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let (published, said, answers) = Default::default();
        Self { child, input, messages, next: 0, published, said, answers }
    }

    /// A server initialized by an editor with every capability.
    pub(crate) fn ready() -> Self {
        Self::of(&Value::Null)
    }

    /// One with open folders, as `workspaceFolders` of the protocol.
    pub(crate) fn of(folders: &Value) -> Self {
        let mut client = Self::start();
        let edits = json!({ "documentChanges": true, "resourceOperations": ["create"] });
        let mut greeting = json!({ "processId": null, "rootUri": null, "capabilities": { "workspace": { "workspaceEdit": edits } } });
        greeting["workspaceFolders"] = folders.clone();
        let answer = client.ask("initialize", greeting);
        assert_eq!(answer["result"]["serverInfo"]["name"], "bailiwick-lsp", "{answer}");
        client.tell("initialized", json!({}));
        client
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the stream is open");
        input.write_all(bytes).expect("the server reads");
        input.flush().expect("the server reads");
    }

    pub(crate) fn send(&mut self, message: &Value) {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, message.to_string().as_bytes()).expect("bytes");
        self.send_bytes(&bytes);
    }

    pub(crate) fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request without waiting.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> i64 {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        self.answer(id)
    }

    pub(crate) fn answer(&mut self, id: i64) -> Value {
        self.until("an answer", |client| client.answers.remove(&id))
    }

    /// The result of a request.
    pub(crate) fn result(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Takes messages until the wanted value is there.
    pub(crate) fn until<T>(&mut self, what: &str, mut there: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = there(self) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(left) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => panic!("{what} did not come; said: {:?}", self.said),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the server ended before {what}; said: {:?}", self.said)
                }
            }
        }
    }

    fn take(&mut self, message: Value) {
        if message["method"] == "textDocument/publishDiagnostics" {
            let uri = message["params"]["uri"].as_str().expect("a URI").to_owned();
            self.published.insert(uri, message["params"].clone());
        } else if let Some(id) = message["id"].as_i64().filter(|_| message.get("method").is_none()) {
            self.answers.insert(id, message);
        } else {
            self.said.push(message);
        }
    }

    /// The findings for a version of a document, once they arrive.
    pub(crate) fn findings(&mut self, uri: &str, version: i64) -> Vec<Value> {
        self.until("findings", |client| {
            let published = client.published.get(uri).filter(|one| one["version"] == version)?;
            Some(published["diagnostics"].as_array().expect("a list").clone())
        })
    }

    /// Shuts the server down and waits for its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        assert_eq!(self.ask("shutdown", Value::Null)["result"], Value::Null);
        self.tell("exit", Value::Null);
        self.ended()
    }

    pub(crate) fn hang_up(&mut self) {
        self.input = None;
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
