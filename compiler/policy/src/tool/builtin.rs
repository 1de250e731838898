//! Tools that every policy has: the files of the session's workspace. A call of one is a call like any other:
//! it needs a grant, counts, and is recorded. It runs an operation of the clerk instead of a command.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::arguments::ArgumentsSchema;

/// No pack may define a tool with this prefix.
pub const RESERVED_PREFIX: &str = "workspace.";
/// The longest content that one call writes to a file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// CPU time that an operation of the clerk may use, in milliseconds; budgets reserve this amount.
pub const CLERK_CPU_MS: u64 = 1_000;
/// Bytes that an operation of the clerk may return; budgets reserve this amount.
pub const CLERK_OUTPUT_BYTES: u64 = 4 << 20;

/// The most characters of a path, as `PATH_MAX`.
const MAX_PATH: usize = 4_095;

/// A built-in tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Builtin {
    Read,
    Write,
    List,
}

impl Builtin {
    pub(super) const ALL: [Self; 3] = [Self::Read, Self::Write, Self::List];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "workspace.read",
            Self::Write => "workspace.write",
            Self::List => "workspace.list",
        }
    }

    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Read => "Reads a file of the workspace.",
            Self::Write => "Writes a file of the workspace, making it or replacing what it held.",
            Self::List => "Lists a directory of the workspace.",
        }
    }

    /// The JSON Schema of its arguments. A path is relative to the workspace.
    pub(super) fn input(self) -> Value {
        let path = json!({"type": "string", "minLength": 1, "maxLength": MAX_PATH});
        match self {
            Self::Read | Self::List => json!({
                "type": "object",
                "properties": {"path": path},
                "required": ["path"],
                "additionalProperties": false,
            }),
            // Base64 takes four characters for three bytes.
            Self::Write => json!({
                "type": "object",
                "properties": {
                    "path": path,
                    "content": {"type": "string", "maxLength": MAX_FILE_BYTES / 3 * 4 + 4},
                    "encoding": {"type": "string", "enum": ["utf8", "base64"]},
                },
                "required": ["path", "content"],
                "additionalProperties": false,
            }),
        }
    }

    pub(super) fn schema(self) -> Option<&'static ArgumentsSchema> {
        static SCHEMAS: OnceLock<Vec<Option<ArgumentsSchema>>> = OnceLock::new();
        let compile = || Self::ALL.iter().map(|one| ArgumentsSchema::compile(&one.input()).ok()).collect();
        SCHEMAS.get_or_init(compile).get(self as usize).and_then(Option::as_ref)
    }
}
