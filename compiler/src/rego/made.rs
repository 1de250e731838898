//! Charges built-ins for what they make and traverse, before they do so. A step is one step whatever it does,
//! and in one step a built-in can make text, lists and sets of any length: forty lines that each append a
//! list to itself would make one of a million million elements. It can traverse as much: one text of a
//! megabyte may be searched for in each of ten thousand.
//!
//! A built-in that copies or writes is charged for the most that it can make of its arguments; one that only
//! reads is charged a fraction of what it reads. One evaluation may make [`MAX_MADE`] in all, whether or not
//! it keeps it. Operators, comparisons and what is looked up are charged in the same way
//! ([`super::operators`]); [`super::charges`] has what each costs. Not charged: statements and comprehensions, which take a step for each element.

use std::cell::Cell;

use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{Engine, Value};

use super::charges::{
    Charge, JSON_CHARACTER, along_paths, captured, characters, collected, elements, formatted, found, joined,
    keys, looked_through, looked_up, pairs, pieces, product, replaced, searched, shorter, sought_everywhere,
    trimmed, with_keys, written,
};
use super::opa::{self, Call};
use super::patterns;
use super::weight::{length, weight, weight_of_all};

/// Most bytes that the built-ins of one rule make over one object: several times the largest review (7 MiB)
/// written out, and far below the memory of a webhook.
pub(super) const MAX_MADE: u64 = 64 << 20;

thread_local! {
    /// Bytes that the evaluation on this thread may still make; `None`: it exceeded them.
    static LEFT: Cell<Option<u64>> = const { Cell::new(Some(MAX_MADE)) };
}

/// Starts an evaluation on this thread.
pub(super) fn begin() {
    LEFT.set(Some(MAX_MADE));
    patterns::begin();
}

/// Whether the evaluation on this thread reached the limit. Check this whatever the result: a function with
/// several definitions treats an error in one of them as no result.
pub(super) fn is_exhausted() -> bool {
    LEFT.get().is_none()
}

/// Charges for a text that is read as JSON.
pub(super) fn spend_on_json(length: usize) -> Result<(), String> {
    spend((length as u64).saturating_mul(JSON_CHARACTER))
}

/// Charges for bytes that are about to be made.
pub(super) fn spend(bytes: u64) -> Result<(), String> {
    LEFT.set(LEFT.get().and_then(|left| left.checked_sub(bytes)));
    if is_exhausted() { Err("the rule makes too much".to_owned()) } else { Ok(()) }
}

/// The built-ins that copy, write or traverse data of any length, with the number of their arguments.
const CHARGED: &[(&str, u8, Charge)] = &[
    ("array.concat", 2, elements),
    ("array.slice", 3, elements),
    ("array.reverse", 1, elements),
    ("sort", 1, weight_of_all),
    ("union", 1, collected),
    ("intersection", 1, weight_of_all),
    ("object.union", 2, weight_of_all),
    ("object.union_n", 1, collected),
    ("object.remove", 2, with_keys),
    ("object.filter", 2, with_keys),
    ("object.keys", 1, |given| keys(given.first())),
    ("json.filter", 2, along_paths),
    ("json.remove", 2, along_paths),
    ("json.marshal", 1, written),
    ("sprintf", 2, formatted),
    ("concat", 2, joined),
    ("replace", 3, |given| {
        replaced(given.first(), given.get(2)).saturating_add(given.get(1).map_or(0, length))
    }),
    ("regex.replace", 3, |given| {
        replaced(given.first(), given.get(2)).saturating_add(patterns::found(given.get(1), given.first()))
    }),
    ("split", 2, pieces),
    ("regex.split", 2, |given| pieces(given).saturating_add(found(given))),
    ("regex.find_n", 3, |given| pieces(given).saturating_add(found(given))),
    ("regex.find_all_string_submatch_n", 3, |given| captured(given).saturating_add(found(given))),
    ("indexof_n", 2, |given| pieces(given).saturating_add(sought_everywhere(given))),
    ("hex.encode", 1, written),
    ("hex.decode", 1, written),
    ("base64.encode", 1, written),
    ("base64.decode", 1, written),
    ("base64url.encode", 1, written),
    ("base64url.encode_no_pad", 1, written),
    ("base64url.decode", 1, written),
    ("lower", 1, written),
    ("upper", 1, written),
    ("strings.reverse", 1, written),
    ("glob.quote_meta", 1, written),
    ("substring", 3, written),
    ("trim", 2, trimmed),
    ("trim_left", 2, trimmed),
    ("trim_right", 2, trimmed),
    ("trim_prefix", 2, written),
    ("trim_suffix", 2, written),
    ("trim_space", 1, written),
    ("format_int", 2, written),
    ("object.get", 3, |given| looked_up(given.get(1..2).unwrap_or_default())),
    ("count", 1, characters),
    ("contains", 2, searched),
    ("startswith", 2, shorter),
    ("endswith", 2, shorter),
    ("indexof", 2, sought_everywhere),
    ("strings.count", 2, sought_everywhere),
    ("strings.any_prefix_match", 2, pairs),
    ("strings.any_suffix_match", 2, pairs),
    ("object.subset", 2, pairs),
    ("base64.is_valid", 1, looked_through),
    ("net.cidr_contains", 2, looked_through),
    ("net.cidr_is_valid", 1, looked_through),
    ("semver.compare", 2, weight_of_all),
    ("semver.is_valid", 1, looked_through),
    ("abs", 1, looked_through),
    ("ceil", 1, looked_through),
    ("floor", 1, looked_through),
    ("round", 1, looked_through),
    ("bits.and", 2, looked_through),
    ("bits.negate", 1, looked_through),
    ("bits.or", 2, looked_through),
    ("bits.rsh", 2, looked_through),
    ("bits.xor", 2, looked_through),
    ("sum", 1, looked_through),
    ("min", 1, looked_through),
    ("max", 1, looked_through),
    ("product", 1, product),
    ("glob.match", 3, patterns::globbed),
    ("regex.match", 2, |given| patterns::matched(given.first(), given.get(1))),
    ("regex.is_valid", 1, |given| patterns::compiled(given.first())),
    ("regex.template_match", 4, patterns::of_template),
];

/// Built-ins of texts that are charged by their lengths.
const OF_TEXTS: &[&str] = &[
    "startswith",
    "endswith",
    "split",
    "indexof",
    "indexof_n",
    "strings.count",
    "replace",
    "regex.replace",
    "regex.split",
    "regex.find_n",
    "regex.find_all_string_submatch_n",
    "regex.match",
    "regex.is_valid",
    "regex.template_match",
];

/// Arguments that are no text, list or object where one is expected: the error has all of them as text.
fn unexpected(name: &str, given: &[Value]) -> u64 {
    let is_unexpected = |(at, value): &(usize, &Value)| match value {
        Value::Array(_) if name.starts_with("object.") => *at == 0,
        Value::Set(_) if name.starts_with("object.") => *at == 0,
        Value::Set(_) | Value::Object(_) if name.starts_with("array.") => true,
        Value::Array(_) | Value::Set(_) | Value::Object(_) => OF_TEXTS.contains(&name),
        _ => false,
    };
    given
        .iter()
        .enumerate()
        .filter(is_unexpected)
        .map(|(_, value)| weight(value))
        .fold(0, u64::saturating_add)
}

/// Registers the charging built-ins in place of regorus' own.
pub(super) fn install(engine: &mut Engine) -> Result<(), String> {
    let source =
        Source::from_contents("input".to_owned(), " ".to_owned()).map_err(|error| error.to_string())?;
    let span = Span { source: source.clone(), line: 1, col: 1, start: 0, end: 1 };
    for (name, arity, charge) in CHARGED {
        let (function, _) = BUILTINS.get(name).ok_or_else(|| format!("there is no function `{name}`"))?;
        // Only positions of errors are read from them.
        let written: Vec<_> = (0..*arity)
            .map(|_| Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 }))
            .collect();
        let (source, span) = (source.clone(), span.clone());
        let counted = move |arguments: Vec<Value>| {
            let unexpected = unexpected(name, &arguments);
            spend(charge(&arguments).saturating_add(unexpected))
                .map_err(|message| source.error(1, 1, &message))?;
            match opa::call(name, arguments).map_err(|message| source.error(1, 1, &message))? {
                Call::With(arguments) => function(&span, &written, &arguments, true),
                Call::Gives(value) => Ok(value),
            }
        };
        engine
            .add_extension((*name).to_owned(), *arity, Box::new(counted))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{builtins, guarded};
    use super::CHARGED;

    /// The built-ins that are not charged, with the reason.
    const CHEAP: &[(&str, &[&str])] = &[(
        "they look at the kind of a value",
        &["is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name"],
    )];

    /// A new version of regorus, or another feature of it, may add built-ins.
    #[test]
    fn every_built_in_that_a_rule_may_call_is_charged_guarded_or_cheap() {
        let charged = CHARGED.iter().map(|(name, ..)| *name);
        let guarded = guarded::GUARDED.iter().map(|(name, _)| *name);
        let cheap = CHEAP.iter().flat_map(|(_, names)| names.iter().copied());
        let mut listed: Vec<&str> = charged.chain(guarded).chain(cheap).collect();
        listed.sort_unstable();
        let mut known: Vec<&str> = builtins::names().collect();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
