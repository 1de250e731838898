//! Completion under an editor's conditions: the language server with a pack of 2,000 lines and a letter typed
//! before each request, while the compiler works on the previous edit. Timed from the request to its answer,
//! through the streams.

use std::fmt::Write as _;
use std::io::{BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bailiwick_conformance::programs::{self, Running};
use bailiwick_lsp::{frame, paths};
use serde_json::{Value, json};

use crate::sampling::quantile;

/// Lines of the pack.
const LINES: usize = 2_000;

/// Requests for each kind of place.
pub(super) const REQUESTS: usize = 100;

/// The parts of the pack in which the cursor is: the text before it, what is typed there, and what the
/// answers must include.
const PLACES: [(&str, &str, &str); 4] = [
    (
        "      validations: [{expression: \"true\", messageExpression: \"'image: ' + string(varia",
        "b",
        "variables",
    ),
    ("      validations: [{expression: \"variables.large.all(c, c.ima", "g", "image"),
    ("      act", "i", "action"),
    ("      action: De", "n", "Deny"),
];

/// The 99th percentile in milliseconds over `requests` for each kind of place, and how many were made.
pub(super) fn completion(folder: &Path, requests: usize) -> Result<(f64, usize)> {
    let folder = folder.join("large");
    std::fs::create_dir_all(&folder)?;
    let path = folder.canonicalize()?.join("pack.yaml");
    let mut times = Vec::new();
    for (before, typed, expected) in PLACES {
        let (text, line) = large_pack(before)?;
        std::fs::write(&path, &text)?;
        let mut editor = Editor::start(&path, &text)?;
        for _ in 0..requests {
            times.push(editor.type_and_complete(line, before.len(), typed, expected)?);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok((quantile(&times, 0.99), times.len()))
}

/// A pack of 2,000 lines with an unfinished line in its middle; its text, and the number of that line.
fn large_pack(unfinished: &str) -> Result<(String, usize)> {
    let mut text = String::from(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: large-1.0.0}\nspec:\n  pack: large\n  version: 1.0.0\n  \
         subjects: {namespaces: {selector: {}}, pods: {}, unmatched: Allow}\n  admission:\n    rules:\n",
    );
    let mut line = None;
    for number in 0.. {
        let written = text.lines().count();
        if written >= LINES {
            break;
        }
        write!(
            text,
            "    - name: rule-{number}\n      match: {{resources: [{{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}}\n      \
             variables: [{{name: large, expression: \"pod.mainContainers.filter(c, c.name.size() > {number})\"}}]\n"
        )?;
        if line.is_none() && written >= LINES / 2 {
            line = Some(text.lines().count());
            writeln!(text, "{unfinished}")?;
        }
        writeln!(
            text,
            "      validations: [{{expression: \"variables.large.all(c, c.image != 'i{number}')\"}}]"
        )?;
    }
    Ok((text, line.context("the pack has no middle")?))
}

/// The server with one open document.
struct Editor {
    _server: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    uri: String,
    version: i64,
}

impl Editor {
    fn start(path: &Path, text: &str) -> Result<Self> {
        let mut command = Command::new(programs::find("bailiwick-lsp")?);
        let mut server = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let (input, output) = server.pipes()?;
        let uri = paths::uri(path).context("the path is not a URI")?.as_str().to_owned();
        let mut editor = Self { _server: server, input, output, uri, version: 1 };
        editor.ask("initialize", &json!({ "capabilities": {} }))?;
        let document = json!({ "uri": editor.uri, "languageId": "yaml", "version": 1, "text": text });
        editor.tell(&json!({ "method": "textDocument/didOpen", "params": { "textDocument": document } }))?;
        Ok(editor)
    }

    fn tell(&mut self, message: &Value) -> Result<()> {
        frame::write(&mut self.input, message.to_string().as_bytes())?;
        self.input.flush().context("the server does not read")
    }

    /// The answer to a request; findings that arrive before it are skipped.
    fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.version += 1;
        let id = self.version;
        self.tell(&json!({ "id": id, "method": method, "params": params }))?;
        loop {
            let bytes = frame::read(&mut self.output)?.context("the server ended")?;
            let message: Value = serde_json::from_slice(&bytes)?;
            if message.get("id") == Some(&json!(id)) {
                return Ok(message.get("result").cloned().unwrap_or_default());
            }
        }
    }

    /// Types a letter, requests completions, and removes the letter again.
    fn type_and_complete(&mut self, line: usize, column: usize, typed: &str, expected: &str) -> Result<f64> {
        let at = |character: usize| json!({ "line": line, "character": character });
        let end = column + typed.len();
        self.change(&json!({ "range": { "start": at(column), "end": at(column) }, "text": typed }))?;
        let params = json!({ "textDocument": { "uri": self.uri }, "position": at(end) });
        let begin = Instant::now();
        let answer = self.ask("textDocument/completion", &params)?;
        let took = begin.elapsed().as_secs_f64() * 1000.0;
        let items = answer.get("items").and_then(Value::as_array);
        let is_there = items.into_iter().flatten().any(|item| item.get("label") == Some(&json!(expected)));
        ensure!(is_there, "`{expected}` is not offered in line {line}");
        self.change(&json!({ "range": { "start": at(column), "end": at(end) }, "text": "" }))?;
        Ok(took)
    }

    fn change(&mut self, change: &Value) -> Result<()> {
        self.version += 1;
        let document = json!({ "uri": self.uri, "version": self.version });
        let params = json!({ "textDocument": document, "contentChanges": [change] });
        self.tell(&json!({ "method": "textDocument/didChange", "params": params }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bench ends with an error where an answer lacks what it expects.
    #[test]
    fn every_place_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(completion(folder.path(), 1).unwrap().1, PLACES.len());
    }
}
