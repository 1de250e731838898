//! `bailiwick test --mutate`: edits of the pack that weaken or invert it, one at a time, and whether a test
//! notices each of them.
//!
//! An edit is made in the pack's text as it was read, and compiled like any other text, so that it means what
//! the author would get by writing it. An edit that no test notices **survives**: it is shown, unless
//! `tests/survivors.txt` gives a reason why no test can notice it.
//!
//! ```text
//! document ► edits ► compile ► cases ► noticed | refused (does not compile) | survives ┬ accepted by survivors.txt
//!                                                                                      └ shown
//! ```

mod edits;
mod survivors;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bailiwick_compiler::cases::Bench;
use bailiwick_compiler::source::{PackSources, SourceFile};
use indicatif::ProgressBar;
use serde::Serialize;

use self::edits::Edit;
use self::survivors::Accepted;
use super::report::failing;
use super::suite::{Ran, Suite, carry_out, disappointments};
use crate::places::{Places, dedented, shown};
use crate::plain::plain;
use crate::report::{self, Case};

/// Most edits that are tried; a pack with a hundred rules has some hundreds.
const MAX_EDITS: usize = 2_000;
/// Most threads. More policies than this at once would exhaust memory rather than save time.
const MAX_THREADS: usize = 8;
/// Most lines shown of an edited text.
const MAX_SHOWN_LINES: usize = 3;

/// The outcome for the edits of a pack.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mutation {
    edits: usize,
    /// A test failed.
    noticed: usize,
    /// The edited pack does not compile.
    refused: usize,
    /// Survivors for which `survivors.txt` gives a reason.
    accepted: usize,
    /// Edits that were not tried, because the time ran out or there are too many.
    untried: usize,
    survivors: Vec<Survivor>,
    /// Entries of `survivors.txt` that do not survive or are not an edit of the pack.
    stale: Vec<String>,
}

/// An edit that no test notices.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Survivor {
    edit: String,
    file: String,
    line: usize,
    column: usize,
    before: String,
    /// Empty if it was removed.
    after: String,
}

/// The outcome of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Noticed,
    Refused,
    Survives,
    Untried,
}

impl Mutation {
    /// Whether nothing survives without a reason, and every reason is needed.
    pub(super) const fn holds(&self) -> bool {
        self.survivors.is_empty() && self.stale.is_empty()
    }

    pub(super) const fn is_unfinished(&self) -> bool {
        self.untried > 0
    }

    pub(super) fn human(&self, pack: &str) -> String {
        let mut text = format!("mutation of {pack}: {} edits, {} noticed", self.edits, self.noticed);
        for (count, what) in [
            (self.refused, "refused by the compiler"),
            (self.accepted, "accepted by tests/survivors.txt"),
            (self.untried, "not tried"),
            (self.survivors.len(), "SURVIVE"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text.push('\n');
        for survivor in &self.survivors {
            let place = shown(&survivor.file, survivor.line, survivor.column);
            text.push_str(&plain(&format!("  {place} {}\n", survivor.edit)));
            for (sign, edited) in [('-', &survivor.before), ('+', &survivor.after)] {
                edited.lines().for_each(|line| text.push_str(&plain(&format!("    {sign} {line}\n"))));
            }
        }
        for stale in &self.stale {
            text.push_str(&plain(&format!(
                "  tests/survivors.txt: `{stale}` does not survive; take the entry out\n"
            )));
        }
        text
    }

    /// A case for each survivor and each stale entry, and one for edits that were not tried; a single passing
    /// case if there are none.
    pub(super) fn suite(&self, pack: &str) -> report::Suite {
        let name = format!("{pack} mutation");
        let mut cases: Vec<Case> = self
            .survivors
            .iter()
            .map(|one| {
                let place = shown(&one.file, one.line, one.column);
                failing(
                    &one.edit,
                    &name,
                    "survivor",
                    &format!("no test notices it: {place}\n- {}\n+ {}", one.before, one.after),
                )
            })
            .collect();
        cases.extend(self.stale.iter().map(|one| {
            failing(one, &name, "stale", "it does not survive; take it out of tests/survivors.txt")
        }));
        // The command does not exit with 0 then.
        if self.is_unfinished() {
            let why =
                format!("{} edits were not tried; give it more time with `--mutate-seconds`", self.untried);
            cases.push(failing("every edit is tried", &name, "unfinished", &why));
        }
        if cases.is_empty() {
            cases.push(Case { name: "survivors".to_owned(), class: name.clone(), failure: None, said: None });
        }
        report::Suite { name, cases }
    }
}

/// Tries every edit. All tests pass on the unedited pack; `ran` holds their outcomes.
pub(super) fn run(suite: &Suite, ran: &[Ran], seconds: u64) -> Result<Mutation> {
    let pack = suite.loaded.packs.first().context("there is no pack")?;
    let places = Places::of(pack);
    let document = places.document().context("the pack cannot be read")?;
    let mut edits = edits::of(&document);
    let beyond = edits.len().saturating_sub(MAX_EDITS);
    edits.truncate(MAX_EDITS);
    let accepted = survivors::read(&suite.folder())?;
    let order = Order::of(suite, ran);
    let trial = Trial {
        suite,
        sources: &pack.sources,
        document: &document,
        order,
        until: Instant::now() + Duration::from_secs(seconds),
    };
    let verdicts = trial.all(&edits)?;
    Ok(summary(&edits, &verdicts, beyond, &accepted, &places))
}

fn summary(
    edits: &[Edit],
    verdicts: &[Verdict],
    beyond: usize,
    accepted: &Accepted,
    places: &Places,
) -> Mutation {
    let count = |wanted: Verdict| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    let of = |wanted: Verdict| {
        edits.iter().zip(verdicts).filter(move |(_, verdict)| **verdict == wanted).map(|(edit, _)| edit)
    };
    let (reasoned, unreasoned): (Vec<&Edit>, Vec<&Edit>) =
        of(Verdict::Survives).partition(|edit| accepted.contains_key(&edit.name));
    // An edit that was not tried may still need its reason.
    let is_needed = |name: &String| {
        reasoned.iter().any(|edit| edit.name == *name) || of(Verdict::Untried).any(|edit| edit.name == *name)
    };
    let stale = accepted.keys().filter(|name| !is_needed(name)).cloned().collect();
    Mutation {
        edits: edits.len() + beyond,
        noticed: count(Verdict::Noticed),
        refused: count(Verdict::Refused),
        accepted: reasoned.len(),
        untried: count(Verdict::Untried) + beyond,
        survivors: unreasoned.into_iter().map(|edit| survivor(edit, places)).collect(),
        stale,
    }
}

fn survivor(edit: &Edit, places: &Places) -> Survivor {
    let at = places.find(&edit.at, None);
    let written = places.written(&edit.at).unwrap_or_default();
    let written = written.trim_end();
    let column = at.as_ref().map_or(1, |at| at.column);
    let mut lines: Vec<&str> = dedented(written, column).take(MAX_SHOWN_LINES).collect();
    if written.lines().count() > lines.len() {
        lines.push("…");
    }
    Survivor {
        edit: edit.name.clone(),
        file: at.as_ref().map(|at| at.path.display().to_string()).unwrap_or_default(),
        line: at.as_ref().map_or(0, |at| at.line),
        column: at.map_or(0, |at| at.column),
        before: lines.join("\n"),
        after: edit.after.clone(),
    }
}

/// The cases to try first: those that name the rule, or that it decided. Nearly every edit is noticed by one
/// of them.
struct Order(Vec<Vec<Vec<String>>>);

impl Order {
    fn of(suite: &Suite, ran: &[Ran]) -> Self {
        let rules_of = |file: usize, case: usize| {
            let happened = ran.get(file).and_then(|ran| ran.happened.get(case));
            let decided = happened.and_then(|happened| happened.as_ref().ok());
            let decided = decided.map(|happened| happened.rules.clone()).unwrap_or_default();
            let expected = suite.files.get(file).and_then(|file| file.cases().get(case));
            let expected = expected.and_then(|case| case.expect.rule.clone());
            decided.into_iter().chain(expected).collect()
        };
        let cases = suite.files.iter().map(|file| file.cases().len()).enumerate();
        Self(cases.map(|(file, count)| (0..count).map(|case| rules_of(file, case)).collect()).collect())
    }

    /// Every case of every file, as indices.
    fn for_edit(&self, edit: &Edit) -> Vec<(usize, usize)> {
        let is_about = |rules: &[String]| {
            edit.subject.as_ref().is_some_and(|subject| {
                rules.iter().any(|rule| rule.rsplit('/').next() == Some(subject.as_str()))
            })
        };
        let all = self.0.iter().enumerate();
        let mut cases: Vec<(bool, usize, usize)> = all
            .flat_map(|(file, cases)| cases.iter().enumerate().map(move |(case, rules)| (rules, file, case)))
            .map(|(rules, file, case)| (!is_about(rules), file, case))
            .collect();
        cases.sort();
        cases.into_iter().map(|(_, file, case)| (file, case)).collect()
    }
}

/// Everything needed to try edits.
struct Trial<'s> {
    suite: &'s Suite,
    sources: &'s PackSources,
    /// The unedited pack.
    document: &'s serde_json::Value,
    order: Order,
    until: Instant,
}

impl Trial<'_> {
    /// A verdict for each edit, regardless of the thread that reached it.
    fn all(&self, edits: &[Edit]) -> Result<Vec<Verdict>> {
        let next = AtomicUsize::new(0);
        let verdicts = Mutex::new(vec![Verdict::Untried; edits.len()]);
        let progress = ProgressBar::new(edits.len() as u64);
        let folder = self.suite.folder();
        let work = || {
            while Instant::now() < self.until {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(edit) = edits.get(at) else { break };
                let verdict = self.one(edit, &folder);
                if let Ok(mut verdicts) = verdicts.lock()
                    && let Some(place) = verdicts.get_mut(at)
                {
                    *place = verdict;
                }
                progress.inc(1);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        progress.finish_and_clear();
        verdicts.into_inner().ok().context("a thread that tried edits ended early")
    }

    fn one(&self, edit: &Edit, folder: &Path) -> Verdict {
        let Ok(text) = serde_json::to_vec(&edit.of(self.document)) else { return Verdict::Refused };
        // JSON is YAML. Fragments are already merged into the document.
        let sources = PackSources { files: vec![SourceFile::new("pack.yaml", text)], ..self.sources.clone() };
        let mut benches: BTreeMap<usize, Bench> = BTreeMap::new();
        for file in &self.suite.files {
            if benches.contains_key(&file.group) {
                continue;
            }
            match self.suite.loaded.compile_instead(&sources, &file.choices).policy {
                Some(policy) => benches.insert(file.group, Bench::of_edit(policy)),
                None => return Verdict::Refused,
            };
        }
        for (file, case) in self.order.for_edit(edit) {
            let Some(file) = self.suite.files.get(file) else { continue };
            let (Some(case), Some(bench)) = (file.cases().get(case), benches.get(&file.group)) else {
                continue;
            };
            if !disappointments(case, &carry_out(bench, case, folder)).is_empty() {
                return Verdict::Noticed;
            }
        }
        Verdict::Survives
    }
}
