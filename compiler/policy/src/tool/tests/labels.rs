//! Point 9 of "Tool rules", labels: what adds, reads and removes them.

use proptest::prelude::*;

use super::build::*;
use crate::ir::{Const, Expr, Func, Root};
use crate::policy::tools::{RuleEffect, ToolLayer, ToolRule};
use crate::tool::{
    Change, DenyReason, Effect, LoadedPolicy, State, StateDelta, ToolDecision, VerifiedApproval,
    bound_call_hash,
};

fn allow() -> ToolRule {
    rule("allow", RuleEffect::Allow)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn adds(labels: &[&str]) -> RuleEffect {
    RuleEffect::Label { add: names(labels), remove: Vec::new() }
}

fn removes(labels: &[&str]) -> RuleEffect {
    RuleEffect::Label { add: Vec::new(), remove: names(labels) }
}

/// `'name' in session.labels`.
fn has(name: &str) -> Expr {
    let labels = Expr::Select(Box::new(Expr::Root(Root::Session)), "labels".to_owned());
    Expr::Call(Func::In, vec![Expr::Const(Const::Str(name.to_owned())), labels])
}

fn labels(world: &World) -> Vec<&str> {
    world.state.labels("s1").collect()
}

/// Everything is allowed except what is sent once the session is labelled.
fn guarded(more: Vec<ToolRule>) -> ToolLayer {
    let sends = Expr::And(vec![command_is("send"), has("secret")]);
    let mut layer = defining([allow(), when(rule("no-way-out", deny()), sends)]);
    layer.rules.extend(more);
    layer
}

/// To take a label away lets later calls through: no error may take part in it. To add one restricts.
#[test]
fn a_condition_that_ignores_an_error_takes_no_label_away() {
    let ignoring = || Expr::Or(vec![fails(), boolean(true)]);
    for (effect, expected) in [(removes(&["secret"]), "EvaluationError"), (adds(&["secret"]), "Allow")] {
        let layer = guarded(vec![when(rule("labels", effect), ignoring())]);
        assert_eq!(shown(&World::new(vec![layer]).run("read")), expected);
    }
}

#[test]
fn who_has_read_something_secret_sends_nothing_any_more() {
    let reads = || when(rule("reads", adds(&["secret"])), command_is("read"));
    let mut world = World::new(vec![guarded(vec![reads()])]);
    assert_eq!(shown(&world.run("send")), "Allow");
    let read = world.run("read");
    assert_eq!(shown(&read), "Allow");
    let added = Change::Labelled {
        session: "s1".to_owned(),
        add: ["pack0/secret".to_owned()].into(),
        remove: Default::default(),
    };
    assert!(read.delta.changes.contains(&added), "with the intent: {:?}", read.delta);
    assert_eq!(labels(&world), ["pack0/secret"]);
    assert_eq!(denial(&world.run("send"), DenyReason::Rule).rule.as_deref(), Some("no-way-out"));
    // A label that the session already has is not written again.
    assert!(!world.run("read").delta.changes.iter().any(|change| matches!(change, Change::Labelled { .. })));
    // Without the rule it may.
    let mut world = World::new(vec![guarded(Vec::new())]);
    assert_eq!(shown(&world.run("read")), "Allow");
    assert_eq!(shown(&world.run("send")), "Allow");
}

#[test]
fn calls_of_a_tool_add_what_its_definition_says() {
    let mut layer = guarded(Vec::new());
    layer.definitions[0].may_add = names(&["secret", "tainted"]);
    let mut world = World::new(vec![layer]);
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(labels(&world), ["pack0/secret", "pack0/tainted"]);
    assert_eq!(shown(&world.run("send")), "Rule");
    // Another session has its own labels, and a closed one has none.
    world.state.apply(&State::open("s2", &subject(), START_MS)).unwrap();
    assert_eq!(world.state.labels("s2").count(), 0);
    world.state.apply(&State::close("s1", START_MS)).unwrap();
    world.state.apply(&State::open("s1", &subject(), START_MS)).unwrap();
    assert_eq!(shown(&world.run("send")), "Allow");
}

#[test]
fn a_call_that_does_not_run_adds_nothing_and_an_error_denies() {
    let mut world = World::new(vec![guarded(vec![
        rule("label", adds(&["secret"])),
        when(rule("no", deny()), command_is("denied")),
        when(rule("careful", RuleEffect::Confirm(ask(1))), command_is("asked")),
    ])]);
    assert_eq!(shown(&world.run("denied")), "Rule");
    assert_eq!(shown(&world.run("asked")), "Ask");
    assert_eq!(labels(&world), [""; 0]);
    let failing = when(rule("label", adds(&["secret"])), fails());
    let mut world = World::new(vec![guarded(vec![failing])]);
    denial(&world.run("ls"), DenyReason::EvaluationError);
}

#[test]
fn packs_have_labels_of_their_own_and_what_they_add_adds_up() {
    let reads = || when(rule("reads", adds(&["secret"])), command_is("read"));
    let other =
        ruling([reads(), when(rule("other", deny()), Expr::And(vec![command_is("send"), has("secret")]))]);
    // Only the second pack labels; the first one's rule reads its own label.
    let mut world = World::new(vec![guarded(Vec::new()), other.clone()]);
    assert_eq!(shown(&world.run("read")), "Allow");
    assert_eq!(labels(&world), ["pack1/secret"]);
    assert_eq!(denial(&world.run("send"), DenyReason::Rule).pack.as_deref(), Some("pack1@1.0.0"));
    let mut world = World::new(vec![guarded(vec![reads()]), other]);
    world.run("read");
    assert_eq!(labels(&world), ["pack0/secret", "pack1/secret"]);
    assert_eq!(denial(&world.run("send"), DenyReason::Rule).pack.as_deref(), Some("pack0@1.0.0"));
}

fn approve(decision: &ToolDecision) -> VerifiedApproval {
    let Effect::Ask(request) = &decision.effect else { panic!("not asked: {:?}", decision.effect) };
    VerifiedApproval {
        id: request.id.clone(),
        call_hash: request.call_hash.clone(),
        policy_digest: request.policy_digest.clone(),
        expires_ms: request.expires_ms,
        keys: [key('a')].into(),
    }
}

/// The labels that remain after an approved `clear` in a session that has read, with what was bound.
fn cleared(layers: Vec<ToolLayer>) -> (Vec<String>, serde_json::Value) {
    let mut world = World::new(layers);
    assert_eq!(shown(&world.run("read")), "Allow");
    let call = call("clear", "clear");
    let mut decision = world.decide(&call, None);
    let binds = decision.binds.clone().unwrap_or_default();
    if let Effect::Ask(request) = &decision.effect {
        assert_eq!(bound_call_hash(&binds).unwrap(), request.call_hash);
        let approval = approve(&decision);
        decision = world.decide(&call, Some(&approval));
    }
    assert_eq!(shown(&decision), "Allow");
    (labels(&world).into_iter().map(str::to_owned).collect(), binds)
}

#[test]
fn a_label_is_taken_away_by_its_own_pack_on_an_approval_that_it_asked_for() {
    let reads = || when(rule("reads", adds(&["secret", "tainted"])), command_is("read"));
    let clears = || when(rule("clears", removes(&["secret"])), command_is("clear"));
    let asks = || when(rule("asks", RuleEffect::Confirm(ask(1))), command_is("clear"));
    let (left, binds) = cleared(vec![guarded(vec![reads(), clears(), asks()])]);
    assert_eq!(left, ["pack0/tainted"]);
    assert_eq!(binds["removesLabels"], serde_json::json!(["pack0/secret"]), "the approvers see it");
    // No approval was asked for.
    assert_eq!(cleared(vec![guarded(vec![reads(), clears()])]).0, ["pack0/secret", "pack0/tainted"]);
    // Another pack asked, and the label of the same name is another pack's.
    let (left, binds) = cleared(vec![guarded(vec![reads(), clears()]), ruling([asks()])]);
    assert_eq!(left, ["pack0/secret", "pack0/tainted"]);
    assert_eq!(binds.get("removesLabels"), None);
    let (left, _) = cleared(vec![guarded(vec![reads(), clears(), asks()]), ruling([reads()])]);
    assert_eq!(left, ["pack0/tainted", "pack1/secret", "pack1/tainted"]);
    // A call does not remove the labels that it adds.
    let both = when(rule("again", adds(&["secret"])), command_is("clear"));
    assert_eq!(
        cleared(vec![guarded(vec![reads(), clears(), asks(), both])]).0,
        ["pack0/secret", "pack0/tainted"]
    );
}

#[test]
fn a_label_that_nobody_declares_is_refused() {
    let refused =
        |layer: ToolLayer| LoadedPolicy::new(policy(vec![layer]), "0".repeat(64)).unwrap_err().to_string();
    let said = refused(defining([allow(), rule("label", adds(&["nothing"]))]));
    assert!(said.contains("there is no label `nothing`"), "{said}");
    let said = refused(defining([allow(), rule("label", removes(&["nothing"]))]));
    assert!(said.contains("there is no label `nothing`"), "{said}");
    let mut layer = defining([allow()]);
    layer.definitions[0].may_add = names(&["nothing"]);
    assert!(refused(layer).contains("there is no label `nothing`"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Labels are a fold too; without an approval they only increase, and once labelled nothing is sent.
    #[test]
    fn without_an_approval_labels_only_become_more(steps in proptest::collection::vec(0_usize..4, 1..30), cut in 0_usize..30) {
        let layer = guarded(vec![
            when(rule("reads", adds(&["secret"])), command_is("read")),
            when(rule("taints", adds(&["tainted"])), command_is("taint")),
            when(rule("clears", removes(&["secret", "tainted"])), command_is("ls")),
        ]);
        let mut world = World::new(vec![layer]);
        let mut log: Vec<StateDelta> = Vec::new();
        for step in &steps {
            let before: Vec<String> = labels(&world).into_iter().map(str::to_owned).collect();
            let command = ["read", "taint", "ls", "send"][*step];
            let decision = world.run(command);
            let secret = before.iter().any(|label| label == "pack0/secret");
            prop_assert_eq!(shown(&decision) == "Rule", command == "send" && secret);
            prop_assert!(before.iter().all(|label| labels(&world).contains(&label.as_str())));
            log.push(decision.delta.clone());
            if matches!(decision.effect, Effect::Allow(_)) {
                log.push(State::settle("s1", decision.inputs.call.id(), None, world.now_ms));
            }
        }
        let mut folded = opened();
        for (at, delta) in log.iter().enumerate() {
            if at == cut {
                folded = serde_json::from_slice(&serde_json::to_vec(&folded).unwrap()).unwrap();
            }
            folded.apply(&serde_json::from_slice(&serde_json::to_vec(delta).unwrap()).unwrap()).unwrap();
        }
        prop_assert_eq!(folded, world.state);
    }
}
