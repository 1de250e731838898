//! A writer of text proto: fields by name, each value by its type. Only this module writes the text of an
//! nsjail configuration.
//! <https://protobuf.dev/reference/protobuf/textformat-spec/>

use std::fmt::Write as _;

/// A message under construction. Field names come from the code, never from a pack.
pub(super) struct Message {
    text: String,
    depth: usize,
}

impl Message {
    pub(super) const fn new() -> Self {
        Self { text: String::new(), depth: 0 }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// A one-line comment, whatever the text contains.
    pub(super) fn comment(&mut self, text: &str) {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.line(&format!("# {line}"));
    }

    pub(super) fn string(&mut self, field: &str, value: &str) {
        self.line(&format!("{field}: {}", quoted(value)));
    }

    /// A value of an enum.
    pub(super) fn word(&mut self, field: &str, value: &'static str) {
        self.line(&format!("{field}: {value}"));
    }

    pub(super) fn number(&mut self, field: &str, value: u64) {
        self.line(&format!("{field}: {value}"));
    }

    pub(super) fn flag(&mut self, field: &str, value: bool) {
        self.line(&format!("{field}: {value}"));
    }

    /// A nested message.
    pub(super) fn message(&mut self, field: &str, write: impl FnOnce(&mut Message)) {
        self.line(&format!("{field} {{"));
        self.depth += 1;
        write(self);
        self.depth -= 1;
        self.line("}");
    }

    fn line(&mut self, text: &str) {
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
        self.text.push_str(text);
        self.text.push('\n');
    }
}

/// A string literal. Everything except printable ASCII becomes octal bytes, which every reader decodes alike.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_cannot_end_early() {
        assert_eq!(quoted(r#"a" rw: true #\"#), r#""a\" rw: true #\\""#);
        assert_eq!(quoted("ü\n\u{0}7"), r#""\303\274\012\0007""#);
    }

    #[test]
    fn a_comment_is_one_line() {
        let mut message = Message::new();
        message.comment("a\nrw: true\r\u{85}x");
        assert_eq!(message.finish(), "# a rw: true  x\n");
    }
}
