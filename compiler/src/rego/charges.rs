//! What a call of a built-in is charged for, by its arguments: the most that it can make of them, or a fraction of
//! what it reads. [`super::made`] says which built-in is charged by which of these.

use regorus::Value;

use super::patterns;
use super::weight::{NODE, bits, length, lighter, weight, weight_of_all};

/// The most bytes that a built-in makes of its arguments.
pub(super) type Charge = fn(&[Value]) -> u64;

/// A character written as `\u0000`.
const ESCAPED: u64 = 6;
/// A number in a format: the widest that is allowed, and as many digits as a double has.
const FORMATTED: u64 = 1_200;

/// A character of JSON as a value: `[1,1,1]` has an element for every two characters.
pub(super) const JSON_CHARACTER: u64 = NODE / 2;
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

/// A copy of the arguments' contents, one level deep.
pub(super) fn elements(given: &[Value]) -> u64 {
    given.iter().fold(NODE, |sum, one| sum.saturating_add(length(one).saturating_mul(NODE)))
}

/// An object's own keys, each of which gets its place among the others.
pub(super) fn keys(object: Option<&Value>) -> u64 {
    let Some(Value::Object(members)) = object else { return NODE };
    members.keys().map(weight).fold(NODE, u64::saturating_add)
}

/// A copy of an object's members, with all keys that are given.
pub(super) fn with_keys(given: &[Value]) -> u64 {
    let given_keys = given.get(1).map_or(0, weight);
    elements(given).saturating_add(keys(given.first())).saturating_add(given_keys)
}

/// All arguments, read once.
pub(super) fn looked_through(given: &[Value]) -> u64 {
    weight_of_all(given) / LOOKED_AT
}

/// The characters of a text are counted one by one; the elements of anything else are not.
pub(super) fn characters(given: &[Value]) -> u64 {
    given.iter().filter(|one| matches!(one, Value::String(_))).map(length).sum::<u64>() / COUNTED
}

/// A text that is gone through once for another one, whose periods are found before.
pub(super) fn searched(given: &[Value]) -> u64 {
    looked_through(given).saturating_add(given.get(1).map_or(0, length) / COUNTED)
}

/// A text that is compared with another one at each of its characters, to the other's end: all may be alike
/// but the last.
pub(super) fn sought_everywhere(given: &[Value]) -> u64 {
    let [text, sought] = given else { return NODE };
    length(text).saturating_mul(1 + length(sought) / LOOKED_AT)
}

/// Sets or objects that are united one after the other: each union copies what the ones before came to.
pub(super) fn collected(given: &[Value]) -> u64 {
    let Some(all) = given.first() else { return NODE };
    weight(all).saturating_mul(1 + length(all) / LOOKED_AT)
}

/// A value with paths into it: each part of a path becomes an object within another, and an object of any depth
/// takes as much stack when it is dropped. A part in braces would be read as JSON.
pub(super) fn along_paths(given: &[Value]) -> u64 {
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
pub(super) fn found(given: &[Value]) -> u64 {
    patterns::found(given.first(), given.get(1))
}

/// Each character of a text is looked for among all that are to go.
pub(super) fn trimmed(given: &[Value]) -> u64 {
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

/// The beginnings or ends of two texts.
pub(super) fn shorter(given: &[Value]) -> u64 {
    given.iter().map(length).min().unwrap_or_default() / LOOKED_AT + 1
}

/// Each element of one argument paired with each of the other.
pub(super) fn pairs(given: &[Value]) -> u64 {
    let elements = |value: &Value| weight(value) / NODE;
    let of_both = given.iter().map(elements).fold(1, u64::saturating_mul);
    of_both.saturating_add(looked_through(given))
}

/// The size of the product of two numbers, or that it is too long.
pub(super) fn product_of_two(given: &[Value]) -> u64 {
    let bits = given.iter().map(bits).fold(0, u64::saturating_add);
    if bits > MAX_NUMBER_BITS { u64::MAX } else { NODE + bits / 8 }
}

/// The product of all elements.
pub(super) fn product(given: &[Value]) -> u64 {
    let count = given.first().map_or(0, length);
    let bits = match given.first() {
        Some(Value::Array(items)) => items.iter().map(bits).fold(0, u64::saturating_add),
        Some(Value::Set(items)) => items.iter().map(bits).fold(0, u64::saturating_add),
        _ => 0,
    };
    if bits > MAX_NUMBER_BITS { u64::MAX } else { count.saturating_mul(NODE + bits / 8) }
}

/// The arguments as text, every character escaped.
pub(super) fn written(given: &[Value]) -> u64 {
    weight_of_all(given).saturating_mul(ESCAPED)
}

pub(super) fn formatted(given: &[Value]) -> u64 {
    let verbs = given.get(1).map_or(0, length);
    written(given).saturating_add(verbs.saturating_mul(FORMATTED))
}

/// Texts with a separator between each two.
pub(super) fn joined(given: &[Value]) -> u64 {
    let between = given.first().map_or(0, length);
    let count = given.get(1).map_or(0, length);
    weight_of_all(given).saturating_add(between.saturating_mul(count))
}

/// A text with every character replaced by another text, and that text at its end.
pub(super) fn replaced(text: Option<&Value>, by: Option<&Value>) -> u64 {
    let length = |value: Option<&Value>| value.map_or(0, length).saturating_add(1);
    length(text).saturating_mul(length(by))
}

/// A text split into its characters.
pub(super) fn pieces(given: &[Value]) -> u64 {
    given.iter().map(length).max().unwrap_or_default().saturating_add(1).saturating_mul(NODE + 1)
}

/// Matches of a pattern, each with the text of all its groups. Not every bracket opens a group.
pub(super) fn captured(given: &[Value]) -> u64 {
    let brackets = match given.first() {
        Some(Value::String(pattern)) => pattern.matches('(').count() as u64,
        _ => 0,
    };
    // The match itself is a group, and the list of the groups is one value more.
    let groups = brackets.saturating_add(2);
    let matches = given.get(1).map_or(0, length).saturating_add(1);
    matches.saturating_mul(groups).saturating_mul(NODE + 1)
}
