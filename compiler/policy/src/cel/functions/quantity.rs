//! Kubernetes quantities, as `k8s.io/apimachinery/pkg/api/resource.Quantity` reads, compares, adds and writes
//! them.
//!
//! A decimal number `value × 10^scale`. Bounds: a coefficient of more than 38 digits, or an exponent beyond
//! ±1000, is refused (Go computes with numbers of any size there). No resource of a real cluster comes near
//! these bounds, and a hostile one must not buy time.

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use super::super::value::Value;
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload};
use crate::ir::Func;

/// A quantity.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    value: i128,
    scale: i32,
    /// Whether Go would hold it as `int64Amount` (and not as `inf.Dec`): only those convert to an integer.
    small: bool,
    format: Format,
}

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Binary,
    Decimal,
    Exponent,
}

/// Smallest representable part: 10^-9.
const NANO: i32 = -9;
const MAX_EXPONENT: i32 = 1_000;

/// `quantity` and the functions of one.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, args) {
        (Func::Quantity | Func::IsQuantity, [value]) => {
            let Some(text) = value.as_str() else {
                return no_overload(function);
            };
            fuel.spend_bytes(text.len())?;
            let parsed = Quantity::parse(text);
            if function == Func::IsQuantity {
                return Ok(Value::Bool(parsed.is_some()));
            }
            parsed.map(|quantity| Value::Quantity(Rc::new(quantity))).ok_or_else(|| {
                EvalError::invalid(format!(
                    "`{text}` is not a quantity; quantities must match the regular expression \
                     '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                ))
            })
        }
        (_, [Value::Quantity(quantity)]) => of_one(function, quantity),
        (_, [Value::Quantity(left), Value::Quantity(right)]) => of_two(function, left, right),
        (Func::QuantityAdd | Func::QuantitySub, [Value::Quantity(left), Value::Int(right)]) => {
            of_two(function, left, &Quantity::from_int(*right))
        }
        _ => no_overload(function),
    }
}

fn of_one<'a>(function: Func, quantity: &Quantity) -> Outcome<'a> {
    Ok(match function {
        Func::IsInteger => Value::Bool(quantity.as_integer().is_some()),
        Func::AsInteger => Value::Int(
            quantity.as_integer().ok_or_else(|| EvalError::invalid("cannot convert value to integer"))?,
        ),
        Func::AsApproximateFloat => Value::Double(quantity.approximate()),
        Func::Sign => Value::Int(i64::from(quantity.value.signum() as i8)),
        _ => return no_overload(function),
    })
}

fn of_two<'a>(function: Func, left: &Quantity, right: &Quantity) -> Outcome<'a> {
    let order = || left.compare(right);
    Ok(match function {
        Func::IsGreaterThan => Value::Bool(order().is_gt()),
        Func::IsLessThan => Value::Bool(order().is_lt()),
        Func::CompareTo => Value::Int(order() as i64),
        Func::QuantityAdd | Func::QuantitySub => {
            let right = if function == Func::QuantitySub {
                let value = right.value.checked_neg().ok_or(EvalError::Overflow("quantity"))?;
                &Quantity { value, ..*right }
            } else {
                right
            };
            Value::Quantity(Rc::new(left.plus(right).ok_or(EvalError::Overflow("quantity"))?))
        }
        _ => return no_overload(function),
    })
}

impl Quantity {
    /// Reads a quantity; `None` for other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let digits_end = |text: &str| text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
        let (whole, rest) = unsigned.split_at(digits_end(unsigned));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits_end(rest)),
            None => ("", rest),
        };
        let whole = whole.trim_start_matches('0');
        // Go reads a text without any digit, such as `+` or `.`, as 0; only the empty text and a wrong suffix
        // are rejected.
        let (base, exponent, format) = suffix_meaning(suffix)?;
        let mut value: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let digits = i32::try_from(whole.len().max(1) + fraction.len()).ok()?;
        let places = i32::try_from(fraction.len()).ok()?;
        let mut quantity = Quantity { value, scale: -places, small: false, format };
        let precision = match base {
            10 => {
                quantity.scale += exponent;
                18 - digits
            }
            _ => {
                quantity.value = value.checked_mul(1_i128.checked_shl(exponent.unsigned_abs())?)?;
                if fraction.is_empty() { 15 - digits - exponent * 3 / 10 - 1 } else { -1 }
            }
        };
        // Go keeps a number that certainly fits as `i64`; any other goes through its big decimal.
        let fits = i64::try_from(quantity.value).is_ok();
        if precision >= 0 && quantity.scale >= NANO && fits {
            quantity.small = true;
        } else {
            quantity = quantity.bounded()?;
        }
        quantity.value = if negative { -quantity.value } else { quantity.value };
        Some(quantity)
    }

    /// Rounds away from zero to whole nanos, and caps binary quantities at `i64`'s maximum.
    fn bounded(mut self) -> Option<Self> {
        if self.scale < NANO && self.value != 0 {
            let drop = self.scale.checked_neg()?.checked_add(NANO)?.unsigned_abs();
            self.value = match 10_i128.checked_pow(drop) {
                Some(divisor) => self.value / divisor + i128::from(self.value % divisor != 0),
                None => 1,
            };
            self.scale = NANO;
        }
        if self.format == Format::Binary {
            let cap = Quantity { value: i64::MAX.into(), scale: 0, ..self };
            if self.compare(&cap).is_gt() {
                self = cap;
            }
            let one = Quantity { value: 1, scale: 0, ..self };
            if self.value > 0 && self.compare(&one).is_lt() {
                self.format = Format::Decimal;
            }
        }
        Some(self)
    }

    fn from_int(value: i64) -> Self {
        Quantity { value: value.into(), scale: 0, small: true, format: Format::Exponent }
    }

    /// The integer, exactly, where Go's `AsInt64` gives one.
    fn as_integer(&self) -> Option<i64> {
        if !self.small || self.scale < 0 {
            return None;
        }
        if self.value == 0 {
            return Some(0);
        }
        let value = self.value.checked_mul(10_i128.checked_pow(self.scale.unsigned_abs())?)?;
        i64::try_from(value).ok()
    }

    /// The value in thousandths; `None` if it is not a whole number of them, or does not fit.
    #[must_use]
    pub fn thousandths(&self) -> Option<i128> {
        let scale = self.scale.checked_add(3)?;
        let power = 10_i128.checked_pow(scale.unsigned_abs())?;
        if scale >= 0 {
            return self.value.checked_mul(power);
        }
        (self.value % power == 0).then(|| self.value / power)
    }

    fn approximate(&self) -> f64 {
        if self.scale == 0 { self.value as f64 } else { self.value as f64 * 10_f64.powi(self.scale) }
    }

    /// The order of two quantities by value.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let signs = self.value.signum().cmp(&other.value.signum());
        if signs.is_ne() || self.value == 0 {
            return signs;
        }
        if let Some((left, right, _)) = self.aligned(other) {
            return left.cmp(&right);
        }
        // Scales so far apart that they have no common one: the number of digits before the point decides.
        let magnitude =
            |quantity: &Self| i64::from(quantity.value.unsigned_abs().ilog10()) + i64::from(quantity.scale);
        let order = magnitude(self).cmp(&magnitude(other));
        let order = order.then_with(|| self.leading_digits().cmp(&other.leading_digits()));
        if self.value < 0 { order.reverse() } else { order }
    }

    /// The coefficient, scaled up to as many digits as fit: comparable among numbers of one magnitude.
    fn leading_digits(&self) -> u128 {
        let mut digits = self.value.unsigned_abs();
        while digits.ilog10() < 37 {
            digits *= 10;
        }
        if digits.ilog10() > 37 { digits / 10 } else { digits }
    }

    /// Both coefficients at the smaller of the two scales.
    fn aligned(&self, other: &Self) -> Option<(i128, i128, i32)> {
        let scale = self.scale.min(other.scale);
        let up = |quantity: &Self| {
            let by = quantity.scale.checked_sub(scale)?.unsigned_abs();
            quantity.value.checked_mul(10_i128.checked_pow(by)?)
        };
        Some((up(self)?, up(other)?, scale))
    }

    /// The nearest whole number away from zero.
    fn rounded_up(&self) -> Option<i128> {
        let power = 10_i128.checked_pow(self.scale.unsigned_abs())?;
        if self.scale >= 0 {
            return self.value.checked_mul(power);
        }
        Some(self.value / power + if self.value % power == 0 { 0 } else { self.value.signum() })
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        let format = if self.value == 0 { other.format } else { self.format };
        if other.value == 0 && self.small && other.small {
            return Some(Quantity { format, ..*self });
        }
        if self.value == 0 && self.small && other.small {
            return Some(Quantity { format, ..*other });
        }
        let (left, right, scale) = self.aligned(other)?;
        let value = left.checked_add(right)?;
        let fits = |number: i128| i64::try_from(number).is_ok();
        let small = self.small && other.small && fits(left) && fits(right) && fits(value);
        Some(Quantity { value, scale, small, format })
    }
}

/// Base and exponent of a suffix, and how quantities with it are written.
fn suffix_meaning(suffix: &str) -> Option<(u8, i32, Format)> {
    Some(match suffix {
        "" => (10, 0, Format::Decimal),
        "n" => (10, -9, Format::Decimal),
        "u" => (10, -6, Format::Decimal),
        "m" => (10, -3, Format::Decimal),
        "k" => (10, 3, Format::Decimal),
        "M" => (10, 6, Format::Decimal),
        "G" => (10, 9, Format::Decimal),
        "T" => (10, 12, Format::Decimal),
        "P" => (10, 15, Format::Decimal),
        "E" => (10, 18, Format::Decimal),
        "Ki" => (2, 10, Format::Binary),
        "Mi" => (2, 20, Format::Binary),
        "Gi" => (2, 30, Format::Binary),
        "Ti" => (2, 40, Format::Binary),
        "Pi" => (2, 50, Format::Binary),
        "Ei" => (2, 60, Format::Binary),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            if exponent.abs() > MAX_EXPONENT {
                return None;
            }
            (10, exponent, Format::Exponent)
        }
    })
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that leaves a whole number.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value == 0 {
            return out.write_str("0");
        }
        // As in Go, less than a Ki is written decimally, and the fraction of a larger value is rounded away.
        if let (Format::Binary, Some(whole)) = (self.format, self.rounded_up())
            && whole.unsigned_abs() >= 1024
        {
            let suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            let mut value = whole;
            let mut steps = 0;
            while value % 1024 == 0 && steps + 1 < suffixes.len() {
                value /= 1024;
                steps += 1;
            }
            return write!(out, "{value}{}", suffixes.get(steps).unwrap_or(&""));
        }
        let (mut value, mut scale) = (self.value, self.scale);
        while value % 10 == 0 {
            value /= 10;
            scale += 1;
        }
        while scale % 3 != 0 {
            value = value.saturating_mul(10);
            scale -= 1;
        }
        let suffix = match (self.format, scale) {
            (_, 0) => "",
            (Format::Exponent, _) => return write!(out, "{value}e{scale}"),
            (_, -9) => "n",
            (_, -6) => "u",
            (_, -3) => "m",
            (_, 3) => "k",
            (_, 6) => "M",
            (_, 9) => "G",
            (_, 12) => "T",
            (_, 15) => "P",
            (_, 18) => "E",
            _ => return write!(out, "{value}e{scale}"),
        };
        write!(out, "{value}{suffix}")
    }
}
