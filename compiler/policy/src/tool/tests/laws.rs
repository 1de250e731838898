//! Laws over random layers: every layer that names the tool allows what the meet allows; order and repetition
//! change nothing; any bytes get a decision.

use proptest::collection::vec;
use proptest::prelude::*;

use super::build::*;
use crate::ir::{Cel, Const, Expr};
use crate::policy::narrower::wider;
use crate::policy::tools::{Mode, Otherwise, Resource, RuleEffect, ToolLayer, ToolPattern, ToolRule};
use crate::tool::{Change, DenyReason, Effect, LoadedPolicy, ToolDecision, decide_tool_call};

fn effect() -> impl Strategy<Value = RuleEffect> {
    prop_oneof![
        4 => Just(RuleEffect::Allow),
        2 => (1_u32..3).prop_map(|quorum| RuleEffect::Ask(ask(quorum))),
        1 => Just(deny()),
        1 => (0_u64..2).prop_map(|max| throttle("all", max)),
        1 => (1_u32..3).prop_map(|quorum| RuleEffect::Confirm(ask(quorum))),
        2 => narrowing(),
    ]
}

/// To any sandbox, also to one that is not narrower.
fn narrowing() -> impl Strategy<Value = RuleEffect> {
    prop_oneof![Just("quiet"), Just("small"), Just("quietest"), Just("other")].prop_map(narrow)
}

fn restriction() -> impl Strategy<Value = RuleEffect> {
    prop_oneof![
        Just(deny()),
        (0_u64..2).prop_map(|max| throttle("all", max)),
        (1_u32..3).prop_map(|quorum| RuleEffect::Confirm(ask(quorum))),
        narrowing(),
    ]
}

fn condition() -> impl Strategy<Value = Option<Expr>> {
    let text = |text: &'static str| Just(Some(command_is(text)));
    prop_oneof![
        3 => Just(None),
        2 => text("ls"),
        2 => text("rm"),
        1 => Just(Some(boolean(false))),
        1 => Just(Some(fails())),
    ]
}

fn pattern() -> impl Strategy<Value = ToolPattern> {
    prop_oneof![
        4 => Just(ToolPattern::Exact("shell.exec".to_owned())),
        2 => Just(ToolPattern::Prefix("shell.".to_owned())),
        1 => Just(ToolPattern::Prefix(String::new())),
        2 => Just(ToolPattern::Exact("python.run".to_owned())),
    ]
}

/// Other arguments, for grants; also arguments that fit no schema, and none at all.
fn transform() -> impl Strategy<Value = Option<Expr>> {
    let command = |value: Expr| {
        let key = Expr::Const(Const::Str("command".to_owned()));
        Just(Some(Expr::Map(vec![(key, value, false)])))
    };
    let text = |text: &str| Expr::Const(Const::Str(text.to_owned()));
    prop_oneof![
        8 => Just(None),
        2 => command(text("ls")),
        2 => command(text("rm")),
        1 => command(Expr::Const(Const::Int(1))),
        1 => Just(Some(fails())),
    ]
}

/// A layer with any rules, which may or may not define the tool.
fn any_layer() -> impl Strategy<Value = ToolLayer> {
    let mode = prop_oneof![4 => Just(Mode::Enforce), 1 => Just(Mode::Shadow)];
    let rules = vec((effect(), condition(), pattern(), mode, transform()), 0..5);
    let otherwise = prop_oneof![Just(None), Just(Some(1_u32)), Just(Some(2))];
    (any::<bool>(), rules, otherwise, prop_oneof![Just(None), (0_u64..2_000).prop_map(Some)]).prop_map(
        |(defines, rules, otherwise, limit)| {
            let mut layer = if defines { defining([]) } else { ruling([]) };
            if let (Some(quorum), Some(tool)) = (otherwise, layer.definitions.first_mut()) {
                tool.otherwise = Otherwise::Ask(ask(quorum));
            }
            layer.budgets =
                limit.map(|limit| budget("calls", Resource::Calls, limit, None)).into_iter().collect();
            layer.rules = rules
                .into_iter()
                .enumerate()
                .map(|(at, (effect, condition, pattern, mode, transform))| {
                    let mut plain =
                        ToolRule { tools: vec![pattern], mode, ..rule(&format!("r{at}"), effect) };
                    if matches!(plain.effect, RuleEffect::Allow | RuleEffect::Ask(_)) {
                        let of = |expr| Cel { source: "given".to_owned(), expr, slots: 4 };
                        plain.transform = transform.map(of);
                    }
                    match condition {
                        Some(condition) => when(plain, condition),
                        None => plain,
                    }
                })
                .collect();
            layer
        },
    )
}

fn decide(layers: &[&ToolLayer], command: &str) -> ToolDecision {
    let policy = loaded(layers.iter().map(|layer| (*layer).clone()).collect());
    decide_tool_call(&policy, &call("c1", command), &opened(), START_MS, None)
}

/// How wide a decision is: denied, allowed after approvals of a number of groups, or allowed at once.
#[derive(Debug, PartialEq)]
struct Width {
    rank: u8,
    /// The highest quorum that is required.
    quorum: u32,
    /// Where it runs.
    sandbox: Option<String>,
    /// With which arguments.
    arguments: Option<String>,
}

fn width(decision: &ToolDecision) -> Width {
    let arguments = Some(format!("{:?}", decision.call().arguments()));
    match &decision.effect {
        Effect::Deny(_) => Width { rank: 0, quorum: 0, sandbox: None, arguments: None },
        Effect::Ask(request) => {
            let quorum = request.requirements.iter().map(|one| one.quorum).max().unwrap();
            let bound = decision.binds.as_ref().unwrap();
            Width { rank: 1, quorum, sandbox: bound["sandbox"].as_str().map(str::to_owned), arguments }
        }
        Effect::Allow(permit) => {
            let sandbox = permit.get().plan().sandbox().map(str::to_owned);
            Width { rank: 2, quorum: 0, sandbox, arguments }
        }
    }
}

impl Width {
    fn no_wider_than(&self, other: &Self) -> bool {
        let confined = match (&self.sandbox, &other.sandbox) {
            (Some(inner), Some(outer)) => wider(&sandbox(inner), &sandbox(outer)).is_none(),
            _ => true,
        };
        (self.rank < other.rank || (self.rank == other.rank && self.quorum >= other.quorum)) && confined
    }
}

/// A layer alone, over a definition that grants everything and so constrains nothing.
fn alone(layer: &ToolLayer, command: &str) -> ToolDecision {
    decide(&[&defining([rule("all", RuleEffect::Allow)]), layer], command)
}

fn names_it(layer: &ToolLayer) -> bool {
    !layer.definitions.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_meet_is_never_wider_than_either(left in any_layer(), right in any_layer(), command in prop_oneof!["ls", "rm"]) {
        let met = width(&decide(&[&left, &right], &command));
        for layer in [&left, &right] {
            prop_assert!(met.no_wider_than(&width(&alone(layer, &command))), "{met:?}");
            if names_it(layer) {
                prop_assert!(met.no_wider_than(&width(&decide(&[layer], &command))), "{met:?}");
            }
        }
        // And it is not narrower than the two together: what both allow is allowed, unless they name
        // sandboxes of which neither is narrower, or give other arguments.
        let widths = [&left, &right].map(|layer| width(&alone(layer, &command)));
        let comparable = widths[0].no_wider_than(&widths[1]) || widths[1].no_wider_than(&widths[0]);
        let comparable = comparable && widths[0].arguments == widths[1].arguments;
        if widths.iter().all(|width| width.rank == 2) && comparable && (names_it(&left) || names_it(&right)) {
            prop_assert_eq!(met.rank, 2);
        }
    }

    #[test]
    fn the_meet_commutes(left in any_layer(), right in any_layer(), command in prop_oneof!["ls", "rm"]) {
        prop_assert_eq!(width(&decide(&[&left, &right], &command)), width(&decide(&[&right, &left], &command)));
    }

    #[test]
    fn the_meet_is_idempotent(layer in any_layer(), command in prop_oneof!["ls", "rm"]) {
        prop_assert_eq!(width(&decide(&[&layer, &layer], &command)), width(&decide(&[&layer], &command)));
    }

    /// A further restriction never widens, and a call that does not run takes nothing from any counter or
    /// budget.
    #[test]
    fn a_restriction_only_restricts(layer in any_layer(), added in restriction(), condition in condition(), command in prop_oneof!["ls", "rm"]) {
        let mut stricter = layer.clone();
        let plain = rule("added", added);
        stricter.rules.push(match condition { Some(condition) => when(plain, condition), None => plain });
        let decision = decide(&[&stricter], &command);
        let before = decide(&[&layer], &command);
        // Where no sandbox is within all that a call is narrowed to, one that is within all of them settles it.
        let unsettled = matches!(&before.effect, Effect::Deny(denial) if denial.reason == DenyReason::NarrowConflict);
        prop_assert!(unsettled || width(&decision).no_wider_than(&width(&before)));
        let takes = |change: &Change| matches!(change, Change::Counted { .. } | Change::Admitted { .. });
        let admitted = decision.delta.changes.iter().any(takes);
        prop_assert_eq!(admitted, matches!(decision.effect, Effect::Allow(_)));
    }

    /// Rules in shadow change no decision, no state and no report of another rule.
    #[test]
    fn a_rule_in_shadow_changes_nothing(left in any_layer(), right in any_layer(), command in prop_oneof!["ls", "rm"]) {
        let without = |layer: &ToolLayer| {
            let mut layer = layer.clone();
            layer.rules.retain(ToolRule::is_enforced);
            layer
        };
        let with = decide(&[&left, &right], &command);
        let bare = decide(&[&without(&left), &without(&right)], &command);
        let (mut with, bare) = (with.record(), bare.record());
        with.rules.retain(|report| report.mode == Mode::Enforce);
        // The question's name depends on the policy's digest, which both share here.
        prop_assert_eq!(with, bare);
    }

    /// Any arguments get a decision, the same one twice, and it replays.
    #[test]
    fn every_input_has_one_decision(bytes in vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        crate::tool::fuzz(&bytes);
        crate::tool::fuzz(text.as_bytes());
        let policy: LoadedPolicy = loaded(vec![defining([rule("allow", RuleEffect::Allow)])]);
        let decided = || decide_tool_call(&policy, &call("c1", &text), &opened(), START_MS, None);
        let (first, second) = (decided(), decided());
        prop_assert_eq!(first.record(), second.record());
        prop_assert_eq!(first.inputs.decide(&policy), first.record());
    }
}
