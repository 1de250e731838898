//! Calls in memory: those that run, those that ended recently, and what a client may still do to each.
//!
//! The log is the truth; clients read this copy. A call that ended stays until newer ones push it out
//! (`call_table`).
//!
//! ```text
//! decided ──► runs ──► ended (outcome known) ──► recorded (result durable, or not)
//!        └──► ended at once: denied, or asked
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::input::{Backlog, Input, InputEnd};
use crate::output::Output;
use crate::refusal::Refusal;
use crate::room::Room;
use crate::wire::{Decision, Outcome, ResultDecision};

/// One call.
#[derive(Debug)]
pub struct CallState {
    id: String,
    session: String,
    /// SHA-256 of tool and arguments, to detect an idempotency key that is used for two requests.
    request: String,
    decision: Decision,
    cancellable: bool,
    takes_input: bool,
    output: Output,
    control: Mutex<Control>,
    ended: watch::Sender<Option<Ended>>,
    recording: watch::Sender<Recording>,
}

/// What happened to the record of a call's result, or of its denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// It is on its way.
    Open,
    /// It is on disk.
    Durable,
    /// It could not be made durable. The log may write it later, or show the call as lost: no client may be
    /// told that it is there.
    Failed,
}

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The outcome; `None`: it never ran.
    pub outcome: Option<Outcome>,
    /// The result of a workspace tool.
    pub result: Option<Value>,
    /// The decision about the result, if one was needed.
    pub result_decision: Option<ResultDecision>,
}

/// An order from a client to a running command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send this signal to the command.
    Signal(i32),
    /// End everything.
    Cancel,
}

/// A call's handle on its running command, to reach the thread that runs it.
pub trait CommandHandle: Send {
    /// Carries out an order; has no effect on a command that has ended.
    fn order(&self, order: Order);
    /// Signals that new input, or its end, is in the call's backlog.
    fn input(&self);
}

#[derive(Default)]
struct Control {
    command: Option<Box<dyn CommandHandle>>,
    cancelled: bool,
    stdin: Option<Backlog>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}

/// What is known of a call before it begins.
#[derive(Debug)]
pub struct NewCall {
    /// Its id.
    pub id: String,
    /// Its session.
    pub session: String,
    /// Hash of the request.
    pub request: String,
    /// The decision.
    pub decision: Decision,
    /// Bytes of output to keep.
    pub output_limit: u64,
    /// The input of its command.
    pub input: Input,
    /// Whether it runs now.
    pub runs: bool,
    /// Whether it can be cancelled while it runs.
    pub cancellable: bool,
}

impl CallState {
    /// A call that was just decided.
    #[must_use]
    pub fn new(call: NewCall) -> Self {
        let takes_input = matches!(call.input, Input::Stream);
        let control = Control { stdin: Backlog::of(call.input), ..Control::default() };
        let state = Self {
            id: call.id,
            session: call.session,
            request: call.request,
            decision: call.decision,
            cancellable: call.cancellable,
            takes_input,
            output: Output::new(call.output_limit),
            control: Mutex::new(control),
            ended: watch::Sender::new(None),
            recording: watch::Sender::new(Recording::Open),
        };
        if !call.runs {
            state.end(Ended { outcome: None, result: None, result_decision: None });
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

    /// Hash of the request.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.request
    }

    /// The decision.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Its output so far.
    #[must_use]
    pub const fn output(&self) -> &Output {
        &self.output
    }

    /// Whether its command reads what its caller sends while it runs.
    #[must_use]
    pub const fn takes_input(&self) -> bool {
        self.takes_input
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

    /// Whether it is known what happened to the record of its result.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        *self.recording.borrow() != Recording::Open
    }

    /// Waits until it has ended; false if the code that ran it is gone.
    pub async fn ended(&self) -> bool {
        self.ended.subscribe().wait_for(Option::is_some).await.is_ok()
    }

    /// Waits until the record of its result is on disk, or could not be written.
    pub async fn result_recorded(&self) {
        let _ = self.recording.subscribe().wait_for(|recording| *recording != Recording::Open).await;
    }

    /// Bytes that it holds for clients that may still ask about it, in addition to what every call takes.
    #[must_use]
    pub fn held(&self) -> usize {
        let result = self.ended.borrow().as_ref().and_then(|ended| ended.result.as_ref().map(weight));
        let stdin = self.lock().stdin.as_ref().map_or(0, Backlog::held);
        self.output.held().saturating_add(result.unwrap_or_default()).saturating_add(stdin)
    }

    /// Sets how it ended. The output is complete by then.
    pub fn end(&self, ended: Ended) {
        let mut control = self.lock();
        control.command = None;
        // What was not read by now is never read.
        control.stdin = None;
        drop(control);
        self.output.end();
        self.ended.send_replace(Some(ended));
    }

    /// Sets what happened to the record of its result.
    pub fn set_recording(&self, recording: Recording) {
        self.recording.send_replace(recording);
    }

    /// Attaches the handle of the command that was started. An earlier order is carried out now.
    pub fn attach(&self, command: Box<dyn CommandHandle>) {
        let mut control = self.lock();
        if control.cancelled {
            command.order(Order::Cancel);
        }
        if control.stdin.is_some() {
            command.input();
        }
        control.command = Some(command);
    }

    /// Ends it.
    ///
    /// # Errors
    /// It has ended, or it is a workspace tool, which has no command to kill.
    pub fn cancel(&self) -> Result<(), Refusal> {
        let mut control = self.lock();
        if !self.runs() {
            return Err(Refusal::Ended);
        }
        if !self.cancellable {
            return Err(Refusal::NotCancellable);
        }
        control.cancelled = true;
        if let Some(command) = &control.command {
            command.order(Order::Cancel);
        }
        Ok(())
    }

    /// Sends a signal to its command.
    ///
    /// # Errors
    /// A signal that may not be sent; a call that has ended, or whose command has not begun; a workspace
    /// tool.
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
        if !self.runs() {
            return Err(Refusal::Ended);
        }
        if !self.cancellable {
            return Err(Refusal::NotSignallable);
        }
        let command = control.command.as_ref().ok_or(Refusal::NotBegun)?;
        command.order(Order::Signal(*number));
        Ok(())
    }

    /// Gives the command input.
    ///
    /// # Errors
    /// A call that takes none, has ended, or reads too slowly; a part that is too large for one request.
    pub fn feed(&self, bytes: Bytes, close: bool) -> Result<(), Refusal> {
        let mut control = self.lock();
        if !self.runs() {
            return Err(Refusal::Ended);
        }
        control.stdin.as_mut().ok_or(Refusal::NoStdin)?.feed(bytes, close)?;
        if let Some(command) = &control.command {
            command.input();
        }
        Ok(())
    }

    /// Lets the input that waits, and the copy of what was delivered, take part of these rooms, which they have together
    /// with those of other calls.
    pub(crate) fn share_input(&self, waiting: &Arc<Room>, copies: &Arc<Room>) {
        if let Some(backlog) = &mut self.lock().stdin {
            backlog.share(waiting, copies);
        }
    }

    /// The next part of the input; `Err` once there is no more.
    ///
    /// # Errors
    /// The input is at its end.
    pub fn take_input(&self) -> Result<Option<Bytes>, InputEnd> {
        self.lock().stdin.as_mut().map_or(Err(InputEnd), Backlog::take)
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory of an object per six members, with room for at least eleven: a node of a B-tree of names and
/// values.
const NODE_BYTES: usize = 640;

/// Approximate bytes that a value takes in memory: a listing takes many times the length of its text.
pub(crate) fn weight(value: &Value) -> usize {
    let own = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(weight).sum(),
        Value::Object(members) => {
            let inside: usize = members.iter().map(|(name, value)| name.len() + weight(value)).sum();
            inside + NODE_BYTES * members.len().div_ceil(6)
        }
    };
    own + size_of::<Value>()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A call that runs.
    pub(crate) fn call(id: &str, session: &str, cancellable: bool) -> Arc<CallState> {
        made(id, session, cancellable, Input::Empty)
    }

    /// A call whose command reads.
    pub(crate) fn reading(id: &str, input: Input) -> Arc<CallState> {
        made(id, "s", true, input)
    }

    fn made(id: &str, session: &str, cancellable: bool, input: Input) -> Arc<CallState> {
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
            input,
            runs: true,
            cancellable,
        }))
    }

    #[test]
    fn a_call_without_a_command_says_that_it_cannot_be_cancelled() {
        assert_eq!(call("c", "s", false).cancel(), Err(Refusal::NotCancellable));
        assert_eq!(call("c", "s", true).cancel(), Ok(()));
    }

    /// A command that receives no orders.
    struct Free;

    impl CommandHandle for Free {
        fn order(&self, _: Order) {}
        fn input(&self) {}
    }

    #[test]
    fn a_signal_that_cannot_be_sent_is_told_why() {
        assert_eq!(call("c", "s", false).signal("INT"), Err(Refusal::NotSignallable));
        let call = call("c", "s", true);
        assert_eq!(call.signal("INT"), Err(Refusal::NotBegun), "its sandbox is being made");
        call.attach(Box::new(Free));
        assert_eq!(call.signal("INT"), Ok(()));
        call.end(Ended { outcome: None, result: None, result_decision: None });
        assert_eq!(call.signal("INT"), Err(Refusal::Ended));
    }
}
