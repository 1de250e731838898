//! From text to value: every line of the tables is compiled by the front end and evaluated by the policy's evaluator.

use std::sync::Arc;

use bailiwick_compiler::cel::{Context, Interner, Parameter, PodAccess, Type, compile, compile_variable};
use bailiwick_policy::authorization::{Answer, Answers, Question, Questions, Resource, What, Who};
use bailiwick_policy::cel::{Env, EvalError, Fuel, Loaded, Scope, Value, eval};
use bailiwick_policy::ir::{Cel, Const, Func};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::Admission;

const POD: &[u8] = br#"{
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "hostNetwork": false,
        "initContainers": [{"name": "setup"}],
        "containers": [{"name": "app", "ports": [{"containerPort": 80}]}],
        "ephemeralContainers": [{"name": "debug"}]
    }
}"#;
const REQUEST: &[u8] = br#"{
    "operation": "CREATE", "userInfo": {"username": "alice", "groups": ["dev"]}, "namespace": "agents", "name": "web",
    "resource": {"group": "apps", "version": "v1beta1", "resource": "elsewhere"}, "subResource": "elsewhere",
    "requestResource": {"group": "apps", "version": "v1", "resource": "deployments"}, "requestSubResource": "scale"
}"#;

/// The environment of the tables, with `variables.names`.
fn environment(interner: &mut Interner) -> Context {
    let mut context = Context::admission(Type::of_kind("", "v1", "Pod"));
    context.pod = PodAccess::Available;
    context.pack = Arc::new(("web".to_owned(), "1.2.3".to_owned()));
    let hosts = ["a.example", "b.example"].map(|host| Const::Str(host.to_owned())).to_vec();
    let hosts = Parameter { of: Type::list(Type::String), value: Const::List(hosts) };
    context.params = Arc::new([("hosts".to_owned(), hosts)].into());
    compile_variable("names", "object.spec.containers.map(c, c.name)", &mut context, interner).unwrap();
    context
}

/// What is known of the authorizer: `create` of pods in namespace `agents` and whatever narrows that is allowed, `get` of `/healthz` is too, a
/// service account may do nothing, and one question had no answer.
fn answers() -> Answers {
    let mut answers = Answers::default();
    let mut learn = |who: Who, what: What, verb: &str, answer| {
        answers.learn(Question { who, what, verb: verb.to_owned() }, answer);
    };
    let yes = || Ok(Answer { allowed: true, reason: "the role".to_owned(), error: String::new() });
    let no = || Ok(Answer { error: "no such role".to_owned(), ..Answer::default() });
    let pods =
        || Resource { resource: "pods".to_owned(), namespace: "agents".to_owned(), ..Resource::default() };
    let account = Who::ServiceAccount { namespace: "agents".to_owned(), name: "a.b".to_owned() };
    learn(Who::Requester, What::Resource(pods()), "create", yes());
    learn(account, What::Resource(pods()), "create", no());
    let narrow = Resource {
        subresource: "exec".to_owned(),
        name: "p".to_owned(),
        field_selector: "a=b".to_owned(),
        label_selector: "c in (".to_owned(),
        ..pods()
    };
    learn(Who::Requester, What::Resource(narrow), "create", yes());
    learn(Who::Requester, What::Path("/healthz".to_owned()), "get", yes());
    learn(Who::Requester, What::Path("/busy".to_owned()), "get", Err("too late".to_owned()));
    let requested = Resource {
        group: "apps".to_owned(),
        resource: "deployments".to_owned(),
        subresource: "scale".to_owned(),
        namespace: "agents".to_owned(),
        name: "web".to_owned(),
        ..Resource::default()
    };
    learn(Who::Requester, What::Resource(requested), "use", yes());
    answers
}

/// Compiles against the environment and evaluates; `look` sees the outcome.
fn evaluate<T>(cel: &Cel, interner: &Interner, look: impl FnOnce(Result<Value<'_>, EvalError>) -> T) -> T {
    let (shared, regexes) = interner.clone().into_parts();
    let admission = Admission { shared, regexes, ..Admission::default() };
    let loaded = Loaded::new(&admission).unwrap();
    let (object, request) = (Json::parse(POD).unwrap(), Json::parse(REQUEST).unwrap());
    let answers = answers();
    let questions = Questions::new(&answers);
    let env = Env { pod: Some(&object), authorizer: Some(&questions), ..Env::of(&object, &request) };
    let prepared = loaded.prepare(cel);
    look(eval(&prepared, &mut Scope::new(&loaded, env, Fuel::new(Fuel::DEFAULT))))
}

/// What a line does other than it says; `None`: it holds.
fn disagreement(source: &str, expected: &str) -> Option<String> {
    let mut interner = Interner::default();
    let context = environment(&mut interner);
    let compiled = compile(source, &context, &mut interner);
    let (cel, of) = match (compiled, expected) {
        (Err(_), "compile error") => return None,
        (Err(errors), _) => return Some(format!("does not compile: {errors:?}")),
        (Ok((_, of)), "compile error") => return Some(format!("compiles, as {of}")),
        (Ok(compiled), _) => compiled,
    };
    let error = evaluate(&cel, &interner, |outcome| match outcome {
        Ok(value) => Ok(value.type_name()),
        Err(error) => Err(error.to_string()),
    });
    match (error, expected) {
        (Err(_), "error") => return None,
        (Err(error), _) => return Some(format!("error: {error}")),
        (Ok(of), "error") => return Some(format!("gives a value of type {of}")),
        (Ok(_), _) => {}
    }
    // Equality of CEL crosses number types, so types are compared too.
    let same = format!("type({source}) == type({expected}) && dyn({source}\n) == dyn({expected})");
    let (same, _) = compile(&same, &context, &mut interner).unwrap();
    let equal = evaluate(&same, &interner, |outcome| outcome.map(|value| value.as_bool()));
    (equal != Ok(Some(true))).then(|| format!("is not {expected} but of type {of}, lowered {:?}", cel.expr))
}

fn check(table: &str) {
    check_lines(table, 90);
}

fn check_lines(table: &str, least: usize) {
    let mut lines = 0;
    let mut wrong = Vec::new();
    // An expression may span lines; a line ends it when it names the expectation.
    let mut pending = String::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let Some((end, expected)) = line.rsplit_once("  =>  ") else {
            pending.push_str(line);
            if !pending.is_empty() {
                pending.push('\n');
            }
            continue;
        };
        let source = format!("{pending}{end}");
        pending.clear();
        lines += 1;
        wrong.extend(disagreement(source.trim(), expected.trim()).map(|what| format!("{source}: {what}")));
    }
    assert!(lines > least, "the table was not read: {lines} lines");
    assert!(wrong.is_empty(), "{} of {lines} disagree:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn standard_functions_and_macros() {
    check(include_str!("cel/standard.txt"));
}

#[test]
fn kubernetes_libraries() {
    check(include_str!("cel/kubernetes.txt"));
}

#[test]
fn the_authorizer_library() {
    check_lines(include_str!("cel/authorizer.txt"), 20);
}

#[test]
fn exhausted_fuel_denies_whatever_absorbs_it() {
    let mut interner = Interner::default();
    let context = environment(&mut interner);
    let list = format!("[{}]", vec!["1"; 400].join(","));
    let endless =
        format!("{list}.all(a, {list}.all(b, {list}.all(c, a + b + c > object.spec.containers.size())))");
    for source in [
        format!("{endless} || true"),
        format!("true || {endless}"),
        format!("cel.bind(x, {endless}, x || true)"),
    ] {
        let (cel, _) = compile(&source, &context, &mut interner).unwrap();
        let outcome = evaluate(&cel, &interner, |outcome| outcome.map(|value| value.as_bool()));
        if source.starts_with("true") {
            assert_eq!(outcome, Ok(Some(true)), "`||` does not look at what it does not need");
        } else {
            assert!(matches!(outcome, Err(EvalError::FuelExhausted)), "{outcome:?}");
        }
    }
}

#[test]
fn ten_thousand_rules_compile() {
    let mut interner = Interner::default();
    let context = environment(&mut interner).expecting(Type::Bool);
    for index in 0..10_000 {
        let source = format!(
            "pod.mainContainers.all(c, c.?securityContext.?runAsUser.orValue(0) != {index} && !(c.image.matches('^x{}/'))) || object.metadata.name == 'n{index}'",
            index % 50
        );
        compile(&source, &context, &mut interner).unwrap();
    }
    assert_eq!(interner.regexes().len(), 50);
}

#[test]
fn the_tables_reach_every_function_and_notice_a_wrong_value() {
    let tables = ["standard", "kubernetes", "authorizer"].map(|name| {
        std::fs::read_to_string(format!("{}/tests/cel/{name}.txt", env!("CARGO_MANIFEST_DIR"))).unwrap()
    });
    let tables = tables.concat();
    // What only rules over tool calls may ask has its cases beside the type checker and the evaluator.
    let of_calls = |func: &Func| matches!(func, Func::IsOpaque | Func::OnlyRuns);
    let funcs = Func::ALL.iter().filter(|func| !func.name().contains(['_', '@']) && !of_calls(func));
    for func in funcs {
        let called = func.name().trim_start_matches("cidr.");
        assert!(tables.contains(&format!("{called}(")), "no case calls `{}`", func.name());
    }
    for (source, wrong) in
        [("1 + 1", "3"), ("1 + 1", "2.0"), ("1 / 0", "1"), ("1", "error"), ("x", "1"), ("1", "compile error")]
    {
        assert!(disagreement(source, wrong).is_some(), "{source} is not {wrong}");
    }
}
