//! A decision taken apart: the verdict, and for each rule that was evaluated what it did and the values of
//! its expressions.

use serde::Serialize;
use serde_json::Value;

use super::parts::Expression;
use crate::args::Format;
use crate::effective::Effective;
use crate::outcome::Outcome;
use crate::places::shown;
use crate::plain::plain;
use crate::print::out;
use crate::render::JSON_VERSION;

/// A decision, explained.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    version: u32,
    packs: Vec<String>,
    policy_digest: String,
    /// The tool, or the kind and name of the object.
    about: String,
    verdict: Verdict,
    /// The reasons, one for each rule or limit that decided.
    because: Vec<Because>,
    /// The facts derived from the arguments of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Value>,
    rules: Vec<Rule>,
    /// For a recorded decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Recorded>,
    /// Further remarks for the reader.
    notes: Vec<String>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Verdict {
    Allow,
    Deny,
    Ask,
    /// Of a result: the caller gets it, perhaps redacted.
    Delivered,
    /// Of a result: the caller gets none of it.
    Withheld,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allowed",
            Self::Deny => "denied",
            Self::Ask => "people are asked",
            Self::Delivered => "delivered",
            Self::Withheld => "withheld",
        }
    }
}

/// One reason of a verdict.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Because {
    /// The kind of reason for a denied call; the effect of a finding.
    pub(super) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pack: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<String>,
    /// For a finding: the position in the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) field: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

/// A rule that was evaluated.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) pack: String,
    pub(super) rule: String,
    /// What the rule is for, named as its field: `allow`, `deny`, …; for an admission rule, its action.
    pub(super) kind: String,
    /// What the rule did.
    pub(super) outcome: String,
    /// Whether the verdict follows from the rule.
    pub(super) decides: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<usize>,
    pub(super) expressions: Vec<Expression>,
}

/// What the log says about the decision.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Recorded {
    pub(super) seq: u64,
    pub(super) call: String,
    pub(super) policy_digest: String,
    pub(super) effect: String,
    /// Whether the packs are the policy that decided then.
    pub(super) same_policy: bool,
    /// Whether the packs decide as recorded.
    pub(super) same_effect: bool,
}

impl Rule {
    /// A rule at a field of a pack, with nothing known about it yet.
    pub(super) fn at(effective: &Effective, pack: &str, name: &str, field: &str) -> Self {
        let place = effective.place(pack, field, None);
        Self {
            pack: pack.to_owned(),
            rule: name.to_owned(),
            kind: String::new(),
            outcome: String::new(),
            decides: false,
            file: place.as_ref().map(|place| place.path.display().to_string()),
            line: place.as_ref().map(|place| place.line),
            column: place.map(|place| place.column),
            expressions: Vec::new(),
        }
    }

    fn show(&self) {
        let decides = if self.decides { ", and it decides" } else { "" };
        let name = plain(&format!("{}/{}", self.pack, self.rule));
        out!("\n{name} ({}): {}{decides}", plain(&self.kind), plain(&self.outcome));
        if let (Some(file), Some(line), Some(column)) = (&self.file, self.line, self.column) {
            out!("  {}", plain(&shown(file, line, column)));
        }
        self.expressions.iter().for_each(Expression::show);
    }
}

impl Explanation {
    pub(super) fn new(effective: &Effective, about: String, verdict: Verdict) -> Self {
        Self {
            version: JSON_VERSION,
            packs: effective.packs(),
            policy_digest: effective.bundle.digest.clone(),
            about,
            verdict,
            because: Vec::new(),
            facts: None,
            rules: Vec::new(),
            record: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn because(mut self, because: Vec<Because>) -> Self {
        self.because = because;
        self
    }

    pub(super) fn with_facts(mut self, facts: Value) -> Self {
        self.facts = Some(facts).filter(|facts| !facts.is_null());
        self
    }

    pub(super) fn with_rules(mut self, rules: Vec<Rule>) -> Self {
        self.rules = rules;
        self
    }

    pub(super) fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes.extend(notes);
        self
    }

    pub(super) fn with_record(mut self, record: Recorded, notes: Vec<String>) -> Self {
        self.record = Some(record);
        self.notes.extend(notes);
        self
    }

    /// Prints the decision. What is not allowed never exits with 0.
    pub(super) fn print(&self, format: Format) -> anyhow::Result<Outcome> {
        match format {
            Format::Json => out!("{}", serde_json::to_string_pretty(self)?),
            Format::Human => self.show(),
        }
        Ok(match self.verdict {
            Verdict::Allow | Verdict::Delivered => Outcome::Holds,
            Verdict::Deny | Verdict::Ask | Verdict::Withheld => Outcome::Denied,
        })
    }

    fn show(&self) {
        out!("{}: {}", plain(&self.about), self.verdict.word());
        for because in &self.because {
            let rule = match (&because.pack, &because.rule) {
                (Some(pack), Some(rule)) => format!(" {pack}/{rule}"),
                (Some(pack), None) => format!(" {pack}"),
                _ => String::new(),
            };
            let at = if because.field.is_empty() { String::new() } else { format!(" at {}", because.field) };
            out!("  {}: {}", plain(&format!("{}{rule}{at}", because.reason)), plain(&because.message));
            if let Some(remedy) = &because.remedy {
                out!("  help: {}", plain(remedy));
            }
        }
        if let Some(record) = &self.record {
            let policy = if record.same_policy { "by this policy" } else { "by another policy" };
            let effect = plain(&record.effect);
            out!("  record {}: {effect} {policy}, {}", record.seq, plain(&record.policy_digest));
        }
        for note in &self.notes {
            out!("  note: {}", plain(note));
        }
        self.rules.iter().for_each(Rule::show);
        if self.rules.is_empty() {
            out!("no rule was asked");
        }
    }
}
