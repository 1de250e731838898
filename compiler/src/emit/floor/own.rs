//! Keeps namespaces governed, bindings bound, their packs in place, what these extend as it is, and exceptions
//! signed while the webhook is down: the API server asks its own authorizer whether the user has the verb `widen` on the pack.

use bailiwick_policy::policy::LabelSelector;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MatchResources, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec, Validation, Variable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use semver::{Comparator, Op, Version, VersionReq};

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
    policy(metadata, &webhooks::namespace_rules(), Some(condition), vec![validation])
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
    policy(metadata, &rules, None, vec![validation])
}

/// The annotation of a pack with its lock, which determines the packs it is met with.
const LOCK: &str = crate::cluster::LOCK_ANNOTATION;

/// Most characters of a list in an expression: the API server accepts 100,000.
const MAX_LIST: usize = 64_000;

/// Only a user who may widen can delete a pack that is in force or that such a pack extends, or change which
/// packs it is met with. Its spec is immutable by its definition. `packs`: as `name@version`, sorted.
pub(in crate::emit) fn packs(packs: &[String], metadata: ObjectMeta) -> Pair {
    // One policy, however long the list is: it changes in one write.
    let mut lists: Vec<(usize, Vec<&str>)> = vec![(0, Vec::new())];
    for pack in packs {
        let length = pack.len() + 4;
        match lists.last_mut() {
            Some((all, list)) if *all + length <= MAX_LIST => {
                *all += length;
                list.push(pack);
            }
            _ => lists.push((length, vec![pack])),
        }
    }
    let is = "oldObject.spec.pack + '@' + oldObject.spec.version in";
    let variable = |(at, (_, list)): (usize, (usize, Vec<&str>))| Variable {
        name: format!("inForce{at}"),
        expression: format!("{is} {}", selector::cel_list(list)),
    };
    let variables: Vec<Variable> = lists.into_iter().enumerate().map(variable).collect();
    let in_force: Vec<String> = variables.iter().map(|one| format!("variables.{}", one.name)).collect();
    let lock = |of: &str| format!("{of}.metadata.?annotations[?'{LOCK}']");
    let same = format!("{} == {}", lock("object"), lock("oldObject"));
    let validation = Validation {
        expression: format!(
            "!({}) || (request.operation == 'UPDATE' && {same}) || {}",
            in_force.join(" || "),
            may_widen("oldObject.spec.pack")
        ),
        message: Some("bailiwick packs: a binding keeps this pack in force, by itself or by a pack that extends it (field metadata); bind another version first, or ask somebody with the verb widen on the pack, a resource of policypacks.bailiwick.dev".to_owned()),
        message_expression: None,
        reason: Some("Forbidden".to_owned()),
    };
    let rules = [webhooks::rule("bailiwick.dev", "v1alpha1", &["policypacks"], &["UPDATE", "DELETE"])];
    let (mut policy, binding) = policy(metadata, &rules, None, vec![validation]);
    if let Some(spec) = &mut policy.spec {
        spec.variables = Some(variables);
    }
    (policy, binding)
}

/// Versions of a pack that a policy in force would take as soon as they are published: those that meet a
/// requirement and are newer than the one in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::emit) struct Renewal {
    /// The pack that extends it, on which the user needs the verb.
    pub(in crate::emit) by: String,
    /// The version in force.
    pub(in crate::emit) version: Version,
    /// What a version must meet to be taken, as CEL over `variables.version`.
    pub(in crate::emit) meets: String,
}

/// Most questions to the authorizer in one policy: each costs 350,000 of the 10,000,000 that the API server
/// spends on a policy, and beyond that it denies whoever asks.
/// <https://github.com/kubernetes/apiserver/blob/master/pkg/cel/library/cost.go>
pub(in crate::emit) const MAX_RENEWALS: usize = 20;

/// Only a user who may widen the packs that extend `pack` can publish a version that they would take. Follows
/// what the webhook asks; a version that the API server cannot read counts as taken.
pub(in crate::emit) fn renewals(pack: &str, renewals: &[Renewal], metadata: ObjectMeta) -> Pair {
    let condition = MatchCondition {
        name: "extended".to_owned(),
        expression: format!("object.spec.pack == {}", selector::cel_string(pack)),
    };
    let validations = renewals.iter().map(|one| {
        let version = selector::cel_string(&one.version.to_string());
        let newer = format!("semver(variables.version).isGreaterThan(semver({version}))");
        Validation {
            expression: format!(
                "(isSemver(variables.version) && !({newer} && {})) || {}",
                one.meets,
                may_widen(&selector::cel_string(&one.by))
            ),
            message: Some(format!(
                "bailiwick extends: `{}` is in force and would take this version of {pack} at once (field spec.version); give it a lock, or ask somebody with the verb widen on policypacks.bailiwick.dev/{}",
                one.by, one.by
            )),
            message_expression: None,
            reason: Some("Forbidden".to_owned()),
        }
    });
    let rules = [webhooks::rule("bailiwick.dev", "v1alpha1", &["policypacks"], &["CREATE"])];
    let (mut policy, binding) = policy(metadata, &rules, Some(condition), validations.collect());
    if let Some(spec) = &mut policy.spec {
        let version = Variable { name: "version".to_owned(), expression: "object.spec.version".to_owned() };
        spec.variables = Some(vec![version]);
    }
    (policy, binding)
}

/// Whether `variables.version` meets a requirement, as CEL. Never narrower than the requirement; wider only
/// for a pre-release where the requirement names one.
pub(in crate::emit) fn meets(requirement: &VersionReq) -> String {
    let version = |at: (u64, u64, u64)| format!("semver('{}.{}.{}')", at.0, at.1, at.2);
    let mut terms = Vec::new();
    if requirement.comparators.iter().all(|one| one.pre.is_empty()) {
        terms.push("!variables.version.contains('-')".to_owned());
    }
    for comparator in &requirement.comparators {
        if let Some(below) = below(comparator) {
            terms.push(format!("semver(variables.version).isLessThan({})", version(below)));
        }
    }
    if terms.is_empty() { "true".to_owned() } else { terms.join(" && ") }
}

/// The lowest version that is too high for a comparator.
/// <https://docs.rs/semver/latest/semver/enum.Op.html>
fn below(comparator: &Comparator) -> Option<(u64, u64, u64)> {
    let Comparator { op, major, minor, patch, .. } = comparator;
    let next = |n: u64| n.saturating_add(1);
    let after = match (minor, patch) {
        (Some(minor), Some(patch)) => (*major, *minor, next(*patch)),
        (Some(minor), None) => (*major, next(*minor), 0),
        (None, _) => (next(*major), 0, 0),
    };
    match op {
        Op::Greater | Op::GreaterEq => None,
        // Below 2.0.0 are its pre-releases; at 2.0.0-rc.1, a requirement of 2.0.0-rc.2 still holds.
        Op::Less => Some((*major, minor.unwrap_or(0), patch.unwrap_or(0))),
        Op::Exact | Op::LessEq | Op::Wildcard => Some(after),
        Op::Tilde => Some(minor.map_or((next(*major), 0, 0), |minor| (*major, next(minor), 0))),
        Op::Caret => Some(match (major, minor, patch) {
            (0, Some(0), Some(patch)) => (0, 0, next(*patch)),
            (0, Some(minor), _) => (0, next(*minor), 0),
            _ => (next(*major), 0, 0),
        }),
        _ => None,
    }
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
    policy(metadata, &rules, None, vec![validation])
}

fn policy(
    metadata: ObjectMeta,
    rules: &[bailiwick_policy::policy::ResourceRule],
    condition: Option<MatchCondition>,
    validations: Vec<Validation>,
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
            validations: Some(validations),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_version_that_meets_a_requirement_is_left_out() {
        let triples = || (0..64_u64).map(|at| (at / 16, at / 4 % 4, at % 4));
        let versions: Vec<Version> = triples()
            .flat_map(|(a, b, c)| {
                ["", "-rc.1", "-rc.2"].map(|pre| format!("{a}.{b}.{c}{pre}").parse().unwrap())
            })
            .collect();
        let (mut met, mut wider) = (0, 0);
        for operator in ["=", ">", ">=", "<", "<=", "~", "^", ""] {
            for (a, b, c) in triples() {
                for text in [
                    format!("{a}"),
                    format!("{a}.{b}"),
                    format!("{a}.{b}.{c}"),
                    format!("{a}.{b}.{c}-rc.1"),
                    format!(">=1, {operator}{a}.{b}"),
                ] {
                    let requirement: VersionReq =
                        format!("{operator}{text}").replace("<>", ">").parse().unwrap_or(VersionReq::STAR);
                    let exact = requirement.comparators.iter().all(|one| one.pre.is_empty());
                    for version in &versions {
                        let may = (version.pre.is_empty() || !exact)
                            && requirement
                                .comparators
                                .iter()
                                .filter_map(below)
                                .all(|(a, b, c)| *version < Version::new(a, b, c));
                        assert!(may || !requirement.matches(version), "{requirement} {version}");
                        met += usize::from(requirement.matches(version));
                        wider += usize::from(may && !requirement.matches(version));
                    }
                }
            }
        }
        assert!(met > 10_000 && wider > 0, "{met} {wider}");
    }

    #[test]
    fn a_requirement_is_an_upper_bound_without_pre_releases() {
        for (requirement, expected) in [
            (
                "^1.2",
                "!variables.version.contains('-') && semver(variables.version).isLessThan(semver('2.0.0'))",
            ),
            (
                ">=1.2, <1.4.5",
                "!variables.version.contains('-') && semver(variables.version).isLessThan(semver('1.4.5'))",
            ),
            ("^1.2.0-rc.1", "semver(variables.version).isLessThan(semver('2.0.0'))"),
            ("*", "!variables.version.contains('-')"),
        ] {
            assert_eq!(meets(&requirement.parse().unwrap()), expected, "{requirement}");
        }
    }

    #[test]
    fn a_list_of_packs_is_cut_before_it_is_too_long_for_one_expression() {
        let many: Vec<String> = (0..3_000).map(|at| format!("{at:0>63}@1.0.0")).collect();
        let (policy, _) = packs(&many, ObjectMeta::default());
        let spec = policy.spec.unwrap();
        let variables = spec.variables.unwrap();
        assert!(variables.len() > 3);
        for variable in &variables {
            assert!(variable.expression.len() < 100_000);
            assert!(spec.validations.as_ref().unwrap()[0].expression.contains(&variable.name));
        }
        let listed = |pack: &String| variables.iter().filter(|one| one.expression.contains(pack)).count();
        assert!(many.iter().all(|pack| listed(pack) == 1));
    }
}
