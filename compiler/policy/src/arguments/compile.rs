//! From the JSON Schema that an author wrote to [`ArgumentsSchema`]. Every problem is reported, not only the
//! first.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    ArgumentsSchema, MAX_DEPTH, MAX_ENUM, MAX_NAME, MAX_PATTERNS, MAX_SCHEMAS, Number, Pattern, Type,
};
use crate::cel::PatternError;
use crate::ir::Const;

/// How deep a value of `enum` or `const` may nest.
const MAX_CONST_DEPTH: usize = 16;

/// A schema that cannot be compiled: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct SchemaError {
    /// The members and indices from the root of the schema to the keyword, such as `["properties", "code",
    /// "pattern"]`.
    pub place: Vec<String>,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// A keyword outside the subset.
    #[error(
        "the keyword `{0}` is not enforced, so it may not stand here; known are type, properties, required, additionalProperties, items, enum, const, minimum, maximum, minLength, maxLength, pattern, minItems, maxItems, uniqueItems, description, title, default"
    )]
    UnknownKeyword(String),
    /// The value of a keyword is invalid.
    #[error("must be {expected}")]
    Expected {
        /// What it must be.
        expected: &'static str,
    },
    /// The root does not describe an object.
    #[error("the arguments of a tool are an object: `type: object` is required here")]
    RootNotObject,
    /// A keyword for a type that the schema does not name.
    #[error("`{keyword}` has no effect unless `type` contains `{type_name}`")]
    WrongType {
        /// The keyword.
        keyword: &'static str,
        /// The type that it is for.
        type_name: &'static str,
    },
    /// `additionalProperties: true`.
    #[error(
        "`additionalProperties: true` lets through what no rule can read; give the schema of their values, or false"
    )]
    OpenObject,
    /// A required property that cannot be present.
    #[error("the required property `{0}` is not among `properties`")]
    UndeclaredRequired(String),
    /// A list of values that is empty or has a duplicate.
    #[error("must hold at least one value and none twice")]
    NotASet,
    /// Bounds that no value can meet.
    #[error("no value meets both bounds: the minimum is above the maximum")]
    EmptyRange,
    /// A number that the language does not have.
    #[error("the number `{0}` is beyond 64 bits with sign")]
    LargeNumber(String),
    /// A pattern that does not compile.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// A bound is exceeded.
    #[error("more than {bound} {what}")]
    TooMuch {
        /// The bound.
        bound: usize,
        /// Of what.
        what: &'static str,
    },
}

impl ArgumentsSchema {
    /// Compiles a JSON Schema.
    ///
    /// # Errors
    /// All problems of the schema, in the order of its text.
    pub fn compile(schema: &Value) -> Result<Self, Vec<SchemaError>> {
        let mut compiler = Compiler::default();
        let compiled = compiler.schema(schema, 1);
        if compiled.types != [Type::Object] {
            compiler.report(Problem::RootNotObject);
        }
        compiler.errors.dedup();
        if compiler.errors.is_empty() { Ok(compiled) } else { Err(compiler.errors) }
    }
}

const fn within(found: usize, bound: usize, what: &'static str) -> Result<(), Problem> {
    if found > bound { Err(Problem::TooMuch { bound, what }) } else { Ok(()) }
}

#[derive(Default)]
struct Compiler {
    /// Where the walk is.
    place: Vec<String>,
    errors: Vec<SchemaError>,
    schemas: usize,
    patterns: usize,
}

impl Compiler {
    fn report(&mut self, problem: Problem) {
        // One message of each kind is enough to find the cause; a hostile schema could cause millions.
        if self.errors.len() < MAX_SCHEMAS {
            self.errors.push(SchemaError { place: self.place.clone(), problem });
        }
    }

    fn expect(&mut self, expected: &'static str) {
        self.report(Problem::Expected { expected });
    }

    fn expected<T>(&mut self, expected: &'static str) -> Option<T> {
        self.expect(expected);
        None
    }

    fn at<T>(&mut self, step: impl Into<String>, visit: impl FnOnce(&mut Self) -> T) -> T {
        self.place.push(step.into());
        let result = visit(self);
        self.place.pop();
        result
    }

    /// Compiles one schema. A faulty part is reported and left out: the result counts only when nothing was
    /// reported.
    fn schema(&mut self, schema: &Value, depth: usize) -> ArgumentsSchema {
        let mut compiled = ArgumentsSchema::default();
        self.schemas += 1;
        let bounded = within(depth, MAX_DEPTH, "levels of nesting")
            .and_then(|()| within(self.schemas, MAX_SCHEMAS, "schemas in one document"));
        if let Err(problem) = bounded {
            self.report(problem);
            return compiled;
        }
        let Some(keywords) = schema.as_object() else {
            self.expect("a schema, which is an object");
            return compiled;
        };
        if let Some(types) = keywords.get("type") {
            compiled.types = self.at("type", |this| this.types(types)).unwrap_or_default();
        }
        for (keyword, given) in keywords {
            self.at(keyword, |this| this.keyword(&mut compiled, keyword, given, depth));
        }
        self.check(&compiled, keywords);
        compiled
    }

    fn keyword(&mut self, into: &mut ArgumentsSchema, keyword: &str, given: &Value, depth: usize) {
        match keyword {
            // `type` was read before the others; the rest does not affect validity.
            "type" | "description" | "title" | "default" => {}
            "properties" => into.properties = self.properties(given, depth),
            "required" => into.required = self.required(given).unwrap_or_default(),
            "additionalProperties" => into.additional = self.additional(given, depth),
            "items" => into.items = Some(Box::new(self.schema(given, depth + 1))),
            "enum" | "const" => self.values(into, keyword, given),
            "minimum" => into.minimum = self.number(given),
            "maximum" => into.maximum = self.number(given),
            "minLength" => into.min_length = self.size(given),
            "maxLength" => into.max_length = self.size(given),
            "minItems" => into.min_items = self.size(given),
            "maxItems" => into.max_items = self.size(given),
            "uniqueItems" => match given.as_bool() {
                Some(unique) => into.unique_items = unique,
                None => self.expect("true or false"),
            },
            "pattern" => into.pattern = self.pattern(given),
            unknown => self.report(Problem::UnknownKeyword(unknown.chars().take(MAX_NAME).collect())),
        }
    }

    fn types(&mut self, given: &Value) -> Option<Vec<Type>> {
        const EXPECTED: &str =
            "null, boolean, integer, number, string, array or object, or a list of these without repetition";
        let names: Vec<&Value> = match given {
            Value::Array(names) if !names.is_empty() => names.iter().collect(),
            Value::String(_) => vec![given],
            _ => return self.expected(EXPECTED),
        };
        const ALL: [Type; 7] =
            [Type::Null, Type::Boolean, Type::Integer, Type::Number, Type::String, Type::Array, Type::Object];
        let known = |name: &&Value| ALL.into_iter().find(|of| name.as_str() == Some(of.name()));
        let mut types: Vec<Type> = names.iter().filter_map(known).collect();
        types.sort_unstable();
        types.dedup();
        if types.len() == names.len() { Some(types) } else { self.expected(EXPECTED) }
    }

    fn properties(&mut self, given: &Value, depth: usize) -> BTreeMap<String, ArgumentsSchema> {
        let Some(properties) = given.as_object() else {
            return self.expected("a map from names to schemas").unwrap_or_default();
        };
        let mut compiled = BTreeMap::new();
        for (name, schema) in properties {
            let schema = self.at(name, |this| {
                if let Err(problem) = within(name.len(), MAX_NAME, "bytes of a property's name") {
                    this.report(problem);
                }
                this.schema(schema, depth + 1)
            });
            compiled.insert(name.clone(), schema);
        }
        compiled
    }

    fn required(&mut self, given: &Value) -> Option<Vec<String>> {
        const EXPECTED: &str = "a list of names without repetition";
        let Some(names) = given.as_array() else { return self.expected(EXPECTED) };
        let mut required: Vec<String> =
            names.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
        required.sort_unstable();
        required.dedup();
        if required.len() == names.len() { Some(required) } else { self.expected(EXPECTED) }
    }

    fn additional(&mut self, given: &Value, depth: usize) -> Option<Box<ArgumentsSchema>> {
        match given {
            Value::Bool(false) => None,
            Value::Bool(true) => {
                self.report(Problem::OpenObject);
                None
            }
            schema => Some(Box::new(self.schema(schema, depth + 1))),
        }
    }

    /// `enum` and `const`. Together both would have to hold; that is never intended, so the second is
    /// rejected.
    fn values(&mut self, into: &mut ArgumentsSchema, keyword: &str, given: &Value) {
        if into.values.is_some() {
            self.expect("absent: `enum` and `const` do not go together");
            return;
        }
        let given: Vec<&Value> = match given {
            only if keyword == "const" => vec![only],
            Value::Array(values) => values.iter().collect(),
            _ => {
                self.expect("a list of values");
                return;
            }
        };
        if let Err(problem) = within(given.len(), MAX_ENUM, "values") {
            return self.report(problem);
        }
        let values: Vec<Const> = given.iter().filter_map(|value| self.constant(value, 1)).collect();
        let repeated =
            values.iter().enumerate().any(|(at, value)| values.iter().take(at).any(|other| other == value));
        if given.is_empty() || repeated {
            self.report(Problem::NotASet);
        }
        into.values = Some(values);
    }

    fn constant(&mut self, value: &Value, depth: usize) -> Option<Const> {
        if let Err(problem) = within(depth, MAX_CONST_DEPTH, "levels of nesting in a value") {
            self.report(problem);
            return None;
        }
        Some(match value {
            Value::Null => Const::Null,
            Value::Bool(value) => Const::Bool(*value),
            Value::Number(_) => match self.number(value)? {
                Number::Int(number) => Const::Int(number),
                Number::Double(number) => Const::Double(number),
            },
            Value::String(text) => Const::Str(text.clone()),
            Value::Array(items) => {
                Const::List(items.iter().map(|item| self.constant(item, depth + 1)).collect::<Option<_>>()?)
            }
            Value::Object(members) => {
                let mut entries = members
                    .iter()
                    .map(|(name, member)| Some((name.clone(), self.constant(member, depth + 1)?)))
                    .collect::<Option<Vec<_>>>()?;
                entries.sort_by(|(left, _), (right, _)| left.cmp(right));
                Const::Map(entries.into_iter().map(|(name, member)| (Const::Str(name), member)).collect())
            }
        })
    }

    fn number(&mut self, given: &Value) -> Option<Number> {
        /// 2^63: from here on an integer of the text cannot be told from a double, and does not fit in an
        /// `i64`.
        const BEYOND: f64 = 9_223_372_036_854_775_808.0;
        let Some(number) = given.as_number() else { return self.expected("a number") };
        if let Some(int) = number.as_i64() {
            return Some(Number::Int(int));
        }
        match number.as_f64() {
            Some(double) if double.abs() < BEYOND => Some(Number::Double(double)),
            _ => {
                self.report(Problem::LargeNumber(number.to_string()));
                None
            }
        }
    }

    fn size(&mut self, given: &Value) -> Option<u64> {
        match given.as_u64() {
            Some(size) => Some(size),
            None => self.expected("an integer that is not negative"),
        }
    }

    fn pattern(&mut self, given: &Value) -> Option<Pattern> {
        let Some(source) = given.as_str() else { return self.expected("a regular expression") };
        self.patterns += 1;
        let compiled = within(self.patterns, MAX_PATTERNS, "patterns in one document")
            .and_then(|()| Ok(Pattern::try_from(source.to_owned())?));
        compiled.map_err(|problem| self.report(problem)).ok()
    }

    /// Checks of the schema as a whole: keywords without effect, properties that cannot be present, empty
    /// ranges.
    fn check(&mut self, schema: &ArgumentsSchema, keywords: &Map<String, Value>) {
        const FOR: &[(&str, &[Type])] = &[
            ("properties", &[Type::Object]),
            ("required", &[Type::Object]),
            ("additionalProperties", &[Type::Object]),
            ("items", &[Type::Array]),
            ("minItems", &[Type::Array]),
            ("maxItems", &[Type::Array]),
            ("uniqueItems", &[Type::Array]),
            ("minimum", &[Type::Number, Type::Integer]),
            ("maximum", &[Type::Number, Type::Integer]),
            ("minLength", &[Type::String]),
            ("maxLength", &[Type::String]),
            ("pattern", &[Type::String]),
        ];
        for (keyword, types) in FOR {
            let useless =
                keywords.contains_key(*keyword) && !types.iter().any(|of| schema.types.contains(of));
            if let (true, Some(of)) = (useless, types.first()) {
                let problem = Problem::WrongType { keyword, type_name: of.name() };
                self.at(*keyword, |this| this.report(problem));
            }
        }
        if schema.additional.is_none() {
            for name in schema.required.iter().filter(|name| !schema.properties.contains_key(*name)) {
                self.at("required", |this| this.report(Problem::UndeclaredRequired(name.clone())));
            }
        }
        let above = |least: Option<u64>, most: Option<u64>| matches!((least, most), (Some(least), Some(most)) if least > most);
        let ranges = [
            ("maxItems", above(schema.min_items, schema.max_items)),
            ("maxLength", above(schema.min_length, schema.max_length)),
            (
                "maximum",
                matches!((schema.minimum, schema.maximum), (Some(least), Some(most)) if least.is_above(most)),
            ),
        ];
        for (keyword, _) in ranges.into_iter().filter(|(_, empty)| *empty) {
            self.at(keyword, |this| this.report(Problem::EmptyRange));
        }
    }
}
