//! Tool sections as proptest makes them, with every kind of rule of every phase, and random calls for them. Rules and layers are written as bundles have them, so that a
//! member that is added with a default of its own changes nothing here.

use bailiwick_policy::ir::{Cel, Const, Expr, Func, Root};
use bailiwick_policy::policy::tools::{
    Ask, Budget, Derive, Otherwise, Phase, Resource, Scope, Tool, ToolLayer, ToolPattern, ToolRule,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::sandboxes::{TOOLS, tool};

/// What a call may have as its command: known programs, and a line whose names are opaque.
pub(super) const COMMANDS: &[&str] = &["ls", "rm", "git push", "$X"];

fn ask() -> impl Strategy<Value = Ask> {
    (select(vec!["oncall", "owners"]), 1_u32..3).prop_map(|(group, quorum)| Ask {
        approvers: group.to_owned(),
        quorum,
        expires_ms: 600_000,
    })
}

/// Every effect of a rule; a new one belongs here, and into what the test of pairs wants to have met.
fn effect() -> impl Strategy<Value = Value> {
    let counter = select(vec!["calls", "minute"]);
    let people = || ask().prop_map(|ask| serde_json::to_value(ask).unwrap());
    prop_oneof![
        6 => Just(json!("allow")),
        2 => people().prop_map(|ask| json!({"ask": ask})),
        1 => Just(json!({"deny": {}})),
        2 => (counter, 0_u64..4).prop_map(|(counter, max)| json!({"throttle": {"counter": counter, "max": max}})),
        1 => people().prop_map(|ask| json!({"confirm": ask})),
        1 => Just(json!({"narrow": {"sandbox": "quiet"}})),
        1 => select(vec!["add", "remove"]).prop_map(|change| json!({"label": {change: ["touched"]}})),
    ]
}

/// What a rule is for: a call, a call with other arguments, its result, the list of tools. As the members of a rule.
fn purpose() -> impl Strategy<Value = Value> {
    let text = |text: &str| Expr::Const(Const::Str(text.to_owned()));
    let map = |member: &str, value: Expr| {
        let expr = Expr::Map(vec![(text(member), value, false)]);
        serde_json::to_value(Cel { source: format!("{expr:?}"), expr, slots: 0 }).unwrap()
    };
    let (command, stdout) = (field(Root::Call, &["args", "command"]), field(Root::Result, &["stdout"]));
    let longer = Expr::Call(Func::Add, vec![command.clone(), text("x")]);
    let arguments = [text("ls"), text("rm"), command, longer].map(|value| map("command", value));
    let cleaned = Expr::Call(Func::Replace, vec![stdout, text("secret"), text("-")]);
    let redactions = [text("nothing"), cleaned].map(|value| map("stdout", value));
    let grants = prop_oneof![2 => Just(json!("allow")), 1 => ask().prop_map(|ask| json!({"ask": ask}))];
    let of_results = select(vec![json!({"deny": {}}), json!({"label": {"add": ["touched"]}})]);
    prop_oneof![
        12 => effect().prop_map(|effect| json!({"effect": effect})),
        2 => (grants, select(arguments.to_vec()))
            .prop_map(|(effect, transform)| json!({"effect": effect, "transform": transform})),
        1 => of_results.prop_map(|effect| json!({"effect": effect, "phase": "Result"})),
        1 => select(redactions.to_vec())
            .prop_map(|redact| json!({"effect": "redact", "redact": redact, "phase": "Result"})),
        1 => Just(json!({"effect": {"deny": {}}, "phase": "List"})),
    ]
}

/// What a rule does and when, so that a test can tell which it met.
pub(super) fn kind(rule: &ToolRule) -> String {
    let name = match serde_json::to_value(&rule.effect).unwrap() {
        serde_json::Value::Object(object) => object.keys().next().unwrap().clone(),
        name => name.as_str().unwrap().to_owned(),
    };
    match rule.phase {
        Phase::Call if rule.transform.is_some() => format!("{name} with other arguments"),
        Phase::Call => name,
        phase => format!("{name} in phase {phase:?}"),
    }
}

fn field(root: Root, path: &[&str]) -> Expr {
    path.iter().fold(Expr::Root(root), |of, name| Expr::Select(Box::new(of), (*name).to_owned()))
}

/// Conditions: of arguments, of facts that may be opaque, of the session, and one that is an error.
fn condition() -> impl Strategy<Value = Option<Cel>> {
    let text = |text: &str| Expr::Const(Const::Str(text.to_owned()));
    let number = |number| Expr::Const(Const::Int(number));
    let command = || field(Root::Call, &["args", "command"]);
    let only_runs = Expr::Call(
        Func::OnlyRuns,
        vec![field(Root::Facts, &["shell"]), Expr::Const(Const::List(vec![Const::Str("ls".to_owned())]))],
    );
    let divided = Expr::Call(Func::Divide, vec![number(1), number(0)]);
    let expressions = vec![
        Expr::Call(Func::Equal, vec![command(), text("ls")]),
        Expr::Call(Func::NotEqual, vec![command(), text("rm")]),
        only_runs.clone(),
        Expr::Or(vec![only_runs, Expr::Const(Const::Bool(true))]),
        Expr::Call(Func::Less, vec![field(Root::Session, &["calls"]), number(2)]),
        Expr::Call(Func::Equal, vec![divided, number(0)]),
        Expr::Call(Func::In, vec![text("touched"), field(Root::Session, &["labels"])]),
    ];
    option::weighted(0.6, select(expressions))
        .prop_map(|expression| expression.map(|expr| Cel { source: format!("{expr:?}"), expr, slots: 0 }))
}

fn pattern() -> impl Strategy<Value = ToolPattern> {
    prop_oneof![
        4 => select(TOOLS.to_vec()).prop_map(|name| ToolPattern::Exact(name.to_owned())),
        1 => Just(ToolPattern::Prefix("python.".to_owned())),
        2 => Just(ToolPattern::Prefix(String::new())),
    ]
}

fn budgets() -> impl Strategy<Value = Vec<Budget>> {
    let resource = select(vec![Resource::Calls, Resource::CpuSeconds, Resource::OutputBytes]);
    let budget = (resource, select(vec![0_u64, 1, 2_000, 100_000]), option::of(Just(60_000)), any::<bool>())
        .prop_map(|(resource, limit_milli, window_ms, session)| Budget {
            name: format!("{resource:?}"),
            resource,
            limit_milli,
            window_ms,
            scope: if session { Scope::Session } else { Scope::Subject },
        });
    option::weighted(0.3, budget).prop_map(|budget| budget.into_iter().collect())
}

fn defined(name: &str) -> Tool {
    let input = serde_json::json!({"type": "object", "properties": {"command": {"type": "string"}}});
    Tool { input, derive: vec![Derive::Shell("command".to_owned())], ..tool(name) }
}

/// A layer of a pack.
pub(super) fn layer() -> impl Strategy<Value = ToolLayer> {
    let otherwise = option::weighted(0.3, ask());
    (
        subsequence(TOOLS.to_vec(), 0..=2),
        otherwise,
        vec(
            (purpose(), pattern(), condition(), select(vec!["Enforce", "Enforce", "Enforce", "Shadow"])),
            0..6,
        ),
        budgets(),
    )
        .prop_map(|(names, otherwise, rules, budgets)| {
            let mut definitions: Vec<Tool> = names.into_iter().map(defined).collect();
            definitions.sort_by(|a, b| a.name.cmp(&b.name));
            if let (Some(ask), Some(tool)) = (otherwise, definitions.first_mut()) {
                tool.otherwise = Otherwise::Ask(ask);
            }
            let rules = rules.into_iter().enumerate();
            let rules = rules
                .map(|(at, (purpose, pattern, when, mode))| rule(at, purpose, &pattern, when.as_ref(), mode));
            ToolLayer { definitions, budgets, rules: rules.collect(), ..empty() }
        })
}

fn rule(at: usize, mut purpose: Value, pattern: &ToolPattern, when: Option<&Cel>, mode: &str) -> ToolRule {
    let rest = json!({
        "name": format!("rule-{at}"),
        "at": format!("spec.tools.rules[{at}]"),
        "tools": [pattern],
        "when": when,
        "mode": mode,
    });
    purpose.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(purpose).unwrap()
}

/// Approvers, counters and a label, and nothing that uses them.
fn empty() -> ToolLayer {
    let key = |id: &str, digit: &str| json!({"id": id, "principal": format!("{id}@example.org"), "ed25519": digit.repeat(64)});
    let group = |name: &str, digits: [&str; 2]| json!({"name": name, "keys": [key("alice", digits[0]), key("bob", digits[1])]});
    let counter =
        |name: &str, window: Option<u64>| json!({"name": name, "windowMs": window, "scope": "Subject"});
    serde_json::from_value(json!({
        "pack": 0,
        "definitions": [],
        "approvers": [group("oncall", ["a", "b"]), group("owners", ["c", "d"])],
        "counters": [counter("calls", None), counter("minute", Some(60_000))],
        "budgets": [],
        "labels": [{"name": "touched"}],
        "rules": [],
        "regexes": [],
    }))
    .unwrap()
}

/// A layer that defines every tool and grants every call: beside it a layer has its say alone.
pub(super) fn open() -> ToolLayer {
    let mut definitions: Vec<Tool> = TOOLS.iter().map(|name| defined(name)).collect();
    definitions.sort_by(|a, b| a.name.cmp(&b.name));
    let all = rule(0, json!({"effect": "allow"}), &ToolPattern::Prefix(String::new()), None, "Enforce");
    ToolLayer { definitions, rules: vec![all], ..empty() }
}
