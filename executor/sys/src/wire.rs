//! The messages between the processes of a sandbox, as bytes: executor to launcher and keeper, holder to
//! launcher, worker to executor. All of these are programs of one build, so there is no version. Every reader
//! still checks lengths, because a worker's channel is held by a process that may be hostile by the time it
//! is read.

use std::ffi::{CStr, c_char};
use std::hint::black_box;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::call::Errno;
use crate::profile::Profile;
use crate::step::{Failure, Fault, Step};

/// Descriptor on which a launcher or keeper finds its channel: its standard input.
pub(crate) const CHANNEL: i32 = 0;

/// First byte of each kind of message.
pub(crate) const LEFT_HOST: u8 = b'U';
pub(crate) const MAPS_WRITTEN: u8 = b'G';
pub(crate) const READY: u8 = b'R';
pub(crate) const FAILED: u8 = b'F';
pub(crate) const BUILD: u8 = b'B';
pub(crate) const BUILT: u8 = b'b';
/// To a holder and a worker, with the `tasks` files to write themselves into.
pub(crate) const GROUPS: u8 = b'g';

/// Longest short message of either side: a failure with its text, or a fixed record.
pub(crate) const MAX_MESSAGE: usize = 512;

/// Longest text of a failure.
const MAX_ABOUT: usize = 400;

/// Longest request to a worker. It travels as one message, and a socket's send buffer of Linux's default size
/// (212,992) must hold it.
pub const MAX_REQUEST_BYTES: usize = 192 * 1024;

/// Most arguments, and most variables of the environment.
pub const MAX_STRINGS: usize = 4096;

/// Marks a request for the clerk where a program's request has its number of arguments.
pub(crate) const CLERK_MARK: [u8; 4] = u32::MAX.to_le_bytes();

/// What a launcher needs to know before it can build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Boot {
    /// A launcher's profile; a keeper has none.
    pub(crate) profile: Option<Profile>,
    /// The ids are a range in which the launcher is 0, holders are 1, and workers have the id that the build
    /// names; otherwise there is a single id.
    pub(crate) many_ids: bool,
    /// The step that must fail; written only if there is one.
    #[cfg(feature = "fault-injection")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failing: Option<Step>,
}

/// A request to build one sandbox. Descriptors follow in the order of the fields of `launcher::Channels`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BuildMessage {
    /// The worker's id in the launcher's namespace.
    pub(crate) worker_id: u32,
    /// How many groups holder and worker have to enter by themselves (cgroup v1). The executor sends them the
    /// `tasks` files, over the lifeline and the control channel, when the groups exist.
    pub(crate) entered_groups: u8,
    /// Whether a directory of a cgroup v2 group to start in follows.
    pub(crate) cgroup_directory: bool,
    /// Whether a workspace follows.
    pub(crate) workspace: bool,
}

impl BuildMessage {
    pub(crate) fn bytes(self) -> [u8; 8] {
        let [a, b, c, d] = self.worker_id.to_le_bytes();
        [BUILD, a, b, c, d, self.entered_groups, u8::from(self.cgroup_directory), u8::from(self.workspace)]
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let [BUILD, a, b, c, d, entered_groups, cgroup_directory, workspace] = *bytes else { return None };
        Some(Self {
            worker_id: u32::from_le_bytes([a, b, c, d]),
            entered_groups,
            cgroup_directory: cgroup_directory == 1,
            workspace: workspace == 1,
        })
    }
}

/// Writes a failure as a message, without allocating.
pub(crate) fn failure_bytes(failure: &Failure<'_>, buffer: &mut [u8; MAX_MESSAGE]) -> usize {
    let mut length = 0;
    let head = [FAILED, failure.step as u8];
    let parts: [&[u8]; 3] = [&head, &(failure.errno as i32).to_le_bytes(), failure.about.to_bytes()];
    for part in parts {
        for byte in part.iter().take(MAX_ABOUT) {
            if let Some(place) = buffer.get_mut(length) {
                *place = *byte;
                length += 1;
            }
        }
    }
    length
}

/// Reads a failure; any other message is itself a failure of `expected`.
pub(crate) fn parse_failure(bytes: &[u8], expected: Step) -> Fault {
    if let [FAILED, step, a, b, c, d, about @ ..] = bytes
        && let Some(step) = Step::from_number(*step)
    {
        let errno = Errno::from_raw(i32::from_le_bytes([*a, *b, *c, *d]));
        return Fault { step, errno, about: String::from_utf8_lossy(about).into_owned() };
    }
    let errno = if bytes.is_empty() { Errno::ECONNRESET } else { Errno::EBADMSG };
    Fault { step: expected, errno, about: String::new() }
}

/// A request as one message: counts, then the working directory (empty for the profile's own), the program,
/// arguments, variables, each with its NUL. `None` when it is too long, has too many strings, or a string
/// contains a NUL.
pub(crate) fn pack_request(
    directory: &Path,
    program: &Path,
    arguments: &[impl AsRef<[u8]>],
    variables: &[impl AsRef<[u8]>],
) -> Option<Vec<u8>> {
    if arguments.len() > MAX_STRINGS || variables.len() > MAX_STRINGS {
        return None;
    }
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&u32::try_from(arguments.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(variables.len()).ok()?.to_le_bytes());
    let paths = [directory.as_os_str().as_encoded_bytes(), program.as_os_str().as_encoded_bytes()];
    let strings = paths
        .into_iter()
        .chain(arguments.iter().map(AsRef::as_ref))
        .chain(variables.iter().map(AsRef::as_ref));
    for string in strings {
        if string.contains(&0) || bytes.len() + string.len() >= MAX_REQUEST_BYTES {
            return None;
        }
        bytes.extend_from_slice(string);
        bytes.push(0);
    }
    Some(bytes)
}

/// A worker's buffer for a request and the tables for `execve`; made before the worker is cloned, because a
/// worker may not allocate.
pub(crate) struct RequestBuffer {
    pub(crate) bytes: Vec<u8>,
    arguments: Vec<*const c_char>,
    variables: Vec<*const c_char>,
}

/// A request that has been read: the arguments of `execve`.
pub(crate) struct Execution<'a> {
    /// Directory to enter first; empty for none.
    pub(crate) directory: &'a CStr,
    pub(crate) program: &'a CStr,
    /// Pointers to strings that end in NUL, then null.
    pub(crate) arguments: &'a [*const c_char],
    /// The same.
    pub(crate) variables: &'a [*const c_char],
}

/// An order for the clerk that has been read; see `clerk::Task`.
pub(crate) struct ClerkOrder<'a> {
    pub(crate) workspace: &'a CStr,
    pub(crate) kind: u8,
    pub(crate) depth: u8,
    pub(crate) limit: u64,
    pub(crate) path: &'a CStr,
}

impl RequestBuffer {
    /// Reads the first `length` bytes as an order for the clerk, if they are one.
    pub(crate) fn unpack_order<'a>(&'a self, length: usize, workspace: &'a CStr) -> Option<ClerkOrder<'a>> {
        let order = self.bytes.get(..length)?.strip_prefix(&CLERK_MARK)?;
        let ([kind, depth], rest) = order.split_first_chunk::<2>()?;
        let (limit, rest) = rest.split_first_chunk::<8>()?;
        let path = CStr::from_bytes_with_nul(rest).ok()?;
        Some(ClerkOrder { workspace, kind: *kind, depth: *depth, limit: u64::from_le_bytes(*limit), path })
    }

    /// Writes to the first page of each part, so that the kernel gives this process its own now, and not when a
    /// request waits: few requests need more.
    pub(crate) fn touch(&mut self) {
        fn write<T>(part: &mut [T], value: T) {
            if let Some(first) = black_box(part).first_mut() {
                *first = value;
            }
        }
        write(&mut self.bytes, 0);
        write(&mut self.arguments, std::ptr::null());
        write(&mut self.variables, std::ptr::null());
    }

    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; MAX_REQUEST_BYTES + 1],
            arguments: vec![std::ptr::null(); MAX_STRINGS + 1],
            variables: vec![std::ptr::null(); MAX_STRINGS + 1],
        }
    }

    /// Reads the first `length` bytes and fills the tables. `None` when they are not a request.
    pub(crate) fn unpack(&mut self, length: usize) -> Option<Execution<'_>> {
        let (counts, mut rest) = self.bytes.get(..length)?.split_first_chunk::<8>()?;
        let [a, b, c, d, e, f, g, h] = *counts;
        let argument_count = u32::from_le_bytes([a, b, c, d]) as usize;
        let variable_count = u32::from_le_bytes([e, f, g, h]) as usize;
        let mut next = || {
            let string = CStr::from_bytes_until_nul(rest).ok()?;
            rest = rest.get(string.to_bytes_with_nul().len()..)?;
            Some(string)
        };
        let (directory, program) = (next()?, next()?);
        for (table, count) in [(&mut self.arguments, argument_count), (&mut self.variables, variable_count)] {
            for place in table.get_mut(..count)? {
                *place = next()?.as_ptr();
            }
            *table.get_mut(count)? = std::ptr::null();
        }
        let arguments = self.arguments.get(..=argument_count)?;
        Some(Execution { directory, program, arguments, variables: self.variables.get(..=variable_count)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_as_it_was_packed() {
        let packed =
            pack_request(Path::new("/work"), Path::new("/bin/x"), &["x", "", "é"], &["A=1"]).unwrap();
        let mut buffer = RequestBuffer::new();
        buffer.bytes[..packed.len()].copy_from_slice(&packed);
        let execution = buffer.unpack(packed.len()).unwrap();
        assert_eq!((execution.directory, execution.program), (c"/work", c"/bin/x"));
        let text = |pointer: *const c_char| {
            // SAFETY: `unpack` pointed it at a string in `buffer`, which is alive.
            unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned()
        };
        let arguments: Vec<String> = execution.arguments[..3].iter().map(|p| text(*p)).collect();
        assert_eq!(arguments, ["x", "", "é"]);
        assert!(execution.arguments[3].is_null() && execution.variables[1].is_null());
        assert_eq!((execution.arguments.len(), text(execution.variables[0]).as_str()), (4, "A=1"));
    }

    #[test]
    fn a_cut_request_is_refused_at_every_length() {
        let packed = pack_request(Path::new(""), Path::new("/bin/x"), &["x", "yy"], &["A=1"]).unwrap();
        let mut buffer = RequestBuffer::new();
        buffer.bytes[..packed.len()].copy_from_slice(&packed);
        for length in 0..packed.len() {
            assert!(buffer.unpack(length).is_none(), "{length} of {} bytes", packed.len());
        }
        assert!(buffer.unpack(packed.len()).is_some());
    }

    #[test]
    fn too_long_too_many_and_nul_are_refused() {
        let long = "x".repeat(MAX_REQUEST_BYTES);
        assert!(pack_request(Path::new(""), Path::new("/x"), &[&long], &[""; 0]).is_none());
        assert!(
            pack_request(Path::new(""), Path::new("/x"), &vec!["a"; MAX_STRINGS + 1], &[""; 0]).is_none()
        );
        assert!(pack_request(Path::new(""), Path::new("/x"), &["a\0b"], &[""; 0]).is_none());
    }

    #[test]
    fn a_failure_comes_back_as_it_was_sent() {
        let mut buffer = [0; MAX_MESSAGE];
        let failure = Failure { step: Step::HolderTmpfs, errno: Errno::ENOSPC, about: c"/tmp" };
        let length = failure_bytes(&failure, &mut buffer);
        let fault = parse_failure(&buffer[..length], Step::HolderClone);
        assert_eq!(fault, Fault::from(failure));
        assert_eq!(parse_failure(&[], Step::Execute).errno, Errno::ECONNRESET);
        assert_eq!(parse_failure(b"Fxyz", Step::Execute).errno, Errno::EBADMSG);
    }
}
