//! Packs with rules in Rego: how a faulty module is reported, which tests prove nothing, and that a rule that
//! does not terminate denies.

use crate::hostile::BOUNDED;
use crate::stage::{Stage, printed};

const HEAD: &str = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec:\n  pack: x\n  version: 1.0.0\n  subjects: {namespaces: {selector: {matchLabels: {team: research}}}}\n  admission:\n    rules:\n    - name: r\n      match: {resources: [{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE, UPDATE]}]}\n      rego: {file: images.rego, rule: data.images.deny}\n";

fn pack(stage: &Stage, module: &str) {
    stage.write("x/pack.yaml", HEAD);
    stage.write("x/rego/images.rego", module);
}

#[test]
fn a_fault_is_drawn_where_it_stands_in_the_module() {
    let stage = Stage::new();
    pack(&stage, "package images\n\ndeny contains \"x\" if {\n  input.obect.spec\n}\n");
    let output = stage.run(&["check", "x"]);
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for line in [
        "error[BW0310]: `input` has no member `obect`",
        "--> x/rego/images.rego:4:3",
        "|   ^^^^^^^^^^^^^^^^ spec.admission.rules[0].rego.file",
        "help: did you mean `object`?",
    ] {
        assert!(said.contains(line), "`{line}` is not in\n{said}");
    }
    pack(&stage, "package images\n\ndeny contains \"x\" if {\n  input.object =\n}\n");
    let said = printed(&stage.run(&["check", "x"]));
    assert!(said.contains("error[BW0307]") && said.contains("--> x/rego/images.rego:4:16"), "{said}");
    std::fs::remove_file(stage.path("x/rego/images.rego")).expect("the module");
    let said = printed(&stage.run(&["check", "x"]));
    assert!(said.contains("error[BW0312]") && said.contains("--> x/pack.yaml:12:20"), "{said}");
}

/// The module is part of the pack: the pack's digest covers it.
#[test]
fn no_parameter_says_which_module_it_is() {
    let stage = Stage::new();
    pack(&stage, "package images\n\ndeny contains \"x\" if {\n  input.object.spec.hostNetwork\n}\n");
    let parameter = "  parameters: [{name: module, type: string, default: images.rego}]\n  subjects:";
    let text = HEAD.replace("  subjects:", parameter).replace("file: images.rego", "file: \"${module}\"");
    stage.write("x/pack.yaml", &text);
    let output = stage.run(&["check", "x"]);
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("error[BW0213]: parameter `module` stands for a module or its name"), "{said}");
}

#[test]
fn hostile_modules_end_with_their_place() {
    let stage = Stage::new();
    for (module, expected) in [
        ("#".repeat(1 << 20), "BW0308"),
        ("# a\n".repeat(1 << 18), "BW0308"),
        (format!("package images\ndeny contains \"x\" if {}", "[".repeat(900)), "BW0308"),
        (format!("package images\ndeny contains \"x\" if {}1", "-\n".repeat(20_000)), "BW0308"),
        (format!("package images\ndeny contains \"x\" if 1{}", "+\n1".repeat(20_000)), "BW0308"),
        ("\u{0}".repeat(60_000), "BW0308"),
        ("\u{0}".repeat(900), "BW0307"),
    ] {
        pack(&stage, &module);
        let output = stage.shell(&format!("{BOUNDED}; timeout 600 bailiwick check x"));
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(expected) && said.contains("x/rego/images.rego:"), "{said}");
    }
}

#[test]
fn tests_that_prove_nothing_of_a_rule_in_rego_fail() {
    let stage = Stage::new();
    pack(&stage, "package images\ndeny contains \"named bad\" if input.object.metadata.name == \"bad\"\n");
    let cases = |name: &str, allowed: bool| {
        format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: a}}\nspec:\n  cases:\n  - name: a\n    admission: {{object: {{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: i}}]}}}}}}\n    expect: {{allowed: {allowed}}}\n"
        )
    };
    stage.write("x/tests/a.yaml", &cases("bad", false));
    let said = printed(&stage.run(&["test", "x"]));
    assert!(!said.contains("vacuous"), "{said}");
    // Allowed with the rule and without it.
    stage.write("x/tests/a.yaml", &cases("good", true));
    let output = stage.run(&["test", "x"]);
    let said = printed(&output);
    assert!(!output.status.success() && said.contains("vacuous"), "{said}");
}

#[test]
fn a_rule_that_does_not_end_refuses() {
    let stage = Stage::new();
    let list: Vec<String> = (0..120).map(|n| n.to_string()).collect();
    pack(
        &stage,
        &format!(
            "package images\nall := [{}]\ndeny contains \"x\" if {{\n  some a in all\n  some b in all\n  some c in all\n  some d in all\n  a + b + c + d < 0\n}}\n",
            list.join(",\n")
        ),
    );
    let review = "bailiwick review x --namespaces docs/guide/rego/tests/pods/namespaces.yaml -f docs/guide/rego/tests/pods/trial.yaml";
    let output = stage.shell(review);
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("cannot be evaluated: it takes more than 200000 steps"), "{said}");
    assert!(said.contains("make the rule cheaper in its pack"), "{said}");
    pack(
        &stage,
        "package images\ndeny contains \"x\" if 1 / (count(input.object.spec.containers) - 1) > 0\n",
    );
    let said = printed(&stage.shell(review));
    assert!(said.contains("cannot be evaluated: line 2 of its Rego: divide by zero"), "{said}");
}

#[test]
fn the_object_and_the_folder_are_one_pack() {
    let stage = Stage::new();
    pack(&stage, "package images\ndeny contains \"x\" if input.object.spec.hostNetwork\n");
    let line = "bailiwick compile x --out folder && mkdir y && bailiwick compile --as-resource x > y/pack.yaml && bailiwick compile y --out object && cmp folder/*/bundle.json object/*/bundle.json";
    let output = stage.shell(line);
    assert!(output.status.success(), "{}", printed(&output));
    // The module counts: a pack with another module is another pack.
    pack(&stage, "package images\ndeny contains \"x\" if input.object.spec.hostPID\n");
    let output = stage.shell("bailiwick compile x --out other && ! cmp -s folder/*/bundle.json other/*/bundle.json && grep -o '\"digest\":\"[0-9a-f]*\"' folder/*/bundle.json other/*/bundle.json | sed 's/.*digest/digest/' | sort -u | wc -l");
    assert!(printed(&output).contains('2'), "{}", printed(&output));
}
