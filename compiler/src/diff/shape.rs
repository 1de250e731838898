//! Applies wishes to JSON: creates what is missing on the way, and keeps what is there.

use serde_json::{Map, Value, json};

use super::wishes::{FRESH, Step, Want};

/// Longest text that is made, in characters: a rule that checks a longer one is not distinguished by any
/// other rule.
const MAX_TEXT: usize = 100_000;
/// Members of Kubernetes objects that are maps of strings: what a list would contain is a key there.
const MAPS: &[&str] =
    &["labels", "annotations", "limits", "requests", "nodeSelector", "matchLabels", "data", "stringData"];
/// Members of Kubernetes objects that are lists of objects; other lists are filled with strings.
const OBJECTS: &[&str] = &[
    "containers",
    "initContainers",
    "ephemeralContainers",
    "volumes",
    "volumeMounts",
    "ports",
    "env",
    "hostAliases",
    "tolerations",
    "sysctls",
    "imagePullSecrets",
    "ownerReferences",
];
/// Most elements that a list is filled up to.
const MAX_ELEMENTS: usize = 64;

/// Puts the wish at a place of a value.
pub(super) fn put(value: &mut Value, steps: &[Step], want: &Want) {
    let mut here = value;
    let mut name = "";
    let mut steps = steps.iter().peekable();
    while let Some(step) = steps.next() {
        let is_last = steps.peek().is_none();
        match step {
            Step::Member(member) => {
                let Some(members) = object(here) else { return };
                if is_last && *want == Want::Absent {
                    members.remove(member);
                    return;
                }
                name = member.as_str();
                here = members.entry(name).or_insert(Value::Null);
            }
            Step::Element => {
                let Some(items) = list(here) else { return };
                if is_last {
                    return element(items, want);
                }
                if items.is_empty() {
                    items.push(Value::Null);
                }
                let Some(first) = items.first_mut() else { return };
                here = first;
            }
        }
    }
    last(here, name, want);
}

/// A wish for one element is added next to the existing ones.
fn element(items: &mut Vec<Value>, want: &Want) {
    match want {
        Want::Is(value) | Want::Holds(value) if !items.contains(value) => items.push(value.clone()),
        Want::Absent => items.clear(),
        Want::Present if items.is_empty() => items.push(Value::from(FRESH)),
        _ => {}
    }
}

fn last(here: &mut Value, name: &str, want: &Want) {
    match want {
        Want::Is(value) => *here = value.clone(),
        Want::Absent => *here = Value::Null,
        Want::Present if here.is_null() => *here = Value::Object(Map::new()),
        Want::Present => {}
        Want::Holds(value) => match (MAPS.contains(&name) || here.is_object(), value.as_str()) {
            (true, Some(key)) => {
                // Both a quantity and a string.
                if let Some(members) = object(here) {
                    members.entry(key).or_insert_with(|| Value::from("1"));
                }
            }
            _ => {
                if let Some(items) = list(here).filter(|items| !items.contains(value)) {
                    items.push(value.clone());
                }
            }
        },
        Want::Lacks(value) => match (here, value.as_str()) {
            (Value::Object(members), Some(key)) => drop(members.remove(key)),
            (Value::Array(items), _) => items.retain(|item| item != value),
            _ => {}
        },
        Want::Size(size) => resize(here, name, *size),
    }
}

fn resize(here: &mut Value, name: &str, size: usize) {
    match here {
        Value::String(text) => {
            let size = size.min(MAX_TEXT);
            let now = text.chars().count();
            *text =
                text.chars().take(size).chain(std::iter::repeat_n('a', size.saturating_sub(now))).collect();
        }
        Value::Array(items) => {
            let more = items.first().cloned().unwrap_or_else(|| Value::from(FRESH));
            items.resize(size.min(MAX_ELEMENTS), more);
            rename(items);
        }
        Value::Null => {
            let item = if OBJECTS.contains(&name) { json!({"name": FRESH}) } else { Value::from(FRESH) };
            *here = Value::Array(vec![item; size.min(MAX_ELEMENTS)]);
        }
        _ => {}
    }
}

/// Gives copied elements names of their own.
fn rename(items: &mut [Value]) {
    for (index, item) in items.iter_mut().enumerate().skip(1) {
        if let Some(name) = item.get_mut("name") {
            *name = Value::from(format!("another-{index}"));
        }
    }
}

fn object(here: &mut Value) -> Option<&mut Map<String, Value>> {
    if here.is_null() {
        *here = Value::Object(Map::new());
    }
    here.as_object_mut()
}

fn list(here: &mut Value) -> Option<&mut Vec<Value>> {
    if here.is_null() {
        *here = Value::Array(Vec::new());
    }
    here.as_array_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &[&str]) -> Vec<Step> {
        let step = |name: &&str| if *name == "*" { Step::Element } else { Step::Member((*name).to_owned()) };
        path.iter().map(step).collect()
    }

    #[test]
    fn what_is_on_the_way_is_made_and_what_is_there_stays() {
        let mut value = json!({"a": {"b": 1}, "l": [{"name": "x", "k": 1}]});
        put(&mut value, &steps(&["a", "c", "d"]), &Want::Is(json!(2)));
        put(&mut value, &steps(&["l", "*", "k"]), &Want::Is(json!(3)));
        put(&mut value, &steps(&["a", "b"]), &Want::Absent);
        put(&mut value, &steps(&["args", "*"]), &Want::Is(json!("-f")));
        put(&mut value, &steps(&["args"]), &Want::Holds(json!("push")));
        put(&mut value, &steps(&["m", "limits"]), &Want::Holds(json!("memory")));
        put(&mut value, &steps(&["l"]), &Want::Size(2));
        let expected = json!({
            "a": {"c": {"d": 2}}, "l": [{"name": "x", "k": 3}, {"name": "another-1", "k": 3}],
            "args": ["-f", "push"], "m": {"limits": {"memory": "1"}},
        });
        assert_eq!(value, expected);
    }
}
