//! Policies from the cluster: bound packs are watched, compiled and put in force while requests run. Also
//! decides the reviews that need the API server, which the compiled policy alone cannot decide.
//!
//! ```text
//! packs, bindings, exceptions, namespaces ► follow ► world (the newest of each) ► build (compile, keep what works) ► Snapshot
//! /own/mutate, /own/validate: our own kinds, namespaces whose labels change ► own ► SubjectAccessReview of `widen`
//! any review whose rules use `authorizer` ► a SubjectAccessReview for each question
//! /connect: exec, attach, portforward, proxy ► connect ► one GET of the pod ► Reviewer
//! ```
//!
//! The webhook is not ready until everything was listed once and every bound policy is compiled; until then
//! reviews are refused. Afterwards, what is in force stays in force while the API server is unreachable, and
//! a pack that does not compile changes nothing that works.

pub(crate) mod authorizer;
pub(crate) mod build;
mod connect;
mod own;
pub(crate) mod world;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arc_swap::ArcSwap;
use bailiwick_compiler::cluster::{ClusterPacks, InForce};
use bailiwick_policy::admission::{AdmissionRequest, Phase, response};
use bailiwick_policy::authorization::{Answers, Question};
use futures_util::FutureExt as _;
use kube::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use crate::judge::{self, Judged};
use crate::snapshot::Snapshot;
use crate::turns::Turn;
use crate::user::UserInfo;

/// Longest wait for one answer of the API server within a review. A connection or a binding comes from a
/// person or a controller, which can try again, and the review's own deadline is a matter of seconds.
pub(crate) const API_TIMEOUT: Duration = Duration::from_millis(300);

/// Reviews that compile concurrently. A pack can take a second of a core: publishing many packs makes their
/// author wait, and not other users' pods.
const COMPILING: usize = 1;

/// What the reviews of this source need in addition to the snapshot.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The namespace in which exceptions are valid.
    pub(crate) policy_namespace: String,
    /// Whether something is in force by which reviews can be decided.
    ready: AtomicBool,
    /// What the newest snapshot was built from.
    known: ArcSwap<Known>,
    /// Lets one review compile at a time.
    compiling: Arc<Semaphore>,
}

/// What a large review holds until the last of its work has ended: the place to compile, and its turn.
#[derive(Debug)]
pub(crate) struct Held {
    _place: OwnedSemaphorePermit,
    _turn: Option<Turn>,
}

impl Held {
    /// In this order: whoever waits for the place must not keep large reviews of pods waiting meanwhile.
    pub(crate) const fn of(place: OwnedSemaphorePermit, turn: Option<Turn>) -> Self {
        Self { _place: place, _turn: turn }
    }
}

fn late(_: Elapsed) -> String {
    "the packs could not be compiled in time; ask again".to_owned()
}

/// What is bound.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) packs: ClusterPacks,
    pub(crate) in_force: InForce,
}

impl Cluster {
    /// Nothing is known yet.
    pub(crate) fn new(client: Client, policy_namespace: String) -> Self {
        let (ready, compiling) = (AtomicBool::new(false), Arc::new(Semaphore::new(COMPILING)));
        Self { client, policy_namespace, ready, known: ArcSwap::default(), compiling }
    }

    /// Waits for the place of a review that compiles.
    ///
    /// # Errors
    /// There was none in time.
    pub(crate) async fn place(&self, until: Instant) -> Result<OwnedSemaphorePermit, String> {
        let place = timeout_at(until, Arc::clone(&self.compiling).acquire_owned()).await.map_err(late)?;
        place.map_err(|closed| closed.to_string())
    }

    /// Runs work that compiles, outside the threads that serve and after any other such work. If it is not
    /// done in time it continues unattended, and delays only the next such work: what is held for it is given back
    /// when it ends. `held`: the place of a review that has one.
    ///
    /// # Errors
    /// It was not done in time, or it panicked.
    pub(crate) async fn compiled<T: Send + 'static>(
        &self,
        until: Instant,
        held: Option<Arc<Held>>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let held = match held {
            Some(held) => held,
            None => Arc::new(Held::of(self.place(until).await?, None)),
        };
        let working = spawn_blocking(move || {
            let _held = held;
            work()
        });
        timeout_at(until, working).await.map_err(late)?.map_err(|error| format!("compiling failed: {error}"))
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    pub(crate) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    pub(crate) fn put(&self, known: Known) {
        self.known.store(Arc::new(known));
        self.ready.store(true, Relaxed);
    }
}

/// The path of a review that needs the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Our own kinds, and namespaces whose labels change.
    Own(Phase),
    /// A connection to a pod.
    Connect,
}

/// Judges a review that needs the API server.
pub(crate) async fn judge(
    cluster: &Cluster,
    snapshot: &Snapshot,
    body: &[u8],
    asked: Asked,
    until: Instant,
    held: Option<Arc<Held>>,
) -> Judged {
    let judging = async {
        let request = match AdmissionRequest::parse(body) {
            Ok(request) => request,
            Err(error) => return Judged::Malformed(error.to_string()),
        };
        let now = judge::now();
        let decision = match asked {
            Asked::Own(phase) => own::own(cluster, &request, phase, now, own::By { until, held }).await,
            Asked::Connect => connect::connect(cluster, snapshot, &request, now, until).await,
        };
        match decision {
            Ok(decision) => judge::decided(&request, &decision),
            Err(reason) => Judged::Denied(response::refuse(&request.uid, UNAVAILABLE, &reason)),
        }
    };
    // A panic leaves nothing half-changed: the request is dropped, and the known state is never modified in
    // place.
    AssertUnwindSafe(judging).catch_unwind().await.unwrap_or(Judged::Panicked)
}

/// Adds the authorizer's answers to these questions, or why they could not be obtained.
pub(crate) async fn answer(
    cluster: Option<&Cluster>,
    user: Result<UserInfo, String>,
    questions: Vec<Question>,
    until: Instant,
    answers: &mut Answers,
) {
    let refusal = match (cluster, user) {
        (Some(cluster), Ok(user)) => {
            return authorizer::answer(cluster, &user, questions, until, answers).await;
        }
        (Some(_), Err(why)) => why,
        (None, _) => "policies come from files here, and nothing asks the API server".to_owned(),
    };
    for question in questions {
        answers.learn(question, Err(refusal.clone()));
    }
}

/// The HTTP status for a request that cannot be judged now.
const UNAVAILABLE: u16 = 503;

/// The time left until a deadline, and at most one wait for the API server.
pub(crate) fn patience(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).min(API_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::turns::Turns;

    fn cluster() -> Cluster {
        let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = kube::Config::new("http://127.0.0.1:9".parse().expect("an address"));
        Cluster::new(Client::try_from(config).expect("a client"), "system".to_owned())
    }

    /// Far longer than anything here takes.
    fn until() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn what_compiles_keeps_no_serving_thread_and_waits_for_what_compiles_already() {
        // Only one thread serves here: if it did the work itself, nothing could end it.
        let cluster = Arc::new(cluster());
        let (end, ends) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let cluster = Arc::clone(&cluster);
            async move { cluster.compiled(until(), None, move || ends.recv().is_ok()).await }
        });
        while cluster.compiling.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let second = cluster.compiled(Instant::now(), None, || true).await;
        assert!(second.is_err_and(|why| why.contains("in time")), "two compiled at one time");
        end.send(()).expect("it waits");
        assert_eq!(first.await.expect("it ends"), Ok(true));
        assert_eq!(cluster.compiled(until(), None, || 1).await, Ok(1));
        let panicked = cluster.compiled(until(), None, || -> bool { panic!("a fault") }).await;
        assert!(panicked.is_err_and(|why| why.contains("failed")));
        assert_eq!(cluster.compiled(until(), None, || 2).await, Ok(2), "a fault keeps its turn");
    }

    #[tokio::test]
    async fn what_is_held_for_a_review_stays_with_work_that_nobody_waits_for() {
        let (cluster, turns) = (cluster(), Turns::new(8));
        let turn = || turns.of([127, 0, 0, 1].into(), 8);
        let place = cluster.place(until()).await.expect("the place");
        let held = Arc::new(Held::of(place, turn().await));
        let (end, ends) = mpsc::channel::<()>();
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(cluster.compiled(soon, Some(held), move || ends.recv().is_ok()).await.is_err());
        assert!(turn().now_or_never().is_none() && cluster.place(until()).now_or_never().is_none());
        end.send(()).expect("it still works");
        assert!(turn().await.is_some() && cluster.place(until()).await.is_ok());
    }
}
