//! Watches: from the API server into the [`Mirror`], and a bell for tasks that wait for news.

use std::sync::Arc;

use futures_util::StreamExt as _;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::debug;

use crate::backoff::Waits;
use crate::cell_usage::CellUsage;
use crate::kind::{Kind, Share};
use crate::mirror::Mirror;
use crate::object::{Live, OWNER_LABEL};
use crate::pools::POOL_LABEL;

/// Watches all kinds. Of the kinds that the operator writes, only objects written by an operator of
/// `namespace` are watched, so that it does not read a cluster's other ConfigMaps and Secrets.
pub fn start(
    client: &Client,
    namespace: &str,
    mirror: &Arc<Mirror>,
    usage: &Arc<CellUsage>,
    bell: &Arc<Notify>,
) -> JoinSet<()> {
    let mut all = JoinSet::new();
    all.spawn(Arc::clone(usage).follow(client.clone(), Arc::clone(bell)));
    for kind in Kind::ALL {
        all.spawn(follow(client.clone(), namespace.to_owned(), kind, Arc::clone(mirror), Arc::clone(bell)));
    }
    all
}

async fn follow(client: Client, namespace: String, kind: Kind, mirror: Arc<Mirror>, bell: Arc<Notify>) {
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
                debug!(kind = kind.name(), %error, "the watch broke and begins anew");
                false
            }
        };
        if news {
            bell.notify_one();
        }
    }
}
