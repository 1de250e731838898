//! Point 9 of "Tool rules": counters, budgets, scopes, and the fold that keeps them.

use proptest::prelude::*;

use super::build::*;
use crate::policy::tools::{Resource, RuleEffect, Scope};
use crate::tool::{
    Change, DenyReason, Effect, MAX_OPEN, State, StateDelta, StateError, Subject, ToolCall, Usage,
    decide_tool_call,
};

fn allow() -> crate::policy::tools::ToolRule {
    rule("allow", RuleEffect::Allow)
}

#[test]
fn a_counter_advances_once_for_each_admitted_call_that_a_throttle_naming_it_matched() {
    let twice = [
        allow(),
        when(rule("a", throttle("all", 2)), boolean(true)),
        when(rule("b", throttle("all", 9)), boolean(true)),
        when(rule("c", throttle("all", 2)), command_is("never")),
        when(rule("no", deny()), command_is("denied")),
        when(rule("careful", RuleEffect::Confirm(ask(1))), command_is("asked")),
    ];
    let mut world = World::new(vec![defining(twice)]);
    // Calls that are denied or wait for approval are not counted.
    for _ in 0..5 {
        assert_eq!(shown(&world.run("denied")), "Rule");
        assert_eq!(shown(&world.run("asked")), "Ask");
    }
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(shown(&world.run("ls")), "Allow");
    let decision = world.run("ls");
    assert_eq!(denial(&decision, DenyReason::Throttled).retry_after_ms, None, "it never falls");
    // A call that the throttle does not match is not counted.
    let only_ls = [allow(), when(rule("a", throttle("all", 1)), command_is("ls"))];
    let mut world = World::new(vec![defining(only_ls)]);
    for _ in 0..3 {
        assert_eq!(shown(&world.run("cat")), "Allow");
    }
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(shown(&world.run("ls")), "Throttled");
    assert_eq!(shown(&world.run("cat")), "Allow");
}

#[test]
fn a_window_forgets_never_early_and_at_most_a_grain_late() {
    let mut world = World::new(vec![defining([allow(), rule("rate", throttle("minute", 2))])]);
    let grain = MINUTE_MS / 256;
    world.now_ms = START_MS + 1;
    assert_eq!(shown(&world.run("ls")), "Allow");
    world.now_ms += 30_000;
    assert_eq!(shown(&world.run("ls")), "Allow");
    let decision = world.run("ls");
    let retry = denial(&decision, DenyReason::Throttled).retry_after_ms.unwrap();
    assert!((30_000..=30_000 + grain).contains(&retry), "{retry}");
    world.now_ms += retry - 1;
    assert_eq!(shown(&world.run("ls")), "Throttled");
    world.now_ms += 1;
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(shown(&world.run("ls")), "Throttled");
    // A clock that goes back opens no window.
    world.now_ms = START_MS;
    assert_eq!(shown(&world.run("ls")), "Throttled");
}

#[test]
fn scopes_are_the_subject_and_the_session() {
    for (scope, second) in [(Scope::Subject, "Throttled"), (Scope::Session, "Allow")] {
        let mut layer = defining([allow(), rule("rate", throttle("all", 1))]);
        layer.counters[0].scope = scope;
        let policy = loaded(vec![layer]);
        let mut state = opened();
        state.apply(&State::open("s2", &subject(), START_MS)).unwrap();
        let stranger = Subject { agent: "other".to_owned(), ..subject() };
        state.apply(&State::open("s3", &stranger, START_MS)).unwrap();
        let delegated = Subject { chain: Vec::new(), groups: Vec::new(), ..subject() };
        let mut run = |id: &str, session: &str, subject: Subject| {
            let args = crate::json::Json::parse(br#"{"command": "ls"}"#).unwrap();
            let call = ToolCall::new(id, session, subject, "shell.exec", args).unwrap();
            let decision = decide_tool_call(&policy, &call, &state, START_MS, None);
            state.apply(&decision.delta).unwrap();
            shown(&decision)
        };
        assert_eq!(run("a", "s1", subject()), "Allow");
        assert_eq!(run("b", "s1", subject()), "Throttled");
        assert_eq!(run("c", "s2", subject()), second);
        // Another delegation does not give a new counter.
        assert_eq!(run("d", "s1", delegated), "Throttled");
        assert_eq!(run("e", "s3", stranger), "Allow");
    }
}

#[test]
fn two_packs_counters_of_one_name_never_mix() {
    let second = ruling([rule("rate", throttle("all", 1))]);
    let mut world = World::new(vec![defining([allow(), rule("rate", throttle("all", 2))]), second]);
    assert_eq!(shown(&world.run("ls")), "Allow");
    let decision = world.run("ls");
    assert_eq!(denial(&decision, DenyReason::Throttled).pack.as_deref(), Some("pack1@1.0.0"));
}

#[test]
fn budgets_reserve_the_limit_before_and_refund_after() {
    let mut layer = defining([allow()]);
    layer.budgets = vec![budget("cpu", Resource::CpuSeconds, 20_000, None)];
    let mut world = World::new(vec![layer]);
    // The sandbox may use 8 s: two calls fit, a third does not until one of them returns what it did not use.
    for id in ["a", "b"] {
        assert_eq!(shown(&world.decide(&call(id, "ls"), None)), "Allow");
    }
    let third = call("c", "ls");
    denial(&world.decide(&third, None), DenyReason::BudgetExhausted);
    let used = Usage { cpu_ms: 500, output_bytes: 0 };
    world.state.apply(&State::settle("s1", "a", Some(used), START_MS)).unwrap();
    assert_eq!(shown(&world.decide(&third, None)), "Allow");
    // The end of the second was not observed: it is charged in full. The third overdrew: it is charged what
    // it used.
    world.state.apply(&State::settle("s1", "b", None, START_MS)).unwrap();
    let used = Usage { cpu_ms: 11_500, output_bytes: 0 };
    world.state.apply(&State::settle("s1", "c", Some(used), START_MS)).unwrap();
    denial(&world.decide(&call("d", "ls"), None), DenyReason::BudgetExhausted);
}

#[test]
fn budgets_of_calls_and_output_and_their_windows() {
    let mut layer = defining([allow()]);
    layer.budgets = vec![
        budget("calls", Resource::Calls, 3_000, Some(MINUTE_MS)),
        budget("output", Resource::OutputBytes, 2_500_000, None),
    ];
    let mut world = World::new(vec![layer]);
    // Output: 1,000 bytes each are reserved of 2,500, and charged in full.
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(shown(&world.run("ls")), "Allow");
    let decision = world.run("ls");
    assert_eq!(denial(&decision, DenyReason::BudgetExhausted).rule.as_deref(), Some("output"));
    // A call that produced nothing leaves the output budget alone, but it was a call.
    let mut layer = defining([allow()]);
    layer.budgets = vec![budget("calls", Resource::Calls, 1_000, Some(MINUTE_MS))];
    let mut world = World::new(vec![layer]);
    assert_eq!(shown(&world.decide(&call("a", "ls"), None)), "Allow");
    world.state.apply(&State::settle("s1", "a", Some(Usage::default()), START_MS)).unwrap();
    let decision = world.run("ls");
    let retry = denial(&decision, DenyReason::BudgetExhausted).retry_after_ms.unwrap();
    world.now_ms += retry;
    assert_eq!(shown(&world.run("ls")), "Allow");
}

#[test]
fn a_refund_of_what_the_window_forgot_gives_nothing() {
    let mut layer = defining([allow()]);
    layer.budgets = vec![budget("cpu", Resource::CpuSeconds, 8_000, Some(MINUTE_MS))];
    let mut world = World::new(vec![layer]);
    assert_eq!(shown(&world.decide(&call("a", "ls"), None)), "Allow");
    world.now_ms += 2 * MINUTE_MS;
    assert_eq!(shown(&world.decide(&call("b", "ls"), None)), "Allow");
    world.state.apply(&State::settle("s1", "a", Some(Usage::default()), world.now_ms)).unwrap();
    denial(&world.decide(&call("c", "ls"), None), DenyReason::BudgetExhausted);
}

#[test]
fn a_delta_that_does_not_follow_is_refused() {
    let mut state = opened();
    let apply = |state: &mut State, delta: &StateDelta| state.apply(delta);
    assert_eq!(
        apply(&mut state, &State::open("s1", &subject(), 0)),
        Err(StateError::SessionExists("s1".into()))
    );
    assert_eq!(apply(&mut state, &State::close("s2", 0)), Err(StateError::UnknownSession("s2".into())));
    assert_eq!(
        apply(&mut state, &State::settle("s1", "x", None, 0)),
        Err(StateError::UnknownCall("x".into()))
    );
    assert_eq!(apply(&mut state, &State::withdraw("s1", "x", 0)), Err(StateError::UnknownCall("x".into())));
    let policy = loaded(vec![defining([allow()])]);
    let delta = decide_tool_call(&policy, &call("a", "ls"), &state, START_MS, None).delta;
    apply(&mut state, &delta).unwrap();
    assert_eq!(apply(&mut state, &delta), Err(StateError::CallExists("a".into())));
}

#[test]
fn calls_of_one_session_that_run_at_once_are_bounded() {
    let mut world = World::new(vec![defining([allow()])]);
    for at in 0..MAX_OPEN {
        assert_eq!(shown(&world.decide(&call(&format!("c{at}"), "ls"), None)), "Allow");
    }
    denial(&world.decide(&call("more", "ls"), None), DenyReason::Busy);
    assert_eq!(world.state.running().count(), MAX_OPEN);
}

/// A thousand calls a second for an hour leave no more than some hundred entries in the state.
#[test]
fn a_tally_is_bounded_however_many_calls_it_counts() {
    let mut world = World::new(vec![defining([allow(), rule("rate", throttle("minute", u64::MAX))])]);
    for _ in 0..3_000 {
        world.now_ms += 61;
        assert_eq!(shown(&world.run("ls")), "Allow");
    }
    let written = serde_json::to_value(&world.state).unwrap();
    let entries = written["tallies"][0][1]["recent"].as_array().unwrap().len();
    assert!((200..=258).contains(&entries), "{entries}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The state is the fold over the deltas: from the start, or from a snapshot written and read, with the
    /// same decisions after.
    #[test]
    fn the_state_is_a_fold(steps in proptest::collection::vec((0_u8..5, 0_u64..40_000), 1..60), cut in 0_usize..60) {
        let mut layer = defining([
            when(rule("allow", RuleEffect::Allow), command_is("ls")),
            rule("rate", throttle("minute", 7)),
            rule("ask", RuleEffect::Ask(ask(1))),
        ]);
        layer.budgets = vec![budget("cpu", Resource::CpuSeconds, 100_000, Some(5 * MINUTE_MS))];
        let policy = loaded(vec![layer]);
        let (mut state, mut log, mut now_ms) = (opened(), Vec::new(), START_MS);
        for (at, (kind, passed)) in steps.iter().enumerate() {
            now_ms += passed;
            let id = format!("c{at}");
            let oldest = state.running().next().map(|(_, call)| call.to_owned());
            let delta = match (kind, oldest) {
                (0, Some(oldest)) => {
                    State::settle("s1", &oldest, Some(Usage { cpu_ms: *passed, output_bytes: 1 }), now_ms)
                }
                (1, Some(oldest)) => State::settle("s1", &oldest, None, now_ms),
                (2, _) => decide_tool_call(&policy, &call(&id, "rm"), &state, now_ms, None).delta,
                _ => decide_tool_call(&policy, &call(&id, "ls"), &state, now_ms, None).delta,
            };
            state.apply(&delta).unwrap();
            log.push(delta);
        }
        let mut folded = opened();
        for (at, delta) in log.iter().enumerate() {
            if at == cut {
                let snapshot = serde_json::to_vec(&folded).unwrap();
                folded = serde_json::from_slice(&snapshot).unwrap();
            }
            let read: StateDelta = serde_json::from_slice(&serde_json::to_vec(delta).unwrap()).unwrap();
            prop_assert_eq!(&read, delta);
            folded.apply(&read).unwrap();
        }
        prop_assert_eq!(&folded, &state);
        let next = call("next", "ls");
        let decided = |state: &State| decide_tool_call(&policy, &next, state, now_ms, None).record();
        prop_assert_eq!(decided(&folded), decided(&state));
    }

    /// No window ever counts fewer than the calls that were admitted in it.
    #[test]
    fn a_throttle_is_never_exceeded(gaps in proptest::collection::vec(0_u64..20_000, 1..80)) {
        let mut world = World::new(vec![defining([allow(), rule("rate", throttle("minute", 4))])]);
        let mut admitted: Vec<u64> = Vec::new();
        for gap in gaps {
            world.now_ms += gap;
            let within = admitted.iter().filter(|at| world.now_ms - **at < MINUTE_MS).count();
            let late = MINUTE_MS + MINUTE_MS / 256;
            let surely = admitted.iter().filter(|at| world.now_ms - **at < late).count();
            let decision = world.run("ls");
            let allowed = matches!(decision.effect, Effect::Allow(_));
            prop_assert!(!allowed || within < 4);
            prop_assert!(allowed || surely >= 4);
            if allowed {
                admitted.push(world.now_ms);
                let counted = decision.delta.changes.iter().any(|change| matches!(change, Change::Counted { .. }));
                prop_assert!(counted);
            }
        }
    }
}
