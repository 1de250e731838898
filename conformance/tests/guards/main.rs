//! Guards over the source tree, as ordinary tests: who may depend on whom, where `unsafe` is allowed, how a
//! file must read. They are not a style linter: rustfmt and clippy are.

mod documents;
mod house;
mod kept;
mod layering;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// Paths, relative to the root, of the files that git tracks or would track (so a new file is judged before
/// it is committed).
fn source_files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(output.status.success(), "git ls-files failed; the guards need a git checkout");
    let listed = String::from_utf8(output.stdout).expect("paths are UTF-8");
    listed.lines().filter(|path| root().join(path).is_file()).map(str::to_owned).collect()
}
