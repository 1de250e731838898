//! `bailiwick diff`: what a changed pack newly allows, and what it no longer allows. Reads the two packs and
//! prints; the comparison is [`bailiwick_compiler::diff`].

mod comment;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use bailiwick_compiler::cases::manifest;
use bailiwick_compiler::diff::{self, Bound, Change, Diff, Direction, Witness};
use bailiwick_compiler::policy_test::{self, TestCase};
use bailiwick_policy::bundle;
use bailiwick_policy::policy::Policy;
use serde::Serialize;

use crate::args::{DiffFormat, DiffOptions, FailOn};
use crate::files::{self, PackFiles};
use crate::load::{self, Choices, Loaded};
use crate::outcome::Outcome;
use crate::print::{Spinner, out};
use crate::render;
use crate::review;
use crate::test::manifest_of;

/// The document of `--format json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'r> {
    version: u32,
    old: &'r Side,
    new: &'r Side,
    widened: usize,
    changed: usize,
    narrowed: usize,
    changes: &'r [Change],
    bounds: &'r [Bound],
    notes: &'r [String],
}

/// One of the two policies.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Side {
    /// The path as the user named it.
    path: String,
    /// `name@version` of its packs.
    packs: Vec<String>,
    digest: String,
    #[serde(skip)]
    policy: Policy,
}

pub(crate) fn run(options: &DiffOptions) -> Result<Outcome> {
    let choices = load::choices(&options.bindings);
    // Both are compiled before the findings of either end the command.
    let mut packs = Vec::new();
    let mut read = |path: &Path| read(path, options, &choices, &mut packs);
    let (old, new) = (read(&options.old)?, read(&options.new)?);
    choices.check_names(&packs)?;
    let (Some(old), Some(new)) = (old, new) else { return Ok(Outcome::Findings) };
    let seeds: Vec<TestCase> =
        [&options.old, &options.new].into_iter().flat_map(|path| seeds(path)).collect();
    let found = {
        let _spinner = Spinner::start(format!("comparing {} and {}", old.path, new.path));
        diff::diff(&old.policy, &new.policy, &seeds)
            .map_err(|error| anyhow!("the policies cannot be compared: {error}"))?
    };
    match options.format {
        DiffFormat::Text => text::print(&old, &new, &found),
        DiffFormat::Comment => out!("{}", comment::write(&old, &new, &found)),
        DiffFormat::Json => out!("{}", serde_json::to_string_pretty(&report(&old, &new, &found))?),
    }
    Ok(if fails(&found, options.fail_on) { Outcome::Findings } else { Outcome::Holds })
}

fn report<'r>(old: &'r Side, new: &'r Side, found: &'r Diff) -> Report<'r> {
    Report {
        version: render::JSON_VERSION,
        old,
        new,
        widened: found.count(Direction::Widened),
        changed: found.count(Direction::Changed),
        narrowed: found.count(Direction::Narrowed),
        changes: &found.changes,
        bounds: &found.bounds,
        notes: &found.notes,
    }
}

fn fails(found: &Diff, on: Option<FailOn>) -> bool {
    let counted = |direction: Direction| match on {
        None => false,
        Some(FailOn::Any) => true,
        // An undecided direction counts as the worse one.
        Some(FailOn::Widened) => direction != Direction::Narrowed,
        Some(FailOn::Narrowed) => direction != Direction::Widened,
    };
    found.changes.iter().any(|change| counted(change.direction))
}

/// A compiled pack, or a bundle; `None` after the findings of a pack that does not compile were printed. A
/// pack is added to `packs`.
fn read(
    path: &Path,
    options: &DiffOptions,
    choices: &Choices,
    packs: &mut Vec<PackFiles>,
) -> Result<Option<Side>> {
    let policy = if path.extension().is_some_and(|extension| extension == "json") {
        let bundle = review::read_bundle(path);
        bundle.with_context(|| format!("cannot use the bundle {}", path.display()))?.policy
    } else {
        let loaded = Loaded::read(path, options.library.as_deref())?;
        let compiled = loaded.compile(choices);
        let failed = compiled.failed();
        if failed {
            load::draw_compiled(&loaded, &compiled);
        }
        packs.extend(loaded.packs);
        if failed {
            return Ok(None);
        }
        compiled.policy.with_context(|| format!("{} has no policy", path.display()))?
    };
    let digest = bundle::digest(&bundle::write(&policy)?);
    let packs = policy.packs.iter().map(|pack| format!("{}@{}", pack.name, pack.version)).collect();
    Ok(Some(Side { path: shown(path), packs, digest, policy }))
}

/// Test cases from next to the pack: inputs that its author thought of. A test that cannot be read is one
/// input less.
fn seeds(path: &Path) -> Vec<TestCase> {
    let folder = path.join("tests");
    let Ok(sources) = files::read_folder(&folder, &["yaml", "yml"], "tests/") else { return Vec::new() };
    let (tests, _) = policy_test::read(&sources);
    let cases = tests.into_iter().flat_map(|(_, test)| test.spec.cases);
    cases.filter_map(|case| written_out(case, &folder)).collect()
}

/// A case with the manifests that it names read in.
fn written_out(mut case: TestCase, folder: &Path) -> Option<TestCase> {
    if let Some(admission) = &mut case.admission {
        for object in [&mut admission.object, &mut admission.old_object].into_iter().flatten() {
            *object = manifest(object, &|name| manifest_of(folder, name)).ok()?;
        }
    }
    Some(case)
}

fn shown(path: &Path) -> String {
    let path: PathBuf = path.components().collect();
    path.display().to_string()
}

/// A witness on one line.
fn line(witness: &Witness) -> String {
    match witness {
        Witness::Amount(amount) if amount.unit.is_empty() => format!("{} of {}", amount.value, amount.of),
        Witness::Amount(amount) => format!("{} {} of {}", amount.value, amount.unit, amount.of),
        Witness::Setting { of, value } => format!("{of}: {value}"),
        Witness::Case(case) => {
            let mut members = serde_json::to_value(case).unwrap_or_default();
            let members = members.as_object_mut().map(std::mem::take).unwrap_or_default();
            let happens = members.into_iter().filter(|(name, _)| name != "name" && name != "expect");
            happens.map(|(name, value)| format!("{name} {value}")).collect()
        }
    }
}

/// The sign of a direction.
const fn sign(direction: Direction) -> &'static str {
    match direction {
        Direction::Widened => "+",
        Direction::Changed => "~",
        Direction::Narrowed => "-",
    }
}

/// How many differences there are.
fn tally(found: &Diff) -> String {
    let count = |direction| found.count(direction);
    format!(
        "{} widened, {} changed, {} narrowed",
        count(Direction::Widened),
        count(Direction::Changed),
        count(Direction::Narrowed)
    )
}
