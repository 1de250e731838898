//! The text form of protobuf messages, read as the JSON form:
//! <https://protobuf.dev/reference/protobuf/textformat-spec/>. It supports only what the specification's
//! tests use, and no schema: which fields are lists and which are bytes is known by name. What cannot be read
//! panics: the files are pinned.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

/// The fields of the tests that are lists.
const LISTS: &[&str] = &[
    "section",
    "test",
    "typeEnv",
    "values",
    "entries",
    "errors",
    "overloads",
    "params",
    "parameterTypes",
    "exprs",
];

struct Reader<'t> {
    rest: &'t str,
}

/// Reads a whole file.
pub(crate) fn read(text: &str) -> Json {
    let mut reader = Reader { rest: text };
    let message = reader.message();
    assert!(reader.rest.is_empty(), "cannot be read: {}", reader.shown());
    message
}

impl Reader<'_> {
    fn shown(&self) -> String {
        self.rest.chars().take(60).collect()
    }

    /// Skips spaces, comments and separators.
    fn skip(&mut self) {
        loop {
            self.rest =
                self.rest.trim_start_matches(|char: char| char.is_whitespace() || matches!(char, ',' | ';'));
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => return,
            }
        }
    }

    fn eat(&mut self, token: char) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The longest match, at least one character.
    fn word(&mut self, matches: impl Fn(char) -> bool) -> String {
        self.skip();
        let end = self.rest.find(|char: char| !matches(char)).unwrap_or(self.rest.len());
        assert!(end > 0, "a word is missing: {}", self.shown());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    /// Fields up to a closing brace or the end.
    fn message(&mut self) -> Json {
        let mut fields = Map::new();
        loop {
            self.skip();
            if self.rest.is_empty() || self.rest.starts_with('}') {
                return any(fields);
            }
            let name = if self.eat('[') {
                let name = self.word(|char| char != ']');
                assert!(self.eat(']'));
                name
            } else {
                camel(&self.word(|char| char.is_ascii_alphanumeric() || char == '_'))
            };
            self.eat(':');
            let value = self.value(&name);
            match (name.as_str(), value) {
                // A map is a list of pairs.
                ("bindings", value) => {
                    let key = value["key"].as_str().unwrap().to_owned();
                    let bindings = fields.entry(name).or_insert_with(|| Json::Object(Map::new()));
                    bindings.as_object_mut().unwrap().insert(key, value["value"].clone());
                }
                (list, value) if LISTS.contains(&list) => {
                    let items = fields.entry(name).or_insert_with(|| Json::Array(Vec::new()));
                    let items = items.as_array_mut().unwrap();
                    match value {
                        Json::Array(more) => items.extend(more),
                        one => items.push(one),
                    }
                }
                (_, value) => {
                    fields.insert(name, value);
                }
            }
        }
    }

    fn value(&mut self, name: &str) -> Json {
        if self.eat('{') {
            let message = self.message();
            assert!(self.eat('}'), "a message is not closed: {}", self.shown());
            return message;
        }
        if self.eat('[') {
            let mut items = Vec::new();
            while !self.eat(']') {
                items.push(self.value(name));
            }
            return Json::Array(items);
        }
        if self.rest.starts_with(['"', '\'']) {
            let bytes = self.strings();
            let is_bytes = name == "bytesValue";
            return Json::String(if is_bytes {
                STANDARD.encode(bytes)
            } else {
                String::from_utf8_lossy(&bytes).into_owned()
            });
        }
        let word = self.word(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '+' | '-' | '.'));
        match word.to_ascii_lowercase().as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            "inf" | "infinity" => "Infinity".into(),
            "-inf" | "-infinity" => "-Infinity".into(),
            "nan" => "NaN".into(),
            // Numbers as strings keep all of their digits.
            _ => Json::String(word),
        }
    }

    /// Adjacent string literals are one.
    fn strings(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(quote) = self.rest.chars().next().filter(|char| matches!(char, '"' | '\'')) {
            self.rest = &self.rest[1..];
            while !self.rest.starts_with(quote) {
                self.character(&mut bytes);
            }
            self.rest = &self.rest[1..];
            self.skip();
        }
        bytes
    }

    fn character(&mut self, bytes: &mut Vec<u8>) {
        if !self.rest.starts_with('\\') {
            let first = self.rest.chars().next().unwrap();
            bytes.extend_from_slice(first.to_string().as_bytes());
            self.rest = &self.rest[first.len_utf8()..];
            return;
        }
        let mut take = |length: usize| {
            let (taken, rest) = self.rest.split_at(length);
            self.rest = rest;
            taken
        };
        let code = |digits: &str, radix| u32::from_str_radix(digits, radix).unwrap();
        let escape = take(2).chars().nth(1).unwrap();
        match escape {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            'x' => bytes.push(u8::try_from(code(take(2), 16)).unwrap()),
            'u' => bytes.extend(char::from_u32(code(take(4), 16)).unwrap().to_string().as_bytes()),
            'U' => bytes.extend(char::from_u32(code(take(8), 16)).unwrap().to_string().as_bytes()),
            '0'..='7' => {
                let more = take(2);
                bytes.push(u8::try_from(code(&format!("{escape}{more}"), 8)).unwrap());
            }
            other => bytes.push(u8::try_from(other).unwrap()),
        }
    }
}

/// `int64_value` becomes `int64Value`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(1.min(part.len()));
        camel += &first.to_ascii_uppercase();
        camel += rest;
    }
    camel
}

/// A packed message, which JSON marks by its type; a duration is a string in JSON.
fn any(mut fields: Map<String, Json>) -> Json {
    let Some((name, inner)) = fields.iter().find(|(name, _)| name.contains('/')) else {
        return Json::Object(fields);
    };
    let part = |field: &str| inner.get(field).and_then(Json::as_str).unwrap_or("0").parse::<i64>().unwrap();
    let value = if name.ends_with("google.protobuf.Duration") {
        let sign = if part("seconds") < 0 || part("nanos") < 0 { "-" } else { "" };
        Some(format!("{sign}{}.{:09}s", part("seconds").unsigned_abs(), part("nanos").unsigned_abs()))
    } else {
        None
    };
    let name = name.clone();
    fields.insert("@type".to_owned(), Json::String(name));
    fields.extend(value.map(|value| ("value".to_owned(), Json::String(value))));
    Json::Object(fields)
}

#[test]
fn what_the_tests_use_of_the_text_form_is_read() {
    let text = "name: 'a' \"b\" # comment\n section { test: { expr: '\\x41\\101\\n\\u00e4' value { bytes_value: '\\xff' } } test { value: { double_value: -inf } } }\n\
        bindings { key: 'x' value { value { int64_value: 1 } } } bindings: { key: 'y' value: {} }";
    let expected = serde_json::json!({
        "name": "ab",
        "section": [{ "test": [
            { "expr": "AA\nä", "value": { "bytesValue": "/w==" } },
            { "value": { "doubleValue": "-Infinity" } },
        ] }],
        "bindings": { "x": { "value": { "int64Value": "1" } }, "y": {} },
    });
    assert_eq!(read(text), expected);
}
