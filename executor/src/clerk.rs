//! The workspace tools: read, write, list. The clerk of `bailiwick-sys` runs them inside a sandbox of the
//! session. Its answer is untrusted, as if a hostile program had written it, and is read with limits.

use std::path::PathBuf;
use std::time::Duration;

use bailiwick_policy::tool::{CLERK_OUTPUT_BYTES, MAX_FILE_BYTES, WorkspaceOperation};
use bailiwick_sys::clerk::{ClerkError, Task, parse_list, parse_read, parse_write};
use bailiwick_sys::drain::{CallLimits, Completed, Excess, complete};
use bailiwick_sys::outcome::Exit;
use bailiwick_sys::{Parked, Remains, SandboxError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use thiserror::Error;

/// Time for an operation: writing a megabyte of memory takes a millisecond, listing a workspace somewhat
/// longer.
const WALL: Duration = Duration::from_secs(10);

/// CPU time for an operation; a budget reserves this much for it.
const CPU: Duration = Duration::from_millis(bailiwick_policy::tool::CLERK_CPU_MS);

/// Most entries of a listing: at some sixty bytes each, within the limit on a result.
const MAX_ENTRIES: u32 = 10_000;

/// Why there is no result.
#[derive(Debug, Error)]
pub(crate) enum ClerkFailed {
    /// The path is invalid, or the sandbox did not start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

/// An operation that the clerk answered.
pub(crate) struct Done {
    /// How its process ended.
    pub exit: Exit,
    /// What it returned: the result, or `error`.
    pub result: Value,
    /// Bytes of the answer.
    pub bytes: u64,
}

/// Runs an operation through the clerk.
///
/// # Errors
/// The clerk was not started. An operation that fails is not an error: the result says so.
pub(crate) fn perform(
    parked: Parked,
    operation: &WorkspaceOperation,
) -> Result<(Done, Remains), ClerkFailed> {
    let (task, input) = task(operation);
    let running = parked.run_clerk(&task)?;
    let limits = CallLimits {
        wall: WALL,
        cpu: Some(CPU),
        output_bytes: usize::try_from(CLERK_OUTPUT_BYTES).unwrap_or(usize::MAX),
        excess: Excess::Kill,
    };
    let Completed { exit, stdout, remains, .. } = complete(running, input, &limits);
    let bytes = stdout.bytes.len() as u64;
    let result =
        answer(operation, &stdout.bytes).unwrap_or_else(|error| json!({ "error": error.to_string() }));
    Ok((Done { exit, result, bytes }, remains))
}

fn task(operation: &WorkspaceOperation) -> (Task, &[u8]) {
    match operation {
        WorkspaceOperation::Read { path } => {
            (Task::Read { path: path.into(), max_bytes: MAX_FILE_BYTES as u64 }, &[])
        }
        WorkspaceOperation::Write { path, content } => {
            (Task::Write { path: path.into(), max_bytes: MAX_FILE_BYTES as u64 }, content)
        }
        WorkspaceOperation::List { path } => {
            // `.` is a caller's name for the workspace itself.
            let path = if path == "." { PathBuf::new() } else { path.into() };
            (Task::List { path, depth: 1, max_entries: MAX_ENTRIES }, &[])
        }
    }
}

fn answer(operation: &WorkspaceOperation, bytes: &[u8]) -> Result<Value, ClerkError> {
    Ok(match operation {
        WorkspaceOperation::Read { .. } => {
            let (size, content) = parse_read(bytes)?;
            let complete = size == content.len() as u64;
            json!({ "sizeBytes": size, "complete": complete, "content": STANDARD.encode(content), "encoding": "base64" })
        }
        WorkspaceOperation::Write { .. } => json!({ "sizeBytes": parse_write(bytes)? }),
        WorkspaceOperation::List { .. } => {
            let (mut entries, complete) = parse_list(bytes)?;
            entries.sort_by(|a, b| a.path.cmp(&b.path));
            let entry = |entry: &bailiwick_sys::clerk::Entry| {
                // A name that is not valid text is shown as closely as text can; such a file cannot be named
                // in a call.
                json!({ "path": entry.path.to_string_lossy(), "kind": entry.kind, "sizeBytes": entry.size_bytes })
            };
            json!({ "entries": entries.iter().map(entry).collect::<Vec<_>>(), "complete": complete })
        }
    })
}
