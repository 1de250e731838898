//! `bailiwick NAME …` for an unknown NAME: runs `bailiwick-NAME` from our own folder, else from PATH, as
//! cargo and git do.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::outcome::Outcome;

/// Runs the program of the first word with the other words, and exits as it did.
pub(crate) fn run(words: &[OsString]) -> Result<Outcome> {
    let Some((name, rest)) = words.split_first() else {
        bail!("no command was given; `bailiwick --help` lists them")
    };
    let program = program(name)?;
    let Some(path) = find(&program) else {
        bail!(
            "no command `{}`, and no program `{}` in the folder of this one or in PATH; `bailiwick --help` lists the commands",
            name.display(),
            program.display()
        );
    };
    let status =
        Command::new(&path).args(rest).status().with_context(|| format!("cannot run {}", path.display()))?;
    // A child ended by a signal is reported as shells do.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(Outcome::Forwarded(u8::try_from(code).unwrap_or(1)))
}

/// `bailiwick-NAME`. A name with a separator would run a file from another folder.
fn program(name: &OsStr) -> Result<OsString> {
    if name.as_encoded_bytes().iter().any(|byte| matches!(byte, b'/' | b'\\')) {
        bail!("no command `{}`; a command's name has no slash", name.display());
    }
    let mut program = OsString::from("bailiwick-");
    program.push(name);
    Ok(program)
}

fn find(program: &OsStr) -> Option<PathBuf> {
    let own = std::env::current_exe().ok().and_then(|path| path.parent().map(PathBuf::from));
    let path = std::env::var_os("PATH").unwrap_or_default();
    own.into_iter()
        .chain(std::env::split_paths(&path))
        // A relative entry, such as that of an empty PATH, would run a file from the current folder.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
