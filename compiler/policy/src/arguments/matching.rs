//! Matching arguments against a schema. Recursion goes as deep as the schema, never as deep as the arguments.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use thiserror::Error;

use super::{ArgumentsSchema, Number, Type};
use crate::canonical;
use crate::ir::Const;
use crate::json::{Json, Map};

/// How many characters of a property's name a message repeats: unmatched names come from the caller.
const SHOWN_NAME: usize = 64;

/// Why arguments do not match.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("`{at}` {why}")]
pub struct Mismatch {
    /// The path of the value, such as `args.files[2]`.
    pub at: String,
    /// What is wrong with it. Values of the caller are not repeated.
    pub why: Why,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Why {
    /// Its type is not one that the schema allows.
    #[error("must be {}, not {found}", list(.expected))]
    Type {
        /// The types that it may have.
        expected: Vec<Type>,
        /// Its actual type, as JSON Schema names it.
        found: &'static str,
    },
    /// Not one of the listed values.
    #[error("is none of the values that it may have")]
    Value,
    /// A property that no schema names.
    #[error("is not a property that this tool knows")]
    Unknown,
    /// A required property is absent.
    #[error("is required")]
    Missing,
    /// Below the minimum.
    #[error("is less than {}", show(.0))]
    Minimum(Number),
    /// Above the maximum.
    #[error("is more than {}", show(.0))]
    Maximum(Number),
    /// Too few code points.
    #[error("has {found} characters, fewer than {bound}")]
    TooShort {
        /// The minimum.
        bound: u64,
        /// The actual number.
        found: u64,
    },
    /// Too many code points.
    #[error("has {found} characters, more than {bound}")]
    TooLong {
        /// The maximum.
        bound: u64,
        /// The actual number.
        found: u64,
    },
    /// The pattern does not match.
    #[error("does not match the pattern `{0}`")]
    Pattern(String),
    /// Too few elements.
    #[error("has {found} elements, fewer than {bound}")]
    TooFew {
        /// The minimum.
        bound: u64,
        /// The actual number.
        found: u64,
    },
    /// Too many elements.
    #[error("has {found} elements, more than {bound}")]
    TooMany {
        /// The maximum.
        bound: u64,
        /// The actual number.
        found: u64,
    },
    /// An element occurs twice.
    #[error("repeats an earlier element")]
    Repeated,
}

fn list(types: &[Type]) -> String {
    types.iter().map(|of| of.name()).collect::<Vec<_>>().join(" or ")
}

fn show(number: &Number) -> String {
    match number {
        Number::Int(number) => number.to_string(),
        Number::Double(number) => number.to_string(),
    }
}

/// Returns whether the arguments of a call match the schema of the tool.
///
/// # Errors
/// The first value that does not match, in the order of the arguments; missing required properties come
/// before present ones.
pub fn matches(schema: &ArgumentsSchema, args: &Json<'_>) -> Result<(), Mismatch> {
    value(schema, args).map_err(|fault| {
        let mut at = String::from("args");
        fault.steps.iter().rev().for_each(|step| at.push_str(step));
        Mismatch { at, why: fault.why }
    })
}

/// A mismatch while it is passed outwards: the innermost step first.
struct Fault {
    steps: Vec<String>,
    why: Why,
}

impl From<Why> for Fault {
    fn from(why: Why) -> Self {
        Self { steps: Vec::new(), why }
    }
}

impl Fault {
    fn within(mut self, step: String) -> Self {
        self.steps.push(step);
        self
    }
}

fn member(name: &str) -> String {
    let plain = !name.is_empty()
        && name.len() <= SHOWN_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if plain {
        return format!(".{name}");
    }
    let shown: String = name.chars().take(SHOWN_NAME).collect();
    format!("[{shown:?}]")
}

fn value(schema: &ArgumentsSchema, json: &Json<'_>) -> Result<(), Fault> {
    if !schema.types.is_empty() && !schema.types.iter().any(|of| has_type(*of, json)) {
        return Err(Why::Type { expected: schema.types.clone(), found: type_of(json).name() }.into());
    }
    if let Some(values) = &schema.values
        && !values.iter().any(|one| equals(one, json))
    {
        return Err(Why::Value.into());
    }
    match json {
        Json::Int(_) | Json::Double(_) => number(schema, json),
        Json::Str(text) => string(schema, text),
        Json::List(elements) => array(schema, elements),
        Json::Map(map) => object(schema, map),
        Json::Null | Json::Bool(_) => Ok(()),
    }
}

fn has_type(of: Type, json: &Json<'_>) -> bool {
    of == type_of(json) || of == Type::Number && matches!(json, Json::Int(_))
}

const fn type_of(json: &Json<'_>) -> Type {
    match json {
        Json::Null => Type::Null,
        Json::Bool(_) => Type::Boolean,
        Json::Int(_) => Type::Integer,
        Json::Double(_) => Type::Number,
        Json::Str(_) => Type::String,
        Json::List(_) => Type::Array,
        Json::Map(_) => Type::Object,
    }
}

fn number(schema: &ArgumentsSchema, json: &Json<'_>) -> Result<(), Fault> {
    // A value that does not compare (not a number) is outside every bound.
    if let Some(bound) = schema.minimum
        && !matches!(compare(json, bound), Some(Ordering::Greater | Ordering::Equal))
    {
        return Err(Why::Minimum(bound).into());
    }
    if let Some(bound) = schema.maximum
        && !matches!(compare(json, bound), Some(Ordering::Less | Ordering::Equal))
    {
        return Err(Why::Maximum(bound).into());
    }
    Ok(())
}

/// Compares a number with a bound by their mathematical values.
fn compare(json: &Json<'_>, bound: Number) -> Option<Ordering> {
    match (json, bound) {
        (Json::Int(left), Number::Int(right)) => Some(left.cmp(&right)),
        (Json::Int(left), Number::Double(right)) => int_with_double(*left, right),
        (Json::Double(left), Number::Int(right)) => int_with_double(right, *left).map(Ordering::reverse),
        (Json::Double(left), Number::Double(right)) => left.partial_cmp(&right),
        _ => None,
    }
}

/// Exact, where a cast of the integer would round it.
pub(super) fn int_with_double(int: i64, double: f64) -> Option<Ordering> {
    /// 2^63, the first double beyond every `i64`.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= BEYOND {
        return Some(Ordering::Less);
    }
    if double < -BEYOND {
        return Some(Ordering::Greater);
    }
    #[expect(clippy::cast_possible_truncation, reason = "its whole part is within i64 by the tests above")]
    let whole = double.trunc() as i64;
    let fraction = double.fract();
    Some(int.cmp(&whole).then(if fraction > 0.0 {
        Ordering::Less
    } else if fraction < 0.0 {
        Ordering::Greater
    } else {
        Ordering::Equal
    }))
}

fn string(schema: &ArgumentsSchema, text: &str) -> Result<(), Fault> {
    if schema.min_length.is_some() || schema.max_length.is_some() {
        let found = text.chars().count() as u64;
        if let Some(bound) = schema.min_length.filter(|bound| found < *bound) {
            return Err(Why::TooShort { bound, found }.into());
        }
        if let Some(bound) = schema.max_length.filter(|bound| found > *bound) {
            return Err(Why::TooLong { bound, found }.into());
        }
    }
    match &schema.pattern {
        Some(pattern) if !pattern.is_match(text) => Err(Why::Pattern(pattern.source().to_owned()).into()),
        _ => Ok(()),
    }
}

fn array(schema: &ArgumentsSchema, elements: &[Json<'_>]) -> Result<(), Fault> {
    let found = elements.len() as u64;
    if let Some(bound) = schema.min_items.filter(|bound| found < *bound) {
        return Err(Why::TooFew { bound, found }.into());
    }
    if let Some(bound) = schema.max_items.filter(|bound| found > *bound) {
        return Err(Why::TooMany { bound, found }.into());
    }
    if let Some(items) = &schema.items {
        for (position, element) in elements.iter().enumerate() {
            value(items, element).map_err(|fault| fault.within(format!("[{position}]")))?;
        }
    }
    if schema.unique_items {
        // Equal values have one canonical text, including `1` and `1.0`.
        let mut seen = BTreeSet::new();
        for (position, element) in elements.iter().enumerate() {
            let text = canonical::to_vec(element).ok();
            if text.is_none_or(|text| !seen.insert(text)) {
                return Err(Fault::from(Why::Repeated).within(format!("[{position}]")));
            }
        }
    }
    Ok(())
}

fn object(schema: &ArgumentsSchema, map: &Map<'_>) -> Result<(), Fault> {
    if let Some(missing) = schema.required.iter().find(|name| map.get(name).is_none()) {
        return Err(Fault::from(Why::Missing).within(member(missing)));
    }
    if !schema.describes_objects() {
        return Ok(());
    }
    for (name, json) in map.iter() {
        let Some(of) = schema.properties.get(name).or(schema.additional.as_deref()) else {
            return Err(Fault::from(Why::Unknown).within(member(name)));
        };
        value(of, json).map_err(|fault| fault.within(member(name)))?;
    }
    Ok(())
}

impl Number {
    /// Whether this bound is above another one.
    pub(super) fn is_above(self, other: Self) -> bool {
        let json = match self {
            Number::Int(number) => Json::Int(number),
            Number::Double(number) => Json::Double(number),
        };
        compare(&json, other) == Some(Ordering::Greater)
    }
}

impl ArgumentsSchema {
    /// Whether this schema says anything about objects. A schema without `type`, or with listed values, does
    /// not.
    fn describes_objects(&self) -> bool {
        self.types.contains(&Type::Object) && self.values.is_none() || !self.properties.is_empty()
    }
}

/// Equality of JSON Schema: by value, numbers mathematically, objects whatever their order.
fn equals(constant: &Const, json: &Json<'_>) -> bool {
    match (constant, json) {
        (Const::Null, Json::Null) => true,
        (Const::Bool(left), Json::Bool(right)) => left == right,
        (Const::Int(left), Json::Int(right)) => left == right,
        (Const::Int(left), Json::Double(right)) => int_with_double(*left, *right) == Some(Ordering::Equal),
        (Const::Double(left), Json::Int(right)) => int_with_double(*right, *left) == Some(Ordering::Equal),
        #[expect(clippy::float_cmp, reason = "the values that are allowed are those that were written")]
        (Const::Double(left), Json::Double(right)) => left == right,
        (Const::Str(left), Json::Str(right)) => left == right,
        (Const::List(left), Json::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equals(left, right))
        }
        (Const::Map(left), Json::Map(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| match name {
                    Const::Str(name) => right.get(name).is_some_and(|right| equals(left, right)),
                    _ => false,
                })
        }
        _ => false,
    }
}
