//! What may be read from disk: the folders that the editor has open, and the folder of a pack of which a
//! document is open.
//!
//! Through `extends`, a pack names what else is read with it; a link decides where a file really is. A user
//! who opens another author's pack has not asked for what is around it. So nothing outside these folders is
//! read, and the finding says so.

use std::path::{Path, PathBuf};

use lsp_types::{DidChangeWorkspaceFoldersParams, InitializeParams, WorkspaceFolder};

use crate::limits::MAX_ROOTS;
use crate::paths;

/// The folders that the editor has open, with links in their paths followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    open: Vec<PathBuf>,
}

impl Roots {
    /// The folders that a client names in `initialize`.
    #[must_use]
    #[expect(deprecated, reason = "older clients name one folder alone")]
    pub fn of(params: &InitializeParams) -> Self {
        let mut roots = Self::default();
        match (&params.workspace_folders, &params.root_uri, &params.root_path) {
            (Some(folders), ..) => folders.iter().for_each(|folder| roots.add(folder)),
            (None, Some(uri), _) => roots.insert(paths::path(uri)),
            (None, None, Some(path)) => roots.insert(Some(path.into())),
            _ => {}
        }
        roots
    }

    /// Adds and removes folders that the client opened and closed.
    pub fn change(&mut self, params: &DidChangeWorkspaceFoldersParams) {
        for folder in &params.event.removed {
            let gone = paths::path(&folder.uri).and_then(|path| path.canonicalize().ok());
            self.open.retain(|open| Some(open) != gone.as_ref());
        }
        params.event.added.iter().for_each(|folder| self.add(folder));
    }

    fn add(&mut self, folder: &WorkspaceFolder) {
        self.insert(paths::path(&folder.uri));
    }

    /// A missing folder contains nothing.
    fn insert(&mut self, path: Option<PathBuf>) {
        let real = path.filter(|path| path.is_absolute()).and_then(|path| path.canonicalize().ok());
        if let Some(real) = real.filter(|real| self.open.len() < MAX_ROOTS && !self.open.contains(real)) {
            self.open.push(real);
        }
    }

    /// Whether a path is in one of the folders, or in `own`, after following links. A missing path is in
    /// none.
    #[must_use]
    pub fn hold(&self, path: &Path, own: &Path) -> bool {
        let Ok(real) = path.canonicalize() else { return false };
        let is_own = own.canonicalize().is_ok_and(|own| real.starts_with(own));
        is_own || self.open.iter().any(|root| real.starts_with(root))
    }
}
