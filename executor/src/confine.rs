//! Turns a sandbox of the policy into what the kernel side enforces: paths of this machine, limits,
//! environment, filter.
//!
//! The policy decides the content; this module adds only what depends on the machine: that `/bin` is a link
//! into `/usr`, and how a limit is enforced without a cgroup. What the machine cannot enforce as exactly as
//! the policy asks is a [`Refused`], never a weaker sandbox.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bailiwick_policy::policy::sandboxes::{Enforcement, Filesystem, Proc, Sandbox};
use bailiwick_sys::probe::Missing;
use bailiwick_sys::profile::Proc as SysProc;
use bailiwick_sys::profile::{Binding, CgroupLimits, Device, Link, Profile, Rlimits, Tmpfs};
use thiserror::Error;

use crate::filter;
use crate::host::Host;

/// The search path for programs. The compiler refuses a sandbox that can write to either folder.
const PATH: &str = "/usr/bin:/bin";

/// Home of a sandbox without a workspace: nothing can be written there.
const NOWHERE: &str = "/nonexistent";

/// The process that holds the sandbox's namespaces counts against the cgroup's limit, but not against the
/// pack's.
const HOLDERS: u64 = 1;

/// Why a sandbox is unavailable here.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Refused {
    #[error("sandbox `{sandbox}`: `{path}` is not on this machine: {source}")]
    Missing { sandbox: String, path: String, source: io::Error },
    #[error(
        "sandbox `{sandbox}`: `{path}` leads to `{target}` on this machine, which the policy does not name"
    )]
    LeadsOut { sandbox: String, path: String, target: String },
    #[error(
        "sandbox `{sandbox}` needs its limit on {limit} held for the whole sandbox, and this machine cannot: {reason}; give the executor {remedy}, or say `atLeast: {{{key}: {weakest}}}` in the pack"
    )]
    TooWeak {
        sandbox: String,
        limit: &'static str,
        key: &'static str,
        weakest: &'static str,
        reason: String,
        remedy: String,
    },
    #[error(
        "sandbox `{sandbox}` runs in a pool of backend `Pod`, where the pod is the sandbox; this executor makes sandboxes itself"
    )]
    Backend { sandbox: String },
    #[error(
        "sandbox `{sandbox}` may connect to {count} egress rules, and this executor has no network for sandboxes yet"
    )]
    Egress { sandbox: String, count: usize },
    #[error("sandbox `{sandbox}` has a variable `{name}`, which the executor sets itself")]
    Variable { sandbox: String, name: String },
    #[error("sandbox `{sandbox}`: {source}")]
    Filter { sandbox: String, source: filter::FilterError },
}

impl Refused {
    /// The setting that helps.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Missing { path, .. } => {
                format!("`{path}` on this machine or in this image, or no `{path}` in the pack")
            }
            Self::LeadsOut { path, target, .. } => {
                format!("`{target}` beside `{path}` in the pack, or instead of it")
            }
            Self::TooWeak { key, weakest, remedy, .. } => {
                format!("{remedy}; or `atLeast: {{{key}: {weakest}}}` in the pack")
            }
            Self::Backend { .. } => "a pool of backend `Native` for it, in the pack".to_owned(),
            Self::Egress { .. } => "no `egress` of this sandbox in the pack".to_owned(),
            Self::Variable { name, .. } => format!("no `{name}` in the sandbox's `environment`, in the pack"),
            Self::Filter { .. } => {
                "the pack compiled anew, for this machine's architecture and by this version".to_owned()
            }
        }
    }
}

/// The profile of a sandbox on this machine.
///
/// # Errors
/// The sandbox needs something that this machine lacks.
pub fn profile(sandbox: &Sandbox, host: &Host) -> Result<Profile, Refused> {
    if !sandbox.egress.is_empty() {
        return Err(Refused::Egress { sandbox: sandbox.name.clone(), count: sandbox.egress.len() });
    }
    let files = &sandbox.filesystem;
    let (read_only, links) = visible(sandbox, files)?;
    let workspace = files.workspace.as_ref().map(|workspace| PathBuf::from(&workspace.path));
    let home = workspace.clone().unwrap_or_else(|| PathBuf::from(NOWHERE));
    let (cgroup, rlimits) = limits(sandbox, host)?;
    let proc = match files.proc {
        Proc::None => SysProc::None,
        Proc::Own if host.found().own_proc => SysProc::Own,
        Proc::Own => {
            let refusal = host.refusal(Missing::OwnProc);
            weaker(sandbox, "its own /proc", "proc", sandbox.at_least.proc, refusal)?;
            SysProc::None
        }
    };
    let environment = environment(sandbox, &home)?;
    let writable: Vec<Tmpfs> = files
        .writable
        .iter()
        .map(|tmpfs| Tmpfs { path: (&tmpfs.path).into(), size_bytes: tmpfs.size_bytes, inodes: tmpfs.inodes })
        .collect();
    Ok(Profile {
        read_only,
        links,
        devices: files.devices.iter().filter_map(|name| device(name)).collect(),
        writable,
        working_directory: workspace.clone().unwrap_or_else(|| PathBuf::from("/")),
        workspace,
        proc,
        environment,
        rlimits,
        cgroup,
        filter: filter::program(&sandbox.syscalls)
            .map_err(|source| Refused::Filter { sandbox: sandbox.name.clone(), source })?,
        ..Profile::default()
    })
}

/// The variables of the sandbox and the executor's own. A bundle that names one of those was not compiled by
/// this version, and its author expects another value.
fn environment(sandbox: &Sandbox, home: &Path) -> Result<BTreeMap<String, String>, Refused> {
    let mut all: BTreeMap<String, String> = sandbox.environment.iter().cloned().collect();
    for (name, value) in [("PATH", PATH.to_owned()), ("HOME", home.to_string_lossy().into_owned())] {
        if all.insert(name.to_owned(), value).is_some() {
            return Err(Refused::Variable { sandbox: sandbox.name.clone(), name: name.to_owned() });
        }
    }
    Ok(all)
}

fn device(name: &str) -> Option<Device> {
    [Device::Null, Device::Zero, Device::Full, Device::Random, Device::Urandom]
        .into_iter()
        .find(|device| device.name() == name)
}

/// The machine's files that are visible inside. A path may be a link on this machine, such as `/bin` with a
/// merged `/usr`. It becomes the same link inside if its target is visible too; otherwise the target is bound
/// in its place.
///
/// A deeper path must not lead elsewhere: one pack may have allowed reading `/usr`, and another named
/// `/usr/lib/ssl/private`, which is a link to `/etc/ssl/private` on many machines. Packs are compared as
/// texts, so a link whose target none of them names is refused here.
fn visible(sandbox: &Sandbox, files: &Filesystem) -> Result<(Vec<Binding>, Vec<Link>), Refused> {
    let missing = |path: &str, source| Refused::Missing {
        sandbox: sandbox.name.clone(),
        path: path.to_owned(),
        source,
    };
    let (mut bindings, mut links) = (Vec::new(), Vec::new());
    for path in &files.read_only {
        let kind = fs::symlink_metadata(path).map_err(|source| missing(path, source))?;
        let source = fs::canonicalize(path).map_err(|source| missing(path, source))?;
        let inside = files.read_only.iter().any(|other| other != path && source.starts_with(other));
        if !inside
            && source != fs::canonicalize(top(path)).map_err(|source| missing(path, source))?.join(rest(path))
        {
            let target = source.display().to_string();
            return Err(Refused::LeadsOut { sandbox: sandbox.name.clone(), path: path.clone(), target });
        }
        if kind.file_type().is_symlink() && inside && Path::new(path).parent() == Some(Path::new("/")) {
            let target = fs::read_link(path).map_err(|source| missing(path, source))?;
            links.push(Link { path: path.into(), target });
        } else {
            bindings.push(Binding { source, target: path.into() });
        }
    }
    Ok((bindings, links))
}

/// `/usr` of `/usr/lib/ssl`.
fn top(path: &str) -> &str {
    let top = path.strip_suffix(rest(path)).unwrap_or(path).trim_end_matches('/');
    if top.is_empty() { "/" } else { top }
}

/// `lib/ssl` of `/usr/lib/ssl`; nothing of `/usr`.
fn rest(path: &str) -> &str {
    path.trim_start_matches('/').split_once('/').map_or("", |(_, rest)| rest)
}

fn limits(sandbox: &Sandbox, host: &Host) -> Result<(CgroupLimits, Rlimits), Refused> {
    let (limits, least) = (&sandbox.limits, &sandbox.at_least);
    let mut rlimits = Rlimits {
        open_files: limits.open_files,
        file_size_bytes: limits.file_size_bytes,
        // A second line of defence: the sandbox's own limit is watched from outside.
        cpu_seconds: Some(limits.cpu_time_ms.div_ceil(1000).saturating_add(1)),
        processes: None,
        address_space_bytes: None,
    };
    let processes = limits.processes.saturating_add(HOLDERS);
    if host.limits() {
        let cgroup = CgroupLimits {
            memory_bytes: Some(limits.memory_bytes),
            processes: Some(processes),
            cpu_milli: Some(limits.cpus_milli),
        };
        return Ok((cgroup, rlimits));
    }
    let refusal = || host.refusal(Missing::Cgroup);
    if weaker(sandbox, "memory", "memory", least.memory, refusal())? == Enforcement::Rlimit {
        rlimits.address_space_bytes = Some(limits.memory_bytes);
    }
    if weaker(sandbox, "processes", "processes", least.processes, refusal())? == Enforcement::Rlimit {
        rlimits.processes = Some(processes);
    }
    weaker(sandbox, "cpus", "cpus", least.cpus, refusal())?;
    weaker(sandbox, "cpuTime", "cpuTime", least.cpu_time, refusal())?;
    Ok((CgroupLimits::default(), rlimits))
}

/// What the policy allows in place of an exact limit; a limit that must be exact is refused.
fn weaker(
    sandbox: &Sandbox,
    limit: &'static str,
    key: &'static str,
    allowed: Enforcement,
    (reason, remedy): (String, String),
) -> Result<Enforcement, Refused> {
    if allowed == Enforcement::Exact {
        let weakest = match key {
            "memory" | "processes" | "cpuTime" => "Rlimit",
            _ => "BestEffort",
        };
        return Err(Refused::TooWeak { sandbox: sandbox.name.clone(), limit, key, weakest, reason, remedy });
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;

    fn sandbox(read_only: &[String], environment: &[(&str, &str)]) -> Sandbox {
        let files =
            json!({"readOnly": read_only, "writable": [], "workspace": null, "proc": "None", "devices": []});
        serde_json::from_value(json!({
            "name": "shell", "pool": "warm", "runtime": null, "egress": [], "environment": environment, "from": [],
            "filesystem": files, "syscalls": {"allowed": [], "refused": []},
            "limits": {"wallClockMs": 1, "cpuTimeMs": 1, "cpusMilli": 1, "memoryBytes": 1, "processes": 1, "openFiles": 1,
                "fileSizeBytes": 1, "outputBytes": 1},
            "atLeast": {"memory": "Exact", "processes": "Exact", "cpus": "Exact", "cpuTime": "Exact", "proc": "Exact"},
        }))
        .unwrap()
    }

    fn reading(paths: &[String]) -> Result<Vec<Binding>, Refused> {
        let sandbox = sandbox(paths, &[]);
        visible(&sandbox, &sandbox.filesystem).map(|(bindings, _)| bindings)
    }

    #[test]
    fn variables_that_the_executor_sets_are_refused_in_a_bundle() {
        let home = Path::new("/work");
        let all = environment(&sandbox(&[], &[("LANG", "C")]), home).unwrap();
        let all: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(all, [("HOME", "/work"), ("LANG", "C"), ("PATH", "/usr/bin:/bin")]);
        for name in ["PATH", "HOME"] {
            let found = environment(&sandbox(&[], &[(name, "/tmp")]), home);
            assert!(matches!(found, Err(Refused::Variable { name: of, .. }) if of == name));
        }
    }

    #[test]
    fn a_path_that_leads_to_what_no_pack_names_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| fs::canonicalize(folder.path()).unwrap().join(name).display().to_string();
        for name in ["open", "closed"] {
            fs::create_dir(at(name)).unwrap();
        }
        symlink(at("closed"), at("open/link")).unwrap();
        assert!(
            matches!(reading(&[at("open/link")]), Err(Refused::LeadsOut { target, .. }) if target == at("closed"))
        );
        // A link to a path that is named counts as its target, and a folder as itself.
        assert_eq!(reading(&[at("open/link"), at("closed")]).unwrap().len(), 2);
        assert_eq!(reading(&[at("open")]).unwrap().len(), 1);
    }

    #[test]
    fn a_path_has_a_first_part_and_a_rest() {
        for (path, first, others) in
            [("/usr/lib/ssl", "/usr", "lib/ssl"), ("/usr", "/usr", ""), ("/", "/", "")]
        {
            assert_eq!((top(path), rest(path)), (first, others));
        }
    }
}
