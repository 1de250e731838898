//! What a new author gets wrong: each is answered with what to write instead.

use crate::stage::{PACK, Stage, printed};

/// Runs the program, which ends with this code and says this.
fn says(stage: &Stage, args: &[&str], code: i32, expected: &str) {
    let output = stage.run(args);
    let said = printed(&output);
    assert!(
        output.status.code() == Some(code) && said.contains(expected),
        "{args:?}: {:?}\n{said}",
        output.status
    );
}

#[test]
fn a_pack_file_next_to_its_lock_stands_for_its_folder() {
    let stage = Stage::new();
    let file = format!("{PACK}/pack.yaml");
    says(&stage, &["check", &file], 0, &format!("{file}: ok"));
    says(&stage, &["diff", &file, PACK], 0, "0 widened, 0 changed, 0 narrowed");
    // Without a lock it is a pack by itself, whatever lies next to it.
    stage.write("alone/pack.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: a-1.0.0}\nspec: {pack: a, version: 1.0.0, audit: {}}\n");
    stage.write("alone/other.yaml", "kind: ConfigMap\n");
    says(&stage, &["check", "alone/pack.yaml"], 0, "alone/pack.yaml: ok");
}

#[test]
fn a_file_of_tests_is_no_pack() {
    let stage = Stage::new();
    let expected = format!("name the folder of its pack: `bailiwick test {PACK}`");
    says(&stage, &["test", &format!("{PACK}/tests/tools.yaml")], 1, &expected);
}

#[test]
fn what_fails_apart_from_cases_is_counted() {
    let stage = Stage::new();
    let case = "{name: a, toolCall: {tool: nope}, expect: {effect: Deny}}";
    let test = format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: a}}\nspec: {{cases: [{case}]}}\n"
    );
    stage.write(&format!("{PACK}/tests/zz.yaml"), &test);
    says(&stage, &["test", PACK], 5, " 0 failed, 1 file vacuous\n");
    std::fs::remove_dir_all(stage.path(&format!("{PACK}/tests"))).expect("the tests");
    says(&stage, &["test", PACK], 3, "0 passed, 0 failed, 1 pack not tested\n");
}

/// It would look like one that passes.
#[test]
fn a_test_that_lies_where_none_is_read_is_an_error() {
    for name in ["sub/deep/x.yaml", "sub/x.YML", "x.YAML"] {
        let stage = Stage::new();
        let tests = format!("{PACK}/tests");
        std::fs::create_dir_all(stage.path(&format!("{tests}/sub/deep"))).expect("a folder");
        std::fs::rename(stage.path(&format!("{tests}/tools.yaml")), stage.path(&format!("{tests}/{name}")))
            .expect("the file moves");
        says(&stage, &["test", PACK], 3, &format!("{tests}/{name}:"));
        says(&stage, &["test", PACK], 3, "move it to the folder `tests/`, under a name that ends in `.yaml`");
    }
    // Objects that cases refer to, and what is not YAML at all.
    let stage = Stage::new();
    stage.write(&format!("{PACK}/tests/pods/other.YAML"), "kind: Pod\n# no PolicyTest\n");
    stage.write(&format!("{PACK}/tests/pods/notes.txt"), "kind: PolicyTest\n");
    stage.write(&format!("{PACK}/tests/pods/broken.yaml"), "kind: [\n");
    says(&stage, &["test", PACK], 0, " 0 failed\n");
    let linked = stage.shell(&format!("cd {PACK}/tests && ln -s .. pods/up && mkdir ../../more && mv tools.yaml ../../more/ && ln -s ../../more more"));
    assert!(linked.status.success(), "{}", printed(&linked));
    says(&stage, &["test", PACK], 3, "tests/more/tools.yaml:");
}

#[test]
fn a_pack_is_begun_in_the_folder_where_one_is() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("policy-packs/mine")).expect("a folder");
    let made = stage.shell("cd policy-packs/mine && bailiwick init . --extends restricted-agent");
    assert!(made.status.success(), "{}", printed(&made));
    says(&stage, &["check", "policy-packs/mine"], 0, "policy-packs/mine: ok");
}

#[test]
fn a_misspelt_name_is_answered_with_the_one_that_was_meant() {
    let stage = Stage::new();
    says(&stage, &["explain", "memory-limit", PACK], 1, "(did you mean `memory-limits`?)");
    says(
        &stage,
        &["explain", "--call", "{tool: shell.exce, args: {command: ls}}", PACK],
        4,
        "did you mean `shell.exec`?",
    );
    says(
        &stage,
        &["explain", "--call", "{tool: shell.exec, arg: {command: ls}}", PACK],
        1,
        "unknown field `arg`; did you mean `args`?",
    );
    says(
        &stage,
        &["explain", "--call", "{tool: shell.exec, args: {}, result: {stdout: 1}}", PACK],
        1,
        "`result.stdout`: expected a string, found an integer",
    );
}

#[test]
fn packs_are_explained_with_values_for_their_parameters() {
    let stage = Stage::new();
    stage.write(
        "p/pack.yaml",
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: p-1.0.0}\nspec:\n  pack: p\n  version: 1.0.0\n  \
         parameters: [{name: folder, type: string, bindable: true}]\n  tools:\n    rules:\n    \
         - {name: read, tools: [workspace.read], when: \"call.args.path.startsWith(params.folder)\", allow: {}}\n",
    );
    let call = "{tool: workspace.read, args: {path: notes/a}}";
    says(&stage, &["explain", "--call", call, "p"], 3, "BW0206");
    says(&stage, &["explain", "--call", call, "--set", "folder=notes/", "p"], 0, "allowed");
    says(&stage, &["explain", "--call", call, "--set", "folder=mail/", "p"], 4, "denied");
    says(&stage, &["explain", "--effective", "--set", "folder=notes/", "p"], 0, "tools/p/rules/read");
    says(&stage, &["explain", "--effective", "--set", "q.folder=notes/", "p"], 1, "no pack `q` is here");
}

#[test]
fn an_import_takes_no_name_that_a_pack_cannot_have() {
    let stage = Stage::empty();
    stage.write("s.json", r#"{"permissions": {"deny": ["Bash(git push:*)"]}}"#);
    says(&stage, &["import", "--name", "My Agent", "s.json"], 2, "`My Agent` cannot be the name of a pack");
    says(&stage, &["import", "--name", "my-agent", "s.json"], 0, "pack: my-agent");
}
