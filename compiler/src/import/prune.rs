//! Makes a pack compile: the parts of a rule that the compiler rejects are denied or left out, with a loss
//! for each.
//!
//! An expression that must hold and cannot be expressed becomes one that never holds. A condition that
//! narrows a rule is dropped, so the rule applies more often. A part that only grants is removed.

use bailiwick_crds::pack::PolicyPack;
use serde_json::{Value, json};

use super::ImportError;
use super::objects::{Losses, Object, Widens};
use crate::diagnostic::{Diagnostic, Severity};
use crate::library::MemoryLibrary;
use crate::parameters::Bindings;
use crate::source::{PackSources, SourceFile};

/// Most compilations of the pack: a pack that still does not compile is rejected. Each round repairs every
/// finding of the one before.
const MAX_ROUNDS: usize = 16;

pub(super) fn until_it_compiles(
    pack: &mut Value,
    objects: &[Object<'_>],
    losses: &mut Losses,
) -> Result<(), ImportError> {
    for _ in 0..MAX_ROUNDS {
        // Through the types, as it is written out later.
        let typed: PolicyPack =
            serde_json::from_value(pack.clone()).map_err(|error| ImportError::Pack(error.to_string()))?;
        let bytes = serde_json::to_vec(&typed).map_err(|error| ImportError::Pack(error.to_string()))?;
        let sources =
            PackSources { files: vec![SourceFile::new("pack.yaml", bytes)], ..PackSources::default() };
        let compiled = crate::compile(&[(&sources, Bindings::default())], &MemoryLibrary::default());
        let errors: Vec<&Diagnostic> = compiled.all().filter(|one| one.severity == Severity::Error).collect();
        if errors.is_empty() {
            return Ok(());
        }
        let mut places: Vec<(String, String)> =
            errors.iter().map(|one| (one.at.to_string(), one.message.clone())).collect();
        // Last places first: a removal only moves what is after it.
        places.sort_by_key(|(at, _)| std::cmp::Reverse(indices(at)));
        places.dedup_by(|one, other| mended_as(&one.0) == mended_as(&other.0));
        let mut mended = false;
        for (at, why) in places {
            mended |= mend(pack, &at, &why, objects, losses);
        }
        if !mended {
            let first = errors.first().map(|one| format!("{}: {}", one.at, one.message));
            return Err(ImportError::Nothing(first.unwrap_or_default()));
        }
    }
    Err(ImportError::Nothing("the compiler refuses it whatever is taken out".to_owned()))
}

/// The indices in a path, in order.
fn indices(at: &str) -> Vec<usize> {
    at.split('[').skip(1).filter_map(|part| part.split(']').next()?.parse().ok()).collect()
}

/// Repairs one finding; returns whether anything changed.
fn mend(pack: &mut Value, at: &str, why: &str, objects: &[Object<'_>], losses: &mut Losses) -> bool {
    let parts: Vec<&str> = at.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect();
    let numbers = indices(at);
    let Some(first) = objects.first().copied() else { return false };
    match (parts.as_slice(), numbers.as_slice()) {
        (["spec", "admission", "rules", rest @ ..], [rule, inner @ ..]) => {
            let Some(rules) = pack.pointer_mut("/spec/admission/rules").and_then(Value::as_array_mut) else {
                return false;
            };
            let name = rules.get(*rule).and_then(|rule| rule.get("name")).and_then(Value::as_str);
            let name = name.unwrap_or_default().to_owned();
            let Some(found) = rules.get_mut(*rule) else { return false };
            let path = format!("rule {name}: {}", rest.join("."));
            match rule_part(found, rest, inner) {
                Mended::Denies => {
                    let reason = format!("cannot be said, so what it is about is denied: {why}");
                    losses.of_rule((&name, first), &path, reason, Widens::No);
                }
                Mended::Dropped(reason) => {
                    losses.of_rule((&name, first), &path, format!("{reason}: {why}"), Widens::No);
                }
                Mended::Nothing => {
                    rules.remove(*rule);
                    let reason = format!("the rule was left out: {why}");
                    losses.of_rule((&name, first), &path, reason, Widens::Yes);
                }
            }
            true
        }
        (["spec", "tools", "rules", ..], [rule, ..]) => {
            let rules = pack.pointer_mut("/spec/tools/rules").and_then(Value::as_array_mut);
            let Some(rules) = rules.filter(|rules| *rule < rules.len()) else { return false };
            tool_rule(rules, *rule, why, first, losses);
            true
        }
        (["spec", "sandboxes", "syscalls", list @ ("add" | "remove")], [sandbox, index]) => {
            let path = format!("/spec/sandboxes/{sandbox}/syscalls/{list}");
            let names = pack.pointer_mut(&path).and_then(Value::as_array_mut);
            let Some(names) = names.filter(|names| *index < names.len()) else { return false };
            let removed = names.remove(*index);
            let name = removed.as_str().unwrap_or_default();
            // A call that is not removed stays.
            let widens = if *list == "remove" { Widens::Yes } else { Widens::No };
            losses.add(first, &format!("syscalls: {name}"), format!("not taken over: {why}"), widens);
            true
        }
        (["spec", "network", way @ ("ingress" | "egress"), ..], [rule, ..]) => {
            let rules = pack.pointer_mut(&format!("/spec/network/{way}")).and_then(Value::as_array_mut);
            let Some(rules) = rules.filter(|rules| *rule < rules.len()) else { return false };
            let removed = rules.remove(*rule);
            let name = removed.get("name").and_then(Value::as_str).unwrap_or_default();
            let reason = format!("denied instead: {why}");
            losses.of_rule((name, first), &format!("{way} {rule}"), reason, Widens::No);
            true
        }
        _ => false,
    }
}

/// Repairs a rule over tools: a grant becomes a denial of its tools, anything else is left out.
fn tool_rule(rules: &mut Vec<Value>, at: usize, why: &str, first: Object<'_>, losses: &mut Losses) {
    let removed = rules.remove(at);
    let name = removed.get("name").and_then(Value::as_str).unwrap_or_default();
    let path = format!("rule {name}");
    if removed.get("allow").is_some() {
        // A pack that grants a tool nowhere does not restrict it, so leaving the grant out would open the
        // tool.
        let said = "this was imported from a grant that a pack cannot express, and is denied";
        let tools = removed.get("tools").cloned().unwrap_or_default();
        rules.insert(at, json!({"name": name, "tools": tools, "deny": {"reason": said}}));
        let reason = format!("cannot be said, so its tools are denied: {why}");
        losses.of_rule((name, first), &path, reason, Widens::No);
        return;
    }
    let widens = if removed.get("deny").is_some() { Widens::Yes } else { Widens::No };
    losses.of_rule((name, first), &path, format!("it was left out: {why}"), widens);
}

/// The unit of repair: for rules over tools and the network, the whole rule.
fn mended_as(at: &str) -> &str {
    let is_whole = at.starts_with("spec.tools.rules[") || at.starts_with("spec.network.");
    at.split(']').next().filter(|_| is_whole).unwrap_or(at)
}

/// The outcome for a part of a rule.
enum Mended {
    /// It never holds now.
    Denies,
    /// It was removed, and the rule is as strict as before or stricter.
    Dropped(&'static str),
    /// The only repair is to remove the rule.
    Nothing,
}

fn rule_part(rule: &mut Value, rest: &[&str], inner: &[usize]) -> Mended {
    let remove = |list: Option<&mut Value>, index: usize| {
        list.and_then(Value::as_array_mut).filter(|list| index < list.len()).map(|list| list.remove(index))
    };
    match (rest, inner) {
        (["validations", "messageExpression"], [index]) => {
            let member = rule.pointer_mut(&format!("/validations/{index}")).and_then(Value::as_object_mut);
            match member.and_then(|validation| validation.remove("messageExpression")) {
                Some(_) => Mended::Dropped("the message of its own was left out"),
                None => Mended::Nothing,
            }
        }
        (["validations", ..], [index, ..]) => match rule.pointer_mut(&format!("/validations/{index}")) {
            // A rejected expression that already is this one cannot be repaired.
            Some(validation) if validation.get("expression") != Some(&json!("false")) => {
                let said = "this was imported from a rule that a pack cannot express, and is denied";
                *validation = json!({"expression": "false", "message": said});
                Mended::Denies
            }
            _ => Mended::Nothing,
        },
        (["match", "conditions", ..], [index, ..]) => {
            match remove(rule.pointer_mut("/match/conditions"), *index) {
                Some(_) => Mended::Dropped("the condition was dropped, so the rule is asked more often"),
                None => Mended::Nothing,
            }
        }
        (["variables", ..], [index, ..]) => match remove(rule.get_mut("variables"), *index) {
            Some(_) => Mended::Dropped("the variable was dropped, and what uses it is denied"),
            None => Mended::Nothing,
        },
        (["auditAnnotations", ..], [index, ..]) => match remove(rule.get_mut("auditAnnotations"), *index) {
            Some(_) => Mended::Dropped("the audit annotation was left out"),
            None => Mended::Nothing,
        },
        _ => Mended::Nothing,
    }
}
