//! Network namespaces: used again only by sandboxes that can leave nothing in them. In each attack, the first
//! sandbox of a launcher leaves a message for the second one.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use bailiwick_sys::profile::{Binding, Landlock, Layer, Profile};
use bailiwick_sys::seccomp::{Action, Architecture, Policy, Program, Rule, Test, compile};
use bailiwick_sys::{Host, Launcher};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use crate::ground::{build, host, profile, python, run_in, shell};

/// More families than Linux has.
const FAMILIES: u32 = 256;

/// A filter that allows everything except sockets that are not Unix sockets.
fn unix_sockets_only() -> Program {
    let refused = Action::Errno(1);
    let others = (0..FAMILIES).filter(|family| *family != 1);
    let when: Vec<_> = others.map(|family| vec![Test { index: 0, mask: u32::MAX, value: family }]).collect();
    let number = |call: libc::c_long| u32::try_from(call).unwrap();
    let mut rules = BTreeMap::new();
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        rules.insert(number(call), Rule { when: when.clone(), then: refused });
    }
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter] {
        rules.insert(number(call), Rule { when: Vec::new(), then: refused });
    }
    let architecture =
        if cfg!(target_arch = "x86_64") { Architecture::X86_64 } else { Architecture::Aarch64 };
    compile(&Policy { architecture, rules, otherwise: Action::Allow }).unwrap()
}

/// What two sandboxes of one launcher print, one after the other.
fn one_after_the_other(host: &Host, profile: &Profile, [first, second]: [&str; 2]) -> [String; 2] {
    let launcher = Launcher::spawn(host, profile).unwrap();
    let printed = |code| run_in(build(host, &launcher), &python(code)).ok().trim().to_owned();
    [printed(first), printed(second)]
}

#[test]
fn a_namespace_without_network_sockets_is_used_again_but_never_by_two() {
    let host = host();
    let profile = Profile { filter: unix_sockets_only(), ..profile() };
    let launcher = Launcher::spawn(&host, &profile).unwrap();
    let which = shell("readlink /proc/self/ns/net");
    let mut seen = Vec::new();
    for _ in 0..4 {
        // The second is there until the first has ended.
        let (one, other) = (build(&host, &launcher), build(&host, &launcher));
        let (one, other) = (run_in(one, &which), run_in(other, &which));
        assert_ne!(one.ok(), other.ok());
        seen.extend([one.ok().to_owned(), other.ok().to_owned()]);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 2, "{seen:?}");
}

/// Sends packets that go nowhere, and reads the kernel's number of those.
const SEND: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(7):
    try: s.sendto(b'x', ('192.0.2.1', 9))
    except OSError: pass
print('sent')";
const COUNT: &str = "
names, figures = [l.split() for l in open('/proc/self/net/snmp') if l.startswith('Ip:')]
print(dict(zip(names, figures))['OutNoRoutes'])";

#[test]
fn counters_of_network_sockets_are_not_seen_by_the_next_sandbox() {
    let host = host();
    let mut profile = profile();
    assert_eq!(one_after_the_other(&host, &profile, [SEND, COUNT]), ["sent", "0"]);
    profile.without.insert(Layer::NetworkOnce);
    assert_eq!(one_after_the_other(&host, &profile, [SEND, COUNT]), ["sent", "7"], "it is an attack");
}

/// Passes a named socket to a process of the host, which keeps it after the sandbox has ended.
const LEAVE: &str = "
import socket
named = socket.socket(socket.AF_UNIX)
named.bind('\\0left'); named.listen()
link = socket.socket(socket.AF_UNIX)
link.connect('/data/accomplice')
socket.send_fds(link, [b'x'], [named.fileno()])
link.recv(1)
print('left')";
const FIND: &str = "
import socket
try: socket.socket(socket.AF_UNIX).connect('\\0left'); print('found')
except OSError as error: print(error.strerror)";

/// A process of the host that keeps the sockets that it is sent.
fn accomplice(path: &Path) -> std::thread::JoinHandle<Vec<OwnedFd>> {
    use std::io::{IoSliceMut, Write as _};
    use std::os::fd::{AsRawFd as _, FromRawFd as _};
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut link, _) = listener.accept().unwrap();
        let (mut byte, mut space) = ([0], nix::cmsg_space!([i32; 1]));
        let mut parts = [IoSliceMut::new(&mut byte)];
        let message =
            recvmsg::<()>(link.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).unwrap();
        let kept = message.cmsgs().unwrap().flat_map(|control| match control {
            ControlMessageOwned::ScmRights(fds) => fds,
            _ => Vec::new(),
        });
        // SAFETY: the kernel has just made these descriptors for this process.
        let kept = kept.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
        link.write_all(b"x").unwrap();
        kept
    })
}

#[test]
fn a_namespace_with_a_socket_in_it_is_not_used_again() {
    let host = host();
    for (without, answer) in [(None, "Connection refused"), (Some(Layer::NetworkOnce), "found")] {
        let directory = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let keeper = accomplice(&directory.path().join("accomplice"));
        let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(directory.path().join("accomplice"), everyone).unwrap();
        // Its scope would stop this from Linux 6.12.
        let landlock = Landlock::Off;
        let mut profile = Profile { filter: unix_sockets_only(), landlock, ..profile() };
        profile.read_only.push(Binding { source: directory.path().to_owned(), target: "/data".into() });
        profile.without.extend(without);
        let launcher = Launcher::spawn(&host, &profile).unwrap();
        assert_eq!(run_in(build(&host, &launcher), &python(LEAVE)).ok(), "left\n");
        let kept = keeper.join().unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(run_in(build(&host, &launcher), &python(FIND)).ok().trim(), answer, "{without:?}");
    }
}
