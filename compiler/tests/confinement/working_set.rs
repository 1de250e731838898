//! What the smoke programs of the runtimes really call, measured by strace: the profiles cover it, and what CPython needs to start is what BW0419
//! guards.

use std::collections::BTreeSet;
use std::process::Command;

use bailiwick_compiler::syscalls::{self, START};
use bailiwick_crds::sandbox::SyscallProfile::{self, Python, Shell};

use crate::has;
use crate::policies::calls;

const SMOKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/working_set");

/// Names of the calls of a program and all its children; `None`: strace is not there.
fn traced(program: &[&str]) -> Option<BTreeSet<String>> {
    if !has("strace", "install the Debian package strace") {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .args(program)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("strace runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.ends_with("ok\n"), "{program:?} said {said}");
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let call = |line: &str| {
        let rest = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let name = rest.split_once('(')?.0;
        let plain = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        plain.then(|| name.to_owned())
    };
    Some(text.lines().filter_map(call).collect())
}

fn check(profile: SyscallProfile, program: &[&str], at_least: usize) {
    let Some(used) = traced(program) else { return };
    assert!(used.len() >= at_least, "the trace has only {used:?}");
    let calls = calls(profile);
    let known: BTreeSet<&str> = calls
        .allowed
        .iter()
        .map(|call| call.name.as_str())
        .chain(calls.refused.iter().map(|call| call.name.as_str()))
        .collect();
    let missing: Vec<_> = used.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{profile:?} does not cover {missing:?}");
    assert!(used.iter().all(|name| syscalls::numbers(name).is_some()));
}

#[test]
fn the_python_profile_covers_the_standard_library() {
    check(Python, &["python3", "-I", &format!("{SMOKE}/smoke.py")], 80);
}

#[test]
fn the_shell_profile_covers_usual_programs() {
    check(Shell, &["/bin/bash", &format!("{SMOKE}/smoke.sh")], 60);
}

/// Shells run Python too.
#[test]
fn the_shell_profile_covers_the_standard_library() {
    check(Shell, &["python3", "-I", &format!("{SMOKE}/smoke.py")], 80);
}

/// What BW0419 refuses to remove is in the profile, and a bare start uses no call that the profile lacks.
#[test]
fn what_python_starts_with_is_in_its_profile() {
    let calls = calls(Python);
    for name in START {
        assert!(calls.allowed.iter().any(|call| call.name == *name), "{name}");
    }
    check(Python, &["python3", "-I", "-c", "print('ok')"], 15);
}
