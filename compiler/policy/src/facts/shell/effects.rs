//! What was found so far, and what commands do to the meaning of names.
//!
//! A *change* (an assignment of `PATH`, `alias`, `eval`, …) makes every later name opaque. Position in the
//! text says what is later only if nothing runs twice: with a loop or a function in the line, a change
//! affects all of it.

use std::collections::BTreeSet;

use super::grammar::Parsed;
use super::variables::{self, Effect, is_name};
use super::words::{Draft, Number};
use super::{Args, Assignment, Command, Fact, Line, MAX_COMMANDS, Reason, Redirect};

#[derive(Default)]
pub(super) struct State {
    line: Line,
    /// The first command whose name may have been changed.
    changed_from: Option<usize>,
    /// A loop or a function: the order of the text is not the order of execution.
    repeats: bool,
    functions: BTreeSet<String>,
    /// Variables that are assigned an integer, something else, and those whose values are evaluated.
    integers: BTreeSet<String>,
    others: BTreeSet<String>,
    numbers_read: BTreeSet<String>,
}

impl State {
    /// The number of commands.
    pub(super) const fn len(&self) -> usize {
        self.line.commands.len()
    }

    pub(super) const fn substitutes(&mut self) {
        self.line.substitutes = true;
    }

    pub(super) const fn repeats(&mut self) {
        self.repeats = true;
    }

    /// Whether names were already changed; to be passed to [`State::changes_reach_back`].
    pub(super) const fn changes(&self) -> Option<usize> {
        self.changed_from
    }

    /// Changes noted since then happen before the commands from this one on, although those were noted first.
    pub(super) fn changes_reach_back(&mut self, before: Option<usize>, from: usize) {
        if self.changed_from != before {
            self.change_from(from);
        }
    }

    /// Names from the next command on may have another meaning.
    pub(super) fn change(&mut self) {
        self.change_from(self.len());
    }

    fn change_from(&mut self, index: usize) {
        self.changed_from = Some(self.changed_from.map_or(index, |earlier| earlier.min(index)));
    }

    pub(super) fn function(&mut self, name: &[u8]) -> Parsed<()> {
        self.repeats = true;
        match std::str::from_utf8(name) {
            Ok(name) if !name.contains('/') => {
                self.functions.insert(name.to_owned());
                Ok(())
            }
            _ => Err(Reason::Evaluates),
        }
    }

    /// The value of this variable is evaluated as an expression.
    pub(super) fn reads_number(&mut self, name: &str) {
        if !variables::is_number(name) {
            self.numbers_read.insert(name.to_owned());
        }
    }

    pub(super) fn assign(&mut self, name: &[u8], value: &Draft) -> Parsed<()> {
        self.assign_as(name, value.number == Number::Integer, None)
    }

    pub(super) fn assign_integer(&mut self, name: &str) -> Parsed<()> {
        self.assign_as(name.as_bytes(), true, None)
    }

    pub(super) fn assign_unknown(&mut self, name: &[u8]) -> Parsed<()> {
        self.assign_as(name, false, None)
    }

    /// A variable of unknown name gets an integer.
    pub(super) fn assign_somewhere(&mut self) {
        self.line.assigns = true;
        self.change();
    }

    /// Notes an assignment; `exported` is the value, if known, of a variable that goes into the environment
    /// of commands.
    pub(super) fn assign_as(&mut self, name: &[u8], integer: bool, exported: Option<&str>) -> Parsed<()> {
        self.line.assigns = true;
        let Ok(name) = std::str::from_utf8(name) else { return Err(Reason::Evaluates) };
        match variables::effect(name) {
            Effect::Evaluates if !integer => return Err(Reason::Evaluates),
            Effect::ChangesNames => self.change(),
            Effect::Evaluates | Effect::None => {}
        }
        if exported.is_some_and(|value| !variables::is_harmless(name, value)) {
            self.change();
        }
        let kind = if integer { &mut self.integers } else { &mut self.others };
        kind.insert(name.to_owned());
        Ok(())
    }

    /// A reserved word that is used as a command.
    pub(super) fn keyword(&mut self, word: &str) -> Parsed<()> {
        self.push(Command {
            name: Fact::Known(word.to_owned()),
            args: Args::Exact(Vec::new()),
            redirects: Vec::new(),
            assignments: Vec::new(),
        })
    }

    /// Redirections of a group.
    pub(super) fn nameless(&mut self, redirects: Vec<Redirect>) -> Parsed<()> {
        self.push(Command {
            name: Fact::Known(String::new()),
            args: Args::Exact(Vec::new()),
            redirects,
            assignments: Vec::new(),
        })
    }

    fn push(&mut self, command: Command) -> Parsed<()> {
        if self.len() >= MAX_COMMANDS {
            return Err(Reason::TooMany);
        }
        self.line.commands.push(command);
        Ok(())
    }

    /// A simple command, whose words were read.
    pub(super) fn simple(
        &mut self,
        words: Vec<Draft>,
        assignments: Vec<(Assignment, Draft)>,
        redirects: Vec<Redirect>,
    ) -> Parsed<()> {
        let runs = words.first().map_or(Some(""), Draft::known);
        // To bash, a name that begins with `%` is a job.
        let mut named = runs.is_some_and(|name| !name.starts_with('%'));
        let alone = words.is_empty();
        for (assignment, value) in &assignments {
            self.line.assigns = true;
            if alone {
                continue;
            }
            // For this command only: it affects no other name, but this one may mean another program, or the
            // same program with other code. `IFS= read` splits differently and runs nothing else.
            let splits = assignment.name == "IFS" && named && runs == Some("read");
            let known = value.known().is_some_and(|value| variables::is_harmless(&assignment.name, value));
            if variables::effect(&assignment.name) == Effect::Evaluates || value.array {
                return Err(Reason::Evaluates);
            }
            // The POSIX mode that it turns on makes assignments before `:`, `export`, `shift`, … last. Then it
            // lasts itself.
            if assignment.name == "POSIXLY_CORRECT" {
                self.change();
            }
            self.others.insert(assignment.name.clone());
            named &= splits || known;
        }
        let stand_alone: Vec<_> = assignments.iter().filter(|_| alone).cloned().collect();
        let assignments = assignments.into_iter().map(|(assignment, _)| assignment).collect();
        // Its words follow below: they become the command's own, and until then they are still read here.
        let at = self.len();
        self.push(Command { name: Fact::Opaque, args: Args::Exact(Vec::new()), redirects, assignments })?;
        for (assignment, value) in stand_alone {
            self.assign(assignment.name.as_bytes(), &value)?;
        }
        match runs {
            Some(name) => self.builtin(name, words.get(1..).unwrap_or_default())?,
            // An unknown name may be `eval`.
            None => self.change(),
        }
        let open = words.iter().any(|word| word.spread);
        let mut words = words.into_iter().map(Draft::into_word);
        let name = words.next().unwrap_or_else(|| Fact::Known(String::new()));
        let args = words.collect();
        if let Some(command) = self.line.commands.get_mut(at) {
            command.name = if named { name } else { Fact::Opaque };
            command.args = if open { Args::Open(args) } else { Args::Exact(args) };
        }
        Ok(())
    }

    /// The operands of `[[`, including operators.
    pub(super) fn test_expression(&mut self, words: Vec<Draft>) -> Parsed<()> {
        const NUMERIC: [&str; 6] = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];
        for pair in words.windows(2) {
            let [left, right] = pair else { continue };
            if NUMERIC.iter().any(|operator| left.is_bare(operator)) {
                self.operand_is_number(right)?;
            }
            if NUMERIC.iter().any(|operator| right.is_bare(operator)) {
                self.operand_is_number(left)?;
            }
            let names_variable = left.is_bare("-v") || left.is_bare("-R");
            if names_variable && !right.plain().is_some_and(is_name) {
                return Err(Reason::Evaluates);
            }
        }
        self.push(Command {
            name: Fact::Known("[[".to_owned()),
            args: Args::Exact(words.iter().map(Draft::to_word).collect()),
            redirects: Vec::new(),
            assignments: Vec::new(),
        })
    }

    fn operand_is_number(&mut self, operand: &Draft) -> Parsed<()> {
        match &operand.number {
            Number::Integer => Ok(()),
            Number::Variable(name) => {
                self.reads_number(name);
                Ok(())
            }
            Number::None if operand.known().is_some_and(|text| text.parse::<i64>().is_ok()) => Ok(()),
            Number::None => Err(Reason::Evaluates),
        }
    }

    /// The line after all of it was read: names that may have been changed become opaque.
    pub(super) fn into_line(mut self) -> Parsed<Line> {
        let numbers_hold = self.numbers_read.iter().all(|name| {
            self.integers.contains(name) && !self.others.contains(name) && !variables::is_set_by_bash(name)
        });
        if !numbers_hold || !self.numbers_read.is_empty() && self.changed_from.is_some() {
            return Err(Reason::Evaluates);
        }
        let changed_from = self.changed_from.map(|from| if self.repeats { 0 } else { from });
        for (index, command) in self.line.commands.iter_mut().enumerate() {
            let changed = changed_from.is_some_and(|from| index >= from);
            let function = command.name.known().is_some_and(|name| self.functions.contains(name));
            if changed || function {
                command.name = Fact::Opaque;
            }
        }
        Ok(self.line)
    }
}
