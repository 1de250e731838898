//! Faults of the text and faults of what fields mean are found in one run, and nothing is said that only follows from a fault.

use bailiwick_compiler::{Bindings, compile};

use super::*;

const MATCH: &str =
    "match: {resources: [{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}";

/// Codes and fields of the errors.
fn errors(case: &Case) -> Vec<String> {
    let compiled = compile(&[(&case.sources, Bindings::default())], &case.library);
    assert!(compiled.policy.is_none(), "a faulty pack was compiled");
    let error = |found: &Diagnostic| {
        assert!(found.place.is_some(), "no place: {found}");
        format!("{} {}", found.code.id(), found.at)
    };
    compiled.all().map(error).collect()
}

#[test]
fn a_misspelt_field_and_an_expression_without_a_boolean() {
    let rules = format!(
        "  admission:\n    rules:\n    - {{name: a, podTemplate: true, {MATCH}, validations: [{{expression: \"1\"}}]}}\n    \
         - {{name: b, {MATCH}, validations: [{{expression: \"2 +\"}}]}}\n"
    );
    assert_eq!(
        errors(&Case::of(pack(&rules))),
        [
            "BW0104 spec.admission.rules[0].podTemplate",
            "BW0304 spec.admission.rules[0].validations[0].expression",
            "BW0301 spec.admission.rules[1].validations[0].expression"
        ]
    );
}

#[test]
fn what_stands_before_a_faulty_element_keeps_its_place() {
    let rules = format!(
        "  admission:\n    rules:\n    - {{name: a, {MATCH}, validations: [{{expression: \"1\"}}]}}\n    - {{{MATCH}}}\n  isolation: 1\n"
    );
    let found = errors(&Case::of(pack(&rules)));
    assert!(
        found.contains(&"BW0304 spec.admission.rules[0].validations[0].expression".to_owned()),
        "{found:?}"
    );
    assert!(found.contains(&"BW0108 spec.admission.rules[1]".to_owned()), "{found:?}");
    assert!(found.contains(&"BW0107 spec.isolation".to_owned()), "{found:?}");
}

#[test]
fn what_follows_from_a_fault_is_not_said() {
    // The misspelt declarations of a variable, a parameter, a sandbox and a pool are missed by those who name them.
    let sections = format!(
        "  parametres: [{{name: most, type: int, default: 1}}]\n  sandboxs: []\n  admission:\n    rules:\n    \
         - {{name: a, variabels: [], {MATCH}, validations: [{{expression: \"variables.x > params.most\"}}]}}\n"
    );
    assert_eq!(
        errors(&Case::of(pack(&sections))),
        ["BW0104 spec.parametres", "BW0104 spec.sandboxs", "BW0104 spec.admission.rules[0].variabels"]
    );
}

#[test]
fn a_parameter_without_a_value_is_no_value() {
    let rules = format!(
        "  images: [{{match: [\"${{nope}}\"], effect: Allow}}]\n  admission:\n    rules:\n    - {{name: a, {MATCH}, validations: \
         [{{expression: \"1\"}}]}}\n"
    );
    let found = errors(&Case::of(pack(&rules)));
    assert!(found.iter().any(|one| one.starts_with("BW0202 spec.images[0].match")), "{found:?}");
    // Not that `${nope}` is no pattern; and the other fault of the pack is still found.
    assert!(!found.iter().any(|one| one.starts_with("BW0224")), "{found:?}");
    assert!(found.iter().any(|one| one.starts_with("BW0304 spec.admission.rules[0]")), "{found:?}");
}

#[test]
fn a_lock_that_is_missing_is_found_beside_a_misspelt_field() {
    let child = "  extends: [{name: base, version: ^1.0}]\n  netwrok: {}\n";
    let case = Case::of(pack(child)).with_library(&[&named("base", "1.0.0", "  isolation: {}\n")]);
    assert_eq!(errors(&case), ["BW0104 spec.netwrok", "BW0209 spec.extends"]);
    // Where the fault is in what names the parents, nothing is said about them.
    let child = "  extends: [{name: base, version: ^1.0, versoin: 1}]\n";
    let case = Case::of(pack(child)).with_library(&[&named("base", "1.0.0", "  isolation: {}\n")]);
    assert_eq!(errors(&case), ["BW0104 spec.extends[0].versoin"]);
}
