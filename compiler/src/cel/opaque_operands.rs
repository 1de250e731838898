//! Uses an opaque operand in everything that an author can write: in every function and operator with every
//! overload of the checker's own table, and in every macro. Each use is an error; only `isOpaque` may read an
//! opaque value.

use std::rc::Rc;

use bailiwick_policy::cel::{Arguments, CallEnv, EvalError, Fuel, Loaded, Map, Scope, Value, eval};
use bailiwick_policy::ir::Func;
use bailiwick_policy::json::Json;

use super::overloads::{self, Signature, called};
use super::types::Type;
use super::{Context, Interner, calls, compile, macros};

/// A value that no parser understood; to the checker it may have any type.
const OPAQUE: &str = "facts.url.query";

fn record<'a>(fields: &[(&'static str, Value<'a>)]) -> Value<'a> {
    let entries: Rc<[_]> = fields.iter().map(|(name, value)| (Value::Str(name), value.clone())).collect();
    Value::Map(Map::Owned(entries))
}

/// The outcome of an expression in a call where only `facts.url.query` is opaque, and whether an opaque read
/// was absorbed.
fn outcome(source: &str) -> (Result<bool, EvalError>, bool) {
    let context = Context::tool(Type::Dyn, Type::Dyn, Type::Dyn);
    let mut interner = Interner::default();
    let (cel, _) =
        compile(source, &context, &mut interner).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
    let loaded = Loaded::of_patterns(interner.regexes()).unwrap();
    let call = Json::parse(br#"{"tool": "t", "args": {}}"#).unwrap();
    let url =
        record(&[("query", Value::Opaque), ("host", Value::Str("example.org")), ("port", Value::Int(443))]);
    let line = bailiwick_policy::facts::shell::parse("ls");
    let env = CallEnv {
        call: &call,
        arguments: Arguments::Known,
        subject: Value::Null,
        session: Value::Null,
        facts: record(&[("url", url), ("shell", Value::Shell(&line))]),
        now: Value::Null,
        result: Value::Null,
    };
    let mut scope = Scope::of_call(&loaded, env, Fuel::new(Fuel::DEFAULT));
    let prepared = loaded.prepare(&cel);
    let value = eval(&prepared, &mut scope).map(|value| matches!(value, Value::Bool(true)));
    (value, scope.read_opaque())
}

/// An operand of a type. Optionals are empty, because the alternative of a non-empty one is not read.
fn operand(of: &Type) -> String {
    match of {
        Type::Bool => "true".to_owned(),
        Type::Uint => "1u".to_owned(),
        Type::Double => "1.5".to_owned(),
        Type::String => "'1'".to_owned(),
        Type::Bytes => "b'1'".to_owned(),
        Type::Duration => "duration('1s')".to_owned(),
        Type::Timestamp => "timestamp('2026-01-01T00:00:00Z')".to_owned(),
        Type::Quantity => "quantity('1')".to_owned(),
        Type::Ip => "ip('192.0.2.1')".to_owned(),
        Type::Cidr => "cidr('192.0.2.0/24')".to_owned(),
        Type::Url => "url('https://example.org/')".to_owned(),
        Type::Semver => "semver('1.2.3')".to_owned(),
        Type::NamedFormat => "format.dns1123Label()".to_owned(),
        Type::List(element) => format!("[{}]", operand(element)),
        Type::Map(key, value) => format!("{{{}: {}}}", operand(key), operand(value)),
        Type::Optional(_) => "optional.none()".to_owned(),
        Type::Object(_) => "facts.shell".to_owned(),
        _ => "1".to_owned(),
    }
}

/// A call as it is written.
fn written(func: Func, signature: &Signature, operands: &[String]) -> String {
    match (called(func), operands) {
        ("@in", [element, whole]) => format!("({element} in {whole})"),
        ("-_", [only]) => format!("(-{only})"),
        (name, [left, right]) if name.starts_with('_') && name.ends_with('_') => {
            format!("({left} {} {right})", name.trim_matches('_'))
        }
        (name, [receiver, arguments @ ..]) if signature.receiver.is_some() => {
            format!("({receiver}).{name}({})", arguments.join(", "))
        }
        (name, operands) => format!("{name}({})", operands.join(", ")),
    }
}

/// Whether an expression fails because of an opaque value.
fn refuses(expression: &str) -> bool {
    // A list must not contain an opaque value either, so this shows one that is passed on.
    outcome(&format!("[dyn({expression})].size() == 1")).0 == Err(EvalError::Opaque)
}

#[test]
fn every_overload_of_every_function_refuses_an_opaque_operand() {
    let mut rows = 0;
    let of_calls = Context::tool(Type::Dyn, Type::Dyn, Type::Dyn).subject;
    for overloads in overloads::all().iter().filter(|one| calls::is_there(one.func, &of_calls)) {
        let func = overloads.func;
        assert!(
            func == Func::OptionalNone
                || overloads.signatures.iter().all(|one| one.receiver.is_some() || !one.arguments.is_empty())
        );
        for signature in &overloads.signatures {
            let formal: Vec<&Type> = signature.receiver.iter().chain(&signature.arguments).collect();
            let known: Vec<String> = formal.iter().map(|of| operand(of)).collect();
            let plain = written(func, signature, &known);
            assert!(!refuses(&plain), "{plain} is an error with nothing opaque in it");
            for at in 0..known.len() {
                let mut operands = known.clone();
                operands[at] = OPAQUE.to_owned();
                let row = written(func, signature, &operands);
                assert_eq!(refuses(&row), func != Func::IsOpaque, "{row}");
                rows += 1;
            }
        }
    }
    assert!(rows >= 300, "only {rows} rows");
    assert_eq!(outcome(&format!("isOpaque({OPAQUE})")), (Ok(true), false));
    assert_eq!(outcome("isOpaque(facts.url.host)"), (Ok(false), false));
}

/// Expressions with macros: range, condition and result of each, with `Q` for the opaque value.
const MACROS: &[(&str, &[&str])] = &[
    ("has", &["has(Q.a)", "has(facts.url.query)"]),
    ("all", &["Q.all(x, true)", "[1].all(x, Q)", "[1].all(i, x, Q)", "[1].all(x, x == Q)"]),
    ("exists", &["Q.exists(x, true)", "[1].exists(x, Q)", "[1].exists(i, x, Q)", "[1].exists(x, x == Q)"]),
    ("exists_one", &["Q.exists_one(x, true)", "[1].exists_one(x, Q)"]),
    ("existsOne", &["Q.existsOne(i, x, true)", "[1].existsOne(i, x, Q)"]),
    ("map", &["Q.map(x, x)", "[1].map(x, Q)", "[1].map(x, Q, x)"]),
    ("filter", &["Q.filter(x, true)", "[1].filter(x, Q)"]),
    (
        "transformList",
        &["Q.transformList(i, x, x)", "[1].transformList(i, x, Q)", "[1].transformList(i, x, Q, x)"],
    ),
    (
        "transformMap",
        &["Q.transformMap(k, v, v)", "{1: 1}.transformMap(k, v, Q)", "{1: 1}.transformMap(k, v, Q, v)"],
    ),
    (
        "transformMapEntry",
        &[
            "Q.transformMapEntry(k, v, {k: v})",
            "{1: 1}.transformMapEntry(k, v, {k: Q})",
            "{1: 1}.transformMapEntry(k, v, {Q: v})",
        ],
    ),
    ("optMap", &["optional.of(1).optMap(x, Q)", "Q.optMap(x, x)"]),
    ("optFlatMap", &["optional.of(1).optFlatMap(x, Q)", "Q.optFlatMap(x, x)"]),
    ("sortBy", &["Q.sortBy(x, x)", "[1, 2].sortBy(x, Q)"]),
    ("cel.bind", &["cel.bind(x, Q, x == 1)", "cel.bind(x, 1, Q == x)"]),
];

/// Expressions with neither functions nor macros.
const SYNTAX: &[&str] = &[
    "Q || false",
    "false || Q",
    "Q && true",
    "true && Q",
    "!Q",
    "Q ? 1 : 1",
    "true ? Q : 1",
    "false ? 1 : Q",
    "Q.a",
    "Q.?a.hasValue()",
    "facts.url.?query.hasValue()",
    "facts.url.?query.orValue('a')",
    "facts.?url.?query.orValue('a')",
    "Q[0]",
    "[1][Q]",
    "{'a': 1}[Q]",
    "Q[?0].hasValue()",
    "[1][?Q].hasValue()",
    "[Q]",
    "[?Q]",
    "{Q: 1}",
    "{'a': Q}",
    "{?'a': Q}",
    "Q == null",
    "null != Q",
    "Q == Q",
    "Q in ['a', 'b']",
    "'a' in Q",
    "Q.matches('a')",
    "'a'.matches(Q)",
    "Q.startsWith('a')",
    "type(Q) == string",
    "size(Q) > 0",
    "string(Q) == ''",
    "int(Q) == 0",
    "bool(Q)",
    "optional.of(Q).hasValue()",
    "optional.none().orValue(Q)",
    "optional.none().or(Q).hasValue()",
];

#[test]
fn every_macro_and_every_operator_refuses_an_opaque_operand() {
    for name in macros::NAMES {
        assert!(MACROS.iter().any(|(known, rows)| known == name && !rows.is_empty()), "no row for `{name}`");
    }
    let rows = MACROS.iter().flat_map(|(_, rows)| *rows).chain(SYNTAX);
    for row in rows.map(|row| row.replace('Q', OPAQUE)) {
        assert!(refuses(&row), "{row} gives {:?}", outcome(&row));
        // When the error is absorbed, the expression is true, but the opaque read is recorded: a grant does
        // not hold.
        let absorbed = format!("[dyn({row})].size() == 1 || true");
        assert_eq!(outcome(&absorbed), (Ok(true), true), "{row}");
    }
}

#[test]
fn what_is_decided_before_an_opaque_value_is_read_is_decided() {
    for (source, value) in [
        ("true || Q", true),
        ("false && Q", false),
        ("true ? true : Q", true),
        ("isOpaque(Q) || Q == 'a'", true),
        ("!isOpaque(Q) && Q == 'a'", false),
        ("optional.of(true).orValue(Q)", true),
        ("[].exists(x, Q)", false),
    ] {
        assert_eq!(outcome(&source.replace('Q', OPAQUE)), (Ok(value), false), "{source}");
    }
}
