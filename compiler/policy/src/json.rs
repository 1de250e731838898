//! JSON as admission and tool calls see it: a small tree that borrows its strings from the request.
//!
//! Not a general JSON library. It deliberately differs from `serde_json::Value`. Integers that fit in `i64`
//! are [`Json::Int`], numbers with a fraction or exponent are [`Json::Double`], and a larger integer is an
//! error (Kubernetes and CEL have no such value). A duplicate key is an error, because two readers of one
//! text could judge two objects. Objects keep their order, since nothing below depends on it and keeping it
//! makes building the tree cheap. Depth is limited by serde_json (128).

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

pub use map::Map;
pub(crate) use map::Name;
use read::Reader as OrdinaryReader;
#[cfg(feature = "admission")]
pub(crate) use read::{Found, Reader, Skip};

mod map;
#[cfg_attr(not(feature = "admission"), expect(dead_code, reason = "only reviews are read in part"))]
mod read;

/// One JSON value, borrowing what it can from the text it was read from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json<'a> {
    /// `null`, and the value of an absent member where a default is wanted.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer within `i64`.
    Int(i64),
    /// A number with a fraction or an exponent.
    Double(f64),
    /// A string; owned only if it held escapes or was made by a mutation.
    Str(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object.
    Map(Map<'a>),
}

impl<'a> Json<'a> {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// Text that is not JSON, has a duplicate key, an integer beyond `i64`, or is nested deeper than 128.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        if let Some(json) = Self::parse_ordinary(text) {
            return Ok(json);
        }
        Self::parse_generally(text)
    }

    fn parse_ordinary(text: &'a [u8]) -> Option<Self> {
        let mut reader = OrdinaryReader::new(str::from_utf8(text).ok()?);
        let json = reader.value()?;
        reader.end().map(|()| json)
    }

    /// [`Json::parse`] by `serde_json` alone: for what [`Reader`] is not sure of, and for the wording of
    /// errors.
    fn parse_generally<'t>(text: &'t [u8]) -> Result<Json<'t>, serde_json::Error> {
        let large = Cell::new(false);
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let json = JsonSeed(Some(&large)).deserialize(&mut deserializer)?;
        deserializer.end()?;
        if large.get()
            && let Some(number) = large_integer(text)
        {
            let number = String::from_utf8_lossy(number);
            return Err(de::Error::custom(format!("integer `{number}` is beyond 64 bits with sign")));
        }
        Ok(json)
    }

    /// The member of an object; `None` for an absent member and for a value that is not an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Json::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// Follows member names from here. `path` holds plain member names, not list indices.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Json<'a>> {
        path.iter().try_fold(self, |here, key| here.get(key))
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Json::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Json::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of a list; empty for everything else.
    #[must_use]
    pub fn items(&self) -> &[Json<'a>] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    /// The object, if it is one.
    #[must_use]
    pub const fn as_map(&self) -> Option<&Map<'a>> {
        match self {
            Json::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The same value, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(value) => Json::Bool(value),
            Json::Int(value) => Json::Int(value),
            Json::Double(value) => Json::Double(value),
            Json::Str(text) => Json::Str(Cow::Owned(text.into_owned())),
            Json::List(items) => Json::List(items.into_iter().map(Json::into_owned).collect()),
            Json::Map(map) => Json::Map(map.into_owned()),
        }
    }
}

impl<'a> From<&'a serde_json::Value> for Json<'a> {
    /// Integers beyond `i64` become doubles here; to read untrusted text use [`Json::parse`], which rejects
    /// them.
    fn from(value: &'a serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => {
                number.as_i64().map_or_else(|| Json::Double(number.as_f64().unwrap_or(f64::NAN)), Json::Int)
            }
            Value::String(text) => Json::Str(Cow::Borrowed(text)),
            Value::Array(items) => Json::List(items.iter().map(Json::from).collect()),
            Value::Object(map) => {
                let members = map.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), value.into()));
                Json::Map(Map::of_unique(members.collect()))
            }
        }
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Int(value) => serializer.serialize_i64(*value),
            Json::Double(value) => serializer.serialize_f64(*value),
            Json::Str(text) => serializer.serialize_str(text),
            Json::List(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Json::Map(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map.iter() {
                    out.serialize_entry(key, value)?;
                }
                out.end()
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Without the text, an integer beyond 64 bits cannot be told from a large double: both are rejected.
        deserializer.deserialize_any(JsonVisitor(None))
    }
}

/// Reads one value; notes a double so large that it may have been written as an integer.
#[derive(Clone, Copy)]
struct JsonSeed<'s>(Option<&'s Cell<bool>>);

impl<'de> DeserializeSeed<'de> for JsonSeed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(JsonVisitor(self.0))
    }
}

/// The first integer beyond `i64` in a text that is valid JSON.
fn large_integer(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        let start = rest.iter().position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9'))?;
        rest = rest.get(start..)?;
        if rest.first() == Some(&b'"') {
            rest = after_string(rest)?;
            continue;
        }
        let end =
            rest.iter().position(|byte| !matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9'));
        let (number, after) = rest.split_at(end.unwrap_or(rest.len()));
        let integer = number.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9'));
        if integer && std::str::from_utf8(number).is_ok_and(|number| number.parse::<i64>().is_err()) {
            return Some(number);
        }
        rest = after;
    }
}

fn after_string(text: &[u8]) -> Option<&[u8]> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return text.get(at + 1..),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

struct JsonVisitor<'s>(Option<&'s Cell<bool>>);

impl<'de> Visitor<'de> for JsonVisitor<'_> {
    type Value = Json<'de>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json<'de>, E> {
        i64::try_from(value)
            .map(Json::Int)
            .map_err(|_| E::custom(format!("integer `{value}` is beyond 64 bits with sign")))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        // serde_json silently reads an integer beyond `u64` as a double.
        if value.abs() >= 9_223_372_036_854_775_808.0 {
            match self.0 {
                Some(seen) => seen.set(true),
                None => return Err(E::custom(format!("number `{value}` is beyond 64 bits"))),
            }
        }
        Ok(Json::Double(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Str(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Str(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Json<'de>, E> {
        Ok(Json::Str(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(JsonSeed(self.0))? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = access.next_key_seed(Key::new())? {
            let value = access.next_value_seed(JsonSeed(self.0))?;
            members.push((key, value));
        }
        Map::of_read(members).map(Json::Map).map_err(de::Error::custom)
    }
}

/// An object key, borrowed where the text has no escapes (serde's own `Cow` never borrows).
pub(crate) struct Key<'a>(std::marker::PhantomData<&'a ()>);

impl Key<'_> {
    pub(crate) const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        struct KeyVisitor<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for KeyVisitor<'a> {
            type Value = Cow<'a, str>;
            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(value.to_owned()))
            }
        }
        deserializer.deserialize_str(KeyVisitor(self.0))
    }
}

#[cfg(test)]
mod tests;
