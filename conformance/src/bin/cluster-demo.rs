//! `make cluster-demo`: starts a control plane and a node, and follows `docs/guide/cluster.md` word by word:
//! images, chart, a pack in force, a pod that runs and one that is denied, a policy that is restored, a pool
//! that runs tool calls, a log that verifies, and the removal of everything. Exits with 1 at the first
//! command that does not do what it should.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bailiwick_conformance::cluster_guide::{Ground, run};

fn main() -> ExitCode {
    match run(Ground::Node, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo deviated: {error:#}");
            ExitCode::FAILURE
        }
    }
}
