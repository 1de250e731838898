//! The statements about tools, sandboxes, pools and the audit log, in words. The executor enforces them,
//! wherever it runs the call; nothing in the cluster does, and the report says so.

use bailiwick_policy::policy::sandboxes::{AtLeast, Enforcement as Way, Pool, Proc, Sandbox};
use bailiwick_policy::policy::tools::{
    Keep, Phase, Program, Resource, RuleEffect, Tool, ToolLayer, ToolRule, Word,
};
use bailiwick_policy::policy::{Origin, Policy};

use super::report::{Enforcement, LayerReport};
use super::statements::{Kind, Said};

/// The part of the executor that enforces a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rests {
    /// Its decision.
    Decision,
    /// The namespaces, mounts and filters that it builds; the same on every tier.
    Isolation,
    /// Cgroups; the limits that may be weaker without them, in words.
    Limits(Vec<String>),
    /// Its log.
    Log,
    /// The deployment that creates the pool's pods.
    Deployment,
}

/// Every statement of these sections.
pub(super) fn all(policy: &Policy) -> Vec<Said> {
    let mut out = Vec::new();
    out.extend(policy.pools.iter().map(pool));
    for sandbox in &policy.sandboxes {
        out.extend(self::sandbox(sandbox));
    }
    for layer in &policy.tools {
        out.extend(tools(policy, layer));
    }
    if let Some(stated) = &policy.audit {
        let keep = |keep: Keep| match keep {
            Keep::Commit => "as commitments",
            Keep::Plain => "as they are",
            Keep::Drop => "not at all",
        };
        let (arguments, results) = (keep(stated.value.arguments), keep(stated.value.results));
        let time = match stated.value.retention_ms {
            Some(ms) => format!("for at least {}", time(ms)),
            None => "for ever".to_owned(),
        };
        let says = format!(
            "Each call is recorded before it runs; arguments are kept {arguments}, results {results}, {time}."
        );
        out.push(Said {
            id: "audit".to_owned(),
            kind: Kind::Executor(Rests::Log),
            says,
            from: stated.from.clone(),
        });
    }
    out
}

fn time(ms: u64) -> String {
    match ms {
        ms if ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms if ms % 1_000 == 0 => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes % (1 << 20) == 0 => format!("{}Mi", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{}Ki", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

fn pool(pool: &Pool) -> Said {
    let says = format!(
        "The pods of pool {} are of RuntimeClass {}, in namespaces of their own at Pod Security level {:?} v1.{}, with {} thousandths of a CPU and {}.",
        pool.name,
        pool.runtime_class,
        pool.pod_security.level,
        pool.pod_security.minor,
        pool.cpus_milli,
        size(pool.memory_bytes)
    );
    let id = format!("pools/{}", pool.name);
    Said { id, kind: Kind::Executor(Rests::Deployment), says, from: pool.from.clone() }
}

fn sandbox(sandbox: &Sandbox) -> Vec<Said> {
    let say = |part: &str, rests: Rests, says: String| Said {
        id: format!("sandboxes/{}/{part}", sandbox.name),
        kind: Kind::Executor(rests),
        says: match &sandbox.pool {
            Some(_) => format!("Sandbox {}: {says}.", sandbox.name),
            None => format!("Ceiling of sandbox {}: {says}.", sandbox.name),
        },
        from: sandbox.from.clone(),
    };
    let files = &sandbox.filesystem;
    let mut writes: Vec<String> =
        files.writable.iter().map(|area| format!("{} ({})", area.path, size(area.size_bytes))).collect();
    writes.extend(
        files.workspace.iter().map(|one| format!("{} ({}, of the session)", one.path, size(one.size_bytes))),
    );
    let or_nothing =
        |words: Vec<String>| if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    let proc = if files.proc == Proc::Own { "a /proc of its own" } else { "no /proc" };
    let limits = &sandbox.limits;
    vec![
        say(
            "files",
            Rests::Isolation,
            format!(
                "it reads {}, writes {}, has {proc}",
                or_nothing(files.read_only.clone()),
                or_nothing(writes)
            ),
        ),
        say("network", Rests::Isolation, "it has no network".to_owned()),
        say(
            "syscalls",
            Rests::Isolation,
            format!("{} system calls go through, every other one fails", sandbox.syscalls.allowed.len()),
        ),
        say(
            "limits",
            Rests::Limits(weaker(&sandbox.at_least)),
            format!(
                "{} of time, {} of CPU time, {} thousandths of a CPU, {} of memory, {} processes, {} open files, files of {}, {} of output",
                time(limits.wall_clock_ms),
                time(limits.cpu_time_ms),
                limits.cpus_milli,
                size(limits.memory_bytes),
                limits.processes,
                limits.open_files,
                size(limits.file_size_bytes),
                size(limits.output_bytes)
            ),
        ),
    ]
}

/// The limits that need not be exact.
fn weaker(at_least: &AtLeast) -> Vec<String> {
    let all = [
        ("memory", at_least.memory),
        ("processes", at_least.processes),
        ("cpus", at_least.cpus),
        ("cpuTime", at_least.cpu_time),
        ("proc", at_least.proc),
    ];
    let weaker = all.into_iter().filter(|(_, way)| *way != Way::Exact);
    weaker.map(|(name, way)| format!("`{name}` as {way:?}")).collect()
}

fn tools(policy: &Policy, layer: &ToolLayer) -> Vec<Said> {
    let pack = policy.packs.get(usize::from(layer.pack)).map_or("", |pack| pack.name.as_str());
    let say = |id: String, at: &str, says: String| Said {
        id: format!("tools/{pack}/{id}"),
        kind: Kind::Executor(Rests::Decision),
        says,
        from: vec![Origin { pack: layer.pack, at: at.to_owned() }],
    };
    let mut out = Vec::new();
    for tool in &layer.definitions {
        let says = format!(
            "Tool {} runs {} in sandbox {}; other arguments than its schema has are refused.{}",
            tool.name,
            command(tool),
            tool.run.sandbox,
            match tool.may_add.as_slice() {
                [] => String::new(),
                labels => format!(" A call adds label {} to its session.", labels.join(", ")),
            }
        );
        out.push(say(tool.name.clone(), &tool.at, says));
    }
    for budget in &layer.budgets {
        let of = match budget.resource {
            Resource::CpuSeconds => "seconds of CPU time",
            Resource::Calls => "calls",
            Resource::OutputBytes => "bytes of output",
        };
        let window = budget.window_ms.map(|ms| format!(" within {}", time(ms))).unwrap_or_default();
        let says = format!("All calls together use at most {} {of}{window}.", budget.limit_milli / 1_000);
        out.push(say(format!("budgets/{}", budget.name), "spec.tools.state.budgets", says));
    }
    for label in &layer.labels {
        let means =
            if label.description.is_empty() { String::new() } else { format!(": {}", label.description) };
        let says = format!("Sessions can carry label {}{means}.", label.name);
        out.push(say(format!("labels/{}", label.name), "spec.tools.state.labels", says));
    }
    out.extend(
        layer.rules.iter().map(|rule| say(format!("rules/{}", rule.name), &rule.at, rule_words(rule))),
    );
    out
}

fn command(tool: &Tool) -> String {
    match &tool.run.program {
        Program::Code(_) => "the given source text".to_owned(),
        Program::Argv(words) => {
            let word = |word: &Word| match word {
                Word::Value(text) => text.clone(),
                Word::Arg(name) => format!("<{name}>"),
            };
            words.iter().map(word).collect::<Vec<_>>().join(" ")
        }
    }
}

fn rule_words(rule: &ToolRule) -> String {
    let does = match &rule.effect {
        RuleEffect::Allow => "allows".to_owned(),
        RuleEffect::Ask(ask) => format!("asks {} of {} about", ask.quorum, ask.approvers),
        RuleEffect::Deny(_) => "denies".to_owned(),
        RuleEffect::Throttle { counter, max } => format!("admits at most {max} by counter {counter} of"),
        RuleEffect::Narrow { sandbox } => format!("narrows to sandbox {sandbox}"),
        RuleEffect::Confirm(ask) => format!("has {} of {} confirm", ask.quorum, ask.approvers),
        RuleEffect::Redact => "redacts".to_owned(),
        RuleEffect::Label { add, remove } => {
            let of = |does: &str, labels: &[String]| format!("{does} {}", labels.join(", "));
            let parts = [of("adds label", add), of("takes away, once approved, label", remove)];
            let parts: Vec<String> = parts
                .into_iter()
                .zip([add, remove])
                .filter(|(_, names)| !names.is_empty())
                .map(|(text, _)| text)
                .collect();
            format!("{} at", parts.join(" and "))
        }
    };
    let tools: Vec<String> = rule.tools.iter().map(ToString::to_string).collect();
    let when = rule.when.as_ref().map(|when| format!(" when {}", when.source.trim())).unwrap_or_default();
    let arguments = rule.transform.as_ref().map(|cel| format!(", with arguments {}", cel.source.trim()));
    let arguments = arguments.unwrap_or_default();
    let shadow = if rule.is_enforced() { "" } else { ", in shadow and so without effect," };
    if rule.phase == Phase::Result {
        let does = if matches!(rule.effect, RuleEffect::Deny(_)) { "withholds" } else { &does };
        return format!("Rule {} {does} results of {}{when}.", rule.name, tools.join(", "));
    }
    if rule.phase == Phase::List {
        return format!(
            "Rule {}{shadow} hides {} from listings{when}; it denies no call.",
            rule.name,
            tools.join(", ")
        );
    }
    format!("Rule {}{shadow} {does} calls of {}{when}{arguments}.", rule.name, tools.join(", "))
}

/// What the executor does for a statement.
pub(super) fn layer(rests: &Rests) -> LayerReport {
    let (enforcement, note) = match rests {
        Rests::Decision => (Enforcement::Full, "for every call that goes through it; nothing of the cluster does".to_owned()),
        Rests::Isolation => (
            Enforcement::Full,
            "on every tier: it refuses a sandbox that the host cannot build; nothing of the cluster does".to_owned(),
        ),
        Rests::Limits(weaker) if weaker.is_empty() => (
            Enforcement::Full,
            "where it may make cgroups; elsewhere it refuses the sandbox; nothing of the cluster does".to_owned(),
        ),
        Rests::Limits(weaker) => (
            Enforcement::Partial,
            format!("where it may make cgroups exactly; elsewhere the policy lets it hold {}", weaker.join(", ")),
        ),
        Rests::Log => (Enforcement::Full, "it refuses a call that it cannot record; it removes no record; how long its folder lives is up to whoever deploys it".to_owned()),
        Rests::Deployment => (
            Enforcement::Partial,
            "it probes what its own pod gives and refuses sandboxes that need more; the pod's class, level and size are those of whoever deploys it"
                .to_owned(),
        ),
    };
    LayerReport { layer: "executor".to_owned(), enforcement, note }
}

/// What is left of a statement on a node with cgroup version 1.
pub(super) fn on_cgroup_v1(rests: &Rests) -> &'static str {
    match rests {
        Rests::Limits(_) => "unchanged: memory, processes and CPU are held by the controllers of version 1",
        _ => "unchanged: no part of it rests on cgroups",
    }
}
