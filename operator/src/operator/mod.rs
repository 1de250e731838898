//! The passes: on news, everything is compared and what differs is written.
//!
//! One task does all of it, one pass after the other, so that no two writes of one operator can contradict
//! each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use kube::Client;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::apply::{Engine, Pass, WriteError};
use crate::arming::{self, Configurations, Disarmament, Recorded, Stance};
use crate::cell_usage::CellUsage;
use crate::certificates::{Certificates, MakeError, Profile};
use crate::clock::Tick;
use crate::derive::{Derived, Deriver, Options};
use crate::events::{self, EventRecorder, News};
use crate::http::Health;
use crate::kind::Kind;
use crate::lease::{Election, Fence};
use crate::limits::{
    IDLE_PASS, MAX_RACES, PROBE_EVERY, RETRY, SETTLE as SETTLE_EVENTS, STUCK, WRITES_AT_ONCE,
};
use crate::metrics::Metrics;
use crate::mirror::{Mirror, View};
use crate::object::{Key, Live, Wanted};
use crate::pools;
use crate::probe::Prober;
use crate::recall;
use crate::report::{Due, Outcome, PackChecks, report};
use crate::whole::Standing;
use crate::world::World;

mod arm;
mod certify;
mod keep;
mod levels;

use keep::Keep;

/// The settings of an operator.
pub struct Settings {
    /// For deriving.
    pub options: Options,
    /// For certificates.
    pub profile: Profile,
    /// How many replicas of the webhook must answer before it is registered.
    pub enough: usize,
}

/// The parts of a running operator that others may use.
pub struct Shared {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The cluster.
    pub mirror: Arc<Mirror>,
    /// Which cells pods carry.
    pub usage: Arc<CellUsage>,
    /// The election.
    pub election: Arc<Election>,
    last_pass_ms: AtomicU64,
}

impl Shared {
    /// The state before the first pass.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, mirror: Arc<Mirror>, election: Arc<Election>) -> Self {
        let last_pass_ms = AtomicU64::new(Tick::now().as_ms());
        Self { metrics, mirror, usage: Arc::default(), election, last_pass_ms }
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

/// The result of deriving from a state of the world.
struct Derivation {
    fingerprint: String,
    /// The objects that existed then; they matter only while a binding is lost.
    standing: Standing,
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
    /// The bundle in the webhook configurations, and since when.
    trusted: Option<(String, Tick)>,
    /// The webhook configurations that were last applied.
    hooks: Configurations,
    /// What enough replicas decided by when those were applied: digests, each with its stage.
    armed: BTreeSet<String>,
    /// The NetworkPolicies that were last wanted.
    networks: BTreeMap<Key, Wanted>,
    /// What was expected when enough replicas were found to decide by it.
    served: Option<String>,
    /// The state in the arming record.
    recorded: Recorded,
    /// Until when and why, if it is disarmed.
    disarmament: Disarmament,
    recorder: EventRecorder,
    /// In how many passes on end somebody else wrote an object first.
    races: BTreeMap<Key, u32>,
}

/// What is left to do after a pass.
struct After {
    /// When to compare again without news.
    wait: Duration,
    failed: bool,
}

impl Operator {
    /// An operator before its first pass.
    #[must_use]
    pub fn new(
        client: Client,
        settings: Settings,
        shared: Arc<Shared>,
        bell: Arc<Notify>,
        fence: Arc<Fence>,
        prober: Prober,
        recorder: EventRecorder,
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
            hooks: Configurations::default(),
            armed: BTreeSet::new(),
            networks: BTreeMap::new(),
            served: None,
            recorded: Recorded::Waiting,
            disarmament: Disarmament::default(),
            recorder,
            races: BTreeMap::new(),
        }
    }

    /// Makes passes while this operator leads, until `stop` is set. A pass in progress is completed.
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
        let mut derivation = self.derive(&world, &view, &bundle, now);
        let stance = self.stance(&view, &derivation.derived, &bundle, now.as_second()).await;
        let keep = Keep {
            derived: &derivation.derived,
            hooks: stance == Stance::Before,
            withdrawn: self.is_withdrawn(),
            rolling: pools::rolling(&derivation.derived.pools, &view),
            named: recall::named(&world, &self.settings.options.namespace),
            borne: self.shared.usage.borne(),
        };
        let (mut wanted, recorded) = self.wanted(&derivation.derived, &view, stance);
        let owner = &self.settings.options.namespace;
        for one in wanted.values_mut().filter(|one| one.key.kind == Kind::Namespace) {
            let beside = view.get(&one.key).and_then(|live| levels::beside(one, live, owner));
            beside.into_iter().for_each(|beside| *one = beside);
        }
        let outlive = self.networks.iter().filter(|(key, one)| !wanted.contains_key(key) && keep.wanted(one));
        let outlive: Vec<_> = outlive.map(|(key, one)| (key.clone(), one.clone())).collect();
        wanted.extend(outlive);
        self.networks = keep::networks(&wanted);
        // A request that arrives in the record between that look and the write must not be overwritten. Nor
        // may a configuration that is deleted meanwhile be created again: the way out of a webhook that
        // denies everything would go unnoticed.
        let hooks = derivation.derived.hooks.keys().chain(self.hooks.keys()).cloned();
        let looked_at = std::iter::once(self.record_key()).chain(hooks);
        let seen: Vec<Arc<Live>> = looked_at.filter_map(|key| view.get(&key).cloned()).collect();
        let kept = |live: &Live| keep.live(live);
        let awaits = |live: &Live, unwritten: &BTreeSet<&Key>| keep.awaits(live, unwritten);
        let pass = self.engine.pass(&wanted, &seen, kept, awaits).await;
        self.after_pass(&derivation.derived, stance, &pass);
        let mut news = self.happened(&pass, recorded, now.as_second());
        let mut failed: BTreeMap<Key, String> =
            pass.failures.iter().map(|one| (one.key.clone(), one.error.to_string())).collect();
        let drifted = pass.failures.iter().filter(|one| one.drifted).map(|one| one.key.clone()).collect();
        let (raced, lost) = self.races(&pass);
        failed.extend(lost);
        for (key, why) in &failed {
            warn!(object = %key, why, "cannot be written");
        }
        let ending =
            pass.ending.iter().filter(|key| self.shared.mirror.get(key).is_some_and(|one| one.ending));
        failed.extend(ending.map(|key| (key.clone(), ENDING.to_owned())));
        failed.extend(foreign(&wanted, &view, &self.settings.options.namespace));
        let (armed, now_text) = (&self.armed, whole_seconds(now));
        let outcome = Outcome {
            failed: &failed,
            drifted: &drifted,
            raced: &raced,
            armed,
            disarmed: self.disarmed(),
            now: &now_text,
        };
        let due = report(&world, &derivation.derived, &self.shared.mirror.view(), &mut self.checks, &outcome);
        let statuses = self.statuses(due, &mut news).await;
        self.count(&derivation.derived);
        self.recorder.publish(news);
        let failing = !pass.failures.is_empty() || statuses;
        let wait = self.rest(&derivation.derived, stance, &pass, now.as_second());
        derivation.derived.problems.truncate(64);
        self.derivation = Some(derivation);
        Ok(After { wait, failed: failing })
    }

    /// Objects that somebody else wrote meanwhile: those whose next comparison tells more, and those with which that
    /// went on for too long, with why.
    fn races(&mut self, pass: &Pass) -> (BTreeSet<Key>, Vec<(Key, String)>) {
        let before = std::mem::take(&mut self.races);
        let count = |key: &Key| (key.clone(), before.get(key).map_or(1, |times| times.saturating_add(1)));
        self.races = pass.raced.iter().map(count).collect();
        let (lost, raced): (Vec<_>, Vec<_>) = self.races.iter().partition(|(_, times)| **times > MAX_RACES);
        let why = |(key, _): (&Key, _)| (key.clone(), RACED.to_owned());
        (raced.into_iter().map(|(key, _)| key.clone()).collect(), lost.into_iter().map(why).collect())
    }

    /// When to compare again without news.
    fn rest(&self, derived: &Derived, stance: Stance, pass: &Pass, now: i64) -> Duration {
        let next = [derived.next, self.disarmament.until].into_iter().flatten().min();
        let next =
            next.map_or(IDLE_PASS, |next| Duration::from_secs(u64::try_from(next - now).unwrap_or(0) + 1));
        let probing = matches!(stance, Stance::Away(Recorded::Waiting) | Stance::Before);
        let mut wait = next.min(IDLE_PASS);
        if probing || self.certificates.as_ref().is_some_and(|one| one.next.is_some()) {
            wait = wait.min(PROBE_EVERY);
        }
        if !pass.raced.is_empty() {
            wait = wait.min(RETRY.0);
        }
        wait
    }

    /// The derived state, derived again if the world has changed.
    fn derive(&mut self, world: &World, view: &View, bundle: &str, now: Timestamp) -> Derivation {
        let fingerprint = crate::object::digest(&serde_json::json!([world.fingerprint, bundle]));
        let options = &self.settings.options;
        let standing = Standing::read(view, &options.namespace);
        let now = now.as_second();
        let before = self.derivation.take();
        let is_known = |known: &Derivation| {
            known.fingerprint == fingerprint
                && known.derived.next.is_none_or(|next| now < next)
                && (known.derived.lost.is_empty() || known.standing == standing)
        };
        match before {
            Some(known) if is_known(&known) => known,
            before => {
                let mut derived = self.deriver.derive(world, options, bundle, &standing, now);
                before.into_iter().for_each(|before| derived.or_as(before.derived));
                Derivation { derived, standing, fingerprint }
            }
        }
    }

    /// Everything that is wanted in this pass, and the state that the arming record gets with it.
    fn wanted(
        &mut self,
        derived: &Derived,
        view: &View,
        stance: Stance,
    ) -> (BTreeMap<Key, Wanted>, Recorded) {
        let owner = self.settings.options.namespace.clone();
        let mut wanted = derived.wanted.clone();
        if self.is_withdrawn() {
            wanted.retain(|key, _| !arming::is_withdrawn(key));
        }
        let mut add = |manifest: Value| match Wanted::new(manifest, &owner) {
            Ok(one) => drop(wanted.insert(one.key.clone(), one)),
            Err(error) => warn!(%error, "cannot be applied"),
        };
        for secret in self.certificates.iter().flat_map(|one| one.secrets(&owner)) {
            add(secret);
        }
        let is_armed =
            stance == Stance::Before || stance == Stance::Newest && self.recorded == Recorded::Armed;
        if is_armed {
            self.hooks.take_up(view, &derived.hooks, &owner);
        }
        let recorded = match stance {
            Stance::Away(recorded) => recorded,
            // Armed only once they exist; see `arming`.
            Stance::Newest | Stance::Before if self.hooks.are_whole() => Recorded::Armed,
            Stance::Newest | Stance::Before if self.recorded == Recorded::Armed => Recorded::Armed,
            Stance::Newest | Stance::Before => Recorded::Waiting,
        };
        let configurations = self.hooks.throughout(stance, &derived.hooks);
        add(arming::record(&owner, recorded, &self.disarmament, configurations));
        if matches!(stance, Stance::Away(_)) {
            self.armed.clear();
        }
        wanted.extend(self.hooks.ask(stance, &derived.hooks, &owner));
        (wanted, recorded)
    }

    /// Whether the admission policies over pods are removed too.
    fn is_withdrawn(&self) -> bool {
        self.disarmament.until.is_some()
    }

    /// The events of a pass for readers.
    fn happened(&self, pass: &Pass, recorded: Recorded, now: i64) -> Vec<News> {
        let mirror = &self.shared.mirror;
        let record = self.record_key();
        let drifted = pass.mended.iter().filter(|(key, _)| *key != record);
        let mut news: Vec<News> =
            drifted.filter_map(|(key, drift)| Some(events::drifted(&mirror.get(key)?, *drift))).collect();
        if recorded != self.recorded
            && let Some(about) = mirror.get(&record)
            && arming::read(Some(&about), now).recorded == recorded
        {
            let until = self.disarmament.until.and_then(|until| Timestamp::from_second(until).ok());
            let until = until.map(|until| until.to_string());
            news.push(events::armed(&about, recorded, &self.disarmament, until.as_deref()));
        }
        news
    }

    /// Remembers what exists now.
    fn after_pass(&mut self, derived: &Derived, stance: Stance, pass: &Pass) {
        let mut not_yet = pass.failures.iter().map(|one| &one.key).chain(&pass.raced).chain(&pass.ending);
        let (record, shrinks) = (self.record_key(), self.hooks.shrink_to(&derived.hooks));
        if not_yet.any(|key| arming::KINDS.contains(&key.kind) || shrinks && *key == record) {
            return;
        }
        match stance {
            Stance::Newest => {
                if self.hooks.is_empty() {
                    info!("the webhook is armed");
                }
                if self.hooks.stepped(&derived.hooks, &self.settings.options.namespace) {
                    // Right after this one.
                    self.bell.notify_one();
                }
                self.armed.clone_from(&derived.expected);
            }
            Stance::Before => self.hooks.renewed(&derived.hooks, &self.settings.options.namespace),
            Stance::Away(_) => {}
        }
    }

    fn disarmed(&self) -> Option<Disarmament> {
        (!self.disarmament.reason.is_empty() || self.is_withdrawn()).then(|| self.disarmament.clone())
    }

    /// Writes statuses; returns whether any could not be written.
    async fn statuses(&self, due: Vec<Due>, news: &mut Vec<News>) -> bool {
        let mut wrong = false;
        let mut said = stream::iter(due.into_iter().map(|one| self.say(one))).buffered(WRITES_AT_ONCE);
        while let Some((one, result)) = said.next().await {
            match result {
                Ok(()) => news.extend(events::turned(&one)),
                Err(error) => {
                    warn!(object = %one.live.key, %error, "its status cannot be written");
                    wrong = true;
                }
            }
        }
        wrong
    }

    async fn say(&self, due: Due) -> (Due, Result<(), WriteError>) {
        let result = self.engine.status(&due.live, &due.status).await;
        (due, result)
    }

    fn count(&self, derived: &Derived) {
        let metrics = &self.shared.metrics;
        metrics.armed.set(u64::from(!self.hooks.is_empty()));
        metrics.cells.set(derived.cells.cells.len() as u64);
        let failing = derived.verdicts.values().filter(|verdict| !verdict.is_current()).count();
        metrics.failing.set(failing as u64);
    }
}

/// The message for an object that was deleted and that another client's finalizer holds.
const ENDING: &str = "somebody deleted it, and a finalizer of others keeps it from being made anew";

/// The message for an object that another client writes in every pass.
const RACED: &str = "somebody else keeps writing it at the same time";

/// Cluster-wide classes that another client created and that mean something else.
fn foreign(wanted: &BTreeMap<Key, Wanted>, view: &View, owner: &str) -> Vec<(Key, String)> {
    let classes = wanted.values().filter(|one| one.key.kind == Kind::RuntimeClass);
    let differs = classes.filter_map(|one| {
        let (live, asked) = (view.get(&one.key)?, one.manifest.get("handler")?);
        let there = live.body.get("handler").unwrap_or(&Value::Null);
        let why = format!("somebody else made it, with handler {there}; the pack means {asked}");
        (!live.owned_by(owner) && there != asked).then(|| (one.key.clone(), why))
    });
    differs.collect()
}

/// A time in the API server's format.
fn whole_seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
