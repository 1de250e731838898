//! The result of a call, read from its report: how it ended, its output, and the answer of a workspace tool.
//!
//! The executor reads it before rules on the result are evaluated. A later evaluation of other rules reads it
//! from the log; both must see the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::builtin::Builtin;
use super::plan::WorkspaceOperation;
use super::result::CallResult;

impl WorkspaceOperation {
    /// The tool of this operation.
    #[must_use]
    pub const fn tool(&self) -> &'static str {
        match self {
            Self::Read { .. } => Builtin::Read.name(),
            Self::Write { .. } => Builtin::Write.name(),
            Self::List { .. } => Builtin::List.name(),
        }
    }
}

impl CallResult {
    /// The result with the answer of a workspace tool.
    ///
    /// # Errors
    /// Why it is not an answer of this tool. What rules could not see must not be delivered.
    pub fn with_answer(self, tool: &str, answer: &Value) -> Result<Self, String> {
        let builtin = Builtin::ALL.into_iter().find(|builtin| builtin.name() == tool);
        let (Some(builtin), Value::Object(members)) = (builtin, answer) else {
            return Err("the tool's result has an unexpected shape".to_owned());
        };
        match builtin {
            _ if has_failed(members) => Ok(self),
            Builtin::Write => Ok(self),
            Builtin::Read => {
                let content = members.get("content").and_then(Value::as_str).ok_or("it has no content")?;
                let content = STANDARD.decode(content).map_err(|error| format!("its content: {error}"))?;
                let size = members.get("sizeBytes").and_then(Value::as_u64).ok_or("it has no size")?;
                // A complete file says so; an incomplete one lacks at least one byte.
                let lacks =
                    if is_complete(members) { 0 } else { size.saturating_sub(content.len() as u64).max(1) };
                Ok(Self { content: Some(content), dropped: lacks, ..self })
            }
            Builtin::List => {
                let entries = members.get("entries").and_then(Value::as_array).ok_or("it has no entries")?;
                let path = |entry: &Value| entry.get("path").and_then(Value::as_str).map(str::to_owned);
                let paths: Option<Vec<String>> = entries.iter().map(path).collect();
                let paths = paths.ok_or("an entry has no path")?;
                Ok(Self { paths, dropped: u64::from(!is_complete(members)), ..self })
            }
        }
    }

    /// The result of a tool's call as it is in the log: `outcome` of its record, and the `original` of the
    /// record's result, or all of it.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn recorded(tool: &str, outcome: &Value, gave: &Value) -> Result<Self, String> {
        let kind = outcome.get("kind").and_then(Value::as_str).ok_or("its outcome has no kind")?;
        let number =
            |name: &str| outcome.get(name).and_then(Value::as_i64).and_then(|it| i32::try_from(it).ok());
        let bytes = |name: &str| -> Result<Vec<u8>, String> {
            let text = gave.get(name).and_then(Value::as_str).ok_or_else(|| format!("it has no `{name}`"))?;
            STANDARD.decode(text).map_err(|error| format!("its `{name}`: {error}"))
        };
        let dropped = outcome.get("outputDropped").and_then(Value::as_u64);
        let result = Self {
            outcome: kind.to_owned(),
            exit_code: number("code"),
            signal: number("signal"),
            stdout: bytes("stdout")?,
            stderr: bytes("stderr")?,
            dropped: dropped.ok_or("its outcome does not say what was dropped")?,
            ..Self::default()
        };
        match gave.get("result") {
            None | Some(Value::Null) => Ok(result),
            Some(answer) => result.with_answer(tool, answer),
        }
    }
}

fn is_complete(members: &Map<String, Value>) -> bool {
    members.get("complete") == Some(&Value::Bool(true))
}

/// Whether a workspace tool gives only the reason why it returned nothing.
fn has_failed(members: &Map<String, Value>) -> bool {
    members.len() == 1 && members.get("error").is_some_and(Value::is_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_recorded_is_read_or_refused() {
        let outcome = json!({"kind": "Exited", "code": 3, "outputDropped": 2, "usage": {}});
        let gave = json!({"stdout": "aGk=", "stderr": "", "result": null});
        let read = CallResult::recorded("shell.exec", &outcome, &gave).unwrap();
        let expected = CallResult {
            outcome: "Exited".to_owned(),
            exit_code: Some(3),
            stdout: b"hi".to_vec(),
            dropped: 2,
            ..CallResult::default()
        };
        assert_eq!(read, expected);
        for (outcome, gave) in [
            (json!({"code": 0, "outputDropped": 0}), gave.clone()),
            (json!({"kind": "Exited"}), gave.clone()),
            (outcome.clone(), json!({"stdout": "aGk="})),
            (outcome.clone(), json!({"stdout": "a", "stderr": ""})),
            (outcome.clone(), json!({"stdout": "", "stderr": "", "result": {"content": "aGk="}})),
        ] {
            CallResult::recorded("shell.exec", &outcome, &gave).expect_err("not read");
        }
        let file = json!({"stdout": "", "stderr": "", "result": {"content": "aGk=", "sizeBytes": 5, "complete": false}});
        let read = CallResult::recorded("workspace.read", &outcome, &file).unwrap();
        assert_eq!((read.content.as_deref(), read.dropped), (Some(b"hi".as_slice()), 3));
    }
}
