//! Decisions on tool calls under one rule, a hundred and a thousand. The policy is a compiled pack; the call
//! is always allowed.
//!
//! Rules are spread over ten tools, as in a pack that gains tools; every rule of the called tool is
//! evaluated. The cost of a hundred rules of the called tool alone is measured separately.

use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::PackSources;
use bailiwick_compiler::{Bindings, compile};
use bailiwick_policy::bundle;
use bailiwick_policy::tool::{Effect, LoadedPolicy, State, Subject, ToolCall, decide_tool_call};
use serde_json::{Value, json};

use crate::report::Report;
use crate::sampling::{Candidate, interleaved, median, quantile};

const ROUNDS: usize = 20_000;
const NOW_MS: u64 = 1_800_000_000_000;
/// Tools over which rules are spread; the first one is called.
const TOOLS: usize = 10;

/// Adds the figures to the report of the bench `engine`.
pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let policies = [load(1, TOOLS)?, load(100, TOOLS)?, load(1_000, TOOLS)?, load(100, 1)?];
    let call = call()?;
    let mut state = State::default();
    state.apply(&State::open("s1", call.subject(), NOW_MS))?;
    let names = ["1 rule", "100 rules", "1000 rules", "100 rules of one tool"];
    let mut candidates = policies.each_ref().map(|policy| Candidate {
        name: "",
        run: Box::new(|| {
            let decision = decide_tool_call(policy, &call, &state, NOW_MS, None);
            matches!(decision.effect, Effect::Allow(_))
        }),
    });
    candidates.iter_mut().zip(names).for_each(|(candidate, name)| candidate.name = name);
    // One run per sample: percentiles of averages would hide the slow ones.
    let samples = interleaved(&mut candidates, ROUNDS, 1)?;
    let [one, hundred, thousand, of_one_tool] = samples.as_slice() else {
        anyhow::bail!("a candidate was not measured");
    };
    report.set("tool_decision_1_rules_p50_us", median(one) / 1e3, ROUNDS);
    report.set("tool_decision_100_rules_p50_us", median(hundred) / 1e3, ROUNDS);
    report.set("tool_decision_100_rules_p99_us", quantile(hundred, 0.99) / 1e3, ROUNDS);
    report.set("tool_decision_1000_rules_p50_us", median(thousand) / 1e3, ROUNDS);
    report.set("tool_decision_100_rules_of_one_tool_p50_us", median(of_one_tool) / 1e3, ROUNDS);
    Ok(())
}

fn call() -> anyhow::Result<ToolCall> {
    let subject = Subject {
        agent: "coder".to_owned(),
        user: "dana@example.org".to_owned(),
        namespace: "agents".to_owned(),
        groups: vec!["dev".to_owned()],
        ..Subject::default()
    };
    let arguments = br#"{"command": "grep -rn TODO src | head -20", "folder": "/work/src"}"#;
    Ok(ToolCall::parse("call-1", "s1", subject, "tools.t0", arguments)?)
}

/// A pack of this many rules, loaded from the bytes of its bundle.
fn load(rules: usize, tools: usize) -> anyhow::Result<LoadedPolicy> {
    let text = serde_json::to_vec(&pack(rules, tools))?;
    let sources = PackSources::single(text);
    let compiled = compile(&[(&sources, Bindings::default())], &MemoryLibrary::default());
    let Some(policy) = compiled.policy else {
        let errors = compiled.all().map(|one| format!("{}: {}", one.at, one.message));
        anyhow::bail!("the pack does not compile: {}", errors.collect::<Vec<_>>().join("; "));
    };
    Ok(LoadedPolicy::of_bundle(bundle::load(&bundle::write(&policy)?)?)?)
}

fn pack(rules: usize, tools: usize) -> Value {
    let definition = |number: usize| {
        json!({
            "name": format!("tools.t{number}"),
            "description": "Runs one command line.",
            "input": {
                "type": "object", "required": ["command"], "additionalProperties": false,
                "properties": {"command": {"type": "string", "maxLength": 8192}, "folder": {"type": "string", "maxLength": 256}}
            },
            "run": {"sandbox": "shell", "argv": [{"value": "/bin/bash"}, {"value": "-c"}, {"value": "--"}, {"arg": "command"}]},
            "derive": [{"shell": "command"}]
        })
    };
    json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyPack", "metadata": {"name": "tools-1.0.0"},
        "spec": {
            "pack": "tools", "version": "1.0.0",
            "pools": [{
                "name": "warm", "backend": "Native", "runtimeClass": "runc", "userNamespace": "Required", "cgroup": "Writable",
                "podSecurity": {"level": "Baseline", "version": "v1.36"}, "resources": {"cpus": "4", "memory": "4Gi"}
            }],
            "sandboxes": [{
                "name": "shell", "pool": "warm", "syscalls": {"profile": "Shell"},
                "filesystem": {"readOnly": ["/usr", "/lib", "/lib64", "/bin"], "devices": ["null"]},
                "limits": {
                    "wallClock": "3s", "cpuTime": "2s", "cpus": "1", "memory": "128Mi", "processes": 32, "openFiles": 64,
                    "fileSize": "8Mi", "output": "64Ki"
                }
            }],
            "tools": {
                "definitions": (0..tools).map(definition).collect::<Vec<_>>(),
                "rules": (0..rules).map(|number| rule(number, tools)).collect::<Vec<_>>()
            }
        }
    })
}

/// For each tool: first a grant, then denials of four kinds in turn.
fn rule(number: usize, tools: usize) -> Value {
    let (tool, of_tool) = (number % tools, number / tools);
    let mut rule = json!({"name": format!("rule-{number}"), "tools": [format!("tools.t{tool}")]});
    let (when, effect) = match (of_tool, of_tool % 4) {
        (0, _) => ("facts.shell.onlyRuns(['grep', 'head', 'ls', 'wc'])".to_owned(), "allow"),
        (_, 0) => (format!("call.args.command.contains('/srv/{number}/')"), "deny"),
        (_, 1) => (format!("call.args.?folder.orValue('') == '/secret/{number}'"), "deny"),
        (_, 2) => (format!("facts.commands.exists(c, c.name == 'program-{number}')"), "deny"),
        _ => (format!("subject.namespace == 'team-{number}'"), "deny"),
    };
    if let Value::Object(members) = &mut rule {
        members.insert("when".to_owned(), when.into());
        members.insert(effect.to_owned(), json!({}));
    }
    rule
}
