//! Whether a change of a binding may allow something that was denied before.
//!
//! Only what is certain counts as tightening; every other change counts as widening and requires the verb
//! `widen`.

use bailiwick_crds::binding::PolicyBindingSpec;
use bailiwick_policy::admission::Stage;
use bailiwick_policy::policy::{LabelSelector, Subject, Unmatched};

use super::{BoundPolicy, InForce};
use crate::reach::labels::Labels;

/// What a change of a binding does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widening {
    /// It allows nothing that was denied before.
    No,
    /// It may allow something; the word says what changed.
    Perhaps(&'static str),
}

/// What a change from `old` to `new` does; `None`: the binding does not exist.
#[must_use]
pub fn widens(old: Option<&PolicyBindingSpec>, new: Option<&PolicyBindingSpec>) -> Widening {
    match (old, new) {
        // One more pack is met with what is in force; `opens` decides whether it admits pods that nothing
        // selected.
        (None, _) => Widening::No,
        (Some(_), None) => Widening::Perhaps("the binding goes"),
        (Some(old), Some(new)) => changed(old, new),
    }
}

fn changed(old: &PolicyBindingSpec, new: &PolicyBindingSpec) -> Widening {
    if old.pack != new.pack {
        return Widening::Perhaps("`pack` changes");
    }
    if old.parameters != new.parameters {
        return Widening::Perhaps("`parameters` change");
    }
    if new.stage < old.stage {
        return Widening::Perhaps("`stage` goes back");
    }
    match (&old.narrow_to, &new.narrow_to) {
        // More pods are governed.
        (_, None) => {}
        (old, new) if old == new => {}
        _ => return Widening::Perhaps("`narrowTo` changes"),
    }
    // A longer window or fewer denials end a stage sooner, and then the stage before is in force again.
    if old.hold != new.hold {
        return Widening::Perhaps("`hold` changes");
    }
    Widening::No
}

/// The pack, if any, that denies pods which nothing selects and which `new` would select.
#[must_use]
pub fn opens<'a>(in_force: &'a InForce, new: &BoundPolicy) -> Option<&'a str> {
    let subject = new.policy.subject.as_ref()?;
    let closed = |bound: &&BoundPolicy| {
        bound.binding != new.binding
            && bound.stage == Stage::Enforce
            && bound.policy.subject.as_ref().is_some_and(|own| denies(own, subject))
    };
    in_force.policies().find(closed).map(|bound| bound.pack.name.as_str())
}

/// Whether one subject denies pods that the other would select.
fn denies(own: &Subject, new: &Subject) -> bool {
    let both: Vec<&LabelSelector> = own.namespaces.iter().chain(&new.namespaces).collect();
    let included = || match (Labels::all_of(&own.pods), Labels::all_of(&new.pods)) {
        (Some(own), Some(new)) => own.includes(&new),
        _ => false,
    };
    own.unmatched == Unmatched::Deny && Labels::all_of(both).is_some() && !included()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(change: serde_json::Value) -> PolicyBindingSpec {
        let mut spec = json!({ "pack": { "name": "a", "version": "1.0.0" }, "stage": "Warn" });
        for (key, value) in change.as_object().expect("an object") {
            spec[key] = value.clone();
        }
        serde_json::from_value(spec).expect("a spec")
    }

    #[test]
    fn only_what_certainly_tightens_needs_no_verb() {
        let narrow = json!({ "narrowTo": { "pods": { "matchLabels": { "a": "b" } } } });
        let old = spec(json!({}));
        assert_eq!(widens(None, Some(&old)), Widening::No);
        assert_eq!(widens(Some(&old), Some(&old)), Widening::No);
        assert_eq!(widens(Some(&old), Some(&spec(json!({ "stage": "Enforce" })))), Widening::No);
        assert_eq!(widens(Some(&old), Some(&spec(json!({ "rollout": "Immediate" })))), Widening::No);
        assert_eq!(widens(Some(&spec(narrow.clone())), Some(&old)), Widening::No);
        for change in [
            json!({ "pack": { "name": "a", "version": "1.0.1" } }),
            json!({ "parameters": { "size": "1Gi" } }),
            json!({ "stage": "Audit" }),
            json!({ "hold": { "maxNewDenials": 1, "window": "1m" } }),
            narrow,
        ] {
            assert_ne!(widens(Some(&old), Some(&spec(change.clone()))), Widening::No, "{change}");
        }
        assert_ne!(widens(Some(&old), None), Widening::No);
    }
}
