//! The meet of system calls: those that both allow, and those that either rejects with an error of its own.
//!
//! `when` is a disjunction of conjunctions. The meet of two is their product, without contradictions and
//! without alternatives that another one implies. It stays small: the longest list in the tables has a few
//! alternatives.

use std::collections::BTreeMap;

use bailiwick_policy::policy::narrower::implies;
use bailiwick_policy::policy::sandboxes::{AllowedSyscall, ArgumentTest, RefusedSyscall, Syscalls};

type Alternative = Vec<ArgumentTest>;

/// The family of a Unix socket, as the first argument of `socket` (`linux/socket.h`).
const UNIX: ArgumentTest = ArgumentTest { index: 0, mask: u32::MAX, value: 1 };

pub(super) fn meet(a: &Syscalls, b: &Syscalls) -> Syscalls {
    let refused = a.refused.iter().chain(&b.refused).cloned().collect();
    let allowed = a.allowed.iter().filter_map(|one| {
        let other = b.allowed.iter().find(|other| other.name == one.name)?;
        let when = match (one.when.as_slice(), other.when.as_slice()) {
            ([], when) | (when, []) => when.to_vec(),
            (a, b) => {
                let both: Vec<Alternative> =
                    a.iter().flat_map(|a| b.iter().filter_map(|b| conjunction(a, b))).collect();
                if both.is_empty() {
                    return None;
                }
                both
            }
        };
        Some(AllowedSyscall { when, ..one.clone() })
    });
    canonical(&Syscalls { allowed: allowed.collect(), refused })
}

/// The calls of a sandbox that reaches nothing: of sockets, it makes only Unix sockets. In its empty network
/// namespace others would serve nothing but attacks on the kernel, and what they leave there would outlive it.
pub(super) fn without_network(syscalls: &mut Syscalls) {
    syscalls.allowed.retain_mut(|call| {
        if call.name != "socket" {
            return true;
        }
        let any = [Alternative::new()];
        let when = if call.when.is_empty() { any.as_slice() } else { call.when.as_slice() };
        call.when = when.iter().filter_map(|alternative| conjunction(alternative, &[UNIX])).collect();
        !call.when.is_empty()
    });
}

/// Both alternatives at once; `None`: no argument can satisfy both.
fn conjunction(a: &[ArgumentTest], b: &[ArgumentTest]) -> Option<Alternative> {
    let mut tests: BTreeMap<u8, ArgumentTest> = BTreeMap::new();
    for test in a.iter().chain(b) {
        let met = match tests.get(&test.index) {
            None => *test,
            Some(other) if (other.value ^ test.value) & other.mask & test.mask != 0 => return None,
            Some(other) => ArgumentTest {
                index: test.index,
                mask: other.mask | test.mask,
                value: other.value | test.value,
            },
        };
        tests.insert(test.index, met);
    }
    Some(tests.into_values().collect())
}

/// Sorted, each name once; no rejected call is also allowed, and no alternative is covered by another.
pub(super) fn canonical(syscalls: &Syscalls) -> Syscalls {
    let mut refused: BTreeMap<&str, RefusedSyscall> = BTreeMap::new();
    for one in &syscalls.refused {
        let errno = refused.get(one.name.as_str()).map_or(one.errno, |other| one.errno.min(other.errno));
        refused.insert(&one.name, RefusedSyscall { errno, ..one.clone() });
    }
    let mut allowed: Vec<AllowedSyscall> =
        syscalls.allowed.iter().filter(|one| !refused.contains_key(one.name.as_str())).cloned().collect();
    allowed.sort();
    for one in &mut allowed {
        one.when = outermost(std::mem::take(&mut one.when));
    }
    Syscalls { allowed, refused: refused.into_values().collect() }
}

fn outermost(mut alternatives: Vec<Alternative>) -> Vec<Alternative> {
    alternatives.iter_mut().for_each(|alternative| alternative.sort());
    alternatives.sort();
    alternatives.dedup();
    // An empty alternative allows any arguments.
    if alternatives.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let mut kept: Vec<Alternative> = Vec::with_capacity(alternatives.len());
    for (index, one) in alternatives.iter().enumerate() {
        let covered = alternatives.iter().enumerate().any(|(other, wide)| {
            // Of two equivalent alternatives, the first is kept.
            other != index && implies(one, wide) && (!implies(wide, one) || other < index)
        });
        if !covered {
            kept.push(one.clone());
        }
    }
    kept
}
