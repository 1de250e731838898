//! `docs/guide/cluster.md` without a node: its commands, with operator and webhooks running under the chart's
//! own accounts. `conformance/tests/node` runs all of it on a node.
//! Which lines of it are left out or replaced, and why, stands in `conformance/src/cluster_guide.rs`.

use bailiwick_conformance::cluster_guide::{Ground, run};
use bailiwick_conformance::go_module::go_is_there;

#[test]
fn what_the_guide_says_holds_on_a_control_plane_alone() {
    if !go_is_there().expect("Go") {
        return;
    }
    let mut told = Vec::new();
    let ran = run(Ground::ControlPlane, &mut told);
    let told = String::from_utf8_lossy(&told);
    assert!(ran.is_ok(), "{told}\n{:#}", ran.unwrap_err());
    for said in ["is not signed by", "/agents/app:signed@sha256:", "Nothing of it is left"] {
        assert!(told.contains(said), "`{said}` is missing: {told}");
    }
}
