//! Workflow commands of GitHub Actions: a line for each finding, which GitHub turns into an annotation of the
//! changed file.
//!
//! Source: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>; what is escaped,
//! and how, is `command.ts` of the `@actions/core` toolkit. A finding's text comes from a pack under review,
//! so a missing escape would let the pack's author give commands to the runner.

use bailiwick_compiler::diagnostic::Severity;

use super::Finding;
use crate::render::Location;

/// One workflow command for each finding.
pub(crate) fn annotations<'c>(findings: impl Iterator<Item = Finding<'c>>) -> String {
    findings.map(|finding| annotation(&finding)).collect()
}

fn annotation((texts, diagnostic): &Finding<'_>) -> String {
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let location = diagnostic.place.as_ref().and_then(|place| texts.location(&diagnostic.pack, place));
    let mut properties = location.as_ref().map(place).unwrap_or_default();
    properties.push(("title", format!("{} {}", diagnostic.code.id(), diagnostic.code.title())));
    let properties: Vec<String> =
        properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
    let field = diagnostic.at.to_string();
    let at = if field.is_empty() { String::new() } else { format!("\n{field}") };
    let message = format!("{}{at}\nhelp: {}", diagnostic.message, diagnostic.help);
    format!("::{command} {}::{}\n", properties.join(","), data(&message))
}

/// File and place. GitHub accepts columns only if the place is on one line.
fn place(location: &Location) -> Vec<(&'static str, String)> {
    let mut properties = vec![
        ("file", location.path.display().to_string()),
        ("line", location.line.to_string()),
        ("endLine", location.end_line.to_string()),
    ];
    if location.line == location.end_line {
        properties.push(("col", location.column.to_string()));
        properties.push(("endColumn", location.end_column.to_string()));
    }
    properties
}

/// The text after the second `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property: a comma ends it too, and a colon ends it and the list of properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_the_toolkit() {
        assert_eq!(data("50% of\r\na: b, c"), "50%25 of%0D%0Aa: b, c");
        assert_eq!(property("50% of\r\na: b, c"), "50%25 of%0D%0Aa%3A b%2C c");
        // Escaped once: text that looks like an escape is ordinary text.
        assert_eq!(data("%0A"), "%250A");
        assert_eq!(property("%3A"), "%253A");
    }
}
