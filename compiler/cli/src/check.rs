//! `bailiwick check`: every finding of the packs, drawn.

use anyhow::Result;
use bailiwick_compiler::Compiled;
use bailiwick_compiler::diagnostic::Severity;
use serde::Serialize;

use crate::args::{CheckOptions, Format};
use crate::load::{self, Loaded};
use crate::outcome::Outcome;
use crate::print::{Spinner, out};
use crate::render::{self, JsonDiagnostic};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    packs: Vec<PackReport>,
    errors: usize,
    warnings: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PackReport {
    pack: String,
    diagnostics: Vec<JsonDiagnostic>,
}

pub(crate) fn run(options: &CheckOptions) -> Result<Outcome> {
    let choices = load::choices(&options.packs.bindings);
    let mut report = Report { version: render::JSON_VERSION, packs: Vec::new(), errors: 0, warnings: 0 };
    for path in &options.packs.packs {
        let loaded = Loaded::read(path, options.packs.library.as_deref())?;
        let compiled = {
            let _spinner = Spinner::start(format!("checking {}", path.display()));
            loaded.compile(&choices)
        };
        let count = |severity| compiled.all().filter(|one| one.severity == severity).count();
        report.errors += count(Severity::Error);
        report.warnings += count(Severity::Warning);
        match options.format {
            Format::Human => {
                draw(&loaded, &compiled);
                let said = say(count(Severity::Error), count(Severity::Warning));
                out!("{}: {said}", path.display());
            }
            Format::Json => report
                .packs
                .push(PackReport { pack: path.display().to_string(), diagnostics: json(&loaded, &compiled) }),
        }
    }
    if options.format == Format::Json {
        out!("{}", serde_json::to_string_pretty(&report)?);
    }
    let found = report.errors > 0 || options.deny_warnings && report.warnings > 0;
    Ok(if found { Outcome::Findings } else { Outcome::Holds })
}

fn draw(loaded: &Loaded, compiled: &Compiled) {
    for (texts, diagnostic) in loaded.findings(compiled) {
        out!("{}", render::draw(diagnostic, &texts));
    }
}

fn json(loaded: &Loaded, compiled: &Compiled) -> Vec<JsonDiagnostic> {
    loaded.findings(compiled).map(|(texts, diagnostic)| render::json(diagnostic, &texts)).collect()
}

fn say(errors: usize, warnings: usize) -> String {
    let some = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => "ok".to_owned(),
        (0, warnings) => format!("ok, {}", some(warnings, "warning")),
        (errors, 0) => some(errors, "error"),
        (errors, warnings) => format!("{}, {}", some(errors, "error"), some(warnings, "warning")),
    }
}
