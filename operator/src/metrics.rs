//! The operator's metrics, for Prometheus. Every label has few values, known in advance.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::kind::Kind;
use crate::object::Drift;

/// How something was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Verb {
    apply,
    replace,
    delete,
    status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct KindLabel(Kind);

impl EncodeLabelValue for KindLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.0.name())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
enum How {
    deleted,
    edited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Wrote {
    kind: KindLabel,
    verb: Verb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    kind: KindLabel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Drifted {
    kind: KindLabel,
    how: How,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    writes: Family<Wrote, Counter>,
    drift: Family<Drifted, Counter>,
    watch_errors: Family<Watched, Counter>,
    /// Passes over everything.
    pub passes: Counter,
    /// Writes that failed.
    pub failures: Counter,
    /// 1 while this operator leads.
    pub leading: Gauge<u64, AtomicU64>,
    /// 1 while the webhook's configurations are in force.
    pub armed: Gauge<u64, AtomicU64>,
    /// Replicas of the webhook that serve what is expected.
    pub replicas: Gauge<u64, AtomicU64>,
    /// Cells in force.
    pub cells: Gauge<u64, AtomicU64>,
    /// Bindings whose current spec is not in force.
    pub failing: Gauge<u64, AtomicU64>,
    /// Unix time at which the webhook's certificate expires.
    pub certificate_expires: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("bailiwick_operator"),
            writes: Family::default(),
            drift: Family::default(),
            watch_errors: Family::default(),
            passes: Counter::default(),
            failures: Counter::default(),
            leading: Gauge::default(),
            armed: Gauge::default(),
            replicas: Gauge::default(),
            cells: Gauge::default(),
            failing: Gauge::default(),
            certificate_expires: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("writes", "Writes to the API server, the lease aside", metrics.writes.clone());
        registry.register(
            "drift_repaired",
            "Objects that somebody else changed and that are back",
            metrics.drift.clone(),
        );
        registry.register(
            "watch_errors",
            "Watches that broke or could not begin",
            metrics.watch_errors.clone(),
        );
        registry.register("passes", "Comparisons of everything", metrics.passes.clone());
        registry.register("write_failures", "Writes that failed", metrics.failures.clone());
        registry.register("leading", "1 while this operator leads", metrics.leading.clone());
        registry.register(
            "armed",
            "1 while the webhook's configurations are in force",
            metrics.armed.clone(),
        );
        registry.register(
            "webhook_replicas",
            "Replicas of the webhook that answer with the expected digests",
            metrics.replicas.clone(),
        );
        registry.register("cells", "Cells in force", metrics.cells.clone());
        registry.register(
            "bindings_failing",
            "Bindings that are not in force as written",
            metrics.failing.clone(),
        );
        registry.register(
            "certificate_expires_seconds",
            "Unix time at which the webhook's certificate expires",
            metrics.certificate_expires.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// Counts a stored write.
    pub fn wrote(&self, kind: Kind, verb: Verb) {
        self.writes.get_or_create(&Wrote { kind: KindLabel(kind), verb }).inc();
    }

    /// Counts a watch that broke.
    pub fn watch_broke(&self, kind: Kind) {
        self.watch_errors.get_or_create(&Watched { kind: KindLabel(kind) }).inc();
    }

    /// Counts repaired drift.
    pub fn drift(&self, kind: Kind, drift: Drift) {
        let how = match drift {
            Drift::Deleted => How::deleted,
            Drift::Edited => How::edited,
        };
        self.drift.get_or_create(&Drifted { kind: KindLabel(kind), how }).inc();
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            text.clear();
            // This format has only comments to report errors with.
            let _ = writeln!(text, "# metrics could not be written: {error}");
        }
        text
    }
}
