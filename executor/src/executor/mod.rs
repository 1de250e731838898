//! The executor: decides, records and runs calls; everything that the API and the commands call.
//!
//! ```text
//! open_session ─► start_call (starting) ─► allowed: runs, settles, clears away
//!              │                        ├► denied
//!              │                        └► asked (asking) ─► approve, or withdraw_lapsed_questions
//!              └► close_session, close_idle_sessions
//! ```

mod asking;
mod starting;

pub use starting::{Entered, NotEntered, Started};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_policy::bundle;
use bailiwick_policy::policy::tools::Audit;
use bailiwick_policy::tool::{LoadedPolicy, Subject};
use tokio::sync::Semaphore;

use crate::approvals::Questions;
use crate::call_table::CallTable;
use crate::calls::CallState;
use crate::clock::{BehindLog, Moment};
use crate::docket::{Docket, DocketError};
use crate::host::Host;
use crate::ids;
use crate::limits::{Limits, MAX_COPIED_BYTES, MAX_INPUT_BYTES};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::room::Room;
use crate::sessions::{SessionState, Sessions};
use crate::warm::Sandboxes;
use crate::wire;
use crate::{clock, links, subject, view};

/// Largest bundle file that is read; a bundle has a bound of its own.
const MAX_BUNDLE_BYTES: u64 = bundle::MAX_BYTES as u64;

/// How often a wait for all calls checks whether they have ended: a few times while one call is cleared away,
/// at the cost of one read.
const SEATS_LOOK: Duration = Duration::from_millis(20);

/// How an executor is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The compiled policy.
    pub bundle: PathBuf,
    /// The digest that it must have.
    pub expect_digest: Option<String>,
    /// Directory of the audit log.
    pub state: PathBuf,
    /// File of the subject.
    pub subject: Option<PathBuf>,
    /// File of the packs that bind each principal of its chain.
    pub links: Option<PathBuf>,
    /// Sandboxes kept ready for each kind.
    pub warm: usize,
    /// What to do about a clock that is behind the log.
    pub clock: BehindLog,
    /// Bounds.
    pub limits: Limits,
}

/// Decides, records and runs calls.
pub struct Executor {
    limits: Limits,
    subject: Subject,
    docket: Arc<Docket>,
    sandboxes: Arc<Sandboxes>,
    sessions: Sessions,
    calls: CallTable,
    questions: Questions,
    metrics: Metrics,
    /// A place for each call that runs or waits; closed once no more may start.
    seats: Arc<Semaphore>,
    /// Every tool of the policy.
    tools: Vec<wire::Tool>,
    listings: Semaphore,
    /// Room for large requests.
    room: Arc<Room>,
    /// Room for what waits to be read by commands.
    inputs: Arc<Room>,
    /// Room for copies of what was delivered to them.
    copies: Arc<Room>,
    /// How many failures of openings were reported.
    openings_told: AtomicU64,
}

impl Executor {
    /// Reads the bundle, opens the log, starts the launchers.
    ///
    /// # Errors
    /// Anything that keeps it from deciding, recording or confining as the policy says.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let bundle = read_bundle(&settings.bundle, settings.expect_digest.as_deref())?;
        let subject = subject::subject(settings.subject.as_deref())?;
        let audit = bundle.policy.audit.as_ref().map(|stated| stated.value);
        let policy = Arc::new(LoadedPolicy::of_bundle(bundle)?);
        if let Some(file) = &settings.links {
            links::check(file, &subject, &policy)?;
        }
        let sandboxes: Vec<_> = policy.policy().used_sandboxes().into_iter().cloned().collect();
        // Before the log: on a machine that cannot confine, an executor that never decided anything leaves no
        // trace.
        let host = Host::find()?;
        let sandboxes = Sandboxes::start(host, &sandboxes, settings.warm, settings.limits.workspace_budget)?;
        Self::with(settings, policy, audit, subject, sandboxes)
    }

    /// Opens the log.
    pub(crate) fn with(
        settings: &Settings,
        policy: Arc<LoadedPolicy>,
        audit: Option<Audit>,
        subject: Subject,
        sandboxes: Sandboxes,
    ) -> anyhow::Result<Self> {
        let tools = policy.tools().map(|(name, description, input)| wire::Tool {
            name: name.to_owned(),
            description,
            input,
        });
        let tools = tools.collect();
        let docket = Docket::open(&settings.state, policy, audit, settings.clock)?;
        let docket = match settings.limits.max_state_bytes {
            Some(most) => docket.limited(&settings.state, most)?,
            None => docket,
        };
        tracing::info!(log_key = docket.log_key(), digest = docket.policy().digest(), "policy in force");
        Ok(Self {
            limits: settings.limits.clone(),
            subject,
            docket: Arc::new(docket),
            sandboxes: Arc::new(sandboxes),
            sessions: Sessions::new(settings.limits.max_sessions),
            calls: CallTable::new(settings.limits.kept_calls, settings.limits.kept_bytes),
            questions: Questions::default(),
            metrics: Metrics::new(),
            seats: Arc::new(Semaphore::new(settings.limits.max_calls)),
            tools,
            listings: Semaphore::new(1),
            room: Room::new(settings.limits.max_held_bytes, "large requests"),
            inputs: Room::new(MAX_INPUT_BYTES, "input that waits for commands"),
            copies: Room::new(MAX_COPIED_BYTES, "input that was delivered to commands that run"),
            openings_told: AtomicU64::new(0),
        })
    }

    /// Its bounds.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Its counters.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The tools that the subject may see: all except those for which every call is certain to be denied.
    /// Takes some hundred milliseconds at most.
    ///
    /// # Errors
    /// There is no such session, or the state is unknown.
    pub fn tools(&self, session: Option<&str>) -> Result<Vec<wire::Tool>, Refusal> {
        let session = session.map(|id| self.sessions.get(id)).transpose()?;
        let session = session.as_ref().map(|session| session.id.as_str());
        let listed = self.docket.listed(&self.subject, session).map_err(|error| self.unrecorded(&error))?;
        Ok(self.tools.iter().filter(|tool| listed.contains(&tool.name)).cloned().collect())
    }

    /// The turn to list the tools: one listing at a time, because evaluating conditions for many at once
    /// would slow down calls.
    #[must_use]
    pub const fn listings(&self) -> &Semaphore {
        &self.listings
    }

    /// Room for large requests.
    #[must_use]
    pub const fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Where calls are recorded.
    #[must_use]
    pub const fn docket(&self) -> &Arc<Docket> {
        &self.docket
    }

    /// Where calls run.
    #[must_use]
    pub const fn sandboxes(&self) -> &Arc<Sandboxes> {
        &self.sandboxes
    }

    /// The calls that clients can ask about.
    #[must_use]
    pub const fn calls(&self) -> &CallTable {
        &self.calls
    }

    /// Whether calls can be decided, recorded and run.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn readiness(&self) -> Result<(), String> {
        if self.seats.is_closed() {
            return Err("draining".to_owned());
        }
        let healthy = self.docket.readiness().and_then(|()| Ok(self.docket.now_ms().map(drop)?));
        healthy.map_err(|error| match error.remedy() {
            Some(remedy) => format!("{error}; {remedy}"),
            None => error.to_string(),
        })
    }

    /// Why nothing will ever be recorded by this process again, if that is so: a new start finds what is on the
    /// disk.
    #[must_use]
    pub fn needs_restart(&self) -> Option<DocketError> {
        self.docket.health().err().filter(DocketError::needs_restart)
    }

    /// Opens a session.
    ///
    /// # Errors
    /// Too many sessions, or it could not be recorded.
    pub fn open_session(&self) -> Result<wire::Session, Refusal> {
        self.admitted()?;
        let session = SessionState::new(ids::fresh("s"), clock::unwatched_ms(), Moment::now());
        let record = |session: &SessionState| {
            self.docket
                .open_session(&session.id, &self.subject)
                .map(drop)
                .map_err(|error| self.unrecorded(&error))
        };
        let session = self.sessions.open(session, record)?;
        self.metrics.sessions.inc();
        Ok(self.session_view(&session))
    }

    /// A session.
    ///
    /// # Errors
    /// There is none with this id.
    pub fn session(&self, id: &str) -> Result<wire::Session, Refusal> {
        self.sessions.get(id).map(|session| self.session_view(&session))
    }

    fn session_view(&self, session: &SessionState) -> wire::Session {
        wire::Session {
            id: session.id.clone(),
            policy_digest: self.docket.policy().digest().to_owned(),
            opened_ms: session.opened_ms,
            calls: session.calls.load(Ordering::Relaxed),
            state: if session.is_lost() { "WorkspaceLost" } else { "Open" },
        }
    }

    /// Closes a session: its call ends, its workspace is removed.
    ///
    /// # Errors
    /// There is none with this id, or the end could not be recorded: then the session is closed, and recorded
    /// when this is called again or by itself ([`Executor::record_closings`]).
    pub fn close_session(&self, id: &str) -> Result<(), Refusal> {
        let session = match self.sessions.close(id) {
            Ok(session) => session,
            Err(_) if self.sessions.take_unrecorded(id) => {
                return self.record_closing(id, "closed").map_err(|error| self.unrecorded(&error));
            }
            Err(unknown) => return Err(unknown),
        };
        for call in self.calls.running().iter().filter(|call| call.session() == id) {
            // A call that ends by itself at this moment needs no cancelling.
            let _ = call.cancel();
        }
        self.clear_session(&session)
    }

    /// Clears away what a closed session owned, once its last call is over, and records its end.
    fn clear_session(&self, session: &SessionState) -> Result<(), Refusal> {
        self.metrics.sessions.dec();
        session.end();
        self.questions.forget(&session.id);
        self.calls.forget(&session.id);
        self.record_closing(&session.id, "closed").map_err(|error| self.unrecorded(&error))
    }

    /// Records the end of a session, or remembers to record it.
    fn record_closing(&self, id: &str, why: &str) -> Result<(), DocketError> {
        self.docket.close_session(id, why).inspect_err(|_| self.sessions.keep_unrecorded(id))
    }

    /// Records the ends of sessions that could not be recorded when they were closed.
    pub fn record_closings(&self) {
        for id in self.sessions.all_unrecorded() {
            if !self.sessions.take_unrecorded(&id) {
                continue;
            }
            if let Err(error) = self.record_closing(&id, "closed") {
                // The others would fail as well; they are tried again in the next pass.
                tracing::warn!(session = id, %error, "the end of a session cannot be recorded yet");
                return;
            }
        }
    }

    /// Reports and counts openings of records that could not be written or flushed since the last pass.
    pub fn tell_of_openings(&self) {
        let failures = self.docket.opening_failures();
        let new = failures.saturating_sub(self.openings_told.swap(failures, Ordering::Relaxed));
        if new > 0 {
            self.metrics.openings.inc_by(new);
            tracing::error!(
                failures = new,
                "values beside the log (`disclosures/`) could not be written; calls were refused until they could"
            );
        }
    }

    /// Closes the sessions that have been idle for too long.
    pub fn close_idle_sessions(&self) {
        let idle_ms = self.limits.session_idle_s.saturating_mul(1000);
        let now = Moment::now();
        for id in self.sessions.idle(now, idle_ms) {
            // None of its calls runs, so nothing is interrupted or waited for.
            let Some(session) = self.sessions.close_if_idle(&id, now, idle_ms) else { continue };
            match self.clear_session(&session) {
                Ok(()) => tracing::info!(session = id, "closed, since nobody used it"),
                Err(error) => tracing::warn!(session = id, ?error, "cannot close an idle session"),
            }
        }
    }

    /// A call of a session.
    ///
    /// # Errors
    /// There is none with this id, or not in this session.
    pub fn call(&self, session: &str, id: &str) -> Result<Arc<CallState>, Refusal> {
        self.sessions.get(session)?;
        self.calls.get(session, id).ok_or(Refusal::UnknownCall)
    }

    /// A call as clients see it, with a part of its output.
    #[must_use]
    pub fn view(&self, call: &CallState, part: &crate::output::Part) -> wire::Call {
        view::call(call, part, self.docket.checkpoint().as_deref())
    }

    /// Accepts no more calls. Those that have a place go on to their end.
    pub fn drain(&self) {
        self.seats.close();
    }

    /// Calls that have a place: decided, running, or being cleared away. Once drained, none is added.
    #[must_use]
    pub fn seated(&self) -> usize {
        self.limits.max_calls.saturating_sub(self.seats.available_permits())
    }

    /// Waits until every call has ended, on record and cleared away.
    pub async fn all_ended(&self) {
        while self.seated() > 0 {
            tokio::time::sleep(SEATS_LOOK).await;
        }
    }

    /// Cancels the calls that still run, and those that waited for their session's turn and start meanwhile,
    /// until every call has ended on record.
    pub async fn cancel_all(&self, most: Duration) {
        let ended = async {
            while self.seated() > 0 {
                for call in self.calls.running() {
                    let _ = call.cancel();
                }
                tokio::time::sleep(SEATS_LOOK).await;
            }
        };
        if tokio::time::timeout(most, ended).await.is_err() {
            tracing::warn!(
                "calls are left without a recorded end; the log shows them as lost at the next start"
            );
        }
    }

    /// Closes every session and lets the log be written to its end.
    ///
    /// # Errors
    /// A session that could not be closed on record; the next start does it.
    pub fn close(&self) -> Result<(), DocketError> {
        self.drain();
        for session in self.sessions.all() {
            if let Ok(session) = self.sessions.close(&session.id) {
                session.end();
                // A failed one is tried once more below.
                drop(self.record_closing(&session.id, "the executor ended"));
            }
        }
        let left = self.sessions.all_unrecorded();
        left.iter().try_for_each(|id| self.docket.close_session(id, "the executor ended"))
    }

    fn admitted(&self) -> Result<(), Refusal> {
        if self.seats.is_closed() { Err(Refusal::Draining) } else { Ok(()) }
    }

    fn unrecorded(&self, error: &DocketError) -> Refusal {
        if let DocketError::Full(full) = error {
            return Refusal::Busy(full.to_string());
        }
        self.metrics.unrecorded.inc();
        tracing::error!(%error, "a record cannot be written; refused");
        refused(error)
    }
}

fn refused(error: &DocketError) -> Refusal {
    Refusal::NotRecorded { why: error.to_string(), help: error.remedy() }
}

pub(crate) fn read_bundle(path: &std::path::Path, expected: Option<&str>) -> anyhow::Result<bundle::Bundle> {
    use anyhow::Context as _;
    use std::io::Read as _;
    let about = || format!("cannot read the bundle `{}`", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .with_context(about)?
        .take(MAX_BUNDLE_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(about)?;
    let bundle = match expected {
        Some(digest) => bundle::load_expecting(&bytes, digest),
        None => bundle::load(&bytes),
    };
    bundle.with_context(|| format!("the bundle `{}` is refused", path.display()))
}
