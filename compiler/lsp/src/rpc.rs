//! JSON-RPC 2.0 as the protocol uses it: incoming messages and answers.

use lsp_types::NumberOrString;
use serde::Serialize;
use serde_json::{Value, json};

/// The id of the request that an answer belongs to.
pub type Id = NumberOrString;

/// A message of the client.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// A message that needs an answer.
    Request {
        /// Its id.
        id: Id,
        /// The method.
        method: String,
        /// Its parameters; `null` if absent.
        params: Value,
    },
    /// A message that needs no answer.
    Notification {
        /// The method.
        method: String,
        /// Its parameters; `null` if absent.
        params: Value,
    },
    /// An answer to a request of the server.
    Response,
}

/// The error of a request. The codes are those of the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: i64,
    /// The message.
    pub message: String,
}

impl Refusal {
    /// The bytes are not JSON.
    pub const PARSE: i64 = -32700;
    /// The JSON is not a message.
    pub const INVALID_REQUEST: i64 = -32600;
    /// The method is unknown.
    pub const UNKNOWN_METHOD: i64 = -32601;
    /// The method's parameters are wrong.
    pub const INVALID_PARAMS: i64 = -32602;
    /// The server failed.
    pub const INTERNAL: i64 = -32603;
    /// `initialize` comes first.
    pub const NOT_INITIALIZED: i64 = -32002;
    /// The client cancelled the request.
    pub const CANCELLED: i64 = -32800;

    /// An error response.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Reads one message.
///
/// # Errors
/// The error to return to the sender.
pub fn parse(bytes: &[u8]) -> Result<Incoming, Refusal> {
    let message: Value = serde_json::from_slice(bytes)
        .map_err(|error| Refusal::new(Refusal::PARSE, format!("not JSON: {error}")))?;
    let invalid = |why: &str| Refusal::new(Refusal::INVALID_REQUEST, why);
    let Value::Object(mut members) = message else {
        return Err(invalid("a message is one object; batches are not taken"));
    };
    let id = match members.remove("id") {
        None => None,
        Some(id) => match serde_json::from_value::<Id>(id.clone()) {
            Ok(id) => Some(id),
            // The answer to an unreadable message has `null` as its id.
            Err(_) if id.is_null() && !members.contains_key("method") => return Ok(Incoming::Response),
            Err(_) => return Err(invalid("an id is an integer or a string")),
        },
    };
    let params = members.remove("params").unwrap_or_default();
    match (members.remove("method"), id) {
        (Some(Value::String(method)), Some(id)) => Ok(Incoming::Request { id, method, params }),
        (Some(Value::String(method)), None) => Ok(Incoming::Notification { method, params }),
        (None, Some(_)) => Ok(Incoming::Response),
        (Some(_), _) => Err(invalid("a method is a string")),
        (None, None) => Err(invalid("a message has a method or an id")),
    }
}

/// The message that answers a request; `None` answers an unreadable message.
#[must_use]
pub fn answer(id: Option<&Id>, outcome: &Result<Value, Refusal>) -> Value {
    match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(Refusal { code, message }) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    }
}

/// A notification from the server.
#[must_use]
pub fn notification(method: &str, params: impl Serialize) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": serde_json::to_value(params).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_message_is_told_apart() {
        let parsed = |text: &str| parse(text.as_bytes());
        assert!(matches!(parsed(r#"{"id": 1, "method": "a"}"#), Ok(Incoming::Request { .. })));
        assert!(matches!(parsed(r#"{"method": "a", "params": {}}"#), Ok(Incoming::Notification { .. })));
        assert_eq!(parsed(r#"{"id": "x", "result": 1}"#), Ok(Incoming::Response));
        assert_eq!(parsed(r#"{"id": null, "error": {}}"#), Ok(Incoming::Response));
        for (text, code) in [
            ("{", Refusal::PARSE),
            ("\u{0}", Refusal::PARSE),
            ("[]", Refusal::INVALID_REQUEST),
            (r#"{"id": 1.5, "method": "a"}"#, Refusal::INVALID_REQUEST),
            (r#"{"id": 1, "method": 2}"#, Refusal::INVALID_REQUEST),
            ("{}", Refusal::INVALID_REQUEST),
        ] {
            assert_eq!(parsed(text).map_err(|refusal| refusal.code), Err(code), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(parsed(&deep).is_err());
    }
}
