//! Kubernetes' own test pods for the Pod Security Standards: `test/testdata` of the Go module
//! `k8s.io/pod-security-admission`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bailiwick_policy::policy::{PodSecurity, PodSecurityLevel};

use crate::go_module::go_module;

/// The module that the fixtures come from.
pub const MODULE: &str = "k8s.io/pod-security-admission";
/// Its version.
pub const VERSION: &str = "v0.37.2";

/// A pod and the verdict that Kubernetes' authors expect.
#[derive(Debug)]
pub struct Fixture {
    /// The level and version that it was written for.
    pub standard: PodSecurity,
    /// `None`: the pod passes; otherwise the check that it was made to fail, in lower case.
    pub fails: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// The pod.
    pub pod: serde_json::Value,
}

/// Every fixture, sorted by path. `Ok(None)` if Go is missing and this is not CI.
///
/// # Errors
/// The module could not be downloaded, or a fixture is not where it should be or cannot be read.
pub fn fixtures() -> Result<Option<Vec<Fixture>>> {
    let Some(module) = go_module(MODULE, VERSION)? else { return Ok(None) };
    let mut fixtures = Vec::new();
    for (name, level) in
        [("baseline", PodSecurityLevel::Baseline), ("restricted", PodSecurityLevel::Restricted)]
    {
        for version in entries(&module.join("test/testdata").join(name))? {
            let minor = file_name(&version).strip_prefix("v1.").and_then(|minor| minor.parse().ok());
            let Some(minor) = minor else { bail!("{}: not a version", version.display()) };
            for verdict in ["pass", "fail"] {
                for path in entries(&version.join(verdict))? {
                    let text = std::fs::read_to_string(&path)?;
                    let pod = serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
                    let check = file_name(&path)
                        .trim_end_matches(".yaml")
                        .trim_end_matches(|digit: char| digit.is_ascii_digit());
                    let fails = (verdict == "fail").then(|| check.to_owned());
                    fixtures.push(Fixture { standard: PodSecurity { level, minor }, fails, path, pod });
                }
            }
        }
    }
    fixtures.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Some(fixtures))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("")
}
