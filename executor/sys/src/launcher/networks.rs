//! Network namespaces, made ahead: one takes the kernel three times as long as all other namespaces together,
//! so it is not made while a call waits, nor while a sandbox is built: most kernels do not preempt the making,
//! and the executor would wait for its processor. Each is used once, by one sandbox, like everything else: its
//! counters outlive the sockets in it.
//!
//! They belong to the launcher's user namespace, not to the sandbox's: no process inside has a privilege over
//! them, whatever identity it gains there.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::call::process::Cloned;
use crate::call::{Errno, file, process};

use super::prepared::Prepared;

/// How many are kept: enough for a burst of two. Each takes some hundred kilobytes of kernel memory.
const STOCK: usize = 2;

/// How long the next one waits after a build: until the worker has parked and its program may run, which is
/// when the launcher and the executor have nothing to do. A second build within this time is a burst, and
/// then none is delayed.
const PAUSE: Duration = Duration::from_micros(250);

/// The stock.
pub(super) struct Networks {
    /// The launcher's own namespace: the launcher must not keep a sandbox's namespace alive.
    home: OwnedFd,
    /// `None`: a test leaves the layer out.
    stock: Option<Stock>,
}

struct Stock {
    ready: Receiver<Result<OwnedFd, Errno>>,
    orders: Sender<()>,
    /// One was taken and no other is ordered yet.
    owed: Cell<bool>,
}

impl Networks {
    /// Starts the thread that makes them.
    pub(super) fn start(prepared: &Arc<Prepared>) -> Result<Self, Errno> {
        let home = own(prepared)?;
        if super::shared(&prepared.profile) & libc::CLONE_NEWNET != 0 || removed!(prepared, NetworkOwner) {
            return Ok(Self { home, stock: None });
        }
        let (made, ready) = channel();
        let (orders, inbox) = channel();
        let prepared = Arc::clone(prepared);
        let make = move || {
            while let Ok(()) = inbox.recv() {
                let orders = 1 + usize::from(inbox.recv_timeout(PAUSE).is_ok());
                for _ in 0..orders {
                    let network = process::unshare(libc::CLONE_NEWNET).and_then(|()| own(&prepared));
                    if made.send(network).is_err() {
                        return;
                    }
                }
            }
        };
        std::thread::Builder::new().spawn(make).map_err(|_| Errno::EAGAIN)?;
        let stock = Stock { ready, orders, owed: Cell::new(false) };
        (0..STOCK).for_each(|_| stock.order());
        Ok(Self { home, stock: Some(stock) })
    }

    /// Has one made in place of the one that a build took; called when the build has ended.
    pub(super) fn replace_taken(&self) {
        if let Some(stock) = self.stock.as_ref().filter(|stock| stock.owed.take()) {
            stock.order();
        }
    }

    /// Clones in an unused namespace; only the child stays there.
    pub(super) fn within(&self, clone: impl FnOnce() -> Result<Cloned, Errno>) -> Result<Cloned, Errno> {
        let Some(stock) = &self.stock else { return clone() };
        stock.owed.set(true);
        match stock.ready.recv().map_err(|_| Errno::EPIPE)? {
            Ok(network) => process::join(network.as_fd(), libc::CLONE_NEWNET)?,
            // That error is from the earlier attempt; namespaces may be available again.
            Err(_) => process::unshare(libc::CLONE_NEWNET)?,
        }
        let cloned = clone();
        if matches!(cloned, Ok(Cloned::Child)) {
            return cloned;
        }
        if let Err(errno) = process::join(self.home.as_fd(), libc::CLONE_NEWNET) {
            if let Ok(Cloned::Parent { pidfd, .. }) = &cloned {
                let _ = process::send_signal(pidfd.as_fd(), libc::SIGKILL);
            }
            return Err(errno);
        }
        cloned
    }
}

impl Stock {
    fn order(&self) {
        // A thread that has ended makes none; the next build learns of it.
        let _ = self.orders.send(());
    }
}

/// The namespace that the calling thread is in.
fn own(prepared: &Prepared) -> Result<OwnedFd, Errno> {
    file::open(prepared.host_proc.as_fd(), c"thread-self/ns/net", libc::O_RDONLY, 0)
}
