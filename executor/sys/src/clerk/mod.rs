//! The clerk: reads, writes and lists files of a workspace for the executor, inside a sandbox of the session.
//! Whatever the files are, only the sandbox is exposed to them. What comes out is data from a hostile
//! program: it is parsed here with limits, and never trusted.
//!
//! The clerk is a worker that does one operation itself (`inside`) instead of executing a program. Its answer
//! is on standard output:
//!
//! ```text
//! answer  = errno:i32 payload        0 for success; numbers are little-endian
//! read    = size:u64 bytes           of the file as it is, and at most as many bytes of it as were asked for
//! write   = written:u64              content comes on standard input, to its end
//! list    = entry* end:u8            end 0: complete; 1: cut at the limit of entries
//! entry   = kind:u8(2..6) depth:u8 size:u64 mode:u32 length:u16 name
//! ```

pub(crate) mod inside;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use crate::call::Errno;
use crate::wire::CLERK_MARK;

/// Deepest directory that a listing enters.
pub const MAX_DEPTH: u8 = 32;

/// Most entries of one listing.
pub const MAX_ENTRIES: u32 = 100_000;

/// Longest path of a request.
pub const MAX_PATH_BYTES: usize = 4095;

/// A task for the clerk. Paths are relative to the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Read a regular file from its beginning.
    Read {
        /// The file.
        path: PathBuf,
        /// Most bytes to read.
        max_bytes: u64,
    },
    /// Write a regular file, replacing any file with the same name: the new content appears at once or not at
    /// all.
    Write {
        /// The file.
        path: PathBuf,
        /// Most bytes to write; more is an error (EFBIG).
        max_bytes: u64,
    },
    /// List a directory.
    List {
        /// The directory; the empty path is the workspace itself.
        path: PathBuf,
        /// How many levels: 1 is the directory alone. At most `MAX_DEPTH`.
        depth: u8,
        /// Most entries; at most `MAX_ENTRIES`.
        max_entries: u32,
    },
}

/// The type of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, which is never followed.
    Link,
    /// A pipe, socket or device.
    Other,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path below the listed directory.
    pub path: PathBuf,
    /// Its type.
    pub kind: Kind,
    /// Bytes of a regular file.
    pub size_bytes: u64,
    /// Permission bits.
    pub mode: u32,
}

/// Why an answer is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClerkError {
    /// The clerk could not do it.
    #[error("{0}")]
    Refused(Errno),
    /// The reply is not an answer.
    #[error("the answer of the clerk is malformed")]
    Malformed,
    /// The path of a task is absolute, has `..`, or is too long. It is not repeated: the message becomes part of a
    /// call's outcome, which the log keeps in clear, and the path is an argument, which it does not.
    #[error(
        "the path is not one below the workspace: it must be relative, of plain names, and have at most {MAX_PATH_BYTES} bytes"
    )]
    Path,
}

impl Task {
    /// The task as a request to a worker.
    ///
    /// # Errors
    /// When its path could lead out of the workspace. The kernel would refuse it as well.
    pub(crate) fn pack(&self) -> Result<Vec<u8>, ClerkError> {
        let (kind, path, limit, depth) = match self {
            Task::Read { path, max_bytes } => (1, path, *max_bytes, 0),
            Task::Write { path, max_bytes } => (2, path, *max_bytes, 0),
            Task::List { path, depth, max_entries } => {
                (3, path, u64::from((*max_entries).min(MAX_ENTRIES)), (*depth).clamp(1, MAX_DEPTH))
            }
        };
        let text = path.as_os_str().as_encoded_bytes();
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let named = kind == 3 || !text.is_empty();
        if !plain || !named || text.contains(&0) || text.ends_with(b"/") || text.len() > MAX_PATH_BYTES {
            return Err(ClerkError::Path);
        }
        let mut bytes = CLERK_MARK.to_vec();
        bytes.extend_from_slice(&[kind, depth]);
        bytes.extend_from_slice(&limit.to_le_bytes());
        bytes.extend_from_slice(if text.is_empty() { b"." } else { text });
        bytes.push(0);
        Ok(bytes)
    }
}

/// Takes a number of bytes off the front.
fn split<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], ClerkError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(ClerkError::Malformed)?;
    *bytes = rest;
    Ok(*head)
}

/// The payload of an answer.
fn payload(mut answer: &[u8]) -> Result<&[u8], ClerkError> {
    match i32::from_le_bytes(split(&mut answer)?) {
        0 => Ok(answer),
        errno => Err(ClerkError::Refused(Errno::from_raw(errno))),
    }
}

/// The answer to `Read`: size of the file, and the bytes.
///
/// # Errors
/// When the clerk refused or the answer is malformed.
pub fn parse_read(answer: &[u8]) -> Result<(u64, &[u8]), ClerkError> {
    let mut rest = payload(answer)?;
    Ok((u64::from_le_bytes(split(&mut rest)?), rest))
}

/// The answer to `Write`: how many bytes the file has now.
///
/// # Errors
/// When the clerk refused or the answer is malformed.
pub fn parse_write(answer: &[u8]) -> Result<u64, ClerkError> {
    let mut rest = payload(answer)?;
    let written = u64::from_le_bytes(split(&mut rest)?);
    if rest.is_empty() { Ok(written) } else { Err(ClerkError::Malformed) }
}

/// The answer to `List`: the entries, each directory before its content, and whether the list is complete.
/// Names are as they are on disk, so they may contain anything but `/` and NUL; they are not sorted.
///
/// # Errors
/// When the clerk refused or the answer is malformed.
pub fn parse_list(answer: &[u8]) -> Result<(Vec<Entry>, bool), ClerkError> {
    let mut rest = payload(answer)?;
    let mut entries = Vec::new();
    // Path of the directory of each level; the listed one is level zero.
    let mut parents: Vec<PathBuf> = vec![PathBuf::new()];
    loop {
        let [kind] = split(&mut rest)?;
        let kind = match kind {
            0 | 1 if rest.is_empty() => return Ok((entries, kind == 0)),
            2 => Kind::File,
            3 => Kind::Directory,
            4 => Kind::Link,
            5 => Kind::Other,
            _ => return Err(ClerkError::Malformed),
        };
        let [depth] = split(&mut rest)?;
        let size_bytes = u64::from_le_bytes(split(&mut rest)?);
        let mode = u32::from_le_bytes(split(&mut rest)?);
        let length = usize::from(u16::from_le_bytes(split(&mut rest)?));
        let (name, after) = rest.split_at_checked(length).ok_or(ClerkError::Malformed)?;
        rest = after;
        let bad =
            name.is_empty() || matches!(name, b"." | b"..") || name.iter().any(|b| matches!(b, b'/' | 0));
        let parent = parents.get(usize::from(depth)).ok_or(ClerkError::Malformed)?;
        if bad || entries.len() >= MAX_ENTRIES as usize || depth >= MAX_DEPTH {
            return Err(ClerkError::Malformed);
        }
        let path = parent.join(Path::new(&OsString::from_vec(name.to_vec())));
        parents.truncate(usize::from(depth) + 1);
        if kind == Kind::Directory {
            parents.push(path.clone());
        }
        entries.push(Entry { path, kind, size_bytes, mode });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_that_could_lead_out_are_refused() {
        for path in ["/etc/passwd", "../x", "a/../../x", "a/./../x", "", "x/", "a\0b"] {
            let task = Task::Read { path: path.into(), max_bytes: 1 };
            assert_eq!(task.pack(), Err(ClerkError::Path), "{path}");
        }
        assert!(Task::Read { path: "a/..b/c".into(), max_bytes: 1 }.pack().is_ok());
        assert!(Task::List { path: "".into(), depth: 1, max_entries: 1 }.pack().is_ok());
    }

    fn entry(kind: u8, depth: u8, name: &str) -> Vec<u8> {
        let mut bytes = vec![kind, depth];
        bytes.extend(7_u64.to_le_bytes());
        bytes.extend(0o644_u32.to_le_bytes());
        bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes
    }

    #[test]
    fn a_listing_is_a_tree() {
        let parts =
            [entry(2, 0, "a"), entry(3, 0, "d"), entry(2, 1, "b"), entry(3, 1, "e"), entry(2, 2, "c")];
        let mut answer = vec![0; 4];
        answer.extend(parts.concat());
        answer.extend(entry(4, 0, "l"));
        answer.push(0);
        let (entries, complete) = parse_list(&answer).unwrap();
        let paths: Vec<&str> = entries.iter().map(|e| e.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["a", "d", "d/b", "d/e", "d/e/c", "l"]);
        assert!(complete);
    }

    #[test]
    fn forged_names_and_depths_are_refused() {
        for part in
            [entry(2, 0, ".."), entry(2, 0, "a/b"), entry(2, 0, ""), entry(2, 1, "a"), entry(9, 0, "a")]
        {
            let mut answer = vec![0; 4];
            answer.extend(part);
            answer.push(0);
            assert_eq!(parse_list(&answer), Err(ClerkError::Malformed));
        }
    }

    proptest! {
        #[test]
        fn hostile_answers_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut answer = vec![0; 4];
            answer.extend(&bytes);
            for answer in [&answer, &bytes] {
                if let Ok((entries, _)) = parse_list(answer) {
                    for entry in entries {
                        let below = |part: Component<'_>| matches!(part, Component::Normal(_));
                        prop_assert!(entry.path.components().all(below));
                    }
                }
                let _ = parse_read(answer);
                let _ = parse_write(answer);
            }
        }
    }
}
