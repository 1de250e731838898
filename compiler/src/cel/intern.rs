//! What the expressions of one policy have in common: shared expressions and patterns, each stored once.

use std::collections::BTreeMap;

use bailiwick_policy::ir::Cel;

/// Collects shared expressions and patterns while the rules of one policy are compiled.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    shared: Vec<Cel>,
    regexes: Vec<String>,
    by_expr: BTreeMap<String, u32>,
    by_pattern: BTreeMap<String, u32>,
}

impl Interner {
    /// The index of a shared expression; equal expressions have the same index, whatever their spelling.
    pub fn share(&mut self, cel: Cel) -> u32 {
        // Serialised, because doubles have no order. An expression that cannot be serialised is not shared.
        let key = serde_json::to_string(&cel.expr).ok();
        if let Some(known) = key.as_ref().and_then(|key| self.by_expr.get(key)) {
            return *known;
        }
        let index = u32::try_from(self.shared.len()).unwrap_or(u32::MAX);
        self.shared.push(cel);
        if let Some(key) = key {
            self.by_expr.insert(key, index);
        }
        index
    }

    /// The index of a pattern.
    pub(super) fn pattern(&mut self, pattern: &str) -> u32 {
        if let Some(known) = self.by_pattern.get(pattern) {
            return *known;
        }
        let index = u32::try_from(self.regexes.len()).unwrap_or(u32::MAX);
        self.regexes.push(pattern.to_owned());
        self.by_pattern.insert(pattern.to_owned(), index);
        index
    }

    /// The shared expressions so far, in the order of their indices.
    #[must_use]
    pub fn shared(&self) -> &[Cel] {
        &self.shared
    }

    /// The patterns so far, in the order of their indices.
    #[must_use]
    pub fn regexes(&self) -> &[String] {
        &self.regexes
    }

    /// The values for `Admission::shared` and `Admission::regexes`.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Cel>, Vec<String>) {
        (self.shared, self.regexes)
    }
}
