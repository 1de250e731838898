//! Cases of packs that are written here: what is said to have decided, and what a case cannot say.

use bailiwick_policy::cel::Watching;
use serde_json::{Value, json};

use super::{Bench, Happened, no_manifests};
use crate::library::MemoryLibrary;
use crate::policy_test::TestCase;
use crate::source::PackSources;
use crate::{Bindings, compile};

/// The result of one case of a pack with these sections.
fn happened(sections: &str, case: Value) -> Result<Happened, String> {
    let sections: String = sections.lines().map(|line| format!("  {line}\n")).collect();
    let pack = PackSources::single(format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: p-1.0.0}}\nspec:\n  pack: p\n  version: 1.0.0\n{sections}"
    ));
    let compiled = compile(&[(&pack, Bindings::default())], &MemoryLibrary::default());
    let said: Vec<String> = compiled.all().map(ToString::to_string).collect();
    let policy = compiled.policy.unwrap_or_else(|| panic!("{}", said.join("\n")));
    let mut all = json!({"name": "a case", "expect": {}});
    all.as_object_mut().expect("a case").extend(case.as_object().expect("a part of a case").clone());
    let case: TestCase = serde_json::from_value(all).expect("a case");
    Bench::new(policy, Watching::Off).carry_out(&case, &no_manifests)
}

/// The last requirement of a label does not replace the others.
#[test]
fn the_pod_of_an_image_is_one_that_the_pack_governs() {
    let pack = r#"subjects:
  namespaces: {selector: {matchExpressions: [{key: zone, operator: Exists}, {key: zone, operator: NotIn, values: ["true"]}]}}
  pods: {matchExpressions: [{key: role, operator: In, values: [agent, crawler]}, {key: role, operator: NotIn, values: [agent]}, {key: role, operator: Exists}]}
images: [{match: ["registry.example.org/**"]}]"#;
    let happened =
        happened(pack, json!({"image": {"reference": "other.example.org/a:1"}})).expect("it happens");
    assert_eq!((happened.governed, happened.allowed), (Some(true), false));
}
