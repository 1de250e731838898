//! Objects out of files: YAML or JSON, one or many, lists taken apart.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bailiwick_compiler::diagnostic::{Diagnostic, Severity};
use bailiwick_compiler::yaml::{Limits, each_document, line_and_column};
use serde_json::Value;

use crate::files;

/// Most objects of one run.
const MAX_OBJECTS: usize = 100_000;

/// Every object of a file as the JSON that kubectl would send, in the file's order. As text, which takes a tenth of the memory of trees.
pub(crate) fn read(path: &Path) -> Result<Vec<Box<[u8]>>> {
    let bytes = files::read(path)?;
    let name = path.display().to_string();
    let mut objects = Vec::new();
    let mut taken = Ok(());
    let (_, diagnostics) = each_document(0, &name, &bytes, &Limits::MANIFESTS, |document| {
        if taken.is_ok() {
            taken = take_apart(document.to_json(), &mut objects);
        }
    });
    if let Some(first) = diagnostics.iter().find(|one| one.severity == Severity::Error) {
        bail!("cannot read {name}{}", explained(first, &String::from_utf8_lossy(&bytes)));
    }
    taken.map(|()| objects)
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

fn take_apart(document: Value, objects: &mut Vec<Box<[u8]>>) -> Result<()> {
    let is_list = document.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match document {
        Value::Null => {} // an empty document, as between two `---`
        Value::Object(mut members) if is_list && members.get("items").is_some_and(Value::is_array) => {
            if let Some(Value::Array(items)) = members.remove("items") {
                for item in items {
                    take_apart(item, objects)?;
                }
            }
        }
        object => objects.push(serde_json::to_vec(&object)?.into()),
    }
    if objects.len() > MAX_OBJECTS {
        bail!("more than {MAX_OBJECTS} objects; review them in parts");
    }
    Ok(())
}
