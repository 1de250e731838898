//! The edits: drop every rule and statement, invert every condition, weaken every effect and limit.
//!
//! A pure function of the document, in the order of the list below and then of the text.

use bailiwick_compiler::diagnostic::{FieldPath, Segment};
use serde_json::Value as Json;

/// An edit of a pack's document.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    /// `admission.rules[memory-limits].action weaken`: stable for a statement, wherever it is in its list.
    pub(super) name: String,
    /// The field that is edited.
    pub(super) at: FieldPath,
    /// The replacement, for a person; empty if the field is removed.
    pub(super) after: String,
    /// The rule or statement that contains the field.
    pub(super) subject: Option<String>,
    /// The steps, in order. Not the edited document: a large pack has thousands of edits.
    steps: Vec<Step>,
}

/// One step of an edit.
#[derive(Clone, Debug)]
enum Step {
    Remove(FieldPath),
    /// Replaces or adds a value.
    Put(FieldPath, Json),
}

impl Edit {
    /// The document with the edit.
    pub(super) fn of(&self, document: &Json) -> Json {
        let mut edited = document.clone();
        for step in &self.steps {
            match step {
                Step::Remove(at) => remove(&mut edited, at),
                Step::Put(at, value) => put(&mut edited, at, value.clone()),
            }
        }
        edited
    }
}

/// Fields and lists whose members are dropped; `*` is every element of a list.
const DROPPED: &[&str] = &[
    "isolation.podSecurity",
    "isolation.runtimeClass",
    "isolation.serviceAccountToken",
    "network",
    "network.egress.*",
    "network.ingress.*",
    "images",
    "images.*",
    "images.*.require.*",
    "sandboxes.*.syscalls.remove.*",
    "tools.definitions.*.otherwise",
    "tools.definitions.*.mayAdd.*",
    "tools.state.budgets.*",
    "tools.rules.*",
    "tools.rules.*.transform",
    "admission.rules.*",
    "admission.rules.*.match.conditions.*",
    "admission.rules.*.validations.*",
    "admission.rules.*.rego",
    "admission.rules.*.mutations.*",
];

/// Boolean expressions.
const INVERTED: &[&str] = &[
    "tools.rules.*.when",
    "admission.rules.*.match.conditions.*.expression",
    "admission.rules.*.validations.*.expression",
];

/// Words, and what is weaker than each.
const WEAKER_WORDS: &[(&str, &[(&str, &str)])] = &[
    ("subjects.unmatched", &[("Deny", "Allow")]),
    ("isolation.podSecurity.level", &[("Restricted", "Baseline"), ("Baseline", "Privileged")]),
    ("images.*.digest", &[("Resolve", "Any"), ("Required", "Any")]),
    ("admission.rules.*.action", &[("Deny", "Warn"), ("Warn", "Audit")]),
];

/// Every edit of a document.
pub(super) fn of(document: &Json) -> Vec<Edit> {
    let mut found = Vec::new();
    for pattern in DROPPED {
        for at in matching(document, pattern) {
            let steps = vec![Step::Remove(at.clone())];
            found.push(edit(document, &at, "drop", String::new(), steps));
        }
    }
    for pattern in INVERTED {
        for at in matching(document, pattern) {
            if let Some(Json::String(text)) = get(document, &at) {
                let inverted = format!("!({})", text.trim());
                found.push(replaced(document, &at, "invert", Json::String(inverted)));
            }
        }
    }
    for (pattern, weaker) in WEAKER_WORDS {
        for at in matching(document, pattern) {
            let word = get(document, &at).and_then(Json::as_str);
            let weaker = weaker.iter().find(|(strict, _)| Some(*strict) == word);
            found.extend(weaker.map(|(_, weaker)| replaced(document, &at, "weaken", Json::from(*weaker))));
        }
    }
    found.extend(weaker_tool_rules(document));
    found.extend(weaker_admission_rules(document));
    // Tests cannot notice what a rule without effect says.
    let shadow = shadow_rules(document);
    found.retain(|edit| !shadow.iter().any(|rule| edit.at.segments().starts_with(rule.segments())));
    found
}

fn shadow_rules(document: &Json) -> Vec<FieldPath> {
    let mode = |rule: &FieldPath| get(document, &rule.member("mode")).and_then(Json::as_str);
    let mut rules = matching(document, "tools.rules.*");
    rules.retain(|rule| mode(rule) == Some("Shadow"));
    rules
}

/// A number that allows more, if there is one.
type Weaken = fn(i64) -> Option<i64>;

/// `ask` becomes `allow`, and numbers allow more. The only way to weaken `deny` and `confirm` is to drop the
/// rule.
fn weaker_tool_rules(document: &Json) -> Vec<Edit> {
    let mut found = Vec::new();
    for at in matching(document, "tools.rules.*.ask") {
        let Some(rule) = at.parent() else { continue };
        let allow = Step::Put(rule.member("allow"), Json::Object(Default::default()));
        let steps = vec![Step::Remove(at.clone()), allow];
        found.push(edit(document, &at, "weaken", "allow: {}".to_owned(), steps));
    }
    let more: Weaken = |number| number.checked_add(1);
    let twice: Weaken = |number| number.checked_mul(2);
    let fewer: Weaken = |number| Some(number - 1).filter(|fewer| *fewer > 0);
    let weaker: [(&str, Weaken); 5] = [
        ("tools.rules.*.throttle.max", more),
        ("tools.state.budgets.*.limit", twice),
        ("tools.rules.*.ask.quorum", fewer),
        ("tools.rules.*.confirm.quorum", fewer),
        ("tools.definitions.*.otherwise.ask.quorum", fewer),
    ];
    for (pattern, weaken) in weaker {
        for at in matching(document, pattern) {
            let number = get(document, &at).and_then(Json::as_i64).and_then(weaken);
            found.extend(number.map(|number| replaced(document, &at, "weaken", Json::from(number))));
        }
    }
    found
}

/// A rule without an action denies, and one over pods is weaker if it forgets the templates.
fn weaker_admission_rules(document: &Json) -> Vec<Edit> {
    let mut found = Vec::new();
    for at in matching(document, "admission.rules.*") {
        let Some(rule) = get(document, &at).and_then(Json::as_object) else { continue };
        let judges = ["validations", "rego"].iter().any(|one| rule.contains_key(*one));
        if judges && !rule.contains_key("action") {
            let steps = vec![Step::Put(at.member("action"), Json::from("Warn"))];
            let mut made = edit(document, &at, "weaken", "action: Warn".to_owned(), steps);
            made.name = made.name.replace(" weaken", ".action weaken");
            found.push(made);
        }
        if rule.get("podTemplates") == Some(&Json::Bool(true)) {
            found.push(replaced(document, &at.member("podTemplates"), "weaken", Json::Bool(false)));
        }
    }
    found
}

fn replaced(document: &Json, at: &FieldPath, how: &str, value: Json) -> Edit {
    let after = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    edit(document, at, how, after, vec![Step::Put(at.clone(), value)])
}

fn edit(document: &Json, at: &FieldPath, how: &str, after: String, steps: Vec<Step>) -> Edit {
    let (name, subject) = named(document, at);
    Edit { name: format!("{name} {how}"), at: at.clone(), after, subject, steps }
}

/// The path from `spec`, with the names of list elements in place of their indices, and the first of these
/// names.
fn named(document: &Json, at: &FieldPath) -> (String, Option<String>) {
    let (mut name, mut subject) = (String::new(), None);
    let mut here = Some(document);
    for segment in at.segments() {
        here = here.and_then(|here| step(here, segment));
        match segment {
            Segment::Member(member) if name.is_empty() && member == "spec" => {}
            Segment::Member(member) => {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(member);
            }
            Segment::Index(index) => {
                let own = here.and_then(|here| here.get("name")).and_then(Json::as_str).map(str::to_owned);
                name.push_str(&format!("[{}]", own.clone().unwrap_or_else(|| index.to_string())));
                subject = subject.or(own);
            }
        }
    }
    // Sections decide under their own names.
    let section = at.segments().iter().skip(1).filter_map(|segment| match segment {
        Segment::Member(member) if member != "isolation" => Some(member.clone()),
        _ => None,
    });
    let subject = subject.or_else(|| section.into_iter().next());
    (name, subject)
}

/// The paths below `spec` that exist and match a pattern.
fn matching(document: &Json, pattern: &str) -> Vec<FieldPath> {
    let mut found = vec![(FieldPath::spec(), document.get("spec"))];
    for part in pattern.split('.') {
        let mut next = Vec::new();
        for (at, here) in found {
            match (part, here) {
                ("*", Some(Json::Array(items))) => {
                    next.extend(items.iter().enumerate().map(|(index, item)| (at.index(index), Some(item))));
                }
                (member, Some(here)) => next.push((at.member(member), here.get(member))),
                (_, None) => {}
            }
        }
        found = next.into_iter().filter(|(_, here)| here.is_some()).collect();
    }
    found.into_iter().map(|(at, _)| at).collect()
}

fn step<'j>(here: &'j Json, segment: &Segment) -> Option<&'j Json> {
    match segment {
        Segment::Member(member) => here.get(member),
        Segment::Index(index) => here.get(index),
    }
}

fn get<'j>(document: &'j Json, at: &FieldPath) -> Option<&'j Json> {
    at.segments().iter().try_fold(document, step)
}

fn get_mut<'j>(document: &'j mut Json, at: &FieldPath) -> Option<&'j mut Json> {
    at.segments().iter().try_fold(document, |here, segment| match segment {
        Segment::Member(member) => here.get_mut(member),
        Segment::Index(index) => here.get_mut(index),
    })
}

/// Removes a field or an element.
fn remove(document: &mut Json, at: &FieldPath) {
    let holder = at.parent().and_then(|parent| get_mut(document, &parent));
    match (holder, at.segments().last()) {
        (Some(Json::Object(members)), Some(Segment::Member(member))) => drop(members.remove(member)),
        (Some(Json::Array(items)), Some(Segment::Index(index))) if *index < items.len() => {
            drop(items.remove(*index));
        }
        _ => {}
    }
}

/// Puts a value into a field or an element.
fn put(document: &mut Json, at: &FieldPath, value: Json) {
    let holder = at.parent().and_then(|parent| get_mut(document, &parent));
    match (holder, at.segments().last()) {
        (Some(Json::Object(members)), Some(Segment::Member(member))) => {
            members.insert(member.clone(), value);
        }
        (Some(Json::Array(items)), Some(Segment::Index(index))) => {
            if let Some(item) = items.get_mut(*index) {
                *item = value;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_edit_is_made_and_named() {
        let document = serde_json::json!({"spec": {
            "isolation": {"podSecurity": {"level": "Restricted"}},
            "tools": {"rules": [
                {"name": "a", "when": "x", "ask": {"quorum": 2}, "transform": {"args": "y"}},
                {"name": "b", "throttle": {"counter": "c", "max": 20}},
                {"name": "c", "mode": "Shadow", "when": "y", "ask": {"quorum": 2}},
            ]},
            "admission": {"rules": [{"name": "r", "podTemplates": true, "validations": [{"expression": "true"}]}]},
        }});
        let edits = of(&document);
        let shown: Vec<_> = edits.iter().map(|edit| format!("{} > {}", edit.name, edit.after)).collect();
        assert_eq!(
            shown,
            [
                "isolation.podSecurity drop > ",
                "tools.rules[a] drop > ",
                "tools.rules[b] drop > ",
                "tools.rules[a].transform drop > ",
                "admission.rules[r] drop > ",
                "admission.rules[r].validations[0] drop > ",
                "tools.rules[a].when invert > !(x)",
                "admission.rules[r].validations[0].expression invert > !(true)",
                "isolation.podSecurity.level weaken > Baseline",
                "tools.rules[a].ask weaken > allow: {}",
                "tools.rules[b].throttle.max weaken > 21",
                "tools.rules[a].ask.quorum weaken > 1",
                "admission.rules[r].action weaken > action: Warn",
                "admission.rules[r].podTemplates weaken > false",
            ]
        );
        assert!(edits.iter().all(|edit| edit.of(&document) != document), "an edit edits nothing");
        let subjects: Vec<_> = edits.iter().filter_map(|edit| edit.subject.as_deref()).take(2).collect();
        assert_eq!(subjects, ["podSecurity", "a"]);
        let action = edits.iter().find(|edit| edit.after == "action: Warn").unwrap();
        assert_eq!(action.of(&document)["spec"]["admission"]["rules"][0]["action"], "Warn");
    }
}
