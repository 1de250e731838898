//! Packs in, effective policy out: the one entry point of the command line. The webhook and the operator use
//! [`crate::cluster`].
//!
//! Resolves each pack with what it extends, passes them to [`crate::assemble`], and adds its place to every
//! finding.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_policy::ir::Const;
use bailiwick_policy::policy::{PackSource, Policy};
use semver::Version;
use serde_json::Value as Json;

use crate::assemble::{Lineage, assemble, by_themselves};
use crate::cel::{Parameter, Type};
use crate::custom_kinds::CustomKinds;
use crate::diagnostic::{About, Diagnostic, has_errors};
use crate::library::Library;
use crate::lower::Pack;
use crate::parameters::Bindings;
use crate::resolve::{Locking, Resolved, ResolvedPack, attempt, digest};
use crate::source::PackSources;

/// The result of compiling some packs.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The effective policy of all of them; `None` if there is any error.
    pub policy: Option<Policy>,
    /// The findings, one list for each given pack, in the given order.
    pub diagnostics: Vec<Vec<Diagnostic>>,
    /// In the same order, the versions chosen for the ancestors of each pack, as far as they were found.
    pub taken: Vec<BTreeMap<String, Version>>,
}

impl Compiled {
    /// All findings.
    pub fn all(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().flatten()
    }

    /// Whether any finding is an error.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.diagnostics.iter().any(|list| has_errors(list))
    }
}

/// Compiles the one effective policy of several packs, each with its bindings.
///
/// No error stops this. Diagnostics have their places; those about an extended pack name it.
#[must_use]
pub fn compile(packs: &[(&PackSources, Bindings)], library: &dyn Library) -> Compiled {
    compile_locked(packs, library, Locking::Enforce)
}

/// As [`compile`], and checks rules over these custom resources by their schemas. The policy is the same as
/// from [`compile`], since no schemas are given where it is put in force.
#[must_use]
pub fn compile_with(
    packs: &[(&PackSources, Bindings)],
    library: &dyn Library,
    kinds: &Arc<CustomKinds>,
) -> Compiled {
    let mut checked = compile_kinds(packs, library, Locking::Enforce, kinds);
    if !kinds.is_empty() && checked.policy.is_some() {
        checked.policy = compile(packs, library).policy;
    }
    checked
}

/// As above, but the newest matching packs may be used in place of a lock.
pub(crate) fn compile_locked(
    packs: &[(&PackSources, Bindings)],
    library: &dyn Library,
    locking: Locking,
) -> Compiled {
    compile_kinds(packs, library, locking, &Arc::default())
}

fn compile_kinds(
    packs: &[(&PackSources, Bindings)],
    library: &dyn Library,
    locking: Locking,
    kinds: &Arc<CustomKinds>,
) -> Compiled {
    let lineage = |resolved: &Resolved| lineage(resolved, kinds);
    let mut compiled = Compiled::default();
    let (mut lineages, mut resolutions) = (Vec::new(), Vec::new());
    for (sources, bindings) in packs {
        let (resolved, mut diagnostics, taken) = attempt(sources, library, bindings, locking);
        let resolved = if has_errors(&diagnostics) {
            let mut found = lineage(&resolved).as_ref().map(by_themselves).unwrap_or_default();
            found.iter_mut().for_each(|diagnostic| locate(&resolved, diagnostic));
            diagnostics.extend(found);
            None
        } else {
            Some(resolved)
        };
        compiled.diagnostics.push(diagnostics);
        compiled.taken.push(taken);
        lineages.extend(resolved.as_ref().and_then(lineage));
        resolutions.push(resolved);
    }
    let complete = resolutions.iter().all(Option::is_some);
    let assembled = assemble(&lineages);
    let mut said = assembled.diagnostics.into_iter();
    for (resolved, list) in resolutions.iter().zip(&mut compiled.diagnostics) {
        let Some(resolved) = resolved else { continue };
        let mut found = said.next().unwrap_or_default();
        found.iter_mut().for_each(|diagnostic| locate(resolved, diagnostic));
        list.extend(found);
    }
    compiled.policy = assembled.policy.filter(|_| complete && !compiled.failed());
    compiled
}

/// A resolved pack and its ancestors; the pack itself is the last of the resolved ones.
fn lineage(resolved: &Resolved, kinds: &Arc<CustomKinds>) -> Option<Lineage> {
    let (own, ancestors) = resolved.packs.split_last()?;
    Some(Lineage {
        pack: pack(own, None, kinds),
        ancestors: ancestors.iter().map(|parent| pack(parent, Some(parent.name.clone()), kinds)).collect(),
    })
}

fn pack(resolved: &ResolvedPack, extended: Option<String>, kinds: &Arc<CustomKinds>) -> Pack {
    let declared = |name: &str| resolved.spec.parameters.iter().find(|one| one.name == name);
    let parameters = resolved.parameters.iter().map(|(name, value)| {
        let of = declared(name).map_or(Type::Dyn, |parameter| type_of(parameter.type_.as_str()));
        (name.clone(), Parameter { of, value: constant(value) })
    });
    let values = resolved.parameters.clone().into_iter().collect();
    Pack {
        spec: resolved.spec.clone(),
        source: PackSource {
            name: resolved.name.clone(),
            version: resolved.version.to_string(),
            digest: resolved.digest.clone(),
            parameters_digest: digest(&Json::Object(values)),
            parameters: Const::Map(
                resolved
                    .parameters
                    .iter()
                    .map(|(name, value)| (Const::Str(name.clone()), constant(value)))
                    .collect(),
            ),
        },
        parameters: Arc::new(parameters.collect::<BTreeMap<_, _>>()),
        extended,
        kinds: Arc::clone(kinds),
    }
}

/// The CEL type; quantities, durations and enumerations are strings in CEL.
pub(crate) fn type_of(declared: &str) -> Type {
    match declared {
        "int" => Type::Int,
        "bool" => Type::Bool,
        "list(string)" => Type::List(Arc::new(Type::String)),
        "list(int)" => Type::List(Arc::new(Type::Int)),
        _ => Type::String,
    }
}

pub(crate) fn constant(value: &Json) -> Const {
    match value {
        Json::Null => Const::Null,
        Json::Bool(value) => Const::Bool(*value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Const::Double(number.as_f64().unwrap_or_default()), Const::Int)
        }
        Json::String(text) => Const::Str(text.clone()),
        Json::Array(items) => Const::List(items.iter().map(constant).collect()),
        Json::Object(members) => Const::Map(
            members.iter().map(|(key, value)| (Const::Str(key.clone()), constant(value))).collect(),
        ),
    }
}

/// Adds places to a finding and its related positions, each in the file of its own pack.
fn locate(resolved: &Resolved, diagnostic: &mut Diagnostic) {
    let Some((own, ancestors)) = resolved.packs.split_last() else { return };
    let of = |name: &Option<String>| match name {
        Some(name) => ancestors.iter().chain([own]).find(|pack| pack.name == *name),
        None => Some(own),
    };
    if let Some(pack) = of(&diagnostic.pack) {
        pack.map.locate(diagnostic);
    }
    for related in diagnostic.related.iter_mut().filter(|related| related.place.is_none()) {
        // The text of a pack outside this lineage is not known here.
        let pack = of(&related.pack);
        related.place = pack.and_then(|pack| pack.map.place(&related.at, About::Value, None));
    }
}

/// Fuzz entry: any bytes as the text of a pack. Nothing may panic, hang or exceed its limits.
pub fn fuzz(data: &[u8]) {
    let sources = PackSources::single(data);
    let compiled = compile(&[(&sources, Bindings::default())], &crate::library::MemoryLibrary::default());
    debug_assert!(compiled.policy.is_none() || !compiled.failed());
}
