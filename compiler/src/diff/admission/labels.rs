//! Labels that selectors distinguish: those that one selects, and for each key every named value, another
//! value, and none.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::{LabelOperator, LabelSelector};

use super::super::wishes::FRESH;

/// Labels by key.
pub(super) type Labels = BTreeMap<String, String>;

/// New values of labels; `None` removes one.
pub(super) type Relabelling = BTreeMap<String, Option<String>>;

/// What one selector requires of the keys that it reads.
fn wanted(selector: &LabelSelector) -> Relabelling {
    let mut labels: Relabelling =
        selector.match_labels.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    for one in &selector.match_expressions {
        let value = match one.operator {
            LabelOperator::In => one.values.first().cloned(),
            LabelOperator::Exists => Some(FRESH.to_owned()),
            LabelOperator::NotIn | LabelOperator::DoesNotExist => None,
        };
        // A required key wins over one that may be absent: `Exists` next to `NotIn`.
        let known = labels.entry(one.key.clone()).or_default();
        *known = known.take().or(value);
    }
    labels
}

/// Every key that selectors read, with its possible values: each named value, another value, absent.
pub(super) fn choices<'s>(
    selectors: impl IntoIterator<Item = &'s LabelSelector>,
) -> BTreeMap<&'s str, BTreeSet<Option<&'s str>>> {
    let mut all: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    let mut note = |key: &'s str, values: &mut dyn Iterator<Item = &'s String>| {
        let known = all.entry(key).or_default();
        known.extend([None, Some(FRESH)]);
        known.extend(values.map(|value| Some(value.as_str())));
    };
    for selector in selectors {
        for (key, value) in &selector.match_labels {
            note(key, &mut std::iter::once(value));
        }
        for one in &selector.match_expressions {
            note(&one.key, &mut one.values.iter());
        }
    }
    all
}

/// First the labels that a rule's own selector requires, then the same with one key changed, for each key
/// that it or one of the `others` reads.
pub(super) fn told_apart(own: Option<&LabelSelector>, others: &[&LabelSelector]) -> Vec<Relabelling> {
    let begun = own.map(wanted).unwrap_or_default();
    let mut all = vec![begun.clone()];
    for (key, values) in choices(own.into_iter().chain(others.iter().copied())) {
        for value in values {
            let mut changed = begun.clone();
            changed.insert(key.to_owned(), value.map(str::to_owned));
            if !all.contains(&changed) {
                all.push(changed);
            }
        }
    }
    all
}

/// Changes labels.
pub(super) fn relabel(labels: &mut Labels, to: &Relabelling) {
    for (key, value) in to {
        match value {
            Some(value) => drop(labels.insert(key.clone(), value.clone())),
            None => drop(labels.remove(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::policy::LabelRequirement;

    use super::*;

    #[test]
    fn every_value_that_is_named_is_told_apart_from_others_and_from_none() {
        let requirement = |key: &str, operator, values: &[&str]| LabelRequirement {
            key: key.to_owned(),
            operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let own = LabelSelector {
            match_labels: BTreeMap::new(),
            match_expressions: vec![
                requirement("env", LabelOperator::NotIn, &["prod"]),
                requirement("tier", LabelOperator::In, &["a", "b"]),
            ],
        };
        let other = LabelSelector {
            match_labels: BTreeMap::new(),
            match_expressions: vec![requirement("exempt", LabelOperator::DoesNotExist, &[])],
        };
        let shown: Vec<String> = told_apart(Some(&own), &[&other])
            .iter()
            .map(|all| {
                let shown =
                    all.iter().map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("-")));
                shown.collect::<Vec<_>>().join(" ")
            })
            .collect();
        let expected = [
            "env=- tier=a",
            "env=any-other tier=a",
            "env=prod tier=a",
            "env=- exempt=- tier=a",
            "env=- exempt=any-other tier=a",
            "env=- tier=-",
            "env=- tier=any-other",
            "env=- tier=b",
        ];
        assert_eq!(shown, expected);
    }
}
