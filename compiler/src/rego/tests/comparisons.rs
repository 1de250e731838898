//! Comparisons, and what is looked up or matched: charged by size, and with the same meaning as before.

use super::{alone, gives_over, module};
use bailiwick_policy::admission::rego::RegoFailure;

const OBJECT: &str = r#"{
    "l": [3, 1, 2, 1], "m": {"a": 1, "b": 2, "c": [1, {"d": null}]}, "n": {"b": 2, "c": 3}, "s": "text",
    "containers": [
        {"name": "one", "image": "i:1", "labels": {"app": "x"}, "ports": [80, 443]},
        {"name": "two", "image": "i:2", "labels": {"app": "y", "zone": "z"}, "ports": []}
    ]
}"#;

fn means_the_same(body: &str) {
    let text = module(body);
    let alone = alone(&text, OBJECT);
    assert_eq!(gives_over(&text, OBJECT), Ok(alone.clone()), "{body}");
    assert!(!alone.is_empty(), "it says nothing: {body}");
}

/// What the module gives when `condition` is added to a body that has `o` and messages `v`.
fn body(statements: &str) -> String {
    format!("deny contains sprintf(\"%v\", [v]) if {{\no := input.object\n{statements}\n}}\n")
}

#[test]
fn comparisons_mean_the_same_as_calls() {
    for value in [
        "[o.m == o.n, o.m != o.n, o.m < o.n, o.m <= o.n, o.m > o.n, o.m >= o.n]",
        "[o.l == o.l, o.l != o.l, o.l < o.l, o.l <= o.l, o.l > o.l, o.l >= o.l]",
        "[o.l < o.m, o.m < o.s, {1, 2} == {2, 1}, {1} < {o.s}, [] == o.l, null < o.l]",
        "(o.m == o.n) == (o.n == o.m)",
        "[(o.m) == ( o.n # == )\n ), ((o.m)) # < o.n\n != (o.m)]",
        "[1 in o.l, o.m.a in o.l, o.s in o.m, 2 in {x | some x in o.l}, [1, {\"d\": null}] in o.m, 1 in o.s]",
        "[(0, 3 in o.l), (\"a\", o.m.a in o.m), (9, 1 in o.l), (o.l, 1 in {1})]",
        "[\"text\" in {o.s}, `text` in [o.s], (\"b\", o.n.b in o.m)]",
        "{o.s: o.l, concat(\"\", [o.s, \"b\"]): {o.m, o.n}, \"c\": set()}",
        "[o.m[k] | some k in [\"a\", \"x\", \"b\"]]",
        "{k: w | some k, w in o.m; w == o.n[k]}",
        "{[k, w] | some k, w in o.m}",
        "[o.l[count(o.l) - 1], o.l[o.m.a], o.m[lower(\"A\")]]",
        "object.keys(object.filter(o.m, [\"a\", \"b\"]))",
        "[sort([o.m, o.n, o.l]), union({{o.l}, {o.m}}), intersection({{o.l}, {o.l, o.m}})]",
        "[x | some c in o.containers; x := [c.name, c.labels.zone == c.labels.app]]",
    ] {
        means_the_same(&body(&format!("v := {value}")));
    }
}

/// Names that get their values where they are looked up, matched or declared, and are used again.
#[test]
fn names_get_their_values_where_they_did() {
    for statements in [
        "o.m[k] == o.n[k]\nv := k",
        "x := o.m[k]\ny := o.n[k]\nv := [k, x, y]",
        "o.n[k]\no.m[k]\nnot o.m[k] == o.m.a\nv := k",
        "some i\no.containers[i].image == \"i:2\"\nv := o.containers[i].name",
        "some i, j\no.l[i] == o.l[j]\ni < j\nv := [i, j]",
        "o.containers[i].labels[k]\no.containers[j].labels[k]\ni != j\nv := [i, j, k]",
        "s := {c | c := o.containers[_]}\ns[c]\nv := c.name",
        "s := {c | c := o.containers[_]}\nt := {c | c := o.containers[_]; c.name != \"one\"}\ns[c]\nt[c]\nv := c.name",
        "s := {[a, b] | a := o.l[_]; b := o.m.a}\ns[[a, 1]]\nv := a",
        "s := {[a, b] | a := o.l[_]; b := o.m.a}\nb := 1\ns[[a, b]]\ns[[_, b]]\nv := a",
        "x = o.m\nx.a = 1\nv = x.b",
        "1 = x\nx = o.m.a\no.m[k] = x\nv := k",
        "[x, y] = [o.m, o.n]\nx != y\nv := y",
        "{\"a\": x, \"b\": y, \"c\": _} = o.m\nv := [x, y]",
        "[x, {\"d\": null}] = o.m.c\n[1, y] = o.m.c\nv := [x, y]",
        "x = y\ny = o.m\nv := x.a",
        "y = o.m\nx = y\nv := x.a",
        "o.m[x] = y\no.n[x] = y\nv := [x, y]",
        "x := {k | o.m[k]}\ny := {k | o.n[k]}\nv := [x, y]",
        "x := {k | o.m[k]; not o.n[k]}\nv := x",
        "k := \"b\"\nx := {v | v := o.m[k]}\nv := x",
        "o.n[k]\nx := [y | y := o.m[k]]\nv := [k, x]",
        "x := [y | y := o.m[k]]\no.n[k]\nv := [k, x]",
        "some [x, y] in [[1, 2], [3, 4], [1, 5]]\nx == o.m.a\nv := y",
        "some i, c in o.containers\nsome k, l in c.labels\nv := [i, k, l]",
        "some k, _ in o.m\nsome l, _ in o.n\nk == l\nv := k",
        "every k, x in o.n { o.m[k] != x + 10 }\nv := 1",
        "every c in o.containers { every k, _ in c.labels { o.containers[_].labels[k] } }\nv := 1",
        "not o.m.absent == o.n\nnot o.m == o.n\nnot o.s in o.l\nv := 1",
        "v := o.containers[_][\"name\"]",
        "key := \"a\"\nv := o.m[key]",
        "v := [x | x := o.l[_]; x == o.m.a][_]",
    ] {
        means_the_same(&body(statements));
    }
}

#[test]
fn rules_and_functions_mean_the_same() {
    let deny = "deny contains sprintf(\"%v\", [v]) if";
    for rules in [
        format!("{deny} some v in containers\ncontainers contains c if some c in input.object.containers"),
        format!("{deny} containers[v]\ncontainers contains c if some c in input.object.containers"),
        format!("{deny} v := by_name.one\nby_name[c.name] := c if some c in input.object.containers"),
        format!(
            "{deny} v := by_name[k][\"image\"]\nby_name[c.name] := c if some c in input.object.containers"
        ),
        format!("{deny} v := f(input.object.l)\nf([x, _, y, 1]) := [x, y]\nf([1, _]) := 2"),
        format!("{deny} v := f(input.object.m)\nf({{\"a\": x, \"b\": y, \"c\": [_, z]}}) := [x, y, z]"),
        format!("{deny} v := f(input.object.l, \"a\")\nf(x, \"a\") := x\nf(x, \"b\") := [x]"),
        format!("{deny} v := f(1)\nf(x) := input.object.l if x == 1\nf(x) := input.object.l if x < 2"),
        format!("{deny} v := f(3)\nf(x) := input.object.l if x == 1\nelse := input.object.m if x == 3"),
        format!("{deny} {{ f(input.object.m); v := 1 }}\nf(x) if x == input.object.m"),
        format!(
            "{deny} v := value\ndefault value := []\nvalue := input.object.m if input.object.m in [input.object.m]"
        ),
        format!("{deny} {{ data.images.named[k]; v := k }}\nnamed[k] := true if input.object.m[k]"),
        format!(
            "{deny} {{ k := \"b\"; data.images.named[k]; v := k }}\nnamed[k] := true if input.object.m[k]"
        ),
        format!("{deny} {{ m[k] == n[k]; v := k }}\nm := input.object.m\nn := input.object.n"),
        format!("import input.object.m as m\n{deny} {{ key := \"a\"; v := m[key] }}"),
    ] {
        means_the_same(&rules);
    }
}

/// What Gatekeeper's templates say, which are Rego v0.
#[test]
fn the_idioms_of_templates_are_accepted() {
    for rules in [
        "violation[{\"msg\": msg, \"details\": {\"missing_labels\": missing}}] {\n provided := {label | input.review.object.m[label]}\n required := {label | label := [\"a\", \"z\"][_]}\n missing := required - provided\n count(missing) > 0\n msg := sprintf(\"you must provide labels: %v\", [missing])\n}",
        "violation[{\"msg\": msg}] {\n container := input_containers[_]\n satisfied := [good | repo = [\"r/\"][_] ; good = startswith(container.image, repo)]\n not any_of(satisfied)\n msg := sprintf(\"%v\", [container.name])\n}\nany_of(list) { list[_] == true }\ninput_containers[c] {\n c := input.review.object.containers[_]\n}\ninput_containers[c] {\n c := input.review.object.initContainers[_]\n}",
        "violation[{\"msg\": msg}] {\n value := input.review.object.m[key]\n expected := {\"a\": 2}[key]\n value != expected\n def_msg := sprintf(\"%v\", [value])\n msg := get_message({}, def_msg)\n}\nget_message(parameters, _default) = msg {\n not parameters.message\n msg := _default\n}\nget_message(parameters, _default) = msg {\n msg := parameters.message\n}",
        "violation[{\"msg\": msg}] {\n c := input.review.object.containers[i]\n has_field(c, \"image\")\n p = c.ports[j]\n msg := sprintf(\"%v %v %v\", [i, j, p])\n}\nhas_field(object, field) = true { object[field] }\nhas_field(object, field) = true { object[field] == false }",
    ] {
        let text = format!("package images\n{}\n", rules.replace("violation", "deny"));
        match gives_over(&text, OBJECT) {
            Ok(messages) => assert!(!messages.is_empty(), "it says nothing: {rules}"),
            other => panic!("{rules}: {other:?}"),
        }
    }
}

/// A loop of 40,000 turns over texts and lists that differ only at their end.
fn looped(statements: &str) -> String {
    let numbers = (0..200).map(|n| n.to_string()).collect::<Vec<_>>().join(",\n");
    module(&format!(
        "all := [{numbers}]\nsame := input.object.a if input.object.n < 5\nsame := input.object.c if input.object.n < 6\nf(_) := input.object.a\nf(_) := input.object.c\np contains input.object.a\np contains input.object.b\nof_a := {{input.object.a: 1}}\ndeny contains \"x\" if {{\nsome i in all\nsome j in all\na := input.object.a\nb := input.object.b\nc := input.object.c\n{statements}\ni + j < 0\n}}"
    ))
}

#[test]
fn what_is_compared_in_one_step_is_charged() {
    let object = |long: usize| {
        let text = |last: char| format!("\"{}{last}\"", "z".repeat(long * 100));
        let list = |last: u8| format!("[{}{last}]", "1,".repeat(long));
        format!(
            r#"{{"n": 1, "a": {a}, "b": {}, "c": {a}, "l": {}, "m": {}}}"#,
            text('b'),
            list(2),
            list(3),
            a = text('a'),
        )
    };
    let (large, small) = (object(4_000), object(2));
    for statements in [
        "a != b",
        "a < b",
        "not b <= a",
        "input.object.l != input.object.m",
        "not b in [a, c]",
        "not 5 in input.object.l",
        "not (0, b in [a])",
        "count({a, b}) == 2",
        "count({x | x := [a, b][_]}) == 2",
        "count({a: 1, b: 2}) == 2",
        "count({x: 1 | x := [a, b][_]}) == 2",
        "count({\"k\": x | x := [a, c][_]}) == 1",
        "p[a]",
        "p[x]\nx = c",
        "x = a\nx = c",
        "a = c",
        "[x, 1] = [a, 1]\n[x, 1] = [c, 1]",
        "{1: x} = {1: a}\nx = c",
        "f(i) == c",
        "sort([b, a, b, a]) == [a, a, b, b]",
        "max([a, b]) == b",
        "count(union({{a}, {b}})) == 2",
        "object.get({a: 1}, b, 0) == 0",
        "object.get(of_a, b, 0) == 0",
        "not (a, c in of_a)",
        "c in {a}",
    ] {
        match gives_over(&looped(statements), &large) {
            Err(RegoFailure::Limit(said)) => assert!(said.contains("64 MiB"), "{statements}: {said}"),
            other => panic!("{statements}: {other:?}"),
        }
        let few = looped(statements).replace("some j in all\n", "j := 1\n").replace("i + j < 0", "i == j");
        assert_eq!(gives_over(&few, &small), Ok(vec!["x".to_owned()]), "{statements}");
    }
    // Without the charges such a loop runs to its end.
    let some = looped("a != b").replace("some j in all\n", "j := 1\n");
    assert_eq!(alone(&some, &large), Vec::<String>::new());
}

/// Lines that each contain the line before twice: written out, the last one has a million million elements.
#[test]
fn what_doubles_is_not_compared() {
    for of_last in [
        "x40 == y40",
        "x40 < y40",
        "x40 in [y40]",
        "count({x40, y40}) == 1",
        "z = x40\nz = y40",
        "max([x40, y40]) == 1",
        "sort([x40, y40]) == 1",
        "{y40: 1}[x40] == 1",
    ] {
        let doubled = |name: &str| -> String {
            (0..40).map(|at| format!("{name}{} := [{name}{at}, {name}{at}]\n", at + 1)).collect()
        };
        let text = module(&format!(
            "deny contains \"x\" if {{\nx0 := 1\ny0 := 1\n{}{}{of_last}\n}}",
            doubled("x"),
            doubled("y")
        ));
        match gives_over(&text, "{}") {
            Err(RegoFailure::Limit(said)) => assert!(said.contains("64 MiB"), "{of_last}: {said}"),
            other => panic!("{of_last}: {other:?}"),
        }
    }
}

/// `in` is false where an operand is absent, whether the other one is a literal or not: as regorus has it, and
/// unlike OPA, where it is undefined, so a rule that asks `in` to be false denies.
#[test]
fn nothing_is_in_what_is_absent() {
    for value in [
        "\"a\" in o.absent",
        "o.s in o.absent",
        "o.absent in o.l",
        "o.absent in [1, 2]",
        "o.absent in {1, 2}",
        "(\"a\", 1 in o.absent)",
        "(o.s, o.l in o.absent)",
        "(o.absent, 1 in o.m)",
        "(\"a\", o.absent in o.m)",
        "(0, o.absent in [1, 2])",
    ] {
        means_the_same(&body(&format!("v := {value}\nv == false")));
    }
}

/// What is charged is what is compared, and not a list that holds it.
#[test]
fn a_lookup_by_key_is_not_charged_for_the_collection() {
    let text = module(&body("every i, x in o.l { (i, x in input.object.l) }\nv := 1"));
    let object = format!(r#"{{"l": [{}1]}}"#, "1,".repeat(5_000));
    assert_eq!(gives_over(&text, &object), Ok(vec!["1".to_owned()]));
}

/// regorus compares one argument too many with the result.
#[test]
fn a_call_has_no_argument_too_many() {
    let rules = "f(x) := x\ndefault g(_) := 1\n";
    for (call, name) in [
        ("object.get(o, \"l\", 0, o.m)", "object.get"),
        ("not object.get(o, \"l\", 0, o.m)", "object.get"),
        ("count(o.l, x)", "count"),
        ("f(o.l, o.m)", "f"),
        ("data.images.f(o.l, x)", "data.images.f"),
        ("g(1, o.m)", "g"),
    ] {
        let text = module(&format!("{rules}{}", body(&format!("{call}\nv := 1"))));
        let said = super::said(&text, "data.images.deny");
        let expected = format!("`{name}` has ");
        assert!(
            said.iter().any(|one| one.contains(&expected) && one.contains("and takes")),
            "{call}: {said:?}"
        );
    }
}

#[test]
fn a_pattern_compares_with_literals_only() {
    for (statements, at) in [
        ("[x, o.m] := o.l", "o.m"),
        ("some [x, o.m] in [o.l]", "o.m"),
        ("some x, count(o.m) in o.l", "count(o.m)"),
    ] {
        let said = super::said(&module(&body(&format!("{statements}\nv := x"))), "data.images.deny");
        let expected = format!("Limit at `{at}`: a pattern has names and literals only");
        assert!(said.iter().any(|one| one.starts_with(&expected)), "{statements}: {said:?}");
    }
}
