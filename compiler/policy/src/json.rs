//! JSON as admission and tool calls see it: a small tree that borrows its strings from the request.
//!
//! Not a general JSON library. Differences from `serde_json::Value`, each on purpose:
//! integers that fit in `i64` are [`Json::Int`], numbers with a fraction or exponent are [`Json::Double`], a larger integer
//! is an error (Kubernetes and CEL know no such value); a duplicate key is an error, because two readers
//! of one text could judge two objects; objects keep their order, since nothing below depends on it and keeping it is
//! what makes building the tree cheap. Depth is limited by serde_json (128).

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
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
pub struct Map<'a>(Members<'a>);

type Member<'a> = (Cow<'a, str>, Json<'a>);

/// Up to how many members a linear search beats an index.
const SMALL: usize = 32;

/// Kubernetes objects have a dozen members: comparing lengths first beats hashing and sorting. A hostile object may have a hundred
/// thousand, for which linear searches would take minutes.
#[derive(Clone, Debug)]
enum Members<'a> {
    Small(Vec<Member<'a>>),
    Large(Box<Indexed<'a>>),
}

/// Many members and their positions in the order of their keys.
#[derive(Clone, Debug)]
struct Indexed<'a> {
    members: Vec<Member<'a>>,
    by_key: Vec<u32>,
}

impl Default for Members<'_> {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl<'a> Members<'a> {
    /// Takes members whose keys may repeat; gives the first key that does.
    fn of(members: Vec<Member<'a>>) -> Result<Self, Cow<'a, str>> {
        let members = Self::unique(members);
        let repeated = match &members {
            Self::Small(members) => members
                .iter()
                .enumerate()
                .find(|(at, (key, _))| members.iter().take(*at).any(|(known, _)| known == key))
                .map(|(_, (key, _))| key),
            Self::Large(indexed) => indexed.repeated(),
        };
        match repeated.cloned() {
            Some(key) => Err(key),
            None => Ok(members),
        }
    }

    /// Takes members whose keys are known not to repeat.
    fn unique(members: Vec<Member<'a>>) -> Self {
        if members.len() <= SMALL {
            return Self::Small(members);
        }
        let by_key = index(&members);
        Self::Large(Box::new(Indexed { members, by_key }))
    }

    const fn list(&self) -> &Vec<Member<'a>> {
        match self {
            Self::Small(members) => members,
            Self::Large(indexed) => &indexed.members,
        }
    }

    /// The members, whose values may be changed; their keys may not.
    const fn list_mut(&mut self) -> &mut Vec<Member<'a>> {
        match self {
            Self::Small(members) => members,
            Self::Large(indexed) => &mut indexed.members,
        }
    }

    fn into_list(self) -> Vec<Member<'a>> {
        match self {
            Self::Small(members) => members,
            Self::Large(indexed) => indexed.members,
        }
    }

    fn position(&self, key: &str) -> Option<usize> {
        match self {
            Self::Small(members) => members.iter().position(|(name, _)| name == key),
            Self::Large(indexed) => {
                let at = indexed.search(key).ok()?;
                indexed.by_key.get(at).map(|position| *position as usize)
            }
        }
    }

    fn member_mut(&mut self, position: usize) -> Option<&mut Member<'a>> {
        match self {
            Self::Small(members) => members.get_mut(position),
            Self::Large(indexed) => indexed.members.get_mut(position),
        }
    }

    /// Adds a member whose key is not there yet.
    fn push(&mut self, member: Member<'a>) {
        match self {
            Self::Small(members) => {
                members.push(member);
                *self = Self::unique(std::mem::take(members));
            }
            Self::Large(indexed) => {
                let position = u32::try_from(indexed.members.len()).unwrap_or(u32::MAX);
                let at = indexed.search(&member.0).unwrap_or_else(|at| at);
                indexed.members.push(member);
                indexed.by_key.insert(at, position);
            }
        }
    }

    fn into_owned(self) -> Members<'static> {
        let own = |members: Vec<Member<'a>>| -> Vec<Member<'static>> {
            members
                .into_iter()
                .map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned()))
                .collect()
        };
        match self {
            Self::Small(members) => Members::Small(own(members)),
            Self::Large(indexed) => {
                Members::Large(Box::new(Indexed { members: own(indexed.members), by_key: indexed.by_key }))
            }
        }
    }

    fn remove(&mut self, position: usize) -> Member<'a> {
        match self {
            Self::Small(members) => members.remove(position),
            Self::Large(indexed) => {
                let removed = indexed.members.remove(position);
                indexed.by_key = index(&indexed.members);
                removed
            }
        }
    }
}

impl<'a> Indexed<'a> {
    fn repeated(&self) -> Option<&Cow<'a, str>> {
        let key = |position: &u32| self.members.get(*position as usize).map(|(key, _)| key);
        self.by_key.windows(2).find_map(|pair| match pair {
            [left, right] if key(left) == key(right) => key(left),
            _ => None,
        })
    }

    /// Where the key stands in `by_key`, or where it would.
    fn search(&self, key: &str) -> Result<usize, usize> {
        self.by_key.binary_search_by(|position| {
            self.members.get(*position as usize).map_or("", |(name, _)| name.as_ref()).cmp(key)
        })
    }
}

/// The positions of members in the order of their keys. A text of 2^32 members is larger than any that is read.
fn index(members: &[Member<'_>]) -> Vec<u32> {
    let mut by_key: Vec<u32> = (0..u32::try_from(members.len()).unwrap_or(u32::MAX)).collect();
    by_key.sort_by_key(|position| members.get(*position as usize).map_or("", |(name, _)| name.as_ref()));
    by_key
}

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
        Self(Members::Small(Vec::new()))
    }

    /// The member of this name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        if let Members::Small(members) = &self.0 {
            // The first byte tells most keys of one length apart without a call.
            let first = key.as_bytes().first();
            return members
                .iter()
                .find(|(name, _)| name.len() == key.len() && name.as_bytes().first() == first && name == key)
                .map(|(_, value)| value);
        }
        self.at(self.0.position(key)?).map(|(_, value)| value)
    }

    /// The member of this name, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Json<'a>> {
        let position = self.0.position(key)?;
        self.0.member_mut(position).map(|(_, value)| value)
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
        let at = self.0.position(key)?;
        Some(self.0.remove(at).1)
    }

    /// Members in the order of the text.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Json<'a>)> {
        self.0.list().iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// Takes members as they were read.
    ///
    /// # Errors
    /// A key that repeats, named in the message.
    pub(crate) fn of_read(members: Vec<(Cow<'a, str>, Json<'a>)>) -> Result<Self, String> {
        Members::of(members).map(Self).map_err(|key| format!("duplicate key `{key}`"))
    }

    /// Members in the order of the text, their values to be changed.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Json<'a>)> {
        self.0.list_mut().iter_mut().map(|(key, value)| {
            let key: &Cow<'a, str> = key;
            (key.as_ref(), value)
        })
    }

    /// Keeps the members for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Json<'a>) -> bool) {
        let mut members = std::mem::take(&mut self.0).into_list();
        members.retain(|(key, value)| keep(key, value));
        self.0 = Members::unique(members);
    }

    /// How many members there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.list().len()
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.list().is_empty()
    }

    /// The member at a position of the text's order; for evaluators that walk by index.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(&str, &Json<'a>)> {
        self.0.list().get(index).map(|(key, value)| (key.as_ref(), value))
    }
}

impl<'a> IntoIterator for Map<'a> {
    type Item = (Cow<'a, str>, Json<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {
            Members::Small(members) => members.into_iter(),
            Members::Large(indexed) => indexed.members.into_iter(),
        }
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Map<'a> {
    /// Collects members; of equal keys the last one stands.
    fn from_iter<T: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(iter: T) -> Self {
        let mut positions: BTreeMap<Cow<'a, str>, usize> = BTreeMap::new();
        let mut members: Vec<Member<'a>> = Vec::new();
        for (key, value) in iter {
            // A repeated key takes the place of the first one.
            let known = positions.get(&key).and_then(|at| members.get_mut(*at));
            match known {
                Some(known) => known.1 = value,
                None => {
                    positions.insert(key.clone(), members.len());
                    members.push((key, value));
                }
            }
        }
        Self(Members::unique(members))
    }
}

impl<'a> Json<'a> {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// Text that is not JSON, has a duplicate key, an integer beyond `i64`, or is nested deeper than 128.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
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
            Json::Map(map) => Json::Map(Map(map.0.into_owned())),
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
            Value::Object(map) => {
                let members = map.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), value.into()));
                Json::Map(Map(Members::unique(members.collect())))
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
        // Without the text, an integer beyond 64 bits cannot be told from a large double: both are refused.
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

/// Where the first integer beyond `i64` stands in a text that is valid JSON.
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
        // serde_json reads an integer beyond `u64` as a double, silently.
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
    fn integers_beyond_every_integer_type_are_refused_and_doubles_as_large_are_not() {
        for text in
            ["18446744073709551616", "-9223372036854775809", r#"{"a": ["\\\"", 1e30, 99999999999999999999]}"#]
        {
            let error = Json::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("is beyond 64 bits"), "{text}: {error}");
        }
        assert_eq!(Json::parse(b"1e30").unwrap(), Json::Double(1e30));
        assert_eq!(
            Json::parse(br#"[18446744073709551616.0, "18446744073709551616"]"#).unwrap().items().len(),
            2
        );
        assert!(serde_json::from_str::<Json>("18446744073709551616").is_err());
    }

    #[test]
    fn objects_of_many_members_are_objects_like_others() {
        let member = |at: usize| format!("\"key{}\": {at}", at * 7919 % 100_000);
        let text = (0..100_000).map(member).collect::<Vec<_>>().join(",");
        let mut json = Json::parse(format!("{{{text}}}").as_bytes()).unwrap().into_owned();
        assert_eq!(json.get("key7919"), Some(&Json::Int(1)));
        assert_eq!(json.get("key100000"), None);
        let Json::Map(map) = &mut json else { panic!("an object") };
        assert_eq!(map.at(1), Some(("key7919", &Json::Int(1))));
        assert_eq!(map.insert("key7919".into(), Json::Null), Some(Json::Int(1)));
        assert_eq!(map.insert("new".into(), Json::Int(5)), None);
        assert_eq!(map.remove("key0"), Some(Json::Int(0)));
        assert_eq!(map.get("key0"), None);
        assert_eq!(map.get("new"), Some(&Json::Int(5)));
        assert_eq!(map.get("key7919"), Some(&Json::Null));
        assert_eq!(map.len(), 100_000);
        let repeated = format!("{{{text}, \"key5\": 0}}");
        assert!(Json::parse(repeated.as_bytes()).unwrap_err().to_string().contains("duplicate key `key5`"));
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
        for count in [4, 31, 32, 33, 100_000] {
            let error = Json::parse(many(count).as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("duplicate key `k3`"), "{count}: {error}");
        }
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
