//! The laws over pools, sandboxes, tools and audit. What a sandbox allows is asked of it point by point; what a call comes to is decided
//! by the engine itself.

use std::collections::BTreeSet;

use bailiwick_compiler::meet::{Conflict, Property, VariableFault, meet};
use bailiwick_policy::ir::{Cel, Const, Expr};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::sandboxes::{
    AllowedSyscall, ArgumentTest, AtLeast, Backend, CgroupAccess, Enforcement, Filesystem, Language,
    Lifetime, Limits, Pool, Proc, RefusedSyscall, Sandbox, SyscallNumbers, Syscalls, Tmpfs, UserNamespace,
    Workspace,
};
use bailiwick_policy::policy::tools::{
    Audit, AuditAdmission, Counter, Deny, Keep, Mode, Otherwise, Phase, Program, RuleEffect, Run, Scope,
    Stdin, Tool, ToolLayer, ToolPattern, ToolRule, Word,
};
use bailiwick_policy::policy::{Origin, PackSource, PodSecurity, PodSecurityLevel, Policy, Stated};
use bailiwick_policy::tool::{Effect, LoadedPolicy, State, Subject, ToolCall, decide_tool_call};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;

const ROOTS: &[&str] = &["/usr", "/usr/bin", "/usr/lib", "/bin", "/etc/ssl"];
const FILES: &[&str] = &[
    "/usr/bin/ls",
    "/usr/lib/x",
    "/usr/share/y",
    "/bin/sh",
    "/binary",
    "/etc/ssl/cert",
    "/etc/shadow",
    "/usr",
];
pub(super) const VARIABLES: [(&str, &str); 2] = [("LANG", "C"), ("TZ", "UTC")];
pub(super) const TOOLS: &[&str] = &["shell.exec", "python.run"];

fn origin(at: &str) -> Origin {
    Origin { pack: 0, at: format!("spec.{at}") }
}

pub(super) fn pool() -> impl Strategy<Value = Pool> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 1_u64..4, 1_u64..4).prop_map(
        |(restricted, namespace, writable, cpus, memory)| Pool {
            name: "warm".to_owned(),
            backend: Backend::Native,
            runtime_class: "runc".to_owned(),
            pod_security: PodSecurity {
                level: if restricted { PodSecurityLevel::Restricted } else { PodSecurityLevel::Baseline },
                minor: 36,
            },
            user_namespace: if namespace { UserNamespace::Required } else { UserNamespace::Optional },
            cgroup: if writable { CgroupAccess::Writable } else { CgroupAccess::ReadOnly },
            cpus_milli: cpus * 1_000,
            memory_bytes: memory << 30,
            from: vec![origin("pools[0]")],
        },
    )
}

fn test() -> impl Strategy<Value = ArgumentTest> {
    // Masks that overlap without covering one another.
    (0_u8..2, select(&[0b11_u32, 0b110, 0b111][..]), 0_u32..8).prop_map(|(index, mask, value)| ArgumentTest {
        index,
        mask,
        value: value & mask,
    })
}

fn alternative() -> impl Strategy<Value = Vec<ArgumentTest>> {
    vec(test(), 1..3).prop_map(|mut tests| {
        tests.sort();
        tests.dedup_by_key(|test| test.index);
        tests
    })
}

fn syscalls() -> impl Strategy<Value = Syscalls> {
    let names = vec!["clone3", "ioctl", "read", "socket"];
    let numbers = |name: &str| SyscallNumbers { x86_64: Some(name.len() as u32), aarch64: None };
    (subsequence(names.clone(), 0..=4), vec(vec(alternative(), 0..3), 4), subsequence(names, 0..2), 1_u16..3)
        .prop_map(move |(allowed, mut when, refused, errno)| Syscalls {
            allowed: allowed
                .into_iter()
                .filter(|name| !refused.contains(name))
                .map(|name| AllowedSyscall {
                    name: name.to_owned(),
                    numbers: numbers(name),
                    when: when.pop().unwrap_or_default(),
                })
                .collect(),
            refused: refused
                .iter()
                .map(|name| RefusedSyscall { name: (*name).to_owned(), numbers: numbers(name), errno })
                .collect(),
        })
}

fn filesystem() -> impl Strategy<Value = Filesystem> {
    let tmpfs = subsequence(vec!["/tmp", "/var/tmp"], 0..=2);
    let workspace = option::of((select(&["/work", "/home"][..]), 1_u64..3, any::<bool>()));
    (
        subsequence(ROOTS.to_vec(), 0..=3),
        tmpfs,
        1_u64..3,
        workspace,
        any::<bool>(),
        subsequence(vec!["null", "zero"], 0..=2),
    )
        .prop_map(|(roots, tmpfs, size, workspace, proc, devices)| Filesystem {
            // As lowering leaves them: none within another.
            read_only: roots
                .iter()
                .filter(|root| !roots.iter().any(|other| root.starts_with(&format!("{other}/"))))
                .map(|root| (*root).to_owned())
                .collect(),
            writable: tmpfs
                .iter()
                .map(|path| Tmpfs { path: (*path).to_owned(), size_bytes: size, inodes: 3 - size })
                .collect(),
            workspace: workspace.map(|(path, size, durable)| Workspace {
                path: path.to_owned(),
                size_bytes: size,
                inodes: 3 - size,
                lifetime: Lifetime::Session,
                durable,
            }),
            proc: if proc { Proc::Own } else { Proc::None },
            devices: devices.into_iter().map(str::to_owned).collect(),
        })
}

fn limits() -> impl Strategy<Value = Limits> {
    vec(1_u64..4, 8).prop_map(|all| Limits {
        wall_clock_ms: all[0],
        cpu_time_ms: all[1],
        cpus_milli: all[2],
        memory_bytes: all[3],
        processes: all[4],
        open_files: all[5],
        file_size_bytes: all[6],
        output_bytes: all[7],
    })
}

fn at_least() -> impl Strategy<Value = AtLeast> {
    use Enforcement::{BestEffort, Exact, None, Rlimit};
    vec(select(&[Exact, Rlimit, BestEffort, None][..]), 5).prop_map(|all| AtLeast {
        memory: all[0],
        processes: all[1],
        cpus: all[2],
        cpu_time: all[3],
        proc: all[4],
    })
}

pub(super) fn sandbox(name: &'static str) -> impl Strategy<Value = Sandbox> {
    (any::<bool>(), filesystem(), syscalls(), limits(), at_least(), subsequence(VARIABLES.to_vec(), 0..=2))
        .prop_map(move |(placed, filesystem, syscalls, limits, at_least, environment)| Sandbox {
            name: name.to_owned(),
            pool: placed.then(|| "warm".to_owned()),
            runtime: (name == "python").then_some(Language::Python),
            filesystem,
            egress: Vec::new(),
            syscalls,
            limits,
            at_least,
            // Who places a sandbox names every variable; a ceiling may repeat some.
            environment: if placed { VARIABLES.to_vec() } else { environment }
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            from: vec![origin("sandboxes[0]")],
        })
}

pub(super) fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: String::new(),
        input: serde_json::json!({"type": "object"}),
        run: Run {
            sandbox: "shell".to_owned(),
            program: Program::Argv(vec![Word::Value("/bin/true".to_owned())]),
        },
        derive: Vec::new(),
        otherwise: Otherwise::Deny(Deny::default()),
        stdin: Stdin::Forbidden,
        may_add: Vec::new(),
        at: "spec.tools.definitions[0]".to_owned(),
    }
}

fn layer() -> impl Strategy<Value = ToolLayer> {
    let effect = select(vec![
        RuleEffect::Allow,
        RuleEffect::Allow,
        RuleEffect::Deny(Deny::default()),
        RuleEffect::Throttle { counter: "calls".to_owned(), max: 0 },
        RuleEffect::Throttle { counter: "calls".to_owned(), max: 9 },
        RuleEffect::Narrow { sandbox: "shell".to_owned() },
        RuleEffect::Narrow { sandbox: "quiet".to_owned() },
    ]);
    let pattern = select(vec![
        ToolPattern::Exact("shell.exec".to_owned()),
        ToolPattern::Prefix("python.".to_owned()),
        ToolPattern::Prefix(String::new()),
    ]);
    let entry = (Expr::Const(Const::Str("x".to_owned())), Expr::Const(Const::Int(1)), false);
    let given = |entries| Some(Cel { source: "given".to_owned(), expr: Expr::Map(entries), slots: 0 });
    let transform = select(vec![None, None, None, given(Vec::new()), given(vec![entry])]);
    let mode = select(vec![Mode::Enforce, Mode::Enforce, Mode::Enforce, Mode::Shadow]);
    (subsequence(TOOLS.to_vec(), 0..=2), vec((effect, pattern, mode, transform), 0..4)).prop_map(
        |(defined, rules)| {
            let mut definitions: Vec<Tool> = defined.into_iter().map(tool).collect();
            definitions.sort_by(|a, b| a.name.cmp(&b.name));
            let rule = |(at, (effect, pattern, mode, transform)): (
                usize,
                (RuleEffect, ToolPattern, Mode, Option<Cel>),
            )| ToolRule {
                name: format!("rule-{at}"),
                at: format!("spec.tools.rules[{at}]"),
                phase: Phase::Call,
                tools: vec![pattern],
                when: None,
                transform: transform.filter(|_| effect == RuleEffect::Allow),
                redact: None,
                effect,
                mode,
            };
            ToolLayer {
                labels: Vec::new(),
                pack: 0,
                definitions,
                approvers: Vec::new(),
                counters: vec![Counter { name: "calls".to_owned(), window_ms: None, scope: Scope::Subject }],
                budgets: Vec::new(),
                rules: rules.into_iter().enumerate().map(rule).collect(),
                regexes: Vec::new(),
            }
        },
    )
}

pub(super) fn audit() -> impl Strategy<Value = Stated<Audit>> {
    let keep = || select(&[Keep::Commit, Keep::Plain, Keep::Drop][..]);
    let admission = select(&[AuditAdmission::Optional, AuditAdmission::Required][..]);
    (keep(), keep(), option::of(1_u64..4), admission).prop_map(
        |(arguments, results, retention_ms, admission)| Stated {
            value: Audit { arguments, results, retention_ms, admission },
            from: vec![origin("audit")],
        },
    )
}

pub(super) fn policy(name: &'static str) -> impl Strategy<Value = Policy> {
    let sandboxes = (option::of(sandbox("python")), option::of(sandbox("shell")));
    (option::of(pool()), sandboxes, option::of(layer()), option::of(audit())).prop_map(
        move |(pool, (python, shell), layer, audit)| Policy {
            pools: pool.into_iter().collect(),
            sandboxes: python.into_iter().chain(shell).collect(),
            tools: layer.into_iter().collect(),
            audit,
            ..Policy::top(vec![PackSource {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                digest: "digest".to_owned(),
                parameters_digest: String::new(),
                parameters: Const::Map(Vec::new()),
            }])
        },
    )
}

// ---- evaluators ------------------------------------------------------------------------------------------------------------

/// What a sandbox can do, point by point; more points are wider.
pub(super) fn powers(sandbox: &Sandbox) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let files = &sandbox.filesystem;
    let below = |path: &str, root: &str| path == root || path.starts_with(&format!("{root}/"));
    for file in FILES.iter().filter(|file| files.read_only.iter().any(|root| below(file, root))) {
        out.insert(format!("read {file}"));
    }
    for area in &files.writable {
        out.extend((1..=area.size_bytes).map(|size| format!("write {size} to {}", area.path)));
        out.extend((1..=area.inodes).map(|count| format!("make {count} in {}", area.path)));
    }
    if let Some(area) = &files.workspace {
        out.extend((1..=area.size_bytes).map(|size| format!("keep {size} in {}", area.path)));
        out.extend((1..=area.inodes).map(|count| format!("keep {count} files in {}", area.path)));
    }
    out.extend((files.proc == Proc::Own).then(|| "proc".to_owned()));
    out.extend(files.devices.iter().map(|device| format!("device {device}")));
    for call in &sandbox.syscalls.allowed {
        for (first, second) in (0..8_u32).flat_map(|first| (0..8_u32).map(move |second| (first, second))) {
            let holds =
                |test: &ArgumentTest| [first, second][usize::from(test.index)] & test.mask == test.value;
            if !call.when.is_empty() && !call.when.iter().any(|tests| tests.iter().all(holds)) {
                continue;
            }
            let made = format!("{}({first}, {second})", call.name);
            // A socket that is not a Unix socket is there to reach something.
            match call.name == "socket" && first != 1 {
                true => out.extend(sandbox.egress.iter().map(|rule| format!("{made} to {rule}"))),
                false => drop(out.insert(made)),
            }
        }
    }
    let Limits {
        wall_clock_ms,
        cpu_time_ms,
        cpus_milli,
        memory_bytes,
        processes,
        open_files,
        file_size_bytes,
        output_bytes,
    } = sandbox.limits;
    let limits = [
        wall_clock_ms,
        cpu_time_ms,
        cpus_milli,
        memory_bytes,
        processes,
        open_files,
        file_size_bytes,
        output_bytes,
    ];
    out.extend(
        limits
            .iter()
            .enumerate()
            .flat_map(|(at, most)| (1..=*most).map(move |use_| format!("limit {at} {use_}"))),
    );
    let AtLeast { memory, processes, cpus, cpu_time, proc } = sandbox.at_least;
    for (at, weakest) in [memory, processes, cpus, cpu_time, proc].into_iter().enumerate() {
        out.extend((0..=weakest as u8).map(|way| format!("held {at} {way}")));
    }
    out
}

/// The calls that a policy admits when nothing was counted yet.
fn admitted(policy: &Policy) -> BTreeSet<&'static str> {
    let loaded = LoadedPolicy::new(policy.clone(), "digest".to_owned()).unwrap();
    let subject = Subject::default();
    let mut state = State::default();
    state.apply(&State::open("s", &subject, 1)).unwrap();
    let allowed = |tool: &str| {
        let call = ToolCall::new("c", "s", subject.clone(), tool, Json::Map(Default::default())).unwrap();
        matches!(decide_tool_call(&loaded, &call, &state, 1, None).effect, Effect::Allow(_))
    };
    TOOLS.iter().copied().filter(|tool| allowed(tool)).collect()
}

/// A policy that has what its tools run in, whatever it says of it: the engine refuses others, and they are not the matter here.
pub(super) fn runnable(mut policy: Policy) -> Policy {
    policy.sandboxes.retain(|sandbox| sandbox.name == "python");
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let shell = sandbox("shell").new_tree(&mut runner).unwrap().current();
    let shell = Sandbox { from: vec![Origin { pack: 0, at: "spec.sandboxes[0]".to_owned() }], ..shell };
    let limits = Limits { processes: shell.limits.processes.min(1), ..shell.limits };
    policy.sandboxes.push(Sandbox { name: "quiet".to_owned(), limits, ..shell.clone() });
    policy.sandboxes.push(shell);
    policy
}

pub(super) fn met(policies: &[&Policy]) -> Policy {
    meet(policies.iter().map(|policy| (*policy).clone()).collect()).unwrap().policy
}

fn bytes(policy: &Policy) -> String {
    serde_json::to_string(policy).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn commutative_and_associative_to_the_byte(a in policy("a"), b in policy("b"), c in policy("c")) {
        prop_assert_eq!(bytes(&met(&[&a, &b, &c])), bytes(&met(&[&c, &b, &a])));
        let (left, right) = (met(&[&met(&[&a, &b]), &c]), met(&[&a, &met(&[&b, &c])]));
        prop_assert_eq!(bytes(&left), bytes(&right));
    }

    #[test]
    fn idempotent(a in policy("a"), b in policy("b")) {
        let ab = met(&[&a, &b]);
        prop_assert_eq!(bytes(&met(&[&ab, &ab])), bytes(&ab));
        prop_assert_eq!(bytes(&met(&[&ab, &a])), bytes(&ab));
    }

    #[test]
    fn a_sandbox_can_do_what_it_can_in_every_pack(a in policy("a"), b in policy("b")) {
        let ab = met(&[&a, &b]);
        for name in ["python", "shell"] {
            let of = |policy: &Policy| policy.sandboxes.iter().find(|one| one.name == name).map(powers);
            let expected = match (of(&a), of(&b)) {
                // The workspaces of two paths have nothing in common, and neither do areas.
                (Some(a), Some(b)) => Some(&a & &b),
                (one, other) => one.or(other),
            };
            prop_assert_eq!(of(&ab), expected);
        }
    }

    #[test]
    fn demands_on_pools_and_the_log_add_up(a in policy("a"), b in policy("b")) {
        let ab = met(&[&a, &b]);
        for one in [&a, &b] {
            for (alone, both) in one.pools.iter().flat_map(|alone| ab.pools.iter().map(move |both| (alone, both))) {
                prop_assert!(both.pod_security.level >= alone.pod_security.level && both.user_namespace >= alone.user_namespace);
                prop_assert!(both.cgroup <= alone.cgroup && both.cpus_milli <= alone.cpus_milli && both.memory_bytes <= alone.memory_bytes);
            }
            let Some(alone) = &one.audit else { continue };
            let both = ab.audit.as_ref().unwrap().value;
            prop_assert!(both.admission >= alone.value.admission);
            // For ever is longer than any time.
            prop_assert!(both.retention_ms.unwrap_or(u64::MAX) >= alone.value.retention_ms.unwrap_or(u64::MAX));
            let kept = |both: Keep, alone: Keep| both == alone || both == Keep::Commit;
            prop_assert!(kept(both.arguments, alone.value.arguments) && kept(both.results, alone.value.results));
        }
    }

    /// A layer that names a tool must grant it, and none may deny it: what the meet admits, every pack that names the tool admits. A pack
    /// that does not name it has a say by its restrictions alone, so it is asked with a grant of its own.
    #[test]
    fn a_call_is_admitted_if_every_pack_lets_it_through(a in policy("a"), b in policy("b")) {
        let (a, b) = (runnable(a), runnable(b));
        let both = admitted(&met(&[&a, &b]));
        for one in [&a, &b] {
            for tool_name in &both {
                let mut asked = one.clone();
                let layers = asked.tools.iter_mut();
                for layer in layers {
                    let grants = |rule: &ToolRule| rule.grants()
                        && rule.tools.iter().any(|pattern| match pattern {
                            ToolPattern::Exact(name) => name == tool_name,
                            ToolPattern::Prefix(prefix) => tool_name.starts_with(prefix.as_str()),
                        });
                    let defines = layer.definitions.iter().any(|tool| tool.name == *tool_name);
                    if !defines {
                        layer.definitions.push(tool(tool_name));
                        layer.definitions.sort_by(|a, b| a.name.cmp(&b.name));
                        if !layer.rules.iter().any(grants) {
                            layer.rules.push(ToolRule {
                                name: "asked".to_owned(),
                                at: "spec.tools.rules[9]".to_owned(),
                                phase: Phase::Call,
                                tools: vec![ToolPattern::Exact((*tool_name).to_owned())],
                                when: None,
                                effect: RuleEffect::Allow,
                                transform: None,
                                mode: Mode::Enforce,
                                redact: None,
                            });
                        }
                    }
                }
                prop_assert!(asked.tools.is_empty() || admitted(&asked).contains(tool_name), "{tool_name}");
            }
        }
    }
}

/// A sandbox that both packs have, but for what a test changes.
fn shell() -> Sandbox {
    sandbox("shell").new_tree(&mut proptest::test_runner::TestRunner::deterministic()).unwrap().current()
}

/// Two packs that differ in one thing, whichever comes first.
fn conflicts(change: &dyn Fn(&mut Policy, bool), expected: Conflict) {
    let with = |name: &'static str, other: bool| {
        let mut policy =
            policy(name).new_tree(&mut proptest::test_runner::TestRunner::deterministic()).unwrap().current();
        policy.pools =
            vec![pool().new_tree(&mut proptest::test_runner::TestRunner::deterministic()).unwrap().current()];
        policy.tools.clear();
        policy.audit = None;
        change(&mut policy, other);
        policy
    };
    let (a, b) = (with("a", false), with("b", true));
    assert_eq!(meet(vec![a.clone(), b.clone()]), Err(vec![expected.clone()]));
    assert_eq!(meet(vec![b, a]), Err(vec![expected]));
}

#[test]
fn what_is_something_else_in_two_packs_is_a_conflict() {
    let base = shell();
    let placed = |pool: &'static str| Sandbox { pool: Some(pool.to_owned()), ..base.clone() };
    let conflict = |name: &str, what| Conflict::Differs { name: name.to_owned(), what };
    conflicts(
        &|policy, other| policy.pools[0].runtime_class = if other { "runc" } else { "gvisor" }.to_owned(),
        conflict("warm", Property::RuntimeClass),
    );
    conflicts(
        &|policy, other| policy.pools[0].backend = if other { Backend::Pod } else { Backend::Native },
        conflict("warm", Property::Backend),
    );
    conflicts(
        &|policy, other| policy.sandboxes = vec![placed(if other { "warm" } else { "cold" })],
        conflict("shell", Property::Pool),
    );
    conflicts(
        &|policy, other| {
            policy.sandboxes = vec![Sandbox { runtime: other.then_some(Language::Python), ..base.clone() }]
        },
        conflict("shell", Property::Runtime),
    );
    conflicts(
        &|policy, other| {
            let mut one = tool("shell.exec");
            one.run.sandbox = if other { "shell" } else { "python" }.to_owned();
            policy.tools = vec![ToolLayer {
                labels: Vec::new(),
                pack: 0,
                definitions: vec![one],
                approvers: Vec::new(),
                counters: Vec::new(),
                budgets: Vec::new(),
                rules: Vec::new(),
                regexes: Vec::new(),
            }];
        },
        conflict("shell.exec", Property::Run),
    );
}

/// Whoever places a sandbox names its variables.
#[test]
fn a_variable_that_only_one_of_two_packs_names_is_a_conflict() {
    let base = shell();
    let with = |pool: Option<&str>, variables: &[(&str, &str)]| Sandbox {
        pool: pool.map(str::to_owned),
        environment: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..base.clone()
    };
    let placed = |variables: &[(&str, &str)]| with(Some("warm"), variables);
    let variable = |variable: &str, fault| Conflict::Variable {
        sandbox: "shell".to_owned(),
        variable: variable.to_owned(),
        fault,
    };
    for (mine, theirs, expected) in [
        (
            with(None, &[("LANG", "en")]),
            with(None, &[("LANG", "C")]),
            variable("LANG", VariableFault::Values),
        ),
        (
            placed(&[]),
            with(None, &[("GIT_SSH_COMMAND", "x")]),
            variable("GIT_SSH_COMMAND", VariableFault::OnlyInCeiling),
        ),
        (
            placed(&[("LANG", "x")]),
            placed(&[("LANG", "x"), ("TZ", "x")]),
            variable("TZ", VariableFault::NotInEveryPlacer),
        ),
    ] {
        let change = |policy: &mut Policy, other| {
            policy.sandboxes = vec![if other { theirs.clone() } else { mine.clone() }];
        };
        conflicts(&change, expected);
    }
}
