//! `bailiwick import`: turns other tools' policies into a policy pack, and reports what the pack cannot
//! express.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bailiwick_compiler::import::{ImportError, Imported, Kind, Source, import};
use bailiwick_compiler::yaml::{Limits, SourceMap};
use serde_json::{Value, json};

use crate::args::{Format, ImportOptions};
use crate::files;
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::{note, text};
use crate::render::{JSON_VERSION, error_word};

/// Most files of one import; they become one pack.
const MAX_FILES: usize = 256;

pub(crate) fn run(options: &ImportOptions) -> Result<Outcome> {
    if options.files.len() > MAX_FILES {
        bail!("more than {MAX_FILES} files; a pack has one subject");
    }
    let sources = options.files.iter().map(|path| source(path)).collect::<Result<Vec<_>>>()?;
    let imported = match import(options.kind.map(Kind::from), &options.name, &sources) {
        Ok(imported) => imported,
        // The file was read, but a pack cannot express it.
        Err(error @ (ImportError::Nothing(_) | ImportError::Subjects(_))) => {
            note!("{}: {}", error_word(), plain(&error.to_string()));
            return Ok(Outcome::Findings);
        }
        Err(error) => return Err(error.into()),
    };
    let pack = imported.yaml()?;
    match (options.format, &options.output) {
        (Format::Json, output) => {
            if let Some(path) = output {
                files::write(path, pack.as_bytes())?;
            }
            text(&format!("{}\n", serde_json::to_string_pretty(&report(&imported)?)?));
        }
        (Format::Human, Some(path)) => files::write(path, pack.as_bytes())?,
        (Format::Human, None) => text(&pack),
    }
    if options.format == Format::Human {
        tell(&imported);
    }
    let is_lossy = options.strict && !imported.losses.is_empty();
    Ok(if is_lossy { Outcome::Findings } else { Outcome::Holds })
}

fn source(path: &Path) -> Result<Source> {
    let bytes = files::read(path)?;
    let name = path.display().to_string();
    let (documents, diagnostics) = SourceMap::read(&name, &bytes, &Limits::MANIFESTS);
    if let Some(wrong) = diagnostics.first() {
        bail!("cannot read {name}: {}", wrong.message);
    }
    Ok(Source { name, documents: documents.iter().map(|one| one.root().to_json()).collect() })
}

fn report(imported: &Imported) -> Result<Value> {
    let pack = serde_json::to_value(&imported.pack).context("the pack has no JSON")?;
    let widens = imported.losses.iter().filter(|loss| loss.widens).count();
    Ok(json!({
        "version": JSON_VERSION, "kind": imported.kind.word(), "pack": pack, "losses": imported.losses, "widens": widens,
    }))
}

/// Prints the losses, those that widen first.
fn tell(imported: &Imported) {
    let mut by_weight: BTreeMap<bool, Vec<String>> = BTreeMap::new();
    for loss in &imported.losses {
        let at = if loss.at.is_empty() { String::new() } else { format!(" {}", loss.at) };
        by_weight.entry(!loss.widens).or_default().push(format!("{}:{at}: {}", loss.file, loss.reason));
    }
    for (is_strict, losses) in by_weight {
        let word = if is_strict { "loss" } else { "loss, widens" };
        losses.iter().for_each(|loss| note!("{word}: {}", plain(loss)));
    }
    let widens = imported.losses.iter().filter(|loss| loss.widens).count();
    let losses = match imported.losses.len() {
        1 => "1 loss".to_owned(),
        many => format!("{many} losses"),
    };
    let widens = match widens {
        0 => "none widens".to_owned(),
        1 => "1 widens".to_owned(),
        many => format!("{many} widen"),
    };
    note!("imported {}: {losses}, {widens}", imported.kind.word());
}
