//! Runs the examples of every code's documentation: the failing pack gives exactly the message that is printed there, its
//! twin gives none. The blocks of a file's `//!` lines:
//!
//! - `yaml fails`, `yaml passes`: the sections of a pack's spec;
//! - `text`: what the failing one gives (written anew with `UPDATE_EXPECT=1`);
//! - `yaml parent`: a pack `base` that both extend; `yaml with`: a pack `other` that both are compiled together with; `yaml same`: the
//!   same, under the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_crds::pack::PolicyPackSpec;
use bailiwick_policy::ir::Const;
use bailiwick_policy::policy::PackSource;

use super::codes;
use crate::assemble::{Lineage, assemble};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::lower::Pack;

fn pack(name: &str, sections: &str, extended: Option<&str>) -> Pack {
    let text = format!("pack: {name}\nversion: 1.0.0\n{sections}");
    let spec: PolicyPackSpec =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Pack {
        spec,
        source: PackSource {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            digest: sections.to_owned(),
            parameters_digest: String::new(),
            parameters: Const::Map(Vec::new()),
        },
        parameters: Arc::default(),
        extended: extended.map(str::to_owned),
        kinds: Arc::default(),
    }
}

/// The fenced blocks of a documentation, by what stands behind the fence.
fn blocks(code: Code) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let documentation = code.documentation();
    let mut lines = documentation.lines();
    while let Some(line) = lines.next() {
        if let Some(tag) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            out.insert(tag.to_owned(), body.join("\n"));
        }
    }
    out
}

fn compiled(sections: &str, blocks: &BTreeMap<String, String>) -> Vec<Diagnostic> {
    let ancestors: Vec<Pack> =
        blocks.get("yaml parent").map(|text| pack("base", text, Some("base"))).into_iter().collect();
    let mut lineages = vec![Lineage { pack: pack("example", sections, None), ancestors }];
    for (tag, name) in [("yaml with", "other"), ("yaml same", "example")] {
        lineages.extend(
            blocks.get(tag).map(|text| Lineage { pack: pack(name, text, None), ancestors: Vec::new() }),
        );
    }
    assemble(&lineages).diagnostics.concat()
}

fn rendered(said: &[Diagnostic], code: Code) -> String {
    said.iter().filter(|found| found.code == code).map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Writes the message into the file of the code.
fn update(code: Code, message: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/check");
    let prefix = format!("{}_", code.id().to_lowercase());
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files
        .into_iter()
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&prefix))
        .unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("//! ```text\n").unwrap();
    let (_, after) = rest.split_once("//! ```\n").unwrap();
    let body: String = message.lines().map(|line| format!("//! {line}\n")).collect();
    std::fs::write(&file, format!("{before}//! ```text\n{body}//! ```\n{after}")).unwrap();
}

/// What a finding lacks of telling people what to do: words of its own, not a way to more words.
fn no_help(found: &Diagnostic) -> bool {
    let help = found.help.as_str();
    help.split(' ').count() < 2
        || help.contains("bailiwick explain")
        || !found.to_string().contains(&format!("\n  help: {help}"))
}

#[test]
fn examples_fail_and_pass_as_documented() {
    let mut wrong = Vec::new();
    for code in codes() {
        let blocks = blocks(code);
        let (Some(fails), Some(passes)) = (blocks.get("yaml fails"), blocks.get("yaml passes")) else {
            continue;
        };
        let failed = compiled(fails, &blocks);
        let without = failed.iter().filter(|found| no_help(found));
        wrong.extend(without.map(|found| format!("{code}: nothing says what to do: {found}")));
        let found = rendered(&failed, code);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            update(code, &found);
        } else if blocks.get("text") != Some(&found) {
            wrong.push(format!("{code}: the failing pack gives\n{found}"));
        }
        if found.is_empty() {
            wrong.push(format!("{code}: the failing pack gives nothing"));
        }
        let twin = compiled(passes, &blocks);
        // The twin is a sound pack, but for sections that are not enforced yet.
        let bad = twin.iter().filter(|found| {
            found.code == code || (found.severity == Severity::Error && !found.code.id().starts_with("BW05"))
        });
        wrong.extend(bad.map(|found| format!("{code}: the passing twin gives {found}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Codes tested elsewhere: the failing packs of BW0519 and BW0523 are too large for a page and their tests stand below; BW0608 is found
/// while parameters are put in, before the sections, and `tests/pack_diagnostics.rs` has it.
const ELSEWHERE: &[&str] = &["BW0519", "BW0523", "BW0608"];

/// Whether a code's documentation has a failing pack, what is said of it, and its passing twin.
pub(super) fn is_complete(code: Code) -> bool {
    let blocks = blocks(code);
    ["yaml fails", "text", "yaml passes"].iter().all(|tag| blocks.contains_key(*tag))
}

#[test]
fn every_check_has_an_example() {
    for code in codes().filter(|code| code.id() >= "BW0220" && !ELSEWHERE.contains(&code.id())) {
        assert!(is_complete(code), "{code} lacks a failing pack, what is said of it, or a passing twin");
    }
}

/// A pack with one pool and one sandbox in it; `kind` and `backend` of the pool, and the sandbox's limits.
fn confined(kind: &str, backend: &str, limits: &str) -> String {
    format!(
        "isolation:\n  runtimeClass: {{classes: [{{name: c, handler: h, kind: {kind}}}]}}\npools:\n- {{name: warm, backend: {backend}, runtimeClass: c, podSecurity: {{level: Baseline, version: v1.36}},\n   userNamespace: Required, cgroup: Writable, resources: {{cpus: \"2\", memory: 1Gi}}}}\nsandboxes:\n- name: shell\n  pool: warm\n  filesystem: {{readOnly: [/usr, /bin]}}\n  syscalls: {{profile: Shell}}\n  limits: {{wallClock: 30s, {limits}, processes: 64, output: 1Mi}}\n"
    )
}

#[test]
fn a_profile_is_inert_in_a_pod_of_gvisor_and_of_kata() {
    let code = super::bw0418_inert_seccomp::CODE;
    let said = |kind: &str, backend: &str| {
        rendered(&compiled(&confined(kind, backend, "memory: 512Mi"), &BTreeMap::new()), code)
    };
    for kind in ["GVisor", "Kata"] {
        assert!(said(kind, "Pod").contains("RuntimeClass `c` does not apply the profile"), "{kind}");
        assert_eq!(said(kind, "Native"), "", "{kind}");
    }
    assert_eq!(said("Runc", "Pod"), "");
}

#[test]
fn memory_and_cpus_stay_below_those_of_the_pool() {
    let said = |limits: &str| {
        let code = super::bw0410_limits_above_pool::CODE;
        rendered(&compiled(&confined("Runc", "Native", limits), &BTreeMap::new()), code)
    };
    let found = said("cpus: 2500m, memory: 512Mi");
    assert!(found.contains("limits.cpus: limit `2500m` is above the `2` of pool `warm`"), "{found}");
    let found = said("memory: 2Gi");
    assert!(found.contains("limits.memory: limit `2Gi` is above the `1Gi` of pool `warm`"), "{found}");
    assert_eq!(said("cpus: \"2\", memory: 1Gi"), "");
}

/// The schema asks that one of the lists be there, and takes an empty one; nothing would become of it.
#[test]
fn empty_lists_of_labels_are_as_good_as_none() {
    let said = |sections: &str| rendered(&compiled(sections, &BTreeMap::new()), super::bw0113_members::CODE);
    let labels = |label: &str| {
        let rules = "rules: [{name: a, tools: [workspace.read], label: ";
        said(&format!("tools: {{state: {{labels: [{{name: seen}}]}}, {rules}{label}}}]}}\n"))
    };
    let place = "error[BW0113] at spec.tools.rules[0].label: at least one of `add`, `remove` must be there and not empty";
    for empty in ["{add: []}", "{remove: []}", "{add: [], remove: []}"] {
        assert!(labels(empty).starts_with(place), "{empty}: {}", labels(empty));
    }
    assert_eq!(labels("{add: [seen], remove: []}"), "");
}

#[test]
fn more_network_rules_than_a_cluster_can_hold_are_refused() {
    let rule = |index: usize| {
        format!(
            "  - {{name: r{index}, to: {{cidr: 192.0.2.0/24}}, ports: [{{port: {}}}]}}\n",
            index % 60_000 + 1
        )
    };
    let rules = |count: usize| format!("network:\n  egress:\n{}", (0..count).map(rule).collect::<String>());
    let code = super::bw0519_too_many_network_rules::CODE;
    assert_eq!(
        rendered(&compiled(&rules(1_001), &BTreeMap::new()), code),
        "error[BW0519] at spec.network.egress: 1001 egress rules; NetworkPolicies are emitted for at most 1000\n  help: put several networks and ports into one rule, or split the pack"
    );
    assert_eq!(rendered(&compiled(&rules(1_000), &BTreeMap::new()), code), "");
}

#[test]
fn what_no_proxy_carries_says_nothing_of_tls() {
    let code = super::bw0404_http_without_termination::CODE;
    let rule = |more: &str| {
        let sections = format!(
            "network:\n  egress:\n  - {{name: r, to: {{cidr: 192.0.2.0/24}}, ports: [{{port: 443}}]{more}}}\n"
        );
        rendered(&compiled(&sections, &BTreeMap::new()), code)
    };
    assert_eq!(rule(""), "");
    assert!(rule(", tls: Terminate").starts_with("error[BW0404] at spec.network.egress[0].tls: "));
    assert!(rule(", tls: Terminate, http: [{methods: [GET]}]").contains("spec.network.egress[0].http: "));
}

/// The objects of each workload kind have its type, not `dyn`: a misspelt field is found before it is read.
#[test]
fn a_misspelt_field_of_any_workload_is_found() {
    for (group, resource, field) in [
        ("", "pods", "spec.containers"),
        ("", "replicationcontrollers", "spec.template.spec.containers"),
        ("apps", "deployments", "spec.replicas"),
        ("apps", "replicasets", "spec.template.spec.hostPID"),
        ("apps", "statefulsets", "spec.serviceName"),
        ("apps", "daemonsets", "spec.updateStrategy"),
        ("batch", "jobs", "spec.parallelism"),
        ("batch", "cronjobs", "spec.jobTemplate.spec.template.spec.containers"),
    ] {
        let said = |field: &str| {
            let sections = format!(
                "admission:\n  rules:\n  - name: r\n    match: {{resources: [{{apiGroups: [\"{group}\"], apiVersions: [v1], resources: [{resource}], operations: [CREATE]}}]}}\n    validations: [{{expression: \"has(object.{field})\"}}]\n"
            );
            let found = compiled(&sections, &BTreeMap::new());
            found.into_iter().filter(|found| found.code.id().starts_with("BW03")).collect::<Vec<_>>()
        };
        assert!(said(field).is_empty(), "{resource}: {:?}", said(field));
        let misspelt = format!("{field}s_");
        assert!(!said(&misspelt).is_empty(), "{resource}: `{misspelt}` is taken");
    }
}

#[test]
fn a_runtime_class_without_user_namespaces_gives_no_proc() {
    let code = super::bw0405_proc_refused::CODE;
    let sections = |kind: &str, proc: &str| {
        format!(
            "isolation:\n  runtimeClass: {{classes: [{{name: c, handler: h, kind: {kind}}}]}}\npools:\n- {{name: warm, backend: Native, runtimeClass: c, podSecurity: {{level: Baseline, version: v1.36}},\n   userNamespace: Required, cgroup: Writable, resources: {{cpus: \"2\", memory: 1Gi}}}}\nsandboxes:\n- name: shell\n  pool: warm\n  filesystem: {{readOnly: [/usr, /bin], proc: {proc}}}\n  syscalls: {{profile: Shell}}\n  limits: {{wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}\n"
        )
    };
    let said = |kind: &str, proc: &str| rendered(&compiled(&sections(kind, proc), &BTreeMap::new()), code);
    assert_eq!(
        said("GVisor", "Own"),
        "error[BW0405] at spec.sandboxes[0].filesystem.proc: RuntimeClass `c` of kind GVisor has no user namespaces, so sandbox `shell` cannot have its own /proc\n  help: use `proc: None`, or a pool in a RuntimeClass of kind Runc"
    );
    assert!(said("Kata", "Own").contains("of kind Kata"));
    assert_eq!((said("Runc", "Own"), said("GVisor", "None")), (String::new(), String::new()));
}

#[test]
fn a_bundle_that_no_config_map_holds_is_refused() {
    // Numbers that do not repeat, since the bundle is measured as it travels.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    let mut rules = |count: usize| {
        let rule = |index: usize, text: String| {
            format!(
                "  - {{name: r{index}, match: {{resources: [{{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}},\n     validations: [{{expression: \"object.metadata.name != '{text}'\"}}]}}\n"
            )
        };
        let rules: String =
            (0..count).map(|index| rule(index, (0..64).map(|_| random()).collect())).collect();
        format!("admission:\n  rules:\n{rules}")
    };
    let code = super::bw0523_bundle_size::CODE;
    let found = rendered(&compiled(&rules(2_000), &BTreeMap::new()), code);
    assert!(found.contains("under gzip, more than 921600"), "{found}");
    assert_eq!(rendered(&compiled(&rules(200), &BTreeMap::new()), code), "");
}

#[test]
fn a_sandbox_stays_within_the_ceiling_of_its_name() {
    let pools = "pools:\n- {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: \"2\", memory: 1Gi}}\n";
    let sandbox = |pool: &str| {
        format!(
            "sandboxes:\n- name: shell\n{pool}  filesystem: {{readOnly: [/usr, /bin], writable: [{{path: /tmp, size: 1Mi}}], workspace: {{path: /work, size: 2Mi, lifetime: Session}}, proc: None, devices: [zero]}}\n  syscalls: {{profile: Shell, remove: [mkdirat]}}\n  limits: {{wallClock: 30s, cpuTime: 9s, cpus: \"1\", memory: 512Mi, processes: 64, openFiles: 99, fileSize: 3Mi, output: 1Mi}}\naudit: {{arguments: Commit, results: Drop, retention: 24h}}\n"
        )
    };
    let parent = BTreeMap::from([("yaml parent".to_owned(), pools.to_owned() + &sandbox(""))]);
    let own = |change: &str, to: &str| {
        let text = pools.to_owned() + &sandbox("  pool: warm\n");
        assert!(text.contains(change), "`{change}` is not there");
        format!("extends: [{{name: base, version: \"^1.0\"}}]\n{}", text.replace(change, to))
    };
    let said = |change: &str, to: &str| {
        rendered(&compiled(&own(change, to), &parent), super::bw0227_widens_parent::CODE)
    };
    assert_eq!(said("name: shell", "name: shell"), "");
    assert_eq!(
        said("memory: 512Mi", "memory: 600Mi"),
        "error[BW0227] at spec.sandboxes[0].limits.memory: sandbox `shell`: `limits.memory` is 600Mi; `base` allows at most 512Mi\n  help: an extended pack is a ceiling: allow no more than `base` does\n  spec.sandboxes[0].limits.memory: the ceiling of `base`"
    );
    for (change, to, expected) in [
        ("/usr, /bin", "/usr, /bin, /opt", "`/opt` cannot be read in `base`"),
        ("path: /tmp", "path: /var/tmp", "`/var/tmp` cannot be written in `base`"),
        ("size: 1Mi", "size: 4Mi", "`/tmp` has 4Mi; `base` allows at most 1Mi"),
        ("size: 2Mi", "size: 4Mi", "the workspace has 4Mi; `base` allows at most 2Mi"),
        ("path: /work", "path: /home", "the workspace is at `/home`; in `base` it is at `/work`"),
        ("proc: None", "proc: Own", "`base` gives no /proc"),
        ("[zero]", "[full]", "`base` does not give device `full`"),
        ("remove: [mkdirat]", "remove: []", "`base` refuses these system calls: `mkdirat`"),
        ("wallClock: 30s", "wallClock: 31s", "`limits.wallClock` is 31s; `base` allows at most 30s"),
        ("cpuTime: 9s", "cpuTime: 10s", "`limits.cpuTime` is 10s; `base` allows at most 9s"),
        (
            "cpus: \"1\", memory: 512Mi",
            "cpus: 1500m, memory: 512Mi",
            "`limits.cpus` is 1500m; `base` allows at most 1",
        ),
        ("processes: 64", "processes: 65", "`limits.processes` is 65; `base` allows at most 64"),
        ("openFiles: 99", "openFiles: 100", "`limits.openFiles` is 100; `base` allows at most 99"),
        ("fileSize: 3Mi", "fileSize: 4Mi", "`limits.fileSize` is 4Mi; `base` allows at most 3Mi"),
        ("output: 1Mi", "output: 2Mi", "`limits.output` is 2Mi; `base` allows at most 1Mi"),
        (
            "output: 1Mi}\n",
            "output: 1Mi}\n  atLeast: {memory: Rlimit}\n",
            "`atLeast.memory` is Rlimit; `base` requires Exact",
        ),
        (
            "cgroup: Writable, resources: {cpus: \"2\"",
            "cgroup: Writable, resources: {cpus: \"4\"",
            "`resources.cpus` is 4; `base` allows at most 2",
        ),
        ("userNamespace: Required", "userNamespace: Optional", "`base` requires a user namespace"),
        ("arguments: Commit", "arguments: Plain", "`arguments` is Plain; `base` has Commit"),
        ("retention: 24h", "retention: 1h", "`retention` is 1h; `base` keeps records for 24h"),
    ] {
        let found = said(change, to);
        assert!(found.contains(expected), "{to}: {found}");
    }
}

/// A pack by itself has a sandbox that is narrower than its tool's; another pack makes the tool's own the narrower one.
#[test]
fn a_sandbox_is_narrower_once_all_packs_are_met() {
    let code = super::bw0414_not_narrower::CODE;
    let own = blocks(code).remove("yaml passes").unwrap();
    let other = |processes: &str| {
        let text = own.split_once("tools:").unwrap().0.split_once("- name: quiet").unwrap().0;
        let ceiling = text.replace("  pool: warm\n", "").replace("processes: 64", processes);
        BTreeMap::from([("yaml with".to_owned(), ceiling)])
    };
    assert_eq!(rendered(&compiled(&own, &other("processes: 64")), code), "");
    let found = rendered(&compiled(&own, &other("processes: 8")), code);
    assert!(found.contains("sandbox `quiet` is not narrower than `shell`: its limits are higher"), "{found}");
    // Its own program, the executor's own tools, and a sandbox without a pool.
    let said = |from: &str, to: &str, code: Code| {
        assert!(own.contains(from), "`{from}` is not there");
        rendered(&compiled(&own.replace(from, to), &BTreeMap::new()), code)
    };
    let found = said("[/bin]", "[/usr]", super::bw0409_program_outside::CODE);
    assert!(
        found.contains("narrow.sandbox: `/bin/cat` of tool `files.read` is not among the files of"),
        "{found}"
    );
    let found = said("tools: [files.read]", "tools: ['*']", code);
    assert!(found.contains("`workspace.list` runs in no sandbox of a pack"), "{found}");
    let found = said("- name: quiet\n  pool: warm", "- name: quiet", super::bw0430_unplaced_sandbox::CODE);
    assert!(found.contains("narrow.sandbox: sandbox `quiet` is only a ceiling"), "{found}");
}
