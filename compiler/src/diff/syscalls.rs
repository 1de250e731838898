//! System calls of sandboxes: exact, arguments included.
//!
//! A call is allowed if one of its alternatives holds, and an alternative tests bits of arguments. Finding
//! what only one sandbox allows is a search for bits: those that an alternative of this sandbox requires,
//! plus one bit that violates each alternative of the other.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::sandboxes::{AllowedSyscall, ArgumentTest, Sandbox, SyscallNumbers};

use super::sandboxes::Pair;
use super::sides::{Sides, blank};
use super::{Diff, Layer};
use crate::policy_test::{SyscallCase, TestCase};
use crate::syscalls;

/// Steps of the search for the arguments of one call: alternatives are few, and each can be violated by one
/// of some 32 bits.
const MAX_STEPS: usize = 1_000_000;
/// Registers of a system call.
const REGISTERS: usize = 6;
/// Names that are listed if many differ for one reason.
const SHOWN: usize = 8;

pub(super) fn compare(sides: &Sides, pair: &Pair<'_>, out: &mut Diff) -> Result<(), String> {
    // Calls that differ as a whole are reported together, with one of them as the witness.
    let mut whole: BTreeMap<super::Direction, (Vec<&str>, super::sides::Found)> = BTreeMap::new();
    for name in names(pair) {
        for args in candidates(pair, name, out) {
            let case = |sandbox: &str| case(sandbox, name, &args);
            let found = sides.compare_as(Layer::Syscalls, &case(&pair.old.name), &case(&pair.new.name))?;
            let Some(found) = found else { continue };
            if args.is_empty() {
                whole.entry(found.direction).or_insert_with(|| (Vec::new(), found)).0.push(name);
            } else {
                let what = format!("{}: `{name}` with other arguments ({})", pair.name(), machines(name));
                out.changes.push(found.told(what));
            }
        }
    }
    for (names, found) in whole.into_values() {
        let shown: Vec<String> =
            names.iter().take(SHOWN).map(|name| format!("`{name}` ({})", machines(name))).collect();
        let more = names.len().checked_sub(SHOWN).filter(|more| *more > 0);
        let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
        out.changes.push(found.told(format!("{}: {}{more}", pair.name(), shown.join(", "))));
    }
    Ok(())
}

fn names<'p>(pair: &Pair<'p>) -> BTreeSet<&'p str> {
    let of = |sandbox: &'p Sandbox| sandbox.syscalls.allowed.iter().map(|call| call.name.as_str());
    of(pair.old).chain(of(pair.new)).collect()
}

/// The arguments that are tried on the two sandboxes; none for a call that only one of them knows.
fn candidates(pair: &Pair<'_>, name: &str, out: &mut Diff) -> Vec<Vec<i64>> {
    let find = |sandbox: &'_ Sandbox| sandbox.syscalls.allowed.iter().find(|call| call.name == name).cloned();
    let (Some(old), Some(new)) = (find(pair.old), find(pair.new)) else { return vec![Vec::new()] };
    let mut found = Vec::new();
    for (one, other) in [(&new, &old), (&old, &new)] {
        match beyond(one, other) {
            Escape::Found(args) => found.push(args),
            Escape::Never => {}
            Escape::GivenUp => out.bound(
                Layer::Syscalls,
                format!("{}: arguments of `{name}` after {MAX_STEPS} steps", pair.name()),
            ),
        }
    }
    found
}

/// Whether one sandbox allows arguments that the other does not.
enum Escape {
    Found(Vec<i64>),
    Never,
    GivenUp,
}

fn beyond(one: &AllowedSyscall, other: &AllowedSyscall) -> Escape {
    if other.when.is_empty() {
        return Escape::Never;
    }
    let always: &[Vec<ArgumentTest>] = &[Vec::new()];
    let others: Vec<&[ArgumentTest]> = other.when.iter().map(Vec::as_slice).collect();
    let mut steps = 0;
    for alternative in if one.when.is_empty() { always } else { one.when.as_slice() } {
        let mut bits = Bits::default();
        if !alternative.iter().all(|test| bits.hold(test)) {
            continue;
        }
        if leave(&mut bits, &others, &mut steps) {
            return Escape::Found(bits.values.iter().map(|value| i64::from(*value)).collect());
        }
    }
    if steps > MAX_STEPS { Escape::GivenUp } else { Escape::Never }
}

/// Fixes one more bit for each alternative that could still hold, so that none of them does.
fn leave(bits: &mut Bits, alternatives: &[&[ArgumentTest]], steps: &mut usize) -> bool {
    *steps += 1;
    let open: Vec<&[ArgumentTest]> =
        alternatives.iter().copied().filter(|tests| !tests.iter().any(|test| bits.fails(test))).collect();
    let Some(first) = open.first() else { return true };
    // An alternative that holds regardless is found before anything is tried.
    if *steps > MAX_STEPS || open.iter().any(|tests| tests.iter().all(|test| bits.settles(test))) {
        return false;
    }
    let tested = first.iter().flat_map(|test| {
        let bit = |at: u32| 1_u32 << at;
        (0..u32::BITS).map(bit).filter(move |bit| test.mask & bit != 0).map(move |bit| (test, bit))
    });
    for (test, bit) in tested {
        let before = *bits;
        let turned = ArgumentTest { index: test.index, mask: bit, value: !test.value & bit };
        if bits.hold(&turned) && leave(bits, &open, steps) {
            return true;
        }
        *bits = before;
    }
    false
}

/// Bits of arguments that are fixed.
#[derive(Clone, Copy, Debug, Default)]
struct Bits {
    fixed: [u32; REGISTERS],
    values: [u32; REGISTERS],
}

impl Bits {
    /// Whether a test can no longer hold.
    fn fails(&self, test: &ArgumentTest) -> bool {
        let at = usize::from(test.index);
        match (self.fixed.get(at), self.values.get(at)) {
            (Some(fixed), Some(value)) => (value ^ test.value) & fixed & test.mask != 0,
            // There is no such argument.
            _ => true,
        }
    }

    /// Whether every bit that a test reads is fixed.
    fn settles(&self, test: &ArgumentTest) -> bool {
        self.fixed.get(usize::from(test.index)).is_some_and(|fixed| test.mask & !fixed == 0)
    }

    /// Fixes the bits that a test requires; `false` if it contradicts the fixed bits.
    fn hold(&mut self, test: &ArgumentTest) -> bool {
        let at = usize::from(test.index);
        let (Some(fixed), Some(value)) = (self.fixed.get_mut(at), self.values.get_mut(at)) else {
            return false;
        };
        // A value with bits outside its mask is one that no register can match.
        let is_free = test.value & !test.mask == 0 && (*value ^ test.value) & *fixed & test.mask == 0;
        if is_free {
            *fixed |= test.mask;
            *value |= test.value;
        }
        is_free
    }
}

/// The architectures that have a call.
fn machines(name: &str) -> &'static str {
    match syscalls::numbers(name) {
        Some(SyscallNumbers { x86_64: Some(_), aarch64: Some(_) }) => "x86_64, aarch64",
        Some(SyscallNumbers { x86_64: Some(_), .. }) => "x86_64",
        Some(SyscallNumbers { aarch64: Some(_), .. }) => "aarch64",
        _ => "no architecture",
    }
}

fn case(sandbox: &str, name: &str, args: &[i64]) -> TestCase {
    let syscall = SyscallCase { sandbox: sandbox.to_owned(), name: name.to_owned(), args: args.to_vec() };
    TestCase { syscall: Some(syscall), ..blank(format!("{name} in {sandbox}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(when: &[&[(u8, u32, u32)]]) -> AllowedSyscall {
        let test = |&(index, mask, value): &(u8, u32, u32)| ArgumentTest { index, mask, value };
        AllowedSyscall {
            name: "clone".to_owned(),
            numbers: SyscallNumbers { x86_64: Some(56), aarch64: Some(220) },
            when: when.iter().map(|tests| tests.iter().map(test).collect()).collect(),
        }
    }

    fn arguments(one: &AllowedSyscall, other: &AllowedSyscall) -> Option<Vec<i64>> {
        match beyond(one, other) {
            Escape::Found(args) => Some(args),
            Escape::Never | Escape::GivenUp => None,
        }
    }

    #[test]
    fn arguments_that_only_one_takes_are_found_or_there_are_none() {
        let unix = call(&[&[(0, u32::MAX, 1)]]);
        let unix_or_inet = call(&[&[(0, u32::MAX, 1)], &[(0, u32::MAX, 2)]]);
        assert_eq!(arguments(&unix_or_inet, &unix), Some(vec![2, 0, 0, 0, 0, 0]));
        assert_eq!(arguments(&unix, &unix_or_inet), None);
        let no_flags = call(&[&[(0, 0x7e00_0000, 0)]]);
        let fewer_flags = call(&[&[(0, 0x7e00_0080, 0)]]);
        assert_eq!(arguments(&no_flags, &fewer_flags), Some(vec![0x80, 0, 0, 0, 0, 0]));
        assert_eq!(arguments(&fewer_flags, &no_flags), None);
        assert!(arguments(&call(&[]), &no_flags).is_some());
        assert_eq!(arguments(&no_flags, &call(&[])), None);
    }

    #[test]
    fn many_alternatives_that_are_the_same_are_told_at_once() {
        let values: Vec<[(u8, u32, u32); 1]> = (0..200).map(|value| [(1, u32::MAX, value * 7)]).collect();
        let all: Vec<&[(u8, u32, u32)]> = values.iter().map(|one| one.as_slice()).collect();
        let (one, fewer) = (call(&all), call(&all[1..]));
        assert!(matches!(beyond(&one, &one), Escape::Never));
        assert_eq!(arguments(&one, &fewer), Some(vec![0; REGISTERS]));
        assert!(matches!(beyond(&fewer, &one), Escape::Never));
        assert!(arguments(&call(&[]), &one).is_some());
    }

    #[test]
    fn alternatives_together_can_take_everything() {
        let halves = call(&[&[(1, 1, 0)], &[(1, 1, 1)]]);
        assert_eq!(arguments(&call(&[]), &halves), None);
        let two = call(&[&[(1, 3, 0)], &[(1, 3, 1)], &[(1, 3, 2)]]);
        assert_eq!(arguments(&call(&[]), &two), Some(vec![0, 3, 0, 0, 0, 0]));
    }
}
