//! The executor: decides, records and runs calls; everything that the API and the commands ask for.
//!
//! ```text
//! start ─► turn of the session ─► docket.rule ─► denied, asked: the answer
//!                                             └► cleared ─► a thread: lease a sandbox ─► run ─► settle ─► clear away ─► next turn
//! ```

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick_policy::bundle;
use bailiwick_policy::tool::{LoadedPolicy, Subject, ToolCall};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::problem::Refusal;
use crate::api::wire::{self, ApprovalSubmission, CallRequest, OpenQuestion};
use crate::approvals::{Question, Questions};
use crate::calls::{CallState, CallTable, Input, NewCall};
use crate::docket::{Docket, DocketError};
use crate::host::Host;
use crate::ids;
use crate::limits::Limits;
use crate::metrics::{EffectLabel, EffectValue, Metrics};
use crate::run::Job;
use crate::sessions::{SessionState, Sessions};
use crate::warm::Sandboxes;
use crate::{clock, subject, view};

/// Largest bundle file that is read; a bundle has a bound of its own.
const MAX_BUNDLE_BYTES: u64 = bundle::MAX_BYTES as u64;

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
    /// Sandboxes kept ready for each kind.
    pub warm: usize,
    /// Bounds.
    pub limits: Limits,
}

/// Decides, records and runs calls.
pub struct Executor {
    limits: Limits,
    subject: Subject,
    docket: Docket,
    sandboxes: Arc<Sandboxes>,
    sessions: Sessions,
    calls: CallTable,
    questions: Questions,
    metrics: Metrics,
    seats: Arc<Semaphore>,
    draining: AtomicBool,
    tools: Vec<wire::Tool>,
}

impl Executor {
    /// Reads the bundle, opens the log, starts the launchers.
    ///
    /// # Errors
    /// Whatever keeps it from deciding, recording or confining as the policy says.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let bundle = read_bundle(&settings.bundle, settings.expect_digest.as_deref())?;
        let subject = subject::subject(settings.subject.as_deref())?;
        let audit = bundle.policy.audit.as_ref().map(|stated| stated.value);
        let policy = Arc::new(LoadedPolicy::of_bundle(bundle)?);
        let tools = policy.tools().map(|(name, description, input)| wire::Tool {
            name: name.to_owned(),
            description,
            input,
        });
        let tools = tools.collect();
        let definitions = policy.policy().tools.iter().flat_map(|layer| &layer.definitions);
        let used: BTreeSet<&str> = definitions.map(|tool| tool.run.sandbox.as_str()).collect();
        let sandboxes: Vec<_> = policy
            .policy()
            .sandboxes
            .iter()
            .filter(|one| used.contains(one.name.as_str()))
            .cloned()
            .collect();
        // Before the log: a machine that cannot confine leaves no trace of an executor that never decided anything.
        let host = Host::find()?;
        let sandboxes = Sandboxes::start(host, &sandboxes, settings.warm, settings.limits.workspace_budget)?;
        let docket = Docket::open(&settings.state, policy, audit)?;
        tracing::info!(log_key = docket.log_key(), digest = docket.policy().digest(), "policy in force");
        Ok(Self {
            limits: settings.limits.clone(),
            subject,
            docket,
            sandboxes: Arc::new(sandboxes),
            sessions: Sessions::new(settings.limits.max_sessions),
            calls: CallTable::new(settings.limits.kept_calls, settings.limits.kept_bytes),
            questions: Questions::default(),
            metrics: Metrics::new(),
            seats: Arc::new(Semaphore::new(settings.limits.max_calls)),
            draining: AtomicBool::new(false),
            tools,
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

    /// The tools, as an agent sees them.
    #[must_use]
    pub fn tools(&self) -> Vec<wire::Tool> {
        self.tools.clone()
    }

    /// Where calls are recorded.
    #[must_use]
    pub const fn docket(&self) -> &Docket {
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
    /// Why not.
    pub fn readiness(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Acquire) {
            return Err("draining".to_owned());
        }
        self.docket.health()?;
        self.docket.now_ms().map(drop).map_err(|error| error.to_string())
    }

    /// Opens a session.
    ///
    /// # Errors
    /// Too many sessions, or it could not be recorded.
    pub fn open_session(&self) -> Result<wire::Session, Refusal> {
        self.admitted()?;
        let session = SessionState::new(ids::fresh("s"), clock::unwatched_ms());
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
    /// There is none of this id.
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

    /// Closes a session: its call ends, its workspace goes.
    ///
    /// # Errors
    /// There is none of this id, or it could not be recorded.
    pub fn close_session(&self, id: &str) -> Result<(), Refusal> {
        let session = self.sessions.close(id)?;
        self.metrics.sessions.dec();
        for call in self.calls.running().iter().filter(|call| call.session() == id) {
            // What ends by itself in this moment needs no cancelling.
            let _ = call.cancel();
        }
        session.end();
        self.questions.forget(id);
        self.calls.forget(id);
        self.docket.close_session(id, "closed").map_err(|error| self.unrecorded(&error))
    }

    /// Closes the sessions that nobody has used for long.
    pub fn close_idle_sessions(&self) {
        let idle_ms = self.limits.session_idle_s.saturating_mul(1000);
        for id in self.sessions.idle(clock::unwatched_ms(), idle_ms) {
            match self.close_session(&id) {
                Ok(()) => tracing::info!(session = id, "closed, since nobody used it"),
                Err(error) => tracing::warn!(session = id, ?error, "cannot close an idle session"),
            }
        }
    }

    /// Decides a call and, if it is allowed, starts it. Only on a thread that may wait: the calls of a session take turns.
    ///
    /// # Errors
    /// The request cannot be decided at all. A denial is no error: it is what comes back.
    pub fn start_call(
        self: &Arc<Self>,
        session: &str,
        request: &CallRequest,
        key: Option<String>,
    ) -> Result<Arc<CallState>, Refusal> {
        self.admitted()?;
        let session = self.sessions.get(session)?;
        let arguments = request.args.as_ref().map_or("{}", |args| args.get());
        let asked = ids::request(&request.tool, arguments, request.approval.as_deref());
        if let Some(known) = self.repeated(&session, key.as_deref(), &asked)? {
            return Ok(known);
        }
        let seat = self.seat()?;
        // A question is about one call: whoever repeats it with an approval goes on with that one.
        let answered =
            request.approval.as_deref().map(|approval| self.questions.get(approval, clock::unwatched_ms()));
        let answered = answered.transpose()?.filter(|question| question.session == session.id);
        let id = answered.map_or_else(|| ids::fresh("c"), |question| question.call);
        let call =
            ToolCall::parse(&id, &session.id, self.subject.clone(), &request.tool, arguments.as_bytes())
                .map_err(|error| Refusal::Malformed(error.to_string()))?;
        let turn = session.wait_turn(clock::unwatched_ms())?;
        // Whoever came first with this key has decided meanwhile.
        if let Some(known) = self.repeated(&session, key.as_deref(), &asked)? {
            return Ok(known);
        }
        let approval = request
            .approval
            .as_deref()
            .map(|id| self.questions.approval(&session.id, id).ok_or(Refusal::UnknownApproval));
        let approval = approval.transpose()?;
        let ruling = self.docket.rule(&call, approval.as_ref(), key.as_deref());
        let ruling = ruling.map_err(|error| self.unrecorded(&error))?;
        session.calls.fetch_add(1, Ordering::Relaxed);
        let decision = view::decision(&ruling.record, self.docket.policy().digest());
        self.count(decision.effect);
        self.note_question(&session, &call, &ruling, approval.as_ref().map(|approval| approval.id.as_str()))?;
        let plan = ruling.cleared.as_ref().map(|cleared| cleared.permit().get().plan());
        let state = CallState::new(NewCall {
            id,
            session: session.id.clone(),
            request: asked,
            decision,
            output_limit: plan.map_or(0, |plan| self.output_limit(plan)),
            input: plan.map_or_else(Input::default, view::input),
            runs: plan.is_some(),
        });
        let state = Arc::new(state);
        self.calls.insert(&state, key);
        match ruling.cleared {
            None => self.calls.ended(&state),
            Some(cleared) => {
                let job = Job {
                    executor: Arc::clone(self),
                    call: Arc::clone(&state),
                    session,
                    cleared,
                    turn,
                    seat,
                };
                job.start();
            }
        }
        Ok(state)
    }

    /// The call that was made with this key before.
    fn repeated(
        &self,
        session: &SessionState,
        key: Option<&str>,
        asked: &str,
    ) -> Result<Option<Arc<CallState>>, Refusal> {
        let known = key.and_then(|key| self.calls.by_key(&session.id, key));
        match known {
            Some(known) if known.request() != asked => Err(Refusal::KeyReused),
            known => Ok(known),
        }
    }

    fn note_question(
        &self,
        session: &SessionState,
        call: &ToolCall,
        ruling: &crate::docket::Ruling,
        answered: Option<&str>,
    ) -> Result<(), Refusal> {
        if let (Some(id), Some(_)) = (answered, &ruling.cleared) {
            self.questions.withdraw(id);
        }
        let (Some(request), Some(binds)) = (view::question(&ruling.record), &ruling.binds) else {
            return Ok(());
        };
        let question =
            Question::new(request.clone(), session.id.clone(), call.id().to_owned(), binds.clone());
        self.questions.add(question, ruling.record.delta.at_ms)
    }

    fn output_limit(&self, plan: &bailiwick_policy::tool::Plan) -> u64 {
        let sandbox = plan.sandbox().and_then(|name| self.sandboxes.sandbox(name));
        sandbox.map_or(0, |sandbox| sandbox.limits.output_bytes)
    }

    fn count(&self, effect: &str) {
        let effect = match effect {
            "Allow" => EffectValue::Allow,
            "Ask" => EffectValue::Ask,
            _ => EffectValue::Deny,
        };
        self.metrics.decisions.get_or_create(&EffectLabel { effect }).inc();
    }

    /// A call of a session.
    ///
    /// # Errors
    /// There is none of this id, or not in this session.
    pub fn call(&self, session: &str, id: &str) -> Result<Arc<CallState>, Refusal> {
        self.sessions.get(session)?;
        self.calls.get(session, id).ok_or(Refusal::UnknownCall)
    }

    /// A call as clients see it, with a part of its output.
    #[must_use]
    pub fn view(&self, call: &CallState, part: &crate::output::Part) -> wire::Call {
        view::call(call, part, self.docket.checkpoint().as_deref())
    }

    /// The open questions.
    #[must_use]
    pub fn questions(&self) -> Vec<OpenQuestion> {
        self.questions.list(clock::unwatched_ms())
    }

    /// One open question.
    ///
    /// # Errors
    /// It is not open.
    pub fn question(&self, id: &str) -> Result<OpenQuestion, Refusal> {
        self.questions.get(id, clock::unwatched_ms()).map(|question| question.view())
    }

    /// Takes an approver's signature.
    ///
    /// # Errors
    /// The question is not open, the signature does not hold, or it could not be recorded.
    pub fn approve(&self, id: &str, submission: &ApprovalSubmission) -> Result<OpenQuestion, Refusal> {
        let now_ms = self.docket.now_ms().map_err(|error| Refusal::NotRecorded(error.to_string()))?;
        self.questions.sign(id, submission, now_ms, |question, said| {
            let recorded = self.docket.record_approval(&question.session, &question.call, said);
            recorded.map(drop).map_err(|error| self.unrecorded(&error))
        })
    }

    /// Takes no more calls.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Cancels what still runs and waits for its records.
    pub async fn cancel_all(&self, most: Duration) {
        let running = self.calls.running();
        for call in &running {
            let _ = call.cancel();
        }
        let ended = async {
            for call in &running {
                call.result_recorded().await;
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
        let all = self.sessions.all();
        all.iter().try_for_each(|session| match self.sessions.close(&session.id) {
            Ok(session) => {
                session.end();
                self.docket.close_session(&session.id, "the executor ended")
            }
            Err(_) => Ok(()),
        })
    }

    fn admitted(&self) -> Result<(), Refusal> {
        if self.draining.load(Ordering::Acquire) { Err(Refusal::Draining) } else { Ok(()) }
    }

    fn seat(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let most = self.limits.max_calls;
        Arc::clone(&self.seats)
            .try_acquire_owned()
            .map_err(|_| Refusal::Busy(format!("{most} calls run or wait, which is the most")))
    }

    fn unrecorded(&self, error: &DocketError) -> Refusal {
        self.metrics.unrecorded.inc();
        tracing::error!(%error, "a record cannot be written; refused");
        Refusal::NotRecorded(error.to_string())
    }
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
