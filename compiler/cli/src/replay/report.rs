//! The findings of a replay: a table of what changed, the calls in it, and what could not be decided again.

use std::collections::BTreeMap;

use bailiwick_audit::record::Record;
use bailiwick_audit::{Report as Verified, Status};
use serde::Serialize;

use super::history::{Compared, Taken};
use super::verdict::{Part, Said, Verdict};
use crate::effective::Effective;
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::out;
use crate::render::JSON_VERSION;

/// Most calls that are listed, for changed and for other calls each; all are counted.
const MAX_LISTED: usize = 10_000;
/// Most of them that are shown to a person.
const MAX_SHOWN: usize = 20;
/// Widest column of the table, in characters; longer words overflow it.
const MAX_WIDTH: usize = 32;

/// The outcome for the decisions of a log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    version: u32,
    packs: Vec<String>,
    policy_digest: String,
    log: LogSaid,
    /// Decisions that were made again.
    replayed: u64,
    /// Those of them with no change.
    unchanged: u64,
    changed: u64,
    changes: Vec<Row>,
    calls: Vec<Changed>,
    not_replayed: u64,
    missing: Vec<Missing>,
}

/// The verifier's result for the log.
#[derive(Debug, Serialize)]
struct LogSaid {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
    remarks: Vec<String>,
}

/// Decisions whose same part changed in the same way, by the same rule.
#[derive(Debug, Serialize)]
struct Row {
    part: Part,
    was: String,
    now: String,
    tool: String,
    rule: String,
    count: u64,
}

/// A decision with a change.
#[derive(Debug, Serialize)]
struct Changed {
    seq: u64,
    call: String,
    tool: String,
    parts: Vec<Part>,
    was: Verdict,
    now: Verdict,
}

/// A call that cannot be decided again.
#[derive(Debug, Serialize)]
struct Missing {
    seq: u64,
    call: String,
    why: String,
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

    /// Adds the outcome for a record.
    pub(super) fn take(&mut self, record: &Record, taken: Taken) {
        match taken {
            Taken::Nothing => {}
            Taken::Cannot(why) => self.cannot(record, why),
            Taken::Call(again) => self.compared(record, Part::Effect, again.compared),
            Taken::Result(compared) => self.compared(record, Part::Result, *compared),
        }
    }

    fn cannot(&mut self, record: &Record, why: String) {
        self.not_replayed += 1;
        if self.missing.len() < MAX_LISTED {
            self.missing.push(Missing {
                seq: record.seq,
                call: record.call.clone().unwrap_or_default(),
                why,
            });
        }
    }

    /// Adds a decision that was made again.
    fn compared(&mut self, record: &Record, effect: Part, Compared { was, now }: Compared) {
        self.replayed += 1;
        let parts = was.differs(&now, effect);
        if parts.is_empty() {
            self.unchanged += 1;
            return;
        }
        self.changed += 1;
        let tool = record.tool.clone().unwrap_or_default();
        for part in &parts {
            self.tell(row(*part, &tool, &was, &now));
        }
        if self.calls.len() < MAX_LISTED {
            let call = record.call.clone().unwrap_or_default();
            self.calls.push(Changed { seq: record.seq, call, tool, parts, was, now });
        }
    }

    fn tell(&mut self, told: Row) {
        let same = |row: &&mut Row| {
            (row.part, &row.was, &row.now, &row.tool, &row.rule)
                == (told.part, &told.was, &told.now, &told.tool, &told.rule)
        };
        match self.changes.iter_mut().find(same) {
            Some(row) => row.count += 1,
            None => self.changes.push(told),
        }
    }

    /// A changed verdict is a finding; if some records could not be decided again, there may be more.
    pub(super) fn outcome(&self) -> Outcome {
        match (self.log.status, self.changed, self.not_replayed) {
            ("tampered", ..) => Outcome::Tampered,
            (_, 1.., _) => Outcome::Findings,
            (_, 0, 1..) => Outcome::Incomplete,
            (_, 0, 0) => Outcome::Holds,
        }
    }

    fn print_table(&self) {
        let width = |name: &str, of: &dyn Fn(&Row) -> usize| {
            self.changes.iter().map(of).max().unwrap_or(0).max(name.len()).min(MAX_WIDTH)
        };
        let [part, was, now] = [
            width("part", &|row| row.part.name().len()),
            width("was", &|row| row.was.chars().count()),
            width("now", &|row| row.now.chars().count()),
        ];
        if !self.changes.is_empty() {
            out!("{:<part$}  {:<was$}  {:<now$}  {:>5}  {:<16} rule", "part", "was", "now", "count", "tool");
        }
        for row in &self.changes {
            let Row { tool, rule, count, .. } = row;
            let [one, other] = [plain(&row.was), plain(&row.now)];
            out!(
                "{:<part$}  {one:<was$}  {other:<now$}  {count:>5}  {:<16} {}",
                row.part.name(),
                plain(tool),
                plain(rule)
            );
        }
    }

    pub(super) fn print(&self) {
        if let Some(damage) = &self.log.damage {
            out!("the log is damaged, and nothing of it is replayed: {}", plain(damage));
            return;
        }
        self.print_table();
        for Changed { seq, call, parts, was, now, .. } in self.calls.iter().take(MAX_SHOWN) {
            let changed = parts.iter().map(|part| {
                let (was, now) = words(*part, was, now);
                format!("{was} -> {now}")
            });
            let why = now.message.as_ref().filter(|_| was.effect != now.effect);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let changed = changed.collect::<Vec<_>>().join(", ");
            out!("  record {seq}, call {}: {}{}", plain(call), plain(&changed), plain(&why));
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

/// One part before and after, in a word or two each.
fn words(part: Part, was: &Verdict, now: &Verdict) -> (String, String) {
    match (was.part(part), now.part(part)) {
        (Some(was), Some(now)) if was.shown == now.shown => {
            (was.shown.clone(), format!("{}, others", now.shown))
        }
        (Some(was), Some(now)) => (was.shown.clone(), now.shown.clone()),
        _ => (was.effect.clone(), now.effect.clone()),
    }
}

fn row(part: Part, tool: &str, was: &Verdict, now: &Verdict) -> Row {
    let of = |one: &Verdict| match part {
        // The rules that deny, ask or withhold, then or now, say more than those that grant.
        Part::Effect | Part::Result => one.rules.clone(),
        part => one.part(part).map(|said: &Said| said.rules.clone()).unwrap_or_default(),
    };
    let lets_through = matches!(now.effect.as_str(), "Allow" | "Deliver");
    let [first, second] =
        if lets_through && matches!(part, Part::Effect | Part::Result) { [was, now] } else { [now, was] };
    let rules = if of(first).is_empty() { of(second) } else { of(first) };
    let (was, now) = words(part, was, now);
    Row { part, was, now, tool: tool.to_owned(), rule: rules.join(", "), count: 1 }
}
