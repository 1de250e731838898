//! Inlines the Rego modules of a pack into its spec: a rule names a file, while the compiled pack and the
//! object on the API server hold the text.
//!
//! What the text means is the business of [`crate::rego`].

use bailiwick_crds::pack::PolicyPackSpec;
use serde_json::Value as Json;

use crate::fragments::merge;
use crate::source::{PackSources, SourceFile};

/// The folder of the modules, as the prefix of their names.
pub const FOLDER: &str = "rego/";

/// The text of a file, if it exists and is valid text.
fn text<'f>(file: &str, rego: &'f [SourceFile]) -> Option<&'f str> {
    let found = rego.iter().find(|one| one.name.strip_prefix(FOLDER) == Some(file))?;
    str::from_utf8(&found.bytes).ok()
}

/// Adds the text of each file next to its name. A missing file keeps only its name, which lowering reports.
pub(crate) fn inline(spec: &mut PolicyPackSpec, rego: &[SourceFile]) {
    let rules = spec.admission.iter_mut().flat_map(|admission| &mut admission.rules);
    for module in rules.filter_map(|rule| rule.rego.as_mut()) {
        if let Some(file) = &module.file {
            module.source = text(file, rego).map(str::to_owned);
        }
    }
}

/// A pack as the object that the API server accepts: fragments merged, modules inlined. `None` if its text
/// cannot be read that far.
#[must_use]
pub fn as_resource(sources: &PackSources) -> Option<Json> {
    let mut document = merge(sources).root?.to_json();
    let spec = document.get_mut("spec")?;
    *spec = inlined(spec.take(), &sources.rego);
    Some(document)
}

/// Replaces the name of each file by its text, as in the object on the API server. A pack therefore has the
/// same digest as a folder and as an object, and the digest changes with its Rego.
#[must_use]
pub fn inlined(mut spec: Json, rego: &[SourceFile]) -> Json {
    let rules = spec.pointer_mut("/admission/rules").and_then(Json::as_array_mut);
    for module in rules.into_iter().flatten().filter_map(|rule| rule.get_mut("rego")?.as_object_mut()) {
        let found = module.get("file").and_then(Json::as_str).and_then(|file| text(file, rego));
        if let Some(text) = found.map(str::to_owned) {
            module.remove("file");
            module.insert("source".to_owned(), Json::String(text));
        }
    }
    spec
}
