//! Deciding tool calls: whether a call may run, what exactly then runs, and what the decision changes.
//!
//! Pure: the caller, the counts so far and the time are arguments. Running a call, keeping the log and
//! verifying signatures belong to the executor.
//!
//! ```text
//! Policy ► LoadedPolicy ┐
//! ToolCall ─────────────┼► decide_tool_call ► ToolDecision { Allow(Permit) | Deny | Ask, rules, facts, delta, inputs }
//! State, now, approval ─┘                                        │                                │         │
//!                                                   the executor runs it        State::apply ◄────┘  replay ┘
//! ```
//!
//! Terms. *Grant*: `allow` or `ask`. *Restriction*: `deny`, `throttle`, `narrow`, `confirm`. *Layer*: the
//! tools of one pack. *Owner*: the subject or the session whose calls are counted together. *Tally*: the
//! counts of one owner under one name. *Generation*: a number of the session that changes with every call
//! that runs. *Plan*: what runs.
//!
//! Expressions see: `call` {tool: string, args: map}; `subject` {agent, user, namespace: string, groups:
//! list(string), labels: map(string, string), chain: list(string)}; `session` {id: string, age: duration,
//! calls: int, counters: map(string, int), budgets: map(string, {limit, used, left: double}), labels:
//! list(string)} with the names of the rule's own pack; `facts` {commands, shell, path, url, git}, opaque
//! where the tool's definition derives nothing, see the module `facts`; `now`: timestamp. Rules over results
//! also see `result` {outcome: string, exitCode, signal: int or null, stdout, stderr, content: string, paths:
//! list(string), stdoutSize, stderrSize, contentSize, dropped: int}; bytes that are not text are opaque.

mod approval;
mod builtin;
mod call;
mod checking;
mod decide;
mod decision;
mod delegation;
mod environment;
mod facts;
mod fuzz;
mod gave;
mod layer;
mod list;
mod loaded;
mod narrowing;
mod plan;
mod record;
mod result;
mod state;
mod tally;
mod transform;
mod watched;

#[cfg(test)]
mod tests;

pub use approval::{ApprovalRequest, Requirement, VerifiedApproval, approval_message, bound_call_hash};
pub use builtin::{CLERK_CPU_MS, CLERK_OUTPUT_BYTES, MAX_FILE_BYTES, RESERVED_PREFIX};
pub use call::{CallError, MAX_ARGUMENTS_BYTES, Subject, ToolCall};
pub use checking::{LoadError, Problem};
pub use decide::{Permit, decide_tool_call};
pub use decision::{
    Denial, DenyReason, Effect, EffectRecord, RuleKind, RuleOutcome, RuleReport, ToolDecision,
};
pub use fuzz::fuzz;
pub use list::{Hidden, Listed, Listing};
pub use loaded::LoadedPolicy;
pub(crate) use loaded::Tools;
pub use plan::{
    MAX_ARGUMENT_BYTES, MAX_ARGV_BYTES, MAX_CODE_BYTES, Plan, PlannedCall, PlannedProgram, WorkspaceOperation,
};
pub use record::{DecisionInputs, DecisionRecord, RecordError, Redecided, SessionView, TallyView};
pub use result::{CallResult, Redactions, ResultDecision, ResultEffect, ResultInputs};
pub use state::{
    Change, MAX_OPEN, MAX_PENDING, MAX_SESSIONS, MAX_TALLIES, Reservation, State, StateDelta, StateError,
    Usage,
};
pub use tally::{LONGEST_WINDOW_MS, Owner, TallyKey};
pub use watched::{RuleExpression, WatchedRule};
