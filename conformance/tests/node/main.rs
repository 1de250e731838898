//! What needs a real node: `make test-cluster` runs these, as root; `cargo test` alone leaves them out, since a node is not everywhere.
//!
//! Pods of executors are that of `docs/executor-tiers.md`, word by word but for the three digests; the chart is `charts/bailiwick`.

mod chart;
mod guide;
mod pool;
mod stage;
