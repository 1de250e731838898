//! What to write, as a function of what is wanted, what is live, and the forms that are known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::kind::Share;
use crate::object::{Drift, Key, Live, Wanted};

/// Forms by key and hash of the manifest.
#[derive(Debug, Default)]
pub struct Forms {
    known: HashMap<Key, (String, Map<String, Value>)>,
}

impl Forms {
    /// The form of a manifest, if it is known.
    #[must_use]
    pub fn get(&self, wanted: &Wanted) -> Option<&Map<String, Value>> {
        self.known.get(&wanted.key).filter(|(hash, _)| *hash == wanted.hash).map(|(_, form)| form)
    }

    /// Whether an earlier manifest of that object has a form: then this operator applied it.
    #[must_use]
    fn knew_another(&self, wanted: &Wanted) -> bool {
        self.known.get(&wanted.key).is_some_and(|(hash, _)| *hash != wanted.hash)
    }

    /// Remembers a form.
    pub fn learn(&mut self, wanted: &Wanted, form: Map<String, Value>) {
        self.known.insert(wanted.key.clone(), (wanted.hash.clone(), form));
    }

    /// Forgets the forms of objects that are no longer wanted.
    pub fn keep_only(&mut self, wanted: &BTreeMap<Key, Wanted>) {
        self.known.retain(|key, _| wanted.contains_key(key));
    }
}

/// Why an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It was missing, or another manifest was in force.
    Wanted,
    /// Another client changed it.
    Drift(Drift),
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write<'w> {
    /// Bring an object into its form.
    Apply {
        /// The object.
        wanted: &'w Wanted,
        /// Why.
        why: Why,
        /// The object in the cluster.
        live: Option<Arc<Live>>,
    },
    /// Remove an object of ours.
    Delete(Arc<Live>),
    /// Remove our labels from another owner's object.
    Release(Arc<Live>),
}

impl Write<'_> {
    /// An object that this operator compares for the first time since it started may differ because an earlier
    /// operator applied an older manifest, which is no drift.
    pub fn own_change(&mut self, first_seen: &BTreeSet<&Key>) {
        if let Self::Apply { wanted, why, live: Some(live) } = self
            && wanted.follows(live)
            && first_seen.contains(&wanted.key)
        {
            *why = Why::Wanted;
        }
    }

    /// The object that it writes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Apply { wanted, .. } => &wanted.key,
            Self::Delete(live) | Self::Release(live) => &live.key,
        }
    }
}

/// All writes of a pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan<'w> {
    /// In the order of writing; objects of the same kind are in any order.
    pub writes: Vec<Write<'w>>,
    /// Objects that cannot be compared before their form is known.
    pub unknown: Vec<&'w Wanted>,
    /// Objects that are being deleted and will have to be created again.
    pub ending: Vec<Key>,
}

/// Compares.
///
/// `keep` says whether an object of ours that is not wanted stays all the same.
pub fn plan<'w>(
    wanted: &'w BTreeMap<Key, Wanted>,
    live: &BTreeMap<Key, Arc<Live>>,
    forms: &Forms,
    keep: impl Fn(&Live) -> bool,
) -> Plan<'w> {
    let mut plan = Plan::default();
    for (key, one) in wanted {
        match (one.key.kind.share(), live.get(key)) {
            (Share::Status | Share::Nothing, _) => {}
            // The object belongs to another owner: it is not created, and only the labels count.
            (Share::Labels, None) => {}
            (Share::Labels, Some(found)) => {
                if !one.marks(found) && !found.ending {
                    let why =
                        if found.owned_by(owner(one)) { Why::Drift(Drift::Edited) } else { Why::Wanted };
                    plan.writes.push(Write::Apply { wanted: one, why, live: Some(Arc::clone(found)) });
                }
            }
            (Share::Made, Some(found)) if !found.owned_by(owner(one)) => {}
            (Share::Whole | Share::Made, found) => whole(&mut plan, one, found, forms),
        }
    }
    let unwanted = live.iter().rev().filter(|(key, found)| !wanted.contains_key(*key) && !found.ending);
    for (key, found) in unwanted {
        match key.kind.share() {
            Share::Whole | Share::Made if !keep(found) => plan.writes.push(Write::Delete(Arc::clone(found))),
            Share::Labels if !keep(found) => plan.writes.push(Write::Release(Arc::clone(found))),
            _ => {}
        }
    }
    plan
}

fn whole<'w>(plan: &mut Plan<'w>, one: &'w Wanted, found: Option<&Arc<Live>>, forms: &Forms) {
    let form = forms.get(one);
    let Some(found) = found else {
        // A known form means that the object was in place before.
        let why = if form.is_some() { Why::Drift(Drift::Deleted) } else { Why::Wanted };
        plan.writes.push(Write::Apply { wanted: one, why, live: None });
        return;
    };
    // It is in force as long as a finalizer holds it, so it is kept as wanted until then, and created again
    // once it is gone.
    if found.ending {
        plan.ending.push(one.key.clone());
    }
    let Some(form) = form else {
        if forms.knew_another(one) {
            plan.writes.push(Write::Apply { wanted: one, why: Why::Wanted, live: Some(Arc::clone(found)) });
        } else {
            plan.unknown.push(one);
        }
        return;
    };
    if *form != found.body || !one.marks(found) {
        let why = Why::Drift(Drift::Edited);
        plan.writes.push(Write::Apply { wanted: one, why, live: Some(Arc::clone(found)) });
    }
}

fn owner(wanted: &Wanted) -> &str {
    let at = format!("/metadata/labels/{}", crate::object::OWNER_LABEL.replace('/', "~1"));
    wanted.manifest.pointer(&at).and_then(Value::as_str).unwrap_or_default()
}
