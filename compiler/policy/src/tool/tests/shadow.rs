//! Rules in shadow: evaluated and reported, and without effect, whatever their outcome.

use super::build::*;
use crate::ir::{Const, Expr, Func};
use crate::policy::tools::{Mode, RuleEffect, ToolRule};
use crate::tool::{Change, RuleOutcome, ToolDecision};

fn allow() -> ToolRule {
    rule("allow", RuleEffect::Allow)
}

fn every_effect() -> [RuleEffect; 5] {
    [RuleEffect::Allow, RuleEffect::Ask(ask(1)), deny(), throttle("all", 0), RuleEffect::Confirm(ask(1))]
}

/// The outcome of the one rule in shadow.
fn shadowed(decision: &ToolDecision) -> &RuleOutcome {
    let mut shadow = decision.rules.iter().filter(|report| report.mode == Mode::Shadow);
    let found = shadow.next().expect("a rule in shadow took part");
    assert!(shadow.next().is_none());
    &found.outcome
}

#[test]
fn a_rule_in_shadow_is_reported_and_changes_nothing() {
    for effect in every_effect() {
        let mut plain = World::new(vec![defining([allow()])]);
        let mut world = World::new(vec![defining([shadow(rule("later", effect.clone())), allow()])]);
        let (expected, decision) = (plain.run("ls"), world.run("ls"));
        assert_eq!(shown(&decision), "Allow", "{effect:?}");
        assert_eq!(decision.delta, expected.delta, "{effect:?}");
        assert_eq!(shadowed(&decision), &RuleOutcome::Applied, "{effect:?}");
        // The same rule in effect does decide, so the test has something to omit.
        if !matches!(effect, RuleEffect::Allow | RuleEffect::Ask(_)) {
            assert_ne!(
                shown(&World::new(vec![defining([rule("later", effect), allow()])]).run("ls")),
                "Allow"
            );
        }
    }
}

#[test]
fn a_grant_in_shadow_grants_nothing_and_names_no_tool() {
    let mut world = World::new(vec![defining([shadow(allow())])]);
    assert_eq!(shown(&world.run("ls")), "NoRule");
    // A layer with only a grant in shadow does not take part.
    let mut world = World::new(vec![defining([allow()]), ruling([shadow(when(allow(), command_is("rm")))])]);
    assert_eq!(shown(&world.run("ls")), "Allow");
    let mut world = World::new(vec![defining([allow()]), ruling([when(allow(), command_is("rm"))])]);
    assert_eq!(shown(&world.run("ls")), "NoRule", "with an effect it has one");
}

#[test]
fn an_error_or_a_limit_of_a_rule_in_shadow_has_no_effect() {
    for effect in every_effect() {
        for condition in [fails(), endless(), Expr::Const(Const::Int(1))] {
            let failing = shadow(when(rule("fails", effect.clone()), condition));
            let decision = World::new(vec![defining([failing, allow()])]).run("ls");
            assert_eq!(shown(&decision), "Allow", "{effect:?}");
            assert!(matches!(shadowed(&decision), RuleOutcome::Failed(_)), "{effect:?}");
        }
    }
}

/// Costs about half of one rule's fuel.
fn costly(at: usize) -> ToolRule {
    let range = Expr::Call(Func::Range, vec![Expr::Const(Const::Int(450_000))]);
    let holds = Expr::Call(Func::Less, vec![Expr::Call(Func::Size, vec![range]), Expr::Const(Const::Int(0))]);
    when(rule(&format!("r{at}"), deny()), holds)
}

#[test]
fn rules_in_shadow_take_no_fuel_from_the_others() {
    let mut layer = defining([allow()]);
    layer.rules.extend((0..40).map(costly).map(shadow));
    layer.rules.extend((40..50).map(costly));
    let decision = World::new(vec![layer.clone()]).run("ls");
    assert_eq!(shown(&decision), "Allow");
    let failed = |report: &&crate::tool::RuleReport| matches!(report.outcome, RuleOutcome::Failed(_));
    assert!(decision.rules.iter().filter(failed).count() > 5, "they ran out themselves");
    layer.rules.iter_mut().for_each(|rule| rule.mode = Mode::Enforce);
    assert_eq!(shown(&World::new(vec![layer]).run("ls")), "FuelExhausted");
}

#[test]
fn a_throttle_in_shadow_says_where_the_counter_stands_and_does_not_advance_it() {
    let mut world = World::new(vec![defining([allow(), shadow(rule("rate", throttle("all", 1)))])]);
    for _ in 0..3 {
        let decision = world.run("ls");
        assert_eq!(shadowed(&decision), &RuleOutcome::WithinLimit);
        let counts = |change: &Change| matches!(change, Change::Counted { .. });
        assert!(!decision.delta.changes.iter().any(counts));
    }
    // If another throttle had advanced it, it would be over its limit.
    let rules = [allow(), rule("counts", throttle("all", 9)), shadow(rule("rate", throttle("all", 1)))];
    let mut world = World::new(vec![defining(rules)]);
    assert_eq!(shadowed(&world.run("ls")), &RuleOutcome::WithinLimit);
    let decision = world.run("ls");
    assert_eq!((shadowed(&decision), shown(&decision).as_str()), (&RuleOutcome::Applied, "Allow"));
}

#[test]
fn the_record_says_that_a_rule_was_in_shadow() {
    let decision = World::new(vec![defining([allow(), shadow(rule("later", deny()))])]).run("ls");
    let bare: Vec<_> = decision.rules.iter().map(|report| report.bare().to_string()).collect();
    assert_eq!(
        bare,
        [
            r#"{"kind":"allow","outcome":"applied","pack":"pack0@1.0.0","rule":"allow"}"#,
            r#"{"kind":"deny","mode":"Shadow","outcome":"applied","pack":"pack0@1.0.0","rule":"later"}"#,
        ]
    );
}
