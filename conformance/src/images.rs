//! The chart's images, made by `charts/image/build.py` from the programs next to the running one, just as an
//! administrator who installs the chart makes them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::programs;

/// An image that was made.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name with its digest, as pods name it.
    pub reference: String,
    /// The archive.
    pub archive: PathBuf,
}

/// Makes the image of this name in a folder.
///
/// # Errors
/// Its programs are not built, or this machine lacks a file for it; the message says which.
pub fn build(name: &str, folder: &Path) -> Result<Image> {
    let programs = programs::find("bailiwick")?;
    let programs = programs.parent().context("a program without a folder")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/image/build.py");
    let output = Command::new(&script)
        .arg("--binaries")
        .arg(programs)
        .arg("--out")
        .arg(folder)
        .arg(name)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !output.status.success() {
        bail!("the image `{name}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let said = String::from_utf8(output.stdout)?;
    let reference = said.trim().strip_prefix(name).map(str::trim).context("build.py named no image")?;
    Ok(Image { reference: reference.to_owned(), archive: folder.join(format!("{name}.tar")) })
}
