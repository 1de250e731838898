//! What the API server does not take: what stands stays, whether its change or its successor is refused.

use serde_json::{Value, json};

use crate::packs::{binding, pack};
use crate::stage::{Stage, condition, until};

/// Together, the names of their objects are more than the API server takes in one expression.
const EXCEPTIONS: usize = 12;

/// A pack with a rule that exceptions may name.
fn with_rule(version: &str) -> String {
    let rule = "  admission:
    rules:
    - name: small
      exceptable: true
      match: {resources: [{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
      validations: [{expression: \"size(object.spec.containers) < 3\", message: \"too many\"}]
";
    pack("refused", version, "192.0.2.0/28") + rule
}

fn exception(stage: &Stage, at: usize) {
    let user = stage.kubectl(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
    let ends = std::process::Command::new("date").args(["-u", "-d", "+1day", "+%FT%TZ"]).output();
    let ends = String::from_utf8(ends.expect("date runs").stdout).expect("a date");
    let long = |word: &str, length: usize| word.repeat(length);
    let object = |one: usize| json!({ "resource": "pods", "namespace": long("n", 63), "name": format!("{at}-{one}-{}", long("p", 240)) });
    let objects: Vec<Value> = (0..32).map(object).collect();
    let exception = json!({
        "apiVersion": "bailiwick.dev/v1alpha1", "kind": "PolicyException",
        "metadata": { "name": format!("refused-{at}"), "namespace": "bailiwick-system" },
        "spec": {
            "pack": "refused", "rule": "small", "objects": objects, "reason": "a test",
            "expires": ends.trim(), "approver": user,
        },
    });
    stage.apply(&exception.to_string());
}

/// The admission policy with the rule, by name and `uid`, if it is bound: it enforces nothing without a binding.
fn floor(stage: &Stage) -> Vec<(String, String)> {
    let all = stage.list("validatingadmissionpolicies", None);
    let bindings = stage.list("validatingadmissionpolicybindings", None);
    let has_it = |one: &&Value| {
        let bound = bindings.iter().any(|binding| binding["spec"]["policyName"] == one["metadata"]["name"]);
        bound && one["spec"]["validations"].to_string().contains("too many")
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter()
        .filter(has_it)
        .map(|one| (text(&one["metadata"]["name"]), text(&one["metadata"]["uid"])))
        .collect()
}

#[test]
fn what_the_api_server_refuses_takes_nothing_away() {
    let stage = Stage::new();
    let operator = stage.operator(&[]).leads();
    stage.namespace("refused-a", "refused");
    stage.apply(&with_rule("1.0.0"));
    stage.apply(&with_rule("1.0.1"));
    stage.apply(&binding("refused", "refused", "1.0.0", ""));
    stage.condition("policybinding", "refused", None, "Enforced", "True");
    let before = floor(&stage);
    assert_eq!(before.len(), 1, "{before:?}");
    let refused = || {
        let object = stage.get("policybinding", "refused", None)?;
        let enforced = condition(&object, "Enforced")?.clone();
        (enforced["reason"] == "CannotApply").then(|| enforced["message"].to_string())
    };
    // The policy with all of them is refused under its name: it could only be made anew, and is not.
    (0..EXCEPTIONS).for_each(|at| exception(&stage, at));
    let why = until("the status says so", refused);
    assert!(why.contains("ValidatingAdmissionPolicy") && why.contains("exceeds limit"), "{why}");
    assert_eq!(floor(&stage), before);
    // So is that of the next version, which has a name of its own: the one before stays until it stands.
    stage.apply(&binding("refused", "refused", "1.0.1", ""));
    until("the new version is in force", || {
        let object = stage.get("policybinding", "refused", None)?;
        (object["status"]["version"] == "1.0.1").then_some(())
    });
    until("its policy is refused", refused);
    operator.passes(2, |round| stage.nudge(&format!("refused-{round}")));
    assert_eq!(floor(&stage), before);
    stage.kubectl(&["delete", "policyexceptions", "--all", "-n", "bailiwick-system"]);
    stage.condition("policybinding", "refused", None, "Enforced", "True");
    let after = until("one follows the other", || Some(floor(&stage)).filter(|floor| floor.len() == 1));
    assert_ne!(after, before);
    operator.stop();
}
