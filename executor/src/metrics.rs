//! Counters for operators, in the OpenMetrics text form. Labels come from closed sets: no client can add one.

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Decisions by effect.
    pub decisions: Family<EffectLabel, Counter>,
    /// Ended calls by outcome.
    pub outcomes: Family<OutcomeLabel, Counter>,
    /// Sessions that are open.
    pub sessions: Gauge,
    /// Calls that run or wait for their session; set when the metrics are read.
    pub calls: Gauge,
    /// Appends to the audit log that failed; each refused a call.
    pub unrecorded: Counter,
    /// How often openings of records could not be written or flushed.
    pub openings: Counter,
}

/// The effect of a decision.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct EffectLabel {
    /// What was decided.
    pub effect: EffectValue,
}

/// Effects, as label values.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
#[expect(missing_docs, reason = "the names are the effects'")]
pub enum EffectValue {
    Allow,
    Ask,
    Deny,
}

/// The kind of an outcome.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// Kind, as in the API.
    pub outcome: String,
}

impl Metrics {
    /// Zeros.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("bailiwick_executor");
        let (decisions, outcomes) = (Family::default(), Family::default());
        let (sessions, calls) = (Gauge::default(), Gauge::default());
        let (unrecorded, openings) = (Counter::default(), Counter::default());
        registry.register("decisions", "Tool calls decided, by effect", decisions.clone());
        registry.register("outcomes", "Tool calls ended, by outcome", outcomes.clone());
        registry.register("sessions", "Open sessions", sessions.clone());
        registry.register("calls", "Calls that run or wait for their session", calls.clone());
        registry.register("unrecorded", "Appends to the audit log that failed", unrecorded.clone());
        registry.register(
            "opening_failures",
            "Times that values beside the audit log could not be written or flushed",
            openings.clone(),
        );
        Self { registry, decisions, outcomes, sessions, calls, unrecorded, openings }
    }

    /// The text form.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
