//! Permissions in Claude Code's settings, as rules over a pack's tools. `Bash` is `shell.exec`, which is
//! defined by the pack that the result is met with. `Read`, `Edit` and `Write` are files of the workspace.
//!
//! Every command of a command line must be allowed, and none may write by a redirection or set a variable:
//! the settings do not cover those. The settings name no approvers, so what they ask about is denied. Of
//! these four tools, what no entry allows is denied too. Other tools belong to the pack that the result is
//! met with: the settings have no name for them.

use serde_json::{Value, json};

use super::commands;
use super::glob::{Glob, is_exact, is_wider, named, read, spelt_otherwise};
use super::objects::{Losses, Object, Widens, label};

/// The name of shell commands in packs.
const SHELL: &str = "shell.exec";

/// Rules under construction.
#[derive(Default)]
struct Rules {
    all: Vec<Value>,
    names: Vec<String>,
    /// Conditions for single allowed commands, with the names that they begin with.
    commands: Vec<(String, String)>,
    any_command: bool,
    /// Denied files.
    files: Vec<DeniedFile>,
    /// Whether any file is denied, and any command.
    files_are_denied: bool,
    commands_are_denied: bool,
    /// Whether nothing may be changed or run.
    only_plans: bool,
}

/// Files that an entry denies by a pattern.
struct DeniedFile {
    tool: String,
    entry: String,
    pattern: String,
    /// A regular expression for a word of a command that names one of them.
    word: String,
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

    /// The pack's tools that it applies to.
    fn tools(&self) -> Option<&'static [&'static str]> {
        match self.tool {
            "Bash" => Some(&[SHELL]),
            "Read" | "Glob" | "Grep" | "LS" | "NotebookRead" => Some(&["workspace.read", "workspace.list"]),
            "Edit" | "Write" | "MultiEdit" | "NotebookEdit" => Some(&["workspace.write"]),
            _ => None,
        }
    }
}

/// Settings that restrict nothing: appearance, cost, display. Every other setting may be a restriction.
const HARMLESS: [&str; 8] = [
    "model",
    "theme",
    "outputStyle",
    "statusLine",
    "spinnerTipsEnabled",
    "cleanupPeriodDays",
    "includeCoAuthoredBy",
    "alwaysThinkingEnabled",
];
/// Modes that allow as much as the entries do, or more; the additions are not allowed here.
const OPEN_MODES: [&str; 4] = ["default", "acceptEdits", "dontAsk", "bypassPermissions"];
/// Commands that run the command after them, which the settings look through and packs do not.
const WRAPPERS: [&str; 7] = ["timeout", "nice", "nohup", "xargs", "env", "stdbuf", "time"];
/// Every tool that entries apply to.
const TOOLS: [&str; 4] = [SHELL, "workspace.read", "workspace.list", "workspace.write"];

pub(super) fn spec(objects: &[Object<'_>], losses: &mut Losses) -> Value {
    let mut rules = Rules::default();
    for settings in objects.iter().copied() {
        top_level(settings, losses);
        let permissions = settings.at("/permissions").unwrap_or(&Value::Null);
        let known =
            ["allow", "deny", "ask", "defaultMode", "additionalDirectories", "disableBypassPermissionsMode"];
        losses.unknown(settings, permissions, "permissions", &known);
        if !permissions.is_object() {
            losses.add(settings, "permissions", "it is not an object", Widens::Yes);
        }
        rules.mode(settings, losses);
        for list in ["deny", "ask", "allow"] {
            let entries = permissions.get(list).and_then(Value::as_array);
            if permissions.get(list).is_some() && entries.is_none() {
                losses.add(settings, &format!("permissions.{list}"), "it is not a list", Widens::Yes);
            }
            for (index, entry) in entries.into_iter().flatten().enumerate() {
                let path = format!("permissions.{list}[{index}]");
                let Some(text) = entry.as_str() else {
                    losses.add(settings, &path, "it is not text", Widens::Yes);
                    continue;
                };
                let known = rules.names.len();
                match list {
                    "allow" => rules.allow(settings, &path, text, losses),
                    "ask" => {
                        let reason = "nobody can be asked: the settings name no approvers; it is denied";
                        losses.add(settings, &path, reason, Widens::No);
                        rules.deny(settings, &path, text, losses);
                    }
                    _ => rules.deny(settings, &path, text, losses),
                }
                losses.made(rules.names.iter().skip(known), settings);
            }
        }
    }
    let denies =
        |one: &Object<'_>| one.at("/permissions/deny").or_else(|| one.at("/permissions/ask")).is_some();
    if let Some(settings) = objects.iter().copied().find(denies).or_else(|| objects.first().copied()) {
        rules.what_commands_reach(settings, losses);
    }
    rules.finish()
}

/// The settings next to `permissions`.
fn top_level(settings: Object<'_>, losses: &mut Losses) {
    for name in settings.value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()) {
        match name {
            "permissions" | "$schema" => {}
            name if HARMLESS.contains(&name) => {
                losses.add(settings, name, "it restricts nothing", Widens::No);
            }
            _ => losses.add(settings, name, "it is not taken over; it may restrict something", Widens::Yes),
        }
    }
}

impl Rules {
    fn push(&mut self, name: &str, mut rule: Value) {
        let name = label(name, &self.names);
        if let Some(members) = rule.as_object_mut() {
            members.insert("name".to_owned(), name.clone().into());
        }
        self.names.push(name);
        self.all.push(rule);
    }

    /// The members of `permissions` that are not lists of entries over tools.
    fn mode(&mut self, settings: Object<'_>, losses: &mut Losses) {
        for name in ["additionalDirectories", "disableBypassPermissionsMode"] {
            if settings.at(&format!("/permissions/{name}")).is_some() {
                let reason = "what no entry allows is denied, whatever the mode and the folder";
                losses.add(settings, &format!("permissions.{name}"), reason, Widens::No);
            }
        }
        let Some(mode) = settings.at("/permissions/defaultMode") else { return };
        let (reason, widens) = match mode.as_str() {
            Some("plan") => {
                self.only_plans = true;
                ("commands and writing are denied, also those that an entry allows", Widens::No)
            }
            Some(mode) if OPEN_MODES.contains(&mode) => {
                ("what no entry allows is denied, whatever the mode and the folder", Widens::No)
            }
            _ => ("the mode is not known; it may restrict what an entry allows", Widens::Yes),
        };
        losses.add(settings, "permissions.defaultMode", reason, widens);
    }

    fn deny(&mut self, settings: Object<'_>, path: &str, text: &str, losses: &mut Losses) {
        let entry = Entry::parse(text);
        let Some(tools) = entry.tools() else {
            let reason = "no tool here is known to be this one; a pack that it is met with may have it under another name";
            losses.add(settings, path, reason, Widens::Yes);
            return;
        };
        match tools {
            [SHELL] => self.commands_are_denied |= entry.what.is_some(),
            _ => self.files_are_denied = true,
        }
        let reason = format!("the settings deny {text}");
        let name = format!("deny-{}", entry.tool);
        let when = match (entry.what, tools) {
            (None, _) => Value::Null,
            (Some(what), [SHELL]) => match commands::denied(what) {
                Some((condition, is_exact)) => {
                    if !is_exact {
                        losses.add(settings, path, "more is denied: all that begins alike", Widens::No);
                    }
                    format!("facts.commands.exists(c, {condition})").into()
                }
                None => {
                    let reason = "it cannot be said which commands; every one is denied";
                    losses.add(settings, path, reason, Widens::No);
                    Value::Null
                }
            },
            (Some(what), _) => {
                // If the pattern matches everything, every word names it.
                let word = named(what).unwrap_or_else(|| "(?s:.)".to_owned());
                if is_wider(what) {
                    let reason = "more is denied: some characters stand for any character, and what follows an escape or an unclear class for anything";
                    losses.add(settings, path, reason, Widens::No);
                }
                let (tool, entry) = (entry.tool.to_owned(), text.to_owned());
                self.files.push(DeniedFile { tool, entry, pattern: what.to_owned(), word });
                match read(what) {
                    Glob::Inside(regex) => path_may_be(&regex).into(),
                    // The tools over files reach none of it.
                    Glob::System => return,
                    Glob::Outside => {
                        let reason = "it is denied to commands that name it; if it leads into the workspace, tools over files reach it";
                        losses.add(settings, path, reason, Widens::Yes);
                        return;
                    }
                }
            }
        };
        self.push(
            &name,
            super::object([("tools", json!(tools)), ("when", when), ("deny", json!({"reason": reason}))]),
        );
    }

    /// What an allowed command may do although the settings do not allow it.
    fn what_commands_reach(&self, settings: Object<'_>, losses: &mut Losses) {
        let is_allowed = self.any_command || !self.commands.is_empty();
        if self.files_are_denied && is_allowed {
            let reason = "a command that names a denied file is denied, whatever it would do with it, and one that spells any path with `//`, `/./` or `/../` or that cannot be read, too";
            losses.add(settings, "permissions.deny", reason, Widens::No);
            let reason = "a command that is allowed may reach denied files in its sandbox without naming them: in a program, by a folder above them";
            losses.add(settings, "permissions.deny", reason, Widens::Yes);
        }
        for (name, _) in &self.commands {
            if name == "find" || WRAPPERS.contains(&name.as_str()) {
                let reason = format!("`{name}` may run other commands, which are not looked at");
                losses.add(settings, "permissions.allow", reason, Widens::Yes);
            }
        }
        let wraps =
            self.any_command || self.commands.iter().any(|(name, _)| WRAPPERS.contains(&name.as_str()));
        if self.commands_are_denied && wraps {
            let reason = format!("a denied command is not seen behind {}", WRAPPERS.join(", "));
            losses.add(settings, "permissions.deny", reason, Widens::Yes);
        }
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
            (Some(what), [SHELL]) => match commands::allowed(what) {
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
        let is_allowed = self.any_command || !self.commands.is_empty();
        let files = if is_allowed { std::mem::take(&mut self.files) } else { Vec::new() };
        for DeniedFile { tool, entry, word, .. } in &files {
            let reason = format!("the settings deny {entry}, which the command names");
            let rule = json!({"tools": [SHELL], "when": commands::naming(word), "deny": {"reason": reason}});
            self.push(&format!("deny-naming-{tool}"), rule);
        }
        if !files.is_empty() {
            let word = spelt_otherwise(files.iter().map(|file| file.pattern.as_str()));
            let reason =
                "the settings deny files, and the command spells a path in another way than its shortest";
            let rule = json!({"tools": [SHELL], "when": commands::naming(word), "deny": {"reason": reason}});
            self.push("deny-spelling", rule);
        }
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
        self.close();
        json!({"tools": {"rules": self.all}})
    }

    /// Denies the tools that no entry allows. A pack that does not grant a tool does not restrict it either,
    /// so the pack that it is met with would decide alone.
    fn close(&mut self) {
        let grants = |tool: &str| {
            self.all.iter().any(|rule| {
                let tools = rule["tools"].as_array();
                rule.get("allow").is_some() && tools.is_some_and(|all| all.iter().any(|one| one == tool))
            })
        };
        let closed: Vec<&str> = TOOLS.into_iter().filter(|tool| !grants(tool)).collect();
        if !closed.is_empty() {
            let reason = "no entry of the settings allows it";
            self.push("deny-ungranted", json!({"tools": closed, "deny": {"reason": reason}}));
        }
        if self.only_plans {
            let reason = "the settings only plan";
            self.push(
                "deny-planned",
                json!({"tools": [SHELL, "workspace.write"], "deny": {"reason": reason}}),
            );
        }
    }
}

/// What a path in canonical spelling does not contain: `..`, `.` before or after a slash, a doubled slash.
const SPELT: &str = "(^|/)[.][.](/|$)|/[.](/|$)|//|^[.]/";

/// The path matches the pattern, or may match it under another spelling.
fn path_may_be(regex: &str) -> String {
    // A leading slash means the workspace.
    let regex = regex.strip_prefix('^').map_or_else(|| regex.to_owned(), |rest| format!("^/?{rest}"));
    format!("call.args.path.matches('{SPELT}') || call.args.path.matches('{regex}')")
}

/// The path matches the pattern, in canonical spelling.
fn path_is(regex: &str) -> String {
    format!("!call.args.path.matches('{SPELT}') && call.args.path.matches('{regex}')")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::import::{Kind, Source, import};

    #[test]
    fn what_is_no_list_is_a_loss() {
        for (permissions, at) in [
            (json!("x"), "permissions"),
            (json!({"deny": "Read(./.env)"}), "permissions.deny"),
            (json!({"deny": [], "ask": {"0": "Bash(ls)"}}), "permissions.ask"),
        ] {
            let settings = json!({"permissions": permissions});
            let source = Source { name: "settings.json".to_owned(), documents: vec![settings] };
            let losses = import(Some(Kind::ClaudeSettings), "p", &[source]).expect("a pack").losses;
            assert!(losses.iter().any(|loss| loss.at == at && loss.widens), "{at}: {losses:?}");
        }
    }

    #[test]
    fn a_denied_command_behind_an_assignment_denies_all() {
        let settings = json!({"permissions": {"deny": ["Bash(A=b curl:*)"]}});
        let source = Source { name: "settings.json".to_owned(), documents: vec![settings] };
        let imported = import(Some(Kind::ClaudeSettings), "p", &[source]).expect("a pack");
        let pack = serde_json::to_value(imported.pack).expect("JSON");
        let rule = &pack["spec"]["tools"]["rules"][0];
        assert_eq!((&rule["name"], rule.get("when")), (&json!("deny-bash"), None), "{rule}");
        let reason = "it cannot be said which commands; every one is denied";
        assert!(imported.losses.iter().any(|loss| loss.reason == reason), "{:?}", imported.losses);
    }

    #[test]
    fn what_is_read_as_any_character_is_a_loss() {
        let losses = |entry: &str| {
            let settings = json!({"permissions": {"deny": [entry]}});
            let source = Source { name: "settings.json".to_owned(), documents: vec![settings] };
            let losses = import(Some(Kind::ClaudeSettings), "p", &[source]).expect("a pack").losses;
            losses.into_iter().map(|loss| (loss.at, loss.reason, loss.widens)).collect::<Vec<_>>()
        };
        let reason = "more is denied: some characters stand for any character, and what follows an escape or an unclear class for anything";
        let told = [("permissions.deny[0]".to_owned(), reason.to_owned(), false)];
        for wider in ["Read(it's)", "Read(a\tb)", "Read(a[b]c)", "Read(a\\*b)"] {
            assert_eq!(losses(wider), told, "{wider:?}");
        }
        assert_eq!(losses("Read(its)"), []);
    }
}
