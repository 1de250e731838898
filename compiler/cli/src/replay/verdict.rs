//! The parts of a decision that are compared: its effect, sandbox, arguments, labels and approvers, and the
//! texts that are delivered.
//!
//! A part that only one side states is not compared: a record of a question does not name a sandbox, and
//! values that were not kept cannot be shown.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_audit::record::Record;
use bailiwick_policy::canonical;
use bailiwick_policy::tool::{
    ApprovalRequest, Change, DecisionInputs, EffectRecord, Redactions, Redecided, ResultDecision,
    ResultEffect, RuleReport, StateDelta,
};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// Where a call of a built-in tool runs, as records name it.
const CLERK: &str = "workspace clerk";

/// The parts that are compared, in reporting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Whether a call runs.
    Effect,
    /// Whether a result is delivered.
    Result,
    Sandbox,
    Arguments,
    /// Labels that the session gets and loses.
    Labels,
    Approvers,
    /// The texts that replace a result's own.
    Texts,
}

impl Part {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Effect => "effect",
            Self::Result => "result",
            Self::Sandbox => "sandbox",
            Self::Arguments => "arguments",
            Self::Labels => "labels",
            Self::Approvers => "approvers",
            Self::Texts => "texts",
        }
    }
}

/// One part of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    compared: Value,
    pub(super) shown: String,
    pub(super) rules: Vec<String>,
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}

/// What was decided, and by which rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    pub(super) effect: String,
    pub(super) rules: Vec<String>,
    /// For what is denied or withheld now: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(flatten)]
    parts: BTreeMap<Part, Said>,
}

impl Verdict {
    /// Over a call, from its record. The denying rule is named in the reason, which may be committed to, so
    /// the rules here are those that took part. `arguments`: those requested and those that ran.
    pub(super) fn recorded(
        record: &Record,
        arguments: Option<(&Value, &Value)>,
        delta: Option<&StateDelta>,
    ) -> Self {
        let effect = record.effect.clone().unwrap_or_default();
        let rules: Vec<Value> = record.rules.iter().filter_map(Value::as_array).flatten().cloned().collect();
        let mut parts = BTreeMap::new();
        if effect == "Allow" {
            let name = record.sandbox.as_ref().and_then(|sandbox| sandbox.get("name")?.as_str());
            parts.extend(name.map(|name| (Part::Sandbox, sandbox(name, &rules))));
            parts.extend(delta.map(|delta| (Part::Labels, labels(&delta.changes, &rules))));
        }
        if effect == "Ask" {
            let request = record.approval.clone().map(serde_json::from_value::<ApprovalRequest>);
            let request = request.and_then(Result::ok);
            parts.extend(request.map(|request| (Part::Approvers, approvers(&request, &rules))));
        }
        if effect != "Deny" {
            parts.extend(arguments.map(|(asked, ran)| (Part::Arguments, given(asked, ran, &rules))));
        }
        Self { rules: deciding(&effect, &rules), effect, message: None, parts }
    }

    /// Over a call, as it is decided now.
    pub(super) fn again(inputs: &DecisionInputs, decided: &Redecided) -> Self {
        let record = &decided.record;
        let rules: Vec<Value> = record.rules.iter().map(RuleReport::bare).collect();
        let mut parts = BTreeMap::new();
        let (effect, message) = match &record.effect {
            EffectRecord::Allow => {
                let name = decided.sandbox.as_deref().unwrap_or(CLERK);
                parts.insert(Part::Sandbox, sandbox(name, &rules));
                parts.insert(Part::Labels, labels(&record.delta.changes, &rules));
                ("Allow", None)
            }
            EffectRecord::Deny(denial) => ("Deny", Some(denial.message.clone())),
            EffectRecord::Ask(request) => {
                parts.insert(Part::Approvers, approvers(request, &rules));
                ("Ask", None)
            }
        };
        if effect != "Deny" {
            let asked = serde_json::to_value(inputs.call.arguments()).unwrap_or_default();
            let ran = record.arguments.as_ref().unwrap_or(&asked);
            parts.insert(Part::Arguments, given(&asked, ran, &rules));
        }
        let mut by = deciding(effect, &rules);
        if by.is_empty() {
            by = of_no_rule(&record.effect);
        }
        Self { effect: effect.to_owned(), rules: by, message, parts }
    }

    /// Over a result, from its record. `listed`: the rules that the record names; `redactions`: how what was
    /// delivered differs from the call's own result, if the record has both.
    pub(super) fn of_recorded_result(
        record: &Record,
        listed: Option<&Value>,
        redactions: Option<&Redactions>,
        delta: Option<&StateDelta>,
    ) -> Self {
        let rules: Vec<Value> = listed.and_then(Value::as_array).cloned().unwrap_or_default();
        // A result that could not be judged is withheld, and its record says only that it is not the call's
        // own. In records of earlier versions `Allow` also covers redacted results.
        let effect = match (record.effect.as_deref(), redactions) {
            (Some("Deny"), _) | (None, Some(_)) => "Withhold",
            (Some(_), Some(_)) => "Redact",
            (_, None) => "Deliver",
        };
        let mut parts = BTreeMap::new();
        if let Some(redactions) = redactions.filter(|_| effect == "Redact") {
            parts.insert(Part::Texts, texts(redactions, &rules));
        }
        parts.extend(delta.map(|delta| (Part::Labels, labels(&delta.changes, &rules))));
        Self { effect: effect.to_owned(), rules: deciding(effect, &rules), message: None, parts }
    }

    /// Over a result, as it is decided now; `None` if no rule applies to it.
    pub(super) fn of_result(decided: Option<&ResultDecision>) -> Self {
        let reports = decided.map(|decided| decided.rules.as_slice()).unwrap_or_default();
        let rules: Vec<Value> = reports.iter().map(RuleReport::bare).collect();
        let mut parts = BTreeMap::new();
        let (effect, message) = match decided.map(|decided| &decided.effect) {
            Some(ResultEffect::Withhold(denial)) => ("Withhold", Some(denial.message.clone())),
            Some(ResultEffect::Deliver(redactions)) if !redactions.is_empty() => {
                parts.insert(Part::Texts, texts(redactions, &rules));
                ("Redact", None)
            }
            Some(ResultEffect::Deliver(_)) | None => ("Deliver", None),
        };
        let change = decided.and_then(ResultDecision::change);
        parts.insert(Part::Labels, labels(change.as_slice(), &rules));
        let mut by = deciding(effect, &rules);
        if let (Some(ResultEffect::Withhold(denial)), true) =
            (decided.map(|decided| &decided.effect), by.is_empty())
        {
            by = of_no_rule(&EffectRecord::Deny(denial.clone()));
        }
        Self { effect: effect.to_owned(), rules: by, message, parts }
    }

    /// The parts that differ. If the effects differ, nothing else is reported.
    pub(super) fn differs(&self, other: &Self, effect: Part) -> Vec<Part> {
        if self.effect != other.effect {
            return vec![effect];
        }
        let both = self.parts.iter().filter_map(|(part, said)| Some((part, said, other.parts.get(part)?)));
        both.filter(|(_, one, other)| one.compared != other.compared).map(|(part, ..)| *part).collect()
    }

    pub(super) fn part(&self, part: Part) -> Option<&Said> {
        self.parts.get(&part)
    }
}

fn member<'r>(rule: &'r Value, name: &str) -> &'r str {
    rule.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The rules of some kinds that took effect, or that have an outcome of this name. A rule in shadow shows its
/// mode, and has no effect.
fn named(rules: &[Value], is_meant: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let with_effect = rules.iter().filter(|rule| rule.get("mode").is_none());
    let meant = with_effect.filter(|rule| is_meant(member(rule, "kind"), member(rule, "outcome")));
    meant.map(|rule| format!("{}/{}", member(rule, "pack"), member(rule, "rule"))).collect()
}

/// The rules behind an effect.
fn deciding(effect: &str, rules: &[Value]) -> Vec<String> {
    named(rules, |kind, outcome| match (effect, kind) {
        ("Allow", "allow" | "ask") | ("Ask", "ask" | "confirm") | ("Redact", "redact") => {
            outcome == "applied"
        }
        ("Deny" | "Withhold", "deny" | "throttle") => outcome != "withinLimit",
        // A restriction that cannot be evaluated denies.
        ("Deny", "confirm" | "narrow" | "label") | ("Withhold", _) => outcome == "failed",
        _ => false,
    })
}

/// What decided if no rule did: a question from the tool's definition, a budget, or the absence of a grant.
fn of_no_rule(effect: &EffectRecord) -> Vec<String> {
    match effect {
        EffectRecord::Allow => Vec::new(),
        EffectRecord::Ask(request) => {
            let asked = request.requirements.iter();
            asked.map(|one| format!("{}: {} of {}", one.pack, one.quorum, one.group)).collect()
        }
        EffectRecord::Deny(denial) => {
            let pack = denial.pack.as_deref().unwrap_or_default();
            let reason = || json!(denial.reason).as_str().map(str::to_owned);
            let name = denial.rule.clone().or_else(reason);
            let whole = |name: String| if pack.is_empty() { name } else { format!("{pack}/{name}") };
            name.map(whole).into_iter().collect()
        }
    }
}

fn sandbox(name: &str, rules: &[Value]) -> Said {
    let rules = named(rules, |kind, outcome| kind == "narrow" && outcome == "applied");
    Said { compared: json!(name), shown: name.to_owned(), rules }
}

/// The arguments that a call ran with, next to those requested. Both as canonical JSON, as in records.
fn given(asked: &Value, ran: &Value, rules: &[Value]) -> Said {
    let text = |value: &Value| {
        canonical::to_vec(value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    let (asked, ran) = (text(asked), text(ran));
    let shown = if asked == ran { "as asked for" } else { "given by rules" };
    let rules = named(rules, |kind, outcome| matches!(kind, "allow" | "ask") && outcome == "applied");
    Said { compared: json!(ran), shown: shown.to_owned(), rules }
}

fn labels(changes: &[Change], rules: &[Value]) -> Said {
    let (mut added, mut removed) = (BTreeSet::new(), BTreeSet::new());
    for change in changes {
        if let Change::Labelled { add, remove, .. } = change {
            added.extend(add);
            removed.extend(remove);
        }
    }
    let plus = added.iter().map(|name| format!("+{name}"));
    let words: Vec<String> = plus.chain(removed.iter().map(|name| format!("-{name}"))).collect();
    let shown = if words.is_empty() { "none".to_owned() } else { words.join(" ") };
    let rules = named(rules, |kind, outcome| kind == "label" && outcome != "withinLimit");
    Said { compared: json!([added, removed]), shown, rules }
}

/// Who must approve: persons and keys, regardless of the names of pack and group.
pub(super) fn people(request: &ApprovalRequest) -> BTreeSet<(u32, BTreeSet<(String, &str)>)> {
    let requirements = request.requirements.iter().map(|requirement| {
        let keys = requirement.keys.iter();
        let keys = keys.map(|key| (key.principal.to_ascii_lowercase(), key.ed25519.as_str()));
        (requirement.quorum, keys.collect())
    });
    requirements.collect()
}

fn approvers(request: &ApprovalRequest, rules: &[Value]) -> Said {
    let of = request.requirements.iter().map(|one| format!("{} of {}", one.quorum, one.group));
    let rules = named(rules, |kind, outcome| matches!(kind, "ask" | "confirm") && outcome == "applied");
    Said { compared: json!(people(request)), shown: of.collect::<Vec<_>>().join(", "), rules }
}

/// The texts that are delivered in place of a result's own, by name; what they say may be a secret on one of
/// the two sides.
fn texts(redactions: &Redactions, rules: &[Value]) -> Said {
    let compared = json!([redactions.stdout, redactions.stderr, redactions.content]);
    let rules = named(rules, |kind, outcome| kind == "redact" && outcome == "applied");
    Said { compared, shown: redactions.names().join(", "), rules }
}
