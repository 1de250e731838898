//! Positions in strings: CEL counts code points, Rust counts bytes.

/// The byte at which the code point with this index starts; the length for the index just after the last,
/// `None` beyond.
pub(super) fn byte_of_char(text: &str, char_index: usize) -> Option<usize> {
    if text.is_ascii() {
        return (char_index <= text.len()).then_some(char_index);
    }
    text.char_indices().map(|(at, _)| at).chain(std::iter::once(text.len())).nth(char_index)
}

/// How many code points precede this byte.
pub(super) fn chars_before(text: &str, byte: usize) -> usize {
    text.get(..byte).map_or(0, |head| head.chars().count())
}

/// A length as CEL's integer.
pub(super) fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
