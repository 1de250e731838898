//! Finds a line's members without building a tree: JSON (RFC 8259) as writers write it, in which no name occurs
//! twice in one object.
//!
//! Two readers that disagree about a repeated name, or about a number that one of them cannot hold, would read two
//! logs. So a line has one spelling: no white space, no escape of what can be written itself. The speed of reading
//! lines limits the speed of verifying, so nothing is decoded that need not be.

use std::borrow::Cow;

/// Deepest nesting that is read: what serde_json reads, so that a good line is always a value.
pub(crate) const MAX_DEPTH: usize = 127;

/// A number with fewer digits and without an exponent fits into a double.
const MAX_PLAIN_DIGITS: usize = 300;

/// With at least this many members in one object, sorting them is faster than comparing each with each.
const MANY: usize = 24;

/// The members of the object on this line: names without quotes, and the texts of their values.
pub(crate) type Members<'l> = Vec<(&'l str, &'l str)>;

struct Scan<'l> {
    text: &'l str,
    at: usize,
    /// Names of the objects that are open, the innermost last.
    names: Vec<Cow<'l, str>>,
}

type Scanned<T> = Result<T, &'static str>;

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn members(line: &[u8]) -> Scanned<Members<'_>> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    let mut scan = Scan { text, at: 0, names: Vec::with_capacity(2 * MANY) };
    let mut members = Vec::with_capacity(24);
    scan.object(1, &mut |name, value| members.push((name, value)))?;
    if scan.at == text.len() { Ok(members) } else { Err("something stands behind its object") }
}

impl<'l> Scan<'l> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Scanned<()> {
        if self.peek() != Some(byte) {
            return Err("it is not JSON");
        }
        self.at += 1;
        Ok(())
    }

    fn since(&self, begin: usize) -> &'l str {
        self.text.get(begin..self.at).unwrap_or_default()
    }

    fn value(&mut self, depth: usize) -> Scanned<()> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'{') => self.object(depth + 1, &mut |_, _| ()),
            Some(b'[') => self.array(depth + 1),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => ["true", "false", "null"]
                .iter()
                .find(|word| {
                    self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()))
                })
                .map(|word| self.at += word.len())
                .ok_or("it is not JSON"),
        }
    }

    fn object(&mut self, depth: usize, each: &mut dyn FnMut(&'l str, &'l str)) -> Scanned<()> {
        if depth > MAX_DEPTH {
            return Err("it is nested too deeply");
        }
        let (outer, mut known) = (self.names.len(), 0);
        self.expect(b'{')?;
        if self.peek() != Some(b'}') {
            loop {
                let raw = self.string()?;
                self.name(raw, outer, &mut known)?;
                self.expect(b':')?;
                let begin = self.at;
                self.value(depth)?;
                each(raw, self.since(begin));
                match self.peek() {
                    Some(b',') => self.at += 1,
                    _ => break,
                }
            }
        }
        self.expect(b'}')?;
        if self.names.len() - outer > MANY {
            let mut names = self.names.split_off(outer);
            names.sort_unstable();
            let mut pairs = names.iter().zip(names.iter().skip(1));
            if pairs.any(|(one, next)| one == next) {
                return Err("a name stands twice in one object");
            }
        }
        self.names.truncate(outer);
        Ok(())
    }

    /// Notes a name of the object whose names begin at `outer`. `known` has a bit for each name so far,
    /// chosen by its length and two of its letters: a name whose bit is not set yet needs no comparison.
    fn name(&mut self, raw: &'l str, outer: usize, known: &mut u64) -> Scanned<()> {
        let name = if raw.contains('\\') {
            let quoted = format!("\"{raw}\"");
            Cow::Owned(serde_json::from_str::<String>(&quoted).map_err(|_| "it is not JSON")?)
        } else {
            Cow::Borrowed(raw)
        };
        let letter = |at: usize| u64::from(name.as_bytes().get(at).copied().unwrap_or_default());
        let mix = name.len() as u64 ^ letter(0) << 2 ^ letter(name.len() / 2) << 5;
        let bit = 1 << (mix.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58);
        let siblings = self.names.get(outer..).unwrap_or_default();
        if *known & bit != 0 && siblings.len() < MANY && siblings.contains(&name) {
            return Err("a name stands twice in one object");
        }
        *known |= bit;
        self.names.push(name);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Scanned<()> {
        if depth > MAX_DEPTH {
            return Err("it is nested too deeply");
        }
        self.expect(b'[')?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b']'),
            }
        }
    }

    /// A string, without its quotes.
    fn string(&mut self) -> Scanned<&'l str> {
        self.expect(b'"')?;
        let begin = self.at;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at += plain(rest).ok_or("a string does not end")?;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return Err("a string holds a control character"),
            }
        }
        let inside = self.since(begin);
        self.at += 1;
        Ok(inside)
    }

    fn escape(&mut self) -> Scanned<()> {
        self.at += 1;
        let kind = self.peek().ok_or("a string does not end")?;
        self.at += 1;
        match kind {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => self.control(),
            _ => Err("a string holds an escape that no writer writes"),
        }
    }

    /// The four digits of a control character, the only ones that cannot be written themselves.
    fn control(&mut self) -> Scanned<()> {
        let digits = self.text.as_bytes().get(self.at..).and_then(|rest| rest.first_chunk());
        let Some([b'0', b'0', b'0' | b'1', b'0'..=b'9' | b'a'..=b'f']) = digits else {
            return Err("a string holds an escape that no writer writes");
        };
        self.at += 4;
        Ok(())
    }

    fn number(&mut self) -> Scanned<()> {
        let begin = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let has_exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let number = self.since(begin);
        if number == "-0" {
            return Err("a number is written as `-0`");
        }
        let may_be_large = has_exponent || number.len() > MAX_PLAIN_DIGITS;
        if may_be_large && !number.parse().is_ok_and(f64::is_finite) {
            return Err("a number is beyond the range of a double");
        }
        Ok(())
    }

    fn digits(&mut self) -> Scanned<()> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > begin { Ok(()) } else { Err("it is not JSON") }
    }
}

/// How many bytes precede the first quote, backslash or control character; eight are examined together.
fn plain(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of each zero byte, and perhaps of some bytes behind the first one.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * b'"' as u64));
        let backslashes = zeros(word ^ (ONES * b'\\' as u64));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = quotes | backslashes | controls;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
    rest.map(|rest| at + rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_texts_come_out() {
        let line = br#"{"a":[1,-0.5e+3,{"b":{}}],"c":"x\"\u001by","d":null}"#;
        let expected = [("a", "[1,-0.5e+3,{\"b\":{}}]"), ("c", "\"x\\\"\\u001by\""), ("d", "null")];
        assert_eq!(members(line).unwrap(), expected);
        assert_eq!(members(b"{}").unwrap(), []);
    }

    #[test]
    fn a_name_twice_is_refused_at_any_depth_and_in_any_spelling() {
        for line in [r#"{"a":1,"a":2}"#, r#"{"\t":1,"\u0009":2}"#, r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#] {
            assert_eq!(members(line.as_bytes()), Err("a name stands twice in one object"), "{line}");
        }
        let many = |last: usize| {
            let members: Vec<_> = (0..100).chain([last]).map(|n| format!("\"k{n}\":{n}")).collect();
            format!("{{\"x\":{{{}}}}}", members.join(","))
        };
        assert!(members(many(100).as_bytes()).is_ok());
        assert!(members(many(17).as_bytes()).is_err());
        assert!(members(br#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for line in [
            "",
            "{",
            "{}x",
            "[]",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":+1}",
            "{\"a\":1e}",
            "{\"a\":tru}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"a\":1,}",
            "{\"a\":[1,]}",
            "{\"a\":\"\\u12g4\"}",
            "{\"a\" 1}",
            "{\"a\":-}",
        ] {
            assert!(members(line.as_bytes()).is_err(), "{line}");
        }
        assert!(members(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn what_no_writer_writes_is_refused() {
        for line in [
            "{ \"a\":1}",
            "{\"a\" :1}",
            "{\"a\": 1}",
            "{\"a\":1 }",
            "{\"a\":[1, 2]}",
            "{}\t",
            "{\"\\u0061\":1}",
            "{\"a\":\"\\/\"}",
            "{\"a\":\"\\u001B\"}",
            "{\"a\":\"\\ud83d\\ude00\"}",
            "{\"a\":-0}",
            "{\"a\":1e999}",
        ] {
            assert!(members(line.as_bytes()).is_err(), "{line}");
            assert!(
                serde_json::from_str::<serde_json::Value>(line).is_ok() || line.contains("e999"),
                "{line}"
            );
        }
        let long = |digits: usize| format!("{{\"a\":{}}}", "9".repeat(digits));
        assert!(members(long(308).as_bytes()).is_ok() && members(long(309).as_bytes()).is_err());
    }

    #[test]
    fn what_is_nested_as_deeply_as_can_be_is_still_a_value() {
        let deep = |depth| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let is_value = |depth| serde_json::from_str::<serde_json::Value>(&deep(depth)).is_ok();
        assert!(members(deep(MAX_DEPTH - 1).as_bytes()).is_ok() && is_value(MAX_DEPTH - 1));
        assert!(members(deep(MAX_DEPTH).as_bytes()).is_err() && !is_value(MAX_DEPTH));
    }

    proptest! {
        #[test]
        fn eight_bytes_together_find_what_one_by_one_finds(bytes in proptest::collection::vec(
            prop_oneof![8 => 0x20_u8..=0xFF, 1 => Just(b'"'), 1 => Just(b'\\'), 1 => 0_u8..0x20], 0..40)
        ) {
            let one_by_one = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
            prop_assert_eq!(plain(&bytes), one_by_one);
        }

        /// Pieces that make and break JSON, against serde_json, which takes the last of two equal names.
        #[test]
        fn it_takes_what_serde_json_takes(pieces in proptest::collection::vec(
            prop::sample::select(vec!["{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "\"\\u0019\"", "\"\\", "1", "-", ".5", "e3", "true"]), 0..14)
        ) {
            let line = format!("{{\"k\":{}}}", pieces.concat());
            let ours = members(line.as_bytes());
            if ours != Err("a name stands twice in one object") {
                prop_assert_eq!(ours.is_ok(), serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{}", line);
            }
        }
    }
}
