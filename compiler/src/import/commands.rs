//! Claude Code's command patterns, as conditions over a command `c` of `facts.commands`.

use serde_json::json;

/// The words of a command pattern, and whether more may follow. `None` if it has anything but plain words.
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

/// The name of an allowed command, and the condition over `c`: these words, and more only if the pattern says
/// so. A last word with only the same beginning does not match, which is narrower than the settings.
pub(super) fn allowed(pattern: &str) -> Option<(String, String)> {
    let (words, open) = words(pattern)?;
    let (name, arguments) = words.split_first()?;
    // Programs are granted by the name under which the sandbox finds them. A path is not such a name, and an
    // assignment is not a program.
    if name.contains(['/', '=']) {
        return None;
    }
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

/// The condition for a denied command over `c`, and whether it is exactly the pattern; `None` if the pattern
/// begins with no plain word, or with an assignment. It also matches paths to the program, and words that begin
/// like the last one.
pub(super) fn denied(pattern: &str) -> Option<(String, bool)> {
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
    // What is assigned before a command is no part of its name.
    if name.contains('=') {
        return None;
    }
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

/// The condition for a command line in which some command names a path that this regular expression matches:
/// as the program, in an argument or in a redirection.
pub(super) fn naming(regex: &str) -> String {
    let parts = [
        format!("c.name.contains('/') && c.name.matches('{regex}')"),
        format!("c.args.exists(a, a.matches('{regex}'))"),
        format!("c.redirects.exists(r, r.target.matches('{regex}'))"),
    ];
    format!("facts.commands.exists(c, {})", parts.join(" || "))
}
