//! One pack: merges its files, substitutes its parameters and checks its document against the schema. The
//! packs that it extends are only named here.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_crds::pack::{Parameter, PolicyPackSpec};
use semver::Version;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::check::{bw0107_wrong_type, bw0115_object_name, bw0608_unused_parameter};
use crate::diagnostic::{Diagnostic, FieldPath, has_errors};
use crate::fragments::{Merged, merge};
use crate::modules;
use crate::parameters::{Choice, Substitution, Values};
use crate::salvage::what_is_left;
use crate::schema_check;
use crate::source::{PackSources, SourceFile};
use crate::yaml::{Node, SourceMap, Value};

/// A pack, or one that it extends, read and with its parameters substituted.
#[derive(Clone, Debug)]
pub struct ResolvedPack {
    /// Name.
    pub name: String,
    /// Version.
    pub version: Version,
    /// SHA-256 (hex) of the canonical JSON of the spec as authored.
    pub digest: String,
    /// The values of its parameters.
    pub parameters: Values,
    /// The spec with parameters substituted.
    pub spec: PolicyPackSpec,
    /// Where each field is. Paths are those of the substituted spec: all elements of a spliced list are
    /// located at its `"${name}"`.
    pub map: Arc<SourceMap>,
    /// Its `rego/*.rego`.
    pub rego: Vec<SourceFile>,
    /// Indices in [`super::Resolved::packs`] of the packs that it extends directly.
    pub extends: Vec<usize>,
}

/// Whether `pack.lock` is enforced or generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// It must exist and match.
    Enforce,
    /// The newest matching packs are chosen, whatever it says.
    Ignore,
}

/// A pack that was read, before its parents are known; if there are errors among the diagnostics, its valid
/// part.
pub(crate) struct Read {
    pub(crate) digest: String,
    pub(crate) parameters: Values,
    pub(crate) spec: PolicyPackSpec,
    pub(crate) version: Version,
    pub(crate) map: Arc<SourceMap>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads one pack, with the values chosen for its parameters. `pack` names it in diagnostics if it is not the
/// pack under compilation.
pub(crate) fn read(
    sources: &PackSources,
    pack: Option<&str>,
    chosen: &Values,
    place: &dyn Fn(&str) -> Choice,
) -> Result<Read, Vec<Diagnostic>> {
    let Merged { root, texts, mut diagnostics } = merge(sources);
    let owner = |mut found: Vec<Diagnostic>| {
        for diagnostic in &mut found {
            diagnostic.pack = diagnostic.pack.take().or_else(|| pack.map(str::to_owned));
        }
        found
    };
    let Some(mut root) = root else { return Err(owner(diagnostics)) };
    let authored = root.get("spec").map(|spec| modules::inlined(spec.to_json(), &sources.rego));
    let digest = authored.map(|spec| digest(&spec)).unwrap_or_default();
    let (declared, mut problems) = declarations(&root);
    let mut own = Vec::new();
    let values = crate::parameters::values(&declared, chosen, place, &mut own);
    // A finding about a chosen value belongs where the value was chosen, not in this pack.
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        own.into_iter().partition(|found| !found.at.starts_with(&FieldPath::spec().member("parameters")));
    problems.extend(here);
    let used = substitute(&mut root, &declared, &values, &mut problems);
    problems.extend(unused(&root, &declared, &used, &sources.rego));
    problems.extend(check_document(&root));
    let map = Arc::new(SourceMap::new(Arc::from(texts), root));
    for problem in &mut problems {
        map.locate(problem);
    }
    // Declarations are checked by themselves first, so that the parameters can be used, and then again with
    // the rest.
    let mut seen = BTreeSet::new();
    problems.retain(|found| seen.insert((found.code.id(), found.at.to_string(), found.message.clone())));
    diagnostics.extend(problems);
    let mut diagnostics = owner(diagnostics);
    diagnostics.extend(elsewhere);
    if has_errors(&diagnostics) {
        // Consequences of a fault are not reported: if nothing valid is left, the faults are the whole
        // result.
        return match what_is_left(map.root()).and_then(|left| typed(&left, &sources.rego).ok()) {
            Some((spec, version)) => Ok(Read { digest, parameters: values, spec, version, map, diagnostics }),
            None => Err(diagnostics),
        };
    }
    match typed(map.root(), &sources.rego) {
        Ok((spec, version)) => Ok(Read { digest, parameters: values, spec, version, map, diagnostics }),
        Err(problem) => {
            diagnostics.extend(owner(vec![*problem]));
            Err(diagnostics)
        }
    }
}

/// SHA-256 (hex) of the canonical JSON of a value.
#[must_use]
pub fn digest(value: &Json) -> String {
    // A JSON value has string keys and finite numbers, so it can always be written.
    let hash = Sha256::digest(bailiwick_policy::canonical::to_vec(value).unwrap_or_default());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The wire types of a document that passed the schema check.
fn typed(root: &Node, rego: &[SourceFile]) -> Result<(PolicyPackSpec, Version), Box<Diagnostic>> {
    let spec = root.get("spec").map(Node::to_json).unwrap_or_default();
    let wrong =
        |message: String| Box::new(Diagnostic::new(bw0107_wrong_type::CODE, FieldPath::spec(), message));
    let mut spec: PolicyPackSpec = serde_json::from_value(spec).map_err(|error| wrong(error.to_string()))?;
    let version = Version::parse(spec.version.as_str()).map_err(|error| wrong(error.to_string()))?;
    modules::inline(&mut spec, rego);
    Ok((spec, version))
}

/// The parameters that a pack declares, and the errors in their declarations.
fn declarations(root: &Node) -> (Vec<Parameter>, Vec<Diagnostic>) {
    let Some(node) = root.get("spec").and_then(|spec| spec.get("parameters")) else {
        return (Vec::new(), Vec::new());
    };
    let Some(schema) = schema_check::PACK.pointer("/properties/spec/properties/parameters") else {
        return (Vec::new(), Vec::new());
    };
    let at = FieldPath::spec().member("parameters");
    let diagnostics = schema_check::check(node, schema, &at);
    // Readable declarations count, so that one faulty declaration does not make every use of the others
    // unknown.
    let declared =
        node.items().iter().filter_map(|item| serde_json::from_value(item.to_json()).ok()).collect();
    (declared, diagnostics)
}

/// Substitutes values wherever a pack may use parameters: not in its identity, nor in the declarations
/// themselves.
fn substitute(
    root: &mut Node,
    declared: &[Parameter],
    values: &Values,
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeSet<String> {
    let names = declared.iter().map(|parameter| parameter.name.as_str()).collect();
    let mut substitution =
        Substitution { values, declared: names, used: BTreeSet::new(), diagnostics: Vec::new() };
    let Value::Map(document) = &mut root.value else { return BTreeSet::new() };
    for entry in document.iter_mut().filter(|entry| entry.key == "spec") {
        let Value::Map(sections) = &mut entry.value.value else { continue };
        for section in sections {
            let at = FieldPath::spec().member(section.key.as_str());
            match section.key.as_str() {
                "pack" | "version" | "description" | "parameters" => {}
                "extends" => extended(&mut section.value, &at, &mut substitution),
                _ => substitution.apply(&mut section.value, &at),
            }
        }
    }
    diagnostics.append(&mut substitution.diagnostics);
    substitution.used
}

/// In an `extends` entry, only the chosen values may use parameters.
fn extended(node: &mut Node, at: &FieldPath, substitution: &mut Substitution<'_>) {
    let Value::List(items) = &mut node.value else { return };
    for (index, item) in items.iter_mut().enumerate() {
        let Value::Map(entries) = &mut item.value else { continue };
        for entry in entries.iter_mut().filter(|entry| entry.key == "parameters") {
            substitution.apply(&mut entry.value, &at.index(index).member("parameters"));
        }
    }
}

/// Parameters that are used neither as `"${name}"` nor as `params.name`.
fn unused(
    root: &Node,
    declared: &[Parameter],
    used: &BTreeSet<String>,
    rego: &[SourceFile],
) -> Vec<Diagnostic> {
    let mut named = used.clone();
    if declared.iter().any(|parameter| !named.contains(&parameter.name)) {
        texts(root, &mut |text| params_in(text, &mut named));
        for file in rego {
            params_in(&String::from_utf8_lossy(&file.bytes), &mut named);
        }
    }
    let report = |(index, parameter): (usize, &Parameter)| {
        let message = format!("nothing uses parameter `{}`", parameter.name);
        Diagnostic::new(
            bw0608_unused_parameter::CODE,
            FieldPath::spec().member("parameters").index(index).member("name"),
            message,
        )
        .with_help(format!(
            "write `\"${{{0}}}\"` or `params.{0}` where it counts, or take it out",
            parameter.name
        ))
    };
    declared
        .iter()
        .enumerate()
        .filter(|(_, parameter)| !named.contains(&parameter.name))
        .map(report)
        .collect()
}

fn texts(node: &Node, visit: &mut dyn FnMut(&str)) {
    match &node.value {
        Value::Str(text) => visit(text),
        Value::List(items) => items.iter().for_each(|item| texts(item, visit)),
        Value::Map(entries) => entries.iter().for_each(|entry| texts(&entry.value, visit)),
        _ => {}
    }
}

/// Names after `params.`, `params.?`, and in `params["…"]`; in Rego also after `parameters`.
fn params_in(text: &str, found: &mut BTreeSet<String>) {
    for (at, word) in text.match_indices("params").chain(text.match_indices("parameters")) {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        let name = rest.trim_start_matches(['.', '?', '[', '"', '\'', ' ']);
        if name.len() < rest.len() {
            found.insert(
                name.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect(),
            );
        }
    }
}

/// Every deviation of a document from the schema, and of its name from its metadata.
fn check_document(root: &Node) -> Vec<Diagnostic> {
    let mut diagnostics = schema_check::check(root, &schema_check::PACK, &FieldPath::root());
    let text = |path: [&str; 2]| root.get(path[0]).and_then(|node| node.get(path[1])).and_then(Node::as_str);
    if let (Some(name), Some(pack), Some(version)) =
        (text(["metadata", "name"]), text(["spec", "pack"]), text(["spec", "version"]))
        && name != format!("{pack}-{version}")
    {
        let at = FieldPath::root().member("metadata").member("name");
        let message = format!("`{name}` is not the name of pack `{pack}` in version `{version}`");
        diagnostics.push(
            Diagnostic::new(bw0115_object_name::CODE, at, message)
                .with_help(format!("write `{pack}-{version}`")),
        );
    }
    diagnostics
}
