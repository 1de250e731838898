//! Label selectors with the values of one label united: fewer selectors that select exactly the same.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::{LabelOperator, LabelRequirement, LabelSelector};

/// Requirements on labels that must all hold.
pub(super) type Terms = BTreeSet<LabelRequirement>;

/// By terms, the selectors that they combine, sorted.
pub(super) fn unite(selectors: Vec<LabelSelector>) -> BTreeMap<Terms, BTreeSet<LabelSelector>> {
    let mut all: BTreeMap<Terms, BTreeSet<LabelSelector>> = BTreeMap::new();
    for selector in selectors {
        all.entry(terms(&selector)).or_default().insert(selector);
    }
    // Each round leaves fewer selectors, or is the last.
    loop {
        let before = all.len();
        let mut bearers: BTreeMap<String, usize> = BTreeMap::new();
        for term in all.keys().flatten() {
            *bearers.entry(term.key.clone()).or_default() += 1;
        }
        // A label that one selector alone names unites nothing, and each binding may bring one of its own.
        for key in bearers.into_iter().filter(|(_, bearers)| *bearers > 1).map(|(key, _)| key) {
            all = unite_by(&key, all);
        }
        if all.len() == before {
            return all;
        }
    }
}

/// `(rest and key in A) or (rest and key in B)` is `rest and key in A ∪ B`.
fn unite_by(
    key: &str,
    all: BTreeMap<Terms, BTreeSet<LabelSelector>>,
) -> BTreeMap<Terms, BTreeSet<LabelSelector>> {
    let mut by_rest: BTreeMap<Terms, (BTreeSet<String>, BTreeSet<LabelSelector>)> = BTreeMap::new();
    let mut out: BTreeMap<Terms, BTreeSet<LabelSelector>> = BTreeMap::new();
    for (terms, of) in all {
        let one_of = |term: &&LabelRequirement| term.key == key && term.operator == LabelOperator::In;
        let mut choices = terms.iter().filter(one_of);
        let (Some(choice), None) = (choices.next(), choices.next()) else {
            out.entry(terms).or_default().extend(of);
            continue;
        };
        let rest: Terms = terms.iter().filter(|term| *term != choice).cloned().collect();
        let (values, known) = by_rest.entry(rest).or_default();
        values.extend(choice.values.iter().cloned());
        known.extend(of);
    }
    for (mut terms, (values, of)) in by_rest {
        let values = values.into_iter().collect();
        terms.insert(LabelRequirement { key: key.to_owned(), operator: LabelOperator::In, values });
        out.entry(terms).or_default().extend(of);
    }
    out
}

fn terms(selector: &LabelSelector) -> Terms {
    let labels = selector.match_labels.iter().map(|(key, value)| LabelRequirement {
        key: key.clone(),
        operator: LabelOperator::In,
        values: vec![value.clone()],
    });
    let expressions = selector.match_expressions.iter().cloned().map(|mut term| {
        term.values.sort();
        term.values.dedup();
        term
    });
    labels.chain(expressions).collect()
}

pub(super) fn selecting(terms: Terms) -> LabelSelector {
    LabelSelector { match_expressions: terms.into_iter().collect(), ..LabelSelector::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::labels::Labels;

    fn term(key: &str, operator: LabelOperator, values: &[&str]) -> LabelRequirement {
        LabelRequirement {
            key: key.to_owned(),
            operator,
            values: values.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    /// All labels over two keys, each absent or with one of a few values.
    fn everything() -> Vec<BTreeMap<String, String>> {
        let values = [None, Some("1"), Some("2"), Some("3")];
        let both = values.iter().flat_map(|a| values.iter().map(move |b| [("a", *a), ("b", *b)]));
        let set = |pair: [(&str, Option<&str>); 2]| {
            pair.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
        };
        both.map(set).collect()
    }

    #[test]
    fn selectors_that_are_one_select_what_each_of_them_selected_and_nothing_else() {
        let terms = [
            term("a", LabelOperator::In, &["1"]),
            term("a", LabelOperator::In, &["2", "3"]),
            term("a", LabelOperator::NotIn, &["1"]),
            term("a", LabelOperator::Exists, &[]),
            term("b", LabelOperator::In, &["1"]),
            term("b", LabelOperator::In, &["2"]),
            term("b", LabelOperator::DoesNotExist, &[]),
        ];
        let chosen = |of: usize| -> LabelSelector {
            let some = terms.iter().enumerate().filter(|(at, _)| (of >> at) & 1 == 1);
            let match_expressions = some.map(|(_, term)| term.clone()).collect();
            LabelSelector { match_expressions, ..LabelSelector::default() }
        };
        let mut all: Vec<LabelSelector> = (0..1 << terms.len()).map(chosen).collect();
        all.push(LabelSelector {
            match_labels: [("a".to_owned(), "3".to_owned())].into(),
            match_expressions: vec![term("b", LabelOperator::In, &["3"])],
        });
        let matches = |selector: &LabelSelector, labels: &BTreeMap<String, String>| {
            Labels::all_of([selector]).is_some_and(|selected| selected.matches(labels))
        };
        // Windows over the list give sets of selectors of all kinds.
        let mut fewer = 0;
        for of in [2, 5, 9, all.len()] {
            for some in all.windows(of) {
                let united = unite(some.to_vec());
                let parts: BTreeSet<&LabelSelector> = united.values().flatten().collect();
                assert_eq!(parts, some.iter().collect(), "each is in one of them");
                fewer += some.len() - united.len();
                let united: Vec<LabelSelector> = united.into_keys().map(selecting).collect();
                for labels in everything() {
                    let each = some.iter().any(|selector| matches(selector, &labels));
                    assert_eq!(united.iter().any(|one| matches(one, &labels)), each, "{labels:?} {some:?}");
                }
            }
        }
        assert!(fewer > 100, "{fewer}");
        let teams = (0..1000).map(|team| LabelSelector {
            match_labels: [("zone".to_owned(), "a".to_owned()), ("team".to_owned(), format!("t{team}"))]
                .into(),
            ..LabelSelector::default()
        });
        assert_eq!(unite(teams.collect()).len(), 1);
    }
}
