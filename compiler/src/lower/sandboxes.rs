//! Lowers pools and sandboxes to base units, with every default made explicit. The defaults are documented at
//! the wire fields.

use bailiwick_crds::sandbox::{
    AtLeast as WireAtLeast, Backend as WireBackend, Cgroup as WireCgroup, Enforcement as WireEnforcement,
    EnvironmentVariable, Filesystem as WireFilesystem, Language as WireLanguage, Lifetime as WireLifetime,
    Limits as WireLimits, Pool as WirePool, Proc as WireProc, Sandbox as WireSandbox,
    UserNamespace as WireUserNamespace, Workspace as WireWorkspace,
};
use bailiwick_policy::policy::sandboxes::{
    AtLeast, Backend, CgroupAccess, Enforcement, Filesystem, Language, Lifetime, Limits, Pool, Proc, Sandbox,
    Syscalls, Tmpfs, UserNamespace, Workspace,
};

use super::{Findings, Pack, base, isolation, origin};
use crate::check::{bw0231_syscall, bw0235_base_value};
use crate::diagnostic::{Diagnostic, FieldPath};
use crate::paths::outermost;
use crate::syscalls;

/// `limits.cpus` when absent, in thousandths.
const DEFAULT_CPUS_MILLI: u64 = 1_000;
/// `limits.openFiles` when absent.
const DEFAULT_OPEN_FILES: u64 = 256;
/// Bytes per inode for an area without an inode limit, and the fewest inodes allowed.
const BYTES_PER_INODE: u64 = 4 << 10;
const FEWEST_INODES: u64 = 16;
/// Variables that whatever runs a sandbox sets itself.
const SET: &[&str] = &["PATH", "HOME"];
/// Devices that a sandbox may have in `/dev`.
const DEVICES: &[&str] = &["full", "null", "random", "urandom", "zero"];

pub(super) fn pools(pack: &Pack, out: &mut Findings<'_>) -> Vec<Pool> {
    let at = FieldPath::spec().member("pools");
    let wire = pack.spec.pools.iter().flatten().enumerate();
    let mut pools: Vec<Pool> = wire.filter_map(|(index, wire)| pool(wire, &at.index(index), out)).collect();
    pools.sort_by(|a, b| a.name.cmp(&b.name));
    pools
}

fn pool(wire: &WirePool, at: &FieldPath, out: &mut Findings<'_>) -> Option<Pool> {
    let resources = at.member("resources");
    let (cpus_milli, memory_bytes) = (
        base::cpus(&wire.resources.cpus, &resources.member("cpus"), out),
        base::bytes(&wire.resources.memory, &resources.member("memory"), out),
    );
    Some(Pool {
        name: wire.name.clone(),
        backend: match wire.backend {
            WireBackend::Native => Backend::Native,
            WireBackend::Pod => Backend::Pod,
        },
        runtime_class: wire.runtime_class.clone(),
        pod_security: isolation::pod_security(&wire.pod_security, &at.member("podSecurity"), out)?,
        user_namespace: match wire.user_namespace {
            WireUserNamespace::Optional => UserNamespace::Optional,
            WireUserNamespace::Required => UserNamespace::Required,
        },
        cgroup: match wire.cgroup {
            WireCgroup::ReadOnly => CgroupAccess::ReadOnly,
            WireCgroup::Writable => CgroupAccess::Writable,
        },
        cpus_milli,
        memory_bytes,
        from: vec![origin(at)],
    })
}

pub(super) fn sandboxes(pack: &Pack, out: &mut Findings<'_>) -> Vec<Sandbox> {
    let at = FieldPath::spec().member("sandboxes");
    let wire = pack.spec.sandboxes.iter().flatten().enumerate();
    let mut sandboxes: Vec<Sandbox> =
        wire.map(|(index, wire)| sandbox(wire, &at.index(index), out)).collect();
    sandboxes.sort_by(|a, b| a.name.cmp(&b.name));
    sandboxes
}

fn sandbox(wire: &WireSandbox, at: &FieldPath, out: &mut Findings<'_>) -> Sandbox {
    let mut egress: Vec<String> = wire.network.iter().flat_map(|network| network.egress.clone()).collect();
    egress.sort();
    egress.dedup();
    Sandbox {
        name: wire.name.clone(),
        pool: wire.pool.clone(),
        runtime: wire.runtime.as_ref().map(|runtime| match runtime.language {
            WireLanguage::Python => Language::Python,
        }),
        filesystem: filesystem(&wire.filesystem, &at.member("filesystem"), out),
        egress,
        syscalls: system_calls(wire, &at.member("syscalls"), out),
        limits: limits(&wire.limits, &at.member("limits"), out),
        at_least: at_least(wire.at_least.as_ref()),
        environment: environment(&wire.environment, &at.member("environment"), out),
        from: vec![origin(at)],
    }
}

fn filesystem(wire: &WireFilesystem, at: &FieldPath, out: &mut Findings<'_>) -> Filesystem {
    let read_only = wire.read_only.iter().enumerate();
    let read_only =
        read_only.filter_map(|(index, path)| base::path(path, &at.member("readOnly").index(index), out));
    let read_only = outermost(read_only.collect());
    let mut writable: Vec<Tmpfs> = Vec::with_capacity(wire.writable.len());
    for (index, area) in wire.writable.iter().enumerate() {
        let at = at.member("writable").index(index);
        let Some(path) = base::path(&area.path, &at.member("path"), out) else { continue };
        let size_bytes = base::bytes(&area.size, &at.member("size"), out);
        writable.push(Tmpfs { path, size_bytes, inodes: inodes(area.inodes, size_bytes, &at, out) });
    }
    writable.sort();
    let mut devices = wire.devices.clone();
    for (index, name) in devices.iter().enumerate().filter(|(_, name)| !DEVICES.contains(&name.as_str())) {
        let at = at.member("devices").index(index);
        let message = format!("a sandbox cannot have the device `{name}`");
        let help = format!("there is `{}`", DEVICES.join("`, `"));
        out.push(Diagnostic::new(bw0235_base_value::CODE, at, message).with_help(help));
    }
    devices.sort();
    devices.dedup();
    Filesystem {
        read_only,
        writable,
        workspace: wire.workspace.as_ref().and_then(|wire| workspace(wire, &at.member("workspace"), out)),
        proc: match wire.proc {
            WireProc::None => Proc::None,
            WireProc::Own => Proc::Own,
        },
        devices,
    }
}

fn workspace(wire: &WireWorkspace, at: &FieldPath, out: &mut Findings<'_>) -> Option<Workspace> {
    let size_bytes = base::bytes(&wire.size, &at.member("size"), out);
    Some(Workspace {
        path: base::path(&wire.path, &at.member("path"), out)?,
        size_bytes,
        inodes: inodes(wire.inodes, size_bytes, at, out),
        lifetime: match wire.lifetime {
            WireLifetime::Call => Lifetime::Call,
            WireLifetime::Session => Lifetime::Session,
        },
        durable: wire.durable,
    })
}

fn inodes(wire: Option<i64>, size_bytes: u64, at: &FieldPath, out: &mut Findings<'_>) -> u64 {
    match wire {
        Some(inodes) => base::count(inodes, &at.member("inodes"), out),
        None => (size_bytes / BYTES_PER_INODE).max(FEWEST_INODES),
    }
}

fn system_calls(wire: &WireSandbox, at: &FieldPath, out: &mut Findings<'_>) -> Syscalls {
    let wire = &wire.syscalls;
    match syscalls::lower(wire.profile, &wire.add, &wire.remove) {
        Ok(syscalls) => syscalls,
        Err(errors) => {
            for error in errors {
                out.push(bw0231_syscall::diagnostic(&error, at));
            }
            Syscalls { allowed: Vec::new(), refused: Vec::new() }
        }
    }
}

fn limits(wire: &WireLimits, at: &FieldPath, out: &mut Findings<'_>) -> Limits {
    let wall_clock_ms = base::millis(&wire.wall_clock, &at.member("wallClock"), out);
    let cpus_milli = match &wire.cpus {
        Some(cpus) => base::cpus(cpus, &at.member("cpus"), out),
        None => DEFAULT_CPUS_MILLI,
    };
    let memory_bytes = base::bytes(&wire.memory, &at.member("memory"), out);
    Limits {
        wall_clock_ms,
        cpu_time_ms: match &wire.cpu_time {
            Some(time) => base::millis(time, &at.member("cpuTime"), out),
            None => (wall_clock_ms.saturating_mul(cpus_milli) / 1_000).max(1),
        },
        cpus_milli,
        memory_bytes,
        processes: base::count(wire.processes, &at.member("processes"), out),
        open_files: match wire.open_files {
            Some(files) => base::count(files, &at.member("openFiles"), out),
            None => DEFAULT_OPEN_FILES,
        },
        file_size_bytes: match &wire.file_size {
            Some(size) => base::bytes(size, &at.member("fileSize"), out),
            None => memory_bytes,
        },
        output_bytes: base::bytes(&wire.output, &at.member("output"), out),
    }
}

fn at_least(wire: Option<&WireAtLeast>) -> AtLeast {
    let of = |field: fn(&WireAtLeast) -> Option<WireEnforcement>| match wire.and_then(field) {
        None => Enforcement::Exact,
        Some(WireEnforcement::Rlimit) => Enforcement::Rlimit,
        Some(WireEnforcement::BestEffort) => Enforcement::BestEffort,
        Some(WireEnforcement::None) => Enforcement::None,
    };
    AtLeast {
        memory: of(|wire| wire.memory),
        processes: of(|wire| wire.processes),
        cpus: of(|wire| wire.cpus),
        cpu_time: of(|wire| wire.cpu_time),
        proc: of(|wire| wire.proc),
    }
}

fn environment(
    wire: &[EnvironmentVariable],
    at: &FieldPath,
    out: &mut Findings<'_>,
) -> Vec<(String, String)> {
    for (index, variable) in wire.iter().enumerate() {
        let mut bytes = variable.name.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if !first || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let message = format!("`{}` is not the name of a variable", variable.name.escape_debug());
            let help = "names are letters, digits and `_`, and do not begin with a digit";
            let at = at.index(index).member("name");
            out.push(Diagnostic::new(bw0235_base_value::CODE, at, message).with_help(help));
        }
        if SET.contains(&variable.name.as_str()) {
            let message = format!("`{}` of a sandbox is not the pack's to choose", variable.name);
            let help = "take it out: `PATH` is `/usr/bin:/bin`, and `HOME` is the workspace, or `/nonexistent` without one";
            let at = at.index(index).member("name");
            out.push(Diagnostic::new(bw0235_base_value::CODE, at, message).with_help(help));
        }
        if variable.value.contains('\0') {
            let at = at.index(index).member("value");
            out.push(Diagnostic::new(bw0235_base_value::CODE, at, "a variable cannot hold a zero byte"));
        }
    }
    let mut environment: Vec<(String, String)> =
        wire.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect();
    environment.sort();
    environment
}

#[cfg(test)]
mod tests {
    use crate::library::MemoryLibrary;
    use crate::parameters::Bindings;
    use crate::source::PackSources;

    #[test]
    fn variables_that_every_sandbox_has_are_not_the_packs_to_choose() {
        let said = |name: &str| {
            let text = format!(
                "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: p-1.0.0}}\nspec:\n  pack: p\n  version: 1.0.0\n  \
                 sandboxes: [{{name: shell, filesystem: {{readOnly: [/usr]}}, syscalls: {{profile: Shell}}, \
                 limits: {{wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}, environment: [{{name: {name}, value: /usr/bin}}]}}]\n"
            );
            let sources = PackSources::single(text.into_bytes());
            let compiled = crate::compile(&[(&sources, Bindings::default())], &MemoryLibrary::default());
            compiled.all().map(|found| format!("{} {}", found.code, found.at)).collect::<Vec<_>>()
        };
        for name in ["PATH", "HOME"] {
            assert!(
                said(name).contains(&"BW0235 spec.sandboxes[0].environment[0].name".to_owned()),
                "{name}"
            );
        }
        assert!(!said("LANG").iter().any(|found| found.starts_with("BW0235")));
    }
}
