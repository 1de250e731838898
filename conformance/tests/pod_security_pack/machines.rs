//! regorus has two ways to evaluate: an interpreter, and a register machine (RVM) that is faster. This test
//! runs one corpus of bodies over one set of inputs in both. They disagree in the listed classes, which is
//! why the interpreter evaluates rules (`docs/adr/0022-rego-by-the-interpreter.md`). A release of regorus
//! that fixes a class fails here.

use std::collections::BTreeSet;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Value};

const ENTRY: &str = "data.corpus.deny";

/// Name of a class, and the rules after `package corpus` that represent it.
const CORPUS: &[(&str, &str)] = &[
    ("literal", "deny contains \"x\" if true"),
    ("equal", "deny contains \"x\" if input.a == 1"),
    ("unequal", "deny contains \"x\" if input.a != 1"),
    ("less", "deny contains \"x\" if input.a < 2"),
    ("selected", "deny contains \"x\" if input.o.k == \"v\""),
    ("truth of a reference", "deny contains \"x\" if input.o.k"),
    ("not a reference", "deny contains \"x\" if not input.o.k"),
    ("not an equality", "deny contains \"x\" if not input.a == 1"),
    ("assigned", "deny contains \"x\" if {\n y := input.a\n y == 1\n}"),
    ("assigned and unused", "deny contains \"x\" if {\n y := input.a\n true\n}"),
    ("assigned from a call", "deny contains \"x\" if {\n y := lower(input.s)\n true\n}"),
    ("assigned from a function", "deny contains \"x\" if {\n y := f(input.a)\n true\n}\nf(x) := x if x == 1"),
    ("assigned from a rule", "deny contains \"x\" if {\n y := r\n true\n}\nr := 1 if input.a == 1"),
    ("unified", "deny contains \"x\" if {\n y = input.a\n true\n}"),
    ("unified in a list", "deny contains \"x\" if {\n [y, 2] = input.l\n y == 1\n}"),
    ("destructured", "deny contains \"x\" if {\n [y, z] := input.l\n y < z\n}"),
    ("element as message", "deny contains msg if msg := input.s"),
    ("formatted message", "deny contains msg if {\n input.a\n msg := sprintf(\"%v\", [input.s])\n}"),
    ("any element", "deny contains \"x\" if input.l[_] == 2"),
    ("any element twice", "deny contains \"x\" if {\n some i\n input.l[i] == 2\n input.m[i] == 2\n}"),
    ("some in", "deny contains e if {\n some e in input.l\n e != 1\n}"),
    ("some key in", "deny contains k if {\n some k, v in input.o\n v == \"v\"\n}"),
    ("some in of nested", "deny contains p if {\n some c in input.c\n some p in c.p\n p > 1\n}"),
    ("in", "deny contains \"x\" if input.a in {1, 2}"),
    ("not in", "deny contains \"x\" if not input.a in {1, 2}"),
    ("every", "deny contains \"x\" if every e in input.l { e > 0 }"),
    ("not every", "deny contains \"x\" if not all_positive\nall_positive if every e in input.l { e > 0 }"),
    ("list comprehension", "deny contains \"x\" if count([e | some e in input.l; e > 1]) > 0"),
    ("set comprehension", "deny contains \"x\" if count({e | some e in input.l; e > 1}) > 0"),
    ("object comprehension", "deny contains \"x\" if {k: v | some k, v in input.o}.k == \"v\""),
    ("comprehension of what is absent", "deny contains \"x\" if count([e | e := input.l[_].absent]) == 0"),
    ("object.get", "deny contains \"x\" if object.get(input, \"a\", 1) == 1"),
    ("object.get of a path", "deny contains \"x\" if object.get(input, [\"o\", \"k\"], \"v\") == \"v\""),
    ("function of two definitions", "deny contains \"x\" if f(input.a)\nf(x) if x == 1\nf(x) if x == \"1\""),
    ("not a function", "deny contains \"x\" if not f(input.a)\nf(x) if x == 1"),
    ("function of what is absent", "deny contains \"x\" if f(input.absent) == 1\nf(x) := 1"),
    ("default", "deny contains \"x\" if r\ndefault r := false\nr if input.a == 1"),
    (
        "default of a function",
        "deny contains \"x\" if f(input.a) == 0\ndefault f(_) := 0\nf(x) := x if x == 1",
    ),
    ("else", "deny contains \"x\" if r == 2\nr := 1 if input.a == 1\nelse := 2 if input.s"),
    ("set of another rule", "deny contains e if some e in s\ns contains e if some e in input.l"),
    ("count of another rule", "deny contains \"x\" if count(s) > 1\ns contains e if some e in input.l"),
    ("object of another rule", "deny contains k if o[k] == \"v\"\no[k] := v if some k, v in input.o"),
    ("difference of sets", "deny contains e if some e in {x | some x in input.l} - {1}"),
    ("intersection", "deny contains \"x\" if count({x | some x in input.l} & {1, 2}) == 2"),
    ("arithmetic", "deny contains \"x\" if input.a + 1 == 2"),
    ("string functions", "deny contains \"x\" if startswith(input.s, \"t\")"),
    ("regular expression", "deny contains \"x\" if regex.match(\"^t+$\", input.s)"),
    ("to_number", "deny contains \"x\" if to_number(input.s) > 0"),
    ("dynamic key", "deny contains \"x\" if input.o[input.s] == \"v\""),
    ("false element", "deny contains \"x\" if input.b"),
    ("false is defined", "deny contains \"x\" if {\n y := input.b\n y == false\n}"),
    ("null", "deny contains \"x\" if input.n == null"),
    ("truth of null", "deny contains \"x\" if input.n"),
    ("object as element", "deny contains {\"msg\": input.s} if input.a == 1"),
    ("element with what is absent", "deny contains {\"msg\": input.s} if true"),
    ("two bodies", "deny contains \"x\" if input.a == 1\ndeny contains \"y\" if input.s == \"t\""),
    (
        "ternary by rules",
        "deny contains kind if true\nkind := \"one\" if input.a == 1\nkind := \"other\" if not input.a == 1",
    ),
];

const INPUTS: &[&str] = &[
    "{}",
    r#"{"a":1,"s":"t","l":[1,2],"m":[1,2],"o":{"k":"v"},"b":false,"n":null,"c":[{"p":[1,2]}]}"#,
    r#"{"a":2,"s":"1","l":[],"m":[2],"o":{},"b":true,"n":0,"c":[]}"#,
    r#"{"a":"1","s":"","l":[2],"m":[],"o":{"k":false},"c":[{},{"p":[3]}]}"#,
    r#"{"a":null,"s":null,"l":null,"o":null,"b":null,"c":null}"#,
    r#"{"a":false,"s":"tt","l":[1,2,3],"m":[2,1,2],"o":{"k":null,"t":"v","tt":"v"}}"#,
    r#"{"l":[{"absent":1},{"k":2}],"o":{"other":"v"},"s":"other"}"#,
    r#"{"a":[1],"s":7,"l":{"0":2},"o":["v"],"b":[]}"#,
];

/// Classes in which the register machine gives another set than the interpreter for some input, and the
/// interpreter is right. Cases in which only one of them ends in an error are not counted.
const DISAGREE: &[&str] = &[
    "assigned and unused",
    "assigned from a call",
    "assigned from a function",
    "assigned from a rule",
    "comprehension of what is absent",
    "default of a function",
];

/// The result of a machine; errors are not distinguished.
type Outcome = Result<Value, ()>;

fn outcomes(rules: &str, input: &str) -> (Outcome, Outcome) {
    let mut engine = Engine::new();
    let text = format!("package corpus\nimport rego.v1\n{rules}\n");
    engine.add_policy("corpus.rego".to_owned(), text).expect("the corpus is Rego");
    let input = Value::from_json_str(input).expect("the inputs are JSON");
    let policy = engine.compile_with_entrypoint(&ENTRY.into()).expect("the corpus compiles");
    let compiled = Compiler::compile_from_policy(&policy, &[ENTRY]);
    let by_machine = compiled.map_err(|_| ()).and_then(|program| {
        let mut machine = RegoVM::new();
        machine.load_program(program);
        machine.set_input(input.clone());
        machine.execute().map_err(|_| ())
    });
    engine.set_input(input);
    (engine.eval_rule(ENTRY.to_owned()).map_err(|_| ()), by_machine)
}

#[test]
fn the_register_machine_is_another_rego() {
    let mut disagree = BTreeSet::new();
    for (class, rules) in CORPUS {
        for input in INPUTS {
            let (interpreted, by_machine) = outcomes(rules, input);
            let both = interpreted.is_ok() && by_machine.is_ok();
            if both && interpreted != by_machine && disagree.insert(*class) {
                eprintln!(
                    "{class}: over {input} the interpreter gives {interpreted:?}, the register machine {by_machine:?}"
                );
            }
        }
    }
    let mended: Vec<_> = DISAGREE.iter().filter(|class| !disagree.contains(*class)).collect();
    assert_eq!(mended, Vec::<&&str>::new(), "the machines agree now: look at ADR 22 again");
}
