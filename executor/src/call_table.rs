//! Every call that a client may still ask about: running calls, recently ended calls, and the calls that
//! idempotency keys refer to.
//!
//! A call that ended stays until newer ones push it out. Its key stays until its session ends, so that a call
//! that was dropped does not run again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::calls::CallState;
use crate::refusal::Refusal;

/// Most idempotency keys of all sessions together; at some 300 bytes each they take 80 MiB.
const MAX_KEYS: usize = 1 << 18;
/// Most idempotency keys of one session, which keeps them until it ends: sixteen such sessions leave room for
/// no other.
const MAX_SESSION_KEYS: usize = 1 << 14;

/// What an idempotency key refers to, until its session ends: a call that was dropped does not run again.
#[derive(Debug)]
struct Keyed {
    /// Id of the call.
    call: String,
    /// Hash of the request.
    request: String,
}

/// The calls that clients can ask about, by id. Ended calls are dropped when they are too many or hold too
/// much.
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

    /// Adds a call, and its key if it has one.
    pub fn insert(&self, call: &Arc<CallState>, key: Option<String>) {
        let mut table = self.lock();
        if table.by_id.insert(call.id().to_owned(), Arc::clone(call)).is_some() {
            // A call that led to a question and then goes on: its first end must not push it out while it
            // runs.
            let first = table.ended.iter().position(|(id, _)| id == call.id());
            if let Some((_, held)) = first.and_then(|at| table.ended.remove(at)) {
                table.ended_bytes -= held;
            }
        }
        if let Some(key) = key {
            let keyed = Keyed { call: call.id().to_owned(), request: call.request().to_owned() };
            let known = table.by_key.entry(call.session().to_owned()).or_default().insert(key, keyed);
            table.keys += usize::from(known.is_none());
        }
    }

    /// The call with this id in this session.
    #[must_use]
    pub fn get(&self, session: &str, id: &str) -> Option<Arc<CallState>> {
        self.lock().by_id.get(id).filter(|call| call.session() == session).cloned()
    }

    /// The call that was made with this idempotency key, or `None` for a new key.
    ///
    /// # Errors
    /// The key belongs to another call, or to one that was dropped; or it is new, and the most keys are
    /// already remembered.
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
                Err(Refusal::Busy(format!("limit of {MAX_KEYS} remembered idempotency keys reached")))
            }
            None => Ok(None),
            Some(keyed) if keyed.request != request => Err(Refusal::KeyReused),
            Some(keyed) => table.by_id.get(&keyed.call).cloned().map(Some).ok_or(Refusal::Dropped),
        }
    }

    /// Notes that a call has ended, and drops the oldest ended ones beyond the bounds.
    pub fn ended(&self, call: &CallState) {
        let mut table = self.lock();
        let held = call.held();
        table.ended.push_back((call.id().to_owned(), held));
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
        let gone: Vec<String> = table
            .by_id
            .values()
            .filter(|call| call.session() == session)
            .map(|call| call.id().to_owned())
            .collect();
        for id in &gone {
            table.by_id.remove(id);
        }
        let gone: HashSet<String> = gone.into_iter().collect();
        let left: VecDeque<_> = table.ended.drain(..).filter(|(id, _)| !gone.contains(id)).collect();
        table.ended_bytes = left.iter().map(|(_, held)| held).sum();
        table.ended = left;
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::tests::call;
    use crate::calls::{CallState, Ended};

    /// A call that ended with a result of this many bytes.
    fn gave(id: &str, session: &str, bytes: usize) -> Arc<CallState> {
        let call = call(id, session, false);
        let result = serde_json::json!({ "content": "x".repeat(bytes) });
        call.end(Ended { outcome: None, result: Some(result), result_decision: None });
        call
    }

    #[test]
    fn results_of_ended_calls_hold_no_more_than_the_bound() {
        let table = CallTable::new(1024, 1 << 20);
        for number in 0..8 {
            let call = gave(&format!("c{number}"), "s", 300 << 10);
            table.insert(&call, None);
            table.ended(&call);
        }
        let kept = (0..8).filter(|number| table.get("s", &format!("c{number}")).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), [5, 6, 7]);
        assert!(table.lock().ended_bytes <= 1 << 20);
        // No other session has the keys of a closed one.
        table.forget("s");
        let left = table.lock();
        assert_eq!((left.ended_bytes, left.ended.len()), (0, 0));
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
}
