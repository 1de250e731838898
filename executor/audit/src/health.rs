//! Whether a log accepts records, and why it refused one.

use std::io;
use std::sync::Arc;

use crate::commit::CommitError;

/// Why an entry was not recorded. The action that it would have allowed must not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The log cannot be written at the moment.
    #[error("the audit log cannot be written: {0}")]
    Io(Arc<io::Error>),
    /// The result is kept, and will be written as soon as the log can be.
    #[error("the result is kept, but not durable yet: {0}")]
    NotYet(Arc<io::Error>),
    /// Another writer is in charge of the log. This one will never write again.
    #[error("another writer is in charge of the audit log")]
    Fenced,
    /// A thread panicked while it wrote the log. This writer will never write again.
    #[error("a fault ended the writer of the audit log; start it anew")]
    Lost,
    /// The log has ended.
    #[error("the audit log is sealed")]
    Sealed,
    /// The record would be too long.
    #[error("the record is {bytes} bytes long; at most {limit} fit")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Too many intents have no result yet.
    #[error("{0} calls run already, as many as the log has room for")]
    TooManyOpen(usize),
    /// A group failed after the caller read the state on which this record was decided.
    #[error("a record before this one could not be written")]
    Overtaken,
    /// Too much waits to be written.
    #[error("too much waits to be written to the audit log")]
    Busy,
    /// The record already has a result, or is not an intent.
    #[error("record {0} is not an intent without a result")]
    NotOpen(u64),
    /// A log with open intents cannot end.
    #[error("{0} calls have no result yet")]
    StillOpen(usize),
    /// A value could not be kept.
    #[error("{0}")]
    Field(Arc<crate::field::FieldError>),
}

impl From<CommitError> for AppendError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Room(error) | CommitError::Write(error) | CommitError::Openings(error) => {
                Self::Io(error)
            }
            CommitError::Fenced => Self::Fenced,
        }
    }
}

/// Whether appends are accepted.
#[derive(Clone, Debug, Default)]
pub enum Health {
    /// They are.
    #[default]
    Healthy,
    /// They are refused until the log can be written again; the log retries by itself.
    Unhealthy {
        /// What failed last.
        error: Arc<io::Error>,
    },
    /// Another writer is in charge: they are refused for ever.
    Fenced,
    /// A thread panicked while it wrote: they are refused until the log is opened anew.
    Lost,
    /// The log has ended.
    Sealed,
}

impl Health {
    /// Whether appends are accepted.
    ///
    /// # Errors
    /// With what they are refused.
    pub fn accepts(&self) -> Result<(), AppendError> {
        Err(match self {
            Self::Healthy => return Ok(()),
            Self::Unhealthy { error } => AppendError::Io(Arc::clone(error)),
            Self::Fenced => AppendError::Fenced,
            Self::Lost => AppendError::Lost,
            Self::Sealed => AppendError::Sealed,
        })
    }
}
