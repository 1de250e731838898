//! Canonical JSON (RFC 8785): one text for one value, so that a digest over the text is a digest over the
//! value.
//!
//! Members are sorted by the UTF-16 code units of their names, without white space; strings and numbers are
//! written as ECMAScript writes them. One deliberate deviation: an integer beyond 2^53 is written exactly,
//! where RFC 8785 would round it to a double; policies hold CEL's 64-bit integers, and a rounded one would be
//! another policy.

use serde::Serialize;
use serde_json::{Number, Value};

/// The canonical text of a value.
///
/// # Errors
/// What `serde_json` cannot represent: maps whose keys are not strings.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    text_of(&serde_json::to_value(value)?)
}

/// The canonical text of a value that is JSON already: nothing is copied first.
///
/// # Errors
/// None that is known: every JSON value has a text.
pub fn text_of(value: &Value) -> Result<Vec<u8>, serde_json::Error> {
    // As much as most arguments take.
    let mut out = Vec::with_capacity(128);
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) => out.extend_from_slice(number_text(number).as_bytes()),
        // serde_json escapes as ECMAScript's `JSON.stringify` does.
        Value::String(text) => serde_json::to_writer(&mut *out, text)?,
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        // The map has them in the order of UTF-8, which differs from that of UTF-16 only beyond U+FFFF.
        Value::Object(members) if members.keys().is_sorted_by(|left, right| !is_after(left, right)) => {
            write_members(members.iter(), out)?;
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            write_members(members.into_iter(), out)?;
        }
    }
    Ok(())
}

fn is_after(left: &str, right: &str) -> bool {
    left.encode_utf16().gt(right.encode_utf16())
}

fn write_members<'v>(
    members: impl Iterator<Item = (&'v String, &'v Value)>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    out.push(b'{');
    for (position, (name, member)) in members.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, name)?;
        out.push(b':');
        write(member, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn number_text(number: &Number) -> String {
    if number.is_f64() { double_text(number.as_f64().unwrap_or(0.0)) } else { number.to_string() }
}

/// ECMAScript's `Number::toString` (ECMA-262, 6.1.6.1.20) of a finite double.
fn double_text(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The value is 0.digits × 10^point.
    let point = exponent + 1;
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let text = if count <= point && point <= 21 {
        format!("{digits}{}", zeros(point - count))
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{whole}.{fraction}")
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { "-" } else { "+" };
        format!("{first}{dot}{rest}e{exponent_sign}{}", exponent.unsigned_abs())
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        String::from_utf8(to_vec(&serde_json::from_str::<Value>(text).unwrap()).unwrap()).unwrap()
    }

    /// RFC 8785, 3.2.2 to 3.2.4 and appendix B.
    #[test]
    fn the_examples_of_the_rfc_come_out() {
        assert_eq!(
            canonical(
                r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#
            ),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        assert_eq!(
            canonical(
                r#"{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7}"#
            ),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn numbers_are_those_of_ecmascript() {
        for (number, text) in [
            (-0.0, "0"),
            (f64::from_bits(1), "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (9007199254740994.0, "9007199254740994"),
            (295147905179352830000.0, "295147905179352830000"),
            (9.999999999999997e22, "9.999999999999997e+22"),
            (1e21, "1e+21"),
            (999999999999999900000.0, "999999999999999900000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (-333333333.3333333, "-333333333.3333333"),
            (1.0, "1"),
        ] {
            assert_eq!(double_text(number), text);
        }
        assert_eq!(
            canonical("[9223372036854775807, 18446744073709551615]"),
            "[9223372036854775807,18446744073709551615]"
        );
    }
}
