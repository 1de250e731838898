//! What `artifacts.json`, which the compiler writes next to a bundle, says about it: the digest that its
//! bytes must have.
//!
//! Not a defence against an attacker who can write both files: that takes a digest from elsewhere
//! ([`super::load_expecting`]). It finds bytes that were changed by hand or in transit, which otherwise may
//! give another valid policy.

use serde::Deserialize;

use super::{Bundle, BundleError, load, load_expecting};

/// Name of the list.
pub const FILE: &str = "artifacts.json";

/// The largest list that is read, in bytes: it names some dozen files and, for each, the fields that they
/// come from.
pub const MAX_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
struct List {
    files: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    sha256: String,
}

/// Reads a bundle with the given file name, next to which this list was found.
///
/// # Errors
/// As for [`load`]; a list that cannot be read, or that gives the file another digest.
pub fn load_listed(bytes: &[u8], name: &str, list: Option<&[u8]>) -> Result<Bundle, BundleError> {
    let Some(list) = list else { return load(bytes) };
    let List { files } = serde_json::from_slice(list).map_err(BundleError::List)?;
    match files.iter().find(|entry| entry.path == name) {
        Some(entry) => load_expecting(bytes, &entry.sha256),
        None => load(bytes),
    }
}
