//! `bailiwick test`: the cases beside a pack, run against the pack; and a look at whether they could have failed.

mod cases;
mod connection;
mod evidence;
mod outcome;
mod sandbox;
mod tool_call;
mod vacuity;

use std::path::Path;

use anyhow::Result;
use bailiwick_compiler::policy_test::{self, PolicyTest};
use bailiwick_policy::policy::Policy;
use serde::Serialize;

use crate::args::{TestFormat, TestOptions};
use crate::files;
use crate::load::{self, Loaded};
use crate::outcome::Outcome;
use crate::print::{Spinner, plain};
use crate::render;
use crate::report::{self, Case, Failure, Suite};

/// The outcome of one pack's tests, as `--format json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    packs: Vec<PackReport>,
    passed: usize,
    failed: usize,
    /// Packs that do not compile, or whose tests cannot be read: what is wrong with them is on standard error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    broken: Vec<String>,
}

/// What is said of a file of tests that no change of the pack makes fail.
const VACUOUS: &str = "no statement of the pack makes a difference to any case of this file";
/// What is said of a pack that could not be tested.
const INVALID: &str = "the pack or a file of its tests is not valid; `bailiwick check` says why";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PackReport {
    pack: String,
    files: Vec<FileReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FileReport {
    file: String,
    /// No case of the file could have failed, whatever the pack said.
    vacuous: bool,
    cases: Vec<CaseReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CaseReport {
    name: String,
    passed: bool,
    reasons: Vec<String>,
}

pub(crate) fn run(options: &TestOptions) -> Result<Outcome> {
    let mut report =
        Report { version: render::JSON_VERSION, packs: Vec::new(), passed: 0, failed: 0, broken: Vec::new() };
    for path in &options.packs.packs {
        match test_pack(path, options)? {
            Some(pack) => report.packs.push(pack),
            None => report.broken.push(path.display().to_string()),
        }
    }
    let cases = report.packs.iter().flat_map(|pack| &pack.files).flat_map(|file| &file.cases);
    report.passed = cases.clone().filter(|case| case.passed).count();
    report.failed = cases.filter(|case| !case.passed).count();
    let vacuous = report.packs.iter().flat_map(|pack| &pack.files).any(|file| file.vacuous);
    for (format, file) in options.reports.each() {
        let text = match format {
            TestFormat::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
            TestFormat::Human => human(&report),
            TestFormat::Junit => report::document("bailiwick test", &suites(&report))?,
        };
        report::deliver(&text, file)?;
    }
    Ok(if !report.broken.is_empty() {
        Outcome::Findings
    } else if report.failed > 0 || vacuous {
        Outcome::TestsFailed
    } else {
        Outcome::Holds
    })
}

/// The tests of one pack; `None` after its findings were drawn, when the pack or a test file is not valid.
fn test_pack(path: &Path, options: &TestOptions) -> Result<Option<PackReport>> {
    let folder = path.join("tests");
    if !folder.is_dir() {
        anyhow::bail!(
            "{} has no folder `tests`; a pack without tests is not known to refuse anything",
            path.display()
        );
    }
    let sources = files::read_folder(&folder, &["yaml", "yml"], "tests/")?;
    let (tests, diagnostics) = policy_test::read(&sources);
    if load::draw(&diagnostics, &sources, path) {
        return Ok(None);
    }
    if tests.is_empty() {
        anyhow::bail!("{} holds no PolicyTest", folder.display());
    }
    let mut reports = Vec::new();
    for (file, test) in &tests {
        let spinner = Spinner::start(format!("testing {}/{file}", path.display()));
        let loaded = Loaded::read(path, options.packs.library.as_deref())?;
        let choices = load::choices(&options.packs.bindings).with(&test.spec.parameters);
        let compiled = loaded.compile(&choices);
        if compiled.failed() {
            drop(spinner);
            load::draw_compiled(&loaded, &compiled);
            return Ok(None);
        }
        let Some(policy) = compiled.policy else { return Ok(None) };
        reports.push(test_file(file, test, &policy, &folder));
    }
    Ok(Some(PackReport { pack: path.display().to_string(), files: reports }))
}

fn test_file(file: &str, test: &PolicyTest, policy: &Policy, folder: &Path) -> FileReport {
    let bench = cases::Bench::new(policy.clone());
    let happened: Vec<_> = test.spec.cases.iter().map(|case| bench.carry_out(case, folder)).collect();
    let cases = test.spec.cases.iter().zip(&happened).map(|(case, happened)| {
        let reasons = match happened {
            Ok(happened) => outcome::disappointments(&case.expect, happened),
            Err(reason) => vec![reason.clone()],
        };
        CaseReport { name: case.name.clone(), passed: reasons.is_empty(), reasons }
    });
    let cases = cases.collect();
    let noticed = vacuity::weakened(policy).into_iter().any(|(_, weaker)| {
        let bench = cases::Bench::new(weaker);
        test.spec.cases.iter().zip(&happened).any(|(case, before)| bench.carry_out(case, folder) != *before)
    });
    FileReport { file: file.to_owned(), vacuous: !noticed, cases }
}

fn human(report: &Report) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for pack in &report.packs {
        for file in &pack.files {
            say(format!("{}/{}", pack.pack, plain(&file.file)));
            for case in &file.cases {
                say(format!("  {} {}", if case.passed { "pass" } else { "FAIL" }, plain(&case.name)));
                case.reasons.iter().for_each(|reason| say(format!("       {}", plain(reason))));
            }
            if file.vacuous {
                say(format!("  FAIL vacuous: {VACUOUS}"));
            }
        }
    }
    say(format!("{} passed, {} failed", report.passed, report.failed));
    text
}

/// A suite for each file. What makes the command end otherwise than with 0 is a failure there too.
fn suites(report: &Report) -> Vec<Suite> {
    let of_file = |pack: &PackReport, file: &FileReport| {
        let name = format!("{}/{}", pack.pack, file.file);
        let mut cases: Vec<Case> = file.cases.iter().map(|case| junit_case(case, &name)).collect();
        if file.vacuous {
            let failure = Failure {
                kind: "vacuous".to_owned(),
                message: VACUOUS.to_owned(),
                description: VACUOUS.to_owned(),
            };
            cases.push(Case {
                name: "vacuous".to_owned(),
                class: name.clone(),
                failure: Some(failure),
                said: None,
            });
        }
        Suite { name, cases }
    };
    let mut suites = Vec::new();
    for pack in &report.packs {
        suites.extend(pack.files.iter().map(|file| of_file(pack, file)));
    }
    suites.extend(report.broken.iter().map(|pack| {
        let failure = Failure {
            kind: "invalid".to_owned(),
            message: INVALID.to_owned(),
            description: INVALID.to_owned(),
        };
        let case = Case { name: "valid".to_owned(), class: pack.clone(), failure: Some(failure), said: None };
        Suite { name: pack.clone(), cases: vec![case] }
    }));
    suites
}

fn junit_case(case: &CaseReport, file: &str) -> Case {
    let failure = (!case.passed).then(|| Failure {
        kind: "expectation".to_owned(),
        message: case.reasons.first().cloned().unwrap_or_default(),
        description: case.reasons.join("\n"),
    });
    Case { name: case.name.clone(), class: file.to_owned(), failure, said: None }
}
