//! Decides and records calls; the only module that knows the state.
//!
//! ```text
//! call ──► decide (policy, state, now, approval) ──► append: intent, or decision ──► apply the delta ──► Recorded<Permit<PlannedCall>>
//! end  ──► settle ──► append: result ──► apply
//! ```
//! State is a fold over the log, and is read back from it at start. If a record cannot be written, nothing
//! has happened: the call is refused and the state is as it was ([`crate::book`]).
//!
//! Decisions are made one at a time and appear in the log in that order; no call sees a state in which
//! another is half decided. They wait for the disk together: records of calls that are decided while another
//! flush is on its way share the next one.

mod entries;
mod error;
mod extent;
mod owed;
mod questions;
mod sessions;

pub use error::{DocketError, OpenDocketError};
pub use owed::OwedResult;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_audit::{AppendError, Entry, Event, Options, Pending, PendingIntent, Recorded, Watch, Writer};
use bailiwick_policy::policy::tools::{Audit, AuditAdmission, Keep};
use bailiwick_policy::tool::{
    DecisionRecord, Effect, Listing, LoadedPolicy, Permit, PlannedCall, ResultDecision, ResultInputs, State,
    StateDelta, Subject, ToolCall, Usage, VerifiedApproval, decide_tool_call,
};
use serde_json::{Value, json};

use crate::book::Book;
use crate::clock::{BehindLog, Clock, ClockError};
use extent::Extent;

/// What is kept of values when no pack says otherwise.
const DEFAULT_AUDIT: Audit = Audit {
    arguments: Keep::Commit,
    results: Keep::Commit,
    retention_ms: None,
    admission: AuditAdmission::Optional,
};

/// A decision whose record is on disk.
#[derive(Debug)]
pub struct Ruling {
    /// The decision.
    pub record: DecisionRecord,
    /// The right to run it, for a call that was allowed.
    pub cleared: Option<Recorded<Permit<PlannedCall>>>,
    /// What an approval of it would bind, for a call that needs approval.
    pub binds: Option<Value>,
}

/// A decision whose record has its place in the log and is not known to be durable yet. It does not permit a
/// run.
#[derive(Debug)]
#[must_use = "a decision holds once its record is durable"]
pub struct Decided {
    record: DecisionRecord,
    binds: Option<Value>,
    underway: Underway,
}

/// Its record.
#[derive(Debug)]
enum Underway {
    Intent(Box<PendingIntent<Permit<PlannedCall>>>),
    Decision(Pending),
}

impl Underway {
    fn watch(&self) -> Watch {
        match self {
            Self::Intent(intent) => intent.watch(),
            Self::Decision(decision) => decision.watch(),
        }
    }
}

impl Decided {
    /// Waits until the record is durable.
    ///
    /// # Errors
    /// See [`DocketError`]; then nothing was decided.
    pub fn recorded(self) -> Result<Ruling, DocketError> {
        let cleared = match self.underway {
            Underway::Intent(intent) => Some(intent.wait()?),
            Underway::Decision(decision) => {
                decision.wait()?;
                None
            }
        };
        Ok(Ruling { record: self.record, cleared, binds: self.binds })
    }
}

/// What is known of a call that has ended.
#[derive(Debug, Default)]
pub struct End {
    /// How it ended, in the record's form.
    pub outcome: Value,
    /// What it used, in the record's form.
    pub usage: Value,
    /// What was delivered to it while it ran, kept as arguments are.
    pub input: Option<Value>,
    /// Its result, kept as the policy says.
    pub result: Option<Value>,
    /// What budgets are charged; `None`: the amount that was reserved.
    pub used: Option<Usage>,
    /// The decision about its result, if one was needed.
    pub decision: Option<ResultDecision>,
}

impl End {
    /// An end of which only this is known.
    fn bare(kind: &str) -> Self {
        Self { outcome: json!({ "kind": kind }), ..Self::default() }
    }
}

/// The log, the state and the policy.
#[derive(Debug)]
pub struct Docket {
    policy: Arc<LoadedPolicy>,
    writer: Writer,
    book: Mutex<Book>,
    clock: Clock,
    audit: Audit,
    extent: Extent,
}

impl Docket {
    /// Opens the log of a state directory and reads the state back. Sessions of an earlier run are closed:
    /// what they had in memory is gone, and their calls without a result are charged in full.
    ///
    /// # Errors
    /// See [`OpenDocketError`].
    pub fn open(
        dir: &Path,
        policy: Arc<LoadedPolicy>,
        audit: Option<Audit>,
        behind: BehindLog,
    ) -> Result<Self, OpenDocketError> {
        let options = Options { policy_digest: Some(policy.digest().to_owned()), ..Options::default() };
        let (writer, recovered) = Writer::open(dir, &options)?;
        if !recovered.lost.is_empty() {
            tracing::warn!(
                calls = recovered.lost.len(),
                "calls of an earlier run have no result; they are charged in full"
            );
        }
        let state = fold(dir)?;
        let failures = writer.failures();
        let docket = Self {
            policy,
            writer,
            book: Mutex::new(Book::new(state, failures)),
            clock: Clock::start(),
            audit: audit.unwrap_or(DEFAULT_AUDIT),
            extent: Extent::default(),
        };
        if behind == BehindLog::Accepted {
            docket.accept_clock()?;
        }
        docket.close_all("the executor was started anew")?;
        Ok(docket)
    }

    /// The same with a limit on its state directory, in bytes: at that size no call and no session begins any more.
    ///
    /// # Errors
    /// There is no thread to measure it.
    pub fn limited(mut self, dir: &Path, most: u64) -> io::Result<Self> {
        let sandboxes = self.policy.policy().used_sandboxes();
        let output = sandboxes.iter().map(|sandbox| sandbox.limits.output_bytes).max().unwrap_or(0);
        self.extent = Extent::of(dir, most, output)?;
        Ok(self)
    }

    /// Whether the state directory has room for what would begin.
    pub(super) fn has_room(&self) -> Result<(), DocketError> {
        self.extent.check(self.writer.open_intents())
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &LoadedPolicy {
        &self.policy
    }

    /// What is kept of values.
    #[must_use]
    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Decides a call and records the decision. A permit in `cleared` may run.
    ///
    /// # Errors
    /// See [`DocketError`]; then nothing was decided.
    pub fn rule(
        &self,
        call: &ToolCall,
        approval: Option<&VerifiedApproval>,
        key: Option<&str>,
    ) -> Result<Ruling, DocketError> {
        self.decide(call, approval, key)?.recorded()
    }

    /// Decides a call and gives its record a place in the log, without waiting for the disk.
    ///
    /// # Errors
    /// See [`DocketError`]; then nothing was decided.
    pub fn decide(
        &self,
        call: &ToolCall,
        approval: Option<&VerifiedApproval>,
        key: Option<&str>,
    ) -> Result<Decided, DocketError> {
        self.has_room()?;
        let mut book = self.book()?;
        let now_ms = self.clock.now_ms(book.state().now_ms())?;
        let decision = decide_tool_call(&self.policy, call, book.state(), now_ms, approval);
        let record = decision.record();
        let entry = self.entry(call, &decision, &record, approval, key)?;
        book.admits(&record.delta).map_err(DocketError::Full)?;
        let binds = decision.binds.clone();
        let underway = match decision.effect {
            Effect::Allow(permit) => {
                let intent = self.writer.begin_intent(permit, entry.into(), book.failures())?;
                Underway::Intent(Box::new(intent))
            }
            Effect::Deny(_) | Effect::Ask(_) => {
                Underway::Decision(self.writer.begin(Event::Decision, entry, book.failures())?)
            }
        };
        book.enter(record.delta.clone(), underway.watch())?;
        Ok(Decided { record, binds, underway })
    }

    /// The inputs of the decision over the result of a call; `None`: no rule covers results of its tool.
    ///
    /// # Errors
    /// The state or the time is unknown.
    pub fn result_inputs(&self, call: &ToolCall) -> Result<Option<ResultInputs>, DocketError> {
        let book = self.book()?;
        let now_ms = self.clock.now_ms(book.state().now_ms())?;
        Ok(ResultInputs::of(&self.policy, call, book.state(), now_ms))
    }

    /// Records how a call ended, and waits until that is durable.
    ///
    /// # Errors
    /// See [`DocketError`]. Unless a bare record took its place ([`takes_a_bare_record`]), the call stays open in the log.
    pub fn settle(
        &self,
        call: &ToolCall,
        intent: &bailiwick_audit::Appended,
        end: End,
    ) -> Result<(), DocketError> {
        let book = self.book()?;
        let logged_ms = book.state().now_ms();
        let now_ms = self.clock.now_ms(logged_ms).unwrap_or(logged_ms);
        let mut delta = State::settle(call.session(), call.id(), end.used, now_ms);
        let used = end.used;
        delta.changes.extend(end.decision.as_ref().and_then(ResultDecision::change));
        let entry = self.result_entry(call, end, &delta)?;
        let error = match self.writer.begin_result(intent, entry) {
            Err(error) if takes_a_bare_record(&error) => error,
            begun => return settled(book, &delta, begun),
        };
        // An error in the full record must not keep the call, and with it its session, open for ever.
        let delta = State::settle(call.session(), call.id(), used, now_ms);
        let bare = self.result_entry(call, End::bare("Unrecorded"), &delta)?;
        let begun = self.writer.begin_result(intent, bare);
        settled(book, &delta, begun)?;
        Err(error.into())
    }

    /// The names of the tools that are listed for the subject. With a session, conditions can read its state.
    ///
    /// # Errors
    /// The state or the time is unknown.
    pub fn listed(&self, subject: &Subject, session: Option<&str>) -> Result<BTreeSet<String>, DocketError> {
        let book = self.book()?;
        let now_ms = self.clock.now_ms(book.state().now_ms())?;
        let listing = Listing::of(&self.policy, subject, session, book.state(), now_ms)
            .map_err(|error| DocketError::Form(error.to_string()))?;
        // Released, so that no call waits for the evaluation.
        drop(book);
        let listed = listing.tools(&self.policy).into_iter().filter(|tool| tool.hidden.is_none());
        Ok(listed.map(|tool| tool.name.to_owned()).collect())
    }

    /// The time of the next decision.
    ///
    /// # Errors
    /// The clock is not trusted.
    pub fn now_ms(&self) -> Result<u64, ClockError> {
        self.clock.now_ms(self.lock().state().now_ms())
    }

    /// The newest signed checkpoint, a C2SP note. `None`: this writer is no longer in charge of the log.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Arc<str>> {
        self.writer.checkpoint().ok()
    }

    /// The key that verifies the log, for a verifier to keep elsewhere.
    #[must_use]
    pub fn log_key(&self) -> String {
        self.writer.log_key()
    }

    /// Ends the log: nothing is recorded any more, and so nothing runs.
    ///
    /// # Errors
    /// A call has no result yet, or the disk failed.
    pub fn seal(&self, why: &str) -> Result<(), DocketError> {
        self.writer.seal(why)?;
        Ok(())
    }

    /// How often openings could not be written or flushed; records, except results, were refused until they
    /// could be.
    #[must_use]
    pub fn opening_failures(&self) -> u64 {
        self.writer.opening_failures()
    }

    /// Whether records are accepted, of whatever begins.
    ///
    /// # Errors
    /// Why they are not.
    pub fn readiness(&self) -> Result<(), DocketError> {
        self.health()?;
        self.has_room()
    }

    /// Whether records are accepted, of what has begun.
    ///
    /// # Errors
    /// Why they are not.
    pub fn health(&self) -> Result<(), DocketError> {
        self.lock().parted()?;
        Ok(self.writer.health().accepts()?)
    }

    /// Records a change of the state, and waits for the disk without holding the book.
    fn record(
        &self,
        mut book: MutexGuard<'_, Book>,
        event: Event,
        entry: Entry,
        delta: StateDelta,
    ) -> Result<(), DocketError> {
        book.admits(&delta).map_err(DocketError::Full)?;
        let underway = self.writer.begin(event, entry, book.failures())?;
        book.enter(delta, underway.watch())?;
        drop(book);
        underway.wait()?;
        Ok(())
    }

    /// The book, brought up to date with the records.
    fn book(&self) -> Result<MutexGuard<'_, Book>, DocketError> {
        let mut book = self.lock();
        book.catch_up(self.writer.failures())?;
        Ok(book)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Applies a result's change, if the result has its place in the log, and waits for it without holding the
/// book.
fn settled(
    mut book: MutexGuard<'_, Book>,
    delta: &StateDelta,
    begun: Result<Pending, AppendError>,
) -> Result<(), DocketError> {
    if matches!(begun, Ok(_) | Err(AppendError::NotYet(_))) {
        book.settle(delta)?;
    }
    drop(book);
    begun?.wait()?;
    Ok(())
}

/// Whether a bare record is written in the place of a result that had this error. Such errors occur before a record is
/// queued, and the bare one needs neither a line that long nor a file next to the log.
const fn takes_a_bare_record(error: &AppendError) -> bool {
    matches!(error, AppendError::TooLong { .. } | AppendError::Field(_) | AppendError::Io(_))
}

/// The state after every record of the log.
fn fold(dir: &Path) -> Result<State, OpenDocketError> {
    let mut state = State::default();
    let failed = |text: String| OpenDocketError::Fold(text);
    bailiwick_audit::fold(dir, None, |record, _| {
        let Some(delta) = &record.state_delta else { return Ok(()) };
        let delta: StateDelta = serde_json::from_value(delta.clone()).map_err(|error| error.to_string())?;
        state.apply(&delta).map_err(|error| error.to_string())
    })
    .map_err(|error| failed(error.to_string()))?;
    Ok(state)
}
