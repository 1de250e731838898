//! Label selectors: several combined into one, labels that satisfy one, and the same as CEL.
//!
//! A Kubernetes object takes one selector, while a policy has one from each pack. The conjunction of
//! selectors is again a selector, since a requirement may occur twice. If two unequal values are required of
//! one label, the result is a requirement that nothing meets, and then the policy selects nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bailiwick_policy::policy::{LabelOperator, LabelRequirement, LabelSelector};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

/// The label that the API server keeps equal to a namespace's name, so that it cannot be forged.
pub(super) const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The selector that matches exactly what all of `selectors` match. No selectors: everything.
pub(super) fn conjoin(selectors: &[LabelSelector]) -> LabelSelector {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    let mut expressions: BTreeSet<LabelRequirement> = BTreeSet::new();
    for selector in selectors {
        for (key, value) in &selector.match_labels {
            match labels.get(key) {
                Some(other) if other != value => {
                    let values = vec![value.clone()];
                    expressions.insert(LabelRequirement {
                        key: key.clone(),
                        operator: LabelOperator::In,
                        values,
                    });
                }
                _ => {
                    labels.insert(key.clone(), value.clone());
                }
            }
        }
        for expression in &selector.match_expressions {
            let values: BTreeSet<String> = expression.values.iter().cloned().collect();
            expressions
                .insert(LabelRequirement { values: values.into_iter().collect(), ..expression.clone() });
        }
    }
    LabelSelector { match_labels: labels, match_expressions: expressions.into_iter().collect() }
}

/// `selector` without the namespaces of these names.
pub(super) fn without_names(mut selector: LabelSelector, names: BTreeSet<String>) -> LabelSelector {
    selector.match_expressions.push(LabelRequirement {
        key: NAMESPACE_NAME.to_owned(),
        operator: LabelOperator::NotIn,
        values: names.into_iter().collect(),
    });
    conjoin(&[selector])
}

/// What a selector requires of one label.
#[derive(Default)]
struct Demand<'a> {
    one_of: Option<BTreeSet<&'a str>>,
    none_of: BTreeSet<&'a str>,
    present: bool,
    absent: bool,
}

impl<'a> Demand<'a> {
    fn one_of(&mut self, values: impl IntoIterator<Item = &'a str>) {
        let values: BTreeSet<&str> = values.into_iter().collect();
        self.one_of = Some(match self.one_of.take() {
            Some(before) => before.intersection(&values).copied().collect(),
            None => values,
        });
        self.present = true;
    }

    /// The values left of `one_of`.
    fn choices(&self) -> Option<BTreeSet<&'a str>> {
        self.one_of.as_ref().map(|values| values.difference(&self.none_of).copied().collect())
    }

    /// A value that meets it; one that any value meets gets `free`, or the first of a sequence if that is
    /// excluded.
    fn value(&self, free: &str) -> Option<String> {
        match self.choices() {
            Some(choices) => Some((*choices.first()?).to_owned()),
            None => std::iter::once(free.to_owned())
                .chain((0_u32..).map(|n| format!("v{n}")))
                .find(|value| !self.none_of.contains(value.as_str())),
        }
    }

    fn can_be_met(&self) -> bool {
        !(self.absent && self.present) && self.choices().is_none_or(|choices| !choices.is_empty())
    }
}

fn demands(selector: &LabelSelector) -> BTreeMap<&str, Demand<'_>> {
    let mut demands: BTreeMap<&str, Demand<'_>> = BTreeMap::new();
    for (key, value) in &selector.match_labels {
        demands.entry(key).or_default().one_of([value.as_str()]);
    }
    for expression in &selector.match_expressions {
        let demand = demands.entry(&expression.key).or_default();
        let values = expression.values.iter().map(String::as_str);
        match expression.operator {
            LabelOperator::In => demand.one_of(values),
            LabelOperator::NotIn => demand.none_of.extend(values),
            LabelOperator::Exists => demand.present = true,
            LabelOperator::DoesNotExist => demand.absent = true,
        }
    }
    demands
}

/// Whether anything can match.
pub(super) fn can_match(selector: &LabelSelector) -> bool {
    demands(selector).values().all(Demand::can_be_met)
}

/// The namespaces that a selector names; `None` if it does not select by name.
pub(super) fn namespace_names(selector: &LabelSelector) -> Option<BTreeSet<String>> {
    let choices = demands(selector).get(NAMESPACE_NAME)?.choices()?;
    Some(choices.into_iter().map(str::to_owned).collect())
}

/// As few labels as possible that satisfy the selector; `None` if nothing can. The name label of namespaces
/// is left out, since the API server writes it.
pub(super) fn labels_satisfying(selector: &LabelSelector) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for (key, demand) in demands(selector) {
        if !demand.can_be_met() {
            return None;
        }
        if !demand.present || key == NAMESPACE_NAME {
            continue;
        }
        let value = demand.value("v0")?;
        labels.insert(key.to_owned(), value);
    }
    Some(labels)
}

/// The labels that all of `selectors` accept. A label of which they demand what nothing meets is left out.
pub(crate) fn labels_meeting(selectors: &[LabelSelector]) -> BTreeMap<String, String> {
    let all = conjoin(selectors);
    let wanted = demands(&all).into_iter().filter(|(_, demand)| demand.present && demand.can_be_met());
    wanted.filter_map(|(key, demand)| Some((key.to_owned(), demand.value("true")?))).collect()
}

/// As Kubernetes' own type. An empty selector stays `{}`, which selects everything.
pub(super) fn kubernetes(selector: &LabelSelector) -> meta::LabelSelector {
    let expressions: Vec<_> = selector
        .match_expressions
        .iter()
        .map(|expression| meta::LabelSelectorRequirement {
            key: expression.key.clone(),
            operator: operator(expression.operator).to_owned(),
            values: (!expression.values.is_empty()).then(|| expression.values.clone()),
        })
        .collect();
    meta::LabelSelector {
        match_expressions: (!expressions.is_empty()).then_some(expressions),
        match_labels: (!selector.match_labels.is_empty()).then(|| selector.match_labels.clone()),
    }
}

const fn operator(operator: LabelOperator) -> &'static str {
    match operator {
        LabelOperator::In => "In",
        LabelOperator::NotIn => "NotIn",
        LabelOperator::Exists => "Exists",
        LabelOperator::DoesNotExist => "DoesNotExist",
    }
}

/// The same as a boolean CEL expression; `labels` is a CEL expression for a map of labels.
pub(super) fn cel(selector: &LabelSelector, labels: &str) -> String {
    let mut terms = Vec::new();
    for (key, value) in &selector.match_labels {
        let key = cel_string(key);
        terms.push(format!("({key} in {labels} && {labels}[{key}] == {})", cel_string(value)));
    }
    for expression in &selector.match_expressions {
        let key = cel_string(&expression.key);
        let values = cel_list(expression.values.iter().map(String::as_str));
        terms.push(match expression.operator {
            LabelOperator::In => format!("({key} in {labels} && {labels}[{key}] in {values})"),
            LabelOperator::NotIn => format!("(!({key} in {labels}) || !({labels}[{key}] in {values}))"),
            LabelOperator::Exists => format!("({key} in {labels})"),
            LabelOperator::DoesNotExist => format!("!({key} in {labels})"),
        });
    }
    if terms.is_empty() { "true".to_owned() } else { terms.join(" && ") }
}

/// A CEL string literal.
pub(super) fn cel_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// A CEL list of string literals.
pub(super) fn cel_list<'s>(items: impl IntoIterator<Item = &'s str>) -> String {
    format!("[{}]", items.into_iter().map(cel_string).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> LabelSelector {
        LabelSelector {
            match_labels: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            match_expressions: Vec::new(),
        }
    }

    fn expression(key: &str, operator: LabelOperator, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_labels: BTreeMap::new(),
            match_expressions: vec![LabelRequirement {
                key: key.to_owned(),
                operator,
                values: values.iter().map(|v| (*v).to_owned()).collect(),
            }],
        }
    }

    #[test]
    fn equal_demands_merge_and_contradicting_ones_match_nothing() {
        assert_eq!(
            conjoin(&[labels(&[("a", "1")]), labels(&[("a", "1"), ("b", "2")])]),
            labels(&[("a", "1"), ("b", "2")])
        );
        let contradiction = conjoin(&[labels(&[("a", "1")]), labels(&[("a", "2")])]);
        assert!(!can_match(&contradiction));
        assert_eq!(labels_satisfying(&contradiction), None);
        assert!(can_match(&conjoin(&[])));
    }

    #[test]
    fn labels_meet_all_that_can_be_met_together() {
        let selectors = [
            labels(&[("set", "x")]),
            expression("set", LabelOperator::Exists, &[]),
            expression("in", LabelOperator::In, &["crawler", "agent", "web"]),
            expression("in", LabelOperator::In, &["crawler", "web"]),
            expression("in", LabelOperator::NotIn, &["crawler"]),
            expression("in", LabelOperator::Exists, &[]),
            expression("there", LabelOperator::Exists, &[]),
            expression("other", LabelOperator::Exists, &[]),
            expression("other", LabelOperator::NotIn, &["true", "v0"]),
            expression("gone", LabelOperator::DoesNotExist, &[]),
            expression("torn", LabelOperator::In, &["a"]),
            expression("torn", LabelOperator::In, &["b"]),
        ];
        let expected = [("in", "web"), ("other", "v1"), ("set", "x"), ("there", "true")];
        assert_eq!(labels_meeting(&selectors), expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn labels_are_found_for_every_operator() {
        let selector = conjoin(&[
            expression("in", LabelOperator::In, &["x", "y"]),
            expression("in", LabelOperator::NotIn, &["x"]),
            expression("there", LabelOperator::Exists, &[]),
            expression("there", LabelOperator::NotIn, &["v0"]),
            expression("gone", LabelOperator::DoesNotExist, &[]),
            expression("not", LabelOperator::NotIn, &["z"]),
        ]);
        let expected = [("in", "y"), ("there", "v1")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(labels_satisfying(&selector), Some(expected.into()));
        assert!(!can_match(&conjoin(&[
            expression("x", LabelOperator::Exists, &[]),
            expression("x", LabelOperator::DoesNotExist, &[]),
        ])));
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(cel_string("a'b\\c\n\u{7}"), r"'a\'b\\c\n\u0007'");
    }
}
