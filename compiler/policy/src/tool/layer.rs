//! Asking the rules of one layer. What every layer says adds up: a denial of any denies, grants are needed of all that name the tool.

use std::collections::{BTreeMap, BTreeSet};

use super::approval::Asks;
use super::decision::{Denial, DenyReason, RuleKind, RuleOutcome, RuleReport};
use super::environment::Shared;
use super::loaded::{Entry, Layer, LayerEntry, LoadedPolicy, reserved_milli};
use super::record::{DecisionInputs, budget_key, counter_key, label_name};
use super::state::Reservation;
use super::tally::TallyKey;
use crate::cel::{Fuel, Scope, Value, eval};
use crate::policy::tools::{Ask, Deny, Otherwise, RuleEffect, ToolLayer, ToolRule};

/// All rules of one call together may spend as much as this many rules at their limit: some hundred milliseconds.
pub(super) const RULES_AT_LIMIT: u64 = 10;

/// What the layers said.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) denials: Vec<Denial>,
    pub(super) asks: Asks,
    pub(super) reports: Vec<RuleReport>,
    /// Counters that advance if the call is admitted, with their windows.
    pub(super) counted: BTreeMap<TallyKey, Option<u64>>,
    /// Budgets that are charged if the call is admitted.
    pub(super) reserved: Vec<Reservation>,
    /// Labels that the session has from then on.
    pub(super) added: BTreeSet<String>,
    /// Labels that it has no longer, each with the pack that must have asked.
    pub(super) removed: BTreeMap<String, String>,
}

/// Layers that are being asked.
pub(super) struct Asking<'a> {
    pub(super) policy: &'a LoadedPolicy,
    pub(super) inputs: &'a DecisionInputs,
    pub(super) entry: &'a Entry,
    pub(super) shared: Shared<'a>,
    pub(super) findings: Findings,
    /// What the call may still spend.
    fuel: u64,
}

/// Why a condition has no truth value.
struct Failure {
    message: String,
    fuel: bool,
}

/// The grants of a layer that matched.
#[derive(Default)]
struct Grants<'a> {
    allow: bool,
    asks: Vec<&'a Ask>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        policy: &'a LoadedPolicy,
        inputs: &'a DecisionInputs,
        entry: &'a Entry,
        shared: Shared<'a>,
    ) -> Self {
        let fuel = RULES_AT_LIMIT * Fuel::DEFAULT;
        Self { policy, inputs, entry, shared, findings: Findings::default(), fuel }
    }

    /// Asks every layer.
    pub(super) fn all(mut self) -> Findings {
        let layers = self.policy.policy.tools.iter().zip(&self.policy.tools.layers);
        for ((layer, loaded), entry) in layers.zip(&self.entry.layers) {
            self.layer(layer, loaded, entry);
        }
        self.findings
    }

    fn layer(&mut self, layer: &'a ToolLayer, loaded: &'a Layer, entry: &'a LayerEntry) {
        let definition = entry.defines.and_then(|at| layer.definitions.get(at));
        let derives = definition.map_or(&self.entry.common, |tool| &tool.derive);
        let mut grants = Grants::default();
        let mut scope = None;
        let rules = entry.rules.iter().filter_map(|at| Some((layer.rules.get(*at)?, loaded.whens.get(*at)?)));
        for (rule, when) in rules {
            let holds = match when {
                None => Ok(true),
                Some(when) => {
                    let scope = scope.get_or_insert_with(|| {
                        let env = self.shared.of(layer, loaded, derives);
                        Scope::of_call(&loaded.expressions, env, Fuel::new(0))
                    });
                    let granted = self.fuel.min(Fuel::DEFAULT);
                    scope.set_fuel(Fuel::new(granted));
                    let value = eval(when, scope);
                    self.fuel = self.fuel.saturating_sub(granted.saturating_sub(scope.fuel().left()));
                    truth(value, scope, kind(&rule.effect))
                }
            };
            match holds {
                Ok(false) => {}
                Ok(true) => self.applies(layer, loaded, rule, &mut grants),
                Err(failure) => self.failed(loaded, rule, failure),
            }
        }
        if entry.names {
            self.grant(layer, loaded, definition.map(|tool| &tool.otherwise), grants);
        }
        let adds = definition.into_iter().flat_map(|tool| &tool.may_add);
        self.findings.added.extend(adds.map(|name| label_name(&loaded.pack, name)));
        self.budgets(layer, loaded);
    }

    fn report(&mut self, loaded: &Layer, rule: &ToolRule, outcome: RuleOutcome) {
        let (pack, kind) = (loaded.label.clone(), kind(&rule.effect));
        self.findings.reports.push(RuleReport { pack, rule: rule.name.clone(), kind, outcome });
    }

    /// A condition that cannot be evaluated: a restriction denies, a grant does not grant, and a limit denies whatever the rule is for.
    fn failed(&mut self, loaded: &Layer, rule: &ToolRule, failure: Failure) {
        let grant = kind(&rule.effect).is_grant();
        if failure.fuel || !grant {
            let reason = if failure.fuel { DenyReason::FuelExhausted } else { DenyReason::EvaluationError };
            self.findings.denials.push(Denial {
                reason,
                pack: Some(loaded.label.clone()),
                rule: Some(rule.name.clone()),
                message: format!("rule `{}` cannot be evaluated", rule.name),
                remedy: None,
                retry_after_ms: None,
            });
        }
        self.report(loaded, rule, RuleOutcome::Failed(failure.message));
    }

    fn applies(
        &mut self,
        layer: &'a ToolLayer,
        loaded: &'a Layer,
        rule: &'a ToolRule,
        grants: &mut Grants<'a>,
    ) {
        let mut outcome = RuleOutcome::Applied;
        match &rule.effect {
            RuleEffect::Allow => grants.allow = true,
            RuleEffect::Ask(ask) => grants.asks.push(ask),
            RuleEffect::Confirm(ask) => self.ask(layer, loaded, ask),
            RuleEffect::Deny(deny) => {
                let message = format!("rule `{}` denies this call", rule.name);
                let denial = denial(DenyReason::Rule, loaded, Some(&rule.name), deny, message);
                self.findings.denials.push(denial);
            }
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
        }
        self.report(loaded, rule, outcome);
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
        // The loader has checked that the counter is there; without one, nothing is admitted.
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

    /// A layer that names the tool must grant the call. An `allow` beats an `ask`; of several asks all must be answered.
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
            // The loader has checked that the group is there; nobody could answer.
            None => {
                let message = format!("there is no group of approvers `{}`", ask.approvers);
                let deny = Deny::default();
                self.findings.denials.push(denial(DenyReason::NoApprover, loaded, None, &deny, message));
            }
        }
    }

    fn budgets(&mut self, layer: &ToolLayer, loaded: &Layer) {
        for budget in &layer.budgets {
            let amount_milli = reserved_milli(self.entry.limits, budget.resource);
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

fn denial(reason: DenyReason, loaded: &Layer, rule: Option<&String>, deny: &Deny, message: String) -> Denial {
    Denial {
        reason,
        pack: Some(loaded.label.clone()),
        rule: rule.cloned(),
        message: deny.reason.clone().unwrap_or(message),
        remedy: deny.remedy.clone(),
        retry_after_ms: None,
    }
}

/// Whether a condition holds. In a grant, an opaque read that `||` or `&&` absorbed is an error as well: the value came about without
/// knowing what the call does.
fn truth(
    value: Result<Value<'_>, crate::cel::EvalError>,
    scope: &Scope<'_>,
    kind: RuleKind,
) -> Result<bool, Failure> {
    let failure = |message: &str, fuel: bool| Err(Failure { message: message.to_owned(), fuel });
    if scope.fuel().exhausted() {
        return failure("it costs more than its budget", true);
    }
    match value {
        Err(error) => failure(&error.to_string(), error.is_limit()),
        Ok(Value::Bool(true)) if kind.is_grant() && scope.read_opaque() => {
            failure("it reads an opaque value", false)
        }
        Ok(Value::Bool(value)) => Ok(value),
        Ok(_) => failure("the result is not a boolean", false),
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
    }
}
