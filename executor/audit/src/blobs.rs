//! Plain values that are too large for a record: files in `blobs/`, each named by the SHA-256 of its text, so
//! that the name proves the content.

use std::io::{self, Read as _};
use std::path::Path;

use crate::dir::{Dir, open_regular, sync_dir, write_whole};
use crate::field::MAX_VALUE_BYTES;
use crate::hash::Hash;

/// The text with this name; `None` if the file is missing or holds anything else.
#[must_use]
pub fn blob(dir: &Path, name: &Hash) -> Option<Vec<u8>> {
    read(&Dir::new(dir), name)
}

pub(crate) fn read(dir: &Dir, name: &Hash) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    open_regular(&dir.blob(name)).ok()?.take(MAX_VALUE_BYTES as u64 + 1).read_to_end(&mut text).ok()?;
    (Hash::of(&[&text]) == *name).then_some(text)
}

/// Makes a text durable under its name. An existing file counts only if it holds the text: another program
/// may have written it.
pub(crate) fn keep(dir: &Dir, name: &Hash, text: &[u8]) -> io::Result<()> {
    let path = dir.blob(name);
    if read(dir, name).is_none() {
        return write_whole(&path, text);
    }
    // Nor is it certain to be on disk: an earlier try may have failed at the flush of the file or of its
    // name.
    open_regular(&path)?.sync_all()?;
    path.parent().map_or(Ok(()), sync_dir)
}
