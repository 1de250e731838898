//! Built-ins that regorus gives another meaning than OPA does: what is handed to them is changed so that the
//! meaning is OPA's, or they are not called. Found by running both over the same rules.

use std::net::IpAddr;

use bailiwick_policy::cel::as_crate_pattern;
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
        // An IPv4 address within IPv6 is that address.
        ("net.cidr_contains", [network, Value::String(inner)]) => {
            if let Ok(address) = inner.parse::<IpAddr>() {
                let address = Value::from(address.to_canonical().to_string());
                return Ok(Call::With(vec![network.clone(), address]));
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
