//! What a program inside sees of itself and of the host.

use crate::ground::{
    build, copy_program, host, is_root, launcher_program, profile, program, root_or_skipped, run, run_in,
    shell,
};
use bailiwick_sys::outcome::Outcome;
use bailiwick_sys::profile::{Binding, CgroupLimits, Profile};
use bailiwick_sys::{Host, Ids, Launcher};

/// A line `name:` of `/proc/self/status`.
fn status(text: &str, name: &str) -> String {
    let line =
        text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_program_runs_and_its_end_is_told() {
    let done = run(&profile(), &program("/bin/true", &[]));
    assert_eq!(done.exit.outcome, Outcome::Exited { code: 0 });
    let done = run(&profile(), &shell("echo out; echo err >&2; exit 3"));
    assert_eq!(done.exit.outcome, Outcome::Exited { code: 3 });
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_program_has_no_privilege() {
    let done = run(&profile(), &program("/bin/cat", &["/proc/self/status"]));
    let text = done.ok();
    assert_eq!(status(text, "Uid:"), "1000 1000 1000 1000");
    assert_eq!(status(text, "Gid:"), "1000 1000 1000 1000");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(status(text, set), "0000000000000000", "{set}");
    }
    assert_eq!(status(text, "NoNewPrivs:"), "1");
    assert_eq!(status(text, "Seccomp:"), "2");
    if is_root() {
        assert_eq!(status(text, "Groups:"), "");
    }
    for mask in ["SigBlk:", "SigIgn:"] {
        assert_eq!(status(text, mask), "0000000000000000", "{mask}");
    }
    assert_eq!(status(text, "NSpid:"), status(text, "Pid:"), "no pid of another namespace is shown");
}

#[test]
fn a_program_is_at_the_top_of_every_hierarchy_that_it_sees() {
    // The worker must be in its groups, and the holder in theirs, before the cgroup namespace is made and
    // entered.
    let groups = run(&profile(), &program("/bin/cat", &["/proc/self/cgroup", "/proc/1/cgroup"]));
    assert!(groups.ok().lines().count() >= 2);
    for line in groups.ok().lines() {
        assert!(line.ends_with(":/"), "{line}");
    }
}

#[test]
fn every_namespace_is_its_own() {
    let host = host();
    let launcher = Launcher::spawn(&host, &profile()).unwrap();
    let list = shell("for n in user pid mnt net ipc uts cgroup; do readlink /proc/self/ns/$n; done");
    let first = run_in(build(&host, &launcher), &list);
    let second = run_in(build(&host, &launcher), &list);
    let outside: Vec<String> = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"]
        .iter()
        .map(|n| std::fs::read_link(format!("/proc/self/ns/{n}")).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(first.ok().lines().count(), 7);
    for ((one, other), out) in first.ok().lines().zip(second.ok().lines()).zip(&outside) {
        assert_ne!(one, out, "shared with the host");
        // Numbers of ended namespaces are reused, so two sandboxes that did not exist at the same time may
        // have the same ones.
        assert_eq!(one.split(':').next(), other.split(':').next());
    }
}

#[test]
fn only_the_three_streams_are_open() {
    let done = run(&profile(), &shell("ls /proc/self/fd; tty; cat /proc/self/sessionid >/dev/null; echo $$"));
    assert_eq!(
        done.stdout.lines().take(4).collect::<Vec<_>>(),
        ["0", "1", "2", "3"],
        "3 is ls reading the list"
    );
    assert!(done.stdout.contains("not a tty"));
}

#[test]
fn nothing_of_the_host_is_writable_and_the_rest_is_not_there() {
    let done = run(
        &profile(),
        &shell(
            "for d in / /usr /usr/bin /etc /dev /proc /proc/sys/kernel; do \
               (echo x > $d/bailiwick-test) 2>/dev/null && echo written $d; done; \
             ls / | tr '\\n' ' '; ls /root /home /sys /run 2>/dev/null; ls /etc | tr '\\n' ' '; ls /dev | tr '\\n' ' '",
        ),
    );
    assert_eq!(
        done.stdout,
        "bin dev etc lib lib64 proc sbin tmp usr alternatives ld.so.cache passwd full null random urandom zero "
    );
}

#[test]
fn folders_on_the_way_to_a_path_can_be_walked_whatever_the_executor_makes_files_with() {
    let directory = tempfile::tempdir().unwrap();
    let (text, script) = (directory.path().join("text"), directory.path().join("launcher"));
    let real = launcher_program();
    std::fs::write(&text, format!("#!/bin/sh\numask 077\nexec {} \"$@\"\n", real.display())).unwrap();
    copy_program(&text, &script, "755");
    let host = Host::new(script, Ids::of_this_process(), None);
    let mut profile = Profile { cgroup: CgroupLimits::default(), ..profile() };
    profile.read_only.push(Binding { source: "/usr/share".into(), target: "/deep/down/share".into() });
    let launcher = Launcher::spawn(&host, &profile).unwrap();
    assert_eq!(
        run_in(build(&host, &launcher), &shell("cd /deep/down/share && pwd")).ok(),
        "/deep/down/share\n"
    );
}

#[test]
fn mounts_have_the_flags_that_they_must_have() {
    let done = run(&profile(), &program("/bin/cat", &["/proc/self/mountinfo"]));
    let mut seen = 0;
    for line in done.ok().lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (point, flags) = (fields[4], fields[5].split(',').collect::<Vec<_>>());
        let has = |flag: &str| flags.contains(&flag);
        let writable = point == "/tmp";
        // The launcher's own proc is under the sandbox's, out of reach.
        let covered = point == "/proc" && !has("ro");
        assert!(has("nosuid") || covered, "{line}");
        assert!(has("nodev") || point.starts_with("/dev/") || covered, "{line}");
        assert!(has("ro") || writable || point.starts_with("/proc"), "{line}");
        assert!(!line.contains("shared:") && !line.contains("master:"), "{line}");
        seen += 1;
    }
    assert!(seen >= 10, "{}", done.stdout);
    let write = run(&profile(), &shell("echo x > /tmp/file && cat /tmp/file"));
    assert_eq!(write.ok(), "x\n");
}

#[test]
fn names_and_directories_are_the_profile_s() {
    let done = run(&profile(), &shell("hostname; pwd; env | sort; umask; ulimit -n; ulimit -c"));
    assert_eq!(done.ok(), "sandbox\n/tmp\nPATH=/usr/bin:/bin\nPWD=/tmp\n0022\n256\n0\n");
}

#[test]
fn the_network_is_empty() {
    let done =
        run(&profile(), &shell("cat /proc/net/dev | tail -n +3 | cut -d: -f1; cat /proc/net/route | wc -l"));
    assert_eq!(done.ok().split_whitespace().collect::<Vec<_>>(), ["lo", "0"]);
}

#[test]
fn the_program_is_another_user_outside() {
    if !root_or_skipped("an ordinary user has one id outside, his own") {
        return;
    }
    let host = host();
    let launcher = Launcher::spawn(&host, &profile()).unwrap();
    let (one, other) = (build(&host, &launcher), build(&host, &launcher));
    assert_ne!(one.outer_uid(), other.outer_uid());
    assert!(one.outer_uid() >= bailiwick_sys::DEFAULT_ID_BASE);
    let done = run_in(one, &shell("cat /proc/self/uid_map"));
    assert_eq!(done.ok().split_whitespace().collect::<Vec<_>>().len(), 6);
}
