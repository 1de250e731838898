//! Which cells the pods of each namespace carry. A pod keeps its label while it runs, so the NetworkPolicies
//! that select that label must outlive the cell.
//!
//! Only the metadata of pods is watched, and only name and label are kept: a cluster may have a hundred
//! thousand pods.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_policy::admission::CELL_LABEL;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::sync::Notify;

use crate::backoff::Waits;
use crate::watch::Breaks;

/// A cell in a namespace: the namespace, then the cell.
pub type Place = (String, String);

/// The cells in use by pods.
#[derive(Debug, Default)]
pub struct CellUsage {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    pods: Pods,
    /// A list that is being received.
    listing: Pods,
    listed: bool,
    borne: BTreeMap<Place, usize>,
}

/// The cell of each pod, by namespace and name.
type Pods = HashMap<(String, String), String>;

impl Inner {
    fn add(&mut self, pod: (String, String), cell: String) {
        *self.borne.entry((pod.0.clone(), cell.clone())).or_default() += 1;
        self.pods.insert(pod, cell);
    }

    /// Removes a pod; returns whether it was the last one of its cell.
    fn remove(&mut self, pod: &(String, String)) -> bool {
        let Some(cell) = self.pods.remove(pod) else { return false };
        let place = (pod.0.clone(), cell);
        let left = self.borne.get(&place).map_or(0, |count| count.saturating_sub(1));
        if left > 0 {
            self.borne.insert(place, left);
        } else {
            self.borne.remove(&place);
        }
        left == 0
    }
}

fn read(pod: PartialObjectMeta<Pod>) -> ((String, String), Option<String>) {
    let metadata = pod.metadata;
    let cell = metadata.labels.and_then(|mut labels| labels.remove(CELL_LABEL));
    ((metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default()), cell)
}

impl CellUsage {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cells in use; `None` while they are not known.
    #[must_use]
    pub fn borne(&self) -> Option<BTreeSet<Place>> {
        let inner = self.lock();
        inner.listed.then(|| inner.borne.keys().cloned().collect())
    }

    /// Applies an event; returns whether a cell is no longer in use in a namespace. A new pod has no such
    /// effect: it keeps nothing that does not exist.
    pub fn take(&self, event: Event<PartialObjectMeta<Pod>>) -> bool {
        let mut inner = self.lock();
        match event {
            Event::Init => inner.listing = Pods::new(),
            Event::InitApply(pod) => {
                if let (pod, Some(cell)) = read(pod) {
                    inner.listing.insert(pod, cell);
                }
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut inner.listing);
                *inner = Inner { listed: true, ..Inner::default() };
                listed.into_iter().for_each(|(pod, cell)| inner.add(pod, cell));
                return true;
            }
            Event::Apply(pod) => {
                let (pod, cell) = read(pod);
                if inner.pods.get(&pod) == cell.as_ref() {
                    return false;
                }
                let last = inner.remove(&pod);
                if let Some(cell) = cell {
                    inner.add(pod, cell);
                }
                return last;
            }
            Event::Delete(pod) => return inner.remove(&read(pod).0),
        }
        false
    }

    /// Watches until the task is dropped.
    pub(crate) async fn follow(self: Arc<Self>, client: Client, bell: Arc<Notify>, mut breaks: Breaks) {
        let config = Config::default().labels(CELL_LABEL);
        // For this type the client requests only the metadata.
        let events = watcher(Api::<PartialObjectMeta<Pod>>::all(client), config).backoff(Waits::default());
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let news = match event {
                Ok(event) => self.take(event),
                Err(error) => {
                    breaks.broke(&error);
                    false
                }
            };
            if news {
                bell.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, cell: &str) -> PartialObjectMeta<Pod> {
        let labels =
            if cell.is_empty() { serde_json::json!({}) } else { serde_json::json!({ CELL_LABEL: cell }) };
        let json = serde_json::json!({ "metadata": { "name": name, "namespace": "n", "labels": labels } });
        serde_json::from_value(json).expect("a pod")
    }

    fn borne(usage: &CellUsage) -> Vec<String> {
        usage.borne().expect("listed").into_iter().map(|(_, cell)| cell).collect()
    }

    #[test]
    fn a_cell_is_borne_until_its_last_pod_goes() {
        let usage = CellUsage::default();
        assert!(!usage.take(Event::Init) && !usage.take(Event::InitApply(pod("a", "x"))));
        assert_eq!(usage.borne(), None, "half a list says nothing");
        assert!(usage.take(Event::InitDone));
        assert!(!usage.take(Event::Apply(pod("b", "x"))) && !usage.take(Event::Apply(pod("c", "y"))));
        assert_eq!(borne(&usage), ["x", "y"]);
        assert!(!usage.take(Event::Apply(pod("b", "x"))), "its status changed");
        assert!(!usage.take(Event::Delete(pod("a", "x"))));
        assert_eq!(borne(&usage), ["x", "y"]);
        assert!(usage.take(Event::Delete(pod("b", "x"))));
        assert!(usage.take(Event::Apply(pod("c", ""))), "the label is gone");
        assert_eq!(borne(&usage), Vec::<String>::new());
        assert!(!usage.take(Event::Delete(pod("c", ""))));
        // A list that starts again replaces what was known.
        usage.take(Event::Init);
        usage.take(Event::InitApply(pod("d", "z")));
        usage.take(Event::InitDone);
        assert_eq!(borne(&usage), ["z"]);
    }
}
