//! Objects out of files: YAML or JSON, one or many, lists taken apart.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bailiwick_compiler::yaml::{Limits, SourceMap};
use serde_json::Value;

use crate::files;

/// Most objects of one run.
const MAX_OBJECTS: usize = 100_000;

/// Every object of a file, in its order.
pub(crate) fn read(path: &Path) -> Result<Vec<Value>> {
    let bytes = files::read(path)?;
    let name = path.display().to_string();
    let (documents, diagnostics) = SourceMap::read(&name, &bytes, &Limits::MANIFESTS);
    if let Some(first) =
        diagnostics.iter().find(|one| one.severity == bailiwick_compiler::diagnostic::Severity::Error)
    {
        let help = first.help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
        let place = first.place.as_ref().map(|place| {
            let text = String::from_utf8_lossy(&bytes);
            let (line, column) = bailiwick_compiler::yaml::line_and_column(&text, place.bytes.start);
            format!(" at line {line}, column {column}")
        });
        bail!("cannot read {name}{}: {}{help}", place.unwrap_or_default(), first.message);
    }
    let mut objects = Vec::new();
    for document in documents {
        take_apart(document.root().to_json(), &mut objects)?;
    }
    Ok(objects)
}

/// The one object of a file.
pub(crate) fn one(path: &Path) -> Result<Value> {
    let mut objects = read(path)?;
    let object = objects.pop().with_context(|| format!("{} holds no object", path.display()))?;
    if !objects.is_empty() {
        bail!("{} holds {} objects where one is meant", path.display(), objects.len() + 1);
    }
    Ok(object)
}

fn take_apart(document: Value, objects: &mut Vec<Value>) -> Result<()> {
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
        object => objects.push(object),
    }
    if objects.len() > MAX_OBJECTS {
        bail!("more than {MAX_OBJECTS} objects; review them in parts");
    }
    Ok(())
}
