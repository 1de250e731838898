//! Untrusted text, made safe for a terminal.

/// Text from a pack, a test or an object under review, without what a terminal obeys: control characters,
/// 8-bit ones included, and marks that reverse the writing direction. All of it may be hostile.
pub(crate) fn plain(text: &str) -> String {
    let turns =
        |char| matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let obeyed = |char: char| char.is_control() && char != '\n' || turns(char);
    text.chars().map(|char| if obeyed(char) { char::REPLACEMENT_CHARACTER } else { char }).collect()
}
