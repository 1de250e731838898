//! Evaluating an authored rule: conditions, validations, its Rego, audit annotations.
//!
//! What cannot be evaluated counts as a failed validation: denied, except where the pack says Warn or Audit.
//! Fuel is counted for each rule, and for the request as a whole.

use std::cell::Cell;

use crate::authorization::Questions;
use crate::cel::{Env, EvalError, Fuel, Prepared, Scope, Value, eval};
use crate::decision::{Effect, Finding};
use crate::ir::Const;
use crate::json::Json;
use crate::policy::{Action, AdmissionRule, Validation};

use super::ready::ReadyRule;
use super::rego::{Documents, RegoFailure, RegoRule};
use super::reviewer::Bound;

/// All rules of one request together may spend as much as this many rules at their limit: some hundred
/// milliseconds, well within the webhook's five seconds.
const RULES_AT_LIMIT: u64 = 10;
/// A computed message is cut here, in bytes, as in ValidatingAdmissionPolicy.
const MAX_MESSAGE: usize = 5 * 1024;
/// The largest value of a mutation's expression, in bytes of names, texts and other values: what etcd accepts
/// as one object.
const MAX_MUTATION: usize = 3 << 19;

/// Each rule in Rego counts as a rule's limit divided by this number; five hundred of them fit into a
/// request.
const REGO_SHARE: u64 = 50;
/// The most messages of one rule in Rego that are reported. More would not be read, and an answer to the API
/// server is bounded.
const MAX_MESSAGES: usize = 32;

/// What one request may still spend.
pub(super) struct Budget(Cell<u64>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(RULES_AT_LIMIT * Fuel::DEFAULT))
    }

    /// The fuel of the next rule.
    fn rule(&self) -> Fuel {
        Fuel::new(self.0.get().min(Fuel::DEFAULT))
    }

    fn spent(&self, granted: u64, left: u64) {
        self.0.set(self.0.get().saturating_sub(granted.saturating_sub(left)));
    }
}

/// What a rule sees.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'i> {
    pub(super) object: &'i Json<'i>,
    pub(super) old_object: Option<&'i Json<'i>>,
    pub(super) request: &'i Json<'i>,
    pub(super) namespace_object: Option<&'i Json<'i>>,
    pub(super) authorizer: &'i Questions<'i>,
    /// The pod under review, if there is one.
    pub(super) pod: Option<&'i Json<'i>>,
}

/// The evaluations of one policy over one view.
pub(super) struct Session<'s> {
    bound: &'s Bound,
    inputs: Inputs<'s>,
    scope: Scope<'s>,
    budget: &'s Budget,
}

/// Why an expression gave no usable value.
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) cause: Cause,
}

/// Why an expression gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its evaluation over these objects is an error.
    Meaning,
    /// The authorizer's answer is not known.
    Unanswered,
    /// A limit was reached: no ratchet relaxes that.
    Limit,
}

/// A finding of an authored rule, before the ratchet.
pub(super) struct RuleFinding {
    pub(super) finding: Finding,
    pub(super) of: Part,
    pub(super) limit: bool,
}

/// Which part of a rule made a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A validation, by its position.
    Validation(usize),
    /// The rule's Rego.
    Rego,
    /// A condition or an annotation.
    Around,
}

/// The result of a rule.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) findings: Vec<RuleFinding>,
    pub(super) annotations: Vec<(String, String)>,
}

/// The remedy for a rule that costs too much. The rule's own remedy is about objects that it denies, and
/// would mislead.
const TOO_COSTLY: &str = "make the rule cheaper in its pack: less nesting of macros, or a shorter list to go through; nothing in this object helps";

/// The same for a question without an answer.
const UNANSWERED: &str = "try again; the webhook asks the API server in a cluster and nowhere else, and a test says the answer under `authorizer` of its case";

/// A finding with a remedy for what failed: the object, or something outside it.
pub(super) fn within_reach(finding: Finding, cause: Cause) -> Finding {
    let remedy = match cause {
        Cause::Meaning => return finding,
        Cause::Unanswered => UNANSWERED,
        Cause::Limit => TOO_COSTLY,
    };
    Finding { remedy: Some(remedy.to_owned()), ..finding }
}

/// A message on one line and within its length.
fn shorten(message: String) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = (0..=MAX_MESSAGE.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    line.get(..end).unwrap_or_default().to_owned()
}

impl<'s> Session<'s> {
    pub(super) fn new(bound: &'s Bound, inputs: Inputs<'s>, budget: &'s Budget) -> Self {
        let env = Env {
            object: inputs.object,
            old_object: inputs.old_object,
            request: inputs.request,
            namespace_object: inputs.namespace_object,
            authorizer: Some(inputs.authorizer),
            pod: inputs.pod,
        };
        let scope = Scope::new(&bound.loaded, env, budget.rule());
        Self { bound, inputs, scope, budget }
    }

    /// Runs `body` with the fuel of one rule.
    fn within<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        let fuel = self.budget.rule();
        let granted = fuel.left();
        self.scope.set_fuel(fuel);
        let result = body(self);
        self.budget.spent(granted, self.scope.fuel().left());
        result
    }

    /// Evaluates a rule: `None` if its conditions exclude it.
    pub(super) fn ask(&mut self, ready: ReadyRule<'s>) -> Option<Asked> {
        let rule = ready.rule;
        self.within(|session| {
            match session.conditions(ready) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(failure) => {
                    let findings = vec![session.failed(rule, failure.message, failure.cause)];
                    return Some(Asked { findings, annotations: Vec::new() });
                }
            }
            let mut asked = Asked::default();
            let validations = rule.validations.iter().zip(&ready.ready.expressions.validations);
            for (at, (validation, (expression, message))) in validations.enumerate() {
                let (told, cause) = match session.boolean(expression) {
                    Ok(true) => continue,
                    Ok(false) => (session.message(validation, message.as_ref()), Cause::Meaning),
                    Err(failure) => (format!("cannot be evaluated: {}", failure.message), failure.cause),
                };
                let finding = within_reach(session.finding(rule, told, Some(validation)), cause);
                let limit = cause == Cause::Limit;
                asked.findings.push(RuleFinding { finding, of: Part::Validation(at), limit });
            }
            if let Some(rego) = &ready.ready.rego {
                session.messages(rule, rego.as_ref(), &mut asked);
            }
            session.annotate(ready, &mut asked);
            Some(asked)
        })
    }

    /// The value of a mutating rule's expression.
    pub(super) fn mutation(&mut self, expression: &'s Prepared) -> Result<Json<'static>, Failure> {
        self.within(|session| {
            let value = session.value(expression)?;
            if !value.fits(MAX_MUTATION) {
                let message = format!("the expression gives more than {MAX_MUTATION} bytes");
                return Err(Failure { message, cause: Cause::Meaning });
            }
            value.to_json().map_err(|error| Failure { message: error.to_string(), cause: Cause::Meaning })
        })
    }

    /// Whether all conditions hold. A false condition settles it, whatever the others give, as in the API
    /// server.
    pub(super) fn applies(&mut self, ready: ReadyRule<'s>) -> Result<bool, Failure> {
        self.within(|session| session.conditions(ready))
    }

    fn conditions(&mut self, ready: ReadyRule<'s>) -> Result<bool, Failure> {
        let mut failed = None;
        let names = ready.rule.matches.conditions.iter().map(|(name, _)| name);
        for (name, condition) in names.zip(&ready.ready.expressions.conditions) {
            match self.boolean(condition) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(failure) => {
                    let message = format!("condition `{name}` cannot be evaluated: {}", failure.message);
                    failed.get_or_insert(Failure { message, cause: failure.cause });
                }
            }
        }
        failed.map_or(Ok(true), Err)
    }

    fn message(&mut self, validation: &Validation, expression: Option<&'s Prepared>) -> String {
        let computed = expression.and_then(|expression| self.value(expression).ok());
        let computed = computed.as_ref().and_then(Value::as_str).map(str::trim);
        let usable =
            computed.filter(|text| !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n'));
        usable
            .map(str::to_owned)
            .or_else(|| validation.message.clone())
            .unwrap_or_else(|| format!("failed expression: {}", validation.expression.source.trim()))
    }

    /// Evaluates the rule's Rego: a finding for each message.
    fn messages(&mut self, rule: &AdmissionRule, rego: &dyn RegoRule, asked: &mut Asked) {
        let params = self.bound.pack(rule.origin.pack).map_or(&Const::Null, |pack| &pack.parameters);
        let Inputs { object, old_object, request, namespace_object, authorizer: _, pod: _ } = self.inputs;
        let told = if self.budget.rule().left() == 0 {
            Err(RegoFailure::Limit("the rules before it have spent the budget of the request".to_owned()))
        } else {
            rego.messages(Documents { object, old_object, request, params, namespace_object })
        };
        // The steps are not reported; each evaluation counts as a share, so that many rules end like one that
        // costs too much.
        self.budget.spent(Fuel::DEFAULT / REGO_SHARE, 0);
        let mut push = |message: String, cause: Cause| {
            let one = self.failed(rule, message, cause);
            asked.findings.push(RuleFinding { of: Part::Rego, ..one });
        };
        match told {
            Ok(messages) => {
                let more = messages.len().saturating_sub(MAX_MESSAGES);
                messages
                    .into_iter()
                    .take(MAX_MESSAGES)
                    .for_each(|message| push(shorten(message), Cause::Meaning));
                if more > 0 {
                    push(format!("and {more} more violations of this rule"), Cause::Meaning);
                }
            }
            Err(RegoFailure::Evaluation(why)) => push(format!("cannot be evaluated: {why}"), Cause::Meaning),
            Err(RegoFailure::Limit(why)) => {
                // What it spent before is not known; it counts as a rule at its limit.
                self.budget.spent(Fuel::DEFAULT, 0);
                push(format!("cannot be evaluated: {why}"), Cause::Limit);
            }
        }
    }

    fn annotate(&mut self, ready: ReadyRule<'s>, asked: &mut Asked) {
        let rule = ready.rule;
        let keys = rule.audit_annotations.iter().map(|(key, _)| key);
        for (key, expression) in keys.zip(&ready.ready.expressions.annotations) {
            match self.value(expression) {
                Ok(Value::Null) => {}
                Ok(value) => match value.as_str() {
                    Some(text) => asked.annotations.push((key.clone(), text.to_owned())),
                    None => {
                        let message = format!("audit annotation `{key}` is not a string");
                        asked.findings.push(self.failed(rule, message, Cause::Meaning));
                    }
                },
                Err(failure) => {
                    let message =
                        format!("audit annotation `{key}` cannot be evaluated: {}", failure.message);
                    asked.findings.push(self.failed(rule, message, failure.cause));
                }
            }
        }
    }

    fn boolean(&mut self, expression: &'s Prepared) -> Result<bool, Failure> {
        match self.value(expression)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failure { message: "the result is not a boolean".to_owned(), cause: Cause::Meaning }),
        }
    }

    /// Evaluates, and checks the fuel again: `||` may have absorbed its exhaustion.
    fn value(&mut self, expression: &'s Prepared) -> Result<Value<'s>, Failure> {
        let result = eval(expression, &mut self.scope);
        if self.scope.fuel().exhausted() {
            return Err(Failure { message: "it costs more than its budget".to_owned(), cause: Cause::Limit });
        }
        result.map_err(|error| Failure {
            cause: match error {
                EvalError::Unanswered(_) => Cause::Unanswered,
                _ if error.is_limit() => Cause::Limit,
                _ => Cause::Meaning,
            },
            message: error.to_string(),
        })
    }

    /// A finding about what surrounds the validations.
    fn failed(&self, rule: &AdmissionRule, message: String, cause: Cause) -> RuleFinding {
        let finding = within_reach(self.finding(rule, message, None), cause);
        RuleFinding { finding, of: Part::Around, limit: cause == Cause::Limit }
    }

    pub(super) fn finding(&self, rule: &AdmissionRule, message: String, of: Option<&Validation>) -> Finding {
        let effect = match rule.action {
            Action::Deny => Effect::Deny,
            Action::Warn => Effect::Warn,
            Action::Audit => Effect::Audit,
        };
        Finding {
            effect,
            pack: self.bound.pack_name(rule.origin.pack),
            rule: rule.name.clone(),
            message,
            field: String::new(),
            remedy: of.and_then(|validation| validation.remedy.clone()),
            reason: of.map_or_else(|| "Invalid".to_owned(), |validation| validation.reason.clone()),
        }
    }
}
