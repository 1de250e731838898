//! The laws of composition over ten thousand pairs of random packs that have every section: commutative, idempotent, associative with a third pack,
//! never widening. Of each pair the engine decides random calls, one after the other, as it does alone.
//!
//! Packs are made once and paired at random, so that what is costly of one (its meaning, its expressions made ready) is paid once.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_compiler::meet::meet;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::tools::{Keep, Phase, ToolRule};
use bailiwick_policy::policy::{Network, Policy, Protocol};
use bailiwick_policy::tool::{
    CallResult, Effect, Listing, LoadedPolicy, ResultDecision, ResultEffect, ResultInputs, State, Subject,
    ToolCall, ToolDecision, decide_tool_call,
};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::generators::{PORTS, admission, images, isolation, network_rules, origin, pack, subject};
use crate::meaning::{End, Kind, Meaning, connects, ends, meaning_but_connections};
use crate::sandboxes::{TOOLS, audit, pool, powers, runnable, sandbox};
use crate::tools::{COMMANDS, kind, layer, open};

/// Pairs that are met.
const PAIRS: usize = 10_000;
/// Packs that they are made of: as many on the left, on the right and as the third of three.
const PACKS: usize = 300;
/// Calls of a session under each pair.
const CALLS: usize = 2;
/// One pair of so many has a longer session: that costs more than all the rest.
const MORE_OF: usize = 10;
/// When they are made, ms since 1970.
const NOW_MS: u64 = 1_800_000_000_000;
/// Calls of such a session: more than any limit that a layer has.
const MORE_CALLS: usize = 6;

/// A pack with each section or without.
fn policy(name: &'static str) -> impl Strategy<Value = Policy> {
    let network = weighted(0.4, (network_rules(), network_rules()));
    let sections = (weighted(0.4, subject()), isolation(), network, images(), weighted(0.3, admission()));
    let confined = (
        weighted(0.3, pool()),
        weighted(0.3, sandbox("python")),
        weighted(0.8, layer()),
        weighted(0.3, audit()),
    );
    (sections, confined).prop_map(
        move |((subject, isolation, network, images, admission), (pool, python, layer, audit))| {
            let network =
                network.map(|(egress, ingress)| Network { egress, ingress, from: vec![origin("network")] });
            runnable(Policy {
                subject,
                isolation,
                network,
                images,
                admission: admission.unwrap_or_default(),
                pools: pool.into_iter().collect(),
                sandboxes: python.into_iter().collect(),
                tools: layer.into_iter().collect(),
                audit,
                ..Policy::top(vec![pack(name, "digest")])
            })
        },
    )
}

/// A pack, and what is asked of it again and again.
struct Pack {
    policy: Policy,
    meaning: Meaning,
    powers: Option<BTreeSet<String>>,
    /// Decides calls beside a pack that grants every one.
    alone: LoadedPolicy,
}

fn met(policies: &[&Policy]) -> Policy {
    meet(policies.iter().map(|policy| (*policy).clone()).collect()).unwrap().policy
}

fn loaded(policy: Policy) -> LoadedPolicy {
    LoadedPolicy::new(policy, "digest".to_owned()).unwrap()
}

/// What a pack lets a python sandbox do.
fn python(policy: &Policy) -> Option<BTreeSet<String>> {
    policy.sandboxes.iter().find(|one| one.name == "python").map(powers)
}

/// A pack that defines every tool and grants every call, for a pack that is to have its say alone.
fn granting() -> Policy {
    runnable(Policy { tools: vec![open()], ..Policy::top(vec![pack("granting", "digest")]) })
}

fn packs(name: &'static str, runner: &mut TestRunner) -> Vec<Pack> {
    let granting = granting();
    let made = policy(name);
    let policies = (0..PACKS).map(|_| made.new_tree(runner).unwrap().current());
    policies
        .map(|policy| Pack {
            meaning: meaning_but_connections(&policy),
            powers: python(&policy),
            alone: loaded(met(&[&granting, &policy])),
            policy,
        })
        .collect()
}

/// How wide a decision is: denied, after so many approvals of a group, at once; and where the call then runs.
#[derive(Clone, Debug, PartialEq)]
struct Width {
    rank: u8,
    /// The quorum of each group of each pack that is asked.
    quorums: BTreeMap<(String, String), u32>,
    /// `None`: it does not run yet.
    sandbox: Option<String>,
    /// The arguments that it then has.
    command: String,
}

impl Width {
    fn of(decision: &ToolDecision) -> Self {
        let (rank, quorums) = match &decision.effect {
            Effect::Deny(_) => (0, BTreeMap::new()),
            Effect::Ask(request) => {
                let asked = request.requirements.iter();
                (1, asked.map(|one| ((one.pack.clone(), one.group.clone()), one.quorum)).collect())
            }
            Effect::Allow(_) => (2, BTreeMap::new()),
        };
        let sandbox = match &decision.effect {
            Effect::Allow(permit) => permit.get().plan().sandbox().map(str::to_owned),
            Effect::Deny(_) | Effect::Ask(_) => None,
        };
        Self { rank, quorums, sandbox, command: command(decision.call()) }
    }

    /// Everybody whom the other asks is asked here, too, and a call that the other narrows is narrowed.
    fn is_within(&self, other: &Self) -> bool {
        let asked = |(group, quorum): (&(String, String), &u32)| {
            self.quorums.get(group).is_some_and(|own| own >= quorum)
        };
        let narrowed = other.sandbox.is_none()
            || self.sandbox == other.sandbox
            || self.sandbox.as_deref() == Some(NARROWER);
        self.rank < other.rank || self.rank == other.rank && other.quorums.iter().all(asked) && narrowed
    }
}

/// The sandbox that rules narrow calls to.
const NARROWER: &str = "quiet";

fn command(call: &ToolCall) -> String {
    call.arguments().get("command").and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// What was met, so that a generator that no longer makes something is noticed.
#[derive(Default)]
struct Tally(BTreeMap<String, usize>);

impl Tally {
    fn count(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    fn sections(&mut self, a: &Policy, b: &Policy) {
        let both = |name: &str, has: &dyn Fn(&Policy) -> bool| {
            (has(a) && has(b)).then(|| format!("both have {name}"))
        };
        let found = [
            both("subjects", &|one| one.subject.is_some()),
            both("podSecurity", &|one| !one.isolation.pod_security.is_empty()),
            both("network", &|one| one.network.is_some()),
            both("images", &|one| !one.images.is_empty()),
            both("pools", &|one| !one.pools.is_empty()),
            both("python", &|one| one.sandboxes.iter().any(|sandbox| sandbox.name == "python")),
            both("audit", &|one| one.audit.is_some()),
            both("admission rules", &|one| !one.admission.rules.is_empty()),
            both("budgets", &|one| one.tools.iter().any(|layer| !layer.budgets.is_empty())),
        ];
        found.into_iter().flatten().for_each(|what| self.count(what));
        let rules = [a, b].into_iter().flat_map(|one| &one.tools).flat_map(|layer| &layer.rules);
        let kinds: BTreeSet<String> = rules.map(kind).collect();
        kinds.into_iter().for_each(|kind| self.count(kind));
    }
}

/// Random numbers from proptest's own source.
fn below(runner: &mut TestRunner, bound: usize) -> usize {
    (runner.rng().next_u32() as usize) % bound
}

/// Some connection: outwards or inwards, protocol, port.
fn connection(runner: &mut TestRunner) -> (bool, Protocol, u16) {
    let protocol = [Protocol::Tcp, Protocol::Udp][below(runner, 2)];
    (below(runner, 2) == 0, protocol, PORTS[below(runner, PORTS.len())])
}

/// The same policy: everything but the network by its meaning or its bytes, the network at some points.
fn assert_same(left: &Policy, right: &Policy, points: &[End], runner: &mut TestRunner) {
    if left == right {
        return;
    }
    assert_eq!(left.pools, right.pools);
    assert_eq!(left.sandboxes, right.sandboxes);
    assert_eq!(left.tools, right.tools);
    assert_eq!(left.audit, right.audit);
    assert_eq!(left.packs, right.packs);
    assert_eq!(meaning_but_connections(left), meaning_but_connections(right));
    for _ in 0..4 {
        let (end, (outwards, protocol, port)) = (&points[below(runner, points.len())], connection(runner));
        assert_eq!(
            connects(left, end, outwards, protocol, port),
            connects(right, end, outwards, protocol, port),
            "{end:?}"
        );
    }
}

/// Every section of `both` allows no more than that of `one`.
fn assert_within(both: &Policy, meaning: &Meaning, one: &Pack, points: &[End], runner: &mut TestRunner) {
    let alone = &one.meaning;
    assert!(
        meaning
            .classes
            .as_ref()
            .is_none_or(|classes| alone.classes.as_ref().is_none_or(|all| classes.is_subset(all)))
    );
    assert!(meaning.classes.is_some() || alone.classes.is_none());
    assert!(alone.demands.is_subset(&meaning.demands) && alone.rules.is_subset(&meaning.rules));
    assert!(meaning.token_forbidden || !alone.token_forbidden);
    assert!(meaning.images.is_subset(&alone.images));
    if let Some((namespaces, pods, _, unmatched)) = &alone.subject {
        let (met_namespaces, met_pods, _, met_unmatched) = meaning.subject.as_ref().unwrap();
        assert!(
            met_namespaces.is_subset(namespaces) && met_pods.is_subset(pods) && met_unmatched >= unmatched
        );
    }
    for _ in 0..4 {
        let (end, (outwards, protocol, port)) = (&points[below(runner, points.len())], connection(runner));
        let lets = |policy| connects(policy, end, outwards, protocol, port);
        assert!(!lets(both) || lets(&one.policy), "{end:?}");
    }
    for alone in &one.policy.pools {
        let met = both.pools.iter().find(|pool| pool.name == alone.name).unwrap();
        assert!(
            met.pod_security.level >= alone.pod_security.level && met.user_namespace >= alone.user_namespace
        );
        assert!(
            met.cgroup <= alone.cgroup
                && met.cpus_milli <= alone.cpus_milli
                && met.memory_bytes <= alone.memory_bytes
        );
    }
    if let Some(alone) = &one.policy.audit {
        let (met, alone) = (both.audit.as_ref().unwrap().value, alone.value);
        let kept = |met: Keep, alone: Keep| met == alone || met == Keep::Commit;
        assert!(
            kept(met.arguments, alone.arguments)
                && kept(met.results, alone.results)
                && met.admission >= alone.admission
        );
        assert!(met.retention_ms.unwrap_or(u64::MAX) >= alone.retention_ms.unwrap_or(u64::MAX));
    }
}

/// A session of random calls under the meet: what each comes to is no wider than what either pack says alone of it, in the same state, and nothing
/// is lost that both allow.
fn assert_decisions(
    both: &LoadedPolicy,
    packs: [&Pack; 2],
    calls: usize,
    named: &dyn Fn(&str) -> bool,
    runner: &mut TestRunner,
    tally: &mut Tally,
) {
    let subject = Subject::default();
    let mut state = State::default();
    state.apply(&State::open("s", &subject, NOW_MS)).unwrap();
    for at in 0..calls {
        let tool = TOOLS[below(runner, TOOLS.len())];
        let command = COMMANDS[below(runner, COMMANDS.len())];
        let args = serde_json::json!({"command": command});
        let call =
            ToolCall::new(&format!("c{at}"), "s", subject.clone(), tool, Json::from(&args).into_owned())
                .unwrap();
        let decision = decide_tool_call(both, &call, &state, NOW_MS, None);
        let met = Width::of(&decision);
        let width = |pack: &Pack, call: &ToolCall| {
            Width::of(&decide_tool_call(&pack.alone, call, &state, NOW_MS, None))
        };
        let alone = packs.map(|pack| width(pack, &call));
        // Whatever grants made of the arguments: each pack lets the call through as it came, and as it runs.
        for alone in alone.iter().chain(&packs.map(|pack| width(pack, decision.call()))) {
            assert!(met.is_within(alone), "{tool} {command}: {met:?} is wider than {alone:?}");
        }
        let unchanged = alone.iter().all(|one| one.command == command);
        let lost = named(tool) && unchanged && alone.iter().all(|one| one.rank == 2) && met.rank < 2;
        assert!(!lost, "{tool} {command}: both allow it, and together they do not: {:?}", decision.effect);
        tally.count(["denied", "asked", "allowed"][usize::from(met.rank)]);
        if met.rank == 2 {
            tally.count(if met.command == command { "as it came" } else { "with other arguments" });
            let narrowed = met.sandbox.as_deref() == Some(NARROWER);
            tally.count(if narrowed { "narrowed" } else { "in its own sandbox" });
            assert_result(both, packs, decision.call(), &state, tally);
        }
        assert_listing(both, packs, &state, tool, met.rank, tally);
        state.apply(&decision.delta).unwrap();
    }
}

/// What the caller is told of a result: `None` if nothing; and which labels the session gets.
fn told(policy: &LoadedPolicy, call: &ToolCall, state: &State) -> (Option<String>, BTreeSet<String>) {
    let result = CallResult {
        outcome: "Exited".to_owned(),
        exit_code: Some(0),
        stdout: PRINTED.as_bytes().to_vec(),
        ..CallResult::default()
    };
    let Some(inputs) = ResultInputs::of(policy, call, state, NOW_MS) else {
        return (Some(PRINTED.to_owned()), BTreeSet::new());
    };
    let ResultDecision { effect, added, .. } = inputs.decide(policy, &result);
    let text = match effect {
        ResultEffect::Withhold(_) => None,
        ResultEffect::Deliver(texts) => Some(texts.stdout.unwrap_or_else(|| PRINTED.to_owned())),
    };
    (text, added)
}

/// What a call printed.
const PRINTED: &str = "a secret";

/// What one pack withholds is withheld, what one redacts is not told as it was, and labels of both are there.
fn assert_result(both: &LoadedPolicy, packs: [&Pack; 2], call: &ToolCall, state: &State, tally: &mut Tally) {
    let (text, added) = told(both, call, state);
    for (alone, labels) in packs.map(|pack| told(&pack.alone, call, state)) {
        match (&text, alone) {
            (None, _) => {}
            (Some(text), Some(alone)) if alone == PRINTED || *text == alone => {}
            // Another pack redacts what this one leaves.
            (Some(text), Some(_)) if !text.contains("secret") => {}
            (text, alone) => panic!("{text:?} is told, and alone {alone:?}"),
        }
        assert!(labels.is_subset(&added), "{labels:?} are not among {added:?}");
    }
    tally.count(match text.as_deref() {
        None => "withheld",
        Some(PRINTED) => "delivered",
        Some(_) => "redacted",
    });
}

/// A tool that one pack hides is hidden. One that no call is let through of may be shown; one of which a call was let through is hidden by a rule
/// of phase `List` alone.
fn assert_listing(
    both: &LoadedPolicy,
    packs: [&Pack; 2],
    state: &State,
    tool: &str,
    rank: u8,
    tally: &mut Tally,
) {
    let hidden = |policy: &LoadedPolicy| {
        let listing = Listing::of(policy, &Subject::default(), Some("s"), state, NOW_MS).unwrap();
        let tools = listing.tools(policy);
        let listed = tools.into_iter().find(|one| one.name == tool);
        listed.is_none_or(|listed| listed.hidden.is_some())
    };
    let hidden_in_both = hidden(both);
    for pack in packs {
        assert!(hidden_in_both || !hidden(&pack.alone), "{tool} is shown, and hidden by one pack");
    }
    let lists = |rule: &ToolRule| rule.phase == Phase::List && rule.is_enforced();
    let rules = packs.into_iter().flat_map(|pack| &pack.policy.tools).flat_map(|layer| &layer.rules);
    let by_rule = rules.into_iter().any(lists);
    assert!(!hidden_in_both || rank == 0 || by_rule, "{tool} is hidden, and a call of it was let through");
    tally.count(if hidden_in_both { "hidden" } else { "listed" });
}

#[test]
fn the_laws_hold_for_ten_thousand_pairs_of_packs() {
    let mut runner = TestRunner::deterministic();
    let [left, right, third] = ["a", "b", "c"].map(|name| packs(name, &mut runner));
    let exact = ends(&[Some(Kind::Own), Some(Kind::Pods), Some(Kind::Address)]);
    // As packets are: a pod has an address, too.
    let real = ends(&[None]);
    let mut tally = Tally::default();
    let mut pairs = BTreeSet::new();
    while pairs.len() < PAIRS {
        let (at, other) = (below(&mut runner, PACKS), below(&mut runner, PACKS));
        if !pairs.insert((at, other)) {
            continue;
        }
        let (a, b, c) = (&left[at], &right[other], &third[below(&mut runner, PACKS)]);
        let ab = met(&[&a.policy, &b.policy]);
        assert!(ab == met(&[&b.policy, &a.policy]), "the order matters");
        assert_same(&met(&[&ab, &a.policy]), &ab, &exact, &mut runner);
        let (first, last) = (met(&[&ab, &c.policy]), met(&[&a.policy, &met(&[&b.policy, &c.policy])]));
        assert_same(&first, &last, &exact, &mut runner);
        tally.count("met with a third");
        let meaning = meaning_but_connections(&ab);
        let powers = a.powers.as_ref().zip(b.powers.as_ref()).map(|(a, b)| a & b);
        assert!(
            powers.is_none() || python(&ab) == powers,
            "a sandbox can do something else than in both packs"
        );
        tally.sections(&a.policy, &b.policy);
        for one in [a, b] {
            assert_within(&ab, &meaning, one, &real, &mut runner);
        }
        let defined: BTreeSet<String> =
            ab.tools.iter().flat_map(|layer| &layer.definitions).map(|tool| tool.name.clone()).collect();
        let calls = if pairs.len().is_multiple_of(MORE_OF) { MORE_CALLS } else { CALLS };
        assert_decisions(&loaded(ab), [a, b], calls, &|tool| defined.contains(tool), &mut runner, &mut tally);
    }
    println!("number: laws of composition over {} pairs of packs: {:?}", pairs.len(), tally.0);
    assert_eq!(pairs.len(), PAIRS);
    assert_met(&tally);
}

/// Everything was met, sections and effects and what came of them, so that the laws were asked of it.
fn assert_met(tally: &Tally) {
    let wanted = [
        "subjects",
        "podSecurity",
        "network",
        "images",
        "pools",
        "python",
        "audit",
        "admission rules",
        "budgets",
    ];
    let wanted = wanted.map(|section| format!("both have {section}")).into_iter();
    let wanted = wanted.chain(
        [
            "allow",
            "ask",
            "deny",
            "throttle",
            "confirm",
            "narrow",
            "label",
            "denied",
            "asked",
            "allowed",
            "allow with other arguments",
            "ask with other arguments",
            "deny in phase Result",
            "redact in phase Result",
            "label in phase Result",
            "deny in phase List",
            "as it came",
            "in its own sandbox",
            "delivered",
            "hidden",
            "listed",
        ]
        .map(str::to_owned),
    );
    // What follows from several rules at once is rarer.
    let rare = ["with other arguments", "narrowed", "withheld", "redacted"].map(|what| (what.to_owned(), 20));
    for (what, least) in wanted.map(|what| (what, 200)).chain(rare) {
        let found = tally.0.get(&what).copied().unwrap_or_default();
        assert!(found >= least, "only {found} of {what}: {:?}", tally.0);
    }
}
