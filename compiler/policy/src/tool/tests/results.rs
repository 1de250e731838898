//! Point 8 of "Tool rules", phase `Result`: what is withheld, what is redacted, what is labelled.

use proptest::collection::vec;
use proptest::prelude::*;

use super::build::*;
use crate::ir::{Cel, Const, Expr, Func, Root};
use crate::policy::tools::{Mode, Phase, RuleEffect, ToolLayer, ToolRule};
use crate::tool::{
    CallResult, Change, DenyReason, LoadedPolicy, Redactions, ResultDecision, ResultEffect, ResultInputs,
    RuleKind, RuleOutcome,
};

fn allow() -> ToolRule {
    rule("allow", RuleEffect::Allow)
}

fn text(text: &str) -> Expr {
    Expr::Const(Const::Str(text.to_owned()))
}

fn stdout() -> Expr {
    path(Root::Result, "stdout")
}

fn contains(what: &str) -> Expr {
    Expr::Call(Func::Contains, vec![stdout(), text(what)])
}

/// A rule over results that withholds.
fn withholds(name: &str, condition: Expr) -> ToolRule {
    when(ToolRule { phase: Phase::Result, ..rule(name, deny()) }, condition)
}

fn labels(name: &str, condition: Expr) -> ToolRule {
    let effect = RuleEffect::Label { add: vec!["secret".to_owned()], remove: Vec::new() };
    when(ToolRule { phase: Phase::Result, ..rule(name, effect) }, condition)
}

/// A rule that replaces a text with `expr`.
fn redacts(name: &str, member: &str, expr: Expr) -> ToolRule {
    let map = Expr::Map(vec![(text(member), expr, false)]);
    let redact = Some(Cel { source: "redact".to_owned(), expr: map, slots: 4 });
    ToolRule { phase: Phase::Result, redact, ..rule(name, RuleEffect::Redact) }
}

fn replaces(name: &str, from: &str, to: &str) -> ToolRule {
    redacts(name, "stdout", Expr::Call(Func::Replace, vec![stdout(), text(from), text(to)]))
}

fn printed(bytes: &[u8]) -> CallResult {
    CallResult {
        outcome: "Exited".to_owned(),
        exit_code: Some(0),
        stdout: bytes.to_vec(),
        ..CallResult::default()
    }
}

/// The decision on a result of `shell.exec`.
fn judged(layers: Vec<ToolLayer>, result: &CallResult) -> Option<ResultDecision> {
    let policy = loaded(layers);
    let inputs = ResultInputs::of(&policy, &call("c1", "ls"), &opened(), START_MS)?;
    let decision = inputs.decide(&policy, result);
    // Its serialised inputs give the same decision.
    let written = serde_json::to_value(&decision.inputs).unwrap();
    let read: ResultInputs = serde_json::from_value(written).unwrap();
    assert_eq!(read.decide(&policy, result), decision);
    Some(decision)
}

fn over(rules: Vec<ToolRule>, result: &[u8]) -> ResultDecision {
    let mut layer = defining([allow()]);
    layer.rules.extend(rules);
    judged(vec![layer], &printed(result)).unwrap()
}

#[track_caller]
fn withheld(decision: &ResultDecision, reason: DenyReason) {
    match &decision.effect {
        ResultEffect::Withhold(denial) if denial.reason == reason => {}
        other => panic!("expected {reason:?}, got {other:?}"),
    }
}

#[track_caller]
fn delivers(decision: &ResultDecision, stdout: Option<&str>) {
    let expected = Redactions { stdout: stdout.map(str::to_owned), ..Redactions::default() };
    assert_eq!(decision.effect, ResultEffect::Deliver(expected));
}

#[test]
fn without_a_rule_nothing_is_judged_and_by_default_it_is_delivered() {
    assert_eq!(judged(vec![defining([allow()])], &printed(b"x")), None);
    assert!(!loaded(vec![defining([allow()])]).judges_results("shell.exec"));
    let decision = over(vec![withholds("keys", contains("BEGIN"))], b"nothing of the kind");
    delivers(&decision, None);
    assert_eq!(decision.rules, []);
    // A rule on results takes no part in the call.
    let mut world = World::new(vec![defining([allow(), withholds("all", boolean(true))])]);
    assert_eq!(shown(&world.run("ls")), "Allow");
}

#[test]
fn a_deny_withholds_and_says_why() {
    let decision = over(vec![withholds("keys", contains("BEGIN"))], b"-----BEGIN PRIVATE KEY-----");
    let ResultEffect::Withhold(denial) = &decision.effect else { panic!("{decision:?}") };
    assert_eq!((denial.reason, denial.rule.as_deref()), (DenyReason::Rule, Some("keys")));
    assert_eq!((denial.message.as_str(), denial.remedy.as_deref()), ("forbidden", Some("do otherwise")));
    let report = &decision.rules[0];
    assert_eq!((report.kind, &report.outcome), (RuleKind::Deny, &RuleOutcome::Applied));
}

#[test]
fn what_cannot_be_evaluated_withholds() {
    withheld(&over(vec![withholds("no", fails())], b"x"), DenyReason::EvaluationError);
    withheld(&over(vec![withholds("no", endless())], b"x"), DenyReason::FuelExhausted);
    let unlabelled = over(vec![labels("no", fails())], b"x");
    withheld(&unlabelled, DenyReason::EvaluationError);
    assert_eq!(unlabelled.added, ["pack0/secret".to_owned()].into(), "it may have been about the label");
    withheld(&over(vec![when(replaces("no", "a", "b"), fails())], b"x"), DenyReason::EvaluationError);
    let divided = Expr::Call(
        Func::ToString,
        vec![Expr::Call(Func::Divide, vec![Expr::Const(Const::Int(1)), Expr::Const(Const::Int(0))])],
    );
    withheld(&over(vec![redacts("no", "stdout", divided)], b"x"), DenyReason::EvaluationError);
    // Not a text, and not a text of a result.
    withheld(
        &over(vec![redacts("no", "stdout", Expr::Const(Const::Int(1)))], b"x"),
        DenyReason::EvaluationError,
    );
    withheld(&over(vec![redacts("no", "exitCode", text("0"))], b"x"), DenyReason::EvaluationError);
    // Longer than a result may be: the sandbox keeps 1,000 bytes.
    withheld(
        &over(vec![redacts("no", "stdout", text(&"x".repeat(1_001)))], b"x"),
        DenyReason::EvaluationError,
    );
    delivers(&over(vec![redacts("yes", "stdout", text(&"x".repeat(1_000)))], b"x"), Some(&"x".repeat(1_000)));
}

#[test]
fn bytes_that_are_no_text_are_opaque() {
    let odd = b"caf\xe9 BEGIN";
    withheld(&over(vec![withholds("keys", contains("BEGIN"))], odd), DenyReason::EvaluationError);
    withheld(&over(vec![replaces("keys", "BEGIN", "***")], odd), DenyReason::EvaluationError);
    withheld(&over(vec![labels("keys", contains("BEGIN"))], odd), DenyReason::EvaluationError);
    // Absorbed by CEL's rules: a restriction that holds stays in force; that it does not hold may follow from
    // known values alone.
    let known = |value: bool| Expr::And(vec![contains("BEGIN"), boolean(value)]);
    delivers(&over(vec![withholds("keys", known(false))], odd), None);
    withheld(&over(vec![withholds("keys", known(true))], odd), DenyReason::EvaluationError);
    let is_opaque = Expr::Call(Func::IsOpaque, vec![stdout()]);
    withheld(&over(vec![withholds("text-only", is_opaque.clone())], odd), DenyReason::Rule);
    delivers(&over(vec![withholds("text-only", is_opaque)], b"text"), None);
    // Opaque data that is never read is delivered.
    let size =
        Expr::Call(Func::Greater, vec![path(Root::Result, "stdoutSize"), Expr::Const(Const::Int(100))]);
    delivers(&over(vec![withholds("long", size)], odd), None);
}

#[test]
fn a_redaction_replaces_what_is_delivered_and_must_find_nothing_more_to_do() {
    let decision = over(vec![replaces("keys", "hunter2", "***")], b"the password is hunter2\n");
    delivers(&decision, Some("the password is ***\n"));
    assert_eq!(decision.rules[0].kind, RuleKind::Redact);
    delivers(&over(vec![replaces("keys", "hunter2", "***")], b"nothing"), None);
    delivers(&over(vec![when(replaces("keys", "hunter2", "***"), boolean(false))], b"hunter2"), None);
    // Removing the text between two halves of the secret creates it: the rest would be redacted again.
    withheld(&over(vec![replaces("keys", "ab", "")], b"aabb"), DenyReason::TransformUnstable);
    // One after the other, each on the output of the one before.
    let both = vec![replaces("a", "one", "1"), replaces("b", "two", "2")];
    delivers(&over(both, b"one two"), Some("1 2"));
    // The second creates what the first removes.
    let against = vec![replaces("a", "one", "two"), replaces("b", "two", "one")];
    withheld(&over(against, b"one"), DenyReason::TransformUnstable);
}

#[test]
fn a_redaction_keeps_no_deny_from_seeing_the_result_and_none_from_seeing_what_is_left() {
    let redacts = replaces("a", "secret", "***");
    let denies = ruling([withholds("b", contains("secret"))]);
    let layers = vec![defining([allow(), redacts.clone()]), denies];
    withheld(&judged(layers, &printed(b"a secret")).unwrap(), DenyReason::Rule);
    // The output of a redaction is judged as well.
    let layers = vec![defining([allow(), redacts]), ruling([withholds("b", contains("***"))])];
    withheld(&judged(layers, &printed(b"a secret")).unwrap(), DenyReason::Rule);
}

#[test]
fn a_rule_in_shadow_is_reported_and_changes_nothing() {
    let shadow = |rule: ToolRule| ToolRule { mode: Mode::Shadow, ..rule };
    let rules = vec![
        shadow(withholds("no", boolean(true))),
        shadow(withholds("odd", fails())),
        shadow(withholds("endless", endless())),
        shadow(replaces("keys", "hunter2", "***")),
        shadow(labels("label", boolean(true))),
    ];
    let decision = over(rules, b"hunter2");
    delivers(&decision, None);
    assert!(decision.added.is_empty());
    assert_eq!(decision.rules.len(), 5);
    assert!(decision.rules.iter().all(|report| report.mode == Mode::Shadow));
}

#[test]
fn rules_in_shadow_hold_nothing_back_and_take_no_fuel_from_the_others() {
    let shadow = |rule: ToolRule| ToolRule { mode: Mode::Shadow, ..rule };
    let mut layer = defining([allow(), shadow(withholds("no", boolean(true)))]);
    let policy = loaded(vec![layer.clone()]);
    assert!(!policy.judges_results("shell.exec") && policy.asks_of_results("shell.exec"));
    let decision = judged(vec![layer.clone()], &printed(b"x")).unwrap();
    delivers(&decision, None);
    assert_eq!((decision.rules.len(), decision.change()), (1, None));
    // More non-terminating rules than all rules together have fuel for: the last one in effect still has its
    // own.
    layer.rules.extend((0..12).map(|at| shadow(withholds(&format!("endless{at}"), endless()))));
    layer.rules.push(withholds("keys", contains("BEGIN")));
    assert!(loaded(vec![layer.clone()]).judges_results("shell.exec"));
    delivers(&judged(vec![layer.clone()], &printed(b"x")).unwrap(), None);
    withheld(&judged(vec![layer.clone()], &printed(b"BEGIN")).unwrap(), DenyReason::Rule);
    // The same rules in effect: the last one is not even needed.
    layer.rules.iter_mut().for_each(|rule| rule.mode = Mode::Enforce);
    layer.rules.retain(|rule| rule.name != "no");
    withheld(&judged(vec![layer], &printed(b"x")).unwrap(), DenyReason::FuelExhausted);
}

#[test]
fn a_text_that_was_cut_is_withheld_from_rules_that_would_have_to_see_its_end() {
    // The limit cuts off the last character of the secret: no rule finds it.
    let cut = CallResult { dropped: 1, ..printed(b"the password is hunter") };
    let with = |rules: Vec<ToolRule>, result: &CallResult| {
        let mut layer = defining([allow()]);
        layer.rules.extend(rules);
        judged(vec![layer], result).unwrap()
    };
    let denies = || withholds("keys", contains("hunter2"));
    let redacts_it = || replaces("keys", "hunter2", "***");
    for rule in [denies(), redacts_it(), when(redacts("keys", "stdout", text("***")), contains("hunter2"))] {
        delivers_or_redacts(&with(vec![rule.clone()], &CallResult { dropped: 0, ..cut.clone() }));
        let decision = with(vec![rule.clone()], &cut);
        withheld(&decision, DenyReason::EvaluationError);
        let ResultEffect::Withhold(denial) = &decision.effect else { unreachable!() };
        assert!(denial.message.contains("was cut, and not `result.dropped`"), "{denial:?}");
        // In shadow it is reported and has no effect.
        let decision = with(vec![ToolRule { mode: Mode::Shadow, ..rule }], &cut);
        delivers(&decision, None);
        assert!(matches!(decision.rules[0].outcome, RuleOutcome::Failed(_)));
    }
    // By another way than a member's name.
    let index = Expr::Index(Box::new(Expr::Root(Root::Result)), Box::new(text("stdout")));
    let whole = withholds("keys", Expr::Call(Func::Contains, vec![index, text("hunter2")]));
    delivers(&with(vec![whole.clone()], &CallResult { dropped: 0, ..cut.clone() }), None);
    withheld(&with(vec![whole], &cut), DenyReason::EvaluationError);
    // What is present is present.
    let found = CallResult { dropped: 1, ..printed(b"hunter2 hunter") };
    withheld(&with(vec![denies()], &found), DenyReason::Rule);
    // A rule that reads how much is missing decides, and a rule that reads no text need not know.
    let lacks = Expr::Call(Func::Greater, vec![path(Root::Result, "dropped"), Expr::Const(Const::Int(100))]);
    delivers(&with(vec![withholds("keys", Expr::Or(vec![contains("hunter2"), lacks]))], &cut), None);
    let long =
        Expr::Call(Func::Greater, vec![path(Root::Result, "stdoutSize"), Expr::Const(Const::Int(100))]);
    delivers(&with(vec![withholds("long", long)], &cut), None);
    delivers(&with(vec![labels("secret", contains("hunter2"))], &cut), None);
    // A call without kept output has nothing to see, and the content of a file is a text as well.
    delivers(&with(vec![denies()], &CallResult { dropped: 1, ..printed(b"") }), None);
    let file = CallResult { content: Some(b"hunter".to_vec()), dropped: 1, ..printed(b"") };
    withheld(&with(vec![denies()], &file), DenyReason::EvaluationError);
}

#[track_caller]
fn delivers_or_redacts(decision: &ResultDecision) {
    assert!(matches!(decision.effect, ResultEffect::Deliver(_)), "{decision:?}");
}

#[test]
fn a_rule_that_only_what_is_left_concerns_is_reported_too() {
    let makes = vec![withholds("b", contains("***")), replaces("a", "secret", "***")];
    let decision = over(makes, b"a secret");
    withheld(&decision, DenyReason::Rule);
    let names: Vec<&str> = decision.rules.iter().map(|report| report.rule.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let decision = over(vec![replaces("a", "secret", "***")], b"a secret");
    assert_eq!(decision.rules.len(), 1, "what both passes say is said once");
    let ResultEffect::Deliver(redactions) = decision.effect else { panic!("{:?}", decision.effect) };
    assert_eq!(redactions.names(), ["stdout"]);
}

#[test]
fn labels_are_added_whether_it_is_delivered_or_not() {
    for more in [vec![], vec![withholds("no", boolean(true))]] {
        let mut rules = vec![labels("label", contains("secret"))];
        rules.extend(more);
        let decision = over(rules, b"a secret");
        let add = ["pack0/secret".to_owned()].into();
        let expected = Change::Labelled { session: "s1".to_owned(), add, remove: Default::default() };
        assert_eq!(decision.change(), Some(expected));
    }
    assert_eq!(over(vec![labels("label", contains("secret"))], b"nothing").change(), None);
}

#[test]
fn files_and_listings_are_results_too() {
    let about = |mut rule: ToolRule| {
        rule.tools = vec![crate::policy::tools::ToolPattern::Prefix("workspace.".to_owned())];
        rule
    };
    let content = path(Root::Result, "content");
    let replaced = Expr::Call(Func::Replace, vec![content, text("hunter2"), text("***")]);
    let paths = Expr::Call(Func::In, vec![text("id_rsa"), path(Root::Result, "paths")]);
    let policy = loaded(vec![defining([
        about(allow()),
        about(redacts("keys", "content", replaced)),
        about(withholds("names", paths)),
    ])]);
    let judge = |result: &CallResult| {
        let call = call_with("c1", "workspace.read", serde_json::json!({"path": "a"}));
        ResultInputs::of(&policy, &call, &opened(), START_MS).unwrap().decide(&policy, result)
    };
    let file = CallResult { content: Some(b"it is hunter2".to_vec()), ..printed(b"") };
    let expected = Redactions { content: Some("it is ***".to_owned()), ..Redactions::default() };
    assert_eq!(judge(&file).effect, ResultEffect::Deliver(expected));
    // A call that read no file has nothing to redact.
    delivers(&judge(&printed(b"")), None);
    let listing = |name: &str| CallResult { paths: vec![name.to_owned()], ..printed(b"") };
    withheld(&judge(&listing("id_rsa")), DenyReason::Rule);
    delivers(&judge(&listing("notes")), None);
}

#[test]
fn an_effect_of_another_phase_is_refused_and_so_is_the_variable() {
    let refused = |rule: ToolRule| {
        LoadedPolicy::new(policy(vec![defining([allow(), rule])]), "0".repeat(64)).unwrap_err().to_string()
    };
    let of_results = |effect| ToolRule { phase: Phase::Result, ..rule("odd", effect) };
    let said = refused(of_results(RuleEffect::Allow));
    assert!(
        said.contains("a rule of phase `Result` must be one that denies, redacts or adds labels"),
        "{said}"
    );
    let removes = RuleEffect::Label { add: Vec::new(), remove: vec!["secret".to_owned()] };
    refused(of_results(removes));
    refused(of_results(throttle("all", 1)));
    refused(of_results(RuleEffect::Redact));
    refused(ToolRule { phase: Phase::Call, ..replaces("odd", "a", "b") });
    refused(when(rule("early", deny()), contains("x")));
}

fn any_rule() -> impl Strategy<Value = ToolRule> {
    let condition = prop_oneof![
        3 => Just(boolean(true)),
        1 => Just(boolean(false)),
        2 => "[ab]{1,2}".prop_map(|text| contains(&text)),
        1 => Just(fails()),
    ];
    let made = prop_oneof![
        1 => Just(withholds("r", boolean(true))),
        3 => ("[ab]{1,2}", "[abc*]{0,2}").prop_map(|(from, to)| replaces("r", &from, &to)),
        1 => Just(labels("r", boolean(true))),
    ];
    (made, condition).prop_map(|(rule, condition)| when(rule, condition))
}

fn any_layer() -> impl Strategy<Value = ToolLayer> {
    vec(any_rule(), 1..4).prop_map(|rules| {
        let mut layer = defining([allow()]);
        layer.rules.extend(
            rules.into_iter().enumerate().map(|(at, rule)| ToolRule { name: format!("r{at}"), ..rule }),
        );
        layer
    })
}

/// What reaches the caller.
fn reaches(layers: Vec<ToolLayer>, result: &[u8]) -> Option<Vec<u8>> {
    match judged(layers, &printed(result)).unwrap().effect {
        ResultEffect::Withhold(_) => None,
        ResultEffect::Deliver(redactions) => {
            Some(redactions.stdout.map_or_else(|| result.to_vec(), String::into_bytes))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// What two packs deliver together, each of them delivers: it finds nothing in it to withhold or redact.
    /// Both also add their labels.
    #[test]
    fn the_meet_delivers_only_what_each_pack_would(left in any_layer(), right in any_layer(), result in prop_oneof!["[abc]{0,6}".prop_map(String::into_bytes), vec(any::<u8>(), 0..6)]) {
        let met = reaches(vec![left.clone(), right.clone()], &result);
        for layer in [&left, &right] {
            if reaches(vec![layer.clone()], &result).is_none() {
                // An unstable redaction of one pack may be settled by the other; its denials may not.
                let alone = judged(vec![layer.clone()], &printed(&result)).unwrap();
                let ResultEffect::Withhold(denial) = alone.effect else { unreachable!() };
                if denial.reason != DenyReason::TransformUnstable {
                    let first = judged(vec![layer.clone()], &printed(&result)).unwrap();
                    let denied_at_once = first.rules.iter().any(|report| report.kind == RuleKind::Deny || report.outcome != RuleOutcome::Applied);
                    prop_assert!(!denied_at_once || met.is_none(), "{met:?}");
                }
            }
            if let Some(delivered) = &met {
                let again = reaches(vec![layer.clone()], delivered);
                prop_assert_eq!(again.as_ref(), Some(delivered));
            }
        }
        let added = |layers| judged(layers, &printed(&result)).unwrap().added.len();
        prop_assert_eq!(added(vec![left.clone(), right.clone()]), added(vec![left]) + added(vec![right]));
    }
}
