//! `make demo`, run as the Makefile runs it: it succeeds and leaves nothing behind. A program that misbehaves
//! makes it fail, which leaves nothing behind either.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bailiwick_conformance::programs;

/// Runs a demo with these folders for its temporary files and as an empty home.
fn run(demo: &Path, temporary: &Path, home: &Path) -> Output {
    Command::new(demo)
        .arg("--patient")
        .env("TMPDIR", temporary)
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .expect("the demo runs")
}

/// No file is left, and no process works there.
fn nothing_is_left(folder: &Path) {
    let left: Vec<_> =
        std::fs::read_dir(folder).expect("the folder").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let at = std::fs::read_link(entry.path().join("cwd"));
        assert!(!at.is_ok_and(|at| at.starts_with(folder)), "{:?} is still running", entry.path());
    }
}

#[test]
fn the_demo_shows_what_it_promises_and_leaves_nothing_behind() {
    let (temporary, home) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let output = run(Path::new(env!("CARGO_BIN_EXE_demo")), temporary.path(), home.path());
    let said = String::from_utf8_lossy(&output.stdout);
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !is_root && !output.status.success() {
        // An ordinary user without a cgroup is told what helps.
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(errors.contains("remedy: a cgroup that it may write"), "{said}{errors}");
        return nothing_is_left(temporary.path());
    }
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "kubernetes/network-policies.yaml",
        "report.md begins:",
        "runtimeClassName",
        "RuntimeDefault",
        "A privileged pod is refused",
        "A pod with a hostPath is refused",
        "podSecurity  spec.containers[0].securityContext.privileged",
        "podSecurity  spec.volumes[0].hostPath",
        "podSecurity  spec.ephemeralContainers[0].securityContext.privileged",
        "podSecurity  spec.template.spec.containers[0].securityContext.privileged",
        "      do: remove privileged, or set it to false",
        "memoryCeiling: 2Gi -> 4Gi",
        ", 0 failed",
        "did you mean `isolation`?",
        "sandbox python: built and torn down",
        "Deny: rule: a forced push rewrites what others have; instead: open a new branch instead",
        "approved by the signature of key `alice`",
        "stopped by the cgroup's limit of processes",
        "stopped by the cgroup's limit of memory",
        "stopped by the executor's clock",
        "stopped by the system-call filter",
        "stopped by the sandbox's file system",
        "stopped by the policy: restricted-agent@0.2.0/no-forced-push denied it, and nothing ran",
        "\nintact\n",
        "\ntampered\n",
        "first bad record: ",
    ] {
        assert!(said.contains(part), "`{part}` is not in\n{said}");
    }
    nothing_is_left(temporary.path());
    nothing_is_left(home.path());
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let (temporary, home) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--patient")
        .env("TMPDIR", temporary.path())
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo runs");
    // Once the webhook answers there is a process to end and a folder to remove.
    let mut lines = BufReader::new(demo.stdout.take().expect("its output")).lines();
    let webhook_runs = lines.by_ref().map_while(Result::ok).any(|line| line.contains("allowed, under"));
    assert!(webhook_runs, "{:?}", demo.wait_with_output());
    let status = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
    assert!(lines.map_while(Result::ok).all(|line| !line.contains("nothing is left behind")));
    let output = demo.wait_with_output().expect("the demo ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it was interrupted"), "{said}");
    nothing_is_left(temporary.path());
    nothing_is_left(home.path());
}

#[test]
fn a_deviation_ends_the_demo_badly() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder beside the programs");
    let demo = folder.path().join("demo");
    for (from, to) in [
        (env!("CARGO_BIN_EXE_demo").into(), "demo"),
        (programs::find("bailiwick-webhook").expect("built"), "bailiwick-webhook"),
        (programs::find("bailiwick-launcher").expect("built"), "bailiwick-launcher"),
    ] {
        std::fs::hard_link(from, folder.path().join(to)).expect("a link on one file system");
    }
    let real = programs::find("bailiwick").expect("built");
    let real = real.display();
    let program = |name: &str, does: &str| {
        let text = format!("#!/bin/sh\n{does}\n");
        programs::script(&text, &folder.path().join(name)).expect("a program");
    };
    // A machine that cannot hold the pack's sandboxes.
    program("bailiwick-executor", "echo 'cgroup: none'; echo '  remedy: run it as root'; exit 4");
    // A policy without a control that the pack has, so that the webhook really admits what it should refuse.
    let weaker = |change: &str| format!("{real} \"$@\" || exit; sed -i '{change}' dist/*/bundle.json");
    for (wrong, says) in [
        (format!("exec {real} \"$@\""), "remedy: run it as root"),
        (weaker(r#"s/"level":"Restricted"/"level":"Privileged"/"#), "does not write `RuntimeDefault`"),
        (weaker(r#"s/"defaults":\["gvisor"\]/"defaults":["runc"]/"#), "does not write `gvisor`"),
        (weaker(r#"s/{"str":"2Gi"}/{"str":"8Gi"}/g"#), "a pod of 4Gi was admitted"),
        // A `check` that accepts a typo.
        (format!("[ \"$1\" = check ] && exit 0; exec {real} \"$@\""), "`bailiwick check` ended with"),
        // A compiler that fails.
        ("echo no >&2; exit 3".to_owned(), "`bailiwick compile` failed"),
        // A bundle with a changed byte.
        (weaker(r#"s/"formatVersion":[0-9]*/"formatVersion":99/"#), "the webhook did not come up"),
    ] {
        program("bailiwick", &wrong);
        let (temporary, home) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let output = run(&demo, temporary.path(), home.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{wrong}: {said}");
        assert!(said.contains("The demo deviated") && said.contains(says), "{wrong}: {said}");
        nothing_is_left(temporary.path());
    }
}
