//! What watched expressions tell: both outcomes of each part, and nothing of what was not reached.

use super::build::*;
use super::{Expr, MacroKind};
use crate::cel::{Env, Fuel, Loaded, Scope, Watching, eval};
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
