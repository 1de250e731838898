//! What stays although it is no longer wanted: existing objects whose desired state cannot be computed, and
//! objects that still serve running pods.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::admission::CELL_LABEL;
use serde_json::Value;

use crate::arming;
use crate::cell_usage::Place;
use crate::derive::Derived;
use crate::kind::{Kind, Share};
use crate::object::{Key, Live, Wanted};
use crate::pools::DIGEST_ANNOTATION;
use crate::whole::{BINDINGS_ANNOTATION, PACKS_ANNOTATION, is_of};

/// The reasons to keep objects.
pub(super) struct Keep<'a> {
    pub(super) derived: &'a Derived,
    /// Nothing is known of the webhook's configurations except that they were in force.
    pub(super) hooks: bool,
    /// An administrator removed the admission policies over pods for a time.
    pub(super) withdrawn: bool,
    /// Namespaces with pools that have pods of another bundle than the wanted one.
    pub(super) rolling: BTreeSet<String>,
    /// Bundles that statuses of bindings name.
    pub(super) named: BTreeSet<Key>,
    /// Cells in use by pods; `None` while that is not known.
    pub(super) borne: Option<BTreeSet<Place>>,
}

impl Keep<'_> {
    /// Whether an object of ours stays.
    pub(super) fn live(&self, live: &Live) -> bool {
        let namespace = live.key.namespace.as_deref().unwrap_or_default();
        match live.key.kind {
            kind if arming::KINDS.contains(&kind) => self.hooks,
            // A disarmament for a time must take effect.
            _ if self.withdrawn && arming::is_withdrawn(&live.key) => false,
            Kind::ConfigMap | Kind::Deployment if self.derived.held.contains(namespace) => {
                live.key.kind.share() == Share::Whole
            }
            Kind::ConfigMap if self.named.contains(&live.key) => true,
            // Bundles and profiles: a pod of the old digest may have to start once more.
            Kind::ConfigMap => {
                self.rolling.contains(namespace) && live.annotations.contains_key(DIGEST_ANNOTATION)
            }
            Kind::NetworkPolicy => {
                !self.derived.lost.is_empty()
                    || self.reaches_unemitted(namespace)
                    || self.network(
                        namespace,
                        live.labels.get(CELL_LABEL).map(String::as_str),
                        live.annotations.get(PACKS_ANNOTATION).map(String::as_str),
                        live.spec(),
                    )
            }
            Kind::ValidatingAdmissionPolicy
            | Kind::ValidatingAdmissionPolicyBinding
            | Kind::RuntimeClass
            | Kind::Namespace => self.may_be_lost(live) || self.may_be_unemitted(live),
            _ => false,
        }
    }

    /// Whether a control that is not wanted any more stays because its successor may be among what could not be
    /// written: a control alike in the same place that a binding of the same pack wants, in whatever version. The
    /// objects of a new version have new names, and until they stand, those of the old version are all there is.
    pub(super) fn awaits(&self, live: &Live, unwritten: &BTreeSet<&Key>) -> bool {
        // A disarmament for a time must take effect.
        if self.withdrawn && arming::is_withdrawn(&live.key) {
            return false;
        }
        let said = |annotation| live.annotations.get(annotation).map(String::as_str).unwrap_or_default();
        let (own_packs, own_bindings) = (said(PACKS_ANNOTATION), said(BINDINGS_ANNOTATION));
        let beside = unwritten.iter().filter(|key| are_alike(key, &live.key));
        let mut bindings = beside.filter_map(|key| self.derived.bindings_of.get(*key)).flatten();
        bindings.any(|name| {
            let pack = self.derived.bound.get(name).map(|bound| bound.pack.as_str());
            pack.is_some_and(|pack| names(own_packs, pack))
                || own_bindings.split(' ').any(|own| own == name.as_str())
        })
    }

    /// Whether an object may belong to a binding whose policy in force is unknown.
    fn may_be_lost(&self, live: &Live) -> bool {
        !self.derived.lost.is_empty() && is_of(live, &self.derived.lost)
    }

    /// Whether a binding governs pods in a namespace whose objects cannot all be emitted.
    fn reaches_unemitted(&self, namespace: &str) -> bool {
        let reach = self.derived.cells.reach.get(namespace);
        reach.into_iter().flatten().any(|binding| self.derived.unemitted.contains_key(binding))
    }

    /// Whether an object may belong to a binding whose objects cannot all be emitted. Its annotations name bindings
    /// or packs, or nothing.
    fn may_be_unemitted(&self, live: &Live) -> bool {
        let unemitted = &self.derived.unemitted;
        let own = [BINDINGS_ANNOTATION, PACKS_ANNOTATION].map(|annotation| live.annotations.get(annotation));
        match own {
            _ if unemitted.is_empty() => false,
            [None, Some(packs)] => {
                let mut bound = unemitted.keys().filter_map(|name| self.derived.bound.get(name));
                bound.any(|bound| names(packs, &bound.pack))
            }
            _ => is_of(live, unemitted),
        }
    }

    /// Whether an object that was wanted before stays: then it is also restored when it is changed.
    pub(super) fn wanted(&self, wanted: &Wanted) -> bool {
        let text = |at: &str| wanted.manifest.pointer(at).and_then(Value::as_str);
        let spec = wanted.manifest.get("spec").unwrap_or(&Value::Null);
        wanted.key.kind == Kind::NetworkPolicy
            && self.network(
                wanted.key.namespace.as_deref().unwrap_or_default(),
                text("/metadata/labels/bailiwick.dev~1cell"),
                text("/metadata/annotations/bailiwick.dev~1packs"),
                spec,
            )
    }

    /// Whether a NetworkPolicy of a former cell stays: as long as pods carry its label and one of its packs
    /// still restricts them. Without it those pods would be cut off from everything.
    fn network(&self, namespace: &str, cell: Option<&str>, packs: Option<&str>, spec: &Value) -> bool {
        let (Some(cell), Some(packs)) = (cell, packs) else { return false };
        let rules = |direction: &str| spec.get(direction).and_then(Value::as_array);
        let allows = ["egress", "ingress"].into_iter().filter_map(rules).any(|rules| !rules.is_empty());
        let known = self.derived.cells.cells.get(cell);
        let is_one = known.is_some_and(|cell| cell.namespaces.iter().any(|one| one == namespace));
        let place = (namespace.to_owned(), cell.to_owned());
        let borne = self.borne.as_ref().is_none_or(|borne| borne.contains(&place));
        allows && !is_one && borne && self.holds(namespace, packs)
    }

    /// Whether a binding of one of these packs is enforced in a namespace.
    fn holds(&self, namespace: &str, packs: &str) -> bool {
        let bindings = self.derived.cells.reach.get(namespace).into_iter().flatten();
        let mut bound = bindings.filter_map(|name| self.derived.bound.get(name));
        bound.any(|bound| bound.stage == "Enforce" && names(packs, &bound.pack))
    }
}

/// Whether the annotation with an object's packs names this one, in any version.
fn names(packs: &str, pack: &str) -> bool {
    packs.split(' ').any(|one| one.split('@').next() == Some(pack))
}

/// The wanted network objects, which may have to outlive their cell.
pub(super) fn networks(wanted: &BTreeMap<Key, Wanted>) -> BTreeMap<Key, Wanted> {
    let of_cells = wanted.iter().filter(|(key, _)| key.kind == Kind::NetworkPolicy);
    of_cells.map(|(key, one)| (key.clone(), one.clone())).collect()
}

/// Whether two objects are controls of one sort in one place. An admission policy does nothing without its binding,
/// nor the binding without the policy, so each waits for both. Those that every binding has in common
/// (`arming::is_withdrawn` tells them apart) follow no other.
fn are_alike(unwritten: &Key, live: &Key) -> bool {
    let sort = |key: &Key| match key.kind {
        Kind::NetworkPolicy => Some(Kind::NetworkPolicy),
        _ if arming::is_withdrawn(key) => Some(Kind::ValidatingAdmissionPolicy),
        _ => None,
    };
    sort(live).is_some() && sort(unwritten) == sort(live) && unwritten.namespace == live.namespace
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::derive::BoundPack;
    use bailiwick_compiler::cluster::Cell;

    fn object(kind: Kind, name: &str, manifest: &Value) -> Live {
        let key = Key { kind, namespace: kind.namespaced().then(|| "n".to_owned()), name: name.to_owned() };
        let strings = |at: &str| serde_json::from_value(manifest[at].clone()).unwrap_or_default();
        let body = manifest["body"].as_object().cloned().unwrap_or_default();
        Live { labels: strings("labels"), annotations: strings("annotations"), body, ..Live::named(key) }
    }

    /// A NetworkPolicy that lets pods of a cell of pack `a` out.
    fn allowing(cell: &str) -> Live {
        let body = json!({ "spec": { "egress": [{ "to": [] }] } });
        let manifest = json!({ "labels": { CELL_LABEL: cell }, "annotations": { PACKS_ANNOTATION: "a@1.0.0 base@1.0.0" }, "body": body });
        object(Kind::NetworkPolicy, "out", &manifest)
    }

    /// A binding of `a` at a stage, which reaches `n`; its cell is `new`.
    fn derived(stage: &'static str) -> Derived {
        let mut derived = Derived::default();
        let bound = BoundPack {
            pack: "a".to_owned(),
            chosen: Default::default(),
            stage,
            digest: "d".to_owned(),
            if_lost: None,
        };
        derived.bound.insert("a".to_owned(), bound);
        derived.cells.reach.insert("n".to_owned(), vec!["a".to_owned()]);
        let cell = Cell {
            name: "new".to_owned(),
            bindings: vec!["a".to_owned()],
            namespaces: vec!["n".to_owned()],
            effective: None,
        };
        derived.cells.cells.insert("new".to_owned(), cell);
        derived
    }

    fn keep<'d>(derived: &'d Derived, borne: Option<&[&str]>) -> Keep<'d> {
        let place = |cell: &&str| ("n".to_owned(), (*cell).to_owned());
        let borne = borne.map(|cells| cells.iter().map(place).collect());
        Keep {
            derived,
            hooks: false,
            withdrawn: false,
            rolling: BTreeSet::new(),
            named: BTreeSet::new(),
            borne,
        }
    }

    #[test]
    fn the_network_of_a_cell_stays_while_its_pods_run_and_its_packs_hold_them() {
        let enforced = derived("Enforce");
        assert!(keep(&enforced, Some(&["old"])).live(&allowing("old")));
        assert!(keep(&enforced, None).live(&allowing("old")), "nobody knows yet which pods there are");
        assert!(!keep(&enforced, Some(&[])).live(&allowing("old")), "its last pod is gone");
        assert!(!keep(&enforced, Some(&["new"])).live(&allowing("new")), "what is one is wanted, or not");
        assert!(
            !keep(&derived("Audit"), Some(&["old"])).live(&allowing("old")),
            "nothing holds the pods back"
        );
        assert!(!keep(&Derived::default(), Some(&["old"])).live(&allowing("old")), "the binding is gone");
        let mut denying = allowing("old");
        denying.body = json!({ "spec": { "policyTypes": ["Egress"] } }).as_object().expect("a body").clone();
        assert!(!keep(&enforced, Some(&["old"])).live(&denying), "what only denies is the binding's");
    }

    #[test]
    fn a_control_is_not_removed_before_its_successor_can_be_written() {
        let mut derived = derived("Enforce");
        let new = object(Kind::NetworkPolicy, "new", &json!({})).key;
        derived.bindings_of.insert(new.clone(), vec!["a".to_owned()]);
        let keep = keep(&derived, Some(&[]));
        let awaits = |live: &Live, of: &[&Key]| keep.awaits(live, &of.iter().copied().collect());
        let of = |annotation: &str, names: &str| {
            object(Kind::NetworkPolicy, "old", &json!({ "annotations": { annotation: names } }))
        };
        let old = of(PACKS_ANNOTATION, "a@0.9.0 base@1.0.0");
        assert!(awaits(&old, &[&new]) && awaits(&of(BINDINGS_ANNOTATION, "b a"), &[&new]));
        assert!(!awaits(&old, &[]), "nothing follows it");
        // Of a binding that is gone, of another pack above the same one, of nobody known.
        for other in [of(PACKS_ANNOTATION, "c@1.0.0 base@1.0.0"), of(BINDINGS_ANNOTATION, "c"), of("x", "a")]
        {
            assert!(!awaits(&other, &[&new]), "{other:?}");
        }
        let mut elsewhere = of(PACKS_ANNOTATION, "a@0.9.0");
        elsewhere.key.namespace = Some("m".to_owned());
        let policy = json!({ "annotations": { PACKS_ANNOTATION: "a@0.9.0" } });
        for other in [elsewhere, object(Kind::ValidatingAdmissionPolicy, "old", &policy)] {
            assert!(!awaits(&other, &[&new]), "{other:?}");
        }
    }

    #[test]
    fn an_admission_policy_and_its_binding_wait_for_both_and_not_for_what_bindings_share() {
        let mut derived = derived("Enforce");
        let packs = json!({ "annotations": { PACKS_ANNOTATION: "a@0.9.0" } });
        let kinds = [Kind::ValidatingAdmissionPolicy, Kind::ValidatingAdmissionPolicyBinding];
        let new = kinds.map(|kind| object(kind, "bailiwick-new", &json!({})).key);
        let shared = object(kinds[0], bailiwick_compiler::emit::BINDINGS, &json!({})).key;
        for key in new.iter().chain([&shared]) {
            derived.bindings_of.insert(key.clone(), vec!["a".to_owned()]);
        }
        let keep = keep(&derived, Some(&[]));
        let withdrawn = Keep { withdrawn: true, ..self::keep(&derived, Some(&[])) };
        for (old, new) in kinds.iter().flat_map(|kind| new.iter().map(move |new| (*kind, new))) {
            let old = object(old, "bailiwick-old", &packs);
            assert!(keep.awaits(&old, &[new].into()), "{old:?} {new:?}");
            assert!(
                !keep.awaits(&old, &[&shared].into()),
                "{old:?}: one binding in trouble holds all others"
            );
            assert!(!withdrawn.awaits(&old, &[new].into()), "a disarmament takes effect");
        }
    }

    #[test]
    fn no_control_goes_while_a_binding_is_lost() {
        let controls = [
            Kind::NetworkPolicy,
            Kind::ValidatingAdmissionPolicy,
            Kind::ValidatingAdmissionPolicyBinding,
            Kind::Namespace,
            Kind::RuntimeClass,
        ];
        let mut derived = Derived::default();
        for kind in controls {
            assert!(!keep(&derived, Some(&[])).live(&object(kind, "x", &json!({}))), "{kind:?}");
        }
        derived.lost.insert("a".to_owned(), "why".to_owned());
        for kind in controls {
            assert!(keep(&derived, Some(&[])).live(&object(kind, "x", &json!({}))), "{kind:?}");
        }
        assert!(!keep(&derived, Some(&[])).live(&object(Kind::Secret, "x", &json!({}))));
        // An object that names other bindings goes only when those no longer want it.
        for (bindings, stays) in [("a b", true), ("b", false)] {
            let of = json!({ "annotations": { BINDINGS_ANNOTATION: bindings } });
            assert_eq!(keep(&derived, Some(&[])).live(&object(Kind::Namespace, "x", &of)), stays);
        }
        // A disarmament for a time takes effect: what judges pods goes, what protects bindings stays.
        let withdrawn = Keep { withdrawn: true, ..keep(&derived, Some(&[])) };
        let policy = |name: &str| object(Kind::ValidatingAdmissionPolicy, name, &json!({}));
        assert!(!withdrawn.live(&policy("bailiwick-0123-rules")));
        assert!(withdrawn.live(&policy(bailiwick_compiler::emit::BINDINGS)));
    }

    #[test]
    fn of_a_binding_whose_objects_are_unknown_nothing_goes_and_of_others_what_is_not_wanted() {
        let mut derived = derived("Enforce");
        let of = |annotation: &str, names: &str| json!({ "annotations": { annotation: names } });
        let own = [
            (Kind::NetworkPolicy, json!({})),
            (Kind::ValidatingAdmissionPolicy, of(PACKS_ANNOTATION, "a@0.9.0 base@1.0.0")),
            (Kind::ValidatingAdmissionPolicy, of(BINDINGS_ANNOTATION, "b a")),
            (Kind::Namespace, of(BINDINGS_ANNOTATION, "a")),
            (Kind::RuntimeClass, json!({})),
        ];
        let others = [
            (Kind::ValidatingAdmissionPolicy, of(PACKS_ANNOTATION, "b@1.0.0")),
            (Kind::Namespace, of(BINDINGS_ANNOTATION, "b")),
            (Kind::ConfigMap, json!({})),
            (Kind::Deployment, json!({})),
        ];
        let stays = |derived: &Derived, (kind, manifest): &(Kind, Value)| {
            keep(derived, Some(&[])).live(&object(*kind, "bailiwick-x", manifest))
        };
        assert!(!own.iter().chain(&others).any(|one| stays(&derived, one)));
        derived.unemitted.insert("a".to_owned(), "why".to_owned());
        assert!(own.iter().all(|one| stays(&derived, one)));
        assert!(!others.iter().any(|one| stays(&derived, one)));
        let mut elsewhere = object(Kind::NetworkPolicy, "bailiwick-x", &json!({}));
        elsewhere.key.namespace = Some("m".to_owned());
        assert!(!keep(&derived, Some(&[])).live(&elsewhere), "no pod of `a` is there");
        let withdrawn = Keep { withdrawn: true, ..keep(&derived, Some(&[])) };
        let policy = object(Kind::ValidatingAdmissionPolicy, "bailiwick-0123-rules", &json!({}));
        assert!(!withdrawn.live(&policy));
    }

    #[test]
    fn old_bundles_stay_while_pods_of_theirs_may_start() {
        let derived = Derived::default();
        let bundle =
            object(Kind::ConfigMap, "b", &json!({ "annotations": { DIGEST_ANNOTATION: "sha256:d" } }));
        let mut keep = keep(&derived, Some(&[]));
        assert!(!keep.live(&bundle));
        keep.named.insert(bundle.key.clone());
        assert!(keep.live(&bundle), "a status may still name it after the next restart");
        keep.named.clear();
        keep.rolling.insert("n".to_owned());
        assert!(keep.live(&bundle));
        assert!(!keep.live(&object(Kind::ConfigMap, "other", &json!({}))));
        assert!(!keep.live(&object(Kind::Deployment, "pool", &json!({}))), "a pool that is gone");
    }
}
