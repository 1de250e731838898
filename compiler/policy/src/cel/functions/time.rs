//! Timestamps and durations. A timestamp is within years 1 to 9999; a duration is Go's, `i64` nanoseconds.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use super::super::value::Value;
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload};
use crate::ir::Func;

/// 0001-01-01T00:00:00Z.
pub(super) const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;

/// A point in time within the years that CEL supports; `jiff::Timestamp` ends two days before the year 9999
/// does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

impl Timestamp {
    /// The point this long after (or before) 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// A point outside years 1 to 9999.
    pub fn from_epoch(since: SignedDuration) -> Result<Self, EvalError> {
        let nanos = since.subsec_nanos();
        let (seconds, nanos) = match u32::try_from(nanos) {
            Ok(nanos) => (Some(since.as_secs()), nanos),
            // Before a whole second: count up from the previous one.
            Err(_) => {
                (since.as_secs().checked_sub(1), 1_000_000_000_u32.saturating_sub(nanos.unsigned_abs()))
            }
        };
        match seconds {
            Some(seconds) if (FIRST_SECOND..=LAST_SECOND).contains(&seconds) => Ok(Self { seconds, nanos }),
            _ => Err(EvalError::Overflow("timestamp")),
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn as_second(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds since the second.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// The duration since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn since_epoch(self) -> SignedDuration {
        SignedDuration::from_secs(self.seconds) + SignedDuration::from_nanos(i64::from(self.nanos))
    }

    fn civil(self, offset: Offset) -> Result<DateTime, EvalError> {
        EPOCH
            .checked_add(self.since_epoch())
            .and_then(|at| at.checked_add(SignedDuration::from_secs(offset.seconds().into())))
            .map_err(|_| EvalError::Overflow("timestamp"))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with as many fraction digits as needed.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.civil(Offset::UTC).map_err(|_| fmt::Error)?;
        write!(out, "{at}Z")
    }
}

/// `duration(x)`, `timestamp(x)`.
pub(super) fn convert<'a>(function: Func, args: &[Value<'a>]) -> Outcome<'a> {
    match (function, args) {
        (Func::ToDuration, [value @ Value::Duration(_)])
        | (Func::ToTimestamp, [value @ Value::Timestamp(_)]) => Ok(value.clone()),
        (Func::ToDuration, [Value::Int(nanos)]) => Ok(Value::Duration(*nanos)),
        (Func::ToTimestamp, [Value::Int(seconds)]) => {
            Timestamp::from_epoch(SignedDuration::from_secs(*seconds)).map(Value::Timestamp)
        }
        (_, [value]) => match (function, value.as_str()) {
            (Func::ToDuration, Some(text)) => parse_duration(text).map(Value::Duration),
            (Func::ToTimestamp, Some(text)) => parse_timestamp(text).map(Value::Timestamp),
            _ => no_overload(function),
        },
        _ => no_overload(function),
    }
}

/// Reads an RFC 3339 timestamp and no other form.
///
/// # Errors
/// Another form, an impossible date, a year outside 1 to 9999.
pub fn parse_timestamp(text: &str) -> Result<Timestamp, EvalError> {
    let wrong =
        || EvalError::invalid(format!("type conversion error: `{text}` is not an RFC 3339 timestamp"));
    let (date, after) = text.split_once('T').ok_or_else(wrong)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2]).ok_or_else(wrong)?;
    let zone_at = after.find(['Z', '+', '-']).ok_or_else(wrong)?;
    let (clock, zone) = after.split_at(zone_at);
    let (clock, fraction) =
        clock.split_once('.').map_or((clock, None), |(clock, digits)| (clock, Some(digits)));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2]).ok_or_else(wrong)?;
    let nanos = fraction.map_or(Some(0), subsecond).ok_or_else(wrong)?;
    let offset = offset_seconds(zone).ok_or_else(wrong)?;
    let small = |number: i32| i8::try_from(number).unwrap_or(i8::MAX);
    let at = i16::try_from(year)
        .ok()
        .and_then(|year| Date::new(year, small(month), small(day)).ok())
        .zip(Time::new(small(hour), small(minute), small(second), nanos).ok())
        .map(|(date, time)| date.to_datetime(time))
        .ok_or_else(wrong)?;
    let local = at.duration_since(EPOCH);
    Timestamp::from_epoch(local - SignedDuration::from_secs(offset.into()))
}

/// Whether it is a date such as `2006-01-02`.
pub(super) fn is_date(text: &str) -> bool {
    let Some([year, month, day]) = numbers(text, '-', [4, 2, 2]) else { return false };
    let small = |number: i32| i8::try_from(number).unwrap_or(i8::MAX);
    i16::try_from(year).is_ok_and(|year| Date::new(year, small(month), small(day)).is_ok())
}

/// Three numbers of exactly these widths with a separator between them.
fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[i32; 3]> {
    let mut parts = text.split(separator);
    let mut next = |width: usize| {
        let part = parts.next()?;
        (part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok())?
    };
    let [first, second, third] = widths;
    let numbers = [next(first)?, next(second)?, next(third)?];
    parts.next().is_none().then_some(numbers)
}

/// A fraction of a second in nanoseconds; further digits have no meaning and are rejected.
fn subsecond(digits: &str) -> Option<i32> {
    let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| format!("{digits:0<9}").parse().ok())?
}

/// `Z`, `+hh:mm`, `-hh:mm`.
fn offset_seconds(zone: &str) -> Option<i32> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let [hours, minutes, _] = numbers(&format!("{}:0", zone.get(1..)?), ':', [2, 2, 1])?;
    (hours <= 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
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

/// The nanoseconds of a fraction of a unit, truncated; digits beyond the 18th do not matter.
fn fraction_nanos(fraction: &str, unit: i128) -> i128 {
    let mut scale: i128 = 1;
    let mut value: i128 = 0;
    for digit in fraction.bytes().take(18) {
        value = value * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    value * unit / scale
}

/// A duration as `string(duration)` writes it: seconds, with as few digits as needed.
pub(super) fn duration_text(nanos: i64) -> String {
    // As Go does: whole seconds and the fraction are added as doubles.
    let seconds = (nanos / 1_000_000_000) as f64 + (nanos % 1_000_000_000) as f64 / 1e9;
    format!("{seconds}s")
}

/// `getFullYear` and so on, of timestamps (in a zone) and durations (totals).
pub(super) fn part<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match args {
        [Value::Timestamp(at)] => of_timestamp(function, *at, &TimeZone::UTC),
        [Value::Timestamp(at), zone] => {
            let Some(zone) = zone.as_str() else {
                return no_overload(function);
            };
            // Finding a zone reads the built-in database.
            fuel.spend(10)?;
            of_timestamp(function, *at, &time_zone(zone)?)
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

fn of_timestamp<'a>(function: Func, at: Timestamp, zone: &TimeZone) -> Outcome<'a> {
    // In the last two days of year 9999, a zone's rule is that of the days before.
    let near = jiff::Timestamp::from_second(at.as_second()).unwrap_or(jiff::Timestamp::MAX);
    let at = at.civil(zone.to_offset(near))?;
    Ok(Value::Int(match function {
        Func::GetFullYear => at.year().into(),
        Func::GetMonth => i64::from(at.month()) - 1,
        Func::GetDate => at.day().into(),
        Func::GetDayOfMonth => i64::from(at.day()) - 1,
        Func::GetDayOfWeek => at.weekday().to_sunday_zero_offset().into(),
        Func::GetDayOfYear => i64::from(at.day_of_year()) - 1,
        Func::GetHours => at.hour().into(),
        Func::GetMinutes => at.minute().into(),
        Func::GetSeconds => at.second().into(),
        Func::GetMilliseconds => at.millisecond().into(),
        _ => return no_overload(function),
    }))
}
