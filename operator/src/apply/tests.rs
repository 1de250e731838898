//! Plans, as a table over what is wanted, what is live and which forms are known.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Forms, Why, Write, plan};
use crate::kind::Kind;
use crate::object::{Drift, Key, Live, OWNER_LABEL, Wanted};

fn policy(name: &str, spec: &Value) -> Wanted {
    let manifest = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": "agents", "labels": { "a": "b" } }, "spec": spec,
    });
    Wanted::new(manifest, "system").expect("a manifest")
}

fn live(wanted: &Wanted, spec: &Value) -> Live {
    let strings = |at: &str| {
        serde_json::from_value::<BTreeMap<String, String>>(
            wanted.manifest.pointer(at).cloned().unwrap_or_else(|| json!({})),
        )
        .expect("strings")
    };
    Live {
        labels: strings("/metadata/labels"),
        annotations: strings("/metadata/annotations"),
        body: json!({ "spec": spec }).as_object().expect("an object").clone(),
        ..Live::named(wanted.key.clone())
    }
}

fn forms(wanted: &Wanted, spec: &Value) -> Forms {
    let mut forms = Forms::default();
    forms.learn(wanted, json!({ "spec": spec }).as_object().expect("an object").clone());
    forms
}

fn map<V>(items: impl IntoIterator<Item = (Key, V)>) -> BTreeMap<Key, V> {
    items.into_iter().collect()
}

/// What is planned for one wanted object.
fn planned(wanted: &Wanted, live: Option<Live>, forms: &Forms) -> String {
    let wanted = map([(wanted.key.clone(), wanted.clone())]);
    let live = map(live.map(|live| (live.key.clone(), Arc::new(live))));
    let plan = plan(&wanted, &live, forms, |_| false);
    let writes: Vec<String> = plan
        .writes
        .iter()
        .map(|write| match write {
            Write::Apply { why, .. } => format!("{why:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    format!("{} unknown:{} ending:{}", writes.join(","), plan.unknown.len(), plan.ending.len())
}

#[test]
fn nothing_is_written_while_live_equals_its_form_and_every_difference_is_drift() {
    let spec = json!({ "podSelector": {} });
    let form = json!({ "podSelector": {}, "policyTypes": ["Ingress"] });
    let wanted = policy("p", &spec);
    let known = forms(&wanted, &form);
    assert_eq!(planned(&wanted, Some(live(&wanted, &form)), &known), " unknown:0 ending:0");
    let edited = "Drift(Edited) unknown:0 ending:0";
    // Changed, added and removed. An added rule widens, and an apply alone would not remove it.
    for other in [
        json!({ "podSelector": { "matchLabels": { "x": "y" } }, "policyTypes": ["Ingress"] }),
        json!({ "podSelector": {}, "policyTypes": ["Ingress"], "egress": [{}] }),
        json!({ "podSelector": {} }),
    ] {
        assert_eq!(planned(&wanted, Some(live(&wanted, &other)), &known), edited, "{other}");
    }
    let mut unlabelled = live(&wanted, &form);
    unlabelled.labels.remove(OWNER_LABEL);
    assert_eq!(planned(&wanted, Some(unlabelled), &known), edited);
    let mut labelled = live(&wanted, &form);
    labelled.labels.insert("somebody".to_owned(), "else".to_owned());
    assert_eq!(planned(&wanted, Some(labelled), &known), " unknown:0 ending:0");
    assert_eq!(planned(&wanted, None, &known), "Drift(Deleted) unknown:0 ending:0");
}

#[test]
fn an_object_is_not_judged_before_its_form_is_known() {
    let spec = json!({ "podSelector": {} });
    let wanted = policy("p", &spec);
    let none = Forms::default();
    assert_eq!(planned(&wanted, None, &none), "Wanted unknown:0 ending:0");
    assert_eq!(planned(&wanted, Some(live(&wanted, &spec)), &none), " unknown:1 ending:0");
    // The known form is of another manifest: our own change, not drift.
    let before = policy("p", &json!({ "podSelector": {}, "policyTypes": [] }));
    assert_eq!(
        planned(&wanted, Some(live(&wanted, &spec)), &forms(&before, &spec)),
        "Wanted unknown:0 ending:0"
    );
    let mut ending = live(&wanted, &spec);
    ending.ending = true;
    assert_eq!(planned(&wanted, Some(ending.clone()), &none), " unknown:1 ending:1");
    // It is in force while a finalizer holds it, so a user who may edit it must not loosen it meanwhile.
    let known = forms(&wanted, &spec);
    assert_eq!(planned(&wanted, Some(ending.clone()), &known), " unknown:0 ending:1");
    ending.body =
        json!({ "spec": { "podSelector": {}, "egress": [{}] } }).as_object().expect("a body").clone();
    assert_eq!(planned(&wanted, Some(ending), &known), "Drift(Edited) unknown:0 ending:1");
}

#[test]
fn what_an_earlier_operator_left_is_no_drift() {
    let wanted = policy("one", &json!({ "podSelector": {} }));
    let older = policy("one", &json!({ "podSelector": {}, "egress": [] }));
    let forms = forms(&wanted, &json!({ "podSelector": {}, "policyTypes": ["Ingress"] }));
    let why = |of: &Wanted, first_seen: &[&Key]| {
        let left = Arc::new(live(of, &json!({ "podSelector": {} })));
        let (all, left) = (map([(wanted.key.clone(), wanted.clone())]), map([(wanted.key.clone(), left)]));
        let mut plan = plan(&all, &left, &forms, |_| false);
        let first_seen = first_seen.iter().copied().collect();
        plan.writes.iter_mut().for_each(|write| write.own_change(&first_seen));
        let [Write::Apply { why, .. }] = plan.writes[..] else { panic!("one write") };
        why
    };
    assert_eq!(why(&older, &[&wanted.key]), Why::Wanted);
    assert_eq!(why(&wanted, &[&wanted.key]), Why::Drift(Drift::Edited), "something was taken away");
    assert_eq!(why(&older, &[]), Why::Drift(Drift::Edited), "it had been in its form");
}

#[test]
fn what_is_not_wanted_goes_in_the_opposite_order_unless_it_is_kept() {
    let spec = json!({});
    let (first, last) = (policy("a", &spec), policy("b", &spec));
    let class = Wanted::new(
        json!({ "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": "c" }, "handler": "c" }),
        "system",
    )
    .expect("a manifest");
    let there = map([&first, &last, &class].map(|one| (one.key.clone(), Arc::new(live(one, &spec)))));
    let nothing = BTreeMap::new();
    let plan_for = |keep: &str| -> Vec<String> {
        plan(&nothing, &there, &Forms::default(), |live| live.key.name == keep)
            .writes
            .iter()
            .map(|write| match write {
                Write::Delete(live) => live.key.to_string(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(plan_for(""), ["NetworkPolicy agents/b", "NetworkPolicy agents/a", "RuntimeClass c"]);
    assert_eq!(plan_for("b"), ["NetworkPolicy agents/a", "RuntimeClass c"]);
}

#[test]
fn of_a_namespace_only_the_labels_are_ours() {
    let manifest = json!({
        "apiVersion": "v1", "kind": "Namespace", "spec": { "finalizers": [] },
        "metadata": { "name": "agents", "labels": { "pod-security.kubernetes.io/warn": "restricted" } },
    });
    let wanted = Wanted::new(manifest, "system").expect("a manifest");
    assert!(wanted.manifest.get("spec").is_none());
    let none = Forms::default();
    assert_eq!(planned(&wanted, None, &none), " unknown:0 ending:0", "it is not made");
    let theirs = json!({ "finalizers": ["kubernetes"] });
    assert_eq!(planned(&wanted, Some(live(&wanted, &theirs)), &none), " unknown:0 ending:0");
    let mut relabelled = live(&wanted, &theirs);
    relabelled.labels.insert("pod-security.kubernetes.io/warn".to_owned(), "privileged".to_owned());
    assert_eq!(planned(&wanted, Some(relabelled.clone()), &none), "Drift(Edited) unknown:0 ending:0");
    relabelled.labels.remove(OWNER_LABEL);
    assert_eq!(planned(&wanted, Some(relabelled), &none), "Wanted unknown:0 ending:0");
    let there = map([(wanted.key.clone(), Arc::new(live(&wanted, &theirs)))]);
    let nothing = BTreeMap::new();
    let writes = plan(&nothing, &there, &none, |_| false).writes;
    assert!(matches!(writes.as_slice(), [Write::Release(_)]), "it is not deleted: {writes:?}");
    assert_eq!(Key { kind: Kind::Namespace, namespace: None, name: "agents".to_owned() }, wanted.key);
}

#[test]
fn a_manifest_of_an_unknown_kind_or_without_a_name_is_refused() {
    let of = |manifest| Wanted::new(manifest, "system").expect_err("refused").to_string();
    assert_eq!(
        of(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "namespace": "b" } })),
        "the operator does not write `v1` `Pod`"
    );
    for metadata in [json!({}), json!({ "name": "a" }), json!({ "namespace": "b" })] {
        let manifest = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
        assert_eq!(of(manifest), "a `ConfigMap` without a name or a namespace");
    }
}
