//! A folder with a compiled `code-interpreter` and the webhook over it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use bailiwick_conformance::programs::{self, Webhook};

/// The namespaces of the tests.
pub(crate) const NAMESPACES: &str = "\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {bailiwick.dev/zone: agents}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: default}}
";

/// The folder goes with the value.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    /// Compiles the pack into `bundles/` and writes the namespaces.
    pub(crate) fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        stage.compile(&[]);
        let cell = std::fs::read_dir(stage.path().join("dist"))
            .expect("dist")
            .next()
            .expect("one cell")
            .expect("a folder")
            .path();
        std::fs::create_dir(stage.path().join("bundles")).expect("bundles");
        std::fs::copy(cell.join("bundle.json"), stage.path().join("bundles/code-interpreter.json"))
            .expect("the bundle");
        std::fs::write(stage.path().join("namespaces.yaml"), NAMESPACES).expect("the namespaces");
        stage
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
        let mut args = vec!["compile", pack.to_str().expect("a UTF-8 path"), "--out", "dist"];
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
