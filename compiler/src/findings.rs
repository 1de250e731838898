//! Findings about one pack while it is lowered and checked.

use crate::diagnostic::Diagnostic;

/// Collects findings.
#[derive(Default)]
pub(crate) struct Findings<'a> {
    /// Name of the extended pack that is read; `None`: the pack under compilation, or something outside any
    /// pack.
    extended: Option<&'a str>,
    found: Vec<Diagnostic>,
}

impl<'a> Findings<'a> {
    pub(crate) const fn of(extended: Option<&'a str>) -> Self {
        Self { extended, found: Vec::new() }
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic.in_pack(self.extended.map(str::to_owned)));
    }

    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.found
    }
}
