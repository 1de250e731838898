//! What the commands promise: exit codes, help with an example, forwarding, and a sentence for what is wrong.

use crate::stage::{PACK, Stage, printed};

fn code(stage: &Stage, args: &[&str]) -> Option<i32> {
    stage.run(args).status.code()
}

#[test]
fn help_of_each_command_shows_an_example() {
    let stage = Stage::new();
    for command in ["check", "compile", "test", "diff", "explain", "review", "init", "fmt", "completion"] {
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

/// No manifest holds the plural and the scope of a custom kind. Those that a rule names are assumed, and
/// where the decision depends on them, the output says that they are unknown.
#[test]
fn a_manifest_of_a_custom_kind_is_no_false_pass() {
    let stage = Stage::new();
    let pack = |resource: &str| {
        format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: gates-1.0.0}}\nspec:\n  pack: gates\n  version: 1.0.0\n  \
             subjects: {{namespaces: {{selector: {{matchLabels: {{zone: agents}}}}}}, unmatched: Allow}}\n  admission:\n    rules:\n    - name: none\n      \
             match: {{resources: [{{apiGroups: [gateway.networking.k8s.io], apiVersions: [v1], resources: [{resource}], operations: [CREATE]}}]}}\n      \
             validations: [{{expression: \"!has(object.spec.open)\"}}]\n      action: Deny\n"
        )
    };
    stage.write(
        "namespaces.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {zone: agents}}}\n",
    );
    let reviewed = |resource: &str, manifest: &str| {
        stage.write("gates/pack.yaml", &pack(resource));
        stage.write("object.yaml", &format!("{{apiVersion: gateway.networking.k8s.io/v1, {manifest}}}\n"));
        let output = stage.run(&[
            "review",
            "gates",
            "--namespaces",
            "namespaces.yaml",
            "-n",
            "agents",
            "-f",
            "object.yaml",
        ]);
        // `explain` takes apart the same request.
        let explained = stage.run(&[
            "explain",
            "--review",
            "object.yaml",
            "--namespaces",
            "namespaces.yaml",
            "-n",
            "agents",
            "gates",
        ]);
        assert_eq!(explained.status.code(), output.status.code(), "{}", printed(&explained));
        assert_eq!(printed(&explained).contains("cannot tell"), printed(&output).contains("cannot tell"));
        (output.status.code(), printed(&output))
    };
    let open = "kind: Gateway, metadata: {name: g, namespace: agents}, spec: {open: true}";
    // `meta.UnsafeGuessKindToResource` would return `gatewaies`, which no rule names.
    assert_eq!(reviewed("gateways", open).0, Some(4));
    assert_eq!(reviewed("gateways", &open.replace("open", "shut")).0, Some(0));
    assert_eq!(reviewed("gatewaies", open).0, Some(4));
    // A plural of unknown form may belong to this kind or to another.
    let (code, said) = reviewed("gatehouses", open);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("Gateway/g: cannot tell") && said.contains("AdmissionReview"), "{said}");
    assert_eq!(reviewed("httproutes", open).0, Some(0), "of another kind");
    // Without a namespace every policy applies, in another namespace none.
    let nowhere = "kind: Gateway, metadata: {name: g}, spec: {open: true}";
    stage.write(
        "namespaces.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {zone: other}}}\n",
    );
    assert_eq!(reviewed("gateways", nowhere).0, Some(6));
    let (code, said) = reviewed("gateways", open);
    assert_eq!(code, Some(0), "the namespace is written, and not governed");
    assert!(said.ends_with("0 allowed, 0 denied, 1 not governed\n"), "{said}");
}

/// A pack that names no subject governs nothing next to one that does, and the output names it.
#[test]
fn a_review_names_the_packs_that_govern_nobody() {
    let stage = Stage::new();
    let good = format!("{PACK}/tests/pods/good.yaml");
    let namespaces = format!("{PACK}/tests/cluster/namespaces.yaml");
    let base = "policy-packs/restricted-agent";
    let said = printed(&stage.run(&["review", PACK, base, "--namespaces", &namespaces, "-f", &good]));
    assert!(said.contains("note: restricted-agent@") && said.contains("governs nobody here"), "{said}");
}

/// One pack without tests does not suppress the results of the others, and counts.
#[test]
fn a_pack_without_tests_is_broken_and_the_others_are_told() {
    let stage = Stage::new();
    let text = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec: {pack: x, version: 1.0.0, isolation: {serviceAccountToken: Forbidden}}\n";
    stage.write("untested/pack.yaml", text);
    let agent = "policy-packs/restricted-agent";
    let output = stage.run(&["test", "untested", agent]);
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("untested has no folder `tests`") && said.contains(&format!("{agent}/tests/")),
        "{said}"
    );
    let junit = printed(&stage.run(&["test", "untested", agent, "--format", "junit"]));
    assert!(
        junit.contains("untested has no folder") && junit.contains(&format!("{agent}/tests/")),
        "{junit}"
    );
    // The tests of a pack named as a file are next to it.
    let output = stage.run(&["test", &format!("{agent}/pack.yaml")]);
    assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
    // A case that passes because nothing governs it says so.
    let case = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec:\n  cases:\n  \
        - {name: elsewhere, admission: {object: {file: pods/privileged.yaml}, namespace: {name: other}}, expect: {allowed: true}}\n  \
        - {name: here, admission: {object: {file: pods/privileged.yaml}}, expect: {allowed: false}}\n";
    stage.write(&format!("{PACK}/tests/elsewhere.yaml"), case);
    let said = printed(&stage.run(&["test", PACK]));
    assert!(said.contains("  pass elsewhere (not governed)\n") && said.contains("  pass here\n"), "{said}");
}

/// A value for a pack that is not present would bind nothing.
#[test]
fn a_value_for_a_pack_that_is_not_there_is_refused() {
    let stage = Stage::new();
    for args in [&["check", PACK][..], &["compile", PACK], &["test", PACK], &["diff", PACK, PACK]] {
        let output = stage.run(&[args, &["--set", "code-interpretr.workspaceSize=32Mi"]].concat());
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("no pack `code-interpretr` is here"), "{said}");
        let output = stage.run(&[args, &["--set", "code-interpreter.workspaceSize=999Gi"]].concat());
        assert_eq!(output.status.code(), Some(3), "{args:?}: {}", printed(&output));
    }
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
fn the_shipped_packs_are_clean_and_their_tests_bite() {
    let stage = Stage::new();
    let output =
        stage.shell("bailiwick check --deny-warnings policy-packs/* && bailiwick test policy-packs/*");
    assert!(output.status.success(), "{}", printed(&output));
    assert!(printed(&output).ends_with(" 0 failed\n") && !printed(&output).contains("vacuous"));
}

#[test]
fn explain_prints_the_page_of_each_code() {
    let stage = Stage::new();
    for code in bailiwick_compiler::check::codes() {
        let output = stage.run(&["explain", &code.id().to_lowercase()]);
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(
            said.starts_with(&format!("{}[{}]: {}\n\n", code.severity(), code.id(), code.title())),
            "{said}"
        );
        assert!(said.trim_end().ends_with(code.documentation().trim_end()), "{said}");
    }
    let output = stage.run(&["explain", "BW0104", "--format", "json"]);
    let page: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let code = bailiwick_compiler::check::code("BW0104").expect("it is there");
    assert_eq!((&page["code"], &page["documentation"]), (&"BW0104".into(), &code.documentation().into()));
}

/// A pack that extends a locked one, of which the library has a newer version: findings about the locked one
/// are drawn in its own text.
#[test]
fn findings_about_an_extended_pack_are_drawn_in_the_version_that_was_compiled() {
    let stage = Stage::new();
    let pack = |name: &str, version: &str, rest: &str| {
        format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: {name}-{version}}}\nspec:\n  pack: {name}\n  version: {version}\n{rest}"
        )
    };
    let wrong =
        r#"resources: [{apiGroups: [""], apiVersions: [v1], resources: [pod], operations: [CREATE]}]"#;
    let old = format!(
        "  isolation: {{podSecurity: {{level: Restricted, version: v1.36}}}}\n  admission:\n    rules:\n    - name: old\n      match: {{{wrong}}}\n      validations: [{{expression: has(object.spec)}}]\n"
    );
    stage.write("packs/base-1.0.0/pack.yaml", &pack("base", "1.0.0", &old));
    let mine = "  extends: [{name: base, version: \"^1.0\"}]\n  isolation: {podSecurity: {level: Baseline, version: v1.36}}\n";
    stage.write("packs/mine/pack.yaml", &pack("mine", "1.0.0", mine));
    let locked = stage.run(&["compile", "--lock", "packs/mine"]);
    assert!(locked.status.success(), "{}", printed(&locked));
    let newer = "  description: This text is another one, so that places of the old one point at nothing of sense in it.\n  isolation: {serviceAccountToken: Forbidden}\n";
    stage.write("packs/base-1.1.0/pack.yaml", &pack("base", "1.1.0", newer));

    let said = printed(&stage.run(&["check", "packs/mine"]));
    let place = |file: &str, line: &str| said.contains(file) && said.lines().any(|one| one.ends_with(line));
    assert!(place("base@1.0.0/pack.yaml:11", &format!("match: {{{wrong}}}")), "{said}");
    assert!(!said.contains("another one"), "{said}");
    // The ceiling is in the parent's text, and the level that widens it in the child's.
    assert!(place("packs/mine/pack.yaml:8", mine.lines().last().unwrap_or_default()), "{said}");
    assert!(place("base@1.0.0/pack.yaml:7", old.lines().next().unwrap_or_default()), "{said}");

    let json = printed(&stage.run(&["check", "--format", "json", "packs/mine"]));
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let of = |code: &str| {
        let list = report["packs"][0]["diagnostics"].as_array().expect("diagnostics");
        list.iter().find(|one| one["code"] == code).unwrap_or_else(|| panic!("no {code}: {json}")).clone()
    };
    assert_eq!(of("BW0226")["place"]["file"], "base@1.0.0/pack.yaml");
    assert_eq!(of("BW0227")["place"]["file"], "packs/mine/pack.yaml");
    assert_eq!(of("BW0227")["related"][0]["place"]["file"], "base@1.0.0/pack.yaml");
}

#[test]
fn odd_arguments_get_a_sentence_and_their_exit_code() {
    let stage = Stage::new();
    stage.write("empty/.keep", "");
    stage.write("untested/pack.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec: {pack: x, version: 1.0.0, isolation: {serviceAccountToken: Forbidden}}\n");
    stage.write("badtest/pack.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec: {pack: x, version: 1.0.0, isolation: {serviceAccountToken: Forbidden}}\n");
    stage.write("badtest/tests/t.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec: {cases: [{name: a, admision: {}}]}\n");
    stage.write("broken/pack.yaml", "spec: [\n");
    stage.write("broken/tests/t.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec: {cases: [{name: a, admission: {object: {}}, expect: {allowed: true}}]}\n");
    stage.write("badtest2/pack.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec: {pack: x, version: 1.0.0, isolation: {serviceAccountToken: Forbidden}}\n");
    stage.write("badtest2/tests/t.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: t}\nspec: {cases: [{name: a, admission: {object: {file: ../../../etc/passwd}}, expect: {allowed: true}}]}\n");
    stage.write("nothing.yaml", "# nothing\n");
    stage.write("scalar.yaml", "7\n");
    stage.write("torn.yaml", "a: [\n");
    stage.write("review.yaml", "kind: AdmissionReview\napiVersion: admission.k8s.io/v1\nrequest: {}\n");
    let good = format!("{PACK}/tests/pods/good.yaml");
    for (args, ends, says) in [
        (&["check", "empty"][..], 1, "holds no pack.yaml"),
        (&["check", "/dev/null"], 3, "error[BW01"),
        (&["check", PACK, "--library", "nowhere"], 1, "is not a folder"),
        (&["check", PACK, "--set", "memoryCeiling"], 2, "write NAME=VALUE"),
        (&["check", PACK, "--set", "memoryCeiling=[", "--format", "json"], 2, "--set"),
        (&["check", PACK, "--set", "memoryCeiling=1Gi", "--set", "memoryCeiling=2Gi"], 2, "twice"),
        (&["explain", "memory-limits", PACK, "--set", "a=1", "--set", "a=2"], 2, "twice"),
        (&["check", PACK, "--set", "nothing=1"], 3, "error[BW02"),
        (&["test", "untested"], 3, "no folder `tests`"),
        (&["test", "badtest"], 3, "did you mean `admission`?"),
        (&["test", "badtest2"], 5, "leads out of the folder of the tests"),
        (&["test", "broken"], 3, "error[BW0101]"),
        (&["test", "nowhere"], 1, "cannot open nowhere"),
        (&["compile", PACK, "--webhook-service", "x"], 2, "write NAMESPACE/NAME"),
        (&["compile", PACK, "--check", "nowhere"], 1, "cannot list nowhere"),
        (&["compile", "--lock", "nothing.yaml"], 1, "is a single file"),
        (&["compile", PACK, "--lock", "--check", "x"], 2, "cannot be used with"),
        (&["explain", "BW9999"], 1, "codes look like BW0104"),
        (&["explain", "BW0199"], 1, "there are BW0101"),
        (&["explain", "\u{fc}\u{fc}\u{fc}"], 1, "no diagnostic"),
        (&["review", PACK, "-f", "nothing.yaml"], 1, "holds no object"),
        (&["review", PACK, "-f", "scalar.yaml"], 1, "a manifest is an object"),
        (&["review", PACK, "-f", "torn.yaml"], 1, "line 1, column"),
        (&["review", PACK, "-f", "review.yaml"], 1, "is missing"),
        (&["review", PACK, "-f", "review.yaml", "--old", "scalar.yaml"], 1, "brings its own `oldObject`"),
        (&["review", PACK, "-f", &good, "--namespaces", "scalar.yaml"], 1, "is not a Namespace"),
        (&["review", "policy-packs/restricted-agent", "-f", &good], 1, "govern nobody"),
        (&["review", PACK, "-f", &good], 4, "is not known"),
        (&["../evil"], 1, "a command's name has no slash"),
        (&["--nonsense"], 2, "unexpected argument"),
    ] {
        let output = stage.run(args);
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(ends), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: `{says}` is not in {said}");
    }
}

#[test]
fn a_program_of_the_working_folder_is_not_a_command() {
    let stage = Stage::new();
    stage.write("bailiwick-hello", "#!/bin/sh\necho owned\n");
    let own = "chmod +x bailiwick-hello; own=$(command -v bailiwick)";
    for path in ["PATH=", "PATH=.", "PATH=:", "unset PATH;"] {
        let output = stage.shell(&format!("{own}; {path} \"$own\" hello"));
        let said = printed(&output);
        assert!(output.status.code() == Some(1) && !said.contains("owned"), "{path}: {said}");
    }
}
