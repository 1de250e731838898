//! `bailiwick explain`: the documentation of a diagnostic code.

use anyhow::{Result, bail};
use bailiwick_compiler::check;

use serde_json::json;

use crate::args::{ExplainOptions, Format};
use crate::outcome::Outcome;
use crate::print::out;
use crate::render::JSON_VERSION;

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
    match options.format {
        Format::Human => {
            out!(
                "{}[{}]: {}\n\n{}",
                code.severity(),
                code.id(),
                code.title(),
                code.documentation().trim_end()
            );
        }
        Format::Json => {
            let page = json!({
                "version": JSON_VERSION,
                "code": code.id(),
                "severity": code.severity().to_string(),
                "title": code.title(),
                "documentation": code.documentation(),
            });
            out!("{}", serde_json::to_string_pretty(&page)?);
        }
    }
    Ok(Outcome::Holds)
}
