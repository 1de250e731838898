//! What is bound is in force in the webhook, and stays so: readiness, a pack that does not compile, stages,
//! exceptions, and who may widen.

use anyhow::Result;
use bailiwick_compiler::emit::Object;
use bailiwick_compiler::emit::Target;
use bailiwick_conformance::programs::Webhook;
use serde_json::{Value, json};

use crate::stage::{BOUND, FENCE, Stage, pod};

/// A pod with more memory than the pack allows.
fn large(name: &str) -> Value {
    pod(name, &json!({ "spec": { "containers": [{ "resources": { "limits": { "memory": "4Gi" } } }] } }))
}

/// A stage with the pack bound and the webhook registered.
fn bound(stage: &Stage) -> Result<Webhook> {
    stage.apply(FENCE)?;
    stage.apply(BOUND)?;
    let webhook = stage.webhook()?;
    stage.until_bound(&webhook, &["fence"])?;
    stage.put(&stage.configurations(&webhook)?)?;
    stage.until("the API server asks the webhook", || {
        let (taken, said) =
            stage.try_kubectl(&["create", "--dry-run=server", "-f", "-"], &large("probe").to_string());
        Ok(!taken && said.contains("fence@1.0.0"))
    })?;
    Ok(webhook)
}

fn dry(stage: &Stage, object: &Value) -> (bool, String) {
    stage.try_kubectl(&["create", "--dry-run=server", "-f", "-"], &object.to_string())
}

#[test]
fn a_webhook_of_a_cluster_is_ready_once_every_bound_policy_is_compiled_and_keeps_what_works() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let webhook = bound(&stage)?;
    // A new version that does not compile changes nothing, even while the binding names it.
    let broken = FENCE.replace("1.0.0", "2.0.0").replace("192.0.2.0/24", "192.0.2.0/99");
    let (taken, said) = stage.try_kubectl(&["apply", "-f", "-"], &broken);
    assert!(!taken && said.contains("BW"), "a pack that is wrong in itself is refused: {said}");
    let missing = BOUND.replace("1.0.0", "2.0.0");
    let (taken, said) =
        stage.try_kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &missing);
    assert!(
        taken && said.contains("Warning") && said.contains("2.0.0"),
        "a name to come is warned about: {said}"
    );
    stage.until("the change was looked at", || {
        let log = std::fs::read_to_string(stage.path().join("webhook.log"))?;
        Ok(log.contains("the last version that compiled stays bound"))
    })?;
    assert_eq!(stage.ready(&webhook)?.0, 200);
    let (taken, said) = dry(&stage, &large("x"));
    assert!(!taken && said.contains("fence@1.0.0"), "{said}");
    // Once the version exists, it is in force, without any other change.
    let next = FENCE.replace("1.0.0", "2.0.0").replace("512Mi", "1Gi");
    stage.apply(&next)?;
    stage.until("the new version is in force", || Ok(dry(&stage, &large("x")).1.contains("fence@2.0.0")))?;
    // A new namespace is known at once.
    stage.apply(
        "{apiVersion: v1, kind: Namespace, metadata: {name: more, labels: {bailiwick.dev/zone: agents}}}",
    )?;
    let mut elsewhere = large("x");
    elsewhere["metadata"]["namespace"] = json!("more");
    stage.until("the namespace is known", || {
        let (taken, said) = dry(&stage, &elsewhere);
        assert!(!taken, "a pod of a governed namespace was let in");
        Ok(said.contains("memory-ceiling"))
    })?;
    // A second webhook on the same cluster: what was in force and can no longer be compiled is not guessed.
    let status = json!({ "status": { "version": "9.9.9", "digest": "0".repeat(64), "stage": "Enforce" } });
    stage.apply(&BOUND.replace("1.0.0", "3.0.0"))?;
    let patch = status.to_string();
    let args = ["patch", "policybinding", "fence", "--subresource=status", "--type=merge", "-p", &patch];
    stage.cluster.kubectl(args, "")?;
    drop(webhook);
    let second = stage.webhook()?;
    stage.until("it says why it is not ready", || {
        let (status, text) = stage.ready(&second)?;
        assert_eq!(status, 503, "ready without what was in force: {text}");
        Ok(text.contains("was in force and cannot be compiled any more"))
    })?;
    stage.take(&registered())?;
    Ok(())
}

/// The webhook configurations by name, to take them away.
fn registered() -> Vec<Object> {
    let of = |kind: &str| Object {
        api_version: "admissionregistration.k8s.io/v1".to_owned(),
        kind: kind.to_owned(),
        namespace: None,
        name: "bailiwick".to_owned(),
        target: Target::Webhook,
        bindings: Vec::new(),
        json: json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": "bailiwick" } }),
    };
    vec![of("MutatingWebhookConfiguration"), of("ValidatingWebhookConfiguration")]
}

/// Users that may create pods and get different answers from the authorizer for the pack's rule `urgent`.
struct Urgent(Vec<Asker>);

struct Asker {
    name: &'static str,
    /// The argument with which kubectl impersonates the user.
    acts: String,
    service_account: &'static str,
    /// The rule's message for the user; `None`: it allows the pod.
    says: Option<&'static str>,
}

impl Urgent {
    fn new(stage: &Stage) -> Result<Self> {
        let of = |group: &str, resource: &str, names: &[&str], verbs: &[&str]| json!({ "apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": verbs });
        let pods = || of("", "pods", &[], &["create"]);
        let use_of = |name: &str| of("example.org", "urgencies/pods", &[name], &["use"]);
        let get = |path: &str| json!({ "nonResourceURLs": [path], "verbs": ["get"] });
        let users = [
            ("all", vec![pods(), use_of("high"), get("/urgent")], "default", None),
            ("nothing", vec![pods()], "default", Some("the urgency is not for who asks")),
            (
                "other-name",
                vec![pods(), use_of("low"), get("/urgent")],
                "default",
                Some("the urgency is not for who asks"),
            ),
            ("no-path", vec![pods(), use_of("high")], "default", Some("urgent pods are not for who asks")),
            (
                "too-much",
                vec![pods(), use_of("high"), get("/urgent"), of("", "pods", &[], &["deletecollection"])],
                "default",
                Some("who asks may make pods and delete them all"),
            ),
            (
                "reader",
                vec![pods(), use_of("high"), get("/urgent")],
                "reads",
                Some("an urgent pod reads secrets"),
            ),
            ("kept-out", vec![pods(), get("/of-the-cluster")], "default", None),
        ];
        stage.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: reads, namespace: agents}}")?;
        stage.apply("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reads, namespace: agents}, rules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]}")?;
        stage.apply("{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reads, namespace: agents}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads}, subjects: [{kind: ServiceAccount, name: reads, namespace: agents}]}")?;
        let asker = |(name, rules, service_account, says)| {
            let acts = stage.user(&format!("urgent-{name}"), &Value::Array(rules))?;
            Ok(Asker { name, acts, service_account, says })
        };
        Ok(Self(users.into_iter().map(asker).collect::<Result<_>>()?))
    }

    /// By the webhook, which sends a SubjectAccessReview, or on the floor by the API server's own authorizer:
    /// the same result, for every user.
    fn is_judged_by_who_asks(&self, stage: &Stage, floor: bool) {
        let urgent = |of: &Asker| {
            let metadata = json!({ "annotations": { "example.org/urgent": "high" } });
            pod(
                "urgent",
                &json!({ "metadata": metadata, "spec": { "serviceAccountName": of.service_account } }),
            )
        };
        for one in &self.0 {
            let args = ["create", "--dry-run=server", "-f", "-", &one.acts];
            let (taken, said) = stage.try_kubectl(&args, &urgent(one).to_string());
            assert_eq!(taken, one.says.is_none(), "floor {floor}: {}: {said}", one.name);
            assert!(one.says.is_none_or(|says| said.contains(says)), "floor {floor}: {}: {said}", one.name);
            let by = if floor { "ValidatingAdmissionPolicy" } else { "fence@1.0.0" };
            assert!(taken || said.contains(by), "floor {floor}: {}: {said}", one.name);
            // Users who may not request urgency may still create pods.
            let (taken, said) = stage.try_kubectl(&args, &pod("plain", &json!({})).to_string());
            assert!(taken, "floor {floor}: {}: {said}", one.name);
        }
    }
}

#[test]
fn who_may_not_widen_neither_deletes_a_binding_nor_loosens_it() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let ours = |verbs: Value| json!([{ "apiGroups": ["bailiwick.dev"], "resources": ["*"], "verbs": verbs }]);
    let every = json!(["get", "list", "create", "update", "patch", "delete", "deletecollection"]);
    let mallory = stage.user("mallory", &ours(every.clone()))?;
    let mut widening = every;
    widening.as_array_mut().expect("a list").push(json!("widen"));
    let alice = stage.user("alice", &ours(widening))?;
    let urgent = Urgent::new(&stage)?;
    let webhook = bound(&stage)?;
    packs_below_a_binding_stay(&stage, &webhook, &mallory, &alice)?;
    // With the webhook, and then by the floor alone.
    for floor in [false, true] {
        if floor {
            // Restores what `packs_below_a_binding_stay` removed.
            stage.apply(&BOUND.replace("fence", "walled"))?;
            stage.put(&stage.objects()?)?;
            stage.take(&registered())?;
            stage.until("the floor holds", || {
                let said = stage
                    .try_kubectl(&["delete", "policybinding", "fence", "--dry-run=server", &mallory], "")
                    .1;
                Ok(said.contains("ValidatingAdmissionPolicy"))
            })?;
        }
        urgent.is_judged_by_who_asks(&stage, floor);
        let spec = |spec: Value| json!({ "spec": spec }).to_string();
        for (what, args) in [
            ("deletes", words("delete policybinding fence --dry-run=server")),
            ("deletes all", words(&format!("delete --raw {BINDINGS}?dryRun=All"))),
            ("goes back a stage", patch(&spec(json!({ "stage": "Audit" })))),
            ("chooses another value", patch(&spec(json!({ "parameters": { "memory": "1Gi" } })))),
            ("narrows", patch(&spec(json!({ "narrowTo": { "pods": { "matchLabels": { "a": "b" } } } })))),
            ("takes another version", patch(&spec(json!({ "pack": { "version": "1.0.1" } })))),
        ] {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let (taken, said) = stage.try_kubectl(&[args.as_slice(), &[&mallory]].concat(), "");
            assert!(!taken && said.contains("widen"), "floor {floor}: {what}: {said}");
            let (taken, said) = stage.try_kubectl(&[args.as_slice(), &[&alice]].concat(), "");
            assert!(taken, "floor {floor}: {what} with the verb: {said}");
        }
        let tighter = patch(&spec(json!({ "rollout": "Drain" })));
        let mut args: Vec<&str> = tighter.iter().map(String::as_str).collect();
        args.push(&mallory);
        let (taken, said) = stage.try_kubectl(&args, "");
        assert!(taken, "floor {floor}: what widens nothing needs no verb: {said}");
    }
    the_floor_keeps_packs(&stage, &mallory, &alice)?;
    nobody_approves_in_anothers_name(&stage, &mallory)
}

/// While the webhook is down: bound packs and the packs that they extend are protected, and nothing else.
fn the_floor_keeps_packs(stage: &Stage, mallory: &str, alice: &str) -> Result<()> {
    let delete = |pack: &str, user: &str| {
        stage.try_kubectl(&["delete", "policypack", pack, "--dry-run=server", user], "")
    };
    let all = ["delete", "--raw", "/apis/bailiwick.dev/v1alpha1/policypacks?dryRun=All"];
    let lock = "bailiwick.dev/pack-lock=packs: []";
    let annotate = ["annotate", "policypack", "walled-1.0.0", "--dry-run=server"];
    let unbound = |pack: &str| {
        json!({ "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyPack", "metadata": { "name": format!("{pack}-9.0.0") },
            "spec": { "pack": pack, "version": "9.0.0" } })
    };
    stage.apply(&unbound("base").to_string())?;
    let keeps = |what: &str, (taken, said): (bool, String)| {
        assert!(!taken && said.contains("keeps this pack in force"), "{what}: {said}");
    };
    for pack in ["fence-1.0.0", "walled-1.0.0", "base-1.0.0"] {
        keeps(pack, delete(pack, mallory));
        let (taken, said) = delete(pack, alice);
        assert!(taken, "{pack}, with the verb: {said}");
    }
    keeps("all", stage.try_kubectl(&[&all[..], &[mallory]].concat(), ""));
    keeps("the lock", stage.try_kubectl(&[&annotate[..], &[lock, mallory]].concat(), ""));
    let (taken, said) = stage.try_kubectl(&[&annotate[..], &["a=b", mallory]].concat(), "");
    assert!(taken, "what changes nothing needs no verb: {said}");
    let (taken, said) = delete("base-9.0.0", mallory);
    assert!(taken, "nobody takes it: {said}");
    nobody_publishes_what_is_taken_at_once(stage, mallory, alice);
    let policy = stage.objects()?.into_iter().filter(|one| one.name == "bailiwick-packs");
    stage.take(&policy.collect::<Vec<_>>())?;
    stage.until("without the policy it is gone", || Ok(delete("base-1.0.0", mallory).0))
}

/// While the webhook is down: `walled` extends `base` by `^1` and is bound, so a version that it would take is
/// published only by a user who may widen `walled`.
fn nobody_publishes_what_is_taken_at_once(stage: &Stage, mallory: &str, alice: &str) {
    let publish = |version: &str, user: &str| {
        let pack = json!({
            "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyPack", "metadata": { "name": format!("base-{version}") },
            "spec": { "pack": "base", "version": version },
        });
        stage.try_kubectl(&["create", "--dry-run=server", "-f", "-", user], &pack.to_string())
    };
    // The last is no version to the API server, whose numbers end at 64 bits.
    for version in ["1.0.1", "1.1.0", "1.99.0", "1.1.0-99999999999999999999"] {
        let (taken, said) = publish(version, mallory);
        let floor =
            said.contains("ValidatingAdmissionPolicy") && said.contains("would take this version of base");
        assert!(!taken && floor && said.contains("policypacks.bailiwick.dev/walled"), "{version}: {said}");
        let (taken, said) = publish(version, alice);
        assert!(taken, "{version}, with the verb: {said}");
    }
    for version in ["0.9.0", "1.0.0-rc1", "1.1.0-rc1", "2.0.0"] {
        let (taken, said) = publish(version, mallory);
        assert!(taken, "nobody takes {version}: {said}");
    }
}

const BINDINGS: &str = "/apis/bailiwick.dev/v1alpha1/policybindings";

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// While the webhook is down, an exception carries the name of the user who makes it.
fn nobody_approves_in_anothers_name(stage: &Stage, mallory: &str) -> Result<()> {
    let exception = |approver: Value| {
        json!({
            "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyException", "metadata": { "name": "forged", "namespace": "bailiwick-system" },
            "spec": { "pack": "fence", "rule": "memory-ceiling", "objects": [{ "resource": "pods", "namespace": "agents", "namePrefix": "big-" }],
                "reason": "a test", "expires": "2999-01-01T00:00:00Z", "approver": approver },
        })
    };
    let made = |approver: Value| {
        let args = ["create", "--dry-run=server", mallory, "-f", "-"];
        stage.try_kubectl(&args, &exception(approver).to_string())
    };
    for approver in [json!("alice"), Value::Null] {
        let (taken, said) = made(approver.clone());
        assert!(!taken && said.contains("the approver is not who asks"), "{approver}: {said}");
    }
    let (taken, said) = made(json!("mallory"));
    assert!(taken, "{said}");
    Ok(())
}

/// A binding is met with the newest packs that its pack extends, so changing these changes what it allows.
fn packs_below_a_binding_stay(stage: &Stage, webhook: &Webhook, mallory: &str, alice: &str) -> Result<()> {
    let base = |version: &str, cidr: &str| {
        let network =
            json!({ "egress": [{ "name": "web", "to": { "cidr": cidr }, "ports": [{ "port": 443 }] }] });
        json!({
            "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyPack", "metadata": { "name": format!("base-{version}") },
            "spec": { "pack": "base", "version": version, "network": network },
        })
    };
    let walled = json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyPack", "metadata": { "name": "walled-1.0.0" },
        "spec": {
            "pack": "walled", "version": "1.0.0", "extends": [{ "name": "base", "version": "^1" }],
            "subjects": { "namespaces": { "selector": { "matchLabels": { "bailiwick.dev/zone": "walled" } } } },
        },
    });
    stage.apply(&base("1.0.0", "192.0.2.0/28").to_string())?;
    stage.apply(&walled.to_string())?;
    stage.apply(&BOUND.replace("fence", "walled"))?;
    stage.until_bound(webhook, &["fence", "walled"])?;
    let lock = "bailiwick.dev/pack-lock=packs: []";
    let create = ["create", "--dry-run=server", "-f", "-"];
    let delete = ["delete", "policypack", "base-1.0.0", "--dry-run=server"];
    let all = "/apis/bailiwick.dev/v1alpha1/policypacks?dryRun=All";
    for (what, args, object, says, with_the_verb) in [
        ("a laxer version", &create[..], base("1.1.0", "192.0.2.0/24"), "may not widen", true),
        ("a version that does not fit", &create[..], base("2.0.0", "192.0.2.0/24"), "", true),
        (
            "a lock",
            &["annotate", "policypack", "walled-1.0.0", lock, "--dry-run=server"],
            Value::Null,
            "the lock says",
            false,
        ),
        ("away with what is extended", &delete[..], Value::Null, "keeps this pack in force", false),
        ("away with all", &["delete", "--raw", all], Value::Null, "keeps this pack in force", false),
    ] {
        for (user, verb) in [(mallory, false), (alice, true)] {
            let (taken, said) = stage.try_kubectl(&[args, &[user]].concat(), &object.to_string());
            let may = says.is_empty() || (verb && with_the_verb);
            assert_eq!(taken, may, "{what} by {user}: {said}");
            assert!(may || said.contains(says), "{what} by {user}: {said}");
        }
    }
    let (taken, said) = stage.try_kubectl(&["delete", "policybinding", "walled", alice], "");
    assert!(taken, "{said}");
    stage.until_bound(webhook, &["fence"])?;
    let (taken, said) = stage.try_kubectl(&[&delete[..], &[mallory]].concat(), "");
    assert!(taken, "nothing keeps it any more: {said}");
    Ok(())
}

fn patch(text: &str) -> Vec<String> {
    ["patch", "policybinding", "fence", "--type=merge", "--dry-run=server", "-p", text]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn stages_exceptions_and_values_of_a_binding_take_effect() -> Result<()> {
    let Some(stage) = Stage::new()? else { return Ok(()) };
    let _webhook = bound(&stage)?;
    let set = |spec: Value| {
        let text = json!({ "spec": spec }).to_string();
        stage.cluster.kubectl(["patch", "policybinding", "fence", "--type=merge", "-p", &text], "")
    };
    set(json!({ "stage": "Warn" }))?;
    stage.until("a warning in place of a refusal", || {
        let (taken, said) = dry(&stage, &large("x"));
        Ok(taken && said.contains("Warning") && said.contains("memory-ceiling"))
    })?;
    set(json!({ "stage": "Audit" }))?;
    stage.until("nothing is said", || {
        let (taken, said) = dry(&stage, &large("x"));
        Ok(taken && !said.contains("Warning"))
    })?;
    set(json!({ "stage": "Enforce", "parameters": { "memory": "1Gi" } }))?;
    let medium = pod(
        "x",
        &json!({ "spec": { "containers": [{ "resources": { "limits": { "memory": "900Mi" } } }] } }),
    );
    stage.until("the value of the binding counts", || {
        Ok(dry(&stage, &medium).0 && !dry(&stage, &large("x")).0)
    })?;
    let outside = json!({ "spec": { "parameters": { "memory": "2Gi" } } }).to_string();
    let (taken, said) =
        stage.try_kubectl(&["patch", "policybinding", "fence", "--type=merge", "-p", &outside], "");
    assert!(!taken && said.contains("BW0203") && said.contains("spec.parameters.memory"), "{said}");
    exceptions(&stage)
}

fn exceptions(stage: &Stage) -> Result<()> {
    let exception = |namespace: &str, rule: &str, days: i64| {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
        let ends = i64::try_from(now).expect("a time") + days * 86_400;
        let ends = stage.date(ends);
        json!({
            "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyException", "metadata": { "name": "big", "namespace": namespace },
            "spec": { "pack": "fence", "rule": rule, "objects": [{ "resource": "pods", "namespace": "agents", "namePrefix": "big-" }],
                "reason": "a test", "expires": ends, "approver": "somebody else" },
        })
    };
    for (object, field, part) in [
        (exception("agents", "memory-ceiling", 1), "metadata.namespace", "bailiwick-system"),
        (exception("bailiwick-system", "memory-ceiling", 31), "spec.expires", "30 days"),
        (exception("bailiwick-system", "memory-ceiling", -1), "spec.expires", "ended already"),
        (exception("bailiwick-system", "no-connections", 1), "spec.rule", "not exceptable"),
    ] {
        let (taken, said) = dry(stage, &object);
        assert!(!taken && said.contains(field) && said.contains(part), "{said}");
    }
    assert!(!dry(stage, &large("big-1")).0, "before the exception");
    stage
        .cluster
        .kubectl(["create", "-f", "-"], &exception("bailiwick-system", "memory-ceiling", 1).to_string())?;
    let path = "jsonpath={.spec.approver}";
    let args = ["get", "policyexception", "big", "-n", "bailiwick-system", "-o", path];
    let approver = stage.cluster.kubectl(args, "")?;
    assert!(!approver.is_empty() && approver != "somebody else", "admission writes who made it: {approver}");
    stage.until("the exception holds", || {
        let (taken, said) = dry(stage, &large("big-1"));
        Ok(taken && said.contains("excepted by"))
    })?;
    assert!(!dry(stage, &large("other")).0, "another pod");
    stage.cluster.kubectl(["delete", "policyexception", "big", "-n", "bailiwick-system"], "")?;
    stage.until("it is gone", || Ok(!dry(stage, &large("big-1")).0))
}
