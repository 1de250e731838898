//! The CI examples in `docs/ci`: their commands run on packs that are valid and on one that is not.

use bailiwick_compiler::yaml::{Limits, Node, SourceMap};

use crate::stage::{Stage, printed, root};

/// Every text under a key, at any depth.
fn under(node: &Node, key: &str, found: &mut Vec<String>) {
    for entry in node.entries() {
        if entry.key == key {
            let items = entry.value.items().iter().chain([&entry.value]);
            found.extend(items.filter_map(Node::as_str).map(str::to_owned));
        }
        under(&entry.value, key, found);
    }
    node.items().iter().for_each(|item| under(item, key, found));
}

#[test]
fn the_commands_of_the_examples_hold_and_stop_what_does_not() {
    let (good, bad) = (Stage::new(), Stage::new());
    for stage in [&good, &bad] {
        // One pack shows it; the others take too long.
        for other in ["build-runner", "code-interpreter", "pod-security-restricted"] {
            std::fs::remove_dir_all(stage.path("policy-packs").join(other)).expect("a shipped pack");
        }
    }
    bad.write(
        "policy-packs/bad/pack.yaml",
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: bad-1.0.0}\nspec: {pak: x}\n",
    );
    bad.write("policy-packs/bad/tests/t.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec: {cases: [{name: a, admission: {object: {}}, expect: {allowed: true}}]}\n");
    for (file, key, commands) in
        [("pre-commit-config.yaml", "entry", 2), ("github.yaml", "run", 2), ("gitlab.yaml", "script", 2)]
    {
        let bytes = std::fs::read(root().join("docs/ci").join(file)).expect(file);
        let (documents, wrong) = SourceMap::read(file, &bytes, &Limits::MANIFESTS);
        assert!(wrong.is_empty(), "{file}: {wrong:?}");
        let mut found = Vec::new();
        documents.iter().for_each(|document| under(document.root(), key, &mut found));
        found.retain(|command| command.contains("bailiwick ") && !command.contains("ci/diff.sh"));
        assert!(found.len() >= commands, "{file}: {found:?}");
        for command in found {
            // `the_tests_of_the_shipped_packs_notice_every_edit` already pays for the edits.
            let command = command.replace(" --mutate", "");
            let output = good.shell(&format!("set -eo pipefail; {command}"));
            assert!(output.status.success(), "{file}: {command}: {}", printed(&output));
            let output = bad.shell(&format!("set -eo pipefail; {command}"));
            assert_eq!(output.status.code(), Some(3), "{file}: {command}: {}", printed(&output));
        }
    }
    for report in ["bailiwick.sarif", "tests.xml", "check.xml"] {
        assert!(good.path(report).is_file(), "{report}");
    }
}

/// Each example compares a changed pack with its former version. Two fail when the pack allows more, and one
/// only reports it.
#[test]
fn the_examples_compare_a_changed_pack_with_what_it_was() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.path("ci")).expect("a folder");
    std::fs::copy(root().join("docs/ci/diff.sh"), stage.path("ci/diff.sh")).expect("the script");
    std::fs::remove_dir_all(stage.path("policy-packs/pod-security-restricted")).expect("a shipped pack");
    let git = "git -c user.name=a -c user.email=a@example.org -c init.defaultBranch=main";
    let begun = stage.shell(&format!("{git} init -q && git add policy-packs && {git} commit -qm packs"));
    assert!(begun.status.success(), "{}", printed(&begun));
    let commands = |file: &str, key: &str| -> Vec<String> {
        let bytes = std::fs::read(root().join("docs/ci").join(file)).expect(file);
        let (documents, _) = SourceMap::read(file, &bytes, &Limits::MANIFESTS);
        let mut found = Vec::new();
        documents.iter().for_each(|document| under(document.root(), key, &mut found));
        found.retain(|command| command.contains("ci/diff.sh"));
        found
    };
    let run = |expected: [i32; 3]| {
        let examples =
            [("pre-commit-config.yaml", "entry"), ("github.yaml", "run"), ("gitlab.yaml", "script")];
        for ((file, key), expected) in examples.into_iter().zip(expected) {
            let found = commands(file, key);
            assert_eq!(found.len(), 1, "{file}: {found:?}");
            let environment =
                "export BASE=HEAD CI_MERGE_REQUEST_DIFF_BASE_SHA=HEAD GITHUB_STEP_SUMMARY=summary";
            let output = stage.shell(&format!("{environment}; set -eo pipefail; {}", found.concat()));
            assert_eq!(output.status.code(), Some(expected), "{file}: {}", printed(&output));
        }
    };
    run([0, 0, 0]);
    let pack = stage.path("policy-packs/code-interpreter/pack.yaml");
    let text = std::fs::read_to_string(&pack).expect("the pack");
    std::fs::write(&pack, text.replacen("'wc', 'grep'", "'wc', 'grep', 'curl'", 1)).expect("written");
    run([0, 3, 3]);
    let summary = std::fs::read_to_string(stage.path("summary")).expect("the summary");
    assert!(summary.contains("curl"), "{summary}");
    assert!(!stage.shell("sh ci/diff.sh nowhere").status.success(), "there is no such commit");
}

/// A pack that moves to another folder is still compared. One that also changes its name cannot be, and is
/// rejected.
#[test]
fn a_pack_that_moves_does_not_get_past_the_comparison() {
    let stage = Stage::new();
    for other in ["build-runner", "code-interpreter", "pod-security-restricted"] {
        std::fs::remove_dir_all(stage.path("policy-packs").join(other)).expect("a shipped pack");
    }
    std::fs::create_dir_all(stage.path("ci")).expect("a folder");
    std::fs::copy(root().join("docs/ci/diff.sh"), stage.path("ci/diff.sh")).expect("the script");
    let git = "git -c user.name=a -c user.email=a@example.org -c init.defaultBranch=main";
    let begun = stage.shell(&format!("{git} init -q && git add policy-packs && {git} commit -qm packs"));
    assert!(begun.status.success(), "{}", printed(&begun));
    let ended = |change: &str, options: &str| {
        let output = stage.shell(&format!("set -e; {change}; sh ci/diff.sh HEAD {options}"));
        (output.status.code(), printed(&output))
    };
    let (code, said) = ended("mv policy-packs/restricted-agent policy-packs/moved", "--fail-on widened");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("-> policy-packs/moved: 0 widened") && !said.contains("is gone"), "{said}");
    let wider = "sed -i '/serviceAccountToken: Forbidden/d' policy-packs/moved/pack.yaml";
    let (code, said) = ended(wider, "--fail-on widened");
    assert_eq!(code, Some(3), "{said}");
    let renamed = "sed -i 's/pack: restricted-agent/pack: other-agent/; s/name: restricted-agent-/name: other-agent-/' policy-packs/moved/pack.yaml";
    let (code, said) = ended(renamed, "--fail-on widened");
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("policy-packs/moved is new") && said.contains("restricted-agent is gone"),
        "{said}"
    );
    let (code, said) = ended("true", "");
    assert_eq!(code, Some(0), "{said}");
}

/// The change that adds the first packs has nothing to compare with: no commit with packs, and before the
/// first commit, no commit at all.
#[test]
fn the_change_that_brings_the_first_packs_is_let_through() {
    let stage = Stage::new();
    for other in ["build-runner", "code-interpreter", "pod-security-restricted"] {
        std::fs::remove_dir_all(stage.path("policy-packs").join(other)).expect("a shipped pack");
    }
    std::fs::create_dir_all(stage.path("ci")).expect("a folder");
    std::fs::copy(root().join("docs/ci/diff.sh"), stage.path("ci/diff.sh")).expect("the script");
    let git = "git -c user.name=a -c user.email=a@example.org -c init.defaultBranch=main";
    let begun = stage.shell(&format!("{git} init -q"));
    assert!(begun.status.success(), "{}", printed(&begun));
    let compared = |says: &str| {
        let output = stage.shell("sh ci/diff.sh HEAD --fail-on widened");
        let said = printed(&output);
        assert!(output.status.success() && said.contains(says), "{said}");
        assert!(said.contains("policy-packs/restricted-agent is new") && !said.contains("gone"), "{said}");
    };
    compared("there is no commit yet");
    let committed = stage.shell(&format!("git add ci && {git} commit -qm begun"));
    assert!(committed.status.success(), "{}", printed(&committed));
    compared("restricted-agent is new");
    assert_eq!(stage.shell("sh ci/diff.sh nowhere").status.code(), Some(1));
}
