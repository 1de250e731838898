//! `google.protobuf.Int64Value{value: 1}`: the literal of a wrapper is the scalar that it wraps, and without a field that scalar's zero, as on
//! the API server. There are no other messages.
//!
//! A wrapper of 32 bits takes only a constant, so that one that does not fit is an error of the pack and not of an evaluation.

use bailiwick_policy::ir::{Const, Expr};

use super::ast::{Ast, Span};
use super::check::{Checker, Typed};
use super::error::{CelError, CelErrorKind};

/// The package of all wrappers.
const PACKAGE: &str = "google.protobuf.";

/// The scalar of a wrapper: its zero, and whether it has only 32 bits.
fn wrapped(name: &str) -> Option<(Const, bool)> {
    Some(match name.trim_start_matches('.').strip_prefix(PACKAGE)? {
        "BoolValue" => (Const::Bool(false), false),
        "Int32Value" => (Const::Int(0), true),
        "Int64Value" => (Const::Int(0), false),
        "UInt32Value" => (Const::Uint(0), true),
        "UInt64Value" => (Const::Uint(0), false),
        "FloatValue" => (Const::Double(0.0), true),
        "DoubleValue" => (Const::Double(0.0), false),
        "StringValue" => (Const::Str(String::new()), false),
        "BytesValue" => (Const::Bytes(Vec::new()), false),
        _ => return None,
    })
}

impl Checker<'_> {
    /// A literal of a message.
    pub(super) fn wrapper(&mut self, name: &str, fields: &[(String, Ast, bool)], span: Span) -> Typed {
        let error = |kind, message| CelError::new(kind, span.start, span.end - span.start, message);
        let Some((zero, is_short)) = wrapped(name) else {
            let message = format!("no message type `{name}`");
            let help = "write a map: `{'field': value}`";
            return self.report(error(CelErrorKind::Reference, message).help(help));
        };
        let of = super::check::type_of(&zero);
        let value = match fields {
            [] => return Typed::new(Expr::Const(zero), of),
            [(field, value, false)] if field == "value" => self.node(value),
            _ => {
                let message = format!("`{name}` has one field, `value`");
                return self.report(error(CelErrorKind::Reference, message));
            }
        };
        if value.of != of {
            return self.type_error(span, format!("`{name}` wraps {of}, this is {}", value.of));
        }
        if !is_short {
            return value;
        }
        match value.expr {
            Expr::Const(constant) => match shortened(constant) {
                Some(constant) => Typed::new(Expr::Const(constant), of),
                None => self.type_error(span, format!("this value does not fit `{name}`")),
            },
            _ => self.type_error(span, format!("`{name}` takes only a constant")),
        }
    }
}

/// A number of 32 bits; `None` if it does not fit. A float is rounded.
fn shortened(constant: Const) -> Option<Const> {
    match constant {
        Const::Int(number) => i32::try_from(number).ok().map(|_| constant),
        Const::Uint(number) => u32::try_from(number).ok().map(|_| constant),
        Const::Double(number) => {
            #[expect(clippy::cast_possible_truncation, reason = "what a float is")]
            let short = f64::from(number as f32);
            short.is_finite().then_some(Const::Double(short))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::Type;
    use crate::cel::{Context, Interner, compile};

    fn outcome(source: &str) -> String {
        match compile(source, &Context::admission(Type::Dyn), &mut Interner::default()) {
            Ok((cel, of)) => format!("{of} {:?}", cel.expr),
            Err(errors) => errors.iter().map(|error| error.message.clone()).collect(),
        }
    }

    #[test]
    fn a_wrapper_is_what_it_wraps() {
        for (source, scalar) in [
            ("google.protobuf.Int32Value{value: -34}", "-34"),
            (".google.protobuf.UInt64Value{value: 34u}", "34u"),
            ("google.protobuf.Int64Value{}", "0"),
            ("google.protobuf.FloatValue{value: 1.5}", "1.5"),
            ("google.protobuf.StringValue{value: 'a'}", "'a'"),
            ("google.protobuf.StringValue{value: string(object)}", "string(object)"),
            ("google.protobuf.Int32Value{value: 34} == dyn(google.protobuf.UInt64Value{value: 34u})", "true"),
            (
                "google.protobuf.Int32Value{value: 34} == dyn(google.protobuf.DoubleValue{value: 34.5})",
                "false",
            ),
        ] {
            assert_eq!(outcome(source), outcome(scalar), "{source}");
        }
        assert_ne!(outcome("google.protobuf.FloatValue{value: 0.1}"), outcome("0.1"), "a float is rounded");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (source, message) in [
            (
                "google.protobuf.Int32Value{value: 2147483648}",
                "this value does not fit `google.protobuf.Int32Value`",
            ),
            (
                "google.protobuf.UInt32Value{value: 4294967296u}",
                "this value does not fit `google.protobuf.UInt32Value`",
            ),
            (
                "google.protobuf.FloatValue{value: 1e300}",
                "this value does not fit `google.protobuf.FloatValue`",
            ),
            (
                "google.protobuf.DoubleValue{value: 1}",
                "`google.protobuf.DoubleValue` wraps double, this is int",
            ),
            (
                "google.protobuf.Int64Value{value: object}",
                "`google.protobuf.Int64Value` wraps int, this is dyn",
            ),
            ("google.protobuf.Int64Value{number: 1}", "`google.protobuf.Int64Value` has one field, `value`"),
            (
                "google.protobuf.Int64Value{?value: optional.of(1)}",
                "`google.protobuf.Int64Value` has one field, `value`",
            ),
            (
                "google.protobuf.Int32Value{value: int(object)}",
                "`google.protobuf.Int32Value` takes only a constant",
            ),
            ("google.protobuf.Duration{seconds: 1}", "no message type `google.protobuf.Duration`"),
        ] {
            assert_eq!(outcome(source), message, "{source}");
        }
    }
}
