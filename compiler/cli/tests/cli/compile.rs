//! `bailiwick compile`: the same bytes each time, drift from them, and what it writes where.

use crate::stage::{PACK, Stage, printed, root};

#[test]
fn compiling_twice_gives_the_same_bytes_and_check_finds_drift() {
    let stage = Stage::new();
    for out in ["one", "two"] {
        assert_eq!(stage.run(&["compile", PACK, "--out", out]).status.code(), Some(0));
    }
    let same = stage.shell("diff -r one two");
    assert!(same.status.success(), "{}", printed(&same));
    assert!(stage.shell(&format!("bailiwick compile {PACK} --check one/*")).status.success());
    let drift = stage.shell(&format!("echo >> one/*/report.md; bailiwick compile {PACK} --check one/*"));
    assert_eq!(drift.status.code(), Some(3));
    assert!(printed(&drift).contains("differs  report.md"), "{}", printed(&drift));
}

#[test]
fn compile_says_what_would_land_in_no_namespace_and_what_stays_in_force() {
    let stage = Stage::new();
    let compiled = |more: &[&str]| {
        let output = stage.run(&[&["compile", PACK, "--out", "out"], more].concat());
        assert!(output.status.success(), "{}", printed(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = compiled(&[]);
    assert!(
        said.contains("the NetworkPolicies carry no namespace") && !said.contains("another cell"),
        "{said}"
    );
    assert_eq!(compiled(&["--namespace", "agents-1"]), "", "the same cell, and a namespace");
    let cells = || std::fs::read_dir(stage.path("out")).expect("the cells").count();
    assert_eq!(cells(), 1);
    // The next version is another cell, and nothing removes the old one from the cluster.
    let pack = format!("{PACK}/pack.yaml");
    let text = std::fs::read_to_string(stage.path(&pack)).expect("the pack");
    let next = text
        .replace("version: 0.2.0\n", "version: 0.2.1\n")
        .replace("code-interpreter-0.2.0", "code-interpreter-0.2.1");
    assert_ne!(text, next);
    stage.write(&pack, &next);
    assert_eq!(stage.run(&["compile", PACK, "--lock"]).status.code(), Some(0));
    let old =
        std::fs::read_dir(stage.path("out")).expect("the cells").next().expect("a cell").expect("a cell");
    let said = compiled(&["--namespace", "agents-1"]);
    let label = format!("bailiwick.dev/cell={}", old.file_name().to_str().expect("UTF-8"));
    assert!(said.contains("holds the same packs as another cell") && said.contains(&label), "{said}");
    assert_eq!(cells(), 2);
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
fn the_emitted_namespace_is_named_for_the_pack_under_compilation() {
    let stage = Stage::new();
    let pack = |name: &str, rest: &str| {
        format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: {name}-1.0.0}}\nspec:\n  pack: {name}\n  version: 1.0.0\n{rest}"
        )
    };
    // The parent is the first by name.
    stage.write(
        "packs/aaa-base/pack.yaml",
        &pack("aaa-base", "  isolation: {serviceAccountToken: Forbidden}\n"),
    );
    let rest = "  extends: [{name: aaa-base, version: \"^1.0\"}]\n  subjects: {namespaces: {selector: {matchLabels: {zone: a}}}}\n";
    stage.write("packs/zzz-mine/pack.yaml", &pack("zzz-mine", rest));
    let output = stage.shell(
        "bailiwick compile --lock packs/zzz-mine && bailiwick compile packs/zzz-mine --out dist && grep '^  name:' dist/*/kubernetes/namespace.yaml",
    );
    assert!(
        output.status.success() && printed(&output).ends_with("  name: zzz-mine\n"),
        "{}",
        printed(&output)
    );
}

#[test]
fn compiling_follows_no_link_out_of_its_folder() {
    let stage = Stage::new();
    stage.write("precious/file", "precious");
    let output = stage.shell(&format!(
        "bailiwick compile {PACK} --out dist >/dev/null 2>&1; cell=$(echo dist/*); rm -r $cell/kubernetes; \
         ln -s $PWD/precious $cell/kubernetes; ln -s . $cell/loop; ln -s $PWD/precious $cell/other; \
         bailiwick compile {PACK} --out dist >/dev/null 2>&1 && bailiwick compile {PACK} --check $cell && ls precious"
    ));
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    assert!(printed(&output).ends_with("no drift\nfile\n"), "{}", printed(&output));
}
