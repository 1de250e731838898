//! Point 5 of "Tool rules": what an approval binds, who may give it, how often it can be used and how long it
//! is valid.

use std::collections::BTreeSet;

use super::build::*;
use crate::policy::tools::{Otherwise, RuleEffect, Tool, ToolLayer};
use crate::tool::{
    ApprovalRequest, Change, DenyReason, Effect, LoadedPolicy, MAX_PENDING, State, Subject, ToolCall,
    VerifiedApproval, approval_message,
};

/// `ls` is allowed, everything else asks for this quorum.
fn asking(quorum: u32) -> ToolLayer {
    let mut layer = defining([when(rule("ls", RuleEffect::Allow), command_is("ls"))]);
    layer.definitions[0].otherwise = Otherwise::Ask(ask(quorum));
    layer
}

fn approval(request: &ApprovalRequest, keys: &[char]) -> VerifiedApproval {
    VerifiedApproval {
        id: request.id.clone(),
        call_hash: request.call_hash.clone(),
        policy_digest: request.policy_digest.clone(),
        expires_ms: request.expires_ms,
        keys: keys.iter().copied().map(key).collect(),
    }
}

/// Asks about a call.
#[track_caller]
fn asked(world: &mut World, call: &ToolCall) -> ApprovalRequest {
    match world.decide(call, None).effect {
        Effect::Ask(request) => request,
        other => panic!("expected Ask, got {other:?}"),
    }
}

#[track_caller]
fn decides(world: &mut World, call: &ToolCall, given: &VerifiedApproval) -> String {
    shown(&world.decide(call, Some(given)))
}

#[test]
fn an_ask_is_pending_until_enough_persons_approve_and_then_used_up() {
    let mut world = World::new(vec![asking(2)]);
    let rm = call("c1", "rm");
    let request = asked(&mut world, &rm);
    assert_eq!(world.state.pending().count(), 1);
    // One person with two keys is one person.
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['a', 'b'])), "Ask");
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['e', 'f'])), "Ask");
    let enough = approval(&request, &['a', 'c']);
    assert_eq!(decides(&mut world, &rm, &enough), "Allow");
    assert_eq!(world.state.pending().count(), 0);
    // Single use: for this call and for every other.
    world.state.apply(&State::settle("s1", "c1", None, START_MS)).unwrap();
    assert_eq!(decides(&mut world, &rm, &enough), "ApprovalStale");
    assert_eq!(decides(&mut world, &call("c2", "rm"), &enough), "ApprovalStale");
}

#[test]
fn asking_again_changes_neither_question_nor_time() {
    let mut world = World::new(vec![asking(1)]);
    let rm = call("c1", "rm");
    let first = asked(&mut world, &rm);
    assert_eq!(first.expires_ms, START_MS + 10 * MINUTE_MS);
    world.now_ms += MINUTE_MS;
    assert_eq!(asked(&mut world, &rm), first);
    assert_eq!(world.state.pending().count(), 1);
}

#[test]
fn expiry_is_a_denial_and_ends_the_question() {
    let mut world = World::new(vec![asking(1)]);
    let rm = call("c1", "rm");
    let request = asked(&mut world, &rm);
    let given = approval(&request, &['a']);
    world.now_ms = request.expires_ms;
    assert_eq!(decides(&mut world, &rm, &given), "ApprovalExpired");
    assert_eq!(world.state.pending().count(), 0);
    assert_eq!(decides(&mut world, &rm, &given), "ApprovalStale");
    // A moment earlier it would have been valid.
    let mut world = World::new(vec![asking(1)]);
    let request = asked(&mut world, &rm);
    world.now_ms = request.expires_ms - 1;
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['a'])), "Allow");
}

#[test]
fn a_later_call_of_the_session_makes_it_stale_and_a_denied_one_does_not() {
    let mut world = World::new(vec![asking(1)]);
    let rm = call("c1", "rm");
    let request = asked(&mut world, &rm);
    world.decide(&call_with("x", "shell.none", serde_json::json!({})), None);
    assert_eq!(shown(&world.decide(&rm, None)), "Ask");
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['a'])), "ApprovalStale");
    // A question asked while another call ran is stale when that call has ended.
    let mut world = World::new(vec![asking(1)]);
    assert_eq!(shown(&world.decide(&call("c0", "ls"), None)), "Allow");
    let request = asked(&mut world, &rm);
    world.state.apply(&State::settle("s1", "c0", None, START_MS)).unwrap();
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['a'])), "ApprovalStale");
}

#[test]
fn it_binds_subject_arguments_and_policy() {
    let rm = call("c1", "rm");
    let other_subject = |change: fn(&mut Subject)| {
        let mut subject = subject();
        change(&mut subject);
        let args = crate::json::Json::parse(br#"{"command": "rm"}"#).unwrap();
        ToolCall::new("c1", "s1", subject, "shell.exec", args).unwrap()
    };
    let others = [
        call("c1", "rm -rf /"),
        other_subject(|subject| subject.chain.push("frank@example.org".to_owned())),
        other_subject(|subject| subject.groups.clear()),
        other_subject(|subject| subject.labels.clear()),
    ];
    for other in others {
        let mut world = World::new(vec![asking(1)]);
        let request = asked(&mut world, &rm);
        assert_eq!(decides(&mut world, &other, &approval(&request, &['a'])), "ApprovalStale", "{other:?}");
    }
    let mut world = World::new(vec![asking(1)]);
    let request = asked(&mut world, &rm);
    world.policy = crate::tool::LoadedPolicy::new(policy(vec![asking(1)]), "1".repeat(64)).unwrap();
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['a'])), "ApprovalStale");
}

/// Everything that an approval binds, in this order.
const BOUND: [&str; 8] =
    ["arguments", "facts", "generation", "policyDigest", "sandbox", "session", "subject", "tool"];

/// Asks about `rm`, makes one change, and repeats the call under an approval of the earlier question: the
/// outcome, and which keys of the binding have changed.
fn repeated_after(change: impl FnOnce(&mut World) -> ToolCall) -> (String, Vec<&'static str>) {
    let mut layer = asking(1);
    layer.definitions.push(Tool { name: "shell.twin".to_owned(), ..layer.definitions[0].clone() });
    let mut world = World::new(vec![layer]);
    world.state.apply(&State::open("s2", &subject(), START_MS)).unwrap();
    let first = world.decide(&call("c1", "rm"), None);
    let before = first.binds.clone().expect("it asks");
    let Effect::Ask(request) = first.effect else { panic!("it asks") };
    let again = change(&mut world);
    let answer = decides(&mut world, &again, &approval(&request, &['a']));
    let after = world.decide(&again, None).binds;
    let names: Vec<&String> = before.as_object().expect("an object").keys().collect();
    assert_eq!(names, BOUND);
    let differs = |key: &&str| after.as_ref().is_some_and(|after| after[*key] != before[*key]);
    (answer, BOUND.into_iter().filter(differs).collect())
}

/// The policy with its first tool changed, under the same digest as before.
fn with_tool(world: &mut World, change: impl FnOnce(&mut Tool)) -> ToolCall {
    let mut layer = asking(1);
    change(&mut layer.definitions[0]);
    world.policy = LoadedPolicy::new(policy(vec![layer]), "0".repeat(64)).unwrap();
    call("c1", "rm")
}

#[test]
fn each_thing_that_is_bound_makes_it_stale_alone() {
    assert_eq!(repeated_after(|_| call("c1", "rm")).0, "Allow", "nothing is changed");
    let args = || serde_json::json!({"command": "rm"});
    let of = |session: &str, subject: Subject| {
        ToolCall::new("c1", session, subject, "shell.exec", crate::json::Json::from(&args()).into_owned())
            .unwrap()
    };
    let chain = || Subject { chain: vec!["frank@example.org".to_owned()], ..subject() };
    let changed = [
        repeated_after(|_| call_with("c1", "shell.exec", serde_json::json!({"command": "rm", "note": "x"}))),
        repeated_after(|world| with_tool(world, |tool| tool.derive.clear())),
        repeated_after(|world| {
            assert_eq!(shown(&world.run("ls")), "Allow");
            call("c9", "rm")
        }),
        repeated_after(|world| {
            world.policy = LoadedPolicy::new(policy(vec![asking(1)]), "1".repeat(64)).unwrap();
            call("c1", "rm")
        }),
        repeated_after(|world| with_tool(world, |tool| "other".clone_into(&mut tool.run.sandbox))),
        repeated_after(|_| of("s2", subject())),
        repeated_after(|_| of("s1", chain())),
        repeated_after(|_| call_with("c1", "shell.twin", args())),
    ];
    for ((answer, keys), key) in changed.into_iter().zip(BOUND) {
        assert_eq!((answer.as_str(), keys), ("ApprovalStale", vec![key]));
    }
}

#[test]
fn every_field_that_is_signed_must_be_the_questions() {
    let changes: [fn(&mut VerifiedApproval); 4] = [
        |given| given.id = "0".repeat(32),
        |given| given.call_hash = "0".repeat(64),
        |given| given.policy_digest = "1".repeat(64),
        |given| given.expires_ms += 1,
    ];
    for change in changes {
        let mut world = World::new(vec![asking(1)]);
        let rm = call("c1", "rm");
        let request = asked(&mut world, &rm);
        let mut given = approval(&request, &['a']);
        change(&mut given);
        assert_eq!(decides(&mut world, &rm, &given), "ApprovalStale");
    }
}

#[test]
fn it_turns_only_the_ask_into_allow() {
    let mut layer = asking(1);
    layer.rules.push(rule("rate", throttle("all", 1)));
    layer.rules.push(when(rule("no", deny()), command_is("ls")));
    let mut world = World::new(vec![layer]);
    let rm = call("c1", "rm");
    let request = asked(&mut world, &rm);
    // The counter advances while the question is open.
    let tally = crate::tool::TallyKey {
        owner: crate::tool::Owner::Session("s1".to_owned()),
        name: "counter/pack0/all".to_owned(),
    };
    let change = Change::Counted { tally, window_ms: None };
    world.state.apply(&crate::tool::StateDelta { at_ms: START_MS, changes: vec![change] }).unwrap();
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['a'])), "Throttled");
    assert_eq!(world.state.pending().count(), 0, "a denial ends the question");
}

#[test]
fn nobody_of_the_chain_approves() {
    let in_chain = |change: fn(&mut Subject)| {
        let mut subject = subject();
        change(&mut subject);
        subject
    };
    for subject in [
        in_chain(|subject| subject.user = "alice@example.org".to_owned()),
        in_chain(|subject| subject.agent = "ALICE@example.org".to_owned()),
        in_chain(|subject| subject.chain.push("Alice@Example.Org".to_owned())),
    ] {
        let mut world = World::new(vec![asking(1)]);
        world.state.apply(&State::close("s1", START_MS)).unwrap();
        world.state.apply(&State::open("s1", &subject, START_MS)).unwrap();
        let args = crate::json::Json::parse(br#"{"command": "rm"}"#).unwrap();
        let rm = ToolCall::new("c1", "s1", subject, "shell.exec", args).unwrap();
        let request = asked(&mut world, &rm);
        assert!(request.requirements[0].keys.iter().all(|key| !key.id.starts_with("alice")));
        assert_eq!(decides(&mut world, &rm, &approval(&request, &['a', 'b'])), "Ask");
        assert_eq!(decides(&mut world, &rm, &approval(&request, &['c'])), "Allow");
    }
    // If too few approvers remain, no question is asked.
    let mut world = World::new(vec![asking(4)]);
    denial(&world.run("rm"), DenyReason::NoApprover);
}

#[test]
fn required_approvals_add_up() {
    let mut second = ruling([rule("careful", RuleEffect::Confirm(ask(2)))]);
    second.approvers[0].keys.retain(|key| key.id != "alice" && key.id != "alice-laptop");
    let mut world = World::new(vec![asking(1), second]);
    let rm = call("c1", "rm");
    let request = asked(&mut world, &rm);
    let groups: Vec<_> =
        request.requirements.iter().map(|one| (one.pack.as_str(), one.group.as_str(), one.quorum)).collect();
    assert_eq!(groups, [("pack0@1.0.0", "oncall", 1), ("pack1@1.0.0", "oncall", 2)]);
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['a'])), "Ask");
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['a', 'c'])), "Ask");
    assert_eq!(decides(&mut world, &rm, &approval(&request, &['c', 'd'])), "Allow");
    // For one group, the highest quorum and the shortest time apply.
    let mut layer = asking(1);
    let mut soon = ask(2);
    soon.expires_ms = MINUTE_MS;
    layer.rules.push(rule("careful", RuleEffect::Confirm(soon)));
    let request = asked(&mut World::new(vec![layer]), &rm);
    assert_eq!((request.requirements.len(), request.requirements[0].quorum), (1, 2));
    assert_eq!(request.expires_ms, START_MS + MINUTE_MS);
}

#[test]
fn questions_of_one_session_are_bounded() {
    let mut world = World::new(vec![asking(1)]);
    for at in 0..MAX_PENDING {
        asked(&mut world, &call(&format!("c{at}"), "rm"));
    }
    let one_more = world.decide(&call("more", "rm"), None);
    denial(&one_more, DenyReason::Busy);
    world.state.apply(&State::withdraw("s1", "c0", START_MS)).unwrap();
    asked(&mut world, &call("more", "rm"));
}

#[test]
fn the_signed_bytes_are_five_lines() {
    let message = approval_message("0123", "abcd", "ef01", 1_800_000_000_000);
    assert_eq!(message, b"bailiwick/approval/v1\n0123\nabcd\nef01\n1800000000000\n");
    let mut world = World::new(vec![asking(1)]);
    let request = asked(&mut world, &call("c1", "rm"));
    assert_eq!((request.id.len(), request.call_hash.len()), (32, 64));
    let ids: BTreeSet<_> = (0..3).map(|at| asked(&mut world, &call(&format!("d{at}"), "rm")).id).collect();
    assert_eq!(ids.len(), 3, "each attempt is a question of its own");
}
