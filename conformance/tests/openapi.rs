//! The committed table of Kubernetes' types is what its generator makes of the pinned module.

use std::path::Path;
use std::process::Command;

use bailiwick_conformance::go_module::go_is_there;

#[test]
fn the_table_is_fresh() {
    if !go_is_there().unwrap() {
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("go").args(["run", "openapi/generate.go"]).current_dir(here).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let committed =
        std::fs::read(here.join("../compiler/policy/src/admission/schema/kubernetes.txt")).unwrap();
    assert!(
        output.stdout == committed,
        "stale; from conformance/: go run openapi/generate.go > ../compiler/policy/src/admission/schema/kubernetes.txt"
    );
}
