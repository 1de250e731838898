//! `string.format(list)`: clauses `%s %d %f %e %b %o %x %X %%`, with a precision for `%f` and `%e`.

use std::fmt::Write as _;

use super::super::text::length;
use super::super::value::{List, Map, Value};
use super::super::{EvalError, Fuel};
use super::{Outcome, convert, no_overload, time};
use crate::ir::Func;

/// The most digits after the point that a clause may request; each is a byte that costs fuel.
const MAX_PRECISION: usize = 1_000;
const DEFAULT_PRECISION: usize = 6;

/// `"…".format([…])`.
pub(super) fn format<'a>(args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    let [template, Value::List(values)] = args else {
        return no_overload(Func::Format);
    };
    let Some(template) = template.as_str() else {
        return no_overload(Func::Format);
    };
    fuel.spend_bytes(template.len())?;
    let mut out = String::new();
    let mut rest = template;
    let mut used = 0;
    while let Some((before, clause)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = clause.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (precision, clause) = precision(clause)?;
        let mut chars = clause.chars();
        let verb = chars.next().ok_or_else(|| EvalError::invalid("unexpected end of string"))?;
        rest = chars.as_str();
        let value =
            values.get(used).ok_or_else(|| EvalError::invalid(format!("index {used} out of range")))?;
        used += 1;
        let before = out.len();
        one(verb, precision, &value, &mut out, fuel)?;
        fuel.spend_bytes(out.len().saturating_sub(before))?;
    }
    out.push_str(rest);
    Ok(Value::string(out))
}

/// Reads `.digits`.
fn precision(clause: &str) -> Result<(usize, &str), EvalError> {
    let Some(digits) = clause.strip_prefix('.') else {
        return Ok((DEFAULT_PRECISION, clause));
    };
    let end = digits
        .find(|char: char| !char.is_ascii_digit())
        .ok_or_else(|| EvalError::invalid("could not find end of precision specifier"))?;
    let (number, rest) = digits.split_at(end);
    let precision: usize = number.parse().map_err(|_| {
        EvalError::invalid(format!("error while converting precision to integer: `{number}`"))
    })?;
    if precision > MAX_PRECISION {
        return Err(EvalError::invalid(format!(
            "precision {precision} exceeds maximum allowed precision {MAX_PRECISION}"
        )));
    }
    Ok((precision, rest))
}

fn one(
    verb: char,
    precision: usize,
    value: &Value<'_>,
    out: &mut String,
    fuel: &mut Fuel,
) -> Result<(), EvalError> {
    match verb {
        's' => text(value, out, fuel),
        'd' => match value {
            Value::Int(_) | Value::Uint(_) => plain(value, out),
            Value::Double(number) => {
                out.push_str(&decimal(*number));
                Ok(())
            }
            _ => Err(misfit("decimal clause can only be used on ints, uints, and doubles", value)),
        },
        'f' | 'e' => floating(verb, precision, value, out, fuel),
        'b' => match value {
            Value::Bool(bit) => {
                out.push(if *bit { '1' } else { '0' });
                Ok(())
            }
            Value::Int(number) => signed(*number, out, |magnitude| format!("{magnitude:b}")),
            Value::Uint(number) => written(write!(out, "{number:b}")),
            _ => Err(misfit("only ints, uints, and bools can be formatted as binary", value)),
        },
        'o' => match value {
            Value::Int(number) => signed(*number, out, |magnitude| format!("{magnitude:o}")),
            Value::Uint(number) => written(write!(out, "{number:o}")),
            _ => Err(misfit("octal clause can only be used on ints and uints", value)),
        },
        'x' | 'X' => hex(verb == 'X', value, out, fuel),
        _ => Err(EvalError::invalid(format!("unrecognized formatting clause \"{verb}\""))),
    }
}

fn misfit(rule: &str, value: &Value<'_>) -> EvalError {
    EvalError::invalid(format!("{rule}, was given {}", value.type_name()))
}

/// Writing to a string does not fail; the trait requires the result.
fn written(result: std::fmt::Result) -> Result<(), EvalError> {
    result.map_err(|_| EvalError::invalid("error writing format string"))
}

fn plain(value: &Value<'_>, out: &mut String) -> Result<(), EvalError> {
    out.push_str(&convert::display(value).unwrap_or_default());
    Ok(())
}

fn signed(number: i64, out: &mut String, digits: impl FnOnce(u64) -> String) -> Result<(), EvalError> {
    if number < 0 {
        out.push('-');
    }
    out.push_str(&digits(number.unsigned_abs()));
    Ok(())
}

/// A double without exponent, with as few digits as tell it from its neighbours.
fn decimal(number: f64) -> String {
    not_finite(number).map_or_else(|| number.to_string(), str::to_owned)
}

fn not_finite(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number.is_infinite() {
        Some(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        None
    }
}

fn floating(
    verb: char,
    precision: usize,
    value: &Value<'_>,
    out: &mut String,
    fuel: &mut Fuel,
) -> Result<(), EvalError> {
    fuel.spend_bytes(precision)?;
    let number = match value {
        Value::Int(number) => *number as f64,
        Value::Uint(number) => *number as f64,
        Value::Double(number) => *number,
        _ if verb == 'f' => {
            return Err(misfit("fixed-point clause can only be used on ints, uints, and doubles", value));
        }
        _ => return Err(misfit("scientific clause can only be used on ints, uints, and doubles", value)),
    };
    if let Some(word) = not_finite(number) {
        out.push_str(word);
        return Ok(());
    }
    if verb == 'f' {
        return written(write!(out, "{number:.precision$}"));
    }
    let scientific = format!("{number:.precision$e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    written(write!(out, "{mantissa}e{sign}{digits:0>2}"))
}

fn hex(upper: bool, value: &Value<'_>, out: &mut String, fuel: &mut Fuel) -> Result<(), EvalError> {
    let digits = |number: u64| if upper { format!("{number:X}") } else { format!("{number:x}") };
    match value {
        Value::Int(number) => return signed(*number, out, digits),
        Value::Uint(number) => {
            out.push_str(&digits(*number));
            return Ok(());
        }
        _ => {}
    }
    let bytes = value
        .as_str()
        .map(str::as_bytes)
        .or_else(|| value.as_bytes())
        .ok_or_else(|| misfit("only ints, uints, bytes, and strings can be formatted as hex", value))?;
    fuel.spend_bytes(bytes.len().saturating_mul(2))?;
    for byte in bytes {
        written(if upper { write!(out, "{byte:02X}") } else { write!(out, "{byte:02x}") })?;
    }
    Ok(())
}

/// `%s`.
fn text(value: &Value<'_>, out: &mut String, fuel: &mut Fuel) -> Result<(), EvalError> {
    fuel.spend(1)?;
    match value {
        Value::List(list) => list_text(list, out, fuel),
        Value::Map(map) => map_text(map, out, fuel),
        Value::Double(number) => {
            out.push_str(&decimal(*number));
            Ok(())
        }
        Value::Bytes(_) | Value::OwnedBytes(_) => {
            let bytes = value.as_bytes().unwrap_or_default();
            fuel.spend_bytes(bytes.len())?;
            out.push_str(&String::from_utf8_lossy(bytes));
            Ok(())
        }
        Value::Duration(nanos) => {
            out.push_str(&time::duration_text(*nanos));
            Ok(())
        }
        Value::Opaque => Err(EvalError::Opaque),
        Value::Str(_) | Value::OwnedStr(_) => {
            let text = value.as_str().unwrap_or_default();
            fuel.spend_bytes(text.len())?;
            out.push_str(text);
            Ok(())
        }
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Timestamp(_)
        | Value::Type(_) => plain(value, out),
        Value::Optional(_) | Value::Quantity(_) | Value::Ip(_) | Value::Cidr(_) | Value::Shell(_) => {
            Err(unprintable(value))
        }
        Value::Url(_) | Value::Semver(_) | Value::NamedFormat(_) | Value::Authorization(_) => {
            Err(unprintable(value))
        }
    }
}

fn unprintable(value: &Value<'_>) -> EvalError {
    misfit(
        "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps",
        value,
    )
}

fn list_text(list: &List<'_>, out: &mut String, fuel: &mut Fuel) -> Result<(), EvalError> {
    out.push('[');
    for (position, item) in list.iter().enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        text(&item, out, fuel)?;
    }
    out.push(']');
    Ok(())
}

/// Entries sorted by the text of their keys.
fn map_text(map: &Map<'_>, out: &mut String, fuel: &mut Fuel) -> Result<(), EvalError> {
    let mut entries = Vec::new();
    for (key, value) in map.iter() {
        let (mut key_text, mut value_text) = (String::new(), String::new());
        text(&key, &mut key_text, fuel)?;
        text(&value, &mut value_text, fuel)?;
        entries.push((key_text, value_text));
    }
    entries.sort();
    out.push('{');
    for (position, (key, value)) in entries.iter().enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        written(write!(out, "{key}: {value}"))?;
    }
    out.push('}');
    // Nested maps are copied once per level.
    fuel.spend(length(entries.len()).unsigned_abs())
}
