//! What a replay found: a table of changed verdicts, the calls in it, and what could not be decided again.

use std::collections::BTreeMap;

use bailiwick_audit::record::Record;
use bailiwick_audit::{Report as Verified, Status};
use bailiwick_policy::policy::tools::Mode;
use bailiwick_policy::tool::{DecisionRecord, EffectRecord, RuleKind, RuleOutcome};
use serde::Serialize;
use serde_json::Value;

use crate::effective::Effective;
use crate::outcome::Outcome;
use crate::print::{out, plain};
use crate::render::JSON_VERSION;

/// Most calls that are listed, changed ones and others each; all are counted.
const MAX_LISTED: usize = 10_000;
/// Most of them that a person is shown.
const MAX_SHOWN: usize = 20;

/// What became of the decisions of a log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    version: u32,
    packs: Vec<String>,
    policy_digest: String,
    log: LogSaid,
    /// Decisions that were made again.
    replayed: u64,
    /// Of them, those with the same verdict.
    unchanged: u64,
    changed: u64,
    changes: Vec<Row>,
    calls: Vec<Changed>,
    not_replayed: u64,
    missing: Vec<Missing>,
}

/// What the verifier says of the log.
#[derive(Debug, Serialize)]
struct LogSaid {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
    remarks: Vec<String>,
}

/// Verdicts that changed in the same way, by the same rule.
#[derive(Debug, Serialize)]
struct Row {
    was: String,
    now: String,
    tool: String,
    rule: String,
    count: u64,
}

/// A call whose verdict changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    seq: u64,
    call: String,
    tool: String,
    was: Verdict,
    now: Verdict,
}

/// What was decided, and by which rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    effect: String,
    rules: Vec<String>,
    /// Of a denial now, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// A call that cannot be decided again.
#[derive(Debug, Serialize)]
struct Missing {
    seq: u64,
    call: String,
    why: String,
}

impl Verdict {
    /// As the record has it. Which rule denied stands in the reason, which may be committed to; so here it is what took part.
    pub(super) fn recorded(record: &Record) -> Self {
        let effect = record.effect.clone().unwrap_or_default();
        let member =
            |rule: &Value, name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        // Only what is in shadow says its mode.
        let rules = record.rules.iter().filter_map(Value::as_array).flatten();
        let rules = rules.filter(|rule| rule.get("mode").is_none()).map(|rule| {
            (member(rule, "pack"), member(rule, "rule"), member(rule, "kind"), member(rule, "outcome"))
        });
        let of_effect = rules.filter(|(_, _, kind, outcome)| {
            let kinds: &[&str] = match effect.as_str() {
                "Allow" => &["allow", "ask"],
                "Ask" => &["ask", "confirm"],
                _ => &["deny", "throttle", "confirm"],
            };
            outcome != "withinLimit" && kinds.contains(&kind.as_str())
        });
        let rules = of_effect.map(|(pack, rule, ..)| format!("{pack}/{rule}")).collect();
        Self { effect, rules, message: None }
    }

    /// As it is decided now.
    pub(super) fn again(decided: &DecisionRecord) -> Self {
        let (effect, message) = match &decided.effect {
            EffectRecord::Allow => ("Allow", None),
            EffectRecord::Deny(denial) => ("Deny", Some(denial.message.clone())),
            EffectRecord::Ask(_) => ("Ask", None),
        };
        let of_effect = decided.rules.iter().filter(|report| {
            // What is in shadow has no effect.
            let took_part = report.outcome != RuleOutcome::WithinLimit && report.mode == Mode::Enforce;
            match &decided.effect {
                EffectRecord::Allow => took_part && report.kind.is_grant(),
                EffectRecord::Deny(_) => {
                    took_part
                        && matches!(report.kind, RuleKind::Deny | RuleKind::Throttle | RuleKind::Confirm)
                }
                EffectRecord::Ask(_) => {
                    took_part
                        && report.outcome == RuleOutcome::Applied
                        && matches!(report.kind, RuleKind::Ask | RuleKind::Confirm)
                }
            }
        });
        let mut rules: Vec<String> =
            of_effect.map(|report| format!("{}/{}", report.pack, report.rule)).collect();
        if let (EffectRecord::Ask(request), true) = (&decided.effect, rules.is_empty()) {
            // What a tool's definition asks.
            let asked = request.requirements.iter();
            rules.extend(asked.map(|one| format!("{}: {} of {}", one.pack, one.quorum, one.group)));
        }
        if let EffectRecord::Deny(denial) = &decided.effect
            && rules.is_empty()
        {
            // No rule, but a budget, or that none grants.
            let pack = denial.pack.as_deref().unwrap_or_default();
            let name = denial.rule.clone().or_else(|| {
                serde_json::to_value(denial.reason).ok().and_then(|reason| reason.as_str().map(str::to_owned))
            });
            rules.extend(name.map(|name| if pack.is_empty() { name } else { format!("{pack}/{name}") }));
        }
        Self { effect: effect.to_owned(), rules, message }
    }
}

impl Changed {
    pub(super) fn of(record: &Record, was: Verdict, now: Verdict) -> Self {
        Self {
            seq: record.seq,
            call: record.call.clone().unwrap_or_default(),
            tool: record.tool.clone().unwrap_or_default(),
            was,
            now,
        }
    }
}

impl Report {
    pub(super) fn of(effective: &Effective, verified: &Verified) -> Self {
        let status = match verified.status {
            Status::Intact => "intact",
            Status::Incomplete => "incomplete",
            Status::Tampered => "tampered",
        };
        let damage = verified.damage.as_ref().map(|damage| format!("record {}: {}", damage.seq, damage.kind));
        Self {
            version: JSON_VERSION,
            packs: effective.packs(),
            policy_digest: effective.bundle.digest.clone(),
            log: LogSaid { status, damage, remarks: verified.remarks.clone() },
            replayed: 0,
            unchanged: 0,
            changed: 0,
            changes: Vec::new(),
            calls: Vec::new(),
            not_replayed: 0,
            missing: Vec::new(),
        }
    }

    pub(super) fn damaged(&mut self, damage: String) {
        self.log.status = "tampered";
        self.log.damage = Some(damage);
    }

    pub(super) fn cannot(&mut self, record: &Record, why: String) {
        self.not_replayed += 1;
        if self.missing.len() < MAX_LISTED {
            self.missing.push(Missing {
                seq: record.seq,
                call: record.call.clone().unwrap_or_default(),
                why,
            });
        }
    }

    /// Takes in a decision that was made again.
    pub(super) fn compared(&mut self, call: Changed) {
        self.replayed += 1;
        if call.was.effect == call.now.effect {
            self.unchanged += 1;
            return;
        }
        self.changed += 1;
        // The rules that deny or ask, then or now, say more than those that grant.
        let told = if call.now.effect == "Allow" { &call.was } else { &call.now };
        let rule = told.rules.join(", ");
        let same = |row: &&mut Row| {
            row.was == call.was.effect
                && row.now == call.now.effect
                && row.tool == call.tool
                && row.rule == rule
        };
        match self.changes.iter_mut().find(same) {
            Some(row) => row.count += 1,
            None => self.changes.push(Row {
                was: call.was.effect.clone(),
                now: call.now.effect.clone(),
                tool: call.tool.clone(),
                rule,
                count: 1,
            }),
        }
        if self.calls.len() < MAX_LISTED {
            self.calls.push(call);
        }
    }

    /// A changed verdict is a finding; what could not be decided again leaves it open whether there are more.
    pub(super) fn outcome(&self) -> Outcome {
        match (self.log.status, self.changed, self.not_replayed) {
            ("tampered", ..) => Outcome::Tampered,
            (_, 1.., _) => Outcome::Findings,
            (_, 0, 1..) => Outcome::Incomplete,
            (_, 0, 0) => Outcome::Holds,
        }
    }

    pub(super) fn print(&self) {
        if let Some(damage) = &self.log.damage {
            out!("the log is damaged, and nothing of it is replayed: {}", plain(damage));
            return;
        }
        if !self.changes.is_empty() {
            out!("{:<6} {:<6} {:>6}  {:<24} rule", "was", "now", "calls", "tool");
        }
        for Row { was, now, tool, rule, count } in &self.changes {
            out!("{:<6} {:<6} {count:>6}  {:<24} {}", plain(was), plain(now), plain(tool), plain(rule));
        }
        for Changed { seq, call, was, now, .. } in self.calls.iter().take(MAX_SHOWN) {
            let why = now.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            out!(
                "  record {seq}, call {}: {} -> {}{}",
                plain(call),
                plain(&was.effect),
                now.effect,
                plain(&why)
            );
        }
        let more = self.changed.saturating_sub(MAX_SHOWN as u64);
        if more > 0 {
            out!("  and {more} more");
        }
        let mut reasons: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for Missing { seq, why, .. } in &self.missing {
            reasons.entry(why).or_default().push(*seq);
        }
        for (why, records) in reasons {
            let first: Vec<String> = records.iter().take(MAX_SHOWN).map(u64::to_string).collect();
            let more = if records.len() > MAX_SHOWN { ", …" } else { "" };
            out!("not replayed, records {}{more}: {}", first.join(", "), plain(why));
        }
        for remark in &self.log.remarks {
            out!("log: {}", plain(remark));
        }
        out!(
            "{}: {} replayed, {} unchanged, {} changed, {} not replayed",
            plain(&self.packs.join(", ")),
            self.replayed,
            self.unchanged,
            self.changed,
            self.not_replayed
        );
    }
}
