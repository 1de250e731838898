//! Network namespaces whose sandboxes have ended, to be used again. Only for sandboxes whose filter makes no
//! network sockets: everything that a program can leave in a namespace of the kernel's network, it leaves
//! through one. An interface that is down has no addresses, no packets and no counters; a Unix socket leaves
//! nothing when it is gone, and whether all are is asked before each use.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::call::{Errno, file, process};

use super::super::prepared::Prepared;

/// How many sandboxes at one time have their namespaces remembered; those of others end with them. An unused
/// one takes some hundred kilobytes of kernel memory.
const REMEMBERED: usize = 16;

/// What the kernel says of a namespace without a socket (`sockstat_seq_show` in `net/ipv4/proc.c`): the
/// number of all sockets of any family in it.
const NO_SOCKETS: &[u8] = b"sockets: used 0\n";

/// The namespaces that were given to sandboxes.
#[derive(Default)]
pub(super) struct Used(Vec<Lent>);

struct Lent {
    network: OwnedFd,
    /// The first process of its sandbox: the kernel ends it after every other process in there.
    holder: OwnedFd,
}

impl Used {
    /// Remembers a namespace and the sandbox that has it.
    pub(super) fn lend(&mut self, network: OwnedFd, holder: BorrowedFd<'_>) {
        if self.0.len() < REMEMBERED
            && let Ok(holder) = holder.try_clone_to_owned()
        {
            self.0.push(Lent { network, holder });
        }
    }

    /// Enters a namespace whose sandbox has ended, and that has no socket left; `None` if there is none.
    pub(super) fn enter(&mut self, prepared: &Prepared) -> Option<OwnedFd> {
        loop {
            let network = self.take()?;
            let entered = process::join(network.as_fd(), libc::CLONE_NEWNET);
            if entered.and_then(|()| is_empty(prepared)).is_ok_and(|empty| empty) {
                return Some(network);
            }
        }
    }

    fn take(&mut self) -> Option<OwnedFd> {
        let entry =
            |lent: &Lent| libc::pollfd { fd: lent.holder.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut entries: Vec<libc::pollfd> = self.0.iter().map(entry).collect();
        process::poll(&mut entries, 0).ok()?;
        let ended = entries.iter().position(|entry| entry.revents & libc::POLLIN != 0)?;
        Some(self.0.swap_remove(ended).network)
    }
}

/// Whether the namespace of the calling thread has no socket of any family.
fn is_empty(prepared: &Prepared) -> Result<bool, Errno> {
    if removed!(prepared, NetworkOnce) {
        return Ok(true);
    }
    let statistics = file::open(prepared.host_proc.as_fd(), c"thread-self/net/sockstat", libc::O_RDONLY, 0)?;
    let mut text = [0; NO_SOCKETS.len()];
    let length = file::read_retrying(statistics.as_fd(), &mut text)?;
    Ok(text.get(..length) == Some(NO_SOCKETS))
}
