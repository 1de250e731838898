//! `bailiwick explain`: the documentation of a diagnostic code.

use anyhow::{Result, bail};
use bailiwick_compiler::check;

use crate::args::ExplainOptions;
use crate::outcome::Outcome;
use crate::print::out;

pub(crate) fn run(options: &ExplainOptions) -> Result<Outcome> {
    let Some(code) = check::code(&options.code) else {
        let near = check::codes()
            .map(|code| code.id())
            .filter(|id| id.get(..4) == options.code.to_ascii_uppercase().get(..4));
        let near: Vec<_> = near.collect();
        if near.is_empty() {
            bail!(
                "no diagnostic `{}`; codes look like BW0104, and docs/diagnostics.md lists them",
                options.code
            );
        }
        bail!("no diagnostic `{}`; there are {}", options.code, near.join(", "));
    };
    out!("{}[{}]: {}\n\n{}", code.severity(), code.id(), code.title(), code.documentation().trim_end());
    Ok(Outcome::Holds)
}
