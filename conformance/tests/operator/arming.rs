//! When the webhook's configurations are registered, and when not: with two real webhooks, and on requests
//! from the cluster's owner.

use std::process::Command;

use bailiwick_conformance::api::path;
use bailiwick_conformance::programs;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::packs::{binding, pack};
use crate::stage::{Operator, SYSTEM, Stage, condition, until};
use crate::webhooks::{Webhook, hooks, operator, ports, state, take_certificate};

#[test]
fn it_is_armed_by_two_replicas_and_disarmed_by_whoever_deletes_it() {
    let stage = Stage::new();
    let folder = stage.folder.path();
    let ports = ports();
    let first = operator(&stage, ports, &[]).leads();
    take_certificate(&stage, folder);
    stage.namespace("armed-a", "armed");
    stage.apply(&pack("armed", "1.0.0", "192.0.2.0/28"));
    stage.apply(&binding("armed", "armed", "1.0.0", ""));
    stage.condition("policybinding", "armed", None, "Enforced", "True");
    let nudge = |round: u64| {
        stage.nudge(&format!("h{round}"));
    };
    // One replica is not enough.
    let _a = Webhook::start(&stage, ports[0]);
    until("one replica counts", || (first.metric("webhook_replicas", "") == 1).then_some(()));
    first.passes(2, nudge);
    assert_eq!(hooks(&stage).len(), 0);
    let held = held_by_a_finalizer(&stage);
    let b = Webhook::start(&stage, ports[1]);
    until("it is armed", || (state(&stage)? == "armed").then_some(()));
    comes_back_once_it_is_gone(&stage, &held);
    stage.condition("policybinding", "armed", None, "Ready", "True");
    let there = hooks(&stage);
    assert_eq!(there.len(), 2);
    for hook in there.iter().flat_map(|one| one["webhooks"].as_array().expect("webhooks")) {
        assert_eq!(hook["failurePolicy"], "Fail");
        assert!(hook["clientConfig"]["caBundle"].as_str().is_some_and(|bundle| !bundle.is_empty()));
    }

    ready_means_that_enough_replicas_decide_by_it(&stage, &b);
    // A replica that is down changes nothing, and an edit is drift.
    drop(b);
    let name = there[0]["metadata"]["name"].as_str().expect("a name");
    let kind = there[0]["kind"].as_str().expect("a kind");
    let ignore = r#"[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]"#;
    stage.kubectl(&["patch", kind, name, "--type=json", "-p", ignore]);
    until("it fails closed again", || {
        let hook = stage.get(kind, name, None)?;
        (hook["webhooks"][0]["failurePolicy"] == "Fail").then_some(())
    });
    // A successor that cannot see two replicas does not remove them either.
    first.stop();
    let before = asks(&stage);
    let trusted = distrust(&stage);
    let second = operator(&stage, ports, &[]).leads();
    until("the authority is back", || (authorities(&stage) == trusted).then_some(()));
    second.passes(2, nudge);
    assert_eq!(asks(&stage), before, "what was edited while no operator ran stayed");
    let _b = Webhook::start(&stage, ports[1]);
    stage.condition("policybinding", "armed", None, "Ready", "True");
    second.stop();
    let second = a_lost_binding_holds_nothing_up(&stage, ports);

    // Deleted by hand: the way out. It stays deleted, under this operator and the next.
    stage.kubectl(&["delete", kind, name]);
    until("it is disarmed", || (state(&stage)? == "disarmed" && hooks(&stage).is_empty()).then_some(()));
    second.passes(2, nudge);
    second.stop();
    let third = operator(&stage, ports, &[]).leads();
    third.passes(2, nudge);
    assert_eq!(hooks(&stage).len(), 0);
    assert!(asked(&stage, &["arm"]).contains("armed"));
    assert_eq!((state(&stage).as_deref(), hooks(&stage).len()), (Some("armed"), 2));
    as_the_owner_asks(&stage);
    third.stop();
}

/// The second replica is suspended: what is bound meanwhile is not ready, although the webhook is armed by
/// what was bound before.
fn ready_means_that_enough_replicas_decide_by_it(stage: &Stage, second: &Webhook) {
    second.signal("STOP");
    stage.apply(&pack("later", "1.0.0", "192.0.2.0/28"));
    // Two with the same selectors.
    let team = |team: &str| format!(", narrowTo: {{namespaces: {{matchLabels: {{team: {team}}}}}}}");
    stage.apply(&binding("later", "later", "1.0.0", &team("a")));
    stage.apply(&binding("beside", "later", "1.0.0", &team("b")));
    let object = stage.condition("policybinding", "later", None, "Enforced", "True");
    let ready = condition(&object, "Ready").expect("a condition");
    assert_eq!((&ready["status"], &ready["reason"]), (&"False".into(), &"NotArmed".into()), "{ready}");
    stage.condition("policybinding", "armed", None, "Ready", "True");
    second.signal("CONT");
    stage.condition("policybinding", "later", None, "Ready", "True");
}

/// Deletes a NetworkPolicy of the binding that another client's finalizer holds; returns its name.
fn held_by_a_finalizer(stage: &Stage) -> String {
    let policies = stage.list("networkpolicies", Some("armed-a"));
    let opens = |one: &&Value| one["spec"]["egress"].as_array().is_some_and(|rules| !rules.is_empty());
    let policy = policies.iter().find(opens).expect("a policy")["metadata"]["name"].as_str().expect("a name");
    let finalizer = r#"{"metadata": {"finalizers": ["example.org/held"]}}"#;
    stage.kubectl(&["patch", "networkpolicy", policy, "-n", "armed-a", "--type=merge", "-p", finalizer]);
    stage.kubectl(&["delete", "networkpolicy", policy, "-n", "armed-a", "--wait=false"]);
    policy.to_owned()
}

/// Until then it is in force and kept, and the binding's status reports it.
fn comes_back_once_it_is_gone(stage: &Stage, policy: &str) {
    let there = || stage.get("networkpolicy", policy, Some("armed-a"));
    let object = stage.condition("policybinding", "armed", None, "Enforced", "False");
    let said = condition(&object, "Enforced").expect("a condition").to_string();
    assert!(said.contains(policy) && said.contains("finalizer"), "{said}");
    let wanted = there().expect("it is held")["spec"].clone();
    let open = r#"[{"op": "add", "path": "/spec/egress/-", "value": {}}]"#;
    stage.kubectl(&["patch", "networkpolicy", policy, "-n", "armed-a", "--type=json", "-p", open]);
    until("the added rule goes", || (there()?["spec"] == wanted).then_some(()));
    let free = r#"{"metadata": {"finalizers": null}}"#;
    stage.kubectl(&["patch", "networkpolicy", policy, "-n", "armed-a", "--type=merge", "-p", free]);
    until("it is made anew", || there()?["metadata"]["deletionTimestamp"].is_null().then_some(()));
}

/// What the configurations ask about.
fn asks(stage: &Stage) -> Vec<Value> {
    hooks(stage).iter().map(|one| one["webhooks"].clone()).collect()
}

/// The authorities that the configurations trust.
fn authorities(stage: &Stage) -> Vec<Value> {
    let hooks = hooks(stage);
    let hooks = hooks.iter().flat_map(|one| one["webhooks"].as_array().expect("webhooks"));
    hooks.map(|hook| hook["clientConfig"]["caBundle"].clone()).collect()
}

/// Makes the configurations trust another authority and miss every request; returns those that they trusted.
fn distrust(stage: &Stage) -> Vec<Value> {
    let trusted = authorities(stage);
    let leaf = std::fs::read(stage.folder.path().join("tls.crt")).expect("a certificate");
    for mut configuration in hooks(stage) {
        for hook in configuration["webhooks"].as_array_mut().expect("webhooks") {
            hook["clientConfig"]["caBundle"] = STANDARD.encode(&leaf).into();
            hook["namespaceSelector"] = json!({ "matchLabels": { "no": "namespace" } });
            hook["matchConditions"] = json!([{ "name": "never", "expression": "false" }]);
            hook["rules"][0]["operations"] = json!(["DELETE"]);
        }
        let text = |at: &str| configuration.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let path = path(text("/kind"), None, text("/metadata/name")).expect("a kind");
        configuration.as_object_mut().expect("an object").remove("kind");
        stage.api().send("PUT", &path, &configuration).expect("another authority");
    }
    assert_ne!(authorities(stage), trusted);
    trusted
}

/// A restart after which one binding can no longer be computed: the earlier configurations are kept and
/// renewed, and other bindings are ready. Once the binding is repaired everything is as before. Returns the
/// operator, still running.
fn a_lost_binding_holds_nothing_up(stage: &Stage, ports: [u16; 2]) -> Operator {
    let bound = |version: &str| {
        let patch = format!(r#"{{"spec": {{"pack": {{"version": "{version}"}}}}}}"#);
        stage.kubectl(&["patch", "policybinding", "armed", "--type=merge", "-p", &patch]);
    };
    let before = asks(stage);
    bound("9.9.9");
    let unheard = "0".repeat(64);
    let unheard = json!({ "status": { "digest": unheard, "bundle": unheard } }).to_string();
    let patch = ["patch", "policybinding", "armed", "--subresource=status", "--type=merge", "-p"];
    stage.kubectl(&[&patch[..], &[&unheard]].concat());
    let trusted = distrust(stage);
    let operator = operator(stage, ports, &[]).leads();
    until("the authority is back", || (authorities(stage) == trusted).then_some(()));
    let object = stage.condition("policybinding", "armed", None, "Enforced", "False");
    assert_eq!(condition(&object, "Enforced").expect("a condition")["reason"], "Lost");
    stage.condition("policybinding", "later", None, "Ready", "True");
    // A pass counts what it left behind when it ends, after the statuses.
    until("it counts as armed", || (operator.metric("armed", "") == 1).then_some(()));
    let both = r#"{"key":"team","operator":"In","values":["a","b"]}"#;
    assert!(before.iter().all(|one| one.to_string().contains(both)), "{before:?}");
    assert_eq!(asks(stage), before, "what was lost is asked about as before");
    bound("1.0.0");
    stage.condition("policybinding", "armed", None, "Ready", "True");
    stage.kubectl(&["delete", "policybinding", "later", "beside"]);
    stage.kubectl(&["delete", "policypack", "later-1.0.0"]);
    operator
}

/// The output of `kubectl bailiwick`, which must succeed.
fn asked(stage: &Stage, args: &[&str]) -> String {
    let mut command = Command::new(programs::find("kubectl-bailiwick").expect("the program is built"));
    let output = command.args(args).env("KUBECONFIG", stage.kubeconfig()).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

fn as_the_owner_asks(stage: &Stage) {
    let floor = || stage.ours("validatingadmissionpolicies,validatingadmissionpolicybindings");
    let whole = floor();
    assert!(asked(stage, &["status"]).contains("webhook: armed"));
    let enforced = |status: &str| stage.condition("policybinding", "armed", None, "Enforced", status);

    // Without an end time the floor stays.
    let said = asked(stage, &["disarm", "--reason", "a test"]);
    assert!(said.contains("until `kubectl bailiwick arm`"), "{said}");
    assert_eq!((hooks(stage).len(), floor()), (0, whole.clone()));
    let ready = stage.condition("policybinding", "armed", None, "Ready", "False");
    let ready = condition(&ready, "Ready").expect("a condition").to_string();
    assert!(ready.contains("Disarmed") && ready.contains("a test (asked by "), "{ready}");
    enforced("True");
    assert!(asked(stage, &["arm"]).contains("armed"));
    assert_eq!(hooks(stage).len(), 2);

    // With an end time it is removed as well, except what protects bindings and namespaces; the status of
    // what judged the pods says so.
    let said = asked(stage, &["disarm", "--reason", "an emergency", "--for", "1h"]);
    assert!(said.contains("come back by themselves"), "{said}");
    until("the floor is withdrawn", || (floor().len() < whole.len()).then_some(()));
    let kept = floor();
    let own = ["/bailiwick-bindings", "/bailiwick-exceptions", "/bailiwick-namespaces-", "/bailiwick-packs"];
    let keeps = |one: &String| own.iter().any(|own| one.contains(own));
    assert!(!kept.is_empty() && kept.iter().all(keeps), "{kept:?}");
    let object = enforced("False");
    assert_eq!(condition(&object, "Enforced").expect("a condition")["reason"], "Disarmed");
    let said = asked(stage, &["status"]);
    assert!(said.contains("disarmed until 2") && said.contains("an emergency"), "{said}");
    let told = || {
        let events = stage.list("events", Some(SYSTEM));
        let about = |one: &&Value| one["regarding"]["name"] == "bailiwick-arming";
        let notes = events.iter().filter(about).map(|one| format!("{} {}", one["reason"], one["note"]));
        let all: Vec<String> = notes.collect();
        all.iter().any(|one| one.contains("Withdrawn") && one.contains("an emergency")).then_some(())
    };
    until("an event tells of it", told);

    // Its time is over: everything is back, without anyone having to remember.
    let past = r#"{"data": {"until": "2026-01-01T00:00:00Z"}}"#;
    stage.kubectl(&["patch", "configmap", "bailiwick-arming", "-n", SYSTEM, "-p", past]);
    until("it is armed again", || (state(stage)? == "armed" && hooks(stage).len() == 2).then_some(()));
    until("the floor is back", || (floor() == whole).then_some(()));
    enforced("True");
    // An administrator without the program.
    let disarm = r#"{"data": {"request": "disarm"}}"#;
    stage.kubectl(&["patch", "configmap", "bailiwick-arming", "-n", SYSTEM, "-p", disarm]);
    until("it is disarmed", || (state(stage)? == "disarmed" && hooks(stage).is_empty()).then_some(()));
}
