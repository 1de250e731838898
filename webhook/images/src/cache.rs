//! A bounded cache in two generations. When the younger is full, the older is dropped as a whole.
//!
//! It is not least-recently-used to the entry, which would cost a list operation on every hit. An entry that
//! is read again moves to the younger generation, which is enough to keep the entries in use.

use std::collections::BTreeMap;
use std::time::Instant;

/// Entries, each with its expiry time.
pub(crate) struct Cache<K, V> {
    young: BTreeMap<K, (V, Instant)>,
    old: BTreeMap<K, (V, Instant)>,
    /// Of one generation, in entries.
    capacity: usize,
}

impl<K: Ord + Clone, V: Clone> Cache<K, V> {
    /// Holds at most `entries`.
    pub(crate) fn new(entries: usize) -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), capacity: (entries / 2).max(1) }
    }

    /// The value under a key, unless it has expired.
    pub(crate) fn get(&mut self, key: &K, now: Instant) -> Option<V> {
        if let Some((value, until)) = self.young.get(key) {
            return (now < *until).then(|| value.clone());
        }
        let (value, until) = self.old.remove(key)?;
        if now >= until {
            return None;
        }
        self.put(key.clone(), value.clone(), until);
        Some(value)
    }

    /// Keeps a value until the given time.
    pub(crate) fn put(&mut self, key: K, value: V, until: Instant) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, (value, until));
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_keeps_what_is_used_and_never_more_than_it_may() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let mut cache = Cache::new(8);
        cache.put(0, "used", later);
        for key in 1..1000 {
            cache.put(key, "once", later);
            assert_eq!(cache.get(&0, now), Some("used"), "after {key}");
            assert!(cache.len() <= 8, "{}", cache.len());
        }
        assert_eq!(cache.get(&1, now), None);
        assert_eq!(cache.get(&0, later), None);
    }
}
