//! Kubernetes' authorizer library: `k8s.io/apiserver` v0.37.2, `pkg/cel/library/authz.go`.
//!
//! A chain of calls builds the question; `check` ends it, and its answer is a fact that was fetched before
//! ([`crate::authorization`]). Nothing is queried here, and selectors are not parsed: the answering side does
//! that, as the API server does for a SubjectAccessReview.

use std::rc::Rc;

use super::super::value::Value;
use super::super::{EvalError, Scope};
use super::named_formats::NamedFormat;
use super::{Outcome, no_overload, spend_texts};
use crate::authorization::{Answer, MAX_QUESTION_BYTES, Question, Resource, What, Who};
use crate::ir::Func;

/// A question under construction, or its answer.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// `authorizer`, for the requesting user or a service account.
    Authorizer(Who),
    /// `authorizer.group(…)`.
    Group(Who, String),
    /// A question ready to be asked: a path, or `authorizer.group(…).resource(…)` with whatever narrows it.
    Check(Who, What),
    /// `….check(verb)`.
    Decision(Answer),
}

impl Authorization {
    /// The name of its type.
    pub(in crate::cel) const fn type_name(&self) -> &'static str {
        match self {
            Self::Authorizer(_) => "kubernetes.authorization.Authorizer",
            Self::Group(..) => "kubernetes.authorization.GroupCheck",
            Self::Check(_, What::Path(_)) => "kubernetes.authorization.PathCheck",
            Self::Check(_, What::Resource(_)) => "kubernetes.authorization.ResourceCheck",
            Self::Decision(_) => "kubernetes.authorization.Decision",
        }
    }
}

/// Every function of the library.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], scope: &mut Scope<'a>) -> Outcome<'a> {
    spend_texts(args, &mut scope.fuel)?;
    let [Value::Authorization(of), given @ ..] = args else { return no_overload(function) };
    let texts: Vec<&str> = given.iter().filter_map(Value::as_str).collect();
    if texts.len() != given.len() {
        return no_overload(function);
    }
    // Each step copies what was collected before: no part of a question is longer than a whole one may be.
    if texts.iter().any(|text| text.len() > MAX_QUESTION_BYTES) {
        let why = format!("the authorizer is asked nothing longer than {MAX_QUESTION_BYTES} bytes");
        return Err(EvalError::invalid(why));
    }
    let gathered = match (&**of, function, texts.as_slice()) {
        (Authorization::Decision(answer), _, []) => return read(answer, function),
        (Authorization::Check(who, what), Func::Check, [verb]) => {
            let question = Question { who: who.clone(), what: what.clone(), verb: (*verb).to_owned() };
            let asking = scope.authorizer().ok_or_else(|| EvalError::invalid("nobody can be asked here"))?;
            let answer = asking.ask(question).map_err(|why| EvalError::Unanswered(why.into_boxed_str()))?;
            scope.fuel.spend_bytes(answer.reason.len().saturating_add(answer.error.len()))?;
            Authorization::Decision(answer.clone())
        }
        (Authorization::Authorizer(who), Func::Path, [path]) => {
            Authorization::Check(who.clone(), What::Path(not_empty("path", path)?))
        }
        (Authorization::Authorizer(who), Func::Group, [group]) => {
            Authorization::Group(who.clone(), (*group).to_owned())
        }
        (Authorization::Authorizer(_), Func::ServiceAccount, [namespace, name]) => {
            Authorization::Authorizer(service_account(namespace, name)?)
        }
        (Authorization::Group(who, group), Func::Resource, [resource]) => {
            let resource = not_empty("resource", resource)?;
            let resource = Resource { group: group.clone(), resource, ..Resource::default() };
            Authorization::Check(who.clone(), What::Resource(resource))
        }
        (Authorization::Check(who, What::Resource(resource)), _, [text]) => {
            let narrowed = narrowed(resource.clone(), function, text);
            let Some(narrowed) = narrowed else { return no_overload(function) };
            Authorization::Check(who.clone(), What::Resource(narrowed))
        }
        _ => return no_overload(function),
    };
    Ok(Value::Authorization(Rc::new(gathered)))
}

fn read<'a>(answer: &Answer, function: Func) -> Outcome<'a> {
    Ok(match function {
        Func::Allowed => Value::Bool(answer.allowed),
        Func::Reason => Value::string(answer.reason.as_str()),
        Func::Errored => Value::Bool(!answer.error.is_empty()),
        Func::ErrorOf => Value::string(answer.error.as_str()),
        _ => return no_overload(function),
    })
}

fn narrowed(resource: Resource, function: Func, text: &str) -> Option<Resource> {
    let text = text.to_owned();
    Some(match function {
        Func::Subresource => Resource { subresource: text, ..resource },
        Func::InNamespace => Resource { namespace: text, ..resource },
        Func::Named => Resource { name: text, ..resource },
        Func::FieldSelector => Resource { field_selector: text, ..resource },
        Func::LabelSelector => Resource { label_selector: text, ..resource },
        _ => return None,
    })
}

fn not_empty(what: &str, text: &str) -> Result<String, EvalError> {
    if text.trim().is_empty() {
        return Err(EvalError::invalid(format!("{what} must not be empty")));
    }
    Ok(text.to_owned())
}

fn service_account(namespace: &str, name: &str) -> Result<Who, EvalError> {
    if !NamedFormat::Dns1123Subdomain.has(name) {
        return Err(EvalError::invalid("Invalid service account name"));
    }
    if !NamedFormat::Dns1123Label.has(namespace) {
        return Err(EvalError::invalid("Invalid service account namespace"));
    }
    Ok(Who::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
}
