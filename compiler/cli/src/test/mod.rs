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

use crate::args::{Format, TestOptions};
use crate::files;
use crate::load::{self, Loaded};
use crate::outcome::Outcome;
use crate::print::{Spinner, out, plain};
use crate::render;

/// The outcome of one pack's tests, as `--format json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    packs: Vec<PackReport>,
    passed: usize,
    failed: usize,
}

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
    let mut report = Report { version: render::JSON_VERSION, packs: Vec::new(), passed: 0, failed: 0 };
    let mut broken = false;
    for path in &options.packs.packs {
        match test_pack(path, options)? {
            Some(pack) => report.packs.push(pack),
            None => broken = true,
        }
    }
    let cases = report.packs.iter().flat_map(|pack| &pack.files).flat_map(|file| &file.cases);
    report.passed = cases.clone().filter(|case| case.passed).count();
    report.failed = cases.filter(|case| !case.passed).count();
    let vacuous = report.packs.iter().flat_map(|pack| &pack.files).any(|file| file.vacuous);
    match options.format {
        Format::Json => out!("{}", serde_json::to_string_pretty(&report)?),
        Format::Human => print(&report),
    }
    Ok(if broken {
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

fn print(report: &Report) {
    for pack in &report.packs {
        for file in &pack.files {
            out!("{}/{}", pack.pack, plain(&file.file));
            for case in &file.cases {
                out!("  {} {}", if case.passed { "pass" } else { "FAIL" }, plain(&case.name));
                for reason in &case.reasons {
                    out!("       {}", plain(reason));
                }
            }
            if file.vacuous {
                out!("  FAIL vacuous: no statement of the pack makes a difference to any case of this file");
            }
        }
    }
    out!("{} passed, {} failed", report.passed, report.failed);
}
