//! JUnit's XML, which every CI system reads. It has no standard; this is what its readers have in common.
//!
//! Contains neither times nor identifiers: the same findings give the same bytes.

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// The cases of one file.
#[derive(Clone, Debug)]
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) cases: Vec<Case>,
}

/// One check that passes or fails.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Its place, for readers that group by it.
    pub(crate) class: String,
    /// `None` if it passes.
    pub(crate) failure: Option<Failure>,
    /// Further output of a case that passes.
    pub(crate) said: Option<String>,
}

/// Why a case fails.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// A word that failures of one kind share.
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) description: String,
}

/// The document.
pub(crate) fn document(name: &str, suites: &[Suite]) -> Result<String> {
    let mut report = Report::new(name);
    for suite in suites {
        let mut made = TestSuite::new(&suite.name);
        made.add_test_cases(suite.cases.iter().map(case));
        report.add_test_suite(made);
    }
    report.to_string().context("the results cannot be written as JUnit XML")
}

fn case(case: &Case) -> TestCase {
    let status = match &case.failure {
        None => TestCaseStatus::success(),
        Some(failure) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_type(&failure.kind)
                .set_message(&failure.message)
                .set_description(&failure.description);
            status
        }
    };
    let mut made = TestCase::new(&case.name, status);
    made.set_classname(&case.class);
    if let Some(said) = &case.said {
        made.set_system_out(said);
    }
    made
}
