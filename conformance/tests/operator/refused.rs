//! What cannot be written: what stands stays until its successor does.

use serde_json::Value;

use crate::packs::{binding, pack};
use crate::stage::{Stage, condition, until};

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

/// Binds a version, and returns its policy once that alone stands.
fn follows(stage: &Stage, version: &str, before: &[(String, String)]) -> Vec<(String, String)> {
    stage.apply(&binding("refused", "refused", version, ""));
    stage.condition("policybinding", "refused", None, "Enforced", "True");
    until("one follows the other", || Some(floor(stage)).filter(|floor| floor.len() == 1 && floor != before))
}

/// Who writes everything, but admission policies only with a binding of its own; who reads and deletes them all the same.
const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: limited}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: [get, list, watch, delete]}
- {apiGroups: ["", apps, bailiwick.dev, coordination.k8s.io, events.k8s.io, networking.k8s.io, node.k8s.io], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: limited-admission}
rules:
- {apiGroups: [admissionregistration.k8s.io], resources: ["*"], verbs: ["*"]}
"#;

fn right(role: &str) -> String {
    format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: {role}}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}, \
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: limited}}]}}"
    )
}

#[test]
fn a_successor_that_cannot_be_written_takes_nothing_away() {
    let stage = Stage::new();
    RIGHTS.split("---\n").for_each(|role| stage.apply(role));
    ["limited", "limited-admission"].map(right).iter().for_each(|right| stage.apply(right));
    let operator = stage.operator_as("limited").leads();
    stage.namespace("refused-a", "refused");
    stage.apply(&with_rule("1.0.0"));
    stage.apply(&with_rule("1.0.1"));
    let before = follows(&stage, "1.0.0", &[]);
    stage.kubectl(&["delete", "clusterrolebinding", "limited-admission"]);
    stage.apply(&binding("refused", "refused", "1.0.1", ""));
    let why = until("the status says so", || {
        let object = stage.get("policybinding", "refused", None)?;
        let enforced = condition(&object, "Enforced")?.clone();
        let is_so = object["status"]["version"] == "1.0.1" && enforced["reason"] == "CannotApply";
        is_so.then(|| enforced["message"].to_string())
    });
    assert!(why.contains("ValidatingAdmissionPolicy") && why.contains("limited"), "{why}");
    operator.passes(2, |round| stage.nudge(&format!("refused-{round}")));
    assert_eq!(floor(&stage), before);
    stage.apply(&right("limited-admission"));
    follows(&stage, "1.0.1", &before);
    operator.stop();
}
