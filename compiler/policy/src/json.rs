//! JSON as admission and tool calls see it: a small tree that borrows its strings from the request.
//!
//! Not a general JSON library. Differences from `serde_json::Value`, each on purpose:
//! integers that fit in `i64` are [`Json::Int`], numbers with a fraction or exponent are [`Json::Double`], a larger integer
//! is an error (Kubernetes and CEL know no such value); a duplicate key is an error, because two readers
//! of one text could judge two objects; objects keep their order, since nothing below depends on it and keeping it is
//! what makes building the tree cheap. Depth is limited by serde_json (128).

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// One JSON value, borrowing what it can from the text it was read from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json<'a> {
    /// `null`, and what an absent value reads as where a default is asked for.
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

/// The members of a JSON object in the order of the text. Keys are unique.
#[derive(Clone, Debug, Default)]
pub struct Map<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl PartialEq for Map<'_> {
    /// Equal as objects are: whatever the order of members.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<'a> Map<'a> {
    /// An empty object.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The member of this name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        // Kubernetes objects have a dozen members: comparing lengths first beats hashing and sorting.
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The member of this name, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json<'a>> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Sets a member, replacing one of the same name; returns the replaced value.
    pub fn insert(&mut self, key: Cow<'a, str>, value: Json<'a>) -> Option<Json<'a>> {
        if let Some(old) = self.get_mut(&key) {
            return Some(std::mem::replace(old, value));
        }
        self.0.push((key, value));
        None
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Json<'a>> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1)
    }

    /// Members in the order of the text.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The member at a position of the text's order; for evaluators that walk by index.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(&str, &Json<'a>)> {
        self.0.get(index).map(|(key, value)| (key.as_ref(), value))
    }
}

impl<'a> IntoIterator for Map<'a> {
    type Item = (Cow<'a, str>, Json<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Map<'a> {
    /// Collects members; of equal keys the last one stands.
    fn from_iter<T: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(iter: T) -> Self {
        let mut map = Self::new();
        for (key, value) in iter {
            map.insert(key, value);
        }
        map
    }
}

impl<'a> Json<'a> {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// Text that is not JSON, has a duplicate key, an integer beyond `i64`, or is nested deeper than 128.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The member of an object; `None` for an absent one and for what is not an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Json::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// Follows member names from here. `path` holds plain member names, no list indices.
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
            Json::Map(map) => Json::Map(Map(map
                .0
                .into_iter()
                .map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned()))
                .collect())),
        }
    }
}

impl<'a> From<&'a serde_json::Value> for Json<'a> {
    /// Integers beyond `i64` become doubles here; whoever reads untrusted text uses [`Json::parse`], which refuses them.
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
            Value::Object(map) => Json::Map(Map(map
                .iter()
                .map(|(key, value)| (Cow::Borrowed(key.as_str()), value.into()))
                .collect())),
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
        deserializer.deserialize_any(JsonVisitor(std::marker::PhantomData))
    }
}

/// Up to this many members of an object are searched one by one, which is quicker than hashing. A hostile object has
/// 500,000 in 3 MiB: comparing each with each would take minutes.
const FEW_MEMBERS: usize = 24;

/// The members of an object while it is read.
#[derive(Default)]
pub(crate) struct UniqueMembers<'a> {
    pub(crate) map: Map<'a>,
    /// All keys so far, once there are [`FEW_MEMBERS`].
    seen: std::collections::HashSet<Cow<'a, str>>,
}

impl<'a> UniqueMembers<'a> {
    /// A key was read; its value follows. A key that was there before is an error.
    pub(crate) fn announce(&mut self, key: &Cow<'a, str>) -> Result<(), String> {
        if self.map.len() == FEW_MEMBERS {
            self.seen.extend(self.map.0.iter().map(|(key, _)| key.clone()));
        }
        let few = self.map.len() < FEW_MEMBERS;
        let duplicate = if few { self.map.get(key).is_some() } else { !self.seen.insert(key.clone()) };
        if duplicate { Err(format!("duplicate key `{key}`")) } else { Ok(()) }
    }

    /// The value of an announced key.
    pub(crate) fn push(&mut self, key: Cow<'a, str>, value: Json<'a>) {
        self.map.0.push((key, value));
    }
}

struct JsonVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for JsonVisitor<'a> {
    type Value = Json<'a>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'a>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'a>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'a>, E> {
        Ok(Json::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json<'a>, E> {
        i64::try_from(value)
            .map(Json::Int)
            .map_err(|_| E::custom(format!("integer `{value}` is beyond 64 bits with sign")))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'a>, E> {
        Ok(Json::Double(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'a>, E> {
        Ok(Json::Str(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'a>, E> {
        Ok(Json::Str(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Json<'a>, E> {
        Ok(Json::Str(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'a>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'a>, A::Error> {
        let mut members = UniqueMembers::default();
        while let Some(key) = access.next_key_seed(Key::new())? {
            members.announce(&key).map_err(de::Error::custom)?;
            let value = access.next_value()?;
            members.push(key, value);
        }
        Ok(Json::Map(members.map))
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
mod tests {
    use super::*;

    #[test]
    fn integers_are_int_fractions_are_double_and_larger_ones_are_refused() {
        assert_eq!(
            Json::parse(b"[1, -1, 1.0, 1e2]").unwrap().items(),
            [Json::Int(1), Json::Int(-1), Json::Double(1.0), Json::Double(100.0)]
        );
        assert!(Json::parse(b"9223372036854775808").is_err());
    }

    #[test]
    fn duplicate_keys_are_refused_and_order_does_not_matter_for_equality() {
        assert!(Json::parse(br#"{"a": 1, "a": 2}"#).is_err());
        assert!(Json::parse(br#"{"a": 1, "\u0061": 2}"#).is_err());
        let many = |last: usize| {
            let members: Vec<_> = (0..last).map(|at| format!("\"k{at}\":{at}")).collect();
            format!("{{{},\"k3\":0}}", members.join(","))
        };
        assert!(Json::parse(many(3).as_bytes()).is_ok());
        assert!(Json::parse(many(25).as_bytes()).unwrap_err().to_string().starts_with("duplicate key `k3`"));
        assert!(
            Json::parse(many(100_000).as_bytes()).unwrap_err().to_string().starts_with("duplicate key `k3`")
        );
        assert_eq!(
            Json::parse(br#"{"a": 1, "b": 2}"#).unwrap(),
            Json::parse(br#"{"b": 2, "a": 1}"#).unwrap()
        );
    }

    #[test]
    fn strings_are_borrowed_unless_escaped() {
        let json = Json::parse(br#"{"plain": "x", "escaped": "\n"}"#).unwrap();
        assert!(matches!(json.get("plain"), Some(Json::Str(Cow::Borrowed("x")))));
        assert!(matches!(json.get("escaped"), Some(Json::Str(Cow::Owned(_)))));
    }
}
