//! Operators are rewritten as calls before evaluation, and mean the same; where no call can stand, they are
//! refused.

use bailiwick_policy::admission::rego::RegoFailure;

use super::{alone, gives, gives_over, module, said};

/// regorus rejects such a default only when it evaluates it, with the position in the text that has calls.
#[test]
fn a_default_is_a_constant_or_a_comprehension() {
    let deny = "data.images.deny";
    let of =
        |default: &str| module(&format!("default n := {default}\ndeny contains \"x\" if count([n]) > 0"));
    for (default, at) in [
        ("(2 * 3)", "2 * 3"),
        ("[1, {\"a\": {2 - 1}}]", "2 - 1"),
        ("{(1 - 1): 2}", "1 - 1"),
        ("- (2 * 3)", "- (2 * 3)"),
        ("count([1])", "count([1])"),
        ("input.object.metadata.name", "input.object.metadata.name"),
    ] {
        let said = said(&of(default), deny);
        let expected = format!("Syntax at `{at}`: a default is a constant or a comprehension");
        assert!(said.len() == 1 && said.iter().all(|one| one.starts_with(&expected)), "{default}: {said:?}");
    }
    // The parser reads no further than `2`.
    let bare = said(&of("2 * 3"), deny);
    assert!(bare.len() == 1 && bare.iter().all(|one| one.starts_with("Syntax at `*`: ")), "{bare:?}");
    for default in ["-1", "[1, {\"a\": set()}]", "{1, -2}", "[x | some x in [1, 2]; x * x > 1]", "`2 * 3`"] {
        assert_eq!(gives(&of(default)), Ok(vec!["x".to_owned()]), "{default}");
    }
}

/// Operators are rewritten as calls before evaluation, and mean the same.
#[test]
fn operators_mean_the_same_as_calls() {
    let object = r#"{"l": [3, 1, 2], "a": 7, "b": 1.5, "s": "t", "n": null}"#;
    for value in [
        "input.object.a - 1",
        "input.object.a -1",
        "input.object.a - 1 - 2 * 3 - -1",
        "(input.object.a - 1) * ((2 - 3) * (4))",
        "( input.object.a # - ) *\n - 1 ) - ( 2 )",
        "{1, 2} | {3} & {3, 4} - {4} | {5}",
        "({1, 2} | {3}) & ({3, 4} - {4})",
        "{x | some x in input.object.l} - {1}",
        "[w | some x in input.object.l; y := x * x; y - x > 0; w := x - y]",
        "{k: w | some x in input.object.l; k := x - 1; w := x * 2}",
        "input.object.l[2 - 1] * input.object.b",
        "count({1} | {2}) - count({3} - {3})",
        "count(set() | {1} - set())",
        "{2} | set() | {1}",
        "((set( # )\n )) | {1}) - (set() & {2})",
        "[set() - set(), {(set() | set())}]",
        "[1 - 1, 2 * 2, {1} | {2}]",
        "f(input.object.a - 1) * f(2)",
        "input.object.absent - 1",
        "input.object.a - input.object.absent",
        "{\"k - 1\": `a - b * \"c\" | d`, \"q\": \"\\\" - 1\"}",
        "9223372036854775807 * 9223372036854775807 - 1",
        "1e300 * 1e300",
        "10 - 3 % 2 * 5 / 2 + 1",
    ] {
        let text = module(&format!(
            "deny contains sprintf(\"%v\", [v]) if v := {value}\nf(x) := x - 1 if x * 2 > 1"
        ));
        assert_eq!(gives_over(&text, object), Ok(alone(&text, object)), "{value}");
        assert_eq!(value.contains("absent"), gives_over(&text, object).unwrap().is_empty(), "{value}");
    }
    for wrong in [
        "input.object.s - 1",
        "count({1} - 1) > 0",
        "1 | {2}",
        "count({1} & [1]) > 0",
        "input.object.n * 2",
        "[{1} * 2] != []",
    ] {
        let text = module(&format!("deny contains \"x\" if {wrong}"));
        match gives_over(&text, object) {
            Err(RegoFailure::Evaluation(said)) => assert!(said.starts_with("line 2 of its Rego: "), "{said}"),
            other => panic!("{wrong}: {other:?}"),
        }
    }
    for (body, name) in [
        ("__minus(x, y) := 1\ndeny contains \"x\" if 2 - 1 == 1", "__minus"),
        ("import input.object as __union\ndeny contains \"x\" if count({1} | {2}) > 1", "__union"),
        ("deny contains \"x\" if __times(1, 2) == 2", "there is no function `__times`"),
        ("deny contains \"x\" if count(__builtin_sets.union({1}, {2})) > 1", "is the interpreter's own"),
    ] {
        let said = said(&module(body), "data.images.deny");
        assert!(said.iter().any(|one| one.contains(name)), "{body}: {said:?}");
    }
    let long = format!("deny contains \"x\" if 0 < 1{}", " - 1".repeat(60));
    assert!(said(&module(&long), "data.images.deny").is_empty(), "{long}");
    let longer = format!("deny contains \"x\" if [{}] != []", vec!["2*1"; 150].join(","));
    let said = said(&module(&longer), "data.images.deny");
    assert!(said.iter().any(|one| one.contains("its operators written as calls")), "{said:?}");
}
