//! Keeps namespaces governed, bindings bound, their packs in place and exceptions signed while the webhook is
//! down: the API server asks its own authorizer whether the user has the verb `widen` on the pack.

use bailiwick_policy::policy::LabelSelector;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::emit::{selector, webhooks};

use super::{labels_of, named};

type Pair = (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding);

/// Whether the user may widen what a pack denies; `pack` is CEL.
fn may_widen(pack: &str) -> String {
    format!("authorizer.group('bailiwick.dev').resource('policypacks').name({pack}).check('widen').allowed()")
}

/// A namespace that `governed` selects keeps its labels.
pub(in crate::emit) fn namespaces(governed: &LabelSelector, pack: &str, metadata: ObjectMeta) -> Pair {
    let selects = |of: &str| selector::cel(governed, &labels_of(of));
    let condition = MatchCondition {
        name: "leaves".to_owned(),
        expression: format!("({}) && !({})", selects("oldObject"), selects("object")),
    };
    let validation = Validation {
        expression: may_widen(&selector::cel_string(pack)),
        message: Some(format!(
            "{pack} subjects: without these labels the pack no longer governs the namespace (field metadata.labels); ask somebody with the verb widen on policypacks.bailiwick.dev/{pack}"
        )),
        message_expression: None,
        reason: Some("Forbidden".to_owned()),
    };
    policy(metadata, &webhooks::namespace_rules(), Some(condition), validation)
}

/// Only a user who may widen can delete a binding, or change it so that it may allow more. Follows
/// `crate::cluster::widens`.
pub(in crate::emit) fn bindings(metadata: ObjectMeta) -> Pair {
    let order = "{'Audit': 0, 'Warn': 1, 'Enforce': 2}";
    let stage = |of: &str| format!("{order}[{of}.spec.?stage.orValue('Enforce')]");
    let same = |field: &str| format!("object.spec.?{field} == oldObject.spec.?{field}");
    let tightens = [
        same("pack"),
        same("parameters"),
        same("hold"),
        format!("({} || !has(object.spec.narrowTo))", same("narrowTo")),
        format!("{} >= {}", stage("object"), stage("oldObject")),
    ];
    let expression = format!(
        "(request.operation == 'UPDATE' && {}) || {}",
        tightens.join(" && "),
        may_widen("oldObject.spec.pack.name")
    );
    let validation = Validation {
        expression,
        message: Some("bailiwick widen: this may let through what the pack refuses (field spec); ask somebody with the verb widen on the pack, a resource of policypacks.bailiwick.dev".to_owned()),
        message_expression: None,
        reason: Some("Forbidden".to_owned()),
    };
    let rules = [webhooks::rule("bailiwick.dev", "v1alpha1", &["policybindings"], &["UPDATE", "DELETE"])];
    policy(metadata, &rules, None, validation)
}

/// The annotation of a pack with its lock, which determines the packs it is met with.
const LOCK: &str = crate::cluster::LOCK_ANNOTATION;

/// Only a user who may widen can delete a pack that is in force or that such a pack extends, or change which
/// packs it is met with. Its spec is immutable by its definition. `packs`: as `name@version`, sorted.
pub(in crate::emit) fn packs(packs: &[String], metadata: ObjectMeta) -> Pair {
    let list: Vec<String> = packs.iter().map(|pack| selector::cel_string(pack)).collect();
    let condition = MatchCondition {
        name: "in-force".to_owned(),
        expression: format!("oldObject.spec.pack + '@' + oldObject.spec.version in [{}]", list.join(", ")),
    };
    let lock = |of: &str| format!("{of}.metadata.?annotations[?'{LOCK}']");
    let same = format!("{} == {}", lock("object"), lock("oldObject"));
    let validation = Validation {
        expression: format!("(request.operation == 'UPDATE' && {same}) || {}", may_widen("oldObject.spec.pack")),
        message: Some("bailiwick packs: a binding keeps this pack in force, by itself or by a pack that extends it (field metadata); bind another version first, or ask somebody with the verb widen on the pack, a resource of policypacks.bailiwick.dev".to_owned()),
        message_expression: None,
        reason: Some("Forbidden".to_owned()),
    };
    let rules = [webhooks::rule("bailiwick.dev", "v1alpha1", &["policypacks"], &["UPDATE", "DELETE"])];
    policy(metadata, &rules, Some(condition), validation)
}

/// An exception carries the name of the user who makes it, so that no user approves in another's name. The
/// webhook writes the name if it is running; without it, users must write their own.
pub(in crate::emit) fn exceptions(metadata: ObjectMeta) -> Pair {
    let validation = Validation {
        expression: "object.spec.?approver.orValue('') == request.userInfo.username".to_owned(),
        message: Some("bailiwick exceptions: the approver is not who asks (field spec.approver); write your own user name, which admission does while the webhook is there".to_owned()),
        message_expression: None,
        reason: Some("Forbidden".to_owned()),
    };
    let rules = [webhooks::rule("bailiwick.dev", "v1alpha1", &["policyexceptions"], &["CREATE"])];
    policy(metadata, &rules, None, validation)
}

fn policy(
    metadata: ObjectMeta,
    rules: &[bailiwick_policy::policy::ResourceRule],
    condition: Option<MatchCondition>,
    validation: Validation,
) -> Pair {
    let policy = ValidatingAdmissionPolicy {
        metadata: metadata.clone(),
        spec: Some(ValidatingAdmissionPolicySpec {
            failure_policy: Some("Fail".to_owned()),
            match_conditions: condition.map(|condition| vec![condition]),
            match_constraints: Some(MatchResources {
                match_policy: Some("Equivalent".to_owned()),
                resource_rules: named(rules),
                ..MatchResources::default()
            }),
            validations: Some(vec![validation]),
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
