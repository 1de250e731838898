//! The front end as a whole: texts that crash parsers, errors and their messages, and the lowering of
//! expressions.

use super::*;
use bailiwick_policy::ir::{Const, Expr, PodContainers, Root};
use std::sync::Arc;

/// A rule over pods with a parameter, in the environment of most packs.
fn pods() -> Context {
    let mut context = Context::admission(Type::of_kind("", "v1", "Pod"));
    context.pod = PodAccess::Available;
    let hosts = Parameter {
        of: Type::list(Type::String),
        value: Const::List(vec![Const::Str("a.example".to_owned()), Const::Str("b.example".to_owned())]),
    };
    context.params = Arc::new([("hosts".to_owned(), hosts)].into());
    context.pack = Arc::new(("web".to_owned(), "1.2.3".to_owned()));
    context
}

/// The errors of an expression: the text that each points at, its message and its help.
fn errors(source: &str, expected: Type) -> String {
    match compile(source, &pods().expecting(expected), &mut Interner::default()) {
        Ok((_, of)) => format!("no error, {of}"),
        Err(errors) => {
            let show = |error: &CelError| {
                let at = source.get(error.offset..error.offset + error.len).unwrap();
                let help = error.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
                format!("[{at}] {}{help}", error.message)
            };
            errors.iter().map(show).collect::<Vec<_>>().join("; ")
        }
    }
}

fn type_of(source: &str) -> String {
    match compile(source, &pods(), &mut Interner::default()) {
        Ok((_, of)) => of.to_string(),
        Err(errors) => panic!("{source}: {errors:?}"),
    }
}

fn lowered(source: &str) -> Expr {
    compile(source, &pods(), &mut Interner::default()).unwrap().0.expr
}

/// Texts that are deep or long.
fn deep() -> Vec<String> {
    let nested =
        |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let mut corpus = vec![
        nested("(", ")", 14),
        nested("(", ")", 32),
        nested("(", ")", 33),
        nested("(", ")", 8000),
        nested("[", "]", 32),
        nested("[", "]", 8000),
        nested("{1:", "}", 32),
        nested("f(", ")", 32),
        nested("f(", ")", 4000),
        nested("(1?", ":2)", 32),
        nested("(a+1)?", ":2", 60),
        nested("!", "", 8000),
        nested("-", "", 8000),
        nested("!(", ")", 31),
        nested(&format!("{}(", "!".repeat(32)), ")", 31),
        nested(&format!("{}(", "-".repeat(32)), ")", 31),
        nested("-(", ")", 4000),
        format!("a{}", ".b".repeat(10_000)),
        format!("a{}", ".b".repeat(511)),
        format!("a{}", "[0]".repeat(5000)),
        format!("a{}", "[0]".repeat(500)),
        format!("a{}", ".f()".repeat(255)),
        format!("a{}", ".?b".repeat(511)),
        format!("1{}", "+1".repeat(128)),
        format!("1{}", "+1".repeat(8000)),
        format!("1{}", "==1".repeat(5000)),
        format!("1{}", " in a".repeat(3000)),
        format!("true{}", "?true:true".repeat(1000)),
        format!("true{}", "?true:true".repeat(50)),
        format!("true{}", "||true".repeat(2000)),
        format!("true{}", "&&true".repeat(2000)),
        format!("{}|", " ".repeat(66_000)),
        format!("{}?", " ".repeat(16_000)),
        format!("[{}]", "1,".repeat(8000)),
        format!("[{}1]", "1,".repeat(8000)),
        format!("'{}'", "(".repeat(16_000)),
        format!("'''{}'''", "\"(".repeat(4000)),
        format!("r'{}'", "\\(".repeat(8000)),
        format!("b\"{}\"", "\\x".repeat(5000)),
        format!("1 // {}", "(".repeat(16_000)),
        format!("{}//)\n1{}", "(".repeat(30), ")".repeat(30)),
        format!("a{}{{}}", ".b".repeat(500)),
        format!("{}1", "a{b:".repeat(32)),
        // To CEL's lexer these are not strings, since it does not know the escape: their contents are tokens.
        format!("'\\q{}'", ".b".repeat(8000)),
        format!("'\\q' {}'", "+1".repeat(8000)),
        format!("\"\\u12{}\"", "+1".repeat(8000)),
    ];
    // Chains inside brackets inside chains: the deepest tree that the guard allows.
    let chain = "+a".repeat(128);
    corpus.push(format!("{}a{}", "(".repeat(31), format!("){chain}").repeat(31)));
    corpus.push(format!("{}a{}", format!("a{chain}+(").repeat(31), ")".repeat(31)));
    corpus.push(format!("{}{}", "x.map(a, ".repeat(31), "a".to_owned() + &")".repeat(31)));
    corpus
}

/// Texts that are broken.
const BROKEN: &[&str] = &[
    "'",
    "'''''",
    "\"\\",
    "`",
    "``",
    "a.`b",
    "\u{0}",
    "é",
    "0x",
    "1e",
    "1..2",
    "a.?",
    "[?]",
    "{?}",
    "x(1,)",
    "!-\u{1}",
    "has(",
    "[].all(1, 2)",
    "cel.bind(a, a)",
    "'\\uD800'",
    "1 ? 2",
];

#[test]
fn what_crashes_parsers_is_refused_or_parsed() {
    // A stack overflow ends the whole test program.
    for source in deep().iter().map(String::as_str).chain(BROKEN.iter().copied()) {
        fuzz(source.as_bytes());
    }
}

#[test]
fn limits_are_errors_with_their_place() {
    assert_eq!(
        errors(&"(".repeat(40), Type::Dyn),
        "[(] brackets are nested deeper than 32 (move a part of it into `variables`)"
    );
    let long = format!("'{}'", "a".repeat(MAX_SOURCE_BYTES));
    assert_eq!(errors(&long, Type::Dyn), "[] the expression has 16386 bytes, the limit is 16384");
    assert!(
        errors(&format!("1{}", "+1".repeat(200)), Type::Dyn)
            .starts_with("[+] more than 128 operators in a row")
    );
    assert!(
        errors(&format!("object{}", ".b".repeat(600)), Type::Dyn).contains("more than 512 field selections")
    );
    // Strings and comments do not count.
    assert_eq!(type_of(&format!("'{}' // {}", "(".repeat(100), "(".repeat(100))), "string");
}

#[test]
fn escapes_are_those_of_cel() {
    for unknown in ["\\q", "\\x1", "\\u12", "\\U0001", "\\8", "\\09", "\\ü"] {
        let said = errors(&format!("'{unknown}{}'", ".b".repeat(600)), Type::Dyn);
        assert!(said.contains("is not an escape of CEL (write `\\\\` for a backslash"), "{unknown}: {said}");
    }
    for known in [r"\a\b\f\n\r\t\v\\\?\'\`", r"\x41\X41\u0041\U00000041\101"] {
        assert_eq!(type_of(&format!("'{known}'")), "string", "{known}");
        assert_eq!(type_of(&format!("\"{known}\"")), "string", "{known}");
    }
    assert_eq!(type_of(r"r'\q'"), "string");
}

#[test]
fn what_is_folded_is_hardly_larger_than_what_it_is_made_of() {
    assert!(matches!(lowered("'a,b,c'.split(',')"), Expr::Const(Const::List(items)) if items.len() == 3));
    assert!(matches!(lowered("lists.range(3)"), Expr::Const(_)));
    assert!(matches!(lowered("'a'.replace('a', 'bc') + 'd'"), Expr::Const(_)));
    for large in ["lists.range(1000)", "'ab'.replace('', 'xxxxxxxxxxxxxxxxxxxxxxxx')"] {
        assert!(!matches!(lowered(large), Expr::Const(_)), "{large}");
    }
}

#[test]
fn no_spelling_takes_an_undeclared_parameter_for_an_absent_one() {
    for (source, at) in [
        ("params.host", "host"),
        ("has(params.host)", "host"),
        ("'host' in params", "'host'"),
        ("params['host']", "'host'"),
        ("params[?'host'].hasValue()", "'host'"),
    ] {
        let expected = format!("[{at}] no parameter `host` (did you mean `hosts`?)");
        assert_eq!(errors(source, Type::Dyn), expected, "{source}");
    }
    // Nor under another name.
    for source in [
        "cel.bind(p, params, has(p.host))",
        "cel.bind(p, params, p.?host.hasValue())",
        "dyn(params).?host.hasValue()",
        "has(dyn(params).host)",
        "[params].exists(p, 'host' in p)",
        "(true ? params : params)[?'host'].hasValue()",
        "optional.of(params).?host.hasValue()",
        "params.exists(name, name == 'host')",
    ] {
        let found = errors(source, Type::Dyn);
        assert!(found.starts_with("[params] `params` is not a value by itself"), "{source}: {found}");
    }
    for (source, expected) in [
        ("has(pack.nme)", "[nme] `pack` has no `nme` (it has `name` and `version`)"),
        (
            "cel.bind(p, pack, has(p.nme))",
            "[pack] `pack` is not a value by itself (write `pack.name` or `pack.version`)",
        ),
    ] {
        assert_eq!(errors(source, Type::Dyn), expected, "{source}");
    }
    for source in ["pack['name'] == 'p'", "'name' in pack", "has(pack.name)"] {
        assert_eq!(type_of(source), "bool", "{source}");
    }
}

#[test]
fn errors_say_what_where_and_what_instead() {
    let cases = [
        ("objct.spec", "[objct] `objct` is not declared (did you mean `object`?)"),
        ("object.spek", "[spek] Pod has no field `spek` (did you mean `spec`?)"),
        (
            "object.spec.containers[0].imagge",
            "[imagge] Container has no field `imagge` (did you mean `image`?)",
        ),
        (
            "object.spec.containers.all(c, c.nme == '')",
            "[nme] Container has no field `nme` (did you mean `name`?)",
        ),
        (
            "object.spec.?hostnetwork.orValue(false)",
            "[hostnetwork] PodSpec has no field `hostnetwork` (did you mean `hostNetwork`?)",
        ),
        ("has(object.spec.hostPid)", "[hostPid] PodSpec has no field `hostPid` (did you mean `hostPID`?)"),
        ("request.user.name", "[user] AdmissionRequest has no field `user`"),
        ("variables.x", "[x] no variable `x` (a variable sees only those that stand before it)"),
        ("pod.containers", "[containers] `pod` has no `containers` (did you mean `allContainers`?)"),
        ("1 + 'a'", "[1 + 'a'] `+` does not take int and string"),
        ("object.metadata.name == 1", "[object.metadata.name == 1] `==` does not take string and int"),
        ("object.metadata.name == null", "[object.metadata.name == null] `==` does not take string and null"),
        ("'a'.startswith('b')", "[startswith] no function `startswith` (did you mean `startsWith`?)"),
        (
            "'a'.startsWith(1)",
            "['a'.startsWith(1)] no matching overload for `string.startsWith(int)` (there is string.startsWith(string))",
        ),
        ("1 && true", "[1] `&&` needs bool, this is int"),
        ("!'a'", "['a'] `!` needs bool, this is string"),
        ("true ? 1 : 'a'", "[true ? 1 : 'a'] `? :` gives int or string: both must be of one type"),
        ("[1].all(1, true)", "[1] this must be the name of a variable"),
        ("[1].all(x, 1)", "[1] `all` needs bool, this is int"),
        ("'abc'.map(x, x)", "['abc'] `map` does not work on string"),
        ("has(object)", "[has(object)] `has` needs one field selection (write `has(object.field)`)"),
        ("'a'.matches('(')", "['('] invalid pattern: unclosed group"),
        ("matches('a', '[')", "['['] invalid pattern: unclosed character class"),
        (
            "'a'.matches('(a{1000}){1000}')",
            "['(a{1000}){1000}'] the compiled pattern would be larger than 1048576 bytes",
        ),
        ("Pod{}", "[Pod{}] no message type `Pod` (write a map: `{'field': value}`)"),
        (
            "objct.a && objct.b",
            "[objct] `objct` is not declared (did you mean `object`?); [objct] `objct` is not declared (did you mean `object`?)",
        ),
        ("1.foo", "[foo] int has no fields"),
        ("'a'[0]", "['a'[0]] string cannot be indexed with int"),
        ("[1].all(x, true) && x", "[x] `x` is not declared"),
        ("variables", "[variables] `variables` is not a value by itself (write `variables.NAME`)"),
        (
            "authorizer.check('get')",
            "[authorizer.check('get')] no matching overload for `authorizer.check(string)` (there is pathCheck.check(string), resourceCheck.check(string))",
        ),
        (
            "authorizer.group('').resource('pods').check('get') == true",
            "[authorizer.group('').resource('pods').check('get') == true] `==` does not take decision and bool",
        ),
        ("authorizer.requestResourc", "[requestResourc] authorizer has no fields"),
    ];
    for (source, expected) in cases {
        assert_eq!(errors(source, Type::Dyn), expected, "{source}");
    }
    assert_eq!(errors("object.metadata.name", Type::Bool), "[object.metadata.name] must be bool, is string");
    assert_eq!(errors("1 + 1", Type::String), "[1 + 1] must be string, is int");
}

#[test]
fn only_what_judges_a_request_may_ask_the_authorizer() {
    let source = "authorizer.path('/healthz').check('get').allowed()";
    let said = |context: &Context| {
        let errors = compile(source, context, &mut Interner::default()).expect_err("nobody answers there");
        let one = |error: &CelError| format!("{error} {}", error.help.as_deref().unwrap_or_default());
        errors.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    let of_calls = said(&Context::tool(Type::Dyn, Type::Dyn, Type::Dyn));
    assert!(of_calls.contains("`authorizer` is not declared"), "{of_calls}");
    assert!(of_calls.contains("only admission rules may ask the authorizer"), "{of_calls}");
    let message = said(&Context::admission(Type::Dyn).for_message());
    assert!(message.contains("a message cannot ask the authorizer"), "{message}");
    assert!(compile(source, &Context::admission(Type::Dyn), &mut Interner::default()).is_ok());
}

#[test]
fn types_are_inferred() {
    let cases = [
        ("object.spec.containers", "list(Container)"),
        ("object.spec.containers.map(c, c.name)", "list(string)"),
        ("object.spec.containers.filter(c, c.name == 'x')[0].image", "string"),
        ("object.metadata.labels['a']", "string"),
        ("object.metadata.?labels[?'a']", "optional(string)"),
        ("object.metadata.?labels['a'].orValue('')", "string"),
        ("object.spec.?securityContext.?runAsNonRoot", "optional(bool)"),
        ("object.spec.?securityContext.runAsUser", "optional(int)"),
        ("pod.allContainers.all(c, has(c.resources))", "bool"),
        ("{'a': 1}.transformMap(k, v, v + 1)", "map(string, int)"),
        ("{'a': 1}.transformList(k, v, k)", "list(string)"),
        ("[1, 2].transformMapEntry(i, v, {string(v): i})", "map(string, int)"),
        ("cel.bind(x, 1, x + x)", "int"),
        ("optional.of(1).optMap(x, string(x))", "optional(string)"),
        ("optional.none().orValue(1)", "int"),
        ("timestamp('2026-01-01T00:00:00Z') - timestamp('2025-01-01T00:00:00Z')", "duration"),
        ("quantity('1Gi').isGreaterThan(quantity('1Mi'))", "bool"),
        ("cidr('10.0.0.0/8').containsIP(ip('10.1.1.1'))", "bool"),
        ("cidr('10.0.0.0/8').ip()", "ip"),
        ("params.hosts", "list(string)"),
        ("pack.version", "string"),
        ("type(1) == int", "bool"),
        ("math.greatest(1, 2, 3)", "int"),
        ("math.least([1.0, 2.0])", "double"),
        ("[[1], [2]].flatten()", "list(int)"),
        ("['b', 'a'].sort().join(',')", "string"),
        ("[1, 'a']", "list(dyn)"),
        ("[]", "list(dyn)"),
        ("{}", "map(dyn, dyn)"),
        ("[[], [1]]", "list(list(int))"),
        ("[{}, {'a': 1}]", "list(map(string, int))"),
        ("[].map(x, x)[0].foo", "dyn"),
        ("[optional.none(), optional.of(1)]", "list(optional(int))"),
        ("url('/a').getQuery()", "map(string, list(string))"),
        ("semver('1.0.0').major()", "int"),
        ("format.named('uri')", "optional(format)"),
        ("format.uri().validate('x')", "optional(list(string))"),
        ("request.userInfo.groups.exists(g, g == 'x')", "bool"),
        ("oldObject == null || object.spec == oldObject.spec", "bool"),
        ("object.spec.containers[0].ports[0].containerPort + 1", "int"),
        ("ip.isCanonical('::1')", "bool"),
        ("['1.2.3.4'].map(ip, ip.size())", "list(int)"),
        ("{'a': [1]}.a[0]", "int"),
        ("object.metadata.annotations.`a.b/c-d`", "string"),
        ("authorizer", "authorizer"),
        ("authorizer.serviceAccount('a', 'b')", "authorizer"),
        ("authorizer.path('/healthz')", "pathCheck"),
        ("authorizer.group('apps')", "groupCheck"),
        ("authorizer.group('') != null", "bool"),
        (
            "authorizer.group('').resource('pods').subresource('exec').namespace('n').name('p')",
            "resourceCheck",
        ),
        ("authorizer.requestResource", "resourceCheck"),
        ("authorizer.requestResource.fieldSelector('a=b').labelSelector('c=d').check('list')", "decision"),
        ("authorizer.path('/healthz').check('get').reason()", "string"),
        ("[1].all(authorizer, authorizer == 1)", "bool"),
    ];
    for (source, expected) in cases {
        assert_eq!(type_of(source), expected, "{source}");
    }
}

#[test]
fn lowering_resolves_names_and_constants() {
    let text = |text: &str| Const::Str(text.to_owned());
    let object = || Box::new(Expr::Root(Root::Object));
    assert_eq!(lowered("params.hosts"), Expr::Const(Const::List(vec![text("a.example"), text("b.example")])));
    let name = Expr::Select(Box::new(Expr::Select(object(), "metadata".to_owned())), "name".to_owned());
    assert_eq!(
        lowered("object.metadata.name in params.hosts"),
        Expr::InConst(Box::new(name.clone()), vec![text("a.example"), text("b.example")])
    );
    assert_eq!(lowered("object.metadata.name.matches('^a')"), Expr::Matches(Box::new(name), 0));
    assert_eq!(lowered("pack.name"), Expr::Const(text("web")));
    assert_eq!(
        lowered("[1, [2]]"),
        Expr::Const(Const::List(vec![Const::Int(1), Const::List(vec![Const::Int(2)])]))
    );
    assert!(matches!(lowered("{1: 2, 1: 3}"), Expr::Map(_)), "equal keys are an error when evaluated");
    assert!(matches!(lowered("{1: 2, 1u: 3}"), Expr::Map(_)), "equal keys are an error when evaluated");
    let Expr::And(parts) = lowered("true && (object == null && false)") else { panic!() };
    assert_eq!(parts.len(), 3);
    let Expr::Macro(all) = lowered("pod.allContainers.all(c, c.ports.all(p, p.hostPort == c.ports.size()))")
    else {
        panic!()
    };
    assert_eq!((all.range.clone(), all.slot), (Expr::PodContainers(PodContainers::All), 0));
    let Expr::Macro(inner) = &all.body else { panic!() };
    assert_eq!(inner.slot, 1);
    let (cel, _) =
        compile("[1].all(a, [1].all(b, true)) && [1].all(c, c == 1)", &pods(), &mut Interner::default())
            .unwrap();
    assert_eq!(cel.slots, 2);
}

#[test]
fn a_local_hides_roots_types_and_namespaces() {
    assert_eq!(type_of("[1].map(object, object + 1)"), "list(int)");
    assert_eq!(type_of("['a'].map(params, params.size())"), "list(int)");
    assert_eq!(type_of("[['b']].map(lists, lists.distinct())"), "list(list(string))");
    assert_eq!(type_of("[1].map(x, ['s'].map(x, x))[0][0]"), "string");
}

#[test]
fn variables_are_shared_by_meaning_and_patterns_are_kept_once() {
    let mut interner = Interner::default();
    let mut first = pods();
    assert_eq!(compile_variable("a", "object.spec.containers", &mut first, &mut interner), Ok(0));
    assert_eq!(compile_variable("b", "variables.a.map(c, c.name)", &mut first, &mut interner), Ok(1));
    let mut second = pods();
    assert_eq!(
        compile_variable("other", "object . spec.containers // same", &mut second, &mut interner),
        Ok(0)
    );
    let (cel, of) = compile("variables.b", &first, &mut interner).unwrap();
    assert_eq!((cel.expr, of.to_string().as_str()), (Expr::Shared(1), "list(string)"));
    for source in ["'a'.matches('x')", "matches('b', 'x')", "'a'.matches('y')"] {
        compile(source, &first, &mut interner).unwrap();
    }
    assert_eq!(interner.regexes(), ["x", "y"]);
}

#[test]
fn the_api_servers_literals_are_uniform() {
    let mut context = pods();
    context.dialect = Dialect::ApiServer;
    assert!(compile("[1, 'a']", &context, &mut Interner::default()).is_err());
    // A type that is known only at evaluation is a type of its own.
    for (source, holds) in [
        ("[dyn(1), 'a']", false),
        ("['a', object.metadata.name]", true),
        ("['a', object.spec.containers[0].livenessProbe.httpGet.port]", false),
        ("[dyn(1), dyn('a')]", true),
        ("[[], ['a']]", true),
        ("['a', dyn(object).?b.orValue('c')]", false),
        ("['a', dyn(object)[?'b'].orValue('c')]", true),
        ("{'a': [], 'b': [1]}", true),
        ("{'a': 1, 'b': dyn(1)}", false),
    ] {
        assert_eq!(compile(source, &context, &mut Interner::default()).is_ok(), holds, "{source}");
    }
}

#[test]
fn rules_over_calls_see_the_call_and_nothing_of_admission() {
    let arguments = Type::record("Arguments", [("code", Type::String), ("lines", Type::Int)]);
    let context = Context::tool(
        arguments,
        Type::record("Counters", [("calls", Type::Int)]),
        Type::record("Budgets", []),
    );
    let said = |source: &str| match compile(source, &context.expecting(Type::Bool), &mut Interner::default())
    {
        Ok(_) => String::new(),
        Err(errors) => errors.iter().map(|error| format!("{error}; ")).collect(),
    };
    for source in [
        "facts.commands.exists(c, c.name == 'git' && 'push' in c.args)",
        "facts.shell.onlyRuns(['ls', 'cat'])",
        "!isOpaque(facts.url) && facts.url.isPrivate",
        "facts.url.query == null && !facts.url.hasUserinfo && facts.url.port == 443",
        "facts.path.inWorkspace == null || facts.path.name.endsWith('.txt')",
        "facts.git.refs.all(r, r.destination != 'main') && !facts.git.force && facts.git.remote == 'origin'",
        "facts.commands.all(c, c.redirects.all(r, !r.writes) && c.assignments.all(a, a.name != 'PATH'))",
        "call.tool == 'a.b' && call.args.code.size() > call.args.lines",
        "subject.agent in subject.groups || subject.labels['team'] == 'x'",
        "session.counters.calls < 3 && session.age < duration('1h')",
        "now.getHours('UTC') < 18",
    ] {
        assert_eq!(said(source), "", "{source}");
    }
    for (source, expected) in [
        ("object.metadata.name == 'x'", "`object` is not declared"),
        ("variables.x", "`variables` is not declared"),
        ("call.args.cod == 'x'", "Arguments has no field `cod`"),
        ("call.args.lines == 'x'", "does not take int and string"),
        ("session.counters.cals < 3", "Counters has no field `cals`"),
        ("'ls'.onlyRuns(['ls'])", "no matching overload"),
        ("facts.commands[0].nam == 'ls'", "Command has no field `nam`"),
        ("facts.path.inWorkspac == null", "Path has no field `inWorkspac`"),
        ("facts.git.refs[0].target == 'main'", "Reference has no field `target`"),
        ("facts.url.hasUserinfo == 'yes'", "does not take bool and string"),
        ("facts.commands[0].redirects[0].write", "Redirect has no field `write`"),
        ("facts.commands[0].assignments[0].names == 'x'", "Assignment has no field `names`"),
    ] {
        let found = said(source);
        assert!(found.contains(expected), "{source}: {found}");
    }
    let admission = compile("isOpaque(object)", &pods(), &mut Interner::default()).unwrap_err();
    assert!(
        admission.iter().any(|error| error.to_string().contains("no function `isOpaque`")),
        "{admission:?}"
    );
}

/// An empty map would make each of these true or false without a word.
#[test]
fn parameters_of_a_pack_that_declares_none_are_no_empty_map() {
    let context = Context::admission(Type::Dyn);
    for source in [
        "!has(params.data)",
        "!('x' in params)",
        "!params[?'x'].hasValue()",
        "!params.?x.hasValue()",
        "params == {}",
    ] {
        let found = compile(source, &context.expecting(Type::Bool), &mut Interner::default());
        let errors = found.expect_err(source);
        assert_eq!(errors[0].kind, CelErrorKind::Reference, "{source}: {errors:?}");
    }
    for source in ["has(params.hosts)", "'hosts' in params", "params[?'hosts'].hasValue()"] {
        assert_eq!(type_of(source), "bool", "{source}");
    }
    // `params` of a macro is another one.
    assert_eq!(type_of("[{'a': 1}].all(params, 'a' in params && params['a'] == 1 && has(params.a))"), "bool");
}
