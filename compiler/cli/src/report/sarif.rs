//! SARIF 2.1.0, the format of code scanning services
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).
//!
//! Writes only what a reader of findings needs: the tool, a rule for each code found, and the findings with
//! their places. Columns count characters, which the log states.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use anyhow::{Context, Result};
use bailiwick_compiler::diagnostic::{Code, Diagnostic, Severity};
use serde::Serialize;

use super::Finding;
use crate::render::{Location, Texts};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

#[derive(Debug, Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Message,
    help: Help,
    default_configuration: Configuration,
}

#[derive(Debug, Serialize)]
struct Help {
    text: String,
    markdown: String,
}

#[derive(Debug, Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Debug, Serialize)]
struct Message {
    text: String,
}

/// A `result`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: Vec<Spot>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Spot>,
}

/// A `location`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spot {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<Physical>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<Logical>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Debug, Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
}

/// The field path: the name of the place in the pack.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Logical {
    fully_qualified_name: String,
    kind: &'static str,
}

/// The log of these findings, ending in a line feed.
pub(crate) fn log(findings: &[Finding<'_>]) -> Result<String> {
    let mut codes: BTreeMap<&str, Code> = BTreeMap::new();
    for (_, diagnostic) in findings {
        codes.insert(diagnostic.code.id(), diagnostic.code);
    }
    let places: BTreeMap<&str, usize> = codes.keys().enumerate().map(|(at, id)| (*id, at)).collect();
    let results = findings.iter().map(|(texts, diagnostic)| {
        let index = places.get(diagnostic.code.id()).copied().unwrap_or_default();
        found(diagnostic, texts, index)
    });
    let driver = Driver {
        name: "bailiwick",
        semantic_version: env!("CARGO_PKG_VERSION"),
        rules: codes.values().copied().map(rule).collect(),
    };
    let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results: results.collect() };
    let log = Log { schema: SCHEMA, version: "2.1.0", runs: [run] };
    let mut text = serde_json::to_string_pretty(&log).context("the findings cannot be written as SARIF")?;
    text.push('\n');
    Ok(text)
}

fn rule(code: Code) -> Rule {
    let page = code.documentation();
    Rule {
        id: code.id(),
        short_description: Message { text: code.title().to_owned() },
        help: Help { text: page.clone(), markdown: page },
        default_configuration: Configuration { level: level(code.severity()) },
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn found(diagnostic: &Diagnostic, texts: &Texts, rule_index: usize) -> Found {
    let at = |pack: &Option<String>, place: Option<_>| place.and_then(|place| texts.location(pack, place));
    let field = diagnostic.at.to_string();
    let named = Logical { fully_qualified_name: field.clone(), kind: "member" };
    let spot = Spot {
        id: None,
        message: None,
        physical_location: at(&diagnostic.pack, diagnostic.place.as_ref())
            .map(|location| physical(&location)),
        logical_locations: if field.is_empty() { Vec::new() } else { vec![named] },
    };
    let related = diagnostic.related.iter().enumerate().map(|(id, related)| Spot {
        id: Some(id),
        message: Some(Message { text: related.message.clone() }),
        physical_location: at(&related.pack, related.place.as_ref()).map(|location| physical(&location)),
        logical_locations: Vec::new(),
    });
    let in_pack = diagnostic.pack.as_ref().map(|pack| format!(" (in `{pack}`)")).unwrap_or_default();
    Found {
        rule_id: diagnostic.code.id(),
        rule_index,
        level: level(diagnostic.severity),
        message: Message { text: format!("{}{in_pack}\nhelp: {}", diagnostic.message, diagnostic.help) },
        locations: vec![spot],
        related_locations: related.collect(),
    }
}

fn physical(location: &Location) -> Physical {
    Physical {
        artifact_location: Artifact { uri: uri(&location.path) },
        region: Region {
            start_line: location.line,
            start_column: location.column,
            end_line: location.end_line,
            end_column: location.end_column,
        },
    }
}

/// A path as a URI reference (RFC 3986): relative ones stay relative, so that a log can be read on another
/// machine.
fn uri(path: &Path) -> String {
    let mut uri = if path.is_absolute() { "file://".to_owned() } else { String::new() };
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(escaped(name.as_encoded_bytes())),
        Component::ParentDir => Some("..".to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    for (at, part) in parts.enumerate() {
        if at > 0 || path.is_absolute() {
            uri.push('/');
        }
        uri.push_str(&part);
    }
    uri
}

fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                text.push(char::from(*byte))
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_uri_references() {
        assert_eq!(uri(Path::new("./packs/a b/päck.yaml")), "packs/a%20b/p%C3%A4ck.yaml");
        assert_eq!(uri(Path::new("../x:y/%.yaml")), "../x%3Ay/%25.yaml");
        assert_eq!(uri(Path::new("/srv/base@1.0.0/pack.yaml")), "file:///srv/base@1.0.0/pack.yaml");
    }
}
