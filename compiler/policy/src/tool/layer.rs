//! Evaluating the rules of one layer. The layers' answers add up: a denial by any layer denies, and every
//! layer that names the tool must grant.
//!
//! A rule in shadow is evaluated and reported like the others, and changes nothing: neither the outcome nor
//! the fuel that the other rules may spend.

use std::collections::{BTreeMap, BTreeSet};

use super::approval::Asks;
use super::decision::{Denial, DenyReason, RuleKind, RuleOutcome, RuleReport};
use super::environment::Shared;
use super::loaded::{Entry, Layer, LayerEntry, LoadedPolicy, PreparedRule, reserved_milli};
use super::narrowing::narrowest;
use super::record::{DecisionInputs, TallyView, budget_key, counter_key, label_name};
use super::state::Reservation;
use super::tally::TallyKey;
use super::transform::{self, Transforms};
use crate::cel::{EvalError, Fuel, Prepared, Scope, Value, eval};
use crate::json::Json;
use crate::policy::sandboxes::Limits;
use crate::policy::tools::{Ask, Deny, Derive, Mode, Otherwise, RuleEffect, ToolLayer, ToolRule};

/// All rules of one call together may spend as much as this many rules at their limit: some hundred
/// milliseconds. Rules in shadow have the same amount again, so that they take nothing from the others.
pub(super) const RULES_AT_LIMIT: u64 = 10;

/// What the layers found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) denials: Vec<Denial>,
    pub(super) asks: Asks,
    pub(super) reports: Vec<RuleReport>,
    /// Counters that advance if the call is admitted, with their windows.
    pub(super) counted: BTreeMap<TallyKey, Option<u64>>,
    /// Budgets that are charged if the call is admitted.
    pub(super) reserved: Vec<Reservation>,
    /// Labels that the session gains.
    pub(super) added: BTreeSet<String>,
    /// Labels that it loses, each with the pack that must have asked for approval.
    pub(super) removed: BTreeMap<String, String>,
    /// The sandboxes that rules narrow the call to.
    pub(super) narrows: BTreeSet<String>,
    /// The narrowest of them.
    pub(super) sandbox: Option<String>,
    /// The arguments that grants give the call.
    pub(super) transforms: Transforms,
}

/// The evaluation of the layers.
pub(super) struct Asking<'a> {
    pub(super) policy: &'a LoadedPolicy,
    pub(super) inputs: &'a DecisionInputs,
    pub(super) entry: &'a Entry,
    pub(super) shared: Shared<'a>,
    pub(super) findings: Findings,
    /// What rules with an effect may still spend.
    fuel: u64,
    /// What rules in shadow may still spend.
    shadow_fuel: u64,
}

/// A layer whose rules are being evaluated.
struct Asked<'a> {
    layer: &'a ToolLayer,
    loaded: &'a Layer,
    /// The facts that its rules may read.
    derives: &'a [Derive],
    /// Made for the first expression.
    scope: Option<Scope<'a>>,
    grants: Grants<'a>,
}

/// Whether a rule takes part.
enum Matched {
    /// Its condition does not hold.
    No,
    /// It holds.
    Yes,
    /// It holds, and the rule gives the call these arguments.
    Giving(Json<'static>),
}

/// Why an expression has no value.
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) fuel: bool,
}

impl Failure {
    /// The denial that it causes in a restriction.
    pub(super) fn denies(&self, pack: &str, rule: &str) -> Denial {
        Denial {
            reason: if self.fuel { DenyReason::FuelExhausted } else { DenyReason::EvaluationError },
            pack: Some(pack.to_owned()),
            rule: Some(rule.to_owned()),
            message: format!("rule `{rule}` cannot be evaluated"),
            remedy: None,
            retry_after_ms: None,
        }
    }
}

/// The grants of a layer that matched.
#[derive(Default)]
struct Grants<'a> {
    allow: bool,
    asks: Vec<&'a Ask>,
}

impl<'a> Asking<'a> {
    /// `findings`: what remains in force from an earlier pass over the call.
    pub(super) fn new(
        policy: &'a LoadedPolicy,
        inputs: &'a DecisionInputs,
        entry: &'a Entry,
        shared: Shared<'a>,
        findings: Findings,
    ) -> Self {
        let fuel = RULES_AT_LIMIT * Fuel::DEFAULT;
        Self { policy, inputs, entry, shared, findings, fuel, shadow_fuel: fuel }
    }

    /// Evaluates every layer.
    pub(super) fn all(mut self) -> Findings {
        let layers = || self.policy.policy.tools.iter().zip(&self.policy.tools.layers);
        for ((layer, loaded), entry) in layers().zip(&self.entry.layers) {
            self.layer(layer, loaded, entry);
        }
        if self.findings.transforms == Transforms::Conflict {
            let message = "two grants give this call different arguments".to_owned();
            self.findings.denials.push(refusal(DenyReason::TransformConflict, message));
        }
        let limits = self.place();
        for (layer, loaded) in layers() {
            self.budgets(layer, loaded, limits);
        }
        self.findings
    }

    /// Finds where the call will run, and the most that it may use there.
    fn place(&mut self) -> Option<Limits> {
        if self.findings.narrows.is_empty() {
            return self.entry.limits;
        }
        let sandboxes = &self.policy.policy.sandboxes;
        let named =
            self.findings.narrows.iter().filter_map(|name| sandboxes.iter().find(|one| one.name == *name));
        let Some(sandbox) = narrowest(&named.collect::<Vec<_>>()) else {
            let names: Vec<String> = self.findings.narrows.iter().map(|name| format!("`{name}`")).collect();
            let message = format!("none of the sandboxes {} is narrower than the others", names.join(", "));
            self.findings.denials.push(refusal(DenyReason::NarrowConflict, message));
            return self.entry.limits;
        };
        self.findings.sandbox = Some(sandbox.name.clone());
        Some(sandbox.limits)
    }

    fn layer(&mut self, layer: &'a ToolLayer, loaded: &'a Layer, entry: &'a LayerEntry) {
        let definition = entry.defines.and_then(|at| layer.definitions.get(at));
        let derives = definition.map_or(&self.entry.common, |tool| &tool.derive);
        let mut asked = Asked { layer, loaded, derives, scope: None, grants: Grants::default() };
        let rules = entry.rules.iter().filter_map(|at| Some((layer.rules.get(*at)?, loaded.rules.get(*at)?)));
        for (rule, ready) in rules {
            match (self.matches(&mut asked, rule, ready), rule.mode) {
                (Ok(Matched::No), _) => {}
                (Ok(_), Mode::Shadow) => self.would_apply(layer, loaded, rule),
                (Ok(Matched::Yes), Mode::Enforce) => self.applies(&mut asked, rule),
                (Ok(Matched::Giving(arguments)), Mode::Enforce) => {
                    self.findings.transforms.add(arguments);
                    self.applies(&mut asked, rule);
                }
                (Err(failure), _) => self.failed(loaded, rule, failure),
            }
        }
        if entry.names {
            self.grant(layer, loaded, definition.map(|tool| &tool.otherwise), asked.grants);
        }
        let adds = definition.into_iter().flat_map(|tool| &tool.may_add);
        self.findings.added.extend(adds.map(|name| label_name(&loaded.pack, name)));
    }

    /// Whether a rule takes part.
    fn matches(
        &mut self,
        asked: &mut Asked<'a>,
        rule: &ToolRule,
        ready: &'a PreparedRule,
    ) -> Result<Matched, Failure> {
        if let Some(when) = &ready.when
            && !self.evaluated(asked, rule.mode, when, |value, scope| truth(value, scope, &rule.effect))?
        {
            return Ok(Matched::No);
        }
        match &ready.transform {
            None => Ok(Matched::Yes),
            Some(transform) => self.evaluated(asked, rule.mode, transform, given).map(Matched::Giving),
        }
    }

    /// The value of a rule's expression, paid for from the fuel of rules of this mode.
    fn evaluated<T>(
        &mut self,
        asked: &mut Asked<'a>,
        mode: Mode,
        expression: &'a Prepared,
        read: impl FnOnce(Result<Value<'_>, EvalError>, &Scope<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let scope = asked.scope.get_or_insert_with(|| {
            let env = self.shared.of(asked.layer, asked.loaded, asked.derives);
            Scope::of_call(&asked.loaded.expressions, env, Fuel::new(0))
        });
        let left = match mode {
            Mode::Enforce => &mut self.fuel,
            Mode::Shadow => &mut self.shadow_fuel,
        };
        let granted = (*left).min(Fuel::DEFAULT);
        scope.set_fuel(Fuel::new(granted));
        let value = eval(expression, scope);
        *left = left.saturating_sub(granted.saturating_sub(scope.fuel().left()));
        read(value, scope)
    }

    fn report(&mut self, loaded: &Layer, rule: &ToolRule, outcome: RuleOutcome) {
        let (pack, kind) = (loaded.label.clone(), kind(&rule.effect));
        let report = RuleReport { pack, rule: rule.name.clone(), kind, outcome, mode: rule.mode };
        self.findings.reports.push(report);
    }

    /// What a rule in shadow would have done.
    fn would_apply(&mut self, layer: &ToolLayer, loaded: &Layer, rule: &ToolRule) {
        let outcome = match &rule.effect {
            RuleEffect::Throttle { counter, max } if self.counter(layer, loaded, counter).sum < *max => {
                RuleOutcome::WithinLimit
            }
            _ => RuleOutcome::Applied,
        };
        self.report(loaded, rule, outcome);
    }

    /// A condition that cannot be evaluated: a restriction denies, a grant does not grant, and an exceeded
    /// limit denies whatever the rule's purpose.
    fn failed(&mut self, loaded: &Layer, rule: &ToolRule, failure: Failure) {
        let grant = kind(&rule.effect).is_grant();
        if rule.is_enforced() && (failure.fuel || !grant) {
            self.findings.denials.push(failure.denies(&loaded.label, &rule.name));
        }
        self.report(loaded, rule, RuleOutcome::Failed(failure.message));
    }

    fn applies(&mut self, asked: &mut Asked<'a>, rule: &'a ToolRule) {
        let (layer, loaded) = (asked.layer, asked.loaded);
        let mut outcome = RuleOutcome::Applied;
        match &rule.effect {
            RuleEffect::Allow => asked.grants.allow = true,
            RuleEffect::Ask(ask) => asked.grants.asks.push(ask),
            RuleEffect::Confirm(ask) => self.ask(layer, loaded, ask),
            RuleEffect::Deny(deny) => {
                let message = format!("rule `{}` denies this call", rule.name);
                let denial = denial(DenyReason::Rule, loaded, Some(&rule.name), deny, message);
                self.findings.denials.push(denial);
            }
            // Only for results.
            RuleEffect::Redact => {}
            RuleEffect::Label { add, remove } => {
                let named = |name: &String| label_name(&loaded.pack, name);
                self.findings.added.extend(add.iter().map(named));
                let asked = |name: &String| (named(name), loaded.label.clone());
                self.findings.removed.extend(remove.iter().map(asked));
            }
            RuleEffect::Throttle { counter, max } => {
                if self.throttle(layer, loaded, rule, counter, *max) {
                    outcome = RuleOutcome::WithinLimit;
                }
            }
            RuleEffect::Narrow { sandbox } => self.narrow(loaded, rule, sandbox),
        }
        self.report(loaded, rule, outcome);
    }

    /// The call must run in a sandbox that was proven to allow no more than the tool's own; any other one
    /// denies.
    fn narrow(&mut self, loaded: &Layer, rule: &ToolRule, sandbox: &str) {
        if self.entry.narrower.contains(sandbox) {
            self.findings.narrows.insert(sandbox.to_owned());
            return;
        }
        let message = format!("sandbox `{sandbox}` is not provably narrower than the tool's own");
        let deny = Deny::default();
        self.findings.denials.push(denial(
            DenyReason::NarrowConflict,
            loaded,
            Some(&rule.name),
            &deny,
            message,
        ));
    }

    /// The current value of a counter of the layer.
    fn counter(&self, layer: &ToolLayer, loaded: &Layer, counter: &str) -> TallyView {
        let known = layer.counters.iter().find(|known| known.name == counter);
        let key = known.map(|known| counter_key(&loaded.pack, counter, known.scope, &self.inputs.call));
        key.map(|key| self.inputs.tally(&key.name)).unwrap_or_default()
    }

    /// Whether the counter is below the limit.
    fn throttle(
        &mut self,
        layer: &ToolLayer,
        loaded: &Layer,
        rule: &ToolRule,
        counter: &str,
        max: u64,
    ) -> bool {
        // The loader has checked that the counter exists; without one, nothing is admitted.
        let known = layer.counters.iter().find(|known| known.name == counter);
        let key = known.map(|known| counter_key(&loaded.pack, counter, known.scope, &self.inputs.call));
        let tally = key.as_ref().map(|key| self.inputs.tally(&key.name)).unwrap_or_default();
        if let (Some(known), Some(key)) = (known, key)
            && tally.sum < max
        {
            self.findings.counted.insert(key, known.window_ms);
            return true;
        }
        self.findings.denials.push(Denial {
            reason: DenyReason::Throttled,
            pack: Some(loaded.label.clone()),
            rule: Some(rule.name.clone()),
            message: format!("`{counter}` has reached {max} calls"),
            remedy: None,
            retry_after_ms: tally.falls_after_ms,
        });
        false
    }

    /// A layer that names the tool must grant the call. An `allow` beats an `ask`; if several ask, all must
    /// be answered.
    fn grant(
        &mut self,
        layer: &'a ToolLayer,
        loaded: &'a Layer,
        otherwise: Option<&'a Otherwise>,
        grants: Grants<'a>,
    ) {
        if grants.allow {
            return;
        }
        if !grants.asks.is_empty() {
            return grants.asks.into_iter().for_each(|ask| self.ask(layer, loaded, ask));
        }
        let silent = Deny::default();
        let deny = match otherwise {
            Some(Otherwise::Ask(ask)) => return self.ask(layer, loaded, ask),
            Some(Otherwise::Deny(deny)) => deny,
            None => &silent,
        };
        let message = format!("no rule of `{}` grants this call", loaded.label);
        self.findings.denials.push(denial(DenyReason::NoRule, loaded, None, deny, message));
    }

    fn ask(&mut self, layer: &ToolLayer, loaded: &Layer, ask: &Ask) {
        match layer.approvers.iter().find(|group| group.name == ask.approvers) {
            Some(group) => {
                self.findings.asks.add(&loaded.label, group, ask, self.inputs.call.subject());
            }
            // The loader has checked that the group exists; without it, no approval would be possible.
            None => {
                let message = format!("there is no group of approvers `{}`", ask.approvers);
                let deny = Deny::default();
                self.findings.denials.push(denial(DenyReason::NoApprover, loaded, None, &deny, message));
            }
        }
    }

    /// What the call may use of the layer's budgets, by the limits of the sandbox that it would run in.
    fn budgets(&mut self, layer: &ToolLayer, loaded: &Layer, limits: Option<Limits>) {
        for budget in &layer.budgets {
            let amount_milli = reserved_milli(limits, budget.resource);
            let key = budget_key(&loaded.pack, &budget.name, budget.scope, &self.inputs.call);
            let tally = self.inputs.tally(&key.name);
            if tally.sum.saturating_add(amount_milli) > budget.limit_milli {
                self.findings.denials.push(Denial {
                    reason: DenyReason::BudgetExhausted,
                    pack: Some(loaded.label.clone()),
                    rule: Some(budget.name.clone()),
                    message: format!("the budget `{}` does not hold what this call may use", budget.name),
                    remedy: None,
                    retry_after_ms: tally.falls_after_ms,
                });
                continue;
            }
            self.findings.reserved.push(Reservation {
                tally: key,
                resource: budget.resource,
                amount_milli,
                window_ms: budget.window_ms,
                at_ms: self.inputs.now_ms,
            });
        }
    }
}

/// A denial that does not come from a single rule.
pub(super) const fn refusal(reason: DenyReason, message: String) -> Denial {
    Denial { reason, pack: None, rule: None, message, remedy: None, retry_after_ms: None }
}

pub(super) fn denial(
    reason: DenyReason,
    loaded: &Layer,
    rule: Option<&String>,
    deny: &Deny,
    message: String,
) -> Denial {
    Denial {
        reason,
        pack: Some(loaded.label.clone()),
        rule: rule.cloned(),
        message: deny.reason.clone().unwrap_or(message),
        remedy: deny.remedy.clone(),
        retry_after_ms: None,
    }
}

/// Whether a condition holds. In a rule that permits, an error that `||` or `&&` absorbed is also one: of an opaque value,
/// because the result was computed without knowing what the call does; of any other, because no error may
/// take part in a permission.
pub(super) fn truth(
    value: Result<Value<'_>, EvalError>,
    scope: &Scope<'_>,
    effect: &RuleEffect,
) -> Result<bool, Failure> {
    let failure = |message: &str, fuel: bool| Err(Failure { message: message.to_owned(), fuel });
    if scope.fuel().exhausted() {
        return failure("it costs more than its budget", true);
    }
    match value {
        Err(error) => failure(&error.to_string(), error.is_limit()),
        Ok(Value::Bool(true)) if permits(effect) => match scope.absorbed() {
            None => Ok(true),
            Some(error) => failure(&absorbed(error), false),
        },
        Ok(Value::Bool(value)) => Ok(value),
        Ok(_) => failure("the result is not a boolean", false),
    }
}

/// Whether a rule can let something through: a grant, and one that takes a label away, for later calls.
pub(super) fn permits(effect: &RuleEffect) -> bool {
    kind(effect).is_grant() || matches!(effect, RuleEffect::Label { remove, .. } if !remove.is_empty())
}

/// Why a rule that permits, and came to a value, permits nothing.
fn absorbed(error: &EvalError) -> String {
    match error {
        EvalError::Opaque => "it reads an opaque value".to_owned(),
        error => format!("part of it is an error: {error}"),
    }
}

/// The arguments that a grant gives. An absorbed error is one here too.
fn given(value: Result<Value<'_>, EvalError>, scope: &Scope<'_>) -> Result<Json<'static>, Failure> {
    let failure =
        |message: String, fuel: bool| Err(Failure { message: format!("its transform: {message}"), fuel });
    if scope.fuel().exhausted() {
        return failure("it costs more than its budget".to_owned(), true);
    }
    match value {
        Err(error) => failure(error.to_string(), error.is_limit()),
        Ok(value) => match scope.absorbed() {
            None => transform::arguments(&value).or_else(|message| failure(message, false)),
            Some(error) => failure(absorbed(error), false),
        },
    }
}

pub(super) const fn kind(effect: &RuleEffect) -> RuleKind {
    match effect {
        RuleEffect::Allow => RuleKind::Allow,
        RuleEffect::Ask(_) => RuleKind::Ask,
        RuleEffect::Deny(_) => RuleKind::Deny,
        RuleEffect::Throttle { .. } => RuleKind::Throttle,
        RuleEffect::Confirm(_) => RuleKind::Confirm,
        RuleEffect::Label { .. } => RuleKind::Label,
        RuleEffect::Narrow { .. } => RuleKind::Narrow,
        RuleEffect::Redact => RuleKind::Redact,
    }
}
