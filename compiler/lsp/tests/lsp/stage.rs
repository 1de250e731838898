//! Packs in a folder of their own, and open documents of them.

use std::path::{Path, PathBuf};

use bailiwick_lsp::paths;
use bailiwick_lsp::position::Lines;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;

/// Marks the cursor in a text.
pub(crate) const CURSOR: char = '¦';

/// Parts of a pack that declare every name.
pub(crate) const PACK: &str = r#"apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {name: sample-1.0.0}
spec:
  pack: sample
  version: 1.0.0
  parameters:
  - {name: memory, type: quantity, default: 64Mi, description: What a call may use.}
  subjects: {namespaces: {selector: {matchLabels: {zone: agents}}, exclusive: true}}
  pools:
  - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable,
     resources: {cpus: "2", memory: 1Gi}}
  sandboxes:
  - name: shell
    pool: warm
    filesystem: {readOnly: [/usr, /bin, /lib, /lib64], proc: Own}
    syscalls: {profile: Shell}
    limits: {wallClock: 30s, memory: "${memory}", processes: 64, output: 1Mi}
  tools:
    definitions:
    - name: shell.exec
      input: {type: object, required: [command], additionalProperties: false, properties: {command: {type: string, maxLength: 99}}}
      run: {sandbox: shell, argv: [{value: /bin/bash}, {value: -c}, {value: "--"}, {arg: command}]}
      derive: [{shell: command}]
    approvers:
    - {name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}]}
    state:
      counters: [{name: calls, window: 60s}]
    rules:
    - {name: listing, tools: [shell.exec], when: "facts.shell.onlyRuns(['ls'])", allow: {}}
    - {name: rate, tools: [shell.exec], throttle: {counter: calls, max: 20}}
  admission:
    rules:
    - name: memory-limits
      match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
      variables:
      - {name: large, expression: "pod.mainContainers.filter(c, c.name.size() > 3)"}
      validations:
      - {expression: "variables.large.size() == 0", message: too large}
"#;

pub(crate) struct Stage {
    folder: TempDir,
    pub(crate) client: Client,
    version: i64,
}

pub(crate) fn uri(path: &Path) -> String {
    paths::uri(path).expect("a URI").as_str().to_owned()
}

impl Stage {
    /// With the folder of all packs open in the editor.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let client = Client::of(&json!([opened(folder.path())]));
        Self { folder, client, version: 0 }
    }

    /// With no folder open.
    pub(crate) fn closed() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), client: Client::ready(), version: 0 }
    }

    /// A file of the pack; `../` leads to a pack next to it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let packs = self.folder.path().canonicalize().expect("the folder").join("packs");
        match name.strip_prefix("../") {
            Some(beside) => packs.join(beside),
            None => packs.join("sample").join(name),
        }
    }

    pub(crate) fn uri(&self, name: &str) -> String {
        uri(&self.path(name))
    }

    /// Writes a file of the pack to disk.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Opens a document that may be missing on disk; returns its findings.
    pub(crate) fn open(&mut self, name: &str, text: &str) -> Vec<Value> {
        self.version += 1;
        let (uri, version) = (self.uri(name), self.version);
        let document = json!({ "uri": uri, "languageId": "yaml", "version": version, "text": text });
        self.client.tell("textDocument/didOpen", json!({ "textDocument": document }));
        self.client.findings(&uri, version)
    }

    /// Replaces the text of a document; returns its findings.
    pub(crate) fn change(&mut self, name: &str, text: &str) -> Vec<Value> {
        self.edit(name, &[json!({ "text": text })]);
        let (uri, version) = (self.uri(name), self.version);
        self.client.findings(&uri, version)
    }

    /// Changes a document without waiting.
    pub(crate) fn edit(&mut self, name: &str, changes: &[Value]) -> i64 {
        self.version += 1;
        let document = json!({ "uri": self.uri(name), "version": self.version });
        self.client
            .tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": changes }));
        self.version
    }

    /// The result of a request about a position.
    pub(crate) fn at(&mut self, method: &str, name: &str, text: &str, offset: usize) -> Value {
        let position = Lines::of(text).position(text, offset);
        let mut params = json!({ "textDocument": { "uri": self.uri(name) }, "position": position });
        if method == "textDocument/references" {
            params["context"] = json!({ "includeDeclaration": true });
        }
        self.client.result(method, params)
    }

    /// The labels offered at the mark of a text, which is opened as the pack.
    pub(crate) fn completed(&mut self, marked: &str) -> Vec<Value> {
        let offset = marked.find(CURSOR).expect("a mark");
        let text = marked.replace(CURSOR, "");
        self.edit("pack.yaml", &[json!({ "text": text })]);
        let list = self.at("textDocument/completion", "pack.yaml", &text, offset);
        list["items"].as_array().cloned().unwrap_or_default()
    }
}

/// The folders of the shipped packs.
pub(crate) fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy-packs").canonicalize();
    let entries = std::fs::read_dir(folder.expect("the packs")).expect("the packs");
    let mut packs: Vec<_> = entries.map(|entry| entry.expect("a pack").path()).collect();
    packs.sort();
    packs
}

/// A folder, in the form in which the editor reports it open.
pub(crate) fn opened(folder: &Path) -> Value {
    let folder = folder.canonicalize().expect("the folder");
    json!({ "uri": uri(&folder), "name": "packs" })
}

/// The text after edits of the protocol, applied from the end.
pub(crate) fn applied(text: &str, edits: &[Value]) -> String {
    let lines = Lines::of(text);
    let mut all: Vec<_> = edits
        .iter()
        .map(|edit| {
            let range = serde_json::from_value(edit["range"].clone()).expect("a range");
            (lines.bytes(text, range), edit["newText"].as_str().expect("a text"))
        })
        .collect();
    all.sort_by_key(|(bytes, _)| std::cmp::Reverse(bytes.start));
    let mut text = text.to_owned();
    for (bytes, new) in all {
        text.replace_range(bytes, new);
    }
    text
}

pub(crate) fn codes(findings: &[Value]) -> Vec<&str> {
    findings.iter().map(|one| one["code"].as_str().expect("a code")).collect()
}

pub(crate) fn labels(items: &[Value]) -> Vec<&str> {
    items.iter().map(|one| one["label"].as_str().expect("a label")).collect()
}
