//! `tests/survivors.txt`: edits that no test can notice, each with the reason. One per line, `EDIT: REASON`;
//! lines that begin with `#` are comments.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};

use crate::files;

/// Name of the file in the folder of the tests.
const FILE: &str = "survivors.txt";

/// Reasons by edit.
pub(super) type Accepted = BTreeMap<String, String>;

/// Reads the file; a missing file counts as empty.
pub(super) fn read(folder: &Path) -> Result<Accepted> {
    let file = folder.join(FILE);
    if !file.is_file() {
        return Ok(Accepted::new());
    }
    let bytes = files::read(&file)?;
    match parse(&String::from_utf8_lossy(&bytes)) {
        Ok(accepted) => Ok(accepted),
        Err(wrong) => bail!("{}: {wrong}", file.display()),
    }
}

fn parse(text: &str) -> Result<Accepted, String> {
    let mut accepted = Accepted::new();
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = number + 1;
        let Some((edit, reason)) = line.split_once(": ") else {
            return Err(format!("line {number}: write `EDIT: REASON`, as `--mutate` shows the edit"));
        };
        if accepted.insert(edit.trim().to_owned(), reason.trim().to_owned()).is_some() {
            return Err(format!("line {number}: `{}` stands here twice", edit.trim()));
        }
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_a_reason() {
        let text = "# why\n\nspec.a[b] drop: nobody sees it: at all\nspec.c weaken: too\n";
        let accepted = parse(text).unwrap();
        let shown: Vec<_> = accepted.iter().map(|(edit, reason)| format!("{edit}|{reason}")).collect();
        assert_eq!(shown, ["spec.a[b] drop|nobody sees it: at all", "spec.c weaken|too"]);
        assert!(parse("spec.a drop\n").unwrap_err().contains("line 1"));
        assert!(parse("a: b\na: c\n").unwrap_err().contains("line 2: `a` stands here twice"));
    }
}
