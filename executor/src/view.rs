//! Turns what the policy and the kernel report into what clients see.

use bailiwick_policy::policy::tools::{Mode, Stdin};
use bailiwick_policy::tool::{
    ApprovalRequest, DecisionRecord, Denial, DenyReason, EffectRecord, Plan, PlannedProgram,
};
use bailiwick_sys::outcome::{Exit, Outcome, Source, Usage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::approvals::groups;
use crate::calls::CallState;
use crate::input::Input;
use crate::output::Part;
use crate::wire;

/// A decision.
#[must_use]
pub(crate) fn decision(record: &DecisionRecord, policy_digest: &str) -> wire::Decision {
    // The effect of a rule in shadow is only for the log: the caller sees what is enforced.
    let rules = record.rules.iter().filter(|rule| rule.mode == Mode::Enforce);
    let rules = rules.map(|rule| format!("{}/{}", rule.pack, rule.rule)).collect();
    let plain = wire::Decision {
        effect: "Allow",
        rules,
        reason: None,
        remedy: None,
        retry_after_ms: None,
        approval: None,
        policy_digest: policy_digest.to_owned(),
    };
    match &record.effect {
        EffectRecord::Allow => plain,
        EffectRecord::Deny(denial) => wire::Decision {
            effect: "Deny",
            reason: Some(why(denial)),
            remedy: denial.remedy.clone(),
            retry_after_ms: denial.retry_after_ms,
            ..plain
        },
        EffectRecord::Ask(request) => wire::Decision {
            effect: "Ask",
            approval: Some(wire::PendingApproval {
                id: request.id.clone(),
                call_hash: request.call_hash.clone(),
                groups: groups(request),
                expires_ms: request.expires_ms,
            }),
            ..plain
        },
    }
}

/// A denial, in a line.
#[must_use]
pub(crate) fn why(denial: &Denial) -> String {
    format!("{}: {}", word(denial.reason), denial.message)
}

/// The reason's word, as in the log.
fn word(reason: DenyReason) -> String {
    serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The question that a decision raises.
#[must_use]
pub(crate) const fn question(record: &DecisionRecord) -> Option<&ApprovalRequest> {
    match &record.effect {
        EffectRecord::Ask(request) => Some(request),
        EffectRecord::Allow | EffectRecord::Deny(_) => None,
    }
}

/// The input of a call's command. Source text is passed this way, because one argument is limited to 128 KiB
/// (execve(2)); so code reads nothing from its caller.
#[must_use]
pub(crate) fn input(plan: &Plan) -> Input {
    match plan {
        Plan::Sandbox { program: PlannedProgram::Code(code), .. } => Input::Text(code.clone().into()),
        Plan::Sandbox { stdin: Stdin::Stream, .. } => Input::Stream,
        Plan::Sandbox { .. } | Plan::Workspace(_) => Input::Empty,
    }
}

/// A call, with a part of its output.
#[must_use]
pub(crate) fn call(call: &CallState, part: &Part, checkpoint: Option<&str>) -> wire::Call {
    let ended = call.how_it_ended();
    let ran = ended.as_ref().is_none_or(|ended| ended.outcome.is_some());
    wire::Call {
        id: call.id().to_owned(),
        decision: call.decision().clone(),
        stdout: STANDARD.encode(&part.stdout),
        stderr: STANDARD.encode(&part.stderr),
        durable: match (ran, call.is_recorded()) {
            (false, _) => "decision",
            (true, true) => "result",
            (true, false) => "intent",
        },
        result: ended.as_ref().and_then(|ended| ended.result.clone()),
        result_decision: ended.as_ref().and_then(|ended| ended.result_decision.clone()),
        outcome: ended.and_then(|ended| ended.outcome),
        checkpoint: checkpoint.map(str::to_owned),
    }
}

/// How a command ended.
#[must_use]
pub(crate) fn outcome(exit: &Exit, output_dropped: u64) -> wire::Outcome {
    let plain = |kind: &str| wire::Outcome {
        kind: kind.to_owned(),
        code: None,
        signal: None,
        step: None,
        output_dropped,
        usage: usage(&exit.usage),
    };
    match &exit.outcome {
        Outcome::Exited { code } => wire::Outcome { code: Some(*code), ..plain("Exited") },
        Outcome::Signaled { signal } => wire::Outcome { signal: Some(*signal), ..plain("Signaled") },
        Outcome::TimedOut => plain("TimedOut"),
        Outcome::CpuTimeExceeded => plain("CpuTimeExceeded"),
        Outcome::MemoryExceeded => plain("MemoryExceeded"),
        Outcome::ProcessesExceeded => plain("ProcessesExceeded"),
        Outcome::OutputExceeded => plain("OutputExceeded"),
        Outcome::SyscallDenied => plain("SyscallDenied"),
        Outcome::Cancelled => plain("Cancelled"),
        Outcome::SetupFailed { fault } => {
            wire::Outcome { step: Some(fault.to_string()), ..plain("SetupFailed") }
        }
    }
}

/// A call for which no sandbox was available: nothing has run.
#[must_use]
pub(crate) fn setup_failed(why: String) -> wire::Outcome {
    wire::Outcome {
        kind: "SetupFailed".to_owned(),
        code: None,
        signal: None,
        step: Some(why),
        output_dropped: 0,
        usage: json!({}),
    }
}

/// A call that a fault ended: its command may have run.
#[must_use]
pub(crate) fn unknown() -> wire::Outcome {
    wire::Outcome { kind: "Unknown".to_owned(), step: None, ..setup_failed(String::new()) }
}

/// What was used, each figure with its source.
fn usage(usage: &Usage) -> Value {
    let source = |source: Source| match source {
        Source::Cgroup => "cgroup",
        Source::Rusage => "rusage",
    };
    let us = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    json!({
        "wallUs": us(usage.wall),
        "cpuUs": us(usage.cpu),
        "cpuSource": source(usage.cpu_source),
        "peakMemoryBytes": usage.peak_memory_bytes,
        "memorySource": source(usage.memory_source),
        "oomKills": usage.oom_kills,
        "refusedForks": usage.refused_forks,
    })
}
