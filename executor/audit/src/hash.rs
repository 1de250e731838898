//! A SHA-256 value, and the three ways in which the log hashes.
//!
//! Each way has its own prefix, so that a value of one cannot be mistaken for a value of another: a leaf (RFC
//! 6962, 0x00), an inner node of the tree (RFC 6962, 0x01), and a link of the chain.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Domain of a link of the chain.
const CHAIN_DOMAIN: &[u8] = b"bailiwick/chain/v1\n";

/// A SHA-256 value; as text, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The predecessor that the first record names.
    pub const ZERO: Self = Self([0; 32]);

    /// A value that was computed elsewhere.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of the parts, one after another.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The leaf of a record: SHA-256(0x00 ‖ line), the line without its line feed (RFC 6962, 2.1).
    #[must_use]
    pub fn leaf(line: &[u8]) -> Self {
        Self::of(&[&[0], line])
    }

    /// An inner node of the tree: SHA-256(0x01 ‖ left ‖ right) (RFC 6962, 2.1).
    #[must_use]
    pub fn node(left: &Self, right: &Self) -> Self {
        let mut bytes = [1; 65];
        for (to, from) in bytes.iter_mut().skip(1).zip(left.0.iter().chain(&right.0)) {
            *to = *from;
        }
        Self(Sha256::digest(bytes).into())
    }

    /// The chain after one more record: SHA-256("bailiwick/chain/v1\n" ‖ self ‖ leaf).
    #[must_use]
    pub fn link(&self, leaf: &Self) -> Self {
        Self::of(&[CHAIN_DOMAIN, &self.0, &leaf.0])
    }
}

impl Hash {
    /// Its 64 digits.
    fn digits(&self) -> [u8; 64] {
        let mut digits = [0; 64];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(&self.0) {
            *pair = digits_of(*byte);
        }
        digits
    }

    /// Adds its text.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.digits());
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 64 lower-case hexadecimal digits")]
pub struct NotAHash;

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        unhex(text).map(Self).ok_or(NotAHash)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The two digits of a byte. Like [`value_of`], it has no branch, because a processor cannot predict the
/// digits of a hash.
const fn digits_of(byte: u8) -> [u8; 2] {
    [digit_of(byte >> 4), digit_of(byte & 15)]
}

const fn digit_of(nibble: u8) -> u8 {
    // 39 is the distance from the digits to the letters, less 10.
    b'0' + nibble + (nibble > 9) as u8 * 39
}

/// Marks a character that is not a digit.
const NO_DIGIT: u8 = 0xF0;

/// The value of each character as a digit.
static VALUES: [u8; 256] = values();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn values() -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut nibble = 0;
    while nibble < 16 {
        values[digit_of(nibble) as usize] = nibble;
        nibble += 1;
    }
    values
}

fn value_of(digit: u8) -> u8 {
    VALUES.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT)
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| digits_of(*byte)).map(char::from).collect()
}

/// Adds lower-case hexadecimal digits.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    bytes.iter().for_each(|byte| out.extend_from_slice(&digits_of(*byte)));
}

/// The bytes of exactly `2 * N` lower-case hexadecimal digits. Upper case is refused: one value has one text.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    let mut all = 0;
    for (to, [high, low]) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        let (high, low) = (value_of(*high), value_of(*low));
        all |= high | low;
        *to = high << 4 | low & 15;
    }
    (all & NO_DIGIT == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_text() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex(&bytes), text);
        assert_eq!(unhex::<256>(&text).map(Vec::from), Some(bytes));
        for character in 0..=255_u8 {
            let text = String::from_utf8_lossy(&[b'0', character]).into_owned();
            let is_digit = matches!(character, b'0'..=b'9' | b'a'..=b'f');
            assert_eq!(unhex::<1>(&text).is_some(), is_digit, "{text}");
        }
        assert_eq!(unhex::<1>("0"), None);
        let hash = Hash::of(&[b"abc"]);
        assert_eq!(hash.to_string(), hex(hash.as_bytes()));
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}
