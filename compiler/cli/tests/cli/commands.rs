//! What the commands promise: exit codes, help with an example, forwarding, artifacts that are the same each time.

use crate::stage::{Stage, printed, root};

const PACK: &str = "policy-packs/code-interpreter";

fn code(stage: &Stage, args: &[&str]) -> Option<i32> {
    stage.run(args).status.code()
}

#[test]
fn help_of_each_command_shows_an_example() {
    let stage = Stage::new();
    for command in ["check", "compile", "test", "explain", "review"] {
        let help = printed(&stage.run(&[command, "--help"]));
        assert!(help.contains(&format!("Example:\n  bailiwick {command} ")), "{help}");
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let stage = Stage::new();
    stage.write(
        "typo/pack.yaml",
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec: {pak: x}\n",
    );
    assert_eq!(code(&stage, &["check", PACK]), Some(0));
    assert_eq!(code(&stage, &["check", "nowhere"]), Some(1));
    assert_eq!(code(&stage, &["check"]), Some(2));
    assert_eq!(code(&stage, &["check", "typo"]), Some(3));
    let namespaces = "policy-packs/code-interpreter/tests/cluster/namespaces.yaml";
    let review = |pod: &str| {
        code(&stage, &["review", PACK, "--namespaces", namespaces, "-f", &format!("{PACK}/tests/pods/{pod}")])
    };
    assert_eq!(review("good.yaml"), Some(0));
    assert_eq!(review("privileged.yaml"), Some(4));
    stage.write(
        &format!("{PACK}/tests/wrong.yaml"),
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: w}\nspec:\n  cases:\n  \
         - {name: w, admission: {object: {file: pods/privileged.yaml}}, expect: {allowed: true}}\n",
    );
    assert_eq!(code(&stage, &["test", PACK]), Some(5));
}

#[test]
fn a_vacuous_file_of_tests_fails() {
    let stage = Stage::new();
    stage.write(
        &format!("{PACK}/tests/vacuous.yaml"),
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: v}\nspec:\n  cases:\n  \
         - {name: a config map, admission: {object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}, namespace: {name: other}}, \
         expect: {allowed: true}}\n",
    );
    let output = stage.run(&["test", PACK]);
    assert_eq!(output.status.code(), Some(5));
    assert!(printed(&output).contains("vacuous"), "{}", printed(&output));
}

#[test]
fn another_name_is_forwarded_with_its_exit_code() {
    let stage = Stage::new();
    stage.write("bin/bailiwick-hello", "#!/bin/sh\necho \"hello $1\"; exit 7\n");
    let output = stage.shell("chmod +x bin/bailiwick-hello; PATH=$PWD/bin:$PATH bailiwick hello you");
    assert_eq!((output.status.code(), printed(&output).as_str()), (Some(7), "hello you\n"));
    let output = stage.run(&["no-such-command"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("no command `no-such-command`"));
}

#[test]
fn compiling_twice_gives_the_same_bytes_and_check_finds_drift() {
    let stage = Stage::new();
    for out in ["one", "two"] {
        assert_eq!(code(&stage, &["compile", PACK, "--out", out]), Some(0));
    }
    let same = stage.shell("diff -r one two");
    assert!(same.status.success(), "{}", printed(&same));
    assert!(stage.shell(&format!("bailiwick compile {PACK} --check one/*")).status.success());
    let drift = stage.shell(&format!("echo >> one/*/report.md; bailiwick compile {PACK} --check one/*"));
    assert_eq!(drift.status.code(), Some(3));
    assert!(printed(&drift).contains("differs  report.md"), "{}", printed(&drift));
}

#[test]
fn golden_artifacts_of_the_shipped_packs_are_fresh() {
    let stage = Stage::new();
    let mut packs = 0;
    for entry in std::fs::read_dir(root().join("policy-packs")).expect("the packs") {
        let name = entry.expect("a pack").file_name().into_string().expect("UTF-8");
        let (pack, expected) =
            (format!("policy-packs/{name}"), root().join("policy-packs").join(&name).join("expected"));
        let expected = expected.to_str().expect("UTF-8");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            let line = format!(
                "bailiwick compile {pack} --out new-{name} && rm -rf '{expected}' && cp -r new-{name}/* '{expected}'"
            );
            let output = stage.shell(&line);
            assert!(output.status.success(), "{}", printed(&output));
        }
        let output = stage.run(&["compile", &pack, "--check", expected]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{pack}: `make bless` writes it anew\n{}",
            printed(&output)
        );
        packs += 1;
    }
    assert!(packs >= 3, "only {packs} packs were found");
}

#[test]
fn the_shipped_packs_are_clean_and_their_tests_bite() {
    let stage = Stage::new();
    let output =
        stage.shell("bailiwick check --deny-warnings policy-packs/* && bailiwick test policy-packs/*");
    assert!(output.status.success(), "{}", printed(&output));
    assert!(printed(&output).ends_with(" 0 failed\n") && !printed(&output).contains("vacuous"));
}

#[test]
fn json_has_a_version_and_a_place() {
    let stage = Stage::new();
    stage.write(
        "typo.yaml",
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec:\n  pak: x\n",
    );
    let output = stage.run(&["check", "--format", "json", "typo.yaml"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["version"], 1);
    let found = report["packs"][0]["diagnostics"].as_array().expect("findings");
    let typo = found.iter().find(|one| one["code"] == "BW0104").expect("the typo is found");
    assert_eq!((&typo["place"]["line"], &typo["place"]["column"]), (&5.into(), &3.into()));
}
