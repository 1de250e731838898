//! The argument and result types of each function: the standard definitions of CEL, cel-go's extension
//! libraries and the Kubernetes ones, written as signatures.
//!
//! <https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions>,
//! <https://kubernetes.io/docs/reference/using-api/cel/>
//!
//! Notation: `RECEIVER.(ARGUMENTS):RESULT` or `(ARGUMENTS):RESULT`; `A`, `B` type parameters, `[T]` list,
//! `{K:V}` map, `?T` optional.

use std::sync::LazyLock;

use bailiwick_policy::cel::NamedFormat;
use bailiwick_policy::ir::Func::{self, *};

use super::types::Type;

/// One way to call a function.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Signature {
    pub(super) receiver: Option<Type>,
    pub(super) arguments: Vec<Type>,
    pub(super) result: Type,
}

/// All signatures of a function.
pub(super) struct Overloads {
    pub(super) func: Func,
    pub(super) signatures: Vec<Signature>,
}

const ORDERED: &str = "(bool,bool):bool (int,int):bool (uint,uint):bool (double,double):bool (string,string):bool \
    (bytes,bytes):bool (duration,duration):bool (timestamp,timestamp):bool (int,uint):bool (int,double):bool \
    (uint,int):bool (uint,double):bool (double,int):bool (double,uint):bool";
const ARITHMETIC: &str = "(int,int):int (uint,uint):uint (double,double):double";
const EXTREME: &str = "[int].():int [uint].():uint [double].():double [bool].():bool [string].():string \
    [bytes].():bytes [duration].():duration [timestamp].():timestamp";
const CALENDAR: &str = "timestamp.():int timestamp.(string):int";
const CLOCK: &str = "timestamp.():int timestamp.(string):int duration.():int";
const ROUNDED: &str = "(double):double";
const BITS: &str = "(int,int):int (uint,uint):uint";
const ADDRESS_TEST: &str = "ip.():bool";
const OF_URL: &str = "url.():string";

const NARROWED: &str = "resourceCheck.(string):resourceCheck";

const TABLE: &[(Func, &str)] = &[
    (Equal, "(A,A):bool"),
    (NotEqual, "(A,A):bool"),
    (Less, ORDERED),
    (LessEqual, ORDERED),
    (Greater, ORDERED),
    (GreaterEqual, ORDERED),
    (
        Add,
        "(int,int):int (uint,uint):uint (double,double):double (string,string):string (bytes,bytes):bytes \
         ([A],[A]):[A] (duration,duration):duration (timestamp,duration):timestamp (duration,timestamp):timestamp",
    ),
    (
        Subtract,
        "(int,int):int (uint,uint):uint (double,double):double (duration,duration):duration \
         (timestamp,duration):timestamp (timestamp,timestamp):duration",
    ),
    (Multiply, ARITHMETIC),
    (Divide, ARITHMETIC),
    (Modulo, "(int,int):int (uint,uint):uint"),
    (Negate, "(int):int (double):double"),
    (In, "(A,[A]):bool (A,{A:B}):bool"),
    (
        Size,
        "(string):int (bytes):int ([A]):int ({A:B}):int string.():int bytes.():int [A].():int {A:B}.():int",
    ),
    (Contains, "string.(string):bool"),
    (StartsWith, "string.(string):bool"),
    (EndsWith, "string.(string):bool"),
    (MatchesDynamic, "string.(string):bool (string,string):bool"),
    (ToInt, "(int):int (uint):int (double):int (string):int (timestamp):int"),
    (ToUint, "(uint):uint (int):uint (double):uint (string):uint"),
    (ToDouble, "(double):double (int):double (uint):double (string):double"),
    (
        ToString,
        "(string):string (bool):string (int):string (uint):string (double):string (bytes):string (timestamp):string \
         (duration):string (ip):string (cidr):string",
    ),
    (ToBool, "(bool):bool (string):bool"),
    (ToBytes, "(bytes):bytes (string):bytes"),
    (ToDuration, "(string):duration (duration):duration"),
    (ToTimestamp, "(string):timestamp (int):timestamp (timestamp):timestamp"),
    (TypeOf, "(A):type"),
    (Dyn, "(A):dyn"),
    (GetFullYear, CALENDAR),
    (GetMonth, CALENDAR),
    (GetDate, CALENDAR),
    (GetDayOfMonth, CALENDAR),
    (GetDayOfWeek, CALENDAR),
    (GetDayOfYear, CALENDAR),
    (GetHours, CLOCK),
    (GetMinutes, CLOCK),
    (GetSeconds, CLOCK),
    (GetMilliseconds, CLOCK),
    (OptionalOf, "(A):?A"),
    (OptionalNone, "():?free"),
    (OptionalOfNonZero, "(A):?A"),
    (HasValue, "?A.():bool"),
    (Value, "?A.():A"),
    (Or, "?A.(?A):?A"),
    (OrValue, "?A.(A):A"),
    (OptionalUnwrap, "[?A].():[A]"),
    (CharAt, "string.(int):string"),
    (IndexOf, "string.(string):int string.(string,int):int [A].(A):int"),
    (LastIndexOf, "string.(string):int string.(string,int):int [A].(A):int"),
    (LowerAscii, "string.():string"),
    (UpperAscii, "string.():string"),
    (Replace, "string.(string,string):string string.(string,string,int):string"),
    (Split, "string.(string):[string] string.(string,int):[string]"),
    (Substring, "string.(int):string string.(int,int):string"),
    (Trim, "string.():string"),
    (Join, "[string].():string [string].(string):string"),
    (Reverse, "string.():string [A].():[A]"),
    (Quote, "(string):string"),
    (Format, "string.([dyn]):string"),
    (Find, "string.(string):string"),
    (FindAll, "string.(string):[string] string.(string,int):[string]"),
    (
        IsSorted,
        "[int].():bool [uint].():bool [double].():bool [bool].():bool [string].():bool [bytes].():bool \
         [duration].():bool [timestamp].():bool",
    ),
    (Sum, "[int].():int [uint].():uint [double].():double [duration].():duration"),
    (Min, EXTREME),
    (Max, EXTREME),
    (Slice, "[A].(int,int):[A]"),
    (Flatten, "[[A]].():[A] [dyn].(int):[dyn]"),
    (Distinct, "[A].():[A]"),
    (Sort, "[A].():[A]"),
    (Range, "(int):[int]"),
    (First, "[A].():?A"),
    (Last, "[A].():?A"),
    // On any type, since a policy may call it on a field that is a value or a list of values.
    (Includes, "dyn.(dyn):bool"),
    (SetsContains, "([A],[A]):bool"),
    (SetsEquivalent, "([A],[A]):bool"),
    (SetsIntersects, "([A],[A]):bool"),
    (Quantity, "(string):quantity"),
    (IsQuantity, "(string):bool"),
    (IsInteger, "quantity.():bool"),
    (AsInteger, "quantity.():int"),
    (AsApproximateFloat, "quantity.():double"),
    (Sign, "quantity.():int"),
    (IsGreaterThan, "quantity.(quantity):bool semver.(semver):bool"),
    (IsLessThan, "quantity.(quantity):bool semver.(semver):bool"),
    (CompareTo, "quantity.(quantity):int semver.(semver):int"),
    (QuantityAdd, "quantity.(quantity):quantity quantity.(int):quantity"),
    (QuantitySub, "quantity.(quantity):quantity quantity.(int):quantity"),
    (Ip, "(string):ip"),
    (IsIp, "(string):bool"),
    (IpIsCanonical, "(string):bool"),
    (Family, "ip.():int"),
    (IsUnspecified, ADDRESS_TEST),
    (IsLoopback, ADDRESS_TEST),
    (IsLinkLocalMulticast, ADDRESS_TEST),
    (IsLinkLocalUnicast, ADDRESS_TEST),
    (IsGlobalUnicast, ADDRESS_TEST),
    (Cidr, "(string):cidr"),
    (IsCidr, "(string):bool"),
    (ContainsIp, "cidr.(ip):bool cidr.(string):bool"),
    (ContainsCidr, "cidr.(cidr):bool cidr.(string):bool"),
    (CidrIp, "cidr.():ip"),
    (Masked, "cidr.():cidr"),
    (PrefixLength, "cidr.():int"),
    (Url, "(string):url"),
    (IsUrl, "(string):bool"),
    (GetScheme, OF_URL),
    (GetHost, OF_URL),
    (GetHostname, OF_URL),
    (GetPort, OF_URL),
    (GetEscapedPath, OF_URL),
    (GetQuery, "url.():{string:[string]}"),
    (Semver, "(string):semver (string,bool):semver"),
    (IsSemver, "(string):bool (string,bool):bool"),
    (Major, "semver.():int"),
    (Minor, "semver.():int"),
    (Patch, "semver.():int"),
    (FormatNamed, "(string):?format"),
    (Validate, "format.(string):?[string]"),
    (IsPrivate, "ip.():bool (string):bool string.():bool"),
    // Any number of numbers, or one list of them: see `calls`.
    (Greatest, "([A]):A"),
    (Least, "([A]):A"),
    (Ceil, ROUNDED),
    (Floor, ROUNDED),
    (Abs, "(int):int (uint):uint (double):double"),
    (Round, ROUNDED),
    (Trunc, ROUNDED),
    (MathSign, "(int):int (uint):uint (double):double"),
    (IsNan, "(double):bool"),
    (IsInf, "(double):bool"),
    (IsFinite, "(double):bool"),
    (Sqrt, "(double):double (int):double (uint):double"),
    (BitAnd, BITS),
    (BitOr, BITS),
    (BitXor, BITS),
    (BitNot, "(int):int (uint):uint"),
    (BitShiftLeft, "(int,int):int (uint,int):uint"),
    (BitShiftRight, "(int,int):int (uint,int):uint"),
    (Base64Encode, "(bytes):string"),
    (Base64Decode, "(string):bytes"),
    (Path, "authorizer.(string):pathCheck"),
    (Group, "authorizer.(string):groupCheck"),
    (ServiceAccount, "authorizer.(string,string):authorizer"),
    (Resource, "groupCheck.(string):resourceCheck"),
    (Subresource, NARROWED),
    (InNamespace, NARROWED),
    (Named, NARROWED),
    (FieldSelector, NARROWED),
    (LabelSelector, NARROWED),
    (Check, "pathCheck.(string):decision resourceCheck.(string):decision"),
    (Allowed, "decision.():bool"),
    (Errored, "decision.():bool"),
    (ErrorOf, "decision.():string"),
    (Reason, "decision.():string"),
    (IsOpaque, "(A):bool"),
    (OnlyRuns, "shell.([string]):bool"),
];

static ALL: LazyLock<Vec<Overloads>> = LazyLock::new(|| {
    let read = |(func, text): &(Func, &str)| Overloads {
        func: *func,
        signatures: text.split_whitespace().filter_map(|text| Text(text).signature()).collect(),
    };
    TABLE.iter().map(read).collect()
});

/// The name that an author calls a function by.
pub(super) fn called(func: Func) -> &'static str {
    match func {
        CidrIp => "ip",
        Format => "format",
        other => other.name(),
    }
}

/// Whether Kubernetes 1.37 has it: strings at version 2, lists at 3, no math, encoders or bindings.
/// `k8s.io/apiserver` v0.37.2, `pkg/cel/environment/base.go`
pub(super) fn on_api_server(func: Func, receiver: Option<&Type>) -> bool {
    match func {
        IsPrivate | Base64Encode | Base64Decode | IsOpaque | OnlyRuns => false,
        Reverse => receiver != Some(&Type::String),
        other => !other.name().starts_with("math."),
    }
}

/// All functions called by this name.
pub(super) fn named(name: &str) -> impl Iterator<Item = &'static Overloads> {
    ALL.iter().filter(move |overloads| called(overloads.func) == name)
}

/// The string format that `format.NAME()` returns, by the whole name.
pub(super) fn named_format(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("format.")?;
    NamedFormat::ALL.iter().find(|(known, _)| *known == name).map(|(known, _)| *known)
}

/// Whether a function has this dotted name.
pub(super) fn is_qualified(name: &str) -> bool {
    named(name).next().is_some() || named_format(name).is_some()
}

/// All functions.
#[cfg(test)]
pub(super) fn all() -> &'static [Overloads] {
    &ALL
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|overloads| called(overloads.func)).filter(|name| !name.contains(['_', '@']))
}

/// The result of an operator for operands of these types.
pub(super) fn operator(func: Func, types: &[Type]) -> Option<Type> {
    let signatures = &ALL.iter().find(|overloads| overloads.func == func)?.signatures;
    result(signatures, None, types)
}

/// The result of a call: that of the matching signature; `dyn` if several match and differ; `None` if none
/// does.
pub(super) fn result(signatures: &[Signature], receiver: Option<&Type>, arguments: &[Type]) -> Option<Type> {
    let mut found: Option<Type> = None;
    for signature in signatures {
        let Some(of) = signature.apply(receiver, arguments) else { continue };
        found = Some(match found {
            Some(other) if other != of => Type::Dyn,
            _ => of,
        });
    }
    found
}

impl Signature {
    fn apply(&self, receiver: Option<&Type>, arguments: &[Type]) -> Option<Type> {
        if self.arguments.len() != arguments.len() || self.receiver.is_some() != receiver.is_some() {
            return None;
        }
        let mut bound = [None, None];
        let formal = self.receiver.iter().chain(&self.arguments);
        let fits = formal
            .zip(receiver.into_iter().chain(arguments))
            .all(|(formal, actual)| unify(formal, actual, &mut bound));
        fits.then(|| substitute(&self.result, &bound))
    }

    /// Whether it is called on a value that may have this type.
    pub(super) fn takes_receiver(&self, receiver: &Type) -> bool {
        self.receiver.as_ref().is_some_and(|formal| unify(formal, receiver, &mut [None, None]))
    }

    /// With its result: `string.startsWith(string): bool`.
    pub(super) fn show_with_result(&self, name: &str) -> String {
        format!("{}: {}", self.show(name), self.result)
    }

    /// As authors read it: `string.startsWith(string)`.
    pub(super) fn show(&self, name: &str) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(Type::to_string).collect();
        let receiver = self.receiver.as_ref().map(|receiver| format!("{receiver}.")).unwrap_or_default();
        format!("{receiver}{name}({})", arguments.join(", "))
    }
}

/// Whether an argument matches. Binds type parameters on the way, to the most general type of what they stand
/// for, as in cel-go.
fn unify(formal: &Type, actual: &Type, bound: &mut [Option<Type>; 2]) -> bool {
    match (formal, actual) {
        (Type::Var(index), actual) => {
            let Some(slot) = bound.get_mut(usize::from(*index)) else { return false };
            let Some(before) = slot.as_ref() else {
                *slot = Some(actual.clone());
                return true;
            };
            let Some(joined) = before.join(actual) else { return false };
            *slot = Some(joined);
            true
        }
        (Type::List(formal), Type::List(actual)) | (Type::Optional(formal), Type::Optional(actual)) => {
            unify(formal, actual, bound)
        }
        (Type::Map(key, value), Type::Map(actual_key, actual_value)) => {
            unify(key, actual_key, bound) && unify(value, actual_value, bound)
        }
        // At evaluation, an object is a map from names.
        (Type::Map(key, value), Type::Object(_)) => {
            unify(key, &Type::String, bound) && unify(value, &Type::Dyn, bound)
        }
        (_, Type::Dyn | Type::Free) => true,
        (Type::List(_) | Type::Map(..) | Type::Optional(_), _) => false,
        (formal, actual) => formal == actual || *formal == Type::Dyn,
    }
}

fn substitute(of: &Type, bound: &[Option<Type>; 2]) -> Type {
    match of {
        Type::Var(index) => bound.get(usize::from(*index)).cloned().flatten().unwrap_or(Type::Dyn),
        Type::List(element) => Type::list(substitute(element, bound)),
        Type::Optional(inner) => Type::optional(substitute(inner, bound)),
        Type::Map(key, value) => Type::map(substitute(key, bound), substitute(value, bound)),
        other => other.clone(),
    }
}

/// The rest of a signature.
struct Text<'a>(&'a str);

impl Text<'_> {
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn signature(mut self) -> Option<Signature> {
        let receiver = if self.eat("(") {
            None
        } else {
            let receiver = self.of()?;
            if !self.eat(".(") {
                return None;
            }
            Some(receiver)
        };
        let mut arguments = Vec::new();
        while !self.eat(")") {
            arguments.push(self.of()?);
            self.eat(",");
        }
        if !self.eat(":") {
            return None;
        }
        let result = self.of()?;
        self.0.is_empty().then_some(Signature { receiver, arguments, result })
    }

    fn of(&mut self) -> Option<Type> {
        if self.eat("[") {
            let element = self.of()?;
            return self.eat("]").then(|| Type::list(element));
        }
        if self.eat("{") {
            let key = self.of()?;
            let value = self.eat(":").then(|| self.of())??;
            return self.eat("}").then(|| Type::map(key, value));
        }
        if self.eat("?") {
            return self.of().map(Type::optional);
        }
        let scalars = [
            ("A", Type::Var(0)),
            ("B", Type::Var(1)),
            ("bool", Type::Bool),
            ("int", Type::Int),
            ("uint", Type::Uint),
            ("double", Type::Double),
            ("string", Type::String),
            ("bytes", Type::Bytes),
            ("shell", super::facts::shell()),
            ("duration", Type::Duration),
            ("timestamp", Type::Timestamp),
            ("quantity", Type::Quantity),
            ("ip", Type::Ip),
            ("cidr", Type::Cidr),
            ("url", Type::Url),
            ("semver", Type::Semver),
            ("format", Type::NamedFormat),
            ("type", Type::Type),
            ("authorizer", Type::Authorizer),
            ("pathCheck", Type::PathCheck),
            ("groupCheck", Type::GroupCheck),
            ("resourceCheck", Type::ResourceCheck),
            ("decision", Type::Decision),
            ("dyn", Type::Dyn),
            ("free", Type::Free),
        ];
        scalars.into_iter().find(|(name, _)| self.eat(name)).map(|(_, of)| of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_the_intermediate_form_has_readable_signatures() {
        for func in Func::ALL {
            let text = TABLE.iter().find(|(known, _)| known == func).map(|(_, text)| *text);
            let text = text.unwrap_or_else(|| panic!("`{}` has no signature", func.name()));
            let read = &ALL.iter().find(|overloads| overloads.func == *func).unwrap().signatures;
            assert_eq!(read.len(), text.split_whitespace().count(), "{}: {text}", func.name());
        }
    }
}
