//! Files of sandboxes: exact. The permitted uses of a path depend on the named paths that it is or is below,
//! so each of these and one fresh name below it represent all.

use std::collections::BTreeSet;

use bailiwick_policy::policy::sandboxes::Filesystem;

use super::sandboxes::Pair;
use super::sides::{Sides, blank};
use super::{Diff, Direction, Layer};
use crate::paths;
use crate::policy_test::{FileAccess, FilesystemCase, TestCase};

/// A name that no pack contains, for what is below a path and named nowhere.
const FRESH: &str = "any-other-name";

pub(super) fn compare(sides: &Sides, pair: &Pair<'_>, out: &mut Diff) -> Result<(), String> {
    let mut roots: BTreeSet<String> = named(&pair.old.filesystem).collect();
    roots.extend(named(&pair.new.filesystem));
    for access in [FileAccess::Read, FileAccess::Write] {
        let mut told: Vec<(String, Direction)> = Vec::new();
        // A path comes before those below it.
        for root in &roots {
            let below = format!("{}/{FRESH}", root.trim_end_matches('/'));
            for (path, within) in [(&below, " and below"), (root, "")] {
                let case = |sandbox: &str| case(sandbox, path, access);
                let found =
                    sides.compare_as(Layer::Filesystem, &case(&pair.old.name), &case(&pair.new.name))?;
                let Some(found) = found else { continue };
                let direction = found.direction;
                if told.iter().any(|(above, other)| *other == direction && paths::below(path, above)) {
                    continue;
                }
                // A fresh name below a path represents everything below it that is not named itself.
                told.push((root.clone(), direction));
                let verb = if access == FileAccess::Read { "read" } else { "write" };
                out.changes.push(found.told(format!("{}: {verb} `{root}`{within}", pair.name())));
            }
        }
    }
    Ok(())
}

/// Every path that a sandbox mentions.
fn named(files: &Filesystem) -> impl Iterator<Item = String> {
    let writable = files.writable.iter().map(|area| area.path.clone());
    let workspace = files.workspace.iter().map(|workspace| workspace.path.clone());
    let devices = files.devices.iter().map(|device| format!("/dev/{device}"));
    files
        .read_only
        .iter()
        .cloned()
        .chain(writable)
        .chain(workspace)
        .chain(devices)
        .chain(["/proc".to_owned()])
}

fn case(sandbox: &str, path: &str, access: FileAccess) -> TestCase {
    let filesystem = FilesystemCase { sandbox: sandbox.to_owned(), path: path.to_owned(), access };
    let name = format!("{} {path} in {sandbox}", access.as_str());
    TestCase { filesystem: Some(filesystem), ..blank(name) }
}
