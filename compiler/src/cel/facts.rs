//! The types of `facts`: what the built-in parsers derive from a call's arguments. At evaluation, any part
//! may be *opaque*.
//!
//! A part that may be null (a missing query, a port that is not given) is `dyn`: no other type can be
//! compared both with null and with a text.

use super::types::Type;

/// `facts`. Which parts are present depends on what the tool derives.
pub(super) fn facts() -> Type {
    Type::record(
        "Facts",
        [
            ("commands", Type::list(command())),
            ("shell", shell()),
            ("path", path()),
            ("url", url()),
            ("git", git()),
        ],
    )
}

/// `facts.shell`.
pub(super) fn shell() -> Type {
    Type::record("Shell", [])
}

fn command() -> Type {
    let redirect = Type::record(
        "Redirect",
        [("descriptor", Type::Dyn), ("kind", Type::String), ("target", Type::String), ("writes", Type::Bool)],
    );
    let assignment = Type::record("Assignment", [("name", Type::String), ("value", Type::String)]);
    Type::record(
        "Command",
        [
            ("name", Type::String),
            ("args", Type::list(Type::String)),
            ("redirects", Type::list(redirect)),
            ("assignments", Type::list(assignment)),
        ],
    )
}

fn path() -> Type {
    Type::record("Path", [("absolute", Type::String), ("inWorkspace", Type::Dyn), ("name", Type::String)])
}

fn url() -> Type {
    Type::record(
        "Url",
        [
            ("scheme", Type::String),
            ("host", Type::String),
            ("port", Type::Dyn),
            ("path", Type::String),
            ("query", Type::Dyn),
            ("hasUserinfo", Type::Bool),
            ("isPrivate", Type::Bool),
        ],
    )
}

fn git() -> Type {
    let reference = Type::record("Reference", [("source", Type::String), ("destination", Type::String)]);
    Type::record(
        "Git",
        [
            ("subcommand", Type::String),
            ("remote", Type::Dyn),
            ("refs", Type::list(reference)),
            ("operands", Type::list(Type::String)),
            ("options", Type::list(Type::String)),
            ("force", Type::Bool),
            ("config", Type::list(Type::String)),
            ("runsProgram", Type::Bool),
            ("folder", Type::Dyn),
        ],
    )
}
