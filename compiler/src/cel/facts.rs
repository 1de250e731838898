//! The types of `facts`: what the built-in parsers find in a call's arguments. Any part of it may be *opaque* when it is evaluated.

use super::types::Type;

/// `facts`. Which of it is there depends on what the tool derives.
pub(super) fn facts() -> Type {
    Type::record(
        "Facts",
        [
            ("commands", Type::list(command())),
            ("shell", shell()),
            ("path", Type::Dyn),
            ("url", url()),
            ("git", Type::Dyn),
        ],
    )
}

/// `facts.shell`.
pub(super) fn shell() -> Type {
    Type::record("Shell", [])
}

fn command() -> Type {
    Type::record(
        "Command",
        [
            ("name", Type::String),
            ("args", Type::list(Type::String)),
            ("redirects", Type::list(Type::Dyn)),
            ("assignments", Type::list(Type::Dyn)),
        ],
    )
}

fn url() -> Type {
    Type::record(
        "Url",
        [
            ("scheme", Type::String),
            ("host", Type::String),
            ("port", Type::Int),
            ("path", Type::String),
            ("isPrivate", Type::Bool),
        ],
    )
}
