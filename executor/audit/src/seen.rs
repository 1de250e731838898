//! A line that is read in order to be judged: its envelope and the texts of its members. Nothing else of a
//! plain record is decoded; control records are few and are decoded whole.

use std::borrow::Cow;

use crate::damage::DamageKind;
use crate::hash::Hash;
use crate::record::{Kind, Record, sum_holds};
use crate::scan::members;
use crate::tip::Step;

/// A whole line that is a record by itself.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    pub(crate) group: u64,
    pub(crate) prev: Hash,
    /// Number of the intent that it ends.
    intent: Option<u64>,
    /// What is stored next to the log of each of [`VALUES`].
    stored: [Option<Stored>; VALUES.len()],
    /// The record, if it is a control record or continues another segment.
    pub(crate) control: Option<Box<Record>>,
}

/// The members that hold values.
const VALUES: [&str; 4] = ["arguments", "facts", "reason", "result"];

/// Where a value is, if not in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// In an opening, which may be gone, of this commitment.
    Opening(Hash),
    /// In the blob of this name.
    Blob(Hash),
}

/// What a member holds.
enum Form {
    Text,
    Number,
    Any,
    Object,
    List,
}

/// The members besides [`VALUES`] that records may have; those of control records are then judged by their type, which
/// would take null for absent and a list for an object.
fn form(name: &str, is_control: bool) -> Option<Form> {
    Some(match name {
        "session" | "call" | "tool" | "policyDigest" | "effect" => Form::Text,
        "time" | "intent" => Form::Number,
        "subject" | "stateDelta" | "rules" | "approval" | "sandbox" | "outcome" | "usage" => Form::Any,
        "continues" => Form::Object,
        "genesis" | "key" | "recovered" if is_control => Form::Object,
        "open" | "peaks" if is_control => Form::List,
        "note" | "seal" if is_control => Form::Text,
        _ => return None,
    })
}

impl Form {
    fn is_met(&self, text: &str) -> bool {
        match self {
            Self::Text => text.starts_with('"'),
            Self::Number => text.parse::<u64>().is_ok(),
            Self::Any => true,
            Self::Object => text.starts_with('{'),
            Self::List => text.starts_with('['),
        }
    }
}

/// How a value is held: where it is stored, if anywhere. `None`: in no form that there is.
fn held(text: &str) -> Option<Option<Stored>> {
    // The form that writers produce, almost always.
    let written = text.strip_prefix("{\"commitment\":").and_then(|rest| rest.strip_suffix('}'));
    if let Some(commitment) = written.filter(|hash| hash.len() == 66) {
        return hash(commitment).map(|hash| Some(Stored::Opening(hash)));
    }
    if text == "\"dropped\"" {
        return Some(None);
    }
    match members(text.as_bytes()).ok()?.as_slice() {
        [("plain", _)] => Some(None),
        [("commitment", text)] => hash(text).map(|hash| Some(Stored::Opening(hash))),
        [("blob", text)] => hash(text).map(|hash| Some(Stored::Blob(hash))),
        _ => None,
    }
}

/// 64 hexadecimal digits in quotes.
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

/// Whether a record has the members of its kind, and none of another.
fn fits(record: &Record) -> bool {
    let own = |kind: Kind, is_there: bool| is_there == (kind == record.kind);
    own(Kind::Genesis, record.genesis.is_some())
        && own(Kind::Key, record.key.is_some())
        && own(Kind::Recovered, record.recovered.is_some())
        && own(Kind::Checkpoint, record.note.is_some())
        && own(Kind::Checkpoint, record.open.is_some())
        && own(Kind::Checkpoint, record.peaks.is_some())
        && own(Kind::Seal, record.seal.is_some())
}

impl Seen {
    /// Reads a line without its line feed.
    pub(crate) fn read(line: &[u8]) -> Result<Self, DamageKind> {
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
        let (mut intent, mut stored) = (None, [None; VALUES.len()]);
        for (name, text) in body {
            let unknown = || DamageKind::Record(format!("`{name}` is unknown or holds something else"));
            if let Some((place, _)) = stored.iter_mut().zip(VALUES).find(|(_, value)| value == name) {
                *place = held(text).ok_or_else(unknown)?;
                continue;
            }
            if !form(name, is_control).is_some_and(|form| form.is_met(text)) {
                return Err(unknown());
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
        if control.as_ref().is_some_and(|record| !fits(record)) {
            return Err(wrong("it lacks a member of its kind or has one of another kind"));
        }
        if (kind == Kind::Result) != intent.is_some() {
            return Err(wrong("a result names its intent, and nothing else does"));
        }
        Ok(Self { kind, seq, group, prev, intent, stored, control: control.map(Box::new) })
    }

    /// The members whose values are stored next to the log, and where.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (&'static str, Stored)> {
        VALUES.into_iter().zip(self.stored).filter_map(|(field, stored)| Some((field, stored?)))
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
