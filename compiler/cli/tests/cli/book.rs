//! Audit logs of calls, written as the executor writes them (`executor/src/docket/entries.rs`), without
//! running anything.

use bailiwick_audit::{Entry, Event, Intent, Mode, Options, Pending, PendingIntent, Recorded, Writer};
use bailiwick_policy::bundle;
use bailiwick_policy::json::Json;
use bailiwick_policy::tool::{
    CallResult, Change, Effect, LoadedPolicy, ResultInputs, RuleReport, State, StateDelta, Subject, ToolCall,
    Usage, decide_tool_call,
};
use serde_json::{Value, json};

use crate::stage::{Stage, printed};

/// When the first record is made: 2026-01-01T00:00:00Z.
const START_MS: u64 = 1_767_225_600_000;
/// Duration of every step.
const STEP_MS: u64 = 500;

/// An intent that is durable.
pub(crate) fn intend(writer: &Writer, entry: Entry) -> Recorded<()> {
    let intent = writer.begin_intent((), Intent::from(entry), writer.failures());
    intent.and_then(PendingIntent::wait).expect("an intent")
}

/// A log that is being written.
pub(crate) struct Book {
    writer: Writer,
    policy: LoadedPolicy,
    state: State,
    now_ms: u64,
    values: Mode,
}

/// Compiles packs of the stage; returns the bundle's path in it.
pub(crate) fn compiled(stage: &Stage, packs: &[&str], out: &str) -> String {
    let args = [&["compile", "--format", "json", "--out", out], packs].concat();
    let output = stage.run(&args);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", printed(&output)));
    format!("{}/bundle.json", report["folder"].as_str().expect("a folder"))
}

impl Book {
    /// A new log in the folder `log` of the stage, for decisions by this bundle.
    pub(crate) fn new(stage: &Stage, bundle: &str, values: Mode) -> Self {
        let bytes = std::fs::read(stage.path(bundle)).expect("the bundle");
        let policy = LoadedPolicy::of_bundle(bundle::load(&bytes).expect("a bundle")).expect("a policy");
        let options = Options { segment_bytes: 256 * 1024, ..Options::default() };
        let writer = Writer::open(&stage.path("log"), &options).expect("a log").0;
        Self { writer, policy, state: State::default(), now_ms: START_MS, values }
    }

    fn apply(&mut self, delta: &StateDelta) -> Value {
        self.state.apply(delta).expect("the delta follows");
        self.now_ms += STEP_MS;
        serde_json::to_value(delta).expect("JSON")
    }

    pub(crate) fn open(&mut self, session: &str) {
        let delta = State::open(session, &Subject::default(), self.now_ms);
        let entry = Entry {
            time_ms: Some(delta.at_ms),
            session: Some(session.to_owned()),
            state_delta: Some(self.apply(&delta)),
            policy_digest: Some(self.policy.digest().to_owned()),
            outcome: Some(json!("opened")),
            ..Entry::default()
        };
        self.writer.append(Event::Session, entry).expect("a session");
    }

    /// Decides and records a call, and its end if it may run; returns the number of the decision's record.
    pub(crate) fn call(&mut self, session: &str, id: &str, tool: &str, args: &Value) -> u64 {
        let (effect, _, entry) = self.decided(session, id, tool, args);
        if effect != "Allow" {
            return self.writer.append(Event::Decision, entry).expect("a decision").seq;
        }
        let recorded = intend(&self.writer, entry);
        let at = recorded.at();
        let delta = State::settle(session, id, Some(Usage { cpu_ms: 20, output_bytes: 5 }), self.now_ms);
        let end = Entry {
            time_ms: Some(delta.at_ms),
            session: Some(session.to_owned()),
            call: Some(id.to_owned()),
            tool: Some(tool.to_owned()),
            state_delta: Some(self.apply(&delta)),
            outcome: Some(json!({"exited": 0})),
            ..Entry::default()
        };
        self.writer.begin_result(at, end).and_then(Pending::wait).expect("a result");
        at.seq
    }

    /// Decides a call: its effect, the call as decided, and the text of its record.
    fn decided(
        &mut self,
        session: &str,
        id: &str,
        tool: &str,
        args: &Value,
    ) -> (&'static str, ToolCall, Entry) {
        let call = ToolCall::new(id, session, Subject::default(), tool, Json::from(args).into_owned());
        let call = call.expect("a call");
        let decision = decide_tool_call(&self.policy, &call, &self.state, self.now_ms, None);
        let record = decision.record();
        let (effect, asked) = match &decision.effect {
            Effect::Allow(_) => ("Allow", None),
            Effect::Deny(_) => ("Deny", None),
            Effect::Ask(request) => ("Ask", Some(serde_json::to_value(request).expect("JSON"))),
        };
        let rules = record.rules.iter().map(RuleReport::bare);
        let inputs = serde_json::to_string(&decision.inputs).expect("JSON");
        let entry = Entry {
            time_ms: Some(record.delta.at_ms),
            subject: Some(serde_json::to_value(call.subject()).expect("JSON")),
            session: Some(session.to_owned()),
            call: Some(id.to_owned()),
            tool: Some(tool.to_owned()),
            arguments: Some(args.clone()),
            facts: Some(json!({ "facts": record.facts, "inputs": inputs, "idempotencyKey": null })),
            rules: Some(rules.collect()),
            state_delta: Some(self.apply(&record.delta)),
            policy_digest: Some(self.policy.digest().to_owned()),
            effect: Some(effect.to_owned()),
            approval: asked,
            values: self.values,
            ..Entry::default()
        };
        (effect, decision.call().clone(), entry)
    }

    /// Decides and records a call that runs and writes a text, given plainly and in base64. `tell`: what the
    /// record says about the labels that the result adds.
    pub(crate) fn gave(
        &mut self,
        session: &str,
        (id, tool, args): (&str, &str, &Value),
        (stdout, encoded): (&str, &str),
        tell: impl Fn(Vec<Change>) -> Vec<Change>,
    ) {
        let (effect, call, entry) = self.decided(session, id, tool, args);
        assert_eq!(effect, "Allow");
        let recorded = intend(&self.writer, entry);
        let at = recorded.at();
        let outcome = json!({"kind": "Exited", "code": 0, "outputDropped": 0});
        let result = json!({"stdout": encoded, "stderr": ""});
        let gave = CallResult::recorded(tool, &outcome, &result).expect("a result");
        assert_eq!(gave.stdout, stdout.as_bytes());
        let inputs =
            ResultInputs::of(&self.policy, &call, &self.state, self.now_ms).expect("rules over results");
        let decision = inputs.decide(&self.policy, &gave);
        let inputs = serde_json::to_string(&decision.inputs).expect("JSON");
        let mut delta = State::settle(session, id, Some(Usage { cpu_ms: 20, output_bytes: 5 }), self.now_ms);
        delta.changes.extend(tell(decision.change().into_iter().collect()));
        let end = Entry {
            time_ms: Some(delta.at_ms),
            session: Some(session.to_owned()),
            call: Some(id.to_owned()),
            tool: Some(tool.to_owned()),
            facts: Some(json!({ "inputs": inputs })),
            rules: Some(decision.rules.iter().map(RuleReport::bare).collect()),
            effect: Some("Allow".to_owned()),
            state_delta: Some(self.apply(&delta)),
            policy_digest: Some(self.policy.digest().to_owned()),
            outcome: Some(outcome),
            result: Some(result),
            values: self.values,
            results: self.values,
            ..Entry::default()
        };
        self.writer.begin_result(at, end).and_then(Pending::wait).expect("a result");
    }

    /// Seals the log; returns its first public key.
    pub(crate) fn seal(self) -> String {
        let key = self.writer.log_key();
        self.writer.seal("drain").expect("a seal");
        key
    }
}

/// A line of shell.
pub(crate) fn shell(command: &str) -> Value {
    json!({ "command": command })
}
