//! Files of Go modules: the independent corpora that tests read, by exact version, from Go's own module
//! cache.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The directory of a module; Go downloads it if it is missing and checks it against its checksum database.
///
/// `Ok(None)` if Go is missing and this is not CI; this is reported on standard error, and the test must then
/// end.
///
/// # Errors
/// Go is missing under CI (`CI` is set), or the module could not be downloaded.
pub fn go_module(path: &str, version: &str) -> Result<Option<PathBuf>> {
    if !go_is_there()? {
        return Ok(None);
    }
    let output = Command::new("go")
        .args(["mod", "download", "-json", &format!("{path}@{version}")])
        // Outside any module, whose go.mod would affect the result.
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .context("cannot run go")?;
    let download: Download =
        serde_json::from_slice(&output.stdout).context("go mod download -json gave no JSON")?;
    match download.dir {
        Some(dir) if output.status.success() => Ok(Some(dir)),
        _ => bail!("go mod download {path}@{version}: {}", download.error.unwrap_or_default()),
    }
}

/// Whether Go can be run: `Ok(false)`, reported on standard error, if it is missing and this is not CI.
///
/// # Errors
/// Go is missing under CI.
pub fn go_is_there() -> Result<bool> {
    let found = Command::new("go")
        .arg("version")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success());
    if found {
        return Ok(true);
    }
    let remedy = "Go is missing: install the Debian package `golang-go` (or Go 1.24 and newer) and put `go` on the PATH";
    if std::env::var_os("CI").is_some() {
        bail!(remedy);
    }
    eprintln!("SKIPPED: {remedy}");
    Ok(false)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Download {
    dir: Option<PathBuf>,
    error: Option<String>,
}
