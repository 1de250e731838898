//! The documents that are open in the editor, with their current texts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use lsp_types::{TextDocumentContentChangeEvent, Uri};

use crate::limits::{MAX_DOCUMENT_BYTES, MAX_DOCUMENTS, MAX_OPEN_BYTES};
use crate::paths;
use crate::position::Lines;

/// An open document.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its name in the protocol.
    pub uri: Uri,
    /// Its file; `None` for a document that was never saved.
    pub path: Option<PathBuf>,
    /// The editor's count of changes.
    pub version: i32,
    /// Its text.
    pub text: Arc<str>,
    /// Its lines.
    pub lines: Lines,
}

/// All open documents.
#[derive(Debug, Default)]
pub struct Documents {
    open: BTreeMap<String, Document>,
}

/// Texts of open documents by path. They take precedence over the files on disk.
pub type Overlay = BTreeMap<PathBuf, (i32, Arc<str>)>;

impl Documents {
    /// Opens a document, or replaces its text; `false` if there are too many.
    pub fn open(&mut self, uri: Uri, version: i32, text: String) -> bool {
        if self.open.len() >= MAX_DOCUMENTS && !self.open.contains_key(uri.as_str()) {
            return false;
        }
        let before = self.open.get(uri.as_str()).map_or(0, |document| document.text.len());
        if (self.bytes() - before).saturating_add(text.len()) > MAX_OPEN_BYTES {
            return false;
        }
        let (path, lines) = (paths::path(&uri), Lines::of(&text));
        let name = uri.as_str().to_owned();
        self.open.insert(name, Document { uri, path, version, text: text.into(), lines });
        true
    }

    /// Applies changes in order; `false` if the document is not open, or no longer.
    pub fn change(&mut self, uri: &Uri, version: i32, changes: Vec<TextDocumentContentChangeEvent>) -> bool {
        let Some(document) = self.open.get_mut(uri.as_str()) else { return false };
        for change in changes {
            let text = match change.range {
                None => change.text,
                Some(range) => {
                    let bytes = document.lines.bytes(&document.text, range);
                    let mut text = String::from(&*document.text);
                    text.replace_range(bytes, &change.text);
                    text
                }
            };
            document.lines = Lines::of(&text);
            document.text = text.into();
        }
        document.version = version;
        // A document that grows beyond the limit is no longer read: half of it would have other places than
        // in the editor.
        if self.bytes() > MAX_OPEN_BYTES {
            self.open.remove(uri.as_str());
            return false;
        }
        true
    }

    fn bytes(&self) -> usize {
        self.open.values().map(|document| document.text.len()).sum()
    }

    /// Removes a document.
    pub fn close(&mut self, uri: &Uri) -> Option<Document> {
        self.open.remove(uri.as_str())
    }

    /// The document of this name.
    #[must_use]
    pub fn get(&self, uri: &Uri) -> Option<&Document> {
        self.open.get(uri.as_str())
    }

    /// All open documents.
    pub fn all(&self) -> impl Iterator<Item = &Document> {
        self.open.values()
    }

    /// The open documents that are files.
    #[must_use]
    pub fn overlay(&self) -> Overlay {
        let files =
            self.all().filter_map(|one| Some((one.path.clone()?, (one.version, Arc::clone(&one.text)))));
        files.collect()
    }
}

impl Document {
    /// Whether it is small enough to be read between two keystrokes.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.text.len() <= MAX_DOCUMENT_BYTES
    }
}
