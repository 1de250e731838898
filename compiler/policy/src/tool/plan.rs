//! What runs: made from a tool's definition and the arguments of a call, by a total function.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::builtin::{Builtin, MAX_FILE_BYTES};
use super::call::ToolCall;
use crate::policy::tools::{Program, Run, Stdin, Word};

/// The longest word of a command, in bytes: the kernel's `MAX_ARG_STRLEN` is 128 KiB with the terminating
/// byte (execve(2)).
pub const MAX_ARGUMENT_BYTES: usize = 128 * 1024 - 1;
/// The longest command, in bytes, with a terminating byte and an eight-byte pointer for each word: half of
/// what the kernel accepts under a stack limit of 8 MiB, environment included (execve(2)).
pub const MAX_ARGV_BYTES: usize = 1 << 20;
/// The longest source text, in bytes; it is passed through a file.
pub const MAX_CODE_BYTES: usize = 1 << 20;

/// A call that was decided, and what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedCall {
    call: ToolCall,
    plan: Plan,
}

impl PlannedCall {
    pub(super) const fn new(call: ToolCall, plan: Plan) -> Self {
        Self { call, plan }
    }

    /// The call as it was decided.
    #[must_use]
    pub const fn call(&self) -> &ToolCall {
        &self.call
    }

    /// What it does.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// What a call does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Runs a program in a sandbox; the environment is the sandbox's.
    Sandbox {
        /// Name of the sandbox.
        sandbox: String,
        /// The program.
        program: PlannedProgram,
        /// Whether it may read from its caller.
        stdin: Stdin,
    },
    /// Reads or writes the session's workspace, through the clerk.
    Workspace(WorkspaceOperation),
}

impl Plan {
    /// The sandbox that it runs in.
    #[must_use]
    pub fn sandbox(&self) -> Option<&str> {
        match self {
            Plan::Sandbox { sandbox, .. } => Some(sandbox),
            Plan::Workspace(_) => None,
        }
    }
}

/// What is executed in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedProgram {
    /// A command of at least one word, none with a NUL.
    Argv(Vec<String>),
    /// Source text for the sandbox's runtime.
    Code(String),
}

/// An operation on the workspace. Paths are as the caller wrote them, not empty and without NUL; the clerk
/// resolves them beneath the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkspaceOperation {
    /// Reads a file.
    Read {
        /// The file.
        path: String,
    },
    /// Creates a file or replaces its content.
    Write {
        /// The file.
        path: String,
        /// Its new content.
        content: Vec<u8>,
    },
    /// Lists a directory.
    List {
        /// The directory.
        path: String,
    },
}

/// Why a call cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum PlanError {
    /// A NUL byte.
    #[error("the argument `{0}` holds a NUL character")]
    Nul(String),
    /// The argument is not a string, where the definition needs one.
    #[error("the argument `{0}` is not a string")]
    NotText(String),
    /// The argument is absent, and nothing runs without it.
    #[error("the argument `{0}` is missing")]
    Missing(String),
    /// Too long for one word.
    #[error("the argument `{name}` has {bytes} bytes, more than {bound}")]
    TooLong {
        /// The argument.
        name: String,
        /// Its length.
        bytes: usize,
        /// The bound.
        bound: usize,
    },
    /// The command is too long.
    #[error("the command has {0} bytes, more than {MAX_ARGV_BYTES}")]
    CommandTooLong(usize),
    /// No words are left.
    #[error("the command has no words")]
    Empty,
    /// Content that is not base64.
    #[error("the argument `{0}` is not base64")]
    NotBase64(String),
}

/// The plan of a call of a defined tool.
pub(super) fn of_run(
    run: &Run,
    narrowed: Option<&str>,
    stdin: Stdin,
    call: &ToolCall,
) -> Result<Plan, PlanError> {
    let program = match &run.program {
        Program::Argv(words) => PlannedProgram::Argv(argv(words, call)?),
        Program::Code(word) => match text(word, call, MAX_CODE_BYTES)? {
            Some(code) => PlannedProgram::Code(code.to_owned()),
            None => return Err(PlanError::Missing(word_name(word).to_owned())),
        },
    };
    let sandbox = narrowed.unwrap_or(&run.sandbox).to_owned();
    Ok(Plan::Sandbox { sandbox, program, stdin })
}

fn argv(words: &[Word], call: &ToolCall) -> Result<Vec<String>, PlanError> {
    let mut argv = Vec::with_capacity(words.len());
    let mut bytes = 0_usize;
    for word in words {
        if let Some(text) = text(word, call, MAX_ARGUMENT_BYTES)? {
            bytes = bytes.saturating_add(text.len()).saturating_add(9);
            argv.push(text.to_owned());
        }
    }
    match bytes {
        0 => Err(PlanError::Empty),
        bytes if bytes > MAX_ARGV_BYTES => Err(PlanError::CommandTooLong(bytes)),
        _ => Ok(argv),
    }
}

fn word_name(word: &Word) -> &str {
    match word {
        Word::Value(name) | Word::Arg(name) => name,
    }
}

/// The text of a word; `None` for an absent argument.
fn text<'c>(word: &'c Word, call: &'c ToolCall, bound: usize) -> Result<Option<&'c str>, PlanError> {
    let (name, text) = match word {
        Word::Value(text) => ("", text.as_str()),
        Word::Arg(name) => match call.arguments().get(name) {
            None => return Ok(None),
            Some(value) => (name.as_str(), value.as_str().ok_or_else(|| PlanError::NotText(name.clone()))?),
        },
    };
    if text.contains('\0') {
        return Err(PlanError::Nul(name.to_owned()));
    }
    if text.len() > bound {
        return Err(PlanError::TooLong { name: name.to_owned(), bytes: text.len(), bound });
    }
    Ok(Some(text))
}

/// The plan of a call of a built-in tool.
pub(super) fn of_builtin(builtin: Builtin, call: &ToolCall) -> Result<Plan, PlanError> {
    let path = call.text("path").ok_or_else(|| PlanError::Missing("path".to_owned()))?;
    if path.contains('\0') {
        return Err(PlanError::Nul("path".to_owned()));
    }
    let path = path.to_owned();
    Ok(Plan::Workspace(match builtin {
        Builtin::Read => WorkspaceOperation::Read { path },
        Builtin::List => WorkspaceOperation::List { path },
        Builtin::Write => WorkspaceOperation::Write { path, content: content(call)? },
    }))
}

fn content(call: &ToolCall) -> Result<Vec<u8>, PlanError> {
    let name = || "content".to_owned();
    let text = call.text("content").ok_or_else(|| PlanError::Missing(name()))?;
    let content = match call.text("encoding") {
        Some("base64") => STANDARD.decode(text).map_err(|_| PlanError::NotBase64(name()))?,
        _ => text.as_bytes().to_vec(),
    };
    if content.len() > MAX_FILE_BYTES {
        return Err(PlanError::TooLong { name: name(), bytes: content.len(), bound: MAX_FILE_BYTES });
    }
    Ok(content)
}
