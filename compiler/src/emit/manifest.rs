//! Typed values to bytes: YAML for Kubernetes, JSON for the rest. Artifacts are written only here.
//!
//! The YAML writer quotes what a YAML 1.1 reader (kubectl) would read as a boolean, a number or a date.
//! Members are in the order of the Kubernetes types, which does not depend on a map.

use k8s_openapi::Resource;
use serde::Serialize;

use super::EmitError;

/// Documents of one YAML file.
pub(super) struct Documents {
    path: &'static str,
    text: String,
}

impl Documents {
    pub(super) const fn new(path: &'static str) -> Self {
        Self { path, text: String::new() }
    }

    /// Adds an object.
    pub(super) fn push<T: Resource + Serialize>(&mut self, object: &T) -> Result<(), EmitError> {
        if !self.text.is_empty() {
            self.text.push_str("---\n");
        }
        let options = serde_saphyr::ser_options! { compact_list_indent: true, prefer_block_scalars: false };
        serde_saphyr::to_fmt_writer_with_options(&mut self.text, object, options)
            .map_err(|error| EmitError::Yaml { path: self.path.to_owned(), error: error.to_string() })
    }

    /// The file; `None` if it is empty.
    pub(super) fn bytes(self) -> Option<Vec<u8>> {
        (!self.text.is_empty()).then(|| self.text.into_bytes())
    }
}

/// Indented JSON with a final newline.
pub(super) fn json<T: Serialize>(path: &str, value: &T) -> Result<Vec<u8>, EmitError> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|error| EmitError::Json { path: path.to_owned(), error })?;
    bytes.push(b'\n');
    Ok(bytes)
}
