//! Errors, opaque values and exhausted fuel inside every operator that CEL lets ignore an error, in a grant and in a restriction.

use super::build::*;
use crate::cel::tests::build::{and, call, not, or, over};
use crate::ir::{Expr, Func, MacroKind, Root};
use crate::policy::tools::RuleEffect;
use crate::tool::{DenyReason, RuleOutcome};

/// An operand that has no value.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Error,
    Opaque,
    Fuel,
}

impl Bad {
    fn operand(self) -> Expr {
        match self {
            Self::Error => fails(),
            Self::Opaque => call!(Equal, path(Root::Facts, "url.host"), "a"),
            Self::Fuel => endless(),
        }
    }
}

/// Conditions with a bad operand. With the value of CEL where that is a value at all: it does not depend on the operand.
fn conditions(bad: Bad) -> Vec<(&'static str, Expr, Option<bool>)> {
    let operand = || bad.operand();
    let cond =
        |of: Expr, then: Expr, otherwise: Expr| Expr::Cond(Box::new(of), then.into(), otherwise.into());
    let second = || call!(Equal, Expr::Slot(0), 2_i64);
    let none = || Expr::Call(Func::OptionalNone, Vec::new());
    vec![
        ("bad", operand(), None),
        ("bad || true", or([operand(), boolean(true)]), Some(true)),
        ("bad || false", or([operand(), boolean(false)]), None),
        ("bad && false", and([operand(), boolean(false)]), Some(false)),
        ("!(bad && false)", not(and([operand(), boolean(false)])), Some(true)),
        ("bad && true", and([operand(), boolean(true)]), None),
        ("bad ? true : true", cond(operand(), boolean(true), boolean(true)), None),
        (
            "true ? bad || true : false",
            cond(boolean(true), or([operand(), boolean(true)]), boolean(false)),
            Some(true),
        ),
        (
            "[1, 2].exists(i, i == 2 || bad)",
            over(MacroKind::Exists, [1_i64, 2], or([second(), operand()])),
            Some(true),
        ),
        ("[1].exists(i, bad)", over(MacroKind::Exists, [1_i64], operand()), None),
        (
            "![1, 2].all(i, i != 2 && bad)",
            not(over(MacroKind::All, [1_i64, 2], and([not(second()), operand()]))),
            Some(true),
        ),
        ("optional.none().orValue(bad)", call!(OrValue, none(), operand()), None),
        ("optional.of(bad).orValue(true)", call!(OrValue, call!(OptionalOf, operand()), true), None),
        (
            "optional.of(bad || true).orValue(false)",
            call!(OrValue, call!(OptionalOf, or([operand(), boolean(true)])), false),
            Some(true),
        ),
    ]
}

/// A permission is given by no condition in which anything had no value, whatever CEL makes of it.
#[test]
fn no_grant_ignores_an_error_an_opaque_value_or_exhausted_fuel() {
    for bad in [Bad::Error, Bad::Opaque, Bad::Fuel] {
        let expected = if matches!(bad, Bad::Fuel) { DenyReason::FuelExhausted } else { DenyReason::NoRule };
        for (text, condition, _) in conditions(bad) {
            for grant in [RuleEffect::Allow, RuleEffect::Ask(ask(1))] {
                let layer = defining([when(rule("grant", grant), condition.clone())]);
                assert_eq!(
                    shown(&World::new(vec![layer]).run("ls")),
                    format!("{expected:?}"),
                    "{bad:?}: {text}"
                );
            }
        }
    }
}

/// A restriction denies where its condition has no value. Where CEL has one it holds, since it is the same whatever the operand would have
/// been; only fuel denies there too.
#[test]
fn no_restriction_is_escaped_by_an_error_an_opaque_value_or_exhausted_fuel() {
    let allow = || rule("allow", RuleEffect::Allow);
    for bad in [Bad::Error, Bad::Opaque, Bad::Fuel] {
        for (text, condition, value) in conditions(bad) {
            let expected = match (bad, value) {
                (Bad::Fuel, _) => "FuelExhausted",
                (_, None) => "EvaluationError",
                (_, Some(true)) => "Rule",
                (_, Some(false)) => "Allow",
            };
            let layer = defining([allow(), when(rule("deny", deny()), condition)]);
            assert_eq!(shown(&World::new(vec![layer]).run("ls")), expected, "{bad:?}: {text}");
        }
    }
}

/// A part that is not evaluated is no error, and neither is a name of `cel.bind` that is not used.
#[test]
fn what_is_not_evaluated_withholds_no_permission() {
    let unused = Expr::Bind(Box::new(crate::ir::Bind { slot: 0, init: fails(), body: boolean(true) }));
    for condition in [or([boolean(true), fails()]), not(and([boolean(false), fails()])), unused] {
        let layer = defining([when(rule("allow", RuleEffect::Allow), condition)]);
        assert_eq!(shown(&World::new(vec![layer]).run("ls")), "Allow");
    }
}

/// The rule says what was wrong with it.
#[test]
fn a_grant_that_ignores_an_error_says_which() {
    let layer = defining([when(rule("allow", RuleEffect::Allow), or([fails(), boolean(true)]))]);
    let decision = World::new(vec![layer]).run("ls");
    let failed = RuleOutcome::Failed("part of it is an error: division by zero".to_owned());
    assert_eq!(decision.rules.first().map(|report| &report.outcome), Some(&failed));
}
