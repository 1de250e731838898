//! Label selectors, as `metav1.LabelSelector` defines them.
//!
//! `NotIn` and `DoesNotExist` hold for an absent label; an empty selector selects everything.
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements>

use crate::json::Json;
use crate::policy::{LabelOperator, LabelSelector};

/// Where labels are looked up.
pub(super) trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for std::collections::BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// The labels of an object (`metadata.labels`).
pub(super) struct ObjectLabels<'a>(pub(super) &'a Json<'a>);

impl Labels for ObjectLabels<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.at(&["metadata", "labels"])?.get(key)?.as_str()
    }
}

/// Whether a selector selects these labels.
pub(super) fn selects(selector: &LabelSelector, labels: &dyn Labels) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.label(key) == Some(value))
        && selector.match_expressions.iter().all(|requirement| {
            let value = labels.label(&requirement.key);
            let listed = || value.is_some_and(|value| requirement.values.iter().any(|one| one == value));
            match requirement.operator {
                LabelOperator::In => listed(),
                LabelOperator::NotIn => !listed(),
                LabelOperator::Exists => value.is_some(),
                LabelOperator::DoesNotExist => value.is_none(),
            }
        })
}

/// Whether every selector of a list selects them.
pub(super) fn all_select(selectors: &[LabelSelector], labels: &dyn Labels) -> bool {
    selectors.iter().all(|selector| selects(selector, labels))
}

/// The labels that a selector reads.
pub(super) fn keys(selector: &LabelSelector) -> impl Iterator<Item = &str> {
    let expressions = selector.match_expressions.iter().map(|one| one.key.as_str());
    selector.match_labels.keys().map(String::as_str).chain(expressions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::LabelRequirement;
    use std::collections::BTreeMap;

    fn expression(operator: LabelOperator, values: &[&str]) -> LabelSelector {
        let values = values.iter().map(ToString::to_string).collect();
        let requirement = LabelRequirement { key: "zone".into(), operator, values };
        LabelSelector { match_labels: BTreeMap::new(), match_expressions: vec![requirement] }
    }

    #[test]
    fn operators_hold_as_in_kubernetes() {
        let a = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
        let none = BTreeMap::new();
        for (operator, values, with_a, with_none) in [
            (LabelOperator::In, &["a", "b"][..], true, false),
            (LabelOperator::In, &["b"], false, false),
            (LabelOperator::NotIn, &["a"], false, true),
            (LabelOperator::NotIn, &["b"], true, true),
            (LabelOperator::Exists, &[], true, false),
            (LabelOperator::DoesNotExist, &[], false, true),
        ] {
            let selector = expression(operator, values);
            assert_eq!(selects(&selector, &a), with_a, "{operator:?} {values:?} with a");
            assert_eq!(selects(&selector, &none), with_none, "{operator:?} {values:?} without");
        }
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        assert!(selects(&LabelSelector::default(), &BTreeMap::new()));
        assert!(all_select(&[], &BTreeMap::new()));
    }

    #[test]
    fn all_expressions_and_labels_must_hold() {
        let mut selector = expression(LabelOperator::Exists, &[]);
        selector.match_labels.insert("app".into(), "x".into());
        assert!(!selects(&selector, &BTreeMap::from([("zone".to_owned(), "a".to_owned())])));
        assert_eq!(keys(&selector).collect::<Vec<_>>(), ["app", "zone"]);
    }
}
