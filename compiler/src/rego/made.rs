//! Charges built-ins for what they make and traverse, before they do so. A step is one step whatever it does,
//! and in one step a built-in can make text, lists and sets of any length: forty lines that each append a
//! list to itself would make one of a million million elements. It can traverse as much: one text of a
//! megabyte may be searched for in each of ten thousand.
//!
//! A built-in that copies or writes is charged for the most that it can make of its arguments; one that only
//! reads is charged a fraction of what it reads. One evaluation may make [`MAX_MADE`] in all, whether or not
//! it keeps it. Operators, comparisons and what is looked up are charged in the same way
//! ([`super::operators`]). Not charged: statements and comprehensions, which take a step for each element.
//!
//! Terms. *Weight*: bytes of a value with everything in it, counted as often as it occurs: a list that
//! contains one list twice weighs twice as much, as it would when written out.

use std::cell::Cell;

use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{Engine, Value};

use super::patterns;

/// Most bytes that the built-ins of one rule make over one object: several times the largest review (7 MiB)
/// written out, and far below the memory of a webhook.
pub(super) const MAX_MADE: u64 = 64 << 20;
/// The heaviest value that is weighed: a little more than the largest review weighs if it is a list of ones.
const MAX_WEIGHT: u64 = 4 * MAX_MADE;
/// What a value takes besides its text: a node of a list, a set or an object, and the cost of an allocation.
const NODE: u64 = 64;
/// A character written as `\u0000`.
const ESCAPED: u64 = 6;
/// A number in a format: the widest that is allowed, and as many digits as a double has.
const FORMATTED: u64 = 1_200;

/// A character of JSON as a value: `[1,1,1]` has an element for every two characters.
const JSON_CHARACTER: u64 = NODE / 2;
/// The inverse of the charge for a byte that is read: reading sixteen bytes takes about as long as making
/// one.
const LOOKED_AT: u64 = 16;
/// The same for a character that is decoded, or of a text that is prepared to be sought.
const COUNTED: u64 = 4;
/// The same for a byte of what is looked up: it is compared with about twenty others.
const SOUGHT: u64 = 2;
/// Most parts of a path into a value: far more than a manifest is deep, and no stack ends by it.
const MAX_PATH: usize = 128;
/// Longest result of a multiplication, bits: the square of the largest number that may be written, and about
/// a microsecond of work.
const MAX_NUMBER_BITS: u64 = 8_192;

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

/// The most bytes that a built-in makes of its arguments.
pub(super) type Charge = fn(&[Value]) -> u64;

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
            function(&span, &written, &arguments, true)
        };
        engine
            .add_extension((*name).to_owned(), *arity, Box::new(counted))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The number of elements of a list, set or object, or of bytes of a text.
pub(super) fn length(value: &Value) -> u64 {
    let length = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        Value::Set(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 1,
    };
    length as u64
}

/// A copy of the arguments' contents, one level deep.
fn elements(given: &[Value]) -> u64 {
    given.iter().fold(NODE, |sum, one| sum.saturating_add(length(one).saturating_mul(NODE)))
}

/// An object's own keys, each of which gets its place among the others.
fn keys(object: Option<&Value>) -> u64 {
    let Some(Value::Object(members)) = object else { return NODE };
    members.keys().map(weight).fold(NODE, u64::saturating_add)
}

/// A copy of an object's members, with all keys that are given.
fn with_keys(given: &[Value]) -> u64 {
    let given_keys = given.get(1).map_or(0, weight);
    elements(given).saturating_add(keys(given.first())).saturating_add(given_keys)
}

pub(super) fn weight_of_all(given: &[Value]) -> u64 {
    given.iter().map(weight).fold(NODE, u64::saturating_add)
}

/// All arguments, read once.
pub(super) fn looked_through(given: &[Value]) -> u64 {
    weight_of_all(given) / LOOKED_AT
}

/// The characters of a text are counted one by one; the elements of anything else are not.
fn characters(given: &[Value]) -> u64 {
    given.iter().filter(|one| matches!(one, Value::String(_))).map(length).sum::<u64>() / COUNTED
}

/// A text that is gone through once for another one, whose periods are found before.
fn searched(given: &[Value]) -> u64 {
    looked_through(given).saturating_add(given.get(1).map_or(0, length) / COUNTED)
}

/// A text that is compared with another one at each of its characters, to the other's end: all may be alike
/// but the last.
fn sought_everywhere(given: &[Value]) -> u64 {
    let [text, sought] = given else { return NODE };
    length(text).saturating_mul(1 + length(sought) / LOOKED_AT)
}

/// Sets or objects that are united one after the other: each union copies what the ones before came to.
fn collected(given: &[Value]) -> u64 {
    let Some(all) = given.first() else { return NODE };
    weight(all).saturating_mul(1 + length(all) / LOOKED_AT)
}

/// A value with paths into it: each part of a path becomes an object within another, and an object of any depth
/// takes as much stack when it is dropped. A part in braces would be read as JSON.
fn along_paths(given: &[Value]) -> u64 {
    let [all, paths] = given else { return NODE };
    let is_modest = |path: &Value| match path {
        Value::String(text) => !text.contains('{') && text.matches('/').count() < MAX_PATH,
        Value::Array(parts) => parts.len() < MAX_PATH && parts.iter().all(is_modest_part),
        _ => true,
    };
    let (count, are_modest) = match paths {
        Value::Array(paths) => (paths.len(), paths.iter().all(is_modest)),
        Value::Set(paths) => (paths.len(), paths.iter().all(is_modest)),
        other => (1, is_modest(other)),
    };
    let made = (count as u64).saturating_mul(NODE);
    if are_modest { weight(all).saturating_add(weight(paths)).saturating_add(made) } else { u64::MAX }
}

fn is_modest_part(part: &Value) -> bool {
    !matches!(part, Value::String(text) if text.contains('{'))
}

/// All matches of a pattern in a text.
fn found(given: &[Value]) -> u64 {
    patterns::found(given.first(), given.get(1))
}

/// Each character of a text is looked for among all that are to go.
fn trimmed(given: &[Value]) -> u64 {
    written(given).saturating_add(sought_everywhere(given))
}

/// Each argument compared with as many others as a search in a large set takes, about twenty.
pub(super) fn looked_up(given: &[Value]) -> u64 {
    weight_of_all(given) / SOUGHT
}

/// Two values, compared until the lighter one ends.
pub(super) fn compared(given: &[Value]) -> u64 {
    let [left, right] = given else { return NODE };
    lighter(left, right) / LOOKED_AT + 1
}

/// A collection in which a value is sought that is charged itself: a list is gone through, a set is not.
pub(super) fn gone_through(given: &[Value]) -> u64 {
    match given {
        [all @ (Value::Array(_) | Value::Object(_))] => weight(all) / LOOKED_AT + 1,
        _ => 1,
    }
}

/// The weight of the lighter of two values, found without looking through the heavier one.
fn lighter(left: &Value, right: &Value) -> u64 {
    let mut most = 16 * NODE;
    loop {
        let found = weight_within(left, most).into_iter().chain(weight_within(right, most)).min();
        match found {
            Some(weight) => return weight,
            None if most >= MAX_WEIGHT => return u64::MAX,
            None => most *= 4,
        }
    }
}

/// The beginnings or ends of two texts.
fn shorter(given: &[Value]) -> u64 {
    given.iter().map(length).min().unwrap_or_default() / LOOKED_AT + 1
}

/// Each element of one argument paired with each of the other.
fn pairs(given: &[Value]) -> u64 {
    let elements = |value: &Value| weight(value) / NODE;
    let of_both = given.iter().map(elements).fold(1, u64::saturating_mul);
    of_both.saturating_add(looked_through(given))
}

/// Bits of a number without its sign; a number that is not an integer has those of a double.
fn bits(value: &Value) -> u64 {
    let Value::Number(number) = value else { return 0 };
    match number.as_i64() {
        Some(small) => u64::from(u64::BITS - small.unsigned_abs().leading_zeros()),
        None => number.as_big().map_or(64, |big| big.bits()),
    }
}

/// The size of the product of two numbers, or that it is too long.
pub(super) fn product_of_two(given: &[Value]) -> u64 {
    let bits = given.iter().map(bits).fold(0, u64::saturating_add);
    if bits > MAX_NUMBER_BITS { u64::MAX } else { NODE + bits / 8 }
}

/// The product of all elements.
fn product(given: &[Value]) -> u64 {
    let count = given.first().map_or(0, length);
    let bits = match given.first() {
        Some(Value::Array(items)) => items.iter().map(bits).fold(0, u64::saturating_add),
        Some(Value::Set(items)) => items.iter().map(bits).fold(0, u64::saturating_add),
        _ => 0,
    };
    if bits > MAX_NUMBER_BITS { u64::MAX } else { count.saturating_mul(NODE + bits / 8) }
}

/// The arguments as text, every character escaped.
fn written(given: &[Value]) -> u64 {
    weight_of_all(given).saturating_mul(ESCAPED)
}

fn formatted(given: &[Value]) -> u64 {
    let verbs = given.get(1).map_or(0, length);
    written(given).saturating_add(verbs.saturating_mul(FORMATTED))
}

/// Texts with a separator between each two.
fn joined(given: &[Value]) -> u64 {
    let between = given.first().map_or(0, length);
    let count = given.get(1).map_or(0, length);
    weight_of_all(given).saturating_add(between.saturating_mul(count))
}

/// A text with every character replaced by another text, and that text at its end.
fn replaced(text: Option<&Value>, by: Option<&Value>) -> u64 {
    let length = |value: Option<&Value>| value.map_or(0, length).saturating_add(1);
    length(text).saturating_mul(length(by))
}

/// A text split into its characters.
fn pieces(given: &[Value]) -> u64 {
    given.iter().map(length).max().unwrap_or_default().saturating_add(1).saturating_mul(NODE + 1)
}

/// Matches of a pattern, each with the text of all its groups. Not every bracket opens a group.
fn captured(given: &[Value]) -> u64 {
    let brackets = match given.first() {
        Some(Value::String(pattern)) => pattern.matches('(').count() as u64,
        _ => 0,
    };
    // The match itself is a group, and the list of the groups is one value more.
    let groups = brackets.saturating_add(2);
    let matches = given.get(1).map_or(0, length).saturating_add(1);
    matches.saturating_mul(groups).saturating_mul(NODE + 1)
}

/// The weight of a value; one that is over [`MAX_WEIGHT`] exceeds every limit, also as a fraction of itself.
fn weight(value: &Value) -> u64 {
    weight_within(value, MAX_WEIGHT).unwrap_or(u64::MAX)
}

/// The weight of a value; `None`: it is more than `most`, and no more than that was looked through.
fn weight_within(value: &Value, most: u64) -> Option<u64> {
    let own = |value: &Value| match value {
        Value::String(text) => NODE.saturating_add(text.len() as u64),
        Value::Number(_) => NODE.saturating_add(bits(value) / 8),
        _ => NODE,
    };
    let (mut sum, mut pending) = (0_u64, Vec::new());
    let mut next = Some(value);
    while let Some(value) = next {
        sum = sum.saturating_add(own(value));
        let within = match value {
            Value::Array(items) => items.len(),
            Value::Set(items) => items.len(),
            Value::Object(members) => members.len().saturating_mul(2),
            _ => 0,
        };
        // Each pending value weighs at least one node.
        let pending_nodes = pending.len().saturating_add(within) as u64;
        if sum.saturating_add(pending_nodes.saturating_mul(NODE)) > most {
            return None;
        }
        match value {
            Value::Array(items) => pending.extend(items.iter()),
            Value::Set(items) => pending.extend(items.iter()),
            Value::Object(members) => {
                pending.extend(members.iter().flat_map(|(key, value)| [key, value]));
            }
            _ => {}
        }
        next = pending.pop();
    }
    Some(sum)
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
