//! From an allegation to a call that can run: its turn, its decision, its record.
//!
//! ```text
//! session, key ─► seat (enter) ─► turn of the session ─► docket.rule ─► denied, asked: the answer
//!                                                                    └► cleared ─► run::Job, for a caller that has a thread
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bailiwick_policy::json::Json;
use bailiwick_policy::tool::{Plan, ToolCall};
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};

use super::Executor;
use crate::calls::{CallState, NewCall};
use crate::docket::OwedResult;
use crate::input::Input;
use crate::limits::{MAX_ARGUMENTS_DEPTH, MAX_TOOL_NAME};
use crate::metrics::{EffectLabel, EffectValue};
use crate::refusal::Refusal;
use crate::room::Share;
use crate::run::Job;
use crate::sessions::{SessionState, Turn};
use crate::wire::CallRequest;
use crate::{ids, view};

/// A call that is decided, on record.
pub struct Started {
    /// The call, as clients see it.
    pub call: Arc<CallState>,
    /// The job that runs it. `None`: it was denied, it needs approval, or it repeats a call that was started
    /// before. A job that is dropped ends the call.
    pub job: Option<Job>,
}

impl Started {
    const fn before(call: Arc<CallState>) -> Self {
        Self { call, job: None }
    }
}

/// A call that has its place, and waits for the turn of its session.
pub struct Entered {
    session: Arc<SessionState>,
    call: ToolCall,
    /// Hash of the request.
    asked: String,
    /// Its idempotency key.
    key: Option<String>,
    /// The question that it answers.
    approval: Option<String>,
    seat: OwnedSemaphorePermit,
    /// The room that its arguments take.
    share: Share,
}

/// Why a request takes no place.
pub enum NotEntered {
    /// It cannot be decided at all.
    Refused(Refusal),
    /// It repeats this call.
    Repeats(Arc<CallState>),
}

impl From<Refusal> for NotEntered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Entered {
    /// The turn of its session, if no other call has it or waits for it.
    #[must_use]
    pub fn try_turn(&self) -> Option<Turn> {
        self.session.try_turn()
    }
}

impl Executor {
    /// Decides a call. Only on a thread that may block: the calls of a session take turns.
    ///
    /// # Errors
    /// The request cannot be decided at all. A denial is not an error: it is returned.
    pub fn start_call(
        self: &Arc<Self>,
        session: &str,
        request: &CallRequest,
        key: Option<String>,
    ) -> Result<Started, Refusal> {
        match self.enter(session, request, key, Share::empty(&self.room)) {
            Ok(entered) => self.start_entered(entered),
            Err(NotEntered::Repeats(known)) => Ok(Started::before(known)),
            Err(NotEntered::Refused(refusal)) => Err(refusal),
        }
    }

    /// Takes a place for a call, without waiting for anything. `share`: the room that its text takes.
    ///
    /// # Errors
    /// See [`NotEntered`].
    pub fn enter(
        &self,
        session: &str,
        request: &CallRequest,
        key: Option<String>,
        share: Share,
    ) -> Result<Entered, NotEntered> {
        self.admitted()?;
        let session = self.sessions.get(session)?;
        if request.tool.len() > MAX_TOOL_NAME {
            let why = format!("the name of a tool has at most {MAX_TOOL_NAME} bytes");
            return Err(Refusal::Malformed(why).into());
        }
        let arguments = request.args.as_ref().map_or("{}", |args| args.get());
        let asked = ids::request(&request.tool, arguments, request.approval.as_deref());
        if let Some(known) = self.repeated(&session, key.as_deref(), &asked)? {
            return Err(NotEntered::Repeats(known));
        }
        let seat = self.seat()?;
        let approval = request.approval.clone();
        // A question is about one call: a repeated request with an approval continues that call.
        let answered = approval.as_deref().map(|id| self.questions.call_of(&session.id, id));
        let id = answered.transpose()?.unwrap_or_else(|| ids::fresh("c"));
        // Before they are read: as values they may take a hundred times what their text takes.
        let share = share.into_call(&request.tool, arguments)?;
        let call =
            ToolCall::parse(&id, &session.id, self.subject.clone(), &request.tool, arguments.as_bytes())
                .map_err(|error| Refusal::Malformed(error.to_string()))?;
        if depth(call.arguments()) > MAX_ARGUMENTS_DEPTH {
            let why = format!("the arguments are nested more than {MAX_ARGUMENTS_DEPTH} deep");
            return Err(Refusal::Malformed(why).into());
        }
        Ok(Entered { session, call, asked, key, approval, seat, share })
    }

    /// Waits for the turn, and decides the call. Only on a thread that may block.
    ///
    /// # Errors
    /// As for [`Executor::start_call`].
    pub fn start_entered(self: &Arc<Self>, entered: Entered) -> Result<Started, Refusal> {
        let turn = entered.session.wait_turn()?;
        self.decide_call(entered, turn)
    }

    /// Decides a call that has the turn. Only on a thread that may block.
    ///
    /// # Errors
    /// As for [`Executor::start_call`].
    pub fn decide_call(self: &Arc<Self>, entered: Entered, turn: Turn) -> Result<Started, Refusal> {
        let Entered { session, call, asked, key, approval, seat, share } = entered;
        session.accepts()?;
        // The first request with this key has been decided meanwhile.
        if let Some(known) = self.repeated(&session, key.as_deref(), &asked)? {
            return Ok(Started::before(known));
        }
        let approval = approval
            .as_deref()
            .map(|id| self.questions.approval(&session.id, id).ok_or(Refusal::UnknownApproval));
        let approval = approval.transpose()?;
        let ruling = self.docket.rule(&call, approval.as_ref(), key.as_deref());
        let mut ruling = ruling.map_err(|error| self.unrecorded(&error))?;
        // From here on the log is owed a result, whatever happens.
        let owed = ruling.cleared.take().map(|cleared| OwedResult::new(&self.docket, cleared));
        let decision = view::decision(&ruling.record, self.docket.policy().digest());
        let effect = decision.effect;
        let plan = owed.as_ref().map(|owed| owed.planned().plan());
        let state = CallState::new(NewCall {
            id: call.id().to_owned(),
            session: session.id.clone(),
            request: asked,
            decision,
            output_limit: plan.map_or(0, |plan| self.output_limit(plan)),
            input: plan.map_or_else(Input::default, view::input),
            runs: plan.is_some(),
            cancellable: plan.is_some_and(|plan| plan.sandbox().is_some()),
        });
        state.share_input(&self.inputs, &self.copies);
        let state = Arc::new(state);
        let note = || {
            session.calls.fetch_add(1, Ordering::Relaxed);
            self.count(effect);
            let answered = approval.as_ref().map(|approval| approval.id.as_str());
            self.note_question(&session, &call, &ruling, answered)
        };
        let Some(owed) = owed else {
            // A question that has no place can be asked again, with the same key.
            note()?;
            // So can a call that was throttled: clients that are told to retry send the same key.
            let key = key.filter(|_| state.decision().retry_after_ms.is_none());
            self.calls.insert(&state, key);
            self.calls.ended(&state);
            return Ok(Started::before(state));
        };
        let (executor, of_job) = (Arc::clone(self), Arc::clone(&state));
        let job = Job { executor, call: of_job, session: Arc::clone(&session), owed, turn, seat, share };
        // Before anything else: after a fault, a repeated request finds the call with its end, and runs nothing.
        self.calls.insert(&state, key);
        note()?;
        if session.is_closed() {
            // Closing the session may have searched for its calls before this one existed.
            let _ = state.cancel();
        }
        Ok(Started { call: state, job: Some(job) })
    }

    /// The call that was made with this key before.
    fn repeated(
        &self,
        session: &SessionState,
        key: Option<&str>,
        asked: &str,
    ) -> Result<Option<Arc<CallState>>, Refusal> {
        key.map_or(Ok(None), |key| self.calls.repeated(&session.id, key, asked))
    }

    fn output_limit(&self, plan: &Plan) -> u64 {
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

    fn seat(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let most = self.limits.max_calls;
        Arc::clone(&self.seats).try_acquire_owned().map_err(|error| match error {
            TryAcquireError::Closed => Refusal::Draining,
            TryAcquireError::NoPermits => {
                Refusal::Busy(format!("limit of {most} running or waiting calls reached"))
            }
        })
    }
}

/// How often lists and objects are in one another.
fn depth(json: &Json<'_>) -> usize {
    let inside = match json {
        Json::List(items) => items.iter().map(depth).max(),
        Json::Map(members) => members.iter().map(|(_, value)| depth(value)).max(),
        _ => return 0,
    };
    inside.unwrap_or(0) + 1
}
