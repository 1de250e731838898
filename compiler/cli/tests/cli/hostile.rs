//! Invalid packs: each gets an error with its place and a remedy, in bounded time, and never ends the program
//! by a signal.

use crate::stage::{Stage, printed};

/// Processor seconds and KiB of address space, not wall time: a busy machine is not the pack's fault. The allocator is
/// told to reserve nothing ahead, so that address space is memory: 323 MB with stacks and arenas for these texts, 421 MB for
/// ten thousand rules. The limit is more than twice that; a program that wants more is aborted, and the test fails.
pub(crate) const BOUNDED: &str = "export MIMALLOC_ARENA_RESERVE=0; ulimit -v 1000000 -t 120";

/// Runs `check` on this text; returns the output.
fn refused(stage: &Stage, text: &[u8], expected: &str) {
    std::fs::write(stage.path("pack.yaml"), text).expect("the pack");
    let output = stage.shell(&format!("{BOUNDED}; timeout 600 bailiwick check pack.yaml"));
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(expected), "expected `{expected}` in\n{said}");
    assert!(said.contains(" pack.yaml:"), "no place in\n{said}");
    assert!(said.contains("= help: "), "no help in\n{said}");
}

fn pack(spec: &str) -> String {
    format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: x-1.0.0}}\nspec:\n  pack: x\n  version: 1.0.0\n{spec}"
    )
}

fn rule(expression: &str) -> String {
    pack(&format!(
        "  admission:\n    rules:\n    - name: r\n      match: {{resources: [{{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], \
         operations: [CREATE]}}]}}\n      validations:\n      - expression: {}\n",
        serde_json::Value::from(expression)
    ))
}

#[test]
fn text_that_is_no_pack() {
    let stage = Stage::new();
    refused(&stage, b"spec: [", "BW0101");
    refused(&stage, b"\xff\xfe", "BW0105");
    refused(&stage, b"spec: {}\nkind: \xff\n", " pack.yaml:2:7");
    refused(&stage, b"a: 1\na: 2\n", "BW0102");
    refused(&stage, "[".repeat(100_000).as_bytes(), "error[BW01");
    refused(&stage, &vec![b'#'; 5 << 20], "BW0103");
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for depth in 1..40 {
        bomb.push_str(&format!("a{depth}: &a{depth} [*a{0}, *a{0}, *a{0}, *a{0}]\n", depth - 1));
    }
    refused(&stage, bomb.as_bytes(), "error[BW01");
    refused(&stage, pack("  version: [1]\n").as_bytes(), "BW0102");
    refused(&stage, pack("  description: [1]\n").as_bytes(), "BW0107");
}

#[test]
fn expressions_that_crash_parsers() {
    let stage = Stage::new();
    refused(&stage, rule(&format!("{}1{}", "(".repeat(3000), ")".repeat(3000))).as_bytes(), "BW0302");
    refused(&stage, rule(&format!("object{}", ".a".repeat(6000))).as_bytes(), "BW0302");
    refused(&stage, rule(&format!("{}true", "!".repeat(10_000))).as_bytes(), "BW0302");
    refused(&stage, rule("object.metadata.name.matches('(((a{1000}){1000}){1000})')").as_bytes(), "BW03");
    refused(&stage, rule("object.metadata.nam == 'a'").as_bytes(), "BW03");
    refused(&stage, rule("1 +").as_bytes(), "BW0301");
}

#[test]
fn ten_thousand_rules_compile() {
    let stage = Stage::new();
    let mut text = pack("  admission:\n    rules:\n");
    for number in 0..10_000 {
        text.push_str(&format!(
            "    - {{name: r{number}, match: {{resources: [{{apiGroups: [\"\"], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}}]}}, \
             validations: [{{expression: \"object.metadata.name != 'n{number}'\"}}]}}\n"
        ));
    }
    std::fs::write(stage.path("pack.yaml"), text).expect("the pack");
    let output = stage.shell(&format!("{BOUNDED}; timeout 1200 bailiwick check pack.yaml"));
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    // Such a limit bites: the same rules are more than this one leaves.
    let output = stage
        .shell("export MIMALLOC_ARENA_RESERVE=0; ulimit -v 150000; timeout 1200 bailiwick check pack.yaml");
    assert_ne!(output.status.code(), Some(0), "{}", printed(&output));
}

#[test]
fn a_bundle_with_a_changed_byte_or_a_newer_format_is_refused() {
    let stage = Stage::new();
    let compiled = stage.run(&["compile", "policy-packs/code-interpreter", "--out", "dist"]);
    assert!(compiled.status.success());
    let review = |change: &str| {
        let line = format!(
            "{change} dist/*/bundle.json > b.json; bailiwick review b.json -f policy-packs/code-interpreter/tests/pods/good.yaml"
        );
        let output = stage.shell(&line);
        (output.status.code(), printed(&output))
    };
    let (code, said) = review("sed 's/\"formatVersion\":[0-9]*/\"formatVersion\":99/'");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("format"), "{said}");
    let (code, said) = review("sed 's/{/{ /'");
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = review("head -c 500");
    assert_eq!(code, Some(1), "{said}");
    // One digit of a number, so that another valid policy results: the list next to it shows the change.
    let weaken = r#"sed -i 's/"minor":36/"minor":16/' dist/*/bundle.json"#;
    let output = stage.shell(&format!(
        "{weaken}; bailiwick review dist/*/bundle.json -f policy-packs/code-interpreter/tests/pods/good.yaml; echo \"exit $?\"; \
         cp dist/*/bundle.json alone.json; bailiwick review alone.json -f policy-packs/code-interpreter/tests/pods/good.yaml"
    ));
    let said = printed(&output);
    assert!(
        said.contains("its bytes were changed; compile the packs anew") && said.contains("exit 1"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(4), "alone it is a bundle like any other: {said}");
}
