//! Which arguments are allowed, for the calls that do many things. Numbers are those of the kernel's headers
//! (`linux/sched.h`, `asm-generic/ioctls.h`, `linux/prctl.h`, `linux/fcntl.h`, `linux/socket.h`,
//! `linux/tcp.h`), the same on x86_64 and aarch64.
//!
//! All of these arguments are `int` or `unsigned int` in the kernel, or are truncated to 32 bits there (the
//! flags of `clone`), so only 32 bits are compared. A 64-bit test would allow `value | 1 << 32` past a
//! deny-list, and reject it without reason in an allow-list.

use bailiwick_policy::policy::sandboxes::ArgumentTest;

/// Every namespace flag of `clone` (`CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`,
/// `NEWNET`).
const NAMESPACES: u32 = 0x7e02_0000;

/// `TCGETS`, `TIOCGWINSZ`, `FIONREAD`, `FIONBIO`, `FIONCLEX`, `FIOCLEX`, `FICLONE`, `TCGETS2`: used by
/// `isatty`, terminal width, sockets and `cp`. None writes to a terminal: no `TIOCSTI`, no `TIOCLINUX`, no
/// `TIOCSCTTY`.
const IOCTL: &[u32] = &[0x5401, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451, 0x4004_9409, 0x802c_542a];

/// `PR_SET_PDEATHSIG`, `GET_PDEATHSIG`, `GET_DUMPABLE`, `SET_DUMPABLE`, `SET_NAME`, `GET_NAME`,
/// `GET_SECCOMP`, `SET_SECCOMP` (can only narrow), `CAPBSET_READ`, `SET_CHILD_SUBREAPER`,
/// `GET_CHILD_SUBREAPER`, `SET_NO_NEW_PRIVS`, `GET_NO_NEW_PRIVS`, `SET_MDWE`, `GET_MDWE`, and `SET_VMA`, with
/// which C libraries name their memory.
const PRCTL: &[u32] = &[1, 2, 3, 4, 15, 16, 21, 22, 23, 36, 37, 38, 39, 65, 66, 0x5356_4d41];

/// `F_DUPFD` to `F_SETLKW`, `F_GETOWN`, the open-file-description locks, `F_DUPFD_CLOEXEC`, pipe sizes and
/// seals. None makes the kernel send signals (`F_SETOWN`, `F_SETSIG`, `F_SETLEASE`, `F_NOTIFY`).
const FCNTL: &[u32] = &[0, 1, 2, 3, 4, 5, 6, 7, 9, 36, 37, 38, 1030, 1031, 1032, 1033, 1034];

/// `PER_LINUX`, and the value that queries the current personality.
const PERSONALITY: &[u32] = &[0, u32::MAX];

const UNIX: u32 = 1;
const INET: u32 = 2;
const INET6: u32 = 10;
const STREAM: u32 = 1;
const DGRAM: u32 = 2;

/// `SOCK_TYPE_MASK`: the flags `SOCK_NONBLOCK` and `SOCK_CLOEXEC` are above it.
const SOCKET_TYPE: u32 = 0xf;

const IPPROTO_IP: u32 = 0;
const SOL_SOCKET: u32 = 1;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const IPPROTO_IPV6: u32 = 41;

/// Options of `SOL_SOCKET` up to `SO_SECURITY_ENCRYPTION_TRANSPORT`: no socket filters, no forced buffer
/// sizes.
const SOCKET_OPTIONS: std::ops::Range<u32> = 0..24;

/// TCP options below `TCP_ULP` (31), which loads protocol modules (kernel TLS and its history of
/// vulnerabilities).
const TCP_OPTIONS: std::ops::Range<u32> = 0..31;

type Tests = Vec<Vec<ArgumentTest>>;

/// The tests of a call: one of the alternatives must hold, in full. Empty: the call is allowed with any
/// arguments.
pub(super) fn tests(name: &str) -> Tests {
    match name {
        "clone" => vec![vec![ArgumentTest { index: 0, mask: NAMESPACES, value: 0 }]],
        "ioctl" => any(1, IOCTL),
        "prctl" => any(0, PRCTL),
        "fcntl" => any(1, FCNTL),
        "personality" => any(0, PERSONALITY),
        "socket" => sockets(),
        "socketpair" => any(0, &[UNIX]),
        "setsockopt" => socket_options(),
        _ => Vec::new(),
    }
}

const fn is(index: u8, value: u32) -> ArgumentTest {
    ArgumentTest { index, mask: u32::MAX, value }
}

fn any(index: u8, values: &[u32]) -> Tests {
    values.iter().map(|value| vec![is(index, *value)]).collect()
}

const fn of_type(value: u32) -> ArgumentTest {
    ArgumentTest { index: 1, mask: SOCKET_TYPE, value }
}

/// Unix sockets, and TCP and UDP over both versions of IP: no raw sockets, and no other protocol (SCTP,
/// MPTCP, ICMP). The kernel itself rejects TCP for datagram sockets and UDP for stream sockets.
fn sockets() -> Tests {
    let mut tests = any(0, &[UNIX]);
    for family in [INET, INET6] {
        for kind in [STREAM, DGRAM] {
            let protocols = [IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP];
            tests.extend(protocols.map(|protocol| vec![is(0, family), of_type(kind), is(2, protocol)]));
        }
    }
    tests
}

fn socket_options() -> Tests {
    let mut tests = any(1, &[IPPROTO_IP, IPPROTO_IPV6]);
    tests.extend(SOCKET_OPTIONS.map(|option| vec![is(1, SOL_SOCKET), is(2, option)]));
    tests.extend(TCP_OPTIONS.map(|option| vec![is(1, IPPROTO_TCP), is(2, option)]));
    tests
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::table::TABLE;

    #[test]
    fn no_alternative_tests_an_argument_twice_or_asks_for_bits_it_masks_out() {
        for row in TABLE {
            for alternative in tests(row.name) {
                let mut indexes: Vec<_> = alternative.iter().map(|test| test.index).collect();
                indexes.dedup();
                assert_eq!(indexes.len(), alternative.len(), "{}", row.name);
                assert!(!alternative.is_empty(), "{}", row.name);
                for test in alternative {
                    assert!(test.index < 6 && test.value & !test.mask == 0, "{} {test:?}", row.name);
                }
            }
        }
    }
}
