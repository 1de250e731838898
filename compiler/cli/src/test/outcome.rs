//! Whether the outcome of a case is the expected one.

use bailiwick_compiler::cases::Happened;
use bailiwick_compiler::policy_test::{Delivered, Effect, Expectation, ExpectedLabels, SyscallAction};
use regex::Regex;
use serde_json::Value;

/// The expectations that were not met, each as a sentence; empty if the case passed.
pub(super) fn disappointments(expected: &Expectation, happened: &Happened) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(allowed) = expected.allowed
        && allowed != happened.allowed
    {
        let said = if happened.messages.is_empty() {
            String::new()
        } else {
            format!(": {}", happened.messages.join("; "))
        };
        found.push(match allowed {
            true => format!("expected to be allowed, was denied by {}{said}", happened.rules.join(", ")),
            false => "expected to be denied, was allowed".to_owned(),
        });
    }
    found.extend(other_than(
        expected.effect,
        happened.effect,
        Effect::as_str,
        "the effect",
        &happened.messages,
    ));
    found.extend(of_tools(expected, happened));
    if let Some(wanted) = expected.sandbox.as_deref()
        && happened.sandbox.as_deref() != Some(wanted)
    {
        let place =
            happened.sandbox.as_ref().map_or_else(|| "nowhere".to_owned(), |name| format!("in `{name}`"));
        found.push(format!("expected to run in sandbox `{wanted}`, runs {place}"));
    }
    if let Some(wanted) = &expected.args
        && happened.args.as_ref() != Some(wanted)
    {
        let args = happened.args.as_ref().map_or_else(|| "none".to_owned(), Value::to_string);
        found.push(format!("expected the arguments {wanted}, are {args}"));
    }
    found.extend(other_than(expected.action, happened.action, SyscallAction::as_str, "the action", &[]));
    if let Some(rule) = &expected.rule
        && !happened.rules.iter().any(|one| one == rule || one.rsplit('/').next() == Some(rule))
    {
        let decided =
            if happened.rules.is_empty() { "no rule".to_owned() } else { happened.rules.join(", ") };
        found.push(format!("expected rule `{rule}` to decide, but {decided} did"));
    }
    for (pattern, texts, what) in [
        (&expected.message_pattern, &happened.messages, "message"),
        (&expected.warning_pattern, &happened.warnings, "warning"),
    ] {
        let Some(pattern) = pattern else { continue };
        match Regex::new(pattern) {
            Err(error) => found.push(format!("`{pattern}` is not a regular expression: {error}")),
            Ok(regex) if texts.iter().any(|text| regex.is_match(text)) => {}
            Ok(_) => found.push(format!("no {what} matches `{pattern}`: {texts:?}")),
        }
    }
    for expected in &expected.fields {
        let at = happened.object.as_ref().and_then(|object| pick(object, &expected.field));
        if at != expected.value.as_ref() {
            let shown =
                |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), ToString::to_string);
            found.push(format!(
                "{}: expected {}, is {}",
                expected.field,
                shown(expected.value.as_ref()),
                shown(at)
            ));
        }
    }
    found
}

/// What is wrong with what a caller sees: of a tool, and of a result.
fn of_tools(expected: &Expectation, happened: &Happened) -> impl Iterator<Item = String> {
    let undelivered = undelivered(expected.delivered.as_ref(), happened);
    let relabelled = relabelled(expected.labels.as_ref(), happened);
    listed(expected.listed, happened).into_iter().chain(undelivered).chain(relabelled)
}

/// The failure if a tool is listed and should not be, or the reverse.
fn listed(expected: Option<bool>, happened: &Happened) -> Option<String> {
    match (expected?, &happened.listed) {
        (_, None) => Some("expected to be listed or not, which a case of this kind does not have".to_owned()),
        (true, Some(Err(by))) => Some(format!("expected to be listed, was hidden by {by}")),
        (false, Some(Ok(()))) => Some("expected to be hidden, was listed".to_owned()),
        (true, Some(Ok(()))) | (false, Some(Err(_))) => None,
    }
}

/// The failure if other texts of a result are delivered than expected.
fn undelivered(expected: Option<&Delivered>, happened: &Happened) -> Vec<String> {
    let Some(expected) = expected else { return Vec::new() };
    let Some(delivered) = &happened.delivered else {
        let said = if happened.messages.is_empty() {
            String::new()
        } else {
            format!(": {}", happened.messages.join("; "))
        };
        return vec![format!("expected a result to be delivered, and none was{said}")];
    };
    let texts = [
        ("stdout", &expected.stdout, &delivered.stdout),
        ("stderr", &expected.stderr, &delivered.stderr),
        ("content", &expected.content, &delivered.content),
    ];
    let differ =
        texts.into_iter().filter(|(_, expected, delivered)| expected.is_some() && expected != delivered);
    differ
        .map(|(name, expected, delivered)| format!("expected {name} {expected:?}, was {delivered:?}"))
        .collect()
}

/// The failure if the session gets or loses other labels than expected.
fn relabelled(expected: Option<&ExpectedLabels>, happened: &Happened) -> Vec<String> {
    let Some(expected) = expected else { return Vec::new() };
    let Some(labels) = &happened.labels else {
        return vec!["expected labels, which a case of this kind does not have".to_owned()];
    };
    let is = |label: &str, wanted: &String| label == wanted || label.rsplit('/').next() == Some(wanted);
    let named = |names: &mut dyn Iterator<Item = &String>| {
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let parts = [("added", &expected.added, &labels.added), ("removed", &expected.removed, &labels.removed)];
    let wrong = parts.into_iter().filter_map(|(what, wanted, came)| {
        let wanted = wanted.as_ref()?;
        let all = wanted.iter().all(|wanted| came.iter().any(|label| is(label, wanted)))
            && came.iter().all(|label| wanted.iter().any(|wanted| is(label, wanted)));
        let (wanted, came) = (named(&mut wanted.iter()), named(&mut came.iter()));
        (!all).then(|| format!("expected the labels that are {what} to be {wanted}, was {came}"))
    });
    wrong.collect()
}

/// The failure if something else happened than expected, or nothing of the kind.
fn other_than<T: Copy + PartialEq>(
    expected: Option<T>,
    happened: Option<T>,
    word: fn(T) -> &'static str,
    what: &str,
    said: &[String],
) -> Option<String> {
    let wanted = expected.filter(|_| expected != happened)?;
    let said = if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) };
    Some(match happened {
        Some(other) => format!("expected {what} {}, was {}{said}", word(wanted), word(other)),
        None => format!("expected {what} {}, which a case of this kind does not have", word(wanted)),
    })
}

/// The value at a field path such as `spec.containers[0].image`.
fn pick<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    use bailiwick_compiler::diagnostic::{FieldPath, Segment};
    let path: FieldPath = path.parse().ok()?;
    path.segments().iter().try_fold(object, |here, segment| match segment {
        Segment::Member(name) => here.get(name),
        Segment::Index(index) => here.get(index),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened() -> Happened {
        Happened {
            allowed: false,
            rules: vec!["base@1.0.0/limits".to_owned()],
            messages: vec!["no memory limit: main".to_owned()],
            warnings: Vec::new(),
            effect: None,
            listed: None,
            sandbox: None,
            args: None,
            delivered: None,
            labels: None,
            action: None,
            governed: None,
            object: Some(serde_json::json!({"spec": {"containers": [{"name": "a"}]}})),
        }
    }

    #[test]
    fn a_case_that_another_rule_decided_fails() {
        let expected =
            Expectation { allowed: Some(false), rule: Some("other".to_owned()), ..Expectation::default() };
        assert_eq!(
            disappointments(&expected, &happened()),
            ["expected rule `other` to decide, but base@1.0.0/limits did"]
        );
        let expected =
            Expectation { allowed: Some(false), rule: Some("limits".to_owned()), ..Expectation::default() };
        assert!(disappointments(&expected, &happened()).is_empty());
    }

    #[test]
    fn a_pattern_must_be_found_and_a_field_must_be_equal() {
        let expected = Expectation { message_pattern: Some("cpu".to_owned()), ..Expectation::default() };
        assert_eq!(disappointments(&expected, &happened()).len(), 1);
        assert_eq!(pick(&happened().object.unwrap(), "spec.containers[0].name"), Some(&Value::from("a")));
    }
}
