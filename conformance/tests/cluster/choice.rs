//! Which control plane `conformance/cluster/start.sh` starts and which node `start-node.sh`, tested with
//! programs that only record that they were started: `KUBEBUILDER_ASSETS` comes before the prebuilt one next to
//! the checkout, and that one before a build; for a node there are the last two. That `KUBECONFIG` comes before
//! all of them is tested by `a_cluster_that_is_named_is_borrowed_and_none_is_started`, next to the code that
//! reads it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bailiwick_conformance::programs;
use tempfile::TempDir;

/// Records its start and stays, as a server does; `stop.sh` ends it.
const SERVER: &str = "#!/bin/sh\necho \"$0 $*\" >>\"$NOTES\"\nexec sleep 600\n";
const CLIENT: &str = "#!/bin/sh\necho \"$0 $*\" >>\"$NOTES\"\n";

/// A script that records that it starts a node, and says where its addresses are.
fn node_of(kind: &str) -> String {
    format!(
        "#!/bin/sh\necho \"{kind} node $1\" >>\"$NOTES\"\nmkdir -p \"$1/node\"\necho 192.0.2.7 >\"$1/node/node-address\"\necho export KUBECONFIG={kind}\n"
    )
}

/// A checkout with only our scripts, and the folders that may be chosen.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let checkout = Self(tempfile::tempdir().expect("a folder"));
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster");
        for script in ["start.sh", "start-node.sh", "stop.sh"] {
            checkout.write(
                &format!("checkout/conformance/cluster/{script}"),
                &std::fs::read_to_string(ours.join(script)).expect(script),
            );
        }
        let kube = checkout.path("built/kube");
        checkout.write("built/kube", SERVER);
        checkout.write(
            "checkout/conformance/cluster/build.sh",
            &format!("#!/bin/sh\necho build >>\"$NOTES\"\necho {}\n", kube.display()),
        );
        // The client that checks whether the API server is ready, and what gives the node its route.
        checkout.write("bin/curl", CLIENT);
        checkout.write("bin/ip", CLIENT);
        checkout.write("checkout/conformance/cluster/node/start.sh", &node_of("built"));
        checkout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        programs::script(text, &path).expect("a file");
    }

    fn with_prebuilt(self) -> Self {
        self.write("shared/cluster/start-node.sh", &node_of("prebuilt"));
        self.write("shared/cluster/start.sh", "#!/bin/sh\necho \"prebuilt $KUBE_COMPONENTS $1\" >>\"$NOTES\"\necho export KUBECONFIG=prebuilt\n");
        self
    }

    fn with_assets(self, programs: &[&str]) -> Self {
        for program in programs {
            self.write(&format!("assets/{program}"), if *program == "kubectl" { CLIENT } else { SERVER });
        }
        self
    }

    /// Runs a script; everything that it started ends with [`Checkout::drop`].
    fn run(&self, script: &str, assets: Option<PathBuf>) -> Output {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(std::iter::once(self.path("bin")).chain(std::env::split_paths(&path)));
        let mut command = Command::new(self.path("checkout/conformance/cluster").join(script));
        command
            .arg(self.path("state"))
            .env("PATH", path.expect("a PATH"))
            .env("NOTES", self.path("notes"))
            .env_remove("KUBEBUILDER_ASSETS")
            .env_remove("KUBE_COMPONENTS");
        if let Some(assets) = assets {
            command.env("KUBEBUILDER_ASSETS", assets);
        }
        command.output().expect("bash runs")
    }

    /// Starts, and returns what was recorded: the programs by their folder, and their commands.
    fn started(&self, assets: Option<PathBuf>) -> String {
        self.started_by("start.sh", assets)
    }

    fn started_by(&self, script: &str, assets: Option<PathBuf>) -> String {
        let output = self.run(script, assets);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("export KUBECONFIG="), "{output:?}");
        std::fs::read_to_string(self.path("notes")).expect("notes")
    }

    /// The link target of a program in the state folder.
    fn program(&self, name: &str) -> Option<PathBuf> {
        std::fs::read_link(self.path("state/bin").join(name)).ok()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if self.path("state/pids").is_dir() {
            self.run("stop.sh", None);
        }
    }
}

#[test]
fn assets_come_before_the_prebuilt_control_plane() {
    let set = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];
    let checkout = Checkout::new().with_prebuilt().with_assets(&set);
    let notes = checkout.started(Some(checkout.path("assets")));
    for program in set {
        assert_eq!(checkout.program(program), Some(checkout.path("assets").join(program)));
    }
    assert!(checkout.path("state/pids/kube-controller-manager").exists(), "it was not started");
    assert!(!notes.contains("prebuilt") && !notes.contains("build\n"), "{notes}");
}

#[test]
fn the_prebuilt_control_plane_comes_before_a_build() {
    let checkout = Checkout::new().with_prebuilt().with_assets(&["etcd"]);
    let state = checkout.path("state");
    assert_eq!(checkout.started(None), format!("prebuilt kube-controller-manager {}\n", state.display()));
}

#[test]
fn without_either_it_is_built() {
    let checkout = Checkout::new();
    let notes = checkout.started(None);
    assert!(notes.starts_with("build\n"), "{notes}");
    for program in ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"] {
        assert_eq!(checkout.program(program), Some(checkout.path("built/kube")));
    }
}

/// The usual envtest set: the script creates the service account that pods of `default` need; other
/// namespaces' accounts are created with the namespace.
#[test]
fn assets_without_a_controller_manager_get_a_service_account() {
    let checkout = Checkout::new().with_assets(&["etcd", "kube-apiserver", "kubectl"]);
    let notes = checkout.started(Some(checkout.path("assets")));
    assert!(notes.contains("kubectl create serviceaccount default --namespace default"), "{notes}");
    assert_eq!(checkout.program("kube-controller-manager"), None);
    assert!(!checkout.path("state/pids/kube-controller-manager").exists(), "something else was started");
}

#[test]
fn assets_without_an_api_server_are_refused() {
    let checkout = Checkout::new().with_prebuilt().with_assets(&["etcd", "kubectl"]);
    let output = checkout.run("start.sh", Some(checkout.path("assets")));
    assert!(!output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "start.sh: KUBEBUILDER_ASSETS has no kube-apiserver\n"
    );
    assert!(!checkout.path("notes").exists(), "something was started");
}

#[test]
fn the_prebuilt_node_comes_before_one_that_is_built_and_either_gets_its_route() {
    for (checkout, kind) in [(Checkout::new().with_prebuilt(), "prebuilt"), (Checkout::new(), "built")] {
        let notes = checkout.started_by("start-node.sh", None);
        let ip = checkout.path("bin/ip");
        let route = format!("{} route replace 10.96.0.0/16 via 192.0.2.7", ip.display());
        assert_eq!(notes, format!("{kind} node {}\n{route}\n", checkout.path("state").display()));
    }
}
