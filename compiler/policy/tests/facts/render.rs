//! Facts as one line of text, for the corpora. `?` is opaque, `…` after the arguments says that a word may become several.

use bailiwick_policy::facts::shell::{self, Args, RedirectKind, Shell, Word};
use bailiwick_policy::facts::{Fact, git, path, url};

/// The facts of a line of the corpora. The workspace is `/work`.
pub(crate) fn render(kind: &str, text: &str) -> String {
    match kind {
        "shell" | "names" => line(&shell::parse(text)),
        "url" => url::parse(text).known().map_or_else(opaque, |url| {
            let port = url.port.map_or_else(String::new, |port| format!(":{port}"));
            let private = if url.is_private { "private" } else { "public" };
            let userinfo = if url.has_userinfo { " userinfo" } else { "" };
            format!("{} {}{port} {} {private}{userinfo}", url.scheme, url.host, url.path)
        }),
        "path" => path::parse(text, "/work").known().map_or_else(opaque, |path| {
            let place = if path.in_workspace.is_some() { "inside" } else { "outside" };
            format!("{} {place}", path.absolute)
        }),
        "git" => git::parse(text).known().map_or_else(opaque, |git| {
            let force = if git.force { " force" } else { "" };
            let runs = if git.runs_program { " runs-program" } else { "" };
            format!("{} {}{force}{runs}", git.subcommand, git.remote.as_deref().unwrap_or("-"))
        }),
        kind => panic!("unknown kind `{kind}`"),
    }
}

fn opaque() -> String {
    "opaque".to_owned()
}

fn line(shell: &Shell) -> String {
    let Shell::Parsed(line) = shell else { return opaque() };
    let commands: Vec<String> = line.commands.iter().map(command).collect();
    let marks = [("substitutes", line.substitutes), ("assigns", line.assigns)];
    let marks: String = marks.iter().filter(|(_, set)| *set).map(|(mark, _)| format!(" ({mark})")).collect();
    format!("[{}]{marks}", commands.join(" ; "))
}

fn command(command: &shell::Command) -> String {
    let mut parts: Vec<String> =
        command.assignments.iter().map(|one| format!("{}={}", one.name, word(&one.value))).collect();
    parts.push(word(&command.name));
    parts.extend(command.args.words().iter().map(word));
    if let Args::Open(_) = command.args {
        parts.push("…".to_owned());
    }
    for redirect in &command.redirects {
        let operator = match redirect.kind {
            RedirectKind::Read => "<",
            RedirectKind::Write => ">",
            RedirectKind::Append => ">>",
            RedirectKind::ReadWrite => "<>",
            RedirectKind::Duplicate => "&",
            RedirectKind::HereDocument => "<<",
            RedirectKind::HereString => "<<<",
        };
        let descriptor = redirect.descriptor.map_or_else(String::new, |at| at.to_string());
        parts.push(format!("{descriptor}{operator}{}", word(&redirect.target)));
    }
    parts.join(" ")
}

fn word(word: &Word) -> String {
    let Fact::Known(text) = word else { return "?".to_owned() };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:@%+,^".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.clone() } else { format!("{text:?}") }
}
