//! Helm itself, built by Go at the versions pinned in `conformance/helm/go.mod` and its go.sum.

use std::path::PathBuf;

use anyhow::Result;

use crate::go_module;

/// Builds Helm and returns the path of the program. This takes a minute or two the first time.
///
/// # Errors
/// Go is missing, or the program does not build.
pub fn program() -> Result<PathBuf> {
    go_module::built("helm", "helm.sh/helm/v4/cmd/helm", "helm")
}
