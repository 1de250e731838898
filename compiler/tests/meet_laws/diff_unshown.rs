//! Differences that no tried input shows: each is told all the same, and what is no difference is not.

use bailiwick_compiler::diff::{Change, Direction};
use bailiwick_policy::policy::Policy;

use crate::diff_gates::{PODS, SUBJECTS, compared, narrows, policy, rule, rules, widens};

use Direction::{Changed, Narrowed, Widened};

/// A pack with a shell and files of a workspace.
const PACK: &str = r#"
  pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: "4", memory: 4Gi}}]
  sandboxes:
  - name: shell
    pool: warm
    filesystem: {readOnly: [/usr, /lib, /bin], writable: [{path: /tmp, size: 16Mi, inodes: 1024}], workspace: {path: /work, size: 32Mi, inodes: 4096, lifetime: Session}, proc: Own}
    syscalls: {profile: Shell}
    limits: {wallClock: 60s, cpuTime: 10s, cpus: "1", memory: 128Mi, processes: 32, openFiles: 64, fileSize: 8Mi, output: 4Ki}
  tools:
    definitions:
    - name: shell.exec
      description: Runs one command line.
      input:
        type: object
        required: [command]
        additionalProperties: false
        properties: {command: {type: string, maxLength: 8192, description: A line.}, all: {type: object, properties: {one: {type: string, maxLength: 3}}}}
      run: {sandbox: shell, argv: [{value: /bin/bash}, {value: -c}, {value: "--"}, {arg: command}]}
      derive: [{shell: command}]
    state:
      counters: [{name: calls, window: 60s}]
    rules:
    - {name: works, tools: [shell.exec, workspace.write], allow: {}}
    - {name: rate, tools: [shell.exec], throttle: {counter: calls, max: 2000}}
"#;

fn pack(more: &str) -> Policy {
    policy(&format!("{SUBJECTS}{}{more}", &PACK[1..]))
}

fn edited(from: &str, to: &str) -> Policy {
    assert!(PACK.contains(from), "the pack has no `{from}`");
    policy(&format!("{SUBJECTS}{}", PACK[1..].replacen(from, to, 1)))
}

/// One difference is told, in these words; its reverse as well.
fn is_told(old: &Policy, new: &Policy, there: Direction, back: Direction, words: &str) {
    for (old, new, direction) in [(old, new, there), (new, old, back)] {
        let found = compared(old, new);
        let told: Vec<_> = found.changes.iter().filter(|change| change.what.contains(words)).collect();
        let directions: Vec<Direction> = told.iter().map(|change| change.direction).collect();
        assert_eq!(directions, [direction], "{words}: {found:#?}");
    }
}

#[test]
fn a_rule_over_calls_that_no_call_shows_is_told() {
    let words = "rule `one` differs, and no tried call of `shell.exec` told the two apart";
    let with = |when: &str| {
        pack(&format!("    - {{name: one, tools: [shell.exec], when: \"{when}\", deny: {{}}}}\n"))
    };
    for (old, new) in [
        ("session.calls > 5000", "session.calls > 50000"),
        ("subject.chain.size() > 2", "subject.chain.size() > 3"),
        ("call.args.command.split(' ').size() > 12", "call.args.command.split(' ').size() > 13"),
        ("call.args.command.indexOf('secret') >= 0", "call.args.command.indexOf('secrets') >= 0"),
    ] {
        is_told(&with(old), &with(new), Changed, Changed, words);
    }
    // Without the rule more calls run, with it fewer.
    is_told(&with("facts.commands.size() > 3"), &pack(""), Changed, Narrowed, words);
}

#[test]
fn a_rule_over_results_or_listings_that_nothing_shows_is_told() {
    let with = |phase: &str, when: &str| {
        pack(&format!(
            "    - {{name: one, tools: [shell.exec], phase: {phase}, when: \"{when}\", deny: {{}}}}\n"
        ))
    };
    let lines = |most: u32| with("Result", &format!("result.stdout.split('\\\\n').size() > {most}"));
    is_told(
        &lines(100),
        &lines(200),
        Changed,
        Changed,
        "rule `one` differs, and no tried result of `shell.exec`",
    );
    let chain = |most: u32| with("List", &format!("subject.chain.size() > {most}"));
    is_told(
        &chain(2),
        &chain(3),
        Changed,
        Changed,
        "rule `one` differs, and no tried listing of `shell.exec`",
    );
}

/// What tells the forms of a rule apart names them by the version of their pack.
#[test]
fn a_narrower_rule_over_objects_of_a_later_version_is_narrower() {
    let old = rules(&[&rule("one", PODS, "", "!has(object.spec.nodeName)")]);
    let mut new =
        rules(&[&rule("one", PODS, "", "!has(object.spec.nodeName) && !has(object.spec.hostname)")]);
    new.packs[0].version = "1.0.1".to_owned();
    narrows(&old, &new);
}

/// Without a grant, its layer no longer names the tool, and then need not grant its calls.
#[test]
fn a_grant_that_is_gone_is_not_taken_for_a_restriction() {
    let with =
        pack("    - {name: one, tools: [workspace.read], when: \"subject.chain.size() > 3\", allow: {}}\n");
    is_told(&with, &pack(""), Changed, Changed, "rule `one` differs, and no tried call of `workspace.read`");
}

#[test]
fn approvers_count_for_the_tools_that_ask_them() {
    const KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let with = |groups: &[&str]| {
        let group = |name: &&str| {
            format!("{{name: {name}, keys: [{{id: a, principal: a@example.org, ed25519: \"{KEY}\"}}]}}")
        };
        let groups: Vec<String> = groups.iter().map(group).collect();
        let approvers = format!("    approvers: [{}]\n    state:\n", groups.join(", "));
        let asks = "    - {name: one, tools: [shell.exec], when: \"session.calls > 5000\", confirm: {approvers: oncall}}\n";
        let others = "    - {name: two, tools: [workspace.write], confirm: {approvers: extra}}\n";
        let others = if groups.len() > 1 { others } else { "" };
        policy(&format!("{SUBJECTS}{}{asks}{others}", &PACK[1..].replacen("    state:\n", &approvers, 1)))
    };
    let found = compared(&with(&["oncall", "extra"]), &with(&["oncall"]));
    assert!(found.changes.iter().all(|change| !change.what.contains("shell.exec")), "{found:#?}");
}

#[test]
fn a_definition_is_told_where_no_call_shows_it_and_its_descriptions_are_no_difference() {
    let words = "tool `shell.exec`: its definition differs";
    is_told(&pack(""), &edited("maxLength: 3", "maxLength: 33"), Changed, Changed, words);
    let found = compared(&pack(""), &edited("description: A line.", "description: One line."));
    assert!(found.changes.is_empty(), "{found:#?}");
}

/// The built-in tools open no absolute path, so that calls with one are denied by every rule.
#[test]
fn rules_over_files_of_the_workspace_are_compared_by_paths_that_it_opens() {
    for when in [
        "facts.path.name == '.env'",
        "facts.path.absolute == '/secret'",
        "facts.path.inWorkspace == 'secret'",
    ] {
        let denies = format!("    - {{name: one, tools: [workspace.write], when: \"{when}\", deny: {{}}}}\n");
        widens(&pack(&denies), &pack(""), "one");
    }
}

#[test]
fn a_throttle_with_more_calls_than_a_case_makes_is_an_amount() {
    widens_in_amount(&pack(""), &edited("max: 2000", "max: 20000"), "tools.rules.rate.throttle.max");
    widens_in_amount(&edited("max: 2000", "max: 900"), &pack(""), "tools.rules.rate.throttle.max");
}

#[test]
fn what_can_be_written_below_a_room_is_compared_with_the_room() {
    const TMP: &str = "{path: /tmp, size: 16Mi, inodes: 1024}";
    let deep = |size: &str| format!("{TMP}, {{path: /tmp/deep, size: {size}, inodes: 1024}}");
    widens_in_amount(&pack(""), &edited(TMP, &deep("400Mi")), "writable./tmp.size");
    widens_in_amount(&edited(TMP, &deep("1Mi")), &edited(TMP, &deep("2Mi")), "writable./tmp/deep.size");
    // It replaces what it lies in.
    let alone = |size: &str| edited(TMP, &format!("{{path: /tmp/deep, size: {size}, inodes: 1024}}"));
    narrows(&pack(""), &alone("16Mi"));
    let found = compared(&pack(""), &alone("17Mi"));
    assert!(found.changes.iter().any(|change| change.direction == Widened), "{found:#?}");
    // Together, what replaces a room may hold more than it.
    let both = edited(TMP, "{path: /tmp/a, size: 9Mi, inodes: 512}, {path: /tmp/b, size: 9Mi, inodes: 512}");
    let found = compared(&pack(""), &both);
    let of_room = |change: &&Change| change.what.contains("writable./tmp.size");
    let told: Vec<Direction> = found.changes.iter().filter(of_room).map(|change| change.direction).collect();
    assert_eq!(told, [Widened], "{found:#?}");
}

#[test]
fn a_workspace_in_place_of_an_area_is_wider() {
    const WORKSPACE: &str = "writable: [{path: /tmp, size: 16Mi, inodes: 1024}], workspace: {path: /work, size: 32Mi, inodes: 4096, lifetime: Session}";
    let area = |size: &str| {
        let areas = format!(
            "writable: [{{path: /tmp, size: 16Mi, inodes: 1024}}, {{path: /work, size: {size}, inodes: 4096}}]"
        );
        edited(WORKSPACE, &areas)
    };
    widens_in_amount(&area("1Mi"), &pack(""), "filesystem.workspace.size");
    is_told(&area("32Mi"), &pack(""), Widened, Narrowed, "sandboxes.shell.filesystem.workspace.lifetime");
}

#[test]
fn a_rule_over_objects_is_told_unless_a_request_tells_its_forms_apart() {
    let with = |expression: &str| rules(&[&rule("one", PODS, "", expression)]);
    let words = "rule `one` differs, and no tried request told the two apart";
    for (old, new) in [
        (
            "object.spec.containers.all(c, c.?env.orValue([]).size() < 70)",
            "object.spec.containers.all(c, c.?env.orValue([]).size() < 90)",
        ),
        ("object.metadata.name.size() * 3 < 100", "object.metadata.name.size() * 3 < 150"),
    ] {
        is_told(&with(old), &with(new), Changed, Changed, words);
    }
}

fn widens_in_amount(old: &Policy, new: &Policy, of: &str) {
    let found = compared(old, new);
    let told = found.changes.iter().any(|change| change.direction == Widened && change.what.contains(of));
    assert!(told, "{of}: {found:#?}");
    narrows(new, old);
}
