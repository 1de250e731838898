//! Signed images on the command line: cases with evidence, and a review without evidence.

use crate::stage::{Stage, printed};

const KEY: &str = "-----BEGIN PUBLIC KEY-----MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=-----END PUBLIC KEY-----";
const PINNED: &str =
    "registry.example.org/a@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn stage() -> Stage {
    let stage = Stage::new();
    stage.write(
        "signed/pack.yaml",
        &format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: signed-1.0.0}}\nspec:\n  pack: signed\n  version: 1.0.0\n  \
             subjects: {{namespaces: {{selector: {{matchLabels: {{zone: agents}}}}}}, unmatched: Deny}}\n  images:\n  \
             - {{match: ['registry.example.org/**'], digest: Resolve, require: [{{signature: {{identity: {{publicKey: '{KEY}'}}}}}}, \
             {{signature: {{identity: {{issuer: 'https://issuer.example.org', subject: release}}}}}}]}}\n"
        ),
    );
    stage
}

fn case(name: &str, reference: &str, evidence: &str, allowed: bool) -> String {
    format!(
        "  - {{name: {name}, image: {{reference: '{reference}'{evidence}}}, expect: {{allowed: {allowed}}}}}\n"
    )
}

#[test]
fn a_case_decides_by_the_evidence_that_it_writes() {
    let key = format!("{{publicKey: '{KEY}'}}");
    let identity = "{issuer: 'https://issuer.example.org', subject: release}";
    let evidence =
        |digest: &str, signatures: &str| format!(", evidence: {{{digest}signatures: [{signatures}]}}");
    let both = format!("{key}, {identity}");
    let digest = format!("digest: '{DIGEST}', ");
    let cases = [
        case("both", PINNED, &evidence("", &both), true),
        case("by tag", "registry.example.org/a:1", &evidence(&digest, &both), true),
        case("a tag that nobody resolves", "registry.example.org/a:1", &evidence("", &both), false),
        case("the key alone", PINNED, &evidence("", &key), false),
        case("the identity alone", PINNED, &evidence("", identity), false),
        case(
            "another subject",
            PINNED,
            &evidence("", &format!("{key}, {}", identity.replace("release", "other"))),
            false,
        ),
        case("nothing", PINNED, ", evidence: {}", false),
        case("nothing known", PINNED, "", false),
    ];
    let stage = stage();
    let head = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec:\n  cases:\n";
    stage.write("signed/tests/t.yaml", &(head.to_owned() + &cases.concat()));
    let output = stage.run(&["test", "signed"]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    // Each case would fail if it expected the other outcome.
    for index in 0..cases.len() {
        let mut turned = cases.clone();
        turned[index] = if turned[index].contains("allowed: true") {
            turned[index].replace("allowed: true", "allowed: false")
        } else {
            turned[index].replace("allowed: false", "allowed: true")
        };
        stage.write("signed/tests/t.yaml", &(head.to_owned() + &turned.concat()));
        assert_eq!(stage.run(&["test", "signed"]).status.code(), Some(5), "{}", turned[index]);
    }
}

#[test]
fn a_review_without_evidence_denies_and_says_so() {
    let stage = stage();
    stage.write(
        "namespaces.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {zone: agents}}}\n",
    );
    stage.write(
        "pod.yaml",
        &format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: agents}}, spec: {{containers: [{{name: a, image: '{PINNED}'}}]}}}}\n"
        ),
    );
    let output = stage.run(&["review", "signed", "--namespaces", "namespaces.yaml", "-f", "pod.yaml"]);
    assert_eq!(output.status.code(), Some(4), "{}", printed(&output));
    assert!(printed(&output).contains("nothing was fetched about it"), "{}", printed(&output));
}
