//! `bailiwick fmt`: files in their canonical layout, with every comment and the same meaning.

use crate::stage::{PACK, Stage, printed};

fn read(stage: &Stage, name: &str) -> String {
    std::fs::read_to_string(stage.path(name)).expect(name)
}

/// Every line without its indentation, sorted.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> =
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    words.sort();
    words
}

#[test]
fn the_shipped_packs_are_in_their_layout() {
    let stage = Stage::new();
    let output = stage.shell("bailiwick fmt --check policy-packs/*");
    assert!(output.status.success(), "`bailiwick fmt` puts them into it: {}", printed(&output));
    assert_eq!(printed(&output), "");
}

#[test]
fn a_pack_in_disorder_is_put_in_order_and_means_the_same() {
    let stage = Stage::new();
    let digest = || {
        let output = stage.shell(&format!("rm -rf dist; bailiwick compile {PACK} --out dist"));
        assert!(output.status.success(), "{}", printed(&output));
        printed(&output).lines().next().unwrap_or_default().to_owned()
    };
    let (tidy, before) = (read(&stage, &format!("{PACK}/pack.yaml")), digest());
    // Deeper levels, sections in reverse order.
    let (head, spec) = tidy.split_once("spec:\n").expect("a spec");
    let mut sections: Vec<String> = Vec::new();
    for line in spec.lines() {
        if line.starts_with("  ") && !line.starts_with("   ") && !line.starts_with("  -")
            || sections.is_empty()
        {
            sections.push(String::new());
        }
        let deeper = if line.is_empty() { "\n\n".to_owned() } else { format!("    {line}\n") };
        sections.last_mut().expect("a section").push_str(&deeper);
    }
    sections.reverse();
    let untidy = format!("{head}spec:\n{}", sections.concat());
    stage.write(&format!("{PACK}/pack.yaml"), &untidy);
    assert_eq!(digest(), before, "the disorder changed the meaning");

    let check = stage.run(&["fmt", "--check", PACK]);
    assert_eq!(check.status.code(), Some(3), "{}", printed(&check));
    assert_eq!(read(&stage, &format!("{PACK}/pack.yaml")), untidy, "`--check` wrote");
    let output = stage.run(&["fmt", PACK]);
    assert_eq!(printed(&output), format!("{PACK}/pack.yaml is written\n"));
    let after = read(&stage, &format!("{PACK}/pack.yaml"));
    assert_eq!(words(&after), words(&untidy), "a line is lost");
    assert_eq!(digest(), before, "the layout changed the meaning");
    assert!(stage.run(&["fmt", "--check", PACK]).status.success(), "it is not idempotent");
    let sections = |text: &str| {
        let own = text
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   ") && !line.starts_with("  -"));
        own.filter(|line| !line.trim_start().starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(sections(&after), sections(&tidy));
}

#[test]
fn what_cannot_be_read_is_named_and_left() {
    let stage = Stage::new();
    stage.write("torn.yaml", "a: [\n");
    stage.write("bytes.yaml", "a: b\n");
    std::fs::write(stage.path("bytes.yaml"), b"a: \xff\n").expect("a file");
    for (file, says) in [
        ("torn.yaml", "is not valid YAML"),
        ("bytes.yaml", "is not UTF-8"),
        ("policy-packs", "holds no pack.yaml"),
    ] {
        let output = stage.run(&["fmt", file]);
        assert!(output.status.code().is_some_and(|code| code == 3 || code == 1), "{}", printed(&output));
        assert!(printed(&output).contains(says), "{}", printed(&output));
    }
    assert_eq!(read(&stage, "torn.yaml"), "a: [\n");
}
