//! Runs Helm on the chart.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bailiwick_conformance::go_module::go_is_there;
use serde_json::Value;

/// Images that do not exist.
pub(crate) const IMAGES: [&str; 3] = ["operator", "webhook", "executor"];

/// Helm in a folder of its own; its settings and caches are there too.
pub(crate) struct Helm {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Helm {
    /// `None`, reported on standard error, if Go is missing and this is not CI.
    pub(crate) fn new() -> Option<Self> {
        if !go_is_there().expect("Go") {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let program = bailiwick_conformance::helm::program().expect("Helm");
        Some(Self { folder, program })
    }

    pub(crate) fn chart() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/bailiwick")
    }

    pub(crate) fn run(&self, kubeconfig: Option<&Path>, args: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(args).env("HOME", self.folder.path()).stdin(Stdio::null());
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.folder.path().join(name));
        }
        match kubeconfig {
            Some(path) => command.env("KUBECONFIG", path),
            None => command.env_remove("KUBECONFIG"),
        };
        command.output().expect("Helm runs")
    }

    /// Renders the chart with these settings in addition to the images; returns the objects.
    pub(crate) fn render(&self, more: &[&str]) -> Vec<Value> {
        let chart = Self::chart();
        let fixed =
            ["template", "bailiwick", chart.to_str().expect("UTF-8"), "--namespace", "bailiwick-system"];
        let images = images();
        let images: Vec<&str> = images.iter().map(String::as_str).collect();
        let output = self.run(None, &[&fixed[..], &images, more].concat());
        assert!(output.status.success(), "{}", said(&output));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let documents = text.split("\n---\n").map(|one| one.trim_start_matches("---\n"));
        let read = documents.map(|one| serde_saphyr::from_str::<Value>(one).expect("YAML"));
        read.filter(|one| !one.is_null()).collect()
    }
}

/// `--set` for the images.
pub(crate) fn images() -> Vec<String> {
    let digest = "0123456789abcdef".repeat(4);
    let set =
        |name: &&str| [String::from("--set"), format!("images.{name}=localhost/{name}@sha256:{digest}")];
    IMAGES.iter().flat_map(set).collect()
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
