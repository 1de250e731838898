//! Authored rules: actions, errors, fuel, messages, conditions, annotations. Expressions are built by hand,
//! because only the compiler has a parser.

use expect_test::expect;

use super::*;
use crate::ir::{Cel, Const, Expr, Func, Macro, MacroKind, Root};
use crate::policy::{Action, AdmissionRule, Validation};

pub(super) fn cel(expr: Expr) -> Cel {
    Cel { source: "the expression".into(), expr, slots: 4 }
}

fn constant(value: bool) -> Expr {
    Expr::Const(Const::Bool(value))
}

fn text(text: &str) -> Expr {
    Expr::Const(Const::Str(text.to_owned()))
}

fn object(path: &[&str]) -> Expr {
    path.iter()
        .fold(Expr::Root(Root::Object), |here, field| Expr::Select(Box::new(here), (*field).to_owned()))
}

/// Runs for longer than any budget: four nested walks over 100 numbers.
fn endless() -> Expr {
    let range = || Expr::Call(Func::Range, vec![Expr::Const(Const::Int(100))]);
    (0..4).fold(constant(true), |body, slot| {
        let inner = Macro { kind: MacroKind::All, range: range(), slot, slot2: None, filter: None, body };
        Expr::Macro(Box::new(inner))
    })
}

/// The policy without sections and with only this validation.
pub(super) fn with_rule(expression: Expr, change: impl FnOnce(&mut AdmissionRule)) -> Policy {
    let mut policy = policy();
    policy.isolation = crate::policy::Isolation::default();
    policy.network = None;
    policy.images = Vec::new();
    let rule = policy.admission.rules.first_mut().unwrap();
    rule.mutations = Vec::new();
    rule.validations = vec![Validation {
        expression: cel(expression),
        message: Some("it is wrong".into()),
        message_expression: None,
        reason: "Invalid".into(),
        remedy: None,
    }];
    change(rule);
    policy
}

fn decided(policy: Policy) -> String {
    shown(&reviewer(vec![policy]).review(&create(pod("{}", "{}")), Phase::Validate))
}

fn decided_update(policy: Policy, old: Json<'static>, new: Json<'static>) -> String {
    shown(&reviewer(vec![policy]).review(&update(old, new), Phase::Validate))
}

#[test]
fn an_error_is_denied_unless_the_pack_only_warns_or_audits() {
    for (action, want) in [
        (
            Action::Deny,
            "denied\ndeny probe@1.0.0/memory-limits: cannot be evaluated: no such key: nowhere ()",
        ),
        (
            Action::Warn,
            "allowed\nwarn probe@1.0.0/memory-limits: cannot be evaluated: no such key: nowhere ()",
        ),
        (
            Action::Audit,
            "allowed\naudit probe@1.0.0/memory-limits: cannot be evaluated: no such key: nowhere ()",
        ),
    ] {
        assert_eq!(decided(with_rule(object(&["nowhere"]), |rule| rule.action = action)), want);
    }
    let not_boolean = decided(with_rule(text("yes"), |_| {}));
    assert_eq!(
        not_boolean,
        "denied\ndeny probe@1.0.0/memory-limits: cannot be evaluated: the result is not a boolean ()"
    );
}

#[test]
fn a_rule_that_runs_forever_is_denied_even_behind_or_true() {
    let want = "denied\ndeny probe@1.0.0/memory-limits: cannot be evaluated: it costs more than its budget (); make the rule cheaper in its pack: less nesting of macros, or a shorter list to go through; nothing in this object helps";
    assert_eq!(decided(with_rule(endless(), |_| {})), want);
    assert_eq!(decided(with_rule(Expr::Or(vec![endless(), constant(true)]), |_| {})), want);
}

/// The API server judges the same conditions: an error inside one gives what CEL says, on both sides. Exhausted fuel denies in all of them.
#[test]
fn errors_inside_operators_are_those_of_cel_and_fuel_is_not() {
    let fails = || object(&["nowhere"]);
    let none = || Expr::Call(Func::OptionalNone, Vec::new());
    let of = |value: Expr| Expr::Call(Func::OptionalOf, vec![value]);
    let or_value = |optional: Expr, other: Expr| Expr::Call(Func::OrValue, vec![optional, other]);
    let exists = |body: Expr| {
        let range = Expr::Call(Func::Range, vec![Expr::Const(Const::Int(2))]);
        Expr::Macro(Box::new(Macro {
            kind: MacroKind::Exists,
            range,
            slot: 3,
            slot2: None,
            filter: None,
            body,
        }))
    };
    let last = || Expr::Call(Func::Equal, vec![Expr::Slot(3), Expr::Const(Const::Int(1))]);
    let conditions = |bad: &dyn Fn() -> Expr| {
        [
            ("bad || true", Expr::Or(vec![bad(), constant(true)]), true),
            ("bad || false", Expr::Or(vec![bad(), constant(false)]), false),
            ("bad && true", Expr::And(vec![bad(), constant(true)]), false),
            ("bad && false", Expr::And(vec![bad(), constant(false)]), false),
            ("!(bad && false)", Expr::Not(Box::new(Expr::And(vec![bad(), constant(false)]))), true),
            (
                "bad ? true : true",
                Expr::Cond(bad().into(), constant(true).into(), constant(true).into()),
                false,
            ),
            ("exists(i, bad)", exists(bad()), false),
            ("exists(i, i == 1 || bad)", exists(Expr::Or(vec![last(), bad()])), true),
            ("optional.none().orValue(bad)", or_value(none(), bad()), false),
            ("optional.of(bad).orValue(true)", or_value(of(bad()), constant(true)), false),
        ]
    };
    for (text, condition, holds) in conditions(&fails) {
        let said = decided(with_rule(condition, |_| {}));
        assert_eq!(said.starts_with("allowed"), holds, "{text}: {said}");
    }
    for (text, condition, _) in conditions(&endless) {
        let said = decided(with_rule(condition, |_| {}));
        assert!(said.starts_with("denied") && said.contains("more than its budget"), "{text}: {said}");
    }
}

#[test]
fn many_rules_that_run_forever_share_a_budget() {
    let mut policy = with_rule(endless(), |_| {});
    let rule = policy.admission.rules.first().unwrap().clone();
    policy.admission.rules = vec![rule; 10_000];
    let decision = reviewer(vec![policy]).review(&create(pod("{}", "{}")), Phase::Validate);
    assert_eq!(decision.findings.len(), 10_000);
    assert!(!decision.allowed);
}

#[test]
fn a_computed_message_falls_back_to_the_written_one() {
    let said = |expression: Expr| {
        decided(with_rule(constant(false), |rule| {
            rule.validations.first_mut().unwrap().message_expression = Some(cel(expression));
        }))
    };
    for (expression, message) in [
        (text("computed"), "computed"),
        (text(" "), "it is wrong"),
        (text("two\nlines"), "it is wrong"),
        (constant(true), "it is wrong"),
        (object(&["nowhere"]), "it is wrong"),
        (object(&["metadata", "name"]), "p"),
    ] {
        assert_eq!(said(expression), format!("denied\ndeny probe@1.0.0/memory-limits: {message} ()"));
    }
    let bare =
        decided(with_rule(constant(false), |rule| rule.validations.first_mut().unwrap().message = None));
    assert_eq!(bare, "denied\ndeny probe@1.0.0/memory-limits: failed expression: the expression ()");
}

#[test]
fn one_false_condition_settles_it_and_an_error_denies() {
    let with = |conditions: Vec<Expr>| {
        let conditions = conditions.into_iter().map(|one| ("only".to_owned(), cel(one))).collect();
        decided(with_rule(constant(false), |rule| rule.matches.conditions = conditions))
    };
    assert_eq!(with(vec![constant(false)]), "allowed");
    assert_eq!(with(vec![object(&["nowhere"]), constant(false)]), "allowed");
    let error = "denied\ndeny probe@1.0.0/memory-limits: condition `only` cannot be evaluated: no such key: nowhere ()";
    assert_eq!(with(vec![constant(true), object(&["nowhere"])]), error);
}

#[test]
fn a_rule_reads_the_request_and_the_namespace() {
    let select = |root, field: &str| Expr::Select(Box::new(Expr::Root(root)), field.to_owned());
    let is = |expr, value: &str| Expr::Call(Func::Equal, vec![expr, text(value)]);
    let all = Expr::And(vec![
        is(Expr::Select(Box::new(select(Root::NamespaceObject, "metadata")), "name".into()), "agents"),
        is(select(Root::Request, "operation"), "CREATE"),
    ]);
    assert_eq!(decided(with_rule(all, |_| {})), "allowed");
}

#[test]
fn annotations_are_recorded_and_a_wrong_one_counts_as_a_failure() {
    let annotated = |expr: Expr| {
        let policy =
            with_rule(constant(true), |rule| rule.audit_annotations = vec![("who".into(), cel(expr))]);
        reviewer(vec![policy]).review(&create(pod("{}", "{}")), Phase::Validate)
    };
    let good = annotated(object(&["metadata", "name"]));
    assert!(
        good.allowed && good.audit_annotations.contains(&("memory-limits.who".to_owned(), "p".to_owned()))
    );
    assert!(annotated(Expr::Const(Const::Null)).allowed);
    assert!(!annotated(constant(true)).allowed);
    assert!(!annotated(object(&["nowhere"])).allowed);
}

#[test]
fn rules_over_other_resources_see_the_object_itself() {
    let policy = with_rule(object(&["data", "safe"]), |rule| {
        rule.matches.resources.first_mut().unwrap().resources = vec!["configmaps".into()];
    });
    let map = |data: &str| {
        let text = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "agents"}, "data": DATA}"#;
        create(json(&text.replace("DATA", data)))
    };
    let reviewer = reviewer(vec![policy]);
    assert!(reviewer.review(&map(r#"{"safe": true}"#), Phase::Validate).allowed);
    assert!(!reviewer.review(&map(r#"{"safe": false}"#), Phase::Validate).allowed);
}

#[test]
fn the_ratchet_never_excuses_what_reads_the_request_or_was_never_asked_before() {
    let old = || pod("{}", "{}");
    let new = || with(old(), r#"{"metadata": {"annotations": {"a": "b"}}}"#);
    let named = |name: &str| Expr::Call(Func::Equal, vec![object(&["metadata", "name"]), text(name)]);
    let relaxed = decided_update(with_rule(named("other"), |_| {}), old(), new());
    expect![[r#"
        allowed
        warn probe@1.0.0/memory-limits: it is wrong (was there before this update) ()"#]]
    .assert_eq(&relaxed);
    let by_user = Expr::Call(
        Func::Equal,
        vec![Expr::Select(Box::new(Expr::Root(Root::Request)), "name".into()), text("x")],
    );
    let update_only = with_rule(named("other"), |rule| {
        rule.matches.resources.first_mut().unwrap().operations = vec!["UPDATE".into()];
    });
    for policy in [
        with_rule(Expr::And(vec![named("other"), by_user]), |_| {}),
        with_rule(constant(false), |_| {}),
        with_rule(Expr::And(vec![named("p"), endless()]), |_| {}),
        update_only,
    ] {
        let decision = decided_update(policy, old(), new());
        assert!(decision.starts_with("denied"), "{decision}");
    }
}

#[test]
fn a_rule_that_a_condition_over_the_request_may_have_kept_out_excuses_nothing() {
    let named = |field: &str| Expr::Select(Box::new(Expr::Root(Root::Request)), field.to_owned());
    let updates = Expr::Call(Func::Equal, vec![named("operation"), text("UPDATE")]);
    let unlabelled =
        || with(pod("{}", "{}"), r#"{"metadata": {"labels": {"bailiwick.dev/cell": "0123456789abcdef"}}}"#);
    let touched = || with(unlabelled(), r#"{"metadata": {"annotations": {"a": "b"}}}"#);
    let stated = || Expr::Has(Box::new(object(&["spec"])), "priorityClassName".to_owned());
    let conditioned = |condition: Option<Expr>| {
        let policy = with_rule(stated(), |rule| {
            rule.matches.conditions =
                condition.map(|expr| ("when".to_owned(), cel(expr))).into_iter().collect();
        });
        decided_update(policy, unlabelled(), touched())
    };
    assert!(conditioned(None).starts_with("allowed\nwarn"), "{}", conditioned(None));
    let same = Expr::Has(Box::new(object(&["spec"])), "containers".to_owned());
    assert!(conditioned(Some(same)).starts_with("allowed\nwarn"));
    // The object may have been created when the condition did not hold, and was never judged.
    assert!(conditioned(Some(updates.clone())).starts_with("denied"), "{}", conditioned(Some(updates)));
}

#[test]
fn names_of_annotations_are_as_long_as_the_api_server_takes_them() {
    let key = "k".repeat(60);
    let decision = reviewer(vec![with_rule(constant(true), |rule| {
        rule.audit_annotations = vec![(key.clone(), cel(text("said")))];
    })])
    .review(&create(pod("{}", "{}")), Phase::Validate);
    let (name, _) = decision.audit_annotations.iter().find(|(_, value)| value == "said").unwrap();
    assert!(name.len() <= 63 && name.starts_with("memory-limits.kkk"), "{name}");
}
