//! What all connections share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bailiwick_images::Checker;
use tokio_rustls::rustls::ServerConfig;

use crate::cluster::Cluster;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::shares::Shares;
use crate::snapshot::Snapshot;
use crate::turns::Turns;

/// What all connections share.
pub(crate) struct State {
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// For new connections; open ones keep the certificate that they began with.
    pub(crate) tls: ArcSwap<ServerConfig>,
    /// Evidence about images.
    pub(crate) images: Arc<Checker>,
    /// Reviews that are judged now.
    pub(crate) in_flight: Arc<Shares>,
    /// Turns of large reviews.
    pub(crate) large: Turns,
    /// Open connections.
    pub(crate) connections: Arc<Shares>,
    /// Bytes of requests.
    pub(crate) held: Arc<Shares>,
    pub(crate) draining: AtomicBool,
    /// `None`: policies come from files, and nothing contacts the API server.
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// Why the newest files are not in force, by part; `/readyz` reports it.
    refused_reloads: Mutex<[Option<String>; 2]>,
}

/// A part that is reloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bundles and namespaces.
    Policies,
    /// Certificate and key.
    Certificate,
}

impl State {
    /// The state at start.
    pub(crate) fn new(
        limits: Limits,
        snapshot: Snapshot,
        tls: ServerConfig,
        cluster: Option<Arc<Cluster>>,
        images: Checker,
    ) -> Self {
        let metrics = Metrics::new();
        metrics.set_bundles(&snapshot.bundles);
        Self {
            metrics,
            snapshot: ArcSwap::from_pointee(snapshot),
            tls: ArcSwap::from_pointee(tls),
            images: Arc::new(images),
            in_flight: Shares::new(limits.max_in_flight),
            large: Turns::new(limits.max_body_bytes),
            connections: Shares::new(limits.max_connections),
            held: Shares::new(limits.max_held_bytes),
            draining: AtomicBool::new(false),
            cluster,
            refused_reloads: Mutex::default(),
            limits,
        }
    }

    /// Records why a reload was refused, or that the last one was not.
    pub(crate) fn set_refused_reload(&self, part: Part, reason: Option<String>) {
        let mut reasons = self.refused_reloads.lock().unwrap_or_else(PoisonError::into_inner);
        let [policies, certificate] = &mut *reasons;
        match part {
            Part::Policies => *policies = reason,
            Part::Certificate => *certificate = reason,
        }
        self.metrics.stale.set(u64::from(reasons.iter().any(Option::is_some)));
    }

    /// Why the newest files are not in force.
    pub(crate) fn refused_reloads(&self) -> Vec<String> {
        let reasons = self.refused_reloads.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.iter().flatten().cloned().collect()
    }
}
