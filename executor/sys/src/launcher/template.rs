//! The template root: the file system that every sandbox of a profile starts from, built once in the
//! launcher's own mount namespace. A sandbox's mount namespace is a copy of it, to which only fresh file
//! systems are added.
//!
//! ```text
//! sources ──clone──► detached trees ──read-only, nosuid, nodev──► attached to a fresh tmpfs ──read-only──► pivot, host root gone
//! ```
//!
//! Sources are taken before anything is mounted, and targets are resolved inside the new root only, so a link
//! in the content of one cannot redirect the other.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::call::{Errno, file, mount};
use crate::profile::{Device, Proc, Profile};
use crate::step::{Fault, Step, attempt};

use super::prepared::path;

/// Where the root may be assembled. Any existing directory will do; what it hides is out of reach after the
/// pivot anyway.
const STAGES: [&CStr; 4] = [c"/tmp", c"/run", c"/mnt", c"/dev"];

/// The root holds mount points and links only.
const ROOT_OPTIONS: &CStr = c"size=4m,nr_inodes=65536,mode=755";

/// `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS` of `linux/openat2.h`: absolute links and `..` stay below the
/// directory that a path starts from.
const INSIDE: u64 = 0x10 | 0x02;

/// A detached tree and where it goes.
struct Tree {
    target: PathBuf,
    fd: OwnedFd,
    is_directory: bool,
}

/// An empty root for a process that needs no files of the host: the keeper.
pub(crate) fn build_empty() -> Result<(), Fault> {
    attempt(Step::TemplatePrivate, c"", mount::make_all_private)?;
    mount_root()?;
    Ok(attempt(Step::TemplatePivot, c"/", become_root)?)
}

/// Builds the template of a profile and makes it the root of the calling process.
pub(super) fn build(profile: &Profile) -> Result<(), Fault> {
    attempt(Step::TemplatePrivate, c"", mount::make_all_private)?;
    let mut trees = Vec::new();
    for binding in &profile.read_only {
        trees.push(take(Step::TemplateSources, &binding.source, &binding.target)?);
    }
    #[cfg(feature = "fault-injection")]
    let writable = !profile.has(crate::profile::Layer::ReadOnly);
    #[cfg(not(feature = "fault-injection"))]
    let writable = false;
    for tree in trees.iter().filter(|_| !writable) {
        attempt(Step::TemplateReadOnly, &shown(&tree.target), || {
            let attributes = mount::READ_ONLY | mount::NO_SUID | mount::NO_DEV;
            mount::set_attributes(tree.fd.as_fd(), c"", attributes, mount::Reach::Tree)
        })?;
    }
    for device in &profile.devices {
        trees.push(take_device(*device)?);
    }
    if profile.proc == Proc::Own {
        // The kernel allows a fresh proc only where an unmasked one is visible. In every sandbox, the fresh
        // one covers this one.
        trees.push(take(Step::TemplateSources, Path::new("/proc"), Path::new("/proc"))?);
    }
    let root = mount_root()?;
    make_entries(profile, &trees, root.as_fd())?;
    // A parent before its descendants.
    trees.sort_by_key(|tree| tree.target.components().count());
    for tree in &trees {
        attempt(Step::TemplateAttach, &shown(&tree.target), || {
            let place = inside(root.as_fd(), &tree.target, libc::O_PATH)?;
            mount::attach(tree.fd.as_fd(), place.as_fd())
        })?;
    }
    attempt(Step::TemplateSeal, c"/", || {
        let attributes = mount::READ_ONLY | mount::NO_SUID | mount::NO_DEV;
        mount::set_attributes(root.as_fd(), c"", attributes, mount::Reach::One)
    })?;
    attempt(Step::TemplatePivot, c"/", become_root)?;
    Ok(())
}

/// A detached copy of the mounts at a path of the host.
fn take(step: Step, source: &Path, target: &Path) -> Result<Tree, Fault> {
    let name = shown(source);
    let tree = attempt(step, &name, || {
        let fd = mount::clone_tree(file::CWD, &path(source)?)?;
        let is_directory = file::status(fd.as_fd())?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        Ok(Tree { target: target.to_owned(), fd, is_directory })
    });
    Ok(tree?)
}

/// A device node of the host, which must be the device that its name says: `/dev` may have been tampered with
/// (CVE-2025-31133).
fn take_device(device: Device) -> Result<Tree, Fault> {
    let target = Path::new("/dev").join(device.name());
    let tree = take(Step::TemplateDevices, &target, &target)?;
    attempt(Step::TemplateDevices, &shown(&target), || {
        let status = file::status(tree.fd.as_fd())?;
        let (major, minor) = device.numbers();
        if status.st_mode & libc::S_IFMT != libc::S_IFCHR || status.st_rdev != libc::makedev(major, minor) {
            return Err(Errno::ENODEV);
        }
        let attributes = mount::READ_ONLY | mount::NO_SUID | mount::NO_EXEC;
        mount::set_attributes(tree.fd.as_fd(), c"", attributes, mount::Reach::Tree)
    })?;
    Ok(tree)
}

/// Mounts the root's tmpfs and enters it.
fn mount_root() -> Result<OwnedFd, Fault> {
    let mut mounted = None;
    for stage in STAGES {
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        match attempt(Step::TemplateRoot, stage, || {
            mount::mount(c"bailiwick", stage, c"tmpfs", flags, ROOT_OPTIONS)
        }) {
            Err(failure) if failure.errno == Errno::ENOENT => {}
            other => {
                other?;
                mounted = Some(stage);
                break;
            }
        }
    }
    let stage =
        mounted.ok_or(Fault { step: Step::TemplateRoot, errno: Errno::ENOENT, about: String::new() })?;
    let root = attempt(Step::TemplateRoot, stage, || {
        file::change_directory(stage)?;
        file::open(file::CWD, c".", libc::O_DIRECTORY | libc::O_RDONLY, 0)
    });
    Ok(root?)
}

/// Makes every mount point and link.
fn make_entries(profile: &Profile, trees: &[Tree], root: BorrowedFd<'_>) -> Result<(), Fault> {
    for tree in trees {
        let name = shown(&tree.target);
        attempt(Step::TemplateEntries, &name, || match tree.is_directory {
            true => make_directories(root, &tree.target),
            false => make_file(root, &tree.target),
        })?;
    }
    for target in profile.writable.iter().map(|tmpfs| &tmpfs.path).chain(&profile.workspace) {
        // Below a read-only path it must already exist: by then it cannot be made, and mounting fails if it
        // is absent.
        let below = trees.iter().any(|tree| tree.is_directory && target.starts_with(&tree.target));
        if !below {
            attempt(Step::TemplateEntries, &shown(target), || make_directories(root, target))?;
        }
    }
    for link in &profile.links {
        attempt(Step::TemplateEntries, &shown(&link.path), || {
            if let Some(parent) = link.path.parent() {
                make_directories(root, parent)?;
            }
            file::make_link(&path(&link.target)?, root, &path(relative(&link.path))?)
        })?;
    }
    Ok(())
}

/// Makes a directory of the new root with its parents.
fn make_directories(root: BorrowedFd<'_>, target: &Path) -> Result<(), Errno> {
    let mut made = PathBuf::new();
    for name in relative(target) {
        made.push(name);
        match file::make_directory(root, &path(&made)?, 0o755) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Makes an empty file of the new root, for a file to be mounted on.
fn make_file(root: BorrowedFd<'_>, target: &Path) -> Result<(), Errno> {
    if let Some(parent) = target.parent() {
        make_directories(root, parent)?;
    }
    file::open(root, &path(relative(target))?, libc::O_CREAT | libc::O_WRONLY | libc::O_NOFOLLOW, 0o644)
        .map(drop)
}

/// Opens a path of the new root without leaving it.
fn inside(root: BorrowedFd<'_>, target: &Path, flags: libc::c_int) -> Result<OwnedFd, Errno> {
    file::open_resolved(root, &path(relative(target))?, flags, 0, INSIDE)
}

/// Makes the working directory the root. Where `pivot_root` is not allowed (the default filter of container
/// runtimes), the new root is mounted over the old one, which is then covered for good: uncovering it needs a
/// privilege that no worker has.
fn become_root() -> Result<(), Errno> {
    match mount::pivot_here() {
        Ok(()) => mount::detach(c".")?,
        Err(Errno::EPERM | Errno::ENOSYS) => {
            mount::mount(c".", c"/", c"none", libc::MS_MOVE, c"")?;
            file::change_root(c".")?;
        }
        Err(other) => return Err(other),
    }
    file::change_directory(c"/")
}

/// A path of a profile, which is absolute, relative to the new root.
fn relative(target: &Path) -> &Path {
    target.strip_prefix("/").unwrap_or(target)
}

/// A path for an error message; a path with a NUL cannot come from a checked profile.
fn shown(target: &Path) -> CString {
    path(target).unwrap_or_default()
}
