//! Packages from npm: published test data of other projects, by exact version and checksum, unpacked next to
//! the built tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// A package, and the checksum that the registry published for it.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its name, with the scope.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// As in a package lock: `sha512-…`.
    pub integrity: &'static str,
}

impl Package {
    /// The folder of the unpacked package; npm downloads it the first time.
    ///
    /// `Ok(None)` if npm or Node is missing and this is not CI; this is reported on standard error, and the
    /// test must then end.
    ///
    /// # Errors
    /// npm is missing under CI (`CI` is set), or the package could not be downloaded or is not the pinned
    /// one.
    pub fn folder(&self) -> Result<Option<PathBuf>> {
        let own = std::env::current_exe().context("this program has no path")?;
        // Tests are built into `target/PROFILE/deps`.
        let built = own.parent().and_then(Path::parent).context("this program has no build folder")?;
        let packages = built.join("npm");
        let folder = packages.join(format!("{}-{}", self.name.replace('/', "-"), self.version));
        if !node_is_there()? {
            return Ok(None);
        }
        if folder.is_dir() {
            return Ok(Some(folder));
        }
        std::fs::create_dir_all(&packages)?;
        let fresh = tempfile::tempdir_in(&packages)?;
        self.download(fresh.path())?;
        // Renamed as a whole or not at all; another test may have been first.
        match std::fs::rename(fresh.path().join("package"), &folder) {
            Err(error) if !folder.is_dir() => Err(error).context("cannot keep the package"),
            _ => Ok(Some(folder)),
        }
    }

    fn download(&self, into: &Path) -> Result<()> {
        let wanted = format!("{}@{}", self.name, self.version);
        let output = Command::new("npm")
            .args(["pack", "--json", "--silent", &wanted])
            .current_dir(into)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run npm")?;
        ensure!(output.status.success(), "npm pack {wanted} failed");
        let packed: Vec<Packed> = serde_json::from_slice(&output.stdout).context("npm pack gave no JSON")?;
        let [packed] = packed.as_slice() else { bail!("npm pack {wanted} gave {} packages", packed.len()) };
        ensure!(
            packed.integrity == self.integrity,
            "{wanted} has the checksum {}, not {}",
            packed.integrity,
            self.integrity
        );
        let unpacked = Command::new("tar")
            .args(["--extract", "--gzip", "--file", &packed.filename])
            .current_dir(into)
            .status()
            .context("cannot run tar")?;
        ensure!(unpacked.success(), "{} cannot be unpacked", packed.filename);
        Ok(())
    }
}

/// A script's standard output.
///
/// # Errors
/// Node cannot be run or the script fails.
pub fn node(script: &str, arguments: &[&Path]) -> Result<Vec<u8>> {
    let output = Command::new("node")
        .args(["--eval", script])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run node")?;
    ensure!(output.status.success(), "the script failed");
    Ok(output.stdout)
}

/// Whether npm and Node can be run: `Ok(false)`, reported on standard error, if one is missing and this is
/// not CI.
fn node_is_there() -> Result<bool> {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
    };
    if runs("node") && runs("npm") {
        return Ok(true);
    }
    let remedy = "npm is missing: install the Debian packages `nodejs` and `npm` (or Node 20 and newer)";
    if std::env::var_os("CI").is_some() {
        bail!(remedy);
    }
    eprintln!("SKIPPED: {remedy}");
    Ok(false)
}

#[derive(Deserialize)]
struct Packed {
    filename: String,
    integrity: String,
}
