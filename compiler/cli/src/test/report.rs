//! The output of `bailiwick test`: for a person, for a program, and as JUnit. A failure in one format is a
//! failure in all.

use anyhow::Result;
use serde::Serialize;

use super::coverage::Coverage;
use super::mutate::Mutation;
use crate::args::TestFormat;
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::render;
use crate::report::{self, Case, Failure, Suite};

/// The outcome of the tests of some packs, as `--format json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    version: u32,
    pub(super) packs: Vec<PackReport>,
    passed: usize,
    failed: usize,
    /// Packs that do not compile, that have no tests, or whose tests cannot be read. The causes are on
    /// standard error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    broken: Vec<Broken>,
}

/// A pack that could not be tested. Programs see it by its name.
#[derive(Clone, Debug, Serialize)]
#[serde(into = "String")]
pub(super) struct Broken {
    pub(super) pack: String,
    pub(super) why: String,
}

impl From<Broken> for String {
    fn from(broken: Broken) -> Self {
        broken.pack
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PackReport {
    pub(super) pack: String,
    pub(super) files: Vec<FileReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) coverage: Option<Coverage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mutation: Option<Mutation>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileReport {
    pub(super) file: String,
    /// No case of the file could have failed, whatever the pack said.
    pub(super) vacuous: bool,
    pub(super) cases: Vec<CaseReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CaseReport {
    pub(super) name: String,
    pub(super) passed: bool,
    pub(super) reasons: Vec<String>,
    /// The pack does not govern the request, so this case passes whatever the pack says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) ungoverned: bool,
}

/// The message for a test file that no change of the pack makes fail.
const VACUOUS: &str = "no statement of the pack makes a difference to any case of this file";
/// The message for a pack that could not be tested.
pub(super) const INVALID: &str = "the pack or a file of its tests is not valid; `bailiwick check` says why";

impl PackReport {
    /// Whether every case passed and could have failed.
    pub(super) fn passed(&self) -> bool {
        self.files.iter().all(|file| !file.vacuous && file.cases.iter().all(|case| case.passed))
    }
}

impl Report {
    pub(super) fn of(packs: Vec<PackReport>, broken: Vec<Broken>) -> Self {
        let cases = packs.iter().flat_map(|pack| &pack.files).flat_map(|file| &file.cases);
        let passed = cases.clone().filter(|case| case.passed).count();
        let failed = cases.filter(|case| !case.passed).count();
        Self { version: render::JSON_VERSION, packs, passed, failed, broken }
    }

    pub(super) fn outcome(&self) -> Outcome {
        let mutations = || self.packs.iter().filter_map(|pack| pack.mutation.as_ref());
        if !self.broken.is_empty() {
            Outcome::Findings
        } else if !self.packs.iter().all(PackReport::passed) || !mutations().all(Mutation::holds) {
            Outcome::TestsFailed
        } else if mutations().any(Mutation::is_unfinished) {
            Outcome::Incomplete
        } else {
            Outcome::Holds
        }
    }

    /// The report in a format.
    pub(super) fn written(&self, format: TestFormat) -> Result<String> {
        match format {
            TestFormat::Json => Ok(format!("{}\n", serde_json::to_string_pretty(self)?)),
            TestFormat::Human => Ok(self.human()),
            TestFormat::Junit => report::document("bailiwick test", &self.suites()),
        }
    }

    fn human(&self) -> String {
        let mut text = String::new();
        for pack in &self.packs {
            for file in &pack.files {
                text.push_str(&format!("{}/{}\n", pack.pack, plain(&file.file)));
                for case in &file.cases {
                    let word = if case.passed { "pass" } else { "FAIL" };
                    let mark = if case.ungoverned { " (not governed)" } else { "" };
                    text.push_str(&format!("  {word} {}{mark}\n", plain(&case.name)));
                    for reason in &case.reasons {
                        text.push_str(&format!("       {}\n", plain(reason)));
                    }
                }
                if file.vacuous {
                    text.push_str(&format!("  FAIL vacuous: {VACUOUS}\n"));
                }
            }
        }
        for broken in &self.broken {
            text.push_str(&format!("{}\n  FAIL {}\n", plain(&broken.pack), plain(&broken.why)));
        }
        let vacuous = self.packs.iter().flat_map(|pack| &pack.files).filter(|file| file.vacuous).count();
        let counted = |count: usize, what: &str, many: &str| match count {
            0 => String::new(),
            1 => format!(", 1 {what}"),
            more => format!(", {more} {many}"),
        };
        let vacuous = counted(vacuous, "file vacuous", "files vacuous");
        let untested = counted(self.broken.len(), "pack not tested", "packs not tested");
        text.push_str(&format!("{} passed, {} failed{vacuous}{untested}\n", self.passed, self.failed));
        for pack in &self.packs {
            if let Some(coverage) = &pack.coverage {
                text.push_str(&coverage.human(&pack.pack));
            }
            if let Some(mutation) = &pack.mutation {
                text.push_str(&mutation.human(&pack.pack));
            }
        }
        text
    }

    /// A suite for each file. Everything that makes the command exit with other than 0 is a failure there
    /// too.
    fn suites(&self) -> Vec<Suite> {
        let mut suites = Vec::new();
        for pack in &self.packs {
            suites.extend(pack.files.iter().map(|file| suite(&pack.pack, file)));
            suites.extend(pack.mutation.as_ref().map(|mutation| mutation.suite(&pack.pack)));
        }
        suites.extend(self.broken.iter().map(|Broken { pack, why }| {
            let cases = vec![failing("valid", pack, "invalid", why)];
            Suite { name: pack.clone(), cases }
        }));
        suites
    }
}

fn suite(pack: &str, file: &FileReport) -> Suite {
    let name = format!("{pack}/{}", file.file);
    let case = |case: &CaseReport| {
        let failure = (!case.passed).then(|| Failure {
            kind: "expectation".to_owned(),
            message: case.reasons.first().cloned().unwrap_or_default(),
            description: case.reasons.join("\n"),
        });
        let said = case.ungoverned.then(|| "not governed".to_owned());
        Case { name: case.name.clone(), class: name.clone(), failure, said }
    };
    let mut cases: Vec<Case> = file.cases.iter().map(case).collect();
    if file.vacuous {
        cases.push(failing("vacuous", &name, "vacuous", VACUOUS));
    }
    Suite { name, cases }
}

/// A case that fails for one reason.
pub(super) fn failing(name: &str, class: &str, kind: &str, why: &str) -> Case {
    let failure = Failure { kind: kind.to_owned(), message: why.to_owned(), description: why.to_owned() };
    Case { name: name.to_owned(), class: class.to_owned(), failure: Some(failure), said: None }
}
