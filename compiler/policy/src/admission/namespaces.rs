//! The labels of the cluster's namespaces, as far as they are known.
//!
//! A snapshot. A namespace that is not in it is *unknown*: whatever a policy judges there is denied, since it
//! is not known which policy governs it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::json::{Json, Map};

/// The label that the API server keeps on every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Namespaces by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Namespaces(BTreeMap<String, Namespace>);

/// A known namespace.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Namespace {
    /// `metadata.labels`.
    pub(super) labels: BTreeMap<String, String>,
    /// The object, as CEL's `namespaceObject` sees it.
    pub(super) object: Json<'static>,
}

impl Namespaces {
    /// From names and labels. `kubernetes.io/metadata.name` is added, as the API server does.
    #[must_use]
    pub fn new(labels: BTreeMap<String, BTreeMap<String, String>>) -> Self {
        Self(labels.into_iter().map(|(name, labels)| (name.clone(), Namespace::new(&name, labels))).collect())
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many namespaces are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Namespace> {
        self.0.get(name)
    }
}

impl Namespace {
    fn new(name: &str, mut labels: BTreeMap<String, String>) -> Self {
        labels.insert(NAME_LABEL.to_owned(), name.to_owned());
        let text = |text: &str| Json::Str(Cow::Owned(text.to_owned()));
        let shown: Map<'static> =
            labels.iter().map(|(key, value)| (Cow::Owned(key.clone()), text(value))).collect();
        let metadata = [(Cow::Borrowed("name"), text(name)), (Cow::Borrowed("labels"), Json::Map(shown))];
        let object = [
            (Cow::Borrowed("apiVersion"), text("v1")),
            (Cow::Borrowed("kind"), text("Namespace")),
            (Cow::Borrowed("metadata"), Json::Map(metadata.into_iter().collect())),
        ];
        Self { labels, object: Json::Map(object.into_iter().collect()) }
    }
}
