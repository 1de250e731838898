//! Changes in one of many alternatives of a pattern or a list: the last is compared like the first, and what is left out is told.

use bailiwick_compiler::diff::{Direction, Layer};

use crate::diff_gates::{PODS, SUBJECTS, compared, narrows, policy, rule, rules, widens};

/// As many names as asked for, separated by `|`, without the last if it is not wanted.
fn names(count: usize, with_last: bool) -> String {
    let all: Vec<String> = (0..count).map(|one| format!("n{one}x")).collect();
    let kept = if with_last { count } else { count - 1 };
    all[..kept].join("|")
}

/// A pack with one tool that its users may call: what it denies is seen only together with the grant.
fn tool(denied: &str) -> bailiwick_policy::policy::Policy {
    policy(&format!(
        r#"{SUBJECTS}  pools: [{{name: warm, backend: Native, runtimeClass: runc, podSecurity: {{level: Baseline, version: v1.36}}, userNamespace: Required, cgroup: Writable, resources: {{cpus: "4", memory: 4Gi}}}}]
  sandboxes:
  - name: shell
    pool: warm
    filesystem: {{readOnly: [/usr, /lib, /bin], workspace: {{path: /work, size: 32Mi, inodes: 4096, lifetime: Session}}, proc: Own}}
    syscalls: {{profile: Shell}}
    limits: {{wallClock: 60s, cpuTime: 10s, cpus: "1", memory: 128Mi, processes: 32, openFiles: 64, fileSize: 8Mi, output: 4Ki}}
  tools:
    definitions:
    - name: shell.exec
      description: Runs one command line.
      input: {{type: object, required: [command], additionalProperties: false, properties: {{command: {{type: string, maxLength: 8192}}}}}}
      run: {{sandbox: shell, argv: [{{value: /bin/bash}}, {{value: -c}}, {{value: "--"}}, {{arg: command}}]}}
      derive: [{{shell: command}}]
    rules:
    - {{name: works, tools: [shell.exec], when: "subject.user == 'ann'", allow: {{}}}}
    - {{name: not-these, tools: [shell.exec], {denied}, deny: {{}}}}
"#
    ))
}

#[test]
fn the_last_of_many_alternatives_of_a_rule_over_calls_is_compared() {
    for count in [9, 70, 400] {
        let matches = |with_last| {
            let names = names(count, with_last);
            tool(&format!("when: \"facts.commands.exists(c, c.name.matches('^({names})$'))\""))
        };
        widens(&matches(true), &matches(false), &format!("n{}x", count - 1));
        let listed = |with_last| {
            let names = names(count, with_last).replace('|', "', '");
            tool(&format!("when: \"facts.commands.exists(c, c.name in ['{names}'])\""))
        };
        widens(&listed(true), &listed(false), &format!("n{}x", count - 1));
    }
}

#[test]
fn the_last_of_many_alternatives_of_a_rule_over_results_is_compared() {
    let of = |with_last| {
        let when = format!("phase: Result, when: \"result.stdout.matches('({})')\"", names(70, with_last));
        tool(&when)
    };
    widens(&of(true), &of(false), "n69x");
}

#[test]
fn the_last_of_many_alternatives_of_an_admission_rule_is_compared() {
    for (count, of) in [(9, "object.spec.?nodeName.orValue('')"), (70, "object.metadata.name")] {
        let with = |with_last| {
            let expression = format!("!{of}.matches('^({})$')", names(count, with_last));
            rules(&[&rule("no-node", PODS, "", &expression)])
        };
        widens(&with(true), &with(false), &format!("n{}x", count - 1));
    }
}

#[test]
fn alternatives_that_are_left_out_are_told() {
    let old = tool(&format!("when: \"call.args.command.matches('^({})$')\"", names(600, true)));
    let new = tool(&format!("when: \"call.args.command.matches('^({}|zz)$')\"", names(599, true)));
    let found = compared(&old, &new);
    let bound = found.bounds.iter().find(|bound| bound.layer == Layer::Tools);
    assert!(bound.is_some_and(|bound| bound.what.contains("which is the limit of")), "{found:#?}");
}

#[test]
fn a_class_of_one_letter_more_is_wider() {
    let of = |class: &str| tool(&format!("when: \"call.args.command.matches('^[{class}]$')\""));
    widens(&of("a-k"), &of("a-j"), "\"k\"");
    narrows(&of("a-j"), &of("a-k"));
    assert!(compared(&of("a-k"), &of("a-k")).changes.iter().all(|one| one.direction == Direction::Narrowed));
}

/// The grant is about the beginning of the argument, the restriction about its end.
#[test]
fn a_text_that_two_rules_are_about_is_made_for_both() {
    let of = |suffixes: &str| {
        policy(&format!(
            "  tools:\n    rules:\n    \
             - {{name: notes, tools: [workspace.read], when: \"call.args.path.startsWith('notes/')\", allow: {{}}}}\n    \
             - {{name: secrets, tools: [workspace.read], when: \"call.args.path.matches('[.]({suffixes})$')\", deny: {{}}}}\n"
        ))
    };
    widens(&of("env|pem|key"), &of("env|key"), ".pem");
    let both = |suffixes: &str| {
        let when = format!(
            "!(object.metadata.name.startsWith('web-') && object.metadata.name.matches('-({suffixes})$'))"
        );
        rules(&[&rule("no-node", PODS, "", &when)])
    };
    widens(&both("dev|test"), &both("dev"), "-test");
}

/// Each of two conditions has fewer alternatives than the limit, and together they have more.
#[test]
fn alternatives_of_conditions_that_are_left_out_are_told() {
    let of = |message: &str, count: usize| {
        let listed = names(count, true).replace('|', "', '");
        let conditions = format!(
            ", conditions: [{{name: a, expression: \"object.metadata.name in ['{listed}']\"}}, {{name: b, expression: \"object.spec.?hostname.orValue('') in ['{listed}']\"}}]"
        );
        rules(&[&rule("no-node", PODS, &conditions, message)])
    };
    let cut = |count| {
        let found = compared(&of("object.spec.?nodeName.orValue('') != 'a'", count), &of("false", count));
        let bound = found.bounds.into_iter().find(|bound| bound.layer == Layer::Admission).expect("a bound");
        bound.what.contains("limit")
    };
    assert!(cut(40));
    assert!(!cut(2));
}
