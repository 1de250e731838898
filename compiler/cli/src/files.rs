//! The only file access of the command line: packs, manifests, tests, output folders.
//!
//! Sizes are checked before anything is read into memory, so that a wrong path (a disk image, an endless
//! pipe) produces a message instead of exhausting the memory.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bailiwick_compiler::source::{PackSources, SourceFile};

/// Largest file that is read, in bytes. A pack is kilobytes; a rendered chart or a List of a whole cluster is
/// megabytes.
pub(crate) const MAX_FILE_BYTES: u64 = 64 << 20;

/// Most YAML files in a pack's folder.
const MAX_PACK_FILES: usize = 256;

/// Most files and folders below the folder of a pack's tests.
const MAX_BELOW: usize = 4_096;

/// A pack's files and where they come from.
#[derive(Debug)]
pub(crate) struct PackFiles {
    /// As the user named it, for messages.
    pub(crate) folder: PathBuf,
    /// What the compiler reads.
    pub(crate) sources: PackSources,
}

/// Reads a whole file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(fs::File::open(path).with_context(|| format!("cannot open {name}"))?)
    };
    reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        bail!("{name} is larger than {} MiB", MAX_FILE_BYTES >> 20);
    }
    Ok(bytes)
}

/// Reads a pack: a folder with its `pack.yaml`, fragments, lock and Rego, or a single file. A `pack.yaml` next to
/// a lock or Rego stands for its folder, without which it means nothing.
pub(crate) fn read_pack(path: &Path) -> Result<PackFiles> {
    let folder =
        path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    if let Some(folder) = folder
        && path.file_name().is_some_and(|name| name == "pack.yaml")
        && (folder.join("pack.lock").is_file() || folder.join("rego").is_dir())
    {
        return read_pack(folder);
    }
    if !path.is_dir() {
        let name = path
            .file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let sources =
            PackSources { files: vec![SourceFile::new(name, read(path)?)], ..PackSources::default() };
        return Ok(PackFiles { folder, sources });
    }
    if !path.join("pack.yaml").is_file() {
        bail!("{} holds no pack.yaml; name the folder of a pack, or a pack file", path.display());
    }
    let lock = path.join("pack.lock");
    let sources = PackSources {
        files: read_folder(path, &["yaml", "yml"], "")?,
        lock: if lock.is_file() { Some(SourceFile::new("pack.lock", read(&lock)?)) } else { None },
        rego: if path.join("rego").is_dir() {
            read_folder(&path.join("rego"), &["rego"], "rego/")?
        } else {
            Vec::new()
        },
    };
    Ok(PackFiles { folder: path.to_owned(), sources })
}

/// The files of a folder with one of these extensions, by name.
pub(crate) fn read_folder(folder: &Path, extensions: &[&str], prefix: &str) -> Result<Vec<SourceFile>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        let fits = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|e| extensions.contains(&e));
        if fits && path.is_file() {
            names.push(path);
        }
    }
    if names.len() > MAX_PACK_FILES {
        bail!(
            "{} holds {} files, more than {MAX_PACK_FILES}; is it the folder of a pack?",
            folder.display(),
            names.len()
        );
    }
    names.sort();
    names
        .iter()
        .map(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Ok(SourceFile::new(format!("{prefix}{name}"), read(path)?))
        })
        .collect()
}

/// The YAML files below a folder, however deep and however their extension is written, except those that
/// [`read_folder`] reads of it. Links are followed, each folder once: a file counts wherever it lies.
pub(crate) fn read_below(folder: &Path, extensions: &[&str], prefix: &str) -> Result<Vec<SourceFile>> {
    let (mut found, mut seen, mut entries) = (Vec::new(), BTreeSet::new(), 0);
    let mut open = vec![folder.to_owned()];
    while let Some(here) = open.pop() {
        if !seen.insert(fs::canonicalize(&here).with_context(|| format!("cannot list {}", here.display()))?) {
            continue;
        }
        for entry in fs::read_dir(&here).with_context(|| format!("cannot list {}", here.display()))? {
            entries += 1;
            if entries > MAX_BELOW {
                bail!(
                    "{} holds more than {MAX_BELOW} files; keep there only tests and their objects",
                    folder.display()
                );
            }
            let path = entry.with_context(|| format!("cannot list {}", here.display()))?.path();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            let is_yaml = ["yaml", "yml"].iter().any(|yaml| extension.eq_ignore_ascii_case(yaml));
            let is_read = here == folder && extensions.contains(&extension);
            if path.is_dir() {
                open.push(path);
            } else if is_yaml && !is_read && path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    let named = found.iter().map(|path| {
        let name = path.strip_prefix(folder).unwrap_or(path).display();
        Ok(SourceFile::new(format!("{prefix}{name}"), read(path)?))
    });
    named.collect()
}

/// Writes a file completely or not at all: to a file next to it, which is then renamed. A link stays a link,
/// and a file keeps its permissions. What is not a regular file, such as `/dev/stdout`, is written to
/// directly.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let there = fs::metadata(path).ok();
    if there.as_ref().is_some_and(|about| !about.is_file()) {
        return fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut beside = place.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let keep = |_| there.map_or(Ok(()), |about| fs::set_permissions(&beside, about.permissions()));
    let written = fs::write(&beside, bytes).and_then(keep).and_then(|()| fs::rename(&beside, &place));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Every file below a folder, relative to it, sorted. A symbolic link counts as a file, wherever it leads:
/// what is listed here may be removed, and what is behind a link is not ours.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(here) = open.pop() {
        for entry in fs::read_dir(&here).with_context(|| format!("cannot list {}", here.display()))? {
            let entry = entry.with_context(|| format!("cannot list {}", here.display()))?;
            let path = entry.path();
            let kind = entry.file_type().with_context(|| format!("cannot look at {}", path.display()))?;
            if kind.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}
