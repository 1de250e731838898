//! Texts from which the parsers derive wished facts: a command line, a URL, a path, a git command.

use serde_json::Value;

use super::super::wishes::{Place, Want, Wish};

/// Most words of a command that is made.
const MAX_ARGS: usize = 64;

/// The wishes for the facts of one call, before they become a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    commands: Command,
    url: Url,
    path: Option<String>,
    git: Git,
}

#[derive(Clone, Debug, Default)]
struct Command {
    name: Option<String>,
    args: Vec<String>,
    /// Kind and target.
    redirect: Option<(String, String)>,
    assignment: Option<(String, String)>,
}

#[derive(Clone, Debug, Default)]
struct Url {
    scheme: Option<String>,
    host: Option<String>,
    port: Option<i64>,
    path: Option<String>,
    query: Option<String>,
    userinfo: bool,
    private: bool,
}

#[derive(Clone, Debug, Default)]
struct Git {
    subcommand: Option<String>,
    remote: Option<String>,
    force: bool,
    rest: Vec<String>,
}

impl Facts {
    /// Adds the wish for one fact; wishes that cannot be written are left out.
    pub(super) fn wish(&mut self, (place, want): &Wish) {
        let names = place.names();
        let Some((fact, rest)) = names.split_first() else { return };
        match *fact {
            "commands" => self.commands.wish(rest, want),
            "url" => self.url.wish(rest, want),
            "git" => self.git.wish(rest, want),
            "path" => {
                let text = text_of(want);
                self.path = match rest {
                    ["name"] => text.map(|name| format!("/{}", name.trim_start_matches('/'))),
                    _ => text,
                };
            }
            _ => {}
        }
    }

    pub(super) fn shell(&self, fallback: &str) -> String {
        let Command { name, args, redirect, assignment } = &self.commands;
        let mut words = Vec::new();
        words.extend(assignment.iter().map(|(name, value)| format!("{name}={}", quoted(value))));
        words.push(name.as_deref().map_or_else(|| fallback.to_owned(), quoted));
        words.extend(args.iter().map(|word| quoted(word)));
        words.extend(redirect.iter().map(|(kind, target)| format!("{kind} {}", quoted(target))));
        words.join(" ")
    }

    pub(super) fn url(&self) -> String {
        let Url { scheme, host, port, path, query, userinfo, private } = &self.url;
        let host = host.as_deref().unwrap_or(if *private { "10.0.0.1" } else { "example.com" });
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let user = if *userinfo { "user:word@" } else { "" };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = path.as_deref().unwrap_or("/");
        let query = query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!(
            "{}://{user}{host}{port}/{}{query}",
            scheme.as_deref().unwrap_or("https"),
            path.trim_start_matches('/')
        )
    }

    /// `of_workspace`: relative to the workspace, which is the root of the built-in tools; they open no
    /// absolute path, so that every fact of one is opaque.
    pub(super) fn path(&self, of_workspace: bool) -> String {
        let path = self.path.as_deref().unwrap_or(if of_workspace { "file" } else { "/work/file" });
        let relative = path.trim_start_matches('/');
        if of_workspace && !relative.is_empty() { relative.to_owned() } else { path.to_owned() }
    }

    pub(super) fn git(&self) -> String {
        let Git { subcommand, remote, force, rest } = &self.git;
        let mut words = vec!["git".to_owned(), subcommand.clone().unwrap_or_else(|| "status".to_owned())];
        words.extend(force.then(|| "--force".to_owned()));
        words.extend(remote.clone());
        words.extend(rest.iter().cloned());
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

impl Command {
    fn wish(&mut self, names: &[&str], want: &Want) {
        match (names, want) {
            (["name"], want) => self.name = text_of(want).or_else(|| self.name.take()),
            (["args"], Want::Is(Value::Array(words))) => {
                self.args = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            }
            (["args"], Want::Size(size)) => self.args.resize((*size).min(MAX_ARGS), "a".to_owned()),
            (["args"], Want::Absent) => self.args.clear(),
            (["args"], Want::Lacks(value)) => self.args.retain(|word| Some(word.as_str()) != value.as_str()),
            (["args"], want) => {
                let word = text_of(want).filter(|word| !self.args.contains(word));
                self.args.extend(word);
            }
            (["redirects", rest @ ..], want) => {
                let (kind, target) = self.redirect.take().unwrap_or((">".to_owned(), "file".to_owned()));
                self.redirect = match rest {
                    _ if *want == Want::Absent => None,
                    ["target"] => Some((kind, text_of(want).unwrap_or(target))),
                    ["writes"] if *want == Want::Is(Value::Bool(false)) => Some(("<".to_owned(), target)),
                    _ => Some((kind, target)),
                };
            }
            (["assignments", rest @ ..], want) => {
                let (name, value) = self.assignment.take().unwrap_or(("x".to_owned(), "1".to_owned()));
                self.assignment = match rest {
                    _ if *want == Want::Absent => None,
                    ["name"] => Some((text_of(want).unwrap_or(name), value)),
                    ["value"] => Some((name, text_of(want).unwrap_or(value))),
                    _ => Some((name, value)),
                };
            }
            _ => {}
        }
    }
}

impl Url {
    fn wish(&mut self, names: &[&str], want: &Want) {
        let truth = *want == Want::Is(Value::Bool(true));
        match names {
            ["scheme"] => self.scheme = text_of(want),
            ["host"] => self.host = text_of(want),
            ["port"] => {
                self.port = match want {
                    Want::Is(value) => value.as_i64(),
                    _ => None,
                }
            }
            ["path"] => self.path = text_of(want),
            ["query"] => self.query = text_of(want),
            ["hasUserinfo"] => self.userinfo = truth,
            ["isPrivate"] => self.private = truth,
            _ => {}
        }
    }
}

impl Git {
    fn wish(&mut self, names: &[&str], want: &Want) {
        match names {
            ["subcommand"] => self.subcommand = text_of(want),
            ["remote"] => self.remote = text_of(want),
            ["force"] => self.force = *want == Want::Is(Value::Bool(true)),
            ["operands" | "options" | "config", ..] | ["refs", ..] => self.rest.extend(text_of(want)),
            _ => {}
        }
    }
}

/// The text that is wished.
fn text_of(want: &Want) -> Option<String> {
    match want {
        Want::Is(Value::String(text)) | Want::Holds(Value::String(text)) => Some(text.clone()),
        Want::Is(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
        Want::Present => Some("a".to_owned()),
        _ => None,
    }
}

/// A word quoted for the shell.
fn quoted(word: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=@+,%".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Whether a place is one of the facts.
pub(super) fn is_fact(place: &Place) -> bool {
    place.root == bailiwick_policy::ir::Root::Facts
}
