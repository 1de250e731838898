//! Sandboxes and pools under the ceilings of the same name, and the audit settings.

use bailiwick_policy::policy::narrower::implies;
use bailiwick_policy::policy::sandboxes::{
    AllowedSyscall, AtLeast, Enforcement, Filesystem, Limits, Pool, Sandbox, Workspace,
};
use bailiwick_policy::policy::tools::Audit;
use bailiwick_policy::policy::{Origin, Stated};

use super::Pair;
use super::written::{bytes, cpus, duration};
use crate::diagnostic::Diagnostic;
use crate::paths::below;

/// Something in which the child exceeds the parent: the member below the sandbox, and the message.
type Excess = (String, String);

impl Pair<'_> {
    pub(super) fn sandboxes(&self, out: &mut Vec<Diagnostic>) {
        let base = self.parent_name;
        for mine in &self.child.sandboxes {
            let Some(theirs) = self.parent.sandboxes.iter().find(|theirs| theirs.name == mine.name) else {
                continue;
            };
            let mut found = files(&mine.filesystem, &theirs.filesystem, base);
            found.extend(system_calls(mine, theirs, base));
            found.extend(limits(&mine.limits, &theirs.limits, base));
            found.extend(at_least(&mine.at_least, &theirs.at_least, base));
            found.extend(mine.egress.iter().filter(|rule| !theirs.egress.contains(rule)).map(|rule| {
                excess("network.egress", format!("`{base}` does not allow egress rule `{rule}`"))
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
                pool(mine, theirs, base),
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
            // The parent's own member may be absent, and then its default applies; the list index is that of
            // the child alone.
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
        let (one, other, base) = (mine.value, theirs.value, self.parent_name);
        let mut found = Vec::new();
        for (member, one, other) in
            [("arguments", one.arguments, other.arguments), ("results", one.results, other.results)]
        {
            if one != other {
                found.push((member, format!("`{member}` is {one:?}; `{base}` has {other:?}")));
            }
        }
        if let Some(kept) =
            one.retention_ms.filter(|kept| other.retention_ms.is_none_or(|other| *kept < other))
        {
            let least = other
                .retention_ms
                .map_or_else(|| "for ever".to_owned(), |ms| format!("for {}", duration(ms)));
            found.push((
                "retention",
                format!("`retention` is {}; `{base}` keeps records {least}", duration(kept)),
            ));
        }
        for (member, message) in found {
            let at = format!("spec.audit.{member}");
            self.report(&at, &at, message, out);
        }
    }
}

fn excess(member: &str, message: impl Into<String>) -> Excess {
    (member.to_owned(), message.into())
}

/// A value that exceeds the parent's maximum.
fn above(member: &str, mine: &str, most: &str, base: &str) -> Excess {
    excess(member, format!("`{member}` is {mine}; `{base}` allows at most {most}"))
}

fn files(mine: &Filesystem, theirs: &Filesystem, base: &str) -> Vec<Excess> {
    let mut out = Vec::new();
    for path in mine.read_only.iter().filter(|path| !theirs.read_only.iter().any(|root| below(path, root))) {
        out.push(excess("filesystem.readOnly", format!("`{path}` cannot be read in `{base}`")));
    }
    for area in &mine.writable {
        let path = &area.path;
        let message = match theirs.writable.iter().find(|other| other.path == *path) {
            None => format!("`{path}` cannot be written in `{base}`"),
            Some(other) if area.size_bytes > other.size_bytes => {
                let (size, most) = (bytes(area.size_bytes), bytes(other.size_bytes));
                format!("`{path}` has {size}; `{base}` allows at most {most}")
            }
            Some(other) if area.inodes > other.inodes => {
                format!("`{path}` has {} inodes; `{base}` allows at most {}", area.inodes, other.inodes)
            }
            Some(_) => continue,
        };
        out.push(excess("filesystem.writable", message));
    }
    match (&mine.workspace, &theirs.workspace) {
        (Some(_), None) => out.push(excess("filesystem.workspace", format!("`{base}` has no workspace"))),
        (Some(mine), Some(theirs)) => {
            out.extend(workspace(mine, theirs, base).map(|what| excess("filesystem.workspace", what)));
        }
        (None, _) => {}
    }
    if mine.proc > theirs.proc {
        out.push(excess("filesystem.proc", format!("`{base}` gives no /proc")));
    }
    for device in mine.devices.iter().filter(|device| !theirs.devices.contains(device)) {
        out.push(excess("filesystem.devices", format!("`{base}` does not give device `{device}`")));
    }
    out
}

fn workspace(mine: &Workspace, theirs: &Workspace, base: &str) -> Option<String> {
    if mine.path != theirs.path {
        return Some(format!("the workspace is at `{}`; in `{base}` it is at `{}`", mine.path, theirs.path));
    }
    if mine.size_bytes > theirs.size_bytes {
        let (size, most) = (bytes(mine.size_bytes), bytes(theirs.size_bytes));
        return Some(format!("the workspace has {size}; `{base}` allows at most {most}"));
    }
    if mine.inodes > theirs.inodes {
        let (inodes, most) = (mine.inodes, theirs.inodes);
        return Some(format!("the workspace has {inodes} inodes; `{base}` allows at most {most}"));
    }
    if mine.lifetime > theirs.lifetime {
        return Some(format!("the workspace lives for a session; in `{base}` it lives for a call"));
    }
    (theirs.durable && !mine.durable).then(|| format!("`{base}` requires the workspace to be durable"))
}

fn system_calls(mine: &Sandbox, theirs: &Sandbox, base: &str) -> Vec<Excess> {
    let wider = |call: &AllowedSyscall| match theirs.syscalls.allowed.iter().find(|one| one.name == call.name)
    {
        None => true,
        Some(other) if other.when.is_empty() => false,
        // Every alternative of the child must be contained in one of the parent.
        Some(other) => {
            call.when.is_empty()
                || !call.when.iter().all(|mine| other.when.iter().any(|theirs| implies(mine, theirs)))
        }
    };
    let names: Vec<&str> =
        mine.syscalls.allowed.iter().filter(|call| wider(call)).map(|call| call.name.as_str()).collect();
    /// How many of a long list of names are shown.
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().checked_sub(SHOWN).filter(|more| *more > 0);
    let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
    let message = format!("`{base}` refuses these system calls: {}{more}", shown.join(", "));
    if names.is_empty() { Vec::new() } else { vec![excess("syscalls", message)] }
}

/// How an amount is written.
type Written = fn(u64) -> String;

fn limits(mine: &Limits, theirs: &Limits, base: &str) -> Vec<Excess> {
    let number = |number: u64| number.to_string();
    let all: [(&str, u64, u64, Written); 8] = [
        ("limits.wallClock", mine.wall_clock_ms, theirs.wall_clock_ms, duration),
        ("limits.cpuTime", mine.cpu_time_ms, theirs.cpu_time_ms, duration),
        ("limits.cpus", mine.cpus_milli, theirs.cpus_milli, cpus),
        ("limits.memory", mine.memory_bytes, theirs.memory_bytes, bytes),
        ("limits.processes", mine.processes, theirs.processes, number),
        ("limits.openFiles", mine.open_files, theirs.open_files, number),
        ("limits.fileSize", mine.file_size_bytes, theirs.file_size_bytes, bytes),
        ("limits.output", mine.output_bytes, theirs.output_bytes, bytes),
    ];
    let higher = all.into_iter().filter(|(_, mine, theirs, _)| mine > theirs);
    higher
        .map(|(member, mine, theirs, written)| above(member, &written(mine), &written(theirs), base))
        .collect()
}

fn at_least(mine: &AtLeast, theirs: &AtLeast, base: &str) -> Vec<Excess> {
    let all: [(&str, Enforcement, Enforcement); 5] = [
        ("atLeast.memory", mine.memory, theirs.memory),
        ("atLeast.processes", mine.processes, theirs.processes),
        ("atLeast.cpus", mine.cpus, theirs.cpus),
        ("atLeast.cpuTime", mine.cpu_time, theirs.cpu_time),
        ("atLeast.proc", mine.proc, theirs.proc),
    ];
    let weaker = all.into_iter().filter(|(_, mine, theirs)| mine > theirs);
    weaker
        .map(|(member, mine, theirs)| {
            excess(member, format!("`{member}` is {mine:?}; `{base}` requires {theirs:?}"))
        })
        .collect()
}

fn pool(mine: &Pool, theirs: &Pool, base: &str) -> Vec<Excess> {
    let mut out = Vec::new();
    if mine.pod_security.level < theirs.pod_security.level {
        let (level, least) = (mine.pod_security.level, theirs.pod_security.level);
        let member = "podSecurity.level";
        out.push(excess(member, format!("`{member}` is {level:?}; `{base}` requires {least:?}")));
    }
    if mine.user_namespace < theirs.user_namespace {
        out.push(excess("userNamespace", format!("`{base}` requires a user namespace")));
    }
    if mine.cgroup > theirs.cgroup {
        out.push(excess(
            "cgroup",
            format!("`cgroup` is {:?}; `{base}` allows {:?}", mine.cgroup, theirs.cgroup),
        ));
    }
    if mine.cpus_milli > theirs.cpus_milli {
        out.push(above("resources.cpus", &cpus(mine.cpus_milli), &cpus(theirs.cpus_milli), base));
    }
    if mine.memory_bytes > theirs.memory_bytes {
        out.push(above("resources.memory", &bytes(mine.memory_bytes), &bytes(theirs.memory_bytes), base));
    }
    out
}
