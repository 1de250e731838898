//! What no policy of one pack can say: that some binding selects each pod of a governed namespace, and that
//! the label of a pod's cell is its own. One policy covers the namespaces that the same bindings reach.
//!
//! The webhook enforces the same, after writing the label; this policy enforces it while the webhook is down.
//! A pod without the label is admitted, since no NetworkPolicy that allows anything selects it. What binds a
//! pod to a node, this policy alone judges (see [`labelling`]).

use bailiwick_policy::admission::CELL_LABEL;
use bailiwick_policy::policy::LabelSelector;
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self as meta, ObjectMeta};

use crate::emit::selector::{self, NAMESPACE_NAME};
use crate::emit::webhooks;
use crate::reach::labels::OF_NODES;

use super::{labels_of, named};

/// The bindings that reach some namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emit) struct Members {
    /// The namespaces.
    pub(in crate::emit) namespaces: Vec<String>,
    /// Which pods each binding selects, in the order of the bindings.
    pub(in crate::emit) pods: Vec<LabelSelector>,
    /// Each cell that is possible here: its name, and which of `pods` select its pods.
    pub(in crate::emit) cells: Vec<(String, Vec<usize>)>,
    /// Whether a pod that no binding selects is denied; names the pack that says so.
    pub(in crate::emit) denies: Option<String>,
}

/// The policy and its binding.
pub(in crate::emit) fn closed(
    members: &Members,
    metadata: ObjectMeta,
) -> (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding) {
    let label = |of: &str| format!("{of}.metadata.?labels[?'{CELL_LABEL}'].orValue('')");
    let mut variables = selects(&members.pods);
    variables.extend([
        variable("cell", label("object")),
        variable("oldCell", format!("oldObject == null ? '' : {}", label("oldObject"))),
        variable("own", own(&members.cells, members.pods.len())),
    ]);
    let mut validations = Vec::new();
    if let Some(pack) = &members.denies {
        validations.push(validation(
            of_pods("variables.selects.exists(s, s) || (request.operation == 'UPDATE' && !variables.oldSelects.exists(s, s))"),
            format!("{pack} subjects: no policy selects this pod, and the namespace holds governed pods only (field metadata.labels); give the pod the labels that the pack's subject selects, or use another namespace"),
        ));
    }
    validations.push(validation(
        // The label of a governed pod stays. One that is added, with the pod or later, or brought along by a
        // pod that was not governed, must be the pod's own.
        of_pods("variables.oldCell != '' && variables.oldSelects.exists(s, s) ? variables.cell == variables.oldCell : variables.cell in ['', variables.own] || (variables.cell == variables.oldCell && !variables.selects.exists(s, s))"),
        format!("subjects: label {CELL_LABEL} is not the pod's own (field metadata.labels); leave the label alone, admission writes it"),
    ));
    let (check, message) = labelling();
    validations.push(validation(format!("request.kind.kind != '{BINDING}' || {check}"), message));
    let policy = ValidatingAdmissionPolicy {
        metadata: metadata.clone(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_constraints: Some(MatchResources {
                match_policy: Some("Equivalent".to_owned()),
                namespace_selector: Some(meta::LabelSelector {
                    match_expressions: Some(vec![meta::LabelSelectorRequirement {
                        key: NAMESPACE_NAME.to_owned(),
                        operator: "In".to_owned(),
                        values: Some(members.namespaces.clone()),
                    }]),
                    match_labels: None,
                }),
                resource_rules: named(&[webhooks::label_rules(), webhooks::binding_rules()].concat()),
                ..MatchResources::default()
            }),
            validations: Some(validations),
            variables: Some(variables),
            ..ValidatingAdmissionPolicySpec::default()
        }),
        status: None,
    };
    let binding = ValidatingAdmissionPolicyBinding {
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: metadata.name.clone().unwrap_or_default(),
            validation_actions: vec!["Deny".to_owned()],
            ..ValidatingAdmissionPolicyBindingSpec::default()
        },
        metadata,
    };
    (policy, binding)
}

fn variable(name: &str, expression: String) -> Variable {
    Variable { name: name.to_owned(), expression }
}

/// Which bindings select the pod, and which selected it before. Each has a variable of its own, since the API
/// server limits the length of one expression, and selectors may be long. Of the longest ones twenty fit into
/// what etcd stores as one object; beyond that, all bindings of the namespaces say `CannotApply`.
fn selects(pods: &[LabelSelector]) -> Vec<Variable> {
    let own = pods.iter().enumerate().flat_map(|(at, pods)| {
        let of = |object| selector::cel(pods, &labels_of(object));
        [
            variable(&format!("selects{at}"), of("object")),
            variable(&format!("oldSelects{at}"), format!("oldObject != null && ({})", of("oldObject"))),
        ]
    });
    let mut all: Vec<Variable> = own.collect();
    for name in ["selects", "oldSelects"] {
        let each: Vec<String> = (0..pods.len()).map(|at| format!("variables.{name}{at}")).collect();
        all.push(variable(name, format!("[{}]", each.join(", "))));
    }
    all
}

/// The kind of the objects that bind pods to nodes.
const BINDING: &str = "Binding";

/// A check of pods alone, in a policy that is asked about bindings too.
fn of_pods(check: &str) -> String {
    format!("request.kind.kind == '{BINDING}' || ({check})")
}

/// That binding a pod to a node does not label it. The API server copies the labels of the binding onto the
/// pod, over those that it has, and no update of the pod is ever seen. Allowed are the labels that the API
/// server itself copies from the node, by which no subject may select pods.
/// <https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/4742-node-topology-downward-api>
///
/// The check and its message.
pub(super) fn labelling() -> (String, String) {
    let check = format!("{}.all(key, key.startsWith('{OF_NODES}'))", labels_of("object"));
    let message = format!(
        "subjects: binding a pod to a node sets no label but those under {OF_NODES} (field metadata.labels); label the pod before it is created"
    );
    (check, message)
}

fn validation(expression: String, message: String) -> Validation {
    Validation {
        expression,
        message: Some(message),
        message_expression: None,
        reason: Some("Forbidden".to_owned()),
    }
}

/// The cell of the pod, by the bindings that select it; empty if there is none. A table and not a condition
/// within a condition: the API server's parser accepts no more than some 120 of those
/// (<https://github.com/google/cel-go/blob/master/parser/parser.go>, recursion depth 250).
fn own(cells: &[(String, Vec<usize>)], bindings: usize) -> String {
    let word = |members: &[usize]| -> String {
        (0..bindings).map(|at| if members.contains(&at) { '1' } else { '0' }).collect()
    };
    let rows =
        cells.iter().map(|(name, members)| format!("'{}': {}", word(members), selector::cel_string(name)));
    let table = rows.collect::<Vec<_>>().join(", ");
    format!("{{{table}}}[?variables.selects.map(s, s ? '1' : '0').join()].orValue('')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_cells_as_there_may_be_do_not_nest() {
        let members = |at: usize| (0..9).filter(|bit| (at >> bit) & 1 == 1).collect();
        let cells: Vec<_> =
            (1..=crate::cluster::MAX_CELLS).map(|at| (format!("cell{at}"), members(at))).collect();
        let expression = own(&cells, 9);
        let mut depth = 0_usize;
        let deepest = expression.chars().map(|c| {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            depth
        });
        assert!(deepest.max() < Some(10), "the API server's parser goes 250 deep");
        assert!(expression.len() < 100_000 && expression.contains("'110000000': 'cell3'"), "{expression}");
    }
}
