//! The tests of the CEL specification (<https://github.com/google/cel-spec>): those of v0.25.1 from the npm
//! package `@bufbuild/cel-spec`, and those of v0.26.0, which is newer and has about a hundred more, from the
//! Go module `cel.dev/expr`; and of v0.25.2 the 1,739 that the goal is a share of.
//!
//! Tests that need protobuf messages have no meaning for policies over JSON and are not run; the names in a
//! test decide that.

use std::sync::OnceLock;

use bailiwick_compiler::cel::Type;
use bailiwick_conformance::go_module::go_module;
use bailiwick_conformance::npm_package::{Package, node};
use serde::Deserialize;
use serde_json::Value as Json;

use super::evaluation::{Environment, Failure};
use super::expected;
use super::judgement::{Judged, Verdict, reasons};
use super::textproto;

const PACKAGE: Package = Package {
    name: "@bufbuild/cel-spec",
    version: "0.6.1",
    integrity: "sha512-m0Ac9qA669yxxC0Hy45qGsUZemjImVfxPl6r9jLbkJviEvv3R9hSYyH2ItGRbDguekX6eId0cb62ulNBK97ezg==",
};

/// Prints the tests as JSON, which has no `-0` of its own.
const SCRIPT: &str = "const { tests } = require(process.argv[1]);
process.stdout.write(JSON.stringify(tests, (_, value) => (Object.is(value, -0) ? '-0' : value)));";

/// The module of the newer tests.
const MODULE: &str = "cel.dev/expr";
const VERSION: &str = "v0.26.0";

/// The version whose tests without protobuf are 1,739: the goal is a share of them. The npm package has fewer, and v0.26.0 more.
pub(crate) const GOAL_VERSION: &str = "v0.25.2";
pub(crate) const PROTOBUF_FREE: usize = 1_739;

/// The prefix of all names in the committed list.
pub(crate) const SUITE: &str = "cel-spec/";
/// The same for what only the tests of the goal have.
const GOAL: &str = "cel-spec-0.25.2/";
/// The same for the newer tests.
pub(crate) const NEWER: &str = "cel-spec-0.26/";

/// Names that only protobuf gives a meaning to. Durations and timestamps are messages, too, but every engine
/// has them; and in the container `google.protobuf`, wrappers are scalars.
const MESSAGES: &[&str] = &[
    "TestAllTypes",
    "google.protobuf.",
    "proto2",
    "proto3",
    "NestedEnum",
    "NullValue",
    "enumValue",
    "messageType",
];

pub(crate) const NEEDS_PROTOBUF: &str = "need protobuf messages or enumerations";
pub(crate) const DECLARES: &str = "declare functions of their own";
pub(crate) const CHECKS: &str = "only ask for a type, and evaluate nothing";

#[derive(Deserialize)]
struct Folder {
    name: String,
    #[serde(default)]
    suites: Vec<Folder>,
    #[serde(default)]
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    original: Json,
}

/// The whole suite, judged once. `None` where npm is missing and this is not CI.
pub(crate) fn judged() -> Option<&'static Judged> {
    static JUDGED: OnceLock<Option<Judged>> = OnceLock::new();
    JUDGED
        .get_or_init(|| {
            let package = PACKAGE.folder().unwrap()?;
            let file = package.join("dist/cjs/testdata/conformance.js");
            let root: Folder = serde_json::from_slice(&node(SCRIPT, &[&file]).unwrap()).unwrap();
            let mut judged = Judged::default();
            root.suites.iter().for_each(|folder| judge_folder(folder, SUITE, &mut judged));
            Some(judged)
        })
        .as_ref()
}

fn judge_folder(folder: &Folder, above: &str, judged: &mut Judged) {
    let path = format!("{above}{}/", folder.name);
    folder.suites.iter().for_each(|inner| judge_folder(inner, &path, judged));
    for Test { original } in &folder.tests {
        add(original, &path, judged);
    }
}

/// The newer tests, judged once. `None` where Go is missing and this is not CI.
pub(crate) fn newer() -> Option<&'static Judged> {
    static JUDGED: OnceLock<Option<Judged>> = OnceLock::new();
    JUDGED.get_or_init(|| of_module(VERSION, NEWER, add)).as_ref()
}

/// The tests of the goal, judged once: those that need no protobuf message and evaluate something. `None` where Go is missing and this is not CI.
pub(crate) fn protobuf_free() -> Option<&'static Judged> {
    static JUDGED: OnceLock<Option<Judged>> = OnceLock::new();
    let wanted = |test: &Json, path: &str, judged: &mut Judged| {
        if test["checkOnly"] == true {
            *judged.skipped.entry(CHECKS).or_default() += 1;
        } else {
            add(test, path, judged);
        }
    };
    JUDGED.get_or_init(|| of_module(GOAL_VERSION, SUITE, wanted)).as_ref()
}

/// The tests of a version of the module; `add` judges each.
fn of_module(version: &str, suite: &str, add: impl Fn(&Json, &str, &mut Judged)) -> Option<Judged> {
    let module = go_module(MODULE, version).unwrap()?;
    let entries = std::fs::read_dir(module.join("tests/simple/testdata")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "textproto"));
    files.sort();
    let mut judged = Judged::default();
    for file in files {
        let file = textproto::read(&std::fs::read_to_string(file).unwrap());
        for section in file["section"].as_array().into_iter().flatten() {
            let name = |of: &Json| of["name"].as_str().unwrap_or_default().to_owned();
            let path = format!("{suite}{}/{}/", name(&file), name(section));
            let tests = section["test"].as_array().into_iter().flatten();
            tests.into_iter().for_each(|test| add(test, &path, &mut judged));
        }
    }
    Some(judged)
}

fn add(test: &Json, path: &str, judged: &mut Judged) {
    match skipped(test) {
        Some(reason) => *judged.skipped.entry(reason).or_default() += 1,
        None => judged.add(&format!("{path}{}", test["name"].as_str().unwrap_or_default()), judge(test)),
    }
}

/// Why a test is not run.
fn skipped(test: &Json) -> Option<&'static str> {
    let mut told = test.clone();
    if let Some(members) = told.as_object_mut() {
        members.remove("name");
        members.remove("description");
    }
    let text =
        told.to_string().replace("google.protobuf.Duration", "").replace("google.protobuf.Timestamp", "");
    let text = text.replace("\"messageType\":\"\"", "");
    if MESSAGES.iter().any(|name| text.contains(name)) {
        return Some(NEEDS_PROTOBUF);
    }
    let declarations = test["typeEnv"].as_array().into_iter().flatten();
    declarations.into_iter().any(|one| one.get("function").is_some()).then_some(DECLARES)
}

fn judge(test: &Json) -> Verdict {
    let source = &source(test);
    let Some(mut environment) = environment(test) else {
        return Verdict::Disagrees("it is given what no expression here can be given".to_owned());
    };
    let typed = &test["typedResult"];
    if let Some(deduced) = typed.get("deducedType") {
        let wanted = expected::type_of(deduced).map_or_else(|| deduced.to_string(), |of| of.to_string());
        match environment.type_of(source) {
            Ok(of) if of.to_string() == wanted => {}
            Ok(of) => return Verdict::Disagrees(format!("`{source}` has type {of}, not {wanted}")),
            Err(failure) => return Verdict::Disagrees(format!("`{source}`: {failure}")),
        }
    }
    if test["checkOnly"] == true {
        return Verdict::Agrees;
    }
    if test["disableCheck"] == true {
        environment = environment.unchecked();
    }
    // A test without an expectation expects `true`.
    let truth = serde_json::json!({ "boolValue": true });
    let told = [test.get("value"), typed.get("result")].into_iter().flatten().next();
    let wanted = told.or_else(|| test.get("evalError").is_none().then_some(&truth));
    let outcome = environment.evaluate(source, |value| match wanted {
        Some(wanted) if expected::is(&value, wanted) => None,
        Some(wanted) => Some(format!("`{source}` gives {value:?}, not {wanted}")),
        None => Some(format!("`{source}` gives {value:?}, not an error")),
    });
    match (outcome, wanted) {
        (Ok(None), _) | (Err(Failure::Error(_)), None) => Verdict::Agrees,
        (Ok(Some(what)), _) => Verdict::Disagrees(what),
        (Err(Failure::Refused(_)), None) => Verdict::RefusedEarly,
        (Err(failure), Some(_)) => Verdict::Disagrees(format!("`{source}`: {failure}")),
    }
}

/// The expression. Packs have no container: in `google.protobuf`, the names of messages are written in full. And durations are no constants of ours:
/// the expression itself binds them.
fn source(test: &Json) -> String {
    let mut source = test["expr"].as_str().unwrap_or_default().to_owned();
    if test["container"] == "google.protobuf" {
        let messages = source.match_indices(char::is_uppercase).filter(|(at, _)| {
            let before = source[..*at].chars().next_back();
            !before.is_some_and(|char| char.is_alphanumeric() || char == '.')
        });
        let starts: Vec<usize> = messages.map(|(at, _)| at).collect();
        starts.into_iter().rev().for_each(|at| source.insert_str(at, "google.protobuf."));
    }
    for (name, value) in durations(test) {
        source = format!("cel.bind({name}, duration('{value}'), {source})");
    }
    source
}

/// The variables of a test that are durations, with their texts.
fn durations(test: &Json) -> impl Iterator<Item = (&String, &str)> {
    let bound = test["bindings"].as_object().into_iter().flatten();
    bound.filter_map(|(name, value)| {
        let object = &value["value"]["objectValue"];
        let is_duration = object["@type"].as_str()?.ends_with("google.protobuf.Duration");
        object["value"].as_str().filter(|_| is_duration).map(|text| (name, text))
    })
}

/// The other variables that a test declares, as constants with its values.
fn environment(test: &Json) -> Option<Environment> {
    let declared = |name: &str| {
        let mut declarations = test["typeEnv"].as_array().into_iter().flatten();
        let one = declarations.find(|one| one["name"] == name);
        one.map_or(Some(Type::Dyn), |one| expected::type_of(&one["ident"]["type"]))
    };
    let bound = test["bindings"].as_object().into_iter().flatten();
    let constant = |(name, value): (&String, &Json)| {
        Some((name.clone(), expected::constant(&value["value"], declared(name)?)?))
    };
    let bound = bound.filter(|(name, _)| durations(test).all(|(one, _)| one != *name));
    bound.map(constant).collect::<Option<_>>().map(Environment::of)
}

#[test]
fn the_specifications_tests() {
    let Some(judged) = judged() else { return };
    assert!(judged.verdicts.len() > 1_600, "{} tests were found", judged.verdicts.len());
    judged.check(SUITE);
    judged.at_least(979);
}

#[test]
fn the_specifications_newer_tests() {
    let Some(judged) = newer() else { return };
    assert!(judged.verdicts.len() > 1_900, "{} tests were found", judged.verdicts.len());
    judged.check(NEWER);
    judged.at_least(954);
}

/// The goal. A test that is not decided as expected is listed, mostly as one of the npm package or of v0.26.0, which have it too.
#[test]
fn the_specifications_tests_without_protobuf() {
    let Some(judged) = protobuf_free() else { return };
    assert_eq!(judged.verdicts.len(), PROTOBUF_FREE);
    let listed: Vec<String> = reasons().into_iter().flat_map(|(_, cases)| cases).collect();
    for (name, verdict) in &judged.verdicts {
        let Verdict::Disagrees(what) = verdict else { continue };
        let listed = [SUITE, NEWER, GOAL].map(|suite| listed.contains(&name.replacen(SUITE, suite, 1)));
        assert!(listed.contains(&true), "{name}: {what}");
    }
    judged.at_least(979);
}
