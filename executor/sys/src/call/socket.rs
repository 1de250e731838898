//! Sockets between the processes of a sandbox: pairs that keep message boundaries, and descriptors passed
//! through them.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::file::owned;
use super::{Errno, checked_int};

/// Most descriptors in one message: as many as a build needs, and some spare. The kernel's own limit is 253.
pub(crate) const MAX_DESCRIPTORS: usize = 16;

/// Room for the control part of a message: one header and its descriptors, in words so that it is aligned.
const CONTROL_WORDS: usize = 16;

/// `socketpair(2)`: two ends of a channel that keeps message boundaries and reports when the other side
/// closes.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: the array has room for the two descriptors that the call writes.
    checked_int(unsafe {
        libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr())
    })?;
    Ok((owned(ends[0]), owned(ends[1])))
}

/// `pipe2(2)`: the reading and the writing end.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: the array has room for the two descriptors that the call writes.
    checked_int(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((owned(ends[0]), owned(ends[1])))
}

/// `send(2)` of one message, without SIGPIPE.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: the bytes are readable for their whole length and live through the call.
    let sent =
        unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// `recv(2)` of one message; the number of bytes, zero once the other side has closed.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    past_the_end(|| receive_once(socket, buffer, 0))
}

/// The same without blocking.
pub(crate) fn receive_now(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    past_the_end(|| receive_once(socket, buffer, libc::MSG_DONTWAIT))
}

fn receive_once(socket: BorrowedFd<'_>, buffer: &mut [u8], flags: libc::c_int) -> Result<usize, Errno> {
    // SAFETY: the buffer is writable for its whole length.
    let got = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
    if got < 0 { Err(Errno::last()) } else { Ok(got.cast_unsigned()) }
}

/// Receives; retries when a signal interrupts, and once more when the other side has closed with messages of
/// ours unread. The kernel reports that first (ECONNRESET), while what the other side sent before it ended,
/// such as the reason, is still there.
fn past_the_end<T>(mut receive: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let mut was_reset = false;
    loop {
        match receive() {
            Err(Errno::EINTR) => {}
            Err(Errno::ECONNRESET) if !was_reset => was_reset = true,
            other => return other,
        }
    }
}

/// `sendmsg(2)` of one message with descriptors; the receiver gets copies, the sender keeps its own.
pub(crate) fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    if fds.is_empty() {
        return send(socket, bytes);
    }
    if fds.len() > MAX_DESCRIPTORS {
        return Err(Errno::EMSGSIZE);
    }
    let mut control = [0u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let payload = size_of_val(fds) as libc::c_uint;
    // SAFETY: all-zero bytes are a valid `msghdr`; the fields that matter are set below.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes. 16 descriptors need 16 + 64 bytes, and `control` has 128.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(payload) } as usize;
    // SAFETY: the header is within `control`, which is aligned for it and has room for `payload` bytes of
    // data after it; `BorrowedFd` is a transparent C int, so `fds` is an array of ints of that size.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(payload) as usize;
        std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), size_of_val(fds));
    }
    // SAFETY: everything that the message points at lives through the call, which only reads it.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// `recvmsg(2)` of one message with its descriptors, close-on-exec. Zero bytes mean that the other side has
/// closed. A message that did not fit is an error, and so are descriptors for which this process has no numbers
/// left; those that it has received are closed.
pub(crate) fn receive_with(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut fds = Vec::new();
    let length = receive_each(socket, buffer, |fd| fds.push(fd))?;
    Ok((length, fds))
}

/// The same without allocating, for a child; each descriptor is handed over as it is found.
pub(crate) fn receive_each(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    take: impl FnMut(OwnedFd),
) -> Result<usize, Errno> {
    let mut control = [0u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all-zero bytes are a valid `msghdr`; the fields that matter are set below.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    let got = past_the_end(|| {
        // SAFETY: everything that the message points at is writable and lives through the call.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        checked_int(got as libc::c_int)
    })?;
    passed(&message, take);
    if message.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(Errno::EMSGSIZE);
    }
    // There is room for as many as are ever sent, so this process has no numbers left for them.
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(Errno::EMFILE);
    }
    Ok(got.cast_unsigned() as usize)
}

/// Hands over the descriptors that came with a received message.
fn passed(message: &libc::msghdr, mut take: impl FnMut(OwnedFd)) {
    // SAFETY: `message` was filled by recvmsg, so the chain of headers is within its control buffer, each
    // with `cmsg_len` bytes. The descriptors of an SCM_RIGHTS header are new in this process and do not have
    // an owner yet.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(found) = header.as_ref() {
            if found.cmsg_level == libc::SOL_SOCKET && found.cmsg_type == libc::SCM_RIGHTS {
                let bytes = found.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for index in 0..bytes / size_of::<RawFd>() {
                    take(owned(data.add(index).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    /// Variable that says that the process is for one test.
    const ALONE: &str = "BAILIWICK_TEST_ALONE";

    #[test]
    fn descriptors_for_which_no_numbers_are_left_are_missed() {
        use crate::call::identity;
        if std::env::var_os(ALONE).is_none() {
            let name = "call::socket::tests::descriptors_for_which_no_numbers_are_left_are_missed";
            let mut tests = std::process::Command::new(std::env::current_exe().unwrap());
            let output = tests.args(["--exact", name]).env(ALONE, "1").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            return;
        }
        let (ours, theirs) = pair().unwrap();
        send_with(theirs.as_fd(), b"x", &[ours.as_fd()]).unwrap();
        let free = ours.try_clone().unwrap().as_raw_fd();
        let hard = identity::hard_limit(libc::RLIMIT_NOFILE).unwrap();
        identity::limit(libc::RLIMIT_NOFILE, free.unsigned_abs().into(), hard).unwrap();
        let received = receive_with(ours.as_fd(), &mut [0; 8]);
        identity::limit(libc::RLIMIT_NOFILE, hard, hard).unwrap();
        assert_eq!(received.unwrap_err(), Errno::EMFILE);
    }

    #[test]
    fn what_was_said_before_the_end_is_heard_though_ours_was_not_read() {
        let (ours, theirs) = pair().unwrap();
        let mut buffer = [0; 8];
        send(ours.as_fd(), b"unread").unwrap();
        send(theirs.as_fd(), b"why").unwrap();
        drop(theirs);
        assert_eq!(receive(ours.as_fd(), &mut buffer), Ok(3));
        assert_eq!(receive(ours.as_fd(), &mut buffer), Ok(0));
        let (ours, theirs) = pair().unwrap();
        send(ours.as_fd(), b"unread").unwrap();
        send_with(theirs.as_fd(), b"why", &[ours.as_fd()]).unwrap();
        drop(theirs);
        let (length, fds) = receive_with(ours.as_fd(), &mut buffer).unwrap();
        assert_eq!((length, fds.len()), (3, 1));
    }
}
