//! The table in `ARCHITECTURE.md` compared with what cargo resolves: direct edges between our crates, and
//! what a crate must never see, however indirectly.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::root;

/// Which of our crates one of them may use, and which outside crates must not be in its resolved tree.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

/// What talks to others.
const NO_NETWORK: &[&str] = &["kube-client", "kube-runtime", "tokio", "hyper", "rustls"];

/// What no package of ours has in its tree: a second TLS stack, a second provider of cryptography.
const NOWHERE: &[&str] = &["openssl-sys", "native-tls", "ring"];

pub(crate) const TABLE: &[Row] = &[
    Row {
        name: "bailiwick-policy",
        may_use: &[],
        never: &[
            "cel",
            "regorus",
            "kube-core",
            "kube-client",
            "serde-saphyr",
            "k8s-openapi",
            "rustls",
            "tokio",
            "hyper",
        ],
    },
    Row { name: "bailiwick-crds", may_use: &[], never: NO_NETWORK },
    Row { name: "bailiwick-compiler", may_use: &["bailiwick-policy", "bailiwick-crds"], never: NO_NETWORK },
    Row {
        name: "bailiwick",
        may_use: &["bailiwick-compiler", "bailiwick-policy", "bailiwick-audit"],
        never: NO_NETWORK,
    },
    Row {
        name: "bailiwick-lsp",
        may_use: &["bailiwick-compiler", "bailiwick-policy"],
        never: &["kube-client", "kube-runtime", "tokio", "hyper", "rustls", "bailiwick-sys"],
    },
    Row { name: "bailiwick-sys", may_use: &[], never: &["tokio", "hyper", "rustls", "kube-core"] },
    Row {
        name: "bailiwick-audit",
        may_use: &["bailiwick-policy"],
        never: &["tokio", "hyper", "rustls", "kube-core"],
    },
    Row {
        name: "bailiwick-executor",
        may_use: &["bailiwick-policy", "bailiwick-audit", "bailiwick-sys"],
        never: &[
            "bailiwick-compiler",
            "bailiwick-crds",
            "cel",
            "regorus",
            "serde-saphyr",
            "kube-core",
            "k8s-openapi",
        ],
    },
    Row {
        name: "bailiwick-images",
        may_use: &["bailiwick-policy"],
        never: &["kube-core", "k8s-openapi", "serde-saphyr", "bailiwick-sys", "reqwest"],
    },
    Row {
        name: "bailiwick-webhook",
        may_use: &["bailiwick-compiler", "bailiwick-policy", "bailiwick-crds", "bailiwick-images"],
        never: &["bailiwick-sys"],
    },
    Row {
        name: "bailiwick-operator",
        may_use: &["bailiwick-compiler", "bailiwick-policy", "bailiwick-crds"],
        never: &["bailiwick-sys", "bailiwick-audit"],
    },
    Row {
        name: "bailiwick-conformance",
        may_use: &[
            "bailiwick-compiler",
            "bailiwick-policy",
            "bailiwick-crds",
            "bailiwick-webhook",
            "bailiwick-images",
            "bailiwick-lsp",
            "bailiwick-operator",
            "bailiwick-executor",
            "bailiwick-audit",
            "bailiwick-sys",
        ],
        never: &[],
    },
];

/// The resolved tree: the direct normal and build dependencies of each package. Test-only dependencies do not
/// count.
struct Resolved {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<String>>,
    members: BTreeSet<String>,
}

impl Resolved {
    fn read() -> Self {
        let output = Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--format-version=1",
                "--locked",
                "--filter-platform=x86_64-unknown-linux-gnu",
            ])
            .current_dir(root())
            .output()
            .expect("cargo metadata runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let names = list(&metadata["packages"]).iter().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
        let edges = list(&metadata["resolve"]["nodes"])
            .iter()
            .map(|node| {
                let deps = list(&node["deps"]);
                let counted = deps
                    .iter()
                    .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev"));
                (text(&node["id"]), counted.map(|dep| text(&dep["pkg"])).collect())
            })
            .collect();
        let members = list(&metadata["workspace_members"]).iter().map(text).collect();
        Self { names, edges, members }
    }

    fn id(&self, name: &str) -> &str {
        let found = self.members.iter().find(|id| self.names[*id] == name);
        found.unwrap_or_else(|| panic!("no package `{name}` in the workspace"))
    }
}

/// Names of everything that is linked into a package or runs in its build, with the features that cargo
/// resolves when the package is built alone.
fn linked(name: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--edges=normal,build",
            "--target=x86_64-unknown-linux-gnu",
            "--prefix=none",
        ])
        .args(["--format={p}", "--package", name])
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn every_member_stands_in_the_table() {
    let resolved = Resolved::read();
    let members: BTreeSet<&str> = resolved.members.iter().map(|id| resolved.names[id].as_str()).collect();
    let rows: BTreeSet<&str> = TABLE.iter().map(|row| row.name).collect();
    assert_eq!(members, rows);
}

/// Our crates by their names in the table of `ARCHITECTURE.md`.
fn documented(cell: &str) -> BTreeSet<String> {
    let ours = || TABLE.iter().map(|row| row.name);
    match cell {
        "none of ours" => BTreeSet::new(),
        "all" => ours()
            .filter(|name| !["bailiwick-conformance", "bailiwick"].contains(name))
            .map(str::to_owned)
            .collect(),
        words => words.split(", ").map(|word| format!("bailiwick-{word}")).collect(),
    }
}

#[test]
fn the_documented_table_is_the_one_that_is_checked() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is readable");
    let (_, rest) = text.split_once("| Folder | Crate |").expect("ARCHITECTURE.md has the table of packages");
    let mut rows = 0;
    for line in rest.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[_, name, may_use, never] = &cells[..] else { panic!("not four cells: {line}") };
        let name = name.split(' ').next().unwrap_or(name);
        let row = TABLE.iter().find(|row| row.name == name);
        let row = row.unwrap_or_else(|| panic!("`{name}` is not in the table of this test"));
        let checked: BTreeSet<String> = row.may_use.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(documented(may_use), checked, "what `{name}` may use");
        for word in never.split(", ").filter(|word| !ELSEWHERE.contains(word)) {
            let stands_for = NEVER.iter().find(|(one, _)| *one == word);
            let (_, stands_for) = stands_for.unwrap_or_else(|| panic!("no crate stands for `{word}`"));
            assert!(
                stands_for.iter().any(|one| row.never.contains(one)),
                "`{name}` must never see {word}, and none of {stands_for:?} is checked"
            );
        }
        rows += 1;
    }
    assert_eq!(rows, TABLE.len());
}

/// Words of the column "Must never see" that no crate stands for. Clock and files come from the standard
/// library: `what_has_no_clock_and_no_files_asks_the_standard_library_for_none` (`tidy.rs`). A second TLS stack stands
/// in [`NOWHERE`]. The others say what the column before them says.
const ELSEWHERE: &[&str] =
    &["clock", "files", "a second TLS stack", "everything of ours", "(nothing depends on it)"];

/// The crates behind the other words of that column.
const NEVER: &[(&str, &[&str])] = &[
    ("async", &["tokio"]),
    ("YAML", &["serde-saphyr"]),
    ("a CEL parser", &["cel"]),
    ("Rego", &["regorus"]),
    ("kube", &["kube-core"]),
    ("a Kubernetes client", &["kube-client"]),
    ("network", &["hyper"]),
    ("compiler", &["bailiwick-compiler"]),
    ("crds", &["bailiwick-crds"]),
    ("sys", &["bailiwick-sys"]),
    ("audit", &["bailiwick-audit"]),
];

#[test]
fn crates_use_only_what_their_row_lists() {
    let resolved = Resolved::read();
    let ours: BTreeSet<&str> = TABLE.iter().map(|row| row.name).collect();
    for row in TABLE {
        for dep in &resolved.edges[resolved.id(row.name)] {
            let dep = resolved.names[dep].as_str();
            assert!(!ours.contains(dep) || row.may_use.contains(&dep), "`{}` may not use `{dep}`", row.name);
        }
    }
}

#[test]
fn nothing_forbidden_stands_in_a_resolved_tree() {
    for row in TABLE {
        let linked = linked(row.name);
        for never in row.never.iter().chain(NOWHERE) {
            assert!(
                !linked.contains(*never),
                "`{}` must never see `{never}`; cargo tree -i {never} tells the way",
                row.name
            );
        }
    }
}

#[test]
fn the_list_of_what_is_linked_is_not_empty() {
    // The guard itself works: the webhook is async and the compiler parses CEL, and the lists must show it.
    assert!(linked("bailiwick-webhook").contains("tokio"));
    assert!(linked("bailiwick-compiler").contains("cel"));
}

#[test]
fn a_second_cel_parser_is_only_an_oracle() {
    let product = [
        "bailiwick",
        "bailiwick-executor",
        "bailiwick-images",
        "bailiwick-lsp",
        "bailiwick-operator",
        "bailiwick-webhook",
    ];
    for name in product {
        let linked = linked(name);
        for other in ["cel-interpreter", "kube-cel", "cel-parser", "cel-core"] {
            assert!(!linked.contains(other), "`{name}` links `{other}` beside `cel`");
        }
    }
}
