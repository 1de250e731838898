//! Names of system calls to numbers, from another source than the compiler's: the constants of the crate `libc`, and for calls that it does not
//! have yet those of `linux-raw-sys`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) type Numbers = BTreeMap<String, u32>;

fn folder(package: &str) -> PathBuf {
    static METADATA: OnceLock<Value> = OnceLock::new();
    let metadata = METADATA.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["metadata", "--format-version=1", "--locked"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = cargo.output().expect("cargo runs");
        serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
    });
    let found = metadata["packages"].as_array().expect("a list").iter().find(|one| one["name"] == package);
    let manifest = found.expect("a package of this workspace")["manifest_path"].as_str().expect("a path");
    Path::new(manifest).parent().expect("a folder").to_owned()
}

fn constants(file: &Path, prefix: &str, into: &mut Numbers) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for line in text.lines() {
        let Some((name, rest)) =
            line.trim().strip_prefix("pub const ").and_then(|line| line.split_once(": "))
        else {
            continue;
        };
        let value = rest.split_once("= ").and_then(|(_, value)| value.trim_end_matches(';').parse().ok());
        if let (Some(name), Some(value)) = (name.strip_prefix(prefix), value) {
            into.insert(name.to_owned(), value);
        }
    }
}

/// The numbers of one architecture, `x86_64` or `aarch64`.
pub(crate) fn numbers(architecture: &str) -> Numbers {
    let mut numbers = Numbers::new();
    constants(
        &folder("linux-raw-sys").join("src").join(architecture).join("general.rs"),
        "__NR_",
        &mut numbers,
    );
    let file = if architecture == "x86_64" { "x86_64/not_x32.rs" } else { "aarch64/mod.rs" };
    constants(&folder("libc").join("src/unix/linux_like/linux/gnu/b64").join(file), "SYS_", &mut numbers);
    numbers
}
