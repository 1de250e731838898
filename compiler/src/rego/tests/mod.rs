//! What checks report about modules, what modules evaluate to, and that hostile ones end. `charges`: what is
//! charged to a rule for what it makes and reads; `operators`: what is rewritten before evaluation.

use bailiwick_policy::admission::rego::{Documents, RegoEngine, RegoFailure};
use bailiwick_policy::ir::Const;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::MAX_MODULE_BYTES;

use super::{Regorus, check};

mod charges;
mod comparisons;
mod opa;
mod operators;

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
        r#""1e999999999E""#,
        r#""1e999999999Ei""#,
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

/// The result of the rule as regorus by itself evaluates it, within the limit of steps.
fn alone(text: &str, object: &str) -> Vec<String> {
    let mut engine = regorus::Engine::new();
    engine.add_policy("images".to_owned(), text.to_owned()).expect("it is Rego");
    engine.set_input(regorus::Value::from_json_str(&format!(r#"{{"object": {object}}}"#)).expect("JSON"));
    engine.set_execution_timer_config(super::engine::LIMIT);
    let set = super::stack::run(move || engine.eval_rule("data.images.deny".to_owned())).expect("it ran");
    super::convert::messages(&set.expect("it ends")).expect("messages")
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
