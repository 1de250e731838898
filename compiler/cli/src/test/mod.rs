//! `bailiwick test`: runs the cases next to a pack against the pack, and checks whether they could have
//! failed. On request it reports what they did not reach (`coverage`) and which edits of the pack they would
//! not notice (`mutate`).

mod coverage;
mod mutate;
mod outcome;
mod report;
mod suite;
mod vacuity;
mod watch;

use std::path::Path;

use anyhow::Result;
use bailiwick_policy::cel::Watching;

pub(crate) use self::suite::manifest_of;

use self::report::{Broken, INVALID, PackReport, Report};
use self::suite::Suite;
use crate::args::TestOptions;
use crate::outcome::Outcome;
use crate::print::Spinner;
use crate::report::deliver;
use crate::{files, load};

pub(crate) fn run(options: &TestOptions) -> Result<Outcome> {
    if options.watch { watch::run(options) } else { once(options) }
}

fn once(options: &TestOptions) -> Result<Outcome> {
    let (mut packs, mut broken) = (Vec::new(), Vec::new());
    let choices = load::choices(&options.packs.bindings);
    if !choices.is_empty() {
        let named = options.packs.packs.iter().map(|path| files::read_pack(path));
        choices.check_names(&named.collect::<Result<Vec<_>>>()?)?;
    }
    for path in &options.packs.packs {
        match test_pack(path, options)? {
            Ok(pack) => packs.push(pack),
            Err(why) => broken.push(Broken { pack: path.display().to_string(), why }),
        }
    }
    let report = Report::of(packs, broken);
    for (format, file) in options.reports.each() {
        deliver(&report.written(format)?, file)?;
    }
    Ok(report.outcome())
}

/// The tests of one pack, or why none could be run: the pack or a test file is invalid, after its findings
/// were printed, or there is no test.
fn test_pack(path: &Path, options: &TestOptions) -> Result<Result<PackReport, String>> {
    let suite = match Suite::read(path, &options.packs)? {
        Ok(suite) => suite,
        Err(why) => return Ok(Err(why)),
    };
    let Some(policies) = suite.policies()? else { return Ok(Err(INVALID.to_owned())) };
    let folder = suite.folder();
    let watching = if options.coverage { Watching::On } else { Watching::Off };
    let (mut files, mut all_ran) = (Vec::new(), Vec::new());
    for file in &suite.files {
        let _spinner = Spinner::start(format!("testing {}/{}", path.display(), file.name));
        let Some(policy) = policies.get(file.group) else { continue };
        let ran = file.run(policy, &folder, watching);
        files.push(file.report(&ran, policy, &folder));
        all_ran.push(ran);
    }
    let mut report = PackReport { pack: path.display().to_string(), files, coverage: None, mutation: None };
    if options.coverage {
        report.coverage = Some(coverage::measure(&suite, &policies, &all_ran));
    }
    // Tests that already fail cannot notice an edit.
    if options.mutate && report.passed() {
        report.mutation = Some(mutate::run(&suite, &all_ran, options.mutate_seconds)?);
    }
    Ok(Ok(report))
}
