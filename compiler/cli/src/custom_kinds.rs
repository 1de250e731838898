//! What a manifest of a custom kind does not say: which resource its kind is, and whether its objects are
//! namespaced. Rules name resources, so the resource is taken from the rules. Where that is not enough, a
//! manifest stands for several requests, and the caller must decide all of them alike.
//!
//! Not a client: a cluster would know (`kubectl api-resources`), but is not queried.

use std::collections::BTreeSet;

use bailiwick_policy::admission::manifest::{Scope, is_known, plural};
use bailiwick_policy::bundle::Bundle;
use bailiwick_policy::json::Json;

/// A plural that begins with this many letters of a kind is likely that kind's.
const ALIKE: usize = 3;

/// Groups and resources that rules name.
pub(crate) struct NamedResources(BTreeSet<(String, String)>);

/// One of the requests that a manifest may stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// The resource; `None`: guessed from the kind.
    pub(crate) resource: Option<String>,
    pub(crate) scope: Scope,
}

impl NamedResources {
    pub(crate) fn of(bundles: &[Bundle]) -> Self {
        let rules = bundles.iter().flat_map(|bundle| &bundle.policy.admission.rules);
        let matched =
            rules.flat_map(|rule| rule.matches.resources.iter().chain(&rule.matches.exclude_resources));
        let mut named = BTreeSet::new();
        for one in matched {
            for group in &one.api_groups {
                for pattern in &one.resources {
                    let resource = pattern.split('/').next().unwrap_or_default();
                    named.insert((group.clone(), resource.to_owned()));
                }
            }
        }
        Self(named)
    }

    /// The requests that a manifest may stand for, the likeliest first; at least one.
    pub(crate) fn ways(&self, object: &Json<'_>) -> Vec<Way> {
        let text = |path: &[&str]| object.at(path).and_then(Json::as_str).unwrap_or_default();
        let (group, kind) =
            (text(&["apiVersion"]).split_once('/').map_or("", |(group, _)| group), text(&["kind"]));
        if is_known(group, kind) || kind.is_empty() {
            return vec![Way::default()];
        }
        let resources = self.resources(group, kind);
        // A manifest that names a namespace is namespaced.
        let scopes: &[Scope] = match text(&["metadata", "namespace"]) {
            "" => &[Scope::Namespaced, Scope::Cluster],
            _ => &[Scope::Namespaced],
        };
        let ways = resources.iter().flat_map(|resource| {
            scopes.iter().map(|scope| Way { resource: resource.clone(), scope: *scope })
        });
        ways.collect()
    }

    fn resources(&self, group: &str, kind: &str) -> Vec<Option<String>> {
        let lower = kind.to_lowercase();
        let of_group =
            self.0.iter().filter(|(of, _)| of == group || of == "*").map(|(_, resource)| resource.as_str());
        let named: BTreeSet<&str> = of_group.collect();
        let regular = [plural(kind), format!("{lower}s"), format!("{lower}es"), lower.clone()];
        if let Some(found) = regular.iter().find(|one| named.contains(one.as_str())) {
            return vec![Some(found.clone())];
        }
        let begin: String = lower.chars().take(ALIKE).collect();
        let alike = named.into_iter().filter(|resource| resource.starts_with(&begin));
        std::iter::once(None).chain(alike.map(|resource| Some(resource.to_owned()))).collect()
    }
}
