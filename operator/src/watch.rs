//! Watches: from the API server into the [`Mirror`], and a bell for tasks that wait for news.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::backoff::Waits;
use crate::cell_usage::CellUsage;
use crate::clock::Tick;
use crate::kind::{Kind, Share};
use crate::metrics::Metrics;
use crate::mirror::Mirror;
use crate::object::{Live, OWNER_LABEL};
use crate::pools::POOL_LABEL;

/// An error this long after another is another trouble: a watch that cannot begin fails every few seconds.
const STREAK: Duration = Duration::from_secs(60);

/// The errors of a watch. Each is counted; of those that follow one another, ever fewer are logged.
pub(crate) struct Breaks {
    kind: Kind,
    metrics: Arc<Metrics>,
    errors: u32,
    last: Option<Tick>,
}

impl Breaks {
    pub(crate) const fn new(kind: Kind, metrics: Arc<Metrics>) -> Self {
        Self { kind, metrics, errors: 0, last: None }
    }

    /// A watch that cannot begin leaves what it told of before as it was: nothing else shows that it is of old.
    pub(crate) fn broke(&mut self, error: &dyn std::fmt::Display) {
        self.metrics.watch_broke(self.kind);
        let kind = self.kind.name();
        if self.is_told(Tick::now()) {
            warn!(kind, errors = self.errors, %error, "the watch broke and begins anew");
        } else {
            debug!(kind, %error, "the watch broke and begins anew");
        }
    }

    fn is_told(&mut self, now: Tick) -> bool {
        let goes_on = self.last.is_some_and(|last| now.since(last) < STREAK);
        self.errors = if goes_on { self.errors.saturating_add(1) } else { 1 };
        self.last = Some(now);
        self.errors.is_power_of_two()
    }
}

/// Watches all kinds. Of the kinds that the operator writes, only objects written by an operator of
/// `namespace` are watched, so that it does not read a cluster's other ConfigMaps and Secrets.
pub fn start(
    client: &Client,
    namespace: &str,
    mirror: &Arc<Mirror>,
    usage: &Arc<CellUsage>,
    bell: &Arc<Notify>,
    metrics: &Arc<Metrics>,
) -> JoinSet<()> {
    let mut all = JoinSet::new();
    let breaks = |kind| Breaks::new(kind, Arc::clone(metrics));
    all.spawn(Arc::clone(usage).follow(client.clone(), Arc::clone(bell), breaks(Kind::Pod)));
    for kind in Kind::ALL {
        let (mirror, bell) = (Arc::clone(mirror), Arc::clone(bell));
        all.spawn(follow(client.clone(), namespace.to_owned(), mirror, bell, breaks(kind)));
    }
    all
}

async fn follow(
    client: Client,
    namespace: String,
    mirror: Arc<Mirror>,
    bell: Arc<Notify>,
    mut breaks: Breaks,
) {
    let kind = breaks.kind;
    let resource = kind.resource();
    let api: Api<DynamicObject> = match kind {
        Kind::Secret => Api::namespaced_with(client, &namespace, &resource),
        _ => Api::all_with(client, &resource),
    };
    let config = match kind.share() {
        Share::Whole => Config::default().labels(&format!("{OWNER_LABEL}={namespace}")),
        Share::Labels | Share::Status | Share::Made => Config::default(),
        // Only those of pools.
        Share::Nothing => Config::default().labels(POOL_LABEL),
    };
    let mut events = std::pin::pin!(watcher(api, config).backoff(Waits::default()));
    while let Some(event) = events.next().await {
        let news = match event {
            Ok(Event::Init) => {
                mirror.list_begins(kind);
                false
            }
            Ok(Event::InitApply(object)) => {
                mirror.listed(Live::new(kind, object));
                false
            }
            Ok(Event::InitDone) => mirror.list_ends(kind),
            Ok(Event::Apply(object)) => mirror.applied(Live::new(kind, object)),
            Ok(Event::Delete(object)) => mirror.deleted(&Live::new(kind, object)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_stays_broken_is_counted_each_time_and_logged_ever_less() {
        let metrics = Arc::new(Metrics::default());
        let mut breaks = Breaks::new(Kind::PolicyBinding, Arc::clone(&metrics));
        let told = |breaks: &mut Breaks, at: u64| breaks.is_told(Tick::from_ms(at * 1000));
        let at: Vec<u64> = (1..=20).filter(|at| told(&mut breaks, *at)).collect();
        assert_eq!(at, [1, 2, 4, 8, 16]);
        assert!(told(&mut breaks, 20 + STREAK.as_secs()), "that is another trouble");
        breaks.broke(&"gone");
        breaks.broke(&"gone");
        let text = metrics.text();
        assert!(text.contains("bailiwick_operator_watch_errors_total{kind=\"PolicyBinding\"} 2\n"), "{text}");
    }
}
