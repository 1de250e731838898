//! The test tables of the API server's CEL libraries, from the Go module `k8s.io/apiserver`;
//! `conformance/cel/tables` reads them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bailiwick_conformance::go_module::go_module;
use bailiwick_policy::cel::NamedFormat;
use serde::Deserialize;

use super::evaluation::{Environment, Failure};
use super::judgement::{Judged, Verdict};

pub(crate) const MODULE: &str = "k8s.io/apiserver";
pub(crate) const VERSION: &str = "v0.37.2";

/// The prefix of all names in the committed list.
pub(crate) const SUITE: &str = "kubernetes/";

/// A row of a table. At least one of the three is expected.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    expr: String,
    /// A CEL expression of the value.
    value: Option<String>,
    #[serde(default)]
    compile_error: bool,
    #[serde(default)]
    runtime_error: bool,
}

/// All tables, judged once. `None` where Go is missing and this is not CI.
pub(crate) fn judged() -> Option<&'static Judged> {
    static JUDGED: OnceLock<Option<Judged>> = OnceLock::new();
    JUDGED
        .get_or_init(|| {
            let module = go_module(MODULE, VERSION).unwrap()?;
            let mut judged = Judged::default();
            for case in rows(&module.join("pkg/cel/library")).into_iter().chain(comparisons()) {
                judged.add(&format!("{SUITE}{}", case.name), judge(&case));
            }
            Some(judged)
        })
        .as_ref()
}

fn rows(library: &Path) -> Vec<Case> {
    let output = Command::new("go")
        .args(["run", "."])
        .arg(library)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("cel/tables"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "conformance/cel/tables failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The rows that `TestFormat` makes in a loop: each named form equals itself and no other.
fn comparisons() -> impl Iterator<Item = Case> {
    let names = || NamedFormat::ALL.iter().map(|(name, _)| *name);
    let pairs = names().flat_map(move |left| names().map(move |right| (left, right)));
    pairs.map(|(left, right)| Case {
        name: format!("format_test.go/TestFormat/compare_{left}_{right}"),
        expr: format!("format.{left}() == format.{right}()"),
        value: Some((left == right).to_string()),
        ..Case::default()
    })
}

fn judge(case: &Case) -> Verdict {
    let environment = Environment::of([].into());
    let source = &case.expr;
    match (&case.value, environment.evaluate(source, |value| value.type_name())) {
        (None, Err(Failure::Refused(_))) if case.compile_error => Verdict::Agrees,
        (None, Err(Failure::Error(_))) if case.runtime_error => Verdict::Agrees,
        (None, Err(Failure::Refused(_))) => Verdict::RefusedEarly,
        (None, outcome) => Verdict::Disagrees(format!("`{source}` gives {outcome:?}, not an error")),
        (Some(_), Err(failure)) => Verdict::Disagrees(format!("`{source}`: {failure}")),
        (Some(value), Ok(_)) => {
            // Equality crosses kinds of numbers, so kinds are compared, too.
            let same = format!("type({source}) == type({value}) && dyn({source}) == dyn({value})");
            match environment.evaluate(&same, |same| same.as_bool()) {
                Ok(Some(true)) => Verdict::Agrees,
                other => Verdict::Disagrees(format!("`{source}` is not {value}: {other:?}")),
            }
        }
    }
}

#[test]
fn the_tables_of_the_api_servers_libraries() {
    let Some(judged) = judged() else { return };
    assert!(judged.verdicts.len() > 300, "{} rows were found", judged.verdicts.len());
    judged.check(SUITE);
}
