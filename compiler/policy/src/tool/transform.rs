//! `transform`: grants that give a call other arguments.
//!
//! ```text
//! arguments as they came ► first pass ► the arguments that all transforms agree on ► schema, facts ► second pass ► decision
//! ```
//! Restrictions hold in both passes: what the original arguments cause to be denied, asked, counted or
//! narrowed holds for the final ones too.

use std::collections::BTreeSet;

use super::call::MAX_ARGUMENTS_BYTES;
use super::layer::Findings;
use crate::cel::Value;
use crate::json::Json;

/// The transforms of the grants that matched.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Transforms {
    /// There are none.
    #[default]
    None,
    /// All give these arguments.
    Agreed(Json<'static>),
    /// Two give different ones.
    Conflict,
}

impl Transforms {
    pub(super) fn add(&mut self, arguments: Json<'static>) {
        *self = match std::mem::take(self) {
            Transforms::None => Transforms::Agreed(arguments),
            Transforms::Agreed(known) if known == arguments => Transforms::Agreed(known),
            Transforms::Agreed(_) | Transforms::Conflict => Transforms::Conflict,
        };
    }

    /// The arguments that replace these.
    pub(super) fn other_than(&self, arguments: &Json<'_>) -> Option<&Json<'static>> {
        match self {
            Transforms::Agreed(other) if other != arguments => Some(other),
            _ => None,
        }
    }
}

/// The arguments that an expression gives.
///
/// # Errors
/// A value that is not an object, is opaque, has no JSON form, or exceeds the limit on arguments.
pub(super) fn arguments(value: &Value<'_>) -> Result<Json<'static>, String> {
    if !matches!(value, Value::Map(_)) {
        return Err(format!("it gives a value of type `{}`, not a map", value.type_name()));
    }
    // Before it is copied: one text can occur in it a million times.
    if !value.fits(MAX_ARGUMENTS_BYTES) {
        return Err(format!("it gives more than {MAX_ARGUMENTS_BYTES} bytes"));
    }
    value.to_json().map_err(|error| error.to_string())
}

impl Findings {
    /// What the second pass keeps of the first one's findings: everything that restricts.
    pub(super) fn carried(&self) -> Self {
        Self {
            asks: self.asks.clone(),
            counted: self.counted.clone(),
            narrows: self.narrows.clone(),
            added: self.added.clone(),
            ..Self::default()
        }
    }

    /// Adds the reports of rules that took part only before their call was transformed.
    pub(super) fn recall(&mut self, first: Self) {
        let known: BTreeSet<(String, String)> =
            self.reports.iter().map(|report| (report.pack.clone(), report.rule.clone())).collect();
        let before = first
            .reports
            .into_iter()
            .filter(|report| !known.contains(&(report.pack.clone(), report.rule.clone())));
        self.reports.extend(before);
    }
}
