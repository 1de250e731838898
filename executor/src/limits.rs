//! Limits of the executor, each with its reason: those of [`Limits`] can be set on the command line, the constants
//! cannot. Further constants stand in the modules that use them.

use std::time::Duration;

use bailiwick_policy::tool::MAX_SESSIONS;
use clap::Args;
use clap::builder::{RangedU64ValueParser, TypedValueParser};

/// Bounds on what callers can make the executor hold or wait for. Units are bytes, counts and seconds.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Largest request body: arguments of a call, or a file of the workspace in base64
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
    pub max_body_bytes: usize,
    /// Bytes of large requests at one time: bodies of more than 64 KiB that arrive or wait, and what arguments take that weigh more than 256 KiB as values, until their
    /// call has ended. More are answered with 429, and a call that would take more by itself with 413. Smaller requests are bounded by connections and calls
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 20)]
    pub max_held_bytes: usize,
    /// Open connections of the call socket; further ones wait in its queue. The admin socket has 16 of its own
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub max_connections: usize,
    /// Sessions at one time; a further one is answered with 429. At most 65536
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = sessions())]
    pub max_sessions: usize,
    /// Calls that run or wait for their session at one time; a further one is answered with 429
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_calls: usize,
    /// Ended calls whose output is kept for `GET …/calls/ID`, the oldest dropped first
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub kept_calls: usize,
    /// Bytes of output and results kept of ended calls, over all of them
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub kept_bytes: usize,
    /// Sum of the sizes of all workspaces; a call that would need a further one ends with `SetupFailed`
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    pub workspace_budget: u64,
    /// A session without a call for this many seconds is closed
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub session_idle_s: u64,
    /// Seconds for the headers of a request, and then for its body
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub read_timeout_s: u64,
    /// Seconds in which a client makes room for more of an answer that waits for it; one that does not is cut off
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub write_timeout_s: u64,
    /// Most bytes of the state directory, those included that calls which run may still add by their output; a call or session that would begin then is answered with 503,
    /// and what has begun is recorded to its end. Measured once a second, less often with very many files, so leave room for what is written in that time. Without it, the disk
    /// is the limit
    #[arg(long, value_name = "BYTES")]
    pub max_state_bytes: Option<u64>,
    /// After SIGTERM: how many seconds to wait for calls that run; those left are cancelled
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub drain_s: u64,
}

/// As many as the state holds.
fn sessions() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=MAX_SESSIONS as u64)
}

impl Limits {
    /// Time for the headers of a request, and then for its body.
    #[must_use]
    pub const fn read_timeout(&self) -> Duration {
        Duration::from_secs(self.read_timeout_s)
    }

    /// Time in which a client makes room for more of an answer that waits for it.
    #[must_use]
    pub const fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_s)
    }
}

/// Largest request line and headers together: a session's id, an idempotency key and what a client adds of itself.
pub(crate) const MAX_HEADER_BYTES: usize = 16 << 10;

/// How much of a body that is too large is read and thrown away, so that its client comes to read the answer: many times the default of what a body may be.
pub(crate) const MAX_UNHEARD_BYTES: usize = 64 << 20;

/// Longest `waitMs`, of a call and of `/v1/drain`: below the minute after which many clients give up.
pub(crate) const MAX_LONG_POLL: Duration = Duration::from_secs(30);

/// Longest name of a tool in a request, in bytes: it stands in the record of its denial, which no counter limits, and a record has 64 KiB.
pub(crate) const MAX_TOOL_NAME: usize = 1024;

/// Deepest nesting of a call's arguments: their record has a few levels more, and is read back by readers that go no further than 127.
pub(crate) const MAX_ARGUMENTS_DEPTH: usize = 64;

/// Longest idempotency key; it stands in the record of the intent.
pub(crate) const MAX_IDEMPOTENCY_KEY: usize = 128;

/// How much one chunk of a stream carries before base64: a pipe's usual capacity.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// Bytes of standard input that wait for a program which does not read, each part charged with what it takes in memory; more is answered with 429.
pub(crate) const STDIN_BACKLOG: usize = 1 << 20;

/// The same, of all calls together beyond the first [`STDIN_OWN`] of each: a caller may have many commands that do not read.
pub(crate) const MAX_INPUT_BYTES: usize = 64 << 20;

/// Of that, what each call may have whatever others have taken, so that commands that do not read keep nothing from those that do: 16 MiB for all calls.
pub(crate) const STDIN_OWN: usize = 64 << 10;

/// What is kept of delivered input for the records of calls that run, of all calls together beyond the first [`STDIN_OWN`] of each: the whole 4 MiB
/// of 64 calls.
pub(crate) const MAX_COPIED_BYTES: usize = 256 << 20;
