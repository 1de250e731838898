//! Operators, absorption, macros, access, limits.

use super::build::{
    IntoExpr, and, call, fails, has, index, map, not, object, opt_select, or, over, over2, select, slot,
};
use super::{Cel, Const, Expr, Fuel, MacroKind, World, show};
use crate::policy::Admission;

#[test]
fn a_deciding_operand_absorbs_errors_on_either_side() {
    assert_eq!(show(or([fails(), true.expr()])), "true");
    assert_eq!(show(or([true.expr(), fails()])), "true");
    assert_eq!(show(and([fails(), false.expr()])), "false");
    assert_eq!(show(and([false.expr(), fails()])), "false");
    assert_eq!(show(or([fails(), false.expr()])), "error: division by zero");
    assert_eq!(show(and([fails(), true.expr()])), "error: division by zero");
    assert_eq!(show(or([1_i64.expr(), true.expr()])), "true");
    assert_eq!(show(and([1_i64.expr(), true.expr()])), "error: no such overload: bool");
}

#[test]
fn quantifiers_absorb_and_exists_one_does_not() {
    let zero_divides = || call!(Equal, call!(Divide, 4_i64, slot(0)), 2_i64);
    assert_eq!(show(over(MacroKind::Exists, [0_i64, 2], zero_divides())), "true");
    assert_eq!(show(over(MacroKind::Exists, [0_i64, 1], zero_divides())), "error: division by zero");
    assert_eq!(show(over(MacroKind::All, [0_i64, 1], zero_divides())), "false");
    assert_eq!(show(over(MacroKind::All, [0_i64, 2], zero_divides())), "error: division by zero");
    assert_eq!(show(over(MacroKind::ExistsOne, [2_i64, 0], zero_divides())), "error: division by zero");
    assert_eq!(show(over(MacroKind::ExistsOne, [2_i64, 1, 4], zero_divides())), "true");
}

#[test]
fn integers_overflow_into_errors_and_numbers_compare_across_types() {
    assert_eq!(show(call!(Add, i64::MAX, 1_i64)), "error: integer overflow");
    assert_eq!(show(call!(Negate, i64::MIN)), "error: integer overflow");
    assert_eq!(show(call!(Divide, i64::MIN, -1_i64)), "error: integer overflow");
    assert_eq!(show(call!(Subtract, 0_u64, 1_u64)), "error: unsigned integer overflow");
    assert_eq!(show(call!(Modulo, 5_i64, 0_i64)), "error: modulus by zero");
    assert_eq!(show(call!(Divide, 1.0, 0.0)), "+Inf");
    assert_eq!(show(call!(Equal, 1_i64, 1.0)), "true");
    assert_eq!(show(call!(Equal, 1_u64, 1_i64)), "true");
    assert_eq!(show(call!(Less, -1_i64, 0_u64)), "true");
    assert_eq!(show(call!(Equal, 1_i64, "1")), "false");
    assert_eq!(show(call!(Add, 1_i64, "1")), "error: no such overload: _+_");
    assert_eq!(show(call!(In, 1.0, [1_i64, 2])), "true");
}

#[test]
fn fields_are_found_tested_and_missed_as_in_cel_go() {
    let world = World::of(r#"{"spec": {"replicas": 3, "none": null}, "list": [1]}"#);
    let spec = || select(object(), "spec");
    assert_eq!(world.show(call!(Add, select(spec(), "replicas"), 1_i64)), "4");
    assert_eq!(world.show(select(object(), "status.phase")), "error: no such key: status");
    assert_eq!(world.show(has(spec(), "replicas")), "true");
    assert_eq!(world.show(has(spec(), "none")), "true");
    assert_eq!(world.show(has(spec(), "other")), "false");
    assert_eq!(world.show(has(select(spec(), "replicas"), "x")), "false");
    assert_eq!(world.show(select(spec(), "replicas.x")), "error: no such key: x");
    assert_eq!(world.show(opt_select(spec(), "replicas")), "some(3)");
    assert_eq!(world.show(opt_select(opt_select(object(), "nothing"), "x")), "none");
    assert_eq!(world.show(select(opt_select(object(), "spec"), "replicas")), "some(3)");
    assert_eq!(world.show(call!(OrValue, opt_select(spec(), "other"), "x")), "x");
    assert_eq!(world.show(call!(OrValue, opt_select(spec(), "replicas"), fails())), "3");
    assert_eq!(world.show(index(select(object(), "list"), 0_i64)), "1");
    assert_eq!(world.show(index(select(object(), "list"), 1_i64)), "error: index out of bounds: 1");
    assert_eq!(world.show(index(select(object(), "list"), -1_i64)), "error: index out of bounds: -1");
    assert_eq!(world.show(index(spec(), "replicas")), "3");
}

#[test]
fn maps_find_numbers_across_types_and_refuse_repeated_keys() {
    let numbers = || map([(1_i64.expr(), "one".expr()), (2_i64.expr(), "two".expr())]);
    assert_eq!(show(index(numbers(), 2.0)), "two");
    assert_eq!(show(call!(In, 1_u64, numbers())), "true");
    assert_eq!(
        show(map([(1_i64.expr(), true.expr()), (1_u64.expr(), true.expr())])),
        "error: insert failed: key 1 already exists"
    );
    assert_eq!(show(map([(1.5.expr(), true.expr())])), "error: unsupported key type: double");
    assert_eq!(show(call!(Equal, numbers(), numbers())), "true");
}

#[test]
fn macros_make_lists_and_maps() {
    let double = || call!(Multiply, slot(0), 2_i64);
    let even = || call!(Equal, call!(Modulo, slot(0), 2_i64), 0_i64);
    assert_eq!(show(over(MacroKind::Map, [1_i64, 2], double())), "[2, 4]");
    assert_eq!(show(over(MacroKind::Filter, [1_i64, 2, 4], even())), "[2, 4]");
    assert_eq!(show(over(MacroKind::Filter, map([(2_i64.expr(), "x".expr())]), even())), "[2]");
    assert_eq!(show(over2(MacroKind::Map, ["a", "b"], None, slot(0))), "[0, 1]");
    assert_eq!(show(over2(MacroKind::TransformMap, [5_i64, 6], Some(even()), slot(1))), "{0: 5}");
    assert_eq!(
        show(over2(MacroKind::TransformMapEntry, ["a", "b"], None, map([(slot(1), slot(0))]))),
        "{a: 0, b: 1}"
    );
    assert_eq!(show(over(MacroKind::SortBy, [3_i64, 1, 2], call!(Negate, slot(0)))), "[3, 2, 1]");
    assert_eq!(show(over(MacroKind::OptMap, call!(OptionalOf, 2_i64), double())), "some(4)");
    assert_eq!(show(over(MacroKind::OptMap, call!(OptionalNone), fails())), "none");
    assert_eq!(show(not(over(MacroKind::All, [true], slot(0)))), "false");
}

#[test]
fn containers_are_those_of_the_pod() {
    let containers = |which| over(MacroKind::Map, Expr::PodContainers(which), select(slot(0), "name"));
    let all = || containers(crate::ir::PodContainers::All);
    let world = World::of(
        r#"{"spec": {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}], "ephemeralContainers": [{"name": "e"}]}}"#,
    );
    assert_eq!(world.show(all()), "[i, c, e]");
    assert_eq!(world.show(containers(crate::ir::PodContainers::Main)), "[i, c]");
    assert_eq!(World::of(r#"{"spec": {"containers": null}}"#).show(all()), "[]");
    let wrong = World::of(r#"{"spec": {"containers": {"name": "hidden"}}}"#);
    assert_eq!(wrong.show(all()), "error: field `containers` of the pod is not a list");
}

/// Never ends, as far as fuel is concerned: a million steps within a million steps.
fn endless() -> Expr {
    let inner = over(MacroKind::All, call!(Range, 1_000_i64), true.expr());
    let middle = over(MacroKind::All, call!(Range, 1_000_i64), inner);
    over(MacroKind::All, call!(Range, 1_000_i64), middle)
}

#[test]
fn exhausted_fuel_is_an_error_that_nothing_absorbs() {
    let spent = "error: the expression cost more than its budget";
    assert_eq!(show(endless()), spent);
    assert_eq!(show(or([endless(), true.expr()])), spent);
    assert_eq!(show(and([endless(), false.expr()])), spent);
    assert_eq!(show(over(MacroKind::Exists, [false, true], or([slot(0), endless()]))), spent);
    let world = World {
        admission: Admission {
            shared: vec![Cel { source: String::new(), expr: endless(), slots: 8 }],
            ..Admission::default()
        },
        ..World::default()
    };
    assert_eq!(world.show(or([Expr::Shared(0), true.expr()])), spent);
    assert_eq!(world.show(or([true.expr(), Expr::Shared(0)])), "true");
}

#[test]
fn what_is_made_is_paid_for() {
    // Twenty doublings of a kilobyte are a gigabyte; the budget ends long before that.
    let mut text = "x".repeat(1_024).as_str().expr();
    let mut list = call!(Range, 1_000_i64);
    for _ in 0..20 {
        text =
            Expr::Bind(Box::new(crate::ir::Bind { slot: 0, init: text, body: call!(Add, slot(0), slot(0)) }));
        list =
            Expr::Bind(Box::new(crate::ir::Bind { slot: 0, init: list, body: call!(Add, slot(0), slot(0)) }));
    }
    let world = World { fuel: 1_000_000, ..World::default() };
    let spent = "error: the expression cost more than its budget";
    assert_eq!(world.show(call!(Size, text)), spent);
    assert_eq!(world.show(call!(Size, list)), spent);
    assert_eq!(
        world.show(call!(Range, 1_000_001_i64)),
        "error: lists.range: size must be within 0 and 1000000, got 1000001"
    );
    assert_eq!(world.show(call!(Size, call!(Range, 1_000_000_i64))), spent);
}

/// cel-go evaluates the value of `cel.bind` only where its name is used.
#[test]
fn an_error_of_a_bound_value_is_one_where_it_is_used() {
    let bind = |slot: u16, init: Expr, body: Expr| Expr::Bind(Box::new(crate::ir::Bind { slot, init, body }));
    let failed = "error: division by zero";
    let one = || call!(Equal, slot(0), 1_i64);
    assert_eq!(show(bind(0, fails(), true.expr())), "true");
    assert_eq!(show(bind(0, fails(), one())), failed);
    assert_eq!(show(bind(0, fails(), slot(0))), failed);
    assert_eq!(show(bind(0, fails(), or([one(), true.expr()]))), "true");
    assert_eq!(show(bind(0, fails(), and([one(), true.expr()]))), failed);
    assert_eq!(show(bind(0, fails(), call!(HasValue, opt_select(slot(0), "a")))), failed);
    // A name in its place later has a value again, and a limit is no such error.
    assert_eq!(show(bind(0, fails(), bind(0, 1_i64.expr(), one()))), "true");
    let halves = bind(1, call!(Divide, 4_i64, slot(0)), call!(Equal, slot(1), 2_i64));
    assert_eq!(show(over(MacroKind::Exists, [0_i64, 2], halves.clone())), "true");
    assert_eq!(show(over(MacroKind::All, [2_i64, 0], halves)), failed);
    let spent = "error: the expression cost more than its budget";
    assert_eq!(show(bind(0, endless(), true.expr())), spent);
}

/// Keys of one length that differ in their middle: every comparison reads half of a key.
#[test]
fn long_keys_are_paid_for_wherever_they_are_looked_up() {
    let key = |at: usize, long: usize| format!("{0}{at:02}{0}", "k".repeat(long));
    let members_of = |long: usize| {
        let members: Vec<String> = (0..30).map(|at| format!("\"{}\":1", key(at, long))).collect();
        format!("{{{}}}", members.join(","))
    };
    let often = |body: Expr| {
        over(MacroKind::All, call!(Range, 100_i64), over(MacroKind::All, call!(Range, 100_i64), body))
    };
    let made =
        |long: usize| Expr::Map((0..8).map(|at| (key(at, long).expr(), 1_i64.expr(), false)).collect());
    for (body, name) in [
        (&(|long| not(call!(In, key(77, long), object()))) as &dyn Fn(usize) -> Expr, "in an object"),
        (&|long| not(call!(In, key(77, long), made(long))), "in a map"),
        (&|long| call!(Equal, index(object(), key(3, long)), 1_i64), "by index"),
        (&|long| call!(Equal, select(object(), &key(3, long)), 1_i64), "by name"),
        (&|long| not(has(object(), &key(77, long))), "by presence"),
        (&|_| call!(Equal, object(), object()), "of equals"),
        (&|long| call!(Equal, call!(Size, made(long)), 8_i64), "in a literal"),
    ] {
        let of = |long: usize| World::of(&members_of(long)).show(often(body(long)));
        assert_eq!(of(4_000), "error: the expression cost more than its budget", "{name}");
        // Short ones cost what they did.
        let few = World { fuel: 5_000_000, ..World::of(&members_of(3)) };
        assert_eq!(few.show(often(body(3))), "true", "{name}");
    }
}

#[test]
fn the_deepest_allowed_expression_is_evaluated_on_a_small_stack() {
    let run = || {
        let mut expr = true.expr();
        for _ in 1..crate::ir::MAX_DEPTH {
            expr = over(MacroKind::All, [1_i64], expr);
        }
        let chain = Admission {
            shared: vec![Cel { source: String::new(), expr: expr.clone(), slots: 8 }],
            ..Admission::default()
        };
        let mut outer = Expr::Shared(0);
        for _ in 2..crate::ir::MAX_DEPTH {
            outer = over(MacroKind::All, [1_i64], outer);
        }
        let world = World { admission: chain, ..World::default() };
        (
            show(expr),
            world.show(outer.clone()),
            world
                .show(or([over(MacroKind::All, [1_i64], over(MacroKind::All, [1_i64], outer)), true.expr()])),
        )
    };
    let results = std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
    assert_eq!(results.0, "true");
    assert_eq!(results.1, "true");
    assert_eq!(results.2, "error: the expression is nested too deeply");
}

#[test]
fn fuel_is_sticky() {
    let mut fuel = Fuel::new(10);
    assert!(fuel.spend(10).is_ok());
    assert!(!fuel.exhausted());
    assert!(fuel.spend(1).is_err());
    assert!(fuel.exhausted());
    assert!(fuel.spend(0).is_err());
}

#[test]
fn constants_are_found_in_constant_lists() {
    let among = |value: Expr, constants: Vec<Const>| Expr::InConst(Box::new(value), constants);
    let names = || vec![Const::Str("a".into()), Const::Str("b".into())];
    assert_eq!(show(among("b".expr(), names())), "true");
    assert_eq!(show(among("c".expr(), names())), "false");
    assert_eq!(show(among(1.0.expr(), vec![Const::Int(1)])), "true");
    assert_eq!(show(among(1_i64.expr(), names())), "false");
}

#[test]
fn values_stay_small() {
    assert!(size_of::<super::super::Value<'_>>() <= 32, "{}", size_of::<super::super::Value<'_>>());
}
