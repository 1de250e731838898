//! The generator of `compiler/src/syscalls/table.rs`, and its oracle. Source: the kernel headers in the crate `linux-raw-sys`, pinned in the
//! workspace. Oracle: the `SYS_*` constants of the crate `libc`, which its authors write by hand from other headers.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick_compiler::syscalls;
use expect_test::expect_file;
use serde_json::Value;

type Numbers = BTreeMap<String, u32>;

/// Where cargo keeps the source of a package that this workspace resolves.
fn source_of(package: &str) -> (String, PathBuf) {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let found = metadata["packages"].as_array().expect("a list").iter().find(|one| one["name"] == package);
    let found = found.unwrap_or_else(|| panic!("`{package}` is not in Cargo.lock"));
    let manifest = Path::new(found["manifest_path"].as_str().expect("a path"));
    let version = found["version"].as_str().expect("a version").to_owned();
    (version, manifest.parent().expect("a folder").to_owned())
}

/// The constants of a source file that begin with `prefix`.
fn constants(file: &Path, prefix: &str) -> Numbers {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines()
        .filter_map(|line| {
            let (name, rest) =
                line.trim().strip_prefix("pub const ")?.strip_prefix(prefix)?.split_once(':')?;
            let number = rest.split_once("= ")?.1.trim_end_matches(';').parse().ok()?;
            Some((name.to_owned(), number))
        })
        .collect()
}

fn kernel(arch: &str) -> Numbers {
    let (version, folder) = source_of("linux-raw-sys");
    assert_eq!(version, "0.12.1", "the head of table.rs names the version");
    constants(&folder.join("src").join(arch).join("general.rs"), "__NR_")
}

#[test]
fn the_table_is_what_the_kernel_headers_say() {
    let (x86_64, aarch64) = (kernel("x86_64"), kernel("aarch64"));
    let committed = include_str!("../src/syscalls/table.rs");
    let head = committed.split_inclusive("= &[\n").next().expect("a head");
    let mut text = head.to_owned();
    let names: std::collections::BTreeSet<_> = x86_64.keys().chain(aarch64.keys()).collect();
    for name in names {
        let (x86_64, aarch64) = (x86_64.get(name), aarch64.get(name));
        writeln!(text, "    row(\"{name}\", {x86_64:?}, {aarch64:?}),").expect("a string grows");
    }
    text.push_str("];\n");
    expect_file!["../src/syscalls/table.rs"].assert_eq(&text);
}

#[test]
fn the_table_agrees_with_libc() {
    let (_, folder) = source_of("libc");
    let folder = folder.join("src/unix/linux_like/linux/gnu/b64");
    let x86_64 = constants(&folder.join("x86_64/not_x32.rs"), "SYS_");
    let aarch64 = constants(&folder.join("aarch64/mod.rs"), "SYS_");
    // What libc lacks is new; what it alone has, the kernel has taken out long ago, or aarch64 has it only for old programs.
    let mut compared = 0;
    for name in syscalls::all() {
        let numbers = syscalls::numbers(name).expect("a listed call");
        for (ours, theirs) in [(numbers.x86_64, x86_64.get(name)), (numbers.aarch64, aarch64.get(name))] {
            if let Some(theirs) = theirs {
                let historic = ours.is_none()
                    && matches!(name, "getrlimit" | "setrlimit" | "renameat" | "sync_file_range");
                assert!(ours == Some(*theirs) || historic, "{name}: {ours:?}, libc has {theirs}");
                compared += 1;
            }
        }
    }
    assert!(compared > 650, "only {compared} numbers compared");
}
