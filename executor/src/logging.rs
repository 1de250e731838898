//! Log lines of the executor, to standard error. The audit log is separate: `bailiwick-audit`.

use std::io;

use clap::{Args, ValueEnum};
use tracing::warn;
use tracing_subscriber::EnvFilter;

/// How to log, to standard error.
#[derive(Args, Clone, Debug)]
pub struct Log {
    /// Form of log lines
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to log: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "info", env = "BAILIWICK_LOG")]
    pub log: String,
}

/// Forms of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Log {
    /// Starts logging for the process. A filter that cannot be read is said and replaced by `info`.
    pub fn start(&self) {
        let (filter, wrong) = match EnvFilter::try_new(&self.log) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new("info"), Some(error)),
        };
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(false)
            .with_target(false);
        match self.log_format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        if let Some(error) = wrong {
            warn!(%error, "unreadable log filter; `info` is used");
        }
    }
}
