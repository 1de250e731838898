//! Random rules as admission policies of a real API server, which must find against the same pods as our own
//! evaluator.
//!
//! Every rule only warns, so that one request reports all rules of its namespace; each message contains the
//! rule's name. `BAILIWICK_SEED` gives other rules.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_compiler::emit::{EmitOptions, Enforcement, artifacts};
use bailiwick_conformance::api::Api;
use bailiwick_conformance::guest::Guest;
use bailiwick_conformance::patience::until;
use bailiwick_conformance::pod_security_fixtures::fixtures;
use bailiwick_policy::admission::{AdmissionRequest, ManifestContext, Namespaces, Phase, Reviewer};
use bailiwick_policy::bundle::Bundle;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::{Action, Admission, AdmissionRule, Policy, Unmatched};
use serde_json::{Value, json};

use crate::cluster::install;
use crate::policies::{DIGEST, bare, digest, labels};
use crate::rules::{self, Author};
use crate::shared;

/// Rules, in namespaces: one request is answered by all rules of its namespace.
const RULES: usize = 210;
const IN_A_NAMESPACE: usize = 42;
/// Findings that an API server reports completely: it stops at 4,096 characters.
const SAID: usize = 24;
/// Candidates that are made for one namespace; some have no form for the API server.
const CANDIDATES: usize = 60;
/// Pods that are judged.
const PODS: usize = 500;
/// Threads that send requests: while one waits for the API server, others evaluate.
const ASKING: usize = 4;
pub(crate) const DEPTH: u32 = 3;
const SEED: u64 = 11;

/// Forms of each kind: `$B` bool, `$S` string, `$I` int, `$L` list of strings, `$C` list of containers, `$O`
/// bool over the container `c`.
const FORMS: &[(char, &[&str])] = &[
    (
        'B',
        &[
            "($B && $B)",
            "($B || $B)",
            "!$B",
            "($B ? $B : $B)",
            "($S == $S)",
            "($S != $S)",
            "($S < $S)",
            "($S in $L)",
            "$S.startsWith($S)",
            "$S.endsWith($S)",
            "$S.contains($S)",
            "$S.matches('^[a-z]{1,4}')",
            "$S.matches('(a|b|reg).*[0-9]')",
            "($I == $I)",
            "($I < $I)",
            "($I >= $I)",
            "$C.all(c, $O)",
            "$C.exists(c, $O)",
            "$C.exists_one(c, $O)",
            "$L.exists(s, s == $S)",
            "$L.all(s, s.size() > $I)",
            "has(object.spec.securityContext)",
            "object.spec.?hostNetwork.orValue(false)",
            "object.spec.?hostPID.orValue(false)",
            "object.spec.?securityContext.?runAsNonRoot.orValue(false)",
            "object.metadata.?labels[?'standard'].hasValue()",
            "(object.metadata.?annotations[?'team'].orValue('') == $S)",
            "sets.contains($L, $L)",
            "sets.intersects($L, $L)",
            "isQuantity($S)",
            "quantity('1Gi').isGreaterThan(quantity(isQuantity($S) ? '2Gi' : '1Mi'))",
            "isIP($S)",
            // Literals of several types, which the API server accepts as `dyn`.
            "($S in [$S, $I, $B])",
            "($I in [[$I], $S, $I])",
            "[$S, $I].exists(x, x == $S)",
            "({'a': $S, 'b': $I}['a'] == $S)",
            "({'a': $I, 'b': [$S]} == {'a': $I, 'b': $L})",
            "(size({1: $S, 'b': $S}) == $I)",
            "[object.metadata.name, $I].all(x, x != $S)",
            // Errors, if the left side does not decide.
            "($B || object.spec.nodeName == $S)",
            "($B && [1, 2][$I] == 1)",
            "(10 / $I > 2)",
        ],
    ),
    (
        'S',
        &[
            "''",
            "'a'",
            "'main'",
            "'x'",
            "'registry'",
            "'Restricted-36'",
            "object.metadata.name",
            "object.metadata.?labels[?'standard'].orValue('none')",
            "object.metadata.?annotations[?'team'].orValue('none')",
            "object.spec.?restartPolicy.orValue('')",
            "object.spec.?priorityClassName.orValue('no')",
            "object.spec.containers[0].name",
            "object.spec.containers[0].image",
            "($S + $S)",
            "($B ? $S : $S)",
            "string($I)",
            "$S.lowerAscii()",
            "$S.upperAscii()",
            "$S.replace('a', 'bb')",
            "$S.trim()",
            "$C.map(c, c.name).join(',')",
            "$L.join('-')",
        ],
    ),
    (
        'I',
        &[
            "0",
            "1",
            "3",
            "30",
            "size($S)",
            "size($L)",
            "size($C)",
            "($I + $I)",
            "($I - $I)",
            "$S.indexOf($S)",
            "object.spec.?terminationGracePeriodSeconds.orValue(30)",
            "int(object.spec.?activeDeadlineSeconds.orValue(0))",
        ],
    ),
    (
        'L',
        &[
            "['a', 'main']",
            "[$S]",
            "[$S, $S]",
            "$C.map(c, c.name)",
            "$C.map(c, $O, c.image)",
            "$S.split('a')",
            "($L + $L)",
            "$L.filter(s, s != $S)",
        ],
    ),
    (
        'C',
        &[
            "object.spec.containers",
            "object.spec.?initContainers.orValue([])",
            "pod.allContainers",
            "pod.mainContainers",
            "$C.filter(c, $O)",
        ],
    ),
    (
        'O',
        &[
            "($O && $O)",
            "($O || $O)",
            "!$O",
            "(c.name == $S)",
            "c.image.contains($S)",
            "has(c.securityContext)",
            "c.?securityContext.?privileged.orValue(false)",
            "c.?securityContext.?allowPrivilegeEscalation.orValue(true)",
            "('ALL' in c.?securityContext.?capabilities.?drop.orValue([]))",
            "('memory' in c.?resources.?limits.orValue({}))",
            "c.?ports.orValue([]).exists(p, p.?hostPort.orValue(0) > $I)",
            "(size(c.?env.orValue([])) < $I)",
        ],
    ),
];

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    /// Thrown anew as `BAILIWICK_SEED` says, or always in the same way.
    pub(crate) fn seeded() -> Self {
        Self(std::env::var("BAILIWICK_SEED").map_or(SEED, |seed| seed.parse().unwrap()))
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    /// An expression of a kind; at the bottom one without operands.
    pub(crate) fn expression(&mut self, kind: char, depth: u32) -> String {
        let (_, forms) = FORMS.iter().find(|(of, _)| *of == kind).unwrap();
        let fitting: Vec<&&str> = forms.iter().filter(|form| depth > 0 || !form.contains('$')).collect();
        let form = fitting[self.roll(fitting.len())];
        let mut parts = form.split('$');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (kind, rest) = part.split_at(1);
            text.push_str(&self.expression(kind.chars().next().unwrap(), depth.saturating_sub(1)));
            text.push_str(rest);
        }
        text
    }
}

fn namespace(index: usize) -> String {
    format!("generated-{index}")
}

/// Expressions with their rules' names. One that is always true or false is rejected in a pack, and shows
/// nothing.
fn expressions(index: usize, dice: &mut Dice) -> Vec<(String, String)> {
    let mut made = Vec::new();
    while made.len() < CANDIDATES {
        let expression = dice.expression('B', DEPTH);
        if expression.contains("object") || expression.contains("pod.") {
            made.push((format!("g{:03}", index * CANDIDATES + made.len()), expression));
        }
    }
    made
}

/// The policy of one namespace with those of these expressions that the API server's CEL can express.
fn policy(index: usize, expressions: &[(String, String)]) -> Policy {
    let cell = format!("eeee{index:012x}");
    let mut policy = expressible(&cell, &namespace(index), expressions, |rule| rule.action = Action::Warn);
    policy.admission.rules.truncate(IN_A_NAMESPACE);
    assert_eq!(policy.admission.rules.len(), IN_A_NAMESPACE, "too few rules can be said to the API server");
    policy
}

/// A policy over a zone, with a rule for each name and expression that the API server's CEL can express; the others
/// are in the report, and in no admission policy. `change` is made to each rule.
pub(crate) fn expressible(
    cell: &str,
    zone: &str,
    expressions: &[(String, String)],
    change: impl Fn(&mut AdmissionRule),
) -> Policy {
    let mut policy = bare();
    policy.cell = cell.to_owned();
    let subject = policy.subject.as_mut().unwrap();
    subject.namespaces = vec![labels(&[("bailiwick.dev/zone", zone)])];
    subject.pods = Vec::new();
    subject.unmatched = Unmatched::Allow;
    subject.exclusive = false;
    let mut author = Author::new();
    let rule = |(name, expression): &(String, String)| {
        let mut rule = author.rule(name, &["CREATE"], expression, name);
        rule.pod_templates = false;
        change(&mut rule);
        rule
    };
    let rules = expressions.iter().map(rule).collect();
    let (shared, regexes) = author.into_parts();
    policy.admission = Admission { shared, regexes, rules, ..Admission::default() };
    let report = artifacts(&policy, &digest(&policy), &EmitOptions::default()).unwrap().report;
    let carried = |name: &str| {
        let end = format!("/{name}");
        let statement = report.statements.iter().find(|statement| statement.id.ends_with(&end));
        statement.is_some_and(|statement| statement.floor == Enforcement::Full)
    };
    policy.admission.rules.retain(|rule| carried(&rule.name));
    policy
}

fn reviewer(index: usize, policy: &Policy) -> Reviewer {
    let zone = BTreeMap::from([("bailiwick.dev/zone".to_owned(), namespace(index))]);
    let namespaces = Namespaces::new(BTreeMap::from([(namespace(index), zone)]));
    let bundle = Bundle { policy: policy.clone(), digest: DIGEST.to_owned() };
    Reviewer::new(vec![bundle], namespaces).unwrap()
}

/// Random rules that each object to a minority of the pods: a rule that objects to too many is negated, since
/// an API server reports only so much.
fn balanced(index: usize, dice: &mut Dice, pods: &[Value]) -> Policy {
    let mut expressions = expressions(index, dice);
    let first = policy(index, &expressions);
    let reviewer = reviewer(index, &first);
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for rule in pods.iter().flat_map(|pod| ours(&reviewer, &of(pod, index))) {
        *found.entry(rule).or_default() += 1;
    }
    for (name, expression) in &mut expressions {
        if found.get(name).is_some_and(|found| *found > pods.len() / 2) {
            *expression = format!("!({expression})");
        }
    }
    policy(index, &expressions)
}

/// A pod in a namespace.
fn of(pod: &Value, index: usize) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["namespace"] = json!(namespace(index));
    pod
}

/// Pods of the fixtures and of the authored rules, each differing from the others.
pub(crate) fn pods() -> Option<Vec<Value>> {
    let mut pods = rules::pods();
    pods.extend(fixtures().unwrap()?.into_iter().rev().map(|fixture| fixture.pod));
    let mut seen = BTreeSet::new();
    // The API server turns AppArmor's old annotation into a field before any policy sees it.
    pods.retain(|pod| !pod.to_string().contains("container.apparmor.security.beta.kubernetes.io"));
    pods.retain(|pod| seen.insert(pod.to_string()));
    pods.truncate(PODS + PODS / 10);
    for (index, pod) in pods.iter_mut().enumerate() {
        pod["metadata"]["name"] = json!(format!("p{index}"));
        pod["metadata"]["labels"]["standard"] = json!(format!("s{}", index % 7));
    }
    Some(pods)
}

/// The names of the rules that are false for a pod. A rule whose evaluation is an error is not among them:
/// for a rule that only warns the API server then says nothing (`failurePolicy: Ignore`), and our message is
/// not the rule's.
fn ours(reviewer: &Reviewer, pod: &Value) -> BTreeSet<String> {
    let request = AdmissionRequest::from_manifest(Json::from(pod), ManifestContext::default()).unwrap();
    let findings = reviewer.review(&request, Phase::Validate).findings.into_iter();
    findings.filter(|finding| finding.message == finding.rule).map(|finding| finding.rule).collect()
}

/// The API server's findings on a pod; `None`: the pod is invalid.
fn theirs(api: &Api, namespace: &str, pod: &Value) -> Option<BTreeSet<String>> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    let (status, warnings) = api.warnings("POST", &path, &pod.to_string()).unwrap();
    (status == 201).then(|| warnings.iter().filter_map(|warning| named(warning)).collect())
}

/// The first rule's name in a text.
fn named(text: &str) -> Option<String> {
    let at = text.match_indices('g').map(|(at, _)| at);
    at.filter_map(|at| text.get(at..at + 4))
        .find(|name| name.bytes().skip(1).all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
}

/// The results of comparing.
#[derive(Default)]
struct Compared {
    /// Pods of which every finding was compared.
    judged: BTreeSet<String>,
    /// Findings of the API server.
    found: usize,
    /// Answers that it cut off.
    cut: usize,
    wrong: Vec<String>,
}

impl Compared {
    fn add(&mut self, policy: &Policy, pod: &Value, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) {
        self.found += theirs.len();
        // Beyond this number the API server cuts off the last finding; what it does report is correct all the
        // same.
        let is_cut = ours.len() > SAID;
        self.cut += usize::from(is_cut);
        if !is_cut {
            self.judged.insert(pod["metadata"]["name"].to_string());
        }
        for rule in ours.symmetric_difference(theirs).filter(|rule| !is_cut || theirs.contains(*rule)) {
            let rule = policy.admission.rules.iter().find(|one| one.name == *rule);
            let source = rule.map(|rule| &rule.validations[0].expression.source);
            self.wrong.push(format!("{source:?}: ours {}: {pod}", ours.len()));
        }
    }

    fn join(&mut self, other: Self) {
        self.judged.extend(other.judged);
        self.found += other.found;
        self.cut += other.cut;
        self.wrong.extend(other.wrong);
    }
}

/// Compares with the line that `docs/conformance.md` has; `UPDATE_EXPECT=1` writes it, and `make conformance` then the page. Other rules than the usual
/// ones have another line.
fn is_on_the_page(line: &str) {
    print!("number: on the API server, {line}");
    if std::env::var_os("BAILIWICK_SEED").is_some() {
        return;
    }
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cel/api-server.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, line).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), line, "run with UPDATE_EXPECT=1");
}

#[test]
fn rules_made_at_random_say_the_same_on_the_api_server() {
    let Some(pods) = pods() else { return };
    let mut dice = Dice::seeded();
    let policies: Vec<Policy> =
        (0..RULES / IN_A_NAMESPACE).map(|index| balanced(index, &mut dice, &pods)).collect();
    let cluster = shared();
    let guest = Guest::of(&cluster);
    let api = cluster.api().unwrap();
    let mut all = Compared::default();
    for (index, policy) in policies.iter().enumerate() {
        let name = namespace(index);
        let zone = BTreeMap::from([("bailiwick.dev/zone".to_owned(), name.clone())]);
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": zone}});
        guest.bring(&["apply", "--server-side"], &object.to_string()).unwrap();
        cluster.await_namespace(&name).unwrap();
        install(&guest, policy);
        let reviewer = reviewer(index, policy);
        let pods: Vec<Value> = pods.iter().map(|pod| of(pod, index)).collect();
        let probe = pods.iter().max_by_key(|pod| ours(&reviewer, pod).len()).unwrap();
        until("the rules are in force", || {
            let said = theirs(&api, &name, probe)?;
            (!said.is_empty()).then_some(())
        })
        .unwrap();
        let compare = |pods: &[Value]| {
            let mut compared = Compared::default();
            for pod in pods {
                if let Some(theirs) = theirs(&api, &name, pod) {
                    compared.add(policy, pod, &ours(&reviewer, pod), &theirs);
                }
            }
            compared
        };
        std::thread::scope(|scope| {
            let parts = pods.chunks(pods.len().div_ceil(ASKING));
            let asking: Vec<_> = parts.map(|part| scope.spawn(|| compare(part))).collect();
            asking.into_iter().for_each(|one| all.join(one.join().unwrap()));
        });
    }
    let Compared { judged, found, cut, wrong } = all;
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
    let pairs = judged.len() * policies.len() * IN_A_NAMESPACE;
    is_on_the_page(&format!(
        "{} rules over {} pods: {pairs} verdicts, {found} of them findings, all equal. {cut} answers were cut off, and only what they say was compared.\n",
        policies.len() * IN_A_NAMESPACE,
        judged.len()
    ));
    assert!(judged.len() >= PODS, "only {} pods were judged", judged.len());
    assert!(cut < PODS / 4, "{cut} answers were cut off");
    assert!(found > pairs / 50 && found < pairs / 2, "the rules tell too little apart: {found}");
}
