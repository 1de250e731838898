//! `docs/guide/cluster.md`, word by word, and with it `make cluster-demo`, which shows the same run.
//! Which lines of it are left out or replaced, and why, stands in `conformance/src/cluster_guide.rs`.

use bailiwick_conformance::cluster_guide::{self, Ground};

#[test]
#[ignore = "needs a node: make test-cluster"]
fn every_command_of_the_guide_does_what_it_says() {
    let mut told = Vec::new();
    let ran = cluster_guide::run(Ground::Node, &mut told);
    let told = String::from_utf8_lossy(&told);
    assert!(ran.is_ok(), "{told}\n{:#}", ran.unwrap_err());
    assert!(told.contains("Nothing of it is left"), "{told}");
}
