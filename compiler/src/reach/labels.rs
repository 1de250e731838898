//! Label sets: what a conjunction of Kubernetes label selectors selects, as one set of allowed values for
//! each key.
//!
//! For one key, every selector expression has the form "may or may not be absent, and the value is in, or not
//! in, a set". That form is closed under conjunction, so intersection and inclusion are exact. Rules of the
//! selectors:
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::{LabelOperator, LabelRequirement, LabelSelector};

/// What the labels begin with that the API server copies from the node onto a pod when it is bound there, after
/// every decision about the pod: no subject may select pods by them.
pub(crate) const OF_NODES: &str = "topology.kubernetes.io/";

/// Why a subject may not select pods by this, if it names a label of [`OF_NODES`].
pub(crate) fn of_nodes(selector: &LabelSelector) -> Option<String> {
    let mut keys = selector.match_labels.keys().chain(selector.match_expressions.iter().map(|one| &one.key));
    let key = keys.find(|key| key.starts_with(OF_NODES))?;
    Some(format!("a pod gets label `{key}` from its node, after it was judged; select by a label of its own"))
}

/// Objects by their labels; a key that is not listed may have any value. Never empty: see [`Labels::all_of`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels(BTreeMap<String, Allowed>);

/// The allowed states of one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Allowed {
    absent: Absent,
    values: Values,
}

/// Whether the label may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Absent {
    No,
    Yes,
}

/// The allowed values of a label that is present.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Values {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
}

impl Values {
    fn intersect(&self, other: &Self) -> Self {
        match (self, other) {
            (Values::In(a), Values::In(b)) => Values::In(a & b),
            (Values::In(only), Values::NotIn(not)) | (Values::NotIn(not), Values::In(only)) => {
                Values::In(only - not)
            }
            (Values::NotIn(a), Values::NotIn(b)) => Values::NotIn(a | b),
        }
    }
}

impl Allowed {
    fn of(operator: LabelOperator, values: &[String]) -> Self {
        let values: BTreeSet<String> = values.iter().cloned().collect();
        match operator {
            LabelOperator::In => Self { absent: Absent::No, values: Values::In(values) },
            LabelOperator::NotIn => Self { absent: Absent::Yes, values: Values::NotIn(values) },
            LabelOperator::Exists => Self { absent: Absent::No, values: Values::NotIn(BTreeSet::new()) },
            LabelOperator::DoesNotExist => Self { absent: Absent::Yes, values: Values::In(BTreeSet::new()) },
        }
    }

    fn intersect(&self, other: &Self) -> Self {
        Self { absent: self.absent.min(other.absent), values: self.values.intersect(&other.values) }
    }

    fn is_empty(&self) -> bool {
        self.absent == Absent::No && matches!(&self.values, Values::In(values) if values.is_empty())
    }
}

impl Labels {
    /// What all of these selectors select; `None` if nothing can match them all.
    #[must_use]
    pub(crate) fn all_of<'a>(selectors: impl IntoIterator<Item = &'a LabelSelector>) -> Option<Self> {
        let mut out = Self::default();
        for selector in selectors {
            for (key, value) in &selector.match_labels {
                out.restrict(key, &Allowed::of(LabelOperator::In, std::slice::from_ref(value)));
            }
            for LabelRequirement { key, operator, values } in &selector.match_expressions {
                out.restrict(key, &Allowed::of(*operator, values));
            }
        }
        out.satisfiable()
    }

    fn restrict(&mut self, key: &str, to: &Allowed) {
        match self.0.get_mut(key) {
            Some(allowed) => *allowed = allowed.intersect(to),
            None => {
                self.0.insert(key.to_owned(), to.clone());
            }
        }
    }

    fn satisfiable(mut self) -> Option<Self> {
        // `NotIn []` holds for everything.
        self.0.retain(|_, allowed| *allowed != Allowed::of(LabelOperator::NotIn, &[]));
        (!self.0.values().any(Allowed::is_empty)).then_some(self)
    }

    /// Whether this selects every label set.
    #[must_use]
    pub(crate) fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// What both select; `None` if nothing.
    #[must_use]
    pub(crate) fn intersect(&self, other: &Self) -> Option<Self> {
        let mut out = self.clone();
        for (key, allowed) in &other.0 {
            out.restrict(key, allowed);
        }
        out.satisfiable()
    }

    /// Whether this selects everything that `other` selects.
    #[must_use]
    pub(crate) fn includes(&self, other: &Self) -> bool {
        other.intersect(self).as_ref() == Some(other)
    }

    /// Whether this selects these labels.
    #[must_use]
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, allowed)| match (labels.get(key), &allowed.values) {
            (None, _) => allowed.absent == Absent::Yes,
            (Some(value), Values::In(values)) => values.contains(value),
            (Some(value), Values::NotIn(values)) => !values.contains(value),
        })
    }

    /// One selector that selects exactly this.
    #[must_use]
    pub(crate) fn selector(&self) -> LabelSelector {
        let mut out = LabelSelector::default();
        for (key, allowed) in &self.0 {
            let mut require = |operator, values: &BTreeSet<String>| {
                let values = values.iter().cloned().collect();
                out.match_expressions.push(LabelRequirement { key: key.clone(), operator, values });
            };
            match (allowed.absent, &allowed.values) {
                (Absent::No, Values::In(values)) => match values.first() {
                    Some(only) if values.len() == 1 => {
                        out.match_labels.insert(key.clone(), only.clone());
                    }
                    _ => require(LabelOperator::In, values),
                },
                // A conjunction of selectors yields `In` with absence only for `DoesNotExist`.
                (Absent::Yes, Values::In(_)) => require(LabelOperator::DoesNotExist, &BTreeSet::new()),
                (Absent::Yes, Values::NotIn(values)) => require(LabelOperator::NotIn, values),
                (Absent::No, Values::NotIn(values)) => {
                    require(LabelOperator::Exists, &BTreeSet::new());
                    if !values.is_empty() {
                        require(LabelOperator::NotIn, values);
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, LabelOperator, &[&str])]) -> Option<Labels> {
        let match_expressions = pairs
            .iter()
            .map(|(key, operator, values)| LabelRequirement {
                key: (*key).to_owned(),
                operator: *operator,
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            })
            .collect();
        Labels::all_of([&LabelSelector { match_labels: BTreeMap::new(), match_expressions }])
    }

    #[test]
    fn contradictions_select_nothing() {
        use LabelOperator::{DoesNotExist, Exists, In, NotIn};
        assert_eq!(labels(&[("a", In, &["x"]), ("a", In, &["y"])]), None);
        assert_eq!(labels(&[("a", In, &["x"]), ("a", NotIn, &["x"])]), None);
        assert_eq!(labels(&[("a", Exists, &[]), ("a", DoesNotExist, &[])]), None);
        assert!(labels(&[("a", NotIn, &["x"]), ("a", DoesNotExist, &[])]).is_some());
    }

    #[test]
    fn inclusion_follows_the_meaning() {
        use LabelOperator::{DoesNotExist, Exists, In, NotIn};
        let of = |pairs| labels(pairs).unwrap();
        assert!(of(&[("a", Exists, &[])]).includes(&of(&[("a", In, &["x", "y"])])));
        assert!(of(&[("a", NotIn, &["x"])]).includes(&of(&[("a", DoesNotExist, &[])])));
        assert!(!of(&[("a", Exists, &[])]).includes(&of(&[("a", NotIn, &["x"])])));
        assert!(Labels::default().includes(&of(&[("a", Exists, &[])])));
    }
}
