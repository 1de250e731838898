//! The clerk's side inside the sandbox, in the place of a program: it opens files only below the workspace,
//! refuses what is not a regular file, never blocks, and stays within its limits.
//!
//! It runs in a worker, on a copy of the launcher's memory: no allocation, no lock, no destructor that does
//! either. The worker's filter is installed.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::call::{Errno, file};
use crate::wire::ClerkOrder;

/// `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV` of `linux/openat2.h`.
const BELOW: u64 = 0x08 | 0x04 | 0x02 | 0x01;

/// Bytes that are copied at once. They are on the stack, of which a worker has 2 MiB.
const CHUNK: usize = 32 * 1024;

/// Directory entries that are read at once, for each level.
const LISTED: usize = 4 * 1024;

/// Longest name of a file (`NAME_MAX`).
const MAX_NAME: usize = 255;

const STDIN: i32 = 0;
const STDOUT: i32 = 1;

/// The name of new content until it is complete. Calls of a session run one at a time, so there is never a
/// second one; a file left by an earlier clerk that was killed is removed.
const UNFINISHED: &CStr = c".bailiwick-unfinished";

/// Carries out the order and answers; the exit code is 0 when the answer is complete.
pub(crate) fn serve(order: &ClerkOrder<'_>) -> i32 {
    let mut answer = Answer { buffer: [0; CHUNK], length: 0, failed: false };
    let outcome =
        file::open(file::CWD, order.workspace, libc::O_PATH | libc::O_DIRECTORY, 0).and_then(|root| {
            match order.kind {
                1 => read(root.as_fd(), order, &mut answer),
                2 => write(root.as_fd(), order, &mut answer),
                3 => list(root.as_fd(), order, &mut answer),
                _ => Err(Errno::EINVAL),
            }
        });
    if let Err(errno) = outcome {
        // Nothing of a payload has been sent yet: every task sends its first bytes once it can no longer
        // fail.
        answer.put(&(errno as i32).to_le_bytes());
    }
    answer.flush();
    i32::from(answer.failed)
}

/// Buffered standard output.
struct Answer {
    buffer: [u8; CHUNK],
    length: usize,
    failed: bool,
}

impl Answer {
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = CHUNK - self.length;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(place) = self.buffer.get_mut(self.length..self.length + now.len()) {
                place.copy_from_slice(now);
            }
            self.length += now.len();
            bytes = later;
            if self.length == CHUNK {
                self.flush();
            }
        }
    }

    fn success(&mut self) {
        self.put(&0_i32.to_le_bytes());
    }

    fn flush(&mut self) {
        let rest = self.buffer.get(..self.length).unwrap_or_default();
        if put_all(file::by_number(STDOUT), rest).is_err() {
            self.failed = true;
        }
        self.length = 0;
    }
}

fn put_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match file::write(to, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Opens a regular file. A pipe does not block, because of O_NONBLOCK, and is refused like everything else
/// that is not a regular file.
fn open_regular(root: BorrowedFd<'_>, path: &CStr) -> Result<(OwnedFd, u64), Errno> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
    let opened = file::open_resolved(root, path, flags, 0, BELOW)?;
    let status = file::status(opened.as_fd())?;
    if status.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(if status.st_mode & libc::S_IFMT == libc::S_IFDIR {
            Errno::EISDIR
        } else {
            Errno::EINVAL
        });
    }
    Ok((opened, status.st_size.cast_unsigned()))
}

fn read(root: BorrowedFd<'_>, order: &ClerkOrder<'_>, answer: &mut Answer) -> Result<(), Errno> {
    let (opened, size) = open_regular(root, order.path)?;
    answer.success();
    answer.put(&size.to_le_bytes());
    let mut buffer = [0; CHUNK];
    let mut left = order.limit;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        match file::read_retrying(opened.as_fd(), buffer.get_mut(..most).unwrap_or_default()) {
            Ok(0) => break,
            Ok(length) => {
                answer.put(buffer.get(..length).unwrap_or_default());
                left -= length as u64;
            }
            Err(_) => {
                // The size has been sent; only a short answer with a failure code is left.
                answer.failed = true;
                break;
            }
        }
    }
    Ok(())
}

fn write(root: BorrowedFd<'_>, order: &ClerkOrder<'_>, answer: &mut Answer) -> Result<(), Errno> {
    let mut parent_path = [0; crate::clerk::MAX_PATH_BYTES + 1];
    let (parent_path, name) = split_path(order.path, &mut parent_path)?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let parent = file::open_resolved(root, parent_path, flags, 0, BELOW)?;
    let _ = file::unlink(parent.as_fd(), UNFINISHED);
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    let created = file::open_resolved(parent.as_fd(), UNFINISHED, flags, 0o644, BELOW)?;
    let copied = copy_input(created.as_fd(), order.limit)
        .and_then(|length| file::rename(parent.as_fd(), UNFINISHED, name).map(|()| length));
    match copied {
        Ok(length) => {
            answer.success();
            answer.put(&length.to_le_bytes());
            Ok(())
        }
        Err(errno) => {
            let _ = file::unlink(parent.as_fd(), UNFINISHED);
            Err(errno)
        }
    }
}

/// The directory part of a path, which may be `.`, and the name.
fn split_path<'a>(path: &'a CStr, buffer: &'a mut [u8]) -> Result<(&'a CStr, &'a CStr), Errno> {
    let bytes = path.to_bytes_with_nul();
    let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/') else { return Ok((c".", path)) };
    let parent = bytes.get(..slash).ok_or(Errno::EINVAL)?;
    buffer.get_mut(..slash).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(parent);
    *buffer.get_mut(slash).ok_or(Errno::ENAMETOOLONG)? = 0;
    let parent = CStr::from_bytes_until_nul(buffer).map_err(|_| Errno::EINVAL)?;
    let name = CStr::from_bytes_with_nul(bytes.get(slash + 1..).ok_or(Errno::EINVAL)?);
    Ok((parent, name.map_err(|_| Errno::EINVAL)?))
}

/// Copies standard input to its end.
fn copy_input(to: BorrowedFd<'_>, limit: u64) -> Result<u64, Errno> {
    let mut buffer = [0; CHUNK];
    let mut total = 0;
    loop {
        let length = file::read_retrying(file::by_number(STDIN), &mut buffer)?;
        if length == 0 {
            return Ok(total);
        }
        total += length as u64;
        if total > limit {
            return Err(Errno::EFBIG);
        }
        put_all(to, buffer.get(..length).unwrap_or_default())?;
    }
}

fn list(root: BorrowedFd<'_>, order: &ClerkOrder<'_>, answer: &mut Answer) -> Result<(), Errno> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let directory = file::open_resolved(root, order.path, flags, 0, BELOW)?;
    answer.success();
    let mut left = order.limit;
    let complete = walk(directory.as_fd(), 0, order.depth, &mut left, answer);
    answer.put(&[u8::from(!complete)]);
    Ok(())
}

/// Lists one directory and, down to a depth, those in it; returns whether all of it was listed. A directory
/// that cannot be opened, because the program may have removed its own permission, is listed as empty, and
/// the listing as cut.
fn walk(directory: BorrowedFd<'_>, level: u8, depth: u8, left: &mut u64, answer: &mut Answer) -> bool {
    let mut buffer = [0; LISTED];
    let mut complete = true;
    loop {
        let Ok(length) = file::list(directory, &mut buffer) else { return false };
        if length == 0 {
            return complete;
        }
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((name, after)) = next_name(rest) {
            rest = after;
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if *left == 0 {
                return false;
            }
            *left -= 1;
            complete &= one(directory, name, level, depth, left, answer);
        }
    }
}

fn one(at: BorrowedFd<'_>, name: &CStr, level: u8, depth: u8, left: &mut u64, answer: &mut Answer) -> bool {
    let Ok(opened) = file::open_resolved(at, name, libc::O_PATH | libc::O_NOFOLLOW, 0, BELOW & !0x04) else {
        return false;
    };
    let Ok(status) = file::status(opened.as_fd()) else { return false };
    let kind = match status.st_mode & libc::S_IFMT {
        libc::S_IFREG => 2,
        libc::S_IFDIR => 3,
        libc::S_IFLNK => 4,
        _ => 5,
    };
    let bytes = name.to_bytes();
    let length = bytes.len().min(MAX_NAME) as u16;
    answer.put(&[kind, level]);
    answer.put(&status.st_size.cast_unsigned().to_le_bytes());
    answer.put(&(status.st_mode & 0o7777).to_le_bytes());
    answer.put(&length.to_le_bytes());
    answer.put(bytes.get(..usize::from(length)).unwrap_or_default());
    if kind != 3 || level + 1 >= depth {
        return true;
    }
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    match file::open_resolved(at, name, flags, 0, BELOW) {
        Ok(inner) => walk(inner.as_fd(), level + 1, depth, left, answer),
        Err(_) => false,
    }
}

/// The next record of `getdents64(2)`: inode (8), offset (8), length (2), type (1), name with its NUL.
fn next_name(records: &[u8]) -> Option<(&CStr, &[u8])> {
    let length = u16::from_ne_bytes([*records.get(16)?, *records.get(17)?]);
    let (record, rest) = records.split_at_checked(usize::from(length))?;
    Some((CStr::from_bytes_until_nul(record.get(19..)?).ok()?, rest))
}
