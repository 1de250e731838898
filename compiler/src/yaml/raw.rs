//! The values that serde-saphyr parses, in as little memory as possible, each document as soon as it is
//! complete.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, MergeKeyPolicy, Spanned};

use super::Limits;

/// Receives the documents of the parser.
pub(super) trait Taker<'t>: Default {
    fn take(&mut self, document: Placed<Raw<'t>>);
}

/// Passes on the documents of a text, without the empty ones. On an error, the documents before it have
/// already been passed on.
pub(super) fn parse<'t, T: Taker<'t>>(text: &'t str, limits: &Limits) -> Result<T, Error> {
    let taken =
        serde_saphyr::from_str_multiple_with_options::<Placed<Raw<'t>>, Each<T>>(text, options(limits));
    taken.map(|Each(taker)| taker)
}

/// A collection that keeps nothing: the parser extends it with each document once that document is complete.
#[derive(Default)]
struct Each<T>(T);

impl<'t, T: Taker<'t>> Extend<Placed<Raw<'t>>> for Each<T> {
    fn extend<I: IntoIterator<Item = Placed<Raw<'t>>>>(&mut self, documents: I) {
        documents.into_iter().for_each(|document| self.0.take(document));
    }
}

fn options(limits: &Limits) -> serde_saphyr::Options {
    let mut options = serde_saphyr::Options::default();
    options.legacy_octal_numbers = true;
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    // The reader merges: here, what stands before `<<` would count, unlike in kubectl.
    options.merge_keys = MergeKeyPolicy::AsOrdinary;
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    let mut budget = serde_saphyr::budget::Budget::default();
    budget.max_depth = limits.depth;
    budget.flow_nesting_limit = limits.depth;
    budget.max_nodes = limits.nodes;
    budget.max_events = limits.nodes.saturating_mul(3);
    budget.max_documents = limits.documents;
    budget.max_aliases = 1_000;
    budget.max_anchors = 1_000;
    budget.max_total_scalar_bytes = limits.bytes.saturating_mul(2);
    budget.max_recorded_anchor_events = 100_000;
    budget.max_recorded_anchor_bytes = limits.bytes.saturating_mul(2);
    options.budget = Some(budget);
    options.alias_limits.max_total_replayed_events = 100_000;
    options.alias_limits.max_alias_expansions_per_anchor = 1_000;
    options
}

/// A value as serde-saphyr parses it; strings without escapes are borrowed from the source.
pub(super) enum Raw<'t> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Cow<'t, str>),
    List(Vec<Placed<Raw<'t>>>),
    Map(Vec<(Placed<Key<'t>>, Placed<Raw<'t>>)>),
}

/// A key.
pub(super) struct Key<'t>(pub(super) Cow<'t, str>);

/// A value and its bytes. serde-saphyr's own [`Spanned`] holds two places with lines and columns, which would
/// make up most of a tree's size.
pub(super) struct Placed<T> {
    pub(super) value: T,
    /// First byte.
    pub(super) start: u32,
    /// Number of bytes.
    pub(super) len: u32,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, defined, .. } = Spanned::deserialize(deserializer)?;
        // Files are smaller than 4 GiB.
        let number = |bytes: Option<u64>| u32::try_from(bytes.unwrap_or(0)).unwrap_or(u32::MAX);
        let span = defined.span();
        Ok(Self { value, start: number(span.byte_offset()), len: number(span.byte_len()) })
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }

            fn visit_string<E>(self, key: String) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key)))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw<'de>, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw<'de>, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw<'de>, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw<'de>, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw<'de>, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw<'de>, E> {
        i64::try_from(value).map(Raw::Int).map_err(|_| E::custom(too_large(value)))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Raw<'de>, E> {
        i64::try_from(value).map(Raw::Int).map_err(|_| E::custom(too_large(value)))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Raw<'de>, E> {
        i64::try_from(value).map(Raw::Int).map_err(|_| E::custom(too_large(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw<'de>, E> {
        // kubectl sends JSON, and Go writes a float without a fraction as an integer.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        #[expect(clippy::cast_possible_truncation, reason = "integral and within 2^53")]
        Ok(if value.fract() == 0.0 && value.abs() <= EXACT {
            Raw::Int(value as i64)
        } else {
            Raw::Float(value)
        })
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Raw<'de>, E> {
        Ok(Raw::Str(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw<'de>, E> {
        Ok(Raw::Str(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw<'de>, E> {
        Ok(Raw::Str(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

fn too_large(value: impl fmt::Display) -> String {
    format!("integer `{value}` is beyond 64 bits with sign")
}
