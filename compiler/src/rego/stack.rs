//! Runs work on a thread with a large stack: the parser and the interpreter recurse, and a stack overflow
//! ends the process.
//!
//! Each calling thread gets one companion, which lives as long as its caller and runs one piece of work after
//! another. The limits of [`super::guard`] and [`super::reach`] bound what runs there, and this stack
//! suffices for them.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel, sync_channel};

/// Stack of a companion, bytes. Only touched pages take memory.
const STACK_BYTES: usize = 256 * 1024 * 1024;

type Work = Box<dyn FnOnce() + Send>;

thread_local! {
    static COMPANION: RefCell<Option<Sender<Work>>> = const { RefCell::new(None) };
}

/// Does the work on this thread's companion.
///
/// # Errors
/// The thread cannot be started, or the work panics.
pub(super) fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (answer, result) = sync_channel(1);
    let work: Work = Box::new(move || {
        // A panic is the failure of this work, not of later work. None of its data is used again.
        let outcome = catch_unwind(AssertUnwindSafe(work));
        // The caller may no longer be waiting; then the answer is dropped.
        let _gone = answer.send(outcome.map_err(|_| "the interpreter of Rego failed on it".to_owned()));
    });
    COMPANION.with_borrow_mut(|companion| {
        let sender = match companion {
            Some(sender) => sender,
            None => companion.insert(start()?),
        };
        let sent = sender.send(work);
        if sent.is_err() {
            *companion = None;
        }
        sent.map_err(|_| "the thread for Rego is gone".to_owned())
    })?;
    result.recv().unwrap_or_else(|_| Err("the thread for Rego gave no answer".to_owned()))
}

fn start() -> Result<Sender<Work>, String> {
    let (sender, work) = channel::<Work>();
    std::thread::Builder::new()
        .name("rego".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || work.into_iter().for_each(|work| work()))
        .map(|_ends_with_its_sender| sender)
        .map_err(|error| format!("cannot start a thread for Rego: {error}"))
}
