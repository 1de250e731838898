//! `bailiwick completion`: shell completions, generated from the one definition of the command line.

use anyhow::Result;
use clap::CommandFactory as _;

use crate::args::{Arguments, CompletionOptions};
use crate::outcome::Outcome;
use crate::print::text;

pub(crate) fn run(options: &CompletionOptions) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "bailiwick", &mut script);
    text(&String::from_utf8_lossy(&script));
    Ok(Outcome::Holds)
}
