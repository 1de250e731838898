//! Network namespaces, made ahead: one takes the kernel three times as long as all other namespaces together,
//! so it is not made while a call waits, nor while a sandbox is built: most kernels do not preempt the making,
//! and the executor would wait for its processor. Each is used by one sandbox at a time. Where a program can
//! make network sockets it is used once: counters and options of the kernel outlive the sockets. Where it can
//! make none, nothing can be left behind, and it is used again (`used`).
//!
//! They belong to the launcher's user namespace, not to the sandbox's: no process inside has a privilege over
//! them, whatever identity it gains there.

mod used;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::call::process::Cloned;
use crate::call::{Errno, file, process};

use super::prepared::Prepared;
use used::Used;

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
    owed: bool,
    /// `None`: each is used once.
    used: Option<Used>,
    prepared: Arc<Prepared>,
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
        let again = !prepared.network_sockets || removed!(prepared, NetworkOnce);
        let used = again.then(Used::default);
        let (prepared, for_maker) = (Arc::clone(prepared), Arc::clone(prepared));
        let make = move || {
            while let Ok(()) = inbox.recv() {
                let orders = 1 + usize::from(inbox.recv_timeout(PAUSE).is_ok());
                for _ in 0..orders {
                    let network = process::unshare(libc::CLONE_NEWNET).and_then(|()| own(&for_maker));
                    if made.send(network).is_err() {
                        return;
                    }
                }
            }
        };
        std::thread::Builder::new().spawn(make).map_err(|_| Errno::EAGAIN)?;
        let stock = Stock { ready, orders, owed: false, used, prepared };
        (0..STOCK).for_each(|_| stock.order());
        Ok(Self { home, stock: Some(stock) })
    }

    /// Has one made in place of the one that a build took; called when the build has ended.
    pub(super) fn replace_taken(&mut self) {
        if let Some(stock) = &mut self.stock
            && std::mem::take(&mut stock.owed)
        {
            stock.order();
        }
    }

    /// Clones in a namespace that no other process is in; only the child stays there.
    pub(super) fn within(&mut self, clone: impl FnOnce() -> Result<Cloned, Errno>) -> Result<Cloned, Errno> {
        let Some(stock) = &mut self.stock else { return clone() };
        let entered = stock.enter();
        // Also where none could be entered: this thread may have left one that it had entered before.
        let cloned = entered.as_ref().map_or_else(|errno| Err(*errno), |_| clone());
        let holder = match &cloned {
            Ok(Cloned::Child) => return cloned,
            Ok(Cloned::Parent { pidfd, .. }) => Some(pidfd.as_fd()),
            Err(_) => None,
        };
        if let (Some(used), Some(holder), Ok(network)) = (&mut stock.used, holder, entered) {
            used.lend(network, holder);
        }
        if let Err(errno) = process::join(self.home.as_fd(), libc::CLONE_NEWNET) {
            if let Some(holder) = holder {
                let _ = process::send_signal(holder, libc::SIGKILL);
            }
            return Err(errno);
        }
        cloned
    }
}

impl Stock {
    /// Enters a namespace for the next sandbox.
    fn enter(&mut self) -> Result<OwnedFd, Errno> {
        if let Some(again) = self.used.as_mut().and_then(|used| used.enter(&self.prepared)) {
            return Ok(again);
        }
        self.owed = true;
        match self.ready.recv().map_err(|_| Errno::EPIPE)? {
            Ok(network) => process::join(network.as_fd(), libc::CLONE_NEWNET).map(|()| network),
            // That error is from the earlier attempt; namespaces may be available again.
            Err(_) => process::unshare(libc::CLONE_NEWNET).and_then(|()| own(&self.prepared)),
        }
    }

    fn order(&self) {
        // A thread that has ended makes none; the next build learns of it.
        let _ = self.orders.send(());
    }
}

/// The namespace that the calling thread is in.
fn own(prepared: &Prepared) -> Result<OwnedFd, Errno> {
    file::open(prepared.host_proc.as_fd(), c"thread-self/ns/net", libc::O_RDONLY, 0)
}
