//! `docs/formats/bundle.md` against the shipped bundles: every member of the policy and of its sections is named there.
#![forbid(unsafe_code)]

use std::path::Path;

use serde_json::Value;

#[test]
fn every_member_of_a_bundle_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = std::fs::read_to_string(root.join("docs/formats/bundle.md")).expect("the document");
    for pack in ["build-runner", "code-interpreter", "restricted-agent", "pod-security-restricted"] {
        let path = root.join("policy-packs").join(pack).join("expected/bundle.json");
        let bundle: Value =
            serde_json::from_str(&std::fs::read_to_string(path).expect("a bundle")).expect("JSON");
        for (member, value) in bundle.as_object().expect("an object") {
            assert!(document.contains(&format!("`{member}`")), "`{member}` is not in docs/formats/bundle.md");
            let one = value.as_array().and_then(|items| items.first()).unwrap_or(value);
            for inner in one.as_object().into_iter().flatten().map(|(name, _)| name) {
                let said = document.contains(&format!("`{inner}`"))
                    || ["name", "from", "pack", "value"].contains(&inner.as_str());
                assert!(said, "`{member}.{inner}` is not in docs/formats/bundle.md");
            }
        }
    }
}
