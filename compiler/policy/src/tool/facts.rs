//! The facts of a call: what the parsers make of the arguments that the tool's definition names.

use serde_json::json;

use super::call::ToolCall;
use super::environment::map;
use crate::cel::Value;
use crate::facts::Fact as Known;
use crate::facts::shell::{self, Args, Command, Redirect, RedirectKind, Shell, Word};
use crate::policy::tools::Derive;

/// The members of `facts`.
const NAMES: [&str; 5] = ["commands", "shell", "path", "url", "git"];

/// Facts, each derived once.
#[derive(Debug)]
pub(super) struct Facts {
    derived: Vec<(Derive, Fact)>,
}

/// What was made of one argument.
#[derive(Debug)]
enum Fact {
    Shell(Shell),
    /// The argument is not there, or no string.
    Opaque,
}

impl Facts {
    /// Derives all that some definition names.
    pub(super) fn of(derives: &[Derive], call: &ToolCall) -> Self {
        let derived = derives.iter().map(|derive| (derive.clone(), Fact::of(derive, call)));
        Self { derived: derived.collect() }
    }

    /// `facts` for a layer that may read these. Everything else is opaque, and so is what would be derived from two arguments.
    pub(super) fn values<'a>(&'a self, derives: &[Derive]) -> Value<'a> {
        let allowed = self.derived.iter().filter(|(derive, _)| derives.contains(derive));
        let members: Vec<(&str, Value<'a>)> = allowed.flat_map(|(_, fact)| fact.members()).collect();
        map(NAMES.map(|name| {
            let mut of_name = members.iter().filter(|(known, _)| *known == name);
            match (of_name.next(), of_name.next()) {
                (Some((_, value)), None) => (name, value.clone()),
                _ => (name, Value::Opaque),
            }
        }))
    }

    /// All facts, for the record and for what an approval binds.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let one = |(derive, fact): &(Derive, Fact)| {
            let members = fact.members().into_iter().filter(|(_, value)| !matches!(value, Value::Shell(_)));
            let members: serde_json::Map<_, _> =
                members.map(|(name, value)| (name.to_owned(), to_json(&value))).collect();
            json!({"derive": derive, "facts": members})
        };
        self.derived.iter().map(one).collect()
    }
}

impl Fact {
    fn of(derive: &Derive, call: &ToolCall) -> Self {
        match derive {
            Derive::Shell(name) => {
                call.text(name).map_or(Fact::Opaque, |line| Fact::Shell(shell::parse(line)))
            }
            Derive::Path(_) | Derive::Url(_) | Derive::Git(_) => Fact::Opaque,
        }
    }

    fn members(&self) -> Vec<(&'static str, Value<'_>)> {
        match self {
            Fact::Opaque => Vec::new(),
            Fact::Shell(Shell::Opaque(_)) => vec![("commands", Value::Opaque), ("shell", Value::Opaque)],
            Fact::Shell(shell @ Shell::Parsed(line)) => {
                let commands = line.commands.iter().map(command).collect();
                vec![("commands", Value::list(commands)), ("shell", Value::Shell(shell))]
            }
        }
    }
}

fn word(word: &Word) -> Value<'_> {
    match word {
        Known::Known(text) => Value::Str(text),
        Known::Opaque => Value::Opaque,
    }
}

fn command(of: &Command) -> Value<'_> {
    let mut args: Vec<Value<'_>> = of.args.words().iter().map(word).collect();
    // The list has no end that anybody knows.
    if matches!(of.args, Args::Open(_)) {
        args.push(Value::Opaque);
    }
    let assignments = of
        .assignments
        .iter()
        .map(|one| map([("name", Value::Str(one.name.as_str())), ("value", word(&one.value))]));
    map([
        ("name", word(&of.name)),
        ("args", Value::list(args)),
        ("redirects", Value::list(of.redirects.iter().map(redirect).collect())),
        ("assignments", Value::list(assignments.collect())),
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

/// A fact for the record: what is opaque is an object `{"opaque": true}`, which no fact is.
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
