//! What the API server's authorizer would say, as a test case writes it, as the facts that a decision asks for.

use bailiwick_policy::authorization::{Answer, Question, What, Who};

use crate::policy_test::CaseAnswer;

/// The answer of a case: its first entry that fits.
///
/// # Errors
/// What is asked, and what to write, if no entry fits.
pub(super) fn answer(question: &Question, entries: &[CaseAnswer]) -> Result<Answer, String> {
    let entry = entries.iter().find(|entry| fits(entry, question));
    let Some(entry) = entry else {
        return Err(format!(
            "a rule asks the authorizer whether {question}, and nothing under `admission.authorizer` says so: add `{}`",
            written(question)
        ));
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(Answer { allowed: entry.allowed, reason: text(&entry.reason), error: text(&entry.error) })
}

fn fits(entry: &CaseAnswer, question: &Question) -> bool {
    let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
    let account = entry.service_account.as_ref().is_none_or(|account| {
        matches!(&question.who, Who::ServiceAccount { namespace, name }
            if (namespace, name) == (&account.namespace, &account.name))
    });
    let of_resources = [
        &entry.group,
        &entry.resource,
        &entry.subresource,
        &entry.namespace,
        &entry.name,
        &entry.field_selector,
        &entry.label_selector,
    ];
    let what = match &question.what {
        What::Path(path) => is(&entry.path, path) && of_resources.iter().all(|one| one.is_none()),
        What::Resource(of) => {
            let asked = [
                &of.group,
                &of.resource,
                &of.subresource,
                &of.namespace,
                &of.name,
                &of.field_selector,
                &of.label_selector,
            ];
            entry.path.is_none() && of_resources.into_iter().zip(asked).all(|(wanted, text)| is(wanted, text))
        }
    };
    account && what && is(&entry.verb, &question.verb)
}

/// An entry that fits a question and no other, as YAML.
fn written(question: &Question) -> String {
    let mut parts = vec![format!("verb: {}", quoted(&question.verb))];
    match &question.what {
        What::Path(path) => parts.push(format!("path: {}", quoted(path))),
        What::Resource(of) => {
            let (group, resource) = (quoted(&of.group), quoted(&of.resource));
            parts.push(format!("group: {group}, resource: {resource}"));
            for (member, text) in [
                ("subresource", &of.subresource),
                ("namespace", &of.namespace),
                ("name", &of.name),
                ("fieldSelector", &of.field_selector),
                ("labelSelector", &of.label_selector),
            ] {
                if !text.is_empty() {
                    parts.push(format!("{member}: {}", quoted(text)));
                }
            }
        }
    }
    if let Who::ServiceAccount { namespace, name } = &question.who {
        parts.push(format!("serviceAccount: {{namespace: {namespace}, name: {name}}}"));
    }
    format!("- {{{}, allowed: true}}", parts.join(", "))
}

/// JSON's strings are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
