//! What a rule makes and reads is charged to it, beside its steps: rules that would fill the memory or hold up
//! a review end, and what regorus by itself would do with them.

use bailiwick_policy::admission::rego::RegoFailure;

use super::{alone, gives, gives_over, module};

/// Lines that each make twice as much as the line before, or more.
fn doubling(first: &str, line: &str, lines: usize) -> String {
    let lines: String = (0..lines)
        .map(|at| line.replace("NEXT", &format!("x{}", at + 1)).replace("LAST", &format!("x{at}")) + "\n")
        .collect();
    module(&format!("deny contains \"x\" if {{\nx0 := {first}\n{lines}}}"))
}

/// What doubles in one step, by built-in.
const DOUBLING: &[(&str, &str)] = &[
    ("[1, 2, 3, 4]", "NEXT := array.concat(LAST, LAST)"),
    ("input.object.metadata.name", "NEXT := concat(\"\", [LAST, LAST])"),
    ("input.object.metadata.name", "NEXT := sprintf(\"%s%s\", [LAST, LAST])"),
    ("input.object.metadata.name", "NEXT := sprintf(\"%v\", [[LAST, LAST]])"),
    ("\"aaaa\"", "NEXT := replace(LAST, \"a\", \"aa\")"),
    ("\"aaaa\"", "NEXT := regex.replace(LAST, \"a\", \"aa\")"),
    ("\"aaaa\"", "NEXT := hex.encode(LAST)"),
    ("\"\\\\\"", "NEXT := json.marshal(LAST)"),
    // Each value contains the previous one twice, so the first one occurs as often as there are paths to it
    // when written out.
    ("[1, 2, 3, 4]", "NEXT := [LAST, LAST]\ncount(json.marshal(NEXT)) > 0"),
    ("{\"a\": 1}", "NEXT := {\"a\": LAST, \"b\": LAST}\ncount(object.union(NEXT, NEXT)) > 0"),
];

#[test]
fn what_doubles_forty_times_ends_at_the_limit_of_memory() {
    for (first, line) in DOUBLING {
        match gives(&doubling(first, line, 40)) {
            Err(RegoFailure::Limit(said)) => assert!(said.contains("64 MiB"), "{line}: {said}"),
            other => panic!("{line}: {other:?}"),
        }
        // A few doublings are harmless.
        assert_eq!(gives(&doubling(first, line, 5)), Ok(vec!["x".to_owned()]), "{line}");
    }
    // Many pieces, and much that is made and then discarded.
    let text = "deny contains \"x\" if {\n\
        t := concat(\"\", [c | some k in split(input.object.metadata.long, \"\"); c := sprintf(\"%sxxxxyyyy\", [k])])\n\
        x := split(substring(t, 0, 60), \"\")\n\
        count([y | some i in x; some j in x; y := concat(\"\", [t, t, t, t, t, t, t, t])]) > 0\n}";
    let object = format!(r#"{{"metadata": {{"long": "{}"}}}}"#, "z".repeat(4_000));
    match gives_over(&module(text), &object) {
        Err(RegoFailure::Limit(said)) => assert!(said.contains("64 MiB"), "{said}"),
        other => panic!("{other:?}"),
    }
    // A definition that continues where another one reached the limit does not evade it.
    let caught = "deny contains \"x\" if f([1, 2, 3, 4]) == 0\nf(x) := count(y) if {\nLINES\ny := x40\n}\nf(x) := 0 if count(x) == 4";
    let lines: String = (1..40).map(|at| format!("x{} := array.concat(x{at}, x{at})\n", at + 1)).collect();
    let caught = caught.replace("LINES", &format!("x1 := array.concat(x, x)\n{lines}"));
    assert!(matches!(gives(&module(&caught)), Err(RegoFailure::Limit(said)) if said.contains("64 MiB")));
    // What one evaluation makes is not charged to the next.
    for _ in 0..3 {
        assert_eq!(
            gives(&doubling("[1, 2, 3, 4]", "NEXT := array.concat(LAST, LAST)", 12)),
            Ok(vec!["x".to_owned()])
        );
    }
}

/// The attack without the control: regorus by itself makes the whole result, within the limit of steps.
#[test]
fn without_the_limit_twenty_lines_make_four_million_elements() {
    use regorus::{Engine, Value};
    let doubled = |line: &str, first: &str| {
        let mut engine = Engine::new();
        let lines: String = (0..20)
            .map(|at| line.replace("NEXT", &format!("x{}", at + 1)).replace("LAST", &format!("x{at}")) + "\n")
            .collect();
        let text = format!("package images\nmade := count(x20) if {{\nx0 := {first}\n{lines}}}\n");
        engine.add_policy("images".to_owned(), text).expect("it is Rego");
        engine.set_execution_timer_config(crate::rego::engine::LIMIT);
        crate::rego::stack::run(move || engine.eval_rule("data.images.made".to_owned()).expect("it ends"))
            .expect("it ran")
    };
    assert_eq!(doubled("NEXT := array.concat(LAST, LAST)", "[1, 2, 3, 4]"), Value::from(4_u64 << 20));
    assert_eq!(doubled("NEXT := concat(\"\", [LAST, LAST])", "\"abcd\""), Value::from(4_u64 << 20));
}

/// Loops over the contents of the object. Each step traverses all of it, so an object twice as large takes
/// four times as long.
#[test]
fn what_a_step_goes_through_is_charged() {
    let names: Vec<String> = (0..4_000).map(|at| format!("\"n{at}\"")).collect();
    let object = format!(
        r#"{{"l": [{}], "long": "{}", "json": "[{}0]"}}"#,
        names.join(","),
        "z".repeat(1_000_000),
        "0,".repeat(20_000)
    );
    let few = r#"{"l": ["n1", "n2"], "long": "zzz", "json": "[0]"}"#;
    let rule = |all: &str, condition: &str| {
        module(&format!(
            "l := input.object.l\ns := {{x | some x in array.slice(l, 0, 1200)}}\ndeny contains \"x\" if count([1 | some x in {all}; {condition}]) > 0"
        ))
    };
    for (all, condition) in [
        ("s", "count(s - {x}) > 0"),
        ("s", "count(s | {x}) > 0"),
        ("s", "count({x} & s) > 0"),
        ("s", "count(union({s, {x}})) > 0"),
        ("s", "not contains(input.object.long, x)"),
        ("s", "indexof(input.object.long, x) == -1"),
        ("s", "not regex.match(x, input.object.long)"),
        ("l", "max(l) != \"x\""),
        ("l", "object.subset(l, [x])"),
        ("l", "strings.any_prefix_match(l, [x])"),
        ("l", "count(json.unmarshal(input.object.json)) > 0"),
        ("l", "json.is_valid(input.object.json)"),
        ("l", "count(input.object.long) > 0"),
        ("l", "not net.cidr_is_valid(input.object.long)"),
        ("l", "count(regex.find_all_string_submatch_n(\"((z))\", input.object.long, 1)) > 0"),
    ] {
        let text = rule(all, condition);
        match gives_over(&text, &object) {
            Err(RegoFailure::Limit(said)) => assert!(said.contains("64 MiB"), "{condition}: {said}"),
            other => panic!("{condition}: {other:?}"),
        }
        // A few elements are harmless.
        assert_eq!(gives_over(&text, few), Ok(vec!["x".to_owned()]), "{condition}");
    }
    // The attack without the control: within the limit of steps, each runs to its end.
    for (all, condition) in
        [("s", "count(s - {x}) > 0"), ("s", "not contains(input.object.long, x)"), ("l", "max(l) != \"x\"")]
    {
        assert_eq!(alone(&rule(all, condition), &object), ["x"], "{condition}");
    }
}

#[test]
fn no_number_grows_without_bound() {
    let squared = "NEXT := LAST * LAST";
    assert!(matches!(gives(&doubling("3", squared, 40)), Err(RegoFailure::Limit(_))));
    assert_eq!(gives(&doubling("3", squared, 10)), Ok(vec!["x".to_owned()]));
    let twenty = doubling("3", squared, 20).replace("}\n", "x20 > 1\n}\n");
    assert_eq!(alone(&twenty, "{}"), ["x"], "a number of 1.6 million bits");
    // A default may be a comprehension, and that of a function anything.
    let body = |lines: usize| {
        let lines: String = (0..lines).map(|at| format!("x{} := x{at} * x{at}\n", at + 1)).collect();
        format!("[1 |\nx0 := 3\n{lines}]")
    };
    for (bomb, call) in [("bomb", "bomb"), ("bomb(_)", "bomb(1)\nbomb(x) := [] if x == 2")] {
        let of_default = |lines: usize| {
            module(&format!("default {bomb} := {}\ndeny contains \"x\" if [1] == {call}", body(lines)))
        };
        assert!(matches!(gives(&of_default(40)), Err(RegoFailure::Limit(_))), "{bomb}");
        assert_eq!(gives(&of_default(10)), Ok(vec!["x".to_owned()]), "{bomb}");
        assert_eq!(alone(&of_default(20), "{}"), ["x"], "{bomb}");
    }
    let of_list = module("deny contains \"x\" if product(input.object.l) != 1");
    let many = format!(r#"{{"l": [{}]}}"#, vec!["9223372036854775807"; 1_000].join(","));
    assert_eq!(alone(&of_list, &many), ["x"]);
    assert!(matches!(gives_over(&of_list, &many), Err(RegoFailure::Limit(_))));
    assert_eq!(gives_over(&of_list, r#"{"l": [2, 3]}"#), Ok(vec!["x".to_owned()]));
}

/// Within one step, each character of one text is compared with all of another.
#[test]
fn what_is_compared_at_every_character_is_charged() {
    let over = |long: usize, other: usize| {
        let [text, sought, cut] =
            [("z", long), ("z", other), ("a", other)].map(|(one, times)| one.repeat(times));
        format!(r#"{{"long": "{text}", "sought": "{sought}x", "cut": "{cut}z"}}"#)
    };
    for condition in [
        "indexof(input.object.long, input.object.sought) == -1",
        "count(indexof_n(input.object.long, input.object.sought)) == 0",
        "trim(input.object.long, input.object.cut) == \"\"",
        "trim_left(input.object.long, input.object.cut) == \"\"",
        "trim_right(input.object.long, input.object.cut) == \"\"",
    ] {
        let text = module(&format!("deny contains \"x\" if {condition}"));
        match gives_over(&text, &over(400_000, 400_000)) {
            Err(RegoFailure::Limit(said)) => assert!(said.contains("64 MiB"), "{condition}: {said}"),
            other => panic!("{condition}: {other:?}"),
        }
        assert_eq!(gives_over(&text, &over(1_000, 100)), Ok(vec!["x".to_owned()]), "{condition}");
    }
}

/// A text that is decoded, prepared to be sought, or written out is charged more than one that is only read: as one
/// that is only read, each of these would stay at about half of the limit.
#[test]
fn texts_that_are_more_than_read_are_charged_more() {
    let over = |times: usize| {
        let [text, sought, version] =
            [("z", 400_000), ("y", 300_000), ("a", 200_000)].map(|(one, length)| one.repeat(length));
        let l = vec!["0"; times].join(",");
        format!(r#"{{"l": [{l}], "long": "{text}", "sought": "{sought}", "version": "1.0.0-{version}"}}"#)
    };
    for condition in [
        "not contains(input.object.long, input.object.sought)",
        "count(input.object.long) > 0",
        "semver.compare(input.object.version, input.object.version) == 0",
    ] {
        let text =
            module(&format!("deny contains \"x\" if count([1 | some _ in input.object.l; {condition}]) > 0"));
        match gives_over(&text, &over(800)) {
            Err(RegoFailure::Limit(said)) => assert!(said.contains("64 MiB"), "{condition}: {said}"),
            other => panic!("{condition}: {other:?}"),
        }
        assert_eq!(gives_over(&text, &over(2)), Ok(vec!["x".to_owned()]), "{condition}");
    }
}

/// Conditions, each with an object for which one step or a few could take minutes or all of the memory, and one
/// for which it holds.
fn over_what_objects_make() -> [(String, String, String); 12] {
    let list = |count: usize, one: &dyn Fn(usize) -> String| {
        format!("[{}]", (0..count).map(one).collect::<Vec<_>>().join(","))
    };
    let names = |count| list(count, &|at| format!("\"n{at}\""));
    let maps = |count| list(count, &|at| format!("{{\"n{at}\": 1}}"));
    let text = |part: &str, times: usize| format!("\"{}\"", part.repeat(times));
    let sought =
        |times| format!("{{\"text\": {}, \"sought\": \"{}x\"}}", text("z", times), "z".repeat(times));
    let over =
        |pattern: String, searched: String| format!("{{\"pattern\": {pattern}, \"text\": {searched}}}");
    let of = |name: &str, value: String| format!("{{\"{name}\": {value}, \"l\": [\"\"]}}");
    let replaced = |times| {
        format!("{{\"l\": {}, \"old\": {}}}", list(times, &|_| "\"\"".to_owned()), text("a", 100 * times))
    };
    let all = r##"regex.find_n(`@[a-z]+(?:\([^)]*\))?`, input.object.text, -1)"##;
    [
        ("strings.count(input.object.text, input.object.sought) == 0", sought(400_000), sought(10)),
        (
            "count([1 | some x in input.object.l; replace(x, input.object.old, \"\") == \"\"]) > 0",
            replaced(2_000),
            replaced(2),
        ),
        ("count(object.union_n(input.object.maps)) > 0", of("maps", maps(5_000)), of("maps", maps(5))),
        (
            "count(union({{x} | some x in input.object.names})) > 0",
            of("names", names(5_000)),
            of("names", names(5)),
        ),
        (
            "regex.is_valid(input.object.pattern)",
            of("pattern", text("a?", 50_000)),
            of("pattern", text("a?", 5)),
        ),
        (
            "not regex.match(input.object.pattern, input.object.text)",
            over("\"1[01]{1000}[^01]\"".to_owned(), text("01", 200_000)),
            over("\"1[01]{10}[^01]\"".to_owned(), text("01", 20)),
        ),
        (&format!("count({all}) > 0"), of("text", text("@a(", 50_000)), of("text", text("@a(", 50))),
        (
            "regex.template_match(input.object.pattern, input.object.text, \"{\", \"}\")",
            over(text("{a}", 1_000), text("a", 1_000)),
            over(text("{a}", 10), text("a", 10)),
        ),
        (
            "not glob.match(input.object.pattern, [], input.object.text)",
            over(format!("\"*b{}\"", "?".repeat(4_000)), text("a", 300_000)),
            over("\"*b??\"".to_owned(), text("a", 30)),
        ),
        (
            "glob.match(\"*\", input.object.delimiters, \"a\")",
            of("delimiters", list(10, &|_| "\".\"".to_owned())),
            of("delimiters", list(2, &|_| "\".\"".to_owned())),
        ),
        (
            "count(json.remove(input.object, input.object.paths)) > 0",
            of("paths", format!("[{}]", text("a/", 100_000))),
            of("paths", format!("[{}]", text("a/", 10))),
        ),
        (
            "count(json.filter(input.object, input.object.paths)) > 0",
            of("paths", r#"["l/{}"]"#.to_owned()),
            of("paths", r#"["l/0"]"#.to_owned()),
        ),
    ]
    .map(|(condition, hostile, few)| (condition.to_owned(), hostile, few))
}

#[test]
fn what_an_object_may_make_of_patterns_paths_and_lists_is_charged() {
    for (condition, hostile, few) in over_what_objects_make() {
        let rule = module(&format!("deny contains \"x\" if {{ {condition} }}"));
        match gives_over(&rule, &hostile) {
            Err(RegoFailure::Limit(said)) => assert!(said.contains("64 MiB"), "{condition}: {said}"),
            other => panic!("{condition}: {other:?}"),
        }
        assert_eq!(gives_over(&rule, &few), Ok(vec!["x".to_owned()]), "{condition}");
    }
}

/// The error of an operation on what is no number would have all of it as text: here two to the power of forty
/// elements.
#[test]
fn what_is_no_number_is_not_written_into_an_error() {
    let doubled: String = (1..=40).map(|at| format!("x{at} := [x{}, x{}]\n", at - 1, at - 1)).collect();
    let over = |last: &str| module(&format!("deny contains \"x\" if {{\nx0 := [1]\n{doubled}{last}\n}}"));
    for operation in [
        "x40 + 1",
        "1 / x40",
        "x40 % 2",
        "abs(x40)",
        "bits.or(1, x40)",
        "startswith(x40, \"a\")",
        "split(\"a\", x40)",
        "regex.match(x40, \"a\")",
        "regex.find_n(\"a\", x40, 1)",
        "object.get(x40, \"a\", 1)",
        "array.slice({1: x40}, 0, 1)",
    ] {
        let text = over(&format!("{operation} == 1"));
        assert!(matches!(gives_over(&text, "{}"), Err(RegoFailure::Limit(_))), "{operation}");
    }
    assert_eq!(gives_over(&over("is_array(x40)"), "{}"), Ok(vec!["x".to_owned()]), "it is no attack");
    assert!(matches!(gives_over(&over("units.parse(x40) == 1"), "{}"), Err(RegoFailure::Evaluation(_))));
    let text =
        module("deny contains \"x\" if 7 % 4 + 9 / 2 - 1 == 6.5\ndeny contains \"y\" if (1 + 2) * 3 == 9");
    assert_eq!(gives_over(&text, "{}"), Ok(vec!["x".to_owned(), "y".to_owned()]));
    for (operation, why) in
        [("1 / 0", "divide by zero"), ("1 % 0", "modulo by zero"), ("1.5 % 2", "modulo on floating")]
    {
        match gives_over(&module(&format!("deny contains \"x\" if {operation} == 1")), "{}") {
            Err(RegoFailure::Evaluation(said)) => assert!(said.contains(why), "{said}"),
            other => panic!("{operation}: {other:?}"),
        }
    }
}

/// A pattern costs most when it is compiled, and that is done once.
#[test]
fn a_pattern_that_is_used_again_is_not_charged_for_its_compilation() {
    let names: Vec<String> =
        (0..2_000).map(|at| format!("\"registry.example.org/team/app-{at}@sha256\"")).collect();
    let object = format!("{{\"l\": [{}]}}", names.join(","));
    let condition = "every x in input.object.l { regex.match(`^registry[.]example[.]org/[a-z0-9-]{1,63}/[a-z0-9-]{1,128}@sha256$`, x) }";
    let rule = module(&format!("deny contains \"x\" if {{ {condition} }}"));
    assert_eq!(gives_over(&rule, &object), Ok(vec!["x".to_owned()]));
}
