//! The record: what one line of the log says, and the line's bytes.
//!
//! ```text
//! {"seq":7,"group":6,"prev":"…","kind":"intent", … body … ,"sum":"0123abcd"}
//!  └──────────── envelope ────┘ └─ made by the caller ─┘ └─ CRC-32 of all before it
//! ```
//! The body is made outside every lock; the thread that writes the group puts the envelope around it. The
//! hash covers the line as written in the file, never a text made again from the values.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::crc::crc32;
use crate::field::Held;
use crate::hash::Hash;

/// Longest line, in bytes without its line feed: C2SP's entry bundles give an entry's length 16 bits.
pub const MAX_LINE_BYTES: usize = 65_535;

/// Version of the format, as the genesis states it.
pub const FORMAT: &str = "bailiwick.dev/audit/v1";

/// How many bytes `,"sum":"0123abcd"}` takes.
const SUM_BYTES: usize = 18;

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// The first record: which log this is.
    Genesis,
    /// A session began, changed or ended.
    Session,
    /// A tool call was decided and will run now.
    Intent,
    /// How that call ended.
    Result,
    /// A tool call was denied, or an approval is asked for.
    Decision,
    /// An approval was given or refused.
    Approval,
    /// An admission review was decided.
    Admission,
    /// A connection out of a sandbox was decided.
    Connection,
    /// A new key signs from here on.
    Key,
    /// The signed size and root of all records before it.
    Checkpoint,
    /// The writer began again: what was cut, and which intents are lost.
    Recovered,
    /// Openings were deleted.
    Redaction,
    /// An administrator did something.
    Admin,
    /// The log ends.
    Seal,
}

/// One record. Absent fields say nothing; `prev`, `seq`, `group` and `sum` are the writer's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Its number; the genesis is 0.
    #[serde(skip_serializing)]
    pub seq: u64,
    /// Number of the first record of its group: all records before that were on disk when this was written.
    #[serde(skip_serializing)]
    pub group: u64,
    /// The chain after the record before it.
    #[serde(skip_serializing)]
    pub prev: Hash,
    /// What it records.
    pub kind: Kind,
    /// When, as the writer claims: milliseconds since 1970-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Value>,
    /// Name of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Name of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Of a result: the number of its intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
    /// Name of the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The arguments that were decided on and run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Held>,
    /// The facts derived from the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Held>,
    /// What the record does to the executor's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_delta: Option<Value>,
    /// SHA-256 of the bundle that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<String>,
    /// The rules that applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Value>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Why, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Held>,
    /// The approval that was asked for, given or used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Value>,
    /// The sandbox that confined it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Value>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Value>,
    /// What it used, with the source of each figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
    /// What it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Held>,
    /// Of the first record of a segment, unless it is the genesis: where the log continues from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
    /// Of a genesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genesis: Option<Genesis>,
    /// Of a key record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyChange>,
    /// Of a recovered record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovery>,
    /// Of a checkpoint: numbers of the intents without a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Vec<u64>>,
    /// Of a checkpoint: roots of the perfect subtrees, the largest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peaks: Option<Vec<Hash>>,
    /// Of a checkpoint: the signed note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Of a seal: why the log ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
    /// CRC-32 of the line up to the comma before this.
    #[serde(skip_serializing)]
    pub sum: String,
}

/// Where the log continues from: the end of the good records of an earlier segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continues {
    /// Number of that segment.
    pub segment: u32,
    /// The offset in it of the first byte that is not part of the log.
    pub offset: u64,
    /// The chain there; equals the record's `prev`.
    pub hash: Hash,
}

/// Which log this is. Its leaf is the log's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Genesis {
    /// [`FORMAT`].
    pub format: String,
    /// 32 random bytes, which distinguish two logs that begin alike.
    pub nonce: Hash,
    /// The first public key, 64 hexadecimal digits.
    pub public: Hash,
    /// The origin of the checkpoints; by default `bailiwick.dev/log/` and the log's id.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    pub origin: Option<String>,
}

/// Cuts that are objects: a list of their members in order is no cut.
fn objects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cut>, D::Error> {
    let cuts = Vec::<serde_json::Map<String, Value>>::deserialize(deserializer)?;
    let cut = |members| Cut::deserialize(Value::Object(members)).map_err(serde::de::Error::custom);
    cuts.into_iter().map(cut).collect()
}

/// A text that is there, and so not null.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Another key signs from here on. Signed by the key before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// Number of the writer: the genesis' is 1, each opening of the log adds 1.
    pub epoch: u64,
    /// The public key from here on.
    pub public: Hash,
    /// The public key up to here.
    pub previous: Hash,
    /// Ed25519 by the previous key, Base64: see [`KeyChange::message`].
    pub signature: String,
}

impl KeyChange {
    /// What the previous key signs: "bailiwick/key/v1\n" ‖ log id ‖ seq ‖ prev ‖ epoch ‖ public, numbers as 8
    /// bytes, big-endian.
    #[must_use]
    pub fn message(log: &Hash, seq: u64, prev: &Hash, epoch: u64, public: &Hash) -> Vec<u8> {
        let mut message = b"bailiwick/key/v1\n".to_vec();
        message.extend_from_slice(log.as_bytes());
        message.extend_from_slice(&seq.to_be_bytes());
        message.extend_from_slice(prev.as_bytes());
        message.extend_from_slice(&epoch.to_be_bytes());
        message.extend_from_slice(public.as_bytes());
        message
    }
}

/// What a writer found when it began again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// Why: `open` (another process wrote before), or the error that ended the previous segment.
    pub cause: String,
    /// Bytes that are no longer part of the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
    pub cuts: Vec<Cut>,
    /// Numbers of the intents that will never have a result: whether their calls ran is unknown, and nothing
    /// runs again by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<u64>,
}

/// Bytes behind the last good record that belong to a group that was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Number of the segment.
    pub segment: u32,
    /// The offset in it at which they begin.
    pub offset: u64,
    /// How many, up to the last that is not zero.
    pub bytes: u64,
    /// Their SHA-256; the bytes are kept in `recovered/`.
    pub sha256: Hash,
}

impl Record {
    /// A record of this kind with no other fields.
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            seq: 0,
            group: 0,
            prev: Hash::ZERO,
            kind,
            time: None,
            subject: None,
            session: None,
            call: None,
            intent: None,
            tool: None,
            arguments: None,
            facts: None,
            state_delta: None,
            policy_digest: None,
            rules: None,
            effect: None,
            reason: None,
            approval: None,
            sandbox: None,
            outcome: None,
            usage: None,
            result: None,
            continues: None,
            genesis: None,
            key: None,
            recovered: None,
            open: None,
            peaks: None,
            note: None,
            seal: None,
            sum: String::new(),
        }
    }

    /// Numbers of the intents that it ends.
    pub(crate) fn ends(&self) -> &[u64] {
        match (&self.recovered, &self.intent) {
            (Some(found), _) => &found.lost,
            (None, Some(intent)) => std::slice::from_ref(intent),
            (None, None) => &[],
        }
    }

    /// The body's text, without the braces.
    pub(crate) fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        // As much as most records take.
        let mut text = Vec::with_capacity(1024);
        serde_json::to_writer(&mut text, self)?;
        text.pop();
        text.remove(0);
        Ok(text)
    }

    /// Reads a line whose sum was checked.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

/// Adds a line to `out`, with its line feed: the envelope around a body. Returns the line's length without
/// the line feed.
pub(crate) fn write_line(out: &mut Vec<u8>, seq: u64, group: u64, prev: &Hash, body: &[u8]) -> usize {
    let begin = out.len();
    out.reserve(line_bound(body.len()) + 1);
    out.extend_from_slice(b"{\"seq\":");
    write_number(out, seq);
    out.extend_from_slice(b",\"group\":");
    write_number(out, group);
    out.extend_from_slice(b",\"prev\":\"");
    prev.write(out);
    out.extend_from_slice(b"\",");
    out.extend_from_slice(body);
    let sum = crc32(out.get(begin..).unwrap_or_default());
    out.extend_from_slice(b",\"sum\":\"");
    crate::hash::write_hex(&sum.to_be_bytes(), out);
    out.extend_from_slice(b"\"}");
    let length = out.len() - begin;
    out.push(b'\n');
    length
}

/// Adds a number in decimal digits.
pub(crate) fn write_number(out: &mut Vec<u8>, number: u64) {
    // Most digits of a 64-bit number.
    let mut digits = [0; 20];
    let mut rest = number;
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - count..).unwrap_or_default());
}

/// Upper bound on the length of a line with this body.
pub(crate) const fn line_bound(body: usize) -> usize {
    // {"seq":,"group":,"prev":"", with two numbers of at most 20 digits and 64 digits of hash, then the sum.
    27 + 40 + 64 + body + SUM_BYTES
}

/// Whether the line ends in the sum of the bytes before it.
pub(crate) fn sum_holds(line: &[u8]) -> bool {
    let Some((said, sum)) = line.split_last_chunk::<SUM_BYTES>() else { return false };
    let digits = sum.strip_prefix(b",\"sum\":\"").and_then(|rest| rest.strip_suffix(b"\"}"));
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(crate::hash::unhex::<4>).is_some_and(|sum| u32::from_be_bytes(sum) == crc32(said))
}

/// The line with the sum that it should have; for fuzzing.
pub(crate) fn with_sum(line: &[u8]) -> Vec<u8> {
    let said = line.split_last_chunk::<SUM_BYTES>().map_or(line, |(said, _)| said);
    [said, format!(",\"sum\":\"{:08x}\"}}", crc32(said)).as_bytes()].concat()
}
