//! The API server's authorizer, queried by SubjectAccessReview: who may widen a pack, and what rules ask
//! through `authorizer`.
//!
//! Nothing is cached between reviews, so a permission that was revoked a moment ago no longer counts. The
//! number of questions in one review is bounded where they are made ([`MAX_QUESTIONS`]). They are asked
//! concurrently, each within [`API_TIMEOUT`].
//!
//! [`MAX_QUESTIONS`]: bailiwick_policy::authorization::MAX_QUESTIONS
//! [`API_TIMEOUT`]: super::API_TIMEOUT

use bailiwick_policy::authorization::{Answer, Answers, Question, Resource, What, Who};
use futures_util::future::join_all;
use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes,
    SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use tokio::time::{Instant, timeout};

use super::{Cluster, patience};
use crate::user::UserInfo;

/// The longest reason or error of the authorizer, in bytes; the rest is cut. It comes from whatever webhooks
/// a cluster has, and a rule may repeat it.
const MAX_WORDS: usize = 4 << 10;

/// Asks whether a user may widen a pack.
///
/// # Errors
/// Why the answer is unknown.
pub(crate) async fn may_widen(
    cluster: &Cluster,
    user: &UserInfo,
    pack: &str,
    until: Instant,
) -> Result<bool, String> {
    let attributes = ResourceAttributes {
        group: Some("bailiwick.dev".to_owned()),
        resource: Some("policypacks".to_owned()),
        verb: Some("widen".to_owned()),
        name: Some(pack.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec { resource_attributes: Some(attributes), ..user.spec() };
    let said = said(cluster, spec, until).await;
    said.map(|answer| answer.allowed).map_err(|why| format!("it is not known who may widen: {why}"))
}

/// Adds the answers to these questions, or why they could not be obtained.
pub(crate) async fn answer(
    cluster: &Cluster,
    user: &UserInfo,
    questions: Vec<Question>,
    until: Instant,
    answers: &mut Answers,
) {
    let asked = questions.into_iter().map(|question| async move {
        let said = said(cluster, review(user, &question), until).await;
        (question, said)
    });
    for (question, said) in join_all(asked).await {
        answers.learn(question, said);
    }
}

/// A question in the API server's form: what one of its own expressions would ask its authorizer,
/// `pkg/cel/library/authz.go`. The API server parses the selectors itself, and omits one that is invalid.
fn review(user: &UserInfo, question: &Question) -> SubjectAccessReviewSpec {
    let spec = match &question.who {
        Who::Requester => user.spec(),
        Who::ServiceAccount { namespace, name } => SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
            ]),
            ..SubjectAccessReviewSpec::default()
        },
    };
    let verb = Some(question.verb.clone());
    match &question.what {
        What::Path(path) => {
            let attributes = NonResourceAttributes { path: Some(path.clone()), verb };
            SubjectAccessReviewSpec { non_resource_attributes: Some(attributes), ..spec }
        }
        What::Resource(resource) => {
            let attributes = ResourceAttributes { verb, ..attributes(resource) };
            SubjectAccessReviewSpec { resource_attributes: Some(attributes), ..spec }
        }
    }
}

fn attributes(of: &Resource) -> ResourceAttributes {
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    let fields = |raw| FieldSelectorAttributes { raw_selector: Some(raw), requirements: None };
    let labels = |raw| LabelSelectorAttributes { raw_selector: Some(raw), requirements: None };
    ResourceAttributes {
        group: said(&of.group),
        version: Some("*".to_owned()),
        resource: said(&of.resource),
        subresource: said(&of.subresource),
        namespace: said(&of.namespace),
        name: said(&of.name),
        field_selector: said(&of.field_selector).map(fields),
        label_selector: said(&of.label_selector).map(labels),
        verb: None,
    }
}

async fn said(cluster: &Cluster, spec: SubjectAccessReviewSpec, until: Instant) -> Result<Answer, String> {
    let api: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let asked = timeout(patience(until), api.create(&PostParams::default(), &review)).await;
    let status = match asked {
        Err(_) => return Err("the API server did not say in time".to_owned()),
        Ok(Err(error)) => return Err(format!("the API server does not say: {error}")),
        Ok(Ok(answer)) => answer.status.ok_or_else(|| "the API server gave no answer".to_owned())?,
    };
    let words = |text: Option<String>| {
        let mut text = text.unwrap_or_default();
        let end = (0..=MAX_WORDS.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text
    };
    Ok(Answer {
        allowed: status.allowed && status.denied != Some(true),
        reason: words(status.reason),
        error: words(status.evaluation_error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(who: Who, what: What) -> serde_json::Value {
        let user = r#"{"username": "dave", "uid": "7", "groups": ["dev"], "extra": {"k": ["v"]}}"#;
        let question = Question { who, what, verb: "get".to_owned() };
        serde_json::to_value(review(&serde_json::from_str(user).unwrap(), &question)).unwrap()
    }

    #[test]
    fn a_question_is_put_as_the_api_server_puts_it_to_itself() {
        let resource = Resource {
            group: "apps".to_owned(),
            resource: "deployments".to_owned(),
            subresource: "scale".to_owned(),
            namespace: "n".to_owned(),
            name: "d".to_owned(),
            field_selector: "spec.nodeName=a".to_owned(),
            label_selector: "app in (".to_owned(),
        };
        let all = asked(Who::Requester, What::Resource(resource));
        let attributes = serde_json::json!({
            "group": "apps", "version": "*", "resource": "deployments", "subresource": "scale", "namespace": "n", "name": "d",
            "verb": "get", "fieldSelector": {"rawSelector": "spec.nodeName=a"}, "labelSelector": {"rawSelector": "app in ("}
        });
        assert_eq!(
            all,
            serde_json::json!({
                "user": "dave", "uid": "7", "groups": ["dev"], "extra": {"k": ["v"]}, "resourceAttributes": attributes
            })
        );
        // Nothing about the requesting user enters a question about another subject.
        let account = Who::ServiceAccount { namespace: "n".to_owned(), name: "a".to_owned() };
        assert_eq!(
            asked(account, What::Path("/healthz".to_owned())),
            serde_json::json!({
                "user": "system:serviceaccount:n:a", "groups": ["system:serviceaccounts", "system:serviceaccounts:n"],
                "nonResourceAttributes": {"path": "/healthz", "verb": "get"}
            })
        );
    }
}
