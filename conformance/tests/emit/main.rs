//! Compares the emitted artifacts with oracles that share no code with the emitters.

mod applying;
mod cluster;
mod erring;
mod files;
mod generated;
mod imported;
mod limits;
mod netpol;
mod policies;
mod rules;

use std::sync::{Arc, LazyLock};

use bailiwick_conformance::cluster::Cluster;

/// One API server for the tests whose objects are told apart by their namespaces. It ends with the process.
fn shared() -> Arc<Cluster> {
    static SHARED: LazyLock<Arc<Cluster>> = LazyLock::new(|| {
        let cluster = Cluster::start().and_then(Cluster::for_the_process);
        Arc::new(cluster.expect("an API server"))
    });
    Arc::clone(&SHARED)
}
