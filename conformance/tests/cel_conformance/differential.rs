//! The same expressions in our evaluator and in that of the `cel` crate, which share only the parser.
//!
//! A disagreement is minimized; the result names it in the committed list. `BAILIWICK_SEED` gives other
//! expressions.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use bailiwick_policy::cel::Value;

use super::evaluation::Environment;
use super::expressions::{Dice, Term, kinds};
use super::judgement::{Judged, Verdict};

/// The prefix of all names in the committed list.
pub(crate) const SUITE: &str = "cel-0.15/";

/// How many expressions are compared.
pub(crate) const EXPRESSIONS: usize = 10_000;

/// The seed whose disagreements are listed.
const SEED: u64 = 6;

/// How deep an expression nests. Deeper ones take longer and find nothing else.
const DEPTH: u32 = 2;

/// The stack of the thread that runs the other engine, bytes: unoptimised, it takes some kilobytes for each
/// level.
const STACK: usize = 64 << 20;

/// The other engine with the extensions that both have.
struct Peer(Arc<cel::Env>);

impl Peer {
    fn new() -> Self {
        let mut env = cel::Env::stdlib().with_optional_support(true);
        env.add_extension(cel::extensions::strings).unwrap();
        env.add_extension(cel::extensions::lists).unwrap();
        env.add_extension(cel::extensions::math).unwrap();
        Self(Arc::new(env))
    }

    /// The result of an expression: a text of the value and its kind, or `error`.
    fn outcome(&self, source: &str) -> String {
        let Ok(program) = self.0.compile(source) else { return "error".to_owned() };
        match program.execute(&cel::Context::with_env(self.0.clone())) {
            Ok(value) => theirs(&value),
            Err(_) => "error".to_owned(),
        }
    }
}

fn ours(environment: &Environment, source: &str) -> String {
    environment.evaluate(source, |value| shown(&value)).unwrap_or_else(|_| "error".to_owned())
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// Sorted by key: a map has no order of its own.
fn map(entries: impl Iterator<Item = (String, String)>) -> String {
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    let mut text = String::from("{");
    for (key, value) in entries {
        write!(text, "{key}: {value}, ").unwrap();
    }
    text + "}"
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => format!("{value}u"),
        Value::Double(value) => format!("{value:?}"),
        Value::Bytes(_) | Value::OwnedBytes(_) => format!("b{:?}", value.as_bytes().unwrap_or_default()),
        Value::Str(_) | Value::OwnedStr(_) => format!("{:?}", value.as_str().unwrap_or_default()),
        Value::List(items) => list(items.iter().map(|item| shown(&item))),
        Value::Map(entries) => map(entries.iter().map(|(key, value)| (shown(&key), shown(&value)))),
        other => format!("a {}", other.type_name()),
    }
}

fn theirs(value: &cel::Value) -> String {
    match value {
        cel::Value::Null => "null".to_owned(),
        cel::Value::Bool(value) => value.to_string(),
        cel::Value::Int(value) => value.to_string(),
        cel::Value::UInt(value) => format!("{value}u"),
        cel::Value::Float(value) => format!("{value:?}"),
        cel::Value::Bytes(bytes) => format!("b{:?}", bytes.as_slice()),
        cel::Value::String(text) => format!("{text:?}"),
        cel::Value::List(items) => list(items.iter().map(theirs)),
        cel::Value::Map(entries) => map(entries.map.iter().map(|(key, value)| {
            let key = match key {
                cel::objects::Key::Int(key) => key.to_string(),
                cel::objects::Key::Uint(key) => format!("{key}u"),
                cel::objects::Key::Bool(key) => key.to_string(),
                cel::objects::Key::String(key) => format!("{key:?}"),
            };
            (key, theirs(value))
        })),
        other => format!("another value: {other:?}"),
    }
}

/// All expressions, compared once. A verdict covers every expression that contains its name; expressions that
/// agree have no verdict and are only counted.
pub(crate) fn judged() -> &'static (Judged, usize) {
    static JUDGED: OnceLock<(Judged, usize)> = OnceLock::new();
    JUDGED.get_or_init(|| {
        let compared = std::thread::Builder::new().stack_size(STACK).spawn(compare).unwrap();
        compared.join().unwrap()
    })
}

fn seed() -> u64 {
    std::env::var("BAILIWICK_SEED").ok().map_or(SEED, |seed| seed.parse().unwrap())
}

fn compare() -> (Judged, usize) {
    let (peer, environment) = (Peer::new(), Environment::of([].into()));
    let mut judged = Judged::default();
    let mut agreeing = 0;
    let mut dice = Dice::of(seed());
    for kind in kinds().iter().cycle().take(EXPRESSIONS) {
        let term = Term::random(kind, DEPTH, &mut dice);
        let differ = |source: &str| ours(&environment, source) != peer.outcome(source);
        if !differ(&term.text()) {
            agreeing += 1;
            continue;
        }
        // An expression that contains a known disagreement is not minimized again: that takes as long as a
        // few hundred comparisons.
        let whole = term.text();
        if judged
            .verdicts
            .keys()
            .filter_map(|name| name.strip_prefix(SUITE))
            .any(|known| whole.contains(known))
        {
            continue;
        }
        let source = term.smallest(&differ).text();
        let what = format!("ours {}, theirs {}", ours(&environment, &source), peer.outcome(&source));
        judged.verdicts.insert(format!("{SUITE}{source}"), Verdict::Disagrees(what));
    }
    (judged, agreeing)
}

#[test]
fn random_expressions_give_the_same_in_both() {
    let (judged, agreeing) = judged();
    println!("seed {}: {agreeing} of {EXPRESSIONS} expressions agree", seed());
    judged.check(SUITE);
}
