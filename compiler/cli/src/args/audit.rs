//! What `bailiwick audit` is given.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Format;

/// What can be done with an audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Verifies a log: ends with 0 if it is intact, 4 if it was tampered with, 6 if it is open, unfinished or unchecked
    #[command(
        after_help = "Example:\n  bailiwick audit verify state --log-key log.key --pinned checkpoint.txt"
    )]
    Verify(AuditVerifyOptions),
    /// Shows one call from its facts to its outcome, or one record
    #[command(
        after_help = "Example:\n  bailiwick audit inspect state 0192c1e4\n  bailiwick audit inspect state 17"
    )]
    Inspect(AuditInspectOptions),
    /// Decides every call of a log again, from its own inputs: ends with 0 if all come out equal, 4 if one does not, 6 if some cannot be decided again
    #[command(
        after_help = "Example:\n  bailiwick audit replay state --bundle dist/150fd6bf10e6e859/bundle.json"
    )]
    Replay(AuditReplayOptions),
    /// Proves that one call, or one record, is in a log, without the other records: one JSON object a line, with the values that can still be shown
    #[command(
        after_help = "Example:\n  bailiwick audit prove state 0192c1e4 --checkpoint checkpoint.txt > proof.jsonl"
    )]
    Prove(AuditProveOptions),
    /// Checks what `prove` printed against a checkpoint, and shows the records: ends with 4 if it proves nothing
    #[command(after_help = "Example:\n  bailiwick audit check-proof proof.jsonl --checkpoint checkpoint.txt")]
    CheckProof(AuditCheckProofOptions),
}

#[derive(Args, Debug)]
pub(crate) struct AuditVerifyOptions {
    /// The folder of the log: what the executor was given as `--state`
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The log's first public key, or a file with it: `NAME+ID+BASE64` or 64 hexadecimal digits
    #[arg(long, value_name = "KEY")]
    pub(crate) log_key: Option<String>,
    /// The log's id, or a file with a checkpoint of it that was kept elsewhere; repeat for several
    #[arg(long, value_name = "ID|FILE")]
    pub(crate) pinned: Vec<String>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct AuditReplayOptions {
    /// The folder of the log: what the executor was given as `--state`
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// A bundle that decided calls of the log; repeat for several
    #[arg(long = "bundle", value_name = "FILE", required = true)]
    pub(crate) bundles: Vec<PathBuf>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct AuditProveOptions {
    /// The folder of the log: what the executor was given as `--state`
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The name of a call, or the number of a record
    #[arg(value_name = "CALL|SEQ")]
    pub(crate) what: String,
    /// A checkpoint of the log that the recipient has, as the executor's answers hold one
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct AuditCheckProofOptions {
    /// What `prove` printed
    #[arg(value_name = "FILE")]
    pub(crate) proof: PathBuf,
    /// Your own copy of the checkpoint, not one that came with the proof
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: PathBuf,
    /// The public key that signed the checkpoint, or a file with it: `NAME+ID+BASE64` or 64 hexadecimal digits; each start of the executor signs with a new one
    #[arg(long, value_name = "KEY")]
    pub(crate) log_key: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct AuditInspectOptions {
    /// The folder of the log: what the executor was given as `--state`
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The name of a call, or the number of a record
    #[arg(value_name = "CALL|SEQ")]
    pub(crate) what: String,
    /// How records are printed
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}
