//! The tests of one pack: read once, compiled once for each choice of parameters, and run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bailiwick_compiler::cases::{Bench, Happened, manifest};
use bailiwick_compiler::policy_test::{self, PolicyTest, TestCase};
use bailiwick_policy::cel::Watching;
use bailiwick_policy::policy::Policy;
use serde_json::Value;

use super::outcome;
use super::report::{CaseReport, FileReport, INVALID};
use super::vacuity;
use crate::args::PackOptions;
use crate::load::{self, Choices, Loaded};
use crate::plain::plain;
use crate::print::{Spinner, note};
use crate::{files, manifests, render};

/// A pack with its tests.
pub(super) struct Suite {
    pub(super) path: PathBuf,
    /// The folder of the tests.
    folder: PathBuf,
    pub(super) loaded: Loaded,
    /// In the order of the file names.
    pub(super) files: Vec<TestFile>,
}

/// A file of tests.
pub(super) struct TestFile {
    pub(super) name: String,
    pub(super) test: PolicyTest,
    /// The values of its parameters, including those of the command line.
    pub(super) choices: Choices,
    /// Files with the same parameters have the same number: they run against one policy.
    pub(super) group: usize,
}

/// A test file that was run: the outcomes of its cases, and the bench that ran them.
pub(super) struct Ran {
    pub(super) happened: Vec<Result<Happened, String>>,
    pub(super) bench: Bench,
}

impl Suite {
    /// Reads a pack and its tests, or says why none could be run. If a test file is invalid, its findings
    /// have been printed.
    pub(super) fn read(path: &Path, options: &PackOptions) -> Result<Result<Self, String>> {
        let (beside, folder) = (beside(path), folder(path));
        if !folder.is_dir() {
            // A path that leads nowhere is not a pack at all.
            files::read_pack(path)?;
            if let Some(pack) =
                beside.parent().filter(|pack| path.is_file() && pack.join("pack.yaml").is_file())
            {
                bail!(
                    "{} is not a pack; name the folder of its pack: `bailiwick test {}`",
                    path.display(),
                    pack.display()
                );
            }
            return Ok(Err(untested(format!(
                "{} has no folder `tests`; a pack without tests is not known to refuse anything",
                beside.display()
            ))));
        }
        let Some(tests) = read_tests(&folder, beside)? else { return Ok(Err(INVALID.to_owned())) };
        if tests.is_empty() {
            return Ok(Err(untested(format!("{} holds no PolicyTest", folder.display()))));
        }
        let loaded = Loaded::read(path, options.library.as_deref())?.with_schemas(&options.schemas)?;
        let given = load::choices(&options.bindings);
        let mut groups: Vec<BTreeMap<String, Value>> = Vec::new();
        let files = tests.into_iter().map(|(name, mut test)| {
            test.spec.cases.iter_mut().for_each(|case| read_manifests(case, &folder));
            let group = groups.iter().position(|known| *known == test.spec.parameters).unwrap_or_else(|| {
                groups.push(test.spec.parameters.clone());
                groups.len() - 1
            });
            TestFile { choices: given.clone().with(&test.spec.parameters), name, test, group }
        });
        let files: Vec<TestFile> = files.collect();
        for file in &files {
            let own = Choices::default().with(&file.test.spec.parameters);
            own.check_names(&loaded.packs).with_context(|| file.name.clone())?;
        }
        Ok(Ok(Self { path: path.to_owned(), folder, loaded, files }))
    }

    /// The folder of the tests.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// The policy of each group; `None` after the findings were printed, if the pack does not compile.
    pub(super) fn policies(&self) -> Result<Option<Vec<Policy>>> {
        let mut policies = Vec::new();
        for file in &self.files {
            if file.group < policies.len() {
                continue;
            }
            let spinner = Spinner::start(format!("testing {}/{}", self.path.display(), file.name));
            let compiled = self.loaded.compile(&file.choices);
            drop(spinner);
            if compiled.failed() {
                load::draw_compiled(&self.loaded, &compiled);
                return Ok(None);
            }
            policies.push(compiled.policy.context("the pack has no effective policy")?);
        }
        Ok(Some(policies))
    }
}

/// The tests in a folder; `None` after findings were printed, also about tests that lie where none is read.
fn read_tests(folder: &Path, beside: &Path) -> Result<Option<Vec<(String, PolicyTest)>>> {
    let extensions = ["yaml", "yml"];
    let sources = files::read_folder(folder, &extensions, "tests/")?;
    let others = files::read_below(folder, &extensions, "tests/")?;
    let (tests, diagnostics) = policy_test::read(&sources);
    let is_wrong = load::draw(&diagnostics, &sources, beside);
    let is_astray = load::draw(&policy_test::astray(&others), &others, beside);
    Ok((!is_wrong && !is_astray).then_some(tests))
}

/// Where a pack and its tests are; for a pack that is one file, the folder of the file.
fn beside(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if path.is_file() { parent.unwrap_or(Path::new(".")) } else { path }
}

/// The folder of a pack's tests.
pub(super) fn folder(path: &Path) -> PathBuf {
    beside(path).join("tests")
}

/// Reports that a pack cannot be tested, and returns why.
fn untested(why: String) -> String {
    note!("{}: {}", render::error_word(), plain(&why));
    why
}

impl TestFile {
    pub(super) fn cases(&self) -> &[TestCase] {
        &self.test.spec.cases
    }

    /// Runs every case.
    pub(super) fn run(&self, policy: &Policy, folder: &Path, watching: Watching) -> Ran {
        let bench = Bench::new(policy.clone(), watching);
        let happened = self.cases().iter().map(|case| carry_out(&bench, case, folder)).collect();
        Ran { happened, bench }
    }

    /// The report on the cases, and whether any of them could have come out differently.
    pub(super) fn report(&self, ran: &Ran, policy: &Policy, folder: &Path) -> FileReport {
        let cases = self.cases().iter().zip(&ran.happened).map(|(case, happened)| {
            let reasons = disappointments(case, happened);
            let ungoverned = happened.as_ref().is_ok_and(|happened| happened.governed == Some(false));
            CaseReport { name: case.name.clone(), passed: reasons.is_empty(), reasons, ungoverned }
        });
        let cases = cases.collect();
        let noticed =
            vacuity::weakened(policy).into_iter().any(|(_, weaker)| self.notices(ran, weaker, folder));
        FileReport { file: self.name.clone(), vacuous: !noticed, cases }
    }

    /// Whether a case that passes fails under another policy, or the reverse. What is not expected may change
    /// unnoticed.
    fn notices(&self, before: &Ran, other: Policy, folder: &Path) -> bool {
        let bench = Bench::of_edit(other);
        let passes = |case, happened: &_| disappointments(case, happened).is_empty();
        self.cases()
            .iter()
            .zip(&before.happened)
            .any(|(case, before)| passes(case, &carry_out(&bench, case, folder)) != passes(case, before))
    }

    /// Whether any case comes out differently under another policy, expected or not.
    pub(super) fn differs(&self, before: &Ran, other: Policy, folder: &Path) -> bool {
        let bench = Bench::of_edit(other);
        self.cases()
            .iter()
            .zip(&before.happened)
            .any(|(case, before)| carry_out(&bench, case, folder) != *before)
    }
}

/// Runs a case whose manifests are in this folder.
pub(super) fn carry_out(bench: &Bench, case: &TestCase, folder: &Path) -> Result<Happened, String> {
    bench.carry_out(case, &|name| manifest_of(folder, name))
}

/// The expectations of a case that were not met; empty if it passed.
pub(super) fn disappointments(case: &TestCase, happened: &Result<Happened, String>) -> Vec<String> {
    match happened {
        Ok(happened) => outcome::disappointments(&case.expect, happened),
        Err(reason) => vec![reason.clone()],
    }
}

/// Inserts the manifests that a case names, so that they are read once. A manifest that cannot be read is
/// reported when the case runs.
fn read_manifests(case: &mut TestCase, folder: &Path) {
    let Some(admission) = &mut case.admission else { return };
    for object in [&mut admission.object, &mut admission.old_object].into_iter().flatten() {
        if let Ok(read) = manifest(object, &|name| manifest_of(folder, name)) {
            *object = read;
        }
    }
}

/// A manifest in the folder of the tests.
pub(crate) fn manifest_of(folder: &Path, name: &str) -> Result<Value, String> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !plain {
        return Err(format!("`{name}` leads out of the folder of the tests"));
    }
    manifests::one(&folder.join(path)).map_err(|error| format!("{error:#}"))
}
