//! Seccomp profiles and nsjail configurations of sandboxes: golden files, each read back by a reader of its own, and what they mean against the
//! policy, against the executor's filters and under the real programs.
#![forbid(unsafe_code)]

mod golden;
mod names;
mod nsjail;
mod oci;
mod policies;
mod reader;
mod working_set;

use std::process::Command;

/// Whether a test that needs a program can run. Under CI its absence is a failure.
fn has(program: &str, how: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "`{program}` is missing: {how}");
        eprintln!("SKIPPED: `{program}` is missing: {how}");
    }
    there
}
