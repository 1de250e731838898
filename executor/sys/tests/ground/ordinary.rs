//! Runs a test binary once more as an ordinary user.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use super::{LAUNCHER, copy_program, launcher_program};

/// `nobody`, on every Linux.
const NOBODY: u32 = 65_534;

/// Runs the tests with these names, or of these modules, of the running binary as `nobody`.
pub(crate) fn run(names: &[&str]) -> Output {
    // Copied, because an ordinary user may not be able to reach the build folder.
    let place = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (tests, launcher) = (place.path().join("tests"), place.path().join("bailiwick-launcher"));
    copy_program(&std::env::current_exe().unwrap(), &tests, "755");
    copy_program(&launcher_program(), &launcher, "755");
    Command::new(&tests)
        .args(names)
        .env_clear()
        .env(LAUNCHER, &launcher)
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap()
}
