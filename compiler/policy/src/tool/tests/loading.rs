//! A bundle whose tools could not be decided is rejected when it is read.

use super::build::*;
use crate::bundle;
use crate::ir::{Const, Expr, Root};
use crate::policy::Policy;
use crate::policy::tools::{Ask, Derive, Otherwise, Program, RuleEffect, ToolPattern, Word};

/// The error after `change` is made to a valid policy.
#[track_caller]
fn refused(says: &str, change: impl FnOnce(&mut Policy)) {
    let rules = [rule("allow", RuleEffect::Allow), rule("rate", throttle("all", 1))];
    let mut policy = policy(vec![defining(rules)]);
    bundle::validate(&policy).unwrap();
    change(&mut policy);
    let error = bundle::validate(&policy).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}

#[test]
fn names_and_indices_must_refer_to_something() {
    let nobody = || Ask { approvers: "nobody".into(), ..ask(1) };
    refused("no pack 7", |policy| policy.tools[0].pack = 7);
    refused("no sandbox `gone`", |policy| policy.tools[0].definitions[0].run.sandbox = "gone".into());
    refused("no counter `gone`", |policy| policy.tools[0].rules[1].effect = throttle("gone", 1));
    refused("there is no sandbox `nowhere`", |policy| {
        policy.tools[0].rules[0].effect = narrow("nowhere");
    });
    refused("at most 64", |policy| {
        for at in 0..65 {
            let name = format!("s{at}");
            policy.sandboxes.push(sandbox(&name));
            policy.tools[0].rules.push(rule(&name, narrow(&name)));
        }
    });
    for effect in [RuleEffect::Ask(nobody()), RuleEffect::Confirm(nobody())] {
        refused("no group of approvers `nobody`", |policy| policy.tools[0].rules[0].effect = effect);
    }
    refused("no group of approvers `nobody`", |policy| {
        policy.tools[0].definitions[0].otherwise = Otherwise::Ask(nobody());
    });
    refused("no argument `gone`", |policy| {
        policy.tools[0].definitions[0].derive = vec![Derive::Path("gone".into())];
    });
    refused("no argument `gone`", |policy| {
        let words = vec![Word::Value("/bin/ls".into()), Word::Arg("gone".into())];
        policy.tools[0].definitions[0].run.program = Program::Argv(words);
    });
}

#[test]
fn names_stand_in_order_and_once() {
    refused("`all`", |policy| policy.tools[0].counters.reverse());
    refused("`shell.exec`", |policy| {
        let again = policy.tools[0].definitions[0].clone();
        policy.tools[0].definitions.push(again);
    });
    refused("`allow`", |policy| policy.tools[0].rules[1].name = "allow".into());
    refused("`alice`", |policy| policy.tools[0].approvers[0].keys.swap(0, 1));
    refused("`pack0`", |policy| {
        let again = policy.tools[0].clone();
        policy.tools.push(again);
    });
}

#[test]
fn values_are_within_their_bounds() {
    refused("a quorum must be", |policy| policy.tools[0].rules[0].effect = RuleEffect::Ask(ask(0)));
    refused("an approver must be", |policy| {
        policy.tools[0].approvers[0].keys[0].ed25519 = "A".repeat(64);
    });
    refused("a window must be", |policy| policy.tools[0].counters[1].window_ms = Some(0));
    refused("a window must be", |policy| policy.tools[0].counters[1].window_ms = Some(u64::MAX));
    refused("the patterns of tools", |policy| policy.tools[0].rules[0].tools.clear());
    refused("the patterns of tools", |policy| {
        policy.tools[0].rules[0].tools = vec![ToolPattern::Prefix("shell".into())];
    });
    refused("the prefix must be", |policy| {
        policy.tools[0].definitions[0].name = "workspace.erase".into();
    });
    refused("an absolute path", |policy| {
        policy.tools[0].definitions[0].run.program = Program::Argv(vec![Word::Value("ls".into())]);
    });
    refused("one with a runtime", |policy| {
        policy.sandboxes.iter_mut().for_each(|sandbox| sandbox.runtime = None);
        policy.tools[0].definitions[0].run.program = Program::Code(Word::Arg("command".into()));
    });
}

#[test]
fn a_test_of_an_argument_can_hold() {
    let call = |mask: u32, value: u32| serde_json::json!({"name": "socket", "numbers": {"x86_64": 41}, "when": [[{"index": 0, "mask": mask, "value": value}]]});
    let with = |mask, value| {
        let mut policy = policy(vec![]);
        policy.sandboxes[0].syscalls.allowed = vec![serde_json::from_value(call(mask, value)).unwrap()];
        bundle::validate(&policy)
    };
    with(1, 1).unwrap();
    assert!(with(1, 3).unwrap_err().to_string().contains("never holds"));
}

#[test]
fn schemas_patterns_and_expressions_are_sound() {
    refused("not enforced", |policy| {
        policy.tools[0].definitions[0].input["properties"]["command"]["format"] = "uri".into();
    });
    refused("pattern 0", |policy| policy.tools[0].regexes[0] = "(".into());
    let with = |expr: Expr| {
        move |policy: &mut Policy| {
            policy.tools[0].rules[0] = when(policy.tools[0].rules[0].clone(), expr);
        }
    };
    refused("slot 9", with(Expr::Slot(9)));
    refused("pattern 1", with(Expr::Matches(Box::new(Expr::Const(Const::Null)), 1)));
    refused("earlier shared expression 0", with(Expr::Shared(0)));
    refused("no variable Object", with(Expr::Root(Root::Object)));
    let deep = (0..200).fold(boolean(true), |inner, _| Expr::Not(Box::new(inner)));
    refused("nested deeper", with(deep));
    refused("no variable Call", |policy| {
        let cel = crate::ir::Cel { source: String::new(), expr: Expr::Root(Root::Call), slots: 0 };
        policy.admission.shared.push(cel);
    });
}

#[test]
fn a_bundle_with_tools_is_read_as_it_was_written() {
    let policy =
        policy(vec![defining([when(rule("allow", RuleEffect::Allow), command_is("ls"))]), ruling([])]);
    let bytes = bundle::write(&policy).unwrap();
    let read = bundle::load(&bytes).unwrap();
    assert_eq!(read.policy, policy);
    let loaded = crate::tool::LoadedPolicy::of_bundle(read).unwrap();
    let names: Vec<_> = loaded.tools().map(|(name, _, _)| name.to_owned()).collect();
    assert_eq!(names, ["shell.exec", "workspace.list", "workspace.read", "workspace.write"]);
}

/// The policy of the fuzz entry loads, and its tools are reached.
#[test]
fn the_fuzz_policy_is_in_order() {
    let mut policy: Policy = serde_json::from_str(include_str!("../fuzz_policy.json")).unwrap();
    bundle::validate(&policy).unwrap();
    assert_eq!(policy.tools.len(), 2);
    policy.tools.remove(0);
    bundle::validate(&policy).unwrap();
}
