//! The Landlock rules of a profile. They repeat what its mounts say, in a mechanism that is independent of
//! mounts: a worker that found a writable mount in its tree by mistake still could not write there.

use std::ffi::CString;

use crate::call::{Errno, landlock};
use crate::profile::{Proc, Profile};

use super::prepared::path;

/// Access rights of `linux/landlock.h`.
const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// Version 1 knows bits 0 to 12; 2 adds REFER, 3 TRUNCATE, 5 IOCTL_DEV.
const VERSION_1: u64 = (1 << 13) - 1;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// MAKE_CHAR and MAKE_BLOCK: no file system of a sandbox may get device nodes.
const MAKE_DEVICES: u64 = 1 << 6 | 1 << 11;
/// From version 4: bind and connect by TCP.
const NETWORK: u64 = 0b11;
/// From version 6: abstract sockets and signals only within the sandbox.
const SCOPES: u64 = 0b11;
/// Rights that make sense on a target that is not a directory.
const FILE_RIGHTS: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

/// What is allowed beneath one path.
pub(super) struct Rule {
    pub(super) path: CString,
    pub(super) rights: u64,
}

/// Everything that this version of the kernel's Landlock can deny.
pub(super) fn handled(version: u32) -> landlock::Handled {
    let mut files = VERSION_1;
    for (from, right) in [(2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)] {
        if version >= from {
            files |= right;
        }
    }
    let network = if version >= 4 { NETWORK } else { 0 };
    let scoped = if version >= 6 { SCOPES } else { 0 };
    landlock::Handled { files, network, scoped }
}

/// The part of a rule's rights that the kernel knows and that apply to its target.
pub(super) fn rights_of(rule: &Rule, handled: &landlock::Handled, is_directory: bool) -> u64 {
    rule.rights & handled.files & if is_directory { u64::MAX } else { FILE_RIGHTS }
}

/// The rules of a profile. The root may be listed but not read; what is below it is allowed by its own rule.
pub(super) fn of(profile: &Profile) -> Result<Vec<Rule>, Errno> {
    let read = EXECUTE | READ_FILE | READ_DIR;
    let write = !(MAKE_DEVICES | IOCTL_DEV);
    let mut rules = vec![Rule { path: c"/".to_owned(), rights: READ_DIR }];
    for binding in &profile.read_only {
        rules.push(Rule { path: path(&binding.target)?, rights: read });
    }
    for device in &profile.devices {
        let name = CString::new(format!("/dev/{}", device.name())).map_err(|_| Errno::EINVAL)?;
        rules.push(Rule { path: name, rights: READ_FILE | WRITE_FILE | TRUNCATE });
    }
    for writable in profile.writable.iter().map(|tmpfs| &tmpfs.path).chain(&profile.workspace) {
        rules.push(Rule { path: path(writable)?, rights: write });
    }
    if profile.proc == Proc::Own {
        // Executing `/proc/self/exe` is checked against the file it refers to, not its name, so reading is
        // all that is needed here.
        rules.push(Rule { path: c"/proc".to_owned(), rights: READ_FILE | READ_DIR });
    }
    Ok(rules)
}
