//! An OCI seccomp profile: the system calls of a sandbox, as a ceiling for the sandbox of that name in packs
//! that extend this one.
//!
//! A sandbox already has a profile of its own: what both allow is kept, what only the source allows is added,
//! and what the source does not allow is removed. Calls that the source allows only for some arguments are
//! removed.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_crds::sandbox::SyscallProfile;
use serde_json::{Value, json};

use super::ImportError;
use super::objects::{Losses, Object, Widens};
use crate::syscalls;

/// The action with which a filter allows a call.
const ALLOW: &str = "SCMP_ACT_ALLOW";

pub(super) fn spec(objects: &[Object<'_>], losses: &mut Losses) -> Result<Value, ImportError> {
    let [profile] = objects else {
        return Err(ImportError::Subjects("these are several profiles".to_owned()));
    };
    let profile = *profile;
    losses.unknown(
        profile,
        profile.value,
        "",
        &["defaultAction", "defaultErrnoRet", "architectures", "archMap", "syscalls"],
    );
    for name in ["architectures", "archMap"] {
        if profile.at(&format!("/{name}")).is_some() {
            losses.add(profile, name, "a filter is made for x86-64 and AArch64", Widens::No);
        }
    }
    let lowered = syscalls::lower(SyscallProfile::Shell, &[], &[])
        .map_err(|errors| ImportError::Pack(format!("{errors:?}")))?;
    let own: BTreeSet<&str> = lowered.allowed.iter().map(|call| call.name.as_str()).collect();
    let listed = listed(profile, losses);
    let allows_by_default = profile.at("/defaultAction") == Some(&json!(ALLOW));
    if allows_by_default {
        let reason = "a sandbox lists what it may call: calls that no list names are those of profile Shell";
        losses.add(profile, "defaultAction", reason, Widens::No);
    }
    let is_allowed = |name: &str| listed.get(name).copied().unwrap_or(allows_by_default);
    let remove: Vec<&str> = own.iter().copied().filter(|name| !is_allowed(name)).collect();
    let more = listed.iter().filter(|(name, allowed)| **allowed && !own.contains(name.as_str()));
    let add: Vec<&String> = more.map(|(name, _)| name).collect();
    let reason =
        "a sandbox has files and limits besides; these are the widest, to be met with those of a pack";
    losses.add(profile, "", reason, Widens::No);
    Ok(json!({"sandboxes": [{
        "name": "imported",
        "filesystem": {"readOnly": ["/usr", "/lib", "/lib64", "/bin", "/etc"], "proc": "Own",
            "devices": ["null", "zero", "full", "random", "urandom"]},
        "syscalls": {"profile": "Shell", "add": add, "remove": remove},
        "limits": {"wallClock": "1h", "memory": "64Gi", "processes": 4096, "output": "64Mi"},
    }]}))
}

/// Each named call, and whether it is allowed whatever its arguments.
fn listed(profile: Object<'_>, losses: &mut Losses) -> BTreeMap<String, bool> {
    let mut all: BTreeMap<String, bool> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    let entries = profile.at("/syscalls").and_then(Value::as_array);
    for (index, entry) in entries.into_iter().flatten().enumerate() {
        let path = format!("syscalls[{index}]");
        let known = ["names", "name", "action", "args", "errnoRet", "comment", "includes", "excludes"];
        losses.unknown(profile, entry, &path, &known);
        let allows = entry.get("action") == Some(&json!(ALLOW));
        let is_conditional =
            ["args", "includes", "excludes"].iter().any(|name| holds_something(entry.get(*name)));
        if allows && is_conditional {
            let reason = "it allows these calls for some arguments, architectures or capabilities; they are not allowed";
            losses.add(profile, &path, reason, Widens::No);
        }
        let names = entry.get("names").and_then(Value::as_array).into_iter().flatten();
        for name in names.chain(entry.get("name")).filter_map(Value::as_str) {
            *all.entry(name.to_owned()).or_default() |= allows && !is_conditional;
            if !allows {
                refused.insert(name.to_owned());
            }
        }
    }
    // A call that any entry denies, even for some arguments only, is denied.
    for (name, allowed) in &mut all {
        *allowed &= !refused.contains(name);
    }
    all
}

fn holds_something(part: Option<&Value>) -> bool {
    match part {
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
        _ => false,
    }
}
