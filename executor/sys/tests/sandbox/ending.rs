//! Every way in which a call can end.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bailiwick_sys::Launcher;
use bailiwick_sys::drain::{CallLimits, Excess, Output, Stream, complete};
use bailiwick_sys::outcome::{Cause, Outcome, Source};
use bailiwick_sys::profile::{CgroupLimits, Profile, Tmpfs};
use bailiwick_sys::seccomp::{Action, Program};
use bailiwick_sys::step::Step;

use crate::ground::{
    Done, ample, build, filter, finished, host, is_root, patience, profile, program, python, root_or_skipped,
    run, run_in, run_within, shell,
};

/// How long to wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn within(profile: &Profile, command: &str, limits: CallLimits) -> Done {
    let host = host();
    let launcher = Launcher::spawn(&host, profile).unwrap();
    run_within(build(&host, &launcher), &shell(command), &limits)
}

#[test]
fn a_signal_of_its_own_is_told() {
    let done = run(&profile(), &shell("kill -TERM $$"));
    assert_eq!(done.exit.outcome, Outcome::Signaled { signal: libc::SIGTERM });
    // The executor did not kill it and nothing ran out of memory: this SIGKILL was its own.
    let done = run(&profile(), &shell("kill -KILL $$"));
    assert_eq!(done.exit.outcome, Outcome::Signaled { signal: libc::SIGKILL });
    // The kernel sends SIGXCPU to a process that has used up its processor time; this program has used none.
    let done = run(&profile(), &shell("kill -XCPU $$"));
    assert_eq!(done.exit.outcome, Outcome::Signaled { signal: libc::SIGXCPU });
}

/// Whether a process holds this namespace by a descriptor.
fn is_held(process: u32, namespace: &str) -> bool {
    let links = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    links.filter_map(|link| std::fs::read_link(link.path()).ok()).any(|held| held.as_os_str() == namespace)
}

/// The kernel waits while it takes mounts down, so the end of a call must not; nor may they stay.
#[test]
fn mounts_outlast_the_processes_until_the_sandbox_is_cleared_away() {
    let host = host();
    let launcher = Launcher::spawn(&host, &profile()).unwrap();
    let running = build(&host, &launcher).run(&program("/usr/bin/readlink", &["/proc/self/ns/mnt"])).unwrap();
    let completed = complete(running, b"", &ample());
    let namespace = String::from_utf8(completed.stdout.bytes).unwrap();
    let (namespace, us) = (namespace.trim_end(), std::process::id());
    assert!(namespace.starts_with("mnt:["), "{namespace}");
    let mut remains = completed.remains;
    remains.end();
    assert!(is_held(us, namespace));
    remains.clear().unwrap();
    assert!(!is_held(us, namespace));
    let deadline = Instant::now() + PATIENCE;
    while is_held(launcher.process_id(), namespace) {
        assert!(Instant::now() < deadline, "the launcher keeps it");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_deadline_kills_everything_inside() {
    let short = CallLimits { wall: Duration::from_millis(150), ..ample() };
    for command in [
        "sleep 1000",
        "trap '' TERM INT HUP; while :; do sleep 1; done",
        "setsid sleep 1000 & nohup sleep 1000 & kill -STOP $$",
        "(sleep 1000 &) ; sleep 1000",
    ] {
        let done = within(&profile(), command, short);
        assert_eq!(done.exit.outcome, Outcome::TimedOut, "{command}");
    }
}

#[test]
fn whoever_asked_may_call_it_off() {
    let host = host();
    let launcher = Launcher::spawn(&host, &profile()).unwrap();
    let running = build(&host, &launcher).run(&shell("sleep 1000")).unwrap();
    running.kill(Cause::Cancelled);
    // The first cause is kept.
    running.kill(Cause::TimedOut);
    assert_eq!(finished(complete(running, b"", &ample())).exit.outcome, Outcome::Cancelled);
}

#[test]
fn a_call_ends_with_its_program_not_with_its_streams() {
    // The child keeps standard output open; nothing waits for it.
    let done = run(&profile(), &shell("echo said; sleep 1000 & exit 4"));
    assert_eq!((done.exit.outcome, done.stdout.as_str()), (Outcome::Exited { code: 4 }, "said\n"));
    let done = run(&profile(), &shell("exec >&- 2>&-; sleep 0.05; exit 5"));
    assert_eq!(done.exit.outcome, Outcome::Exited { code: 5 });
}

/// The shell command of the tests about leftovers, without a sandbox around it.
fn bare(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    shell
}

#[test]
fn without_a_sandbox_what_a_program_left_running_goes_on() {
    let mut shell = bare("sleep 1000 >&- & echo $!; exit 4").spawn().unwrap();
    assert_eq!(shell.wait().unwrap().code(), Some(4));
    let mut said = String::new();
    shell.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let orphan: i32 = said.trim().parse().unwrap();
    // SAFETY: sends a signal to a process that this test started. It runs for a thousand seconds, so the
    // number is still its own, unless it was killed.
    assert_eq!(unsafe { libc::kill(orphan, libc::SIGKILL) }, 0, "the orphan is gone");
}

#[test]
fn what_a_program_left_running_is_killed_before_its_end_is_told() {
    let host = host();
    let launcher = Launcher::spawn(&host, &profile()).unwrap();
    let mut running = build(&host, &launcher).run(&shell("sleep 1000 & exit 4")).unwrap();
    let stdout = running.take_stdout().unwrap();
    let (exit, remains) = running.finish();
    assert_eq!(exit.outcome, Outcome::Exited { code: 4 });
    // The child holds standard output open for as long as it lives. The sandbox has not been cleared away
    // yet, as happens while a slow disk writes the record.
    let (begun, mut output) = (Instant::now(), Output::new(0));
    while output.read_ready(&stdout).unwrap() == Stream::Open {
        assert!(begun.elapsed() < patience(PATIENCE), "the child runs on");
        std::thread::sleep(Duration::from_millis(5));
    }
    remains.clear().unwrap();
}

#[test]
fn processor_time_is_limited_as_a_whole() {
    if !is_root() {
        let mut limited = profile();
        limited.rlimits.cpu_seconds = Some(1);
        let done = run(&limited, &shell("while :; do :; done"));
        assert_eq!(done.exit.outcome, Outcome::CpuTimeExceeded);
        assert_eq!(done.exit.usage.cpu_source, Source::Rusage);
        return;
    }
    let limits = CallLimits { cpu: Some(Duration::from_millis(300)), ..ample() };
    // Four processes: each alone would stay within the limit for longer.
    let spin = "for i in 1 2 3 4; do (while :; do :; done) & done; wait";
    let done = within(&profile(), spin, limits);
    assert_eq!(done.exit.outcome, Outcome::CpuTimeExceeded);
    assert_eq!(done.exit.usage.cpu_source, Source::Cgroup);
    assert!(done.exit.usage.cpu >= Duration::from_millis(300), "{:?}", done.exit.usage);
}

#[test]
fn memory_is_limited_wherever_it_is_taken() {
    if !root_or_skipped("an ordinary user without a cgroup has no limit on memory as a whole") {
        return;
    }
    let mut small = profile();
    small.cgroup.memory_bytes = Some(48 << 20);
    small.writable = vec![Tmpfs { path: "/tmp".into(), size_bytes: 512 << 20, inodes: 64 }];
    small.rlimits.file_size_bytes = 512 << 20;
    for (how, code) in [
        ("touched pages", "x = bytearray(200 << 20)"),
        (
            "shared pages",
            "import mmap; m = mmap.mmap(-1, 200 << 20); [m.write(b'x' * 4096) for _ in range(51200)]",
        ),
        (
            "a memory file",
            "import os; f = os.memfd_create('x'); [os.write(f, b'x' * 65536) for _ in range(3200)]",
        ),
        ("a tmpfs", "f = open('/tmp/x', 'wb'); [f.write(b'x' * 65536) for _ in range(3200)]"),
    ] {
        let done = run(&small, &python(code));
        assert_eq!(done.exit.outcome, Outcome::MemoryExceeded, "{how}: {}", done.stderr);
        assert!(done.exit.usage.oom_kills > 0, "{how}");
        let peak = done.exit.usage.peak_memory_bytes;
        assert!(peak <= 48 << 20 && done.exit.usage.memory_source == Source::Cgroup, "{how}: {peak}");
        let mut roomy = small.clone();
        roomy.cgroup.memory_bytes = Some(400 << 20);
        run(&roomy, &python(code)).ok();
    }
}

/// Limits of cgroups by what a shell can do alone, for a machine without other tools.
#[test]
fn a_shell_runs_into_its_limits() {
    if !root_or_skipped("an ordinary user without a cgroup has no limits of a group") {
        return;
    }
    let mut small = profile();
    small.cgroup = CgroupLimits { memory_bytes: Some(24 << 20), processes: Some(12), cpu_milli: Some(500) };
    small.writable = vec![Tmpfs { path: "/tmp".into(), size_bytes: 128 << 20, inodes: 64 }];
    let done = run(&small, &shell("head -c 60000000 /dev/zero > /tmp/x; exit 0"));
    // On version 1 the kernel kills `head` alone, and the shell goes on.
    assert!(done.exit.usage.oom_kills > 0, "{done:?}");
    assert!(done.exit.usage.peak_memory_bytes <= 24 << 20, "{done:?}");
    let forks = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 20 & done; exit 7";
    let done = run(&small, &shell(forks));
    assert_eq!(done.exit.outcome, Outcome::ProcessesExceeded, "{done:?}");
    small.cgroup = CgroupLimits { memory_bytes: Some(128 << 20), processes: Some(40), cpu_milli: None };
    run(&small, &shell("head -c 60000000 /dev/zero > /tmp/x")).ok();
    let done = run(&small, &shell(forks));
    assert_eq!(done.exit.outcome, Outcome::Exited { code: 7 });
}

#[test]
fn processors_are_shared_out() {
    if !root_or_skipped("an ordinary user without a cgroup has no share of processors") {
        return;
    }
    const PERIOD: Duration = Duration::from_millis(100);
    let (spin, spent) = ("while :; do :; done", Duration::from_millis(200));
    let until_spent = CallLimits { cpu: Some(spent), ..ample() };
    let mut slow = profile();
    slow.cgroup.cpu_milli = Some(100);
    let done = within(&slow, spin, until_spent);
    assert_eq!(done.exit.outcome, Outcome::CpuTimeExceeded, "{done:?}");
    let usage = &done.exit.usage;
    assert_eq!(usage.cpu_source, Source::Cgroup);
    // A tenth of one processor, plus what one period may have had before the clock began and in its last
    // part.
    assert!(usage.cpu.saturating_sub(PERIOD) <= usage.wall / 10, "{usage:?}");
    // Without its share it takes what it can get; a busy machine decides how much that is, but the group does
    // not.
    slow.cgroup.cpu_milli = None;
    let done = within(&slow, spin, until_spent);
    assert_eq!(done.exit.outcome, Outcome::CpuTimeExceeded, "{done:?}");
}

#[test]
fn a_child_that_was_killed_for_memory_is_counted() {
    if !root_or_skipped("an ordinary user without a cgroup has nobody who counts") {
        return;
    }
    let mut small = profile();
    small.cgroup.memory_bytes = Some(48 << 20);
    let code = "import os\nif os.fork() == 0: bytearray(200 << 20)\nos.wait()\nprint('alive')";
    let done = run(&small, &python(code));
    // Version 1 kills one process; version 2 with memory.oom.group all of them.
    let v1 = done.exit.outcome == Outcome::Exited { code: 0 } && done.stdout == "alive\n";
    assert!(v1 || done.exit.outcome == Outcome::MemoryExceeded, "{done:?}");
    assert!(done.exit.usage.oom_kills >= 1);
}

#[test]
fn processes_are_limited() {
    let bomb = "import os,sys\nfor _ in range(200):\n  try:\n    if os.fork() == 0: os.pause() if hasattr(os,'pause') else __import__('signal').pause()\n  except OSError: sys.exit(9)";
    let mut crowded = profile();
    crowded.rlimits.processes = Some(20);
    if is_root() {
        crowded.rlimits.processes = None;
        crowded.cgroup.processes = Some(20);
    }
    let done = run(&crowded, &python(bomb));
    if is_root() {
        assert_eq!(done.exit.outcome, Outcome::ProcessesExceeded, "{}", done.stderr);
        assert!(done.exit.usage.refused_forks > 0);
    } else {
        assert_eq!(done.exit.outcome, Outcome::Exited { code: 9 }, "{}", done.stderr);
    }
    // Threads count too.
    let threads = "import threading,sys\ntry:\n  [threading.Thread(target=lambda: threading.Event().wait(), daemon=True).start() for _ in range(200)]\nexcept RuntimeError: __import__('os')._exit(9)\n__import__('os')._exit(0)";
    assert_ne!(run(&crowded, &python(threads)).exit.outcome, Outcome::Exited { code: 0 });
    crowded.rlimits.processes = None;
    crowded.cgroup.processes = is_root().then_some(400);
    crowded.cgroup.memory_bytes = is_root().then_some(1 << 30);
    run(&crowded, &python(bomb)).ok();
    run(&crowded, &python(threads)).ok();
}

#[test]
fn a_killing_filter_is_told() {
    let mut strict = profile();
    strict.filter = filter(&[libc::SYS_keyctl]);
    let Program(instructions) = &mut strict.filter;
    for instruction in instructions.iter_mut().filter(|i| i.k == Action::Errno(1).to_return()) {
        instruction.k = Action::KillProcess.to_return();
    }
    let code = format!("import ctypes; ctypes.CDLL(None).syscall({}, 0, -3, 0)", libc::SYS_keyctl);
    assert_eq!(run(&strict, &python(&code)).exit.outcome, Outcome::SyscallDenied);
}

#[test]
fn a_flood_is_cut_counted_and_holds_nothing_up() {
    let limits = CallLimits { output_bytes: 1000, ..ample() };
    let done = within(&profile(), "head -c 3000000 /dev/zero; head -c 70000 /dev/zero >&2", limits);
    assert_eq!(done.exit.outcome, Outcome::Exited { code: 0 });
    assert_eq!((done.stdout.len(), done.stderr.len()), (1000, 1000));
    assert_eq!(done.dropped, (2_999_000, 69_000));
    let endless = CallLimits { excess: Excess::Kill, ..limits };
    let done = within(&profile(), "cat /dev/zero", endless);
    assert_eq!(done.exit.outcome, Outcome::OutputExceeded);
    assert!(done.dropped.0 > 0);
}

/// The reason for the limit: a caller that keeps everything keeps a flood, and one that reads no more than it
/// keeps has a program that never ends.
#[test]
fn without_a_limit_a_flood_fills_memory_or_stands_still() {
    let flood = "head -c 3000000 /dev/zero; head -c 70000 /dev/zero >&2";
    let unlimited = CallLimits { output_bytes: usize::MAX, ..ample() };
    assert_eq!(within(&profile(), flood, unlimited).stdout.len(), 3_000_000);
    assert_eq!(bare(flood).output().unwrap().stdout.len(), 3_000_000);
    let mut held_up = bare("head -c 3000000 /dev/zero; exit 0").spawn().unwrap();
    let mut stdout = held_up.stdout.take().unwrap();
    let mut kept = [0; 1000];
    stdout.read_exact(&mut kept).unwrap();
    // Full: from now on a write blocks.
    let deadline = Instant::now() + patience(PATIENCE);
    while !is_full(&stdout) {
        assert!(Instant::now() < deadline, "the pipe is not filled");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(held_up.try_wait().unwrap().is_none(), "the program has ended with three megabytes unread");
    drop(stdout);
    held_up.wait().unwrap();
}

/// Whether a pipe has no room for another page: `head` writes some kilobytes at a time.
fn is_full(pipe: &impl AsRawFd) -> bool {
    let mut waiting: libc::c_int = 0;
    // SAFETY: FIONREAD writes one integer, which lives through the call.
    assert_eq!(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut waiting) }, 0);
    // SAFETY: takes integers and touches no memory.
    let capacity = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_GETPIPE_SZ) };
    waiting > capacity - 4096
}

#[test]
fn input_that_is_not_read_holds_nothing_up() {
    let host = host();
    let launcher = Launcher::spawn(&host, &profile()).unwrap();
    let input = vec![b'x'; 1 << 20];
    let running = build(&host, &launcher).run(&program("/bin/true", &[])).unwrap();
    assert_eq!(finished(complete(running, &input, &ample())).exit.outcome, Outcome::Exited { code: 0 });
    let running = build(&host, &launcher).run(&program("/usr/bin/wc", &["-c"])).unwrap();
    assert_eq!(finished(complete(running, &input, &ample())).ok().trim(), "1048576");
}

#[test]
fn a_program_that_cannot_be_executed_is_a_failed_set_up() {
    let cases = [
        (program("/bin/no-such-program", &[]), Step::Execute, libc::ENOENT),
        (program("/etc/passwd", &[]), Step::Execute, libc::EACCES),
        (
            bailiwick_sys::Request {
                working_directory: Some("/no/such/directory".into()),
                ..program("/bin/true", &[])
            },
            Step::RequestDirectory,
            libc::ENOENT,
        ),
    ];
    for (request, step, errno) in cases {
        let Outcome::SetupFailed { fault } = run(&profile(), &request).exit.outcome else {
            panic!("{request:?} ran");
        };
        assert_eq!((fault.step, fault.errno as i32), (step, errno), "{fault}");
    }
    // A program with the exit code of a failed worker has still run.
    assert_eq!(run(&profile(), &shell("exit 127")).exit.outcome, Outcome::Exited { code: 127 });
}

#[test]
fn usage_is_that_of_the_call() {
    let done = run(&profile(), &shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"));
    done.ok();
    let usage = &done.exit.usage;
    assert!(usage.cpu > Duration::from_millis(5) && usage.cpu <= usage.wall * 2, "{usage:?}");
    assert!(usage.peak_memory_bytes > 100_000, "{usage:?}");
    let source = if is_root() { Source::Cgroup } else { Source::Rusage };
    assert_eq!((usage.cpu_source, usage.memory_source), (source, source));
}

#[test]
fn a_profile_with_limits_needs_a_cgroup() {
    let host = bailiwick_sys::Host::new(
        crate::ground::launcher_program(),
        bailiwick_sys::Ids::of_this_process(),
        None,
    );
    let mut limited = profile();
    limited.cgroup = CgroupLimits { memory_bytes: Some(1 << 26), ..CgroupLimits::default() };
    let refused = Launcher::spawn(&host, &limited).err().expect("there is no cgroup");
    assert!(refused.to_string().contains("no writable cgroup"), "{refused}");
    limited.cgroup = CgroupLimits::default();
    let launcher = Launcher::spawn(&host, &limited).unwrap();
    run_in(build(&host, &launcher), &program("/bin/true", &[])).ok();
}
