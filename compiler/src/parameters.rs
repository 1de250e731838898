//! Parameters of a pack: declarations, the values chosen for them, and `"${name}"` in the text.
//!
//! A parameter replaces a whole value, with its type; it is never spliced into a string, so no value can
//! change what a pack says beyond what its author left open. The author sets the domain; a choice outside it
//! is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_crds::pack::Parameter;
use bailiwick_policy::cel::{Quantity, compile_pattern, parse_duration};
use serde_json::Value as Json;

use crate::check::{
    bw0202_unknown_parameter, bw0203_parameter_domain, bw0204_bad_parameter, bw0205_not_bindable,
    bw0206_unset_parameter,
};
use crate::diagnostic::{Diagnostic, FieldPath};
use crate::nearest::nearest;
use crate::yaml::{Node, Value};

/// Values by parameter name.
pub type Values = BTreeMap<String, Json>;

/// Values chosen for a compilation, by parameter name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings {
    /// The values.
    pub values: Values,
}

/// The name in `${name}`, if that is the whole text.
#[must_use]
pub fn parameter_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())).then_some(name)
}

/// Types of parameters.
#[derive(Clone, Debug, PartialEq)]
enum Type {
    String,
    Quantity,
    Duration,
    Int,
    Bool,
    Enum(Vec<String>),
    List(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "string" => Self::String,
            "quantity" => Self::Quantity,
            "duration" => Self::Duration,
            "int" => Self::Int,
            "bool" => Self::Bool,
            "list(string)" => Self::List(Box::new(Self::String)),
            "list(int)" => Self::List(Box::new(Self::Int)),
            other => {
                let words = other.strip_prefix("enum(")?.strip_suffix(')')?;
                Self::Enum(words.split(',').map(|word| word.trim().to_owned()).collect())
            }
        })
    }

    /// The type of an element, or of the value itself.
    fn element(&self) -> &Self {
        match self {
            Self::List(element) => element,
            other => other,
        }
    }

    const fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    const fn is_ordered(&self) -> bool {
        matches!(self, Self::Quantity | Self::Duration | Self::Int)
    }

    const fn is_text(&self) -> bool {
        matches!(self, Self::String | Self::Enum(_))
    }
}

/// The value that the pack sees, or an error if it does not have this type. A quantity written as a number
/// becomes its text.
fn typed(value: &Json, kind: &Type, written: &str) -> Result<Json, String> {
    let wrong = || Err(format!("`{value}` is not of type `{written}`"));
    match (kind, value) {
        (Type::String, Json::String(_)) | (Type::Bool, Json::Bool(_)) => Ok(value.clone()),
        (Type::Int, Json::Number(number)) if number.is_i64() => Ok(value.clone()),
        (Type::Quantity, Json::Number(number)) if number.is_i64() => Ok(Json::String(number.to_string())),
        (Type::Quantity, Json::String(text)) if Quantity::parse(text).is_some() => Ok(value.clone()),
        (Type::Duration, Json::String(text)) if parse_duration(text).is_ok() => Ok(value.clone()),
        (Type::Enum(words), Json::String(text)) if words.contains(text) => Ok(value.clone()),
        (Type::List(element), Json::Array(items)) => {
            items.iter().map(|item| typed(item, element, written)).collect::<Result<_, _>>().map(Json::Array)
        }
        _ => wrong(),
    }
}

/// Compares two values of an ordered type.
fn compare(left: &Json, right: &Json, kind: &Type) -> Option<std::cmp::Ordering> {
    match kind {
        Type::Int => Some(left.as_i64()?.cmp(&right.as_i64()?)),
        Type::Duration => {
            Some(parse_duration(left.as_str()?).ok()?.cmp(&parse_duration(right.as_str()?).ok()?))
        }
        Type::Quantity => Some(Quantity::parse(left.as_str()?)?.compare(&Quantity::parse(right.as_str()?)?)),
        _ => None,
    }
}

/// Whether the domain contains the value, whose type is already right; if not, why.
fn in_domain(value: &Json, parameter: &Parameter, kind: &Type) -> Result<(), String> {
    let elements: Vec<&Json> = value.as_array().map_or_else(|| vec![value], |items| items.iter().collect());
    for (allowed, name) in [(&parameter.enum_, "enum"), (&parameter.subset_of, "subsetOf")] {
        let Some(allowed) = allowed else { continue };
        // Quantities compare as numbers: `1Gi` is `1024Mi`.
        let same = |left: &Json, right: &Json| {
            left == right || compare(left, right, kind.element()) == Some(std::cmp::Ordering::Equal)
        };
        if let Some(outside) =
            elements.iter().find(|element| !allowed.iter().any(|known| same(known, element)))
        {
            let known: Vec<_> = allowed.iter().map(|value| format!("`{}`", plain(value))).collect();
            return Err(format!("`{}` is not in `{name}`: {}", plain(outside), known.join(", ")));
        }
    }
    if let Some(pattern) = &parameter.pattern {
        let regex = compile_pattern(&format!("^(?:{pattern})$")).map_err(|error| error.to_string())?;
        let outside =
            elements.iter().find(|element| !element.as_str().is_some_and(|text| regex.is_match(text)));
        if let Some(outside) = outside {
            return Err(format!("`{}` does not match `{pattern}`", plain(outside)));
        }
    }
    let bounds = [
        (&parameter.minimum, "minimum", std::cmp::Ordering::Less),
        (&parameter.maximum, "maximum", std::cmp::Ordering::Greater),
    ];
    for (bound, name, outside) in bounds {
        let Some(bound) = bound else { continue };
        if compare(value, &normal(bound, kind), kind).is_none_or(|order| order == outside) {
            return Err(format!("`{}` is beyond the {name} `{}`", plain(value), plain(bound)));
        }
    }
    if let Some(most) = parameter.max_items
        && i64::try_from(elements.len()).unwrap_or(i64::MAX) > most
    {
        return Err(format!("{} elements are more than `maxItems`, {most}", elements.len()));
    }
    Ok(())
}

/// A bound as a value of its type, if it is one.
fn normal(bound: &Json, kind: &Type) -> Json {
    typed(bound, kind, "").unwrap_or_else(|_| bound.clone())
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The values of a pack's parameters: defaults, replaced by `chosen` where that is permitted. `place` gives
/// the field that contains a choice (in the document that the diagnostics refer to).
///
/// Errors are pushed to `diagnostics`; a faulty parameter has no value.
pub fn values(
    parameters: &[Parameter],
    chosen: &Values,
    place: &dyn Fn(&str) -> Choice,
    diagnostics: &mut Vec<Diagnostic>,
) -> Values {
    let mut values = Values::new();
    let names: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    for name in chosen.keys().filter(|name| !names.contains(&name.as_str())) {
        let found =
            place(name).report(bw0202_unknown_parameter::CODE, format!("the pack has no parameter `{name}`"));
        let help = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        diagnostics.push(found.with_any_help(help));
    }
    for (index, parameter) in parameters.iter().enumerate() {
        let at = FieldPath::spec().member("parameters").index(index);
        let before = diagnostics.len();
        let Some(kind) = declared(parameter, &at, diagnostics) else { continue };
        let Some(value) = chosen.get(&parameter.name) else {
            match &parameter.default {
                Some(default) if diagnostics.len() == before => {
                    values.insert(parameter.name.clone(), normal(default, &kind));
                }
                Some(_) => {}
                None => diagnostics.push(
                    Diagnostic::new(
                        bw0206_unset_parameter::CODE,
                        at,
                        format!("parameter `{}` has no default and no value was chosen", parameter.name),
                    )
                    .with_help("give it a default, or choose a value"),
                ),
            }
            continue;
        };
        let choice = place(&parameter.name);
        if !parameter.bindable {
            diagnostics.push(
                choice
                    .report(
                        bw0205_not_bindable::CODE,
                        format!("parameter `{}` is not bindable", parameter.name),
                    )
                    .with_help("only the author of the pack can open it, with `bindable: true`"),
            );
            continue;
        }
        let checked = typed(value, &kind, parameter.type_.as_str())
            .and_then(|value| in_domain(&value, parameter, &kind).map(|()| value));
        match checked {
            Ok(value) => {
                values.insert(parameter.name.clone(), value);
            }
            Err(why) => diagnostics.push(
                choice
                    .report(bw0203_parameter_domain::CODE, format!("parameter `{}`: {why}", parameter.name)),
            ),
        }
    }
    values
}

/// Where a choice is written.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The pack in which it is written, if that is not the one under compilation.
    pub pack: Option<String>,
    /// The field.
    pub at: FieldPath,
}

impl Choice {
    fn report(self, code: crate::diagnostic::Code, message: String) -> Diagnostic {
        Diagnostic::new(code, self.at, message).in_pack(self.pack)
    }
}

/// The type of a parameter whose declaration is valid.
fn declared(parameter: &Parameter, at: &FieldPath, diagnostics: &mut Vec<Diagnostic>) -> Option<Type> {
    let kind = Type::parse(parameter.type_.as_str())?;
    let before = diagnostics.len();
    let mut wrong = |member: &str, message: String| {
        diagnostics.push(Diagnostic::new(bw0204_bad_parameter::CODE, at.member(member), message));
    };
    let written = parameter.type_.as_str();
    let fits = [
        ("enum", parameter.enum_.is_some(), !matches!(kind, Type::Bool)),
        ("pattern", parameter.pattern.is_some(), kind.element().is_text()),
        ("subsetOf", parameter.subset_of.is_some(), kind.is_list()),
        ("maxItems", parameter.max_items.is_some(), kind.is_list()),
        ("minimum", parameter.minimum.is_some(), kind.is_ordered()),
        ("maximum", parameter.maximum.is_some(), kind.is_ordered()),
    ];
    for (member, _, _) in fits.iter().filter(|(_, there, fits)| *there && !fits) {
        wrong(member, format!("`{member}` does not fit type `{written}`"));
    }
    for (member, allowed) in [("enum", &parameter.enum_), ("subsetOf", &parameter.subset_of)] {
        for value in allowed.iter().flatten() {
            if let Err(why) = typed(value, kind.element(), written) {
                wrong(member, why);
            }
        }
    }
    for (member, bound) in [("minimum", &parameter.minimum), ("maximum", &parameter.maximum)] {
        if let Some(Err(why)) = bound.as_ref().map(|bound| typed(bound, &kind, written)) {
            wrong(member, why);
        }
    }
    if let Some(pattern) = &parameter.pattern
        && let Err(error) = compile_pattern(pattern)
    {
        wrong("pattern", format!("`{pattern}` is not a regular expression: {error}"));
    }
    if let (Some(least), Some(most)) = (&parameter.minimum, &parameter.maximum)
        && compare(&normal(least, &kind), &normal(most, &kind), &kind) == Some(std::cmp::Ordering::Greater)
    {
        wrong("minimum", format!("the minimum `{}` is above the maximum `{}`", plain(least), plain(most)));
    }
    if diagnostics.len() > before {
        return None;
    }
    if let Some(default) = &parameter.default {
        let checked = typed(default, &kind, written).and_then(|value| in_domain(&value, parameter, &kind));
        if let Err(why) = checked {
            diagnostics.push(Diagnostic::new(
                bw0204_bad_parameter::CODE,
                at.member("default"),
                format!("the default is outside the domain: {why}"),
            ));
        }
    }
    Some(kind)
}

/// Substitutes values for `"${name}"` everywhere in `node`; a list parameter in a list is spliced in.
pub struct Substitution<'a> {
    /// The values.
    pub values: &'a Values,
    /// Names of all declared parameters; one without a value was already reported.
    pub declared: BTreeSet<&'a str>,
    /// The parameters that were substituted somewhere.
    pub used: BTreeSet<String>,
    /// The errors.
    pub diagnostics: Vec<Diagnostic>,
}

impl Substitution<'_> {
    /// Substitutes in `node`, which is at `at`.
    pub fn apply(&mut self, node: &mut Node, at: &FieldPath) {
        if let Some(value) = self.value_of(node, at) {
            *node = value;
            return;
        }
        match &mut node.value {
            Value::Map(entries) => {
                for entry in entries {
                    let here = at.member(entry.key.as_str());
                    self.apply(&mut entry.value, &here);
                }
            }
            Value::List(items) => {
                let mut all = Vec::with_capacity(items.len());
                for (index, mut item) in std::mem::take(items).into_iter().enumerate() {
                    self.apply(&mut item, &at.index(index));
                    let Node { value, span, parameter } = item;
                    match (value, parameter.is_some()) {
                        (Value::List(spliced), true) => all.extend(spliced),
                        (value, _) => all.push(Node { value, span, parameter }),
                    }
                }
                *items = all;
            }
            _ => {}
        }
    }

    fn value_of(&mut self, node: &Node, at: &FieldPath) -> Option<Node> {
        let name = node.as_str().and_then(parameter_name)?;
        let Some(value) = self.values.get(name) else {
            if !self.declared.contains(name) {
                let message = format!("the pack has no parameter `{name}`");
                let found = Diagnostic::new(bw0202_unknown_parameter::CODE, at.clone(), message);
                let help = nearest(name, self.declared.iter().copied())
                    .map(|near| format!("did you mean `${{{near}}}`?"));
                self.diagnostics.push(found.with_any_help(help));
            }
            self.used.insert(name.to_owned());
            return None;
        };
        self.used.insert(name.to_owned());
        Some(node_of(value, node, &Arc::from(name)))
    }
}

/// A value as a node at the position of `written`.
fn node_of(value: &Json, written: &Node, parameter: &Arc<str>) -> Node {
    let value = match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        Json::String(text) => Value::Str(text.clone()),
        Json::Array(items) => {
            Value::List(items.iter().map(|item| node_of(item, written, parameter)).collect())
        }
        // Values of parameters are never objects.
        Json::Object(_) => Value::Map(Vec::new()),
    };
    Node { value, span: written.span, parameter: Some(Arc::clone(parameter)) }
}
