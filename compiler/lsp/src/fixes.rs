//! Quick fixes: what a finding says to do, if one edit can do it.
//!
//! A fix is made from the finding's own help, so the editor offers what `bailiwick check` advises.

use std::ops::Range;
use std::path::PathBuf;

use crate::analysis::{Analysis, Finding};
use crate::outline::{Map, Node, Value};
use crate::schema;
use crate::view::Source;

/// An edit that removes a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// Its title in a menu.
    pub title: String,
    /// The file.
    pub path: PathBuf,
    /// The replaced byte range; `None` for the whole file, which may not exist.
    pub bytes: Option<Range<usize>>,
    /// The new text.
    pub text: String,
}

/// The codes that a new lock resolves.
const OF_LOCKS: [&str; 3] = ["BW0209", "BW0210", "BW0211"];

/// The fixes for a finding of a file.
#[must_use]
pub fn fixes(source: &Source, finding: &Finding, code: &str, analysis: &Analysis) -> Vec<Fix> {
    if OF_LOCKS.contains(&code) {
        return lock(analysis).into_iter().collect();
    }
    let edit = None
        .or_else(|| suggested(source, finding))
        .or_else(|| told(source, finding))
        .or_else(|| missing(source, finding))
        .or_else(|| rewritten(source, finding));
    let fix =
        edit.map(|(title, bytes, text)| Fix { title, path: source.path.clone(), bytes: Some(bytes), text });
    fix.into_iter().collect()
}

type Edit = (String, Range<usize>, String);

fn lock(analysis: &Analysis) -> Option<Fix> {
    let text = analysis.lock.clone()?;
    let path = analysis.home.folder().join("pack.lock");
    Some(Fix { title: "Write pack.lock anew".to_owned(), path, bytes: None, text })
}

/// The parts of a text between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// `did you mean X?`: puts X in place of the unknown name.
fn suggested(source: &Source, finding: &Finding) -> Option<Edit> {
    let (_, rest) = finding.help.split_once("did you mean `")?;
    let (meant, _) = rest.split_once('`')?;
    let raw = source.text.get(finding.bytes.clone())?;
    let wrong = quoted(&finding.message).into_iter().filter(|word| *word != meant);
    let bytes = wrong.filter_map(|word| occurrence(raw, word)).next()?;
    let start = finding.bytes.start;
    Some((format!("Change to `{meant}`"), start + bytes.start..start + bytes.end, meant.to_owned()))
}

/// The only occurrence of a word by itself in a text, if it occurs exactly once.
fn occurrence(raw: &str, word: &str) -> Option<Range<usize>> {
    let is_part = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-');
    let alone = |at: &usize| {
        let before = raw.get(..*at).and_then(|text| text.chars().next_back());
        let after = raw.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    };
    let mut found = raw.match_indices(word).map(|(at, _)| at).filter(alone);
    let at = found.next().filter(|_| !word.is_empty())?;
    found.next().is_none().then(|| at..at + word.len())
}

/// `write X`: puts X in place of the value.
fn told(source: &Source, finding: &Finding) -> Option<Edit> {
    let text = finding.help.strip_prefix("write `")?.strip_suffix('`')?;
    if text.contains(['`', '…']) {
        return None;
    }
    let raw = source.text.get(finding.bytes.clone())?;
    let quote = raw.chars().next().filter(|quote| matches!(quote, '"' | '\'') && raw.ends_with(*quote));
    let written = match quote {
        Some(quote) if !text.contains(['"', '\'', '[']) => format!("{quote}{text}{quote}"),
        _ => text.to_owned(),
    };
    (!raw.contains('\n')).then(|| (format!("Write `{text}`"), finding.bytes.clone(), written))
}

/// `add X`: adds the field X, with the beginning of a value.
fn missing(source: &Source, finding: &Finding) -> Option<Edit> {
    let name = finding.help.strip_prefix("add `")?.strip_suffix('`').filter(|name| !name.contains('`'))?;
    let language = source.language?;
    let schema = schema::at(language.schema(), finding.at.segments())?;
    let field = schema.get("properties")?.get(name)?;
    let map = source.outline.documents.iter().find_map(|root| object(root, finding))?;
    if map.entries.iter().any(|entry| entry.key == name) {
        return None;
    }
    let value = match name {
        // The required value is known.
        "name" if finding.at.to_string() == "metadata" => object_name(source),
        _ => schema::seed(field),
    };
    let value = value.unwrap_or_else(|| "\"\"".to_owned());
    let (at, text) = match map.entries.first() {
        Some(first) if map.is_flow => (first.key_span.start, format!("{name}: {value}, ")),
        Some(first) => {
            let end = if source.text.contains("\r\n") { "\r\n" } else { "\n" };
            (first.key_span.start, format!("{name}: {value}{end}{}", " ".repeat(map.column)))
        }
        None if map.is_flow => (finding.bytes.start + 1, format!("{name}: {value}")),
        None => return None,
    };
    Some((format!("Add `{name}`"), at..at, text))
}

/// `PACK-VERSION`, as `metadata.name` requires.
fn object_name(source: &Source) -> Option<String> {
    let spec = source.outline.documents.iter().find_map(|root| root.get("spec"))?;
    let word = |name: &str| spec.get(name).and_then(|node| node.text(&source.text));
    Some(format!("{}-{}", word("pack")?, word("version")?))
}

/// The object of a finding: at its path, and where it points. In a fragment, the path of a list element is
/// that of the whole pack.
fn object<'o>(root: &'o Node, finding: &Finding) -> Option<&'o Map> {
    let mut node = root;
    let mut here = None;
    let mut steps = finding.at.segments().iter();
    loop {
        if let Value::Map(map) = &node.value
            && node.span.start == finding.bytes.start
        {
            here = Some(map);
        }
        let Some(step) = steps.next() else { return here };
        node = match step {
            bailiwick_compiler::diagnostic::Segment::Member(name) => node.get(name)?,
            bailiwick_compiler::diagnostic::Segment::Index(_) => {
                let touched = |item: &&Node| item.span.contains(&finding.bytes.start);
                node.items().iter().find(touched)?
            }
        };
        here = None;
    }
}

/// The same value, written as another type.
fn rewritten(source: &Source, finding: &Finding) -> Option<Edit> {
    let raw = source.text.get(finding.bytes.clone()).filter(|raw| !raw.contains('\n') && !raw.is_empty())?;
    let (title, text) = match finding.help.as_str() {
        "put it in quotes" => ("Put it in quotes", format!("\"{raw}\"")),
        "take the quotes away" => ("Take the quotes away", raw.trim_matches(['"', '\'']).to_owned()),
        "write `[…]` around it" => ("Make a list of it", format!("[{raw}]")),
        _ => return None,
    };
    Some((title.to_owned(), finding.bytes.clone(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_where_it_stands_alone_and_once() {
        assert_eq!(occurrence("{arg: comand}", "comand"), Some(6..12));
        assert_eq!(occurrence("\"shel\"", "shel"), Some(1..5));
        assert_eq!(occurrence("shell", "shel"), None);
        assert_eq!(occurrence("a-b a", "a"), Some(4..5));
        assert_eq!(occurrence("a a", "a"), None);
        assert_eq!(occurrence("a", ""), None);
    }
}
