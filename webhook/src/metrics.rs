//! The server's metrics, for Prometheus. Every label has few values, known in advance, except the digests of
//! the bundles in force.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bailiwick_images::Figures;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::snapshot::Loaded;

/// In seconds. Reviews of ordinary pods take a few hundred microseconds; an API server waits 30 s at most.
const BUCKETS: [f64; 12] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0];

/// The endpoints that judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub(crate) enum PathLabel {
    validate,
    mutate,
    own,
    connect,
}

/// How a review ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub(crate) enum VerdictLabel {
    allowed,
    denied,
    refused,
}

/// Why a request was refused without a judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub(crate) enum RefusedLabel {
    connections,
    handshake,
    headers_timeout,
    in_flight,
    held_bytes,
    body_size,
    body_timeout,
    body_broken,
    content_type,
    method,
    malformed,
    deadline,
    panic,
    not_ready,
}

/// What is reloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
pub(crate) enum ReloadLabel {
    policies,
    certificate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requests {
    path: PathLabel,
    verdict: VerdictLabel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    path: PathLabel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: RefusedLabel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct What {
    what: ReloadLabel,
}

/// Where the signatures of an image came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the label's values")]
enum SourceLabel {
    memory,
    registry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Evidence {
    source: SourceLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BundleInfo {
    file: String,
    digest: String,
    cell: String,
}

/// All metrics of the process.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Requests, Counter>,
    duration: Family<Of, Histogram, fn() -> Histogram>,
    refused: Family<Because, Counter>,
    reloads: Family<What, Counter>,
    reload_failures: Family<What, Counter>,
    bundles: Family<BundleInfo, Gauge>,
    in_flight: Gauge,
    pub(crate) connections: Gauge,
    /// Set when the metrics are read.
    pub(crate) held_bytes: Gauge,
    registry_requests: Counter,
    image_evidence: Family<Evidence, Counter>,
    /// 1 while the newest files on disk could not be loaded and older ones are in force.
    pub(crate) stale: Gauge<u64, AtomicU64>,
}

/// A review in progress, counted until this is dropped. When a client resets its stream the whole future is
/// dropped, wherever it waits.
#[derive(Debug)]
pub(crate) struct InProgress(Gauge);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Registered and at zero.
    pub(crate) fn new() -> Self {
        let new_histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let mut metrics = Self {
            registry: Registry::with_prefix("bailiwick_webhook"),
            requests: Family::default(),
            duration: Family::new_with_constructor(new_histogram),
            refused: Family::default(),
            reloads: Family::default(),
            reload_failures: Family::default(),
            bundles: Family::default(),
            registry_requests: Counter::default(),
            image_evidence: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            held_bytes: Gauge::default(),
            stale: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Reviews answered, by endpoint and verdict", metrics.requests.clone());
        registry.register(
            "review_duration_seconds",
            "From the headers of a request to its answer",
            metrics.duration.clone(),
        );
        registry.register("refused", "Refused without a judgement, by reason", metrics.refused.clone());
        registry.register(
            "reloads",
            "Files that were taken into force after a change",
            metrics.reloads.clone(),
        );
        registry.register(
            "reload_failures",
            "Changed files that were not taken into force",
            metrics.reload_failures.clone(),
        );
        registry.register(
            "stale",
            "1 while the files on disk are not the ones in force",
            metrics.stale.clone(),
        );
        registry.register("bundle_info", "Bundles in force", metrics.bundles.clone());
        registry.register("in_flight", "Reviews in progress", metrics.in_flight.clone());
        registry.register("held_bytes", "Bytes of reviews held", metrics.held_bytes.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register("registry_requests", "Requests to registries", metrics.registry_requests.clone());
        registry.register(
            "image_evidence",
            "Images whose signatures were looked up, by where they were found",
            metrics.image_evidence.clone(),
        );
        metrics
    }

    /// Sets the figures of the image check.
    pub(crate) fn set_images(&self, figures: Figures) {
        let set = |counter: &Counter, value: u64| counter.inner().store(value, Relaxed);
        set(&self.registry_requests, figures.requests);
        for (source, value) in [(SourceLabel::memory, figures.hits), (SourceLabel::registry, figures.fetched)]
        {
            set(&self.image_evidence.get_or_create(&Evidence { source }), value);
        }
    }

    /// Counts a review as in progress.
    pub(crate) fn in_progress(&self) -> InProgress {
        self.in_flight.inc();
        InProgress(self.in_flight.clone())
    }

    /// Counts a review that was answered.
    pub(crate) fn answered(&self, path: PathLabel, verdict: VerdictLabel, took: Duration) {
        self.requests.get_or_create(&Requests { path, verdict }).inc();
        self.duration.get_or_create(&Of { path }).observe(took.as_secs_f64());
    }

    /// Counts a request that was refused without a judgement.
    pub(crate) fn refused(&self, reason: RefusedLabel) {
        self.refused.get_or_create(&Because { reason }).inc();
    }

    /// Counts changed files that took effect.
    pub(crate) fn reloaded(&self, what: ReloadLabel) {
        self.reloads.get_or_create(&What { what }).inc();
    }

    /// Counts changed files that could not take effect.
    pub(crate) fn reload_failed(&self, what: ReloadLabel) {
        self.reload_failures.get_or_create(&What { what }).inc();
    }

    /// Sets the bundles in force, and removes all others.
    pub(crate) fn set_bundles(&self, bundles: &[Loaded]) {
        self.bundles.clear();
        for Loaded { file, digest, cell, .. } in bundles {
            let info = BundleInfo { file: file.clone(), digest: digest.clone(), cell: cell.clone() };
            self.bundles.get_or_create(&info).set(1);
        }
    }

    /// The OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            text.clear();
            // This format has only comments to report errors with.
            let _ = writeln!(text, "# metrics could not be written: {error}");
        }
        text
    }
}
