//! The union of admission rules, with the tables that they share.
//!
//! Rules are requirements, so all of them apply. The tables that they index (`shared` expressions, `regexes`,
//! modules of `rego`) are concatenated and then rewritten in the order of first use, which makes them
//! independent of the order of the union.
//!
//! A shared expression with a parameter computes something else in another pack, even if its text is the same.
//! The parameter's value is written into it, so equal expressions compute the same in every pack.

use std::collections::BTreeMap;

use bailiwick_policy::ir::{Cel, Expr};
use bailiwick_policy::policy::{Admission, AdmissionRule, Mutation};

use super::provenance::order;

/// Joins two sections.
pub(super) fn unite(mut a: Admission, b: Admission) -> Admission {
    let shared = u32::try_from(a.shared.len()).unwrap_or(u32::MAX);
    let regexes = u32::try_from(a.regexes.len()).unwrap_or(u32::MAX);
    let mut shift = |expr: &mut Expr| match expr {
        Expr::Shared(index) => *index = index.saturating_add(shared),
        Expr::Matches(_, index) => *index = index.saturating_add(regexes),
        _ => {}
    };
    let modules = u32::try_from(a.rego.len()).unwrap_or(u32::MAX);
    let Admission { shared: more, regexes: patterns, rego, rules } = b;
    a.rego.extend(rego);
    a.shared.extend(more.into_iter().map(|mut cel| {
        each_node(&mut cel.expr, &mut shift);
        cel
    }));
    a.regexes.extend(patterns);
    a.rules.extend(rules.into_iter().map(|mut rule| {
        each_expression(&mut rule, &mut |cel| each_node(&mut cel.expr, &mut shift));
        rule.variables.iter_mut().for_each(|(_, index)| *index = index.saturating_add(shared));
        rule.rego.iter_mut().for_each(|rego| rego.module = rego.module.saturating_add(modules));
        rule
    }));
    a
}

/// Rules by pack and place, without duplicates; tables in the order of first use, without duplicates.
pub(super) fn canonical(admission: Admission) -> Admission {
    let Admission { shared, regexes, rego, mut rules } = admission;
    rules.sort_by(|a, b| order(&a.origin, &b.origin));
    let mut tables = Tables {
        old_shared: shared,
        regexes: Texts { old: regexes, ..Texts::default() },
        modules: Texts { old: rego, ..Texts::default() },
        ..Tables::default()
    };
    let mut out: Vec<AdmissionRule> = Vec::with_capacity(rules.len());
    for mut rule in rules {
        for (_, index) in &mut rule.variables {
            *index = tables.shared(*index);
        }
        each_expression(&mut rule, &mut |cel| tables.renumber(cel));
        rule.rego.iter_mut().for_each(|rego| rego.module = tables.modules.take(rego.module));
        if out.last() != Some(&rule) {
            out.push(rule);
        }
    }
    Admission { shared: tables.shared, regexes: tables.regexes.new, rego: tables.modules.new, rules: out }
}

/// The old tables and the new ones.
#[derive(Default)]
struct Tables {
    old_shared: Vec<Cel>,
    regexes: Texts,
    modules: Texts,
    shared: Vec<Cel>,
    /// Old index → new index.
    known: BTreeMap<u32, u32>,
    /// Source text → the new indices of expressions with that text.
    by_source: BTreeMap<String, Vec<u32>>,
}

/// A table of texts, old and new; the new one is in the order of first use, without duplicates.
#[derive(Default)]
struct Texts {
    old: Vec<String>,
    new: Vec<String>,
    known: BTreeMap<String, u32>,
}

impl Texts {
    /// The new index of an old one.
    fn take(&mut self, old: u32) -> u32 {
        // A dangling index stays dangling; loading the policy rejects it.
        let text = usize::try_from(old).ok().and_then(|at| self.old.get(at)).cloned();
        let Some(text) = text else { return u32::MAX };
        if let Some(index) = self.known.get(&text) {
            return *index;
        }
        let index = u32::try_from(self.new.len()).unwrap_or(u32::MAX);
        self.new.push(text.clone());
        self.known.insert(text, index);
        index
    }
}

impl Tables {
    fn renumber(&mut self, cel: &mut Cel) {
        each_node(&mut cel.expr, &mut |expr| match expr {
            Expr::Shared(index) => *index = self.shared(*index),
            Expr::Matches(_, index) => *index = self.regexes.take(*index),
            _ => {}
        });
    }

    fn shared(&mut self, old: u32) -> u32 {
        if let Some(index) = self.known.get(&old) {
            return *index;
        }
        let cel = usize::try_from(old).ok().and_then(|at| self.old_shared.get(at)).cloned();
        let Some(mut cel) = cel else { return u32::MAX };
        // Variables use only earlier ones, so this ends; a cycle in a malformed table would find itself
        // marked as dangling here.
        self.known.insert(old, u32::MAX);
        self.renumber(&mut cel);
        let candidates = self.by_source.get(&cel.source).into_iter().flatten();
        let same = candidates
            .copied()
            .find(|index| usize::try_from(*index).ok().and_then(|at| self.shared.get(at)) == Some(&cel));
        let index = same.unwrap_or_else(|| {
            let index = u32::try_from(self.shared.len()).unwrap_or(u32::MAX);
            self.by_source.entry(cel.source.clone()).or_default().push(index);
            self.shared.push(cel);
            index
        });
        self.known.insert(old, index);
        index
    }
}

/// Calls `visit` with every expression of a rule, in the order of the text.
pub(crate) fn each_expression(rule: &mut AdmissionRule, visit: &mut impl FnMut(&mut Cel)) {
    rule.matches.conditions.iter_mut().for_each(|(_, cel)| visit(cel));
    for mutation in &mut rule.mutations {
        match mutation {
            Mutation::Field { .. } => {}
            Mutation::JsonPatch { expression, .. } | Mutation::ApplyConfiguration { expression, .. } => {
                visit(expression)
            }
        }
    }
    for validation in &mut rule.validations {
        visit(&mut validation.expression);
        validation.message_expression.iter_mut().for_each(&mut *visit);
    }
    rule.audit_annotations.iter_mut().for_each(|(_, cel)| visit(cel));
}

/// Calls `visit` with every node of an expression, outer nodes first. The compiler's guard bounds the depth.
pub(crate) fn each_node(expr: &mut Expr, visit: &mut impl FnMut(&mut Expr)) {
    visit(expr);
    match expr {
        Expr::Const(_) | Expr::Root(_) | Expr::Slot(_) | Expr::Shared(_) | Expr::PodContainers(_) => {}
        Expr::Select(of, _)
        | Expr::OptSelect(of, _)
        | Expr::Has(of, _)
        | Expr::Not(of)
        | Expr::Matches(of, _)
        | Expr::InConst(of, _) => {
            each_node(of, visit);
        }
        Expr::Index(of, at) | Expr::OptIndex(of, at) => {
            each_node(of, visit);
            each_node(at, visit);
        }
        Expr::And(all) | Expr::Or(all) | Expr::Call(_, all) => {
            all.iter_mut().for_each(|one| each_node(one, visit))
        }
        Expr::Cond(a, b, c) => [a, b, c].into_iter().for_each(|one| each_node(one, visit)),
        Expr::List(items) => items.iter_mut().for_each(|(item, _)| each_node(item, visit)),
        Expr::Map(entries) => entries.iter_mut().for_each(|(key, value, _)| {
            each_node(key, visit);
            each_node(value, visit);
        }),
        Expr::Macro(made) => {
            each_node(&mut made.range, visit);
            made.filter.iter_mut().for_each(|filter| each_node(filter, visit));
            each_node(&mut made.body, visit);
        }
        Expr::Bind(bind) => {
            each_node(&mut bind.init, visit);
            each_node(&mut bind.body, visit);
        }
    }
}
