//! The files of one pack for one request: open documents as they are in the editor, the others as they were
//! last read.

use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_compiler::custom_kinds::CustomKinds;
use bailiwick_compiler::diagnostic::Segment;

use crate::outline::{Entry, Node, Outline};
use crate::position::Lines;
use crate::schema::Language;

/// A file that was read.
#[derive(Debug)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// Its lines.
    pub lines: Lines,
    /// Its outline; empty if it is not of the language.
    pub outline: Outline,
    /// What it holds; `None` for Rego and the lock.
    pub language: Option<Language>,
    /// The owner.
    pub of: Owner,
}

/// The pack that a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The pack itself.
    Own,
    /// A pack that it extends.
    Parent,
}

impl Source {
    /// Reads a text.
    #[must_use]
    pub fn new(path: PathBuf, text: Arc<str>, language: Option<Language>, of: Owner) -> Self {
        let outline = if language.is_some() { Outline::read(&text) } else { Outline::default() };
        Self { lines: Lines::of(&text), path, text, outline, language, of }
    }

    /// Approximate bytes that it takes in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let lines = self.lines.count().saturating_mul(size_of::<usize>());
        let nodes = self.outline.nodes.saturating_mul(size_of::<Entry>());
        self.text.len().saturating_add(lines).saturating_add(nodes)
    }
}

/// All files of a pack, the pack's own first.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The files.
    pub sources: Vec<Arc<Source>>,
    /// The packs of the library: names and folders.
    pub library: Arc<Vec<(String, PathBuf)>>,
    /// The custom resources whose definitions lie in `schemas/`.
    pub kinds: Arc<CustomKinds>,
}

impl View {
    /// Approximate bytes that it takes in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.sources.iter().map(|source| source.weight()).sum()
    }

    /// The roots of the documents of one language.
    pub fn roots(&self, language: Language) -> impl Iterator<Item = (&Source, &Node)> {
        let of = self.sources.iter().filter(move |source| source.language == Some(language));
        of.flat_map(|source| source.outline.documents.iter().map(move |root| (&**source, root)))
    }

    /// The nodes at a path of the pack, in any of its files.
    pub fn of_pack<'v>(&'v self, path: &'v [Segment]) -> impl Iterator<Item = (&'v Source, &'v Node)> {
        self.roots(Language::Pack).filter_map(|(source, root)| Some((source, root.at(path)?)))
    }
}

/// A path of members: `spec.tools.rules`.
#[must_use]
pub fn members(path: &str) -> Vec<Segment> {
    path.split('.').map(|name| Segment::Member(name.to_owned())).collect()
}
