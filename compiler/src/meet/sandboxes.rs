//! The meet of pools and sandboxes, by name. One that only a single policy has is kept as that policy says,
//! since a ceiling applies by name.
//!
//! Permissions intersect: files, writable areas, devices, system calls, egress. Limits take the minimum, and
//! requirements add up. Properties without an order (backend, RuntimeClass, pool, language, the value of a
//! variable) must be equal. The pack that places a sandbox in a pool names all its variables; others may only
//! repeat them, since a variable can open what its absence closes (`GIT_SSH_COMMAND`).

use std::collections::BTreeMap;

use bailiwick_policy::policy::sandboxes::{AtLeast, Filesystem, Limits, Pool, Sandbox, Tmpfs, Workspace};
use bailiwick_policy::policy::{PodSecurity, Policy};

use super::provenance::united;
use super::{Conflict, Property, VariableFault, syscalls};
use crate::paths::{below, outermost};

/// Every property that must be equal and differs between two policies.
pub(super) fn conflicts(policies: &[Policy]) -> Vec<Conflict> {
    let mut out = Vec::new();
    let pools = policies.iter().flat_map(|policy| &policy.pools);
    let pools = |what, key: &dyn Fn(&Pool) -> String, out: &mut Vec<Conflict>| {
        differing(what, pools.clone().map(|pool| (pool.name.as_str(), key(pool))), out);
    };
    pools(Property::Backend, &|pool| format!("{:?}", pool.backend), &mut out);
    pools(Property::RuntimeClass, &|pool| pool.runtime_class.clone(), &mut out);
    pools(Property::PodSecurityVersion, &|pool| pool.pod_security.minor.to_string(), &mut out);
    let sandboxes = policies.iter().flat_map(|policy| &policy.sandboxes);
    let placed = sandboxes.clone().filter_map(|one| Some((one.name.as_str(), one.pool.clone()?)));
    differing(Property::Pool, placed, &mut out);
    let runtimes = sandboxes.clone().map(|one| (one.name.as_str(), format!("{:?}", one.runtime)));
    differing(Property::Runtime, runtimes, &mut out);
    out.extend(foreign_variables(policies));
    let variables: Vec<((&str, &str), &str)> = sandboxes
        .flat_map(|one| {
            one.environment.iter().map(|(name, value)| ((one.name.as_str(), name.as_str()), value.as_str()))
        })
        .collect();
    let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (variable, value) in variables {
        if *seen.entry(variable).or_insert(value) != value {
            out.push(disagreed(variable.0, variable.1, VariableFault::Values));
        }
    }
    out
}

/// The variables that a policy which places their sandbox does not name, and another one does.
fn foreign_variables(policies: &[Policy]) -> Vec<Conflict> {
    let sandboxes: Vec<&Sandbox> = policies.iter().flat_map(|policy| &policy.sandboxes).collect();
    let names =
        |sandbox: &Sandbox, variable: &str| sandbox.environment.iter().any(|(name, _)| name == variable);
    let mut out = Vec::new();
    for sandbox in &sandboxes {
        let placers = || sandboxes.iter().filter(|other| other.pool.is_some() && other.name == sandbox.name);
        for (variable, _) in &sandbox.environment {
            if placers().all(|placer| names(placer, variable)) {
                continue;
            }
            let fault = if placers().any(|placer| names(placer, variable)) {
                VariableFault::NotInEveryPlacer
            } else {
                VariableFault::OnlyInCeiling
            };
            out.push(disagreed(&sandbox.name, variable, fault));
        }
    }
    out
}

fn disagreed(sandbox: &str, variable: &str, fault: VariableFault) -> Conflict {
    Conflict::Variable { sandbox: sandbox.to_owned(), variable: variable.to_owned(), fault }
}

fn differing<'a>(what: Property, values: impl Iterator<Item = (&'a str, String)>, out: &mut Vec<Conflict>) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in values {
        if *seen.entry(name).or_insert_with(|| value.clone()) != value {
            out.push(Conflict::Differs { name: name.to_owned(), what });
        }
    }
}

/// Meets what both have and keeps what only one has.
fn by_name<T>(a: Vec<T>, b: Vec<T>, name: fn(&T) -> &str, meet: impl Fn(T, T) -> T) -> Vec<T> {
    let mut out: BTreeMap<String, T> = BTreeMap::new();
    for one in a.into_iter().chain(b) {
        let key = name(&one).to_owned();
        let met = match out.remove(&key) {
            Some(other) => meet(other, one),
            None => one,
        };
        out.insert(key, met);
    }
    out.into_values().collect()
}

pub(super) fn pools(a: Vec<Pool>, b: Vec<Pool>) -> Vec<Pool> {
    by_name(
        a,
        b,
        |pool| &pool.name,
        |a, b| Pool {
            pod_security: PodSecurity {
                level: a.pod_security.level.max(b.pod_security.level),
                minor: a.pod_security.minor,
            },
            user_namespace: a.user_namespace.max(b.user_namespace),
            cgroup: a.cgroup.min(b.cgroup),
            cpus_milli: a.cpus_milli.min(b.cpus_milli),
            memory_bytes: a.memory_bytes.min(b.memory_bytes),
            from: united(a.from, b.from),
            ..a
        },
    )
}

pub(super) fn meet(a: Vec<Sandbox>, b: Vec<Sandbox>) -> Vec<Sandbox> {
    by_name(
        a,
        b,
        |sandbox| &sandbox.name,
        |a, b| Sandbox {
            pool: a.pool.or(b.pool),
            filesystem: filesystem(a.filesystem, &b.filesystem),
            egress: a.egress.into_iter().filter(|rule| b.egress.contains(rule)).collect(),
            syscalls: syscalls::meet(&a.syscalls, &b.syscalls),
            limits: limits(&a.limits, &b.limits),
            at_least: at_least(&a.at_least, &b.at_least),
            environment: a.environment.into_iter().chain(b.environment).collect(),
            from: united(a.from, b.from),
            ..a
        },
    )
}

fn filesystem(a: Filesystem, b: &Filesystem) -> Filesystem {
    Filesystem {
        read_only: common(&a.read_only, &b.read_only),
        writable: a.writable.iter().filter_map(|one| area(one, &b.writable)).collect(),
        workspace: a.workspace.zip(b.workspace.as_ref()).and_then(|(a, b)| workspace(a, b)),
        proc: a.proc.min(b.proc),
        devices: a.devices.into_iter().filter(|device| b.devices.contains(device)).collect(),
    }
}

/// The paths that are within a path of each list.
fn common(a: &[String], b: &[String]) -> Vec<String> {
    let within = |inner: &[String], outer: &[String]| -> Vec<String> {
        inner.iter().filter(|path| outer.iter().any(|root| below(path, root))).cloned().collect()
    };
    outermost([within(a, b), within(b, a)].concat())
}

/// Both policies must make the area writable at the same place: a part of one area is not an area of the
/// other.
fn area(one: &Tmpfs, others: &[Tmpfs]) -> Option<Tmpfs> {
    let other = others.iter().find(|other| other.path == one.path)?;
    Some(Tmpfs {
        path: one.path.clone(),
        size_bytes: one.size_bytes.min(other.size_bytes),
        inodes: one.inodes.min(other.inodes),
    })
}

fn workspace(a: Workspace, b: &Workspace) -> Option<Workspace> {
    (a.path == b.path).then(|| Workspace {
        size_bytes: a.size_bytes.min(b.size_bytes),
        inodes: a.inodes.min(b.inodes),
        lifetime: a.lifetime.min(b.lifetime),
        durable: a.durable || b.durable,
        ..a
    })
}

fn limits(a: &Limits, b: &Limits) -> Limits {
    Limits {
        wall_clock_ms: a.wall_clock_ms.min(b.wall_clock_ms),
        cpu_time_ms: a.cpu_time_ms.min(b.cpu_time_ms),
        cpus_milli: a.cpus_milli.min(b.cpus_milli),
        memory_bytes: a.memory_bytes.min(b.memory_bytes),
        processes: a.processes.min(b.processes),
        open_files: a.open_files.min(b.open_files),
        file_size_bytes: a.file_size_bytes.min(b.file_size_bytes),
        output_bytes: a.output_bytes.min(b.output_bytes),
    }
}

fn at_least(a: &AtLeast, b: &AtLeast) -> AtLeast {
    AtLeast {
        memory: a.memory.min(b.memory),
        processes: a.processes.min(b.processes),
        cpus: a.cpus.min(b.cpus),
        cpu_time: a.cpu_time.min(b.cpu_time),
        proc: a.proc.min(b.proc),
    }
}

pub(super) fn canonical(policy: &mut Policy) {
    policy.pools.sort_by(|a, b| a.name.cmp(&b.name));
    for pool in &mut policy.pools {
        pool.from = united(std::mem::take(&mut pool.from), Vec::new());
    }
    policy.sandboxes.sort_by(|a, b| a.name.cmp(&b.name));
    for sandbox in &mut policy.sandboxes {
        sandbox.from = united(std::mem::take(&mut sandbox.from), Vec::new());
        let files = &mut sandbox.filesystem;
        files.read_only = outermost(std::mem::take(&mut files.read_only));
        files.writable.sort();
        files.devices.sort();
        files.devices.dedup();
        sandbox.environment.sort();
        sandbox.environment.dedup();
        if sandbox.egress.is_empty() {
            syscalls::without_network(&mut sandbox.syscalls);
        }
        sandbox.syscalls = syscalls::canonical(&sandbox.syscalls);
    }
}
