//! The answers of the API server's authorizer, as a test case writes them, turned into the facts that a
//! decision needs.

use bailiwick_policy::authorization::{Answer, Question, What, Who};

use crate::policy_test::CaseAnswer;

/// The answer of a case: its first entry that matches.
///
/// # Errors
/// If no entry matches: what is asked, and what to write.
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
    let account = entry.service_account.as_ref().is_none_or(|account| match &question.who {
        Who::Requester => account.namespace.is_empty() && account.name.is_empty(),
        Who::ServiceAccount { namespace, name } => (namespace, name) == (&account.namespace, &account.name),
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

/// An entry that matches only this question, as YAML.
fn written(question: &Question) -> String {
    let mut parts = vec![format!("verb: {}", quoted(&question.verb))];
    match &question.what {
        What::Path(path) => parts.push(format!("path: {}", quoted(path))),
        What::Resource(of) => {
            for (member, text) in [
                ("group", &of.group),
                ("resource", &of.resource),
                ("subresource", &of.subresource),
                ("namespace", &of.namespace),
                ("name", &of.name),
                ("fieldSelector", &of.field_selector),
                ("labelSelector", &of.label_selector),
            ] {
                parts.push(format!("{member}: {}", quoted(text)));
            }
        }
    }
    let (namespace, name) = match &question.who {
        Who::Requester => ("", ""),
        Who::ServiceAccount { namespace, name } => (namespace.as_str(), name.as_str()),
    };
    parts.push(format!("serviceAccount: {{namespace: {}, name: {}}}", quoted(namespace), quoted(name)));
    format!("- {{{}, allowed: true}}", parts.join(", "))
}

/// A JSON string is also a YAML string, except for characters that YAML wants escaped.
fn quoted(text: &str) -> String {
    let is_plain = |char: char| {
        !char.is_control() && !matches!(char, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let json = serde_json::to_string(text).unwrap_or_default();
    let escaped =
        |char: char| if is_plain(char) { char.to_string() } else { format!("\\u{:04x}", u32::from(char)) };
    json.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::authorization::Resource;

    use super::*;
    use crate::policy_test;
    use crate::source::SourceFile;

    /// The entry as a test contains it.
    fn read(entry: &str) -> CaseAnswer {
        let text = format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: t}}\nspec:\n  cases:\n  - name: a\n    admission:\n      object: {{}}\n      authorizer:\n      {entry}\n    expect: {{allowed: true}}\n"
        );
        let (tests, diagnostics) = policy_test::read(&[SourceFile::new("tests/t.yaml", text)]);
        assert!(diagnostics.is_empty(), "{entry}: {diagnostics:?}");
        let case = tests.into_iter().next().unwrap().1.spec.cases.into_iter().next().unwrap();
        case.admission.unwrap().authorizer.into_iter().next().unwrap()
    }

    #[test]
    fn the_entry_that_a_test_is_told_to_write_fits_the_question_and_no_other() {
        let account = |namespace: &str, name: &str| Who::ServiceAccount {
            namespace: namespace.into(),
            name: name.into(),
        };
        let resource = |change: fn(&mut Resource)| {
            let mut of = Resource { resource: "pods".to_owned(), ..Resource::default() };
            change(&mut of);
            What::Resource(of)
        };
        let subjects = [Who::Requester, account("agents", "robot"), account("1234", "true")];
        let objects = [
            What::Path("/a".to_owned()),
            resource(|_| {}),
            resource(|of| of.group = "apps".to_owned()),
            resource(|of| of.subresource = "log".to_owned()),
            resource(|of| of.namespace = "1234".to_owned()),
            resource(|of| of.name = "null # \"a\": \u{7f}\u{85}\u{2028}\n'".to_owned()),
            resource(|of| of.field_selector = "a=b,c!=d".to_owned()),
            resource(|of| of.label_selector = "a in (b, c)".to_owned()),
        ];
        let questions: Vec<Question> = subjects
            .iter()
            .flat_map(|who| objects.iter().map(move |what| (who.clone(), what.clone())))
            .flat_map(|(who, what)| {
                ["get", "no"].map(|verb| Question {
                    who: who.clone(),
                    what: what.clone(),
                    verb: verb.to_owned(),
                })
            })
            .collect();
        for question in &questions {
            let entry = read(&written(question));
            let fitting: Vec<_> = questions.iter().filter(|one| fits(&entry, one)).collect();
            assert_eq!(fitting, [question]);
        }
    }
}
