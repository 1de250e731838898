//! Attacks that no single layer stops: what they need is absent, or belongs to an identity that no process
//! inside can take. They succeed bare and are stopped under the profile; they stay stopped with the removable
//! layers left out, which shows that they depend on none of them.

use std::path::Path;
use std::process::Command;

use bailiwick_sys::profile::Layer;
use bailiwick_sys::step::Step;
use bailiwick_sys::{Host, Ids, Launcher, SandboxError};

use crate::ground::{copy_program, launcher_program, ordinary, profile, root_or_skipped};
use crate::{Arena, Bare, Out, alone, payload, run_bare};

/// Number, name, body, where it runs bare, and the answers that may stop it.
type Case = (u8, &'static str, &'static str, Bare, &'static [&'static str]);

const CASES: &[Case] = &[
    (
        11,
        "open by handle",
        "b = ctypes.create_string_buffer(136)\nctypes.memmove(b, (128).to_bytes(4, 'little'), 4)\nm = ctypes.c_int()\n\
         if libc.name_to_handle_at(-100, b'/tmp', b, ctypes.byref(m), 0) < 0: raise OSError(ctypes.get_errno(), 'name')\n\
         call(SYS_open_by_handle_at, os.open('/tmp', 0), b, 0)",
        Bare::Apart,
        &["EPERM"],
    ),
    (
        22,
        // A running program cannot be written; an attacker that holds it open writes it when it has ended
        // (CVE-2019-5736).
        "hold the program of process 1 open",
        "os.open('/proc/1/exe', os.O_RDONLY)",
        Bare::Apart,
        &["EACCES", "EPERM"],
    ),
    (
        30,
        "the host's core pattern",
        "os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY)",
        Bare::Host,
        &["EROFS"],
    ),
    (31, "the kernel's caches", "os.open('/proc/sys/vm/drop_caches', os.O_WRONLY)", Bare::Host, &["EROFS"]),
    (32, "the kernel's messages", "os.open('/proc/kmsg', os.O_RDONLY)", Bare::Host, &["EACCES"]),
    (33, "cgroup files", "os.listdir('/sys/fs/cgroup')", Bare::Host, &["ENOENT", "EACCES"]),
    (
        35,
        "a device node",
        "os.mknod('/tmp/disk', 0o020600, os.makedev(1, 3))",
        Bare::Apart,
        &["EPERM", "EACCES"],
    ),
    (
        37,
        "processes of the host",
        "if open('/proc/2/comm').read() != 'kthreadd\\n': raise OSError(2, 'none')",
        Bare::Host,
        &["ENOENT"],
    ),
    (45, "a higher priority", "os.nice(-5)", Bare::Apart, &["EACCES", "EPERM"]),
    (45, "real time", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", Bare::Apart, &["EPERM"]),
    (
        58,
        "the environment of process 1",
        "open('/proc/1/environ', 'rb').read()",
        Bare::Apart,
        &["EACCES", "EPERM"],
    ),
];

#[test]
fn what_is_not_there_cannot_be_reached() {
    if !root_or_skipped("bare, these attacks take root of the machine") {
        return;
    }
    let mut arena = Arena::new();
    let removed = [Out::Layer(Layer::Filter), Out::Layer(Layer::NoNewPrivileges), Out::Landlock];
    for (number, name, body, bare, errnos) in CASES {
        let code = payload(body);
        assert_eq!(run_bare(&code, *bare), "succeeded", "attack {number} ({name}) bare");
        for out in [&[][..], &removed] {
            let said = arena.run(&code, out);
            let stopped = said.strip_prefix("stopped ").is_some_and(|errno| errnos.contains(&errno));
            assert!(stopped, "attack {number} ({name}) without {out:?}: {said}");
        }
    }
}

/// There is no terminal inside. A file that is not a terminal shows that the filter stops even an attempt to
/// type. With a terminal that was handed in, this is tried in `payloads`.
#[test]
fn typing_into_a_terminal_is_refused_by_the_filter() {
    let mut arena = Arena::new();
    for request in ["0x5412", "0x5412 | 1 << 32", "0x541C"] {
        let code = payload(&format!("call(SYS_ioctl, 0, {request}, b'x')"));
        assert_eq!(arena.run(&code, &[]), "stopped EPERM", "{request}");
        let reached = arena.run(&code, &[Out::Layer(Layer::Filter)]);
        assert!(["stopped ENOTTY", "stopped EINVAL"].contains(&reached.as_str()), "{request}: {reached}");
    }
}

/// A copy of `id` that is set-user-id root, seen inside at `/data`.
#[test]
fn a_set_user_id_program_gains_nothing() {
    if !root_or_skipped("only root can make such a program") {
        return;
    }
    let mut arena = Arena::new();
    let program = arena.directory.path().join("id");
    copy_program(Path::new("/usr/bin/id"), &program, "4755");
    std::fs::set_permissions(arena.directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let bare = Command::new("setpriv")
        .args(["--reuid", "65534", "--clear-groups"])
        .arg(&program)
        .arg("-u")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&bare.stdout), "0\n", "bare it is root");
    let code = "import os; os.execv('/data/id', ['id', '-u'])";
    assert_eq!(arena.run(code, &[]), "1000");
    let removed = [
        Out::Layer(Layer::NoNewPrivileges),
        Out::Layer(Layer::ReadOnly),
        Out::Layer(Layer::Filter),
        Out::Landlock,
    ];
    assert_eq!(arena.run(code, &removed), "1000", "the host's root is nobody inside");
}

/// Variable that activates `launcher_on_tampered_devices`.
const TAMPERED: &str = "BAILIWICK_TEST_TAMPERED";

/// Not a test of its own: runs where `/dev/null` has been replaced.
#[test]
fn launcher_on_tampered_devices() {
    if std::env::var_os(TAMPERED).is_none() {
        return;
    }
    let host = Host::new(launcher_program(), Ids::of_this_process(), None);
    let mut profile = profile();
    profile.cgroup = bailiwick_sys::profile::CgroupLimits::default();
    match Launcher::spawn(&host, &profile) {
        Err(SandboxError::Setup(fault)) => println!("refused at {} for {}", fault.step, fault.about),
        Err(other) => println!("{other}"),
        Ok(_) => println!("spawned"),
    }
}

#[test]
fn a_replaced_device_is_refused() {
    if !root_or_skipped("only root can replace a device") {
        return;
    }
    let _alone = alone();
    let tests = std::env::current_exe().unwrap();
    let run = |replace: &str| {
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg(format!("{replace}; exec \"$@\""))
            .arg("sh")
            .arg(&tests)
            .args(["--exact", "always::launcher_on_tampered_devices", "--nocapture"])
            .env(TAMPERED, "1")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let fresh =
        "mount -t tmpfs none /mnt && for d in null zero full random urandom; do cp -a /dev/$d /mnt/; done";
    assert!(run(&format!("{fresh}; mount --move /mnt /dev")).contains("spawned"), "untampered it goes");
    for tampering in
        ["ln -sf /etc/passwd /mnt/null", "rm /mnt/null; : > /mnt/null", "rm /mnt/null; mknod /mnt/null c 1 5"]
    {
        let said = run(&format!("{fresh}; {tampering}; mount --move /mnt /dev"));
        assert!(said.contains(&format!("refused at {}", Step::TemplateDevices)), "{tampering}: {said}");
    }
    assert!(Path::new("/dev/null").exists());
}

/// An ordinary user's sandboxes stop the same attacks by the same layers: runs this binary once more as an
/// ordinary user.
#[test]
fn an_ordinary_user_is_attacked_too() {
    if !root_or_skipped("an ordinary user runs the attacks itself") {
        return;
    }
    let _alone = alone();
    let output =
        ordinary::run(&["each_attack_succeeds_bare_is_stopped_by_its_layer_and_succeeds_without_it"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}
