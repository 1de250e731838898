//! `approvals list | sign | submit`: the questions that wait for approvers, and their answers.
//!
//! ```text
//! list (admin socket) ► QUESTION.json ► sign, with the approver's own key, anywhere ► SIGNATURE.json ► submit (admin socket)
//! ```
//! Signing needs no executor. It shows what is approved, and signs only what it has shown: it computes the
//! hash again from the question.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, SigningKey};
use hyper::{Method, StatusCode};

use super::Outcome;
use crate::approvals::{MAX_LIST_BYTES, binding};
use crate::client::ask;
use crate::clock;
use crate::wire::{ApprovalSubmission, OpenQuestion};

/// Largest file that is read here: a question with its arguments, as `list ID` prints it.
const MAX_FILE_BYTES: u64 = MAX_LIST_BYTES as u64;

/// From how many bytes on an answer is printed without line breaks: nobody reads more of it than a program does, and it stays as long as it is.
const PRETTY_BYTES: usize = 256 << 10;

/// See and answer what waits for people's approval.
#[derive(Subcommand, Debug)]
pub enum Approvals {
    /// List the open questions of a running executor.
    #[command(
        after_help = "Example:\n  bailiwick-executor approvals list --admin-socket admin/admin.sock > questions.json"
    )]
    List {
        /// The executor's admin socket
        #[arg(long, value_name = "PATH")]
        admin_socket: PathBuf,
        /// Only the question of this id, as `sign` takes it
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Sign a question with an approver's key. Shows what is approved, on standard error; needs no executor.
    #[command(
        after_help = "Example:\n  bailiwick-executor approvals list --admin-socket admin/admin.sock ID > question.json\n  \
            bailiwick-executor approvals sign --key alice.pem --key-id alice question.json > signature.json"
    )]
    Sign {
        /// Private Ed25519 key, PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` makes it
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Id of the key in the pack
        #[arg(long, value_name = "ID")]
        key_id: String,
        /// The question, as `list ID` prints it; `-`: standard input
        #[arg(value_name = "FILE")]
        question: PathBuf,
    },
    /// Hand in a signature.
    #[command(
        after_help = "Example:\n  bailiwick-executor approvals submit --admin-socket admin/admin.sock ID signature.json"
    )]
    Submit {
        /// The executor's admin socket
        #[arg(long, value_name = "PATH")]
        admin_socket: PathBuf,
        /// Id of the question
        #[arg(value_name = "ID")]
        id: String,
        /// What `sign` printed; `-`: standard input
        #[arg(value_name = "FILE")]
        signature: PathBuf,
    },
}

pub(super) fn run(approvals: &Approvals) -> anyhow::Result<Outcome> {
    match approvals {
        Approvals::List { admin_socket, id } => list(admin_socket, id.as_deref()),
        Approvals::Sign { key, key_id, question } => sign(key, key_id, question),
        Approvals::Submit { admin_socket, id, signature } => submit(admin_socket, id, signature),
    }
}

fn list(socket: &Path, id: Option<&str>) -> anyhow::Result<Outcome> {
    let path = id.map_or_else(|| "/v1/approvals".to_owned(), |id| format!("/v1/approvals/{id}"));
    let body = asked(socket, Method::GET, &path, Vec::new())?;
    let value: serde_json::Value = serde_json::from_slice(&body).context("the answer is not JSON")?;
    if body.len() > PRETTY_BYTES {
        println!("{}", escaped(&value.to_string()));
        return Ok(Outcome::Holds);
    }
    print(&value)?;
    Ok(Outcome::Holds)
}

fn sign(key: &Path, key_id: &str, question: &Path) -> anyhow::Result<Outcome> {
    let question: OpenQuestion = serde_json::from_slice(&read(question)?)
        .with_context(|| format!("`{}` is not a question", question.display()))?;
    let pem = String::from_utf8(read(key)?).with_context(|| format!("`{}` is not PEM", key.display()))?;
    let key = SigningKey::from_pkcs8_pem(&pem)
        .with_context(|| format!("`{}` is not an Ed25519 private key in PKCS#8 PEM", key.display()))?;
    let Some(message) = binding::message(&question) else {
        bail!(
            "the question does not hold together: its call hash is not that of the call it shows; do not approve it, and tell the executor's administrators"
        );
    };
    // To standard error, escaped: an agent's request is hostile text.
    let left = question.expires_ms.saturating_sub(clock::unwatched_ms()) / 1000;
    eprintln!("you approve this, if you submit it within {left} s:");
    for line in shown(&question.binds) {
        eprintln!("  {line}");
    }
    let signature = STANDARD.encode(key.sign(&message).to_bytes());
    print(&serde_json::to_value(ApprovalSubmission { key: key_id.to_owned(), signature })?)?;
    Ok(Outcome::Holds)
}

/// The members of `binds` that a person reads first, in this order.
const FIRST: [&str; 8] =
    ["removesLabels", "tool", "subject", "arguments", "facts", "sandbox", "session", "policyDigest"];

/// Everything that a signature binds, a line for each member: those that are known here, then all others, since the
/// executor that asks may be newer.
fn shown(binds: &serde_json::Value) -> Vec<String> {
    let line = |name: &str, value: &serde_json::Value| {
        // What the approval takes away is more than this one call.
        let note = if name == "removesLabels" { ", which the session loses by it" } else { "" };
        format!("{}{note}: {}", legible(name), legible(&value.to_string()))
    };
    let first = FIRST.iter().filter_map(|name| Some(line(name, binds.get(name)?)));
    let others = binds.as_object().into_iter().flatten();
    let others = others.filter(|(name, _)| !FIRST.contains(&name.as_str()));
    first.chain(others.map(|(name, value)| line(name, value))).collect()
}

/// Text of others as it may be shown on a terminal: whatever is no plain character is escaped.
fn legible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '\'' | '\\' => shown.push(letter),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

fn submit(socket: &Path, id: &str, signature: &Path) -> anyhow::Result<Outcome> {
    let body = read(signature)?;
    let answer = asked(socket, Method::POST, &format!("/v1/approvals/{id}"), body)?;
    let question: OpenQuestion = serde_json::from_slice(&answer).context("the answer is not a question")?;
    print(&serde_json::to_value(&question)?)?;
    Ok(Outcome::Holds)
}

fn asked(socket: &Path, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<bytes::Bytes> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, answer) = runtime.block_on(ask(socket, method, path, body))?;
    if status != StatusCode::OK {
        let text = String::from_utf8_lossy(&answer);
        bail!("the executor refused ({status}): {}", legible(&text));
    }
    Ok(answer)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let input: Box<dyn io::Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?)
    };
    input.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        bail!("`{}` has more than {MAX_FILE_BYTES} bytes", path.display());
    }
    Ok(bytes)
}

fn print(value: &serde_json::Value) -> anyhow::Result<()> {
    let text = escaped(&serde_json::to_string_pretty(value)?);
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

/// JSON as it may be shown on a terminal: whatever is no plain character is escaped, which makes no other value.
fn escaped(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for letter in json.chars() {
        let is_plain =
            matches!(letter, '\n' | '"' | '\'' | '\\') || letter.escape_debug().next() == Some(letter);
        if is_plain {
            shown.push(letter);
        } else {
            shown.extend(letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{escaped, shown};

    /// An approver reads a list of questions on a terminal, and agents choose what it shows.
    #[test]
    fn a_question_that_is_listed_is_the_same_value_and_steers_no_terminal() {
        let question = json!({ "word": "\u{9b}2J\u{202e}x\u{7f}\"é\n" });
        let shown = escaped(&serde_json::to_string_pretty(&question).unwrap());
        assert_eq!(shown, "{\n  \"word\": \"\\u009b2J\\u202ex\\u007f\\\"é\\n\"\n}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), question);
    }

    /// Whoever signs answers for every member of what is hashed.
    #[test]
    fn every_member_that_a_signature_binds_is_shown_whatever_its_name() {
        let binds = json!({
            "arguments": { "word": "hi\u{1b}[2J" }, "facts": {}, "generation": 7, "policyDigest": "d", "sandbox": null,
            "session": "s", "subject": { "agent": "a" }, "tool": "t", "removesLabels": ["pack0/secret"],
            "new\u{1b}member": 1,
        });
        assert_eq!(
            shown(&binds),
            [
                r#"removesLabels, which the session loses by it: ["pack0/secret"]"#,
                r#"tool: "t""#,
                r#"subject: {"agent":"a"}"#,
                r#"arguments: {"word":"hi\u001b[2J"}"#,
                "facts: {}",
                "sandbox: null",
                r#"session: "s""#,
                r#"policyDigest: "d""#,
                "generation: 7",
                r"new\u{1b}member: 1",
            ]
        );
        assert_eq!(shown(&json!({ "tool": "t" })).len(), 1, "what is not there is bound by nothing");
    }
}
