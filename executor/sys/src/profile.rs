//! One kind of sandbox, as plain data: what it sees of the file system, what it may write, its limits, its
//! filter. A user of this crate makes a profile from its own policy; the launcher enforces it. The session
//! and user that a sandbox is for are not part of it: see `sandbox::Build`.
//!
//! `Profile::check` judges a profile before anything is started. A profile with a mistake never reaches the
//! kernel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::seccomp::{self, Program};

/// Most paths of each kind. Each is a mount that is copied for every sandbox.
pub const MAX_PATHS: usize = 64;

/// Longest path that the kernel accepts (`PATH_MAX`, with its NUL).
pub const MAX_PATH_BYTES: usize = 4095;

/// Longest host name (`HOST_NAME_MAX` of Linux).
pub const MAX_HOST_NAME_BYTES: usize = 64;

/// One kind of sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// Paths of the host that are visible, read-only, with everything mounted below them.
    pub read_only: Vec<Binding>,
    /// Symbolic links in the root, such as `/bin` to `usr/bin`.
    pub links: Vec<Link>,
    /// Device nodes in `/dev`.
    pub devices: Vec<Device>,
    /// Fresh file systems in memory.
    pub writable: Vec<Tmpfs>,
    /// Where the workspace of a session is mounted.
    pub workspace: Option<PathBuf>,
    /// Whether there is a `/proc`.
    pub proc: Proc,
    /// Environment of every call; a request adds to it.
    pub environment: BTreeMap<String, String>,
    /// Host name.
    pub host_name: String,
    /// Working directory of a call that names none.
    pub working_directory: PathBuf,
    /// Limits of each process.
    pub rlimits: Rlimits,
    /// Limits of the sandbox as a whole.
    pub cgroup: CgroupLimits,
    /// The seccomp filter. It may not be empty.
    pub filter: Program,
    /// Whether Landlock repeats the rules on files.
    pub landlock: Landlock,
    /// Layers left out to show what they stop. Omitted from the text when there are none, so that a launcher
    /// without the feature can read it.
    #[cfg(feature = "fault-injection")]
    #[serde(default, skip_serializing_if = "std::collections::BTreeSet::is_empty")]
    pub without: std::collections::BTreeSet<Layer>,
}

/// A profile in which nothing is visible and nothing is allowed: [`Profile::check`] refuses it unless it is
/// changed.
impl Default for Profile {
    fn default() -> Self {
        Self {
            read_only: Vec::new(),
            links: Vec::new(),
            devices: Vec::new(),
            writable: Vec::new(),
            workspace: None,
            proc: Proc::None,
            environment: BTreeMap::new(),
            host_name: "sandbox".to_owned(),
            working_directory: PathBuf::from("/"),
            rlimits: Rlimits {
                open_files: 0,
                file_size_bytes: 0,
                cpu_seconds: None,
                processes: None,
                address_space_bytes: None,
            },
            cgroup: CgroupLimits::default(),
            filter: Program(Vec::new()),
            landlock: Landlock::WhereAvailable,
            #[cfg(feature = "fault-injection")]
            without: std::collections::BTreeSet::new(),
        }
    }
}

/// A path of the host, and its path inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Path on the host; a symbolic link is followed there, once, when the launcher starts.
    pub source: PathBuf,
    /// Path inside.
    pub target: PathBuf,
}

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where it is.
    pub path: PathBuf,
    /// Its target.
    pub target: PathBuf,
}

/// A device node that a sandbox may have. None of them reaches hardware or another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in /dev")]
pub enum Device {
    Null,
    Zero,
    Full,
    Random,
    Urandom,
}

impl Device {
    /// Its name in `/dev`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Device::Null => "null",
            Device::Zero => "zero",
            Device::Full => "full",
            Device::Random => "random",
            Device::Urandom => "urandom",
        }
    }

    /// Major and minor number (`Documentation/admin-guide/devices.txt`). A host node with other numbers is
    /// refused.
    #[must_use]
    pub fn numbers(self) -> (u32, u32) {
        let minor = match self {
            Device::Null => 3,
            Device::Zero => 5,
            Device::Full => 7,
            Device::Random => 8,
            Device::Urandom => 9,
        };
        (1, minor)
    }
}

/// A fresh file system in memory; its pages count as memory of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tmpfs {
    /// Where it is mounted.
    pub path: PathBuf,
    /// Most bytes in it.
    pub size_bytes: u64,
    /// Most files and directories in it.
    pub inodes: u64,
}

/// The kind of `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proc {
    /// A fresh, read-only one of the sandbox's own pid namespace.
    Own,
    /// None.
    None,
}

/// Whether Landlock is applied as a second layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Landlock {
    /// Where the kernel has it, with all rights that its version knows.
    WhereAvailable,
    /// Not.
    Off,
}

/// Limits of each process (`setrlimit(2)`), soft and hard alike. There is never a core dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rlimits {
    /// Open files of one process.
    pub open_files: u64,
    /// Bytes of one written file.
    pub file_size_bytes: u64,
    /// Seconds of processor time of one process; the sandbox's own limit is watched from outside.
    pub cpu_seconds: Option<u64>,
    /// Processes and threads in the sandbox's user namespace: the limit where there is no cgroup (exact from
    /// Linux 5.14).
    pub processes: Option<u64>,
    /// Bytes of address space of one process: the closest to a memory limit without a cgroup.
    pub address_space_bytes: Option<u64>,
}

/// Limits of the sandbox as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CgroupLimits {
    /// Bytes of memory, tmpfs included.
    pub memory_bytes: Option<u64>,
    /// Processes and threads, including the two that hold the sandbox.
    pub processes: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_milli: Option<u64>,
}

impl CgroupLimits {
    /// Whether there is nothing to enforce.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A layer of the sandbox, for tests that show what each one stops.
#[cfg(feature = "fault-injection")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named after what is left out")]
pub enum Layer {
    Filter,
    Capabilities,
    /// Everything but the standard streams is closed.
    Descriptors,
    NoNewPrivileges,
    NamespaceLimits,
    ReadOnly,
    Rlimits,
    HolderPrivileges,
    NetworkNamespace,
    /// The sandbox's network namespace belongs to its own user namespace, not to the launcher's.
    NetworkOwner,
    /// A network namespace in which something may be left is used once.
    NetworkOnce,
    /// A place in which something may be left is used once.
    PlaceAsNew,
    IpcNamespace,
}

impl Profile {
    #[cfg(feature = "fault-injection")]
    pub(crate) fn has(&self, layer: Layer) -> bool {
        !self.without.contains(&layer)
    }
}

/// A profile that is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what is wrong")]
pub enum ProfileError {
    #[error("`{0}` is not an absolute path of plain names")]
    Path(PathBuf),
    #[error("`{0}` is mounted twice")]
    Twice(PathBuf),
    #[error("{0} paths of one kind are more than {MAX_PATHS}")]
    TooMany(usize),
    #[error("the tmpfs at `{0}` has no size or no inodes")]
    Unbounded(PathBuf),
    #[error("`{0}` is not a host name")]
    HostName(String),
    #[error("environment entry `{0}` has a NUL, or `=` in its name")]
    Environment(String),
    #[error("the filter is not one that the kernel takes: {0}")]
    Filter(#[from] seccomp::Refusal),
    #[error("a limit of zero leaves nothing to run")]
    ZeroLimit,
}

impl Profile {
    /// Judges the whole profile.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn check(&self) -> Result<(), ProfileError> {
        self.check_paths()?;
        for tmpfs in &self.writable {
            if tmpfs.size_bytes == 0 || tmpfs.inodes == 0 {
                return Err(ProfileError::Unbounded(tmpfs.path.clone()));
            }
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let host = self.host_name.as_bytes();
        if host.is_empty() || host.len() > MAX_HOST_NAME_BYTES || !host.iter().copied().all(plain) {
            return Err(ProfileError::HostName(self.host_name.clone()));
        }
        for (name, value) in &self.environment {
            check_variable(name, value)?;
        }
        seccomp::verify(&self.filter)?;
        let CgroupLimits { memory_bytes, processes, cpu_milli } = self.cgroup;
        let Rlimits { open_files, cpu_seconds, address_space_bytes, .. } = self.rlimits;
        let given =
            [memory_bytes, processes, cpu_milli, Some(open_files), cpu_seconds, self.rlimits.processes];
        if given.contains(&Some(0)) || address_space_bytes == Some(0) {
            return Err(ProfileError::ZeroLimit);
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), ProfileError> {
        for count in [self.read_only.len(), self.links.len(), self.writable.len(), self.devices.len()] {
            if count > MAX_PATHS {
                return Err(ProfileError::TooMany(count));
            }
        }
        let mut mounts: Vec<&Path> = self.read_only.iter().map(|binding| binding.target.as_path()).collect();
        mounts.extend(self.writable.iter().map(|tmpfs| tmpfs.path.as_path()));
        mounts.extend(self.workspace.as_deref());
        if self.proc == Proc::Own {
            mounts.push(Path::new("/proc"));
        }
        for path in &mounts {
            check_path(path)?;
        }
        mounts.sort_unstable();
        if let Some(twice) = mounts.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(*one),
            _ => None,
        }) {
            return Err(ProfileError::Twice(twice.to_owned()));
        }
        let others = self.read_only.iter().map(|binding| &binding.source);
        for path in others.chain(self.links.iter().map(|link| &link.path)) {
            check_path(path)?;
        }
        match self.working_directory.as_path() {
            root if root == Path::new("/") => Ok(()),
            other => check_path(other),
        }
    }
}

/// Checks for an absolute path below the root, of plain names: nothing that a later resolution could read
/// differently. `Path::components` is not used, because it drops `.` and doubled slashes silently, and the
/// path must mean what it says.
fn check_path(path: &Path) -> Result<(), ProfileError> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let names = bytes.strip_prefix(b"/").ok_or_else(|| ProfileError::Path(path.to_owned()))?;
    let plain = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
    if names.split(|byte| *byte == b'/').all(plain) && bytes.len() <= MAX_PATH_BYTES {
        Ok(())
    } else {
        Err(ProfileError::Path(path.to_owned()))
    }
}

/// Checks for a variable that `execve` accepts with its intended meaning.
pub(crate) fn check_variable(name: &str, value: &str) -> Result<(), ProfileError> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return Err(ProfileError::Environment(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<(), ProfileError> {
        check_path(Path::new(text))
    }

    #[test]
    fn only_plain_absolute_paths_are_taken() {
        for good in ["/work", "/etc/ld.so.cache", "/a/..b/.c"] {
            assert_eq!(path(good), Ok(()), "{good}");
        }
        for bad in ["", "/", "work", "/a/../../x", "/a/..", "/a/./b", "/a//b", "/a/", "//a", "/a\0b"] {
            let bad = bad.replace("\\0", "\0");
            assert_eq!(path(&bad), Err(ProfileError::Path(bad.clone().into())), "{bad}");
        }
        assert!(path(&format!("/{}", "x".repeat(MAX_PATH_BYTES))).is_err());
    }

    #[test]
    fn variables_that_execve_would_read_otherwise_are_refused() {
        for (name, value) in [("", "x"), ("A=B", "x"), ("A", "x\0y"), ("A\0", "x")] {
            assert!(check_variable(name, value).is_err(), "{name:?} {value:?}");
        }
        assert_eq!(check_variable("A", "x=y"), Ok(()));
    }
}
