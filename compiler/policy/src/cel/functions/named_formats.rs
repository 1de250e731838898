//! Kubernetes' format library: named formats of strings, and what is wrong with a string that does not match.
//! The checks and their wording are those of `k8s.io/apiserver` v0.37.2, `pkg/cel/library/format.go`, and of
//! the functions that it calls in `k8s.io/apimachinery` and `k8s.io/kube-openapi`.

use std::rc::Rc;

use super::super::Fuel;
use super::super::value::Value;
use super::{Outcome, no_overload, time, urls};
use crate::ir::Func;

/// A named format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedFormat {
    /// `dns1123Label`.
    Dns1123Label,
    /// `dns1123Subdomain`.
    Dns1123Subdomain,
    /// `dns1035Label`.
    Dns1035Label,
    /// `qualifiedName`.
    QualifiedName,
    /// `dns1123LabelPrefix`.
    Dns1123LabelPrefix,
    /// `dns1123SubdomainPrefix`.
    Dns1123SubdomainPrefix,
    /// `dns1035LabelPrefix`.
    Dns1035LabelPrefix,
    /// `labelValue`.
    LabelValue,
    /// `uri`.
    Uri,
    /// `uuid`.
    Uuid,
    /// `byte`.
    Byte,
    /// `date`.
    Date,
    /// `datetime`.
    Datetime,
}

impl NamedFormat {
    /// Every format with the name that authors use.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("dns1123Label", Self::Dns1123Label),
        ("dns1123Subdomain", Self::Dns1123Subdomain),
        ("dns1035Label", Self::Dns1035Label),
        ("qualifiedName", Self::QualifiedName),
        ("dns1123LabelPrefix", Self::Dns1123LabelPrefix),
        ("dns1123SubdomainPrefix", Self::Dns1123SubdomainPrefix),
        ("dns1035LabelPrefix", Self::Dns1035LabelPrefix),
        ("labelValue", Self::LabelValue),
        ("uri", Self::Uri),
        ("uuid", Self::Uuid),
        ("byte", Self::Byte),
        ("date", Self::Date),
        ("datetime", Self::Datetime),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    /// Whether a text has the format.
    pub(super) fn has(self, text: &str) -> bool {
        self.faults(text).is_empty()
    }

    /// What is wrong with a text; empty if it has the format.
    fn faults(self, text: &str) -> Vec<String> {
        let one = |right: bool, fault: &str| if right { Vec::new() } else { vec![fault.to_owned()] };
        match self {
            Self::Dns1123Label => dns1123_label(text),
            Self::Dns1123LabelPrefix => dns1123_label(&without_dash(text)),
            Self::Dns1123Subdomain => dns1123_subdomain(text, CHARACTERS),
            Self::Dns1123SubdomainPrefix => dns1123_subdomain(&without_dash(text), CHARACTERS),
            Self::Dns1035Label => dns1035_label(text),
            Self::Dns1035LabelPrefix => dns1035_label(&without_dash(text)),
            Self::QualifiedName => qualified_name(text),
            Self::LabelValue => label_value(text),
            Self::Uri => urls::parse_request_uri(text).err().into_iter().collect(),
            Self::Uuid => one(is_uuid(text), "does not match the UUID format"),
            Self::Byte => one(is_base64(text), "invalid base64"),
            Self::Date => one(time::is_date(text), "invalid date"),
            Self::Datetime => one(is_datetime(text), "invalid datetime"),
        }
    }
}

/// `format.named`, `validate`.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, args) {
        (Func::FormatNamed, [name]) => {
            let Some(name) = name.as_str() else { return no_overload(function) };
            let format = NamedFormat::named(name);
            Ok(Value::Optional(format.map(|format| Rc::new(Value::NamedFormat(format)))))
        }
        (Func::Validate, [Value::NamedFormat(format), text]) => {
            let Some(text) = text.as_str() else { return no_overload(function) };
            // Walked several times, and the fault repeats a URI.
            fuel.spend(10)?;
            fuel.spend_bytes(text.len().saturating_mul(8))?;
            let faults: Vec<Value<'a>> = format.faults(text).into_iter().map(Value::string).collect();
            Ok(Value::Optional((!faults.is_empty()).then(|| Rc::new(Value::list(faults)))))
        }
        _ => no_overload(function),
    }
}

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const KEY_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const MAX_LABEL: usize = 63;
const MAX_SUBDOMAIN: usize = 253;
/// The wording of older checks; newer ones count the same and say bytes.
const CHARACTERS: &str = "characters";
const BYTES: &str = "bytes";

fn too_long(limit: usize, unit: &str) -> String {
    format!("must be no more than {limit} {unit}")
}

/// The wording of a check by regular expression. The commas are Kubernetes' own.
fn mismatch(rule: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{rule} (e.g. {}regex used for validation is '{pattern}')", examples.join(" or "))
}

/// Starts and ends with a byte that `edge` accepts, and otherwise holds only those and bytes that `inner`
/// accepts.
fn is_framed(text: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()].into_iter().flatten().filter(|byte| edge(**byte)).count();
    ends == 2 && bytes.iter().all(|byte| edge(*byte) || inner(*byte))
}

const fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    is_framed(text, is_lower, |byte| byte == b'-')
}

fn is_key(text: &str) -> bool {
    is_framed(text, |byte| byte.is_ascii_alphanumeric(), |byte| matches!(byte, b'-' | b'_' | b'.'))
}

fn dns1123_label(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > MAX_LABEL {
        faults.push(too_long(MAX_LABEL, CHARACTERS));
    }
    if !is_label(text) {
        faults.push(if text.split('.').all(is_label) {
            "must not contain dots".to_owned()
        } else {
            mismatch(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
                 alphanumeric character",
                LABEL,
                &["my-name", "123-abc"],
            )
        });
    }
    faults
}

fn dns1123_subdomain(text: &str, unit: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > MAX_SUBDOMAIN {
        faults.push(too_long(MAX_SUBDOMAIN, unit));
    }
    if !text.split('.').all(is_label) {
        faults.push(mismatch(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an \
             alphanumeric character",
            &format!("{LABEL}(\\.{LABEL})*"),
            &["example.com"],
        ));
    }
    faults
}

fn dns1035_label(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > MAX_LABEL {
        faults.push(too_long(MAX_LABEL, CHARACTERS));
    }
    if !is_label(text) || !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        faults.push(mismatch(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an \
             alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    faults
}

fn qualified_name(text: &str) -> Vec<String> {
    let wrong = || mismatch(KEY_RULE, KEY, &["MyName", "my.name", "123-abc"]);
    let mut faults = Vec::new();
    let name = match text.split_once('/') {
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                wrong()
            )];
        }
        Some(("", name)) => {
            faults.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            let of_prefix = dns1123_subdomain(prefix, BYTES);
            faults.extend(of_prefix.into_iter().map(|fault| format!("prefix part {fault}")));
            name
        }
        None => text,
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_LABEL {
        faults.push(format!("name part {}", too_long(MAX_LABEL, BYTES)));
    }
    if !is_key(name) {
        faults.push(format!("name part {}", wrong()));
    }
    faults
}

fn label_value(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > MAX_LABEL {
        faults.push(too_long(MAX_LABEL, BYTES));
    }
    if !text.is_empty() && !is_key(text) {
        let rule =
            format!("a valid label must be an empty string or {}", KEY_RULE.trim_start_matches("must "));
        faults.push(mismatch(&rule, &format!("({KEY})?"), &["MyValue", "my_value", "12345"]));
    }
    faults
}

/// A prefix may end with a dash, which is masked together with the character before it, as Kubernetes does.
fn without_dash(text: &str) -> String {
    match text.strip_suffix('-') {
        // One byte is masked; half of a longer character would not be a valid name.
        Some(before) if before.ends_with(|last: char| last.is_ascii()) => {
            let mut masked = before.to_owned();
            masked.pop();
            masked.push('a');
            masked
        }
        _ => text.to_owned(),
    }
}

/// Groups of 8, 4, 4, 4 and 12 hexadecimal digits; each dash between them may be missing.
fn is_uuid(text: &str) -> bool {
    let mut rest = text.as_bytes();
    for (at, width) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if at > 0
            && let Some(after) = rest.strip_prefix(b"-")
        {
            rest = after;
        }
        let Some((group, after)) = rest.split_at_checked(width) else { return false };
        if !group.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// The standard alphabet with its padding; the empty text is not valid.
fn is_base64(text: &str) -> bool {
    let plain = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    !text.is_empty() && text.len().is_multiple_of(4) && plain.bytes().all(is_digit)
}

/// A date, `t`, and what `^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$` matches,
/// up to the next `t`, in letters of any case.
fn is_datetime(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let mut parts = text.split('t');
    let (Some(date), Some(clock)) = (parts.next(), parts.next()) else { return false };
    time::is_date(date) && is_clock(clock).unwrap_or(false)
}

fn is_clock(text: &str) -> Option<bool> {
    let two = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let pair = |text: &str| text.split_once(':').is_some_and(|(one, other)| two(one) && two(other));
    let (hour, minute, second) = (text.get(..2)?, text.get(3..5)?, text.get(6..8)?);
    let colons = text.get(2..3)? == ":" && text.get(5..6)? == ":";
    let rest = text.get(8..)?;
    let fraction = match rest.strip_suffix('z') {
        Some(fraction) => fraction,
        None => {
            let (fraction, zone) = rest.split_at_checked(rest.len().checked_sub(6)?)?;
            if !pair(zone.strip_prefix(['+', '-'])?) {
                return Some(false);
            }
            fraction
        }
    };
    let mut digits = fraction.chars();
    // The point matches any character.
    let is_fraction = digits.next().is_none_or(|point| point != '\n' && !digits.as_str().is_empty());
    let is_fraction = is_fraction && digits.all(|digit| digit.is_ascii_digit());
    let numbers = [hour, minute, second].into_iter().all(two);
    Some(numbers && colons && is_fraction && hour <= "23" && minute <= "59" && second <= "59")
}
