//! Values of expressions. Scalars are copied; strings, lists and maps of the input or the policy are
//! borrowed. Only what an expression makes is owned, and then shared by reference count.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;

use super::functions::authorizer::Authorization;
use super::functions::named_formats::NamedFormat;
use super::functions::network::Cidr;
use super::functions::quantity::Quantity;
use super::functions::semver::Semver;
use super::functions::time::Timestamp;
use super::functions::urls::Url;
use super::{EvalError, Fuel};
use crate::facts::shell::Shell;
use crate::ir::Const;
use crate::json::{self, Json};
use crate::same::same_text;

/// A CEL value. `'a` is the lifetime of the request and the policy.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A double.
    Double(f64),
    /// A string of the request or the policy.
    Str(&'a str),
    /// A string that the expression made.
    OwnedStr(Rc<str>),
    /// Bytes of the policy.
    Bytes(&'a [u8]),
    /// Bytes that the expression made.
    OwnedBytes(Rc<[u8]>),
    /// A duration in nanoseconds, as Go's.
    Duration(i64),
    /// A point in time, years 1 to 9999.
    Timestamp(Timestamp),
    /// A type, by name.
    Type(&'a str),
    /// A list.
    List(List<'a>),
    /// A map.
    Map(Map<'a>),
    /// An optional; `None` is `optional.none()`.
    Optional(Option<Rc<Value<'a>>>),
    /// A Kubernetes quantity.
    Quantity(Rc<Quantity>),
    /// An IP address.
    Ip(IpAddr),
    /// A network.
    Cidr(Cidr),
    /// A URL.
    Url(Rc<Url>),
    /// A semantic version.
    Semver(Rc<Semver>),
    /// A named format of strings.
    NamedFormat(NamedFormat),
    /// A question to the authorizer that is being built, or its answer.
    Authorization(Rc<Authorization>),
    /// A shell command line, for `onlyRuns`.
    Shell(&'a Shell),
    /// A value that exists but that no parser fully understood.
    Opaque,
}

/// A list, wherever its elements are.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// A list of the request.
    Json(&'a [Json<'a>]),
    /// A literal list.
    Const(&'a [Const]),
    /// Values of the request that are not contiguous (containers of a pod).
    Refs(Rc<[&'a Json<'a>]>),
    /// A list that the expression made.
    Owned(Rc<[Value<'a>]>),
}

/// A map, wherever its entries are.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// An object of the request.
    Json(&'a json::Map<'a>),
    /// A literal map.
    Const(&'a [(Const, Const)]),
    /// A map that the expression made; keys are unique.
    Owned(Rc<[(Value<'a>, Value<'a>)]>),
}

impl<'a> From<&'a Json<'a>> for Value<'a> {
    #[inline]
    fn from(json: &'a Json<'a>) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Int(value) => Value::Int(*value),
            Json::Double(value) => Value::Double(*value),
            Json::Str(text) => Value::Str(text),
            Json::List(items) => Value::List(List::Json(items)),
            Json::Map(map) => Value::Map(Map::Json(map)),
        }
    }
}

impl<'a> From<&'a Const> for Value<'a> {
    fn from(constant: &'a Const) -> Self {
        match constant {
            Const::Null => Value::Null,
            Const::Bool(value) => Value::Bool(*value),
            Const::Int(value) => Value::Int(*value),
            Const::Uint(value) => Value::Uint(*value),
            Const::Double(value) => Value::Double(*value),
            Const::Str(text) => Value::Str(text),
            Const::Bytes(bytes) => Value::Bytes(bytes),
            Const::List(items) => Value::List(List::Const(items)),
            Const::Map(entries) => Value::Map(Map::Const(entries)),
            Const::Type(name) => Value::Type(name),
        }
    }
}

impl<'a> Value<'a> {
    /// A string value.
    #[must_use]
    pub fn string(text: impl Into<Rc<str>>) -> Self {
        Value::OwnedStr(text.into())
    }

    /// A list value.
    #[must_use]
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Value::List(List::Owned(items.into()))
    }

    /// A list of values that are made one by one. An empty list takes no memory.
    pub(crate) fn list_of(items: impl Iterator<Item = Value<'a>>) -> Self {
        match items.size_hint() {
            (_, Some(0)) => Value::List(List::Json(&[])),
            _ => Value::List(List::Owned(items.collect())),
        }
    }

    /// A map of string keys that are known not to repeat. An empty map takes no memory.
    pub(crate) fn map_of(members: impl Iterator<Item = (&'a str, Value<'a>)>) -> Self {
        match members.size_hint() {
            (_, Some(0)) => Value::Map(Map::Const(&[])),
            _ => Value::Map(Map::Owned(members.map(|(key, value)| (Value::Str(key), value)).collect())),
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            Value::OwnedStr(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, if it is bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::OwnedBytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The name of the type, as `type(x)` gives it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::Str(_) | Value::OwnedStr(_) => "string",
            Value::Bytes(_) | Value::OwnedBytes(_) => "bytes",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Type(_) => "type",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Optional(_) => "optional_type",
            Value::Quantity(_) => "kubernetes.Quantity",
            Value::Ip(_) => "net.IP",
            Value::Cidr(_) => "net.CIDR",
            Value::Url(_) => "kubernetes.URL",
            Value::Semver(_) => "kubernetes.Semver",
            Value::NamedFormat(_) => "kubernetes.NamedFormat",
            Value::Authorization(of) => of.type_name(),
            Value::Shell(_) => "facts.Shell",
            Value::Opaque => "opaque",
        }
    }

    /// Whether the value, written out, has no more bytes than this, each part counting as at least one byte.
    /// Check this before copying it: one text can occur in it a million times, and so can what holds that
    /// text.
    #[must_use]
    pub fn fits(&self, bytes: usize) -> bool {
        self.fits_in(&mut { bytes })
    }

    fn fits_in(&self, left: &mut usize) -> bool {
        let own = 1 + self.as_str().map_or(0, str::len);
        let Some(rest) = left.checked_sub(own) else { return false };
        *left = rest;
        match self {
            Value::List(list) => list.iter().all(|item| item.fits_in(left)),
            Value::Map(map) => map.iter().all(|(key, value)| key.fits_in(left) && value.fits_in(left)),
            _ => true,
        }
    }

    /// The value as JSON, owning everything. Durations and timestamps become strings, as in protobuf's JSON
    /// mapping.
    ///
    /// # Errors
    /// A value that has no JSON form: a map with a key that is not a string, a type, an optional, a double
    /// that is not finite, an unsigned integer beyond `i64`.
    pub fn to_json(&self) -> Result<Json<'static>, EvalError> {
        let no_form =
            || EvalError::invalid(format!("a value of type `{}` has no JSON form", self.type_name()));
        Ok(match self {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => Json::Int(*value),
            Value::Uint(value) => Json::Int(i64::try_from(*value).map_err(|_| no_form())?),
            Value::Double(value) if value.is_finite() => Json::Double(*value),
            Value::Str(_) | Value::OwnedStr(_) => {
                Json::Str(Cow::Owned(self.as_str().unwrap_or_default().to_owned()))
            }
            Value::List(list) => {
                Json::List(list.iter().map(|item| item.to_json()).collect::<Result<Vec<_>, _>>()?)
            }
            Value::Map(map) => {
                let mut members = Vec::with_capacity(map.len());
                for (key, value) in map.iter() {
                    let key = key.as_str().ok_or_else(no_form)?.to_owned();
                    members.push((Cow::Owned(key), value.to_json()?));
                }
                Json::Map(members.into_iter().collect())
            }
            Value::Duration(_) | Value::Timestamp(_) | Value::Quantity(_) | Value::Ip(_) | Value::Cidr(_) => {
                Json::Str(Cow::Owned(super::functions::convert::display(self).ok_or_else(no_form)?))
            }
            Value::Opaque => return Err(EvalError::Opaque),
            _ => return Err(no_form()),
        })
    }
}

impl<'a> List<'a> {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            List::Json(items) => items.len(),
            List::Const(items) => items.len(),
            List::Refs(items) => items.len(),
            List::Owned(items) => items.len(),
        }
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at a position.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(items) => items.get(index).map(Value::from),
            List::Const(items) => items.get(index).map(Value::from),
            List::Refs(items) => items.get(index).map(|item| Value::from(*item)),
            List::Owned(items) => items.get(index).cloned(),
        }
    }

    /// All elements.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Value<'a>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Map::Json(map) => map.len(),
            Map::Const(entries) => entries.len(),
            Map::Owned(entries) => entries.len(),
        }
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at a position.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<(Value<'a>, Value<'a>)> {
        match self {
            Map::Json(map) => map.at(index).map(|(key, value)| (Value::Str(key), value.into())),
            Map::Const(entries) => entries.get(index).map(|(key, value)| (key.into(), value.into())),
            Map::Owned(entries) => entries.get(index).cloned(),
        }
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> {
        (0..self.len()).filter_map(|index| self.at(index))
    }

    /// The value under a string key.
    #[must_use]
    pub fn get_str(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Map::Json(map) => map.get(key).map(Value::from),
            Map::Const(entries) => entries
                .iter()
                .find(|(name, _)| matches!(name, Const::Str(name) if name == key))
                .map(|(_, value)| value.into()),
            Map::Owned(entries) => {
                entries.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value.clone())
            }
        }
    }

    /// The value under a key; numbers match across types (`1.0` finds `1`).
    #[must_use]
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        if let Some(key) = key.as_str() {
            return self.get_str(key);
        }
        match self {
            Map::Json(_) => None,
            Map::Const(entries) => {
                entries.iter().find(|(name, _)| scalar_eq(&name.into(), key)).map(|(_, value)| value.into())
            }
            Map::Owned(entries) => {
                entries.iter().find(|(name, _)| scalar_eq(name, key)).map(|(_, value)| value.clone())
            }
        }
    }

    /// The cost of a lookup: of the entries walked (objects are indexed, constructed maps are not), and of a
    /// long key, which may begin like those that it is compared with.
    pub(super) fn lookup_cost(&self, key: Option<&str>) -> u64 {
        let (walked, compared) = match self {
            Map::Json(_) => (0, self.len().min(COMPARED_IN_OBJECT)),
            Map::Const(_) | Map::Owned(_) => (self.len() / 8, self.len()),
        };
        walked as u64 + comparing(key, compared)
    }
}

/// Most keys of an object that a lookup compares: small ones are walked, and in an index are fewer on the way.
const COMPARED_IN_OBJECT: usize = 32;
/// Longest key that is compared as quickly as an entry is walked, bytes.
pub(super) const SHORT_KEY: usize = 64;

/// The cost of comparing a key with so many others of its length.
pub(super) fn comparing(key: Option<&str>, others: usize) -> u64 {
    let beyond = key.map_or(0, str::len).saturating_sub(SHORT_KEY);
    Fuel::of_bytes(beyond).saturating_mul(others as u64)
}

/// Whether a value may be a key: CEL allows booleans, integers and strings.
pub(super) const fn is_key(value: &Value<'_>) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Str(_) | Value::OwnedStr(_))
}

/// Equality of scalars that need no fuel, such as keys.
pub(super) fn scalar_eq(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left == right,
        _ => match (left.as_str(), right.as_str()) {
            (Some(left), Some(right)) => same_text(left, right),
            (None, None) => super::aggregate::compare_numbers(left, right) == Some(std::cmp::Ordering::Equal),
            _ => false,
        },
    }
}
