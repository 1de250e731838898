//! Executors in pods of a real node: `make test-cluster` runs these, as root; `cargo test` alone leaves them out, since a node is not everywhere.
//!
//! The pod is that of `docs/executor-tiers.md`, word by word but for the three digests.

mod pool;
mod stage;
