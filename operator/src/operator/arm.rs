//! The part of a pass about the webhook's configurations: what is known, and what follows from it (`arming`
//! decides).

use kube::api::{Api, DynamicObject};
use tokio::time::timeout;

use super::Operator;
use crate::arming::{self, Known, Record, Recorded, Stance};
use crate::certificates::UnixTime;
use crate::derive::Derived;
use crate::kind::Kind;
use crate::limits::WRITE_TIMEOUT;
use crate::mirror::View;
use crate::object::Key;

impl Operator {
    /// Whether the webhook's configurations are wanted, and which; and how long they are removed, if they are
    /// disarmed.
    pub(super) async fn stance(
        &mut self,
        view: &View,
        derived: &Derived,
        bundle: &str,
        now: UnixTime,
    ) -> Stance {
        let record = arming::read(view.get(&self.record_key()).map(AsRef::as_ref), now);
        self.recorded = record.recorded;
        let stance =
            match self.decided(view, derived, bundle, (&record, record.disarmament.is_over(now))).await {
                // Not known: what stands stays.
                Stance::Newest if derived.hooks.is_empty() => Stance::Before,
                stance => stance,
            };
        self.disarmament = arming::disarmament(&record, stance, now);
        stance
    }

    async fn decided(
        &mut self,
        view: &View,
        derived: &Derived,
        bundle: &str,
        (record, over): (&Record, bool),
    ) -> Stance {
        let (recorded, request) = (record.recorded, record.request);
        let (mut standing, mut wanted) = (0, 0);
        for key in record.configurations() {
            wanted += 1;
            // One that lost its label is no longer watched, but still exists.
            if view.get(&key).is_some() || (recorded == Recorded::Armed && self.stands(&key).await) {
                standing += 1;
            }
        }
        let expected = crate::object::digest(&serde_json::json!([derived.expected, bundle]));
        let enough = self.settings.enough;
        let known = |replicas| Known { recorded, request, over, standing, wanted, replicas, enough };
        // Replicas that were found to serve these digests need not be probed again while the webhook is
        // armed.
        if recorded == Recorded::Armed && self.served.as_ref() == Some(&expected) {
            return arming::decide(&known(enough));
        }
        let stance = arming::decide(&known(0));
        if matches!(stance, Stance::Away(Recorded::Disarmed)) {
            return stance;
        }
        let replicas = self.prober.count(bundle, &derived.expected).await;
        self.shared.metrics.replicas.set(replicas as u64);
        self.served = (replicas >= enough).then_some(expected);
        arming::decide(&known(replicas))
    }

    async fn stands(&self, key: &Key) -> bool {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &key.kind.resource());
        // Without an answer, nothing is taken for deleted.
        !matches!(timeout(WRITE_TIMEOUT, api.get_opt(&key.name)).await, Ok(Ok(None)))
    }

    pub(super) fn record_key(&self) -> Key {
        Key {
            kind: Kind::ConfigMap,
            namespace: Some(self.settings.options.namespace.clone()),
            name: arming::RECORD.to_owned(),
        }
    }
}
