//! System calls by name: which exist, which a profile has, and with which arguments. Only this part of the
//! compiler knows them; a compiled policy carries numbers and tests, so an enforcer needs no table.
//!
//! Terms. *Profile*: reviewed data, the calls that a kind of program needs (`profiles`). *Test*: what an
//! argument must be for a call to be allowed (`arguments`); it belongs to the call, whichever list the call
//! comes from. *Never*: calls that no sandbox may have, since they bypass the filter or leave the namespaces.
//!
//! ```text
//! profile + add - remove ► names ► numbers (table) + tests (arguments) ► policy::sandboxes::Syscalls
//! ```

mod arguments;
mod builder;
mod profiles;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_crds::sandbox::SyscallProfile;
use bailiwick_policy::policy::sandboxes::{AllowedSyscall, RefusedSyscall, SyscallNumbers, Syscalls};

use crate::nearest::nearest;

pub use builder::with_builder;
pub use profiles::START;

/// Most names in one list of a pack; more than there are system calls.
const MAX_NAMES: usize = 512;

/// The list of a pack that contains a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// `syscalls.add`.
    Add,
    /// `syscalls.remove`.
    Remove,
}

impl List {
    /// The member's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            List::Add => "add",
            List::Remove => "remove",
        }
    }
}

/// Errors in the names of a pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Error {
    /// No architecture has a call of this name.
    #[error("there is no system call `{name}`")]
    Unknown {
        /// The list.
        list: List,
        /// Index in it.
        index: usize,
        /// What was written.
        name: String,
        /// The name that was probably meant.
        nearest: Option<&'static str>,
    },
    /// No sandbox may have the call.
    #[error("no sandbox may have `{name}`: {why}")]
    Never {
        /// Index in `add`.
        index: usize,
        /// The call.
        name: &'static str,
        /// What it would make possible.
        why: &'static str,
    },
    /// The call is in both lists.
    #[error("`{name}` is both added and removed")]
    Both {
        /// Index in `remove`.
        index: usize,
        /// The call.
        name: &'static str,
    },
    /// A list is too long.
    #[error("`{}` has more than {MAX_NAMES} names", list.as_str())]
    TooMany {
        /// The list.
        list: List,
    },
}

/// The system calls of a sandbox: those of the profile, plus `add` and minus `remove`.
///
/// # Errors
/// Every invalid name, in the order of the lists.
pub fn lower(profile: SyscallProfile, add: &[String], remove: &[String]) -> Result<Syscalls, Vec<Error>> {
    let mut errors = Vec::new();
    let added = names(List::Add, add, &mut errors);
    let removed = names(List::Remove, remove, &mut errors);
    for (index, name) in &added {
        if let Some(why) = profiles::never(name) {
            errors.push(Error::Never { index: *index, name, why });
        }
    }
    for (index, name) in &removed {
        if added.iter().any(|(_, other)| other == name) {
            errors.push(Error::Both { index: *index, name });
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut allowed: BTreeSet<&'static str> = profiles::calls(profile).collect();
    allowed.extend(added.iter().map(|(_, name)| *name));
    for (_, name) in &removed {
        allowed.remove(name);
    }
    Ok(assemble(&allowed))
}

/// The known names of a list with their indices; the others become errors.
fn names(list: List, wire: &[String], errors: &mut Vec<Error>) -> Vec<(usize, &'static str)> {
    if wire.len() > MAX_NAMES {
        errors.push(Error::TooMany { list });
        return Vec::new();
    }
    let mut known = Vec::new();
    for (index, name) in wire.iter().enumerate() {
        match table::find(name) {
            Some(row) => known.push((index, row.name)),
            None => {
                let nearest = nearest(name, table::TABLE.iter().map(|row| row.name));
                errors.push(Error::Unknown { list, index, name: name.clone(), nearest });
            }
        }
    }
    known
}

/// The compiled form of these names, and of the errors that every sandbox gets for other calls.
fn assemble(allowed: &BTreeSet<&'static str>) -> Syscalls {
    Syscalls {
        allowed: allowed.iter().filter_map(|name| allow(name)).collect(),
        refused: profiles::REFUSED
            .iter()
            .filter(|(name, _)| !allowed.contains(name))
            .filter_map(|(name, errno)| {
                Some(RefusedSyscall { name: (*name).to_owned(), numbers: numbers(name)?, errno: *errno })
            })
            .collect(),
    }
}

fn allow(name: &str) -> Option<AllowedSyscall> {
    Some(AllowedSyscall { name: name.to_owned(), numbers: numbers(name)?, when: arguments::tests(name) })
}

/// The numbers of a call; `None`: there is no such call.
#[must_use]
pub fn numbers(name: &str) -> Option<SyscallNumbers> {
    table::find(name).map(|row| SyscallNumbers { x86_64: row.x86_64, aarch64: row.aarch64 })
}

/// Names of all calls that some architecture has, sorted.
pub fn all() -> impl Iterator<Item = &'static str> {
    table::TABLE.iter().map(|row| row.name)
}

/// What any of several sandboxes may do, for a filter around all of them.
#[must_use]
pub fn union(of: &[&Syscalls]) -> Syscalls {
    let mut allowed: BTreeMap<String, AllowedSyscall> = BTreeMap::new();
    let mut refused: BTreeMap<String, RefusedSyscall> = BTreeMap::new();
    for syscalls in of {
        for call in &syscalls.allowed {
            match allowed.get_mut(&call.name) {
                None => drop(allowed.insert(call.name.clone(), call.clone())),
                // A call without tests is the widest.
                Some(other) if other.when.is_empty() || call.when.is_empty() => other.when.clear(),
                Some(other) => {
                    other.when.extend(call.when.iter().cloned());
                    other.when.sort();
                    other.when.dedup();
                }
            }
        }
        for call in &syscalls.refused {
            refused.entry(call.name.clone()).or_insert_with(|| call.clone());
        }
    }
    refused.retain(|name, _| !allowed.contains_key(name));
    Syscalls { allowed: allowed.into_values().collect(), refused: refused.into_values().collect() }
}
