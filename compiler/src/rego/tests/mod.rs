//! What checks report about modules, what modules evaluate to, and that hostile ones end.

use bailiwick_policy::admission::rego::{Documents, RegoEngine, RegoFailure};
use bailiwick_policy::ir::Const;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::MAX_MODULE_BYTES;

use super::{Regorus, check};

mod comparisons;

const POD: &str = r#"{"metadata":{"name":"p","labels":{"zone":"a"}},"spec":{"hostname":"h","containers":[{"name":"one","image":"i:latest"},{"name":"two","image":"i:1"}]}}"#;

fn said(text: &str, rule: &str) -> Vec<String> {
    let errors = check(text, rule, &["registry"]).err().unwrap_or_default();
    let one = |error: super::RegoError| {
        let at = text.get(error.bytes.clone()).unwrap_or("?");
        let help = error.help.map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{:?} at `{at}`: {}{help}", error.fault, error.message)
    };
    errors.into_iter().map(one).collect()
}

fn gives_over(text: &str, object: &str) -> Result<Vec<String>, RegoFailure> {
    let rule = Regorus.prepare(text, "data.images.deny").expect("the module is accepted");
    let object = Json::parse(object.as_bytes()).expect("JSON");
    let old = Json::parse(br#"{"metadata":{"name":"old"}}"#).expect("JSON");
    let request = Json::parse(br#"{"operation":"UPDATE","userInfo":{"username":"alice"}}"#).expect("JSON");
    let namespace = Json::parse(br#"{"metadata":{"labels":{"tier":"gold"}}}"#).expect("JSON");
    let params =
        Const::Map(vec![(Const::Str("registry".to_owned()), Const::Str("r.example.org".to_owned()))]);
    rule.messages(Documents {
        object: &object,
        old_object: Some(&old),
        request: &request,
        params: &params,
        namespace_object: Some(&namespace),
    })
}

fn gives(text: &str) -> Result<Vec<String>, RegoFailure> {
    gives_over(text, POD)
}

fn module(body: &str) -> String {
    format!("package images\n{body}\n")
}

#[test]
fn a_set_of_messages_in_either_version_of_rego() {
    let one = Ok(vec!["one has no version".to_owned()]);
    for text in [
        "deny contains msg if {\n some c in input.object.spec.containers\n endswith(c.image, \":latest\")\n msg := sprintf(\"%v has no version\", [c.name])\n}",
        "deny[msg] {\n c := input.object.spec.containers[_]\n endswith(c.image, \":latest\")\n msg := sprintf(\"%v has no version\", [c.name])\n}",
        "deny[{\"msg\": msg, \"details\": {}}] {\n c := input.review.object.spec.containers[_]\n endswith(c.image, \":latest\")\n msg := sprintf(\"%v has no version\", [c.name])\n}",
    ] {
        assert_eq!(gives(&module(text)), one, "{text}");
    }
    assert_eq!(
        gives(&module("deny contains \"x\" if input.object.spec.hostname == \"other\"")),
        Ok(Vec::new())
    );
}

#[test]
fn every_document_is_there_under_its_names() {
    for holds in [
        "input.object.metadata.name == \"p\"",
        "input.request.object.metadata.name == \"p\"",
        "input.review.object.metadata.name == \"p\"",
        "input.oldObject.metadata.name == \"old\"",
        "input.review.oldObject.metadata.name == \"old\"",
        "input.request.operation == \"UPDATE\"",
        "input.review.userInfo.username == \"alice\"",
        "input.params.registry == \"r.example.org\"",
        "input.parameters.registry == \"r.example.org\"",
        "input.namespaceObject.metadata.labels.tier == \"gold\"",
    ] {
        assert_eq!(
            gives(&module(&format!("deny contains \"x\" if {holds}"))),
            Ok(vec!["x".to_owned()]),
            "{holds}"
        );
    }
}

#[test]
fn what_is_undefined_ends_a_body() {
    assert_eq!(
        gives(&module("deny contains \"x\" if {\n a := input.object.spec.absent\n true\n}")),
        Ok(Vec::new())
    );
    assert_eq!(
        gives(&module("deny contains \"x\" if not input.object.spec.absent")),
        Ok(vec!["x".to_owned()])
    );
}

#[test]
fn what_cannot_be_evaluated_is_no_silence() {
    for (text, why) in [
        ("deny contains \"x\" if 1 / (count(input.object.spec.containers) - 2) > 0", "divide by zero"),
        ("deny contains \"x\" if to_number(input.object.spec.hostname) > 0", "could not parse"),
        ("deny contains msg if msg := input.object.spec.containers[_]", "has no `msg`"),
        ("deny contains msg if msg := count(input.object.spec.containers)", "a message is a number"),
        (
            "deny contains \"x\" if not f(input.object.spec.hostname)\nf(x) if to_number(x) > 0",
            "could not parse",
        ),
    ] {
        match gives(&module(text)) {
            Err(RegoFailure::Evaluation(said)) => assert!(said.contains(why), "{said}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_module_must_be_rego_and_its_rule_a_set() {
    let deny = "data.images.deny";
    assert_eq!(said("package images\ndeny contains msg {\n", deny).len(), 1);
    let first = |text: &str, rule: &str| said(text, rule).into_iter().next().unwrap_or_default();
    assert!(
        first("package images\ndeny contains \"x\" if {\n  input.object.spec =\n}", deny)
            .contains("while parsing")
    );
    assert!(first(&module("deny := true"), deny).contains("must be a set of messages"));
    assert!(first(&module("deny contains 1 if true"), deny).contains("an element is a message"));
    assert!(first(&module("deny contains {\"message\": \"x\"} if true"), deny).contains("as `msg`"));
    assert!(
        first(&module("deny contains \"x\" if true"), "data.images.dany")
            .contains("did you mean `data.images.deny`?")
    );
    assert!(
        first(&module("deny contains \"x\" if true"), "data.other.deny")
            .contains("no rule `data.other.deny`")
    );
    assert!(first(&module("deny contains \"x\" if y > 1"), deny).starts_with("Reference at `y`"));
    assert!(first("", deny).starts_with("Syntax"));
}

#[test]
fn names_that_stand_for_nothing() {
    let first = |body: &str| said(&module(body), "data.images.deny").into_iter().next().unwrap_or_default();
    for (body, expected) in [
        (
            "deny contains \"x\" if input.obect.spec",
            "Reference at `input.obect.spec`: `input` has no member `obect` (did you mean `object`?)",
        ),
        ("deny contains \"x\" if input[\"spec\"]", "`input` has no member `spec`"),
        (
            "deny contains \"x\" if input.params.registri == \"a\"",
            "the pack has no parameter `registri` (did you mean `registry`?)",
        ),
        ("deny contains \"x\" if data.inventory.cluster", "a rule sees its own module and its input"),
        ("deny contains \"x\" if data.images.absent", "a rule sees its own module and its input"),
        ("import data.lib.helpers\ndeny contains \"x\" if helpers.f(1)", "is not there"),
        ("import input.objekt as pod\ndeny contains \"x\" if pod.spec", "`input` has no member `objekt`"),
        (
            "deny contains \"x\" if startwith(input.object.metadata.name, \"a\")",
            "there is no function `startwith` (did you mean `startswith`?)",
        ),
        ("deny contains \"x\" if f(1)\nf(x) if g(x)\ng(x) if f(x)", "depends on itself"),
    ] {
        assert!(first(body).contains(expected), "{body}: {}", first(body));
    }
}

#[test]
fn refused_built_ins() {
    for (call, why) in [
        ("time.now_ns() > 0", "reads the clock"),
        ("rand.intn(\"a\", 9) > 3", "another result each time"),
        ("uuid.rfc4122(\"a\") != \"\"", "another result each time"),
        ("opa.runtime().env.HOME", "outside of the review"),
        ("http.send({\"url\": \"http://example.org\"}).body", "outside of the review"),
        ("net.lookup_ip_addr(\"example.org\")", "outside of the review"),
        ("external_data({\"provider\": \"x\"})", "outside of the review"),
        ("count(numbers.range(1, 10000000000)) > 0", "any length"),
        ("count(net.cidr_expand(\"::/0\")) > 0", "any length"),
        ("bits.lsh(1, 4000000000) > 0", "any length"),
        ("print(\"x\")", "the program's output"),
        ("trace(\"x\")", "the program's output"),
        ("input.object.spec with input as {}", "in place of the true one"),
        ("sprintf(input.object.metadata.name, [1]) != \"\"", "argument 1 of `sprintf` must be written out"),
        ("sprintf(\"%999999999d\", [1]) != \"\"", "99 places"),
        ("concat(input.object.metadata.name, [\"a\"]) != \"\"", "argument 1 of `concat` must be written out"),
        ("strings.replace_n({\"a\": \"b\"}, \"a\") != \"\"", "text of any length"),
        // A rule with the name of a family does not replace it.
        ("count(numbers.range(0, 9)) > 0\nnumbers := 1", "any length"),
        ("print(\"x\")\nprint := 1", "the program's output"),
        (
            "replace(\"aa\", \"a\", input.object.metadata.name) != \"\"",
            "argument 3 of `replace` must be written out",
        ),
    ] {
        let said = said(&module(&format!("deny contains \"x\" if {call}")), "data.images.deny");
        let first = said.first().unwrap_or_else(|| panic!("{call} is accepted"));
        assert!(first.starts_with("Builtin at `") && first.contains(why), "{first}");
    }
}

/// The interpreter uses the last of two imports of one name; the checks might read the other one.
#[test]
fn two_imports_of_one_name_are_refused() {
    let text = "import input.namespaceObject as spec\nimport input.object.spec\ndeny contains \"x\" if spec.hostNetwork";
    let said = said(&module(text), "data.images.deny");
    assert!(said.iter().any(|one| one.contains("two imports have the name `spec`")), "{said:?}");
}

/// Rules that would run for ever, or that would crash a parser or an interpreter.
#[test]
fn hostile_modules_end() {
    let numbers = (0..200).map(|n| n.to_string()).collect::<Vec<_>>().join(",\n");
    let loops = ["a", "b", "c", "d", "e"].map(|name| format!(" some {name} in all")).join("\n");
    let all = format!("all := [{numbers}]");
    for endless in [
        format!("{all}\ndeny contains \"x\" if {{\n{loops}\n a + b + c + d + e < 0\n}}"),
        format!("{all}\ndeny contains \"x\" if count([1 |\n{loops}\n]) < 0"),
        format!("{all}\ndeny contains \"x\" if count({{[a, b, c, d, e] |\n{loops}\n}}) < 0"),
        format!(
            "{all}\ndeny contains \"x\" if f(1)\nf(x) if {{\n{loops}\n a + b + c + d + e < x - 2\n}}\nf(x) if {{\n{loops}\n a + b + c + d + e < x - 3\n}}"
        ),
        format!(
            "{all}\ndeny contains \"x\" if not f(1)\nf(x) if {{\n{loops}\n a + b + c + d + e < x - 2\n}}"
        ),
        format!(
            "{all}\ndeny contains \"x\" if every a in all {{\n every b in all {{\n every c in all {{\n every d in all {{ a + b + c + d >= 0 }}\n}}\n}}\n}}"
        ),
    ] {
        match gives(&module(&endless)) {
            Err(RegoFailure::Limit(said)) => assert!(said.contains("steps"), "{said}"),
            other => panic!("{endless}: {other:?}"),
        }
    }
    let bomb = "deny contains \"x\" if regex.match(\"((a{100}){100}){100}\", input.object.metadata.name)";
    assert!(matches!(gives(&module(bomb)), Err(RegoFailure::Limit(_))), "{:?}", gives(&module(bomb)));
    let long = "deny contains \"x\" if regex.match(\"^(a+)+$\", input.object.metadata.name)";
    let object = format!(r#"{{"metadata":{{"name":"{}b"}}}}"#, "a".repeat(100_000));
    assert_eq!(gives_over(&module(long), &object), Ok(Vec::new()));
    // Numbers that regorus would write out in full.
    for name in [
        r#""1e999999999""#,
        r#""{\"$serde_json::private::Number\":\"1e999999999\"}""#,
        &format!("\"{}\"", "9".repeat(200_000)),
    ] {
        for function in ["to_number", "units.parse", "units.parse_bytes", "json.unmarshal", "json.is_valid"] {
            let number = format!("deny contains \"x\" if {function}(input.object.metadata.name) > 0");
            let object = format!(r#"{{"metadata":{{"name":{name}}}}}"#);
            let gave = gives_over(&module(&number), &object);
            let told = matches!(&gave, Err(RegoFailure::Evaluation(_)));
            assert!(
                told || function.starts_with("json."),
                "{function} of {}: {gave:?}",
                name.chars().take(20).collect::<String>()
            );
        }
    }
    let quantities = "deny contains sprintf(\"%v\", [n]) if n := units.parse_bytes(\"1.5Gi\") + units.parse(\"500m\") + to_number(\"1e3\")";
    assert_eq!(gives(&module(quantities)), Ok(vec!["1610613736.5".to_owned()]));
    let json = "deny contains msg if msg := json.unmarshal(\"{\\\"a\\\": [1, \\\"x\\\"]}\").a[1]";
    assert_eq!(gives(&module(json)), Ok(vec!["x".to_owned()]));
}

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
        engine.set_execution_timer_config(super::engine::LIMIT);
        super::stack::run(move || engine.eval_rule("data.images.made".to_owned()).expect("it ends"))
            .expect("it ran")
    };
    assert_eq!(doubled("NEXT := array.concat(LAST, LAST)", "[1, 2, 3, 4]"), Value::from(4_u64 << 20));
    assert_eq!(doubled("NEXT := concat(\"\", [LAST, LAST])", "\"abcd\""), Value::from(4_u64 << 20));
}

/// The result of the rule as regorus by itself evaluates it, within the limit of steps.
fn alone(text: &str, object: &str) -> Vec<String> {
    let mut engine = regorus::Engine::new();
    engine.add_policy("images".to_owned(), text.to_owned()).expect("it is Rego");
    engine.set_input(regorus::Value::from_json_str(&format!(r#"{{"object": {object}}}"#)).expect("JSON"));
    engine.set_execution_timer_config(super::engine::LIMIT);
    let set = super::stack::run(move || engine.eval_rule("data.images.deny".to_owned())).expect("it ran");
    super::convert::messages(&set.expect("it ends")).expect("messages")
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

#[test]
fn hostile_text_is_refused() {
    let deep = |open: &str, close: &str, n: usize| {
        format!("deny contains \"x\" if {}1{} == 1", open.repeat(n), close.repeat(n))
    };
    let chain = |what: &str, n: usize| format!("deny contains \"x\" if 0 < 1{}", what.repeat(n));
    let functions: String = (0..200).map(|n| format!("f{n}(x) if f{}(x)\n", n + 1)).collect();
    let doubling: String =
        (0..20).map(|n| format!("f{n}(x) if f{}(x)\nf{n}(x) if f{}(x)\n", n + 1, n + 1)).collect();
    for text in [
        "#".repeat(1 << 20),
        "# a\n".repeat(MAX_MODULE_BYTES),
        "deny contains \"x\" if 1e999999999 > 0".to_owned(),
        "deny contains \"x\" if 1.0E+99999999 > 0".to_owned(),
        format!("deny contains \"x\" if {} > 0", "9".repeat(900)),
        deep("(", ")", 10_000),
        deep("[", "]", 400),
        deep("[\n", "]", 10_000),
        deep("{", "}", 400),
        deep("f(", ")", 300),
        deep("-", "", 800),
        deep("- \n", "", 10_000),
        deep("[x | x := ", "]", 60),
        format!("deny contains \"x\" if {{ {}x{} }}", "not[x|".repeat(28), "]".repeat(28)),
        chain("+\n1", 10_000),
        chain(" *\n1", 10_000),
        format!("deny contains \"x\" if input.object{}", ".a".repeat(450)),
        format!("deny contains \"x\" if input.object{}", "[0]".repeat(300)),
        format!("deny contains \"x\" if f0(1)\n{functions}f200(x) if x > 0"),
        format!("deny contains \"x\" if f0(1)\n{doubling}f20(x) if x > 0"),
        format!("deny contains \"x\" if {}", "not ".repeat(200)),
        format!("deny contains \"x\" if true {}", "else := \"y\" if true\n".repeat(3_000)),
    ] {
        let said = said(&module(&text), "data.images.deny");
        assert!(!said.is_empty(), "accepted: {}", text.chars().take(60).collect::<String>());
    }
}

/// At the limits of what is accepted, and with every bracket useless: the parser reads nested text again at
/// each depth.
#[test]
fn the_deepest_text_that_passes_the_guard_is_read_in_bounded_time() {
    for (open, close) in
        [("[", "]"), ("{", "}"), ("[x | x := ", "]"), ("{x | x := ", "}"), ("[{", "}]"), ("[", ""), ("{", "")]
    {
        for n in [4, 8] {
            let n = n / if open.len() == 2 { 2 } else { 1 };
            let text = format!("deny contains \"x\" if {}1{} == 1", open.repeat(n), close.repeat(n));
            let _ended = said(&module(&text), "data.images.deny");
        }
    }
}

#[test]
fn what_a_rule_reads() {
    let reads = |body: &str| {
        let rule = Regorus.prepare(&module(body), "data.images.deny").expect("the module is accepted");
        let reads = rule.reads();
        let paths: Vec<String> = reads.object.iter().map(|path| path.join(".")).collect();
        format!("{}{}", paths.join(" "), if reads.foreign { " and others" } else { "" })
    };
    assert_eq!(
        reads("deny contains \"x\" if input.object.spec.containers[_].image == input.params.registry"),
        "spec.containers"
    );
    assert_eq!(reads("deny contains \"x\" if input.review.object.spec.hostNetwork"), "spec.hostNetwork");
    assert_eq!(
        reads("import input.object.spec as spec\ndeny contains \"x\" if spec.hostPID"),
        "spec.hostPID"
    );
    assert_eq!(reads("deny contains \"x\" if f(input.object)\nf(o) if o.spec.hostPID"), "");
    assert_eq!(reads("deny contains \"x\" if input.oldObject.spec.hostPID"), " and others");
    assert_eq!(reads("deny contains \"x\" if input.request.operation == \"CREATE\""), " and others");
    assert_eq!(reads("deny contains \"x\" if { x := input; x.object.spec }"), " and others");
    // Only what the entry reaches counts.
    assert_eq!(
        reads(
            "deny contains \"x\" if pod.spec.hostPID\npod := input.object\nwarn contains \"y\" if input.oldObject"
        ),
        ""
    );
}

/// Alternatives that a help text suggests are built-ins that exist.
#[test]
fn built_ins_that_a_help_names_exist() {
    let recursive = "package images\nimport rego.v1\ndeny contains msg if { msg := f(input.object) }\nf(x) := y if { y := f(x.a) }";
    let mut helps = said(recursive, "data.images.deny");
    assert!(helps.iter().any(|help| help.contains("Rego has no recursion")), "{helps:?}");
    for call in [
        "print(1)",
        "time.now_ns()",
        "json.marshal_with_options(1, {})",
        "numbers.range(1, 2)",
        "rand.intn(\"a\", 1)",
    ] {
        let text = format!("package images\nimport rego.v1\ndeny contains msg if {{ msg := {call} }}");
        let refused = said(&text, "data.images.deny");
        assert!(!refused.is_empty(), "{call}");
        helps.extend(refused);
    }
    let (mut named, field) = (0, ["metadata.uid"]);
    for help in &helps {
        let Some((_, help)) = help.split_once(" (") else { continue };
        for name in help.split('`').skip(1).step_by(2).filter(|name| !field.contains(name)) {
            assert!(
                super::builtins::names().any(|one| one == name),
                "`{name}` of a help is no built-in: {help}"
            );
            named += 1;
        }
    }
    assert!(named > 0, "no help names a built-in: {helps:?}");
}
