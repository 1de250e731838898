//! `bailiwick replay`: decides the calls of an audit log again under other packs, as they were made then, and
//! shows what would have come out differently.
//!
//! Not `bailiwick audit replay`, which checks that the policy of each record decides what the record says.
//!
//! ```text
//! LOG ► verify ► fold, record by record ► inputs of the decision, the sum of what was counted ► decide under PACK ► compare ► table
//! ```
//! Call, session, question and time are inputs taken from the record. What the packs count is counted again:
//! a call counts if it ran then and runs now. A question that the same people would be asked again is assumed
//! to get the same answer. A result is decided again if the call runs now as it ran then and its result can
//! be shown.

pub(crate) mod history;
mod report;
mod verdict;

use std::convert::Infallible;

use anyhow::{Result, bail};
use bailiwick_audit::{FoldError, Status, fold, verify};
use bailiwick_policy::tool::LoadedPolicy;

use self::history::History;
use self::report::Report;
use crate::args::{Format, ReplayOptions};
use crate::audit::known_key;
use crate::effective::Effective;
use crate::load::Choices;
use crate::outcome::Outcome;
use crate::print::out;

pub(crate) fn run(options: &ReplayOptions) -> Result<Outcome> {
    if !options.log.join("segments").is_dir() {
        bail!("{} is not an audit log: it has no folder `segments`", options.log.display());
    }
    let Some(effective) = Effective::read(&options.packs, options.library.as_deref(), &Choices::default())?
    else {
        return Ok(Outcome::Findings);
    };
    let verified = verify(&options.log, &known_key(options.log_key.as_deref())?)?;
    let mut report = Report::of(&effective, &verified);
    if verified.status != Status::Tampered {
        let policy = LoadedPolicy::of_bundle(effective.bundle)?;
        let mut history = History::new(&options.log, &policy);
        match fold::<Infallible>(&options.log, None, |record, behind| {
            let taken = history.take(record, behind.segment);
            report.take(record, taken);
            Ok(())
        }) {
            Ok(_) => {}
            // The log grew or changed since it was verified.
            Err(FoldError::Read(error)) => report.damaged(error.to_string()),
            Err(FoldError::Caller(never)) => match never {},
        }
    }
    match options.format {
        Format::Json => out!("{}", serde_json::to_string_pretty(&report)?),
        Format::Human => report.print(),
    }
    Ok(report.outcome())
}
