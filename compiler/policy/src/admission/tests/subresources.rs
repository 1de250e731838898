//! What mutations write when a pod is changed through `pods/resize` or `pods/ephemeralcontainers`: what such a
//! request can change, and nothing else.

use super::mutation::{constant, field, mutated, text, with_mutations};
use super::*;
use crate::ir::{Cel, Const, Expr};
use crate::policy::{MutateWhen, Mutation, ResourceRule};

/// A policy with these mutations on pods, however they are written.
fn writing(mutations: Vec<Mutation>) -> Policy {
    let mut policy = with_mutations("a", mutations);
    let rule = policy.admission.rules.first_mut().unwrap();
    rule.matches.resources.push(ResourceRule {
        api_groups: vec![String::new()],
        api_versions: vec!["v1".to_owned()],
        resources: vec!["pods/ephemeralcontainers".to_owned(), "pods/resize".to_owned()],
        operations: vec!["UPDATE".to_owned()],
    });
    policy
}

fn always(path: &str, value: serde_json::Value) -> Mutation {
    field(&path.split('.').collect::<Vec<_>>(), MutateWhen::Always, value)
}

fn map(entries: Vec<(&str, Const)>) -> Const {
    Const::Map(entries.into_iter().map(|(key, value)| (text(key), value)).collect())
}

fn patch(path: &str, value: Const) -> Mutation {
    let add = Const::List(vec![map(vec![("op", text("add")), ("path", text(path)), ("value", value)])]);
    Mutation::JsonPatch { expression: constant(add), at: "m".into() }
}

fn partial(object: Vec<(&str, Const)>) -> Mutation {
    Mutation::ApplyConfiguration { expression: constant(map(object)), at: "m".into() }
}

/// A pod whose containers have these resources.
fn sized(limits: &str) -> Json<'static> {
    pod("{}", &format!(r#"{{"resources": {limits}}}"#))
}

fn resize(mutations: Vec<Mutation>, old: &str, new: &str) -> String {
    mutated(vec![writing(mutations)], &sub_update("resize", sized(old), sized(new)))
}

const SMALL: &str = r#"{"limits": {"memory": "1Gi"}}"#;
const LARGE: &str = r#"{"limits": {"memory": "8Gi"}}"#;
const TAKEN_BACK: &str =
    "allowed\n{\"op\":\"replace\",\"path\":\"/spec/containers/0/resources/limits/memory\",\"value\":\"1Gi\"}";

#[test]
fn a_resize_gets_what_the_creation_got() {
    let limit = || always("spec.containers.*.resources.limits.memory", "1Gi".into());
    assert_eq!(resize(vec![limit()], SMALL, LARGE), TAKEN_BACK);
    let whole = always("spec.containers.*.resources", serde_json::json!({"limits": {"memory": "1Gi"}}));
    assert_eq!(resize(vec![whole], SMALL, LARGE), TAKEN_BACK);
    let patched = patch("/spec/containers/0/resources/limits/memory", text("1Gi"));
    assert_eq!(resize(vec![patched], SMALL, LARGE), TAKEN_BACK);
    let container = map(vec![
        ("name", text("c")),
        ("command", Const::List(vec![text("other")])),
        ("resources", map(vec![("limits", map(vec![("memory", text("1Gi"))]))])),
    ]);
    let others = vec![("containers", Const::List(vec![container])), ("hostUsers", Const::Bool(false))];
    assert_eq!(resize(vec![partial(vec![("spec", map(others))])], SMALL, LARGE), TAKEN_BACK);
}

#[test]
fn a_resize_changes_no_claims_and_takes_no_limit_away() {
    let old =
        r#"{"limits": {"cpu": "1", "memory": "1Gi", "example.org/gpu": "1"}, "claims": [{"name": "x"}]}"#;
    let new =
        r#"{"limits": {"cpu": "1", "memory": "8Gi", "example.org/gpu": "1"}, "claims": [{"name": "x"}]}"#;
    let whole = always("spec.containers.*.resources", serde_json::json!({"limits": {"memory": "1Gi"}}));
    assert_eq!(resize(vec![whole], old, new), TAKEN_BACK);
    // What the request itself brings may go again.
    let whole = always("spec.containers.*.resources", serde_json::json!({"limits": {"memory": "1Gi"}}));
    let raised = r#"{"limits": {"cpu": "4", "memory": "1Gi"}}"#;
    let decision = resize(vec![whole], SMALL, raised);
    assert!(
        decision.contains(r#"{"op":"remove","path":"/spec/containers/0/resources/limits/cpu"}"#),
        "{decision}"
    );
    assert!(!decision.contains("memory"), "{decision}");
}

/// No resize may change a pod's class of service, and before 1.36 none an init container that is no sidecar.
#[test]
fn an_init_container_or_a_pod_is_resized_if_the_request_resizes_it() {
    let spec = |sidecar: &str, init: &str, pod: &str| {
        super::pod(
            &format!(
                r#"{{"resources": {{"limits": {{"memory": "{pod}"}}}}, "initContainers": [
                    {{"name": "s", "image": "{IMAGE}", "restartPolicy": "Always", "resources": {{"limits": {{"memory": "{sidecar}"}}}}}},
                    {{"name": "i", "image": "{IMAGE}", "resources": {{"limits": {{"memory": "{init}"}}}}}}]}}"#
            ),
            "{}",
        )
    };
    let written = |old: Json<'static>, new: Json<'static>| {
        let mutations = vec![
            always("spec.initContainers.*.resources.limits.memory", "1Gi".into()),
            always("spec.resources.limits.memory", "1Gi".into()),
        ];
        let decision =
            reviewer(vec![writing(mutations)]).review(&sub_update("resize", old, new), Phase::Mutate);
        assert!(decision.allowed, "{}", shown(&decision));
        let mut paths: Vec<String> = decision.patch.iter().map(|one| one.path.clone()).collect();
        paths.sort();
        paths.join(" ")
    };
    let old = || spec("2Gi", "2Gi", "2Gi");
    let (sidecar, init) =
        ("/spec/initContainers/0/resources/limits/memory", "/spec/initContainers/1/resources/limits/memory");
    // Another amount than the stored one may be refused, which the request leaves alone.
    assert_eq!(written(old(), old()), "");
    assert_eq!(written(old(), spec("8Gi", "2Gi", "2Gi")), sidecar);
    assert_eq!(written(old(), spec("2Gi", "8Gi", "2Gi")), init);
    assert_eq!(written(old(), spec("2Gi", "2Gi", "8Gi")), "/spec/resources/limits/memory");
}

/// A pod with debugging containers of these names, all privileged.
fn debugged(names: &[&str]) -> Json<'static> {
    let containers = names.iter().map(|name| {
        format!(
            r#"{{"name": "{name}", "image": "{IMAGE}", "command": ["sh"], "securityContext": {{"privileged": true}}}}"#
        )
    });
    let containers = containers.collect::<Vec<_>>().join(", ");
    with(pod("{}", "{}"), &format!(r#"{{"spec": {{"ephemeralContainers": [{containers}]}}}}"#))
}

#[test]
fn a_debugging_container_is_written_into_when_it_comes_and_not_again() {
    let container =
        map(vec![("name", text("b")), ("securityContext", map(vec![("privileged", Const::Bool(false))]))]);
    let other = map(vec![("name", text("a")), ("command", Const::List(vec![text("other")]))]);
    let list = Const::List(vec![container, other]);
    for mutation in [
        always("spec.ephemeralContainers.*.securityContext.privileged", false.into()),
        patch("/spec/ephemeralContainers/0/securityContext/privileged", Const::Bool(false)),
        partial(vec![("spec", map(vec![("ephemeralContainers", list)]))]),
    ] {
        let policies = || vec![writing(vec![mutation.clone()])];
        // Patches do not keep the order of what was there.
        let request = sub_update("ephemeralcontainers", debugged(&["a"]), debugged(&["b", "a"]));
        assert_eq!(
            mutated(policies(), &request),
            "allowed\n{\"op\":\"replace\",\"path\":\"/spec/ephemeralContainers/0/securityContext/privileged\",\"value\":false}"
        );
        let again = sub_update("ephemeralcontainers", debugged(&["b", "a"]), debugged(&["b", "a"]));
        assert_eq!(mutated(policies(), &again), "allowed");
    }
}

#[test]
fn a_mutation_takes_no_debugging_container_away_that_was_there() {
    let emptied = writing(vec![always("spec.ephemeralContainers", serde_json::json!([]))]);
    let request = sub_update("ephemeralcontainers", debugged(&["a"]), debugged(&["a", "b"]));
    let written = reviewer(vec![emptied]).admit(&request).object.unwrap();
    let containers = written.at(&["spec", "ephemeralContainers"]).unwrap().items();
    let names: Vec<_> = containers.iter().map(|one| one.get("name").and_then(Json::as_str)).collect();
    assert_eq!(names, [Some("a")]);
}

#[test]
fn what_a_subresource_cannot_change_is_no_error_there() {
    // Neither by a condition that cannot be evaluated, nor by a patch that cannot be applied.
    let absent = ["spec", "nothing"].iter().fold(Expr::Root(crate::ir::Root::Object), |here, field| {
        Expr::Select(Box::new(here), (*field).to_owned())
    });
    let condition = Cel { source: "…".into(), expr: absent, slots: 0 };
    let mut failing = writing(vec![always("spec.containers.*.imagePullPolicy", "Always".into())]);
    let rule = failing.admission.rules.first_mut().unwrap();
    rule.matches.conditions = vec![("fails".to_owned(), condition)];
    let unpatched = writing(vec![patch("/spec/nothing/there", text("x"))]);
    let annotations = map(vec![("annotations", map(vec![("a", text("b"))]))]);
    let annotating = writing(vec![partial(vec![("metadata", annotations)])]);
    for policy in [failing, unpatched, annotating] {
        let policies = || vec![policy.clone()];
        assert_eq!(mutated(policies(), &sub_update("resize", sized(SMALL), sized(LARGE))), "allowed");
        let request = sub_update("ephemeralcontainers", debugged(&[]), debugged(&["a"]));
        assert_eq!(mutated(policies(), &request), "allowed");
    }
}

#[test]
fn what_cannot_be_written_into_a_resize_is_a_denial() {
    let wrong = Mutation::JsonPatch { expression: constant(Const::Int(1)), at: "m".into() };
    assert_eq!(
        resize(vec![wrong], SMALL, LARGE),
        "denied\ndeny probe@1.0.0/mutate-a: the expression gives no list of operations ()"
    );
}

#[test]
fn the_status_of_a_pod_is_not_written_into() {
    let policies = vec![writing(vec![always("metadata.annotations.by", "policy".into())])];
    assert_eq!(mutated(policies, &sub_update("status", sized(SMALL), sized(LARGE))), "allowed");
}
