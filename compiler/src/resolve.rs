//! From the files of a pack to the resolved packs: the pack itself and all that it extends, each with its
//! parameters substituted.
//!
//! ```text
//! files ► fragments::merge ► parameters ► schema_check ► PolicyPackSpec ┐
//!                                  ▲                                    ├► Resolved (parents first)
//! extends ► pack.lock ► Library ───┴── the same for every parent ───────┘
//! ```
//!
//! No error stops resolution: a faulty pack continues with its valid part ([`crate::salvage`]), which is
//! checked but never compiled. This module neither meets the packs nor looks at CEL.

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
    /// Parents come before the packs that extend them; the last one is the pack under compilation.
    pub packs: Vec<ResolvedPack>,
}

/// Resolves a pack with everything that it extends, as `pack.lock` says. Collects all problems; with any
/// error, there is no result. Diagnostics have their places.
#[must_use]
pub fn resolve(
    sources: &PackSources,
    library: &dyn Library,
    bindings: &Bindings,
) -> (Option<Resolved>, Vec<Diagnostic>) {
    let (resolved, diagnostics, _) = resolve_with(sources, library, bindings, Locking::Enforce);
    (resolved, diagnostics)
}

/// The text of the `pack.lock` that a pack should have (listing no packs if it extends none), the findings,
/// and the versions chosen.
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

/// As [`resolve`], and also returns the versions chosen for extended packs, even if there are errors.
pub(crate) fn resolve_with(
    sources: &PackSources,
    library: &dyn Library,
    bindings: &Bindings,
    locking: Locking,
) -> (Option<Resolved>, Vec<Diagnostic>, BTreeMap<String, Version>) {
    let (resolved, diagnostics, taken) = attempt(sources, library, bindings, locking);
    ((!has_errors(&diagnostics)).then_some(resolved), diagnostics, taken)
}

/// As above; on errors, also what is left of the packs once every faulty part is removed, to be checked but
/// not compiled.
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
