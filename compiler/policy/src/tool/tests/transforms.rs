//! Point 4: grants that give a call other arguments, in two passes.

use serde_json::json;

use super::build::*;
use crate::ir::{Cel, Const, Expr, Func, Root};
use crate::policy::tools::{Deny, Otherwise, RuleEffect, ToolLayer, ToolRule};
use crate::tool::{
    Change, DenyReason, Effect, Plan, PlannedProgram, RuleOutcome, ToolDecision, VerifiedApproval,
};

fn allow() -> ToolRule {
    rule("allow", RuleEffect::Allow)
}

fn text(text: &str) -> Expr {
    Expr::Const(Const::Str(text.to_owned()))
}

/// `{'command': command}`.
fn command(command: Expr) -> Expr {
    Expr::Map(vec![(text("command"), command, false)])
}

fn given(rule: ToolRule, expr: Expr) -> ToolRule {
    ToolRule { transform: Some(Cel { source: "given".to_owned(), expr, slots: 4 }), ..rule }
}

/// A grant that replaces every command with this one.
fn to(line: &str) -> ToolRule {
    given(allow(), command(text(line)))
}

fn named(name: &str, rule: ToolRule) -> ToolRule {
    ToolRule { name: name.to_owned(), ..rule }
}

/// The command that runs, or the reason of the denial.
fn runs(decision: &ToolDecision) -> String {
    match &decision.effect {
        Effect::Allow(permit) => match permit.get().plan() {
            Plan::Sandbox { program: PlannedProgram::Argv(words), .. } => words[2].clone(),
            other => panic!("{other:?}"),
        },
        _ => shown(decision),
    }
}

fn ran(layers: Vec<ToolLayer>, line: &str) -> String {
    runs(&World::new(layers).run(line))
}

#[test]
fn the_final_arguments_are_those_that_run_and_are_recorded() {
    let mut world = World::new(vec![defining([to("ls -l")])]);
    let decision = world.run("ls");
    assert_eq!(runs(&decision), "ls -l");
    let Effect::Allow(permit) = &decision.effect else { panic!() };
    assert_eq!(
        permit.get().call().arguments().get("command").and_then(crate::json::Json::as_str),
        Some("ls -l")
    );
    assert_eq!(decision.record().arguments, Some(json!({"command": "ls -l"})));
    assert!(decision.record().facts.to_string().contains("-l"), "facts are those of the final ones");
    // The original arguments are in the inputs, from which it is decided again (World does so each time).
    assert_eq!(decision.inputs.call, call("c1", "ls"));
    // Nothing changes where the arguments stay the same.
    let decision = World::new(vec![defining([to("ls")])]).run("ls");
    assert_eq!((runs(&decision), decision.record().arguments), ("ls".to_owned(), None));
}

#[test]
fn all_transforms_of_matching_grants_agree_or_deny() {
    let both = |one: &str, other: &str| ran(vec![defining([to(one), named("second", to(other))])], "ls");
    assert_eq!(both("ls -l", "ls -l"), "ls -l");
    assert_eq!(both("ls -l", "ls -a"), "TransformConflict");
    // A grant without a transform leaves it to the others; one that does not match does not take part.
    assert_eq!(ran(vec![defining([named("plain", allow()), to("ls -l")])], "ls"), "ls -l");
    let elsewhere = when(named("elsewhere", to("rm")), command_is("x"));
    assert_eq!(ran(vec![defining([to("ls -l"), elsewhere])], "ls"), "ls -l");
    // Across packs as within one.
    let packs = |one: &str, other: &str| ran(vec![defining([to(one)]), ruling([to(other)])], "ls");
    assert_eq!(packs("ls -l", "ls -l"), "ls -l");
    assert_eq!(packs("ls -l", "ls -a"), "TransformConflict");
    assert_eq!(ran(vec![defining([to("ls -l")]), ruling([allow()])], "ls"), "ls -l");
}

#[test]
fn a_second_pass_must_change_nothing() {
    let args = Expr::Select(Box::new(Expr::Root(Root::Call)), "args".to_owned());
    let line = Expr::Select(Box::new(args), "command".to_owned());
    let grows = given(allow(), command(Expr::Call(Func::Add, vec![line, text("x")])));
    let decision = World::new(vec![defining([grows])]).run("ls");
    denial(&decision, DenyReason::TransformUnstable);
    assert_eq!(decision.record().arguments, Some(json!({"command": "lsx"})));
    // A transform that matches only what it changes is stable when another rule grants the rest.
    let once = when(named("once", to("ls")), command_is("ll"));
    let plain = when(allow(), command_is("ls"));
    assert_eq!(ran(vec![defining([once.clone(), plain])], "ll"), "ls");
    // And when no other rule does, the final arguments are not granted.
    assert_eq!(ran(vec![defining([once])], "ll"), "NoRule");
}

#[test]
fn final_arguments_are_validated_and_decided_like_any() {
    // The schema has neither this argument nor a number as the command.
    let more = |key: &str, value: Const| {
        let entries = vec![(text("command"), text("ls"), false), (text(key), Expr::Const(value), false)];
        given(allow(), Expr::Map(entries))
    };
    assert_eq!(ran(vec![defining([more("unknown", Const::Bool(true))])], "ls"), "Arguments");
    assert_eq!(ran(vec![defining([given(allow(), command(Expr::Const(Const::Int(1))))])], "ls"), "Arguments");
    assert_eq!(ran(vec![defining([more("note", Const::Str("n".to_owned()))])], "ls"), "ls");
    // A denial of the original or of the final arguments denies.
    for line in ["ls", "rm"] {
        let refused = when(rule("no", deny()), command_is(line));
        assert_eq!(ran(vec![defining([to("rm"), refused])], "ls"), "Rule", "{line}");
    }
    // A pack that grants only one of them does not grant the call: it must grant both.
    let only = |line: &str| ruling([when(allow(), command_is(line))]);
    assert_eq!(ran(vec![defining([to("ls -l")]), only("ls")], "ls"), "NoRule");
    assert_eq!(ran(vec![defining([to("ls -l")]), only("ls -l")], "ls"), "NoRule");
    assert_eq!(ran(vec![defining([to("ls -l")]), ruling([allow()])], "ls"), "ls -l");
}

#[test]
fn restrictions_of_both_passes_hold() {
    let careful = when(rule("careful", RuleEffect::Confirm(ask(1))), command_is("ls"));
    assert_eq!(ran(vec![defining([to("ls -l"), careful])], "ls"), "Ask");
    for line in ["ls", "ls -l"] {
        let rate = when(rule("rate", throttle("all", 9)), command_is(line));
        let decision = World::new(vec![defining([to("ls -l"), rate])]).run("ls");
        let counts = decision.delta.changes.iter().filter(|change| matches!(change, Change::Counted { .. }));
        assert_eq!((runs(&decision).as_str(), counts.count()), ("ls -l", 1), "{line}");
        assert!(
            decision.rules.iter().any(|report| report.rule == "rate"),
            "{line}: all that took part is reported"
        );
        let quiet = when(rule("quiet", narrow("quiet")), command_is(line));
        let decision = World::new(vec![defining([to("ls -l"), quiet])]).run("ls");
        let Effect::Allow(permit) = &decision.effect else { panic!("{decision:?}") };
        assert_eq!(permit.get().plan().sandbox(), Some("quiet"), "{line}");
    }
    // A counter advances once for a call, even if both passes count it.
    let decision = World::new(vec![defining([to("ls -l"), rule("rate", throttle("all", 9))])]).run("ls");
    let counts = decision.delta.changes.iter().filter(|change| matches!(change, Change::Counted { .. }));
    assert_eq!(counts.count(), 1);
}

#[test]
fn an_error_or_an_opaque_value_in_a_transform_grants_nothing() {
    let opaque = Expr::Select(Box::new(Expr::Root(Root::Facts)), "url".to_owned());
    let absorbed = Expr::Or(vec![Expr::Call(Func::Equal, vec![opaque.clone(), text("x")]), boolean(true)]);
    let by_absorbed = Expr::Cond(Box::new(absorbed), Box::new(text("ls")), Box::new(text("rm")));
    for value in [command(fails()), command(opaque), command(by_absorbed), text("ls"), Expr::List(Vec::new())]
    {
        let decision = World::new(vec![defining([given(allow(), value.clone())])]).run("ls");
        assert_eq!(shown(&decision), "NoRule", "{value:?}");
        assert!(
            matches!(&decision.rules[0].outcome, RuleOutcome::Failed(why) if why.starts_with("its transform")),
            "recorded"
        );
        // Another grant covers the original call.
        assert_eq!(ran(vec![defining([given(named("fails", allow()), value), allow()])], "ls"), "ls");
    }
    let costly =
        given(allow(), command(Expr::Cond(Box::new(endless()), Box::new(text("a")), Box::new(text("b")))));
    assert_eq!(ran(vec![defining([costly, named("plain", allow())])], "ls"), "FuelExhausted");
}

#[test]
fn a_transform_of_a_rule_in_shadow_gives_nothing() {
    let decision = World::new(vec![defining([named("plain", allow()), shadow(to("rm"))])]).run("ls");
    assert_eq!(runs(&decision), "ls");
    let failing = shadow(given(named("fails", allow()), command(fails())));
    assert_eq!(ran(vec![defining([allow(), failing])], "ls"), "ls");
}

#[test]
fn what_people_approve_is_the_final_call() {
    let asks = given(rule("ask", RuleEffect::Ask(ask(1))), command(text("ls -l")));
    let mut world = World::new(vec![defining([asks])]);
    let asked = world.decide(&call("c1", "ls"), None);
    assert_eq!(asked.binds.as_ref().unwrap()["arguments"], json!({"command": "ls -l"}));
    let Effect::Ask(request) = &asked.effect else { panic!("{asked:?}") };
    let approval = VerifiedApproval {
        id: request.id.clone(),
        call_hash: request.call_hash.clone(),
        policy_digest: request.policy_digest.clone(),
        expires_ms: request.expires_ms,
        keys: [key('a')].into(),
    };
    assert_eq!(runs(&world.decide(&call("c1", "ls"), Some(&approval))), "ls -l");
}

#[test]
fn a_grant_by_default_transforms_nothing() {
    let mut layer = defining([when(to("rm"), command_is("x"))]);
    layer.definitions[0].otherwise = Otherwise::Deny(Deny::default());
    assert_eq!(ran(vec![layer.clone()], "ls"), "NoRule");
    layer.definitions[0].otherwise = Otherwise::Ask(ask(1));
    assert_eq!(ran(vec![layer], "ls"), "Ask");
}

#[test]
fn what_a_transform_gives_is_bounded_before_it_is_made() {
    // One text many times.
    let args = Expr::Select(Box::new(Expr::Root(Root::Call)), "args".to_owned());
    let line = || Expr::Select(Box::new(args.clone()), "command".to_owned());
    let many = Expr::List((0..64).map(|_| (line(), false)).collect());
    let decision = World::new(vec![defining([given(allow(), command(many))])]).run(&"x".repeat(120_000));
    let failed = decision.rules.iter().map(|report| format!("{:?}", report.outcome)).collect::<String>();
    assert_eq!(shown(&decision), "NoRule");
    assert!(failed.contains("more than 4194304 bytes"), "{failed}");
}
