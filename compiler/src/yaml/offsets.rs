//! Maps offsets in the decoded text of a YAML scalar to offsets in its source. An error inside a CEL
//! expression is thus shown where the author wrote it, even in quotes and block scalars.

use std::ops::Range;

/// The bytes of `raw`, the scalar as written, that produced the bytes `within` of `decoded`. Exact for plain,
/// quoted and literal scalars; in folded ones, a line break of the source maps to the space that it became.
pub(super) fn source_range(raw: &str, decoded: &str, within: Range<usize>) -> Range<usize> {
    let map = align(raw, decoded);
    let at = |offset: usize| map.get(offset).copied().unwrap_or(raw.len());
    let start = at(within.start.min(decoded.len()));
    let end = if within.end > within.start { at(within.end - 1) + 1 } else { start };
    // Never end inside a character.
    let end = (end..=raw.len()).find(|end| raw.is_char_boundary(*end)).unwrap_or(raw.len());
    start..end.max(start)
}

/// For each byte of `decoded`, and for its end, the byte of `raw` where it is written.
fn align(raw: &str, decoded: &str) -> Vec<usize> {
    let quote = quote(raw, decoded);
    let mut rest = Rest { raw, at: quote.map_or(0, char::len_utf8), quote };
    let mut map = Vec::with_capacity(decoded.len() + 1);
    for wanted in decoded.chars() {
        let here = rest.find(wanted);
        // In a character of several bytes, each byte has its own place, unless an escape produced it.
        let verbatim = raw.get(here..).is_some_and(|text| text.starts_with(wanted));
        map.extend((0..wanted.len_utf8()).map(|byte| if verbatim { here + byte } else { here }));
    }
    map.push(rest.at.min(raw.len()));
    map
}

/// The quote that a scalar is written in. The content of a block scalar (`raw` excludes its header) may also
/// begin with a quote; then the text itself begins with it, unescaped.
fn quote(raw: &str, decoded: &str) -> Option<char> {
    let quote = raw.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let escaped = if quote == '"' { raw.starts_with("\"\\") } else { raw.starts_with("'''") };
    (!decoded.starts_with(quote) || escaped).then_some(quote)
}

struct Rest<'a> {
    raw: &'a str,
    at: usize,
    quote: Option<char>,
}

impl Rest<'_> {
    fn peek(&self) -> Option<char> {
        self.raw.get(self.at..)?.chars().next()
    }

    /// The place of the next decoded character; advances past it.
    fn find(&mut self, wanted: char) -> usize {
        while let Some(next) = self.peek() {
            let here = self.at;
            if next == '\\' && self.quote == Some('"') {
                if self.skip_escape() == Escape::LineBreak {
                    continue;
                }
                return here;
            }
            if next == wanted {
                // Single-quoted scalars double their quotes.
                self.at += next.len_utf8() + usize::from(next == '\'' && self.quote == Some('\''));
                return here;
            }
            if wanted.is_whitespace() && next.is_whitespace() {
                // Folding: a run of white space became one space or fewer line breaks.
                self.skip_whitespace();
                return here;
            }
            self.at += next.len_utf8();
        }
        self.raw.len()
    }

    fn skip_whitespace(&mut self) {
        while let Some(next) = self.peek().filter(|next| next.is_whitespace()) {
            self.at += next.len_utf8();
        }
    }

    fn skip_escape(&mut self) -> Escape {
        self.at += 1;
        let Some(kind) = self.peek() else { return Escape::Character };
        self.at += kind.len_utf8();
        match kind {
            'x' => self.at += 2,
            'u' => self.at += 4,
            'U' => self.at += 8,
            '\n' => {
                self.skip_whitespace();
                return Escape::LineBreak;
            }
            _ => {}
        }
        Escape::Character
    }
}

#[derive(PartialEq)]
enum Escape {
    Character,
    LineBreak,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of `raw` that produced the first `needle` of `decoded`.
    fn written<'a>(raw: &'a str, decoded: &str, needle: &str) -> &'a str {
        let start = decoded.find(needle).expect("in the text");
        raw.get(source_range(raw, decoded, start..start + needle.len())).expect("inside")
    }

    #[test]
    fn each_style_maps_back() {
        assert_eq!(written("a + b", "a + b", "+ b"), "+ b");
        assert_eq!(written(r#""a\tb \"c\" d""#, "a\tb \"c\" d", "\"c\""), r#"\"c\"#);
        assert_eq!(written("'it''s x'", "it's x", "s x"), "s x");
        assert_eq!(written("a &&\n    b\n  ", "a &&\nb\n", "b"), "b");
        assert_eq!(written("a &&\n    bad", "a && bad", "bad"), "bad");
        assert_eq!(written("\"\\u00e4x\"", "äx", "x"), "x");
        assert_eq!(written("'x' ==\n    bad", "'x' ==\nbad", "bad"), "bad");
        assert_eq!(written("äöü = 1", "äöü = 1", "öü"), "öü");
    }

    #[test]
    fn whatever_the_range_the_answer_lies_inside() {
        for range in [0..0, 0..100, 50..60, 3..3] {
            let found = source_range("'a''b'", "a'b", range);
            assert!(found.start <= found.end && found.end <= 6);
        }
    }
}
