//! The keeper's own side: one in-memory file system for each session, mounted in a mount namespace that only
//! the keeper is in.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::call::{Errno, file, mount, socket};
use crate::step::{Failure, Fault, Step, attempt};
use crate::wire::{self, MAX_MESSAGE};

use super::KeeperMessage;

/// Serves until the executor closes the channel. When the keeper ends, every workspace is gone.
pub(crate) fn serve(channel: BorrowedFd<'_>) -> Result<(), Errno> {
    socket::send(channel, &[wire::READY])?;
    let mut message = [0; MAX_MESSAGE];
    loop {
        let (length, _) = socket::receive_with(channel, &mut message)?;
        if length == 0 {
            return Ok(());
        }
        let request = message.get(..length).and_then(KeeperMessage::parse);
        let outcome = match request {
            Some(request) => answer(&request),
            None => Err(Fault { step: Step::WorkspaceLend, errno: Errno::EBADMSG, about: String::new() }),
        };
        match outcome {
            Ok(Some(tree)) => socket::send_with(channel, &[wire::READY], &[tree.as_fd()])?,
            Ok(None) => socket::send(channel, &[wire::READY])?,
            Err(fault) => {
                let mut reply = [0; MAX_MESSAGE];
                let about = CString::new(fault.about).unwrap_or_default();
                let failure = Failure { step: fault.step, errno: fault.errno, about: &about };
                let length = wire::failure_bytes(&failure, &mut reply);
                socket::send(channel, reply.get(..length).unwrap_or_default())?;
            }
        }
    }
}

fn answer(request: &KeeperMessage) -> Result<Option<OwnedFd>, Fault> {
    match *request {
        KeeperMessage::Create { workspace, size_bytes, inodes, owner } => {
            create(workspace, size_bytes, inodes, owner).map(|()| None)
        }
        KeeperMessage::Lend { workspace } => lend(workspace).map(Some),
        KeeperMessage::Remove { workspace } => remove(workspace).map(|()| None),
    }
}

/// The directory of a workspace in the keeper's root.
fn place(workspace: u64) -> CString {
    CString::new(format!("/{workspace}")).unwrap_or_default()
}

fn create(workspace: u64, size_bytes: u64, inodes: u64, owner: u32) -> Result<(), Fault> {
    let place = place(workspace);
    let options = format!("size={size_bytes},nr_inodes={inodes},mode=0755,uid={owner},gid={owner}");
    let done = attempt(Step::WorkspaceCreate, &place, || {
        let options = CString::new(options).map_err(|_| Errno::EINVAL)?;
        file::make_directory(file::CWD, &place, 0o700)?;
        mount::mount(c"workspace", &place, c"tmpfs", libc::MS_NOSUID | libc::MS_NODEV, &options)
    });
    if let Err(failure) = done {
        let fault = Fault::from(failure);
        let _ = file::remove_directory(file::CWD, &place);
        return Err(fault);
    }
    Ok(())
}

/// A detached copy of the mount: all copies share the same content, and each can be attached once, anywhere.
fn lend(workspace: u64) -> Result<OwnedFd, Fault> {
    let place = place(workspace);
    Ok(attempt(Step::WorkspaceLend, &place, || mount::clone_tree(file::CWD, &place))?)
}

/// Releases the mount. Its memory is free once the last sandbox that it was lent to has ended.
fn remove(workspace: u64) -> Result<(), Fault> {
    let place = place(workspace);
    let done = attempt(Step::WorkspaceLend, &place, || {
        mount::detach(&place)?;
        file::remove_directory(file::CWD, &place)
    });
    Ok(done?)
}
