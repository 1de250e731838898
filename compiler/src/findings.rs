//! What is found in one pack while it is lowered and checked.

use crate::diagnostic::Diagnostic;

/// Collects it.
#[derive(Default)]
pub(crate) struct Findings<'a> {
    /// Name of a pack that the one under compilation extends; `None`: it is that one itself, or what is read stands in no pack.
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
