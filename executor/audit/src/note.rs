//! Checkpoints as C2SP signed notes: the text that states a tree's size and root, and Ed25519 signatures over
//! it.
//!
//! Formats: <https://c2sp.org/signed-note> and <https://c2sp.org/tlog-checkpoint>. Other signatures may
//! follow the log's own below the text (a witness's, or one of another algorithm); they are kept out of the
//! log and ignored here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::hash::Hash;

/// Algorithm byte of an Ed25519 key in a note's key id and in a verifier key.
const ED25519: u8 = 1;

/// Longest note that is read, in bytes; a checkpoint with a few cosignatures of the largest kind fits.
const MAX_NOTE_BYTES: usize = 32 * 1024;

/// What a checkpoint states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// Root of the tree of their leaves.
    pub root: Hash,
}

/// Why a text is not a note, or not the expected one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text does not have the form of a signed checkpoint.
    #[error("not a signed checkpoint: {0}")]
    Form(&'static str),
    /// There is no signature by this key below the text.
    #[error("no signature by the key `{0}`")]
    Unsigned(String),
    /// The signature by this key is wrong.
    #[error("the signature by the key `{0}` is wrong")]
    Signature(String),
    /// The text is not a verifier key.
    #[error("not a verifier key `NAME+HASH+BASE64` or 64 hexadecimal digits")]
    Key,
}

impl Checkpoint {
    /// The signed text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }

    /// The note with one signature, by a key named as the origin.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        let text = self.text();
        let signature = key.sign(text.as_bytes());
        let id = key_id(&self.origin, &key.verifying_key());
        let signed = STANDARD.encode([&id[..], &signature.to_bytes()].concat());
        format!("{text}\n\u{2014} {} {signed}\n", self.origin)
    }

    /// Reads what a note states, without judging its signatures; but a line that is none is no part of a note.
    ///
    /// # Errors
    /// [`NoteError::Form`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let (text, signatures) = split(note)?;
        signatures.lines().try_for_each(|line| signature(line).map(drop))?;
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Form("it needs an origin, a size and a root"));
        };
        let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
        if origin.is_empty() || !digits || size.len() > 1 && size.starts_with('0') {
            return Err(NoteError::Form("the origin is empty or the size is not a decimal number"));
        }
        let size = size.parse().map_err(|_| NoteError::Form("the size is too large"))?;
        let root = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok());
        let root = Hash::new(root.ok_or(NoteError::Form("the root is not the Base64 of 32 bytes"))?);
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// Checks that a note is signed by this key, whose name is the origin.
///
/// # Errors
/// See [`NoteError`].
pub fn verify(note: &str, origin: &str, key: &VerifyingKey) -> Result<(), NoteError> {
    let (text, signatures) = split(note)?;
    let id = key_id(origin, key);
    let signatures = signatures.lines().map(signature).collect::<Result<Vec<_>, _>>()?;
    let own = signatures.iter().find(|(name, found, _)| *name == origin && *found == id);
    let (_, _, signature) = own.ok_or_else(|| NoteError::Unsigned(origin.to_owned()))?;
    let wrong = || NoteError::Signature(origin.to_owned());
    let signature = Signature::from_slice(signature).map_err(|_| wrong())?;
    key.verify_strict(text.as_bytes(), &signature).map_err(|_| wrong())
}

/// The parts of a signature line: name, key id, signature.
fn signature(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), NoteError> {
    let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '));
    let (name, signed) = parts.ok_or(NoteError::Form("a signature line is not `— NAME BASE64`"))?;
    let bytes = STANDARD.decode(signed).map_err(|_| NoteError::Form("a signature is not Base64"))?;
    let (id, signature) = bytes.split_first_chunk().ok_or(NoteError::Form("a signature is too short"))?;
    Ok((name, *id, signature.to_vec()))
}

/// The text, with its last line feed, and the signature lines.
fn split(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::Form("it is longer than 32 KiB"));
    }
    // As signed notes require; and a carriage return would be no part of its line.
    if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::Form("it holds a control character"));
    }
    let blank = note.rfind("\n\n").ok_or(NoteError::Form("no blank line stands before the signatures"))?;
    let text = note.get(..=blank).unwrap_or_default();
    let signatures = note.get(blank + 2..).unwrap_or_default();
    if signatures.is_empty() || !signatures.ends_with('\n') {
        return Err(NoteError::Form("it does not end in a signature line"));
    }
    Ok((text, signatures))
}

/// The key of these bytes: a point of large order in its only encoding. Anybody can sign for the others, or verifiers
/// disagree about them.
pub(crate) fn public_key(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    // 2^255 - 19 and above: the numbers below 19 once more.
    let [low, middle @ .., high] = bytes;
    let is_spelled_twice = *low >= 0xED && high & 0x7F == 0x7F && middle.iter().all(|byte| *byte == 0xFF);
    VerifyingKey::from_bytes(bytes).ok().filter(|key| !is_spelled_twice && !key.is_weak())
}

/// The key id of a signed note: the first four bytes of SHA-256(name ‖ "\n" ‖ 0x01 ‖ key).
fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let hash = Hash::of(&[name.as_bytes(), b"\n", &[ED25519], key.as_bytes()]);
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

/// A key as C2SP verifier key: `NAME+HASH+BASE64`.
#[must_use]
pub fn verifier_key(name: &str, key: &VerifyingKey) -> String {
    let id = crate::hash::hex(&key_id(name, key));
    format!("{name}+{id}+{}", STANDARD.encode([&[ED25519], &key.as_bytes()[..]].concat()))
}

/// Reads a verifier key, or the 64 hexadecimal digits of a public key.
///
/// # Errors
/// [`NoteError::Key`].
pub fn parse_verifier_key(text: &str) -> Result<VerifyingKey, NoteError> {
    let text = text.trim();
    let from = |bytes: &[u8; 32]| public_key(bytes).ok_or(NoteError::Key);
    if let Some(bytes) = crate::hash::unhex::<32>(text) {
        return from(&bytes);
    }
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key);
    };
    let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Key)?;
    let Some((ED25519, bytes)) = bytes.split_first().map(|(first, rest)| (*first, rest)) else {
        return Err(NoteError::Key);
    };
    let key = from(bytes.try_into().map_err(|_| NoteError::Key)?)?;
    if crate::hash::hex(&key_id(name, &key)) == id { Ok(key) } else { Err(NoteError::Key) }
}
