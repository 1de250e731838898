//! Why a record was not written, and what helps.

use bailiwick_audit::{AppendError, OpenError};
use bailiwick_policy::tool::StateError;
use thiserror::Error;

use crate::clock::ClockError;

/// Why a call was not decided, or its end not recorded.
#[derive(Clone, Debug, Error)]
pub enum DocketError {
    /// No record, no run.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The time is unknown.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The state has no room for what the record would add. Nothing was recorded.
    #[error("{0}")]
    Full(StateError),
    /// The state directory is as large as it may be. What has begun is recorded to its end.
    #[error("the state directory has the {0} bytes that it may have")]
    Extent(u64),
    /// How large the state directory is cannot be found out.
    #[error("the size of the state directory is unknown")]
    Unmeasured,
    /// A record did not apply to the state. A fault of ours; nothing is decided until the state is read back.
    #[error("the state and the log have parted: {0}")]
    State(#[from] StateError),
    /// A value has no JSON form. A fault of ours.
    #[error("a record cannot be written down: {0}")]
    Form(String),
}

/// Why there is no docket.
#[derive(Debug, Error)]
pub enum OpenDocketError {
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be read back.
    #[error("cannot read the state back from the log: {0}")]
    Fold(String),
    /// The sessions of an earlier run cannot be closed.
    #[error(transparent)]
    Docket(#[from] DocketError),
}

impl DocketError {
    /// Whether nothing but a new start helps, which reads log and state back from the disk.
    #[must_use]
    pub const fn needs_restart(&self) -> bool {
        matches!(self, Self::Append(AppendError::Lost) | Self::State(_))
    }

    /// What to do about it; `None`: the error says it, or nothing needs to be done.
    #[must_use]
    pub const fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            _ if self.needs_restart() => {
                "restart the executor, which recovers the log; it ends by itself with exit code 1"
            }
            Self::Append(AppendError::Io(_) | AppendError::NotYet(_)) => {
                "free or repair the disk that holds the state directory; the executor then resumes by itself"
            }
            Self::Extent(_) => {
                "copy the log, and start the executor with a new directory as --state, or with a larger --max-state-bytes"
            }
            Self::Unmeasured => "let the executor read its state directory; its log says what it cannot read",
            Self::Append(AppendError::Fenced) => "end one of the two executors of this state directory",
            Self::Append(AppendError::Sealed) => "start the executor with a new state directory",
            Self::Append(AppendError::Busy | AppendError::Overtaken | AppendError::TooManyOpen(_)) => {
                "try again later"
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn only_a_disk_that_fails_is_to_be_repaired() {
        let disk = DocketError::Append(AppendError::Io(Arc::new(io::Error::other("full"))));
        assert!(disk.remedy().is_some_and(|help| help.contains("disk")) && !disk.needs_restart());
        let parted = DocketError::State(StateError::UnknownCall("c".to_owned()));
        for lost in [DocketError::Append(AppendError::Lost), parted] {
            assert!(lost.needs_restart());
            assert!(lost.remedy().is_some_and(|help| help.starts_with("restart the executor")), "{lost}");
        }
        for other in [AppendError::Fenced, AppendError::Sealed, AppendError::Busy] {
            let other = DocketError::Append(other);
            assert!(other.remedy().is_some_and(|help| !help.contains("disk")) && !other.needs_restart());
        }
        assert_eq!(DocketError::Clock(ClockError::Behind(1)).remedy(), None, "the error says it");
    }
}
