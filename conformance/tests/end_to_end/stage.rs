//! A folder with a compiled `code-interpreter` and a webhook that serves it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use bailiwick_conformance::programs::{self, Webhook};

/// The namespaces of the tests.
pub(crate) const NAMESPACES: &str = "\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {bailiwick.dev/zone: agents, bailiwick.dev/pod-security: restricted}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: default}}
";

/// The folder is removed when dropped.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    /// Compiles the pack into `bundles/` and writes the namespaces.
    pub(crate) fn new() -> Self {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-packs/code-interpreter");
        Self::of(pack.to_str().expect("a UTF-8 path"))
    }

    /// The same for a pack with this text.
    pub(crate) fn of_pack(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("pack")).expect("a folder");
        std::fs::write(folder.path().join("pack/pack.yaml"), text).expect("the pack");
        Self::of(folder.path().join("pack").to_str().expect("a UTF-8 path"))
    }

    /// The same for the pack in a folder.
    pub(crate) fn of(pack: &str) -> Self {
        let stage = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        stage.compile_pack(pack, &[]);
        std::fs::create_dir(stage.path().join("bundles")).expect("bundles");
        std::fs::copy(stage.artifact("bundle.json"), stage.path().join("bundles/code-interpreter.json"))
            .expect("the bundle");
        std::fs::write(stage.path().join("namespaces.yaml"), NAMESPACES).expect("the namespaces");
        stage
    }

    /// A file of the one compiled cell.
    pub(crate) fn artifact(&self, name: &str) -> std::path::PathBuf {
        let mut cells = std::fs::read_dir(self.path().join("dist")).expect("dist");
        cells.next().expect("one cell").expect("a folder").path().join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `bailiwick` in the folder.
    pub(crate) fn bailiwick(&self, args: &[&str]) -> Output {
        let program = programs::find("bailiwick").expect("the program is built");
        Command::new(program)
            .args(args)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .output()
            .expect("the program runs")
    }

    /// Compiles `code-interpreter` into `dist/`, with further arguments.
    pub(crate) fn compile(&self, more: &[&str]) {
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-packs/code-interpreter");
        self.compile_pack(pack.to_str().expect("a UTF-8 path"), more);
    }

    /// Compiles a pack into `dist/`.
    pub(crate) fn compile_pack(&self, pack: &str, more: &[&str]) {
        let mut args = vec!["compile", pack, "--out", "dist"];
        args.extend(more);
        let output = self.bailiwick(&args);
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts the webhook over the folder.
    pub(crate) fn webhook(&self) -> Webhook {
        Webhook::start(self.path()).expect("the webhook comes up")
    }
}
