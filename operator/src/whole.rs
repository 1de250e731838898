//! Objects that apply to whole namespaces, and so to all bindings that reach them: the policies that protect
//! the labels of cells, and Pod Security labels. Pure.
//!
//! While a binding is lost, its part in such an object is unknown. The object is left as it is wherever that
//! binding contributed to it, and kept up to date everywhere else. Each object carries the names of its
//! bindings, so that this is known after a restart, too. One without them, from an earlier version, may
//! belong to any binding.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_compiler::emit::{CELLS, Left};
use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::mirror::View;
use crate::object::Live;
use crate::pools::DIGEST_ANNOTATION;

/// The annotation with the names of an object's bindings, separated by spaces.
pub const BINDINGS_ANNOTATION: &str = "bailiwick.dev/bindings";

/// The annotation of a pack's objects with the packs that they come from, as `name@version`.
pub const PACKS_ANNOTATION: &str = "bailiwick.dev/packs";

/// Whether an object applies to whole namespaces.
#[must_use]
pub fn is_whole(kind: &str, name: &str) -> bool {
    kind == Kind::Namespace.name() || name.starts_with(CELLS)
}

/// Writes the names of the bindings into a manifest.
pub fn sign(manifest: &mut Value, bindings: &[String]) {
    let metadata = manifest.get_mut("metadata").and_then(Value::as_object_mut);
    let annotations =
        metadata.map(|metadata| metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new())));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.insert(BINDINGS_ANNOTATION.to_owned(), Value::String(bindings.join(" ")));
    }
}

/// Whether one of these bindings contributed to an object, according to its annotation.
#[must_use]
pub fn is_of(live: &Live, bindings: &BTreeMap<String, String>) -> bool {
    is_signed(live.annotations.get(BINDINGS_ANNOTATION).map(String::as_str), bindings)
}

fn is_signed(signature: Option<&str>, bindings: &BTreeMap<String, String>) -> bool {
    signature.is_none_or(|names| names.split(' ').any(|name| bindings.contains_key(name)))
}

/// What the existing objects of this kind say of their bindings, the packs that existing admission policies come
/// from, and the published bundles. Nothing else of the objects, so that two of these are equal as long as nothing that is
/// read here has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    closed: BTreeSet<Part>,
    labels: BTreeSet<Part>,
    packs: BTreeSet<String>,
    bundles: BTreeMap<String, Arc<Live>>,
}

/// A namespace, and the bindings of the object that applies to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    namespace: String,
    signature: Option<String>,
}

impl Part {
    fn new(namespace: String, of: &Live) -> Self {
        Self { namespace, signature: of.annotations.get(BINDINGS_ANNOTATION).cloned() }
    }
}

impl Standing {
    /// Reads them; `owner` is the namespace of the operator.
    #[must_use]
    pub fn read(view: &View, owner: &str) -> Self {
        let policies = || view.of(Kind::ValidatingAdmissionPolicy).filter(|live| live.owned_by(owner));
        let labelled = view.of(Kind::Namespace).filter(|live| live.owned_by(owner));
        let closed = policies().filter(|live| live.key.name.starts_with(CELLS));
        let packs = policies().filter_map(|live| live.annotations.get(PACKS_ANNOTATION));
        let bundles = view.of(Kind::ConfigMap).filter(|live| {
            live.owned_by(owner)
                && live.key.namespace.as_deref() == Some(owner)
                && live.annotations.contains_key(DIGEST_ANNOTATION)
        });
        Self {
            closed: closed
                .flat_map(|live| namespaces(live).map(|namespace| Part::new(namespace, live)))
                .collect(),
            labels: labelled.map(|live| Part::new(live.key.name.clone(), live)).collect(),
            packs: packs.flat_map(|packs| packs.split(' ')).map(str::to_owned).collect(),
            bundles: bundles.map(|live| (live.key.name.clone(), Arc::clone(live))).collect(),
        }
    }

    /// A published bundle, by the name of its ConfigMap.
    #[must_use]
    pub fn bundle(&self, name: &str) -> Option<&Live> {
        self.bundles.get(name).map(AsRef::as_ref)
    }

    /// Whether any admission policy of a pack exists, `name@version`.
    #[must_use]
    pub fn has(&self, pack: &str) -> bool {
        self.packs.contains(pack)
    }

    /// Where one of these bindings contributed to what exists.
    #[must_use]
    pub fn left(&self, bindings: &BTreeMap<String, String>) -> Left {
        if bindings.is_empty() {
            return Left::default();
        }
        let of = |parts: &BTreeSet<Part>| {
            let lost = parts.iter().filter(|part| is_signed(part.signature.as_deref(), bindings));
            lost.map(|part| part.namespace.clone()).collect()
        };
        Left {
            closed: of(&self.closed),
            labels: of(&self.labels),
            packs: self.packs.clone(),
            ..Left::default()
        }
    }
}

/// The namespaces that a policy of cells names.
fn namespaces(live: &Live) -> impl Iterator<Item = String> {
    let terms = live.spec().pointer("/matchConstraints/namespaceSelector/matchExpressions");
    let values = terms.and_then(Value::as_array).into_iter().flatten().filter_map(|term| term.get("values"));
    values.filter_map(Value::as_array).flatten().filter_map(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mirror::Mirror;
    use crate::object::{Key, OWNER_LABEL};

    fn ours(kind: Kind, name: &str, bindings: Option<&str>, spec: &Value) -> Live {
        let key = Key { kind, namespace: None, name: name.to_owned() };
        let annotations = bindings.map(|names| (BINDINGS_ANNOTATION.to_owned(), names.to_owned()));
        Live {
            labels: [(OWNER_LABEL.to_owned(), "system".to_owned())].into(),
            annotations: annotations
                .into_iter()
                .chain([(PACKS_ANNOTATION.to_owned(), "a@1.0.0".to_owned())])
                .collect(),
            body: Map::from_iter([("spec".to_owned(), spec.clone())]),
            ..Live::named(key)
        }
    }

    fn closed(name: &str, bindings: Option<&str>, namespaces: &[&str]) -> Live {
        let term = json!({ "key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces });
        let spec = json!({ "matchConstraints": { "namespaceSelector": { "matchExpressions": [term] } } });
        ours(Kind::ValidatingAdmissionPolicy, &format!("{CELLS}{name}"), bindings, &spec)
    }

    #[test]
    fn what_is_left_is_what_a_lost_binding_had_a_say_in_or_may_have() {
        let mirror = Mirror::default();
        let namespace = |name, bindings| ours(Kind::Namespace, name, bindings, &Value::Null);
        for live in [
            closed("0", Some("a"), &["n"]),
            closed("1", Some("a b"), &["m", "l"]),
            closed("2", None, &["old"]),
            namespace("n", Some("a")),
            namespace("m", Some("b")),
            namespace("old", None),
            // Another owner's, whatever it says.
            Live { labels: BTreeMap::new(), ..namespace("theirs", Some("b")) },
        ] {
            mirror.applied(live);
        }
        let standing = Standing::read(&mirror.view(), "system");
        // Another client's status report or annotation is no change of what stands.
        let mut reported = namespace("n", Some("a"));
        reported.version += 1;
        reported.status = json!({ "phase": "Active" });
        reported.annotations.insert("example.org/note".to_owned(), "seen".to_owned());
        mirror.applied(reported);
        assert_eq!(Standing::read(&mirror.view(), "system"), standing);
        let lost = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(standing.left(&lost(&[])), Left::default());
        let left = standing.left(&lost(&["b"]));
        assert_eq!(
            left,
            Left {
                closed: named(&["l", "m", "old"]),
                labels: named(&["m", "old"]),
                packs: named(&["a@1.0.0"]),
                ..Left::default()
            }
        );
        let left = standing.left(&lost(&["c"]));
        assert_eq!(
            left,
            Left {
                closed: named(&["old"]),
                labels: named(&["old"]),
                packs: named(&["a@1.0.0"]),
                ..Left::default()
            }
        );
    }
}
