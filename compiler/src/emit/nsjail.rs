//! A configuration of nsjail for each sandbox, as text proto by field name, since field numbers differ
//! between versions of nsjail.
//!
//! It says what the native sandbox does, as far as nsjail can; `docs/nsjail.md` lists the rest. Every field
//! that protects something is written, even with nsjail's default, so that a changed default does not change
//! the meaning. One trap no configuration can close: a read-only bind leaves file systems mounted below it
//! writable, unless nsjail is started with `--experimental_mnt new`. The head of the file says so.
//!
//! Terms. *Outer id*: the user and group of the sandbox on the host; no account has this id.

mod kafel;
mod text_proto;

use bailiwick_policy::policy::sandboxes::{Filesystem, Limits, Proc, Sandbox};

use self::text_proto::Message;
use super::EmitError;
use super::artifact::{Artifact, Target};
use super::cell::Cell;

/// The version that has these field names and this behaviour.
pub const NSJAIL_VERSION: &str = "3.6";

/// User and group inside.
const INNER_ID: &str = "1000";

/// User and group outside: no account has this id (`systemd.io/UIDS-GIDS` leaves 65520 to 65533 unused), and
/// it exists in a pod with 65536 ids.
const OUTER_ID: &str = "65533";

/// As in the executor.
const PATH: &str = "/usr/bin:/bin";
const NOWHERE: &str = "/nonexistent";

const MEBIBYTE: u64 = 1 << 20;

/// All configurations by path.
pub(super) fn emit(cell: &Cell<'_>) -> Result<Vec<(String, Artifact)>, EmitError> {
    let placed = cell.policy.sandboxes.iter().filter(|sandbox| sandbox.pool.is_some());
    placed
        .map(|sandbox| {
            let path = format!("nsjail/{}.cfg", sandbox.name);
            let bytes = configuration(cell, sandbox)?.into_bytes();
            Ok((path, Artifact { bytes, target: Target::Nsjail, from: cell.fields(&sandbox.from)? }))
        })
        .collect()
}

fn configuration(cell: &Cell<'_>, sandbox: &Sandbox) -> Result<String, EmitError> {
    for path in paths(&sandbox.filesystem) {
        let mut parts = path.split('/').skip(1);
        if !path.starts_with('/') || parts.any(|part| matches!(part, "" | "." | "..")) {
            return Err(EmitError::SandboxPath { sandbox: sandbox.name.clone(), path: path.clone() });
        }
    }
    let mut out = Message::new();
    head(&mut out, cell, sandbox);
    out.string("name", &sandbox.name);
    out.word("mode", "ONCE");
    out.string("hostname", "sandbox");
    let workspace = sandbox.filesystem.workspace.as_ref().map(|workspace| workspace.path.as_str());
    out.string("cwd", workspace.unwrap_or("/"));
    isolation(&mut out);
    environment(&mut out, sandbox, workspace.unwrap_or(NOWHERE));
    limits(&mut out, &sandbox.limits);
    mounts(&mut out, &sandbox.filesystem);
    for line in kafel::lines(&sandbox.syscalls) {
        out.string("seccomp_string", &line);
    }
    Ok(out.finish())
}

fn head(out: &mut Message, cell: &Cell<'_>, sandbox: &Sandbox) {
    out.comment(&format!(
        "Sandbox `{}` of {}, for nsjail {NSJAIL_VERSION}.",
        sandbox.name,
        cell.packs().join(" ")
    ));
    out.comment(&format!("Policy digest: sha256:{}", cell.digest));
    out.comment("Run: nsjail --config FILE --experimental_mnt new -- PROGRAM ARGUMENT...");
    out.comment(
        "Without `--experimental_mnt new`, file systems mounted below a read-only path stay writable.",
    );
    out.comment("On cgroup v1, the folders memory/NSJAIL, pids/NSJAIL and cpu/NSJAIL must be there.");
    if !sandbox.egress.is_empty() {
        out.comment("The sandbox's egress rules need the executor: under nsjail it has no network.");
    }
    if sandbox.filesystem.workspace.is_some() {
        out.comment("The workspace is empty at each start: sessions need the executor.");
    }
}

fn paths(files: &Filesystem) -> impl Iterator<Item = &String> {
    let workspace = files.workspace.iter().map(|workspace| &workspace.path);
    files.read_only.iter().chain(files.writable.iter().map(|area| &area.path)).chain(workspace)
}

/// Namespaces, identity, privileges.
fn isolation(out: &mut Message) {
    for namespace in ["net", "user", "ns", "pid", "ipc", "uts", "cgroup"] {
        out.flag(&format!("clone_new{namespace}"), true);
    }
    for map in ["uidmap", "gidmap"] {
        out.message(map, |map| {
            map.string("inside_id", INNER_ID);
            map.string("outside_id", OUTER_ID);
            map.number("count", 1);
            map.flag("use_newidmap", false);
        });
    }
    out.flag("keep_caps", false);
    out.flag("disable_no_new_privs", false);
    out.flag("skip_setsid", false);
    out.flag("no_pivotroot", false);
    out.flag("iface_no_lo", false);
    // The scheduler divides the CPU; the sandbox gives up none of its priority.
    out.number("nice_level", 0);
}

fn environment(out: &mut Message, sandbox: &Sandbox, home: &str) {
    out.flag("keep_env", false);
    let own = [("HOME", home), ("PATH", PATH)];
    let given = sandbox.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut all: Vec<_> = given.chain(own).collect();
    all.sort_unstable();
    for (name, value) in all {
        out.string("envar", &format!("{name}={value}"));
    }
}

/// Sets every limit of nsjail, whose defaults are 600 s, 32 files, 1 MiB files and 4 GiB of addresses. Only
/// whole units: time is rounded up, since 0 means no limit; file sizes are rounded down.
fn limits(out: &mut Message, limits: &Limits) {
    out.number("time_limit", limits.wall_clock_ms.div_ceil(1_000));
    out.word("rlimit_as_type", "INF");
    for (name, value) in [
        ("core", 0),
        // One more, as in the executor: the second line of defence.
        ("cpu", limits.cpu_time_ms.div_ceil(1_000).saturating_add(1)),
        ("fsize", limits.file_size_bytes / MEBIBYTE),
        ("nofile", limits.open_files),
        ("nproc", limits.processes),
        ("stack", 8),
        ("memlock", 64),
        ("rtprio", 0),
        ("msgqueue", 0),
    ] {
        out.number(&format!("rlimit_{name}"), value);
        out.word(&format!("rlimit_{name}_type"), "VALUE");
    }
    out.flag("disable_rl", false);
    out.flag("detect_cgroupv2", true);
    out.number("cgroup_mem_max", limits.memory_bytes);
    // No swap: memory that is swapped out still counts.
    out.number("cgroup_mem_swap_max", 0);
    out.number("cgroup_pids_max", limits.processes);
    out.number("cgroup_cpu_ms_per_sec", limits.cpus_milli);
}

/// The root is nsjail's own, an empty read-only tmpfs. Only device nodes are mounted without `nodev`,
/// otherwise they could not be opened.
fn mounts(out: &mut Message, files: &Filesystem) {
    out.flag("mount_proc", false);
    for path in &files.read_only {
        out.message("mount", |mount| {
            mount.string("src", path);
            mount.string("dst", path);
            mount.flag("is_bind", true);
            attributes(mount, &[("rw", false), ("nosuid", true), ("nodev", true)]);
        });
    }
    let workspace = files.workspace.iter().map(|area| (&area.path, area.size_bytes, area.inodes));
    let writable = files.writable.iter().map(|area| (&area.path, area.size_bytes, area.inodes));
    let mut areas: Vec<_> = writable.chain(workspace).collect();
    // A folder comes before what is inside it.
    areas.sort_unstable();
    for (path, size, inodes) in areas {
        out.message("mount", |mount| {
            mount.string("dst", path);
            mount.string("fstype", "tmpfs");
            mount.string("options", &format!("size={size},nr_inodes={inodes},mode=0755"));
            attributes(mount, &[("rw", true), ("nosuid", true), ("nodev", true)]);
        });
    }
    if files.proc == Proc::Own {
        out.message("mount", |mount| {
            mount.string("dst", "/proc");
            mount.string("fstype", "proc");
            attributes(mount, &[("rw", false), ("nosuid", true), ("nodev", true), ("noexec", true)]);
        });
    }
    for device in &files.devices {
        out.message("mount", |mount| {
            let path = format!("/dev/{device}");
            mount.string("src", &path);
            mount.string("dst", &path);
            mount.flag("is_bind", true);
            attributes(mount, &[("rw", false), ("nosuid", true), ("noexec", true)]);
        });
    }
}

fn attributes(mount: &mut Message, attributes: &[(&str, bool)]) {
    for (name, value) in attributes {
        mount.flag(name, *value);
    }
    mount.flag("mandatory", true);
}
