//! Expressions as they are compared: by what they compute, not by their text.
//!
//! The compiler writes parameters, the name of the pack and its version into an expression, whose text stays
//! the same when they change. A shared expression and a pattern are an index into a table of their policy;
//! here both policies' shared expressions are numbered together, and patterns are written out.

use std::collections::BTreeMap;

use bailiwick_policy::ir::{Cel, Const, Expr, Func};
use bailiwick_policy::policy::Policy;

use crate::meet::each_node;

/// The tables that a policy's expressions point into.
pub(super) struct Tables<'p> {
    /// For each shared expression its number among those of both policies: equal ones have the same.
    shared: Vec<u32>,
    regexes: &'p [String],
}

impl<'p> Tables<'p> {
    /// Those of the admission rules of two policies that are compared.
    pub(super) fn of(old: &'p Policy, new: &'p Policy) -> [Self; 2] {
        let mut known: BTreeMap<String, u32> = BTreeMap::new();
        [old, new].map(|policy| {
            let mut tables = Self { shared: Vec::new(), regexes: &policy.admission.regexes };
            // Each uses only earlier ones.
            for cel in &policy.admission.shared {
                let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
                let number = *known.entry(tables.written(cel)).or_insert(next);
                tables.shared.push(number);
            }
            tables
        })
    }

    /// Those of a layer of tools, whose rules share no expressions.
    pub(super) const fn of_layer(regexes: &'p [String]) -> Self {
        Self { shared: Vec::new(), regexes }
    }

    /// A text that is the same for two expressions only if they compute the same.
    pub(super) fn written(&self, cel: &Cel) -> String {
        let mut expr = cel.expr.clone();
        each_node(&mut expr, &mut |node| match node {
            Expr::Shared(index) => *index = self.shared(*index).unwrap_or(u32::MAX),
            Expr::Matches(operand, index) => {
                let pattern = usize::try_from(*index).ok().and_then(|at| self.regexes.get(at)).cloned();
                let pattern = pattern.map_or(Const::Null, Const::Str);
                let operand = std::mem::replace(&mut **operand, Expr::Const(Const::Null));
                *node = Expr::Call(Func::MatchesDynamic, vec![operand, Expr::Const(pattern)]);
            }
            _ => {}
        });
        format!("{expr:?}")
    }

    /// The number of a shared expression of the policy.
    pub(super) fn shared(&self, index: u32) -> Option<u32> {
        self.shared.get(usize::try_from(index).ok()?).copied()
    }
}
