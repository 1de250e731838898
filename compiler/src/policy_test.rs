//! The tests of a pack: read and checked like a pack, with the same messages.
//!
//! They are not run here: the caller that runs them has the files with the objects that they name. A case
//! that needs an unimplemented feature is rejected, since a test that cannot run would look like one that
//! passed.

mod inert;

pub use bailiwick_crds::policy_test::{
    AdmissionCase, CaseAnswer, CaseNamespace, CaseOperation, CasePeer, CaseResult, CaseServiceAccount,
    CaseSession, CaseSubject, CaseUser, ConnectionCase, Delivered, Effect, Evidence, EvidenceSignature,
    Expectation, ExpectedLabels, FileAccess, FilesystemCase, ImageCase, PeerNamespace, PolicyTest,
    PolicyTestSpec, PriorCall, SyscallAction, SyscallCase, TestCase, ToolCallCase,
};

use serde_json::Value as Json;

use crate::check::{bw0107_wrong_type, bw0108_missing_field, bw0114_wrong_document, bw0507_image_evidence};
use crate::diagnostic::{Diagnostic, FieldPath, Severity};
use crate::schema_check;
use crate::source::SourceFile;
use crate::yaml::{Limits, Node, SourceMap};

/// Reads the PolicyTests of some files, each with the name of its file, in the order of the files.
#[must_use]
pub fn read(files: &[SourceFile]) -> (Vec<(String, PolicyTest)>, Vec<Diagnostic>) {
    let (mut tests, mut diagnostics) = (Vec::new(), Vec::new());
    for file in files {
        let (documents, found) = SourceMap::read(&file.name, &file.bytes, &Limits::MANIFESTS);
        diagnostics.extend(found);
        for map in documents {
            let mut found = Vec::new();
            if let Some(test) = one(&map, &schema_check::POLICY_TEST, &mut found) {
                tests.push((file.name.clone(), test));
            }
            found.iter_mut().for_each(|diagnostic| map.locate(diagnostic));
            diagnostics.append(&mut found);
        }
    }
    (tests, diagnostics)
}

/// Refuses the PolicyTests among files that [`read`] is not given: below `tests/` in folders of their own, or
/// under another extension. A test that is never run would look like one that passes. Objects that cases refer to
/// may lie there. A file that cannot be parsed counts as a test if it has the word in it.
#[must_use]
pub fn astray(files: &[SourceFile]) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for file in files.iter().filter(|file| file.bytes.windows(KIND.len()).any(|word| word == KIND.as_bytes()))
    {
        let (documents, unread) = SourceMap::read(&file.name, &file.bytes, &Limits::MANIFESTS);
        for map in &documents {
            let is_test = |node: &Node| node.get("kind").and_then(Node::as_str) == Some(KIND);
            let listed = map.root().get("items").into_iter().flat_map(Node::items);
            if is_test(map.root()) || listed.into_iter().any(is_test) {
                let at = FieldPath::root().member("kind");
                let message =
                    format!("this {KIND} is not run: it is not a `.yaml` or `.yml` file in `tests/` itself");
                let mut found = Diagnostic::new(bw0114_wrong_document::CODE, at, message).with_help(TO_TESTS);
                map.locate(&mut found);
                diagnostics.push(found);
            }
        }
        diagnostics.extend(unread.into_iter().filter(|found| found.severity == Severity::Error));
    }
    diagnostics
}

/// What to do about a test that is not run.
const TO_TESTS: &str = "move it to the folder `tests/`, under a name that ends in `.yaml` or `.yml`";

/// The kind of a test.
const KIND: &str = "PolicyTest";

fn one(map: &SourceMap, schema: &Json, found: &mut Vec<Diagnostic>) -> Option<PolicyTest> {
    let root = map.root();
    for (field, expected) in [("apiVersion", bailiwick_crds::API_VERSION), ("kind", KIND)] {
        if root.get(field).and_then(Node::as_str) != Some(expected) {
            let at = FieldPath::root().member(field);
            found.push(
                Diagnostic::new(bw0114_wrong_document::CODE, at, format!("expected {field} `{expected}`"))
                    .with_help(
                        "the YAML files in `tests/` are PolicyTests; keep manifests in a folder within it",
                    ),
            );
            return None;
        }
    }
    found.extend(schema_check::check(root, schema, &FieldPath::root()));
    if !found.is_empty() {
        return None;
    }
    match serde_json::from_value::<PolicyTest>(root.to_json()) {
        Ok(test) => {
            for (index, case) in test.spec.cases.iter().enumerate() {
                let at = FieldPath::spec().member("cases").index(index);
                refuse_unbuilt(case, &at, found);
                refuse_empty(case, &at, found);
                inert::refuse(case, &at, found);
            }
            Some(test)
        }
        // The schema is made from these types; an error that it missed is reported all the same.
        Err(error) => {
            found.push(Diagnostic::new(bw0107_wrong_type::CODE, FieldPath::root(), error.to_string()));
            None
        }
    }
}

/// A PEM public key in the form that facts about images use; `None` if it cannot sign images.
#[must_use]
pub fn signing_key(pem: &str) -> Option<String> {
    crate::lower::image_key(pem)
}

fn refuse_unbuilt(case: &TestCase, at: &FieldPath, found: &mut Vec<Diagnostic>) {
    let evidence = case.image.as_ref().and_then(|image| image.evidence.as_ref());
    if evidence.is_some_and(|evidence| !evidence.attestations.is_empty()) {
        let at = at.member("image").member("evidence").member("attestations");
        let message = "attestations of an image cannot be tested yet";
        let help = "take the case out until then; a case that cannot run would look like one that passed";
        found.push(Diagnostic::new(bw0507_image_evidence::CODE, at, message).with_help(help));
    }
}

/// Rejects a case without an expectation, since it would pass whatever happens.
fn refuse_empty(case: &TestCase, at: &FieldPath, found: &mut Vec<Diagnostic>) {
    if case.expect == Expectation::default() {
        let help = "say what is to come of it, for example `allowed: false` with the `rule` that decides";
        let message = "the case expects nothing, so it cannot fail";
        found.push(Diagnostic::new(bw0108_missing_field::CODE, at.member("expect"), message).with_help(help));
    }
    let expected = at.member("expect");
    if case.expect.labels.as_ref().is_some_and(|labels| labels.added.is_none() && labels.removed.is_none()) {
        let help = "say which are `added` or `removed`; `[]` if none is to be";
        let message = "the case expects nothing of labels, so this cannot fail";
        found.push(
            Diagnostic::new(bw0108_missing_field::CODE, expected.member("labels"), message).with_help(help),
        );
    }
    // A path that cannot be parsed leads nowhere, so the field would always be absent.
    for (index, field) in case.expect.fields.iter().enumerate() {
        if let Err(error) = field.field.parse::<FieldPath>() {
            let at = expected.member("fields").index(index).member("field");
            let message = error.to_string();
            let help = "write it as `spec.containers[0].image`";
            found.push(Diagnostic::new(bw0107_wrong_type::CODE, at, message).with_help(help));
        }
    }
}

/// What is said of a file with these cases.
#[cfg(test)]
fn found(cases: &str) -> Vec<String> {
    let text = format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: t}}\nspec:\n  cases:\n{cases}"
    );
    let (_, diagnostics) = read(&[SourceFile::new("tests/t.yaml", text)]);
    diagnostics.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_of_a_case_is_found() {
        let said = found("  - {name: a, admision: {object: {}}, expect: {allowed: true}}\n");
        assert!(said.iter().any(|line| line.contains("BW0104") && line.contains("admision")), "{said:?}");
    }

    #[test]
    fn a_case_that_cannot_run_yet_is_refused() {
        let said = found(
            "  - {name: a, image: {reference: x, evidence: {attestations: [{predicateType: x}]}}, expect: {allowed: false}}\n",
        );
        assert!(said.iter().any(|line| line.contains("BW0507")), "{said:?}");
    }

    #[test]
    fn a_case_that_expects_nothing_is_refused() {
        let said = found("  - {name: a, admission: {object: {}}, expect: {}}\n");
        assert!(said.iter().any(|line| line.contains("BW0108") && line.contains("cannot fail")), "{said:?}");
    }

    #[test]
    fn an_expectation_that_nothing_can_disappoint_is_refused() {
        let said = found("  - {name: a, toolCall: {tool: x}, expect: {labels: {}}}\n");
        assert!(
            said.iter().any(|line| line.contains("BW0108") && line.contains("nothing of labels")),
            "{said:?}"
        );
        let said = found("  - {name: a, toolCall: {tool: x}, expect: {labels: {added: []}}}\n");
        assert!(said.is_empty(), "{said:?}");
        let said = found("  - {name: a, admission: {object: {}}, expect: {fields: [{field: 'spec.a[x'}]}}\n");
        assert!(
            said.iter().any(|line| line.contains("BW0107") && line.contains("not a field path")),
            "{said:?}"
        );
    }

    #[test]
    fn another_document_is_refused() {
        let (tests, diagnostics) = read(&[SourceFile::new("tests/pod.yaml", "apiVersion: v1\nkind: Pod\n")]);
        assert!(tests.is_empty() && diagnostics.len() == 1);
    }

    /// Objects that cases refer to are no tests, whatever they say.
    #[test]
    fn a_test_that_is_not_read_is_found_among_other_objects() {
        let said = |text: &str| {
            let found = astray(&[SourceFile::new("tests/sub/x.yaml", text)]);
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let list = "kind: List\nitems:\n- kind: Pod\n- kind: PolicyTest\n";
        for text in ["kind: PolicyTest\n", "kind: Pod\n---\n{kind: \"PolicyTest\"}\n", list] {
            let said = said(text);
            assert!(
                said.len() == 1 && said[0].contains("BW0114") && said[0].contains("is not run"),
                "{said:?}"
            );
        }
        assert!(said("kind: PolicyTest\nspec: [\n")[0].contains("BW0101"));
        for text in ["kind: Pod\n# as in the PolicyTest\n", "kind: Pod\nspec: [\n", "- PolicyTest\n", ""] {
            assert!(said(text).is_empty(), "{text}: {:?}", said(text));
        }
    }

    /// The list of the executor's documented interface, which `conformance` compares with a running one.
    #[test]
    fn calls_end_as_the_interface_of_the_executor_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/executor-api.json");
        let api: Json = serde_json::from_slice(&std::fs::read(path).expect("the interface")).expect("JSON");
        let kinds = api.pointer("/components/schemas/Outcome/properties/kind/enum").expect("the outcomes");
        assert_eq!(kinds, &Json::from(bailiwick_policy::tool::CallResult::OUTCOMES.to_vec()));
    }
}
