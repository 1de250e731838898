//! Which pack a file belongs to, and the files of packs from disk, with open documents in their place.
//!
//! Packs are read as on the command line (`compiler/cli/src/files.rs`): a folder with `pack.yaml`, fragments,
//! `pack.lock`, `rego/` and `tests/`; or a single file. The library is the packs in the same folder, as far
//! as the editor has that folder open ([`crate::roots`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_compiler::custom_kinds::CustomKinds;
use bailiwick_compiler::diagnostic::Severity;
use bailiwick_compiler::fragments;
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::{PackSources, SourceFile};
use bailiwick_compiler::yaml::{Limits, each_document};
use semver::Version;

use crate::documents::Overlay;
use crate::limits::{MAX_FILE_BYTES, MAX_FOLDER_FILES, MAX_LIBRARY_PACKS, MAX_READ_BYTES};
use crate::roots::Roots;
use crate::schema::Language;

/// A pack, by its location.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Home {
    /// The folder of a pack.
    Folder(PathBuf),
    /// A pack in a single file.
    File(PathBuf),
}

impl Home {
    /// The folder that holds its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::File(file) => file.parent().unwrap_or(Path::new("")),
        }
    }

    /// The file for findings without a place.
    #[must_use]
    pub fn main_file(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(PACK),
            Self::File(file) => file.clone(),
        }
    }

    /// The folder whose packs it may extend: the one that contains its own, as on the command line.
    #[must_use]
    pub fn library(&self) -> Option<&Path> {
        self.folder().parent()
    }
}

const PACK: &str = "pack.yaml";
const LOCK: &str = "pack.lock";

/// The pack that a file belongs to, and what the file holds. `text`: its text, which shows whether a single
/// file is a pack.
#[must_use]
pub fn home(path: &Path, text: &str, overlay: &Overlay) -> Option<(Home, Option<Language>)> {
    let folder = path.parent()?;
    let is_pack = |folder: &Path| overlay.contains_key(&folder.join(PACK)) || folder.join(PACK).is_file();
    let extension = path.extension().and_then(|extension| extension.to_str())?;
    let inside = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let above = folder.parent().filter(|above| is_pack(above)).map(|above| Home::Folder(above.to_owned()));
    match extension {
        "yaml" | "yml" if is_pack(folder) => Some((Home::Folder(folder.to_owned()), Some(Language::Pack))),
        "yaml" | "yml" if inside == "tests" => above.map(|home| (home, Some(Language::Test))),
        "yaml" | "yml" if is_pack_text(text) => Some((Home::File(path.to_owned()), Some(Language::Pack))),
        "rego" if inside == "rego" => above.map(|home| (home, None)),
        "lock" if is_pack(folder) => Some((Home::Folder(folder.to_owned()), None)),
        _ => None,
    }
}

/// Whether a text declares itself a pack: manifests of other kinds are ignored here.
fn is_pack_text(text: &str) -> bool {
    text.contains("kind: PolicyPack") && text.contains("bailiwick.dev/")
}

/// A pack that was read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What the compiler reads.
    pub sources: PackSources,
    /// `tests/*.yaml`.
    pub tests: Vec<SourceFile>,
    /// The custom resources whose definitions are in `schemas/*.yaml`, which the command line takes as `--schema`.
    pub kinds: Arc<CustomKinds>,
    /// The packs that it may extend.
    pub library: MemoryLibrary,
    /// The folders of those packs.
    pub folders: BTreeMap<(String, Version), PathBuf>,
    /// The folder of the library, if it is not read because it is outside the open folders.
    pub closed: Option<PathBuf>,
    /// Files of the pack itself that are too large to read; the meaning of the rest is then unknown.
    pub too_much: Vec<PathBuf>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// What may be read: the texts of open documents, and the open folders on disk.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The texts.
    pub overlay: Overlay,
    /// The folders.
    pub roots: Roots,
}

/// Reads a pack with its library.
#[must_use]
pub fn load(home: &Home, reach: &Reach) -> Loaded {
    let mut loaded = Loaded::default();
    let left = MAX_READ_BYTES;
    let mut files = Files { reach, own: home.folder(), left, too_much: Vec::new(), problems: Vec::new() };
    match home {
        Home::Folder(folder) => {
            loaded.sources = files.pack(folder);
            loaded.tests = files.folder(&folder.join("tests"), &["yaml", "yml"], "tests/");
            let schemas = files.folder(&folder.join("schemas"), &["yaml", "yml"], "schemas/");
            loaded.kinds = Arc::new(kinds(&schemas, &mut files.problems));
        }
        Home::File(file) => {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            loaded.sources.files.extend(files.file(file, &name));
        }
    }
    loaded.too_much = std::mem::take(&mut files.too_much);
    if let Some(folder) = home.library() {
        loaded.closed = (!files.may_read(folder)).then(|| folder.to_owned());
        // It may extend others, but never itself.
        for folder in files.packs(folder).into_iter().filter(|folder| folder != home.folder()) {
            let sources = files.pack(&folder);
            if let Some((name, version)) = fragments::identity(&sources) {
                loaded.folders.insert((name.clone(), version.clone()), folder);
                loaded.library.put(name, version, sources);
            }
        }
    }
    loaded.problems = files.problems;
    loaded
}

/// The custom resources that some files define. What cannot be read of them has no types.
fn kinds(files: &[SourceFile], problems: &mut Vec<String>) -> CustomKinds {
    let mut kinds = CustomKinds::default();
    for file in files {
        let mut said = Vec::new();
        let (_, found) = each_document(0, &file.name, &file.bytes, &Limits::MANIFESTS, |document| {
            said.extend(kinds.add(&document.to_json()).err().map(|error| error.to_string()));
        });
        said.extend(found.into_iter().filter(|one| one.severity == Severity::Error).map(|one| one.message));
        problems.extend(said.into_iter().map(|why| format!("{} is not read: {why}", file.name)));
    }
    kinds
}

struct Files<'o> {
    reach: &'o Reach,
    /// The folder of the pack itself.
    own: &'o Path,
    /// Bytes that may still be read.
    left: usize,
    too_much: Vec<PathBuf>,
    problems: Vec<String>,
}

impl Files<'_> {
    /// Whether the path on disk may be read. Links are followed first: their target counts.
    fn may_read(&self, path: &Path) -> bool {
        self.reach.roots.hold(path, self.own)
    }

    fn pack(&mut self, folder: &Path) -> PackSources {
        let lock = folder.join(LOCK);
        let has_lock = self.reach.overlay.contains_key(&lock) || lock.is_file();
        PackSources {
            files: self.folder(folder, &["yaml", "yml"], ""),
            lock: has_lock.then(|| self.file(&lock, LOCK)).flatten(),
            rego: self.folder(&folder.join("rego"), &["rego"], "rego/"),
        }
    }

    /// The folders of packs in a folder.
    fn packs(&mut self, folder: &Path) -> Vec<PathBuf> {
        let entries = self.entries(folder);
        let on_disk = entries.filter(|path| path.join(PACK).is_file());
        let open = self.reach.overlay.keys().filter(|path| path.ends_with(PACK));
        let open = open.filter_map(|path| path.parent()).filter(|pack| pack.parent() == Some(folder));
        let all: BTreeSet<PathBuf> = on_disk.chain(open.map(Path::to_owned)).collect();
        if all.len() > MAX_LIBRARY_PACKS {
            self.problems.push(format!(
                "{} holds {} packs; {MAX_LIBRARY_PACKS} are read",
                folder.display(),
                all.len()
            ));
        }
        all.into_iter().take(MAX_LIBRARY_PACKS).collect()
    }

    /// The entries of a folder, if it may be read.
    fn entries(&self, folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
        let entries = self.may_read(folder).then(|| fs::read_dir(folder).ok()).flatten();
        entries.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path())
    }

    /// The files of a folder with one of these extensions, by name.
    fn folder(&mut self, folder: &Path, extensions: &[&str], prefix: &str) -> Vec<SourceFile> {
        let fits = |path: &PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            extension.is_some_and(|extension| extensions.contains(&extension))
        };
        let on_disk = self.entries(folder).filter(|path| fits(path) && path.is_file());
        let open =
            self.reach.overlay.keys().filter(|path| path.parent() == Some(folder) && fits(path)).cloned();
        let all: BTreeSet<PathBuf> = on_disk.chain(open).collect();
        if all.len() > MAX_FOLDER_FILES {
            self.problems.push(format!("{} holds {} files; it is not read", folder.display(), all.len()));
            return Vec::new();
        }
        let mut found = Vec::new();
        for path in all {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.extend(self.file(&path, &format!("{prefix}{name}")));
        }
        found
    }

    fn file(&mut self, path: &Path, name: &str) -> Option<SourceFile> {
        let overlay = &self.reach.overlay;
        let read = match overlay.get(path) {
            // Only what may be kept is copied.
            Some((_, text)) if text.len() > self.left => Err(self.beyond(path)),
            Some((_, text)) => Ok(text.as_bytes().to_vec()),
            None if self.may_read(path) => match read(path) {
                Ok(bytes) if bytes.len() > self.left => Err(self.beyond(path)),
                Ok(bytes) => Ok(bytes),
                Err(error) => Err(error.to_string()),
            },
            None => Err("it leads out of the folders that are open".to_owned()),
        };
        match read {
            Ok(bytes) => {
                self.left -= bytes.len();
                Some(SourceFile::new(name, bytes))
            }
            Err(why) => {
                self.problems.push(format!("{} is not read: {why}", path.display()));
                None
            }
        }
    }

    fn beyond(&mut self, path: &Path) -> String {
        self.too_much.push(path.to_owned());
        beyond()
    }
}

/// The message for what is too large to read.
pub(crate) fn beyond() -> String {
    format!("the files of a pack and of those beside it have more than {} MiB", MAX_READ_BYTES >> 20)
}

/// Reads a file; if it is too large, only enough for the compiler to report it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file as an editor shows it: invalid UTF-8 is replaced by a replacement character.
#[must_use]
pub fn text_of(file: &SourceFile) -> Arc<str> {
    Arc::from(String::from_utf8_lossy(&file.bytes))
}
