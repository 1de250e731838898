//! A pack that another one extends is a ceiling for its tool rules too, as far as that can be told without a call.

use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::PackSources;

use super::support::{compiled_with, document};

const POOL: &str = "pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: '2', memory: 1Gi}}]
sandboxes: [{name: shell, pool: warm, filesystem: {readOnly: [/usr, /bin], proc: Own}, syscalls: {profile: Shell}, limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}]
";
const INPUT: &str = "input: {type: object, additionalProperties: false, properties: {file: {type: string}}}, run: {sandbox: shell, argv: [{value: /bin/cat}, {value: '--'}, {arg: file}]}";

/// What is said of a pack with these tools that extends one with those.
fn said(parent: &str, child: &str) -> Vec<String> {
    let mut library = MemoryLibrary::default();
    library.add(PackSources::single(document("base", &format!("{POOL}tools: {{{parent}}}"))));
    let extends = "extends: [{name: base, version: \"^1.0\"}]";
    let compiled =
        compiled_with(&document("example", &format!("{extends}\n{POOL}tools: {{{child}}}")), &library);
    let errors = compiled.all().filter(|one| one.severity == bailiwick_compiler::diagnostic::Severity::Error);
    errors.map(|one| format!("{} {}: {}", one.code, one.at, one.message)).collect()
}

fn defined(rest: &str, more: &str) -> String {
    format!("definitions: [{{name: files.read, {INPUT}{rest}}}], {more}")
}

#[test]
fn a_grant_beyond_the_ceiling_is_named() {
    let allow = "rules: [{name: mine, tools: [files.read], allow: {}}]";
    let short = "\"size(call.args.file) < 9\"";
    let conditional = |name: &str, when: &str| {
        format!("rules: [{{name: {name}, tools: [files.read], when: {when}, allow: {{}}}}]")
    };
    for (parent, child, expected) in [
        (
            "rules: [{name: none, tools: [\"files.*\"], deny: {}}]".to_owned(),
            defined("", allow),
            "BW0227 spec.tools.rules[0]: rule `mine` allows calls of `files.read`, which `base` denies",
        ),
        (
            "rules: [{name: none, tools: [\"files.*\"], deny: {}}]".to_owned(),
            "rules: [{name: mine, tools: [\"files.read.*\"], allow: {}}]".to_owned(),
            "BW0227 spec.tools.rules[0]: rule `mine` allows calls of `files.read.*`, which `base` denies",
        ),
        (
            defined("", "rules: []"),
            defined("", allow),
            "BW0227 spec.tools.rules[0]: rule `mine` allows calls of `files.read`, which `base` does not",
        ),
        (
            defined("", &conditional("short", short)),
            defined("", allow),
            "BW0227 spec.tools.rules[0]: rule `mine` allows every call of `files.read`, which `base` allows on a condition",
        ),
        (
            defined("", allow),
            defined(", stdin: Stream", allow),
            "BW0227 spec.tools.definitions[0].stdin: tool `files.read` reads from its caller; in `base` it does not",
        ),
        (
            "state: {budgets: [{name: few, resource: Calls, limit: 10, window: 1h}]}".to_owned(),
            format!(
                "state: {{budgets: [{{name: many, resource: Calls, limit: 11, window: 1h}}]}}, {}",
                defined("", allow)
            ),
            "BW0227 spec.tools.state.budgets: budget `many` is larger than `few` of `base`",
        ),
    ] {
        let found = said(&parent, &child);
        assert!(found.iter().any(|one| one == expected), "{parent}\n{child}\n{found:?}");
    }
}

#[test]
fn what_stays_below_the_ceiling_or_cannot_be_told_passes() {
    let allow = "rules: [{name: mine, tools: [files.read], allow: {}}]";
    let on =
        |when: &str| format!("rules: [{{name: mine, tools: [files.read], when: \"{when}\", allow: {{}}}}]");
    for (parent, child) in [
        // Not named: no ceiling.
        ("rules: [{name: other, tools: [net.get], allow: {}}]".to_owned(), defined("", allow)),
        (
            "rules: [{name: some, tools: [files.read], when: \"call.args.file == 'x'\", deny: {}}]"
                .to_owned(),
            defined("", allow),
        ),
        (defined("", allow), defined("", &on("call.args.file == 'x'"))),
        // Two conditions: which is the narrower is not told from their texts.
        (defined("", &on("call.args.file == 'x'")), defined("", &on("call.args.file == 'y'"))),
        (
            "state: {budgets: [{name: few, resource: Calls, limit: 10, window: 1h}]}".to_owned(),
            format!(
                "state: {{budgets: [{{name: many, resource: Calls, limit: 11, window: 2h}}]}}, {}",
                defined("", allow)
            ),
        ),
    ] {
        let found = said(&parent, &child);
        assert!(found.is_empty(), "{parent}\n{child}\n{found:?}");
    }
}
