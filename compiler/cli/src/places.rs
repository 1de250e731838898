//! Where a field of the pack under test is: file, line and column.

use std::ops::Range;

use bailiwick_compiler::diagnostic::{About, FieldPath};
use bailiwick_compiler::fragments;
use bailiwick_compiler::source::PackSources;
use bailiwick_compiler::yaml::SourceMap;

use crate::files::PackFiles;
use crate::render::{Location, Texts};

/// The text of a pack, by field path.
pub(crate) struct Places {
    map: Option<SourceMap>,
    texts: Texts,
}

impl Places {
    pub(crate) fn of(pack: &PackFiles) -> Self {
        let PackSources { files, .. } = &pack.sources;
        let mut texts = Texts::default();
        texts.insert(None, pack.folder.display().to_string(), &pack.folder, files);
        let merged = fragments::merge(&pack.sources);
        Self { map: merged.root.map(|root| SourceMap::new(merged.texts.into(), root)), texts }
    }

    /// The merged document; `None` if it cannot be read.
    pub(crate) fn document(&self) -> Option<serde_json::Value> {
        self.map.as_ref().map(|map| map.root().to_json())
    }

    /// The place of a field, or of a byte range of its text.
    pub(crate) fn find(&self, at: &FieldPath, within: Option<Range<usize>>) -> Option<Location> {
        let place = self.map.as_ref()?.place(at, About::Value, within)?;
        self.texts.location(&None, &place)
    }

    /// The text of a field as written.
    pub(crate) fn written(&self, at: &FieldPath) -> Option<String> {
        let map = self.map.as_ref()?;
        let place = map.place(at, About::Value, None)?;
        let text = map.texts().iter().find(|text| text.name == place.file)?;
        text.text.get(place.bytes).map(str::to_owned)
    }
}

/// `FILE:LINE:COLUMN`.
pub(crate) fn shown(file: &str, line: usize, column: usize) -> String {
    format!("{file}:{line}:{column}")
}

/// The lines of a text that begins in this column, with that much indentation removed.
pub(crate) fn dedented(text: &str, column: usize) -> impl Iterator<Item = &str> {
    let indent = " ".repeat(column.saturating_sub(1));
    text.lines().map(move |line| line.strip_prefix(&indent).unwrap_or(line))
}
