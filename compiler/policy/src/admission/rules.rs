//! Asking an authored rule: conditions, validations, audit annotations.
//!
//! What cannot be evaluated counts as a failed validation: refused, except where the pack says Warn or Audit. Fuel is
//! counted for each rule, and for the request as a whole.

use std::cell::Cell;

use crate::cel::{Env, Fuel, Prepared, Scope, Value, eval};
use crate::decision::{Effect, Finding};
use crate::json::Json;
use crate::policy::{Action, AdmissionRule, Validation};

use super::ready::ReadyRule;
use super::reviewer::Bound;

/// All rules of one request together may spend as much as this many rules at their limit: some hundred milliseconds, well
/// within the webhook's five seconds.
const RULES_AT_LIMIT: u64 = 10;
/// A computed message is cut here, in bytes; as ValidatingAdmissionPolicy.
const MAX_MESSAGE: usize = 5 * 1024;

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
    /// The pod under review, if there is one.
    pub(super) pod: Option<&'i Json<'i>>,
}

/// The evaluations of one policy over one view.
pub(super) struct Session<'s> {
    bound: &'s Bound,
    scope: Scope<'s>,
    pack: Option<u16>,
    budget: &'s Budget,
}

/// Why an expression gave no usable value.
pub(super) struct Failure {
    pub(super) message: String,
    /// Whether a limit was met: no ratchet excuses that.
    pub(super) limit: bool,
}

/// A finding of an authored rule, before the ratchet.
pub(super) struct RuleFinding {
    pub(super) finding: Finding,
    /// The validation that failed; `None` for a condition or an annotation.
    pub(super) validation: Option<usize>,
    pub(super) limit: bool,
}

/// What a rule gave.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) findings: Vec<RuleFinding>,
    pub(super) annotations: Vec<(String, String)>,
}

/// What helps against a rule that costs too much. Its own remedy is about objects that it refuses, and would mislead.
const TOO_COSTLY: &str = "make the rule cheaper in its pack: less nesting of macros, or a shorter list to go through; nothing in this object helps";

/// A finding whose remedy is about what failed: the object, or, where a limit was met, the rule.
fn within_reach(finding: Finding, limit: bool) -> Finding {
    if limit { Finding { remedy: Some(TOO_COSTLY.to_owned()), ..finding } } else { finding }
}

impl<'s> Session<'s> {
    pub(super) fn new(bound: &'s Bound, inputs: Inputs<'s>, budget: &'s Budget) -> Self {
        let env = Env {
            object: inputs.object,
            old_object: inputs.old_object,
            request: inputs.request,
            namespace_object: inputs.namespace_object,
            params: Value::Null,
            pack: Value::Null,
            pod: inputs.pod,
        };
        let scope = Scope::new(&bound.loaded, env, budget.rule());
        Self { bound, scope, pack: None, budget }
    }

    /// Runs `body` with the rule's pack and a fuel of its own.
    fn within<T>(&mut self, rule: &AdmissionRule, body: impl FnOnce(&mut Self) -> T) -> T {
        if self.pack != Some(rule.origin.pack) {
            self.pack = Some(rule.origin.pack);
            let pack = self.bound.pack(rule.origin.pack);
            let (params, names) = pack.map_or((Value::Null, Value::Null), |pack| {
                (Value::from(&pack.parameters), Value::from(&pack.names))
            });
            self.scope.set_pack(params, names);
        }
        let fuel = self.budget.rule();
        let granted = fuel.left();
        self.scope.set_fuel(fuel);
        let result = body(self);
        self.budget.spent(granted, self.scope.fuel().left());
        result
    }

    /// Asks a rule: `None` if its conditions keep it out.
    pub(super) fn ask(&mut self, ready: ReadyRule<'s>) -> Option<Asked> {
        let rule = ready.rule;
        self.within(rule, |session| {
            match session.conditions(ready) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(failure) => {
                    let limit = failure.limit;
                    let finding = within_reach(session.finding(rule, failure.message, None), limit);
                    let findings = vec![RuleFinding { finding, validation: None, limit: failure.limit }];
                    return Some(Asked { findings, annotations: Vec::new() });
                }
            }
            let mut asked = Asked::default();
            let validations = rule.validations.iter().zip(&ready.ready.expressions.validations);
            for (at, (validation, (expression, message))) in validations.enumerate() {
                let (told, limit) = match session.boolean(expression) {
                    Ok(true) => continue,
                    Ok(false) => (session.message(validation, message.as_ref()), false),
                    Err(failure) => (format!("cannot be evaluated: {}", failure.message), failure.limit),
                };
                let finding = within_reach(session.finding(rule, told, Some(validation)), limit);
                asked.findings.push(RuleFinding { finding, validation: Some(at), limit });
            }
            session.annotate(ready, &mut asked);
            Some(asked)
        })
    }

    /// What the expression of a mutating rule gives.
    pub(super) fn mutation(
        &mut self,
        rule: &AdmissionRule,
        expression: &'s Prepared,
    ) -> Result<Json<'static>, Failure> {
        self.within(rule, |session| {
            let value = session.value(expression)?;
            value.to_json().map_err(|error| Failure { message: error.to_string(), limit: false })
        })
    }

    /// Whether all conditions hold. One that is false settles it, whatever others end in, as the API server says.
    pub(super) fn applies(&mut self, ready: ReadyRule<'s>) -> Result<bool, Failure> {
        self.within(ready.rule, |session| session.conditions(ready))
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
                    failed.get_or_insert(Failure { message, limit: failure.limit });
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
                        let finding = self.finding(rule, message, None);
                        asked.findings.push(RuleFinding { finding, validation: None, limit: false });
                    }
                },
                Err(failure) => {
                    let message =
                        format!("audit annotation `{key}` cannot be evaluated: {}", failure.message);
                    let finding = within_reach(self.finding(rule, message, None), failure.limit);
                    asked.findings.push(RuleFinding { finding, validation: None, limit: failure.limit });
                }
            }
        }
    }

    fn boolean(&mut self, expression: &'s Prepared) -> Result<bool, Failure> {
        match self.value(expression)? {
            Value::Bool(value) => Ok(value),
            _ => Err(Failure { message: "the result is not a boolean".to_owned(), limit: false }),
        }
    }

    /// Evaluates, and looks at the fuel again: `||` may have absorbed that it ran out.
    fn value(&mut self, expression: &'s Prepared) -> Result<Value<'s>, Failure> {
        let result = eval(expression, &mut self.scope);
        if self.scope.fuel().exhausted() {
            return Err(Failure { message: "it costs more than its budget".to_owned(), limit: true });
        }
        result.map_err(|error| Failure { limit: error.is_limit(), message: error.to_string() })
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
