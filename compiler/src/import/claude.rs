//! Permissions of Claude Code's settings, as rules over a pack's tools: `Bash` is `shell.exec`, which the pack that it is met with defines; `Read`, and
//! `Edit` and `Write`, are the files of the workspace.
//!
//! Of a command line every command must be allowed, and none may write by a redirection or set a variable: the settings say nothing of those. Nobody can
//! be asked, since the settings name no approvers: what they ask about is denied. What no rule allows is denied too.

use serde_json::{Value, json};

use super::glob::{Glob, is_exact, read};
use super::objects::{Losses, Object, Widens, label};

/// What a shell command is called in packs.
const SHELL: &str = "shell.exec";

/// Rules that are being made.
#[derive(Default)]
struct Rules {
    all: Vec<Value>,
    names: Vec<String>,
    /// Conditions of single commands that are allowed, with the names that they begin with.
    commands: Vec<(String, String)>,
    any_command: bool,
    reads_are_denied: bool,
}

/// One entry: `Tool` or `Tool(what)`.
struct Entry<'e> {
    tool: &'e str,
    what: Option<&'e str>,
}

impl<'e> Entry<'e> {
    fn parse(text: &'e str) -> Self {
        let text = text.trim();
        match text.split_once('(').and_then(|(tool, rest)| Some((tool, rest.strip_suffix(')')?))) {
            Some((tool, "*" | "**" | "")) => Self { tool, what: None },
            Some((tool, what)) => Self { tool, what: Some(what) },
            None => Self { tool: text, what: None },
        }
    }

    /// The tools of a pack that it is about.
    fn tools(&self) -> Option<&'static [&'static str]> {
        match self.tool {
            "Bash" => Some(&[SHELL]),
            "Read" | "Glob" | "Grep" | "LS" | "NotebookRead" => Some(&["workspace.read", "workspace.list"]),
            "Edit" | "Write" | "MultiEdit" | "NotebookEdit" => Some(&["workspace.write"]),
            _ => None,
        }
    }
}

pub(super) fn spec(objects: &[Object<'_>], losses: &mut Losses) -> Value {
    let mut rules = Rules::default();
    for settings in objects.iter().copied() {
        for name in settings.value.as_object().into_iter().flatten().map(|(name, _)| name) {
            if !matches!(name.as_str(), "permissions" | "$schema") {
                losses.add(settings, name, "settings other than permissions are not policy", Widens::No);
            }
        }
        let permissions = settings.at("/permissions").unwrap_or(&Value::Null);
        let known =
            ["allow", "deny", "ask", "defaultMode", "additionalDirectories", "disableBypassPermissionsMode"];
        losses.unknown(settings, permissions, "permissions", &known);
        for name in ["defaultMode", "additionalDirectories", "disableBypassPermissionsMode"] {
            if permissions.get(name).is_some() {
                let reason = "what no rule allows is denied, whatever the mode and the folder";
                losses.add(settings, &format!("permissions.{name}"), reason, Widens::No);
            }
        }
        for list in ["deny", "ask", "allow"] {
            let entries = permissions.get(list).and_then(Value::as_array);
            for (index, entry) in entries.into_iter().flatten().enumerate() {
                let path = format!("permissions.{list}[{index}]");
                let Some(text) = entry.as_str() else {
                    losses.add(settings, &path, "it is no text", Widens::Yes);
                    continue;
                };
                match list {
                    "allow" => rules.allow(settings, &path, text, losses),
                    "ask" => {
                        let reason = "nobody can be asked: the settings name no approvers; it is denied";
                        losses.add(settings, &path, reason, Widens::No);
                        rules.deny(settings, &path, text, losses);
                    }
                    _ => rules.deny(settings, &path, text, losses),
                }
            }
        }
        if rules.reads_are_denied && (rules.any_command || !rules.commands.is_empty()) {
            let reason = "files that may not be read are kept from `workspace.read`; a command that is allowed may read them in its sandbox";
            losses.add(settings, "permissions.deny", reason, Widens::Yes);
        }
    }
    rules.finish()
}

impl Rules {
    fn push(&mut self, name: &str, mut rule: Value) {
        let name = label(name, &self.names);
        rule["name"] = name.clone().into();
        self.names.push(name);
        self.all.push(rule);
    }

    fn deny(&mut self, settings: Object<'_>, path: &str, text: &str, losses: &mut Losses) {
        let entry = Entry::parse(text);
        let Some(tools) = entry.tools() else {
            let reason = "there is no such tool here, and nothing allows it";
            losses.add(settings, path, reason, Widens::No);
            return;
        };
        let reason = format!("the settings deny {text}");
        let name = format!("deny-{}", entry.tool);
        let when = match (entry.what, tools) {
            (None, _) => Value::Null,
            (Some(what), [SHELL]) => match denied_command(what) {
                Some((condition, is_exact)) => {
                    if !is_exact {
                        losses.add(settings, path, "more is denied: all that begins alike", Widens::No);
                    }
                    format!("facts.commands.exists(c, {condition})").into()
                }
                None => {
                    losses.add(
                        settings,
                        path,
                        "it cannot be said which commands; every one is denied",
                        Widens::No,
                    );
                    Value::Null
                }
            },
            (Some(what), _) => match read(what) {
                Glob::Inside(regex) => path_may_be(&regex).into(),
                Glob::Outside => {
                    let reason = "it lies outside of the workspace, which these tools cannot leave";
                    losses.add(settings, path, reason, Widens::No);
                    self.reads_are_denied |= tools.contains(&"workspace.read");
                    return;
                }
            },
        };
        self.reads_are_denied |= tools.contains(&"workspace.read");
        self.push(
            &name,
            super::object([("tools", json!(tools)), ("when", when), ("deny", json!({"reason": reason}))]),
        );
    }

    fn allow(&mut self, settings: Object<'_>, path: &str, text: &str, losses: &mut Losses) {
        let entry = Entry::parse(text);
        let Some(tools) = entry.tools() else {
            losses.add(settings, path, "there is no such tool here; it is not allowed", Widens::No);
            return;
        };
        match (entry.what, tools) {
            (None, [SHELL]) => self.any_command = true,
            (None, _) => self.push(&format!("allow-{}", entry.tool), json!({"tools": tools, "allow": {}})),
            (Some(what), [SHELL]) => match allowed_command(what) {
                Some(command) => self.commands.push(command),
                None => {
                    losses.add(settings, path, "it cannot be said exactly; it is not allowed", Widens::No)
                }
            },
            (Some(what), _) => match read(what) {
                Glob::Inside(regex) if is_exact(what) => {
                    let when = path_is(&regex);
                    let rule = json!({"tools": tools, "when": when, "allow": {}});
                    self.push(&format!("allow-{}", entry.tool), rule);
                }
                _ => losses.add(
                    settings,
                    path,
                    "it cannot be said of the workspace; it is not allowed",
                    Widens::No,
                ),
            },
        }
    }

    fn finish(mut self) -> Value {
        if self.any_command {
            self.push("allow-bash", json!({"tools": [SHELL], "allow": {}}));
        } else if !self.commands.is_empty() {
            let mut names: Vec<String> = self.commands.iter().map(|(name, _)| name.clone()).collect();
            names.sort();
            names.dedup();
            let each: Vec<&str> = self.commands.iter().map(|(_, condition)| condition.as_str()).collect();
            let when = format!(
                "facts.shell.onlyRuns({}) && facts.commands.all(c, c.redirects.size() == 0 && c.assignments.size() == 0 && ({}))",
                json!(names),
                each.join(" || ")
            );
            self.push("allow-bash", json!({"tools": [SHELL], "when": when, "allow": {}}));
        }
        json!({"tools": {"rules": self.all}})
    }
}

/// What a path in its one spelling does not hold: `..`, `.` before a slash or behind one, a doubled slash.
const SPELT: &str = "(^|/)[.][.](/|$)|/[.](/|$)|//|^[.]/";

/// The path is one that the pattern finds, or may be one under another spelling.
fn path_may_be(regex: &str) -> String {
    // A slash in front is read as the workspace's own.
    let regex = regex.strip_prefix('^').map_or_else(|| regex.to_owned(), |rest| format!("^/?{rest}"));
    format!("call.args.path.matches('{SPELT}') || call.args.path.matches('{regex}')")
}

/// The path is one that the pattern finds, in its one spelling.
fn path_is(regex: &str) -> String {
    format!("!call.args.path.matches('{SPELT}') && call.args.path.matches('{regex}')")
}

/// The words of a pattern over commands, and whether more may follow. `None`: it has more than plain words.
fn words(pattern: &str) -> Option<(Vec<&str>, bool)> {
    let (text, open) = match pattern.strip_suffix(":*").or_else(|| pattern.strip_suffix(" *")) {
        Some(text) => (text, true),
        None => (pattern, false),
    };
    let plain = |char: char| char.is_ascii_alphanumeric() || "_-./=:@+,%".contains(char);
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_plain = words.iter().all(|word| word.chars().all(plain));
    (is_plain && !words.is_empty()).then_some((words, open))
}

/// The name of an allowed command, and the condition over `c`: these words, and more only if the pattern says so. A last word that only begins
/// alike is not met, which is narrower than the settings.
fn allowed_command(pattern: &str) -> Option<(String, String)> {
    let (words, open) = words(pattern)?;
    let (name, arguments) = words.split_first()?;
    let condition = if open {
        let mut all = vec![format!("c.name == '{name}'")];
        if !arguments.is_empty() {
            all.push(format!("c.args.size() >= {}", arguments.len()));
        }
        all.extend(arguments.iter().enumerate().map(|(at, word)| format!("c.args[{at}] == '{word}'")));
        all.join(" && ")
    } else {
        format!("c.name == '{name}' && c.args == {}", json!(arguments))
    };
    Some(((*name).to_owned(), format!("({condition})")))
}

/// The condition of a denied command over `c`, and whether it says exactly what the pattern says; `None`: it begins with no plain word. Paths to
/// the program are met too, and words that begin as the last one does.
fn denied_command(pattern: &str) -> Option<(String, bool)> {
    let begin: String = match pattern.find([
        '*', '$', '`', '"', '\'', '\\', '|', '&', ';', '<', '>', '(', ')', '{', '}', '#', '~', '!', '?', '[',
    ]) {
        Some(at) if !pattern.ends_with(":*") || at + 1 < pattern.len() => {
            format!("{}:*", pattern.get(..at).unwrap_or_default().trim_end_matches(':'))
        }
        _ => pattern.to_owned(),
    };
    let (words, open) = words(&begin)?;
    let (name, arguments) = words.split_first()?;
    let name = name.replace('.', "[.]").replace('+', "[+]");
    if arguments.is_empty() && open {
        return Some((format!("c.name.matches('(^|/){name}')"), begin == pattern));
    }
    let mut all = vec![format!("c.name.matches('(^|/){name}$')")];
    if !open {
        // An exact pattern: these words and no others.
        all.push(format!("c.args == {}", json!(arguments)));
        return Some((all.join(" && "), true));
    }
    all.push(format!("c.args.size() >= {}", arguments.len()));
    let last = arguments.len().saturating_sub(1);
    all.extend(arguments.iter().enumerate().map(|(at, word)| {
        if at == last {
            format!("c.args[{at}].startsWith('{word}')")
        } else {
            format!("c.args[{at}] == '{word}'")
        }
    }));
    Some((all.join(" && "), begin == pattern))
}
