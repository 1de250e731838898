//! What patterns cost that regorus compiles and matches: the sizes of an object's own patterns and texts have no
//! other limit.
//!
//! A pattern is compiled once as long as the interpreter remembers it. To match, a text is usually gone through
//! once; a pattern with many states may take a step for each of them at each character. Where all matches are
//! wanted, the search begins again behind each, and may look through the rest of the text every time.
//! <https://docs.rs/regex/1/regex/#iterating-over-matches>

use std::cell::RefCell;
use std::collections::BTreeSet;

use regorus::Value;

use super::weight::{length, weight_of_all};

/// Longest pattern, bytes.
const MAX_PATTERN: u64 = 4_096;
/// Longest template of `regex.template_match`, bytes, each part of which is a pattern.
const MAX_TEMPLATE: u64 = 1_024;
/// Most delimiters of a glob: for each the pattern is written anew.
const MAX_DELIMITERS: usize = 8;
/// How many patterns are taken for compiled; the interpreter remembers twice as many.
const REMEMBERED: usize = 128;
/// The charge for a pattern that is compiled, and for each byte of it: classes of Unicode have hundreds of ranges.
const PATTERN: u64 = 8_192;
const PATTERN_BYTE: u64 = 512;
/// The most states that fit into what the interpreter allows a pattern.
const MAX_STATES: u64 = 3_200;
/// The inverse of the charge for a state at a character of a short text, and of a long one.
const STATES_SHORT: u64 = 64;
const STATES_LONG: u64 = 8;
/// From how many bytes on a text is long.
const LONG: u64 = 4_096;
/// The inverse of the charge for a byte that is looked through again for another match.
const AGAIN: u64 = 128;

thread_local! {
    static SEEN: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Starts an evaluation on this thread.
pub(super) fn begin() {
    SEEN.with_borrow_mut(BTreeSet::clear);
}

fn text(value: Option<&Value>) -> &str {
    match value {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

/// A pattern that is compiled, unless it was before.
pub(super) fn compiled(pattern: Option<&Value>) -> u64 {
    let Some(value) = pattern else { return 1 };
    let pattern = text(pattern);
    if length(value) > MAX_PATTERN {
        return u64::MAX;
    }
    SEEN.with_borrow_mut(|seen| {
        if seen.contains(pattern) {
            return 1;
        }
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(pattern.to_owned());
        PATTERN + PATTERN_BYTE * length(value)
    })
}

/// The states that a pattern may have: what is in braces multiplies them.
fn states(pattern: &str) -> u64 {
    let numbers = pattern.split('{').skip(1).filter_map(|rest| {
        let most = rest.split('}').next()?.rsplit(',').next()?;
        most.parse::<u64>().ok()
    });
    let times = numbers.fold(1, |product: u64, number| product.saturating_mul(number.max(1)));
    times.saturating_mul(pattern.len() as u64).min(MAX_STATES)
}

/// Whether a pattern matches.
pub(super) fn matched(pattern: Option<&Value>, searched: Option<&Value>) -> u64 {
    let length = text(searched).len() as u64;
    let inverse = if length > LONG { STATES_LONG } else { STATES_SHORT };
    let each = 1 + states(text(pattern)) / inverse;
    compiled(pattern).saturating_add((1 + length).saturating_mul(each))
}

/// All matches of a pattern.
pub(super) fn found(pattern: Option<&Value>, searched: Option<&Value>) -> u64 {
    let length = text(searched).len() as u64;
    matched(pattern, searched).saturating_add(length.saturating_mul(length) / AGAIN)
}

/// `glob.match(pattern, delimiters, text)`.
pub(super) fn globbed(given: &[Value]) -> u64 {
    let delimiters = match given.get(1) {
        Some(Value::Array(delimiters)) => delimiters.len(),
        _ => 0,
    };
    if delimiters > MAX_DELIMITERS {
        return u64::MAX;
    }
    let times = 1 + 2 * delimiters as u64;
    let of_text = matched(given.first(), given.get(2)).saturating_mul(times);
    of_text.saturating_add(weight_of_all(given))
}

/// `regex.template_match(template, text, start, end)`.
pub(super) fn of_template(given: &[Value]) -> u64 {
    let template = text(given.first()).len() as u64;
    if template > MAX_TEMPLATE {
        return u64::MAX;
    }
    let searched = text(given.get(1)).len() as u64;
    compiled(given.first()).saturating_add((1 + template).saturating_mul(1 + searched) / STATES_LONG)
}
