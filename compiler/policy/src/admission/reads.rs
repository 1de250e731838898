//! What an expression reads of the object, so that an UPDATE which changes none of it cannot have caused a
//! violation.
//!
//! An expression that sees only the object, the parameters and the namespace gives the same result over two
//! objects that agree in everything that it reads. So "the violation was there before" needs no second
//! evaluation, only this comparison.
//!
//! ```text
//! pod.mainContainers.all(c, c.?resources.?limits.hasValue())
//!   ► spec.initContainers[*].resources.limits, spec.containers[*].resources.limits, and the lengths of both lists
//! ```
//!
//! Over-approximates: what is not understood counts as read whole. Terms. *Origin*: where in the object the
//! value of a sub-expression comes from. *Foreign*: something else that changes between two requests
//! (`request`, `oldObject`).

use std::collections::{BTreeMap, BTreeSet};

use crate::ir::{Cel, Const, Expr, Func, Macro, MacroKind, PodContainers, Root};
use crate::json::Json;
use crate::policy::{Admission, AdmissionRule};

use super::rego::RegoReads;

/// A step of a read path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A member, or a position of a list in digits.
    Key(String),
    /// Every element or value.
    Each,
    /// Ends a path: the length of a list or the keys of an object, not what they hold.
    Shape,
}

type Path = Vec<Step>;

/// What one expression reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    paths: BTreeSet<Path>,
    foreign: bool,
}

impl Reads {
    /// Whether the expression reads something of the object and nothing foreign.
    pub(super) fn only_object(&self) -> bool {
        !self.foreign && !self.paths.is_empty()
    }

    /// Whether the expression reads what changes between two requests about the same object.
    pub(super) const fn foreign(&self) -> bool {
        self.foreign
    }

    /// Whether anything at this path or below it is read. `*` steps into every element or value; the length
    /// of a list and the keys of an object are read with its parent.
    pub(super) fn touches(&self, path: &[&str]) -> bool {
        self.paths.iter().any(|read| {
            let mut steps = read.iter().zip(path).enumerate();
            steps.all(|(at, (step, name))| match step {
                Step::Key(key) => key == name || *name == "*",
                Step::Each => true,
                // The keys of the direct parent; further up, a length or keys have nothing to do with what is
                // below.
                Step::Shape => at + 1 == path.len(),
            })
        })
    }

    /// Whether two objects agree in everything that is read.
    pub(super) fn agree(&self, one: &Json<'_>, other: &Json<'_>) -> bool {
        self.paths.iter().all(|path| same(Some(one), Some(other), path))
    }
}

impl From<RegoReads> for Reads {
    fn from(reads: RegoReads) -> Self {
        let paths = reads.object.into_iter().map(|path| path.into_iter().map(Step::Key).collect());
        Self { paths: paths.collect(), foreign: reads.foreign }
    }
}

/// Walks both objects in step. Where only one has a member, the expression may end differently (`has` of a
/// missing parent is an error). That counts as a difference even if the path leads nowhere in both.
fn same(one: Option<&Json<'_>>, other: Option<&Json<'_>>, path: &[Step]) -> bool {
    let (one, other) = match (one, other) {
        (None, None) => return true,
        (Some(one), Some(other)) => (one, other),
        _ => return false,
    };
    let Some((step, rest)) = path.split_first() else {
        return one == other;
    };
    match (one, other) {
        (Json::Map(a), Json::Map(b)) => match step {
            Step::Key(key) => same(a.get(key), b.get(key), rest),
            Step::Each => {
                a.len() == b.len() && a.iter().all(|(key, value)| same(Some(value), b.get(key), rest))
            }
            Step::Shape => a.len() == b.len() && a.iter().all(|(key, _)| b.get(key).is_some()),
        },
        (Json::List(a), Json::List(b)) => match step {
            Step::Key(key) => match key.parse::<usize>() {
                Ok(at) => same(a.get(at), b.get(at), rest),
                Err(_) => one == other,
            },
            Step::Each => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b), rest)),
            Step::Shape => a.len() == b.len(),
        },
        _ => one == other,
    }
}

/// What each `variables.NAME` expression reads, in the order of the policy's list.
pub(super) struct SharedReads(Vec<(Vec<Path>, Reads)>);

impl SharedReads {
    pub(super) fn new(shared: &[Cel]) -> Self {
        let mut done = Self(Vec::with_capacity(shared.len()));
        for cel in shared {
            let mut walk = Walk { shared: &done, slots: BTreeMap::new(), reads: Reads::default() };
            let origins = walk.origins(&cel.expr);
            let reads = walk.reads;
            done.0.push((origins, reads));
        }
        done
    }

    /// What an expression reads.
    pub(super) fn of(&self, cel: &Cel) -> Reads {
        let mut walk = Walk { shared: self, slots: BTreeMap::new(), reads: Reads::default() };
        walk.consume(&cel.expr);
        walk.reads
    }
}

/// What the validations of a policy's rules read of an object, for checks of packs.
pub struct RuleReads(SharedReads);

impl RuleReads {
    /// Of all rules of a policy.
    #[must_use]
    pub fn new(admission: &Admission) -> Self {
        Self(SharedReads::new(&admission.shared))
    }

    /// Whether a validation of the rule may depend on the value at this path; `*` steps into every element.
    /// The rule's Rego is not considered.
    #[must_use]
    pub fn touch(&self, rule: &AdmissionRule, path: &[&str]) -> bool {
        rule.validations.iter().any(|validation| self.0.of(&validation.expression).touches(path))
    }

    /// Whether a validation or a condition of the rule may depend on the value at this path.
    #[must_use]
    pub fn concern(&self, rule: &AdmissionRule, path: &[&str]) -> bool {
        let mut conditions = rule.matches.conditions.iter();
        self.touch(rule, path) || conditions.any(|(_, cel)| self.0.of(cel).touches(path))
    }
}

struct Walk<'w> {
    shared: &'w SharedReads,
    slots: BTreeMap<u16, Vec<Path>>,
    reads: Reads,
}

impl Walk<'_> {
    /// The value is used whole.
    fn consume(&mut self, expr: &Expr) {
        let origins = self.origins(expr);
        self.reads.paths.extend(origins);
    }

    /// Only the length or the keys of the value are used.
    fn consume_shape(&mut self, origins: &[Path]) {
        self.reads.paths.extend(origins.iter().map(|path| extended(path, Step::Shape)));
    }

    /// Where the value comes from; what was used on the way is recorded.
    fn origins(&mut self, expr: &Expr) -> Vec<Path> {
        match expr {
            Expr::Const(_) => Vec::new(),
            Expr::Root(root) => self.root(*root),
            Expr::Slot(slot) => self.slots.get(slot).cloned().unwrap_or_default(),
            Expr::Shared(index) => self.shared(*index),
            Expr::PodContainers(which) => containers(*which),
            Expr::Select(operand, field) | Expr::OptSelect(operand, field) => self.below(operand, field),
            Expr::Has(operand, field) => {
                let paths = self.below(operand, field);
                self.reads.paths.extend(paths);
                Vec::new()
            }
            Expr::Index(operand, index) | Expr::OptIndex(operand, index) => self.index(operand, index),
            Expr::Cond(condition, then, otherwise) => {
                self.consume(condition);
                let mut origins = self.origins(then);
                origins.extend(self.origins(otherwise));
                origins
            }
            Expr::Macro(inner) => self.comprehension(inner),
            Expr::Bind(bind) => {
                let init = self.origins(&bind.init);
                self.consume_shape(&init);
                self.slots.insert(bind.slot, init);
                self.origins(&bind.body)
            }
            Expr::Call(func, args) => self.call(*func, args),
            Expr::And(all) | Expr::Or(all) => self.consume_all(all),
            Expr::List(items) => self.consume_all(items.iter().map(|(item, _)| item)),
            Expr::Map(entries) => self.consume_all(entries.iter().flat_map(|(key, value, _)| [key, value])),
            Expr::Not(operand) | Expr::Matches(operand, _) | Expr::InConst(operand, _) => {
                self.consume_all([operand.as_ref()])
            }
        }
    }

    fn consume_all<'e>(&mut self, all: impl IntoIterator<Item = &'e Expr>) -> Vec<Path> {
        for expr in all {
            self.consume(expr);
        }
        Vec::new()
    }

    fn root(&mut self, root: Root) -> Vec<Path> {
        match root {
            Root::Object => vec![Vec::new()],
            // The loader rejects variables of calls here.
            Root::OldObject
            | Root::Request
            | Root::Authorizer
            | Root::RequestResource
            | Root::Call
            | Root::Subject
            | Root::Session
            | Root::Facts
            | Root::Now
            | Root::Result => {
                self.reads.foreign = true;
                Vec::new()
            }
            Root::NamespaceObject => Vec::new(),
        }
    }

    fn shared(&mut self, index: u32) -> Vec<Path> {
        let Some((origins, reads)) = self.shared.0.get(index as usize) else {
            // A forward reference; the bundle's loader rejects it. Nothing is known about it, so it counts as
            // foreign.
            self.reads.foreign = true;
            return Vec::new();
        };
        self.reads.paths.extend(reads.paths.iter().cloned());
        self.reads.foreign |= reads.foreign;
        origins.clone()
    }

    fn below(&mut self, operand: &Expr, field: &str) -> Vec<Path> {
        self.origins(operand).iter().map(|path| extended(path, Step::Key(field.to_owned()))).collect()
    }

    fn index(&mut self, operand: &Expr, index: &Expr) -> Vec<Path> {
        let origins = self.origins(operand);
        let step = match index {
            Expr::Const(Const::Str(key)) => Step::Key(key.clone()),
            Expr::Const(Const::Int(at)) => Step::Key(at.to_string()),
            other => {
                self.consume(other);
                Step::Each
            }
        };
        origins.iter().map(|path| extended(path, step.clone())).collect()
    }

    fn call(&mut self, func: Func, args: &[Expr]) -> Vec<Path> {
        match func {
            // The result is one of these, or their concatenation.
            Func::OrValue | Func::Or | Func::Add | Func::Dyn | Func::OptionalOf | Func::Value => {
                args.iter().flat_map(|arg| self.origins(arg)).collect()
            }
            Func::Size => {
                for arg in args {
                    let origins = self.origins(arg);
                    self.consume_shape(&origins);
                }
                Vec::new()
            }
            _ => self.consume_all(args),
        }
    }

    fn comprehension(&mut self, inner: &Macro) -> Vec<Path> {
        let range = self.origins(&inner.range);
        self.consume_shape(&range);
        let optional = matches!(inner.kind, MacroKind::OptMap | MacroKind::OptFlatMap);
        let elements: Vec<Path> = if optional {
            range.clone()
        } else {
            range.iter().map(|path| extended(path, Step::Each)).collect()
        };
        match inner.slot2 {
            Some(second) => {
                self.slots.insert(inner.slot, Vec::new());
                self.slots.insert(second, elements);
            }
            None => {
                self.slots.insert(inner.slot, elements);
            }
        }
        if let Some(filter) = &inner.filter {
            self.consume(filter);
        }
        match inner.kind {
            MacroKind::OptMap | MacroKind::OptFlatMap => self.origins(&inner.body),
            MacroKind::Filter | MacroKind::SortBy => {
                self.consume(&inner.body);
                range
            }
            _ => self.consume_all([&inner.body]),
        }
    }
}

fn extended(path: &Path, step: Step) -> Path {
    path.iter().cloned().chain([step]).collect()
}

fn containers(which: PodContainers) -> Vec<Path> {
    let lists: &[&str] = match which {
        PodContainers::All => &["initContainers", "containers", "ephemeralContainers"],
        PodContainers::Main => &["initContainers", "containers"],
    };
    lists.iter().map(|list| vec![Step::Key("spec".to_owned()), Step::Key((*list).to_owned())]).collect()
}

#[cfg(test)]
mod tests;
