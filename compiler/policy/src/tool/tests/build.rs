//! Builders for policies, calls and states.

use serde_json::{Value, json};

use crate::ir::{Cel, Const, Expr, Func, Root};
use crate::json::Json;
use crate::policy::sandboxes::Sandbox;
use crate::policy::tools::{
    ApproverGroup, ApproverKey, Ask, Budget, Counter, Deny, Label, Mode, Otherwise, Phase, Program, Resource,
    RuleEffect, Run, Scope, Stdin, Tool, ToolLayer, ToolPattern, ToolRule, Word,
};
use crate::policy::{PackSource, Policy};
use crate::tool::{
    Denial, DenyReason, Effect, LoadedPolicy, State, Subject, ToolCall, ToolDecision, VerifiedApproval,
    decide_tool_call,
};

pub(super) const START_MS: u64 = 1_800_000_000_000;
pub(super) const MINUTE_MS: u64 = 60_000;

/// `shell` is the sandbox of the tools. `quiet` has less time and `small` less output, `quietest` less of
/// both, `other` more time.
pub(super) fn sandbox(name: &str) -> Sandbox {
    let cpu_ms = match name {
        "quiet" | "quietest" => 4_000,
        "other" => 9_000,
        _ => 8_000,
    };
    let output = if matches!(name, "small" | "quietest") { 500 } else { 1_000 };
    serde_json::from_value(json!({
        "name": name, "pool": "warm", "runtime": "Python", "egress": [], "environment": [], "from": [],
        "filesystem": {"readOnly": ["/usr"], "writable": [], "proc": "Own", "devices": [],
            "workspace": {"path": "/work", "sizeBytes": 1, "inodes": 1, "lifetime": "Session", "durable": false}},
        "syscalls": {"allowed": [], "refused": []},
        "limits": {"wallClockMs": 10_000, "cpuTimeMs": cpu_ms, "cpusMilli": 1_000, "memoryBytes": 1, "processes": 1,
            "openFiles": 1, "fileSizeBytes": 1, "outputBytes": output},
        "atLeast": {"memory": "Exact", "processes": "Exact", "cpus": "Exact", "cpuTime": "Exact", "proc": "Exact"},
    }))
    .unwrap()
}

pub(super) fn pack(name: &str) -> PackSource {
    PackSource {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        digest: "d".to_owned(),
        parameters_digest: "p".to_owned(),
        parameters: Const::Map(vec![(Const::Str("tier".into()), Const::Str("gold".into()))]),
    }
}

/// `shell.exec` with an optional `note`.
pub(super) fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: "Runs one command line.".to_owned(),
        input: json!({
            "type": "object", "required": ["command"], "additionalProperties": false,
            "properties": {"command": {"type": "string", "maxLength": 500_000}, "note": {"type": "string"}},
        }),
        run: Run {
            sandbox: "shell".to_owned(),
            program: Program::Argv(vec![
                Word::Value("/bin/bash".to_owned()),
                Word::Value("--".to_owned()),
                Word::Arg("command".to_owned()),
                Word::Arg("note".to_owned()),
            ]),
        },
        derive: vec![crate::policy::tools::Derive::Shell("command".to_owned())],
        otherwise: Otherwise::Deny(Deny::default()),
        stdin: Stdin::Forbidden,
        may_add: Vec::new(),
        at: "spec.tools.definitions[0]".to_owned(),
    }
}

pub(super) fn rule(name: &str, effect: RuleEffect) -> ToolRule {
    ToolRule {
        name: name.to_owned(),
        at: "spec.tools.rules[0]".to_owned(),
        phase: Phase::Call,
        tools: vec![ToolPattern::Exact("shell.exec".to_owned())],
        when: None,
        effect,
        transform: None,
        mode: Mode::Enforce,
        redact: None,
    }
}

pub(super) fn shadow(rule: ToolRule) -> ToolRule {
    ToolRule { mode: Mode::Shadow, ..rule }
}

pub(super) fn when(mut rule: ToolRule, expr: Expr) -> ToolRule {
    rule.when = Some(Cel { source: "when".to_owned(), expr, slots: 4 });
    rule
}

pub(super) fn ask(quorum: u32) -> Ask {
    Ask { approvers: "oncall".to_owned(), quorum, expires_ms: 10 * MINUTE_MS }
}

pub(super) fn deny() -> RuleEffect {
    RuleEffect::Deny(Deny { reason: Some("forbidden".into()), remedy: Some("do otherwise".into()) })
}

pub(super) fn throttle(counter: &str, max: u64) -> RuleEffect {
    RuleEffect::Throttle { counter: counter.to_owned(), max }
}

pub(super) fn narrow(sandbox: &str) -> RuleEffect {
    RuleEffect::Narrow { sandbox: sandbox.to_owned() }
}

/// A key's hex: this digit 64 times.
pub(super) fn key(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// A layer of a pack, with approvers and two counters, and no tool and no rule.
pub(super) fn layer(pack: u16) -> ToolLayer {
    let person = |id: &str, principal: &str, digit: char| ApproverKey {
        id: id.to_owned(),
        principal: principal.to_owned(),
        ed25519: key(digit),
    };
    let keys = vec![
        person("alice", "alice@example.org", 'a'),
        person("alice-laptop", "Alice@example.org", 'b'),
        person("bob", "bob@example.org", 'c'),
        person("carol", "carol@example.org", 'd'),
    ];
    ToolLayer {
        pack,
        definitions: Vec::new(),
        approvers: vec![ApproverGroup { name: "oncall".to_owned(), keys }],
        counters: vec![
            Counter { name: "all".to_owned(), window_ms: None, scope: Scope::Session },
            Counter { name: "minute".to_owned(), window_ms: Some(MINUTE_MS), scope: Scope::Subject },
        ],
        budgets: Vec::new(),
        labels: ["secret", "tainted"].map(label).into(),
        rules: Vec::new(),
        regexes: vec!["^git ".to_owned()],
    }
}

fn label(name: &str) -> Label {
    Label { name: name.to_owned(), description: String::new() }
}

/// A layer that defines `shell.exec`, with rules.
pub(super) fn defining<const N: usize>(rules: [ToolRule; N]) -> ToolLayer {
    ToolLayer { definitions: vec![tool("shell.exec")], rules: rules.into(), ..layer(0) }
}

/// A layer that defines nothing, with rules.
pub(super) fn ruling<const N: usize>(rules: [ToolRule; N]) -> ToolLayer {
    ToolLayer { rules: rules.into(), ..layer(0) }
}

pub(super) fn budget(name: &str, resource: Resource, limit_milli: u64, window_ms: Option<u64>) -> Budget {
    Budget { name: name.to_owned(), resource, limit_milli, window_ms, scope: Scope::Subject }
}

/// The policy of these layers, each in a pack of its own.
pub(super) fn policy(layers: Vec<ToolLayer>) -> Policy {
    let packs = (0..layers.len()).map(|at| pack(&format!("pack{at}"))).collect();
    let mut policy = Policy::top(packs);
    policy.sandboxes = ["other", "quiet", "quietest", "shell", "small"].map(sandbox).into();
    policy.tools = layers;
    for (at, layer) in policy.tools.iter_mut().enumerate() {
        layer.pack = u16::try_from(at).unwrap();
    }
    policy
}

pub(super) fn loaded(layers: Vec<ToolLayer>) -> LoadedPolicy {
    LoadedPolicy::new(policy(layers), "0".repeat(64)).unwrap()
}

pub(super) fn subject() -> Subject {
    Subject {
        agent: "coder".to_owned(),
        user: "dave@example.org".to_owned(),
        namespace: "agents".to_owned(),
        groups: vec!["dev".to_owned()],
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        chain: vec!["erin@example.org".to_owned()],
    }
}

pub(super) fn call_with(id: &str, tool: &str, args: Value) -> ToolCall {
    let args = Json::from(&args).into_owned();
    ToolCall::new(id, "s1", subject(), tool, args).unwrap()
}

pub(super) fn call(id: &str, command: &str) -> ToolCall {
    call_with(id, "shell.exec", json!({"command": command}))
}

/// A state in which session `s1` of the subject was opened at the start.
pub(super) fn opened() -> State {
    let mut state = State::default();
    state.apply(&State::open("s1", &subject(), START_MS)).unwrap();
    state
}

/// A policy and a state that follows its decisions.
pub(super) struct World {
    pub(super) policy: LoadedPolicy,
    pub(super) state: State,
    pub(super) now_ms: u64,
    next: u32,
}

impl World {
    pub(super) fn new(layers: Vec<ToolLayer>) -> Self {
        Self { policy: loaded(layers), state: opened(), now_ms: START_MS, next: 0 }
    }

    /// Decides, checks that the decision replays from its record, and applies it.
    pub(super) fn decide(&mut self, call: &ToolCall, approval: Option<&VerifiedApproval>) -> ToolDecision {
        let decision = decide_tool_call(&self.policy, call, &self.state, self.now_ms, approval);
        let written = serde_json::to_value(&decision.inputs).unwrap();
        let read = crate::tool::DecisionInputs::from_record(&written).unwrap();
        assert_eq!(read, decision.inputs);
        assert_eq!(read.decide(&self.policy), decision.record());
        self.state.apply(&decision.delta).unwrap();
        decision
    }

    /// Decides a new call of `shell.exec`, and lets it end at once if it runs.
    pub(super) fn run(&mut self, command: &str) -> ToolDecision {
        self.next += 1;
        let call = call(&format!("c{}", self.next), command);
        let decision = self.decide(&call, None);
        if matches!(decision.effect, Effect::Allow(_)) {
            self.state.apply(&State::settle("s1", call.id(), None, self.now_ms)).unwrap();
        }
        decision
    }
}

/// `Allow`, `Ask`, or the reason of the denial.
pub(super) fn shown(decision: &ToolDecision) -> String {
    match &decision.effect {
        Effect::Allow(_) => "Allow".to_owned(),
        Effect::Ask(_) => "Ask".to_owned(),
        Effect::Deny(denial) => format!("{:?}", denial.reason),
    }
}

#[track_caller]
pub(super) fn denial(decision: &ToolDecision, reason: DenyReason) -> &Denial {
    match &decision.effect {
        Effect::Deny(denial) if denial.reason == reason => denial,
        other => panic!("expected {reason:?}, got {other:?}"),
    }
}

/// `call.args.command == text`.
pub(super) fn command_is(text: &str) -> Expr {
    let args = Expr::Select(Box::new(Expr::Root(Root::Call)), "args".to_owned());
    let command = Expr::Select(Box::new(args), "command".to_owned());
    Expr::Call(Func::Equal, vec![command, Expr::Const(Const::Str(text.to_owned()))])
}

/// `root.a.b`.
pub(super) fn path(root: Root, fields: &str) -> Expr {
    fields
        .split('.')
        .fold(Expr::Root(root), |operand, field| Expr::Select(Box::new(operand), field.to_owned()))
}

pub(super) fn boolean(value: bool) -> Expr {
    Expr::Const(Const::Bool(value))
}

/// `1 / 0 == 0`.
pub(super) fn fails() -> Expr {
    let zero = || Expr::Const(Const::Int(0));
    let divided = Expr::Call(Func::Divide, vec![Expr::Const(Const::Int(1)), zero()]);
    Expr::Call(Func::Equal, vec![divided, zero()])
}

/// Costs more than any budget: a sum over a large range, absorbed by `|| true`.
pub(super) fn endless() -> Expr {
    let range = || Expr::Call(Func::Range, vec![Expr::Const(Const::Int(900_000))]);
    let sum = |list| Expr::Call(Func::Sum, vec![list]);
    let both = Expr::Call(Func::Add, vec![sum(range()), sum(range())]);
    let huge = Expr::Call(Func::Greater, vec![both, Expr::Const(Const::Int(0))]);
    Expr::Or(vec![Expr::Not(Box::new(huge)), boolean(true)])
}
