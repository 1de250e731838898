//! An opaque value is an error wherever it is used, and an absorbed error is remembered.

use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select as one_of;

use super::build::*;
use super::{Const, Expr, Func, Macro, MacroKind, Root};
use crate::cel::{Arguments, CallEnv, EvalError, Fuel, Loaded, Map, Scope, Value, eval};
use crate::facts::shell;
use crate::ir::{Bind, Cel};
use crate::json::Json;
use crate::policy::Admission;

fn map_of<'a>(entries: Vec<(&'static str, Value<'a>)>) -> Value<'a> {
    let entries: Rc<[_]> = entries.into_iter().map(|(key, value)| (Value::Str(key), value)).collect();
    Value::Map(Map::Owned(entries))
}

/// The value of an expression, and the error that was absorbed. `facts.x` is opaque, `facts.list` is
/// `['a', opaque]`, `facts.known` a list of strings, `facts.map` is `{'x': opaque}`, `facts.commands` a list
/// of maps, `facts.constant` a map of the policy.
fn outcome(expr: Expr) -> (Result<String, EvalError>, Option<EvalError>) {
    let (value, absorbed, _) = decided(expr, |_| {});
    (value, absorbed)
}

/// The same, and the fuel that was left, in a scope that `adjust` may change.
fn decided(
    expr: Expr,
    adjust: impl FnOnce(&mut Scope<'_>),
) -> (Result<String, EvalError>, Option<EvalError>, u64) {
    let call = Json::parse(br#"{"tool": "t", "args": {}}"#).unwrap();
    let loaded = Loaded::of_patterns(&["a+".to_owned()]).unwrap();
    let [runs, nothing, more, any] = ["ls | cat", "", "ls > f", "$X"].map(shell::parse);
    let constant = Const::Map(vec![
        (Const::Str("name".to_owned()), Const::Str("ls".to_owned())),
        (Const::Str("list".to_owned()), Const::List(vec![Const::Str("a".to_owned()), Const::Null])),
    ]);
    let facts = map_of(vec![
        ("x", Value::Opaque),
        ("constant", Value::from(&constant)),
        ("list", Value::list(vec![Value::Str("a"), Value::Opaque, Value::Str("b")])),
        ("known", Value::list(vec![Value::Str("a"), Value::Str("b")])),
        ("shell", Value::Shell(&runs)),
        ("nothing", Value::Shell(&nothing)),
        ("more", Value::Shell(&more)),
        ("any", Value::Shell(&any)),
        ("map", map_of(vec![("x", Value::Opaque)])),
        (
            "commands",
            Value::list(vec![
                map_of(vec![("name", Value::Str("ls")), ("known", Value::list(vec![]))]),
                map_of(vec![("name", Value::Opaque), ("x", Value::Optional(None))]),
                map_of(vec![("name", Value::Str("")), ("map", Value::from(&call))]),
            ]),
        ),
    ]);
    let env = CallEnv {
        call: &call,
        arguments: Arguments::Known,
        subject: Value::Null,
        session: Value::Null,
        facts,
        now: Value::Null,
        result: Value::Null,
    };
    let mut scope = Scope::of_call(&loaded, env, Fuel::new(Fuel::DEFAULT));
    adjust(&mut scope);
    let prepared = loaded.prepare(&Cel { source: String::new(), expr, slots: 8 });
    let value = eval(&prepared, &mut scope).map(|value| match value {
        Value::Opaque => "opaque".to_owned(),
        value => super::shown(&value),
    });
    (value, scope.absorbed().cloned(), scope.fuel().left())
}

fn name() -> impl Strategy<Value = String> {
    one_of(vec!["x", "list", "known", "commands", "map", "name", "args", "constant"]).prop_map(String::from)
}

/// Conditions of calls: what facts and elements of facts hold, under `!`, `&&`, `||` and quantifiers.
fn condition() -> impl Strategy<Value = Expr> {
    let roots = [Expr::Root(Root::Facts), Expr::Root(Root::Call), Expr::Slot(0), Expr::Slot(1)];
    let path = (one_of(roots.to_vec()), vec((name(), any::<bool>()), 0..4))
        .prop_map(|(root, steps)| {
            steps.into_iter().fold(root, |operand, (name, optional)| {
                let operand = Box::new(operand);
                if optional { Expr::OptSelect(operand, name) } else { Expr::Select(operand, name) }
            })
        })
        .boxed();
    let named = |name: &str| prop_oneof![Just(select(slot(0), name)), Just(select(slot(1), name))];
    let mut facts = ["commands", "commands", "list", "known", "x", "map"].map(fact).to_vec();
    facts.push(select(fact("constant"), "list"));
    let range = prop_oneof![4 => one_of(facts), 1 => named("known"), 1 => path.clone()].boxed();
    let text = || one_of(vec!["", "a", "b", "ls", "t"]).prop_map(|text| Const::Str(text.to_owned()));
    let read = prop_oneof![
        3 => prop_oneof![Just(slot(0)), Just(slot(1)), named("name"), named("x"), named("map")],
        2 => path.clone(),
        1 => (path.clone(), text())
            .prop_map(|(path, text)| Expr::Call(Func::OrValue, vec![path, Expr::Const(text)])),
    ]
    .boxed();
    let test = prop_oneof![
        3 => (read.clone(), text()).prop_map(|(read, text)| Expr::Call(Func::Equal, vec![read, Expr::Const(text)])),
        1 => (read.clone(), vec(text(), 0..3)).prop_map(|(read, texts)| Expr::InConst(Box::new(read), texts)),
        1 => (path.clone(), name()).prop_map(|(path, name)| Expr::Has(Box::new(path), name)),
        1 => read,
    ];
    test.prop_recursive(4, 24, 3, move |inner| {
        let over = (any::<bool>(), range.clone(), 0_u16..2, inner.clone());
        prop_oneof![
            1 => inner.clone().prop_map(|operand| Expr::Not(Box::new(operand))),
            1 => vec(inner.clone(), 1..4).prop_map(Expr::And),
            1 => vec(inner, 1..4).prop_map(Expr::Or),
            3 => over.prop_map(|(all, range, slot, body)| {
                let kind = if all { MacroKind::All } else { MacroKind::Exists };
                Expr::Macro(Box::new(Macro { kind, range, slot, slot2: None, filter: None, body }))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What is decided in one go is what the general evaluator decides: the same value or error, the same
    /// absorbed errors, the same cost.
    #[test]
    fn one_go_over_a_call_is_as_many_steps(expr in condition()) {
        let long = decided(expr.clone(), |scope| scope.takes_the_long_way = true);
        prop_assert_eq!(decided(expr, |_| {}), long);
    }
}

fn fact(name: &str) -> Expr {
    select(Expr::Root(Root::Facts), name)
}

fn x() -> Expr {
    fact("x")
}

#[track_caller]
fn refused(expr: Expr) {
    assert_eq!(outcome(expr.clone()).0, Err(EvalError::Opaque), "{expr:?}");
}

#[track_caller]
fn gives(expr: Expr, expected: &str) {
    assert_eq!(outcome(expr.clone()).0.as_deref(), Ok(expected), "{expr:?}");
}

/// One value of every type that a constant can have.
fn fillers() -> Vec<Expr> {
    let constants = [
        Const::Null,
        Const::Bool(true),
        Const::Int(1),
        Const::Uint(1),
        Const::Double(1.5),
        Const::Str("a".into()),
        Const::Bytes(vec![1]),
        Const::List(vec![Const::Str("a".into())]),
        Const::Map(vec![(Const::Str("a".into()), Const::Int(1))]),
        Const::Type("int".into()),
    ];
    let mut all: Vec<Expr> = constants.into_iter().map(Expr::Const).collect();
    all.push(call!(OptionalNone));
    all
}

#[test]
fn every_function_refuses_an_opaque_argument_wherever_it_stands() {
    for function in Func::ALL.iter().filter(|function| **function != Func::IsOpaque) {
        refused(Expr::Call(*function, vec![x()]));
        for filler in fillers() {
            refused(Expr::Call(*function, vec![x(), filler.clone()]));
            refused(Expr::Call(*function, vec![x(), filler.clone(), filler.clone()]));
            // The alternative of an optional is read only if the optional is empty.
            let lazy = matches!(function, Func::Or | Func::OrValue);
            if !lazy || filler == call!(OptionalNone) {
                refused(Expr::Call(*function, vec![filler.clone(), x()]));
            }
            refused(Expr::Call(*function, vec![filler.clone(), x(), filler.clone()]));
            refused(Expr::Call(*function, vec![filler.clone(), filler, x()]));
        }
    }
}

#[test]
fn every_function_but_in_refuses_a_list_with_an_opaque_element() {
    for function in Func::ALL.iter().filter(|function| !matches!(function, Func::IsOpaque | Func::In)) {
        refused(Expr::Call(*function, vec![fact("list"), "a".expr(), "a".expr()]));
        match function {
            // `facts.list` is not an optional.
            Func::Or | Func::OrValue | Func::HasValue => {}
            // A list is never equal to a string.
            Func::Equal | Func::NotEqual => {
                refused(Expr::Call(*function, vec![fact("list"), fact("known")]));
                refused(Expr::Call(*function, vec![fact("known"), fact("list")]));
            }
            _ => {
                refused(Expr::Call(*function, vec![fact("list")]));
                refused(Expr::Call(*function, vec![fact("list"), "a".expr()]));
                refused(Expr::Call(*function, vec!["a".expr(), fact("list")]));
            }
        }
    }
    gives(call!(In, "b", fact("list")), "true");
    refused(call!(In, "c", fact("list")));
    refused(call!(Format, "%s", [fact("map")]));
}

#[test]
fn every_kind_of_expression_refuses_an_opaque_operand() {
    let boxed = Box::<Expr>::new;
    let fixed = |value: bool| Expr::Const(Const::Bool(value));
    let refusing = vec![
        Expr::Select(boxed(x()), "a".into()),
        Expr::OptSelect(boxed(x()), "a".into()),
        Expr::OptSelect(boxed(fact("map")), "x".into()),
        Expr::Has(boxed(x()), "a".into()),
        Expr::Has(boxed(fact("map")), "x".into()),
        Expr::Index(boxed(x()), boxed(0_i64.expr())),
        Expr::Index(boxed(fact("known")), boxed(x())),
        Expr::Index(boxed(fact("list")), boxed(2_i64.expr())),
        Expr::OptIndex(boxed(x()), boxed(0_i64.expr())),
        Expr::OptIndex(boxed(fact("known")), boxed(x())),
        Expr::OptIndex(boxed(fact("map")), boxed("x".expr())),
        Expr::And(vec![x(), fixed(true)]),
        Expr::And(vec![fixed(true), x()]),
        Expr::Or(vec![x(), fixed(false)]),
        Expr::Or(vec![fixed(false), x()]),
        Expr::Not(boxed(x())),
        Expr::Cond(boxed(x()), boxed(fixed(true)), boxed(fixed(true))),
        Expr::List(vec![(x(), false)]),
        Expr::List(vec![(x(), true)]),
        Expr::Map(vec![(x(), 1_i64.expr(), false)]),
        Expr::Map(vec![("a".expr(), x(), false)]),
        Expr::Map(vec![("a".expr(), x(), true)]),
        Expr::Matches(boxed(x()), 0),
        Expr::InConst(boxed(x()), vec![]),
        Expr::InConst(boxed(x()), vec![Const::Str("a".into())]),
        Expr::InConst(boxed(x()), vec![Const::Int(1)]),
    ];
    refusing.into_iter().for_each(refused);
    // An operation that only passes a value on also passes an opaque one on.
    gives(x(), "opaque");
    gives(Expr::Cond(boxed(fixed(true)), boxed(x()), boxed(fixed(true))), "opaque");
    gives(Expr::Index(boxed(fact("map")), boxed("x".expr())), "opaque");
    gives(Expr::Index(boxed(fact("list")), boxed(1_i64.expr())), "opaque");
    gives(Expr::Bind(Box::new(Bind { slot: 0, init: x(), body: call!(IsOpaque, slot(0)) })), "true");
    refused(Expr::Bind(Box::new(Bind { slot: 0, init: x(), body: call!(Size, slot(0)) })));
}

#[test]
fn every_macro_refuses_an_opaque_range_and_an_opaque_result() {
    use MacroKind as M;
    for kind in [
        M::All,
        M::Exists,
        M::ExistsOne,
        M::Map,
        M::Filter,
        M::TransformMap,
        M::TransformMapEntry,
        M::OptMap,
        M::OptFlatMap,
        M::SortBy,
    ] {
        refused(over(kind, x(), true.expr()));
        refused(over2(kind, x(), None, true.expr()));
        let range = match kind {
            M::OptMap | M::OptFlatMap => call!(OptionalOf, "a"),
            _ => fact("known"),
        };
        refused(over(kind, range, x()));
    }
    refused(over2(M::Map, fact("known"), Some(x()), true.expr()));
    // The position of an element behind an opaque one is not known; that of one before it is.
    let first_is = |text: &str| and([call!(Equal, slot(0), 0_i64), call!(Equal, slot(1), text)]);
    gives(over2(M::Exists, fact("list"), None, first_is("a")), "true");
    refused(over2(M::Exists, fact("list"), None, first_is("b")));
}

#[test]
fn what_is_found_beside_an_opaque_element_is_found() {
    gives(over(MacroKind::Exists, fact("list"), call!(Equal, slot(0), "b")), "true");
    refused(over(MacroKind::Exists, fact("list"), call!(Equal, slot(0), "c")));
    refused(over(MacroKind::All, fact("list"), call!(NotEqual, slot(0), "c")));
    gives(over(MacroKind::Filter, fact("list"), not(call!(IsOpaque, slot(0)))), "[a, b]");
    gives(over(MacroKind::Exists, fact("list"), call!(IsOpaque, slot(0))), "true");
}

/// In place of an opaque word of a command line may stand none or several.
#[test]
fn how_many_elements_there_are_is_not_known_beside_an_opaque_one() {
    let opaque_only = || call!(IsOpaque, slot(0));
    for kind in [MacroKind::ExistsOne, MacroKind::Map, MacroKind::TransformMap] {
        refused(over(kind, fact("list"), true.expr()));
        refused(over(kind, fact("list"), opaque_only()));
    }
    refused(over2(MacroKind::Map, fact("list"), Some(true.expr()), 1_i64.expr()));
    refused(over2(MacroKind::TransformMapEntry, fact("list"), None, map([(slot(0), 1_i64.expr())])));
    gives(over(MacroKind::ExistsOne, fact("list"), not(opaque_only())), "false");
    gives(over2(MacroKind::Map, fact("list"), Some(not(call!(IsOpaque, slot(1)))), 1_i64.expr()), "[1, 1]");
    // Not even whether there is one.
    let behind = || not(call!(Equal, slot(0), 0_i64));
    refused(over2(MacroKind::Exists, fact("list"), None, behind()));
    refused(over2(MacroKind::All, fact("list"), None, not(behind())));
    gives(over(MacroKind::Exists, fact("list"), true.expr()), "true");
    gives(over(MacroKind::All, fact("list"), true.expr()), "true");
}

/// Conditions over elements, and what any element decides: `facts.yes` is true, and no error but an opaque value's occurs.
fn over_elements() -> impl Strategy<Value = Expr> {
    let element = || one_of(vec![slot(0), slot(1)]);
    let list = || fact("list");
    let texts = || one_of(vec!["a", "b", "c"]);
    let test = prop_oneof![
        3 => (element(), texts()).prop_map(|(element, text)| call!(Equal, element, text)),
        2 => any::<bool>().prop_map(|yes| if yes { fact("yes") } else { not(fact("yes")) }),
        1 => texts().prop_map(move |text| call!(In, text, list())),
        1 => element().prop_map(move |element| call!(In, element, list())),
    ];
    let inner = test.prop_recursive(4, 24, 3, move |inner| {
        prop_oneof![
            1 => inner.clone().prop_map(not),
            1 => vec(inner.clone(), 2..4).prop_map(Expr::And),
            1 => vec(inner.clone(), 2..4).prop_map(Expr::Or),
            3 => (quantifier(), inner).prop_map(move |(kind, body)| {
                let (range, filter) = (fact("list"), None);
                Expr::Macro(Box::new(Macro { kind, range, slot: 1, slot2: None, filter, body }))
            }),
        ]
    });
    // Each variable is bound somewhere around its uses.
    (quantifier(), quantifier(), inner).prop_map(|(outer, kind, body)| {
        let macro_of = |kind, slot, body| {
            let (range, filter) = (fact("list"), None);
            Expr::Macro(Box::new(Macro { kind, range, slot, slot2: None, filter, body }))
        };
        macro_of(outer, 0, macro_of(kind, 1, body))
    })
}

fn quantifier() -> impl Strategy<Value = MacroKind> {
    one_of(vec![MacroKind::All, MacroKind::Exists, MacroKind::ExistsOne])
}

/// The value of an expression where `facts.list` is this, and whether an error was absorbed.
fn over_list(expr: &Expr, list: Vec<Value<'_>>) -> (Result<String, EvalError>, bool) {
    let facts = map_of(vec![("list", Value::list(list)), ("yes", Value::Bool(true))]);
    let call = Json::parse(br#"{"tool": "t", "args": {}}"#).unwrap();
    let loaded = Loaded::of_patterns(&[]).unwrap();
    let env = CallEnv {
        call: &call,
        arguments: Arguments::Known,
        subject: Value::Null,
        session: Value::Null,
        facts,
        now: Value::Null,
        result: Value::Null,
    };
    let mut scope = Scope::of_call(&loaded, env, Fuel::new(Fuel::DEFAULT));
    let prepared = loaded.prepare(&Cel { source: String::new(), expr: expr.clone(), slots: 8 });
    let value = eval(&prepared, &mut scope).map(|value| super::shown(&value));
    (value, scope.absorbed().is_some())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// What is decided beside an opaque word is decided likewise whatever words it stands for, none too: so a deny
    /// that does not take part would not have, and a grant that does would have.
    #[test]
    fn what_is_decided_beside_an_opaque_element_holds_for_all_that_it_may_be(
        expr in over_elements(),
        before in vec(one_of(vec!["a", "b"]), 0..2),
    ) {
        let with = |words: &[Value<'static>]| {
            let before = before.iter().map(|word| Value::Str(word));
            over_list(&expr, before.chain(words.iter().cloned()).collect())
        };
        if let (Ok(decided), _) = with(&[Value::Opaque]) {
            for words in [&[][..], &["a"], &["c"], &["a", "b"], &["b", "c", "c"]] {
                let words: Vec<_> = words.iter().map(|word| Value::Str(word)).collect();
                prop_assert_eq!(with(&words).0, Ok(decided.clone()), "{:?}", words);
            }
        }
    }
}

/// What a grant and a restriction see of `[opaque]`: `!` stands for an error, by which a grant does not grant and a
/// restriction denies, and `?` for an error that was absorbed, which only a grant counts.
#[test]
fn nothing_beside_an_opaque_element_decides_for_it() {
    let (yes, no) = (|| fact("yes"), || not(fact("yes")));
    let is_x = || call!(Equal, slot(0), "x");
    let is_opaque = || call!(IsOpaque, slot(0));
    let known = || and([not(is_opaque()), is_x()]);
    let table = [
        // The body, and what `exists` and `all` over it give.
        (is_x(), "!", "!"),
        (or([is_x(), yes()]), "!", "true?"),
        (or([yes(), is_x()]), "!", "true"),
        (or([is_x(), no()]), "!", "!"),
        (and([is_x(), yes()]), "!", "!"),
        (and([is_x(), no()]), "false?", "!"),
        (and([no(), is_x()]), "false", "!"),
        (yes(), "!", "true"),
        (no(), "false", "!"),
        // A body that asks has said what an opaque element means.
        (is_opaque(), "true", "true"),
        (or([is_opaque(), is_x()]), "true", "true"),
        (or([is_x(), is_opaque()]), "true?", "true?"),
        (known(), "false", "false"),
        (or([known(), yes()]), "true", "true"),
        // One that decides before it asks has not.
        (or([yes(), known()]), "!", "true"),
        (and([no(), is_opaque()]), "false", "!"),
    ];
    for (body, exists, all) in table {
        for (kind, expected) in [(MacroKind::Exists, exists), (MacroKind::All, all)] {
            let (value, absorbed) = over_list(&over(kind, fact("list"), body.clone()), vec![Value::Opaque]);
            let seen = match value {
                Ok(value) => value + if absorbed { "?" } else { "" },
                Err(error) => {
                    assert_eq!(error, EvalError::Opaque);
                    "!".to_owned()
                }
            };
            assert_eq!(seen, expected, "{kind:?} over {body:?}");
        }
    }
    // An element that is known may still decide.
    let beside =
        |body| over_list(&over(MacroKind::Exists, fact("list"), body), vec![Value::Opaque, Value::Str("b")]);
    assert_eq!(beside(or([yes(), is_x()])), (Ok("true".into()), true));
}

#[test]
fn only_runs_wants_at_least_one_command_and_all_of_the_list() {
    let only_runs = |fact_name: &str, allowed: Expr| call!(OnlyRuns, fact(fact_name), allowed);
    gives(only_runs("shell", ["cat", "ls", "head"].expr()), "true");
    gives(only_runs("shell", ["cat", "head"].expr()), "false");
    gives(only_runs("nothing", ["cat"].expr()), "false");
    gives(only_runs("more", ["cat", "ls"].expr()), "false");
    refused(only_runs("any", ["cat", "ls"].expr()));
    refused(only_runs("x", ["cat", "ls"].expr()));
    refused(only_runs("shell", fact("list")));
}

#[test]
fn an_absorbed_error_is_remembered() {
    let reads = || call!(Equal, x(), "a");
    let absorbed = |expr: Expr| outcome(expr);
    assert_eq!(absorbed(or([reads(), true.expr()])), (Ok("true".into()), Some(EvalError::Opaque)));
    assert_eq!(absorbed(and([reads(), false.expr()])), (Ok("false".into()), Some(EvalError::Opaque)));
    let any = over(MacroKind::Exists, fact("list"), call!(Equal, slot(0), "b"));
    assert_eq!(absorbed(any), (Ok("true".into()), Some(EvalError::Opaque)));
    // Not read at all: decided before, or passed to the one function that accepts it.
    assert_eq!(absorbed(or([true.expr(), reads()])), (Ok("true".into()), None));
    assert_eq!(absorbed(or([call!(IsOpaque, x()), reads()])), (Ok("true".into()), None));
    // An opaque value before any other error, in whatever order they are met.
    let fails = || call!(Equal, fails(), 0_i64);
    let divided = Some(EvalError::DivisionByZero);
    assert_eq!(absorbed(or([fails(), true.expr()])), (Ok("true".into()), divided));
    assert_eq!(absorbed(or([fails(), reads(), true.expr()])), (Ok("true".into()), Some(EvalError::Opaque)));
    assert_eq!(absorbed(or([reads(), fails(), true.expr()])), (Ok("true".into()), Some(EvalError::Opaque)));
}

/// A second grant that names a shared expression sees the error in it as the first did.
#[test]
fn a_shared_expression_tells_each_reader_of_the_error_that_it_absorbed() {
    let call = Json::parse(br#"{"tool": "t", "args": {}}"#).unwrap();
    for (fails, error) in
        [(call!(Divide, 1_i64, 0_i64), EvalError::DivisionByZero), (fact("x"), EvalError::Opaque)]
    {
        let lowered = |expr| Cel { source: String::new(), expr, slots: 0 };
        let shared = vec![lowered(or([call!(Equal, fails, 1_i64), true.expr()]))];
        let loaded = Loaded::new(&Admission { shared, ..Admission::default() }).unwrap();
        let env = CallEnv {
            call: &call,
            arguments: Arguments::Known,
            subject: Value::Null,
            session: Value::Null,
            facts: map_of(vec![("x", Value::Opaque)]),
            now: Value::Null,
            result: Value::Null,
        };
        let mut scope = Scope::of_call(&loaded, env, Fuel::new(Fuel::DEFAULT));
        let names_it = loaded.prepare(&lowered(Expr::Shared(0)));
        let other = loaded.prepare(&lowered(or([call!(Equal, fact("x"), 1_i64), Expr::Shared(0)])));
        for _ in 0..2 {
            scope.set_fuel(Fuel::new(Fuel::DEFAULT));
            assert_eq!(eval(&names_it, &mut scope).map(|value| super::shown(&value)), Ok("true".into()));
            assert_eq!(scope.absorbed(), Some(&error));
            scope.set_fuel(Fuel::new(Fuel::DEFAULT));
            assert_eq!(eval(&other, &mut scope).map(|value| super::shown(&value)), Ok("true".into()));
            assert_eq!(scope.absorbed(), Some(&EvalError::Opaque));
        }
    }
}

#[test]
fn to_look_for_opaque_elements_costs_fuel() {
    // Ten lists of ten lists, and so on: few values, and ten million paths through them.
    let ten = |slot: u16| Expr::List((0..10).map(|_| (Expr::Slot(slot), false)).collect());
    let innermost = call!(Size, slot(6));
    let nested = (1..=6)
        .rev()
        .fold(innermost, |body, at: u16| Expr::Bind(Box::new(Bind { slot: at, init: ten(at - 1), body })));
    let nested = Expr::Bind(Box::new(Bind { slot: 0, init: ten(7), body: nested }));
    assert_eq!(outcome(nested).0, Err(EvalError::FuelExhausted));
    // For every position, the evaluator checks for an opaque element before it.
    let range = call!(Range, 100_000_i64);
    let last =
        over(MacroKind::All, call!(Range, 1000_i64), call!(Equal, index(slot(1), 99_999_i64), 99_999_i64));
    let walk = Expr::Bind(Box::new(Bind { slot: 1, init: range, body: last }));
    assert_eq!(outcome(walk).0, Err(EvalError::FuelExhausted));
}

#[test]
fn to_know_positions_takes_no_walk_from_the_start() {
    // With one it would be ten thousand million checks, minutes that no fuel would bound.
    let all = over2(MacroKind::All, call!(Range, 150_000_i64), None, call!(Equal, slot(0), slot(1)));
    gives(all, "true");
}
