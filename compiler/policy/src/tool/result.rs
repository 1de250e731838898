//! The decision on the result of a call, before it is delivered to anyone.
//!
//! Made only where a rule of phase `Result` applies to the tool; every other result is delivered as it is.
//! Total and deterministic like the decision on the call. By default it delivers: a `deny` withholds,
//! `transform: {result: …}` redacts, a `label` adds a label.
//!
//! ```text
//! result ► conditions, denials, labels; redactions one after the other ► the same over what is left: nothing may change any more ► deliver
//!                      └ any denial, error, exhausted fuel ► withhold       └ it changes, or is denied ► withhold
//! ```
//!
//! Conditions see the original result, so that no redaction hides anything from another pack's `deny`.
//! Redactions run in the order of layers and text, each on the output of the earlier ones. In the end none of
//! them may find anything left to do; this makes the result independent of the order of packs.
//!
//! A text that was cut may lack the end of what a rule looks for. A rule that reads it, and not `dropped`,
//! cannot tell: it withholds, unless it denies anyway.
//!
//! Terms. *Content*: the bytes of the file that `workspace.read` read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::builtin::MAX_FILE_BYTES;
use super::call::ToolCall;
use super::decision::{Denial, DenyReason, RuleOutcome, RuleReport};
use super::environment::{Shared, map};
use super::facts::Facts;
use super::layer::{Failure, RULES_AT_LIMIT, denial, kind, truth};
use super::loaded::{Entry, Layer, LayerEntry, LoadedPolicy, PreparedRule};
use super::record::{DecisionInputs, label_name};
use super::state::{Change, State};
use crate::cel::{CallEnv, EvalError, Fuel, Prepared, Scope, Value, eval};
use crate::policy::tools::{RuleEffect, ToolLayer, ToolRule};

/// The result of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallResult {
    /// How it ended: one of [`CallResult::OUTCOMES`].
    pub outcome: String,
    /// Its exit code, if it has one.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// What was kept of its standard output.
    pub stdout: Vec<u8>,
    /// What was kept of its standard error.
    pub stderr: Vec<u8>,
    /// Bytes of both, or of the file, that were dropped; 1 for an incomplete listing, whose missing length is
    /// not known.
    pub dropped: u64,
    /// The content of the file that it read.
    pub content: Option<Vec<u8>>,
    /// The paths of the files that it listed.
    pub paths: Vec<String>,
}

/// What a decision on a result reads, except the policy and the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultInputs(DecisionInputs);

/// A decision on a result.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultDecision {
    /// What the caller gets.
    pub effect: ResultEffect,
    /// The rules that took part.
    pub rules: Vec<RuleReport>,
    /// `PACK/NAME` of the labels that the session gains, whether the result is withheld or not: what ran has
    /// left its traces.
    pub added: BTreeSet<String>,
    /// What it was made from.
    pub inputs: ResultInputs,
}

/// What the caller gets of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultEffect {
    /// The result, with these texts in place of its own.
    Deliver(Redactions),
    /// Only how it ended, without its output.
    Withhold(Denial),
}

/// Texts that replace the output of a call; `None`: unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redactions {
    /// Replaces standard output.
    pub stdout: Option<String>,
    /// Replaces standard error.
    pub stderr: Option<String>,
    /// Replaces a file's content.
    pub content: Option<String>,
}

impl LoadedPolicy {
    /// Whether results of a tool need a decision, and must be held back until then.
    #[must_use]
    pub fn judges_results(&self, tool: &str) -> bool {
        self.tools.index.get(tool).is_some_and(Entry::judges_results)
    }

    /// Whether a rule on results of a tool may label its session.
    #[must_use]
    pub fn labels_by_results(&self, tool: &str) -> bool {
        let Some(entry) = self.tools.index.get(tool) else { return false };
        let mut layers = self.policy.tools.iter().zip(&entry.layers);
        layers.any(|(layer, entry)| {
            let mut rules = entry.results.iter().filter_map(|at| layer.rules.get(*at));
            rules.any(|rule| rule.is_enforced() && matches!(rule.effect, RuleEffect::Label { .. }))
        })
    }

    /// Whether any rule is about results of a tool. If all of them are in shadow, their outcomes are for the
    /// log alone, and nothing need be held back.
    #[must_use]
    pub fn asks_of_results(&self, tool: &str) -> bool {
        self.tools.index.get(tool).is_some_and(Entry::asks_of_results)
    }
}

impl CallResult {
    /// Every `outcome` that an executor gives; each is explained in its interface (`docs/executor-api.json`).
    pub const OUTCOMES: [&str; 11] = [
        "Exited",
        "Signaled",
        "TimedOut",
        "CpuTimeExceeded",
        "MemoryExceeded",
        "OutputExceeded",
        "ProcessesExceeded",
        "SyscallDenied",
        "Cancelled",
        "SetupFailed",
        "Unknown",
    ];

    /// Whether any of its texts may lack their end.
    fn is_cut(&self) -> bool {
        let content = self.content.as_deref().unwrap_or_default();
        self.dropped > 0 && [&self.stdout, &self.stderr, content].iter().any(|text| !text.is_empty())
    }
}

/// Inputs that were recorded.
impl From<DecisionInputs> for ResultInputs {
    fn from(inputs: DecisionInputs) -> Self {
        Self(inputs)
    }
}

impl ResultInputs {
    /// Takes from the state what the decision on a call's result reads; `None`: no rule is about results of
    /// its tool.
    #[must_use]
    pub fn of(policy: &LoadedPolicy, call: &ToolCall, state: &State, now_ms: u64) -> Option<Self> {
        let asked = policy.asks_of_results(call.tool());
        asked.then(|| Self(DecisionInputs::of(policy, call, state, now_ms, None)))
    }

    /// Decides on a result.
    #[must_use]
    pub fn decide(self, policy: &LoadedPolicy, result: &CallResult) -> ResultDecision {
        let (effect, rules, added) = match policy.tools.index.get(self.0.call.tool()) {
            Some(entry) => self.judged(policy, entry, result),
            None => (ResultEffect::Deliver(Redactions::default()), Vec::new(), BTreeSet::new()),
        };
        ResultDecision { effect, rules, added, inputs: self }
    }

    fn judged(
        &self,
        policy: &LoadedPolicy,
        entry: &Entry,
        result: &CallResult,
    ) -> (ResultEffect, Vec<RuleReport>, BTreeSet<String>) {
        let inputs = &self.0;
        let facts = Facts::of(&entry.derives, &inputs.call, entry.workspace.as_deref());
        let members = facts.members();
        let shared = Shared::new(policy, inputs, &members);
        let fuel = RULES_AT_LIMIT * Fuel::DEFAULT;
        let mut judge = Judge { policy, entry, shared, fuel, shadow_fuel: fuel };
        let mut first = judge.pass(result);
        let effect = match first.verdict() {
            Some(denial) => ResultEffect::Withhold(denial),
            None if !first.changed => ResultEffect::Deliver(Redactions::default()),
            None => {
                let second = judge.pass(&first.left);
                let new = |report: &RuleReport| !first.reports.contains(report);
                let reports: Vec<RuleReport> =
                    second.reports.iter().filter(|report| new(report)).cloned().collect();
                first.reports.extend(reports);
                match second.verdict() {
                    Some(denial) => ResultEffect::Withhold(denial),
                    None if second.changed => ResultEffect::Withhold(unstable()),
                    None => ResultEffect::Deliver(Redactions::of(result, &first.left)),
                }
            }
        };
        // A session that was closed meanwhile has nothing left to label.
        let added = if inputs.session.is_some() { first.added } else { BTreeSet::new() };
        (effect, first.reports, added)
    }
}

fn unstable() -> Denial {
    Denial {
        reason: DenyReason::TransformUnstable,
        pack: None,
        rule: None,
        message: "what redactions leave of the result would be redacted again".to_owned(),
        remedy: None,
        retry_after_ms: None,
    }
}

impl ResultDecision {
    /// The change to the state, if any.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        let inputs = &self.inputs.0;
        let add: BTreeSet<String> = self.added.difference(&inputs.labels).cloned().collect();
        let session = inputs.call.session().to_owned();
        (!add.is_empty()).then(|| Change::Labelled { session, add, remove: BTreeSet::new() })
    }
}

impl Redactions {
    /// The texts of one result that differ in another; a redaction gives text.
    #[must_use]
    pub fn of(before: &CallResult, after: &CallResult) -> Self {
        let text = |before: Option<&Vec<u8>>, after: Option<&Vec<u8>>| {
            after.filter(|_| before != after).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        Self {
            stdout: text(Some(&before.stdout), Some(&after.stdout)),
            stderr: text(Some(&before.stderr), Some(&after.stderr)),
            content: text(before.content.as_ref(), after.content.as_ref()),
        }
    }

    /// The names of the texts that are replaced.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let texts = [("stdout", &self.stdout), ("stderr", &self.stderr), ("content", &self.content)];
        texts.into_iter().filter(|(_, text)| text.is_some()).map(|(name, _)| name).collect()
    }

    /// Whether the result is delivered as it is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none() && self.content.is_none()
    }
}

/// The effects of the rules on a result.
struct Pass {
    denials: Vec<Denial>,
    reports: Vec<RuleReport>,
    added: BTreeSet<String>,
    /// What redactions leave.
    left: CallResult,
    /// Whether one of them changed anything, even if a later one undid it.
    changed: bool,
}

impl Pass {
    /// Among denials with the weightiest reason, that of the earliest layer.
    fn verdict(&self) -> Option<Denial> {
        self.denials.iter().min_by_key(|denial| denial.reason).cloned()
    }
}

/// The rules over the results of one tool.
struct Judge<'a> {
    policy: &'a LoadedPolicy,
    entry: &'a Entry,
    shared: Shared<'a>,
    /// What rules with an effect may still spend.
    fuel: u64,
    /// What rules in shadow may still spend.
    shadow_fuel: u64,
}

impl<'a> Judge<'a> {
    fn pass(&mut self, result: &CallResult) -> Pass {
        let mut pass = Pass {
            denials: Vec::new(),
            reports: Vec::new(),
            added: BTreeSet::new(),
            left: result.clone(),
            changed: false,
        };
        let (policy, entry) = (self.policy, self.entry);
        let layers = policy.policy.tools.iter().zip(&policy.tools.layers).zip(&entry.layers);
        for ((layer, loaded), entry) in layers {
            for at in &entry.results {
                let (Some(rule), Some(ready)) = (layer.rules.get(*at), loaded.rules.get(*at)) else {
                    continue;
                };
                let asked = Asked { layer, loaded, entry, rule, ready };
                self.rule(&asked, result, &mut pass);
            }
        }
        pass
    }

    fn rule(&mut self, asked: &Asked<'a>, result: &CallResult, pass: &mut Pass) {
        let (rule, loaded) = (asked.rule, asked.loaded);
        let report = |outcome| RuleReport {
            pack: loaded.label.clone(),
            rule: rule.name.clone(),
            kind: kind(&rule.effect),
            outcome,
            mode: rule.mode,
        };
        let left = self
            .holds(asked, result)
            .and_then(|holds| holds.then(|| self.redacted(asked, &pass.left)).transpose());
        let outcome = match whole(asked, result, left) {
            Ok(None) => return,
            Ok(Some(left)) => {
                if rule.is_enforced() {
                    pass.changed |= left != pass.left;
                    pass.left = left;
                }
                RuleOutcome::Applied
            }
            Err(failure) => {
                if rule.is_enforced() {
                    let denial = failure.denies(&loaded.label, &rule.name);
                    let message = format!("{}: {CUT}", denial.message);
                    let is_cut = failure.message == CUT;
                    pass.denials.push(if is_cut { Denial { message, ..denial } } else { denial });
                }
                RuleOutcome::Failed(failure.message)
            }
        };
        if !rule.is_enforced() {
            return pass.reports.push(report(outcome));
        }
        match &rule.effect {
            RuleEffect::Deny(deny) if outcome == RuleOutcome::Applied => {
                let message = format!("rule `{}` withholds what this call gave", rule.name);
                pass.denials.push(denial(DenyReason::Rule, loaded, Some(&rule.name), deny, message));
            }
            // Even if it could not be evaluated: what ran may have left in the workspace what the label is
            // about.
            RuleEffect::Label { add, .. } => {
                pass.added.extend(add.iter().map(|name| label_name(&loaded.pack, name)));
            }
            // The others take no part in results: the loader has checked it.
            _ => {}
        }
        pass.reports.push(report(outcome));
    }

    fn holds(&mut self, asked: &Asked<'a>, result: &CallResult) -> Result<bool, Failure> {
        match asked.ready.when.as_ref() {
            None => Ok(true),
            Some(when) => {
                self.evaluate(asked, when, result, |value, scope| truth(value, scope, &asked.rule.effect))
            }
        }
    }

    /// What the rule leaves of a result.
    fn redacted(&mut self, asked: &Asked<'a>, left: &CallResult) -> Result<CallResult, Failure> {
        let Some(redact) = &asked.ready.redact else { return Ok(left.clone()) };
        let limit = self.entry.limits.map_or(0, |limits| limits.output_bytes);
        let redacted = self.evaluate(asked, redact, left, |value, scope| {
            if scope.fuel().exhausted() {
                return Err(Failure { message: "it costs more than its budget".to_owned(), fuel: true });
            }
            let failed = |error: EvalError| Failure { fuel: error.is_limit(), message: error.to_string() };
            let wrong = |message: String| Failure { message, fuel: false };
            replaced(&value.map_err(failed)?, left).map_err(wrong)
        })?;
        let bytes = (redacted.stdout.len() + redacted.stderr.len()) as u64;
        let room = limit.max((left.stdout.len() + left.stderr.len()) as u64);
        let content = redacted.content.as_ref().map_or(0, Vec::len);
        if bytes > room || content > MAX_FILE_BYTES {
            let message = "what it leaves is longer than a result may be".to_owned();
            return Err(Failure { message, fuel: false });
        }
        Ok(redacted)
    }

    fn evaluate<T>(
        &mut self,
        asked: &Asked<'a>,
        expression: &Prepared,
        result: &CallResult,
        read: impl FnOnce(Result<Value<'_>, EvalError>, &Scope<'_>) -> T,
    ) -> T {
        let definition = asked.entry.defines.and_then(|at| asked.layer.definitions.get(at));
        let derives = definition.map_or(&self.entry.common, |tool| &tool.derive);
        let env = self.shared.of(asked.layer, asked.loaded, derives);
        let env = CallEnv { result: value(result), ..env };
        let left = if asked.rule.is_enforced() { &mut self.fuel } else { &mut self.shadow_fuel };
        let granted = (*left).min(Fuel::DEFAULT);
        let mut scope = Scope::of_call(&asked.loaded.expressions, env, Fuel::new(granted));
        let value = eval(expression, &mut scope);
        *left = left.saturating_sub(granted.saturating_sub(scope.fuel().left()));
        read(value, &scope)
    }
}

/// Why a rule that found nothing in a text is not believed.
const CUT: &str = "it reads a text that was cut, and not `result.dropped`";

/// The outcome of a rule, unless it concerns a cut text and could differ for the whole one. A denial because
/// something is present holds for both.
fn whole(
    asked: &Asked<'_>,
    result: &CallResult,
    left: Result<Option<CallResult>, Failure>,
) -> Result<Option<CallResult>, Failure> {
    let denies = matches!(asked.rule.effect, RuleEffect::Deny(_)) && matches!(left, Ok(Some(_)));
    if left.is_err() || denies || !asked.ready.trusts_texts || !result.is_cut() {
        return left;
    }
    Err(Failure { message: CUT.to_owned(), fuel: false })
}

/// A rule that is evaluated on a result.
struct Asked<'a> {
    layer: &'a ToolLayer,
    loaded: &'a Layer,
    entry: &'a LayerEntry,
    rule: &'a ToolRule,
    /// Its expressions.
    ready: &'a PreparedRule,
}

/// `result` of expressions. Bytes that are not text are opaque: any use of them is an error, and so
/// withholds.
fn value(result: &CallResult) -> Value<'_> {
    let number = |number: Option<i32>| number.map_or(Value::Null, |number| Value::Int(number.into()));
    let size = |bytes: usize| Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX));
    map([
        ("outcome", Value::Str(&result.outcome)),
        ("exitCode", number(result.exit_code)),
        ("signal", number(result.signal)),
        ("stdout", text_or_opaque(&result.stdout)),
        ("stderr", text_or_opaque(&result.stderr)),
        ("stdoutSize", size(result.stdout.len())),
        ("stderrSize", size(result.stderr.len())),
        ("dropped", Value::Int(i64::try_from(result.dropped).unwrap_or(i64::MAX))),
        ("content", text_or_opaque(result.content.as_deref().unwrap_or_default())),
        ("contentSize", size(result.content.as_ref().map_or(0, Vec::len))),
        ("paths", Value::list(result.paths.iter().map(|path| Value::Str(path)).collect())),
    ])
}

fn text_or_opaque(bytes: &[u8]) -> Value<'_> {
    std::str::from_utf8(bytes).map_or(Value::Opaque, Value::Str)
}

/// The result with the texts that a redaction gives: a map with any of `stdout`, `stderr` and `content`.
fn replaced(value: &Value<'_>, left: &CallResult) -> Result<CallResult, String> {
    let Value::Map(members) = value else { return Err("it is not a map".to_owned()) };
    let mut result = left.clone();
    for (key, value) in members.iter() {
        let place = match key.as_str() {
            Some("stdout") => Some(&mut result.stdout),
            Some("stderr") => Some(&mut result.stderr),
            // A call that read no file has no content to replace.
            Some("content") => result.content.as_mut(),
            _ => return Err("it has another member than `stdout`, `stderr` and `content`".to_owned()),
        };
        let text = value.as_str().ok_or("a member of it is not a string")?;
        if let Some(bytes) = place {
            *bytes = text.as_bytes().to_vec();
        }
    }
    Ok(result)
}
