//! Compiling packs and looking at what comes of them.

use std::collections::BTreeMap;

use bailiwick_compiler::emit::{EmitOptions, artifacts};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::rego::Regorus;
use bailiwick_compiler::resolve::make_lock;
use bailiwick_compiler::source::{PackSources, SourceFile};
use bailiwick_compiler::{Bindings, Compiled, compile};
use bailiwick_policy::admission::evidence::{
    Demand, ImageFacts, Signature, Signatures, Signer, TrustRoot, Wants,
};
use bailiwick_policy::admission::{
    AdmissionRequest, Excepted, Exception, Facts, InForce, ManifestContext, Moment, Namespaces, Operation,
    Phase, Reviewer,
};
use bailiwick_policy::bundle;
use bailiwick_policy::decision::Decision;
use bailiwick_policy::json::Json;
use bailiwick_policy::tool::{self, Effect, LoadedPolicy, State, ToolCall, decide_tool_call};

/// What is looked at.
pub(super) enum Probe {
    /// The decision over a pod; its spec, and its labels, as JSON.
    Pod(&'static str, &'static str),
    /// The decision over the same pod by its digest or its tag, with what a registry shows: a signature by [`KEY`], and one by
    /// `release@example.org` of `https://issuer.example.org` under Sigstore's public trust root.
    Image(&'static str),
    /// The decision over any object.
    Object(&'static str),
    /// The decision over the removal of a pod.
    Delete,
    /// The decision over a pod while an exception names it.
    Excepted,
    /// The emitted file of this name; empty if there is none.
    File(&'static str),
    /// What the compiler says.
    Findings,
    /// The decision over a call of `files.read`, and what runs, after so many others.
    Call(usize),
    /// The compiled policy, as JSON.
    Policy,
}

/// A whole pack document around the sections of its spec.
pub(super) fn document(name: &str, sections: &str) -> String {
    let indented: String = sections.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: {name}-1.0.0}}\nspec:\n  pack: {name}\n  version: 1.0.0\n{indented}"
    )
}

/// A pack named `base`, which others may extend; its parameter is the port that may be reached.
const BASE: &str = "parameters: [{name: port, type: int, default: 443, bindable: true, maximum: 9000}, {name: fixed, type: int, default: 1}]
network:
  egress: [{name: web, to: {cidr: 192.0.2.0/24}, ports: [{port: '${port}'}]}]";

pub(super) fn compiled(text: &str) -> Compiled {
    let mut library = MemoryLibrary::default();
    library.add(PackSources::single(document("base", BASE)));
    compiled_with(text, &library)
}

/// Refuses the pod of the probes.
const NAMES: &str = "package names\ndeny contains \"a p\" if input.object.metadata.name == \"p\"\nnone contains \"x\" if input.object.absent\n";
/// Refuses no pod.
const OTHERS: &str = "package names\ndeny contains \"a q\" if input.object.metadata.name == \"q\"\n";

pub(super) fn compiled_with(text: &str, library: &MemoryLibrary) -> Compiled {
    let mut sources = PackSources::single(text);
    sources.rego =
        vec![SourceFile::new("rego/names.rego", NAMES), SourceFile::new("rego/others.rego", OTHERS)];
    let (lock, ..) = make_lock(&sources, library);
    sources.lock = lock.filter(|lock| !lock.is_empty()).map(|lock| SourceFile::new("pack.lock", lock));
    compile(&[(&sources, Bindings::default())], library)
}

fn findings(compiled: &Compiled) -> String {
    compiled.all().map(|one| format!("{one}\n")).collect()
}

/// An emitted file of `kubernetes/`, by its name without `.yaml`; empty if there is none.
pub(super) fn file(compiled: &Compiled, name: &str) -> String {
    let policy = compiled.policy.as_ref().unwrap_or_else(|| panic!("{}", findings(compiled)));
    let digest = bundle::digest(&bundle::write(policy).unwrap());
    let artifacts = artifacts(policy, &digest, &EmitOptions::default()).unwrap();
    let found = artifacts.files.get(&format!("kubernetes/{name}.yaml"));
    found.map(|artifact| String::from_utf8_lossy(&artifact.bytes).into_owned()).unwrap_or_default()
}

fn decision(compiled: &Compiled, object: &str, operation: Operation, now: Option<Moment>) -> String {
    let old = (operation != Operation::Create).then_some(object);
    judged(compiled, (object, old), "", operation, now)
}

/// The decision over an object and the object before.
pub(super) fn decision_over(
    compiled: &Compiled,
    objects: (&str, Option<&str>),
    sub_resource: &str,
    operation: Operation,
) -> String {
    judged(compiled, objects, sub_resource, operation, None)
}

fn judged(
    compiled: &Compiled,
    (object, old): (&str, Option<&str>),
    sub_resource: &str,
    operation: Operation,
    now: Option<Moment>,
) -> String {
    let policy = compiled.policy.clone().unwrap_or_else(|| panic!("{}", findings(compiled)));
    let bundle = bundle::load(&bundle::write(&policy).unwrap()).unwrap();
    let labels = |zone: &str, tier: &str| {
        BTreeMap::from([("zone".to_owned(), zone.to_owned()), ("tier".to_owned(), tier.to_owned())])
    };
    let namespaces = BTreeMap::from([
        ("agents".to_owned(), labels("agents", "gold")),
        ("web".to_owned(), labels("web", "silver")),
    ]);
    let exceptions = vec![Exception {
        name: "policies/old".to_owned(),
        pack: "example".to_owned(),
        rule: "rule-one".to_owned(),
        objects: vec![Excepted {
            resource: "pods".to_owned(),
            namespace: "agents".to_owned(),
            name: "p".to_owned(),
            prefix: false,
        }],
        expires: Moment(10),
        approver: "alice".to_owned(),
    }];
    let in_force = vec![InForce { exceptions, ..InForce::from(bundle) }];
    let reviewer = Reviewer::with_rego(in_force, Namespaces::new(namespaces), &Regorus).unwrap();
    let parsed = |object: &str| {
        Json::parse(object.as_bytes()).unwrap_or_else(|error| panic!("{error}: {object}")).into_owned()
    };
    let sub_resource = sub_resource.into();
    let context =
        ManifestContext { operation, old: old.map(parsed), sub_resource, ..ManifestContext::default() };
    let request = AdmissionRequest::from_manifest(parsed(object), context).unwrap();
    if let Some(now) = now {
        return shown(&reviewer.review_at(&request, Phase::Validate, now));
    }
    let admitted = reviewer.admit(&request);
    shown(admitted.decision()) + &serde_json::to_string(&admitted.mutated.patch).unwrap()
}

fn shown(decision: &Decision) -> String {
    let mut out = String::from(if decision.allowed { "allowed\n" } else { "denied\n" });
    for one in &decision.findings {
        out += &format!(
            "{:?} {} {}: {} ({}) {:?}\n",
            one.effect, one.pack, one.rule, one.message, one.reason, one.remedy
        );
    }
    for (key, value) in &decision.audit_annotations {
        out += &format!("annotation {key}={value}\n");
    }
    out
}

/// An Ed25519 key: DER of SubjectPublicKeyInfo, base64.
pub(super) const KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
const PUBLIC_ROOT: &str = include_str!("../../src/lower/images/public-trust-root.json");

/// What a checker would answer.
fn learn(demand: &Demand, facts: &mut ImageFacts) {
    match &demand.wants {
        Wants::Digest => facts.learn_digest(&demand.reference, Ok(format!("sha256:{}", "a".repeat(64)))),
        Wants::Signatures(asked) => {
            let public = TrustRoot::new(PUBLIC_ROOT).digest;
            let mut verified = Vec::new();
            if asked.keys.contains(KEY) {
                verified.push(Signature { signer: Signer::Key(KEY.to_owned()), times_s: Vec::new() });
            }
            if asked.trust_roots.iter().any(|root| root.digest == public) {
                let signer = Signer::Identity {
                    trust_root: public,
                    issuer: "https://issuer.example.org".to_owned(),
                    subject: "release@example.org".to_owned(),
                };
                verified.push(Signature { signer, times_s: vec![1] });
            }
            let found = Signatures { verified, ..Signatures::default() };
            facts.learn_signatures(&demand.reference, asked.clone(), Ok(found));
        }
    }
}

/// Mutates and validates a pod with what is known of its image, as the webhook does.
fn image_decision(compiled: &Compiled, suffix: &str) -> String {
    let policy = compiled.policy.clone().unwrap_or_else(|| panic!("{}", findings(compiled)));
    let bundle = bundle::load(&bundle::write(&policy).unwrap()).unwrap();
    let labels = BTreeMap::from([("zone".to_owned(), "agents".to_owned())]);
    let namespaces = Namespaces::new(BTreeMap::from([("agents".to_owned(), labels)]));
    let reviewer = Reviewer::with_rego([bundle], namespaces, &Regorus).unwrap();
    let pod = POD.replace("LABELS", r#"{"component": "agent"}"#).replace("SPEC", "\"hostname\": \"p\"");
    let pod = pod.replace("agents/x:1", &format!("agents/x{suffix}"));
    let object = Json::parse(pod.as_bytes()).unwrap().into_owned();
    let request = AdmissionRequest::from_manifest(object, ManifestContext::default()).unwrap();
    let mut facts = Facts::default();
    let mut shown_all = String::new();
    for phase in [Phase::Mutate, Phase::Validate] {
        let mut reviewed = reviewer.review_with(&request, phase, Moment::END, &facts);
        while !reviewed.wanted.is_empty() {
            reviewed.wanted.images.iter().for_each(|demand| learn(demand, &mut facts.images));
            reviewed = reviewer.review_with(&request, phase, Moment::END, &facts);
        }
        shown_all += &format!("{phase:?}: {}", shown(&reviewed.decision));
        shown_all += &serde_json::to_string(&reviewed.decision.patch).unwrap();
    }
    shown_all
}

const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "agents", "labels": LABELS},
    "spec": {"containers": [{"name": "c", "image": "registry.example.org/agents/x:1"}], SPEC}}"#;

fn look(probe: &Probe, sections: &str) -> String {
    let compiled = compiled(&document("example", sections));
    match probe {
        Probe::Pod(spec, labels) => {
            let spec = if spec.is_empty() { "\"hostname\": \"p\"" } else { spec };
            let labels = if labels.is_empty() { r#"{"component": "agent"}"# } else { labels };
            decision(&compiled, &POD.replace("LABELS", labels).replace("SPEC", spec), Operation::Create, None)
        }
        Probe::Image(suffix) => image_decision(&compiled, suffix),
        Probe::Object(object) => decision(&compiled, object, Operation::Create, None),
        Probe::Delete => {
            let pod =
                POD.replace("LABELS", r#"{"component": "agent"}"#).replace("SPEC", "\"hostname\": \"p\"");
            decision(&compiled, &pod, Operation::Delete, None)
        }
        Probe::Excepted => {
            let pod =
                POD.replace("LABELS", r#"{"component": "agent"}"#).replace("SPEC", "\"hostname\": \"p\"");
            decision(&compiled, &pod, Operation::Create, Some(Moment(9)))
        }
        Probe::File(name) => file(&compiled, name),
        Probe::Findings => findings(&compiled),
        Probe::Call(before) => call(&compiled, *before),
        Probe::Policy => {
            let policy = compiled.policy.as_ref().unwrap_or_else(|| panic!("{}", findings(&compiled)));
            serde_json::to_string(policy).unwrap()
        }
    }
}

/// When calls are decided, in milliseconds since 1970.
const NOW_MS: u64 = 1_000_000;

fn call(compiled: &Compiled, before: usize) -> String {
    let policy = compiled.policy.clone().unwrap_or_else(|| panic!("{}", findings(compiled)));
    let bundle = bundle::load(&bundle::write(&policy).unwrap()).unwrap();
    let policy = LoadedPolicy::of_bundle(bundle).unwrap();
    let subject = tool::Subject { agent: "agent".to_owned(), ..tool::Subject::default() };
    let mut state = State::default();
    state.apply(&State::open("s", &subject, NOW_MS)).unwrap();
    let mut shown = String::new();
    for at in 0..=before {
        let arguments = Json::parse(br#"{"file": "notes.txt"}"#).unwrap().into_owned();
        let call = ToolCall::new(&format!("c{at}"), "s", subject.clone(), "files.read", arguments).unwrap();
        let decision = decide_tool_call(&policy, &call, &state, NOW_MS, None);
        state.apply(&decision.delta).unwrap();
        shown = serde_json::to_string(&decision.record()).unwrap();
        if let Effect::Allow(permit) = &decision.effect {
            shown += &format!("\n{:?}", permit.get());
        }
    }
    shown
}

/// Each pack gives an outcome with its text, and none with another's: what the field says is what makes the difference.
pub(super) fn check(probe: &Probe, packs: &[(&str, &str)]) {
    assert!(packs.len() >= 2, "one pack shows no difference");
    for (sections, expected) in packs {
        let found = look(probe, sections);
        assert!(
            found.contains(expected),
            "`{expected}` is not in what this pack gives:\n{sections}\n---\n{found}"
        );
        for (_, other) in packs.iter().filter(|(_, other)| other != expected && !other.is_empty()) {
            assert!(
                !found.contains(other),
                "`{other}` of the twin is also in what this pack gives:\n{sections}\n---\n{found}"
            );
        }
    }
}
