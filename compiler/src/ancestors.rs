//! Finds, locks and reads the packs that a pack extends, parents first.

use std::collections::BTreeMap;

use bailiwick_crds::pack::{Extends, PolicyPackSpec};
use semver::{Version, VersionReq};

use crate::check::{
    bw0207_unknown_pack, bw0208_no_version, bw0209_lock_missing, bw0210_lock_stale, bw0211_lock_digest,
    bw0212_extends_cycle,
};
use crate::diagnostic::{Code, Diagnostic, FieldPath};
use crate::library::Library;
use crate::lock::{self, Lock};
use crate::nearest::nearest;
use crate::parameters::{Choice, Values};
use crate::resolve::{Locking, Read, ResolvedPack, read};
use crate::salvage;
use crate::source::{PackSources, SourceFile};
use crate::yaml::SourceMap;

/// Deepest chain of packs that extend one another.
const MAX_DEPTH: usize = 32;
/// Most packs in a lineage.
const MAX_PACKS: usize = 256;

/// Finds and reads ancestors, each once.
pub(crate) struct AncestorLoader<'a> {
    library: &'a dyn Library,
    locking: Locking,
    lock: Option<Lock>,
    lock_is_broken: bool,
    packs: Vec<ResolvedPack>,
    /// Versions chosen so far, by name, with the pack that asked for each.
    taken: BTreeMap<String, (Version, String)>,
    /// Names from the root to the pack that is being read.
    path: Vec<String>,
    diagnostics: Vec<Diagnostic>,
}

/// The extending pack, while its parents are resolved.
struct Child<'a> {
    pack: Option<&'a str>,
    map: &'a SourceMap,
    at: FieldPath,
}

impl Child<'_> {
    fn report(&self, code: Code, member: &str, message: String) -> Diagnostic {
        let mut found =
            Diagnostic::new(code, self.at.member(member), message).in_pack(self.pack.map(str::to_owned));
        self.map.locate(&mut found);
        found
    }
}

impl<'a> AncestorLoader<'a> {
    pub(crate) fn new(library: &'a dyn Library, locking: Locking, file: Option<&SourceFile>) -> Self {
        let (lock, diagnostics) = match file.filter(|_| locking == Locking::Enforce) {
            Some(file) => lock::read(file),
            None => (None, Vec::new()),
        };
        let lock_is_broken = !diagnostics.is_empty();
        Self {
            library,
            locking,
            lock,
            lock_is_broken,
            packs: Vec::new(),
            taken: BTreeMap::new(),
            path: Vec::new(),
            diagnostics,
        }
    }

    /// Reads the pack under compilation and all its ancestors.
    pub(crate) fn root(&mut self, sources: &PackSources, chosen: &Values, place: &dyn Fn(&str) -> Choice) {
        self.pack(sources, None, chosen, place);
        let Some(lock) = self.lock.take() else { return };
        if !crate::diagnostic::has_errors(&self.diagnostics) {
            let taken = &self.taken;
            let mut surplus = lock::surplus(&lock, |name| taken.contains_key(name));
            if let Some(root) = self.packs.last() {
                surplus.iter_mut().for_each(|found| root.map.locate(found));
            }
            self.diagnostics.extend(surplus);
        }
    }

    /// The packs, the versions chosen for the ancestors of the root, and the findings.
    pub(crate) fn finish(self) -> (Vec<ResolvedPack>, BTreeMap<String, Version>, Vec<Diagnostic>) {
        let taken = self.taken.into_iter().map(|(name, (version, _))| (name, version));
        (self.packs, taken.collect(), self.diagnostics)
    }

    /// Reads a pack after its parents and returns its index.
    fn pack(
        &mut self,
        sources: &PackSources,
        pack: Option<&str>,
        chosen: &Values,
        place: &dyn Fn(&str) -> Choice,
    ) -> Option<usize> {
        let Read { digest, parameters, spec, version, map, diagnostics } =
            match read(sources, pack, chosen, place) {
                Ok(read) => read,
                Err(diagnostics) => {
                    self.diagnostics.extend(diagnostics);
                    return None;
                }
            };
        let parents_are_sound = salvage::parents_are_sound(&diagnostics);
        self.diagnostics.extend(diagnostics);
        let found = self.packs.iter().position(|known| {
            known.name == spec.pack && known.version == version && known.parameters == parameters
        });
        if found.is_some() {
            return found;
        }
        self.path.push(spec.pack.clone());
        let extends = if parents_are_sound { self.parents(&spec, pack, &map) } else { Vec::new() };
        self.path.pop();
        let name = spec.pack.clone();
        self.packs.push(ResolvedPack {
            name,
            version,
            digest,
            parameters,
            spec,
            map,
            rego: sources.rego.clone(),
            extends,
        });
        Some(self.packs.len() - 1)
    }

    fn parents(&mut self, spec: &PolicyPackSpec, pack: Option<&str>, map: &SourceMap) -> Vec<usize> {
        if pack.is_none()
            && !spec.extends.is_empty()
            && self.locking == Locking::Enforce
            && self.lock.is_none()
            && !self.lock_is_broken
        {
            let at = FieldPath::spec().member("extends");
            let mut found = Diagnostic::new(
                bw0209_lock_missing::CODE,
                at,
                "the pack extends others and has no `pack.lock`",
            )
            .with_help("run `bailiwick compile --lock` and commit `pack.lock`");
            map.locate(&mut found);
            self.diagnostics.push(found);
        }
        let mut parents = Vec::new();
        for (index, entry) in spec.extends.iter().enumerate() {
            let child = Child { pack, map, at: FieldPath::spec().member("extends").index(index) };
            parents.extend(self.parent(entry, &child));
        }
        parents.sort_unstable();
        parents.dedup();
        parents
    }

    fn parent(&mut self, entry: &Extends, child: &Child<'_>) -> Option<usize> {
        if self.path.contains(&entry.name) {
            let circle: Vec<_> =
                self.path.iter().chain([&entry.name]).map(|name| format!("`{name}`")).collect();
            let message = format!("packs extend each other in a circle: {}", circle.join(" → "));
            self.diagnostics.push(child.report(bw0212_extends_cycle::CODE, "name", message));
            return None;
        }
        if self.path.len() >= MAX_DEPTH || self.packs.len() >= MAX_PACKS {
            let message = format!("more than {MAX_DEPTH} packs deep, or more than {MAX_PACKS} packs");
            self.diagnostics.push(child.report(bw0212_extends_cycle::CODE, "name", message));
            return None;
        }
        let version = self.version(entry, child)?;
        let Some(sources) = self.library.sources(&entry.name, &version) else {
            let message = format!("the library cannot give `{}` {version}", entry.name);
            self.diagnostics.push(child.report(bw0207_unknown_pack::CODE, "name", message));
            return None;
        };
        let at = child.at.member("parameters");
        let pack = child.pack.map(str::to_owned);
        let place = move |name: &str| Choice { pack: pack.clone(), at: at.member(name) };
        let before = self.diagnostics.len();
        let index = self.pack(&sources, Some(&entry.name), &entry.parameters, &place);
        // Choices are written in the child, and only the child's text has their bytes.
        for found in
            self.diagnostics.iter_mut().skip(before).filter(|found| found.pack.as_deref() == child.pack)
        {
            child.map.locate(found);
        }
        self.hold_digest(index?, child);
        index
    }

    /// Checks a parent against the digest in the lock.
    fn hold_digest(&mut self, index: usize, child: &Child<'_>) {
        let Some(pack) = self.packs.get(index) else { return };
        let Some(locked) = self.lock.as_ref().and_then(|lock| lock.get(&pack.name)) else { return };
        if locked.digest != pack.digest {
            let message = format!(
                "`{}` {} has changed: its digest is {}, `pack.lock` says {}",
                pack.name, pack.version, pack.digest, locked.digest
            );
            let found = child.report(bw0211_lock_digest::CODE, "name", message);
            self.diagnostics
                .push(found.with_help("find out who changed it; a wanted change needs a new version"));
        }
    }

    /// The version of a parent: the locked one, or the newest that matches.
    fn version(&mut self, entry: &Extends, child: &Child<'_>) -> Option<Version> {
        let requirement = VersionReq::parse(entry.version.as_str()).ok()?;
        if let Some((version, by)) = self.taken.get(&entry.name) {
            if requirement.matches(version) {
                return Some(version.clone());
            }
            let message = format!(
                "`{}` {requirement} is asked for here, and {version} was taken for `{by}`",
                entry.name
            );
            self.diagnostics.push(child.report(bw0208_no_version::CODE, "version", message));
            return None;
        }
        // Asks for no more than the answer depends on, since a compilation stays valid as long as the answers
        // do.
        if !self.library.knows(&entry.name) {
            let names = self.library.names();
            let near = nearest(&entry.name, names.iter().map(String::as_str));
            let found = child.report(
                bw0207_unknown_pack::CODE,
                "name",
                format!("the library has no pack `{}`", entry.name),
            );
            let help = near.map(|near| format!("did you mean `{near}`?"));
            self.diagnostics.push(found.with_any_help(help));
            return None;
        }
        let newest = || self.library.newest(&entry.name, &requirement);
        let version = match &self.lock {
            Some(lock) => match lock.get(&entry.name) {
                Some(locked)
                    if requirement.matches(&locked.version)
                        && self.library.holds(&entry.name, &locked.version) =>
                {
                    locked.version.clone()
                }
                locked => {
                    let said = match locked {
                        None => format!("`pack.lock` does not name `{}`", entry.name),
                        Some(locked) if requirement.matches(&locked.version) => {
                            format!(
                                "`pack.lock` names `{}` {}, which the library does not hold",
                                entry.name, locked.version
                            )
                        }
                        Some(locked) => format!(
                            "`pack.lock` names `{}` {}, which is not {requirement}",
                            entry.name, locked.version
                        ),
                    };
                    let found = child.report(bw0210_lock_stale::CODE, "version", said);
                    let help = stale_help(newest().as_ref());
                    self.diagnostics.push(found.with_help(help));
                    return None;
                }
            },
            None => {
                let Some(newest) = newest() else {
                    self.no_version(entry, &requirement, child);
                    return None;
                };
                newest
            }
        };
        let by = self.path.last().cloned().unwrap_or_default();
        self.taken.insert(entry.name.clone(), (version.clone(), by));
        Some(version)
    }

    /// Reports that no version of a parent matches, and which versions exist.
    fn no_version(&mut self, entry: &Extends, requirement: &VersionReq, child: &Child<'_>) {
        let mut all = self.library.versions(&entry.name);
        all.sort();
        let all: Vec<_> = all.iter().map(|version| format!("`{version}`")).collect();
        let message = format!("no version of `{}` is {requirement}", entry.name);
        let found = child.report(bw0208_no_version::CODE, "version", message);
        self.diagnostics.push(found.with_help(format!("the library holds {}", all.join(", "))));
    }
}

/// Help for a lock that does not match.
fn stale_help(newest: Option<&Version>) -> &'static str {
    match newest {
        Some(_) => "run `bailiwick compile --lock`",
        None => "no version of the library will do",
    }
}
