//! Bindings whose packs are gone after a restart: their policy comes from its bundle, and without that their controls
//! stay as they stand.

use serde_json::{Value, json};

use crate::enforced::{CONTROLS, allowing, bound, name};
use crate::packs::{binding, broken, pack};
use crate::stage::{Operator, SYSTEM, Stage, condition, until};

#[test]
fn what_cannot_be_compiled_again_after_a_restart_stays_as_it_stands() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    bound(&stage, "lost");
    let stands = || {
        let all = CONTROLS.split(',').flat_map(|kind| stage.list(kind, None));
        // That one lists what is in force.
        let all = all.filter(|one| name(one) != "bailiwick-packs");
        all.map(|one| format!("{} {}", one["metadata"]["uid"], one["metadata"]["generation"]))
            .collect::<Vec<_>>()
    };
    let level = || {
        let namespace = stage.get("namespace", "lost-a", None).expect("the namespace");
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/warn"].clone()
    };
    let (before, names) = ((stands(), level()), stage.ours(CONTROLS));
    stage.apply(&broken("lost", "2.0.0"));
    stage.apply(&binding("lost", "lost", "2.0.0", ""));
    stage.condition("policybinding", "lost", None, "Compiled", "False");
    // No webhook is there to protect the pack, and no admission policy the bundle.
    operator.stop();
    stage.kubectl(&["delete", "policypack", "lost-1.0.0"]);
    stage.kubectl(&["delete", "configmap", &bundle_of(&stage, "lost"), "-n", SYSTEM]);
    let successor = stage.operator(&[]).leads();
    let object = stage.condition("policybinding", "lost", None, "Enforced", "False");
    assert_eq!(condition(&object, "Enforced").expect("a condition")["reason"], "Lost");
    assert_eq!(
        (&object["status"]["version"], &object["status"]["stage"]),
        (&json!("1.0.0"), &json!("Enforce"))
    );
    // Also when another pack is bound and unbound meanwhile, which is kept up to date completely.
    bound(&stage, "beside");
    assert!(before.0.iter().all(|one| stands().contains(one)));
    others_are_kept_beside_it(&stage);
    stage.kubectl(&["delete", "policybinding", "beside"]);
    successor.passes(2, |round| stage.nudge(&format!("l{round}")));
    assert!(before.0.iter().all(|one| stands().contains(one)));
    assert_eq!(level(), before.1);
    what_is_disarmed_meanwhile_comes_back(&stage, &successor);
    // The pack is back, and so is everything.
    stage.apply(&pack("lost", "1.0.0", "192.0.2.0/28"));
    stage.condition("policybinding", "lost", None, "Enforced", "True");
    until("what is not wanted is pruned", || (stage.ours(CONTROLS) == names).then_some(()));
    assert_eq!(level(), before.1);
    successor.stop();
}

/// The ConfigMap of a binding's bundle.
fn bundle_of(stage: &Stage, binding: &str) -> String {
    let object = stage.get("policybinding", binding, None).expect("the binding");
    format!("bailiwick-{}", object["status"]["bundle"].as_str().expect("a digest"))
}

/// A binding whose pack is gone takes its policy from the bundle of the digest that its status names.
#[test]
fn what_is_edited_while_no_operator_runs_comes_back_though_its_pack_is_gone() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    bound(&stage, "gone");
    let policy = name(&allowing(&stage, "gone-a")[0]);
    let of_rules = |one: &&Value| {
        let name = name(one);
        let own = ["bindings", "exceptions", "namespaces", "cells", "packs"];
        !own.iter().any(|own| name.starts_with(&format!("bailiwick-{own}")))
    };
    let floor =
        name(stage.list("validatingadmissionpolicybindings", None).iter().find(of_rules).expect("the floor"));
    let objects = [
        ("networkpolicy", policy.as_str(), Some("gone-a")),
        ("validatingadmissionpolicy", floor.as_str(), None),
        ("validatingadmissionpolicybinding", floor.as_str(), None),
    ];
    let specs = || {
        objects.map(|(kind, name, namespace)| stage.get(kind, name, namespace).map(|one| one["spec"].clone()))
    };
    let (before, all) = (specs(), stage.ours(CONTROLS));
    assert!(before.iter().all(Option::is_some), "{before:?}");
    let said = stage.get("policybinding", "gone", None).expect("it")["status"]["ifLost"].clone();

    operator.stop();
    let edit = || {
        let rule = r#"[{"op": "add", "path": "/spec/egress/-", "value": {}}]"#;
        stage.kubectl(&["patch", "networkpolicy", &policy, "-n", "gone-a", "--type=json", "-p", rule]);
        for (kind, patch) in [
            ("validatingadmissionpolicy", r#"{"spec": {"validations": [{"expression": "true"}]}}"#),
            ("validatingadmissionpolicybinding", r#"{"spec": {"validationActions": ["Audit"]}}"#),
        ] {
            stage.kubectl(&["patch", kind, &floor, "--type=merge", "-p", patch]);
        }
        assert!(specs().iter().zip(&before).all(|(now, before)| now != before));
    };
    edit();
    stage.kubectl(&["delete", "policypack", "gone-1.0.0"]);
    let successor = stage.operator(&[]).leads();
    until("all is as it was", || (specs() == before && stage.ours(CONTROLS) == all).then_some(()));
    let object = stage.condition("policybinding", "gone", None, "Compiled", "False");
    let enforced = condition(&object, "Enforced").expect("a condition");
    assert_eq!((&enforced["status"], &enforced["reason"]), (&json!("True"), &json!("LastGood")));
    assert_eq!(object["status"]["ifLost"], said);

    successor.stop();
    put_another_bundle(&stage, &bundle_of(&stage, "gone"));
    edit();
    another_bundle_is_not_obeyed(&stage);
}

/// Deletes the ConfigMap of a bundle, and makes one of that name that allows every address.
fn put_another_bundle(stage: &Stage, map: &str) {
    let before = stage.get("configmap", map, Some(SYSTEM)).expect("the bundle");
    stage.kubectl(&["delete", "configmap", map, "-n", SYSTEM]);
    let text = before["data"]["bundle.json"].as_str().expect("a bundle").replace("192.0.2.0/28", "0.0.0.0/0");
    let metadata = json!({
        "name": map, "namespace": SYSTEM,
        "labels": before["metadata"]["labels"], "annotations": before["metadata"]["annotations"],
    });
    let data = json!({ "bundle.json": text });
    let forged = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data });
    stage.apply(&forged.to_string());
}

/// Nothing is derived from it, and people are told.
fn another_bundle_is_not_obeyed(stage: &Stage) {
    let operator = stage.operator(&[]).leads();
    let object = stage.condition("policybinding", "gone", None, "Enforced", "False");
    let enforced = condition(&object, "Enforced").expect("a condition");
    let message = enforced["message"].as_str().expect("a message");
    assert!(enforced["reason"] == "Lost" && message.contains("its bytes were changed"), "{enforced}");
    until("an event tells it", || {
        let told = |one: &Value| one["reason"] == "Lost" && one["regarding"]["name"] == "gone";
        stage.list("events", Some("default")).iter().any(told).then_some(())
    });
    operator.stop();
}

/// When disarmed for a time, all admission policies over pods are removed. Afterwards those return that can
/// be computed, and the status says which cannot.
fn what_is_disarmed_meanwhile_comes_back(stage: &Stage, operator: &Operator) {
    let floor = || {
        let all = stage.ours("validatingadmissionpolicies");
        all.into_iter().filter(|one| {
            !["-bindings", "-exceptions", "-namespaces-", "-packs"].iter().any(|own| one.contains(own))
        })
    };
    bound(stage, "other");
    let whole = floor().count();
    let asked = |request: &str, until: &str| {
        let patch = json!({ "data": { "request": request, "until": until, "reason": "a test" } }).to_string();
        stage.kubectl(&[
            "patch",
            "configmap",
            "bailiwick-arming",
            "-n",
            SYSTEM,
            "--type=merge",
            "-p",
            &patch,
        ]);
    };
    asked("disarm", "2999-01-01T00:00:00Z");
    until("the floor is withdrawn", || (floor().count() == 0).then_some(()));
    asked("disarm", "2026-01-01T00:00:00Z");
    stage.condition("policybinding", "other", None, "Enforced", "True");
    until("what can be made is back", || {
        let there: Vec<String> = floor().collect();
        (there.len() < whole && there.iter().any(|one| one.contains("-cells-"))).then_some(())
    });
    let message = || {
        let object = stage.get("policybinding", "lost", None)?;
        Some(condition(&object, "Enforced")?["message"].to_string())
    };
    until("it says what is away", || {
        message().filter(|said| said.contains("no admission policy of `lost@1.0.0` exists"))
    });
    stage.kubectl(&["delete", "policybinding", "other"]);
    operator.passes(2, |round| stage.nudge(&format!("d{round}")));
}

/// The objects that apply to the namespaces of another binding are restored when deleted.
fn others_are_kept_beside_it(stage: &Stage) {
    let kind = "validatingadmissionpolicy";
    let policies = stage.list("validatingadmissionpolicies", None);
    let of_cells =
        |one: &&Value| name(one).starts_with("bailiwick-cells-") && one.to_string().contains("\"beside-a\"");
    let closed = name(policies.iter().find(of_cells).expect("a policy of cells"));
    stage.kubectl(&["delete", kind, &closed]);
    until("the policy of cells is back", || stage.get(kind, &closed, None));
    let level = "pod-security.kubernetes.io/warn";
    stage.kubectl(&["label", "namespace", "beside-a", &format!("{level}-")]);
    until("the label is back", || {
        let namespace = stage.get("namespace", "beside-a", None)?;
        (namespace["metadata"]["labels"][level] == "restricted").then_some(())
    });
}
