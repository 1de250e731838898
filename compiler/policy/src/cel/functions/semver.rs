//! Semantic versions as Kubernetes' semver library reads and compares them (`k8s.io/apiserver` v0.37.2,
//! `pkg/cel/library/semverlib.go`, over `github.com/blang/semver` v4): build metadata is read and ignored.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use super::super::value::Value;
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload};
use crate::ir::Func;

/// A version.
#[derive(Clone, Debug)]
pub struct Semver {
    release: [u64; 3],
    prerelease: Vec<Identifier>,
}

/// One part of a pre-release: numbers sort before texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(Box<str>),
}

/// `semver`, `isSemver`, and the functions of versions.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    let parsed = match (function, args) {
        (Func::Semver | Func::IsSemver, [text]) => (text, false),
        (Func::Semver | Func::IsSemver, [text, Value::Bool(normalize)]) => (text, *normalize),
        (_, [Value::Semver(version)]) => return of_one(function, version),
        (_, [Value::Semver(left), Value::Semver(right)]) => {
            fuel.spend_elements(left.prerelease.len().min(right.prerelease.len()))?;
            fuel.spend_bytes(left.bytes().min(right.bytes()))?;
            return of_two(function, left.compare(right));
        }
        _ => return no_overload(function),
    };
    let (text, normalize) = parsed;
    let Some(text) = text.as_str() else { return no_overload(function) };
    fuel.spend_bytes(text.len().saturating_mul(2))?;
    let read =
        if normalize { normalized(text).and_then(|text| Semver::parse(&text)) } else { Semver::parse(text) };
    match (function, read) {
        (Func::IsSemver, read) => Ok(Value::Bool(read.is_ok())),
        (_, Ok(version)) => Ok(Value::Semver(Rc::new(version))),
        (_, Err(why)) => Err(EvalError::invalid(why)),
    }
}

fn of_one<'a>(function: Func, version: &Semver) -> Outcome<'a> {
    let [major, minor, patch] = version.release;
    let number = match function {
        Func::Major => major,
        Func::Minor => minor,
        Func::Patch => patch,
        _ => return no_overload(function),
    };
    // Go turns a number that does not fit into another one; no real version is near the bound.
    i64::try_from(number).map(Value::Int).map_err(|_| EvalError::Overflow("integer"))
}

fn of_two<'a>(function: Func, order: Ordering) -> Outcome<'a> {
    Ok(match function {
        Func::IsGreaterThan => Value::Bool(order.is_gt()),
        Func::IsLessThan => Value::Bool(order.is_lt()),
        Func::CompareTo => Value::Int(order as i64),
        _ => return no_overload(function),
    })
}

/// The text without its `v` and without leading zeros, and with missing numbers written as 0.
fn normalized(text: &str) -> Result<String, &'static str> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<Cow<'_, str>> = text.splitn(3, '.').map(without_leading_zeros).collect();
    if parts.len() < 3 && parts.last().is_some_and(|last| last.contains(['+', '-'])) {
        return Err("short version cannot contain PreRelease/Build meta data");
    }
    while parts.len() < 3 {
        parts.push(Cow::Borrowed("0"));
    }
    Ok(parts.join("."))
}

fn without_leading_zeros(part: &str) -> Cow<'_, str> {
    if part.len() <= 1 {
        return Cow::Borrowed(part);
    }
    let rest = part.trim_start_matches('0');
    if rest.starts_with(|first: char| first.is_ascii_digit()) {
        return Cow::Borrowed(rest);
    }
    Cow::Owned(format!("0{rest}"))
}

impl Semver {
    /// The most bytes that a comparison may read.
    pub(in crate::cel) fn bytes(&self) -> usize {
        let texts = self.prerelease.iter().map(|one| match one {
            Identifier::Number(_) => 0,
            Identifier::Text(text) => text.len(),
        });
        texts.sum()
    }

    /// Reads `MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]`.
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("Version string empty");
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("No Major.Minor.Patch elements found");
        };
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, prerelease) =
            rest.split_once('-').map_or((rest, None), |(patch, prerelease)| (patch, Some(prerelease)));
        let release = [number(major)?, number(minor)?, number(patch)?];
        let identifiers = prerelease.into_iter().flat_map(|text| text.split('.')).map(identifier);
        let prerelease = identifiers.collect::<Result<_, _>>()?;
        for part in build.into_iter().flat_map(|build| build.split('.')) {
            if part.is_empty() {
                return Err("Build meta data is empty");
            }
            if !is_plain(part) {
                return Err("Invalid character(s) found in build meta data");
            }
        }
        Ok(Self { release, prerelease })
    }

    /// Build metadata is ignored; a version comes after its pre-releases.
    pub(in crate::cel) fn compare(&self, other: &Self) -> Ordering {
        let released = self.prerelease.is_empty().cmp(&other.prerelease.is_empty());
        self.release.cmp(&other.release).then(released).then_with(|| self.prerelease.cmp(&other.prerelease))
    }
}

fn number(text: &str) -> Result<u64, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("Invalid character(s) found in version number");
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err("Version number must not contain leading zeroes");
    }
    text.parse().map_err(|_| "Version number is out of range")
}

fn identifier(text: &str) -> Result<Identifier, &'static str> {
    if text.is_empty() {
        return Err("Prerelease is empty");
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(text).map(Identifier::Number);
    }
    if is_plain(text) {
        Ok(Identifier::Text(text.into()))
    } else {
        Err("Invalid character(s) found in prerelease")
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
