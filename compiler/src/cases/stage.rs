//! The session that a case of a tool call describes: made up as of what it states, then the earlier calls, each
//! decided once.

use std::collections::BTreeSet;

use bailiwick_policy::cel::{parse_duration, parse_timestamp};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::tools::{Scope, ToolLayer};
use bailiwick_policy::tool::{
    Change, Effect, LoadedPolicy, Owner, Reservation, State, StateDelta, Subject, TallyKey, ToolCall,
    ToolDecision, Usage, VerifiedApproval, decide_tool_call,
};
use serde_json::Value;

use super::tool_call::happened;
use crate::policy_test::{CaseSession, CaseSubject, Effect as Expected, PriorCall, ToolCallCase};

/// The session of every case.
pub(super) const SESSION: &str = "case";
/// Most calls that a case may make before its own, counting repetitions.
const MAX_BEFORE: usize = 1_000;
/// The time of a case that states none: 2026-01-01T00:00:00Z.
const DEFAULT_NOW_MS: u64 = 1_767_225_600_000;

/// The session that a case describes, just before the case's own call.
pub(super) fn staged<'p>(policy: &'p LoadedPolicy, case: &ToolCallCase) -> Result<Stage<'p>, String> {
    #[cfg(test)]
    MADE.set(MADE.get() + 1);
    let now_ms = match &case.now {
        None => DEFAULT_NOW_MS,
        Some(text) => {
            let at = parse_timestamp(text).map_err(|_| format!("`{text}` is not an RFC 3339 time"))?;
            u64::try_from(at.since_epoch().as_millis()).map_err(|_| format!("`{text}` lies before 1970"))?
        }
    };
    let subject = case.subject.as_ref().map(subject).unwrap_or_default();
    let session = case.session.clone().unwrap_or_default();
    let mut stage = Stage { policy, subject, state: State::default(), now_ms, unexpected: None };
    stage.begin(&session)?;
    let repeated = session.before.iter().enumerate().flat_map(|(entry, call)| {
        let times = usize::try_from(call.times.unwrap_or(1)).unwrap_or_default();
        (0..times.min(MAX_BEFORE + 1)).map(move |time| (entry, call, time))
    });
    for (index, (entry, call, time)) in repeated.enumerate() {
        if index >= MAX_BEFORE {
            return Err(format!("a case may make at most {MAX_BEFORE} calls before its own"));
        }
        let decision = stage.make(call, index)?;
        if stage.unexpected.is_none() {
            stage.unexpected = unexpected(call, &decision).map(|what| {
                let time = if call.times.is_some() { format!(", time {}", time + 1) } else { String::new() };
                format!("`session.before[{entry}]` (`{}`{time}) {what}", call.tool)
            });
        }
    }
    Ok(stage)
}

/// What is decided of an earlier call and not what the case says of it, and how to say it.
fn unexpected(call: &PriorCall, decision: &ToolDecision) -> Option<String> {
    let happened = happened(decision);
    let effect = happened.effect?;
    match call.effect {
        Some(expected) if expected == effect => None,
        Some(expected) => {
            Some(format!("was to be {}, and is {}: correct its `effect`", expected.as_str(), effect.as_str()))
        }
        None if effect == Expected::Deny => {
            let by = happened.rules.first().map(|rule| format!(" by {rule}")).unwrap_or_default();
            let why = happened.messages.first().map(|said| format!(" ({said})")).unwrap_or_default();
            Some(format!(
                "is denied{by}{why}, so it leaves nothing in the session: write `effect: Deny` there if that is meant"
            ))
        }
        None => None,
    }
}

fn subject(case: &CaseSubject) -> Subject {
    Subject {
        agent: case.agent.clone().unwrap_or_default(),
        user: case.user.clone().unwrap_or_default(),
        namespace: case.namespace.clone().unwrap_or_default(),
        groups: case.groups.clone(),
        labels: case.labels.clone(),
        chain: case.chain.clone(),
    }
}

/// The state in which calls of a case are decided.
#[derive(Clone, Debug)]
pub(super) struct Stage<'p> {
    pub(super) policy: &'p LoadedPolicy,
    pub(super) subject: Subject,
    pub(super) state: State,
    pub(super) now_ms: u64,
    /// The first earlier call that is not decided as the case says.
    pub(super) unexpected: Option<String>,
}

#[cfg(test)]
thread_local! {
    /// How many sessions were made up.
    static MADE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Stage<'_> {
    pub(super) fn apply(&mut self, delta: &StateDelta) -> Result<(), String> {
        self.state.apply(delta).map_err(|error| error.to_string())
    }

    pub(super) fn decide(
        &self,
        id: &str,
        tool: &str,
        args: Option<&Value>,
        approval: Option<&VerifiedApproval>,
    ) -> Result<ToolDecision, String> {
        let args = args.map_or_else(|| Json::Map(Default::default()), |args| Json::from(args).into_owned());
        let call = ToolCall::new(id, SESSION, self.subject.clone(), tool, args)
            .map_err(|error| error.to_string())?;
        Ok(decide_tool_call(self.policy, &call, &self.state, self.now_ms, approval))
    }

    /// A call that was made before. It counts if it is admitted; of a budget it uses only its own share.
    fn make(&mut self, call: &PriorCall, index: usize) -> Result<ToolDecision, String> {
        let id = format!("before-{index}");
        let decision = self.decide(&id, &call.tool, call.args.as_ref(), None)?;
        self.apply(&decision.delta)?;
        match &decision.effect {
            Effect::Allow(_) => {
                let settled = State::settle(SESSION, &id, Some(Usage::default()), self.now_ms);
                self.apply(&settled)?;
            }
            Effect::Deny(_) => {}
            Effect::Ask(_) => {
                let withdrawn = State::withdraw(SESSION, &id, self.now_ms);
                self.apply(&withdrawn)?;
            }
        }
        Ok(decision)
    }

    /// A session with the age, calls, counters and budgets that the case specifies.
    fn begin(&mut self, session: &CaseSession) -> Result<(), String> {
        let age = session.age.as_ref().map_or(Ok(0), |age| parse_duration(age.as_str()));
        let age_ms = age.map_err(|error| error.to_string())? / 1_000_000;
        let opened_ms = self.now_ms.saturating_sub(u64::try_from(age_ms).unwrap_or_default());
        let opened = State::open(SESSION, &self.subject, opened_ms);
        self.apply(&opened)?;
        let mut changes = Vec::new();
        for (name, count) in &session.counters {
            changes.extend(self.counted(name, *count)?);
        }
        changes.push(Change::Labelled {
            session: SESSION.to_owned(),
            add: session.labels.iter().flat_map(|name| self.labelled(name)).collect(),
            remove: BTreeSet::new(),
        });
        let mut reserved = Vec::new();
        for (name, used) in &session.budgets {
            reserved.extend(self.used(name, *used)?);
        }
        let calls = session.calls.map_or(Ok(0), |calls| small(calls, "calls"))?;
        let needed = if reserved.is_empty() { calls } else { calls.max(1) };
        for index in 0..needed {
            let call = format!("earlier-{index}");
            // The first call accounts for everything used.
            let reserved = std::mem::take(&mut reserved);
            changes.push(Change::Admitted { session: SESSION.to_owned(), call: call.clone(), reserved });
            changes.push(Change::Settled { session: SESSION.to_owned(), call, used: None });
        }
        let delta = StateDelta { at_ms: self.now_ms, changes };
        self.apply(&delta)
    }

    fn owner(&self, scope: Scope) -> Owner {
        match scope {
            Scope::Subject => Owner::Subject(self.subject.key()),
            Scope::Session => Owner::Session(SESSION.to_owned()),
        }
    }

    /// Each layer's counter of this name, advanced.
    fn counted(&self, name: &str, count: i64) -> Result<Vec<Change>, String> {
        let count = small(count, name)?;
        let policy = self.policy.policy();
        let mut changes = Vec::new();
        for layer in &policy.tools {
            let pack = policy.packs.get(usize::from(layer.pack)).map_or("", |pack| pack.name.as_str());
            for counter in layer.counters.iter().filter(|counter| counter.name == name) {
                let tally =
                    TallyKey { owner: self.owner(counter.scope), name: format!("counter/{pack}/{name}") };
                let change = Change::Counted { tally, window_ms: counter.window_ms };
                changes.extend(std::iter::repeat_n(change, count));
            }
        }
        if changes.is_empty() && count > 0 {
            return Err(format!("no pack has a counter `{name}`, which `session.counters` has a value of"));
        }
        Ok(changes)
    }

    /// Each layer's label of this name.
    fn labelled(&self, name: &str) -> Vec<String> {
        let policy = self.policy.policy();
        let has = |layer: &&ToolLayer| layer.labels.iter().any(|label| label.name == name);
        let packs =
            policy.tools.iter().filter(has).filter_map(|layer| policy.packs.get(usize::from(layer.pack)));
        packs.map(|pack| format!("{}/{name}", pack.name)).collect()
    }

    /// Each layer's budget of this name, used.
    fn used(&self, name: &str, used: i64) -> Result<Vec<Reservation>, String> {
        let amount_milli = u64::try_from(used).ok().and_then(|used| used.checked_mul(1_000));
        let amount_milli =
            amount_milli.ok_or_else(|| format!("{used} of budget `{name}` cannot have been used"))?;
        let policy = self.policy.policy();
        let mut reserved = Vec::new();
        for layer in &policy.tools {
            let pack = policy.packs.get(usize::from(layer.pack)).map_or("", |pack| pack.name.as_str());
            for budget in layer.budgets.iter().filter(|budget| budget.name == name) {
                reserved.push(Reservation {
                    tally: TallyKey {
                        owner: self.owner(budget.scope),
                        name: format!("budget/{pack}/{name}"),
                    },
                    resource: budget.resource,
                    amount_milli,
                    window_ms: budget.window_ms,
                    at_ms: self.now_ms,
                });
            }
        }
        if reserved.is_empty() { Err(format!("no pack has a budget `{name}`")) } else { Ok(reserved) }
    }
}

/// A number of calls within what a case may assume.
fn small(count: i64, name: &str) -> Result<usize, String> {
    let count = usize::try_from(count).ok().filter(|count| *count <= MAX_BEFORE);
    count.ok_or_else(|| format!("`{name}` may stand at 0 to {MAX_BEFORE} in a case"))
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::cel::Watching;

    use super::*;
    use crate::cases::{Bench, no_manifests};
    use crate::library::MemoryLibrary;
    use crate::policy_test::TestCase;
    use crate::source::PackSources;
    use crate::{Bindings, compile};

    /// However much a case expects, its earlier calls are decided once.
    #[test]
    fn the_session_of_a_case_is_made_up_once() {
        let pack = PackSources::single(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: p-1.0.0}\nspec:\n  pack: p\n  version: 1.0.0\n  \
             tools:\n    rules:\n    - {name: read, tools: [workspace.read], allow: {}}\n    \
             - {name: keys, tools: [workspace.read], phase: Result, when: \"result.content.contains('KEY')\", deny: {}}\n",
        );
        let compiled = compile(&[(&pack, Bindings::default())], &MemoryLibrary::default());
        let said: Vec<String> = compiled.all().map(ToString::to_string).collect();
        let policy = compiled.policy.unwrap_or_else(|| panic!("{}", said.join("\n")));
        let case: TestCase = serde_json::from_value(serde_json::json!({
            "name": "a key",
            "toolCall": {
                "tool": "workspace.read", "args": {"path": "a"}, "result": {"content": "KEY"},
                "session": {"before": [{"tool": "workspace.read", "args": {"path": "b"}, "times": 3}]},
            },
            "expect": {"effect": "Deny", "listed": true, "labels": {"added": []}},
        }))
        .expect("a case");
        let bench = Bench::new(policy, Watching::Off);
        let before = MADE.get();
        let happened = bench.carry_out(&case, &no_manifests).expect("it happens");
        assert_eq!((happened.effect, happened.listed), (Some(Expected::Deny), Some(Ok(()))));
        assert_eq!(MADE.get() - before, 1);
    }
}
