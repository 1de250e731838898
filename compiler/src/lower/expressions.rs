//! Compiles the CEL of one admission or tool rule in that rule's context, and turns errors into diagnostics.

use bailiwick_policy::ir::Cel;

use super::Findings;
use super::costs::Costs;
use crate::cel::cost::Estimator;
use crate::cel::{self, CelError, CelErrorKind, Context, Interner, Type};
use crate::check::{
    bw0301_cel_syntax, bw0302_cel_limit, bw0303_cel_reference, bw0304_cel_type, bw0305_cel_regex,
};
use crate::diagnostic::{Code, Diagnostic, FieldPath};

pub(super) struct Expressions<'a, 'b> {
    pub(super) context: Context,
    pub(super) interner: &'a mut Interner,
    pub(super) out: &'a mut Findings<'b>,
    /// What the API server evaluates of it.
    pub(super) costs: Costs,
}

impl Expressions<'_, '_> {
    /// An expression that must have this type.
    pub(super) fn compile(&mut self, source: &str, expected: Type, at: &FieldPath) -> Option<Cel> {
        match cel::compile(source, &self.context.expecting(expected), self.interner) {
            Ok((cel, _)) => Some(cel),
            Err(errors) => self.report(errors, at),
        }
    }

    /// The message of a validation.
    pub(super) fn message(&mut self, source: &str, at: &FieldPath) -> Option<Cel> {
        let context = self.context.for_message().expecting(Type::String);
        match cel::compile_and_cost(source, &context, self.interner) {
            Ok((cel, estimator)) => {
                self.costs.spend(source, estimator);
                Some(cel)
            }
            Err(errors) => self.report(errors, at),
        }
    }

    /// What a validation demands. As for a match condition, a note says where it would cost the API server too much.
    pub(super) fn demand(&mut self, source: &str, at: &FieldPath) -> Option<Cel> {
        let (cel, estimator) = self.costed(source, at)?;
        self.costs.spend(source, estimator);
        Some(cel)
    }

    /// A match condition.
    pub(super) fn condition(&mut self, source: &str, at: &FieldPath) -> Option<Cel> {
        let (cel, estimator) = self.costed(source, at)?;
        self.costs.ask(source, estimator);
        Some(cel)
    }

    fn costed(&mut self, source: &str, at: &FieldPath) -> Option<(Cel, Estimator)> {
        match cel::compile_and_cost(source, &self.context.expecting(Type::Bool), self.interner) {
            Ok((cel, estimator)) => {
                if let Some(note) = self.costs.note(source, &estimator, at) {
                    self.out.push(note);
                }
                Some((cel, estimator))
            }
            Err(errors) => self.report(errors, at),
        }
    }

    /// A `variables` entry: returns its index and declares it for later expressions, as `dyn` if it is wrong.
    pub(super) fn variable(&mut self, name: &str, source: &str, at: &FieldPath) -> Option<u32> {
        match cel::compile_and_cost(source, &self.context.expecting(Type::Dyn), self.interner) {
            Ok((cel, estimator)) => {
                let index = self.interner.share(cel);
                self.context.declare(name, estimator.of(), index);
                self.costs.spend(source, estimator);
                Some(index)
            }
            Err(errors) => {
                // Declared all the same, so that its uses are not reported too.
                self.context.declare(name, Type::Dyn, u32::MAX);
                self.report(errors, at)
            }
        }
    }

    /// The arguments that a grant gives, as a map by name.
    pub(super) fn arguments(&mut self, source: &str, at: &FieldPath) -> Option<Cel> {
        match cel::compile(source, &self.context.expecting(Type::Dyn), self.interner) {
            Ok((cel, of)) => match of {
                Type::Map(ref key, _) if !matches!(**key, Type::String | Type::Dyn) => self.no_map(&of, at),
                Type::Map(..) | Type::Object(_) | Type::Dyn => Some(cel),
                other => self.no_map(&other, at),
            },
            Err(errors) => self.report(errors, at),
        }
    }

    fn no_map<T>(&mut self, of: &Type, at: &FieldPath) -> Option<T> {
        let message = format!("the arguments of a call are a map by their names, but this is {of}");
        self.out.push(Diagnostic::new(bw0304_cel_type::CODE, at.clone(), message));
        None
    }

    /// The value of an audit annotation: a string or null.
    pub(super) fn annotation(&mut self, source: &str, at: &FieldPath) -> Option<Cel> {
        match cel::compile_and_cost(source, &self.context.expecting(Type::Dyn), self.interner) {
            Ok((cel, estimator)) if matches!(estimator.of(), Type::String | Type::Null | Type::Dyn) => {
                self.costs.spend(source, estimator);
                Some(cel)
            }
            Ok((_, estimator)) => {
                let other = estimator.of();
                let message = format!("an audit annotation is a string or null, but this is {other}");
                self.out.push(Diagnostic::new(bw0304_cel_type::CODE, at.clone(), message));
                None
            }
            Err(errors) => self.report(errors, at),
        }
    }

    fn report<T>(&mut self, errors: Vec<CelError>, at: &FieldPath) -> Option<T> {
        for error in errors {
            let range = error.offset..error.offset.saturating_add(error.len);
            let diagnostic = Diagnostic::new(code(error.kind), at.clone(), error.message).with_range(range);
            self.out.push(diagnostic.with_any_help(error.help));
        }
        None
    }
}

const fn code(kind: CelErrorKind) -> Code {
    match kind {
        CelErrorKind::Syntax => bw0301_cel_syntax::CODE,
        CelErrorKind::Limit | CelErrorKind::Cost | CelErrorKind::Internal => bw0302_cel_limit::CODE,
        CelErrorKind::Reference => bw0303_cel_reference::CODE,
        CelErrorKind::Type => bw0304_cel_type::CODE,
        CelErrorKind::Regex => bw0305_cel_regex::CODE,
    }
}
