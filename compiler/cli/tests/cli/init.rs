//! A new pack: valid at once, with tests that can fail, and without touching existing files.

use crate::stage::{Stage, printed};

#[test]
fn a_new_pack_is_in_order_and_its_tests_bite() {
    let stage = Stage::new();
    for (name, args) in [("alone", &[][..]), ("child", &["--extends", "restricted-agent"])] {
        let folder = format!("policy-packs/{name}");
        let made = stage.run(&[&["init", folder.as_str()], args].concat());
        assert!(made.status.success(), "{}", printed(&made));
        let checked = stage.run(&["check", "--deny-warnings", &folder]);
        assert_eq!(printed(&checked), format!("{folder}: ok\n"));
        let tested = stage.run(&["test", &folder]);
        assert!(tested.status.success(), "{}", printed(&tested));
        let passed = printed(&tested).matches("  pass ").count();
        assert!(passed >= 13, "{}", printed(&tested));

        // The tests notice a change of each of these statements.
        for (statement, instead) in [
            ("'cpu' in", "'memory' in"),
            ("'grep'", "'grep', 'make'"),
            ("k8s-app: kube-dns", "k8s-app: other"),
        ] {
            let pack = format!("{folder}/pack.yaml");
            let text = std::fs::read_to_string(stage.path(&pack)).expect("the pack");
            assert!(text.contains(statement), "{statement}");
            stage.write(&pack, &text.replace(statement, instead));
            let tested = stage.run(&["test", &folder]);
            assert_eq!(tested.status.code(), Some(5), "{statement}: {}", printed(&tested));
            stage.write(&pack, &text);
        }
    }
    let child = std::fs::read_to_string(stage.path("policy-packs/child/pack.yaml")).expect("the pack");
    assert!(
        child.contains("- {name: restricted-agent, version: \"^0.2\"}") && !child.contains("isolation"),
        "{child}"
    );
    assert!(stage.path("policy-packs/child/pack.lock").is_file());
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let stage = Stage::new();
    stage.write("packs/mine/notes.txt", "precious");
    std::fs::create_dir(stage.path("packs/empty")).expect("a folder");
    stage.write("packs/file", "precious");
    for (args, ends, says) in [
        (&["init", "packs/mine"][..], 1, "is not empty; nothing was written"),
        (&["init", "packs/file"], 1, "cannot list packs/file"),
        (&["init", "policy-packs/restricted-agent"], 1, "is not empty"),
        (&["init", "packs/My_Agent"], 1, "cannot be the name of a pack"),
        (
            &["init", "packs/new", "--extends", "nobody", "--library", "policy-packs"],
            1,
            "the library has no pack `nobody`; it has build-runner, code-interpreter",
        ),
        // It governs other pods, so it has no room for what the new pack governs.
        (&["init", "packs/new", "--extends", "code-interpreter", "--library", "policy-packs"], 3, "error[BW"),
        (&["init", "packs/new", "--library", "policy-packs"], 2, "--extends"),
    ] {
        let output = stage.run(args);
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(ends), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: `{says}` is not in {said}");
    }
    assert!(!stage.path("packs/new").exists(), "a pack that is refused leaves nothing");
    let kept = stage.shell("cat packs/mine/notes.txt packs/file; ls packs/mine");
    assert_eq!(printed(&kept), "preciouspreciousnotes.txt\n");
    assert_eq!(stage.run(&["init", "packs/empty"]).status.code(), Some(0));
}
