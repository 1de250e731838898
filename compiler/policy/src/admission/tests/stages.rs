//! Stages: what a policy that is not yet enforced does to a request, alone and next to one that is.

use super::mutation::{constant, field, with_mutations};
use super::*;
use crate::admission::{CELL_LABEL, Facts, InForce, Moment, Stage};
use crate::ir::Const;
use crate::policy::{MutateWhen, Mutation};

/// The policy at a stage, and again under another cell if two are given: they differ only in their stage.
fn at(stages: &[Stage]) -> Reviewer {
    at_each(stages.iter().map(|stage| (*stage, policy())).collect())
}

/// These policies, each at its stage and under its own cell.
fn at_each(policies: Vec<(Stage, Policy)>) -> Reviewer {
    let in_force = policies.into_iter().enumerate().map(|(index, (stage, mut policy))| {
        policy.cell = format!("cell{index}");
        policy.variants = vec![format!("variant{index}")];
        let bundle = Bundle { digest: format!("digest{index}"), policy };
        InForce { stage, ..InForce::from(bundle) }
    });
    let namespaces =
        BTreeMap::from([("agents".to_owned(), BTreeMap::from([("zone".to_owned(), "agents".to_owned())]))]);
    Reviewer::of(in_force.collect(), Namespaces::new(namespaces)).unwrap()
}

fn effects(decision: &Decision) -> Vec<Effect> {
    let mut effects: Vec<Effect> = decision.findings.iter().map(|finding| finding.effect).collect();
    effects.sort();
    effects.dedup();
    effects
}

#[test]
fn a_stage_says_what_a_denial_becomes() {
    let bad = create(pod(r#"{"hostNetwork": true}"#, "{}"));
    for (stage, allowed, expected) in [
        (Stage::Audit, true, Effect::Audit),
        (Stage::Warn, true, Effect::Warn),
        (Stage::Enforce, false, Effect::Deny),
    ] {
        let decision = at(&[stage]).admit(&bad).decision().clone();
        assert_eq!((decision.allowed, effects(&decision)), (allowed, vec![expected]), "{stage:?}");
        // Next to an enforced policy it takes nothing away.
        for both in [[stage, Stage::Enforce], [Stage::Enforce, stage]] {
            assert!(!at(&both).admit(&bad).decision().allowed, "{both:?}");
        }
    }
}

#[test]
fn what_is_not_enforced_writes_only_the_label_and_is_judged_as_if_it_had_written() {
    let good = create(pod("{}", "{}"));
    let enforced = at(&[Stage::Enforce]).admit(&good);
    assert!(enforced.mutated.patch.len() > 1, "the policy writes into pods, or this shows nothing");
    let audited = at(&[Stage::Audit]).admit(&good);
    let label = |admitted: &crate::admission::Admitted| {
        let pod = admitted.object.clone().unwrap();
        pod.at(&["metadata", "labels", CELL_LABEL]).and_then(Json::as_str).map(str::to_owned)
    };
    assert_eq!(label(&audited), label(&enforced), "a stage changed the label");
    let spec = |admitted: &crate::admission::Admitted| admitted.object.as_ref().unwrap().get("spec").cloned();
    assert_eq!(spec(&audited).as_ref(), good.object.as_ref().unwrap().get("spec"));
    assert_ne!(spec(&enforced), spec(&audited));
    assert_eq!(audited.decision().findings, Vec::new(), "a pod that would be admitted counts as a denial");
}

/// The policy at this stage, whose only rule writes something that cannot be written.
fn failing_at(stage: Stage) -> Reviewer {
    let wrong = Mutation::JsonPatch { expression: constant(Const::Int(1)), at: "m".into() };
    at_each(vec![(stage, with_mutations("a", vec![wrong]))])
}

#[test]
fn a_mutation_that_fails_denies_only_at_the_stage_that_denies() {
    let pod = pod("{}", "{}");
    for object in [pod.clone(), deployment(&pod)] {
        for (stage, allowed, expected) in [
            (Stage::Audit, true, Effect::Audit),
            (Stage::Warn, true, Effect::Warn),
            (Stage::Enforce, false, Effect::Deny),
        ] {
            let decision = failing_at(stage).admit(&create(object.clone())).decision().clone();
            assert_eq!(
                (decision.allowed, effects(&decision)),
                (allowed, vec![expected]),
                "{}",
                shown(&decision)
            );
        }
    }
}

#[test]
fn what_is_not_enforced_hides_nothing_of_a_workload_from_what_is() {
    let limit = || {
        let path = ["spec", "containers", "*", "resources", "limits", "memory"];
        with_mutations("b", vec![field(&path, MutateWhen::Always, "1Gi".into())])
    };
    let judging = || with_mutations("a", Vec::new());
    let mut unlimited = pod("{}", "{}");
    unlimited = replaced(unlimited, &["spec", "containers", "0", "resources"], json("{}"));
    let request = create(deployment(&unlimited));
    for stage in [Stage::Audit, Stage::Warn, Stage::Enforce] {
        let both = at_each(vec![(Stage::Enforce, judging()), (stage, limit())]);
        assert_eq!(both.admit(&request).decision().allowed, stage == Stage::Enforce, "{stage:?}");
        // By itself it is judged as if it had written.
        let decision = at_each(vec![(stage, limit())]).admit(&request).decision().clone();
        assert_eq!(shown(&decision), "allowed", "{stage:?}");
    }
}

#[test]
fn what_cannot_be_judged_is_denied_by_whichever_policy_is_enforced() {
    let shapeless = create(replaced(pod("{}", "{}"), &["spec", "containers"], json("{}")));
    let mut unknown = pod("{}", "{}");
    unknown = replaced(unknown, &["metadata", "namespace"], json(r#""nowhere""#));
    let unknown = create(unknown);
    for request in [&shapeless, &unknown] {
        for both in [[Stage::Audit, Stage::Enforce], [Stage::Enforce, Stage::Audit]] {
            assert!(!at(&both).admit(request).decision().allowed, "{both:?}");
        }
        assert!(at(&[Stage::Audit]).admit(request).decision().allowed);
    }
}

#[test]
fn the_label_is_frozen_at_every_stage() {
    for stage in [Stage::Audit, Stage::Warn, Stage::Enforce] {
        let reviewer = at(&[stage]);
        let stored = reviewer.admit(&create(pod("{}", "{}"))).object.unwrap();
        let moved = replaced(stored.clone(), &["metadata", "labels", CELL_LABEL], json(r#""0123""#));
        let decision = reviewer.review(&update(stored, moved), Phase::Validate);
        assert!(!decision.allowed, "{stage:?}");
    }
}

/// A policy whose only rule forbids these connections.
fn unconnected(resource: &str) -> Policy {
    let mut policy = policy();
    policy.admission.rules.truncate(1);
    let rule = policy.admission.rules.first_mut().unwrap();
    let matched = rule.matches.resources.first_mut().unwrap();
    matched.resources = vec![resource.to_owned()];
    matched.operations = vec!["CONNECT".to_owned()];
    rule.matches.conditions.clear();
    rule.validations.iter_mut().for_each(|one| {
        one.expression.expr = crate::ir::Expr::Const(crate::ir::Const::Bool(false));
    });
    policy
}

#[test]
fn a_connection_is_judged_by_the_policies_that_select_the_pod() {
    let reviewer = reviewer(vec![unconnected("pods/exec")]);
    let mut request = create(pod("{}", "{}"));
    request.operation = Operation::Connect;
    request.sub_resource = "exec".into();
    request.object = Some(json(r#"{"kind": "PodExecOptions", "apiVersion": "v1", "command": ["id"]}"#));
    let connect = |pod: Option<&Json<'_>>| {
        reviewer.review_connect(&request, pod, Moment::END, &Facts::default()).decision
    };
    assert!(!connect(Some(&pod("{}", "{}"))).allowed, "a governed pod");
    let other = replaced(pod("{}", "{}"), &["metadata", "labels", "component"], json(r#""web""#));
    assert!(connect(Some(&other)).allowed, "a pod that no policy selects");
    assert!(!connect(None).allowed, "a pod that may be there by the time it is looked for");
    assert!(reviewer.governs_namespace("agents") && reviewer.governs_namespace("unknown"));
    assert!(!reviewer.governs_namespace("other"));
}

#[test]
fn a_connection_to_anything_else_is_judged_by_its_namespace_as_validate_judges_it() {
    let reviewer = reviewer(vec![unconnected("services/proxy")]);
    let mut request = create(pod("{}", "{}"));
    request.operation = Operation::Connect;
    request.resource.resource = "services".into();
    request.sub_resource = "proxy".into();
    request.object = Some(json(r#"{"kind": "ServiceProxyOptions", "apiVersion": "v1", "path": "/"}"#));
    for (namespace, allowed) in [("agents", false), ("other", true), ("unknown", false)] {
        request.namespace = namespace.into();
        let connected = reviewer.review_connect(&request, None, Moment::END, &Facts::default()).decision;
        assert_eq!(connected.allowed, allowed, "{namespace}");
        assert_eq!(connected, reviewer.review(&request, Phase::Validate), "{namespace}");
    }
}
