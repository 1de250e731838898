//! What watched expressions report: both outcomes of each part, and nothing about parts that were not
//! reached.

use super::build::*;
use super::{Expr, MacroKind};
use crate::cel::{Came, Env, Fuel, Loaded, MAX_VALUES, Scope, Watching, eval};
use crate::ir::Cel;
use crate::json::Json;
use crate::policy::Admission;

/// Evaluates over each object in turn; position and outcomes of each part, `T` true, `F` false, `-` neither.
fn watched(expr: Expr, objects: &[&str]) -> Vec<String> {
    let loaded = Loaded::watching(&Admission::default(), Watching::On).unwrap();
    let prepared = loaded.prepare(&Cel { source: String::new(), expr, slots: 2 });
    for object in objects {
        let object = Json::parse(object.as_bytes()).unwrap();
        let request = Json::Null;
        let env = Env::of(&object, &request);
        let _value = eval(&prepared, &mut Scope::new(&loaded, env, Fuel::new(10_000)));
    }
    let shown = prepared.parts().iter().map(|part| {
        let outcomes = part.outcomes();
        let (yes, no) = (outcomes.was_true(), outcomes.was_false());
        let only_failed = outcomes.was_reached() && !yes && !no;
        let said = [(yes, "T"), (no, "F"), (only_failed, "E")];
        let said: String = said.into_iter().filter(|(is, _)| *is).map(|(_, said)| said).collect();
        format!("{} {}", part.at(), if said.is_empty() { "-" } else { said.as_str() })
    });
    shown.collect()
}

fn field(name: &str) -> Expr {
    select(object(), name)
}

#[test]
fn a_part_behind_the_deciding_one_is_not_reached() {
    // 0: a || b; 1: object.a; 3: object.b.
    let either = || or([field("a"), field("b")]);
    assert_eq!(watched(either(), &[]), ["0 -", "1 -", "3 -"]);
    assert_eq!(watched(either(), &[r#"{"a": true}"#]), ["0 T", "1 T", "3 -"]);
    assert_eq!(
        watched(either(), &[r#"{"a": true}"#, r#"{"a": false, "b": false}"#]),
        ["0 TF", "1 TF", "3 F"]
    );
    assert_eq!(watched(either(), &[r#"{"b": true}"#]), ["0 T", "1 E", "3 T"]);
}

#[test]
fn a_negation_is_its_operand_turned_round() {
    // 0: !has(object.a); 1: has(object.a).
    assert_eq!(watched(not(has(object(), "a")), &["{}"]), ["1 F"]);
}

#[test]
fn parts_inside_macros_and_values_count_too() {
    // 0: size(object.c.filter(x, x == 1)) > 0; 1: size; 2: filter; 5: x == 1.
    let filter = over(MacroKind::Filter, field("c"), call!(Equal, slot(0), 1_i64));
    let some = call!(Greater, call!(Size, filter), 0_i64);
    assert_eq!(watched(some.clone(), &[r#"{"c": []}"#]), ["0 F", "5 -"]);
    assert_eq!(watched(some, &[r#"{"c": [2, 1]}"#]), ["0 T", "5 TF"]);
}

/// Evaluates over one object; position and values of each node.
fn traced(expr: Expr, object: &str) -> Vec<String> {
    let loaded = Loaded::watching(&Admission::default(), Watching::Values).unwrap();
    let prepared = loaded.prepare(&Cel { source: String::new(), expr, slots: 2 });
    let object = Json::parse(object.as_bytes()).unwrap();
    let request = Json::Null;
    let _value = eval(&prepared, &mut Scope::new(&loaded, Env::of(&object, &request), Fuel::new(10_000)));
    let shown = prepared.traced().iter().map(|node| {
        let (values, times) = node.came_to();
        let values = values.iter().map(|came| match came {
            Came::Value(kind, text) => format!("{kind} {text}"),
            Came::Opaque => "opaque".to_owned(),
            Came::Failed(error) => format!("error: {error}"),
        });
        let values: Vec<String> = values.collect();
        assert_eq!(values.len() as u64, times.min(MAX_VALUES as u64));
        format!("{} {}", node.at(), values.join("; "))
    });
    shown.collect()
}

#[test]
fn every_node_is_traced_with_its_values_and_what_was_not_reached_has_none() {
    // 0: a.b == 1 || c; 1: a.b == 1; 2: a.b; 3: a; 4: object; 5: 1; 6: c; 7: object.
    let expr = || or([call!(Equal, select(field("a"), "b"), 1_i64), field("c")]);
    assert_eq!(
        traced(expr(), r#"{"a": {"b": 1}}"#),
        [
            "0 bool true",
            "1 bool true",
            "2 int 1",
            r#"3 map {"b": 1}"#,
            r#"4 map {"a": {"b": 1}}"#,
            "5 int 1",
            "6 ",
            "7 ",
        ]
    );
    let failed = traced(expr(), r#"{"a": {}, "c": 7}"#);
    assert_eq!(failed.first().map(String::as_str), Some("0 error: no such key: b"));
    assert_eq!(failed.get(6).map(String::as_str), Some("6 error: no such overload: bool"));
}

#[test]
fn a_traced_macro_has_a_value_for_each_element_up_to_a_bound() {
    // 0: exists; 1: object.c; 2: object; 3: x == 2; 4: x; 5: 2.
    let exists = || over(MacroKind::Exists, field("c"), call!(Equal, slot(0), 2_i64));
    let some = traced(exists(), r#"{"c": [1, 2, 3]}"#);
    assert_eq!(some.get(3).map(String::as_str), Some("3 bool false; bool true"));
    let many = format!(r#"{{"c": [{}0]}}"#, "0, ".repeat(99));
    let many = traced(exists(), &many);
    let values = many.get(4).map_or(0, |line| line.split(';').count());
    assert_eq!(values, MAX_VALUES);
    assert!(many.get(1).is_some_and(|line| line.ends_with('…') && line.chars().count() < 250), "{many:?}");
}

#[test]
fn tracing_costs_what_evaluation_costs_and_means_the_same() {
    let optional = call!(OrValue, opt_select(opt_select(object(), "a"), "b"), "none");
    let mut cost = Vec::new();
    for watching in [Watching::Off, Watching::On, Watching::Values] {
        let loaded = Loaded::watching(&Admission::default(), watching).unwrap();
        for text in ["{}", r#"{"a": {"b": "c"}}"#] {
            let cel = Cel { source: String::new(), expr: optional.clone(), slots: 0 };
            let (prepared, object) = (loaded.prepare(&cel), Json::parse(text.as_bytes()).unwrap());
            let request = Json::Null;
            let mut scope = Scope::new(&loaded, Env::of(&object, &request), Fuel::new(1_000));
            let value = eval(&prepared, &mut scope).unwrap();
            cost.push((value.as_str().map(str::to_owned), scope.fuel().left()));
        }
    }
    let [first, second, others @ ..] = cost.as_slice() else { panic!("{cost:?}") };
    for pair in others.chunks(2) {
        assert_eq!(pair, [first.clone(), second.clone()]);
    }
}
