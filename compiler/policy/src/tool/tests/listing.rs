//! Point 8 of "Tool rules", phase `List`: what is hidden, and that a tool is never hidden when some call of
//! it could be allowed.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::build::*;
use crate::ir::{Const, Expr, Func, Root};
use crate::policy::tools::{Deny, Otherwise, Phase, RuleEffect, ToolLayer, ToolPattern, ToolRule};
use crate::tool::{DenyReason, Effect, Listing, LoadedPolicy, State, decide_tool_call};

/// Why `shell.exec` is hidden, in a session or without one.
fn hidden_in(policy: &LoadedPolicy, session: Option<&str>, state: &State) -> Option<DenyReason> {
    let listing = Listing::of(policy, &subject(), session, state, START_MS).unwrap();
    let found = listing.tools(policy).into_iter().find(|tool| tool.name == "shell.exec").unwrap();
    found.hidden.map(|hidden| hidden.reason)
}

fn hidden(layers: Vec<ToolLayer>) -> Option<DenyReason> {
    hidden_in(&loaded(layers), None, &opened())
}

fn allow() -> ToolRule {
    rule("allow", RuleEffect::Allow)
}

fn agent_is(name: &str) -> Expr {
    let agent = Expr::Select(Box::new(Expr::Root(Root::Subject)), "agent".to_owned());
    Expr::Call(Func::Equal, vec![agent, Expr::Const(Const::Str(name.to_owned()))])
}

fn is_opaque(of: Expr) -> Expr {
    Expr::Call(Func::IsOpaque, vec![of])
}

fn cond(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr::Cond(Box::new(condition), Box::new(then), Box::new(otherwise))
}

fn listing(name: &str, condition: Option<Expr>) -> ToolRule {
    let plain = ToolRule { phase: Phase::List, ..rule(name, deny()) };
    match condition {
        Some(condition) => when(plain, condition),
        None => plain,
    }
}

#[test]
fn a_tool_is_hidden_when_a_deny_is_certain_or_no_grant_is_possible() {
    let ls = || command_is("ls");
    let restricted = |condition: Expr| hidden(vec![defining([allow(), when(rule("no", deny()), condition)])]);
    let granted = |condition: Expr| hidden(vec![defining([when(allow(), condition)])]);
    assert_eq!(hidden(vec![defining([allow()])]), None);
    assert_eq!(restricted(agent_is("coder")), Some(DenyReason::Rule));
    assert_eq!(restricted(agent_is("other")), None);
    assert_eq!(restricted(ls()), None, "another call could be let through");
    assert_eq!(restricted(fails()), Some(DenyReason::EvaluationError));
    assert_eq!(granted(ls()), None);
    assert_eq!(granted(agent_is("other")), Some(DenyReason::NoRule));
    assert_eq!(granted(fails()), Some(DenyReason::NoRule));
    let ignoring = Expr::Or(vec![fails(), boolean(true)]);
    assert_eq!(granted(ignoring), Some(DenyReason::NoRule), "a grant that ignores an error grants nothing");
    // The values of `&&` and `||` that do not depend on the arguments.
    assert_eq!(restricted(Expr::Or(vec![ls(), agent_is("coder")])), Some(DenyReason::Rule));
    assert_eq!(restricted(Expr::And(vec![ls(), agent_is("coder")])), None);
    assert_eq!(granted(Expr::And(vec![ls(), agent_is("other")])), Some(DenyReason::NoRule));
    assert_eq!(granted(Expr::Or(vec![agent_is("other"), ls()])), None);
    assert_eq!(restricted(cond(ls(), boolean(true), agent_is("coder"))), Some(DenyReason::Rule));
    assert_eq!(granted(cond(ls(), boolean(false), agent_is("other"))), Some(DenyReason::NoRule));
    assert_eq!(granted(cond(ls(), boolean(false), boolean(true))), None);
    // An error that arguments may preempt is not certain.
    assert_eq!(restricted(Expr::Or(vec![fails(), ls()])), None);
    assert_eq!(restricted(cond(ls(), fails(), boolean(false))), None);
    assert_eq!(granted(cond(ls(), fails(), boolean(true))), None);
    // Whether an unknown value is opaque is unknown.
    assert_eq!(restricted(is_opaque(path(Root::Facts, "shell"))), None);
    assert_eq!(restricted(is_opaque(Expr::Root(Root::Facts))), None);
    assert_eq!(restricted(is_opaque(path(Root::Call, "args"))), None);
    assert_eq!(granted(Expr::Not(Box::new(is_opaque(path(Root::Call, "args"))))), None);
    // What exceeds its fuel is not known.
    assert_eq!(restricted(endless()), None);
    assert_eq!(granted(endless()), None);
}

#[test]
fn what_people_may_approve_and_what_passes_by_itself_is_shown() {
    let mut asked = defining([]);
    asked.definitions[0].otherwise = Otherwise::Ask(ask(1));
    assert_eq!(hidden(vec![asked.clone()]), None);
    asked.definitions[0].otherwise = Otherwise::Deny(Deny::default());
    assert_eq!(hidden(vec![asked]), Some(DenyReason::NoRule));
    let mut world = World::new(vec![defining([allow(), rule("rate", throttle("minute", 1))])]);
    world.run("ls");
    assert_eq!(shown(&world.run("ls")), "Throttled");
    assert_eq!(hidden_in(&world.policy, Some("s1"), &world.state), None);
    assert_eq!(
        hidden(vec![defining([allow(), rule("closed", throttle("minute", 0))])]),
        Some(DenyReason::Throttled)
    );
}

#[test]
fn a_session_is_known_when_it_is_named() {
    let calls =
        Expr::Call(Func::GreaterEqual, vec![path(Root::Session, "calls"), Expr::Const(Const::Int(1))]);
    let mut world = World::new(vec![defining([allow(), when(rule("once", deny()), calls)])]);
    assert_eq!(hidden_in(&world.policy, Some("s1"), &world.state), None);
    world.run("ls");
    assert_eq!(hidden_in(&world.policy, Some("s1"), &world.state), Some(DenyReason::Rule));
    assert_eq!(hidden_in(&world.policy, None, &world.state), None);
    assert_eq!(hidden_in(&world.policy, Some("s2"), &world.state), Some(DenyReason::UnknownSession));
}

#[test]
fn layers_are_asked_each_by_itself_and_tools_that_nothing_names_are_hidden() {
    assert_eq!(hidden(vec![defining([allow()]), ruling([])]), None);
    assert_eq!(
        hidden(vec![defining([allow()]), ruling([when(allow(), agent_is("other"))])]),
        Some(DenyReason::NoRule)
    );
    let mut other = defining([allow()]);
    other.definitions[0].run.sandbox = "other".to_owned();
    assert_eq!(hidden(vec![defining([allow()]), other]), Some(DenyReason::DefinitionConflict));
    let any = ToolRule {
        tools: vec![ToolPattern::Exact("workspace.read".to_owned())],
        ..rule("files", RuleEffect::Allow)
    };
    let policy = loaded(vec![defining([allow(), any])]);
    let listing = Listing::of(&policy, &subject(), None, &opened(), START_MS).unwrap();
    let listed = listing.tools(&policy).into_iter().filter(|tool| tool.hidden.is_none());
    let names: Vec<&str> = listed.map(|tool| tool.name).collect();
    assert_eq!(names, ["shell.exec", "workspace.read"]);
}

#[test]
fn a_rule_of_phase_list_hides_and_denies_nothing() {
    let with = |condition: Option<Expr>| defining([allow(), listing("shy", condition)]);
    assert_eq!(hidden(vec![with(None)]), Some(DenyReason::Rule));
    assert_eq!(hidden(vec![with(Some(agent_is("coder")))]), Some(DenyReason::Rule));
    assert_eq!(hidden(vec![with(Some(agent_is("other")))]), None);
    assert_eq!(hidden(vec![with(Some(command_is("ls")))]), None, "no call, no arguments");
    // A rule that cannot be evaluated hides.
    assert_eq!(hidden(vec![with(Some(fails()))]), Some(DenyReason::EvaluationError));
    assert_eq!(hidden(vec![with(Some(endless()))]), Some(DenyReason::FuelExhausted));
    // And it is not evaluated for calls.
    let mut world = World::new(vec![with(None)]);
    let decision = world.run("ls");
    assert_eq!(shown(&decision), "Allow");
    assert!(decision.rules.iter().all(|report| report.rule != "shy"));
    let grants = ToolRule { phase: Phase::List, ..allow() };
    let refused = LoadedPolicy::new(policy(vec![defining([grants])]), "0".repeat(64)).unwrap_err();
    assert!(refused.to_string().contains("a rule of phase `List` must be one that denies"), "{refused}");
}

fn effect() -> impl Strategy<Value = RuleEffect> {
    prop_oneof![
        4 => Just(RuleEffect::Allow),
        2 => Just(RuleEffect::Ask(ask(1))),
        4 => Just(deny()),
        1 => (0_u64..2).prop_map(|max| throttle("all", max)),
        1 => Just(RuleEffect::Confirm(ask(1))),
    ]
}

/// Conditions over known and unknown values, and over errors.
fn condition() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        2 => prop_oneof!["ls", "rm", "\\$X"].prop_map(|text| command_is(&text)),
        2 => prop_oneof![Just("coder"), Just("other")].prop_map(agent_is),
        1 => any::<bool>().prop_map(boolean),
        1 => Just(fails()),
        1 => Just(is_opaque(path(Root::Facts, "shell"))),
        1 => Just(is_opaque(Expr::Root(Root::Facts))),
        1 => Just(is_opaque(path(Root::Call, "args"))),
        1 => Just(path(Root::Call, "args.note")),
        1 => Just(Expr::Has(Box::new(path(Root::Call, "args")), "note".to_owned())),
        1 => Just(Expr::Call(Func::OnlyRuns, vec![path(Root::Facts, "shell"), Expr::Const(Const::List(vec![Const::Str("ls".into())]))])),
        1 => (0_i64..2).prop_map(|calls| Expr::Call(Func::Equal, vec![path(Root::Session, "calls"), Expr::Const(Const::Int(calls))])),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Expr::And),
            vec(inner.clone(), 2..4).prop_map(Expr::Or),
            inner.clone().prop_map(|of| Expr::Not(Box::new(of))),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| cond(a, b, c)),
            (inner.clone(), inner).prop_map(|(a, b)| Expr::Call(Func::Equal, vec![a, b])),
        ]
    })
}

fn layer() -> impl Strategy<Value = ToolLayer> {
    let rules = vec((effect(), prop_oneof![1 => Just(None), 4 => condition().prop_map(Some)]), 0..5);
    (any::<bool>(), rules, any::<bool>()).prop_map(|(defines, rules, asks)| {
        let mut layer = if defines { defining([]) } else { ruling([]) };
        if let (true, Some(tool)) = (asks, layer.definitions.first_mut()) {
            tool.otherwise = Otherwise::Ask(ask(1));
        }
        let of = |(at, (effect, condition)): (usize, (RuleEffect, Option<Expr>))| {
            let plain = rule(&format!("r{at}"), effect);
            match condition {
                Some(condition) => when(plain, condition),
                None => plain,
            }
        };
        layer.rules = rules.into_iter().enumerate().map(of).collect();
        layer
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Every call of a hidden tool is denied; naming a session makes more known and so hides no less.
    #[test]
    fn nothing_is_hidden_that_some_call_could_be_let_through(
        layers in vec(layer(), 1..3),
        calls in vec((prop_oneof!["ls", "rm", "\\$X", "ls \\| rm", "\\PC{0,12}"], proptest::option::of("[a-z]{0,3}")), 1..12),
        earlier in 0_u64..3,
    ) {
        let mut layers = layers;
        if layers.iter().all(|layer| layer.definitions.is_empty()) {
            layers.push(defining([rule("all", RuleEffect::Allow)]));
        }
        let policy = loaded(layers);
        let mut state = opened();
        let plain = loaded(vec![defining([rule("all", RuleEffect::Allow)])]);
        for at in 0..earlier {
            let id = format!("e{at}");
            state.apply(&decide_tool_call(&plain, &call(&id, "ls"), &state, START_MS, None).delta).unwrap();
            state.apply(&State::settle("s1", &id, None, START_MS)).unwrap();
        }
        let (outside, inside) = (hidden_in(&policy, None, &state), hidden_in(&policy, Some("s1"), &state));
        prop_assert!(outside.is_none() || inside.is_some(), "{outside:?} {inside:?}");
        if let Some(reason) = inside {
            for (at, (command, note)) in calls.iter().enumerate() {
                let args = match note {
                    Some(note) => json!({"command": command, "note": note}),
                    None => json!({"command": command}),
                };
                let call = call_with(&format!("c{at}"), "shell.exec", args);
                let decision = decide_tool_call(&policy, &call, &state, START_MS, None);
                prop_assert!(matches!(decision.effect, Effect::Deny(_)), "hidden by {reason:?}, and {:?}", decision.effect);
            }
        }
    }
}
