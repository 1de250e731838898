//! Whether one sandbox provably allows no more than another.
//!
//! Provably: what cannot be compared counts as wider. Nothing is made here, unlike in the meet; two sandboxes
//! are compared as they are, and the first thing in which one allows more is named.
//!
//! Terms. *Inner*: the sandbox that should be the narrower one. *Outer*: the sandbox in whose place it should
//! run calls.

use std::collections::BTreeMap;

use super::sandboxes::{AllowedSyscall, ArgumentTest, AtLeast, Filesystem, Limits, Proc, Sandbox, Syscalls};

/// The first thing in which `inner` allows more than `outer`, or cannot be compared with it. `None`: it
/// allows no more.
#[must_use]
pub fn wider(inner: &Sandbox, outer: &Sandbox) -> Option<&'static str> {
    // Every field is named, so that a new field must be compared before this compiles.
    let Sandbox {
        name: _,
        from: _,
        pool,
        runtime,
        filesystem,
        egress,
        syscalls,
        limits,
        at_least,
        environment,
    } = inner;
    let place = match () {
        () if *pool != outer.pool => Some("it runs in another pool"),
        () if *runtime != outer.runtime => Some("it has another runtime"),
        // A variable can open what its absence closes, and the reverse.
        () if *environment != outer.environment => Some("its environment is another one"),
        () if !egress.iter().all(|rule| outer.egress.contains(rule)) => Some("it reaches other hosts"),
        () => None,
    };
    place
        .or_else(|| files(filesystem, &outer.filesystem))
        .or_else(|| calls(syscalls, &outer.syscalls))
        .or_else(|| higher(limits, &outer.limits))
        .or_else(|| looser(at_least, &outer.at_least))
}

/// Whether a canonical path is this folder or is below it. `..` never is.
#[must_use]
pub fn below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    path.starts_with('/')
        && !path.split('/').any(|part| part == "..")
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn files(inner: &Filesystem, outer: &Filesystem) -> Option<&'static str> {
    let Filesystem { read_only, writable, workspace, proc, devices } = inner;
    // A path below a root can be a link that leads out of it, on a machine that is not known here.
    if !read_only.iter().all(|path| outer.read_only.contains(path)) {
        return Some("it reads other files");
    }
    let own = mounts(inner);
    // Whatever is over or under a path in one must be so in the other.
    let covers = |mount: &str| {
        let places = read_only.iter().map(String::as_str).chain(own.iter().copied());
        !own.contains(&mount) && places.into_iter().any(|place| below(mount, place) || below(place, mount))
    };
    if mounts(outer).into_iter().any(covers) {
        return Some("it reads files that are covered there");
    }
    let bares = |root: &String| !read_only.contains(root) && own.iter().any(|mount| below(root, mount));
    if outer.read_only.iter().any(bares) {
        return Some("it writes where there are files of the image");
    }
    // Programs start in the workspace, and rules judge a relative path as one below it; a session has only
    // one workspace.
    if *workspace != outer.workspace {
        return Some("its workspace is another one");
    }
    let area = |path: &str| outer.writable.iter().find(|other| other.path == path);
    let writes = writable.iter().all(|one| {
        area(&one.path).is_some_and(|other| one.size_bytes <= other.size_bytes && one.inodes <= other.inodes)
    });
    if !writes {
        return Some("it writes other files, or more of them");
    }
    if *proc > outer.proc || !devices.iter().all(|device| outer.devices.contains(device)) {
        return Some("it sees processes or devices that are not there");
    }
    None
}

/// Where something is mounted over the files of the image.
fn mounts(files: &Filesystem) -> Vec<&str> {
    let areas = files.writable.iter().map(|area| area.path.as_str());
    let workspace = files.workspace.iter().map(|workspace| workspace.path.as_str());
    let proc = (files.proc == Proc::Own).then_some("/proc");
    let devices = (!files.devices.is_empty()).then_some("/dev");
    areas.chain(workspace).chain(proc).chain(devices).collect()
}

fn calls(inner: &Syscalls, outer: &Syscalls) -> Option<&'static str> {
    // A call that fails with its own error fails just like one in neither list.
    let Syscalls { allowed, refused: _ } = inner;
    let theirs: BTreeMap<&str, &AllowedSyscall> =
        outer.allowed.iter().map(|call| (call.name.as_str(), call)).collect();
    let goes_through = |call: &AllowedSyscall| {
        theirs.get(call.name.as_str()).is_some_and(|other| {
            let some = !call.when.is_empty()
                && call.when.iter().all(|mine| other.when.iter().any(|theirs| implies(mine, theirs)));
            call.numbers == other.numbers && (other.when.is_empty() || some)
        })
    };
    (!allowed.iter().all(goes_through)).then_some("its system calls are others")
}

/// Whether the second allows every argument list that the first allows. A test of bits outside its mask never
/// holds, so nothing implies it.
#[must_use]
pub fn implies(first: &[ArgumentTest], second: &[ArgumentTest]) -> bool {
    second.iter().all(|test| {
        if !test.can_hold() {
            return false;
        }
        let narrower = |one: &ArgumentTest| {
            one.index == test.index
                && one.mask & test.mask == test.mask
                && one.value & test.mask == test.value & test.mask
        };
        test.mask == 0 || first.iter().any(narrower)
    })
}

fn higher(inner: &Limits, outer: &Limits) -> Option<&'static str> {
    let Limits {
        wall_clock_ms,
        cpu_time_ms,
        cpus_milli,
        memory_bytes,
        processes,
        open_files,
        file_size_bytes,
        output_bytes,
    } = *inner;
    let within = wall_clock_ms <= outer.wall_clock_ms
        && cpu_time_ms <= outer.cpu_time_ms
        && cpus_milli <= outer.cpus_milli
        && memory_bytes <= outer.memory_bytes
        && processes <= outer.processes
        && open_files <= outer.open_files
        && file_size_bytes <= outer.file_size_bytes
        && output_bytes <= outer.output_bytes;
    (!within).then_some("its limits are higher")
}

fn looser(inner: &AtLeast, outer: &AtLeast) -> Option<&'static str> {
    let AtLeast { memory, processes, cpus, cpu_time, proc } = *inner;
    let as_strict = memory <= outer.memory
        && processes <= outer.processes
        && cpus <= outer.cpus
        && cpu_time <= outer.cpu_time
        && proc <= outer.proc;
    (!as_strict).then_some("its limits need not be held as exactly")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sandbox(edit: &[(&str, Value)]) -> Sandbox {
        let mut value = json!({
            "name": "shell", "pool": "warm", "runtime": null, "egress": ["web"], "environment": [["LANG", "C"]], "from": [],
            "filesystem": {"readOnly": ["/bin", "/usr"], "writable": [{"path": "/usr/tmp", "sizeBytes": 9, "inodes": 9}], "proc": "Own",
                "devices": ["null"],
                "workspace": {"path": "/work", "sizeBytes": 9, "inodes": 9, "lifetime": "Session", "durable": false}},
            "syscalls": {"allowed": [
                {"name": "read", "numbers": {"x86_64": 0}},
                {"name": "socket", "numbers": {"x86_64": 41}, "when": [[{"index": 0, "mask": 0xff, "value": 1}], [{"index": 0, "mask": 0xff, "value": 2}]]},
            ], "refused": [{"name": "clone3", "numbers": {"x86_64": 435}, "errno": 38}]},
            "limits": {"wallClockMs": 9, "cpuTimeMs": 9, "cpusMilli": 9, "memoryBytes": 9, "processes": 9, "openFiles": 9,
                "fileSizeBytes": 9, "outputBytes": 9},
            "atLeast": {"memory": "Rlimit", "processes": "Rlimit", "cpus": "Rlimit", "cpuTime": "Rlimit", "proc": "Rlimit"},
        });
        for (pointer, new) in edit {
            *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = new.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    /// Compares the edited sandbox with the plain one.
    #[track_caller]
    fn says(edit: &[(&str, Value)], expected: Option<&str>) {
        assert_eq!(wider(&sandbox(edit), &sandbox(&[])), expected, "{edit:?}");
    }

    /// Each field by itself: less of it is not wider, more of it is.
    #[test]
    fn every_field_is_compared() {
        says(&[], None);
        for limit in [
            "wallClockMs",
            "cpuTimeMs",
            "cpusMilli",
            "memoryBytes",
            "processes",
            "openFiles",
            "fileSizeBytes",
            "outputBytes",
        ] {
            let at = format!("/limits/{limit}");
            says(&[(&at, json!(8))], None);
            says(&[(&at, json!(10))], Some("its limits are higher"));
        }
        for part in ["memory", "processes", "cpus", "cpuTime", "proc"] {
            let at = format!("/atLeast/{part}");
            says(&[(&at, json!("Exact"))], None);
            says(&[(&at, json!("BestEffort"))], Some("its limits need not be held as exactly"));
        }
        for part in ["writable/0/sizeBytes", "writable/0/inodes"] {
            let at = format!("/filesystem/{part}");
            says(&[(&at, json!(8))], None);
            says(&[(&at, json!(10))], Some("it writes other files, or more of them"));
        }
        says(&[("/pool", json!("cold"))], Some("it runs in another pool"));
        says(&[("/pool", Value::Null)], Some("it runs in another pool"));
        says(&[("/runtime", json!("Python"))], Some("it has another runtime"));
        for environment in
            [json!([]), json!([["LANG", "D"]]), json!([["LANG", "C"], ["LD_PRELOAD", "/work/x"]])]
        {
            says(&[("/environment", environment)], Some("its environment is another one"));
        }
        says(&[("/egress", json!([]))], None);
        says(&[("/egress", json!(["all", "web"]))], Some("it reaches other hosts"));
    }

    #[test]
    fn files_are_compared_as_they_lie_over_one_another() {
        says(&[("/filesystem/readOnly", json!(["/bin"]))], None);
        // `/usr/lib/ssl/private` is a link to `/etc/ssl/private` on many machines.
        let other = Some("it reads other files");
        for paths in [json!(["/bin", "/usr/lib/ssl/private"]), json!(["/bin", "/us"]), json!(["/"])] {
            says(&[("/filesystem/readOnly", paths)], other);
        }
        // Without the area mounted over it, the image's own folder is visible.
        let covered = Some("it reads files that are covered there");
        says(&[("/filesystem/writable", json!([]))], covered);
        says(&[("/filesystem/writable", json!([])), ("/filesystem/readOnly", json!(["/bin"]))], None);
        // Without the files mounted in it, an area is writable where they were.
        let tools = |paths: Value| sandbox(&[("/filesystem/readOnly", paths)]);
        let outer = tools(json!(["/bin", "/usr", "/usr/tmp/tools", "/work/tools"]));
        assert_eq!(wider(&outer, &outer), None);
        for paths in [json!(["/bin", "/usr", "/usr/tmp/tools"]), json!(["/bin", "/usr", "/work/tools"])] {
            assert_eq!(wider(&tools(paths), &outer), Some("it writes where there are files of the image"));
        }
        let more = json!([{"path": "/usr/tmp", "sizeBytes": 9, "inodes": 9}, {"path": "/x", "sizeBytes": 1, "inodes": 1}]);
        says(&[("/filesystem/writable", more)], Some("it writes other files, or more of them"));
        says(&[("/filesystem/proc", json!("None"))], None);
        says(&[("/filesystem/devices", json!([]))], None);
        let seen = Some("it sees processes or devices that are not there");
        says(&[("/filesystem/devices", json!(["null", "zero"]))], seen);
        let without = sandbox(&[("/filesystem/proc", json!("None"))]);
        assert_eq!(wider(&sandbox(&[]), &without), seen);
    }

    /// Another start folder, or none, makes every relative path mean another file.
    #[test]
    fn the_workspace_is_the_same() {
        let another = Some("its workspace is another one");
        says(&[("/filesystem/workspace", Value::Null)], another);
        let without = sandbox(&[("/filesystem/workspace", Value::Null)]);
        assert_eq!(wider(&sandbox(&[]), &without), another);
        for (part, value) in [
            ("path", json!("/home")),
            ("sizeBytes", json!(8)),
            ("inodes", json!(8)),
            ("lifetime", json!("Call")),
            ("durable", json!(true)),
        ] {
            says(&[(&format!("/filesystem/workspace/{part}"), value)], another);
        }
    }

    #[test]
    fn system_calls_are_compared_by_what_goes_through() {
        let others = Some("its system calls are others");
        says(&[("/syscalls/allowed", json!([]))], None);
        says(&[("/syscalls/refused", json!([]))], None);
        let one = json!([[{"index": 0, "mask": 0xffff, "value": 1}]]);
        says(&[("/syscalls/allowed/1/when", one)], None);
        for when in [
            json!([]),
            json!([[]]),
            json!([[{"index": 0, "mask": 1, "value": 1}]]),
            json!([[{"index": 1, "mask": 0xff, "value": 1}]]),
        ] {
            says(&[("/syscalls/allowed/1/when", when)], others);
        }
        says(&[("/syscalls/allowed/0/numbers", json!({"x86_64": 1}))], others);
        // A test that never holds allows nothing.
        let never = sandbox(&[("/syscalls/allowed/1/when", json!([[{"index": 0, "mask": 1, "value": 3}]]))]);
        let one = sandbox(&[("/syscalls/allowed/1/when", json!([[{"index": 0, "mask": 1, "value": 1}]]))]);
        assert_eq!(wider(&one, &never), others);
        says(&[("/syscalls/allowed/0/name", json!("write"))], others);
    }
}
