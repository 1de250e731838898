//! A rule over updates of pods holds whichever way a pod is changed: its resources through `pods/resize`, its debugging containers through
//! `pods/ephemeralcontainers`.

use bailiwick_policy::admission::Operation;

use super::support::{compiled, decision_over, document, file};

/// Over pods alone, whose type is known; over a wildcard it is not.
const OF_PODS: &str = "pod.allContainers";
const OF_ANYTHING: &str = "(object.spec.containers + object.spec.?ephemeralContainers.orValue([]))";

/// A rule that every container has a memory limit, over these resources.
fn limits(matches: &str, containers: &str) -> String {
    document(
        "example",
        &format!(
            "subjects: {{namespaces: {{selector: {{matchLabels: {{zone: agents}}}}}}, unmatched: Deny}}\nadmission:\n  rules:\n  - name: limits\n    match: {{{matches}}}\n    validations: [{{expression: \"{containers}.all(c, 'memory' in c.?resources.?limits.orValue({{}}))\", message: no memory limit}}]\n"
        ),
    )
}

fn rule(resources: &str, operations: &str) -> String {
    format!(r#"{{apiGroups: [""], apiVersions: [v1], resources: [{resources}], operations: [{operations}]}}"#)
}

const LIMITED: &str = r#"{"name": "c", "image": "i", "resources": {"limits": {"memory": "1Gi"}}}"#;

fn pod(containers: &str, others: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "p", "namespace": "agents"}}, "spec": {{"containers": [{containers}]{others}}}}}"#
    )
}

/// Whether a resize that takes the limit away, and a debugging container without one, are admitted.
fn admitted(matches: &str, containers: &str) -> (bool, bool) {
    let compiled = compiled(&limits(matches, containers));
    let before = pod(LIMITED, "");
    let unlimited = pod(r#"{"name": "c", "image": "i", "resources": {}}"#, "");
    let debugged = pod(LIMITED, r#", "ephemeralContainers": [{"name": "d", "image": "i"}]"#);
    let is_admitted = |object: &str, way: &str| {
        let said = decision_over(&compiled, (object, Some(&before)), way, Operation::Update);
        assert!(said.starts_with("allowed") != said.contains("no memory limit"), "{said}");
        said.starts_with("allowed")
    };
    (is_admitted(&unlimited, "resize"), is_admitted(&debugged, "ephemeralcontainers"))
}

#[test]
fn a_rule_over_updates_of_pods_covers_every_way_to_change_one() {
    for (pods, containers) in
        [("pods", OF_PODS), ("pods, pods/resize", OF_PODS), ("'*'", OF_ANYTHING), ("'pods/*'", OF_ANYTHING)]
    {
        let matches = format!("resources: [{}]", rule(pods, "CREATE, UPDATE"));
        assert_eq!(admitted(&matches, containers), (false, false), "{pods}");
    }
    // So they would be changed without it: what the API server itself understands by these rules.
    let creation = format!("resources: [{}]", rule("pods", "CREATE"));
    assert_eq!(admitted(&creation, OF_PODS), (true, true));
}

#[test]
fn a_way_that_a_rule_excludes_is_left_out() {
    let pods = rule("pods", "CREATE, UPDATE");
    let without = |way: &str| {
        admitted(&format!("resources: [{pods}], excludeResources: [{}]", rule(way, "UPDATE")), OF_PODS)
    };
    assert_eq!(without("pods/resize"), (true, false));
    assert_eq!(without("pods/ephemeralcontainers"), (false, true));
    assert_eq!(without("pods/resize, pods/ephemeralcontainers"), (true, true));
    // Who excludes pods means them whichever way they are changed.
    let all = format!(
        "resources: [{}], excludeResources: [{}]",
        rule("'*'", "CREATE, UPDATE"),
        rule("pods", "CREATE, UPDATE")
    );
    assert_eq!(admitted(&all, OF_ANYTHING), (true, true));
}

/// A node's agent annotates pods through their status: it must not be denied over pods that no rule judges.
#[test]
fn the_floor_judges_no_status_of_excluded_pods() {
    let floor = |matches: &str| {
        let labelled = "object.metadata.?labels.orValue({}).size() > 0 ? [object.spec.containers[0]] : []";
        file(&compiled(&limits(matches, &format!("({labelled})"))), "admission-policies")
    };
    let all = format!("resources: [{}]", rule("'*'", "CREATE, UPDATE"));
    let but = |excluded: &str| floor(&format!("{all}, excludeResources: [{}]", rule(excluded, "'*'")));
    assert!(floor(&all).contains("pods/status") && but("services").contains("pods/status"));
    for excluded in ["pods", "'pods/*'"] {
        let text = but(excluded);
        assert!(text.contains("no memory limit") && !text.contains("pods/status"), "{excluded}: {text}");
    }
}

#[test]
fn the_policy_names_what_its_rules_are_asked_about() {
    let of = |matches: &str, containers: &str| {
        let policy = compiled(&limits(matches, containers)).policy.expect("a policy");
        let rules = policy.admission.rules.into_iter().next().expect("a rule").matches.resources;
        rules.into_iter().map(|rule| rule.resources.join(" ")).collect::<Vec<_>>().join(", ")
    };
    let both = format!("resources: [{}]", rule("pods", "UPDATE"));
    assert_eq!(of(&both, OF_PODS), "pods, pods/ephemeralcontainers pods/resize");
    let one = format!("resources: [{}]", rule("pods, pods/resize", "UPDATE"));
    assert_eq!(of(&one, OF_PODS), "pods pods/resize, pods/ephemeralcontainers");
    let all = format!("resources: [{}]", rule("'pods/*'", "UPDATE"));
    assert_eq!(of(&all, OF_ANYTHING), "pods/*");
    let creation = format!("resources: [{}]", rule("pods", "CREATE"));
    assert_eq!(of(&creation, OF_PODS), "pods");
}

/// What the webhook answers to an update of a pod, by a pack whose rule over pods writes this.
fn written(mutation: &str, (before, after): (&str, &str), way: &str) -> String {
    let sections = format!(
        "subjects: {{namespaces: {{selector: {{matchLabels: {{zone: agents}}}}}}, unmatched: Deny}}\nadmission:\n  rules:\n  - name: writes\n    match: {{resources: [{}]}}\n    mutations: [{{{mutation}}}]\n",
        rule("pods", "CREATE, UPDATE")
    );
    decision_over(&compiled(&document("example", &sections)), (after, Some(before)), way, Operation::Update)
}

#[test]
fn a_mutation_of_pods_is_carried_out_whichever_way_a_pod_is_changed() {
    let limit = r#"field: "spec.containers[*].resources.limits.memory", value: 1Gi"#;
    let large = pod(&LIMITED.replace("1Gi", "8Gi"), "");
    let said = written(limit, (&pod(LIMITED, ""), &large), "resize");
    assert!(
        said.starts_with("allowed")
            && said.contains(r#""path":"/spec/containers/0/resources/limits/memory","value":"1Gi""#),
        "{said}"
    );
    let unprivileged = r#"field: "spec.ephemeralContainers[*].securityContext.privileged", value: false"#;
    let debugged = pod(
        LIMITED,
        r#", "ephemeralContainers": [{"name": "d", "image": "i", "securityContext": {"privileged": true}}]"#,
    );
    let said = written(unprivileged, (&pod(LIMITED, ""), &debugged), "ephemeralcontainers");
    assert!(
        said.starts_with("allowed")
            && said
                .contains(r#""path":"/spec/ephemeralContainers/0/securityContext/privileged","value":false"#),
        "{said}"
    );
    // What a resize cannot change is left alone.
    let said = written(unprivileged, (&debugged, &debugged), "resize");
    assert!(said.starts_with("allowed") && said.ends_with("[]"), "{said}");
}

#[test]
fn a_mutation_that_nothing_carries_out_is_refused() {
    let codes = |resources: &str, operations: &str| {
        let sections = format!(
            "admission:\n  rules:\n  - name: writes\n    match: {{resources: [{}]}}\n    mutations: [{{field: metadata.labels.seen, value: 'yes'}}]\n",
            rule(resources, operations)
        );
        let compiled = compiled(&document("example", &sections));
        compiled.all().map(|one| one.to_string()).filter(|one| one.contains("BW0527")).count()
    };
    for carried_out in ["pods", "'*'", "pods, pods/ephemeralcontainers, pods/resize"] {
        assert_eq!(codes(carried_out, "CREATE, UPDATE"), 0, "{carried_out}");
    }
    for not in ["pods/status", "pods/binding", "'pods/*'", "'*/*'", "'*/resize'", "services/status"] {
        assert_eq!(codes(&format!("pods, {not}"), "CREATE, UPDATE"), 1, "{not}");
    }
    assert_eq!(codes("pods", "'*'"), 0);
    assert_eq!(codes("pods", "DELETE, CONNECT"), 1);
}
