//! Helm itself, built by Go at the versions pinned in `conformance/helm/go.mod` and its go.sum.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The package of the program.
const PACKAGE: &str = "helm.sh/helm/v4/cmd/helm";

/// Builds Helm and returns the path of the program in a folder. This takes a minute or two the first time,
/// and later only a look into Go's build cache.
///
/// # Errors
/// Go is missing, or the program does not build; Go's messages are on standard error.
pub fn build(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("helm");
    let built = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(PACKAGE)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("helm"))
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .status()
        .context("cannot run go; install the Debian package `golang-go` (or Go 1.26 and newer)")?;
    if !built.success() {
        bail!("{PACKAGE} does not build; Go's messages are above");
    }
    Ok(program)
}
