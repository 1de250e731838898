//! Conversions between types and the text form of scalars.

use super::super::value::Value;
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload, time};
use crate::ir::Func;

/// `int`, `uint`, `double`, `string`, `bool`, `bytes`, `type`, `dyn`.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    let [value] = args else {
        return no_overload(function);
    };
    if let Some(text) = value.as_str() {
        fuel.spend_bytes(text.len())?;
    }
    let converted = match function {
        Func::ToInt => to_int(value)?.map(Value::Int),
        Func::ToUint => to_uint(value)?.map(Value::Uint),
        Func::ToDouble => to_double(value).map(Value::Double),
        Func::ToBool => match value {
            Value::Bool(value) => Some(Value::Bool(*value)),
            // The spellings of Go's `strconv.ParseBool`.
            _ => match value.as_str() {
                Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Some(Value::Bool(true)),
                Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Some(Value::Bool(false)),
                _ => None,
            },
        },
        Func::ToBytes => match (value.as_bytes(), value.as_str()) {
            (Some(_), _) => Some(value.clone()),
            (_, Some(text)) => Some(Value::OwnedBytes(text.as_bytes().into())),
            _ => None,
        },
        Func::ToString => return to_string(value, fuel),
        Func::TypeOf => Some(Value::Type(value.type_name())),
        Func::Dyn => Some(value.clone()),
        _ => return no_overload(function),
    };
    converted.ok_or_else(|| {
        let shown = value.as_str().map(|text| format!(" of `{text}`")).unwrap_or_default();
        EvalError::invalid(format!(
            "type conversion error from '{}' to '{}'{shown}",
            value.type_name(),
            function.name()
        ))
    })
}

fn to_int(value: &Value<'_>) -> Result<Option<i64>, EvalError> {
    let overflow = EvalError::Overflow("integer");
    Ok(match value {
        Value::Int(value) => Some(*value),
        Value::Uint(value) => Some(i64::try_from(*value).map_err(|_| overflow)?),
        // Both ends are exclusive: 2^63 is not an integer, and -2^63 cannot be told from its neighbours.
        Value::Double(value)
            if *value > -9_223_372_036_854_775_808.0 && *value < 9_223_372_036_854_775_808.0 =>
        {
            Some(*value as i64)
        }
        Value::Double(_) => return Err(overflow),
        Value::Timestamp(at) => Some(at.as_second()),
        Value::Duration(nanos) => Some(*nanos),
        _ => value.as_str().and_then(|text| text.parse().ok()),
    })
}

fn to_uint(value: &Value<'_>) -> Result<Option<u64>, EvalError> {
    let overflow = EvalError::Overflow("unsigned integer");
    Ok(match value {
        Value::Uint(value) => Some(*value),
        Value::Int(value) => Some(u64::try_from(*value).map_err(|_| overflow)?),
        Value::Double(value) if *value >= 0.0 && *value < 18_446_744_073_709_551_616.0 => Some(*value as u64),
        Value::Double(_) => return Err(overflow),
        _ => value.as_str().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok()),
    })
}

fn to_double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        Value::Uint(value) => Some(*value as f64),
        _ => value.as_str().and_then(|text| text.parse().ok()),
    }
}

fn to_string<'a>(value: &Value<'a>, fuel: &mut Fuel) -> Outcome<'a> {
    if let Value::Str(_) | Value::OwnedStr(_) = value {
        return Ok(value.clone());
    }
    if let Some(bytes) = value.as_bytes() {
        fuel.spend_bytes(bytes.len())?;
        return match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::string(text)),
            Err(_) => Err(EvalError::invalid("invalid UTF-8 in bytes, cannot convert to string")),
        };
    }
    // As in the API server, a quantity has no conversion to string.
    match (value, display(value)) {
        (Value::Quantity(_) | Value::Null | Value::Type(_), _) | (_, None) => {
            Err(EvalError::invalid(format!("type conversion error from '{}' to 'string'", value.type_name())))
        }
        (_, Some(text)) => Ok(Value::string(text)),
    }
}

/// The text of a scalar, as `string(x)` gives it; `None` for other values.
pub(in crate::cel) fn display(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => double(*value),
        Value::Str(text) => (*text).to_owned(),
        Value::OwnedStr(text) => text.to_string(),
        Value::Duration(nanos) => time::duration_text(*nanos),
        Value::Timestamp(at) => at.to_string(),
        Value::Type(name) => (*name).to_owned(),
        Value::Quantity(quantity) => quantity.to_string(),
        Value::Ip(address) => address.to_string(),
        Value::Cidr(network) => network.to_string(),
        Value::Bytes(_) | Value::OwnedBytes(_) | Value::List(_) | Value::Map(_) => return None,
        Value::Optional(_) | Value::Shell(_) | Value::Opaque => return None,
        Value::Url(_) | Value::Semver(_) | Value::NamedFormat(_) | Value::Authorization(_) => return None,
    })
}

/// A double as Go's `%g` writes it: shortest, with an exponent of at least two digits from 1e6 on and below
/// 1e-4.
fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if value != 0.0 && !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => value.to_string(),
    }
}
