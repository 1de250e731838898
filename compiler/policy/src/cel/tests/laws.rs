//! Laws that hold for every expression: no panic, limits that nothing hides, absorption, and fuel that
//! decides only whether there is an outcome.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Const, Expr, Watching, World};
use crate::ir::{Bind, Func, Macro, MacroKind, PodContainers, Root};

const LIMITS: [&str; 2] =
    ["error: the expression cost more than its budget", "error: the expression is nested too deeply"];

const OBJECT: &str = r#"{"a": 1, "b": "text", "c": [1, 2.5, "x", null], "d": {"a": true}, "spec": {"containers": [{"a": 1}, {}]}}"#;

fn is_limit(shown: &str) -> bool {
    LIMITS.contains(&shown)
}

fn with_fuel(fuel: u64, expr: &Expr) -> String {
    World { fuel, ..World::of(OBJECT) }.show(expr.clone())
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof!["a", "b", "c", "d", "spec"].prop_map(String::from)
}

fn constant() -> impl Strategy<Value = Const> {
    prop_oneof![
        Just(Const::Null),
        any::<bool>().prop_map(Const::Bool),
        prop_oneof![Just(i64::MIN), Just(i64::MAX), -3_i64..100].prop_map(Const::Int),
        prop_oneof![Just(u64::MAX), 0_u64..5].prop_map(Const::Uint),
        prop_oneof![Just(0.0), Just(1.5), Just(-1e300), Just(9.3e18)].prop_map(Const::Double),
        prop_oneof![
            Just(String::new()),
            Just("a".to_owned()),
            Just("10.0.0.0/8".to_owned()),
            Just("1.5Gi".to_owned()),
            Just("%s %d %.3f".to_owned()),
            Just("(a|é)*\\d".to_owned()),
            Just("2009-02-13T23:31:30Z".to_owned()),
            Just("-1h2.5s".to_owned()),
            "\\PC{0,8}",
        ]
        .prop_map(Const::Str),
        vec(any::<u8>(), 0..4).prop_map(Const::Bytes),
        vec(any::<u8>().prop_map(|byte| Const::Int(byte.into())), 0..4).prop_map(Const::List),
    ]
}

fn leaf() -> impl Strategy<Value = Expr> {
    prop_oneof![
        4 => constant().prop_map(Expr::Const),
        2 => Just(Expr::Root(Root::Object)),
        1 => Just(Expr::Root(Root::OldObject)),
        1 => Just(Expr::PodContainers(PodContainers::All)),
        3 => (0_u16..3).prop_map(Expr::Slot),
    ]
}

fn macro_kind() -> impl Strategy<Value = MacroKind> {
    use MacroKind as M;
    let kinds = [
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
    ];
    proptest::sample::select(kinds.to_vec())
}

/// Any expression: the type checker would reject most of them, and evaluation must survive all.
fn expression() -> impl Strategy<Value = Expr> {
    leaf().prop_recursive(5, 40, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            4 => (proptest::sample::select(Func::ALL.to_vec()), vec(inner.clone(), 0..4))
                .prop_map(|(function, args)| Expr::Call(function, args)),
            3 => (boxed(), field()).prop_map(|(operand, field)| Expr::Select(operand, field)),
            3 => (boxed(), field()).prop_map(|(operand, field)| Expr::OptSelect(operand, field)),
            2 => (boxed(), boxed()).prop_map(|(left, right)| Expr::Call(Func::OrValue, vec![*left, *right])),
            2 => (boxed(), boxed()).prop_map(|(left, right)| Expr::Call(Func::Equal, vec![*left, *right])),
            1 => (boxed(), field()).prop_map(|(operand, field)| Expr::Has(operand, field)),
            1 => (boxed(), boxed()).prop_map(|(operand, index)| Expr::Index(operand, index)),
            1 => (boxed(), boxed()).prop_map(|(operand, index)| Expr::OptIndex(operand, index)),
            1 => vec(inner.clone(), 1..4).prop_map(Expr::And),
            1 => vec(inner.clone(), 1..4).prop_map(Expr::Or),
            1 => boxed().prop_map(Expr::Not),
            1 => (boxed(), boxed(), boxed()).prop_map(|(condition, then, otherwise)| Expr::Cond(condition, then, otherwise)),
            1 => vec((inner.clone(), any::<bool>()), 0..3).prop_map(Expr::List),
            1 => vec((inner.clone(), inner.clone(), any::<bool>()), 0..3).prop_map(Expr::Map),
            1 => (boxed(), vec(constant(), 0..4)).prop_map(|(operand, constants)| Expr::InConst(operand, constants)),
            1 => (inner.clone(), inner.clone()).prop_map(|(init, body)| Expr::Bind(Box::new(Bind { slot: 2, init, body }))),
            2 => (macro_kind(), inner.clone(), any::<bool>(), proptest::option::of(inner.clone()), inner.clone()).prop_map(
                |(kind, range, two, filter, body)| {
                    Expr::Macro(Box::new(Macro { kind, range, slot: 0, slot2: two.then_some(1), filter, body }))
                }
            ),
        ]
    })
}

/// Chains over objects, with and without alternatives, some of which end in errors.
fn chain() -> impl Strategy<Value = Expr> {
    let root = prop_oneof![
        3 => Just(Expr::Root(Root::Object)),
        2 => (0_u16..2).prop_map(Expr::Slot),
        1 => Just(Expr::Root(Root::OldObject)),
    ];
    let step = (field(), any::<bool>());
    let chain = (root, vec(step, 0..4)).prop_map(|(root, steps)| {
        steps.into_iter().fold(root, |operand, (field, optional)| {
            let operand = Box::new(operand);
            if optional { Expr::OptSelect(operand, field) } else { Expr::Select(operand, field) }
        })
    });
    let or_value = |left: Expr, right: Expr| Expr::Call(Func::OrValue, vec![left, right]);
    (vec(chain, 1..4), proptest::option::of(constant())).prop_map(move |(chains, last)| {
        let mut chains: Vec<Expr> = chains;
        chains.extend(last.map(Expr::Const));
        chains
            .into_iter()
            .rev()
            .reduce(|right, left| or_value(left, right))
            .unwrap_or(Expr::Const(Const::Null))
    })
}

/// Tests as rules have them, under `!`, `&&` and quantifiers.
fn checks() -> impl Strategy<Value = Expr> {
    let test = prop_oneof![
        (any::<bool>(), chain(), constant()).prop_map(|(equal, left, right)| {
            let function = if equal { Func::Equal } else { Func::NotEqual };
            Expr::Call(function, vec![left, Expr::Const(right)])
        }),
        (chain(), vec(constant(), 0..9))
            .prop_map(|(operand, constants)| Expr::InConst(Box::new(operand), constants)),
        (chain(), field()).prop_map(|(operand, field)| Expr::Has(Box::new(operand), field)),
        chain(),
    ];
    let range = prop_oneof![
        Just(Expr::PodContainers(PodContainers::All)),
        Just(Expr::Select(Box::new(Expr::Root(Root::Object)), "c".to_owned()))
    ];
    let not = |test: Expr| Expr::Not(Box::new(test));
    (vec((test, 0_usize..3), 1..5), range, any::<bool>()).prop_map(move |(tests, range, all)| {
        let tests = tests.into_iter().map(|(test, nots)| (0..nots).fold(test, |test, _| not(test))).collect();
        let kind = if all { MacroKind::All } else { MacroKind::Exists };
        let over = |range, slot, body| {
            Expr::Macro(Box::new(Macro { kind, range, slot, slot2: None, filter: None, body }))
        };
        over(range.clone(), 0, over(range, 1, Expr::And(tests)))
    })
}

/// The expression with every slot bound, as the compiler binds every slot that it reads.
fn closed(expr: Expr) -> Expr {
    (0..3).fold(expr, |body, slot| {
        Expr::Bind(Box::new(Bind { slot, init: Expr::Const(Const::Int(slot.into())), body }))
    })
}

fn constant_of(json: &serde_json::Value) -> Const {
    use serde_json::Value as J;
    match json {
        J::Null => Const::Null,
        J::Bool(value) => Const::Bool(*value),
        J::Number(number) => {
            number.as_i64().map_or_else(|| Const::Double(number.as_f64().unwrap()), Const::Int)
        }
        J::String(text) => Const::Str(text.clone()),
        J::Array(items) => Const::List(items.iter().map(constant_of).collect()),
        J::Object(members) => Const::Map(
            members.iter().map(|(key, value)| (Const::Str(key.clone()), constant_of(value))).collect(),
        ),
    }
}

/// The expression with a constant in place of `object`, through its JSON form.
fn with_object(expr: &Expr, object: &Const) -> Expr {
    fn replace(json: &mut serde_json::Value, with: &serde_json::Value) {
        if *json == serde_json::json!({"root": "object"}) {
            *json = with.clone();
            return;
        }
        match json {
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| replace(item, with)),
            serde_json::Value::Object(members) => {
                members.values_mut().for_each(|member| replace(member, with))
            }
            _ => {}
        }
    }
    let mut json = serde_json::to_value(expr).unwrap();
    replace(&mut json, &serde_json::to_value(Expr::Const(object.clone())).unwrap());
    serde_json::from_value(json).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Evaluation gives a value or an error, and the same one each time.
    #[test]
    fn every_expression_has_one_outcome(expr in expression()) {
        let first = with_fuel(20_000, &expr);
        prop_assert_eq!(&first, &with_fuel(20_000, &expr));
    }

    /// More fuel never changes a value that less fuel gave; less fuel gives the same value or a limit error.
    #[test]
    fn fuel_decides_only_whether_there_is_an_outcome(expr in expression(), fuel in 0_u64..200) {
        let full = with_fuel(50_000, &expr);
        let scarce = with_fuel(fuel, &expr);
        prop_assert!(is_limit(&scarce) || scarce == full, "{scarce} but with more fuel {full}");
    }

    /// `x || true` and `true || x` are true, `x && false` and `false && x` are false, whatever `x` is, unless
    /// it reached a limit.
    #[test]
    fn the_deciding_operand_wins(expr in expression()) {
        let alone = with_fuel(20_000, &expr);
        let constant = |value| Expr::Const(Const::Bool(value));
        let or = with_fuel(20_000, &Expr::Or(vec![expr.clone(), constant(true)]));
        let and = with_fuel(20_000, &Expr::And(vec![expr.clone(), constant(false)]));
        if is_limit(&alone) {
            prop_assert!(is_limit(&or) && is_limit(&and));
        } else {
            prop_assert!(or == "true" || is_limit(&or), "{or}");
            prop_assert!(and == "false" || is_limit(&and), "{and}");
        }
        prop_assert_eq!(with_fuel(20_000, &Expr::Or(vec![constant(true), expr.clone()])), "true");
        prop_assert_eq!(with_fuel(20_000, &Expr::And(vec![constant(false), expr])), "false");
    }

    /// The order of two operands decides at most which error is reported.
    #[test]
    fn and_and_or_commute(left in expression(), right in expression()) {
        let both = |make: fn(Vec<Expr>) -> Expr, left: &Expr, right: &Expr| {
            let shown = with_fuel(50_000, &make(vec![left.clone(), right.clone()]));
            if shown.starts_with("error: ") { "error".to_owned() } else { shown }
        };
        let (left, right) = (closed(left), closed(right));
        // A limit on one side may be skipped by a decision on the other.
        prop_assume!(!is_limit(&with_fuel(20_000, &left)) && !is_limit(&with_fuel(20_000, &right)));
        prop_assert_eq!(both(Expr::And, &left, &right), both(Expr::And, &right, &left));
        prop_assert_eq!(both(Expr::Or, &left, &right), both(Expr::Or, &right, &left));
    }

    /// `!(a && b)` is `!a || !b` for booleans and errors.
    #[test]
    fn de_morgan(left in expression(), right in expression()) {
        prop_assume!(!is_limit(&with_fuel(20_000, &left)) && !is_limit(&with_fuel(20_000, &right)));
        let not = |expr: Expr| Expr::Not(Box::new(expr));
        let verdict = |expr: &Expr| {
            let shown = with_fuel(60_000, expr);
            if shown.starts_with("error: ") { "error".to_owned() } else { shown }
        };
        let outer = verdict(&not(Expr::And(vec![left.clone(), right.clone()])));
        let inner = verdict(&Expr::Or(vec![not(left), not(right)]));
        prop_assert_eq!(outer, inner);
    }

    /// Conditions and values that are evaluated in one step give the same result as the general evaluator, at
    /// the same cost.
    #[test]
    fn one_step_is_as_many(expr in prop_oneof![2 => checks(), 1 => expression()], fuel in prop_oneof![Just(100_000_u64), 0_u64..40]) {
        let quick = World { fuel, ..World::of(OBJECT) };
        let long = World { fuel, takes_the_long_way: true, ..World::of(OBJECT) };
        prop_assert_eq!(quick.show_and_spend(expr.clone()), long.show_and_spend(expr.clone()));
        for watching in [Watching::On, Watching::Values] {
            let watched = World { fuel, watching, ..World::of(OBJECT) };
            prop_assert_eq!(quick.show_and_spend(expr.clone()), watched.show_and_spend(expr.clone()));
        }
    }

    /// Reading the request in place gives the same as reading a map of the policy, which takes the general
    /// path.
    #[test]
    fn the_short_way_through_the_request_gives_what_the_long_way_gives(expr in expression()) {
        let object = serde_json::from_str(OBJECT).unwrap();
        let long = with_fuel(50_000, &with_object(&expr, &constant_of(&object)));
        let short = with_fuel(50_000, &expr);
        prop_assert!(is_limit(&short) || is_limit(&long) || short == long, "{short} but {long}");
    }

    /// An expression survives a round trip through a bundle.
    #[test]
    fn expressions_survive_json(expr in expression()) {
        let text = crate::canonical::to_vec(&expr).unwrap();
        let again: Expr = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(crate::canonical::to_vec(&again).unwrap(), text);
        prop_assert_eq!(again, expr);
    }
}
