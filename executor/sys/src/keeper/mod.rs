//! The keeper: a process that holds the workspaces of sessions, so that they outlive every sandbox and belong
//! to none. Each workspace is a tmpfs with its own limits on size and number of files. It is lent to a
//! sandbox as a detached copy of the mount, which the holder attaches.
//!
//! When the keeper ends, the workspaces are gone, and every later use reports it (`WorkspaceError::Lost`).
//! Nothing is restored here.

pub(crate) mod inside;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::Errno;
use crate::host::{Host, Identity};
use crate::outpost::{Outpost, Role};
use crate::step::{Fault, Step};
use crate::wire::{self, MAX_MESSAGE};

/// A request from the executor to a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeeperMessage {
    Create { workspace: u64, size_bytes: u64, inodes: u64, owner: u32 },
    Lend { workspace: u64 },
    Remove { workspace: u64 },
}

impl KeeperMessage {
    fn words(self) -> [u64; 5] {
        match self {
            Self::Create { workspace, size_bytes, inodes, owner } => {
                [1, workspace, size_bytes, inodes, u64::from(owner)]
            }
            Self::Lend { workspace } => [2, workspace, 0, 0, 0],
            Self::Remove { workspace } => [3, workspace, 0, 0, 0],
        }
    }

    fn bytes(self) -> Vec<u8> {
        self.words().iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<8>() else { return None };
        let [kind, workspace, size_bytes, inodes, owner] = *words else { return None };
        let workspace = u64::from_le_bytes(workspace);
        match u64::from_le_bytes(kind) {
            1 => Some(Self::Create {
                workspace,
                size_bytes: u64::from_le_bytes(size_bytes),
                inodes: u64::from_le_bytes(inodes),
                owner: u32::try_from(u64::from_le_bytes(owner)).ok()?,
            }),
            2 => Some(Self::Lend { workspace }),
            3 => Some(Self::Remove { workspace }),
            _ => None,
        }
    }
}

/// Why a workspace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The keeper has ended, and the content of every workspace with it.
    #[error("the workspace is lost: the process that kept it has ended")]
    Lost,
    /// Zero stands for no limit in the options of a tmpfs.
    #[error("a workspace has a size and a number of inodes above zero")]
    Unbounded,
    /// The keeper refused.
    #[error(transparent)]
    Refused(#[from] Fault),
}

/// The executor's side of a keeper.
pub struct Keeper {
    outpost: Mutex<Outpost>,
    process: OwnedFd,
    next: AtomicU64,
    many_ids: bool,
}

impl Keeper {
    /// Starts a keeper.
    ///
    /// # Errors
    /// The step that failed.
    pub fn spawn(host: &Host) -> Result<Arc<Self>, Fault> {
        let outpost = Outpost::start(host, Role::Keeper, None)?;
        let process = outpost.process().try_clone_to_owned().map_err(|_| Fault {
            step: Step::ProcessStart,
            errno: Errno::EMFILE,
            about: String::new(),
        })?;
        let many_ids = host.many_ids();
        Ok(Arc::new(Self { outpost: Mutex::new(outpost), process, next: AtomicU64::new(1), many_ids }))
    }

    /// The keeper's pidfd: readable once the keeper, and with it every workspace, is gone.
    #[must_use]
    pub fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Makes a workspace for a session whose programs run under an identity.
    ///
    /// # Errors
    /// `Unbounded` for a limit of zero, `Lost` when the keeper has ended, otherwise the step that failed.
    pub fn create(
        self: &Arc<Self>,
        owner: &Identity,
        size_bytes: u64,
        inodes: u64,
    ) -> Result<Workspace, WorkspaceError> {
        if size_bytes == 0 || inodes == 0 {
            return Err(WorkspaceError::Unbounded);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let owner = if self.many_ids { owner.inner() } else { 0 };
        self.ask(KeeperMessage::Create { workspace: number, size_bytes, inodes, owner })?;
        Ok(Workspace { keeper: Arc::clone(self), number, size_bytes, inodes })
    }

    fn ask(&self, message: KeeperMessage) -> Result<Option<OwnedFd>, WorkspaceError> {
        let mut outpost = self.outpost.lock().unwrap_or_else(PoisonError::into_inner);
        if outpost.has_ended() {
            return Err(WorkspaceError::Lost);
        }
        outpost.request(&message.bytes(), &[]).map_err(|_| WorkspaceError::Lost)?;
        let mut reply = [0; MAX_MESSAGE];
        let (length, mut fds) =
            outpost.receive(&mut reply, Step::WorkspaceLend).map_err(|_| WorkspaceError::Lost)?;
        match reply.get(..length) {
            Some([wire::READY]) => Ok(fds.pop()),
            Some([]) | None => Err(WorkspaceError::Lost),
            Some(other) => Err(wire::parse_failure(other, Step::WorkspaceLend).into()),
        }
    }
}

/// The workspace of one session. Dropping it frees its memory.
pub struct Workspace {
    keeper: Arc<Keeper>,
    number: u64,
    size_bytes: u64,
    inodes: u64,
}

impl Workspace {
    /// Limits on bytes and files.
    #[must_use]
    pub fn limits(&self) -> (u64, u64) {
        (self.size_bytes, self.inodes)
    }

    /// A detached copy of the mount, for one sandbox.
    pub(crate) fn lend(&self) -> Result<OwnedFd, WorkspaceError> {
        let lent = self.keeper.ask(KeeperMessage::Lend { workspace: self.number })?;
        lent.ok_or(WorkspaceError::Lost)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // A keeper that has ended has removed it already.
        let _ = self.keeper.ask(KeeperMessage::Remove { workspace: self.number });
    }
}

#[cfg(test)]
mod tests {
    use super::KeeperMessage;

    #[test]
    fn messages_come_back_as_they_were_sent() {
        let create = KeeperMessage::Create { workspace: 7, size_bytes: 1 << 40, inodes: 9, owner: 65_000 };
        for message in
            [create, KeeperMessage::Lend { workspace: 3 }, KeeperMessage::Remove { workspace: u64::MAX }]
        {
            assert_eq!(KeeperMessage::parse(&message.bytes()), Some(message));
        }
        assert_eq!(KeeperMessage::parse(&create.bytes()[1..]), None);
        assert_eq!(KeeperMessage::parse(&[9; 40]), None);
    }
}
