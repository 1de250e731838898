//! Objects from files: YAML or JSON, one or many, lists taken apart.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bailiwick_compiler::diagnostic::{Diagnostic, Severity};
use bailiwick_compiler::yaml::{Limits, Node, Value as Read, each_document, line_and_column};
use serde_json::Value;

use crate::files;

/// Most objects of one run.
const MAX_OBJECTS: usize = 100_000;

/// Every object of a file as the JSON that kubectl would send, in the file's order. As text, which takes a
/// tenth of the memory of trees.
pub(crate) fn read(path: &Path) -> Result<Vec<Box<[u8]>>> {
    let mut objects = Vec::new();
    each(path, |object| {
        objects.push(object.into());
        Ok(())
    })?;
    Ok(objects)
}

/// Passes on every object of a file while the next ones are read; returns how many there were. Objects of a
/// file that cannot be read to its end are passed on too, so `take` must not do anything lasting before this
/// returns.
pub(crate) fn each(path: &Path, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
    let bytes = files::read(path)?;
    let name = path.display().to_string();
    let (mut taken, mut count, mut text) = (Ok(()), 0, Vec::new());
    let (_, diagnostics) = each_document(0, &name, &bytes, &Limits::MANIFESTS, |document| {
        if taken.is_ok() {
            taken = take_apart(&document, &mut |object| {
                count += 1;
                if count > MAX_OBJECTS {
                    bail!("more than {MAX_OBJECTS} objects; review them in parts");
                }
                text.clear();
                object.write_json(&mut text);
                take(&text)
            });
        }
    });
    if let Some(first) = diagnostics.iter().find(|one| one.severity == Severity::Error) {
        bail!("cannot read {name}{}", explained(first, &String::from_utf8_lossy(&bytes)));
    }
    taken.map(|()| count)
}

/// The one object of a file.
pub(crate) fn one(path: &Path) -> Result<Value> {
    let mut objects = read(path)?;
    let object = objects.pop().with_context(|| format!("{} holds no object", path.display()))?;
    if !objects.is_empty() {
        bail!("{} holds {} objects where one is meant", path.display(), objects.len() + 1);
    }
    Ok(serde_json::from_slice(&object)?)
}

/// ` at line 1, column 2: what is wrong; what to do`.
fn explained(diagnostic: &Diagnostic, text: &str) -> String {
    let place = diagnostic.place.as_ref().map(|place| line_and_column(text, place.bytes.start));
    let place = place.map(|(line, column)| format!(" at line {line}, column {column}")).unwrap_or_default();
    format!("{place}: {}; {}", diagnostic.message, diagnostic.help)
}

fn take_apart(document: &Node, take: &mut dyn FnMut(&Node) -> Result<()>) -> Result<()> {
    let is_list = document.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.ends_with("List"));
    let items = document.get("items").filter(|items| is_list && matches!(items.value, Read::List(_)));
    match (&document.value, items) {
        (Read::Null, _) => Ok(()), // an empty document, as between two `---`
        (_, Some(items)) => items.items().iter().try_for_each(|item| take_apart(item, take)),
        _ => take(document),
    }
}
