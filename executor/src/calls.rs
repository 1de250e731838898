//! Calls in memory: what runs, what has ended lately, and what a client may still do to it.
//!
//! The log is the truth; this is what clients read. A call that ended stays until newer ones push it out ([`CallTable`]).
//!
//! ```text
//! decided ──► runs ──► ended (outcome known) ──► recorded (result durable, or not)
//!        └──► ended at once: denied, or asked
//! ```

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::api::problem::Refusal;
use crate::api::wire::{Decision, Outcome};
use crate::limits::STDIN_BACKLOG;
use crate::output::Output;

/// One call.
#[derive(Debug)]
pub struct CallState {
    id: String,
    session: String,
    /// SHA-256 over tool and arguments, against an idempotency key that is used twice.
    request: String,
    decision: Decision,
    cancellable: bool,
    output: Output,
    control: Mutex<Control>,
    ended: watch::Sender<Option<Ended>>,
    recording: watch::Sender<Recording>,
}

/// What became of the record of a call's result, or of its denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// It is on its way.
    Open,
    /// It is on disk.
    Durable,
    /// It could not be made durable. The log may take it along later, or show the call as lost: nobody may be told that it is there.
    Failed,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The outcome; `None`: it never ran.
    pub outcome: Option<Outcome>,
    /// What a workspace tool gave.
    pub result: Option<Value>,
}

/// What a client asks of a running command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send this signal to the command.
    Signal(i32),
    /// End everything.
    Cancel,
}

/// The reins of a running command, held by the thread that runs it.
pub trait Reins: Send {
    /// Does as asked; what has ended already does not mind.
    fn order(&self, order: Order);
    /// New input lies in the call's backlog, or its end does.
    fn input(&self);
}

#[derive(Default)]
struct Control {
    reins: Option<Box<dyn Reins>>,
    cancelled: bool,
    stdin: Option<Backlog>,
}

/// Input that the command has not read yet.
#[derive(Debug, Default)]
struct Backlog {
    parts: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}

/// What a command reads from its standard input.
#[derive(Clone, Debug, Default)]
pub enum Input {
    /// Nothing.
    #[default]
    Empty,
    /// This text: source text for an interpreter.
    Text(Bytes),
    /// What the caller sends while it runs.
    Stream,
}

/// What is to be known of a call before it begins.
#[derive(Debug)]
pub struct NewCall {
    /// Its id.
    pub id: String,
    /// Its session.
    pub session: String,
    /// Hash of what was asked.
    pub request: String,
    /// What was decided.
    pub decision: Decision,
    /// Bytes of output that are kept.
    pub output_limit: u64,
    /// What its command reads.
    pub input: Input,
    /// Whether it runs now.
    pub runs: bool,
    /// Whether it can be cancelled while it runs.
    pub cancellable: bool,
}

impl CallState {
    /// A call that was decided just now.
    #[must_use]
    pub fn new(call: NewCall) -> Self {
        let stdin = match call.input {
            Input::Empty => None,
            Input::Text(text) => Some(Backlog { bytes: text.len(), parts: [text].into(), closed: true }),
            Input::Stream => Some(Backlog::default()),
        };
        let control = Control { stdin, ..Control::default() };
        let state = Self {
            id: call.id,
            session: call.session,
            request: call.request,
            decision: call.decision,
            cancellable: call.cancellable,
            output: Output::new(call.output_limit),
            control: Mutex::new(control),
            ended: watch::Sender::new(None),
            recording: watch::Sender::new(Recording::Open),
        };
        if !call.runs {
            state.end(Ended { outcome: None, result: None });
            state.set_recording(Recording::Durable);
        }
        state
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its session.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// What was decided.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// What it printed so far.
    #[must_use]
    pub const fn output(&self) -> &Output {
        &self.output
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn how_it_ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Whether it was allowed and has not ended yet.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Whether the record of its result, or of its denial, is on disk.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        *self.recording.borrow() == Recording::Durable
    }

    /// Waits until it has ended; false if whoever ran it is gone.
    pub async fn ended(&self) -> bool {
        self.ended.subscribe().wait_for(Option::is_some).await.is_ok()
    }

    /// Waits until the record of its result is on disk, or could not be brought there.
    pub async fn result_recorded(&self) {
        let _ = self.recording.subscribe().wait_for(|recording| *recording != Recording::Open).await;
    }

    /// Says how it ended. The output is complete by then.
    pub fn end(&self, ended: Ended) {
        self.lock().reins = None;
        self.output.end();
        self.ended.send_replace(Some(ended));
    }

    /// Says what became of the record of its result.
    pub fn set_recording(&self, recording: Recording) {
        self.recording.send_replace(recording);
    }

    /// Takes the reins of the command that was started. An order that came before is carried out now.
    pub fn harness(&self, reins: Box<dyn Reins>) {
        let mut control = self.lock();
        if control.cancelled {
            reins.order(Order::Cancel);
        }
        if control.stdin.is_some() {
            reins.input();
        }
        control.reins = Some(reins);
    }

    /// Whether the caller cancelled it, perhaps before it began.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// Ends it.
    ///
    /// # Errors
    /// It has ended, or it is a tool of the workspace, which has no command that could be killed.
    pub fn cancel(&self) -> Result<(), Refusal> {
        let mut control = self.lock();
        if !self.runs() {
            return Err(Refusal::Ended);
        }
        if !self.cancellable {
            return Err(Refusal::NotCancellable);
        }
        control.cancelled = true;
        if let Some(reins) = &control.reins {
            reins.order(Order::Cancel);
        }
        Ok(())
    }

    /// Sends a signal to its command.
    ///
    /// # Errors
    /// A signal that is not one of those that may be sent; a call that has ended or not begun.
    pub fn signal(&self, name: &str) -> Result<(), Refusal> {
        let known = [("HUP", 1), ("INT", 2), ("KILL", 9), ("USR1", 10), ("USR2", 12), ("TERM", 15)];
        let Some((_, number)) = known.iter().find(|(known, _)| *known == name) else {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            return Err(Refusal::Malformed(format!(
                "`{}` is not one of {}",
                name.escape_debug(),
                names.join(", ")
            )));
        };
        let control = self.lock();
        let reins = control.reins.as_ref().ok_or(Refusal::Ended)?;
        reins.order(Order::Signal(*number));
        Ok(())
    }

    /// Gives the command input.
    ///
    /// # Errors
    /// A call that takes none, has ended, or reads too slowly.
    pub fn feed(&self, bytes: Bytes, close: bool) -> Result<(), Refusal> {
        let mut control = self.lock();
        if !self.runs() {
            return Err(Refusal::Ended);
        }
        let backlog = control.stdin.as_mut().filter(|backlog| !backlog.closed).ok_or(Refusal::NoStdin)?;
        if backlog.bytes + bytes.len() > STDIN_BACKLOG {
            return Err(Refusal::Busy(format!(
                "{STDIN_BACKLOG} bytes of input wait for the command to read them"
            )));
        }
        backlog.bytes += bytes.len();
        backlog.closed = close;
        if !bytes.is_empty() {
            backlog.parts.push_back(bytes);
        }
        if let Some(reins) = &control.reins {
            reins.input();
        }
        Ok(())
    }

    /// The next part of the input; `Err` once there will be no more.
    ///
    /// # Errors
    /// The input is at its end.
    pub fn take_input(&self) -> Result<Option<Bytes>, InputEnd> {
        let mut control = self.lock();
        let Some(backlog) = control.stdin.as_mut() else { return Err(InputEnd) };
        match backlog.parts.pop_front() {
            Some(part) => {
                backlog.bytes -= part.len();
                Ok(Some(part))
            }
            None if backlog.closed => Err(InputEnd),
            None => Ok(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The input is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputEnd;

/// Most idempotency keys of all sessions together; at some 300 bytes each they take 80 MiB.
const MAX_KEYS: usize = 1 << 18;
/// Most of one session, which keeps them until it ends: sixteen such sessions leave room for no other.
const MAX_SESSION_KEYS: usize = 1 << 14;

/// What an idempotency key stands for, until its session ends: a call that was dropped is not run again.
#[derive(Debug)]
struct Keyed {
    /// Id of the call.
    call: String,
    /// Hash of what was asked.
    request: String,
}

/// The calls that clients can ask about, by id. Those that ended are dropped when there are too many or they hold too much.
#[derive(Debug)]
pub struct CallTable {
    calls: Mutex<Table>,
    kept_calls: usize,
    kept_bytes: usize,
}

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<String, Arc<CallState>>,
    /// By session, then by idempotency key.
    by_key: HashMap<String, HashMap<String, Keyed>>,
    /// Keys of all sessions.
    keys: usize,
    /// Ended calls, the oldest first, with what each holds.
    ended: VecDeque<(String, usize)>,
    ended_bytes: usize,
}

impl CallTable {
    /// An empty table with its bounds.
    #[must_use]
    pub fn new(kept_calls: usize, kept_bytes: usize) -> Self {
        Self { calls: Mutex::default(), kept_calls, kept_bytes }
    }

    /// Adds a call, by its key too if it has one.
    pub fn insert(&self, call: &Arc<CallState>, key: Option<String>) {
        let mut table = self.lock();
        if table.by_id.insert(call.id.clone(), Arc::clone(call)).is_some() {
            // A call that was asked about and goes on: its first end must not push it out while it runs.
            let first = table.ended.iter().position(|(id, _)| *id == call.id);
            if let Some((_, held)) = first.and_then(|at| table.ended.remove(at)) {
                table.ended_bytes -= held;
            }
        }
        if let Some(key) = key {
            let keyed = Keyed { call: call.id.clone(), request: call.request.clone() };
            let known = table.by_key.entry(call.session.clone()).or_default().insert(key, keyed);
            table.keys += usize::from(known.is_none());
        }
    }

    /// The call of this id in this session.
    #[must_use]
    pub fn get(&self, session: &str, id: &str) -> Option<Arc<CallState>> {
        self.lock().by_id.get(id).filter(|call| call.session == session).cloned()
    }

    /// The call that was made with this idempotency key, and `None` for a new key.
    ///
    /// # Errors
    /// The key belongs to another call, or to one that was dropped; a new key beyond the most that are remembered.
    pub fn repeated(
        &self,
        session: &str,
        key: &str,
        request: &str,
    ) -> Result<Option<Arc<CallState>>, Refusal> {
        let table = self.lock();
        let of_session = table.by_key.get(session);
        match of_session.and_then(|keys| keys.get(key)) {
            None if of_session.is_some_and(|keys| keys.len() >= MAX_SESSION_KEYS) => {
                Err(Refusal::KeysUsedUp { most: MAX_SESSION_KEYS })
            }
            None if table.keys >= MAX_KEYS => {
                Err(Refusal::Busy(format!("{MAX_KEYS} idempotency keys are remembered, which is the most")))
            }
            None => Ok(None),
            Some(keyed) if keyed.request != request => Err(Refusal::KeyReused),
            Some(keyed) => table.by_id.get(&keyed.call).cloned().map(Some).ok_or(Refusal::Dropped),
        }
    }

    /// Notes that a call has ended, and drops the oldest ended ones beyond the bounds.
    pub fn ended(&self, call: &CallState) {
        let mut table = self.lock();
        let held = call.output.held();
        table.ended.push_back((call.id.clone(), held));
        table.ended_bytes += held;
        while table.ended.len() > self.kept_calls || table.ended_bytes > self.kept_bytes {
            let Some((id, held)) = table.ended.pop_front() else { break };
            table.ended_bytes -= held;
            table.by_id.remove(&id);
        }
    }

    /// Every call that runs.
    #[must_use]
    pub fn running(&self) -> Vec<Arc<CallState>> {
        self.lock().by_id.values().filter(|call| call.runs()).cloned().collect()
    }

    /// Forgets the calls of a session.
    pub fn forget(&self, session: &str) {
        let mut table = self.lock();
        table.keys -= table.by_key.remove(session).map_or(0, |keys| keys.len());
        let gone: Vec<String> =
            table.by_id.values().filter(|call| call.session == session).map(|call| call.id.clone()).collect();
        for id in gone {
            table.by_id.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, session: &str, cancellable: bool) -> Arc<CallState> {
        let decision = Decision {
            effect: "Allow",
            rules: Vec::new(),
            reason: None,
            remedy: None,
            retry_after_ms: None,
            approval: None,
            policy_digest: String::new(),
        };
        Arc::new(CallState::new(NewCall {
            id: id.to_owned(),
            session: session.to_owned(),
            request: "r".to_owned(),
            decision,
            output_limit: 0,
            input: Input::Empty,
            runs: true,
            cancellable,
        }))
    }

    #[test]
    fn a_session_that_uses_up_its_keys_takes_none_from_others() {
        let table = CallTable::new(1, 1 << 20);
        for number in 0..MAX_SESSION_KEYS {
            let key = number.to_string();
            assert_eq!(table.repeated("busy", &key, "r").map(|known| known.is_none()), Ok(true));
            table.insert(&call(&format!("c{number}"), "busy", true), Some(key));
        }
        let used_up = Refusal::KeysUsedUp { most: MAX_SESSION_KEYS };
        assert_eq!(table.repeated("busy", "new", "r").unwrap_err(), used_up);
        assert!(table.repeated("busy", "0", "r").unwrap().is_some());
        assert!(table.repeated("other", "new", "r").unwrap().is_none());
        table.forget("busy");
        assert!(table.repeated("busy", "new", "r").unwrap().is_none());
        assert_eq!(table.lock().keys, 0);
    }

    #[test]
    fn a_call_without_a_command_says_that_it_cannot_be_cancelled() {
        assert_eq!(call("c", "s", false).cancel(), Err(Refusal::NotCancellable));
        assert_eq!(call("c", "s", true).cancel(), Ok(()));
    }
}
