//! What functions cost: reading or ordering much data costs fuel in proportion, and fuel that runs out midway
//! is an error.

use super::build::{IntoExpr, call, object, over, select, slot};
use super::{Expr, Fuel, Func, MacroKind, World, show};

/// A function that reads a text to its end pays for it: a rule that repeats this for a long text runs out of
/// fuel.
#[test]
fn long_texts_are_paid_for() {
    let long = "1".repeat(100_000);
    let again = |one: &dyn Fn() -> Expr| show(Expr::Or((0..200).map(|_| one()).collect()));
    let exhausted = "error: the expression cost more than its budget";
    assert_eq!(again(&|| call!(IsIp, long.as_str())), exhausted);
    assert_eq!(again(&|| call!(IsCidr, long.as_str())), exhausted);
    assert_eq!(again(&|| call!(Ip, long.as_str())), exhausted);
    assert_eq!(again(&|| call!(ToDuration, long.as_str())), exhausted);
    assert_eq!(again(&|| call!(ToTimestamp, long.as_str())), exhausted);
    assert_eq!(again(&|| call!(IsUrl, long.as_str())), exhausted);
    assert_eq!(again(&|| call!(IsSemver, long.as_str())), exhausted);
    for (name, _) in crate::cel::NamedFormat::ALL {
        let format = || call!(Value, call!(FormatNamed, *name));
        assert_eq!(
            again(&|| call!(Equal, call!(Validate, format(), long.as_str()), 1_i64)),
            exhausted,
            "{name}"
        );
    }
    let query = format!("/?{}", (0..2_000).map(|at| format!("k{at}&")).collect::<String>());
    assert_eq!(again(&|| call!(In, "x", call!(GetQuery, call!(Url, query.as_str())))), exhausted);
    let versions = format!("1.0.0-{}", vec!["0"; 5_000].join("."));
    let version = || call!(Semver, versions.as_str());
    assert_eq!(again(&|| call!(IsLessThan, version(), version())), exhausted);
}

/// Thirty texts in such an order that the standard library's sort notices comparisons that stop making sense.
fn unsorted() -> Vec<Expr> {
    (0..30_u32).map(|at| format!("{:04}", at * 37 % 101).expr()).collect()
}

#[test]
fn fuel_that_ends_while_a_list_is_sorted_is_an_error_and_nothing_else() {
    let list = Expr::List(unsorted().into_iter().map(|item| (item, false)).collect());
    let by_itself = || Expr::Call(Func::Sort, vec![list.clone()]);
    let by_key = || over(MacroKind::SortBy, list.clone(), slot(0));
    let sorted = show(by_itself());
    assert!(sorted.starts_with("[0000, 0003, 0006, "), "{sorted}");
    let mut ended = 0;
    for fuel in 0..600 {
        for expr in [by_itself(), by_key()] {
            let outcome = World { fuel, ..World::default() }.show(expr);
            if outcome != sorted {
                assert_eq!(outcome, "error: the expression cost more than its budget");
                ended += 1;
            }
        }
    }
    assert!((200..1200).contains(&ended), "{ended} of 1200 ended");
}

#[test]
fn equal_keys_keep_their_order_and_what_is_sorted_costs_least() {
    let tens = over(MacroKind::SortBy, [31_i64, 12, 30, 11, 22, 10], call!(Divide, slot(0), 10_i64));
    assert_eq!(show(tens), "[12, 11, 10, 22, 31, 30]");
    let cost = |list: Vec<Expr>| {
        let list = Expr::List(list.into_iter().map(|item| (item, false)).collect());
        Fuel::DEFAULT - World::default().show_and_spend(Expr::Call(Func::Sort, vec![list])).1
    };
    let in_order = (0..30_u32).map(|at| format!("{at:04}").expr()).collect();
    assert!(cost(in_order) < cost(unsorted()));
}

#[test]
fn a_search_costs_by_the_size_of_the_automaton_too() {
    let cost = |pattern: &str| {
        let mut world = World::of(&format!(r#"{{"a": "{}"}}"#, "01".repeat(100_000)));
        world.admission.regexes = vec![pattern.to_owned()];
        let (outcome, left) = world.show_and_spend(Expr::Matches(Box::new(select(object(), "a")), 0));
        (outcome, Fuel::DEFAULT - left)
    };
    let (outcome, cheap) = cost("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$");
    assert_eq!(outcome, "true");
    assert!((50_000..51_000).contains(&cheap), "{cheap}");
    // Some thousand states, each of which a byte may advance: a hundred megabytes of work.
    let (outcome, _) = cost("[01]*1([01]{1000}){8}");
    assert_eq!(outcome, "error: the expression cost more than its budget");
    let computed = call!(MatchesDynamic, select(object(), "a"), "[01]*1[01]{1000}");
    let text = format!(r#"{{"a": "{}"}}"#, "01".repeat(100_000));
    assert_eq!(World::of(&text).show(computed), "error: the expression cost more than its budget");
}
