//! The shell around [`decide`]: reads and writes the lease, opens and shuts the fence.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::{Fence, Memory, Move, Record, Stop, Terms, decide};
use crate::clock::Tick;
use crate::limits::{FIELD_MANAGER, WRITE_TIMEOUT};

/// Name of the Lease.
const LEASE: &str = "bailiwick-operator";

/// Why the lease could not be read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LeaseError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("no answer within {WRITE_TIMEOUT:?}")]
    Timeout,
}

/// One operator's part in the election.
pub struct Election {
    leases: Api<Lease>,
    namespace: String,
    me: String,
    terms: Terms,
    fence: Arc<Fence>,
    leading: watch::Sender<bool>,
    /// When the election last did anything, for `/livez`: a process whose election is stuck must not appear
    /// live.
    last_look_ms: AtomicU64,
}

impl Election {
    /// An election that starts with [`Election::run`].
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str, me: String, terms: Terms, fence: Arc<Fence>) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            me,
            terms,
            fence,
            leading: watch::Sender::new(false),
            last_look_ms: AtomicU64::new(Tick::now().as_ms()),
        }
    }

    /// Reports whether this operator leads.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    /// How long ago the election last did anything.
    pub fn idle(&self) -> Duration {
        Tick::now().since(Tick::from_ms(self.last_look_ms.load(Ordering::Relaxed)))
    }

    /// Takes part until the lease, once held, is lost.
    pub async fn run(&self) -> Stop {
        let mut memory = Memory::default();
        loop {
            self.last_look_ms.store(Tick::now().as_ms(), Ordering::Relaxed);
            if let Err(stop) = self.look(&mut memory).await {
                self.fence.shut();
                let _ = self.leading.send_replace(false);
                return stop;
            }
            sleep(self.terms.retry).await;
        }
    }

    /// Looks once, and acts on the decision.
    async fn look(&self, memory: &mut Memory) -> Result<(), Stop> {
        let found = match self.read().await {
            Ok(found) => found,
            Err(error) => {
                warn!(%error, "the lease cannot be read");
                return match memory.until() {
                    Some(until) if Tick::now() >= until => Err(Stop::RanOut),
                    _ => Ok(()),
                };
            }
        };
        let sent = Tick::now();
        let written = match decide(memory, &self.me, &self.terms, sent, found.as_ref()) {
            Move::Wait => return Ok(()),
            Move::Stop(stop) => return Err(stop),
            Move::Create => self.create().await,
            Move::Claim { version, transitions } => self.claim(version, transitions).await,
        };
        match written {
            Ok(()) => {
                memory.claimed(sent, &self.terms);
                self.fence.open_until(sent.plus(self.terms.duration));
                if !self.leading.send_replace(true) {
                    info!(identity = self.me, "leading");
                }
            }
            // Another operator was faster, or it is unknown whether the write was stored: the next look
            // reveals it.
            Err(error) => debug!(%error, "the lease was not written"),
        }
        Ok(())
    }

    /// Gives the lease back, so that a successor does not have to wait. Only after the last write.
    pub async fn give_back(&self) {
        self.fence.shut();
        let Ok(Some(record)) = self.read().await else { return };
        if record.holder == self.me {
            let lease = self.lease(String::new(), record.transitions, Some(record.version));
            let _ = timeout(WRITE_TIMEOUT, self.leases.replace(LEASE, &self.params(), &lease)).await;
        }
    }

    async fn read(&self) -> Result<Option<Record>, LeaseError> {
        let found =
            timeout(WRITE_TIMEOUT, self.leases.get_opt(LEASE)).await.map_err(|_| LeaseError::Timeout)??;
        Ok(found.map(|lease| record(&lease)))
    }

    async fn create(&self) -> Result<(), LeaseError> {
        let lease = self.lease(self.me.clone(), 0, None);
        let params = self.params();
        let sent = self.leases.create(&params, &lease);
        timeout(WRITE_TIMEOUT, sent).await.map_err(|_| LeaseError::Timeout)??;
        Ok(())
    }

    async fn claim(&self, version: String, transitions: i32) -> Result<(), LeaseError> {
        let lease = self.lease(self.me.clone(), transitions, Some(version));
        let params = self.params();
        let sent = self.leases.replace(LEASE, &params, &lease);
        timeout(WRITE_TIMEOUT, sent).await.map_err(|_| LeaseError::Timeout)??;
        Ok(())
    }

    fn params(&self) -> PostParams {
        PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
    }

    fn lease(&self, holder: String, transitions: i32, version: Option<String>) -> Lease {
        let seconds = i32::try_from(self.terms.duration.as_secs()).unwrap_or(i32::MAX).max(1);
        Lease {
            metadata: ObjectMeta {
                name: Some(LEASE.to_owned()),
                namespace: Some(self.namespace.clone()),
                resource_version: version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder),
                lease_duration_seconds: Some(seconds),
                lease_transitions: Some(transitions),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(seconds),
        renewed: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}
