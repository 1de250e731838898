//! A cache of compiled packs and of documents that were read, limited in bytes. The least recently used entry
//! goes first.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::limits::MAX_KEPT_BYTES;

/// The cached values, by name.
#[derive(Debug)]
pub struct Kept<K, V> {
    all: BTreeMap<K, One<V>>,
    /// Counts accesses.
    clock: u64,
}

#[derive(Debug)]
struct One<V> {
    value: Arc<V>,
    weight: usize,
    asked: u64,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), clock: 0 }
    }
}

impl<K: Ord + Clone, V> Kept<K, V> {
    /// Keeps a value of this weight in bytes, and drops others to stay within the limit.
    pub fn insert(&mut self, key: K, value: Arc<V>, weight: usize) {
        self.clock += 1;
        self.all.insert(key.clone(), One { value, weight, asked: self.clock });
        while self.weight() > MAX_KEPT_BYTES {
            let others = self.all.iter().filter(|(other, _)| **other != key);
            let Some(oldest) = others.min_by_key(|(_, one)| one.asked).map(|(other, _)| other.clone()) else {
                return;
            };
            self.all.remove(&oldest);
        }
    }

    /// The value of this name.
    pub fn get(&mut self, key: &K) -> Option<Arc<V>> {
        self.clock += 1;
        let one = self.all.get_mut(key)?;
        one.asked = self.clock;
        Some(Arc::clone(&one.value))
    }

    /// Removes a value.
    pub fn remove(&mut self, key: &K) {
        self.all.remove(key);
    }

    /// All cached values.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.all.iter().map(|(key, one)| (key, &*one.value))
    }

    fn weight(&self) -> usize {
        self.all.values().map(|one| one.weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_about_longest_ago_goes_first() {
        let mut kept = Kept::default();
        let third = MAX_KEPT_BYTES / 3;
        for name in ["a", "b", "c"] {
            kept.insert(name, Arc::new(name), third);
        }
        assert_eq!(kept.get(&"a").as_deref(), Some(&"a"));
        kept.insert("d", Arc::new("d"), third);
        let names: Vec<&str> = kept.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["a", "c", "d"]);
        // A value beyond the limit is kept alone: it was just requested.
        kept.insert("e", Arc::new("e"), MAX_KEPT_BYTES + 1);
        assert_eq!(kept.iter().count(), 1);
        kept.remove(&"e");
        assert_eq!(kept.get(&"e"), None);
    }
}
