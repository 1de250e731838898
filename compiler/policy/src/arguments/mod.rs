//! The schema of a tool's arguments: a closed subset of JSON Schema, compiled to plain data, and the match
//! against it.
//!
//! Not a general JSON Schema validator: compiling a pack rejects a keyword that is not enforced here, because
//! the author of `format: uri` believes that something is checked. No `$ref`, no combinators; every pattern
//! runs in linear time. <https://json-schema.org/draft/2020-12/json-schema-validation>
//!
//! It is deliberately stricter than JSON Schema: an unknown property is a mismatch unless
//! `additionalProperties` has a schema; a keyword for one type needs that type in `type`; an `integer` is
//! written as one (`1.0` is a double to CEL); integers beyond `i64` do not exist. Patterns are those of CEL's
//! `matches` (RE2), and match anywhere in the string as JSON Schema says.
//!
//! ```text
//! serde_json::Value ► ArgumentsSchema::compile ► bundle ► ArgumentsSchema ► matches(&schema, &Json) ► Ok | Mismatch
//! ```
//!
//! Terms. *Place*: the path of a schema in its document (`properties.code`). *At*: the path of a value in the
//! arguments (`args.files[2]`).

mod compile;
mod matching;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

pub use compile::{Problem, SchemaError};
pub use matching::{Mismatch, Why, matches};

use crate::cel::{PatternError, compile_pattern};
use crate::ir::Const;

/// How deep schemas may nest. Compiling, matching and dropping are recursive; real tools need a few levels.
pub const MAX_DEPTH: usize = 32;
/// The most schemas in one document, the root included. The largest published tools have about two hundred.
pub const MAX_SCHEMAS: usize = 1_024;
/// The most patterns in one document: each may hold an automaton of up to a megabyte.
pub const MAX_PATTERNS: usize = 64;
/// The most values of one `enum`: each is compared in turn.
pub const MAX_ENUM: usize = 1_024;
/// The longest name of a property, in bytes.
pub const MAX_NAME: usize = 256;

/// A compiled schema: the arguments of a tool, or a value within them. Total: what is absent constrains
/// nothing, except that unnamed properties are rejected where `additional` is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArgumentsSchema {
    /// The types that a value may have, sorted; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Type>,
    /// The values that it may have (`enum`, and `const` as one value); `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Const>>,
    /// The properties of an object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, ArgumentsSchema>,
    /// The properties that must be present, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// What every unnamed property must match; `None`: none are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional: Option<Box<ArgumentsSchema>>,
    /// What every element of an array must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<ArgumentsSchema>>,
    /// Fewest elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_items: Option<u64>,
    /// Most elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u64>,
    /// Whether all elements must differ.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique_items: bool,
    /// Smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Number>,
    /// Largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Number>,
    /// Fewest code points of a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// Most code points of a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// A pattern that must match somewhere in a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
}

/// The fuzzing entry point: a list of a schema and arguments for it, from any bytes.
pub fn fuzz(data: &[u8]) {
    let Ok(serde_json::Value::Array(pair)) = serde_json::from_slice(data) else { return };
    let [schema, args] = pair.as_slice() else { return };
    if let Ok(schema) = ArgumentsSchema::compile(schema) {
        let _ = matches(&schema, &crate::json::Json::from(args));
    }
}

/// The types of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Type {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number without fraction and exponent, within `i64`.
    Integer,
    /// Any number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Type {
    /// The name that JSON Schema gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::String => "string",
            Type::Array => "array",
            Type::Object => "object",
        }
    }
}

/// A bound on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A finite double.
    Double(f64),
}

/// A compiled pattern. It is stored as its text and compiled when a bundle is read, so a pattern that does
/// not compile is never used.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// The author's text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it matches somewhere in a text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(source: String) -> Result<Self, PatternError> {
        let regex = compile_pattern(&source)?;
        Ok(Self { source, regex })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.source
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}
