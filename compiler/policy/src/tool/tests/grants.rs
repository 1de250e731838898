//! Points 1, 2, 3, 6 and 7 of "Tool rules": schemas, which rules take part, which win, and what is reported.

use serde_json::json;

use super::build::*;
use crate::ir::{Const, Expr, Func, MacroKind, Root};
use crate::policy::tools::{Otherwise, Resource, RuleEffect, ToolPattern, ToolRule};
use crate::tool::{DenyReason, Effect, RuleKind, RuleOutcome, State, Subject, ToolCall};

fn allow() -> ToolRule {
    rule("allow", RuleEffect::Allow)
}

/// The outcome of the first call under a policy with one defining layer.
fn first<const N: usize>(rules: [ToolRule; N]) -> String {
    shown(&World::new(vec![defining(rules)]).run("ls"))
}

#[test]
fn a_tool_that_no_layer_defines_is_denied() {
    let mut world = World::new(vec![defining([allow()])]);
    let decision = world.decide(&call_with("c1", "shell.other", json!({})), None);
    denial(&decision, DenyReason::UnknownTool);
    // A grant for every tool does not define one.
    let mut every = allow();
    every.tools = vec![ToolPattern::Prefix(String::new())];
    let mut world = World::new(vec![ruling([every])]);
    denial(&world.run("ls"), DenyReason::UnknownTool);
}

#[test]
fn arguments_must_match_the_schema_of_every_definition() {
    let mut world = World::new(vec![defining([allow()])]);
    for args in [json!({}), json!({"command": 1}), json!({"command": "ls", "unknown": 1})] {
        denial(&world.decide(&call_with("c1", "shell.exec", args), None), DenyReason::Arguments);
    }
    assert_eq!(shown(&world.run("ls")), "Allow");
    let mut short = defining([allow()]);
    short.definitions[0].input["properties"]["command"]["maxLength"] = json!(3);
    let mut world = World::new(vec![defining([allow()]), short]);
    assert_eq!(shown(&world.run("ls")), "Allow");
    denial(&world.run("ls -l"), DenyReason::Arguments);
}

#[test]
fn two_definitions_of_one_tool_must_run_the_same() {
    let mut other = defining([allow()]);
    other.definitions[0].run.sandbox = "other".to_owned();
    let mut world = World::new(vec![defining([allow()]), other]);
    denial(&world.run("ls"), DenyReason::DefinitionConflict);
}

#[test]
fn a_rule_takes_part_when_a_pattern_matches_and_its_condition_holds() {
    for (patterns, takes_part) in [
        (vec![ToolPattern::Exact("shell.exec".into())], true),
        (vec![ToolPattern::Exact("shell".into()), ToolPattern::Prefix("shell.".into())], true),
        (vec![ToolPattern::Prefix(String::new())], true),
        (vec![ToolPattern::Exact("shell.exe".into())], false),
        (vec![ToolPattern::Prefix("python.".into())], false),
    ] {
        let refusing = ToolRule { tools: patterns.clone(), ..rule("deny", deny()) };
        let expected = if takes_part { "Rule" } else { "Allow" };
        assert_eq!(first([allow(), refusing]), expected, "{patterns:?}");
    }
    assert_eq!(first([allow(), when(rule("deny", deny()), boolean(false))]), "Allow");
    assert_eq!(first([allow(), when(rule("deny", deny()), command_is("ls"))]), "Rule");
    assert_eq!(first([when(allow(), command_is("rm"))]), "NoRule");
}

#[test]
fn what_beats_what() {
    let ask_rule = || rule("ask", RuleEffect::Ask(ask(1)));
    let confirm = || rule("confirm", RuleEffect::Confirm(ask(1)));
    let full = || rule("full", throttle("all", 0));
    let none = || rule("none", throttle("all", 9));
    let refuse = || rule("deny", deny());
    assert_eq!(first([]), "NoRule");
    assert_eq!(first([allow()]), "Allow");
    assert_eq!(first([ask_rule()]), "Ask");
    assert_eq!(first([allow(), ask_rule()]), "Allow");
    assert_eq!(first([ask_rule(), allow()]), "Allow");
    assert_eq!(first([allow(), confirm()]), "Ask");
    assert_eq!(first([confirm()]), "NoRule");
    assert_eq!(first([allow(), none()]), "Allow");
    assert_eq!(first([none()]), "NoRule");
    assert_eq!(first([allow(), full()]), "Throttled");
    assert_eq!(first([ask_rule(), full()]), "Throttled");
    assert_eq!(first([allow(), refuse()]), "Rule");
    assert_eq!(first([refuse(), allow(), ask_rule(), confirm(), full()]), "Rule");
}

#[test]
fn otherwise_decides_where_no_grant_matches() {
    let mut layer = defining([when(allow(), command_is("ls"))]);
    layer.definitions[0].otherwise = Otherwise::Ask(ask(1));
    let mut world = World::new(vec![layer.clone()]);
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(shown(&world.run("rm")), "Ask");
    layer.definitions[0].otherwise = Otherwise::Deny(crate::policy::tools::Deny {
        reason: Some("not this one".into()),
        remedy: Some("use ls".into()),
    });
    let mut world = World::new(vec![layer]);
    let decision = world.run("rm");
    let denied = denial(&decision, DenyReason::NoRule);
    assert_eq!((denied.message.as_str(), denied.remedy.as_deref()), ("not this one", Some("use ls")));
}

#[test]
fn a_denial_says_which_rule_why_and_what_to_do() {
    let mut world = World::new(vec![defining([allow(), rule("no", deny())])]);
    let decision = world.run("ls");
    let denied = denial(&decision, DenyReason::Rule);
    assert_eq!(denied.pack.as_deref(), Some("pack0@1.0.0"));
    assert_eq!(denied.rule.as_deref(), Some("no"));
    assert_eq!((denied.message.as_str(), denied.remedy.as_deref()), ("forbidden", Some("do otherwise")));
}

#[test]
fn an_error_in_a_restriction_denies_and_in_a_grant_grants_nothing() {
    for effect in [deny(), throttle("all", 9), RuleEffect::Confirm(ask(1))] {
        let failing = when(rule("fails", effect.clone()), fails());
        assert_eq!(first([allow(), failing]), "EvaluationError", "{effect:?}");
    }
    for effect in [RuleEffect::Allow, RuleEffect::Ask(ask(1))] {
        let failing = || when(rule("fails", effect.clone()), fails());
        assert_eq!(first([failing()]), "NoRule", "{effect:?}");
        assert_eq!(first([failing(), allow()]), "Allow", "{effect:?}");
        let mut world = World::new(vec![defining([failing(), allow()])]);
        let decision = world.run("ls");
        assert!(matches!(decision.rules[0].outcome, RuleOutcome::Failed(_)), "recorded");
    }
    // A value that is not a boolean is an error too.
    let number = || Expr::Const(Const::Int(1));
    assert_eq!(first([allow(), when(rule("deny", deny()), number())]), "EvaluationError");
    assert_eq!(first([when(allow(), number())]), "NoRule");
}

#[test]
fn exhausted_fuel_denies_whatever_the_rule_is_for_and_whatever_came_out() {
    for effect in [RuleEffect::Allow, RuleEffect::Ask(ask(1)), deny(), throttle("all", 9)] {
        let costly = when(rule("costly", effect.clone()), endless());
        assert_eq!(first([allow(), costly]), "FuelExhausted", "{effect:?}");
    }
    // The rules of one call share a budget.
    let costly = |at: usize| {
        let range = Expr::Call(Func::Range, vec![Expr::Const(Const::Int(450_000))]);
        let some = Expr::Call(Func::Size, vec![range]);
        let holds = Expr::Call(Func::Less, vec![some, Expr::Const(Const::Int(0))]);
        when(rule(&format!("r{at}"), deny()), holds)
    };
    let mut layer = defining([allow()]);
    layer.rules.extend((0..10).map(costly));
    assert_eq!(shown(&World::new(vec![layer.clone()]).run("ls")), "Allow");
    layer.rules.extend((10..40).map(costly));
    assert_eq!(shown(&World::new(vec![layer]).run("ls")), "FuelExhausted");
}

#[test]
fn all_that_took_part_is_reported_and_nothing_else() {
    let rules = [
        allow(),
        when(rule("absent", deny()), boolean(false)),
        rule("rate", throttle("minute", 5)),
        rule("careful", RuleEffect::Confirm(ask(1))),
    ];
    let decision = World::new(vec![defining(rules)]).run("ls");
    let reported: Vec<_> = decision
        .rules
        .iter()
        .map(|report| (report.rule.as_str(), report.kind, report.outcome.clone()))
        .collect();
    assert_eq!(
        reported,
        [
            ("allow", RuleKind::Allow, RuleOutcome::Applied),
            ("rate", RuleKind::Throttle, RuleOutcome::WithinLimit),
            ("careful", RuleKind::Confirm, RuleOutcome::Applied),
        ]
    );
}

#[test]
fn every_layer_that_names_the_tool_must_grant_and_the_others_may_only_restrict() {
    let silent = ruling([]);
    let refusing = ruling([when(rule("deny", deny()), command_is("rm"))]);
    let granting = ruling([when(allow(), command_is("ls"))]);
    let mut world = World::new(vec![defining([allow()]), silent]);
    assert_eq!(shown(&world.run("rm")), "Allow");
    let mut world = World::new(vec![defining([allow()]), refusing]);
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(shown(&world.run("rm")), "Rule");
    // A layer whose grant matches the tool names it, even where the grant's condition is false.
    let mut world = World::new(vec![defining([allow()]), granting]);
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(shown(&world.run("rm")), "NoRule");
    // A layer that defines the tool names it.
    let mut world = World::new(vec![defining([allow()]), defining([])]);
    assert_eq!(shown(&world.run("ls")), "NoRule");
    // Budgets of a layer apply even if it does not name the tool.
    let mut budgeted = ruling([]);
    budgeted.budgets = vec![budget("calls", Resource::Calls, 1_000, None)];
    let mut world = World::new(vec![defining([allow()]), budgeted]);
    assert_eq!(shown(&world.run("ls")), "Allow");
    assert_eq!(shown(&world.run("ls")), "BudgetExhausted");
}

#[test]
fn conditions_see_call_subject_session_and_now() {
    let text = |text: &str| Expr::Const(Const::Str(text.into()));
    let int = |number| Expr::Const(Const::Int(number));
    let same = |left, right| Expr::Call(Func::Equal, vec![left, right]);
    let time = |text: &str| Expr::Call(Func::ToTimestamp, vec![Expr::Const(Const::Str(text.to_owned()))]);
    let first_of = |list| Expr::Index(Box::new(list), Box::new(int(0)));
    let double = |number| Expr::Const(Const::Double(number));
    let minute = Expr::Call(Func::ToDuration, vec![text("60s")]);
    let all = vec![
        same(path(Root::Call, "tool"), text("shell.exec")),
        same(path(Root::Call, "args.command"), text("ls")),
        same(path(Root::Subject, "agent"), text("coder")),
        same(path(Root::Subject, "user"), text("dave@example.org")),
        same(path(Root::Subject, "namespace"), text("agents")),
        same(first_of(path(Root::Subject, "groups")), text("dev")),
        same(path(Root::Subject, "labels.team"), text("blue")),
        same(first_of(path(Root::Subject, "chain")), text("erin@example.org")),
        same(path(Root::Session, "id"), text("s1")),
        same(path(Root::Session, "age"), minute),
        same(path(Root::Session, "calls"), int(1)),
        same(path(Root::Session, "counters.all"), int(1)),
        same(path(Root::Session, "budgets.cpu.limit"), double(20.0)),
        same(path(Root::Session, "budgets.cpu.used"), double(8.0)),
        same(path(Root::Session, "budgets.cpu.left"), double(12.0)),
        same(Expr::Root(Root::Now), time("2027-01-15T08:01:00Z")),
    ];
    for holds in all {
        let second = when(rule("second", RuleEffect::Allow), holds.clone());
        let counts = rule("counts", throttle("all", 9));
        let mut layer = defining([when(allow(), command_is("begin")), second, counts]);
        layer.budgets = vec![budget("cpu", Resource::CpuSeconds, 20_000, None)];
        let mut world = World::new(vec![layer]);
        assert_eq!(shown(&world.run("begin")), "Allow");
        world.now_ms += MINUTE_MS;
        assert_eq!(shown(&world.run("ls")), "Allow", "{holds:?}");
    }
}

#[test]
fn the_session_must_be_there_and_the_subjects_own() {
    let mut world = World::new(vec![defining([allow()])]);
    let stranger = Subject { agent: "other".into(), ..subject() };
    for (session, subject) in [("s2", subject()), ("s1", stranger)] {
        let args = crate::json::Json::parse(br#"{"command": "ls"}"#).unwrap();
        let call = ToolCall::new("c1", session, subject, "shell.exec", args).unwrap();
        denial(&world.decide(&call, None), DenyReason::UnknownSession);
    }
    world.state.apply(&State::close("s1", START_MS)).unwrap();
    denial(&world.run("ls"), DenyReason::UnknownSession);
}

fn only_runs(names: &[&str]) -> Expr {
    let names = names.iter().map(|name| Const::Str((*name).to_owned())).collect();
    Expr::Call(Func::OnlyRuns, vec![path(Root::Facts, "shell"), Expr::Const(Const::List(names))])
}

/// `facts.commands.exists(c, c.name == name && arg in c.args)`.
fn runs_with(name: &str, arg: &str) -> Expr {
    let text = |text: &str| Expr::Const(Const::Str(text.to_owned()));
    let member = |field: &str| Expr::Select(Box::new(Expr::Slot(0)), field.to_owned());
    let body = Expr::And(vec![
        Expr::Call(Func::Equal, vec![member("name"), text(name)]),
        Expr::Call(Func::In, vec![text(arg), member("args")]),
    ]);
    Expr::Macro(Box::new(crate::ir::Macro {
        kind: MacroKind::Exists,
        range: path(Root::Facts, "commands"),
        slot: 0,
        slot2: None,
        filter: None,
        body,
    }))
}

#[test]
fn facts_of_a_command_line_grant_and_deny() {
    let mut world = World::new(vec![defining([
        when(allow(), only_runs(&["ls", "cat", "git"])),
        when(rule("no-push", deny()), runs_with("git", "push")),
    ])]);
    for (line, expected) in [
        ("ls -l | cat", "Allow"),
        ("cat /etc/passwd > x", "NoRule"),
        ("rm -rf /", "NoRule"),
        ("ls $(rm x)", "NoRule"),
        ("git status", "Allow"),
        ("git push --force", "Rule"),
        ("ls; git push", "Rule"),
        // The second word is not known: a restriction that reads it denies.
        ("git $X", "EvaluationError"),
        ("git push $X", "Rule"),
        ("$X", "EvaluationError"),
        ("ls $X", "Allow"),
        ("[[ $x -eq 1 ]]", "EvaluationError"),
    ] {
        assert_eq!(shown(&world.run(line)), expected, "{line}");
    }
}

#[test]
fn an_opaque_read_that_was_absorbed_grants_nothing() {
    let absorbed = Expr::Or(vec![only_runs(&["ls"]), boolean(true)]);
    let mut world = World::new(vec![defining([when(allow(), absorbed.clone())])]);
    assert_eq!(shown(&world.run("rm")), "Allow");
    assert_eq!(shown(&world.run("$X")), "NoRule");
    // In a restriction it is absorbed by CEL's rules, which here denies.
    let mut world = World::new(vec![defining([allow(), when(rule("deny", deny()), absorbed)])]);
    assert_eq!(shown(&world.run("$X")), "Rule");
}

#[test]
fn what_a_definition_does_not_derive_is_opaque() {
    let is_opaque = |name: &str| Expr::Call(Func::IsOpaque, vec![path(Root::Facts, name)]);
    let known = Expr::Not(Box::new(is_opaque("commands")));
    let all = ["path", "url", "git"].map(is_opaque).into_iter().chain([known]).collect();
    assert_eq!(first([when(allow(), Expr::And(all))]), "Allow");
    // A layer that does not define the tool sees what all definitions derive.
    let deriving = || defining([allow()]);
    let mut plain = defining([allow()]);
    plain.definitions[0].derive.clear();
    let reading = || ruling([when(rule("reads", deny()), runs_with("git", "push"))]);
    let decides = |layers| shown(&World::new(layers).run("ls"));
    assert_eq!(decides(vec![deriving(), reading()]), "Allow");
    assert_eq!(decides(vec![plain.clone(), reading()]), "EvaluationError");
    assert_eq!(decides(vec![deriving(), plain, reading()]), "EvaluationError");
}

#[test]
fn decisions_hold_what_was_derived() {
    let decision = World::new(vec![defining([allow()])]).run("ls $X");
    assert_eq!(
        decision.record().facts,
        json!([{
            "derive": {"shell": "command"},
            "facts": {"commands": [{
                "name": "ls", "args": [{"opaque": true}, {"opaque": true}], "redirects": [], "assignments": [],
            }]},
        }])
    );
    assert!(matches!(decision.effect, Effect::Allow(_)));
}

/// `facts.PATH == value`.
fn fact_is(fields: &str, value: Const) -> Expr {
    Expr::Call(Func::Equal, vec![path(Root::Facts, fields), Expr::Const(value)])
}

#[test]
fn paths_urls_and_git_command_lines_are_facts() {
    use crate::policy::tools::Derive;
    let text = |text: &str| Const::Str(text.to_owned());
    let cases = [
        (
            Derive::Path("command".into()),
            "../etc//passwd",
            fact_is("path.absolute", text("/etc/passwd")),
            true,
        ),
        (Derive::Path("command".into()), "./a//b/", fact_is("path.inWorkspace", text("a/b")), true),
        (Derive::Path("command".into()), "a/../b", fact_is("path.inWorkspace", text("b")), false),
        (Derive::Path("command".into()), "/etc/passwd", fact_is("path.inWorkspace", Const::Null), true),
        (Derive::Path("command".into()), "../../x", fact_is("path.absolute", text("/x")), false),
        (Derive::Url("command".into()), "http://2130706433/a", fact_is("url.host", text("127.0.0.1")), true),
        (Derive::Url("command".into()), "http://2130706433/a", path(Root::Facts, "url.isPrivate"), true),
        (Derive::Url("command".into()), "https://example.org/", fact_is("url.port", Const::Int(443)), true),
        (Derive::Url("command".into()), "no url", path(Root::Facts, "url.isPrivate"), false),
        (Derive::Git("command".into()), "git push -f origin", path(Root::Facts, "git.force"), true),
        (Derive::Git("command".into()), "git push origin", fact_is("git.remote", text("origin")), true),
    ];
    for (derive, argument, holds, granted) in cases {
        let mut layer = defining([when(allow(), holds.clone())]);
        layer.definitions[0].derive = vec![derive];
        let expected = if granted { "Allow" } else { "NoRule" };
        assert_eq!(shown(&World::new(vec![layer]).run(argument)), expected, "{argument}: {holds:?}");
    }
    // Two arguments, one fact: it is not clear which is meant.
    let mut layer = defining([when(allow(), path(Root::Facts, "url.isPrivate"))]);
    layer.definitions[0].derive = vec![Derive::Url("command".into()), Derive::Url("note".into())];
    let call =
        call_with("c1", "shell.exec", json!({"command": "http://127.0.0.1/", "note": "http://127.0.0.1/"}));
    assert_eq!(shown(&World::new(vec![layer]).decide(&call, None)), "NoRule");
}

#[test]
fn the_paths_of_the_built_in_tools_are_facts() {
    let mut below = when(allow(), fact_is("path.inWorkspace", Const::Str("src/a".into())));
    below.tools = vec![ToolPattern::Exact("workspace.read".into())];
    let mut world = World::new(vec![ruling([below])]);
    let read = |path: &str| call_with("r1", "workspace.read", json!({"path": path}));
    denial(&world.decide(&read("src/../b"), None), DenyReason::NoRule);
    // The clerk refuses it: what it would have led to is not known.
    denial(&world.decide(&read("/src/a"), None), DenyReason::NoRule);
    assert_eq!(shown(&world.decide(&read("src/./a"), None)), "Allow");
}
