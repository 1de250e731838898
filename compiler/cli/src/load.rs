//! Packs from disk into the compiler, and its findings back to the terminal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bailiwick_compiler::compile::compile_with;
use bailiwick_compiler::custom_kinds::CustomKinds;
use bailiwick_compiler::diagnostic::{Diagnostic, Severity};
use bailiwick_compiler::fragments;
use bailiwick_compiler::source::{PackSources, SourceFile};
use bailiwick_compiler::{Bindings, Compiled};
use bailiwick_policy::bundle::{self, Bundle};
use bailiwick_policy::policy::Policy;
use semver::Version;

use crate::args::Binding;
use crate::files::{self, PackFiles};
use crate::library::{LibraryFolders, ReadFolders};
use crate::manifests;
use crate::places::Places;
use crate::print::note;
use crate::render::{self, Texts};

/// Packs read from disk, with the library that they extend from.
pub(crate) struct Loaded {
    pub(crate) packs: Vec<PackFiles>,
    library: LibraryFolders,
    /// Custom resources that rules may govern.
    kinds: Arc<CustomKinds>,
}

impl Loaded {
    /// One pack.
    pub(crate) fn read(pack: &Path, library: Option<&Path>) -> Result<Self> {
        Self::read_all(&[pack.to_owned()], library)
    }

    /// Several packs. The library is the given folder, or the folders that hold the packs.
    pub(crate) fn read_all(packs: &[PathBuf], library: Option<&Path>) -> Result<Self> {
        Self::read_beside(packs, library, &mut ReadFolders::default())
    }

    /// The same, where folders have been read before.
    pub(crate) fn read_beside(
        packs: &[PathBuf],
        library: Option<&Path>,
        known: &mut ReadFolders,
    ) -> Result<Self> {
        let packs = packs.iter().map(|pack| files::read_pack(pack)).collect::<Result<Vec<_>>>()?;
        let mut folders: Vec<PathBuf> = match library {
            Some(folder) if folder.is_dir() => vec![folder.to_owned()],
            Some(folder) => bail!("the library {} is not a folder", folder.display()),
            None => packs.iter().filter_map(|pack| shelf(&pack.folder)).collect(),
        };
        folders.sort();
        folders.dedup();
        Ok(Self { packs, library: known.library(folders)?, kinds: Arc::default() })
    }

    /// No packs yet, with the packs of a folder as their library.
    pub(crate) fn library_alone(folder: Option<&Path>) -> Result<Self> {
        let folders = folder.map(Path::to_owned).into_iter().collect();
        Ok(Self {
            packs: Vec::new(),
            library: ReadFolders::default().library(folders)?,
            kinds: Arc::default(),
        })
    }

    /// The same, with the CustomResourceDefinitions of these files.
    pub(crate) fn with_schemas(mut self, files: &[PathBuf]) -> Result<Self> {
        let mut kinds = CustomKinds::default();
        for file in files {
            let objects = manifests::read(file)?;
            let mut any = false;
            for object in &objects {
                any |= kinds
                    .add(&serde_json::from_slice(object)?)
                    .with_context(|| file.display().to_string())?;
            }
            if !any {
                bail!(
                    "{} holds no CustomResourceDefinition; `kubectl get crd NAME -o yaml` prints one",
                    file.display()
                );
            }
        }
        self.kinds = Arc::new(kinds);
        Ok(self)
    }

    /// Compiles the effective policy of all of them.
    pub(crate) fn compile(&self, bindings: &Choices) -> Compiled {
        let packs: Vec<_> =
            self.packs.iter().map(|pack| (&pack.sources, bindings.of(&pack.sources))).collect();
        compile_with(&packs, &self.library, &self.kinds)
    }

    /// The same for one pack, with other sources in its place.
    pub(crate) fn compile_instead(&self, sources: &PackSources, bindings: &Choices) -> Compiled {
        compile_with(&[(sources, bindings.of(sources))], &self.library, &self.kinds)
    }

    /// The texts of the packs and of those that they extend, by `name@version`.
    pub(crate) fn places(&self, compiled: &Compiled) -> BTreeMap<String, Places> {
        let mut all = BTreeMap::new();
        for (name, version) in compiled.taken.iter().flatten() {
            if let Some((folder, sources)) = self.library.get(name, version) {
                let files = PackFiles { folder: folder.clone(), sources: sources.clone() };
                all.insert(format!("{name}@{version}"), Places::of(&files));
            }
        }
        for pack in &self.packs {
            if let Some((name, version)) = fragments::identity(&pack.sources) {
                all.insert(format!("{name}@{version}"), Places::of(pack));
            }
        }
        all
    }

    /// Each pack's findings, with the texts that they point into: its own, and those of the versions that it
    /// was compiled with.
    pub(crate) fn findings<'c>(
        &'c self,
        compiled: &'c Compiled,
    ) -> impl Iterator<Item = (Rc<Texts>, &'c Diagnostic)> {
        let said = self.packs.iter().zip(&compiled.diagnostics).zip(&compiled.taken);
        said.flat_map(|((pack, diagnostics), taken)| self.findings_of(pack, diagnostics, taken))
    }

    /// The same for one pack.
    pub(crate) fn findings_of<'c>(
        &self,
        pack: &PackFiles,
        diagnostics: &'c [Diagnostic],
        taken: &BTreeMap<String, Version>,
    ) -> impl Iterator<Item = (Rc<Texts>, &'c Diagnostic)> + use<'c> {
        // A pack without findings needs no texts.
        let texts = if diagnostics.is_empty() { Rc::default() } else { self.texts_of(pack, taken) };
        diagnostics.iter().map(move |diagnostic| (Rc::clone(&texts), diagnostic))
    }

    fn texts_of(&self, pack: &PackFiles, taken: &BTreeMap<String, Version>) -> Rc<Texts> {
        let mut texts = Texts::default();
        let mut insert = |name: Option<String>, folder: String, real: &Path, sources: &PackSources| {
            let files = sources.files.iter().chain(&sources.lock).chain(&sources.rego);
            texts.insert(name, folder, real, files);
        };
        for (name, version) in taken {
            if let Some((real, sources)) = self.library.get(name, version) {
                insert(Some(name.clone()), format!("{name}@{version}"), real, sources);
            }
        }
        let own = fragments::identity(&pack.sources).map(|(name, _)| name);
        for name in [own, None] {
            insert(name, pack.folder.display().to_string(), &pack.folder, &pack.sources);
        }
        Rc::new(texts)
    }

    /// The library.
    pub(crate) const fn library(&self) -> &LibraryFolders {
        &self.library
    }
}

/// The folder that contains a pack's folder and its siblings. Uses the full path, so that it is found from
/// within the pack too.
fn shelf(folder: &Path) -> Option<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.canonicalize().ok()?.parent().map(Path::to_owned)
}

/// Values for parameters: `NAME`, or `PACK.NAME` for one pack of several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices(BTreeMap<String, serde_json::Value>);

impl Choices {
    /// These choices and more; the new ones override.
    pub(crate) fn with(mut self, more: &BTreeMap<String, serde_json::Value>) -> Self {
        self.0.extend(more.clone());
        self
    }

    /// Whether nothing is chosen.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is chosen for one pack. A choice that names the pack overrides a choice for all packs.
    fn of(&self, sources: &PackSources) -> Bindings {
        if self.0.is_empty() {
            return Bindings::default();
        }
        let name = fragments::identity(sources).map(|(name, _)| name);
        let (own, common): (Vec<_>, Vec<_>) = self.0.iter().partition(|(key, _)| key.contains('.'));
        let mut values: BTreeMap<String, serde_json::Value> =
            common.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        values.extend(own.into_iter().filter_map(|(key, value)| {
            let (pack, parameter) = key.split_once('.')?;
            (name.as_deref() == Some(pack)).then(|| (parameter.to_owned(), value.clone()))
        }));
        Bindings { values }
    }

    /// Rejects a value for a pack that is not among these: it would bind nothing.
    pub(crate) fn check_names<'p>(&self, packs: impl IntoIterator<Item = &'p PackFiles>) -> Result<()> {
        let packs: Vec<&PackFiles> = packs.into_iter().collect();
        let known: Vec<Option<String>> =
            packs.iter().map(|pack| fragments::identity(&pack.sources).map(|(name, _)| name)).collect();
        // A pack without a valid name has findings of its own.
        if known.iter().any(Option::is_none) {
            return Ok(());
        }
        let known: Vec<String> = known.into_iter().flatten().collect();
        let prefixed = self.0.keys().filter_map(|key| Some((key, key.split_once('.')?.0)));
        for (key, pack) in prefixed {
            if !known.iter().any(|name| name == pack) {
                bail!("no pack `{pack}` is here to bind `{key}` of: {}", known.join(", "));
            }
        }
        Ok(())
    }
}

/// `--set NAME=VALUE` as choices.
pub(crate) fn choices(bindings: &[Binding]) -> Choices {
    Choices(bindings.iter().cloned().collect())
}

/// Compiles one pack with its defaults; `None` after its findings were printed because it does not compile.
pub(crate) fn compile_or_draw(pack: &Path, library: Option<&Path>) -> Result<Option<Policy>> {
    let loaded = Loaded::read(pack, library)?;
    let compiled = loaded.compile(&Choices::default());
    if compiled.failed() {
        draw_compiled(&loaded, &compiled);
        return Ok(None);
    }
    Ok(compiled.policy)
}

/// Prints the findings of packs on standard error.
pub(crate) fn draw_compiled(loaded: &Loaded, compiled: &Compiled) {
    draw_findings(loaded.findings(compiled));
}

/// Prints findings on standard error.
pub(crate) fn draw_findings<'c>(findings: impl Iterator<Item = (Rc<Texts>, &'c Diagnostic)>) {
    for (texts, diagnostic) in findings {
        note!("{}", render::draw(diagnostic, &texts));
    }
}

/// Prints findings about other files of a pack (its tests); returns whether one of them is an error.
pub(crate) fn draw(diagnostics: &[Diagnostic], files: &[SourceFile], folder: &Path) -> bool {
    let mut texts = Texts::default();
    texts.insert(None, folder.display().to_string(), folder, files);
    for diagnostic in diagnostics {
        note!("{}", render::draw(diagnostic, &texts));
    }
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// The bundle of a policy, passed through its bytes, so that decisions use exactly what would be shipped.
pub(crate) fn bundle_of(policy: &Policy) -> Result<Bundle> {
    let bytes = bundle::write(policy)?;
    bundle::load(&bytes).context("the compiled policy cannot be read back")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whichever of the two comes first in alphabetical order.
    #[test]
    fn what_is_said_of_one_pack_wins_over_what_is_said_of_all() {
        let text = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: middle-1.0.0}\nspec: {pack: middle, version: 1.0.0}\n";
        let sources = PackSources::single(text.as_bytes().to_vec());
        for name in ["a", "z"] {
            let choices = choices(&[
                (name.to_owned(), json!("of all")),
                (format!("middle.{name}"), json!("of one")),
                (format!("other.{name}"), json!("of another")),
            ]);
            let bound = choices.of(&sources).values;
            assert_eq!(bound.into_iter().collect::<Vec<_>>(), [(name.to_owned(), json!("of one"))]);
        }
    }
}
