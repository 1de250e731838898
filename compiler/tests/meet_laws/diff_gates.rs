//! Changes that let more through and that a search could miss: each is told so that `--fail-on widened` stops it, and the same the other way round is
//! not. Every one of them went through unseen once.

use bailiwick_compiler::cases::{Bench, no_manifests};
use bailiwick_compiler::diff::{Diff, Direction, Layer, Witness, diff};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::meet::meet;
use bailiwick_compiler::policy_test::{AdmissionCase, TestCase};
use bailiwick_compiler::source::PackSources;
use bailiwick_compiler::{Bindings, compile};
use bailiwick_policy::cel::Watching;
use bailiwick_policy::policy::Policy;
use bailiwick_policy::policy::tools::Program;
use serde_json::json;

use Direction::{Changed, Narrowed, Widened};

/// A pack of these sections.
pub(crate) fn policy(sections: &str) -> Policy {
    let text = format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: p-1.0.0}}\nspec:\n  pack: p\n  version: 1.0.0\n{sections}"
    );
    let sources = PackSources::single(text.clone().into_bytes());
    let compiled = compile(&[(&sources, Bindings::default())], &MemoryLibrary::default());
    let said: Vec<String> = compiled.all().map(ToString::to_string).collect();
    compiled.policy.unwrap_or_else(|| panic!("{text}\n{}", said.join("\n")))
}

pub(crate) const SUBJECTS: &str = "  subjects: {namespaces: {selector: {matchLabels: {zone: agents}}}, pods: {matchLabels: {app: agent}}, unmatched: Deny}\n";

/// A pack of admission rules, each in flow style.
pub(crate) fn rules(rules: &[&str]) -> Policy {
    let rules: String = rules.iter().map(|rule| format!("    - {{{rule}}}\n")).collect();
    let section = if rules.is_empty() { String::new() } else { format!("  admission:\n    rules:\n{rules}") };
    policy(&format!("{SUBJECTS}{section}"))
}

/// A rule that denies.
pub(crate) fn rule(name: &str, resources: &str, more: &str, expression: &str) -> String {
    format!(
        "name: {name}, match: {{resources: [{{{resources}}}]{more}}}, validations: [{{expression: \"{expression}\", message: refused}}]"
    )
}

pub(crate) const PODS: &str = "apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]";
const NO_NODE: &str = "!has(object.spec.nodeName)";

pub(crate) fn compared(old: &Policy, new: &Policy) -> Diff {
    diff(old, new, &[]).unwrap()
}

/// The change is stopped, with a case for a witness; its reverse is not.
pub(crate) fn widens(old: &Policy, new: &Policy, shows: &str) {
    let found = compared(old, new);
    let told = found.changes.iter().find(|change| change.direction == Widened);
    let witness = told.map(|change| &change.witness);
    assert!(matches!(witness, Some(Witness::Case(_))), "{shows}: {found:#?}");
    let text = serde_json::to_string(&found.changes).unwrap();
    assert!(text.contains(shows), "no `{shows}` in {text}");
    narrows(new, old);
}

/// Nothing is told that the gate stops.
pub(crate) fn narrows(old: &Policy, new: &Policy) {
    let found = compared(old, new);
    assert!(found.changes.iter().all(|change| change.direction == Narrowed), "{found:#?}");
    assert!(!found.changes.is_empty(), "{found:#?}");
}

/// The change is stopped, by what it is called alone; its reverse as well unless it is `Narrowed`.
fn is_told(old: &Policy, new: &Policy, direction: Direction, shows: &str) {
    let found = compared(old, new);
    let told =
        found.changes.iter().find(|change| change.direction == direction && change.what.contains(shows));
    assert!(told.is_some(), "{shows}: {found:#?}");
}

#[test]
fn a_selector_by_which_objects_opt_out_is_wider() {
    let all = rules(&[&rule("no-node", PODS, "", NO_NODE)]);
    for (selector, shows) in [
        ("objectSelector: {matchExpressions: [{key: exempt, operator: DoesNotExist}]}", "\"exempt\":"),
        (
            "objectSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [a, b]}]}",
            "\"tier\":\"a\"",
        ),
        ("objectSelector: {matchLabels: {checked: 'yes'}}", "spec"),
        (
            "namespaceSelector: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}",
            "\"env\":\"prod\"",
        ),
        ("namespaceSelector: {matchExpressions: [{key: strict, operator: Exists}]}", "spec"),
    ] {
        let some = rules(&[&rule("no-node", PODS, &format!(", {selector}"), NO_NODE)]);
        widens(&all, &some, shows);
        // A rule that only some objects meet is reached, and missed when it is gone.
        widens(&some, &rules(&[]), "no-node");
    }
    let (one, both) = ("{key: tier, operator: In, values: [a]}", "{key: tier, operator: In, values: [a, b]}");
    let of = |expression: &str| {
        let more = format!(", objectSelector: {{matchExpressions: [{expression}]}}");
        rules(&[&rule("no-node", PODS, &more, NO_NODE)])
    };
    widens(&of(both), &of(one), "\"tier\":\"b\"");
}

#[test]
fn an_operation_that_is_no_longer_judged_is_wider() {
    let with = |operations: &str| {
        let resources =
            format!("apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [{operations}]");
        rules(&[&rule("no-node", &resources, "", NO_NODE)])
    };
    widens(&with("CREATE, UPDATE"), &with("CREATE"), "UPDATE");
    widens(&with("'*'"), &with("CREATE, UPDATE, CONNECT"), "DELETE");
}

#[test]
fn a_rule_over_other_requests_that_is_gone_is_wider() {
    let gone = rules(&[]);
    for (resources, more, expression) in [
        ("apiGroups: [''], apiVersions: [v1], resources: [pods/exec], operations: [CONNECT]", "", "false"),
        (
            "apiGroups: [''], apiVersions: [v1], resources: [pods/ephemeralcontainers], operations: [UPDATE]",
            "",
            "false",
        ),
        (
            "apiGroups: [example.org], apiVersions: [v1], resources: [widgets], operations: [CREATE]",
            "",
            "object.spec.?size.orValue(0) < 5",
        ),
        // Its plural is not what its kind suggests.
        (
            "apiGroups: [gateway.networking.k8s.io], apiVersions: ['*'], resources: [gateways], operations: ['*']",
            "",
            "false",
        ),
        (
            "apiGroups: [''], apiVersions: [v1], resources: [services], operations: [DELETE]",
            "",
            "oldObject.metadata.name == 'kept'",
        ),
        (
            "apiGroups: [''], apiVersions: [v1], resources: [namespaces], operations: [UPDATE]",
            "",
            "object.spec == null",
        ),
        (
            "apiGroups: [rbac.authorization.k8s.io], apiVersions: [v1], resources: [clusterroles], operations: [CREATE]",
            "",
            "false",
        ),
        // What has to hold for it to be asked, and what it asks then.
        (
            PODS,
            ", conditions: [{name: mine, expression: \"object.spec.?schedulerName.orValue('') == 'mine'\"}]",
            NO_NODE,
        ),
    ] {
        widens(&rules(&[&rule("one", resources, more, expression)]), &gone, "one");
    }
    // What another rule asks of the same objects is met, so that this one shows.
    let services = "apiGroups: [''], apiVersions: [v1], resources: [services], operations: [CREATE]";
    let owned =
        rule("owned", services, "", "has(object.metadata.labels) && 'owner' in object.metadata.labels");
    let local = rule("local", services, "", "object.spec.?type.orValue('') != 'NodePort'");
    widens(&rules(&[&owned, &local]), &rules(&[&owned]), "NodePort");
}

/// No request is found for it, so nobody can say that nothing is let through.
#[test]
fn a_rule_that_no_request_reaches_is_told() {
    let odd = "object.spec.?containers.orValue([]).map(c, c.name).join('-').size() * 7 % 11";
    let (with, without) = (rules(&[&rule("odd", PODS, "", &format!("{odd} != 5"))]), rules(&[]));
    is_told(&with, &without, Changed, "`odd` differs, and no tried request reached it");
    narrows(&without, &with);
    let writes = format!(
        "name: writes, match: {{resources: [{{{PODS}}}], conditions: [{{name: odd, expression: \"{odd} == 5\"}}]}}, mutations: [{{field: spec.hostUsers, value: true}}]"
    );
    is_told(&without, &rules(&[&writes]), Changed, "`writes` differs, and no tried request reached it");
    let plain = "name: writes, match: {resources: [{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}, mutations: [{field: spec.hostUsers, value: true}]";
    let found = compared(&without, &rules(&[plain]));
    assert!(found.changes.iter().all(|change| matches!(change.witness, Witness::Case(_))), "{found:#?}");
}

#[test]
fn a_rule_that_exceptions_may_relax_is_wider() {
    let (strict, lax) = (
        rule("no-node", PODS, "", NO_NODE),
        format!("{}, exceptable: true", rule("no-node", PODS, "", NO_NODE)),
    );
    let (strict, lax) = (rules(&[&strict]), rules(&[&lax]));
    is_told(&strict, &lax, Widened, "admission.rules.no-node.exceptable");
    narrows(&lax, &strict);
    // Another pack, later in order, has a rule of the same name.
    let with_other = |policy: &Policy| {
        let mut other = strict.clone();
        other.packs[0].name = "z".to_owned();
        meet(vec![policy.clone(), other]).unwrap().policy
    };
    let (strict, lax) = (with_other(&strict), with_other(&lax));
    is_told(&strict, &lax, Widened, "admission.rules.no-node.exceptable");
    is_told(&lax, &strict, Narrowed, "admission.rules.no-node.exceptable");
}

#[test]
fn labels_of_namespaces_are_tried_however_many_labels_of_objects_there_are() {
    let tiers: Vec<String> = (10..60).map(|number| format!("t{number}")).collect();
    let of = |more: &str| {
        let selector = format!(
            ", objectSelector: {{matchExpressions: [{{key: tier, operator: NotIn, values: [{}]}}]}}{more}",
            tiers.join(", ")
        );
        rules(&[&rule("no-node", PODS, &selector, NO_NODE)])
    };
    let in_some = ", namespaceSelector: {matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}";
    widens(&of(""), &of(in_some), "\"env\":\"prod\"");
}

#[test]
fn a_subject_of_fewer_values_is_wider() {
    let of = |values: &str| {
        policy(&format!(
            "  subjects: {{namespaces: {{selector: {{matchExpressions: [{{key: zone, operator: In, values: [{values}]}}]}}}}}}\n  \
             admission: {{rules: [{{{}}}]}}\n",
            rule("no-node", PODS, "", NO_NODE)
        ))
    };
    widens(&of("a, b"), &of("a"), "\"zone\":\"b\"");
    // More values than are tried.
    let many: Vec<String> = (10..60).map(|number| format!("z{number}")).collect();
    let (all, but_last) = (of(&many.join(", ")), of(&many[..49].join(", ")));
    is_told(&all, &but_last, Changed, "does not govern all that the old one does");
    narrows(&but_last, &all);
}

/// Sections that no pod tells apart: a class of the same name with another handler, a level at another version.
#[test]
fn a_section_that_demands_less_is_told_even_if_no_pod_shows_it() {
    let of = |isolation: &str| policy(&format!("{SUBJECTS}  isolation: {{{isolation}}}\n"));
    let class = |handler: &str| {
        of(&format!(
            "runtimeClass: {{classes: [{{name: sealed, handler: {handler}, kind: GVisor}}], default: sealed}}"
        ))
    };
    is_told(&class("runsc"), &class("runc"), Changed, "isolation.runtimeClass no longer demands");
    let level = |version: &str| of(&format!("podSecurity: {{level: Baseline, version: {version}}}"));
    let found = compared(&level("v1.36"), &level("v1.35"));
    assert!(found.changes.iter().any(|change| change.direction != Narrowed), "{found:#?}");
}

fn images(identity: &str) -> Policy {
    policy(&format!(
        "{SUBJECTS}  images: [{{match: ['registry.example.org/**'], digest: Resolve, require: [{{signature: {{identity: {{issuer: 'https://issuer.example.org', {identity}}}}}}}]}}]\n"
    ))
}

#[test]
fn other_signers_and_other_roots_of_trust_are_told() {
    let subject = "https://git.example.org/a/b/workflows/release.yml@refs/tags/v1";
    let exact = images(&format!("subject: '{subject}'"));
    let other = images(
        "subjectPattern: '^https://git[.]example[.]org/a/b/workflows/(release|test)[.]yml@refs/tags/v1$'",
    );
    widens(&exact, &other, "test.yml");
    let mut replaced = exact.clone();
    let roots = &mut replaced.images[0].trust_roots;
    let mut root: serde_json::Value = serde_json::from_str(&roots[0]).unwrap();
    let logs = root["tlogs"].as_array_mut().unwrap();
    logs.truncate(1);
    roots[0] = root.to_string();
    assert_ne!(replaced, exact);
    is_told(&exact, &replaced, Changed, "held against another trust root");
    is_told(&replaced, &exact, Changed, "held against another trust root");
    // Beside something that is narrower it is told as well.
    let mut both = images("subject: 'nobody'");
    both.images[0].trust_roots = replaced.images[0].trust_roots.clone();
    is_told(&exact, &both, Changed, "held against another trust root");
}

/// A pool, a sandbox, a tool that people approve, and labels.
const TOOLS: &str = r#"  pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: '2', memory: 1Gi}}]
  sandboxes:
  - {name: shell, pool: warm, filesystem: {readOnly: [/usr, /bin], writable: [{path: /tmp, size: 1Mi}]}, syscalls: {profile: Shell}, limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}, environment: [{name: LANG, value: C}]}
  tools:
    definitions:
    - {name: session.review, input: {type: object, additionalProperties: false, properties: {}}, run: {sandbox: shell, argv: [{value: /bin/true}]}}
    - {name: files.read, input: {type: object, additionalProperties: false, properties: {}}, run: {sandbox: shell, argv: [{value: /bin/true}]}}
    approvers: [{name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=}]}]
    state: {labels: [{name: secret}]}
    rules:
    - {name: review, tools: [session.review], ask: {approvers: oncall, quorum: 1, expires: 10m}}
    - {name: read, tools: [files.read], allow: {}}
    - {name: kept, tools: [files.read], when: "'secret' in session.labels", deny: {}}
    - {name: found, tools: [session.review], phase: Result, when: "result.stdout.contains('KEY')", deny: {}}
"#;

fn tools(edits: &[(&str, &str)]) -> Policy {
    policy(&edits.iter().fold(format!("{SUBJECTS}{TOOLS}"), |text, (from, to)| {
        assert!(text.contains(from), "the pack has no `{from}`");
        text.replacen(from, to, 1)
    }))
}

#[test]
fn labels_that_an_approval_takes_off_are_compared() {
    let taken = "    rules:\n    - {name: reviewed, tools: [session.review], label: {remove: [secret]}}\n";
    let (old, new) = (tools(&[]), tools(&[("    rules:\n", taken)]));
    is_told(&old, &new, Widened, "calls take more labels off their session");
    narrows(&new, &old);
}

/// The label of a call is told once, and as the call's.
#[test]
fn labels_of_calls_are_not_told_of_their_results() {
    let given = "    rules:\n    - {name: marked, tools: [files.read], label: {add: [secret]}}\n    \
        - {name: checked, tools: [files.read], phase: Result, when: \"result.stdout.contains('KEY')\", deny: {}}\n";
    let same = "    rules:\n    - {name: checked, tools: [files.read], phase: Result, when: \"result.stdout.contains('KEY')\", deny: {}}\n";
    let found = compared(&tools(&[("    rules:\n", given)]), &tools(&[("    rules:\n", same)]));
    let told: Vec<&str> = found.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(told, ["tool `files.read`: calls add fewer labels to their session"], "{found:#?}");
}

#[test]
fn results_of_calls_that_people_approve_are_compared() {
    let (old, new) = (tools(&[]), tools(&[("contains('KEY')", "contains('TOKEN')")]));
    is_told(&old, &new, Widened, "results that were withheld are delivered");
    is_told(&old, &new, Narrowed, "results that were delivered are withheld");
    // A witness holds as a case of the new pack's tests.
    let bench = Bench::new(new.clone(), Watching::Off);
    for change in compared(&old, &new).changes {
        let Witness::Case(case) = &change.witness else { panic!("{change:#?}") };
        let happened = bench.carry_out(case, &no_manifests).unwrap();
        assert_eq!(
            (happened.effect, happened.delivered),
            (case.expect.effect, case.expect.delivered.clone()),
            "{case:?}"
        );
    }
}

#[test]
fn what_has_no_order_of_wider_and_narrower_is_told() {
    let old = tools(&[]);
    for (from, to, what) in [
        (
            "backend: Native, runtimeClass: runc",
            "backend: Native, runtimeClass: other",
            "pools.warm.runtimeClass",
        ),
        (
            "level: Baseline, version: v1.36",
            "level: Baseline, version: v1.35",
            "pools.warm.podSecurity.version",
        ),
        ("value: C}", "value: D}", "sandboxes.shell.environment"),
    ] {
        is_told(&old, &tools(&[(from, to)]), Changed, what);
    }
    let renamed = tools(&[("{name: warm", "{name: cold"), ("pool: warm", "pool: cold")]);
    is_told(&old, &renamed, Changed, "pool `cold` is only in NEW");
    is_told(&old, &renamed, Narrowed, "pool `warm` is only in OLD");
}

/// A test that answers one policy's questions is asked of the other one as well.
#[test]
fn tests_that_answer_one_sides_questions_are_tried() {
    let check = |verb: &str| {
        format!(
            "authorizer.group('').resource('secrets').check('{verb}').allowed() || object.metadata.name != 'special'"
        )
    };
    let (old, new) =
        (rules(&[&rule("asks", PODS, "", &check("list"))]), rules(&[&rule("asks", PODS, "", &check("get"))]));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "special", "labels": {"app": "agent"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let authorizer = vec![serde_json::from_value(json!({"verb": "list", "allowed": false})).unwrap()];
    let seed: TestCase =
        serde_json::from_value(json!({"name": "a test", "admission": {"object": {}}, "expect": {}})).unwrap();
    let admission = Some(AdmissionCase { object: Some(pod), authorizer, ..AdmissionCase::default() });
    let found = diff(&old, &new, &[TestCase { admission, ..seed }]).unwrap();
    let is_of_the_test = |change: &bailiwick_compiler::diff::Change| match &change.witness {
        Witness::Case(case) => case.admission.as_ref().is_some_and(|one| one.authorizer.len() == 2),
        _ => false,
    };
    assert!(
        found.changes.iter().any(is_of_the_test) && found.changes[0].layer == Layer::Admission,
        "{found:#?}"
    );
}

/// Rules over pods and over calls that read parameters: as a bound, as a list and as a pattern.
const PARAMETERS: &str = r#"  parameters:
  - {name: ceiling, type: quantity, default: 2Gi}
  - {name: names, type: string, default: '^(a|agent)$'}
  - {name: hosts, type: list(string), default: [a.example]}
  - {name: topics, type: string, default: '^a$'}
  pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: '2', memory: 1Gi}}]
  sandboxes: [{name: shell, pool: warm, filesystem: {readOnly: [/usr, /bin]}, syscalls: {profile: Shell}, limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}]
  tools:
    definitions:
    - {name: web.fetch, input: {type: object, additionalProperties: false, required: [host], properties: {host: {type: string, maxLength: 64}}}, run: {sandbox: shell, argv: [{value: /bin/true}]}}
    - {name: web.search, input: {type: object, additionalProperties: false, required: [topic], properties: {topic: {type: string, maxLength: 64}}}, run: {sandbox: shell, argv: [{value: /bin/true}]}}
    rules:
    - {name: fetch, tools: [web.fetch], when: "call.args.host in params.hosts", allow: {}}
    - {name: search, tools: [web.search], when: "call.args.topic.matches(params.topics)", allow: {}}
  admission:
    rules:
    - name: memory
      match: {resources: [{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
      variables: [{name: large, expression: "pod.mainContainers.filter(c, 'memory' in c.?resources.?limits.orValue({}) && quantity(c.resources.limits['memory']).isGreaterThan(quantity(params.ceiling)))"}]
      validations: [{expression: variables.large.size() == 0, message: too much}]
    - name: named
      match: {resources: [{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
      validations: [{expression: "object.spec.?schedulerName.orValue('a').matches(params.names)", message: another scheduler}]
"#;

/// The text of a condition stays the same when a parameter in it changes.
#[test]
fn a_parameter_that_allows_more_is_wider() {
    let of = |from: &str, to: &str| {
        assert!(PARAMETERS.contains(from), "the pack has no `{from}`");
        policy(&format!("{SUBJECTS}{}", PARAMETERS.replacen(from, to, 1)))
    };
    let old = of("", "");
    for (from, to, shows) in [
        ("default: 2Gi", "default: 8Gi", "\"memory\":\"8Gi\""),
        ("^(a|agent)$", "^(a|b|agent)$", "\"schedulerName\":\"b\""),
        ("[a.example]", "[a.example, b.example]", "\"host\":\"b.example\""),
        ("'^a$'", "'^(a|b)$'", "\"topic\":\"b\""),
    ] {
        widens(&old, &of(from, to), shows);
    }
    let letters = of("'^a$'", "'^[a-z]$'");
    widens(&letters, &of("'^a$'", "'^[a-z0-9]$'"), "\"topic\":\"0\"");
    let unread = "  parameters:\n  - {name: unread, type: int, default: 1}\n";
    assert_eq!(compared(&old, &of("  parameters:\n", unread)).changes.len(), 0);
}

/// A throttle counts with another counter, whatever that is called.
#[test]
fn a_throttle_that_forgets_sooner_is_wider() {
    let counters = "state: {labels: [{name: secret}], counters: [{name: calls, window: 60s}, {name: others, window: 1s}]}";
    let rate = "    rules:\n    - {name: rate, tools: [files.read], throttle: {counter: calls, max: 20}}\n    \
        - {name: pace, tools: [session.review], throttle: {counter: calls, max: 20}}\n";
    let of = |edits: &[(&str, &str)]| {
        let edits = [("state: {labels: [{name: secret}]}", counters), ("    rules:\n", rate)]
            .into_iter()
            .chain(edits.iter().copied());
        tools(&edits.collect::<Vec<_>>())
    };
    let old = of(&[]);
    let renamed = |window: &str| {
        let name = format!("{{name: renamed, window: {window}}}");
        let to = |rule: &str| format!("throttle: {{counter: {rule}, max: 20}}");
        of(&[
            ("{name: calls, window: 60s}", name.as_str()),
            (&to("calls"), &to("renamed")),
            (&to("calls"), &to("renamed")),
        ])
    };
    assert_eq!(compared(&old, &renamed("60s")).changes, []);
    is_told(&old, &renamed("1s"), Widened, "tools.rules.rate.throttle.counter.window");
    narrows(&renamed("1s"), &old);
    // To a counter that both have, and away from one that counted both rules.
    let moved = of(&[("throttle: {counter: calls, max: 20}", "throttle: {counter: others, max: 20}")]);
    is_told(&old, &moved, Widened, "tools.rules.rate.throttle.counter.window");
    is_told(&old, &moved, Changed, "throttle `pace` no longer counts");
    // The rule has another name as well.
    let both = of(&[
        ("{name: calls, window: 60s}", "{name: renamed, window: 1s}"),
        (
            "{name: rate, tools: [files.read], throttle: {counter: calls,",
            "{name: limit, tools: [files.read], throttle: {counter: renamed,",
        ),
        (
            "{name: pace, tools: [session.review], throttle: {counter: calls,",
            "{name: pace, tools: [session.review], throttle: {counter: renamed,",
        ),
    ]);
    is_told(&old, &both, Changed, "throttle `rate` with counter `calls` is only in OLD");
    let named = of(&[("{name: rate,", "{name: limit,")]);
    let found = compared(&old, &named);
    assert!(found.changes.iter().all(|change| !change.what.contains("only in OLD")), "{found:#?}");
    let only_new = "throttle `limit` is only in NEW: it can only refuse calls".to_owned();
    assert!(found.notes.contains(&only_new), "{:?}", found.notes);
}

/// A tool with an enumeration, a flag and a text, and its rules.
fn deploys(rules: &str) -> Policy {
    policy(&format!(
        "  pools: [{{name: warm, backend: Native, runtimeClass: runc, podSecurity: {{level: Baseline, version: v1.36}}, userNamespace: Required, cgroup: Writable, resources: {{cpus: \"2\", memory: 1Gi}}}}]
  sandboxes:
  - {{name: shell, pool: warm, filesystem: {{readOnly: [/usr, /bin]}}, syscalls: {{profile: Shell}}, limits: {{wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}}}
  tools:
    definitions:
    - name: deploy.run
      description: Deploys.
      input:
        type: object
        required: [stage, note]
        additionalProperties: false
        properties: {{stage: {{type: string, enum: [dev, test, live]}}, force: {{type: boolean}}, note: {{type: string, maxLength: 99}}}}
      run: {{sandbox: shell, argv: [{{value: /usr/bin/deploy}}, {{value: \"--\"}}, {{arg: stage}}, {{arg: note}}]}}
    rules:
{rules}"
    ))
}

/// Enumerations and booleans are tried in all combinations: what is told is all that there is, and nothing says that it was bounded.
#[test]
fn rules_over_enumerations_alone_are_compared_exactly() {
    let rule = |when: &str| {
        deploys(&format!("    - {{name: few, tools: [deploy.run], when: \"{when}\", allow: {{}}}}\n"))
    };
    let bounds = |old: &Policy, new: &Policy| {
        let found = compared(old, new);
        let of_tools = found.bounds.into_iter().filter(|bound| bound.layer == Layer::Tools);
        (found.changes.len(), of_tools.count())
    };
    let (dev, most) = (rule("call.args.stage == 'dev'"), rule("call.args.stage != 'live'"));
    assert_eq!(bounds(&dev, &most), (1, 0));
    // The same by other words: nothing differs, and that is sure.
    assert_eq!(bounds(&most, &rule("call.args.stage in ['dev', 'test']")), (0, 0));
    // Only the two together tell them apart.
    let (forced, unforced) = ("call.args.?force.orValue(false)", "!call.args.?force.orValue(false)");
    let both = rule(&format!("call.args.stage == 'test' ? {unforced} : {forced}"));
    assert_eq!(bounds(&both, &rule(&format!("call.args.stage == 'test' ? true : {forced}"))), (1, 0));
    // A text, the caller, and what came before are not finitely many.
    for when in ["call.args.note == 'x'", "subject.agent == 'x'", "session.calls < 3"] {
        assert!(bounds(&dev, &rule(when)).1 > 0, "{when}");
    }
    // What no rule reads decides where a word goes, and a number has two spellings.
    let mut swapped = dev.clone();
    let Program::Argv(words) = &mut swapped.tools[0].definitions[0].run.program else { panic!("a command") };
    words.swap(2, 3);
    assert!(bounds(&dev, &swapped).1 > 0);
    let numbered = |policy: &Policy| {
        let mut policy = policy.clone();
        policy.tools[0].definitions[0].input["properties"]["stage"] = json!({"enum": [1, 2]});
        policy
    };
    assert!(bounds(&numbered(&dev), &numbered(&most)).1 > 0);
    let throttled = "    state: {counters: [{name: all, window: 60s}]}\n";
    let throttled = deploys(&format!(
        "    - {{name: few, tools: [deploy.run], when: \"call.args.stage == 'dev'\", allow: {{}}}}\n    - {{name: rate, tools: [deploy.run], throttle: {{counter: all, max: 2}}}}\n{throttled}"
    ));
    assert!(bounds(&dev, &throttled).1 > 0);
}
