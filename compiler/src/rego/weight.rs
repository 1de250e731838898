//! The weight of a value: bytes of it with everything in it, counted as often as it occurs. A list that contains
//! one list twice weighs twice as much, as it would when written out.

use regorus::Value;

/// The heaviest value that is weighed: a little more than the largest review weighs if it is a list of ones, and
/// four times what a rule may make.
const MAX_WEIGHT: u64 = 256 << 20;
/// What a value takes besides its text: a node of a list, a set or an object, and the cost of an allocation.
pub(super) const NODE: u64 = 64;

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

/// Bits of a number without its sign; a number that is not an integer has those of a double.
pub(super) fn bits(value: &Value) -> u64 {
    let Value::Number(number) = value else { return 0 };
    match number.as_i64() {
        Some(small) => u64::from(u64::BITS - small.unsigned_abs().leading_zeros()),
        None => number.as_big().map_or(64, |big| big.bits()),
    }
}

/// The weight of a value; one that is over [`MAX_WEIGHT`] exceeds every limit, also as a fraction of itself.
pub(super) fn weight(value: &Value) -> u64 {
    weight_within(value, MAX_WEIGHT).unwrap_or(u64::MAX)
}

/// The weight of all arguments.
pub(super) fn weight_of_all(given: &[Value]) -> u64 {
    given.iter().map(weight).fold(NODE, u64::saturating_add)
}

/// The weight of the lighter of two values, found without looking through the heavier one.
pub(super) fn lighter(left: &Value, right: &Value) -> u64 {
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
