//! Calls by name: macros, functions in a namespace, methods, and calls that are checked more closely if an
//! argument is constant.

use bailiwick_policy::cel::{compile_computed, compile_pattern};
use bailiwick_policy::ir::{Const, Expr, Func};

use super::ast::{Ast, Name, Span};
use super::check::{Checker, Typed};
use super::context::{Dialect, Subject};
use super::error::{CelError, CelErrorKind, did_you_mean};
use super::overloads::{self, Overloads, Signature};
use super::types::Type;
use super::{fold, macros};

impl Checker<'_> {
    pub(super) fn call(&mut self, target: Option<&Ast>, name: &Name, arguments: &[Ast], span: Span) -> Typed {
        if let Some(expanded) = self.expand(target, name, arguments, span) {
            return expanded;
        }
        // `math.greatest(…)` is the name of a function, unless a macro binds `math`.
        let qualified = target
            .filter(|target| target.root().is_some_and(|root| !self.is_local(root)))
            .and_then(Ast::dotted)
            .map(|namespace| format!("{namespace}.{}", name.text))
            .filter(|qualified| overloads::is_qualified(qualified));
        if let Some(name) = qualified.as_deref().and_then(overloads::named_format) {
            return self.named_format(name, arguments, span);
        }
        let (target, text) = match &qualified {
            Some(qualified) => (None, qualified.as_str()),
            None => (target, name.text.trim_start_matches('.')),
        };
        let receiver = target.map(|target| self.node(target));
        let lowered: Vec<Typed> = arguments.iter().map(|argument| self.node(argument)).collect();
        let known: Vec<&Overloads> = overloads::named(text).collect();
        if known.iter().all(|one| !is_there(one.func, &self.context.subject)) {
            return self.unknown(text, name.span);
        }
        let types: Vec<Type> = lowered.iter().map(|argument| argument.of.clone()).collect();
        let of_receiver = receiver.as_ref().map(|receiver| &receiver.of);
        let found = known.iter().find_map(|overloads| {
            let of = overloads::result(&overloads.signatures, of_receiver, &types)
                .or_else(|| variadic(overloads.func, &types))?;
            Some((overloads.func, of))
        });
        let found = found.or_else(|| {
            let first = known.first().filter(|_| self.is_unchecked());
            first.map(|overloads| (overloads.func, Type::Dyn))
        });
        let Some((func, of)) = found else {
            return self.no_overload(text, &known, of_receiver, &types, span);
        };
        if self.context.dialect == Dialect::ApiServer && !overloads::on_api_server(func, of_receiver) {
            return self.type_error(span, format!("the API server has no function `{text}`"));
        }
        let parts: Vec<Expr> = receiver.into_iter().chain(lowered).map(|part| part.expr).collect();
        self.pattern(func, &parts, arguments, span);
        Typed::new(self.lowered(func, parts), of)
    }

    /// `format.NAME()` is the value of `format.named('NAME')`.
    fn named_format(&mut self, name: &str, arguments: &[Ast], span: Span) -> Typed {
        if !arguments.is_empty() {
            return self.type_error(span, format!("`format.{name}` takes no argument"));
        }
        let named = Expr::Call(Func::FormatNamed, vec![Expr::Const(Const::Str(name.to_owned()))]);
        Typed::new(Expr::Call(Func::Value, vec![named]), Type::NamedFormat)
    }

    /// `matches` with a constant pattern refers to the policy's patterns; everything else stays a call.
    fn lowered(&mut self, func: Func, mut parts: Vec<Expr>) -> Expr {
        if func == Func::MatchesDynamic
            && let [_, Expr::Const(Const::Str(pattern))] = parts.as_slice()
        {
            let index = self.interner.pattern(pattern);
            parts.truncate(1);
            return parts.pop().map_or(Expr::Const(Const::Null), |text| Expr::Matches(Box::new(text), index));
        }
        fold::call(func, parts)
    }

    /// Compiles a constant pattern now, so that an invalid one is an error of the pack, not of a request.
    fn pattern(&mut self, func: Func, parts: &[Expr], arguments: &[Ast], span: Span) {
        if !matches!(func, Func::MatchesDynamic | Func::Find | Func::FindAll) {
            return;
        }
        let Some(Expr::Const(Const::Str(pattern))) = parts.get(1) else { return };
        let compiled =
            if func == Func::MatchesDynamic { compile_pattern(pattern) } else { compile_computed(pattern) };
        let Err(error) = compiled else { return };
        // The pattern is the last argument of `matches(text, pattern)` and the first of the methods.
        let at = arguments
            .get(1 - usize::from(parts.len() > arguments.len()))
            .map_or(span, |argument| argument.span);
        self.report(CelError::new(CelErrorKind::Regex, at.start, at.end - at.start, error.to_string()));
    }

    fn unknown(&mut self, name: &str, span: Span) -> Typed {
        let mut error = CelError::new(
            CelErrorKind::Reference,
            span.start,
            span.end - span.start,
            format!("no function `{name}`"),
        );
        let subject = &self.context.subject;
        let there = |name: &&str| overloads::named(name).any(|one| is_there(one.func, subject));
        error.help =
            did_you_mean(name, overloads::names().filter(there).chain(macros::NAMES.iter().copied()));
        self.report(error)
    }

    fn no_overload(
        &mut self,
        name: &str,
        known: &[&Overloads],
        receiver: Option<&Type>,
        types: &[Type],
        span: Span,
    ) -> Typed {
        let given = Signature { receiver: receiver.cloned(), arguments: types.to_vec(), result: Type::Dyn };
        let mut shown: Vec<String> = known
            .iter()
            .flat_map(|overloads| &overloads.signatures)
            .map(|signature| signature.show(name))
            .collect();
        shown.dedup();
        self.report(
            CelError::new(
                CelErrorKind::Type,
                span.start,
                span.end - span.start,
                format!("no matching overload for `{}`", given.show(name)),
            )
            .help(format!("there is {}", shown.join(", "))),
        )
    }
}

/// Whether rules of a kind may call a function: only tool calls have opaque values, and only requests have
/// the API server's authorizer.
pub(super) fn is_there(func: Func, subject: &Subject) -> bool {
    match func {
        Func::IsOpaque | Func::OnlyRuns => *subject != Subject::Admission,
        Func::Path | Func::Group | Func::ServiceAccount | Func::Resource | Func::Subresource => {
            *subject == Subject::Admission
        }
        Func::InNamespace | Func::Named | Func::FieldSelector | Func::LabelSelector | Func::Check => {
            *subject == Subject::Admission
        }
        Func::Allowed | Func::Errored | Func::ErrorOf | Func::Reason => *subject == Subject::Admission,
        _ => true,
    }
}

/// `math.greatest` and `math.least` take any number of numbers.
fn variadic(func: Func, types: &[Type]) -> Option<Type> {
    let numbers = !types.is_empty() && types.iter().all(Type::may_be_number);
    (matches!(func, Func::Greatest | Func::Least) && numbers).then(|| {
        let first = types.first().cloned().unwrap_or(Type::Dyn);
        if types.iter().all(|of| *of == first) { first } else { Type::Dyn }
    })
}
