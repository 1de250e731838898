//! The corpora of command lines under the shipped pack `code-interpreter`, as its golden bundle decides: no evasion is allowed, and no line that people write ends in
//! an error of evaluation.
#![forbid(unsafe_code)]

use std::path::Path;

use bailiwick_policy::bundle;
use bailiwick_policy::tool::{
    DenyReason, Effect, LoadedPolicy, State, Subject, ToolCall, ToolDecision, decide_tool_call,
};

const NOW_MS: u64 = 1_700_000_000_000;

struct Pack {
    policy: LoadedPolicy,
    state: State,
    subject: Subject,
}

impl Pack {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../policy-packs/code-interpreter/expected/bundle.json");
        let bundle = bundle::load(&std::fs::read(path).expect("the golden bundle")).expect("a bundle");
        let policy = LoadedPolicy::of_bundle(bundle).expect("a policy");
        let subject = Subject { agent: "agent".to_owned(), ..Subject::default() };
        let mut state = State::default();
        state.apply(&State::open("session", &subject, NOW_MS)).expect("a session");
        Self { policy, state, subject }
    }

    fn decide(&self, line: &str) -> ToolDecision {
        let args = serde_json::json!({ "command": line }).to_string();
        let call = ToolCall::parse("call", "session", self.subject.clone(), "shell.exec", args.as_bytes());
        decide_tool_call(&self.policy, &call.expect("a call"), &self.state, NOW_MS, None)
    }
}

/// Kind and text of every line of a corpus.
fn corpus(name: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facts").join(name);
    let content = std::fs::read_to_string(path).expect("the corpus");
    let line = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        (fields[0].to_owned(), serde_json::from_str(fields[2]).expect("a JSON string"))
    };
    content.lines().map(line).collect()
}

#[test]
fn no_evasion_is_allowed_by_the_shipped_pack() {
    let pack = Pack::new();
    let lines = corpus("evasions.txt");
    let shell: Vec<&String> =
        lines.iter().filter(|(kind, _)| kind == "shell").map(|(_, text)| text).collect();
    assert!(shell.len() >= 300, "{} evasions", shell.len());
    for line in shell {
        let decision = pack.decide(line);
        assert!(!matches!(decision.effect, Effect::Allow(_)), "allowed: {line:?}");
    }
    // The rule that they try to slip past lets its own lines through, or this would prove nothing.
    assert!(matches!(pack.decide("ls -la | wc -l").effect, Effect::Allow(_)));
}

#[test]
fn no_benign_line_ends_in_an_error() {
    let pack = Pack::new();
    let lines = corpus("benign.txt");
    assert!(lines.len() >= 100, "{} lines", lines.len());
    let mut allowed = 0;
    for (_, line) in lines.iter().filter(|(kind, _)| kind == "shell") {
        match pack.decide(line).effect {
            Effect::Deny(denial) => {
                assert_ne!(denial.reason, DenyReason::EvaluationError, "{line:?}: {denial:?}")
            }
            Effect::Allow(_) => allowed += 1,
            Effect::Ask(_) => {}
        }
    }
    assert!(allowed >= 30, "{allowed} benign lines are allowed");
}
