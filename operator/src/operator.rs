//! The passes: when there is news, everything is compared and what differs is written.
//!
//! One task does all of it, one pass after the other, so that no two writes of one operator can contradict each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DynamicObject};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::apply::{Engine, Pass};
use crate::arming::{self, Known, Recorded, Stance};
use crate::certificates::{AUTHORITY_SECRET, Certificates, LEAF_SECRET, MakeError, Profile, SETTLE, Step};
use crate::clock::Tick;
use crate::derive::{Derived, Deriver, Options};
use crate::http::Health;
use crate::kind::{Kind, Share};
use crate::lease::{Election, Fence};
use crate::limits::{IDLE_PASS, PROBE_EVERY, RETRY, SETTLE as SETTLE_EVENTS, STUCK, WRITE_TIMEOUT};
use crate::metrics::Metrics;
use crate::mirror::{Mirror, View};
use crate::object::{Key, Live, Wanted};
use crate::probe::Prober;
use crate::report::{Outcome, PackChecks, report};
use crate::world::World;

/// What an operator is set to.
pub struct Settings {
    /// For what is derived.
    pub options: Options,
    /// For certificates.
    pub profile: Profile,
    /// How many replicas of the webhook must answer before it is registered.
    pub enough: usize,
}

/// What others may ask of a running operator.
pub struct Shared {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The cluster.
    pub mirror: Arc<Mirror>,
    /// The election.
    pub election: Arc<Election>,
    last_pass_ms: AtomicU64,
}

impl Shared {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, mirror: Arc<Mirror>, election: Arc<Election>) -> Self {
        Self { metrics, mirror, election, last_pass_ms: AtomicU64::new(Tick::now().as_ms()) }
    }

    fn alive(&self) {
        self.last_pass_ms.store(Tick::now().as_ms(), Ordering::Relaxed);
    }
}

impl Health for Shared {
    fn metrics(&self) -> String {
        self.metrics.text()
    }

    fn live(&self) -> Result<(), String> {
        let idle = self.election.idle();
        if idle > STUCK {
            return Err(format!("the election did nothing for {idle:?}"));
        }
        let idle = Tick::now().since(Tick::from_ms(self.last_pass_ms.load(Ordering::Relaxed)));
        if idle > STUCK { Err(format!("nothing was compared for {idle:?}")) } else { Ok(()) }
    }

    fn ready(&self) -> Result<(), String> {
        let missing = self.mirror.missing(Kind::COMPARED);
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = missing.into_iter().map(Kind::name).collect();
        Err(format!("not listed yet: {}", names.join(", ")))
    }
}

/// Why a pass could not be made at all.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PassError {
    #[error(transparent)]
    Certificates(#[from] MakeError),
    #[error("the certificates' Secrets cannot be read: {0}")]
    Secrets(String),
}

/// What was derived from a state of the world.
struct Derivation {
    fingerprint: String,
    derived: Derived,
}

/// The operator.
pub struct Operator {
    client: Client,
    settings: Settings,
    shared: Arc<Shared>,
    bell: Arc<Notify>,
    engine: Engine,
    prober: Prober,
    deriver: Deriver,
    derivation: Option<Derivation>,
    checks: PackChecks,
    certificates: Option<Certificates>,
    /// The bundle that stands in the webhook configurations, and since when.
    trusted: Option<(String, Tick)>,
    /// The webhook configurations that were applied last.
    hooks: BTreeMap<Key, Wanted>,
    /// What was expected when enough replicas were found to decide by it.
    served: Option<String>,
    /// What the record of the arming says.
    recorded: Recorded,
}

/// What a pass leaves to do.
struct After {
    /// When to compare again without news.
    wait: Duration,
    failed: bool,
}

impl Operator {
    /// At rest.
    #[must_use]
    pub fn new(
        client: Client,
        settings: Settings,
        shared: Arc<Shared>,
        bell: Arc<Notify>,
        fence: Arc<Fence>,
        prober: Prober,
    ) -> Self {
        let engine = Engine::new(
            client.clone(),
            Arc::clone(&shared.mirror),
            fence,
            Arc::clone(&shared.metrics),
            settings.options.namespace.clone(),
        );
        Self {
            client,
            settings,
            shared,
            bell,
            engine,
            prober,
            deriver: Deriver::default(),
            derivation: None,
            checks: PackChecks::default(),
            certificates: None,
            trusted: None,
            hooks: BTreeMap::new(),
            served: None,
            recorded: Recorded::Waiting,
        }
    }

    /// Makes passes while this operator leads, until `stop` says otherwise. A pass that was begun is ended.
    pub async fn run(&mut self, mut leading: watch::Receiver<bool>, mut stop: watch::Receiver<bool>) {
        let (first, longest) = RETRY;
        let mut backoff = first;
        loop {
            if *stop.borrow() {
                return;
            }
            self.shared.alive();
            let ready = *leading.borrow() && self.shared.mirror.ready(Kind::COMPARED);
            self.shared.metrics.leading.set(u64::from(*leading.borrow()));
            let wait = if ready {
                let after = match self.pass().await {
                    Ok(after) => after,
                    Err(error) => {
                        warn!(%error, "a pass could not be made");
                        After { wait: longest, failed: true }
                    }
                };
                backoff = if after.failed { (backoff * 2).min(longest) } else { first };
                if after.failed { after.wait.min(backoff) } else { after.wait }
            } else {
                IDLE_PASS
            };
            tokio::select! {
                () = self.bell.notified() => sleep(SETTLE_EVENTS).await,
                () = sleep(wait) => {}
                _ = leading.changed() => {}
                _ = stop.changed() => {}
            }
        }
    }

    async fn pass(&mut self) -> Result<After, PassError> {
        self.shared.metrics.passes.inc();
        let now = Timestamp::now();
        self.certify(now).await?;
        let view = self.shared.mirror.view();
        let world = World::read(&view);
        let bundle = self.certificates.as_ref().map(Certificates::bundle).unwrap_or_default();
        let mut derivation = self.derive(&world, &bundle, now);
        let stance = self.stance(&view, &derivation.derived, &bundle).await;
        let wanted = self.wanted(&derivation.derived, stance);
        let held = derivation.derived.held.clone();
        let before = stance == Stance::Before;
        let keep = move |live: &Live| kept(live, before, &held);
        let pass = self.engine.pass(&wanted, keep).await;
        self.after_pass(&derivation.derived, stance, &pass);
        let failed: BTreeMap<Key, String> =
            pass.failures.iter().map(|one| (one.key.clone(), one.error.to_string())).collect();
        for (key, why) in &failed {
            warn!(object = %key, why, "cannot be written");
        }
        let armed = self.armed();
        let statuses = self.statuses(&world, &derivation.derived, &failed, armed, &whole_seconds(now)).await;
        self.count(&derivation.derived, armed);
        let failing = !failed.is_empty() || statuses;
        let next = derivation.derived.next.map_or(IDLE_PASS, |next| {
            Duration::from_secs(u64::try_from(next - now.as_second()).unwrap_or(0) + 1)
        });
        let probing = matches!(stance, Stance::Away(Recorded::Waiting) | Stance::Before);
        let mut wait = next.min(IDLE_PASS);
        if probing || self.certificates.as_ref().is_some_and(|one| one.next.is_some()) {
            wait = wait.min(PROBE_EVERY);
        }
        if pass.again {
            wait = wait.min(RETRY.0);
        }
        derivation.derived.problems.truncate(64);
        self.derivation = Some(derivation);
        Ok(After { wait, failed: failing })
    }

    /// What was derived, anew if the world is another.
    fn derive(&mut self, world: &World, bundle: &str, now: Timestamp) -> Derivation {
        let fingerprint = crate::object::digest(&serde_json::json!([world.fingerprint, bundle]));
        let now = now.as_second();
        let known = self.derivation.take().filter(|known| {
            known.fingerprint == fingerprint && known.derived.next.is_none_or(|next| now < next)
        });
        known.unwrap_or_else(|| Derivation {
            derived: self.deriver.derive(world, &self.settings.options, bundle, now),
            fingerprint,
        })
    }

    /// Reads the certificates at first, makes what is missing, and does what is due.
    async fn certify(&mut self, now: Timestamp) -> Result<(), PassError> {
        let now = now.as_second();
        let mut certificates = match self.certificates.take() {
            Some(certificates) => certificates,
            None => match self.stored(now).await? {
                Some(certificates) => certificates,
                None => {
                    info!("made a certificate authority for the webhook");
                    Certificates::new(&self.settings.profile, now)?
                }
            },
        };
        let trusted = self.trusts(&certificates.bundle());
        while let Some(step) = certificates.advance(&self.settings.profile, now, trusted)? {
            info!(?step, "the webhook's certificates moved on");
            // Whatever comes next must be trusted first.
            if step == Step::Introduced {
                break;
            }
        }
        if let Some(expires) = certificates.expires() {
            self.shared.metrics.certificate_expires.set(expires);
        }
        self.certificates = Some(certificates);
        Ok(())
    }

    /// Whether every webhook configuration that stands has had this bundle for a while.
    fn trusts(&mut self, bundle: &str) -> bool {
        let view = self.shared.mirror.view();
        let kinds = [Kind::MutatingWebhookConfiguration, Kind::ValidatingWebhookConfiguration];
        let standing: Vec<_> = kinds.into_iter().flat_map(|kind| view.of(kind)).collect();
        if standing.is_empty() {
            return self.recorded != Recorded::Armed;
        }
        let encoded = Value::String(STANDARD.encode(bundle));
        let has = |hook: &Value| hook.pointer("/clientConfig/caBundle") == Some(&encoded);
        let all = standing.iter().all(|live| {
            live.body.get("webhooks").and_then(Value::as_array).is_some_and(|hooks| hooks.iter().all(has))
        });
        if !all {
            self.trusted = None;
            return false;
        }
        match &self.trusted {
            Some((known, since)) if known == bundle => Tick::now().since(*since) >= SETTLE,
            _ => {
                self.trusted = Some((bundle.to_owned(), Tick::now()));
                false
            }
        }
    }

    /// The certificates as the cluster has them, whatever their labels.
    async fn stored(&self, now: i64) -> Result<Option<Certificates>, PassError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.settings.options.namespace);
        let mut data = Vec::new();
        for name in [AUTHORITY_SECRET, LEAF_SECRET] {
            let found = timeout(WRITE_TIMEOUT, secrets.get_opt(name)).await;
            let found = found.map_err(|_| PassError::Secrets("no answer".to_owned()))?;
            let secret = found.map_err(|error| PassError::Secrets(error.to_string()))?;
            let value = secret.and_then(|secret| serde_json::to_value(secret.data).ok());
            data.push(value.unwrap_or_default());
        }
        let [authority, leaf] = data.as_slice() else { return Ok(None) };
        Ok(Certificates::read(authority, leaf, now))
    }

    /// Whether the webhook's configurations are wanted, and which.
    async fn stance(&mut self, view: &View, derived: &Derived, bundle: &str) -> Stance {
        let (recorded, request) = arming::read(view.get(&self.record_key()).map(AsRef::as_ref));
        self.recorded = recorded;
        let mut standing = 0;
        for key in derived.hooks.keys() {
            // One that lost its label is not watched any more, and stands all the same.
            if view.get(key).is_some() || (recorded == Recorded::Armed && self.stands(key).await) {
                standing += 1;
            }
        }
        let expected = crate::object::digest(&serde_json::json!([derived.expected, bundle]));
        let enough = self.settings.enough;
        let known =
            |replicas| Known { recorded, request, standing, wanted: derived.hooks.len(), replicas, enough };
        // What was found out for these digests need not be asked again while it stands.
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
        // Without an answer nothing is taken for deleted.
        !matches!(timeout(WRITE_TIMEOUT, api.get_opt(&key.name)).await, Ok(Ok(None)))
    }

    fn record_key(&self) -> Key {
        Key {
            kind: Kind::ConfigMap,
            namespace: Some(self.settings.options.namespace.clone()),
            name: arming::RECORD.to_owned(),
        }
    }

    /// Everything that is wanted in this pass.
    fn wanted(&mut self, derived: &Derived, stance: Stance) -> BTreeMap<Key, Wanted> {
        let owner = self.settings.options.namespace.clone();
        let mut wanted = derived.wanted.clone();
        let mut add = |manifest: Value| match Wanted::new(manifest, &owner) {
            Ok(one) => drop(wanted.insert(one.key.clone(), one)),
            Err(error) => warn!(%error, "cannot be applied"),
        };
        for secret in self.certificates.iter().flat_map(|one| one.secrets(&owner)) {
            add(secret);
        }
        let recorded = match stance {
            Stance::Away(recorded) => recorded,
            // Armed only once they stand; see `arming`.
            Stance::Newest | Stance::Before if !self.hooks.is_empty() => Recorded::Armed,
            Stance::Newest | Stance::Before if self.recorded == Recorded::Armed => Recorded::Armed,
            Stance::Newest | Stance::Before => Recorded::Waiting,
        };
        add(arming::record(&owner, recorded));
        match stance {
            Stance::Away(_) => self.hooks.clear(),
            Stance::Newest => wanted.extend(derived.hooks.clone()),
            Stance::Before => {
                self.hooks = arming::with_bundle(&self.hooks, &derived.hooks, &owner);
                wanted.extend(self.hooks.clone());
            }
        }
        wanted
    }

    /// Remembers what stands now.
    fn after_pass(&mut self, derived: &Derived, stance: Stance, pass: &Pass) {
        let hook = |key: &Key| derived.hooks.contains_key(key);
        let failed = pass.failures.iter().any(|one| hook(&one.key));
        if pass.again || failed {
            return;
        }
        if stance == Stance::Newest {
            if self.hooks.is_empty() {
                info!("the webhook is armed");
                // The record comes in a pass of its own, right after.
                self.bell.notify_one();
            }
            self.hooks.clone_from(&derived.hooks);
        }
    }

    fn armed(&self) -> bool {
        !self.hooks.is_empty()
    }

    /// Writes the statuses that say something new. Whether any could not be written.
    async fn statuses(
        &mut self,
        world: &World,
        derived: &Derived,
        failed: &BTreeMap<Key, String>,
        armed: bool,
        now: &str,
    ) -> bool {
        let view = self.shared.mirror.view();
        let outcome = Outcome { failed, armed, now };
        let due = report(world, derived, &view, &mut self.checks, &outcome);
        let mut wrong = false;
        for one in due {
            if let Err(error) = self.engine.status(&one.live, &one.status).await {
                warn!(object = %one.live.key, %error, "its status cannot be written");
                wrong = true;
            }
        }
        wrong
    }

    fn count(&self, derived: &Derived, armed: bool) {
        let metrics = &self.shared.metrics;
        metrics.armed.set(u64::from(armed));
        metrics.cells.set(derived.cells.cells.len() as u64);
        let failing = derived.verdicts.values().filter(|verdict| !verdict.is_current()).count();
        metrics.failing.set(failing as u64);
    }
}

/// As the API server writes times.
fn whole_seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// What stays although it is not wanted: webhook configurations of which nothing is known but that they were in force, and what stands for
/// pools that cannot be worked out.
fn kept(live: &Live, before: bool, held: &std::collections::BTreeSet<String>) -> bool {
    match live.key.kind {
        Kind::MutatingWebhookConfiguration | Kind::ValidatingWebhookConfiguration => before,
        Kind::ConfigMap | Kind::Deployment => {
            live.key.namespace.as_ref().is_some_and(|namespace| held.contains(namespace))
                && live.key.kind.share() == Share::Whole
        }
        _ => false,
    }
}
