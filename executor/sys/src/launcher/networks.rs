//! Network namespaces, made ahead: one takes the kernel three times as long as all other namespaces together,
//! so it is not made while a call waits. Each is used once, by one sandbox, like everything else: its
//! counters outlive the sockets in it.
//!
//! They belong to the launcher's user namespace, not to the sandbox's: no process inside has a privilege over
//! them, whatever identity it gains there.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use crate::call::process::Cloned;
use crate::call::{Errno, file, process};

use super::prepared::Prepared;

/// How many wait in addition to the one that the thread holds until there is room: enough for a burst of two.
/// Each takes some hundred kilobytes of kernel memory.
const STOCK: usize = 1;

/// The stock.
pub(super) struct Networks {
    /// The launcher's own namespace: the launcher must not keep a sandbox's namespace alive.
    home: OwnedFd,
    /// `None`: a test leaves the layer out.
    ready: Option<Receiver<Result<OwnedFd, Errno>>>,
}

impl Networks {
    /// Starts the thread that makes them.
    pub(super) fn start(prepared: &Arc<Prepared>) -> Result<Self, Errno> {
        let home = own(prepared)?;
        if super::shared(&prepared.profile) & libc::CLONE_NEWNET != 0 || removed!(prepared, NetworkOwner) {
            return Ok(Self { home, ready: None });
        }
        let (made, ready) = sync_channel(STOCK);
        let prepared = Arc::clone(prepared);
        let make = move || loop {
            let network = process::unshare(libc::CLONE_NEWNET).and_then(|()| own(&prepared));
            if made.send(network).is_err() {
                return;
            }
        };
        std::thread::Builder::new().spawn(make).map_err(|_| Errno::EAGAIN)?;
        Ok(Self { home, ready: Some(ready) })
    }

    /// Clones in an unused namespace; only the child stays there.
    pub(super) fn within(&self, clone: impl FnOnce() -> Result<Cloned, Errno>) -> Result<Cloned, Errno> {
        let Some(ready) = &self.ready else { return clone() };
        match ready.recv().map_err(|_| Errno::EPIPE)? {
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

/// The namespace that the calling thread is in.
fn own(prepared: &Prepared) -> Result<OwnedFd, Errno> {
    file::open(prepared.host_proc.as_fd(), c"thread-self/ns/net", libc::O_RDONLY, 0)
}
