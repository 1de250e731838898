//! Runs a call that was cleared: the only code that starts anything, and it takes a [`Recorded`] [`Permit`]
//! to do so.
//!
//! Whatever happens, the call gets an end and the log a result; the session's turn passes on only when the
//! sandbox is dead and gone.

use std::sync::Arc;

use bailiwick_audit::{Recorded, Wait};
use bailiwick_policy::policy::sandboxes::{Language, Sandbox};
use bailiwick_policy::tool::{Permit, Plan, PlannedCall, PlannedProgram, Usage, WorkspaceOperation};
use bailiwick_sys::outcome::Exit;
use bailiwick_sys::{Remains, Request, SandboxError};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::calls::{CallState, Ended, Recording};
use crate::clerk;
use crate::docket::End;
use crate::executor::Executor;
use crate::judge;
use crate::metrics::OutcomeLabel;
use crate::output::Output;
use crate::sessions::{SessionState, Turn};
use crate::supervise::{WakePipe, supervise};
use crate::view;
use crate::warm::{Lease, LeaseError};

/// The interpreter of Python source text, isolated from the environment and the user's packages (python(1),
/// `-I`).
const PYTHON: &str = "/usr/bin/python3";

/// A cleared call with everything that it holds while it runs.
pub struct Job {
    /// The executor.
    pub executor: Arc<Executor>,
    /// The call, as clients see it.
    pub call: Arc<CallState>,
    /// Its session.
    pub session: Arc<SessionState>,
    /// The right to run it, on record.
    pub cleared: Recorded<Permit<PlannedCall>>,
    /// The session's turn.
    pub turn: Turn,
    /// Its place among the calls that run.
    pub seat: OwnedSemaphorePermit,
}

/// The result of a run.
struct Ran {
    outcome: crate::wire::Outcome,
    used: Usage,
    result: Option<Value>,
}

impl Job {
    /// Runs the call here, to its recorded end.
    pub fn run(self) {
        let Self { executor, call, session, cleared, mut turn, seat } = self;
        let metrics = executor.metrics();
        let planned = cleared.permit().get();
        // Output that must be judged first is held back here, where no client that asks about the call can
        // read it.
        let (policy, tool) = (executor.docket().policy(), planned.call().tool());
        let (is_judged, is_asked) = (policy.judges_results(tool), policy.asks_of_results(tool));
        let held_back = is_judged.then(|| Output::new(call.output().limit()));
        let output = held_back.as_ref().unwrap_or(call.output());
        let (mut ran, remains) = perform(&executor, &call, output, &cleared, &mut turn, &session);
        let judged = is_asked.then(|| {
            let gave = judge::Gave { output: output.all(), result: ran.result.clone() };
            let judgement = judge::judge(&executor, planned, &ran.outcome, &gave);
            // If only rules in shadow apply, their result is for the log.
            if is_judged {
                ran.result = judge::deliver(&call, planned.plan(), &judgement, &gave);
            }
            (judgement, gave)
        });
        let judgement = judged.as_ref().map(|(judgement, _)| judgement);
        let labels = judgement.is_some_and(judge::Judgement::labels);
        if is_judged && judgement.is_some_and(judge::Judgement::is_missing) {
            session.lose();
        }
        let end = End {
            outcome: json!(ran.outcome),
            usage: ran.outcome.usage.clone(),
            result: Some(judge::recorded(&call, ran.result.as_ref(), judged.as_ref())),
            used: Some(ran.used),
            decision: judgement.and_then(judge::Judgement::decision).cloned(),
        };
        metrics.outcomes.get_or_create(&OutcomeLabel { outcome: ran.outcome.kind.clone() }).inc();
        let result_decision = judgement.filter(|_| is_judged).map(judge::Judgement::view);
        call.end(Ended { outcome: Some(ran.outcome), result: ran.result, result_decision });
        call.set_recording(
            match executor.docket().settle(planned.call(), cleared.at(), end, Wait::Durable) {
                Ok(()) => Recording::Durable,
                Err(error) => {
                    tracing::error!(call = call.id(), %error, "the end of a call cannot be recorded");
                    if labels {
                        // The workspace holds what it read, and the label that says so was not recorded.
                        session.lose();
                    }
                    Recording::Failed
                }
            },
        );
        executor.calls().ended(&call);
        if let Some(Err(error)) = remains.map(Remains::clear) {
            tracing::error!(call = call.id(), %error, "a cgroup is left; the next start removes it");
        }
        if let Some(name) = planned.plan().sandbox() {
            executor.sandboxes().prepare(name, &mut turn);
        }
        drop((turn, seat));
    }
}

fn perform(
    executor: &Executor,
    call: &CallState,
    output: &Output,
    cleared: &Recorded<Permit<PlannedCall>>,
    turn: &mut Turn,
    session: &SessionState,
) -> (Ran, Option<Remains>) {
    let failed = |why: String| {
        let used = Usage { cpu_ms: 0, output_bytes: 0 };
        (Ran { outcome: view::setup_failed(why), used, result: None }, None)
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
            match command(call, output, lease, rules, program) {
                Ok((ran, remains)) => (ran, Some(remains)),
                Err(error) => failed(error.to_string()),
            }
        }
        Plan::Workspace(operation) => match workspace(executor, turn, operation) {
            Ok((ran, remains)) => (ran, Some(remains)),
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
    call: &CallState,
    output: &Output,
    lease: Lease,
    sandbox: &Sandbox,
    program: &PlannedProgram,
) -> Result<(Ran, Remains), CommandError> {
    // Everything that can fail comes before the command is started: from then on the call has run, and is
    // reported and charged as such.
    let wake = WakePipe::new()?;
    let running = lease.parked.run(&request(sandbox, program))?;
    let (exit, remains) = supervise(running, call, output, &sandbox.limits, wake);
    let kept = output.all();
    let outcome = view::outcome(&exit, kept.dropped);
    let output_bytes = (kept.stdout.len() + kept.stderr.len()) as u64;
    Ok((Ran { outcome, used: used(&exit, output_bytes), result: None }, remains))
}

fn used(exit: &Exit, output_bytes: u64) -> Usage {
    let cpu_ms = u64::try_from(exit.usage.cpu.as_millis()).unwrap_or(u64::MAX);
    // A part of a millisecond counts as one: a thousand tiny calls are not free.
    Usage { cpu_ms: cpu_ms.saturating_add(1), output_bytes }
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
) -> Result<(Ran, Remains), ClerkError> {
    let name = executor.sandboxes().with_workspace().ok_or(ClerkError::NoWorkspace)?;
    let lease = executor.sandboxes().lease(name, turn).map_err(ClerkError::Lease)?;
    let (done, remains) = clerk::perform(lease.parked, operation)?;
    let output_bytes = done.bytes;
    let used = used(&done.exit, output_bytes);
    Ok((Ran { outcome: view::outcome(&done.exit, 0), used, result: Some(done.result) }, remains))
}
