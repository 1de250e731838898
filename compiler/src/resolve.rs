//! From the files of a pack to the packs that are met: the pack itself and all that it extends, each with its parameters
//! substituted.
//!
//! ```text
//! files ► fragments::merge ► parameters ► schema_check ► PolicyPackSpec ┐
//!                                  ▲                                    ├► Resolved (parents first)
//! extends ► pack.lock ► Library ───┴── the same for every parent ───────┘
//! ```
//!
//! Nothing stops at the first error: of a faulty pack what is left goes on ([`crate::salvage`]), to be looked at and never compiled.
//! Not here: what the packs mean together (the meet), and anything about CEL.

mod pack;

use std::collections::BTreeMap;

use semver::Version;

use crate::ancestors::AncestorLoader;
use crate::diagnostic::{Diagnostic, FieldPath, has_errors};
use crate::library::Library;
use crate::lock;
use crate::parameters::{Bindings, Choice};
use crate::source::PackSources;

pub use pack::{Locking, ResolvedPack, digest};
pub(crate) use pack::{Read, read};

/// A pack and all that it extends.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Parents before those that extend them; the last one is the pack under compilation.
    pub packs: Vec<ResolvedPack>,
}

/// Resolves a pack with everything that it extends, as `pack.lock` says. All problems are collected; with any error there is no
/// result. Diagnostics have their places.
#[must_use]
pub fn resolve(
    sources: &PackSources,
    library: &dyn Library,
    bindings: &Bindings,
) -> (Option<Resolved>, Vec<Diagnostic>) {
    let (resolved, diagnostics, _) = resolve_with(sources, library, bindings, Locking::Enforce);
    (resolved, diagnostics)
}

/// Text of the `pack.lock` that a pack should have (empty of packs if it extends none), what there is to say, and the versions that were taken.
#[must_use]
pub fn make_lock(
    sources: &PackSources,
    library: &dyn Library,
) -> (Option<String>, Vec<Diagnostic>, BTreeMap<String, Version>) {
    let (resolved, diagnostics, taken) =
        resolve_with(sources, library, &Bindings::default(), Locking::Ignore);
    let text = resolved.map(|resolved| {
        let parents = resolved.packs.split_last().map_or(&[][..], |(_, parents)| parents);
        let lock = parents.iter().map(|pack| {
            let locked = lock::Locked { version: pack.version.clone(), digest: pack.digest.clone() };
            (pack.name.clone(), locked)
        });
        lock::write(&lock.collect())
    });
    (text, diagnostics, taken)
}

/// As [`resolve`], and the versions that were taken of extended packs, whether or not all is well.
pub(crate) fn resolve_with(
    sources: &PackSources,
    library: &dyn Library,
    bindings: &Bindings,
    locking: Locking,
) -> (Option<Resolved>, Vec<Diagnostic>, BTreeMap<String, Version>) {
    let (resolved, diagnostics, taken) = attempt(sources, library, bindings, locking);
    ((!has_errors(&diagnostics)).then_some(resolved), diagnostics, taken)
}

/// The same, and with errors what is left of the packs once everything faulty is taken out: to look at, not to compile.
pub(crate) fn attempt(
    sources: &PackSources,
    library: &dyn Library,
    bindings: &Bindings,
    locking: Locking,
) -> (Resolved, Vec<Diagnostic>, BTreeMap<String, Version>) {
    let mut loader = AncestorLoader::new(library, locking, sources.lock.as_ref());
    let choose = |name: &str| Choice { pack: None, at: FieldPath::root().member("bindings").member(name) };
    loader.root(sources, &bindings.values, &choose);
    let (packs, taken, diagnostics) = loader.finish();
    (Resolved { packs }, diagnostics, taken)
}
