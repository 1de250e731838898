//! `bailiwick check`: every finding of the packs, in each requested format.

use std::path::PathBuf;

use anyhow::Result;
use bailiwick_compiler::Compiled;
use bailiwick_compiler::diagnostic::Severity;
use serde::Serialize;

use crate::args::{CheckFormat, CheckOptions};
use crate::library::ReadFolders;
use crate::load::{self, Loaded};
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::Spinner;
use crate::render::{self, JsonDiagnostic};
use crate::report::{self, Case, Failure, Finding, Suite};

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

/// A pack and its findings.
struct Checked {
    path: PathBuf,
    loaded: Loaded,
    compiled: Compiled,
}

impl Checked {
    fn findings(&self) -> Vec<Finding<'_>> {
        self.loaded.findings(&self.compiled).collect()
    }

    fn count(&self, severity: Severity) -> usize {
        self.compiled.all().filter(|one| one.severity == severity).count()
    }
}

pub(crate) fn run(options: &CheckOptions) -> Result<Outcome> {
    let choices = load::choices(&options.packs.bindings);
    let (mut all, mut read) = (Vec::new(), ReadFolders::default());
    for path in &options.packs.packs {
        let (path_alone, library) = (std::slice::from_ref(path), options.packs.library.as_deref());
        let loaded =
            Loaded::read_beside(path_alone, library, &mut read)?.with_schemas(&options.packs.schemas)?;
        let compiled = {
            let _spinner = Spinner::start(format!("checking {}", path.display()));
            loaded.compile(&choices)
        };
        all.push(Checked { path: path.clone(), loaded, compiled });
    }
    choices.check_names(all.iter().flat_map(|one| &one.loaded.packs))?;
    for (format, file) in options.reports.each() {
        report::deliver(&written(format, &all, options.deny_warnings)?, file)?;
    }
    let count = |severity| all.iter().map(|one| one.count(severity)).sum::<usize>();
    let found = count(Severity::Error) > 0 || options.deny_warnings && count(Severity::Warning) > 0;
    Ok(if found { Outcome::Findings } else { Outcome::Holds })
}

fn written(format: CheckFormat, all: &[Checked], deny_warnings: bool) -> Result<String> {
    Ok(match format {
        CheckFormat::Human => all.iter().map(human).collect(),
        CheckFormat::Json => json(all)?,
        CheckFormat::Sarif => report::log(&all.iter().flat_map(Checked::findings).collect::<Vec<_>>())?,
        CheckFormat::Github => report::annotations(all.iter().flat_map(Checked::findings)),
        CheckFormat::Junit => {
            let suites: Vec<_> = all.iter().map(|one| suite(one, deny_warnings)).collect();
            report::document("bailiwick check", &suites)?
        }
    })
}

fn human(checked: &Checked) -> String {
    let mut text = String::new();
    for (texts, diagnostic) in checked.findings() {
        text.push_str(&render::draw(diagnostic, &texts));
        text.push('\n');
    }
    let said = say(checked.count(Severity::Error), checked.count(Severity::Warning));
    text.push_str(&format!("{}: {said}\n", checked.path.display()));
    text
}

fn json(all: &[Checked]) -> Result<String> {
    let of = |checked: &Checked| PackReport {
        pack: checked.path.display().to_string(),
        diagnostics: checked
            .findings()
            .iter()
            .map(|(texts, diagnostic)| render::json(diagnostic, texts))
            .collect(),
    };
    let count = |severity| all.iter().map(|one| one.count(severity)).sum();
    let report = Report {
        version: render::JSON_VERSION,
        packs: all.iter().map(of).collect(),
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
}

/// A case for each finding; the case fails if the finding makes the command exit with 3. A pack without
/// findings is one case that passes.
fn suite(checked: &Checked, deny_warnings: bool) -> Suite {
    let name = checked.path.display().to_string();
    let mut cases: Vec<Case> =
        checked.findings().iter().map(|finding| case(finding, &name, deny_warnings)).collect();
    if cases.is_empty() {
        cases.push(Case { name: "check".to_owned(), class: name.clone(), failure: None, said: None });
    }
    Suite { name, cases }
}

fn case((texts, diagnostic): &Finding<'_>, pack: &str, deny_warnings: bool) -> Case {
    let place = diagnostic.place.as_ref().and_then(|place| texts.location(&diagnostic.pack, place));
    let name = match &place {
        Some(at) => format!("{} {}:{}:{}", diagnostic.code.id(), at.path.display(), at.line, at.column),
        None => format!("{} {}", diagnostic.code.id(), diagnostic.at),
    };
    let drawn = plain(&anstream::adapter::strip_str(&render::draw(diagnostic, texts)).to_string());
    let fails = match diagnostic.severity {
        Severity::Error => true,
        Severity::Warning => deny_warnings,
        Severity::Note => false,
    };
    let failure = fails.then(|| Failure {
        kind: diagnostic.code.id().to_owned(),
        message: diagnostic.message.clone(),
        description: drawn.clone(),
    });
    Case { name, class: pack.to_owned(), said: failure.is_none().then_some(drawn), failure }
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
