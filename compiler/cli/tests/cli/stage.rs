//! A temporary folder with the shipped packs and the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The shipped pack that most tests use, in the folder of every stage.
pub(crate) const PACK: &str = "policy-packs/code-interpreter";

/// The folder; dropped with the value.
pub(crate) struct Stage(tempfile::TempDir);

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder can be listed") {
        let entry = entry.expect("the folder can be listed");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("the file can be copied");
        }
    }
}

impl Stage {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// A folder with `policy-packs` and `docs/guide`.
    pub(crate) fn new() -> Self {
        let Self(folder) = Self::empty();
        for part in ["policy-packs", "docs/guide"] {
            copy(&root().join(part), &folder.path().join(part));
        }
        Self(folder)
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }

    /// Runs `bailiwick` in the folder.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_bailiwick")).args(args).output().expect("the program runs")
    }

    /// Runs a line of shell in the folder, with the program first in PATH.
    pub(crate) fn shell(&self, line: &str) -> Output {
        self.command("bash").arg("-c").arg(line).output().expect("bash runs")
    }

    fn command(&self, program: &str) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_bailiwick"))
            .parent()
            .expect("the program lies in a folder")
            .to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path)))
            .expect("PATH can be joined");
        let mut command = Command::new(program);
        command
            .current_dir(self.0.path())
            .env("PATH", path)
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::null());
        command
    }
}

/// Both outputs, standard output first.
pub(crate) fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
