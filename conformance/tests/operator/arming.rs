//! When the webhook's configurations are registered, and when not: with two real webhooks, and as the cluster's owner asks.

use std::process::Command;

use bailiwick_conformance::programs;

use crate::packs::{binding, pack};
use crate::stage::{SYSTEM, Stage, condition, until};
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
    let b = Webhook::start(&stage, ports[1]);
    until("it is armed", || (state(&stage)? == "armed").then_some(()));
    stage.condition("policybinding", "armed", None, "Ready", "True");
    let there = hooks(&stage);
    assert_eq!(there.len(), 2);
    for hook in there.iter().flat_map(|one| one["webhooks"].as_array().expect("webhooks")) {
        assert_eq!(hook["failurePolicy"], "Fail");
        assert!(hook["clientConfig"]["caBundle"].as_str().is_some_and(|bundle| !bundle.is_empty()));
    }

    ready_means_that_enough_replicas_decide_by_it(&stage, &b);
    // A replica that is away changes nothing, and an edit is drift.
    drop(b);
    let name = there[0]["metadata"]["name"].as_str().expect("a name");
    let kind = there[0]["kind"].as_str().expect("a kind");
    let ignore = r#"[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]"#;
    stage.kubectl(&["patch", kind, name, "--type=json", "-p", ignore]);
    until("it fails closed again", || {
        let hook = stage.get(kind, name, None)?;
        (hook["webhooks"][0]["failurePolicy"] == "Fail").then_some(())
    });
    // Nor does a successor that cannot see two replicas take them away.
    first.stop();
    let second = operator(&stage, ports, &[]).leads();
    second.passes(2, nudge);
    assert_eq!(hooks(&stage).len(), 2);

    // Deleted by hand: the way out. It stays away, under this operator and the next.
    let _b = Webhook::start(&stage, ports[1]);
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

/// The second replica sleeps: what is bound meanwhile is not ready, although the webhook is armed by what was bound before.
fn ready_means_that_enough_replicas_decide_by_it(stage: &Stage, second: &Webhook) {
    second.signal("STOP");
    stage.apply(&pack("later", "1.0.0", "192.0.2.0/28"));
    stage.apply(&binding("later", "later", "1.0.0", ""));
    let object = stage.condition("policybinding", "later", None, "Enforced", "True");
    let ready = condition(&object, "Ready").expect("a condition");
    assert_eq!((&ready["status"], &ready["reason"]), (&"False".into(), &"NotArmed".into()), "{ready}");
    stage.condition("policybinding", "armed", None, "Ready", "True");
    second.signal("CONT");
    stage.condition("policybinding", "later", None, "Ready", "True");
    stage.kubectl(&["delete", "policybinding", "later"]);
    stage.kubectl(&["delete", "policypack", "later-1.0.0"]);
}

/// What `kubectl bailiwick` says; it must succeed.
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

    // Without a time the floor stays.
    let said = asked(stage, &["disarm", "--reason", "a test"]);
    assert!(said.contains("until `kubectl bailiwick arm`"), "{said}");
    assert_eq!((hooks(stage).len(), floor()), (0, whole.clone()));
    let ready = stage.condition("policybinding", "armed", None, "Ready", "False");
    let ready = condition(&ready, "Ready").expect("a condition").to_string();
    assert!(ready.contains("Disarmed") && ready.contains("a test (asked by "), "{ready}");
    enforced("True");
    assert!(asked(stage, &["arm"]).contains("armed"));
    assert_eq!(hooks(stage).len(), 2);

    // With a time it goes as well, but for what keeps bindings and namespaces; what judged the pods says that it does not.
    let said = asked(stage, &["disarm", "--reason", "an emergency", "--for", "1h"]);
    assert!(said.contains("come back by themselves"), "{said}");
    until("the floor is withdrawn", || (floor().len() < whole.len()).then_some(()));
    let kept = floor();
    let own = ["/bailiwick-bindings", "/bailiwick-exceptions", "/bailiwick-namespaces-"];
    let keeps = |one: &String| own.iter().any(|own| one.contains(own));
    assert!(!kept.is_empty() && kept.iter().all(keeps), "{kept:?}");
    let object = enforced("False");
    assert_eq!(condition(&object, "Enforced").expect("a condition")["reason"], "Disarmed");
    let said = asked(stage, &["status"]);
    assert!(said.contains("disarmed until 2") && said.contains("an emergency"), "{said}");
    let told = || {
        let events = stage.list("events", Some(SYSTEM));
        let about = |one: &&serde_json::Value| one["regarding"]["name"] == "bailiwick-arming";
        let notes = events.iter().filter(about).map(|one| format!("{} {}", one["reason"], one["note"]));
        let all: Vec<String> = notes.collect();
        all.iter().any(|one| one.contains("Withdrawn") && one.contains("an emergency")).then_some(())
    };
    until("an event tells of it", told);

    // Its time is over: everything is back, and nobody had to remember.
    let past = r#"{"data": {"until": "2026-01-01T00:00:00Z"}}"#;
    stage.kubectl(&["patch", "configmap", "bailiwick-arming", "-n", SYSTEM, "-p", past]);
    until("it is armed again", || (state(stage)? == "armed" && hooks(stage).len() == 2).then_some(()));
    until("the floor is back", || (floor() == whole).then_some(()));
    enforced("True");
    // Somebody who has no program.
    let disarm = r#"{"data": {"request": "disarm"}}"#;
    stage.kubectl(&["patch", "configmap", "bailiwick-arming", "-n", SYSTEM, "-p", disarm]);
    until("it is disarmed", || (state(stage)? == "disarmed" && hooks(stage).is_empty()).then_some(()));
}
