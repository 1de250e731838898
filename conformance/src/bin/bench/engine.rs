//! Decisions over sixteen and over a thousand rules and over tool calls, and the evaluator compared with the
//! crates `cel` and `kube-cel`, and with hand-written Rust.

use std::collections::BTreeMap;

use bailiwick_compiler::cel::{Context, Interner, Type, compile};
use bailiwick_policy::admission::{AdmissionRequest, Namespaces, Phase, Reviewer};
use bailiwick_policy::bundle;
use bailiwick_policy::cel::{Env, Fuel, Loaded, Prepared, Scope, Value, eval};
use bailiwick_policy::ir::Const;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::{
    Action, Admission, AdmissionRule, FORMAT_VERSION, Isolation, LabelSelector, Match, Origin, PackSource,
    Policy, ResourceRule, Subject, Unmatched, Validation,
};
use serde_json::json;

use crate::peer_rego;
use crate::report::Report;
use crate::rules::{RULES, plain_rules, pod};
use crate::sampling::{Candidate, interleaved, median};
use crate::{hand_written, manifests, peer_cel, peer_kube, tools};

const ROUNDS: usize = 1_000;
/// So many that a sample is long compared with reading the clock.
const RUNS_PER_SAMPLE: u32 = 20;
/// Manifests for whose pods all compared candidates must agree.
const MANIFESTS: usize = 400;

/// The bench `engine`.
pub(crate) fn run() -> anyhow::Result<Report> {
    let pod = pod();
    let text = serde_json::to_vec(&pod)?;
    let object = Json::parse(&text)?;
    let review = serde_json::to_vec(&review(&pod))?;
    let request = AdmissionRequest::parse(&review)?;
    let sixteen = reviewer(16)?;
    let thousand = reviewer(1_000)?;
    let ours = Expressions::new(&admission(16)?)?;
    let plain = plain_rules();
    let peer = peer_cel::Rules::new(plain.iter().map(String::as_str), &pod)?;
    let kube = peer_kube::Rules::new(plain.iter().map(String::as_str), &pod)?;
    let plain = admission_of(plain.iter().map(|rule| (rule.as_str(), "pods", "Pod")))?;
    let plain = Expressions::new(&plain)?;
    check_verdicts(&ours)?;
    let decides = |reviewer: &Reviewer| {
        let decision = reviewer.review(&request, Phase::Validate);
        decision.allowed && decision.cells.len() == 1
    };
    let mut candidates = [
        Candidate { name: "16 rules", run: Box::new(|| decides(&sixteen)) },
        Candidate { name: "1000 rules", run: Box::new(|| decides(&thousand)) },
        Candidate { name: "evaluator", run: Box::new(|| ours.hold(&object)) },
        Candidate { name: "evaluator, plain", run: Box::new(|| plain.hold(&object)) },
        Candidate { name: "cel 0.15", run: Box::new(|| peer.allow()) },
        Candidate { name: "kube-cel 0.8", run: Box::new(|| kube.allow()) },
        Candidate { name: "hand-written", run: Box::new(|| hand_written::allows(&object)) },
    ];
    let samples = interleaved(&mut candidates, ROUNDS, RUNS_PER_SAMPLE)?;
    let [decision, many, evaluator, evaluator_plain, peer, kube, hand] = samples.as_slice() else {
        anyhow::bail!("a candidate was not measured");
    };
    let mut report = Report::new("engine");
    report.versions.insert("cel".to_owned(), "0.15.0".to_owned());
    report.versions.insert("kube-cel".to_owned(), "0.8.0".to_owned());
    let ratio = |over: &[f64], under: &[f64]| median(over) / median(under);
    report.set("admission_16_rules_p50_us", median(decision) / 1e3, ROUNDS);
    report.set("admission_1000_over_16_p50_ratio", ratio(many, decision), ROUNDS);
    report.set("evaluator_16_rules_p50_us", median(evaluator) / 1e3, ROUNDS);
    report.set("cel015_over_ours_ratio", ratio(peer, evaluator_plain), ROUNDS);
    report.set("kube_cel_over_ours_ratio", ratio(kube, evaluator_plain), ROUNDS);
    report.set("ours_over_handwritten_ratio", ratio(evaluator, hand), ROUNDS);
    report.set("pod_bytes", text.len() as f64, 1);
    measure_rego(&mut report, &pod, &object, &ours)?;
    tools::measure(&mut report)?;
    Ok(report)
}

/// The same rules in Rego, on regorus' register machine.
fn measure_rego(
    report: &mut Report,
    pod: &serde_json::Value,
    object: &Json<'_>,
    ours: &Expressions,
) -> anyhow::Result<()> {
    let rules = peer_rego::Rules::new()?;
    for pod in manifests::pods(MANIFESTS)? {
        let text = serde_json::to_vec(&pod)?;
        let allowed = ours.hold(&Json::parse(&text)?);
        anyhow::ensure!(rules.over(&pod)?.allow()? == allowed, "regorus disagrees over {pod}");
    }
    let mut peer = rules.over(pod)?;
    let mut candidates = [
        Candidate { name: "evaluator", run: Box::new(|| ours.hold(object)) },
        Candidate { name: "regorus 0.14", run: Box::new(|| peer.allow().unwrap_or(false)) },
    ];
    let samples = interleaved(&mut candidates, ROUNDS, RUNS_PER_SAMPLE)?;
    let [evaluator, regorus] = samples.as_slice() else {
        anyhow::bail!("a candidate was not measured");
    };
    report.versions.insert("regorus".to_owned(), "0.14.1".to_owned());
    report.set("regorus_rvm_over_ours_ratio", median(regorus) / median(evaluator), ROUNDS);
    Ok(())
}

/// Runs before anything is measured: for pods that keep rules and pods that break them, the hand-written code
/// agrees with the rules.
fn check_verdicts(ours: &Expressions) -> anyhow::Result<()> {
    let mut denied = 0;
    for pod in manifests::pods(MANIFESTS)? {
        let text = serde_json::to_vec(&pod)?;
        let object = Json::parse(&text)?;
        let allowed = ours.hold(&object);
        anyhow::ensure!(
            hand_written::allows(&object) == allowed,
            "the hand-written code disagrees over {pod}"
        );
        denied += usize::from(!allowed);
    }
    anyhow::ensure!(denied > 0, "no pod breaks a rule");
    Ok(())
}

/// Only the expressions of rules, ready to run as [`peer_cel::Rules`] are.
struct Expressions {
    loaded: Loaded,
    validations: Vec<Prepared>,
}

impl Expressions {
    fn new(admission: &Admission) -> anyhow::Result<Self> {
        let loaded = Loaded::new(admission)?;
        let validations = admission.rules.iter().flat_map(|rule| &rule.validations);
        let validations = validations.map(|one| loaded.prepare(&one.expression)).collect();
        Ok(Self { loaded, validations })
    }

    /// Whether every rule is true.
    fn hold(&self, object: &Json<'_>) -> bool {
        let mut scope = self.scope(object);
        self.validations.iter().all(|one| matches!(eval(one, &mut scope), Ok(Value::Bool(true))))
    }

    fn scope<'s>(&'s self, object: &'s Json<'s>) -> Scope<'s> {
        let env = Env {
            object,
            old_object: None,
            request: &Json::Null,
            namespace_object: None,
            authorizer: None,
            pod: Some(object),
        };
        Scope::new(&self.loaded, env, Fuel::new(Fuel::DEFAULT))
    }
}

/// The sixteen rules, and further rules over config maps up to this count.
fn admission(count: usize) -> anyhow::Result<Admission> {
    admission_of((0..count).map(|number| match RULES.get(number) {
        Some((_, rule)) => (*rule, "pods", "Pod"),
        None => ("!has(object.data) || !('key' in object.data)", "configmaps", "ConfigMap"),
    }))
}

/// Rules from their expression, resource and kind.
fn admission_of<'r>(rules: impl Iterator<Item = (&'r str, &'r str, &'r str)>) -> anyhow::Result<Admission> {
    let mut interner = Interner::default();
    let mut compiled = Vec::new();
    for (number, (source, resource, kind)) in rules.enumerate() {
        let context = Context::admission(Type::of_kind("", "v1", kind)).expecting(Type::Bool);
        let (expression, _) = compile(source, &context, &mut interner).map_err(|errors| {
            let messages: Vec<_> = errors.iter().map(|error| error.message.clone()).collect();
            anyhow::anyhow!("`{source}`: {}", messages.join("; "))
        })?;
        compiled.push(rule(&format!("rule-{number}"), resource, expression));
    }
    let (shared, regexes) = interner.into_parts();
    Ok(Admission { shared, regexes, rules: compiled, ..Admission::default() })
}

fn rule(name: &str, resource: &str, expression: bailiwick_policy::ir::Cel) -> AdmissionRule {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    AdmissionRule {
        name: name.to_owned(),
        origin: Origin { pack: 0, at: "spec.admission.rules".to_owned() },
        matches: Match {
            resources: vec![ResourceRule {
                api_groups: list(&[""]),
                api_versions: list(&["v1"]),
                resources: list(&[resource]),
                operations: list(&["CREATE", "UPDATE"]),
            }],
            ..Match::default()
        },
        pod_templates: false,
        variables: Vec::new(),
        validations: vec![Validation {
            expression,
            message: Some(format!("{name} is not met")),
            message_expression: None,
            reason: "Invalid".to_owned(),
            remedy: None,
        }],
        mutations: Vec::new(),
        audit_annotations: Vec::new(),
        action: Action::Deny,
        exceptable: false,
        rego: None,
    }
}

/// A policy of these rules that governs every pod, loaded from the bytes of its bundle.
fn reviewer(rules: usize) -> anyhow::Result<Reviewer> {
    let origin = Origin { pack: 0, at: "spec.subjects".to_owned() };
    let policy = Policy {
        format_version: FORMAT_VERSION,
        packs: vec![PackSource {
            name: "bench".to_owned(),
            version: "1.0.0".to_owned(),
            digest: "0".repeat(64),
            parameters_digest: "0".repeat(64),
            parameters: Const::Map(Vec::new()),
        }],
        cell: "0123456789abcdef".to_owned(),
        subject: Some(Subject {
            namespaces: vec![LabelSelector::default()],
            pods: vec![LabelSelector::default()],
            exclusive: false,
            unmatched: Unmatched::Allow,
            from: vec![origin],
        }),
        isolation: Isolation::default(),
        network: None,
        images: Vec::new(),
        admission: admission(rules)?,
        ..Policy::top(Vec::new())
    };
    let bytes = bundle::write(&policy)?;
    let namespaces = Namespaces::new([("default".to_owned(), BTreeMap::new())].into());
    Ok(Reviewer::new(vec![bundle::load(&bytes)?], namespaces)?)
}

fn review(pod: &serde_json::Value) -> serde_json::Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "0df28fbd-5f5f-11e8-bc74-36e6bb280816",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "web", "namespace": "default", "operation": "CREATE",
            "userInfo": {"username": "author", "groups": ["system:authenticated"]},
            "object": pod, "oldObject": null, "dryRun": false, "options": {}
        }
    })
}
