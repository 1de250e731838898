//! Watches the packs in the cluster and what binds them, and puts the result in force.
//!
//! Flow: each watch lists and then follows. One that breaks or has fallen too far behind lists again, after a
//! growing pause. Events are gathered until none is pending, then one snapshot is built from all of them.
//!
//! Guarantees: a snapshot is never built from half a list. If building fails, the previous snapshot stays in
//! force, and the log, a metric and `/readyz` report it. Caveat: while the API server is unreachable, what
//! was in force stays, however old it is.

use std::pin::Pin;
use std::sync::Arc;

use bailiwick_crds::binding::{PolicyBinding, PolicyException};
use bailiwick_crds::pack::PolicyPack;
use futures_util::FutureExt as _;
use futures_util::stream::{SelectAll, Stream, StreamExt as _, select_all};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tracing::{error, warn};

use crate::cluster::Cluster;
use crate::cluster::build::{Parts, build};
use crate::cluster::world::{Watched, World};
use crate::metrics::ReloadLabel;
use crate::state::{Part, State};

type Events = Pin<Box<dyn Stream<Item = (Watched, watcher::Result<Event<DynamicObject>>)> + Send>>;

/// Most events that are taken before a snapshot is built: in a cluster that never rests, the snapshot must
/// not grow old.
const MAX_EVENTS: usize = 10_000;

fn watches(cluster: &Cluster) -> SelectAll<Events> {
    let one = |watched: Watched| -> Events {
        let client = cluster.client.clone();
        let api: Api<DynamicObject> = match watched {
            Watched::Packs => Api::all_with(client, &ApiResource::erase::<PolicyPack>(&())),
            Watched::Bindings => Api::all_with(client, &ApiResource::erase::<PolicyBinding>(&())),
            Watched::Namespaces => Api::all_with(client, &ApiResource::erase::<Namespace>(&())),
            Watched::Exceptions => {
                let kind = ApiResource::erase::<PolicyException>(&());
                Api::namespaced_with(client, &cluster.policy_namespace, &kind)
            }
        };
        Box::pin(
            watcher(api, watcher::Config::default()).default_backoff().map(move |event| (watched, event)),
        )
    };
    select_all(Watched::ALL.map(one))
}

/// Watches until the task is dropped.
pub(crate) async fn follow(state: Arc<State>, cluster: Arc<Cluster>) {
    let mut events = watches(&cluster);
    let mut world = World::default();
    let mut changed = false;
    while let Some(first) = events.next().await {
        changed |= take(&mut world, first);
        // Events that have already arrived are taken together: a list is thousands of events.
        for _ in 0..MAX_EVENTS {
            match events.next().now_or_never() {
                Some(Some(next)) => changed |= take(&mut world, next),
                _ => break,
            }
        }
        if changed && world.is_complete() {
            changed = false;
            put_in_force(&state, &cluster, Parts::of(&world)).await;
        }
    }
    error!("the watches ended; what is in force stays");
}

fn take(world: &mut World, (watched, event): (Watched, watcher::Result<Event<DynamicObject>>)) -> bool {
    match event {
        Ok(event) => world.take(watched, event),
        Err(reason) => {
            warn!(?watched, %reason, "watch broken; it starts anew");
            false
        }
    }
}

async fn put_in_force(state: &Arc<State>, cluster: &Arc<Cluster>, parts: Parts) {
    let (known, namespace) = (cluster.known(), cluster.policy_namespace.clone());
    let built = tokio::task::spawn_blocking(move || build(&parts, &known.in_force, &namespace)).await;
    let built = built.unwrap_or_else(|panicked| Err(format!("building failed: {panicked}")));
    match built {
        Ok((snapshot, known)) => {
            state.metrics.set_bundles(&snapshot.bundles);
            state.metrics.reloaded(ReloadLabel::policies);
            state.set_refused_reload(Part::Policies, None);
            // The snapshot is replaced before anything reports it as in force.
            state.snapshot.store(Arc::new(snapshot));
            cluster.put(known);
        }
        Err(reason) => {
            error!(?reason, "the cluster's policies refused; what was in force stays");
            state.metrics.reload_failed(ReloadLabel::policies);
            state.set_refused_reload(Part::Policies, Some(reason));
        }
    }
}
