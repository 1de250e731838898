//! A small reader of text proto, written from its specification and not from our writer.

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Word(String),
    Message(Message),
}

/// Fields in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message(pub(crate) Vec<(String, Value)>);

impl Message {
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value)
    }

    fn one<'a>(&'a self, name: &'a str) -> Option<&'a Value> {
        let mut found = self.all(name);
        let first = found.next();
        assert!(found.next().is_none(), "`{name}` is there twice");
        first
    }

    /// A number, a boolean or the word of an enum.
    pub(crate) fn word<'a>(&'a self, name: &'a str) -> &'a str {
        match self.one(name) {
            Some(Value::Word(word)) => word,
            other => panic!("`{name}` is {other:?}"),
        }
    }

    pub(crate) fn text<'a>(&'a self, name: &'a str) -> &'a str {
        match self.one(name) {
            Some(Value::Text(text)) => text,
            other => panic!("`{name}` is {other:?}"),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    pub(crate) fn messages<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Message> {
        self.all(name).map(move |value| match value {
            Value::Message(message) => message,
            other => panic!("`{name}` is {other:?}"),
        })
    }
}

struct Input<'a> {
    rest: &'a [u8],
}

pub(crate) fn read(text: &str) -> Message {
    let mut input = Input { rest: text.as_bytes() };
    let message = input.fields();
    assert!(input.rest.is_empty(), "left over: {}", String::from_utf8_lossy(input.rest));
    message
}

impl Input<'_> {
    fn blank(&mut self) {
        loop {
            match self.rest.first() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.rest = &self.rest[1..],
                Some(b'#') => {
                    let end = self.rest.iter().position(|byte| *byte == b'\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                _ => return,
            }
        }
    }

    fn word(&mut self) -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+.".contains(byte);
        let end = self.rest.iter().position(|byte| !plain(byte)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        assert!(!word.is_empty(), "no word at {}", String::from_utf8_lossy(rest));
        self.rest = rest;
        String::from_utf8(word.to_vec()).expect("ASCII")
    }

    fn fields(&mut self) -> Message {
        let mut message = Message::default();
        loop {
            self.blank();
            if matches!(self.rest.first(), None | Some(b'}')) {
                return message;
            }
            let name = self.word();
            self.blank();
            let value = match self.rest.first() {
                Some(b':') => {
                    self.rest = &self.rest[1..];
                    self.blank();
                    if self.rest.first() == Some(&b'"') {
                        Value::Text(self.string())
                    } else {
                        Value::Word(self.word())
                    }
                }
                Some(b'{') => {
                    self.rest = &self.rest[1..];
                    let inner = self.fields();
                    assert_eq!(self.rest.first(), Some(&b'}'));
                    self.rest = &self.rest[1..];
                    Value::Message(inner)
                }
                other => panic!("after `{name}`: {other:?}"),
            };
            message.0.push((name, value));
        }
    }

    fn string(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut at = 1;
        loop {
            match self.rest[at] {
                b'"' => break,
                b'\n' => panic!("a string over several lines"),
                b'\\' => match self.rest[at + 1] {
                    byte @ (b'"' | b'\\') => {
                        bytes.push(byte);
                        at += 2;
                    }
                    b'0'..=b'7' => {
                        let digits = std::str::from_utf8(&self.rest[at + 1..at + 4]).expect("ASCII");
                        bytes.push(u8::from_str_radix(digits, 8).expect("three octal digits"));
                        at += 4;
                    }
                    other => panic!("escape {}", char::from(other)),
                },
                byte => {
                    bytes.push(byte);
                    at += 1;
                }
            }
        }
        self.rest = &self.rest[at + 1..];
        String::from_utf8(bytes).expect("UTF-8")
    }
}
