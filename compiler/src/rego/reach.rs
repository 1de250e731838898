//! Which rules of a module an entry reaches, how deep, how often the interpreter may restart its count, and
//! which parts of the input they read.
//!
//! The interpreter ends a rule that has used up its steps with an error. A function catches the error of one
//! of its definitions and continues with the next one, whose steps are counted from zero. The steps of an
//! entry are therefore its limit times the number of *turns*, which is bounded here. Within one definition,
//! the first error ends it, whatever loops it has.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::admission::rego::RegoReads;

use super::tree::{Kind, RuleOf, Step, Tree, Use};
use super::{Fault, ROOTS, RegoError};

/// Deepest chain of rules that use each other. Each level of calls takes some kilobytes of stack.
pub(super) const MAX_LEVELS: usize = 64;
/// Most turns of an entry.
pub(super) const MAX_TURNS: u64 = 64;

/// What a name in the module refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A rule of the module.
    Rule(String),
    /// The input, or a selection from it.
    Input(Vec<Step>),
    /// Something in `data`, but not in this module.
    Elsewhere,
    /// The package itself, or something in it that cannot be determined.
    Package,
    /// A variable, or a built-in.
    Other,
}

/// The module's names.
pub(super) struct Names<'t> {
    pub(super) rules: BTreeMap<&'t str, Vec<&'t RuleOf>>,
    tree: &'t Tree,
}

impl<'t> Names<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        Self { rules: tree.by_name(), tree }
    }

    /// What a reference refers to.
    pub(super) fn meaning(&self, root: &str, steps: &[Step]) -> Meaning {
        match root {
            "input" => Meaning::Input(steps.to_vec()),
            "data" => self.of_data(steps),
            _ if self.rules.contains_key(root) => Meaning::Rule(root.to_owned()),
            _ => match self.tree.imports.iter().find(|import| import.name == root) {
                Some(import) => {
                    let members = import.path.iter().skip(1).cloned().map(Step::Member);
                    let all: Vec<Step> = members.chain(steps.iter().cloned()).collect();
                    match import.path.first().map(String::as_str) {
                        Some("input") => Meaning::Input(all),
                        Some("data") => self.of_data(&all),
                        _ => Meaning::Other,
                    }
                }
                None => Meaning::Other,
            },
        }
    }

    fn of_data(&self, steps: &[Step]) -> Meaning {
        let package = self.tree.package.len();
        let within = steps.iter().zip(&self.tree.package).all(|(step, name)| match step {
            Step::Member(member) => member == name,
            Step::Any => true,
        });
        match steps.get(package) {
            _ if !within => Meaning::Elsewhere,
            Some(Step::Member(name)) if self.rules.contains_key(name.as_str()) => Meaning::Rule(name.clone()),
            Some(Step::Member(_)) => Meaning::Elsewhere,
            Some(Step::Any) | None => Meaning::Package,
        }
    }

    /// What the name in a call refers to.
    pub(super) fn called(&self, name: &str) -> Meaning {
        let mut parts = name.split('.').map(str::to_owned);
        let root = parts.next().unwrap_or_default();
        let steps: Vec<Step> = parts.map(Step::Member).collect();
        match self.meaning(&root, &steps) {
            Meaning::Input(_) => Meaning::Other,
            meaning => meaning,
        }
    }

    /// The rules that a definition uses. One that reads the package as a whole uses all of them.
    fn used(&self, rule: &RuleOf) -> BTreeSet<&str> {
        let mut out = BTreeSet::new();
        for one in &rule.uses {
            let meaning = match one {
                Use::Call { name, .. } => self.called(name),
                Use::Reference { root, steps, .. } => self.meaning(root, steps),
                Use::With { .. } => Meaning::Other,
            };
            match meaning {
                Meaning::Rule(name) => {
                    out.extend(self.rules.get_key_value(name.as_str()).map(|(name, _)| *name))
                }
                Meaning::Package => out.extend(self.rules.keys()),
                Meaning::Input(_) | Meaning::Elsewhere | Meaning::Other => {}
            }
        }
        out
    }
}

/// What is known about a rule once everything that it uses is known.
#[derive(Clone, Copy)]
struct Measured {
    levels: usize,
    turns: u64,
}

/// The rules that an entry reaches, including itself.
pub(super) fn reached<'t>(names: &Names<'t>, entry: &'t str) -> Result<BTreeSet<&'t str>, RegoError> {
    let mut measure = Measure { names, done: BTreeMap::new(), open: Vec::new() };
    let Some(definitions) = names.rules.get(entry) else { return Ok(BTreeSet::new()) };
    let bytes = definitions.first().map(|rule| rule.bytes.clone()).unwrap_or_default();
    let Measured { turns, .. } = measure.rule(entry)?;
    if turns > MAX_TURNS {
        let message = format!(
            "`{entry}` stands upon functions with {turns} ways through their definitions, the limit is {MAX_TURNS}"
        );
        let help = "give functions fewer definitions each, or have rules instead of functions call functions";
        return Err(RegoError::new(Fault::Limit, bytes, message).with_help(help));
    }
    Ok(measure.done.keys().copied().collect())
}

struct Measure<'n, 't> {
    names: &'n Names<'t>,
    done: BTreeMap<&'t str, Measured>,
    open: Vec<&'t str>,
}

impl<'t> Measure<'_, 't> {
    fn rule(&mut self, name: &'t str) -> Result<Measured, RegoError> {
        if let Some(known) = self.done.get(name) {
            return Ok(*known);
        }
        let definitions: Vec<&'t RuleOf> = self.names.rules.get(name).cloned().unwrap_or_default();
        let bytes = definitions.first().map(|rule| rule.bytes.clone()).unwrap_or_default();
        if self.open.contains(&name) {
            let message = format!("`{name}` depends on itself");
            return Err(RegoError::new(Fault::Reference, bytes, message)
                .with_help("Rego has no recursion: go through the value with a comprehension"));
        }
        if self.open.len() >= MAX_LEVELS {
            let message = format!("more than {MAX_LEVELS} rules stand upon each other here");
            return Err(RegoError::new(Fault::Limit, bytes, message));
        }
        self.open.push(name);
        let mut measured = Measured { levels: 1, turns: 0 };
        for definition in definitions {
            let mut most = 1;
            for used in self.used(definition) {
                let below = self.rule(used)?;
                measured.levels = measured.levels.max(below.levels + 1);
                most = most.max(below.turns);
            }
            measured.turns = match definition.kind {
                Kind::Function => measured.turns.saturating_add(most),
                Kind::Set(_) | Kind::Value => measured.turns.max(most),
            };
        }
        self.open.pop();
        if measured.levels > MAX_LEVELS {
            let message = format!("more than {MAX_LEVELS} rules stand upon each other here");
            return Err(RegoError::new(Fault::Limit, bytes, message));
        }
        self.done.insert(name, measured);
        Ok(measured)
    }

    fn used(&self, definition: &'t RuleOf) -> Vec<&'t str> {
        let used = self.names.used(definition);
        let keys = self.names.rules.keys();
        keys.copied().filter(|name| used.contains(name)).collect()
    }
}

/// The parts of the input that these rules read.
pub(super) fn reads(names: &Names<'_>, reached: &BTreeSet<&str>) -> RegoReads {
    let mut reads = RegoReads { object: Vec::new(), foreign: false };
    let rules = reached.iter().filter_map(|name| names.rules.get(name)).flatten();
    for one in rules.flat_map(|rule| &rule.uses) {
        if let Use::Reference { root, steps, .. } = one
            && let Meaning::Input(steps) = names.meaning(root, steps)
        {
            read(&steps, &mut reads);
        }
    }
    reads.object.sort();
    reads.object.dedup();
    reads
}

fn read(steps: &[Step], reads: &mut RegoReads) {
    let mut members = steps.iter().map_while(|step| match step {
        Step::Member(name) => Some(name.clone()),
        Step::Any => None,
    });
    let root = members.next();
    match root.as_deref() {
        Some("object") => reads.object.push(members.collect()),
        Some("request" | "review") => match members.next().as_deref() {
            Some("object") => reads.object.push(members.collect()),
            Some(_) => reads.foreign = true,
            // The request as a whole contains both objects.
            None => {
                reads.object.push(Vec::new());
                reads.foreign = true;
            }
        },
        Some("oldObject") => reads.foreign = true,
        Some(other) if ROOTS.contains(&other) => {}
        // The input as a whole.
        _ => {
            reads.object.push(Vec::new());
            reads.foreign = true;
        }
    }
}
