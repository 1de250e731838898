//! The facts of a call: what the parsers make of the arguments that the tool's definition names.
//!
//! `commands`: list of {name, args, redirects: list of {descriptor, kind, target, writes}, assignments: list
//! of {name, value}}; `shell`: for `onlyRuns`; `path`: {absolute, inWorkspace, name}; `url`: {scheme, host,
//! port, path, query, hasUserinfo, isPrivate}; `git`: {subcommand, remote, refs: list of {source,
//! destination}, operands, options, force, config, runsProgram, folder}. What is not written is null; what is
//! not understood is opaque.

use serde_json::json;

use super::call::ToolCall;
use super::environment::map;
use crate::cel::Value;
use crate::facts::Fact as Known;
use crate::facts::git::{self, Git};
use crate::facts::path::{self, Path};
use crate::facts::shell::{self, Args, Command, Redirect, RedirectKind, Shell, Word};
use crate::facts::url::{self, Url};
use crate::policy::tools::Derive;

/// The members of `facts`.
const NAMES: [&str; 5] = ["commands", "shell", "path", "url", "git"];

/// Facts as expressions see them, each made once.
pub(super) struct Members<'f>(Vec<(&'f Derive, Vec<(&'static str, Value<'f>)>)>);

/// Facts, each derived once.
#[derive(Debug)]
pub(super) struct Facts {
    derived: Vec<(Derive, Fact)>,
}

/// The result of parsing one argument.
#[derive(Debug)]
enum Fact {
    Shell(Shell),
    Path(Known<Path>),
    Url(Known<Url>),
    Git(Known<Git>),
    /// The argument is absent or not a string.
    Opaque,
}

impl Facts {
    /// Derives everything that some definition names.
    ///
    /// Relative paths start at the workspace; without one they are opaque.
    pub(super) fn of(derives: &[Derive], call: &ToolCall, workspace: Option<&str>) -> Self {
        let fact = |derive: &Derive| Fact::of(derive, call, workspace.unwrap_or_default());
        let derived = derives.iter().map(|derive| (derive.clone(), fact(derive)));
        Self { derived: derived.collect() }
    }

    pub(super) fn members(&self) -> Members<'_> {
        Members(self.derived.iter().map(|(derive, fact)| (derive, fact.members())).collect())
    }

    /// All facts, for the record.
    pub(super) fn to_json(&self) -> serde_json::Value {
        self.members().to_json()
    }
}

impl<'f> Members<'f> {
    /// `facts` for a layer that may read these. Every other fact is opaque, and so is a fact that would be
    /// derived from two arguments.
    pub(super) fn values(&self, derives: &[Derive]) -> Value<'f> {
        let allowed = self.0.iter().filter(|(derive, _)| derives.contains(derive));
        let members: Vec<&(&str, Value<'f>)> = allowed.flat_map(|(_, members)| members).collect();
        map(NAMES.map(|name| {
            let mut of_name = members.iter().filter(|(known, _)| *known == name);
            match (of_name.next(), of_name.next()) {
                (Some((_, value)), None) => (name, value.clone()),
                _ => (name, Value::Opaque),
            }
        }))
    }

    /// All facts, for what an approval binds and for the record.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let one = |(derive, members): &(&Derive, Vec<(&'static str, Value<'f>)>)| {
            let members = members.iter().filter(|(_, value)| !matches!(value, Value::Shell(_)));
            let members: serde_json::Map<_, _> =
                members.map(|(name, value)| ((*name).to_owned(), to_json(value))).collect();
            json!({"derive": derive, "facts": members})
        };
        self.0.iter().map(one).collect()
    }
}

impl Fact {
    fn of(derive: &Derive, call: &ToolCall, workspace: &str) -> Self {
        let (Derive::Shell(name) | Derive::Path(name) | Derive::Url(name) | Derive::Git(name)) = derive;
        let Some(text) = call.text(name) else {
            return Fact::Opaque;
        };
        match derive {
            Derive::Shell(_) => Fact::Shell(shell::parse(text)),
            // The clerk, whose workspace is the root, opens no absolute path.
            Derive::Path(_) if workspace == "/" && text.starts_with('/') => Fact::Path(Known::Opaque),
            Derive::Path(_) => Fact::Path(path::parse(text, workspace)),
            Derive::Url(_) => Fact::Url(url::parse(text)),
            Derive::Git(_) => Fact::Git(git::parse(text)),
        }
    }

    fn members(&self) -> Vec<(&'static str, Value<'_>)> {
        match self {
            Fact::Opaque => Vec::new(),
            Fact::Shell(Shell::Opaque(_)) => vec![("commands", Value::Opaque), ("shell", Value::Opaque)],
            Fact::Shell(shell @ Shell::Parsed(line)) => {
                let commands = Value::list_of(line.commands.iter().map(command));
                vec![("commands", commands), ("shell", Value::Shell(shell))]
            }
            Fact::Path(path) => vec![("path", known(path, path_value))],
            Fact::Url(url) => vec![("url", known(url, url_value))],
            Fact::Git(git) => vec![("git", known(git, git_value))],
        }
    }
}

fn known<'a, T>(fact: &'a Known<T>, value: fn(&'a T) -> Value<'a>) -> Value<'a> {
    fact.known().map_or(Value::Opaque, value)
}

fn path_value(path: &Path) -> Value<'_> {
    map([
        ("absolute", Value::Str(&path.absolute)),
        ("inWorkspace", text_or_null(path.in_workspace.as_ref())),
        ("name", Value::Str(&path.name)),
    ])
}

fn url_value(url: &Url) -> Value<'_> {
    map([
        ("scheme", Value::Str(&url.scheme)),
        ("host", Value::Str(&url.host)),
        ("port", url.port.map_or(Value::Null, |port| Value::Int(port.into()))),
        ("path", Value::Str(&url.path)),
        ("query", text_or_null(url.query.as_ref())),
        ("hasUserinfo", Value::Bool(url.has_userinfo)),
        ("isPrivate", Value::Bool(url.is_private)),
    ])
}

fn git_value(git: &Git) -> Value<'_> {
    let refs = git.refs.iter().map(|one| {
        map([("source", Value::Str(one.source.as_str())), ("destination", word(&one.destination))])
    });
    map([
        ("subcommand", Value::Str(git.subcommand.as_str())),
        ("remote", text_or_null(git.remote.as_ref())),
        ("refs", Value::list_of(refs)),
        ("operands", texts(&git.operands)),
        ("options", texts(&git.options)),
        ("force", Value::Bool(git.force)),
        ("config", texts(&git.config)),
        ("runsProgram", Value::Bool(git.runs_program)),
        ("folder", text_or_null(git.folder.as_ref())),
    ])
}

fn texts(of: &[String]) -> Value<'_> {
    Value::list_of(of.iter().map(|text| Value::Str(text)))
}

fn text_or_null(text: Option<&String>) -> Value<'_> {
    text.map_or(Value::Null, |text| Value::Str(text))
}

fn word(word: &Word) -> Value<'_> {
    match word {
        Known::Known(text) => Value::Str(text),
        Known::Opaque => Value::Opaque,
    }
}

fn command(of: &Command) -> Value<'_> {
    // The end of the list is not known.
    let open = matches!(of.args, Args::Open(_)).then_some(Value::Opaque);
    let args = of.args.words().iter().map(word).chain(open);
    let assignments = of
        .assignments
        .iter()
        .map(|one| map([("name", Value::Str(one.name.as_str())), ("value", word(&one.value))]));
    map([
        ("name", word(&of.name)),
        ("args", Value::list_of(args)),
        ("redirects", Value::list_of(of.redirects.iter().map(redirect))),
        ("assignments", Value::list_of(assignments)),
    ])
}

fn redirect(of: &Redirect) -> Value<'_> {
    let kind = match of.kind {
        RedirectKind::Read => "read",
        RedirectKind::Write => "write",
        RedirectKind::Append => "append",
        RedirectKind::ReadWrite => "readWrite",
        RedirectKind::Duplicate => "duplicate",
        RedirectKind::HereDocument => "hereDocument",
        RedirectKind::HereString => "hereString",
    };
    let writes = match of.writes() {
        Known::Known(writes) => Value::Bool(writes),
        Known::Opaque => Value::Opaque,
    };
    map([
        ("descriptor", of.descriptor.map_or(Value::Null, |number| Value::Int(number.into()))),
        ("kind", Value::Str(kind)),
        ("target", word(&of.target)),
        ("writes", writes),
    ])
}

/// A fact for the record: an opaque value is the object `{"opaque": true}`, which no fact equals.
fn to_json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Opaque => json!({"opaque": true}),
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Str(text) => json!(text),
        Value::List(list) => list.iter().map(|item| to_json(&item)).collect(),
        Value::Map(members) => members
            .iter()
            .filter_map(|(key, value)| Some((key.as_str()?.to_owned(), to_json(&value))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        _ => serde_json::Value::Null,
    }
}
