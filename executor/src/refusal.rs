//! Why a request is refused: one type, so that every refusal has a code word, a sentence and a remedy. The
//! API chooses its HTTP status ([`crate::api`]).

/// A refusal of a request. A denied call is not one: it is an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body or a parameter cannot be read.
    Malformed(String),
    /// The body is larger than the limit.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The call would take more memory than all large requests may take together.
    TooHeavy {
        /// Bytes that its arguments take as values.
        weight: usize,
        /// The limit, in bytes.
        most: usize,
    },
    /// The body did not come in time.
    TooSlow,
    /// No such session, or it was closed.
    UnknownSession,
    /// No such call in this session, or it was dropped since.
    UnknownCall,
    /// No such question, or it was answered or has lapsed.
    UnknownApproval,
    /// The approver's signature or key is not valid.
    BadApproval(String),
    /// The call does not read from its caller.
    NoStdin,
    /// The call has ended.
    Ended,
    /// The call's command has not begun.
    NotBegun,
    /// The call has no command that could take a signal.
    NotSignallable,
    /// The idempotency key was used for another call.
    KeyReused,
    /// The call with this idempotency key has been dropped; it is not run again.
    Dropped,
    /// The session has used as many idempotency keys as it may.
    KeysUsedUp {
        /// How many.
        most: usize,
    },
    /// The call cannot be cancelled.
    NotCancellable,
    /// Too many of something at one time.
    Busy(String),
    /// The session's workspace is gone.
    WorkspaceLost,
    /// The audit log accepts no records now; nothing runs without one.
    NotRecorded {
        /// Why.
        why: String,
        /// What to do about it.
        help: Option<&'static str>,
    },
    /// A fault in the executor ended the request.
    Fault,
    /// The executor is ending.
    Draining,
    /// The path exists, but not with this method.
    Method,
    /// No such path.
    NoSuchPath,
}

impl Refusal {
    /// A word for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } | Self::TooHeavy { .. } => "too-large",
            Self::TooSlow => "too-slow",
            Self::UnknownSession => "unknown-session",
            Self::UnknownCall => "unknown-call",
            Self::UnknownApproval => "unknown-approval",
            Self::BadApproval(_) => "bad-approval",
            Self::NoStdin => "no-stdin",
            Self::Ended => "ended",
            Self::NotBegun => "not-begun",
            Self::NotSignallable => "not-signallable",
            Self::KeyReused => "key-reused",
            Self::Dropped => "dropped",
            Self::KeysUsedUp { .. } => "keys-used-up",
            Self::NotCancellable => "not-cancellable",
            Self::Busy(_) => "busy",
            Self::WorkspaceLost => "workspace-lost",
            Self::NotRecorded { .. } => "not-recorded",
            Self::Fault => "fault",
            Self::Draining => "draining",
            Self::Method => "method",
            Self::NoSuchPath => "no-such-path",
        }
    }

    /// A sentence for people.
    #[must_use]
    pub fn message(&self) -> String {
        let text = match self {
            Self::Malformed(why) | Self::BadApproval(why) | Self::Busy(why) => why,
            Self::TooLarge { limit } => return format!("the body has more than {limit} bytes"),
            Self::TooHeavy { weight, most } => {
                return format!(
                    "the arguments have so many values that they take {weight} bytes of memory, and all requests together have {most}"
                );
            }
            Self::KeysUsedUp { most } => {
                return format!("limit of {most} idempotency keys of this session reached");
            }
            Self::NotRecorded { why, .. } => {
                return format!("the audit log takes no records now, and nothing runs without one: {why}");
            }
            Self::Fault => "a fault in the executor ended the request; the audit log says what became of it",
            Self::TooSlow => "the body did not come in time",
            Self::UnknownSession => "there is no such session, or it was closed",
            Self::UnknownCall => "there is no such call in this session, or its output was dropped",
            Self::UnknownApproval => "there is no such question, or it was answered, or has lapsed",
            Self::NoStdin => "this call does not read from its caller, or its input was closed",
            Self::Ended => "the call has ended",
            Self::NotBegun => "the call's command has not begun yet",
            Self::NotSignallable => "a tool of the workspace takes no signals",
            Self::KeyReused => "the idempotency key was used for another call",
            Self::Dropped => "the call of this idempotency key has ended, and what it gave was dropped since",
            Self::NotCancellable => "a tool of the workspace cannot be cancelled",
            Self::WorkspaceLost => "the session's workspace is gone with the process that held it",
            Self::Draining => "the executor takes no more calls, since it is to end",
            Self::Method => "this path does not take this method",
            Self::NoSuchPath => "there is no such path",
        };
        text.to_owned()
    }

    /// What to do about it.
    #[must_use]
    pub const fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::TooLarge { .. } => "send large inputs as files by `workspace.write`, in parts",
            Self::TooHeavy { .. } => "send data as one string, or as a file by `workspace.write`",
            Self::UnknownSession => "open one by POST /v1/sessions",
            Self::UnknownApproval => "the agent repeats its call and gets a new question",
            Self::NoStdin => "the pack allows it by `stdin: Stream`",
            Self::KeyReused => "a key belongs to one call with its arguments",
            Self::Dropped => "see the audit log for its outcome; send a new key to run it again",
            Self::NotCancellable => "it ends by itself within seconds",
            Self::Busy(_) => "try again later",
            Self::NotBegun => "try again in a moment, or cancel the call",
            Self::NotSignallable => "it ends by itself within seconds",
            Self::WorkspaceLost | Self::KeysUsedUp { .. } => "close the session and open a new one",
            Self::NotRecorded { help, .. } => return *help,
            Self::Fault => "see the executor's own log for the fault, and report it",
            Self::NoSuchPath => "the paths stand in docs/executor-api.json",
            _ => return None,
        })
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message())?;
        self.help().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}
