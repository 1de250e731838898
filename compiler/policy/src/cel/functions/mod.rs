//! Functions and operators. Each takes evaluated arguments, charges fuel before it walks or makes anything,
//! and gives a value or an error; none panics on arguments that the type checker would have rejected.

pub(super) mod authorizer;
pub(super) mod convert;
mod encoders;
mod format;
pub(super) mod lists;
mod math;
pub(super) mod named_formats;
pub(super) mod network;
mod operators;
mod optionals;
pub(super) mod quantity;
pub(super) mod regexes;
pub(super) mod semver;
mod sets;
mod strings;
pub(super) mod time;
pub(super) mod urls;

use super::value::Value;
use super::{EvalError, Fuel, Scope, opaque};
use crate::ir::Func;

/// The result of a function.
type Outcome<'a> = Result<Value<'a>, EvalError>;

/// No overload of the function accepts these arguments.
pub(super) const fn no_overload<'a>(function: Func) -> Outcome<'a> {
    Err(EvalError::NoSuchOverload(function.name()))
}

/// Calls a function of the standard environment or of an extension.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], scope: &mut Scope<'a>) -> Outcome<'a> {
    use Func as F;
    if scope.may_hold_opaque() {
        opaque::refuse(function, args, &mut scope.fuel)?;
    }
    let fuel = &mut scope.fuel;
    match function {
        F::Equal | F::NotEqual | F::Less | F::LessEqual | F::Greater | F::GreaterEqual | F::In => {
            operators::relation(function, args, fuel)
        }
        F::Add | F::Subtract | F::Multiply | F::Divide | F::Modulo | F::Negate => {
            operators::arithmetic(function, args, fuel)
        }
        F::Size | F::Contains | F::StartsWith | F::EndsWith => strings::standard(function, args, fuel),
        F::MatchesDynamic | F::Find | F::FindAll => regexes::call(function, args, fuel),
        F::ToInt | F::ToUint | F::ToDouble | F::ToString | F::ToBool | F::ToBytes | F::TypeOf | F::Dyn => {
            convert::call(function, args, fuel)
        }
        F::ToDuration | F::ToTimestamp => {
            spend_texts(args, fuel)?;
            time::convert(function, args)
        }
        F::GetFullYear | F::GetMonth | F::GetDate | F::GetDayOfMonth | F::GetDayOfWeek | F::GetDayOfYear => {
            time::part(function, args, fuel)
        }
        F::GetHours | F::GetMinutes | F::GetSeconds | F::GetMilliseconds => time::part(function, args, fuel),
        F::OptionalOf | F::OptionalNone | F::OptionalOfNonZero | F::OptionalUnwrap => {
            optionals::call(function, args, fuel)
        }
        F::HasValue | F::Value | F::Or | F::OrValue => optionals::call(function, args, fuel),
        F::Base64Encode | F::Base64Decode => encoders::call(function, args, fuel),
        F::Path | F::Group | F::ServiceAccount | F::Resource | F::Subresource | F::InNamespace | F::Named => {
            authorizer::call(function, args, scope)
        }
        F::FieldSelector | F::LabelSelector | F::Check | F::Allowed | F::Errored | F::ErrorOf | F::Reason => {
            authorizer::call(function, args, scope)
        }
        _ => extension(function, args, fuel),
    }
}

/// Charges for functions that read their texts to the end, and repeat them in their errors.
fn spend_texts(args: &[Value<'_>], fuel: &mut Fuel) -> Result<(), EvalError> {
    args.iter().filter_map(Value::as_str).try_for_each(|text| fuel.spend_bytes(text.len()))
}

/// The extensions of cel-go: strings, lists, sets, math. If several of them overload one name, the type of
/// the first argument decides.
fn extension<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    use Func as F;
    match function {
        F::IndexOf | F::LastIndexOf | F::Reverse if matches!(args.first(), Some(Value::List(_))) => {
            lists::call(function, args, fuel)
        }
        F::IndexOf | F::LastIndexOf | F::Reverse | F::CharAt | F::LowerAscii | F::UpperAscii => {
            strings::extension(function, args, fuel)
        }
        F::Replace | F::Split | F::Substring | F::Trim | F::Join | F::Quote => {
            strings::extension(function, args, fuel)
        }
        F::Format => format::format(args, fuel),
        F::IsSorted | F::Sum | F::Min | F::Max | F::Slice | F::Flatten => lists::call(function, args, fuel),
        F::Distinct | F::Sort | F::Range | F::First | F::Last | F::Includes => {
            lists::call(function, args, fuel)
        }
        F::SetsContains | F::SetsEquivalent | F::SetsIntersects => sets::call(function, args, fuel),
        F::Greatest | F::Least | F::Ceil | F::Floor | F::Abs | F::Round | F::Trunc | F::MathSign => {
            math::call(function, args, fuel)
        }
        F::IsNan | F::IsInf | F::IsFinite | F::Sqrt => math::call(function, args, fuel),
        F::BitAnd | F::BitOr | F::BitXor | F::BitNot | F::BitShiftLeft | F::BitShiftRight => {
            math::call(function, args, fuel)
        }
        _ => kubernetes(function, args, fuel),
    }
}

/// The API server's own libraries, and ours.
fn kubernetes<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    use Func as F;
    match function {
        F::Quantity | F::IsQuantity | F::IsInteger | F::AsInteger | F::AsApproximateFloat | F::Sign => {
            quantity::call(function, args, fuel)
        }
        F::IsGreaterThan | F::IsLessThan | F::CompareTo if matches!(args.first(), Some(Value::Semver(_))) => {
            semver::call(function, args, fuel)
        }
        F::Semver | F::IsSemver | F::Major | F::Minor | F::Patch => semver::call(function, args, fuel),
        F::Url | F::IsUrl | F::GetScheme | F::GetHost | F::GetHostname | F::GetPort => {
            urls::call(function, args, fuel)
        }
        F::GetEscapedPath | F::GetQuery => urls::call(function, args, fuel),
        F::FormatNamed | F::Validate => named_formats::call(function, args, fuel),
        F::IsGreaterThan | F::IsLessThan | F::CompareTo | F::QuantityAdd | F::QuantitySub => {
            quantity::call(function, args, fuel)
        }
        F::Ip | F::IsIp | F::IpIsCanonical | F::Family | F::IsUnspecified | F::IsLoopback => {
            spend_texts(args, fuel)?;
            network::address(function, args)
        }
        F::IsLinkLocalMulticast | F::IsLinkLocalUnicast | F::IsGlobalUnicast | F::IsPrivate => {
            spend_texts(args, fuel)?;
            network::address(function, args)
        }
        F::Cidr | F::IsCidr | F::ContainsIp | F::ContainsCidr | F::CidrIp | F::Masked | F::PrefixLength => {
            spend_texts(args, fuel)?;
            network::prefix(function, args)
        }
        F::OnlyRuns => opaque::call(function, args, fuel),
        _ => no_overload(function),
    }
}
