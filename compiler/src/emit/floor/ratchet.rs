//! The ratchet on the floor: where a violation of the old object excuses that of the new one. Follows the
//! webhook's (`admission::ratchet`), which asks for the same.
//!
//! An excuse needs that the old object was judged: the policy governed it, the rule is asked about creations,
//! and its selector and conditions took in the old object. Otherwise what is refused at creation could be
//! brought about by an update that first makes the rule apply.

use bailiwick_policy::admission::{WAYS_INTO_A_POD, WRITTEN_WHEN_FINALIZED, takes_in_pods};
use bailiwick_policy::policy::{LabelSelector, Match, ResourceRule};

use crate::emit::selector;

use super::labels_of;

/// The variable that says whether the policy governed the old object.
const WAS_GOVERNED: &str = "wasGoverned";

/// Whether a policy over these pods governed the old pod: a variable and its expression. `None`: it governs
/// every pod.
pub(super) fn was_governed(pods: &LabelSelector) -> Option<(String, String)> {
    let is_bounded = pods != &LabelSelector::default();
    is_bounded.then(|| (WAS_GOVERNED.to_owned(), selector::cel(pods, &labels_of("oldObject"))))
}

/// True on an update where everything in `was` held before.
pub(super) fn on_update(was: &[String]) -> String {
    let mut terms = vec!["request.operation == 'UPDATE'".to_owned()];
    terms.extend_from_slice(was);
    terms.join(" && ")
}

/// Whether the API server asked the rule when it created the object that is updated now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Created {
    Always,
    Never,
    /// Where this holds, as CEL.
    Where(String),
}

/// Whether a rule that matches these requests was asked about the creation of an object that it now sees
/// updated.
pub(super) fn created(matches: &Match) -> Created {
    let asks = |operation: &'static str| {
        move |rule: &&ResourceRule| rule.operations.iter().any(|one| one == "*" || one == operation)
    };
    let creations: Vec<&ResourceRule> = matches.resources.iter().filter(asks("CREATE")).collect();
    if creations.is_empty() {
        return Created::Never;
    }
    let left_out: Vec<&ResourceRule> = matches.exclude_resources.iter().filter(asks("CREATE")).collect();
    let is_seen = |updated: &ResourceRule| creations.iter().any(|created| covers(created, updated));
    if left_out.is_empty() && matches.resources.iter().filter(asks("UPDATE")).all(is_seen) {
        return Created::Always;
    }
    let any = |rules: &[&ResourceRule]| {
        let terms: Vec<String> = rules.iter().map(|rule| format!("({})", within(rule))).collect();
        terms.join(" || ")
    };
    Created::Where(match left_out.as_slice() {
        [] => any(&creations),
        left_out => format!("({}) && !({})", any(&creations), any(left_out)),
    })
}

/// Whether every object that `updated` names was created by a request that `created` names. May say no too
/// often.
fn covers(created: &ResourceRule, updated: &ResourceRule) -> bool {
    let all = |of: &[String], among: &[String]| {
        among.iter().any(|one| one == "*") || of.iter().all(|one| among.contains(one))
    };
    let core = updated.api_groups.iter().all(String::is_empty);
    let named = |pattern: &String| {
        let way = pattern
            .split_once('/')
            .is_some_and(|(resource, way)| core && resource == "pods" && WAYS_INTO_A_POD.contains(&way));
        let is_of_pods = || takes_in_pods(std::slice::from_ref(created), "", "CREATE");
        created.resources.contains(pattern) || (way && is_of_pods())
    };
    all(&updated.api_groups, &created.api_groups)
        && all(&updated.api_versions, &created.api_versions)
        && updated.resources.iter().all(named)
}

/// That a resource rule names the creation of the object, as CEL; follows `Coordinates::within` of the
/// decision. An absent subresource is no member of the request.
fn within(rule: &ResourceRule) -> String {
    let ways = selector::cel_list(WAYS_INTO_A_POD);
    let sub = format!(
        "(request.resource.group == '' && request.resource.resource == 'pods' && request.?subResource.orValue('') in {ways} ? '' : request.?subResource.orValue(''))"
    );
    let one_of = |list: &[String], of: &str| {
        let listed = || format!("{of} in {}", selector::cel_list(list.iter().map(String::as_str)));
        if list.iter().any(|one| one == "*") { "true".to_owned() } else { listed() }
    };
    let named = |pattern: &String| {
        let (resource, way) = pattern.split_once('/').unwrap_or((pattern, ""));
        let equal = |of: &str, wanted: &str| match wanted {
            "*" => "true".to_owned(),
            wanted => format!("{of} == {}", selector::cel_string(wanted)),
        };
        format!("({} && {})", equal("request.resource.resource", resource), equal(&sub, way))
    };
    let resources: Vec<String> = rule.resources.iter().map(named).collect();
    format!(
        "{} && {} && ({})",
        one_of(&rule.api_groups, "request.resource.group"),
        one_of(&rule.api_versions, "request.resource.version"),
        resources.join(" || ")
    )
}

/// Whether a violation of the old object excuses one of the new.
pub(super) enum Excuse {
    Never,
    /// On an update where all these held.
    Before {
        was: Vec<String>,
        /// Whether the rule was asked about the creation of every object that it sees updated.
        always: bool,
    },
}

/// The variable that says whether an update only finalizes an object.
pub(super) const WINDS_DOWN: &str = "windsDown";

/// Whether an update of an object that is being deleted changes nothing but its finalizers, as CEL; follows
/// `ratchet::winds_down` of the decision. `dyn`, since the members of an object with a known type cannot be
/// listed.
pub(super) fn winds_down() -> String {
    let same = |of: &str, left_out: &[&str]| {
        let (new, old) = (format!("dyn(object{of})"), format!("dyn(oldObject{of})"));
        let left_out = selector::cel_list(left_out.iter().copied());
        format!(
            "{new}.all(k, k in {left_out} || (k in {old} && {new}[k] == {old}[k])) && {old}.all(k, k in {left_out} || k in {new})"
        )
    };
    format!(
        "request.operation == 'UPDATE' && has(oldObject.metadata.deletionTimestamp) && {} && {}",
        same("", &["metadata"]),
        same(".metadata", &WRITTEN_WHEN_FINALIZED)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(group: &str, resources: &[&str], operations: &[&str]) -> ResourceRule {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        ResourceRule {
            api_groups: owned(&[group]),
            api_versions: owned(&["v1"]),
            resources: owned(resources),
            operations: owned(operations),
        }
    }

    #[test]
    fn an_object_was_judged_at_creation_if_the_rule_names_that() {
        let all = &["CREATE", "UPDATE"];
        let pods = on("", &["pods"], all);
        let ways = on("", &["pods/ephemeralcontainers", "pods/resize"], &["UPDATE"]);
        let always = |resources: Vec<ResourceRule>, exclude_resources: Vec<ResourceRule>| {
            created(&Match { resources, exclude_resources, ..Match::default() })
        };
        for resources in [
            vec![pods.clone()],
            vec![pods.clone(), ways.clone()],
            vec![on("*", &["*"], &["*"])],
            vec![on("", &["services"], &["CREATE"]), on("", &["services"], &["UPDATE"])],
        ] {
            assert_eq!(always(resources.clone(), Vec::new()), Created::Always, "{resources:?}");
        }
        for resources in [vec![on("", &["services"], &["UPDATE"])], vec![ways.clone()]] {
            assert_eq!(always(resources.clone(), Vec::new()), Created::Never, "{resources:?}");
        }
        for (resources, excluded) in [
            (vec![pods.clone(), on("", &["services"], &["UPDATE"])], vec![]),
            (vec![pods.clone(), on("apps", &["pods/resize"], &["UPDATE"])], vec![]),
            (vec![on("", &["pods/*"], all)], vec![on("", &["pods"], &["CREATE"])]),
            (vec![on("", &["services"], all), ways], vec![]),
        ] {
            let Created::Where(expression) = always(resources.clone(), excluded) else {
                panic!("{resources:?}")
            };
            assert!(expression.contains("request.resource.resource == "), "{expression}");
        }
    }
}
