//! Sandboxes and pools under the ceilings of the same name, and what is kept in the audit log.

use bailiwick_policy::policy::narrower::implies;
use bailiwick_policy::policy::sandboxes::{
    AllowedSyscall, AtLeast, Enforcement, Filesystem, Limits, Pool, Sandbox, Workspace,
};
use bailiwick_policy::policy::tools::Audit;
use bailiwick_policy::policy::{Origin, Stated};

use super::Pair;
use crate::diagnostic::Diagnostic;
use crate::paths::below;

/// Something in which the child goes beyond the parent: the member below the sandbox, and what is to be said.
type Excess = (String, String);

impl Pair<'_> {
    pub(super) fn sandboxes(&self, out: &mut Vec<Diagnostic>) {
        for mine in &self.child.sandboxes {
            let Some(theirs) = self.parent.sandboxes.iter().find(|theirs| theirs.name == mine.name) else {
                continue;
            };
            let mut found = files(&mine.filesystem, &theirs.filesystem);
            found.extend(system_calls(mine, theirs));
            found.extend(limits(&mine.limits, &theirs.limits));
            found.extend(at_least(&mine.at_least, &theirs.at_least));
            found.extend(mine.egress.iter().filter(|rule| !theirs.egress.contains(rule)).map(|rule| {
                ("network.egress".to_owned(), format!("egress rule `{rule}` is not allowed there"))
            }));
            self.excesses(&mine.from, &theirs.from, &format!("sandbox `{}`", mine.name), found, out);
        }
        for mine in &self.child.pools {
            let Some(theirs) = self.parent.pools.iter().find(|theirs| theirs.name == mine.name) else {
                continue;
            };
            self.excesses(
                &mine.from,
                &theirs.from,
                &format!("pool `{}`", mine.name),
                pool(mine, theirs),
                out,
            );
        }
        if let (Some(mine), Some(theirs)) = (&self.child.audit, &self.parent.audit) {
            self.audit(mine, theirs, out);
        }
    }

    fn excesses(
        &self,
        mine: &[Origin],
        theirs: &[Origin],
        what: &str,
        found: Vec<Excess>,
        out: &mut Vec<Diagnostic>,
    ) {
        let place = |from: &[Origin]| from.first().map(|origin| origin.at.clone()).unwrap_or_default();
        for (member, message) in found {
            // The parent's own member may be absent, and then its default holds: the list index is the child's alone.
            let there = member.split('[').next().unwrap_or_default();
            self.report(
                &format!("{}.{member}", place(mine)),
                &format!("{}.{there}", place(theirs)),
                format!("{what}: {message}"),
                out,
            );
        }
    }

    fn audit(&self, mine: &Stated<Audit>, theirs: &Stated<Audit>, out: &mut Vec<Diagnostic>) {
        let (one, other) = (mine.value, theirs.value);
        let shorter = match (one.retention_ms, other.retention_ms) {
            (Some(_), None) => true,
            (one, other) => one < other && one.is_some(),
        };
        let found = [
            ("arguments", one.arguments != other.arguments, "arguments are kept in another way there"),
            ("results", one.results != other.results, "results are kept in another way there"),
            ("retention", shorter, "records are kept longer there"),
        ];
        for (member, _, message) in found.into_iter().filter(|(_, excess, _)| *excess) {
            let at = format!("spec.audit.{member}");
            self.report(&at, &at, message.to_owned(), out);
        }
    }
}

fn excess(member: &str, message: impl Into<String>) -> Excess {
    (member.to_owned(), message.into())
}

fn files(mine: &Filesystem, theirs: &Filesystem) -> Vec<Excess> {
    let mut out = Vec::new();
    for path in mine.read_only.iter().filter(|path| !theirs.read_only.iter().any(|root| below(path, root))) {
        out.push(excess("filesystem.readOnly", format!("`{path}` cannot be read there")));
    }
    for area in &mine.writable {
        match theirs.writable.iter().find(|other| other.path == area.path) {
            None => {
                out.push(excess("filesystem.writable", format!("`{}` cannot be written there", area.path)));
            }
            Some(other) if area.size_bytes > other.size_bytes || area.inodes > other.inodes => {
                out.push(excess("filesystem.writable", format!("`{}` is smaller there", area.path)));
            }
            Some(_) => {}
        }
    }
    match (&mine.workspace, &theirs.workspace) {
        (Some(_), None) => out.push(excess("filesystem.workspace", "there is no workspace there")),
        (Some(mine), Some(theirs)) => {
            out.extend(workspace(mine, theirs).map(|what| excess("filesystem.workspace", what)));
        }
        (None, _) => {}
    }
    if mine.proc > theirs.proc {
        out.push(excess("filesystem.proc", "there is no /proc there"));
    }
    for device in mine.devices.iter().filter(|device| !theirs.devices.contains(device)) {
        out.push(excess("filesystem.devices", format!("the device `{device}` is not there")));
    }
    out
}

fn workspace(mine: &Workspace, theirs: &Workspace) -> Option<&'static str> {
    if mine.path != theirs.path {
        return Some("the workspace has another path there");
    }
    let wider = mine.size_bytes > theirs.size_bytes
        || mine.inodes > theirs.inodes
        || mine.lifetime > theirs.lifetime
        || (theirs.durable && !mine.durable);
    wider.then_some("the workspace is smaller, shorter or safer there")
}

fn system_calls(mine: &Sandbox, theirs: &Sandbox) -> Vec<Excess> {
    let wider = |call: &AllowedSyscall| match theirs.syscalls.allowed.iter().find(|one| one.name == call.name)
    {
        None => true,
        Some(other) if other.when.is_empty() => false,
        // Whatever the one lets through, some alternative of the other does.
        Some(other) => {
            call.when.is_empty()
                || !call.when.iter().all(|mine| other.when.iter().any(|theirs| implies(mine, theirs)))
        }
    };
    let names: Vec<&str> =
        mine.syscalls.allowed.iter().filter(|call| wider(call)).map(|call| call.name.as_str()).collect();
    /// Names that are shown of many.
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().checked_sub(SHOWN).filter(|more| *more > 0);
    let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
    let message = format!("system calls that are refused there: {}{more}", shown.join(", "));
    if names.is_empty() { Vec::new() } else { vec![excess("syscalls", message)] }
}

fn limits(mine: &Limits, theirs: &Limits) -> Vec<Excess> {
    let all = [
        ("wallClock", mine.wall_clock_ms, theirs.wall_clock_ms, "ms"),
        ("cpuTime", mine.cpu_time_ms, theirs.cpu_time_ms, "ms"),
        ("cpus", mine.cpus_milli, theirs.cpus_milli, "thousandths"),
        ("memory", mine.memory_bytes, theirs.memory_bytes, "bytes"),
        ("processes", mine.processes, theirs.processes, ""),
        ("openFiles", mine.open_files, theirs.open_files, ""),
        ("fileSize", mine.file_size_bytes, theirs.file_size_bytes, "bytes"),
        ("output", mine.output_bytes, theirs.output_bytes, "bytes"),
    ];
    let above = all.into_iter().filter(|(_, mine, theirs, _)| mine > theirs);
    above
        .map(|(name, mine, theirs, unit)| {
            let message = format!("`{name}` is {mine} {unit}, above {theirs} there");
            (format!("limits.{name}"), message.replace(" ,", ","))
        })
        .collect()
}

fn at_least(mine: &AtLeast, theirs: &AtLeast) -> Vec<Excess> {
    let all: [(&str, Enforcement, Enforcement); 5] = [
        ("memory", mine.memory, theirs.memory),
        ("processes", mine.processes, theirs.processes),
        ("cpus", mine.cpus, theirs.cpus),
        ("cpuTime", mine.cpu_time, theirs.cpu_time),
        ("proc", mine.proc, theirs.proc),
    ];
    let weaker = all.into_iter().filter(|(_, mine, theirs)| mine > theirs);
    weaker
        .map(|(name, mine, theirs)| {
            (
                format!("atLeast.{name}"),
                format!("{mine:?} will do for `{name}`, and {theirs:?} is asked for there"),
            )
        })
        .collect()
}

fn pool(mine: &Pool, theirs: &Pool) -> Vec<Excess> {
    let all = [
        (
            "podSecurity.level",
            mine.pod_security.level < theirs.pod_security.level,
            "the level is stricter there",
        ),
        ("userNamespace", mine.user_namespace < theirs.user_namespace, "a user namespace is required there"),
        ("cgroup", mine.cgroup > theirs.cgroup, "the cgroup cannot be written there"),
        ("resources.cpus", mine.cpus_milli > theirs.cpus_milli, "a pod has fewer CPUs there"),
        ("resources.memory", mine.memory_bytes > theirs.memory_bytes, "a pod has less memory there"),
    ];
    let excess = all.into_iter().filter(|(_, excess, _)| *excess);
    excess.map(|(member, _, message)| (member.to_owned(), message.to_owned())).collect()
}
