//! Which tools are listed for a caller: all except those of which every call is certain to be denied.
//!
//! Conditions are evaluated with three values. What only a call has is *unknown*: its arguments, the facts
//! derived from them, and the session unless one is named. A condition that needs an unknown value is unknown
//! too; `&&`, `||`, `?:`, `exists` and `all` have a value where it does not depend on the unknown (Kleene's
//! logic). The caller and the time are known.
//!
//! A tool is hidden when
//!
//! - no layer that could grant it names it, or two layers define it differently: every call is denied;
//! - a `deny` holds for certain, or the condition of a restriction is an error for certain;
//! - a layer that names it has no grant that could hold, and its `otherwise` does not ask;
//! - a rule of phase `List` holds for certain, or cannot be evaluated.
//!
//! A tool is never hidden for a passing reason: counters and budgets say at the call when to try again. Nor
//! is it hidden because a rule of phase `Call` is too expensive to evaluate. A listing is information, not a
//! decision: every call is decided, listed or not.

use super::call::{CallError, Subject, ToolCall};
use super::decision::DenyReason;
use super::environment::Shared;
use super::facts::Facts;
use super::layer::{RULES_AT_LIMIT, kind, permits};
use super::loaded::{Entry, Layer, LayerEntry, LoadedPolicy};
use super::record::DecisionInputs;
use super::state::State;
use crate::cel::{EvalError, Fuel, Prepared, Scope, Value, eval};
use crate::json::Json;
use crate::policy::tools::{Otherwise, RuleEffect, ToolLayer, ToolRule};

/// The session name in a listing without a session. It is never read.
const NO_SESSION: &str = "none";

/// Who lists the tools, and when: everything that a listing is made from except the policy.
#[derive(Debug)]
pub struct Listing {
    inputs: DecisionInputs,
    of_session: bool,
}

/// A tool in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<'p> {
    /// Its name.
    pub name: &'p str,
    /// Why it is hidden; `None`: it is shown.
    pub hidden: Option<Hidden>,
}

/// Why a tool is hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// The reason for which a call would be denied; for a rule of phase `List`, the reason for hiding.
    pub reason: DenyReason,
    /// `name@version` of the pack that is the reason, if one is.
    pub pack: Option<String>,
    /// Its rule.
    pub rule: Option<String>,
}

/// The value of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    True,
    False,
    /// It cannot be evaluated, whatever the call.
    Error,
    /// It depends on the call.
    Unknown,
    /// It exceeds its fuel; its value is not known.
    Exhausted,
}

impl Listing {
    /// Takes from the state what a listing reads. `session`: a session of the subject; without one, whatever
    /// conditions read of it is unknown.
    ///
    /// # Errors
    /// An invalid session name.
    pub fn of(
        policy: &LoadedPolicy,
        subject: &Subject,
        session: Option<&str>,
        state: &State,
        now_ms: u64,
    ) -> Result<Self, CallError> {
        let call = looked_at(subject, session.unwrap_or(NO_SESSION), "")?;
        let inputs = DecisionInputs::of(policy, &call, state, now_ms, None);
        Ok(Self { inputs, of_session: session.is_some() })
    }

    /// Every tool of the policy, by name.
    #[must_use]
    pub fn tools<'p>(&self, policy: &'p LoadedPolicy) -> Vec<Listed<'p>> {
        let mut fuel = RULES_AT_LIMIT * Fuel::DEFAULT;
        let one = |(name, entry): (&'p String, &'p Entry)| Listed {
            name,
            hidden: self.hidden(policy, name, entry, &mut fuel),
        };
        policy.tools.index.iter().map(one).collect()
    }

    fn hidden(&self, policy: &LoadedPolicy, name: &str, entry: &Entry, fuel: &mut u64) -> Option<Hidden> {
        let of_tool = |reason| Some(Hidden { reason, pack: None, rule: None });
        if self.of_session && self.inputs.session.is_none() {
            return of_tool(DenyReason::UnknownSession);
        }
        if !entry.layers.iter().any(|layer| layer.names) {
            return of_tool(DenyReason::NoRule);
        }
        if policy.differs(entry) {
            return of_tool(DenyReason::DefinitionConflict);
        }
        // Only names in the policy get here, and any text may name a tool.
        let call = looked_at(self.inputs.call.subject(), self.inputs.call.session(), name).ok()?;
        let inputs = DecisionInputs { call, ..self.inputs.clone() };
        let facts = Facts::of(&[], &inputs.call, None);
        let members = facts.members();
        let shared = Shared::new(policy, &inputs, &members);
        let layers = policy.policy.tools.iter().zip(&policy.tools.layers).zip(&entry.layers);
        for ((layer, loaded), entry) in layers {
            let of_session = self.of_session;
            let hidden =
                Look { layer, loaded, entry, shared: &shared, of_session, fuel: &mut *fuel }.hidden();
            if hidden.is_some() {
                return hidden;
            }
        }
        None
    }
}

/// A pretended call of a tool, without arguments.
fn looked_at(subject: &Subject, session: &str, tool: &str) -> Result<ToolCall, CallError> {
    ToolCall::new("listing", session, subject.clone(), tool, Json::Map(Default::default()))
}

/// One layer that is evaluated for one tool.
struct Look<'a, 'f> {
    layer: &'a ToolLayer,
    loaded: &'a Layer,
    entry: &'a LayerEntry,
    shared: &'a Shared<'a>,
    of_session: bool,
    /// What the listing may still spend.
    fuel: &'f mut u64,
}

impl<'a> Look<'a, '_> {
    fn hidden(&mut self) -> Option<Hidden> {
        let env = self.shared.looked_at(self.layer, self.loaded, self.of_session);
        let mut scope = Scope::of_call(&self.loaded.expressions, env, Fuel::new(0));
        let mut may_grant = false;
        for rule in &self.entry.rules {
            let Some((rule, truth)) = self.rule(*rule, &mut scope) else { continue };
            let reason = match (&rule.effect, truth) {
                (RuleEffect::Allow | RuleEffect::Ask(_), Truth::True | Truth::Unknown | Truth::Exhausted) => {
                    may_grant = true;
                    continue;
                }
                (RuleEffect::Deny(_), Truth::True) => DenyReason::Rule,
                // An invalid number of calls never passes.
                (RuleEffect::Throttle { max: 0, .. }, Truth::True) => DenyReason::Throttled,
                (effect, Truth::Error) if !kind(effect).is_grant() => DenyReason::EvaluationError,
                _ => continue,
            };
            return Some(self.by(reason, Some(rule)));
        }
        for rule in &self.entry.listing {
            let Some((rule, truth)) = self.rule(*rule, &mut scope) else { continue };
            let reason = match truth {
                Truth::True => DenyReason::Rule,
                Truth::Error => DenyReason::EvaluationError,
                Truth::Exhausted => DenyReason::FuelExhausted,
                Truth::False | Truth::Unknown => continue,
            };
            return Some(self.by(reason, Some(rule)));
        }
        let definition = self.entry.defines.and_then(|at| self.layer.definitions.get(at));
        let asks = definition.is_some_and(|tool| matches!(tool.otherwise, Otherwise::Ask(_)));
        (self.entry.names && !may_grant && !asks).then(|| self.by(DenyReason::NoRule, None))
    }

    fn by(&self, reason: DenyReason, rule: Option<&ToolRule>) -> Hidden {
        Hidden { reason, pack: Some(self.loaded.label.clone()), rule: rule.map(|rule| rule.name.clone()) }
    }

    fn rule(&mut self, at: usize, scope: &mut Scope<'a>) -> Option<(&'a ToolRule, Truth)> {
        let (rule, ready) = (self.layer.rules.get(at)?, self.loaded.rules.get(at)?);
        // A rule in shadow neither hides nor shows anything.
        rule.is_enforced().then_some(())?;
        Some((rule, ready.when.as_ref().map_or(Truth::True, |when| self.truth(rule, when, scope))))
    }

    fn truth(&mut self, rule: &ToolRule, when: &'a Prepared, scope: &mut Scope<'a>) -> Truth {
        let granted = (*self.fuel).min(Fuel::DEFAULT);
        scope.set_fuel(Fuel::new(granted));
        let value = eval(when, scope);
        *self.fuel = self.fuel.saturating_sub(granted.saturating_sub(scope.fuel().left()));
        if scope.fuel().exhausted() {
            return Truth::Exhausted;
        }
        match value {
            // Such a rule permits nothing, whatever the arguments are.
            Ok(Value::Bool(true))
                if permits(&rule.effect) && scope.absorbed().is_some() && !scope.read_opaque() =>
            {
                Truth::Error
            }
            Ok(Value::Bool(true)) => Truth::True,
            Ok(Value::Bool(false)) => Truth::False,
            Ok(Value::Opaque) | Err(EvalError::Opaque) => Truth::Unknown,
            // If the unknown had been known, it might have decided first.
            Ok(_) | Err(_) if scope.read_opaque() => Truth::Unknown,
            Ok(_) | Err(_) => Truth::Error,
        }
    }
}
