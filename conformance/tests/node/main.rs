//! Tests that need a real node: `make test-cluster` runs these, as root. `cargo test` alone leaves them out,
//! since not every machine can start a node.
//!
//! Pods of executors are the one in `docs/executor-tiers.md`, word by word except for the three digests; the
//! chart is `charts/bailiwick`.

mod chart;
mod guide;
mod pool;
mod stage;
