//! What goes to a terminal, and what only there: colours and spinners, no escape sequence of a user's text, and
//! a quiet end when the reader goes away.

use crate::stage::{PACK, Stage, printed};

/// Runs a line on a terminal of its own; returns what it showed.
fn on_a_terminal(stage: &Stage, line: &str) -> String {
    let output = stage.shell(&format!("TERM=xterm script -qec '{line}' /dev/null"));
    assert!(output.status.code().is_some_and(|code| code != 127), "`script` is in the package bsdutils");
    printed(&output)
}

#[test]
fn colours_and_spinners_are_for_terminals_alone() {
    let stage = Stage::new();
    stage.write("typo.yaml", "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nspec: {pak: x}\n");
    for line in ["check typo.yaml", "test policy-packs/restricted-agent", "check nowhere"] {
        let piped = printed(&stage.shell(&format!("TERM=xterm bailiwick {line}")));
        assert!(!piped.contains('\u{1b}'), "{line}: {piped:?}");
        let shown = on_a_terminal(&stage, &format!("bailiwick {line}"));
        assert!(shown.contains('\u{1b}'), "{line}: {shown:?}");
        let plain = on_a_terminal(&stage, &format!("NO_COLOR=1 bailiwick {line}"));
        assert!(!plain.contains("\u{1b}[1m"), "{line}: {plain:?}");
    }
    let spinning = on_a_terminal(&stage, "bailiwick test policy-packs/code-interpreter");
    assert!(spinning.contains("testing policy-packs/code-interpreter/tests/"), "{spinning:?}");
    let piped = printed(&stage.shell("bailiwick test policy-packs/code-interpreter"));
    assert!(!piped.contains("testing "), "{piped}");
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let stage = Stage::new();
    let mut many = String::from(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: x-1.0.0}\nspec:\n",
    );
    (0..2_000).for_each(|number| many.push_str(&format!("  field{number}: 1\n")));
    stage.write("many.yaml", &many);
    let output = stage.shell("bailiwick check many.yaml | head -n 1; echo \"${PIPESTATUS[0]}\"");
    let said = printed(&output);
    assert!(said.starts_with("error[BW0104]") && said.ends_with("\n1\n"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_hostile_name_does_not_reach_the_terminal() {
    let stage = Stage::new();
    stage.write("pod.json", r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "\u001b]0;owned\u0007", "namespace": "agents"}, "spec": {"containers": []}}"#);
    let said = printed(&stage.run(&["review", PACK, "-f", "pod.json"]));
    assert!(said.contains("owned") && !said.contains(['\u{1b}', '\u{7}']), "{said:?}");

    // As on a terminal, where colours are kept: no escape sequences but our own appear. `\x9B` is `ESC [` as
    // one character.
    let hostile = r"\e]0;owned\a\x9B31m\u202E";
    let long = "x".repeat(500);
    let spec = format!(r#"spec: {{pack: x, version: 1.0.0, "{hostile}": 1, description: {long}}}"#);
    stage.write(
        "hostile/pack.yaml",
        &format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: x-1.0.0}}\n{spec}\n"
        ),
    );
    stage.write(
        &format!("{PACK}/tests/hostile.yaml"),
        &format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: h}}\nspec:\n  cases:\n  \
             - {{name: \"{hostile}\", admission: {{object: {{file: pods/good.yaml}}}}, expect: {{allowed: false}}}}\n"
        ),
    );
    for command in ["check hostile", &format!("test {PACK}")] {
        let said = printed(&stage.shell(&format!("CLICOLOR_FORCE=1 bailiwick {command}")));
        assert!(said.contains("owned"), "{command}: {said}");
        for obeyed in ["\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}"] {
            assert!(!said.contains(obeyed), "{command}: {obeyed:?} in {said:?}");
        }
    }
}
