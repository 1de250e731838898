//! The newest version of every relevant object, as the watches report them.
//!
//! A watch that restarts lists everything again; what it does not list is gone. Until its list is complete,
//! the old one counts.

use std::collections::BTreeMap;

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value as Json;

/// Objects of one kind.
#[derive(Debug, Default)]
pub(crate) struct Kind {
    objects: BTreeMap<String, Json>,
    /// The objects that an incomplete list has reported so far.
    listing: Option<BTreeMap<String, Json>>,
    listed: bool,
}

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Packs,
    Bindings,
    Exceptions,
    Namespaces,
}

impl Watched {
    pub(crate) const ALL: [Self; 4] = [Self::Packs, Self::Bindings, Self::Exceptions, Self::Namespaces];

    const fn index(self) -> usize {
        self as usize
    }
}

/// All watched objects.
#[derive(Debug, Default)]
pub(crate) struct World {
    kinds: [Kind; 4],
}

impl World {
    /// Applies an event; returns whether it may have changed anything.
    pub(crate) fn take(&mut self, watched: Watched, event: Event<DynamicObject>) -> bool {
        let Some(kind) = self.kinds.get_mut(watched.index()) else { return false };
        match event {
            Event::Init => kind.listing = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                let (name, object) = named(object);
                kind.listing.get_or_insert_default().insert(name, object);
            }
            Event::InitDone => {
                let listed = kind.listing.take().unwrap_or_default();
                let changed = !kind.listed || listed != kind.objects;
                kind.objects = listed;
                kind.listed = true;
                return changed;
            }
            Event::Apply(object) => {
                let (name, object) = named(object);
                return kind.objects.insert(name, object.clone()) != Some(object);
            }
            Event::Delete(object) => return kind.objects.remove(&named(object).0).is_some(),
        }
        false
    }

    /// Whether everything was listed once.
    pub(crate) fn is_complete(&self) -> bool {
        self.kinds.iter().all(|kind| kind.listed)
    }

    /// Objects of a kind, by name.
    pub(crate) fn objects(&self, watched: Watched) -> Vec<Json> {
        self.kinds
            .get(watched.index())
            .map(|kind| kind.objects.values().cloned().collect())
            .unwrap_or_default()
    }
}

/// An object by its namespace and name, without fields that change and carry no information.
fn named(mut object: DynamicObject) -> (String, Json) {
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    let name = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    (name, serde_json::to_value(object).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, value: &str) -> DynamicObject {
        let json = serde_json::json!({ "metadata": { "name": name, "resourceVersion": value }, "spec": { "value": value } });
        serde_json::from_value(json).expect("an object")
    }

    #[test]
    fn a_list_takes_the_place_of_the_one_before_only_once_it_is_complete() {
        let mut world = World::default();
        let packs = Watched::Packs;
        assert!(!world.take(packs, Event::Init));
        assert!(!world.take(packs, Event::InitApply(object("a", "1"))));
        assert!(world.objects(packs).is_empty() && !world.is_complete());
        assert!(world.take(packs, Event::InitDone));
        assert_eq!(world.objects(packs).len(), 1);
        world.take(packs, Event::Init);
        world.take(packs, Event::InitApply(object("b", "1")));
        assert_eq!(world.objects(packs)[0]["metadata"]["name"], "a", "half a list counted");
        assert!(world.take(packs, Event::InitDone));
        assert_eq!(world.objects(packs)[0]["metadata"]["name"], "b");
        // The same list again changes nothing.
        world.take(packs, Event::Init);
        world.take(packs, Event::InitApply(object("b", "1")));
        assert!(!world.take(packs, Event::InitDone));
    }

    #[test]
    fn changes_and_removals_count_once() {
        let mut world = World::default();
        let packs = Watched::Packs;
        assert!(world.take(packs, Event::Apply(object("a", "1"))));
        assert!(!world.take(packs, Event::Apply(object("a", "1"))));
        assert!(world.take(packs, Event::Apply(object("a", "2"))));
        assert!(world.take(packs, Event::Delete(object("a", "2"))));
        assert!(!world.take(packs, Event::Delete(object("a", "2"))));
        for watched in Watched::ALL {
            assert!(!world.is_complete());
            world.take(watched, Event::InitDone);
        }
        assert!(world.is_complete());
    }
}
