//! Statuses: conditions by the API conventions, and whether a status to be written says anything new.
//! <https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties>

use serde_json::{Map, Value, json};

use crate::limits::MAX_MESSAGE;
use crate::object::Live;

/// One condition, before it gets a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// `Compiled`, `Enforced`, `Ready`.
    pub aspect: &'static str,
    /// Whether it is true.
    pub holds: bool,
    /// The reason, one word.
    pub reason: String,
    /// The reason, for readers.
    pub message: String,
}

impl Said {
    /// A condition that is true.
    pub fn yes(aspect: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { aspect, holds: true, reason: reason.to_owned(), message: message.into() }
    }

    /// A condition that is false.
    pub fn no(aspect: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { aspect, holds: false, reason: reason.to_owned(), message: message.into() }
    }
}

/// The status of an object: these conditions and further members. A condition whose status did not change
/// keeps its time.
pub fn status(live: &Live, said: &[Said], mut more: Map<String, Value>, now: &str) -> Value {
    let before = live.status.get("conditions").and_then(Value::as_array);
    let conditions: Vec<Value> = said
        .iter()
        .map(|one| {
            let holds = if one.holds { "True" } else { "False" };
            let known = before.into_iter().flatten().find(|known| {
                known.get("type").and_then(Value::as_str) == Some(one.aspect)
                    && known.get("status").and_then(Value::as_str) == Some(holds)
            });
            let since = known.and_then(|known| known.get("lastTransitionTime")).cloned();
            json!({
                "type": one.aspect, "status": holds, "reason": one.reason, "message": cut(&one.message, MAX_MESSAGE),
                "observedGeneration": live.generation,
                "lastTransitionTime": since.unwrap_or_else(|| Value::String(now.to_owned())),
            })
        })
        .collect();
    more.insert("observedGeneration".to_owned(), json!(live.generation));
    more.insert("conditions".to_owned(), Value::Array(conditions));
    Value::Object(more)
}

/// The members of a binding's status that are believed after a restart and are objects. The CRD declares them
/// atomic: to apply one replaces all of it, so that what others add to it is a difference.
const WHOLE: [&str; 2] = ["chosen", "ifLost"];

/// Whether the API server already has all of this.
#[must_use]
pub fn is_there(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().all(|(key, value)| {
            let is_same =
                |live| if WHOLE.contains(&key.as_str()) { value == live } else { is_there(value, live) };
            live.get(key).is_some_and(is_same)
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| is_there(wanted, live))
        }
        // An empty list is not stored.
        (Value::Array(wanted), Value::Null) => wanted.is_empty(),
        _ => wanted == live,
    }
}

/// The beginning of a text, with at most this many bytes before an ellipsis.
pub fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let kept: String = text
        .chars()
        .scan(0, |bytes, char| {
            *bytes += char.len_utf8();
            (*bytes <= longest).then_some(char)
        })
        .collect();
    kept + "…"
}

/// A text without its middle, if it has more than this many bytes beside an ellipsis.
pub fn both_ends(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let end = (text.len() - longest / 2..=text.len()).find_map(|at| text.get(at..)).unwrap_or_default();
    cut(text, longest / 2) + end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use crate::object::Key;

    fn live(status: Value) -> Live {
        let key = Key { kind: Kind::PolicyBinding, namespace: None, name: "b".to_owned() };
        Live { generation: 4, status, ..Live::named(key) }
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let yes = [Said::yes("Compiled", "Compiled", "fine")];
        let first = status(&live(Value::Null), &yes, Map::new(), "2026-01-01T00:00:00Z");
        assert_eq!(first["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        assert_eq!(first["observedGeneration"], 4);
        let second = status(&live(first.clone()), &yes, Map::new(), "2026-02-02T00:00:00Z");
        assert_eq!(first, second);
        assert!(is_there(&second, &first), "nothing is written");
        let no = [Said::no("Compiled", "DoesNotCompile", "not fine")];
        let third = status(&live(first.clone()), &no, Map::new(), "2026-02-02T00:00:00Z");
        assert_eq!(third["conditions"][0]["lastTransitionTime"], "2026-02-02T00:00:00Z");
        assert!(!is_there(&third, &first));
    }

    #[test]
    fn what_others_wrote_beside_it_does_not_count() {
        let wanted = json!({ "a": [{ "b": 1 }], "none": [] });
        assert!(is_there(&json!({ "a": [{ "b": 1 }] }), &json!({ "a": [{ "b": 1, "c": 2 }], "d": 3 })));
        assert!(!is_there(&wanted, &json!({ "a": [{ "b": 1 }, { "b": 1 }], "none": [] })));
        assert!(!is_there(&wanted, &Value::Null));
        for member in ["chosen", "ifLost"] {
            let said = |labels: Value| json!({ member: { "namespaces": { "matchLabels": labels } } });
            let (own, more) = (said(json!({ "a": "b" })), said(json!({ "a": "b", "c": "d" })));
            assert!(is_there(&own, &own) && !is_there(&own, &more), "a further label takes namespaces out");
        }
    }

    #[test]
    fn of_a_message_with_a_long_quotation_both_ends_are_left() {
        assert_eq!(both_ends("short", 8), "short");
        let long = format!("invalid: {}: too long", "ü".repeat(1000));
        let said = both_ends(&long, 41);
        assert!(said.starts_with("invalid: üü") && said.ends_with("ü: too long"), "{said}");
        assert!(said.len() <= 41 + 3, "{said}");
    }

    #[test]
    fn long_messages_are_cut() {
        let long = "ü".repeat(MAX_MESSAGE);
        let said = [Said::no("Compiled", "DoesNotCompile", long)];
        let status = status(&live(Value::Null), &said, Map::new(), "t");
        let message = status["conditions"][0]["message"].as_str().expect("a message");
        assert!(message.len() <= MAX_MESSAGE + 3 && message.ends_with('…'));
    }
}
