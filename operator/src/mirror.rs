//! The API server's objects as far as they are known, by key: fed by watches and by the answers to the
//! operator's own writes.
//!
//! Guarantees: after a write was noted, no older version is seen again, although watches lag behind. Versions
//! decide, never the order of arrival; a list that began before a write does not undo it. An answer that comes
//! after the watch has told of later versions says nothing new: the object may be gone since.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kind::Kind;
use crate::object::{Key, Live};

/// All watched objects.
#[derive(Debug, Default)]
pub struct Mirror {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<Key, Arc<Live>>,
    /// Objects that we deleted ourselves, by key, with their uid, until the watch reports it too.
    gone: HashMap<Key, String>,
    lists: HashMap<Kind, Listing>,
    ready: BTreeSet<Kind>,
    /// Counts our own writes.
    clock: u64,
    /// When an object was last noted by one of our writes.
    noted: HashMap<Key, u64>,
    watched: HashMap<Kind, Watched>,
    /// Objects of our writes that a list did not have, with the version written, until the watch tells of
    /// them: the list may be older than the write, or the object may have been deleted before it.
    unlisted: BTreeMap<Key, u64>,
}

/// How far the watch of a kind has come.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    /// The latest version that it told of. A watch tells of changes in their order, and versions of one
    /// resource can be compared (KEP-5504).
    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>
    version: u64,
    /// How many lists are complete.
    lists: u64,
}

impl Watched {
    fn came_to(&mut self, version: u64) {
        self.version = self.version.max(version);
    }
}

/// A write that is not answered yet: what the answer is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    lists: u64,
}

/// A list that is being received.
#[derive(Debug, Default)]
struct Listing {
    began: u64,
    objects: BTreeMap<Key, Arc<Live>>,
}

/// A consistent view.
#[derive(Clone, Debug, Default)]
pub struct View {
    objects: BTreeMap<Key, Arc<Live>>,
}

impl Inner {
    /// The watch tells of this object. What no list had and it should have told of before is gone. Returns
    /// whether there was any.
    fn tells(&mut self, live: &Live) -> bool {
        let kind = live.key.kind;
        self.watched.entry(kind).or_default().came_to(live.version);
        self.unlisted.remove(&live.key);
        let passed: Vec<(Key, u64)> = (self.unlisted.iter())
            .filter(|(key, version)| key.kind == kind && **version < live.version)
            .map(|(key, version)| (key.clone(), *version))
            .collect();
        for (key, version) in &passed {
            self.unlisted.remove(key);
            if self.objects.get(key).is_some_and(|known| known.version == *version) {
                self.objects.remove(key);
                self.noted.remove(key);
            }
        }
        !passed.is_empty()
    }
}

impl Mirror {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A watch begins to list its kind again.
    pub fn list_begins(&self, kind: Kind) {
        let mut inner = self.lock();
        let began = inner.clock;
        inner.lists.insert(kind, Listing { began, objects: BTreeMap::new() });
    }

    /// One object of that list.
    pub fn listed(&self, live: Live) {
        let mut inner = self.lock();
        inner.lists.entry(live.key.kind).or_default().objects.insert(live.key.clone(), Arc::new(live));
    }

    /// The list is complete and replaces what was known of the kind. Returns whether anything changed.
    pub fn list_ends(&self, kind: Kind) -> bool {
        let mut inner = self.lock();
        let Some(list) = inner.lists.remove(&kind) else { return false };
        let before: BTreeMap<Key, Arc<Live>> = inner
            .objects
            .iter()
            .filter(|(key, _)| key.kind == kind)
            .map(|(k, v)| (k.clone(), Arc::clone(v)))
            .collect();
        let mut after = list.objects;
        let newest = after.values().map(|live| live.version).max().unwrap_or(0);
        let watched = inner.watched.entry(kind).or_default();
        watched.lists += 1;
        watched.came_to(newest);
        inner.unlisted.retain(|key, _| key.kind != kind);
        // An object deleted during the listing is still in the list. No event will mention an object that is
        // not in it.
        inner.gone.retain(|key, _| key.kind != kind || after.contains_key(key));
        after.retain(|key, live| inner.gone.get(key) != Some(&live.uid));
        for (key, live) in &before {
            // A list with anything newer was read after the write: what it does not have is gone.
            let ours_since =
                live.version > newest && inner.noted.get(key).is_some_and(|noted| *noted > list.began);
            if ours_since {
                if !after.contains_key(key) {
                    inner.unlisted.insert(key.clone(), live.version);
                }
                after.insert(key.clone(), Arc::clone(live));
            }
        }
        let changed = before != after || !inner.ready.contains(&kind);
        inner.objects.retain(|key, _| key.kind != kind);
        inner.objects.extend(after);
        inner.ready.insert(kind);
        changed
    }

    /// A watch reports that an object exists or changed. Returns whether that is news.
    pub fn applied(&self, live: Live) -> bool {
        let mut inner = self.lock();
        let is_news = inner.tells(&live);
        if inner.gone.get(&live.key) == Some(&live.uid) {
            return is_news;
        }
        if inner.objects.get(&live.key).is_some_and(|known| known.version >= live.version) {
            return is_news;
        }
        inner.objects.insert(live.key.clone(), Arc::new(live));
        true
    }

    /// A watch reports that an object is gone. Returns whether that is news.
    pub fn deleted(&self, live: &Live) -> bool {
        let mut inner = self.lock();
        let is_news = inner.tells(live);
        if inner.gone.get(&live.key) == Some(&live.uid) {
            inner.gone.remove(&live.key);
        }
        if inner.objects.get(&live.key).is_none_or(|known| known.version > live.version) {
            return is_news;
        }
        inner.noted.remove(&live.key);
        inner.objects.remove(&live.key).is_some()
    }

    /// Call before a write of that kind is sent, and give the result to [`Mirror::note`].
    pub fn sending(&self, kind: Kind) -> Sent {
        Sent { lists: self.lock().watched.get(&kind).map_or(0, |watched| watched.lists) }
    }

    /// Notes the answer to one of our writes, unless the watch has come further meanwhile: it told of what was
    /// written, and the object may have been deleted since. Returns false where a list ended meanwhile, for it
    /// may have been read before the write or after: the object must be looked at again.
    #[must_use]
    pub fn note(&self, live: Live, sent: Sent) -> bool {
        let mut inner = self.lock();
        // We deleted it and the watch did not tell of that: something holds it, so there is more to come.
        let is_held = inner.gone.get(&live.key) == Some(&live.uid);
        if is_held {
            inner.gone.remove(&live.key);
        } else {
            let watched = inner.watched.get(&live.key.kind).copied().unwrap_or_default();
            if live.version <= watched.version {
                return true;
            }
            if sent.lists != watched.lists {
                return false;
            }
        }
        inner.clock += 1;
        let clock = inner.clock;
        inner.noted.insert(live.key.clone(), clock);
        if inner.objects.get(&live.key).is_none_or(|known| known.version < live.version) {
            inner.objects.insert(live.key.clone(), Arc::new(live));
        }
        true
    }

    /// Notes the answer to one of our deletions.
    pub fn note_deleted(&self, key: &Key, uid: &str) {
        let mut inner = self.lock();
        if inner.objects.get(key).is_some_and(|known| known.uid == uid) {
            inner.objects.remove(key);
            inner.gone.insert(key.clone(), uid.to_owned());
        }
        inner.noted.remove(key);
    }

    /// Whether all of these kinds have been listed once.
    pub fn ready(&self, kinds: &[Kind]) -> bool {
        let inner = self.lock();
        kinds.iter().all(|kind| inner.ready.contains(kind))
    }

    /// Those of these kinds that have not been listed yet.
    pub fn missing(&self, kinds: &[Kind]) -> Vec<Kind> {
        let inner = self.lock();
        kinds.iter().copied().filter(|kind| !inner.ready.contains(kind)).collect()
    }

    /// All objects, as they are now.
    pub fn view(&self) -> View {
        View { objects: self.lock().objects.clone() }
    }

    /// One object, as it is now.
    pub fn get(&self, key: &Key) -> Option<Arc<Live>> {
        self.lock().objects.get(key).cloned()
    }
}

impl View {
    /// The objects of a kind, by namespace and name.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Arc<Live>> {
        self.objects.iter().filter(move |(key, _)| key.kind == kind).map(|(_, live)| live)
    }

    /// One object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Arc<Live>> {
        self.objects.get(key)
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Live>> {
        self.objects.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(name: &str, uid: &str, version: u64) -> Live {
        Live { uid: uid.to_owned(), version, ..Live::named(key(name)) }
    }

    fn key(name: &str) -> Key {
        Key { kind: Kind::NetworkPolicy, namespace: Some("n".to_owned()), name: name.to_owned() }
    }

    fn version(mirror: &Mirror, name: &str) -> Option<u64> {
        mirror.get(&key(name)).map(|live| live.version)
    }

    #[test]
    fn nothing_older_than_an_own_write_is_seen() {
        let mirror = Mirror::default();
        let sent = mirror.sending(Kind::NetworkPolicy);
        mirror.applied(live("a", "u", 5));
        assert!(mirror.note(live("a", "u", 9), sent));
        assert!(!mirror.applied(live("a", "u", 7)), "the watch lags behind");
        assert_eq!(version(&mirror, "a"), Some(9));
        assert!(mirror.applied(live("a", "u", 10)));
        // The deletion of an earlier object of that name, reported late.
        assert!(mirror.note(live("b", "new", 20), sent));
        assert!(!mirror.deleted(&live("b", "old", 15)));
        assert!(mirror.deleted(&live("b", "new", 21)));
        assert_eq!(version(&mirror, "b"), None);
    }

    #[test]
    fn what_we_deleted_does_not_come_back_by_an_old_event() {
        let mirror = Mirror::default();
        mirror.applied(live("a", "u", 5));
        mirror.note_deleted(&key("a"), "u");
        assert!(!mirror.applied(live("a", "u", 5)));
        assert_eq!(version(&mirror, "a"), None);
        assert!(mirror.applied(live("a", "other", 8)), "somebody made another one");
    }

    #[test]
    fn a_list_replaces_what_was_known_but_not_what_was_written_since_it_began() {
        let mirror = Mirror::default();
        let sent = mirror.sending(Kind::NetworkPolicy);
        mirror.applied(live("old", "u", 1));
        mirror.list_begins(Kind::NetworkPolicy);
        mirror.listed(live("a", "u", 5));
        assert!(mirror.note(live("a", "u", 9), sent));
        assert!(mirror.note(live("b", "u", 10), sent));
        assert!(!mirror.ready(&[Kind::NetworkPolicy]));
        assert!(mirror.list_ends(Kind::NetworkPolicy));
        assert!(mirror.ready(&[Kind::NetworkPolicy]));
        assert_eq!(
            (version(&mirror, "old"), version(&mirror, "a"), version(&mirror, "b")),
            (None, Some(9), Some(10))
        );
        // A later list without it: it was deleted while the watch was disconnected.
        mirror.list_begins(Kind::NetworkPolicy);
        mirror.listed(live("a", "u", 9));
        assert!(mirror.list_ends(Kind::NetworkPolicy));
        assert_eq!(version(&mirror, "b"), None);
    }

    #[test]
    fn an_answer_that_comes_after_the_deletion_of_what_was_written_brings_nothing_back() {
        let mirror = Mirror::default();
        let sent = mirror.sending(Kind::NetworkPolicy);
        mirror.applied(live("a", "u", 9));
        assert!(mirror.deleted(&live("a", "u", 10)));
        assert!(mirror.note(live("a", "u", 9), sent));
        assert_eq!(version(&mirror, "a"), None, "no event would ever remove it again");
        // The events came within a list: it was begun after the deletion, and no object of it is as new.
        mirror.list_begins(Kind::NetworkPolicy);
        assert!(mirror.list_ends(Kind::NetworkPolicy));
        assert!(!mirror.note(live("b", "u", 11), sent), "it is looked at again");
        assert_eq!(version(&mirror, "b"), None);
        assert!(mirror.note(live("b", "u", 12), mirror.sending(Kind::NetworkPolicy)));
        assert_eq!(version(&mirror, "b"), Some(12), "the watch has not told of it yet");
    }

    #[test]
    fn what_was_written_during_a_list_goes_unless_the_watch_tells_of_it() {
        let relisted = |listed: u64| {
            let mirror = Mirror::default();
            mirror.list_begins(Kind::NetworkPolicy);
            assert!(mirror.note(live("ours", "u", 10), mirror.sending(Kind::NetworkPolicy)));
            mirror.listed(live("other", "o", listed));
            assert!(mirror.list_ends(Kind::NetworkPolicy));
            mirror
        };
        // Somebody deleted it before the list was read.
        assert_eq!(version(&relisted(12), "ours"), None);
        let mirror = relisted(5);
        assert_eq!(version(&mirror, "ours"), Some(10));
        assert!(mirror.applied(live("other", "o", 13)), "the watch would have told of it first");
        assert_eq!(version(&mirror, "ours"), None);
        // The list was read before the write.
        let mirror = relisted(5);
        assert!(!mirror.applied(live("ours", "u", 10)));
        assert!(mirror.applied(live("other", "o", 13)));
        assert_eq!(version(&mirror, "ours"), Some(10));
    }

    #[test]
    fn what_we_deleted_and_a_finalizer_holds_is_seen_once_it_is_wanted_again() {
        let mirror = Mirror::default();
        mirror.applied(live("a", "u", 5));
        mirror.note_deleted(&key("a"), "u");
        let held = |version| Live { ending: true, ..live("a", "u", version) };
        assert!(!mirror.applied(held(6)));
        assert_eq!(version(&mirror, "a"), None);
        // An apply that changes nothing is answered with the version that is there.
        assert!(mirror.note(held(6), mirror.sending(Kind::NetworkPolicy)));
        assert!(mirror.get(&key("a")).is_some_and(|live| live.ending));
        assert!(mirror.deleted(&live("a", "u", 7)), "its end is news");
        assert_eq!(version(&mirror, "a"), None);
    }
}
