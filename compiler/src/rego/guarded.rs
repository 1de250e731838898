//! Built-ins that read text of the object as numbers or JSON, instead of regorus' own. Those read
//! `1e999999999` as an integer of a thousand million digits, whether written so or as the object
//! `{"$serde_json::private::Number": "1e999999999"}`, and no limit interrupts that.

use bailiwick_policy::json::Json;
use regorus::unstable::{BUILTINS, Expr, Ref, Source, Span};
use regorus::{Engine, Value};

use super::{convert, made};

/// Longest text that is read as a number, bytes. Quantities of Kubernetes have at most 20 digits and a
/// suffix.
const MAX_NUMBER_BYTES: usize = 64;
/// Most digits of an exponent.
const MAX_EXPONENT_DIGITS: usize = 3;
/// Longest text that is read as JSON, bytes; annotations may hold as much.
const MAX_JSON_BYTES: usize = 256 * 1024;

/// Why a text is not read as a number.
const NOT_A_NUMBER: &str = "the text is too long or too large for a number";

/// A built-in of one argument; the error is its message.
type Guarded = fn(&Value) -> Result<Value, String>;

/// The built-ins that are guarded; each has one argument.
pub(super) const GUARDED: &[(&str, Guarded)] = &[
    ("to_number", to_number),
    ("json.unmarshal", json),
    ("json.is_valid", is_json),
    ("units.parse", |value| units("units.parse", value)),
    ("units.parse_bytes", |value| units("units.parse_bytes", value)),
];

/// Registers the guarded built-ins in place of regorus' own.
pub(super) fn install(engine: &mut Engine) -> Result<(), String> {
    let place =
        Source::from_contents("input".to_owned(), " ".to_owned()).map_err(|error| error.to_string())?;
    for (name, function) in GUARDED {
        let place = place.clone();
        let guarded = move |arguments: Vec<Value>| {
            let value = arguments.first().unwrap_or(&Value::Null);
            function(value).map_err(|message| place.error(1, 1, &message))
        };
        let installed = engine.add_extension((*name).to_owned(), 1, Box::new(guarded));
        installed.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Whether a text can be read as a number in bounded time.
pub(super) fn is_modest(text: &str) -> bool {
    // What follows any `e`: `1e999999999Ei` ends with the suffix of a unit.
    let digits = |rest: &str| rest.bytes().filter(u8::is_ascii_digit).count();
    text.len() <= MAX_NUMBER_BYTES
        && text.split(['e', 'E']).skip(1).all(|exponent| digits(exponent) <= MAX_EXPONENT_DIGITS)
}

fn to_number(value: &Value) -> Result<Value, String> {
    match value {
        Value::Null => Ok(Value::from(0_u64)),
        Value::Bool(value) => Ok(Value::from(u64::from(*value))),
        Value::Number(_) => Ok(value.clone()),
        Value::String(text) if is_modest(text) && !text.contains(['{', '[', '"']) => {
            match Value::from_json_str(text) {
                Ok(number @ Value::Number(_)) => Ok(number),
                _ => Err("could not parse string as number".to_owned()),
            }
        }
        Value::String(_) => Err(NOT_A_NUMBER.to_owned()),
        _ => Err("`to_number` expects a boolean, a number, a string or null".to_owned()),
    }
}

fn json(value: &Value) -> Result<Value, String> {
    let Value::String(text) = value else { return Err("JSON is read from a string".to_owned()) };
    if text.len() > MAX_JSON_BYTES {
        return Err(format!("the text has more than {MAX_JSON_BYTES} bytes"));
    }
    made::spend_on_json(text.len())?;
    let json = Json::parse(text.as_bytes()).map_err(|error| format!("the text is not JSON: {error}"))?;
    Ok(convert::value(&json))
}

fn is_json(value: &Value) -> Result<Value, String> {
    Ok(Value::from(json(value).is_ok()))
}

fn units(name: &str, value: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) if is_modest(text) => {}
        Value::String(_) => return Err(NOT_A_NUMBER.to_owned()),
        // Its own error would have all of the value as text.
        _ => return Err(format!("`{name}` expects a string")),
    }
    let (function, _) = BUILTINS.get(name).ok_or_else(|| format!("there is no function `{name}`"))?;
    let source =
        Source::from_contents("input".to_owned(), " ".to_owned()).map_err(|error| error.to_string())?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 1 };
    let argument = Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    let read = function(&span, &[argument], std::slice::from_ref(value), true);
    read.map_err(|error| error.to_string().rsplit("error: ").next().unwrap_or_default().to_owned())
}
