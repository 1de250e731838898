//! The connection of a client, for a thread that runs a call for it.
//!
//! A runtime notices that a client has gone when its connection waits. A thread that runs a call does not let it
//! wait, so the call's thread watches the socket as well, and gives the client's place to others: a call whose client
//! has gone runs to its end, but does not keep other clients out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

/// A client's socket, and its place among the connections.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Connection {
    /// The connection over a socket.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new(socket: impl AsFd, place: OwnedSemaphorePermit) -> io::Result<Self> {
        Ok(Self { socket: socket.as_fd().try_clone_to_owned()?, place: Mutex::new(Some(place)) })
    }

    /// Gives the place to others: the client has gone.
    pub(crate) fn vacate(&self) {
        drop(self.place.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl AsFd for Connection {
    /// Hung up (poll(2), `POLLHUP`) once the client has gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
