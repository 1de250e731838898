//! ValidatingAdmissionPolicies in force on a real API server, compared with the packs that `bailiwick import`
//! makes of them. For every pod the pack gives the API server's verdict, or a stricter one where a reported
//! loss says why. It never allows what the API server denies. A Kyverno ValidatingPolicy has the same members
//! and the same CEL: each policy that can be written as one is imported in that form, too, and compared with
//! the same answers.

use std::collections::BTreeMap;

use bailiwick_compiler::import::{Imported, Source, import};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::PackSources;
use bailiwick_compiler::{Bindings, compile};
use bailiwick_conformance::api::Api;
use bailiwick_conformance::guest::Guest;
use bailiwick_conformance::patience::until;
use bailiwick_policy::admission::{
    AdmissionRequest, Facts, ManifestContext, Moment, Namespaces, Operation, Phase, Reviewer,
};
use bailiwick_policy::authorization::Answer;
use bailiwick_policy::bundle::Bundle;
use bailiwick_policy::json::Json;
use serde_json::{Value, json};

use crate::policies::DIGEST;
use crate::{generated, shared};

/// Pods that are judged in each namespace.
const PODS: usize = 210;
/// Policies that are compared concurrently: while one waits for the API server, others evaluate.
const ASKING: usize = 5;

/// A policy, in a namespace of its own name.
struct Case {
    name: &'static str,
    /// Further members of the policy's `spec`.
    spec: &'static str,
    /// Members of the rule on resources, in addition to pods.
    resources: &'static str,
    /// Members of the binding's `spec`.
    binding: &'static str,
    /// What the loss says that makes the pack stricter.
    stricter: Option<&'static str>,
}

const PLAIN: Case = Case { name: "plain", spec: "", resources: "", binding: "", stricter: None };

const CASES: [Case; 14] = [
    Case {
        spec: r#"{validations: [{expression: "object.spec.containers.all(c, has(c.resources) && has(c.resources.limits) && 'memory' in c.resources.limits)",
            messageExpression: "'no limit in ' + object.metadata.name"}]}"#,
        ..PLAIN
    },
    Case {
        name: "variables",
        spec: r#"{variables: [{name: all, expression: "object.spec.containers + object.spec.?initContainers.orValue([])"}, {name: names, expression: "variables.all.map(c, c.name)"}],
            matchConditions: [{name: calm, expression: "object.spec.?priorityClassName.orValue('') == ''"}],
            validations: [{expression: "variables.names.all(n, n != 'other')"}, {expression: "size(variables.names) < 2", message: one container, reason: Invalid}]}"#,
        ..PLAIN
    },
    Case {
        name: "selectors",
        spec: r#"{matchConstraints: {objectSelector: {matchLabels: {ruled: "yes"}}}, validations: [{expression: "has(object.spec.activeDeadlineSeconds)"}]}"#,
        binding: r#"{matchResources: {objectSelector: {matchExpressions: [{key: exempt, operator: DoesNotExist}]}}}"#,
        ..PLAIN
    },
    Case {
        name: "names",
        spec: r#"{validations: [{expression: "false", message: these are closed}]}"#,
        resources: r#"{resourceNames: [p1, p20, p21, p22, p199, p200, p201]}"#,
        ..PLAIN
    },
    Case {
        name: "excluded",
        spec: r#"{matchConstraints: {excludeResourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [DELETE], resources: [pods]}]},
            validations: [{expression: "!object.spec.?hostNetwork.orValue(false) && object.spec.containers.all(c, !c.?securityContext.?privileged.orValue(false))"}]}"#,
        ..PLAIN
    },
    Case {
        name: "errors-refuse",
        spec: r#"{failurePolicy: Fail, validations: [{expression: "object.metadata.annotations['team'] != 'green'"}]}"#,
        ..PLAIN
    },
    Case {
        name: "errors-pass",
        spec: r#"{failurePolicy: Ignore, validations: [{expression: "object.metadata.annotations['team'] != 'green'"}]}"#,
        stricter: Some("an expression that cannot be evaluated is denied"),
        ..PLAIN
    },
    Case {
        name: "parameters",
        spec: r#"{paramKind: {apiVersion: v1, kind: ConfigMap}, validations: [{expression: "object.metadata.?annotations[?'team'].orValue('') != params.data.team"}]}"#,
        binding: r#"{paramRef: {name: team, namespace: parameters, parameterNotFoundAction: Deny}}"#,
        stricter: Some("parameters are not read from objects"),
        ..PLAIN
    },
    Case {
        name: "authorizer",
        spec: r#"{validations: [{expression: "authorizer.group('').resource('pods').namespace('default').check('create').allowed()"},
            {expression: "!authorizer.requestResource.check('create').allowed() || size(object.spec.containers) < 2"}]}"#,
        ..PLAIN
    },
    Case {
        name: "warns",
        spec: r#"{validations: [{expression: "has(object.spec.activeDeadlineSeconds)"}]}"#,
        binding: r#"{validationActions: [Warn, Audit]}"#,
        ..PLAIN
    },
    Case {
        name: "scope",
        spec: r#"{validations: [{expression: "has(object.spec.activeDeadlineSeconds)"}]}"#,
        resources: r#"{scope: Cluster}"#,
        stricter: Some("the rule is asked in any scope"),
        ..PLAIN
    },
    Case {
        name: "libraries",
        spec: r#"{validations: [{expression: "object.spec.containers.all(c, c.image.matches('^[a-z0-9./:-]+$') && quantity(c.?resources.?limits[?'memory'].orValue('1')).isLessThan(quantity('1Gi')))"},
            {expression: "object.metadata.?labels.orValue({}).transformList(k, v, k + '=' + v).join(',').size() < 24"},
            {expression: "['%s/%d'.format([object.metadata.name, size(object.spec.containers)])].all(t, t.find('[0-9]+$') == '1')"}]}"#,
        ..PLAIN
    },
    Case {
        name: "around",
        spec: r#"{matchConditions: [{name: created, expression: "request.operation == 'CREATE' && request.namespace == object.metadata.namespace"}],
            validations: [{expression: "namespaceObject.metadata.labels['kubernetes.io/metadata.name'] == 'around' && oldObject == null && has(object.spec.initContainers)"}]}"#,
        ..PLAIN
    },
    Case {
        name: "other-kinds",
        spec: r#"{matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: ["*"], resources: ["*"]}]}, validations: [{expression: "false"}]}"#,
        ..PLAIN
    },
];

/// Merges the members of one YAML object into another; lists and strings replace what was there.
fn join(into: &mut Value, more: &str) {
    fn put(into: &mut Value, more: Value) {
        match more {
            Value::Object(members) if into.is_object() => {
                members.into_iter().for_each(|(name, value)| put(&mut into[name], value));
            }
            other => *into = other,
        }
    }
    if !more.is_empty() {
        put(into, serde_saphyr::from_str(more).unwrap());
    }
}

impl Case {
    /// The policy and its binding.
    fn objects(&self) -> Vec<Value> {
        let mut rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]});
        join(&mut rule, self.resources);
        let mut spec = json!({"matchConstraints": {"resourceRules": [rule]}});
        join(&mut spec, self.spec);
        let here = json!({"matchLabels": {"kubernetes.io/metadata.name": self.name}});
        let mut binding = json!({"policyName": self.name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}});
        join(&mut binding, self.binding);
        let object = |kind: &str, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": self.name}, "spec": spec});
        vec![object("ValidatingAdmissionPolicy", spec), object("ValidatingAdmissionPolicyBinding", binding)]
    }
}

impl Case {
    /// The same as a Kyverno ValidatingPolicy; `None`: that has no parameters and no bindings with selectors
    /// of their own.
    fn kyverno(&self) -> Option<Value> {
        let objects = self.objects();
        let [policy, binding] = objects.as_slice() else { return None };
        let (mut spec, binding) = (policy["spec"].clone(), &binding["spec"]);
        let plain = ["policyName", "validationActions", "matchResources"];
        let is_plain = binding.as_object()?.keys().all(|name| plain.contains(&name.as_str()))
            && binding["matchResources"].as_object()?.len() == 1
            && spec.get("paramKind").is_none();
        if !is_plain {
            return None;
        }
        spec["validationActions"] = binding["validationActions"].clone();
        spec["matchConstraints"]["namespaceSelector"] =
            binding["matchResources"]["namespaceSelector"].clone();
        let metadata = json!({"name": self.name});
        Some(
            json!({"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": metadata, "spec": spec}),
        )
    }
}

fn imported(case: &Case, documents: Vec<Value>) -> Imported {
    import(None, case.name, &[Source { name: "source.yaml".to_owned(), documents }]).unwrap()
}

/// The pack, met with one that governs every pod.
fn reviewer(imported: &Imported, case: &Case) -> Reviewer {
    let subjects = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: all-1.0.0}\nspec:\n  pack: all\n  version: 1.0.0\n  \
                    subjects: {namespaces: {selector: {}}, pods: {}, unmatched: Allow}\n";
    let packs = [PackSources::single(imported.yaml().unwrap()), PackSources::single(subjects)];
    let packs: Vec<_> = packs.iter().map(|sources| (sources, Bindings::default())).collect();
    let compiled = compile(&packs, &MemoryLibrary::default());
    let policy = compiled.policy.unwrap_or_else(|| panic!("{}: {:?}", case.name, compiled.diagnostics));
    let namespaces = Namespaces::new(BTreeMap::from([(case.name.to_owned(), BTreeMap::new())]));
    Reviewer::new(vec![Bundle { policy, digest: DIGEST.to_owned() }], namespaces).unwrap()
}

/// Whether the pack allows an object: on creation, or as an update of an old one.
fn ours(reviewer: &Reviewer, object: &Value, old: Option<&Value>) -> bool {
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    let context = ManifestContext { operation, old: old.map(Json::from), ..ManifestContext::default() };
    let request = AdmissionRequest::from_manifest(Json::from(object), context).unwrap();
    let mut facts = Facts::default();
    loop {
        let reviewed = reviewer.review_with(&request, Phase::Validate, Moment::END, &facts);
        if reviewed.wanted.questions.is_empty() {
            return reviewed.decision.allowed;
        }
        // The user of the API server here may do everything.
        for question in reviewed.wanted.questions {
            facts.answers.learn(question, Ok(Answer { allowed: true, ..Answer::default() }));
        }
    }
}

/// Whether the API server allows it; `None`: it rejects it for another reason than a policy.
fn theirs((status, answer): (u16, Value)) -> Option<bool> {
    let refused = answer["message"].as_str().is_some_and(|said| said.contains("ValidatingAdmissionPolicy"));
    (refused || (200..300).contains(&status)).then_some(!refused)
}

/// The results for one policy.
#[derive(Debug, Default)]
struct Tally {
    judged: usize,
    refused: usize,
    stricter: usize,
    /// In how many ways a pack was made from the policy.
    packs: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.judged += other.judged;
        self.refused += other.refused;
        self.stricter += other.stricter;
        self.packs += other.packs;
    }
}

/// Puts all policies in force, each in its own namespace with an existing pod. Many objects at once: kubectl
/// takes longer than the API server.
fn install(guest: &Guest, pod: &Value) {
    let all = |objects: &dyn Fn(&Case) -> Vec<Value>| {
        let texts: Vec<String> = CASES.iter().flat_map(objects).map(|object| object.to_string()).collect();
        texts.join("\n")
    };
    let namespaces = all(&|case| {
        let metadata = json!({"name": case.name});
        let map = json!({"name": "team", "namespace": case.name});
        // Without it no pod is created, and not every control plane has the controller that creates it.
        let account = json!({"name": "default", "namespace": case.name});
        vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": map, "data": {"team": "green"}}),
        ]
    });
    guest.bring(&["apply", "--server-side"], &namespaces).unwrap();
    let stored = all(&|case| {
        let mut stored = pod.clone();
        stored["metadata"]["name"] = json!("stored");
        stored["metadata"]["namespace"] = json!(case.name);
        vec![stored]
    });
    guest.bring(&["create"], &stored).unwrap();
    guest.bring(&["apply", "--server-side"], &all(&Case::objects)).unwrap();
}

fn agree(api: &Api, case: &Case, pods: &[Value]) -> Tally {
    let kyverno = case.kyverno().map(|policy| vec![policy]);
    let packs: Vec<(Imported, Reviewer)> = std::iter::once(case.objects())
        .chain(kyverno)
        .map(|documents| {
            let imported = imported(case, documents);
            let reviewer = reviewer(&imported, case);
            (imported, reviewer)
        })
        .collect();
    let ours = |object: &Value, old: Option<&Value>| {
        packs.iter().map(|(_, reviewer)| ours(reviewer, object, old)).collect::<Vec<_>>()
    };
    let of = |pod: &Value| {
        let mut pod = pod.clone();
        pod["metadata"]["namespace"] = json!(case.name);
        pod
    };
    let path = format!("/api/v1/namespaces/{}/pods", case.name);
    let stored = api.get(&format!("{path}/stored")).unwrap();
    let ask =
        |pod: &Value| api.ask("POST", &format!("{path}?dryRun=All"), "application/json", &pod.to_string());
    let is_wanted = |pod: &&Value| ours(pod, None).contains(&false) && case.stricter.is_none();
    let pods: Vec<Value> = pods.iter().map(of).collect();
    if let Some(probe) = pods.iter().find(is_wanted) {
        until("the policy is in force", || (theirs(ask(probe).ok()?) == Some(false)).then_some(())).unwrap();
    }
    let mut tally = Tally { packs: packs.len(), ..Tally::default() };
    let mut compare = |theirs: bool, ours: Vec<bool>, what: &str, object: &Value| {
        for (at, ours) in ours.into_iter().enumerate() {
            let whose = format!("{} as {}", case.name, ["it is", "Kyverno's"][at]);
            assert!(theirs || !ours, "{whose}: the pack lets through what is refused ({what}): {object}");
            tally.judged += 1;
            tally.refused += usize::from(!theirs);
            tally.stricter += usize::from(theirs && !ours);
            let is_said = theirs == ours || case.stricter.is_some();
            assert!(is_said, "{whose}: no loss says that the pack is stricter ({what}): {object}");
        }
    };
    for pod in &pods {
        if let Some(said) = theirs(ask(pod).unwrap()) {
            compare(said, ours(pod, None), "CREATE", pod);
        }
    }
    // What existed before is judged again: an UPDATE of something else keeps the violation, and is denied all
    // the same.
    let patch = json!({"metadata": {"labels": {"more": "1"}}});
    let update = api.ask(
        "PATCH",
        &format!("{path}/stored?dryRun=All"),
        "application/merge-patch+json",
        &patch.to_string(),
    );
    let mut changed = stored.clone();
    changed["metadata"]["labels"]["more"] = json!("1");
    let said = theirs(update.unwrap()).expect("a verdict over an UPDATE");
    compare(said, ours(&changed, Some(&stored)), "UPDATE", &changed);
    if let Some(reason) = case.stricter {
        for (imported, _) in &packs {
            let is_listed = imported.losses.iter().any(|loss| !loss.widens && loss.reason.contains(reason));
            assert!(is_listed && tally.stricter > 0, "{}: {tally:?} {:?}", case.name, imported.losses);
        }
    }
    tally
}

#[test]
fn an_imported_policy_refuses_what_the_api_server_refuses() {
    let Some(pods) = generated::pods() else { return };
    let step = pods.len() / PODS;
    let pods: Vec<Value> = pods.into_iter().step_by(step.max(1)).take(PODS).collect();
    let cluster = shared();
    let guest = Guest::of(&cluster);
    let api = cluster.api().unwrap();
    install(&guest, &pods[0]);
    let compared = |cases: &[Case]| -> Tally {
        let mut sum = Tally::default();
        for case in cases {
            let tally = agree(&api, case, &pods);
            assert!(tally.judged >= 200, "{}: {tally:?}", case.name);
            sum.add(&tally);
        }
        sum
    };
    let mut whole = Tally::default();
    std::thread::scope(|scope| {
        let parts = CASES.chunks(CASES.len().div_ceil(ASKING));
        let asking: Vec<_> = parts.map(|cases| scope.spawn(|| compared(cases))).collect();
        asking.into_iter().for_each(|one| whole.add(&one.join().unwrap()));
    });
    assert!(whole.packs >= CASES.len() + 10, "most policies can be written as Kyverno's: {whole:?}");
    eprintln!("{} policies: {whole:?}", CASES.len());
    assert!(whole.refused > 500 && whole.judged - whole.refused > 1000, "{whole:?}");
}
