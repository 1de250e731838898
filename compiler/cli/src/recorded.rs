//! The inputs of a record in the audit log, as far as they can still be shown. They are plain, in a file of
//! their own, or opened by what is kept next to the log.
//!
//! Does not judge the log: callers fold it, which verifies every record. Each opening is checked against its
//! record's commitment.

use std::iter::Peekable;
use std::path::Path;

use bailiwick_audit::record::Record;
use bailiwick_audit::{Hash, Held, Opening, blob, openings};
use bailiwick_policy::tool::DecisionInputs;
use serde_json::Value;

/// Why a value cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Missing {
    /// Only the commitment is left.
    #[error("only a commitment to its {field} is left: the opening was deleted")]
    Opening {
        /// Name of the field.
        field: &'static str,
        /// The commitment.
        commitment: Hash,
    },
    /// What is kept next to the log does not open the commitment.
    #[error("what lies beside the log is not an opening of its {0}")]
    Wrong(&'static str),
    /// The file of a long value is gone, or holds something else.
    #[error("the file of its {0} is gone")]
    Blob(&'static str),
    /// The pack keeps no values.
    #[error("its {0} were not kept")]
    Dropped(&'static str),
    /// The record never had it.
    #[error("it has no {0}")]
    Absent(&'static str),
    /// The value is not what the executor writes.
    #[error("its {field} cannot be read: {why}")]
    Unread {
        /// Name of the field.
        field: &'static str,
        /// Why.
        why: String,
    },
}

/// The openings of a segment, in the order of its records.
type Beside = Peekable<Box<dyn Iterator<Item = Opening>>>;

/// Reads values of records, in the order of the log.
pub(crate) struct Values<'d> {
    dir: &'d Path,
    beside: Option<(u32, Beside)>,
    /// Those of the record that was read last.
    of_record: (u64, Vec<Opening>),
}

impl<'d> Values<'d> {
    pub(crate) const fn of(dir: &'d Path) -> Self {
        Self { dir, beside: None, of_record: (0, Vec::new()) }
    }

    /// Every input of a decision except the policy.
    pub(crate) fn inputs(&mut self, record: &Record, segment: u32) -> Result<DecisionInputs, Missing> {
        let facts = self.value("facts", record.facts.as_ref(), record.seq, segment)?;
        let text = facts.get("inputs").and_then(Value::as_str).ok_or(Missing::Absent("inputs"))?;
        let unread =
            |error: &dyn std::fmt::Display| Missing::Unread { field: "inputs", why: error.to_string() };
        let inputs: Value = serde_json::from_str(text).map_err(|error| unread(&error))?;
        DecisionInputs::from_record(&inputs).map_err(|error| unread(&error))
    }

    /// The rules of a record; those too many for the record itself are with its facts.
    pub(crate) fn rules(&mut self, record: &Record, segment: u32) -> Option<Value> {
        if record.rules.is_some() {
            return record.rules.clone();
        }
        let facts = self.value("facts", record.facts.as_ref(), record.seq, segment).ok()?;
        facts.get("rules").cloned()
    }

    /// The value of one field of a record.
    pub(crate) fn value(
        &mut self,
        field: &'static str,
        held: Option<&Held>,
        seq: u64,
        segment: u32,
    ) -> Result<Value, Missing> {
        let unread = |error: serde_json::Error| Missing::Unread { field, why: error.to_string() };
        match held {
            None => Err(Missing::Absent(field)),
            Some(Held::Dropped) => Err(Missing::Dropped(field)),
            Some(Held::Plain(value)) => Ok(value.clone()),
            Some(Held::Blob(name)) => {
                let bytes = blob(self.dir, name).ok_or(Missing::Blob(field))?;
                serde_json::from_slice(&bytes).map_err(unread)
            }
            Some(Held::Commitment(commitment)) => {
                let commitment = *commitment;
                let opening =
                    self.opening(field, seq, segment).ok_or(Missing::Opening { field, commitment })?;
                if opening.commitment() != commitment {
                    return Err(Missing::Wrong(field));
                }
                opening.value().map_err(unread)
            }
        }
    }

    /// The opening of a field of a record, without checking what it opens.
    pub(crate) fn opening(&mut self, field: &str, seq: u64, segment: u32) -> Option<&Opening> {
        if self.beside.as_ref().is_none_or(|(known, _)| *known != segment) {
            let all: Box<dyn Iterator<Item = Opening>> = Box::new(openings(self.dir, segment));
            self.beside = Some((segment, all.peekable()));
        }
        let (_, beside) = self.beside.as_mut()?;
        if self.of_record.0 != seq {
            while beside.next_if(|opening| opening.seq < seq).is_some() {}
            self.of_record = (seq, Vec::new());
            while let Some(opening) = beside.next_if(|opening| opening.seq == seq) {
                self.of_record.1.push(opening);
            }
        }
        self.of_record.1.iter().find(|opening| opening.field == field)
    }
}
