//! Values of a record that may be secret: kept as a salted commitment, in plain text, or not at all.
//!
//! A commitment is `SHA-256("bailiwick/field/v1\n" ‖ salt ‖ length ‖ text)` with a salt of 32 random bytes,
//! because the hash of a short argument alone can be guessed. Its opening (salt and text) is in another file,
//! which may be deleted: the log still verifies, and the committed value can no longer be shown.

use std::collections::BTreeMap;

use bailiwick_policy::canonical;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hash::Hash;

/// Domain of a commitment.
const FIELD_DOMAIN: &[u8] = b"bailiwick/field/v1\n";

/// A plain value whose text is longer than this is in a file of its own, named by its hash, so that a record
/// stays small. A shorter one is too, where its record would otherwise be too long.
pub const MAX_INLINE_BYTES: usize = 4 * 1024;

/// Deepest nesting of a plain value in a record. Callers nest as deeply as a line may, and the record is around it:
/// the line could not be read back.
const MAX_INLINE_DEPTH: usize = 64;

/// Longest value that is kept in any form: twice the largest arguments that the executor accepts.
pub const MAX_VALUE_BYTES: usize = 20 * 1024 * 1024;

/// How a value is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As a salted commitment, with its opening next to the log.
    #[default]
    Commit,
    /// As it is.
    Plain,
    /// Not at all; only that there was one.
    Drop,
}

/// A value as it is in a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Held {
    /// The commitment to its canonical text.
    Commitment(Hash),
    /// The value itself.
    Plain(Value),
    /// The SHA-256 of its canonical text, which is a file with this name in `blobs/`.
    Blob(Hash),
    /// There was a value, and it was not kept.
    Dropped,
}

/// What opens a commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Number of the record.
    pub seq: u64,
    /// Name of the field, as in the record.
    pub field: String,
    /// 64 hexadecimal digits.
    pub salt: Hash,
    /// The committed text: the value's canonical JSON.
    pub text: String,
}

impl Opening {
    /// The commitment that this opens.
    #[must_use]
    pub fn commitment(&self) -> Hash {
        commitment(&self.salt, self.text.as_bytes())
    }

    /// Adds the line of the record with this number.
    pub(crate) fn write_line(out: &mut Vec<u8>, seq: u64, tail: &[u8]) {
        out.extend_from_slice(b"{\"seq\":");
        crate::record::write_number(out, seq);
        out.extend_from_slice(tail);
    }

    /// The value that was committed to.
    ///
    /// # Errors
    /// The text is not JSON, so this log's writer did not write it.
    pub fn value(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_str(&self.text)
    }
}

fn commitment(salt: &Hash, text: &[u8]) -> Hash {
    let length = (text.len() as u64).to_be_bytes();
    Hash::of(&[FIELD_DOMAIN, salt.as_bytes(), &length, text])
}

/// The part of an opening's line that follows the record's number, which is not known yet.
fn tail(field: &str, salt: &Hash, text: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    // The names, the salt, and some quotes to escape.
    let mut tail = Vec::with_capacity(text.len() + field.len() + 128);
    tail.extend_from_slice(b",\"field\":");
    serde_json::to_writer(&mut tail, field)?;
    tail.extend_from_slice(b",\"salt\":\"");
    salt.write(&mut tail);
    tail.extend_from_slice(b"\",\"text\":");
    // JSON is UTF-8, so nothing is lost or copied.
    serde_json::to_writer(&mut tail, &String::from_utf8_lossy(text))?;
    tail.extend_from_slice(b"}\n");
    Ok(tail)
}

/// A value could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// It is longer than [`MAX_VALUE_BYTES`].
    #[error("`{field}` is {bytes} bytes long, more than {MAX_VALUE_BYTES}")]
    TooLong {
        /// Name of the field.
        field: &'static str,
        /// Length of its text.
        bytes: usize,
    },
    /// It has no JSON text.
    #[error("`{field}` has no JSON text: {error}")]
    Text {
        /// Name of the field.
        field: &'static str,
        /// Why.
        error: serde_json::Error,
    },
    /// The kernel gives no random bytes.
    #[error("no random bytes for a salt: {0}")]
    Random(getrandom::Error),
}

/// What the values of one record store next to it.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// The lines of openings, without the record's number; see [`Opening::write_line`].
    pub(crate) openings: Vec<Vec<u8>>,
    /// Texts that become files, by their hash.
    pub(crate) blobs: BTreeMap<Hash, Vec<u8>>,
    /// Salts that are not used yet.
    salts: Vec<Hash>,
}

/// How many salts are requested from the kernel at once: one for each value that a record may hold, because
/// the call costs more than the bytes.
const SALTS: usize = 4;

impl Aside {
    fn salt(&mut self) -> Result<Hash, FieldError> {
        if let Some(salt) = self.salts.pop() {
            return Ok(salt);
        }
        let mut bytes = [[0; 32]; SALTS];
        getrandom::fill(bytes.as_flattened_mut()).map_err(FieldError::Random)?;
        let [first, others @ ..] = bytes.map(Hash::new);
        self.salts.extend(others);
        Ok(first)
    }

    /// The form of the value in the record; what must be stored next to it is added here.
    pub(crate) fn hold(&mut self, field: &'static str, value: Value, mode: Mode) -> Result<Held, FieldError> {
        if mode == Mode::Drop {
            return Ok(Held::Dropped);
        }
        let text = canonical::text_of(&value).map_err(|error| FieldError::Text { field, error })?;
        if text.len() > MAX_VALUE_BYTES {
            return Err(FieldError::TooLong { field, bytes: text.len() });
        }
        match mode {
            Mode::Plain if text.len() <= MAX_INLINE_BYTES && nests_within(&value, MAX_INLINE_DEPTH) => {
                Ok(Held::Plain(value))
            }
            Mode::Plain => Ok(self.keep(text)),
            Mode::Commit | Mode::Drop => {
                let salt = self.salt()?;
                let line = tail(field, &salt, &text).map_err(|error| FieldError::Text { field, error })?;
                self.openings.push(line);
                Ok(Held::Commitment(commitment(&salt, &text)))
            }
        }
    }
}

/// Whether lists and objects are in one another at most this often.
fn nests_within(value: &Value, depth: usize) -> bool {
    let inside = |value: &Value| depth > 0 && nests_within(value, depth - 1);
    match value {
        Value::Array(elements) => depth > 0 && elements.iter().all(inside),
        Value::Object(members) => depth > 0 && members.values().all(inside),
        _ => true,
    }
}

impl Aside {
    /// Puts a text into a file of its own.
    fn keep(&mut self, text: Vec<u8>) -> Held {
        let name = Hash::of(&[&text]);
        self.blobs.insert(name, text);
        Held::Blob(name)
    }

    /// Moves a value that is in the record itself into a file of its own.
    pub(crate) fn take_out(
        &mut self,
        field: &'static str,
        held: &mut Option<Held>,
    ) -> Result<(), FieldError> {
        let Some(Held::Plain(value)) = &*held else { return Ok(()) };
        let text = canonical::text_of(value).map_err(|error| FieldError::Text { field, error })?;
        *held = Some(self.keep(text));
        Ok(())
    }
}

/// 32 bytes from the kernel.
pub(crate) fn random() -> Result<[u8; 32], FieldError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(FieldError::Random)?;
    Ok(bytes)
}
