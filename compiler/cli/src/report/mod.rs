//! The formats in which results leave the program, and where they go: `--format F`, alone or followed by
//! `--output FILE`, as often as needed. One run, one evaluation, several reports.
//!
//! Not the findings themselves: `check` and `test` make those. Each format is a pure function of them, so all
//! reports of a run agree.

mod choice;
mod github;
mod junit;
mod sarif;

use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use bailiwick_compiler::diagnostic::Diagnostic;

pub(crate) use choice::{Printed, Reports};
pub(crate) use github::annotations;
pub(crate) use junit::{Case, Failure, Suite, document};
pub(crate) use sarif::log;

use crate::files;
use crate::print::text;
use crate::render::Texts;

/// A finding with the texts that its places point into.
pub(crate) type Finding<'c> = (Rc<Texts>, &'c Diagnostic);

/// Prints a report, or writes it to its file. Colours appear only where a person sees them.
pub(crate) fn deliver(report: &str, to: Option<&Path>) -> Result<()> {
    match to {
        None => {
            text(report);
            Ok(())
        }
        Some(file) => files::write(file, anstream::adapter::strip_str(report).to_string().as_bytes()),
    }
}
