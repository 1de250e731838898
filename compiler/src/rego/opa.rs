//! Built-ins that regorus gives another meaning than OPA does: what is handed to them is changed so that the
//! meaning is OPA's, or they are not called. Found by running both over the same rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bailiwick_policy::cel::{Cidr, as_crate_pattern};
use regorus::Value;

/// The built-ins that take a pattern, and its position.
const PATTERNS: &[(&str, usize)] = &[
    ("regex.match", 0),
    ("regex.is_valid", 0),
    ("regex.split", 0),
    ("regex.find_n", 0),
    ("regex.find_all_string_submatch_n", 0),
    ("regex.replace", 1),
];

/// How a built-in is called.
pub(super) enum Call {
    /// With these arguments.
    With(Vec<Value>),
    /// Not at all: this is what it gives.
    Gives(Value),
}

/// How to call a built-in so that it means what it does in OPA.
pub(super) fn call(name: &str, mut given: Vec<Value>) -> Result<Call, String> {
    match (name, given.as_slice()) {
        // Code points, where regorus counts units of UTF-16.
        ("count", [Value::String(text)]) => return Ok(Call::Gives(Value::from(text.chars().count() as u64))),
        // Those that do not overlap; regorus panics on an empty part.
        ("strings.count", [Value::String(text), Value::String(part)]) => {
            return Ok(Call::Gives(Value::from(text.matches(&**part).count() as u64)));
        }
        ("net.cidr_contains", [Value::String(outer), Value::String(inner)]) => {
            if let Some(contains) = contains(outer, inner) {
                return Ok(Call::Gives(Value::from(contains)));
            }
        }
        _ => {}
    }
    // RE2, in which `\d`, `\w` and `\b` are ASCII.
    let at = PATTERNS.iter().find(|(known, _)| *known == name).map(|(_, at)| *at);
    let pattern = at.and_then(|at| match given.get(at) {
        Some(Value::String(pattern)) => Some((at, as_crate_pattern(pattern))),
        _ => None,
    });
    match pattern {
        None => {}
        Some((at, Ok(pattern))) => {
            if let Some(place) = given.get_mut(at) {
                *place = Value::from(pattern);
            }
        }
        Some((_, Err(_))) if name == "regex.is_valid" => return Ok(Call::Gives(Value::from(false))),
        Some((_, Err(error))) => return Err(error.to_string()),
    }
    Ok(Call::With(given))
}

/// Whether a network contains an address, or the first and the last address of another network: as in Go's `net`, an
/// IPv4 address within IPv6 is that address, in networks too. `None`: one of them is written in another form.
fn contains(outer: &str, inner: &str) -> Option<bool> {
    let outer = network(outer)?;
    let is_within = |address: IpAddr| match outer.address.to_canonical() {
        // Its prefix is then longer than that of all such addresses.
        mapped @ IpAddr::V4(_) if outer.address.is_ipv6() => {
            Cidr { address: mapped, length: outer.length.saturating_sub(96) }.contains(address.to_canonical())
        }
        _ => outer.contains(address.to_canonical()),
    };
    match inner.parse() {
        Ok(address) => Some(is_within(address)),
        Err(_) => network(inner).map(|inner| is_within(inner.address) && is_within(last(inner))),
    }
}

/// A network with its host bits zero.
fn network(text: &str) -> Option<Cidr> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let is_plain = length.bytes().all(|byte| byte.is_ascii_digit());
    let length = length.parse().ok().filter(|length| is_plain && *length <= most)?;
    Some(Cidr { address, length }.masked())
}

/// The last address of a network whose host bits are zero.
fn last(network: Cidr) -> IpAddr {
    let length = u32::from(network.length);
    match network.address {
        IpAddr::V4(first) => (first | Ipv4Addr::from_bits(u32::MAX.checked_shr(length).unwrap_or(0))).into(),
        IpAddr::V6(first) => (first | Ipv6Addr::from_bits(u128::MAX.checked_shr(length).unwrap_or(0))).into(),
    }
}
