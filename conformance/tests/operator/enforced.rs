//! From packs and bindings to the objects in the cluster, and that these stay there.

use serde_json::{Value, json};

use crate::packs::{binding, broken, pack, pod};
use crate::stage::{Operator, SYSTEM, Stage, condition, until};

pub(crate) const CONTROLS: &str =
    "networkpolicies,validatingadmissionpolicies,validatingadmissionpolicybindings";

/// A stage with a bound pack whose objects are in place.
pub(crate) fn bound(stage: &Stage, name: &str) -> Value {
    stage.namespace(&format!("{name}-a"), name);
    stage.apply(&pack(name, "1.0.0", "192.0.2.0/28"));
    stage.apply(&binding(name, name, "1.0.0", ""));
    stage.condition("policybinding", name, None, "Enforced", "True")
}

/// The NetworkPolicies of a namespace that allow something.
pub(crate) fn allowing(stage: &Stage, namespace: &str) -> Vec<Value> {
    let all = stage.list("networkpolicies", Some(namespace));
    all.into_iter()
        .filter(|one| one["spec"]["egress"].as_array().is_some_and(|rules| !rules.is_empty()))
        .collect()
}

/// The applies that the API server was asked to try without storing them.
fn dry_runs(stage: &Stage) -> f64 {
    let text = stage.kubectl(&["get", "--raw", "/metrics"]);
    let counted = text.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && line.contains("dry_run=\"All\"")
            && line.contains("verb=\"APPLY\"")
    });
    counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// How many writes of controls failed so far.
fn unanswered(operator: &Operator) -> usize {
    let log = operator.log();
    log.lines().filter(|line| line.contains("cannot be written") && !line.contains("its status")).count()
}

pub(crate) fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().expect("a name").to_owned()
}

#[test]
fn a_pack_and_its_binding_become_controls_and_a_status() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    let (asked, failed) = (dry_runs(&stage), unanswered(&operator));
    let object = bound(&stage, "plain");
    let status = &object["status"];
    assert_eq!(condition(&object, "Compiled").expect("a condition")["status"], "True");
    assert_eq!(condition(&object, "Ready").expect("a condition")["reason"], "NotArmed");
    assert_eq!((&status["version"], &status["stage"]), (&json!("1.0.0"), &json!("Enforce")));
    assert_eq!(status["digest"].as_str().expect("a digest").len(), 64);
    assert_eq!(status["observedGeneration"], 1);
    let pack = stage.condition("policypack", "plain-1.0.0", None, "Compiled", "True");
    assert_eq!(pack["status"]["digest"], status["digest"]);

    let allowing = allowing(&stage, "plain-a");
    assert_eq!(allowing.len(), 1, "{allowing:?}");
    assert_eq!(allowing[0]["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"], "192.0.2.0/28");
    let cell = &status["cells"][0]["name"];
    assert!(allowing[0]["spec"]["podSelector"].to_string().contains(cell.as_str().expect("a cell")));
    let managers = stage.kubectl(&[
        "get",
        "networkpolicy",
        &name(&allowing[0]),
        "-n",
        "plain-a",
        "--show-managed-fields",
        "-o",
        "jsonpath={.metadata.managedFields[*].manager} {.metadata.managedFields[*].operation}",
    ]);
    assert_eq!(managers, "bailiwick-operator Apply");
    // Of a write that got no answer nobody knows what was stored, until the API server is asked: no more than that.
    let asked = dry_runs(&stage) - asked;
    let failed = unanswered(&operator) - failed;
    assert!(
        asked <= failed as f64,
        "an answer to a creation is asked for once more: {asked} were, {failed} writes failed"
    );
    let namespace = stage.get("namespace", "plain-a", None).expect("the namespace");
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/warn"], "restricted");
    assert!(stage.ours(CONTROLS).iter().any(|one| one.starts_with("ValidatingAdmissionPolicyBinding")));
    assert_eq!(operator.ask("/readyz").expect("an answer").0, 200);
    assert_eq!(operator.ask("/livez").expect("an answer").0, 200);

    // A namespace that is created later is governed as well.
    stage.namespace("plain-b", "plain");
    until("policies in the new namespace", || {
        (stage.ours("networkpolicies").iter().filter(|one| one.contains("plain-b/")).count() == 2)
            .then_some(())
    });
    operator.stop();
}

/// Whoever may write statuses could otherwise take namespaces out of what is governed after a restart, with the pack
/// and without it.
#[test]
fn what_others_add_to_what_a_status_says_is_in_force_goes() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    bound(&stage, "edited");
    let said = || Some(stage.get("policybinding", "edited", None)?["status"].clone());
    let before = said().expect("the binding");
    assert!(before["ifLost"]["namespaces"].is_object() && before["bundle"].is_string(), "{before}");
    let nowhere = json!({ "namespaces": { "matchLabels": { "no": "namespace" } } });
    for more in [
        json!({ "ifLost": nowhere }),
        json!({ "ifLost": { "namespaces": { "matchExpressions": [{ "key": "no", "operator": "Exists" }] } } }),
        json!({ "chosen": { "narrowTo": nowhere } }),
        json!({ "chosen": { "parameters": { "unheard": "of" } } }),
        json!({ "bundle": "0".repeat(64) }),
        json!({ "digest": "0".repeat(64) }),
        json!({ "stage": "Audit" }),
        json!({ "version": "0.9.0" }),
    ] {
        let patch = json!({ "status": more }).to_string();
        stage.kubectl(&[
            "patch",
            "policybinding",
            "edited",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ]);
        until(&format!("{more} goes"), || (said()? == before).then_some(()));
    }
    // And nothing is written for ever.
    let version =
        || stage.get("policybinding", "edited", None).expect("it")["metadata"]["resourceVersion"].clone();
    let written = version();
    operator.passes(2, |round| stage.nudge(&format!("i{round}")));
    assert_eq!(version(), written);
    operator.stop();
}

/// Whoever may create objects can do so under the names and as the field manager of the operator.
#[test]
fn what_stood_under_our_name_before_is_not_taken_for_ours() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    bound(&stage, "before");
    let all = stage.list("networkpolicies", Some("before-a"));
    let deny =
        all.iter().map(name).find(|name| name.ends_with("-default-deny")).expect("a policy that denies");
    operator.stop();
    stage.kubectl(&["delete", "networkpolicy", &deny, "-n", "before-a"]);
    let file = stage.folder.path().join("open.yaml");
    let open = format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {deny}, namespace: before-a}}, \
         spec: {{podSelector: {{}}, policyTypes: [Ingress, Egress], egress: [{{}}]}}}}"
    );
    std::fs::write(&file, open).expect("a file");
    stage.kubectl(&["create", "--field-manager=bailiwick-operator", "-f", &file.to_string_lossy()]);

    let _operator = stage.operator(&[]).leads();
    until("what stood there denies", || {
        let spec = stage.get("networkpolicy", &deny, Some("before-a"))?["spec"].clone();
        spec.get("egress").is_none().then_some(())
    });
}

#[test]
fn what_somebody_deletes_or_edits_comes_back_and_is_counted() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    bound(&stage, "drift");
    let before = stage.ours(CONTROLS);
    let policy = name(&allowing(&stage, "drift-a")[0]);
    let spec = || stage.get("networkpolicy", &policy, Some("drift-a")).map(|object| object["spec"].clone());
    let wanted = spec().expect("the policy");
    assert_eq!(operator.metric("drift_repaired_total", ""), 0);

    // An added rule widens; an apply alone would leave it there, since another manager owns it.
    let rule = r#"[{"op": "add", "path": "/spec/egress/-", "value": {}}]"#;
    let args = ["patch", "networkpolicy", &policy, "-n", "drift-a", "--type=json", "-p", rule];
    stage.kubectl(&args);
    until("the added rule goes", || (operator.metric("drift_repaired_total", "edited") == 1).then_some(()));
    assert_eq!(spec().as_ref(), Some(&wanted));
    let field = r#"{"spec": {"ingress": [{}]}}"#;
    stage.kubectl(&["patch", "networkpolicy", &policy, "-n", "drift-a", "--type=merge", "-p", field]);
    until("the added field goes", || (operator.metric("drift_repaired_total", "edited") == 2).then_some(()));
    assert_eq!(spec().as_ref(), Some(&wanted));

    stage.kubectl(&["delete", "networkpolicies", "--all", "-n", "drift-a"]);
    let policies = before.iter().filter(|one| one.starts_with("NetworkPolicy")).count() as u64;
    until("the policies are back", || {
        (operator.metric("drift_repaired_total", "deleted") == policies).then_some(())
    });
    assert_eq!(spec().as_ref(), Some(&wanted));

    // Without our label it is still ours.
    stage.kubectl(&["label", "networkpolicy", &policy, "-n", "drift-a", "bailiwick.dev/operator-"]);
    until("the label is back", || {
        let object = stage.get("networkpolicy", &policy, Some("drift-a"))?;
        (object["metadata"]["labels"]["bailiwick.dev/operator"] == SYSTEM).then_some(())
    });
    let admission =
        before.iter().find(|one| one.starts_with("ValidatingAdmissionPolicyBinding")).expect("a binding");
    let admission = admission.split('/').nth(1).expect("a name");
    let actions = || {
        Some(
            stage.get("validatingadmissionpolicybinding", admission, None)?["spec"]["validationActions"]
                .clone(),
        )
    };
    let wanted = actions().expect("actions");
    let warn = r#"{"spec": {"validationActions": ["Warn"]}}"#;
    stage.kubectl(&["patch", "validatingadmissionpolicybinding", admission, "--type=merge", "-p", warn]);
    until("the action is back", || (actions()? == wanted).then_some(()));
    stage.kubectl(&[
        "label",
        "namespace",
        "drift-a",
        "pod-security.kubernetes.io/warn=privileged",
        "--overwrite",
    ]);
    until("the namespace's label is back", || {
        let object = stage.get("namespace", "drift-a", None)?;
        (object["metadata"]["labels"]["pod-security.kubernetes.io/warn"] == "restricted").then_some(())
    });
    assert_eq!(stage.ours(CONTROLS), before);
    people_are_told(&stage, &policy, admission);
    operator.stop();
}

/// Events next to the objects: for a NetworkPolicy of `drift-a`, and for a cluster-scoped binding.
fn people_are_told(stage: &Stage, policy: &str, admission: &str) {
    let told = |namespace: &str, name: &str, word: &str| {
        let found = stage.list("events", Some(namespace)).iter().any(|one| {
            (&one["reason"], &one["type"]) == (&json!(word), &json!("Warning"))
                && (&one["regarding"]["name"], &one["reportingController"])
                    == (&json!(name), &json!("bailiwick-operator"))
        });
        found.then_some(())
    };
    until("an event tells of the edit", || told("drift-a", policy, "DriftEdited"));
    until("an event tells of the deletion", || told("drift-a", policy, "DriftDeleted"));
    until("an event tells of the admission policy", || told("default", admission, "DriftEdited"));
}

#[test]
fn nothing_is_written_while_everything_is_as_wanted() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    bound(&stage, "still");
    let nudge = |round: u64| {
        stage.nudge(&format!("a{round}"));
    };
    // The first passes have reported everything.
    operator.passes(3, nudge);
    let writes = operator.metric("writes_total", "");
    assert!(writes > 5, "it does count");
    operator.passes(8, nudge);
    assert_eq!(operator.metric("writes_total", ""), writes);
    // A successor finds everything as it should be, and also writes nothing.
    operator.stop();
    let successor = stage.operator(&[]).leads();
    successor.passes(3, nudge);
    assert_eq!(successor.metric("writes_total", ""), 0, "{}", successor.log());
    successor.stop();
}

#[test]
fn a_pack_that_does_not_compile_changes_nothing_that_works() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    bound(&stage, "good");
    let versions = || {
        let all = CONTROLS.split(',').flat_map(|kind| stage.list(kind, None));
        all.map(|one| format!("{} {}", one["metadata"]["uid"], one["metadata"]["generation"]))
            .collect::<Vec<_>>()
    };
    let before = versions();
    stage.apply(&broken("good", "2.0.0"));
    let pack = stage.condition("policypack", "good-2.0.0", None, "Compiled", "False");
    assert_eq!(condition(&pack, "Compiled").expect("a condition")["reason"], "DoesNotCompile");
    stage.apply(&binding("good", "good", "2.0.0", ""));
    let check = || {
        let object = stage.condition("policybinding", "good", None, "Compiled", "False");
        assert_eq!(condition(&object, "Compiled").expect("a condition")["reason"], "DoesNotCompile");
        let enforced = condition(&object, "Enforced").expect("a condition");
        assert_eq!((&enforced["status"], &enforced["reason"]), (&json!("True"), &json!("LastGood")));
        assert_eq!(object["status"]["version"], "1.0.0");
        assert_eq!(versions(), before);
    };
    check();
    until("it counts as failing", || (operator.metric("bindings_failing", "") == 1).then_some(()));
    // A restart does not lose what worked either, whatever values the binding has by now.
    stage.apply(&binding("good", "good", "2.0.0", ", parameters: {unheard: of}"));
    check();
    operator.stop();
    let successor = stage.operator(&[]).leads();
    check();
    stage.kubectl(&["delete", "networkpolicies", "--all", "-n", "good-a"]);
    until("the policies are back", || (allowing(&stage, "good-a").len() == 1).then_some(()));
    // Repaired, the new version takes over, and what only the old one had is gone.
    stage.apply(&pack_of("good", "3.0.0"));
    stage.apply(&binding("good", "good", "3.0.0", ""));
    stage.condition("policybinding", "good", None, "Compiled", "True");
    until("the new network", || {
        let allowing = allowing(&stage, "good-a");
        let there = allowing.len() == 1 && allowing[0].to_string().contains("198.51.100.0/28");
        there.then_some(())
    });
    // Back to the first version, by its digest.
    let first = stage.get("policypack", "good-1.0.0", None).expect("the first version");
    let digest = first["status"]["digest"].as_str().expect("a digest");
    stage.apply(&format!(
        "{{apiVersion: bailiwick.dev/v1alpha1, kind: PolicyBinding, metadata: {{name: good}}, spec: {{pack: {{name: good, digest: \"{digest}\"}}}}}}"
    ));
    until("the old network", || {
        let allowing = allowing(&stage, "good-a");
        (allowing.len() == 1 && allowing[0].to_string().contains("192.0.2.0/28")).then_some(())
    });
    let object = stage.condition("policybinding", "good", None, "Enforced", "True");
    assert_eq!(
        (&object["status"]["version"], &object["status"]["digest"]),
        (&json!("1.0.0"), &json!(digest))
    );
    successor.stop();
}

#[test]
fn pods_of_an_earlier_cell_keep_their_network_until_they_end() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    let object = bound(&stage, "running");
    let cell = object["status"]["cells"][0]["name"].as_str().expect("a cell").to_owned();
    // Its account may take a moment.
    until("a pod of the cell", || stage.api().apply(&pod("agent", "running-a", &cell).to_string()).ok());
    let old = name(&allowing(&stage, "running-a")[0]);
    let spec = || stage.get("networkpolicy", &old, Some("running-a")).map(|one| one["spec"].clone());
    let wanted = spec().expect("the policy of the pod");
    // Another pack for the same pods, which only observes: new pods are in another cell, and the label of
    // that pod stays.
    let beside = pack("looking", "1.0.0", "198.51.100.0/28");
    stage.apply(&beside.replace("bailiwick.dev/zone: looking", "bailiwick.dev/zone: running"));
    stage.apply(&binding("looking", "looking", "1.0.0", ", stage: Audit"));
    until("the policy of the new cell", || (allowing(&stage, "running-a").len() == 2).then_some(()));
    operator.passes(2, |round| stage.nudge(&format!("p{round}")));
    assert_eq!(spec().as_ref(), Some(&wanted), "the pod was cut off");
    // It is kept like everything else.
    let open = r#"[{"op": "add", "path": "/spec/egress/-", "value": {}}]"#;
    stage.kubectl(&["patch", "networkpolicy", &old, "-n", "running-a", "--type=json", "-p", open]);
    until("the added rule goes", || (spec()? == wanted).then_some(()));
    // A successor, which never wanted it, keeps it too.
    operator.stop();
    let successor = stage.operator(&[]).leads();
    successor.passes(2, |round| stage.nudge(&format!("q{round}")));
    assert_eq!(spec().as_ref(), Some(&wanted));
    stage.kubectl(&["delete", "pod", "agent", "-n", "running-a", "--now"]);
    until("nobody needs it any more", || spec().is_none().then_some(()));
    assert_eq!(allowing(&stage, "running-a").len(), 1);
    successor.stop();
}

#[test]
fn what_the_owner_of_the_cluster_made_stays_the_owners() {
    let stage = Stage::new();
    stage.namespace("owned-a", "owned");
    let label = |pair: &str| stage.kubectl(&["label", "namespace", "owned-a", pair]);
    label("pod-security.kubernetes.io/enforce=restricted");
    label("pod-security.kubernetes.io/audit=privileged");
    let class = |name: &str, handler: &str| {
        format!(
            "{{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {{name: {name}}}, handler: {handler}}}"
        )
    };
    // Some of these may be left from an earlier run that failed.
    let theirs = ["owned-same", "owned-other"];
    let clear = || {
        for name in theirs {
            stage.kubectl(&["delete", "runtimeclass", name, "--ignore-not-found"]);
        }
    };
    clear();
    stage.apply(&class("owned-same", "runc"));
    stage.apply(&class("owned-other", "theirs"));
    let before = theirs.map(|name| stage.get("runtimeclass", name, None).expect("a class"));
    let operator = stage.operator(&[]).leads();
    let classes = "    runtimeClass:\n      classes:\n      - {name: owned-same, handler: runc, kind: Runc}\n      - {name: owned-new, handler: runc, kind: Runc}\n";
    let of = |version: &str, more: &str| {
        let pack = pack("owned", version, "192.0.2.0/28").replace("level: Restricted", "level: Baseline");
        pack.replace("runtimeClass: runc", "runtimeClass: owned-same")
            .replace("  network:\n", &format!("{classes}{more}  network:\n"))
    };
    stage.apply(&of("1.0.0", ""));
    stage.apply(&binding("owned", "owned", "1.0.0", ""));
    stage.condition("policybinding", "owned", None, "Enforced", "True");
    let labels = || stage.get("namespace", "owned-a", None).expect("it stays")["metadata"]["labels"].clone();
    let level = |mode: &str| labels().get(format!("pod-security.kubernetes.io/{mode}")).cloned();
    assert_eq!(level("enforce"), Some(json!("restricted")), "a stricter label was loosened");
    assert_eq!((level("warn"), level("audit")), (Some(json!("baseline")), Some(json!("baseline"))));
    // The missing class is created, and kept.
    let made = || Some(stage.get("runtimeclass", "owned-new", None)?["handler"].clone());
    assert_eq!(made(), Some(json!("runc")));
    stage.kubectl(&["delete", "runtimeclass", "owned-new"]);
    until("the class is back", made);
    let tolerated = r#"{"scheduling": {"nodeSelector": {"a": "b"}}}"#;
    stage.kubectl(&["patch", "runtimeclass", "owned-new", "--type=merge", "-p", tolerated]);
    until("the class is as it was", || {
        stage.get("runtimeclass", "owned-new", None)?.get("scheduling").is_none().then_some(())
    });
    // A class that means something else is reported as a fault, not repaired.
    stage.apply(&of("2.0.0", "      - {name: owned-other, handler: runc, kind: Runc}\n"));
    stage.apply(&binding("owned", "owned", "2.0.0", ""));
    let object = stage.condition("policybinding", "owned", None, "Enforced", "False");
    let said = condition(&object, "Enforced").expect("a condition")["message"].to_string();
    assert!(said.contains("owned-other") && said.contains("somebody else made it"), "{said}");
    stage.kubectl(&["delete", "policybinding", "owned"]);
    until("what was made is gone", || made().is_none().then_some(()));
    until("what was labelled is gone", || level("warn").is_none().then_some(()));
    assert_eq!(level("enforce"), Some(json!("restricted")));
    assert_eq!(theirs.map(|name| stage.get("runtimeclass", name, None).expect("it stays")), before);
    operator.stop();
    clear();
}

fn pack_of(name: &str, version: &str) -> String {
    pack(name, version, "198.51.100.0/28")
}

#[test]
fn stages_go_from_audit_over_warn_to_enforce() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    stage.namespace("staged-a", "staged");
    stage.apply(&pack("staged", "1.0.0", "192.0.2.0/28"));
    let actions = || {
        let all = stage.list("validatingadmissionpolicybindings", None);
        // Those of the pack's own rules; what protects labels and bindings has no stage.
        let staged = |one: &&Value| {
            let name = name(one);
            !["bindings", "exceptions", "namespaces", "cells", "packs"]
                .iter()
                .any(|own| name.starts_with(&format!("bailiwick-{own}")))
        };
        let all = all.iter().filter(staged);
        let mut all: Vec<String> = all.map(|one| one["spec"]["validationActions"].to_string()).collect();
        assert!(!all.is_empty());
        all.dedup();
        all
    };
    for (word, enforced) in [("Audit", false), ("Warn", false), ("Enforce", true)] {
        stage.apply(&binding("staged", "staged", "1.0.0", &format!(", stage: {word}")));
        let object = stage.condition("policybinding", "staged", None, "Enforced", "True");
        assert_eq!(object["status"]["stage"], word);
        assert_eq!(!stage.ours("networkpolicies").is_empty(), enforced, "{word}");
        let actions = actions();
        let denies = actions.iter().any(|one| one.contains("Deny"));
        assert_eq!(denies, enforced, "{word}: {actions:?}");
        assert_eq!(actions.iter().any(|one| one.contains("Warn")), word == "Warn", "{word}: {actions:?}");
    }
    operator.stop();
}

#[test]
fn what_nobody_wants_any_more_is_pruned_and_nothing_else() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    bound(&stage, "pruned");
    stage.apply(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: theirs, namespace: pruned-a, labels: {app.kubernetes.io/managed-by: bailiwick}}, spec: {podSelector: {}}}",
    );
    stage.kubectl(&["label", "namespace", "pruned-a", "theirs=too"]);
    stage.kubectl(&["delete", "policybinding", "pruned"]);
    until("everything of the binding is gone", || stage.ours(CONTROLS).is_empty().then_some(()));
    assert!(stage.get("networkpolicy", "theirs", Some("pruned-a")).is_some());
    until("the labels are gone", || {
        let namespace = stage.get("namespace", "pruned-a", None).expect("it stays");
        let labels = namespace["metadata"]["labels"].clone();
        assert_eq!((&labels["theirs"], &labels["bailiwick.dev/zone"]), (&json!("too"), &json!("pruned")));
        labels.get("pod-security.kubernetes.io/warn").is_none().then_some(())
    });
    operator.stop();
}
