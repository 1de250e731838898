//! Compiles a policy into a program: one load of the number, then a balanced tree of comparisons over ranges
//! of numbers that have the same answer. The usual list of comparisons costs half a millisecond to install
//! for 300 calls and runs through all of them for the last one; the tree costs a tenth of that.
//!
//! A program only jumps forward, so it is written from its end: every target exists before the instruction
//! that jumps to it. Equal instructions with equal targets are written once, which also lets calls share the
//! tests of their arguments. The offsets of a comparison have 8 bits; a target out of their reach gets a
//! stand-in nearby: an unconditional jump (32 bits) or a copy of the answer.
//!
//! ```text
//! load architecture ─► other: kill
//! load number ─► tree over ranges (x32 is one of them) ─┬► answer
//!                                                       └► load argument ─► [mask] ─► tree over values ─► … ─► answer
//! ```

use std::collections::BTreeMap;

use super::policy::X32_BIT;
use super::{
    Action, Architecture, Instruction, MAX_INSTRUCTIONS, Policy, Program, Rule, Test, offset, operation,
};

/// Most alternatives of one rule: an allow-list of requests is a few dozen long. Bounds the recursion over
/// them.
const MAX_ALTERNATIVES: usize = 256;

/// Most ranges that are distinguished by single values instead of halves: each saves one instruction, but
/// costs one more step.
const FEW_RANGES: usize = 17;

/// Farthest target of a comparison: 8 bits, less one for the stand-in that its other target may need.
const REACH: usize = 254;

/// Largest errno that the kernel returns (`MAX_ERRNO`); it reduces larger ones to it.
const MAX_ERRNO: u16 = 4095;

/// Why a policy cannot become a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// No system call of the architecture can have the number.
    #[error("no system call has the number {number:#x}")]
    Number {
        /// The number.
        number: u32,
    },
    /// A call has six arguments.
    #[error("call {number} has no argument {index}")]
    Argument {
        /// The call.
        number: u32,
        /// The index.
        index: u8,
    },
    /// The value has bits that the mask leaves out, so the test can never hold.
    #[error("call {number}: {value:#x} is not within the mask {mask:#x}")]
    Value {
        /// The call.
        number: u32,
        /// The mask.
        mask: u32,
        /// The value.
        value: u32,
    },
    /// Too many alternatives.
    #[error("call {number} has more than {MAX_ALTERNATIVES} alternatives")]
    Alternatives {
        /// The call.
        number: u32,
    },
    /// An errno cannot be this large.
    #[error("{errno} is not an errno")]
    Errno {
        /// The number.
        errno: u16,
    },
    /// The program is longer than the kernel accepts.
    #[error("the program has {length} instructions, more than {MAX_INSTRUCTIONS}")]
    TooLong {
        /// Its length.
        length: usize,
    },
}

/// The program that decides as the policy does.
///
/// # Errors
/// An invalid policy, or one that needs more than [`MAX_INSTRUCTIONS`].
pub fn compile(policy: &Policy) -> Result<Program, CompileError> {
    check_action(policy.otherwise)?;
    for (number, rule) in &policy.rules {
        check_rule(*number, rule)?;
    }
    let mut code = Code::default();
    let otherwise = code.answer(policy.otherwise);
    let mut cases = Vec::new();
    for (number, rule) in &policy.rules {
        let then = code.answer(rule.then);
        let target = if rule.when.is_empty() { then } else { code.any(rule.when.clone(), then, otherwise) };
        cases.push((*number, target));
    }
    let kill = code.answer(Action::KillProcess);
    let mut ranges = Ranges::of(&cases, otherwise);
    if policy.architecture == Architecture::X86_64 {
        // No rule has a number this large, so no range begins there yet.
        ranges.add(X32_BIT, kill);
    }
    let tree = code.tree(&ranges.0);
    let number = code.straight(operation::LOAD, offset::NUMBER, tree);
    let native = code.compare(operation::IF_EQUAL, policy.architecture.audit_value(), number, kill);
    code.straight(operation::LOAD, offset::ARCHITECTURE, native);
    code.finish()
}

fn check_rule(number: u32, rule: &Rule) -> Result<(), CompileError> {
    if number >= X32_BIT {
        return Err(CompileError::Number { number });
    }
    if rule.when.len() > MAX_ALTERNATIVES {
        return Err(CompileError::Alternatives { number });
    }
    for test in rule.when.iter().flatten() {
        if test.index > 5 {
            return Err(CompileError::Argument { number, index: test.index });
        }
        if test.value & !test.mask != 0 {
            return Err(CompileError::Value { number, mask: test.mask, value: test.value });
        }
    }
    check_action(rule.then)
}

fn check_action(action: Action) -> Result<(), CompileError> {
    match action {
        Action::Errno(errno) if errno > MAX_ERRNO => Err(CompileError::Errno { errno }),
        _ => Ok(()),
    }
}

/// An instruction that is already written, by its distance from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target(usize);

/// Where the range of one target begins; it extends to the next range.
#[derive(Clone, Copy, Debug)]
struct Range {
    from: u32,
    to: Target,
}

/// Ranges that cover all of `u32`: the first begins at 0, and neighbours differ in their targets.
struct Ranges(Vec<Range>);

impl Ranges {
    /// `cases` are sorted by value, each value once; every other value goes to `otherwise`.
    fn of(cases: &[(u32, Target)], otherwise: Target) -> Self {
        let mut ranges = Ranges(Vec::new());
        let mut next = Some(0);
        for (value, to) in cases {
            if next.is_some_and(|next| next < *value) {
                ranges.add(next.unwrap_or(0), otherwise);
            }
            ranges.add(*value, *to);
            next = value.checked_add(1);
        }
        if let Some(next) = next {
            ranges.add(next, otherwise);
        }
        ranges
    }

    fn add(&mut self, from: u32, to: Target) {
        if self.0.last().is_none_or(|last| last.to != to) {
            self.0.push(Range { from, to });
        }
    }
}

/// An instruction that is already written: operation, operand, and the targets if it has any.
type Written = (u16, u32, Option<(Target, Target)>);

/// A program under construction, last instruction first.
#[derive(Default)]
struct Code {
    reversed: Vec<Instruction>,
    written: BTreeMap<Written, Target>,
    /// The latest stand-in of a target.
    stand_ins: BTreeMap<Target, Target>,
}

impl Code {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Target {
        self.reversed.push(Instruction { code, jt, jf, k });
        Target(self.reversed.len() - 1)
    }

    /// How many instructions are between a target and the next one to be written.
    fn distance(&self, target: Target) -> usize {
        self.reversed.len() - 1 - target.0
    }

    fn answer(&mut self, action: Action) -> Target {
        let key = (operation::RETURN, action.to_return(), None);
        if let Some(target) = self.written.get(&key) {
            return *target;
        }
        let target = self.push(operation::RETURN, 0, 0, action.to_return());
        self.written.insert(key, target);
        target
    }

    /// An operation that continues at `next`.
    fn straight(&mut self, operation: u16, k: u32, next: Target) -> Target {
        let key = (operation, k, Some((next, next)));
        if let Some(target) = self.written.get(&key) {
            return *target;
        }
        if self.distance(next) > 0 {
            self.jump(next);
        }
        let target = self.push(operation, 0, 0, k);
        self.written.insert(key, target);
        target
    }

    /// A comparison of the loaded value with `k`.
    fn compare(&mut self, operation: u16, k: u32, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        let key = (operation, k, Some((yes, no)));
        if let Some(target) = self.written.get(&key) {
            return *target;
        }
        let (yes, no) = (self.near(yes), self.near(no));
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        let target = self.push(operation, jt, jf, k);
        self.written.insert(key, target);
        target
    }

    /// The target, or a stand-in within [`REACH`].
    fn near(&mut self, target: Target) -> Target {
        if self.distance(target) <= REACH {
            return target;
        }
        if let Some(stand_in) = self.stand_ins.get(&target).copied()
            && self.distance(stand_in) <= REACH
        {
            return stand_in;
        }
        let stand_in = match self.reversed.get(target.0) {
            Some(answer) if answer.code == operation::RETURN => self.push(answer.code, 0, 0, answer.k),
            _ => self.jump(target),
        };
        self.stand_ins.insert(target, stand_in);
        stand_in
    }

    fn jump(&mut self, target: Target) -> Target {
        self.push(operation::JUMP, 0, 0, self.distance(target) as u32)
    }

    /// Jumps to the target of the range that the loaded value is in.
    fn tree(&mut self, ranges: &[Range]) -> Target {
        if ranges.len() <= FEW_RANGES
            && let Some(at) = ranges.windows(3).position(lone_value)
            && let (Some(lone), Some(before), Some(after)) =
                (ranges.get(at + 1), ranges.get(..=at), ranges.get(at + 3..))
        {
            let rest = self.tree(&[before, after].concat());
            return self.compare(operation::IF_EQUAL, lone.from, lone.to, rest);
        }
        let (low, high) = ranges.split_at(ranges.len() / 2);
        match (low.is_empty(), high.first()) {
            (false, Some(first)) => {
                let (no, yes) = (self.tree(low), self.tree(high));
                self.compare(operation::IF_AT_LEAST, first.from, yes, no)
            }
            (_, Some(only)) => only.to,
            // A cover is never empty; if one were, the answer must not be a permission.
            (_, None) => self.answer(Action::KillProcess),
        }
    }

    /// Jumps to `yes` if any of the alternatives holds, otherwise to `no`. Alternatives that test the same
    /// bits first share one tree.
    fn any(&mut self, when: Vec<Vec<Test>>, yes: Target, no: Target) -> Target {
        if when.iter().any(Vec::is_empty) {
            return yes;
        }
        let Some(first) = when.first().and_then(|all| all.first()).copied() else { return no };
        let mut others = Vec::new();
        let mut by_value: BTreeMap<u32, Vec<Vec<Test>>> = BTreeMap::new();
        for alternative in when {
            match alternative.split_first() {
                Some((test, rest)) if (test.index, test.mask) == (first.index, first.mask) => {
                    by_value.entry(test.value).or_default().push(rest.to_vec());
                }
                _ => others.push(alternative),
            }
        }
        let next = self.any(others, yes, no);
        let cases: Vec<_> =
            by_value.into_iter().map(|(value, rest)| (value, self.any(rest, yes, next))).collect();
        let mut target = self.tree(&Ranges::of(&cases, next).0);
        if first.mask != u32::MAX {
            target = self.straight(operation::AND, first.mask, target);
        }
        self.straight(operation::LOAD, offset::ARGUMENTS + 8 * u32::from(first.index), target)
    }

    fn finish(mut self) -> Result<Program, CompileError> {
        if self.reversed.len() > MAX_INSTRUCTIONS {
            return Err(CompileError::TooLong { length: self.reversed.len() });
        }
        self.reversed.reverse();
        Ok(Program(self.reversed))
    }
}

/// Whether the middle one of three ranges is a single value between two ranges with the same target.
fn lone_value(three: &[Range]) -> bool {
    matches!(three, [before, lone, after] if before.to == after.to && lone.from.checked_add(1) == Some(after.from))
}
