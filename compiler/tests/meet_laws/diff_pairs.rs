//! For each layer, packs that differ in it alone: which way, with which witness. And edits at random: whatever drops a restriction or adds a
//! grant is found.

use bailiwick_compiler::cases::{Bench, no_manifests};
use bailiwick_compiler::diff::{Diff, Direction, Layer, Witness, diff};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::PackSources;
use bailiwick_compiler::{Bindings, compile};
use bailiwick_policy::policy::Policy;
use proptest::prelude::*;
use proptest::sample::select;

use Direction::{Changed, Narrowed, Widened};

/// A pack that says something of every layer.
const PACK: &str = r#"
apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {name: p-1.0.0}
spec:
  pack: p
  version: 1.0.0
  subjects:
    namespaces: {selector: {matchLabels: {zone: agents}}, exclusive: true}
    pods: {matchLabels: {app: agent}}
    unmatched: Deny
  isolation:
    podSecurity: {level: Baseline, version: v1.36}
    runtimeClass: {classes: [{name: runc, handler: runc, kind: Runc}], default: runc}
    serviceAccountToken: Forbidden
  network:
    egress:
    - {name: index, to: {cidr: 192.0.2.0/28}, ports: [{port: 443, protocol: TCP}]}
    ingress:
    - {name: metrics, from: {namespaces: {matchLabels: {team: monitoring}}}, ports: [{port: 9090, protocol: TCP}]}
  images:
  - {match: ["registry.example.org/agents/**"], digest: Required}
  pools:
  - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable,
     resources: {cpus: "4", memory: 4Gi}}
  sandboxes:
  - name: shell
    pool: warm
    filesystem: {readOnly: [/usr, /bin], writable: [{path: /tmp, size: 16Mi, inodes: 1024}],
      workspace: {path: /work, size: 64Mi, inodes: 4096, lifetime: Session}, proc: Own}
    syscalls: {profile: Shell, remove: [socket]}
    limits: {wallClock: 30s, cpuTime: 30s, cpus: "1", memory: 256Mi, processes: 64, openFiles: 256, fileSize: 16Mi, output: 1Mi}
  tools:
    definitions:
    - name: shell.exec
      input: {type: object, required: [command], additionalProperties: false, properties: {command: {type: string, maxLength: 200}, level: {type: integer, minimum: 0, maximum: 9}}}
      run: {sandbox: shell, argv: [{value: /bin/bash}, {value: -c}, {value: "--"}, {arg: command}]}
      derive: [{shell: command}]
    approvers:
    - {name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="}]}
    state:
      counters: [{name: calls, window: 60s}]
      budgets: [{name: cpu, resource: CpuSeconds, limit: 600, window: 1h}]
    rules:
    - {name: read, tools: [shell.exec], when: "facts.shell.onlyRuns(['ls', 'cat'])", allow: {}}
    - {name: git, tools: [shell.exec], when: "facts.commands.all(c, c.name == 'git')", allow: {}}
    - {name: no-push, tools: [shell.exec], when: "facts.commands.exists(c, c.name == 'git' && 'push' in c.args && ('-f' in c.args || '--force' in c.args))", deny: {}}
    - {name: trusted-levels, tools: [shell.exec], when: "has(call.args.level) && call.args.level > 5 && subject.namespace != 'ops'", deny: {}}
    - {name: rate, tools: [shell.exec], throttle: {counter: calls, max: 20}}
  admission:
    rules:
    - name: memory
      match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
      validations: [{expression: "pod.mainContainers.all(c, 'memory' in c.?resources.?limits.orValue({}))", message: no memory limit}]
      action: Deny
    - name: no-aliases
      match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
      validations: [{expression: "object.spec.?hostAliases.orValue([]).size() == 0", message: no aliases}]
      action: Deny
    - name: links
      match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
      mutations: [{field: spec.enableServiceLinks, value: false}]
    - name: local-services
      match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [services], operations: [CREATE]}]}
      validations: [{expression: "object.spec.?type.orValue('ClusterIP') in ['ClusterIP', 'ExternalName']", message: no ports of nodes}]
      action: Deny
"#;

fn policy(text: &str) -> Policy {
    let sources = PackSources::single(text.as_bytes().to_vec());
    let compiled = compile(&[(&sources, Bindings::default())], &MemoryLibrary::default());
    let said: Vec<String> = compiled.all().map(ToString::to_string).collect();
    compiled.policy.unwrap_or_else(|| panic!("{text}\n{}", said.join("\n")))
}

fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(PACK.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the pack has no `{from}`");
        text.replacen(from, to, 1)
    })
}

fn compared(old: &Policy, new: &Policy) -> Diff {
    let found = diff(old, new, &[]).unwrap();
    // Each witness differs, and the other way round it differs the other way.
    let (before, after) = (Bench::as_it_is(old.clone()), Bench::as_it_is(new.clone()));
    for change in &found.changes {
        let Witness::Case(case) = &change.witness else { continue };
        let (one, other) =
            (before.carry_out(case, &no_manifests).unwrap(), after.carry_out(case, &no_manifests).unwrap());
        match change.direction {
            Widened if one.effect.is_none() => {
                assert_eq!((one.allowed, other.allowed), (false, true), "{change:#?}")
            }
            Narrowed if one.effect.is_none() => {
                assert_eq!((one.allowed, other.allowed), (true, false), "{change:#?}")
            }
            _ => assert!(one != other || case.tool_call.is_some(), "{change:#?}"),
        }
    }
    found
}

/// One edit: the layers that it changes, each with its direction, and a piece of the witness or of the words.
struct Edit {
    from: &'static str,
    to: &'static str,
    layer: Layer,
    /// Which way the edit goes; its reverse goes the other way.
    direction: Direction,
    shows: &'static str,
}

const fn edit(
    from: &'static str,
    to: &'static str,
    layer: Layer,
    direction: Direction,
    shows: &'static str,
) -> Edit {
    Edit { from, to, layer, direction, shows }
}

const EDITS: &[Edit] = &[
    edit("192.0.2.0/28", "192.0.2.0/27", Layer::Network, Widened, "192.0.2.16/28, TCP 443"),
    edit(
        "port: 443, protocol: TCP",
        "port: 443, endPort: 445, protocol: TCP",
        Layer::Network,
        Widened,
        "TCP 444-445",
    ),
    edit(
        "{cidr: 192.0.2.0/28}",
        "{cidr: 192.0.2.0/28, except: [192.0.2.4/32]}",
        Layer::Network,
        Narrowed,
        "192.0.2.4:443",
    ),
    edit("team: monitoring", "team: other", Layer::Network, Widened, "team=other"),
    edit("port: 9090", "port: 9091", Layer::Network, Narrowed, "TCP 9090"),
    edit(
        "readOnly: [/usr, /bin]",
        "readOnly: [/usr, /bin, /etc]",
        Layer::Filesystem,
        Widened,
        "read `/etc` and below",
    ),
    edit("path: /tmp,", "path: /var/tmp,", Layer::Filesystem, Widened, "write `/var/tmp` and below"),
    edit("proc: Own", "proc: None", Layer::Filesystem, Narrowed, "read `/proc`"),
    edit("remove: [socket]", "remove: [socket, kill]", Layer::Syscalls, Narrowed, "`kill` (x86_64, aarch64)"),
    edit("remove: [socket]", "remove: []", Layer::Syscalls, Widened, "`socket`"),
    edit("memory: 256Mi", "memory: 512Mi", Layer::Limits, Widened, "536870912"),
    edit("wallClock: 30s, cpuTime: 30s", "wallClock: 30s, cpuTime: 20s", Layer::Limits, Narrowed, "cpuTime"),
    edit("size: 64Mi", "size: 65Mi", Layer::Limits, Widened, "workspace.size"),
    edit("memory: 4Gi", "memory: 8Gi", Layer::Limits, Widened, "pools.warm.resources.memory"),
    edit("limit: 600", "limit: 601", Layer::Limits, Widened, "budgets.cpu"),
    edit("window: 1h", "window: 30m", Layer::Limits, Widened, "budgets.cpu.window"),
    edit("window: 60s", "window: 90s", Layer::Limits, Narrowed, "counters.calls.window"),
    edit("'ls', 'cat'", "'ls', 'cat', 'curl'", Layer::Tools, Widened, "curl"),
    edit("'ls', 'cat'", "'ls'", Layer::Tools, Narrowed, "cat"),
    edit(" || '--force' in c.args", "", Layer::Tools, Widened, "--force"),
    edit("call.args.level > 5", "call.args.level > 6", Layer::Tools, Widened, "\"level\":6"),
    edit(" && subject.namespace != 'ops'", "", Layer::Tools, Narrowed, "\"namespace\":\"ops\""),
    edit("maxLength: 200", "maxLength: 300", Layer::Tools, Widened, "shell.exec"),
    edit("max: 20}", "max: 30}", Layer::Tools, Widened, "\"times\":20"),
    edit("{value: -c}, ", "{value: -ec}, ", Layer::Tools, Changed, "another program"),
    edit(
        "derive: [{shell: command}]",
        "derive: [{shell: command}]\n      otherwise: {ask: {approvers: oncall}}",
        Layer::Tools,
        Widened,
        "shell.exec",
    ),
    edit(
        "level: Baseline, version: v1.36}\n    runtimeClass",
        "level: Restricted, version: v1.36}\n    runtimeClass",
        Layer::Admission,
        Narrowed,
        "podSecurity",
    ),
    edit("    serviceAccountToken: Forbidden\n", "", Layer::Admission, Widened, "serviceAccountToken"),
    edit(
        "[{name: runc, handler: runc, kind: Runc}]",
        "[{name: runc, handler: runc, kind: Runc}, {name: kata, handler: kata, kind: Kata}]",
        Layer::Admission,
        Widened,
        "kata",
    ),
    edit("app: agent", "app: other", Layer::Admission, Widened, "subjects"),
    edit(
        "exclusive: true}\n    pods: {matchLabels: {app: agent}}\n    unmatched: Deny",
        "exclusive: false}\n    pods: {matchLabels: {app: agent}}\n    unmatched: Allow",
        Layer::Admission,
        Widened,
        "subjects",
    ),
    edit("'memory' in", "'cpu' in", Layer::Admission, Widened, "memory"),
    edit(".size() == 0", ".size() <= 1", Layer::Admission, Widened, "hostAliases"),
    edit(
        "field: spec.enableServiceLinks, value: false",
        "field: spec.enableServiceLinks, value: true",
        Layer::Admission,
        Changed,
        "enableServiceLinks",
    ),
    edit("['ClusterIP', 'ExternalName']", "['ClusterIP']", Layer::Admission, Narrowed, "ExternalName"),
    edit("agents/**\"], digest: Required", "agents/**\"], digest: Any", Layer::Images, Widened, "by tag"),
    edit(
        "registry.example.org/agents/**",
        "registry.example.org/**",
        Layer::Images,
        Widened,
        "registry.example.org/any",
    ),
];

const fn reverse(direction: Direction) -> Direction {
    match direction {
        Widened => Narrowed,
        Changed => Changed,
        Narrowed => Widened,
    }
}

#[test]
fn each_layer_is_found_both_ways_with_its_witness() {
    let before = policy(PACK);
    let mut wrong = Vec::new();
    for Edit { from, to, layer, direction, shows } in EDITS {
        let after = policy(&edited(&[(from, to)]));
        let there = compared(&before, &after);
        let back = compared(&after, &before);
        for (found, direction) in [(&there, *direction), (&back, reverse(*direction))] {
            let shown = |change: &bailiwick_compiler::diff::Change| {
                change.layer == *layer
                    && change.direction == direction
                    && serde_json::to_string(change).unwrap().replace("\\\"", "\"").contains(shows)
            };
            if !found.changes.iter().any(shown) {
                wrong.push(format!(
                    "{from} -> {to}: no {direction:?} of {layer:?} with `{shows}`: {:#?}",
                    found.changes
                ));
            }
            if let Some(other) = found.changes.iter().find(|change| change.layer != *layer) {
                wrong.push(format!("{from} -> {to}: {other:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn equal_packs_differ_in_nothing_and_say_so_of_every_layer() {
    let one = policy(PACK);
    assert_eq!(diff(&one, &one, &[]).unwrap(), Diff::default());
    // Other names, places, messages and order of rules are no difference.
    let renamed = edited(&[
        ("name: read,", "name: read-only,"),
        ("no memory limit", "set a memory limit"),
        ("version: 1.0.0", "version: 1.0.1"),
        ("p-1.0.0", "p-1.0.1"),
    ]);
    let found = compared(&one, &policy(&renamed));
    assert!(found.changes.is_empty() && found.bounds.is_empty(), "{found:#?}");
}

#[test]
fn a_tool_that_moves_to_another_sandbox_is_compared_by_what_the_sandboxes_are() {
    let with = |memory: &str, run: &str| {
        let (_, shell) = PACK.split_once("  sandboxes:\n").unwrap();
        let (shell, _) = shell.split_once("  tools:\n").unwrap();
        let roomy = shell.replace("name: shell", "name: roomy").replace("memory: 256Mi", memory);
        let text = PACK.replacen("  tools:\n", &format!("{roomy}  tools:\n"), 1);
        policy(&text.replacen("run: {sandbox: shell", &format!("run: {{sandbox: {run}"), 1))
    };
    let directions = |found: &Diff| -> Vec<(Layer, Direction)> {
        found.changes.iter().map(|change| (change.layer, change.direction)).collect()
    };
    let moved = compared(&with("memory: 512Mi", "shell"), &with("memory: 512Mi", "roomy"));
    assert_eq!(directions(&moved), [(Layer::Tools, Widened), (Layer::Limits, Widened)], "{moved:#?}");
    assert!(moved.changes[1].what.starts_with("sandboxes.roomy."), "{moved:#?}");
    let same = compared(&with("memory: 256Mi", "shell"), &with("memory: 256Mi", "roomy"));
    assert!(same.changes.is_empty(), "{same:#?}");
}

#[test]
fn what_was_searched_is_said_to_be_bounded() {
    let found = compared(&policy(PACK), &policy(&edited(&[("'ls', 'cat'", "'ls'")])));
    let layers: Vec<Layer> = found.bounds.iter().map(|bound| bound.layer).collect();
    assert_eq!(layers, [Layer::Tools]);
    assert!(found.bounds[0].what.starts_with("`shell.exec`: "), "{:?}", found.bounds);
    let found = compared(&policy(PACK), &policy(&edited(&[("192.0.2.0/28", "192.0.2.0/27")])));
    assert!(found.bounds.is_empty(), "{:?}", found.bounds);
}

/// A condition over calls that some call meets.
fn condition() -> impl Strategy<Value = String> {
    let name = || select(vec!["ls", "rm", "git", "curl"]);
    let word = || select(vec!["-f", "push", "--all", "/etc"]);
    prop_oneof![
        name().prop_map(|name| format!("facts.commands.exists(c, c.name == '{name}')")),
        (name(), word()).prop_map(|(name, word)| format!(
            "facts.commands.exists(c, c.name == '{name}' && '{word}' in c.args)"
        )),
        (name(), word()).prop_map(|(name, word)| format!(
            "facts.commands.exists(c, c.name.startsWith('{name}') && c.args.exists(a, a.matches('^{word}')))"
        )),
        (0..9_i64).prop_map(|level| format!("has(call.args.level) && call.args.level >= {level}")),
        select(vec!["ops", "dev"]).prop_map(|namespace| format!("subject.namespace == '{namespace}'")),
        select(vec!["ops", "dev"]).prop_map(|group| format!("'{group}' in subject.groups")),
        name().prop_map(|name| format!("facts.shell.onlyRuns(['{name}', 'wc'])")),
    ]
}

/// A condition over pods, by what makes it false.
fn demand() -> impl Strategy<Value = &'static str> {
    select(vec![
        "!object.spec.?shareProcessNamespace.orValue(false)",
        "object.spec.?priorityClassName.orValue('') != 'system-node-critical'",
        "object.spec.?terminationGracePeriodSeconds.orValue(30) <= 60",
        "pod.mainContainers.all(c, c.?imagePullPolicy.orValue('Always') == 'Always')",
        "pod.mainContainers.size() <= 2",
        "!has(object.metadata.annotations) || !('debug' in object.metadata.annotations)",
        "object.spec.?volumes.orValue([]).all(v, !has(v.csi))",
        "pod.mainContainers.filter(c, c.?stdin.orValue(false)).size() == 0",
        "object.spec.?dnsPolicy.orValue('ClusterFirst') in ['ClusterFirst', 'Default']",
    ])
}

/// The pack with one more rule over calls that denies, one more that grants, and one more demand on pods.
fn with(deny: Option<&str>, allow: Option<&str>, demand: Option<&str>) -> String {
    let mut text = PACK.to_owned();
    let mut rule = |before: &str, rule: String| text = text.replacen(before, &format!("{rule}{before}"), 1);
    if let Some(when) = deny {
        rule(
            "    - {name: rate,",
            format!("    - {{name: one-deny, tools: [shell.exec], when: \"{when}\", deny: {{}}}}\n"),
        );
    }
    if let Some(when) = allow {
        rule(
            "    - {name: rate,",
            format!("    - {{name: one-grant, tools: [shell.exec], when: \"{when}\", allow: {{}}}}\n"),
        );
    }
    if let Some(demand) = demand {
        let matched = "match: {resources: [{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}";
        rule(
            "    - name: no-aliases",
            format!(
                "    - name: one-demand\n      {matched}\n      validations: [{{expression: \"{demand}\", message: refused}}]\n      action: Deny\n"
            ),
        );
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// A restriction that is dropped, over calls that the pack grants otherwise.
    #[test]
    fn a_dropped_restriction_is_found(when in condition(), grant in condition(), demand in demand()) {
        // Under the new grant everything is granted that the dropped rule denied.
        let grant = format!("{grant} || {when}");
        let old = policy(&with(Some(&when), Some(&grant), Some(demand)));
        let new = policy(&with(None, Some(&grant), None));
        let found = compared(&old, &new);
        for layer in [Layer::Tools, Layer::Admission] {
            let is_found = found.changes.iter().any(|change| change.layer == layer && change.direction == Widened);
            prop_assert!(is_found, "{layer:?} of {when}, {demand}: {found:#?}");
        }
        prop_assert!(found.changes.iter().all(|change| change.direction == Widened), "{found:#?}");
    }

    #[test]
    fn an_added_grant_is_found(when in condition()) {
        let (old, new) = (policy(PACK), policy(&with(None, Some(&when), None)));
        let found = compared(&old, &new);
        // What the pack grants already is granted by `ls`, `cat` and git alone.
        prop_assert!(found.count(Widened) > 0, "{when}: {found:#?}");
        prop_assert_eq!(found.count(Narrowed) + found.count(Changed), 0);
    }
}
