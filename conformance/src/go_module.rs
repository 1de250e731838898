//! Files of Go modules: the independent corpora that tests read, by exact version, from Go's own module
//! cache, and the programs of the modules in `conformance/`.

use std::fs::File;
use std::path::{Path, PathBuf};
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

/// Builds a program of a module in `conformance/`, at the versions that its go.sum pins, and returns its path,
/// which is the same for everyone: Go then links only what changed, which takes seconds of processor otherwise.
///
/// # Errors
/// Go is missing, the program does not build, or its place cannot be written.
pub fn built(module: &str, package: &str, name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program has no path")?;
    let program = own.parent().context("this program has no folder")?.join(format!("{name}-of-go"));
    // Tests of several programs ask at the same time, and one must not start what another still writes.
    let lock = File::create(program.with_extension("lock")).context("no lock beside this program")?;
    lock.lock().context("no lock beside this program")?;
    let built = Command::new("go")
        .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(package)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(module))
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .output()
        .context("cannot run go; install the Debian package `golang-go` (or Go 1.26 and newer)")?;
    if !built.status.success() {
        bail!("conformance/{module} does not build: {}", String::from_utf8_lossy(&built.stderr));
    }
    Ok(program)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Download {
    dir: Option<PathBuf>,
    error: Option<String>,
}
