//! `make cluster-demo`: a control plane and a node come up, and `docs/guide/cluster.md` is followed word by word: images, chart, a pack in force, a
//! pod that runs and one that is refused, a policy that comes back, a pool that runs tool calls, a log that verifies, and all of it away again.
//! Ends with 1 at the first command that does not do what it should.
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
