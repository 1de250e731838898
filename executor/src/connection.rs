//! The connection of a client, for a thread that runs a call for it.
//!
//! A runtime notices that a client has gone when its connection waits. A thread that runs a call does not let it
//! wait, so the call's thread watches the socket as well, and gives the client's place to others: a call whose client
//! has gone runs to its end, but does not keep other clients out.
//!
//! What is left to do for a call is begun once its answer was given to the socket, so that it does not take the
//! processor from it; it does not wait for a client that reads slowly.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use crate::run::Rest;

/// A client's socket, and its place among the connections.
pub struct Connection {
    socket: OwnedFd,
    place: Mutex<Option<OwnedSemaphorePermit>>,
    rest: Mutex<Option<Rest>>,
}

impl Connection {
    /// The connection over a socket.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new(socket: impl AsFd, place: OwnedSemaphorePermit) -> io::Result<Self> {
        Ok(Self {
            socket: socket.as_fd().try_clone_to_owned()?,
            place: Mutex::new(Some(place)),
            rest: Mutex::default(),
        })
    }

    /// Gives the place to others: the client has gone.
    pub(crate) fn vacate(&self) {
        drop(taken(&self.place));
    }

    /// Keeps what is left to do for a call until its answer is written.
    pub(crate) fn leave(&self, rest: Rest) {
        self.begin_rest();
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
    }

    /// Begins what is left to do for a call, on another thread.
    pub(crate) fn begin_rest(&self) {
        if let Some(rest) = taken(&self.rest) {
            tokio::task::spawn_blocking(|| rest.finish());
        }
    }
}

impl Drop for Connection {
    /// What is left is not done here: this may be a thread of the runtime, where other clients wait.
    fn drop(&mut self) {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.begin_rest();
        }
    }
}

fn taken<T>(from: &Mutex<Option<T>>) -> Option<T> {
    from.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl AsFd for Connection {
    /// Hung up (poll(2), `POLLHUP`) once the client has gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::calls::CallState;
    use crate::executor::{Executor, Started};
    use crate::run::tests::{executor, started};

    fn ran(executor: &Arc<Executor>, session: &str) -> (Arc<CallState>, Rest) {
        let Started { call, job } = started(executor, session);
        (call, job.unwrap().run(None))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_left_of_a_call_is_begun_when_its_answer_is_written_or_its_connection_ends() {
        let state = tempfile::tempdir().unwrap();
        let executor = executor(state.path());
        let session = tokio::task::block_in_place(|| executor.open_session().unwrap().id);
        let places = Arc::new(Semaphore::new(1));
        let connection = |place| Connection::new(UnixStream::pair().unwrap().0, place).unwrap();
        let written = connection(Arc::clone(&places).try_acquire_owned().unwrap());
        let (call, rest) = tokio::task::block_in_place(|| ran(&executor, &session));
        written.leave(rest);
        assert!(!call.is_settled());
        written.begin_rest();
        call.result_recorded().await;
        assert!(call.is_recorded());
        drop(written);
        let ended = connection(places.try_acquire_owned().unwrap());
        executor.all_ended().await;
        let (call, rest) = tokio::task::block_in_place(|| ran(&executor, &session));
        ended.leave(rest);
        drop(ended);
        call.result_recorded().await;
        assert!(call.is_recorded());
    }

    #[test]
    fn what_is_left_of_a_call_does_not_keep_the_thread_that_drops_the_connection() {
        let state = tempfile::tempdir().unwrap();
        let executor = executor(state.path());
        let session = executor.open_session().unwrap().id;
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let connection = Connection::new(UnixStream::pair().unwrap().0, place).unwrap();
        let (call, rest) = ran(&executor, &session);
        connection.leave(rest);
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let (proceed, wait) = std::sync::mpsc::channel::<()>();
        // The only thread that could do it is kept.
        runtime.spawn_blocking(move || wait.recv());
        runtime.block_on(async {
            drop(connection);
            assert!(!call.is_settled());
            proceed.send(()).unwrap();
            call.result_recorded().await;
        });
        assert!(call.is_recorded());
    }
}
