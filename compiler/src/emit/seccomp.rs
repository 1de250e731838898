//! Seccomp profiles in the form of the OCI runtime specification, one file for each architecture. Each
//! sandbox has one, for running it without the executor. The pod of each Native pool has one too, around its
//! sandboxes and the processes that build them.
//! <https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp>
//!
//! Profiles are flattened, without `includes`, `archMap` or `minKernel` of the Docker dialect. containerd
//! silently drops those, so that a call meant for a capability would be allowed for all. Arguments are
//! compared only by `SCMP_CMP_MASKED_EQ` within 32 bits: runtimes compare 64, of which the kernel uses 32. No
//! rule names one argument twice, since runc turns such conditions into alternatives. A file names one
//! architecture: libseccomp kills calls of the others, of x32 and of `int 0x80`.

use std::collections::BTreeMap;

use bailiwick_policy::policy::sandboxes::{ArgumentTest, Backend, Sandbox, SyscallNumbers, Syscalls};
use serde::Serialize;

use super::EmitError;
use super::artifact::{Artifact, Target};
use super::cell::Cell;
use super::manifest;
use crate::syscalls;

const ALLOW: &str = "SCMP_ACT_ALLOW";
const ERRNO: &str = "SCMP_ACT_ERRNO";
const EPERM: u16 = 1;

/// An architecture, by its names in files, runtimes and policies.
struct Architecture {
    suffix: &'static str,
    oci: &'static str,
    number: fn(&SyscallNumbers) -> Option<u32>,
}

const ARCHITECTURES: [Architecture; 2] = [
    Architecture { suffix: "x86_64", oci: "SCMP_ARCH_X86_64", number: |numbers| numbers.x86_64 },
    Architecture { suffix: "aarch64", oci: "SCMP_ARCH_AARCH64", number: |numbers| numbers.aarch64 },
];

/// `LinuxSeccomp` in the specification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    default_action: &'static str,
    default_errno_ret: u16,
    architectures: [&'static str; 1],
    syscalls: Vec<Rule<'a>>,
}

/// `LinuxSyscall`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule<'a> {
    names: Vec<&'a str>,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno_ret: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Argument>,
}

/// `LinuxSeccompArg`: `(argument & value) == value_two`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u32,
    value_two: u32,
    op: &'static str,
}

/// All seccomp files by path.
pub(super) fn emit(cell: &Cell<'_>) -> Result<Vec<(String, Artifact)>, EmitError> {
    let mut files = Vec::new();
    for sandbox in cell.policy.sandboxes.iter().filter(|sandbox| sandbox.pool.is_some()) {
        let from = cell.fields(&sandbox.from)?;
        for architecture in &ARCHITECTURES {
            let path = format!("seccomp/{}.{}.json", sandbox.name, architecture.suffix);
            let bytes = manifest::json(&path, &profile(&sandbox.syscalls, architecture))?;
            files.push((path, Artifact { bytes, target: Target::Seccomp, from: from.clone() }));
        }
    }
    for pool in cell.policy.pools.iter().filter(|pool| pool.backend == Backend::Native) {
        let within = |sandbox: &&Sandbox| sandbox.pool.as_ref() == Some(&pool.name);
        let sandboxes: Vec<_> = cell.policy.sandboxes.iter().filter(within).collect();
        if sandboxes.is_empty() {
            continue;
        }
        let from = cell.fields(pool.from.iter().chain(sandboxes.iter().flat_map(|sandbox| &sandbox.from)))?;
        let calls: Vec<_> = sandboxes.iter().map(|sandbox| &sandbox.syscalls).collect();
        let calls = syscalls::with_builder(&calls);
        for architecture in &ARCHITECTURES {
            let path = format!("seccomp/pool-{}.{}.json", pool.name, architecture.suffix);
            let bytes = manifest::json(&path, &profile(&calls, architecture))?;
            files.push((path, Artifact { bytes, target: Target::Seccomp, from: from.clone() }));
        }
    }
    Ok(files)
}

/// The profile on one architecture, without calls that it does not have, since not every runtime ignores
/// those.
fn profile<'a>(calls: &'a Syscalls, architecture: &Architecture) -> Profile<'a> {
    let here = |numbers: &SyscallNumbers| (architecture.number)(numbers).is_some();
    let allowed = || calls.allowed.iter().filter(|call| here(&call.numbers));
    let plain = allowed().filter(|call| call.when.is_empty()).map(|call| call.name.as_str()).collect();
    let mut rules = vec![Rule { names: plain, action: ALLOW, errno_ret: None, args: Vec::new() }];
    for call in allowed() {
        rules.extend(call.when.iter().map(|tests| Rule {
            names: vec![&call.name],
            action: ALLOW,
            errno_ret: None,
            args: tests.iter().map(argument).collect(),
        }));
    }
    let mut refused: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for call in calls.refused.iter().filter(|call| here(&call.numbers)) {
        refused.entry(call.errno).or_default().push(&call.name);
    }
    rules.extend(refused.into_iter().map(|(errno, names)| Rule {
        names,
        action: ERRNO,
        errno_ret: Some(errno),
        args: Vec::new(),
    }));
    // Some runtimes reject a rule without calls.
    rules.retain(|rule| !rule.names.is_empty());
    Profile {
        default_action: ERRNO,
        default_errno_ret: EPERM,
        architectures: [architecture.oci],
        syscalls: rules,
    }
}

fn argument(test: &ArgumentTest) -> Argument {
    Argument { index: test.index, value: test.mask, value_two: test.value, op: "SCMP_CMP_MASKED_EQ" }
}
