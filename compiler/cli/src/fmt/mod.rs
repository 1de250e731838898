//! `bailiwick fmt`: puts the files of a pack and its tests into their canonical layout, and keeps comments.

mod layout;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bailiwick_compiler::source::SourceFile;

use self::layout::Refused;
use crate::args::FormatOptions;
use crate::files;
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::{note, out};
use crate::render;

pub(crate) fn run(options: &FormatOptions) -> Result<Outcome> {
    let (mut changed, mut refused) = (0, 0);
    for (path, file) in
        options.packs.iter().map(|pack| yaml_of(pack)).collect::<Result<Vec<_>>>()?.into_iter().flatten()
    {
        let Ok(text) = std::str::from_utf8(&file.bytes) else {
            refused += say_refused(&path, &Refused::NotUtf8);
            continue;
        };
        match layout::laid_out(text) {
            Ok(laid_out) if laid_out == text => {}
            Ok(laid_out) => {
                changed += 1;
                if options.check {
                    out!("{} is laid out otherwise", path.display());
                } else {
                    files::write(&path, laid_out.as_bytes())?;
                    out!("{} is written", path.display());
                }
            }
            Err(why) => refused += say_refused(&path, &why),
        }
    }
    Ok(if refused > 0 || options.check && changed > 0 { Outcome::Findings } else { Outcome::Holds })
}

fn say_refused(path: &Path, why: &Refused) -> usize {
    note!("{}: {}: {}", render::error_word(), path.display(), plain(&why.to_string()));
    1
}

/// The YAML of a pack and of its tests, with their paths; or the one file.
fn yaml_of(pack: &Path) -> Result<Vec<(PathBuf, SourceFile)>> {
    if pack.is_file() {
        return Ok(vec![(pack.to_owned(), SourceFile::new("", files::read(pack)?))]);
    }
    if !pack.join("pack.yaml").is_file() {
        bail!("{} holds no pack.yaml; name the folder of a pack, or a file", pack.display());
    }
    let mut all = files::read_folder(pack, &["yaml", "yml"], "")?;
    if pack.join("tests").is_dir() {
        all.extend(files::read_folder(&pack.join("tests"), &["yaml", "yml"], "tests/")?);
    }
    Ok(all.into_iter().map(|file| (pack.join(&file.name), file)).collect())
}
