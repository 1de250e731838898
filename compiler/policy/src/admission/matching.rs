//! Which rules apply: resource rules, selectors, and the index that keeps rules that do not match free of
//! cost.
//!
//! Conditions are not here: they are expressions (see `rules`).

use std::collections::HashMap;

use crate::policy::{AdmissionRule, ResourceRule};
use crate::same::same_text;

use super::request::AdmissionRequest;
use super::selector::{Labels, selects};

/// The coordinates that a resource rule is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coordinates<'c> {
    pub(super) group: &'c str,
    pub(super) version: &'c str,
    pub(super) resource: &'c str,
    pub(super) sub_resource: &'c str,
    pub(super) operation: &'c str,
}

/// The operation on a template's pods: they will be created. A rule that covers this operation on pods also
/// judges templates.
pub(super) const POD_CREATION: Coordinates<'static> =
    Coordinates { group: "", version: "v1", resource: "pods", sub_resource: "", operation: "CREATE" };

/// Subresources through which a pod that exists is changed: their objects are pods.
pub const WAYS_INTO_A_POD: [&str; 3] = ["ephemeralcontainers", "resize", "status"];

impl<'c> Coordinates<'c> {
    pub(super) fn of(request: &'c AdmissionRequest<'_>) -> Self {
        Self {
            group: &request.resource.group,
            version: &request.resource.version,
            resource: &request.resource.resource,
            sub_resource: &request.sub_resource,
            operation: request.operation.name(),
        }
    }

    /// Of the request that created the object. A pod that is changed through a subresource was created as a pod.
    pub(super) fn of_creation(self) -> Self {
        let is_pod = self.group.is_empty() && self.resource == POD_CREATION.resource;
        let sub_resource =
            if is_pod && WAYS_INTO_A_POD.contains(&self.sub_resource) { "" } else { self.sub_resource };
        Self { operation: POD_CREATION.operation, sub_resource, ..self }
    }

    /// As in `k8s.io/apiserver/pkg/admission/plugin/webhook/predicates/rules`: `*` alone matches no
    /// sub-resource, `pods/*` matches the resource and all its sub-resources.
    fn within(self, rule: &ResourceRule) -> bool {
        let one_of =
            |list: &[String], value: &str| list.iter().any(|one| one == "*" || same_text(one, value));
        one_of(&rule.operations, self.operation)
            && one_of(&rule.api_groups, self.group)
            && one_of(&rule.api_versions, self.version)
            && rule.resources.iter().any(|pattern| {
                let (resource, sub_resource) = pattern.split_once('/').unwrap_or((pattern, ""));
                (resource == "*" || same_text(resource, self.resource))
                    && (sub_resource == "*" || same_text(sub_resource, self.sub_resource))
            })
    }

    /// Whether a rule names these coordinates and does not exclude them.
    pub(super) fn matched_by(self, rule: &AdmissionRule) -> bool {
        rule.matches.resources.iter().any(|one| self.within(one))
            && !rule.matches.exclude_resources.iter().any(|one| self.within(one))
    }
}

/// Whether a list of resource rules covers an operation on pods, through a sub-resource (empty: on the pods
/// themselves).
#[must_use]
pub fn takes_in_pods(rules: &[ResourceRule], sub_resource: &str, operation: &str) -> bool {
    let coordinates = Coordinates { sub_resource, operation, ..POD_CREATION };
    rules.iter().any(|rule| coordinates.within(rule))
}

/// Whether a rule's own selectors hold. `namespace` is `None` for cluster-scoped objects, to which namespace
/// selectors do not apply; the object selector holds if it selects the new or the old labels.
pub(super) fn selectors_hold(
    rule: &AdmissionRule,
    namespace: Option<&dyn Labels>,
    objects: &[&dyn Labels],
) -> bool {
    let by_namespace = match (&rule.matches.namespace_selector, namespace) {
        (Some(selector), Some(labels)) => selects(selector, labels),
        _ => true,
    };
    by_namespace
        && rule
            .matches
            .object_selector
            .as_ref()
            .is_none_or(|selector| objects.iter().any(|labels| selects(selector, *labels)))
}

/// Whether two rules match the same coordinates.
fn names_the_same(one: &AdmissionRule, other: &AdmissionRule) -> bool {
    one.matches.resources == other.matches.resources
        && one.matches.exclude_resources == other.matches.exclude_resources
}

/// Rules by the resource that they name, so that a thousand rules on config maps cost a pod nothing.
#[derive(Debug, Default)]
pub(super) struct RuleIndex {
    by_resource: HashMap<String, Vec<usize>>,
    /// Rules with a wildcard for the resource.
    any: Vec<usize>,
    /// Rules on pods that also judge templates.
    templates: Vec<usize>,
    /// For each rule, the first of the rules before it that name the same resources, one after the other.
    alike: Vec<usize>,
}

impl RuleIndex {
    pub(super) fn new(rules: &[AdmissionRule]) -> Self {
        let mut index = Self::default();
        for (at, rule) in rules.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| rules.get(before));
            let first = match index.alike.last() {
                Some(first) if before.is_some_and(|before| names_the_same(before, rule)) => *first,
                _ => at,
            };
            index.alike.push(first);
            let mut names: Vec<&str> = rule
                .matches
                .resources
                .iter()
                .flat_map(|one| &one.resources)
                .map(|pattern| pattern.split_once('/').map_or(pattern.as_str(), |(resource, _)| resource))
                .collect();
            names.sort_unstable();
            names.dedup();
            if names.contains(&"*") {
                index.any.push(at);
            } else {
                for name in names {
                    index.by_resource.entry(name.to_owned()).or_default().push(at);
                }
            }
            if rule.pod_templates && POD_CREATION.matched_by(rule) {
                index.templates.push(at);
            }
        }
        index
    }

    /// Positions of the rules that may match a resource, ascending.
    pub(super) fn candidates(&self, resource: &str) -> impl Iterator<Item = usize> {
        let named = self.by_resource.get(resource).map_or(&[][..], Vec::as_slice);
        let mut named = named.iter().copied().peekable();
        let mut any = self.any.iter().copied().peekable();
        std::iter::from_fn(move || match (named.peek(), any.peek()) {
            (Some(one), Some(other)) if one > other => any.next(),
            (Some(_), _) => named.next(),
            (None, _) => any.next(),
        })
    }

    /// Positions of the rules that match these coordinates, ascending. Of rules in a row that name the same
    /// resources, as those of one pack mostly do, only the first is compared.
    pub(super) fn matching<'r>(
        &'r self,
        rules: &'r [AdmissionRule],
        coordinates: Coordinates<'r>,
    ) -> impl Iterator<Item = usize> {
        let mut last = None;
        self.candidates(coordinates.resource).filter(move |at| {
            let first = self.alike.get(*at);
            match last {
                Some((known, matched)) if known == first => matched,
                _ => {
                    let matched = rules.get(*at).is_some_and(|rule| coordinates.matched_by(rule));
                    last = Some((first, matched));
                    matched
                }
            }
        })
    }

    /// Positions of the rules that judge pod templates, ascending.
    pub(super) fn for_templates(&self) -> impl Iterator<Item = usize> {
        self.templates.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Action, LabelSelector, Match, Origin};
    use std::collections::BTreeMap;

    fn resource_rule(
        groups: &[&str],
        versions: &[&str],
        resources: &[&str],
        operations: &[&str],
    ) -> ResourceRule {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        ResourceRule {
            api_groups: owned(groups),
            api_versions: owned(versions),
            resources: owned(resources),
            operations: owned(operations),
        }
    }

    fn rule(resources: Vec<ResourceRule>) -> AdmissionRule {
        AdmissionRule {
            name: "r".into(),
            origin: Origin { pack: 0, at: String::new() },
            matches: Match { resources, ..Match::default() },
            pod_templates: false,
            variables: vec![],
            validations: vec![],
            mutations: vec![],
            audit_annotations: vec![],
            action: Action::Deny,
            exceptable: false,
            rego: None,
        }
    }

    #[test]
    fn wildcards_mean_what_they_mean_to_the_api_server() {
        let at = |resource, sub_resource| Coordinates { resource, sub_resource, ..POD_CREATION };
        for (pattern, pods, exec, other, scale) in [
            ("pods", true, false, false, false),
            ("pods/exec", false, true, false, false),
            ("pods/*", true, true, false, false),
            ("*", true, false, true, false),
            ("*/*", true, true, true, true),
            ("*/scale", false, false, false, true),
        ] {
            let rule = rule(vec![resource_rule(&["*"], &["*"], &[pattern], &["*"])]);
            assert_eq!(at("pods", "").matched_by(&rule), pods, "{pattern} pods");
            assert_eq!(at("pods", "exec").matched_by(&rule), exec, "{pattern} pods/exec");
            assert_eq!(at("secrets", "").matched_by(&rule), other, "{pattern} secrets");
            assert_eq!(at("deployments", "scale").matched_by(&rule), scale, "{pattern} deployments/scale");
        }
    }

    #[test]
    fn group_version_operation_and_exclusions_count() {
        let mut rule = rule(vec![resource_rule(&[""], &["v1"], &["*"], &["CREATE"])]);
        assert!(POD_CREATION.matched_by(&rule));
        assert!(!Coordinates { group: "apps", ..POD_CREATION }.matched_by(&rule));
        assert!(!Coordinates { version: "v2", ..POD_CREATION }.matched_by(&rule));
        assert!(!Coordinates { operation: "UPDATE", ..POD_CREATION }.matched_by(&rule));
        rule.matches.exclude_resources = vec![resource_rule(&[""], &["*"], &["pods"], &["*"])];
        assert!(!POD_CREATION.matched_by(&rule));
    }

    #[test]
    fn only_rules_of_the_resource_are_candidates_in_their_order() {
        let named = |resources: &[&str]| rule(vec![resource_rule(&[""], &["v1"], resources, &["*"])]);
        let mut rules =
            vec![named(&["configmaps"]), named(&["pods", "pods/exec"]), named(&["*/*"]), named(&["pods"])];
        if let Some(rule) = rules.get_mut(1) {
            rule.pod_templates = true;
        }
        let index = RuleIndex::new(&rules);
        assert_eq!(index.candidates("pods").collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(index.candidates("secrets").collect::<Vec<_>>(), [2]);
        assert_eq!(index.for_templates().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn rules_that_match_are_those_that_match_one_by_one() {
        let on = |resources: &[&str], operation| {
            rule(vec![resource_rule(&[""], &["v1"], resources, &[operation])])
        };
        let mut but_pods = on(&["*"], "*");
        but_pods.matches.exclude_resources = vec![resource_rule(&[""], &["*"], &["pods"], &["*"])];
        let rules = [
            on(&["pods"], "CREATE"),
            on(&["pods"], "CREATE"),
            on(&["configmaps"], "CREATE"),
            on(&["pods"], "UPDATE"),
            on(&["pods"], "UPDATE"),
            on(&["*"], "*"),
            but_pods.clone(),
            but_pods,
            on(&["pods"], "CREATE"),
        ];
        let index = RuleIndex::new(&rules);
        for (resource, operation) in [("pods", "CREATE"), ("pods", "UPDATE"), ("configmaps", "CREATE")] {
            let coordinates = Coordinates { resource, operation, ..POD_CREATION };
            let one_by_one: Vec<usize> =
                index.candidates(resource).filter(|at| coordinates.matched_by(&rules[*at])).collect();
            assert_eq!(index.matching(&rules, coordinates).collect::<Vec<_>>(), one_by_one);
        }
    }

    #[test]
    fn selectors_pass_over_cluster_objects_and_see_old_labels() {
        let mut rule = rule(vec![]);
        let wanted = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let selector = LabelSelector { match_labels: wanted.clone(), match_expressions: vec![] };
        let other = BTreeMap::new();
        rule.matches.namespace_selector = Some(selector.clone());
        assert!(selectors_hold(&rule, None, &[]));
        assert!(!selectors_hold(&rule, Some(&other), &[]));
        rule.matches.namespace_selector = None;
        rule.matches.object_selector = Some(selector);
        assert!(selectors_hold(&rule, None, &[&other, &wanted]));
        assert!(!selectors_hold(&rule, None, &[&other]));
    }
}
