//! A line that is read in order to be judged: its envelope and the texts of its members. Nothing else of a
//! plain record is decoded; control records are few and are decoded whole.

use std::borrow::Cow;

use crate::damage::DamageKind;
use crate::hash::Hash;
use crate::record::{Kind, Record, sum_holds};
use crate::scan::{Members, members};
use crate::tip::Step;

/// A whole line that is a record by itself.
#[derive(Debug)]
pub(crate) struct Seen<'l> {
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    pub(crate) group: u64,
    pub(crate) prev: Hash,
    /// Number of the intent that it ends.
    intent: Option<u64>,
    members: Members<'l>,
    /// The record, if it is a control record or continues another segment.
    pub(crate) control: Option<Box<Record>>,
}

/// What a member holds.
enum Form {
    Text,
    Number,
    Held,
    Any,
    Object,
}

/// The members that records of every kind may have; those of control records are judged by their type.
fn form(name: &str) -> Option<Form> {
    Some(match name {
        "session" | "call" | "tool" | "policyDigest" | "effect" => Form::Text,
        "time" | "intent" => Form::Number,
        "arguments" | "facts" | "reason" | "result" => Form::Held,
        "subject" | "stateDelta" | "rules" | "approval" | "sandbox" | "outcome" | "usage" => Form::Any,
        "continues" => Form::Object,
        _ => return None,
    })
}

impl Form {
    fn is_met(&self, text: &str) -> bool {
        match self {
            Self::Text => text.starts_with('"'),
            Self::Number => text.parse::<u64>().is_ok(),
            Self::Held => text == "\"dropped\"" || held(text).is_some(),
            Self::Any => true,
            Self::Object => text.starts_with('{'),
        }
    }
}

/// How a value is held, and the text of its holder; `None` if it has no such form.
fn held(text: &str) -> Option<(&str, &str)> {
    // The form that writers produce, almost always.
    let written = text.strip_prefix("{\"commitment\":").and_then(|rest| rest.strip_suffix('}'));
    if let Some(hash) = written.filter(|hash| hash.len() == 66) {
        return is_hash(hash).then_some(("commitment", hash));
    }
    match members(text.as_bytes()).ok()?.as_slice() {
        [("plain", value)] => Some(("plain", value)),
        [(form @ ("commitment" | "blob"), hash)] if is_hash(hash) => Some((form, hash)),
        _ => None,
    }
}

/// Whether a text is 64 hexadecimal digits in quotes.
fn is_hash(text: &str) -> bool {
    hash(text).is_some()
}

fn hash(text: &str) -> Option<Hash> {
    text.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn kind_of(text: &str) -> Option<Kind> {
    Some(match text {
        "\"genesis\"" => Kind::Genesis,
        "\"session\"" => Kind::Session,
        "\"intent\"" => Kind::Intent,
        "\"result\"" => Kind::Result,
        "\"decision\"" => Kind::Decision,
        "\"approval\"" => Kind::Approval,
        "\"admission\"" => Kind::Admission,
        "\"connection\"" => Kind::Connection,
        "\"key\"" => Kind::Key,
        "\"checkpoint\"" => Kind::Checkpoint,
        "\"recovered\"" => Kind::Recovered,
        "\"redaction\"" => Kind::Redaction,
        "\"admin\"" => Kind::Admin,
        "\"seal\"" => Kind::Seal,
        _ => return None,
    })
}

impl<'l> Seen<'l> {
    /// Reads a line without its line feed.
    pub(crate) fn read(line: &'l [u8]) -> Result<Self, DamageKind> {
        if !sum_holds(line) {
            return Err(DamageKind::Line("its sum does not hold"));
        }
        let wrong = |why: &str| DamageKind::Record(why.to_owned());
        let members = members(line).map_err(wrong)?;
        let [("seq", seq), ("group", group), ("prev", prev), ("kind", kind), body @ .., ("sum", _)] =
            members.as_slice()
        else {
            return Err(wrong("it does not begin with `seq`, `group`, `prev`, `kind` and end in `sum`"));
        };
        let (Ok(seq), Ok(group)) = (seq.parse(), group.parse()) else {
            return Err(wrong("`seq` or `group` is not a number"));
        };
        let prev = hash(prev).ok_or_else(|| wrong("`prev` is not a hash"))?;
        let kind = kind_of(kind).ok_or_else(|| wrong("no record is of its kind"))?;
        let is_control =
            matches!(kind, Kind::Genesis | Kind::Key | Kind::Checkpoint | Kind::Recovered | Kind::Seal);
        let mut intent = None;
        for (name, text) in body {
            match form(name) {
                None if is_control => {}
                Some(form) if form.is_met(text) => {}
                _ => return Err(DamageKind::Record(format!("`{name}` is unknown or holds something else"))),
            }
            if *name == "intent" {
                intent = text.parse().ok();
            }
        }
        let continues = body.iter().any(|(name, _)| *name == "continues");
        let control = match is_control || continues {
            true => Some(Record::parse(line).map_err(|error| DamageKind::Record(error.to_string()))?),
            false => None,
        };
        if (kind == Kind::Result) != intent.is_some() {
            return Err(wrong("a result names its intent, and nothing else does"));
        }
        Ok(Self { kind, seq, group, prev, intent, members, control: control.map(Box::new) })
    }

    /// The commitment that a field holds.
    pub(crate) fn commitment(&self, field: &str) -> Option<Hash> {
        self.hash_of(field, "commitment")
    }

    /// Name of the blob that a field holds.
    pub(crate) fn blob(&self, field: &str) -> Option<Hash> {
        self.hash_of(field, "blob")
    }

    fn hash_of(&self, field: &str, form: &str) -> Option<Hash> {
        let (_, text) = self.members.iter().find(|(name, _)| *name == field)?;
        if !text.starts_with('{') || text.starts_with("{\"plain\":") {
            return None;
        }
        match held(text) {
            Some((found, text)) if found == form => hash(text),
            _ => None,
        }
    }

    /// The part of it that moves the tip.
    pub(crate) fn step(&self) -> Step<'_> {
        let ends = match &self.control {
            Some(record) if record.recovered.is_some() => {
                Cow::Borrowed(record.recovered.as_ref().map_or(&[][..], |found| &found.lost))
            }
            _ => Cow::Owned(self.intent.into_iter().collect::<Vec<_>>()),
        };
        Step { kind: self.kind, group: self.group, ends }
    }
}
