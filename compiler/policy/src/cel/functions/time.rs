//! Timestamps and durations. A timestamp is within years 1 to 9999, a duration is Go's: `i64` nanoseconds.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::{Offset, TimeZone};

use super::super::value::Value;
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload};
use crate::ir::Func;

/// 0001-01-01T00:00:00Z.
pub(super) const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;

/// `duration(x)`, `timestamp(x)`.
pub(super) fn convert<'a>(function: Func, args: &[Value<'a>]) -> Outcome<'a> {
    match (function, args) {
        (Func::ToDuration, [value @ Value::Duration(_)])
        | (Func::ToTimestamp, [value @ Value::Timestamp(_)]) => Ok(value.clone()),
        (Func::ToDuration, [Value::Int(nanos)]) => Ok(Value::Duration(*nanos)),
        (Func::ToTimestamp, [Value::Int(seconds)]) => Timestamp::from_second(*seconds)
            .map_err(|_| EvalError::Overflow("timestamp"))
            .and_then(in_range)
            .map(Value::Timestamp),
        (_, [value]) => match (function, value.as_str()) {
            (Func::ToDuration, Some(text)) => parse_duration(text).map(Value::Duration),
            (Func::ToTimestamp, Some(text)) => parse_timestamp(text).map(Value::Timestamp),
            _ => no_overload(function),
        },
        _ => no_overload(function),
    }
}

pub(super) fn in_range(at: Timestamp) -> Result<Timestamp, EvalError> {
    if (FIRST_SECOND..=LAST_SECOND).contains(&at.as_second()) {
        Ok(at)
    } else {
        Err(EvalError::Overflow("timestamp"))
    }
}

/// Reads an RFC 3339 timestamp, no other form.
///
/// # Errors
/// Another form, an impossible date, a year outside 1 to 9999.
pub fn parse_timestamp(text: &str) -> Result<Timestamp, EvalError> {
    let wrong =
        || EvalError::invalid(format!("type conversion error: `{text}` is not an RFC 3339 timestamp"));
    // jiff reads more than RFC 3339 (`t`, spaces, missing parts); what the API server refuses must not pass here.
    if !has_rfc3339_shape(text.as_bytes()) {
        return Err(wrong());
    }
    text.parse::<Timestamp>().map_err(|_| wrong()).and_then(in_range)
}

fn has_rfc3339_shape(text: &[u8]) -> bool {
    let fits = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                shape => byte == shape,
            })
    };
    let Some((head, tail)) = text.split_at_checked(19) else {
        return false;
    };
    let zone = match tail.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            // Go reads any number of digits, but nothing beyond nanoseconds has a meaning.
            if digits == 0 || digits > 9 {
                return false;
            }
            fraction.get(digits..).unwrap_or_default()
        }
        _ => tail,
    };
    // The 60th second is a leap second, which Go refuses.
    fits(head, b"0000-00-00T00:00:00")
        && head.get(17) != Some(&b'6')
        && (zone == b"Z" || fits(zone, b"+00:00"))
}

/// Reads a duration as Go's `time.ParseDuration`: `1h30m`, `-1.5s`, `100ms`, `0`.
///
/// # Errors
/// Another form, or a value beyond `i64` nanoseconds (some 292 years).
pub fn parse_duration(text: &str) -> Result<i64, EvalError> {
    let wrong = || EvalError::invalid(format!("invalid duration `{text}`"));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(wrong());
        }
        let unit_end = after.find(|char: char| char == '.' || char.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit = unit_nanos(unit).ok_or_else(wrong)?;
        let whole: i128 =
            if whole.is_empty() { 0 } else { whole.parse::<u64>().map_err(|_| wrong())?.into() };
        total += whole * unit + fraction_nanos(fraction, unit);
        if total > i128::from(i64::MAX) + 1 {
            return Err(wrong());
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| wrong())
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// The nanoseconds of a fraction of a unit, truncated; digits beyond the 18th cannot matter.
fn fraction_nanos(fraction: &str, unit: i128) -> i128 {
    let mut scale: i128 = 1;
    let mut value: i128 = 0;
    for digit in fraction.bytes().take(18) {
        value = value * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    value * unit / scale
}

/// A duration as `string(duration)` writes it: seconds, as few digits as needed.
pub(super) fn duration_text(nanos: i64) -> String {
    // As Go does: whole seconds and the fraction are added as doubles.
    let seconds = (nanos / 1_000_000_000) as f64 + (nanos % 1_000_000_000) as f64 / 1e9;
    format!("{seconds}s")
}

/// `getFullYear` and so on, of timestamps (in a zone) and durations (totals).
pub(super) fn part<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match args {
        [Value::Timestamp(at)] => of_timestamp(function, *at, TimeZone::UTC),
        [Value::Timestamp(at), zone] => {
            let Some(zone) = zone.as_str() else {
                return no_overload(function);
            };
            // Finding a zone reads the built-in database.
            fuel.spend(10)?;
            of_timestamp(function, *at, time_zone(zone)?)
        }
        [Value::Duration(nanos)] => Ok(Value::Int(match function {
            Func::GetHours => nanos / 3_600_000_000_000,
            Func::GetMinutes => nanos / 60_000_000_000,
            Func::GetSeconds => nanos / 1_000_000_000,
            Func::GetMilliseconds => nanos / 1_000_000,
            _ => return no_overload(function),
        })),
        _ => no_overload(function),
    }
}

fn time_zone(name: &str) -> Result<TimeZone, EvalError> {
    let unknown = || EvalError::invalid(format!("unknown time zone `{name}`"));
    let Some((hours, minutes)) = name.split_once(':') else {
        if name.is_empty() || name == "UTC" {
            return Ok(TimeZone::UTC);
        }
        return jiff::tz::db().get(name).map_err(|_| unknown());
    };
    let negative = hours.starts_with('-');
    let hours: i32 = hours.parse().map_err(|_| unknown())?;
    let minutes: i32 = minutes.parse().map_err(|_| unknown())?;
    if !(0..=59).contains(&minutes) || !(-24..=24).contains(&hours) {
        return Err(EvalError::invalid(format!("timezone offset out of range: `{name}`")));
    }
    let seconds = hours * 3_600 + if negative { -minutes } else { minutes } * 60;
    Offset::from_seconds(seconds).map(TimeZone::fixed).map_err(|_| unknown())
}

fn of_timestamp<'a>(function: Func, at: Timestamp, zone: TimeZone) -> Outcome<'a> {
    let at = zone.to_datetime(at);
    Ok(Value::Int(match function {
        Func::GetFullYear => at.year().into(),
        Func::GetMonth => i64::from(at.month()) - 1,
        Func::GetDate => at.day().into(),
        Func::GetDayOfMonth => i64::from(at.day()) - 1,
        Func::GetDayOfWeek => weekday(at.weekday()),
        Func::GetDayOfYear => i64::from(at.day_of_year()) - 1,
        Func::GetHours => at.hour().into(),
        Func::GetMinutes => at.minute().into(),
        Func::GetSeconds => at.second().into(),
        Func::GetMilliseconds => at.millisecond().into(),
        _ => return no_overload(function),
    }))
}

fn weekday(day: Weekday) -> i64 {
    day.to_sunday_zero_offset().into()
}
