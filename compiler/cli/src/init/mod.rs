//! `bailiwick init`: a new pack with tests that pass and that could fail.
//!
//! The files are texts with the pack's name inserted, not configuration generated from data: comments are
//! half of their worth. The name is a DNS label, so nothing but a name can be inserted. The result is
//! compiled before any of it is written.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use bailiwick_compiler::diagnostic::has_errors;
use bailiwick_compiler::library::Library as _;
use bailiwick_compiler::resolve;
use bailiwick_compiler::source::{PackSources, SourceFile};
use semver::VersionReq;

use crate::args::InitOptions;
use crate::files::PackFiles;
use crate::load::{self, Choices, Loaded};
use crate::outcome::Outcome;
use crate::print::out;

/// Longest DNS label; a pack's name is one.
const MAX_NAME: usize = 63;

/// A file of the new pack: its path in the folder and its text.
type NewFile = (&'static str, String);

pub(crate) fn run(options: &InitOptions) -> Result<Outcome> {
    let folder = &options.folder;
    // `.` and `..` have a name and neighbours too.
    let real = if folder.file_name().is_none() { folder.canonicalize()? } else { folder.clone() };
    let name = name_of(&real)?;
    refuse_what_is_there(folder)?;
    let beside =
        real.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let library = options.library.as_deref().or(beside).filter(|_| options.extends.is_some());
    let mut loaded = Loaded::library_alone(library)?;
    let parent = options.extends.as_deref().map(|parent| requirement(&loaded, parent)).transpose()?;
    let mut files = texts(&name, &folder.display().to_string(), parent.as_ref());
    let Some(pack) = files.first().map(|(name, text)| SourceFile::new(*name, text.as_bytes())) else {
        bail!("the new pack has no files");
    };
    let mut sources = PackSources { files: vec![pack], ..PackSources::default() };
    if parent.is_some() {
        let (lock, diagnostics, taken) = resolve::make_lock(&sources, loaded.library());
        let found = PackFiles { folder: folder.clone(), sources: sources.clone() };
        let Some(lock) = lock.filter(|_| !has_errors(&diagnostics)) else {
            load::draw_findings(loaded.findings_of(&found, &diagnostics, &taken));
            return Ok(Outcome::Findings);
        };
        sources.lock = Some(SourceFile::new("pack.lock", lock.as_bytes()));
        files.push(("pack.lock", lock));
    }
    loaded.packs = vec![PackFiles { folder: folder.clone(), sources }];
    let compiled = loaded.compile(&Choices::default());
    if compiled.failed() {
        // A parent may have no room for what the new pack says.
        load::draw_compiled(&loaded, &compiled);
        return Ok(Outcome::Findings);
    }
    for (name, text) in &files {
        create(&folder.join(name), text)?;
        out!("{} is written", folder.join(name).display());
    }
    Ok(Outcome::Holds)
}

/// The pack takes the name of its folder.
fn name_of(folder: &Path) -> Result<String> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    pack_name(&name).map_err(|why| anyhow!("{why}; name a folder as `policy-packs/my-agent`"))
}

/// A text that can be the name of a pack.
pub(crate) fn pack_name(name: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = name.bytes().all(fits)
        && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.len() <= MAX_NAME;
    let rule = format!("lower-case letters, digits and `-`, a letter first, at most {MAX_NAME}");
    if is_label { Ok(name.to_owned()) } else { Err(format!("`{name}` cannot be the name of a pack: {rule}")) }
}

/// An existing folder must be empty.
fn refuse_what_is_there(folder: &Path) -> Result<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next()) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => bail!("{} is not empty; nothing was written", folder.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot list {}", folder.display())),
    }
}

/// The name of the parent and a version requirement: the versions compatible with the newest one.
fn requirement(loaded: &Loaded, parent: &str) -> Result<(String, String)> {
    let Some(newest) = loaded.library().newest(parent, &VersionReq::STAR) else {
        bail!("the library has no pack `{parent}`; it has {}", loaded.library().names().join(", "));
    };
    let versions = format!("^{}.{}", newest.major, newest.minor);
    Ok((parent.to_owned(), versions))
}

/// All files except the lock, `pack.yaml` first.
fn texts(name: &str, folder: &str, parent: Option<&(String, String)>) -> Vec<NewFile> {
    let isolation = include_str!("isolation.yaml");
    let (extends, isolation, cases) = match parent {
        Some((parent, version)) => {
            (format!("  extends:\n  - {{name: {parent}, version: \"{version}\"}}\n"), "", "")
        }
        None => (String::new(), isolation, include_str!("isolation-cases.yaml")),
    };
    let filled = |text: &str| {
        text.replace("{parent}\n", &format!("{extends}\n"))
            .replace("{isolation}\n", &format!("{isolation}\n"))
            .replace("{name}", name)
            .replace("{folder}", folder)
    };
    let mut files = vec![
        ("pack.yaml", filled(include_str!("pack.yaml"))),
        ("README.md", filled(include_str!("README.md"))),
        ("tests/pods.yaml", format!("{}{cases}", include_str!("pods.yaml"))),
        ("tests/network.yaml", include_str!("network.yaml").to_owned()),
        ("tests/tools.yaml", include_str!("tools.yaml").to_owned()),
        ("tests/pods/good.yaml", include_str!("good.yaml").to_owned()),
        ("tests/pods/no-cpu-limit.yaml", include_str!("no-cpu-limit.yaml").to_owned()),
        ("tests/pods/deployment.yaml", include_str!("deployment.yaml").to_owned()),
        ("tests/pods/unlabelled.yaml", include_str!("unlabelled.yaml").to_owned()),
    ];
    if parent.is_none() {
        files.push(("tests/pods/privileged.yaml", include_str!("privileged.yaml").to_owned()));
        files.push(("tests/pods/root.yaml", include_str!("root.yaml").to_owned()));
        files.push(("tests/pods/token.yaml", include_str!("token.yaml").to_owned()));
    }
    files
}

/// Writes a file that does not exist yet; one created in the meantime is left as it is.
fn create(path: &PathBuf, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut file = fs::File::create_new(path).with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
