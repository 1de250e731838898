//! Runs a call that was cleared: the only code that starts anything, and it takes a [`Recorded`] [`Permit`]
//! to do so.
//!
//! Whatever happens, the call gets an end and the log a result; the session's turn passes on only when the
//! sandbox is dead and gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bailiwick_audit::Recorded;
use bailiwick_policy::policy::sandboxes::{Language, Sandbox};
use bailiwick_policy::tool::{
    CLERK_CPU_MS, Permit, Plan, PlannedCall, PlannedProgram, Usage, WorkspaceOperation,
};
use bailiwick_sys::outcome::{Source, Usage as Measured};
use bailiwick_sys::{Request, SandboxError};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::calls::{CallState, Ended, Recording};
use crate::clerk;
use crate::connection::Connection;
use crate::delivered::Delivered;
use crate::docket::{End, OwedResult};
use crate::executor::Executor;
use crate::judge;
use crate::metrics::OutcomeLabel;
use crate::output::Output;
use crate::room::Share;
use crate::sessions::{SessionState, Turn};
use crate::supervise::{Over, WakePipe, supervise};
use crate::view;
use crate::warm::{Lease, LeaseError, Left};

/// The interpreter of Python source text, isolated from the environment and the user's packages (python(1),
/// `-I`).
const PYTHON: &str = "/usr/bin/python3";

/// A cleared call with everything that it holds while it runs. Dropped, it has ended for everybody: if it did not
/// end by itself, because a thread panicked or nobody ran it, with outcome `Unknown`.
pub struct Job {
    /// The executor.
    pub executor: Arc<Executor>,
    /// The call, as clients see it.
    pub call: Arc<CallState>,
    /// Its session.
    pub session: Arc<SessionState>,
    /// The right to run it, on record, and the result that the log is owed.
    pub owed: OwedResult,
    /// The session's turn.
    pub turn: Turn,
    /// Its place among the calls that run.
    pub seat: OwnedSemaphorePermit,
    /// The room that its arguments take.
    pub share: Share,
}

/// The result of a run.
struct Ran {
    outcome: crate::wire::Outcome,
    used: Usage,
    result: Option<Value>,
    /// What its caller sent while it ran, as far as it was delivered.
    delivered: Option<Delivered>,
}

/// What is left to do for a call whose end clients know: its record, and clearing its sandbox away. Dropped, it is
/// done. The turn and the place of the call pass on behind that.
#[must_use = "whoever drops it waits until it is done"]
pub struct Rest {
    end: End,
    /// Whether the result adds labels to the session.
    labels: bool,
    left: Option<Left>,
    job: Job,
}

impl Job {
    /// Whether a command runs for it, which may take as long as its limits allow.
    #[must_use]
    pub const fn has_command(&self) -> bool {
        matches!(self.owed.planned().plan(), Plan::Sandbox { .. })
    }

    /// Runs the call here, to its end: clients can be answered when this returns. `client`: whose connection this
    /// thread keeps from waiting.
    pub fn run(mut self, client: Option<&Connection>) -> Rest {
        let executor = &self.executor;
        let (call, planned) = (&self.call, self.owed.planned());
        // Output that must be judged first is held back here, where no client that asks about the call can
        // read it.
        let is_judged = executor.docket().policy().judges_results(planned.call().tool());
        let held_back = is_judged.then(|| Output::new(call.output().limit()));
        let output = held_back.as_ref().unwrap_or(call.output());
        let (mut ran, left) =
            perform(executor, call, output, self.owed.cleared(), &mut self.turn, (&self.session, client));
        let judged = self.is_asked_about().then(|| {
            let gave = judge::Gave { output: output.all(), result: ran.result.clone() };
            let judgement = judge::judge(executor, planned, &ran.outcome, &gave);
            // If only rules in shadow apply, their result is for the log.
            if is_judged {
                ran.result = judge::deliver(call, planned.plan(), &judgement, &gave);
            }
            (judgement, gave)
        });
        let judgement = judged.as_ref().map(|(judgement, _)| judgement);
        let labels = judgement.is_some_and(judge::Judgement::labels);
        if is_judged && judgement.is_some_and(judge::Judgement::is_missing) {
            self.session.lose();
        }
        let mut usage = ran.outcome.usage.clone();
        if let Some(delivered) = &ran.delivered {
            delivered.count_in(&mut usage);
        }
        let end = End {
            outcome: json!(ran.outcome),
            usage,
            input: ran.delivered.take().map(Delivered::recorded),
            result: Some(judge::recorded(call, ran.result.as_ref(), judged.as_ref())),
            used: Some(ran.used),
            decision: judgement.and_then(judge::Judgement::decision).cloned(),
        };
        let result_decision = judgement.filter(|_| is_judged).map(judge::Judgement::view);
        self.tell(Ended { outcome: Some(ran.outcome), result: ran.result, result_decision });
        Rest { end, labels, left, job: self }
    }

    /// Whether rules apply to its result, which can add labels to the session.
    fn is_asked_about(&self) -> bool {
        self.executor.docket().policy().asks_of_results(self.owed.planned().call().tool())
    }

    /// Tells clients of the end.
    fn tell(&self, ended: Ended) {
        let outcome = ended.outcome.as_ref().map(|outcome| outcome.kind.clone()).unwrap_or_default();
        self.executor.metrics().outcomes.get_or_create(&OutcomeLabel { outcome }).inc();
        self.call.end(ended);
    }

    /// Tells clients what became of the record.
    fn settled(&self, recording: Recording) {
        self.call.set_recording(recording);
        self.executor.calls().ended(&self.call);
    }
}

impl Drop for Job {
    /// No panic leaves this: it may run because of one, and a second one would end the executor.
    fn drop(&mut self) {
        if self.call.is_settled() {
            return;
        }
        let unknown = || Ended { outcome: Some(view::unknown()), result: None, result_decision: None };
        let is_told = is_done(|| {
            if self.is_asked_about() {
                // The workspace may hold what it read, and the labels that this adds are not on record.
                self.session.lose();
            }
            if self.call.runs() {
                self.tell(unknown());
            }
        });
        if !is_told {
            self.session.lose();
            is_done(|| self.call.end(unknown()));
        }
        self.owed.give_up();
        if !is_done(|| self.settled(Recording::Failed)) {
            self.session.lose();
        }
    }
}

/// Does something, and returns whether it did not panic.
fn is_done(act: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(act)).is_ok()
}

impl Rest {
    /// Records the end, waits until that is durable, and clears the sandbox away.
    pub fn finish(self) {
        drop(self);
    }

    fn conclude(&mut self) {
        let end = std::mem::take(&mut self.end);
        let Job { call, session, owed, .. } = &mut self.job;
        let recording = match owed.settle(end) {
            Ok(()) => Recording::Durable,
            Err(error) => {
                tracing::error!(call = call.id(), %error, "the end of a call cannot be recorded");
                if self.labels {
                    // The workspace holds what it read, and the label that says so was not recorded.
                    session.lose();
                }
                Recording::Failed
            }
        };
        self.job.settled(recording);
        let Job { executor, call, owed, turn, .. } = &mut self.job;
        if let Some(Err(error)) = self.left.take().map(Left::clear) {
            tracing::error!(call = call.id(), %error, "a cgroup is left; the next start removes it");
        }
        if let Some(name) = owed.planned().plan().sandbox() {
            executor.sandboxes().prepare(name, turn);
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if !is_done(|| self.conclude()) && self.labels {
            // What is not done is done when the job is dropped, but for the labels: the workspace holds what the
            // call read, and it may not be on record that it does.
            self.job.session.lose();
        }
    }
}

fn perform(
    executor: &Executor,
    call: &CallState,
    output: &Output,
    cleared: &Recorded<Permit<PlannedCall>>,
    turn: &mut Turn,
    (session, client): (&SessionState, Option<&Connection>),
) -> (Ran, Option<Left>) {
    let failed = |why: String| {
        let used = Usage { cpu_ms: 0, output_bytes: 0 };
        (Ran { outcome: view::setup_failed(why), used, result: None, delivered: None }, None)
    };
    match cleared.permit().get().plan() {
        Plan::Sandbox { sandbox, program, .. } => {
            let lease = match executor.sandboxes().lease(sandbox, turn) {
                Ok(lease) => lease,
                Err(error) => return failed(lost(session, &error)),
            };
            let Some(rules) = executor.sandboxes().sandbox(sandbox) else {
                return failed(LeaseError::Unknown(sandbox.clone()).to_string());
            };
            match command(executor, (call, client), output, lease, (rules, program)) {
                Ok((ran, left)) => (ran, Some(left)),
                Err(error) => failed(error.to_string()),
            }
        }
        Plan::Workspace(operation) => match workspace(executor, turn, operation) {
            Ok((ran, left)) => (ran, Some(left)),
            Err(ClerkError::Lease(error)) => failed(lost(session, &error)),
            Err(error) => failed(error.to_string()),
        },
    }
}

/// Marks the session's workspace as gone, if that is the error.
fn lost(session: &SessionState, error: &LeaseError) -> String {
    if matches!(error, LeaseError::WorkspaceLost) {
        session.lose();
    }
    error.to_string()
}

/// Why a command did not run.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("no pipe to wake the thread of the command: {0}")]
    WakePipe(#[from] std::io::Error),
}

fn command(
    executor: &Executor,
    (call, client): (&CallState, Option<&Connection>),
    output: &Output,
    lease: Lease,
    (sandbox, program): (&Sandbox, &PlannedProgram),
) -> Result<(Ran, Left), CommandError> {
    // Everything that can fail comes before the command is started: from then on the call has run, and is
    // reported and charged as such.
    let wake = WakePipe::new()?;
    let Lease { parked, workspace } = lease;
    let running = parked.run(&request(sandbox, program))?;
    // The answer will name a checkpoint. It is signed now, while the program begins, and not when the client waits
    // for nothing else.
    drop(executor.docket().checkpoint());
    let Over { exit, remains, delivered } = supervise(running, (call, client), output, &sandbox.limits, wake);
    let kept = output.all();
    let outcome = view::outcome(&exit, kept.dropped);
    let output_bytes = (kept.stdout.len() + kept.stderr.len()) as u64;
    let used = used(&exit.usage, sandbox.limits.cpu_time_ms, output_bytes);
    let ran = Ran { outcome, used, result: None, delivered };
    Ok((ran, Left::new(remains, workspace)))
}

/// What budgets are charged. `reserved_ms`: the CPU time that they reserved for the call. It is charged in full where
/// only the program and the children that it waited for were measured: a process that it left running in the
/// background may have used all of it.
fn used(measured: &Measured, reserved_ms: u64, output_bytes: u64) -> Usage {
    let cpu_ms = u64::try_from(measured.cpu.as_millis()).unwrap_or(u64::MAX);
    // A part of a millisecond counts as one: a thousand tiny calls are not free.
    let cpu_ms = cpu_ms.saturating_add(1);
    let cpu_ms = match measured.cpu_source {
        Source::Cgroup => cpu_ms,
        Source::Rusage => cpu_ms.max(reserved_ms),
    };
    Usage { cpu_ms, output_bytes }
}

fn request(sandbox: &Sandbox, program: &PlannedProgram) -> Request {
    match program {
        PlannedProgram::Argv(argv) => Request {
            program: argv.first().cloned().unwrap_or_default().into(),
            arguments: argv.clone(),
            ..Request::default()
        },
        // The source text is passed on standard input: see `view::input`.
        PlannedProgram::Code(_) => {
            let Language::Python = sandbox.runtime.unwrap_or(Language::Python);
            let arguments = [PYTHON, "-I", "-"].map(str::to_owned).to_vec();
            Request { program: PYTHON.into(), arguments, ..Request::default() }
        }
    }
}

/// Why a workspace tool returned nothing.
#[derive(Debug, thiserror::Error)]
enum ClerkError {
    #[error("no sandbox of the policy has a workspace, so there are no files")]
    NoWorkspace,
    #[error(transparent)]
    Lease(LeaseError),
    #[error(transparent)]
    Clerk(#[from] clerk::ClerkFailed),
}

fn workspace(
    executor: &Executor,
    turn: &mut Turn,
    operation: &WorkspaceOperation,
) -> Result<(Ran, Left), ClerkError> {
    let name = executor.sandboxes().with_workspace().ok_or(ClerkError::NoWorkspace)?;
    let lease = executor.sandboxes().lease(name, turn).map_err(ClerkError::Lease)?;
    let Lease { parked, workspace } = lease;
    let (done, remains) = clerk::perform(parked, operation)?;
    let output_bytes = done.bytes;
    let used = used(&done.exit.usage, CLERK_CPU_MS, output_bytes);
    let outcome = view::outcome(&done.exit, 0);
    let ran = Ran { outcome, used, result: Some(done.result), delivered: None };
    Ok((ran, Left::new(remains, workspace)))
}

#[cfg(test)]
pub(crate) mod tests;
