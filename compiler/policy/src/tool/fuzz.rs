//! The fuzzing entry point for tool calls: reads a call from any bytes, decides, applies, replays.
//!
//! Nothing may panic, and a decision must equal the one that its own record gives.

use std::sync::OnceLock;

use super::{DecisionInputs, LoadedPolicy, State, Subject, ToolCall, decide_tool_call};
use crate::policy::Policy;

/// A policy with a tool of every kind, as a bundle would carry it.
const POLICY: &str = include_str!("fuzz_policy.json");

/// Reads arguments (or, as a second try, the inputs of a decision) from any bytes and decides on them.
pub fn fuzz(data: &[u8]) {
    static LOADED: OnceLock<Option<LoadedPolicy>> = OnceLock::new();
    let load = || LoadedPolicy::new(serde_json::from_str::<Policy>(POLICY).ok()?, "fuzz".to_owned()).ok();
    let Some(policy) = LOADED.get_or_init(load) else {
        return;
    };
    if let Ok(inputs) = serde_json::from_slice::<DecisionInputs>(data) {
        let _ = inputs.decide(policy);
    }
    let subject = Subject::default();
    for (at, (tool, _, _)) in policy.tools().enumerate() {
        let Ok(call) = ToolCall::parse(&at.to_string(), "s", subject.clone(), tool, data) else {
            continue;
        };
        let mut state = State::default();
        let _ = state.apply(&State::open("s", &subject, 1));
        let decision = decide_tool_call(policy, &call, &state, 2, None);
        assert_eq!(decision.inputs.decide(policy), decision.record(), "not reproducible");
        assert_eq!(state.apply(&decision.delta), Ok(()), "not applicable");
    }
}
