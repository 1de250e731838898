//! Exceptions: which hold, for which objects, and that they end.

use bailiwick_compiler::cluster::{ExceptionError, exception, exceptions};
use bailiwick_crds::binding::PolicyException;
use bailiwick_policy::admission::{
    AdmissionRequest, ManifestContext, Moment, Namespaces, Operation, Phase, Reviewer,
};
use bailiwick_policy::decision::Effect;
use bailiwick_policy::json::Json;
use serde_json::{Value, json};

use crate::stage::{Cluster, namespaces, of, pack};

fn object(change: &Value) -> PolicyException {
    let mut object = json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyException",
        "metadata": { "name": "old", "namespace": "policies", "creationTimestamp": "2030-01-01T00:00:00Z" },
        "spec": {
            "pack": "a", "rule": "no-host-pid", "reason": "a migration", "expires": "2030-01-11T00:00:00Z", "approver": "alice",
            "objects": [
                { "resource": "pods", "namespace": "one", "name": "p" },
                { "resource": "pods", "namespace": "one", "namePrefix": "web-" },
            ],
        },
    });
    for (pointer, value) in change.as_object().expect("an object") {
        let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
        let parent = object.pointer_mut(parent).expect("it is there").as_object_mut().expect("an object");
        match value {
            Value::Null => drop(parent.remove(member)),
            value => drop(parent.insert(member.to_owned(), value.clone())),
        }
    }
    serde_json::from_value(object).expect("an exception")
}

const TEN_DAYS: i64 = 1_894_320_000;

#[test]
fn an_exception_stands_in_its_namespace_has_an_approver_and_ends() {
    let tried = |change: Value| exception(&object(&change), "policies");
    let good = tried(json!({})).expect("it holds");
    assert_eq!((good.name.as_str(), good.expires), ("policies/old", Moment(TEN_DAYS)));
    for (change, expected) in [
        (json!({ "/metadata/namespace": "one" }), ExceptionError::Namespace("policies".to_owned())),
        (json!({ "/spec/expires": "2030-01-31T00:00:01Z" }), ExceptionError::TooLong),
        (json!({ "/spec/expires": "tomorrow" }), ExceptionError::Expires("tomorrow".to_owned())),
        (json!({ "/spec/approver": null }), ExceptionError::Unapproved),
        (json!({ "/metadata/creationTimestamp": null }), ExceptionError::Undated),
    ] {
        assert_eq!(tried(change.clone()).unwrap_err(), expected, "{change}");
    }
    assert!(tried(json!({ "/spec/expires": "2030-01-31T00:00:00Z" })).is_ok(), "thirty days");
}

/// The decision over a pod with `hostPID`, in namespace `one`, at a time.
fn decided(exceptable: bool, change: &Value, name: &str, now: i64) -> (bool, String) {
    let mut pack = pack("a", "1.0.0", "", &[443]);
    pack["spec"]["admission"] = json!({ "rules": [{
        "name": "no-host-pid", "exceptable": exceptable,
        "match": { "resources": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"] }] },
        "validations": [{ "expression": "!object.spec.?hostPID.orValue(false)", "message": "hostPID" }],
    }] });
    let mut cluster = Cluster::with(&[pack]);
    cluster.bind("a", of("a", "1.0.0"));
    let verdict = &cluster.update()["a"];
    assert!(verdict.is_current(), "{}", verdict.message);
    let exceptions = [exception(&object(change), "policies").expect("it holds")];
    let reviewer =
        Reviewer::of(cluster.in_force.reviewable(&exceptions), Namespaces::new(namespaces())).expect("loads");
    let cell = cluster.in_force.policy("a").expect("bound").policy.cell.clone();
    let pod = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "one", "labels": { "bailiwick.dev/cell": cell } },
        "spec": { "hostPID": true, "containers": [{ "name": "c", "image": "x" }] } })
    .to_string();
    let object = Json::parse(pod.as_bytes()).expect("JSON").into_owned();
    let context = ManifestContext { operation: Operation::Create, ..ManifestContext::default() };
    let request = AdmissionRequest::from_manifest(object, context).expect("a request");
    let decision = reviewer.review_at(&request, Phase::Validate, Moment(now));
    let said = decision.findings.iter().map(|one| format!("{:?} {}; ", one.effect, one.message)).collect();
    assert!(decision.allowed != decision.findings.iter().any(|one| one.effect == Effect::Deny));
    (decision.allowed, said)
}

#[test]
fn it_holds_for_the_named_objects_until_it_ends() {
    let before = TEN_DAYS - 1;
    let (allowed, said) = decided(true, &json!({}), "p", before);
    assert!(allowed && said.contains("excepted by `policies/old`, approved by `alice`"), "{said}");
    assert!(decided(true, &json!({}), "web-7f", before).0, "by prefix");
    for (why, exceptable, change, name, now) in [
        ("it has ended", true, json!({}), "p", TEN_DAYS),
        ("another pod", true, json!({}), "q", before),
        ("a name that only contains the prefix", true, json!({}), "my-web-7f", before),
        ("a rule that is not exceptable", false, json!({}), "p", before),
        ("another rule", true, json!({ "/spec/rule": "other" }), "p", before),
        ("another pack", true, json!({ "/spec/pack": "b" }), "p", before),
        (
            "another namespace",
            true,
            json!({ "/spec/objects": [{ "resource": "pods", "namespace": "two", "name": "p" }] }),
            "p",
            before,
        ),
        (
            "another resource",
            true,
            json!({ "/spec/objects": [{ "resource": "deployments", "namespace": "one", "name": "p" }] }),
            "p",
            before,
        ),
    ] {
        let (allowed, said) = decided(exceptable, &change, name, now);
        assert!(!allowed && said.contains("Deny hostPID"), "{why}: {said}");
    }
}

/// As many as the admission policies have room for, the oldest first, whatever their names; one that ended takes none.
#[test]
fn so_many_hold_as_a_policy_has_room_for() {
    let made = |name: &str, day: usize, rule: &str| {
        let long = json!({ "resource": "pods", "namespace": "one", "name": "x".repeat(253) });
        object(&json!({
            "/metadata/name": name, "/metadata/creationTimestamp": format!("2030-01-{day:02}T00:00:00Z"), "/spec/rule": rule,
            "/spec/expires": "2030-01-25T00:00:00Z", "/spec/objects": vec![long; 32],
        }))
    };
    let verdicts = |objects: &[PolicyException], now: i64| {
        let objects: Vec<&PolicyException> = objects.iter().collect();
        let verdicts = exceptions(&objects, "policies", Moment(now)).into_iter();
        let said = verdicts.map(|one| one.map(|one| one.name).map_err(|error| error.to_string()));
        said.collect::<Vec<_>>()
    };
    let holds = |name: &str| Ok(format!("policies/{name}"));
    let few: Vec<_> = (1..=9).rev().map(|day| made(&format!("d{day}"), day, "r")).collect();
    let all = verdicts(&few, TEN_DAYS);
    let room = all.iter().filter(|one| one.is_ok()).count();
    assert!((2..8).contains(&room), "{room}");
    for (at, verdict) in all.iter().rev().enumerate() {
        match verdict {
            Ok(_) => assert!(at < room && *verdict == holds(&format!("d{}", at + 1)), "{at}: {verdict:?}"),
            Err(why) => assert!(
                at >= room && why.contains("too many exceptions") && why.contains("rule `r`"),
                "{why}"
            ),
        }
    }
    // Others have a room of their own, until all have none.
    let mut more = few.clone();
    more.extend((1..=99).map(|at| made(&format!("m{at:02}"), 20, &format!("rule-{at:02}"))));
    let all = verdicts(&more, TEN_DAYS);
    assert_eq!(all[9], holds("m01"));
    let held = all.iter().filter(|one| one.is_ok()).count();
    assert!((10..60).contains(&held) && all[107].is_err(), "{held}");
    // The first of them ends.
    let mut ending = few;
    ending[8] = object(&json!({ "/metadata/name": "d1", "/spec/rule": "r", "/spec/objects": [] }));
    let all = verdicts(&ending, TEN_DAYS);
    assert!(all[8].as_ref().is_err_and(|why| why == "it has expired"), "{:?}", all[8]);
    assert_eq!(all[8 - room], holds(&format!("d{}", room + 1)));
}
