//! Every field of a `PolicyTest` has an effect or is rejected. Each is shown by two cases that differ in it:
//! one passes, and the other fails for the reason that the field exists for. The second section of
//! `docs/enforcement-table.md` is made from these tests.

mod written;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stage::{Stage, printed, root};
use written::*;

/// Declares tests and lists, for each, the fields that it shows. Each has a pack, a test file that passes,
/// one that fails, and the message of the failure.
macro_rules! fields {
    ($($name:ident: [$($field:literal),+], $pack:expr, $passes:expr, $fails:expr => $reason:literal;)+) => {
        $(#[test] fn $name() { twins(&$pack, &$passes, &$fails, $reason); })+
        /// Names of tests, with their fields.
        const FIELDS: &[(&str, &[&str])] = &[$((stringify!($name), &[$($field),+])),+];
    };
}

/// Fields that are read and rejected, with the diagnostic code; each includes everything below it.
const REFUSED: &[(&str, &str)] = &[("spec.cases[].image.evidence.attestations", "BW0507")];

fields! {
    parameters_are_chosen: ["spec.parameters"], ADMISSION,
        file(&format!("parameters: {{host: q}}\n  cases: [{{name: c, admission: {{object: {}}}, expect: {{allowed: true}}}}]", pod("p", "q"))),
        file(&format!("parameters: {{host: p}}\n  cases: [{{name: c, admission: {{object: {}}}, expect: {{allowed: true}}}}]", pod("p", "q")))
            => "hostnames: wrong host";

    requests_have_an_operation: ["spec.cases[].admission.operation"], ADMISSION,
        kept("DELETE", "kept", "allowed: false, rule: kept"),
        kept("CREATE", "kept", "allowed: false, rule: kept") => "expected to be denied, was allowed";
    requests_have_an_object: ["spec.cases[].admission.object"], ADMISSION,
        created("", "allowed: true"),
        cases(&format!("admission: {{object: {}}}", pod("p", "other")), "allowed: true") => "wrong host";
    requests_have_an_object_as_it_was: ["spec.cases[].admission.oldObject"], ADMISSION,
        kept("DELETE", "kept", "allowed: false, rule: kept"),
        kept("DELETE", "other", "allowed: false, rule: kept") => "expected to be denied, was allowed";
    requests_have_a_namespace: ["spec.cases[].admission.namespace.name"], ADMISSION,
        created(", namespace: {name: open, labels: {zone: agents}}", "allowed: true"),
        created(", namespace: {name: closed, labels: {zone: agents}}", "allowed: true") => "places";
    namespaces_have_labels: ["spec.cases[].admission.namespace.labels"], ADMISSION,
        created(", namespace: {name: closed, labels: {zone: web}}", "allowed: true"),
        created(", namespace: {name: closed, labels: {zone: agents}}", "allowed: true") => "places";
    requests_are_of_a_subresource: ["spec.cases[].admission.subresource"], ADMISSION,
        updated(", subresource: ephemeralcontainers"), updated("") => "expected to be denied, was allowed";
    requests_are_about_a_resource: ["spec.cases[].admission.resource"], GATES,
        gate(", resource: gateways"), gate("") => "expected to be denied, was allowed";
    requests_are_by_a_user: ["spec.cases[].admission.userInfo.username"], ADMISSION,
        created(", userInfo: {username: mallory}", "allowed: false, rule: users"),
        created(", userInfo: {username: alice}", "allowed: false, rule: users") => "expected to be denied, was allowed";
    users_have_groups: ["spec.cases[].admission.userInfo.groups"], ADMISSION,
        created(", userInfo: {username: alice, groups: [banned]}", "allowed: false, rule: users"),
        created(", userInfo: {username: alice, groups: [team]}", "allowed: false, rule: users") => "expected to be denied, was allowed";

    the_authorizer_allows: ["spec.cases[].admission.authorizer[].allowed"], ASKS,
        said("allowed: true"), said("allowed: false") => "who asks may not";
    the_authorizer_says_why: ["spec.cases[].admission.authorizer[].reason"], ASKS,
        said("allowed: true, reason: the role"), said("allowed: true, reason: guess") => "who asks may not";
    the_authorizer_errs: ["spec.cases[].admission.authorizer[].error"], ASKS,
        said("allowed: true"), said("allowed: true, error: no role") => "who asks may not";
    questions_have_a_verb: ["spec.cases[].admission.authorizer[].verb"], ASKS,
        allowed_by("verb: update"), allowed_by("verb: get") => "who asks may not";
    questions_are_about_a_group: ["spec.cases[].admission.authorizer[].group"], ASKS,
        allowed_by("group: apps"), allowed_by("group: ''") => "who asks may not";
    questions_are_about_a_resource: ["spec.cases[].admission.authorizer[].resource"], ASKS,
        allowed_by("resource: deployments"), allowed_by("resource: pods") => "who asks may not";
    questions_are_about_a_subresource: ["spec.cases[].admission.authorizer[].subresource"], ASKS,
        allowed_by("subresource: scale"), allowed_by("subresource: ''") => "who asks may not";
    questions_are_about_a_namespace: ["spec.cases[].admission.authorizer[].namespace"], ASKS,
        allowed_by("namespace: web"), allowed_by("namespace: ''") => "who asks may not";
    questions_are_about_a_name: ["spec.cases[].admission.authorizer[].name"], ASKS,
        allowed_by("name: front"), allowed_by("name: back") => "who asks may not";
    questions_are_about_fields: ["spec.cases[].admission.authorizer[].fieldSelector"], ASKS,
        allowed_by("fieldSelector: a=b"), allowed_by("fieldSelector: a=c") => "who asks may not";
    questions_are_about_labels: ["spec.cases[].admission.authorizer[].labelSelector"], ASKS,
        allowed_by("labelSelector: c=d"), allowed_by("labelSelector: c=e") => "who asks may not";
    questions_are_about_a_path: ["spec.cases[].admission.authorizer[].path"], ASKS_FOR_AN_ACCOUNT,
        allowed_by("path: /urgent"), allowed_by("path: /other") => "the robot may not";
    questions_are_about_an_account: ["spec.cases[].admission.authorizer[].serviceAccount.name"], ASKS_FOR_AN_ACCOUNT,
        allowed_by("serviceAccount: {namespace: agents, name: robot}"),
        allowed_by("serviceAccount: {namespace: agents, name: person}") => "the robot may not";
    accounts_have_a_namespace: ["spec.cases[].admission.authorizer[].serviceAccount.namespace"], ASKS_FOR_AN_ACCOUNT,
        allowed_by("serviceAccount: {namespace: agents, name: robot}"),
        allowed_by("serviceAccount: {namespace: web, name: robot}") => "the robot may not";

    calls_are_of_a_tool: ["spec.cases[].toolCall.tool"], CALLS,
        cases("toolCall: {tool: files.list, args: {file: secret}}", "effect: Allow"),
        cases("toolCall: {tool: files.read, args: {file: secret}}", "effect: Allow") => "expected the effect Allow, was Deny";
    calls_have_arguments: ["spec.cases[].toolCall.args"], CALLS,
        cases("toolCall: {tool: files.read, args: {file: secret}}", "effect: Deny, rule: secrets"),
        cases("toolCall: {tool: files.read, args: {file: notes.txt}}", "effect: Deny, rule: secrets") => "was Allow";
    calls_are_by_an_agent: ["spec.cases[].toolCall.subject.agent"], CALLS,
        subject("agents", "agent: mallory"), subject("agents", "agent: alice") => "was Allow";
    calls_are_for_a_user: ["spec.cases[].toolCall.subject.user"], CALLS,
        subject("users", "user: mallory"), subject("users", "user: alice") => "was Allow";
    calls_are_from_a_namespace: ["spec.cases[].toolCall.subject.namespace"], CALLS,
        subject("places", "namespace: closed"), subject("places", "namespace: open") => "was Allow";
    callers_have_groups: ["spec.cases[].toolCall.subject.groups"], CALLS,
        subject("groups", "groups: [banned]"), subject("groups", "groups: [team]") => "was Allow";
    callers_have_labels: ["spec.cases[].toolCall.subject.labels"], CALLS,
        subject("labels", "labels: {suspect: 'yes'}"), subject("labels", "labels: {trusted: 'yes'}") => "was Allow";
    calls_are_delegated: ["spec.cases[].toolCall.subject.chain"], CALLS,
        subject("chains", "chain: [alice, mallory]"), subject("chains", "chain: [alice, bob]") => "was Allow";
    sessions_have_an_age: ["spec.cases[].toolCall.session.age"], CALLS,
        after("aged", "age: 61m"), after("aged", "age: 60m") => "was Allow";
    sessions_have_calls: ["spec.cases[].toolCall.session.calls"], CALLS,
        after("long", "calls: 4"), after("long", "calls: 3") => "was Allow";
    sessions_have_counters: ["spec.cases[].toolCall.session.counters"], CALLS,
        after("rate", "counters: {reads: 2}"), after("rate", "counters: {reads: 1}") => "was Allow";
    sessions_have_labels: ["spec.cases[].toolCall.session.labels"], CALLS,
        after("tainted", "labels: [tainted]"), after("tainted", "labels: [other]") => "was Allow";
    sessions_have_used_budgets: ["spec.cases[].toolCall.session.budgets"], CALLS,
        after("few", "budgets: {few: 5}"), after("few", "budgets: {few: 4}") => "was Allow";
    calls_before_are_of_a_tool: ["spec.cases[].toolCall.session.before[].tool"], CALLS,
        after("rate", "before: [{tool: files.read, times: 2}]"), after("rate", "before: [{tool: files.list, times: 2}]") => "was Allow";
    calls_before_have_arguments: ["spec.cases[].toolCall.session.before[].args"], CALLS,
        after("rate", "before: [{tool: files.read, args: {file: a}, times: 2}]"),
        after("rate", "before: [{tool: files.read, args: {file: secret}, times: 2, effect: Deny}]") => "was Allow";
    calls_before_have_an_effect: ["spec.cases[].toolCall.session.before[].effect"], CALLS,
        after("rate", "before: [{tool: files.read, args: {file: secret}, effect: Deny}, {tool: files.read, times: 2}]"),
        after("rate", "before: [{tool: files.read, times: 2}, {tool: files.read, args: {file: secret}}]")
            => "`session.before[1]` (`files.read`) is denied by";
    calls_before_are_repeated: ["spec.cases[].toolCall.session.before[].times"], CALLS,
        after("rate", "before: [{tool: files.read, times: 2}]"), after("rate", "before: [{tool: files.read, times: 1}]") => "was Allow";
    calls_have_a_time: ["spec.cases[].toolCall.now"], CALLS,
        denied_by("late", ", now: '2030-01-01T00:00:01Z'"), denied_by("late", ", now: '2030-01-01T00:00:00Z'") => "was Allow";

    connections_go_somewhere: ["spec.cases[].connection.to"], CALLS,
        connection("to: '192.0.2.7:443'"), connection("to: '192.0.2.7:80'") => "was denied";
    connections_come_from_somewhere: ["spec.cases[].connection.from"], CALLS,
        connection("from: 198.51.100.7, port: 8080"), connection("from: 192.0.2.7, port: 8080") => "was denied";
    connections_come_to_a_port: ["spec.cases[].connection.port"], CALLS,
        connection("from: 198.51.100.7, port: 8080"), connection("from: 198.51.100.7, port: 8081") => "was denied";
    connections_come_from_a_sandbox: ["spec.cases[].connection.sandbox"], CALLS,
        connection("to: '192.0.2.7:443'"), connection("to: '192.0.2.7:443', sandbox: shell") => "was denied";
    connections_have_a_protocol: ["spec.cases[].connection.protocol"], CALLS,
        connection("to: '192.0.2.53:53', protocol: UDP"), connection("to: '192.0.2.53:53', protocol: TCP") => "was denied";
    peers_have_labels: ["spec.cases[].connection.peer.labels"], CALLS,
        peer("namespaceLabels: {team: red}, labels: {app: db}"), peer("namespaceLabels: {team: red}, labels: {app: web}") => "was denied";
    peers_are_in_the_own_namespace_or_another: ["spec.cases[].connection.peer.namespace"], CALLS,
        peer("namespace: Own, labels: {app: cache}"), peer("namespace: Another, labels: {app: cache}") => "was denied";
    peers_are_in_namespaces: ["spec.cases[].connection.peer.namespaceLabels"], CALLS,
        peer("namespaceLabels: {team: red}, labels: {app: db}"), peer("namespaceLabels: {team: blue}, labels: {app: db}") => "was denied";

    system_calls_have_names: ["spec.cases[].syscall.name"], CALLS,
        syscall("sandbox: shell, name: read", "Allow"), syscall("sandbox: shell, name: mount", "Allow") => "was Errno";
    system_calls_are_made_in_a_sandbox: ["spec.cases[].syscall.sandbox"], CALLS,
        syscall("sandbox: python, name: sched_setscheduler", "Allow"), syscall("sandbox: shell, name: sched_setscheduler", "Allow") => "was Errno";
    // TCGETS, and TIOCSTI, which types into the terminal of another process.
    system_calls_have_arguments: ["spec.cases[].syscall.args"], CALLS,
        syscall("sandbox: shell, name: ioctl, args: [0, 21505]", "Allow"), syscall("sandbox: shell, name: ioctl, args: [0, 21522]", "Allow") => "was Errno";

    files_are_in_a_sandbox: ["spec.cases[].filesystem.sandbox"], CALLS,
        path("sandbox: python, path: /opt/x, access: Read"), path("sandbox: shell, path: /opt/x, access: Read") => "was denied";
    files_have_paths: ["spec.cases[].filesystem.path"], CALLS,
        path("sandbox: shell, path: /tmp/x, access: Write"), path("sandbox: shell, path: /usr/x, access: Write") => "was denied";
    files_are_read_or_written: ["spec.cases[].filesystem.access"], CALLS,
        path("sandbox: shell, path: /usr/bin/ls, access: Read"), path("sandbox: shell, path: /usr/bin/ls, access: Write") => "was denied";

    images_have_references: ["spec.cases[].image.reference"], by_key(),
        signed(&format!("publicKey: '{KEY}'")),
        signed(&format!("publicKey: '{KEY}'")).replace("registry.", "other.") => "was denied";
    tags_stand_for_digests: ["spec.cases[].image.evidence.digest"], by_key(),
        image("registry.example.org/a:1", &format!("digest: '{DIGEST}', signatures: [{{publicKey: '{KEY}'}}]")),
        image("registry.example.org/a:1", &format!("signatures: [{{publicKey: '{KEY}'}}]")) => "the case names no digest";
    signatures_are_by_a_key: ["spec.cases[].image.evidence.signatures[].publicKey"], by_key(),
        signed(&format!("publicKey: '{KEY}'")),
        signed(&format!("publicKey: '{}'", KEY.replace("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE", "sGPTRXbEft6Zy1dqxjSCPEfqhLTaHR/LFxcGARJ1XD0"))) => "is not signed by the key";
    signatures_are_by_a_subject: ["spec.cases[].image.evidence.signatures[].subject"], by_subject(),
        signed("issuer: 'https://issuer.example.org', subject: release"), signed("issuer: 'https://issuer.example.org', subject: other") => "is not signed by `release`";
    signatures_are_under_an_issuer: ["spec.cases[].image.evidence.signatures[].issuer"], by_subject(),
        signed("issuer: 'https://issuer.example.org', subject: release"), signed("issuer: 'https://other.example.org', subject: release") => "is not signed by `release`";

    cases_expect_a_decision: ["spec.cases[].expect.allowed"], ADMISSION,
        created("", "allowed: true"), created("", "allowed: false") => "expected to be denied, was allowed";
    cases_expect_an_effect: ["spec.cases[].expect.effect"], CALLS,
        call("", "effect: Allow"), call("", "effect: Ask") => "expected the effect Ask, was Allow";
    calls_end_somehow: ["spec.cases[].toolCall.result.outcome"], CALLS,
        gave("outcome: TimedOut", "effect: Deny, rule: odd"), gave("outcome: Exited", "effect: Deny, rule: odd") => "was Allow";
    calls_end_with_a_code: ["spec.cases[].toolCall.result.exitCode"], CALLS,
        gave("exitCode: 7", "effect: Deny, rule: odd"), gave("exitCode: 8", "effect: Deny, rule: odd") => "was Allow";
    calls_are_ended_by_a_signal: ["spec.cases[].toolCall.result.signal"], CALLS,
        gave("outcome: Signaled, signal: 9", "effect: Deny, rule: odd"), gave("outcome: Signaled, signal: 15", "effect: Deny, rule: odd") => "was Allow";
    results_are_cut: ["spec.cases[].toolCall.result.dropped"], CALLS,
        gave("stdout: notes, dropped: 1", "effect: Deny, rule: keys, messagePattern: was cut"), gave("stdout: notes, dropped: 0", "effect: Deny, rule: keys") => "was Allow";
    sessions_get_labels: ["spec.cases[].expect.labels.added"], CALLS,
        cases("toolCall: {tool: files.read, args: {file: mark}}", "labels: {added: [other], removed: []}"),
        cases("toolCall: {tool: files.read, args: {file: mark}}", "labels: {added: []}") => "expected the labels that are added to be none, was `example/other`";
    sessions_lose_labels: ["spec.cases[].expect.labels.removed"], CALLS,
        cases("toolCall: {tool: files.list, args: {file: clean}, session: {labels: [other]}}", "effect: Ask, labels: {removed: [example/other]}"),
        cases("toolCall: {tool: files.list, args: {file: clean}}", "effect: Ask, labels: {removed: [other]}") => "expected the labels that are removed to be `other`, was none";
    calls_print: ["spec.cases[].toolCall.result.stdout", "spec.cases[].expect.delivered.stdout"], CALLS,
        gave("stdout: the key", "delivered: {stdout: the ***}"), gave("stdout: the kez", "delivered: {stdout: the ***}") => "the kez";
    calls_complain: ["spec.cases[].toolCall.result.stderr", "spec.cases[].expect.delivered.stderr"], CALLS,
        gave("stderr: the key", "delivered: {stderr: the ***}"), gave("stderr: the key", "delivered: {stderr: the key}") => "the ***";
    calls_read_files: ["spec.cases[].toolCall.result.content", "spec.cases[].expect.delivered.content"], CALLS,
        gave("content: the key", "delivered: {content: the ***}"), gave("content: odd", "delivered: {content: odd}") => "expected a result to be delivered, and none was";
    calls_list_files: ["spec.cases[].toolCall.result.paths"], CALLS,
        gave("paths: [a, odd]", "effect: Deny, rule: odd"), gave("paths: [a, b]", "effect: Deny, rule: odd") => "was Allow";
    cases_expect_to_be_listed: ["spec.cases[].expect.listed"], CALLS,
        call(", subject: {agent: mallory}", "listed: false"), call("", "listed: false") => "expected to be hidden, was listed";
    cases_expect_arguments: ["spec.cases[].expect.args"], CALLS,
        cases("toolCall: {tool: files.list, args: {file: old}}", "effect: Allow, rule: renamed, args: {file: new}"),
        cases("toolCall: {tool: files.list, args: {file: old}}", "effect: Allow, args: {file: old}") => "expected the arguments {\"file\":\"old\"}, are {\"file\":\"new\"}";
    cases_expect_a_sandbox: ["spec.cases[].expect.sandbox"], CALLS,
        call("", "effect: Allow, sandbox: shell"),
        cases("toolCall: {tool: files.read, args: {file: quiet}}", "effect: Allow, rule: quieter, sandbox: shell") => "expected to run in sandbox `shell`, runs in `quiet`";
    cases_expect_an_action: ["spec.cases[].expect.action"], CALLS,
        syscall("sandbox: shell, name: mount", "Errno"), syscall("sandbox: shell, name: mount", "Kill") => "expected the action Kill, was Errno";
    cases_expect_a_rule: ["spec.cases[].expect.rule"], CALLS,
        denied_by("agents", ", subject: {agent: mallory}"), denied_by("users", ", subject: {agent: mallory}") => "expected rule `users` to decide";
    cases_expect_a_message: ["spec.cases[].expect.messagePattern"], ADMISSION,
        cases(&format!("admission: {{object: {}}}", pod("p", "q")), "messagePattern: '^wrong host$'"),
        cases(&format!("admission: {{object: {}}}", pod("p", "q")), "messagePattern: '^wrong guest'") => "no message matches";
    cases_expect_a_warning: ["spec.cases[].expect.warningPattern"], ADMISSION,
        cases(&format!("admission: {{object: {}}}", pod("odd", "p")), "warningPattern: 'an odd name'"),
        cases(&format!("admission: {{object: {}}}", pod("p", "p")), "warningPattern: 'an odd name'") => "no warning matches";
    cases_expect_fields: ["spec.cases[].expect.fields[].field"], ADMISSION,
        created("", "fields: [{field: spec.subdomain, value: sub}]"),
        created("", "fields: [{field: spec.hostname, value: sub}]") => r#"spec.hostname: expected "sub", is "p""#;
    expected_fields_have_values: ["spec.cases[].expect.fields[].value"], ADMISSION,
        created("", "fields: [{field: spec.subdomain, value: sub}]"),
        created("", "fields: [{field: spec.subdomain, value: dom}]") => r#"spec.subdomain: expected "dom", is "sub""#;
}

/// A stage with a pack and one test file.
fn staged(pack: &str, tests: &str) -> Stage {
    let stage = Stage::empty();
    let sections: String = pack.lines().map(|line| format!("  {line}\n")).collect();
    stage.write(
        "example/pack.yaml",
        &format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: example-1.0.0}}\nspec:\n  pack: example\n  version: 1.0.0\n{sections}"
        ),
    );
    stage.write("example/tests/t.yaml", tests);
    stage
}

/// Whether the file's one case passes, and the messages.
fn outcome(pack: &str, tests: &str) -> (bool, String) {
    let output = staged(pack, tests).run(&["test", "example", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{tests}", printed(&output)));
    let case = &report["packs"][0]["files"][0]["cases"][0];
    let passed = case["passed"].as_bool().unwrap_or_else(|| panic!("no case: {report}"));
    (passed, case["reasons"].to_string())
}

/// One file passes, and its twin fails for this reason.
fn twins(pack: &str, passes: &str, fails: &str, reason: &str) {
    assert_ne!(passes, fails, "the twins are the same");
    let (passed, reasons) = outcome(pack, passes);
    assert!(passed, "{reasons}\n{passes}");
    let (passed, reasons) = outcome(pack, fails);
    let reason = Value::from(reason).to_string();
    assert!(!passed && reasons.contains(reason.trim_matches('"')), "passed: {passed}; {reasons}\n{fails}");
}

/// What a `label`, `narrow` or `confirm` would have changed is lost once another rule denies.
#[test]
fn a_rule_that_matches_a_denied_call_did_not_deny_it() {
    for (call, rule) in [
        ("tool: files.read, args: {file: mark}", "marks"),
        ("tool: files.read, args: {file: quiet}", "quieter"),
        ("tool: files.list, args: {file: clean}", "cleans"),
    ] {
        let case = |rule: &str| {
            let expected = format!("effect: Deny, rule: {rule}");
            cases(&format!("toolCall: {{{call}, subject: {{agent: mallory}}}}"), &expected)
        };
        let reason = format!("expected rule `{rule}` to decide, but example@1.0.0/agents did");
        twins(CALLS, &case("agents"), &case(rule), &reason);
    }
}

/// A call whose case says how it is decided is held to that each time.
#[test]
fn calls_before_are_decided_as_the_case_says() {
    twins(
        CALLS,
        &after(
            "rate",
            "before: [{tool: files.read, times: 2, effect: Allow}, {tool: files.read, effect: Deny}]",
        ),
        &after("rate", "before: [{tool: files.read, times: 3, effect: Allow}]"),
        "`session.before[0]` (`files.read`, time 3) was to be Allow, and is Deny: correct its `effect`",
    );
}

#[test]
fn a_question_that_a_case_does_not_answer_is_an_error_of_the_case() {
    let asked = "a rule asks the authorizer whether who asks may `update` `deployments.apps/scale` named `front` in namespace `web`";
    let entry = r#"{verb: "update", group: "apps", resource: "deployments", subresource: "scale", namespace: "web", name: "front", fieldSelector: "a=b", labelSelector: "c=d", serviceAccount: {namespace: "", name: ""}, allowed: true}"#;
    // None of these expects a denial for lack of an answer: that would pass for any reason.
    for tests in [
        created("", "allowed: false"),
        created("", "allowed: true"),
        created(
            ", authorizer: [{path: /urgent, allowed: true}, {verb: get, allowed: true}]",
            "allowed: false",
        ),
    ] {
        let (passed, reasons) = outcome(ASKS, &tests);
        let reasons = serde_json::from_str::<Vec<String>>(&reasons).expect("a list of reasons").concat();
        assert!(!passed && reasons.contains(asked) && reasons.contains("admission.authorizer"), "{reasons}");
        assert!(reasons.contains(&format!("add `- {entry}`")), "{reasons}");
    }
    // The proposed entry answers the question.
    let (passed, reasons) = outcome(ASKS, &created(&format!(", authorizer: [{entry}]"), "allowed: true"));
    assert!(passed, "{reasons}");
    let (_, reasons) = outcome(ASKS_FOR_AN_ACCOUNT, &created("", "allowed: true"));
    assert!(reasons.contains("service account `agents/robot` may `get` the path `/urgent`"), "{reasons}");
}

#[test]
fn a_review_has_nobody_to_ask_and_denies() {
    let stage = staged(ASKS, &created("", "allowed: true"));
    stage.write(
        "namespaces.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {zone: agents}}}\n",
    );
    stage.write("pod.yaml", &(pod("p", "p").replace("metadata: {", "metadata: {namespace: agents, ") + "\n"));
    let output = stage.run(&["review", "example", "--namespaces", "namespaces.yaml", "-f", "pod.yaml"]);
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("the authorizer was not asked"), "{said}");
}

#[test]
fn cases_are_reported_by_name() {
    let output = staged(ADMISSION, &created("", "allowed: true")).run(&["test", "example"]);
    assert!(printed(&output).contains("  pass the case\n"), "{}", printed(&output));
}

#[test]
fn what_cannot_be_carried_out_is_refused_with_its_code() {
    let attested = "attestations: [{predicateType: 'https://slsa.dev/provenance/v1'}]";
    let samples = BTreeMap::from([(
        "spec.cases[].image.evidence.attestations",
        (by_key(), image("registry.example.org/a:1", attested)),
    )]);
    for (field, code) in REFUSED {
        let (pack, tests) = &samples[field];
        let output = staged(pack, tests).run(&["test", "example"]);
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.contains(&format!("error[{code}]")) && said.contains(&field.replace("[]", "[0]")),
            "{said}"
        );
    }
}

/// Every field below `spec`, and whether it has members of its own.
fn walk(node: &Value, at: &str, out: &mut BTreeMap<String, bool>) {
    for (name, member) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let place = format!("{at}.{name}");
        let (mut inner, mut below) = (member, place.clone());
        while let Some(items) = inner.get("items") {
            below.push_str("[]");
            inner = items;
        }
        out.insert(place, inner.get("properties").is_some());
        walk(inner, &below, out);
    }
}

fn section() -> String {
    let schema = bailiwick_crds::schema::policy_test();
    let mut fields = BTreeMap::new();
    walk(schema.pointer("/properties/spec").expect("a test has a spec"), "spec", &mut fields);
    let named = [("cases_are_reported_by_name", &["spec.cases[].name"][..])];
    let tests: Vec<(&str, &[&str])> = FIELDS.iter().copied().chain(named).collect();
    for (name, shown) in &tests {
        let unknown: Vec<_> = shown.iter().filter(|field| !fields.contains_key(**field)).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?} are no fields");
    }
    assert!(REFUSED.iter().all(|(field, _)| fields.contains_key(*field)), "a refused field is no field");
    let mut section = String::from(
        "## PolicyTest\n\n`bailiwick test` carries the cases out. Of each field a test of `compiler/cli/tests/cli/case_fields.rs` shows what it\ndoes: \
         of two cases that differ in it, one passes and one fails.\n\n| Field | What it does, as this test shows | Refused with |\n|---|---|---|\n",
    );
    let mut missing = Vec::new();
    for (field, holds) in &fields {
        let test = tests.iter().find(|(_, shown)| shown.contains(&field.as_str())).map(|(name, _)| *name);
        let below = |outer: &str| {
            field.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let code = REFUSED.iter().find(|(outer, _)| below(outer)).map(|(_, code)| *code);
        match (test, code) {
            (Some(_), Some(code)) => panic!("`{field}` has a test and {code}"),
            (Some(test), None) => section.push_str(&format!("| `{field}` | `{test}` | |\n")),
            (None, Some(code)) => section.push_str(&format!("| `{field}` | | {code} |\n")),
            (None, None) if *holds => {}
            (None, None) => missing.push(field.as_str()),
        }
    }
    assert!(missing.is_empty(), "neither test nor code: {}", missing.join(", "));
    section
}

#[test]
fn every_field_of_a_test_does_something_or_is_refused() {
    let path = root().join("docs/enforcement-table.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let (before, found) = page.split_once("\n## PolicyTest\n").unwrap_or((&page, ""));
    let section = section();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{}\n\n{section}", before.trim_end())).expect("docs/ is writable");
    } else {
        assert!(
            section == format!("## PolicyTest\n{found}"),
            "docs/enforcement-table.md is stale: run with UPDATE_EXPECT=1"
        );
    }
}
