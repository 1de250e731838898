//! The modules of Rego beside a pack, put into its spec: a rule names a file, the compiled pack and the object on the API server hold the text.
//!
//! Not here: what the text means ([`crate::rego`]).

use bailiwick_crds::pack::PolicyPackSpec;
use serde_json::Value as Json;

use crate::fragments::merge;
use crate::source::{PackSources, SourceFile};

/// The folder of the modules, as it stands before their names.
pub const FOLDER: &str = "rego/";

/// The text of a file, if it is there and is text.
fn text<'f>(file: &str, rego: &'f [SourceFile]) -> Option<&'f str> {
    let found = rego.iter().find(|one| one.name.strip_prefix(FOLDER) == Some(file))?;
    str::from_utf8(&found.bytes).ok()
}

/// Puts the text of each file beside its name. Of one that is not there the name alone stays, which lowering reports.
pub(crate) fn inline(spec: &mut PolicyPackSpec, rego: &[SourceFile]) {
    let rules = spec.admission.iter_mut().flat_map(|admission| &mut admission.rules);
    for module in rules.filter_map(|rule| rule.rego.as_mut()) {
        if let Some(file) = &module.file {
            module.source = text(file, rego).map(str::to_owned);
        }
    }
}

/// A pack as the object that the API server takes: fragments merged, modules put in. `None` where its text cannot be read so far.
#[must_use]
pub fn as_resource(sources: &PackSources) -> Option<Json> {
    let mut document = merge(sources).root?.to_json();
    let spec = document.get_mut("spec")?;
    *spec = inlined(spec.take(), &sources.rego);
    Some(document)
}

/// Puts the text of each file in place of its name, as the object on the API server has it. So the digest of a pack is that of its folder and
/// of its object alike, and changes with its Rego.
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
