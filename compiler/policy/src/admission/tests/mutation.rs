//! What `/mutate` writes, and what it refuses to write.

use expect_test::expect;

use super::*;
use crate::ir::{Cel, Const, Expr};
use crate::policy::{MutateWhen, Mutation};

/// The policy with these mutations instead of its own.
pub(super) fn with_mutations(cell: &str, mutations: Vec<Mutation>) -> Policy {
    let mut policy = policy();
    policy.cell = cell.to_owned();
    if let Some(rule) = policy.admission.rules.first_mut() {
        rule.name = format!("mutate-{cell}");
        rule.mutations = mutations;
    }
    policy
}

pub(super) fn field(path: &[&str], when: MutateWhen, value: serde_json::Value) -> Mutation {
    Mutation::Field { path: path.iter().map(ToString::to_string).collect(), when, value, at: "m".into() }
}

pub(super) fn constant(value: Const) -> Cel {
    Cel { source: "…".into(), expr: Expr::Const(value), slots: 0 }
}

pub(super) fn text(text: &str) -> Const {
    Const::Str(text.to_owned())
}

pub(super) fn mutated(policies: Vec<Policy>, request: &AdmissionRequest<'_>) -> String {
    shown(&reviewer(policies).review(request, Phase::Mutate))
}

#[test]
fn mutating_twice_writes_nothing_the_second_time() {
    mutates(&create(stored("{}", "{}")), &expect!["allowed"]);
    validates(&create(stored("{}", "{}")), &expect!["allowed"]);
}

#[test]
fn what_stands_there_is_kept_and_a_foreign_cell_is_not() {
    let own = r#"{"runtimeClassName": "runc", "securityContext": {"seccompProfile": {"type": "Localhost"}}, "automountServiceAccountToken": true}"#;
    let labelled = with(
        pod(own, r#"{"imagePullPolicy": "Never"}"#),
        r#"{"metadata": {"labels": {"bailiwick.dev/cell": "x"}}}"#,
    );
    mutates(
        &create(labelled),
        &expect![[r#"
            allowed
            {"op":"replace","path":"/metadata/labels/bailiwick.dev~1cell","value":"0123456789abcdef"}
            {"op":"add","path":"/spec/containers/0/workingDir","value":"/work"}"#]],
    );
}

#[test]
fn the_token_volume_of_the_service_account_plugin_goes_and_others_stay() {
    let volumes = r#"{"volumes": [{"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}, {"name": "kube-api-access-mine", "emptyDir": {}}]}"#;
    let mounts = r#"{"volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}"#;
    admits(&create(pod(volumes, mounts)), &expect!["allowed"]);
    mutates(
        &create(pod(volumes, mounts)),
        &expect![[r#"
            allowed
            {"op":"add","path":"/metadata/labels/bailiwick.dev~1cell","value":"0123456789abcdef"}
            {"op":"add","path":"/spec/securityContext/seccompProfile","value":{"type":"RuntimeDefault"}}
            {"op":"remove","path":"/spec/containers/0/volumeMounts"}
            {"op":"add","path":"/spec/containers/0/workingDir","value":"/work"}
            {"op":"replace","path":"/spec/volumes","value":[{"emptyDir":{},"name":"kube-api-access-mine"}]}
            {"op":"add","path":"/spec/runtimeClassName","value":"gvisor"}
            {"op":"add","path":"/spec/automountServiceAccountToken","value":false}"#]],
    );
}

#[test]
fn an_existing_pod_keeps_its_spec() {
    let old = pod("{}", "{}");
    let bare = with(old.clone(), r#"{"metadata": {"annotations": {"a": "b"}}}"#);
    mutates(&update(old.clone(), bare.clone()), &expect!["allowed"]);
    let annotate = field(&["metadata", "annotations", "by"], MutateWhen::Always, "policy".into());
    let pull = field(&["spec", "containers", "*", "imagePullPolicy"], MutateWhen::Always, "Never".into());
    let policies = vec![with_mutations("a", vec![annotate, pull])];
    expect![[r#"
        allowed
        {"op":"add","path":"/metadata/annotations/by","value":"policy"}"#]]
    .assert_eq(&mutated(policies, &update(old, bare)));
}

#[test]
fn deletion_connections_and_sub_resources_are_never_mutated() {
    let context = ManifestContext { operation: Operation::Delete, ..ManifestContext::default() };
    let request = AdmissionRequest::from_manifest(pod("{}", "{}"), context).unwrap();
    mutates(&request, &expect!["allowed"]);
    mutates(&sub_update("ephemeralcontainers", pod("{}", "{}"), pod("{}", "{}")), &expect!["allowed"]);
}

#[test]
fn two_packs_that_disagree_are_a_denial_whichever_comes_first() {
    let set = |cell: &str, when, value: &str| {
        with_mutations(cell, vec![field(&["metadata", "annotations", "x"], when, value.into())])
    };
    let request = create(pod("{}", "{}"));
    for when in [MutateWhen::Absent, MutateWhen::Always] {
        for (first, second) in [("one", "two"), ("two", "one")] {
            let decision =
                reviewer(vec![set("a", when, first), set("b", when, second)]).review(&request, Phase::Mutate);
            assert!(!decision.allowed, "{when:?}");
            assert!(decision.patch.is_empty());
            let finding = decision.findings.first().unwrap();
            assert_eq!(finding.field, "metadata.annotations.x");
            assert_eq!(
                finding.message,
                "`probe@1.0.0/mutate-b` and `probe@1.0.0/mutate-a` write different values"
            );
        }
        assert!(
            reviewer(vec![set("a", when, "one"), set("b", when, "one")])
                .review(&request, Phase::Mutate)
                .allowed
        );
    }
}

#[test]
fn two_policies_with_other_default_classes_are_a_denial() {
    let mut other = policy();
    other.cell = "b".to_owned();
    if let Some(stated) = &mut other.isolation.runtime_class {
        stated.value.defaults = vec!["runc".to_owned()];
    }
    let decision = mutated(vec![policy(), other], &create(pod("{}", "{}")));
    expect![[r#"
        denied
        deny probe@1.0.0/runtimeClass: `probe@1.0.0/runtimeClass` and `probe@1.0.0/runtimeClass` write different values: "runc" and "gvisor" (spec.runtimeClassName); write the field yourself"#]].assert_eq(&decision);
}

#[test]
fn what_identifies_or_places_a_pod_is_out_of_bounds() {
    let request = create(pod("{}", "{}"));
    for (path, field_path) in [
        (&["metadata", "labels", "component"][..], "metadata.labels.component"),
        (&["metadata", "labels", "bailiwick.dev/cell"], "metadata.labels[bailiwick.dev/cell]"),
        (&["metadata", "namespace"], "metadata.namespace"),
        (&["spec", "nodeName"], "spec.nodeName"),
        (&["spec", "serviceAccountName"], "spec.serviceAccountName"),
    ] {
        let policies = vec![with_mutations("a", vec![field(path, MutateWhen::Always, "evil".into())])];
        let decision = reviewer(policies).review(&request, Phase::Mutate);
        assert!(!decision.allowed, "{path:?}");
        assert_eq!(decision.findings.first().unwrap().field, field_path);
    }
    // A patch that removes the labels, and one that replaces the whole, are equivalent.
    let remove = Const::List(vec![Const::Map(vec![
        (text("op"), text("remove")),
        (text("path"), text("/metadata/labels")),
    ])]);
    let policies =
        vec![with_mutations("a", vec![Mutation::JsonPatch { expression: constant(remove), at: "m".into() }])];
    expect![[r#"
        denied
        deny probe@1.0.0/mutate-a: no mutation may write label `component`, which a selector reads (metadata.labels.component)"#]].assert_eq(&mutated(policies, &request));
}

#[test]
fn patches_and_partial_objects_are_applied_in_order() {
    let add = Const::List(vec![Const::Map(vec![
        (text("op"), text("add")),
        (text("path"), text("/metadata/annotations/a~1b")),
        (text("value"), text("1")),
    ])]);
    let partial =
        Const::Map(vec![(text("spec"), Const::Map(vec![(text("enableServiceLinks"), Const::Bool(false))]))]);
    let mutations = vec![
        Mutation::JsonPatch { expression: constant(add), at: "m".into() },
        Mutation::ApplyConfiguration { expression: constant(partial), at: "m".into() },
    ];
    expect![[r#"
        allowed
        {"op":"add","path":"/metadata/labels/bailiwick.dev~1cell","value":"a"}
        {"op":"add","path":"/metadata/annotations","value":{"a/b":"1"}}
        {"op":"add","path":"/spec/securityContext/seccompProfile","value":{"type":"RuntimeDefault"}}
        {"op":"replace","path":"/spec/enableServiceLinks","value":false}
        {"op":"add","path":"/spec/runtimeClassName","value":"gvisor"}
        {"op":"add","path":"/spec/automountServiceAccountToken","value":false}"#]]
    .assert_eq(&mutated(vec![with_mutations("a", mutations)], &create(pod("{}", "{}"))));
    let wrong = vec![Mutation::JsonPatch { expression: constant(Const::Int(1)), at: "m".into() }];
    expect![[r#"
        denied
        deny probe@1.0.0/mutate-a: the expression gives no list of operations ()"#]]
    .assert_eq(&mutated(vec![with_mutations("a", wrong)], &create(pod("{}", "{}"))));
}

/// The API server writes defaults into what it stores, and older pods have other values than the policy would
/// write.
#[test]
fn what_cannot_be_merged_into_a_stored_pod_is_left_out() {
    let map = |entries: Vec<(&str, Const)>| {
        Const::Map(entries.into_iter().map(|(key, value)| (text(key), value)).collect())
    };
    let token = map(vec![("serviceAccountToken", map(vec![("path", text("token"))]))]);
    let sources = map(vec![("sources", Const::List(vec![token]))]);
    let volume = map(vec![("name", text("t")), ("projected", sources)]);
    let partial = |more: Vec<(&str, Const)>| {
        let spec = map(vec![("volumes", Const::List(vec![volume.clone()]))]);
        let partial = map([more, vec![("spec", spec)]].concat());
        vec![Mutation::ApplyConfiguration { expression: constant(partial), at: "m".into() }]
    };
    let policies = || vec![with_mutations("a", partial(Vec::new()))];
    let with_source = |source: &str| {
        pod(&format!(r#"{{"volumes": [{{"name": "t", "projected": {{"sources": [{source}]}}}}]}}"#), "{}")
    };
    let labelled = |pod: Json<'static>| with(pod, r#"{"metadata": {"annotations": {"touched": "1"}}}"#);
    for source in [
        r#"{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}"#,
        r#"{"serviceAccountToken": {"path": "other", "expirationSeconds": 600}}"#,
    ] {
        let old = with_source(source);
        let request = update(old.clone(), labelled(old.clone()));
        expect!["allowed"].assert_eq(&mutated(policies(), &request));
        let created = mutated(policies(), &create(old));
        assert_eq!(created.starts_with("allowed"), source.contains("3600"), "{created}");
    }
    // What a stored pod can still take is written, or refused.
    let wrong = partial(vec![("metadata", map(vec![("labels", map(vec![("component", text("x"))]))]))]);
    let old = with_source(r#"{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}"#);
    let decision = mutated(vec![with_mutations("a", wrong)], &update(old.clone(), labelled(old)));
    assert!(decision.contains("label `component`, which a selector reads"), "{decision}");
}

#[test]
fn a_windows_pod_gets_no_seccomp_profile() {
    let decision = mutated(vec![policy()], &create(pod(r#"{"os": {"name": "windows"}}"#, "{}")));
    assert!(!decision.contains("seccompProfile"), "{decision}");
}

#[test]
fn pods_governed_together_get_a_cell_of_all_their_packs() {
    let mut other = policy();
    other.cell = "ffff".to_owned();
    other.packs.first_mut().unwrap().version = "2.0.0".to_owned();
    let decision = reviewer(vec![policy(), other]).admit(&create(pod("{}", "{}")));
    let object = decision.object.as_ref().unwrap();
    let label = object.at(&["metadata", "labels", "bailiwick.dev/cell"]).unwrap().as_str().unwrap();
    // printf 'probe@1.0.0\nprobe@2.0.0\n' | sha256sum
    assert_eq!(label, "d690c32802e4137c");
    assert_eq!(decision.decision().cells, ["0123456789abcdef", "ffff"]);
}

#[test]
fn what_a_mutation_gives_is_bounded_before_it_is_written_out() {
    let ten = |slot: u16| Expr::List((0..10).map(|_| (Expr::Slot(slot), false)).collect());
    let spec = Expr::Map(vec![(Expr::Const(text("spec")), Expr::Slot(9), false)]);
    // Ten lists in each of ten lists, nine levels: sixty values, and a thousand million once written out.
    let expr = (1..=9).rev().fold(spec, |body, at: u16| {
        Expr::Bind(Box::new(crate::ir::Bind { slot: at, init: ten(at - 1), body }))
    });
    let expression = Cel { source: "…".into(), expr, slots: 10 };
    let mutations = vec![Mutation::ApplyConfiguration { expression, at: "m".into() }];
    let decision = mutated(vec![with_mutations("a", mutations)], &create(pod("{}", "{}")));
    assert!(decision.contains("the expression gives more than 1572864 bytes"), "{decision}");
}

#[test]
fn a_path_taken_from_the_object_nests_nothing_that_nobody_can_walk() {
    let annotation = ["metadata", "annotations", "team"]
        .iter()
        .fold(Expr::Root(crate::ir::Root::Object), |here, field| {
            Expr::Select(Box::new(here), (*field).to_owned())
        });
    let path = Expr::Call(crate::ir::Func::Add, vec![Expr::Const(text("/metadata/labels/")), annotation]);
    let operation = Expr::Map(vec![
        (Expr::Const(text("op")), Expr::Const(text("add")), false),
        (Expr::Const(text("path")), path, false),
        (Expr::Const(text("value")), Expr::Const(text("x")), false),
    ]);
    let expression = Cel { source: "…".into(), expr: Expr::List(vec![(operation, false)]), slots: 0 };
    let policies = || {
        vec![with_mutations(
            "a",
            vec![Mutation::JsonPatch { expression: expression.clone(), at: "m".into() }],
        )]
    };
    let request = |team: &str| {
        let annotated = format!(r#"{{"metadata": {{"annotations": {{"team": "{team}"}}}}}}"#);
        create(with(pod("{}", "{}"), &annotated))
    };
    assert!(mutated(policies(), &request("blue")).contains(r#"/metadata/labels/blue"#));
    let decision = mutated(policies(), &request(&"a/".repeat(100_000)));
    assert!(
        decision.contains("operation 0: a path of 100003 segments is written to, the limit is 64"),
        "{decision:.300}"
    );
}

/// Taking the duplicates of a variable out moves what follows, and nobody wrote into the positions that are
/// gone.
#[test]
fn what_is_added_to_a_list_that_another_pack_shortened_is_no_disagreement() {
    let map = |entries: Vec<(&str, Const)>| {
        Const::Map(entries.into_iter().map(|(key, value)| (text(key), value)).collect())
    };
    let variable = |name: &str, value: &str| map(vec![("name", text(name)), ("value", text(value))]);
    let container = map(vec![("name", text("c")), ("env", Const::List(vec![variable("P", "proxy")]))]);
    let partial = map(vec![("spec", map(vec![("containers", Const::List(vec![container]))]))]);
    let added = Const::List(vec![map(vec![
        ("op", text("add")),
        ("path", text("/spec/containers/0/env/-")),
        ("value", variable("R", "1")),
    ])]);
    let forces = Mutation::ApplyConfiguration { expression: constant(partial), at: "m".into() };
    let adds = Mutation::JsonPatch { expression: constant(added), at: "m".into() };
    let policies = vec![with_mutations("a", vec![forces]), with_mutations("b", vec![adds])];
    let env = r#"{"env": [{"name": "P", "value": "x"}, {"name": "Q"}, {"name": "P", "value": "evil"}]}"#;
    let decision = mutated(policies, &create(pod("{}", env)));
    assert!(decision.starts_with("allowed"), "{decision}");
    for written in [
        r#"{"op":"replace","path":"/spec/containers/0/env/0/value","value":"proxy"}"#,
        r#"{"op":"replace","path":"/spec/containers/0/env/2/name","value":"R"}"#,
        r#"{"op":"replace","path":"/spec/containers/0/env/2/value","value":"1"}"#,
    ] {
        assert!(decision.contains(written), "{decision}");
    }
}
